//! What a member has in common with those one or two steps away.

use super::lockstep::DAY;
use super::{Table, features};
use crate::graph::found::{Found, THROUGH_MAX};
use crate::graph::stats::median;

features! {
    NEAR = "p_n", Free, "pairs", "members one or two steps away";
    SPEND_APART = "p_medv", Less, "pairs", "median distance in spend to members one or two steps away";
    SAME_DAY = "p_1ds", More, "pairs", "share of members one or two steps away who came within a day";
}

/// Calls back with the rows of the distinct members at distance one, and two through a node with few.
pub fn near_members(found: &Found, mut each: impl FnMut(usize, &[usize])) {
    let (network, base) = (found.network, &found.base);
    let mut seen = vec![usize::MAX; network.members.len()];
    let mut near = Vec::new();
    for (row, &node) in network.members.nodes.iter().enumerate() {
        near.clear();
        seen[row] = row;
        let mut take = |other: u32| {
            if let Some(other) = network.row(other)
                && seen[other] != row
            {
                seen[other] = row;
                near.push(other);
            }
        };
        for &through in base.graph.neighbours(node) {
            take(through);
            if base.member_degree[through as usize] <= THROUGH_MAX {
                base.graph.neighbours(through).iter().for_each(|&other| take(other));
            }
        }
        each(row, &near);
    }
}

/// Adds them.
pub fn add(found: &Found, table: &mut Table) {
    let base = &found.base;
    let count = found.network.members.len();
    let (mut number, mut apart, mut same_day) = (Vec::with_capacity(count), Vec::new(), Vec::new());
    let mut distances = Vec::new();
    near_members(found, |row, near| {
        number.push(near.len() as f64);
        distances.clear();
        let spend = near.iter().map(|&other| (base.spend[row] - base.spend[other]).abs());
        distances.extend(spend.filter(|distance| distance.is_finite()));
        apart.push(median(&mut distances));
        let day = near.iter().filter(|&&other| (base.first[row] - base.first[other]).abs() < DAY).count();
        same_day.push(day as f64 / near.len() as f64);
    });
    table.push(&NEAR, number);
    table.push(&SPEND_APART, apart);
    table.push(&SAME_DAY, same_day);
}
