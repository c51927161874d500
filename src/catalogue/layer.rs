//! A frozen set of merchants, and the judgement which of them a mark names.
//!
//! A catalogue is two of these: a large base and a small overlay of what changed since. The
//! rules of evidence are here, in [`Tally`], and apply across both.

use super::key::{self, Acquirer, Key};
use super::mid_index::{Claim, LOCATIONS_MAX, MidIndex, Terms};
use crate::descriptor::{Index, Shop};
use crate::domain::merchant::{Location, Merchant, Mid};
use crate::domain::{MerchantId, MerchantMark, Timestamp};
use compact_str::CompactString;
use hashbrown::HashTable;
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Marks the code of an acquirer that is no number.
const WORD: u32 = 1 << 31;
/// Sent, but registered by nobody: equal to nothing, and no wildcard.
const STRANGER: u32 = u32::MAX;
/// As [`STRANGER`], for schemes.
const STRANGER_SCHEME: u16 = u16::MAX;

/// A time zone, resolved once.
#[derive(Debug, Clone)]
pub(super) struct Zone {
    /// As the merchant wrote it.
    pub(super) name: CompactString,
    /// The rules.
    pub(super) rules: TimeZone,
    /// False when the name is not in the zone database; the rules are then UTC's.
    pub(super) known: bool,
}

/// See the top of the file.
#[derive(Debug, Default)]
pub(super) struct Layer {
    /// By id.
    pub(super) merchants: Box<[Arc<Merchant>]>,
    seed: u64,
    by_id: HashTable<u32>,
    /// A merchant's locations are neighbours, by id.
    rows: Box<[Row]>,
    pub(super) zones: Box<[Zone]>,
    codes: Codes,
    mids: MidIndex,
    stores: MidIndex,
    descriptors: MidIndex,
    /// By the words of names and texts: a place in it is a location's here.
    pub(super) likeness: Index,
}

/// What is wanted of a location once it is found, side by side: one wait for memory.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    /// Place of its merchant.
    merchant: u32,
    /// Its place in the merchant's document.
    place: u32,
    /// Where the merchant's offers begin.
    offers_from: u32,
    /// Place of its zone in the upper 24 bits, and the number of the merchant's offers
    /// below, at most [`MANY_OFFERS`].
    zone_and_offers: u32,
}

/// In a row: so many offers, or more.
const MANY_OFFERS: u32 = 0xff;

/// Numbers in place of texts and times that many registrations have in common.
#[derive(Debug, Default)]
struct Codes {
    /// Sorted; the code is the place and one.
    schemes: Vec<CompactString>,
    /// Sorted; the code is the place with [`WORD`].
    acquirers: Vec<CompactString>,
    /// Sorted; the code is the place and one.
    windows: Vec<(Timestamp, Timestamp)>,
}

impl Codes {
    fn of(merchants: &[Arc<Merchant>]) -> Self {
        let (mut schemes, mut acquirers, mut windows) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut add_scheme = |text: &Option<CompactString>| {
            if let Some(scheme) = key::scheme(text.as_deref())
                && !schemes.contains(&*scheme)
            {
                schemes.insert(CompactString::new(scheme));
            }
        };
        for location in merchants.iter().flat_map(|merchant| &merchant.locations) {
            for mid in &location.mids {
                add_scheme(&mid.scheme);
                if let Acquirer::Word(word) = Acquirer::new(mid.acquirer.as_deref()) {
                    acquirers.insert(word);
                }
                windows.extend(window(mid.from, mid.to));
            }
            for store in &location.store_ids {
                add_scheme(&store.scheme);
            }
        }
        Self {
            schemes: schemes.into_iter().collect(),
            acquirers: acquirers.into_iter().collect(),
            windows: windows.into_iter().collect(),
        }
    }
    /// Logarithmic in the schemes. More than 65,533 are not told apart: those beyond match
    /// nothing that names a scheme.
    fn scheme(&self, name: Option<&str>) -> u16 {
        let Some(name) = name else { return 0 };
        match self.schemes.binary_search_by(|other| other.as_str().cmp(name)) {
            Ok(place) => u16::try_from(place + 1).unwrap_or(STRANGER_SCHEME),
            Err(_) => STRANGER_SCHEME,
        }
    }
    /// Logarithmic in the acquirers that are no numbers.
    fn acquirer(&self, acquirer: &Acquirer) -> u32 {
        match acquirer {
            Acquirer::Unknown => 0,
            Acquirer::Number(number) => *number,
            Acquirer::Word(word) => match self.acquirers.binary_search(word) {
                Ok(place) => u32::try_from(place).map_or(STRANGER, |place| place | WORD),
                Err(_) => STRANGER,
            },
        }
    }
    /// Logarithmic in the windows.
    fn window(&self, window: (Timestamp, Timestamp)) -> u32 {
        let place = self.windows.binary_search(&window).expect("collected from the same merchants");
        u32::try_from(place + 1).expect("fewer than 2^32 windows fit in memory")
    }
}

/// From and to as a pair; `None` is always.
fn window(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<(Timestamp, Timestamp)> {
    match (from, to) {
        (None, None) => None,
        _ => Some((from.unwrap_or(Timestamp::from_ms(i64::MIN)), to.unwrap_or(Timestamp::from_ms(i64::MAX)))),
    }
}

/// The best claim so far. Better evidence replaces worse; equally good evidence for
/// another merchant spoils it, since a wrong credit is worse than a missed one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    best: Option<Best>,
}

#[derive(Debug, Clone, Copy)]
struct Best {
    rank: u8,
    spoiled: bool,
    overlay: bool,
    merchant: u32,
    location: u32,
    several: bool,
    shared: bool,
}

impl Tally {
    /// Whether a claim of this rank could still change the result.
    fn open(&self, rank: u8) -> bool {
        self.best.is_none_or(|best| rank > best.rank || (rank == best.rank && !best.spoiled))
    }
    fn take(&mut self, rank: u8, shared: bool, overlay: bool, merchant: u32, location: u32, several: bool) {
        match &mut self.best {
            Some(best) if rank < best.rank => {}
            Some(best) if rank == best.rank => {
                best.shared |= shared;
                best.spoiled |= shared || best.merchant != merchant || best.overlay != overlay;
                best.several |= several || best.location != location;
                best.location = best.location.min(location);
            }
            _ => self.best = Some(Best { rank, spoiled: shared, shared, overlay, merchant, location, several }),
        }
    }
    /// Whether the best evidence is a MID that many shops share. It may change while claims
    /// are taken.
    pub(super) fn is_shared(&self) -> bool {
        self.best.is_some_and(|best| best.shared)
    }
    /// The location, when the evidence leaves one merchant: whether it is the overlay's, its
    /// place there, and whether other locations of the merchant are as good.
    pub(super) fn verdict(&self) -> Option<(bool, u32, bool)> {
        self.best.filter(|best| !best.spoiled).map(|best| (best.overlay, best.location, best.several))
    }
}

/// A mark's MID and what narrows it, read once for both layers.
#[derive(Debug)]
pub(super) struct Question<'a> {
    mid: Option<Key>,
    scheme: Option<std::borrow::Cow<'a, str>>,
    acquirer: Acquirer,
    at: Timestamp,
}

impl<'a> Question<'a> {
    /// Linear in the texts; allocates only for a MID or acquirer longer than any network's.
    #[inline]
    pub(super) fn new(mark: &'a MerchantMark, at: Timestamp) -> Self {
        Self {
            mid: mark.mid.as_deref().and_then(Key::of_mid),
            scheme: key::scheme(mark.scheme.as_deref()),
            acquirer: Acquirer::new(mark.acquirer.as_deref()),
            at,
        }
    }
}

/// Which layer asks, and which of its merchants count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side<L> {
    /// Whether the layer is the overlay.
    pub(super) overlay: bool,
    /// Whether the merchant in a place counts (in the base, one that the overlay
    /// replaces does not).
    pub(super) live: L,
}

impl Layer {
    /// Builds over merchants; of several with one id the last counts. `background` is the
    /// base when this is its overlay: a word is as rare as both say. Linear in what they
    /// register, beyond sorting by id.
    pub(super) fn build(mut merchants: Vec<Arc<Merchant>>, background: Option<&Self>, seed: u64) -> Self {
        merchants.sort_by(|one, other| one.id.cmp(&other.id));
        merchants.dedup_by(|later, earlier| {
            let same = later.id == earlier.id;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        let mut layer = Self { merchants: merchants.into_boxed_slice(), seed, ..Self::default() };
        layer.by_id = HashTable::with_capacity(layer.merchants.len());
        for place in 0..u32::try_from(layer.merchants.len()).expect("fewer than 2^32 merchants") {
            let merchants = &layer.merchants;
            let hash = |place: &u32| hash_id(merchants[*place as usize].id.as_str(), seed);
            layer.by_id.insert_unique(hash(&place), place, hash);
        }
        layer.place_locations();
        layer.codes = Codes::of(&layer.merchants);
        layer.mids = layer.index_mids();
        layer.stores = layer.index_stores();
        layer.descriptors = layer.index_descriptors();
        layer.likeness = layer.index_words(background.map(|base| &base.likeness));
        layer
    }

    fn place_locations(&mut self) {
        let total = self.merchants.iter().map(|merchant| merchant.locations.len()).sum();
        assert!(u32::try_from(total).is_ok_and(|total| total <= LOCATIONS_MAX), "at most 2^31 locations");
        let mut zone_places: BTreeMap<CompactString, u32> = BTreeMap::new();
        let mut rows = Vec::with_capacity(total);
        let mut zones = Vec::new();
        let mut order: Vec<u32> = Vec::new();
        for (owner, merchant) in (0_u32..).zip(&self.merchants) {
            order.clear();
            order.extend((0_u32..).zip(&merchant.locations).map(|(place, _)| place));
            order.sort_by(|one, other| {
                merchant.locations[*one as usize].id.cmp(&merchant.locations[*other as usize].id)
            });
            for &place in &order {
                let name = merchant.locations[place as usize].time_zone.as_ref().unwrap_or(&merchant.time_zone);
                let zone = if let Some(&zone) = zone_places.get(name) {
                    zone
                } else {
                    let zone = u32::try_from(zones.len()).expect("fewer zones than locations");
                    assert!(zone < 1 << 24, "at most 2^24 zone names");
                    let rules = TimeZone::get(name);
                    zones.push(Zone {
                        name: name.clone(),
                        known: rules.is_ok(),
                        rules: rules.unwrap_or(TimeZone::UTC),
                    });
                    zone_places.insert(name.clone(), zone);
                    zone
                };
                rows.push(Row { merchant: owner, place, offers_from: 0, zone_and_offers: zone << 8 });
            }
        }
        self.rows = rows.into_boxed_slice();
        self.zones = zones.into_boxed_slice();
    }

    /// Notes beside each location where its merchant's offers lie: `starts` has each
    /// merchant's beginning, and at the end where the last one's end. Linear in the locations.
    pub(super) fn note_offers(&mut self, starts: &[u32]) {
        for row in &mut self.rows {
            let (from, to) = (starts[row.merchant as usize], starts[row.merchant as usize + 1]);
            row.offers_from = from;
            row.zone_and_offers = row.zone_and_offers & !MANY_OFFERS | (to - from).min(MANY_OFFERS);
        }
    }

    /// Where the offers of a location's merchant lie; `None` when they are too many to be
    /// noted here. O(1).
    #[inline]
    pub(super) fn offers_noted(&self, location: u32) -> Option<std::ops::Range<usize>> {
        let row = self.rows[location as usize];
        let (from, count) = (row.offers_from as usize, row.zone_and_offers & MANY_OFFERS);
        (count < MANY_OFFERS).then(|| from..from + count as usize)
    }

    fn locations(&self) -> impl Iterator<Item = (u32, &Location)> {
        (0_u32..)
            .zip(&self.rows)
            .map(|(location, row)| (location, &self.merchants[row.merchant as usize].locations[row.place as usize]))
    }

    fn index_mids(&self) -> MidIndex {
        let expected = self.locations().map(|(_, location)| location.mids.len()).sum();
        MidIndex::build(self.seed, expected, &|location| self.merchant_of(location), &|take| {
            for (place, location) in self.locations() {
                for mid in &location.mids {
                    let Some(key) = Key::of_mid(&mid.mid) else { continue };
                    let terms = Terms {
                        acquirer: self.codes.acquirer(&Acquirer::new(mid.acquirer.as_deref())),
                        window: window(mid.from, mid.to).map_or(0, |window| self.codes.window(window)),
                        scheme: self.codes.scheme(key::scheme(mid.scheme.as_deref()).as_deref()),
                        shared: mid.shared,
                    };
                    take(Claim { key, terms, location: place });
                }
            }
        })
    }

    fn index_stores(&self) -> MidIndex {
        let expected = self.locations().map(|(_, location)| location.store_ids.len()).sum();
        MidIndex::build(self.seed, expected, &|location| self.merchant_of(location), &|take| {
            for (place, location) in self.locations() {
                for store in &location.store_ids {
                    let Some(key) = Key::of_store_id(&store.id) else { continue };
                    let scheme = self.codes.scheme(key::scheme(store.scheme.as_deref()).as_deref());
                    take(Claim { key, terms: Terms { scheme, ..Terms::default() }, location: place });
                }
            }
        })
    }

    fn index_descriptors(&self) -> MidIndex {
        let expected = self.locations().map(|(_, location)| location.descriptors.len()).sum();
        MidIndex::build(self.seed, expected, &|location| self.merchant_of(location), &|take| {
            for (place, location) in self.locations() {
                for key in location.descriptors.iter().filter_map(|text| Key::of_descriptor(text)) {
                    take(Claim { key, terms: Terms::default(), location: place });
                }
            }
        })
    }

    fn index_words(&self, background: Option<&Index>) -> Index {
        let shops = self.locations().map(|(place, location)| {
            let merchant = self.merchant_of(place);
            Shop {
                merchant,
                merchant_name: &self.merchants[merchant as usize].name,
                name: location.name.as_deref(),
                descriptors: &location.descriptors,
                city: location.city.as_deref(),
                postcode: location.postcode.as_deref(),
                country: location.country.as_deref(),
                mcc: location.mcc,
                store_numbers: &location.store_numbers,
            }
        });
        Index::build(shops, background, self.seed)
    }

    /// Whether a location registered the question's MID as one that many shops share. Linear
    /// in its MIDs.
    pub(super) fn shares(&self, location: u32, question: &Question<'_>) -> bool {
        let fits = |mid: &Mid| {
            let scheme = match (key::scheme(mid.scheme.as_deref()), &question.scheme) {
                (Some(one), Some(other)) => one == *other,
                _ => true,
            };
            let acquirer = match (Acquirer::new(mid.acquirer.as_deref()), &question.acquirer) {
                (Acquirer::Unknown, _) | (_, Acquirer::Unknown) => true,
                (one, other) => one == *other,
            };
            let in_force = mid.from.is_none_or(|from| from <= question.at) && mid.to.is_none_or(|to| question.at < to);
            mid.shared && scheme && acquirer && in_force && Key::of_mid(&mid.mid) == question.mid
        };
        question.mid.is_some() && self.location(location).mids.iter().any(fits)
    }

    /// A merchant's place. O(1).
    pub(super) fn place_of(&self, id: &MerchantId) -> Option<u32> {
        self.by_id.find(hash_id(id.as_str(), self.seed), |place| self.merchants[*place as usize].id == *id).copied()
    }

    /// A location's merchant. O(1).
    #[inline]
    pub(super) fn merchant_of(&self, location: u32) -> u32 {
        self.rows[location as usize].merchant
    }

    /// A location's document. O(1).
    pub(super) fn location(&self, location: u32) -> &Location {
        let row = self.rows[location as usize];
        &self.merchants[row.merchant as usize].locations[row.place as usize]
    }

    /// A location's zone. O(1).
    pub(super) fn zone(&self, location: u32) -> &Zone {
        &self.zones[(self.rows[location as usize].zone_and_offers >> 8) as usize]
    }

    /// Whether anybody registered a store id. O(1).
    pub(super) fn has_stores(&self) -> bool {
        self.stores.len() > 0
    }

    /// Whether anybody registered a descriptor. O(1).
    pub(super) fn has_descriptors(&self) -> bool {
        self.descriptors.len() > 0
    }

    /// Takes the claims on the MID into the tally. Constant, then linear in the different
    /// conditions registered for this MID.
    #[inline]
    pub(super) fn tally_mid(&self, question: &Question<'_>, side: Side<impl Fn(u32) -> bool>, tally: &mut Tally) {
        let Some(mid) = &question.mid else { return };
        self.mids.find(mid, |terms, claimants| {
            let scheme = match (terms.scheme, &question.scheme) {
                (0, _) | (_, None) => 0,
                (code, Some(scheme)) if code == self.codes.scheme(Some(scheme)) && code != STRANGER_SCHEME => 1,
                _ => return,
            };
            let acquirer = match (terms.acquirer, &question.acquirer) {
                (0, _) | (_, Acquirer::Unknown) => 0,
                (code, acquirer) if code == self.codes.acquirer(acquirer) && code != STRANGER => 2,
                _ => return,
            };
            if terms.window > 0 {
                let (from, to) = self.codes.windows[terms.window as usize - 1];
                if question.at < from || question.at >= to {
                    return;
                }
            }
            let rank = acquirer + scheme;
            claimants.each(|location, several| {
                let merchant = self.merchant_of(location);
                if (side.live)(merchant) {
                    tally.take(rank, terms.shared, side.overlay, merchant, location, several);
                }
                tally.open(rank)
            });
        });
    }

    /// Takes the claims on the store id into the tally. As for a MID.
    pub(super) fn tally_store(
        &self,
        store: &Key,
        scheme: Option<&str>,
        side: Side<impl Fn(u32) -> bool>,
        tally: &mut Tally,
    ) {
        self.stores.find(store, |terms, claimants| {
            let rank = match (terms.scheme, scheme) {
                (0, _) | (_, None) => 0,
                (code, Some(_)) if code == self.codes.scheme(scheme) && code != STRANGER_SCHEME => 1,
                _ => return,
            };
            claimants.each(|location, several| {
                let merchant = self.merchant_of(location);
                if (side.live)(merchant) {
                    tally.take(rank, false, side.overlay, merchant, location, several);
                }
                tally.open(rank)
            });
        });
    }

    /// Takes the claims on the descriptor into the tally: one of several locations spoils
    /// it. Constant, then linear in the merchants that do not count any more.
    pub(super) fn tally_descriptor(&self, text: &Key, side: Side<impl Fn(u32) -> bool>, tally: &mut Tally) {
        self.descriptors.find(text, |_, claimants| {
            claimants.each(|location, several| {
                let merchant = self.merchant_of(location);
                if (side.live)(merchant) {
                    tally.take(0, several, side.overlay, merchant, location, several);
                }
                tally.open(0)
            });
        });
    }

    /// MIDs under different conditions. O(1).
    pub(super) fn mid_count(&self) -> usize {
        self.mids.len()
    }

    /// Bytes of the MID index alone. O(1).
    pub(super) fn mid_index_bytes(&self) -> usize {
        self.mids.memory_bytes()
    }

    /// Bytes held, the merchants' documents apart. O(texts that are coded).
    pub(super) fn memory_bytes(&self) -> usize {
        self.mids.memory_bytes()
            + self.stores.memory_bytes()
            + self.descriptors.memory_bytes()
            + self.likeness.memory_bytes()
            + size_of_val(&*self.merchants)
            + self.by_id.allocation_size()
            + size_of_val(&*self.rows)
            + size_of_val(&*self.zones)
            + size_of_val(&*self.codes.windows)
            + (self.codes.schemes.len() + self.codes.acquirers.len()) * size_of::<CompactString>()
    }
}

/// The seeded hash of an id.
pub(super) fn hash_id(id: &str, seed: u64) -> u64 {
    xxh3_64_with_seed(id.as_bytes(), seed)
}
