//! What an offer gives for points: asked once, when the member spends them. It is an act, so
//! only the passing of time changes it: unused, it may expire. The budget is asked by whoever
//! commits it.

use super::history::period;
use super::member::MemberState;
use super::refusal::Refusal;
use super::settle::GrantChange;
use super::walk::Run;
use super::{OfferBook, Policy};
use crate::domain::member::Standing;
use crate::domain::offer::{Activation, Beneficiary, InForce, Offer, Period, RewardCap, Terms, Trigger};
use crate::domain::purchase::{EXCHANGE, Grant, Occasion, Stage, entry_key};
use crate::domain::time::civil_day;
use crate::domain::{Code, OfferId, PurchaseId, PurchaseKey, Timestamp};
use crate::ledger::transfers_between;
use jiff::civil;

/// What is spent, and what is given at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchanged {
    /// Points of which unit.
    pub unit: Code,
    /// So many.
    pub points: i64,
    /// What they bring.
    pub grant: Grant,
}

/// Why an offer gives nothing for points, in words for who asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoExchange {
    /// It gives for something else.
    #[error("this offer is not one that points are spent on; choose one whose trigger is points")]
    OtherTrigger,
    /// Not published, paused or ended.
    #[error("this offer is not in force now: it {0}")]
    NotInForce(&'static str),
    /// Not activated.
    #[error("the member has to activate this offer first")]
    NotActivated,
    /// Held, barred or held out: the reason is not for the outside.
    #[error("this offer is not available to this member")]
    NotEligible,
    /// As often as it may be.
    #[error("at most {cap} times in the period, {used} so far")]
    OftenEnough {
        /// The cap.
        cap: u32,
        /// How often so far.
        used: u32,
    },
    /// As much as it may give one member.
    #[error("it gives one member at most {0}, and this would be more")]
    MuchEnough(String),
    /// No cause of the offer's was chosen.
    #[error("the member has to choose one of the offer's causes first")]
    NoCause,
    /// A condition of the offer does not hold, or its amount comes to nothing.
    #[error("{0}")]
    Refused(String),
}

/// What an offer gives a member for points at an instant. Local times are UTC: there is no shop.
///
/// # Errors
/// [`NoExchange`].
pub fn exchange(
    member: &MemberState,
    offer: &Offer,
    book: &dyn OfferBook,
    policy: &Policy,
    mark: Timestamp,
    at: Timestamp,
) -> Result<Exchanged, NoExchange> {
    let version = match offer.in_force(at) {
        InForce::Version(version) => version,
        InForce::NotYet => return Err(NoExchange::NotInForce("was not published")),
        InForce::Paused(_) => return Err(NoExchange::NotInForce("is paused")),
        InForce::Ended(_) => return Err(NoExchange::NotInForce("has ended")),
    };
    let terms = &version.terms;
    let Trigger::Points { unit, points } = terms.trigger else { return Err(NoExchange::OtherTrigger) };
    let local = at.local(&jiff::tz::TimeZone::UTC);
    if terms.starts.is_some_and(|starts| local < starts) {
        return Err(NoExchange::NotInForce("has not begun"));
    }
    if terms.ends.is_some_and(|ends| local >= ends) {
        return Err(NoExchange::NotInForce("is over"));
    }
    if terms.activation == Activation::Required && !member.head.active(&offer.id, at) {
        return Err(NoExchange::NotActivated);
    }
    let standing = member.head.standing(&terms.merchant, at).map_or(Standing::Clear, |step| step.standing);
    let trusted = standing < Standing::Held;
    if !trusted || policy.held_out(&member.head.id, &offer.id, terms.holdout_percent) {
        return Err(NoExchange::NotEligible);
    }
    let mut run = Run::after(member, member.purchases.len(), book, policy, mark);
    let number = run.know(offer);
    let case = run.case_without_purchase(number, terms, at, local);
    let told = |refusal: Refusal| NoExchange::Refused(refusal.detail(terms.currency));
    case.check(&terms.when).map_err(told)?;
    let amount = case.give().map_err(told)?.ok_or_else(|| told(Refusal::NoPurchase))?;
    within_limits(member, &offer.id, terms, amount, local)?;
    let cause = match &terms.beneficiary {
        Beneficiary::Member => None,
        Beneficiary::Cause(causes) => {
            let chosen = member.profile_at(at).and_then(|profile| profile.cause);
            Some(chosen.filter(|cause| causes.contains(cause)).ok_or(NoExchange::NoCause)?)
        }
    };
    let grant = Grant {
        offer: offer.id.clone(),
        version: version.version,
        merchant: terms.merchant.clone(),
        unit: terms.unit(),
        funding: terms.funding,
        cause,
        terms_minor: amount,
        amount_minor: amount,
        day_spent: false,
        kept_minor: 0,
        stage: Stage::Available,
        held: false,
        used_minor: 0,
        lost: false,
        available_at: Some(at),
        expires_at: terms.reward.what.expires_days().map(|days| at.plus_days(days)),
        record: 0,
        earned_at: at,
    };
    Ok(Exchanged { unit, points, grant })
}

/// What was exchanged under the offer before, sealed entries included, against its limits.
fn within_limits(
    member: &MemberState,
    offer: &OfferId,
    terms: &Terms,
    amount: i64,
    local: civil::DateTime,
) -> Result<(), NoExchange> {
    let limits = &terms.limits;
    if let Some(cap) = limits.per_member {
        let (used, _) = used(member, offer, cap.every, local);
        if used >= cap.count {
            return Err(NoExchange::OftenEnough { cap: cap.count, used });
        }
    }
    let ever = limits.reward_per_member_minor.map(|minor| RewardCap { minor, every: Period::Ever });
    for cap in ever.into_iter().chain(limits.reward_per_period) {
        let (_, had) = used(member, offer, cap.every, local);
        if had.saturating_add(amount) > cap.minor {
            return Err(NoExchange::MuchEnough(terms.unit().shown(cap.minor)));
        }
    }
    Ok(())
}

/// How often and how much in the calendar period of a local time.
fn used(member: &MemberState, offer: &OfferId, every: Period, local: civil::DateTime) -> (u32, i64) {
    let now = period(every, local, civil_day(local.date()));
    let sealed = member.sealed_use(offer, every, local);
    let open = member.purchases.iter().filter(|placed| {
        let of = matches!(&placed.purchase.occasion, Some(Occasion::Exchange { offer: of, .. }) if of == offer);
        of && period(every, placed.local, placed.local_day) == now
    });
    let each = open.flat_map(|placed| &placed.purchase.grants).map(|grant| grant.amount_minor);
    each.fold(sealed, |(count, sum), minor| (count + 1, sum + minor))
}

/// What was got for points and has expired by a daily mark: only what was used of it is left.
/// `record` is the number of the record that will carry it.
#[must_use]
pub fn expired(member: &MemberState, mark: Timestamp, record: u64) -> Vec<GrantChange> {
    let entries = member.purchases.iter().map(|placed| &placed.purchase);
    let exchanges = entries.filter(|entry| matches!(entry.occasion, Some(Occasion::Exchange { .. })));
    let grants = exchanges.flat_map(|entry| entry.grants.iter().map(|grant| (&entry.key, grant)));
    let over = |grant: &Grant| grant.remaining_minor() > 0 && grant.expires_at.is_some_and(|at| at <= mark);
    grants
        .filter(|(_, old)| over(old))
        .map(|(entry, old)| {
            let (used, purchase) = (old.used_minor, entry.clone());
            let grant = Grant { amount_minor: used, terms_minor: used, record, ..old.clone() };
            GrantChange { purchase, transfers: transfers_between(Some(old), &grant), grant }
        })
        .collect()
}

/// The key of the next such entry: no two of a member, and hardly two of all, are the same.
///
/// # Panics
/// Never: the names are fit.
#[must_use]
pub fn next_entry(member: &MemberState) -> PurchaseKey {
    let text = format!("{}\0{}", member.head.id, member.head.version);
    let id = format!("{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()));
    entry_key(EXCHANGE, PurchaseId::new(&id).expect("a fit id"))
}
