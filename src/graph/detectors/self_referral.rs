//! Self-referral: the referrer and the referred are one person, seen by an identifier of both.

use super::{Detector, Finding, referrers};
use crate::graph::found::Found;
use crate::graph::network::{Kind, Node};

/// Self-referral.
pub static SELF_REFERRAL: Detector = Detector {
    name: "self-referral",
    version: 1,
    family: "referrals",
    scored: true,
    clears: "two persons of one household: separate names and cards, purchases at different places",
};

/// Members on an identifier above which it is a public place, whatever its kind.
const MEMBERS_MAX: u32 = 50;

/// Referrals between two who share an identifier that is no infrastructure.
#[must_use]
pub fn detect(found: &Found) -> Vec<Finding> {
    let network = found.network;
    let mut findings = Vec::new();
    for (place, link) in network.links.iter().enumerate() {
        if link.kind == Kind::REFERRAL
            && link.from == link.to
            && let Some(row) = network.row(link.from)
        {
            let words = "referred itself".to_owned();
            findings.push(Finding::new(&SELF_REFERRAL, vec![row], vec![place], 1.0, words));
        }
    }
    for referrer in referrers(found) {
        for (place, row) in referrer.referred {
            let shared = shared_identifiers(found, referrer.row, row);
            let Some(&(_, strongest)) = shared.first() else { continue };
            let instrument = shared.iter().any(|(_, kind)| kind.is_instrument());
            // An address may be a household's; an instrument, or two identifiers, are one person's.
            let strength = match (instrument, shared.len()) {
                (true, 1) => 0.7,
                (true, _) => 1.0,
                (false, 1) => 0.3,
                (false, _) => 0.6,
            };
            let word = network.word(strongest);
            let others = match shared.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            let words = format!("referrer and referred share a {word}{others}");
            let members = vec![referrer.row, row];
            findings.push(Finding::new(&SELF_REFERRAL, members, vec![place], strength, words));
        }
    }
    findings
}

/// Identifiers of both, instruments first.
pub(super) fn shared_identifiers(found: &Found, one: usize, other: usize) -> Vec<(Node, Kind)> {
    let nodes = &found.network.members.nodes;
    let of_other = found.base.graph.neighbours(nodes[other]);
    let mut shared: Vec<(Node, Kind)> = found
        .base
        .graph
        .neighbours(nodes[one])
        .iter()
        .filter(|&&node| !found.shared[node as usize] && found.base.member_degree[node as usize] <= MEMBERS_MAX)
        .filter(|node| of_other.binary_search(node).is_ok())
        .filter_map(|&node| Some((node, found.network.identifier(node)?)))
        .collect();
    shared.sort_by_key(|(_, kind)| !kind.is_instrument());
    shared
}
