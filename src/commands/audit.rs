//! `ringfence audit`: the books proved from the journal alone, beside a stopped service.

use super::{ConfigArgs, Failure};
use crate::app;
use crate::audit::{AuditOptions, audit as prove};
use std::path::PathBuf;

/// Reads journals from the start and prints every check and the totals.
///
/// # Errors
/// When a journal cannot be read, or anything differs.
pub fn audit(args: &ConfigArgs, journals: &[PathBuf], seed: Option<u64>, json: bool) -> Result<(), Failure> {
    let settings = args.settings()?;
    let dirs = if journals.is_empty() { vec![settings.journal.dir.clone()] } else { journals.to_vec() };
    let mut options = AuditOptions::new(app::policy(&settings));
    options.retention_days = settings.purchases.retention_days;
    if let Some(seed) = seed {
        options.seed = seed;
    }
    let report = prove(&dirs, &options)?;
    if json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    if report.is_clean() { Ok(()) } else { Err("the books differ; see the report".into()) }
}
