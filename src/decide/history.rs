//! What a member bought before, as the counts of the offer language read it.
//!
//! A [`History`] holds the purchases that stand, in their order, of those an offer looks at:
//! at one merchant, or in a category. It grows as judging goes from purchase to purchase, so
//! each is judged by what stood before it. A count without a filter over purchases and spend
//! is two binary searches; any other walks its window once.

use super::member::Placed;
use super::worth::Worth;
use crate::domain::merchant::Matched;
use crate::domain::offer::{Count, Ladder, Measure, Period, PurchaseTest, Within};
use crate::domain::time::DAY_MS;
use crate::domain::{Channel, Currency, LocationId, MerchantId, Timestamp};
use jiff::civil;

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
    /// Number of the shop among those of its history; not yet known where there is none.
    pub(super) shop_number: Option<u32>,
    /// Merchant category.
    pub mcc: Option<u16>,
    /// How it was made.
    pub channel: Channel,
    /// When it was wholly cleared; `None` while it is not.
    pub cleared_at: Option<Timestamp>,
}

impl<'a> Bought<'a> {
    /// A purchase with what it is worth now.
    #[must_use]
    pub fn new(placed: &Placed, worth: &Worth<'a>) -> Self {
        Self {
            time: placed.time,
            time_known: worth.time_known,
            local: placed.local,
            local_day: placed.local_day,
            minor: worth.minor,
            currency: worth.currency,
            shop: worth.shop,
            shop_number: None,
            mcc: worth.mcc,
            channel: worth.channel,
            cleared_at: worth.cleared_at.filter(|_| worth.complete),
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
    /// Local day, minor units and currency of each, by day: the order of time is nearly that.
    by_day: Vec<(i32, i64, Option<Currency>)>,
    /// The different shops, in the order they were first seen.
    shops: Vec<(&'a MerchantId, &'a LocationId)>,
    /// What sealed purchases left behind: they count where everything does.
    sealed: Sealed,
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
#[derive(Debug, Clone, Copy)]
pub enum OfferStarts {
    /// Local date and time, as its terms say.
    Local(civil::DateTime),
    /// Its first publication.
    At(Timestamp),
}

impl<'a> History<'a> {
    /// Nothing yet after what was sealed.
    #[must_use]
    pub fn after(sealed: Sealed) -> Self {
        Self { sealed, ..Self::default() }
    }

    /// Adds the next purchase in order, if anything of it stands.
    pub fn push(&mut self, mut bought: Bought<'a>) {
        if bought.minor <= 0 {
            return;
        }
        if let Some(shop) = bought.shop {
            let number = self.shop_number(shop).unwrap_or_else(|| {
                self.shops.push((&shop.merchant, &shop.location));
                self.shops.len() - 1
            });
            bought.shop_number = u32::try_from(number).ok();
        }
        self.mixed |= self.bought.first().is_some_and(|first| first.currency != bought.currency);
        self.spent.push(self.spent.last().copied().unwrap_or(0).saturating_add(bought.minor));
        let place = self.by_day.iter().rposition(|(day, ..)| *day <= bought.local_day).map_or(0, |place| place + 1);
        self.by_day.insert(place, (bought.local_day, bought.minor, bought.currency));
        self.bought.push(bought);
    }

    fn shop_number(&self, shop: &Matched) -> Option<usize> {
        self.shops.iter().rposition(|(merchant, location)| **location == shop.location && **merchant == shop.merchant)
    }

    /// The number a count asks for; `None` when there is none (no purchase since which days
    /// could be counted).
    #[must_use]
    pub fn count(&self, count: &Count, asked: &Asked<'_>) -> Option<Counted> {
        let this = asked.this.filter(|this| passes(this, &count.of));
        match count.what {
            Measure::DaysSince => return self.days_since(count, asked),
            Measure::Streak(every) => return Some(self.streak(count, asked, this, every)),
            // Counted by the judge, who knows the member's referrals.
            Measure::Referrals => return None,
            Measure::Purchases | Measure::Spend | Measure::Locations | Measure::Categories => {}
        }
        let window = self.window(count.within, asked);
        let plain = count.of.is_empty() && self.is_exact(count.within);
        let seen = window.iter().filter(|bought| plain || self.counts(bought, count, asked));
        let sealed = if count.of.is_empty() && count.within == Within::Calendar(Period::Ever) {
            self.sealed
        } else {
            Sealed::default()
        };
        let (before, more) = match count.what {
            Measure::Purchases => {
                let seen = if plain { window.len() } else { seen.count() };
                (i64::try_from(seen).unwrap_or(i64::MAX).saturating_add(sealed.purchases), i64::from(this.is_some()))
            }
            Measure::Spend => {
                let in_currency = |bought: &&Bought<'_>| bought.currency == Some(asked.currency);
                let before = if plain && !self.mixed {
                    let first = self.bought.len() - window.len();
                    let same = self.bought.first().is_none_or(|first| first.currency == Some(asked.currency));
                    let until = |place: usize| place.checked_sub(1).map_or(0, |place| self.spent[place]);
                    if same { until(self.bought.len()) - until(first) } else { 0 }
                } else {
                    seen.filter(in_currency).fold(0, |sum: i64, bought| sum.saturating_add(bought.minor))
                };
                let sealed = if sealed.currency == Some(asked.currency) { sealed.spend_minor } else { 0 };
                let more = this.filter(|this| this.currency == Some(asked.currency)).map_or(0, |this| this.minor);
                (before.saturating_add(sealed), more)
            }
            Measure::Locations => {
                let (known, _) = different(seen, None, |bought| bought.shop_number);
                // The shop of the purchase at hand is new when none of those counted was there.
                let number = this.and_then(|this| this.shop).map(|shop| self.shop_number(shop));
                let is_new = number.is_some_and(|number| {
                    let number = number.and_then(|number| u32::try_from(number).ok());
                    let counted = window.iter().filter(|bought| plain || self.counts(bought, count, asked));
                    number.is_none() || !counted.into_iter().any(|bought| bought.shop_number == number)
                });
                (known, i64::from(is_new))
            }
            Measure::Categories => different(seen, this, |bought| bought.mcc),
            Measure::Streak(_) | Measure::DaysSince | Measure::Referrals => unreachable!("answered above"),
        };
        Some(Counted { before, now: before.saturating_add(more) })
    }

    /// Adds what a count that must reach a number rests on.
    pub fn rests(&self, count: &Count, asked: &Asked<'_>, rests: &mut Rests) {
        let window = match count.what {
            Measure::DaysSince | Measure::Referrals => return,
            Measure::Streak(_) => self.bought.as_slice(),
            _ => self.window(count.within, asked),
        };
        for bought in window.iter().filter(|bought| self.counts(bought, count, asked)) {
            rests.on(bought.cleared_at);
        }
    }

    /// The most that was spent within the ladder's window at the end of any local day of the
    /// grace before a local day. Linear in the purchases of window and grace.
    #[must_use]
    pub fn rolling_max(&self, local_day: i32, ladder: &Ladder, currency: Currency) -> i64 {
        let days = |days: u32| i32::try_from(days).unwrap_or(i32::MAX / 4);
        let (first, last) = (local_day - days(ladder.grace_days.max(1)), local_day - 1);
        let window = days(ladder.window_days);
        let counts = |(_, _, of): &&(i32, i64, Option<Currency>)| *of == Some(currency);
        let mut leaving = self.by_day.iter().filter(counts).peekable();
        let mut coming = self.by_day.iter().filter(counts).peekable();
        let (mut sum, mut most) = (0_i64, 0_i64);
        // Spend rises on the days of purchases alone, and what it was when the grace began
        // counts too.
        let mut end = first;
        loop {
            while let Some((_, minor, _)) = coming.next_if(|(day, ..)| *day <= end) {
                sum = sum.saturating_add(*minor);
            }
            while let Some((_, minor, _)) = leaving.next_if(|(day, ..)| *day <= end - window) {
                sum = sum.saturating_sub(*minor);
            }
            most = most.max(sum);
            match coming.peek() {
                Some((day, ..)) if *day <= last => end = *day,
                _ => return most,
            }
        }
    }

    /// Purchases that a window may hold: those from its earliest instant on.
    fn window(&self, within: Within, asked: &Asked<'_>) -> &[Bought<'a>] {
        // A calendar period is asked for by local days; an instant a little before its longest
        // form holds it in every zone.
        let days = match within {
            Within::Days(days) => i64::from(days),
            Within::Calendar(Period::Day) => 3,
            Within::Calendar(Period::Week) => 9,
            Within::Calendar(Period::Month) => 33,
            Within::Calendar(Period::Year) => 368,
            Within::Calendar(Period::Ever) | Within::Offer => return &self.bought,
        };
        let after = asked.time.as_ms() - days * DAY_MS;
        let first = self.bought.partition_point(|bought| bought.time.as_ms() <= after);
        &self.bought[first..]
    }

    /// Whether [`Self::window`] holds exactly what is asked for.
    fn is_exact(&self, within: Within) -> bool {
        matches!(within, Within::Days(_) | Within::Calendar(Period::Ever))
    }

    fn counts(&self, bought: &Bought<'_>, count: &Count, asked: &Asked<'_>) -> bool {
        let timely = match count.within {
            Within::Days(_) | Within::Calendar(Period::Ever) => true,
            Within::Calendar(every) => {
                period(every, bought.local, bought.local_day) == period(every, asked.local, asked.local_day)
            }
            Within::Offer => match asked.offer_starts {
                OfferStarts::Local(starts) => bought.local >= starts,
                OfferStarts::At(starts) => bought.time >= starts,
            },
        };
        timely && passes(bought, &count.of)
    }

    fn days_since(&self, count: &Count, asked: &Asked<'_>) -> Option<Counted> {
        let last = self.bought.iter().rev().find(|bought| passes(bought, &count.of)).map(|bought| bought.time);
        let last = last.or(self.sealed.last_at.filter(|_| count.of.is_empty()))?;
        let days = (asked.time.as_ms() - last.as_ms()).div_euclid(DAY_MS);
        Some(Counted { before: days, now: days })
    }

    fn streak(&self, count: &Count, asked: &Asked<'_>, this: Option<&Bought<'_>>, every: Period) -> Counted {
        let at = |bought: &Bought<'_>| period(every, bought.local, bought.local_day);
        let current = period(every, asked.local, asked.local_day);
        let mut seen_now = false;
        let (mut length, mut expected) = (0, current - 1);
        for bought in self.bought.iter().rev().filter(|bought| passes(bought, &count.of)) {
            let place = at(bought);
            if place >= current {
                seen_now = true;
            } else if place == expected {
                length += 1;
                expected -= 1;
            } else if place < expected {
                break;
            }
        }
        let before = length + i64::from(seen_now);
        Counted { before, now: length + i64::from(seen_now || this.is_some()) }
    }
}

/// How many different values some purchases have, and whether the purchase at hand adds one.
fn different<'b, 'a: 'b, T: PartialEq>(
    seen: impl Iterator<Item = &'b Bought<'a>>,
    this: Option<&'b Bought<'a>>,
    value: impl Fn(&'b Bought<'a>) -> Option<T>,
) -> (i64, i64) {
    let mut values: Vec<T> = Vec::new();
    for value in seen.filter_map(&value) {
        if !values.contains(&value) {
            values.push(value);
        }
    }
    let more = this.and_then(&value).is_some_and(|value| !values.contains(&value));
    (i64::try_from(values.len()).unwrap_or(i64::MAX), i64::from(more))
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
