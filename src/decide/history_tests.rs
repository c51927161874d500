//! Counts that are kept up, against counts that walk all purchases each time.

use super::*;
use crate::domain::merchant::Evidence;
use crate::domain::offer::{Bounds, Comparison, LadderTier};
use crate::domain::{Code, LocationId, MerchantId};
use proptest::prelude::*;

/// What is drawn of a purchase: hours since the one before, shop, minor units, whether in
/// dollars, category, hours until it is cleared.
type Drawn = (i64, usize, i64, bool, u16, Option<i64>);

const HOUR_MS: i64 = 3_600_000;
/// A zone far ahead, and one far behind: their calendars differ by a day.
const ZONES: [&str; 2] = ["Pacific/Kiritimati", "Pacific/Pago_Pago"];

fn drawn() -> impl Strategy<Value = Drawn> {
    let gap = prop_oneof![4 => 0_i64..30, 2 => 0_i64..200, 1 => 0_i64..3_000];
    (gap, 0_usize..4, 0_i64..60, prop::bool::weighted(0.9), 5810_u16..5813, prop::option::weighted(0.8, 0_i64..400))
}

fn shops() -> Vec<Matched> {
    let shop = |place: usize| Matched {
        merchant: MerchantId::new("cafe").unwrap(),
        location: LocationId::new(format!("shop-{}", place / 2 * 2 + place % 2)).unwrap(),
        evidence: Evidence::Mid,
        time_zone: ZONES[place % 2].into(),
        country: None,
    };
    (0..4).map(shop).collect()
}

fn currency(dollars: bool) -> Currency {
    Currency::parse(if dollars { "USD" } else { "EUR" }).unwrap()
}

fn bought<'a>(time: Timestamp, drawn: &Drawn, shops: &'a [Matched]) -> Bought<'a> {
    let (_, shop, minor, dollars, mcc, cleared) = *drawn;
    let shop = &shops[shop];
    let local = time.local(&jiff::tz::TimeZone::get(&shop.time_zone).unwrap());
    Bought {
        time,
        time_known: true,
        local,
        local_day: crate::domain::time::civil_day(local.date()),
        minor,
        currency: Some(currency(dollars)),
        shop: Some(shop),
        mcc: (mcc != 5812).then_some(mcc),
        channel: Channel::InStore,
        cleared_at: cleared.map(|hours| time.plus_ms(hours * HOUR_MS)),
    }
}

/// Every kind of question, with and without a filter.
fn questions() -> Vec<Count> {
    let measures = [
        Measure::Purchases,
        Measure::Spend,
        Measure::Locations,
        Measure::Categories,
        Measure::Streak(Period::Day),
        Measure::Streak(Period::Month),
        Measure::DaysSince,
    ];
    let within = [
        Within::Days(1),
        Within::Days(30),
        Within::Calendar(Period::Day),
        Within::Calendar(Period::Week),
        Within::Calendar(Period::Month),
        Within::Calendar(Period::Year),
        Within::Calendar(Period::Ever),
        Within::Offer,
    ];
    let filters = [vec![], vec![PurchaseTest::Spend(Bounds { at_least: Some(20), at_most: None })]];
    let is = Comparison::Reaches(2);
    let mut all = Vec::new();
    for what in measures {
        for of in &filters {
            all.extend(within.map(|within| Count { what, of: of.clone(), within, is }));
        }
    }
    all
}

/// Whether a question counts a purchase, asked of it alone.
fn counts(bought: &Bought<'_>, count: &Count, within: Within, asked: &Asked<'_>) -> bool {
    let timely = match within {
        Within::Days(days) => bought.time.as_ms() > asked.time.as_ms() - i64::from(days) * DAY_MS,
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

fn walked(all: &[Bought<'_>], count: &Count, asked: &Asked<'_>) -> Option<(i64, i64)> {
    let this = asked.this.filter(|this| passes(this, &count.of));
    let seen = all.iter().filter(|one| counts(one, count, count.within, asked));
    let number = |number: usize| i64::try_from(number).unwrap();
    let different = |values: &dyn Fn(&Bought<'_>) -> Option<String>| {
        let mut before: Vec<String> = seen.clone().filter_map(values).collect();
        before.sort();
        before.dedup();
        let more = this.and_then(values).is_some_and(|value| !before.contains(&value));
        (number(before.len()), number(before.len()) + i64::from(more))
    };
    Some(match count.what {
        Measure::Purchases => (number(seen.clone().count()), number(seen.count()) + i64::from(this.is_some())),
        Measure::Spend => {
            let of = |one: &&Bought<'_>| one.currency == Some(asked.currency);
            let before: i64 = seen.filter(of).map(|one| one.minor).sum();
            (before, before + this.filter(of).map_or(0, |this| this.minor))
        }
        Measure::Locations => different(&|one| one.shop.map(|shop| shop.location.to_string())),
        Measure::Categories => different(&|one| one.mcc.map(|mcc| mcc.to_string())),
        Measure::DaysSince => {
            let last = all.iter().rfind(|one| passes(one, &count.of))?;
            let days = (asked.time.as_ms() - last.time.as_ms()).div_euclid(DAY_MS);
            (days, days)
        }
        Measure::Streak(every) => {
            let current = period(every, asked.local, asked.local_day);
            let (mut length, mut now) = (0, false);
            for one in all.iter().rev().filter(|one| passes(one, &count.of)) {
                let at = period(every, one.local, one.local_day);
                if at < current - 1 - length {
                    break;
                }
                now |= at >= current;
                length += i64::from(at == current - 1 - length);
            }
            (length + i64::from(now), length + i64::from(now || this.is_some()))
        }
        Measure::Referrals => unreachable!("not counted over purchases"),
    })
}

fn walked_rests(all: &[Bought<'_>], count: &Count, asked: &Asked<'_>) -> Rests {
    let within = match (count.what, count.within) {
        (Measure::DaysSince, _) => return Rests::default(),
        (Measure::Streak(_), _) => Within::Calendar(Period::Ever),
        (_, within) => within,
    };
    let mut rests = Rests::default();
    all.iter().filter(|one| counts(one, count, within, asked)).for_each(|one| rests.on(one.cleared_at));
    rests
}

/// Spend of the days of the window, for each day of the grace.
fn walked_rolling(all: &[Bought<'_>], local_day: i32, ladder: &Ladder, currency: Currency) -> i64 {
    let days = |days: u32| i32::try_from(days).unwrap();
    let at_end_of = |day: i32| {
        let within = |one: &&Bought<'_>| one.local_day <= day && one.local_day > day - days(ladder.window_days);
        all.iter().filter(within).filter(|one| one.currency == Some(currency)).map(|one| one.minor).sum::<i64>()
    };
    (local_day - days(ladder.grace_days.max(1))..local_day).map(at_end_of).max().unwrap()
}

fn check(all: &[Drawn], skip: usize, starts: i64) -> Result<(), TestCaseError> {
    let (shops, questions) = (shops(), questions());
    let gold = LadderTier { name: Code::parse("gold").unwrap(), spend_minor: 100 };
    let ladders = [(7, 3), (1, 0), (60, 30)].map(|(window_days, grace_days)| Ladder {
        window_days,
        grace_days,
        tiers: vec![gold],
    });
    let begin = Timestamp::parse("2026-10-20T00:00:00Z").unwrap();
    let mut history = History::default();
    let mut before: Vec<Bought<'_>> = Vec::new();
    let mut time = begin;
    for (place, drawn) in all.iter().enumerate() {
        time = time.plus_ms(drawn.0 * HOUR_MS);
        let this = bought(time, drawn, &shops);
        // Some are passed without a question, and some are asked about as of an earlier instant.
        if place % (skip + 1) == 0 {
            for back in [0, 40 * 24] {
                let at = bought(time.plus_ms(-back * HOUR_MS), drawn, &shops);
                let starts = begin.plus_ms(starts * HOUR_MS);
                for (dollars, offer_starts) in [
                    (true, OfferStarts::At(starts)),
                    (false, OfferStarts::Local(starts.local(&jiff::tz::TimeZone::UTC))),
                ] {
                    let asked = Asked {
                        this: (back == 0).then_some(&this),
                        time: at.time,
                        local: at.local,
                        local_day: at.local_day,
                        currency: currency(dollars),
                        offer_starts,
                    };
                    for count in &questions {
                        let found = history.count(count, &asked).map(|found| (found.before, found.now));
                        prop_assert_eq!(found, walked(&before, count, &asked), "{:?} at {}", count, place);
                        let mut rests = Rests::default();
                        history.rests(count, &asked, &mut rests);
                        prop_assert_eq!(rests, walked_rests(&before, count, &asked), "{:?} at {}", count, place);
                    }
                    for ladder in &ladders {
                        let found = history.rolling_max(at.local_day, ladder, asked.currency);
                        let walked = walked_rolling(&before, at.local_day, ladder, asked.currency);
                        prop_assert_eq!(found, walked, "{:?} at {}", ladder, place);
                    }
                }
            }
        }
        history.push(this);
        if this.minor > 0 {
            before.push(this);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counts_that_are_kept_up_are_what_a_walk_finds(
        all in prop::collection::vec(drawn(), 1..40),
        skip in 0_usize..4,
        starts in 0_i64..2_000,
    ) {
        check(&all, skip, starts)?;
    }
}
