//! Ringfence: card-linked offers and fraud screening.

pub mod api;
pub mod app;
pub mod audit;
pub mod authenticate;
pub mod catalogue;
pub mod clock;
pub mod commands;
pub mod config;
pub mod decide;
pub mod domain;
pub mod engine;
pub mod journal;
pub mod ledger;
pub mod normalise;
pub mod pipeline;
pub mod record;
pub mod store;
pub mod telemetry;
pub mod wire;
