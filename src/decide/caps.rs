//! Caps per member: what earlier purchases used of them, and what that leaves.

use super::history::period;
use super::member::Placed;
use super::refusal::Refusal;
use super::walk::{Passed, Run};
use crate::domain::OfferId;
use crate::domain::offer::{Period, Reward, Terms};
use jiff::civil;

/// When something counts against calendar caps: the local time and its day.
pub(super) type LocalDay = (civil::DateTime, i32);

/// Room to begin with for the offers that gave something, and for the uses of one of them: a
/// merchant, and a month, have not many more.
const ROOM: usize = 16;

/// A reward that uses caps.
#[derive(Clone, Copy)]
struct Use {
    local: civil::DateTime,
    local_day: i32,
    minor: i64,
}

/// What was used in one calendar period, kept up as rewards come.
struct Used {
    every: Period,
    now: i64,
    count: u32,
    minor: i64,
}

impl Used {
    fn add(&mut self, used: &Use) {
        if period(self.every, used.local, used.local_day) == self.now {
            self.count = self.count.saturating_add(1);
            self.minor += used.minor;
        }
    }
}

/// What purchases used of one offer's caps.
#[derive(Default)]
pub(super) struct Uses {
    /// Judged by this run, oldest first.
    judged: Vec<Use>,
    /// Of each kind of period the one asked for last.
    sums: Vec<Used>,
}

impl Uses {
    /// Adds the next reward.
    pub(super) fn add(&mut self, placed: &Placed, minor: i64) {
        let used = Use { local: placed.local, local_day: placed.local_day, minor };
        self.sums.iter_mut().for_each(|sum| sum.add(&used));
        self.judged.push(used);
    }

    /// How often and how much in the calendar period of a local time, by what was granted
    /// earlier and what this run judged.
    fn within(&mut self, every: Period, at: LocalDay, earlier: impl FnOnce(&mut Used)) -> (u32, i64) {
        let now = period(every, at.0, at.1);
        let known = self.sums.iter().position(|sum| sum.every == every);
        if let Some(sum) = known.map(|place| &self.sums[place]).filter(|sum| sum.now == now) {
            return (sum.count, sum.minor);
        }
        let mut sum = Used { every, now, count: 0, minor: 0 };
        let near = self.judged.iter().rev().take_while(|used| is_near(every, at, used.local_day));
        near.for_each(|used| sum.add(used));
        earlier(&mut sum);
        let found = (sum.count, sum.minor);
        match known {
            Some(place) => self.sums[place] = sum,
            None => self.sums.push(sum),
        }
        found
    }
}

/// What the purchases that were passed used of all offers' caps. They are looked at from the
/// newest backwards, once for all offers, and no further than one of them asks.
#[derive(Default)]
pub(super) struct Earlier<'a> {
    /// How many were looked at.
    looked_at: usize,
    /// Newest first.
    by_offer: hashbrown::HashMap<&'a OfferId, Vec<Use>>,
}

impl<'a> Earlier<'a> {
    /// Adds what an offer gave in a period that a local time lies in.
    fn add_to(&mut self, sum: &mut Used, at: LocalDay, offer: &OfferId, passed: &[Passed<'a>]) {
        for Passed { placed, in_scope } in passed.iter().rev().skip(self.looked_at) {
            if !is_near(sum.every, at, placed.local_day) {
                break;
            }
            self.looked_at += 1;
            if self.by_offer.capacity() == 0 {
                self.by_offer.reserve(2 * ROOM);
            }
            for grant in placed.purchase.grants.iter().filter(|grant| *in_scope && grant.amount_minor > 0) {
                let (local, local_day, minor) = (placed.local, placed.local_day, grant.amount_minor);
                self.by_offer.entry(&grant.offer).or_insert_with(|| Vec::with_capacity(ROOM)).push(Use {
                    local,
                    local_day,
                    minor,
                });
            }
        }
        let every = sum.every;
        let used = self.by_offer.get(offer).into_iter().flatten();
        used.take_while(|used| is_near(every, at, used.local_day)).for_each(|used| sum.add(used));
    }
}

/// Whether a day may lie in the period of a local time. The order of purchases is nearly that
/// of local days: when not, a period's length and the difference of two zones lie between.
fn is_near(every: Period, at: LocalDay, day: i32) -> bool {
    longest_days(every).is_none_or(|days| at.1 - day <= days + 2)
}

impl Run<'_> {
    /// What the member's caps leave of a reward at a local time and its day.
    pub(super) fn left_of_caps(
        &self,
        given: i64,
        at: LocalDay,
        is_referral: bool,
        terms: &Terms,
        reward: &Reward,
        number: usize,
    ) -> Result<i64, Refusal> {
        let used = |every: Period| {
            let offer = &self.offer(number).id;
            let earlier = |sum: &mut Used| self.earlier.borrow_mut().add_to(sum, at, offer, self.passed());
            let (count, minor) = self.uses(number).borrow_mut().within(every, at, earlier);
            let (sealed_count, sealed_minor) = self.member.sealed_use(offer, every, at.0);
            (count.saturating_add(sealed_count), minor + sealed_minor)
        };
        let referral_cap = terms.limits.referrals.filter(|_| is_referral);
        for cap in terms.limits.per_member.into_iter().chain(referral_cap) {
            let (used, _) = used(cap.every);
            if used >= cap.count {
                return Err(Refusal::CapReached { cap: cap.count, used, every: cap.every });
            }
        }
        let in_all = terms.limits.reward_per_member_minor.map(|cap| (cap, Period::Ever));
        let in_time = terms.limits.reward_per_period.map(|cap| (cap.minor, cap.every));
        let mut left = given;
        for (cap, every) in in_all.into_iter().chain(in_time) {
            left = left.min(cap - used(every).1);
            if left <= 0 {
                return Err(Refusal::RewardCapReached { cap, unit: reward.what.unit(terms.currency), every });
            }
        }
        Ok(left)
    }
}

/// Days of the longest period of a kind; `None` is without end.
fn longest_days(every: Period) -> Option<i32> {
    match every {
        Period::Day => Some(1),
        Period::Week => Some(7),
        Period::Month => Some(31),
        Period::Year => Some(366),
        Period::Ever => None,
    }
}
