//! Where decisions find offers.

use crate::domain::offer::{Offer, Trigger};
use crate::domain::{Code, MerchantId, OfferId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where decisions find the offers that may look at something.
pub trait OfferBook {
    /// All offers the merchant has or had, by id.
    fn offers_of(&self, merchant: &MerchantId) -> &[Arc<Offer>];
    /// An offer by its id.
    fn offer(&self, id: &OfferId) -> Option<&Arc<Offer>>;
    /// Offers that are found otherwise than by the merchant of a purchase.
    fn apart(&self) -> &OffersApart;
}

/// Offers that are found otherwise than by the merchant of a purchase; an operator has few.
/// Each list is by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OffersApart {
    category: Vec<Arc<Offer>>,
    referral: Vec<Arc<Offer>>,
    signal: BTreeMap<Code, Vec<Arc<Offer>>>,
}

impl OffersApart {
    /// Offers over a merchant category.
    #[must_use]
    pub fn category(&self) -> &[Arc<Offer>] {
        &self.category
    }
    /// Offers that reward a qualified referral.
    #[must_use]
    pub fn referral(&self) -> &[Arc<Offer>] {
        &self.referral
    }
    /// Offers that reward a kind of signal.
    #[must_use]
    pub fn signal(&self, kind: Code) -> &[Arc<Offer>] {
        self.signal.get(&kind).map_or(&[], Vec::as_slice)
    }
    /// Offers that reward signals of any kind.
    pub fn signals(&self) -> impl Iterator<Item = &Arc<Offer>> {
        self.signal.values().flatten()
    }
    /// Whether an offer belongs here, by any of its versions.
    #[must_use]
    pub fn concerns(offer: &Offer) -> bool {
        offer.is_wide() || offer.versions.iter().any(|version| version.terms.trigger != Trigger::Purchase)
    }
    /// Adds an offer in place of an older form of itself. Offers only grow, so it never leaves
    /// a list.
    pub fn put(&mut self, offer: &Arc<Offer>) {
        if offer.is_wide() {
            place(&mut self.category, offer);
        }
        for version in &offer.versions {
            match version.terms.trigger {
                Trigger::Signal { kind } => place(self.signal.entry(kind).or_default(), offer),
                Trigger::Referral { .. } => place(&mut self.referral, offer),
                Trigger::Purchase | Trigger::Points { .. } => {}
            }
        }
    }
}

fn place(list: &mut Vec<Arc<Offer>>, offer: &Arc<Offer>) {
    match list.binary_search_by(|known| known.id.cmp(&offer.id)) {
        Ok(place) => list[place] = Arc::clone(offer),
        Err(place) => list.insert(place, Arc::clone(offer)),
    }
}
