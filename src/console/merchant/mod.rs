//! The merchant's portal: offers, what they say in plain words, how far their budgets are used, and
//! the steps of their life. Nothing of a member is shown here.

pub(super) mod differ;
pub(super) mod edit;
pub(super) mod list;
pub(super) mod offer;
mod simple;
