//! Starting from what the disk holds: the state if it is sound, the journal from
//! where the state ends, the catalogue, the marks. And stopping so that the next start
//! has nothing to replay.

use super::replay::Replay;
use super::sealed::MemberKeys;
use super::secrets::{SecretsError, StoreSecrets};
use super::{Engine, EngineError, MemberWeight, STRIPES, State};
use crate::catalogue::Catalogue;
use crate::catalogue::heard::Heard;
use crate::clock::Clock;
use crate::decide::{MemberState, Policy};
use crate::domain::MemberId;
use crate::domain::merchant::Merchant;
use crate::domain::offer::Offer;
use crate::journal::disk::{Disk, RealDisk};
use crate::journal::vault::{Vault, VaultError};
use crate::journal::{Journal, OpenError as JournalError, Options, Position};
use crate::record::{self, Record};
use crate::sightings::Sightings;
use crate::store::embedded::{self, Checkpointed, Embedded, Meta, OpenError};
use crate::store::redis::connection::ConnectOptions;
use crate::store::{CATALOGUE, Keeper, keys};
use crate::telemetry::Metrics;
use arc_swap::ArcSwap;
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Records replayed at a start without a checkpoint at its end.
const REPLAYED_MAX: u64 = 2_000;
/// Pages of cards read before the service starts, beyond one of each partition: milliseconds.
const CARD_PAGES_AT_START: usize = 32;

/// Bounds and habits of an engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Folder of the state; unused when it is shared.
    pub state_dir: PathBuf,
    /// The Redis that holds the state, when it is shared.
    pub shared: Option<ConnectOptions>,
    /// Folder of the journal, the key file and the store's secrets.
    pub journal_dir: PathBuf,
    /// Member partitions of a new store.
    pub partitions: u16,
    /// Block cache of the state.
    pub cache_bytes: usize,
    /// Members kept decoded.
    pub members_cached_bytes: u64,
    /// A checkpoint is due when so much waits for it.
    pub checkpoint_bytes: usize,
    /// Journal segment size.
    pub segment_bytes: u64,
    /// Journal queue.
    pub queue_records_max: usize,
    /// Largest frame.
    pub frame_bytes_max: usize,
    /// Days sightings are kept; 0 keeps none.
    pub sightings_days: u32,
    /// Days until purchases are sealed and older events refused.
    pub retention_days: u32,
    /// Open purchases of one member before the oldest are sealed early.
    pub open_purchases_max: usize,
    /// Seconds from an offer's publication until it counts.
    pub effective_seconds: u32,
    /// Messages the shelf holds.
    pub dead_letters_max: u64,
    /// Bytes kept of one message.
    pub dead_letter_bytes_max: usize,
    /// An event dated further ahead than this is alarmed.
    pub future_ms_alarm: i64,
    /// Confidence from which on a statement text is taken for the shop it is like.
    pub descriptor_confidence_min: u16,
    /// Age of the last whole pass of screening beyond which money waits.
    pub pass_age_ms_max: i64,
    /// What a review may take from members, minor units of any currency, before a second reviewer
    /// must say the same; 0 is any amount.
    pub four_eyes_minor: i64,
    /// Cases of a hundred that are judged without their score.
    pub blind_percent: u8,
}

impl EngineOptions {
    /// Defaults for a folder: state and journal side by side.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self {
            state_dir: dir.to_owned(),
            shared: None,
            journal_dir: dir.join("journal"),
            partitions: 256,
            cache_bytes: 256 << 20,
            members_cached_bytes: 128 << 20,
            checkpoint_bytes: 64 << 20,
            segment_bytes: 256 << 20,
            queue_records_max: 8192,
            frame_bytes_max: 4 << 20,
            sightings_days: 30,
            retention_days: 578,
            open_purchases_max: 2000,
            effective_seconds: 2,
            dead_letters_max: 10_000,
            dead_letter_bytes_max: 64 << 10,
            future_ms_alarm: crate::domain::time::DAY_MS,
            descriptor_confidence_min: crate::descriptor::CONFIDENCE_MIN,
            pass_age_ms_max: 3_600_000,
            four_eyes_minor: 0,
            blind_percent: 0,
        }
    }
}

/// Why an engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A folder cannot be made.
    #[error("the folder {path} cannot be used")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The journal.
    #[error("the journal at {path} cannot be opened")]
    Journal {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: crate::journal::OpenError,
    },
    /// The state.
    #[error(transparent)]
    State(#[from] OpenError),
    /// The key file.
    #[error("the key file cannot be opened")]
    Vault(#[from] VaultError),
    /// The store's secrets.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The store has another number of partitions than configured.
    #[error(
        "store.partitions: the store was created with {has} partitions and the configuration says {said}; a store keeps its number (see `ringfence migrate`)"
    )]
    Partitions {
        /// What it has.
        has: u16,
        /// What the configuration says.
        said: u16,
    },
    /// The engine could not.
    #[error("the state cannot be read")]
    Engine(#[from] EngineError),
    /// The shared store cannot be joined.
    #[error("store.url: {0}")]
    Shared(#[from] super::shared::JoinError),
}

/// What a start found and did.
#[derive(Debug, Clone, Default)]
pub struct Started {
    /// Records replayed from the journal.
    pub replayed: u64,
    /// Bytes of a torn tail that were dropped: none of them was ever answered.
    pub torn_bytes: u64,
    /// Why the state was rebuilt, when it was.
    pub rebuilt: Option<String>,
}

impl Engine {
    /// Opens or creates a store and replays what the state lacks.
    ///
    /// # Errors
    /// [`StartError`], with the file and position concerned.
    pub fn start(
        options: EngineOptions,
        policy: Policy,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<(Arc<Self>, Started), StartError> {
        Self::start_on(Arc::new(RealDisk), options, policy, clock, metrics)
    }

    /// As [`Engine::start`], with the journal and the key file on a given disk: tests give
    /// one that fails on purpose.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start_on(
        disk: Arc<dyn Disk>,
        options: EngineOptions,
        policy: Policy,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<(Arc<Self>, Started), StartError> {
        if options.shared.is_some() {
            return super::shared::start(&disk, &options, &policy, &clock, &metrics);
        }
        let (engine, started) = Self::open_or_rebuild(&disk, &options, &policy, &clock, &metrics)?;
        // Of a small store all cards are known at once; of a large one whoever keeps the house learns the rest.
        engine.learn_cards(usize::from(engine.partitions()) + CARD_PAGES_AT_START)?;
        Ok((engine, started))
    }

    fn open_or_rebuild(
        disk: &Arc<dyn Disk>,
        options: &EngineOptions,
        policy: &Policy,
        clock: &Clock,
        metrics: &Arc<Metrics>,
    ) -> Result<(Arc<Self>, Started), StartError> {
        for path in [&options.state_dir, &options.journal_dir] {
            std::fs::create_dir_all(path).map_err(|source| StartError::Folder { path: path.clone(), source })?;
        }
        let state = options.state_dir.join(embedded::FOLDER);
        let mut started = Started::default();
        let assemble = |keeper, meta, started: &mut Started| {
            Self::assemble(disk, options, policy, clock, metrics, keeper, meta, started)
        };
        let found = if state.exists() { open_state(&state, options, &mut started)? } else { None };
        match found {
            Some((keeper, meta)) => {
                check_partitions(&meta, options)?;
                match assemble(keeper, Some(meta), &mut started) {
                    // A state that is ahead of its journal, or of another one, proves nothing.
                    Err(StartError::Journal { source, .. }) if proves_nothing(&source) => {
                        started.rebuilt = Some("the state does not belong to this journal".to_owned());
                    }
                    done => {
                        let engine = done?;
                        // A service that is killed again and again before its first
                        // checkpoint must not replay more each time.
                        if started.replayed > REPLAYED_MAX {
                            engine.checkpoint()?;
                        }
                        return Ok((engine, started));
                    }
                }
            }
            None if started.rebuilt.is_none() && state.exists() => {
                started.rebuilt = Some("the state was not finished".to_owned());
            }
            None => {}
        }
        if let Some(why) = &started.rebuilt {
            tracing::warn!(reason = why, "the state is rebuilt from the journal");
        }
        // Built aside and renamed when whole, so that a crash leaves the old one or none.
        let aside = options.state_dir.join(embedded::FOLDER_ASIDE);
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| StartError::Folder { path, source }
        };
        remove(&aside).map_err(io(&aside))?;
        let (keeper, _) = Embedded::open(&aside, options.cache_bytes, options.checkpoint_bytes * 2)?;
        let engine = assemble(keeper, None, &mut started)?;
        engine.stop()?;
        drop(engine);
        remove(&state).map_err(io(&state))?;
        std::fs::rename(&aside, &state).map_err(io(&state))?;
        std::fs::File::open(&options.state_dir).and_then(|dir| dir.sync_all()).map_err(io(&options.state_dir))?;
        let (keeper, meta) = Embedded::open(&state, options.cache_bytes, options.checkpoint_bytes * 2)?;
        let engine = assemble(keeper, meta, &mut Started::default())?;
        Ok((engine, started))
    }

    #[expect(clippy::too_many_arguments, reason = "called from the function above alone")]
    fn assemble(
        disk: &Arc<dyn Disk>,
        options: &EngineOptions,
        policy: &Policy,
        clock: &Clock,
        metrics: &Arc<Metrics>,
        keeper: Embedded,
        meta: Option<Meta>,
        started: &mut Started,
    ) -> Result<Arc<Self>, StartError> {
        let partitions = meta.as_ref().map_or(options.partitions, |meta| meta.partitions);
        let base = Base::open(disk, options, clock, metrics)?;
        let keys = MemberKeys::new(Arc::clone(&base.vault), None);
        let numbers = first_numbers(partitions);
        for (partition, number) in meta.iter().flat_map(|meta| &meta.numbers) {
            numbers[place_of(*partition, partitions)].store(*number, Ordering::Relaxed);
        }
        let keeper = Arc::new(keeper);
        let mut replay = Replay {
            keeper: keeper.as_ref(),
            room: Some(keeper.as_ref()),
            keys: &keys,
            options,
            policy,
            partitions,
            numbers: &numbers,
            members: member_cache(options),
            erased: Vec::new(),
            replayed: 0,
        };
        let from = meta.as_ref().map(|meta| meta.position);
        let process = meta.as_ref().map(|meta| meta.process);
        let opened = base.journal(process, from, &mut |bytes: &[u8]| {
            let record: Record = record::decode(bytes)?;
            now(replay.record(&record))
        })?;
        started.replayed = replay.replayed;
        started.torn_bytes = opened.torn_bytes;
        let Replay { members, erased, .. } = replay;
        for slot in erased {
            keys.vault.erase(slot)?;
        }
        let parts = Parts { keys, state: State::Embedded(keeper), members, numbers, partitions };
        Ok(now::<_, EngineError>(Self::put_together(base, opened, policy, parts))?)
    }

    /// The engine of what was opened, with what is read from the state.
    pub(super) async fn put_together(
        base: Base<'_>,
        opened: Opened,
        policy: &Policy,
        parts: Parts,
    ) -> Result<Arc<Self>, EngineError> {
        let Base { options, clock, metrics, secrets, .. } = base;
        let Parts { keys, state, members, numbers, partitions } = parts;
        let keeper: &dyn Keeper = match &state {
            State::Embedded(keeper) => keeper.as_ref(),
            State::Shared(shared) => shared.redis(),
        };
        let read = read_catalogue(keeper, 1).await?.with_descriptor_confidence_min(options.descriptor_confidence_min);
        let mut policy = policy.clone();
        policy.holdout_key = secrets.holdout;
        let marks = read_marks(keeper, partitions, &keys::mark()).await?;
        let marked = match &state {
            State::Embedded(_) => marks.iter().map(|mark| AtomicI64::new(mark.load(Ordering::Relaxed))).collect(),
            State::Shared(_) => read_marks(keeper, partitions, &keys::marked()).await?,
        };
        let dead_letters = count_dead_letters(keeper).await?;
        let engine = Self {
            clock: clock.clone(),
            policy,
            options: options.clone(),
            metrics: Arc::clone(metrics),
            heard: Heard::new(clock.now()),
            journal: opened.journal,
            sightings: opened.sightings,
            keys,
            secrets,
            state,
            snapshot: ArcSwap::from_pointee(read),
            editing: tokio::sync::Mutex::new(()),
            budgets: super::budgets::Budgets::default(),
            rounds: super::rounds::Rounds::default(),
            members,
            stripes: (0..STRIPES).map(|_| Arc::default()).collect(),
            early: super::waiting::Early::new(seed()),
            linked: super::linked::Linked::default(),
            holders: super::holders::Holders::default(),
            screening: super::screened::Screening::new(options.pass_age_ms_max),
            card_stripes: (0..256).map(|_| Arc::default()).collect(),
            numbers,
            marked,
            marks,
            under_way: Mutex::default(),
            ticket: AtomicU64::new(0),
            dead_letters: AtomicU64::new(dead_letters),
            merging: AtomicBool::new(false),
            gate: Arc::default(),
            marking: tokio::sync::Mutex::default(),
            stopping: AtomicBool::new(false),
            jobs_left: tokio::sync::Notify::new(),
            fell_behind: AtomicBool::new(false),
        };
        Ok(Arc::new(engine))
    }

    /// Writes what waits into the state's files. Blocks on the disk: call it from a thread
    /// of its own.
    ///
    /// # Errors
    /// When the disk refuses; nothing is lost.
    pub fn checkpoint(&self) -> Result<Checkpointed, EngineError> {
        let State::Embedded(keeper) = &self.state else { return Ok(Checkpointed::default()) };
        // Taken before the layer is frozen: whatever is below it is in the layer by then.
        let position = self.low_water();
        let partitions = self.partitions();
        let numbers = self.numbers.iter().enumerate().map(|(place, number)| {
            let partition =
                if place == usize::from(partitions) { CATALOGUE } else { u16::try_from(place).unwrap_or(CATALOGUE) };
            (partition, number.load(Ordering::Acquire))
        });
        let numbers = numbers.filter(|(_, number)| *number > 0).collect();
        let begun = std::time::Instant::now();
        let done = keeper.checkpoint(&Meta { partitions, process: self.journal.process(), position, numbers })?;
        self.metrics.checkpoint(begun.elapsed(), done.bytes as u64);
        Ok(done)
    }

    /// Merges what checkpoints wrote, where it is due. Blocks, for seconds when it is.
    ///
    /// # Errors
    /// When the disk refuses; nothing is lost.
    pub fn merge_state(&self) -> Result<(), EngineError> {
        match &self.state {
            State::Embedded(keeper) => Ok(keeper.merge()?),
            State::Shared(_) => Ok(()),
        }
    }

    /// Bytes that wait for a checkpoint.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        match &self.state {
            State::Embedded(keeper) => keeper.layer_bytes(),
            State::Shared(_) => 0,
        }
    }

    /// Takes no more commits, writes the last checkpoint and closes the journals. Blocks.
    ///
    /// # Errors
    /// When the disk refuses; the next start then replays.
    pub fn stop(&self) -> Result<(), EngineError> {
        let able = self.is_able();
        self.stopping.store(true, Ordering::Release);
        if able {
            self.checkpoint()?;
            if let Err(error) = self.note_place() {
                tracing::warn!(%error, "where the journal ends could not be noted; the next start reads more of it");
            }
        }
        if let Some(sightings) = &self.sightings {
            sightings.close().map_err(EngineError::Journal)?;
        }
        self.journal.close()?;
        Ok(())
    }

    /// Drops sightings older than they are kept, and indexes the rest. Blocks.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn tidy_sightings(&self) -> Result<u64, EngineError> {
        let Some(sightings) = &self.sightings else { return Ok(0) };
        let kept = i64::from(self.options.sightings_days) * crate::domain::time::DAY_MS;
        Ok(sightings.tidy(self.clock.now().as_ms() - kept)?)
    }
}

/// What every start opens first: secrets and the vault, beside the journal.
pub(super) struct Base<'a> {
    disk: &'a Arc<dyn Disk>,
    pub(super) options: &'a EngineOptions,
    pub(super) clock: &'a Clock,
    pub(super) metrics: &'a Arc<Metrics>,
    pub(super) secrets: StoreSecrets,
    pub(super) vault: Arc<Vault>,
}

/// A journal that was opened.
pub(super) struct Opened {
    pub(super) journal: Journal,
    pub(super) torn_bytes: u64,
    sightings: Option<Arc<Sightings>>,
}

/// What differs between a state of one's own and a shared one.
pub(super) struct Parts {
    pub(super) keys: MemberKeys,
    pub(super) state: State,
    pub(super) members: quick_cache::sync::Cache<MemberId, Arc<MemberState>, MemberWeight>,
    pub(super) numbers: Vec<AtomicU64>,
    pub(super) partitions: u16,
}

impl<'a> Base<'a> {
    pub(super) fn open(
        disk: &'a Arc<dyn Disk>,
        options: &'a EngineOptions,
        clock: &'a Clock,
        metrics: &'a Arc<Metrics>,
    ) -> Result<Self, StartError> {
        let secrets_path = options.journal_dir.join("store.secrets");
        let secrets = StoreSecrets::open(&secrets_path, !has_segments(disk.as_ref(), &options.journal_dir))?;
        let vault = Arc::new(Vault::open(disk.as_ref(), &options.journal_dir.join("member.keys"))?);
        Ok(Self { disk, options, clock, metrics, secrets, vault })
    }

    /// Opens the journal, shows its records from a place on, and opens the sightings.
    pub(super) fn journal(
        &self,
        process: Option<u32>,
        from: Option<Position>,
        record: &mut dyn FnMut(&[u8]) -> Result<(), EngineError>,
    ) -> Result<Opened, StartError> {
        let options = self.options;
        let mut journal_options = journal_options(options, &options.journal_dir, self.clock);
        journal_options.process = process;
        journal_options.vault = Some(Arc::clone(&self.vault));
        let on_sync = Arc::clone(self.metrics);
        journal_options.on_sync = Some(Box::new(move |took, records| {
            on_sync.journal_sync(took, records as u64, 0);
        }));
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| StartError::Journal { path, source }
        };
        // The journal names the position itself.
        let opened = Journal::open(Arc::clone(self.disk), journal_options, from, &mut |_, bytes: &[u8]| record(bytes));
        let (journal, opened) = opened.map_err(failed(&options.journal_dir))?;
        let torn_bytes = opened.torn_bytes_dropped;
        if options.sightings_days == 0 {
            return Ok(Opened { journal, torn_bytes, sightings: None });
        }
        let dir = options.journal_dir.join("sightings");
        std::fs::create_dir_all(&dir).map_err(|source| StartError::Folder { path: dir.clone(), source })?;
        let mut sighting_options = journal_options_small(options, &dir, self.clock);
        sighting_options.process = Some(opened.process);
        sighting_options.segment_ms_max = Some(crate::domain::time::DAY_MS);
        let skip = &mut |_, _: &[u8]| Ok::<(), EngineError>(());
        let sightings = Journal::open(Arc::clone(self.disk), sighting_options, None, skip).map_err(failed(&dir))?.0;
        Ok(Opened { journal, torn_bytes, sightings: Some(Arc::new(Sightings::new(sightings))) })
    }
}

/// Counters of record numbers, the catalogue's last.
pub(super) fn first_numbers(partitions: u16) -> Vec<AtomicU64> {
    (0..=partitions).map(|_| AtomicU64::new(0)).collect()
}

/// Where a partition's counter is.
pub(super) fn place_of(partition: u16, partitions: u16) -> usize {
    usize::from(if partition == CATALOGUE { partitions } else { partition })
}

pub(super) fn member_cache(
    options: &EngineOptions,
) -> quick_cache::sync::Cache<MemberId, Arc<MemberState>, MemberWeight> {
    quick_cache::sync::Cache::with_weighter(100_000, options.members_cached_bytes, MemberWeight)
}

fn journal_options(options: &EngineOptions, dir: &Path, clock: &Clock) -> Options {
    let mut out = Options::new(dir);
    out.segment_bytes_max = options.segment_bytes;
    out.queue_records_max = options.queue_records_max;
    out.frame_bytes_max = options.frame_bytes_max;
    out.clock = clock.clone();
    out
}

/// Sightings go by whole segments: smaller ones, so that little is kept too long.
fn journal_options_small(options: &EngineOptions, dir: &Path, clock: &Clock) -> Options {
    let mut out = journal_options(options, dir, clock);
    out.segment_bytes_max = options.segment_bytes.min(64 << 20);
    out
}

/// Whether the state says it was made from another journal, or from more of this one
/// than there is.
pub(super) fn proves_nothing(error: &JournalError) -> bool {
    matches!(error, JournalError::Lost { .. } | JournalError::NoBoundary { .. } | JournalError::OtherProcess { .. })
}

fn has_segments(disk: &dyn Disk, dir: &Path) -> bool {
    disk.list(dir).is_ok_and(|names| names.iter().any(|name| name.ends_with(".seg")))
}

fn open_state(
    path: &Path,
    options: &EngineOptions,
    started: &mut Started,
) -> Result<Option<(Embedded, Meta)>, StartError> {
    match Embedded::open(path, options.cache_bytes, options.checkpoint_bytes * 2) {
        Ok((keeper, Some(meta))) => Ok(Some((keeper, meta))),
        Ok((_, None)) => Ok(None),
        Err(OpenError::Unsound { reason, .. }) => {
            started.rebuilt = Some(reason);
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Removes a folder with all in it; one that is not there is as good as removed.
fn remove(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn check_partitions(meta: &Meta, options: &EngineOptions) -> Result<(), StartError> {
    if meta.partitions == options.partitions {
        return Ok(());
    }
    Err(StartError::Partitions { has: meta.partitions, said: options.partitions })
}

/// Reads pages of a keeper to the end.
async fn pages(
    keeper: &dyn Keeper,
    partition: u16,
    prefix: &[u8],
    mut each: impl FnMut(&Bytes) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = keeper.scan(partition, prefix, after.as_deref(), 1024).await?;
        for (_, value) in &page {
            each(value)?;
        }
        match page.last() {
            Some((key, _)) if page.len() == 1024 => after = Some(key.clone()),
            _ => return Ok(()),
        }
    }
}

/// The embedded keeper answers at once, except a commit that waits for room: there a
/// start makes the room itself.
pub(super) fn now<T, E>(answer: impl Future<Output = Result<T, E>>) -> Result<T, EngineError>
where
    EngineError: From<E>,
{
    let mut answer = std::pin::pin!(answer);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match answer.as_mut().poll(&mut context) {
        std::task::Poll::Ready(done) => Ok(done?),
        std::task::Poll::Pending => Err(EngineError::Contended),
    }
}

pub(super) async fn read_catalogue(keeper: &dyn Keeper, revision: u64) -> Result<Catalogue, EngineError> {
    let mut merchants: Vec<Arc<Merchant>> = Vec::new();
    let mut offers: Vec<Arc<Offer>> = Vec::new();
    pages(keeper, CATALOGUE, b"M", |value| {
        merchants.push(Arc::new(keys::of_document(value)?.1));
        Ok(())
    })
    .await?;
    pages(keeper, CATALOGUE, b"O", |value| {
        offers.push(Arc::new(keys::of_document(value)?.1));
        Ok(())
    })
    .await?;
    Ok(Catalogue::build(merchants, offers, revision, seed()))
}

/// Seed of the index's hash, so that nobody can aim collisions at it.
pub(super) fn seed() -> u64 {
    let mut bytes = [0; 8];
    // Without randomness the index works as well; it is then merely easier to aim at.
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

async fn read_marks(keeper: &dyn Keeper, partitions: u16, key: &[u8]) -> Result<Vec<AtomicI64>, EngineError> {
    let mut marks = Vec::with_capacity(usize::from(partitions));
    for partition in 0..partitions {
        let found = keeper.get(partition, key).await?;
        marks.push(AtomicI64::new(keys::counter(found.as_ref())));
    }
    Ok(marks)
}

async fn count_dead_letters(keeper: &dyn Keeper) -> Result<u64, EngineError> {
    let mut count = 0;
    pages(keeper, CATALOGUE, b"d", |_| {
        count += 1;
        Ok(())
    })
    .await?;
    Ok(count)
}
