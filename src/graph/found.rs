//! What is found in a network before any figure is taken: shared infrastructure, and who
//! belongs together, by several readings of "together".

use super::algorithms::components::{UnionFind, components};
use super::algorithms::louvain::louvain;
use super::base::Base;
use super::features::lockstep::DAY;
use super::infrastructure::infrastructure;
use super::network::{Network, Node};

/// Resolution of the fine communities: sixteen times what modularity has.
const FINE: f64 = 16.0;
/// Members on one node who came within this of each other, one after the other, came together.
const TOGETHER_SECONDS: f64 = 7.0 * DAY;
/// A node that more members than this lead to says little about two of them.
pub const THROUGH_MAX: u32 = 100;

/// Members in groups that do not overlap.
#[derive(Debug, Default)]
pub struct Grouping {
    /// The group of each row.
    pub of_row: Vec<u32>,
    /// Rows of each group, rising; some groups of nodes have no member.
    pub groups: Vec<Vec<usize>>,
}

impl Grouping {
    fn of(group_of: impl Iterator<Item = u32>) -> Self {
        let of_row: Vec<u32> = group_of.collect();
        let mut groups = vec![Vec::new(); of_row.iter().max().map_or(0, |&last| last as usize + 1)];
        for (row, &group) in of_row.iter().enumerate() {
            groups[group as usize].push(row);
        }
        Self { of_row, groups }
    }

    /// The group of a member, itself included.
    #[must_use]
    pub fn mates(&self, row: usize) -> &[usize] {
        &self.groups[self.of_row[row] as usize]
    }
}

/// A network with what was found in it.
#[derive(Debug)]
pub struct Found<'a> {
    /// The network.
    pub network: &'a Network,
    /// Neighbours, times, spend.
    pub base: Base,
    /// Nodes that are shared infrastructure.
    pub shared: Vec<bool>,
    /// The community of each node, infrastructure set aside.
    pub community: Vec<Node>,
    /// Members by community.
    pub communities: Grouping,
    /// Members by fine community.
    pub fine: Grouping,
    /// Members who are linked directly, or over other members.
    pub direct: Grouping,
    /// Members who came soon after one another around the same nodes.
    pub together: Grouping,
}

impl<'a> Found<'a> {
    /// Looks for infrastructure, then for groups without it.
    #[must_use]
    pub fn of(network: &'a Network) -> Self {
        let base = Base::of(network);
        let shared = infrastructure(network, &base);
        let clean = base.graph.without(&shared);
        let nodes = &network.members.nodes;
        let by_node = |groups: &[Node]| Grouping::of(nodes.iter().map(|&node| groups[node as usize]));
        let community = louvain(&clean, 1.0);
        let communities = by_node(&community);
        let fine = by_node(&louvain(&clean, FINE));
        let strangers: Vec<bool> = clean.nodes().map(|node| !network.is_member(node)).collect();
        let direct = by_node(&components(&clean.without(&strangers)));
        let together = together(network, &base, &shared);
        Self { network, base, shared, community, communities, fine, direct, together }
    }

    /// Whether a member has any link.
    #[must_use]
    pub fn is_linked(&self, row: usize) -> bool {
        self.base.graph.degree(self.network.members.nodes[row]) > 0
    }
}

/// Members on one node, in order of time, are tied to the next when it came soon after.
fn together(network: &Network, base: &Base, shared: &[bool]) -> Grouping {
    let mut sets = UnionFind::new(network.members.len());
    let mut around: Vec<(f64, usize)> = Vec::new();
    for node in base.graph.nodes() {
        if shared[node as usize] || base.member_degree[node as usize] > THROUGH_MAX {
            continue;
        }
        let rows = base.graph.neighbours(node).iter().chain(std::iter::once(&node)).filter_map(|&one| network.row(one));
        around.clear();
        around.extend(rows.map(|row| (base.first[row], row)).filter(|(at, _)| at.is_finite()));
        around.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        for pair in around.windows(2) {
            if pair[1].0 - pair[0].0 < TOGETHER_SECONDS {
                let number = |row| Node::try_from(row).expect("fewer members than nodes");
                sets.union(number(pair[0].1), number(pair[1].1));
            }
        }
    }
    Grouping::of((0..).take(network.members.len()).map(|row| sets.root(row)))
}
