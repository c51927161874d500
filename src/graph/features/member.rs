//! What one member's own links say.

use super::lockstep::{DAY, InTime};
use super::{Table, features};
use crate::graph::found::Found;

/// Figures of a member's own links, by row.
#[derive(Debug)]
pub struct Own {
    /// Neighbours.
    pub degree: Vec<f64>,
    /// Neighbours who are members, as a share.
    pub member_share: Vec<f64>,
    /// Neighbours that nobody else leads to, as a share.
    pub leaf_share: Vec<f64>,
    /// Neighbours that are shared infrastructure.
    pub shared: Vec<f64>,
    /// Weight given per receiver.
    pub given: Vec<f64>,
    /// Neighbours with links both ways, as a share.
    pub both_ways: Vec<f64>,
}

/// Counts over each member's neighbours and links.
#[must_use]
pub fn figures(found: &Found) -> Own {
    let (network, graph) = (found.network, &found.base.graph);
    let count = network.members.len();
    let mut own = Own {
        degree: Vec::with_capacity(count),
        member_share: Vec::with_capacity(count),
        leaf_share: Vec::with_capacity(count),
        shared: Vec::with_capacity(count),
        given: Vec::with_capacity(count),
        both_ways: Vec::with_capacity(count),
    };
    // Links are by giver and taker, so both can be looked up.
    let gives = |from: u32, to: u32| {
        let first = network.links.partition_point(|link| (link.from, link.to) < (from, to));
        network.links.get(first).is_some_and(|link| (link.from, link.to) == (from, to))
    };
    for &node in &network.members.nodes {
        let around = graph.neighbours(node);
        let degree = around.len() as f64;
        let share = |count: usize| count as f64 / degree;
        own.degree.push(degree);
        own.member_share.push(share(found.base.member_degree[node as usize] as usize));
        own.leaf_share.push(share(around.iter().filter(|&&other| graph.degree(other) == 1).count()));
        own.shared.push(around.iter().filter(|&&other| found.shared[other as usize]).count() as f64);
        let first = network.links.partition_point(|link| link.from < node);
        let (mut weight, mut receivers, mut both, mut last) = (0.0, 0_u32, 0, node);
        for link in network.links[first..].iter().take_while(|link| link.from == node) {
            if link.to == node || link.weight < 0.0 {
                continue;
            }
            weight += f64::from(link.weight);
            if link.to != last {
                last = link.to;
                receivers += 1;
                both += usize::from(gives(link.to, node));
            }
        }
        own.given.push(weight / f64::from(receivers));
        own.both_ways.push(share(both));
    }
    own
}

features! {
    MEMBER_SHARE = "mdsh", More, "member share", "share of members among the contacts";
    MEMBERS = "md", Free, "shape", "members among the contacts";
    SECOND = "m2", Free, "shape", "members that the contacts lead to";
    LOCKSTEP = "hl", More, "lockstep", "others at one contact who came within a day and spent the same";
}

/// Fewer members than this around a node cannot be in step.
const AROUND_MIN: u32 = 3;

/// Adds them.
pub fn add(found: &Found, own: Own, table: &mut Table) {
    let base = &found.base;
    let nodes = &found.network.members.nodes;
    let members = |node: u32| f64::from(base.member_degree[node as usize]);
    let second = nodes.iter().map(|&node| {
        let around = base.graph.neighbours(node).iter().filter(|&&other| !found.shared[other as usize]);
        around.map(|&other| (members(other) - 1.0).max(0.0)).sum()
    });
    table.push(&SECOND, second.collect());
    table.push(&MEMBERS, nodes.iter().map(|&node| members(node)).collect());
    table.push(&MEMBER_SHARE, own.member_share);
    table.push(&LOCKSTEP, lockstep_around(found));
}

/// The most others around one of my neighbours who came within a day of me and spent the same.
fn lockstep_around(found: &Found) -> Vec<f64> {
    let mut most = vec![0.0_f64; found.network.members.len()];
    let mut set = InTime::default();
    for node in found.base.graph.nodes() {
        if found.base.member_degree[node as usize] >= AROUND_MIN {
            let rows = found.base.graph.neighbours(node).iter().filter_map(|&other| found.network.row(other));
            set.fill(rows, &found.base);
            for (row, count) in set.lockstep(&found.base, DAY) {
                most[row] = most[row].max(f64::from(count));
            }
        }
    }
    most
}
