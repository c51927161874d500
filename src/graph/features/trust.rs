//! Distrust that members say of each other, weighed by how fair who says it is: a member's
//! goodness is what fair ones say of it, fairness is agreeing with what comes out (Kumar et al.,
//! ICDM 2016). Without distrust in the network there is nothing to weigh.

use super::{Table, features};
use crate::graph::found::Found;
use crate::graph::network::Link;

features! {
    DISTRUST = "x_distrust", More, "distrust", "distrust by those who judge fairly";
    UNFAIR = "x_unfair", More, "distrust", "judging others unlike everybody else";
}

/// Rounds; each halves what is left to settle.
const ROUNDS: usize = 20;
/// Opinions that everybody has to begin with: one opinion alone moves little.
const PRIOR: f64 = 2.0;

/// Adds them.
pub fn add(found: &Found, table: &mut Table) {
    let network = found.network;
    let count = network.members.len();
    let opinions: Vec<(usize, usize, f64)> =
        if network.links.iter().any(|link| link.weight < 0.0) { opinions(found) } else { Vec::new() };
    let (mut goodness, mut fairness) = (vec![0.0_f64; count], vec![1.0_f64; count]);
    for _ in 0..ROUNDS {
        let (mut sum, mut weight) = (vec![0.0; count], vec![PRIOR; count]);
        for &(from, to, said) in &opinions {
            sum[to] += fairness[from] * said;
            weight[to] += fairness[from];
        }
        goodness = sum.iter().zip(&weight).map(|(sum, weight)| sum / weight).collect();
        let (mut off, mut said_by) = (vec![0.0; count], vec![PRIOR; count]);
        for &(from, to, said) in &opinions {
            off[from] += (said - goodness[to]).abs() / 2.0;
            said_by[from] += 1.0;
        }
        fairness = off.iter().zip(&said_by).map(|(off, said)| 1.0 - off / said).collect();
    }
    table.push(&DISTRUST, goodness.iter().map(|goodness| -goodness).collect());
    table.push(&UNFAIR, fairness.iter().map(|fairness| 1.0 - fairness).collect());
}

/// Who said what of whom, in shares of the strongest word.
fn opinions(found: &Found) -> Vec<(usize, usize, f64)> {
    let links = &found.network.links;
    let between = |link: &&Link| !link.kind.is_identifier() && link.from != link.to;
    let strongest = links.iter().filter(between).map(|link| f64::from(link.weight.abs())).fold(0.0, f64::max);
    let opinion = |link: &Link| {
        let (from, to) = (found.network.row(link.from)?, found.network.row(link.to)?);
        Some((from, to, f64::from(link.weight) / strongest))
    };
    links.iter().filter(between).filter_map(opinion).collect()
}
