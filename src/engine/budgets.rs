//! Budgets of offers: reserved before a commit, settled after it, released when it
//! fails. What is granted is counted in the state, per partition, in all and by day; here
//! are its sums and what is reserved at this moment.
//!
//! A day is one of UTC and counts what its records raise. What a later record takes back
//! serves the whole budget again, and no day: yesterday's refund must not let today give
//! twice.

use super::{Engine, EngineError};
use crate::domain::OfferId;
use crate::domain::offer::{Offer, Terms};
use crate::telemetry::BudgetShare;
use std::collections::HashMap;
use std::sync::Mutex;

/// Shares of a budget whose use is told, in percent.
const TOLD: [(u32, BudgetShare); 3] = [(50, BudgetShare::Half), (80, BudgetShare::Most), (100, BudgetShare::All)];

/// The most an offer may give, minor units; `i64::MAX` is without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// In all.
    pub whole: i64,
    /// In one day.
    pub of_day: i64,
}

impl Budget {
    /// No limit.
    pub const NONE: Self = Self { whole: i64::MAX, of_day: i64::MAX };

    /// What some terms say.
    #[must_use]
    pub fn of(terms: &Terms) -> Self {
        let said = |minor: Option<i64>| minor.unwrap_or(i64::MAX);
        Self { whole: said(terms.budget_minor), of_day: said(terms.daily_budget_minor) }
    }
    /// Of the newest published version: a budget raised later serves earlier purchases too.
    #[must_use]
    pub fn in_force(offer: &Offer) -> Self {
        offer.newest_published().map_or(Self::NONE, |version| Self::of(&version.terms))
    }
}

/// How much of a budget is used, in whole percent; `None` without one.
#[must_use]
pub fn used_percent(used: i64, budget: i64) -> Option<u32> {
    let percent = || i128::from(used.max(0)) * 100 / i128::from(budget.max(1));
    (budget != i64::MAX).then(|| u32::try_from(percent()).unwrap_or(u32::MAX))
}

/// The shares that a use has come to, and had not come to before.
fn crossed(before: i64, after: i64, budget: i64) -> impl Iterator<Item = BudgetShare> {
    shares_between(used_percent(before, budget), used_percent(after, budget))
}

/// The shares that are used of other budgets, and were not of those before.
#[must_use]
pub fn lowered(used: Use, before: Budget, after: Budget) -> Vec<Crossed> {
    let both = [(false, used.granted, before.whole, after.whole), (true, used.raised, before.of_day, after.of_day)];
    let told = both.into_iter().flat_map(|(of_day, used, before, after)| {
        let shares = shares_between(used_percent(used, before), used_percent(used, after));
        shares.map(move |share| Crossed { of_day, share })
    });
    told.collect()
}

/// Those shares of two uses that were crossed between them.
pub(super) fn crossed_between(before: Use, after: Use, budget: Budget) -> Vec<Crossed> {
    let tell = |of_day| move |share| Crossed { of_day, share };
    let whole = crossed(before.granted, after.granted, budget.whole).map(tell(false));
    whole.chain(crossed(before.raised, after.raised, budget.of_day).map(tell(true))).collect()
}

fn shares_between(before: Option<u32>, after: Option<u32>) -> impl Iterator<Item = BudgetShare> {
    let (before, after) = (before.unwrap_or(0), after.unwrap_or(0));
    TOLD.into_iter().filter(move |(share, _)| before < *share && *share <= after).map(|(_, share)| share)
}

/// What an offer has used of its budgets at this moment, minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Use {
    /// Granted, pending included.
    pub granted: i64,
    /// Reserved for decisions under way.
    pub reserved: i64,
    /// Raised on the day that was asked for.
    pub raised: i64,
    /// Reserved on that day.
    pub reserved_of_day: i64,
}

/// One offer's use of its budgets, minor units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Used {
    granted: i64,
    reserved: i64,
    /// The last days; a turn that began before midnight still counts on its own.
    days: Vec<Day>,
}

/// One day of an offer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Day {
    day: u32,
    raised: i64,
    reserved: i64,
}

impl Used {
    fn day(&mut self, day: u32) -> Option<&mut Day> {
        self.days.iter_mut().find(|known| known.day == day)
    }
}

/// All budgets of this process that were looked at.
#[derive(Debug, Default)]
pub struct Budgets {
    used: Mutex<HashMap<OfferId, Used>>,
}

/// A reservation: given back or turned into a grant, never forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// From which budget.
    pub offer: OfferId,
    /// On which day.
    pub day: u32,
    /// How much, minor units.
    pub minor: i64,
    /// Less than was asked for, because the day has no more.
    pub day_spent: bool,
}

/// Which budget has come to which share of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossed {
    /// The day's, and not the whole.
    pub of_day: bool,
    /// How far.
    pub share: BudgetShare,
}

impl Budgets {
    fn used(&self) -> std::sync::MutexGuard<'_, HashMap<OfferId, Used>> {
        self.used.lock().expect("no code panics while it holds the budgets")
    }

    /// Whether the offer's use on a day is known here; when not, sum it from the state and
    /// [`Budgets::learn`].
    #[must_use]
    pub fn knows(&self, offer: &OfferId, day: u32) -> bool {
        self.used().get(offer).is_some_and(|used| used.days.iter().any(|known| known.day == day))
    }

    /// Takes what the state counts as granted, and as raised on a day, unless they are known
    /// already. Days before the last are forgotten.
    pub fn learn(&self, offer: &OfferId, granted: i64, day: u32, raised: i64) {
        let mut all = self.used();
        let used = all.entry(offer.clone()).or_insert_with(|| Used { granted, ..Used::default() });
        if used.day(day).is_none() {
            used.days.retain(|known| known.day + 1 >= day || known.reserved > 0);
            used.days.push(Day { day, raised, reserved: 0 });
        }
    }

    /// Reserves as much of `minor` as the budgets have left on a day; both must be known.
    #[must_use]
    pub fn reserve(&self, offer: &OfferId, minor: i64, budget: Budget, day: u32) -> Reserved {
        let mut all = self.used();
        let used = all.get_mut(offer).expect("learnt before anything is reserved");
        let left = budget.whole.saturating_sub(used.granted + used.reserved).max(0);
        let left_of_day = match used.day(day) {
            Some(known) => budget.of_day.saturating_sub(known.raised + known.reserved).max(0),
            // A day so far back that others have had it forgotten.
            None => 0,
        };
        let taken = minor.clamp(0, left.min(left_of_day));
        used.reserved += taken;
        if let Some(known) = used.day(day) {
            known.reserved += taken;
        }
        let day_spent = taken < minor && left_of_day < left;
        Reserved { offer: offer.clone(), day, minor: taken, day_spent }
    }

    /// Ends a reservation, whether or not it became a grant.
    pub fn release(&self, reserved: &Reserved) {
        if let Some(used) = self.used().get_mut(&reserved.offer) {
            used.reserved -= reserved.minor;
            if let Some(known) = used.day(reserved.day) {
                known.reserved -= reserved.minor;
            }
        }
    }

    /// Counts a committed change of what is granted, on the day of its record. Says what it
    /// brought the budgets to.
    pub fn granted(&self, offer: &OfferId, change: i64, budget: Budget, day: u32) -> Vec<Crossed> {
        let mut all = self.used();
        let Some(used) = all.get_mut(offer) else { return Vec::new() };
        let before = used.granted;
        used.granted += change;
        let tell = |of_day| move |share| Crossed { of_day, share };
        let mut told: Vec<_> = crossed(before, used.granted, budget.whole).map(tell(false)).collect();
        if let Some(known) = used.day(day).filter(|_| change > 0) {
            let before = known.raised;
            known.raised += change;
            told.extend(crossed(before, known.raised, budget.of_day).map(tell(true)));
        }
        told
    }

    /// What is used, when known.
    #[must_use]
    pub fn look(&self, offer: &OfferId, day: u32) -> Option<Use> {
        let mut all = self.used();
        let used = all.get_mut(offer)?;
        let of_day = *used.day(day)?;
        let (raised, reserved_of_day) = (of_day.raised, of_day.reserved);
        Some(Use { granted: used.granted, reserved: used.reserved, raised, reserved_of_day })
    }
}

impl Engine {
    /// Reserves as much of an amount as an offer's budget has left. Where the store is shared,
    /// the budget lies with the offer there, and what this process takes is counted in its name.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn reserve(
        &self,
        offer: &OfferId,
        minor: i64,
        budget: Budget,
        day: u32,
    ) -> Result<Reserved, EngineError> {
        if let Some(shared) = self.shared() {
            return shared.reserve(offer, minor, budget, day).await;
        }
        self.learn_budget(offer, day).await?;
        Ok(self.budgets.reserve(offer, minor, budget, day))
    }

    /// Ends a reservation, whether or not it became a grant.
    pub(super) fn end_reservation(&self, reserved: &Reserved) {
        match self.shared() {
            Some(shared) => {
                shared.spend(&reserved.offer, None, -reserved.minor);
                shared.spend(&reserved.offer, Some(reserved.day), -reserved.minor);
            }
            None => self.budgets.release(reserved),
        }
    }

    /// Counts a committed change of what is granted. Says what it brought the budgets to.
    pub(super) fn granted(&self, offer: &OfferId, change: i64, budget: Budget, day: u32) -> Vec<Crossed> {
        let Some(shared) = self.shared() else { return self.budgets.granted(offer, change, budget, day) };
        if !self.has_budget(offer) {
            return Vec::new();
        }
        shared.spend(offer, None, change);
        shared.spend(offer, Some(day), change.max(0));
        shared.crossed(offer, budget)
    }

    pub(super) fn has_budget(&self, offer: &OfferId) -> bool {
        let catalogue = self.snapshot.load();
        catalogue.offer(offer).is_some_and(|o| o.versions.iter().any(|v| v.terms.is_budgeted()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(minor: i64) -> Budget {
        Budget { whole: minor, ..Budget::NONE }
    }

    #[test]
    fn inv_05_reservations_never_pass_the_budget() {
        let (budgets, offer) = (Budgets::default(), OfferId::new("o").unwrap());
        budgets.learn(&offer, 60, 1, 0);
        let first = budgets.reserve(&offer, 30, whole(100), 1);
        let second = budgets.reserve(&offer, 30, whole(100), 1);
        assert_eq!((first.minor, second.minor, second.day_spent), (30, 10, false));
        budgets.release(&first);
        budgets.granted(&offer, 25, whole(100), 1);
        assert_eq!(budgets.look(&offer, 1), Some(Use { granted: 85, reserved: 10, raised: 25, reserved_of_day: 10 }));
        assert_eq!(budgets.reserve(&offer, 30, whole(100), 1).minor, 5);
        // A budget lowered below what is granted gives nothing and takes nothing back.
        assert_eq!(budgets.reserve(&offer, 30, whole(50), 1).minor, 0);
    }

    #[test]
    fn inv_05_a_day_gives_no_more_whatever_is_taken_back() {
        let (budgets, offer) = (Budgets::default(), OfferId::new("o").unwrap());
        let budget = Budget { whole: 100, of_day: 40 };
        budgets.learn(&offer, 0, 7, 10);
        let first = budgets.reserve(&offer, 35, budget, 7);
        assert_eq!((first.minor, first.day_spent), (30, true));
        budgets.release(&first);
        budgets.granted(&offer, 30, budget, 7);
        budgets.granted(&offer, -30, budget, 7);
        assert_eq!(budgets.look(&offer, 7), Some(Use { granted: 0, reserved: 0, raised: 40, reserved_of_day: 0 }));
        assert_eq!(budgets.reserve(&offer, 1, budget, 7).minor, 0);
        // The next day begins at nothing, and the day before stays known for turns that began on it.
        budgets.learn(&offer, 999, 8, 0);
        let next = budgets.reserve(&offer, 50, budget, 8);
        assert_eq!((next.minor, next.day_spent), (40, true));
        assert!(budgets.knows(&offer, 7) && budgets.look(&offer, 7).unwrap().granted == 0);
        budgets.learn(&offer, 0, 9, 0);
        assert!(!budgets.knows(&offer, 7) && budgets.knows(&offer, 8), "a day is kept while it is reserved from");
        // Where both have as little left, it is the whole that is spent.
        budgets.granted(&offer, 60, budget, 9);
        assert!(!budgets.reserve(&offer, 5, budget, 9).day_spent);
    }

    #[test]
    fn each_share_is_told_once_as_it_is_crossed() {
        use BudgetShare::{All, Half, Most};
        for (before, after, told) in [
            (0, 49, &[][..]),
            (0, 50, &[Half]),
            (49, 79, &[Half]),
            (50, 79, &[]),
            (50, 100, &[Most, All]),
            (0, 100, &[Half, Most, All]),
            (100, 120, &[]),
            (100, 20, &[]),
        ] {
            assert_eq!(crossed(before, after, 100).collect::<Vec<_>>(), told, "{before} to {after}");
        }
        assert_eq!(crossed(0, i64::MAX, i64::MAX).count(), 0, "without a budget there is nothing to tell");
        assert_eq!((used_percent(799, 1000), used_percent(5, i64::MAX)), (Some(79), None));
    }
}
