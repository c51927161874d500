//! Several offers on one purchase: which of a group gives, and where the purchase is used up.

use super::judge::Line;
use super::refusal::Refusal;
use crate::domain::offer::{Reward, StackingMode, Terms};

/// An offer that looks at a purchase, beside the line that says what it gives.
pub(super) struct Candidate<'a> {
    /// Its terms.
    pub terms: &'a Terms,
    /// The reward of those terms that is given here.
    pub reward: &'a Reward,
    /// Its number in this judging.
    pub number: usize,
}

/// What a line's budget leaves of it, and what is to be asked of the budget.
pub(super) type Verdict<'a> = &'a dyn Fn(&Line, &Terms) -> (i64, Option<i64>);

/// Of each group's exclusive offers only the best for the member gives: by what the terms
/// give under caps and verdicts, then priority, then id. `verdict` says what a line's budget
/// leaves of it, as far as that is known.
pub(super) fn choose(lines: &mut [Line], candidates: &[Candidate<'_>], verdict: Verdict<'_>) {
    let is_exclusive =
        |place: usize| candidates[place].terms.stacking.mode == StackingMode::Exclusive && lines[place].terms_minor > 0;
    let exclusive: Vec<usize> = (0..lines.len()).filter(|place| is_exclusive(*place)).collect();
    if exclusive.len() < 2 {
        return;
    }
    let left = |place: usize| verdict(&lines[place], candidates[place].terms).0;
    let value = |place: usize| {
        let Candidate { terms, reward, .. } = &candidates[place];
        (reward.what.worth_minor(left(place)), terms.stacking.priority, std::cmp::Reverse(&lines[place].offer))
    };
    let mut beaten = Vec::new();
    for place in exclusive.iter().copied() {
        let group = &candidates[place].terms.stacking.group;
        let is_rival =
            |other: usize| other == place || (group.is_some() && candidates[other].terms.stacking.group == *group);
        let rivals = exclusive.iter().copied().filter(|other| is_rival(*other));
        if let Some(best) = rivals.max_by_key(|other| value(*other)).filter(|best| *best != place) {
            beaten.push((place, left(place), lines[best].offer.clone()));
        }
    }
    for (place, left, by) in beaten {
        let line = &mut lines[place];
        line.due_minor = 0;
        if left == 0 {
            // Its own budget beat it: what it asked for is remembered, or it would ask again.
            continue;
        }
        (line.terms_minor, line.kept_minor) = (0, 0);
        line.refusal = Some(Refusal::ExcludedByAnother { by });
    }
}

/// Combined offers go in order of priority, then id, and the total of money is cut to the
/// purchase from the last. The lines are by id.
pub(super) fn cut_to_purchase(lines: &mut [Line], candidates: &[Candidate<'_>], worth_minor: i64) {
    let gives_money = |line: &Line| line.terms_minor > 0 && line.unit.currency().is_some();
    let money = lines.iter().filter(|line| gives_money(line));
    let total = money.fold(0_i64, |sum, line| sum.saturating_add(line.terms_minor));
    if total <= worth_minor {
        return; // A lone reward was cut to the purchase where it was made.
    }
    let mut order: Vec<usize> = (0..lines.len()).filter(|place| gives_money(&lines[*place])).collect();
    if order.len() < 2 {
        return;
    }
    order.sort_by_key(|place| std::cmp::Reverse(candidates[*place].terms.stacking.priority));
    let mut left = worth_minor;
    for place in order {
        let line = &mut lines[place];
        let cut = line.terms_minor.min(left);
        left -= cut;
        if cut == 0 {
            line.refusal = Some(Refusal::PurchaseCovered);
        }
        line.terms_minor = cut;
        line.due_minor = cut;
    }
}
