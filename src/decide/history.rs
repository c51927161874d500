//! What a member bought before, as the counts of the offer language read it.
//!
//! A [`History`] holds the purchases that stand, in their order, of those an offer looks at:
//! at one merchant, or in a category. It grows as judging goes from purchase to purchase, so
//! each is judged by what stood before it. A count without a filter over purchases and spend
//! is a binary search; any other is kept up as a [`Running`] answer.

use super::member::Placed;
use super::rolling::Rolling;
use super::running::Running;
use crate::domain::merchant::Matched;
use crate::domain::offer::{Count, Ladder, Measure, Period, PurchaseTest, Within};
use crate::domain::time::DAY_MS;
use crate::domain::{Channel, Currency, Timestamp};
use jiff::civil;
use std::cell::RefCell;

/// A purchase that stands, as tests of one purchase look at it.
#[derive(Debug, Clone, Copy)]
pub struct Bought<'a> {
    /// Its time.
    pub time: Timestamp,
    /// Whether the hour is known.
    pub time_known: bool,
    /// What the shop's clock showed.
    pub local: civil::DateTime,
    /// Days since 1970 of that.
    pub local_day: i32,
    /// What stands of it, minor units.
    pub minor: i64,
    /// Its currency.
    pub currency: Option<Currency>,
    /// Whose shop, and which; `None` when no event was matched.
    pub shop: Option<&'a Matched>,
    /// Merchant category.
    pub mcc: Option<u16>,
    /// How it was made.
    pub channel: Channel,
    /// When it was wholly cleared; `None` while it is not.
    pub cleared_at: Option<Timestamp>,
}

impl<'a> Bought<'a> {
    /// A purchase of which so much stands, and when it was wholly cleared.
    #[inline]
    #[must_use]
    pub fn new(placed: &'a Placed, minor: i64, cleared_at: Option<Timestamp>) -> Self {
        let Placed { time, local, local_day, ref tally, .. } = *placed;
        Self {
            time,
            time_known: tally.time_known,
            local,
            local_day,
            minor,
            currency: tally.currency,
            shop: tally.shop(&placed.purchase),
            mcc: tally.mcc,
            channel: tally.channel,
            cleared_at,
        }
    }
}

/// Purchases that stand, oldest first.
#[derive(Debug, Clone, Default)]
pub struct History<'a> {
    bought: Vec<Bought<'a>>,
    /// What all up to and including each were worth.
    spent: Vec<i64>,
    /// Whether there are several currencies, so that `spent` is no sum.
    mixed: bool,
    clearings: Clearings,
    /// What sealed purchases left behind: they count where everything does.
    sealed: Sealed,
    /// Answers that are kept up; what is asked in which order changes none of them.
    running: RefCell<Running>,
    rolling: RefCell<Vec<Rolling>>,
}

/// What sealed purchases left behind.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sealed {
    /// How many stood.
    pub purchases: i64,
    /// What they were worth, minor units of `currency`.
    pub spend_minor: i64,
    /// Their currency.
    pub currency: Option<Currency>,
    /// The newest.
    pub last_at: Option<Timestamp>,
}

/// What a count comes to, with and without the purchase at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Without it.
    pub before: i64,
    /// With it.
    pub now: i64,
}

/// When what a reward rests on was cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rests {
    /// A purchase it rests on is not wholly cleared.
    pub pending: bool,
    /// When the last of them was.
    pub cleared_at: Option<Timestamp>,
}

impl Rests {
    /// Rests on one more.
    pub fn on(&mut self, cleared_at: Option<Timestamp>) {
        match cleared_at {
            None => self.pending = true,
            at => self.cleared_at = self.cleared_at.max(at),
        }
    }
}

/// When purchases were wholly cleared, for whatever rests on the newest of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Clearings {
    /// The newest that is not.
    pending: Option<usize>,
    /// The one that was last, of those after it the one that was, and so on: of any newest ones
    /// the first of these among them was last.
    cleared: Vec<(usize, Timestamp)>,
}

impl Clearings {
    /// Adds the next purchase, by its place.
    #[inline]
    pub(super) fn push(&mut self, place: usize, cleared_at: Option<Timestamp>) {
        match cleared_at {
            None => self.pending = Some(place),
            Some(at) => {
                while self.cleared.last().is_some_and(|(_, before)| *before <= at) {
                    self.cleared.pop();
                }
                self.cleared.push((place, at));
            }
        }
    }

    /// Adds what rests on those from a place on.
    pub(super) fn rests(&self, first: usize, rests: &mut Rests) {
        if self.pending >= Some(first) {
            rests.on(None);
        }
        if let Some((_, at)) = self.cleared.get(self.cleared.partition_point(|(place, _)| *place < first)) {
            rests.on(Some(*at));
        }
    }
}

/// What a count is asked for: the purchase at hand, and the offer that asks.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The purchase at hand; `None` when the offer looks at something else.
    pub this: Option<&'a Bought<'a>>,
    /// The time that counts.
    pub time: Timestamp,
    /// Its local reading.
    pub local: civil::DateTime,
    /// Its local day.
    pub local_day: i32,
    /// Currency of the offer.
    pub currency: Currency,
    /// When the offer began: by the shop's clock, or else as an instant.
    pub offer_starts: OfferStarts,
}

/// When an offer began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferStarts {
    /// Local date and time, as its terms say.
    Local(civil::DateTime),
    /// Its first publication.
    At(Timestamp),
}

impl<'a> History<'a> {
    /// Nothing yet after what was sealed, with room for so many.
    #[must_use]
    pub fn after(sealed: Sealed, room: usize) -> Self {
        Self { sealed, bought: Vec::with_capacity(room), spent: Vec::with_capacity(room), ..Self::default() }
    }

    /// Adds the next purchase in order, if anything of it stands.
    #[inline]
    pub fn push(&mut self, bought: Bought<'a>) {
        if bought.minor <= 0 {
            return;
        }
        self.mixed |= self.bought.first().is_some_and(|first| first.currency != bought.currency);
        self.clearings.push(self.bought.len(), bought.cleared_at);
        self.spent.push(self.spent.last().copied().unwrap_or(0).saturating_add(bought.minor));
        self.bought.push(bought);
    }

    /// The number a count asks for; `None` when there is none (no purchase since which days
    /// could be counted).
    #[must_use]
    pub fn count(&self, count: &Count, asked: &Asked<'_>) -> Option<Counted> {
        let this = asked.this.filter(|this| passes(this, &count.of));
        let counted = match count.what {
            // Counted by the judge, who knows the member's referrals.
            Measure::Referrals => return None,
            Measure::DaysSince => return self.days_since(count, asked),
            Measure::Streak(every) => {
                let (length, seen_now) = self.running.borrow_mut().streak(&self.bought, count, every, asked);
                let now = length + i64::from(seen_now || this.is_some());
                return Some(Counted { before: length + i64::from(seen_now), now });
            }
            _ => self.plain(count, asked, this),
        };
        let counted = counted.unwrap_or_else(|| self.running.borrow_mut().count(&self.bought, count, asked, this));
        let sealed = self.sealed(count, asked);
        let with_sealed = |number: i64| number.saturating_add(sealed);
        Some(Counted { before: with_sealed(counted.before), now: with_sealed(counted.now) })
    }

    /// Purchases and spend of a window of time, as far as nothing else is asked of them.
    fn plain(&self, count: &Count, asked: &Asked<'_>, this: Option<&Bought<'_>>) -> Option<Counted> {
        if !is_of_all(&count.of, count.within) {
            return None;
        }
        let first = || first_within(&self.bought, count.within, asked.time);
        let (before, more) = match count.what {
            Measure::Purchases => {
                (i64::try_from(self.bought.len() - first()).unwrap_or(i64::MAX), i64::from(this.is_some()))
            }
            Measure::Spend if !self.mixed => {
                let same = self.bought.first().is_some_and(|first| first.currency == Some(asked.currency));
                let until = |place: usize| place.checked_sub(1).map_or(0, |place| self.spent[place]);
                let before = if same { until(self.bought.len()) - until(first()) } else { 0 };
                (before, this.filter(|this| this.currency == Some(asked.currency)).map_or(0, |this| this.minor))
            }
            _ => return None,
        };
        Some(Counted { before, now: before.saturating_add(more) })
    }

    /// What sealed purchases add to a count.
    fn sealed(&self, count: &Count, asked: &Asked<'_>) -> i64 {
        match count.what {
            _ if !count.of.is_empty() || count.within != Within::Calendar(Period::Ever) => 0,
            Measure::Purchases => self.sealed.purchases,
            Measure::Spend if self.sealed.currency == Some(asked.currency) => self.sealed.spend_minor,
            _ => 0,
        }
    }

    /// Adds what a count that must reach a number rests on: all that it counts.
    pub fn rests(&self, count: &Count, asked: &Asked<'_>, rests: &mut Rests) {
        let within = match (count.what, count.within) {
            (Measure::DaysSince | Measure::Referrals, _) => return,
            // No window cuts a streak.
            (Measure::Streak(_), _) => Within::Calendar(Period::Ever),
            (_, within) => within,
        };
        if !is_of_all(&count.of, within) {
            self.running.borrow_mut().rests(&self.bought, count, within, asked, rests);
            return;
        }
        self.clearings.rests(first_within(&self.bought, within, asked.time), rests);
    }

    /// The most that was spent within the ladder's window at the end of any local day of the
    /// grace before a local day. Linear in the purchases of the grace.
    #[must_use]
    pub fn rolling_max(&self, local_day: i32, ladder: &Ladder, currency: Currency) -> i64 {
        let mut rolling = self.rolling.borrow_mut();
        let known = rolling.iter().position(|rolling| rolling.is_of(ladder, currency));
        let place = known.unwrap_or_else(|| {
            rolling.push(Rolling::new(ladder, currency));
            rolling.len() - 1
        });
        rolling[place].keep_up(&self.bought);
        rolling[place].most(local_day, ladder)
    }

    fn days_since(&self, count: &Count, asked: &Asked<'_>) -> Option<Counted> {
        let last = if count.of.is_empty() {
            self.bought.last().map(|bought| bought.time).or(self.sealed.last_at)
        } else {
            self.running.borrow_mut().last_at(&self.bought, count, asked)
        };
        let days = (asked.time.as_ms() - last?.as_ms()).div_euclid(DAY_MS);
        Some(Counted { before: days, now: days })
    }
}

/// The instant after which a window counts: of days, exactly. A calendar period is asked for
/// by local days; an instant a little before its longest form holds it in every zone.
pub(super) fn window_begins(within: Within, time: Timestamp) -> Timestamp {
    let days = match within {
        Within::Days(days) => i64::from(days),
        Within::Calendar(Period::Day) => 3,
        Within::Calendar(Period::Week) => 9,
        Within::Calendar(Period::Month) => 33,
        Within::Calendar(Period::Year) => 368,
        Within::Calendar(Period::Ever) | Within::Offer => return Timestamp::from_ms(i64::MIN),
    };
    Timestamp::from_ms(time.as_ms() - days * DAY_MS)
}

/// Whether a window takes every purchase from its first one on.
pub(super) fn is_of_all(of: &[PurchaseTest], within: Within) -> bool {
    of.is_empty() && matches!(within, Within::Days(_) | Within::Calendar(Period::Ever))
}

/// The first of some purchases that a window may hold.
pub(super) fn first_within(bought: &[Bought<'_>], within: Within, time: Timestamp) -> usize {
    let after = window_begins(within, time);
    bought.partition_point(|bought| bought.time <= after)
}

/// Whether a purchase passes all of some tests.
#[must_use]
pub fn passes(bought: &Bought<'_>, tests: &[PurchaseTest]) -> bool {
    tests.iter().all(|test| super::evaluate::purchase_test(test, bought).is_ok())
}

/// A number that is the same for two times of one calendar period, and one higher in the next.
#[must_use]
pub fn period(every: Period, local: civil::DateTime, local_day: i32) -> i64 {
    let month = || i64::from(local.year()) * 12 + i64::from(local.month()) - 1;
    match every {
        Period::Day => i64::from(local_day),
        // 1970-01-01 was a Thursday: three days after a Monday.
        Period::Week => i64::from(local_day + 3).div_euclid(7),
        Period::Month => month(),
        Period::Year => i64::from(local.year()),
        Period::Ever => 0,
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
