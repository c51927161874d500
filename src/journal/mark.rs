//! The closing mark: where the journal ended when it was last closed in order. What was durable then is durable now,
//! so a tail that ends before the mark was not torn by a crash but damaged, and is refused.
//!
//! A mark that cannot be read says nothing. It is a floor under the tail and never needed to open.

use super::Position;
use super::disk::Disk;
use std::io;
use std::path::Path;

const NAME: &str = "closed.mark";
const NAME_NEW: &str = "closed.mark.new";
const MAGIC: [u8; 8] = *b"RFCLOSED";
const BYTES: usize = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) end: Position,
    pub(crate) chain: [u8; 32],
}

impl Mark {
    fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.end.segment.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.end.offset.to_le_bytes());
        bytes[24..56].copy_from_slice(&self.chain);
        let crc = crc32c::crc32c(&bytes[..56]);
        bytes[56..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }
    fn decode(bytes: &[u8; BYTES]) -> Option<Self> {
        let crc = u32::from_le_bytes(*bytes[56..].first_chunk()?);
        if bytes[..8] != MAGIC || crc != crc32c::crc32c(&bytes[..56]) {
            return None;
        }
        let segment = u64::from_le_bytes(*bytes[8..].first_chunk()?);
        let offset = u64::from_le_bytes(*bytes[16..].first_chunk()?);
        Some(Self { end: Position { segment, offset }, chain: *bytes[24..].first_chunk()? })
    }
}

pub(crate) fn read_mark(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Mark>> {
    let file = match disk.open(&dir.join(NAME)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut bytes = [0; BYTES];
    let count = file.read_at(0, &mut bytes)?;
    Ok(if count == BYTES { Mark::decode(&bytes) } else { None })
}

pub(crate) fn write_mark(disk: &dyn Disk, dir: &Path, mark: &Mark) -> io::Result<()> {
    let new = dir.join(NAME_NEW);
    match disk.remove(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(&new)?;
    file.write_at(0, &mark.encode())?;
    file.sync_data()?;
    disk.rename(&new, &dir.join(NAME))?;
    disk.sync_dir(dir)
}
