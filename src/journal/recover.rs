//! Opening: reads the journal back, tells a torn tail from damage, and leaves files that can be appended to.
//!
//! The order in which the writer makes things durable is what makes the difference visible. A frame is written only
//! when all before it is synced (a loose one excepted, and it says so), a segment is made only when the one before is
//! synced whole. So an interrupted write is at the very end of the last segment with nothing valid after it; all else
//! was durable once, and its damage is refused.

use super::disk::{Disk, DiskFile};
use super::format::{CHAIN_START, Fault, Frame, Header, find_frame};
use super::mark::read_mark;
use super::read::{FIRST_FRAME, SegmentReader, read_header, segment_path, segments_in};
use super::{OnRecord, OpenError, Opened, Position};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// What the writer needs to go on.
pub(crate) struct Recovered {
    pub(crate) opened: Opened,
    pub(crate) file: Box<dyn DiskFile>,
    pub(crate) chain: [u8; 32],
    /// When each segment was opened.
    pub(crate) segments: BTreeMap<u64, i64>,
}

/// Loose frames at the end are written once more up to this many bytes back; the writer syncs sooner than that.
const LOOSE_REWRITE_BYTES: u64 = 16 * 1024 * 1024;

pub(crate) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    from: Option<Position>,
    process: Option<u32>,
    now_ms: i64,
    on_record: &mut OnRecord<'_, OpenError>,
) -> Result<Recovered, OpenError> {
    let failed = |doing: &'static str| move |source: io::Error| OpenError::Disk { doing, segment: None, source };
    let mut segments = segments_in(disk, dir).map_err(failed("list the segments of"))?;
    let mark = read_mark(disk, dir).map_err(failed("read the closing mark of"))?;
    let (mut torn_bytes_dropped, mut dropped_header) = (0, false);
    if let Some(&last) = segments.last()
        && let Some(bytes) = torn_header(disk, dir, last)?
        && (segments.len() > 1 || last == 0)
    {
        // Its making was interrupted before anything could be in it.
        disk.remove(&segment_path(dir, last)).map_err(failed("remove an unfinished segment of"))?;
        disk.sync_dir(dir).map_err(failed("sync"))?;
        torn_bytes_dropped += bytes;
        dropped_header = true;
        segments.pop();
    }

    let Some(&first) = segments.first() else {
        if let Some(lost) = from.filter(|from| from.or_first_frame() > Position::FIRST).or(mark.map(|mark| mark.end)) {
            return Err(OpenError::Lost { from: lost, end: Position::FIRST });
        }
        let process = process.map_or_else(getrandom::u32, Ok).map_err(OpenError::Random)?;
        let header = Header { segment: 0, chain: CHAIN_START, process, opened_at_ms: now_ms };
        let file =
            create_segment(disk, dir, &header).map_err(|error| failed("create the first segment of")(error.into()))?;
        let opened = Opened { records: 0, bytes: 0, torn_bytes_dropped, end: Position::FIRST, process: header.process };
        return Ok(Recovered { opened, file, chain: CHAIN_START, segments: [(0, now_ms)].into() });
    };

    let mut headers = Vec::with_capacity(segments.len());
    for (&segment, expected) in segments.iter().zip(first..) {
        let broken = |reason| OpenError::Broken { segment: expected, offset: 0, reason };
        if segment != expected {
            return Err(broken(Fault::Missing));
        }
        let file = disk.open(&segment_path(dir, segment)).map_err(|source| (segment, source))?;
        let header = read_header(&*file).map_err(|source| (segment, source))?.map_err(broken)?;
        if header.segment != segment {
            return Err(broken(Fault::Number));
        }
        if headers.first().is_some_and(|first: &Header| first.process != header.process) {
            return Err(broken(Fault::Process));
        }
        if segment == 0 && header.chain != CHAIN_START {
            return Err(broken(Fault::Chain));
        }
        headers.push(header);
    }
    let found = headers[0].process;
    if let Some(wanted) = process.filter(|wanted| *wanted != found) {
        return Err(OpenError::OtherProcess { found, wanted });
    }
    let last = first + headers.len() as u64 - 1;
    let from = from.map_or(Position { segment: first, offset: FIRST_FRAME }, Position::or_first_frame);
    if from.segment < first {
        return Err(OpenError::Dropped { from, first });
    }

    let mut walk = Walk {
        opened: Opened { records: 0, bytes: 0, torn_bytes_dropped, end: from, process: found },
        from,
        chain: CHAIN_START,
        on_record,
    };
    let mut tail = None;
    for header in headers.iter().skip(usize::try_from(from.segment - first).unwrap_or(usize::MAX)) {
        let segment = header.segment;
        if segment == from.segment {
            walk.chain = header.chain;
        } else if walk.chain != header.chain {
            return Err(OpenError::Broken { segment, offset: 0, reason: Fault::Chain });
        }
        let file = disk.open(&segment_path(dir, segment)).map_err(|source| (segment, source))?;
        let length = file.len().map_err(|source| (segment, source))?;
        let mut reader = SegmentReader::new(file, length);
        let may_be_torn = segment == last && !dropped_header;
        let rewrite_from = walk.segment(segment, &mut reader, may_be_torn)?;
        tail = Some((reader.into_file(), length, rewrite_from));
    }
    let Some((file, length, rewrite_from)) = tail else {
        return Err(OpenError::Lost { from, end: Position { segment: last, offset: FIRST_FRAME } });
    };
    let Walk { mut opened, chain, .. } = walk;
    if let Some(mark) = mark
        && (mark.end > opened.end || (mark.end == opened.end && mark.chain != chain))
    {
        let Position { segment, offset } = opened.end;
        return Err(OpenError::Broken { segment, offset, reason: Fault::ClosedLater });
    }
    opened.torn_bytes_dropped += length - opened.end.offset;
    make_durable(disk, dir, &*file, rewrite_from, opened.end.offset, length).map_err(|source| OpenError::Disk {
        doing: "repair the end of",
        segment: Some(last),
        source,
    })?;
    let segments = headers.iter().map(|header| (header.segment, header.opened_at_ms)).collect();
    Ok(Recovered { opened, file, chain, segments })
}

/// Makes a segment that holds nothing yet, durably.
pub(crate) fn create_segment(disk: &dyn Disk, dir: &Path, header: &Header) -> Result<Box<dyn DiskFile>, CreateError> {
    let file = disk.create(&segment_path(dir, header.segment)).map_err(CreateError::Absent)?;
    file.write_at(0, &header.encode()).map_err(CreateError::Unfinished)?;
    file.sync_data().and_then(|()| disk.sync_dir(dir)).map_err(CreateError::Unsynced)?;
    Ok(file)
}

/// How far a new segment came.
pub(crate) enum CreateError {
    Absent(io::Error),
    Unfinished(io::Error),
    Unsynced(io::Error),
}

impl From<CreateError> for io::Error {
    fn from(error: CreateError) -> Self {
        let (CreateError::Absent(error) | CreateError::Unfinished(error) | CreateError::Unsynced(error)) = error;
        error
    }
}

/// The length of a segment that holds no more than a header, and not a good one. `None` for any other.
fn torn_header(disk: &dyn Disk, dir: &Path, segment: u64) -> Result<Option<u64>, OpenError> {
    let file = disk.open(&segment_path(dir, segment)).map_err(|source| (segment, source))?;
    let length = file.len().map_err(|source| (segment, source))?;
    let header = read_header(&*file).map_err(|source| (segment, source))?;
    // A header of another version is whole: it is refused further on, never removed.
    let torn = matches!(header, Err(Fault::Short | Fault::Checksum | Fault::Magic));
    Ok((length <= FIRST_FRAME && torn).then_some(length))
}

/// Cuts what is torn, and writes what the last sync may not have reached once more: after a sync that failed the
/// system may hold pages it believes written and the disk does not have; only writing them again brings them there.
fn make_durable(
    disk: &dyn Disk,
    dir: &Path,
    file: &dyn DiskFile,
    rewrite_from: u64,
    end: u64,
    length: u64,
) -> io::Result<()> {
    if length > end {
        file.set_len(end)?;
    }
    let mut bytes = vec![0; usize::try_from(end - rewrite_from).map_err(io::Error::other)?];
    if file.read_at(rewrite_from, &mut bytes)? < bytes.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    file.write_at(rewrite_from, &bytes)?;
    file.sync_data()?;
    disk.sync_dir(dir)
}

struct Walk<'a, 'b> {
    opened: Opened,
    from: Position,
    chain: [u8; 32],
    on_record: &'a mut OnRecord<'b, OpenError>,
}

impl Walk<'_, '_> {
    /// Reads one segment to its end, and says from where its last write begins.
    fn segment(&mut self, segment: u64, reader: &mut SegmentReader, may_be_torn: bool) -> Result<u64, OpenError> {
        let mut offset = FIRST_FRAME;
        if segment == self.from.segment && self.from.offset > offset {
            offset = self.skip(segment, reader)?;
        }
        self.opened.end = Position { segment, offset };
        let mut rewrite_from = if offset == FIRST_FRAME { 0 } else { offset };
        let mut after_strict = true;
        while offset < reader.end() {
            let broken = |reason| OpenError::Broken { segment, offset, reason };
            let frame = match reader.frame(offset).map_err(|source| (segment, source))? {
                Ok(frame) => frame,
                Err(fault) => {
                    let rest = reader.rest(offset).map_err(|source| (segment, source))?;
                    if may_be_torn && !synced_frame_follows(&rest) {
                        break;
                    }
                    return Err(broken(fault));
                }
            };
            if frame.chain_before() != self.chain {
                return Err(broken(Fault::Chain));
            }
            self.chain = frame.chain();
            self.opened.end.offset = offset;
            let bytes = frame.bytes.len() as u64;
            // A loose frame may be unsynced together with those before it; any other stands on synced ground.
            if !frame.loose || after_strict || offset - rewrite_from > LOOSE_REWRITE_BYTES {
                rewrite_from = offset;
            }
            after_strict = !frame.loose;
            Self::deliver(&mut self.opened, &mut *self.on_record, &frame)?;
            offset += bytes;
            self.opened.bytes += bytes;
            self.opened.end.offset = offset;
        }
        Ok(rewrite_from)
    }

    /// Passes over what stands before `from`, checksums only, and takes the chain from the frame just before it.
    fn skip(&mut self, segment: u64, reader: &mut SegmentReader) -> Result<u64, OpenError> {
        let (mut offset, mut before) = (FIRST_FRAME, None);
        while offset < self.from.offset && offset < reader.end() {
            let broken = |reason| OpenError::Broken { segment, offset, reason };
            let frame = reader.frame(offset).map_err(|source| (segment, source))?.map_err(broken)?;
            before = Some(offset);
            offset += frame.bytes.len() as u64;
        }
        if offset < self.from.offset {
            return Err(OpenError::Lost { from: self.from, end: Position { segment, offset } });
        }
        if offset > self.from.offset {
            return Err(OpenError::NoBoundary { from: self.from });
        }
        if let Some(before) = before {
            let broken = |reason| OpenError::Broken { segment, offset: before, reason };
            self.chain = reader.frame(before).map_err(|source| (segment, source))?.map_err(broken)?.chain();
        }
        Ok(offset)
    }

    fn deliver(
        opened: &mut Opened,
        on_record: &mut OnRecord<'_, OpenError>,
        frame: &Frame<'_>,
    ) -> Result<(), OpenError> {
        for record in frame.records() {
            on_record(opened.end, record)?;
            opened.records += 1;
        }
        Ok(())
    }
}

/// Whether among bytes that begin with a broken frame there is a whole one that was written only after those before
/// it were durable. Then the broken one was durable too: this is damage, not an interrupted write.
fn synced_frame_follows(bytes: &[u8]) -> bool {
    let mut at = 1;
    while at < bytes.len() {
        match find_frame(&bytes[at..]) {
            Some(length) if !length.loose => return true,
            Some(length) => at += length.frame_bytes(),
            None => at += 1,
        }
    }
    false
}
