//! The model as a document: its tables, its calibration, and what it was fitted on.

use super::isotonic::Calibration;
use super::{Additive, Fitted, FittedOn, Model, Steps};
use crate::graph::features::{Feature, Sign};
use serde::{Deserialize, Serialize};

/// The version of the document that is written and read.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    fitted_on: FittedOn,
    intercept: f64,
    features: Vec<FeatureDocument>,
    calibration: Calibration,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FeatureDocument {
    name: String,
    family: String,
    direction: String,
    edges: Vec<f64>,
    /// Of a missing value, then of each piece between the edges.
    steps: Vec<f64>,
}

/// What is wrong with a model's document.
#[derive(Debug, thiserror::Error)]
pub enum ModelFault {
    /// It is not such a document.
    #[error("is no model; make one with `ringfence fit`")]
    Unreadable(#[source] serde_json::Error),
    /// It is of another version.
    #[error("`version` is {0}, this program reads {VERSION}; fit it again")]
    Version(u32),
    /// A feature that this program does not have.
    #[error("`features`: `{0}` is no feature of this program; fit the model again")]
    Feature(String),
    /// A table that is none.
    #[error("`features`: `{0}`: the edges must rise, and there must be two more steps than edges; fit the model again")]
    Table(String),
    /// A calibration that is none.
    #[error("`calibration`: scores must not fall, nor chances, one per score; fit the model again")]
    Calibration,
}

fn direction(sign: Sign) -> &'static str {
    match sign {
        Sign::More => "more",
        Sign::Less => "less",
        Sign::Free => "free",
    }
}

impl Model {
    /// As text.
    ///
    /// # Panics
    /// Never: every number of a fitted model is finite.
    #[must_use]
    pub fn write(&self) -> String {
        let feature = |table: &Steps| FeatureDocument {
            name: table.feature.name.to_owned(),
            family: table.feature.family.to_owned(),
            direction: direction(table.feature.sign).to_owned(),
            edges: table.edges.clone(),
            steps: table.steps.clone(),
        };
        let document = Document {
            version: VERSION,
            fitted_on: self.on.clone(),
            intercept: self.fitted.additive.intercept,
            features: self.fitted.additive.tables.iter().map(feature).collect(),
            calibration: self.fitted.calibration.clone(),
        };
        serde_json::to_string_pretty(&document).expect("numbers and words")
    }

    /// From text; `features` are those of this program.
    ///
    /// # Errors
    /// When it is no model, or one of another program's features.
    pub fn read(text: &str, features: &[&'static Feature]) -> Result<Self, ModelFault> {
        let document: Document = serde_json::from_str(text).map_err(ModelFault::Unreadable)?;
        if document.version != VERSION {
            return Err(ModelFault::Version(document.version));
        }
        let mut tables = Vec::new();
        for said in document.features {
            let known = features.iter().find(|known| known.name == said.name);
            let feature = *known.ok_or_else(|| ModelFault::Feature(said.name.clone()))?;
            if !rises(&said.edges) || said.steps.len() != said.edges.len() + 2 {
                return Err(ModelFault::Table(said.name));
            }
            tables.push(Steps { feature, edges: said.edges, steps: said.steps });
        }
        let calibration = document.calibration;
        let falls = |values: &[f64]| values.windows(2).any(|pair| pair[0] > pair[1]);
        let unlike = calibration.scores.len() != calibration.chances.len();
        if unlike || falls(&calibration.scores) || falls(&calibration.chances) {
            return Err(ModelFault::Calibration);
        }
        let additive = Additive { intercept: document.intercept, tables };
        Ok(Self { fitted: Fitted { additive, calibration }, on: document.fitted_on })
    }
}

fn rises(values: &[f64]) -> bool {
    values.windows(2).all(|pair| pair[0] < pair[1])
}
