//! What a member may earn now: every offer looked at as if they bought, by the evaluation
//! that decides, with how far they are towards each condition and what it may bring them.

use super::evaluate::{Case, Found};
use super::history::Bought;
use super::member::{MemberState, zone};
use super::refusal::Refusal;
use super::walk::Run;
use super::{OfferBook, Policy};
use crate::domain::member::Standing;
use crate::domain::offer::{Activation, Condition, InForce, Offer, OfferVersion, Trigger};
use crate::domain::purchase::Purchase;
use crate::domain::time::{DAY_MS, civil_day};
use crate::domain::{Channel, MerchantId, OfferId, Timestamp, Unit};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Days of which a member's habit at a merchant is taken.
const HABIT_DAYS: u32 = 90;

/// An offer as it stands for a member now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prospect<'a> {
    /// The offer.
    pub offer: &'a Arc<Offer>,
    /// The version in force.
    pub version: &'a OfferVersion,
    /// Whether the member still has to opt in.
    pub activate: bool,
    /// Conditions over member and history, with what each needs and has; what depends on the
    /// purchase itself is not among them.
    pub conditions: Vec<Found>,
    /// What a usual purchase would bring now, in the reward's unit.
    pub next: Option<i64>,
    /// Why a usual purchase would bring nothing now. A number that is counted is the one reached
    /// so far, as in `conditions`.
    pub refusal: Option<Refusal>,
    /// But here it is one that only the purchase itself would take too far.
    pub with_purchase: bool,
    /// How the member buys there.
    pub habit: Habit,
    /// What the offer may bring in the next thirty days, minor units of its currency: the
    /// reward of a usual purchase, for as many as are usual.
    pub expected_minor: i64,
}

/// How a member buys at a merchant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Habit {
    /// Purchases of the last ninety days.
    pub purchases: u32,
    /// Their median, minor units; `None` without any.
    pub usual_minor: Option<i64>,
}

/// Looks at some offers for a member. Offers that are not in force, that the member is barred
/// from, or that keep them out to measure what they bring, are left out: nobody is
/// told. What has `spent` its budget, the day's alone where that says so, brings nothing now. By
/// what they may bring, then id. Linear in the member's purchases and the offers.
#[must_use]
pub fn prospects<'a>(
    member: &MemberState,
    offers: &[&'a Arc<Offer>],
    spent: &BTreeMap<OfferId, bool>,
    book: &dyn OfferBook,
    policy: &Policy,
    mark: Timestamp,
    now: Timestamp,
) -> Vec<Prospect<'a>> {
    let mut run = Run::after(member, member.purchases.len(), book, policy, mark);
    let mut found: Vec<Prospect<'a>> =
        offers.iter().filter_map(|offer| prospect(&mut run, member, offer, spent, policy, mark, now)).collect();
    found.sort_by(|a, b| b.expected_minor.cmp(&a.expected_minor).then_with(|| a.offer.id.cmp(&b.offer.id)));
    found
}

fn prospect<'a: 'r, 'r>(
    run: &mut Run<'r>,
    member: &MemberState,
    offer: &'a Arc<Offer>,
    spent: &BTreeMap<OfferId, bool>,
    policy: &Policy,
    mark: Timestamp,
    now: Timestamp,
) -> Option<Prospect<'a>> {
    let InForce::Version(version) = offer.in_force(now) else { return None };
    let terms = &version.terms;
    let standing = member.head.standing(&terms.merchant, now).map_or(Standing::Clear, |step| step.standing);
    let kept_out = policy.held_out(&member.head.id, &offer.id, terms.holdout_percent);
    if standing == Standing::Barred || kept_out || member.head.erased {
        return None;
    }
    let there = usual(member, offer, policy, mark, now);
    let profile = member.profile_at(now);
    let home = profile.and_then(|profile| profile.time_zone.as_deref());
    let shop = there.last.and_then(|purchase| purchase.matches.last());
    let clock = shop.map(|shop| shop.time_zone.as_str()).or(home).map_or(jiff::tz::TimeZone::UTC, zone);
    let local = now.local(&clock);
    let local_day = civil_day(local.date());
    if terms.ends.is_some_and(|ends| local >= ends) {
        return None;
    }
    let bought = there.habit.usual_minor.map(|minor| Bought {
        time: now,
        time_known: true,
        local,
        local_day,
        minor,
        currency: Some(terms.currency),
        shop,
        mcc: there.mcc,
        channel: there.channel,
        cleared_at: None,
    });
    let is_purchase = terms.trigger == Trigger::Purchase;
    let mut conditions = Vec::new();
    // Progress is what has been reached, so without the purchase that is only supposed.
    let number = run.know(offer);
    let reached = run.case_without_purchase(number, terms, now, local);
    reached.explain(&terms.when, false, &mut conditions);
    let case = Case { bought: bought.as_ref().filter(|_| is_purchase), ..reached };
    conditions.retain(|found| found.told != Refusal::NoPurchase);
    let not_yet = terms.starts.filter(|starts| local < *starts).map(|starts| Refusal::NotStarted { starts });
    let given = match not_yet {
        Some(refusal) => Err(refusal),
        None => case.check(&terms.when).and_then(|()| case.give()).and_then(|given| match given {
            Some(given) => run
                .left_of_caps(given, (local, local_day), false, terms, &terms.reward, number)
                .and_then(|left| run.left_of_kept(left, terms.unit(), &offer.id))
                .map(Some),
            None => Ok(None),
        }),
    };
    let given = match spent.get(&offer.id) {
        Some(of_day) => given.and(Err(Refusal::BudgetSpent { of_day: *of_day })),
        None => given,
    };
    let (next, refusal) = match given {
        Ok(next) => (next, None),
        // Without a usual purchase nothing can be said of what depends on it.
        Err(Refusal::NoPurchase) => (None, None),
        Err(refusal) => (None, Some(refusal)),
    };
    let (refusal, with_purchase) = match refusal {
        Some(refusal) if case.bought.is_some() => {
            let (refusal, with_purchase) = so_far(refusal, &conditions);
            (Some(refusal), with_purchase)
        }
        plain => (plain, false),
    };
    let in_thirty_days = i64::from(there.habit.purchases) * 30 / i64::from(HABIT_DAYS);
    let often = if is_purchase { in_thirty_days.max(i64::from(there.habit.purchases > 0)) } else { 0 };
    let expected_minor = terms.reward.what.worth_minor(next.unwrap_or(0)).saturating_mul(often);
    let activate = terms.activation == Activation::Required && !member.head.active(&offer.id, now);
    let habit = there.habit;
    Some(Prospect { offer, version, activate, conditions, next, refusal, with_purchase, habit, expected_minor })
}

/// A refusal with the number that is reached so far, where the one at hand counts a purchase that
/// is only supposed; and whether it needs that purchase to be one.
fn so_far(refusal: Refusal, conditions: &[Found]) -> (Refusal, bool) {
    let (counted, negated) = match &refusal {
        Refusal::Excluded(inner) => (inner.as_ref(), true),
        plain => (plain, false),
    };
    let Refusal::Counted { what, is, .. } = counted else { return (refusal, false) };
    let same = |told: &Refusal| matches!(told, Refusal::Counted { what: w, is: i, .. } if w == what && i == is);
    let found = conditions.iter().find(|found| found.negated == negated && same(&found.told));
    match found {
        Some(found) if found.holds == negated => {
            let told = found.told.clone();
            (if negated { Refusal::Excluded(Box::new(told)) } else { told }, false)
        }
        _ => (refusal, true),
    }
}

/// A member's purchases that an offer looks at.
struct There<'a> {
    habit: Habit,
    last: Option<&'a Purchase>,
    mcc: Option<u16>,
    channel: Channel,
}

fn usual<'a>(member: &'a MemberState, offer: &Offer, policy: &Policy, mark: Timestamp, now: Timestamp) -> There<'a> {
    let merchant: &MerchantId = offer.merchant();
    let since = Timestamp::from_ms(now.as_ms() - i64::from(HABIT_DAYS) * DAY_MS);
    let mut spent = Vec::new();
    let mut there = There { habit: Habit::default(), last: None, mcc: None, channel: Channel::Unknown };
    for placed in &member.purchases {
        let theirs = if offer.is_wide() {
            placed.tally.mcc.is_some_and(|mcc| offer.takes_category(mcc, placed.merchant.as_ref()))
        } else {
            placed.merchant.as_ref() == Some(merchant)
        };
        if !theirs || placed.unlinked || placed.time < since {
            continue;
        }
        let worth = placed.worth(mark, &policy.lapse);
        if worth.minor > 0 {
            spent.push(worth.minor);
            (there.last, there.mcc, there.channel) = (Some(placed.purchase.as_ref()), worth.mcc, worth.channel);
        }
    }
    spent.sort_unstable();
    there.habit = Habit {
        purchases: u32::try_from(spent.len()).unwrap_or(u32::MAX),
        usual_minor: spent.get(spent.len() / 2).copied(),
    };
    there
}

impl Prospect<'_> {
    /// What its reward is counted in.
    #[must_use]
    pub fn unit(&self) -> Unit {
        self.version.terms.unit()
    }
    /// Whether its conditions ask for anything that can be progressed towards.
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        self.version.terms.when != Condition::always()
    }
}
