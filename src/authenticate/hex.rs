//! Hexadecimal: how Stripe writes a signature, and we a key.
//!
//! Must not be asked about lengths other than a SHA-256's when reading.

/// The bytes in lower case digits.
pub(super) fn encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
    text
}

/// 32 bytes from exactly 64 digits of either case.
pub(super) fn decoded(text: &str) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let bytes: [u8; 32] = std::array::from_fn(|place| u8::try_from(place * 8 + place / 4).unwrap());
        let text = encoded(&bytes);
        assert_eq!(decoded(&text), Some(bytes));
        assert_eq!(decoded(&text.to_uppercase()), Some(bytes));
        for wrong in [&text[1..], &format!("{text}0"), &text.replacen('0', "g", 1), &text.replacen("00", "é", 1), ""] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }
}
