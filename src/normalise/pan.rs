//! The guard that keeps card numbers out: finds them in text and masks them.
//!
//! It looks at whole digit runs, single spaces and dashes allowed between digits: 13 to
//! 19 digits, Luhn, a known issuer range. Must not be asked about fields that are
//! identifiers by contract (MID, ARN, RRN, network ids): chance alone makes 3 in 100
//! of them look like card numbers. Must not allocate for text without 13 digits.

use std::borrow::Cow;

/// Fewest digits of a card number.
const DIGITS_MIN: usize = 13;
/// Most digits of a card number.
const DIGITS_MAX: usize = 19;
/// Digits of a card number that stay readable, at its end.
const DIGITS_SHOWN: usize = 4;
/// How card numbers are printed, in digits per group. A run that is longer than a card
/// number may still hold one: a shop number in front of it must not hide it.
const PRINTED: [&[usize]; 4] = [&[4, 4, 4, 4], &[4, 4, 4, 4, 3], &[4, 6, 5], &[4, 6, 4]];
/// Groups of the longest printed form.
const GROUPS_MAX: usize = 5;

/// Field names that hold identifiers in every dialect, letters and digits only, lower case.
const IDENTIFIERS: [&str; 16] = [
    "acquirer",
    "acquirerid",
    "acquirerreferencenumber",
    "arn",
    "merchantid",
    "mid",
    "networkid",
    "networktransactionid",
    "retrievalreferencenumber",
    "rrn",
    "stan",
    "storeid",
    "systemtraceauditnumber",
    "terminal",
    "terminalid",
    "transactionid",
];

/// Whether the text holds a card number.
///
/// ```
/// use ringfence::normalise::pan::is_card_number;
/// assert!(is_card_number("4242 4242 4242 4242"));
/// assert!(!is_card_number("4242 4242 4242 4243"));
/// ```
#[must_use]
pub fn is_card_number(text: &str) -> bool {
    let mut found = false;
    scan(text.as_bytes(), false, DIGITS_SHOWN, |_| found = true);
    found
}

/// The text with every card number reduced to its last four digits.
///
/// ```
/// use ringfence::normalise::pan::mask;
/// assert_eq!(mask("PAID 4242-4242-4242-4242"), "PAID ****-****-****-4242");
/// ```
#[must_use]
pub fn mask(text: &str) -> Cow<'_, str> {
    if !is_card_number(text) {
        return Cow::Borrowed(text);
    }
    let mut bytes = text.as_bytes().to_vec();
    hide(&mut bytes, false);
    // Only ASCII digits were replaced, by ASCII.
    Cow::Owned(String::from_utf8(bytes).unwrap_or_default())
}

/// Any bytes with every card number reduced to its last four digits, JSON or not. What
/// was JSON stays JSON: a bare number that is masked becomes a string. Values of fields
/// that are identifiers by contract stay: those of every dialect and those named (letters
/// and digits only, lower case).
#[must_use]
pub fn mask_json(body: &[u8], identifiers: &[&str]) -> Vec<u8> {
    let json = std::str::from_utf8(body).is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
    if !json {
        let mut bytes = body.to_vec();
        hide(&mut bytes, true);
        return bytes;
    }
    let mut out = Vec::with_capacity(body.len() + 16);
    // Whether the value to come stands under a name that is exempt. Where in doubt it is
    // false, so that too much is masked rather than too little.
    let mut exempt = false;
    let mut rest = body;
    while let Some(&first) = rest.first() {
        let len = match first {
            b'"' => string_len(rest),
            b'-' | b'0'..=b'9' => {
                rest.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count()
            }
            _ => 1,
        };
        let (token, after) = rest.split_at(len);
        let from = out.len();
        out.extend_from_slice(token);
        match first {
            b'"' => {
                let is_key = after.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b':');
                if is_key {
                    exempt = is_identifier(token, identifiers);
                }
                if is_key || !exempt {
                    hide(&mut out[from..], true);
                }
            }
            b'-' | b'0'..=b'9' if !exempt && hide(&mut out[from..], true) => {
                out.insert(from, b'"');
                out.push(b'"');
            }
            b'{' | b'}' | b']' => exempt = false,
            _ => {}
        }
        rest = after;
    }
    out
}

/// Length of the JSON string at the start, quotes included.
fn string_len(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn is_identifier(key: &[u8], more: &[&str]) -> bool {
    let plain = || key.iter().filter(|b| b.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase);
    IDENTIFIERS.iter().chain(more).any(|name| plain().eq(name.bytes()))
}

/// Covers every card number: a digit by a star, a digit written as an escape by the escape
/// of a star. Tells whether there was one.
fn hide(bytes: &mut [u8], escapes: bool) -> bool {
    let mut found = false;
    // What the first round leaves may, with the digits beside it, look like another card
    // number, and what the second cuts off may be one by itself. These show nothing, so
    // nothing new can come of them.
    for shown in [DIGITS_SHOWN, 0, 0] {
        let mut places = Vec::new();
        scan(bytes, escapes, shown, |place| places.push(place));
        if places.is_empty() {
            break;
        }
        found = true;
        for place in places {
            if bytes[place] == b'\\' {
                bytes[place..place + ESCAPE_LEN].copy_from_slice(br"\u002a");
            } else if bytes[place].is_ascii_digit() {
                bytes[place] = b'*';
            }
        }
    }
    found
}

/// Bytes of an escaped character (`\u0034`).
const ESCAPE_LEN: usize = 6;

/// The character at a place as far as the guard cares, and its length in bytes. In JSON a
/// digit may hide behind an escape.
fn char_at(bytes: &[u8], at: usize, escapes: bool) -> (u8, usize) {
    let byte = bytes[at];
    if !escapes || byte != b'\\' {
        return (byte, 1);
    }
    match bytes.get(at + 1..at + ESCAPE_LEN) {
        Some(&[b'u', b'0', b'0', b'3', digit @ b'0'..=b'9']) => (digit, ESCAPE_LEN),
        Some(&[b'u', b'0', b'0', b'2', b'0']) => (b' ', ESCAPE_LEN),
        Some(&[b'u', b'0', b'0', b'2', b'd' | b'D']) => (b'-', ESCAPE_LEN),
        // The second backslash begins no escape of its own.
        _ if bytes.get(at + 1) == Some(&b'\\') => (b'\\', 2),
        _ => (byte, 1),
    }
}

/// Digits in a row: the place of the first, and how many there are.
#[derive(Clone, Copy, Default)]
struct Group {
    at: usize,
    count: usize,
}

/// Reports the place of every digit to hide, in no order and perhaps twice. Linear, and
/// its memory does not depend on the length of the bytes.
fn scan(bytes: &[u8], escapes: bool, shown: usize, mut hit: impl FnMut(usize)) {
    if !may_hold_one(bytes, escapes) {
        return;
    }
    let mut at = 0;
    while at < bytes.len() {
        let (c, len) = char_at(bytes, at, escapes);
        at = if c.is_ascii_digit() { scan_run(bytes, at, escapes, shown, &mut hit) } else { at + len };
    }
}

/// Whether there are as many bytes in a row of which a card number can be written as the
/// shortest has digits. Most text has not, and that is seen without looking at every byte:
/// no card number reaches across a byte of another kind.
fn may_hold_one(bytes: &[u8], escapes: bool) -> bool {
    let fits =
        |byte: &u8| matches!(byte, b'0'..=b'9' | b' ' | b'-') || escapes && matches!(byte, b'\\' | b'u' | b'd' | b'D');
    let mut from = 0;
    while let Some(window) = bytes.get(from..from + DIGITS_MIN) {
        match window.iter().rposition(|byte| !fits(byte)) {
            Some(other) => from += other + 1,
            None => return true,
        }
    }
    false
}

/// One run of digit groups from its first digit; gives the place behind it.
fn scan_run(bytes: &[u8], from: usize, escapes: bool, shown: usize, hit: &mut impl FnMut(usize)) -> usize {
    let mut report = |from, count| report(bytes, Group { at: from, count }, escapes, shown, hit);
    let mut groups = [Group::default(); GROUPS_MAX];
    let mut count = 0;
    let mut at = from;
    loop {
        let mut group = Group { at, count: 0 };
        while at < bytes.len() {
            let (c, len) = char_at(bytes, at, escapes);
            if !c.is_ascii_digit() {
                break;
            }
            group.count += 1;
            at += len;
        }
        count += group.count;
        report(group.at, group.count);
        groups.rotate_left(1);
        groups[GROUPS_MAX - 1] = group;
        for printed in PRINTED {
            let last = &groups[GROUPS_MAX - printed.len()..];
            if last.iter().map(|g| g.count).eq(printed.iter().copied()) {
                report(last[0].at, printed.iter().sum());
            }
        }
        // A single space or dash, and a digit right behind it, carry the run on.
        if at >= bytes.len() {
            break;
        }
        let (separator, len) = char_at(bytes, at, escapes);
        let goes_on = matches!(separator, b' ' | b'-')
            && at + len < bytes.len()
            && char_at(bytes, at + len, escapes).0.is_ascii_digit();
        if !goes_on {
            break;
        }
        at += len;
    }
    report(from, count);
    at
}

/// Reports the digits to hide, all but the last `shown`, when these, separators between
/// them left out, are a card number.
fn report(bytes: &[u8], digits: Group, escapes: bool, shown: usize, hit: &mut impl FnMut(usize)) {
    if !(DIGITS_MIN..=DIGITS_MAX).contains(&digits.count) {
        return;
    }
    let mut values = [0; DIGITS_MAX];
    let mut places = [0; DIGITS_MAX];
    let mut at = digits.at;
    let mut count = 0;
    while count < digits.count {
        let (c, len) = char_at(bytes, at, escapes);
        if c.is_ascii_digit() {
            values[count] = c - b'0';
            places[count] = at;
            count += 1;
        }
        at += len;
    }
    let values = &values[..count];
    if has_known_range(values) && passes_luhn(values) {
        places[..count - shown].iter().copied().for_each(hit);
    }
}

fn passes_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, &digit)| {
            let digit = u32::from(digit);
            match (i % 2, digit * 2) {
                (0, _) => digit,
                (_, twice) if twice > 9 => twice - 9,
                (_, twice) => twice,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether the first digits belong to a network that issues cards.
fn has_known_range(digits: &[u8]) -> bool {
    let first_four = digits.iter().take(4).fold(0_u16, |sum, &digit| sum * 10 + u16::from(digit));
    matches!(
        first_four,
        4000..=4999                                   // Visa
        | 5100..=5599 | 2221..=2720                   // Mastercard
        | 3400..=3499 | 3700..=3799                   // American Express
        | 3000..=3059 | 3090..=3099 | 3600..=3699 | 3800..=3999 // Diners Club
        | 6011 | 6440..=6599                          // Discover
        | 3528..=3589                                 // JCB
        | 6200..=6299 | 8100..=8199                   // UnionPay
        | 5000..=5099 | 5600..=5899 | 6300..=6399 | 6700..=6799 // Maestro
        | 6000..=6010 | 6012..=6099                   // RuPay and regional
        | 2200..=2204                                 // Mir
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Numbers that networks and processors publish for tests.
    const PUBLISHED: [&str; 20] = [
        "4242424242424242",
        "4000056655665556",
        "4111111111111111",
        "4012888888881881",
        "4222222222222",
        "5555555555554444",
        "5105105105105100",
        "2223003122003222",
        "2223000048400011",
        "378282246310005",
        "371449635398431",
        "378734493671000",
        "6011111111111117",
        "6011000990139424",
        "3056930009020004",
        "30569309025904",
        "38520000023237",
        "3530111333300000",
        "6200000000000005",
        "6304000000000000",
    ];

    #[test]
    fn published_numbers_are_caught_however_written() {
        for number in PUBLISHED {
            let four = number.as_bytes().chunks(4).map(|c| std::str::from_utf8(c).unwrap()).collect::<Vec<_>>();
            for text in [
                number.to_owned(),
                four.join(" "),
                four.join("-"),
                format!("tok_{number}"),
                format!("shop 12, card {number}."),
                format!("é{number}é"),
            ] {
                assert!(is_card_number(&text), "{text}");
                let masked = mask(&text);
                assert!(!is_card_number(&masked), "{masked}");
                assert_eq!(masked.len(), text.len());
                assert!(masked.contains('*'));
            }
        }
        assert!(is_card_number("3782 822463 10005"));
        assert_eq!(mask("3782 822463 10005"), "**** ****** *0005");
    }

    #[test]
    fn a_shop_number_beside_it_hides_no_card_number() {
        assert_eq!(mask("SHOP 0123 4242424242424242"), "SHOP 0123 ************4242");
        assert_eq!(mask("SHOP 0123 4242 4242 4242 4242 77"), "SHOP 0123 **** **** **** 4242 77");
        assert_eq!(mask("0123-3782-822463-10005"), "0123-****-******-*0005");
    }

    #[test]
    fn what_is_no_card_number_stays() {
        for text in [
            "",
            "424242424242",           // 12 digits
            "42424242424242424242",   // 20 digits, though 16 of them are one
            "14242424242424242",      // inside a longer run
            "4242424242424241",       // Luhn
            "1234567812345670",       // Luhn, but nobody's range
            "4242  4242  4242  4242", // two spaces
            "4242.4242.4242.4242",
            "000445566778899",
            "2026-11-21T19:56:00Z",
            "+1 800 867 5309",
            "1732219000000",
        ] {
            assert!(!is_card_number(text), "{text}");
            assert!(matches!(mask(text), Cow::Borrowed(_)));
        }
    }

    fn masked(body: &str) -> String {
        String::from_utf8(mask_json(body.as_bytes(), &["purchaseref"])).unwrap()
    }

    #[test]
    fn bodies_are_masked_and_stay_json() {
        for (body, want) in [
            (r#"{"card":"4242424242424242"}"#, r#"{"card":"************4242"}"#),
            (r#"{"card":4242424242424242}"#, r#"{"card":"************4242"}"#),
            (r#"{"card":-4242424242424242.0e1,"a":1}"#, r#"{"card":"-************4242.0e1","a":1}"#),
            (r#"{"4242424242424242":1}"#, r#"{"************4242":1}"#),
            (r#"{"n":["x","4242 4242 4242 4242"]}"#, r#"{"n":["x","**** **** **** 4242"]}"#),
            (r#"{"n":"\u003424242424242424\u0032"}"#, r#"{"n":"\u002a***********424\u0032"}"#),
            (r#"{"n":"\\u003424242424242424"}"#, r#"{"n":"\\u003424242424242424"}"#),
            // Identifiers by contract stay, whatever the spelling of their name.
            (r#"{"mid":"4242424242424242"}"#, r#"{"mid":"4242424242424242"}"#),
            (r#"{"network_id" : 4242424242424242}"#, r#"{"network_id" : 4242424242424242}"#),
            (
                r#"{"merchant-ID":["4242424242424242"],"x":"4242424242424242"}"#,
                r#"{"merchant-ID":["4242424242424242"],"x":"************4242"}"#,
            ),
            (r#"{"purchaseRef":"4242424242424242"}"#, r#"{"purchaseRef":"4242424242424242"}"#),
            (r#"{"mid":{"x":"4242424242424242"}}"#, r#"{"mid":{"x":"************4242"}}"#),
            // No JSON: no names, so nothing is exempt.
            (r#"{"mid":"4242424242424242""#, r#"{"mid":"************4242""#),
            ("4242424242424242 \"", "************4242 \""),
        ] {
            assert_eq!(masked(body), want);
        }
        assert_eq!(mask_json(b"\xff4242424242424242\xff", &[]), b"\xff************4242\xff");
    }

    #[test]
    fn a_long_body_of_digits_is_no_burden() {
        let body = vec![b'4'; 2_000_000];
        assert_eq!(mask_json(&body, &[]), body);
        let body = "4-".repeat(1_000_000).into_bytes();
        assert_eq!(mask_json(&body, &[]), body);
        assert_eq!(mask_json(&vec![b'['; 1_000_000], &[]).len(), 1_000_000);
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(serde_json::Value::from),
            "[0-9 -]{0,24}".prop_map(serde_json::Value::from),
            prop::sample::select(&PUBLISHED[..]).prop_map(serde_json::Value::from),
            prop::sample::select(&PUBLISHED[..]).prop_map(|n| n.parse::<u64>().unwrap().into()),
            ".*".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                prop::collection::hash_map("[a-z0-9]{0,18}|mid|arn", inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn holds_card_number(value: &serde_json::Value, exempt: bool) -> bool {
        match value {
            serde_json::Value::String(text) => !exempt && is_card_number(text),
            serde_json::Value::Number(number) => !exempt && is_card_number(&number.to_string()),
            serde_json::Value::Array(list) => list.iter().any(|v| holds_card_number(v, exempt)),
            serde_json::Value::Object(map) => map
                .iter()
                .any(|(key, v)| is_card_number(key) || holds_card_number(v, matches!(key.as_str(), "mid" | "arn"))),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn masked_json_is_json_without_card_numbers(value in json(), pretty: bool) {
            let body = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
            let masked = mask_json(&body, &[]);
            let back: serde_json::Value = serde_json::from_slice(&masked).unwrap();
            prop_assert!(!holds_card_number(&back, false), "{back}");
            prop_assert_eq!(mask_json(&masked, &[]), masked);
        }

        #[test]
        fn no_card_number_is_in_what_is_not_looked_at(
            pieces in prop::collection::vec(
                prop_oneof![
                    prop::sample::select(&PUBLISHED[..]).prop_map(str::to_owned),
                    "[0-9]{1,6}",
                    r"\\u003[0-9]|\\u0020|\\u002[dD]| |-",
                    ".{0,2}",
                ],
                0..20,
            ),
            escapes: bool,
        ) {
            let text = pieces.concat();
            if !may_hold_one(text.as_bytes(), escapes) {
                for at in 0..text.len() {
                    let mut found = false;
                    scan_run(text.as_bytes(), at, escapes, 0, &mut |_| found = true);
                    prop_assert!(!found, "{text} from {at}");
                }
            }
        }

        #[test]
        fn any_bytes_can_be_masked(body: Vec<u8>) {
            prop_assert!(mask_json(&body, &[]).len() >= body.len());
        }

        #[test]
        fn a_mask_leaves_no_card_number(text in "[0-9 a-]{0,60}") {
            prop_assert!(!is_card_number(&mask(&text)));
        }

        #[test]
        fn every_number_with_luhn_in_range_is_caught(head in "4[0-9]{11,17}", before in "[a-z ,#*]{0,3}", after in "[a-z,.*]{0,3}") {
            let check = (b'0'..=b'9').map(|d| format!("{head}{}", char::from(d)))
                .find(|n| passes_luhn(&n.bytes().map(|b| b - b'0').collect::<Vec<_>>())).unwrap();
            let text = format!("{before}{check}{after}");
            prop_assert!(is_card_number(&text));
        }
    }
}
