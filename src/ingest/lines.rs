//! A file of lines, read in packs: bounded memory whatever the file holds, each line with
//! its number and place.

use super::{PACK_BYTES_MAX, PACK_DOCUMENTS_MAX};
use bytes::Bytes;
use std::io::{self, BufRead};

/// A line with something in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Counted from 1.
    pub number: u64,
    /// Without white space around it.
    pub bytes: Bytes,
}

/// Some lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pack {
    /// Those with something in them.
    pub lines: Vec<Line>,
    /// Numbers of those that are too long.
    pub too_long: Vec<u64>,
}

/// Reads lines.
pub struct Lines<R> {
    reader: R,
    line_bytes_max: usize,
    line: u64,
    byte: u64,
    ended: bool,
}

impl<R: BufRead> Lines<R> {
    /// Lines of a reader that stands behind `line` lines and `byte` bytes.
    pub fn new(reader: R, line_bytes_max: usize, line: u64, byte: u64) -> Self {
        Self { reader, line_bytes_max, line, byte, ended: false }
    }
    /// How many lines were read.
    pub fn line(&self) -> u64 {
        self.line
    }
    /// How many bytes they have.
    pub fn byte(&self) -> u64 {
        self.byte
    }

    /// The next pack; `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn pack(&mut self) -> io::Result<Option<Pack>> {
        let (mut pack, mut bytes) = (Pack::default(), 0);
        // Empty lines count too, so that a file of nothing else is read in steps.
        for _ in 0..PACK_DOCUMENTS_MAX {
            if self.ended || bytes >= PACK_BYTES_MAX {
                break;
            }
            let Some(line) = self.next()? else { break };
            match line {
                Ok(text) if text.is_empty() => {}
                Ok(text) => {
                    bytes += text.len();
                    pack.lines.push(Line { number: self.line, bytes: text });
                }
                Err(TooLong) => pack.too_long.push(self.line),
            }
        }
        Ok((!self.ended || pack != Pack::default()).then_some(pack))
    }

    /// Passes by the lines before `line`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn pass_to(&mut self, line: u64) -> io::Result<()> {
        while self.line + 1 < line && !self.ended {
            let _ = self.next()?;
        }
        Ok(())
    }

    fn next(&mut self) -> io::Result<Option<Result<Bytes, TooLong>>> {
        let mut text = Vec::new();
        let mut length = 0_u64;
        loop {
            let piece = match self.reader.fill_buf() {
                Ok(piece) => piece,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if piece.is_empty() {
                self.ended = true;
                break;
            }
            let end = piece.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(piece.len(), |end| end + 1);
            length += taken as u64;
            // One that is too long is read to its end and not kept.
            if text.len() <= self.line_bytes_max {
                text.extend_from_slice(&piece[..end.unwrap_or(taken)]);
            }
            self.reader.consume(taken);
            if end.is_some() {
                break;
            }
        }
        if length == 0 {
            return Ok(None);
        }
        self.byte += length;
        self.line += 1;
        let mut bare = text.as_slice();
        if self.line == 1 {
            // Some programs begin a file with a mark of its encoding.
            bare = bare.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bare);
        }
        let bare = bare.trim_ascii();
        Ok(Some(if text.len() > self.line_bytes_max { Err(TooLong) } else { Ok(Bytes::copy_from_slice(bare)) }))
    }
}

/// The line has more bytes than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TooLong;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::BufReader;

    fn all(text: &[u8], room: usize, max: usize) -> (Vec<(u64, String)>, Vec<u64>, u64, u64) {
        let mut lines = Lines::new(BufReader::with_capacity(room, text), max, 0, 0);
        let (mut read, mut too_long) = (Vec::new(), Vec::new());
        while let Some(pack) = lines.pack().unwrap() {
            assert!(pack.lines.len() + pack.too_long.len() <= PACK_DOCUMENTS_MAX);
            read.extend(pack.lines.iter().map(|l| (l.number, String::from_utf8_lossy(&l.bytes).into_owned())));
            too_long.extend(pack.too_long);
        }
        (read, too_long, lines.line(), lines.byte())
    }

    #[test]
    fn lines_have_their_numbers_whatever_is_between() {
        let text = b"\xEF\xBB\xBF{\"a\":1}\r\n\n  \t\n{}\n0123456789AB\nlast";
        for room in [1, 2, 7, 4096] {
            let (read, too_long, line, byte) = all(text, room, 11);
            let right = [(1, "{\"a\":1}"), (4, "{}"), (6, "last")].map(|(n, text)| (n, text.to_owned()));
            assert_eq!((read.as_slice(), too_long.as_slice()), (&right[..], &[5][..]), "{room}");
            assert_eq!((line, byte), (6, text.len() as u64));
        }
        assert_eq!(all(b"", 8, 10), (vec![], vec![], 0, 0));
    }

    #[test]
    fn packs_end_by_count_and_by_bytes() {
        let many = "{}\n".repeat(PACK_DOCUMENTS_MAX * 2 + 1);
        let mut lines = Lines::new(many.as_bytes(), 10, 0, 0);
        let sizes: Vec<usize> = std::iter::from_fn(|| lines.pack().unwrap()).map(|pack| pack.lines.len()).collect();
        assert_eq!(sizes, [PACK_DOCUMENTS_MAX, PACK_DOCUMENTS_MAX, 1]);
        let long = format!("{}\n", "x".repeat(PACK_BYTES_MAX / 2 + 1)).repeat(3);
        let mut lines = Lines::new(long.as_bytes(), PACK_BYTES_MAX, 0, 0);
        let sizes: Vec<usize> = std::iter::from_fn(|| lines.pack().unwrap()).map(|pack| pack.lines.len()).collect();
        assert_eq!(sizes, [2, 1]);
    }

    #[test]
    fn lines_before_are_passed_by() {
        let mut lines = Lines::new(&b"a\nb\nc\nd\n"[..], 10, 0, 0);
        lines.pass_to(3).unwrap();
        let pack = lines.pack().unwrap().unwrap();
        assert_eq!(pack.lines.iter().map(|line| line.number).collect::<Vec<_>>(), [3, 4]);
        let mut lines = Lines::new(&b"a\n"[..], 10, 0, 0);
        lines.pass_to(9).unwrap();
        assert_eq!(lines.pack().unwrap(), None);
    }

    proptest! {
        #[test]
        fn a_resumed_file_gives_the_rest(parts in proptest::collection::vec("[a-c ]{0,6}", 0..40), cut in 0_u64..45) {
            let text = parts.join("\n");
            let (whole, ..) = all(text.as_bytes(), 5, 100);
            let mut lines = Lines::new(text.as_bytes(), 100, 0, 0);
            lines.pass_to(cut + 1).unwrap();
            let (line, byte) = (lines.line(), usize::try_from(lines.byte()).unwrap());
            let mut rest = Lines::new(&text.as_bytes()[byte..], 100, line, byte as u64);
            let mut read = Vec::new();
            while let Some(pack) = rest.pack().unwrap() {
                read.extend(pack.lines.into_iter().map(|l| (l.number, String::from_utf8_lossy(&l.bytes).into_owned())));
            }
            let expected: Vec<_> = whole.into_iter().filter(|(number, _)| *number > cut).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
