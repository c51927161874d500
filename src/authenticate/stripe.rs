//! Stripe's scheme: `Stripe-Signature: t=…,v1=<hex HMAC-SHA256(secret, "t.body")>`.
//!
//! Differs from Stripe's own libraries in one point on purpose: a time from the future
//! is refused as well. There is no message id; the event's own id stops repeats.

use super::header::{in_time, only, seconds};
use super::mac::{Claimed, MacKey, TAG_BYTES, Tag};
use super::secret::{SecretFault, long_enough};
use super::{Delivery, Denied, Proof, Prove, Secret, hex};
use hyper::header::HeaderName;

pub(super) const SIGNATURE: &str = "stripe-signature";
static SIGNATURE_NAME: HeaderName = HeaderName::from_static(SIGNATURE);
/// Most items of the header, of any kind: the time and the signatures.
const ITEMS_MAX: usize = super::SIGNATURES_MAX + 1;

/// The key is the secret's text as it stands, `whsec_` and all.
pub(super) fn key(secret: &Secret) -> Result<MacKey, SecretFault> {
    Ok(MacKey::new(long_enough(secret.checked()?.as_bytes())?))
}

pub(super) fn tag(key: &MacKey, timestamp: &str, body: &[u8]) -> Tag {
    key.over(&[timestamp.as_bytes(), b".", body]).tag()
}

pub(super) fn signature(timestamp: &str, tag: &Tag) -> String {
    let mut text = String::with_capacity(2 + timestamp.len() + 4 + 2 * TAG_BYTES);
    text.push_str("t=");
    text.push_str(timestamp);
    text.push_str(",v1=");
    text.push_str(&hex::encoded(tag));
    text
}

/// The scheme with its keys.
pub(super) struct Prover(pub(super) Vec<MacKey>);

impl Prove for Prover {
    fn prove(&self, delivery: &Delivery<'_>) -> Result<Proof, Denied> {
        let (timestamp, claimed) = items(only(delivery.headers, &SIGNATURE_NAME)?)?;
        let signed_at = seconds(timestamp)?;
        in_time(signed_at, delivery.now, delivery.age_seconds_max)?;
        let signed = [timestamp.as_bytes(), b".", delivery.body];
        let key_index = claimed.matching_key(&self.0, &signed).ok_or(Denied::NoMatchingSignature)?;
        Ok(Proof { message_id: None, signed_at: Some(signed_at), key_index })
    }
}

/// The time as written, since that is what is signed, and the `v1` tags.
fn items(value: &str) -> Result<(&str, Claimed), Denied> {
    const MALFORMED: Denied = Denied::MalformedHeader(SIGNATURE);
    let mut timestamp = None;
    let mut claimed = Claimed::none();
    let mut unreadable = false;
    for (count, item) in value.split(',').enumerate() {
        if count == ITEMS_MAX {
            return Err(MALFORMED);
        }
        match item.split_once('=').ok_or(MALFORMED)? {
            ("t", text) if timestamp.is_none() => timestamp = Some(text),
            ("t", _) => return Err(MALFORMED),
            ("v1", text) => match hex::decoded(text) {
                Some(tag) if claimed.push(tag) => {}
                _ => unreadable = true,
            },
            // `v0` is made for test mode and must not count; others may come.
            _ => {}
        }
    }
    let timestamp = timestamp.ok_or(MALFORMED)?;
    match (claimed.is_empty(), unreadable) {
        (false, _) => Ok((timestamp, claimed)),
        (true, true) => Err(MALFORMED),
        (true, false) => Err(Denied::NoKnownVersion),
    }
}
