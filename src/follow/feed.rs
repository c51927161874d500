//! Where screening reads from. Who has a store alone reads the journal from its start; of those
//! that share one, the process that has the lease reads every member of the state once, then the
//! partitions' logs.

use super::snapshot::Place;
use crate::cases::Case;
use crate::cases::rules::Rule;
use crate::decide::MemberState;
use crate::domain::{MemberId, Timestamp};
use crate::engine::{Engine, EngineError};
use crate::journal::Position;
use crate::pipeline::Chain;
use crate::record::{self, Record};
use crate::store::redis::LogId;
use crate::store::{CATALOGUE, Partition};
use futures_util::StreamExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Records or members read at a time.
const PAGE: usize = 1_024;
/// Records of one log read at a time.
const LOG_PAGE: usize = 256;
/// Logs read side by side.
const LOGS_AT_ONCE: usize = 64;
/// Cases read at a time.
const CASES: usize = 200;
/// The longest sleep of one who reads a journal: time passes without commits too.
const SLEEP: Duration = Duration::from_millis(500);
/// How often logs are asked for.
const ASKED_EVERY: Duration = Duration::from_millis(150);
/// How long until the lease is asked for again: some times within its length.
const RENEWED_EVERY: Duration = Duration::from_millis(1_000);
/// How often what was read is dropped.
const TRIMMED_EVERY: Duration = Duration::from_secs(2);

/// What came.
#[derive(Debug, Default)]
pub struct Page {
    /// Everything kept is to be forgotten first.
    pub anew: bool,
    /// Members as they are now.
    pub members: Vec<MemberState>,
    /// Cases as they are now.
    pub cases: Vec<Case>,
    /// Detectors' versions that count for nothing.
    pub withdrawn: Vec<(compact_str::CompactString, u32)>,
    /// Rules of the risk desk as they are now.
    pub rules: Vec<Rule>,
    /// Records, each member's own in order.
    pub records: Vec<Record>,
    /// They may be told twice, or lack some before them: a member whose version does not follow is to be
    /// read from the state.
    pub from_logs: bool,
    /// It was so before the start: the first pass looks at it.
    pub is_history: bool,
    /// There is more at once.
    pub more: bool,
}

/// A source of records, and whom it tells how far they were passed.
pub trait Feed: Send {
    /// What came; `None` while another process screens.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&mut self) -> Result<Option<Page>, EngineError>;
    /// All that was read has been passed, with what followed from it.
    ///
    /// # Errors
    /// When nobody can be told.
    fn passed(&mut self) -> Result<(), EngineError>;
    /// A whole pass is done, over what was read until then.
    ///
    /// # Errors
    /// When nobody can be told.
    fn pass_done(&mut self, at: Timestamp) -> Result<(), EngineError>;
    /// Stays in charge through long work; false when another process screens by now.
    fn keep(&mut self) -> bool {
        true
    }
    /// Members as the state has them.
    ///
    /// # Errors
    /// When the store fails.
    fn members(&self, members: BTreeSet<MemberId>) -> Result<Vec<MemberState>, EngineError>;
    /// Waits until something may have come.
    fn sleep(&self);
    /// How far was read, where that is a place of one journal.
    fn place(&self) -> Option<Place> {
        None
    }
    /// Reads on from a place in place of the beginning.
    fn go_to(&mut self, _place: Place) {}
    /// Nobody reads any more.
    fn end(&mut self) {}
}

/// The feed of an engine's store.
#[must_use]
pub fn of(engine: &Arc<Engine>, runtime: &tokio::runtime::Handle) -> Box<dyn Feed> {
    if engine.is_shared() {
        Box::new(Logs::new(Arc::clone(engine), runtime.clone()))
    } else {
        Box::new(Journal::new(Arc::clone(engine), runtime.clone()))
    }
}

/// The journal of a process that has its store alone.
struct Journal {
    engine: Arc<Engine>,
    runtime: tokio::runtime::Handle,
    at: Position,
    /// Where it ended at the start: up to there everything is history.
    begun_at: Position,
    /// Records since the start, read and not passed.
    own: u64,
    /// The last record that was read.
    place: Option<Place>,
}

impl Journal {
    fn new(engine: Arc<Engine>, runtime: tokio::runtime::Handle) -> Self {
        let begun_at = engine.journal_end();
        Self { engine, runtime, at: Position::default(), begun_at, own: 0, place: None }
    }
}

impl Feed for Journal {
    fn read(&mut self) -> Result<Option<Page>, EngineError> {
        let page = self.engine.read_journal(self.at, PAGE)?;
        let records: Vec<Record> =
            page.entries.iter().map(|entry| record::decode(&entry.record)).collect::<Result<_, _>>()?;
        self.own = page.entries.iter().filter(|entry| entry.at >= self.begun_at).count() as u64;
        self.at = page.next;
        if let Some(last) = page.entries.last() {
            self.place = Some(Place::after(page.next, last));
        }
        let (is_history, more) = (page.next < self.begun_at, records.len() >= PAGE);
        Ok(Some(Page { records, is_history, more, ..Page::default() }))
    }
    fn passed(&mut self) -> Result<(), EngineError> {
        self.engine.screening().passed(self.at, std::mem::take(&mut self.own));
        Ok(())
    }
    fn pass_done(&mut self, at: Timestamp) -> Result<(), EngineError> {
        self.engine.screening().pass_done(at);
        Ok(())
    }
    fn members(&self, members: BTreeSet<MemberId>) -> Result<Vec<MemberState>, EngineError> {
        self.runtime.block_on(self.engine.read_now(members))
    }
    fn place(&self) -> Option<Place> {
        self.place
    }
    fn go_to(&mut self, place: Place) {
        (self.at, self.place) = (place.next, Some(place));
    }
    fn sleep(&self) {
        self.engine.screening().sleep(SLEEP, || self.engine.journal_end() > self.at);
    }
}

/// Reading the state before the logs.
#[derive(Debug)]
struct Scan {
    /// Partitions that are not read yet, and those that are to be read anew.
    left: Vec<Partition>,
    /// The last member read of the one that is being read.
    after: Option<MemberId>,
}

/// The logs of a shared store's partitions.
struct Logs {
    engine: Arc<Engine>,
    runtime: tokio::runtime::Handle,
    /// When the lease was last renewed; `None` while another process has it.
    leased: Option<Instant>,
    /// The lease under which everything was read; 0 before the first.
    token: u64,
    /// The last entry read of each log.
    at: BTreeMap<Partition, Option<LogId>>,
    /// Those passed since they were last said.
    unsaid: BTreeMap<Partition, LogId>,
    /// Those said since they were last dropped.
    untrimmed: BTreeMap<Partition, LogId>,
    trimmed: Instant,
    /// What is still to be read of the state.
    scan: Scan,
    /// Partitions that were read from the state, and when: the first pass after it looks at them, and
    /// until then nobody is told that they were passed.
    unlooked: BTreeMap<Partition, Timestamp>,
}

impl Logs {
    fn new(engine: Arc<Engine>, runtime: tokio::runtime::Handle) -> Self {
        Self {
            engine,
            runtime,
            leased: None,
            token: 0,
            at: BTreeMap::new(),
            unsaid: BTreeMap::new(),
            untrimmed: BTreeMap::new(),
            trimmed: Instant::now(),
            scan: Scan { left: Vec::new(), after: None },
            unlooked: BTreeMap::new(),
        }
    }

    /// Whether this process has the lease; `Some(true)` when it is another than the one under which
    /// everything was read: what is kept here may lack what somebody else dropped.
    fn lease(&mut self) -> Result<Option<bool>, EngineError> {
        let screening = self.engine.screening();
        if screening.token() == 0 || self.leased.is_none_or(|at| at.elapsed() >= RENEWED_EVERY) {
            let asked = Instant::now();
            if !self.runtime.block_on(self.engine.screens_alone())? {
                self.leased = None;
                return Ok(None);
            }
            self.leased = Some(asked);
        }
        Ok(Some(screening.token() != self.token))
    }

    /// Everything from the beginning.
    fn begin(&mut self) -> Result<Page, EngineError> {
        // Before the members: what a rule counts is taken from them.
        let rules = self.runtime.block_on(self.engine.rules())?;
        // Taken from the end: cases come after the members whom they name.
        let partitions = || std::iter::once(CATALOGUE).chain(0..self.engine.partitions());
        self.token = self.engine.screening().token();
        self.at = partitions().map(|partition| (partition, None)).collect();
        self.unsaid.clear();
        self.untrimmed.clear();
        self.unlooked.clear();
        self.scan = Scan { left: partitions().collect(), after: None };
        Ok(Page { anew: true, rules, is_history: true, more: true, ..Page::default() })
    }

    /// A page of what a partition has in the state.
    fn scan(&mut self, partition: Partition) -> Result<Page, EngineError> {
        if self.scan.after.is_none() {
            // Before the state is read: what is logged meanwhile is read once more.
            let end = self.runtime.block_on(self.engine.log_end(partition))?;
            self.at.insert(partition, end);
        }
        if partition == CATALOGUE {
            let cases = self.runtime.block_on(self.cases())?;
            let withdrawn = self.runtime.block_on(self.engine.withdrawn())?.into_iter().collect();
            let rules = self.runtime.block_on(self.engine.rules())?;
            self.next_scan(partition);
            return Ok(Page { cases, withdrawn, rules, is_history: true, more: true, ..Page::default() });
        }
        let after = self.scan.after.clone();
        let members = self.runtime.block_on(self.engine.members_now(partition, after.as_ref(), PAGE))?;
        match members.last() {
            Some(last) if members.len() >= PAGE => self.scan.after = Some(last.head.id.clone()),
            _ => self.next_scan(partition),
        }
        Ok(Page { members, is_history: true, more: true, ..Page::default() })
    }

    /// Whether all that was read of a partition has been looked at.
    fn is_looked_at(&self, partition: Partition) -> bool {
        !self.unlooked.contains_key(&partition) && !self.scan.left.contains(&partition)
    }

    fn next_scan(&mut self, partition: Partition) {
        self.scan.left.retain(|left| *left != partition);
        self.scan.after = None;
        self.unlooked.insert(partition, self.engine.clock.now());
        self.engine.screening().wish_pass();
        if let Some(Some(end)) = self.at.get(&partition) {
            self.unsaid.insert(partition, *end);
        }
    }

    async fn cases(&self) -> Result<Vec<Case>, EngineError> {
        let (mut cases, mut after) = (Vec::new(), None);
        loop {
            let (page, next) = self.engine.cases(after, CASES, |case| !case.reviews.is_empty()).await?;
            cases.extend(page);
            after = next;
            if after.is_none() {
                // In the order of their reviews: the last word counts.
                cases.reverse();
                return Ok(cases);
            }
        }
    }

    fn logs(&mut self) -> Result<Page, EngineError> {
        let engine = &self.engine;
        let asked = futures_util::stream::iter(self.at.clone())
            .map(async |(partition, after)| (partition, engine.logged(partition, after, LOG_PAGE).await));
        let found: Vec<_> = self.runtime.block_on(asked.buffer_unordered(LOGS_AT_ONCE).collect());
        let mut page = Page { from_logs: true, ..Page::default() };
        for (partition, logged) in found {
            // Others go on: what was recorded there waits, and its money with it.
            let logged = match logged {
                Ok(logged) => logged,
                Err(error @ EngineError::Record(_)) => {
                    tracing::error!(partition, error = %Chain(&error), "an entry of a log cannot be read: run one version of the program; money waits there");
                    continue;
                }
                Err(error) => {
                    tracing::debug!(partition, error = %Chain(&error), "a log could not be read; it is asked for again");
                    continue;
                }
            };
            if !logged.is_whole {
                tracing::warn!(partition, "screening missed entries of a log; it reads the partition's members anew");
                self.scan.left.push(partition);
                self.unsaid.remove(&partition);
                page.more = true;
                continue;
            }
            page.more |= logged.records.len() >= LOG_PAGE;
            page.records.extend(logged.records);
            if let Some(last) = logged.last {
                self.at.insert(partition, Some(last));
                self.unsaid.insert(partition, last);
            }
        }
        Ok(page)
    }
}

impl Feed for Logs {
    fn read(&mut self) -> Result<Option<Page>, EngineError> {
        let page = match self.lease()? {
            None => return Ok(None),
            Some(true) => self.begin()?,
            Some(false) => match self.scan.left.last().copied() {
                Some(partition) => self.scan(partition)?,
                None => self.logs()?,
            },
        };
        Ok(Some(page))
    }

    fn passed(&mut self) -> Result<(), EngineError> {
        let passed: Vec<(Partition, LogId)> = self
            .unsaid
            .iter()
            .map(|(partition, id)| (*partition, *id))
            .filter(|(of, _)| self.is_looked_at(*of))
            .collect();
        if passed.is_empty() {
            return Ok(());
        }
        if self.runtime.block_on(self.engine.say_screened(&passed, None))? {
            for (partition, id) in passed {
                self.unsaid.remove(&partition);
                self.untrimmed.insert(partition, id);
            }
        }
        if self.trimmed.elapsed() >= TRIMMED_EVERY {
            self.trimmed = Instant::now();
            while let Some((partition, id)) = self.untrimmed.pop_first() {
                self.runtime.block_on(self.engine.trim_log(partition, id))?;
            }
        }
        Ok(())
    }

    fn pass_done(&mut self, at: Timestamp) -> Result<(), EngineError> {
        self.unlooked.retain(|_, read| *read > at);
        // All of them: a store that forgot what was said hears it again.
        let passed: Vec<(Partition, LogId)> = self
            .at
            .iter()
            .filter_map(|(of, id)| Some((*of, (*id)?)))
            .filter(|(of, _)| self.is_looked_at(*of))
            .collect();
        if self.runtime.block_on(self.engine.say_screened(&passed, Some(at)))? {
            self.engine.screening().pass_done(at);
        }
        Ok(())
    }

    fn keep(&mut self) -> bool {
        if self.leased.is_some_and(|at| at.elapsed() >= RENEWED_EVERY)
            && self.runtime.block_on(self.engine.screens_alone()).is_ok_and(|leased| leased)
        {
            self.leased = Some(Instant::now());
        }
        self.engine.screening().token() == self.token
    }

    fn members(&self, members: BTreeSet<MemberId>) -> Result<Vec<MemberState>, EngineError> {
        self.runtime.block_on(self.engine.read_now(members))
    }

    fn sleep(&self) {
        self.engine.screening().nap(ASKED_EVERY);
    }

    fn end(&mut self) {
        if self.leased.take().is_some()
            && let Err(error) = self.runtime.block_on(self.engine.end_screening())
        {
            tracing::debug!(error = %Chain(&error), "the lease of screening ends by itself");
        }
    }
}
