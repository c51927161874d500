//! A disk in memory for tests: it knows what was synced and what was only written, loses power on request, and
//! fails when told to. It is as unkind as a real one may be: a failed sync forgets what it should have kept, as
//! Linux does, and a name is gone after a crash unless its directory was synced.

use super::{DirLock, Disk, DiskFile};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A disk in memory. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct SimDisk(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// By number, so that a file outlives its name for those who have it open.
    files: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    names_synced: BTreeMap<PathBuf, usize>,
    names_pending: Vec<NameChange>,
    syncs: u64,
    syncs_held: bool,
    syncs_waiting: u64,
    /// Syncs until one fails: 1 is the next.
    sync_fails_in: Option<u64>,
    /// Bytes that may still be written before the disk is full. `None` when there is room.
    room: Option<u64>,
    set_len_fails: bool,
}

#[derive(Debug, Clone, Default)]
struct Content {
    live: Vec<u8>,
    synced: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

#[derive(Debug, Clone)]
enum NameChange {
    Put(PathBuf, usize),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write(offset, bytes) => {
                let from = usize::try_from(*offset).expect("a simulated file fits memory");
                if to.len() < from + bytes.len() {
                    to.resize(from + bytes.len(), 0);
                }
                to[from..from + bytes.len()].copy_from_slice(bytes);
            }
            Self::Length(bytes) => to.resize(usize::try_from(*bytes).expect("a simulated file fits memory"), 0),
        }
    }
}

impl NameChange {
    fn dir(&self) -> Option<&Path> {
        match self {
            Self::Put(path, _) | Self::Remove(path) | Self::Rename(_, path) => path.parent(),
        }
    }
    fn apply(&self, to: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Put(path, file) => {
                to.insert(path.clone(), *file);
            }
            Self::Remove(path) => {
                to.remove(path);
            }
            Self::Rename(from, path) => {
                if let Some(file) = to.remove(from) {
                    to.insert(path.clone(), file);
                }
            }
        }
    }
}

/// While it lives no sync comes back; see [`SimDisk::hold_syncs`].
#[derive(Debug)]
pub struct SyncHold(SimDisk);

impl SyncHold {
    /// Waits until a sync has begun and is being held; false when none has within the bound.
    #[must_use]
    pub fn wait_for_sync(&self, bound: Duration) -> bool {
        let waiting = self.0.0.released.wait_timeout_while(self.0.state(), bound, |state| state.syncs_waiting == 0);
        waiting.unwrap_or_else(PoisonError::into_inner).0.syncs_waiting > 0
    }
}

impl Drop for SyncHold {
    fn drop(&mut self) {
        self.0.state().syncs_held = false;
        self.0.0.released.notify_all();
    }
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn missing(path: &Path) -> io::Error {
        io::Error::new(io::ErrorKind::NotFound, format!("no file {}", path.display()))
    }

    /// How many syncs of files have succeeded.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }
    /// Makes the nth sync from now fail with EIO (1 is the next), of a file or a directory. What it should have made
    /// durable is forgotten: a later sync that succeeds does not bring it back.
    pub fn fail_sync_in(&self, nth: u64) {
        self.state().sync_fails_in = Some(nth.max(1));
    }
    /// Lets this many more bytes be written, then the disk is full (a partial write, then ENOSPC). `None` makes room.
    pub fn fail_writes_after(&self, bytes: Option<u64>) {
        self.state().room = bytes;
    }
    /// Whether cutting files fails with EIO.
    pub fn fail_set_len(&self, fails: bool) {
        self.state().set_len_fails = fails;
    }
    /// Keeps every sync of a file from coming back until the hold is dropped.
    #[must_use]
    pub fn hold_syncs(&self) -> SyncHold {
        self.state().syncs_held = true;
        SyncHold(self.clone())
    }
    /// The bytes of a file as a running process sees them. `None` when there is no such file.
    #[must_use]
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(path).map(|file| state.files[*file].live.clone())
    }
    /// Every file with its length.
    #[must_use]
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let state = self.state();
        state.names.iter().map(|(path, file)| (path.clone(), state.files[*file].live.len() as u64)).collect()
    }
    /// Puts bytes in place of a file's, durably, making the file when it is not there: damage, or a prepared image.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.state();
        let file = state.names.get(path).copied().unwrap_or_else(|| {
            state.files.push(Content::default());
            state.files.len() - 1
        });
        state.files[file] = Content { live: bytes.clone(), synced: bytes, pending: Vec::new() };
        state.names.insert(path.to_owned(), file);
        state.names_synced.insert(path.to_owned(), file);
    }
    /// Turns one bit of a file over, on the disk itself.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) {
        let mut state = self.state();
        let Some(&file) = state.names.get(path) else { return };
        let at = usize::try_from(offset).expect("a simulated file fits memory");
        let Content { live, synced, .. } = &mut state.files[file];
        for copy in [live, synced] {
            if let Some(byte) = copy.get_mut(at) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }
    /// A separate disk with the same bytes, all of them durable: what another process would find now without a crash.
    #[must_use]
    pub fn copy(&self) -> Self {
        let mut state = self.state().clone();
        for file in &mut state.files {
            file.synced.clone_from(&file.live);
            file.pending.clear();
        }
        state.names_synced.clone_from(&state.names);
        state.names_pending.clear();
        Self::of(state)
    }
    fn of(state: State) -> Self {
        let state = State {
            files: state.files,
            names: state.names,
            names_synced: state.names_synced,
            syncs: state.syncs,
            ..State::default()
        };
        Self(Arc::new(Shared { state: Mutex::new(state), released: Condvar::new() }))
    }

    /// What a power cut would leave, chosen by the seed; see [`SimDisk::crash_with`].
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        // SplitMix64: small, seeded, and good enough to choose prefixes.
        let mut at = seed;
        self.crash_with(&mut |most| {
            at = at.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = at;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^= mixed >> 31;
            if most == u64::MAX { mixed } else { mixed % (most + 1) }
        })
    }
    /// What a power cut would leave: of each file's unsynced changes a prefix survives, the last of them perhaps in
    /// part and with its last bytes garbled; of the unsynced names a prefix. `pick(most)` chooses a number up to and
    /// including `most`. The disk itself goes on as it was.
    #[must_use]
    pub fn crash_with(&self, pick: &mut dyn FnMut(u64) -> u64) -> Self {
        let mut state = self.state().clone();
        for file in &mut state.files {
            let kept = pick(file.pending.len() as u64);
            let whole = usize::try_from(kept).expect("a count of changes").min(file.pending.len());
            for change in &file.pending[..whole] {
                change.apply(&mut file.synced);
            }
            if let Some(Change::Write(offset, bytes)) = file.pending.get(whole) {
                let part = usize::try_from(pick(bytes.len() as u64)).expect("a count of bytes").min(bytes.len());
                let mut part = bytes[..part].to_vec();
                if pick(1) == 1 {
                    let garbled = usize::try_from(pick(part.len().min(64) as u64)).expect("at most 64");
                    let from = part.len() - garbled.min(part.len());
                    for byte in &mut part[from..] {
                        *byte = u8::try_from(pick(255)).unwrap_or(0);
                    }
                }
                Change::Write(*offset, part).apply(&mut file.synced);
            }
            file.live.clone_from(&file.synced);
            file.pending.clear();
        }
        let kept = pick(state.names_pending.len() as u64);
        let pending = std::mem::take(&mut state.names_pending);
        for change in pending.iter().take(usize::try_from(kept).expect("a count of names")) {
            change.apply(&mut state.names_synced);
        }
        state.names.clone_from(&state.names_synced);
        Self::of(state)
    }
}

impl State {
    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.names_pending.push(change);
    }
    /// Whether the sync that happens now is the one that was told to fail.
    fn sync_fails(&mut self) -> bool {
        match self.sync_fails_in {
            Some(1) => {
                self.sync_fails_in = None;
                true
            }
            Some(nth) => {
                self.sync_fails_in = Some(nth - 1);
                false
            }
            None => false,
        }
    }
}

fn told_to_fail() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
}

impl Disk for SimDisk {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.files.push(Content::default());
        let file = state.files.len() - 1;
        state.change_name(NameChange::Put(path.to_owned(), file));
        Ok(Box::new(SimFile { disk: self.clone(), file }))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = *self.state().names.get(path).ok_or_else(|| Self::missing(path))?;
        Ok(Box::new(SimFile { disk: self.clone(), file }))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.names.contains_key(path) {
            return Err(Self::missing(path));
        }
        state.change_name(NameChange::Remove(path.to_owned()));
        Ok(())
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.names.contains_key(from) {
            return Err(Self::missing(from));
        }
        state.change_name(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.sync_fails() {
            return Err(told_to_fail());
        }
        let pending = std::mem::take(&mut state.names_pending);
        for change in pending {
            if change.dir() == Some(dir) {
                change.apply(&mut state.names_synced);
            } else {
                state.names_pending.push(change);
            }
        }
        Ok(())
    }
    fn lock(&self, _dir: &Path) -> io::Result<Option<DirLock>> {
        Ok(Some(Box::new(())))
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    file: usize,
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        // Only what makes the file longer needs room.
        let within = (state.files[self.file].live.len() as u64).saturating_sub(offset);
        let fits = match state.room {
            Some(room) => usize::try_from(room.saturating_add(within)).unwrap_or(usize::MAX).min(bytes.len()),
            None => bytes.len(),
        };
        if let Some(room) = &mut state.room {
            *room -= (fits as u64).saturating_sub(within);
        }
        if fits > 0 {
            let change = Change::Write(offset, bytes[..fits].to_vec());
            let content = &mut state.files[self.file];
            change.apply(&mut content.live);
            content.pending.push(change);
        }
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.state();
        let live = &state.files[self.file].live;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(live.len());
        let count = into.len().min(live.len() - from);
        into[..count].copy_from_slice(&live[from..from + count]);
        Ok(count)
    }
    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.syncs_waiting += 1;
        self.disk.0.released.notify_all();
        while state.syncs_held {
            state = self.disk.0.released.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.syncs_waiting -= 1;
        let fails = state.sync_fails();
        let content = &mut state.files[self.file];
        let pending = std::mem::take(&mut content.pending);
        if fails {
            return Err(told_to_fail());
        }
        for change in pending {
            change.apply(&mut content.synced);
        }
        state.syncs += 1;
        Ok(())
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.file].live.len() as u64)
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.set_len_fails {
            return Err(told_to_fail());
        }
        let change = Change::Length(bytes);
        let content = &mut state.files[self.file];
        change.apply(&mut content.live);
        content.pending.push(change);
        Ok(())
    }
}
