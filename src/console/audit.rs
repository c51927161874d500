//! Who saw and did what in the consoles: one line for each, in a file that is only ever added to,
//! beside the keys. What was decided is in the journal too; what was looked at is here alone.

use crate::api::Doors;
use crate::api::reply::{self, Reply};
use crate::authenticate::keys::Caller;
use crate::console::page::{self, Chrome, Visitor};
use crate::console::words;
use crate::domain::Timestamp;
use askama::Template;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// The file's name, in the folder of the keys.
pub const FILE: &str = "console-audit.jsonl";
/// Bytes of the file's end that a page reads.
const SHOWN_BYTES_MAX: u64 = 256 << 10;
/// Bytes of the file's end that an export gives.
const EXPORT_BYTES_MAX: u64 = 16 << 20;

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// By which key.
    pub key: String,
    /// In which role.
    pub role: String,
    /// What: `read case 17`, `confirm case 17`.
    pub did: String,
    /// The request, as the log and the answer name it.
    pub request: String,
}

impl Entry {
    /// What a caller did by a request.
    pub(super) fn of(caller: &Caller, did: String, request: &crate::wire::RequestId, at: Timestamp) -> Self {
        Self { at, key: caller.key_id.to_string(), role: caller.role.to_string(), did, request: request.to_string() }
    }
}

/// The list.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    writing: Mutex<()>,
}

impl Audit {
    /// The list in a file, which is made when there is something to write.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path, writing: Mutex::new(()) }
    }

    /// Adds a line.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn note(&self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        // In one write, so that lines of several processes do not mix.
        file.write_all(&line)
    }

    /// Whole lines of the end of the list, at most so many bytes.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn end(&self, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let from = file.metadata()?.len().saturating_sub(bytes_max);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(bytes_max).read_to_end(&mut bytes)?;
        if from > 0 {
            let cut = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
            bytes.drain(..cut);
        }
        Ok(bytes)
    }

    /// The newest entries, newest first.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn newest(&self) -> io::Result<Vec<Entry>> {
        let bytes = self.end(SHOWN_BYTES_MAX)?;
        let lines = bytes.split(|byte| *byte == b'\n').rev();
        Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }
}

/// What a request does that is to be written down; `None` for what shows nothing of anybody.
pub(super) fn deed(method: &str, parts: &[&str], verdict: &str) -> Option<String> {
    match (method, parts) {
        ("GET", ["cases", id]) => Some(format!("read case {id}")),
        ("POST", ["cases", id, "review"]) => Some(format!("{verdict} case {id}")),
        ("POST", ["cases", id, "undo"]) => Some(format!("undo the last review of case {id}")),
        ("GET", ["members", id]) => Some(format!("read member {id}")),
        ("POST", ["offers", "new"]) => Some("create an offer".to_owned()),
        ("POST", ["offers", "validate"]) => None,
        ("POST", ["offers", id]) => Some(format!("change offer {id}")),
        ("POST", ["offers", id, "steps", word]) => Some(format!("{word} offer {id}")),
        ("GET", ["audit" | "audit.jsonl"]) => Some("read the audit list".to_owned()),
        ("POST", ["sign-out"]) => Some("sign out".to_owned()),
        _ => None,
    }
}

#[derive(Template)]
#[template(path = "audit.html", config = "src/console/askama.toml")]
struct AuditPage {
    chrome: Chrome,
    rows: Vec<(String, Entry)>,
}

/// The newest of the list.
pub(super) fn show(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let entries = doors.console_audit.newest().map_err(|error| unreadable(&error))?;
    let rows = entries.into_iter().map(|entry| (words::when(entry.at), entry)).collect();
    Ok(page::page(StatusCode::OK, &AuditPage { chrome: visitor.chrome("audit"), rows }))
}

/// The list as it is kept: a line of JSON for each.
pub(super) fn export(doors: &Doors) -> Result<Reply, Reply> {
    let body = doors.console_audit.end(EXPORT_BYTES_MAX).map_err(|error| unreadable(&error))?;
    Ok(Reply::Text { content_type: "application/x-ndjson".into(), body: body.into() })
}

fn unreadable(error: &io::Error) -> Reply {
    tracing::error!(%error, "the audit list of the consoles cannot be read");
    reply::come_back("the audit list cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_and_read_back_newest_first() {
        let dir = std::env::temp_dir().join(format!("ringfence-console-audit-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let audit = Audit::at(dir.join(FILE));
        assert_eq!(audit.newest().unwrap(), []);
        let entry = |number: i64| Entry {
            at: Timestamp::from_ms(number),
            key: "abcdefghijkl".to_owned(),
            role: "risk".to_owned(),
            did: format!("read case {number}\nand \"more\""),
            request: "r".to_owned(),
        };
        for number in 0..3 {
            audit.note(&entry(number)).unwrap();
        }
        assert_eq!(audit.newest().unwrap(), [entry(2), entry(1), entry(0)]);
        let one = u64::try_from(serde_json::to_vec(&entry(0)).unwrap().len()).unwrap();
        let end = audit.end(2 * one).unwrap();
        assert_eq!(end.iter().filter(|byte| **byte == b'\n').count(), 1, "whole lines alone");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
