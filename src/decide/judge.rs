//! What each offer gives for each purchase, and for what else is rewarded.
//!
//! Purchases are taken by their time, then key. For each: the offers in force at its
//! time, their conditions, then caps by what earlier purchases used, then the group's
//! exclusive choice, then the cut to the purchase. So a purchase depends only on
//! itself and on earlier ones, and judging may start at the one that changed; or earlier,
//! where there are credits that name no purchase, since any of them may come off another
//! purchase now ([`assign`]). Signals and referrals stand in the same order and are judged in
//! the same way.

use super::assign::reaches_back;
use super::evaluate::Found;
use super::member::{Before, MemberState};
use super::refusal::Refusal;
use super::walk::Run;
use super::{OfferBook, Policy};
use crate::domain::offer::{Funding, InForce};
use crate::domain::purchase::{Grant, Occasion, Purchase, Stage};
use crate::domain::{Code, Currency, MerchantId, OfferId, PurchaseKey, Timestamp, Unit};
use crate::record::MemberInput;
use std::collections::BTreeMap;

/// Which purchases to judge again: from a place in the order on, at these merchants.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    /// Index of the first purchase concerned.
    pub from: usize,
    /// Merchants concerned; `None` is all.
    pub merchants: Option<&'a [MerchantId]>,
    /// The purchase whose own event this is: it may ask a spent budget again.
    pub own: Option<&'a PurchaseKey>,
}

/// What an offer gives for a purchase, or the first reason why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which offer.
    pub offer: OfferId,
    /// The version in force; 0 when none was ever published.
    pub version: u32,
    /// Whose offer it is.
    pub merchant: MerchantId,
    /// Currency of the terms.
    pub currency: Currency,
    /// What the reward is counted in.
    pub unit: Unit,
    /// Who pays for it.
    pub funding: Funding,
    /// The cause it goes to; `None` is the member.
    pub cause: Option<Code>,
    /// What the terms give under caps and stacking, before the budget.
    pub terms_minor: i64,
    /// What is due: `terms_minor` cut to the budget's verdict.
    pub due_minor: i64,
    /// As [`crate::domain::purchase::Grant::kept_minor`].
    pub kept_minor: i64,
    /// How far the reward has come.
    pub stage: Stage,
    /// Frozen by a standing.
    pub held: bool,
    /// When it may be paid; `None` while pending.
    pub available_at: Option<Timestamp>,
    /// When what is left of it is gone; `None` while pending, and for what does not expire.
    pub expires_at: Option<Timestamp>,
    /// For a reward taken back after it was paid: booked as loss instead of owed.
    pub lost: bool,
    /// Why it gives nothing, or less than the terms say.
    pub refusal: Option<Refusal>,
    /// Place among the purchase's grants of what the offer granted for it before.
    pub(super) granted: Option<usize>,
}

impl Line {
    /// What the offer granted for the purchase before.
    #[must_use]
    pub(super) fn had<'p>(&self, purchase: &'p Purchase) -> Option<&'p Grant> {
        self.granted.and_then(|place| purchase.grants.get(place))
    }
}

/// What an applied input concerns, as the bounds of a [`Scope`]: a purchase's event, its
/// merchant (and the one it had before) from its place in the order on, or from where the
/// credits there that name no purchase reach back to; other facts, every purchase. `before`
/// is how the purchase stood before the event, if it was there.
///
/// # Panics
/// When the input is an event that was not applied.
#[must_use]
pub fn concerned(
    member: &MemberState,
    input: &MemberInput,
    before: Option<Before>,
) -> (usize, Option<Vec<MerchantId>>) {
    let own = match input {
        MemberInput::Event(event) => Some(&event.purchase),
        MemberInput::Rematched(rematch) => Some(&rematch.purchase),
        _ => None,
    };
    let Some(own) = own else {
        // A pay-out changes no reward, but a card, an activation or a profile may: those are
        // judged from the first purchase on.
        let moves_no_reward = matches!(input, MemberInput::Redeemed(_) | MemberInput::Erased { .. });
        return (if moves_no_reward { usize::MAX } else { 0 }, None);
    };
    let at = member.find(own).expect("applied before");
    let (from, old) = match before {
        None => (at, None),
        // What it came off is free of it, wherever that stands.
        Some(before) if before.unlinked => (0, before.merchant),
        Some(before) => (at.min(before.place), before.merchant),
    };
    let now = member.purchases[at].merchant.clone();
    let mut merchants: Vec<MerchantId> = now.into_iter().chain(old).collect();
    merchants.dedup();
    let from = reaches_back(member, &merchants).map_or(from, |place| place.min(from));
    (from, Some(merchants))
}

/// A purchase judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Its place in the member's order.
    pub index: usize,
    /// What stands of it, minor units.
    pub worth_minor: i64,
    /// Every candidate offer, by id.
    pub lines: Vec<Line>,
}

/// More is due under an offer with a budget than was granted: reserve this much.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    /// For which purchase.
    pub purchase: PurchaseKey,
    /// From which offer's budget.
    pub offer: OfferId,
    /// How much more, in the reward's unit.
    pub minor: i64,
}

/// What a budget answered to an [`Ask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Raise {
    /// How much more, in the reward's unit.
    pub minor: i64,
    /// Less than was asked for, because the day's budget has no more.
    pub day_spent: bool,
}

/// What budgets answered to [`Ask`]s, by purchase and offer.
pub type Raises = BTreeMap<(PurchaseKey, OfferId), Raise>;

/// Judges the purchases in scope. Returns them with the reservations that are still
/// to be made; when there are any, reserve, add the answers to `raises`, and judge
/// again. Linear in the member's purchases at the merchants concerned times their offers,
/// and what [`assign`](super::assign()) takes.
#[must_use]
pub fn judge(
    member: &MemberState,
    scope: &Scope<'_>,
    book: &dyn OfferBook,
    policy: &Policy,
    mark: Timestamp,
    raises: &Raises,
) -> (Vec<Judged>, Vec<Ask>) {
    if scope.from >= member.purchases.len() {
        return (Vec::new(), Vec::new());
    }
    let mut run = Run::new(member, scope.merchants, book, policy, mark);
    let own = scope.own.and_then(|key| member.find(key));
    let mut judged = Vec::with_capacity(member.purchases.len() - scope.from);
    let mut asks = Vec::new();
    for (index, placed) in member.purchases.iter().enumerate() {
        let is_exchange = !placed.is_purchase && matches!(placed.purchase.occasion, Some(Occasion::Exchange { .. }));
        // One that lost its shop is at no merchant, and gives back what it was granted.
        let mut concern = run.concern(placed);
        concern.in_scope |= is_exchange || own == Some(index);
        if index < scope.from {
            // What was granted for earlier purchases is right already, and uses caps.
            run.pass(index, concern);
        } else if is_exchange {
            // What was exchanged is an act: it uses caps and is never decided again.
            run.use_granted(&placed.purchase, placed);
        } else if concern.in_scope {
            let worth = run.worth(index);
            let lines = run.lines(index, &worth, own == Some(index), raises, &mut asks);
            judged.push(Judged { index, worth_minor: worth.minor, lines });
            run.remember(index, concern);
        } else {
            run.let_go(&placed.purchase);
        }
    }
    (judged, asks)
}

/// Why and why not of one purchase: every leaf of the conditions of every candidate offer,
/// by offer, as the decision itself looks at them.
#[must_use]
pub fn explain(
    member: &MemberState,
    index: usize,
    book: &dyn OfferBook,
    policy: &Policy,
    mark: Timestamp,
) -> Vec<(OfferId, Vec<Found>)> {
    let mut run = Run::after(member, index, book, policy, mark);
    let numbers = run.candidates(&member.purchases[index]);
    let worth = run.worth(index);
    let at = run.at(index, &worth);
    let explained = numbers.into_iter().filter_map(|number| {
        let offer = run.offer(number);
        let (InForce::Version(version) | InForce::Paused(version) | InForce::Ended(version)) = offer.in_force(at.time)
        else {
            return None;
        };
        let reward = at.reward(&version.terms)?;
        let case = run.case(&at, number, &version.terms, reward);
        let mut found = Vec::new();
        if let Some(when) = at.asked(&version.terms) {
            case.explain(when, false, &mut found);
        }
        Some((offer.id.clone(), found))
    });
    explained.collect()
}
