//! Texts as they come, and what must hold for any text.

use super::*;
use proptest::prelude::*;

fn said(text: &str) -> String {
    let cleaned = clean(text);
    let words: Vec<_> = cleaned.words.iter().map(|word| word.text.as_str()).collect();
    let mut said = words.join(" ");
    if let Some(facilitator) = cleaned.facilitator {
        said = format!("{}: {said}", facilitator.name);
    }
    for number in &cleaned.numbers {
        said = format!("{said} #{number}");
    }
    if !cleaned.place.is_empty() {
        said = format!("{said} in {}", cleaned.place.join(" "));
    }
    for tail in [cleaned.region.map(str::to_owned), cleaned.postcode.map(|code| code.to_string())].iter().flatten() {
        said = format!("{said} [{tail}]");
    }
    if let Some(country) = cleaned.country {
        said = format!("{said} ({})", String::from_utf8_lossy(&country));
    }
    if let Some(phone) = cleaned.phone {
        said = format!("{said} tel {phone}");
    }
    said
}

#[test]
fn texts_as_networks_and_banks_write_them() {
    for (text, parts) in [
        ("SQ *BLUE BOTTLE 0123", "square: blue bottle 123"),
        ("SQ *BLUE BOTTLE COFFEE OAKLAND CA", "square: blue bottle coffee oakland [ca]"),
        ("TST* JOE'S PIZZA", "toast: joes pizza"),
        ("APPLE PAY - SQ *CAFÉ MOTTE", "square: cafe motte"),
        ("PAYPAL *ALLBIRDS INC 402-935-7733 CA", "paypal: allbirds [ca] tel 4029357733"),
        ("AMZN Mktp US*2K4LX1 AMZN.COM/BILL WA", "amazon: amazon [wa]"),
        ("AMAZON.COM*H26CB3R50", "amazon: amazon"),
        ("UBER   *EATS HELP.UBER.COM CA", "uber eats: uber eats [ca]"),
        ("DD *DOORDASH CHIPOTLE", "doordash: doordash"),
        ("STARBUCKS STORE 00304 SEATTLE WA US", "starbucks seattle #304 [wa] (US)"),
        ("TARGET T-1284 EMERYVILLE CA", "target emeryville #1284 [ca]"),
        ("TARGET        00012847", "target 12847"),
        ("MCDONALD'S F12345 AUSTIN TX", "mcdonalds austin #12345 [tx]"),
        ("WAL-MART #3241", "wal mart #3241"),
        ("COSTCO WHSE #01", "costco #1"),
        ("7-ELEVEN 32455", "7 eleven 32455"),
        (
            "PURCHASE AUTHORIZED ON 07/21 SAFEWAY #1234 OAKLAND CA S586214012345678 CARD 1234",
            "safeway oakland #1234 [ca]",
        ),
        ("CHECKCARD 0731 KROGER #412 ANN ARBOR MI 24431066212345678901234", "kroger ann arbor #412 [mi]"),
        ("NETFLIX.COM LOS GATOS CA", "netflix los gatos [ca]"),
        ("WHOLEFDS MKT 10234", "wholefds mkt 10234"),
        ("SAINSBURYS S/MKTS         LONDON", "sainsburys s mkts in london"),
        ("BOULANGERIE PAUL SARL     PARIS         FR", "boulangerie paul in paris (FR)"),
        ("MÜLLER GMBH & CO KG", "muller"),
        ("WALMART1234 AUSTIN TX 78701", "walmart 1234 austin [tx] [78701]"),
        ("DENNY'S INC 12/25/26 19:56", "dennys"),
        ("SHELL OIL 57444598705 DETROIT MI", "shell oil detroit [mi]"),
        ("T.G.I. FRIDAYS", "tgi fridays"),
        ("TOYS R US", "toys r (US)"),
        ("CA", "ca"),
        ("", ""),
    ] {
        assert_eq!(said(text), parts, "{text}");
    }
}

#[test]
fn a_word_at_the_end_of_the_field_may_be_cut() {
    assert!(clean("SQ *BLUE BOTTLE COFFE").truncated);
    assert!(clean("THE ORIGINAL PANCAKE H").truncated);
    assert!(!clean("SQ *BLUE BOTTLE").truncated);
    assert!(!clean("JOES").truncated);
}

#[test]
fn numbers_and_postcodes_have_one_spelling() {
    assert_eq!(store_number("#00304").as_deref(), Some("304"));
    assert_eq!(store_number("T-1284").as_deref(), Some("1284"));
    assert_eq!(store_number("A").as_deref(), Some("a"));
    assert_eq!(store_number("000"), None);
    assert_eq!(postcode("94607-1234").as_deref(), Some("94607"));
    assert_eq!(postcode("SW1A 1AA").as_deref(), Some("sw1a1aa"));
    assert_eq!(postcode("00000"), None);
    assert_eq!(postcode(" "), None);
}

#[test]
fn equal_descriptors_have_one_key() {
    for (one, other) in [
        ("SQ *BLUE BOTTLE 0123", "Blue  Bottle 123"),
        ("STARBUCKS STORE 00304", "STARBUCKS #304"),
        ("NETFLIX.COM", "PURCHASE AUTHORIZED ON 02/15 NETFLIX.COM"),
    ] {
        assert_eq!(key(one), key(other), "{one} {other}");
    }
    assert_ne!(key("STARBUCKS STORE 00304"), key("STARBUCKS STORE 00305"));
    assert_ne!(key("BLUE BOTTLE OAKLAND CA"), key("BLUE BOTTLE AUSTIN TX"));
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "SQ *",
        "TST*",
        "sp ",
        "PAYPAL *",
        "UBER",
        "*",
        "  ",
        " ",
        "#",
        "12",
        "0123",
        "STORE",
        "T-",
        "CA",
        "US",
        "94607",
        "800",
        "555-1212",
        "(415)",
        "12/25",
        ".COM",
        "WWW.",
        "JOE'S",
        "Ünal",
        "東京",
        "LTD",
        "INC",
        "CO",
        "A1B2C3",
        "-",
        "/",
        "@",
        "F123",
        "checkcard",
        "2026-03-14",
        "no",
        "x",
    ]);
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_taken_apart_within_bounds(text in prop_oneof![any::<String>(), "\\PC{0,600}", pieces()]) {
        let cleaned = clean(&text);
        prop_assert!(cleaned.words.len() <= WORDS_MAX && cleaned.place.len() <= WORDS_MAX);
        prop_assert!(cleaned.numbers.len() <= NUMBERS_MAX);
        let words = cleaned.words.iter().map(|word| &word.text).chain(&cleaned.place).chain(&cleaned.numbers);
        for word in words {
            prop_assert!(!word.is_empty() && word.len() <= WORD_BYTES_MAX, "{word:?}");
            prop_assert!(word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{word:?}");
        }
        prop_assert!(cleaned.phone.is_none_or(|phone| (10..=11).contains(&phone.len())));
        let _ = name_words(&text);
        let _ = place_words(&text);
    }

    #[test]
    fn a_key_is_its_own_key(text in prop_oneof![any::<String>(), "\\PC{0,200}", pieces()]) {
        let once = key(&text);
        prop_assert_eq!(key(&once), once);
    }

    #[test]
    fn case_and_space_do_not_matter(text in "[A-Za-z0-9#*&' ]{0,40}") {
        prop_assert_eq!(key(&text.to_lowercase()), key(&text.to_uppercase()));
        prop_assert_eq!(key(&format!(" {text} ")), key(&text));
    }
}
