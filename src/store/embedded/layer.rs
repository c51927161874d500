//! What was committed and is not in the tree yet: hashed where a single key is asked for,
//! ordered only where a scan may come by. A commit compares no long keys.

use crate::store::keys::{Shelf, shelf};
use crate::store::{Key, Partition};
use bytes::Bytes;
use hashbrown::HashMap;
use std::collections::BTreeMap;

/// Bytes of bookkeeping per entry, for the layer's bound.
const ENTRY_BYTES: usize = 96;

/// What a key has; `None` when it was removed.
pub(super) type Value = Option<Bytes>;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    parts: BTreeMap<Partition, Part>,
    bytes: usize,
}

/// One partition's part.
#[derive(Debug, Clone, Default)]
struct Part {
    /// Keys of one owner lie together: a commit finds the owner once and then compares short rests.
    owned: HashMap<Key, BTreeMap<Box<[u8]>, Value>>,
    /// Asked for one by one.
    points: HashMap<Key, Value>,
    /// Asked for by a short prefix.
    ordered: BTreeMap<Key, Value>,
    /// Raised by every commit that moves money; `None` when it was removed.
    counters: HashMap<Key, Option<i64>>,
}

impl Layer {
    /// Roughly what it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What it knows of a key; `None` when nothing.
    pub(super) fn get(&self, partition: Partition, key: &[u8]) -> Option<Value> {
        self.parts.get(&partition)?.get(key)
    }

    /// Takes a commit's values.
    pub(super) fn put(&mut self, partition: Partition, puts: Vec<(Key, Value)>) {
        let part = self.parts.entry(partition).or_default();
        for (key, value) in puts {
            self.bytes += key.len() + value.as_ref().map_or(0, Bytes::len) + ENTRY_BYTES;
            part.put(key, value);
        }
    }

    /// Takes the new values of counters.
    pub(super) fn count(&mut self, partition: Partition, counters: Vec<(Key, i64)>) {
        let part = self.parts.entry(partition).or_default();
        for (key, value) in counters {
            let bytes = key.len() + ENTRY_BYTES;
            if part.counters.insert(key, Some(value)).is_none() {
                self.bytes += bytes;
            }
        }
    }

    /// Takes all of a newer layer.
    pub(super) fn cover(&mut self, newer: Self) {
        for (partition, part) in newer.parts {
            let into = self.parts.entry(partition).or_default();
            for (owner, entries) in part.owned {
                into.owned.entry(owner).or_default().extend(entries);
            }
            into.points.extend(part.points);
            into.ordered.extend(part.ordered);
            into.counters.extend(part.counters);
        }
        self.bytes += newer.bytes;
    }

    /// Partitions in order.
    pub(super) fn partitions(&self) -> impl Iterator<Item = Partition> {
        self.parts.keys().copied()
    }

    /// Everything of a partition in order of keys.
    pub(super) fn sorted(&self, partition: Partition) -> Vec<(Key, Value)> {
        let mut all = Vec::new();
        if let Some(part) = self.parts.get(&partition) {
            part.each(b"", &mut |key, value| all.push((key, value)));
        }
        all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// Adds what begins with a prefix and is greater than `after`.
    pub(super) fn select(
        &self,
        partition: Partition,
        prefix: &[u8],
        after: Option<&[u8]>,
        into: &mut BTreeMap<Key, Value>,
    ) {
        let Some(part) = self.parts.get(&partition) else { return };
        part.each(prefix, &mut |key, value| {
            if after.is_none_or(|after| key.as_slice() > after) {
                into.insert(key, value);
            }
        });
    }
}

impl Part {
    fn get(&self, key: &[u8]) -> Option<Value> {
        match shelf(key) {
            Shelf::Owned(owner, rest) => self.owned.get(owner)?.get(rest).cloned(),
            Shelf::Point => self.points.get(key).cloned(),
            Shelf::Ordered => self.ordered.get(key).cloned(),
            Shelf::Counter => self.counters.get(key).map(|value| value.map(counter)),
        }
    }

    fn put(&mut self, key: Key, value: Value) {
        match shelf(&key) {
            Shelf::Owned(owner, rest) => {
                self.owned.entry_ref(owner).or_default().insert(rest.into(), value);
            }
            Shelf::Point => {
                self.points.insert(key, value);
            }
            Shelf::Ordered => {
                self.ordered.insert(key, value);
            }
            // As it is read, so that one put in place is raised from there.
            Shelf::Counter => {
                self.counters.insert(key, value.map(|value| crate::store::keys::counter(Some(&value))));
            }
        }
    }

    /// Hands over what begins with a prefix, in no order.
    fn each(&self, prefix: &[u8], take: &mut dyn FnMut(Key, Value)) {
        let mut of_owner = |owner: &[u8], entries: &BTreeMap<Box<[u8]>, Value>| {
            for (rest, value) in entries {
                let key = [owner, rest].concat();
                if key.starts_with(prefix) {
                    take(key, value.clone());
                }
            }
        };
        // The usual scan is of one owner, found at once.
        if let Shelf::Owned(owner, _) = shelf(prefix) {
            if let Some(entries) = self.owned.get(owner) {
                of_owner(owner, entries);
            }
            return;
        }
        for (owner, entries) in &self.owned {
            let common = owner.len().min(prefix.len());
            if owner[..common] == prefix[..common] {
                of_owner(owner, entries);
            }
        }
        let ordered = self.ordered.range::<[u8], _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        for (key, value) in ordered.take_while(|(key, _)| key.starts_with(prefix)) {
            take(key.clone(), value.clone());
        }
        for (key, value) in self.points.iter().filter(|(key, _)| key.starts_with(prefix)) {
            take(key.clone(), value.clone());
        }
        for (key, value) in self.counters.iter().filter(|(key, _)| key.starts_with(prefix)) {
            take(key.clone(), value.map(counter));
        }
    }
}

fn counter(value: i64) -> Bytes {
    Bytes::copy_from_slice(&value.to_le_bytes())
}
