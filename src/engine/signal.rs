//! Signals: what a member did that is no purchase. One that an offer asks for becomes an entry
//! among the member's purchases; any other is counted, for screening.

use super::Engine;
use super::acts::{ActError, Named};
use super::turn::Turn;
use crate::decide::signal_hash;
use crate::domain::purchase::{Occasion, SIGNAL, entry_key};
use crate::domain::{Code, MemberId, OfferId, PurchaseId, Timestamp};
use crate::record::{MemberInput, Signal};
use std::sync::Arc;

/// Open entries of one member that signals made.
pub const SIGNALS_MAX: usize = 1000;
/// Kinds of one member's signals that no offer asked for.
pub const SIGNAL_KINDS_MAX: usize = 100;

/// What is told of a signal.
#[derive(Debug, Clone)]
pub struct Signalling {
    /// What, in the operator's words.
    pub kind: Code,
    /// The one offer it concerns; `None` is every offer that asks for its kind.
    pub offer: Option<OfferId>,
    /// When; `None` is now.
    pub at: Option<Timestamp>,
    /// The caller's name of it; the same again has one effect. Without one the request's own.
    pub id: Option<PurchaseId>,
}

impl Engine {
    /// Takes a signal. The same again changes nothing. Returns what was answered, now or the
    /// first time.
    ///
    /// # Errors
    /// [`ActError`]; `SignalDiffers` when the id was another signal's.
    pub async fn signal(
        self: &Arc<Self>,
        member: &MemberId,
        said: Signalling,
        named: Option<Named>,
        answer: impl Fn(&Signal) -> String,
    ) -> Result<String, ActError> {
        self.persistently(member, || self.signal_once(member, said.clone(), named, &answer)).await
    }

    async fn signal_once(
        self: &Arc<Self>,
        member: &MemberId,
        said: Signalling,
        named: Option<Named>,
        answer: &impl Fn(&Signal) -> String,
    ) -> Result<String, ActError> {
        let mut turn = self.turn(member).await?;
        if let Some(kept) = self.answered_before(member, named.as_ref()).await? {
            return Ok(kept);
        }
        if !turn.is_known() {
            return Err(ActError::UnknownMember);
        }
        if turn.member.head.erased {
            return Err(ActError::Erased);
        }
        let id = match (said.id, &named) {
            (Some(id), _) => id,
            (None, Some(named)) => id_of(format!("{:032x}", u128::from_be_bytes(named.key))),
            (None, None) => {
                let reference = turn.next_reference();
                id_of(format!("{}-{}-{}", reference.process, self.partition(member), reference.number))
            }
        };
        let entry = !turn.catalogue().apart().signal(said.kind).is_empty();
        let at = said.at.unwrap_or_else(|| turn.now());
        let signal = Signal { id, kind: said.kind, offer: said.offer, at, entry };
        if let Some(known) = known(&turn, &signal, said.at)? {
            return Ok(answer(&known));
        }
        let answer = answer(&signal);
        let request = named.map(|named| named.answered(turn.now(), answer.clone()));
        turn.step(MemberInput::Signalled(signal), request).await?;
        turn.commit().await?;
        Ok(answer)
    }
}

fn id_of(text: String) -> PurchaseId {
    PurchaseId::new(text).expect("some digits and dashes")
}

/// The signal as it was taken before; `None` when it is new and there is room for it.
fn known(turn: &Turn, signal: &Signal, at: Option<Timestamp>) -> Result<Option<Signal>, ActError> {
    let member = &turn.member;
    if let Some(place) = member.find(&entry_key(SIGNAL, signal.id.clone())) {
        let Some(Occasion::Signal { kind, offer, at: was_at }) = &member.purchases[place].purchase.occasion else {
            return Err(ActError::SignalDiffers);
        };
        let same = *kind == signal.kind && *offer == signal.offer && at.is_none_or(|at| at == *was_at);
        let known = Signal { at: *was_at, entry: true, ..signal.clone() };
        return if same { Ok(Some(known)) } else { Err(ActError::SignalDiffers) };
    }
    if signal.entry {
        let is_signal = |occasion: &Option<Occasion>| matches!(occasion, Some(Occasion::Signal { .. }));
        let open = member.purchases.iter().filter(|placed| is_signal(&placed.purchase.occasion)).count();
        return if open < SIGNALS_MAX { Ok(None) } else { Err(ActError::TooMany(SIGNALS_MAX)) };
    }
    let counts = &member.head.signals;
    match counts.iter().find(|count| count.kind == signal.kind) {
        Some(count) if count.recent.contains(&signal_hash(&signal.id)) => Ok(Some(signal.clone())),
        None if counts.len() >= SIGNAL_KINDS_MAX => Err(ActError::TooMany(SIGNAL_KINDS_MAX)),
        _ => Ok(None),
    }
}
