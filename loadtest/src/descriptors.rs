//! Time of matching a statement text among a million shops, and the memory of the index.
//!
//! Shops, words and texts are drawn from a seed. Words are as frequent as in names of shops:
//! few are in very many names, many are in one or two.

use crate::random::Random;
use clap::Parser;
use compact_str::CompactString;
use hdrhistogram::Histogram;
use ringfence::catalogue::Catalogue;
use ringfence::descriptor::{CONFIDENCE_MIN, Index, Question, Shop, Side, Verdict, clean, find};
use ringfence::domain::merchant::{Location, Merchant};
use ringfence::domain::{LocationId, MerchantId, MerchantMark, Timestamp};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

/// Longest time that is told apart: ten seconds.
const NANOS_MAX: u64 = 10_000_000_000;
const DAY: Timestamp = Timestamp::from_ms(1_795_000_000_000);

/// What to measure.
#[derive(Debug, Parser)]
pub struct Args {
    /// Shops in the index.
    #[arg(long, default_value_t = 1_000_000)]
    shops: u32,
    /// Texts matched.
    #[arg(long, default_value_t = 200_000)]
    texts: u32,
    /// Seed of everything.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Words that very many names have, most frequent first.
const COMMON: [&str; 40] = [
    "the",
    "market",
    "restaurant",
    "cafe",
    "coffee",
    "pizza",
    "bar",
    "grill",
    "shop",
    "store",
    "house",
    "kitchen",
    "auto",
    "salon",
    "deli",
    "bakery",
    "liquor",
    "express",
    "city",
    "garden",
    "green",
    "golden",
    "star",
    "royal",
    "family",
    "fresh",
    "sushi",
    "thai",
    "taco",
    "burger",
    "tea",
    "wine",
    "books",
    "nails",
    "hair",
    "cleaners",
    "fitness",
    "hardware",
    "farm",
    "corner",
];
const SYLLABLES: [&str; 32] = [
    "ka", "lo", "mi", "ra", "ton", "ber", "vel", "sho", "dan", "ri", "mar", "fen", "wick", "gar", "no", "san", "tel",
    "bro", "hal", "ver", "cin", "dor", "pel", "lan", "mo", "gra", "stu", "wil", "har", "jo", "ste", "que",
];
/// Shops of the largest chains.
const CHAIN_SHOPS: u32 = 200;

/// The `number`th word that is not common.
fn word(number: u64) -> String {
    let mut rest = number;
    let mut word = String::new();
    loop {
        word.push_str(SYLLABLES[usize::try_from(rest % 32).expect("below 32")]);
        rest /= 32;
        if rest == 0 && word.len() >= 5 {
            return word;
        }
    }
}

fn name(random: &mut Random) -> String {
    let mut words = Vec::new();
    for _ in 0..1 + random.below(2) {
        words.push(word(random.skewed(400_000)));
    }
    for _ in 0..random.below(3) {
        words.push(COMMON[usize::try_from(random.skewed(COMMON.len() as u64)).expect("below 40")].to_owned());
    }
    words.join(" ")
}

/// A drawn shop.
struct Drawn {
    merchant: u32,
    name: usize,
    city: usize,
    postcode: CompactString,
    numbers: Vec<CompactString>,
    mcc: u16,
}

fn draw(args: &Args, random: &mut Random) -> (Vec<String>, Vec<String>, Vec<Drawn>) {
    let cities: Vec<String> = (0..20_000).map(|number| word(500_000 + number)).collect();
    let mut names: Vec<String> = Vec::new();
    let mut shops: Vec<Drawn> = Vec::new();
    let total = args.shops as usize;
    while shops.len() < total {
        // Seven merchants in eight have one shop; some have many.
        let count = if random.below(8) > 0 { 1 } else { 1 + random.skewed(u64::from(CHAIN_SHOPS)) };
        let merchant = u32::try_from(names.len()).expect("no more than shops");
        names.push(name(random));
        for _ in 0..count.min((total - shops.len()) as u64) {
            let number = CompactString::from(random.below(20_000).to_string());
            shops.push(Drawn {
                merchant,
                name: names.len() - 1,
                city: usize::try_from(random.skewed(cities.len() as u64)).expect("below 20,000"),
                postcode: format!("{:05}", 10_000 + random.below(90_000)).into(),
                numbers: if count > 1 { vec![number] } else { Vec::new() },
                mcc: [5812, 5814, 5411, 5541, 5651][usize::try_from(random.below(5)).expect("below five")],
            });
        }
    }
    (cities, names, shops)
}

/// A text as one of the shops might send it; one in four is a stranger's.
fn text(random: &mut Random, cities: &[String], names: &[String], shops: &[Drawn]) -> (String, usize, bool) {
    let place = usize::try_from(random.below(shops.len() as u64)).expect("below the length");
    let shop = &shops[place];
    let stranger = random.below(4) == 0;
    let name = if stranger { name(random) } else { names[shop.name].clone() };
    let mark = ["SQ *", "TST* ", "", "", "PAYPAL *", ""][usize::try_from(random.below(6)).expect("below six")];
    let number = shop.numbers.first().map(|number| format!(" #{number}")).unwrap_or_default();
    let text = format!("{mark}{name}{number} {} CA", cities[shop.city]).to_uppercase();
    (text, place, stranger)
}

/// Measures and prints.
pub fn run(args: &Args) {
    let mut random = Random(args.seed);
    let (cities, names, shops) = draw(args, &mut random);
    let listed = shops.iter().map(|shop| Shop {
        merchant: shop.merchant,
        merchant_name: &names[shop.name],
        city: Some(&cities[shop.city]),
        postcode: Some(&shop.postcode),
        country: Some("US"),
        mcc: Some(shop.mcc),
        store_numbers: &shop.numbers,
        ..Shop::default()
    });
    let started = Instant::now();
    let index = Index::build(listed, None, args.seed);
    println!(
        "{} shops of {} merchants: built in {} ms, {} bytes, {} a shop",
        index.len(),
        names.len(),
        started.elapsed().as_millis(),
        index.memory_bytes(),
        index.memory_bytes() / index.len().max(1)
    );
    let sides = [Side { index: &index, live: &|_| true, shares_mid: None }];
    let mut times: Histogram<u64> = histogram();
    let (mut right, mut wrong, mut strangers) = (0_u64, 0_u64, 0_u64);
    for _ in 0..args.texts {
        let (text, place, stranger) = text(&mut random, &cities, &names, &shops);
        let shop = &shops[place];
        let begun = Instant::now();
        let cleaned = clean(black_box(&text));
        let question =
            Question { text: &cleaned, mcc: Some(shop.mcc), country: Some("US"), postcode: Some(&shop.postcode) };
        let verdict = black_box(find(&question, &sides, CONFIDENCE_MIN));
        times.saturating_record(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
        strangers += u64::from(stranger);
        if let Verdict::Matched(candidate) = verdict {
            let is_right = !stranger && candidate.shop as usize == place;
            right += u64::from(is_right);
            wrong += u64::from(!is_right);
        }
    }
    println!(
        "nanoseconds a text, cleaning included: p50 {}, p90 {}, p99 {}, most {}",
        times.value_at_quantile(0.5),
        times.value_at_quantile(0.9),
        times.value_at_quantile(0.99),
        times.max()
    );
    println!("{} texts, {strangers} of strangers: {right} matched right, {wrong} wrong", args.texts);
    drop(index);
    located(args, &mut random, &cities, &names, &shops);
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, NANOS_MAX, 3).expect("the bounds are right")
}

/// The same shops in a catalogue, and marks with a MID that nobody registered: most that an
/// issuer sends are such. A mark is asked for twice, other marks between, as a member's next
/// purchase at a shop would.
fn located(args: &Args, random: &mut Random, cities: &[String], names: &[String], shops: &[Drawn]) {
    const MARKS: usize = 20_000;
    let catalogue = Catalogue::build(merchants(cities, names, shops), Vec::new(), 1, args.seed);
    println!("a mark whose MID nobody registered, in a catalogue of the same shops, nanoseconds");
    println!("  asked for    found of all       p50      p90      p99");
    let mut marks = Vec::with_capacity(MARKS);
    let mut both = [(histogram(), 0_u64), (histogram(), 0)];
    let mut without = histogram();
    for _ in 0..args.texts as usize / MARKS {
        marks.clear();
        for _ in 0..MARKS {
            let (text, place, _) = text(random, cities, names, shops);
            marks.push(MerchantMark {
                scheme: Some("visa".into()),
                mid: Some(format!("{:015}", random.below(1 << 48)).into()),
                acquirer: Some("400123".into()),
                descriptor: Some(text.into()),
                mcc: Some(shops[place].mcc),
                country: Some("US".into()),
                postcode: Some(shops[place].postcode.clone()),
                ..MerchantMark::default()
            });
        }
        for (times, found) in &mut both {
            for mark in &marks {
                *found += u64::from(ask(&catalogue, mark, times));
            }
        }
        for mark in &mut marks {
            mark.descriptor = None;
            ask(&catalogue, mark, &mut without);
        }
    }
    let [(first, first_found), (again, again_found)] = &both;
    for (name, times, found) in
        [("first", first, *first_found), ("again", again, *again_found), ("without text", &without, 0)]
    {
        let at = |quantile| times.value_at_quantile(quantile);
        println!("  {name:<12} {found:>7} of {:>7}  {:>7}  {:>7}  {:>7}", times.len(), at(0.5), at(0.9), at(0.99));
    }
}

fn ask(catalogue: &Catalogue, mark: &MerchantMark, times: &mut Histogram<u64>) -> bool {
    let begun = Instant::now();
    let found = black_box(catalogue.locate(black_box(mark), DAY)).is_some();
    times.saturating_record(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
    found
}

fn merchants(cities: &[String], names: &[String], shops: &[Drawn]) -> Vec<Arc<Merchant>> {
    let mut merchants = Vec::new();
    // The shops of a merchant stand side by side.
    for (number, of) in shops.chunk_by(|one, other| one.merchant == other.merchant).enumerate() {
        let location = |(place, shop): (usize, &Drawn)| Location {
            id: LocationId::new(format!("l{place}")).expect("a short id"),
            name: None,
            time_zone: None,
            country: Some("US".into()),
            postcode: Some(shop.postcode.clone()),
            city: Some(cities[shop.city].as_str().into()),
            mcc: Some(shop.mcc),
            store_numbers: shop.numbers.clone(),
            mids: Vec::new(),
            store_ids: Vec::new(),
            descriptors: Vec::new(),
        };
        merchants.push(Arc::new(Merchant {
            id: MerchantId::new(format!("m{number:08}")).expect("a short id"),
            name: names[of[0].name].clone(),
            time_zone: "America/New_York".into(),
            locations: of.iter().enumerate().map(location).collect(),
            competitors: Vec::new(),
        }));
    }
    merchants
}
