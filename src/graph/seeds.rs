//! What is already known of some members, carried to those around them. Never part of the
//! fitted model: it helps where a ring holds somebody who is known and nowhere else.

use super::found::Found;
use std::collections::BTreeSet;

/// Rows of members whose label is known beforehand.
#[derive(Debug, Default)]
pub struct Seeds {
    /// Known to be bad.
    pub bad: BTreeSet<usize>,
    /// Known to be good.
    pub good: BTreeSet<usize>,
}

/// Belief in a seed, of what is more than even chances.
const BELIEF: f64 = 0.4;
/// Share of what is heard that is held.
const HEARD: f64 = 0.8;
/// Rounds of belief: what is further away says nothing.
const ROUNDS: usize = 8;
/// A belief never becomes certainty.
const CERTAIN: f64 = 0.49;

/// Log odds, by row, that a member is bad for the company it keeps: each holds most of
/// what its contacts hold on average, beside what is known of itself (after SybilSCAR, Wang et al. 2017).
/// Shared infrastructure carries nothing.
#[must_use]
pub fn company(found: &Found, seeds: &Seeds) -> Vec<f64> {
    let graph = &found.base.graph;
    let mut known = vec![0.0_f64; graph.node_count()];
    for (rows, belief) in [(&seeds.bad, BELIEF), (&seeds.good, -BELIEF)] {
        for &row in rows {
            known[found.network.members.nodes[row] as usize] = belief;
        }
    }
    let mut beliefs = known.clone();
    for _ in 0..ROUNDS {
        let held = |node: u32| {
            let around = graph.neighbours(node).iter().filter(|&&other| !found.shared[other as usize]);
            let (mut sum, mut count) = (0.0, 0_u32);
            for &other in around {
                sum += beliefs[other as usize];
                count += 1;
            }
            let heard = if count == 0 { 0.0 } else { sum / f64::from(count) };
            (known[node as usize] + HEARD * heard).clamp(-CERTAIN, CERTAIN)
        };
        beliefs = graph.nodes().map(|node| if found.shared[node as usize] { 0.0 } else { held(node) }).collect();
    }
    let odds = |belief: f64| ((0.5 + belief) / (0.5 - belief)).ln();
    found.network.members.nodes.iter().map(|&node| odds(beliefs[node as usize])).collect()
}
