//! A UTC day, as people write it: `2026-11-21`.

use crate::domain::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Days since 1970-01-01, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(pub u32);

/// The text is no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a day such as 2026-11-21, in UTC")]
pub struct BadDay;

impl Day {
    /// The day of an instant.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        Self(at.day())
    }
    /// So many days before.
    #[must_use]
    pub fn before(self, days: u32) -> Self {
        Self(self.0.saturating_sub(days))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Timestamp::start_of_day(self.0).to_string();
        f.write_str(text.split('T').next().unwrap_or(&text))
    }
}

impl FromStr for Day {
    type Err = BadDay;
    fn from_str(text: &str) -> Result<Self, BadDay> {
        let fits = text.len() == 10 && text.is_ascii();
        let at = fits.then(|| Timestamp::parse_plain(&format!("{text}T00:00:00Z"))).flatten();
        at.map(Self::of).ok_or(BadDay)
    }
}

impl TryFrom<String> for Day {
    type Error = BadDay;
    fn try_from(text: String) -> Result<Self, BadDay> {
        text.parse()
    }
}
impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_written() {
        for (text, right) in [
            ("2026-11-21", true),
            ("1970-01-01", true),
            ("2026-2-1", false),
            ("2026-02-30", false),
            ("2026-11-21T00:00:00Z", false),
            ("20261121", false),
            ("١٩٧٠-01", false),
            ("", false),
        ] {
            let day = text.parse::<Day>();
            assert_eq!(day.map(|day| day.to_string()).ok().as_deref(), right.then_some(text), "{text}");
        }
        assert_eq!("1970-01-03".parse(), Ok(Day(2)));
        assert_eq!(Day(2).before(5), Day(0));
    }
}
