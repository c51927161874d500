//! Which sightings a clue may lead to: hashes of clues in order, with the places of their
//! sightings, one file per closed segment of the log.
//!
//! Derived from the segment beside it: a file that is missing, of another length or broken
//! is made again. A hash may lead to a sighting of another clue, so whoever asks looks at
//! what it finds.

use crate::journal::Position;
use crate::journal::disk::{Disk, DiskFile};
use std::io;
use std::path::{Path, PathBuf};

/// Begins every file; its last byte is the version of the form.
const MAGIC: [u8; 8] = *b"RFSIGHT1";
/// Magic, length of the segment, number of entries, checksum of the entries.
const HEAD_BYTES: usize = 32;
/// Hash, offset of the frame, place in the frame.
const ENTRY_BYTES: usize = 16;
/// Entries read at once.
const BLOCK: usize = 256;

/// A clue's hash and where its sighting stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// Of the clue.
    pub(super) hash: u64,
    /// Of the frame, within the segment.
    pub(super) offset: u32,
    /// Of the record, within the frame.
    pub(super) index: u32,
}

impl Entry {
    fn encode(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        // Big endian, so that bytes compare as the numbers do.
        bytes[..8].copy_from_slice(&self.hash.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.offset.to_be_bytes());
        bytes[12..].copy_from_slice(&self.index.to_be_bytes());
        bytes
    }
    fn decode(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let (hash, place) = bytes.split_first_chunk::<8>().expect("sixteen bytes hold eight");
        let (offset, index) = place.split_first_chunk::<4>().expect("eight bytes hold four");
        let index = index.first_chunk::<4>().expect("four are left");
        Self { hash: u64::from_be_bytes(*hash), offset: u32::from_be_bytes(*offset), index: u32::from_be_bytes(*index) }
    }
    /// Where the frame is.
    pub(super) fn frame(self, segment: u64) -> Position {
        Position { segment, offset: u64::from(self.offset) }
    }
}

/// The index of a closed segment, open for asking.
pub(super) struct Index {
    file: Box<dyn DiskFile>,
    count: u64,
}

pub(super) fn path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("{segment:010}.idx"))
}

/// The segment a file's name stands for; `None` for any other file.
pub(super) fn segment_of(name: &str) -> Option<u64> {
    name.strip_suffix(".idx")?.parse().ok()
}

impl Index {
    /// Writes the entries of a segment of so many bytes, aside and renamed, and opens it.
    pub(super) fn write(
        disk: &dyn Disk,
        dir: &Path,
        segment: u64,
        segment_bytes: u64,
        mut entries: Vec<Entry>,
    ) -> io::Result<Self> {
        entries.sort_unstable();
        let mut body = Vec::with_capacity(entries.len() * ENTRY_BYTES);
        entries.iter().for_each(|entry| body.extend_from_slice(&entry.encode()));
        let mut head = Vec::with_capacity(HEAD_BYTES);
        head.extend_from_slice(&MAGIC);
        head.extend_from_slice(&segment_bytes.to_le_bytes());
        head.extend_from_slice(&(entries.len() as u64).to_le_bytes());
        head.extend_from_slice(&xxhash_rust::xxh3::xxh3_64(&body).to_le_bytes());
        let aside = dir.join(format!("{segment:010}.idx.new"));
        if let Err(error) = disk.remove(&aside)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let file = disk.create(&aside)?;
        file.write_at(0, &head)?;
        file.write_at(HEAD_BYTES as u64, &body)?;
        file.sync_data()?;
        disk.rename(&aside, &path(dir, segment))?;
        disk.sync_dir(dir)?;
        Ok(Self { file, count: entries.len() as u64 })
    }

    /// Opens the index of a segment of so many bytes; `None` when there is none that fits.
    pub(super) fn open(disk: &dyn Disk, dir: &Path, segment: u64, segment_bytes: u64) -> io::Result<Option<Self>> {
        let file = match disk.open(&path(dir, segment)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut head = [0; HEAD_BYTES];
        if file.read_at(0, &mut head)? != HEAD_BYTES || head[..8] != MAGIC {
            return Ok(None);
        }
        let number = |at: usize| head[at..].first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let (of_bytes, count, checksum) = (number(8), number(16), number(24));
        let whole = count.checked_mul(ENTRY_BYTES as u64).and_then(|bytes| bytes.checked_add(HEAD_BYTES as u64));
        if of_bytes != segment_bytes || whole != Some(file.len()?) {
            return Ok(None);
        }
        let index = Self { file, count };
        Ok((index.checksum()? == checksum).then_some(index))
    }

    fn checksum(&self) -> io::Result<u64> {
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        let mut buffer = vec![0; BLOCK * ENTRY_BYTES * 16];
        let mut at = HEAD_BYTES as u64;
        loop {
            let read = self.file.read_at(at, &mut buffer)?;
            if read == 0 {
                return Ok(hash.digest());
            }
            hash.update(&buffer[..read]);
            at += read as u64;
        }
    }

    fn entry(&self, place: u64) -> io::Result<Entry> {
        let mut bytes = [0; ENTRY_BYTES];
        let read = self.file.read_at(HEAD_BYTES as u64 + place * ENTRY_BYTES as u64, &mut bytes)?;
        if read == ENTRY_BYTES { Ok(Entry::decode(&bytes)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// All entries of a hash, in the order of the log. Logarithmic in the segment's entries
    /// and linear in what is found.
    pub(super) fn find(&self, hash: u64) -> io::Result<Vec<Entry>> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(middle)?.hash < hash {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let mut found = Vec::new();
        let mut block = vec![0; BLOCK * ENTRY_BYTES];
        loop {
            let read = self.file.read_at(HEAD_BYTES as u64 + low * ENTRY_BYTES as u64, &mut block)?;
            let entries = block[..read].as_chunks::<ENTRY_BYTES>().0;
            let same = entries.iter().map(Entry::decode).take_while(|entry| entry.hash == hash);
            let before = found.len();
            found.extend(same);
            if found.len() - before < entries.len() || entries.is_empty() {
                return Ok(found);
            }
            low += entries.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::disk::SimDisk;

    fn entries(count: u32) -> Vec<Entry> {
        (0..count).map(|n| Entry { hash: u64::from(n % 1_000), offset: 64 + n, index: n % 7 }).rev().collect()
    }

    #[test]
    fn all_of_a_hash_are_found_and_no_other() {
        let disk = SimDisk::new();
        let dir = Path::new("/s");
        disk.create_dir(dir).unwrap();
        let index = Index::write(&disk, dir, 3, 77, entries(600_000)).unwrap();
        for hash in [0, 1, 500, 999] {
            let found = index.find(hash).unwrap();
            assert_eq!(found.len(), 600);
            assert!(found.is_sorted() && found.iter().all(|entry| entry.hash == hash));
        }
        assert_eq!(index.find(1_000).unwrap(), []);
        let again = Index::open(&disk, dir, 3, 77).unwrap().unwrap();
        assert_eq!(again.find(7).unwrap(), index.find(7).unwrap());
        assert!(Index::open(&disk, dir, 3, 78).unwrap().is_none(), "the segment has another length");
        assert!(Index::open(&disk, dir, 4, 77).unwrap().is_none());
        let empty = Index::write(&disk, dir, 5, 1, Vec::new()).unwrap();
        assert_eq!(empty.find(0).unwrap(), []);
    }

    #[test]
    fn a_broken_file_is_no_index() {
        let disk = SimDisk::new();
        let dir = Path::new("/s");
        disk.create_dir(dir).unwrap();
        Index::write(&disk, dir, 3, 77, entries(50)).unwrap();
        let len = disk.bytes(&path(dir, 3)).unwrap().len();
        for at in 0..len {
            let file = disk.open(&path(dir, 3)).unwrap();
            let mut byte = [0];
            file.read_at(at as u64, &mut byte).unwrap();
            file.write_at(at as u64, &[byte[0] ^ 4]).unwrap();
            assert!(Index::open(&disk, dir, 3, 77).unwrap().is_none(), "byte {at}");
            file.write_at(at as u64, &byte).unwrap();
        }
        assert!(Index::open(&disk, dir, 3, 77).unwrap().is_some());
        disk.open(&path(dir, 3)).unwrap().set_len(len as u64 - 16).unwrap();
        assert!(Index::open(&disk, dir, 3, 77).unwrap().is_none());
    }
}
