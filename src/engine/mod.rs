//! The engine: journal, state, catalogue and clock in one hand. It takes turns for
//! members ([`turn`]), keeps the catalogue ([`catalogue`]), does what time brings
//! ([`marks`]) and starts from what the disk holds ([`start`]).
//!
//! Everything that decides is pure and elsewhere; here is only gathering and committing.

pub mod acts;
pub mod again;
mod answer;
pub mod budgets;
pub mod cases;
pub mod catalogue;
pub mod derived;
mod holders;
mod linked;
pub mod look;
pub mod marks;
pub mod migration;
mod pages;
pub mod redeem;
pub mod referral;
mod replay;
mod rounds;
pub mod rules;
pub mod screened;
mod sealed;
pub mod secrets;
pub mod shared;
pub mod signal;
pub mod start;
mod tills;
pub mod turn;
mod waiting;

use crate::catalogue::Catalogue;
use crate::catalogue::heard::Heard;
use crate::clock::Clock;
use crate::decide::member::Placed;
use crate::decide::{MemberState, Policy};
use crate::domain::purchase::Purchase;
use crate::domain::{CardHash, MemberId, SourceName, Timestamp};
use crate::journal::{AppendError, Journal, Position};
use crate::record::RecordError;
use crate::sightings::{Sightings, SightingsError};
use crate::store::embedded::Embedded;
use crate::store::{Batch, CATALOGUE, Committed, Keeper, Partition, StoreError, keys};
use crate::telemetry::{Metrics, Stage};
use arc_swap::ArcSwap;
use futures_util::{StreamExt as _, TryStreamExt as _};
use secrets::StoreSecrets;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

pub use start::{EngineOptions, StartError};

/// Locks for members: more than requests in flight, so that few share one.
const STRIPES: usize = 4096;
/// Members read side by side.
const READ_AT_ONCE: usize = 64;

/// Why something was not done. Every variant is an answer that somebody can act on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The journal takes no more; what was asked has had no effect that will be kept.
    #[error("the journal could not take the record")]
    Journal(#[from] AppendError),
    /// The state failed.
    #[error("the state failed")]
    Store(#[source] StoreError),
    /// The journal cannot be read.
    #[error("the journal cannot be read")]
    Read(#[from] crate::journal::ReadError),
    /// A stored value is not one of ours.
    #[error("a stored value cannot be read")]
    Record(#[from] RecordError),
    /// The keys that seal personal fields failed.
    #[error("the member's key failed")]
    Vault(#[from] crate::journal::vault::VaultError),
    /// The partition is being proved: a shared store may lack what it was given.
    #[error("the store was restarted or moved and is being checked against the journals; try again")]
    Unproved,
    /// Too many others changed the same member at once.
    #[error("the member is being changed by others; try again")]
    Contended,
    /// The log of sightings.
    #[error("the sightings cannot be searched")]
    Sightings(#[from] SightingsError),
    /// A sealed field does not open: not ours, or altered.
    #[error("a sealed field does not open")]
    Sealed,
    /// The service is stopping, or cannot commit any more.
    #[error("the service takes no more commits")]
    Stopping,
    /// A commit that was shared with others failed, in words.
    #[error("a shared commit failed: {0}")]
    Shared(String),
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unproved { .. } => Self::Unproved,
            error => Self::Store(error),
        }
    }
}

impl EngineError {
    /// The same for another who shared the commit: some causes cannot be copied.
    fn repeated(&self) -> Self {
        match self {
            Self::Journal(error) => Self::Journal(*error),
            Self::Contended => Self::Contended,
            Self::Unproved => Self::Unproved,
            Self::Stopping => Self::Stopping,
            other => Self::Shared(other.to_string()),
        }
    }
}

/// Weighs cached members by their purchases.
#[derive(Debug, Clone)]
pub struct MemberWeight;
impl quick_cache::Weighter<MemberId, Arc<MemberState>> for MemberWeight {
    fn weight(&self, _: &MemberId, member: &Arc<MemberState>) -> u64 {
        let of = |p: &Purchase| 400 + 220 * p.events.len() + 200 * p.grants.len();
        let purchases: usize = member.purchases.iter().map(|placed| of(&placed.purchase)).sum();
        u64::try_from(600 + purchases + 160 * member.head.cards.len()).unwrap_or(u64::MAX)
    }
}

/// Where the state is.
enum State {
    /// In this process.
    Embedded(Arc<Embedded>),
    /// With others.
    Shared(Box<shared::Shared>),
}

/// See the module.
pub struct Engine {
    /// The time.
    pub clock: Clock,
    /// Rules of every decision.
    pub policy: Policy,
    /// Bounds and habits.
    pub options: EngineOptions,
    /// Counters and histograms.
    pub metrics: Arc<Metrics>,
    /// Which MIDs are heard of.
    pub heard: Heard,
    journal: Journal,
    sightings: Option<Arc<Sightings>>,
    keys: sealed::MemberKeys,
    secrets: StoreSecrets,
    state: State,
    snapshot: ArcSwap<Catalogue>,
    /// One change of the catalogue at a time.
    editing: tokio::sync::Mutex<()>,
    budgets: budgets::Budgets,
    rounds: rounds::Rounds,
    members: quick_cache::sync::Cache<MemberId, Arc<MemberState>, MemberWeight>,
    stripes: Vec<Arc<tokio::sync::Mutex<()>>>,
    early: waiting::Early,
    linked: linked::Linked,
    holders: holders::Holders,
    screening: screened::Screening,
    /// Locks for cards while they are linked; taken before a member's.
    card_stripes: Vec<Arc<tokio::sync::Mutex<()>>>,
    /// Highest record number per partition; the catalogue's is last.
    numbers: Vec<AtomicU64>,
    /// Latest daily mark per partition, under which events are decided.
    marks: Vec<AtomicI64>,
    /// Latest daily mark whose work is done and recorded.
    marked: Vec<AtomicI64>,
    /// Where the journal ended when each commit under way began: below the least of
    /// them everything is in the state.
    under_way: Mutex<BTreeMap<u64, Position>>,
    ticket: AtomicU64,
    dead_letters: AtomicU64,
    merging: AtomicBool,
    /// Held by every turn; alone by a daily mark while it rises.
    gate: Arc<tokio::sync::RwLock<()>>,
    /// One daily mark at a time.
    marking: tokio::sync::Mutex<()>,
    stopping: AtomicBool,
    /// A commit has left a job that nobody waits for.
    jobs_left: tokio::sync::Notify,
    /// The journal holds something that the state does not: nothing more is committed.
    fell_behind: AtomicBool,
}

/// How a partition of members stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartitionState {
    /// Its latest daily mark: rewards ripen and offers end up to here. 1970 before the first.
    pub marked_at: Timestamp,
    /// The epoch in which its records are offered; 1 where the store is one process' alone.
    pub epoch: u32,
    /// Whether commits to it are taken now.
    pub is_taken: bool,
}

impl Engine {
    /// Number of member partitions.
    #[must_use]
    pub fn partitions(&self) -> u16 {
        u16::try_from(self.marks.len()).expect("made from a u16")
    }
    /// Where the keeper counts.
    fn counting_partitions(&self) -> Vec<Partition> {
        let mut all: Vec<_> = (0..self.partitions()).map(|partition| self.keeper().counted_in(partition)).collect();
        all.dedup();
        all
    }
    /// A member's partition.
    #[must_use]
    pub fn partition(&self, member: &MemberId) -> Partition {
        keys::member_partition(member, self.partitions())
    }
    /// The catalogue as it is now.
    #[must_use]
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.snapshot.load_full()
    }
    /// The catalogue for one look, cheaper than [`Engine::catalogue`].
    #[must_use]
    pub fn catalogue_now(&self) -> arc_swap::Guard<Arc<Catalogue>> {
        self.snapshot.load()
    }
    /// The state, for those who only look.
    #[must_use]
    pub fn keeper(&self) -> &dyn Keeper {
        match &self.state {
            State::Embedded(keeper) => keeper.as_ref(),
            State::Shared(shared) => shared.redis(),
        }
    }
    /// Whether other processes may change the state too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared().is_some()
    }
    /// What there is to know of the others when the state is shared.
    fn shared(&self) -> Option<&shared::Shared> {
        match &self.state {
            State::Embedded(_) => None,
            State::Shared(shared) => Some(shared),
        }
    }
    /// Who this process is, in its journal and in a shared store.
    #[must_use]
    pub fn journal_process(&self) -> u32 {
        self.journal.process()
    }
    /// The journal's end on disk.
    #[must_use]
    pub fn journal_end(&self) -> Position {
        self.journal.end()
    }
    /// Whether commits can still be made.
    #[must_use]
    pub fn is_able(&self) -> bool {
        let off = [&self.stopping, &self.fell_behind].iter().any(|flag| flag.load(Ordering::Acquire));
        !off && !self.journal.is_poisoned()
    }
    /// Whether a failed sync has ended this journal; only a restart goes on.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.journal.is_poisoned()
    }
    /// Keyed hash of a card token, within its source.
    #[must_use]
    pub fn card_hash(&self, source: &SourceName, token: &str) -> CardHash {
        self.secrets.card_hash(source, token)
    }
    /// Keyed hash of a shared identifier.
    #[must_use]
    pub fn link_hash(&self, kind: &str, value: &str) -> CardHash {
        self.secrets.link_hash(kind, value)
    }
    /// Latest daily mark of a partition.
    #[must_use]
    pub fn mark(&self, partition: Partition) -> Timestamp {
        Timestamp::from_ms(self.marks[usize::from(partition)].load(Ordering::Acquire))
    }

    /// How each partition of members stands, in order.
    #[must_use]
    pub fn partition_states(&self) -> Vec<PartitionState> {
        let state = |partition| PartitionState {
            marked_at: self.mark(partition),
            epoch: self.epoch(partition),
            is_taken: self.is_able() && self.check_proved(partition).is_ok(),
        };
        (0..self.partitions()).map(state).collect()
    }

    /// Comes back when a commit has left a job that nobody waits for, or had before.
    pub async fn jobs_left(&self) {
        self.jobs_left.notified().await;
    }

    fn next_number(&self, partition: Partition) -> u64 {
        let place = if partition == CATALOGUE { self.numbers.len() - 1 } else { usize::from(partition) };
        self.numbers[place].fetch_add(1, Ordering::AcqRel) + 1
    }

    fn stripe(&self, owner: &[u8]) -> &Arc<tokio::sync::Mutex<()>> {
        let hash = xxhash_rust::xxh3::xxh3_64(owner);
        &self.stripes[usize::try_from(hash % self.stripes.len() as u64).expect("below the number of stripes")]
    }

    /// A member's state; `None` when nobody registered them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn load(&self, member: &MemberId) -> Result<Option<Arc<MemberState>>, EngineError> {
        // What others committed since is not in the cache.
        if self.shared().is_some() {
            return self.read(member).await;
        }
        if let Some(found) = self.members.get(member) {
            return Ok(Some(found));
        }
        // Cached only while nobody else can commit: what was read before a commit must not
        // stand in the cache after it.
        match self.stripe(member.as_str().as_bytes()).try_lock() {
            Ok(_held) => self.load_held(member).await,
            Err(_) => self.read(member).await,
        }
    }

    /// Members' states in the order asked, read side by side; those whom nobody registered are left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn load_all(
        &self,
        members: impl IntoIterator<Item = MemberId>,
    ) -> Result<Vec<Arc<MemberState>>, EngineError> {
        let read = futures_util::stream::iter(members).map(async |member| self.load(&member).await);
        let read: Vec<_> = read.buffered(READ_AT_ONCE).try_collect().await?;
        Ok(read.into_iter().flatten().collect())
    }

    /// As [`Engine::load`], for whoever holds the member.
    async fn load_held(&self, member: &MemberId) -> Result<Option<Arc<MemberState>>, EngineError> {
        if let Some(found) = self.members.get(member) {
            return Ok(Some(found));
        }
        let state = self.read(member).await?;
        if let Some(state) = &state {
            self.members.insert(member.clone(), Arc::clone(state));
        }
        Ok(state)
    }

    async fn read(&self, member: &MemberId) -> Result<Option<Arc<MemberState>>, EngineError> {
        Ok(read_member(self.keeper(), &self.keys, self.partition(member), member).await?.map(Arc::new))
    }

    /// Where replay must begin so that nothing is missing: below it, everything
    /// journalled is in the state.
    fn low_water(&self) -> Position {
        let end = self.journal.end();
        let under_way = self.under_way.lock().expect("no code panics while it holds this");
        under_way.values().copied().chain([end]).min().unwrap_or(end)
    }

    /// Journals records, in order and in one frame, and hands the batches of each group to
    /// the state; says of each group whether the state took it. The order of a commit:
    /// journal synced, then state, then the caller answers. Must run in a task of its own: a
    /// client that hangs up in the middle must not stop it.
    async fn journal_then_state(
        &self,
        records: Vec<Vec<u8>>,
        groups: Vec<Vec<Batch>>,
    ) -> Result<Vec<Result<(), EngineError>>, EngineError> {
        if !self.is_able() {
            return Err(EngineError::Stopping);
        }
        let mut under_way = Some(UnderWay::begin(self));
        let begun = std::time::Instant::now();
        let count = records.len() as u64;
        self.journal.append(records).await?;
        // Who shares a store reads logs, not this journal.
        self.screening.committed(if self.is_shared() { 0 } else { count });
        let journalled = std::time::Instant::now();
        self.metrics.stage(Stage::Journal, journalled - begun);
        let done = match &self.state {
            State::Embedded(keeper) => {
                let mut done = Vec::with_capacity(groups.len());
                for group in groups {
                    let applied = self.apply(keeper, group).await;
                    if applied.is_err() {
                        // Journalled and not in the state: only a restart, which replays it, may go on.
                        under_way.take().map(UnderWay::keep);
                        self.fell_behind.store(true, Ordering::Release);
                    }
                    done.push(applied);
                }
                done
            }
            State::Shared(shared) => {
                let partitions: Vec<Vec<_>> =
                    groups.iter().map(|group| group.iter().map(|batch| batch.partition).collect()).collect();
                let done = shared.apply(self, groups).await;
                let doubtful =
                    |done: &&(&Result<(), EngineError>, Vec<_>)| matches!(done.0, Err(EngineError::Unproved));
                let doubtful: Vec<_> = done.iter().zip(partitions).filter(|done| doubtful(&done)).collect();
                if !doubtful.is_empty()
                    && let Some(under_way) = under_way.take()
                {
                    let partitions = doubtful.into_iter().flat_map(|(_, partitions)| partitions).collect();
                    shared.hold(under_way.keep(), partitions, self.journal.end());
                }
                done
            }
        };
        self.metrics.stage(Stage::State, journalled.elapsed());
        Ok(done)
    }

    async fn apply(&self, keeper: &Embedded, group: Vec<Batch>) -> Result<(), EngineError> {
        for batch in group {
            if keeper.commit(batch).await? != Committed::Yes {
                tracing::error!("a version moved under a member's lock; restart the service, it replays the journal");
                return Err(EngineError::Contended);
            }
        }
        Ok(())
    }

    /// The events of the last days; `None` when none are kept.
    #[must_use]
    pub fn sightings(&self) -> Option<&Arc<Sightings>> {
        self.sightings.as_ref()
    }

    /// Keeps an event as it came, without waiting.
    pub fn keep_sighting(&self, sighting: &crate::record::Sighting<'_>) {
        if let Some(sightings) = &self.sightings
            && !sightings.keep(sighting)
        {
            self.metrics.sighting_dropped();
        }
    }
}

/// A member as the state has it, profiles opened.
async fn read_member(
    keeper: &dyn Keeper,
    member_keys: &sealed::MemberKeys,
    partition: Partition,
    member: &MemberId,
) -> Result<Option<MemberState>, EngineError> {
    let pairs = keeper.member(partition, member).await?;
    let Some(((_, head), purchases)) = pairs.split_first() else { return Ok(None) };
    let (_, head) = keys::unversioned(head)?;
    let mut state = MemberState::new(head);
    let page = keys::purchase_pages(member);
    for (key, value) in purchases {
        if key.ends_with(&[0, b'k']) {
            state.key = Some(value.as_ref().into());
            continue;
        }
        if key.starts_with(&page) {
            state.purchases.extend(pages::unpacked(partition, value)?.into_iter().map(Placed::new));
            continue;
        }
        state.purchases.push(Placed::new(crate::record::decode::<Purchase>(value)?));
    }
    state.profiles = member_keys.open_profiles(partition, &state)?;
    state.purchases.sort_by(|a, b| a.order().cmp(&b.order()));
    Ok(Some(state))
}

impl Engine {
    /// Ends commits that were kept under way.
    fn end(&self, tickets: &[u64]) {
        let mut under_way = self.under_way.lock().expect("no code panics while it holds this");
        under_way.retain(|ticket, _| !tickets.contains(ticket));
    }
}

/// A commit under way: its place in the journal is at or after where the journal ended
/// when it began.
struct UnderWay<'a> {
    engine: &'a Engine,
    ticket: u64,
}

impl<'a> UnderWay<'a> {
    fn begin(engine: &'a Engine) -> Self {
        let ticket = engine.ticket.fetch_add(1, Ordering::Relaxed);
        let mut under_way = engine.under_way.lock().expect("no code panics while it holds this");
        under_way.insert(ticket, engine.journal.end());
        Self { engine, ticket }
    }
}

impl UnderWay<'_> {
    /// Does not end with this value: the low water stays below it until its ticket is given
    /// back, or a restart.
    fn keep(self) -> u64 {
        let ticket = self.ticket;
        std::mem::forget(self);
        ticket
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.engine.under_way.lock().expect("no code panics while it holds this").remove(&self.ticket);
    }
}
