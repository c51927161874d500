//! The embedded keeper: a `redb` file under an in-memory layer of what was committed
//! since the last checkpoint.
//!
//! A commit goes to memory alone, because the journal already holds it; a checkpoint
//! writes the layer to the file in one transaction, together with the journal position
//! up to which the file is whole. After a crash the journal is replayed from there.
//! The file is a cache: its integrity is checked whenever it is opened, every value
//! carries a checksum with its key, and a broken file is rebuilt aside and renamed.

use super::{Answer, Batch, Committed, Keeper, Key, Pairs, Partition, StoreError};
use crate::journal::Position;
use arc_swap::ArcSwap;
use bytes::Bytes;
use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

const STATE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("state");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// Bytes of bookkeeping per entry of the layer, for its bound.
const ENTRY_BYTES: usize = 96;

/// What a state file says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Number of member partitions, fixed when the store was created.
    pub partitions: u16,
    /// The process whose journal it is made from.
    pub process: u32,
    /// Every record before here is in the file; later ones may be.
    pub position: Position,
    /// Highest record number per partition, by partition.
    pub numbers: Vec<(Partition, u64)>,
}

type Entries = BTreeMap<Key, Option<Bytes>>;
type Layer = BTreeMap<Partition, Part>;

/// One partition's part of a layer. Counters stand apart: every crediting commit raises
/// several, and a hash finds them without comparing long keys.
#[derive(Debug, Clone, Default)]
struct Part {
    entries: Entries,
    counters: HashMap<Key, i64>,
}

impl Part {
    fn get(&self, key: &[u8]) -> Option<Option<Bytes>> {
        match self.counters.get(key) {
            Some(value) => Some(Some(counter_bytes(*value))),
            None => self.entries.get(key).cloned(),
        }
    }
}

type Table = ReadOnlyTable<&'static [u8], &'static [u8]>;

#[derive(Default)]
struct Layers {
    active: Layer,
    active_bytes: usize,
    /// Being written by a checkpoint.
    frozen: Option<Arc<Layer>>,
}

/// The embedded keeper.
pub struct Embedded {
    path: PathBuf,
    db: Database,
    table: ArcSwap<Table>,
    layers: RwLock<Layers>,
    /// One checkpoint at a time.
    writing: std::sync::Mutex<()>,
    /// Told when a checkpoint has made room.
    room: tokio::sync::Notify,
    layer_bytes_max: usize,
}

/// What a checkpoint wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checkpointed {
    /// Keys written or removed.
    pub keys: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// The state file cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not a sound state file; it can be rebuilt from the journal.
    #[error("the state file {path} is not sound and must be rebuilt from the journal: {reason}")]
    Unsound {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Another process has it.
    #[error("the state file {path} is in use by another process; stop that one first")]
    InUse {
        /// Which file.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("the state file {path} cannot be opened")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

fn unsound(path: &Path) -> impl Fn(&dyn std::fmt::Display) -> OpenError + '_ {
    move |reason| OpenError::Unsound { path: path.to_owned(), reason: reason.to_string() }
}

impl Embedded {
    /// Opens a state file, or creates an empty one, and returns it with what it says of
    /// itself (`None` when new). Reads the whole file once, to check it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: &Path, cache_bytes: usize, layer_bytes_max: usize) -> Result<(Self, Option<Meta>), OpenError> {
        let opened = redb::Builder::new().set_cache_size(cache_bytes).set_check_integrity_on_open(true).create(path);
        let db = opened.map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { path: path.to_owned() },
            redb::DatabaseError::Storage(redb::StorageError::Io(source))
                if source.kind() != std::io::ErrorKind::InvalidData =>
            {
                OpenError::Io { path: path.to_owned(), source }
            }
            other => unsound(path)(&other),
        })?;
        let broken = unsound(path);
        let meta = Self::read_meta(&db).map_err(|e| broken(&e))?;
        let table = Self::read_table(&db).map_err(|e| broken(&e))?;
        let keeper = Self {
            path: path.to_owned(),
            db,
            table: ArcSwap::from_pointee(table),
            layers: RwLock::default(),
            writing: std::sync::Mutex::new(()),
            room: tokio::sync::Notify::new(),
            layer_bytes_max,
        };
        Ok((keeper, meta))
    }

    fn read_meta(db: &Database) -> Result<Option<Meta>, redb::Error> {
        let write = db.begin_write()?;
        let meta = {
            write.open_table(STATE)?;
            let table = write.open_table(META)?;
            let value = table.get("meta")?;
            value.map(|value| {
                crate::record::decode::<Meta>(value.value()).map_err(|e| redb::Error::Corrupted(e.to_string()))
            })
        };
        write.commit()?;
        meta.transpose()
    }

    fn read_table(db: &Database) -> Result<Table, redb::Error> {
        Ok(db.begin_read()?.open_table(STATE)?)
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn layers(&self) -> RwLockReadGuard<'_, Layers> {
        self.layers.read().expect("no code panics while it holds the layers")
    }
    fn layers_mut(&self) -> RwLockWriteGuard<'_, Layers> {
        self.layers.write().expect("no code panics while it holds the layers")
    }

    /// Bytes waiting for the next checkpoint.
    #[must_use]
    pub fn layer_bytes(&self) -> usize {
        self.layers().active_bytes
    }

    /// Writes what was committed since the last checkpoint. `meta.position` must have been
    /// taken before the call: every record before it is then in the layer or the file.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is lost, the next one tries again.
    pub fn checkpoint(&self, meta: &Meta) -> Result<Checkpointed, StoreError> {
        self.flush(Some(meta))
    }

    /// Writes what was committed without saying anything of the journal: a replay that
    /// outgrows memory.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn spill(&self) -> Result<Checkpointed, StoreError> {
        self.flush(None)
    }

    fn flush(&self, meta: Option<&Meta>) -> Result<Checkpointed, StoreError> {
        let _one = self.writing.lock().expect("no code panics while it writes a checkpoint");
        let frozen = {
            let mut layers = self.layers_mut();
            let taken = std::mem::take(&mut layers.active);
            layers.active_bytes = 0;
            // A failed checkpoint left its layer: the new one goes over it.
            let merged = match layers.frozen.take() {
                None => taken,
                Some(old) => {
                    let mut merged = Arc::try_unwrap(old).unwrap_or_else(|old| (*old).clone());
                    for (partition, part) in taken {
                        let into = merged.entry(partition).or_default();
                        into.entries.extend(part.entries);
                        into.counters.extend(part.counters);
                    }
                    merged
                }
            };
            let frozen = Arc::new(merged);
            layers.frozen = Some(Arc::clone(&frozen));
            frozen
        };
        let written = self.write(&frozen, meta).map_err(StoreError::failed("writing a checkpoint"))?;
        self.table
            .store(Arc::new(Self::read_table(&self.db).map_err(StoreError::failed("reading the checkpoint back"))?));
        self.layers_mut().frozen = None;
        self.room.notify_waiters();
        Ok(written)
    }

    fn write(&self, layer: &Layer, meta: Option<&Meta>) -> Result<Checkpointed, redb::Error> {
        let write = self.db.begin_write()?;
        let mut done = Checkpointed::default();
        {
            let mut table = write.open_table(STATE)?;
            let mut sealed = Vec::new();
            for (partition, part) in layer {
                let counters = part.counters.iter().map(|(key, value)| (key, Some(counter_bytes(*value))));
                let entries = part.entries.iter().map(|(key, value)| (key, value.clone()));
                for (key, value) in entries.chain(counters) {
                    let key = full(*partition, key);
                    done.keys += 1;
                    match &value {
                        Some(value) => {
                            sealed.clear();
                            sealed.extend_from_slice(&checksum(&key, value).to_le_bytes());
                            sealed.extend_from_slice(value);
                            done.bytes += key.len() + sealed.len();
                            table.insert(key.as_slice(), sealed.as_slice())?;
                        }
                        None => drop(table.remove(key.as_slice())?),
                    }
                }
            }
        }
        if let Some(meta) = meta {
            write.open_table(META)?.insert("meta", crate::record::encode(meta).as_slice())?;
        }
        write.commit()?;
        Ok(done)
    }

    /// A value by its key: layer, then the layer being written, then the file.
    fn get(&self, partition: Partition, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let found = in_layers(&self.layers(), partition, key);
        found.map_or_else(|| self.in_file(partition, key), Ok)
    }

    fn current(&self, layers: &Layers, partition: Partition, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        in_layers(layers, partition, key).map_or_else(|| self.in_file(partition, key), Ok)
    }

    fn in_file(&self, partition: Partition, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let key = full(partition, key);
        let table = self.table.load();
        let found = table.get(key.as_slice()).map_err(|e| StoreError::failed("reading a key")(e.into()))?;
        found.map(|value| unseal(&key, value.value())).transpose()
    }

    fn read_now(&self, partition: Partition, keys: &[Key]) -> Result<Vec<Option<Bytes>>, StoreError> {
        keys.iter().map(|key| self.get(partition, key)).collect()
    }

    fn commit_now(&self, batch: Batch) -> Result<Committed, StoreError> {
        // Under one lock from the first look to the last put: a counter read outside
        // could be raised and checkpointed before it is written back.
        let mut layers = self.layers_mut();
        let partition = batch.partition;
        for expect in &batch.expects {
            if version(self.current(&layers, partition, &expect.key)?.as_ref()) != expect.version {
                return Ok(Committed::Conflict);
            }
        }
        let mut raised: Vec<(Key, i64)> = Vec::with_capacity(batch.adds.len());
        for (key, by) in batch.adds {
            if let Some((_, sum)) = raised.iter_mut().find(|(known, _)| *known == key) {
                *sum += by;
                continue;
            }
            let old = super::keys::counter(self.current(&layers, partition, &key)?.as_ref());
            raised.push((key, old + by));
        }
        // From here on nothing can fail.
        let mut bytes = 0;
        let part = layers.active.entry(partition).or_default();
        for (key, value) in raised {
            bytes += key.len() + ENTRY_BYTES;
            part.counters.insert(key, value);
        }
        for (key, value) in batch.puts {
            bytes += key.len() + value.as_ref().map_or(0, Bytes::len) + ENTRY_BYTES;
            part.entries.insert(key, value);
        }
        layers.active_bytes += bytes;
        Ok(Committed::Yes)
    }

    fn scan_now(
        &self,
        partition: Partition,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Pairs, StoreError> {
        let from: Bound<&[u8]> = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let bounds = (from, Bound::Unbounded);
        let layers = self.layers();
        let none = Part::default();
        let frozen = layers.frozen.as_ref().and_then(|layer| layer.get(&partition)).unwrap_or(&none);
        let active = layers.active.get(&partition).unwrap_or(&none);
        // Only sums and grants are counters.
        let counts = matches!(prefix.first(), None | Some(b's' | b'g'));
        let mut counters = Entries::new();
        for part in [frozen, active].into_iter().filter(|_| counts) {
            let values = part.counters.iter().map(|(key, value)| (key.clone(), Some(counter_bytes(*value))));
            counters.extend(values);
        }
        let in_memory = |entries| -> std::iter::Peekable<std::collections::btree_map::Range<'_, Key, Option<Bytes>>> {
            Entries::range::<[u8], _>(entries, bounds).peekable()
        };
        let mut memory = [in_memory(&frozen.entries), in_memory(&active.entries), in_memory(&counters)];
        let table = self.table.load();
        let failed = |e: redb::StorageError| StoreError::failed("scanning")(e.into());
        let start = full(partition, after.unwrap_or(prefix));
        let file_from: Bound<&[u8]> = if after.is_some() { Bound::Excluded(&start) } else { Bound::Included(&start) };
        let mut file = table.range::<&[u8]>((file_from, Bound::Unbounded)).map_err(failed)?;
        let whole_prefix = full(partition, prefix);
        let mut next_in_file = || -> Result<Option<(Key, Bytes)>, StoreError> {
            let Some(pair) = file.next() else { return Ok(None) };
            let (key, value) = pair.map_err(failed)?;
            if !key.value().starts_with(&whole_prefix) {
                return Ok(None);
            }
            Ok(Some((key.value()[2..].to_vec(), unseal(key.value(), value.value())?)))
        };
        let mut in_file = next_in_file()?;
        let mut pairs = Pairs::new();
        while pairs.len() < limit {
            let heads = memory.iter_mut().filter_map(|entries| entries.peek().map(|(key, _)| *key));
            let Some(least) = heads.chain(in_file.as_ref().map(|(key, _)| key)).min().cloned() else { break };
            if !least.starts_with(prefix) {
                break;
            }
            // The newest that has the key says what it is; the others step over it.
            let mut value = None;
            if in_file.as_ref().is_some_and(|(key, _)| *key == least) {
                value = std::mem::replace(&mut in_file, next_in_file()?).map(|(_, value)| value);
            }
            for entries in &mut memory {
                if let Some((_, newer)) = entries.next_if(|(key, _)| **key == least) {
                    value.clone_from(newer);
                }
            }
            if let Some(value) = value {
                pairs.push((least, value));
            }
        }
        Ok(pairs)
    }
}

fn counter_bytes(value: i64) -> Bytes {
    Bytes::copy_from_slice(&value.to_le_bytes())
}

fn in_layers(layers: &Layers, partition: Partition, key: &[u8]) -> Option<Option<Bytes>> {
    let frozen = || layers.frozen.as_ref()?.get(&partition)?.get(key);
    layers.active.get(&partition).and_then(|part| part.get(key)).or_else(frozen)
}

fn full(partition: Partition, key: &[u8]) -> Key {
    let mut out = Vec::with_capacity(2 + key.len());
    out.extend_from_slice(&partition.to_be_bytes());
    out.extend_from_slice(key);
    out
}

fn version(value: Option<&Bytes>) -> u64 {
    value.and_then(|v| v.first_chunk::<8>()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), value)
}

fn unseal(key: &[u8], sealed: &[u8]) -> Result<Bytes, StoreError> {
    let partition = key.first_chunk::<2>().map_or(0, |p| u16::from_be_bytes(*p));
    let (sum, value) = sealed.split_first_chunk::<4>().ok_or(StoreError::Broken { partition })?;
    if u32::from_le_bytes(*sum) != checksum(key, value) {
        return Err(StoreError::Broken { partition });
    }
    Ok(Bytes::copy_from_slice(value))
}

impl Keeper for Embedded {
    fn read<'a>(&'a self, partition: Partition, keys: &'a [Key]) -> Answer<'a, Vec<Option<Bytes>>> {
        Box::pin(std::future::ready(self.read_now(partition, keys)))
    }
    fn commit(&self, batch: Batch) -> Answer<'_, Committed> {
        Box::pin(async move {
            // Memory is bounded: beyond the bound commits wait for the checkpoint.
            loop {
                let room = self.room.notified();
                let full = self.layers().active_bytes > self.layer_bytes_max;
                if !full {
                    break;
                }
                room.await;
            }
            self.commit_now(batch)
        })
    }
    fn scan<'a>(
        &'a self,
        partition: Partition,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Answer<'a, Pairs> {
        Box::pin(std::future::ready(self.scan_now(partition, prefix, after, limit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Expect;

    fn put(key: &str, value: &str) -> (Key, Option<Bytes>) {
        (key.as_bytes().to_vec(), Some(Bytes::copy_from_slice(value.as_bytes())))
    }
    fn keys(pairs: &Pairs) -> Vec<String> {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        pairs.iter().map(|(key, value)| format!("{}={}", text(key), text(value))).collect()
    }
    fn meta() -> Meta {
        Meta { partitions: 4, process: 1, position: Position::FIRST, numbers: Vec::new() }
    }

    /// What is in the file, being written, and newest in memory reads as one.
    #[test]
    fn reads_and_scans_see_the_newest_of_all_layers() {
        let dir = std::env::temp_dir().join(format!("ringfence-embedded-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("layers.redb");
        let (store, found) = Embedded::open(&path, 1 << 20, 1 << 20).unwrap();
        assert!(found.is_none());
        let commit = |puts, adds| store.commit_now(Batch { partition: 2, puts, adds, ..Batch::default() }).unwrap();
        commit(vec![put("ma", "1"), put("mb", "1"), put("n", "1")], vec![(b"s1".to_vec(), 5), (b"s2".to_vec(), 1)]);
        store.checkpoint(&meta()).unwrap();
        commit(
            vec![put("mb", "2"), put("mc", "2"), (b"ma".to_vec(), None)],
            vec![(b"s1".to_vec(), -2), (b"s1".to_vec(), 1)],
        );
        assert_eq!(keys(&store.scan_now(2, b"m", None, 10).unwrap()), ["mb=2", "mc=2"]);
        assert_eq!(keys(&store.scan_now(2, b"m", Some(b"mb"), 10).unwrap()), ["mc=2"]);
        assert_eq!(keys(&store.scan_now(2, b"m", None, 1).unwrap()), ["mb=2"]);
        assert!(store.scan_now(1, b"m", None, 10).unwrap().is_empty(), "another partition");
        let sums = store.scan_now(2, b"s", None, 10).unwrap();
        let sums: Vec<i64> = sums.iter().map(|(_, value)| super::super::keys::counter(Some(value))).collect();
        assert_eq!(sums, [4, 1]);
        store.checkpoint(&meta()).unwrap();
        drop(store);
        let (store, found) = Embedded::open(&path, 1 << 20, 1 << 20).unwrap();
        assert_eq!(found, Some(meta()));
        assert_eq!(keys(&store.scan_now(2, b"m", None, 10).unwrap()), ["mb=2", "mc=2"]);
        let sum = store.read_now(2, &[b"s1".to_vec()]).unwrap().remove(0);
        assert_eq!(super::super::keys::counter(sum.as_ref()), 4);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_batch_with_an_old_version_changes_nothing() {
        let dir = std::env::temp_dir().join(format!("ringfence-versions-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (store, _) = Embedded::open(&dir.join("versions.redb"), 1 << 20, 1 << 20).unwrap();
        let batch = |expected: u64, version: u64| Batch {
            partition: 0,
            expects: vec![Expect { key: b"k".to_vec(), version: expected }],
            puts: vec![(b"k".to_vec(), Some(super::super::keys::versioned(version, &"v")))],
            adds: vec![(b"g".to_vec(), 1)],
        };
        assert_eq!(store.commit_now(batch(0, 1)).unwrap(), Committed::Yes);
        assert_eq!(store.commit_now(batch(0, 2)).unwrap(), Committed::Conflict);
        assert_eq!(store.commit_now(batch(1, 2)).unwrap(), Committed::Yes);
        let count = store.read_now(0, &[b"g".to_vec()]).unwrap().remove(0);
        assert_eq!(super::super::keys::counter(count.as_ref()), 2);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
