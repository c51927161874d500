//! What a budget's verdict leaves of a line, and what stays of it whatever is decided.

use super::judge::{Line, Raises};
use super::refusal::Refusal;
use crate::domain::purchase::Purchase;
use crate::domain::{Timestamp, Unit};

/// What is due of a reward under its budget, and what is to be asked of it. Due is what the
/// terms give, cut to what the budget granted. Lower is free; higher needs a new reservation,
/// and only when the terms rose or the purchase itself spoke.
pub(super) fn verdict(
    line: &Line,
    budgeted: bool,
    purchase: &Purchase,
    own: bool,
    raises: &Raises,
) -> (i64, Option<i64>) {
    if !budgeted {
        return (line.terms_minor, None);
    }
    let (granted, terms_before) = line.had(purchase).map_or((0, 0), |g| (g.amount_minor, g.terms_minor));
    let more = line.terms_minor - granted;
    if more <= 0 {
        return (line.terms_minor, None);
    }
    let may_ask = own || line.terms_minor > terms_before;
    match raises.get(&(purchase.key.clone(), line.offer.clone())) {
        Some(raise) => (granted + raise.minor.min(more), None),
        None if may_ask => (line.terms_minor, Some(more)),
        None => (granted, None),
    }
}

/// Whether it was the day's budget that left less than the terms say: as it was answered now,
/// or when it was last asked.
pub(super) fn by_day(line: &Line, purchase: &Purchase, raises: &Raises) -> bool {
    let before = || line.had(purchase).is_some_and(|grant| grant.day_spent);
    let raise = raises.get(&(purchase.key.clone(), line.offer.clone()));
    raise.map_or_else(before, |raise| raise.day_spent)
}

/// What has expired is due only as far as it was used, and a perk that was used stays, since
/// nobody can give it back.
pub(super) fn keep_what_is_gone_or_used(line: &mut Line, purchase: &Purchase, mark: Timestamp) {
    let used = line.had(purchase).map_or(0, |grant| grant.used_minor);
    if line.due_minor > used && line.expires_at.is_some_and(|at| at <= mark) {
        (line.terms_minor, line.due_minor) = (used, used);
        line.refusal = Some(Refusal::Expired);
    }
    if matches!(line.unit, Unit::Perk(_)) && line.due_minor < used {
        line.kept_minor = used - line.due_minor;
        (line.terms_minor, line.due_minor) = (used, used);
    }
}
