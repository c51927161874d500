//! Counters and histograms that cost a few nanoseconds: plain atomic additions into cells
//! that few threads share, found by index. No lock, no map, no allocation when observing.
//!
//! `prometheus-client` does the text. Its own histogram takes a mutex and its families a
//! lock and a hash per observation, which at tens of thousands of webhooks a second shows.

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Copies of each cell; a thread adds to its own, reading sums them.
const SHARDS: usize = 8;
/// Cells in two cache lines: shards lie that far apart, so that they share none (processors
/// fetch lines in pairs).
const CELLS_APART: usize = 16;

fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static MINE: Cell<usize> = const { Cell::new(usize::MAX) });
    MINE.with(|mine| {
        if mine.get() == usize::MAX {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        mine.get()
    })
}

/// A table of sums.
pub(super) struct Cells {
    cells: Box<[AtomicU64]>,
    stride: usize,
}

impl Cells {
    pub(super) fn new(len: usize) -> Self {
        let stride = len + CELLS_APART;
        Self { cells: (0..stride * SHARDS).map(|_| AtomicU64::new(0)).collect(), stride }
    }
    #[inline]
    pub(super) fn add(&self, index: usize, amount: u64) {
        debug_assert!(index + CELLS_APART < self.stride, "a cell of this table");
        // Relaxed: a sum needs no order with anything else.
        self.cells[shard() * self.stride + index].fetch_add(amount, Ordering::Relaxed);
    }
    pub(super) fn sum(&self, index: usize) -> u64 {
        (0..SHARDS)
            .fold(0, |sum, shard| sum.wrapping_add(self.cells[shard * self.stride + index].load(Ordering::Relaxed)))
    }
}

/// Buckets of doubling width: the first ends at `first` units, each next at twice the one
/// before, the last has no end. `scale` units are one of the unit shown.
#[derive(Clone, Copy)]
pub(super) struct Buckets {
    pub(super) first: u64,
    pub(super) count: usize,
    pub(super) scale: f64,
}

/// From 1 µs to 16.8 s, observed in nanoseconds, shown in seconds.
pub(super) const TIMES: Buckets = Buckets { first: 1_000, count: 25, scale: 1e9 };
/// From 64 bytes to 8 GiB.
pub(super) const SIZES: Buckets = Buckets { first: 64, count: 28, scale: 1.0 };
/// From 1 to 65,536.
pub(super) const COUNTS: Buckets = Buckets { first: 1, count: 17, scale: 1.0 };

/// One distribution, with a sum.
#[derive(Clone)]
pub(super) struct Histogram(Arc<HistogramCells>);

struct HistogramCells {
    buckets: Buckets,
    /// Each bucket, the one without an end, and the sum.
    cells: Cells,
}

impl Histogram {
    pub(super) fn new(buckets: Buckets) -> Self {
        Self(Arc::new(HistogramCells { buckets, cells: Cells::new(buckets.count + 2) }))
    }
    #[inline]
    pub(super) fn observe(&self, value: u64) {
        let Buckets { first, count, .. } = self.0.buckets;
        let widths = value.div_ceil(first).max(1);
        let bucket = (64 - (widths - 1).leading_zeros()) as usize;
        self.0.cells.add(bucket.min(count), 1);
        self.0.cells.add(count + 1, value);
    }
}

impl EncodeMetric for Histogram {
    #[expect(clippy::float_arithmetic, reason = "the text format has seconds with fractions; no money here")]
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let HistogramCells { buckets, cells } = &*self.0;
        let mut counts = Vec::with_capacity(buckets.count + 1);
        for bucket in 0..=buckets.count {
            let end =
                if bucket == buckets.count { f64::INFINITY } else { (buckets.first << bucket) as f64 / buckets.scale };
            counts.push((end, cells.sum(bucket)));
        }
        // The count is that of the buckets just read, so the lines agree with one another
        // however many observations come in between.
        let count = counts.iter().map(|(_, count)| count).sum();
        let sum = cells.sum(buckets.count + 1) as f64 / buckets.scale;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &counts, None)
    }
    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// Histograms that differ in one label.
#[derive(Clone)]
pub(super) struct HistogramsBy {
    label: &'static str,
    each: Arc<[(&'static str, Histogram)]>,
}

impl HistogramsBy {
    pub(super) fn new(label: &'static str, words: impl IntoIterator<Item = &'static str>, buckets: Buckets) -> Self {
        Self { label, each: words.into_iter().map(|word| (word, Histogram::new(buckets))).collect() }
    }
    #[inline]
    pub(super) fn at(&self, index: usize) -> &Histogram {
        &self.each[index].1
    }
}

impl EncodeMetric for HistogramsBy {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (word, histogram) in self.each.iter() {
            histogram.encode(encoder.encode_family(&[(self.label, *word)])?)?;
        }
        Ok(())
    }
    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// Counters in a table of one or two labels, each cell known beforehand.
#[derive(Clone)]
pub(super) struct Counters(Arc<CounterTable>);

struct CounterTable {
    rows: (&'static str, Vec<String>),
    columns: (&'static str, Words),
    cells: Cells,
}

/// The values of a label.
pub(super) enum Words {
    /// All known beforehand.
    Fixed(Vec<&'static str>),
    /// Learnt as they come, up to a bound.
    Learnt(Vocabulary),
}

impl Words {
    fn len(&self) -> usize {
        match self {
            Self::Fixed(words) => words.len(),
            Self::Learnt(vocabulary) => vocabulary.len(),
        }
    }
    fn get(&self, index: usize) -> Option<&str> {
        match self {
            Self::Fixed(words) => words.get(index).copied(),
            Self::Learnt(vocabulary) => vocabulary.get(index),
        }
    }
}

impl Counters {
    /// One counter without labels.
    pub(super) fn one() -> Self {
        Self::new(("", Vec::new()), ("", Words::Fixed(vec![""])))
    }
    /// Counters of one label.
    pub(super) fn by(label: &'static str, words: impl IntoIterator<Item = &'static str>) -> Self {
        Self::new(("", Vec::new()), (label, Words::Fixed(words.into_iter().collect())))
    }
    /// Counters of two labels; without rows there is one label, that of the columns.
    pub(super) fn new(rows: (&'static str, Vec<String>), columns: (&'static str, Words)) -> Self {
        let cells = Cells::new(rows.1.len().max(1) * columns.1.len());
        Self(Arc::new(CounterTable { rows, columns, cells }))
    }
    #[inline]
    pub(super) fn add(&self, row: usize, column: usize, amount: u64) {
        let columns = self.0.columns.1.len();
        assert!(row < self.0.rows.1.len().max(1) && column < columns, "a counter of this table");
        self.0.cells.add(row * columns + column, amount);
    }
    /// What a row has, by word; words without any are left out.
    pub(super) fn row(&self, row: usize) -> BTreeMap<String, u64> {
        let CounterTable { rows, columns, cells } = &*self.0;
        if row >= rows.1.len().max(1) {
            return BTreeMap::new();
        }
        let sums = (0..columns.1.len()).map(|column| (column, cells.sum(row * columns.1.len() + column)));
        let told = sums.filter(|(_, sum)| *sum > 0).filter_map(|(at, sum)| Some((columns.1.get(at)?.to_owned(), sum)));
        told.collect()
    }
    /// Adds under a word, which is learnt; when too many are known, under `other`.
    #[inline]
    pub(super) fn add_word(&self, row: usize, word: &str, amount: u64) {
        if let Words::Learnt(vocabulary) = &self.0.columns.1 {
            self.add(row, vocabulary.index(word), amount);
        }
    }
}

impl EncodeMetric for Counters {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let CounterTable { rows, columns, cells } = &*self.0;
        for row in 0..rows.1.len().max(1) {
            for column in 0..columns.1.len() {
                let Some(word) = columns.1.get(column) else { continue };
                let value = cells.sum(row * columns.1.len() + column);
                match rows.1.get(row) {
                    Some(name) => {
                        let labels = [(rows.0, name.as_str()), (columns.0, word)];
                        encoder.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
                    }
                    None if columns.0.is_empty() => encoder.encode_counter::<NoLabelSet, _, u64>(&value, None)?,
                    None => {
                        let labels = [(columns.0, word)];
                        encoder.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
                    }
                }
            }
        }
        Ok(())
    }
    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

/// Words learnt as they come: a bounded table that is read without a lock.
pub(super) struct Vocabulary {
    /// Twice as many as words, so that a look-up soon ends.
    slots: Box<[OnceLock<Box<str>>]>,
    words_max: usize,
    known: AtomicUsize,
}

/// Stands for every word beyond the bound.
const OTHER: &str = "other";
/// Longest word; a longer one is no code of ours.
const WORD_BYTES_MAX: usize = 64;

impl Vocabulary {
    pub(super) fn new(words_max: usize) -> Self {
        let slots = (words_max * 2).next_power_of_two();
        Self { slots: (0..slots).map(|_| OnceLock::new()).collect(), words_max, known: AtomicUsize::new(0) }
    }
    fn len(&self) -> usize {
        self.slots.len() + 1
    }
    fn get(&self, index: usize) -> Option<&str> {
        if index == self.slots.len() { Some(OTHER) } else { self.slots[index].get().map(|word| &**word) }
    }
    fn index(&self, word: &str) -> usize {
        let other = self.slots.len();
        if word.len() > WORD_BYTES_MAX {
            return other;
        }
        let mask = self.slots.len() - 1;
        let mut at = (xxhash_rust::xxh3::xxh3_64(word.as_bytes()) as usize) & mask;
        for _ in 0..self.slots.len() {
            if self.slots[at].get().is_none() {
                // Counted before it is written, so that the bound holds among threads; two that learn
                // the same word at once may use up one place more than needed.
                if self.known.fetch_add(1, Ordering::Relaxed) >= self.words_max {
                    self.known.fetch_sub(1, Ordering::Relaxed);
                    return other;
                }
                if self.slots[at].set(word.into()).is_err() {
                    self.known.fetch_sub(1, Ordering::Relaxed);
                }
            }
            if self.slots[at].get().is_some_and(|known| **known == *word) {
                return at;
            }
            at = (at + 1) & mask;
        }
        other
    }
}

macro_rules! silent_debug {
    ($($name:ident)+) => { $(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )+ };
}
silent_debug!(Histogram HistogramsBy Counters Reading ReadingsBy);

/// A number that somebody else keeps, read when the text is made.
pub(super) struct Reading {
    pub(super) read: Box<dyn Fn() -> u64 + Send + Sync>,
    pub(super) kind: MetricType,
}

impl EncodeMetric for Reading {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let value = (self.read)();
        match self.kind {
            MetricType::Counter => encoder.encode_counter::<NoLabelSet, _, u64>(&value, None),
            _ => encoder.encode_gauge(&value),
        }
    }
    fn metric_type(&self) -> MetricType {
        self.kind
    }
}

/// Numbers that somebody else keeps, one per value of a label.
pub(super) struct ReadingsBy {
    pub(super) label: &'static str,
    pub(super) names: Vec<String>,
    pub(super) read: Box<dyn Fn(usize) -> u64 + Send + Sync>,
    pub(super) kind: MetricType,
}

impl EncodeMetric for ReadingsBy {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (place, name) in self.names.iter().enumerate() {
            let (labels, value) = ([(self.label, name.as_str())], (self.read)(place));
            let mut line = encoder.encode_family(&labels)?;
            match self.kind {
                MetricType::Counter => line.encode_counter::<NoLabelSet, _, u64>(&value, None)?,
                _ => line.encode_gauge(&value)?,
            }
        }
        Ok(())
    }
    fn metric_type(&self) -> MetricType {
        self.kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets_of(value: u64) -> Vec<usize> {
        let histogram = Histogram::new(TIMES);
        histogram.observe(value);
        (0..=TIMES.count).filter(|bucket| histogram.0.cells.sum(*bucket) == 1).collect()
    }

    #[test]
    fn a_value_lies_at_or_below_the_end_of_its_bucket() {
        for (nanoseconds, bucket) in [
            (0, 0),
            (1, 0),
            (1_000, 0),
            (1_001, 1),
            (2_000, 1),
            (2_001, 2),
            (4_000, 2),
            (1_000 << 24, 24),
            ((1_000 << 24) + 1, 25),
            (u64::MAX, 25),
        ] {
            assert_eq!(buckets_of(nanoseconds), [bucket], "{nanoseconds} ns");
        }
    }

    #[test]
    fn threads_add_up() {
        let counters = Counters::by("kind", ["a", "b"]);
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| (0..1_000).for_each(|_| counters.add(0, 1, 2)));
            }
        });
        assert_eq!((counters.0.cells.sum(0), counters.0.cells.sum(1)), (0, 40_000));
    }

    #[test]
    fn inv_09_words_are_learnt_up_to_a_bound() {
        let vocabulary = Vocabulary::new(4);
        let places: Vec<usize> = ["a", "b", "c", "d", "e", "a"].map(|word| vocabulary.index(word)).into();
        let other = vocabulary.len() - 1;
        assert_eq!(vocabulary.get(other), Some(OTHER));
        assert_eq!(places[5], places[0]);
        assert_eq!(places[4], other);
        for (place, word) in places.iter().zip(["a", "b", "c", "d"]) {
            assert_eq!(vocabulary.get(*place), Some(word));
        }
        assert_eq!(Vocabulary::new(4).index(&"x".repeat(WORD_BYTES_MAX + 1)), other);
        let crowd = Vocabulary::new(16);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let crowd = &crowd;
                scope.spawn(move || {
                    for n in 0..100 {
                        crowd.index(&format!("{}", thread * 100 + n));
                    }
                });
            }
        });
        assert!((0..crowd.len() - 1).filter(|index| crowd.get(*index).is_some()).count() <= 16);
    }
}
