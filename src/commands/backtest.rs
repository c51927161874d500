//! `ringfence backtest`: what another threshold, a fitted model or a detector's version would have
//! found in a period that is over, read from the journals of a stopped service or from a copy of them.
//! It writes nothing.

use super::network_files::{Bars, read_model};
use super::{ConfigArgs, Failure};
use crate::cases::triage::NO_BOUND;
use crate::clock::Clock;
use crate::config::{ModelState, Settings};
use crate::domain::Timestamp;
use crate::follow::backtest::{Asked, BacktestError, Outcome, known, run};
use crate::journal::disk::RealDisk;
use crate::journal::{Position, ReadError, read_from};
use crate::record::{self, Record};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Records read from a journal at a time.
const PAGE: usize = 1_024;
/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;

/// What can be said to `ringfence backtest`.
#[derive(Debug, Clone, clap::Args)]
pub struct BacktestArgs {
    /// Which store, and its policy where nothing else is said.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Journals to read, in place of the configured one; of a shared store those of all processes.
    #[arg(long, num_args = 1.., value_name = "DIR")]
    pub journal: Vec<PathBuf>,
    /// From when on cases count: RFC 3339, or a day.
    #[arg(long, value_name = "TIME")]
    pub from: String,
    /// Until when.
    #[arg(long, value_name = "TIME")]
    pub to: String,
    /// In place of `screening.case_score_min`. (0..1000)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub score_min: Option<u16>,
    /// In place of `screening.case_families_min`. (1..10)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=10))]
    pub families_min: Option<u8>,
    /// A model of `ringfence fit`, live, in place of the configured one.
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Only cases in which this detector speaks, even one that was withdrawn, or this rule (`rule:ID`), even while
    /// it was in shadow.
    #[arg(long, value_name = "NAME", requires = "version")]
    pub detector: Option<String>,
    /// The detector's version.
    #[arg(long, value_name = "V", requires = "detector")]
    pub version: Option<u32>,
    /// Hours between two looks at everybody.
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=8784))]
    pub every_hours: u16,
    /// One JSON document in place of the table.
    #[arg(long)]
    pub json: bool,
}

/// Runs it and prints what it found.
///
/// # Errors
/// When what was asked cannot be, or a journal cannot be read.
pub fn backtest(args: &BacktestArgs) -> Result<(), Failure> {
    let settings = args.config.settings()?;
    let asked = args.asked(&settings)?;
    asked.check(Clock::Machine.now()).map_err(|fault| format!("--{}", fault.to_string().replacen('_', "-", 1)))?;
    let dirs = if args.journal.is_empty() { vec![settings.journal.dir] } else { args.journal.clone() };
    let mut journals = dirs.iter().map(|dir| Reading::open(dir)).collect::<Result<Vec<_>, _>>()?;
    let bars = Bars::new();
    let stage = bars.stage("reading");
    let mut tell = |progress: crate::follow::backtest::Progress| {
        stage.set_message(format!(
            "{} records, {} of at most {} passes",
            progress.records, progress.passes, progress.passes_max
        ));
        true
    };
    let outcome = run(&asked, &mut || merged(&mut journals), &mut tell)?;
    stage.finish_and_clear();
    if args.json {
        println!("{}", serde_json::to_string(&outcome)?);
    } else {
        print(&outcome);
    }
    Ok(())
}

impl BacktestArgs {
    fn asked(&self, settings: &Settings) -> Result<Asked, Failure> {
        let mut policy = settings.screening.triage.clone();
        if let Some(score_min) = self.score_min {
            // What is asked for is tried, whatever honest groups say of it; the outcome tells what they say.
            (policy.score_min, policy.open_error_max) = (score_min, NO_BOUND);
        }
        policy.families_min = self.families_min.map_or(policy.families_min, usize::from);
        let live = settings.screening.model.as_ref().filter(|model| model.state == ModelState::Live);
        let model = match &self.model {
            Some(path) => Some(Arc::new(read_model(path)?)),
            None => live.map(|model| Arc::clone(&model.named)),
        };
        let detector = match (&self.detector, self.version) {
            (Some(name), Some(version)) => {
                known(name, version, model.as_deref())?;
                Some((name.as_str().into(), version))
            }
            _ => None,
        };
        let every_ms = i64::from(self.every_hours) * HOUR_MS;
        Ok(Asked { from: time("from", &self.from)?, to: time("to", &self.to)?, every_ms, policy, model, detector })
    }
}

/// A time, or the beginning of a day, UTC.
fn time(field: &str, text: &str) -> Result<Timestamp, Failure> {
    let parsed = Timestamp::parse(text).or_else(|_| Timestamp::parse(&format!("{text}T00:00:00Z")));
    Ok(parsed.map_err(|_| format!("--{field}: `{text}` is no time; such as 2026-10-01 or 2026-10-01T08:00:00Z"))?)
}

/// A journal that nobody writes, or as far as it goes now.
struct Reading {
    dir: PathBuf,
    at: Position,
    end: Position,
    ready: VecDeque<Record>,
}

impl Reading {
    fn open(dir: &Path) -> Result<Self, Failure> {
        let place = dir.display();
        let listed = std::fs::read_dir(dir).map_err(|error| format!("{place}: cannot be read: {error}"))?;
        let number = |name: &str| name.strip_suffix(".seg")?.parse::<u64>().ok();
        let segments = listed.flatten().filter_map(|file| Some((number(file.file_name().to_str()?)?, file)));
        let mut segments: Vec<(u64, std::fs::DirEntry)> = segments.collect();
        segments.sort_by_key(|(number, _)| *number);
        let (Some((first, _)), Some((last, file))) = (segments.first(), segments.last()) else {
            return Err(format!("{place}: holds no journal; name the folder with the `.seg` files").into());
        };
        let at = Position { segment: *first, offset: 0 };
        let end = Position { segment: *last, offset: file.metadata()?.len() };
        Ok(Self { dir: dir.to_owned(), at, end, ready: VecDeque::new() })
    }

    fn fill(&mut self) -> Result<(), BacktestError> {
        while self.ready.is_empty() && self.at < self.end {
            let page = match read_from(&RealDisk, &self.dir, self.at, self.end, PAGE) {
                Ok(page) => page,
                // A torn tail was never acknowledged.
                Err(ReadError::Broken { segment, offset, .. }) if segment == self.end.segment => {
                    if (Position { segment, offset }) == self.at {
                        self.end = self.at;
                        return Ok(());
                    }
                    self.end = Position { segment, offset };
                    continue;
                }
                Err(error) => return Err(BacktestError::Read(Box::new(error))),
            };
            self.at = if page.next > self.at { page.next } else { self.end };
            let records: Result<Vec<Record>, _> = page.entries.iter().map(|one| record::decode(&one.record)).collect();
            self.ready.extend(records.map_err(|error| BacktestError::Read(Box::new(error)))?);
        }
        Ok(())
    }
}

/// Records of all journals by time.
fn merged(journals: &mut [Reading]) -> Result<Option<Vec<Record>>, BacktestError> {
    let mut page = Vec::with_capacity(PAGE);
    while page.len() < PAGE {
        for journal in journals.iter_mut() {
            journal.fill()?;
        }
        let heads = journals.iter().enumerate();
        let first = heads.filter_map(|(place, one)| Some((one.ready.front()?.envelope.at, place))).min();
        let Some((_, place)) = first else { break };
        page.extend(journals[place].ready.pop_front());
    }
    Ok((!page.is_empty()).then_some(page))
}

fn print(outcome: &Outcome) {
    println!("With this policy: {}", outcome.words);
    for (what, became) in [("would be opened", outcome.would_open), ("were opened", outcome.were_opened)] {
        println!(
            "  {what:<16}{:>6} cases: {} confirmed, {} dismissed, {} watched, {} undecided, {} that nobody has looked at",
            became.cases, became.confirmed, became.dismissed, became.watched, became.undecided, became.unseen
        );
    }
    for of in outcome.segments.iter().filter(|of| of.groups > 0 || of.would_open.cases > 0) {
        let error = format!("{}.{:02}", of.error_basis_points / 100, of.error_basis_points % 100);
        println!(
            "  {:<12}{:>6} cases, {} confirmed, {} dismissed; {} of {} honest groups score {} or more: at most {error} percent",
            of.segment,
            of.would_open.cases,
            of.would_open.confirmed,
            of.would_open.dismissed,
            of.above,
            of.groups,
            of.open_from
        );
    }
    if !outcome.missed.is_empty() {
        let missed: Vec<String> = outcome.missed.iter().map(u64::to_string).collect();
        println!("  confirmed and missed: {}", missed.join(", "));
    }
    for line in &outcome.cases {
        let case = line.case.map_or_else(|| "no case".to_owned(), |case| format!("case {case}"));
        let (at, detectors) = (line.opened_at, line.detectors.join(", "));
        let score = line.score.map_or_else(|| "?".to_owned(), |score| score.to_string());
        println!("  {at}  score {:>4}  {:>4} members  {:<10} {case}: {detectors}", score, line.members, line.became);
    }
    println!("{} records, {} passes", outcome.read.records, outcome.read.passes);
}
