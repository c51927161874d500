//! The store's own secrets: keys of the hashes under which cards and shared identifiers
//! are kept, and of the holdout's draw. Made once, beside the journal, never in it; a
//! journal without them cannot be tied to cards.

use crate::domain::{CardHash, SourceName};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// See the module.
pub struct StoreSecrets {
    card: Hmac<Sha256>,
    link: Hmac<Sha256>,
    /// Draws the holdout.
    pub holdout: [u8; 16],
}

impl std::fmt::Debug for StoreSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreSecrets(..)")
    }
}

/// The file of secrets cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The file system refused.
    #[error("the store's secrets at {path} cannot be read or made")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is a journal and no secrets: its cards could never be found again.
    #[error(
        "{path} is missing beside a journal that has records: restore it from your backup, without it no card can be recognised"
    )]
    Missing {
        /// Which file.
        path: PathBuf,
    },
    /// Not what was written.
    #[error("{path} is not a file of secrets: restore it from your backup")]
    Broken {
        /// Which file.
        path: PathBuf,
    },
}

const MAGIC: &[u8; 8] = b"RFSECR01";
const BYTES: usize = 8 + 32 + 32 + 16 + 4;

impl StoreSecrets {
    /// Reads the file, or makes it when the journal is new.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub fn open(path: &Path, journal_is_new: bool) -> Result<Self, SecretsError> {
        let io = |source| SecretsError::Io { path: path.to_owned(), source };
        match std::fs::read(path) {
            Ok(bytes) => Self::parse(&bytes).ok_or_else(|| SecretsError::Broken { path: path.to_owned() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && journal_is_new => {
                let mut bytes = MAGIC.to_vec();
                bytes.resize(BYTES - 4, 0);
                getrandom::fill(&mut bytes[8..]).map_err(|e| io(std::io::Error::other(e)))?;
                let sum = crc32c::crc32c(&bytes);
                bytes.extend_from_slice(&sum.to_le_bytes());
                Self::write(path, &bytes).map_err(io)?;
                Ok(Self::parse(&bytes).expect("just made"))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(SecretsError::Missing { path: path.to_owned() })
            }
            Err(error) => Err(io(error)),
        }
    }

    /// Reads the file, and never makes it: for those who only look.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub fn read(path: &Path) -> Result<Self, SecretsError> {
        Self::open(path, false)
    }

    fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let aside = path.with_extension("new");
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&aside, path)?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::File::open(folder)?.sync_all()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_last_chunk::<4>()?;
        let whole = bytes.len() == BYTES && body.starts_with(MAGIC) && crc32c::crc32c(body) == u32::from_le_bytes(*sum);
        let key = |bytes: &[u8]| Hmac::<Sha256>::new_from_slice(bytes).expect("HMAC takes a key of any length");
        whole.then(|| Self {
            card: key(&body[8..40]),
            link: key(&body[40..72]),
            holdout: body[72..88].try_into().expect("sixteen bytes"),
        })
    }

    /// The key that wraps members' keys in a shared store.
    #[must_use]
    pub fn wrapping_key(&self) -> [u8; 32] {
        let mut mac = self.link.clone();
        // No kind of link has this name: kinds hold no zero byte.
        mac.update(b"\0members' keys");
        mac.finalize().into_bytes().into()
    }
    /// Tells these secrets from others without saying them.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let print = [hash(&self.card, "\0", "fingerprint"), hash(&self.link, "\0", "fingerprint")];
        print.iter().flat_map(|half| half.0).map(|byte| format!("{byte:02x}")).collect()
    }
    /// Keyed hash of a card token, within its source.
    #[must_use]
    pub fn card_hash(&self, source: &SourceName, token: &str) -> CardHash {
        hash(&self.card, source.as_str(), token)
    }
    /// Keyed hash of a shared identifier, within its kind.
    #[must_use]
    pub fn link_hash(&self, kind: &str, value: &str) -> CardHash {
        hash(&self.link, kind, value)
    }
}

fn hash(key: &Hmac<Sha256>, scope: &str, value: &str) -> CardHash {
    let mut mac = key.clone();
    mac.update(scope.as_bytes());
    mac.update(&[0]);
    mac.update(value.as_bytes());
    let digest = mac.finalize().into_bytes();
    CardHash(digest[..16].try_into().expect("a SHA-256 digest has thirty-two bytes"))
}
