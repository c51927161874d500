//! Shared infrastructure: nodes that very different members lead to (an office's address, a
//! carrier's gateway, a shop's terminal, an exchange) and that therefore say nothing about any
//! of them. Found by the diversity of their members, never by their number: what a ring shares
//! has members who came together, however many they are.

use super::base::Base;
use super::network::Network;
use super::stats::quantile_sorted;

/// Fewer members than this on a node say nothing about diversity.
const MEMBERS_MIN: usize = 3;
/// Quartiles of the members' ranks by joining time that lie further apart are diverse.
const SPREAD_MIN: f64 = 0.15;

/// Which nodes are shared infrastructure. Members never are, nor cards, payout accounts and
/// devices. When the caller named the services, those are taken.
#[must_use]
pub fn infrastructure(network: &Network, base: &Base) -> Vec<bool> {
    let mut shared = vec![false; network.node_count()];
    for &node in &network.infrastructure {
        shared[node as usize] = !network.is_member(node);
    }
    if !network.infrastructure.is_empty() {
        return shared;
    }
    let mut ranks = Vec::new();
    for node in base.graph.nodes() {
        let instrument = network.identifier(node).is_some_and(super::network::Kind::is_instrument);
        if instrument || network.is_member(node) || base.graph.degree(node) < MEMBERS_MIN {
            continue;
        }
        ranks.clear();
        let rows = base.graph.neighbours(node).iter().filter_map(|&other| network.row(other));
        ranks.extend(rows.map(|row| base.time_rank[row]).filter(|rank| rank.is_finite()));
        if ranks.len() >= MEMBERS_MIN {
            ranks.sort_unstable_by(f64::total_cmp);
            let spread = quantile_sorted(&ranks, 0.75) - quantile_sorted(&ranks, 0.25);
            shared[node as usize] = spread > SPREAD_MIN;
        }
    }
    shared
}
