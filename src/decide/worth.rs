//! What a purchase is worth, as a function of the set of its own events; what comes off it
//! besides is assigned by [`assign`](super::assign).
//!
//! The events come in their canonical order (time, kind, key), so the order in which
//! they were delivered cannot matter. Nothing is cut at zero before the end, because
//! a cut in the middle would make the result depend on what came first.

use crate::domain::merchant::Matched;
use crate::domain::purchase::{HeldEvent, Purchase};
use crate::domain::{Channel, Currency, EventKind, Timestamp};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// When an authorization that nobody clears lapses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LapsePolicy {
    /// Days for most merchants.
    pub days: u32,
    /// Days for those whose category is in `long_mcc`.
    pub days_long: u32,
    /// Lodging, car rental, cruise.
    pub long_mcc: Vec<RangeInclusive<u16>>,
}

impl Default for LapsePolicy {
    fn default() -> Self {
        Self {
            days: 10,
            days_long: 31,
            long_mcc: vec![3351..=3999, 4411..=4411, 7011..=7012, 7512..=7513, 7519..=7519],
        }
    }
}

impl LapsePolicy {
    /// Days for a merchant category.
    #[must_use]
    pub fn days_for(&self, mcc: Option<u16>) -> u32 {
        let long = mcc.is_some_and(|mcc| self.long_mcc.iter().any(|range| range.contains(&mcc)));
        if long { self.days_long } else { self.days }
    }
}

/// What a purchase is worth now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worth<'a> {
    /// What stands, minor units of `currency`; never negative.
    pub minor: i64,
    /// Its first clearing's, else its authorization's; `None` when no event has one.
    pub currency: Option<Currency>,
    /// Its earliest authorization's, else its earliest clearing's, else its earliest event's.
    pub time: Timestamp,
    /// Whether the hour of `time` is known.
    pub time_known: bool,
    /// Wholly cleared: a reward on it may be posted.
    pub complete: bool,
    /// When the authorization lapses if nobody clears; `None` when there is none to lapse.
    pub lapses_at: Option<Timestamp>,
    /// Whether it has lapsed by the mark.
    pub lapsed: bool,
    /// Posting time of the last clearing; `None` before the first.
    pub cleared_at: Option<Timestamp>,
    /// The best evidenced shop; `None` when no event was matched.
    pub shop: Option<&'a Matched>,
    /// The best evidenced category; `None` when not sent.
    pub mcc: Option<u16>,
    /// How it was made, by the best evidenced event that says.
    pub channel: Channel,
}

impl Worth<'_> {
    /// When it was wholly cleared; `None` while it is not.
    #[must_use]
    pub fn wholly_cleared_at(&self) -> Option<Timestamp> {
        self.cleared_at.filter(|_| self.complete)
    }

    /// The same with so much less standing: what comes off by credits that name no purchase.
    #[must_use]
    pub fn less(mut self, minor: i64) -> Self {
        self.minor = self.minor.saturating_sub(minor).max(0);
        self
    }
}

/// What a purchase's own events come to, before time is asked: kept beside the purchase, so
/// that those before and after it can be judged without reading its events again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    authorized: i64,
    cleared: i64,
    /// Refunds and chargebacks less what took them back.
    off: i64,
    has_authorization: bool,
    has_clearing: bool,
    all_cleared: bool,
    /// As [`Worth::currency`].
    pub currency: Option<Currency>,
    /// As [`Worth::time`].
    pub time: Timestamp,
    /// As [`Worth::time_known`].
    pub time_known: bool,
    cleared_at: Option<Timestamp>,
    /// Place of the best evidenced shop among the purchase's matches.
    shop: Option<u8>,
    /// As [`Worth::mcc`].
    pub mcc: Option<u16>,
    /// As [`Worth::channel`].
    pub channel: Channel,
}

impl Tally {
    /// Adds up the events. Linear in them.
    #[must_use]
    pub fn of(purchase: &Purchase) -> Self {
        let events = &purchase.events;
        let first = |kind: EventKind| events.iter().find(|e| e.kind == kind);
        let opening = first(EventKind::Authorization).or_else(|| first(EventKind::Clearing)).or_else(|| events.first());
        let time = opening.map_or_else(Timestamp::default, |e| e.occurred_at);
        let currency = first(EventKind::Clearing)
            .or_else(|| first(EventKind::Authorization))
            .or_else(|| events.iter().find(|e| e.amount.is_some()))
            .and_then(|e| e.amount)
            .map(|money| money.currency);

        let (mut authorized, mut cleared, mut off) = (0_i64, 0_i64, 0_i64);
        let (mut clearings, mut numbers, mut count) = (0_u32, BTreeSet::new(), None::<u32>);
        let mut cleared_at: Option<Timestamp> = None;
        let mut has_authorization = false;
        for event in events {
            // An event in another currency is kept and alarmed, and moves no money.
            let minor = match event.amount {
                Some(money) if Some(money.currency) == currency => money.minor,
                Some(_) => continue,
                None => 0,
            };
            match event.kind {
                EventKind::Authorization => {
                    has_authorization = true;
                    authorized = authorized.saturating_add(minor);
                }
                EventKind::Increment => authorized = authorized.saturating_add(minor),
                EventKind::Advice => authorized = minor,
                EventKind::Reversal if event.amount.is_some() => authorized = authorized.saturating_sub(minor),
                EventKind::Reversal | EventKind::Expiry => authorized = 0,
                EventKind::Clearing => {
                    clearings += 1;
                    cleared = cleared.saturating_add(minor);
                    cleared_at = cleared_at.max(Some(event.posted_at));
                    if let Some(sequence) = event.sequence {
                        numbers.insert(sequence.number);
                        count = count.max(sequence.count);
                    }
                }
                EventKind::ClearingReversal => cleared = cleared.saturating_sub(minor),
                EventKind::Refund | EventKind::Chargeback => off = off.saturating_add(minor),
                EventKind::RefundReversal | EventKind::ChargebackReversal => off = off.saturating_sub(minor),
            }
        }
        let matched = |e: &HeldEvent| e.matched.filter(|i| usize::from(*i) < purchase.matches.len());
        let evidence = |i: &u8| purchase.matches[usize::from(*i)].evidence.rank();
        let said = |e: &HeldEvent| (e.channel != Channel::Unknown).then_some(e.channel);
        Self {
            authorized,
            cleared,
            off,
            has_authorization,
            has_clearing: clearings > 0,
            all_cleared: clearings > 0
                && count.is_none_or(|n| numbers.len() >= usize::try_from(n).unwrap_or(usize::MAX)),
            currency,
            time,
            time_known: opening.is_none_or(|e| e.time_known),
            cleared_at,
            shop: best(events, matched, evidence),
            mcc: best(events, |e| e.mcc, |_| 0),
            channel: best(events, said, |_| 0).unwrap_or_default(),
        }
    }

    /// The worth under the latest daily mark; `purchase` is the one that was added up. O(1).
    #[must_use]
    pub fn worth<'a>(&self, purchase: &'a Purchase, mark: Timestamp, policy: &LapsePolicy) -> Worth<'a> {
        let lapses_at = self.lapses_at(policy);
        let lapsed = lapses_at.is_some_and(|at| at <= mark);
        Worth {
            minor: self.minor(lapsed),
            currency: self.currency,
            time: self.time,
            time_known: self.time_known,
            complete: self.complete(lapsed),
            lapses_at,
            lapsed: lapsed && !self.has_clearing,
            cleared_at: self.cleared_at,
            shop: self.shop(purchase),
            mcc: self.mcc,
            channel: self.channel,
        }
    }

    /// Of the worth under the latest daily mark, what later purchases ask: how much stands, and
    /// when it was wholly cleared. O(1).
    #[inline]
    #[must_use]
    pub fn standing(&self, mark: Timestamp, policy: &LapsePolicy) -> (i64, Option<Timestamp>) {
        let lapsed = self.lapses_at(policy).is_some_and(|at| at <= mark);
        (self.minor(lapsed), self.cleared_at.filter(|_| self.complete(lapsed)))
    }

    /// What is wholly cleared, as most is, lapses no more: no category is looked up.
    #[inline]
    fn lapses_at(&self, policy: &LapsePolicy) -> Option<Timestamp> {
        let open = self.has_authorization && !self.all_cleared;
        open.then(|| self.time.plus_days(policy.days_for(self.mcc)))
    }

    #[inline]
    fn complete(&self, lapsed: bool) -> bool {
        self.has_clearing && (self.all_cleared || lapsed)
    }

    #[inline]
    fn minor(&self, lapsed: bool) -> i64 {
        let Self { has_authorization, has_clearing, all_cleared, .. } = *self;
        // What remains authorized: a reversal takes nothing off what is cleared.
        // An increment or advice without its authorization waits for it.
        let open =
            if lapsed || !has_authorization { 0 } else { self.authorized.saturating_sub(self.cleared.max(0)).max(0) };
        let gross = match (has_clearing, all_cleared) {
            (false, _) => open,
            (true, true) => self.cleared,
            (true, false) => self.cleared.saturating_add(open),
        };
        // What takes a credit back gives nothing by itself: without a purchase it waits for one.
        let bought = has_authorization || has_clearing;
        let off = if bought { self.off } else { 0 };
        gross.saturating_sub(off).max(0)
    }

    /// The best evidenced shop of the purchase that was added up.
    #[inline]
    #[must_use]
    pub fn shop<'a>(&self, purchase: &'a Purchase) -> Option<&'a Matched> {
        self.shop.and_then(|place| purchase.matches.get(usize::from(place)))
    }
}

/// Computes the worth by the purchase's own events under the latest daily mark. Linear in the events, no I/O.
#[must_use]
pub fn worth<'a>(purchase: &'a Purchase, mark: Timestamp, policy: &LapsePolicy) -> Worth<'a> {
    Tally::of(purchase).worth(purchase, mark, policy)
}

/// The best evidenced value: by evidence, then clearing over authorization over the
/// rest, then first in order.
fn best<'a, T>(
    events: &'a [HeldEvent],
    value: impl Fn(&'a HeldEvent) -> Option<T>,
    rank: impl Fn(&T) -> u16,
) -> Option<T> {
    let kind_rank = |kind: EventKind| match kind {
        EventKind::Clearing => 0,
        EventKind::Authorization => 1,
        _ => 2,
    };
    let found = events.iter().filter_map(|e| value(e).map(|v| (rank(&v), kind_rank(e.kind), v)));
    found.min_by_key(|(evidence, kind, _)| (*evidence, *kind)).map(|(_, _, v)| v)
}
