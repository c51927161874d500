//! What a person can type. Each command says what it did on stdout, what went wrong on
//! stderr, and exits 0 or 1; `main` only reads the words.

pub mod audit;
pub mod backtest;
pub mod conformance;
pub mod descriptors;
pub mod fit;
pub mod ingest;
pub mod keys;
pub mod migrate;
pub mod network_files;
pub mod screen;
pub mod serve;
pub mod sign;

use crate::authenticate::{Secret, keys::BOOTSTRAP_CHARS_MIN};
use crate::config::{ConfigProblems, Settings};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where settings come from, as said on the command line.
#[derive(Debug, Clone, clap::Args)]
pub struct ConfigArgs {
    /// A configuration file laid over the compiled-in defaults.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The store, in place of `store.url` (embedded:PATH).
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
}

impl ConfigArgs {
    /// Variables of the environment, with what the command line says over them.
    #[must_use]
    pub fn variables(&self) -> BTreeMap<String, String> {
        let mut variables: BTreeMap<String, String> = std::env::vars().collect();
        if let Some(store) = &self.store {
            variables.insert("RINGFENCE_STORE__URL".to_owned(), store.clone());
            // The journal lies beside an embedded store unless somebody said where.
            let journal = store.strip_prefix("embedded:").map(|path| Path::new(path).join("journal"));
            if let Some(journal) = journal.and_then(|path| path.to_str().map(str::to_owned)) {
                variables.entry("RINGFENCE_JOURNAL__DIR".to_owned()).or_insert(journal);
            }
        }
        variables
    }

    /// The settings.
    ///
    /// # Errors
    /// All problems at once.
    pub fn settings(&self) -> Result<Settings, ConfigProblems> {
        Settings::load(self.config.as_deref(), &self.variables(), &|path| std::fs::read_to_string(path))
    }
}

/// Something that ends a command with exit 1.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Random bytes.
///
/// # Errors
/// When the system gives none.
pub fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| format!("the system gave no random number: {error}"))?;
    Ok(bytes)
}

/// The operator key for a store without keys, from the environment.
///
/// # Errors
/// When it is too short to be safe.
pub fn bootstrap_key() -> Result<Option<Secret>, Failure> {
    match std::env::var("RINGFENCE_BOOTSTRAP_KEY") {
        Err(_) => Ok(None),
        Ok(key) if key.len() < BOOTSTRAP_CHARS_MIN => {
            Err(format!("RINGFENCE_BOOTSTRAP_KEY: has {} characters; give at least {BOOTSTRAP_CHARS_MIN}", key.len())
                .into())
        }
        Ok(key) => Ok(Some(Secret::new(key))),
    }
}
