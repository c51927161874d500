//! Who saw and did what in the consoles: one line for each, in files that are only ever added to,
//! beside the keys; bounded, so that the oldest go when there are too many. What was decided is in
//! the journal too; what was looked at is here alone.
//!
//! An act has two lines, one before it and one after: whatever ends the process between them, the
//! list says that it was begun. Lines that come together are synced together.

use crate::api::reply::{self, Reply};
use crate::api::{Doors, read};
use crate::authenticate::keys::Caller;
use crate::console::page::{self, Chrome, Visitor};
use crate::console::words;
use crate::domain::Timestamp;
use askama::Template;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Begin and end of the files' names, in the folder of the keys.
const NAME: [&str; 2] = ["console-audit", ".jsonl"];
/// Files that the list is kept in: of a full list the oldest one is dropped whole.
const FILES: u64 = 8;
/// Bytes of the list's end that a page reads.
const SHOWN_BYTES_MAX: u64 = 256 << 10;
/// Bytes of the end of a file that an export gives.
const EXPORT_BYTES_MAX: u64 = 64 << 20;

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// By which key, or `@` and the user's name.
    pub key: String,
    /// In which role.
    pub role: String,
    /// What: `read case 17`, `confirm case 17`.
    pub did: String,
    /// The request, as the log and the answer name it; of an act the same in both lines.
    pub request: String,
    /// What came of it. Lines of before there was this word are of what was done.
    #[serde(default)]
    pub outcome: Outcome,
}

/// What came of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// An act that begins: what came of it another line says, unless the process ended between.
    Begun,
    /// It was seen or done.
    #[default]
    Done,
    /// It was not allowed, not possible or not said right, and nothing was shown or done.
    Refused,
}

impl Outcome {
    /// In one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
}

impl Entry {
    /// What a caller did by a request.
    pub(super) fn of(caller: &Caller, did: String, request: &crate::wire::RequestId, at: Timestamp) -> Self {
        let (key, role, request) = (caller.key_id.to_string(), caller.role.to_string(), request.to_string());
        Self { at, key, role, did, request, outcome: Outcome::Done }
    }
}

/// The list: a file that is written to, and older ones that were full. Their names say when.
#[derive(Debug)]
pub struct Audit {
    dir: PathBuf,
    bytes_max: u64,
    writing: Mutex<Written>,
    /// How many of this process' lines are on disk. Whoever holds it syncs for all that wait.
    synced: Mutex<u64>,
}

/// What this process has written.
#[derive(Debug, Default)]
struct Written {
    lines: u64,
    /// The file of the last line.
    file: Option<Arc<File>>,
}

impl Audit {
    /// The list in a folder; its first file is made when there is something to write.
    #[must_use]
    pub fn at(dir: PathBuf, bytes_max: u64) -> Self {
        Self { dir, bytes_max, writing: Mutex::default(), synced: Mutex::default() }
    }

    /// Adds a line, which is on disk then.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn note(&self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let number = self.write(&line, entry.at)?;
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if *synced >= number {
            return Ok(());
        }
        // All that were written while another sync went on.
        let (lines, file) = {
            let written = self.writing();
            (written.lines, written.file.clone())
        };
        if let Some(file) = file {
            file.sync_data()?;
        }
        *synced = lines;
        Ok(())
    }

    fn writing(&self) -> MutexGuard<'_, Written> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line and puts a file aside that is full; which line of this process it is.
    fn write(&self, line: &[u8], at: Timestamp) -> io::Result<u64> {
        let mut written = self.writing();
        let path = self.dir.join(NAME.concat());
        // Opened each time: another process may have put the file aside.
        let file = Arc::new(OpenOptions::new().append(true).read(true).create(true).mode(0o600).open(&path)?);
        let length = self.met(&mut written, &file)?;
        // In one write, so that lines of several processes do not mix.
        if let Err(error) = (&*file).write_all(line) {
            // Part of the line may be there: the next one looks.
            written.file = None;
            return Err(error);
        }
        written.lines += 1;
        if length + line.len() as u64 >= self.bytes_max / FILES {
            file.sync_data()?;
            written.file = None;
            self.turn(&path, at)?;
        }
        Ok(written.lines)
    }

    /// Makes sure, of a file that this process did not write to last, that it is there after a power cut and
    /// ends with a whole line; its length.
    fn met(&self, written: &mut Written, file: &Arc<File>) -> io::Result<u64> {
        let about = file.metadata()?;
        let last = written.file.as_ref().map(|last| last.metadata()).transpose()?;
        if last.is_some_and(|last| (last.dev(), last.ino()) == (about.dev(), about.ino())) {
            return Ok(about.len());
        }
        if let Some(last) = written.file.replace(Arc::clone(file)) {
            // Its lines would not be synced by whoever syncs this one.
            last.sync_data()?;
        }
        File::open(&self.dir)?.sync_all()?;
        let mut end = [b'\n'];
        if about.len() > 0 {
            file.read_exact_at(&mut end, about.len() - 1)?;
        }
        if end != *b"\n" {
            (&**file).write_all(b"\n")?;
        }
        Ok(about.len())
    }

    /// Puts a full file aside, and drops the oldest when there are too many.
    fn turn(&self, full: &Path, at: Timestamp) -> io::Result<()> {
        let named = |number: i64| self.dir.join(format!("{}.{number:015}{}", NAME[0], NAME[1]));
        let free = (at.as_ms()..).map(named).find(|path| !path.exists()).expect("there are enough numbers");
        std::fs::rename(full, free)?;
        let older = self.older()?;
        let many = older.len().saturating_sub(usize::try_from(FILES - 1).expect("a small number"));
        for name in &older[..many] {
            std::fs::remove_file(self.dir.join(name))?;
        }
        File::open(&self.dir)?.sync_all()
    }

    /// Names of the files that were full, oldest first.
    fn older(&self) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            found.extend(entry?.file_name().into_string().ok().filter(|name| {
                let inner = name.strip_prefix(NAME[0]).and_then(|rest| rest.strip_suffix(NAME[1]));
                inner.and_then(|number| number.strip_prefix('.')).is_some_and(|n| n.parse::<u64>().is_ok())
            }));
        }
        found.sort();
        Ok(found)
    }

    /// Names of all files, newest first.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn files(&self) -> io::Result<Vec<String>> {
        let older = match self.older() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other?,
        };
        Ok([NAME.concat()].into_iter().chain(older.into_iter().rev()).collect())
    }

    /// Whole lines of the end of a file, at most so many bytes; nothing of one that is not there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn end(&self, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut file = match File::open(self.dir.join(name)) {
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
        let mut entries: Vec<Entry> = Vec::new();
        let mut left = SHOWN_BYTES_MAX;
        for name in self.files()? {
            let bytes = self.end(&name, left)?;
            let lines = bytes.split(|byte| *byte == b'\n').rev();
            entries.extend(lines.filter_map(|line| serde_json::from_slice(line).ok()));
            left = left.saturating_sub(bytes.len() as u64);
            if left == 0 {
                break;
            }
        }
        Ok(entries)
    }
}

/// What a request does that is to be written down; `None` for what shows nothing of anybody and changes nothing.
pub(super) fn deed(visitor: &Visitor<'_>, parts: &[&str]) -> Option<String> {
    let (method, form) = (visitor.request.method.as_str(), &visitor.form);
    let (verdict, named) = (form.get("verdict"), form.get("name"));
    let searches = || read::query(visitor.request, "search").ok().flatten().is_some_and(|text| !text.is_empty());
    match (method, parts) {
        // What was looked for may be a card or a device: it is not kept.
        ("GET", ["cases"]) => searches().then(|| "search for a member, a card or what they share".to_owned()),
        ("GET", ["cases", "counts"]) | ("POST", ["cases", _, "preview"] | ["offers", "validate" | "written"]) => None,
        ("GET", ["cases", id]) => Some(format!("read case {id}")),
        ("POST", ["cases", id, "review"]) => Some(format!("{verdict} case {id}")),
        ("POST", ["cases", id, "second"]) => Some(format!("confirm case {id} as proposed")),
        ("POST", ["detectors", name, version, "withdraw"]) => Some(format!("withdraw detector {name} {version}")),
        ("POST", ["detectors", "rules"]) => Some(format!("say rule {}", form.get("id"))),
        ("POST", ["detectors", "rules", id, "state"]) => Some(format!("take rule {id} to {}", form.get("state"))),
        ("POST", ["detectors", "backtests"]) => Some("begin a back-test".to_owned()),
        ("POST", ["cases", id, "undo"]) => Some(format!("undo the last review of case {id}")),
        ("POST", ["cases", "next"]) => Some("take the next case".to_owned()),
        ("POST", ["cases", "report"]) => Some("record a report from outside".to_owned()),
        ("POST", ["cases", id, word @ ("take" | "release")]) => Some(format!("{word} case {id}")),
        ("GET", ["members", id]) => Some(format!("read member {id}")),
        ("GET", ["members", id, "around"]) => Some(format!("read who is around member {id}")),
        ("GET", ["members", id, "purchases", source, purchase]) => {
            Some(format!("read purchase {source} {purchase} of member {id}"))
        }
        ("POST", ["offers", "new"]) => Some("create an offer".to_owned()),
        ("POST", ["offers", id]) => Some(format!("change offer {id}")),
        ("POST", ["offers", id, "steps", word]) => Some(format!("{word} offer {id}")),
        ("GET", ["audit", ..]) => Some("read the audit list".to_owned()),
        ("GET", ["access"]) => Some("read the keys and users".to_owned()),
        ("POST", ["access", "users"]) => Some(format!("enter user {named}")),
        ("POST", ["access", "users", name, word]) => Some(format!("{word} user {name}")),
        ("POST", ["access", "keys"]) => Some("make a key".to_owned()),
        ("POST", ["access", "keys", id, word]) => Some(format!("{word} key {id}")),
        ("POST", ["locations", ..]) => Some("change shops and MIDs".to_owned()),
        ("POST", ["competitors", "remove"]) => Some(format!("remove competitor {named}")),
        ("POST", ["competitors"]) => Some(format!("declare competitor {named}")),
        ("GET", ["ledger"]) => Some("read the ledger".to_owned()),
        ("GET", ["dead-letters"]) => Some("read the dead letters".to_owned()),
        ("POST", ["dead-letters", id, "replay"]) => Some(format!("replay dead letter {id}")),
        ("POST", ["password"]) => Some("set a password".to_owned()),
        ("POST", ["sign-out"]) => Some("sign out".to_owned()),
        // What is not named here is an act too.
        ("POST", other) => Some(other.join(" ")),
        _ => None,
    }
}

#[derive(Template)]
#[template(path = "audit.html", config = "src/console/askama.toml")]
struct AuditPage {
    chrome: Chrome,
    rows: Vec<(String, Entry)>,
    files: Vec<String>,
}

/// The newest of the list.
pub(super) async fn show(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let read = super::apart({
        let audit = Arc::clone(&doors.console.audit);
        move || Ok::<_, io::Error>((audit.newest()?, audit.files()?))
    });
    let (entries, files) = read.await.map_err(|error| unreadable(&error))?;
    let rows = entries.into_iter().map(|entry| (words::when(entry.at), entry)).collect();
    Ok(page::page(StatusCode::OK, &AuditPage { chrome: visitor.chrome("audit"), rows, files }))
}

/// A file of the list as it is kept: a line of JSON for each.
pub(super) async fn export(doors: &Doors, name: &str) -> Result<Reply, Reply> {
    let (audit, name) = (Arc::clone(&doors.console.audit), name.to_owned());
    let read = super::apart(move || {
        let known = audit.files()?.contains(&name);
        known.then(|| audit.end(&name, EXPORT_BYTES_MAX)).transpose()
    });
    let body = read.await.map_err(|error| unreadable(&error))?;
    let body = body.ok_or_else(|| reply::not_found("the list has no such file"))?;
    Ok(Reply::Text { content_type: "application/x-ndjson".into(), body: body.into() })
}

fn unreadable(error: &io::Error) -> Reply {
    tracing::error!(%error, "the audit list of the consoles cannot be read");
    reply::come_back("the audit list cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("ringfence-console-audit-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn entry(number: i64) -> Entry {
        Entry {
            at: Timestamp::from_ms(number),
            key: "abcdefghijkl".to_owned(),
            role: "risk".to_owned(),
            did: format!("read case {number}\nand \"more\""),
            request: "r".to_owned(),
            outcome: Outcome::Done,
        }
    }

    #[test]
    fn lines_are_added_and_read_back_newest_first() {
        let dir = folder("order");
        let audit = Audit::at(dir.clone(), 1 << 20);
        assert_eq!(audit.newest().unwrap(), []);
        for number in 0..3 {
            audit.note(&entry(number)).unwrap();
        }
        assert_eq!(audit.newest().unwrap(), [entry(2), entry(1), entry(0)]);
        let one = u64::try_from(serde_json::to_vec(&entry(0)).unwrap().len()).unwrap();
        let end = audit.end(&NAME.concat(), 2 * one).unwrap();
        assert_eq!(end.iter().filter(|byte| **byte == b'\n').count(), 1, "whole lines alone");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_full_list_loses_its_oldest_eighth_and_nothing_else() {
        let dir = folder("full");
        let one = u64::try_from(serde_json::to_vec(&entry(100)).unwrap().len()).unwrap() + 1;
        let audit = Audit::at(dir.clone(), FILES * 5 * one);
        for number in 100..143 {
            audit.note(&entry(number)).unwrap();
        }
        assert_eq!(audit.files().unwrap().len(), 8);
        let kept: Vec<i64> = audit.newest().unwrap().iter().map(|entry| entry.at.as_ms()).collect();
        assert_eq!(kept, (105..143).rev().collect::<Vec<_>>());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn lines_of_many_at_once_are_all_there_and_whole() {
        let dir = folder("many");
        let audit = Arc::new(Audit::at(dir.clone(), 1 << 20));
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let audit = Arc::clone(&audit);
                std::thread::spawn(move || (0..25).try_for_each(|at| audit.note(&entry(writer * 25 + at))))
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap().unwrap());
        let mut kept: Vec<i64> = audit.newest().unwrap().iter().map(|entry| entry.at.as_ms()).collect();
        kept.sort_unstable();
        assert_eq!(kept, (0..200).collect::<Vec<_>>());
        assert_eq!(*audit.synced.lock().unwrap(), 200);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_line_that_a_crash_cut_spoils_no_other() {
        let dir = folder("cut");
        Audit::at(dir.clone(), 1 << 20).note(&entry(1)).unwrap();
        let path = dir.join(NAME.concat());
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"at\":\"20").unwrap();
        let again = Audit::at(dir.clone(), 1 << 20);
        again.note(&entry(2)).unwrap();
        again.note(&entry(3)).unwrap();
        assert_eq!(again.newest().unwrap(), [entry(3), entry(2), entry(1)]);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_line_without_an_outcome_is_of_what_was_done() {
        let old = r#"{"at":"1970-01-01T00:00:00.001Z","key":"k","role":"risk","did":"read case 1","request":"r"}"#;
        assert_eq!(serde_json::from_str::<Entry>(old).unwrap().outcome, Outcome::Done);
    }
}
