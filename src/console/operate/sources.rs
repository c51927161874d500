//! Every source: whether it is heard, what it sent by day against what it says, and why messages
//! were turned away.

use crate::api::Doors;
use crate::api::health::{self, DayView, HealthView};
use crate::api::reply::Reply;
use crate::console::page::{self, Chrome, Visitor};
use crate::console::words;
use askama::Template;
use hyper::StatusCode;
use std::collections::BTreeMap;

#[derive(Template)]
#[template(path = "sources.html", config = "src/console/askama.toml")]
struct SourcesPage {
    chrome: Chrome,
    rows: Vec<Row>,
    letters: u64,
}

struct Row {
    name: String,
    format: &'static str,
    state: &'static str,
    last: String,
    habit: String,
    failures: Vec<(String, u64)>,
    days: Vec<DayRow>,
}

struct DayRow {
    day: String,
    events: u64,
    outcomes: Vec<(String, u64)>,
    said: &'static str,
}

/// The page.
pub(in crate::console) async fn show(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let mut sources: Vec<_> = doors.sources.values().collect();
    sources.sort_by_key(|source| source.index);
    let mut rows = Vec::with_capacity(sources.len());
    for source in sources {
        let view = health::view_of(doors, source, None, None)?;
        rows.push(row(view, source.format.as_str(), visitor));
    }
    let letters = u64::try_from(doors.engine.dead_letters(0, LETTERS_COUNTED_MAX).await?.len()).unwrap_or(u64::MAX);
    Ok(page::page(StatusCode::OK, &SourcesPage { chrome: visitor.chrome("sources"), rows, letters }))
}

/// Dead letters that are counted for the page.
const LETTERS_COUNTED_MAX: usize = 100;

fn row(view: HealthView, format: &'static str, visitor: &Visitor<'_>) -> Row {
    Row {
        format,
        state: view.silence.state,
        last: view.last_delivery_at.map_or_else(|| "never".to_owned(), |at| words::ago(at, visitor.now)),
        habit: view.silence.habit_seconds.map_or_else(|| "being learned".to_owned(), words::span),
        failures: failures(view.signature_failures),
        days: view.days.iter().rev().map(day_row).collect(),
        name: view.source,
    }
}

fn failures(all: BTreeMap<String, u64>) -> Vec<(String, u64)> {
    all.into_iter().filter(|(_, count)| *count > 0).map(|(reason, count)| (words::plain(&reason), count)).collect()
}

fn day_row(day: &DayView) -> DayRow {
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    let each = day.received.iter().flat_map(|received| &received.outcomes).chain(&day.other_messages);
    each.for_each(|(outcome, count)| *outcomes.entry(words::plain(outcome)).or_default() += count);
    DayRow {
        day: day.day.to_string(),
        events: day.received.iter().map(|received| received.count).sum(),
        outcomes: outcomes.into_iter().collect(),
        said: match day.agrees {
            None => "nothing said",
            Some(true) => "agrees",
            Some(false) => "differs",
        },
    }
}
