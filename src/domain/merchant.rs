//! Merchants, their locations, and the ids by which card networks name them.

use super::{LocationId, MerchantId, Timestamp};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// A merchant as configured. Times of offers are the location's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merchant {
    /// The caller's id.
    pub id: MerchantId,
    /// Shown to members.
    pub name: String,
    /// IANA zone used by locations without their own.
    pub time_zone: CompactString,
    /// Shops and sites.
    pub locations: Vec<Location>,
    /// Declared rivals, as given; read by screening.
    pub competitors: Vec<Competitor>,
}

/// One shop or site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "LocationForm", into = "LocationForm")]
pub struct Location {
    /// Unique within the merchant.
    pub id: LocationId,
    /// Shown to members; `None` shows the merchant's.
    pub name: Option<String>,
    /// IANA zone; `None` takes the merchant's.
    pub time_zone: Option<CompactString>,
    /// ISO 3166 alpha-2.
    pub country: Option<CompactString>,
    /// Postcode.
    pub postcode: Option<CompactString>,
    /// City, as statement texts name it.
    pub city: Option<CompactString>,
    /// Merchant category code that acquirers give it.
    pub mcc: Option<u16>,
    /// The merchant's own numbers of it, which statement texts carry.
    pub store_numbers: Vec<CompactString>,
    /// The ids under which acquirers know this shop.
    pub mids: Vec<Mid>,
    /// The networks' own ids of this shop.
    pub store_ids: Vec<StoreId>,
    /// Statement texts that name this shop.
    pub descriptors: Vec<CompactString>,
}

impl Location {
    /// A place of which nothing is known but its id.
    #[must_use]
    pub fn new(id: LocationId) -> Self {
        Self {
            id,
            name: None,
            time_zone: None,
            country: None,
            postcode: None,
            city: None,
            mcc: None,
            store_numbers: Vec::new(),
            mids: Vec::new(),
            store_ids: Vec::new(),
            descriptors: Vec::new(),
        }
    }
}

/// A location as it is encoded. City, category and store numbers were added later: they
/// stand in the postcode's field, whose first two variants have the encoding of the option it
/// was. So what was written before them reads as ever.
#[derive(Serialize, Deserialize)]
struct LocationForm {
    id: LocationId,
    name: Option<String>,
    time_zone: Option<CompactString>,
    country: Option<CompactString>,
    place: PlaceForm,
    mids: Vec<Mid>,
    store_ids: Vec<StoreId>,
    descriptors: Vec<CompactString>,
}

#[derive(Serialize, Deserialize)]
enum PlaceForm {
    Nothing,
    Postcode(CompactString),
    Full {
        postcode: Option<CompactString>,
        city: Option<CompactString>,
        mcc: Option<u16>,
        store_numbers: Vec<CompactString>,
    },
}

impl From<LocationForm> for Location {
    fn from(form: LocationForm) -> Self {
        let (postcode, city, mcc, store_numbers) = match form.place {
            PlaceForm::Nothing => (None, None, None, Vec::new()),
            PlaceForm::Postcode(postcode) => (Some(postcode), None, None, Vec::new()),
            PlaceForm::Full { postcode, city, mcc, store_numbers } => (postcode, city, mcc, store_numbers),
        };
        Self {
            id: form.id,
            name: form.name,
            time_zone: form.time_zone,
            country: form.country,
            postcode,
            city,
            mcc,
            store_numbers,
            mids: form.mids,
            store_ids: form.store_ids,
            descriptors: form.descriptors,
        }
    }
}

impl From<Location> for LocationForm {
    fn from(location: Location) -> Self {
        let Location { id, name, time_zone, country, postcode, city, mcc, store_numbers, .. } = location;
        let place = if city.is_some() || mcc.is_some() || !store_numbers.is_empty() {
            PlaceForm::Full { postcode, city, mcc, store_numbers }
        } else {
            postcode.map_or(PlaceForm::Nothing, PlaceForm::Postcode)
        };
        let (mids, store_ids, descriptors) = (location.mids, location.store_ids, location.descriptors);
        Self { id, name, time_zone, country, place, mids, store_ids, descriptors }
    }
}

/// A merchant id at an acquirer. Authorization and clearing may use different
/// ones: both are listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mid {
    /// Card network, lower case; `None` is any.
    pub scheme: Option<CompactString>,
    /// The acquirer's id; `None` when not known.
    pub acquirer: Option<CompactString>,
    /// The id; leading zeros do not matter.
    pub mid: CompactString,
    /// Counts from here; `None` is always.
    pub from: Option<Timestamp>,
    /// Counts until before here; `None` is for ever.
    pub to: Option<Timestamp>,
    /// Many shops use it, so it alone proves nothing: the descriptor decides.
    pub shared: bool,
}

/// A network's own id of a shop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreId {
    /// Card network, lower case; `None` is any.
    pub scheme: Option<CompactString>,
    /// The id as the network sends it.
    pub id: CompactString,
}

/// A rival as a merchant declares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Competitor {
    /// Name of the rival.
    pub name: String,
    /// MIDs at which its own sales are made.
    pub mids: Vec<CompactString>,
    /// E-mail domains of its staff.
    pub email_domains: Vec<CompactString>,
    /// Network ranges of its offices.
    pub networks: Vec<CompactString>,
}

/// How a purchase's merchant was recognised, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// By scheme, acquirer and MID.
    Mid,
    /// By the network's id of the shop.
    StoreId,
    /// By a statement text that the shop registered.
    Descriptor,
    /// By a statement text that is like what the shop registered. Appended in the encoding:
    /// older records read as they were written.
    Likeness(Likeness),
}

impl Evidence {
    /// Smaller is better: MID over store id over descriptor, and of two likenesses the
    /// surer.
    #[must_use]
    pub fn rank(&self) -> u16 {
        match self {
            Self::Mid => 0,
            Self::StoreId => 1,
            Self::Descriptor => 2,
            Self::Likeness(likeness) => 3 + CONFIDENCE_MAX.saturating_sub(likeness.confidence),
        }
    }
    /// How sure it is, of [`CONFIDENCE_MAX`]; `None` for evidence that needs no weighing.
    #[must_use]
    pub fn likeness(&self) -> Option<Likeness> {
        if let Self::Likeness(likeness) = self { Some(*likeness) } else { None }
    }
}

impl Ord for Evidence {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let reasons = |evidence: &Self| evidence.likeness().map(|likeness| likeness.reasons);
        self.rank().cmp(&other.rank()).then_with(|| reasons(self).cmp(&reasons(other)))
    }
}

impl PartialOrd for Evidence {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The highest confidence.
pub const CONFIDENCE_MAX: u16 = 1000;

/// How sure a match by likeness was when it was made, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Likeness {
    /// 0 to [`CONFIDENCE_MAX`].
    pub confidence: u16,
    /// What spoke for the shop.
    pub reasons: Reasons,
}

/// A set of what spoke for a shop. Its bits are part of the record's format: new ones are
/// appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Reasons(u16);

impl Reasons {
    /// Its name's words, most of them.
    pub const WORDS: Self = Self(1);
    /// Its name's words, all of them and no other.
    pub const WHOLE_NAME: Self = Self(1 << 1);
    /// A statement text registered for it.
    pub const REGISTERED_TEXT: Self = Self(1 << 2);
    /// Its city.
    pub const CITY: Self = Self(1 << 3);
    /// Its postcode.
    pub const POSTCODE: Self = Self(1 << 4);
    /// Its store number.
    pub const STORE_NUMBER: Self = Self(1 << 5);
    /// Its category, or one that is kin.
    pub const MCC: Self = Self(1 << 6);
    /// Its country.
    pub const COUNTRY: Self = Self(1 << 7);
    /// It is the merchant's only shop.
    pub const ONLY_SHOP: Self = Self(1 << 8);
    /// It is one of those that share the MID.
    pub const SHARED_MID: Self = Self(1 << 9);

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// Whether all of the other set are in this.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// Whether any of the other set is in this.
    #[must_use]
    pub const fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
    /// Stable names, for people and programs.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        const NAMES: [&str; 10] = [
            "words",
            "whole_name",
            "registered_text",
            "city",
            "postcode",
            "store_number",
            "mcc",
            "country",
            "only_shop",
            "shared_mid",
        ];
        NAMES.into_iter().enumerate().filter(move |(bit, _)| self.0 >> bit & 1 == 1).map(|(_, name)| name)
    }
}

/// The shop an event was matched to, fixed when the event was decided.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Matched {
    /// Whose shop.
    pub merchant: MerchantId,
    /// Which shop.
    pub location: LocationId,
    /// By what.
    pub evidence: Evidence,
    /// IANA zone of the shop at the time.
    pub time_zone: CompactString,
    /// Country of the shop, ISO 3166 alpha-2; `None` when its merchant did not say.
    pub country: Option<CompactString>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a location was before city, category and store numbers.
    #[derive(Serialize)]
    struct Earlier {
        id: &'static str,
        name: Option<String>,
        time_zone: Option<String>,
        country: Option<String>,
        postcode: Option<String>,
        mids: Vec<Mid>,
        store_ids: Vec<StoreId>,
        descriptors: Vec<String>,
    }

    #[test]
    fn what_was_written_before_reads_as_ever_and_what_is_new_reads_back() {
        for postcode in [None, Some("94607")] {
            let earlier = Earlier {
                id: "oak",
                name: None,
                time_zone: Some("UTC".into()),
                country: None,
                postcode: postcode.map(str::to_owned),
                mids: Vec::new(),
                store_ids: Vec::new(),
                descriptors: vec!["BLUE BOTTLE".into()],
            };
            let bytes = postcard::to_allocvec(&earlier).unwrap();
            let mut location: Location = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(location.postcode.as_deref(), postcode);
            assert_eq!((&location.city, location.mcc, &location.descriptors[0][..]), (&None, None, "BLUE BOTTLE"));
            assert_eq!(postcard::to_allocvec(&location).unwrap(), bytes, "and is written as ever");
            (location.city, location.mcc) = (Some("Oakland".into()), Some(5814));
            location.store_numbers = vec!["12".into()];
            let bytes = postcard::to_allocvec(&location).unwrap();
            assert_eq!(postcard::from_bytes::<Location>(&bytes).unwrap(), location);
        }
    }

    #[test]
    fn the_surer_evidence_ranks_first() {
        let like = |confidence| Evidence::Likeness(Likeness { confidence, reasons: Reasons::WORDS });
        let ordered = [Evidence::Mid, Evidence::StoreId, Evidence::Descriptor, like(1000), like(800), like(0)];
        assert!(ordered.windows(2).all(|pair| pair[0].rank() < pair[1].rank() && pair[0] < pair[1]));
        assert_eq!(postcard::to_allocvec(&Evidence::Descriptor).unwrap(), [2], "older records say so");
        let reasons = Reasons::WORDS.and(Reasons::CITY);
        assert_eq!(reasons.names().collect::<Vec<_>>(), ["words", "city"]);
        assert!(reasons.has(Reasons::CITY) && !reasons.has(Reasons::MCC) && reasons.has_any(Reasons::CITY));
    }
}
