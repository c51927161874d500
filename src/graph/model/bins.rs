//! Values cut into pieces at the quantiles of those it was fitted on.

/// Pieces that the values are cut into.
const PIECES: usize = 32;

/// Distinct lower quantiles of the values that are numbers.
#[must_use]
pub fn edges(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    if sorted.is_empty() {
        return Vec::new();
    }
    let at = |piece: usize| sorted[(sorted.len() - 1) * piece / PIECES];
    let mut edges: Vec<f64> = (1..PIECES).map(at).collect();
    edges.dedup();
    edges
}

/// The piece of a value: 0 when it is missing, else one more than the edges below it.
#[must_use]
pub fn bin(edges: &[f64], value: f64) -> usize {
    if value.is_nan() { 0 } else { 1 + edges.partition_point(|&edge| edge < value) }
}
