//! Who is speaking: webhook signatures over exact bytes, and API keys with roles.
//!
//! Nothing here reads what a body says; a body leaves as a [`VerifiedBody`], and
//! only then may others parse it. Nothing here knows HTTP statuses or asks the
//! clock, and no secret leaves its type: not in an error, a log or a `Debug`.
//!
//! A new scheme is a file beside `stripe.rs` that implements `Prove`, and a
//! line per `match` on [`Scheme`].
//!
//! Kard, Marqeta and HTTP basic do not say when something was signed. Their old deliveries
//! can be posted again by whoever saw one. That changes nothing: an event's identity is kept
//! for as long as an event of its age is taken at all, so it has its one effect.

mod base64_tag;
mod basic;
mod fidel;
mod header;
pub(crate) mod hex;
mod kard;
pub mod keys;
mod mac;
mod marqeta;
mod secret;
pub mod sign;
mod standard_webhooks;
mod stripe;

pub use keys::{Caller, KeyId, KeyRecord, KeyRing, KeysError, NewKey, Role};
pub use secret::{SECRET_BYTES_MAX, SECRET_BYTES_MIN, Secret, SecretFault};
pub use sign::{CurlBody, CurlUser, SignError, Signer, curl, sign};

use crate::domain::Timestamp;
use bytes::Bytes;
use compact_str::CompactString;
use header::SignedAt;
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
    /// `x-fidel-signature`, `x-fidel-timestamp`; the address is signed too.
    Fidel,
    /// `notify-signature`.
    Kard,
    /// `X-Marqeta-Signature`.
    Marqeta,
    /// A user name and password in `Authorization` (RFC 7617).
    Basic,
}

impl Scheme {
    /// All of them, in the order they are documented.
    pub const ALL: [Self; 6] =
        [Self::StandardWebhooks, Self::Stripe, Self::Fidel, Self::Kard, Self::Marqeta, Self::Basic];

    /// The name configuration uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::StandardWebhooks => "standard-webhooks",
            Self::Stripe => "stripe",
            Self::Fidel => "fidel",
            Self::Kard => "kard",
            Self::Marqeta => "marqeta",
            Self::Basic => "basic",
        }
    }

    /// Whether it proves the body's bytes, not only who posts them.
    #[must_use]
    pub const fn signs_body(self) -> bool {
        !matches!(self, Self::Basic)
    }

    /// Whether it proves when. Without, an old delivery proves itself for ever, and the
    /// event's identity alone keeps it from counting twice.
    #[must_use]
    pub const fn signs_time(self) -> bool {
        matches!(self, Self::StandardWebhooks | Self::Stripe | Self::Fidel)
    }

    /// Whether the address posted to is signed, so that it must be known.
    #[must_use]
    pub const fn signs_address(self) -> bool {
        matches!(self, Self::Fidel)
    }

    fn prover(self, secrets: &[Placed<'_>], public_url: Option<&str>) -> Result<Box<dyn Prove>, VerifierError> {
        // Each arm prepares every secret, so that a bad one is named at the start.
        Ok(match self {
            Self::StandardWebhooks => {
                Box::new(standard_webhooks::Prover(self.prepared(secrets, standard_webhooks::key)?))
            }
            Self::Stripe => Box::new(stripe::Prover(self.prepared(secrets, stripe::key)?)),
            Self::Fidel => {
                let keys = self.prepared(secrets, fidel::key)?;
                let public_url = public_url.ok_or(VerifierError::NoPublicUrl(self))?.into();
                Box::new(fidel::Prover { keys, public_url })
            }
            Self::Kard => Box::new(kard::Prover(self.prepared(secrets, kard::key)?)),
            Self::Marqeta => Box::new(marqeta::Prover(self.prepared(secrets, marqeta::key)?)),
            Self::Basic => Box::new(basic::Prover(self.prepared(secrets, basic::key)?)),
        })
    }

    fn prepared<K>(
        self,
        secrets: &[Placed<'_>],
        prepare: fn(&Secret) -> Result<K, SecretFault>,
    ) -> Result<Vec<K>, VerifierError> {
        let prepare_one = |(place, secret): &Placed<'_>| {
            prepare(secret).map_err(|fault| VerifierError::Secret { position: place + 1, scheme: self, fault })
        };
        secrets.iter().map(prepare_one).collect()
    }
}

/// A secret with its place in its source's list.
type Placed<'a> = (usize, &'a Secret);

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no scheme we have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a way to authenticate; there are {known}", known = Scheme::ALL.map(Scheme::name).join(", "))]
pub struct UnknownScheme(pub String);

impl FromStr for Scheme {
    type Err = UnknownScheme;
    fn from_str(text: &str) -> Result<Self, UnknownScheme> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == text).ok_or_else(|| UnknownScheme(text.to_owned()))
    }
}

/// How one source proves itself.
#[derive(Debug, Clone, Copy)]
pub struct Ways<'a> {
    /// All of them must hold.
    pub schemes: &'a [Scheme],
    /// In the order of the source's list, each for its scheme alone. In each scheme any one
    /// may have been used.
    pub secrets: &'a [(Scheme, Secret)],
    /// The address the sender posts to, letter for letter as it knows it; for a scheme that
    /// signs it.
    pub public_url: Option<&'a str>,
    /// How far a signature's time may lie from ours, either way.
    pub age_seconds_max: u32,
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
    /// A scheme that no secret is for.
    #[error("no secret is for `{0}`")]
    NoSecretFor(Scheme),
    /// A secret for a scheme that is not asked for.
    #[error("secret {position} is for `{scheme}`, which is not among the ways to authenticate")]
    SecretForOther {
        /// Counted from one, as people count the list in the file.
        position: usize,
        /// What it was said to be for.
        scheme: Scheme,
    },
    /// A scheme signs the address, and which that is was not said.
    #[error("`{0}` signs the address it posts to: `public_url` must say which that is")]
    NoPublicUrl(Scheme),
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
    /// The time is anything but digits, as many as its unit needs.
    #[error("the signature's time is not a whole number since 1970 in the scheme's unit")]
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

/// Which secrets proved a delivery, by their places in the source's list: one per scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeysUsed(u8);

// A bit per place.
const _: () = assert!(SECRETS_MAX <= 8);

impl KeysUsed {
    fn add(&mut self, place: usize) {
        self.0 |= 1 << (place % SECRETS_MAX);
    }
    /// The places, 0 being the first of the list.
    pub fn places(self) -> impl Iterator<Item = usize> {
        (0..SECRETS_MAX).filter(move |place| self.0 >> place & 1 == 1)
    }
}

/// A delivery that proved itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The bytes, now fit to be read.
    pub body: VerifiedBody,
    /// The sender's id of the message; `None` when the scheme has none.
    pub message_id: Option<CompactString>,
    /// Which secrets were used, so that an operator sees when an old one still is.
    pub keys: KeysUsed,
    /// When it was signed, by the sender's clock; `None` when the scheme does not say.
    pub signed_at: Option<Timestamp>,
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
    signed_at: Option<SignedAt>,
    /// Among the scheme's own keys.
    key_index: usize,
}

/// One scheme with its secrets prepared.
trait Prove: Send + Sync {
    fn prove(&self, delivery: &Delivery<'_>) -> Result<Proof, Denied>;
}

/// Checks the deliveries of one source.
pub struct Verifier {
    ways: Vec<Way>,
    age_seconds_max: u32,
}

struct Way {
    scheme: Scheme,
    prover: Box<dyn Prove>,
    /// Of each of its keys, the place in the source's list.
    places: Vec<usize>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schemes: Vec<Scheme> = self.ways.iter().map(|way| way.scheme).collect();
        f.debug_struct("Verifier").field("schemes", &schemes).finish_non_exhaustive()
    }
}

impl Verifier {
    /// Prepares every secret for every scheme. All the schemes must pass for a
    /// delivery to pass; in each, any one of the secrets may have been used.
    /// For schemes with secrets of their own, or one that signs the address, see
    /// [`Verifier::of`].
    ///
    /// # Errors
    /// [`VerifierError`] when nothing could be proven, or a secret has not the
    /// form its scheme needs.
    #[expect(clippy::needless_pass_by_value, reason = "the secrets are wiped here, once their keys are prepared")]
    pub fn new(schemes: &[Scheme], secrets: Vec<Secret>, age_seconds_max: u32) -> Result<Self, VerifierError> {
        Self::check(schemes, secrets.len())?;
        let placed: Vec<Placed<'_>> = secrets.iter().enumerate().collect();
        let ways = schemes.iter().map(|scheme| Way::new(*scheme, &placed, None)).collect::<Result<_, _>>()?;
        Ok(Self { ways, age_seconds_max })
    }

    /// Prepares each secret for its scheme.
    ///
    /// # Errors
    /// [`VerifierError`] when a scheme has no secret or a secret no scheme, when a secret
    /// has not the form its scheme needs, or when an address is needed and not said.
    pub fn of(source: Ways<'_>) -> Result<Self, VerifierError> {
        Self::check(source.schemes, source.secrets.len())?;
        for (place, (scheme, _)) in source.secrets.iter().enumerate() {
            if !source.schemes.contains(scheme) {
                return Err(VerifierError::SecretForOther { position: place + 1, scheme: *scheme });
            }
        }
        let way = |scheme: &Scheme| {
            let places = source.secrets.iter().enumerate().filter(|(_, (of, _))| of == scheme);
            let placed: Vec<Placed<'_>> = places.map(|(place, (_, secret))| (place, secret)).collect();
            Way::new(*scheme, &placed, source.public_url)
        };
        let ways = source.schemes.iter().map(way).collect::<Result<_, _>>()?;
        Ok(Self { ways, age_seconds_max: source.age_seconds_max })
    }

    fn check(schemes: &[Scheme], secrets: usize) -> Result<(), VerifierError> {
        if schemes.is_empty() {
            return Err(VerifierError::NoScheme);
        }
        if let Some((_, twice)) = schemes.iter().enumerate().find(|(index, scheme)| schemes[..*index].contains(scheme))
        {
            return Err(VerifierError::SchemeTwice(*twice));
        }
        match secrets {
            0 => Err(VerifierError::NoSecret),
            1..=SECRETS_MAX => Ok(()),
            _ => Err(VerifierError::TooManySecrets(secrets)),
        }
    }

    /// Whether one of the schemes is HTTP basic: its refusals must ask for a password.
    #[must_use]
    pub fn asks_for_password(&self) -> bool {
        self.ways.iter().any(|way| way.scheme == Scheme::Basic)
    }

    /// Takes the body if its sender, bytes and age are proven.
    ///
    /// # Errors
    /// [`Denied`] says why not; tell the outside nothing but that.
    pub fn verify(&self, headers: &HeaderMap, body: Bytes, now: Timestamp) -> Result<Verified, Denied> {
        let delivery = Delivery { headers, body: &body, now, age_seconds_max: self.age_seconds_max };
        let (mut message_id, mut signed_at, mut keys) = (None, None, KeysUsed::default());
        for way in &self.ways {
            let proof = way.prover.prove(&delivery)?;
            message_id = message_id.or(proof.message_id);
            signed_at = signed_at.or(proof.signed_at.map(SignedAt::timestamp));
            keys.add(way.places[proof.key_index]);
        }
        Ok(Verified { body: VerifiedBody(body), message_id, keys, signed_at })
    }
}

impl Way {
    fn new(scheme: Scheme, secrets: &[Placed<'_>], public_url: Option<&str>) -> Result<Self, VerifierError> {
        if secrets.is_empty() {
            return Err(VerifierError::NoSecretFor(scheme));
        }
        let places = secrets.iter().map(|(place, _)| *place).collect();
        Ok(Self { scheme, prover: scheme.prover(secrets, public_url)?, places })
    }
}

#[cfg(test)]
mod tests;
