//! Whole-graph algorithms on flat arrays. Each is a function of the graph alone: no random
//! numbers, ties go to the lower number, so the same graph gives the same result.

pub mod components;
pub mod fraudar;
pub mod kcore;
pub mod louvain;
pub mod pagerank;
pub mod propagation;
