//! Qualify and vanish: members of one referrer who make the one purchase that earns the bonus
//! and never another, or return it.

use super::{Detector, Finding, ramp, referrers};
use crate::graph::found::Found;

/// Qualify and vanish.
pub static QUALIFY_AND_VANISH: Detector = Detector {
    name: "qualify-and-vanish",
    version: 1,
    family: "behaviour",
    scored: true,
    clears: "further purchases of the referred members, at their own times and amounts",
};

/// Referred members below which one purchase each is chance.
const REFERRED_MIN: usize = 4;
/// Share of them who vanished.
const SHARE_MIN: f64 = 0.6;
/// The share must be this many times the whole base's.
const TIMES_BASE: f64 = 1.5;

/// Referrers most of whose referred members bought once, or returned all they bought.
#[must_use]
pub fn detect(found: &Found) -> Vec<Finding> {
    let Some(purchases) = found.network.members.column("purchases") else { return Vec::new() };
    let refunds = found.network.members.column("refunds");
    let vanished = |row: usize| {
        let returned = refunds.as_ref().is_some_and(|refunds| refunds[row] > 0.0 && refunds[row] >= purchases[row]);
        purchases[row] == 1.0 || (purchases[row] > 0.0 && returned)
    };
    let bought = purchases.iter().filter(|&&count| count > 0.0).count();
    let usual = (0..purchases.len()).filter(|&row| vanished(row)).count() as f64 / bought.max(1) as f64;
    let mut findings = Vec::new();
    for referrer in referrers(found).filter(|referrer| referrer.referred.len() >= REFERRED_MIN) {
        let (links, members): (Vec<usize>, Vec<usize>) =
            referrer.referred.iter().copied().filter(|&(_, row)| vanished(row)).unzip();
        let share = members.len() as f64 / referrer.referred.len() as f64;
        if share < SHARE_MIN || share < TIMES_BASE * usual || members.len() < REFERRED_MIN {
            continue;
        }
        let words = format!(
            "{} of {} referred members bought once or returned all; {:.0} percent of the base do",
            members.len(),
            referrer.referred.len(),
            100.0 * usual
        );
        let strength = (0.4 + 0.6 * ramp(share, SHARE_MIN, 1.0)) * (0.6 + 0.4 * ramp(members.len() as f64, 4.0, 12.0));
        let members = members.into_iter().chain([referrer.row]).collect();
        findings.push(Finding::new(&QUALIFY_AND_VANISH, members, links, strength, words));
    }
    findings
}
