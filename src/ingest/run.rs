//! A whole file: pack after pack, what must come again is tried again, boundedly, and
//! after each pack it is written down how far we are.

use super::lines::{Line, Lines, Pack};
use super::tally::Tally;
use super::way::{NotTaken, Way};
use std::collections::VecDeque;
use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often lines are tried before the run stops in front of them.
const TRIES_MAX: u32 = 8;
const WAIT_LEAST: Duration = Duration::from_millis(100);
const WAIT_MOST: Duration = Duration::from_secs(10);

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// At the end of the file.
    Done,
    /// Somebody asked it to stop.
    Interrupted,
    /// The lines from this one on could not be taken, for this reason.
    Stopped {
        /// The first that is not done.
        line: u64,
        /// Why.
        why: String,
    },
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What became of the lines.
    pub tally: Tally,
    /// How it ended.
    pub end: End,
    /// Lines of the file that are done, from its beginning.
    pub line: u64,
}

/// Takes the rest of a file. `done` hears after each pack how far it is: lines and bytes.
///
/// # Errors
/// When the file cannot be read, or `done` fails.
pub async fn run<R: BufRead + Send + 'static>(
    way: &Way,
    lines: Lines<R>,
    stop: &Arc<AtomicBool>,
    mut done: impl FnMut(u64, u64) -> std::io::Result<()>,
) -> std::io::Result<Report> {
    let mut report = Report { tally: Tally::default(), end: End::Done, line: lines.line() };
    let mut lines = lines;
    loop {
        if stop.load(Ordering::Acquire) {
            report.end = End::Interrupted;
            return Ok(report);
        }
        // Reading blocks.
        let read = tokio::task::spawn_blocking(move || {
            let pack = lines.pack();
            (lines, pack)
        });
        let pack;
        (lines, pack) = read.await.map_err(std::io::Error::other)?;
        let Some(Pack { lines: given, too_long }) = pack? else { return Ok(report) };
        for line in too_long {
            report.tally.lose(line, "body_too_large", "", "the line is longer than a body may be".to_owned());
        }
        if let Err((line, why)) = take(way, given, &mut report.tally, stop).await {
            report.end = if stop.load(Ordering::Acquire) { End::Interrupted } else { End::Stopped { line, why } };
            return Ok(report);
        }
        report.line = lines.line();
        done(lines.line(), lines.byte())?;
    }
}

/// Takes a pack to its end; else the first line that was not taken, and why.
async fn take(way: &Way, given: Vec<Line>, tally: &mut Tally, stop: &AtomicBool) -> Result<(), (u64, String)> {
    let mut waiting = VecDeque::from([given]);
    let mut tries = 0;
    while let Some(pack) = waiting.pop_front() {
        let Some(first) = pack.first().map(|line| line.number) else { continue };
        let (again, wait, why) = match way.take(&pack).await {
            Ok(part) => {
                let numbered = |line: u64| {
                    let at = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
                    pack.get(at).map_or(first, |line| line.number)
                };
                let (part, later) = renumbered(part, numbered);
                tally.merge(part, 0);
                let again: Vec<Line> = pack.into_iter().filter(|line| later.contains(&line.number)).collect();
                (again, None, "the store does not take it now".to_owned())
            }
            Err(NotTaken::NotNow { why, seconds }) => (pack, seconds, why),
            Err(NotTaken::TooLarge) if pack.len() == 1 => {
                tally.lose(first, "body_too_large", "", "the line is longer than a body may be".to_owned());
                continue;
            }
            Err(NotTaken::TooLarge) => {
                let (front, back) = pack.split_at(pack.len() / 2);
                waiting.push_front(back.to_vec());
                waiting.push_front(front.to_vec());
                continue;
            }
            Err(NotTaken::Refused(why)) => return Err((first, why)),
        };
        let Some(first) = again.first().map(|line| line.number) else {
            tries = 0;
            continue;
        };
        tries += 1;
        if tries >= TRIES_MAX || stop.load(Ordering::Acquire) {
            return Err((first, why));
        }
        tracing::debug!(line = first, tries, why, "lines are tried again");
        let backed_off = WAIT_LEAST.saturating_mul(1 << tries);
        tokio::time::sleep(wait.map_or(backed_off, Duration::from_secs).clamp(WAIT_LEAST, WAIT_MOST)).await;
        waiting.push_front(again);
    }
    Ok(())
}

/// A pack's tally with the file's numbers, and the lines to give again.
fn renumbered(mut part: Tally, numbered: impl Fn(u64) -> u64) -> (Tally, Vec<u64>) {
    for listed in [&mut part.conflicts, &mut part.dead_letters, &mut part.lost] {
        for told in &mut listed.first {
            told.line = numbered(told.line);
        }
    }
    let later = std::mem::take(&mut part.later).into_iter().map(numbered).collect();
    (part, later)
}
