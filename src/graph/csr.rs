//! Neighbours in two flat arrays: the hot path of everything that looks at the whole graph.

use super::network::{Network, Node};

/// Undirected, simple (each neighbour once, no loops), neighbours rising.
#[derive(Debug, Clone, Default)]
pub struct Csr {
    offsets: Vec<u32>,
    targets: Vec<Node>,
}

impl Csr {
    /// From pairs in any order, each way and as often as they come.
    ///
    /// # Panics
    /// When twice the pairs are more than 4,294,967,295.
    #[must_use]
    pub fn of(nodes: usize, pairs: impl Iterator<Item = (Node, Node)> + Clone) -> Self {
        let mut offsets = vec![0_u32; nodes + 1];
        let both = || pairs.clone().filter(|(a, b)| a != b);
        for (a, b) in both() {
            offsets[a as usize + 1] += 1;
            offsets[b as usize + 1] += 1;
        }
        for place in 0..nodes {
            offsets[place + 1] = offsets[place].checked_add(offsets[place + 1]).expect("at most 2^32 ends of links");
        }
        let mut next: Vec<u32> = offsets[..nodes].to_vec();
        let mut targets = vec![0; offsets[nodes] as usize];
        for (a, b) in both() {
            for (one, other) in [(a, b), (b, a)] {
                targets[next[one as usize] as usize] = other;
                next[one as usize] += 1;
            }
        }
        drop(next);
        // Sorted and without repetition, in place.
        let mut kept = 0;
        let mut begin = 0;
        for node in 0..nodes {
            let end = offsets[node + 1] as usize;
            targets[begin..end].sort_unstable();
            let first = kept;
            for place in begin..end {
                if kept == first || targets[kept - 1] != targets[place] {
                    targets[kept] = targets[place];
                    kept += 1;
                }
            }
            begin = end;
            offsets[node + 1] = u32::try_from(kept).expect("no more than before");
        }
        targets.truncate(kept);
        targets.shrink_to_fit();
        Self { offsets, targets }
    }

    /// The links of a network, whatever their kind and direction; distrust ties nobody.
    #[must_use]
    pub fn of_network(network: &Network) -> Self {
        Self::of(
            network.node_count(),
            network.links.iter().filter(|link| link.weight >= 0.0).map(|link| (link.from, link.to)),
        )
    }

    /// The same graph with some nodes left without neighbours.
    #[must_use]
    pub fn without(&self, removed: &[bool]) -> Self {
        let mut offsets = Vec::with_capacity(self.offsets.len());
        let mut targets = Vec::with_capacity(self.targets.len());
        offsets.push(0);
        for node in self.nodes() {
            if !removed[node as usize] {
                targets.extend(self.neighbours(node).iter().filter(|&&other| !removed[other as usize]));
            }
            offsets.push(u32::try_from(targets.len()).expect("no more than before"));
        }
        Self { offsets, targets }
    }

    /// How many nodes.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// How many pairs of neighbours.
    #[must_use]
    pub fn edge_count(&self) -> usize {
        self.targets.len() / 2
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = Node> + use<> {
        (0..).take(self.node_count())
    }

    /// Neighbours of a node, rising.
    #[must_use]
    pub fn neighbours(&self, node: Node) -> &[Node] {
        &self.targets[self.offsets[node as usize] as usize..self.offsets[node as usize + 1] as usize]
    }

    /// How many neighbours.
    #[must_use]
    pub fn degree(&self, node: Node) -> usize {
        (self.offsets[node as usize + 1] - self.offsets[node as usize]) as usize
    }

    /// Bytes of the two arrays.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        (self.offsets.capacity() + self.targets.capacity()) * size_of::<u32>()
    }
}
