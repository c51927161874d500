//! The follower of screening: a thread of its own, of low priority, that reads the journal from
//! its start, keeps the network of members, looks at what changed as it comes and at everybody
//! now and then, and enters what it finds as cases. It tells the gate how far it has come
//! ([`crate::engine::screened`]).
//!
//! It takes nothing from what wakes it: it reads on from where it is, so that a start, a timer
//! and a commit all run the same code.

use super::live::{Arrivals, look};
use super::pass::{Passed, Scored, pass};
use super::report::{MerchantReport, Report};
use super::resident::{REFERRAL, Resident, Who};
use super::{Log, Read, rivals};
use crate::cases::triage::{Group, TriagePolicy};
use crate::cases::{Case, Review, Verdict};
use crate::config::ScreeningSettings;
use crate::domain::merchant::Competitor;
use crate::domain::purchase::Stage;
use crate::domain::{CardHash, EventKind, MemberId, MerchantId, OfferId, Timestamp};
use crate::engine::{Engine, EngineError};
use crate::graph::detectors::Detector;
use crate::graph::network::{Network, NetworkFault};
use crate::journal::Position;
use crate::pipeline::Chain;
use crate::record::{Body, MemberInput, Record};
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Records read at a time.
const PAGE: usize = 1_024;
/// The longest sleep: time passes without commits too.
const SLEEP: Duration = Duration::from_millis(500);
/// Members whose rewards wait for nothing but screening, remembered at once; the daily mark
/// releases those beyond.
const RELEASES_MAX: usize = 100_000;
/// Members released side by side.
const RELEASED_AT_ONCE: usize = 64;
/// Members whose live score is remembered.
const LIVE_MAX: usize = 200_000;
/// Members around one that are named.
const NEIGHBOURS_MAX: usize = 50;
/// As `nice` says it: whatever serves goes first.
const PRIORITY: i32 = 10;

/// What is kept of the records, and what was seen in it.
#[derive(Debug, Default)]
struct Kept {
    resident: Resident,
    arrivals: Arrivals,
    passed: Option<Arc<Passed>>,
    live: HashMap<Who, (Scored, Timestamp)>,
    /// Merchants that declare rivals.
    rivals: BTreeMap<MerchantId, Vec<Competitor>>,
    report: Report,
}

/// See the module. Shared with the doors, which show what it keeps.
#[derive(Debug)]
pub struct Screener {
    settings: ScreeningSettings,
    kept: RwLock<Kept>,
    stopping: AtomicBool,
    cases_opened: AtomicU64,
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
    pub neighbours: Vec<Neighbour>,
}

/// A member around another.
#[derive(Debug)]
pub struct Neighbour {
    /// Who.
    pub member: String,
    /// By which kind of link.
    pub kind: String,
    /// Whose word the link is: `member`, `other` or, where they share something, `both`.
    pub said_by: &'static str,
    /// Whether it is verified, of what is shared for both.
    pub verified: bool,
    /// Their score.
    pub score: f64,
}

impl Screener {
    /// Nothing read yet.
    #[must_use]
    pub fn new(settings: ScreeningSettings) -> Self {
        let kept = RwLock::new(Kept { resident: Resident::new(), ..Kept::default() });
        Self { settings, kept, stopping: AtomicBool::new(false), cases_opened: AtomicU64::new(0) }
    }

    /// Reads a log to its end, without looking at anything: for those who want the network alone.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_all(&self, log: &dyn Log) -> Result<(), EngineError> {
        let mut at = Position::default();
        loop {
            let read = log.read(at, PAGE)?;
            if read.records.is_empty() {
                return Ok(());
            }
            let mut kept = self.write();
            for (_, record) in &read.records {
                let _ = kept.feed(record);
            }
            at = read.next;
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
            neighbours: kept.neighbours(who),
        })
    }

    /// Whether a detector counts: it was not withdrawn.
    #[must_use]
    pub fn counts(&self, detector: &Detector) -> bool {
        self.read().resident.counts(detector)
    }

    /// What a merchant may know of its own business.
    #[must_use]
    pub fn report(&self, merchant: &MerchantId) -> MerchantReport {
        self.read().report.of(merchant)
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

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Kept> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner)
    }
    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Kept> {
        self.kept.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn scored(&self, who: Who) -> (Scored, Option<Timestamp>) {
        if let Some((scored, at)) = self.live.get(&who) {
            return (scored.clone(), Some(*at));
        }
        let passed = self.passed.as_ref().and_then(|passed| passed.scores.get(&who));
        (passed.cloned().unwrap_or_default(), None)
    }

    fn neighbours(&self, who: Who) -> Vec<Neighbour> {
        let mut found: Vec<Neighbour> = Vec::new();
        let mut add = |other: Who, kind: u8, said_by, verified| {
            if other != who && found.len() < NEIGHBOURS_MAX {
                let kind = self.resident.word(kind).to_owned();
                let score = self.scored(other).0.score;
                found.push(Neighbour { member: self.resident.name(other).to_owned(), kind, said_by, verified, score });
            }
        };
        for link in self.resident.said(who) {
            if link.kind == REFERRAL {
                add(link.to, REFERRAL, "member", false);
            } else {
                for other in self.resident.of_identifier(link.to).take(NEIGHBOURS_MAX) {
                    add(other.by, link.kind, "both", link.verified && other.verified);
                }
            }
        }
        for link in self.resident.named(who).take(NEIGHBOURS_MAX) {
            add(link.by, REFERRAL, "other", false);
        }
        found
    }

    /// Takes a record in; tells whose links it changed.
    fn feed(&mut self, record: &Record) -> Option<Who> {
        self.report.feed(record);
        match &record.body {
            Body::Member { member, input, .. } => self.feed_member(member, input),
            Body::Case(case) => {
                self.learn(case);
                None
            }
            Body::DetectorWithdrawn(withdrawal) => {
                self.resident.withdraw(&withdrawal.detector, withdrawal.version);
                None
            }
            Body::Merchant { merchant, .. } => {
                if merchant.competitors.is_empty() {
                    self.rivals.remove(&merchant.id);
                } else {
                    self.rivals.insert(merchant.id.clone(), merchant.competitors.clone());
                }
                None
            }
            _ => None,
        }
    }

    fn feed_member(&mut self, member: &MemberId, input: &MemberInput) -> Option<Who> {
        let resident = &mut self.resident;
        let who = resident.enter(member);
        let seconds = |at: Timestamp| u32::try_from(at.as_ms() / 1000).unwrap_or(0);
        match input {
            MemberInput::Registered { joined_at, referred_by, links, .. } => {
                if !resident.member(who).registered {
                    self.arrivals.joined(seconds(*joined_at));
                }
                resident.register(who, *joined_at, referred_by.as_ref().map(|(by, at)| (by, *at)), links);
                return Some(who);
            }
            MemberInput::CardLinked { link, .. } => {
                resident.card(who, &link.card, link.from);
                return Some(who);
            }
            MemberInput::Erased { .. } => resident.erase(who),
            MemberInput::Activated(step) => {
                let did = resident.member_mut(who);
                did.activations = did.activations.saturating_add(u16::from(step.active));
            }
            MemberInput::Signalled(_) => {
                let did = resident.member_mut(who);
                did.views = did.views.saturating_add(1);
            }
            MemberInput::Redeemed(_) => {
                let did = resident.member_mut(who);
                did.redemptions = did.redemptions.saturating_add(1);
            }
            MemberInput::StandingSet(step) if step.merchant.is_none() => {
                resident.member_mut(who).standing = step.standing;
            }
            MemberInput::Event(input) => {
                let event = &input.event;
                let minor = event.amount.map_or(0, |amount| amount.minor);
                let did = resident.member_mut(who);
                match event.kind {
                    EventKind::Clearing => {
                        // Of several clearings of one purchase the first counts.
                        let first = event.sequence.is_none_or(|sequence| sequence.number <= 1);
                        did.purchases = did.purchases.saturating_add(u32::from(first));
                        did.spend_minor = did.spend_minor.saturating_add(minor);
                        let at = seconds(event.occurred_at);
                        (did.first, did.last) = (did.first.min(at), did.last.max(at));
                    }
                    EventKind::Refund | EventKind::Chargeback => {
                        did.refunds = did.refunds.saturating_add(1);
                        did.spend_minor = did.spend_minor.saturating_sub(minor);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        None
    }

    /// What people said of a case's members: the last review of each that stands. What the
    /// policy did by itself teaches nothing.
    fn learn(&mut self, case: &Case) {
        for suspect in &case.members {
            let Some(who) = self.resident.find(suspect.member.as_str()) else { continue };
            let of_them = |review: &&Review| review.members.contains(&suspect.member);
            // What another case's review said of them stands.
            if !case.reviews.iter().any(|review| of_them(&review)) {
                continue;
            }
            let said = case.reviews.iter().rev().filter(of_them).find(|review| !review.undone);
            self.resident.member_mut(who).known = match said.map(|review| (review.verdict, &review.merchant)) {
                Some((Verdict::Confirm, None)) => Some(true),
                Some((Verdict::Dismiss, _)) => Some(false),
                _ => None,
            };
        }
    }
}

type Passing = JoinHandle<Option<Passed>>;
type Releasing = tokio::task::JoinHandle<Vec<MemberId>>;

/// The thread's own.
struct Work {
    screener: Arc<Screener>,
    engine: Arc<Engine>,
    runtime: tokio::runtime::Handle,
    at: Position,
    /// Where the journal ended at the start: up to there everything is history.
    begun_at: Position,
    dirty: bool,
    passing: Option<Passing>,
    pass_begun: Option<Instant>,
    release: BTreeSet<MemberId>,
    releasing: Option<Releasing>,
}

impl Work {
    fn new(screener: Arc<Screener>, engine: Arc<Engine>, runtime: tokio::runtime::Handle) -> Self {
        let begun_at = engine.journal_end();
        Self {
            screener,
            engine,
            runtime,
            at: Position::default(),
            begun_at,
            dirty: true,
            passing: None,
            pass_begun: None,
            release: BTreeSet::new(),
            releasing: None,
        }
    }

    fn is_over(&self) -> bool {
        self.screener.stopping.load(Ordering::Acquire) || !self.engine.is_able()
    }

    fn run(mut self) {
        lower_priority();
        while !self.is_over() {
            // A pass speaks for what was there when its reading began, not for what comes meanwhile.
            let read_at = self.engine.clock.now();
            let read = match self.engine.as_ref().read(self.at, PAGE) {
                Ok(read) => read,
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "screening cannot read the journal: money waits");
                    self.engine.screening().sleep(SLEEP, || false);
                    continue;
                }
            };
            let (is_idle, is_at_end) = (read.records.is_empty(), read.records.len() < PAGE);
            self.take(read);
            self.end_pass();
            // Not only when nothing comes: a service that is always busy is looked at too.
            if is_at_end {
                self.begin_pass(read_at);
            }
            self.let_go();
            if is_idle {
                let (at, engine) = (self.at, &self.engine);
                engine.screening().sleep(SLEEP, || engine.journal_end() > at);
            }
        }
        if let Some(passing) = self.passing.take() {
            let _ = passing.join();
        }
        if let Some(releasing) = self.releasing.take() {
            let _ = self.runtime.block_on(releasing);
        }
    }

    /// Takes records in, looks at what they changed, and tells the gate.
    fn take(&mut self, read: Read) {
        let own = read.records.iter().filter(|(at, _)| *at >= self.begun_at).count();
        let is_history = read.next < self.begun_at;
        let mut changed = BTreeSet::new();
        {
            let mut kept = self.screener.write();
            for (_, record) in &read.records {
                changed.extend(kept.feed(record));
            }
        }
        for (_, record) in &read.records {
            self.remember(record);
        }
        if !read.records.is_empty() {
            self.dirty = true;
        }
        // What was over before the start is looked at by the first pass.
        if !is_history {
            self.look(&changed);
        }
        self.at = read.next;
        self.engine.screening().passed(self.at, own as u64);
    }

    fn look(&self, changed: &BTreeSet<Who>) {
        let now = self.engine.clock.now();
        let policy = &self.screener.settings.triage;
        let mut looked: BTreeSet<Who> = BTreeSet::new();
        for &who in changed {
            let group = {
                let mut kept = self.screener.write();
                // One look is enough for all of one component.
                if !looked.insert(kept.resident.root(who)) {
                    continue;
                }
                let (scores, group) = look(&kept.resident, who, &kept.arrivals, kept.passed.as_deref(), policy, now);
                for (who, scored) in scores {
                    if kept.live.len() < LIVE_MAX || kept.live.contains_key(&who) {
                        kept.live.insert(who, (scored, now));
                    }
                }
                group
            };
            if let Some(group) = group {
                self.enter(group, policy);
            }
        }
    }

    /// A group becomes part of the books.
    fn enter(&self, group: Group, policy: &TriagePolicy) {
        let entered = self.runtime.block_on(async {
            let changed = self.engine.enter_group(group, policy).await?;
            for case in changed.iter().filter(|case| !case.acts.is_empty()) {
                // Before the gate opens for what was looked at.
                self.engine.follow_case(case.id).await?;
            }
            Ok::<_, EngineError>(changed)
        });
        match entered {
            Ok(changed) => {
                let opened = changed.iter().filter(|case| case.timeline.len() == 1).count();
                self.screener.cases_opened.fetch_add(opened as u64, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::error!(error = %Chain(&error), "a case could not be entered; the next pass tries again");
            }
        }
    }

    fn begin_pass(&mut self, now: Timestamp) {
        if self.passing.is_some() {
            return;
        }
        let progress = self.engine.screening().progress();
        let half = i64::try_from(self.screener.settings.pass_age_max.as_millis()).unwrap_or(i64::MAX) / 2;
        let is_old = progress.pass_at.is_none_or(|at| now.as_ms().saturating_sub(at.as_ms()) > half);
        let rested = self.pass_begun.is_none_or(|begun| begun.elapsed() >= self.screener.settings.pass_every);
        if !(self.engine.screening().takes_pass_wish() || is_old || (self.dirty && rested)) {
            return;
        }
        self.dirty = false;
        self.pass_begun = Some(Instant::now());
        // A copy: what comes meanwhile goes on being looked at.
        let (resident, rivals) = {
            let kept = self.screener.read();
            (kept.resident.clone(), kept.rivals.clone())
        };
        let policy = self.screener.settings.triage.clone();
        let engine = Arc::clone(&self.engine);
        let thread = std::thread::Builder::new().name("screening-pass".to_owned()).spawn(move || {
            lower_priority();
            let passed = pass(&resident, &policy, now).map(|mut passed| {
                let hash = |kind: &str, value: &str| engine.link_hash(kind, value);
                passed.rivals = rivals::groups(&resident, &rivals, &hash, now);
                passed
            });
            // Before the end is announced: whoever comes to look finds it.
            engine.screening().wake_up();
            passed.inspect_err(|fault| tracing::error!(%fault, "the network is too large for a pass: money waits")).ok()
        });
        match thread {
            Ok(thread) => self.passing = Some(thread),
            Err(error) => tracing::error!(%error, "a pass has no thread; the next look tries again"),
        }
    }

    fn end_pass(&mut self) {
        let Some(passing) = self.passing.take_if(|passing| passing.is_finished()) else { return };
        let Ok(Some(passed)) = passing.join() else { return };
        let passed = Arc::new(passed);
        {
            let mut kept = self.screener.write();
            kept.passed = Some(Arc::clone(&passed));
            // What was seen live before is in it.
            kept.live.retain(|_, (_, at)| *at > passed.at);
        }
        let policy = &self.screener.settings.triage;
        for group in &passed.groups {
            self.enter(group.clone(), policy);
        }
        for group in &passed.rivals {
            self.enter(group.clone(), &rivals::policy(policy));
        }
        self.engine.screening().pass_done(passed.at);
    }

    /// Remembers whose rewards wait for nothing but screening. Those earned before the daily mark
    /// have been released by it.
    fn remember(&mut self, record: &Record) {
        let Body::Member { member, changes, .. } = &record.body else { return };
        let at = record.envelope.at;
        let waits = changes.iter().any(|change| {
            let over = change.grant.available_at.is_some_and(|free| free <= at);
            change.grant.stage == Stage::Posted && change.grant.amount_minor > 0 && over
        });
        if waits && at >= self.engine.mark(record.envelope.partition) && self.release.len() < RELEASES_MAX {
            self.release.insert(member.clone());
        }
    }

    /// Releases some of them beside the reading: a release waits for it.
    fn let_go(&mut self) {
        if let Some(releasing) = self.releasing.take_if(|releasing| releasing.is_finished())
            && let Ok(left) = self.runtime.block_on(releasing)
        {
            self.release.extend(left);
        }
        if self.releasing.is_some() || self.release.is_empty() || self.engine.screening().progress().pass_at.is_none() {
            return;
        }
        let members = std::mem::take(&mut self.release);
        let engine = Arc::clone(&self.engine);
        self.releasing = Some(self.runtime.spawn(async move {
            let members: Vec<MemberId> = members.into_iter().collect();
            let mut left = Vec::new();
            for some in members.chunks(RELEASED_AT_ONCE) {
                let releases = some.iter().map(|member| engine.release(member));
                for (member, done) in some.iter().zip(futures_util::future::join_all(releases).await) {
                    match done {
                        Ok(true) => {}
                        Ok(false) => left.push(member.clone()),
                        Err(error) => {
                            tracing::warn!(error = %Chain(&error), "a reward waits for the daily mark");
                        }
                    }
                }
            }
            engine.screening().wake_up();
            left
        }));
    }
}

/// Whatever serves goes first. Without the right to it the thread works as any other.
fn lower_priority() {
    let _ = rustix::process::setpriority_process(None, PRIORITY);
}
