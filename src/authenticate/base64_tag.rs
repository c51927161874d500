//! A SHA-256's bytes in base64: how Standard Webhooks, Fidel and Kard write a signature.
//!
//! Reads the one canonical spelling alone: padded, nothing in the leftover bits.

use super::mac::{TAG_BYTES, Tag};
use base64::{Engine, engine::general_purpose::STANDARD};

/// Length of a tag in base64.
pub(super) const TAG_CHARS: usize = 44;

/// The tag as text.
pub(super) fn encoded(tag: &Tag) -> String {
    STANDARD.encode(tag)
}

/// The tag as bytes of text, without allocating, for a scheme that signs this text again.
pub(super) fn encoded_bytes(tag: &Tag) -> [u8; TAG_CHARS] {
    let mut text = [0; TAG_CHARS];
    let written = STANDARD.encode_slice(tag, &mut text);
    debug_assert_eq!(written, Ok(TAG_CHARS), "32 bytes are 44 characters");
    text
}

/// A tag from exactly its text.
pub(super) fn decoded(text: &str) -> Option<Tag> {
    if text.len() != TAG_CHARS {
        return None;
    }
    let mut bytes = [0; TAG_CHARS];
    let count = STANDARD.decode_slice(text, &mut bytes).ok()?;
    if count == TAG_BYTES { bytes[..TAG_BYTES].try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_in_one_spelling() {
        let tag: Tag = std::array::from_fn(|place| u8::try_from(place * 8 + place / 4).unwrap());
        let text = encoded(&tag);
        assert_eq!(text.as_bytes(), encoded_bytes(&tag));
        assert_eq!(decoded(&text), Some(tag));
        // The last character before the padding has two bits to spare.
        let last = text.as_bytes()[TAG_CHARS - 2];
        let respelt = format!("{}{}=", &text[..TAG_CHARS - 2], char::from(last + 1));
        for wrong in [
            text.trim_end_matches('='),
            &format!("{text}="),
            &format!(" {}", &text[1..]),
            &text.replace('=', "A"),
            &text.replacen('/', "_", 1).replacen('+', "-", 1),
            &respelt,
            "",
        ] {
            assert_ne!(wrong, text);
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }
}
