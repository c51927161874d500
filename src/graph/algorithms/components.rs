//! Connected components by union-find; the same structure takes links one by one.

use crate::graph::csr::Csr;
use crate::graph::network::Node;

/// Sets that only grow together. The smallest node of a set is its root.
#[derive(Debug, Clone)]
pub struct UnionFind {
    parents: Vec<Node>,
}

impl UnionFind {
    /// Every node alone.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self { parents: (0..).take(nodes).collect() }
    }

    /// The root of a node's set. Paths are halved on the way.
    pub fn root(&mut self, mut node: Node) -> Node {
        while self.parents[node as usize] != node {
            let above = self.parents[self.parents[node as usize] as usize];
            self.parents[node as usize] = above;
            node = above;
        }
        node
    }

    /// Puts the sets of both together; says whether they were apart.
    pub fn union(&mut self, one: Node, other: Node) -> bool {
        let (one, other) = (self.root(one), self.root(other));
        let (low, high) = (one.min(other), one.max(other));
        self.parents[high as usize] = low;
        low != high
    }

    /// Makes every node point at its root. Roots come before those below them, so one pass does.
    fn flatten(&mut self) {
        for node in 0..self.parents.len() {
            self.parents[node] = self.parents[self.parents[node] as usize];
        }
    }
}

/// The component of each node, numbered by the smallest node in it.
///
/// ```
/// use ringfence::graph::{algorithms::components::components, csr::Csr};
/// let graph = Csr::of(4, [(0, 2), (1, 3)].into_iter());
/// assert_eq!(components(&graph), [0, 1, 0, 1]);
/// ```
///
/// Most nodes of most graphs are in one component, and two neighbours of each nearly show it;
/// the rest of the links is then looked at only from outside it (Sutton et al., 2018).
#[must_use]
pub fn components(graph: &Csr) -> Vec<Node> {
    let mut sets = UnionFind::new(graph.node_count());
    for node in graph.nodes() {
        for &other in graph.neighbours(node).iter().take(SAMPLED) {
            sets.union(node, other);
        }
    }
    sets.flatten();
    let largest = most_frequent(&sets.parents);
    for node in graph.nodes() {
        if sets.root(node) != largest {
            for &other in graph.neighbours(node).iter().skip(SAMPLED) {
                sets.union(node, other);
            }
        }
    }
    sets.flatten();
    sets.parents
}

/// Neighbours of each node that are looked at first.
const SAMPLED: usize = 2;

fn most_frequent(roots: &[Node]) -> Node {
    let mut sizes = vec![0_u32; roots.len()];
    for &root in roots {
        sizes[root as usize] += 1;
    }
    // The first of the largest.
    let largest = (0..).zip(&sizes).max_by_key(|&(node, size)| (size, std::cmp::Reverse(node)));
    largest.map_or(0, |(node, _)| node)
}
