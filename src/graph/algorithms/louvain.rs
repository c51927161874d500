//! Communities by Louvain's method (Blondel et al., 2008): nodes move to the neighbouring
//! community that raises modularity most, then communities become nodes, until nothing moves.

use crate::graph::csr::Csr;
use crate::graph::network::Node;
use std::collections::VecDeque;

/// A gain below this is rounding.
const GAIN_MIN: f64 = 1e-9;
/// Times that a node is asked per level, on average. The last moves gain next to nothing, and
/// where there are no communities they go on for long.
const ASKED_MAX: usize = 12;
/// Levels: each at least joins two nodes, in practice five are plenty.
const LEVELS_MAX: usize = 32;

/// A graph with weights, nodes being communities of the level before.
struct Level {
    offsets: Vec<u32>,
    targets: Vec<Node>,
    weights: Vec<f64>,
    /// Ends of links at each node, those within it included.
    strength: Vec<f64>,
}

impl Level {
    fn first(graph: &Csr) -> Self {
        let mut offsets = vec![0];
        let mut targets = Vec::with_capacity(graph.edge_count() * 2);
        for node in graph.nodes() {
            targets.extend_from_slice(graph.neighbours(node));
            offsets.push(u32::try_from(targets.len()).expect("as in the graph"));
        }
        let weights = vec![1.0; targets.len()];
        let strength = graph.nodes().map(|node| graph.degree(node) as f64).collect();
        Self { offsets, targets, weights, strength }
    }

    fn len(&self) -> usize {
        self.strength.len()
    }

    fn around(&self, node: usize) -> impl Iterator<Item = (Node, f64)> {
        let range = self.offsets[node] as usize..self.offsets[node + 1] as usize;
        self.targets[range.clone()].iter().copied().zip(self.weights[range].iter().copied())
    }

    /// Moves nodes until none gains; the community of each, and whether any moved.
    fn settle(&self, total: f64, resolution: f64) -> (Vec<Node>, bool) {
        let count = self.len();
        let mut community: Vec<Node> = (0..).take(count).collect();
        let mut strength = self.strength.clone();
        let mut queue: VecDeque<Node> = (0..).take(count).collect();
        let mut queued = vec![true; count];
        let mut links_to = vec![0.0_f64; count];
        let mut touched: Vec<Node> = Vec::new();
        let mut moved = false;
        for _ in 0..count.saturating_mul(ASKED_MAX) {
            let Some(node) = queue.pop_front() else { break };
            let node = node as usize;
            queued[node] = false;
            let home = community[node];
            for (other, weight) in self.around(node) {
                let at = community[other as usize];
                if links_to[at as usize] == 0.0 {
                    touched.push(at);
                }
                links_to[at as usize] += weight;
            }
            strength[home as usize] -= self.strength[node];
            let share = resolution * self.strength[node] / total;
            let gain = |at: Node| links_to[at as usize] - share * strength[at as usize];
            let mut best = (gain(home), home);
            for &at in &touched {
                let found = gain(at);
                if found > best.0 + GAIN_MIN || (found > best.0 - GAIN_MIN && at < best.1 && best.1 != home) {
                    best = (found, at);
                }
            }
            strength[best.1 as usize] += self.strength[node];
            for at in touched.drain(..) {
                links_to[at as usize] = 0.0;
            }
            if best.1 != home {
                moved = true;
                community[node] = best.1;
                for (other, _) in self.around(node) {
                    if community[other as usize] != best.1 && !queued[other as usize] {
                        queued[other as usize] = true;
                        queue.push_back(other);
                    }
                }
            }
        }
        (community, moved)
    }

    /// Communities as the nodes of the next level; `community` has numbers without gaps.
    fn merged(&self, community: &[Node], count: usize) -> Self {
        let mut members: Vec<Vec<Node>> = vec![Vec::new(); count];
        for (node, &at) in (0..).zip(community) {
            members[at as usize].push(node);
        }
        let mut next = Self { offsets: vec![0], targets: vec![], weights: vec![], strength: vec![0.0; count] };
        let mut links_to = vec![0.0_f64; count];
        let mut touched: Vec<Node> = Vec::new();
        for (at, members) in members.iter().enumerate() {
            for &node in members {
                next.strength[at] += self.strength[node as usize];
                for (other, weight) in self.around(node as usize) {
                    let other = community[other as usize];
                    if other as usize != at {
                        if links_to[other as usize] == 0.0 {
                            touched.push(other);
                        }
                        links_to[other as usize] += weight;
                    }
                }
            }
            touched.sort_unstable();
            for other in touched.drain(..) {
                next.targets.push(other);
                next.weights.push(std::mem::take(&mut links_to[other as usize]));
            }
            next.offsets.push(u32::try_from(next.targets.len()).expect("no more than before"));
        }
        next
    }
}

/// Numbers without gaps, in order of first appearance.
fn renumber(community: &mut [Node]) -> usize {
    let mut names = vec![Node::MAX; community.len()];
    let mut count = 0;
    for at in community {
        let name = &mut names[*at as usize];
        if *name == Node::MAX {
            *name = count;
            count += 1;
        }
        *at = *name;
    }
    count as usize
}

/// The community of each node, numbered without gaps in order of first appearance. A higher
/// resolution makes smaller communities; 1 is plain modularity.
///
/// ```
/// use ringfence::graph::{algorithms::louvain::louvain, csr::Csr};
/// let two_triangles = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3), (2, 3)];
/// let graph = Csr::of(6, two_triangles.into_iter());
/// assert_eq!(louvain(&graph, 1.0), [0, 0, 0, 1, 1, 1]);
/// ```
#[must_use]
pub fn louvain(graph: &Csr, resolution: f64) -> Vec<Node> {
    let mut level = Level::first(graph);
    let total: f64 = level.strength.iter().sum();
    let mut found: Vec<Node> = graph.nodes().collect();
    for _ in 0..LEVELS_MAX {
        let (mut community, moved) = level.settle(total.max(1.0), resolution);
        if !moved {
            break;
        }
        let count = renumber(&mut community);
        for at in &mut found {
            *at = community[*at as usize];
        }
        level = level.merged(&community, count);
    }
    renumber(&mut found);
    found
}
