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

/// Chance with which a bound is exceeded.
const EXCEEDED: f64 = 0.05;
/// Halvings until a bound is as exact as numbers are.
const HALVINGS: usize = 60;

/// The largest share of which `found` or fewer of `of` would still be seen once in twenty: the one-sided
/// upper 95 percent bound of Clopper and Pearson (1934). 1 of nothing. Time grows with `found`.
///
/// ```
/// use ringfence::graph::stats::upper_bound;
/// assert!((upper_bound(0, 598) - 0.004997).abs() < 1e-5);
/// assert!((upper_bound(5, 100) - 0.1022).abs() < 1e-4);
/// assert_eq!((upper_bound(0, 0), upper_bound(7, 7)), (1.0, 1.0));
/// ```
#[must_use]
pub fn upper_bound(found: usize, of: usize) -> f64 {
    if found >= of {
        return 1.0;
    }
    let (mut low, mut high) = (found as f64 / of as f64, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if at_most(found, of, middle) > EXCEEDED {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The chance of `found` or fewer of `of`, each with chance `share`: from the largest term down, as long as
/// they add anything. `share` is above `found / of`, so they fall.
fn at_most(found: usize, of: usize, share: f64) -> f64 {
    if share >= 1.0 {
        return 0.0;
    }
    let ways = ln_factorial(of) - ln_factorial(found) - ln_factorial(of - found);
    let mut term = (ways + found as f64 * share.ln() + (of - found) as f64 * (-share).ln_1p()).exp();
    let mut sum = term;
    for place in (1..=found).rev() {
        term *= place as f64 * (1.0 - share) / ((of - place + 1) as f64 * share);
        sum += term;
        if term < sum * f64::EPSILON {
            break;
        }
    }
    sum
}

/// `ln(n!)`: summed when small, else Stirling's series, whose next term is below `1e-10` there.
fn ln_factorial(number: usize) -> f64 {
    if number < 64 {
        return (2..=number).map(|factor| (factor as f64).ln()).sum();
    }
    let n = number as f64;
    n * n.ln() - n + 0.5 * (std::f64::consts::TAU * n).ln() + 1.0 / (12.0 * n) - 1.0 / (360.0 * n * n * n)
}
