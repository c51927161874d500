//! Calibration: what share of members with about this score is bad, never falling with the
//! score (pool adjacent violators).

/// Share of a chance that follows the score itself, so that no two scores become one.
const STRICT: f64 = 0.01;

/// Chances at rising scores, linear between.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Calibration {
    /// Scores, rising.
    pub scores: Vec<f64>,
    /// The chance at each, never falling.
    pub chances: Vec<f64>,
}

impl Calibration {
    /// From scores of members who were not fitted on, and whether they were bad.
    #[must_use]
    pub fn fit(held_out: &[(f64, bool)]) -> Self {
        let mut sorted = held_out.to_vec();
        sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        // Blocks of sum of scores, bad ones and all.
        let mut blocks: Vec<(f64, f64, f64)> = Vec::new();
        for same in sorted.chunk_by(|a, b| a.0 == b.0) {
            let count = same.len() as f64;
            blocks.push((same[0].0 * count, same.iter().filter(|one| one.1).count() as f64, count));
            while let [.., before, last] = &blocks[..]
                && before.1 * last.2 >= last.1 * before.2
            {
                let joined = (before.0 + last.0, before.1 + last.1, before.2 + last.2);
                blocks.truncate(blocks.len() - 2);
                blocks.push(joined);
            }
        }
        // A mean of equal scores may be off by its last digit: it must not pass the next.
        let rising = |highest: &mut f64, block: &(f64, f64, f64)| {
            *highest = highest.max(block.0 / block.2);
            Some(*highest)
        };
        let scores = blocks.iter().scan(f64::NEG_INFINITY, rising).collect();
        let chances = blocks.iter().map(|block| block.1 / block.2).collect();
        Self { scores, chances }
    }

    /// The chance at a score; higher for a higher score, always.
    #[must_use]
    pub fn chance(&self, score: f64) -> f64 {
        let logistic = 1.0 / (1.0 + (-score).exp());
        let above = self.scores.partition_point(|&known| known < score);
        let at = match (above.checked_sub(1), self.scores.get(above)) {
            (None, None) => logistic,
            (None, Some(_)) => self.chances[above],
            (Some(below), None) => self.chances[below],
            (Some(below), Some(next)) => {
                let share = (score - self.scores[below]) / (next - self.scores[below]);
                self.chances[below] + share * (self.chances[above] - self.chances[below])
            }
        };
        (1.0 - STRICT) * at + STRICT * logistic
    }
}
