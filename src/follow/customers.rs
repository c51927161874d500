//! New and existing customers of one merchant: who bought there for the first time in the days that are
//! kept, and what they spent since. A purchase counts while it stands: until all of it came back.
//!
//! Kept per customer and summed by the day of their first purchase, so that asking is adding up days.

use super::report::{DAYS_KEPT, Sums, UNITS_MAX};
use super::snapshot::pairs;
use crate::domain::Unit;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Purchases of one customer that may still come back; older ones stand for good.
const OPEN_MAX: usize = 64;
/// No day: nothing stands.
const NEVER: u32 = u32::MAX;

/// New and existing customers in the days that are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CustomerSums {
    /// Whose first standing purchase is within them.
    pub new: u64,
    /// Who bought within them, and before.
    pub existing: u64,
    /// What came of the new ones, by unit.
    pub of_new: BTreeMap<Unit, Sums>,
    /// There are more than are told apart.
    pub more: bool,
}

/// See the module.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Customers {
    #[serde(with = "pairs")]
    by_member: HashMap<u64, Customer>,
    /// How many by the day of their first purchase, and by that of their last.
    first: BTreeMap<u32, u64>,
    last: BTreeMap<u32, u64>,
    /// What they brought, by the day of their first purchase.
    sums: BTreeMap<(u32, Unit), Sums>,
    newest: u32,
    more: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Customer {
    /// Of the purchases that stand for good.
    before: u32,
    last: u32,
    sums: Vec<(Unit, Sums)>,
    open: Vec<Bought>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Bought {
    purchase: u64,
    day: u32,
    net_minor: i64,
}

impl Customers {
    /// How many are told apart.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_member.len()
    }
    /// Whether nobody bought.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_member.is_empty()
    }

    /// Somebody bought: a clearing, of several of one purchase the first with `is_first`. Without `room`
    /// nobody new is told apart.
    pub fn bought(
        &mut self,
        member: u64,
        room: bool,
        purchase: u64,
        day: u32,
        (unit, minor): (Unit, i64),
        is_first: bool,
    ) {
        self.newest = self.newest.max(day);
        self.more |= !room && !self.by_member.contains_key(&member);
        self.change(member, room, |customer, newest| {
            customer.last = customer.last.max(day);
            customer.add(unit, |sums| {
                sums.spend_minor = sums.spend_minor.saturating_add(minor);
                sums.purchases += u64::from(is_first);
            });
            match customer.open.iter_mut().find(|open| open.purchase == purchase) {
                Some(open) => open.net_minor = open.net_minor.saturating_add(minor),
                None => customer.open.push(Bought { purchase, day, net_minor: minor }),
            }
            customer.settle(newest);
        });
    }

    /// Something came back. What names no purchase is of the newest of the same worth, else of the newest that
    /// is worth more, as decisions have it.
    pub fn returned(&mut self, member: u64, purchase: u64, unit: Unit, minor: i64) {
        self.change(member, false, |customer, _| {
            customer.add(unit, |sums| sums.returned_minor = sums.returned_minor.saturating_add(minor));
            let named = customer.open.iter().position(|open| open.purchase == purchase);
            let same = || customer.open.iter().rposition(|open| open.net_minor == minor);
            let larger = || customer.open.iter().rposition(|open| open.net_minor > minor);
            if let Some(place) = named.or_else(same).or_else(larger) {
                customer.open[place].net_minor -= minor;
            }
        });
    }

    /// Somebody was rewarded, or a reward was taken back: mostly before their first purchase has cleared, so
    /// that they are remembered from here on and are a customer from then on.
    pub fn rewarded(&mut self, member: u64, room: bool, unit: Unit, minor: i64, redeemed: i64) {
        self.change(member, room && minor > 0, |customer, _| {
            customer.add(unit, |sums| {
                sums.reward_minor = sums.reward_minor.saturating_add(minor);
                sums.redemptions += redeemed;
            });
        });
    }

    /// Bought before what is known here.
    pub fn came_before(&mut self, member: u64, room: bool, day: u32) {
        self.more |= !room && !self.by_member.contains_key(&member);
        self.change(member, room, |customer, _| {
            customer.before = customer.before.min(day);
            customer.last = customer.last.max(day);
        });
    }

    /// Those of the days from one on.
    #[must_use]
    pub fn since(&self, day: u32) -> CustomerSums {
        let new = self.first.range(day..).map(|(_, count)| count).sum();
        let all: u64 = self.last.range(day..).map(|(_, count)| count).sum();
        let mut of_new: BTreeMap<Unit, Sums> = BTreeMap::new();
        for ((first, unit), sums) in self.sums.iter().rev() {
            if *first < day {
                break;
            }
            of_new.entry(*unit).or_default().add(sums, 1);
        }
        CustomerSums { new, existing: all.saturating_sub(new), of_new, more: self.more }
    }

    /// Changes a customer, and the sums that they are in.
    fn change(&mut self, member: u64, may_be_new: bool, change: impl FnOnce(&mut Customer, u32)) {
        let mut customer = match self.by_member.remove(&member) {
            Some(customer) => customer,
            None if !may_be_new => return,
            None => Customer { before: NEVER, last: 0, sums: Vec::new(), open: Vec::new() },
        };
        self.count(&customer, false);
        change(&mut customer, self.newest);
        self.count(&customer, true);
        self.by_member.insert(member, customer);
        // Asked for is only what is within the days kept.
        let oldest = (self.newest + 1).saturating_sub(DAYS_KEPT);
        while self.first.first_entry().is_some_and(|entry| *entry.key() < oldest) {
            self.first.pop_first();
        }
        while self.last.first_entry().is_some_and(|entry| *entry.key() < oldest) {
            self.last.pop_first();
        }
        while self.sums.first_entry().is_some_and(|entry| entry.key().0 < oldest) {
            self.sums.pop_first();
        }
    }

    /// Takes a customer into the sums, or out of them.
    fn count(&mut self, customer: &Customer, into: bool) {
        let first = customer.first();
        if first == NEVER {
            return;
        }
        for (days, day) in [(&mut self.first, first), (&mut self.last, customer.last)] {
            match days.get_mut(&day) {
                Some(count) => *count = if into { *count + 1 } else { count.saturating_sub(1) },
                None if into => drop(days.insert(day, 1)),
                None => {}
            }
        }
        for (unit, sums) in &customer.sums {
            if into {
                self.sums.entry((first, *unit)).or_default().add(sums, 1);
            } else if let Some(all) = self.sums.get_mut(&(first, *unit)) {
                all.add(sums, -1);
            }
        }
    }
}

impl Customer {
    fn first(&self) -> u32 {
        let open = self.open.iter().filter(|open| open.net_minor > 0).map(|open| open.day);
        open.min().unwrap_or(NEVER).min(self.before)
    }

    fn add(&mut self, unit: Unit, change: impl FnOnce(&mut Sums)) {
        if let Some((_, sums)) = self.sums.iter_mut().find(|(known, _)| *known == unit) {
            change(sums);
        } else if self.sums.len() < UNITS_MAX {
            let mut sums = Sums::default();
            change(&mut sums);
            self.sums.push((unit, sums));
        }
    }

    /// What is older than the days kept, or one of too many, stands for good.
    fn settle(&mut self, newest: u32) {
        let too_many = self.open.len().saturating_sub(OPEN_MAX);
        let mut place = 0;
        let before = &mut self.before;
        self.open.retain(|open| {
            let stays = place >= too_many && open.day + DAYS_KEPT > newest;
            place += 1;
            if !stays && open.net_minor > 0 {
                *before = open.day.min(*before);
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd() -> Unit {
        Unit::Money(crate::domain::Currency::parse("USD").unwrap())
    }

    fn counts(of: &Customers, since: u32) -> (u64, u64, Sums) {
        let found = of.since(since);
        (found.new, found.existing, found.of_new.get(&usd()).copied().unwrap_or_default())
    }

    #[test]
    fn who_bought_before_is_no_new_customer() {
        let mut all = Customers::default();
        all.bought(1, true, 10, 20_000, (usd(), 500), true);
        all.bought(1, true, 11, 20_050, (usd(), 700), true);
        all.bought(2, true, 12, 20_050, (usd(), 900), true);
        all.rewarded(2, true, usd(), 45, 1);
        all.rewarded(9, true, usd(), 45, 1);
        let (new, existing, sums) = counts(&all, 20_020);
        assert_eq!((new, existing), (1, 1), "nobody is a customer by a reward alone");
        assert_eq!((sums.spend_minor, sums.purchases, sums.reward_minor, sums.redemptions), (900, 1, 45, 1));
        assert_eq!(counts(&all, 20_000).0, 2, "within a longer period both came anew");
        // Most rewards are granted while the purchase is pending, before it clears.
        all.bought(9, true, 15, 20_040, (usd(), 100), true);
        assert_eq!((counts(&all, 20_020).0, counts(&all, 20_020).2.reward_minor), (2, 90));
    }

    #[test]
    fn a_purchase_that_came_back_is_nobodys_first() {
        let mut all = Customers::default();
        all.bought(1, true, 10, 20_000, (usd(), 500), true);
        all.bought(1, true, 11, 20_050, (usd(), 700), true);
        assert_eq!(counts(&all, 20_020).0, 0);
        all.returned(1, 10, usd(), 500);
        assert_eq!(counts(&all, 20_020).0, 1, "the second is the first that stands");
        // One that names no purchase is of the one of the same worth.
        all.returned(1, 99, usd(), 700);
        assert_eq!(counts(&all, 20_000).0, 0, "nothing stands");
        all.bought(1, true, 12, 20_060, (usd(), 100), true);
        assert_eq!((counts(&all, 20_055).0, counts(&all, 20_055).1), (1, 0));
    }

    #[test]
    fn what_is_long_ago_stands_for_good() {
        let mut all = Customers::default();
        all.bought(1, true, 10, 20_000, (usd(), 500), true);
        all.bought(1, true, 11, 20_000 + DAYS_KEPT, (usd(), 700), true);
        all.returned(1, 10, usd(), 500);
        let (new, existing, _) = counts(&all, 20_001);
        assert_eq!((new, existing), (0, 1));
        assert!(all.first.is_empty() && all.sums.is_empty(), "days that nobody asks for are not kept");
        all.came_before(2, true, 19_000);
        all.bought(2, true, 13, 20_100, (usd(), 1), true);
        assert_eq!(counts(&all, 20_001).1, 2);
        all.bought(3, false, 14, 20_100, (usd(), 1), true);
        assert_eq!((all.len(), all.since(20_001).more), (2, true), "there is no room for a third");
    }
}
