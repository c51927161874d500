//! What the desk knows of all cases at once, so that the queue can put the most money first however many
//! cases there are: one line for each, kept in memory, brought up to date behind the pages.
//!
//! What this process changes is in it at once; what others change, and the members' money, within
//! the time that is named. A case's own page shows it as it is.

use crate::api::Doors;
use crate::api::detectors::Counts;
use crate::api::reply::Reply;
use crate::cases::{Case, SCORE, Status, Verdict};
use crate::console::words;
use crate::decide::MemberState;
use crate::domain::member::Standing;
use crate::domain::{MemberId, MerchantId, Timestamp, Unit};
use crate::engine::cases::stake;
use crate::engine::{Engine, EngineError};
use crate::pipeline::Chain;
use compact_str::CompactString;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::JoinSet;

/// Cases that are known: beyond them the oldest are left out.
const CASES_MAX: usize = 20_000;
/// Cases read at a time.
const PAGE: usize = 200;
/// Members whose money one look at everything reads.
const MEMBERS_MAX: usize = 200_000;
/// How old what others changed may be where several processes share a store.
const SHARED_FRESH_MS: i64 = 5_000;
/// How old the members' money may be.
const FRESH_MS: i64 = 60_000;

/// A case in the queue.
#[derive(Debug, Clone)]
pub(in crate::console) struct Line {
    /// The case, without its members, links and history.
    pub id: u64,
    pub status: Status,
    /// `program`, or the merchant whose rivals it is about.
    pub scope: String,
    /// `None` while it is judged blind.
    pub score: Option<u16>,
    pub members: usize,
    /// Who speaks in it.
    pub detectors: BTreeSet<CompactString>,
    /// What was seen most strongly.
    pub headline: String,
    pub opened_at: Timestamp,
    /// The strictest standing that one of its members has now.
    pub standing: Standing,
    /// What may still be kept, in words; `None` when there are too many members to add up.
    pub stake: Option<String>,
    /// The same of money, for the order.
    pub stake_minor: i64,
    /// Whom it keeps out of the offers of the merchant that it is about.
    kept_out: Vec<MemberId>,
    /// What it adds to the counts.
    counts: Counts,
}

/// All cases as they were known a moment ago.
#[derive(Debug, Default)]
pub(in crate::console) struct Known {
    /// By number.
    pub lines: BTreeMap<u64, Arc<Line>>,
    /// How many stand where, and what became of them by detector.
    pub counts: Counts,
    /// When all of it was read.
    at: Timestamp,
    /// How many changes of this process were taken in.
    changes: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Desk {
    known: Mutex<Option<Arc<Known>>>,
    /// One look at everything that pages wait for at a time.
    looking: tokio::sync::Mutex<()>,
    /// The look at everything behind the pages; it ends with this.
    behind: Mutex<JoinSet<()>>,
}

impl Desk {
    fn kept(&self) -> MutexGuard<'_, Option<Arc<Known>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at everything behind the pages, unless that is going on.
    fn look_behind(self: &Arc<Self>, engine: &Arc<Engine>, now: Timestamp) {
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        while behind.try_join_next().is_some() {}
        if !behind.is_empty() {
            return;
        }
        let (desk, engine) = (Arc::downgrade(self), Arc::clone(engine));
        behind.spawn(async move {
            match (look(&engine, now).await, desk.upgrade()) {
                (Ok(known), Some(desk)) => *desk.kept() = Some(Arc::new(known)),
                (Err(error), _) => tracing::warn!(error = %Chain(&error), "the cases cannot be read"),
                (Ok(_), None) => {}
            }
        });
    }
}

/// All cases. The first who asks waits until they are read; later ones for what changed here alone.
pub(in crate::console) async fn known(doors: &Doors, now: Timestamp) -> Result<Arc<Known>, Reply> {
    let (desk, engine) = (&doors.console.desk, &doors.engine);
    let kept = desk.kept().clone();
    let Some(known) = kept else { return first(doors, now).await };
    let fresh_ms = if engine.is_shared() { SHARED_FRESH_MS } else { FRESH_MS };
    if known.at.plus_ms(fresh_ms) <= now {
        desk.look_behind(engine, now);
    }
    let (changes, changed) = engine.screening().cases_changed(known.changes);
    if changes == known.changes {
        return Ok(known);
    }
    let Some(changed) = changed else { return first(doors, now).await };
    let mut newer = Known { lines: known.lines.clone(), changes, at: known.at, ..Known::default() };
    for id in changed {
        if let Some(case) = engine.case(id).await? {
            let members = engine.load_all(case.names()).await?;
            newer.lines.insert(id, Arc::new(Line::of(&case, Some(&members))));
        }
    }
    newer.sum(known.counts.more);
    let newer = Arc::new(newer);
    let mut kept = desk.kept();
    // A look at everything that ended meanwhile takes in by the next page what it has not seen.
    if kept.as_ref().is_none_or(|kept| kept.changes < newer.changes) {
        *kept = Some(Arc::clone(&newer));
    }
    Ok(newer)
}

/// Waits for a look at everything, one's own or that of somebody who came at the same time.
async fn first(doors: &Doors, now: Timestamp) -> Result<Arc<Known>, Reply> {
    let desk = &doors.console.desk;
    let before = doors.engine.screening().cases_changed(0).0;
    let _one = desk.looking.lock().await;
    let kept = desk.kept().clone();
    if let Some(known) = kept.filter(|known| known.changes >= before) {
        return Ok(known);
    }
    let known = Arc::new(look(&doors.engine, now).await?);
    *desk.kept() = Some(Arc::clone(&known));
    Ok(known)
}

/// Looks at everything.
async fn look(engine: &Arc<Engine>, now: Timestamp) -> Result<Known, EngineError> {
    let changes = engine.screening().cases_changed(0).0;
    let mut known = Known { at: now, changes, ..Known::default() };
    let (mut after, mut left) = (None, MEMBERS_MAX);
    while known.lines.len() < CASES_MAX {
        let (cases, next) = engine.cases(after, PAGE, |_| true).await?;
        for case in &cases {
            // Of what is part of another case nobody asks.
            let counts = case.status != Status::Merged && case.members.len() <= left;
            let members = if counts { Some(engine.load_all(case.names()).await?) } else { None };
            left -= members.as_ref().map_or(0, |_| case.members.len());
            known.lines.insert(case.id, Arc::new(Line::of(case, members.as_deref())));
        }
        after = next;
        if after.is_none() {
            break;
        }
    }
    known.sum(after.is_some());
    Ok(known)
}

impl Known {
    /// How many people are kept out of a merchant's offers, and whether there may be more.
    pub(in crate::console) fn kept_out(&self, merchant: &MerchantId) -> (usize, bool) {
        let lines = self.lines.values().filter(|line| line.scope == merchant.as_str());
        let all: BTreeSet<&MemberId> = lines.flat_map(|line| &line.kept_out).collect();
        (all.len(), self.counts.more)
    }

    fn sum(&mut self, more: bool) {
        let mut all = Counts::default();
        all.more = more;
        self.lines.values().for_each(|line| all.add(&line.counts));
        self.counts = all;
    }
}

impl Line {
    /// Of a case and its members, where they were read.
    pub(super) fn of(case: &Case, members: Option<&[Arc<MemberState>]>) -> Self {
        // What the score says of a group is no detector's.
        let seen = case.evidence.iter().filter(|seen| seen.detector != SCORE);
        let open = stake(members.unwrap_or_default()).into_iter();
        let open = open.map(|(unit, had)| (unit, had.pending_minor + had.held_minor + had.available_minor));
        let open: Vec<(Unit, i64)> = open.filter(|(_, minor)| *minor != 0).collect();
        let standings = members.unwrap_or_default().iter();
        Self {
            id: case.id,
            status: case.status,
            scope: case.merchant.as_ref().map_or_else(|| "program".to_owned(), ToString::to_string),
            score: (!case.hides_score()).then_some(case.score),
            members: case.members.len(),
            detectors: seen.map(|seen| seen.detector.clone()).collect(),
            headline: case.shown_evidence().first().map(|evidence| evidence.words.clone()).unwrap_or_default(),
            opened_at: case.opened_at,
            standing: standings
                .map(|member| member.head.standing_now(case.merchant.as_ref()))
                .max()
                .unwrap_or(Standing::Clear),
            stake: members
                .map(|_| words::list(&open.iter().map(|(unit, minor)| unit.shown(*minor)).collect::<Vec<_>>())),
            stake_minor: open.iter().filter(|(unit, _)| unit.currency().is_some()).map(|(_, minor)| minor).sum(),
            kept_out: if case.merchant.is_some() { barred(case) } else { Vec::new() },
            counts: Counts::of_case(case),
        }
    }
}

/// Members whom the last review of a case that stands bars.
fn barred(case: &Case) -> Vec<MemberId> {
    let confirmed = case.last_review().filter(|(_, review)| review.verdict == Verdict::Confirm);
    confirmed.map(|(_, review)| review.members.clone()).unwrap_or_default()
}
