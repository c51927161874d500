//! The trial as a guard, and what must hold for any shops and texts.

use super::trial::{self, Score};
use super::*;
use compact_str::CompactString;
use proptest::prelude::*;

const SHOPS: &str = include_str!("../../tests/data/descriptors/locations.csv");
const LABELLED: &str = include_str!("../../tests/data/descriptors/labelled.csv");

#[test]
fn precision_and_recall_hold_on_the_half_that_was_held_out() {
    let shops = trial::read_shops(SHOPS).unwrap();
    let labelled = trial::read_labelled(LABELLED, &shops).unwrap();
    assert!(labelled.len() >= 500, "{} texts", labelled.len());
    let without = labelled.iter().filter(|text| text.label.is_none()).count();
    assert!(3 * without >= labelled.len(), "a third of the texts means no shop: {without}");
    let scores = trial::scores(&trial::run(&shops, &labelled), CONFIDENCE_MIN);
    let held_out: &Score = scores.iter().find(|score| score.half == "held_out").unwrap();
    assert_eq!(held_out.threshold, CONFIDENCE_MIN);
    assert!(held_out.texts >= 200 && held_out.with_shop >= 100, "{held_out:?}");
    assert!(held_out.precision >= 9_900, "{held_out:?}");
    assert!(held_out.recall >= 8_000, "{held_out:?}");
}

#[test]
fn a_bad_file_is_refused_with_its_line() {
    let shops =
        trial::read_shops("id,merchant,name,city,postcode,country,mcc,store_numbers,descriptors\na,A,,,,,58x,,\n");
    assert_eq!(shops.unwrap_err().to_string(), "line 2: `58x` is no merchant category code of four digits");
    assert_eq!(trial::read_shops("id\n").unwrap_err().line, 1);
    let labelled =
        trial::read_labelled("descriptor,mcc,country,postcode,label,group\n\"A, B\",,,,none,g\nX,,,,y,g\n", &[]);
    assert_eq!(labelled.unwrap_err().to_string(), "line 3: the label `y` is no shop's id");
}

const WORDS: [&str; 12] =
    ["blue", "bottle", "coffee", "corner", "park", "cafe", "joes", "pizza", "bluebottle", "oak", "12", "seattle"];
const CITIES: [&str; 4] = ["Oakland", "Seattle", "San Francisco", "Oak Park"];
const COUNTRIES: [&str; 3] = ["US", "GB", "CA"];

#[derive(Debug, Clone)]
struct Known {
    merchant: u32,
    name: String,
    descriptors: Vec<CompactString>,
    city: Option<&'static str>,
    country: Option<&'static str>,
    mcc: Option<u16>,
    numbers: Vec<CompactString>,
}

fn name() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(WORDS.to_vec()), 1..4).prop_map(|words| words.join(" "))
}

fn shop() -> impl Strategy<Value = Known> {
    let number = prop::sample::select(vec!["7", "0012", "304"]).prop_map(CompactString::from);
    (
        name(),
        prop::collection::vec(name().prop_map(CompactString::from), 0..2),
        prop::option::of(prop::sample::select(CITIES.to_vec())),
        prop::option::of(prop::sample::select(COUNTRIES.to_vec())),
        prop::option::of(prop::sample::select(vec![5814_u16, 5411])),
        prop::collection::vec(number, 0..2),
        any::<bool>(),
    )
        .prop_map(|(name, descriptors, city, country, mcc, numbers, next)| Known {
            merchant: u32::from(next),
            name,
            descriptors,
            city,
            country,
            mcc,
            numbers,
        })
}

/// Shops with their merchants in order: what was a flag becomes a number.
fn shops() -> impl Strategy<Value = Vec<Known>> {
    prop::collection::vec(shop(), 1..12).prop_map(|mut shops| {
        let mut merchant = 0;
        for nth in 0..shops.len() {
            merchant += if nth > 0 { shops[nth].merchant } else { 0 };
            shops[nth].merchant = merchant;
            if nth > 0 && shops[nth - 1].merchant == merchant {
                shops[nth].name = shops[nth - 1].name.clone();
            }
        }
        shops
    })
}

fn build(shops: &[Known]) -> Index {
    let shops = shops.iter().map(|shop| Shop {
        merchant: shop.merchant,
        merchant_name: &shop.name,
        descriptors: &shop.descriptors,
        city: shop.city,
        country: shop.country,
        mcc: shop.mcc,
        store_numbers: &shop.numbers,
        ..Shop::default()
    });
    Index::build(shops, None, 3)
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(
        WORDS
            .iter()
            .chain(&["SQ *", "#304", "STORE 12", "OAKLAND CA", "SAN FRANCISCO", "LONDON GB", "USA"])
            .copied()
            .collect::<Vec<_>>(),
    );
    prop_oneof![
        4 => prop::collection::vec(piece, 1..6).prop_map(|pieces| pieces.join(" ")),
        1 => any::<String>(),
    ]
}

proptest! {
    #[test]
    fn a_shop_of_another_country_is_never_matched(
        shops in shops(),
        text in text(),
        country in prop::option::of(prop::sample::select(COUNTRIES.to_vec())),
        confidence_min in 0_u16..=1000,
    ) {
        let index = build(&shops);
        let cleaned = clean(&text);
        let question = Question { text: &cleaned, mcc: Some(5814), country, postcode: None };
        let sides = [Side { index: &index, live: &|_| true, shares_mid: None }];
        let named = match find(&question, &sides, confidence_min) {
            Verdict::Matched(candidate) => {
                prop_assert!(candidate.likeness.confidence >= confidence_min);
                vec![candidate]
            }
            Verdict::Unsure(candidates) => {
                prop_assert!(!candidates.is_empty() && candidates.len() <= score::CANDIDATES_MAX);
                prop_assert!(candidates.is_sorted_by(|one, two| one.likeness.confidence >= two.likeness.confidence));
                candidates
            }
            Verdict::Nothing => Vec::new(),
        };
        for candidate in named {
            let shop = &shops[candidate.shop as usize];
            prop_assert_eq!(shop.merchant, candidate.merchant);
            prop_assert!(shop.country.is_none() || country.is_none() || shop.country == country);
        }
    }

    #[test]
    fn a_merchant_that_does_not_count_is_never_named(shops in shops(), text in text()) {
        let index = build(&shops);
        let cleaned = clean(&text);
        let question = Question { text: &cleaned, mcc: None, country: None, postcode: None };
        let sides = [Side { index: &index, live: &|merchant| merchant != 0, shares_mid: None }];
        match find(&question, &sides, 0) {
            Verdict::Matched(candidate) => prop_assert!(candidate.merchant != 0),
            Verdict::Unsure(candidates) => prop_assert!(candidates.iter().all(|one| one.merchant != 0)),
            Verdict::Nothing => {}
        }
    }

    #[test]
    fn two_merchants_alike_are_never_told_apart(shop in shop(), text in text()) {
        let twin = Known { merchant: 1, ..shop.clone() };
        let shops = [Known { merchant: 0, ..shop }, twin];
        let index = build(&shops);
        let cleaned = clean(&text);
        let question = Question { text: &cleaned, mcc: None, country: None, postcode: None };
        let sides = [Side { index: &index, live: &|_| true, shares_mid: None }];
        prop_assert!(!matches!(find(&question, &sides, 0), Verdict::Matched(_)));
    }
}
