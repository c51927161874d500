//! Reading segments: frame by frame through a buffer, so that memory is bounded by a frame and not by a segment, and
//! paging through a journal that is being written, up to its durable end.

use super::disk::{Disk, DiskFile};
use super::format::{FRAME_HEAD_BYTES, Fault, Frame, FrameLength, HEADER_BYTES, Header};
use super::{OpenError, Position};
use std::io;
use std::path::{Path, PathBuf};

/// What is read from a file at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// Offset of the first frame of a segment.
pub(crate) const FIRST_FRAME: u64 = HEADER_BYTES as u64;

pub(crate) fn segment_path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("{segment:010}.seg"))
}

/// The segment a file name stands for. `None` for any other file.
fn segment_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let number = digits.parse().ok()?;
    (digits == format!("{number:010}")).then_some(number)
}

/// The numbers of the segments in a directory, in order.
pub(crate) fn segments_in(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u64>> {
    let mut segments: Vec<u64> = disk.list(dir)?.iter().filter_map(|name| segment_of(name)).collect();
    segments.sort_unstable();
    Ok(segments)
}

pub(crate) fn read_header(file: &dyn DiskFile) -> io::Result<Result<Header, Fault>> {
    let mut bytes = [0; HEADER_BYTES];
    let count = file.read_at(0, &mut bytes)?;
    Ok(Header::decode(&bytes[..count]))
}

/// Reads the frames of one segment.
pub(crate) struct SegmentReader {
    file: Box<dyn DiskFile>,
    end: u64,
    buffer: Vec<u8>,
    buffer_at: u64,
}

impl SegmentReader {
    /// Reads up to `end` and not a byte further.
    pub(crate) fn new(file: Box<dyn DiskFile>, end: u64) -> Self {
        Self { file, end, buffer: Vec::new(), buffer_at: 0 }
    }
    pub(crate) fn end(&self) -> u64 {
        self.end
    }
    pub(crate) fn into_file(self) -> Box<dyn DiskFile> {
        self.file
    }
    /// The frame at an offset.
    pub(crate) fn frame(&mut self, offset: u64) -> io::Result<Result<Frame<'_>, Fault>> {
        let length = match FrameLength::decode(self.bytes(offset, FRAME_HEAD_BYTES)?) {
            Ok(length) => length,
            Err(fault) => return Ok(Err(fault)),
        };
        if length.frame_bytes() as u64 > self.end.saturating_sub(offset) {
            return Ok(Err(Fault::Short));
        }
        Ok(Frame::decode(self.bytes(offset, length.frame_bytes())?))
    }
    /// Everything from an offset to the end.
    pub(crate) fn rest(&mut self, offset: u64) -> io::Result<Vec<u8>> {
        let count = usize::try_from(self.end.saturating_sub(offset)).map_err(io::Error::other)?;
        let mut rest = vec![0; count];
        let count = self.file.read_at(offset, &mut rest)?;
        rest.truncate(count);
        Ok(rest)
    }
    /// So many bytes at an offset, fewer only when the segment ends before.
    fn bytes(&mut self, offset: u64, wanted: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = wanted.min(left);
        let held = self.buffer_at..=self.buffer_at + self.buffer.len() as u64;
        if !held.contains(&offset) || !held.contains(&(offset + wanted as u64)) {
            self.buffer.clear();
            self.buffer.shrink_to(CHUNK_BYTES);
            self.buffer.resize(wanted.max(CHUNK_BYTES).min(left), 0);
            let count = self.file.read_at(offset, &mut self.buffer)?;
            self.buffer.truncate(count);
            self.buffer_at = offset;
        }
        let from = usize::try_from(offset - self.buffer_at).map_err(io::Error::other)?;
        Ok(&self.buffer[from..(from + wanted).min(self.buffer.len())])
    }
}

/// One record, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The frame it is in.
    pub at: Position,
    /// Which of the frame's records it is, from 0.
    pub index: u32,
    /// Its bytes.
    pub record: Vec<u8>,
}

/// Some records in order, and where to read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Whole frames; empty when there is nothing more before the end.
    pub entries: Vec<Entry>,
    /// Where the next page begins.
    pub next: Position,
}

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk failed.
    #[error("could not read segment {segment}")]
    Disk {
        /// Which segment.
        segment: u64,
        /// What the disk said.
        source: io::Error,
    },
    /// The segment was dropped, or never was.
    #[error("segment {segment} is not in the journal")]
    NoSegment {
        /// Which segment.
        segment: u64,
    },
    /// There is no whole frame at the place: it is damaged, or the position is none of this journal.
    #[error("no frame at segment {segment} offset {offset}: {reason}")]
    Broken {
        /// Which segment.
        segment: u64,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        reason: Fault,
    },
}

/// Reads whole frames from a position up to `end`, until at least `records` records are gathered.
///
/// `end` is a durable end ([`super::Journal::end`]), so a journal can be read while it is written. Each frame's
/// checksum is verified; the chain is not, opening the journal did that.
///
/// # Errors
///
/// [`ReadError`] when the position is none, or the disk or its bytes are bad.
pub fn read_from(
    disk: &dyn Disk,
    dir: &Path,
    from: Position,
    end: Position,
    records: usize,
) -> Result<Page, ReadError> {
    let mut page = Page { entries: Vec::new(), next: from.or_first_frame() };
    while page.next < end && page.entries.len() < records {
        let segment = page.next.segment;
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => ReadError::NoSegment { segment },
            _ => ReadError::Disk { segment, source },
        };
        let file = disk.open(&segment_path(dir, segment)).map_err(failed)?;
        let until = if segment == end.segment { end.offset } else { file.len().map_err(failed)? };
        let mut reader = SegmentReader::new(file, until);
        while page.next.offset < until && page.entries.len() < records {
            let offset = page.next.offset;
            let broken = |reason| ReadError::Broken { segment, offset, reason };
            let frame = reader.frame(offset).map_err(failed)?.map_err(broken)?;
            let at = page.next;
            let entries = (0..).zip(frame.records()).map(|(index, record)| Entry { at, index, record: record.into() });
            page.entries.extend(entries);
            page.next.offset += frame.bytes.len() as u64;
        }
        if page.next.offset >= until && segment < end.segment {
            page.next = Position { segment: segment + 1, offset: FIRST_FRAME };
        }
    }
    Ok(page)
}

impl From<(u64, io::Error)> for OpenError {
    fn from((segment, source): (u64, io::Error)) -> Self {
        Self::Disk { doing: "read a segment of", segment: Some(segment), source }
    }
}
