//! Integration tests: a module per feature, one binary.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod decide_offers;
mod decide_order;
mod decide_worth;
mod desk;
mod said;
mod stories;
