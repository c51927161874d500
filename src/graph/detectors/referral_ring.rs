//! Members whose referrals lead back to themselves. Who is referred has not been a member yet,
//! so an honest network has no such cycle.

use super::{Detector, FINDINGS_MAX, Finding, ramp, referrers};
use crate::graph::found::Found;
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::BTreeMap;

/// Referral ring.
pub static REFERRAL_RING: Detector = Detector {
    name: "referral-ring",
    version: 1,
    family: "referrals",
    scored: true,
    clears: "proof that a referral of the cycle was recorded for the wrong member",
};

/// Sets of members in which referrals lead from each to each.
#[must_use]
pub fn detect(found: &Found) -> Vec<Finding> {
    let mut graph: DiGraph<usize, usize> = DiGraph::new();
    let mut places: BTreeMap<usize, NodeIndex> = BTreeMap::new();
    for referrer in referrers(found) {
        for (link, row) in referrer.referred {
            let [from, to] = [referrer.row, row].map(|row| *places.entry(row).or_insert_with(|| graph.add_node(row)));
            graph.add_edge(from, to, link);
        }
    }
    // The iterative one: a chain of referrals can be longer than a stack is deep.
    let rings = kosaraju_scc(&graph).into_iter().filter(|ring| ring.len() > 1);
    rings
        .take(FINDINGS_MAX)
        .map(|mut ring| {
            ring.sort_unstable();
            let inside = |node: NodeIndex| ring.binary_search(&node).is_ok();
            let edges = ring.iter().flat_map(|&node| graph.edges(node));
            let links = edges.filter(|edge| inside(petgraph::visit::EdgeRef::target(edge))).map(|edge| *edge.weight());
            let links = links.collect();
            let members: Vec<usize> = ring.iter().map(|&node| graph[node]).collect();
            let words = format!("referrals lead in a ring through {} members", members.len());
            // Two who name each other may be a mistake; more are none.
            let strength = 0.6 + 0.4 * ramp(members.len() as f64, 2.0, 4.0);
            Finding::new(&REFERRAL_RING, members, links, strength, words)
        })
        .collect()
}
