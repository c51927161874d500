//! The embedded keeper: an LSM tree under an in-memory layer of what was committed since
//! the last checkpoint.
//!
//! A commit goes to memory alone, because the journal already holds it; a checkpoint
//! writes the layer as one sorted run, which the tree takes whole or not at all, together
//! with the journal position up to which the tree is whole. After a crash the journal is
//! replayed from there. The tree is a cache: the checksums of its files are checked whenever
//! it is opened and those of its blocks when they are read; a broken one is rebuilt aside
//! and renamed.

mod layer;

use super::{Answer, Batch, Committed, Keeper, Key, Pairs, Partition, StoreError, keys};
use crate::domain::MemberId;
use crate::journal::Position;
use crate::kept;
use bytes::Bytes;
use layer::{Layer, Value};
use lsm_tree::config::{CompressionPolicy, PartitioningPolicy};
use lsm_tree::{AbstractTree, AnyTree, Cache, Checksum, CompressionType, Guard, SeqNo, SequenceNumberCounter};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Folder of the tree, in the store's.
pub const FOLDER: &str = "state";
/// Where one is built before it takes that name.
pub const FOLDER_ASIDE: &str = "state.new";
/// Held while a tree is open.
const LOCK: &str = "state.lock";
const LOCK_MODE: u32 = 0o600;
/// What the tree says of itself stands behind all keys: none of them begins so.
const META: [u8; 3] = [0xff; 3];
/// Reads see everything: there is one writer, and what it writes is whole.
const NOW: SeqNo = SeqNo::MAX;
/// Counters of all partitions stand here: there are few, and every commit raises several.
const COUNTED_IN: Partition = 0;
/// Read at a time when files are checked.
const CHECKED_BYTES: usize = 1 << 20;
/// Sorted runs that a reader may have to ask before they are merged into one.
const RUNS_MAX: u8 = 4;
/// Keys read at a time in search of members.
const MEMBERS_PAGE: usize = 1024;
/// Size of a merged file: small, so that a merge takes seconds and not minutes.
const FILE_BYTES: u64 = 16 << 20;

/// What a tree says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Number of member partitions, fixed when the store was created.
    pub partitions: u16,
    /// The process whose journal it is made from.
    pub process: u32,
    /// Every record before here is in the tree; later ones may be.
    pub position: Position,
    /// Highest record number per partition, by partition.
    pub numbers: Vec<(Partition, u64)>,
}

#[derive(Default)]
struct Layers {
    active: Layer,
    /// Being written by a checkpoint.
    frozen: Option<Arc<Layer>>,
}

/// The embedded keeper.
pub struct Embedded {
    path: PathBuf,
    tree: AnyTree,
    /// Numbers of the runs.
    sequence: SequenceNumberCounter,
    layers: RwLock<Layers>,
    /// One checkpoint at a time.
    writing: std::sync::Mutex<()>,
    /// One merge at a time, beside checkpoints.
    merging: std::sync::Mutex<()>,
    /// Told when a checkpoint has made room.
    room: tokio::sync::Notify,
    layer_bytes_max: usize,
    _lock: File,
}

/// What a checkpoint wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checkpointed {
    /// Keys written or removed.
    pub keys: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// The state cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not a sound state; it can be rebuilt from the journal.
    #[error("the state in {path} is not sound and must be rebuilt from the journal: {reason}")]
    Unsound {
        /// Which folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Another process has it.
    #[error("the state in {path} is in use by another process; stop that one first")]
    InUse {
        /// Which folder.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("the state in {path} cannot be opened")]
    Io {
        /// Which folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Embedded {
    /// Opens the tree in a folder, or makes an empty one, and returns it with what it says
    /// of itself (`None` when nothing was ever finished in it). Reads all its files once,
    /// to check them.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: &Path, cache_bytes: usize, layer_bytes_max: usize) -> Result<(Self, Option<Meta>), OpenError> {
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        let unsound = |reason: String| OpenError::Unsound { path: path.to_owned(), reason };
        let folder = path.parent().unwrap_or(Path::new("."));
        let lock = kept::lock(&folder.join(LOCK), LOCK_MODE)
            .map_err(io)?
            .ok_or_else(|| OpenError::InUse { path: path.to_owned() })?;
        let sequence = SequenceNumberCounter::default();
        // A broken file must not take the service down with it, whatever the library makes of it.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            check_list(path)?;
            let tree = lsm_tree::Config::new(path, sequence.clone(), SequenceNumberCounter::default())
                .use_cache(Arc::new(Cache::with_capacity_bytes(cache_bytes as u64)))
                .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
                // In pieces, so that a cache smaller than all of them still helps.
                .index_block_partitioning_policy(PartitioningPolicy::all(true))
                .filter_block_partitioning_policy(PartitioningPolicy::all(true))
                .open()?;
            check_files(&tree)?;
            let meta = tree.get(META, NOW)?;
            Ok((tree, meta))
        }));
        let (tree, meta) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(lsm_tree::Error::Io(source))) if !is_about_content(&source) => return Err(io(source)),
            Ok(Err(error)) => return Err(unsound(error.to_string())),
            Err(_) => return Err(unsound("its files contradict one another".to_owned())),
        };
        let meta = meta.map(|bytes| crate::record::decode::<Meta>(&bytes)).transpose();
        let meta = meta.map_err(|error| unsound(error.to_string()))?;
        sequence.set(tree.get_highest_persisted_seqno().map_or(1, |highest| highest + 1));
        let keeper = Self {
            path: path.to_owned(),
            tree,
            sequence,
            layers: RwLock::default(),
            writing: std::sync::Mutex::default(),
            merging: std::sync::Mutex::default(),
            room: tokio::sync::Notify::new(),
            layer_bytes_max,
            _lock: lock,
        };
        Ok((keeper, meta))
    }

    /// The tree's folder.
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
        self.layers().active.bytes()
    }

    /// Writes what was committed since the last checkpoint. `meta.position` must have been
    /// taken before the call: every record before it is then in the layer or the tree.
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
        let written = self.flush(None)?;
        self.merge()?;
        Ok(written)
    }

    fn flush(&self, meta: Option<&Meta>) -> Result<Checkpointed, StoreError> {
        let _one = self.writing.lock().expect("no code panics while it writes a checkpoint");
        let frozen = {
            let mut layers = self.layers_mut();
            let taken = std::mem::take(&mut layers.active);
            // A failed checkpoint left its layer: the new one goes over it.
            let merged = match layers.frozen.take() {
                None => taken,
                Some(old) => {
                    let mut merged = Arc::try_unwrap(old).unwrap_or_else(|old| (*old).clone());
                    merged.cover(taken);
                    merged
                }
            };
            let frozen = Arc::new(merged);
            layers.frozen = Some(Arc::clone(&frozen));
            frozen
        };
        let written = self.write(&frozen, meta).inspect_err(|_| {
            if let Ok(_nobody) = self.merging.try_lock() {
                self.remove_unfinished();
            }
        });
        let written = written.map_err(StoreError::failed("writing a checkpoint"))?;
        self.layers_mut().frozen = None;
        self.room.notify_waiters();
        Ok(written)
    }

    /// One sorted run. It is in the tree when all of it is on the disk, and not before.
    fn write(&self, layer: &Layer, meta: Option<&Meta>) -> lsm_tree::Result<Checkpointed> {
        let mut done = Checkpointed::default();
        let mut run = self.tree.ingestion()?;
        for partition in layer.partitions() {
            for (key, value) in layer.sorted(partition) {
                let key = full(partition, &key);
                done.keys += 1;
                done.bytes += key.len() + value.as_ref().map_or(0, Bytes::len);
                match value {
                    Some(value) => run.write(key, value)?,
                    None => run.write_tombstone(key)?,
                }
            }
        }
        if let Some(meta) = meta {
            run.write(META, crate::record::encode(meta))?;
        }
        run.finish()?;
        Ok(done)
    }

    /// Merges runs where there are too many, so that a read asks few of them. Checkpoints go
    /// on meanwhile. Bounded by what two neighbouring levels share, not by the whole state.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is lost, the next one tries again.
    pub fn merge(&self) -> Result<(), StoreError> {
        let _one = self.merging.lock().expect("no code panics while it merges");
        let strategy = lsm_tree::compaction::Leveled::default();
        let strategy = Arc::new(strategy.with_l0_threshold(RUNS_MAX).with_table_target_size(FILE_BYTES));
        // A merge fills the next level, which may then be due itself.
        for _ in 0..2 {
            let merged = self.tree.compact(strategy.clone(), self.sequence.get());
            let merged = merged.inspect_err(|_| {
                if let Ok(_nobody) = self.writing.try_lock() {
                    self.remove_unfinished();
                }
            });
            merged.map_err(StoreError::failed("merging the state's runs"))?;
        }
        Ok(())
    }

    /// Removes what a failed run left, while nobody writes another: on a full disk each try
    /// would leave more. Files that the tree never took have numbers above all that it has.
    fn remove_unfinished(&self) {
        let taken = self.tree.current_version().iter_tables().map(lsm_tree::Table::id).max();
        let Ok(files) = std::fs::read_dir(self.path.join("tables")) else { return };
        for file in files.flatten() {
            let number = file.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            if number.is_some_and(|number| taken.is_none_or(|taken| number > taken)) {
                // What stays is removed at the next start.
                let _ = std::fs::remove_file(file.path());
            }
        }
    }

    /// A value by its key: layer, then the layer being written, then the tree.
    fn get_now(&self, partition: Partition, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let found = in_layers(&self.layers(), partition, key);
        found.map_or_else(|| self.in_tree(partition, key), Ok)
    }

    fn current(&self, layers: &Layers, partition: Partition, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        in_layers(layers, partition, key).map_or_else(|| self.in_tree(partition, key), Ok)
    }

    fn in_tree(&self, partition: Partition, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let found = self.tree.get(full(partition, key), NOW);
        Ok(found.map_err(|error| unreadable(partition, error))?.map(Bytes::from))
    }

    fn read_now(&self, partition: Partition, keys: &[Key]) -> Result<Vec<Option<Bytes>>, StoreError> {
        keys.iter().map(|key| self.get_now(partition, key)).collect()
    }

    fn commit_now(&self, batch: Batch) -> Result<Committed, StoreError> {
        // Under one lock from the first look to the last put: a counter read outside
        // could be raised and checkpointed before it is written back.
        let mut layers = self.layers_mut();
        let partition = batch.partition;
        for expect in &batch.expects {
            if keys::version(self.current(&layers, partition, &expect.key)?.as_ref()) != expect.version {
                return Ok(Committed::Conflict);
            }
        }
        for (key, value) in &batch.same {
            if self.current(&layers, partition, key)? != *value {
                return Ok(Committed::Conflict);
            }
        }
        let mut raised: Vec<(Key, i64)> = Vec::with_capacity(batch.adds.len());
        for (key, by) in batch.adds {
            if let Some((_, sum)) = raised.iter_mut().find(|(known, _)| *known == key) {
                *sum += by;
                continue;
            }
            let old = keys::counter(self.current(&layers, COUNTED_IN, &key)?.as_ref());
            raised.push((key, old + by));
        }
        // From here on nothing can fail.
        layers.active.put(partition, batch.puts);
        layers.active.count(COUNTED_IN, raised);
        Ok(Committed::Yes)
    }

    fn scan_now(
        &self,
        partition: Partition,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Pairs, StoreError> {
        // Held to the end: what a checkpoint moves meanwhile is seen here or there.
        let layers = self.layers();
        let mut newer = std::collections::BTreeMap::<Key, Value>::new();
        for layer in layers.frozen.as_deref().into_iter().chain([&layers.active]) {
            layer.select(partition, prefix, after, &mut newer);
        }
        let mut newer = newer.into_iter().peekable();
        let whole_prefix = full(partition, prefix);
        let start = full(partition, after.unwrap_or(prefix));
        let from = if after.is_some() { Bound::Excluded(start) } else { Bound::Included(start) };
        let mut tree = self.tree.range((from, Bound::<Key>::Unbounded), NOW, None);
        let mut next_in_tree = || -> Result<Option<(Key, Bytes)>, StoreError> {
            let Some(pair) = tree.next() else { return Ok(None) };
            let (key, value) = pair.into_inner().map_err(|error| unreadable(partition, error))?;
            let inside = key.starts_with(&whole_prefix);
            Ok(inside.then(|| (key[2..].to_vec(), Bytes::from(value))))
        };
        let mut in_tree = next_in_tree()?;
        let mut pairs = Pairs::new();
        while pairs.len() < limit {
            let below = match (&in_tree, newer.peek()) {
                (None, None) => break,
                (Some((old, _)), Some((new, _))) => old.cmp(new),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
            };
            // The newest that has the key says what it is.
            let old = if below.is_le() { std::mem::replace(&mut in_tree, next_in_tree()?) } else { None };
            if below.is_lt() {
                pairs.extend(old);
            } else if let Some((key, Some(value))) = newer.next() {
                pairs.push((key, value));
            }
        }
        Ok(pairs)
    }
}

impl Embedded {
    fn member_now(&self, partition: Partition, member: &MemberId) -> Result<Pairs, StoreError> {
        let head = keys::head(member);
        let Some(value) = self.get_now(partition, &head)? else { return Ok(Pairs::new()) };
        let mut pairs = vec![(head, value)];
        pairs.extend(self.scan_now(partition, &keys::purchases(member), None, usize::MAX)?);
        Ok(pairs)
    }

    fn members_now(
        &self,
        partition: Partition,
        after: Option<&MemberId>,
        limit: usize,
    ) -> Result<Vec<MemberId>, StoreError> {
        let mut members = Vec::new();
        // Behind all keys of the one before.
        let mut after = after.map(|member| [keys::member(member).as_slice(), &[u8::MAX]].concat());
        while members.len() < limit {
            let page = self.scan_now(partition, b"m", after.as_deref(), MEMBERS_PAGE)?;
            let heads = page.iter().filter(|(key, _)| key.ends_with(&[0, b'h']));
            let ids = heads.map(|(key, _)| {
                let id = std::str::from_utf8(&key[1..key.len() - 2]).ok().and_then(|id| MemberId::new(id).ok());
                id.ok_or(StoreError::Broken { partition })
            });
            for id in ids.take(limit - members.len()) {
                members.push(id?);
            }
            match page.last() {
                Some((last, _)) if page.len() == MEMBERS_PAGE => after = Some(last.clone()),
                _ => break,
            }
        }
        Ok(members)
    }
}

/// Whether an error says that a file is not what was written, rather than not to be had.
fn is_about_content(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, NotFound, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | NotFound | UnexpectedEof)
}

/// Compares the tree's list of its files with the checksum that stands beside the list's
/// name, which the library writes and does not look at.
fn check_list(path: &Path) -> lsm_tree::Result<()> {
    let name = match std::fs::read(path.join("current")) {
        Ok(name) => name,
        // Nothing was ever finished here.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let (number, rest) = name.split_first_chunk::<8>().ok_or(lsm_tree::Error::InvalidTrailer)?;
    let (checksum, rest) = rest.split_first_chunk::<16>().ok_or(lsm_tree::Error::InvalidTrailer)?;
    if rest != [0] {
        return Err(lsm_tree::Error::InvalidTrailer);
    }
    let list = path.join(format!("v{}", u64::from_le_bytes(*number)));
    check_file(&list, Checksum::from_raw(u128::from_le_bytes(*checksum)))
}

/// Compares every file with the checksum that the tree's list has of it.
fn check_files(tree: &AnyTree) -> lsm_tree::Result<()> {
    tree.current_version().iter_tables().try_for_each(|table| check_file(&table.path, table.checksum()))
}

fn check_file(path: &Path, expected: Checksum) -> lsm_tree::Result<()> {
    let mut hash = xxhash_rust::xxh3::Xxh3Default::new();
    let mut file = File::open(path)?;
    let mut piece = vec![0; CHECKED_BYTES];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            break;
        }
        hash.update(&piece[..read]);
    }
    let got = Checksum::from_raw(hash.digest128());
    if got == expected { Ok(()) } else { Err(lsm_tree::Error::ChecksumMismatch { got, expected }) }
}

fn unreadable(partition: Partition, error: lsm_tree::Error) -> StoreError {
    match error {
        lsm_tree::Error::Io(error) => StoreError::failed("reading")(error),
        error => {
            tracing::error!(partition, %error, "the state is broken");
            StoreError::Broken { partition }
        }
    }
}

fn in_layers(layers: &Layers, partition: Partition, key: &[u8]) -> Option<Value> {
    layers.active.get(partition, key).or_else(|| layers.frozen.as_ref()?.get(partition, key))
}

fn full(partition: Partition, key: &[u8]) -> Key {
    let mut out = Vec::with_capacity(2 + key.len());
    out.extend_from_slice(&partition.to_be_bytes());
    out.extend_from_slice(key);
    out
}

impl Keeper for Embedded {
    fn counted_in(&self, _: Partition) -> Partition {
        COUNTED_IN
    }
    fn get<'a>(&'a self, partition: Partition, key: &'a [u8]) -> Answer<'a, Option<Bytes>> {
        self.get_now(partition, key).into()
    }
    fn read<'a>(&'a self, partition: Partition, keys: &'a [Key]) -> Answer<'a, Vec<Option<Bytes>>> {
        self.read_now(partition, keys).into()
    }
    fn commit(&self, batch: Batch) -> Answer<'_, Committed> {
        if self.layer_bytes() <= self.layer_bytes_max {
            return self.commit_now(batch).into();
        }
        Answer::Later(Box::pin(async move {
            // Memory is bounded: beyond the bound commits wait for the checkpoint.
            loop {
                let room = self.room.notified();
                let full = self.layer_bytes() > self.layer_bytes_max;
                if !full {
                    break;
                }
                room.await;
            }
            self.commit_now(batch)
        }))
    }
    fn scan<'a>(
        &'a self,
        partition: Partition,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Answer<'a, Pairs> {
        self.scan_now(partition, prefix, after, limit).into()
    }
    fn member<'a>(&'a self, partition: Partition, member: &'a MemberId) -> Answer<'a, Pairs> {
        self.member_now(partition, member).into()
    }
    fn members<'a>(
        &'a self,
        partition: Partition,
        after: Option<&'a MemberId>,
        limit: usize,
    ) -> Answer<'a, Vec<MemberId>> {
        self.members_now(partition, after, limit).into()
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
        let path = dir.join("layers");
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
        let sums = store.scan_now(COUNTED_IN, b"s", None, 10).unwrap();
        let sums: Vec<i64> = sums.iter().map(|(_, value)| super::super::keys::counter(Some(value))).collect();
        assert_eq!(sums, [4, 1]);
        // A counter that was removed begins at nothing again.
        let gone = Batch { partition: COUNTED_IN, puts: vec![(b"s2".to_vec(), None)], ..Batch::default() };
        store.commit_now(gone).unwrap();
        assert_eq!(store.scan_now(COUNTED_IN, b"s", None, 10).unwrap().len(), 1);
        commit(Vec::new(), vec![(b"s2".to_vec(), 7)]);
        store.checkpoint(&meta()).unwrap();
        drop(store);
        let (store, found) = Embedded::open(&path, 1 << 20, 1 << 20).unwrap();
        assert_eq!(found, Some(meta()));
        assert_eq!(keys(&store.scan_now(2, b"m", None, 10).unwrap()), ["mb=2", "mc=2"]);
        let sum = store.read_now(COUNTED_IN, &[b"s1".to_vec()]).unwrap().remove(0);
        assert_eq!(super::super::keys::counter(sum.as_ref()), 4);
        let again = store.read_now(COUNTED_IN, &[b"s2".to_vec()]).unwrap().remove(0);
        assert_eq!(super::super::keys::counter(again.as_ref()), 7);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_batch_with_an_old_version_changes_nothing() {
        let dir = std::env::temp_dir().join(format!("ringfence-versions-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (store, _) = Embedded::open(&dir.join("versions"), 1 << 20, 1 << 20).unwrap();
        let batch = |expected: u64, version: u64| Batch {
            partition: 0,
            expects: vec![Expect { key: b"k".to_vec(), version: expected }],
            puts: vec![(b"k".to_vec(), Some(super::super::keys::versioned(version, &"v")))],
            adds: vec![(b"g".to_vec(), 1)],
            ..Batch::default()
        };
        assert_eq!(store.commit_now(batch(0, 1)).unwrap(), Committed::Yes);
        assert_eq!(store.commit_now(batch(0, 2)).unwrap(), Committed::Conflict);
        assert_eq!(store.commit_now(batch(1, 2)).unwrap(), Committed::Yes);
        let count = store.read_now(0, &[b"g".to_vec()]).unwrap().remove(0);
        assert_eq!(super::super::keys::counter(count.as_ref()), 2);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    /// Whatever bit of whatever file changes: the tree says that it is not sound, or all in
    /// it is as it was.
    #[test]
    fn inv_06_a_flipped_bit_is_found_or_harmless() {
        let dir = std::env::temp_dir().join(format!("ringfence-flips-{}", std::process::id()));
        let path = dir.join("tree");
        std::fs::create_dir_all(&dir).unwrap();
        let (store, _) = Embedded::open(&path, 1 << 20, 1 << 20).unwrap();
        for round in 0..2 {
            let puts = (0..40).map(|n| put(&format!("m{n:03}"), &format!("value {round} of {n}"))).collect();
            store.commit_now(Batch { partition: 2, puts, ..Batch::default() }).unwrap();
            store.checkpoint(&meta()).unwrap();
        }
        let whole = store.scan_now(2, b"m", None, 100).unwrap();
        drop(store);
        // Removes what older lists had.
        drop(Embedded::open(&path, 1 << 20, 1 << 20).unwrap());
        let mut files = vec![path.clone()];
        let (mut found, mut harmless) = (0, 0);
        while let Some(file) = files.pop() {
            if file.is_dir() {
                files.extend(std::fs::read_dir(&file).unwrap().map(|entry| entry.unwrap().path()));
                continue;
            }
            let bytes = std::fs::read(&file).unwrap();
            for at in 0..bytes.len() {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << (at % 8);
                std::fs::write(&file, &flipped).unwrap();
                match Embedded::open(&path, 1 << 20, 1 << 20) {
                    Err(OpenError::Unsound { .. }) => found += 1,
                    Ok((store, said)) => {
                        assert_eq!(said, Some(meta()), "byte {at} of {}", file.display());
                        assert_eq!(
                            store.scan_now(2, b"m", None, 100).unwrap(),
                            whole,
                            "byte {at} of {}",
                            file.display()
                        );
                        harmless += 1;
                    }
                    Err(error) => panic!("byte {at} of {}: {error}", file.display()),
                }
                std::fs::write(&file, &bytes).unwrap();
            }
        }
        assert!(found > 100, "{found} found, {harmless} harmless");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
