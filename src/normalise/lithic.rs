//! Lithic.

use super::{Normalised, Unreadable};

/// As configuration calls it.
pub(super) const NAME: &str = "lithic";

/// Identifiers by contract, beyond those every dialect knows.
pub(super) const IDENTIFIERS: &[&str] = &[];

/// Reads a body.
pub(super) fn read(_: &str) -> Result<Normalised, Unreadable> {
    Err(Unreadable::new("not_json", "to be written"))
}

#[cfg(test)]
pub(super) mod tests {
    use crate::domain::EventKind;
    use serde_json::Value;

    /// A valid body of each kind, for the tests that hold for every dialect.
    pub(in super::super) fn valid() -> Vec<(EventKind, Value)> {
        Vec::new()
    }
}
