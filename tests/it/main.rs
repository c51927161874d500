//! Tests of the whole: one binary, a module per feature.

#[path = "../world/mod.rs"]
mod world;

mod decide_offers;
mod decide_order;
mod decide_worth;
mod desk;
mod hostile;
mod kill;
mod path;
mod said;
mod stories;
