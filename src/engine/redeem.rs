//! What members do with what they have: money is paid out, points are spent on an offer,
//! perks are used. Each is one record, and the same request again is answered as the first
//! time, for ever.

use super::Engine;
use super::acts::{ActError, Named};
use super::turn::Turn;
use crate::decide::exchange::{exchange, next_entry};
use crate::decide::{GrantChange, MemberState};
use crate::domain::purchase::{Grant, Stage};
use crate::domain::{MemberId, OfferId, Timestamp, Unit};
use crate::ledger::transfers_between;
use crate::record::{Exchange, LotUse, MemberInput, Redemption};
use std::sync::Arc;

/// What a member wants of what they have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// So much of it: paid out, or a perk used.
    Of(Unit, i64),
    /// An offer that gives for points.
    Offer(OfferId),
}

/// What was done: what it took, and what it gave when it was an exchange.
#[derive(Debug)]
pub struct Done<'a> {
    /// What it took.
    pub redemption: &'a Redemption,
    /// What it gave.
    pub given: Option<&'a Grant>,
    /// When.
    pub at: Timestamp,
}

impl Engine {
    /// Takes what is wanted from the lots that expire soonest, then the oldest; what is owed
    /// is settled first. A request that named itself is looked up inside the member's turn,
    /// so that the same request twice at once is done once. Returns what was answered, now or
    /// the first time.
    ///
    /// # Errors
    /// [`ActError`]; `NotEnough` when there is less, `KeyReused` when the name was used for
    /// another request.
    pub async fn redeem(
        self: &Arc<Self>,
        member: &MemberId,
        id: String,
        wanted: Wanted,
        named: Option<Named>,
        answer: impl Fn(Done<'_>) -> String,
    ) -> Result<String, ActError> {
        self.persistently(member, || self.redeem_once(member, id.clone(), wanted.clone(), named, &answer)).await
    }

    async fn redeem_once(
        self: &Arc<Self>,
        member: &MemberId,
        id: String,
        wanted: Wanted,
        named: Option<Named>,
        answer: &impl Fn(Done<'_>) -> String,
    ) -> Result<String, ActError> {
        // What was answered once is answered again, whatever screening does.
        if let Some(kept) = self.answered_before(member, named.as_ref()).await? {
            return Ok(kept);
        }
        // Before the turn: screening may need it itself.
        self.may_pay(member).await?;
        let mut turn = self.turn(member).await?;
        if let Some(kept) = self.answered_before(member, named.as_ref()).await? {
            return Ok(kept);
        }
        if !turn.is_known() {
            return Err(ActError::UnknownMember);
        }
        let (unit, minor, given) = match wanted {
            Wanted::Of(unit, minor) => (unit, minor, None),
            Wanted::Offer(offer) => {
                self.make_room(&mut turn).await?;
                let known = turn.catalogue().offer(&offer).cloned().ok_or(ActError::UnknownOffer)?;
                let got = exchange(&turn.member, &known, turn.catalogue(), &self.policy, turn.mark(), turn.now())?;
                (Unit::Points(got.unit), got.points, Some(got.grant))
            }
        };
        let (lots, settled) = choose_lots(&turn.member, unit, minor, turn.now())?;
        if let Some(grant) = &given {
            let raise = turn.reserve(&grant.offer, grant.amount_minor).await?;
            if raise.minor < grant.amount_minor {
                return Err(ActError::BudgetSpent { of_day: raise.day_spent });
            }
        }
        let entry = given.as_ref().map(|_| next_entry(&turn.member));
        let exchange = given.as_ref().zip(entry.clone()).map(|(grant, entry)| Exchange {
            entry,
            offer: grant.offer.clone(),
            version: grant.version,
            at: turn.now(),
        });
        let redemption = Redemption { id, unit, minor, lots, settled, exchange };
        let answer = answer(Done { redemption: &redemption, given: given.as_ref(), at: turn.now() });
        let request = named.map(|named| named.answered(turn.now(), answer.clone()));
        let change = given.zip(entry).map(|(grant, purchase)| {
            let transfers = transfers_between(None, &grant);
            GrantChange { purchase, grant, transfers }
        });
        turn.step_giving(MemberInput::Redeemed(Box::new(redemption)), request, change).await?;
        turn.commit().await?;
        Ok(answer)
    }

    /// An exchange opens an entry: a member who has too many has the oldest sealed before.
    async fn make_room(&self, turn: &mut Turn) -> Result<(), ActError> {
        if turn.member.purchases.len() >= self.options.open_purchases_max {
            let early = self.too_many_open(&turn.member);
            if !early.is_empty() {
                let mark = turn.mark();
                turn.step(self.sealing(&turn.member, early, mark), None).await?;
            }
        }
        Ok(())
    }
}

/// Part of what a member has, as it is looked at before it is used.
struct Lot {
    from: LotUse,
    expires_at: Option<Timestamp>,
}

/// Takes so much and what is owed from the lots that may be used at an instant: those that
/// expire first, then sealed ones, then the oldest; and what is owed from the grants that
/// were taken back after use.
fn choose_lots(
    member: &MemberState,
    unit: Unit,
    wanted: i64,
    at: Timestamp,
) -> Result<(Vec<LotUse>, Vec<LotUse>), ActError> {
    let sealed = member.head.sealed.iter().filter(|total| total.unit == unit && total.available_minor > 0);
    let sealed = sealed.map(|total| Lot {
        from: LotUse { purchase: None, offer: None, merchant: total.merchant.clone(), minor: total.available_minor },
        expires_at: None,
    });
    let mut free: Vec<Lot> = sealed.collect();
    let mut settled = Vec::new();
    for placed in &member.purchases {
        for grant in placed.purchase.grants.iter().filter(|grant| grant.unit == unit) {
            let part = |minor| LotUse {
                purchase: Some(placed.purchase.key.clone()),
                offer: Some(grant.offer.clone()),
                merchant: grant.merchant.clone(),
                minor,
            };
            if is_free(grant, at) && grant.remaining_minor() > 0 {
                free.push(Lot { from: part(grant.remaining_minor()), expires_at: grant.expires_at });
            }
            if !grant.lost && grant.excess_minor() > 0 {
                settled.push(part(grant.excess_minor()));
            }
        }
    }
    let owed: i64 = settled.iter().map(|lot| lot.minor).sum();
    let available_minor = free.iter().map(|lot| lot.from.minor).sum::<i64>() - owed;
    if wanted > available_minor {
        return Err(ActError::NotEnough { unit, available_minor: available_minor.max(0), wanted_minor: wanted });
    }
    // Stable: of what expires together, and of what never does, the oldest goes first.
    free.sort_by_key(|lot| lot.expires_at.unwrap_or(Timestamp::MAX));
    let mut left = wanted + owed;
    let mut lots = Vec::new();
    for mut lot in free.into_iter().map(|lot| lot.from) {
        lot.minor = lot.minor.min(left);
        left -= lot.minor;
        if lot.minor > 0 {
            lots.push(lot);
        }
    }
    Ok((lots, settled))
}

/// Whether the member may use what remains of a grant.
fn is_free(grant: &Grant, at: Timestamp) -> bool {
    let there = grant.stage == Stage::Available && !grant.held && grant.cause.is_none();
    there && grant.expires_at.is_none_or(|expires| at < expires)
}
