//! Events that came before the purchase they follow, from shops we do not know by themselves: joined when the
//! purchase opens. A memory, bounded, of the last ones.
//!
//! They are kept as their bytes: most wait in vain, and each one that comes touches memory that was not
//! touched for long.

use super::Engine;
use crate::domain::PurchaseKey;
use crate::record::{self, Sighting};
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// Purchases whose early followers are remembered, and followers of one of them.
const WAITING_PURCHASES_MAX: usize = 65_536;
const WAITING_EVENTS_MAX: usize = 16;

/// By hash of the purchase: its followers, as [`record::encode`] writes a list of them.
pub(super) struct Early {
    events: quick_cache::sync::Cache<u128, Arc<[u8]>>,
    /// Told to nobody, so that nobody can name purchases that meet.
    seed: u64,
}

impl Early {
    pub(super) fn new(seed: u64) -> Self {
        Self { events: quick_cache::sync::Cache::new(WAITING_PURCHASES_MAX), seed }
    }

    fn hash(&self, purchase: &PurchaseKey) -> u128 {
        let mut hash = Xxh3::with_seed(self.seed);
        hash.update(purchase.source.as_str().as_bytes());
        hash.update(&[0]);
        hash.update(purchase.id.as_str().as_bytes());
        hash.digest128()
    }
}

fn read(bytes: &[u8]) -> Vec<Sighting<'static>> {
    record::decode(bytes).expect("written by this process")
}

impl Engine {
    /// Remembers an event that follows a purchase nobody opened yet.
    pub fn wait_for(&self, purchase: &PurchaseKey, early: &Sighting<'_>) {
        let hash = self.early.hash(purchase);
        let list = match self.early.events.get(&hash) {
            None => record::with_encoded(&[early].as_slice(), |bytes| Arc::from(bytes)),
            Some(list) => {
                let mut list: Vec<Sighting<'_>> = read(&list);
                let known = |other: &Sighting<'_>| other.event.key == early.event.key && other.card == early.card;
                if list.len() == WAITING_EVENTS_MAX || list.iter().any(known) {
                    return;
                }
                list.push(early.clone());
                record::encode(&list).into()
            }
        };
        self.early.events.insert(hash, list);
    }

    /// The events that waited for a purchase which opens now.
    #[must_use]
    pub fn waited_for(&self, purchase: &PurchaseKey) -> Vec<Sighting<'static>> {
        self.early.events.remove(&self.early.hash(purchase)).map(|(_, list)| read(&list)).unwrap_or_default()
    }
}
