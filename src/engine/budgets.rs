//! Budgets of offers: reserved before a commit, settled after it, released when it
//! fails. What is granted is counted in the state, per partition; here is its sum and
//! what is reserved at this moment.

use super::{Engine, EngineError};
use crate::domain::OfferId;
use std::collections::HashMap;
use std::sync::Mutex;

/// One offer's use of its budget, minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Used {
    granted: i64,
    reserved: i64,
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
    /// How much, minor units.
    pub minor: i64,
}

impl Budgets {
    fn used(&self) -> std::sync::MutexGuard<'_, HashMap<OfferId, Used>> {
        self.used.lock().expect("no code panics while it holds the budgets")
    }

    /// Whether the offer's use is known here; when not, sum it from the state and [`Budgets::learn`].
    #[must_use]
    pub fn knows(&self, offer: &OfferId) -> bool {
        self.used().contains_key(offer)
    }

    /// Takes what the state counts as granted, unless the offer is known already.
    pub fn learn(&self, offer: &OfferId, granted: i64) {
        self.used().entry(offer.clone()).or_insert(Used { granted, reserved: 0 });
    }

    /// Reserves as much of `minor` as the budget has left; the offer must be known.
    #[must_use]
    pub fn reserve(&self, offer: &OfferId, minor: i64, budget: i64) -> Reserved {
        let mut all = self.used();
        let used = all.get_mut(offer).expect("learnt before anything is reserved");
        let left = (budget - used.granted - used.reserved).max(0);
        let taken = minor.clamp(0, left);
        used.reserved += taken;
        Reserved { offer: offer.clone(), minor: taken }
    }

    /// Ends a reservation, whether or not it became a grant.
    pub fn release(&self, reserved: &Reserved) {
        if let Some(used) = self.used().get_mut(&reserved.offer) {
            used.reserved -= reserved.minor;
        }
    }

    /// Counts a committed change of what is granted.
    pub fn granted(&self, offer: &OfferId, change: i64) {
        if let Some(used) = self.used().get_mut(offer) {
            used.granted += change;
        }
    }

    /// Granted and reserved, when known.
    #[must_use]
    pub fn look(&self, offer: &OfferId) -> Option<(i64, i64)> {
        self.used().get(offer).map(|used| (used.granted, used.reserved))
    }
}

impl Engine {
    /// Reserves as much of an amount as an offer's budget has left. Where the store is shared,
    /// the budget lies with the offer there, and what this process takes is counted in its name.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn reserve(&self, offer: &OfferId, minor: i64, budget: i64) -> Result<Reserved, EngineError> {
        if let Some(shared) = self.shared() {
            let minor = self.reserve_shared(shared, offer, minor, budget).await?;
            return Ok(Reserved { offer: offer.clone(), minor });
        }
        self.learn_budget(offer).await?;
        Ok(self.budgets.reserve(offer, minor, budget))
    }

    /// Ends a reservation, whether or not it became a grant.
    pub(super) fn release(&self, reserved: &Reserved) {
        match self.shared() {
            Some(shared) => shared.spend(&reserved.offer, -reserved.minor),
            None => self.budgets.release(reserved),
        }
    }

    /// Counts a committed change of what is granted.
    pub(super) fn granted(&self, offer: &OfferId, change: i64) {
        match self.shared() {
            Some(shared) if self.has_budget(offer) => shared.spend(offer, change),
            Some(_) => {}
            None => self.budgets.granted(offer, change),
        }
    }

    pub(super) fn has_budget(&self, offer: &OfferId) -> bool {
        let catalogue = self.snapshot.load();
        catalogue.offer(offer).is_some_and(|o| o.versions.iter().any(|v| v.terms.budget_minor.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inv_05_reservations_never_pass_the_budget() {
        let (budgets, offer) = (Budgets::default(), OfferId::new("o").unwrap());
        budgets.learn(&offer, 60);
        let first = budgets.reserve(&offer, 30, 100);
        let second = budgets.reserve(&offer, 30, 100);
        assert_eq!((first.minor, second.minor), (30, 10));
        budgets.release(&first);
        budgets.granted(&offer, 25);
        assert_eq!(budgets.look(&offer), Some((85, 10)));
        assert_eq!(budgets.reserve(&offer, 30, 100).minor, 5);
        // A budget lowered below what is granted gives nothing and takes nothing back.
        assert_eq!(budgets.reserve(&offer, 30, 50).minor, 0);
    }
}
