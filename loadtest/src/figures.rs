//! Figures for people: medians, spreads, percentiles, tables. Nothing here is money.
#![expect(clippy::float_arithmetic, reason = "figures for people")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::time::Duration;

/// Several rounds of one figure.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    /// The smallest.
    pub least: f64,
    /// The one in the middle.
    pub median: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// Of these rounds.
    pub fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        let at = |place: usize| rounds.get(place).copied().unwrap_or(f64::NAN);
        let middle = rounds.len() / 2;
        let median =
            if rounds.len() % 2 == 1 { at(middle) } else { f64::midpoint(at(middle.saturating_sub(1)), at(middle)) };
        Self { least: at(0), median, most: at(rounds.len().saturating_sub(1)) }
    }
    /// `median (least to most)`.
    pub fn text(&self, digits: usize) -> String {
        format!("{:.digits$} ({:.digits$} to {:.digits$})", self.median, self.least, self.most)
    }
    /// The same for programs.
    pub fn json(&self) -> Value {
        json!({"median": self.median, "least": self.least, "most": self.most})
    }
}

/// Microseconds of each.
pub fn micros_each(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e6 / count.max(1) as f64
}

/// How many per second.
pub fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-9)
}

/// One over the other.
pub fn ratio(one: f64, other: f64) -> f64 {
    one / other
}

/// As a float.
pub fn float(count: u64) -> f64 {
    count as f64
}

/// A rate as a whole number of at least one, times `share`.
pub fn rate(per_second: f64, share: f64) -> u32 {
    (per_second * share).clamp(1.0, 4e9).round().to_string().parse().unwrap_or(1)
}

/// Milliseconds at a percentile.
pub fn millis_at(latency: &Histogram<u64>, percentile: f64) -> f64 {
    latency.value_at_percentile(percentile) as f64 / 1e6
}

/// p50, p99, p99.9 and the longest, in milliseconds.
pub fn percentiles(latency: &Histogram<u64>) -> Value {
    json!({
        "p50_ms": millis_at(latency, 50.0), "p99_ms": millis_at(latency, 99.0),
        "p99_9_ms": millis_at(latency, 99.9), "most_ms": latency.max() as f64 / 1e6,
    })
}

/// The same for people.
pub fn percentiles_text(latency: &Histogram<u64>) -> String {
    let at = |percentile| millis_at(latency, percentile);
    let most = latency.max() as f64 / 1e6;
    format!("p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, longest {most:.2} ms", at(50.0), at(99.0), at(99.9))
}

/// Prints rows, the first column as wide as it must be.
pub fn table(title: &str, rows: &[(String, String)]) {
    println!("\n{title}");
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in rows {
        println!("  {name:width$}  {value}");
    }
}

/// A row.
pub fn row(name: impl Into<String>, value: impl Into<String>) -> (String, String) {
    (name.into(), value.into())
}

/// The machine a figure was made on, in a few words.
pub fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("a machine", |rest| rest.trim_start_matches([':', '\t', ' ']));
    let cores = text.matches("processor\t").count();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = memory.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, {} GiB, Linux {}", kib >> 20, kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]).text(1), "2.0 (1.0 to 3.0)");
        assert_eq!(Spread::of(vec![4.0, 1.0, 2.0, 3.0]).text(1), "2.5 (1.0 to 4.0)");
        assert_eq!(rate(1000.4, 0.5), 500);
    }
}
