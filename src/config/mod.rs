//! Configuration: what was said ([`RawSettings`]) becomes what it means ([`Settings`]).
//!
//! `config/ringfence.toml` is compiled in and explains every key; a file and `RINGFENCE_*`
//! variables go over it. Everything that is wrong is named at once. The environment and the
//! reading of files are arguments; nothing here touches the process or the network.

mod check;
mod problem;
mod pull;
mod reader;
mod said;
mod screening;
mod secret;
mod sources;
#[cfg(test)]
mod tests;
mod values;

pub use check::{CheckReport, Warning, check};
pub use problem::{ConfigProblems, Problem};
pub use pull::{PullSecretKind, PullSettings};
pub use said::{Origin, RawSettings};
pub use screening::{ModelSettings, ModelState, ScreeningSettings};
pub use secret::{SECRET_CHOSEN_BYTES_MIN, SECRET_KEY_BYTES_MIN, SECRET_TEXT_BYTES_MAX, SecretPlace, SecretText};
pub use sources::{SourceRate, SourceSecret, SourceSettings};
pub use values::{Bad, Cidr, LogFormat, LogLevel, MccSet, Rate, RedisUrl, StoreUrl};

use reader::Reader;
use sources::FoundSource;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;
use values::bad;

/// The compiled-in configuration: every key, explained.
pub const DEFAULT_TOML: &str = include_str!("../../config/ringfence.toml");
/// Most sources.
pub const SOURCES_MAX: usize = 256;

/// Reads a file to its end as text. An argument, so that tests need no files.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

const PROXIES_MAX: usize = 64;
const MCC_ENTRIES_MAX: usize = 256;
const PER_SECOND_MAX: i64 = 1_000_000;
const BURST_MAX: i64 = 10_000_000;
const MIB: i64 = 1 << 20;
const GIB: i64 = 1 << 30;

/// Everything that is configured, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// HTTP.
    pub server: ServerSettings,
    /// How fast callers may go.
    pub limits: LimitSettings,
    /// The state.
    pub store: StoreSettings,
    /// The journal.
    pub journal: JournalSettings,
    /// What webhooks may be like.
    pub webhooks: WebhookSettings,
    /// What purchases are like.
    pub purchases: PurchaseSettings,
    /// What is counted of sources.
    pub health: HealthSettings,
    /// How shops are recognised.
    pub matching: MatchingSettings,
    /// Screening of members.
    pub screening: ScreeningSettings,
    /// The consoles.
    pub console: ConsoleSettings,
    /// The log.
    pub log: LogSettings,
    /// Who may post webhooks, in the order given.
    pub sources: Vec<SourceSettings>,
    lines: Vec<(String, String, Origin)>,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Where to serve; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How the outside reaches us, without a slash at the end. `None`: by the address served on.
    pub public_url: Option<String>,
    /// Open connections at once.
    pub connections_max: usize,
    /// Requests one HTTP/2 connection may have open at once.
    pub streams_max: u32,
    /// Requests being read or answered at once.
    pub requests_in_flight_max: usize,
    /// Of these, requests whose body is still on its way; fewer than all.
    pub bodies_awaited_max: usize,
    /// Bytes of a request's line and headers.
    pub header_bytes_max: usize,
    /// Headers of a request.
    pub headers_max: usize,
    /// Time from a connection's opening to the end of its first request's headers.
    pub header_time_max: Duration,
    /// Time a connection may stay open without a request.
    pub quiet_time_max: Duration,
    /// Bytes of a body.
    pub body_bytes_max: usize,
    /// Time to send a body.
    pub body_time_max: Duration,
    /// Time that requests in flight may still take at the end.
    pub drain_time_max: Duration,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Threads that serve. `None`: one per core.
    pub worker_threads: Option<usize>,
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitSettings {
    /// Of each source. `None`: no limit.
    pub per_source: Option<Rate>,
    /// Of each API key. `None`: no limit.
    pub per_key: Option<Rate>,
    /// Of each client address. `None`: no limit.
    pub per_address: Option<Rate>,
    /// Sources, keys and addresses remembered, of each.
    pub keys_max: usize,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// Where the state is.
    pub url: StoreUrl,
    /// Partitions of members, 1 to 4096; fixed when the store is created.
    pub partitions: u16,
    /// Bytes of the block cache.
    pub cache_bytes: usize,
    /// Bytes of members' states kept ready.
    pub members_cached_bytes: usize,
    /// Time between checkpoints.
    pub checkpoint_every: Duration,
    /// Bytes of journal between checkpoints.
    pub checkpoint_bytes: u64,
}

/// `[journal]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalSettings {
    /// Its folder.
    pub dir: PathBuf,
    /// Bytes of one file.
    pub segment_bytes: u64,
    /// Records waiting for a sync.
    pub queue_records_max: usize,
    /// Bytes of one record.
    pub frame_bytes_max: usize,
    /// Days that sightings are kept; 0 keeps none.
    pub sightings_days: u32,
}

/// `[webhooks]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Seconds a signature's time may differ from ours, both ways.
    pub age_seconds_max: u32,
    /// Events in one body.
    pub events_per_batch_max: usize,
    /// Hours ahead from which an event's time is alarmed.
    pub future_hours_alarm: u32,
    /// Messages on the dead-letter shelf.
    pub dead_letters_max: usize,
    /// Bytes kept of one of them.
    pub dead_letter_bytes_max: usize,
}

/// `[purchases]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurchaseSettings {
    /// Days until an authorization lapses.
    pub lapse_days: u32,
    /// The same at merchants of `lapse_long_mcc`.
    pub lapse_days_long: u32,
    /// Lodging, car rental, cruise.
    pub lapse_long_mcc: MccSet,
    /// Purchases as good as cash.
    pub cash_like_mcc: MccSet,
    /// Days an event's identity is remembered.
    pub retention_days: u32,
    /// Open purchases of one member.
    pub open_purchases_max: usize,
    /// Time from an offer's publication to its effect.
    pub offer_effective_after: Duration,
}

/// `[health]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthSettings {
    /// Days of which counts are kept.
    pub days_kept: u32,
    /// Silence that is never alarmed.
    pub silence_min: Duration,
}

/// `[matching]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatchingSettings {
    /// Confidence, of 1000, below which a statement text is matched to no shop.
    pub descriptor_confidence_min: u16,
}

/// `[console]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsoleSettings {
    /// Time after which a case that somebody took and left alone is free again.
    pub take_idle: Duration,
    /// Bytes of the list of who saw and did what, all its files together.
    pub audit_bytes_max: u64,
}

impl Default for ConsoleSettings {
    /// As compiled in.
    fn default() -> Self {
        Settings::compiled_in().console
    }
}

/// `[log]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// How much.
    pub level: LogLevel,
    /// In which form.
    pub format: LogFormat,
}

impl Settings {
    /// Reads the compiled-in default, the file over it and the variables over both.
    ///
    /// Only variables that begin with `RINGFENCE_` are settings; others are looked at when a
    /// secret is said to be there. A command-line `--store` is the same as
    /// `RINGFENCE_STORE__URL`.
    ///
    /// # Errors
    /// [`ConfigProblems`], all of them.
    pub fn load(
        file: Option<&Path>,
        env: &BTreeMap<String, String>,
        read_file: ReadFile<'_>,
    ) -> Result<Self, ConfigProblems> {
        let mut problems = Vec::new();
        let text = file.map(|path| (path, read_file(path)));
        let said = RawSettings::gather(DEFAULT_TOML, text, env, &mut problems);
        let mut reader = Reader::new(&said, problems);
        let settings = read(&mut reader, env, read_file);
        let mut problems = reader.problems;
        match settings {
            Some(settings) if problems.is_empty() => Ok(settings),
            _ => {
                problems.sort();
                problems.dedup();
                assert!(!problems.is_empty(), "settings are refused only for a reason");
                Err(ConfigProblems(problems))
            }
        }
    }

    /// The compiled-in settings alone: no sources, nothing read from anywhere.
    #[must_use]
    pub fn compiled_in() -> Self {
        Self::load(None, &BTreeMap::new(), &|_| Err(io::ErrorKind::NotFound.into()))
            .expect("the compiled-in configuration is right: a test reads it")
    }

    /// The settings as they were read, one `key = value` per line with who said it, without
    /// secrets (only the places where they are).
    #[must_use]
    pub fn describe(&self) -> String {
        let width = self.lines.iter().map(|(path, value, _)| path.len() + value.len() + 3).max().unwrap_or(0).min(60);
        let mut text = String::new();
        for (path, value, origin) in &self.lines {
            let line = format!("{path} = {value}");
            match origin {
                Origin::Default => text.push_str(&line),
                said => text.push_str(&format!("{line:width$}  # {said}")),
            }
            text.push('\n');
        }
        text
    }
}

/// Reads everything. `None` only when a problem was noted.
fn read(reader: &mut Reader<'_>, env: &BTreeMap<String, String>, read_file: ReadFile<'_>) -> Option<Settings> {
    let server = read_server(reader);
    let limits = LimitSettings {
        keys_max: reader.integer("limits.keys_max", 100, 10_000_000),
        per_source: read_rate(reader, "limits.per_source"),
        per_key: read_rate(reader, "limits.per_key"),
        per_address: read_rate(reader, "limits.per_address"),
    };
    let store = read_store(reader);
    let journal = read_journal(reader);
    let webhooks = WebhookSettings {
        age_seconds_max: reader.integer("webhooks.age_seconds_max", 10, 3600),
        events_per_batch_max: reader.integer("webhooks.events_per_batch_max", 1, 500),
        future_hours_alarm: reader.integer("webhooks.future_hours_alarm", 1, 720),
        dead_letters_max: reader.integer("webhooks.dead_letters_max", 0, 1_000_000),
        dead_letter_bytes_max: reader.integer("webhooks.dead_letter_bytes_max", 1024, MIB),
    };
    let purchases = read_purchases(reader);
    let health = HealthSettings {
        days_kept: reader.integer("health.days_kept", 7, 400),
        silence_min: seconds(reader, "health.silence_seconds_min", 60, 604_800),
    };
    let matching =
        MatchingSettings { descriptor_confidence_min: reader.integer("matching.descriptor_confidence_min", 0, 1000) };
    let screening = screening::read(reader, read_file);
    let console = ConsoleSettings {
        take_idle: seconds(reader, "console.take_idle_seconds", 60, 86_400),
        audit_bytes_max: reader.integer("console.audit_bytes_max", MIB, 64 * GIB),
    };
    let level = reader.required("log.level", "a level", LogLevel::parse);
    let format = reader.required("log.format", "a format", LogFormat::parse);
    let sources = sources::read(reader, env, read_file);
    let variables: Vec<&str> = sources.iter().flat_map(FoundSource::variables).collect();
    reader.refuse_unknown(&variables);
    let settings = Settings {
        server: server?,
        limits,
        store: store?,
        journal: journal?,
        webhooks,
        purchases,
        health,
        matching,
        screening,
        console,
        log: LogSettings { level: level?, format: format? },
        sources: sources.into_iter().map(FoundSource::settle).collect::<Option<Vec<_>>>()?,
        lines: std::mem::take(&mut reader.lines),
    };
    // A value that was wrong by itself stands in as a harmless one: what it seems to contradict
    // is nobody's mistake.
    if reader.problems.is_empty() {
        refuse_contradictions(reader, &settings);
    }
    Some(settings)
}

fn read_server(reader: &mut Reader<'_>) -> Option<ServerSettings> {
    let listen = reader.required("server.listen", "an address and port", values::parse_listen);
    let public_url = reader.optional("server.public_url", values::parse_public_url);
    let connections_max = reader.integer("server.connections_max", 1, 1_000_000);
    let streams_max = reader.integer("server.streams_max", 1, 10_000);
    let requests_in_flight_max = reader.integer("server.requests_in_flight_max", 1, 1_000_000);
    let bodies_awaited_max = reader.integer("server.bodies_awaited_max", 1, 1_000_000);
    let header_bytes_max = reader.integer("server.header_bytes_max", 8192, MIB);
    let headers_max = reader.integer("server.headers_max", 8, 1024);
    let header_time_max = seconds(reader, "server.header_seconds_max", 1, 300);
    let quiet_time_max = seconds(reader, "server.quiet_seconds_max", 1, 3600);
    let body_bytes_max = reader.integer("server.body_bytes_max", 1024, 64 * MIB);
    let body_time_max = seconds(reader, "server.body_seconds_max", 1, 300);
    let drain_time_max = seconds(reader, "server.drain_seconds_max", 0, 600);
    let trusted_proxies = reader.list("server.trusted_proxies", PROXIES_MAX, "networks", |text| {
        let network = Cidr::parse(text)?;
        if network.is_everybody() {
            return bad("trusts everybody, who could then claim any address", "the networks of your proxies alone");
        }
        Ok(network)
    });
    let worker_threads: usize = reader.integer("server.worker_threads", 0, 1024);
    Some(ServerSettings {
        listen: listen?,
        public_url,
        connections_max,
        streams_max,
        requests_in_flight_max,
        bodies_awaited_max,
        header_bytes_max,
        headers_max,
        header_time_max,
        quiet_time_max,
        body_bytes_max,
        body_time_max,
        drain_time_max,
        trusted_proxies,
        worker_threads: (worker_threads > 0).then_some(worker_threads),
    })
}

fn read_store(reader: &mut Reader<'_>) -> Option<StoreSettings> {
    let url = reader.required("store.url", "\"embedded:PATH\" or \"redis://HOST:PORT\"", StoreUrl::parse);
    let partitions = reader.integer("store.partitions", 1, 4096);
    let cache_bytes = reader.integer("store.cache_bytes", MIB, 1024 * GIB);
    let members_cached_bytes = reader.integer("store.members_cached_bytes", MIB, 1024 * GIB);
    let checkpoint_every = seconds(reader, "store.checkpoint_seconds", 1, 3600);
    let checkpoint_bytes = reader.integer("store.checkpoint_bytes", MIB, 64 * GIB);
    Some(StoreSettings { url: url?, partitions, cache_bytes, members_cached_bytes, checkpoint_every, checkpoint_bytes })
}

fn read_journal(reader: &mut Reader<'_>) -> Option<JournalSettings> {
    let dir = reader.required("journal.dir", "a folder", |text| {
        if text.is_empty() || text.contains('\0') {
            return bad("names no folder", "a path such as \"data/journal\"");
        }
        Ok(PathBuf::from(text))
    });
    let segment_bytes = reader.integer("journal.segment_bytes", MIB, 16 * GIB);
    let queue_records_max = reader.integer("journal.queue_records_max", 16, 1_000_000);
    let frame_bytes_max = reader.integer("journal.frame_bytes_max", 64 << 10, 64 * MIB);
    let sightings_days = reader.integer("journal.sightings_days", 0, 400);
    Some(JournalSettings { dir: dir?, segment_bytes, queue_records_max, frame_bytes_max, sightings_days })
}

fn read_purchases(reader: &mut Reader<'_>) -> PurchaseSettings {
    let mut codes = |path: &str| {
        let right = "merchant category codes";
        MccSet::from_ranges(reader.list(path, MCC_ENTRIES_MAX, right, MccSet::parse_entry))
    };
    let lapse_long_mcc = codes("purchases.lapse_long_mcc");
    let cash_like_mcc = codes("purchases.cash_like_mcc");
    PurchaseSettings {
        lapse_days: reader.integer("purchases.lapse_days", 1, 90),
        lapse_days_long: reader.integer("purchases.lapse_days_long", 1, 90),
        lapse_long_mcc,
        cash_like_mcc,
        retention_days: reader.integer("purchases.retention_days", 180, 3650),
        open_purchases_max: reader.integer("purchases.open_purchases_max", 10, 100_000),
        offer_effective_after: seconds(reader, "purchases.offer_effective_seconds", 1, 60),
    }
}

fn read_rate(reader: &mut Reader<'_>, at: &str) -> Option<Rate> {
    let per_second: u32 = reader.integer(&format!("{at}.per_second"), 0, PER_SECOND_MAX);
    let burst: u32 = reader.integer(&format!("{at}.burst"), 1, BURST_MAX);
    Some(Rate { per_second: NonZeroU32::new(per_second)?, burst: NonZeroU32::new(burst)? })
}

fn seconds(reader: &mut Reader<'_>, path: &str, min: i64, max: i64) -> Duration {
    Duration::from_secs(reader.integer(path, min, max))
}

/// What is right by itself and wrong together.
fn refuse_contradictions(reader: &mut Reader<'_>, settings: &Settings) {
    let mut refuse = |path: &str, wrong: String, right: &str| {
        reader.problem(path, values::Bad { wrong, right: right.to_owned() });
    };
    let server = &settings.server;
    if server.bodies_awaited_max >= server.requests_in_flight_max {
        refuse(
            "server.bodies_awaited_max",
            format!("{} is not less than requests_in_flight_max", server.bodies_awaited_max),
            "fewer, so that slow senders cannot take every place",
        );
    }
    let purchases = &settings.purchases;
    if purchases.lapse_days > purchases.lapse_days_long {
        refuse(
            "purchases.lapse_days",
            format!("{} is more than lapse_days_long, {}", purchases.lapse_days, purchases.lapse_days_long),
            "no more than lapse_days_long",
        );
    }
    let journal = &settings.journal;
    if journal.frame_bytes_max as u64 > journal.segment_bytes {
        refuse(
            "journal.frame_bytes_max",
            format!("{} is more than segment_bytes, {}", journal.frame_bytes_max, journal.segment_bytes),
            "a record must fit into one file of the journal",
        );
    }
    if settings.webhooks.dead_letter_bytes_max * 2 > journal.frame_bytes_max {
        refuse(
            "webhooks.dead_letter_bytes_max",
            format!("{} is more than half of journal.frame_bytes_max", settings.webhooks.dead_letter_bytes_max),
            "a dead letter must fit into one record of the journal",
        );
    }
    if let StoreUrl::Embedded(store) = &settings.store.url
        && lies_in(store, &journal.dir)
    {
        refuse(
            "journal.dir",
            format!("holds the store's folder, {}", values::quoted(&store.display().to_string())),
            "a folder of its own: the state may be thrown away and rebuilt, the journal never",
        );
    }
}

/// Whether a folder is another one, or lies in it, as far as the names tell.
fn lies_in(inner: &Path, outer: &Path) -> bool {
    fn plain(path: &Path) -> Vec<std::path::Component<'_>> {
        path.components().filter(|part| *part != std::path::Component::CurDir).collect()
    }
    plain(inner).starts_with(&plain(outer))
}
