//! Reading headers that anyone may have written: once, short, printable, or denied.
//!
//! Must not trust anything it reads, and must never panic on it.

use super::Denied;
use crate::domain::Timestamp;
use hyper::{HeaderMap, header::HeaderName};

/// Longest header value looked at, in bytes; sixteen signatures fit well.
pub(super) const HEADER_BYTES_MAX: usize = 4096;
/// Most digits of a time in seconds: enough for the next 29,000 years.
const SECONDS_DIGITS_MAX: usize = 12;
/// Most digits of a time in milliseconds: as far.
const MILLISECONDS_DIGITS_MAX: usize = 15;

/// The one value of a header, printable ASCII.
///
/// Two of a name are refused: whoever stands between us and the sender might have
/// looked at the other one.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &'static HeaderName) -> Result<&'a str, Denied> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(Denied::MissingHeader(name.as_str()))?.as_bytes();
    if values.next().is_some() || value.is_empty() || value.len() > HEADER_BYTES_MAX {
        return Err(Denied::MalformedHeader(name.as_str()));
    }
    // All of them, whatever the first says: so many bytes are looked at in one step.
    if !value.iter().fold(true, |printable, byte| printable & matches!(byte, b' '..=b'~')) {
        return Err(Denied::MalformedHeader(name.as_str()));
    }
    std::str::from_utf8(value).map_err(|_| Denied::MalformedHeader(name.as_str()))
}

/// A time as the sender signed it, no finer than its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SignedAt {
    ms: i64,
    unit_ms: i64,
}

impl SignedAt {
    /// The instant.
    pub(super) fn timestamp(self) -> Timestamp {
        Timestamp::from_ms(self.ms)
    }
}

/// Whole seconds since 1970.
pub(super) fn seconds(text: &str) -> Result<SignedAt, Denied> {
    whole(text, SECONDS_DIGITS_MAX, 1000)
}

/// Whole milliseconds since 1970.
pub(super) fn milliseconds(text: &str) -> Result<SignedAt, Denied> {
    whole(text, MILLISECONDS_DIGITS_MAX, 1)
}

/// Digits alone, since `parse` would also take a `+`.
fn whole(text: &str, digits_max: usize, unit_ms: i64) -> Result<SignedAt, Denied> {
    let digits = (1..=digits_max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse::<i64>().ok() } else { None };
    let ms = number.and_then(|number| number.checked_mul(unit_ms)).ok_or(Denied::TimestampMalformed)?;
    Ok(SignedAt { ms, unit_ms })
}

/// Checks the age both ways, in the scheme's own unit as its libraries do.
/// A stamp from the future is refused too: it could be replayed for longer.
pub(super) fn in_time(signed_at: SignedAt, now: Timestamp, age_seconds_max: u32) -> Result<(), Denied> {
    let now = now.as_ms().div_euclid(signed_at.unit_ms).saturating_mul(signed_at.unit_ms);
    let age_ms = now.saturating_sub(signed_at.ms);
    let most_ms = i64::from(age_seconds_max) * 1000;
    // Rounded away from zero, so that the reason never names an age that is allowed.
    let whole_seconds = |ms: i64| ms.saturating_add(999) / 1000;
    if age_ms > most_ms {
        return Err(Denied::TooOld { seconds: whole_seconds(age_ms) });
    }
    if age_ms < -most_ms {
        return Err(Denied::TooNew { seconds: whole_seconds(age_ms.saturating_neg()) });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_digits_and_nothing_else() {
        for (text, want) in [("0", 0), ("1614265330", 1_614_265_330), ("999999999999", 999_999_999_999)] {
            assert_eq!(seconds(text).map(|at| at.timestamp()), Ok(Timestamp::from_ms(want * 1000)));
            assert_eq!(milliseconds(text).map(|at| at.timestamp()), Ok(Timestamp::from_ms(want)));
        }
        assert!(milliseconds("999999999999999").is_ok());
        assert_eq!(milliseconds("1000000000000000"), Err(Denied::TimestampMalformed));
        for text in [
            "",
            " 1",
            "1 ",
            "+1",
            "-1",
            "1.0",
            "1e9",
            "0x10",
            "1_000",
            "1,000",
            "１",
            "٣",
            "1\n",
            "NaN",
            "1614265330000000",
        ] {
            assert_eq!(seconds(text), Err(Denied::TimestampMalformed), "{text:?}");
            assert_eq!(milliseconds(text), Err(Denied::TimestampMalformed), "{text:?}");
        }
        assert_eq!(seconds("9999999999999"), Err(Denied::TimestampMalformed));
    }

    #[test]
    fn inv_01_age_is_checked_both_ways_and_its_edge_is_allowed() {
        let at = |seconds: i64| Timestamp::from_ms(seconds * 1000);
        let signed = seconds("1000").unwrap();
        for (now, want) in [
            (1000, Ok(())),
            (1300, Ok(())),
            (700, Ok(())),
            (1301, Err(Denied::TooOld { seconds: 301 })),
            (699, Err(Denied::TooNew { seconds: 301 })),
        ] {
            assert_eq!(in_time(signed, at(now), 300), want, "{now}");
        }
        assert_eq!(in_time(signed, Timestamp::from_ms(1_300_999), 300), Ok(()));
        assert_eq!(in_time(signed, at(1000), 0), Ok(()));
        for now in [i64::MIN, i64::MAX] {
            for far in [seconds("999999999999").unwrap(), milliseconds("999999999999999").unwrap()] {
                assert!(in_time(far, Timestamp::from_ms(now), u32::MAX).is_err());
            }
        }
        // Milliseconds are not rounded in anybody's favour.
        let signed = milliseconds("1000000").unwrap();
        for (now, want) in [
            (1_300_000, Ok(())),
            (1_300_001, Err(Denied::TooOld { seconds: 301 })),
            (700_000, Ok(())),
            (699_999, Err(Denied::TooNew { seconds: 301 })),
        ] {
            assert_eq!(in_time(signed, Timestamp::from_ms(now), 300), want, "{now}");
        }
    }
}
