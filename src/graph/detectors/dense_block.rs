//! Dense blocks (FRAUDAR) whose members came together: many who all link the same many.
//! Popular honest cores are dense too, so a block alone is no finding.

use super::{Detector, Finding, ramp};
use crate::graph::algorithms::fraudar::blocks;
use crate::graph::features::lockstep::{DAY, InTime};
use crate::graph::found::Found;
use crate::graph::network::Node;

/// Dense block.
pub static DENSE_BLOCK: Detector = Detector {
    name: "dense-block",
    version: 1,
    family: "shape",
    scored: false,
    clears: "a reason to share these contacts (one employer, one building) and arrivals at different times",
};

/// Blocks that are looked for.
const BLOCKS: usize = 5;
/// Members of a block.
const MEMBERS_MIN: usize = 4;
/// Share of the block's members who came within a day of another, above which they came together.
const TOGETHER_MIN: f64 = 0.5;
/// Blocks with more of the members than this are the network.
const SHARE_MAX: f64 = 0.05;

/// Dense blocks of members who came together.
#[must_use]
pub fn detect(found: &Found) -> Vec<Finding> {
    let network = found.network;
    let kept = |node: Node| !found.shared[node as usize];
    let links = network.links.iter().filter(|link| link.weight >= 0.0 && link.from != link.to);
    let mut pairs: Vec<(Node, Node)> =
        links.filter(|link| kept(link.from) && kept(link.to)).map(|link| (link.from, link.to)).collect();
    pairs.dedup();
    let mut set = InTime::default();
    let mut findings = Vec::new();
    for block in blocks(&pairs, network.node_count(), BLOCKS) {
        let mut members: Vec<usize> =
            block.givers.iter().chain(&block.receivers).filter_map(|&node| network.row(node)).collect();
        members.sort_unstable();
        members.dedup();
        if members.len() < MEMBERS_MIN || members.len() as f64 > SHARE_MAX * network.members.len() as f64 {
            continue;
        }
        set.fill(members.iter().copied(), &found.base);
        let together = set.near(DAY).filter(|(_, others)| *others > 0).count() as f64 / members.len() as f64;
        if together < TOGETHER_MIN {
            continue;
        }
        let words = format!(
            "a block of {} givers and {} receivers, {:.1} links each, most of whom came together",
            block.givers.len(),
            block.receivers.len(),
            block.density
        );
        let strength = 0.3 + 0.4 * ramp(together, TOGETHER_MIN, 1.0);
        findings.push(Finding::new(&DENSE_BLOCK, members, Vec::new(), strength, words));
    }
    findings
}
