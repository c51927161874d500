//! `ringfence migrate`: the journals of a stopped service replayed, as they are, into an empty
//! store of another kind, and the books compared. The journals stay where they are and are the
//! truth as before; the number of partitions stays too.
//!
//! Journals of several processes are one book: what follows another's record comes after it, and
//! branches that were superseded are left out.

use crate::audit::{AuditError, AuditOptions, audit};
use crate::clock::Clock;
use crate::config::{Settings, StoreUrl};
use crate::domain::MemberId;
use crate::engine::migration::{Migration, MigrationError};
use crate::engine::{Engine, EngineOptions, StartError};
use crate::journal::disk::RealDisk;
use crate::journal::{Journal, Options, Position, ReadError};
use crate::record::{self, Body, Record, RecordError};
use crate::store::StoreError;
use crate::store::redis::connection::ConnectOptions;
use crate::telemetry::Metrics;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Records read from a journal at a time.
const PAGE: usize = 512;

/// Why a store was not migrated. The journals are untouched.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A journal cannot be opened.
    #[error("the journal at {path} cannot be opened; stop the service first")]
    Journal {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: crate::journal::OpenError,
    },
    /// A journal cannot be read.
    #[error("the journal cannot be read")]
    Read(#[from] ReadError),
    /// A record cannot be read.
    #[error("a record cannot be read")]
    Record(#[from] RecordError),
    /// The new store has something already.
    #[error("the store to migrate to is not empty: name one that nothing was ever kept in")]
    NotEmpty,
    /// An embedded store is one process'.
    #[error(
        "{0}; an embedded store goes on with one journal in which every record counts. Migrate to a Redis instead, or begin a new embedded store with `ingest`"
    )]
    NotOneJournal(&'static str),
    /// The new store.
    #[error("the new store failed")]
    Store(#[from] StoreError),
    /// Applying records to it.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// Starting on it.
    #[error("the service does not start on the new store")]
    Start(#[from] StartError),
    /// Its books.
    #[error("the new store's books cannot be read")]
    Engine(#[from] crate::engine::EngineError),
    /// The books before.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The books differ.
    #[error("the books of the new store differ from the journals': {0}")]
    Differs(String),
}

/// What was migrated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Migrated {
    /// Records applied.
    pub records: u64,
    /// Records left out: withdrawn, or of branches that were superseded.
    pub left_out: u64,
    /// Sums of the books that were compared, all equal.
    pub sums: usize,
}

type Own = (u32, u64);

struct Link {
    own: Own,
    partition: u16,
    previous: Option<Own>,
    version: u64,
    epoch: u32,
}

/// What a first reading of all journals finds.
#[derive(Default)]
struct Found {
    members: BTreeMap<MemberId, Vec<Link>>,
    withdrawn: HashSet<(u32, u16, u64)>,
    epoch: u32,
}

impl Found {
    fn take(&mut self, record: &Record) {
        let envelope = &record.envelope;
        self.epoch = self.epoch.max(envelope.epoch);
        match &record.body {
            Body::Withdrawn { number } => {
                self.withdrawn.insert((envelope.process, envelope.partition, *number));
            }
            Body::Member { member, .. } => {
                let link = Link {
                    own: (envelope.process, envelope.number),
                    partition: envelope.partition,
                    previous: envelope.previous.map(|previous| (previous.process, previous.number)),
                    version: envelope.version,
                    epoch: envelope.epoch,
                };
                self.members.entry(member.clone()).or_default().push(link);
            }
            _ => {}
        }
    }

    /// Per member, the records that count: the chain that ends with the newest.
    fn book(&self) -> HashMap<MemberId, HashSet<Own>> {
        let of = |links: &Vec<Link>| {
            let by_own: HashMap<Own, &Link> = links.iter().map(|link| (link.own, link)).collect();
            let counts = |link: &&Link| !self.withdrawn.contains(&(link.own.0, link.partition, link.own.1));
            let newest = links.iter().filter(counts).max_by_key(|link| (link.epoch, link.version)).map(|link| link.own);
            let mut chain = HashSet::new();
            let mut next = newest;
            while let Some(own) = next.filter(|own| chain.insert(*own)) {
                next = by_own.get(&own).and_then(|link| link.previous);
            }
            chain
        };
        self.members.iter().map(|(member, links)| (member.clone(), of(links))).collect()
    }
}

/// One journal as it is read.
struct Stream {
    journal: Journal,
    at: Position,
    ready: VecDeque<Record>,
}

impl Stream {
    fn fill(&mut self) -> Result<(), MigrateError> {
        while self.ready.is_empty() && self.at < self.journal.end() {
            let page = self.journal.read(self.at, PAGE)?;
            if page.entries.is_empty() {
                break;
            }
            for entry in &page.entries {
                self.ready.push_back(record::decode(&entry.record)?);
            }
            self.at = page.next;
        }
        Ok(())
    }
}

/// Migrates the journals in some folders to an empty store.
///
/// # Errors
/// [`MigrateError`]; nothing of the old store has changed.
pub async fn migrate(settings: &Settings, dirs: &[PathBuf], to: &StoreUrl) -> Result<Migrated, MigrateError> {
    let mut found = Found::default();
    let mut streams = Vec::new();
    for dir in dirs {
        let journal = open(dir, &mut found)?;
        streams.push(Stream { journal, at: Position::default(), ready: VecDeque::new() });
    }
    let book = found.book();
    let mut done = Migrated::default();
    let options = options(settings, dirs, to);
    let processes: Vec<(u32, Position)> = streams.iter().map(|s| (s.journal.process(), s.journal.end())).collect();
    let mut migration = Migration::begin(&options, &crate::app::policy(settings), dirs).await.map_err(refused)?;
    let mut taken: HashMap<MemberId, Own> = HashMap::new();
    loop {
        for stream in &mut streams {
            stream.fill()?;
        }
        // What follows a record comes after it, whatever the clocks of the processes say.
        let follows = |record: &Record| match &record.body {
            Body::Member { member, .. } => {
                let own = (record.envelope.process, record.envelope.number);
                let previous = record.envelope.previous.map(|previous| (previous.process, previous.number));
                !book.get(member).is_some_and(|book| book.contains(&own)) || taken.get(member).copied() == previous
            }
            _ => true,
        };
        let heads = || streams.iter().enumerate().filter_map(|(place, stream)| Some((place, stream.ready.front()?)));
        let first = |can: &dyn Fn(&Record) -> bool| -> Option<usize> {
            let able = heads().filter(|(_, record)| can(record));
            able.min_by_key(|(_, record)| record.envelope.at).map(|(place, _)| place)
        };
        let Some(place) = first(&follows).or_else(|| first(&|_| true)) else { break };
        let Some(record) = streams[place].ready.pop_front() else { break };
        if let Body::Member { member, .. } = &record.body {
            let own = (record.envelope.process, record.envelope.number);
            if !book.get(member).is_some_and(|book| book.contains(&own)) {
                done.left_out += 1;
                continue;
            }
            taken.insert(member.clone(), own);
        }
        migration.record(place, &record).await?;
        done.records += 1;
    }
    if options.shared.is_none() && (dirs.len() > 1 || done.left_out > 0 || !found.withdrawn.is_empty()) {
        return Err(MigrateError::NotOneJournal("these journals hold records that do not count, or are several"));
    }
    for stream in streams {
        stream.journal.close().map_err(|error| MigrateError::Migration(MigrationError::Close(error)))?;
    }
    migration.finish(found.epoch, &processes).await?;
    done.sums = compare(settings, dirs, options).await?;
    Ok(done)
}

fn refused(error: MigrationError) -> MigrateError {
    match error {
        MigrationError::NotEmpty => MigrateError::NotEmpty,
        error => MigrateError::Migration(error),
    }
}

fn open(dir: &Path, found: &mut Found) -> Result<Journal, MigrateError> {
    let options = Options::new(dir);
    let opened = Journal::open(Arc::new(RealDisk), options, None, &mut |_, bytes: &[u8]| {
        found.take(&record::decode::<Record>(bytes)?);
        Ok::<(), RecordError>(())
    });
    opened.map(|(journal, _)| journal).map_err(|source| MigrateError::Journal { path: dir.to_owned(), source })
}

/// The engine on the new store, with the first journal.
fn options(settings: &Settings, dirs: &[PathBuf], to: &StoreUrl) -> EngineOptions {
    let mut options = crate::app::engine_options(settings);
    if let Some(first) = dirs.first() {
        options.journal_dir.clone_from(first);
    }
    match to {
        StoreUrl::Embedded(dir) => {
            options.shared = None;
            options.state_dir.clone_from(dir);
        }
        StoreUrl::Redis(url) => options.shared = ConnectOptions::parse(url.expose()).ok(),
    }
    options
}

/// Starts on the new store as the service will, and compares its sums with those that the audit
/// finds in the journals alone.
async fn compare(settings: &Settings, dirs: &[PathBuf], options: EngineOptions) -> Result<usize, MigrateError> {
    let policy = crate::app::policy(settings);
    let report = audit(dirs, &AuditOptions::new(policy.clone()))?;
    let names: Vec<_> = settings.sources.iter().map(|source| source.name.clone()).collect();
    let started = tokio::task::spawn_blocking(move || {
        Engine::start(options, policy, Clock::Machine, Arc::new(Metrics::new(&names)))
    });
    let (engine, _) = started.await.map_err(|_| crate::engine::EngineError::Stopping)??;
    let has = engine.trial_balance().await?.sums;
    let stopping = Arc::clone(&engine);
    tokio::task::spawn_blocking(move || stopping.stop()).await.map_err(|_| crate::engine::EngineError::Stopping)??;
    let named = |kind: crate::ledger::AccountKind, unit: crate::domain::Unit| (kind.as_str(), unit.to_string());
    let lines = report.trial_balance.iter();
    let said = lines.map(|line| (named(line.account, line.unit), line.credit_minor - line.debit_minor));
    let has = has.iter().map(|((kind, unit), minor)| (named(*kind, *unit), *minor));
    // An account that came back to nothing is as good as none.
    let [said, has]: [BTreeMap<_, i64>; 2] =
        [said.filter(|(_, minor)| *minor != 0).collect(), has.filter(|(_, minor)| *minor != 0).collect()];
    if said != has {
        return Err(MigrateError::Differs(format!("{said:?} in the journals, {has:?} in the store")));
    }
    Ok(said.len())
}
