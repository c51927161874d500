//! Personal fields: sealed with the member's own key where they are kept, open in memory
//! alone. Without the key they say nothing, and the person is erased.
//!
//! The key lies in the vault of the process that made it. A store that several processes
//! share holds it too, wrapped with the store's secrets, so that each of them can read what
//! decisions need; a process that seals further fields takes it into its own vault no more.

use super::turn::Turn;
use super::{Engine, EngineError};
use crate::decide::MemberState;
use crate::domain::member::{Profile, ProfileStep, RecordRef, Sealed, SealedProfile};
use crate::journal::vault::{DataKey, Vault};
use crate::record;
use crate::store::Partition;
use std::sync::Arc;
use zeroize::Zeroizing;

/// How members' keys are had.
pub(super) struct MemberKeys {
    /// This process' own.
    pub vault: Arc<Vault>,
    /// Wraps the keys that a shared store holds; `None` when the store is this process' alone.
    wrapping: Option<Zeroizing<[u8; 32]>>,
}

impl MemberKeys {
    pub(super) fn new(vault: Arc<Vault>, wrapping: Option<[u8; 32]>) -> Self {
        Self { vault, wrapping: wrapping.map(Zeroizing::new) }
    }

    /// A member's key as a shared store keeps it.
    fn unwrap(&self, member: &MemberState) -> Result<Option<DataKey>, EngineError> {
        let Some((wrapping, wrapped)) = self.wrapping.as_ref().zip(member.key.as_ref()) else { return Ok(None) };
        let key = DataKey::unwrapped(wrapped, wrapping, member.head.id.as_str().as_bytes());
        Ok(Some(key.map_err(|_| EngineError::Sealed)?))
    }

    fn open(
        &self,
        partition: Partition,
        member: &MemberState,
        sealed: &Sealed,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let (nonce, whose) = (nonce(sealed.record, partition), member.head.id.as_str().as_bytes());
        if self.wrapping.is_none() {
            return Ok(self.vault.unseal(sealed.slot, nonce, whose, &sealed.bytes)?);
        }
        let Some(key) = self.unwrap(member)? else { return Ok(None) };
        Ok(Some(key.unseal(nonce, whose, &sealed.bytes).map_err(|_| EngineError::Sealed)?))
    }

    /// A member's profiles, opened; none once the key is erased.
    pub(super) fn open_profiles(
        &self,
        partition: Partition,
        member: &MemberState,
    ) -> Result<Vec<ProfileStep>, EngineError> {
        let mut steps = Vec::with_capacity(member.head.profiles.len());
        for SealedProfile { at, sealed } in &member.head.profiles {
            if let Some(plain) = self.open(partition, member, sealed)? {
                steps.push(ProfileStep { at: *at, profile: record::decode::<Profile>(&plain)? });
            }
        }
        Ok(steps)
    }

    /// The bytes of a field, sealed with the member's key, which is made now if there is none.
    fn seal(
        &self,
        partition: Partition,
        member: &mut MemberState,
        record: RecordRef,
        plain: &[u8],
    ) -> Result<Sealed, EngineError> {
        let (nonce, id) = (nonce(record, partition), member.head.id.clone());
        let whose = id.as_str().as_bytes();
        let slot = slot_of(member);
        let Some(wrapping) = &self.wrapping else {
            let slot = slot.map_or_else(|| self.vault.create(getrandom::fill), Ok)?;
            return Ok(Sealed { slot, record, bytes: self.vault.seal(slot, nonce, whose, plain)? });
        };
        let (slot, key) = match self.unwrap(member)? {
            Some(key) => (slot.unwrap_or_default(), key),
            None => {
                let slot = self.vault.create(getrandom::fill)?;
                let key = self.vault.key(slot)?.ok_or(EngineError::Sealed)?;
                member.key = Some(key.wrapped(wrapping, whose)?.into());
                (slot, key)
            }
        };
        Ok(Sealed { slot, record, bytes: key.seal(nonce, whose, plain) })
    }
}

impl Engine {
    /// The member's own view of a sealed field.
    ///
    /// # Errors
    /// When the key file fails, or the field is not ours.
    pub fn open_sealed(&self, member: &MemberState, sealed: &Sealed) -> Result<Option<Vec<u8>>, EngineError> {
        self.keys.open(self.partition(&member.head.id), member, sealed)
    }
}

impl Turn {
    /// Seals a field under the member's key, which is made now if there is none.
    ///
    /// # Errors
    /// When the key file fails.
    pub fn seal(&mut self, plain: &[u8]) -> Result<Sealed, EngineError> {
        let (engine, record, partition) = (self.engine(), self.next_reference(), self.partition());
        engine.keys.seal(partition, &mut self.member, record, plain)
    }

    /// Seals a profile from an instant on.
    pub(super) fn seal_profile(&mut self, step: &ProfileStep) -> Result<SealedProfile, EngineError> {
        Ok(SealedProfile { at: step.at, sealed: self.seal(&record::encode(&step.profile))? })
    }
}

/// Where the member's key lies, when anything was ever sealed with it: the slot, in the vault of
/// the process whose record sealed it first.
pub(super) fn slot_of(member: &MemberState) -> Option<u64> {
    sealed_first(member).map(|sealed| sealed.slot)
}

/// What was sealed with the member's key.
pub(super) fn sealed_first(member: &MemberState) -> Option<&Sealed> {
    let tokens = member.head.cards.iter().filter_map(|link| link.token.as_ref());
    let profiles = member.head.profiles.iter().map(|step| &step.sealed);
    profiles.chain(tokens).min_by_key(|sealed| sealed.record.number)
}

/// Unique per key: a record number is never given twice by one process and partition.
fn nonce(record: RecordRef, partition: u16) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&record.process.to_le_bytes());
    nonce[4..6].copy_from_slice(&partition.to_le_bytes());
    nonce[6..].copy_from_slice(&record.number.to_le_bytes()[..6]);
    nonce
}
