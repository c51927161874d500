//! Which registered MIDs are heard of: how often and when last, since the start. Anybody's card
//! counts, so that a merchant can try a terminal with any; nothing of the card is kept.

use super::key::Key;
use crate::domain::{MerchantId, Timestamp};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

/// Locks: two webhooks seldom meet.
const SHARDS: usize = 64;
/// MIDs of one lock; further ones are not told apart from those never heard of.
const PER_SHARD_MAX: usize = 20_000;

/// How a MID was heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sound {
    /// Messages since the start.
    pub count: u64,
    /// When the last one came.
    pub last: Timestamp,
}

/// See the module.
#[derive(Debug)]
pub struct Heard {
    since: Timestamp,
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<u64, Sound>>>,
}

impl Heard {
    /// Nothing was heard yet.
    #[must_use]
    pub fn new(since: Timestamp) -> Self {
        Self { since, hasher: RandomState::new(), shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Since when it listens.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// A message of a merchant's MID came.
    pub fn note(&self, merchant: &MerchantId, mid: &str, now: Timestamp) {
        let Some((hash, shard)) = self.place(merchant, mid) else { return };
        let mut sounds = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if sounds.len() >= PER_SHARD_MAX && !sounds.contains_key(&hash) {
            return;
        }
        let sound = sounds.entry(hash).or_insert(Sound { count: 0, last: now });
        *sound = Sound { count: sound.count + 1, last: sound.last.max(now) };
    }

    /// How a merchant's MID was heard of; `None` when it was not since the start.
    #[must_use]
    pub fn of(&self, merchant: &MerchantId, mid: &str) -> Option<Sound> {
        let (hash, shard) = self.place(merchant, mid)?;
        shard.lock().unwrap_or_else(PoisonError::into_inner).get(&hash).copied()
    }

    fn place(&self, merchant: &MerchantId, mid: &str) -> Option<(u64, &Mutex<HashMap<u64, Sound>>)> {
        // As the index of MIDs compares them: without leading zeros.
        let hash = self.hasher.hash_one((merchant, Key::of_mid(mid)?));
        Some((hash, &self.shards[usize::try_from(hash % SHARDS as u64).expect("a small number")]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mid_is_heard_however_it_is_written_and_for_its_merchant_alone() {
        let now = Timestamp::start_of_day(20_000);
        let heard = Heard::new(now);
        let [bakery, rival] = ["bakery", "rival"].map(|id| MerchantId::new(id).unwrap());
        heard.note(&bakery, "000123", now);
        heard.note(&bakery, "123", now.plus_ms(5));
        assert_eq!(heard.of(&bakery, "00123"), Some(Sound { count: 2, last: now.plus_ms(5) }));
        assert_eq!((heard.of(&rival, "123"), heard.of(&bakery, "1230")), (None, None));
    }
}
