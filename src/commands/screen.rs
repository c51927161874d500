//! `ringfence screen`: scores every member of a network given as files. Labels are for judging
//! only: they are read after the scores are made.

use super::Failure;
use super::network_files::{self, Bars, Label, NetworkArgs};
use crate::follow::pass::rounded;
use crate::graph::detectors::{Finding, detect};
use crate::graph::features::Table;
use crate::graph::found::Found;
use crate::graph::measure::{Figures, Interval, Judged, figures, intervals};
use crate::graph::network::Network;
use crate::graph::score::{Score, Scorer};
use crate::graph::seeds::Seeds;
use crate::graph::segments::{Controls, Line, Said, controls};
use hashbrown::HashMap;
use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Draws of communities behind an interval.
const DRAWS: usize = 400;
/// Seed of those draws.
const SEED: u64 = 1;

/// What can be said to `ringfence screen`.
#[derive(Debug, Clone, clap::Args)]
pub struct ScreenArgs {
    /// The network.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// `member,label`: what is already known, 1 bad, 0 good.
    #[arg(long, value_name = "FILE")]
    pub seeds: Option<PathBuf>,
    /// A model of `ringfence fit`, in place of the score that needs no labels.
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// `member,label`, for judging only: prints how right the scores were.
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Where the findings of the detectors go, one JSON document per line.
    #[arg(long, value_name = "FILE")]
    pub findings: Option<PathBuf>,
    /// Where the scores go: `member,score,standing,reasons`, highest first.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Scores every member.
///
/// # Errors
/// When a file cannot be read or written.
pub fn screen(args: &ScreenArgs) -> Result<(), Failure> {
    let started = Instant::now();
    let bars = Bars::new();
    let network = network_files::network(&args.network, &bars)?;
    let rows = network.rows_by_name();
    let seeds = match &args.seeds {
        Some(path) => Some(seeds_of(&network_files::labels(path, &bars)?, &rows, path)?),
        None => None,
    };
    let stage = bars.stage("looking for groups");
    let found = Found::of(&network);
    stage.set_message("taking figures");
    let table = Table::of(&found);
    let model = match &args.model {
        Some(path) => Some(network_files::read_model(path)?.model),
        None => None,
    };
    stage.set_message("looking for patterns");
    let findings = detect(&found, seeds.as_ref());
    let scorer = Scorer::new(&found, &table, model.as_ref(), seeds.as_ref(), &findings);
    stage.set_message("scoring");
    let mut scores: Vec<(usize, Score)> = (0..network.members.len()).map(|row| (row, scorer.score(row))).collect();
    let name = |row: usize| network.name(network.members.nodes[row]);
    scores.sort_by(|a, b| b.1.score.total_cmp(&a.1.score).then_with(|| name(a.0).cmp(name(b.0))));
    write_scores(&args.out, &network, &scores)?;
    if let Some(path) = &args.findings {
        write_findings(path, &network, &findings)?;
    }
    stage.finish_and_clear();
    let watched = scores.iter().filter(|(_, score)| score.watched).count();
    eprintln!(
        "{} members, {} links, {} nodes of shared infrastructure; {} findings, {watched} members to watch; scores in {}",
        network.members.len(),
        network.links.len(),
        found.shared.iter().filter(|&&shared| shared).count(),
        findings.len(),
        args.out.display()
    );
    print_segments(&network, &scores, seeds.as_ref());
    if let Some(path) = &args.labels {
        let labels = network_files::labels(path, &bars)?;
        let verdict = judge(&found, &scores, &labels, &rows, seeds.as_ref(), started);
        println!("{}", serde_json::to_string(&verdict)?);
    }
    Ok(())
}

/// Scores at which groups are compared, as the configuration that is compiled in has them: what opens a case,
/// and the share of honest ones above which nothing may be done by itself.
const OPEN_FROM: u16 = 550;
const ACT_ERROR_BASIS_POINTS_MAX: u16 = 50;

/// How many honest groups of each kind score high: all that no seed calls bad.
fn print_segments(network: &Network, scores: &[(usize, Score)], seeds: Option<&Seeds>) {
    let mut of_row = vec![0; network.members.len()];
    scores.iter().for_each(|(row, score)| of_row[*row] = rounded(score.score));
    let said = |row: usize| match seeds {
        Some(seeds) if seeds.bad.contains(&row) => Said::Fraud,
        Some(seeds) if seeds.good.contains(&row) => Said::Honest,
        _ => Said::Nothing,
    };
    let honest = Controls::of(&controls(network), |row| of_row[row], said);
    for line in honest.lines(|_| OPEN_FROM).into_iter().filter(|line| line.groups > 0) {
        let Line { segment, groups, above, .. } = line;
        let error = line.error_basis_points();
        let act = match honest.cut(segment, OPEN_FROM, ACT_ERROR_BASIS_POINTS_MAX) {
            Some(from) => format!("at most 0.5 from {from} on"),
            None => "too few to say from where on it is at most 0.5".to_owned(),
        };
        eprintln!(
            "{}: {above} of {groups} groups that no seed calls bad score {OPEN_FROM} or more: at most {}.{:02} percent; {act}",
            segment.as_str(),
            error / 100,
            error % 100
        );
    }
}

/// Seeds by row. One that no row has is a mistake in the file or in the network.
fn seeds_of(known: &HashMap<Box<str>, Label>, rows: &HashMap<&str, usize>, path: &Path) -> Result<Seeds, Failure> {
    let mut seeds = Seeds::default();
    let mut strangers = 0;
    for (name, label) in known {
        match rows.get(&**name) {
            Some(&row) if label.bad => drop(seeds.bad.insert(row)),
            Some(&row) => drop(seeds.good.insert(row)),
            None => strangers += 1,
        }
    }
    if seeds.bad.is_empty() && seeds.good.is_empty() {
        return Err(format!("{}: names no member of the network; write ids as in the links", path.display()).into());
    }
    if strangers > 0 {
        eprintln!("{}: {strangers} ids are no members of the network and were left out", path.display());
    }
    Ok(seeds)
}

fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    let file = File::create(path).map_err(|error| format!("{}: cannot be written: {error}", path.display()))?;
    Ok(BufWriter::new(file))
}

fn write_scores(path: &Path, network: &Network, scores: &[(usize, Score)]) -> Result<(), Failure> {
    let mut out = csv::Writer::from_writer(create(path)?);
    out.write_record(["member", "score", "standing", "reasons"])?;
    for (row, score) in scores {
        let reasons: Vec<&str> = score.reasons.iter().map(|reason| &*reason.words).collect();
        out.write_record([
            network.name(network.members.nodes[*row]),
            &format!("{:.6}", score.score),
            // Files hold nobody: a hold needs a review.
            if score.watched { "watched" } else { "clear" },
            &reasons.join("; "),
        ])?;
    }
    out.flush()?;
    Ok(())
}

/// A line of the findings.
#[derive(Serialize)]
struct FindingLine<'a> {
    detector: &'a str,
    version: u32,
    family: &'a str,
    strength: f64,
    words: &'a str,
    clears: &'a str,
    members: Vec<&'a str>,
    links: Vec<LinkLine<'a>>,
}

#[derive(Serialize)]
struct LinkLine<'a> {
    from: &'a str,
    to: &'a str,
    kind: &'a str,
}

fn write_findings(path: &Path, network: &Network, findings: &[Finding]) -> Result<(), Failure> {
    let mut out = create(path)?;
    for finding in findings {
        let link = |&place: &usize| {
            let link = &network.links[place];
            LinkLine { from: network.name(link.from), to: network.name(link.to), kind: network.word(link.kind) }
        };
        let line = FindingLine {
            detector: finding.detector.name,
            version: finding.detector.version,
            family: finding.detector.family,
            strength: finding.strength,
            words: &finding.words,
            clears: finding.detector.clears,
            members: finding.members.iter().map(|&row| network.name(network.members.nodes[row])).collect(),
            links: finding.links.iter().map(link).collect(),
        };
        serde_json::to_writer(&mut out, &line)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(())
}

/// How right the scores were.
#[derive(Serialize)]
struct Verdict {
    /// Labelled members that are scored, and bad ones among them.
    labelled: usize,
    bad: usize,
    /// Over those with a link that are no seeds: nothing can be read of the others.
    #[serde(flatten)]
    linked: Option<Figures>,
    auroc_95: Option<Interval>,
    recall_at_1_percent_95: Option<Interval>,
    judged: usize,
    /// Over all of them.
    everybody: Option<Figures>,
    /// Honest ones only from groups that were looked at, when the labels say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    reviewed_honest: Option<Figures>,
    /// Bad ones only where outsiders reported them, when the labels say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    reported_bad: Option<Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<network_files::GroupFigures>,
    wall_seconds: f64,
    peak_memory_bytes: Option<u64>,
}

#[expect(clippy::float_arithmetic, reason = "seconds for people")]
fn judge(
    found: &Found,
    scores: &[(usize, Score)],
    labels: &HashMap<Box<str>, Label>,
    rows: &HashMap<&str, usize>,
    seeds: Option<&Seeds>,
    started: Instant,
) -> Verdict {
    let label_of: HashMap<usize, &Label> =
        labels.iter().filter_map(|(name, label)| Some((*rows.get(&**name)?, label))).collect();
    let pick = |is_in: &dyn Fn(usize, &Label) -> bool| -> Vec<Judged> {
        let mut picked: Vec<(usize, Judged)> = scores
            .iter()
            .filter_map(|(row, score)| Some((*row, score, *label_of.get(row)?)))
            .filter(|(row, _, label)| is_in(*row, label))
            .map(|(row, score, label)| {
                let community = found.communities.of_row[row];
                (row, Judged { score: score.score, bad: label.bad, community })
            })
            .collect();
        picked.sort_unstable_by_key(|(row, _)| *row);
        picked.into_iter().map(|(_, judged)| judged).collect()
    };
    let is_seed = |row| seeds.is_some_and(|seeds| seeds.bad.contains(&row) || seeds.good.contains(&row));
    let linked = |row: usize| found.is_linked(row) && !is_seed(row);
    let judged = pick(&|row, _| linked(row));
    let (auroc_95, recall_95) = intervals(&judged, DRAWS, SEED).unzip();
    let of_row: Vec<(usize, f64)> = scores.iter().map(|(row, score)| (*row, score.score)).collect();
    Verdict {
        labelled: label_of.len(),
        bad: label_of.values().filter(|label| label.bad).count(),
        linked: figures(&judged),
        auroc_95,
        recall_at_1_percent_95: recall_95,
        judged: judged.len(),
        everybody: figures(&pick(&|row, _| !is_seed(row))),
        reviewed_honest: label_of
            .values()
            .any(|label| label.group.is_some())
            .then(|| figures(&pick(&|row, label| linked(row) && (label.bad || label.group.is_some()))))
            .flatten(),
        reported_bad: label_of
            .values()
            .any(|label| &*label.source == network_files::REPORTED)
            .then(|| {
                figures(&pick(&|row, label| linked(row) && (!label.bad || &*label.source == network_files::REPORTED)))
            })
            .flatten(),
        groups: network_files::group_figures(&of_row, &label_of),
        wall_seconds: (started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
        peak_memory_bytes: network_files::peak_memory_bytes(),
    }
}
