//! Label propagation (Raghavan et al., 2007): each node takes the label most of its neighbours
//! have. Quick and rough; Louvain is what groups are made by.

use crate::graph::csr::Csr;
use crate::graph::network::Node;

/// The label of each node after at most `rounds` rounds. Nodes are asked in their order, a
/// node again only when a neighbour changed, ties go to the label it has, else to the lowest.
///
/// ```
/// use ringfence::graph::{algorithms::propagation::labels, csr::Csr};
/// let two_triangles = Csr::of(6, [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)].into_iter());
/// let found = labels(&two_triangles, 20);
/// assert!(found[0] == found[1] && found[1] == found[2] && found[0] != found[3]);
/// ```
#[must_use]
pub fn labels(graph: &Csr, rounds: usize) -> Vec<Node> {
    let mut label: Vec<Node> = graph.nodes().collect();
    let mut ask = vec![true; label.len()];
    let mut votes = vec![0_u32; label.len()];
    for _ in 0..rounds {
        let mut changed = false;
        for node in graph.nodes() {
            if !std::mem::take(&mut ask[node as usize]) {
                continue;
            }
            let around = graph.neighbours(node);
            for &other in around {
                votes[label[other as usize] as usize] += 1;
            }
            let own = label[node as usize];
            let mut best = (votes[own as usize], own);
            for &other in around {
                let at = label[other as usize];
                let got = std::mem::take(&mut votes[at as usize]);
                if got > best.0 || (got == best.0 && best.1 != own && at < best.1) {
                    best = (got, at);
                }
            }
            if best.1 != own {
                changed = true;
                label[node as usize] = best.1;
                for &other in around {
                    ask[other as usize] |= label[other as usize] != best.1;
                }
            }
        }
        if !changed {
            break;
        }
    }
    label
}
