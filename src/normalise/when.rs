//! Times in ISO 8601 as networks write them: with a zone, without one (the shop's wall
//! clock), or only a day.

use super::Problem;
use super::field::{self, Scalar, problem};
use crate::domain::Timestamp;
use crate::domain::card_event::Clock;
use jiff::civil;

/// A time as far as it was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct When {
    /// The instant, or the wall clock's reading as if it were UTC.
    pub(super) at: Timestamp,
    /// Which of the two.
    pub(super) clock: Clock,
    /// False when only the day was said.
    pub(super) time_known: bool,
}

impl When {
    /// An instant.
    pub(super) fn instant(at: Timestamp) -> Self {
        Self { at, clock: Clock::Utc, time_known: true }
    }
    /// A wall clock's reading in the shop, or `None` outside the years 1970 to 9998.
    pub(super) fn wall(local: civil::DateTime) -> Option<Self> {
        let in_range = (1970..=9998).contains(&local.year());
        in_range.then(|| Self {
            at: Timestamp::from_local(local, &jiff::tz::TimeZone::UTC),
            clock: Clock::Local,
            time_known: true,
        })
    }
    /// A day in the shop; its time is not known.
    pub(super) fn day(date: civil::Date) -> Option<Self> {
        Self::wall(date.to_datetime(civil::Time::midnight())).map(|when| Self { time_known: false, ..when })
    }
}

/// `2026-11-21T19:56:00Z`, `…+02:00`, `…+0200`, with or without a fraction; the same without
/// a zone; a blank in place of the T; or `2026-11-21` alone. `None` when absent, null or
/// empty.
pub(super) fn when(raw: &Scalar<'_>, path: &str) -> Result<Option<When>, Problem> {
    let Some(text) = raw.text(path)? else { return Ok(None) };
    let text = field::trimmed(text);
    if text.is_empty() {
        return Ok(None);
    }
    if let Some(at) = Timestamp::parse_plain(text) {
        return Ok(Some(When::instant(at)));
    }
    read(text).map(Some).ok_or_else(|| {
        let detail = format!(
            "{} is not a time in ISO 8601, such as 2026-11-21T19:56:00Z, between 1970 and 9999",
            field::echo(text)
        );
        problem("bad_time", path, detail)
    })
}

fn read(text: &str) -> Option<When> {
    if !text.is_ascii() {
        return None;
    }
    let date: civil::Date = digits_date(text.get(..10)?)?;
    let rest = &text[10..];
    let Some(rest) = rest.strip_prefix(['T', 't', ' ']) else {
        return if rest.is_empty() { When::day(date) } else { None };
    };
    let split = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(split);
    let time = digits_time(clock)?;
    let wall = When::wall(date.to_datetime(time))?;
    if zone.is_empty() {
        return Some(wall);
    }
    let minutes = offset_minutes(zone)?;
    let ms = wall.at.as_ms().checked_sub(minutes * 60_000)?;
    (0..=Timestamp::MAX.as_ms()).contains(&ms).then(|| When::instant(Timestamp::from_ms(ms)))
}

fn digits_date(text: &str) -> Option<civil::Date> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let year = number(&text[..4])?;
    civil::Date::new(
        i16::try_from(year).ok()?,
        i8::try_from(number(&text[5..7])?).ok()?,
        i8::try_from(number(&text[8..])?).ok()?,
    )
    .ok()
}

/// `hh:mm`, `hh:mm:ss` or `hh:mm:ss.f…`; finer than a millisecond is cut off.
fn digits_time(text: &str) -> Option<civil::Time> {
    let (clock, fraction) = text.split_once('.').map_or((text, None), |(clock, fraction)| (clock, Some(fraction)));
    let mut parts = clock.split(':');
    let mut part = || parts.next().filter(|part| part.len() == 2).and_then(number).and_then(|n| i8::try_from(n).ok());
    let (hour, minute) = (part()?, part()?);
    let second = if clock.len() > 5 { part()? } else { 0 };
    let ms = match fraction {
        None => 0,
        Some(fraction) if (1..=12).contains(&fraction.len()) && clock.len() == 8 => {
            number(fraction)?;
            fraction.bytes().chain("00".bytes()).take(3).fold(0_i32, |ms, digit| ms * 10 + i32::from(digit - b'0'))
        }
        Some(_) => return None,
    };
    if parts.next().is_some() {
        return None;
    }
    civil::Time::new(hour, minute, second, ms * 1_000_000).ok()
}

/// `Z`, `±hh:mm`, `±hhmm` or `±hh`, in minutes east.
fn offset_minutes(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, rest) = text.split_at_checked(1)?;
    let (hours, minutes) = match rest.len() {
        2 => (rest, "00"),
        4 => rest.split_at(2),
        5 if rest.as_bytes()[2] == b':' => (&rest[..2], &rest[3..]),
        _ => return None,
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let in_range = hours <= 18 && minutes < 60;
    let east = i64::try_from(hours * 60 + minutes).ok()?;
    in_range.then_some(if sign == "-" { -east } else { east })
}

fn number(text: &str) -> Option<u64> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Option<(String, Clock, bool)> {
        let raw = Scalar::Text(text.into());
        let when = when(&raw, "t").ok()??;
        Some((when.at.to_string(), when.clock, when.time_known))
    }

    #[test]
    fn every_published_form() {
        for (text, at, clock, known) in [
            ("2026-11-21T19:56:00Z", "2026-11-21T19:56:00Z", Clock::Utc, true),
            ("2019-03-12T19:12:01.744Z", "2019-03-12T19:12:01.744Z", Clock::Utc, true),
            ("2020-06-02T15:46:00+00:00", "2020-06-02T15:46:00Z", Clock::Utc, true),
            ("2020-06-02T15:46:00+0200", "2020-06-02T13:46:00Z", Clock::Utc, true),
            ("2020-06-02T15:46:00-05", "2020-06-02T20:46:00Z", Clock::Utc, true),
            ("2020-06-02T15:46Z", "2020-06-02T15:46:00Z", Clock::Utc, true),
            ("2019-03-12T19:12:01", "2019-03-12T19:12:01Z", Clock::Local, true),
            ("2019-03-12T19:12:01.5", "2019-03-12T19:12:01.5Z", Clock::Local, true),
            ("2022-10-14 12:52:24", "2022-10-14T12:52:24Z", Clock::Local, true),
            ("2022-10-14", "2022-10-14T00:00:00Z", Clock::Local, false),
            ("2022-10-14T12:52:24.1234567Z", "2022-10-14T12:52:24.123Z", Clock::Utc, true),
        ] {
            assert_eq!(of(text), Some((at.to_owned(), clock, known)), "{text}");
        }
        for text in [
            "2022-13-14",
            "2022-02-30",
            "2022-1-2",
            "20221014",
            "2022-10-14T",
            "2022-10-14T12",
            "2022-10-14T25:00:00Z",
            "2022-10-14T12:60:00Z",
            "2022-10-14T12:52:24.Z",
            "2022-10-14T12:52:24+99:00",
            "2022-10-14T12:52:24 Z",
            "soon",
            "1969-12-31T23:59:59Z",
            "9999-12-31T23:59:59-18:00",
            "2022-10-14T12:52:24+",
            "２022-10-14",
            "2022-10-14T12:52:24:00",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".*") {
            let _ = of(&text);
        }
        #[test]
        fn what_we_write_is_read_back(ms in 0_i64..250_000_000_000_000) {
            let at = Timestamp::from_ms(ms);
            prop_assert_eq!(of(&at.to_string()), Some((at.to_string(), Clock::Utc, true)));
        }
    }
}
