//! The explained model: a score is an intercept and one step per feature, in log odds, so the
//! explanation is the score itself.

pub mod bins;
pub mod boost;
pub mod file;
pub mod fit;
pub mod isotonic;
pub mod named;

use super::features::{Feature, Table};
use super::measure::Figures;
use bins::bin;
use isotonic::Calibration;

/// One feature's table: values are cut at the edges, each piece has its step.
#[derive(Debug, Clone, PartialEq)]
pub struct Steps {
    /// The feature.
    pub feature: &'static Feature,
    /// Where values are cut, rising.
    pub edges: Vec<f64>,
    /// Log odds: of a missing value, then of each piece.
    pub steps: Vec<f64>,
}

impl Steps {
    /// The step of each value.
    pub fn contributions<'a>(&'a self, values: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        values.iter().map(|&value| self.steps[bin(&self.edges, value)])
    }
}

/// The tables together.
#[derive(Debug, Clone, PartialEq)]
pub struct Additive {
    /// Log odds before any feature is known.
    pub intercept: f64,
    /// Per feature.
    pub tables: Vec<Steps>,
}

impl Additive {
    /// Log odds of each row.
    ///
    /// # Panics
    /// When the table lacks a feature that it was fitted on.
    #[must_use]
    pub fn scores(&self, table: &Table) -> Vec<f64> {
        let mut scores = vec![self.intercept; table.columns.first().map_or(0, Vec::len)];
        for steps in &self.tables {
            let (_, column) = table.named(steps.feature.name).expect("fitted on our features");
            for (score, step) in scores.iter_mut().zip(steps.contributions(column)) {
                *score += step;
            }
        }
        scores
    }
}

/// What scores members.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Log odds.
    pub additive: Additive,
    /// Log odds as a chance.
    pub calibration: Calibration,
}

/// What a model was fitted on, kept with it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct FittedOn {
    /// Labelled members with links.
    pub members: usize,
    /// Bad ones among them.
    pub bad: usize,
    /// Those from reviewed groups.
    pub reviewed: usize,
    /// Communities they are in.
    pub communities: usize,
    /// Folds of whole communities that it was judged by.
    pub folds: usize,
    /// Seed of the folds.
    pub seed: u64,
    /// Figures over those folds.
    pub held_out: Option<Figures>,
}

/// A model with its provenance.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// What scores.
    pub fitted: Fitted,
    /// What it was fitted on.
    pub on: FittedOn,
}

#[cfg(test)]
mod tests;
