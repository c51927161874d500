//! Core numbers: the largest `k` such that a node keeps `k` neighbours when all with fewer are
//! taken away, again and again.

use crate::graph::csr::Csr;
use crate::graph::network::Node;

/// The core number of each node.
///
/// Level by level: what has too few neighbours goes, and what that leaves with too few goes with
/// it. One array of remaining degrees fits the cache, which a sorted array of nodes does not.
///
/// ```
/// use ringfence::graph::{algorithms::kcore::core_numbers, csr::Csr};
/// let triangle_with_a_tail = Csr::of(4, [(0, 1), (1, 2), (2, 0), (2, 3)].into_iter());
/// assert_eq!(core_numbers(&triangle_with_a_tail), [2, 2, 2, 1]);
/// ```
#[must_use]
pub fn core_numbers(graph: &Csr) -> Vec<u32> {
    let degree = |node| u32::try_from(graph.degree(node)).expect("ends of links are numbered so");
    // While a node stays this is what it has left; then it is its core number.
    let mut left: Vec<u32> = graph.nodes().map(degree).collect();
    let mut staying: Vec<Node> = graph.nodes().collect();
    let mut going: Vec<Node> = Vec::new();
    let mut level = 0;
    while !staying.is_empty() {
        let mut next = u32::MAX;
        staying.retain(|&node| {
            let has = left[node as usize];
            if has > level {
                next = next.min(has);
            }
            has > level
        });
        if staying.is_empty() {
            break;
        }
        level = next;
        going.extend(staying.iter().filter(|&&node| left[node as usize] == level));
        while let Some(node) = going.pop() {
            for &other in graph.neighbours(node) {
                let has = &mut left[other as usize];
                if *has > level {
                    *has -= 1;
                    if *has == level {
                        going.push(other);
                    }
                }
            }
        }
    }
    left
}
