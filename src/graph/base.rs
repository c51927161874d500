//! What everything else starts from: neighbours, and when each member was first seen and how
//! much it spent, as such and as ranks.

use super::csr::Csr;
use super::network::{Kind, NO_TIME, Network};
use super::stats::percentile_ranks;

/// Derived once per network.
#[derive(Debug)]
pub struct Base {
    /// Every link that is no distrust, without direction.
    pub graph: Csr,
    /// Member neighbours of each node.
    pub member_degree: Vec<u32>,
    /// First seen, seconds, by row: joined, or else first referred.
    pub first: Vec<f64>,
    /// `first` as a rank among all members.
    pub time_rank: Vec<f64>,
    /// Logarithm of what was spent, by row; of purchases when nobody said what was spent.
    pub spend: Vec<f64>,
    /// `spend` as a rank among all members.
    pub spend_rank: Vec<f64>,
}

impl Base {
    /// Reads a network.
    #[must_use]
    pub fn of(network: &Network) -> Self {
        let graph = Csr::of_network(network);
        let count = |node| graph.neighbours(node).iter().filter(|&&other| network.is_member(other)).count();
        let member_degree = graph.nodes().map(|node| u32::try_from(count(node)).expect("no more than nodes")).collect();
        let first = first_seen(network);
        let spend: Vec<f64> =
            ["spend_minor", "purchases"].iter().find_map(|name| network.members.column(name)).map_or_else(
                || vec![f64::NAN; network.members.len()],
                |values| values.into_iter().map(logarithm).collect(),
            );
        let (time_rank, spend_rank) = (percentile_ranks(&first), percentile_ranks(&spend));
        Self { graph, member_degree, first, time_rank, spend, spend_rank }
    }
}

fn logarithm(value: f64) -> f64 {
    // The greater of a missing value and 1 would be 1.
    if value.is_nan() { value } else { value.max(1.0).ln() }
}

/// Joined; when nobody said, the first time that somebody referred the member. Other links say
/// when an act was, not when its people came.
fn first_seen(network: &Network) -> Vec<f64> {
    let mut first = network.members.joined.clone();
    for link in network.links.iter().filter(|link| link.kind == Kind::REFERRAL) {
        if let Some(row) = network.row(link.to)
            && network.members.joined[row] == NO_TIME
        {
            first[row] = first[row].min(link.at);
        }
    }
    first.into_iter().map(|at| if at == NO_TIME { f64::NAN } else { f64::from(at) }).collect()
}
