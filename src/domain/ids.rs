//! Identifiers, each its own type, so that one can never stand in for another.
//!
//! Callers choose most of these. They are checked once, where they enter
//! ([`IdError`] says what is wrong), and are short enough to live inline.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest identifier a caller may choose, in bytes.
pub const ID_BYTES_MAX: usize = 128;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing was given.
    #[error("must not be empty")]
    Empty,
    /// Longer than [`ID_BYTES_MAX`].
    #[error("must be at most {ID_BYTES_MAX} bytes, has {0}")]
    TooLong(usize),
    /// Control characters would break logs, keys and pages.
    #[error("must not contain control characters")]
    Control,
}

/// Whether a text may be an identifier.
///
/// # Errors
/// [`IdError`] when empty, too long or holding control characters.
#[inline(never)]
pub fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > ID_BYTES_MAX {
        return Err(IdError::TooLong(text.len()));
    }
    // Nearly all text is without the bytes of which control characters are made (those
    // beyond ASCII begin with C2), and that is seen without taking it apart.
    let suspect = text.bytes().fold(false, |suspect, b| suspect | b.is_ascii_control() | (b == 0xC2));
    if suspect && text.chars().any(char::is_control) {
        return Err(IdError::Control);
    }
    Ok(())
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[expect(clippy::derived_hash_with_manual_eq, reason = "equal bytes have equal hashes")]
        #[derive(Clone, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "CompactString", into = "CompactString")]
        pub struct $name(CompactString);

        // Decisions compare ids more than anything else; the string's own is not inlined.
        impl PartialEq for $name {
            #[inline]
            fn eq(&self, other: &Self) -> bool {
                self.0.as_bytes() == other.0.as_bytes()
            }
        }

        impl $name {
            /// Checks and takes a text.
            ///
            /// # Errors
            /// [`IdError`] when empty, too long or holding control characters.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                check(text.as_ref())?;
                Ok(Self(CompactString::new(text.as_ref())))
            }
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0.as_str())
            }
        }
        impl TryFrom<CompactString> for $name {
            type Error = IdError;
            fn try_from(text: CompactString) -> Result<Self, IdError> {
                check(&text)?;
                Ok(Self(text))
            }
        }
        impl From<$name> for CompactString {
            fn from(id: $name) -> CompactString {
                id.0
            }
        }
        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
    };
}

text_id! {
    /// A configured source of webhooks (`visa-eu`).
    SourceName
}
text_id! {
    /// A person in the programme, as the operator names them.
    MemberId
}
text_id! {
    /// A merchant who funds offers.
    MerchantId
}
text_id! {
    /// One shop, site or terminal group of a merchant.
    LocationId
}
text_id! {
    /// An offer; its versions share the id.
    OfferId
}
text_id! {
    /// What joins the card events of one buying act, within a source.
    PurchaseId
}
text_id! {
    /// The same for every delivery of one card event, within a source and card.
    EventKey
}

/// A purchase: its source and the id that source gave it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PurchaseKey {
    /// Who told us.
    pub source: SourceName,
    /// The source's own id of the buying act.
    pub id: PurchaseId,
}

impl fmt::Display for PurchaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.id)
    }
}

/// A card: a keyed hash of its source and token. The token itself is never an index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CardHash(pub [u8; 16]);

impl fmt::Debug for CardHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "card:{:02x}{:02x}..", self.0[0], self.0[1])
    }
}
