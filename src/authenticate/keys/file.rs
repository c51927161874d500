//! `keys.json`, keys and users alike: read whole, checked, and replaced whole under a lock.
//!
//! A reader never sees half a file: it is written aside, synced and renamed. Must not
//! decide who may do what.

use super::users::{INVITATIONS_MAX, Invitation, USERS_MAX, UserName, UserRecord};
use super::{KeyId, KeyRecord, LABEL_BYTES_MAX, Role};
use crate::domain::MerchantId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Most keys in one store, revoked ones included.
pub const KEYS_MAX: usize = 10_000;
/// Longest file read, in bytes: [`KEYS_MAX`] keys with the longest labels and ids fit, and all users.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The one form of the file there is.
const FORM: u32 = 1;

/// Why keys cannot be read, made or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// `RINGFENCE_BOOTSTRAP_KEY` could be guessed.
    #[error("RINGFENCE_BOOTSTRAP_KEY has {0} characters, at least {min} are needed", min = super::BOOTSTRAP_CHARS_MIN)]
    BootstrapTooShort(usize),
    /// The system failed us.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is not what we wrote. It is left as it is.
    #[error("{} is broken: {why}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where and how.
        why: String,
    },
    /// The file was there and is no more; the keys read before stay valid.
    #[error("{} is gone; the keys read from it before stay in force", .0.display())]
    Vanished(PathBuf),
    /// A merchant's key or user without the merchant would see nothing, or all.
    #[error("the role `merchant` needs a merchant")]
    MerchantNeeded,
    /// Other roles are not bound to a merchant, and must not look as if they were.
    #[error("the role `{0}` has no merchant")]
    MerchantRefused(Role),
    /// The label is too long, empty or would break a list.
    #[error("a label is 1 to {LABEL_BYTES_MAX} bytes without control characters")]
    BadLabel,
    /// More than [`KEYS_MAX`].
    #[error("there are {KEYS_MAX} keys already, revoked ones included")]
    TooMany,
    /// The random numbers repeat; worse than bad luck.
    #[error("there is a key `{0}` already")]
    IdTaken(KeyId),
    /// No such key.
    #[error("there is no key `{0}`")]
    Unknown(KeyId),
    /// The consoles have nothing for this role.
    #[error("the role `{0}` has no console; a user is an operator, risk or merchant")]
    NoConsole(Role),
    /// More than [`USERS_MAX`].
    #[error("there are {USERS_MAX} users already")]
    TooManyUsers,
    /// One of that name is there.
    #[error("there is a user `{0}` already")]
    UserTaken(UserName),
    /// No such user.
    #[error("there is no user `{0}`")]
    UnknownUser(UserName),
    /// More than [`INVITATIONS_MAX`] at once.
    #[error("{INVITATIONS_MAX} sign-ins wait to be used already; they end after ten minutes")]
    TooManyInvitations,
}

/// Tells one state of the file from another without reading it. Its number changes with
/// every replacement, its times even when a number is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The file's present state; `None` when there is no file.
    pub(super) fn of(dir: &Path) -> Result<Option<Self>, KeysError> {
        match std::fs::metadata(path(dir)) {
            Ok(meta) => Ok(Some(Self::from(&meta))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(KeysError::Io { doing: "look at", path: path(dir), source }),
        }
    }
}

impl From<&std::fs::Metadata> for Stamp {
    fn from(meta: &std::fs::Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            bytes: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// All that the file holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pub(super) keys: Vec<KeyRecord>,
    pub(super) users: Vec<UserRecord>,
    pub(super) invitations: Vec<Invitation>,
}

/// The content as read, with the state of the file it was read from.
#[derive(Debug)]
pub(super) struct Loaded {
    /// `None` when there was no file.
    pub(super) stamp: Option<Stamp>,
    pub(super) content: Content,
    by_id: HashMap<KeyId, usize>,
}

impl Loaded {
    fn new(stamp: Option<Stamp>, content: Content) -> Self {
        let by_id = content.keys.iter().enumerate().map(|(index, record)| (record.id.clone(), index)).collect();
        Self { stamp, content, by_id }
    }
    pub(super) fn find(&self, id: &str) -> Option<&KeyRecord> {
        self.by_id.get(&id.parse::<KeyId>().ok()?).and_then(|index| self.content.keys.get(*index))
    }
    /// Whether there is neither a key nor a user.
    pub(super) fn is_empty(&self) -> bool {
        self.content.keys.is_empty() && self.content.users.is_empty()
    }
    /// Whether nobody ever made a key.
    pub(super) fn is_without_keys(&self) -> bool {
        self.content.keys.is_empty()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    form: u32,
    keys: Vec<KeyRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    users: Vec<UserRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    invitations: Vec<Invitation>,
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeysError {
    move |source| KeysError::Io { doing, path: path.to_owned(), source }
}

pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("keys.json")
}

/// A merchant belongs to the role of that name and to no other.
fn check_role(role: Role, merchant: Option<&MerchantId>) -> Result<(), KeysError> {
    match (role, merchant) {
        (Role::Merchant, None) => Err(KeysError::MerchantNeeded),
        (Role::Merchant, Some(_)) | (_, None) => Ok(()),
        (role, Some(_)) => Err(KeysError::MerchantRefused(role)),
    }
}

/// What must hold of every user, new or read.
pub(super) fn check_user(record: &UserRecord) -> Result<(), KeysError> {
    if !record.role.has_console() {
        return Err(KeysError::NoConsole(record.role));
    }
    check_role(record.role, record.merchant.as_ref())
}

/// What must hold of every key, new or read.
pub(super) fn check(record: &KeyRecord) -> Result<(), KeysError> {
    check_role(record.role, record.merchant.as_ref())?;
    let fits = |label: &String| (1..=LABEL_BYTES_MAX).contains(&label.len()) && !label.chars().any(char::is_control);
    if record.label.as_ref().is_none_or(fits) { Ok(()) } else { Err(KeysError::BadLabel) }
}

/// Reads the file; no file is no keys.
pub(super) fn read(dir: &Path) -> Result<Loaded, KeysError> {
    let path = path(dir);
    let broken = |why: String| KeysError::Broken { path: path.clone(), why };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Loaded::new(None, Content::default())),
        Err(source) => return Err(failed("open", &path)(source)),
    };
    // Of the opened file, not of the name: it may be replaced between the two.
    let stamp = Stamp::from(&file.metadata().map_err(failed("look at", &path))?);
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed("read", &path))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(broken(format!("longer than {FILE_BYTES_MAX} bytes")));
    }
    let document: Document = serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))?;
    if document.form != FORM {
        return Err(broken(format!("it is of form {}, this version knows form {FORM}", document.form)));
    }
    if document.keys.len() > KEYS_MAX {
        return Err(broken(format!("more than {KEYS_MAX} keys")));
    }
    if let Some((record, error)) = document.keys.iter().find_map(|record| Some((record, check(record).err()?))) {
        return Err(broken(format!("key `{}`: {error}", record.id)));
    }
    if document.users.len() > USERS_MAX {
        return Err(broken(format!("more than {USERS_MAX} users")));
    }
    if let Some((record, error)) = document.users.iter().find_map(|record| Some((record, check_user(record).err()?))) {
        return Err(broken(format!("user `{}`: {error}", record.name)));
    }
    let names: BTreeSet<&UserName> = document.users.iter().map(|record| &record.name).collect();
    if names.len() != document.users.len() {
        return Err(broken("one user is there twice".to_owned()));
    }
    let Document { keys, users, invitations, .. } = document;
    let loaded = Loaded::new(Some(stamp), Content { keys, users, invitations });
    if loaded.by_id.len() != loaded.content.keys.len() {
        return Err(broken("one key id is there twice".to_owned()));
    }
    Ok(loaded)
}

/// Holds the right to change the file until dropped; waits for it.
pub(super) fn lock(dir: &Path) -> Result<File, KeysError> {
    let path = dir.join("keys.lock");
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed("make the folder of", &path))?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.map_err(failed("open", &path))?;
    loop {
        match file.lock() {
            Ok(()) => return Ok(file),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(failed("lock", &path)(source)),
        }
    }
}

/// Replaces the file. The caller holds the lock.
pub(super) fn write(dir: &Path, content: Content) -> Result<Loaded, KeysError> {
    if content.keys.len() > KEYS_MAX {
        return Err(KeysError::TooMany);
    }
    if content.users.len() > USERS_MAX {
        return Err(KeysError::TooManyUsers);
    }
    if content.invitations.len() > INVITATIONS_MAX {
        return Err(KeysError::TooManyInvitations);
    }
    let (path, aside) = (path(dir), dir.join("keys.json.new"));
    let Content { keys, users, invitations } = content;
    let document = Document { form: FORM, keys, users, invitations };
    let mut bytes = serde_json::to_vec_pretty(&document).map_err(|error| failed("write", &path)(error.into()))?;
    bytes.push(b'\n');
    // One left by a crash is ours to remove; making it anew gives it our mode.
    match std::fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("write aside", &path)(error)),
        _ => {}
    }
    let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&aside);
    let mut file = file.map_err(failed("write aside", &path))?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed("write aside", &path))?;
    std::fs::rename(&aside, &path).map_err(failed("replace", &path))?;
    // Without this the name may still point to the old keys after a power cut.
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed("sync the folder of", &path))?;
    let stamp = Stamp::from(&file.metadata().map_err(failed("look at", &path))?);
    let Document { keys, users, invitations, .. } = document;
    Ok(Loaded::new(Some(stamp), Content { keys, users, invitations }))
}
