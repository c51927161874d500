//! The network of members read as a whole: who belongs together, what is unusual about it, and
//! why, in words.
//!
//! ```text
//! links, members -> Network -> Found (infrastructure, groups) -> Table (features) -> score
//!                                              \-> detectors -> findings ---------/
//! ```
//!
//! [`network`] holds what was said, [`found`] what is seen in it, [`features`] the figures of
//! each member, [`tails`] the score without labels, [`model`] the fitted one, [`seeds`] what is
//! known beforehand, [`detectors`] one pattern per file, [`score`] the sum with its reasons,
//! [`segments`] the honest groups that one is compared with, [`measure`] how right it was. [`algorithms`] work on flat arrays ([`csr`]) and know nothing of
//! members. No I/O, no clock, no log; nothing here depends on the order of rows or on names.
#![allow(clippy::float_arithmetic, reason = "scores and features are estimates; there is no money here")]
#![allow(clippy::cast_sign_loss, reason = "shares become places of a list, never negative ones")]

pub mod algorithms;
pub mod base;
pub mod csr;
pub mod detectors;
pub mod features;
pub mod found;
pub mod infrastructure;
pub mod measure;
pub mod model;
pub mod network;
pub mod score;
pub mod seeds;
pub mod segments;
pub mod stats;
pub mod tails;

#[cfg(test)]
mod tests;
