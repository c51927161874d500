//! What is compared when a shop is looked up: MIDs, store ids, descriptors and
//! acquirers in one spelling each.
//!
//! Here alone is decided which spellings are the same; nothing here knows what is
//! registered. A key of up to 15 bytes lives in one `u128` and costs no allocation.

use compact_str::CompactString;
use std::borrow::Cow;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Longest key kept inside an index entry; ISO 8583 field 42 has 15 characters.
pub(super) const SHORT_BYTES_MAX: usize = 15;

/// A text in its one spelling. Two keys are equal exactly when their texts are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// The bytes, zero-padded, and in the last byte their number (never zero).
    Short(u128),
    /// A text of more than [`SHORT_BYTES_MAX`] bytes.
    Long(CompactString),
}

impl Key {
    fn new(text: &str, upper: bool) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let bytes = text.as_bytes();
        if bytes.len() > SHORT_BYTES_MAX {
            let mut long = CompactString::new(text);
            if upper {
                long.make_ascii_uppercase();
            }
            return Some(Self::Long(long));
        }
        let mut short = gather(bytes).to_le_bytes();
        if upper && short.iter().fold(false, |lower, byte| lower | byte.is_ascii_lowercase()) {
            short.make_ascii_uppercase();
        }
        short[SHORT_BYTES_MAX] = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
        Some(Self::Short(u128::from_le_bytes(short)))
    }

    /// A MID: spaces around it, ASCII case and leading zeros do not matter. `None` when
    /// nothing is left (`""`, `"0"`, `"000"`): networks send these for "no MID".
    /// Linear in the text.
    pub(super) fn of_mid(text: &str) -> Option<Self> {
        Self::new(without_zeros(text.trim_ascii()), true)
    }

    /// The same number for the same key and seed, in every process and version.
    pub(super) fn hash(&self, seed: u64) -> u64 {
        match self {
            Self::Short(short) => xxh3_64_with_seed(&short.to_le_bytes(), seed),
            Self::Long(long) => xxh3_64_with_seed(long.as_bytes(), seed),
        }
    }

    /// A store id: spaces around it and ASCII case do not matter; leading zeros do,
    /// since it is the network's own id and not padded on its way. `None` when there
    /// are only zeros. Linear in the text.
    pub(super) fn of_store_id(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        if text.bytes().all(|byte| byte == b'0') { None } else { Self::new(text, true) }
    }

    /// A statement text: case and the width of white space do not matter. `None` when
    /// blank. Linear in the text.
    pub(super) fn of_descriptor(text: &str) -> Option<Self> {
        let mut folded = CompactString::default();
        for word in text.split_whitespace() {
            if !folded.is_empty() {
                folded.push(' ');
            }
            folded.extend(word.chars().flat_map(char::to_lowercase));
        }
        Self::new(&folded, false)
    }
}

/// Up to 15 bytes as one number, the first lowest. Two overlapping reads: a copy of variable
/// length is a call, and this is asked for each event.
#[inline]
fn gather(bytes: &[u8]) -> u128 {
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            let overlap = 8 * (16 - bytes.len());
            let rest = u128::from(u64::from_le_bytes(*last)) << 64 >> overlap;
            u128::from(u64::from_le_bytes(*first)) | rest >> 64 << 64
        }
        _ => bytes.iter().rev().fold(0, |number, byte| number << 8 | u128::from(*byte)),
    }
}

#[inline]
fn without_zeros(text: &str) -> &str {
    let zeros = text.bytes().take_while(|byte| *byte == b'0').count();
    &text[zeros..]
}

/// An acquirer's id in its one spelling: spaces around it, ASCII case and leading zeros
/// do not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Acquirer {
    /// Not sent, or only zeros: a wildcard.
    Unknown,
    /// Up to nine digits, as every BIN and nearly every ICA: compared without a table.
    Number(u32),
    /// Anything else.
    Word(CompactString),
}

impl Acquirer {
    /// Reads an acquirer's id. Linear in the text.
    pub(super) fn new(text: Option<&str>) -> Self {
        let text = without_zeros(text.unwrap_or_default().trim_ascii());
        if text.is_empty() {
            Self::Unknown
        } else if text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Self::Number(text.bytes().fold(0, |number, byte| number * 10 + u32::from(byte - b'0')))
        } else {
            let mut word = CompactString::new(text);
            word.make_ascii_uppercase();
            Self::Word(word)
        }
    }
}

/// A scheme's name in its one spelling; `None` when not sent. Linear in the text.
pub(super) fn scheme(text: Option<&str>) -> Option<Cow<'_, str>> {
    let text = text?.trim_ascii();
    match text {
        "" => None,
        _ if text.bytes().any(|byte| byte.is_ascii_uppercase()) => Some(Cow::Owned(text.to_ascii_lowercase())),
        _ => Some(Cow::Borrowed(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_mid() {
        for (one, other, same) in [
            ("000445566778899", "445566778899", true),
            ("445566778899", "0000000445566778899", true),
            (" ab12 ", "00AB12", true),
            ("1", "10", false),
            ("123456789012345", "1234567890123456", false),
            ("0001234567890123456", "1234567890123456", true),
            ("abcdefghijklmnopq", "ABCDEFGHIJKLMNOPQ", true),
            ("12", "12\u{1}", false),
        ] {
            assert_eq!(Key::of_mid(one) == Key::of_mid(other), same, "{one} {other}");
        }
        for nothing in ["", "0", "000000000000000", "  ", " 00 "] {
            assert_eq!(Key::of_mid(nothing), None, "{nothing:?}");
            assert_eq!(Key::of_store_id(nothing), None, "{nothing:?}");
        }
        assert!(Key::of_mid("10").is_some());
    }

    #[test]
    fn every_length_is_gathered() {
        let text = "ABCDEFGHIJKLMNO";
        for len in 1..=SHORT_BYTES_MAX {
            let mut bytes = [0; 16];
            bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
            assert_eq!(gather(&text.as_bytes()[..len]), u128::from_le_bytes(bytes), "{len}");
        }
    }

    #[test]
    fn spellings_of_the_rest() {
        assert_ne!(Key::of_store_id("0012"), Key::of_store_id("12"));
        assert_eq!(Key::of_store_id(" a12"), Key::of_store_id("A12"));
        assert_eq!(Key::of_descriptor("SQ *Blue  Bottle"), Key::of_descriptor(" sq *blue bottle\t"));
        assert_ne!(Key::of_descriptor("blue bottle"), Key::of_descriptor("bluebottle"));
        assert_eq!(Key::of_descriptor(" \t"), None);
        for (text, code) in [
            (None, Acquirer::Unknown),
            (Some("000"), Acquirer::Unknown),
            (Some("0012"), Acquirer::Number(12)),
            (Some(" 999999999"), Acquirer::Number(999_999_999)),
            (Some("00x9"), Acquirer::Word("X9".into())),
            (Some("1000000000"), Acquirer::Word("1000000000".into())),
        ] {
            assert_eq!(Acquirer::new(text), code, "{text:?}");
        }
        assert_eq!(scheme(Some(" Visa")).as_deref(), Some("visa"));
        assert_eq!(scheme(Some("")), None);
    }
}
