//! Statement descriptors: taken apart, and matched to shops with a confidence that rests on
//! evidence. Pure: the same text and the same shops give the same answer.
//!
//! ```text
//! text -> clean -> words, store number, place -> index -> few shops -> score -> verdict
//! ```
//!
//! Precision before recall: what is not well evidenced, or fits two shops, is matched to
//! none and offered for linking under its [`key`].

mod asked;
pub mod clean;
pub mod facilitators;
pub mod index;
pub mod score;
pub mod trial;
pub mod vocabulary;

pub use clean::{Cleaned, clean, key};
pub use index::{Index, Question, Shop};
pub use score::{CONFIDENCE_MIN, Candidate, Side, Verdict, find};

#[cfg(test)]
mod tests;
