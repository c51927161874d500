//! Tests of the whole: one binary, a module per feature.

#[path = "../world/mod.rs"]
mod world;

mod hostile;
mod kill;
mod path;
