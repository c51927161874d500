//! Local dates and times as documents say them.

use crate::api::check::{self, Fault};
use crate::domain::offer::LocalTime;
use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use utoipa::ToSchema;

/// Minutes of a day.
const MINUTES_PER_DAY: u16 = 24 * 60;
/// Days of a week, Monday first.
const WEEK: [Weekday; 7] =
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

/// A window of the shop's local time. One that ends before it begins runs over midnight
/// and belongs to the day it began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct LocalTimeDocument {
    /// Without it every day.
    #[serde(default = "every_day")]
    pub days: Vec<Weekday>,
    /// From this minute on; without it midnight.
    #[serde(default = "midnight")]
    #[schema(example = "06:00")]
    pub from: String,
    /// Before this minute; without it midnight.
    #[serde(default = "end_of_day")]
    #[schema(example = "12:00")]
    pub to: String,
}

fn every_day() -> Vec<Weekday> {
    WEEK.to_vec()
}

fn midnight() -> String {
    "00:00".to_owned()
}

fn end_of_day() -> String {
    "24:00".to_owned()
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "days need no words")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// Local dates, both ends included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct DatesDocument {
    /// The first.
    #[schema(example = "2026-12-24", format = Date)]
    pub from: String,
    /// The last; without it the same day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-12-26", format = Date)]
    pub to: Option<String>,
}

impl DatesDocument {
    /// What it means.
    pub(super) fn read(self, path: &str) -> Result<RangeInclusive<jiff::civil::Date>, Fault> {
        let from = date(&format!("{path}.from"), &self.from)?;
        let to = self.to.map(|text| date(&format!("{path}.to"), &text)).transpose()?.unwrap_or(from);
        if to < from {
            let detail = format!("can never hold: must not be before `from`, which is {from}");
            return Err(Fault::contradiction(format!("{path}.to"), detail));
        }
        Ok(from..=to)
    }
    /// The document of a range.
    pub(super) fn of(range: &RangeInclusive<jiff::civil::Date>) -> Self {
        Self { from: range.start().to_string(), to: Some(range.end().to_string()) }
    }
}

impl LocalTimeDocument {
    /// What it means.
    pub(super) fn read(self, path: &str) -> Result<LocalTime, Fault> {
        let mut days = 0_u8;
        for (place, day) in self.days.iter().enumerate() {
            let bit = 1 << WEEK.iter().position(|other| other == day).expect("the week has every day");
            if days & bit != 0 {
                return Err(Fault::contradiction(format!("{path}.days[{place}]"), "this day is given twice"));
            }
            days |= bit;
        }
        if days == 0 {
            return Err(Fault::bad(format!("{path}.days"), "must name at least one day; leave it out for every day"));
        }
        let from_minute = local_minute(&format!("{path}.from"), &self.from)?;
        let to_minute = local_minute(&format!("{path}.to"), &self.to)?;
        if from_minute == MINUTES_PER_DAY {
            return Err(Fault::bad(format!("{path}.from"), "24:00 is only an end; a window begins at 00:00"));
        }
        if from_minute == to_minute {
            return Err(Fault::contradiction(
                format!("{path}.to"),
                "the window has no minutes; a whole day is 00:00 to 24:00",
            ));
        }
        Ok(LocalTime { days, from_minute, to_minute })
    }
    /// The document of a window.
    pub(super) fn of(window: LocalTime) -> Self {
        let days = WEEK.iter().enumerate().filter(|(bit, _)| window.days & (1 << bit) != 0);
        Self { days: days.map(|(_, day)| *day).collect(), from: clock(window.from_minute), to: clock(window.to_minute) }
    }
}

/// The minute of the day that `HH:MM` names, `24:00` included.
fn local_minute(path: &str, text: &str) -> Result<u16, Fault> {
    let digits = |text: &str| {
        let plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse::<u16>().ok()).flatten()
    };
    let parts = text.split_once(':').and_then(|(hour, minute)| Some((digits(hour)?, digits(minute)?)));
    let minutes = parts.filter(|(_, minute)| *minute < 60).map(|(hour, minute)| hour * 60 + minute);
    let detail = format!("`{}` is not a time of day, such as 06:00, 23:59 or 24:00", check::quoted(text));
    minutes.filter(|minutes| *minutes <= MINUTES_PER_DAY).ok_or_else(|| Fault::bad(path, detail))
}

fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// A local date and time: one with a zone would be somebody else's clock.
pub(super) fn local(path: &str, text: &str) -> Result<DateTime, Fault> {
    let zoned = text.contains(['Z', 'z', '+', '['])
        || text.rfind('-').is_some_and(|at| text.find(['T', 't', ' ']).is_some_and(|t| t < at));
    let parsed = (!zoned && text.len() <= 32).then(|| text.parse::<DateTime>().ok()).flatten();
    parsed.ok_or_else(|| {
        let quoted = check::quoted(text);
        let detail = format!("`{quoted}` is not a local date and time without a zone, such as 2026-11-01T00:00");
        Fault::bad(path, detail)
    })
}

/// A date.
fn date(path: &str, text: &str) -> Result<Date, Fault> {
    let parsed = (text.len() == 10).then(|| text.parse::<Date>().ok()).flatten();
    parsed.ok_or_else(|| Fault::bad(path, format!("`{}` is not a date, such as 2026-12-24", check::quoted(text))))
}

/// A local date and time as documents say it.
pub(super) fn shown_local(local: DateTime) -> String {
    let whole_minute = local.second() == 0 && local.subsec_nanosecond() == 0;
    if whole_minute { local.strftime("%Y-%m-%dT%H:%M").to_string() } else { local.to_string() }
}
