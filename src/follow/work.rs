//! The follower of screening: a thread of its own, of low priority, that keeps the network of
//! members, looks at what changed as it comes and at everybody now and then, and enters what it
//! finds as cases. It tells the gate how far it has come ([`crate::engine::screened`]).
//!
//! It takes nothing from what wakes it: it reads on from where it is, so that a start, a timer
//! and a commit all run the same code.

use super::feed::{self, Feed, Page};
use super::kept::Taken;
use super::pass::{Passed, pass};
use super::resident::{Resident, Who};
use super::rivals;
use super::rules;
use super::screening::Screener;
use super::snapshot::{self, Copied};
use super::tills::Watched;
use crate::cases::triage::{Group, TriagePolicy};
use crate::domain::{MemberId, Timestamp};
use crate::engine::{Engine, EngineError};
use crate::pipeline::Chain;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long it waits after something failed.
const SLEEP: Duration = Duration::from_millis(500);
/// How often it is told that something fails.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// Members whose rewards wait for nothing but screening, remembered at once; the daily mark
/// releases those beyond.
const RELEASES_MAX: usize = 100_000;
/// Members released side by side.
const RELEASED_AT_ONCE: usize = 64;
/// Records of logs below which it rests before it asks for more.
const FEW: usize = 64;
/// As `nice` says it: whatever serves goes first.
const PRIORITY: i32 = 10;

/// A group to be entered.
#[derive(Clone)]
struct Found {
    group: Group,
    policy: TriagePolicy,
    /// Chance chose it, one in so many.
    one_in: Option<u32>,
}

type Passing = JoinHandle<Option<Passed>>;
type Releasing = tokio::task::JoinHandle<Vec<MemberId>>;

/// The thread's own.
pub(super) struct Work {
    screener: Arc<Screener>,
    engine: Arc<Engine>,
    runtime: tokio::runtime::Handle,
    feed: Box<dyn Feed>,
    dirty: bool,
    passing: Option<Passing>,
    /// What is being looked at is not kept any more: another process screens.
    passing_in_vain: bool,
    pass_begun: Option<Instant>,
    /// What was bought at rivals' tills, and when others were last told of it.
    tills: Arc<Watched>,
    telling: Option<JoinHandle<()>>,
    /// The catalogue of which it is known when offers began.
    launches_of: Option<u64>,
    told: Option<Instant>,
    /// What is left to be done before anybody may be told that what was read has been passed: members
    /// to be read from the state, groups to be entered, cases to be followed, and the pass that is done.
    stale: BTreeSet<MemberId>,
    unentered: VecDeque<Found>,
    unfollowed: BTreeSet<u64>,
    passed_at: Option<Timestamp>,
    /// Members whom the allow list spares, as long as nothing was read since; found once for all groups.
    spares: Option<Arc<BTreeSet<MemberId>>>,
    /// The last day on which chance chose groups.
    drawn_on: Option<u32>,
    /// The policy as the last pass bounds it: what is common among honest groups opens and holds nothing.
    policy: TriagePolicy,
    /// Members whose release is under way, and when the last snapshot was written.
    releasing_now: Vec<MemberId>,
    snapped: Option<Instant>,
    /// When it was last told that something failed.
    failed: Option<Instant>,
    release: BTreeSet<MemberId>,
    releasing: Option<Releasing>,
}

impl Work {
    pub(super) fn new(screener: Arc<Screener>, engine: Arc<Engine>, runtime: tokio::runtime::Handle) -> Self {
        let feed = feed::of(&engine, &runtime);
        let policy = screener.settings().triage.clone();
        Self {
            policy,
            screener,
            engine,
            runtime,
            feed,
            dirty: true,
            passing: None,
            passing_in_vain: false,
            pass_begun: None,
            tills: Arc::default(),
            telling: None,
            launches_of: None,
            told: None,
            stale: BTreeSet::new(),
            unentered: VecDeque::new(),
            unfollowed: BTreeSet::new(),
            passed_at: None,
            spares: None,
            releasing_now: Vec::new(),
            snapped: None,
            drawn_on: None,
            failed: None,
            release: BTreeSet::new(),
            releasing: None,
        }
    }

    fn is_over(&self) -> bool {
        self.screener.is_stopping() || !self.engine.is_able()
    }

    pub(super) fn run(mut self) {
        lower_priority();
        self.begin();
        while !self.is_over() {
            if let Err(error) = self.catch_up() {
                self.wait_after(&error);
                if self.feed.keep() {
                    // What is left comes first: nothing is kept that grows meanwhile.
                    continue;
                }
            }
            // A pass speaks for what was there when its reading began, not for what comes meanwhile.
            let read_at = self.engine.clock.now();
            match self.feed.read() {
                Ok(Some(page)) => self.go_on(page, read_at),
                Ok(None) => self.stand_by(),
                Err(error) => self.wait_after(&error),
            }
        }
        self.snap_at_the_end();
        self.feed.end();
        if let Some(passing) = self.passing.take() {
            let _ = passing.join();
        }
        if let Some(telling) = self.telling.take() {
            let _ = telling.join();
        }
        if let Some(releasing) = self.releasing.take() {
            let _ = self.runtime.block_on(releasing);
        }
    }

    /// Takes what the snapshot has, when there is one of this journal: the records after it follow.
    fn begin(&mut self) {
        if self.engine.is_shared() || self.screener.settings().snapshot_every.is_zero() {
            return;
        }
        match snapshot::read(&self.engine) {
            Ok(None) => {}
            Ok(Some((kept, place, release))) => {
                let (members, links) = (kept.resident.len(), kept.resident.link_count());
                tracing::info!(members, links, "screening reads on from its snapshot");
                *self.screener.write() = kept;
                self.screener.resumed();
                self.feed.go_to(place);
                self.release.extend(release);
            }
            Err(fault) => {
                tracing::warn!(error = %Chain(&fault), "the snapshot of screening is not used; the whole journal is read");
            }
        }
    }

    /// A copy of what is kept, when all that was read has been seen to; the network of it may be one that
    /// was copied already.
    fn copied(&self, resident: Option<&Arc<Resident>>) -> Option<Copied> {
        let done = self.stale.is_empty() && self.unentered.is_empty() && self.unfollowed.is_empty();
        let place = self.feed.place().filter(|_| done)?;
        let kept = self.screener.read();
        Some(Copied {
            resident: resident.map_or_else(|| Arc::new(kept.resident.clone()), Arc::clone),
            rules: kept.rules.clone(),
            arrivals: kept.arrivals.clone(),
            report: kept.report.clone(),
            worth: kept.worth.clone(),
            place,
            release: self.release.iter().chain(&self.releasing_now).cloned().collect(),
        })
    }

    /// An orderly stop leaves a snapshot of all that was read.
    fn snap_at_the_end(&self) {
        let every = self.screener.settings().snapshot_every;
        if self.engine.is_shared() || every.is_zero() || !self.screener.is_stopping() {
            return;
        }
        if let Some(copied) = self.copied(None) {
            write(&copied, &snapshot::path(&self.engine));
        }
    }

    fn go_on(&mut self, page: Page, read_at: Timestamp) {
        self.screener.set_elsewhere(false);
        if page.anew {
            self.forget();
            self.tell_model();
        }
        let (more, rests) = (page.more, page.records.len() < if page.from_logs { FEW } else { 1 });
        self.take(page);
        self.end_pass();
        if let Err(error) = self.catch_up() {
            return self.wait_after(&error);
        }
        // Not only when nothing comes: a service that is always busy is looked at too.
        if !more {
            self.begin_pass(read_at);
        }
        self.let_go();
        if rests && !more {
            self.feed.sleep();
        }
    }

    /// Of processes that share a store the one that screens uses its own model: it says which.
    fn tell_model(&self) {
        if let Some(model) = self.screener.model() {
            let (name, version, hash) = (&model.named.name, model.named.version, &model.named.hash);
            let state = model.state.as_str();
            tracing::info!(name, version, hash, state, "this process screens the store, with its own model");
        }
    }

    /// Another process screens: what is kept here would only grow old.
    fn stand_by(&mut self) {
        self.screener.set_elsewhere(true);
        self.forget();
        self.end_pass();
        self.tell();
        self.feed.sleep();
    }

    /// Tells who screens what was seen here alone, beside the asking: the lease may fall to this
    /// process meanwhile.
    fn tell(&mut self) {
        let rested = self.told.is_none_or(|told| told.elapsed() >= self.screener.settings().pass_every.max(SLEEP));
        if self.telling.as_ref().is_some_and(|telling| !telling.is_finished()) || !rested {
            return;
        }
        self.told = Some(Instant::now());
        let (tills, engine, runtime) = (Arc::clone(&self.tills), Arc::clone(&self.engine), self.runtime.clone());
        let thread = std::thread::Builder::new().name("screening-tills".to_owned()).spawn(move || {
            lower_priority();
            tills.tell(&engine, &runtime, &rivals::declared(&engine.catalogue()));
        });
        // Without a thread the next asking tries again.
        self.telling = thread.ok();
    }

    /// What was read and found is not kept any more.
    fn forget(&mut self) {
        (self.dirty, self.pass_begun, self.passed_at, self.launches_of) = (true, None, None, None);
        self.policy = self.screener.settings().triage.clone();
        self.passing_in_vain = self.passing.is_some();
        self.stale.clear();
        self.unentered.clear();
        self.unfollowed.clear();
        self.release.clear();
    }

    /// Does what is left, then tells the gate.
    fn catch_up(&mut self) -> Result<(), EngineError> {
        if !self.stale.is_empty() {
            // Read without the lock: whoever asks for a risk meanwhile is answered.
            let members = self.feed.members(self.stale.clone())?;
            let taken = self.screener.write().restore_all(&members);
            self.stale.clear();
            self.see(taken, false);
        }
        // An entry may have ended since.
        self.spares = None;
        while let Some(Found { group, policy, one_in }) = self.unentered.front().cloned() {
            let (group, policy) = self.spared(group, policy);
            let changed = match one_in {
                None => self.runtime.block_on(self.engine.enter_group(group, &policy))?,
                Some(one_in) => self.runtime.block_on(self.engine.enter_drawn(group, &policy, one_in))?,
            };
            self.unentered.pop_front();
            let opened = changed.iter().filter(|case| case.timeline.len() == 1).count();
            self.screener.opened(opened as u64);
            self.unfollowed.extend(changed.iter().filter(|case| !case.acts.is_empty()).map(|case| case.id));
            if !self.feed.keep() {
                return Err(EngineError::Contended);
            }
        }
        while let Some(case) = self.unfollowed.first().copied() {
            // Before the gate opens for what was looked at.
            self.runtime.block_on(self.engine.follow_case(case))?;
            self.unfollowed.remove(&case);
        }
        self.feed.passed()?;
        if let Some(at) = self.passed_at {
            self.feed.pass_done(at)?;
            self.passed_at = None;
        }
        Ok(())
    }

    /// A group and the policy for it without those whom the allow list spares now.
    fn spared(&mut self, group: Group, policy: TriagePolicy) -> (Group, TriagePolicy) {
        let (kept, now) = (self.screener.read(), self.engine.clock.now());
        let find = || Arc::new(kept.rules.spared(&kept.resident, now));
        let spared =
            if rules::acts(&policy) { Arc::clone(self.spares.get_or_insert_with(find)) } else { Arc::default() };
        (kept.rules.spare(&kept.resident, group, now), TriagePolicy { spared, ..policy })
    }

    fn wait_after(&mut self, error: &EngineError) {
        // Once a while: it is tried again and again.
        if self.failed.is_none_or(|at| at.elapsed() > TOLD_EVERY) {
            self.failed = Some(Instant::now());
            tracing::error!(error = %Chain(error), "screening cannot read what was recorded, or tell how far it has come: money waits");
        }
        self.engine.screening().nap(SLEEP);
    }

    /// Takes records in and looks at what they changed.
    fn take(&mut self, page: Page) {
        let is_history = page.is_history;
        self.dirty |= page.anew || !(page.records.is_empty() && page.members.is_empty());
        self.hear_launches();
        let mut taken = self.screener.write().take(page);
        self.stale.append(&mut taken.stale);
        self.see(taken, is_history);
    }

    /// Learns when offers began, when the catalogue is another.
    fn hear_launches(&mut self) {
        let catalogue = self.engine.catalogue();
        if self.launches_of != Some(catalogue.revision()) {
            self.launches_of = Some(catalogue.revision());
            self.screener.write().launches = Arc::new(rivals::launches(&catalogue));
        }
    }

    fn see(&mut self, taken: Taken, is_history: bool) {
        for (member, at) in taken.waiting {
            // Those earned before the daily mark have been released by it.
            let mark = self.engine.mark(self.engine.partition(&member));
            if at >= mark && self.release.len() < RELEASES_MAX {
                self.release.insert(member);
            }
        }
        // What was over before the start is looked at by the first pass.
        if is_history {
            return;
        }
        let now = self.engine.clock.now();
        let policy = &self.policy;
        let mut looked: BTreeSet<Who> = BTreeSet::new();
        let ruled = self.screener.read().ruled(&taken.hits, now);
        let of_rules = rules::policy(policy);
        self.unentered.extend(ruled.into_iter().map(|group| Found { group, policy: of_rules.clone(), one_in: None }));
        for who in taken.changed {
            let group = self.screener.write().look(who, &mut looked, policy, now);
            self.unentered.extend(group.map(|group| Found { group, policy: policy.clone(), one_in: None }));
        }
    }

    fn begin_pass(&mut self, now: Timestamp) {
        if self.passing.is_some() {
            return;
        }
        let progress = self.engine.screening().progress();
        let half = i64::try_from(self.screener.settings().pass_age_max.as_millis()).unwrap_or(i64::MAX) / 2;
        let is_old = progress.pass_at.is_none_or(|at| now.as_ms().saturating_sub(at.as_ms()) > half);
        let rested = self.pass_begun.is_none_or(|begun| begun.elapsed() >= self.screener.settings().pass_every);
        if !(self.engine.screening().takes_pass_wish() || is_old || (self.dirty && rested)) {
            return;
        }
        self.dirty = false;
        self.pass_begun = Some(Instant::now());
        // A copy: what comes meanwhile goes on being looked at.
        let (resident, desk) = {
            let mut kept = self.screener.write();
            kept.rules.forget_before(now);
            (Arc::new(kept.resident.clone()), kept.rules.clone())
        };
        let every = self.screener.settings().snapshot_every;
        let is_due = !every.is_zero() && self.snapped.is_none_or(|at| at.elapsed() >= every);
        let copied = is_due.then(|| self.copied(Some(&resident))).flatten();
        if copied.is_some() {
            self.snapped = Some(Instant::now());
        }
        let rivals = rivals::declared(&self.engine.catalogue());
        let (policy, model) = (self.screener.settings().triage.clone(), self.screener.settings().model.clone());
        let draws = self.screener.settings().random_cases_per_day > 0;
        let (engine, tills, runtime) = (Arc::clone(&self.engine), Arc::clone(&self.tills), self.runtime.clone());
        let thread = std::thread::Builder::new().name("screening-pass".to_owned()).spawn(move || {
            lower_priority();
            let passed = pass(&resident, &policy, model.as_ref(), draws, now).map(|mut passed| {
                let hash = |kind: &str, value: &str| engine.link_hash(kind, value);
                let tills = tills.read(&engine, &runtime, &rivals);
                passed.hits = desk.of_all(&resident, now);
                passed.rivals = rivals::groups(&resident, &rivals, &tills, &hash, now);
                let honest = passed.spoken.first().map_or(0, |one| one.honest);
                passed.spoken.push(rivals::spoken(&resident, &passed.rivals, honest));
                passed
            });
            if let Some(copied) = copied {
                write(&copied, &snapshot::path(&engine));
            }
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
        let in_vain = std::mem::take(&mut self.passing_in_vain);
        let Ok(Some(passed)) = passing.join() else { return };
        if in_vain {
            return;
        }
        let passed = Arc::new(passed);
        let ruled = {
            let mut kept = self.screener.write();
            kept.pass(Arc::clone(&passed));
            passed.hits.iter().for_each(|hit| kept.rules.flag(hit));
            kept.ruled(&passed.hits, passed.at)
        };
        self.policy = self.screener.settings().triage.bounded(&passed.controls);
        let policy = &self.policy;
        let found =
            |group: &Group, policy: &TriagePolicy| Found { group: group.clone(), policy: policy.clone(), one_in: None };
        self.unentered.extend(passed.groups.iter().map(|group| found(group, policy)));
        let of_rivals = rivals::policy(policy);
        self.unentered.extend(passed.rivals.iter().map(|group| found(group, &of_rivals)));
        self.unentered.extend(ruled.iter().map(|group| found(group, &rules::policy(policy))));
        self.passed_at = Some(passed.at);
        if let Err(error) = self.draw(&passed) {
            tracing::warn!(error = %Chain(&error), "no group was drawn by chance; the next pass tries again");
        }
    }

    fn is_in_a_case(&self, group: &Group) -> Result<bool, EngineError> {
        for suspect in &group.members {
            if !self.runtime.block_on(self.engine.cases_of(&suspect.member))?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Chance puts some groups below the threshold before people, so many a day: those whose keyed hash
    /// of this day is the lowest, so that nobody can tell beforehand which.
    fn draw(&mut self, passed: &Passed) -> Result<(), EngineError> {
        let per_day = self.screener.settings().random_cases_per_day;
        let today = self.engine.clock.now().day();
        if per_day == 0 || passed.below.is_empty() || self.drawn_on == Some(today) {
            return Ok(());
        }
        let since = Timestamp::start_of_day(today);
        let left = per_day.saturating_sub(self.runtime.block_on(self.engine.drawn_since(since))?);
        let hash = |group: &&Group| {
            let members: Vec<&str> = group.members.iter().map(|suspect| suspect.member.as_str()).collect();
            self.engine.link_hash("draw", &format!("{today} {}", members.join(" "))).0
        };
        let mut below: Vec<&Group> = passed.below.iter().collect();
        below.sort_by_cached_key(hash);
        let one_in = u32::try_from(passed.below_count.div_ceil(left.max(1)).max(1)).unwrap_or(u32::MAX);
        let policy = &self.policy;
        let mut drawn = Vec::new();
        for group in below {
            if drawn.len() >= left {
                break;
            }
            // What people have had before them already is not drawn again.
            if !self.is_in_a_case(group)? {
                drawn.push(Found { group: group.clone(), policy: policy.clone(), one_in: Some(one_in) });
            }
        }
        // Where there were too few the next pass goes on.
        self.drawn_on = (drawn.len() >= left).then_some(today);
        self.unentered.extend(drawn);
        Ok(())
    }

    /// Releases some of them beside the reading: a release waits for it.
    fn let_go(&mut self) {
        if let Some(releasing) = self.releasing.take_if(|releasing| releasing.is_finished())
            && let Ok(left) = self.runtime.block_on(releasing)
        {
            self.release.extend(left);
            self.releasing_now.clear();
        }
        if self.releasing.is_some() || self.release.is_empty() || self.engine.screening().progress().pass_at.is_none() {
            return;
        }
        let members = std::mem::take(&mut self.release);
        self.releasing_now = members.iter().cloned().collect();
        let engine = Arc::clone(&self.engine);
        self.releasing = Some(self.runtime.spawn(async move {
            let members: Vec<MemberId> = members.into_iter().collect();
            let mut left = Vec::new();
            for some in members.chunks(RELEASED_AT_ONCE) {
                let releases = some.iter().map(|member| engine.release(member));
                for (member, done) in some.iter().zip(futures_util::future::join_all(releases).await) {
                    match done {
                        Ok(true) => {}
                        Ok(false) | Err(EngineError::Contended | EngineError::Unproved) => left.push(member.clone()),
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

/// A snapshot that cannot be written costs the next start time, and nothing else.
fn write(copied: &Copied, path: &std::path::Path) {
    if let Err(fault) = copied.write(path) {
        tracing::warn!(error = %Chain(&fault), path = %path.display(), "no snapshot of screening was written");
    }
}

/// Whatever serves goes first. Without the right to it the thread works as any other.
pub(super) fn lower_priority() {
    let _ = rustix::process::setpriority_process(None, PRIORITY);
}
