//! Who is signed in: sessions kept in memory under the hash of their token, bounded in number and
//! in time. A restart signs everybody out, and a session is known to one process alone.

use crate::authenticate::hex;
use crate::authenticate::keys::Caller;
use crate::authenticate::keys::users::PasswordHash;
use crate::domain::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The cookie that carries a session's token.
pub const COOKIE: &str = "ringfence_console";
/// Longest time signed in.
pub const SESSION_MS: i64 = 12 * 3_600_000;
/// Longest time without a page.
pub const IDLE_MS: i64 = 3_600_000;
/// Sessions at once: beyond them the one that was idle longest ends.
pub const SESSIONS_MAX: usize = 10_000;

/// A session as it is found.
#[derive(Debug, Clone)]
pub struct Session {
    /// Whose it is.
    pub caller: Caller,
    /// What every form of it carries.
    pub csrf: String,
    /// It began with a link that is good once: whoever had it may set a password without the old.
    pub by_link: bool,
    /// The user's password when it began: with another one it is over. `None` for a key's, and for
    /// a user without one.
    pub password: Option<PasswordHash>,
    began: Timestamp,
    seen: Timestamp,
}

/// Everybody who is signed in.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<Kept>);

type Hash = [u8; 32];

#[derive(Debug, Default)]
struct Kept {
    sessions: HashMap<Hash, Session>,
}

/// The system gave no random number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no random number")]
pub struct NoRandom;

/// Random bytes.
///
/// # Errors
/// [`NoRandom`].
pub(super) fn random<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(bytes)
}

/// 256 random bits as text.
///
/// # Errors
/// [`NoRandom`].
pub fn token() -> Result<String, NoRandom> {
    Ok(hex::encoded(&random::<32>()?))
}

fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

impl Sessions {
    /// Begins a session; its token is handed out once.
    ///
    /// # Errors
    /// [`NoRandom`].
    pub fn open(
        &self,
        caller: Caller,
        password: Option<PasswordHash>,
        by_link: bool,
        now: Timestamp,
    ) -> Result<String, NoRandom> {
        let (text, csrf) = (token()?, token()?);
        let mut kept = self.kept();
        kept.sessions.retain(|_, session| session.stands(now));
        if kept.sessions.len() >= SESSIONS_MAX {
            let idle = kept.sessions.iter().min_by_key(|(_, session)| session.seen).map(|(key, _)| *key);
            idle.map(|key| kept.sessions.remove(&key));
        }
        kept.sessions.insert(hash(&text), Session { caller, csrf, by_link, password, began: now, seen: now });
        Ok(text)
    }

    /// The session of a token, which is not idle now.
    pub fn find(&self, token: &str, now: Timestamp) -> Option<Session> {
        let mut kept = self.kept();
        let key = hash(token);
        let session = kept.sessions.get_mut(&key)?;
        if session.stands(now) {
            session.seen = now;
            return Some(session.clone());
        }
        kept.sessions.remove(&key);
        None
    }

    /// Ends a session.
    pub fn close(&self, token: &str) {
        self.kept().sessions.remove(&hash(token));
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn stands(&self, now: Timestamp) -> bool {
        now < self.began.plus_ms(SESSION_MS) && now < self.seen.plus_ms(IDLE_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authenticate::keys::Role;

    fn caller(id: &str) -> Caller {
        Caller { key_id: id.parse().unwrap(), role: Role::Risk, merchant: None }
    }

    #[test]
    fn a_session_ends_by_itself() {
        let sessions = Sessions::default();
        let begun = Timestamp::start_of_day(20_000);
        let text = sessions.open(caller("abcdefghijkl"), None, false, begun).unwrap();
        assert!(sessions.find(&text, begun.plus_ms(IDLE_MS - 1)).is_some());
        assert!(sessions.find("other", begun).is_none());
        assert!(sessions.find(&text, begun.plus_ms(2 * IDLE_MS - 1)).is_none(), "idle for an hour");
        let text = sessions.open(caller("abcdefghijkl"), None, false, begun).unwrap();
        for half_hour in 1..24 {
            assert!(sessions.find(&text, begun.plus_ms(half_hour * IDLE_MS / 2)).is_some(), "{half_hour}");
        }
        assert!(sessions.find(&text, begun.plus_ms(SESSION_MS)).is_none(), "twelve hours, however busy");
    }

    #[test]
    fn there_are_never_too_many() {
        let sessions = Sessions::default();
        let begun = Timestamp::start_of_day(20_000);
        let first = sessions.open(caller("abcdefghijkl"), None, false, begun).unwrap();
        for _ in 0..SESSIONS_MAX {
            sessions.open(caller("abcdefghijkl"), None, false, begun.plus_ms(1)).unwrap();
        }
        assert_eq!(sessions.kept().sessions.len(), SESSIONS_MAX);
        assert!(sessions.find(&first, begun.plus_ms(2)).is_none());
    }
}
