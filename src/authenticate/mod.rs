//! Who is speaking: webhook signatures over exact bytes, and API keys with roles.
//!
//! Nothing here reads what a body says; a body leaves as a [`VerifiedBody`], and
//! only then may others parse it. Nothing here knows HTTP statuses or asks the
//! clock, and no secret leaves its type: not in an error, a log or a `Debug`.
//!
//! A new scheme is a file beside `stripe.rs` that implements `Prove`, and a
//! line per `match` on [`Scheme`].

mod header;
mod hex;
pub mod keys;
mod mac;
mod secret;
pub mod sign;
mod standard_webhooks;
mod stripe;

pub use keys::{Caller, KeyId, KeyRecord, KeyRing, KeysError, NewKey, Role};
pub use secret::{Secret, SecretFault};
pub use sign::{CurlBody, SignError, Signer, curl, sign};

use crate::domain::Timestamp;
use bytes::Bytes;
use compact_str::CompactString;
use hyper::HeaderMap;
use std::{fmt, str::FromStr};

/// How far a signature's time may lie from ours, either way, unless configured.
pub const AGE_SECONDS_MAX_DEFAULT: u32 = 300;
/// Most secrets valid at once for one source; each costs a pass over the body.
pub const SECRETS_MAX: usize = 8;
/// Most signatures looked at in one delivery; each costs a comparison per secret.
pub const SIGNATURES_MAX: usize = 16;

/// The exact bytes of a body whose sender is proven.
///
/// Only this module makes one, and `normalise` takes nothing else: that is what
/// makes "verified before parsed" true.
///
/// ```compile_fail
/// let forged = ringfence::authenticate::VerifiedBody(bytes::Bytes::new());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedBody(Bytes);

impl VerifiedBody {
    /// A body vouched for by an operator in place of a signature: a file given to
    /// `ingest`, a dead letter replayed. The caller has checked that it is one.
    #[must_use]
    pub fn by_operator(body: Bytes) -> Self {
        Self(body)
    }
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
    /// The bytes, without copying them.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl AsRef<[u8]> for VerifiedBody {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

// A body holds card tokens and names; a log must not get them through `Debug`.
impl fmt::Debug for VerifiedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifiedBody({} bytes)", self.0.len())
    }
}

/// How a source proves that a webhook is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// `webhook-id`, `webhook-timestamp`, `webhook-signature` (Lithic, our own format).
    StandardWebhooks,
    /// `Stripe-Signature`.
    Stripe,
}

impl Scheme {
    /// All of them, in the order they are documented.
    pub const ALL: [Self; 2] = [Self::StandardWebhooks, Self::Stripe];

    /// The name configuration uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::StandardWebhooks => "standard-webhooks",
            Self::Stripe => "stripe",
        }
    }

    fn prover(self, secrets: &[Secret]) -> Result<Box<dyn Prove>, VerifierError> {
        // Each arm prepares every secret, so that a bad one is named at the start.
        match self {
            Self::StandardWebhooks => {
                Ok(Box::new(standard_webhooks::Prover(self.prepared(secrets, standard_webhooks::key)?)))
            }
            Self::Stripe => Ok(Box::new(stripe::Prover(self.prepared(secrets, stripe::key)?))),
        }
    }

    fn prepared<K>(
        self,
        secrets: &[Secret],
        prepare: fn(&Secret) -> Result<K, SecretFault>,
    ) -> Result<Vec<K>, VerifierError> {
        let prepare_one = |(index, secret)| {
            prepare(secret).map_err(|fault| VerifierError::Secret { position: index + 1, scheme: self, fault })
        };
        secrets.iter().enumerate().map(prepare_one).collect()
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no scheme we have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a way to authenticate; there are standard-webhooks and stripe")]
pub struct UnknownScheme(pub String);

impl FromStr for Scheme {
    type Err = UnknownScheme;
    fn from_str(text: &str) -> Result<Self, UnknownScheme> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == text).ok_or_else(|| UnknownScheme(text.to_owned()))
    }
}

/// Why a source's verifier cannot be built. Names positions, never contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    /// Nobody would be checked.
    #[error("at least one way to authenticate is needed")]
    NoScheme,
    /// Named twice, which is surely a slip.
    #[error("`{0}` is named twice")]
    SchemeTwice(Scheme),
    /// Nothing could ever match.
    #[error("at least one secret is needed")]
    NoSecret,
    /// More than [`SECRETS_MAX`].
    #[error("at most {SECRETS_MAX} secrets may be valid at once, {0} are given")]
    TooManySecrets(usize),
    /// A secret does not fit the scheme.
    #[error("secret {position} does not fit `{scheme}`")]
    Secret {
        /// Counted from one, as people count the list in the file.
        position: usize,
        /// The scheme it was prepared for.
        scheme: Scheme,
        /// What is wrong with it.
        #[source]
        fault: SecretFault,
    },
}

/// Why a delivery was turned away. For the operator's log and a metric's label;
/// the outside learns only that it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A header the scheme needs is not there.
    #[error("header `{0}` is missing")]
    MissingHeader(&'static str),
    /// A header is there twice, too long, or not of its form.
    #[error("header `{0}` is malformed")]
    MalformedHeader(&'static str),
    /// The time is anything but one to twelve digits.
    #[error("the signature's time is not whole seconds since 1970")]
    TimestampMalformed,
    /// Signed longer ago than allowed: a replay, or a clock that is behind.
    #[error("signed {seconds} s ago")]
    TooOld {
        /// The age.
        seconds: i64,
    },
    /// Signed further ahead than allowed: a clock is wrong.
    #[error("signed {seconds} s in the future")]
    TooNew {
        /// How far ahead.
        seconds: i64,
    },
    /// Signatures are there, but none of a version we verify.
    #[error("no signature of a known version")]
    NoKnownVersion,
    /// Well formed and in time, but made with another key or over other bytes.
    #[error("no signature matches any secret")]
    NoMatchingSignature,
}

impl Denied {
    /// The reason as a metric's label: few, fixed, without anything from the sender.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::MissingHeader(_) => "missing_header",
            Self::MalformedHeader(_) => "malformed_header",
            Self::TimestampMalformed => "timestamp_malformed",
            Self::TooOld { .. } => "too_old",
            Self::TooNew { .. } => "too_new",
            Self::NoKnownVersion => "no_known_version",
            Self::NoMatchingSignature => "no_matching_signature",
        }
    }
}

/// A delivery that proved itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The bytes, now fit to be read.
    pub body: VerifiedBody,
    /// The sender's id of the message; `None` when the scheme has none.
    pub message_id: Option<CompactString>,
    /// Which secret matched, 0 being the current one. With several schemes the
    /// highest, so that an operator sees when an old secret is still in use.
    pub key_index: usize,
}

/// What a scheme looks at.
struct Delivery<'a> {
    headers: &'a HeaderMap,
    body: &'a [u8],
    now: Timestamp,
    age_seconds_max: u32,
}

/// What a scheme found.
struct Proof {
    message_id: Option<CompactString>,
    key_index: usize,
}

/// One scheme with its secrets prepared.
trait Prove: Send + Sync {
    fn prove(&self, delivery: &Delivery<'_>) -> Result<Proof, Denied>;
}

/// Checks the deliveries of one source.
pub struct Verifier {
    schemes: Vec<Scheme>,
    provers: Vec<Box<dyn Prove>>,
    age_seconds_max: u32,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("schemes", &self.schemes).finish_non_exhaustive()
    }
}

impl Verifier {
    /// Prepares every secret for every scheme. All the schemes must pass for a
    /// delivery to pass; in each, any one of the secrets may have been used.
    ///
    /// # Errors
    /// [`VerifierError`] when nothing could be proven, or a secret has not the
    /// form its scheme needs.
    #[expect(clippy::needless_pass_by_value, reason = "the secrets are wiped here, once their keys are prepared")]
    pub fn new(schemes: &[Scheme], secrets: Vec<Secret>, age_seconds_max: u32) -> Result<Self, VerifierError> {
        if schemes.is_empty() {
            return Err(VerifierError::NoScheme);
        }
        if let Some((_, twice)) = schemes.iter().enumerate().find(|(index, scheme)| schemes[..*index].contains(scheme))
        {
            return Err(VerifierError::SchemeTwice(*twice));
        }
        if secrets.is_empty() {
            return Err(VerifierError::NoSecret);
        }
        if secrets.len() > SECRETS_MAX {
            return Err(VerifierError::TooManySecrets(secrets.len()));
        }
        let provers = schemes.iter().map(|scheme| scheme.prover(&secrets)).collect::<Result<_, _>>()?;
        Ok(Self { schemes: schemes.to_vec(), provers, age_seconds_max })
    }

    /// Takes the body if its sender, bytes and age are proven.
    ///
    /// # Errors
    /// [`Denied`] says why not; tell the outside nothing but that.
    pub fn verify(&self, headers: &HeaderMap, body: Bytes, now: Timestamp) -> Result<Verified, Denied> {
        let delivery = Delivery { headers, body: &body, now, age_seconds_max: self.age_seconds_max };
        let mut message_id = None;
        let mut key_index = 0;
        for prover in &self.provers {
            let proof = prover.prove(&delivery)?;
            message_id = message_id.or(proof.message_id);
            key_index = key_index.max(proof.key_index);
        }
        Ok(Verified { body: VerifiedBody(body), message_id, key_index })
    }
}

#[cfg(test)]
mod tests;
