//! A text that must stay between its owner and us.
//!
//! It is wiped when dropped, its `Debug` is silent, and it has no `Display` and no
//! `Serialize`, so that a log, an error or a page cannot get it by accident.

use std::fmt;
use zeroize::Zeroizing;

/// Shortest key or password a proof may rest on, in bytes: fewer than 128 bits can be guessed.
pub const SECRET_BYTES_MIN: usize = 16;
/// Longest secret taken, in bytes.
pub const SECRET_BYTES_MAX: usize = 1024;

/// A shared secret, as its owner wrote it.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

/// What is wrong with a secret; never what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// A line end kept from a file is the usual cause, and would never match.
    #[error("it holds white space or control characters (a line end from a file?)")]
    WhiteSpace,
    /// Standard Webhooks secrets are base64; a plain text would sign with other bytes.
    #[error("it is not base64, with or without `whsec_` before it")]
    NotBase64,
    /// HTTP basic needs both, joined by the first colon.
    #[error("it is not `user:password`")]
    NotUserAndPassword,
    /// Too easily guessed.
    #[error("it has {0} bytes, at least {SECRET_BYTES_MIN} are needed")]
    TooShort(usize),
    /// Surely not a secret.
    #[error("it has {0} bytes, at most {SECRET_BYTES_MAX} are taken")]
    TooLong(usize),
}

impl Secret {
    /// Takes a text; whether it fits is for the scheme to say.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }
    /// The text itself, for the one who must use or show it. Do not keep it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
    /// The text, once it is sure that nothing invisible came with it.
    pub(super) fn checked(&self) -> Result<&str, SecretFault> {
        if self.0.len() > SECRET_BYTES_MAX {
            return Err(SecretFault::TooLong(self.0.len()));
        }
        if self.0.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(SecretFault::WhiteSpace);
        }
        Ok(&self.0)
    }
}

/// The key or password, unless it is too short to rest a proof on.
pub(super) fn long_enough(key: &[u8]) -> Result<&[u8], SecretFault> {
    if key.len() < SECRET_BYTES_MIN { Err(SecretFault::TooShort(key.len())) } else { Ok(key) }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}
