//! Who came at the same time and spent the same: counted within one set of members.

use crate::graph::base::Base;

/// One day, in seconds.
pub const DAY: f64 = 86_400.0;
/// Logarithms of spend nearer than this are the same spend, about a tenth.
pub const SAME_SPEND: f64 = 0.1;
/// Sets up to this size are compared pair by pair.
const PAIRWISE_MAX: usize = 48;

/// A set of members in order of time, those without a time left out.
#[derive(Debug, Default)]
pub struct InTime {
    /// First seen and row.
    pub points: Vec<(f64, usize)>,
}

impl InTime {
    /// Sorts the rows of a set.
    pub fn fill(&mut self, rows: impl Iterator<Item = usize>, base: &Base) {
        self.points.clear();
        self.points.extend(rows.map(|row| (base.first[row], row)).filter(|(at, _)| at.is_finite()));
        self.points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    }

    /// For each point, how many others lie less than `within` seconds away.
    pub fn near(&self, within: f64) -> impl Iterator<Item = (usize, u32)> {
        let (mut low, mut high) = (0, 0);
        self.points.iter().map(move |&(at, row)| {
            while self.points[low].0 <= at - within {
                low += 1;
            }
            while high < self.points.len() && self.points[high].0 < at + within {
                high += 1;
            }
            (row, u32::try_from(high - low - 1).expect("no more than members"))
        })
    }

    /// For each point, how many others lie less than `within` seconds away and spent the same.
    #[must_use]
    pub fn lockstep(&self, base: &Base, within: f64) -> Vec<(usize, u32)> {
        if self.points.len() <= PAIRWISE_MAX {
            let same = |a: &(f64, usize), b: &(f64, usize)| {
                (a.0 - b.0).abs() < within && (base.spend[a.1] - base.spend[b.1]).abs() < SAME_SPEND
            };
            let count = |point: &(f64, usize)| {
                self.points.iter().filter(|other| other.1 != point.1 && same(point, other)).count()
            };
            let number = |count| u32::try_from(count).expect("at most the bound");
            return self.points.iter().map(|point| (point.1, number(count(point)))).collect();
        }
        self.lockstep_by_tree(base, within)
    }

    /// The window slides over time; a Fenwick tree counts what is in it by spend.
    fn lockstep_by_tree(&self, base: &Base, within: f64) -> Vec<(usize, u32)> {
        let spend = |place: usize| base.spend[self.points[place].1];
        let mut values: Vec<f64> = (0..self.points.len()).map(spend).filter(|value| value.is_finite()).collect();
        values.sort_unstable_by(f64::total_cmp);
        let mut tree = Fenwick(vec![0; values.len() + 1]);
        let place_of = |value: f64| values.partition_point(|&other| other < value);
        let (mut low, mut high) = (0, 0);
        let mut found = Vec::with_capacity(self.points.len());
        for &(at, row) in &self.points {
            while high < self.points.len() && self.points[high].0 < at + within {
                if spend(high).is_finite() {
                    tree.add(place_of(spend(high)), 1);
                }
                high += 1;
            }
            while self.points[low].0 <= at - within {
                if spend(low).is_finite() {
                    tree.add(place_of(spend(low)), -1);
                }
                low += 1;
            }
            let mine = base.spend[row];
            let count = if mine.is_finite() {
                let above = values.partition_point(|&other| other - mine < SAME_SPEND);
                let below = values.partition_point(|&other| mine - other >= SAME_SPEND);
                tree.below(above) - tree.below(below) - 1
            } else {
                0
            };
            found.push((row, u32::try_from(count).expect("at least itself was counted")));
        }
        found
    }
}

/// Counts by place, with sums of all before a place in logarithmic time.
struct Fenwick(Vec<i32>);

impl Fenwick {
    fn add(&mut self, place: usize, change: i32) {
        let mut node = place + 1;
        while node < self.0.len() {
            self.0[node] += change;
            node += node & node.wrapping_neg();
        }
    }

    fn below(&self, place: usize) -> i32 {
        let (mut node, mut sum) = (place, 0);
        while node > 0 {
            sum += self.0[node];
            node &= node - 1;
        }
        sum
    }
}

#[cfg(test)]
#[path = "lockstep_tests.rs"]
mod tests;
