//! Networks, labels and seeds read from files, as `screen` and `fit` take them. A fault names
//! the file, the line, the column and what to do.

use super::Failure;
use crate::graph::measure::{self, Interval};
use crate::graph::model::named::NamedModel;
use crate::graph::network::{Builder, Network, NetworkFault};
use crate::graph::stats;
use hashbrown::HashMap;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The files of a network, as said on the command line.
#[derive(Debug, Clone, clap::Args)]
pub struct NetworkArgs {
    /// `from,to,kind,at[,weight]`
    #[arg(long, value_name = "FILE")]
    pub links: PathBuf,
    /// `member,joined_at,purchases,spend_minor,…`: any columns of numbers.
    #[arg(long, value_name = "FILE")]
    pub members: Option<PathBuf>,
    /// `member,kind`: nodes that are shared services. Without it they are found.
    #[arg(long, value_name = "FILE")]
    pub infrastructure: Option<PathBuf>,
}

/// What is wrong in a file.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// It cannot be opened.
    #[error("{file}: cannot be opened")]
    Opening {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// A row is no row.
    #[error("{file}: cannot be read as comma-separated values with one header line")]
    Reading {
        /// The file.
        file: String,
        /// Why; names the line.
        source: csv::Error,
    },
    /// A column that must be there is not.
    #[error("{file}: line 1: there is no column `{column}`; the header must have {wanted}")]
    NoColumn {
        /// The file.
        file: String,
        /// The missing one.
        column: &'static str,
        /// All that must be there.
        wanted: &'static str,
    },
    /// A field does not say what it must.
    #[error("{file}: line {line}: column `{column}`: {problem}")]
    Field {
        /// The file.
        file: String,
        /// Counted from 1, the header included.
        line: u64,
        /// The column.
        column: String,
        /// What is wrong and what to write.
        problem: String,
    },
    /// There are more nodes or kinds than fit.
    #[error("{file}: line {line}: {source}")]
    Network {
        /// The file.
        file: String,
        /// The line.
        line: u64,
        /// What does not fit.
        source: NetworkFault,
    },
}

/// A file being read.
struct Table {
    file: String,
    reader: csv::Reader<Box<dyn Read>>,
    header: Vec<String>,
    row: csv::StringRecord,
}

impl Table {
    fn open(path: &Path, bars: &Bars) -> Result<Self, FileFault> {
        let file = path.display().to_string();
        let opened = File::open(path).map_err(|source| FileFault::Opening { file: file.clone(), source })?;
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bars.file(opened));
        let header = reader.headers().map_err(|source| FileFault::Reading { file: file.clone(), source })?;
        // Spreadsheets begin a file with a byte order mark.
        let header = header.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
        Ok(Self { file, reader, header, row: csv::StringRecord::new() })
    }

    fn next(&mut self) -> Result<bool, FileFault> {
        let file = &self.file;
        self.reader.read_record(&mut self.row).map_err(|source| FileFault::Reading { file: file.clone(), source })
    }

    fn place(&self, column: &str) -> Option<usize> {
        self.header.iter().position(|name| name == column)
    }

    fn must(&self, column: &'static str, wanted: &'static str) -> Result<usize, FileFault> {
        self.place(column).ok_or_else(|| FileFault::NoColumn { file: self.file.clone(), column, wanted })
    }

    /// The text of a column; a column that is not there is empty everywhere.
    fn text(&self, place: Option<usize>) -> &str {
        place.and_then(|place| self.row.get(place)).unwrap_or("")
    }

    fn line(&self) -> u64 {
        self.row.position().map_or(0, csv::Position::line)
    }

    fn wrong(&self, place: usize, problem: String) -> FileFault {
        let column = self.header.get(place).cloned().unwrap_or_default();
        FileFault::Field { file: self.file.clone(), line: self.line(), column, problem }
    }

    fn name(&self, place: usize) -> Result<&str, FileFault> {
        match self.text(Some(place)) {
            "" => Err(self.wrong(place, "is empty; write an id".to_owned())),
            name => Ok(name),
        }
    }

    fn number(&self, place: Option<usize>) -> Result<Option<f64>, FileFault> {
        let Some(place) = place else { return Ok(None) };
        match self.text(Some(place)) {
            "" => Ok(None),
            text => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Some(number)),
                _ => Err(self.wrong(place, format!("`{text}` is no number; write digits, or leave it empty"))),
            },
        }
    }

    fn time(&self, place: Option<usize>) -> Result<Option<u32>, FileFault> {
        let Some(place) = place else { return Ok(None) };
        let text = self.text(Some(place));
        if text.is_empty() {
            return Ok(None);
        }
        let seconds = text.parse::<i64>().ok().or_else(|| Some(text.parse::<Timestamp>().ok()?.as_second()));
        let fits = seconds.and_then(|seconds| u32::try_from(seconds).ok()).filter(|&seconds| seconds != u32::MAX);
        fits.map(Some).ok_or_else(|| {
            let how = "is no time between 1970 and 2106; write RFC 3339 (2026-01-31T12:00:00Z) or unix seconds";
            self.wrong(place, format!("`{text}` {how}, or leave it empty"))
        })
    }

    fn fits<T>(&self, taken: Result<T, NetworkFault>) -> Result<T, FileFault> {
        taken.map_err(|source| FileFault::Network { file: self.file.clone(), line: self.line(), source })
    }
}

/// Reads a network.
///
/// # Errors
/// At the first thing that is wrong.
pub fn network(args: &NetworkArgs, bars: &Bars) -> Result<Network, FileFault> {
    let mut builder = Builder::new();
    links(&args.links, bars, &mut builder)?;
    if let Some(path) = &args.members {
        members(path, bars, &mut builder)?;
    }
    if let Some(path) = &args.infrastructure {
        let mut table = Table::open(path, bars)?;
        let place = table.must("member", "`member`")?;
        while table.next()? {
            builder.infrastructure(table.name(place)?);
        }
    }
    Ok(builder.build())
}

fn links(path: &Path, bars: &Bars, builder: &mut Builder) -> Result<(), FileFault> {
    const WANTED: &str = "`from`, `to` and `kind`, and may have `at` and `weight`";
    let mut table = Table::open(path, bars)?;
    let (from, to) = (table.must("from", WANTED)?, table.must("to", WANTED)?);
    let kind = table.must("kind", WANTED)?;
    let (at, weight) = (table.place("at"), table.place("weight"));
    while table.next()? {
        let weight = table.number(weight)?.unwrap_or(1.0);
        let at = table.time(at)?;
        // Seven digits of a weight are enough.
        let taken = builder.link(table.name(from)?, table.name(to)?, table.name(kind)?, at, weight as f32);
        table.fits(taken)?;
    }
    Ok(())
}

fn members(path: &Path, bars: &Bars, builder: &mut Builder) -> Result<(), FileFault> {
    let mut table = Table::open(path, bars)?;
    let member = table.must("member", "`member`, and may have `joined_at` and columns of numbers")?;
    let joined = table.place("joined_at");
    let others: Vec<usize> =
        (0..table.header.len()).filter(|&place| place != member && Some(place) != joined).collect();
    builder.columns(others.iter().map(|&place| table.header[place].as_str()));
    let mut values = Vec::new();
    while table.next()? {
        values.clear();
        for &place in &others {
            values.push(table.number(Some(place))?.unwrap_or(f64::NAN));
        }
        let taken = builder.member(table.name(member)?, table.time(joined)?, &values);
        table.fits(taken)?;
    }
    Ok(())
}

/// What a label file says of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// 1 in the file.
    pub bad: bool,
    /// How it came to be known, when the file says.
    pub source: Box<str>,
    /// The reviewed group it was in, when the file says so.
    pub group: Option<u32>,
    /// Chance chose the group, one in so many: it stands for the others.
    pub one_in: u32,
}

/// Reads labels or seeds, by member.
///
/// # Errors
/// At the first thing that is wrong.
pub fn labels(path: &Path, bars: &Bars) -> Result<HashMap<Box<str>, Label>, FileFault> {
    const WANTED: &str = "`member` and `label`";
    let mut table = Table::open(path, bars)?;
    let (member, label) = (table.must("member", WANTED)?, table.must("label", WANTED)?);
    let (source, group) = (table.place("source"), table.place("group"));
    let mut labels = HashMap::new();
    while table.next()? {
        let bad = match table.text(Some(label)) {
            "1" => true,
            "0" => false,
            other => return Err(table.wrong(label, format!("`{other}` is no label; write 1 for bad or 0 for good"))),
        };
        let said = Label { bad, source: table.text(source).into(), group: table.text(group).parse().ok(), one_in: 1 };
        let name = table.name(member)?;
        if labels.insert(name.into(), said).is_some() {
            return Err(table.wrong(member, format!("`{name}` has a label already; keep one line of it")));
        }
    }
    Ok(labels)
}

/// The source of a label that somebody outside reported.
pub const REPORTED: &str = "reported";
/// Members of a group whose mean says something.
const GROUP_MEMBERS_MIN: usize = 8;
/// Cleared groups that may be flagged: one in twelve.
const CLEARED_PER_FLAGGED: usize = 12;
/// Draws of groups behind the interval.
const GROUP_DRAWS: usize = 2_000;

/// How reviewed groups are told apart by the mean score of their members.
#[derive(Debug, serde::Serialize)]
pub struct GroupFigures {
    /// Groups of eight or more whose members are all bad.
    eliminated: usize,
    /// Groups of eight or more whose members are all honest.
    cleared: usize,
    /// Cleared ones above the cut.
    cleared_flagged: usize,
    /// Share of the eliminated ones above the cut.
    eliminated_flagged: f64,
    /// 95 of 100 draws of groups lie within.
    eliminated_flagged_95: Option<Interval>,
}

/// A reviewed group.
#[derive(Default)]
struct Group {
    members: usize,
    bad: usize,
    /// Of those of its members that have one.
    scores: Vec<f64>,
}

/// Of scores by row; nothing when the labels name no groups of both kinds.
#[must_use]
pub fn group_figures(scores: &[(usize, f64)], label_of: &HashMap<usize, &Label>) -> Option<GroupFigures> {
    let mut groups: BTreeMap<u32, Group> = BTreeMap::new();
    for label in label_of.values() {
        if let Some(group) = label.group {
            let group = groups.entry(group).or_default();
            group.members += 1;
            group.bad += usize::from(label.bad);
        }
    }
    for (row, score) in scores {
        let group = label_of.get(row).and_then(|label| groups.get_mut(&label.group?));
        group.into_iter().for_each(|group| group.scores.push(*score));
    }
    let large = groups.values().filter(|group| group.members >= GROUP_MEMBERS_MIN && !group.scores.is_empty());
    let of_one_kind = large.filter(|group| group.bad == 0 || group.bad == group.members);
    let (eliminated, cleared): (Vec<_>, Vec<_>) = of_one_kind.partition(|group| group.bad > 0);
    let means = |groups: &[&Group]| -> Vec<f64> {
        groups.iter().map(|group| stats::mean(group.scores.iter().copied())).collect()
    };
    let (eliminated, cleared) = (means(&eliminated), means(&cleared));
    let flagged = cleared.len() / CLEARED_PER_FLAGGED;
    let share = share_flagged(&eliminated, &cleared)?;
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut draw =
        |from: &[f64]| -> Vec<f64> { (0..from.len()).map(|_| from[measure::below(&mut random, from.len())]).collect() };
    let draws = (0..GROUP_DRAWS).filter_map(|_| share_flagged(&draw(&eliminated), &draw(&cleared))).collect();
    Some(GroupFigures {
        eliminated: eliminated.len(),
        cleared: cleared.len(),
        cleared_flagged: flagged,
        eliminated_flagged: share,
        eliminated_flagged_95: measure::interval(draws),
    })
}

/// The share above the highest cleared score that is not flagged.
#[expect(clippy::float_arithmetic, reason = "a share of groups")]
fn share_flagged(eliminated: &[f64], cleared: &[f64]) -> Option<f64> {
    let mut highest = cleared.to_vec();
    highest.sort_unstable_by(|a, b| b.total_cmp(a));
    let cut = *highest.get(cleared.len() / CLEARED_PER_FLAGGED)?;
    let flagged = eliminated.iter().filter(|&&mean| mean > cut).count();
    (!eliminated.is_empty()).then(|| flagged as f64 / eliminated.len() as f64)
}

/// The most memory this process had, where the system says so.
#[must_use]
pub fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
}

/// A model of a file.
///
/// # Errors
/// When it cannot be read, or is none of this program's.
pub fn read_model(path: &Path) -> Result<NamedModel, Failure> {
    let place = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{place}: cannot be opened: {error}"))?;
    let name = path.file_name().map_or_else(|| place.to_string(), |name| name.to_string_lossy().into_owned());
    Ok(NamedModel::read(&name, &text).map_err(|fault| match std::error::Error::source(&fault) {
        Some(cause) => format!("{place}: {fault}: {cause}"),
        None => format!("{place}: {fault}"),
    })?)
}

/// Progress on stderr, shown only to people.
#[derive(Debug, Default)]
pub struct Bars;

impl Bars {
    /// Bars for this process; `indicatif` hides them when stderr is no terminal.
    #[must_use]
    pub fn new() -> Self {
        Self
    }

    /// A stage without an end that is known.
    #[must_use]
    pub fn stage(&self, what: &'static str) -> ProgressBar {
        let bar = ProgressBar::new_spinner().with_message(what);
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }

    fn file(&self, file: File) -> Box<dyn Read> {
        let length = file.metadata().map_or(0, |about| about.len());
        let style = ProgressStyle::with_template("reading {bar:40} {bytes}/{total_bytes} {eta}");
        let bar = ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Box::new(bar.wrap_read(file))
    }
}
