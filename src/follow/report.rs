//! What a merchant may know of its own business, from the records: spend, returns, rewards and
//! redemptions by day, shop, hour and offer. Sums alone, of nobody in particular.
//!
//! Kept in bounded memory and read anew at each start, as all a follower keeps. For people to
//! look at: the books are the ledger. What a shared store forgot and was offered again counts once.

use super::customers::{CustomerSums, Customers};
use super::snapshot::pairs;
use crate::decide::MemberState;
use crate::domain::purchase::Grant;
use crate::domain::time::DAY_MS;
use crate::domain::{EventKind, LocationId, MerchantId, OfferId, Timestamp, Unit};
use crate::ledger::{AccountKind, Legs};
use crate::record::{Body, EventInput, MemberInput, Record};
use compact_str::CompactString;
use hashbrown::HashMap;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Days that are kept.
pub const DAYS_KEPT: u32 = 92;
/// Days of which an offer's pace is kept.
pub const PACE_DAYS_KEPT: usize = 31;
/// Merchants that are kept; of further ones nothing is.
const MERCHANTS_MAX: usize = 20_000;
/// Shops and units of one merchant.
const SHOPS_MAX: usize = 10_000;
/// Units of one merchant: currencies, points, perks.
pub(super) const UNITS_MAX: usize = 16;
/// Offers whose activations are counted.
const OFFERS_MAX: usize = 200_000;
/// Time zones whose rules are kept ready.
const ZONES_MAX: usize = 1_000;
/// Customers of all merchants that are told apart.
const CUSTOMERS_MAX: usize = 2_000_000;
/// Members of offers whose rewards are counted.
const REDEEMERS_MAX: usize = 2_000_000;

/// What came together, in one unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Cleared, minor units.
    pub spend_minor: i64,
    /// Refunded or charged back.
    pub returned_minor: i64,
    /// Rewards, less what was taken back.
    pub reward_minor: i64,
    /// Purchases that cleared.
    pub purchases: u64,
    /// Purchases that an offer rewarded, less those whose reward was taken back whole.
    pub redemptions: i64,
}

impl Sums {
    /// Adds others so many times.
    pub fn add(&mut self, other: &Self, times: i64) {
        let sum = |own: i64, other: i64| own.saturating_add(other.saturating_mul(times));
        self.spend_minor = sum(self.spend_minor, other.spend_minor);
        self.returned_minor = sum(self.returned_minor, other.returned_minor);
        self.reward_minor = sum(self.reward_minor, other.reward_minor);
        self.redemptions = sum(self.redemptions, other.redemptions);
        let purchases = i64::try_from(other.purchases).unwrap_or(i64::MAX).saturating_mul(times);
        self.purchases = self.purchases.saturating_add_signed(purchases);
    }
}

/// What one offer did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferSums {
    /// Rewards by unit, less what was taken back.
    pub rewards: BTreeMap<Unit, i64>,
    /// Purchases that it rewarded.
    pub redemptions: i64,
    /// Members whom it rewarded, as far as they are counted.
    pub redeemers: i64,
    /// The same rewards by day, of the last [`PACE_DAYS_KEPT`] days: its pace.
    pub days: BTreeMap<u32, i64>,
}

/// What is known of one merchant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MerchantReport {
    /// By local day, counted from 1970-01-01, and unit.
    pub days: BTreeMap<(u32, Unit), Sums>,
    /// By hour of the local day and unit.
    pub hours: BTreeMap<(u8, Unit), Sums>,
    /// By shop and unit.
    pub shops: BTreeMap<(LocationId, Unit), Sums>,
    /// When a shop was bought at last.
    pub bought_at: BTreeMap<LocationId, Timestamp>,
    /// By offer.
    pub offers: BTreeMap<OfferId, OfferSums>,
    /// In the order in which they were met.
    pub units: Vec<Unit>,
}

/// See the module.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    merchants: BTreeMap<MerchantId, MerchantReport>,
    /// Members who are opted in.
    active: BTreeMap<OfferId, i64>,
    customers: BTreeMap<MerchantId, Customers>,
    customer_count: usize,
    /// Rewarded purchases by member and offer.
    #[serde(with = "pairs")]
    redeemed: HashMap<u64, u32>,
    #[serde(skip)]
    zones: BTreeMap<CompactString, TimeZone>,
}

/// When and where something counts.
struct Place {
    day: u32,
    hour: u8,
    shop: Option<LocationId>,
}

impl Report {
    /// What is known of a merchant; nothing when nothing was bought there.
    #[must_use]
    pub fn of(&self, merchant: &MerchantId) -> MerchantReport {
        self.merchants.get(merchant).cloned().unwrap_or_default()
    }

    /// A merchant's new and existing customers in the same days as its report.
    #[must_use]
    pub fn customers(&self, merchant: &MerchantId) -> CustomerSums {
        let newest = self.merchants.get(merchant).and_then(|report| report.days.keys().next_back());
        let since = newest.map_or(0, |(day, _)| (day + 1).saturating_sub(DAYS_KEPT));
        self.customers.get(merchant).map(|all| all.since(since)).unwrap_or_default()
    }

    /// Members who are opted in to an offer.
    #[must_use]
    pub fn active(&self, offer: &OfferId) -> i64 {
        self.active.get(offer).copied().unwrap_or(0)
    }

    /// Takes a member in as the state of a shared store has them: what was sealed is not in it.
    pub fn restore(&mut self, state: &MemberState) {
        let mut opted: BTreeSet<&OfferId> = BTreeSet::new();
        for step in &state.head.activations {
            if opted.insert(&step.offer) && state.head.active(&step.offer, Timestamp::from_ms(i64::MAX)) {
                self.opt(&step.offer, 1);
            }
        }
        let member = hash(state.head.id.as_str());
        for total in state.head.sealed.iter().filter(|total| total.purchases > 0) {
            let day = total.last_at.map_or(0, Timestamp::day);
            self.with_customers(&total.merchant, |customers, room| customers.came_before(member, room, day));
        }
        for placed in &state.purchases {
            let purchase = &placed.purchase;
            let mut place = Place { day: placed.time.day(), hour: hour_of_day(placed.time), shop: None };
            for event in &purchase.events {
                let matched = event.matched.and_then(|at| purchase.matches.get(usize::from(at))).cloned();
                let input = EventInput { purchase: purchase.key.clone(), event: event.clone(), matched };
                place = self.feed_event(member, &input);
            }
            for grant in purchase.grants.iter().filter(|grant| grant.amount_minor > 0) {
                self.reward(member, &place, grant, grant.amount_minor);
            }
        }
    }

    fn opt(&mut self, offer: &OfferId, by: i64) {
        if self.active.len() < OFFERS_MAX || self.active.contains_key(offer) {
            *self.active.entry(offer.clone()).or_default() += by;
        }
    }

    /// Counts what a grant's change gave or took back.
    fn reward(&mut self, member: u64, place: &Place, grant: &Grant, minor: i64) {
        // From nothing to something, or back to nothing.
        let redeemed = i64::from(grant.amount_minor == minor) - i64::from(grant.amount_minor == 0);
        let redeemers = self.redeem(member, &grant.offer, redeemed);
        self.with_customers(&grant.merchant, |customers, room| {
            customers.rewarded(member, room, grant.unit, minor, redeemed);
        });
        let Some(merchant) = self.merchant(&grant.merchant) else { return };
        merchant.add(place, grant.unit, |sums| {
            sums.reward_minor = sums.reward_minor.saturating_add(minor);
            sums.redemptions += redeemed;
        });
        let offer = merchant.offers.entry(grant.offer.clone()).or_default();
        offer.redemptions += redeemed;
        offer.redeemers += redeemers;
        let of_unit = offer.rewards.entry(grant.unit).or_default();
        *of_unit = of_unit.saturating_add(minor);
        let of_day = offer.days.entry(place.day).or_default();
        *of_day = of_day.saturating_add(minor);
        if offer.days.len() > PACE_DAYS_KEPT {
            offer.days.pop_first();
        }
    }

    /// Takes a record in.
    pub fn feed(&mut self, record: &Record) {
        let Body::Member { member, input, changes, .. } = &record.body else { return };
        let member = hash(member.as_str());
        if record.envelope.again.is_some() {
            return;
        }
        let mut place = Place { day: record.envelope.at.day(), hour: hour_of_day(record.envelope.at), shop: None };
        match input.as_ref() {
            MemberInput::Activated(step) => {
                self.opt(&step.offer, if step.active { 1 } else { -1 });
            }
            MemberInput::Event(event) => place = self.feed_event(member, event),
            _ => {}
        }
        for change in changes {
            let minor: i64 = change.transfers.iter().map(given).sum();
            if minor != 0 {
                self.reward(member, &place, &change.grant, minor);
            }
        }
    }

    /// Counts a member's rewarded purchases of an offer; by how many the members change whom it rewarded.
    fn redeem(&mut self, member: u64, offer: &OfferId, by: i64) -> i64 {
        let key = xxh3_64_with_seed(offer.as_str().as_bytes(), member);
        let had = self.redeemed.get(&key).copied().unwrap_or(0);
        if by > 0 && (had > 0 || self.redeemed.len() < REDEEMERS_MAX) {
            self.redeemed.insert(key, had + 1);
            return i64::from(had == 0);
        }
        if by < 0 && had > 1 {
            self.redeemed.insert(key, had - 1);
        } else if by < 0 && self.redeemed.remove(&key).is_some() {
            return -1;
        }
        0
    }

    fn feed_event(&mut self, member: u64, input: &EventInput) -> Place {
        let event = &input.event;
        let Some(matched) = &input.matched else {
            return Place { day: event.occurred_at.day(), hour: hour_of_day(event.occurred_at), shop: None };
        };
        let local = event.occurred_at.local(self.zone(&matched.time_zone));
        let day = Timestamp::from_ms(event.occurred_at.as_ms() + offset_ms(event.occurred_at, local)).day();
        let place = Place { day, hour: u8::try_from(local.hour()).unwrap_or(0), shop: Some(matched.location.clone()) };
        let (Some(amount), Some(merchant)) = (event.amount, self.merchant(&matched.merchant)) else { return place };
        let unit = Unit::Money(amount.currency);
        let purchase = xxh3_64_with_seed(input.purchase.id.as_str().as_bytes(), hash(input.purchase.source.as_str()));
        let first = event.sequence.is_none_or(|sequence| sequence.number <= 1);
        match event.kind {
            EventKind::Clearing => {
                // Of several clearings of one purchase the first counts.
                merchant.add(&place, unit, |sums| {
                    sums.spend_minor = sums.spend_minor.saturating_add(amount.minor);
                    sums.purchases += u64::from(first);
                });
                if merchant.bought_at.len() < SHOPS_MAX || merchant.bought_at.contains_key(&matched.location) {
                    let at = merchant.bought_at.entry(matched.location.clone()).or_default();
                    *at = (*at).max(event.occurred_at);
                }
                let bought = (unit, amount.minor);
                self.with_customers(&matched.merchant, |customers, room| {
                    customers.bought(member, room, purchase, place.day, bought, first);
                });
            }
            EventKind::Refund | EventKind::Chargeback => {
                merchant
                    .add(&place, unit, |sums| sums.returned_minor = sums.returned_minor.saturating_add(amount.minor));
                if let Some(customers) = self.customers.get_mut(&matched.merchant) {
                    customers.returned(member, purchase, unit, amount.minor);
                }
            }
            _ => {}
        }
        place
    }

    fn with_customers(&mut self, id: &MerchantId, change: impl FnOnce(&mut Customers, bool)) {
        let room = self.customer_count < CUSTOMERS_MAX;
        let customers = self.customers.entry(id.clone()).or_default();
        let before = customers.len();
        change(customers, room);
        self.customer_count += customers.len() - before;
    }

    fn merchant(&mut self, id: &MerchantId) -> Option<&mut MerchantReport> {
        if self.merchants.len() >= MERCHANTS_MAX && !self.merchants.contains_key(id) {
            return None;
        }
        Some(self.merchants.entry(id.clone()).or_default())
    }

    fn zone(&mut self, name: &CompactString) -> &TimeZone {
        if self.zones.len() >= ZONES_MAX {
            self.zones.clear();
        }
        self.zones.entry(name.clone()).or_insert_with(|| TimeZone::get(name).unwrap_or(TimeZone::UTC))
    }
}

impl MerchantReport {
    fn add(&mut self, place: &Place, unit: Unit, change: impl Fn(&mut Sums)) {
        if !self.units.contains(&unit) {
            if self.units.len() >= UNITS_MAX {
                return;
            }
            self.units.push(unit);
        }
        change(self.hours.entry((place.hour, unit)).or_default());
        if let Some(shop) = &place.shop {
            let key = (shop.clone(), unit);
            if self.shops.len() < SHOPS_MAX || self.shops.contains_key(&key) {
                change(self.shops.entry(key).or_default());
            }
        }
        let newest = self.days.keys().next_back().map_or(place.day, |(day, _)| (*day).max(place.day));
        if place.day + DAYS_KEPT > newest {
            change(self.days.entry((place.day, unit)).or_default());
        }
        while self.days.keys().next().is_some_and(|(day, _)| day + DAYS_KEPT <= newest) {
            self.days.pop_first();
        }
    }
}

fn hash(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

/// What a transfer gives, or takes back when it is below zero.
fn given(legs: &Legs) -> i64 {
    i64::from(funds(legs.debit)) * legs.minor - i64::from(funds(legs.credit)) * legs.minor
}

/// Whether an account is one that rewards come out of.
fn funds(kind: AccountKind) -> bool {
    use AccountKind::{MerchantBudget, MerchantFunding, OperatorBudget, OperatorFunding};
    matches!(kind, MerchantBudget | MerchantFunding | OperatorBudget | OperatorFunding)
}

fn hour_of_day(at: Timestamp) -> u8 {
    u8::try_from(at.as_ms().rem_euclid(DAY_MS) / 3_600_000).unwrap_or(0)
}

/// By how much a wall clock is ahead of UTC.
fn offset_ms(at: Timestamp, local: jiff::civil::DateTime) -> i64 {
    let as_if_utc = local.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp().as_millisecond());
    as_if_utc.map_or(0, |ms| ms - at.as_ms())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USD: &str = "USD";

    fn unit() -> Unit {
        Unit::Money(crate::domain::Currency::parse(USD).unwrap())
    }

    #[test]
    fn what_is_given_is_told_from_what_moves_on() {
        use AccountKind::{
            MemberAvailable, MemberPending, MemberPosted, MerchantBudget, MerchantFunding, OperatorBudget,
        };
        let legs = |debit, credit| given(&Legs::new(debit, credit, 100));
        assert_eq!(legs(MerchantBudget, MemberPending), 100);
        assert_eq!(legs(OperatorBudget, MemberPending), 100);
        assert_eq!(legs(MemberPending, MerchantBudget), -100);
        assert_eq!(legs(MerchantFunding, MerchantBudget), 0, "cleared, not given again");
        assert_eq!(legs(MemberPosted, MemberAvailable), 0);
    }

    #[test]
    fn days_and_units_are_bounded_and_the_newest_days_stay() {
        let mut report = MerchantReport::default();
        let place = |day| Place { day, hour: 9, shop: None };
        for day in (20_000..20_100).rev() {
            report.add(&place(day), unit(), |sums| sums.purchases += 1);
        }
        let days: Vec<u32> = report.days.keys().map(|(day, _)| *day).collect();
        assert_eq!((days.len(), days[0], days[91]), (92, 20_008, 20_099));
        report.add(&place(20_200), unit(), |sums| sums.purchases += 1);
        assert_eq!(report.days.len(), 1);
        for number in 0..2 * UNITS_MAX {
            let points = Unit::Points(crate::domain::Code::parse(&format!("p{number}")).unwrap());
            report.add(&place(20_200), points, |sums| sums.reward_minor += 1);
        }
        assert_eq!((report.units.len(), report.hours.len()), (UNITS_MAX, UNITS_MAX));
    }
}
