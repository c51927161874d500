//! Numbers as conditions say them: ranges, what is counted over a member's purchases, and how
//! the number must compare.

use super::Reader;
use super::condition::{DAYS_MAX, PurchaseConditionDocument};
use super::limits::PeriodWord;
use crate::api::check::{self, Fault};
use crate::domain::offer::{Bounds, Comparison, Condition, Count, Measure, Period, Within};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most conditions on what a count counts.
const OF_MAX: usize = 8;

/// A range of worth, both ends included; at least one of both.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct SpendDocument {
    /// From this on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub at_least_minor: Option<i64>,
    /// Up to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub at_most_minor: Option<i64>,
}

/// A number counted, and how it must compare: a range, `exactly`, `reaches` or `every`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct CountDocument {
    /// From this number on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub at_least: Option<i64>,
    /// Up to this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub at_most: Option<i64>,
    /// This number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub exactly: Option<i64>,
    /// This purchase brings it to the number or past it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub reaches: Option<i64>,
    /// This purchase brings it to a multiple of the number or past one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub every: Option<i64>,
    /// Only purchases for which all of these hold are counted; not for `referrals`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 8)]
    pub of: Vec<PurchaseConditionDocument>,
    /// Only purchases of this time are counted; without it all. Not for `referrals` and
    /// `days_since_purchase`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<WithinDocument>,
}

/// Periods in a row, and how their number must compare: a range, `exactly`, `reaches` or `each`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct StreakDocument {
    /// A purchase in every one of these.
    pub every: PeriodWord,
    /// From this number on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub at_least: Option<i64>,
    /// Up to this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub at_most: Option<i64>,
    /// This number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub exactly: Option<i64>,
    /// This purchase brings it to the number or past it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub reaches: Option<i64>,
    /// This purchase brings it to a multiple of the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub each: Option<i64>,
    /// Only purchases for which all of these hold are counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 8)]
    pub of: Vec<PurchaseConditionDocument>,
}

/// Purchases of which time are counted: a word, or `{"days": 30}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WithinDocument {
    /// The local day of this purchase.
    Day,
    /// Its week, from Monday.
    Week,
    /// Its month.
    Month,
    /// Its year.
    Year,
    /// Any time.
    Ever,
    /// Since the offer's start.
    Offer,
    /// So many days of 24 hours before this purchase, 1 to 3660.
    Days(u32),
}

/// A range of numbers, both ends included; at least one of both.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct RangeDocument {
    /// From this number on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub at_least: Option<i64>,
    /// Up to this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub at_most: Option<i64>,
}

impl CountDocument {
    /// What it means, of what is counted.
    pub(super) fn read(self, path: &str, what: Measure, reader: &mut Reader) -> Result<Condition, Fault> {
        let Self { at_least, at_most, exactly, reaches, every, of, within } = self;
        let is = comparison(path, [at_least, at_most, exactly, reaches, every], "every")?;
        if what == Measure::DaysSince && !matches!(is, Comparison::Within(_)) {
            let detail = "days pass without a purchase, so none brings them to a number; say `at_least`, `at_most` or \
                          `exactly`";
            return Err(Fault::contradiction(path, detail));
        }
        if let Some(word) = whole(what).filter(|_| within.is_some()) {
            let detail = format!("{word}: leave it out");
            return Err(Fault::contradiction(format!("{path}.within"), detail));
        }
        if what == Measure::Referrals && !of.is_empty() {
            let detail = "referrals are counted, not purchases: leave it out";
            return Err(Fault::contradiction(format!("{path}.of"), detail));
        }
        count(path, what, is, of, within, reader)
    }

    /// The document of a count.
    pub(super) fn of(count: &Count) -> Self {
        let mut document = Self::default();
        match count.is {
            Comparison::Within(Bounds { at_least: Some(least), at_most: Some(most) }) if least == most => {
                document.exactly = Some(least);
            }
            Comparison::Within(Bounds { at_least, at_most }) => {
                (document.at_least, document.at_most) = (at_least, at_most);
            }
            Comparison::Reaches(number) => document.reaches = Some(number),
            Comparison::Every(number) => document.every = Some(number),
        }
        if count.what != Measure::Referrals {
            document.of = count.of.iter().map(PurchaseConditionDocument::of).collect();
        }
        if whole(count.what).is_none() {
            document.within = WithinDocument::of(count.within);
        }
        document
    }
}

/// Why no window of time cuts a count; `None` when one may.
fn whole(what: Measure) -> Option<&'static str> {
    match what {
        Measure::DaysSince => Some("days are counted from the last purchase, whenever that was"),
        Measure::Referrals => Some("all referrals that qualified are counted"),
        _ => None,
    }
}

impl StreakDocument {
    /// What it means.
    pub(super) fn read(self, path: &str, reader: &mut Reader) -> Result<Condition, Fault> {
        let Self { every, at_least, at_most, exactly, reaches, each, of } = self;
        if every == PeriodWord::Ever {
            let detail = "must be `day`, `week`, `month` or `year`: `ever` has no next one";
            return Err(Fault::bad(format!("{path}.every"), detail));
        }
        let is = comparison(path, [at_least, at_most, exactly, reaches, each], "each")?;
        // It is as long as it is: a window could only cut it.
        count(path, Measure::Streak(every.period()), is, of, None, reader)
    }
}

fn count(
    path: &str,
    what: Measure,
    is: Comparison,
    of: Vec<PurchaseConditionDocument>,
    within: Option<WithinDocument>,
    reader: &mut Reader,
) -> Result<Condition, Fault> {
    check::at_most(&format!("{path}.of"), &of, OF_MAX)?;
    let of = of.into_iter().enumerate().map(|(place, test)| {
        reader.leaf();
        test.read(&format!("{path}.of[{place}]"))
    });
    let of = of.collect::<Result<_, _>>()?;
    let within = within.map(|within| within.read(&format!("{path}.within"))).transpose()?;
    let within = within.unwrap_or(Within::Calendar(Period::Ever));
    Ok(Condition::Count(Count { what, of, within, is }))
}

/// How a number compares, from `[at_least, at_most, exactly, reaches, every]`: one way alone.
fn comparison(path: &str, given: [Option<i64>; 5], every_key: &str) -> Result<Comparison, Fault> {
    let [at_least, at_most, exactly, reaches, every] = given;
    let ranged = at_least.or(at_most);
    let ways = [(ranged, "a range"), (exactly, "`exactly`"), (reaches, "`reaches`"), (every, every_key)];
    let said: Vec<_> =
        ways.iter().filter(|(number, _)| number.is_some()).map(|(_, way)| way.trim_matches('`')).collect();
    if said.len() > 1 {
        let detail = format!("compares in {} ways ({}); keep one", said.len(), said.join(", "));
        return Err(Fault::contradiction(path, detail));
    }
    let number = |key: &str, number, least| check_number(&format!("{path}.{key}"), number, least);
    match (exactly, reaches, every) {
        (Some(exactly), ..) => {
            let exactly = Some(number("exactly", exactly, 0)?);
            Ok(Comparison::Within(Bounds { at_least: exactly, at_most: exactly }))
        }
        (_, Some(reaches), _) => number("reaches", reaches, 1).map(Comparison::Reaches),
        (.., Some(every)) => number(every_key, every, 1).map(Comparison::Every),
        _ if ranged.is_none() => {
            let detail = format!(
                "must say how the number compares: `at_least`, `at_most`, `exactly`, `reaches` or `{every_key}`"
            );
            Err(Fault::bad(path, detail))
        }
        _ => bounds(path, at_least, at_most, ["at_least", "at_most"], 0).map(Comparison::Within),
    }
}

fn check_number(path: &str, number: i64, least: i64) -> Result<i64, Fault> {
    if (least..=check::MINOR_MAX).contains(&number) {
        return Ok(number);
    }
    Err(Fault::bad(path, format!("must be a whole number from {least} to {}, is {number}", check::MINOR_MAX)))
}

/// A range that some number lies in.
pub(super) fn bounds(
    path: &str,
    at_least: Option<i64>,
    at_most: Option<i64>,
    keys: [&str; 2],
    least: i64,
) -> Result<Bounds, Fault> {
    let number = |key: &str, given: Option<i64>| {
        given.map(|number| check_number(&format!("{path}.{key}"), number, least)).transpose()
    };
    let (at_least, at_most) = (number(keys[0], at_least)?, number(keys[1], at_most)?);
    match (at_least, at_most) {
        (None, None) => Err(Fault::bad(path, format!("must have `{}`, `{}` or both", keys[0], keys[1]))),
        (Some(least), Some(most)) if most < least => {
            let detail = format!("can never hold: must be at least `{}`, which is {least}", keys[0]);
            Err(Fault::contradiction(format!("{path}.{}", keys[1]), detail))
        }
        _ => Ok(Bounds { at_least, at_most }),
    }
}

impl WithinDocument {
    fn read(self, path: &str) -> Result<Within, Fault> {
        let word = match self {
            Self::Day => PeriodWord::Day,
            Self::Week => PeriodWord::Week,
            Self::Month => PeriodWord::Month,
            Self::Year => PeriodWord::Year,
            Self::Ever => PeriodWord::Ever,
            Self::Offer => return Ok(Within::Offer),
            Self::Days(days) if (1..=DAYS_MAX).contains(&days) => return Ok(Within::Days(days)),
            Self::Days(days) => {
                let detail = format!("must be 1 to {DAYS_MAX}, is {days}; for all time say \"ever\"");
                return Err(Fault::bad(format!("{path}.days"), detail));
            }
        };
        Ok(Within::Calendar(word.period()))
    }
    /// `None` is the default, all time.
    fn of(within: Within) -> Option<Self> {
        match within {
            Within::Calendar(period) => match PeriodWord::of(period) {
                PeriodWord::Day => Some(Self::Day),
                PeriodWord::Week => Some(Self::Week),
                PeriodWord::Month => Some(Self::Month),
                PeriodWord::Year => Some(Self::Year),
                PeriodWord::Ever => None,
            },
            Within::Days(days) => Some(Self::Days(days)),
            Within::Offer => Some(Self::Offer),
        }
    }
}
