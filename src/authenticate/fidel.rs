//! Fidel: `x-fidel-signature` is the base64 of HMAC-SHA256(key, inner), where inner is the
//! base64 *text* of HMAC-SHA256(key, body + address + time), and `x-fidel-timestamp` the
//! time in milliseconds.
//!
//! The address is the one registered with Fidel, letter for letter. We cannot see it, since
//! a proxy may rewrite it, so it is configured.
//!
//! Nothing separates the three parts. They still read in one way only: the address is one
//! fixed text that begins with a letter and digits alone follow it, so no other cut of the
//! same bytes leaves that address before digits. Each retry is signed anew.

use super::header::{in_time, milliseconds, only};
use super::mac::{MacKey, Tag};
use super::secret::{SecretFault, long_enough};
use super::{Delivery, Denied, Proof, Prove, Secret, base64_tag};
use hyper::header::HeaderName;

pub(super) const SIGNATURE: &str = "x-fidel-signature";
static SIGNATURE_NAME: HeaderName = HeaderName::from_static(SIGNATURE);
pub(super) const TIMESTAMP: &str = "x-fidel-timestamp";
static TIMESTAMP_NAME: HeaderName = HeaderName::from_static(TIMESTAMP);

/// The key is the secret's text as it stands.
pub(super) fn key(secret: &Secret) -> Result<MacKey, SecretFault> {
    Ok(MacKey::new(long_enough(secret.checked()?.as_bytes())?))
}

fn inner(key: &MacKey, body: &[u8], public_url: &str, timestamp: &str) -> [u8; base64_tag::TAG_CHARS] {
    base64_tag::encoded_bytes(&key.over(&[body, public_url.as_bytes(), timestamp.as_bytes()]).tag())
}

pub(super) fn tag(key: &MacKey, body: &[u8], public_url: &str, timestamp: &str) -> Tag {
    key.over(&[&inner(key, body, public_url, timestamp)]).tag()
}

/// The scheme with its keys and the address that is signed.
pub(super) struct Prover {
    pub(super) keys: Vec<MacKey>,
    pub(super) public_url: Box<str>,
}

impl Prove for Prover {
    fn prove(&self, delivery: &Delivery<'_>) -> Result<Proof, Denied> {
        let timestamp = only(delivery.headers, &TIMESTAMP_NAME)?;
        let signed_at = milliseconds(timestamp)?;
        let signature = only(delivery.headers, &SIGNATURE_NAME)?;
        let claimed = base64_tag::decoded(signature).ok_or(Denied::MalformedHeader(SIGNATURE))?;
        in_time(signed_at, delivery.now, delivery.age_seconds_max)?;
        let made_with =
            |key: &MacKey| key.over(&[&inner(key, delivery.body, &self.public_url, timestamp)]).has(&claimed);
        let key_index = self.keys.iter().position(made_with).ok_or(Denied::NoMatchingSignature)?;
        Ok(Proof { message_id: None, signed_at: Some(signed_at), key_index })
    }
}
