//! Dense blocks that camouflage does not hide: FRAUDAR (Hooi et al., KDD 2016).
//!
//! Givers and receivers are two sides. A link weighs `1 / ln(links of its receiver + 5)`, so
//! links to what everybody has weigh little, and adding such links does not make a block look
//! less dense. The node that brings least is peeled off again and again; of all stages the one
//! with the most weight per node is the block. Its links are set aside and the rest peeled again.

use crate::graph::network::Node;

/// One of weight; weights are whole numbers so that the order of peeling is the same everywhere.
const SCALE: f64 = 256.0;
/// Buckets of the queue. What a node brings is divided until it fits.
const BUCKETS_MAX: u64 = 1 << 22;
/// Popularity that every receiver has to begin with, of the paper.
const POPULARITY: f64 = 5.0;
const NONE: u32 = u32::MAX;

/// A dense block.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Givers, rising.
    pub givers: Vec<Node>,
    /// Receivers, rising.
    pub receivers: Vec<Node>,
    /// Weight per node.
    pub density: f64,
}

/// At most `blocks` dense blocks, in the order they are found. Links are `(giver, receiver)`.
///
/// ```
/// use ringfence::graph::algorithms::fraudar::blocks;
/// // Three givers who all link the same three, and some who link one each.
/// let mut links: Vec<(u32, u32)> = (0..3).flat_map(|a| (10..13).map(move |b| (a, b))).collect();
/// links.extend([(3, 10), (4, 13), (5, 14)]);
/// let found = blocks(&links, 20, 1);
/// assert_eq!((&found[0].givers[..], &found[0].receivers[..]), (&[0, 1, 2][..], &[10, 11, 12][..]));
/// ```
#[must_use]
pub fn blocks(links: &[(Node, Node)], nodes: usize, blocks: usize) -> Vec<Block> {
    let mut links = links.to_vec();
    let mut found = Vec::new();
    while found.len() < blocks && !links.is_empty() {
        let sides = Sides::of(&links, nodes);
        let (block, inside) = sides.densest();
        let kept =
            links.iter().filter(|(giver, receiver)| !(inside[*giver as usize] && inside[nodes + *receiver as usize]));
        let kept: Vec<(Node, Node)> = kept.copied().collect();
        if kept.len() == links.len() {
            break;
        }
        links = kept;
        found.push(block);
    }
    found
}

/// Both sides as one graph: givers first, then receivers.
struct Sides {
    nodes: usize,
    offsets: Vec<u32>,
    targets: Vec<u32>,
    /// Weight of a link to each receiver.
    weights: Vec<u32>,
}

impl Sides {
    fn of(links: &[(Node, Node)], nodes: usize) -> Self {
        let mut offsets = vec![0_u32; 2 * nodes + 1];
        for &(giver, receiver) in links {
            offsets[giver as usize + 1] += 1;
            offsets[nodes + receiver as usize + 1] += 1;
        }
        for place in 0..2 * nodes {
            offsets[place + 1] = offsets[place].checked_add(offsets[place + 1]).expect("at most 2^32 ends of links");
        }
        let mut next = offsets[..2 * nodes].to_vec();
        let mut targets = vec![0; links.len() * 2];
        let first = u32::try_from(nodes).expect("nodes are numbered so");
        for &(giver, receiver) in links {
            for (one, other) in [(giver, first + receiver), (first + receiver, giver)] {
                targets[next[one as usize] as usize] = other;
                next[one as usize] += 1;
            }
        }
        let popularity = |node: usize| f64::from(offsets[nodes + node + 1] - offsets[nodes + node]);
        let weight = |node| (SCALE / (popularity(node) + POPULARITY).ln()).round() as u32;
        let weights = (0..nodes).map(weight).collect();
        Self { nodes, offsets, targets, weights }
    }

    fn around(&self, node: usize) -> &[u32] {
        &self.targets[self.offsets[node] as usize..self.offsets[node + 1] as usize]
    }

    /// The weight of the link between two neighbours: the receiver's.
    fn weight(&self, one: usize, other: usize) -> u32 {
        self.weights[one.max(other) - self.nodes]
    }

    fn densest(&self) -> (Block, Vec<bool>) {
        let count = 2 * self.nodes;
        let brings = |node: usize| -> u64 {
            self.around(node).iter().map(|&other| u64::from(self.weight(node, other as usize))).sum()
        };
        let mut peel = Peel {
            sides: self,
            brought: (0..count).map(brings).collect(),
            is_in: (0..count).map(|node| !self.around(node).is_empty()).collect(),
            total: 0,
            size: 0,
        };
        peel.total = peel.brought.iter().sum::<u64>() / 2;
        peel.size = peel.is_in.iter().filter(|&&is_in| is_in).count();
        peel.prune();
        let (mut best, mut best_at, mut inside) = (peel.density(), 0, peel.is_in.clone());
        let mut queue = Queue::of(&peel.brought, |node| peel.is_in[node]);
        let mut order = Vec::with_capacity(peel.size);
        while let Some(node) = queue.pop() {
            order.push(node);
            peel.remove(node as usize, |other, brought| queue.lower(other, brought));
            if peel.size > 0 && peel.density() > best {
                (best, best_at) = (peel.density(), order.len());
            }
        }
        for &node in &order[..best_at] {
            inside[node as usize] = false;
        }
        let side = |nodes: std::ops::Range<usize>| -> Vec<Node> {
            (0..).zip(&inside[nodes]).filter(|(_, inside)| **inside).map(|(node, _)| node).collect()
        };
        let block = Block { givers: side(0..self.nodes), receivers: side(self.nodes..count), density: best / SCALE };
        (block, inside)
    }
}

/// What is left while nodes are peeled off.
struct Peel<'a> {
    sides: &'a Sides,
    /// What each node brings to what is left.
    brought: Vec<u64>,
    is_in: Vec<bool>,
    /// Weight of all links that are left.
    total: u64,
    /// Nodes that are left.
    size: usize,
}

impl Peel<'_> {
    fn density(&self) -> f64 {
        self.total as f64 / self.size as f64
    }

    fn remove(&mut self, node: usize, mut lowered: impl FnMut(u32, u64)) {
        self.is_in[node] = false;
        self.total -= self.brought[node];
        self.size -= 1;
        for &other in self.sides.around(node) {
            if self.is_in[other as usize] {
                let brought = &mut self.brought[other as usize];
                *brought -= u64::from(self.sides.weight(node, other as usize));
                lowered(other, *brought);
            }
        }
    }

    /// Takes away what brings less than the density: the densest block has no such node, so
    /// their order does not matter and needs no queue. Most of a graph goes this way.
    fn prune(&mut self) {
        let mut staying: Vec<u32> = (0..).zip(&self.is_in).filter(|(_, is_in)| **is_in).map(|(node, _)| node).collect();
        let mut going: Vec<u32> = Vec::new();
        while self.size > 0 {
            let least = self.density();
            let brought = &self.brought;
            going.extend(staying.iter().filter(|&&node| (brought[node as usize] as f64) < least));
            if going.is_empty() {
                break;
            }
            while let Some(node) = going.pop() {
                // It may have been put here twice.
                if self.is_in[node as usize] {
                    self.remove(node as usize, |other, brought| {
                        if (brought as f64) < least {
                            going.push(other);
                        }
                    });
                }
            }
            staying.retain(|&node| self.is_in[node as usize]);
        }
    }
}

/// Nodes in buckets by what they bring, each bucket a list through two arrays: taking the
/// least and moving one are a handful of writes.
struct Queue {
    heads: Vec<u32>,
    next: Vec<u32>,
    before: Vec<u32>,
    bucket: Vec<u32>,
    shift: u32,
    least: usize,
}

impl Queue {
    fn of(brought: &[u64], is_in: impl Fn(usize) -> bool) -> Self {
        let most = brought.iter().copied().max().unwrap_or(0);
        let mut shift = 0;
        while most >> shift >= BUCKETS_MAX {
            shift += 1;
        }
        let buckets = usize::try_from(most >> shift).expect("below the bound") + 1;
        let mut queue = Self {
            heads: vec![NONE; buckets],
            next: vec![NONE; brought.len()],
            before: vec![NONE; brought.len()],
            bucket: vec![NONE; brought.len()],
            shift,
            least: 0,
        };
        // From the last, so that the first of equals is on top.
        for node in (0..brought.len()).rev().filter(|&node| is_in(node)) {
            queue.put(u32::try_from(node).expect("nodes are numbered so"), brought[node]);
        }
        queue
    }

    fn put(&mut self, node: u32, brought: u64) {
        let bucket = u32::try_from(brought >> self.shift).expect("below the number of buckets");
        let head = std::mem::replace(&mut self.heads[bucket as usize], node);
        self.bucket[node as usize] = bucket;
        self.before[node as usize] = NONE;
        self.next[node as usize] = head;
        if head != NONE {
            self.before[head as usize] = node;
        }
        self.least = self.least.min(bucket as usize);
    }

    fn take(&mut self, node: u32) {
        let (before, next) = (self.before[node as usize], self.next[node as usize]);
        if before == NONE {
            self.heads[self.bucket[node as usize] as usize] = next;
        } else {
            self.next[before as usize] = next;
        }
        if next != NONE {
            self.before[next as usize] = before;
        }
        self.bucket[node as usize] = NONE;
    }

    fn lower(&mut self, node: u32, brought: u64) {
        if u64::from(self.bucket[node as usize]) != brought >> self.shift {
            self.take(node);
            self.put(node, brought);
        }
    }

    fn pop(&mut self) -> Option<u32> {
        while *self.heads.get(self.least)? == NONE {
            self.least += 1;
        }
        let node = self.heads[self.least];
        self.take(node);
        Some(node)
    }
}
