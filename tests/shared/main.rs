//! The shared store, on real Redis servers: one alone and a Cluster of three masters.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

#[path = "../world/mod.rs"]
mod world;

mod chaos;
mod cut;
mod fleet;
mod keepers;
mod migrate;
mod screened;
mod together;
