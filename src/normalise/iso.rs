//! Codes of currencies and countries in each of their published spellings: letters in any
//! case, and numbers. The tables are those of kept libraries.

use super::Problem;
use super::field::{self, Scalar, problem};
use crate::domain::Currency;
use compact_str::CompactString;

/// A currency by three letters in any case (`USD`, `usd`) or its number of up to three
/// digits, as text or as a number (`"840"`, 840); `None` when absent, null or empty.
pub(super) fn currency(raw: &Scalar<'_>, path: &str) -> Result<Option<Currency>, Problem> {
    let found = match raw {
        Scalar::Absent | Scalar::Null => return Ok(None),
        Scalar::Int(number) => u16::try_from(*number).ok().and_then(numeric),
        Scalar::Text(text) => {
            let text = field::trimmed(text);
            if text.is_empty() {
                return Ok(None);
            }
            if text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit()) {
                text.parse().ok().and_then(numeric)
            } else if text.len() == 3 {
                Currency::parse(&text.to_ascii_uppercase()).ok()
            } else {
                None
            }
        }
        _ => None,
    };
    found.map(Some).ok_or_else(|| {
        let said = match raw {
            Scalar::Text(text) => field::echo(text),
            Scalar::Int(number) => field::echo(&number.to_string()),
            _ => "this".to_owned(),
        };
        problem("unknown_currency", path, format!("{said} is not an ISO 4217 currency, such as USD or 840"))
    })
}

fn numeric(number: u16) -> Option<Currency> {
    Currency::parse(iso_currency::Currency::from_numeric(number)?.code()).ok()
}

/// A country by two or three letters in any case or its number of three digits (`US`,
/// `USA`, `"840"`, 840), as two letters; `None` when absent, null, empty, or no country:
/// networks fill this field carelessly, and no money depends on it.
pub(super) fn country(raw: &Scalar<'_>) -> Option<CompactString> {
    let found = match raw {
        Scalar::Int(number) => rust_iso3166::from_numeric(u16::try_from(*number).ok()?)?,
        Scalar::Text(text) => {
            let text = field::trimmed(text);
            match text.len() {
                2 => rust_iso3166::from_alpha2(&text.to_ascii_uppercase())?,
                3 if text.bytes().all(|byte| byte.is_ascii_digit()) => rust_iso3166::from_numeric(text.parse().ok()?)?,
                3 => rust_iso3166::from_alpha3(&text.to_ascii_uppercase())?,
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(CompactString::const_new(found.alpha2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(json: &str) -> Scalar<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn currencies_in_every_spelling() {
        for (json, want) in [
            ("\"USD\"", Some("USD")),
            ("\"usd\"", Some("USD")),
            ("\"840\"", Some("USD")),
            ("840", Some("USD")),
            ("\"826\"", Some("GBP")),
            ("\"036\"", Some("AUD")),
            ("36", Some("AUD")),
            ("\"8\"", Some("ALL")),
            ("392", Some("JPY")),
            ("414", Some("KWD")),
            ("990", Some("CLF")),
            ("null", None),
            ("\"\"", None),
        ] {
            let got = currency(&scalar(json), "currency").unwrap();
            assert_eq!(got.map(|c| c.to_string()).as_deref(), want, "{json}");
        }
        for json in ["\"XXX\"", "999", "\"12345\"", "true", "\"DOLLAR\"", "-1", "1.5", "\"ÄÖ\""] {
            assert_eq!(currency(&scalar(json), "c").unwrap_err().code, "unknown_currency", "{json}");
        }
    }

    #[test]
    fn countries_in_every_spelling() {
        for (json, want) in [
            ("\"US\"", Some("US")),
            ("\"usa\"", Some("US")),
            ("\"840\"", Some("US")),
            ("840", Some("US")),
            ("\"GBR\"", Some("GB")),
            ("\"CZE\"", Some("CZ")),
            ("\"004\"", Some("AF")),
            ("\"XX\"", None),
            ("\"\"", None),
            ("null", None),
            ("\"England\"", None),
            ("[]", None),
        ] {
            assert_eq!(country(&scalar(json)).as_deref(), want, "{json}");
        }
    }
}
