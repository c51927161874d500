//! The vault: a key for each member, kept outside the journal. Personal fields stand in the journal sealed with it, so
//! erasing the key erases the person while the chain over the sealed bytes stays whole.
//!
//! The file is slots of 40 bytes: key (32), CRC-32C of key and marker, marker (`KEY1`, or `GONE` with a key of
//! zeros). It only grows; a slot's number never means another key. Keys are read when they are used and never kept
//! in memory. Copies of the file, and what a drive or a file system keeps of overwritten blocks, are beyond an erasure:
//! do not back the vault up for longer than erasing may take.

use super::disk::{Disk, DiskFile};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

const SLOT_BYTES: usize = 40;
const KEY_BYTES: usize = 32;
const LIVE: [u8; 4] = *b"KEY1";
const GONE: [u8; 4] = *b"GONE";

/// Why the vault did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The disk failed.
    #[error("could not {doing} the vault {path}")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// Which vault.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// An earlier sync failed: which keys the disk holds is not known until it is opened again.
    #[error("a sync of the vault failed: restart to recover")]
    Poisoned,
    /// No such slot was ever made.
    #[error("the vault has no slot {slot}")]
    NoSlot {
        /// Which.
        slot: u64,
    },
    /// The slot's bytes are not what was written.
    #[error("slot {slot} of the vault is damaged: restore it from a copy")]
    Damaged {
        /// Which.
        slot: u64,
    },
    /// The key was erased: nothing can be sealed with it any more.
    #[error("the key in slot {slot} was erased")]
    Erased {
        /// Which.
        slot: u64,
    },
    /// The sealed bytes, the nonce or what they were bound to are not what was sealed with this key.
    #[error("the bytes were not sealed with the key in slot {slot}, or are damaged")]
    Unsealable {
        /// Which.
        slot: u64,
    },
    /// No key could be drawn.
    #[error("the system gave no random key")]
    Random(#[source] getrandom::Error),
}

/// A key, wiped when dropped, silent in `Debug`.
pub struct DataKey(Zeroizing<[u8; KEY_BYTES]>);

/// The wrapped bytes are not a key, or another's.
#[derive(Debug, thiserror::Error)]
#[error("a member's key cannot be unwrapped: it is another's, or the store's secrets are another store's")]
pub struct NoKey;

impl DataKey {
    /// The key sealed with another, bound to whose it is: for a store that others can read.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn wrapped(&self, by: &[u8; KEY_BYTES], whose: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut out = vec![0; 12];
        getrandom::fill(&mut out).map_err(VaultError::Random)?;
        let nonce = <[u8; 12]>::try_from(out.as_slice()).expect("twelve bytes");
        let payload = Payload { msg: self.0.as_slice(), aad: whose };
        let sealed = ChaCha20Poly1305::new(by.into()).encrypt(&Nonce::from(nonce), payload);
        out.extend_from_slice(&sealed.expect("a short text is always sealed"));
        Ok(out)
    }

    /// What [`DataKey::wrapped`] gave.
    ///
    /// # Errors
    /// [`NoKey`].
    pub fn unwrapped(wrapped: &[u8], by: &[u8; KEY_BYTES], whose: &[u8]) -> Result<Self, NoKey> {
        let (nonce, sealed) = wrapped.split_first_chunk::<12>().ok_or(NoKey)?;
        let payload = Payload { msg: sealed, aad: whose };
        let opened = ChaCha20Poly1305::new(by.into()).decrypt(&Nonce::from(*nonce), payload).map_err(|_| NoKey)?;
        let opened = Zeroizing::new(opened);
        Ok(Self(Zeroizing::new(<[u8; KEY_BYTES]>::try_from(opened.as_slice()).map_err(|_| NoKey)?)))
    }

    /// Seals bytes, bound to what they belong to; a nonce is used once per key.
    #[must_use]
    pub fn seal(&self, nonce: [u8; 12], aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let sealed = cipher(self).encrypt(&Nonce::from(nonce), Payload { msg: plain, aad });
        sealed.expect("a text that fits into memory is sealed")
    }

    /// Opens what was sealed with this key.
    ///
    /// # Errors
    /// [`NoKey`] when it was another one.
    pub fn unseal(&self, nonce: [u8; 12], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, NoKey> {
        cipher(self).decrypt(&Nonce::from(nonce), Payload { msg: sealed, aad }).map_err(|_| NoKey)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("DataKey(..)")
    }
}

/// What stands in a slot.
enum Slot {
    Live(DataKey),
    Erased,
}

/// The file of keys. One process has it open, the one that has the journal beside it open.
pub struct Vault {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    /// Held while a slot is written, so that each is written by one.
    writing: Mutex<()>,
    /// How many slots there are, and how many of them a sync has reached.
    slots: AtomicU64,
    slots_synced: AtomicU64,
    poisoned: AtomicBool,
}

impl fmt::Debug for Vault {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Vault").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Vault {
    /// Opens the vault, or makes an empty one. A slot whose making was interrupted is cut away: no durable record
    /// names it.
    ///
    /// # Errors
    ///
    /// [`VaultError::Disk`].
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self, VaultError> {
        let failed =
            |doing: &'static str| move |source: io::Error| VaultError::Disk { doing, path: path.to_owned(), source };
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        disk.create_dir(dir).map_err(failed("make the directory of"))?;
        let file = match disk.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(path).map_err(failed("create"))?,
            other => other.map_err(failed("open"))?,
        };
        let bytes = file.len().map_err(failed("measure"))?;
        let slots = bytes / SLOT_BYTES as u64;
        if !bytes.is_multiple_of(SLOT_BYTES as u64) {
            file.set_len(slots * SLOT_BYTES as u64).map_err(failed("cut an unfinished slot of"))?;
        }
        file.sync_data().and_then(|()| disk.sync_dir(dir)).map_err(failed("sync"))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            writing: Mutex::new(()),
            slots: AtomicU64::new(slots),
            slots_synced: AtomicU64::new(slots),
            poisoned: AtomicBool::new(false),
        })
    }

    /// Makes a key, drawn by `random` (`getrandom::fill`), and says in which slot it is. It is durable before any
    /// record appended after this to a journal that has this vault.
    ///
    /// # Errors
    ///
    /// [`VaultError`]; then there is no new slot.
    pub fn create(&self, random: impl FnOnce(&mut [u8]) -> Result<(), getrandom::Error>) -> Result<u64, VaultError> {
        let mut slot = Zeroizing::new([0; SLOT_BYTES]);
        random(&mut slot[..KEY_BYTES]).map_err(VaultError::Random)?;
        finish_slot(&mut slot, LIVE);
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.check()?;
        let number = self.slots();
        let at = number * SLOT_BYTES as u64;
        if let Err(error) = self.file.write_at(at, &*slot) {
            // Left there it would be overwritten by the next; cut, it does not outlive its failure.
            let _ = self.file.set_len(at);
            return Err(self.failed("add a slot to", error));
        }
        // After the bytes: a sync that counts the slot reaches them.
        self.slots.store(number + 1, Ordering::Release);
        Ok(number)
    }

    /// Takes in a key of another vault and says in which slot it is.
    ///
    /// # Errors
    /// As [`Vault::create`].
    pub fn take_in(&self, key: &DataKey) -> Result<u64, VaultError> {
        self.create(|slot| {
            slot.copy_from_slice(&*key.0);
            Ok(())
        })
    }

    /// Makes new slots durable; does nothing when there are none.
    ///
    /// # Errors
    ///
    /// [`VaultError`]; after a failed sync nothing more is sealed or made until the vault is opened again.
    pub fn sync_new(&self) -> Result<(), VaultError> {
        self.check()?;
        if self.slots_synced.load(Ordering::Acquire) < self.slots() { self.sync() } else { Ok(()) }
    }

    /// Erases the key in a slot, durably when this comes back. A second time changes nothing.
    ///
    /// # Errors
    ///
    /// [`VaultError`]; then the key may or may not be gone: ask again.
    pub fn erase(&self, slot: u64) -> Result<(), VaultError> {
        let mut bytes = [0; SLOT_BYTES];
        finish_slot(&mut bytes, GONE);
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.check()?;
        if slot >= self.slots() {
            return Err(VaultError::NoSlot { slot });
        }
        // Whatever the slot holds: also a damaged key is erased.
        let written = self.file.write_at(slot * SLOT_BYTES as u64, &bytes);
        written.map_err(|error| self.failed("erase a slot of", error))?;
        self.sync()
    }

    /// Whether the key in a slot was erased.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub fn is_erased(&self, slot: u64) -> Result<bool, VaultError> {
        Ok(matches!(self.read(slot)?, Slot::Erased))
    }

    /// Seals bytes with the key in a slot (ChaCha20-Poly1305), bound to `aad`. A nonce must never be used twice with
    /// one slot.
    ///
    /// # Errors
    ///
    /// [`VaultError`], [`VaultError::Erased`] among them.
    pub fn seal(&self, slot: u64, nonce: [u8; 12], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.check()?;
        let Slot::Live(key) = self.read(slot)? else { return Err(VaultError::Erased { slot }) };
        let sealed = cipher(&key).encrypt(&Nonce::from(nonce), Payload { msg: plain, aad });
        sealed.map_err(|_| VaultError::Unsealable { slot })
    }

    /// Opens sealed bytes. `None` when the key was erased.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub fn unseal(&self, slot: u64, nonce: [u8; 12], aad: &[u8], sealed: &[u8]) -> Result<Option<Vec<u8>>, VaultError> {
        let Slot::Live(key) = self.read(slot)? else { return Ok(None) };
        let opened = cipher(&key).decrypt(&Nonce::from(nonce), Payload { msg: sealed, aad });
        opened.map(Some).map_err(|_| VaultError::Unsealable { slot })
    }

    /// How many slots there are, erased ones too.
    #[must_use]
    pub fn slots(&self) -> u64 {
        self.slots.load(Ordering::Acquire)
    }

    /// The key in a slot; `None` once it is erased.
    ///
    /// # Errors
    /// When the disk fails, or there is no such slot.
    pub fn key(&self, slot: u64) -> Result<Option<DataKey>, VaultError> {
        Ok(match self.read(slot)? {
            Slot::Live(key) => Some(key),
            Slot::Erased => None,
        })
    }

    fn read(&self, slot: u64) -> Result<Slot, VaultError> {
        if slot >= self.slots() {
            return Err(VaultError::NoSlot { slot });
        }
        let mut bytes = Zeroizing::new([0; SLOT_BYTES]);
        let read = self.file.read_at(slot * SLOT_BYTES as u64, &mut *bytes);
        let count = read.map_err(|error| self.failed("read a slot of", error))?;
        let (key, rest) = bytes.split_at(KEY_BYTES);
        let marker = &rest[4..];
        if count < SLOT_BYTES || rest[..4] != checksum(key, marker) {
            return Err(VaultError::Damaged { slot });
        }
        match <[u8; KEY_BYTES]>::try_from(key) {
            Ok(key) if marker == LIVE => Ok(Slot::Live(DataKey(Zeroizing::new(key)))),
            Ok(_) if marker == GONE => Ok(Slot::Erased),
            _ => Err(VaultError::Damaged { slot }),
        }
    }

    fn sync(&self) -> Result<(), VaultError> {
        let slots = self.slots();
        self.file.sync_data().map_err(|error| {
            self.poisoned.store(true, Ordering::Release);
            self.failed("sync", error)
        })?;
        self.slots_synced.fetch_max(slots, Ordering::AcqRel);
        Ok(())
    }

    fn check(&self) -> Result<(), VaultError> {
        if self.poisoned.load(Ordering::Acquire) { Err(VaultError::Poisoned) } else { Ok(()) }
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> VaultError {
        VaultError::Disk { doing, path: self.path.clone(), source }
    }
}

fn cipher(key: &DataKey) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new((&*key.0).into())
}

fn checksum(key: &[u8], marker: &[u8]) -> [u8; 4] {
    crc32c::crc32c_append(crc32c::crc32c(key), marker).to_le_bytes()
}

fn finish_slot(slot: &mut [u8; SLOT_BYTES], marker: [u8; 4]) {
    let crc = checksum(&slot[..KEY_BYTES], &marker);
    slot[KEY_BYTES..KEY_BYTES + 4].copy_from_slice(&crc);
    slot[KEY_BYTES + 4..].copy_from_slice(&marker);
}

#[cfg(test)]
mod tests {
    use super::super::disk::SimDisk;
    use super::*;

    const NONCE: [u8; 12] = [7; 12];

    fn vault(disk: &SimDisk) -> Vault {
        Vault::open(disk, Path::new("/v/keys")).unwrap()
    }

    fn fill(with: u8) -> impl FnOnce(&mut [u8]) -> Result<(), getrandom::Error> {
        move |key| {
            key.fill(with);
            Ok(())
        }
    }

    #[test]
    fn what_is_sealed_opens_until_the_key_is_erased() {
        let disk = SimDisk::new();
        let keys = vault(&disk);
        let (ann, bob) = (keys.create(fill(1)).unwrap(), keys.create(fill(2)).unwrap());
        let sealed = keys.seal(ann, NONCE, b"ann", b"a@example.org").unwrap();
        assert_eq!(keys.unseal(ann, NONCE, b"ann", &sealed).unwrap().unwrap(), b"a@example.org");
        assert!(matches!(keys.unseal(ann, NONCE, b"bob", &sealed), Err(VaultError::Unsealable { slot: 0 })));
        assert!(matches!(keys.unseal(bob, NONCE, b"ann", &sealed), Err(VaultError::Unsealable { slot: 1 })));
        assert!(matches!(keys.unseal(2, NONCE, b"ann", &sealed), Err(VaultError::NoSlot { slot: 2 })));

        keys.erase(ann).unwrap();
        keys.erase(ann).unwrap();
        // Durable at once, whatever a crash takes.
        for disk in [disk.clone(), disk.crash_with(&mut |_| 0)] {
            let keys = vault(&disk);
            assert_eq!(keys.slots(), 2);
            assert_eq!(keys.unseal(ann, NONCE, b"ann", &sealed).unwrap(), None);
            assert!(keys.is_erased(ann).unwrap());
            assert!(matches!(keys.seal(ann, NONCE, b"ann", b"x"), Err(VaultError::Erased { slot: 0 })));
            assert!(keys.seal(bob, NONCE, b"bob", b"x").is_ok());
            assert_eq!(disk.bytes(Path::new("/v/keys")).unwrap()[..32], [0; 32]);
        }
    }

    #[test]
    fn a_slot_is_never_given_twice_and_an_unfinished_one_is_cut() {
        let disk = SimDisk::new();
        let path = Path::new("/v/keys");
        let keys = vault(&disk);
        assert_eq!(keys.create(fill(1)).unwrap(), 0);
        keys.sync_new().unwrap();
        assert_eq!(keys.create(fill(2)).unwrap(), 1);
        for kept in 0..=40 {
            let mut picks = [0, kept, 0].into_iter();
            let after = disk.crash_with(&mut |_| picks.next().unwrap_or(0));
            let keys = vault(&after);
            assert_eq!(keys.slots(), 1 + kept / 40);
            assert_eq!(after.bytes(path).unwrap().len() as u64, 40 * keys.slots());
            assert!(!keys.is_erased(0).unwrap());
        }
        disk.fail_writes_after(Some(10));
        assert!(matches!(keys.create(fill(3)), Err(VaultError::Disk { .. })));
        disk.fail_writes_after(None);
        assert_eq!(keys.create(fill(3)).unwrap(), 2);
    }

    #[test]
    fn a_failed_sync_stops_it_and_damage_is_named() {
        let disk = SimDisk::new();
        let keys = vault(&disk);
        keys.create(fill(1)).unwrap();
        keys.sync_new().unwrap();
        for bit in 0..8 * 40 {
            let damaged = disk.copy();
            damaged.flip_bit(Path::new("/v/keys"), bit / 8, u8::try_from(bit % 8).unwrap());
            assert!(matches!(vault(&damaged).is_erased(0), Err(VaultError::Damaged { slot: 0 })));
        }
        keys.create(fill(2)).unwrap();
        disk.fail_sync_in(1);
        assert!(matches!(keys.sync_new(), Err(VaultError::Disk { .. })));
        assert!(matches!(keys.sync_new(), Err(VaultError::Poisoned)));
        assert!(matches!(keys.create(fill(3)), Err(VaultError::Poisoned)));
        assert!(matches!(keys.erase(0), Err(VaultError::Poisoned)));
    }

    #[test]
    fn inv_10_keys_do_not_print() {
        let disk = SimDisk::new();
        let keys = vault(&disk);
        keys.create(fill(0xAB)).unwrap();
        assert_eq!(
            format!("{keys:?} {:?}", DataKey(Zeroizing::new([0xAB; 32]))),
            "Vault { path: \"/v/keys\", .. } DataKey(..)"
        );
    }
}
