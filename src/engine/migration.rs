//! Filling an empty store from whole journals: records are applied as they are, and in a shared
//! store every process is noted to have offered all of its journal.

use super::replay::Replay;
use super::sealed::MemberKeys;
use super::secrets::{SecretsError, StoreSecrets};
use super::start::{first_numbers, member_cache};
use super::{EngineError, EngineOptions};
use crate::decide::{MemberState, Policy};
use crate::domain::MemberId;
use crate::journal::disk::RealDisk;
use crate::journal::vault::{Vault, VaultError};
use crate::journal::{AppendError, Position};
use crate::record::Record;
use crate::store::embedded::{self, Embedded, Meta, OpenError};
use crate::store::redis::{LAYOUT, Redis};
use crate::store::{CATALOGUE, Keeper, StoreError};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a store was not filled.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// It has something already.
    #[error("the store to migrate to is not empty")]
    NotEmpty,
    /// Secrets of one of the journals.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// Journals of different stores.
    #[error("these journals are of different stores: their `store.secrets` differ")]
    OtherStore,
    /// A vault.
    #[error("a member's key cannot be read")]
    Vault(#[from] VaultError),
    /// The new state.
    #[error("the new state cannot be made")]
    Open(#[from] OpenError),
    /// The new store.
    #[error("the new store failed")]
    Store(#[from] StoreError),
    /// A record cannot be applied.
    #[error("a record cannot be applied")]
    Engine(#[from] EngineError),
    /// A journal.
    #[error("a journal cannot be closed")]
    Close(#[source] AppendError),
}

enum Target {
    Embedded(Embedded),
    Shared(Redis),
}

/// A store that is being filled.
pub struct Migration {
    target: Target,
    options: EngineOptions,
    policy: Policy,
    keys: Vec<MemberKeys>,
    numbers: Vec<AtomicU64>,
    members: Option<quick_cache::sync::Cache<MemberId, Arc<MemberState>, super::MemberWeight>>,
}

impl Migration {
    /// Opens an empty store for the journals in some folders.
    ///
    /// # Errors
    /// [`MigrationError`]; `NotEmpty` when anything was ever kept in it.
    pub async fn begin(options: &EngineOptions, policy: &Policy, dirs: &[PathBuf]) -> Result<Self, MigrationError> {
        let mut secrets: Option<StoreSecrets> = None;
        let mut vaults = Vec::new();
        for dir in dirs {
            let own = StoreSecrets::read(&dir.join("store.secrets"))?;
            if secrets.as_ref().is_some_and(|known| known.fingerprint() != own.fingerprint()) {
                return Err(MigrationError::OtherStore);
            }
            secrets.get_or_insert(own);
            vaults.push(Arc::new(Vault::open(&RealDisk, &dir.join("member.keys"))?));
        }
        let secrets = secrets.ok_or(MigrationError::OtherStore)?;
        let (target, wrapping) = match &options.shared {
            None => {
                let path = options.state_dir.join(embedded::FOLDER);
                if path.exists() {
                    return Err(MigrationError::NotEmpty);
                }
                let io = |source| OpenError::Io { path: options.state_dir.clone(), source };
                std::fs::create_dir_all(&options.state_dir).map_err(io)?;
                let (keeper, _) = Embedded::open(&path, options.cache_bytes, options.checkpoint_bytes * 2)?;
                (Target::Embedded(keeper), None)
            }
            Some(connect) => {
                let redis = Redis::open(connect, options.partitions).await?;
                if redis.known_fact("secrets").await?.is_some() {
                    return Err(MigrationError::NotEmpty);
                }
                redis.fact("layout", LAYOUT).await?;
                redis.fact("secrets", &secrets.fingerprint()).await?;
                redis.fact("partitions", &options.partitions.to_string()).await?;
                (Target::Shared(redis), Some(secrets.wrapping_key()))
            }
        };
        Ok(Self {
            target,
            options: options.clone(),
            policy: policy.clone(),
            keys: vaults.into_iter().map(|vault| MemberKeys::new(vault, wrapping)).collect(),
            numbers: first_numbers(options.partitions),
            members: Some(member_cache(options)),
        })
    }

    /// Applies a record of one of the journals.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn record(&mut self, journal: usize, record: &Record) -> Result<(), MigrationError> {
        let (keeper, room): (&dyn Keeper, _) = match &self.target {
            Target::Embedded(keeper) => (keeper, Some(keeper)),
            Target::Shared(redis) => (redis, None),
        };
        let members = self.members.take().unwrap_or_else(|| member_cache(&self.options));
        let mut replay = Replay {
            keeper,
            room,
            keys: &self.keys[journal],
            options: &self.options,
            policy: &self.policy,
            partitions: self.options.partitions,
            numbers: &self.numbers,
            members,
            erased: Vec::new(),
            replayed: 0,
        };
        let done = replay.record(record).await;
        self.members = Some(replay.members);
        Ok(done?)
    }

    /// Notes that the store has all of the journals, up to their ends.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn finish(self, epoch: u32, processes: &[(u32, Position)]) -> Result<(), MigrationError> {
        match self.target {
            Target::Shared(redis) => {
                for partition in redis.standings().partitions() {
                    redis.settle_all(partition, epoch.max(1), processes).await?;
                }
            }
            Target::Embedded(keeper) => {
                let partitions = self.options.partitions;
                let numbers = self.numbers.iter().enumerate().map(|(place, number)| {
                    let place = u16::try_from(place).unwrap_or(CATALOGUE);
                    (if place == partitions { CATALOGUE } else { place }, number.load(Ordering::Relaxed))
                });
                let numbers = numbers.filter(|(_, number)| *number > 0).collect();
                if let Some((process, position)) = processes.first().copied() {
                    keeper.checkpoint(&Meta { partitions, process, position, numbers })?;
                }
            }
        }
        Ok(())
    }
}
