//! A source's health: what it sent by day, type and currency beside what it says it
//! sent ([`totals`]), and whether it is quieter than its own habit ([`habit`]).
//!
//! It is no part of the books. What it counts lies in memory and in small files beside the
//! journal, one per source, written with each checkpoint and at an orderly stop. After
//! `kill -9` or power loss what was counted since the last writing is missing from the
//! counts (never from the books), and the span in which that may be so is
//! remembered as a gap and shown. A source's own totals are on disk before they are answered.
//!
//! Redelivery is recognised by the books for events of members, and for all others by a
//! bounded memory of the last deliveries, which a restart empties: an event that
//! concerns nobody and comes again long after is counted twice.

pub mod day;
pub mod habit;
pub mod totals;

use crate::domain::{SourceName, Timestamp};
use crate::kept;
use crate::pipeline::{Received, Refused};
use crate::record;
use crate::telemetry::WebhookOutcome;
use day::Day;
use habit::{Habit, Silence};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use totals::{Control, ControlTotal, Counted, Stored, Totals};

/// Deliveries whose identity is remembered, of all sources together: eight bytes each.
const RECENT: usize = 1 << 17;
/// Gaps of a source that are remembered.
const GAPS_MAX: usize = 32;
/// Most bytes of one file: 400 days of 256 types and currencies with all outcomes.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// The file that is there while we run: found at a start, the end was no orderly one.
const RUNNING: &str = "running";

/// Bounds that are configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthOptions {
    /// Days that are told apart.
    pub days_kept: u32,
    /// Seconds of silence that are never alarmed.
    pub silence_seconds_min: u64,
}

impl Default for HealthOptions {
    fn default() -> Self {
        Self { days_kept: 35, silence_seconds_min: 900 }
    }
}

/// A span of which counts may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The last writing before.
    pub from: Timestamp,
    /// The start after.
    pub to: Timestamp,
}

/// Why health cannot be kept or found again.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The file system.
    #[error("the counts of sources at {path} cannot be used")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// All that is known of one source.
#[derive(Debug, Clone, Default)]
pub struct SourceHealth {
    /// What it sent.
    pub totals: Totals,
    /// When it sends.
    pub habit: Habit,
    /// Spans of which counts may be missing, oldest first.
    pub gaps: Vec<Gap>,
    /// Whether it was quieter than its habit when somebody last looked.
    silent: bool,
    changed: bool,
}

#[derive(Serialize, Deserialize)]
struct File {
    source: SourceName,
    totals: Stored,
    habit: Habit,
    gaps: Vec<Gap>,
}

/// The health of all sources.
pub struct Health {
    /// Bounds.
    pub options: HealthOptions,
    sources: Vec<(SourceName, Mutex<SourceHealth>)>,
    recent: Box<[AtomicU64]>,
    dir: Option<PathBuf>,
}

/// A source that became silent, or is heard again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turned {
    /// Which.
    pub source: SourceName,
    /// Silent from now on; else heard again.
    pub silent: bool,
    /// As it is now.
    pub silence: Silence,
}

impl Health {
    /// Health that begins now and is kept in memory alone.
    #[must_use]
    pub fn new(names: &[SourceName], options: HealthOptions, now: Timestamp) -> Self {
        let fresh = || {
            let mut health = SourceHealth::default();
            health.habit.listens(now);
            Mutex::new(health)
        };
        let recent = (0..RECENT).map(|_| AtomicU64::new(0)).collect();
        Self { options, sources: names.iter().map(|name| (name.clone(), fresh())).collect(), recent, dir: None }
    }

    /// Health that goes on from what lies in a folder, and is kept there.
    ///
    /// # Errors
    /// [`HealthError`], with the file.
    pub fn open(dir: &Path, names: &[SourceName], options: HealthOptions, now: Timestamp) -> Result<Self, HealthError> {
        let io_at = |path: &Path| {
            let path = path.to_owned();
            move |source| HealthError::Io { path, source }
        };
        std::fs::create_dir_all(dir).map_err(io_at(dir))?;
        let mut health = Self::new(names, options, now);
        let running = dir.join(RUNNING);
        let broken_off = kept::read(&running, 1024).map_err(io_at(&running))?;
        for (name, kept_here) in &mut health.sources {
            let path = file_of(dir, name);
            let Some(bytes) = kept::read(&path, FILE_BYTES_MAX).map_err(io_at(&path))? else { continue };
            let here = kept_here.get_mut().unwrap_or_else(PoisonError::into_inner);
            let file = match record::decode::<File>(&bytes) {
                Ok(file) => file,
                // Counts are no books: a person may want the file, the service does not wait for it.
                Err(error) => {
                    let aside = path.with_extension("broken");
                    std::fs::rename(&path, &aside).map_err(io_at(&path))?;
                    tracing::error!(source = %name, aside = %aside.display(), %error, "the counts of a source cannot be read and begin anew");
                    here.gaps.push(Gap { from: Timestamp::default(), to: now });
                    here.changed = true;
                    continue;
                }
            };
            here.totals = Totals::from(file.totals);
            here.habit = file.habit;
            here.habit.listens(now);
            here.gaps = file.gaps;
        }
        if let Some(text) = broken_off {
            let from = std::str::from_utf8(&text).ok().and_then(|text| Timestamp::parse(text.trim()).ok());
            for (_, kept_here) in &mut health.sources {
                let here = kept_here.get_mut().unwrap_or_else(PoisonError::into_inner);
                if here.gaps.len() == GAPS_MAX {
                    here.gaps.remove(0);
                }
                here.gaps.push(Gap { from: from.unwrap_or_default(), to: now });
                here.changed = true;
            }
        }
        health.dir = Some(dir.to_owned());
        health.save(now)?;
        Ok(health)
    }

    fn of(&self, source: usize) -> MutexGuard<'_, SourceHealth> {
        self.sources[source].1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of what is known of a source, by its place.
    #[must_use]
    pub fn look(&self, source: usize) -> SourceHealth {
        self.of(source).clone()
    }

    /// How quiet a source is.
    #[must_use]
    pub fn silence(&self, source: usize, now: Timestamp) -> Silence {
        self.of(source).habit.silence(now, self.options.silence_seconds_min)
    }

    /// Whether a source was silent when somebody last looked ([`Health::turned`]).
    #[must_use]
    pub fn is_silent(&self, source: usize) -> bool {
        self.of(source).silent
    }

    /// The source delivered by itself, which is what its habit is made of: a webhook that was
    /// proven, a page that was pulled. A file that an operator gives is no delivery.
    pub fn delivered(&self, source: usize, now: Timestamp) {
        let mut health = self.of(source);
        health.habit.delivered(now);
        health.changed = true;
    }

    /// Counts what was received, however it came.
    pub fn note(&self, source: usize, received: &Received, now: Timestamp) {
        let today = Day::of(now);
        let mut health = self.of(source);
        for (heard, result) in received.heard.iter().zip(&received.results) {
            let outcome = match result {
                Ok(outcome) => outcome.outcome,
                Err(Refused::Impossible { .. }) => WebhookOutcome::Kept,
                Err(Refused::Conflict { .. }) => WebhookOutcome::Conflict,
                // It comes again, and counts then.
                Err(Refused::NotNow(_)) => continue,
            };
            let known = heard.kind.is_some() && self.is_recent(source, heard.identity);
            let first = !known && !matches!(outcome, WebhookOutcome::Duplicate | WebhookOutcome::Conflict);
            let counted =
                Counted { kind: heard.kind, amount: heard.amount, occurred_at: heard.occurred_at, outcome, first };
            health.totals.count(&counted, today, self.options.days_kept);
        }
        health.changed = true;
    }

    /// Whether this identity was among the last ones; it is from now on.
    fn is_recent(&self, source: usize, identity: u64) -> bool {
        // 0 stands for "nothing here yet".
        let identity = identity.wrapping_add(source as u64).max(1);
        let slot = usize::try_from(identity % RECENT as u64).unwrap_or(0);
        self.recent[slot].swap(identity, Ordering::Relaxed) == identity
    }

    /// Takes what a source says of a day. `None` when the version is another than the caller
    /// rests on: then with the version it has.
    ///
    /// # Errors
    /// The version it has, when the caller rests on another.
    pub fn say(
        &self,
        source: usize,
        day: Day,
        totals: Vec<ControlTotal>,
        if_match: Option<u64>,
        now: Timestamp,
    ) -> Result<Control, u64> {
        let mut health = self.of(source);
        let has = health.totals.days.get(&day).and_then(|day| day.control.as_ref()).map_or(0, |said| said.version);
        if if_match.is_some_and(|given| given != has) {
            return Err(has);
        }
        let control = health.totals.say(day, totals, now, self.options.days_kept).clone();
        health.changed = true;
        Ok(control)
    }

    /// Looks at every source's silence; says what has turned since the last look.
    pub fn turned(&self, now: Timestamp) -> Vec<Turned> {
        let mut turned = Vec::new();
        for (name, health) in &self.sources {
            let mut health = health.lock().unwrap_or_else(PoisonError::into_inner);
            let silence = health.habit.silence(now, self.options.silence_seconds_min);
            if silence.is_alarming() != health.silent {
                health.silent = silence.is_alarming();
                turned.push(Turned { source: name.clone(), silent: health.silent, silence });
            }
        }
        turned
    }

    /// Writes down what has changed. Blocks.
    ///
    /// # Errors
    /// [`HealthError`]; what could not be written is tried again the next time.
    pub fn save(&self, now: Timestamp) -> Result<(), HealthError> {
        let Some(dir) = &self.dir else { return Ok(()) };
        for index in 0..self.sources.len() {
            self.save_one(index)?;
        }
        let path = dir.join(RUNNING);
        kept::replace(&path, now.to_string().as_bytes()).map_err(|source| HealthError::Io { path, source })
    }

    /// Writes one source down, if it has changed. Blocks.
    ///
    /// # Errors
    /// [`HealthError`].
    pub fn save_one(&self, source: usize) -> Result<(), HealthError> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let name = &self.sources[source].0;
        let file = {
            let mut health = self.of(source);
            if !std::mem::take(&mut health.changed) {
                return Ok(());
            }
            let (totals, habit, gaps) = (Stored::from(&health.totals), health.habit.clone(), health.gaps.clone());
            File { source: name.clone(), totals, habit, gaps }
        };
        let path = file_of(dir, name);
        kept::replace(&path, &record::encode(&file)).map_err(|error| {
            self.of(source).changed = true;
            HealthError::Io { path, source: error }
        })
    }

    /// Writes everything down for the last time: an orderly end leaves no gap. Blocks.
    ///
    /// # Errors
    /// [`HealthError`].
    pub fn close(&self, now: Timestamp) -> Result<(), HealthError> {
        self.save(now)?;
        let Some(dir) = &self.dir else { return Ok(()) };
        let path = dir.join(RUNNING);
        std::fs::remove_file(&path).map_err(|source| HealthError::Io { path, source })
    }
}

/// Names of sources are fit for file names: lower-case letters, digits, `-`, `_` and `.`.
fn file_of(dir: &Path, name: &SourceName) -> PathBuf {
    dir.join(format!("{name}.counts"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EventKind;
    use crate::pipeline::{Heard, Outcome};

    fn received(outcomes: &[(WebhookOutcome, u64)], now: Timestamp) -> Received {
        let outcome = |outcome: WebhookOutcome| Outcome {
            event: None,
            outcome,
            purchase: None,
            member: None,
            rewards: Vec::new(),
            refusals: Vec::new(),
        };
        Received {
            batch: true,
            results: outcomes.iter().map(|(word, _)| Ok(outcome(*word))).collect(),
            heard: outcomes
                .iter()
                .map(|(_, identity)| Heard {
                    kind: Some(EventKind::Clearing),
                    amount: None,
                    occurred_at: now,
                    identity: *identity,
                })
                .collect(),
        }
    }

    #[test]
    fn counts_survive_a_stop_and_a_kill_leaves_a_gap() {
        let dir = std::env::temp_dir().join(format!("ringfence-health-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let names = [SourceName::new("visa-eu").unwrap(), SourceName::new("other").unwrap()];
        let now = Timestamp::parse("2026-11-21T12:00:00Z").unwrap();
        let open = |now| Health::open(&dir, &names, HealthOptions::default(), now).unwrap();
        let health = open(now);
        use WebhookOutcome::{Credited, Duplicate, NoOffer};
        health.note(0, &received(&[(Credited, 1), (NoOffer, 2), (NoOffer, 2), (Duplicate, 1)], now), now);
        health.delivered(0, now);
        let count = |health: &Health| {
            let totals = health.look(0).totals;
            totals.days.values().flat_map(|day| day.cells.values()).map(|cell| cell.count).sum::<u64>()
        };
        assert_eq!(count(&health), 2, "the second and the last are redeliveries");
        health.close(now.plus_ms(1_000)).unwrap();
        let health = open(now.plus_ms(60_000));
        assert_eq!((count(&health), health.look(0).gaps.len()), (2, 0));
        assert_eq!(health.look(0).habit.last(), Some(now));
        assert_eq!(count(&health), 2);
        // Killed: what was counted after the last writing is missing, and said to be.
        health.note(0, &received(&[(Credited, 7)], now), now);
        drop(health);
        let health = open(now.plus_ms(90_000));
        assert_eq!(count(&health), 2);
        assert_eq!(health.look(0).gaps, [Gap { from: now.plus_ms(60_000), to: now.plus_ms(90_000) }]);
        health.close(now.plus_ms(91_000)).unwrap();
        // A file that is not ours is put aside, and what it counted is said to be missing.
        std::fs::write(file_of(&dir, &names[0]), [9, 9]).unwrap();
        let health = open(now.plus_ms(95_000));
        assert_eq!(count(&health), 0);
        assert_eq!(health.look(0).gaps, [Gap { from: Timestamp::default(), to: now.plus_ms(95_000) }]);
        assert!(dir.join("visa-eu.broken").exists());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn silence_is_told_once_and_its_end_too() {
        let names = [SourceName::new("visa-eu").unwrap()];
        let begin = Timestamp::parse("2026-10-01T00:00:00Z").unwrap();
        let health = Health::new(&names, HealthOptions::default(), begin);
        let mut now = begin;
        for _ in 0..24 * 24 {
            now = now.plus_ms(3_600_000);
            health.delivered(0, now);
            assert!(health.turned(now).is_empty());
        }
        assert!(health.turned(now.plus_ms(5_000_000)).is_empty());
        let turned = |now| health.turned(now).into_iter().map(|turned| turned.silent).collect::<Vec<_>>();
        assert_eq!(turned(now.plus_ms(6_000_000)), [true], "an hour and a half is the habit of an hourly source");
        assert!(health.turned(now.plus_ms(7_000_000)).is_empty() && health.is_silent(0));
        health.delivered(0, now.plus_ms(7_500_000));
        assert_eq!(turned(now.plus_ms(7_500_000)), [false]);
    }

    #[test]
    fn what_a_source_says_has_versions() {
        let names = [SourceName::new("visa-eu").unwrap()];
        let now = Timestamp::parse("2026-11-21T12:00:00Z").unwrap();
        let health = Health::new(&names, HealthOptions::default(), now);
        let say = |if_match| health.say(0, Day::of(now), Vec::new(), if_match, now).map(|control| control.version);
        assert_eq!([say(None), say(Some(1)), say(Some(1)), say(Some(0))], [Ok(1), Ok(2), Err(2), Err(2)]);
    }
}
