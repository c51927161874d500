//! The risk desk: the queue of cases, one case on one screen, and what is decided there.

pub(super) mod around;
pub(super) mod backtests;
pub(super) mod case;
pub(super) mod counts;
pub(super) mod decide;
pub mod desk;
pub(super) mod detectors;
pub(super) mod picture;
pub(super) mod queue;
pub(super) mod rules;
mod said;
mod search;
pub mod take;
mod timeline;
