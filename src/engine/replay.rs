//! Replay: records of the journal applied to a state as they are, each at most once. A start does
//! it with what its state lacks, a migration with whole journals.

use super::again::Job;
use super::pages::Base;
use super::sealed::MemberKeys;
use super::start::place_of;
use super::turn::{granted_changes, member_batch};
use super::{EngineError, EngineOptions, MemberWeight};
use crate::decide::{MemberState, Policy, Touched, apply_changes, apply_input};
use crate::domain::MemberId;
use crate::domain::member::MemberHead;
use crate::domain::merchant::Merchant;
use crate::record::{self, Body, MemberInput, Record};
use crate::store::embedded::Embedded;
use crate::store::{Batch, CATALOGUE, Keeper, keys};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a record granted, counted for its process: budgets of a shared store ask for that.
pub(super) fn count_by_process(batch: &mut Batch, record: &Record) {
    let (process, day) = (record.envelope.process, record.envelope.at.day());
    for (offer, by) in granted_changes(record) {
        let mut count = |key, by| super::turn::add(&mut batch.adds, keys::by_process(key, process), by);
        count(keys::granted(offer), by);
        if by > 0 {
            count(keys::raised(day, offer), by);
        }
    }
}

/// Whether an input may change what there is to tell of the member's referral.
fn says_of_referral(input: &MemberInput) -> bool {
    !matches!(
        input,
        MemberInput::Activated(_)
            | MemberInput::Redeemed(_)
            | MemberInput::Signalled(_)
            | MemberInput::ReferralTold(_)
            | MemberInput::ReferrerTold(_)
            | MemberInput::Erased { .. }
    )
}

/// Applies records of the journal to a state, each at most once.
pub(super) struct Replay<'a> {
    pub keeper: &'a dyn Keeper,
    /// The embedded keeper, which a long replay must give room.
    pub room: Option<&'a Embedded>,
    pub keys: &'a MemberKeys,
    pub options: &'a EngineOptions,
    pub policy: &'a Policy,
    pub partitions: u16,
    /// Highest record numbers, when anybody goes on with them.
    pub numbers: &'a [AtomicU64],
    pub members: quick_cache::sync::Cache<MemberId, Arc<MemberState>, MemberWeight>,
    /// Slots of keys of erased persons.
    pub erased: Vec<u64>,
    pub replayed: u64,
}

impl Replay<'_> {
    pub(super) async fn record(&mut self, record: &Record) -> Result<(), EngineError> {
        self.replayed += 1;
        let partition = record.envelope.partition;
        if let Some(number) = self.numbers.get(place_of(partition, self.partitions)) {
            number.fetch_max(record.envelope.number, Ordering::AcqRel);
        }
        let document = |key: Vec<u8>, value: Bytes| Batch {
            partition: CATALOGUE,
            puts: vec![(key, Some(value))],
            ..Batch::default()
        };
        match &record.body {
            Body::Member { member, input, changes } => self.member(record, member, input, changes).await?,
            Body::Merchant { merchant, operator_word } => {
                self.seen_again(record, merchant, *operator_word).await?;
                let value = keys::document(record.envelope.version, merchant.as_ref());
                self.newer(keys::merchant(merchant.id.as_str()), record.envelope.version, value).await?;
            }
            Body::Offer { offer, operator_word } => {
                if *operator_word {
                    // Whoever was to be decided again may not have been: the start goes on.
                    let since = offer.life.iter().map(|step| step.effective).min().unwrap_or_default();
                    let merchant = offer.merchant().clone();
                    self.commit(Job::Members { merchant, since }.batch(record)).await?;
                }
                let value = keys::document(record.envelope.version, offer.as_ref());
                self.newer(keys::offer(offer.id.as_str()), record.envelope.version, value).await?;
                if let Some(request) = &record.envelope.request {
                    self.commit(document(keys::request(&request.key), record::encode(request).into())).await?;
                }
            }
            Body::DeadLetter(letter) => {
                self.commit(document(keys::dead_letter(letter.id), record::encode(letter.as_ref()).into())).await?;
            }
            Body::DeadLetterSettled { id, .. } => {
                let puts = vec![(keys::dead_letter(*id), None)];
                self.commit(Batch { partition: CATALOGUE, puts, ..Batch::default() }).await?;
            }
            Body::DayMarked { mark } => {
                let value = Bytes::copy_from_slice(&mark.as_ms().to_le_bytes());
                let mut puts = vec![(keys::mark(), Some(value.clone()))];
                if self.keys.are_shared() {
                    puts.push((keys::marked(), Some(value)));
                }
                self.commit(Batch { partition, puts, ..Batch::default() }).await?;
            }
            Body::Withdrawn { .. } | Body::Adopted { .. } => {}
            Body::DetectorWithdrawn(withdrawal) => {
                // Done twice it changes nothing.
                self.commit(super::cases::withdrawal_batch(record, withdrawal)).await?;
            }
            Body::Rule(rule) => {
                if self.version_of(&keys::rule(&rule.id)).await? < record.envelope.version {
                    self.commit(super::rules::batch(record, rule)).await?;
                }
            }
            Body::Case(case) => {
                // Whoever was to follow it may not have: the start goes on.
                if self.version_of(&keys::case(case.id)).await? < record.envelope.version {
                    for batch in super::cases::batches(record, case) {
                        self.commit(batch).await?;
                    }
                }
            }
        }
        self.make_room()
    }

    async fn member(
        &mut self,
        record: &Record,
        id: &crate::domain::MemberId,
        input: &MemberInput,
        changes: &[crate::decide::GrantChange],
    ) -> Result<(), EngineError> {
        let partition = record.envelope.partition;
        let mut state = match self.members.get(id) {
            Some(state) => state.as_ref().clone(),
            None => super::read_member(self.keeper, self.keys, partition, id)
                .await?
                .unwrap_or_else(|| MemberState::new(MemberHead::new(id.clone(), record.envelope.at))),
        };
        if let MemberInput::Erased { slot: Some(slot) } = input {
            self.erased.push(*slot);
        }
        let base = Base::of(&state, self.keys.are_shared());
        if base.version < record.envelope.version {
            let referrer = |state: &MemberState| state.head.referred_by.as_ref().map(|(by, _)| by.clone());
            let before = referrer(&state);
            let mut touched = Touched::default();
            apply_input(&mut state, input, &mut touched);
            self.keys.take_key(&mut state, record.envelope.process)?;
            if matches!(input, MemberInput::Registered { .. }) {
                state.profiles = self.keys.open_profiles(partition, &state)?;
            }
            apply_changes(&mut state, &record.envelope, changes, &mut touched);
            let records = std::slice::from_ref(record);
            let due = super::turn::Due { policy: self.policy, retention_days: self.options.retention_days };
            let mut batch = member_batch(&state, base, records, &touched, partition, &due);
            self.keys.put_key(&mut batch, &state);
            if self.keys.are_shared() {
                count_by_process(&mut batch, record);
            }
            self.commit(batch).await?;
            // Whoever referred the member may not have been told: the start goes on.
            let now = referrer(&state).filter(|now| Some(now) != before.as_ref());
            for referrer in before.into_iter().chain(now).filter(|_| says_of_referral(input)) {
                self.commit(Job::of_pair(referrer, id.clone())).await?;
            }
            self.members.insert(id.clone(), Arc::new(state));
        }
        for batch in super::turn::hints(self.keeper, self.partitions, &[], record).await? {
            self.commit(batch).await?;
        }
        Ok(())
    }

    /// The job that a merchant's change causes, unless the state has the change, and with it
    /// what became of the job.
    async fn seen_again(&self, record: &Record, merchant: &Merchant, moves: bool) -> Result<(), EngineError> {
        let found = self.keeper.get(CATALOGUE, &keys::merchant(merchant.id.as_str())).await?;
        let known: Option<(u64, Merchant)> = found.map(|bytes| keys::of_document(&bytes)).transpose()?;
        let (has, before) = known.map_or((0, None), |(version, merchant)| (version, Some(merchant)));
        match super::catalogue::seen_job(before.as_ref(), merchant, moves) {
            Some(job) if has < record.envelope.version => self.commit(job.batch(record)).await,
            _ => Ok(()),
        }
    }

    /// Puts a document unless the state has a newer one.
    async fn newer(&self, key: Vec<u8>, version: u64, value: Bytes) -> Result<(), EngineError> {
        if self.version_of(&key).await? < version {
            self.commit(Batch { partition: CATALOGUE, puts: vec![(key, Some(value))], ..Batch::default() }).await?;
        }
        Ok(())
    }

    /// Version of a document that the state has; 0 when it has none.
    async fn version_of(&self, key: &[u8]) -> Result<u64, EngineError> {
        Ok(keys::version(self.keeper.get(CATALOGUE, key).await?.as_ref()))
    }

    async fn commit(&self, batch: Batch) -> Result<(), EngineError> {
        self.keeper.commit(batch).await?;
        Ok(())
    }

    /// A long replay writes what it has now and then, with the position it began from:
    /// what is written twice is skipped by its version.
    fn make_room(&self) -> Result<(), EngineError> {
        match self.room {
            Some(keeper) if keeper.layer_bytes() > self.options.checkpoint_bytes => keeper.spill().map(drop)?,
            _ => {}
        }
        Ok(())
    }
}
