//! Instants as milliseconds since 1970 UTC, and their local readings.
//!
//! Must not read a clock: time is an argument everywhere (`clock::Clock` is the
//! one place that asks the machine).

use jiff::civil;
use jiff::tz::{Offset, TimeZone};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Milliseconds in a day of 24 hours.
pub const DAY_MS: i64 = 86_400_000;

/// An instant: milliseconds since 1970-01-01T00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(i64);

// Journal and state hold the integer (6 bytes); people read and write RFC 3339.
impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}
impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            Self::parse(&text).map_err(serde::de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(Self)
        }
    }
}

/// The text is no RFC 3339 instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an RFC 3339 instant with a zone, such as 2026-11-21T19:56:00Z, between 1970 and 9999")]
pub struct BadTimestamp(pub String);

impl Timestamp {
    /// The far end of time, for "never".
    pub const MAX: Self = Self(253_402_207_200_000 - 1);

    /// From milliseconds since 1970.
    #[must_use]
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }
    /// Milliseconds since 1970.
    #[must_use]
    pub const fn as_ms(self) -> i64 {
        self.0
    }
    /// Whole seconds since 1970.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
    /// Parses `YYYY-MM-DDThh:mm:ssZ`, with or without up to nine digits of a fraction, which
    /// nearly every sender writes, at a fraction of the price of [`Self::parse`]; `None` for
    /// whatever else, right or wrong. Finer than a millisecond is cut off.
    #[must_use]
    pub fn parse_plain(text: &str) -> Option<Self> {
        let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', i1, i2, b':', s1, s2, ref end @ ..] =
            text.as_bytes()
        else {
            return None;
        };
        let fraction = match end {
            b"Z" => 0,
            [b'.', digits @ .., b'Z'] => milliseconds(digits)?,
            _ => return None,
        };
        let two = |tens: u8, ones: u8| {
            let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
            if digits { i8::try_from((tens - b'0') * 10 + (ones - b'0')).ok() } else { None }
        };
        let year = i16::from(two(y1, y2)?) * 100 + i16::from(two(y3, y4)?);
        let time = civil::DateTime::new(year, two(m1, m2)?, two(d1, d2)?, two(h1, h2)?, two(i1, i2)?, two(s1, s2)?, 0);
        let ms = Offset::UTC.to_timestamp(time.ok()?).ok()?.as_millisecond() + fraction;
        (0..=Self::MAX.0).contains(&ms).then_some(Self(ms))
    }
    /// Parses RFC 3339 with a zone; finer than a millisecond is cut off.
    ///
    /// # Errors
    /// [`BadTimestamp`] when the text is anything else.
    pub fn parse(text: &str) -> Result<Self, BadTimestamp> {
        let stamp: jiff::Timestamp = text.parse().map_err(|_| BadTimestamp(text.to_owned()))?;
        let ms = stamp.as_millisecond();
        if (0..=Self::MAX.0).contains(&ms) { Ok(Self(ms)) } else { Err(BadTimestamp(text.to_owned())) }
    }
    /// This instant moved by whole days of 24 hours; stays within the range.
    #[must_use]
    pub fn plus_days(self, days: u32) -> Self {
        Self(self.0.saturating_add(i64::from(days) * DAY_MS).min(Self::MAX.0))
    }
    /// This instant moved by milliseconds.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms).clamp(0, Self::MAX.0))
    }
    /// Days since 1970-01-01, UTC.
    #[must_use]
    pub fn day(self) -> u32 {
        u32::try_from(self.0.div_euclid(DAY_MS)).unwrap_or(0)
    }
    /// Midnight UTC that begins the given day since 1970-01-01.
    #[must_use]
    pub fn start_of_day(day: u32) -> Self {
        Self(i64::from(day) * DAY_MS)
    }
    /// What a wall clock in the zone shows.
    #[must_use]
    pub fn local(self, zone: &TimeZone) -> civil::DateTime {
        zone.to_datetime(self.to_jiff())
    }
    /// The instant at which a wall clock in the zone shows the given time. In a
    /// gap (clocks go forward) the later reading, in a fold the earlier instant.
    #[must_use]
    pub fn from_local(local: civil::DateTime, zone: &TimeZone) -> Self {
        zone.to_ambiguous_timestamp(local).compatible().map_or(Self::MAX, |stamp| Self(stamp.as_millisecond()))
    }
    /// The instant meant by a wall clock in the zone that showed this, read as if it
    /// were UTC.
    #[must_use]
    pub fn read_locally(self, zone: &TimeZone) -> Self {
        Self::from_local(self.local(&TimeZone::UTC), zone)
    }
    fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::MAX)
    }
}

/// The milliseconds of a fraction of a second, from its digits.
fn milliseconds(digits: &[u8]) -> Option<i64> {
    let right = (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let shown = digits.iter().chain(b"00").take(3);
    right.then(|| shown.fold(0, |ms, digit| ms * 10 + i64::from(digit - b'0')))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_jiff(), f)
    }
}
impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A civil date as days since 1970-01-01, compact enough to keep per purchase.
#[must_use]
pub fn civil_day(date: civil::Date) -> i32 {
    let epoch = civil::date(1970, 1, 1);
    epoch.until(date).map_or(0, |span| span.get_days())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parses_and_prints() {
        for (text, back) in [
            ("2026-11-21T19:56:00Z", Some("2026-11-21T19:56:00Z")),
            ("2026-11-21T19:56:00.1239+02:00", Some("2026-11-21T17:56:00.123Z")),
            ("2026-11-21T19:56:00", None),
            ("1969-12-31T23:59:59Z", None),
            ("nonsense", None),
        ] {
            assert_eq!(Timestamp::parse(text).ok().map(|t| t.to_string()).as_deref(), back, "{text}");
        }
    }

    #[test]
    fn local_time_is_right_across_a_change_of_clocks() {
        let zone = TimeZone::get("America/New_York").unwrap();
        let before = Timestamp::parse("2026-03-08T06:59:59Z").unwrap();
        let after = Timestamp::parse("2026-03-08T07:00:00Z").unwrap();
        assert_eq!(before.local(&zone).to_string(), "2026-03-08T01:59:59");
        assert_eq!(after.local(&zone).to_string(), "2026-03-08T03:00:00");
        assert_eq!(Timestamp::from_local(after.local(&zone), &zone), after);
        assert_eq!(civil_day(civil::date(1970, 1, 2)), 1);
    }

    proptest! {
        #[test]
        fn the_plain_form_means_what_every_form_means(
            text in "(19[67]|20[0-9]|99[89])[0-9]-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](Z|z|\\+00:00|\\.[0-9]{0,11}Z|\\.5z)?",
        ) {
            if let Some(plain) = Timestamp::parse_plain(&text) {
                prop_assert_eq!(Timestamp::parse(&text), Ok(plain));
            }
        }

        #[test]
        fn what_is_printed_is_plain(ms in 0..=Timestamp::MAX.as_ms()) {
            let stamp = Timestamp::from_ms(ms);
            prop_assert_eq!(Timestamp::parse_plain(&stamp.to_string()), Some(stamp));
        }
    }
}
