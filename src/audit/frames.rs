//! Reads journal segments by the table in `crate::journal`'s documentation and by nothing
//! else: not a line is shared with the code that writes them, so an error there cannot
//! hide here. Whatever is wrong is told with its segment and offset.

use super::AuditError;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

const HEADER: u64 = 68;
const FRAME_HEAD: u64 = 40;
const PAYLOAD_MAX: u32 = 64 * 1024 * 1024;
const LOOSE: u32 = 0x8000_0000;

/// A place in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct At {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {} offset {}", self.segment, self.offset)
    }
}

/// A frame whose checksum, hash and records are right.
pub(super) struct Frame {
    pub(super) at: At,
    payload: Vec<u8>,
}

impl Frame {
    /// The records, in order.
    pub(super) fn records(&self) -> impl Iterator<Item = &[u8]> {
        split(&self.payload).unwrap_or_default().into_iter()
    }
}

/// Takes a journal apart, frame by frame, from its first segment.
pub(super) struct Frames {
    dir: PathBuf,
    segments: Vec<u64>,
    /// Index of the segment that is read, or of the one to open.
    place: usize,
    open: Option<(BufReader<File>, u64)>,
    /// Where the next frame begins.
    pub(super) at: At,
    until: Option<At>,
    chain: [u8; 32],
    /// The last file was being made when the writer stopped: the one before ends whole.
    unfinished_header: bool,
    done: bool,
    /// Whose journal it is.
    pub(super) process: Option<u32>,
    /// What was damaged; reading stops there.
    pub(super) fault: Option<String>,
    /// Bytes of an interrupted write at the end.
    pub(super) torn_bytes: u64,
    /// Bytes read.
    pub(super) bytes: u64,
}

impl Frames {
    /// Lists the segments of a journal. `until` stops before the frame that begins there.
    pub(super) fn open(dir: &Path, until: Option<At>) -> Result<Self, AuditError> {
        let io = |source| AuditError::Io { path: dir.to_owned(), source };
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".seg"));
            let number: Option<u64> = number.filter(|digits| digits.len() >= 10).and_then(|digits| digits.parse().ok());
            segments.extend(number);
        }
        segments.sort_unstable();
        if segments.is_empty() {
            return Err(AuditError::NoJournal { dir: dir.to_owned() });
        }
        let mut frames = Self {
            dir: dir.to_owned(),
            segments,
            place: 0,
            open: None,
            at: At::default(),
            until,
            chain: [0; 32],
            unfinished_header: false,
            done: false,
            process: None,
            fault: None,
            torn_bytes: 0,
            bytes: 0,
        };
        frames.drop_unfinished()?;
        Ok(frames)
    }

    /// How many segments there are.
    pub(super) fn segments(&self) -> usize {
        self.segments.len()
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.dir.join(format!("{segment:010}.seg"))
    }

    fn io(&self, segment: u64) -> impl Fn(std::io::Error) -> AuditError + use<> {
        let path = self.path(segment);
        move |source| AuditError::Io { path: path.clone(), source }
    }

    /// A last segment of at most a header with a bad header was being made.
    fn drop_unfinished(&mut self) -> Result<(), AuditError> {
        let Some(&last) = self.segments.last() else { return Ok(()) };
        let io = self.io(last);
        let length = std::fs::metadata(self.path(last)).map_err(&io)?.len();
        if length > HEADER {
            return Ok(());
        }
        let bytes = std::fs::read(self.path(last)).map_err(&io)?;
        let good = bytes.len() as u64 == HEADER && bytes.starts_with(b"RFJOURNL") && header_sum(&bytes);
        if !good && (self.segments.len() > 1 || last == 0) {
            self.segments.pop();
            self.torn_bytes += length;
            self.unfinished_header = true;
        }
        Ok(())
    }

    fn broken(&mut self, reason: impl fmt::Display) {
        self.fault = Some(format!("{}: {reason}", self.at));
        self.done = true;
    }

    /// The next frame; `None` at the end or at the first damage, which `fault` then names.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, AuditError> {
        loop {
            if self.done {
                return Ok(None);
            }
            if self.open.is_none() {
                if self.place == self.segments.len() {
                    self.finish()?;
                    return Ok(None);
                }
                self.open_segment()?;
                continue;
            }
            if self.until.is_some_and(|until| self.at >= until) {
                self.done = true;
                return Ok(None);
            }
            let length = self.open.as_ref().map_or(0, |(_, length)| *length);
            if self.at.offset >= length {
                if self.place + 1 == self.segments.len() {
                    self.finish()?;
                    return Ok(None);
                }
                self.open = None;
                self.place += 1;
                continue;
            }
            return self.frame();
        }
    }

    fn open_segment(&mut self) -> Result<(), AuditError> {
        let segment = self.segments[self.place];
        let expected = if self.place == 0 { 0 } else { self.at.segment + 1 };
        self.at = At { segment: expected, offset: 0 };
        if segment != expected {
            self.broken(format!("the segment is missing, the next there is {segment}"));
            return Ok(());
        }
        let io = self.io(segment);
        let file = File::open(self.path(segment)).map_err(&io)?;
        let length = file.metadata().map_err(&io)?.len();
        let mut reader = BufReader::with_capacity(1 << 18, file);
        let mut header = Vec::new();
        reader.by_ref().take(HEADER).read_to_end(&mut header).map_err(&io)?;
        if header.len() as u64 != HEADER || !header.starts_with(b"RFJOURNL") || !header_sum(&header) {
            self.broken("the header is not a journal segment's, or damaged");
            return Ok(());
        }
        let process = word(&header[52..56]);
        if word(&header[8..12]) != 1 {
            self.broken("the header has an unknown version");
        } else if long(&header[12..20]) != segment {
            self.broken("the header names another segment");
        } else if header[20..52] != self.chain {
            self.broken("the header's hash is not that of the frame before");
        } else if self.process.is_some_and(|known| known != process) {
            self.broken("the header names another process than the segments before");
        }
        self.process.get_or_insert(process);
        self.at.offset = HEADER;
        self.bytes += HEADER;
        self.open = Some((reader, length));
        Ok(())
    }

    fn frame(&mut self) -> Result<Option<Frame>, AuditError> {
        let io = self.io(self.at.segment);
        let Some((reader, length)) = self.open.as_mut() else { return Ok(None) };
        let left = *length - self.at.offset;
        if left < FRAME_HEAD {
            return self.bad("the file ends within a frame");
        }
        let mut head = [0; 40];
        reader.read_exact(&mut head).map_err(&io)?;
        let payload = word(&head[..4]) & !LOOSE;
        if !(2..=PAYLOAD_MAX).contains(&payload) {
            return self.bad("impossible length of a frame");
        }
        if FRAME_HEAD + u64::from(payload) > left {
            return self.bad("the file ends within a frame");
        }
        let mut bytes = vec![0; payload as usize];
        reader.read_exact(&mut bytes).map_err(&io)?;
        let mut sum = crc32c::crc32c(&head[..4]);
        sum = crc32c::crc32c_append(sum, &head[8..]);
        sum = crc32c::crc32c_append(sum, &bytes);
        if sum != word(&head[4..8]) {
            return self.bad("wrong checksum of a frame");
        }
        if split(&bytes).is_none() {
            return self.bad("the records do not fill their frame");
        }
        if head[8..] != self.chain {
            self.broken("the chain is broken: wrong hash of the frame before");
            return Ok(None);
        }
        self.chain = Sha256::new().chain_update(&head[8..]).chain_update(&bytes).finalize().into();
        let at = self.at;
        self.at.offset += FRAME_HEAD + u64::from(payload);
        self.bytes += FRAME_HEAD + u64::from(payload);
        Ok(Some(Frame { at, payload: bytes }))
    }

    /// A bad frame is an interrupted write when it is at the very end: in the last segment
    /// with no frame behind it that was written only after those before were durable.
    fn bad(&mut self, reason: &str) -> Result<Option<Frame>, AuditError> {
        let io = self.io(self.at.segment);
        let last = self.place + 1 == self.segments.len() && !self.unfinished_header;
        let Some((reader, _)) = self.open.as_mut().filter(|_| last) else {
            self.broken(reason);
            return Ok(None);
        };
        let mut rest = Vec::new();
        reader.seek(SeekFrom::Start(self.at.offset)).map_err(&io)?;
        reader.read_to_end(&mut rest).map_err(&io)?;
        if synced_frame_follows(&rest) {
            self.broken(format!("{reason}, and whole frames follow"));
        } else {
            self.torn_bytes += rest.len() as u64;
            self.finish()?;
        }
        Ok(None)
    }

    /// At the end: what was there when the journal was closed in order must be there.
    fn finish(&mut self) -> Result<(), AuditError> {
        self.done = true;
        let path = self.dir.join("closed.mark");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(AuditError::Io { path, source }),
        };
        // A mark that cannot be read says nothing.
        if bytes.len() != 60 || !bytes.starts_with(b"RFCLOSED") || crc32c::crc32c(&bytes[..56]) != word(&bytes[56..]) {
            return Ok(());
        }
        let closed = At { segment: long(&bytes[8..16]), offset: long(&bytes[16..24]) };
        if closed > self.at {
            self.broken(format!("the journal ends here and was once closed at {closed}"));
        } else if closed == self.at && bytes[24..56] != self.chain {
            self.broken("the journal ends with another hash than when it was closed");
        }
        Ok(())
    }
}

/// The key that draws the holdout, from the file of secrets beside a journal: magic (8),
/// keys of cards and of links (32 each), of the holdout (16), CRC-32C.
pub(super) fn holdout_key(dir: &Path) -> Option<[u8; 16]> {
    let bytes = std::fs::read(dir.join("store.secrets")).ok()?;
    let whole =
        bytes.len() == 92 && bytes.starts_with(b"RFSECR01") && crc32c::crc32c(&bytes[..88]) == word(&bytes[88..]);
    if whole { bytes.get(72..88)?.try_into().ok() } else { None }
}

fn header_sum(header: &[u8]) -> bool {
    crc32c::crc32c(&header[..64]) == word(&header[64..68])
}

fn word(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |four| u32::from_le_bytes(*four))
}

fn long(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight))
}

/// The records of a payload; `None` when they do not fill it exactly.
fn split(payload: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = payload;
    let count = varint(&mut rest)?;
    let mut records = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(varint(&mut rest)?).ok()?;
        let (record, left) = rest.split_at_checked(length)?;
        records.push(record);
        rest = left;
    }
    (count > 0 && rest.is_empty()).then_some(records)
}

/// LEB128 of at most 32 bits.
fn varint(rest: &mut &[u8]) -> Option<u32> {
    let mut value = 0_u64;
    for place in 0..5 {
        let (&byte, left) = rest.split_first()?;
        *rest = left;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return u32::try_from(value).ok();
        }
    }
    None
}

fn synced_frame_follows(bytes: &[u8]) -> bool {
    let mut at = 1;
    while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() > 40) {
        let payload = word(rest) & !LOOSE;
        let body = usize::try_from(payload).ok().filter(|_| (2..=PAYLOAD_MAX).contains(&payload));
        let frame = body.and_then(|body| rest.get(..40 + body));
        // The records first: a likely length is common among damaged bytes, a checksum dear.
        let whole = frame
            .filter(|frame| split(&frame[40..]).is_some())
            .filter(|frame| crc32c::crc32c_append(crc32c::crc32c(&frame[..4]), &frame[8..]) == word(&frame[4..8]));
        match whole {
            Some(_) if word(rest) & LOOSE == 0 => return true,
            Some(frame) => at += frame.len(),
            None => at += 1,
        }
    }
    false
}
