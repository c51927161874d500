//! `ringfence migrate`: the journals of a stopped service replayed, as they are, into an empty
//! store of another kind, and the books compared. The journals stay where they are and are the
//! truth as before; the number of partitions stays too.
//!
//! Journals of several processes are one book (`book`); an embedded store, which has one journal,
//! gets one made of them (`merged`).

mod book;
mod merged;

use crate::audit::{AuditError, AuditOptions, audit};
use crate::clock::Clock;
use crate::config::{Settings, StoreUrl};
use crate::engine::migration::{Migration, MigrationError};
use crate::engine::{Engine, EngineOptions, StartError};
use crate::journal::{AppendError, ReadError};
use crate::record::RecordError;
use crate::store::StoreError;
use crate::store::redis::connection::ConnectOptions;
use crate::telemetry::Metrics;
use book::Book;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
        "these journals are several, or hold records that do not count, and an embedded store goes on with one in which all do: name an empty folder for it with --into"
    )]
    NotOneJournal,
    /// A shared store has a journal per process.
    #[error("--into: processes of a shared store go on with their own journals; leave it out")]
    NeedsNone,
    /// The folder for the new journal has one.
    #[error("--into: {0} has a journal already; name an empty folder")]
    HasJournal(PathBuf),
    /// A folder cannot be used.
    #[error("the folder {path} cannot be used")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The new journal cannot be written.
    #[error("the new journal cannot be written")]
    Append(#[source] AppendError),
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

/// Migrates the journals in some folders to an empty store. An embedded store goes on with one
/// journal: where there are several, or one in which not every record counts, `into` is the folder
/// of the new one.
///
/// # Errors
/// [`MigrateError`]; nothing of the old store has changed.
pub async fn migrate(
    settings: &Settings,
    dirs: &[PathBuf],
    to: &StoreUrl,
    into: Option<&Path>,
) -> Result<Migrated, MigrateError> {
    let mut done = Migrated::default();
    let merged;
    let dirs = match (to, into) {
        (StoreUrl::Embedded(_), Some(into)) => {
            done = merged::merge(dirs, into).await?;
            merged = [into.to_owned()];
            same_books(settings, dirs, &merged)?;
            &merged
        }
        (StoreUrl::Redis(_), Some(_)) => return Err(MigrateError::NeedsNone),
        (_, None) => dirs,
    };
    let mut book = Book::open(dirs)?;
    let options = options(settings, dirs, to);
    let processes = book.processes();
    let mut migration = Migration::begin(&options, &crate::app::policy(settings), dirs).await.map_err(refused)?;
    done.records = 0;
    while let Some((place, record)) = book.next()? {
        migration.record(place, &record).await?;
        done.records += 1;
    }
    if options.shared.is_none() && (dirs.len() > 1 || book.left_out > 0) {
        return Err(MigrateError::NotOneJournal);
    }
    done.left_out += book.left_out;
    let epoch = book.epoch;
    book.close().map_err(|error| MigrateError::Migration(MigrationError::Close(error)))?;
    migration.finish(epoch, &processes).await?;
    done.sums = compare(settings, dirs, options).await?;
    Ok(done)
}

fn refused(error: MigrationError) -> MigrateError {
    match error {
        MigrationError::NotEmpty => MigrateError::NotEmpty,
        error => MigrateError::Migration(error),
    }
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

/// Whether journals say the same as others that were made of them.
fn same_books(settings: &Settings, old: &[PathBuf], new: &[PathBuf]) -> Result<(), MigrateError> {
    let options = AuditOptions::new(crate::app::policy(settings));
    let (old, new) = (audit(old, &options)?, audit(new, &options)?);
    if !new.is_clean() && old.is_clean() {
        return Err(MigrateError::Differs(format!("the journal that was made of them is not proved: {new}")));
    }
    if old.trial_balance != new.trial_balance {
        let (old, new) = (old.trial_balance, new.trial_balance);
        return Err(MigrateError::Differs(format!("{old:?} in the journals, {new:?} in the one made of them")));
    }
    Ok(())
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
