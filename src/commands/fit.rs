//! `ringfence fit`: fits the explained model from labels and says how well it does on
//! communities it has not seen.

use super::network_files::{self, Bars, Label, NetworkArgs};
use super::{ConfigArgs, Failure};
use crate::app;
use crate::cases::{Chosen, Verdict};
use crate::clock::Clock;
use crate::follow::screening::Screener;
use crate::graph::features::Table;
use crate::graph::found::Found;
use crate::graph::measure::{Figures, Interval, Judged, figures, intervals};
use crate::graph::model::fit::{HeldOut, Labelled, fit_model};
use crate::graph::network::Network;
use hashbrown::HashMap;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Cases read at a time.
const CASES_AT_ONCE: usize = 500;
/// Draws of communities behind an interval.
const DRAWS: usize = 400;

/// What can be said to `ringfence fit`.
#[derive(Debug, Clone, clap::Args)]
pub struct FitArgs {
    /// From this store's own network and reviews in place of files; the service is stopped.
    #[arg(long, conflicts_with_all = ["links", "labels", "members", "infrastructure"])]
    pub reviews: bool,
    /// Which store.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// `from,to,kind,at[,weight]`
    #[arg(long, value_name = "FILE", required_unless_present = "reviews")]
    pub links: Option<PathBuf>,
    /// `member,joined_at,purchases,spend_minor,…`: any columns of numbers.
    #[arg(long, value_name = "FILE")]
    pub members: Option<PathBuf>,
    /// `member,kind`: nodes that are shared services. Without it they are found.
    #[arg(long, value_name = "FILE")]
    pub infrastructure: Option<PathBuf>,
    /// `member,label`, 1 bad, 0 good; may have `source` and `group`, the group that was reviewed.
    #[arg(long, value_name = "FILE", required_unless_present = "reviews")]
    pub labels: Option<PathBuf>,
    /// Seed of the folds and of the draws behind the intervals.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where the model goes.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

impl FitArgs {
    /// From files.
    #[must_use]
    pub fn of_files(network: NetworkArgs, labels: PathBuf, out: PathBuf) -> Self {
        let NetworkArgs { links, members, infrastructure } = network;
        let config = ConfigArgs { config: None, store: None };
        let (links, labels) = (Some(links), Some(labels));
        Self { reviews: false, config, links, members, infrastructure, labels, seed: 1, out }
    }

    /// From a store's reviews.
    #[must_use]
    pub fn of_reviews(config: ConfigArgs, out: PathBuf) -> Self {
        Self { reviews: true, config, links: None, members: None, infrastructure: None, labels: None, seed: 1, out }
    }
}

/// One line of figures, for programs.
#[derive(Serialize)]
struct Line {
    members: usize,
    bad: usize,
    communities: usize,
    #[serde(flatten)]
    by_community: Option<Figures>,
    auroc_95: Option<Interval>,
    recall_at_1_percent_95: Option<Interval>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reviewed_honest: Option<Measured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reported_bad: Option<Measured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<network_files::GroupFigures>,
    random_folds_for_comparison: Option<Figures>,
    wall_seconds: f64,
    peak_memory_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Measured {
    #[serde(flatten)]
    figures: Figures,
    auroc_95: Option<Interval>,
    recall_at_1_percent_95: Option<Interval>,
}

/// Fits and writes the model.
///
/// # Errors
/// When a file cannot be read or written, or there are too few labels.
#[expect(clippy::float_arithmetic, reason = "seconds for people")]
pub fn fit(args: &FitArgs) -> Result<(), Failure> {
    let started = Instant::now();
    let bars = Bars::new();
    let (network, labels, place) = match (&args.links, &args.labels) {
        (Some(links), Some(path)) => {
            let (members, infrastructure) = (args.members.clone(), args.infrastructure.clone());
            let files = NetworkArgs { links: links.clone(), members, infrastructure };
            let labels = network_files::labels(path, &bars)?;
            (network_files::network(&files, &bars)?, labels, path.display().to_string())
        }
        _ => of_reviews(&args.config)?,
    };
    let rows = network.rows_by_name();
    let stage = bars.stage("looking for groups");
    let found = Found::of(&network);
    stage.set_message("taking figures");
    let table = Table::of(&found);
    let label_of: HashMap<usize, &Label> =
        labels.iter().filter_map(|(name, label)| Some((*rows.get(&**name)?, label))).collect();
    let labelled: Vec<Labelled> = (0..network.members.len())
        .filter(|&row| found.is_linked(row))
        .filter_map(|row| {
            let label = label_of.get(&row)?;
            Some(Labelled { row, bad: label.bad, reviewed: label.group.is_some(), one_in: label.one_in })
        })
        .collect();
    stage.set_message("fitting");
    let outcome = fit_model(&found, &table, &labelled, args.seed).map_err(|fault| format!("{place}: {fault}"))?;
    stage.finish_and_clear();
    std::fs::write(&args.out, outcome.model.write())
        .map_err(|error| format!("{}: cannot be written: {error}", args.out.display()))?;
    println!("Held out, by fold of whole communities");
    print_folds(&outcome.by_community);
    let measured = |is_in: &dyn Fn(&Label) -> bool| -> Option<Measured> {
        let picked: Vec<Judged> = labelled
            .iter()
            .zip(&outcome.by_community.scores)
            .filter(|(one, _)| is_in(label_of[&one.row]))
            .map(|(one, &score)| Judged { score, bad: one.bad, community: found.communities.of_row[one.row] })
            .collect();
        let (auroc_95, recall_at_1_percent_95) = intervals(&picked, DRAWS, args.seed).unzip();
        Some(Measured { figures: figures(&picked)?, auroc_95, recall_at_1_percent_95 })
    };
    let any = |is_in: &dyn Fn(&Label) -> bool| label_of.values().any(|label| is_in(label));
    let reported = |label: &Label| &*label.source == network_files::REPORTED;
    let (auroc_95, recall_at_1_percent_95) = outcome.by_community.intervals.unzip();
    let of_row: Vec<(usize, f64)> =
        labelled.iter().zip(&outcome.by_community.scores).map(|(one, &score)| (one.row, score)).collect();
    let line = Line {
        members: outcome.model.on.members,
        bad: outcome.model.on.bad,
        communities: outcome.model.on.communities,
        by_community: outcome.by_community.all,
        auroc_95,
        recall_at_1_percent_95,
        reviewed_honest: any(&|label| label.group.is_some())
            .then(|| measured(&|label| label.bad || label.group.is_some()))
            .flatten(),
        reported_bad: any(&reported).then(|| measured(&|label| !label.bad || reported(label))).flatten(),
        groups: network_files::group_figures(&of_row, &label_of),
        random_folds_for_comparison: outcome.at_random.all,
        wall_seconds: (started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
        peak_memory_bytes: network_files::peak_memory_bytes(),
    };
    println!("{}", serde_json::to_string(&line)?);
    Ok(())
}

/// A network, what is known of its members, and where from.
type Learnt = (Network, HashMap<Box<str>, Label>, String);

/// The network and the labels of a store's own reviews, with how groups came to be looked at: a
/// detector's precision is what its reviews confirm.
fn of_reviews(config: &ConfigArgs) -> Result<Learnt, Failure> {
    let settings = config.settings()?;
    let screener = Arc::new(Screener::new(settings.screening.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let found = runtime.block_on(app::beside_service(&settings, Clock::Machine, async |doors| {
        let engine = Arc::clone(&doors.engine);
        let reader = Arc::clone(&screener);
        let (store, runtime) = (Arc::clone(&engine), tokio::runtime::Handle::current());
        tokio::task::spawn_blocking(move || reader.read_all(&store, &runtime)).await??;
        let mut cases = Vec::new();
        let mut after = None;
        loop {
            let (page, next) = engine.cases(after, CASES_AT_ONCE, |case| !case.reviews.is_empty()).await?;
            cases.extend(page);
            after = next;
            if after.is_none() {
                return Ok::<_, Failure>(cases);
            }
        }
    }))??;
    let (network, said) = screener.reviewed(Clock::Machine.now())?;
    let mut origins: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut group_of: HashMap<Box<str>, (u32, Box<str>, u32)> = HashMap::new();
    for (group, case) in (0..).zip(&found) {
        for review in case.reviews.iter().filter(|review| !review.undone) {
            let origin = match &review.chosen {
                Chosen::Detector { name, version } => format!("{name} {version}"),
                Chosen::Random => "random".to_owned(),
                // As files of labels say it.
                Chosen::Report => network_files::REPORTED.to_owned(),
            };
            for member in &review.members {
                group_of
                    .insert(member.as_str().into(), (group, origin.as_str().into(), case.origin.one_in.unwrap_or(1)));
            }
            let (confirmed, all) = origins.entry(origin).or_default();
            (*confirmed, *all) = (*confirmed + u64::from(review.verdict == Verdict::Confirm), *all + 1);
        }
    }
    println!("Reviews by how the group came to be looked at");
    for (origin, (confirmed, all)) in &origins {
        println!("  {origin:<28}{confirmed:>5} of {all:>5} confirmed");
    }
    let label = |(name, bad): (String, bool)| {
        let label = match group_of.get(name.as_str()).cloned() {
            Some((group, source, one_in)) => Label { bad, source, group: Some(group), one_in },
            None => Label { bad, source: Box::default(), group: None, one_in: 1 },
        };
        (name.into_boxed_str(), label)
    };
    Ok((network, said.into_iter().map(label).collect(), "reviews of this store".to_owned()))
}

fn print_folds(held_out: &HeldOut) {
    println!("  fold  members   AUROC  average precision  recall at 1 % false positives");
    for (number, (figures, size)) in held_out.folds.iter().zip(&held_out.sizes).enumerate() {
        match figures {
            Some(figures) => println!(
                "  {:>4}  {size:>7}  {:.4}  {:>17.4}  {:>29.4}",
                number + 1,
                figures.auroc,
                figures.average_precision,
                figures.recall_at_1_percent
            ),
            None => println!("  {:>4}  {size:>7}  only one kind of label", number + 1),
        }
    }
}
