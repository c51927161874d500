//! How long the catalogue takes to find the merchant and candidate offers of a card event,
//! small against large, and how much memory that needs.
//!
//! Both catalogues are looked up in turn within one run. Keys are uniformly random, their
//! texts computed from a counter, so that making a key touches nothing of the index; each
//! look-up waits for the one before, as a webhook's does: nothing is overlapped. Half of the
//! marks name the acquirer, one in ten a MID that nobody registered. Beside it, measured in
//! the same turns, one random read of as much memory as the index has: the least that any
//! index of that size could take on this machine at this moment.

use crate::random::{Random, mix};
use ringfence::catalogue::Catalogue;
use ringfence::domain::merchant::{Location, Merchant, Mid};
use ringfence::domain::offer::{Offer, OfferVersion, Reward, Terms};
use ringfence::domain::{Currency, LocationId, MerchantId, MerchantMark, OfferId, Timestamp};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const MIDS_PER_MERCHANT: u64 = 10;
/// Marks made ahead of being looked up; few, to leave the cache to the catalogue.
const BATCH: usize = 512;
const DAY: Timestamp = Timestamp::from_ms(1_795_000_000_000);

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Merchants (and offers; MIDs are ten times as many) of the small catalogue.
    #[arg(long, default_value_t = 10_000)]
    pub small: u64,
    /// Merchants (and offers; MIDs are ten times as many) of the large catalogue.
    #[arg(long, default_value_t = 1_000_000)]
    pub large: u64,
    /// Look-ups per round, side and kind.
    #[arg(long, default_value_t = 1_000_000)]
    pub lookups: usize,
    /// Rounds; the median of them counts.
    #[arg(long, default_value_t = 9)]
    pub rounds: usize,
    /// Seed of keys and index.
    #[arg(long, default_value_t = 20_261_121)]
    pub seed: u64,
}

/// The `number`th MID: 15 digits, no two alike (each step can be undone within 48 bits).
fn mid_text(number: u64) -> String {
    const MASK: u64 = (1 << 48) - 1;
    let mut value = number.wrapping_mul(0x9e37_79b9_7f4b) & MASK;
    value ^= value >> 23;
    value = value.wrapping_mul(0x2545_f491_4f6d) & MASK;
    value ^= value >> 25;
    format!("{value:015}")
}

/// One of a thousand acquirers, by six-digit BIN.
fn acquirer_text(number: u64) -> String {
    format!("{:06}", 400_000 + mix(number) % 1_000)
}

fn scheme_text(number: u64) -> &'static str {
    ["visa", "mastercard", "amex"][usize::try_from(mix(number ^ 77) % 3).expect("below three")]
}

fn make_merchant(number: u64) -> Merchant {
    let shops = 1 + number % 3;
    let mut locations: Vec<Location> = (0..shops)
        .map(|shop| Location {
            id: LocationId::new(format!("l{shop}")).expect("a short id"),
            name: None,
            time_zone: (shop == 1).then(|| "America/New_York".into()),
            country: Some("FR".into()),
            postcode: None,
            city: None,
            mcc: None,
            store_numbers: Vec::new(),
            mids: Vec::with_capacity(10),
            store_ids: Vec::new(),
            descriptors: Vec::new(),
        })
        .collect();
    for mid in number * MIDS_PER_MERCHANT..(number + 1) * MIDS_PER_MERCHANT {
        let shop = usize::try_from(mid % shops).expect("below three");
        locations[shop].mids.push(Mid {
            scheme: Some(scheme_text(mid).into()),
            acquirer: (!mid.is_multiple_of(4)).then(|| acquirer_text(mid).into()),
            mid: mid_text(mid).into(),
            from: mid.is_multiple_of(64).then(|| Timestamp::from_ms(1_700_000_000_000)),
            to: None,
            shared: false,
        });
    }
    for location in &mut locations {
        location.mids.shrink_to_fit();
    }
    Merchant {
        id: MerchantId::new(format!("m{number:08}")).expect("a short id"),
        name: format!("Merchant {number}"),
        time_zone: "Europe/Paris".into(),
        locations,
        competitors: Vec::new(),
    }
}

/// One for each merchant on average: of four merchants one has none and one has two.
fn make_offer(number: u64) -> Offer {
    let merchant = (number & !1) + u64::from(!number.is_multiple_of(4));
    let id = OfferId::new(format!("o{number:08}")).expect("a short id");
    let terms = Terms {
        hold_days: 14,
        ..Terms::new(
            MerchantId::new(format!("m{merchant:08}")).expect("a short id"),
            "5% back",
            Currency::parse("EUR").expect("a currency"),
            Reward::percent(500, None),
        )
    };
    Offer { id: id.clone(), versions: vec![OfferVersion { offer: id, version: 1, terms }], life: Vec::new() }
}

/// A catalogue and what it took.
struct Side {
    catalogue: Catalogue,
    merchants: u64,
    build: Duration,
    documents_bytes: u64,
    index_bytes: u64,
}

fn build(merchants: u64, seed: u64) -> Side {
    let before = resident_bytes();
    let documents: Vec<_> = (0..merchants).map(|number| Arc::new(make_merchant(number))).collect();
    let offers: Vec<_> = (0..merchants).map(|number| Arc::new(make_offer(number))).collect();
    let between = resident_bytes();
    let started = Instant::now();
    let catalogue = Catalogue::build(documents, offers, 1, seed);
    let build = started.elapsed();
    let after = resident_bytes();
    Side {
        catalogue,
        merchants,
        build,
        documents_bytes: between.saturating_sub(before),
        index_bytes: after.saturating_sub(between),
    }
}

/// What is done with the candidates.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The slice is returned.
    Returned,
    /// Each candidate's document is read too.
    Read,
}

fn make_marks(marks: &mut [MerchantMark], random: &mut Random, side: &Side) {
    for mark in marks {
        let number = random.below(side.merchants * MIDS_PER_MERCHANT);
        let stranger = random.below(10) == 0;
        let text = mid_text(if stranger { number + (1 << 40) } else { number });
        *mark = MerchantMark {
            scheme: Some(scheme_text(number).into()),
            mid: Some(text.into()),
            acquirer: (random.next() & 1 == 0).then(|| acquirer_text(number).into()),
            ..MerchantMark::default()
        };
    }
}

/// Tenths of a nanosecond per look-up, and how many found a merchant. It is the median
/// over batches, so that being interrupted for another program does not count.
fn time(side: &Side, kind: Kind, lookups: usize, random: &mut Random) -> (u128, usize) {
    let mut marks = vec![MerchantMark::default(); BATCH];
    let (mut batches, mut found) = (Vec::new(), 0);
    for _ in 0..lookups.div_ceil(BATCH) {
        make_marks(&mut marks, random, side);
        let started = Instant::now();
        let mut last = 0_usize;
        for place in 0..BATCH {
            // Always `place`, but the processor has to wait for the last result to know.
            let mark = &marks[place ^ (last >> 40)];
            last = match black_box(side.catalogue.candidates(mark, DAY)) {
                None => 0,
                Some((_, offers)) => {
                    found += 1;
                    match kind {
                        Kind::Returned => offers.len(),
                        Kind::Read => offers.iter().map(|offer| offer.id.as_str().len()).sum(),
                    }
                }
            };
            last = black_box(last);
        }
        batches.push(10 * started.elapsed().as_nanos() / BATCH as u128);
    }
    (summary(batches).0, found)
}

/// Tenths of a nanosecond per random read, each waiting for the one before.
fn probe(memory: &[u64], random: &mut Random) -> u128 {
    let bound = memory.len() as u64;
    let mut place = random.next();
    let batches = (0..1_000).map(|_| {
        let started = Instant::now();
        for step in 0..BATCH as u64 {
            let at = (u128::from(mix(place ^ step)) * u128::from(bound)) >> 64;
            place = black_box(memory[usize::try_from(at).expect("below the length")]);
        }
        10 * started.elapsed().as_nanos() / BATCH as u128
    });
    summary(batches.collect()).0
}

/// Prints tenths with a point.
fn tenths(value: u128) -> String {
    format!("{}.{}", value / 10, value % 10)
}

fn summary(mut rounds: Vec<u128>) -> (u128, u128, u128) {
    rounds.sort_unstable();
    (rounds[rounds.len() / 2], rounds[0], rounds[rounds.len() - 1])
}

/// What the system says this program holds.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Measures and prints.
pub fn run(args: &Args) {
    let small = build(args.small, args.seed);
    let large = build(args.large, args.seed);
    println!("memory and building");
    println!("  offers      MIDs        build ms   index B/MID   findable B/MID   RSS of it B/MID   documents B/MID");
    for side in [&small, &large] {
        let mids = u128::from(side.merchants * MIDS_PER_MERCHANT);
        let per = |bytes: u128| tenths(10 * bytes / mids);
        println!(
            "  {:<10}  {:<10}  {:>8}   {:>11}   {:>14}   {:>15}   {:>15}",
            side.merchants,
            mids,
            side.build.as_millis(),
            per(side.catalogue.mid_index_bytes() as u128),
            per(side.catalogue.memory_bytes() as u128),
            per(u128::from(side.index_bytes)),
            per(u128::from(side.documents_bytes)),
        );
    }
    let mut random = Random(args.seed);
    let memories = [&small, &large]
        .map(|side| (0..side.catalogue.mid_index_bytes() / 8).map(|_| random.next()).collect::<Vec<u64>>());
    println!("nanoseconds per look-up, {} rounds of {} look-ups a side, sides alternating", args.rounds, args.lookups);
    println!("  candidates       side     median      min      max   a read");
    for (kind, name) in [(Kind::Returned, "returned"), (Kind::Read, "returned, read")] {
        let (mut rounds, mut reads, mut hits) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()], [0, 0]);
        for _ in 0..args.rounds {
            for (number, side) in [&small, &large].into_iter().enumerate() {
                // The caches now hold the other side: what the small one has there in service
                // it gets back before the clock runs.
                time(side, kind, args.lookups / 2, &mut random);
                let (median, found) = time(side, kind, args.lookups, &mut random);
                rounds[number].push(median);
                hits[number] += found;
                probe(&memories[number], &mut random);
                reads[number].push(probe(&memories[number], &mut random));
            }
        }
        let looked = args.lookups.div_ceil(BATCH) * BATCH * args.rounds;
        let mut medians = [0, 0];
        for (number, side) in ["small", "large"].into_iter().enumerate() {
            let (median, min, max) = summary(std::mem::take(&mut rounds[number]));
            medians[number] = median;
            let (read, ..) = summary(std::mem::take(&mut reads[number]));
            println!(
                "  {name:<15}  {side:<6}  {:>7}  {:>7}  {:>7}  {:>7}",
                tenths(median),
                tenths(min),
                tenths(max),
                tenths(read)
            );
        }
        println!(
            "  {name:<15}  ratio   {:>7}  (hits per mille {} and {})",
            tenths(10 * medians[1] / medians[0].max(1)),
            1000 * hits[0] / looked.max(1),
            1000 * hits[1] / looked.max(1),
        );
    }
    changes(&large, &mut random);
}

/// What a change costs on the large side, and what a well-filled overlay costs a look-up.
fn changes(side: &Side, random: &mut Random) {
    let mut catalogue = side.catalogue.clone();
    let mut times = [Vec::new(), Vec::new()];
    let mut revision = 1;
    while !catalogue.wants_merging() && revision < 2_000 {
        let number = random.below(side.merchants);
        let merchant = Arc::new(make_merchant(number));
        let offer = Arc::new(make_offer(number));
        revision += 1;
        let started = Instant::now();
        catalogue = catalogue.with_merchant(merchant, revision);
        times[0].push(started.elapsed().as_nanos() / 100);
        let started = Instant::now();
        catalogue = catalogue.with_offer(offer, revision);
        times[1].push(started.elapsed().as_nanos() / 100);
    }
    println!("microseconds per change, the overlay growing from empty until it wants merging");
    println!("  change           median      min      max");
    for (name, times) in ["merchant", "offer"].into_iter().zip(times) {
        let (median, min, max) = summary(times);
        println!("  {name:<13}  {:>8} {:>8} {:>8}", tenths(median), tenths(min), tenths(max));
    }
    let full = Side { catalogue, ..*side };
    let (median, _) = time(&full, Kind::Returned, 1_000_000, random);
    println!("with the overlay full: {} ns per look-up", tenths(median));
    let started = Instant::now();
    let merged = full.catalogue.merged(random.next());
    println!("merging: {} ms", started.elapsed().as_millis());
    let started = Instant::now();
    let adopted = full.catalogue.adopt(&merged);
    println!("adopting: {} us, {}", started.elapsed().as_micros(), if adopted.is_some() { "done" } else { "refused" });
}
