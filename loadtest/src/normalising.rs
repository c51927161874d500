//! `normalise`: the time in which a network's words become ours, per event and format.
//!
//! One thread, one body after the other, in an order drawn from the seed. Each body is a copy in
//! memory of its own, and all copies of a format together are larger than the caches next to the
//! core, so that no body is read twice from a cache; blanks outside of texts are left out, as
//! the networks do, unless the published form is asked for; it is read through once before its time
//! begins, as the proof of a webhook is verified before. A body of several messages (a batch, a snapshot)
//! counts once, with its time divided by them. What is made of a body is also dropped within
//! its time. Formats take turns, so that what else the machine does falls on all of them.

use crate::fault::{Fault, fault};
use crate::figures::{self, Spread, row};
use hdrhistogram::Histogram;
use ringfence::normalise::{Format, Message, normalise};
use serde_json::{Value, json};
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// End of a file that says what the sample beside it must come to.
const EXPECTED: &str = ".expected.json";

/// Longest time that is told apart: ten seconds.
const NANOS_MAX: u64 = 10_000_000_000;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of samples: FORMAT/NAME.json; those of the tests when not said
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/normalise"))]
    samples: PathBuf,
    /// Bodies as they are published, most of them indented, in place of how they travel
    #[arg(long)]
    indented: bool,
    /// Only this format
    #[arg(long)]
    format: Option<Format>,
    /// Rounds after one to warm up; the median of them counts
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Mebibytes of bodies per format, each read once a round
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    mebibytes: u16,
    /// Microseconds per event, in the middle, that are enough
    #[arg(long, default_value_t = 5.0)]
    target: f64,
    /// Seed of the order
    #[arg(long, default_value_t = 20_261_121)]
    seed: u64,
    /// Print the figures as a line of JSON too
    #[arg(long)]
    json: bool,
}

/// A sample as it was published.
struct Sample {
    name: String,
    body: Vec<u8>,
    messages: u64,
    /// Whether any of its messages is an event.
    tells: bool,
    times: Histogram<u64>,
}

/// A format's samples and the bodies made of them.
struct Side {
    format: Format,
    samples: Vec<Sample>,
    /// Samples that cannot be read at all, and are not measured.
    unreadable: usize,
    /// In the order in which they are read: which sample, and its own copy.
    bodies: Vec<(usize, Box<[u8]>)>,
    /// Nanoseconds per event of bodies that tell of any.
    telling: Histogram<u64>,
    /// Nanoseconds per message of the others.
    others: Histogram<u64>,
    /// The middle of each round, in microseconds.
    middles: Vec<f64>,
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, NANOS_MAX, 3).expect("the bounds are right")
}

impl Side {
    fn load(format: Format, args: &Args) -> Result<Self, Fault> {
        let folder = args.samples.join(format.as_str());
        let (mut samples, mut unreadable) = (Vec::new(), 0);
        for (name, path) in files(&folder)? {
            let body = fs::read(&path).map_err(|error| fault(format!("{}: {error}", path.display())))?;
            let body = if args.indented { body } else { packed(&body) };
            let Ok(read) = normalise(format, &body) else {
                unreadable += 1;
                continue;
            };
            let tells = read.messages.iter().any(|message| matches!(message, Message::Event(_)));
            samples.push(Sample { name, body, messages: read.messages.len() as u64, tells, times: histogram() });
        }
        if !samples.iter().any(|sample| sample.tells) {
            return Err(fault(format!("{}: holds no NAME.json that tells of an event", folder.display())));
        }
        let each: usize = samples.iter().map(|sample| sample.body.len()).sum();
        let copies = (usize::from(args.mebibytes) << 20).div_ceil(each);
        let mut order: Vec<usize> = (0..samples.len() * copies).map(|place| place % samples.len()).collect();
        shuffle(&mut order, args.seed);
        let bodies = order.into_iter().map(|of| (of, samples[of].body.clone().into_boxed_slice())).collect();
        let [telling, others] = [histogram(), histogram()];
        Ok(Self { format, samples, unreadable, bodies, telling, others, middles: Vec::new() })
    }

    /// Reads every body once.
    fn round(&mut self, counts: bool) {
        let mut round = histogram();
        for (of, body) in &self.bodies {
            let sample = &mut self.samples[*of];
            // Whoever verified the proof has just read it.
            black_box(body.iter().fold(0_u8, |sum, byte| sum ^ byte));
            let begun = Instant::now();
            drop(black_box(normalise(self.format, black_box(body))));
            let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX) / sample.messages;
            if !counts {
                continue;
            }
            sample.times.saturating_record(took);
            let times = if sample.tells { &mut round } else { &mut self.others };
            times.saturating_record(took);
        }
        if counts {
            self.middles.push(micros(&round, 0.5));
            self.telling.add(&round).expect("histograms of one kind");
        }
    }

    fn show(&self, target: f64) -> ((String, String), Value, bool) {
        let middle = Spread::of(self.middles.clone());
        let telling = || self.samples.iter().filter(|sample| sample.tells);
        let count = telling().count();
        let slowest = telling().max_by_key(|sample| sample.times.value_at_quantile(0.5));
        let (slow_name, slow) = slowest.map_or(("", 0.0), |sample| (sample.name.as_str(), micros(&sample.times, 0.5)));
        let bytes = telling().map(|sample| sample.body.len()).sum::<usize>() / count.max(1);
        let messages =
            figures::ratio(figures::float(telling().map(|sample| sample.messages).sum()), figures::float(count as u64));
        let met = middle.median <= target;
        let text = format!(
            "p50 {} µs, p99 {:.2}; {count} samples of {bytes} bytes and {messages:.1} messages; slowest {slow:.2} ({slow_name}); of no event p50 {:.2}  {}",
            middle.text(2),
            micros(&self.telling, 0.99),
            micros(&self.others, 0.5),
            if met { "met" } else { "MISSED" },
        );
        let each: Vec<Value> = self
            .samples
            .iter()
            .map(|sample| {
                json!({
                    "name": sample.name, "bytes": sample.body.len(), "messages": sample.messages, "tells": sample.tells,
                    "p50_micros": micros(&sample.times, 0.5), "p99_micros": micros(&sample.times, 0.99),
                })
            })
            .collect();
        let value = json!({
            "format": self.format.as_str(), "p50_micros": middle.json(), "p99_micros": micros(&self.telling, 0.99),
            "bytes_per_body": bytes, "messages_per_body": messages, "target_micros": target, "met": met,
            "slowest": {"sample": slow_name, "p50_micros": slow}, "unreadable": self.unreadable,
            "no_event": {"p50_micros": micros(&self.others, 0.5), "p99_micros": micros(&self.others, 0.99)},
            "samples": each,
        });
        (row(self.format.as_str(), text), value, met)
    }
}

/// The body as it travels: without the blanks that are there for readers of documentation.
/// Everything else stays, doubled keys too.
fn packed(body: &[u8]) -> Vec<u8> {
    let (mut within, mut escaped) = (false, false);
    let mut out = Vec::with_capacity(body.len());
    for byte in body {
        if within || !byte.is_ascii_whitespace() {
            out.push(*byte);
        }
        within ^= *byte == b'"' && !escaped;
        escaped = within && *byte == b'\\' && !escaped;
    }
    out
}

pub fn micros(times: &Histogram<u64>, quantile: f64) -> f64 {
    figures::ratio(figures::float(times.value_at_quantile(quantile)), 1_000.0)
}

/// The samples of a folder by name, expectations left out.
fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>, Fault> {
    let listed = fs::read_dir(folder).map_err(|error| fault(format!("{}: {error}", folder.display())))?;
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(sample) = name.strip_suffix(".json")
            && !name.ends_with(EXPECTED)
        {
            found.push((sample.to_owned(), entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The same order for the same seed.
fn shuffle(order: &mut [usize], seed: u64) {
    let mut state = seed;
    for last in (1..order.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = state;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^= value >> 31;
        let place = usize::try_from((u128::from(value) * (last as u128 + 1)) >> 64).expect("at most the last");
        order.swap(last, place);
    }
}

/// Measures and prints.
pub fn run(args: &Args) -> Result<(), Fault> {
    let formats = Format::ALL.into_iter().filter(|format| args.format.is_none_or(|only| only == *format));
    let mut sides = formats.map(|format| Side::load(format, args)).collect::<Result<Vec<_>, _>>()?;
    for round in 0..=args.rounds {
        sides.iter_mut().for_each(|side| side.round(round > 0));
    }
    let mut rows = vec![
        row("machine", figures::machine()),
        row(
            "load",
            format!("one thread, {} rounds, {} MiB of bodies per format and round", args.rounds, args.mebibytes),
        ),
        row("enough", format!("p50 at most {} µs per event", args.target)),
    ];
    let (mut values, mut all) = (Vec::new(), true);
    for side in &sides {
        let (line, value, met) = side.show(args.target);
        rows.push(line);
        values.push(value);
        all &= met;
    }
    figures::table("Time to normalise, per event", &rows);
    if args.json {
        println!("{}", json!({"run": "normalise", "formats": values, "met": all}));
    }
    if all { Ok(()) } else { Err(fault(format!("p50 is above {} µs", args.target))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_travels_has_no_blanks_but_those_of_its_texts() {
        let body = br#"{ "a \" b" : [ 1 , "c  d\\" ],
            "e":{} }"#;
        assert_eq!(packed(body), br#"{"a \" b":[1,"c  d\\"],"e":{}}"#);
    }

    #[test]
    fn a_shuffle_keeps_every_one_and_depends_on_the_seed() {
        let order = |seed| {
            let mut order: Vec<usize> = (0..100).collect();
            shuffle(&mut order, seed);
            order
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        let mut sorted = order(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }
}
