//! Conditions, looked at. One walk decides; the same answers, leaf by leaf, are the why and
//! why not that people read.

use super::history::{Asked, Bought, Counted, History, OfferStarts, Rests};
use super::member::MemberState;
use super::refusal::Refusal;
use crate::domain::member::{Profile, Standing};
use crate::domain::offer::{
    Comparison, Condition, Count, Ladder, LocalTime, Measure, MemberTest, PurchaseTest, Reward, Terms,
};
use crate::domain::time::civil_day;
use crate::domain::{Code, Timestamp};
use jiff::civil;

/// What an offer's conditions look at: a purchase, or a time at which something else happened.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The member.
    pub member: &'a MemberState,
    /// The offer's terms.
    pub terms: &'a Terms,
    /// What of them is given here.
    pub reward: &'a Reward,
    /// The purchase at hand; `None` when the offer looks at something else.
    pub bought: Option<&'a Bought<'a>>,
    /// What was bought before.
    pub history: &'a History<'a>,
    /// When the member's qualified referrals at the merchant happened, oldest first.
    pub referrals: &'a [Timestamp],
    /// The time that counts.
    pub time: Timestamp,
    /// Its local reading.
    pub local: civil::DateTime,
    /// Its local day.
    pub local_day: i32,
    /// The time whose profile counts: of a referral, when it was made.
    pub profile_at: Timestamp,
    /// When the offer began.
    pub offer_starts: OfferStarts,
}

/// A leaf of a condition as it was found: the words of a refusal, whether or not it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Whether it holds.
    pub holds: bool,
    /// Below a *not*: it must not hold.
    pub negated: bool,
    /// What it needs and what it has.
    pub told: Refusal,
}

impl<'a> Case<'a> {
    /// Whether a condition holds. Linear in its leaves, and in the window of a count that has
    /// a filter.
    ///
    /// # Errors
    /// The first [`Refusal`]: of *all*, the first part that does not hold; of *any*, the last.
    pub fn check(&self, condition: &Condition) -> Result<(), Refusal> {
        match condition {
            Condition::All(parts) => parts.iter().try_for_each(|part| self.check(part)),
            Condition::Any(parts) => {
                let mut refusal = None;
                for part in parts {
                    match self.check(part) {
                        Ok(()) => return Ok(()),
                        Err(other) => refusal = Some(other),
                    }
                }
                refusal.map_or(Ok(()), Err)
            }
            Condition::Not(part) => match self.check(part) {
                // What cannot be told holds neither way.
                Err(Refusal::TimeUnknown) => Err(Refusal::TimeUnknown),
                Err(_) => Ok(()),
                Ok(()) => Err(Refusal::Excluded(Box::new(self.first_leaf(part)))),
            },
            // Most conditions count: what it says in words is made only where it is said.
            Condition::Count(count) => match self.count(count) {
                (true, _) => Ok(()),
                (false, has) => Err(Refusal::Counted { what: count.what, is: count.is, has }),
            },
            leaf => match self.leaf(leaf) {
                (true, _) => Ok(()),
                (false, told) => Err(told),
            },
        }
    }

    /// Every leaf of a condition, in order, with what it needs and what it has.
    pub fn explain(&self, condition: &Condition, negated: bool, found: &mut Vec<Found>) {
        match condition {
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().for_each(|part| self.explain(part, negated, found));
            }
            Condition::Not(part) => self.explain(part, !negated, found),
            leaf => {
                let (holds, told) = self.leaf(leaf);
                found.push(Found { holds, negated, told });
            }
        }
    }

    /// Adds what the condition rests on: purchases whose refund could take it away.
    pub fn rests(&self, condition: &Condition, rests: &mut Rests) {
        match condition {
            Condition::All(parts) | Condition::Any(parts) => parts.iter().for_each(|part| self.rests(part, rests)),
            Condition::Count(count) if needs_reaching(count) => self.history.rests(count, &self.asked(), rests),
            _ => {}
        }
    }

    fn first_leaf(&self, condition: &Condition) -> Refusal {
        let mut first = None;
        condition.each_leaf(&mut |leaf| {
            if first.is_none() {
                first = Some(self.leaf(leaf).1);
            }
        });
        first.unwrap_or(Refusal::NotEligible)
    }

    fn leaf(&self, leaf: &Condition) -> (bool, Refusal) {
        match leaf {
            Condition::Purchase(test) => match self.bought {
                None => (false, Refusal::NoPurchase),
                Some(bought) => match purchase_test(test, bought) {
                    Ok(told) => (true, told),
                    Err(told) => (false, told),
                },
            },
            Condition::Member(test) => self.member_test(test),
            Condition::Count(count) => {
                let (holds, has) = self.count(count);
                (holds, Refusal::Counted { what: count.what, is: count.is, has })
            }
            Condition::All(_) | Condition::Any(_) | Condition::Not(_) => {
                (self.check(leaf).is_ok(), Refusal::NotEligible)
            }
        }
    }

    /// Whether a count holds, and the number.
    fn count(&self, count: &Count) -> (bool, Option<i64>) {
        let counted = if count.what == Measure::Referrals {
            let made = self.referrals.iter().filter(|at| **at <= self.time).count();
            let made = i64::try_from(made).unwrap_or(i64::MAX);
            Some(Counted { before: made, now: made })
        } else {
            self.history.count(count, &self.asked())
        };
        let holds = counted.is_some_and(|counted| count.is.holds(counted.before, counted.now));
        (holds, counted.map(|counted| counted.now))
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            this: self.bought,
            time: self.time,
            local: self.local,
            local_day: self.local_day,
            currency: self.terms.currency,
            offer_starts: self.offer_starts,
        }
    }

    fn profile(&self) -> Option<&'a Profile> {
        self.member.profile_at(self.profile_at)
    }

    fn member_test(&self, test: &MemberTest) -> (bool, Refusal) {
        match test {
            MemberTest::Segments(segments) => {
                let is_in = |profile: &Profile| profile.segments.iter().any(|segment| segments.contains(segment));
                (self.profile().is_some_and(is_in), Refusal::NotInSegment)
            }
            MemberTest::Regions(regions) => {
                let region = self.profile().and_then(|profile| profile.region.as_ref());
                (region.is_some_and(|region| regions.contains(region)), Refusal::NotInRegion)
            }
            MemberTest::Birthday { days_before, days_after } => {
                let birthday = self.profile().and_then(|profile| profile.birthday);
                let near = birthday.is_some_and(|day| is_near(day, self.local.date(), *days_before, *days_after));
                (near, Refusal::NotBirthday { known: birthday.is_some() })
            }
            MemberTest::TenureDays(needs) => {
                let has_days =
                    (self.time.as_ms() - self.member.head.joined_at.as_ms()).div_euclid(crate::domain::time::DAY_MS);
                (has_days >= 0 && needs.holds(has_days), Refusal::Tenure { needs: *needs, has_days })
            }
            MemberTest::Tier(needs) => {
                let has = self.terms.ladder.as_ref().and_then(|ladder| self.tier(ladder));
                (
                    has.is_some_and(|has| has.1 >= self.rung(*needs)),
                    Refusal::TierTooLow { needs: *needs, has: has.map(|has| has.0) },
                )
            }
            MemberTest::Clear => {
                let standing = self.member.head.standing(&self.terms.merchant, self.time);
                (standing.is_none_or(|step| step.standing == Standing::Clear), Refusal::NotEligible)
            }
            MemberTest::Referred => {
                let referred = self.member.head.referred_by.as_ref().is_some_and(|(_, at)| *at <= self.time);
                (referred, Refusal::NotReferred)
            }
        }
    }

    fn rung(&self, name: Code) -> usize {
        let tiers = self.terms.ladder.as_ref().map_or(&[][..], |ladder| ladder.tiers.as_slice());
        tiers.iter().position(|tier| tier.name == name).unwrap_or(usize::MAX)
    }

    /// The tier of the member at the time that counts, and its place on the ladder.
    #[must_use]
    pub fn tier(&self, ladder: &Ladder) -> Option<(Code, usize)> {
        let spend = self.history.rolling_max(self.local_day, ladder, self.terms.currency);
        let place = ladder.tiers.iter().rposition(|tier| spend >= tier.spend_minor)?;
        Some((ladder.tiers[place].name, place))
    }
}

/// Whether a count that holds would cease to if a counted purchase were refunded.
fn needs_reaching(count: &Count) -> bool {
    match count.is {
        Comparison::Within(bounds) => bounds.at_least.is_some_and(|least| least > 1),
        Comparison::Reaches(_) | Comparison::Every(_) => true,
    }
}

/// Whether a purchase passes a test; either way what the test needs and what it has.
///
/// # Errors
/// The words when it does not.
pub fn purchase_test(test: &PurchaseTest, bought: &Bought<'_>) -> Result<Refusal, Refusal> {
    let (holds, told) = match test {
        PurchaseTest::Spend(needs) => {
            let has_minor = bought.minor;
            let told = match (needs.at_least, needs.at_most) {
                (_, Some(most_minor)) if has_minor > most_minor => Refusal::SpendTooHigh { most_minor, has_minor },
                (least, _) => Refusal::SpendTooLow { needs_minor: least.unwrap_or(0), has_minor },
            };
            (needs.holds(has_minor), told)
        }
        PurchaseTest::Channel(needs) => {
            (bought.channel == *needs, Refusal::OtherChannel { needs: *needs, has: bought.channel })
        }
        PurchaseTest::Locations(locations) => {
            let at = bought.shop.is_some_and(|shop| locations.contains(&shop.location));
            (at, Refusal::OtherLocation)
        }
        PurchaseTest::Countries(countries) => {
            let country = bought.shop.and_then(|shop| shop.country.as_ref());
            (country.is_some_and(|country| countries.contains(country)), Refusal::OtherCountry)
        }
        PurchaseTest::Mcc(ranges) => {
            let is_in = |mcc: &u16| ranges.iter().any(|range| range.contains(mcc));
            (bought.mcc.as_ref().is_some_and(is_in), Refusal::OtherCategory { has: bought.mcc })
        }
        PurchaseTest::LocalTime(_) if !bought.time_known => (false, Refusal::TimeUnknown),
        PurchaseTest::LocalTime(window) => {
            (in_window(bought.local, window), Refusal::OutsideHours { bought: bought.local })
        }
        PurchaseTest::Dates(ranges) => {
            let date = bought.local.date();
            (ranges.iter().any(|range| range.contains(&date)), Refusal::OutsideDates { on: date })
        }
    };
    if holds { Ok(told) } else { Err(told) }
}

/// Whether a local time lies in a window. A window over midnight belongs to the day it began.
fn in_window(local: civil::DateTime, window: &LocalTime) -> bool {
    let LocalTime { days, from_minute, to_minute } = *window;
    let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
    let weekday = local.date().weekday();
    let on = |day: civil::Weekday| days & (1 << day.to_monday_zero_offset()) != 0;
    if from_minute < to_minute {
        on(weekday) && (from_minute..to_minute).contains(&minute)
    } else {
        (on(weekday) && minute >= from_minute) || (on(weekday.previous()) && minute < to_minute)
    }
}

/// Whether a date lies near a birthday, over the turn of a year too. Who was born on
/// 29 February has their day on the 28th in other years.
fn is_near((month, day): (i8, i8), date: civil::Date, days_before: u16, days_after: u16) -> bool {
    (date.year() - 1..=date.year() + 1).any(|year| {
        let Ok(first) = civil::Date::new(year, month, 1) else { return false };
        let Ok(birthday) = civil::Date::new(year, month, day.min(first.days_in_month())) else { return false };
        let days = civil_day(date) - civil_day(birthday);
        (-i32::from(days_before)..=i32::from(days_after)).contains(&days)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn birthdays_are_near_over_leap_days_and_the_turn_of_the_year() {
        let date = |text: &str| text.parse::<civil::Date>().unwrap();
        for (birthday, on, before, after, near) in [
            ((2, 29), "2026-02-28", 0, 0, true),
            ((2, 29), "2026-03-01", 0, 0, false),
            ((2, 29), "2028-02-29", 0, 0, true),
            ((2, 29), "2028-02-28", 0, 0, false),
            ((1, 2), "2026-12-30", 3, 0, true),
            ((1, 2), "2026-12-29", 3, 0, false),
            ((12, 30), "2027-01-03", 0, 4, true),
            ((12, 30), "2027-01-04", 0, 4, false),
            ((6, 15), "2026-06-14", 0, 7, false),
        ] {
            assert_eq!(is_near(birthday, date(on), before, after), near, "{birthday:?} on {on}");
        }
    }
}
