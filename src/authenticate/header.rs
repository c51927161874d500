//! Reading headers that anyone may have written: once, short, printable, or denied.
//!
//! Must not trust anything it reads, and must never panic on it.

use super::Denied;
use crate::domain::Timestamp;
use hyper::{HeaderMap, header::HeaderName};

/// Longest header value looked at, in bytes; sixteen signatures fit well.
pub(super) const HEADER_BYTES_MAX: usize = 4096;
/// Most digits of a time in seconds: enough for the next 29,000 years.
const TIMESTAMP_DIGITS_MAX: usize = 12;

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
    if !value.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(Denied::MalformedHeader(name.as_str()));
    }
    std::str::from_utf8(value).map_err(|_| Denied::MalformedHeader(name.as_str()))
}

/// Whole seconds since 1970: digits alone, since `parse` would also take a `+`.
pub(super) fn seconds(text: &str) -> Result<i64, Denied> {
    let digits = (1..=TIMESTAMP_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits {
        return Err(Denied::TimestampMalformed);
    }
    text.parse().map_err(|_| Denied::TimestampMalformed)
}

/// Checks the age both ways, in whole seconds as the schemes' own libraries do.
/// A stamp from the future is refused too: it could be replayed for longer.
pub(super) fn in_time(signed_at_seconds: i64, now: Timestamp, age_seconds_max: u32) -> Result<(), Denied> {
    let age = now.as_seconds().saturating_sub(signed_at_seconds);
    let most = i64::from(age_seconds_max);
    if age > most {
        return Err(Denied::TooOld { seconds: age });
    }
    if age < -most {
        return Err(Denied::TooNew { seconds: age.saturating_neg() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_digits_and_nothing_else() {
        for (text, want) in [("0", 0), ("1614265330", 1_614_265_330), ("999999999999", 999_999_999_999)] {
            assert_eq!(seconds(text), Ok(want));
        }
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
            "9999999999999",
        ] {
            assert_eq!(seconds(text), Err(Denied::TimestampMalformed), "{text:?}");
        }
    }

    #[test]
    fn inv_01_age_is_checked_both_ways_and_its_edge_is_allowed() {
        let at = |seconds: i64| Timestamp::from_ms(seconds * 1000);
        for (now, want) in [
            (1000, Ok(())),
            (1300, Ok(())),
            (700, Ok(())),
            (1301, Err(Denied::TooOld { seconds: 301 })),
            (699, Err(Denied::TooNew { seconds: 301 })),
        ] {
            assert_eq!(in_time(1000, at(now), 300), want, "{now}");
        }
        assert_eq!(in_time(1000, Timestamp::from_ms(1_300_999), 300), Ok(()));
        assert_eq!(in_time(1000, at(1000), 0), Ok(()));
        for now in [i64::MIN, i64::MAX] {
            assert!(in_time(999_999_999_999, Timestamp::from_ms(now), u32::MAX).is_err());
        }
    }
}
