//! The same questions asked of smaller groups: a ring inside a large honest community is seen
//! by its own arrivals, not by the community's.

use super::group::{counts, group_mean, median_gap, per_group, spread};
use super::member::Own;
use super::{Feature, Table, features};
use crate::graph::base::Base;
use crate::graph::found::{Found, Grouping};

features! {
    FINE_SAME_DAY = "f_c1d", More, "timing", "members of the close group who came within a day";
    FINE_IN_STEP = "f_ctw", More, "lockstep", "members of the close group who came within a week and spent the same";
    FINE_IN_STEP_SHARE = "f_ctw_s", More, "lockstep", "share of the close group who came within a week and spent the same";
    FINE_SIZE = "f_n", More, "size", "members of the close group";
    FINE_GAP = "f_tgap", Less, "timing", "median seconds between arrivals in the close group";
    FINE_TIME_SPREAD = "f_rtsd", Less, "timing", "spread of the close group's arrivals";
    FINE_SPEND_SPREAD = "f_rvsd", Less, "spend", "spread of the close group's spends";
    FINE_MEMBER_SHARE = "f_mu_mdsh", More, "member share", "share of members among the close group's contacts";
    DIRECT_SAME_DAY = "m_c1d", More, "timing", "members reached over members alone who came within a day";
    DIRECT_IN_STEP = "m_ctw", More, "lockstep", "members reached over members alone who came within a week and spent the same";
    DIRECT_IN_STEP_SHARE = "m_ctw_s", More, "lockstep", "share of those reached over members alone who came within a week and spent the same";
    DIRECT_SIZE = "m_n", More, "size", "members reached over members alone";
    DIRECT_GAP = "m_tgap", Less, "timing", "median seconds between arrivals of members reached over members alone";
    DIRECT_TIME_SPREAD = "m_rtsd", Less, "timing", "spread of arrivals of members reached over members alone";
    DIRECT_SPEND_SPREAD = "m_rvsd", Less, "spend", "spread of spends of members reached over members alone";
    DIRECT_MEMBER_SHARE = "m_mu_mdsh", More, "member share", "share of members among the contacts of members reached over members alone";
    TOGETHER = "t_n", More, "timing", "members who came soon after one another around the same contacts";
}

/// Adds them.
pub fn add(found: &Found, own: &Own, table: &mut Table) {
    let fine: [&'static Feature; 8] = [
        &FINE_SAME_DAY,
        &FINE_IN_STEP,
        &FINE_IN_STEP_SHARE,
        &FINE_SIZE,
        &FINE_GAP,
        &FINE_TIME_SPREAD,
        &FINE_SPEND_SPREAD,
        &FINE_MEMBER_SHARE,
    ];
    let direct: [&'static Feature; 8] = [
        &DIRECT_SAME_DAY,
        &DIRECT_IN_STEP,
        &DIRECT_IN_STEP_SHARE,
        &DIRECT_SIZE,
        &DIRECT_GAP,
        &DIRECT_TIME_SPREAD,
        &DIRECT_SPEND_SPREAD,
        &DIRECT_MEMBER_SHARE,
    ];
    for (features, grouping) in [(fine, &found.fine), (direct, &found.direct)] {
        for (feature, column) in features.into_iter().zip(figures(grouping, &found.base, own)) {
            table.push(feature, column);
        }
    }
    table.push(&TOGETHER, per_group(&found.together, |rows| rows.len() as f64));
}

/// In the order of the features.
fn figures(grouping: &Grouping, base: &Base, own: &Own) -> [Vec<f64>; 8] {
    let [same_day, in_step, share] = counts(grouping, base);
    [
        same_day,
        in_step,
        share,
        per_group(grouping, |rows| rows.len() as f64),
        median_gap(grouping, &base.first),
        spread(grouping, &base.time_rank),
        spread(grouping, &base.spend_rank),
        group_mean(grouping, &own.member_share),
    ]
}
