//! The same act on the same object at the same time (SynchroTrap; CopyCatch): links that repeat
//! between two, and links of several to one within a day and with the same weight. Only links
//! that have a time can show it; an identifier is no act.

use super::lockstep::DAY;
use super::{Table, features};
use crate::graph::found::Found;
use crate::graph::network::{Link, NO_TIME};

features! {
    REPEATED = "a_pair", More, "repetition", "links between the same two within a week";
    IN_STEP = "a_step", More, "repetition", "links to the same receiver within a day and with the same weight";
}

/// Seconds in which links between the same two repeat.
const PAIR_SECONDS: f64 = 7.0 * DAY;
/// Weights whose logarithms are nearer are the same.
const SAME_WEIGHT: f64 = 0.1;
/// Links of one receiver in its window that are compared with each; busier ones are no sign.
const COMPARED_MAX: usize = 200;

/// Adds them.
pub fn add(found: &Found, table: &mut Table) {
    let is_act = |link: &&Link| link.at != NO_TIME && link.weight >= 0.0 && !link.kind.is_identifier();
    let mut acts: Vec<Link> = found.network.links.iter().filter(is_act).copied().collect();
    acts.sort_by_key(|link| (link.to, link.at));
    let mut repeated = vec![0.0_f64; found.network.members.len()];
    let mut in_step = repeated.clone();
    for of_receiver in acts.chunk_by(|a, b| a.to == b.to) {
        for (place, act) in of_receiver.iter().enumerate() {
            let (mut pair, mut step) = (0.0, 0.0);
            // Each two are met once, from the earlier: both get the count of what follows.
            for other in of_receiver[place + 1..].iter().take(COMPARED_MAX) {
                let apart = f64::from(other.at - act.at);
                if apart >= PAIR_SECONDS {
                    break;
                }
                if other.from == act.from {
                    pair += 1.0;
                }
                let ratio = f64::from(other.weight / act.weight).ln();
                if apart < DAY && ratio.abs() < SAME_WEIGHT {
                    step += 1.0;
                    raise(found, &mut in_step, other, step);
                }
                if other.from == act.from {
                    raise(found, &mut repeated, other, pair);
                }
            }
            raise(found, &mut repeated, act, pair);
            raise(found, &mut in_step, act, step);
        }
    }
    table.push(&REPEATED, repeated);
    table.push(&IN_STEP, in_step);
}

/// Both ends had a part in it.
fn raise(found: &Found, column: &mut [f64], act: &Link, count: f64) {
    for row in [act.from, act.to].into_iter().filter_map(|node| found.network.row(node)) {
        column[row] = column[row].max(count);
    }
}
