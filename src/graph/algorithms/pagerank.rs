//! PageRank: where a walker is who follows links and now and then starts anew.

use crate::graph::csr::Csr;
use crate::graph::network::Node;
use std::thread;

/// Chance of following a link.
const DAMPING: f64 = 0.85;
/// Smaller graphs are not worth a second thread.
const NODES_PER_THREAD_MIN: usize = 50_000;

/// Ranks after a number of rounds, on `threads` threads; they sum to 1. Each round pulls from
/// the neighbours, so the result does not depend on the number of threads.
///
/// ```
/// use ringfence::graph::{algorithms::pagerank::pagerank, csr::Csr};
/// let star = Csr::of(4, [(0, 1), (0, 2), (0, 3)].into_iter());
/// let ranks = pagerank(&star, 20, 1);
/// assert!(ranks[0] > ranks[1] && ranks[1] == ranks[2]);
/// ```
#[must_use]
pub fn pagerank(graph: &Csr, rounds: usize, threads: usize) -> Vec<f64> {
    let count = graph.node_count();
    if count == 0 {
        return Vec::new();
    }
    let threads = threads.clamp(1, 1 + count / NODES_PER_THREAD_MIN);
    let part = count.div_ceil(threads);
    let even = 1.0 / count as f64;
    let mut ranks = vec![even; count];
    let mut gives = vec![0.0_f64; count];
    for _ in 0..rounds {
        // What nobody takes from a node without neighbours goes to all alike.
        let mut lost = 0.0;
        for (node, (gives, &rank)) in (0..).zip(gives.iter_mut().zip(&ranks)) {
            let degree = graph.degree(node);
            if degree == 0 {
                lost += rank;
            } else {
                *gives = rank / degree as f64;
            }
        }
        let start = (1.0 - DAMPING + DAMPING * lost) * even;
        thread::scope(|scope| {
            for (number, ranks) in ranks.chunks_mut(part).enumerate() {
                let first = Node::try_from(number * part).expect("below the number of nodes");
                let gives = &gives;
                scope.spawn(move || {
                    for (node, rank) in (first..).zip(ranks) {
                        let taken: f64 = graph.neighbours(node).iter().map(|&other| gives[other as usize]).sum();
                        *rank = start + DAMPING * taken;
                    }
                });
            }
        });
    }
    ranks
}
