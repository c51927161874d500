//! Standard Webhooks v1: base64(HMAC-SHA256(key, `id.timestamp.body`)), as Lithic, Svix
//! and our own format speak it.
//!
//! Only the symmetric version is verified; entries of others (`v1a`) are passed over,
//! never trusted.

use super::header::{in_time, only, seconds};
use super::mac::{Claimed, MacKey, Tag};
use super::secret::{SecretFault, long_enough};
use super::{Delivery, Denied, Proof, Prove, Secret, base64_tag};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use compact_str::CompactString;
use hyper::header::HeaderName;
use zeroize::Zeroizing;

pub(super) const ID: &str = "webhook-id";
static ID_NAME: HeaderName = HeaderName::from_static(ID);
pub(super) const TIMESTAMP: &str = "webhook-timestamp";
static TIMESTAMP_NAME: HeaderName = HeaderName::from_static(TIMESTAMP);
pub(super) const SIGNATURE: &str = "webhook-signature";
static SIGNATURE_NAME: HeaderName = HeaderName::from_static(SIGNATURE);
/// Longest message id, in bytes.
pub(super) const MESSAGE_ID_BYTES_MAX: usize = 256;

/// Providers hand out secrets with and without padding. Leftover bits are tolerated as
/// the reference libraries do; in a signature they are not, it has one spelling.
const SECRET_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

pub(super) fn key(secret: &Secret) -> Result<MacKey, SecretFault> {
    let text = secret.checked()?;
    let text = text.strip_prefix("whsec_").unwrap_or(text);
    let bytes = Zeroizing::new(SECRET_BASE64.decode(text).map_err(|_| SecretFault::NotBase64)?);
    Ok(MacKey::new(long_enough(&bytes)?))
}

/// Whether a message id may stand before the timestamp in what is signed.
///
/// The parts are joined by full stops, so `a` at `1` with body `2.x` and `a.1` at `2` with
/// body `x` are the same signed bytes: whoever can place text in a sender's body could
/// give an old delivery a new time. With no all-digit part after the first, an id, and so
/// the whole, reads in one way only.
pub(super) fn is_message_id(id: &str) -> bool {
    let shape = !id.is_empty() && id.len() <= MESSAGE_ID_BYTES_MAX && id.bytes().all(|byte| byte.is_ascii_graphic());
    shape && !id.split('.').skip(1).any(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

pub(super) fn tag(key: &MacKey, id: &str, timestamp: &str, body: &[u8]) -> Tag {
    key.over(&[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]).tag()
}

pub(super) fn signature(tag: &Tag) -> String {
    format!("v1,{}", base64_tag::encoded(tag))
}

/// The scheme with its keys.
pub(super) struct Prover(pub(super) Vec<MacKey>);

impl Prove for Prover {
    fn prove(&self, delivery: &Delivery<'_>) -> Result<Proof, Denied> {
        let id = only(delivery.headers, &ID_NAME)?;
        if !is_message_id(id) {
            return Err(Denied::MalformedHeader(ID));
        }
        let timestamp = only(delivery.headers, &TIMESTAMP_NAME)?;
        let signed_at = seconds(timestamp)?;
        let claimed = claimed(only(delivery.headers, &SIGNATURE_NAME)?)?;
        in_time(signed_at, delivery.now, delivery.age_seconds_max)?;
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", delivery.body];
        let key_index = claimed.matching_key(&self.0, &signed).ok_or(Denied::NoMatchingSignature)?;
        Ok(Proof { message_id: Some(CompactString::new(id)), signed_at: Some(signed_at), key_index })
    }
}

fn claimed(list: &str) -> Result<Claimed, Denied> {
    let mut claimed = Claimed::none();
    let mut unreadable = false;
    for (count, entry) in list.split(' ').filter(|entry| !entry.is_empty()).enumerate() {
        if count == super::SIGNATURES_MAX {
            return Err(Denied::MalformedHeader(SIGNATURE));
        }
        // A sender may add versions we do not know yet; those are not an error.
        let Some(("v1", text)) = entry.split_once(',') else { continue };
        match base64_tag::decoded(text) {
            Some(tag) if claimed.push(tag) => {}
            _ => unreadable = true,
        }
    }
    match (claimed.is_empty(), unreadable) {
        (false, _) => Ok(claimed),
        (true, true) => Err(Denied::MalformedHeader(SIGNATURE)),
        (true, false) => Err(Denied::NoKnownVersion),
    }
}
