//! Members' keys as the file beside a journal has them, to open the profiles that rewards
//! rest on. Only read, and by itself: the writer's code is not asked.

use crate::domain::MemberId;
use crate::domain::member::Sealed;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use std::path::Path;
use zeroize::Zeroizing;

/// A slot: key (32), CRC-32C of key and marker (4), marker (4).
const SLOT_BYTES: usize = 40;

/// The file `member.keys`.
pub(super) struct Keys(Zeroizing<Vec<u8>>);

/// What became of a sealed field.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// What it says.
    Plain(Vec<u8>),
    /// Its key was erased with the person.
    Erased,
    /// It does not open, for this reason.
    Broken(&'static str),
}

impl Keys {
    /// The keys beside a journal; `None` when the file is not there or cannot be read.
    pub(super) fn read(journal: &Path) -> Option<Self> {
        std::fs::read(journal.join("member.keys")).ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// Opens a field of a member of a partition.
    pub(super) fn open(&self, sealed: &Sealed, partition: u16, member: &MemberId) -> Opened {
        let at = usize::try_from(sealed.slot).ok().and_then(|slot| slot.checked_mul(SLOT_BYTES));
        let slot = at.and_then(|at| self.0.get(at..)?.first_chunk::<SLOT_BYTES>());
        let Some(slot) = slot else { return Opened::Broken("its key is not in the file") };
        let (key, rest) = slot.split_at(32);
        let (sum, marker) = rest.split_at(4);
        if crc32c::crc32c_append(crc32c::crc32c(key), marker).to_le_bytes() != *sum {
            return Opened::Broken("its key is damaged");
        }
        match marker {
            b"GONE" => return Opened::Erased,
            b"KEY1" => {}
            _ => return Opened::Broken("its key is of an unknown kind"),
        }
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&sealed.record.process.to_le_bytes());
        nonce[4..6].copy_from_slice(&partition.to_le_bytes());
        nonce[6..].copy_from_slice(&sealed.record.number.to_le_bytes()[..6]);
        let Ok(cipher) = ChaCha20Poly1305::new_from_slice(key) else { return Opened::Broken("its key is too short") };
        let payload = Payload { msg: &sealed.bytes, aad: member.as_str().as_bytes() };
        match cipher.decrypt(&Nonce::from(nonce), payload) {
            Ok(plain) => Opened::Plain(plain),
            Err(_) => Opened::Broken("it was not sealed with its key, or is damaged"),
        }
    }
}
