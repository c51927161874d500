//! Users of the consoles: people with a name, a role and a password, beside the keys and in the
//! same file; and sign-ins that are good once, for users and for holders of keys.
//!
//! A password is chosen by a person, so it is kept as argon2id hashes it; checking one takes
//! memory and time on purpose, and is for threads that may block.

use super::{Caller, KeyId, KeyRing, KeysError, Role, SecretHash, file, hex};
use crate::authenticate::Secret;
use crate::domain::{MerchantId, Timestamp};
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Most users of one store.
pub const USERS_MAX: usize = 1_000;
/// Most sign-ins that wait to be used.
pub const INVITATIONS_MAX: usize = 100;
/// How long a sign-in is good.
pub const INVITATION_MS: i64 = 600_000;
/// Random bytes of a sign-in.
pub const INVITATION_RANDOM_BYTES: usize = 32;
/// Random bytes of a password's salt.
pub const SALT_BYTES: usize = 16;
/// Shortest password, in characters.
pub const PASSWORD_CHARS_MIN: usize = 12;
/// Longest password, in bytes: more costs time and tells nothing.
pub const PASSWORD_BYTES_MAX: usize = 256;

/// A user's name: 2 to 32 characters of a to z, 0 to 9, dots and dashes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "CompactString", into = "CompactString")]
pub struct UserName(CompactString);

/// The text is no user's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a user's name is 2 to 32 characters of a to z, 0 to 9, dots and dashes, and begins with a letter")]
pub struct BadUserName;

impl UserName {
    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl TryFrom<CompactString> for UserName {
    type Error = BadUserName;
    fn try_from(text: CompactString) -> Result<Self, BadUserName> {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
        let good = (2..=32).contains(&text.len())
            && text.bytes().all(letter)
            && text.bytes().next().is_some_and(|first| first.is_ascii_lowercase());
        if good { Ok(Self(text)) } else { Err(BadUserName) }
    }
}
impl FromStr for UserName {
    type Err = BadUserName;
    fn from_str(text: &str) -> Result<Self, BadUserName> {
        Self::try_from(CompactString::new(text))
    }
}
impl From<UserName> for CompactString {
    fn from(name: UserName) -> Self {
        name.0
    }
}

/// A password as argon2id hashes it; silent in `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// Why a text is no password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    /// It could be guessed.
    #[error("a password has at least {PASSWORD_CHARS_MIN} characters")]
    TooShort,
    /// It is endless.
    #[error("a password has at most {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// The hash could not be made.
    #[error("the password could not be hashed")]
    Unhashed,
}

impl PasswordHash {
    /// Hashes a password. Takes its time: where blocking is allowed.
    ///
    /// # Errors
    /// [`BadPassword`].
    pub fn of(password: &str, salt: &[u8; SALT_BYTES]) -> Result<Self, BadPassword> {
        if password.chars().count() < PASSWORD_CHARS_MIN {
            return Err(BadPassword::TooShort);
        }
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(BadPassword::TooLong);
        }
        let hash: Result<phc::PasswordHash, _> = Argon2::default().hash_password_with_salt(password.as_bytes(), salt);
        hash.map(|hash| Self(hash.to_string())).map_err(|_| BadPassword::Unhashed)
    }

    /// Whether a password is the one. Takes its time, the same for wrong ones.
    #[must_use]
    pub fn is(&self, password: &str) -> bool {
        password.len() <= PASSWORD_BYTES_MAX
            && Argon2::default().verify_password(password.as_bytes(), self.0.as_str()).is_ok()
    }
}

/// What is kept of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRecord {
    /// By which they sign in.
    pub name: UserName,
    /// What they are to us.
    pub role: Role,
    /// Whose merchant; there for role `merchant` and for no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merchant: Option<MerchantId>,
    /// `None` until they have set one, after their first sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordHash>,
    /// When they were entered.
    pub created_at: Timestamp,
}

impl UserRecord {
    pub(super) fn caller(&self) -> Caller {
        Caller { key_id: KeyId::of_user(&self.name), role: self.role, merchant: self.merchant.clone() }
    }
}

/// A sign-in that is good once.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    token_sha256: SecretHash,
    who: KeyId,
    until: Timestamp,
}

impl KeyRing {
    /// Enters a user, who has no password yet.
    ///
    /// # Errors
    /// [`KeysError`] when role and merchant do not fit, the name is taken, there are too many, or
    /// the file cannot be written.
    pub fn create_user(
        &self,
        name: UserName,
        role: Role,
        merchant: Option<MerchantId>,
        now: Timestamp,
    ) -> Result<UserRecord, KeysError> {
        let record = UserRecord { name, role, merchant, password: None, created_at: now };
        file::check_user(&record)?;
        self.change(|content| {
            if content.users.iter().any(|known| known.name == record.name) {
                return Err(KeysError::UserTaken(record.name.clone()));
            }
            content.users.push(record.clone());
            content.users.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(record.clone())
        })
    }

    /// Takes a user away, with the sign-ins that wait for them.
    ///
    /// # Errors
    /// When there is none, or the file cannot be written.
    pub fn remove_user(&self, name: &UserName) -> Result<(), KeysError> {
        self.change(|content| {
            let before = content.users.len();
            content.users.retain(|known| known.name != *name);
            content.invitations.retain(|waits| waits.who != KeyId::of_user(name));
            if content.users.len() == before { Err(KeysError::UnknownUser(name.clone())) } else { Ok(()) }
        })
    }

    /// Every user, by name.
    #[must_use]
    pub fn users(&self) -> Vec<UserRecord> {
        self.loaded.load().content.users.clone()
    }

    /// One of them.
    #[must_use]
    pub fn user(&self, name: &UserName) -> Option<UserRecord> {
        self.loaded.load().content.users.iter().find(|known| known.name == *name).cloned()
    }

    /// Sets a user's password.
    ///
    /// # Errors
    /// When there is no such user, or the file cannot be written.
    pub fn set_password(&self, name: &UserName, password: &PasswordHash) -> Result<(), KeysError> {
        self.change(|content| {
            let record = content.users.iter_mut().find(|known| known.name == *name);
            record.ok_or_else(|| KeysError::UnknownUser(name.clone()))?.password = Some(password.clone());
            Ok(())
        })
    }

    /// Makes a sign-in for a user or the holder of a key that is good once, for ten minutes. Its
    /// text is handed out once.
    ///
    /// # Errors
    /// When too many wait, or the file cannot be written.
    pub fn invite(
        &self,
        who: &KeyId,
        now: Timestamp,
        random: &[u8; INVITATION_RANDOM_BYTES],
    ) -> Result<Secret, KeysError> {
        let token = Secret::new(hex::encoded(random));
        let token_sha256 = SecretHash::of(token.expose());
        self.change(|content| {
            content.invitations.retain(|waits| now < waits.until);
            content.invitations.push(Invitation { token_sha256, who: who.clone(), until: now.plus_ms(INVITATION_MS) });
            Ok(())
        })?;
        Ok(token)
    }

    /// Uses such a sign-in up. `None` when there is none, it is too old or was used.
    ///
    /// # Errors
    /// When the file cannot be written: then it is not used up, and lets nobody in.
    pub fn accept(&self, token: &str, now: Timestamp) -> Result<Option<Caller>, KeysError> {
        let presented = SecretHash::of(token);
        // The command line may have made it a moment ago.
        self.reload_if_changed()?;
        if !self.loaded.load().content.invitations.iter().any(|waits| waits.token_sha256.is(&presented)) {
            return Ok(None);
        }
        let found = self.change(|content| {
            let place = content.invitations.iter().position(|waits| waits.token_sha256.is(&presented));
            Ok(place.map(|place| content.invitations.remove(place)))
        })?;
        Ok(found.filter(|waits| now < waits.until).and_then(|waits| self.caller(&waits.who)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> (std::path::PathBuf, KeyRing) {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("ringfence-users-{}-{number}", std::process::id()));
        (dir.clone(), KeyRing::load(dir, None).unwrap())
    }

    #[test]
    fn a_user_is_entered_signs_in_and_is_gone_also_for_others_who_read_the_file() {
        let (dir, ring) = ring();
        let (name, now): (UserName, _) = ("anna.b".parse().unwrap(), Timestamp::start_of_day(20_000));
        let record = ring.create_user(name.clone(), Role::Risk, None, now).unwrap();
        assert!(matches!(ring.create_user(name.clone(), Role::Risk, None, now), Err(KeysError::UserTaken(_))));
        let id = KeyId::of_user(&name);
        let other = KeyRing::load(&dir, None).unwrap();
        assert_eq!(other.users(), std::slice::from_ref(&record));
        assert_eq!(other.caller(&id), Some(Caller { key_id: id.clone(), role: Role::Risk, merchant: None }));
        let caller = other.caller(&id).unwrap();
        assert!(other.stands(&caller));
        assert!(!other.stands(&Caller { role: Role::Operator, ..caller.clone() }), "the role is part of it");
        let hash = PasswordHash::of("correct horse battery", &[7; SALT_BYTES]).unwrap();
        ring.set_password(&name, &hash).unwrap();
        other.reload_if_changed().unwrap();
        let kept = other.user(&name).unwrap().password.unwrap();
        assert!(kept.is("correct horse battery") && !kept.is("correct horse batterz") && !kept.is(""));
        assert!(!format!("{:?}", other.user(&name)).contains("argon2"), "silent");
        ring.remove_user(&name).unwrap();
        other.reload_if_changed().unwrap();
        assert!(!other.stands(&caller));
        assert!(matches!(ring.remove_user(&name), Err(KeysError::UnknownUser(_))));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_sign_in_is_good_once_and_for_ten_minutes_whoever_made_it() {
        let (dir, ring) = ring();
        let now = Timestamp::start_of_day(20_000);
        let name: UserName = "anna".parse().unwrap();
        ring.create_user(name.clone(), Role::Merchant, Some(MerchantId::new("bakery").unwrap()), now).unwrap();
        let id = KeyId::of_user(&name);
        let service = KeyRing::load(&dir, None).unwrap();
        let token = ring.invite(&id, now, &[1; INVITATION_RANDOM_BYTES]).unwrap();
        assert_eq!(service.accept("nonsense", now).unwrap(), None);
        assert_eq!(service.accept(token.expose(), now).unwrap(), service.caller(&id));
        assert_eq!(service.accept(token.expose(), now).unwrap(), None, "once");
        assert_eq!(ring.accept(token.expose(), now).unwrap(), None, "for everybody");
        let token = ring.invite(&id, now, &[2; INVITATION_RANDOM_BYTES]).unwrap();
        assert_eq!(service.accept(token.expose(), now.plus_ms(INVITATION_MS)).unwrap(), None, "ten minutes");
        let token = ring.invite(&id, now, &[3; INVITATION_RANDOM_BYTES]).unwrap();
        ring.remove_user(&name).unwrap();
        assert_eq!(service.accept(token.expose(), now).unwrap(), None, "for nobody");
        for number in 0..INVITATIONS_MAX {
            ring.invite(&id, now, &[u8::try_from(number).unwrap(); INVITATION_RANDOM_BYTES]).unwrap();
        }
        let more = ring.invite(&id, now, &[200; INVITATION_RANDOM_BYTES]);
        assert!(matches!(more, Err(KeysError::TooManyInvitations)));
        ring.invite(&id, now.plus_ms(INVITATION_MS), &[201; INVITATION_RANDOM_BYTES]).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn names_passwords_and_roles_have_bounds() {
        for good in ["al", "anna.b-2", "a2345678901234567890123456789012"] {
            assert!(good.parse::<UserName>().is_ok(), "{good}");
        }
        for bad in ["", "a", "Anna", "2anna", "an na", "@anna", "a23456789012345678901234567890123", "anna<b>"] {
            assert!(bad.parse::<UserName>().is_err(), "{bad}");
        }
        let salt = [7; SALT_BYTES];
        assert_eq!(PasswordHash::of("elevenchars", &salt), Err(BadPassword::TooShort));
        assert_eq!(PasswordHash::of(&"x".repeat(PASSWORD_BYTES_MAX + 1), &salt), Err(BadPassword::TooLong));
        let (dir, ring) = ring();
        let name: UserName = "anna".parse().unwrap();
        let now = Timestamp::start_of_day(20_000);
        let merchant = MerchantId::new("bakery").unwrap();
        let enter = |role, merchant| ring.create_user(name.clone(), role, merchant, now);
        assert!(matches!(enter(Role::App, None), Err(KeysError::NoConsole(_))));
        assert!(matches!(enter(Role::Merchant, None), Err(KeysError::MerchantNeeded)));
        assert!(matches!(enter(Role::Risk, Some(merchant)), Err(KeysError::MerchantRefused(_))));
        assert!(!dir.exists() || std::fs::remove_dir_all(&dir).is_ok());
    }
}
