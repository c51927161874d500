//! Amounts in major units, read from their digits: `100`, `10.17`, `"96.00"`, `1.017e1`.
//!
//! The reader of JSON would turn a fraction into a float, and then 10.17 is not 10.17 any
//! more; here the text of the number is kept and never becomes one.

use super::Problem;
use super::field::{self, AMOUNT_MAX, Slot, problem};
use crate::domain::Currency;
use serde::de::{Deserialize, Deserializer, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A JSON value as it is written, to be read as a number later. Borrowed from the body.
#[derive(Debug, Default)]
pub(super) enum Raw<'a> {
    /// The key is not there.
    #[default]
    Absent,
    /// Its text.
    Given(&'a str),
}

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(AS_WRITTEN, AsWritten)
    }
}

/// By this name a value is asked for as it is written.
pub(super) const AS_WRITTEN: &str = "as written";

struct AsWritten;

impl<'de> Visitor<'de> for AsWritten {
    type Value = Raw<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    /// The quick reader knows the name.
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Raw<'de>, E> {
        Ok(Raw::Given(text))
    }
    /// `serde_json` does not, and has a name of its own for it.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw<'de>, D::Error> {
        <&'de RawValue>::deserialize(deserializer).map(|raw| Raw::Given(raw.get()))
    }
}

impl Slot for Raw<'_> {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
    fn says_the_same(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Given(one), Self::Given(other)) if one == other)
    }
}

/// Longest text of a number: more digits say nothing about money.
const DIGITS_MAX: usize = 64;

impl Raw<'_> {
    /// The number's text, whether it was written as a number or as a string; `None` when
    /// absent, null or an empty string.
    fn number(&self, path: &str) -> Result<Option<Cow<'_, str>>, Problem> {
        let Self::Given(text) = self else { return Ok(None) };
        let noun = match text.as_bytes().first() {
            Some(b'"') => {
                let inner = text.get(1..text.len() - 1).unwrap_or_default();
                // An escape in a number is odd, but JSON allows it.
                let text = if inner.contains('\\') {
                    serde_json::from_str::<String>(text).map(Cow::Owned).unwrap_or_default()
                } else {
                    Cow::Borrowed(inner)
                };
                let text = match text {
                    Cow::Borrowed(text) => Cow::Borrowed(field::trimmed(text)),
                    Cow::Owned(text) => Cow::Owned(field::trimmed(&text).to_owned()),
                };
                return Ok(if text.is_empty() { None } else { Some(text) });
            }
            Some(b'-' | b'0'..=b'9') => return Ok(Some(Cow::Borrowed(text))),
            Some(b'n') => return Ok(None),
            Some(b't' | b'f') => "a boolean",
            Some(b'[') => "an array",
            _ => "an object",
        };
        Err(problem("wrong_type", path, format!("must be a number, is {noun}")))
    }

    /// An amount in major units of the currency (`42.50` of USD is 4250), with its sign, in
    /// minor units; `None` when absent, null or an empty string.
    ///
    /// More decimals than the currency has are refused, unless they are zeros: rounding is
    /// not ours to do.
    pub(super) fn major_units(&self, currency: Currency, path: &str) -> Result<Option<i64>, Problem> {
        let Some(text) = self.number(path)? else { return Ok(None) };
        minor_of(&text, currency, path).map(Some)
    }

    /// An amount in whole minor units, written as a number or a string, with its sign;
    /// `None` when absent, null or an empty string.
    pub(super) fn minor_units(&self, path: &str) -> Result<Option<i64>, Problem> {
        let Some(text) = self.number(path)? else { return Ok(None) };
        scaled(&text, 0, path, || "must be a whole number of minor units".to_owned()).map(Some)
    }
}

/// The minor units of a decimal text.
pub(super) fn minor_of(text: &str, currency: Currency, path: &str) -> Result<i64, Problem> {
    let digits = currency.exponent();
    scaled(text, digits, path, || format!("must have at most {digits} decimals, as {currency} has"))
}

fn scaled(text: &str, digits: u8, path: &str, exact: impl Fn() -> String) -> Result<i64, Problem> {
    let bad = || problem("bad_amount", path, format!("{} is not a decimal number, such as 42.50", field::echo(text)));
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if unsigned.len() > DIGITS_MAX {
        return Err(bad());
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        None => (unsigned, 0),
        Some((mantissa, exponent)) => {
            let plain = exponent.strip_prefix('+').unwrap_or(exponent);
            (mantissa, plain.parse::<i32>().map_err(|_| bad())?)
        }
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let complete = !whole.is_empty() && (mantissa.len() == whole.len() || !fraction.is_empty());
    if !complete || !all_digits(whole) || !all_digits(fraction) {
        return Err(bad());
    }
    // value = digits * 10^shift minor units
    let fraction_len = i32::try_from(fraction.len()).map_err(|_| bad())?;
    let shift = exponent.saturating_add(i32::from(digits)).saturating_sub(fraction_len);
    let mut value: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        value = value.saturating_mul(10).saturating_add(i128::from(digit - b'0'));
    }
    let too_large = || problem("amount_too_large", path, format!("must be at most {AMOUNT_MAX} minor units"));
    for _ in 0..shift.unsigned_abs().min(200) {
        if value == 0 {
            break;
        }
        if shift > 0 {
            value = value.saturating_mul(10);
        } else if value % 10 == 0 {
            value /= 10;
        } else {
            return Err(problem("amount_not_exact", path, exact()));
        }
    }
    let value = i64::try_from(value).ok().filter(|value| *value <= AMOUNT_MAX).ok_or_else(too_large)?;
    Ok(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(json: &str, currency: &str) -> Result<Option<i64>, &'static str> {
        let raw: Raw<'_> = serde_json::from_str(json).unwrap();
        raw.major_units(Currency::parse(currency).unwrap(), "amount").map_err(|problem| problem.code)
    }

    #[test]
    fn digits_become_minor_units_exactly() {
        for (json, currency, want) in [
            ("100", "GBP", Ok(Some(10_000))),
            ("10.17", "GBP", Ok(Some(1_017))),
            ("-10", "GBP", Ok(Some(-1_000))),
            ("-0.01", "USD", Ok(Some(-1))),
            ("0", "USD", Ok(Some(0))),
            ("-0.0", "USD", Ok(Some(0))),
            ("1.017e1", "USD", Ok(Some(1_017))),
            ("1017E-2", "USD", Ok(Some(1_017))),
            ("1e+2", "USD", Ok(Some(10_000))),
            ("\"96.00\"", "USD", Ok(Some(9_600))),
            ("\" 96.0 \"", "USD", Ok(Some(9_600))),
            ("\"\\u0039.5\"", "USD", Ok(Some(950))),
            ("\"0096.50\"", "USD", Ok(Some(9_650))),
            ("4250", "JPY", Ok(Some(4_250))),
            ("4250.00", "JPY", Ok(Some(4_250))),
            ("4250.5", "JPY", Err("amount_not_exact")),
            ("1.234", "KWD", Ok(Some(1_234))),
            ("1.2345", "CLF", Ok(Some(12_345))),
            ("10.175", "GBP", Err("amount_not_exact")),
            ("10.170", "GBP", Ok(Some(1_017))),
            ("null", "GBP", Ok(None)),
            ("\"\"", "GBP", Ok(None)),
            ("true", "GBP", Err("wrong_type")),
            ("[1]", "GBP", Err("wrong_type")),
            ("{}", "GBP", Err("wrong_type")),
            ("\"1,000.00\"", "GBP", Err("bad_amount")),
            ("\"1.\"", "GBP", Err("bad_amount")),
            ("\".5\"", "GBP", Err("bad_amount")),
            ("\"+5\"", "GBP", Err("bad_amount")),
            ("\"--5\"", "GBP", Err("bad_amount")),
            ("\"0x10\"", "GBP", Err("bad_amount")),
            ("\"NaN\"", "GBP", Err("bad_amount")),
            ("1e400", "GBP", Err("amount_too_large")),
            ("1e-400", "GBP", Err("amount_not_exact")),
            ("0e400", "GBP", Ok(Some(0))),
            ("1e99999999999", "GBP", Err("bad_amount")),
            ("23058430092136939.51", "USD", Ok(Some(AMOUNT_MAX))),
            ("23058430092136939.52", "USD", Err("amount_too_large")),
            ("99999999999999999999999999999999999999999999999", "USD", Err("amount_too_large")),
        ] {
            assert_eq!(read(json, currency), want, "{json} {currency}");
        }
    }

    proptest! {
        #[test]
        fn written_and_read_is_the_same(minor in -AMOUNT_MAX..=AMOUNT_MAX, code in prop::sample::select(vec!["USD", "JPY", "KWD", "CLF"]), text: bool) {
            let currency = Currency::parse(code).unwrap();
            let shown = crate::domain::Money::new(minor, currency).to_string();
            let number = shown.split(' ').next().unwrap();
            let json = if text { format!("\"{number}\"") } else { number.to_owned() };
            prop_assert_eq!(read(&json, code), Ok(Some(minor)));
        }

        #[test]
        fn any_text_is_answered(text in ".*") {
            let _ = read(&serde_json::Value::from(text).to_string(), "USD");
        }
    }
}
