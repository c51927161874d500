//! What a member's community says.

use super::lockstep::{DAY, InTime};
use super::member::Own;
use super::{Table, features};
use crate::graph::base::Base;
use crate::graph::found::{Found, Grouping};
use crate::graph::stats::{deviation, mean, median};

features! {
    SAME_DAY = "l_c1d", More, "timing", "members of the community who came within a day";
    SIZE = "l_n", More, "size", "members of the community";
    GAP = "l_tgap", Less, "timing", "median seconds between arrivals in the community";
    GAPS_BELOW_DAY = "l_sh1d", More, "timing", "share of arrivals less than a day after the one before";
    TIME_SPREAD = "l_rtsd", Less, "timing", "spread of the community's arrivals";
    IN_STEP = "l_ctw", More, "lockstep", "members of the community who came within a week and spent the same";
    IN_STEP_SHARE = "l_ctw_s", More, "lockstep", "share of the community who came within a week and spent the same";
    SPEND_SPREAD = "l_rvsd", Less, "spend", "spread of the community's spends";
    NODES = "l_nodes", Free, "size", "nodes of the community";
    MEMBERS_OF_NODES = "l_mshare", Free, "member share", "share of the community's nodes who are members";
    TOP_DEGREE = "l_topdeg", Free, "shape", "share of the community around its busiest node";
    MEAN_MEMBER_SHARE = "l_mu_mdsh", More, "member share", "share of members among the community's contacts";
    MEAN_LEAVES = "l_mu_leaf", Less, "member share", "share of the community's contacts that nobody else has";
    MEAN_SHARED = "l_mu_hubn", Less, "member share", "public services that the community uses";
    MEAN_DEGREE = "l_mu_deg", Free, "shape", "contacts of the community's members";
    MEAN_GIVEN = "l_mu_wout", Free, "shape", "weight the community gives per receiver";
    MEAN_BOTH_WAYS = "l_mu_recip", Free, "shape", "share of the community's contacts with links both ways";
}

/// Days in which members of one group in step are looked for.
const STEP_DAYS: f64 = 7.0;

/// Adds them.
pub fn add(found: &Found, own: &Own, table: &mut Table) {
    let (grouping, base) = (&found.communities, &found.base);
    let [same_day, in_step, share] = counts(grouping, base);
    table.push(&SAME_DAY, same_day);
    table.push(&IN_STEP, in_step);
    table.push(&IN_STEP_SHARE, share);
    table.push(&GAP, median_gap(grouping, &base.first));
    table.push(
        &GAPS_BELOW_DAY,
        per_group(grouping, |rows| {
            let gaps = gaps(&base.first, rows);
            gaps.iter().filter(|&&gap| gap < DAY).count() as f64 / gaps.len() as f64
        }),
    );
    table.push(&TIME_SPREAD, spread(grouping, &base.time_rank));
    table.push(&SPEND_SPREAD, spread(grouping, &base.spend_rank));
    shape(found, table);
    for (feature, values) in [
        (&MEAN_MEMBER_SHARE, &own.member_share),
        (&MEAN_LEAVES, &own.leaf_share),
        (&MEAN_SHARED, &own.shared),
        (&MEAN_DEGREE, &own.degree),
        (&MEAN_GIVEN, &own.given),
        (&MEAN_BOTH_WAYS, &own.both_ways),
    ] {
        table.push(feature, group_mean(grouping, values));
    }
}

/// The same value for every member of a group.
pub fn per_group(grouping: &Grouping, value: impl Fn(&[usize]) -> f64) -> Vec<f64> {
    let mut column = vec![f64::NAN; grouping.of_row.len()];
    for rows in &grouping.groups {
        let value = value(rows);
        for &row in rows {
            column[row] = value;
        }
    }
    column
}

/// For each member, mates of its group who came within a day; who came within a week and spent
/// the same; the latter as a share of its mates.
pub fn counts(grouping: &Grouping, base: &Base) -> [Vec<f64>; 3] {
    let count = grouping.of_row.len();
    let (mut same_day, mut in_step, mut share) = (vec![0.0; count], vec![0.0; count], vec![f64::NAN; count]);
    let mut set = InTime::default();
    for rows in grouping.groups.iter().filter(|rows| rows.len() > 1) {
        set.fill(rows.iter().copied(), base);
        for (row, others) in set.near(DAY) {
            same_day[row] = f64::from(others);
        }
        for (row, others) in set.lockstep(base, STEP_DAYS * DAY) {
            in_step[row] = f64::from(others);
            share[row] = f64::from(others) / (rows.len() - 1) as f64;
        }
    }
    [same_day, in_step, share]
}

/// The values of a group that are numbers, rising.
fn sorted(values: &[f64], rows: &[usize]) -> Vec<f64> {
    let mut sorted: Vec<f64> = rows.iter().map(|&row| values[row]).filter(|value| value.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// Distances between neighbours in a group's sorted values.
fn gaps(values: &[f64], rows: &[usize]) -> Vec<f64> {
    sorted(values, rows).windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// The median distance between neighbours in a group's sorted values.
pub fn median_gap(grouping: &Grouping, values: &[f64]) -> Vec<f64> {
    per_group(grouping, |rows| median(&mut gaps(values, rows)))
}

/// The spread of a group's values; none of one member.
pub fn spread(grouping: &Grouping, values: &[f64]) -> Vec<f64> {
    per_group(grouping, |rows| if rows.len() < 2 { f64::NAN } else { deviation(rows.iter().map(|&row| values[row])) })
}

/// The mean of a group's values that are numbers.
pub fn group_mean(grouping: &Grouping, values: &[f64]) -> Vec<f64> {
    per_group(grouping, |rows| mean(rows.iter().map(|&row| values[row])))
}

/// The community's size, and how much of it hangs on one node.
fn shape(found: &Found, table: &mut Table) {
    let count = found.communities.groups.len();
    let (mut nodes, mut top) = (vec![0_u32; count], vec![0_usize; count]);
    for node in found.base.graph.nodes() {
        let group = found.community[node as usize] as usize;
        // Communities without members come after the last with one.
        if group < count {
            nodes[group] += 1;
            let around = found.base.graph.neighbours(node).iter();
            let inside = around.filter(|&&other| found.community[other as usize] as usize == group).count();
            top[group] = top[group].max(inside);
        }
    }
    let column =
        |value: &dyn Fn(usize) -> f64| found.communities.of_row.iter().map(|&group| value(group as usize)).collect();
    let size = |group: usize| found.communities.groups[group].len() as f64;
    table.push(&SIZE, column(&size));
    table.push(&NODES, column(&|group| f64::from(nodes[group])));
    table.push(&MEMBERS_OF_NODES, column(&|group| size(group) / f64::from(nodes[group])));
    table.push(&TOP_DEGREE, column(&|group| top[group] as f64 / f64::from(nodes[group])));
}
