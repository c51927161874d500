//! How the store and what follows it stand: the journal's end, the partitions of members, how far
//! screening is behind, and the jobs under way.

use crate::api::Doors;
use crate::api::reply::Reply;
use crate::console::page::{self, Chrome, Visitor};
use crate::console::words;
use crate::domain::Timestamp;
use crate::engine::PartitionState;
use crate::engine::again::JOBS_MAX;
use crate::journal::Position;
use askama::Template;
use hyper::StatusCode;
use std::collections::BTreeMap;

#[derive(Template)]
#[template(path = "state.html", config = "src/console/askama.toml")]
struct StatePage {
    chrome: Chrome,
    is_able: bool,
    facts: Vec<(&'static str, String)>,
    screening: Screening,
    jobs: Vec<(&'static str, usize)>,
    /// There may be more jobs than were counted.
    more_jobs: bool,
    partitions: usize,
    groups: Vec<Group>,
}

/// The follower there is.
struct Screening {
    state: &'static str,
    good: bool,
    passed: String,
    behind: u64,
    pass: String,
    waits: u64,
}

/// Partitions that stand alike.
struct Group {
    names: String,
    count: usize,
    marked: String,
    epoch: u32,
    is_taken: bool,
}

/// The page.
pub(in crate::console) async fn show(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let engine = &doors.engine;
    let mut jobs: BTreeMap<&'static str, usize> = BTreeMap::new();
    for (_, job) in engine.jobs().await? {
        *jobs.entry(job.words()).or_default() += 1;
    }
    let states = engine.partition_states();
    Ok(page::page(
        StatusCode::OK,
        &StatePage {
            chrome: visitor.chrome("state"),
            is_able: engine.is_able() && engine.is_current(),
            facts: vec![
                ("Store", if engine.is_shared() { "shared, in Redis" } else { "embedded" }.to_owned()),
                ("This process", format!("number {}", engine.journal_process())),
                ("Journal ends at", place(engine.journal_end())),
                ("Waits for a checkpoint", format!("{} KiB", engine.waiting_bytes() >> 10)),
                ("MIDs gone silent", engine.heard.silent().to_string()),
            ],
            screening: screening(doors, visitor.now),
            more_jobs: jobs.values().sum::<usize>() >= JOBS_MAX,
            jobs: jobs.into_iter().collect(),
            partitions: states.len(),
            groups: groups(&states),
        },
    ))
}

fn place(at: Position) -> String {
    format!("segment {}, byte {}", at.segment, at.offset)
}

fn screening(doors: &Doors, now: Timestamp) -> Screening {
    let follower = doors.engine.screening();
    let progress = follower.progress();
    let age_ms = progress.pass_at.map(|at| now.as_ms().saturating_sub(at.as_ms()));
    let is_fresh = age_ms.is_some_and(|age| age <= doors.engine.options.pass_age_ms_max);
    let (state, good) = match (doors.screener.settings().enabled, doors.screener.is_elsewhere(), is_fresh) {
        (false, ..) => ("off", false),
        (_, true, _) => ("in another process", true),
        (_, _, true) => ("up to date", true),
        (_, _, false) if progress.pass_at.is_none() => ("before its first pass", false),
        _ => ("late: money waits", false),
    };
    Screening {
        state,
        good,
        passed: place(progress.passed),
        behind: follower.lag_records(),
        pass: progress.pass_at.map_or_else(|| "none yet".to_owned(), |at| words::ago(at, now)),
        waits: follower.waits(),
    }
}

/// Partitions that stand alike in one line: mostly all of them.
fn groups(states: &[PartitionState]) -> Vec<Group> {
    let mut alike: BTreeMap<PartitionState, Vec<usize>> = BTreeMap::new();
    for (number, state) in states.iter().enumerate() {
        alike.entry(*state).or_default().push(number);
    }
    let group = |(state, numbers): (PartitionState, Vec<usize>)| Group {
        names: spans(&numbers),
        count: numbers.len(),
        marked: match state.marked_at {
            at if at == Timestamp::default() => "none yet".to_owned(),
            at => words::day(at),
        },
        epoch: state.epoch,
        is_taken: state.is_taken,
    };
    alike.into_iter().map(group).collect()
}

/// `0–3, 5, 7–9`.
fn spans(numbers: &[usize]) -> String {
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match spans.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => spans.push((*number, *number)),
        }
    }
    let text =
        |(first, last): (usize, usize)| if first == last { first.to_string() } else { format!("{first}–{last}") };
    spans.into_iter().map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_that_stand_alike_are_told_once() {
        let state = |day, is_taken| PartitionState { marked_at: Timestamp::start_of_day(day), epoch: 1, is_taken };
        let states = [state(1, true), state(1, true), state(2, true), state(1, false), state(1, true)];
        let told: Vec<(String, usize, bool)> =
            groups(&states).into_iter().map(|group| (group.names, group.count, group.is_taken)).collect();
        let expected = [("3", 1, false), ("0–1, 4", 3, true), ("2", 1, true)];
        assert_eq!(told, expected.map(|(names, count, taken)| (names.to_owned(), count, taken)));
    }
}
