//! Cards, payout accounts and devices of too many members. One device may be a family's; money
//! that many members send to one account is not.

use super::{Detector, Finding, ramp};
use crate::graph::found::Found;
use crate::graph::network::Kind;

/// Shared instrument.
pub static SHARED_INSTRUMENT: Detector = Detector {
    name: "shared-instrument",
    version: 1,
    family: "instruments",
    scored: true,
    clears: "proof that the members are one household, or that the device is a public one",
};

/// Members that one instrument of a kind may honestly have.
fn members_max(kind: Kind) -> usize {
    if kind == Kind::DEVICE { 4 } else { 2 }
}

/// The same by its word.
#[must_use]
pub fn members_max_of(word: &str) -> usize {
    if word == "device" { members_max(Kind::DEVICE) } else { members_max(Kind::CARD) }
}

/// Instruments with more members than they may have.
#[must_use]
pub fn detect(found: &Found) -> Vec<Finding> {
    let network = found.network;
    let mut findings = Vec::new();
    for node in found.base.graph.nodes() {
        let Some(kind) = network.identifier(node).filter(|kind| kind.is_instrument()) else { continue };
        let around = found.base.graph.neighbours(node);
        let members: Vec<usize> = around.iter().filter_map(|&other| network.row(other)).collect();
        let max = members_max(kind);
        if members.len() <= max {
            continue;
        }
        let links = around.iter().filter_map(|&from| {
            let first = network.links.partition_point(|link| (link.from, link.to) < (from, node));
            network.links.get(first).filter(|link| (link.from, link.to) == (from, node)).map(|_| first)
        });
        let words = format!("one {} of {} members", network.word(kind), members.len());
        let strength = 0.5 + 0.5 * ramp(members.len() as f64, max as f64, 3.0 * max as f64);
        findings.push(Finding::new(&SHARED_INSTRUMENT, members, links.collect(), strength, words));
    }
    findings
}
