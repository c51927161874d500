//! What operators look after: the sources, what could not be understood, the store and its followers, the books.

pub(super) mod ledger;
pub(super) mod letters;
pub(super) mod sources;
pub(super) mod state;
