//! Sign-up bursts: linked members who came one after the other, far more at a time than the
//! whole base would bring by chance. A campaign brings many too, but to the whole base.

use super::{Detector, Finding, ramp};
use crate::graph::features::lockstep::{DAY, InTime};
use crate::graph::found::Found;

/// Sign-up burst.
pub static SIGNUP_BURST: Detector = Detector {
    name: "signup-burst",
    version: 1,
    family: "timing",
    scored: false,
    clears: "an event that brought them together (an office's day, a class), and purchases in their own ways afterwards",
};

/// Members of a burst.
const MEMBERS_MIN: usize = 6;
/// Surprise below which a burst may be chance, as a logarithm: one in three million.
const SURPRISE_MIN: f64 = 15.0;
/// Surprise of a burst that is beyond doubt.
const SURPRISE_FULL: f64 = 60.0;

/// The busiest day of each group that came together.
#[must_use]
pub fn detect(found: &Found) -> Vec<Finding> {
    let base = &found.base;
    let count = found.network.members.len();
    let mut all = InTime::default();
    all.fill(0..count, base);
    let mut that_day = vec![0.0; count];
    for (row, others) in all.near(DAY) {
        that_day[row] = f64::from(others + 1);
    }
    let mut set = InTime::default();
    let mut findings = Vec::new();
    for rows in found.together.groups.iter().filter(|rows| rows.len() >= MEMBERS_MIN) {
        set.fill(rows.iter().copied(), base);
        let busiest = set.near(DAY).max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(&a.0)));
        let Some((row, others)) = busiest else { continue };
        let members: Vec<usize> =
            set.points.iter().filter(|(at, _)| (at - base.first[row]).abs() < DAY).map(|&(_, row)| row).collect();
        let expected = rows.len() as f64 * that_day[row] / count as f64;
        let seen = f64::from(others + 1);
        // Poisson tail, its leading term.
        let surprise = seen * (seen / expected).ln() - (seen - expected);
        if members.len() < MEMBERS_MIN || seen <= expected || surprise < SURPRISE_MIN {
            continue;
        }
        let words =
            format!("{} linked members came within a day of each other; {expected:.1} would by chance", members.len());
        let strength = 0.3 + 0.7 * ramp(surprise, SURPRISE_MIN, SURPRISE_FULL);
        findings.push(Finding::new(&SIGNUP_BURST, members, Vec::new(), strength, words));
    }
    findings
}
