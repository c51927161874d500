//! A fitted model with the name and the version that it goes by: the version is the hash of its
//! file, so that two processes that say the same one use the same one.

use super::Model;
use super::file::ModelFault;
use crate::graph::features::all;
use sha2::{Digest, Sha256};

/// The detector that evidence of a fitted model names.
pub const FITTED_MODEL: &str = "fitted-model";

/// A model and what it goes by.
#[derive(Debug, Clone)]
pub struct NamedModel {
    /// Its file's name.
    pub name: String,
    /// SHA-256 of its file, in hex.
    pub hash: String,
    /// The hash's first 32 bits, as evidence and withdrawals say it.
    pub version: u32,
    /// The model.
    pub model: Model,
}

/// Two are the same when their files are.
impl PartialEq for NamedModel {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}
impl Eq for NamedModel {}

impl NamedModel {
    /// From the text of its file, for the features of this program.
    ///
    /// # Errors
    /// When it is no model, or one of another program's features.
    pub fn read(name: &str, text: &str) -> Result<Self, ModelFault> {
        let model = Model::read(text, &all())?;
        let digest = Sha256::digest(text.as_bytes());
        let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let version = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        Ok(Self { name: name.to_owned(), hash, version, model })
    }

    /// As people read it: the name and the beginning of the hash.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.name, &self.hash[..12])
    }

    /// A sum of contributions, log odds, as a score of 0 to 1000.
    #[must_use]
    pub fn score(&self, odds: f64) -> f64 {
        1000.0 * self.model.fitted.calibration.chance(odds)
    }
}
