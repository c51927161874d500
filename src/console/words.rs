//! Times, counts and sums as pages say them.

use crate::domain::Timestamp;
use crate::domain::time::DAY_MS;
use crate::engine::derived::{DOMAIN, NETWORK};
use jiff::tz::TimeZone;

/// An instant for people, in UTC.
pub(super) fn when(at: Timestamp) -> String {
    at.local(&TimeZone::UTC).strftime("%-d %b %Y, %H:%M").to_string()
}

/// A day for people, in UTC.
pub(super) fn day(at: Timestamp) -> String {
    at.local(&TimeZone::UTC).strftime("%-d %b %Y").to_string()
}

/// How long ago something was.
pub(super) fn age(at: Timestamp, now: Timestamp) -> String {
    let ms = now.as_ms().saturating_sub(at.as_ms()).max(0);
    match ms {
        ..60_000 => "now".to_owned(),
        60_000..3_600_000 => format!("{} min", ms / 60_000),
        3_600_000..DAY_MS => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / DAY_MS),
    }
}

/// How long ago something was, as a sentence says it.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    match age(at, now) {
        now if now == "now" => "just now".to_owned(),
        age => format!("{age} ago"),
    }
}

/// A span of so many seconds.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Who did something: a user by name, a key, or screening.
pub(super) fn by(id: &str) -> String {
    match id.strip_prefix('@') {
        Some(name) => name.to_owned(),
        None if id == crate::cases::SCREENING => id.to_owned(),
        None => format!("key {id}"),
    }
}

/// So many of something, whose plural takes an s.
pub(super) fn count(number: usize, of: &str) -> String {
    if number == 1 { format!("1 {of}") } else { format!("{number} {of}s") }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A kind of identifier for people.
pub(super) fn kind(kind: &str) -> String {
    match kind {
        "payout" => "payout account".to_owned(),
        "ip" => "network address".to_owned(),
        "email" => "e-mail address".to_owned(),
        "phone" => "phone number".to_owned(),
        DOMAIN => "e-mail domain".to_owned(),
        NETWORK => "network".to_owned(),
        other => other.replace(['_', '-'], " "),
    }
}

/// A word of ours for people.
pub(super) fn plain(word: &str) -> String {
    word.replace(['_', '-'], " ")
}

/// A score, or that it is hidden until somebody has judged.
pub(super) fn score(score: Option<u16>) -> String {
    score.map_or_else(|| "hidden".to_owned(), |score| score.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_lists_are_said_as_people_say_them() {
        let at = Timestamp::parse("2026-11-02T09:05:00Z").unwrap();
        assert_eq!(when(at), "2 Nov 2026, 09:05");
        for (ms, said) in [(0, "now"), (60_000, "1 min"), (2 * 3_600_000, "2 h"), (3 * DAY_MS, "3 d")] {
            assert_eq!(age(at, at.plus_ms(ms)), said);
        }
        assert_eq!(
            [ago(at, at), ago(at, at.plus_ms(60_000)), span(90), span(7_200)],
            ["just now", "1 min ago", "90 s", "2 h"]
        );
        let texts = |all: &[&str]| list(&all.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!([texts(&[]), texts(&["a"]), texts(&["a", "b", "c"])], ["", "a", "a, b and c"]);
        assert_eq!([by("@anna"), by("abcdefghijkl"), by("screening")], ["anna", "key abcdefghijkl", "screening"]);
        assert_eq!(count(1, "device") + &count(2, "device"), "1 device2 devices");
    }
}
