//! How many cases wait, are had and are decided, and what became of those of each detector.

use super::desk;
use crate::api::Doors;
use crate::api::reply::Reply;
use crate::cases::{Case, Evidence, SCORE, Status, Verdict};
use crate::console::page::{self, Visitor};
use crate::domain::Timestamp;
use askama::Template;
use compact_str::CompactString;
use hyper::StatusCode;
use std::collections::{BTreeMap, BTreeSet};

/// How many cases stand where, and what became of those that a detector's version speaks in.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    by_status: BTreeMap<Status, usize>,
    /// By detector and version.
    pub by_detector: BTreeMap<(CompactString, u32), Tally>,
    /// There are more than are read for a count.
    pub more: bool,
}

/// Cases in which a detector's version speaks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    /// All of them.
    pub cases: usize,
    /// It was the strongest when the case was opened or reviewed.
    pub first: usize,
    /// The last review that stands says fraud.
    pub confirmed: usize,
    /// It says honest.
    pub dismissed: usize,
    /// It says wait.
    pub watched: usize,
}

impl Counts {
    /// What one case adds.
    pub(super) fn of_case(case: &Case) -> Self {
        let mut counts = Self::default();
        counts.take(case);
        counts
    }

    /// Adds others.
    pub(super) fn add(&mut self, other: &Self) {
        for (status, count) in &other.by_status {
            *self.by_status.entry(*status).or_insert(0) += count;
        }
        for (version, tally) in &other.by_detector {
            self.by_detector.entry(version.clone()).or_default().add(tally);
        }
    }

    fn take(&mut self, case: &Case) {
        *self.by_status.entry(case.status).or_insert(0) += 1;
        let verdict = case.last_review().map(|(_, review)| review.verdict);
        let found = |seen: &Evidence| (seen.detector.clone(), seen.version);
        let first = case.evidence.iter().find(|seen| seen.detector != SCORE).map(found);
        let all: BTreeSet<_> = case.evidence.iter().filter(|seen| seen.detector != SCORE).map(found).collect();
        for version in all {
            let is_first = first.as_ref() == Some(&version);
            let tally = self.by_detector.entry(version).or_default();
            tally.cases += 1;
            tally.first += usize::from(is_first);
            match verdict {
                Some(Verdict::Confirm) => tally.confirmed += 1,
                Some(Verdict::Dismiss) => tally.dismissed += 1,
                Some(Verdict::Watch) => tally.watched += 1,
                None => {}
            }
        }
    }
    /// How many have a status.
    pub(super) fn of(&self, status: Status) -> usize {
        self.by_status.get(&status).copied().unwrap_or(0)
    }
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.cases += other.cases;
        self.first += other.first;
        self.confirmed += other.confirmed;
        self.dismissed += other.dismissed;
        self.watched += other.watched;
    }
}

#[derive(Template)]
#[template(path = "counts.html", config = "src/console/askama.toml")]
struct CountsPart {
    counts: Line,
}

/// The counts as a line over the queue.
pub(super) struct Line {
    /// Wait for a review.
    pub open: usize,
    /// Are watched.
    pub watching: usize,
    /// Somebody works on them.
    pub taken: usize,
    /// There are more than were counted.
    pub more: bool,
}

/// The line as it is now.
pub(super) fn line(doors: &Doors, counts: &Counts, now: Timestamp) -> Line {
    let (open, watching) = (counts.of(Status::Open), counts.of(Status::Watching));
    Line { open, watching, taken: doors.console.taken.count(now), more: counts.more }
}

/// The line alone, for pages that ask for it again and again.
pub(in crate::console) async fn show(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let known = desk::known(doors, visitor.now).await?;
    Ok(page::page(StatusCode::OK, &CountsPart { counts: line(doors, &known.counts, visitor.now) }))
}

/// The counts of a moment ago.
pub(super) async fn counted(doors: &Doors, now: Timestamp) -> Result<Counts, Reply> {
    Ok(desk::known(doors, now).await?.counts.clone())
}
