//! Secrets: where they come from, and whether they deserve the name.
//!
//! A secret comes from the environment or a file, never from the configuration itself, and
//! never appears in a message: the checks say which rule it breaks, not what it is.

use super::values::{Bad, bad};
use crate::authenticate::{SECRET_BYTES_MIN, Scheme};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Fewest key bytes: Standard Webhooks asks for 24 to 64.
pub const SECRET_KEY_BYTES_MIN: usize = 24;
/// Fewest characters of a secret that its owner chooses: Marqeta takes 20 to 50.
pub const SECRET_CHOSEN_BYTES_MIN: usize = 20;
/// Most bytes of a secret's text; a longer file is the wrong file.
pub const SECRET_TEXT_BYTES_MAX: usize = 1024;

/// Providers hand out keys with padding and without, and now and then with bits left over.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A secret as given, wiped when dropped. It prints as nothing.
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
    /// The text, for the code that signs and verifies alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretPlace {
    /// In the variable of this name.
    Env(String),
    /// In this file.
    File(PathBuf),
}

impl SecretPlace {
    /// Reads `env:NAME` or `file:PATH`.
    ///
    /// # Errors
    /// [`Bad`] for anything else, which is not repeated: it may well be the secret.
    pub fn parse(text: &str) -> Result<Self, Bad> {
        const RIGHT: &str = "\"env:NAME\" or \"file:PATH\"";
        match text.split_once(':') {
            Some(("env", name))
                if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') =>
            {
                Ok(Self::Env(name.to_owned()))
            }
            Some(("env", _)) => bad("names no variable (letters, digits and `_`)", RIGHT),
            Some(("file", path)) if !path.is_empty() && !path.contains('\0') => Ok(Self::File(PathBuf::from(path))),
            Some(("file", _)) => bad("names no file", RIGHT),
            _ => bad("secrets come from environment or file only", RIGHT),
        }
    }
}

impl fmt::Display for SecretPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// An entry of a source's list of secrets: where it is, and for which way of authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecretEntry {
    /// `None`: for the way that no other entry names.
    pub(super) scheme: Option<Scheme>,
    pub(super) place: SecretPlace,
}

impl SecretEntry {
    /// Reads a place, or a way of authentication, `=` and a place.
    pub(super) fn parse(text: &str) -> Result<Self, Bad> {
        // A path or a secret may hold `=` too: what stands before it must be a way.
        let named = text.split_once('=').and_then(|(way, place)| Some((way.parse::<Scheme>().ok()?, place)));
        match named {
            Some((scheme, place)) => Ok(Self { scheme: Some(scheme), place: SecretPlace::parse(place)? }),
            None => Ok(Self { scheme: None, place: SecretPlace::parse(text)? }),
        }
    }
}

const RANDOM: &str = "at least 24 random bytes, such as from `openssl rand -base64 32`";

/// Published examples, which everybody knows: what the specification, its libraries and
/// their documentation print. They are long and random enough to pass every other check.
const EXAMPLES: [&str; 3] =
    ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "plJ3nmyCDGBKInavdOK15jsl"];

/// Words of placeholders, long enough that a random secret has one by chance about once in a
/// million.
const PLACEHOLDERS: [&str; 11] = [
    "changeme",
    "change-me",
    "change_me",
    "default",
    "example",
    "password",
    "placeholder",
    "replace",
    "secret",
    "whsec_test",
    "your-key",
];

/// Checks a secret for one scheme.
///
/// # Errors
/// [`Bad`] when it is empty, short, a known example, or nothing like random.
pub(super) fn check_secret(text: &str, scheme: Scheme) -> Result<(), Bad> {
    if text.is_empty() {
        return bad("is empty", RANDOM);
    }
    if text.len() > SECRET_TEXT_BYTES_MAX {
        return bad(format!("has more than {SECRET_TEXT_BYTES_MAX} bytes"), "the secret alone");
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return bad("has white space or control characters in it", "the secret alone, on one line");
    }
    // A user's name may well be the word of a placeholder; the password is what counts.
    let text = match (scheme, text.split_once(':')) {
        (Scheme::Basic, Some((user, password))) if !user.is_empty() => password,
        (Scheme::Basic, _) => return bad("is not a user name and a password", "`user:password`, with a colon between"),
        _ => text,
    };
    let bare = text.strip_prefix("whsec_").unwrap_or(text);
    if EXAMPLES.contains(&bare) {
        return bad("is an example out of public documentation", RANDOM);
    }
    refuse_placeholder(text.as_bytes())?;
    let key = match scheme {
        Scheme::StandardWebhooks => {
            let Ok(key) = KEY_BASE64.decode(bare).map(Zeroizing::new) else {
                return bad("is no base64", "`whsec_` and the key in base64, as Standard Webhooks has it");
            };
            if key.len() < SECRET_KEY_BYTES_MIN {
                return bad(format!("decodes to {} bytes", key.len()), RANDOM);
            }
            key
        }
        Scheme::Stripe => {
            if bare.len() < SECRET_KEY_BYTES_MIN {
                return bad(format!("has {} bytes", bare.len()), "Stripe's signing secret, `whsec_` and what follows");
            }
            Zeroizing::new(bare.as_bytes().to_vec())
        }
        Scheme::Fidel | Scheme::Kard => long_enough(text, SECRET_BYTES_MIN, "the key as the provider shows it, whole")?,
        Scheme::Marqeta => long_enough(text, SECRET_CHOSEN_BYTES_MIN, "20 random characters or more")?,
        Scheme::Basic => long_enough(text, SECRET_CHOSEN_BYTES_MIN, "a password of 20 random characters or more")?,
    };
    refuse_placeholder(&key)?;
    refuse_pattern(&key)
}

fn long_enough(text: &str, bytes_min: usize, right: &str) -> Result<Zeroizing<Vec<u8>>, Bad> {
    if text.len() < bytes_min {
        return bad(format!("has {} bytes", text.len()), right);
    }
    Ok(Zeroizing::new(text.as_bytes().to_vec()))
}

fn refuse_placeholder(text: &[u8]) -> Result<(), Bad> {
    let lower = Zeroizing::new(text.to_ascii_lowercase());
    if PLACEHOLDERS.iter().any(|word| lower.windows(word.len()).any(|window| window == word.as_bytes())) {
        return bad("is a well-known default", RANDOM);
    }
    Ok(())
}

/// Refuses what repeats itself or counts up. Random bytes do neither: 24 of them hold fewer
/// than 6 different ones, or a period, practically never.
fn refuse_pattern(key: &[u8]) -> Result<(), Bad> {
    let different = key.iter().collect::<BTreeSet<_>>().len();
    let periodic = (1..=key.len() / 2).any(|period| key[period..].iter().zip(key).all(|(a, b)| a == b));
    let step = key[1].wrapping_sub(key[0]);
    let counting = key.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == step);
    if different < 6 || periodic || counting {
        return bad("repeats itself", RANDOM);
    }
    Ok(())
}
