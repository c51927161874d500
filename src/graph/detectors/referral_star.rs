//! Stars: one member refers many, and those only collect. The number alone says nothing: the
//! best ambassador has it too. What the referred then do tells them apart.

use super::{Detector, Finding, ramp, referrers};
use crate::graph::features::lockstep::{DAY, InTime};
use crate::graph::found::Found;

/// Star farm.
pub static REFERRAL_STAR: Detector = Detector {
    name: "referral-star",
    version: 1,
    family: "referrals",
    scored: true,
    clears: "referred members who come on different days and go on buying, each in its own way",
};

/// Referred members below which a star is a circle of friends.
const REFERRED_MIN: usize = 5;
/// Share of the referred who must be alike.
const ALIKE_MIN: f64 = 0.5;
/// Days in which those in step came.
const STEP_DAYS: f64 = 7.0;

/// Referrers most of whose referred members never buy, or buy in step.
#[must_use]
pub fn detect(found: &Found) -> Vec<Finding> {
    let purchases = found.network.members.column("purchases");
    let mut set = InTime::default();
    let mut findings = Vec::new();
    for referrer in referrers(found).filter(|referrer| referrer.referred.len() >= REFERRED_MIN) {
        let count = referrer.referred.len() as f64;
        let rows = || referrer.referred.iter().map(|&(_, row)| row);
        let idle = purchases.as_ref().map_or(0, |purchases| rows().filter(|&row| purchases[row] == 0.0).count());
        set.fill(rows(), &found.base);
        let in_step = set.lockstep(&found.base, STEP_DAYS * DAY);
        // In step with half of the others, not with one of them.
        let in_step = in_step.iter().filter(|(_, others)| f64::from(*others) >= (count - 1.0) / 2.0).count();
        let alike = (idle.max(in_step)) as f64 / count;
        if alike < ALIKE_MIN {
            continue;
        }
        let words = if idle >= in_step {
            format!("referred {count} members, {idle} of whom never bought anything")
        } else {
            format!("referred {count} members, {in_step} of whom came in one week and spent the same")
        };
        let strength = (0.3 + 0.7 * ramp(alike, ALIKE_MIN, 0.9)) * (0.6 + 0.4 * ramp(count, 5.0, 20.0));
        let members = rows().chain([referrer.row]).collect();
        let links = referrer.referred.iter().map(|&(link, _)| link).collect();
        findings.push(Finding::new(&REFERRAL_STAR, members, links, strength, words));
    }
    findings
}
