//! Tests of the whole: one binary, a module per feature.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

#[path = "../world/mod.rs"]
mod world;

mod api;
mod budgets;
mod conformance;
mod console;
mod decide_language;
mod decide_offers;
mod decide_order;
mod decide_refunds;
mod decide_worth;
mod desk;
mod dialects;
mod explained;
mod facts;
mod health;
mod hostile;
mod ingest;
mod kept;
mod kill;
mod path;
mod play;
mod programmes;
mod proofs;
mod pull;
mod redeem;
mod referrals;
mod rules;
mod said;
mod screen;
mod screening;
mod screening_backtest;
mod screening_labels;
mod screening_model;
mod screening_reports;
mod sightings;
mod stories;
