//! How many cases wait, are had and are decided, as a line over the queue.

use super::desk;
use crate::api::Doors;
use crate::api::detectors::Counts;
use crate::api::reply::Reply;
use crate::cases::Status;
use crate::console::page::{self, Visitor};
use crate::domain::Timestamp;
use askama::Template;
use hyper::StatusCode;

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
