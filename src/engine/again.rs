//! Jobs that decide again what the past brings: an offer that counts since a time before it
//! was written, a card that is linked since a time before, a shop that becomes known; and
//! those that tell one side of a referral what the other's state says. Each is put into the state with the commit that causes it and stays there until it is done, so
//! that a restart goes on with it; done twice it changes nothing.

use super::{Engine, EngineError};
use crate::cases::Withdrawal;
use crate::decide::MemberState;
use crate::decide::member::Placed;
use crate::domain::member::RecordRef;
use crate::domain::{CardHash, MemberId, MerchantId, Timestamp};
use crate::record::{self, MemberInput, Record};
use crate::sightings::{Clue, Segment};
use crate::store::{Batch, CATALOGUE, Key, Partition};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Members decided side by side, and keys read at a time.
const PAGE: usize = 256;
/// Jobs that are looked at together: there are few, except of referrals.
pub const JOBS_MAX: usize = 10_000;

/// Something to be decided again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Job {
    /// Members with a purchase at a merchant since a time: its offers changed.
    Members {
        /// The merchant.
        merchant: MerchantId,
        /// Purchases from here on.
        since: Timestamp,
    },
    /// Events that were seen: their card was linked, or their shop became known.
    Seen {
        /// What leads to them.
        clues: BTreeSet<Clue>,
        /// Events from here on.
        since: Timestamp,
        /// What is held already may move to another shop: an operator said so.
        moves: bool,
        /// Segments of the sightings below this one are done.
        next: Segment,
        /// In whose sightings; `None` when the store is one process' alone.
        process: Option<u32>,
    },
    /// What one side of a referral must be told of the other's state.
    Referral {
        /// Who made it.
        referrer: MemberId,
        /// Who was referred.
        referred: MemberId,
    },
    /// The same for all whom a member referred.
    Referrer {
        /// Who made them.
        referrer: MemberId,
    },
    /// The key of an erased person, in the vault of the process that made it.
    Erase {
        /// Which process.
        process: u32,
        /// Where in its vault.
        slot: u64,
    },
    /// Members who follow the reviews of a case.
    Case {
        /// Which.
        case: u64,
    },
    /// A detector's version leaves the cases.
    Withdraw {
        /// Which.
        withdrawal: Withdrawal,
    },
}

impl Job {
    /// What it does, in words.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self {
            Self::Members { .. } => "purchases are decided again because offers changed",
            Self::Seen { .. } => "events that were seen are decided because a card or a shop became known",
            Self::Referral { .. } | Self::Referrer { .. } => "one side of a referral is told of the other",
            Self::Erase { .. } => "an erased person's key is destroyed",
            Self::Case { .. } => "members follow the review of a case",
            Self::Withdraw { .. } => "a withdrawn detector leaves the cases",
        }
    }

    /// What was seen of a card.
    #[must_use]
    pub fn card(card: CardHash, since: Timestamp) -> Self {
        Self::Seen { clues: BTreeSet::from([Clue::Card(card)]), since, moves: false, next: 0, process: None }
    }

    /// The job for each process that keeps sightings of its own; itself where one process is
    /// alone with its store, and when it is of something else.
    #[must_use]
    pub fn spread(self, processes: &[u32]) -> Vec<Self> {
        match self {
            Self::Seen { clues, since, moves, next, process: None } if !processes.is_empty() => {
                let of =
                    |process: &u32| Self::Seen { clues: clues.clone(), since, moves, next, process: Some(*process) };
                processes.iter().map(of).collect()
            }
            job => vec![job],
        }
    }

    /// Where the job of a record is kept.
    fn key(&self, record: &Record) -> Key {
        let envelope = &record.envelope;
        match self {
            Self::Members { merchant, since } => members_key(merchant, *since),
            Self::Seen { process, .. } => of_seen(envelope.partition, record.reference(), *process),
            Self::Erase { process, slot } => [&b"je"[..], &process.to_be_bytes(), &slot.to_be_bytes()].concat(),
            // Of its own for each change, as of referrals.
            Self::Case { .. } | Self::Withdraw { .. } => of_record(b"jx", envelope.partition, record.reference()),
            // A key of its own for each change: one that is just done does not take the next
            // one with it.
            Self::Referral { referrer, .. } | Self::Referrer { referrer } => {
                [of_record(b"jr", envelope.partition, record.reference()).as_slice(), referrer.as_str().as_bytes()]
                    .concat()
            }
        }
    }

    /// Puts the job into the state with the record that causes it.
    #[must_use]
    pub fn batch(&self, record: &Record) -> Batch {
        kept(self.key(record), Some(self))
    }

    /// Puts a job of a referral into the state once, however many records of a replay may
    /// have caused it.
    #[must_use]
    pub fn of_pair(referrer: MemberId, referred: MemberId) -> Batch {
        let key = [b"jp", referrer.as_str().as_bytes(), &[0], referred.as_str().as_bytes()].concat();
        kept(key, Some(&Self::Referral { referrer, referred }))
    }

    /// The one process that can do it; `None` when any can.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        match self {
            Self::Seen { process, .. } => *process,
            Self::Erase { process, .. } => Some(*process),
            _ => None,
        }
    }

    /// Whether it tells members what was said elsewhere, and nobody waits for it.
    #[must_use]
    pub fn tells(&self) -> bool {
        matches!(self, Self::Referral { .. } | Self::Referrer { .. } | Self::Case { .. } | Self::Withdraw { .. })
    }
}

/// Processes number their records each for itself.
fn of_record(kind: &[u8], partition: Partition, record: RecordRef) -> Key {
    [kind, &partition.to_be_bytes(), &record.number.to_be_bytes(), &record.process.to_be_bytes()].concat()
}

/// Whether a batch leaves a job that tells a side of a referral, for which nobody waits: that of
/// a card is done by whoever links it.
pub(super) fn tells(batch: &Batch) -> bool {
    let of_referral = |key: &Key| key.starts_with(b"jr") || key.starts_with(b"jp");
    batch.partition == CATALOGUE && batch.puts.iter().any(|(key, _)| of_referral(key))
}

/// In whose sightings a job looks is part of its key: each process has its own.
fn of_seen(partition: Partition, record: RecordRef, process: Option<u32>) -> Key {
    let process = process.map(u32::to_be_bytes);
    [of_record(b"js", partition, record).as_slice(), process.as_ref().map_or(&[], |process| &process[..])].concat()
}

fn members_key(merchant: &MerchantId, since: Timestamp) -> Key {
    [b"jm", merchant.as_str().as_bytes(), &[0], &since.as_ms().to_be_bytes()].concat()
}

fn kept(key: Key, job: Option<&Job>) -> Batch {
    let value = job.map(|job| record::encode(job).into());
    Batch { partition: CATALOGUE, puts: vec![(key, value)], ..Batch::default() }
}

impl Engine {
    /// Erases a person's key that another process made, when this one is it.
    ///
    /// # Errors
    /// When the key file fails.
    pub fn erase_key(&self, process: u32, slot: u64) -> Result<(), EngineError> {
        if process == self.journal.process() {
            self.keys.vault.erase(slot)?;
        }
        Ok(())
    }

    /// The jobs that are not done and that this process can do.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn jobs(&self) -> Result<Vec<(Key, Job)>, EngineError> {
        let found = self.keeper().scan(CATALOGUE, b"j", None, JOBS_MAX).await?;
        let mut jobs = Vec::with_capacity(found.len());
        for (key, value) in found {
            let job: Job = record::decode(&value)?;
            if job.process().is_none_or(|process| process == self.journal.process()) {
                jobs.push((key, job));
            }
        }
        Ok(jobs)
    }

    /// Whether members still follow the reviews of a case. Reads the jobs of cases alone, at most 256 of them:
    /// beyond those it is taken for yes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn follows(&self, id: u64) -> Result<bool, EngineError> {
        let found = self.keeper().scan(CATALOGUE, b"jx", None, PAGE).await?;
        let is_of = |job: Job| matches!(job, Job::Case { case } if case == id);
        let more = found.len() >= PAGE;
        for (_, value) in found {
            if is_of(record::decode(&value)?) {
                return Ok(true);
            }
        }
        Ok(more)
    }

    /// Where the job is kept that a member's newest record left, if it linked a card: who waits
    /// for it need not look through all that wait.
    #[must_use]
    pub fn job_of_linking(&self, member: &MemberState) -> Option<Key> {
        let newest = member.head.last?;
        let process = self.is_shared().then(|| self.journal.process());
        Some(of_seen(self.partition(&member.head.id), newest, process))
    }

    /// One of them; `None` when it is done.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn job(&self, key: &Key) -> Result<Option<Job>, EngineError> {
        let found = self.keeper().get(CATALOGUE, key).await?;
        Ok(found.map(|value| record::decode(&value)).transpose()?)
    }

    /// Keeps how far a job has come; `None` when it is done.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn note_job(&self, key: &Key, job: Option<&Job>) -> Result<(), EngineError> {
        self.keeper().commit(kept(key.clone(), job)).await?;
        Ok(())
    }

    /// Decides again every member with a purchase at a merchant since an instant, and comes
    /// back when it is done. Linear in the members.
    ///
    /// # Errors
    /// When the journal or the state refuses; a restart goes on.
    pub async fn decide_again(self: &Arc<Self>, merchant: &MerchantId, since: Timestamp) -> Result<u64, EngineError> {
        let key = members_key(merchant, since);
        self.note_job(&key, Some(&Job::Members { merchant: merchant.clone(), since })).await?;
        let (engine, merchant) = (Arc::clone(self), merchant.clone());
        // In a task of its own: it goes on when the caller hangs up.
        let task = tokio::spawn(async move { engine.decide_members_again(&merchant, since).await });
        let decided = task.await.unwrap_or(Err(EngineError::Stopping))?;
        self.note_job(&key, None).await?;
        Ok(decided)
    }

    async fn decide_members_again(
        self: Arc<Self>,
        merchant: &MerchantId,
        since: Timestamp,
    ) -> Result<u64, EngineError> {
        let mut decided = 0;
        for partition in 0..self.partitions() {
            let mut after: Option<MemberId> = None;
            loop {
                if !self.is_able() {
                    return Err(EngineError::Stopping);
                }
                let members = self.keeper().members(partition, after.as_ref(), PAGE).await?;
                let Some(last) = members.last() else { break };
                after = Some(last.clone());
                let turns = members.into_iter().map(|member| self.again(member, merchant, since));
                for done in futures_util::future::join_all(turns).await {
                    decided += u64::from(done?);
                }
            }
        }
        Ok(decided)
    }

    async fn again(
        self: &Arc<Self>,
        member: MemberId,
        merchant: &MerchantId,
        since: Timestamp,
    ) -> Result<bool, EngineError> {
        // An offer over a category takes purchases anywhere, and occasions are at no shop.
        let concerned = |state: &MemberState, wide: bool| {
            let there = |p: &Placed| p.merchant.as_ref() == Some(merchant) || p.purchase.occasion.is_some() || wide;
            state.purchases.iter().any(|p| p.time >= since && there(p))
        };
        // Asked within the turn: one that holds an older catalogue may just be committing
        // the member's first purchase there.
        let mut turn = self.turn(&member).await?;
        let wide = turn.catalogue().apart().category().iter().any(|offer| offer.merchant() == merchant);
        if !concerned(&turn.member, wide) {
            return Ok(false);
        }
        let referrer = turn.member.head.referred_by.as_ref().map(|(by, _)| by.clone());
        let referrer =
            referrer.filter(|_| turn.catalogue().apart().referral().iter().any(|o| o.merchant() == merchant));
        let changed = turn.step(MemberInput::DecidedAgain, None).await?.changed;
        if changed {
            turn.commit().await?;
        } else {
            drop(turn);
        }
        if let Some(referrer) = referrer {
            // Other terms may make another purchase the one that qualifies.
            self.settle_referral(&referrer, &member).await?;
        }
        Ok(changed)
    }
}
