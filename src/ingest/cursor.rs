//! How far a file was taken, in a small file beside it: a run that was interrupted goes on
//! there. What it names is checked, so that it never passes over lines of another file or
//! for another store; and identity makes it harmless to take a line twice.

use crate::kept;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

/// Bytes before the cursor that tell whether the file is still the same.
const LOOKED_AT: u64 = 4096;
const FILE_BYTES_MAX: u64 = 64 << 10;

/// How far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// Of which source.
    pub source: String,
    /// Into which store, or through which service.
    pub into: String,
    /// Lines that are done.
    pub line: u64,
    /// Their bytes.
    pub byte: u64,
    /// Hash of the bytes before.
    pub before: String,
}

/// Why a cursor cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CursorError {
    /// The file system.
    #[error("{path}: the cursor cannot be read or written; say with --cursor where it may lie")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not ours.
    #[error("{path} is no cursor of ours: {why}; remove it, or say with --from-line where to begin")]
    Broken {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Of something else.
    #[error("{path} is the cursor of {what}; remove it, or say with --from-line where to begin")]
    Other {
        /// Which file.
        path: PathBuf,
        /// Of what.
        what: String,
    },
}

/// Where the cursor of a file lies unless somebody says otherwise.
#[must_use]
pub fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".cursor");
    PathBuf::from(name)
}

/// Hash of the bytes before a place.
///
/// # Errors
/// When the file cannot be read so far.
pub fn before(file: &File, byte: u64) -> io::Result<String> {
    let from = byte.saturating_sub(LOOKED_AT);
    let mut bytes = vec![0; usize::try_from(byte - from).unwrap_or(0)];
    file.read_exact_at(&mut bytes, from)?;
    Ok(format!("{:016x}", xxh3_64(&bytes)))
}

impl Cursor {
    /// The cursor at a path, if it is of this file, source and store; `None` when there is none.
    ///
    /// # Errors
    /// [`CursorError`], saying what to do.
    pub fn find(path: &Path, file: &File, source: &str, into: &str) -> Result<Option<Self>, CursorError> {
        let io = |source| CursorError::Io { path: path.to_owned(), source };
        let Some(text) = kept::read(path, FILE_BYTES_MAX).map_err(io)? else { return Ok(None) };
        let cursor: Self = serde_json::from_slice(&text)
            .map_err(|error| CursorError::Broken { path: path.to_owned(), why: error.to_string() })?;
        if cursor.byte == 0 {
            // Nothing was done: it stands in nobody's way.
            return Ok(None);
        }
        let other = |what: String| CursorError::Other { path: path.to_owned(), what };
        if cursor.source != source {
            return Err(other(format!("the source `{}`", cursor.source)));
        }
        if cursor.into != into {
            return Err(other(format!("what went into {}", cursor.into)));
        }
        match before(file, cursor.byte) {
            Ok(before) if before == cursor.before => Ok(Some(cursor)),
            Ok(_) => Err(other("a file with other lines".to_owned())),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(other("a longer file".to_owned())),
            Err(error) => Err(io(error)),
        }
    }

    /// Keeps it.
    ///
    /// # Errors
    /// [`CursorError::Io`].
    pub fn keep(&self, path: &Path) -> Result<(), CursorError> {
        let io = |source| CursorError::Io { path: path.to_owned(), source };
        let text = serde_json::to_vec(self).map_err(|error| io(error.into()))?;
        kept::replace(path, &text).map_err(io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_of_one_file_source_and_store() {
        let dir = std::env::temp_dir().join(format!("ringfence-cursor-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("a.jsonl");
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        let open = || File::open(&path).unwrap();
        let at = beside(&path);
        assert_eq!(at, dir.join("a.jsonl.cursor"));
        let find = |source: &str, into: &str| Cursor::find(&at, &open(), source, into);
        assert_eq!(find("visa", "embedded:data").unwrap(), None);
        let before = before(&open(), 8).unwrap();
        let cursor = Cursor { source: "visa".to_owned(), into: "embedded:data".to_owned(), line: 2, byte: 8, before };
        cursor.keep(&at).unwrap();
        assert_eq!(find("visa", "embedded:data").unwrap(), Some(cursor));
        let why = |found: Result<Option<Cursor>, CursorError>| found.unwrap_err().to_string();
        assert!(why(find("other", "embedded:data")).contains("of the source `visa`"));
        assert!(why(find("visa", "embedded:test")).contains("went into embedded:data"));
        std::fs::write(&path, "one\ntwo\nthree\nfour\n").unwrap();
        assert!(find("visa", "embedded:data").unwrap().is_some(), "what is appended changes nothing");
        std::fs::write(&path, "one\n2!!\nthree\n").unwrap();
        assert!(why(find("visa", "embedded:data")).contains("other lines"));
        std::fs::write(&path, "one\n").unwrap();
        assert!(why(find("visa", "embedded:data")).contains("longer file"));
        std::fs::write(&at, "{\"line\":").unwrap();
        assert!(why(find("visa", "embedded:data")).contains("no cursor of ours"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
