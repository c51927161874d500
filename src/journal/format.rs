//! The bytes of a segment: its header and its frames, as the table in the module above describes them. Pure: no
//! disk, no clock; bad bytes are an answer, never a panic.

use sha2::{Digest, Sha256};

/// The first bytes of every segment.
pub(crate) const MAGIC: [u8; 8] = *b"RFJOURNL";
/// The format this code writes, and the only one it reads.
pub(crate) const VERSION: u32 = 1;
/// Length of a segment header.
pub(crate) const HEADER_BYTES: usize = 68;
/// Length of what stands before a frame's payload.
pub(crate) const FRAME_HEAD_BYTES: usize = 40;
/// No payload is longer, whatever the settings say: a longer length is damage.
pub(crate) const PAYLOAD_BYTES_LIMIT: usize = 64 * 1024 * 1024;
/// Bit 31 of a frame's length: written without waiting for what stands before it to be synced.
const LOOSE: u32 = 1 << 31;

/// What the chain is worth before the first frame of a journal.
pub(crate) const CHAIN_START: [u8; 32] = [0; 32];

/// Why bytes are not a header or a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The bytes end before the thing does.
    #[error("the bytes end too early")]
    Short,
    /// The length is none that is ever written.
    #[error("impossible length")]
    Length,
    /// The checksum is another one.
    #[error("wrong checksum")]
    Checksum,
    /// The checksum is right and the records inside do not fill the payload.
    #[error("the records do not fill their frame")]
    Records,
    /// The hash of what stands before is another one.
    #[error("wrong hash of the frame before")]
    Chain,
    /// Not a segment of ours.
    #[error("not a journal segment")]
    Magic,
    /// Written by another version of the format.
    #[error("unknown format version")]
    Version,
    /// The header names another segment than the file does.
    #[error("the header names another segment")]
    Number,
    /// The header names another process than the segments before.
    #[error("the header names another process")]
    Process,
    /// A segment between two others is not there.
    #[error("the segment is missing")]
    Missing,
    /// The journal ends before a place that was durable when it was closed.
    #[error("the journal ends before the place where it was closed")]
    ClosedLater,
}

/// What a segment says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) segment: u64,
    /// The hash of the last frame of the segment before.
    pub(crate) chain: [u8; 32],
    pub(crate) process: u32,
    pub(crate) opened_at_ms: i64,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.segment.to_le_bytes());
        bytes[20..52].copy_from_slice(&self.chain);
        bytes[52..56].copy_from_slice(&self.process.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.opened_at_ms.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..64]);
        bytes[64..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let mut rest = bytes;
        let magic: [u8; 8] = take(&mut rest)?;
        let version = u32::from_le_bytes(take(&mut rest)?);
        let header = Self {
            segment: u64::from_le_bytes(take(&mut rest)?),
            chain: take(&mut rest)?,
            process: u32::from_le_bytes(take(&mut rest)?),
            opened_at_ms: i64::from_le_bytes(take(&mut rest)?),
        };
        let crc = u32::from_le_bytes(take(&mut rest)?);
        if magic != MAGIC {
            return Err(Fault::Magic);
        }
        if crc != crc32c::crc32c(&bytes[..HEADER_BYTES - 4]) {
            return Err(Fault::Checksum);
        }
        if version != VERSION {
            return Err(Fault::Version);
        }
        Ok(header)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Fault> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(Fault::Short)?;
    *rest = tail;
    Ok(*head)
}

/// The first eight bytes of a frame: what must be known to read the rest of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameLength {
    pub(crate) payload: usize,
    pub(crate) loose: bool,
}

impl FrameLength {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let word = u32::from_le_bytes(take(&mut &*bytes)?);
        let payload = usize::try_from(word & !LOOSE).map_err(|_| Fault::Length)?;
        // One record of no bytes makes a payload of two.
        if !(2..=PAYLOAD_BYTES_LIMIT).contains(&payload) {
            return Err(Fault::Length);
        }
        Ok(Self { payload, loose: word & LOOSE != 0 })
    }
    pub(crate) fn frame_bytes(self) -> usize {
        FRAME_HEAD_BYTES + self.payload
    }
}

/// A frame whose checksum is right and whose records fill it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    /// All of it.
    pub(crate) bytes: &'a [u8],
    pub(crate) loose: bool,
}

impl<'a> Frame<'a> {
    /// The frame that stands at the start of the bytes.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Fault> {
        let length = FrameLength::decode(bytes)?;
        let frame = bytes.get(..length.frame_bytes()).ok_or(Fault::Short)?;
        let frame = Self { bytes: frame, loose: length.loose };
        if u32::from_le_bytes(take(&mut &frame.bytes[4..])?) != checksum(frame.bytes) {
            return Err(Fault::Checksum);
        }
        if !frame.is_filled() {
            return Err(Fault::Records);
        }
        Ok(frame)
    }
    /// The hash of the frame before.
    pub(crate) fn chain_before(&self) -> &[u8] {
        &self.bytes[8..FRAME_HEAD_BYTES]
    }
    /// The hash of this frame.
    pub(crate) fn chain(&self) -> [u8; 32] {
        chain(self.bytes)
    }
    /// The records, in order.
    pub(crate) fn records(&self) -> Records<'a> {
        let payload = &self.bytes[FRAME_HEAD_BYTES..];
        let mut rest = payload;
        let left = take_varint(&mut rest).unwrap_or(0);
        Records { rest, left }
    }
    fn is_filled(&self) -> bool {
        let mut records = self.records();
        records.left > 0 && records.by_ref().count() > 0 && records.left == 0 && records.rest.is_empty()
    }
}

/// The records of a frame.
#[derive(Debug, Clone)]
pub(crate) struct Records<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];
    /// Ends early, with records left, when the bytes are not what they should be; [`Frame::decode`] has looked.
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.left == 0 {
            return None;
        }
        let mut rest = self.rest;
        let length = usize::try_from(take_varint(&mut rest)?).ok()?;
        let (record, rest) = rest.split_at_checked(length)?;
        self.left -= 1;
        self.rest = rest;
        Some(record)
    }
}

/// Whether a whole frame seems to stand at the start of the bytes, and if so how long it is and whether it is loose.
/// Looks at the records first: among damaged bytes a likely length is common, and a checksum over it is dear.
pub(crate) fn find_frame(bytes: &[u8]) -> Option<FrameLength> {
    let length = FrameLength::decode(bytes).ok()?;
    let frame = Frame { bytes: bytes.get(..length.frame_bytes())?, loose: length.loose };
    if !frame.is_filled() || u32::from_le_bytes(*frame.bytes[4..].first_chunk()?) != checksum(frame.bytes) {
        return None;
    }
    Some(length)
}

/// Of everything in the frame but the checksum itself.
fn checksum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..4]), &frame[8..])
}

fn chain(frame: &[u8]) -> [u8; 32] {
    // The hash before and the payload stand side by side, so one pass without a copy does.
    Sha256::digest(&frame[8..]).into()
}

/// Makes frames in a buffer that is kept from one to the next.
#[derive(Debug, Default)]
pub(crate) struct FrameMaker {
    bytes: Vec<u8>,
}

/// A buffer that grew beyond this for one large frame is not kept.
const BUFFER_BYTES_KEPT: usize = 1024 * 1024;

impl FrameMaker {
    /// Begins a frame of so many records, after the frame with this hash.
    pub(crate) fn begin(&mut self, chain_before: &[u8; 32], records: u32, payload_bytes: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(BUFFER_BYTES_KEPT);
        self.bytes.reserve(FRAME_HEAD_BYTES + payload_bytes);
        self.bytes.extend_from_slice(&[0; 8]);
        self.bytes.extend_from_slice(chain_before);
        put_varint(&mut self.bytes, records);
    }
    pub(crate) fn record(&mut self, record: &[u8]) {
        put_record(&mut self.bytes, record);
    }
    /// Records that [`put_record`] has already encoded.
    pub(crate) fn encoded(&mut self, records: &[u8]) {
        self.bytes.extend_from_slice(records);
    }
    /// The frame, and its hash.
    pub(crate) fn finish(&mut self, loose: bool) -> (&[u8], [u8; 32]) {
        let payload = self.bytes.len() - FRAME_HEAD_BYTES;
        assert!(payload <= PAYLOAD_BYTES_LIMIT, "a frame is never longer than a reader accepts");
        let length = u32::try_from(payload).expect("below the limit") | if loose { LOOSE } else { 0 };
        self.bytes[..4].copy_from_slice(&length.to_le_bytes());
        let crc = checksum(&self.bytes);
        self.bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        (&self.bytes, chain(&self.bytes))
    }
}

/// Bytes a record takes in a payload.
pub(crate) fn record_bytes(record: usize) -> usize {
    varint_bytes(record) + record
}

/// Bytes the number of records takes in a payload.
pub(crate) fn varint_bytes(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    (bits as usize).div_ceil(7)
}

/// Appends a record as it stands in a payload.
pub(crate) fn put_record(to: &mut Vec<u8>, record: &[u8]) {
    put_varint(to, u32::try_from(record.len()).expect("a record is never longer than a frame"));
    to.extend_from_slice(record);
}

/// LEB128: seven bits a byte, the lowest first, the high bit on all but the last.
fn put_varint(to: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        to.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    to.push(u8::try_from(value).expect("seven bits"));
}

fn take_varint(rest: &mut &[u8]) -> Option<u32> {
    let mut value = 0_u32;
    for shift in [0, 7, 14, 21, 28] {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        let bits = u32::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for value in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455, 268_435_456, u32::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert_eq!(bytes.len(), varint_bytes(value as usize));
            let mut rest = &bytes[..];
            assert_eq!(take_varint(&mut rest), Some(value));
            assert!(rest.is_empty());
            assert_eq!(take_varint(&mut &bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(take_varint(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), None);
        assert_eq!(take_varint(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0x01][..]), None);
    }

    /// The bytes an auditor that shares no code with us must be able to read: they never change in version 1.
    #[test]
    fn a_frame_is_these_bytes() {
        let mut maker = FrameMaker::default();
        maker.begin(&CHAIN_START, 2, 0);
        maker.record(b"ab");
        maker.record(b"");
        let (frame, chain) = maker.finish(false);
        assert_eq!(frame[..4], 5_u32.to_le_bytes());
        assert_eq!(frame[8..40], [0; 32]);
        assert_eq!(frame[40..], [2, 2, b'a', b'b', 0]);
        let mut hashed = vec![0; 32];
        hashed.extend_from_slice(&[2, 2, b'a', b'b', 0]);
        assert_eq!(chain, <[u8; 32]>::from(Sha256::digest(&hashed)));
        let mut summed = frame[..4].to_vec();
        summed.extend_from_slice(&frame[8..]);
        assert_eq!(frame[4..8], crc32c::crc32c(&summed).to_le_bytes());
        let frame = Frame::decode(frame).unwrap();
        assert_eq!(frame.records().collect::<Vec<_>>(), [&b"ab"[..], b""]);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = Header::decode(&bytes);
            let _ = Frame::decode(&bytes);
            let _ = find_frame(&bytes);
        }
    }
}
