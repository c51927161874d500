//! How many cases wait, are had and are decided: counted for everybody together and at most every
//! few seconds, whatever number of people look at it.

use crate::api::Doors;
use crate::api::reply::Reply;
use crate::cases::Status;
use crate::console::page::{self, Visitor};
use crate::domain::Timestamp;
use askama::Template;
use hyper::StatusCode;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How old a count may be.
const FRESH_MS: i64 = 5_000;
/// Cases that are read at a time.
const PAGE: usize = 200;

/// The last count.
#[derive(Debug, Default)]
pub struct Counted(Mutex<Option<(Timestamp, Counts)>>);

/// How many cases stand where.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    by_status: BTreeMap<Status, usize>,
    /// There are more than are read for a count.
    pub more: bool,
}

impl Counts {
    /// How many have a status.
    pub(super) fn of(&self, status: Status) -> usize {
        self.by_status.get(&status).copied().unwrap_or(0)
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
pub(super) async fn line(doors: &Doors, now: Timestamp) -> Result<Line, Reply> {
    let counts = counted(doors, now).await?;
    let (open, watching) = (counts.of(Status::Open), counts.of(Status::Watching));
    Ok(Line { open, watching, taken: doors.console.taken.count(now), more: counts.more })
}

/// The line alone, for pages that ask for it again and again.
pub(in crate::console) async fn show(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    Ok(page::page(StatusCode::OK, &CountsPart { counts: line(doors, visitor.now).await? }))
}

async fn counted(doors: &Doors, now: Timestamp) -> Result<Counts, Reply> {
    let kept = || doors.console.counted.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, counts)) = kept().as_ref().filter(|(at, _)| now < at.plus_ms(FRESH_MS)) {
        return Ok(counts.clone());
    }
    let by_status = Mutex::new(BTreeMap::new());
    let count = |case: &crate::cases::Case| {
        *by_status.lock().unwrap_or_else(PoisonError::into_inner).entry(case.status).or_insert(0) += 1;
        false
    };
    let (_, next) = doors.engine.cases(None, PAGE, count).await?;
    let by_status = by_status.into_inner().unwrap_or_else(PoisonError::into_inner);
    let counts = Counts { by_status, more: next.is_some() };
    *kept() = Some((now, counts.clone()));
    Ok(counts)
}
