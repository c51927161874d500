//! What operators and apps do to a member: register, link cards, opt in, pay out, erase.
//! Each is one turn and one record; each refusal is a value with its reason.

use super::again::Job;
use super::derived::derived;
use super::sealed::sealed_first;
use super::turn::Turn;
use super::{Engine, EngineError};
use crate::decide::{MemberState, NoExchange};
use crate::domain::member::{
    ActivationStep, CardLink, LinkFact, Profile, ProfileStep, birthday_changes_again, put_profile,
};
use crate::domain::{CardHash, MemberId, OfferId, SourceName, Timestamp, Unit};
use crate::record::{MemberInput, RequestKey};
use crate::store::Partition;
use std::sync::Arc;

/// Why an act was not done.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// Nobody registered the member.
    #[error("no member has this id")]
    UnknownMember,
    /// The person was erased.
    #[error("this member was erased; the books are kept, the person is not")]
    Erased,
    /// The caller's copy is old.
    #[error("the document has version {has}, the request was made for {given}")]
    VersionDiffers {
        /// What it has.
        has: u64,
        /// What was given.
        given: u64,
    },
    /// Somebody else holds the card.
    #[error("this card is linked to another member")]
    CardLinkedElsewhere,
    /// The member does not hold the card.
    #[error("this member has no such card")]
    UnknownCard,
    /// Not enough is there to be paid, spent or used.
    #[error("{}", lacking(*.unit, *.wanted_minor, *.available_minor))]
    NotEnough {
        /// Of what.
        unit: Unit,
        /// What may be used.
        available_minor: i64,
        /// What was asked for.
        wanted_minor: i64,
    },
    /// There is no such offer.
    #[error("there is no such offer")]
    UnknownOffer,
    /// The offer gives nothing for points now.
    #[error(transparent)]
    NoExchange(#[from] NoExchange),
    /// The offer has nothing left to give.
    #[error("{}", if *of_day { "today's budget of this offer is spent; tomorrow's begins at midnight UTC" } else { "the budget of this offer is spent" })]
    BudgetSpent {
        /// Of its budget of today alone.
        of_day: bool,
    },
    /// The request's name was used for another one.
    #[error("this key was used for another request; give a new request a new key")]
    KeyReused,
    /// The member has more links, cards or activations than we keep.
    #[error("a member may have at most {0} of these")]
    TooMany(usize),
    /// The birthday was changed less than a year before.
    #[error("a birthday may change once a year, this one again from {again} on")]
    BirthdayChanged {
        /// From when it may.
        again: Timestamp,
    },
    /// The id is another signal's.
    #[error("this id was given to another signal; give a new signal a new id")]
    SignalDiffers,
    /// Nothing is paid while screening is behind.
    #[error("payments wait for screening")]
    NotScreened,
    /// The engine could not.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Cards, links or activation steps of one member.
pub const PER_MEMBER_MAX: usize = 1000;

/// Profiles of one member, from the first to the newest.
pub const PROFILES_MAX: usize = 200;

/// A request that named itself: the same again is answered as the first time, another
/// one under the same name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// Hash of caller, route and name.
    pub key: [u8; 16],
    /// Hash of what was asked for.
    pub body: [u8; 16],
    /// Remembered for ever rather than 24 hours.
    pub forever: bool,
}

impl Named {
    /// What a record keeps of it.
    pub(super) fn answered(self, at: Timestamp, answer: String) -> RequestKey {
        RequestKey { key: self.key, body: self.body, forever: self.forever, at, answer }
    }
}

/// What registering a member says.
#[derive(Debug, Clone, Default)]
pub struct Registration {
    /// From when the person is a member; `None` is now, or as it was.
    pub joined_at: Option<Timestamp>,
    /// Who referred them.
    pub referred_by: Option<MemberId>,
    /// Personal fields; they replace those said before.
    pub profile: Profile,
    /// From when they count; `None` is now, unless they are as they were.
    pub profile_from: Option<Timestamp>,
    /// Shared identifiers: kind, value, verified, from when.
    pub links: Vec<(String, String, bool, Option<Timestamp>)>,
}

/// Which card is linked, and how.
#[derive(Debug, Clone)]
pub struct Linking {
    /// Whose token.
    pub source: SourceName,
    /// The token; card numbers are refused before this.
    pub token: String,
    /// From when it counts; `None` is now.
    pub from: Option<Timestamp>,
    /// The same physical card as another source knows it.
    pub same_card_as: Option<CardHash>,
    /// A card that ends where this one begins.
    pub replaces: Option<CardHash>,
}

/// Times an act is done again because another process changed its member meanwhile.
const CONTENDED_TRIES: usize = 16;

impl Engine {
    /// Does an act, and again when another process that shares the store was faster.
    pub(super) async fn persistently<T, F: Future<Output = Result<T, ActError>>>(
        &self,
        member: &MemberId,
        act: impl Fn() -> F,
    ) -> Result<T, ActError> {
        let mut done = act().await;
        for _ in 0..CONTENDED_TRIES {
            if !self.is_shared() || !matches!(done, Err(ActError::Engine(EngineError::Contended))) {
                break;
            }
            self.refresh_mark(self.partition(member)).await?;
            done = act().await;
        }
        done
    }

    async fn known(self: &Arc<Self>, member: &MemberId, if_match: Option<u64>) -> Result<Box<Turn>, ActError> {
        let turn = self.turn(member).await?;
        if !turn.is_known() {
            return Err(ActError::UnknownMember);
        }
        if turn.member.head.erased {
            return Err(ActError::Erased);
        }
        check_version(&turn, if_match)?;
        Ok(turn)
    }

    /// As [`Engine::first_answer`]; asked within the member's turn, so that the same request twice
    /// at once acts once.
    pub(super) async fn answered_before(
        &self,
        member: &MemberId,
        named: Option<&Named>,
    ) -> Result<Option<String>, ActError> {
        self.first_answer(self.partition(member), named, || ActError::KeyReused).await
    }

    /// What a request that named itself was answered the first time; refused when the name was used
    /// for another request.
    pub(super) async fn first_answer<E: From<EngineError>>(
        &self,
        partition: Partition,
        named: Option<&Named>,
        reused: impl FnOnce() -> E,
    ) -> Result<Option<String>, E> {
        let Some(named) = named else { return Ok(None) };
        match self.answered(partition, &named.key).await? {
            Some(kept) if kept.body == named.body => Ok(Some(kept.answer)),
            Some(_) => Err(reused()),
            None => Ok(None),
        }
    }

    /// Registers a member or replaces what was said of them. The same again changes nothing.
    ///
    /// # Errors
    /// [`ActError`].
    pub async fn register(
        self: &Arc<Self>,
        member: &MemberId,
        said: Registration,
        if_match: Option<u64>,
    ) -> Result<(Arc<MemberState>, bool), ActError> {
        self.persistently(member, || self.register_now(member, said.clone(), if_match)).await
    }

    async fn register_now(
        self: &Arc<Self>,
        member: &MemberId,
        said: Registration,
        if_match: Option<u64>,
    ) -> Result<(Arc<MemberState>, bool), ActError> {
        if said.links.len() > PER_MEMBER_MAX {
            return Err(ActError::TooMany(PER_MEMBER_MAX));
        }
        let mut turn = self.turn(member).await?;
        if turn.member.head.erased {
            return Err(ActError::Erased);
        }
        check_version(&turn, if_match)?;
        let created = !turn.is_known();
        let now = turn.now();
        let head = &turn.member.head;
        let fact = |kind: &str, value: &str, verified: bool, at: Option<Timestamp>| {
            let hash = self.link_hash(kind, value);
            let known = head.links.iter().find(|link| link.kind == kind && link.value == hash);
            let at = at.or_else(|| known.map(|link| link.at)).unwrap_or(now);
            LinkFact { kind: kind.into(), value: hash, verified, at }
        };
        let mut links: Vec<LinkFact> =
            said.links.iter().map(|(kind, value, verified, at)| fact(kind, value, *verified, *at)).collect();
        for (kind, value, verified, at) in &said.links {
            for (kind, value) in derived(kind, value) {
                let link = fact(kind, &value, *verified, *at);
                // Two addresses of one domain lead to it once.
                if !links.iter().any(|known| known.kind == link.kind && known.value == link.value) {
                    links.push(link);
                }
            }
        }
        let joined_at = said.joined_at.unwrap_or(head.joined_at);
        let referred_by = said.referred_by.map(|by| match &head.referred_by {
            Some((known, at)) if *known == by => (by, *at),
            _ => (by, now),
        });
        let profile = new_profile(&turn.member, said.profile, said.profile_from, now)?;
        let same = !created
            && joined_at == head.joined_at
            && referred_by == head.referred_by
            && links == head.links
            && profile.is_none();
        if same {
            return Ok((Arc::new(turn.member.clone()), false));
        }
        let profile = profile.map(|step| turn.seal_profile(&step)).transpose()?;
        turn.step(MemberInput::Registered { joined_at, referred_by, profile, links }, None).await?;
        Ok((turn.commit().await?, created))
    }

    /// Links a card. The same again changes nothing.
    ///
    /// # Errors
    /// [`ActError`]; `CardLinkedElsewhere` when another member holds it.
    pub async fn link_card(
        self: &Arc<Self>,
        member: &MemberId,
        linking: Linking,
    ) -> Result<(Arc<MemberState>, bool), ActError> {
        // In a task of its own: a caller who goes away must not give the card free before
        // its claim is in the state.
        let (engine, member) = (Arc::clone(self), member.clone());
        let linked = tokio::spawn(async move {
            engine.persistently(&member, || engine.link_card_now(&member, linking.clone())).await
        });
        linked.await.unwrap_or(Err(ActError::Engine(EngineError::Stopping)))
    }

    async fn link_card_now(
        self: &Arc<Self>,
        member: &MemberId,
        linking: Linking,
    ) -> Result<(Arc<MemberState>, bool), ActError> {
        let card = self.card_hash(&linking.source, &linking.token);
        // Card before member, so that two members cannot take one card at once.
        let _card = Arc::clone(self.stripe_of_card(card)).lock_owned().await;
        let mut turn = self.known(member, None).await?;
        let from = linking.from.unwrap_or_else(|| turn.now());
        if self.card_claims(card).await?.iter().any(|claim| claim.bars(member, from)) {
            return Err(ActError::CardLinkedElsewhere);
        }
        let head = &turn.member.head;
        if head.cards.iter().any(|link| link.card == card && link.to.is_none()) {
            return Ok((Arc::new(turn.member.clone()), false));
        }
        if head.cards.len() >= PER_MEMBER_MAX {
            return Err(ActError::TooMany(PER_MEMBER_MAX));
        }
        let group_of = |card: CardHash| head.cards.iter().rev().find(|link| link.card == card).map(|link| link.group);
        let group = match linking.same_card_as.or(linking.replaces).map(group_of) {
            Some(None) => return Err(ActError::UnknownCard),
            Some(Some(group)) => group,
            None => head.cards.iter().map(|link| link.group + 1).max().unwrap_or(0),
        };
        let token = Some(turn.seal(linking.token.as_bytes())?);
        let link = CardLink { source: linking.source, card, from, to: None, group, token };
        turn.step(MemberInput::CardLinked { link, replaces: linking.replaces }, None).await?;
        Ok((turn.commit().await?, true))
    }

    /// Unlinks a card from an instant on.
    ///
    /// # Errors
    /// [`ActError`].
    pub async fn unlink_card(
        self: &Arc<Self>,
        member: &MemberId,
        card: CardHash,
        at: Option<Timestamp>,
    ) -> Result<(), ActError> {
        self.persistently(member, || self.unlink_card_now(member, card, at)).await
    }

    async fn unlink_card_now(
        self: &Arc<Self>,
        member: &MemberId,
        card: CardHash,
        at: Option<Timestamp>,
    ) -> Result<(), ActError> {
        let mut turn = self.known(member, None).await?;
        if !turn.member.head.cards.iter().any(|link| link.card == card) {
            return Err(ActError::UnknownCard);
        }
        let at = at.unwrap_or_else(|| turn.now());
        if turn.member.head.cards.iter().any(|link| link.card == card && link.to.is_none_or(|to| at < to)) {
            turn.step(MemberInput::CardUnlinked { card, at }, None).await?;
            turn.commit().await?;
        }
        Ok(())
    }

    /// Opts a member in or out of an offer, from an instant on.
    ///
    /// # Errors
    /// [`ActError`].
    pub async fn activate(
        self: &Arc<Self>,
        member: &MemberId,
        offer: &OfferId,
        active: bool,
        at: Option<Timestamp>,
    ) -> Result<Timestamp, ActError> {
        self.persistently(member, || self.activate_now(member, offer, active, at)).await
    }

    async fn activate_now(
        self: &Arc<Self>,
        member: &MemberId,
        offer: &OfferId,
        active: bool,
        at: Option<Timestamp>,
    ) -> Result<Timestamp, ActError> {
        let mut turn = self.known(member, None).await?;
        let dated = at.is_some();
        let at = at.unwrap_or_else(|| turn.now());
        let head = &turn.member.head;
        let newest = head.activations.iter().filter(|step| &step.offer == offer).max_by_key(|step| step.at);
        // What is so already is not said again, unless somebody names its time: a step
        // dated before it may come later.
        match newest {
            Some(step) if step.active == active && (step.at == at || (!dated && step.at <= at)) => return Ok(step.at),
            None if !active && !dated => return Ok(at),
            _ => {}
        }
        if head.activations.len() >= PER_MEMBER_MAX {
            return Err(ActError::TooMany(PER_MEMBER_MAX));
        }
        turn.step(MemberInput::Activated(ActivationStep { offer: offer.clone(), at, active }), None).await?;
        turn.commit().await?;
        Ok(at)
    }

    /// Erases the person and keeps the books: profile, links, cards' tokens and the key
    /// that sealed them are gone; open cards end.
    ///
    /// # Errors
    /// [`ActError`].
    pub async fn erase(self: &Arc<Self>, member: &MemberId) -> Result<(), ActError> {
        self.persistently(member, || self.erase_now(member)).await
    }

    async fn erase_now(self: &Arc<Self>, member: &MemberId) -> Result<(), ActError> {
        let mut turn = self.turn(member).await?;
        if !turn.is_known() {
            return Err(ActError::UnknownMember);
        }
        // In whose vault the key lies: of a store that is this process' alone in its own, also what
        // others sealed before it took their journals over.
        let key = sealed_first(&turn.member).map(|sealed| (sealed.record.process, sealed.slot));
        let is_own = |process: u32| self.shared().is_none() || process == self.journal.process();
        let slot = key.filter(|(process, _)| is_own(*process)).map(|(_, slot)| slot);
        if !turn.member.head.erased {
            let now = turn.now();
            let open: Vec<CardHash> =
                turn.member.head.cards.iter().filter(|link| link.to.is_none()).map(|link| link.card).collect();
            for card in open {
                turn.step(MemberInput::CardUnlinked { card, at: now }, None).await?;
            }
            turn.step(MemberInput::Erased { slot }, None).await?;
            if let Some((process, slot)) = key.filter(|(process, _)| !is_own(*process)) {
                turn.leave(Job::Erase { process, slot });
            }
            turn.commit().await?;
        }
        // The record first, the key then: a crash in between is finished by the replay or
        // by asking again.
        if let Some(slot) = slot {
            self.keys.vault.erase(slot).map_err(EngineError::from)?;
        }
        Ok(())
    }

    fn stripe_of_card(&self, card: CardHash) -> &Arc<tokio::sync::Mutex<()>> {
        let place = usize::from(card.0[0]) % self.card_stripes.len();
        &self.card_stripes[place]
    }
}

/// What is missing, for a person: `needs 100 beans, has 40`.
fn lacking(unit: Unit, wanted: i64, has: i64) -> String {
    match unit {
        Unit::Money(_) => format!("needs {}, has {}", unit.shown(wanted), unit.shown(has)),
        Unit::Points(_) => format!("needs {}, has {has}", unit.shown(wanted)),
        Unit::Perk(code) => format!("needs {wanted} × {code}, has {has}"),
    }
}

fn check_version(turn: &Turn, if_match: Option<u64>) -> Result<(), ActError> {
    let has = turn.member.head.version;
    match if_match {
        Some(given) if given != has => Err(ActError::VersionDiffers { has, given }),
        _ => Ok(()),
    }
}

/// The step that a registration adds to the member's profiles; `None` when they stay.
fn new_profile(
    member: &MemberState,
    said: Profile,
    from: Option<Timestamp>,
    now: Timestamp,
) -> Result<Option<ProfileStep>, ActError> {
    let nothing = Profile::default();
    let in_force = member.profile_at(now).unwrap_or(&nothing);
    let known = |at: Timestamp| member.profiles.iter().find(|step| step.at == at);
    // What is so already is not said again, unless somebody names its time: a step dated
    // before it may come later.
    let same = match from {
        None => *in_force == said,
        Some(at) => known(at).is_some_and(|step| step.profile == said),
    };
    if same {
        return Ok(None);
    }
    let step = ProfileStep { at: from.unwrap_or(now), profile: said };
    if member.profiles.len() >= PROFILES_MAX && known(step.at).is_none() {
        return Err(ActError::TooMany(PROFILES_MAX));
    }
    let mut steps = member.profiles.clone();
    put_profile(&mut steps, step.clone());
    match birthday_changes_again(&steps) {
        Some(again) => Err(ActError::BirthdayChanged { again }),
        None => Ok(Some(step)),
    }
}
