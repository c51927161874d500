//! HTTP basic (RFC 7617): `Authorization: Basic base64(user:password)`.
//!
//! It proves who posts and nothing about the body or the time. Alone it is as good as the
//! TLS around it; Marqeta sends it beside a signature. The password itself is in every
//! request, so it must never be the key of a signature too.
//!
//! What is compared are hashes, so neither the length of what is right nor how much of a
//! guess is right shows in the time taken.

use super::header::only;
use super::secret::{SecretFault, long_enough};
use super::{Delivery, Denied, Proof, Prove, Secret};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::digest::CtOutput;
use hyper::header::HeaderName;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub(super) const CREDENTIALS: &str = "authorization";
static CREDENTIALS_NAME: HeaderName = HeaderName::from_static(CREDENTIALS);

/// The hash of a user and password.
#[derive(Clone)]
pub(super) struct Credentials(CtOutput<Sha256>);

impl Credentials {
    fn of(text: &[u8]) -> Self {
        Self(CtOutput::new(Sha256::digest(text)))
    }
}

/// The secret is `user:password`; a user may not have a colon, a password may.
pub(super) fn key(secret: &Secret) -> Result<Credentials, SecretFault> {
    let text = secret.checked()?;
    match text.split_once(':') {
        Some((user, password)) if !user.is_empty() => long_enough(password.as_bytes())?,
        _ => return Err(SecretFault::NotUserAndPassword),
    };
    Ok(Credentials::of(text.as_bytes()))
}

/// The header's value for a secret that [`key`] takes.
pub(super) fn credentials(secret: &Secret) -> Zeroizing<String> {
    let encoded = Zeroizing::new(STANDARD.encode(secret.expose()));
    Zeroizing::new(format!("Basic {}", *encoded))
}

/// The scheme with its users.
pub(super) struct Prover(pub(super) Vec<Credentials>);

impl Prove for Prover {
    fn prove(&self, delivery: &Delivery<'_>) -> Result<Proof, Denied> {
        const MALFORMED: Denied = Denied::MalformedHeader(CREDENTIALS);
        let value = only(delivery.headers, &CREDENTIALS_NAME)?;
        let (scheme, encoded) = value.split_once(' ').ok_or(MALFORMED)?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(Denied::NoKnownVersion);
        }
        let text = STANDARD.decode(encoded.trim_start_matches(' ')).map(Zeroizing::new).map_err(|_| MALFORMED)?;
        let given = Credentials::of(&text);
        // All are compared, whichever is right.
        let mut found = None;
        for (index, known) in self.0.iter().enumerate() {
            let same = known.0 == given.0;
            found = found.or(same.then_some(index));
        }
        let key_index = found.ok_or(Denied::NoMatchingSignature)?;
        Ok(Proof { message_id: None, signed_at: None, key_index })
    }
}
