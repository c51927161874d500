//! Ringfence: card-linked offers and fraud screening.

pub mod authenticate;
pub mod catalogue;
pub mod clock;
pub mod config;
pub mod domain;
pub mod journal;
pub mod normalise;
pub mod telemetry;
pub mod wire;
