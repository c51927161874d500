//! What each offer gives for each purchase.
//!
//! Purchases are taken by their time, then key. For each: the offers in force at its
//! time, their conditions, then caps by what earlier purchases used, then the group's
//! exclusive choice, then the cut to the purchase. So a purchase depends only on
//! itself and on earlier ones, and judging may start at the one that changed; or earlier,
//! where there are credits that name no purchase, since any of them may come off another
//! purchase now ([`assign`]).

use super::assign::{Assigned, assign, reaches_back};
use super::member::{Before, MemberState, zone};
use super::refusal::Refusal;
use super::worth::{Worth, worth};
use super::{OfferBook, Policy};
use crate::domain::member::{Standing, month_of};
use crate::domain::offer::{
    Activation, Amount, Beneficiary, Bounds, Condition, InForce, LocalTime, Offer, OfferVersion, Period, PurchaseTest,
    StackingMode, Terms, Trigger,
};
use crate::domain::purchase::{Grant, Occasion, Purchase, Stage};
use crate::domain::{MerchantId, OfferId, PurchaseKey, Timestamp};
use crate::record::MemberInput;
use jiff::civil;
use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// Who funds it.
    pub merchant: MerchantId,
    /// What the reward is counted in.
    pub unit: crate::domain::Unit,
    /// Who pays for it.
    pub funding: crate::domain::offer::Funding,
    /// The cause that gets it; `None` is the member.
    pub cause: Option<crate::domain::Code>,
    /// What the terms give under caps and stacking, before the budget.
    pub terms_minor: i64,
    /// What is due: `terms_minor` cut to the budget's verdict.
    pub due_minor: i64,
    /// How far the reward has come.
    pub stage: Stage,
    /// Frozen by a standing.
    pub held: bool,
    /// When it may be paid; `None` while pending.
    pub available_at: Option<Timestamp>,
    /// From when it can no longer be used; `None` is never, or not known yet.
    pub expires_at: Option<Timestamp>,
    /// For a reward taken back after it was paid: booked as loss instead of owed.
    pub lost: bool,
    /// Why it gives nothing, or less than the terms say.
    pub refusal: Option<Refusal>,
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
        // A registration, a link or a pay-out changes no reward, but a card or an
        // activation may: those are judged from the first purchase on.
        let moves_no_reward =
            matches!(input, MemberInput::Registered { .. } | MemberInput::Redeemed(_) | MemberInput::Erased { .. });
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
    /// How much more, minor units.
    pub minor: i64,
}

/// What budgets answered to [`Ask`]s, by purchase and offer, minor units.
pub type Raises = BTreeMap<(PurchaseKey, OfferId), i64>;

/// Judges the purchases in scope. Returns them with the reservations that are still
/// to be made; when there are any, reserve, add the answers to `raises`, and judge
/// again. Linear in the member's purchases at the merchants concerned times their offers,
/// and what [`assign`] takes.
#[must_use]
pub fn judge(
    member: &MemberState,
    scope: &Scope<'_>,
    book: &dyn OfferBook,
    policy: &Policy,
    mark: Timestamp,
    raises: &Raises,
) -> (Vec<Judged>, Vec<Ask>) {
    let mut usage = Usage::default();
    let mut judged = Vec::new();
    let mut asks = Vec::new();
    let nothing_to_judge = scope.from >= member.purchases.len();
    let assigned =
        if nothing_to_judge { Assigned::default() } else { assign(member, scope.merchants, mark, &policy.lapse) };
    let in_scope = |merchant: Option<&MerchantId>| match scope.merchants {
        None => true,
        Some(list) => merchant.is_some_and(|m| list.contains(m)),
    };
    for (index, placed) in member.purchases.iter().enumerate() {
        // One that lost its shop is at no merchant, and gives back what it was granted.
        let own = scope.own == Some(&placed.purchase.key);
        if !own && !in_scope(placed.merchant.as_ref()) {
            // An offer is one merchant's: what others gave uses none of its caps.
            continue;
        }
        if matches!(placed.purchase.occasion, Some(Occasion::Exchange { .. })) {
            continue; // What points were exchanged for is an act.
        }
        if index < scope.from {
            // Grants of earlier purchases are right already, and use caps.
            usage.tally(&placed.purchase, placed.local_day);
            continue;
        }
        let worth = worth(&placed.purchase, mark, &policy.lapse).less(assigned.taken(index));
        let offers = placed.merchant.as_ref().map_or(&[][..], |m| book.offers_of(m));
        let view =
            View { member, purchase: &placed.purchase, worth: &worth, local_day: placed.local_day, policy, mark };
        let mut lines: Vec<Line> = offers.iter().filter_map(|offer| view.line(offer, &usage)).collect();
        stack(&mut lines, offers, worth.minor);
        for line in &mut lines {
            let budgeted = version_of(offers, line).is_some_and(|v| v.terms.budget_minor.is_some());
            if budgeted {
                cut_to_verdict(line, &placed.purchase, scope.own, raises, &mut asks);
            }
        }
        for line in &mut lines {
            cut_to_use(line, &placed.purchase, mark);
        }
        for line in lines.iter().filter(|line| line.due_minor > 0) {
            usage.add(&line.offer, placed.local_day, line.due_minor);
        }
        judged.push(Judged { index, worth_minor: worth.minor, lines });
    }
    (judged, asks)
}

fn version_of<'a>(offers: &'a [Arc<Offer>], line: &Line) -> Option<&'a OfferVersion> {
    offers.iter().find(|offer| offer.id == line.offer)?.version(line.version)
}

/// Due is what the terms give, cut to what the budget granted. Lower is free; higher
/// needs a new reservation, and only when the terms rose or the purchase itself spoke.
fn cut_to_verdict(
    line: &mut Line,
    purchase: &Purchase,
    own: Option<&PurchaseKey>,
    raises: &Raises,
    asks: &mut Vec<Ask>,
) {
    let (granted, terms_before) = purchase.grant(&line.offer).map_or((0, 0), |g| (g.amount_minor, g.terms_minor));
    let more = line.terms_minor - granted;
    if more <= 0 {
        return;
    }
    let may_ask = own == Some(&purchase.key) || line.terms_minor > terms_before;
    let answer = raises.get(&(purchase.key.clone(), line.offer.clone())).copied();
    line.due_minor = match answer {
        Some(raised) => granted + raised.min(more),
        None if may_ask => {
            asks.push(Ask { purchase: purchase.key.clone(), offer: line.offer.clone(), minor: more });
            line.terms_minor
        }
        None => granted,
    };
    if line.due_minor < line.terms_minor {
        line.refusal = Some(Refusal::BudgetSpent);
    }
}

/// Of what has expired, what was used of it stays; and a perk that was used is never owed.
fn cut_to_use(line: &mut Line, purchase: &Purchase, mark: Timestamp) {
    let used = purchase.grant(&line.offer).map_or(0, |grant| grant.used_minor);
    let expired = line.expires_at.is_some_and(|at| at <= mark);
    let least = purchase.grant(&line.offer).map_or(0, Grant::used_perks);
    let most = if expired { used } else { i64::MAX };
    line.due_minor = line.due_minor.min(most).max(least);
    line.terms_minor = line.terms_minor.min(most).max(least);
}

/// What earlier purchases used of each offer's caps: (local day, reward). A merchant has
/// few offers.
#[derive(Default)]
struct Usage(Vec<(OfferId, Vec<(i32, i64)>)>);

impl Usage {
    fn tally(&mut self, purchase: &Purchase, local_day: i32) {
        for grant in purchase.grants.iter().filter(|grant| grant.amount_minor > 0) {
            self.add(&grant.offer, local_day, grant.amount_minor);
        }
    }
    fn add(&mut self, offer: &OfferId, local_day: i32, minor: i64) {
        match self.0.iter_mut().find(|(known, _)| known == offer) {
            Some((_, uses)) => uses.push((local_day, minor)),
            None => self.0.push((offer.clone(), vec![(local_day, minor)])),
        }
    }
    fn of(&self, offer: &OfferId) -> &[(i32, i64)] {
        self.0.iter().find(|(known, _)| known == offer).map_or(&[], |(_, uses)| uses.as_slice())
    }
}

/// One purchase as its offers look at it.
struct View<'a> {
    member: &'a MemberState,
    purchase: &'a Purchase,
    worth: &'a Worth<'a>,
    local_day: i32,
    policy: &'a Policy,
    mark: Timestamp,
}

impl View<'_> {
    /// What the offer gives here before stacking and budget; `None` when it was not
    /// published by the purchase's time, and so is no candidate.
    fn line(&self, offer: &Offer, usage: &Usage) -> Option<Line> {
        let (version, life) = match offer.in_force(self.worth.time) {
            InForce::NotYet => return None,
            InForce::Version(version) => (version, None),
            InForce::Paused(version) => (version, Some(Refusal::OfferPaused)),
            InForce::Ended(version) => (version, Some(Refusal::OfferEnded)),
        };
        let terms = &version.terms;
        if terms.trigger != Trigger::Purchase {
            return None;
        }
        let standing = self.member.head.standing(&terms.merchant, self.worth.time);
        let barred = standing.is_some_and(|s| s.standing == Standing::Barred);
        let cause = match &terms.beneficiary {
            Beneficiary::Member => None,
            Beneficiary::Cause(causes) => {
                let chosen = self.member.profile_at(self.worth.time).and_then(|profile| profile.cause);
                chosen.filter(|cause| causes.contains(cause))
            }
        };
        let nobodys = cause.is_none() && terms.beneficiary != Beneficiary::Member;
        let given = match self.refuse(terms, life, barred, &offer.id) {
            None if nobodys => Err(Refusal::NotEligible),
            Some(refusal) => Err(refusal),
            None => self.give(terms, &offer.id, usage),
        };
        let (minor, refusal) = match given {
            Ok(minor) => (minor, None),
            Err(refusal) => (0, Some(refusal)),
        };
        let available_at =
            self.worth.cleared_at.filter(|_| self.worth.complete).map(|at| at.plus_days(terms.hold_days));
        let stage = match available_at {
            None => Stage::Pending,
            // Without hold days there is no time to pass: no mark is waited for.
            Some(at) if at <= self.mark || terms.hold_days == 0 => Stage::Available,
            Some(_) => Stage::Posted,
        };
        Some(Line {
            offer: offer.id.clone(),
            version: version.version,
            merchant: terms.merchant.clone(),
            unit: terms.unit(),
            funding: terms.funding,
            cause,
            terms_minor: minor,
            due_minor: minor,
            stage,
            held: standing.is_some_and(|s| s.standing == Standing::Held),
            available_at,
            expires_at: available_at.zip(terms.reward.what.expires_days()).map(|(at, days)| at.plus_days(days)),
            lost: barred && standing.is_some_and(|s| !s.ask_back),
            refusal,
        })
    }

    /// The first reason why the offer does not look at this purchase. Branches live
    /// here; most certain first.
    fn refuse(&self, terms: &Terms, life: Option<Refusal>, barred: bool, offer: &OfferId) -> Option<Refusal> {
        let worth = self.worth;
        // The door asks this of every event when it comes; an unlinking dated before it may
        // come later, and must end in the same books.
        let link = self.member.link_of(self.purchase, worth.time);
        let Some(link) = link else { return Some(Refusal::CardNotLinked) };
        if let Some(credited_by) = self.member.other_source(link, worth.time) {
            return Some(Refusal::SeenFromAnotherSource { credited_by: credited_by.clone() });
        }
        match worth.currency {
            Some(purchase) if purchase != terms.currency => {
                return Some(Refusal::CurrencyDiffers { offer: terms.currency, purchase });
            }
            _ => {}
        }
        let local = self.local();
        if let Some(starts) = terms.starts.filter(|starts| local < *starts) {
            return Some(Refusal::NotStarted { starts: text(starts) });
        }
        if terms.ends.is_some_and(|ends| local >= ends) {
            return Some(Refusal::OfferEnded);
        }
        if life.is_some() {
            return life;
        }
        let cash_like =
            |mcc: &u16| !terms.cash_like && self.policy.cash_like_mcc.iter().any(|range| range.contains(mcc));
        if let Some(mcc) = worth.mcc.filter(cash_like) {
            return Some(Refusal::CashLike { mcc });
        }
        if terms.activation == Activation::Required && !self.member.head.active(offer, worth.time) {
            return Some(Refusal::NotActivated);
        }
        if barred || self.policy.held_out(&self.member.head.id, offer, terms.holdout_percent) {
            return Some(Refusal::NotEligible);
        }
        if worth.minor == 0 {
            return Some(Refusal::NothingStands { lapsed: worth.lapsed });
        }
        let Condition::All(all) = &terms.when else { return None };
        all.iter().find_map(|condition| self.fails(condition, local))
        // From here on the terms give; caps, stacking and budget may still cut.
    }

    fn fails(&self, condition: &Condition, local: civil::DateTime) -> Option<Refusal> {
        match *condition {
            Condition::Purchase(PurchaseTest::Spend(Bounds { at_least: Some(needs_minor), .. })) => {
                let has_minor = self.worth.minor;
                (has_minor < needs_minor).then_some(Refusal::SpendTooLow { needs_minor, has_minor })
            }
            Condition::Purchase(PurchaseTest::LocalTime(_)) if !self.worth.time_known => Some(Refusal::TimeUnknown),
            Condition::Purchase(PurchaseTest::LocalTime(LocalTime { days, from_minute, to_minute })) => {
                let inside = in_window(local, days, from_minute, to_minute);
                (!inside).then(|| Refusal::OutsideHours { bought: text(local) })
            }
            _ => None,
        }
    }

    /// What the terms give under the member's caps.
    fn give(&self, terms: &Terms, offer: &OfferId, usage: &Usage) -> Result<i64, Refusal> {
        let base = match terms.reward.amount {
            Amount::Share { basis_points, max } => basis_points.of_floor(self.worth.minor).min(max.unwrap_or(i64::MAX)),
            Amount::Fixed(minor) => minor,
            _ => 0,
        };
        // Points and perks are no part of what was paid.
        let most = if terms.unit().currency().is_some() { self.worth.minor } else { i64::MAX };
        let base = base.min(most);
        if base <= 0 {
            return Err(Refusal::RewardRoundsToZero);
        }
        let uses = usage.of(offer);
        if let Some(cap) = terms.limits.per_member {
            let same = |day: i32| period(cap.every, day) == period(cap.every, self.local_day);
            let earlier = uses.iter().filter(|(day, _)| same(*day)).count();
            let month = month_of(self.local_day);
            // Purchases of the current day and week are never sealed.
            let sealed = match cap.every {
                Period::Day | Period::Week => 0,
                Period::Month => self.member.sealed_use(offer, |m| m == month).0,
                Period::Year => self.member.sealed_use(offer, |m| m / 12 == month / 12).0,
                Period::Ever => self.member.sealed_use(offer, |_| true).0,
            };
            let used = u32::try_from(earlier).unwrap_or(u32::MAX).saturating_add(sealed);
            if used >= cap.count {
                return Err(Refusal::CapReached { cap: cap.count, used });
            }
        }
        let Some(cap_minor) = terms.limits.reward_per_member_minor else { return Ok(base) };
        let used = uses.iter().map(|(_, minor)| minor).sum::<i64>() + self.member.sealed_use(offer, |_| true).1;
        match base.min(cap_minor - used) {
            left if left > 0 => Ok(left),
            _ => Err(Refusal::RewardCapReached { cap_minor }),
        }
    }

    fn local(&self) -> civil::DateTime {
        let zone = self.worth.shop.map_or(jiff::tz::TimeZone::UTC, |shop| zone(&shop.time_zone));
        self.worth.time.local(&zone)
    }
}

/// Of each group's exclusive offers only the best for the member gives: by what the
/// terms give, then priority, then id. Combined ones go in order of priority, then id,
/// and the total is cut to the purchase from the last.
fn stack(lines: &mut [Line], offers: &[Arc<Offer>], worth_minor: i64) {
    if lines.len() < 2 {
        return; // `give` already cut a lone reward to the purchase.
    }
    let rules: Vec<(StackingMode, Option<compact_str::CompactString>, i32)> = lines
        .iter()
        .map(|line| {
            let stacking = version_of(offers, line).map(|version| version.terms.stacking.clone());
            stacking.map_or((StackingMode::Combine, None, 0), |s| (s.mode, s.group, s.priority))
        })
        .collect();
    let better = |a: &usize, b: &usize| {
        (lines[*b].terms_minor, rules[*b].2)
            .cmp(&(lines[*a].terms_minor, rules[*a].2))
            .then(lines[*a].offer.cmp(&lines[*b].offer))
    };
    let exclusive = |i: &usize| rules[*i].0 == StackingMode::Exclusive && lines[*i].terms_minor > 0;
    let mut beaten = Vec::new();
    for i in (0..lines.len()).filter(exclusive) {
        let rivals = (0..lines.len())
            .filter(exclusive)
            .filter(|j| *j == i || (rules[i].1.is_some() && rules[*j].1 == rules[i].1));
        let best = rivals.min_by(better).expect("the offer itself is among them");
        if best != i {
            beaten.push((i, lines[best].offer.clone()));
        }
    }
    for (i, by) in beaten {
        lines[i].terms_minor = 0;
        lines[i].due_minor = 0;
        lines[i].refusal = Some(Refusal::ExcludedByAnother { by });
    }
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by(|a, b| rules[*b].2.cmp(&rules[*a].2).then(lines[*a].offer.cmp(&lines[*b].offer)));
    let mut left = worth_minor;
    for i in order.into_iter().filter(|i| lines[*i].terms_minor > 0).collect::<Vec<_>>() {
        let cut = lines[i].terms_minor.min(left);
        left -= cut;
        if cut == 0 {
            lines[i].refusal = Some(Refusal::PurchaseCovered);
        }
        lines[i].terms_minor = cut;
        lines[i].due_minor = cut;
    }
}

/// Whether a local time lies in a window. A window over midnight belongs to the day it began.
fn in_window(local: civil::DateTime, days: u8, from_minute: u16, to_minute: u16) -> bool {
    let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
    let weekday = local.date().weekday();
    let on = |day: civil::Weekday| days & (1 << day.to_monday_zero_offset()) != 0;
    if from_minute < to_minute {
        on(weekday) && (from_minute..to_minute).contains(&minute)
    } else {
        (on(weekday) && minute >= from_minute) || (on(weekday.previous()) && minute < to_minute)
    }
}

/// A number that is the same for two days of one calendar period and of no other.
fn period(every: Period, day: i32) -> i64 {
    let date = || civil::date(1970, 1, 1).saturating_add(jiff::Span::new().days(day));
    match every {
        Period::Day => i64::from(day),
        // 1970-01-01 was a Thursday: three days after a Monday.
        Period::Week => i64::from(day + 3).div_euclid(7),
        Period::Month => i64::from(date().year()) * 12 + i64::from(date().month()),
        Period::Year => i64::from(date().year()),
        Period::Ever => 0,
    }
}

fn text(local: civil::DateTime) -> String {
    local.strftime("%Y-%m-%d %H:%M").to_string()
}
