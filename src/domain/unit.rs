//! What a reward is counted in: money of a currency, points of a named unit, or perks.
//!
//! All three are whole numbers in the same books: a point and a perk have no smaller part, so
//! their "minor unit" is one of them.

use super::Currency;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest [`Code`], in bytes.
pub const CODE_BYTES_MAX: usize = 24;

/// A short name in the caller's words, as part of keys and pages: lower-case letters, digits
/// and inner dashes, up to [`CODE_BYTES_MAX`]. Kept inline, so it is passed like a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "compact_str::CompactString", into = "compact_str::CompactString")]
pub struct Code([u8; CODE_BYTES_MAX]);

/// The text is no [`Code`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a short name: 1 to {CODE_BYTES_MAX} lower-case letters, digits and dashes between them, such as free-coffee"
)]
pub struct BadCode(pub String);

impl Code {
    /// Checks and takes a text.
    ///
    /// # Errors
    /// [`BadCode`] for anything else.
    ///
    /// ```
    /// use ringfence::domain::Code;
    /// assert_eq!(Code::parse("free-coffee").unwrap().as_str(), "free-coffee");
    /// assert!(Code::parse("Free coffee").is_err() && Code::parse("-").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, BadCode> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = text.as_bytes();
        let ends = bytes.first().is_some_and(|b| plain(*b)) && bytes.last().is_some_and(|b| plain(*b));
        if !ends || bytes.len() > CODE_BYTES_MAX || !bytes.iter().all(|b| plain(*b) || *b == b'-') {
            return Err(BadCode(text.chars().take(2 * CODE_BYTES_MAX).collect()));
        }
        let mut code = [0; CODE_BYTES_MAX];
        code[..bytes.len()].copy_from_slice(bytes);
        Ok(Self(code))
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|b| *b == 0).unwrap_or(CODE_BYTES_MAX);
        std::str::from_utf8(&self.0[..end]).expect("checked by parse: ASCII")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
impl TryFrom<compact_str::CompactString> for Code {
    type Error = BadCode;
    fn try_from(text: compact_str::CompactString) -> Result<Self, BadCode> {
        Self::parse(&text)
    }
}
impl From<Code> for compact_str::CompactString {
    fn from(code: Code) -> Self {
        Self::new(code.as_str())
    }
}

/// What a reward is counted in. No two are ever added or converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Unit {
    /// Minor units of a currency.
    Money(Currency),
    /// Whole points of a named unit, which one merchant gives and takes.
    Points(Code),
    /// How many of a perk: something that is not money, under a code the merchant knows.
    Perk(Code),
}

impl Unit {
    /// The currency, when it is money.
    #[must_use]
    pub fn currency(self) -> Option<Currency> {
        match self {
            Self::Money(currency) => Some(currency),
            Self::Points(_) | Self::Perk(_) => None,
        }
    }
    /// An amount of it for a person: `5.00 USD`, `40 beans`, `1 bean`, `free-coffee`, `2 × free-coffee`.
    #[must_use]
    pub fn shown(self, amount: i64) -> String {
        match self {
            Self::Money(currency) => super::Money::new(amount, currency).to_string(),
            Self::Points(unit) if amount == 1 => format!("1 {}", one_of(unit.as_str())),
            Self::Points(unit) => format!("{amount} {unit}"),
            Self::Perk(code) if amount == 1 => code.to_string(),
            Self::Perk(code) => format!("{amount} × {code}"),
        }
    }
}

/// One of what is named in the plural; a name that ends otherwise is left as it is.
fn one_of(many: &str) -> &str {
    let plural = many.len() > 2 && !["ss", "us", "is", "ies"].iter().any(|ending| many.ends_with(ending));
    many.strip_suffix('s').filter(|_| plural).unwrap_or(many)
}

impl From<Currency> for Unit {
    fn from(currency: Currency) -> Self {
        Self::Money(currency)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Money(currency) => fmt::Display::fmt(currency, f),
            Self::Points(code) | Self::Perk(code) => fmt::Display::fmt(code, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_short_and_plain() {
        for good in ["a", "7", "free-coffee", "a2345678901234567890-bcd"] {
            assert_eq!(Code::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "A", "a b", "ä", "a\0", "a23456789012345678901234x"] {
            assert!(Code::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn units_are_shown_as_people_say_them() {
        let code = |text| Code::parse(text).unwrap();
        assert_eq!(Unit::Money(Currency::parse("USD").unwrap()).shown(500), "5.00 USD");
        assert_eq!(Unit::Points(code("beans")).shown(40), "40 beans");
        for (unit, one) in [("beans", "1 bean"), ("bonus", "1 bonus"), ("gold", "1 gold"), ("pennies", "1 pennies")] {
            assert_eq!(Unit::Points(code(unit)).shown(1), one);
        }
        assert_eq!(Unit::Perk(code("free-coffee")).shown(1), "free-coffee");
    }
}
