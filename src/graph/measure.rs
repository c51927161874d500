//! How well scores tell bad members from honest ones, with intervals over communities: members
//! of one community stand and fall together, so they are drawn together.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A scored member whose label is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// The score; higher is worse.
    pub score: f64,
    /// The label.
    pub bad: bool,
    /// The community it belongs to.
    pub community: u32,
}

/// The usual figures.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Figures {
    /// Chance that a bad member scores above an honest one; ties count half.
    pub auroc: f64,
    /// Average precision.
    pub average_precision: f64,
    /// Share of bad ones among the hundred highest.
    pub precision_at_100: f64,
    /// Share of bad ones found when one honest member in a hundred is flagged.
    pub recall_at_1_percent: f64,
}

/// A figure and the interval in which 95 of 100 draws of communities lie.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    /// 2.5 percent of the draws are lower.
    pub low: f64,
    /// 2.5 percent of the draws are higher.
    pub high: f64,
}

/// Share of honest members that may be flagged.
const FALSE_POSITIVES_MAX: f64 = 0.01;
/// Those that a reviewer looks at first.
const FIRST: f64 = 100.0;

/// The figures; nothing when there is no bad or no honest one.
#[must_use]
pub fn figures(judged: &[Judged]) -> Option<Figures> {
    let mut sorted = judged.to_vec();
    sort(&mut sorted);
    weighted(&sorted, |_| 1.0)
}

fn sort(judged: &mut [Judged]) {
    judged.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
}

/// Of members by falling score, each as often as its community was drawn.
fn weighted(sorted: &[Judged], weight: impl Fn(u32) -> f64) -> Option<Figures> {
    let total =
        |bad: bool| -> f64 { sorted.iter().filter(|one| one.bad == bad).map(|one| weight(one.community)).sum() };
    let (all_bad, all_good) = (total(true), total(false));
    if all_bad == 0.0 || all_good == 0.0 {
        return None;
    }
    let (mut bad, mut good, mut area, mut precision, mut recall) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let (mut first_seen, mut first_bad) = (0.0, 0.0);
    for tied in sorted.chunk_by(|a, b| a.score == b.score) {
        let (mut bad_here, mut good_here) = (0.0, 0.0);
        for one in tied {
            let weight = weight(one.community);
            if one.bad {
                bad_here += weight;
            } else {
                good_here += weight;
            }
        }
        let here = bad_here + good_here;
        if here == 0.0 {
            continue;
        }
        // Tied members come to the first hundred in equal shares.
        let taken = here.min((FIRST - first_seen).max(0.0));
        first_bad += bad_here * taken / here;
        first_seen += taken;
        area += good_here * (bad + bad_here / 2.0);
        bad += bad_here;
        good += good_here;
        precision += bad_here * bad / (bad + good);
        if good <= FALSE_POSITIVES_MAX * all_good {
            recall = bad / all_bad;
        }
    }
    Some(Figures {
        auroc: area / (all_bad * all_good),
        average_precision: precision / all_bad,
        precision_at_100: first_bad / first_seen,
        recall_at_1_percent: recall,
    })
}

/// Intervals of AUROC and of the recall, over draws of communities with replacement.
#[must_use]
pub fn intervals(judged: &[Judged], draws: usize, seed: u64) -> Option<(Interval, Interval)> {
    let mut sorted = judged.to_vec();
    let mut communities: Vec<u32> = judged.iter().map(|one| one.community).collect();
    communities.sort_unstable();
    communities.dedup();
    for one in &mut sorted {
        let place = communities.binary_search(&one.community).expect("collected above");
        one.community = u32::try_from(place).expect("no more than members");
    }
    sort(&mut sorted);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut areas, mut recalls) = (Vec::new(), Vec::new());
    for _ in 0..draws {
        let mut times = vec![0.0_f64; communities.len()];
        for _ in 0..communities.len() {
            times[below(&mut random, communities.len())] += 1.0;
        }
        if let Some(figures) = weighted(&sorted, |community| times[community as usize]) {
            areas.push(figures.auroc);
            recalls.push(figures.recall_at_1_percent);
        }
    }
    Some((interval(areas)?, interval(recalls)?))
}

/// A number below a bound, each as likely.
pub fn below(random: &mut impl Rng, bound: usize) -> usize {
    let wide = u128::from(random.next_u64()) * (bound as u128);
    usize::try_from(wide >> 64).expect("below the bound")
}

/// The middle 95 percent of draws.
#[must_use]
pub fn interval(mut draws: Vec<f64>) -> Option<Interval> {
    if draws.is_empty() {
        return None;
    }
    draws.sort_unstable_by(f64::total_cmp);
    let at = |share| super::stats::quantile_sorted(&draws, share);
    Some(Interval { low: at(0.025), high: at(0.975) })
}
