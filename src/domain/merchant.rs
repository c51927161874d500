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
    /// The ids under which acquirers know this shop.
    pub mids: Vec<Mid>,
    /// The networks' own ids of this shop.
    pub store_ids: Vec<StoreId>,
    /// Statement texts that name this shop.
    pub descriptors: Vec<CompactString>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// By scheme, acquirer and MID.
    Mid,
    /// By the network's id of the shop.
    StoreId,
    /// By the statement text.
    Descriptor,
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
}
