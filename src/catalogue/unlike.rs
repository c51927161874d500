//! Marks that were looked at and are like no shop we know, so that the next event with the
//! same text costs a look at one number: most statement texts are nobody's, and few are seen
//! once.
//!
//! Bounded, without locks, of one snapshot: whoever changes a merchant begins with none.

use crate::domain::MerchantMark;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Marks remembered; a newer one takes the place of an older.
const PLACES: usize = 1 << 16;

/// Hashes of marks, each at its own place. Made when the first is remembered.
#[derive(Debug, Default)]
pub(super) struct Unlike(OnceLock<Box<[AtomicU64]>>);

impl Unlike {
    /// What a mark is remembered by: all that its likeness rests on. The seed keeps others
    /// from choosing texts that meet.
    pub(super) fn hash(mark: &MerchantMark, shared: bool, seed: u64) -> u64 {
        let mut hash = xxhash_rust::xxh3::Xxh3::with_seed(seed);
        let shared_mid = if shared { [&mark.mid, &mark.scheme, &mark.acquirer] } else { [&None; 3] };
        for text in [&mark.descriptor, &mark.country, &mark.postcode].into_iter().chain(shared_mid) {
            hash.update(text.as_deref().unwrap_or_default().as_bytes());
            hash.update(&[0]);
        }
        hash.update(&mark.mcc.unwrap_or(u16::MAX).to_le_bytes());
        // Zero stands for an empty place.
        hash.digest().max(1)
    }
    /// Whether the mark was found to be like nothing.
    pub(super) fn knows(&self, hash: u64) -> bool {
        self.0.get().is_some_and(|places| places[place(hash)].load(Ordering::Relaxed) == hash)
    }
    /// Remembers it.
    pub(super) fn remember(&self, hash: u64) {
        let places = self.0.get_or_init(|| (0..PLACES).map(|_| AtomicU64::new(0)).collect());
        places[place(hash)].store(hash, Ordering::Relaxed);
    }
}

fn place(hash: u64) -> usize {
    usize::try_from(hash >> 48).unwrap_or(0) % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_remembered_is_known_and_nothing_else_is() {
        let unlike = Unlike::default();
        let mark = |descriptor: &str, mcc, mid: &str| MerchantMark {
            descriptor: Some(descriptor.into()),
            mcc,
            mid: Some(mid.into()),
            ..MerchantMark::default()
        };
        let hash = |mark: &MerchantMark, shared| Unlike::hash(mark, shared, 7);
        let one = mark("SQ *BLUE", Some(5814), "1");
        assert!(!unlike.knows(hash(&one, false)));
        unlike.remember(hash(&one, false));
        assert!(unlike.knows(hash(&one, false)));
        // A MID of its own says nothing here; a shared one does.
        assert!(unlike.knows(hash(&mark("SQ *BLUE", Some(5814), "2"), false)));
        assert_ne!(hash(&mark("SQ *BLUE", Some(5814), "2"), true), hash(&one, true));
        for other in [mark("SQ *BLU", Some(5814), "1"), mark("SQ *BLUE", None, "1"), mark("SQ *BLUE", Some(0), "1")] {
            assert!(!unlike.knows(hash(&other, false)), "{other:?}");
        }
        assert_ne!(Unlike::hash(&one, false, 8), hash(&one, false));
    }
}
