//! How far a start need not read this process' journal: the highest numbers and epochs of what is
//! before a place in it. Noted now and then and at a stop; it is never needed to start, only to
//! start soon, so that one that is not there or not sound says nothing.

use super::Engine;
use crate::journal::Position;
use crate::{kept, record};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

const FILE: &str = "shared.place";
/// Of 65,535 partitions it has a megabyte.
const BYTES_MAX: u64 = 4 << 20;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct Place {
    pub(super) process: u32,
    pub(super) position: Position,
    /// The highest record number per partition, the catalogue's last.
    pub(super) numbers: Vec<u64>,
    /// The highest epoch per partition that a record was offered in, the catalogue's last.
    pub(super) epochs: Vec<u32>,
}

impl Place {
    /// What was noted beside a journal for so many partitions.
    pub(super) fn read(journal_dir: &Path, partitions: u16) -> Option<Self> {
        let bytes = kept::read(&path(journal_dir), BYTES_MAX).ok()??;
        let (place, sum) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(place).to_le_bytes() != *sum {
            return None;
        }
        let place: Self = record::decode(place).ok()?;
        let count = usize::from(partitions) + 1;
        (place.numbers.len() == count && place.epochs.len() == count).then_some(place)
    }

    fn write(&self, journal_dir: &Path) -> io::Result<()> {
        let mut bytes = record::encode(self);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        kept::replace(&path(journal_dir), &bytes)
    }
}

fn path(journal_dir: &Path) -> PathBuf {
    journal_dir.join(FILE)
}

impl Engine {
    /// Notes how far a next start need not read the journal of a process that shares its store.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// When the disk refuses; the next start then reads more.
    pub fn note_place(&self) -> io::Result<()> {
        let Some(shared) = self.shared() else { return Ok(()) };
        // First: whatever is before it has its number by then.
        let position = self.journal.end();
        let numbers = self.numbers.iter().map(|number| number.load(Ordering::Acquire)).collect();
        let epochs =
            shared.redis.standings().partitions().map(|partition| shared.redis.standings().of(partition).highest());
        let place = Place { process: shared.process, position, numbers, epochs: epochs.collect() };
        place.write(&self.options.journal_dir)
    }
}
