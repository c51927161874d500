//! Path to confirmed fraud: a short way over contacts that are no infrastructure. Separate from
//! every other score: a new ring holds nobody who is known yet.

use super::{Detector, Finding};
use crate::graph::found::{Found, THROUGH_MAX};
use crate::graph::network::Node;
use crate::graph::seeds::Seeds;
use std::collections::VecDeque;

/// Path to confirmed fraud.
pub static CONFIRMED_PATH: Detector = Detector {
    name: "confirmed-path",
    version: 1,
    family: "known fraud",
    scored: false,
    clears: "the known member being cleared, or an honest reason for the contact on the path",
};

/// Steps that still say something: a contact, or a contact's contact.
const STEPS_MAX: u32 = 2;

/// Members a step or two from a known bad one, each with one shortest path.
#[must_use]
pub fn detect(found: &Found, seeds: &Seeds) -> Vec<Finding> {
    let (network, graph) = (found.network, &found.base.graph);
    let mut from: Vec<Option<(Node, u32)>> = vec![None; network.node_count()];
    let mut queue: VecDeque<Node> = VecDeque::new();
    for &row in &seeds.bad {
        let node = network.members.nodes[row];
        from[node as usize] = Some((node, 0));
        queue.push_back(node);
    }
    let mut findings = Vec::new();
    while let Some(node) = queue.pop_front() {
        let (_, steps) = from[node as usize].expect("it was reached");
        let crowded = steps > 0 && found.base.member_degree[node as usize] > THROUGH_MAX;
        if steps == STEPS_MAX || crowded {
            continue;
        }
        for &other in graph.neighbours(node) {
            if from[other as usize].is_some() || found.shared[other as usize] {
                continue;
            }
            from[other as usize] = Some((node, steps + 1));
            queue.push_back(other);
            if let Some(row) = network.row(other)
                && !seeds.good.contains(&row)
            {
                findings.push(finding(found, &from, other, row));
            }
        }
    }
    findings
}

fn finding(found: &Found, from: &[Option<(Node, u32)>], node: Node, row: usize) -> Finding {
    let mut links = Vec::new();
    let mut at = node;
    let (_, steps) = from[node as usize].expect("it was reached");
    while let Some((before, 1..)) = from[at as usize] {
        for (giver, taker) in [(before, at), (at, before)] {
            let place = found.network.links.partition_point(|link| (link.from, link.to) < (giver, taker));
            if found.network.links.get(place).is_some_and(|link| (link.from, link.to) == (giver, taker)) {
                links.push(place);
            }
        }
        at = before;
    }
    let words =
        format!("{steps} step{} from {}, known as bad", if steps == 1 { "" } else { "s" }, found.network.name(at));
    Finding::new(&CONFIRMED_PATH, vec![row], links, 1.0 / f64::from(steps), words)
}
