//! What operators look after: the sources, what could not be understood, the books.

pub(super) mod ledger;
pub(super) mod letters;
pub(super) mod sources;
