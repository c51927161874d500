//! The score that needs no label: a sum of named terms, each the surprise of being this
//! extreme among the linked members. A term of 3 reads "one in twenty members is this extreme".

use super::features::{Feature, Sign, Table};
use super::found::Found;

/// The features whose tails are summed, and the end that is suspicious. On a network where a
/// feature is the same for everybody its term is 0 for everybody.
const TERMS: [(&str, Sign); 12] = [
    ("f_c1d", Sign::More),
    ("t_n", Sign::More),
    ("f_n", Sign::More),
    ("f_ctw", Sign::More),
    ("hl", Sign::More),
    ("mdsh", Sign::More),
    ("l_mu_leaf", Sign::Less),
    ("l_mu_hubn", Sign::Less),
    ("a_pair", Sign::More),
    ("a_step", Sign::More),
    ("x_distrust", Sign::More),
    ("x_unfair", Sign::More),
];

/// One term of every member.
#[derive(Debug)]
pub struct Term {
    /// What it is the tail of.
    pub feature: &'static Feature,
    /// By row; 0 for members without links.
    pub surprise: Vec<f64>,
}

/// The terms.
///
/// # Panics
/// When the table lacks a feature of ours.
#[must_use]
pub fn terms(found: &Found, table: &Table) -> Vec<Term> {
    let linked: Vec<bool> = (0..found.network.members.len()).map(|row| found.is_linked(row)).collect();
    let term = |&(name, sign): &(&'static str, Sign)| {
        let (feature, values) = table.named(name).expect("a feature of ours");
        Term { feature, surprise: surprise(values, sign, &linked) }
    };
    TERMS.iter().map(term).collect()
}

/// `-ln(1 - r/n)`: of `n` linked members, `r` are less extreme. A missing value is the least extreme.
fn surprise(values: &[f64], sign: Sign, linked: &[bool]) -> Vec<f64> {
    let oriented = |row: usize| {
        let value = if sign == Sign::Less { -values[row] } else { values[row] };
        if value.is_nan() { f64::NEG_INFINITY } else { value }
    };
    let mut order: Vec<usize> = (0..values.len()).filter(|&row| linked[row]).collect();
    order.sort_unstable_by(|&a, &b| oriented(a).total_cmp(&oriented(b)));
    let count = order.len() as f64;
    let mut found = vec![0.0; values.len()];
    let mut below = 0;
    for same in order.chunk_by(|&a, &b| oriented(a) == oriented(b)) {
        for &row in same {
            found[row] = -(1.0 - below as f64 / count).ln();
        }
        below += same.len();
    }
    found
}
