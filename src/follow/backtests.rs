//! Back-tests of a service: one at a time on a thread of low priority, the last few kept in memory.
//! They read the journal beside everything else and write nothing.

use super::backtest::{Asked, BacktestError, Outcome, Progress, run};
use super::work::lower_priority;
use crate::domain::Timestamp;
use crate::engine::Engine;
use crate::journal::Position;
use crate::pipeline::Chain;
use crate::record;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Back-tests that are remembered.
const KEPT_MAX: usize = 20;
/// Records read at a time.
const PAGE: usize = 1_024;

/// One that was asked for.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Numbered from 1 at each start of the service.
    pub id: u64,
    /// What was asked.
    pub asked: Asked,
    /// Who asked: the id of their key.
    pub by: String,
    /// When.
    pub begun_at: Timestamp,
    /// How far it is.
    pub progress: Progress,
    /// What came of it; `None` while it runs.
    pub done: Option<Result<Arc<Outcome>, String>>,
}

/// Why none was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotBegun {
    /// One at a time.
    #[error("back-test {0} is running; ask again when it is done")]
    Busy(u64),
    /// Other processes' records are not here.
    #[error(
        "this store is shared, and a process has its own records alone: run `ringfence backtest --journal` over the journals of all"
    )]
    Shared,
    /// The machine gives no thread.
    #[error("there is no thread for it now; ask again later")]
    NoThread,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Backtests {
    kept: Arc<Mutex<VecDeque<Kept>>>,
    stopping: Arc<AtomicBool>,
    running: Mutex<Option<JoinHandle<()>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Backtests {
    /// All that are remembered, the newest first.
    #[must_use]
    pub fn all(&self) -> Vec<Kept> {
        lock(&self.kept).iter().rev().cloned().collect()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<Kept> {
        lock(&self.kept).iter().find(|kept| kept.id == id).cloned()
    }

    /// Begins one.
    ///
    /// # Errors
    /// [`NotBegun`].
    pub fn begin(&self, engine: &Arc<Engine>, asked: Asked, by: String) -> Result<Kept, NotBegun> {
        if engine.is_shared() {
            return Err(NotBegun::Shared);
        }
        let mut running = lock(&self.running);
        let mut all = lock(&self.kept);
        if let Some(busy) = all.iter().find(|kept| kept.done.is_none()) {
            return Err(NotBegun::Busy(busy.id));
        }
        let id = all.back().map_or(1, |last| last.id + 1);
        let begun_at = engine.clock.now();
        let new = Kept { id, asked: asked.clone(), by, begun_at, progress: Progress::default(), done: None };
        let (kept, stopping, engine) = (Arc::clone(&self.kept), Arc::clone(&self.stopping), Arc::clone(engine));
        let thread = std::thread::Builder::new().name("backtest".to_owned()).spawn(move || {
            lower_priority();
            let change =
                |change: &mut dyn FnMut(&mut Kept)| lock(&kept).iter_mut().filter(|one| one.id == id).for_each(change);
            let mut tell = |progress: Progress| {
                change(&mut |one| one.progress = progress);
                !stopping.load(Ordering::Acquire) && engine.is_able()
            };
            let outcome = run(&asked, &mut records(&engine), &mut tell);
            let done = outcome.map(Arc::new).map_err(|error| Chain(&error).to_string());
            change(&mut |one| one.done = Some(done.clone()));
        });
        *running = Some(thread.map_err(|_| NotBegun::NoThread)?);
        all.push_back(new.clone());
        if all.len() > KEPT_MAX {
            all.pop_front();
        }
        Ok(new)
    }

    /// Ends the one that runs and waits for it: it holds the store. Blocks.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wait();
    }

    /// Waits until the one that runs has ended. Blocks.
    pub fn wait(&self) {
        let running = lock(&self.running).take();
        if running.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("a back-test ended in a panic");
        }
    }
}

/// The journal up to where it ends now.
fn records(engine: &Engine) -> impl FnMut() -> Result<Option<Vec<record::Record>>, BacktestError> + '_ {
    let (mut at, end) = (Position::default(), engine.journal_end());
    move || {
        if at >= end {
            return Ok(None);
        }
        let page = engine.read_journal(at, PAGE).map_err(|error| BacktestError::Read(Box::new(error)))?;
        at = if page.entries.is_empty() { end } else { page.next };
        let records = page.entries.iter().map(|entry| record::decode(&entry.record)).collect::<Result<_, _>>();
        Ok(Some(records.map_err(|error| BacktestError::Read(Box::new(error)))?))
    }
}
