//! Money: integer minor units of one currency. The only place that rounds.
//!
//! Must not convert between currencies and must not use floats. ISO 4217
//! exponents are those of the active list plus the withdrawn codes that still
//! appear in old feeds; an unknown code is refused rather than guessed.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A three-letter ISO 4217 code, upper case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "compact_str::CompactString", into = "compact_str::CompactString")]
pub struct Currency([u8; 3]);

/// The text is no currency we know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an ISO 4217 currency code (three capital letters, such as USD)")]
pub struct UnknownCurrency(pub String);

/// Codes whose minor unit is not a hundredth, in order: (code, decimal digits).
const EXPONENTS: &[(&[u8; 3], u8)] = &[
    (b"BHD", 3),
    (b"BIF", 0),
    (b"CLF", 4),
    (b"CLP", 0),
    (b"DJF", 0),
    (b"GNF", 0),
    (b"IQD", 3),
    (b"ISK", 0),
    (b"JOD", 3),
    (b"JPY", 0),
    (b"KMF", 0),
    (b"KRW", 0),
    (b"KWD", 3),
    (b"LYD", 3),
    (b"OMR", 3),
    (b"PYG", 0),
    (b"RWF", 0),
    (b"TND", 3),
    (b"UGX", 0),
    (b"UYI", 0),
    (b"UYW", 4),
    (b"VND", 0),
    (b"VUV", 0),
    (b"XAF", 0),
    (b"XOF", 0),
    (b"XPF", 0),
];

/// Every code with two decimals, in order, three letters each.
const CENTS: &str = "AEDAFNALLAMDAOAARSAUDAWGAZNBAMBBDBDTBMDBNDBOBBOVBRLBSDBTNBWPBYNBZDCADCDFCHECHFCHWCNYCOPCOUCRCCUPCVECZKDKKDOPDZDEGPERNETBEURFJDFKPGBPGELGHSGIPGMDGTQGYDHKDHNLHTGHUFIDRILSINRIRRJMDKESKGSKHRKPWKYDKZTLAKLBPLKRLRDLSLMADMDLMGAMKDMMKMNTMOPMRUMURMVRMWKMXNMXVMYRMZNNADNGNNIONOKNPRNZDPABPENPGKPHPPKRPLNQARRONRSDRUBSARSBDSCRSDGSEKSGDSHPSLESOSSRDSSPSTNSVCSYPSZLTHBTJSTMTTOPTRYTTDTWDTZSUAHUSDUSNUYUUZSVEDVESWSTXADXCDXCGYERZARZMWZWG";

impl Currency {
    /// Parses an upper-case alphabetic code.
    ///
    /// # Errors
    /// [`UnknownCurrency`] when the code is not on the list.
    ///
    /// ```
    /// use ringfence::domain::Currency;
    /// assert_eq!(Currency::parse("JPY").unwrap().exponent(), 0);
    /// assert!(Currency::parse("usd").is_err());
    /// ```
    pub fn parse(code: &str) -> Result<Self, UnknownCurrency> {
        let bytes: [u8; 3] = code.as_bytes().try_into().map_err(|_| UnknownCurrency(code.to_owned()))?;
        // Most amounts are in one of few; the lists have the rest.
        let known = matches!(&bytes, b"USD" | b"EUR" | b"GBP")
            || CENTS.as_bytes().as_chunks().0.binary_search(&bytes).is_ok()
            || EXPONENTS.binary_search_by_key(&&bytes, |(c, _)| c).is_ok();
        if known { Ok(Self(bytes)) } else { Err(UnknownCurrency(code.to_owned())) }
    }

    /// Decimal digits of the minor unit: 2 for USD, 0 for JPY, 3 for KWD.
    #[must_use]
    pub fn exponent(self) -> u8 {
        EXPONENTS.iter().find(|(c, _)| **c == self.0).map_or(2, |(_, e)| *e)
    }

    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked by parse: ASCII letters")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl TryFrom<compact_str::CompactString> for Currency {
    type Error = UnknownCurrency;
    fn try_from(code: compact_str::CompactString) -> Result<Self, UnknownCurrency> {
        Self::parse(&code)
    }
}
impl From<Currency> for compact_str::CompactString {
    fn from(currency: Currency) -> Self {
        compact_str::CompactString::new(currency.as_str())
    }
}

/// An amount in minor units of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Money {
    /// Minor units (cents for USD, yen for JPY).
    pub minor: i64,
    /// The currency those units are of.
    pub currency: Currency,
}

impl Money {
    /// Pairs an amount with its currency.
    #[must_use]
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }
}

impl fmt::Display for Money {
    /// `42.50 USD`, `4250 JPY`, with the currency's own number of decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = usize::from(self.currency.exponent());
        let sign = if self.minor < 0 { "-" } else { "" };
        let units = self.minor.unsigned_abs();
        let scale = 10_u64.pow(u32::from(self.currency.exponent()));
        if digits == 0 {
            write!(f, "{sign}{units} {}", self.currency)
        } else {
            write!(f, "{sign}{}.{:0digits$} {}", units / scale, units % scale, self.currency)
        }
    }
}

/// A rate in hundredths of a percent: 500 is 5 percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BasisPoints(pub u32);

impl BasisPoints {
    /// All of it.
    pub const WHOLE: Self = Self(10_000);

    /// The rate's share of an amount, rounded down to the minor unit.
    /// A negative amount has no share.
    ///
    /// ```
    /// use ringfence::domain::BasisPoints;
    /// assert_eq!(BasisPoints(500).of_floor(4259), 212);
    /// ```
    #[must_use]
    pub fn of_floor(self, minor: i64) -> i64 {
        if minor <= 0 {
            return 0;
        }
        let share = i128::from(minor) * i128::from(self.0) / 10_000;
        i64::try_from(share).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_each_exponent() {
        for (minor, code, text) in [
            (4250, "USD", "42.50 USD"),
            (-5, "EUR", "-0.05 EUR"),
            (4250, "JPY", "4250 JPY"),
            (1, "KWD", "0.001 KWD"),
            (12_345, "CLF", "1.2345 CLF"),
        ] {
            let money = Money::new(minor, Currency::parse(code).unwrap());
            assert_eq!(money.to_string(), text);
        }
    }

    #[test]
    fn every_listed_code_parses_to_itself() {
        for chunk in CENTS.as_bytes().chunks_exact(3) {
            let code = std::str::from_utf8(chunk).unwrap();
            assert_eq!(Currency::parse(code).unwrap().as_str(), code);
        }
        for (code, exponent) in EXPONENTS {
            let code = std::str::from_utf8(*code).unwrap();
            assert_eq!(Currency::parse(code).unwrap().exponent(), *exponent, "{code}");
        }
        assert!(Currency::parse("XXX").is_err());
        assert!(Currency::parse("US").is_err());
    }

    #[test]
    fn shares_floor_and_never_overflow() {
        assert_eq!(BasisPoints(1).of_floor(9_999), 0);
        assert_eq!(BasisPoints(10_000).of_floor(i64::MAX), i64::MAX);
        assert_eq!(BasisPoints(500).of_floor(-100), 0);
    }
}
