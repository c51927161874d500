//! The merchant as its document says it, and as we mean it.

use super::check::{self, Fault, NAME_BYTES_MAX};
use crate::domain::merchant::{Competitor, Location, Merchant, Mid, StoreId};
use crate::domain::{LocationId, MerchantId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Most MIDs of one merchant.
pub(super) const MIDS_MAX: usize = 10_000;
/// Most locations of one merchant.
pub(super) const LOCATIONS_MAX: usize = 10_000;
/// Most competitors, and most entries of one competitor's lists.
const COMPETITORS_MAX: usize = 500;
/// Most descriptors or store ids of one location.
const PER_LOCATION_MAX: usize = 1_000;
/// Longest MID, store id or acquirer id: a card network's field has 15.
const MID_BYTES_MAX: usize = 64;
/// Longest number that a merchant gives a shop.
const STORE_NUMBER_BYTES_MAX: usize = 16;

/// A merchant with its shops.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct MerchantDocument {
    /// Shown to members.
    pub name: String,
    /// IANA zone used by locations without their own.
    #[schema(example = "America/Los_Angeles")]
    pub time_zone: String,
    /// Shops and sites, ids unique.
    #[serde(default)]
    pub locations: Vec<LocationDocument>,
    /// Declared rivals.
    #[serde(default)]
    pub competitors: Vec<CompetitorDocument>,
}

/// One shop or site.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct LocationDocument {
    /// Unique within the merchant.
    #[schema(value_type = String)]
    pub id: LocationId,
    /// Shown to members; without it the merchant's is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// IANA zone; without it the merchant's counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// ISO 3166 alpha-2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Postcode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postcode: Option<String>,
    /// City, as statement texts name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Oakland")]
    pub city: Option<String>,
    /// Merchant category code that acquirers give this shop, four digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "5814", pattern = "^[0-9]{4}$")]
    pub mcc: Option<String>,
    /// The merchant's own numbers of this shop, which statement texts carry (`STORE #0123`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["0123"]))]
    pub store_numbers: Vec<String>,
    /// The ids under which acquirers know this shop; authorization and clearing may differ.
    #[serde(default)]
    pub mids: Vec<MidDocument>,
    /// The networks' own ids of this shop.
    #[serde(default)]
    pub store_ids: Vec<StoreIdDocument>,
    /// Statement texts that name this shop.
    #[serde(default)]
    pub descriptors: Vec<String>,
}

/// A merchant id at an acquirer.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct MidDocument {
    /// Card network; without it any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "visa")]
    pub scheme: Option<String>,
    /// The acquirer's id; without it any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acquirer: Option<String>,
    /// The id; leading zeros do not matter.
    #[schema(example = "000445566778899", min_length = 1, max_length = 64)]
    pub mid: String,
    /// Counts from here; without it always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub from: Option<Timestamp>,
    /// Counts until before here; without it for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub to: Option<Timestamp>,
    /// Many shops use it: the descriptor decides.
    #[serde(default)]
    pub shared: bool,
}

/// A network's own id of a shop.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct StoreIdDocument {
    /// Card network; without it any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// The id as the network sends it.
    #[schema(min_length = 1, max_length = 64)]
    pub id: String,
}

/// A rival as a merchant declares it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct CompetitorDocument {
    /// Name of the rival.
    pub name: String,
    /// MIDs at which its own sales are made.
    #[serde(default)]
    pub mids: Vec<String>,
    /// E-mail domains of its staff.
    #[serde(default)]
    pub email_domains: Vec<String>,
    /// Network ranges of its offices.
    #[serde(default)]
    #[schema(example = json!(["203.0.113.0/24"]))]
    pub networks: Vec<String>,
}

/// A merchant as it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct MerchantView {
    /// The caller's id.
    pub id: String,
    /// Of the document, as in the ETag.
    pub version: u64,
    /// The document.
    #[serde(flatten)]
    pub document: MerchantDocument,
}

impl MerchantView {
    /// The view of a merchant.
    pub(super) fn of(merchant: &Merchant, version: u64) -> Self {
        Self { id: merchant.id.to_string(), version, document: MerchantDocument::of(merchant) }
    }
}

impl MerchantDocument {
    /// What the document means.
    ///
    /// # Errors
    /// The first [`Fault`], with its path.
    pub fn into_merchant(self, id: MerchantId) -> Result<Merchant, Fault> {
        check::at_most("locations", &self.locations, LOCATIONS_MAX)?;
        check::at_most("competitors", &self.competitors, COMPETITORS_MAX)?;
        let mids: usize = self.locations.iter().map(|location| location.mids.len()).sum();
        if mids > MIDS_MAX {
            return Err(Fault::new(
                "too_many",
                "locations",
                format!("may have at most {MIDS_MAX} MIDs in all, have {mids}"),
            ));
        }
        let mut ids = BTreeSet::new();
        let mut locations = Vec::with_capacity(self.locations.len());
        for (place, location) in self.locations.into_iter().enumerate() {
            let path = format!("locations[{place}]");
            check::no_card_number(&format!("{path}.id"), location.id.as_str())?;
            if !ids.insert(location.id.clone()) {
                let detail = "another location has this id; ids are unique within the merchant";
                return Err(Fault::contradiction(format!("{path}.id"), detail));
            }
            locations.push(location.into_location(&path)?);
        }
        let competitors = self.competitors.into_iter().enumerate();
        Ok(Merchant {
            id,
            name: check::text("name", &self.name, NAME_BYTES_MAX)?,
            time_zone: check::zone("time_zone", &self.time_zone)?,
            locations,
            competitors: competitors
                .map(|(place, competitor)| competitor.into_competitor(&format!("competitors[{place}]")))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The document that says a merchant.
    pub(crate) fn of(merchant: &Merchant) -> Self {
        let texts = |list: &[compact_str::CompactString]| list.iter().map(ToString::to_string).collect();
        let text = |text: &Option<compact_str::CompactString>| text.as_ref().map(ToString::to_string);
        let location = |location: &Location| LocationDocument {
            id: location.id.clone(),
            name: location.name.clone(),
            time_zone: text(&location.time_zone),
            country: text(&location.country),
            postcode: text(&location.postcode),
            city: text(&location.city),
            mcc: location.mcc.map(|code| format!("{code:04}")),
            store_numbers: texts(&location.store_numbers),
            mids: location
                .mids
                .iter()
                .map(|mid| MidDocument {
                    scheme: text(&mid.scheme),
                    acquirer: text(&mid.acquirer),
                    mid: mid.mid.to_string(),
                    from: mid.from,
                    to: mid.to,
                    shared: mid.shared,
                })
                .collect(),
            store_ids: location
                .store_ids
                .iter()
                .map(|store| StoreIdDocument { scheme: text(&store.scheme), id: store.id.to_string() })
                .collect(),
            descriptors: texts(&location.descriptors),
        };
        let competitor = |competitor: &Competitor| CompetitorDocument {
            name: competitor.name.clone(),
            mids: texts(&competitor.mids),
            email_domains: texts(&competitor.email_domains),
            networks: texts(&competitor.networks),
        };
        Self {
            name: merchant.name.clone(),
            time_zone: merchant.time_zone.to_string(),
            locations: merchant.locations.iter().map(location).collect(),
            competitors: merchant.competitors.iter().map(competitor).collect(),
        }
    }
}

impl LocationDocument {
    /// A shop of which nothing is said but its id.
    pub(crate) fn bare(id: LocationId) -> Self {
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

    fn into_location(self, path: &str) -> Result<Location, Fault> {
        let at = |name: &str| format!("{path}.{name}");
        check::at_most(&at("store_ids"), &self.store_ids, PER_LOCATION_MAX)?;
        check::at_most(&at("descriptors"), &self.descriptors, PER_LOCATION_MAX)?;
        check::at_most(&at("store_numbers"), &self.store_numbers, PER_LOCATION_MAX)?;
        let numbers = self.store_numbers.iter().enumerate();
        let mids = self.mids.into_iter().enumerate();
        let stores = self.store_ids.into_iter().enumerate();
        let descriptors = self.descriptors.iter().enumerate();
        Ok(Location {
            id: self.id,
            name: self.name.map(|name| check::text(&at("name"), &name, NAME_BYTES_MAX)).transpose()?,
            time_zone: self.time_zone.map(|zone| check::zone(&at("time_zone"), &zone)).transpose()?,
            country: self.country.map(|code| check::country(&at("country"), &code)).transpose()?,
            postcode: self.postcode.map(|code| check::short(&at("postcode"), &code, 16)).transpose()?,
            city: self.city.map(|name| check::short(&at("city"), &name, NAME_BYTES_MAX)).transpose()?,
            mcc: self.mcc.map(|code| category(&at("mcc"), &code)).transpose()?,
            store_numbers: numbers
                .map(|(n, text)| store_number(&format!("{path}.store_numbers[{n}]"), text))
                .collect::<Result<_, _>>()?,
            mids: mids.map(|(n, mid)| mid.into_mid(&format!("{path}.mids[{n}]"))).collect::<Result<_, _>>()?,
            store_ids: stores
                .map(|(n, store)| {
                    let at = |name: &str| format!("{path}.store_ids[{n}].{name}");
                    Ok(StoreId {
                        scheme: store.scheme.map(|name| check::scheme(&at("scheme"), &name)).transpose()?,
                        id: network_id(&at("id"), &store.id)?,
                    })
                })
                .collect::<Result<_, Fault>>()?,
            descriptors: descriptors
                .map(|(n, text)| check::short(&format!("{path}.descriptors[{n}]"), text, 128))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl MidDocument {
    /// A MID at any acquirer, for ever.
    pub(crate) fn bare(mid: String) -> Self {
        Self { scheme: None, acquirer: None, mid, from: None, to: None, shared: false }
    }

    fn into_mid(self, path: &str) -> Result<Mid, Fault> {
        let at = |name: &str| format!("{path}.{name}");
        check::window(&at("to"), self.from, self.to)?;
        Ok(Mid {
            scheme: self.scheme.map(|name| check::scheme(&at("scheme"), &name)).transpose()?,
            acquirer: self.acquirer.map(|id| check::identifier(&at("acquirer"), &id, MID_BYTES_MAX)).transpose()?,
            mid: network_id(&at("mid"), &self.mid)?,
            from: self.from,
            to: self.to,
            shared: self.shared,
        })
    }
}

impl CompetitorDocument {
    fn into_competitor(self, path: &str) -> Result<Competitor, Fault> {
        for (name, list) in [("mids", &self.mids), ("email_domains", &self.email_domains), ("networks", &self.networks)]
        {
            check::at_most(&format!("{path}.{name}"), list, COMPETITORS_MAX)?;
        }
        let each = |name: &'static str, list: Vec<String>, check: fn(&str, &str) -> Result<_, Fault>| {
            let list = list.into_iter().enumerate();
            list.map(|(n, text)| check(&format!("{path}.{name}[{n}]"), &text)).collect::<Result<Vec<_>, _>>()
        };
        Ok(Competitor {
            name: check::text(&format!("{path}.name"), &self.name, NAME_BYTES_MAX)?,
            mids: each("mids", self.mids, network_id)?,
            email_domains: each("email_domains", self.email_domains, email_domain)?,
            networks: each("networks", self.networks, network_range)?,
        })
    }
}

/// A MID or store id. Networks send only zeros for "none", so those name no shop.
fn network_id(path: &str, text: &str) -> Result<compact_str::CompactString, Fault> {
    let id = check::identifier(path, text.trim(), MID_BYTES_MAX)?;
    if id.bytes().all(|byte| byte == b'0') {
        return Err(Fault::bad(path, "only zeros name no shop: networks send them for \"none\""));
    }
    Ok(id)
}

/// A merchant category code.
fn category(path: &str, code: &str) -> Result<u16, Fault> {
    let digits = code.len() == 4 && code.bytes().all(|byte| byte.is_ascii_digit());
    let known = code.parse().ok().filter(|code| digits && *code > 0);
    known.ok_or_else(|| Fault::bad(path, "must be a merchant category code of four digits, such as 5814"))
}

/// A merchant's own number of a shop.
fn store_number(path: &str, text: &str) -> Result<compact_str::CompactString, Fault> {
    let number = check::identifier(path, text.trim(), STORE_NUMBER_BYTES_MAX)?;
    if crate::descriptor::clean::store_number(&number).is_none() {
        return Err(Fault::bad(path, "must have a digit other than zero, or a letter"));
    }
    Ok(number)
}

fn email_domain(path: &str, text: &str) -> Result<compact_str::CompactString, Fault> {
    let lower = text.to_lowercase();
    let label = |label: &str| !label.is_empty() && !label.contains(|c: char| c == '@' || c.is_whitespace());
    if !lower.contains('.') || !lower.split('.').all(label) {
        return Err(Fault::bad(path, "must be the part behind the @, such as rival.example"));
    }
    check::short(path, &lower, 253)
}

fn network_range(path: &str, text: &str) -> Result<compact_str::CompactString, Fault> {
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let bits = match address.parse() {
        Ok(std::net::IpAddr::V4(_)) => Some(32),
        Ok(std::net::IpAddr::V6(_)) => Some(128),
        Err(_) => None,
    };
    let fits = bits.is_some_and(|bits: u8| length.is_none_or(|n| n.parse::<u8>().is_ok_and(|n| n <= bits)));
    if fits { Ok(text.into()) } else { Err(Fault::bad(path, "must be an address range, such as 203.0.113.0/24")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::read::{Unread, parse};

    fn fault(text: &str) -> (&'static str, String) {
        let parsed = parse::<MerchantDocument>(text.as_bytes());
        let fault = match parsed.map(|document| document.into_merchant(MerchantId::new("m").unwrap())) {
            Ok(Err(fault)) | Err(Unread::Fault(fault)) => fault,
            other => panic!("{text} is taken as {other:?}"),
        };
        assert!(!fault.detail.is_empty() && !fault.detail.contains("4242"), "{fault:?}");
        (fault.code, fault.path)
    }

    #[test]
    fn every_fault_has_its_place() {
        let with = |location: &str| format!(r#"{{"name":"B","time_zone":"UTC","locations":[{location}]}}"#);
        let cases = [
            (r#"{"time_zone":"UTC"}"#.to_owned(), "missing_field", "name"),
            (r#"{"name":"B","time_zone":"UTC","colour":1}"#.into(), "unknown_field", "colour"),
            (r#"{"name":"B","name":"C","time_zone":"UTC"}"#.into(), "duplicate_key", "name"),
            (r#"{"name":7,"time_zone":"UTC"}"#.into(), "wrong_type", "name"),
            ("[]".into(), "wrong_type", ""),
            (r#"["B","UTC"]"#.into(), "wrong_type", ""),
            (with(r#"["a"]"#), "wrong_type", "locations[0]"),
            (r#"{"name":" ","time_zone":"UTC"}"#.into(), "bad_value", "name"),
            (r#"{"name":"4242 4242 4242 4242","time_zone":"UTC"}"#.into(), "card_number", "name"),
            (r#"{"name":"B","time_zone":"Mars/Base"}"#.into(), "bad_value", "time_zone"),
            (with(r#"{"id":""}"#), "bad_value", "locations[0].id"),
            (with(r#"{"id":"a"},{"id":"a"}"#), "contradiction", "locations[1].id"),
            (with(r#"{"id":"a","mids":[{"mid":"1","till":1}]}"#), "unknown_field", "locations[0].mids[0].till"),
            (with(r#"{"id":"a","mids":[{"mid":"000"}]}"#), "bad_value", "locations[0].mids[0].mid"),
            (
                with(r#"{"id":"a","mids":[{"mid":"1","from":"2026-02-01T00:00:00Z","to":"2026-01-01T00:00:00Z"}]}"#),
                "contradiction",
                "locations[0].mids[0].to",
            ),
            (with(r#"{"id":"a","mids":[{"mid":"1","from":"soon"}]}"#), "bad_value", "locations[0].mids[0].from"),
            (with(r#"{"id":"a","country":"usa"}"#), "bad_value", "locations[0].country"),
            (with(r#"{"id":"a","city":" "}"#), "bad_value", "locations[0].city"),
            (with(r#"{"id":"a","mcc":"58"}"#), "bad_value", "locations[0].mcc"),
            (with(r#"{"id":"a","mcc":"+814"}"#), "bad_value", "locations[0].mcc"),
            (with(r#"{"id":"a","store_numbers":["7","000"]}"#), "bad_value", "locations[0].store_numbers[1]"),
            (with(r#"{"id":"a","descriptors":["X 4242424242424242"]}"#), "card_number", "locations[0].descriptors[0]"),
            (
                r#"{"name":"B","time_zone":"UTC","competitors":[{"name":"R","networks":["1.2.3.4/33"]}]}"#.into(),
                "bad_value",
                "competitors[0].networks[0]",
            ),
        ];
        for (text, code, path) in cases {
            assert_eq!(fault(&text), (code, path.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_not_json_is_said_so() {
        for text in ["", "{", "{]", "nul", "{} {}", "\u{feff}{}"] {
            assert!(matches!(parse::<MerchantDocument>(text.as_bytes()), Err(Unread::NotJson(_) | Unread::Fault(_))));
        }
        assert!(matches!(parse::<MerchantDocument>(b"{"), Err(Unread::NotJson(_))));
    }

    #[test]
    fn a_merchant_reads_back_as_it_was_written() {
        let text = r#"{"name":"Blue Bottle","time_zone":"America/Los_Angeles","locations":[{"id":"oak","postcode":"94607",
            "city":"Oakland","mcc":"0763","store_numbers":["0123"],"mids":[{"scheme":"visa",
            "mid":"000445566778899","from":"2026-01-01T00:00:00Z","shared":false}],"store_ids":[],"descriptors":["BLUE BOTTLE"]}],
            "competitors":[]}"#;
        let document: MerchantDocument = parse(text.as_bytes()).unwrap();
        let merchant = document.into_merchant(MerchantId::new("m").unwrap()).unwrap();
        let back = serde_json::to_value(MerchantDocument::of(&merchant)).unwrap();
        assert_eq!(back, serde_json::from_str::<serde_json::Value>(text).unwrap());
    }
}
