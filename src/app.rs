//! The service put together: settings become an engine, doors and a listener; a few
//! tasks do what time asks for; a stop leaves nothing to replay.

use crate::api::{Doors, Limits};
use crate::authenticate::{KeyRing, KeysError, Scheme, Secret, Verifier, VerifierError};
use crate::clock::Clock;
use crate::config::{MccSet, Rate, Settings, SourceRate, SourceSettings, StoreUrl};
use crate::decide::{LapsePolicy, Policy};
use crate::engine::{Engine, EngineOptions, StartError};
use crate::normalise::Format;
use crate::pipeline::{Chain, Source};
use crate::telemetry::Metrics;
use crate::wire::{self, LimitOptions, Limiter, Stopped, TrustedProxies, WireOptions};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How often the tasks of the house look whether there is something to do.
const HOUSE_TICK: Duration = Duration::from_secs(1);

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] StartError),
    /// The API keys.
    #[error("the API keys cannot be read")]
    Keys(#[from] KeysError),
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
    }
}

/// The engine's bounds and folders that are configured.
#[must_use]
pub fn engine_options(settings: &Settings) -> EngineOptions {
    let StoreUrl::Embedded(state_dir) = &settings.store.url;
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    EngineOptions {
        state_dir: state_dir.clone(),
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
    }
}

/// Where the API keys are kept.
#[must_use]
pub fn keys_dir(settings: &Settings) -> PathBuf {
    let StoreUrl::Embedded(state_dir) = &settings.store.url;
    state_dir.clone()
}

/// A configured source, ready to verify.
///
/// # Errors
/// When its secrets do not fit its way of authentication.
pub fn source(index: usize, said: &SourceSettings, age_seconds_max: u32) -> Result<Source, AppError> {
    let schemes = schemes(said);
    let secrets = said.secrets.iter().map(|secret| Secret::new(secret.expose().to_owned())).collect();
    let verifier = Verifier::new(&schemes, secrets, age_seconds_max)
        .map_err(|source| AppError::Source { name: said.name.to_string(), source })?;
    let format: Format =
        said.format.as_str().parse().expect("both lists of formats have the same words: a test reads them");
    Ok(Source { name: said.name.clone(), index, format, verifier, default_scheme: said.default_scheme.clone() })
}

/// A source's ways of authentication.
#[must_use]
pub fn schemes(said: &SourceSettings) -> Vec<Scheme> {
    let parse = |word: &str| word.parse().expect("both lists of schemes have the same words: a test reads them");
    said.auth.iter().map(|scheme| parse(scheme.as_str())).collect()
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

impl App {
    /// Opens the store, replays what it lacks, and takes the address.
    ///
    /// # Errors
    /// [`AppError`], naming the setting or file concerned.
    pub async fn start(settings: &Settings, clock: Clock, bootstrap: Option<&Secret>) -> Result<Self, AppError> {
        let names: Vec<_> = settings.sources.iter().map(|source| source.name.clone()).collect();
        let metrics = Arc::new(Metrics::new(&names));
        let age = settings.webhooks.age_seconds_max;
        let sources: Vec<Source> =
            settings.sources.iter().enumerate().map(|(i, said)| source(i, said, age)).collect::<Result<_, _>>()?;
        let proxies = TrustedProxies::parse(settings.server.trusted_proxies.iter().map(ToString::to_string))?;
        let address = settings.server.listen;
        let listener = TcpListener::bind(address).await.map_err(|source| AppError::Listen { address, source })?;
        let (options, policy, at) = (engine_options(settings), policy(settings), clock.clone());
        let shared = Arc::clone(&metrics);
        let opened = tokio::task::spawn_blocking(move || Engine::start(options, policy, at, shared)).await;
        let (engine, started) = opened.expect("a start answers with an error, it does not panic")?;
        metrics.set_replayed_records(started.replayed);
        let keys = KeyRing::load(keys_dir(settings), bootstrap)?;
        let options = wire_options(settings);
        let wire = Arc::clone(&options.counters);
        let doors = Arc::new(Doors::new(engine, sources, keys, limits(settings), proxies, wire));
        Ok(Self { doors, listener, options, checkpoint_every: settings.store.checkpoint_every, started })
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
        let Self { doors, listener, options, checkpoint_every, .. } = self;
        let (stop_house, house_stopped) = oneshot::channel();
        let house = tokio::spawn(keep_house(Arc::clone(&doors), checkpoint_every, house_stopped));
        doors.set_ready(true);
        let stop = async {
            stop.await;
            doors.set_ready(false);
        };
        let stopped = wire::serve(listener, options, Arc::clone(&doors), stop).await;
        let _ = stop_house.send(());
        let _ = house.await;
        let engine = Arc::clone(&doors.engine);
        let closed = tokio::task::spawn_blocking(move || engine.stop()).await;
        closed.expect("a stop answers with an error, it does not panic")?;
        Ok(stopped)
    }
}

/// Work of the house that blocks: its threads are waited for at a stop, because they hold
/// the store.
#[derive(Default)]
struct Housework {
    looking: Option<JoinHandle<()>>,
    merging: Option<JoinHandle<()>>,
}

async fn keep_house(doors: Arc<Doors>, checkpoint_every: Duration, stopped: oneshot::Receiver<()>) {
    let mut work = Housework::default();
    tokio::select! {
        biased;
        _ = stopped => {}
        () = look_after_house(&doors, checkpoint_every, &mut work) => {}
    }
    for thread in [work.looking, work.merging].into_iter().flatten() {
        let _ = thread.await;
    }
}

/// Looks at the world once a second and does what is needed: checkpoints, the daily mark,
/// keys that another program changed, old sightings, interrupted jobs.
async fn look_after_house(doors: &Arc<Doors>, checkpoint_every: Duration, work: &mut Housework) {
    if let Err(error) = doors.engine.go_on_deciding_again().await {
        tracing::error!(error = %Chain(&error), "an interrupted job could not go on; it is tried again at the next start");
    }
    let mut tick = tokio::time::interval(HOUSE_TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut checkpointed = Instant::now();
    let mut sightings_looked_at_on = 0;
    loop {
        tick.tick().await;
        let engine = &doors.engine;
        let waiting = engine.waiting_bytes();
        let due =
            waiting > engine.options.checkpoint_bytes || (waiting > 0 && checkpointed.elapsed() > checkpoint_every);
        let today = engine.clock.now().day();
        let sightings_due = sightings_looked_at_on != today;
        let shared = Arc::clone(doors);
        let looking = work.looking.insert(tokio::task::spawn_blocking(move || {
            if let Err(error) = shared.keys.reload_if_changed() {
                tracing::error!(error = %Chain(&error), "the API keys cannot be read again; those known stay in force");
            }
            if due && let Err(error) = shared.engine.checkpoint() {
                tracing::error!(error = %Chain(&error), "a checkpoint failed; the journal has everything, the next one tries again");
            }
            if sightings_due && let Err(error) = shared.engine.drop_old_sightings() {
                tracing::warn!(error = %Chain(&error), "old sightings could not be dropped");
            }
        }));
        if looking.await.is_ok() {
            sightings_looked_at_on = today;
        }
        work.looking = None;
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
