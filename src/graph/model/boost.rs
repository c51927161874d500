//! Fits the tables: second-order boosting of stumps on the logistic loss, each stump added to
//! its feature's table. Nothing is random.

use super::bins::{bin, edges};
use super::{Additive, Steps};
use crate::graph::features::{Sign, Table};

/// How long and how carefully.
#[derive(Debug, Clone, Copy)]
pub struct Care {
    /// Stumps.
    pub rounds: usize,
    /// Share of each best step that is taken.
    pub rate: f64,
    /// Pulls steps towards zero.
    pub ridge: f64,
    /// Weight that each side of a cut must have.
    pub weight_min: f64,
}

impl Default for Care {
    fn default() -> Self {
        Self { rounds: 300, rate: 0.1, ridge: 5.0, weight_min: 40.0 }
    }
}

/// A row to fit on.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// Its row in the table.
    pub row: usize,
    /// Its label.
    pub bad: bool,
    /// How much it counts.
    pub weight: f64,
}

/// Sums over the rows of a piece.
#[derive(Clone, Copy, Default)]
struct Sums {
    gradient: f64,
    curvature: f64,
    weight: f64,
}

impl Sums {
    fn add(self, other: Self) -> Self {
        Self {
            gradient: self.gradient + other.gradient,
            curvature: self.curvature + other.curvature,
            weight: self.weight + other.weight,
        }
    }

    fn less(self, other: Self) -> Self {
        Self {
            gradient: self.gradient - other.gradient,
            curvature: self.curvature - other.curvature,
            weight: self.weight - other.weight,
        }
    }

    fn step(self, ridge: f64) -> f64 {
        self.gradient / (self.curvature + ridge)
    }

    fn gain(self, ridge: f64) -> f64 {
        self.gradient * self.gradient / (self.curvature + ridge)
    }
}

/// The best stump so far.
struct Stump {
    gain: f64,
    feature: usize,
    /// Pieces 1 to this one are on the left.
    cut: usize,
    missing_left: bool,
    left: f64,
    right: f64,
}

/// Pieces a feature can have, the missing one included.
const PIECES_MAX: usize = 33;

/// Fits a table per feature.
#[must_use]
pub fn fit(table: &Table, examples: &[Example], care: &Care) -> Additive {
    let cuts: Vec<Vec<f64>> =
        table.columns.iter().map(|column| edges(examples.iter().map(|example| column[example.row]))).collect();
    let pieces: Vec<Vec<u8>> = table
        .columns
        .iter()
        .zip(&cuts)
        .map(|(column, edges)| {
            let piece = |example: &Example| u8::try_from(bin(edges, column[example.row])).expect("33 pieces");
            examples.iter().map(piece).collect()
        })
        .collect();
    let total = |bad: bool| -> f64 { examples.iter().filter(|one| one.bad == bad).map(|one| one.weight).sum() };
    let intercept = (total(true) / total(false)).ln();
    let mut steps: Vec<Vec<f64>> = cuts.iter().map(|edges| vec![0.0; edges.len() + 2]).collect();
    let mut scores = vec![intercept; examples.len()];
    let mut sums = vec![Sums::default(); examples.len()];
    for _ in 0..care.rounds {
        for ((sums, example), score) in sums.iter_mut().zip(examples).zip(&scores) {
            let chance = 1.0 / (1.0 + (-score).exp());
            let label = if example.bad { 1.0 } else { 0.0 };
            *sums = Sums {
                gradient: example.weight * (label - chance),
                curvature: example.weight * chance * (1.0 - chance),
                weight: example.weight,
            };
        }
        let mut best: Option<Stump> = None;
        for feature in 0..pieces.len() {
            let mut histogram = [Sums::default(); PIECES_MAX];
            for (&piece, &sums) in pieces[feature].iter().zip(&sums) {
                let place = &mut histogram[usize::from(piece)];
                *place = place.add(sums);
            }
            best_cut(&histogram[..steps[feature].len()], feature, table.features[feature].sign, care, &mut best);
        }
        let Some(stump) = best else { break };
        let side = |piece: usize| {
            let is_left = if piece == 0 { stump.missing_left } else { piece <= stump.cut };
            care.rate * if is_left { stump.left } else { stump.right }
        };
        for (piece, step) in steps[stump.feature].iter_mut().enumerate() {
            *step += side(piece);
        }
        for (score, &piece) in scores.iter_mut().zip(&pieces[stump.feature]) {
            *score += side(usize::from(piece));
        }
    }
    let tables = table.features.iter().zip(cuts).zip(steps);
    Additive { intercept, tables: tables.map(|((feature, edges), steps)| Steps { feature, edges, steps }).collect() }
}

/// Looks at every cut of one feature, a missing value on either side.
fn best_cut(histogram: &[Sums], feature: usize, sign: Sign, care: &Care, best: &mut Option<Stump>) {
    let missing = histogram[0];
    let known = histogram[1..].iter().fold(Sums::default(), |sum, &piece| sum.add(piece));
    let all = known.add(missing);
    let mut below = Sums::default();
    for (cut, &piece) in histogram[..histogram.len() - 1].iter().enumerate() {
        if cut > 0 {
            below = below.add(piece);
        }
        for missing_left in [true, false] {
            let left = if missing_left { below.add(missing) } else { below };
            let right = all.less(left);
            if left.weight < care.weight_min || right.weight < care.weight_min {
                continue;
            }
            let (step_left, step_right) = (left.step(care.ridge), right.step(care.ridge));
            // A missing value may stand on either side; only the known ones have a direction.
            let breaks_sign = cut > 0
                && match sign {
                    Sign::More => step_right < step_left,
                    Sign::Less => step_right > step_left,
                    Sign::Free => false,
                };
            let gain = left.gain(care.ridge) + right.gain(care.ridge) - all.gain(care.ridge);
            if !breaks_sign && best.as_ref().is_none_or(|best| gain > best.gain) {
                *best = Some(Stump { gain, feature, cut, missing_left, left: step_left, right: step_right });
            }
        }
    }
}
