//! Personal fields: sealed with the member's own key where they are kept, open in memory
//! alone. Without the key they say nothing, and the person is erased.

use super::{Engine, EngineError};
use crate::domain::MemberId;
use crate::domain::member::{MemberHead, Profile, ProfileStep, RecordRef, Sealed, SealedProfile};
use crate::journal::vault::Vault;
use crate::record;
use crate::store::Partition;

impl Engine {
    /// The member's own view of a sealed field.
    ///
    /// # Errors
    /// When the key file fails, or the field is not ours.
    pub fn open_sealed(&self, member: &MemberId, sealed: &Sealed) -> Result<Option<Vec<u8>>, EngineError> {
        open(&self.vault, self.partition(member), member, sealed)
    }

    /// Seals a field under the member's key, made now if there is none.
    ///
    /// # Errors
    /// When the key file fails.
    pub fn seal(
        &self,
        member: &MemberId,
        slot: Option<u64>,
        record: RecordRef,
        plain: &[u8],
    ) -> Result<Sealed, EngineError> {
        let slot = match slot {
            Some(slot) => slot,
            None => self.vault.create(getrandom::fill)?,
        };
        let bytes = self.vault.seal(slot, nonce(record, self.partition(member)), member.as_str().as_bytes(), plain)?;
        Ok(Sealed { slot, record, bytes })
    }

    /// Seals a profile from an instant on.
    pub(super) fn seal_profile(
        &self,
        member: &MemberId,
        slot: Option<u64>,
        record: RecordRef,
        step: &ProfileStep,
    ) -> Result<SealedProfile, EngineError> {
        let sealed = self.seal(member, slot, record, &record::encode(&step.profile))?;
        Ok(SealedProfile { at: step.at, sealed })
    }
}

/// A member's profiles, opened; none once the key is erased.
pub(super) fn open_profiles(
    vault: &Vault,
    partition: Partition,
    head: &MemberHead,
) -> Result<Vec<ProfileStep>, EngineError> {
    let mut steps = Vec::with_capacity(head.profiles.len());
    for SealedProfile { at, sealed } in &head.profiles {
        if let Some(plain) = open(vault, partition, &head.id, sealed)? {
            steps.push(ProfileStep { at: *at, profile: record::decode::<Profile>(&plain)? });
        }
    }
    Ok(steps)
}

fn open(
    vault: &Vault,
    partition: Partition,
    member: &MemberId,
    sealed: &Sealed,
) -> Result<Option<Vec<u8>>, EngineError> {
    let nonce = nonce(sealed.record, partition);
    Ok(vault.unseal(sealed.slot, nonce, member.as_str().as_bytes(), &sealed.bytes)?)
}

/// Unique per key: a record number is never given twice by one process and partition.
fn nonce(record: RecordRef, partition: u16) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&record.process.to_le_bytes());
    nonce[4..6].copy_from_slice(&partition.to_le_bytes());
    nonce[6..].copy_from_slice(&record.number.to_le_bytes()[..6]);
    nonce
}
