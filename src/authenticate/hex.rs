//! Hexadecimal: how Stripe and Marqeta write a signature, and we a key.
//!
//! Reads a known number of bytes and nothing shorter or longer.

/// The bytes in lower case digits.
pub(crate) fn encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
    text
}

/// `N` bytes from exactly twice as many digits of either case.
pub(super) fn decoded<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    if pairs.len() != N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
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
            assert_eq!(decoded::<32>(wrong), None, "{wrong}");
        }
        assert_eq!(decoded("0aF0"), Some([0x0a, 0xf0]));
        assert_eq!((decoded::<20>(&text), decoded::<0>("")), (None, Some([])));
    }
}
