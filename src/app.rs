//! The service put together: settings become an engine, doors and a listener; a few
//! tasks do what time asks for; a stop leaves nothing to replay.

use crate::again;
use crate::api::{Doors, Limits};
use crate::authenticate::{KeyRing, KeysError, Secret, Verifier, VerifierError, Ways};
use crate::clock::Clock;
use crate::config::{MccSet, PullSecretKind, Rate, Settings, SourceRate, SourceSecret, SourceSettings, StoreUrl};
use crate::decide::{LapsePolicy, Policy};
use crate::engine::{Engine, EngineOptions, StartError};
use crate::follow::screening::Screener;
use crate::health::{Health, HealthError, HealthOptions, Turned};
use crate::pipeline::{Chain, Source};
use crate::pull::{self, PullCounters, PullError, PullOptions, Puller};
use crate::store::redis::connection::ConnectOptions;
use crate::telemetry::Metrics;
use crate::wire::{self, LimitOptions, Limiter, Stopped, TrustedProxies, WireOptions};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

/// How often the tasks of the house look whether there is something to do.
const HOUSE_TICK: Duration = Duration::from_secs(1);
/// What was heard of MIDs, beside the counts of sources.
const MIDS: &str = "mids.heard";

/// How often a process looks for what others changed in a shared store, and after how many looks
/// it says that it is alive and looks at the partitions.
const FEED_TICK: Duration = Duration::from_millis(200);
const FEED_TICKS_PER_BEAT: u32 = 5;
/// And after how many it notes how far a next start need not read its journal: a minute.
const FEED_TICKS_PER_NOTE: u32 = 300;

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] StartError),
    /// The API keys.
    #[error("the API keys cannot be read")]
    Keys(#[from] KeysError),
    /// A source's pages.
    #[error("sources: {name}: its pages cannot be pulled")]
    Pull {
        /// Which source.
        name: String,
        /// Why.
        #[source]
        source: PullError,
    },
    /// The counts of sources.
    #[error(transparent)]
    Health(#[from] HealthError),
    /// The end was not orderly.
    #[error("the store could not be closed in order; nothing acknowledged is lost")]
    Close(#[from] crate::engine::EngineError),
    /// A source's proof.
    #[error("sources: {name}: its secrets do not fit its way of authentication")]
    Source {
        /// Which source.
        name: String,
        /// Why.
        #[source]
        source: VerifierError,
    },
    /// A trusted proxy.
    #[error("server.trusted_proxies: {0}")]
    Proxies(#[from] wire::UnreadableNetwork),
    /// The address.
    #[error("server.listen: {address} cannot be served on")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A service that has started and is not serving yet.
pub struct App {
    /// The doors, and behind them everything.
    pub doors: Arc<Doors>,
    listener: TcpListener,
    options: WireOptions,
    checkpoint_every: Duration,
    pullers: Vec<Puller>,
    /// What the start found.
    pub started: crate::engine::start::Started,
}

/// Ranges of merchant categories as decisions use them.
fn ranges(set: &MccSet) -> Vec<RangeInclusive<u16>> {
    set.ranges().iter().map(|(from, to)| *from..=*to).collect()
}

/// The rules of decisions that are configured.
#[must_use]
pub fn policy(settings: &Settings) -> Policy {
    let purchases = &settings.purchases;
    Policy {
        lapse: LapsePolicy {
            days: purchases.lapse_days,
            days_long: purchases.lapse_days_long,
            long_mcc: ranges(&purchases.lapse_long_mcc),
        },
        cash_like_mcc: ranges(&purchases.cash_like_mcc),
        // Drawn when the store was made: see engine::secrets.
        holdout_key: [0; 16],
        screened: settings.screening.enabled,
    }
}

/// The engine's bounds and folders that are configured.
#[must_use]
pub fn engine_options(settings: &Settings) -> EngineOptions {
    let shared = match &settings.store.url {
        StoreUrl::Embedded(_) => None,
        // Read once already, when the settings were.
        StoreUrl::Redis(url) => ConnectOptions::parse(url.expose()).ok(),
    };
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    EngineOptions {
        state_dir: keys_dir(settings),
        shared,
        journal_dir: settings.journal.dir.clone(),
        partitions: settings.store.partitions,
        cache_bytes: settings.store.cache_bytes,
        members_cached_bytes: settings.store.members_cached_bytes as u64,
        checkpoint_bytes: usize::try_from(settings.store.checkpoint_bytes).unwrap_or(usize::MAX),
        segment_bytes: settings.journal.segment_bytes,
        queue_records_max: settings.journal.queue_records_max,
        frame_bytes_max: settings.journal.frame_bytes_max,
        sightings_days: settings.journal.sightings_days,
        retention_days: settings.purchases.retention_days,
        open_purchases_max: settings.purchases.open_purchases_max,
        effective_seconds: seconds(settings.purchases.offer_effective_after),
        dead_letters_max: settings.webhooks.dead_letters_max as u64,
        dead_letter_bytes_max: settings.webhooks.dead_letter_bytes_max,
        future_ms_alarm: i64::from(settings.webhooks.future_hours_alarm) * 3_600_000,
        descriptor_confidence_min: settings.matching.descriptor_confidence_min,
        four_eyes_minor: settings.screening.four_eyes_minor,
        blind_percent: settings.screening.blind_percent,
        pass_age_ms_max: i64::try_from(settings.screening.pass_age_max.as_millis()).unwrap_or(i64::MAX),
    }
}

/// Where the API keys are kept.
#[must_use]
pub fn keys_dir(settings: &Settings) -> PathBuf {
    match &settings.store.url {
        StoreUrl::Embedded(state_dir) => state_dir.clone(),
        StoreUrl::Redis(_) => settings.journal.dir.clone(),
    }
}

/// A configured source, ready to verify.
///
/// # Errors
/// When its secrets do not fit its way of authentication.
pub fn source(index: usize, said: &SourceSettings, age_seconds_max: u32) -> Result<Source, AppError> {
    let keyed = |secret: &SourceSecret| (secret.scheme, Secret::new(secret.text.expose()));
    let secrets: Vec<_> = said.secrets.iter().map(keyed).collect();
    let ways = Ways { schemes: &said.auth, secrets: &secrets, public_url: said.public_url.as_deref(), age_seconds_max };
    let verifier = Verifier::of(ways).map_err(|source| AppError::Source { name: said.name.to_string(), source })?;
    let (name, default_scheme) = (said.name.clone(), said.default_scheme.clone());
    Ok(Source { name, index, format: said.format, verifier, default_scheme })
}

fn limiter<K: std::hash::Hash + ?Sized>(rate: Option<Rate>, keys_max: usize) -> Option<Limiter<K>> {
    rate.map(|rate| Limiter::new(LimitOptions { per_second: rate.per_second, burst: rate.burst, keys_max }))
}

fn limits(settings: &Settings) -> Limits {
    let said = &settings.limits;
    let per_source = |source: &SourceSettings| match source.rate {
        None => limiter(said.per_source, said.keys_max),
        Some(SourceRate::Unlimited) => None,
        Some(SourceRate::Limited(rate)) => limiter(Some(rate), said.keys_max),
    };
    Limits {
        sources: settings.sources.iter().map(per_source).collect(),
        keys: limiter(said.per_key, said.keys_max),
        addresses: limiter(said.per_address, said.keys_max),
    }
}

fn wire_options(settings: &Settings) -> WireOptions {
    let server = &settings.server;
    WireOptions {
        connections_max: server.connections_max,
        connections_per_address_max: server.connections_max,
        header_bytes_max: server.header_bytes_max,
        headers_max: server.headers_max,
        streams_max: server.streams_max,
        body_bytes_max: server.body_bytes_max,
        body_seconds_max: server.body_time_max.as_secs(),
        bodies_awaited_max: server.bodies_awaited_max,
        requests_in_flight_max: server.requests_in_flight_max,
        first_head_seconds_max: server.header_time_max.as_secs(),
        quiet_seconds_max: server.quiet_time_max.as_secs(),
        drain_seconds_max: server.drain_time_max.as_secs(),
        ..WireOptions::default()
    }
}

/// Opens the store, replays what it lacks, and puts the doors before it.
async fn open(
    settings: &Settings,
    clock: Clock,
    bootstrap: Option<&Secret>,
    options: &WireOptions,
) -> Result<(Doors, crate::engine::start::Started), AppError> {
    let names: Vec<_> = settings.sources.iter().map(|source| source.name.clone()).collect();
    let metrics = Arc::new(Metrics::new(&names));
    let age = settings.webhooks.age_seconds_max;
    let sources: Vec<Source> =
        settings.sources.iter().enumerate().map(|(i, said)| source(i, said, age)).collect::<Result<_, _>>()?;
    for (index, said) in settings.sources.iter().enumerate() {
        metrics.expect_keys(index, said.secrets.len());
    }
    let proxies = TrustedProxies::parse(settings.server.trusted_proxies.iter().map(ToString::to_string))?;
    let (engine_options, policy, at) = (engine_options(settings), policy(settings), clock.clone());
    let (shared, health_dir) = (Arc::clone(&metrics), settings.journal.dir.join("sources"));
    let bounds = HealthOptions {
        days_kept: settings.health.days_kept,
        silence_seconds_min: settings.health.silence_min.as_secs(),
    };
    let opened = tokio::task::spawn_blocking(move || {
        let (engine, started) = Engine::start(engine_options, policy, at, shared)?;
        let health = Health::open(&health_dir, &names, bounds, clock.now())?;
        let path = health_dir.join(MIDS);
        engine.heard.keep_in(&path).map_err(|source| HealthError::Io { path, source })?;
        Ok::<_, AppError>((engine, started, health))
    });
    let (engine, started, health) = opened.await.expect("a start answers with an error, it does not panic")?;
    metrics.set_replayed_records(started.replayed);
    let keys = KeyRing::load(keys_dir(settings), bootstrap)?;
    let wire = Arc::clone(&options.counters);
    let doors = Doors::new(engine, sources, keys, limits(settings), proxies, wire)
        .with_health(health)
        .with_console(settings.console)
        .with_screener(Screener::new(settings.screening.clone()));
    publish_health(&doors, settings);
    publish_screening(&doors);
    Ok((doors, started))
}

/// Puts the sources' silence on the metrics page.
fn publish_health(doors: &Doors, settings: &Settings) {
    let names = || settings.sources.iter().map(|source| source.name.to_string()).collect::<Vec<_>>();
    let (health, metrics) = (Arc::clone(&doors.health), &doors.engine.metrics);
    let help = "1 while a source is quieter than its own habit";
    metrics.publish_by_source("source_silent", help, false, names(), move |source| u64::from(health.is_silent(source)));
    let (health, clock) = (Arc::clone(&doors.health), doors.engine.clock.clone());
    let engine = Arc::downgrade(&doors.engine);
    let help = "Registered MIDs that are quieter than their own habit; their merchants see which on Locations";
    metrics.publish_gauge("mids_silent", help, move || engine.upgrade().map_or(0, |engine| engine.heard.silent()));
    let help = "Seconds since a source's newest delivery, or since the start";
    metrics.publish_by_source("source_silence_seconds", help, false, names(), move |source| {
        health.silence(source, clock.now()).seconds
    });
}

/// Puts on the metrics page how far screening is behind. Nothing is shown where it is off.
fn publish_screening(doors: &Doors) {
    if !doors.screener.settings().enabled {
        return;
    }
    let (metrics, began) = (&doors.engine.metrics, doors.engine.clock.now());
    let of = |read: fn(&Engine) -> u64| {
        let engine = Arc::downgrade(&doors.engine);
        move || engine.upgrade().map_or(0, |engine| read(&engine))
    };
    let help = "Records committed since the start that screening has not passed; money they earned waits";
    metrics.publish_gauge("screening_lag_records", help, of(|engine| engine.screening().lag_records()));
    let help = "Seconds since what the last whole pass of screening looked at; beyond pass_age_seconds_max money waits";
    let engine = Arc::downgrade(&doors.engine);
    metrics.publish_gauge("screening_pass_age_seconds", help, move || {
        let Some(engine) = engine.upgrade() else { return 0 };
        let at = engine.screening().progress().pass_at.unwrap_or(began);
        u64::try_from((engine.clock.now().as_ms() - at.as_ms()) / 1000).unwrap_or(0)
    });
    let help = "Times that a pay-out or a daily mark waited for screening in vain: look at it when this grows";
    metrics.publish_counter("screening_waits", help, of(|engine| engine.screening().waits()));
    let screener = Arc::clone(&doors.screener);
    let help = "Cases that screening opened since the start; none for long is as odd as many";
    metrics.publish_counter("screening_cases_opened", help, move || screener.cases_opened());
    for (name, help, which) in [
        ("screening_members", "Members that the last whole pass looked at", 0),
        ("screening_links", "Links that the last whole pass looked at", 1),
        ("screening_findings", "Findings of the last whole pass", 2),
    ] {
        let screener = Arc::clone(&doors.screener);
        metrics.publish_gauge(name, help, move || {
            let (members, links, findings) = screener.seen();
            [members, links, findings][which] as u64
        });
    }
}

/// A puller for each source that names a pull address, and their counters on the page.
fn pullers(settings: &Settings, doors: &Doors) -> Result<Vec<Puller>, AppError> {
    let mut pullers = Vec::new();
    let mut counters: Vec<(String, Arc<PullCounters>)> = Vec::new();
    for (index, said) in settings.sources.iter().enumerate() {
        let Some(pull) = &said.pull else { continue };
        let secret = pull.secret.as_ref().map(|secret| Secret::new(secret.expose().to_owned()));
        let options = PullOptions {
            url: pull.url.clone(),
            every: pull.every,
            cursor_query: pull.cursor_query.clone(),
            shape: pull::page::Shape { items: pull.items_field.clone(), cursor: pull.cursor_field.clone() },
            page_bytes_max: pull.page_bytes_max,
            page_time_max: pull.page_time_max,
            proof: match (secret, pull.secret_kind) {
                (None, _) => pull::Proof::Nobody,
                (Some(secret), PullSecretKind::Bearer) => pull::Proof::Bearer(secret),
                (Some(secret), PullSecretKind::Basic) => pull::Proof::Basic(secret),
            },
        };
        let mut seed = [0; 8];
        // Without randomness many pullers may come back together; nothing worse.
        let _ = getrandom::fill(&mut seed);
        let source = source(index, said, settings.webhooks.age_seconds_max)?;
        let (engine, health) = (Arc::clone(&doors.engine), Arc::clone(&doors.health));
        let dir = settings.journal.dir.join("sources");
        let puller = Puller::new(options, engine, health, source, &dir, u64::from_le_bytes(seed))
            .map_err(|source| AppError::Pull { name: said.name.to_string(), source })?;
        counters.push((said.name.to_string(), puller.counters()));
        pullers.push(puller);
    }
    publish_pullers(doors, &counters);
    Ok(pullers)
}

fn publish_pullers(doors: &Doors, counters: &[(String, Arc<PullCounters>)]) {
    let names = || counters.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let counted = |read: fn(&PullCounters) -> u64| {
        let counters: Vec<_> = counters.iter().map(|(_, counters)| Arc::clone(counters)).collect();
        move |place: usize| read(&counters[place])
    };
    let metrics = &doors.engine.metrics;
    let pages = counted(|counters| counters.pages.load(Ordering::Relaxed));
    metrics.publish_by_source("pull_pages", "Pages pulled from a source", true, names(), pages);
    let documents = counted(|counters| counters.documents.load(Ordering::Relaxed));
    metrics.publish_by_source("pull_documents", "Documents of pulled pages", true, names(), documents);
    let failures = counted(|counters| counters.failures.load(Ordering::Relaxed));
    metrics.publish_by_source("pull_failures", "Pages that could not be taken", true, names(), failures);
    let at: Vec<_> = counters.iter().map(|(_, counters)| Arc::clone(counters)).collect();
    let (clock, begun) = (doors.engine.clock.clone(), doors.engine.clock.now().as_ms());
    let help = "Seconds since a page was last taken, or since the start";
    metrics.publish_by_source("pull_success_age_seconds", help, false, names(), move |place| {
        let at = at[place].succeeded_at.load(Ordering::Relaxed).max(begun);
        u64::try_from((clock.now().as_ms() - at) / 1000).unwrap_or(0)
    });
}

/// Opens the store without serving, lets `work` use it, and leaves nothing to replay.
///
/// # Errors
/// [`AppError`] when it cannot be opened, or not closed in order; nothing acknowledged is lost.
pub async fn beside_service<T>(
    settings: &Settings,
    clock: Clock,
    work: impl AsyncFnOnce(Arc<Doors>) -> T,
) -> Result<T, AppError> {
    let (doors, _) = open(settings, clock, None, &wire_options(settings)).await?;
    let doors = Arc::new(doors);
    let (stop_house, house_stopped) = oneshot::channel();
    let house = tokio::spawn(keep_house(Arc::clone(&doors), settings.store.checkpoint_every, house_stopped));
    let done = work(Arc::clone(&doors)).await;
    let _ = stop_house.send(());
    let _ = house.await;
    close(&doors).await?;
    Ok(done)
}

/// The end: counts of sources, then the last checkpoint.
async fn close(doors: &Arc<Doors>) -> Result<(), crate::engine::EngineError> {
    let doors = Arc::clone(doors);
    let closed = tokio::task::spawn_blocking(move || {
        if let Err(error) = doors.health.close(doors.engine.clock.now()) {
            tracing::error!(error = %Chain(&error), "the counts of sources are not on disk");
        }
        save_mids(&doors.engine);
        doors.engine.stop()
    });
    closed.await.expect("a stop answers with an error, it does not panic")
}

impl App {
    /// Opens the store, replays what it lacks, and takes the address.
    ///
    /// # Errors
    /// [`AppError`], naming the setting or file concerned.
    pub async fn start(settings: &Settings, clock: Clock, bootstrap: Option<&Secret>) -> Result<Self, AppError> {
        let address = settings.server.listen;
        let listener = TcpListener::bind(address).await.map_err(|source| AppError::Listen { address, source })?;
        let options = wire_options(settings);
        let (doors, started) = open(settings, clock, bootstrap, &options).await?;
        let doors = Arc::new(doors);
        let pullers = pullers(settings, &doors)?;
        Ok(Self { doors, listener, options, checkpoint_every: settings.store.checkpoint_every, pullers, started })
    }

    /// Where it serves.
    ///
    /// # Panics
    /// Never: a bound listener has an address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("a bound listener has an address")
    }

    /// Serves until `stop`, answers what is in flight, and leaves nothing to replay.
    ///
    /// # Errors
    /// When the last checkpoint or the journal's close fails; nothing acknowledged is lost.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<Stopped, crate::engine::EngineError> {
        let Self { doors, listener, options, checkpoint_every, pullers, .. } = self;
        let (stop_house, house_stopped) = oneshot::channel();
        let house = tokio::spawn(keep_house(Arc::clone(&doors), checkpoint_every, house_stopped));
        doors.set_ready(true);
        let mut pulling = JoinSet::new();
        for puller in pullers {
            pulling.spawn(puller.run());
        }
        let stop = async {
            stop.await;
            doors.set_ready(false);
        };
        let stopped = wire::serve(listener, options, Arc::clone(&doors), stop).await;
        // What a puller has under way is read once more after the next start.
        pulling.shutdown().await;
        let _ = stop_house.send(());
        let _ = house.await;
        close(&doors).await?;
        Ok(stopped)
    }
}

/// Work of the house that blocks: its threads are waited for at a stop, because they hold
/// the store.
#[derive(Default)]
struct Housework {
    learning: Option<JoinHandle<()>>,
    looking: Option<JoinHandle<()>>,
    merging: Option<JoinHandle<()>>,
}

async fn keep_house(doors: Arc<Doors>, checkpoint_every: Duration, stopped: oneshot::Receiver<()>) {
    let mut work = Housework::default();
    let (stop_telling, telling_stopped) = tokio::sync::watch::channel(false);
    let telling = tokio::spawn(tell_referrals(Arc::clone(&doors), telling_stopped.clone()));
    let sharing = tokio::spawn(keep_shared(Arc::clone(&doors), telling_stopped));
    let is_on = doors.screener.settings().enabled;
    let screening = is_on.then(|| doors.screener.start(&doors.engine, tokio::runtime::Handle::current())).flatten();
    tokio::select! {
        biased;
        _ = stopped => {}
        () = look_after_house(&doors, checkpoint_every, &mut work) => {}
    }
    // What they have under way is waited for: they hold the store.
    if let Some(screening) = screening {
        let _ = tokio::task::spawn_blocking(move || screening.stop()).await;
    }
    let screener = Arc::clone(&doors.screener);
    let _ = tokio::task::spawn_blocking(move || screener.backtests().stop()).await;
    stop_telling.send_replace(true);
    let _ = telling.await;
    let _ = sharing.await;
    for thread in [work.learning, work.looking, work.merging].into_iter().flatten() {
        let _ = thread.await;
    }
}

/// Looks at the world once a second and does what is needed: checkpoints, the daily mark,
/// keys that another program changed, old sightings, interrupted jobs.
async fn look_after_house(doors: &Arc<Doors>, checkpoint_every: Duration, work: &mut Housework) {
    let shared = Arc::clone(doors);
    work.learning = Some(tokio::task::spawn_blocking(move || {
        if let Err(error) = shared.engine.learn_cards(usize::MAX) {
            tracing::warn!(error = %Chain(&error), "the linked cards could not be read; until the next start every card is looked for in the state");
        }
    }));
    if let Err(error) = doors.again.go_on(&doors.engine, |_| true).await {
        tracing::error!(error = %Chain(&error), "an interrupted job could not go on; it is tried again at the next start");
    }
    let mut tick = tokio::time::interval(HOUSE_TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut checkpointed = Instant::now();
    let mut sightings_looked_at_on = 0;
    let mut counts_saved = Instant::now();
    loop {
        tick.tick().await;
        let engine = &doors.engine;
        doors.health.turned(engine.clock.now()).iter().for_each(tell_silence);
        let waiting = engine.waiting_bytes();
        let due =
            waiting > engine.options.checkpoint_bytes || (waiting > 0 && checkpointed.elapsed() > checkpoint_every);
        let today = engine.clock.now().day();
        let sightings_due = sightings_looked_at_on != today;
        let counts_due = counts_saved.elapsed() > checkpoint_every;
        if counts_due {
            counts_saved = Instant::now();
        }
        let shared = Arc::clone(doors);
        let looking = work.looking.insert(tokio::task::spawn_blocking(move || {
            if let Err(error) = shared.keys.reload_if_changed() {
                tracing::error!(error = %Chain(&error), "the API keys cannot be read again; those known stay in force");
            }
            if due && let Err(error) = shared.engine.checkpoint() {
                tracing::error!(error = %Chain(&error), "a checkpoint failed; the journal has everything, the next one tries again");
            }
            if counts_due {
                if let Err(error) = shared.health.save(shared.engine.clock.now()) {
                    tracing::error!(error = %Chain(&error), "the counts of sources are not on disk; the next writing tries again");
                }
                save_mids(&shared.engine);
            }
            if sightings_due && let Err(error) = shared.engine.tidy_sightings() {
                tracing::warn!(error = %Chain(&error), "sightings could not be indexed, or old ones dropped");
            }
        }));
        let looked = looking.await.is_ok();
        // At once: whoever stops us while we go on below would wait for it a second time.
        work.looking = None;
        if looked {
            // At the start and once a day.
            if sightings_due && let Err(error) = again::take_followers(engine).await {
                tracing::warn!(error = %Chain(&error), "events that wait for their purchases could not be looked through");
            }
            sightings_looked_at_on = today;
        }
        if due {
            checkpointed = Instant::now();
            if work.merging.as_ref().is_none_or(JoinHandle::is_finished) {
                let shared = Arc::clone(doors);
                work.merging = Some(tokio::task::spawn_blocking(move || {
                    if let Err(error) = shared.engine.merge_state() {
                        tracing::warn!(error = %Chain(&error), "the state's files could not be merged; the next checkpoint tries again");
                    }
                }));
            }
        }
        if let Err(error) = engine.mark_day(engine.clock.now()).await {
            tracing::error!(error = %Chain(&error), "the daily mark is not complete; it goes on in a second");
        }
    }
}

/// Tells the sides of referrals what there is to tell, whenever a commit has left it: no
/// answer waits for it.
async fn tell_referrals(doors: Arc<Doors>, mut stopped: tokio::sync::watch::Receiver<bool>) {
    loop {
        tokio::select! {
            biased;
            _ = stopped.changed() => return,
            () = doors.engine.jobs_left() => {}
        }
        let stop = stopped.clone();
        let done = doors.again.go_on(&doors.engine, move |job| job.tells() && !*stop.borrow());
        if let Err(error) = done.await {
            tracing::error!(error = %Chain(&error), "a referral could not be told; it is tried again at the next change");
        }
    }
}

/// What a process that shares its store does all the time: it says that it is alive, finds what
/// the store forgot, reads what others changed, and settles budgets.
async fn keep_shared(doors: Arc<Doors>, mut stopped: tokio::sync::watch::Receiver<bool>) {
    let engine = &doors.engine;
    if !engine.is_shared() {
        return;
    }
    let heart = Arc::clone(engine);
    let beating = tokio::spawn(async move { heart.keep_beating().await });
    let mut feed = tokio::time::interval(FEED_TICK);
    feed.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ticks = 0_u32;
    loop {
        tokio::select! {
            biased;
            _ = stopped.changed() => break,
            () = engine.doubts() => {}
            _ = feed.tick() => {}
        }
        let mut done = engine.read_changes().await.map(drop);
        done = done.and(engine.settle_budgets().await);
        if ticks.is_multiple_of(FEED_TICKS_PER_BEAT) || engine.has_doubts() {
            done = done.and(engine.prove_all().await).and(engine.sweep_budgets().await);
            done = done.and(engine.hear_of_screening().await);
            // What another process left for this one: to look through its sightings, to erase a key.
            let own = engine.journal_process();
            done = done.and(doors.again.go_on(engine, move |job| job.process() == Some(own)).await.map(drop));
        }
        if ticks.is_multiple_of(FEED_TICKS_PER_NOTE) {
            let noting = Arc::clone(engine);
            let noted = tokio::task::spawn_blocking(move || noting.note_place()).await;
            if let Ok(Err(error)) = noted {
                tracing::warn!(%error, "where the journal ends could not be noted; the next start reads more of it");
            }
        }
        ticks = ticks.wrapping_add(1);
        if let Err(error) = done {
            tracing::warn!(error = %Chain(&error), "the shared store could not be looked at; commits wait until it can");
        }
    }
    beating.abort();
    let _ = beating.await;
    if let Err(error) = engine.settle_budgets().await {
        tracing::warn!(error = %Chain(&error), "budgets could not be settled; another process does it");
    }
}

/// Writes down what was heard of MIDs, and says that more of them have gone silent.
fn save_mids(engine: &Engine) {
    let before = engine.heard.silent();
    if let Err(error) = engine.heard.save(engine.clock.now()) {
        tracing::error!(error = %Chain(&error), "what was heard of MIDs is not on disk; the next writing tries again");
    }
    let silent = engine.heard.silent();
    if silent > before {
        tracing::warn!(
            silent,
            before,
            "more registered MIDs are quieter than their habit; Locations of the console says which"
        );
    }
}

/// Says that a source became silent, or is heard again.
fn tell_silence(turned: &Turned) {
    let (source, silence) = (&turned.source, &turned.silence);
    if turned.silent {
        tracing::warn!(
            %source, since = %silence.since, seconds = silence.seconds, habit_seconds = silence.habit_seconds,
            "a source is silent for longer than its habit; ask its provider, or look at the network between"
        );
    } else {
        tracing::info!(%source, "a source is heard again");
    }
}
