//! The gate between screening and money: how far screening has come, and what waits for it.
//!
//! Nothing becomes available before screening has passed the record that earned it, and nothing
//! becomes available or is paid while its last whole pass is older than its bound. When
//! screening stops, money waits.

use super::acts::ActError;
use super::{Engine, EngineError};
use crate::domain::purchase::Stage;
use crate::domain::{MemberId, Timestamp};
use crate::journal::{Position, ReadError};
use crate::record::MemberInput;
use crate::store::redis::LogId;
use crate::store::{Lease, Partition};
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long a request waits for screening to come up before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(2);
/// Changes of cases that are remembered.
const CHANGED_MAX: usize = 1_000;

/// How often a process asks how far another has screened.
const ASKED_EVERY: Duration = Duration::from_millis(25);

/// How long the follower rests before commits wake it.
const LINGER: Duration = Duration::from_millis(20);

/// How far screening has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Every record before here has been passed, with what followed from it.
    pub passed: Position,
    /// When what the last whole pass looked at was read; `None` before the first.
    pub pass_at: Option<Timestamp>,
}

/// How far screening must come.
#[derive(Debug)]
pub(super) enum Reach {
    /// In the journal of this process, which has its store alone.
    Own(Position),
    /// In the logs of a shared store's partitions.
    Logs(Vec<(Partition, LogId)>),
}

/// See the module.
#[derive(Debug)]
pub struct Screening {
    progress: watch::Sender<Progress>,
    pass_age_ms_max: i64,
    /// Records committed, and those of them that were passed.
    committed: AtomicU64,
    followed: AtomicU64,
    /// What waited for screening and was not done.
    waits: AtomicU64,
    /// The follower sleeps until somebody commits.
    asleep: AtomicBool,
    wake: Mutex<bool>,
    woken: Condvar,
    /// Somebody waits for a whole pass.
    pass_wanted: AtomicBool,
    /// One change of cases at a time.
    pub(super) cases: tokio::sync::Mutex<()>,
    /// How many changes of cases this process made, and which cases they last were of.
    changed: Mutex<(u64, VecDeque<u64>)>,
    /// What says that this process alone screens a shared store.
    lease: Mutex<Option<Lease>>,
}

impl Screening {
    pub(super) fn new(pass_age_ms_max: i64) -> Self {
        Self {
            progress: watch::Sender::new(Progress::default()),
            pass_age_ms_max,
            committed: AtomicU64::new(0),
            followed: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            asleep: AtomicBool::new(false),
            wake: Mutex::new(false),
            woken: Condvar::new(),
            pass_wanted: AtomicBool::new(false),
            cases: tokio::sync::Mutex::default(),
            changed: Mutex::default(),
            lease: Mutex::default(),
        }
    }

    /// A case was changed by this process.
    pub(super) fn case_changed(&self, id: u64) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.0 += 1;
        changed.1.push_back(id);
        if changed.1.len() > CHANGED_MAX {
            changed.1.pop_front();
        }
    }

    /// How many changes of cases this process has made, and which cases those were of that came after so
    /// many; `None` when they are not remembered any more.
    #[must_use]
    pub fn cases_changed(&self, since: u64) -> (u64, Option<BTreeSet<u64>>) {
        let changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = usize::try_from(changed.0.saturating_sub(since)).unwrap_or(usize::MAX);
        let known = (newer <= changed.1.len()).then(|| changed.1.iter().rev().take(newer).copied().collect());
        (changed.0, known)
    }

    /// What says that this process alone screens a shared store; `None` while another does, and where
    /// the store is not shared.
    pub(super) fn lease(&self) -> Option<Lease> {
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Whether this process alone screens a shared store, and under which token; 0 while it does not.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.lease().map_or(0, |lease| lease.token)
    }
    pub(super) fn hold(&self, lease: Option<Lease>) {
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = lease;
    }

    /// Records were committed: the follower has something to read.
    pub(super) fn committed(&self, records: u64) {
        self.committed.fetch_add(records, Ordering::Relaxed);
        // Most commits find it awake and cost nothing more.
        if self.asleep.load(Ordering::Acquire) {
            self.wake_up();
        }
    }

    /// Wakes the follower.
    pub fn wake_up(&self) {
        *self.wake.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.woken.notify_one();
    }

    /// Sleeps until somebody commits or wants something, or for so long. `is_more` is asked once
    /// the follower counts as asleep, so that no commit falls between.
    pub fn sleep(&self, at_most: Duration, is_more: impl Fn() -> bool) {
        // A while in which commits wake nobody, only those who wait do: a busy service wakes the
        // follower some times a second, not with each commit.
        if self.rest(LINGER) || is_more() {
            return;
        }
        self.asleep.store(true, Ordering::SeqCst);
        if !is_more() {
            self.rest(at_most);
        }
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Sleeps for so long, or until somebody waits for screening.
    pub fn nap(&self, at_most: Duration) {
        self.rest(at_most);
    }

    /// Whether somebody woke it.
    fn rest(&self, at_most: Duration) -> bool {
        let wake = self.wake.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.woken.wait_timeout_while(wake, at_most, |wake| !*wake);
        std::mem::take(&mut *waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Everything before a place was passed, so many records of this process's own commits.
    pub fn passed(&self, at: Position, records: u64) {
        self.followed.fetch_add(records, Ordering::Relaxed);
        self.progress.send_modify(|progress| progress.passed = progress.passed.max(at));
    }

    /// A whole pass is done, over what was read until then.
    pub fn pass_done(&self, at: Timestamp) {
        self.progress.send_modify(|progress| progress.pass_at = Some(at));
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// A whole pass is wanted soon.
    pub fn wish_pass(&self) {
        self.pass_wanted.store(true, Ordering::Release);
    }

    /// Whether somebody waits for a whole pass; asks once.
    #[must_use]
    pub fn takes_pass_wish(&self) -> bool {
        self.pass_wanted.swap(false, Ordering::AcqRel)
    }

    /// Records committed by this process that were not passed yet.
    #[must_use]
    pub fn lag_records(&self) -> u64 {
        self.committed.load(Ordering::Relaxed).saturating_sub(self.followed.load(Ordering::Relaxed))
    }

    /// Times that something waited for screening in vain.
    #[must_use]
    pub fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }

    fn is_fresh(&self, pass_at: Option<Timestamp>, now: Timestamp) -> bool {
        pass_at.is_some_and(|at| now.as_ms().saturating_sub(at.as_ms()) <= self.pass_age_ms_max)
    }
}

impl Engine {
    /// How far screening has come.
    #[must_use]
    pub fn screening(&self) -> &Screening {
        &self.screening
    }

    /// A page of the journal's records from a place on.
    ///
    /// # Errors
    /// When the disk or its bytes are bad.
    pub fn read_journal(&self, from: Position, records: usize) -> Result<crate::journal::Page, ReadError> {
        self.journal.read(from, records)
    }

    /// How far screening must come to have passed all that was recorded in some partitions so far.
    pub(super) async fn reach(&self, partitions: &[Partition]) -> Result<Reach, EngineError> {
        if !self.policy.screened {
            return Ok(Reach::Own(Position::default()));
        }
        Ok(if self.is_shared() {
            Reach::Logs(self.log_ends(partitions).await?)
        } else {
            Reach::Own(self.journal.end())
        })
    }

    /// Waits until screening has come so far and its last whole pass is young enough; false when that
    /// takes longer than anybody should wait.
    pub(super) async fn has_screened(&self, reach: &Reach) -> Result<bool, EngineError> {
        match reach {
            Reach::Own(place) => Ok(self.screened_up_to(*place).await),
            Reach::Logs(ends) => self.screened_logs_up_to(ends).await,
        }
    }

    /// As [`Engine::has_screened`], of a place in this process' journal.
    pub async fn screened_up_to(&self, place: Position) -> bool {
        if !self.policy.screened {
            return true;
        }
        let screening = &self.screening;
        let done =
            |progress: &Progress| progress.passed >= place && screening.is_fresh(progress.pass_at, self.clock.now());
        if done(&screening.progress()) {
            return true;
        }
        if !screening.is_fresh(screening.progress().pass_at, self.clock.now()) {
            screening.wish_pass();
        }
        screening.wake_up();
        let mut progress = screening.progress.subscribe();
        let came = tokio::time::timeout(PATIENCE, progress.wait_for(done)).await;
        let came = matches!(came, Ok(Ok(_)));
        if !came {
            screening.waits.fetch_add(1, Ordering::Relaxed);
        }
        came
    }

    /// The same in a shared store, where any process may screen: it is asked until it has.
    async fn screened_logs_up_to(&self, ends: &[(Partition, LogId)]) -> Result<bool, EngineError> {
        let partitions: Vec<Partition> = ends.iter().map(|(partition, _)| *partition).collect();
        let begun = Instant::now();
        loop {
            let come = self.screened_logs(&partitions).await?;
            let is_there = come.passed.iter().zip(ends).all(|(passed, (_, end))| passed.is_some_and(|at| at >= *end));
            if is_there && self.screening.is_fresh(come.pass_at, self.clock.now()) {
                return Ok(true);
            }
            if begun.elapsed() > PATIENCE {
                self.screening.waits.fetch_add(1, Ordering::Relaxed);
                return Ok(false);
            }
            self.screening.wake_up();
            tokio::time::sleep(ASKED_EVERY).await;
        }
    }

    /// Whether something of a member may be paid now.
    ///
    /// # Errors
    /// [`ActError::NotScreened`] when screening is behind.
    pub(super) async fn may_pay(&self, member: &MemberId) -> Result<(), ActError> {
        let reach = self.reach(&[self.partition(member)]).await?;
        if self.has_screened(&reach).await? { Ok(()) } else { Err(ActError::NotScreened) }
    }

    /// Makes available what a member has earned and nothing but screening holds back: rewards
    /// without hold days, and those that came when their hold was over. False when screening is
    /// behind.
    ///
    /// # Errors
    /// When the journal or the state refuses.
    pub async fn release(self: &Arc<Self>, member: &MemberId) -> Result<bool, EngineError> {
        let turn = self.turn(member).await?;
        let (through, version) = (turn.now(), turn.member.head.version);
        let reach = self.reach(&[self.partition(member)]).await?;
        // Screening may need the member's turn itself.
        drop(turn);
        if !self.has_screened(&reach).await? {
            return Ok(false);
        }
        let mut turn = self.turn(member).await?;
        // What came meanwhile may have been decided before: it was not waited for.
        if turn.member.head.version != version {
            return Ok(false);
        }
        let now = turn.now();
        let screened = turn.member.head.screened.max(turn.mark().plus_ms(-1));
        let waits = turn.member.purchases.iter().flat_map(|placed| &placed.purchase.grants).any(|grant| {
            let over = grant.available_at.is_some_and(|at| at <= now || at <= grant.earned_at);
            let waits = grant.earned_at > screened && grant.earned_at <= through;
            grant.stage == Stage::Posted && grant.amount_minor > 0 && over && waits
        });
        if waits {
            turn.step(MemberInput::Screened { through }, None).await?;
            turn.commit().await?;
        }
        Ok(true)
    }
}
