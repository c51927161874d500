//! Kard: `notify-signature` is the base64 of HMAC-SHA256(key, body).
//!
//! Nothing in it says when: an old delivery proves itself for ever. What keeps a replay from
//! counting twice is the event's own identity, which is remembered for as long as an event
//! is taken at all.

use super::header::only;
use super::mac::{MacKey, Tag};
use super::secret::{SecretFault, long_enough};
use super::{Delivery, Denied, Proof, Prove, Secret, base64_tag};
use hyper::header::HeaderName;

pub(super) const SIGNATURE: &str = "notify-signature";
static SIGNATURE_NAME: HeaderName = HeaderName::from_static(SIGNATURE);

/// The key is the secret's text as it stands.
pub(super) fn key(secret: &Secret) -> Result<MacKey, SecretFault> {
    Ok(MacKey::new(long_enough(secret.checked()?.as_bytes())?))
}

pub(super) fn tag(key: &MacKey, body: &[u8]) -> Tag {
    key.over(&[body]).tag()
}

/// The scheme with its keys.
pub(super) struct Prover(pub(super) Vec<MacKey>);

impl Prove for Prover {
    fn prove(&self, delivery: &Delivery<'_>) -> Result<Proof, Denied> {
        let signature = only(delivery.headers, &SIGNATURE_NAME)?;
        let claimed = base64_tag::decoded(signature).ok_or(Denied::MalformedHeader(SIGNATURE))?;
        let made_with = |key: &MacKey| key.over(&[delivery.body]).has(&claimed);
        let key_index = self.0.iter().position(made_with).ok_or(Denied::NoMatchingSignature)?;
        Ok(Proof { message_id: None, signed_at: None, key_index })
    }
}
