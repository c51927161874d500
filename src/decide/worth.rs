//! What a purchase is worth, as a function of the set of its own events; what comes off it
//! besides is assigned by [`assign`](super::assign).
//!
//! The events come in their canonical order (time, kind, key), so the order in which
//! they were delivered cannot matter. Nothing is cut at zero before the end, because
//! a cut in the middle would make the result depend on what came first.

use crate::domain::merchant::Matched;
use crate::domain::purchase::{HeldEvent, Purchase};
use crate::domain::{Currency, EventKind, Timestamp};
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
}

impl Worth<'_> {
    /// The same with so much less standing: what comes off by credits that name no purchase.
    #[must_use]
    pub fn less(mut self, minor: i64) -> Self {
        self.minor = self.minor.saturating_sub(minor).max(0);
        self
    }
}

/// Computes the worth by the purchase's own events under the latest daily mark. Linear in the events, no I/O.
#[must_use]
pub fn worth<'a>(purchase: &'a Purchase, mark: Timestamp, policy: &LapsePolicy) -> Worth<'a> {
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

    let mcc = best(events, |e| e.mcc, |_| 0);
    let shop = best(events, |e| e.matched.and_then(|i| purchase.matches.get(usize::from(i))), |m| m.evidence.rank());
    let lapses_at = has_authorization.then(|| time.plus_days(policy.days_for(mcc)));
    let lapsed = lapses_at.is_some_and(|at| at <= mark);
    let all_cleared = clearings > 0 && count.is_none_or(|n| numbers.len() >= usize::try_from(n).unwrap_or(usize::MAX));
    // What remains authorized: a reversal takes nothing off what is cleared.
    // An increment or advice without its authorization waits for it.
    let open = if lapsed || !has_authorization { 0 } else { authorized.saturating_sub(cleared.max(0)).max(0) };
    let gross = match (clearings > 0, all_cleared) {
        (false, _) => open,
        (true, true) => cleared,
        (true, false) => cleared.saturating_add(open),
    };
    // What takes a credit back gives nothing by itself: without a purchase it waits for one.
    let bought = has_authorization || clearings > 0;
    let off = if bought { off } else { 0 };
    Worth {
        minor: gross.saturating_sub(off).max(0),
        currency,
        time,
        time_known: opening.is_none_or(|e| e.time_known),
        complete: clearings > 0 && (all_cleared || lapsed),
        lapses_at: lapses_at.filter(|_| !all_cleared),
        lapsed: lapsed && clearings == 0,
        cleared_at,
        shop,
        mcc,
    }
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
