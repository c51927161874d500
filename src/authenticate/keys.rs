//! API keys and users: who may call us, in which role, and the file that remembers them.
//!
//! Knows roles, not routes: what a role may do is for the doors to say. Never keeps or
//! prints a key's secret, only its hash; the text is handed out once, when made.
//! Plain SHA-256 is right here: the secret is 256 random bits, so there is nothing
//! to guess, and a slow password hash would only slow every request.

mod file;
pub mod users;

pub use file::{KEYS_MAX, KeysError};

use super::{Secret, hex};
use crate::domain::{MerchantId, Timestamp};
use arc_swap::ArcSwap;
use compact_str::CompactString;
use file::{Content, Loaded, Stamp};
use hmac::digest::CtOutput;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, str::FromStr};

/// Shortest bootstrap key, in characters: people choose it, so it must at least be long.
pub const BOOTSTRAP_CHARS_MIN: usize = 32;
/// Random bytes that make one key: 8 for its id, 32 for its secret.
pub const KEY_RANDOM_BYTES: usize = ID_RANDOM_BYTES + 32;
/// Longest label, in bytes.
pub const LABEL_BYTES_MAX: usize = 128;

const ID_RANDOM_BYTES: usize = 8;
const ID_CHARS: usize = 12;
const SECRET_CHARS: usize = 64;
/// Longest text looked at as a key, in bytes.
const BEARER_BYTES_MAX: usize = 1024;

/// What a caller is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs the programme.
    Operator,
    /// Judges cases.
    Risk,
    /// Sees and edits what is one merchant's.
    Merchant,
    /// The issuer's app, on behalf of members.
    App,
    /// Reads the ledger.
    Auditor,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Operator, Self::Risk, Self::Merchant, Self::App, Self::Auditor];

    /// The name the command line and the file use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Risk => "risk",
            Self::Merchant => "merchant",
            Self::App => "app",
            Self::Auditor => "auditor",
        }
    }

    /// Whether there are pages for it.
    #[must_use]
    pub const fn has_console(self) -> bool {
        matches!(self, Self::Operator | Self::Risk | Self::Merchant)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role; there are operator, risk, merchant, app and auditor")]
pub struct UnknownRole(pub String);

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// The public part of a key: twelve characters of a to z and 2 to 7; or, of a user, their name
/// behind an `@`. Fit for logs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "CompactString", into = "CompactString")]
pub struct KeyId(CompactString);

/// The text is not a key's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key id is twelve characters of a to z and 2 to 7")]
pub struct BadKeyId;

impl KeyId {
    /// The id itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Stands for the bootstrap key, which has no record. Too short to be a record's id.
    fn bootstrap() -> Self {
        Self(CompactString::const_new("bootstrap"))
    }
    /// Stands for a user. Begins as no record's id may.
    #[must_use]
    pub fn of_user(name: &users::UserName) -> Self {
        Self(compact_str::format_compact!("@{name}"))
    }
    /// The user's name, of a user's.
    #[must_use]
    pub fn user(&self) -> Option<users::UserName> {
        self.0.strip_prefix('@')?.parse().ok()
    }
    fn from_random(random: &[u8]) -> Self {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let bits = random.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let letter = |place: usize| char::from(LETTERS[usize::try_from(bits >> (5 * place) & 31).unwrap_or(0)]);
        Self((0..ID_CHARS).map(letter).collect())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl TryFrom<CompactString> for KeyId {
    type Error = BadKeyId;
    fn try_from(text: CompactString) -> Result<Self, BadKeyId> {
        let good = text.len() == ID_CHARS && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
        let of_user = text.strip_prefix('@').is_some_and(|name| name.parse::<users::UserName>().is_ok());
        if good || of_user { Ok(Self(text)) } else { Err(BadKeyId) }
    }
}
impl FromStr for KeyId {
    type Err = BadKeyId;
    fn from_str(text: &str) -> Result<Self, BadKeyId> {
        Self::try_from(CompactString::new(text))
    }
}
impl From<KeyId> for CompactString {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

/// SHA-256 of a key's secret, 256 random bits; written as hex, silent in `Debug`.
#[derive(Clone)]
pub struct SecretHash(CtOutput<Sha256>);

impl SecretHash {
    fn of(secret: &str) -> Self {
        Self(CtOutput::new(Sha256::digest(secret.as_bytes())))
    }
    /// Compares in constant time.
    fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}
impl Serialize for SecretHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encoded(self.0.as_bytes()))
    }
}
impl<'de> Deserialize<'de> for SecretHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The text is not repeated: someone may have put a secret where the hash belongs.
        let text = String::deserialize(deserializer)?;
        let bytes = hex::decoded::<32>(&text).ok_or_else(|| serde::de::Error::custom("a hash is 64 hex digits"))?;
        Ok(Self(CtOutput::new(bytes.into())))
    }
}

/// What is kept of a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Names it, in lists and logs.
    pub id: KeyId,
    /// What its holder is to us.
    pub role: Role,
    /// Whose merchant; there for role `merchant` and for no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merchant: Option<MerchantId>,
    /// What the operator wrote on it; `None` when nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The hash of its secret.
    pub secret_sha256: SecretHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ceased to be valid; `None` while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

impl KeyRecord {
    fn caller(&self) -> Caller {
        Caller { key_id: self.id.clone(), role: self.role, merchant: self.merchant.clone() }
    }
}

impl Caller {
    fn bootstrap() -> Self {
        Self { key_id: KeyId::bootstrap(), role: Role::Operator, merchant: None }
    }
}

/// What is asked for when a key is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// What its holder will be to us.
    pub role: Role,
    /// Whose merchant; needed for role `merchant`, refused for any other.
    pub merchant: Option<MerchantId>,
    /// A note to tell it from others; `None` for none.
    pub label: Option<String>,
}

/// Who calls, proven by a key or a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The key used; `bootstrap` for the bootstrap key, `@` and the name for a user.
    pub key_id: KeyId,
    /// What the caller is to us.
    pub role: Role,
    /// Whose merchant; there exactly when the role is `merchant`.
    pub merchant: Option<MerchantId>,
}

/// The keys of one store: `keys.json`, which the command line and a running service
/// share. Changes go through `keys.lock`; a reader needs no lock, since the file
/// is replaced whole.
#[derive(Debug)]
pub struct KeyRing {
    dir: PathBuf,
    bootstrap: Option<SecretHash>,
    loaded: ArcSwap<Loaded>,
    reloading: Mutex<()>,
}

impl KeyRing {
    /// Reads `keys.json` in `dir`; a store that has none yet has no keys.
    ///
    /// The bootstrap key counts as an operator's while there is no key at all, revoked
    /// ones included: once somebody made a key, the variable in the environment is dead.
    ///
    /// # Errors
    /// [`KeysError`] when the bootstrap key is too short, or the file cannot be read or
    /// is not what we wrote.
    pub fn load(dir: impl Into<PathBuf>, bootstrap: Option<&Secret>) -> Result<Self, KeysError> {
        if let Some(secret) = bootstrap {
            let chars = secret.expose().chars().count();
            if chars < BOOTSTRAP_CHARS_MIN {
                return Err(KeysError::BootstrapTooShort(chars));
            }
        }
        let dir = dir.into();
        let loaded = ArcSwap::from_pointee(file::read(&dir)?);
        let bootstrap = bootstrap.map(|secret| SecretHash::of(secret.expose()));
        Ok(Self { dir, bootstrap, loaded, reloading: Mutex::new(()) })
    }

    /// The file the keys are in.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        file::path(&self.dir)
    }

    /// Looks whether the file changed since it was read, by its number, length and times,
    /// and reads it if so. Cheap: call it every second from where blocking is allowed.
    /// `true` when the keys were read anew.
    ///
    /// # Errors
    /// [`KeysError`] when the file is gone, unreadable or broken; the keys read before stay.
    pub fn reload_if_changed(&self) -> Result<bool, KeysError> {
        // One at a time, so that an older reading never replaces a newer one.
        let _one = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(&self.dir)?;
        let before = self.loaded.load();
        if stamp == before.stamp {
            return Ok(false);
        }
        if stamp.is_none() {
            // Taking this for an empty ring would bring the bootstrap key back to life.
            return Err(KeysError::Vanished(self.path()));
        }
        self.loaded.store(Arc::new(file::read(&self.dir)?));
        Ok(true)
    }

    /// Makes a key and writes it down. The second value is the whole key text: show it
    /// once and drop it, it cannot be had again.
    ///
    /// Waits for others who are writing, so call it where blocking is allowed.
    ///
    /// # Errors
    /// [`KeysError`] when role and merchant do not fit, there are too many keys, or the
    /// file cannot be written.
    pub fn create(
        &self,
        new: NewKey,
        now: Timestamp,
        random: &[u8; KEY_RANDOM_BYTES],
    ) -> Result<(KeyRecord, Secret), KeysError> {
        let (id_random, secret_random) = random.split_at(ID_RANDOM_BYTES);
        let id = KeyId::from_random(id_random);
        let secret = Secret::new(hex::encoded(secret_random));
        let record = KeyRecord {
            id: id.clone(),
            role: new.role,
            merchant: new.merchant,
            label: new.label,
            secret_sha256: SecretHash::of(secret.expose()),
            created_at: now,
            revoked_at: None,
        };
        file::check(&record)?;
        self.change(|content| {
            if content.keys.iter().any(|known| known.id == id) {
                return Err(KeysError::IdTaken(id.clone()));
            }
            content.keys.push(record.clone());
            Ok(())
        })?;
        let text = Secret::new(format!("rf_{id}_{}", secret.expose()));
        Ok((record, text))
    }

    /// Ends a key. One that is ended already keeps its first time.
    ///
    /// # Errors
    /// [`KeysError`] when there is no such key, or the file cannot be written.
    pub fn revoke(&self, id: &KeyId, now: Timestamp) -> Result<KeyRecord, KeysError> {
        self.change(|content| {
            let record = content.keys.iter_mut().find(|record| record.id == *id);
            let record = record.ok_or_else(|| KeysError::Unknown(id.clone()))?;
            record.revoked_at.get_or_insert(now);
            Ok(record.clone())
        })
    }

    /// Every key ever made, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<KeyRecord> {
        self.loaded.load().content.keys.clone()
    }

    /// Who holds this key text (what follows `Bearer `); `None` for anything but a
    /// valid key. Takes the same time whatever is wrong with the secret.
    #[must_use]
    pub fn verify(&self, bearer: &str) -> Option<Caller> {
        if bearer.len() > BEARER_BYTES_MAX {
            return None;
        }
        if let Some((id, secret)) = parts(bearer) {
            let presented = SecretHash::of(secret);
            let loaded = self.loaded.load();
            if let Some(record) = loaded.find(id) {
                let right = record.secret_sha256.is(&presented) && record.revoked_at.is_none();
                return right.then(|| record.caller());
            }
        }
        self.is_bootstrap(bearer).then(Caller::bootstrap)
    }

    /// Whether the key or the user by which somebody was let in is valid still, and the same.
    #[must_use]
    pub fn stands(&self, caller: &Caller) -> bool {
        self.caller(&caller.key_id).as_ref() == Some(caller)
    }

    /// Who is behind an id that is valid now.
    #[must_use]
    pub fn caller(&self, id: &KeyId) -> Option<Caller> {
        let loaded = self.loaded.load();
        if *id == KeyId::bootstrap() {
            return (self.bootstrap.is_some() && loaded.is_without_keys()).then(Caller::bootstrap);
        }
        if let Some(name) = id.user() {
            return loaded.content.users.iter().find(|user| user.name == name).map(users::UserRecord::caller);
        }
        loaded.find(id.as_str()).filter(|record| record.revoked_at.is_none()).map(KeyRecord::caller)
    }

    fn is_bootstrap(&self, bearer: &str) -> bool {
        let Some(bootstrap) = &self.bootstrap else { return false };
        if !self.loaded.load().is_without_keys() || !bootstrap.is(&SecretHash::of(bearer)) {
            return false;
        }
        // The first key may have been made a moment ago by the command line. From then on
        // this key is dead at once, so the file is asked; in doubt, no.
        self.reload_if_changed().is_ok() && self.loaded.load().is_without_keys()
    }

    fn change<T>(&self, edit: impl FnOnce(&mut Content) -> Result<T, KeysError>) -> Result<T, KeysError> {
        let _one = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let _lock = file::lock(&self.dir)?;
        // Read again under the lock: another process may have written since.
        let before = file::read(&self.dir)?;
        if before.stamp.is_none() && !self.loaded.load().is_empty() {
            return Err(KeysError::Vanished(self.path()));
        }
        let mut content = before.content;
        let done = edit(&mut content)?;
        self.loaded.store(Arc::new(file::write(&self.dir, content)?));
        Ok(done)
    }
}

/// `rf_<id>_<secret>`, cut by place, since neither part has a separator's freedom.
fn parts(bearer: &str) -> Option<(&str, &str)> {
    let (id, secret) = bearer.strip_prefix("rf_")?.split_once('_')?;
    (id.len() == ID_CHARS && secret.len() == SECRET_CHARS).then_some((id, secret))
}

#[cfg(test)]
mod tests;
