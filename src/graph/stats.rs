//! Small statistics that several parts need. Missing values are not numbers.

/// The quantile of sorted values, linear between neighbours.
///
/// # Panics
/// When there is no value.
#[must_use]
pub fn quantile_sorted(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let low = place.floor();
    let (one, next) = (sorted[low as usize], sorted[(low as usize + 1).min(sorted.len() - 1)]);
    one + (next - one) * (place - low)
}

/// The median; nothing of nothing.
#[must_use]
pub fn median(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    values.sort_unstable_by(f64::total_cmp);
    quantile_sorted(values, 0.5)
}

/// The mean of those that are numbers.
#[must_use]
pub fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0_u32);
    for value in values.filter(|value| value.is_finite()) {
        sum += value;
        count += 1;
    }
    sum / f64::from(count)
}

/// The population standard deviation of those that are numbers.
#[must_use]
pub fn deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let middle = mean(values.clone());
    mean(values.map(|value| (value - middle) * (value - middle))).sqrt()
}

/// Ranks as shares of those that are numbers, above 0 up to 1; equal values share the average.
#[must_use]
pub fn percentile_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).filter(|&place| values[place].is_finite()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![f64::NAN; values.len()];
    let count = order.len() as f64;
    let mut begin = 0;
    for same in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = (begin + begin + same.len() + 1) as f64 / 2.0 / count;
        for &place in same {
            ranks[place] = rank;
        }
        begin += same.len();
    }
    ranks
}
