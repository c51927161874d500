//! A member's state as decisions read it: the head and the open purchases in their order.

use crate::domain::member::{CardLink, MemberHead, Profile, ProfileStep};
use crate::domain::offer::Period;
use crate::domain::purchase::{Occasion, Purchase, Referral};
use crate::domain::time::civil_day;
use crate::domain::{CardHash, MerchantId, OfferId, PurchaseKey, SourceName, Timestamp};
use jiff::civil;
use std::sync::Arc;

use super::worth::{LapsePolicy, Tally, Worth};

/// A purchase with what judging it and those after it needs, computed once per change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The purchase.
    pub purchase: Arc<Purchase>,
    /// Its time: purchases are taken by it, then by key. Of what is no purchase, when it was.
    pub time: Timestamp,
    /// What a wall clock at the shop showed then; UTC when the shop is unknown.
    pub local: civil::DateTime,
    /// The civil day of that, for calendar caps.
    pub local_day: i32,
    /// Whose shop; `None` when no event was matched.
    pub merchant: Option<MerchantId>,
    /// Whether nothing was bought here: it holds credits that name no purchase.
    pub unlinked: bool,
    /// Whether it is a purchase, and nothing else that is rewarded. This and the card stand here
    /// for whoever walks over all of them: the purchase itself lies elsewhere in memory.
    pub is_purchase: bool,
    /// The card of its first event.
    card: Option<CardHash>,
    /// What its events come to.
    pub tally: Tally,
}

impl Placed {
    /// Places a purchase by its set of events.
    #[must_use]
    pub fn new(purchase: Purchase) -> Self {
        let tally = Tally::of(&purchase);
        let time = purchase.occasion.as_ref().map_or(tally.time, Occasion::at);
        let shop = tally.shop(&purchase);
        let merchant = shop.map(|shop| shop.merchant.clone());
        let zone = shop.map_or(jiff::tz::TimeZone::UTC, |shop| zone(&shop.time_zone));
        let local = time.local(&zone);
        let local_day = civil_day(local.date());
        let unlinked = purchase.unlinked().next().is_some();
        let is_purchase = purchase.occasion.is_none();
        let card = purchase.events.first().map(|event| event.card);
        Self { purchase: Arc::new(purchase), time, local, local_day, merchant, unlinked, is_purchase, card, tally }
    }
    /// What purchases are ordered by: their time, then their key; referrals by the purchase
    /// that qualified them, and those that share it by their own key.
    #[must_use]
    pub fn order(&self) -> (Timestamp, &PurchaseKey, &PurchaseKey) {
        let own = &self.purchase.key;
        match &self.purchase.occasion {
            Some(Occasion::Referral(Referral { qualified: Some(qualified), .. })) => {
                (self.time, &qualified.purchase, own)
            }
            _ => (self.time, own, own),
        }
    }
    /// What it is worth under the latest daily mark, by its own events.
    #[inline]
    #[must_use]
    pub fn worth(&self, mark: Timestamp, lapse: &LapsePolicy) -> Worth<'_> {
        self.tally.worth(&self.purchase, mark, lapse)
    }
}

/// The zone of a name. The database is compiled in and names are checked when a
/// merchant is stored, so the fallback is never taken in practice.
pub(crate) fn zone(name: &str) -> jiff::tz::TimeZone {
    jiff::tz::TimeZone::get(name).unwrap_or(jiff::tz::TimeZone::UTC)
}

/// How a purchase stood before an event of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    /// Its place in the order.
    pub place: usize,
    /// Whose shop.
    pub merchant: Option<MerchantId>,
    /// As [`Placed::unlinked`].
    pub unlinked: bool,
}

/// The head and the open purchases, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberState {
    /// All but the purchases.
    pub head: MemberHead,
    /// By time, then key.
    pub purchases: Vec<Placed>,
    /// Profiles as they were opened, oldest first; none when the person was erased.
    pub profiles: Vec<ProfileStep>,
    /// The member's own key as a shared store keeps it, wrapped; nothing is decided by it.
    pub key: Option<std::sync::Arc<[u8]>>,
}

impl MemberState {
    /// A state without purchases.
    #[must_use]
    pub fn new(head: MemberHead) -> Self {
        Self { head, purchases: Vec::new(), profiles: Vec::new(), key: None }
    }
    /// The profile in force at an instant.
    #[must_use]
    pub fn profile_at(&self, at: Timestamp) -> Option<&Profile> {
        self.profiles.iter().rev().find(|step| step.at <= at).map(|step| &step.profile)
    }
    /// Where a purchase stands in the order.
    #[must_use]
    pub fn find(&self, key: &PurchaseKey) -> Option<usize> {
        // From the newest, which is asked for most; ids differ where sources seldom do.
        let is_it = |placed: &Placed| {
            let PurchaseKey { source, id } = &placed.purchase.key;
            id == &key.id && source == &key.source
        };
        self.purchases.iter().rposition(is_it)
    }
    /// Puts a purchase at its place, in place of an older form of itself; returns where.
    pub fn place(&mut self, purchase: Purchase) -> usize {
        if let Some(old) = self.find(&purchase.key) {
            self.purchases.remove(old);
        }
        let placed = Placed::new(purchase);
        let at = self.purchases.partition_point(|other| other.order() < placed.order());
        self.purchases.insert(at, placed);
        at
    }
    /// How a purchase stands now, for [`concerned`](super::concerned) once it has changed.
    #[must_use]
    pub fn before(&self, key: &PurchaseKey) -> Option<Before> {
        let place = self.find(key)?;
        let Placed { merchant, unlinked, .. } = &self.purchases[place];
        Some(Before { place, merchant: merchant.clone(), unlinked: *unlinked })
    }
    /// The link by which a purchase made at an instant is the member's: of the first of its
    /// events' cards (a replaced card may clear what the old one authorized) that was linked
    /// when buying.
    #[inline]
    #[must_use]
    pub fn link_of(&self, placed: &Placed) -> Option<&CardLink> {
        let at = placed.time;
        let first = placed.card.and_then(|card| self.head.card_at(card, at));
        first.or_else(|| placed.purchase.events.iter().find_map(|event| self.head.card_at(event.card, at)))
    }
    /// The source that credits a card at an instant, when it is not the link's own.
    #[inline]
    #[must_use]
    pub fn other_source(&self, link: &CardLink, at: Timestamp) -> Option<&SourceName> {
        if !self.head.cards.iter().any(|other| other.group == link.group && !std::ptr::eq(other, link)) {
            return None; // One source knows the card: nothing to compare.
        }
        let credited_by = self.head.crediting(link, at)?;
        (credited_by.card != link.card || credited_by.source != link.source).then_some(&credited_by.source)
    }
    /// Reward of sealed purchases under an offer in the calendar period of a local time: how
    /// many, how much. What is of the current day or week is never sealed.
    #[must_use]
    pub fn sealed_use(&self, offer: &OfferId, every: Period, local: civil::DateTime) -> (u32, i64) {
        let month = i32::from(local.year()) * 12 + i32::from(local.month()) - 1;
        let in_month = |of: i32| match every {
            Period::Day | Period::Week => false,
            Period::Month => of == month,
            Period::Year => of.div_euclid(12) == month.div_euclid(12),
            Period::Ever => true,
        };
        let uses = self.head.sealed.iter().flat_map(|total| &total.offers);
        let uses = uses.filter(|used| &used.offer == offer && in_month(used.month));
        uses.fold((0, 0), |(n, sum), used| (n + used.count, sum + used.minor))
    }
}
