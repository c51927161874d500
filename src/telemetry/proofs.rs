//! How sources prove themselves: which of their secrets are still in use, and how far their
//! clocks lie from ours.

use super::instruments::Cells;
use crate::authenticate::SECRETS_MAX;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

/// Stands for a gap that nobody has seen yet.
const UNSEEN: i64 = i64::MIN;

/// What is known of every source, by its position.
pub(super) struct Proofs {
    sources: Vec<SourceProofs>,
    /// Per source, one per place in its list of secrets.
    used: Cells,
}

struct SourceProofs {
    name: String,
    /// How many places are shown: as many as it has secrets.
    keys: AtomicUsize,
    gap_last_ms: AtomicI64,
    gap_largest_ms: AtomicI64,
}

impl Proofs {
    pub(super) fn new(names: Vec<String>) -> Self {
        let used = Cells::new(names.len() * SECRETS_MAX);
        let source = |name| SourceProofs {
            name,
            keys: AtomicUsize::new(0),
            gap_last_ms: AtomicI64::new(UNSEEN),
            gap_largest_ms: AtomicI64::new(UNSEEN),
        };
        Self { sources: names.into_iter().map(source).collect(), used }
    }

    /// Shows this many places from the start: a secret that was never used is to be seen as such.
    pub(super) fn show(&self, source: usize, keys: usize) {
        self.sources[source].keys.fetch_max(keys.min(SECRETS_MAX), Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn used(&self, source: usize, place: usize) {
        if place < SECRETS_MAX {
            self.used.add(source * SECRETS_MAX + place, 1);
            self.show(source, place + 1);
        }
    }

    /// Notes by how much a signature's time lies before ours; negative, after it.
    #[inline]
    pub(super) fn gap(&self, source: usize, gap_ms: i64) {
        let SourceProofs { gap_last_ms, gap_largest_ms, .. } = &self.sources[source];
        let gap_ms = gap_ms.max(UNSEEN + 1);
        gap_last_ms.store(gap_ms, Ordering::Relaxed);
        let larger = |known: i64| (known == UNSEEN || gap_ms.abs() > known.abs()).then_some(gap_ms);
        // Almost always it is not: a look is cheaper than an exchange. When it is not any more,
        // another thread has seen a larger one.
        let _ = gap_largest_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, larger);
    }
}

/// One metric of what is known.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) proofs: Arc<Proofs>,
    pub(super) what: What,
}

/// Which.
#[derive(Clone, Copy)]
pub(super) enum What {
    /// How often each secret proved a webhook.
    Used,
    /// The last gap.
    GapLast,
    /// The largest gap since the start.
    GapLargest,
}

impl fmt::Debug for Proofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proofs")
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

impl EncodeMetric for Shown {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (index, source) in self.proofs.sources.iter().enumerate() {
            let gap = match self.what {
                What::GapLast => &source.gap_last_ms,
                What::GapLargest => &source.gap_largest_ms,
                What::Used => {
                    for place in 0..source.keys.load(Ordering::Relaxed) {
                        // Counted from one, as people count the list in the file.
                        let labels = [("source", source.name.clone()), ("key", (place + 1).to_string())];
                        let count = self.proofs.used.sum(index * SECRETS_MAX + place);
                        encoder.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
                    }
                    continue;
                }
            };
            let gap_ms = gap.load(Ordering::Relaxed);
            if gap_ms != UNSEEN {
                let labels = [("source", source.name.as_str())];
                encoder.encode_family(&labels)?.encode_gauge(&in_seconds(gap_ms))?;
            }
        }
        Ok(())
    }
    fn metric_type(&self) -> MetricType {
        match self.what {
            What::Used => MetricType::Counter,
            What::GapLast | What::GapLargest => MetricType::Gauge,
        }
    }
}

#[expect(clippy::float_arithmetic, reason = "the text format has seconds with fractions; no money here")]
fn in_seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_gap_keeps_its_sign_whatever_comes_after() {
        let proofs = Proofs::new(vec!["a".to_owned(), "b".to_owned()]);
        let seen = |source: usize| {
            let source = &proofs.sources[source];
            (source.gap_last_ms.load(Ordering::Relaxed), source.gap_largest_ms.load(Ordering::Relaxed))
        };
        assert_eq!(seen(0), (UNSEEN, UNSEEN));
        for (gap, want) in [(0, (0, 0)), (20, (20, 20)), (-300, (-300, -300)), (299, (299, -300)), (301, (301, 301))] {
            proofs.gap(0, gap);
            assert_eq!(seen(0), want);
        }
        proofs.gap(0, i64::MIN);
        assert_eq!(seen(0), (-i64::MAX, -i64::MAX));
        assert_eq!(seen(1), (UNSEEN, UNSEEN));
    }

    #[test]
    fn inv_09_a_place_beyond_the_bound_is_no_cell_of_another_source() {
        let proofs = Proofs::new(vec!["a".to_owned(), "b".to_owned()]);
        proofs.used(0, SECRETS_MAX);
        proofs.used(0, usize::MAX);
        proofs.used(1, 0);
        let sums: Vec<u64> = (0..2 * SECRETS_MAX).map(|cell| proofs.used.sum(cell)).collect();
        assert_eq!((sums[SECRETS_MAX], sums.iter().sum::<u64>()), (1, 1));
    }
}
