//! Chains: each member refers exactly one, soon after having come, and so on. Friends refer
//! friends, but at their own pace and not one each.

use super::{Detector, Finding, ramp, referrers};
use crate::graph::features::lockstep::DAY;
use crate::graph::found::Found;
use std::collections::BTreeMap;

/// Chain farm.
pub static REFERRAL_CHAIN: Detector = Detector {
    name: "referral-chain",
    version: 1,
    family: "referrals",
    scored: true,
    clears: "standing purchases of the members of the chain at different merchants",
};

/// Members in a chain.
const LENGTH_MIN: usize = 4;
/// Each comes at most this long after the one before.
const PACE_SECONDS: f64 = 3.0 * DAY;

/// Longest chains of single referrals that follow one another quickly.
#[must_use]
pub fn detect(found: &Found) -> Vec<Finding> {
    let only: BTreeMap<usize, (usize, usize)> = referrers(found)
        .filter(|referrer| referrer.referred.len() == 1)
        .map(|referrer| (referrer.row, referrer.referred[0]))
        .filter(|(row, (_, next))| {
            let apart = found.base.first[*next] - found.base.first[*row];
            (0.0..PACE_SECONDS).contains(&apart)
        })
        .collect();
    let mut is_next = vec![false; found.network.members.len()];
    for &(_, next) in only.values() {
        is_next[next] = true;
    }
    let mut taken = vec![false; found.network.members.len()];
    let mut findings = Vec::new();
    for &start in only.keys().filter(|&&row| !is_next[row]) {
        let (mut members, mut links) = (vec![start], Vec::new());
        let mut at = start;
        while let Some(&(link, next)) = only.get(&at)
            && !std::mem::replace(&mut taken[next], true)
        {
            members.push(next);
            links.push(link);
            at = next;
        }
        if members.len() >= LENGTH_MIN {
            let words = format!("a chain of {} members, each referring only the next within days", members.len());
            let strength = 0.4 + 0.6 * ramp(members.len() as f64, 4.0, 10.0);
            findings.push(Finding::new(&REFERRAL_CHAIN, members, links, strength, words));
        }
    }
    findings
}
