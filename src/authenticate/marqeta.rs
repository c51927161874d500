//! Marqeta: `X-Marqeta-Signature` is the hexadecimal HMAC of the body, with SHA-1 or SHA-256
//! as its owner chose there; the length tells which. It comes beside HTTP basic.
//!
//! SHA-1 is broken for signatures that rest on collisions; HMAC rests on the key and stands.
//! Nothing here says when: as with Kard, the event's own identity stops replays.

use super::header::only;
use super::mac::{MacKey, Tag};
use super::secret::{SecretFault, long_enough};
use super::{Delivery, Denied, Proof, Prove, Secret, hex};
use hmac::{Hmac, KeyInit, Mac};
use hyper::header::HeaderName;
use sha1::Sha1;

pub(super) const SIGNATURE: &str = "x-marqeta-signature";
static SIGNATURE_NAME: HeaderName = HeaderName::from_static(SIGNATURE);

/// A key prepared for both.
#[derive(Clone)]
pub(super) struct Key {
    sha1: Hmac<Sha1>,
    sha256: MacKey,
}

impl Key {
    /// The tag with SHA-256, which whoever may choose should choose.
    pub(super) fn tag(&self, body: &[u8]) -> Tag {
        self.sha256.over(&[body]).tag()
    }
    fn made(&self, claimed: &Claimed, body: &[u8]) -> bool {
        match claimed {
            Claimed::Sha1(tag) => self.sha1.clone().chain_update(body).verify_slice(tag).is_ok(),
            Claimed::Sha256(tag) => self.sha256.over(&[body]).has(tag),
        }
    }
}

/// The key is the secret's text as it stands.
pub(super) fn key(secret: &Secret) -> Result<Key, SecretFault> {
    let bytes = long_enough(secret.checked()?.as_bytes())?;
    let sha1 = Hmac::new_from_slice(bytes).expect("HMAC takes a key of any length");
    Ok(Key { sha1, sha256: MacKey::new(bytes) })
}

enum Claimed {
    Sha1([u8; 20]),
    Sha256(Tag),
}

fn claimed(text: &str) -> Option<Claimed> {
    match text.len() {
        40 => hex::decoded(text).map(Claimed::Sha1),
        64 => hex::decoded(text).map(Claimed::Sha256),
        _ => None,
    }
}

/// The scheme with its keys.
pub(super) struct Prover(pub(super) Vec<Key>);

impl Prove for Prover {
    fn prove(&self, delivery: &Delivery<'_>) -> Result<Proof, Denied> {
        let signature = only(delivery.headers, &SIGNATURE_NAME)?;
        let claimed = claimed(signature).ok_or(Denied::MalformedHeader(SIGNATURE))?;
        let made_with = |key: &Key| key.made(&claimed, delivery.body);
        let key_index = self.0.iter().position(made_with).ok_or(Denied::NoMatchingSignature)?;
        Ok(Proof { message_id: None, signed_at: None, key_index })
    }
}
