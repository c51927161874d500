//! A state that several processes share: joining it, committing to it, and what each process
//! knows of the others. How a partition is proved is [`prove`]'s; how the catalogue is kept up
//! to date, [`feed`]'s.
//!
//! The order of a commit is that of one process: the journal is synced, then the state takes
//! the batch under the versions it rests on, then the caller answers. What differs is that
//! the state may refuse (another process was faster: the input is decided again) or not
//! answer (nobody knows whether it took the batch: the partition is doubted, and the record
//! is looked for and offered again before anything else is committed to it).

mod budgets;
mod feed;
pub mod following;
mod place;
mod prove;

use super::budgets::Use;
use super::sealed::MemberKeys;
use super::start::{Base, Parts, StartError, Started, first_numbers, member_cache, place_of, proves_nothing};
use super::turn::Turn;
use super::{Engine, EngineError, State};
use crate::clock::Clock;
use crate::decide::{MemberState, Policy};
use crate::domain::{OfferId, Timestamp};
use crate::journal::Position;
use crate::journal::disk::Disk;
use crate::record::{self, Body, Envelope, Record};
use crate::store::redis::{LAYOUT, Processes, Redis};
use crate::store::{Batch, By, Committed, Keeper, Partition, StoreError, keys};
use crate::telemetry::Metrics;
use bytes::Bytes;
use place::Place;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A process that has not said so for this long is taken for dead.
pub const ALIVE_MS: u64 = 5_000;
/// A decision that is older when it is offered is made again.
const DECISION_AGE_MS_MAX: i64 = 5_000;
/// After midnight, when every decision made before it has reached the state or never will: its age,
/// the bounds on journal and Redis, and what the processes' clocks may differ.
pub(super) const SETTLED_MS: i64 = 15_000;
/// By then every other process has heard of a new one.
const HEARD_AFTER: Duration = Duration::from_millis(500);

/// Why a shared store cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Redis.
    #[error("Redis cannot be used: {0}; look at its address, its user and its version (7.0 or later)")]
    Redis(String),
    /// The store was made with another number of partitions.
    #[error(
        "the store was created with {has} partitions and the configuration says {said}; a store keeps its number (see store.partitions)"
    )]
    Partitions {
        /// What it has.
        has: String,
        /// What the configuration says.
        said: u16,
    },
    /// The store's cards were hashed with other secrets.
    #[error(
        "the store's secrets are not those of this journal's folder: copy `store.secrets` from the journal folder of a process that uses the store into this one's, before its first start"
    )]
    Secrets,
    /// The store was filled by a version of the program that keeps things otherwise.
    #[error(
        "another version of the program keeps this store's members otherwise: stop all processes, then bring their journals into an empty Redis with `ringfence migrate`"
    )]
    Layout,
    /// No thread of a runtime.
    #[error("a shared store is joined from within a runtime's blocking thread")]
    NoRuntime,
}

/// Commits whose fate is not known.
struct Held {
    /// Keeps the low water below them.
    ticket: u64,
    /// Where they may be missing.
    partitions: BTreeSet<Partition>,
    /// Their records end before here.
    end: Position,
}

/// See the module.
pub struct Shared {
    redis: Redis,
    process: u32,
    processes: Mutex<Processes>,
    /// When others were last said to be alive: a store that forgot has forgotten this too.
    seen_alive: Mutex<BTreeMap<u32, Instant>>,
    held: Mutex<Vec<Held>>,
    /// The catalogue's newest change that this process has.
    change: AtomicU64,
    /// When the catalogue was last found to be up to date.
    fresh: Mutex<Instant>,
    /// Somebody found a partition that is to be proved, or a budget that is to be settled.
    doubts: tokio::sync::Notify,
    /// One round of proving at a time.
    proving: tokio::sync::Mutex<()>,
    /// What was granted less what was reserved for it, per budget, and not yet said there.
    spent: Mutex<BTreeMap<(OfferId, Option<u32>), i64>>,
    /// What budgets had left when they were last asked, to tell when a share is crossed.
    told: Mutex<BTreeMap<OfferId, (Use, Use)>>,
    /// Budgets of which nobody knows whether Redis counted what it was told.
    unsure: Mutex<BTreeSet<OfferId>>,
    /// Every budget this process may have taken from is to be said again.
    unsure_of_all: AtomicBool,
    /// Processes whose budgets were settled after they died.
    swept: Mutex<BTreeSet<u32>>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// The keeper.
    pub(super) fn redis(&self) -> &Redis {
        &self.redis
    }

    fn doubt(&self, partition: Partition) {
        self.redis.standings().of(partition).doubt();
        self.doubts.notify_one();
    }

    /// Hands each group's batches to the state, side by side. A group's hints come before its
    /// last batch, which is its member's or document's own.
    pub(super) async fn apply(&self, engine: &Engine, groups: Vec<Vec<Batch>>) -> Vec<Result<(), EngineError>> {
        let by = |repairs| By { process: self.process, low_water: engine.low_water(), repairs };
        let groups = groups.into_iter().map(|mut group| {
            for batch in &mut group {
                let proved = self.redis.standings().of(batch.partition).is_proved();
                batch.by = Some(by(!proved));
            }
            // After the journal's sync, which may have taken long: see `check_age`.
            let young = group.last().and_then(|own| own.decided_at).map_or(Ok(()), |at| engine.check_age(at));
            async {
                young?;
                self.apply_group(group).await
            }
        });
        futures_util::future::join_all(groups).await
    }

    async fn apply_group(&self, mut group: Vec<Batch>) -> Result<(), EngineError> {
        let Some(own) = group.pop() else { return Ok(()) };
        // An index that is behind for a moment is no harm; a claim of a card comes first.
        let index = |batch: &Batch| batch.puts.iter().all(|(key, _)| key.first() == Some(&b'u'));
        if group.iter().all(index) {
            let all = group.into_iter().chain([own]).map(|batch| self.apply_one(batch));
            return futures_util::future::join_all(all).await.into_iter().collect();
        }
        let hints = group.into_iter().map(|batch| self.apply_one(batch));
        futures_util::future::join_all(hints).await.into_iter().collect::<Result<(), _>>()?;
        self.apply_one(own).await
    }

    async fn apply_one(&self, batch: Batch) -> Result<(), EngineError> {
        let partition = batch.partition;
        match self.redis.commit(batch).await {
            Ok(Committed::Yes) => Ok(()),
            Ok(Committed::Conflict) => Err(EngineError::Contended),
            Ok(Committed::Unproved) => {
                self.doubt(partition);
                Err(EngineError::Unproved)
            }
            Err(error) => {
                tracing::warn!(error = %crate::pipeline::Chain(&error), partition, "a commit was not answered; its records are offered again");
                self.doubt(partition);
                Err(EngineError::Unproved)
            }
        }
    }

    /// Says that this process is alive. Returns who is, by what the store says now and what it
    /// said a moment ago.
    async fn beat(&self) -> Result<Processes, EngineError> {
        let now = self.redis.beat(self.process, ALIVE_MS).await?;
        let mut seen = lock(&self.seen_alive);
        seen.extend(now.alive.iter().map(|process| (*process, Instant::now())));
        seen.retain(|_, at| at.elapsed().as_millis() < u128::from(ALIVE_MS));
        let mut processes = lock(&self.processes);
        let known: BTreeSet<u32> = now.known.iter().chain(&processes.known).copied().collect();
        *processes = Processes { alive: seen.keys().copied().collect(), known: known.into_iter().collect() };
        Ok(processes.clone())
    }

    /// Keeps the low water below commits whose fate is not known.
    pub(super) fn hold(&self, ticket: u64, partitions: BTreeSet<Partition>, end: Position) {
        lock(&self.held).push(Held { ticket, partitions, end });
    }

    /// A partition holds everything of this process before a place of its journal; returns
    /// the tickets that nothing keeps any more.
    fn settled(&self, partition: Partition, end: Position) -> Vec<u64> {
        let mut held = lock(&self.held);
        for one in held.iter_mut().filter(|one| one.end <= end) {
            one.partitions.remove(&partition);
        }
        let done = held.iter().filter(|one| one.partitions.is_empty()).map(|one| one.ticket).collect();
        held.retain(|one| !one.partitions.is_empty());
        done
    }

    fn holds(&self, partition: Partition) -> bool {
        lock(&self.held).iter().any(|one| one.partitions.contains(&partition))
    }
}

impl Engine {
    fn join(&self) {
        if let Some(shared) = self.shared() {
            shared.redis.join(shared.process);
        }
    }

    /// The epoch in which records of a partition are offered.
    pub(super) fn epoch(&self, partition: Partition) -> u32 {
        self.shared().map_or(1, |shared| shared.redis.standings().of(partition).epoch())
    }

    /// Whether a partition waits to be proved, or a budget's total to be said again.
    #[must_use]
    pub fn has_doubts(&self) -> bool {
        self.shared().is_some_and(|shared| {
            let standings = shared.redis.standings();
            !lock(&shared.unsure).is_empty()
                || standings.partitions().any(|partition| !standings.of(partition).is_proved())
        })
    }

    /// All processes that ever used the shared store; none when the store is this one's alone.
    pub(super) fn processes(&self) -> Vec<u32> {
        self.shared().map_or_else(Vec::new, |shared| lock(&shared.processes).known.clone())
    }

    /// Whether commits to a partition can be taken now.
    ///
    /// # Errors
    /// `Unproved` while the shared store may lack something, or its catalogue cannot be read.
    pub(super) fn check_proved(&self, partition: Partition) -> Result<(), EngineError> {
        let Some(shared) = self.shared() else { return Ok(()) };
        let proved = self.is_current() && shared.redis.standings().of(partition).is_proved();
        if proved { Ok(()) } else { Err(EngineError::Unproved) }
    }

    /// Whether the catalogue was looked at lately: one that is older may lack a version that counts
    /// already. Always so where the store is this process' alone.
    #[must_use]
    pub fn is_current(&self) -> bool {
        let seconds = u64::from(self.options.effective_seconds.max(1));
        self.shared().is_none_or(|shared| lock(&shared.fresh).elapsed() < Duration::from_secs(seconds))
    }

    /// Whether a decision is young enough for a shared store: by [`SETTLED_MS`] after midnight
    /// everything decided before it is there, and the daily mark misses none of it.
    ///
    /// # Errors
    /// `Contended` when it took too long: it is decided again.
    pub(super) fn check_age(&self, decided_at: Timestamp) -> Result<(), EngineError> {
        let is_old = self.shared().is_some() && self.clock.now().as_ms() - decided_at.as_ms() > DECISION_AGE_MS_MAX;
        if is_old { Err(EngineError::Contended) } else { Ok(()) }
    }

    /// What only a shared store needs of a member's batch: the mark it was decided under must
    /// still be in force, the member's key goes with it, what it grants is counted for this
    /// process, and whoever follows the partition is told.
    pub(super) fn finish_batch(
        &self,
        batch: &mut Batch,
        member: &MemberState,
        records: &[Record],
        encoded: &[Vec<u8>],
    ) {
        if self.shared().is_none() {
            return;
        }
        batch.decided_at =
            records.first().filter(|record| record.envelope.again.is_none()).map(|record| record.envelope.at);
        if self.policy.screened {
            batch.log = encoded.iter().map(|record| Bytes::copy_from_slice(record)).collect();
        }
        let mark = self.mark(batch.partition).as_ms();
        let mark = (mark != 0).then(|| Bytes::copy_from_slice(&mark.to_le_bytes()));
        batch.same.push((keys::mark(), mark));
        self.keys.put_key(batch, member);
        for record in records {
            super::replay::count_by_process(batch, record);
        }
    }

    /// A turn's records are in the journal and not in the state. When another process was
    /// faster they are withdrawn; when nobody knows, they are offered again.
    pub(super) fn not_taken(&self, turn: &Turn, error: &EngineError) {
        if self.shared().is_none() {
            return;
        }
        self.members.remove(turn.id());
        if matches!(error, EngineError::Contended) {
            let envelopes: Vec<Envelope> = turn.envelopes().cloned().collect();
            self.withdraw(&envelopes);
        }
    }

    /// Notes that the state did not take records. Not waited for: without the note they are
    /// found to be superseded by what came after them.
    pub(super) fn withdraw(&self, envelopes: &[Envelope]) {
        if self.shared().is_none() {
            return;
        }
        let withdrawn = envelopes.iter().map(|of| {
            let number = self.next_number(of.partition);
            let envelope = Envelope { number, request: None, previous: None, version: 0, ..of.clone() };
            record::encode(&Record { envelope, body: Body::Withdrawn { number: of.number } })
        });
        // One that is lost is told by the records that came instead.
        for record in withdrawn {
            self.journal.append_relaxed(&record);
        }
    }

    /// Learns the mark of a partition as it is now: one that was raised by another process made
    /// a commit fail.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn refresh_mark(&self, partition: Partition) -> Result<(), EngineError> {
        if self.shared().is_some() {
            let found = self.keeper().get(partition, &keys::mark()).await?;
            self.saw_mark(partition, keys::counter(found.as_ref()));
        }
        Ok(())
    }

    fn saw_mark(&self, partition: Partition, mark: i64) {
        if let Some(known) = self.marks.get(usize::from(partition)) {
            known.fetch_max(mark, Ordering::AcqRel);
        }
    }
}

/// Joins a shared store.
///
/// # Errors
/// [`StartError`].
pub(super) fn start(
    disk: &Arc<dyn Disk>,
    options: &super::EngineOptions,
    policy: &Policy,
    clock: &Clock,
    metrics: &Arc<Metrics>,
) -> Result<(Arc<Engine>, Started), StartError> {
    let runtime = tokio::runtime::Handle::try_current().map_err(|_| JoinError::NoRuntime)?;
    let dir = &options.journal_dir;
    std::fs::create_dir_all(dir).map_err(|source| StartError::Folder { path: dir.clone(), source })?;
    runtime.block_on(join(disk, options, policy, clock, metrics))
}

fn redis_failed(error: &StoreError) -> JoinError {
    JoinError::Redis(crate::pipeline::Chain(error).to_string())
}

async fn join(
    disk: &Arc<dyn Disk>,
    options: &super::EngineOptions,
    policy: &Policy,
    clock: &Clock,
    metrics: &Arc<Metrics>,
) -> Result<(Arc<Engine>, Started), StartError> {
    let connect = options.shared.as_ref().ok_or(JoinError::NoRuntime)?;
    let partitions = options.partitions;
    let redis = Redis::open(connect, partitions).await.map_err(|error| redis_failed(&error))?;
    let failed = |error: StoreError| StartError::Shared(redis_failed(&error));
    let said = redis.known_fact("secrets").await.map_err(failed)?;
    if said.is_some() && !dir_has_secrets(options) {
        return Err(JoinError::Secrets.into());
    }
    let base = Base::open(disk, options, clock, metrics)?;
    let print = base.secrets.fingerprint();
    // Said before the secrets, so that whoever finds those finds it too.
    let layout = match &said {
        Some(_) => redis.known_fact("layout").await.map_err(failed)?,
        None => Some(redis.fact("layout", LAYOUT).await.map_err(failed)?),
    };
    if layout.as_deref() != Some(LAYOUT) {
        return Err(JoinError::Layout.into());
    }
    if redis.fact("secrets", &print).await.map_err(failed)? != print {
        return Err(JoinError::Secrets.into());
    }
    let has = redis.fact("partitions", &partitions.to_string()).await.map_err(failed)?;
    if has != partitions.to_string() {
        return Err(JoinError::Partitions { has, said: partitions }.into());
    }
    let numbers = first_numbers(partitions);
    let mut replayed = 0;
    let heed = |partition: Partition, number: u64, epoch: u32| {
        if let Some(known) = numbers.get(place_of(partition, partitions)) {
            known.fetch_max(number, Ordering::AcqRel);
            redis.standings().of(partition).knows_of(epoch);
        }
    };
    let mut read = |bytes: &[u8]| {
        let Envelope { partition, number, epoch, .. } = record::decode::<Record>(bytes)?.envelope;
        heed(partition, number, epoch);
        replayed += 1;
        Ok(())
    };
    let place = Place::read(&options.journal_dir, partitions);
    let noted = place.map(|place| (base.journal(Some(place.process), Some(place.position), &mut read), place));
    let opened = match noted {
        Some((Ok(opened), place)) => {
            let noted = redis.standings().partitions().zip(place.numbers).zip(place.epochs);
            noted.for_each(|((partition, number), epoch)| heed(partition, number, epoch));
            opened
        }
        // A place in another journal, or in more of this one than there is, says nothing.
        Some((Err(StartError::Journal { source, .. }), _)) if proves_nothing(&source) => {
            base.journal(None, None, &mut read)?
        }
        Some((Err(error), _)) => return Err(error),
        None => base.journal(None, None, &mut read)?,
    };
    let started = Started { replayed, torn_bytes: opened.torn_bytes, ..Started::default() };
    let keys = MemberKeys::new(Arc::clone(&base.vault), Some(base.secrets.wrapping_key()));
    let shared = Shared {
        process: opened.journal.process(),
        change: AtomicU64::new(redis.newest_change().await.map_err(failed)?),
        redis,
        processes: Mutex::default(),
        seen_alive: Mutex::default(),
        held: Mutex::default(),
        fresh: Mutex::new(Instant::now()),
        doubts: tokio::sync::Notify::new(),
        proving: tokio::sync::Mutex::default(),
        spent: Mutex::default(),
        told: Mutex::default(),
        unsure: Mutex::default(),
        unsure_of_all: AtomicBool::new(true),
        swept: Mutex::default(),
    };
    let members = member_cache(options);
    let parts = Parts { keys, state: State::Shared(Box::new(shared)), members, numbers, partitions };
    let engine = Engine::put_together(base, opened, policy, parts).await?;
    engine.join();
    tokio::select! {
        proved = engine.prove_all() => proved?,
        () = engine.keep_beating() => {}
    }
    if engine.shared().is_some_and(|shared| lock(&shared.processes).alive.len() > 1) {
        // Nothing is acknowledged before the others know of this process: should the store forget
        // it, they would not wait for what it holds.
        tokio::time::sleep(HEARD_AFTER).await;
    }
    Ok((engine, started))
}

fn dir_has_secrets(options: &super::EngineOptions) -> bool {
    options.journal_dir.join("store.secrets").exists()
}
