//! Screening as the doors see it: what is known of a member's risk, and how it is set to work
//! ([`super::work`]).

use super::around::{Around, around};
use super::backtests::Backtests;
use super::by_model::Beside;
use super::customers::CustomerSums;
use super::feed;
use super::kept::Kept;
use super::pass::Scored;
use super::report::MerchantReport;
use super::resident::Member;
use super::work::Work;
use super::worth::Value;
use crate::config::{ModelSettings, ModelState, ScreeningSettings};
use crate::domain::{CardHash, Code, MemberId, MerchantId, OfferId, Timestamp};
use crate::engine::{Engine, EngineError};
use crate::graph::detectors::Detector;
use crate::graph::model::named::{FITTED_MODEL, NamedModel};
use crate::graph::network::{Network, NetworkFault};
use crate::graph::segments::{Line, Segment};
use compact_str::CompactString;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

/// See the module. Shared with the doors, which show what it keeps.
#[derive(Debug)]
pub struct Screener {
    settings: ScreeningSettings,
    kept: RwLock<Kept>,
    stopping: AtomicBool,
    /// Another process screens.
    elsewhere: AtomicBool,
    cases_opened: AtomicU64,
    /// It read on from a snapshot.
    resumed: AtomicBool,
    backtests: Backtests,
}

/// A screener at work.
pub struct Running {
    screener: Arc<Screener>,
    engine: Arc<Engine>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Ends it and waits until it has ended: it holds the store. Blocks.
    pub fn stop(self) {
        self.screener.stopping.store(true, Ordering::Release);
        self.engine.screening().wake_up();
        if self.thread.join().is_err() {
            tracing::error!("screening ended in a panic");
        }
    }
}

/// What is known of one member's risk.
#[derive(Debug)]
pub struct Risk {
    /// The score as it is now, with what it is made of.
    pub scored: Scored,
    /// When it was last seen live; `None` when the last pass is the newest.
    pub live_at: Option<Timestamp>,
    /// When the last whole pass looked; `None` before the first.
    pub pass_at: Option<Timestamp>,
    /// Members around them.
    pub around: Around,
    /// Their score by the fitted model at the last pass, when there is a model and it saw them.
    pub by_model: Option<(Arc<NamedModel>, ModelState, f64)>,
}

/// What becomes of the fitted model here.
#[derive(Debug)]
pub struct ModelUse {
    /// Which.
    pub named: Arc<NamedModel>,
    /// As configured.
    pub state: ModelState,
    /// Its version was withdrawn: it says nothing.
    pub is_withdrawn: bool,
    /// In shadow, of the last pass: how its cases differ from those that were found.
    pub beside: Option<Beside>,
}

/// Honest groups of one kind, and what follows from a score there.
#[derive(Debug, Clone, Copy)]
pub struct SegmentCut {
    /// How many there are, and how many score so high.
    pub line: Line,
    /// Score from which one is a case.
    pub open_from: u16,
    /// Score from which the policy may act by itself; `None` where too few are known.
    pub act_from: Option<u16>,
}

impl Screener {
    /// Nothing read yet.
    #[must_use]
    pub fn new(settings: ScreeningSettings) -> Self {
        Self {
            settings,
            kept: RwLock::default(),
            stopping: AtomicBool::new(false),
            elsewhere: AtomicBool::new(false),
            cases_opened: AtomicU64::new(0),
            resumed: AtomicBool::new(false),
            backtests: Backtests::default(),
        }
    }

    /// Reads a store to its end, without looking at anything: for those who want the network alone.
    /// Waits for its turn where another process screens the store. Blocks.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_all(&self, engine: &Arc<Engine>, runtime: &tokio::runtime::Handle) -> Result<(), EngineError> {
        let mut feed = feed::of(engine, runtime);
        loop {
            match feed.read()? {
                None => feed.sleep(),
                Some(page) => {
                    let more = page.more;
                    let stale = self.write().take(page).stale;
                    let members = feed.members(stale)?;
                    let _ = self.write().restore_all(&members);
                    if !more {
                        feed.end();
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The network as it was read, and what reviews said of its members: true is bad.
    ///
    /// # Errors
    /// When it has more nodes or kinds than the graph numbers.
    pub fn reviewed(&self, now: Timestamp) -> Result<(Network, Vec<(String, bool)>), NetworkFault> {
        let kept = self.read();
        let network = kept.resident.network(now)?;
        let numbers = 0..u32::try_from(kept.resident.len()).expect("numbered by u32");
        let said =
            numbers.filter_map(|who| Some((kept.resident.name(who).to_owned(), kept.resident.member(who).known?)));
        Ok((network, said.collect()))
    }

    /// What it was told.
    #[must_use]
    pub fn settings(&self) -> &ScreeningSettings {
        &self.settings
    }

    /// Back-tests that were asked for.
    #[must_use]
    pub fn backtests(&self) -> &Backtests {
        &self.backtests
    }

    /// Whether another process screens the store that this one shares: scores and neighbours are
    /// known there.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        self.elsewhere.load(Ordering::Relaxed)
    }

    /// Another process screens: nothing is kept here. Or this one does again.
    pub(super) fn set_elsewhere(&self, elsewhere: bool) {
        if self.elsewhere.swap(elsewhere, Ordering::Relaxed) != elsewhere && elsewhere {
            *self.write() = Kept::default();
        }
    }

    /// Whether it read on from a snapshot in place of the whole journal.
    #[must_use]
    pub fn has_resumed(&self) -> bool {
        self.resumed.load(Ordering::Relaxed)
    }

    pub(super) fn resumed(&self) {
        self.resumed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(super) fn opened(&self, cases: u64) {
        self.cases_opened.fetch_add(cases, Ordering::Relaxed);
    }

    /// Cases opened since the start.
    #[must_use]
    pub fn cases_opened(&self) -> u64 {
        self.cases_opened.load(Ordering::Relaxed)
    }

    /// Members, links and findings of the last whole pass.
    #[must_use]
    pub fn seen(&self) -> (usize, usize, usize) {
        self.read().passed.as_ref().map(|passed| passed.seen).unwrap_or_default()
    }

    /// Sets it to work. `None` when the machine gives no thread.
    #[must_use]
    pub fn start(self: &Arc<Self>, engine: &Arc<Engine>, runtime: tokio::runtime::Handle) -> Option<Running> {
        self.stopping.store(false, Ordering::Release);
        let work = Work::new(Arc::clone(self), Arc::clone(engine), runtime);
        let thread = std::thread::Builder::new().name("screening".to_owned()).spawn(move || work.run());
        match thread {
            Ok(thread) => Some(Running { screener: Arc::clone(self), engine: Arc::clone(engine), thread }),
            Err(error) => {
                tracing::error!(%error, "screening has no thread: money waits");
                None
            }
        }
    }

    /// What is known of a member; `None` when nobody was read of that name.
    #[must_use]
    pub fn risk(&self, member: &MemberId) -> Option<Risk> {
        let kept = self.read();
        let who = kept.resident.find(member.as_str())?;
        let (scored, live_at) = kept.scored(who);
        Some(Risk {
            scored,
            live_at,
            pass_at: kept.passed.as_ref().map(|passed| passed.at),
            around: around(&kept, who),
            by_model: kept.passed.as_ref().and_then(|passed| passed.model.as_ref()).and_then(|model| {
                let score = match model.live() {
                    // As it is now, live contributions included.
                    Some(_) => kept.scored(who).0.score,
                    None => model.score(who)?,
                };
                Some((Arc::clone(&model.named), model.state, score))
            }),
        })
    }

    /// The fitted model that this process was given, and what became of it.
    #[must_use]
    pub fn model(&self) -> Option<ModelUse> {
        let ModelSettings { named, state } = self.settings.model.as_ref()?;
        let kept = self.read();
        let is_withdrawn = kept.resident.is_withdrawn(FITTED_MODEL, named.version);
        let passed = kept.passed.as_ref().and_then(|passed| passed.model.as_ref());
        Some(ModelUse {
            named: Arc::clone(named),
            state: *state,
            is_withdrawn,
            beside: passed.filter(|_| !is_withdrawn).and_then(|model| model.beside),
        })
    }

    /// Whether a detector counts: it was not withdrawn.
    #[must_use]
    pub fn counts(&self, detector: &Detector) -> bool {
        self.read().resident.counts(detector)
    }

    /// Whether a version of whatever gives evidence was withdrawn.
    #[must_use]
    pub fn is_withdrawn(&self, detector: &str, version: u32) -> bool {
        self.read().resident.is_withdrawn(detector, version)
    }

    /// How many members a rule has flagged, the newest few of them, and when the last gave cause.
    #[must_use]
    pub fn flagged(&self, rule: &Code, most: usize) -> (usize, Vec<MemberId>, Option<Timestamp>) {
        let kept = self.read();
        let Some(flagged) = kept.rules.flagged(rule) else { return (0, Vec::new(), None) };
        let mut newest: Vec<_> = flagged.members.iter().map(|(who, at)| (std::cmp::Reverse(*at), *who)).collect();
        newest.sort_unstable();
        let last_at = newest.first().map(|(at, _)| Timestamp::from_ms(i64::from(at.0) * 1000));
        let named = newest.iter().take(most).map(|(_, who)| kept.resident.id(*who)).collect();
        (flagged.members.len(), named, last_at)
    }

    /// Of how many members besides some a detector's version speaks who are not known as fraud, and how many such
    /// members there are; `None` where the last pass says nothing of it.
    #[must_use]
    pub fn others(&self, detector: &str, version: u32, besides: &[MemberId]) -> Option<(usize, usize)> {
        let kept = self.read();
        let spoken =
            kept.passed.as_ref()?.spoken.iter().find(|one| (one.detector, one.version) == (detector, version))?;
        let honest = |id: &&MemberId| {
            kept.resident.find(id.as_str()).is_some_and(|who| kept.resident.member(who).known != Some(true))
        };
        let own = besides.iter().filter(honest).count();
        Some((spoken.of.saturating_sub(own), spoken.honest.saturating_sub(own)))
    }

    /// Honest groups of each kind in the last whole pass, and from which score one is a case or something is done
    /// to its members by itself; nothing before the first pass.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentCut> {
        let kept = self.read();
        let Some(passed) = &kept.passed else { return Vec::new() };
        let policy = self.settings.triage.bounded(&passed.controls);
        let lines = passed.controls.lines(|segment| policy.open_from(segment));
        let cut = |line: Line| SegmentCut {
            open_from: policy.open_from(line.segment),
            act_from: policy.act_from(line.segment),
            line,
        };
        lines.into_iter().map(cut).collect()
    }

    /// Of the honest groups of a kind, how many score as high in the last whole pass, and how many there are.
    #[must_use]
    pub fn reaching(&self, segment: Segment, score: u16) -> Option<(usize, usize)> {
        Some(self.read().passed.as_ref()?.controls.reaching(segment, score))
    }

    /// What came of the cases that each detector's version speaks in, in money.
    #[must_use]
    pub fn worth(&self) -> BTreeMap<(CompactString, u32), Value> {
        self.read().worth.by_detector()
    }

    /// What a merchant may know of its own business.
    #[must_use]
    pub fn report(&self, merchant: &MerchantId) -> MerchantReport {
        self.read().report.of(merchant)
    }

    /// A merchant's new and existing customers in the days that are kept.
    #[must_use]
    pub fn customers(&self, merchant: &MerchantId) -> CustomerSums {
        self.read().report.customers(merchant)
    }

    /// Members who are opted in to each of some offers.
    #[must_use]
    pub fn active(&self, offers: &[OfferId]) -> Vec<i64> {
        let kept = self.read();
        offers.iter().map(|offer| kept.report.active(offer)).collect()
    }

    /// Members who say an identifier, by its kind and hash, at most so many.
    #[must_use]
    pub fn sharing(&self, kind: &str, hash: &CardHash, most: usize) -> Vec<MemberId> {
        let kept = self.read();
        let Some(to) = kept.resident.lookup(kind, hash) else { return Vec::new() };
        kept.resident.of_identifier(to).map(|link| kept.resident.id(link.by)).take(most).collect()
    }

    /// What a member did, as far as it was read; `None` when nobody was read of that name.
    #[must_use]
    pub fn acts(&self, member: &MemberId) -> Option<Member> {
        let kept = self.read();
        kept.resident.find(member.as_str()).map(|who| *kept.resident.member(who))
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Kept> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner)
    }
    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Kept> {
        self.kept.write().unwrap_or_else(PoisonError::into_inner)
    }
}
