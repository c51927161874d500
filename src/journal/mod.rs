//! The journal: an append-only file of records that is the truth of which every store is a cache.
//!
//! It knows bytes, not what they mean. What it promises: a record that was acknowledged is on the disk, once, in its
//! place, and whoever reads it back reads the bytes that were written or is told where they are damaged.
//!
//! # The format, for whoever audits it without us
//!
//! A journal is a directory of segments `NNNNNNNNNN.seg` (ten digits or more, from `0000000000`, without a gap;
//! the oldest may have been dropped). Numbers are little-endian; checksums are CRC-32C (Castagnoli); hashes are SHA-256.
//!
//! | segment header | bytes | |
//! |---|---|---|
//! | magic | 8 | `RFJOURNL` |
//! | version | u32 | 1 |
//! | segment | u64 | the number in the name |
//! | chain | 32 | hash of the last frame before this segment; zeros in a journal's first |
//! | process | u32 | drawn when the journal was made, the same in every segment |
//! | opened at | i64 | milliseconds since 1970 UTC |
//! | checksum | u32 | of the 64 bytes above |
//!
//! Frames follow the header and one another directly:
//!
//! | frame | bytes | |
//! |---|---|---|
//! | length | u32 | bits 0 to 30: bytes of the payload, 2 to 67,108,864; bit 31: loose, see below |
//! | checksum | u32 | of length, hash before and payload |
//! | hash before | 32 | hash of the frame before; the header's chain in the first |
//! | payload | length | varint count of records (1 or more), then each: varint length, bytes |
//!
//! A varint is LEB128 of at most 32 bits. **The hash of a frame is `SHA-256(hash before ‖ payload)`.** One frame is one group
//! commit: written at once, synced once. A frame is written only when every byte before it is durable, except a *loose*
//! one (records nobody waits for), which may follow others that are not synced yet; no frame but a loose one ever
//! follows unsynced bytes.
//!
//! So, reading from the start: a bad frame is a **torn tail** when it is in the last segment and no whole frame follows it in the
//! file that is not loose; it and what follows were never acknowledged and are cut. Any other bad frame, hash,
//! header or gap is **damage**. A last segment of at most a header's length with a bad header was being made, and counts as not
//! there; the segment before it then ends whole.
//!
//! Beside the segments: `lock` (held while open), and `closed.mark`, written at an orderly close: magic `RFCLOSED`, segment u64,
//! offset u64, chain 32, checksum u32 of the 56 bytes before. A journal that ends before a readable mark is damaged.

mod commit;
pub mod disk;
mod format;
mod mark;
mod read;
mod recover;
#[cfg(test)]
mod tests;
pub mod vault;

pub use format::Fault;
pub use read::{Entry, Page, ReadError, read_from};
pub use vault::{Vault, VaultError};

use crate::clock::Clock;
use commit::{Committer, Shared};
use disk::Disk;
use format::{PAYLOAD_BYTES_LIMIT, varint_bytes};
use read::FIRST_FRAME;
pub(crate) use read::segment_path;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A place in the journal, always the boundary of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Position {
    /// Which segment.
    pub segment: u64,
    /// Byte in the segment. 0 stands for the segment's first frame.
    pub offset: u64,
}

impl Position {
    /// Where the first frame of a journal is.
    pub const FIRST: Self = Self { segment: 0, offset: FIRST_FRAME };

    /// Reads what a position shows as.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (segment, offset) = text.strip_prefix("segment ")?.split_once(" offset ")?;
        Some(Self { segment: segment.parse().ok()?, offset: offset.parse().ok()? })
    }

    fn or_first_frame(self) -> Self {
        Self { offset: self.offset.max(FIRST_FRAME), ..self }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "segment {} offset {}", self.segment, self.offset)
    }
}

/// Is told how long each sync took and how many records waited for it.
pub type OnSync = Box<dyn Fn(Duration, usize) + Send + Sync>;

/// Takes the records that are replayed, in order, each with the frame it is in; what it refuses stops the opening.
pub type OnRecord<'a, E> = dyn FnMut(Position, &[u8]) -> Result<(), E> + 'a;

/// How a journal is opened.
pub struct Options {
    /// Where the segments are; made when it is not there.
    pub dir: PathBuf,
    /// A segment is closed when the next frame would make it longer. One frame may be longer than that.
    pub segment_bytes_max: u64,
    /// A segment is also closed when it is this old and a frame is to be written, so that little traffic does not keep
    /// old records from being dropped. `None` when age does not matter.
    pub segment_ms_max: Option<i64>,
    /// How many records may wait to be written; callers beyond that wait to hand theirs over.
    pub queue_records_max: usize,
    /// Longest payload of a frame, and so the most one call may append; 64 MiB at most.
    pub frame_bytes_max: usize,
    /// How much [`Journal::append_relaxed`] may hold in memory. 0 turns it off.
    pub relaxed_bytes_max: usize,
    /// The process this journal must belong to, or be made for. `None` takes what is there, and draws a number for a new one.
    pub process: Option<u32>,
    /// For the time in segment headers.
    pub clock: Clock,
    /// Keys that records name. New ones are made durable before the records that may name them.
    pub vault: Option<Arc<Vault>>,
    /// Told about every sync, from the thread that writes: it must be quick.
    pub on_sync: Option<OnSync>,
}

impl Options {
    /// The defaults, for a journal in this directory.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes_max: 64 * 1024 * 1024,
            segment_ms_max: None,
            queue_records_max: 8192,
            frame_bytes_max: 4 * 1024 * 1024,
            relaxed_bytes_max: 8 * 1024 * 1024,
            process: None,
            clock: Clock::Machine,
            vault: None,
            on_sync: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Options")
            .field("dir", &self.dir)
            .field("segment_bytes_max", &self.segment_bytes_max)
            .field("segment_ms_max", &self.segment_ms_max)
            .field("queue_records_max", &self.queue_records_max)
            .field("frame_bytes_max", &self.frame_bytes_max)
            .field("relaxed_bytes_max", &self.relaxed_bytes_max)
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

/// What was found when the journal was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Records replayed.
    pub records: u64,
    /// Bytes of their frames.
    pub bytes: u64,
    /// Bytes of an interrupted write that were cut from the end; nothing in them had been acknowledged.
    pub torn_bytes_dropped: u64,
    /// Where the journal ends.
    pub end: Position,
    /// Whose journal it is.
    pub process: u32,
}

/// Why a journal was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk failed.
    #[error("could not {doing} the journal{}", .segment.map(|segment| format!(" (segment {segment})")).unwrap_or_default())]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// In which segment; `None` when it concerns the directory.
        segment: Option<u64>,
        /// What the disk said.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("the journal in {dir} is open in another process: stop that one, or give this one a directory of its own")]
    Held {
        /// Where.
        dir: PathBuf,
    },
    /// What was durable is damaged. Nothing was changed.
    #[error(
        "the journal is broken at segment {segment} offset {offset}: {reason}; restore the segment from a copy or an archive"
    )]
    Broken {
        /// Which segment.
        segment: u64,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        reason: Fault,
    },
    /// The place to replay from is beyond the end: the journal lost what its reader has seen.
    #[error("the journal ends at {end}, before {from} where replay was to begin")]
    Lost {
        /// Where replay was to begin.
        from: Position,
        /// Where the journal ends.
        end: Position,
    },
    /// The place to replay from is inside a frame.
    #[error("no frame begins at {from}, where replay was to begin")]
    NoBoundary {
        /// Where replay was to begin.
        from: Position,
    },
    /// The place to replay from is in a segment that was dropped.
    #[error("the journal begins with segment {first}; {from}, where replay was to begin, was dropped")]
    Dropped {
        /// Where replay was to begin.
        from: Position,
        /// The oldest segment that is there.
        first: u64,
    },
    /// It belongs to another process.
    #[error("the journal belongs to process {found}, not to {wanted}")]
    OtherProcess {
        /// Whose it is.
        found: u32,
        /// Whose it should be.
        wanted: u32,
    },
    /// Whoever took the records could not take one.
    #[error("the record at {at} could not be replayed")]
    Record {
        /// The frame it is in.
        at: Position,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No number could be drawn for a new journal.
    #[error("the system gave no random number")]
    Random(#[source] getrandom::Error),
}

/// Why records were not appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The disk is full; none of the records is in the journal. The same call may succeed later.
    #[error("the disk is full")]
    NoSpace,
    /// The disk refused the write and it was taken back: none of the records is in the journal. The same call may
    /// succeed later.
    #[error("the write failed and was taken back: {0}")]
    NotWritten(io::ErrorKind),
    /// What is on the disk is no longer known, for these records or since an earlier call. Reopen to find out.
    #[error("the journal is poisoned by a failed sync: restart to recover")]
    Poisoned,
    /// The records of one call do not fit a frame.
    #[error("the records take {bytes} bytes, a frame at most {most}")]
    TooLarge {
        /// What they take.
        bytes: usize,
        /// What a frame takes.
        most: usize,
    },
    /// Nothing was given to append.
    #[error("there is no record to append")]
    Nothing,
    /// The journal was closed; none of the records is in it.
    #[error("the journal is closed")]
    Closed,
}

impl AppendError {
    /// Whether nothing was written and the same call may succeed later.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::NoSpace | Self::NotWritten(_))
    }
}

/// Where the records of a call are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The frame they are in.
    pub at: Position,
    /// Which of the frame's records the first one is; the others follow it.
    pub index: u32,
    /// Where the frame ends and the next begins.
    pub end: Position,
}

/// Counts since the journal was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Frames written.
    pub frames: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of the frames.
    pub bytes: u64,
    /// Syncs that succeeded.
    pub syncs: u64,
    /// Relaxed records refused because the buffer was full or the journal closed or poisoned.
    pub relaxed_refused: u64,
    /// Relaxed records taken and lost with a poisoned journal or a full disk at its close.
    pub relaxed_lost: u64,
}

/// An open journal. Dropping it closes it.
pub struct Journal {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    frame_bytes_max: usize,
    process: u32,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Journal").field("dir", &self.dir).field("end", &self.end()).finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the journal in a directory, or makes one, and hands every record from `from` on (`None`: from the start)
    /// to `on_record`, in order. An interrupted write at the end is cut away.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; when it is not a failure of the disk, the segments are as they were. Records handed over before the error was
    /// met are true, and not all.
    pub fn open<E>(
        disk: Arc<dyn Disk>,
        options: Options,
        from: Option<Position>,
        on_record: &mut OnRecord<'_, E>,
    ) -> Result<(Self, Opened), OpenError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let failed = |doing: &'static str| move |source: io::Error| OpenError::Disk { doing, segment: None, source };
        disk.create_dir(&options.dir).map_err(failed("make the directory of"))?;
        let lock = disk.lock(&options.dir).map_err(failed("lock"))?;
        let Some(lock) = lock else { return Err(OpenError::Held { dir: options.dir }) };
        let recovered = recover::recover(
            &*disk,
            &options.dir,
            from,
            options.process,
            options.clock.now().as_ms(),
            &mut |at, record| on_record(at, record).map_err(|error| OpenError::Record { at, source: error.into() }),
        )?;
        let opened = recovered.opened;
        let frame_bytes_max = options.frame_bytes_max.min(PAYLOAD_BYTES_LIMIT);
        let dir = options.dir.clone();
        let shared = Arc::new(Shared::new(&options, &recovered));
        let committer = Committer::new(Arc::clone(&shared), Arc::clone(&disk), options, recovered, lock);
        let writer = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || committer.run())
            .map_err(failed("start the thread of"))?;
        let writer = Mutex::new(Some(writer));
        Ok((Self { shared, disk, dir, frame_bytes_max, process: opened.process, writer }, opened))
    }

    /// Appends the records, in order and side by side in one frame, and comes back when they are durable, with the
    /// frame they are in. Waits for room when the queue is full.
    ///
    /// When the future is dropped before it is done, the records may be appended or not.
    ///
    /// # Errors
    ///
    /// [`AppendError`]; after [`AppendError::Poisoned`] the records may be in the journal when it is opened again, after any other
    /// error they are not.
    pub async fn append(&self, records: Vec<Vec<u8>>) -> Result<Position, AppendError> {
        Ok(self.append_placed(records).await?.at)
    }

    /// As [`Journal::append`], and says where in the frame the records are.
    ///
    /// # Errors
    ///
    /// As [`Journal::append`].
    pub async fn append_placed(&self, records: Vec<Vec<u8>>) -> Result<Placed, AppendError> {
        let payload_bytes: usize = records.iter().map(|record| format::record_bytes(record.len())).sum();
        let bytes = payload_bytes + varint_bytes(records.len());
        if records.is_empty() {
            return Err(AppendError::Nothing);
        }
        if bytes > self.frame_bytes_max {
            return Err(AppendError::TooLarge { bytes, most: self.frame_bytes_max });
        }
        self.shared.append(records, payload_bytes).await
    }

    /// Takes a record that nobody waits for: it is written within about a second, and durable about a second later.
    /// A crash may lose it. False when it was refused, because the buffer is full or the journal closed or poisoned.
    pub fn append_relaxed(&self, record: &[u8]) -> bool {
        self.shared.append_relaxed(record)
    }

    /// Comes back when every record that [`Journal::append_relaxed`] took before is durable.
    ///
    /// # Errors
    ///
    /// [`AppendError::Closed`] when the disk has no room for them, or the journal was closed; `Poisoned`.
    pub async fn flush_relaxed(&self) -> Result<(), AppendError> {
        self.shared.flush_relaxed().await
    }

    /// The segments that are there, each with the time it was opened (milliseconds since
    /// 1970), oldest first; the last one is written.
    #[must_use]
    pub fn segments(&self) -> Vec<(u64, i64)> {
        self.shared.segments()
    }

    /// The folder and the disk of the segments: what is derived from them lies beside them.
    pub(crate) fn place(&self) -> (&dyn Disk, &std::path::Path) {
        (&*self.disk, &self.dir)
    }

    /// Where the journal durably ends: everything before it is there after any crash.
    #[must_use]
    pub fn end(&self) -> Position {
        self.shared.progress().end
    }

    /// The hash of the last durable frame; with [`Journal::end`] it names the whole journal up to there.
    #[must_use]
    pub fn chain(&self) -> [u8; 32] {
        self.shared.progress().chain
    }

    /// The durable end and the hash there, of the same instant.
    #[must_use]
    pub fn head(&self) -> (Position, [u8; 32]) {
        let progress = self.shared.progress();
        (progress.end, progress.chain)
    }

    /// Whose journal it is.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.process
    }

    /// Counts since it was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Whether a sync failed, or a failed write could not be taken back: nothing is appended until it is opened again.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.shared.is_poisoned()
    }

    /// What poisoned it. `None` when nothing did.
    #[must_use]
    pub fn poisoned_by(&self) -> Option<String> {
        self.shared.poisoned_by()
    }

    /// Reads a page of records from a position up to the durable end; see [`read_from`].
    ///
    /// # Errors
    ///
    /// As [`read_from`].
    pub fn read(&self, from: Position, records: usize) -> Result<Page, ReadError> {
        read_from(&*self.disk, &self.dir, from, self.end(), records)
    }

    /// Removes the oldest segments, those that were closed before the time: every record in them is older. The one
    /// that is written stays. The chain goes on, since each header carries it. Says how many were removed.
    ///
    /// # Errors
    ///
    /// The disk's. What was removed before is removed.
    pub fn drop_segments_closed_before(&self, ms: i64) -> io::Result<u64> {
        let mut dropped = 0;
        while let Some(segment) = self.shared.oldest_closed_before(ms) {
            self.disk.remove(&segment_path(&self.dir, segment))?;
            // One by one, so that no crash can leave a gap between those that stay.
            self.disk.sync_dir(&self.dir)?;
            self.shared.forget_segment(segment);
            dropped += 1;
        }
        Ok(dropped)
    }

    /// Writes and syncs what was taken, and lets the directory go. Blocks until that is done. Later calls append nothing.
    ///
    /// # Errors
    ///
    /// [`AppendError::Poisoned`] when what was taken could not be made durable.
    pub fn close(&self) -> Result<(), AppendError> {
        self.shared.begin_close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // A panic of the thread has poisoned the journal, which is asked below.
            let _ = writer.join();
        }
        if self.is_poisoned() { Err(AppendError::Poisoned) } else { Ok(()) }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.close();
    }
}
