//! Refund abuse: a member who gives back far more of its purchases than the base does.

use super::{Detector, Finding, ramp};
use crate::graph::found::Found;

/// Refund abuse.
pub static REFUND_ABUSE: Detector = Detector {
    name: "refund-abuse",
    version: 1,
    family: "behaviour",
    scored: true,
    clears: "refunds that the merchants began, or rewards that were taken back each time",
};

/// Refunds below which a share says nothing.
const REFUNDS_MIN: f64 = 4.0;
/// Share of purchases that were refunded.
const SHARE_MIN: f64 = 0.5;
/// The share must be this many times the whole base's.
const TIMES_BASE: f64 = 4.0;

/// Members most of whose purchases were refunded.
#[must_use]
pub fn detect(found: &Found) -> Vec<Finding> {
    let members = &found.network.members;
    let (Some(purchases), Some(refunds)) = (members.column("purchases"), members.column("refunds")) else {
        return Vec::new();
    };
    let known: Vec<usize> =
        (0..members.len()).filter(|&row| purchases[row] > 0.0 && refunds[row].is_finite()).collect();
    let sum = |values: &[f64]| -> f64 { known.iter().map(|&row| values[row]).sum() };
    let usual = sum(&refunds) / sum(&purchases);
    let abused = |row: usize| {
        let share = refunds[row] / purchases[row];
        (refunds[row] >= REFUNDS_MIN && share >= SHARE_MIN && share >= TIMES_BASE * usual).then_some((row, share))
    };
    let finding = |(row, share): (usize, f64)| {
        let words =
            format!("{} refunds of {} purchases; {:.0} percent is usual", refunds[row], purchases[row], 100.0 * usual);
        let strength = 0.4 + 0.6 * ramp(share, SHARE_MIN, 1.0) * ramp(refunds[row], 2.0, 10.0);
        Finding::new(&REFUND_ABUSE, vec![row], Vec::new(), strength, words)
    };
    known.iter().filter_map(|&row| abused(row)).map(finding).collect()
}
