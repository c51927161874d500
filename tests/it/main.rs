//! Integration tests: a module per feature, one binary.

mod decide_offers;
mod decide_order;
mod decide_worth;
mod desk;
mod said;
mod stories;
