//! Fitting, and how well it does on communities it has not seen. Members of one community share
//! what is read from it, so a community is in one fold as a whole; random folds, which let a
//! model recognise the community, are only ever shown beside.

use super::boost::{Care, Example, fit};
use super::isotonic::Calibration;
use super::{Fitted, FittedOn, Model};
use crate::graph::features::Table;
use crate::graph::found::Found;
use crate::graph::measure::{Figures, Interval, Judged, below, figures, intervals};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Folds.
pub const FOLDS: usize = 5;
/// Draws of communities behind an interval.
const DRAWS: usize = 400;
/// Honest members that somebody looked at and cleared are the hard ones, and count twice.
const CLEARED_WEIGHT: f64 = 2.0;

/// The most that one member may stand for: a few would outweigh everything that was found by evidence.
const STANDS_FOR_MAX: u32 = 20;

/// What is known of a member that is fitted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Labelled {
    /// Its row.
    pub row: usize,
    /// Whether it is bad.
    pub bad: bool,
    /// Whether it was in a group that was reviewed.
    pub reviewed: bool,
    /// Chance chose that group, one in so many; 1 for what its evidence chose.
    pub one_in: u32,
}

impl Labelled {
    /// How much it counts: by the chance of being chosen. One that was drawn stands for those that were
    /// not, up to a bound.
    #[must_use]
    pub fn weight(&self) -> f64 {
        match self.one_in {
            0 | 1 if self.reviewed && !self.bad => CLEARED_WEIGHT,
            one_in => f64::from(one_in.clamp(1, STANDS_FOR_MAX)),
        }
    }
}

/// What came of judging across folds.
#[derive(Debug)]
pub struct HeldOut {
    /// Figures of each fold on its own.
    pub folds: Vec<Option<Figures>>,
    /// Members of each fold.
    pub sizes: Vec<usize>,
    /// All folds together.
    pub all: Option<Figures>,
    /// Intervals of AUROC and recall over communities.
    pub intervals: Option<(Interval, Interval)>,
    /// The score of each labelled member by the model that did not see it, in their order.
    pub scores: Vec<f64>,
}

/// Why there is nothing to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FitFault {
    /// Both sides are needed.
    #[error("{bad} bad and {good} good members with links are labelled; give at least {FEWEST} of each")]
    TooFew {
        /// Bad ones.
        bad: usize,
        /// Good ones.
        good: usize,
    },
    /// Folds are of communities.
    #[error("the labelled members are in {0} communities; at least {FOLDS} are needed to judge across them")]
    TooFewCommunities(usize),
}

/// Members of each label below which nothing can be said.
const FEWEST: usize = 20;

/// A model and how well it did.
#[derive(Debug)]
pub struct Outcome {
    /// The model, fitted on all.
    pub model: Model,
    /// Across folds of whole communities.
    pub by_community: HeldOut,
    /// Across folds of single members, for comparison only.
    pub at_random: HeldOut,
}

/// Fits on the labelled members that have a link.
///
/// # Errors
/// When there are too few of a label, or too few communities.
pub fn fit_model(found: &Found, table: &Table, labelled: &[Labelled], seed: u64) -> Result<Outcome, FitFault> {
    let bad = labelled.iter().filter(|one| one.bad).count();
    let good = labelled.len() - bad;
    if bad.min(good) < FEWEST {
        return Err(FitFault::TooFew { bad, good });
    }
    let community: Vec<u32> = labelled.iter().map(|one| found.communities.of_row[one.row]).collect();
    let (folds, communities) = community_folds(&community, seed);
    if communities < FOLDS {
        return Err(FitFault::TooFewCommunities(communities));
    }
    let examples: Vec<Example> =
        labelled.iter().map(|one| Example { row: one.row, bad: one.bad, weight: one.weight() }).collect();
    let by_community = judge(table, &examples, &folds, &community, seed);
    let at_random = judge(table, &examples, &random_folds(labelled.len(), seed), &community, seed);
    let pairs: Vec<(f64, bool)> = by_community.scores.iter().copied().zip(examples.iter().map(|one| one.bad)).collect();
    let model = Model {
        fitted: Fitted { additive: fit(table, &examples, &Care::default()), calibration: Calibration::fit(&pairs) },
        on: FittedOn {
            members: labelled.len(),
            bad,
            reviewed: labelled.iter().filter(|one| one.reviewed).count(),
            communities,
            folds: FOLDS,
            seed,
            held_out: by_community.all,
        },
    };
    Ok(Outcome { model, by_community, at_random })
}

/// The fold of each member: communities in a drawn order, each to the fold with the fewest
/// members so far. Also how many communities there are.
#[must_use]
pub fn community_folds(community: &[u32], seed: u64) -> (Vec<usize>, usize) {
    let count = community.iter().max().map_or(0, |&last| last as usize + 1);
    let mut sizes = vec![0_usize; count];
    for &one in community {
        sizes[one as usize] += 1;
    }
    let mut order: Vec<usize> = (0..count).filter(|&one| sizes[one] > 0).collect();
    shuffle(&mut order, seed);
    let mut fold_of = vec![0; count];
    let mut filled = [0_usize; FOLDS];
    for &one in &order {
        let fold = (0..FOLDS).min_by_key(|&fold| filled[fold]).expect("there are folds");
        fold_of[one] = fold;
        filled[fold] += sizes[one];
    }
    (community.iter().map(|&one| fold_of[one as usize]).collect(), order.len())
}

fn random_folds(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    shuffle(&mut order, seed);
    let mut folds = vec![0; count];
    for (place, member) in order.into_iter().enumerate() {
        folds[member] = place % FOLDS;
    }
    folds
}

fn shuffle(order: &mut [usize], seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for place in (1..order.len()).rev() {
        order.swap(place, below(&mut random, place + 1));
    }
}

/// Each fold scored by a model of the others. Two at a time: a fit takes seconds.
fn judge(table: &Table, examples: &[Example], folds: &[usize], community: &[u32], seed: u64) -> HeldOut {
    let scores_of = |fold: usize| {
        let others: Vec<Example> =
            examples.iter().zip(folds).filter(|(_, of)| **of != fold).map(|(one, _)| *one).collect();
        fit(table, &others, &Care::default()).scores(table)
    };
    let mut all: Vec<Vec<f64>> = Vec::new();
    let numbers: Vec<usize> = (0..FOLDS).collect();
    for two in numbers.chunks(2) {
        std::thread::scope(|scope| {
            let running: Vec<_> = two.iter().map(|&fold| scope.spawn(move || scores_of(fold))).collect();
            all.extend(running.into_iter().map(|one| one.join().expect("a fit does not panic")));
        });
    }
    let scores: Vec<f64> = examples.iter().zip(folds).map(|(one, &fold)| all[fold][one.row]).collect();
    let judged: Vec<Judged> = scores
        .iter()
        .zip(examples)
        .zip(community)
        .map(|((&score, one), &community)| Judged { score, bad: one.bad, community })
        .collect();
    let of_fold = |fold: usize| -> Vec<Judged> {
        judged.iter().zip(folds).filter(|(_, of)| **of == fold).map(|(one, _)| *one).collect()
    };
    HeldOut {
        folds: (0..FOLDS).map(|fold| figures(&of_fold(fold))).collect(),
        sizes: (0..FOLDS).map(|fold| of_fold(fold).len()).collect(),
        all: figures(&judged),
        intervals: intervals(&judged, DRAWS, seed),
        scores,
    }
}
