//! Merchants and offers in memory, and the index that tells whose shop a card event
//! was paid at.
//!
//! A [`Catalogue`] is an immutable snapshot: the caller keeps it behind an
//! `arc_swap::ArcSwap` and swaps it whole. A change yields a new snapshot that shares the
//! large base with the old one and carries the changed merchants and offers in a small
//! overlay; [`Catalogue::merged`] makes a new base in the background. Nothing here waits,
//! reads a clock or knows the store; whether an offer gives is `decide`'s to judge.

pub mod heard;
mod key;
mod layer;
mod mid_index;
#[cfg(test)]
mod tests;
mod unlike;

use crate::decide::OffersApart;
use crate::descriptor::{self, Candidate, Verdict};
use crate::domain::merchant::{Evidence, Location, Matched, Merchant};
use crate::domain::offer::Offer;
use crate::domain::{MerchantId, MerchantMark, OfferId, Timestamp, Unit};
use hashbrown::{HashMap, HashTable};
use jiff::tz::TimeZone;
use key::Key;
use layer::{Layer, Question, Side, Tally, hash_id};
use std::collections::BTreeMap;
use std::sync::Arc;
use unlike::Unlike;

/// Changed merchants and offer lists beyond which the overlay wants merging.
pub const OVERLAY_CHANGES_MAX: usize = 1_024;
/// MIDs of changed merchants beyond which the overlay wants merging: its index is built
/// again at each change of a merchant, at about a tenth of a microsecond per MID.
pub const OVERLAY_MIDS_MAX: usize = 16_384;

/// Locations of changed merchants beyond which the overlay wants merging: their words are
/// read again at each change, at some microseconds per location.
pub const OVERLAY_LOCATIONS_MAX: usize = 4_096;

/// A merchant's offers, by id.
type OfferList = Arc<[Arc<Offer>]>;

/// An immutable snapshot of all merchants and offers. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Catalogue {
    base: Arc<Base>,
    overlay: Arc<Overlay>,
    /// Offers that are found otherwise than by their merchant.
    apart: Arc<OffersApart>,
    /// Whose points and perks are whose.
    units: Arc<BTreeMap<Unit, MerchantId>>,
    revision: u64,
    descriptor_confidence_min: u16,
    /// Marks that are like none of these merchants.
    unlike: Arc<Unlike>,
}

/// Everything, as of the last merge.
#[derive(Debug)]
struct Base {
    seed: u64,
    layer: Layer,
    /// Each merchant's offers side by side, by id.
    offers: Box<[Arc<Offer>]>,
    /// Per merchant where its offers begin, and at the end where the last one's end.
    offer_starts: Box<[u32]>,
    offers_by_id: HashTable<u32>,
    /// Offers of merchants that are not there (yet).
    orphans: BTreeMap<MerchantId, OfferList>,
    orphans_by_id: BTreeMap<OfferId, Arc<Offer>>,
}

/// What changed since the base was made: it comes first.
#[derive(Debug, Clone, Default)]
struct Overlay {
    merchants: BTreeMap<MerchantId, Arc<Merchant>>,
    offers: BTreeMap<OfferId, Arc<Offer>>,
    /// The whole list of each merchant one of whose offers changed.
    lists: BTreeMap<MerchantId, OfferList>,
    /// The same, by the merchant's place in the base.
    base_lists: HashMap<u32, OfferList>,
    /// Places of base merchants that are replaced.
    replaced: hashbrown::HashSet<u32>,
    /// Index of the merchants above.
    layer: Arc<Layer>,
}

impl Overlay {
    fn live(&self, place: u32) -> bool {
        self.replaced.is_empty() || !self.replaced.contains(&place)
    }
}

/// A new base, made in the background by [`Catalogue::merged`].
#[derive(Debug, Clone)]
pub struct Merged {
    from: Arc<Base>,
    /// The changes that went into the new base.
    merchants: BTreeMap<MerchantId, Arc<Merchant>>,
    offers: BTreeMap<OfferId, Arc<Offer>>,
    base: Arc<Base>,
}

/// The shop that a mark was found to name. Looks up its documents only when asked.
#[derive(Debug, Clone, Copy)]
pub struct Located<'a> {
    layer: &'a Layer,
    location: u32,
    several: bool,
    evidence: Evidence,
}

impl<'a> Located<'a> {
    /// Whose shop. O(1).
    #[must_use]
    pub fn merchant(&self) -> &'a Arc<Merchant> {
        &self.layer.merchants[self.layer.merchant_of(self.location) as usize]
    }
    /// Which shop. O(1).
    #[must_use]
    pub fn location(&self) -> &'a Location {
        self.layer.location(self.location)
    }
    /// By what it was recognised.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        self.evidence
    }
    /// Whether the evidence names this shop. When false it names only the merchant, and
    /// the shop is the one with the smallest id among those it fits.
    #[must_use]
    pub fn location_is_certain(&self) -> bool {
        !self.several
    }
    /// IANA name of the shop's zone. O(1).
    #[must_use]
    pub fn time_zone_name(&self) -> &'a str {
        &self.layer.zone(self.location).name
    }
    /// The shop's zone. O(1).
    #[must_use]
    pub fn time_zone(&self) -> &'a TimeZone {
        &self.layer.zone(self.location).rules
    }
    /// What a record keeps of it. O(1).
    #[must_use]
    pub fn matched(&self) -> Matched {
        Matched {
            merchant: self.merchant().id.clone(),
            location: self.location().id.clone(),
            evidence: self.evidence,
            time_zone: self.layer.zone(self.location).name.clone(),
            country: self.location().country.clone(),
        }
    }
}

impl Base {
    fn build(merchants: Vec<Arc<Merchant>>, offers: Vec<Arc<Offer>>, seed: u64) -> Self {
        let mut layer = Layer::build(merchants, None, seed);
        let mut orphans: BTreeMap<MerchantId, BTreeMap<OfferId, Arc<Offer>>> = BTreeMap::new();
        let mut orphans_by_id = BTreeMap::new();
        let mut placed: Vec<(u32, Arc<Offer>)> = Vec::with_capacity(offers.len());
        for offer in offers {
            if let Some(place) = layer.place_of(offer.merchant()) {
                placed.push((place, offer));
            } else {
                orphans_by_id.insert(offer.id.clone(), offer.clone());
                orphans.entry(offer.merchant().clone()).or_default().insert(offer.id.clone(), offer);
            }
        }
        placed.sort_by(|(one_place, one), (other_place, other)| {
            one_place.cmp(other_place).then_with(|| one.id.cmp(&other.id))
        });
        let mut offer_starts = vec![0_u32; layer.merchants.len() + 1];
        for (place, _) in &placed {
            offer_starts[*place as usize + 1] += 1;
        }
        let mut sum = 0_u32;
        for start in &mut offer_starts {
            sum = sum.checked_add(*start).expect("fewer than 2^32 offers fit in memory");
            *start = sum;
        }
        layer.note_offers(&offer_starts);
        let offers: Box<[Arc<Offer>]> = placed.into_iter().map(|(_, offer)| offer).collect();
        let mut offers_by_id = HashTable::with_capacity(offers.len());
        for place in 0..sum {
            let hash = |place: &u32| hash_id(offers[*place as usize].id.as_str(), seed);
            offers_by_id.insert_unique(hash(&place), place, hash);
        }
        Self {
            seed,
            layer,
            offers,
            offer_starts: offer_starts.into_boxed_slice(),
            offers_by_id,
            orphans: orphans.into_iter().map(|(id, list)| (id, list.into_values().collect())).collect(),
            orphans_by_id,
        }
    }

    #[inline]
    fn offers_at(&self, place: u32) -> &[Arc<Offer>] {
        let place = place as usize;
        &self.offers[self.offer_starts[place] as usize..self.offer_starts[place + 1] as usize]
    }

    fn offers_of(&self, merchant: &MerchantId) -> &[Arc<Offer>] {
        match self.layer.place_of(merchant) {
            Some(place) => self.offers_at(place),
            None => self.orphans.get(merchant).map_or(&[], |list| list),
        }
    }

    fn offer(&self, id: &OfferId) -> Option<&Arc<Offer>> {
        self.offers_by_id
            .find(hash_id(id.as_str(), self.seed), |place| self.offers[*place as usize].id == *id)
            .map(|place| &self.offers[*place as usize])
            .or_else(|| self.orphans_by_id.get(id))
    }
}

impl Catalogue {
    /// Builds a snapshot; of several merchants (offers) with one id the last counts. `seed`
    /// is random per build and told to nobody, so that nobody can choose MIDs that collide.
    /// Linear in what is registered, beyond sorting by id: some seconds for ten million
    /// MIDs, so not on a thread that answers requests.
    #[must_use]
    pub fn build(merchants: Vec<Arc<Merchant>>, mut offers: Vec<Arc<Offer>>, revision: u64, seed: u64) -> Self {
        let mut seen = hashbrown::HashSet::with_capacity(offers.len());
        offers.reverse();
        offers.retain(|offer| seen.insert(offer.id.clone()));
        drop(seen);
        let mut apart = OffersApart::default();
        offers.iter().filter(|offer| OffersApart::concerns(offer)).for_each(|offer| apart.put(offer));
        let mut units = Arc::default();
        offers.iter().for_each(|offer| own_units(&mut units, offer));
        Self {
            apart: Arc::new(apart),
            units,
            base: Arc::new(Base::build(merchants, offers, seed)),
            overlay: Arc::default(),
            revision,
            descriptor_confidence_min: descriptor::CONFIDENCE_MIN,
            unlike: Arc::default(),
        }
    }

    /// This snapshot, and those made of it, with another confidence from which on a text is
    /// taken for the shop it is like.
    #[must_use]
    pub fn with_descriptor_confidence_min(self, descriptor_confidence_min: u16) -> Self {
        Self { descriptor_confidence_min, unlike: Arc::default(), ..self }
    }

    /// The store's revision that this snapshot shows.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// A merchant's document. O(1), beyond a search in the overlay.
    #[must_use]
    pub fn merchant(&self, id: &MerchantId) -> Option<&Arc<Merchant>> {
        self.overlay.merchants.get(id).or_else(|| {
            let place = self.base.layer.place_of(id)?;
            Some(&self.base.layer.merchants[place as usize])
        })
    }

    /// Some offers, those that changed last before others; at most so many.
    pub fn some_offers(&self, most: usize) -> impl Iterator<Item = &Arc<Offer>> {
        let changed = &self.overlay.offers;
        let others = self.base.offers.iter().filter(|offer| !changed.contains_key(&offer.id));
        changed.values().chain(others).take(most)
    }

    /// Every merchant, in no order.
    pub fn merchants(&self) -> impl Iterator<Item = &Arc<Merchant>> {
        let changed = &self.overlay.merchants;
        let others = self.base.layer.merchants.iter().filter(|merchant| !changed.contains_key(&merchant.id));
        changed.values().chain(others)
    }

    /// An offer's document. O(1), beyond a search in the overlay.
    #[must_use]
    pub fn offer(&self, id: &OfferId) -> Option<&Arc<Offer>> {
        self.overlay.offers.get(id).or_else(|| self.base.offer(id))
    }

    /// Offers that are found otherwise than by the merchant of a purchase. O(1).
    #[must_use]
    pub fn apart(&self) -> &OffersApart {
        &self.apart
    }

    /// Whose points or perk a unit is: the merchant's whose offer named it first, in any
    /// version. O(log of the units).
    #[must_use]
    pub fn unit_owner(&self, unit: &Unit) -> Option<&MerchantId> {
        self.units.get(unit)
    }

    /// The offers that a merchant funds, whatever their state, by id. O(1), beyond a search
    /// in the overlay.
    #[must_use]
    pub fn offers_of(&self, merchant: &MerchantId) -> &[Arc<Offer>] {
        match self.overlay.lists.get(merchant) {
            Some(list) => list,
            None => self.base.offers_of(merchant),
        }
    }

    /// Whose shop a mark names at a time, by the best evidence that leaves no doubt about
    /// the merchant.
    ///
    /// First scheme, acquirer and MID. What either side leaves out fits anything, but an
    /// equal acquirer counts more than one left out, and after that an equal scheme. When the
    /// best claims are of two merchants, or one of them is on a MID that many shops share,
    /// the MID proves nothing. Then the store id in the same way, then a descriptor that
    /// exactly one location registered, then the location that the descriptor is most like,
    /// when that is sure enough. Those that share the MID are ahead there.
    ///
    /// A few waits for memory; linear in the different conditions registered for one MID. A
    /// descriptor that nobody registered costs microseconds the first time.
    #[must_use]
    pub fn locate(&self, mark: &MerchantMark, at: Timestamp) -> Option<Located<'_>> {
        self.look_up(mark, at, true)
    }

    /// As [`Catalogue::locate`], by MID and store id alone: for those to whom it makes no difference whose
    /// shop a text names.
    #[must_use]
    pub fn locate_without_text(&self, mark: &MerchantMark, at: Timestamp) -> Option<Located<'_>> {
        self.look_up(mark, at, false)
    }

    fn look_up(&self, mark: &MerchantMark, at: Timestamp, reads_text: bool) -> Option<Located<'_>> {
        let question = Question::new(mark, at);
        let mut tally = Tally::default();
        self.base.layer.tally_mid(&question, self.base_side(), &mut tally);
        self.overlay.layer.tally_mid(&question, OVERLAY_SIDE, &mut tally);
        if let Some(found) = self.conclude(&tally, Evidence::Mid) {
            return Some(found);
        }
        self.locate_without_mid(mark, tally.is_shared().then_some(&question), reads_text)
    }

    /// `shared` when the MID is one that many shops share.
    fn locate_without_mid(
        &self,
        mark: &MerchantMark,
        shared: Option<&Question<'_>>,
        reads_text: bool,
    ) -> Option<Located<'_>> {
        let layers = [&self.base.layer, &*self.overlay.layer];
        if layers.iter().any(|layer| layer.has_stores())
            && let Some(store) = mark.store_id.as_deref().and_then(Key::of_store_id)
        {
            let scheme = key::scheme(mark.scheme.as_deref());
            let mut tally = Tally::default();
            self.base.layer.tally_store(&store, scheme.as_deref(), self.base_side(), &mut tally);
            self.overlay.layer.tally_store(&store, scheme.as_deref(), OVERLAY_SIDE, &mut tally);
            if let Some(found) = self.conclude(&tally, Evidence::StoreId) {
                return Some(found);
            }
        }
        if !reads_text || mark.descriptor.is_none() {
            return None;
        }
        if layers.iter().any(|layer| layer.has_descriptors())
            && let Some(text) = mark.descriptor.as_deref().and_then(Key::of_descriptor)
        {
            let mut tally = Tally::default();
            self.base.layer.tally_descriptor(&text, self.base_side(), &mut tally);
            self.overlay.layer.tally_descriptor(&text, OVERLAY_SIDE, &mut tally);
            let found = self.conclude(&tally, Evidence::Descriptor);
            // The same text in another country is another shop's.
            let elsewhere = |found: &Located<'_>| {
                let own = found.location().country.as_deref();
                own.zip(mark.country.as_deref()).is_some_and(|(own, sent)| !own.eq_ignore_ascii_case(sent))
            };
            if let Some(found) = found.filter(|found| !elsewhere(found)) {
                return Some(found);
            }
        }
        let hash = Unlike::hash(mark, shared.is_some(), self.base.seed);
        if self.unlike.knows(hash) {
            return None;
        }
        if let Verdict::Matched(candidate) = self.likeness(mark, shared) {
            return Some(self.located(&candidate));
        }
        self.unlike.remember(hash);
        None
    }

    /// The shops that a mark's descriptor may mean when [`Catalogue::locate`] finds none sure
    /// enough, best first: what is offered for linking, together with all that have the same
    /// [`descriptor::key`]. Empty when one is sure or none is like it.
    #[must_use]
    pub fn suggestions(&self, mark: &MerchantMark, at: Timestamp) -> Vec<Located<'_>> {
        let question = Question::new(mark, at);
        match self.likeness(mark, Some(&question)) {
            Verdict::Unsure(candidates) => candidates.iter().map(|candidate| self.located(candidate)).collect(),
            Verdict::Matched(_) | Verdict::Nothing => Vec::new(),
        }
    }

    fn likeness(&self, mark: &MerchantMark, shared: Option<&Question<'_>>) -> Verdict {
        let Some(text) = mark.descriptor.as_deref() else { return Verdict::Nothing };
        let text = descriptor::clean(text);
        let question = descriptor::Question {
            text: &text,
            mcc: mark.mcc,
            country: mark.country.as_deref(),
            postcode: mark.postcode.as_deref(),
        };
        let (base, overlay) = (&self.base.layer, &*self.overlay.layer);
        let base_shares = |shop| shared.is_some_and(|question| base.shares(shop, question));
        let overlay_shares = |shop| shared.is_some_and(|question| overlay.shares(shop, question));
        let sides = [
            descriptor::Side {
                index: &base.likeness,
                live: &|place| self.overlay.live(place),
                shares_mid: shared.is_some().then_some(&base_shares),
            },
            descriptor::Side {
                index: &overlay.likeness,
                live: &|_| true,
                shares_mid: shared.is_some().then_some(&overlay_shares),
            },
        ];
        descriptor::find(&question, &sides, self.descriptor_confidence_min)
    }

    fn located(&self, candidate: &Candidate) -> Located<'_> {
        let layer = if candidate.layer == 0 { &self.base.layer } else { &*self.overlay.layer };
        Located { layer, location: candidate.shop, several: false, evidence: Evidence::Likeness(candidate.likeness) }
    }

    fn base_side(&self) -> Side<impl Fn(u32) -> bool> {
        Side { overlay: false, live: |place| self.overlay.live(place) }
    }

    fn conclude(&self, tally: &Tally, evidence: Evidence) -> Option<Located<'_>> {
        let (overlay, location, several) = tally.verdict()?;
        let layer = if overlay { &*self.overlay.layer } else { &self.base.layer };
        Some(Located { layer, location, several, evidence })
    }

    /// Whose shop a mark names at a time, and the offers which that merchant funds, by id.
    /// As [`Catalogue::locate`], and one wait for memory more.
    #[must_use]
    pub fn candidates(&self, mark: &MerchantMark, at: Timestamp) -> Option<(Located<'_>, &[Arc<Offer>])> {
        let located = self.locate(mark, at)?;
        if !std::ptr::eq(located.layer, &raw const self.base.layer) {
            return Some((located, self.offers_of(&located.merchant().id)));
        }
        if !self.overlay.base_lists.is_empty() {
            let place = located.layer.merchant_of(located.location);
            if let Some(list) = self.overlay.base_lists.get(&place) {
                return Some((located, list));
            }
        }
        let offers = match located.layer.offers_noted(located.location) {
            Some(range) => &self.base.offers[range],
            None => self.base.offers_at(located.layer.merchant_of(located.location)),
        };
        Some((located, offers))
    }

    /// This snapshot with one merchant added or replaced. As [`Catalogue::with_changes`].
    #[must_use]
    pub fn with_merchant(&self, merchant: Arc<Merchant>, revision: u64) -> Self {
        self.with_changes(vec![merchant], Vec::new(), revision)
    }

    /// This snapshot with one offer added or replaced. As [`Catalogue::with_changes`].
    #[must_use]
    pub fn with_offer(&self, offer: Arc<Offer>, revision: u64) -> Self {
        self.with_changes(Vec::new(), vec![offer], revision)
    }

    /// This snapshot with merchants and offers added or replaced; later ones win. Linear
    /// in the changes and in the overlay ([`Catalogue::wants_merging`] says when it is too
    /// large), and not in the base.
    #[must_use]
    pub fn with_changes(&self, merchants: Vec<Arc<Merchant>>, offers: Vec<Arc<Offer>>, revision: u64) -> Self {
        let mut overlay = (*self.overlay).clone();
        let (mut apart, mut units) = (Arc::clone(&self.apart), Arc::clone(&self.units));
        offers.iter().for_each(|offer| own_units(&mut units, offer));
        for offer in offers.iter().filter(|offer| OffersApart::concerns(offer)) {
            Arc::make_mut(&mut apart).put(offer);
        }
        let rebuild = !merchants.is_empty();
        for merchant in merchants {
            if let Some(place) = self.base.layer.place_of(&merchant.id) {
                overlay.replaced.insert(place);
            }
            overlay.merchants.insert(merchant.id.clone(), merchant);
        }
        if rebuild {
            let changed = overlay.merchants.values().cloned().collect();
            overlay.layer = Arc::new(Layer::build(changed, Some(&self.base.layer), self.base.seed));
        }
        for offer in offers {
            let earlier = overlay.offers.insert(offer.id.clone(), offer.clone());
            let earlier = earlier.or_else(|| self.base.offer(&offer.id).cloned());
            if let Some(earlier) = earlier.filter(|earlier| earlier.merchant() != offer.merchant()) {
                self.relist(&mut overlay, earlier.merchant(), |list| list.retain(|other| other.id != offer.id));
            }
            self.relist(&mut overlay, offer.merchant(), |list| {
                match list.binary_search_by(|other| other.id.cmp(&offer.id)) {
                    Ok(place) => list[place] = offer.clone(),
                    Err(place) => list.insert(place, offer.clone()),
                }
            });
        }
        let descriptor_confidence_min = self.descriptor_confidence_min;
        let unlike = if rebuild { Arc::default() } else { Arc::clone(&self.unlike) };
        Self {
            base: self.base.clone(),
            overlay: Arc::new(overlay),
            apart,
            units,
            revision,
            descriptor_confidence_min,
            unlike,
        }
    }

    fn relist(&self, overlay: &mut Overlay, merchant: &MerchantId, change: impl FnOnce(&mut Vec<Arc<Offer>>)) {
        let mut list = match overlay.lists.get(merchant) {
            Some(list) => list.to_vec(),
            None => self.base.offers_of(merchant).to_vec(),
        };
        change(&mut list);
        let list: OfferList = list.into();
        if let Some(place) = self.base.layer.place_of(merchant) {
            overlay.base_lists.insert(place, list.clone());
        }
        overlay.lists.insert(merchant.clone(), list);
    }

    /// Whether the overlay has grown so large that changes become slow: then run
    /// [`Catalogue::merged`] in the background and [`Catalogue::adopt`] its result. O(1).
    #[must_use]
    pub fn wants_merging(&self) -> bool {
        self.overlay.merchants.len() + self.overlay.offers.len() > OVERLAY_CHANGES_MAX
            || self.overlay.layer.mid_count() > OVERLAY_MIDS_MAX
            || self.overlay.layer.likeness.len() > OVERLAY_LOCATIONS_MAX
    }

    /// Makes a new base of this snapshot under a new seed. As slow as
    /// [`Catalogue::build`]; the documents are shared, the index is there twice meanwhile.
    #[must_use]
    pub fn merged(&self, seed: u64) -> Merged {
        let overlay = &*self.overlay;
        let merchants = (0_u32..)
            .zip(&self.base.layer.merchants)
            .filter(|(place, _)| overlay.live(*place))
            .map(|(_, merchant)| merchant)
            .chain(overlay.merchants.values())
            .cloned()
            .collect();
        let offers = self
            .base
            .offers
            .iter()
            .chain(self.base.orphans_by_id.values())
            .filter(|offer| overlay.offers.is_empty() || !overlay.offers.contains_key(&offer.id))
            .chain(overlay.offers.values())
            .cloned()
            .collect();
        Merged {
            from: self.base.clone(),
            merchants: overlay.merchants.clone(),
            offers: overlay.offers.clone(),
            base: Arc::new(Base::build(merchants, offers, seed)),
        }
    }

    /// This snapshot on a new base, its overlay holding only what changed since
    /// [`Catalogue::merged`] was asked. `None` when this snapshot does not descend from the
    /// one that was merged (another merge came first): the new base is then of no use.
    /// Linear in the overlays.
    #[must_use]
    pub fn adopt(&self, merged: &Merged) -> Option<Self> {
        if !Arc::ptr_eq(&self.base, &merged.from) {
            return None;
        }
        fn since<K: Ord, V>(now: &BTreeMap<K, Arc<V>>, then: &BTreeMap<K, Arc<V>>) -> Vec<Arc<V>> {
            let unchanged = |id: &K, value: &Arc<V>| then.get(id).is_some_and(|other| Arc::ptr_eq(value, other));
            now.iter().filter(|(id, value)| !unchanged(id, value)).map(|(_, value)| value.clone()).collect()
        }
        let fresh = Self { base: merged.base.clone(), overlay: Arc::default(), unlike: Arc::default(), ..self.clone() };
        let merchants = since(&self.overlay.merchants, &merged.merchants);
        let offers = since(&self.overlay.offers, &merged.offers);
        Some(fresh.with_changes(merchants, offers, self.revision))
    }

    /// Zone names that are not in the zone database; their shops are read in UTC. Linear in
    /// the zones.
    pub fn unknown_time_zones(&self) -> impl Iterator<Item = &str> {
        let zones = self.base.layer.zones.iter().chain(&self.overlay.layer.zones);
        zones.filter(|zone| !zone.known).map(|zone| zone.name.as_str())
    }

    /// MIDs held; one that a merchant uses for many shops under the same conditions
    /// counts once. O(1).
    #[must_use]
    pub fn mid_count(&self) -> usize {
        self.base.layer.mid_count() + self.overlay.layer.mid_count()
    }

    /// Bytes of the MID index alone. O(1).
    #[must_use]
    pub fn mid_index_bytes(&self) -> usize {
        self.base.layer.mid_index_bytes() + self.overlay.layer.mid_index_bytes()
    }

    /// Bytes of the index of words alone. O(1).
    #[must_use]
    pub fn descriptor_index_bytes(&self) -> usize {
        self.base.layer.likeness.memory_bytes() + self.overlay.layer.likeness.memory_bytes()
    }

    /// Bytes of everything that makes merchants and offers findable: indexes, tables of
    /// locations, lists of offers. The documents themselves, and the overlay's small maps,
    /// are not counted. Linear in the overlay.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.base.layer.memory_bytes()
            + self.overlay.layer.memory_bytes()
            + size_of_val(&*self.base.offers)
            + size_of_val(&*self.base.offer_starts)
            + self.base.offers_by_id.allocation_size()
    }
}

/// Enters the units that an offer names, unless another merchant's offer did before.
fn own_units(units: &mut Arc<BTreeMap<Unit, MerchantId>>, offer: &Offer) {
    for (_, unit) in offer.versions.iter().flat_map(|version| version.terms.named_units()) {
        if !units.contains_key(&unit) {
            Arc::make_mut(units).insert(unit, offer.merchant().clone());
        }
    }
}

const OVERLAY_SIDE: Side<fn(u32) -> bool> = Side { overlay: true, live: |_| true };

impl crate::decide::OfferBook for Catalogue {
    fn offer(&self, id: &OfferId) -> Option<&Arc<Offer>> {
        Self::offer(self, id)
    }
    fn apart(&self) -> &OffersApart {
        Self::apart(self)
    }
    fn offers_of(&self, merchant: &MerchantId) -> &[Arc<Offer>] {
        Self::offers_of(self, merchant)
    }
}
