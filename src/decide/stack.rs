//! Several offers on one purchase: which of a group gives, and where the purchase is used up.

use super::judge::Line;
use super::refusal::Refusal;
use crate::domain::offer::{Reward, StackingMode, Terms};

/// An offer that looks at a purchase, with what it gives so far.
pub(super) struct Candidate<'a> {
    /// What it gives, or why not.
    pub line: Line,
    /// Its terms.
    pub terms: &'a Terms,
    /// The reward of those terms that is given here.
    pub reward: &'a Reward,
}

/// What a line's budget leaves of it, and what is to be asked of the budget; the flag says
/// whether there is one.
pub(super) type Verdict<'a> = &'a dyn Fn(&Line, bool) -> (i64, Option<i64>);

/// Of each group's exclusive offers only the best for the member gives: by what the terms
/// give under caps and verdicts, then priority, then id. `verdict` says what a line's budget
/// leaves of it, as far as that is known.
pub(super) fn choose(candidates: &mut [Candidate<'_>], verdict: Verdict<'_>) {
    let is_exclusive = |candidate: &Candidate<'_>| {
        candidate.terms.stacking.mode == StackingMode::Exclusive && candidate.line.terms_minor > 0
    };
    if candidates.iter().filter(|candidate| is_exclusive(candidate)).count() < 2 {
        return;
    }
    let left: Vec<i64> = candidates
        .iter()
        .map(|candidate| {
            let terms = candidate.terms;
            verdict(&candidate.line, terms.is_budgeted()).0
        })
        .collect();
    let value = |place: usize| {
        let Candidate { terms, reward, line } = &candidates[place];
        (reward.what.worth_minor(left[place]), terms.stacking.priority, std::cmp::Reverse(&line.offer))
    };
    let mut beaten = Vec::new();
    for (place, candidate) in candidates.iter().enumerate().filter(|(_, candidate)| is_exclusive(candidate)) {
        let group = &candidate.terms.stacking.group;
        let is_rival = |other: usize| {
            other == place
                || (group.is_some()
                    && is_exclusive(&candidates[other])
                    && candidates[other].terms.stacking.group == *group)
        };
        let best = (0..candidates.len()).filter(|other| is_rival(*other)).max_by_key(|other| value(*other));
        if let Some(best) = best.filter(|best| *best != place) {
            beaten.push((place, candidates[best].line.offer.clone()));
        }
    }
    for (place, by) in beaten {
        let line = &mut candidates[place].line;
        line.due_minor = 0;
        if left[place] == 0 {
            // Its own budget beat it: what it asked for is remembered, or it would ask again.
            continue;
        }
        (line.terms_minor, line.kept_minor) = (0, 0);
        line.refusal = Some(Refusal::ExcludedByAnother { by });
    }
}

/// Combined offers go in order of priority, then id, and the total of money is cut to the
/// purchase from the last.
pub(super) fn cut_to_purchase(candidates: &mut [Candidate<'_>], worth_minor: i64) {
    let gives_money =
        |candidate: &Candidate<'_>| candidate.line.terms_minor > 0 && candidate.line.unit.currency().is_some();
    let mut order: Vec<usize> = (0..candidates.len()).filter(|place| gives_money(&candidates[*place])).collect();
    if order.len() < 2 {
        return; // A lone reward was cut to the purchase where it was made.
    }
    order.sort_by_key(|place| {
        (std::cmp::Reverse(candidates[*place].terms.stacking.priority), candidates[*place].line.offer.clone())
    });
    let mut left = worth_minor;
    for place in order {
        let line = &mut candidates[place].line;
        let cut = line.terms_minor.min(left);
        left -= cut;
        if cut == 0 {
            line.refusal = Some(Refusal::PurchaseCovered);
        }
        line.terms_minor = cut;
        line.due_minor = cut;
    }
}
