//! `ringfence migrate`: a stopped service's journals replayed into an empty store.

use super::{ConfigArgs, Failure};
use crate::config::StoreUrl;
use std::path::{Path, PathBuf};

/// Fills an empty store from the journals and compares the books.
///
/// # Errors
/// When the store is not empty, a journal cannot be read, or the books differ.
pub fn migrate(args: &ConfigArgs, journals: &[PathBuf], to: &str, into: Option<&Path>) -> Result<(), Failure> {
    let settings = args.settings()?;
    let to = StoreUrl::parse(to).map_err(|bad| format!("--to: {}; {}", bad.wrong, bad.right))?;
    let dirs = if journals.is_empty() { vec![settings.journal.dir.clone()] } else { journals.to_vec() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(crate::migrate::migrate(&settings, &dirs, &to, into));
    let done = done.map_err(|error| crate::pipeline::Chain(&error).to_string())?;
    println!(
        "{} records applied, {} left out, {} sums of the books compared and equal\nset store.url = \"{to}\"{} and start the service",
        done.records,
        done.left_out,
        done.sums,
        into.map(|into| format!(" and journal.dir = \"{}\"", into.display())).unwrap_or_default()
    );
    Ok(())
}
