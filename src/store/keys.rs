//! What is kept under which key. All mapping between our words and a keeper's bytes is
//! here, once, so that keepers cannot drift.
//!
//! | key, within a partition | value |
//! |---|---|
//! | `m` member 0 `h` | version, head |
//! | `m` member 0 `k` | the member's own key, wrapped (a shared store alone) |
//! | `m` member 0 `p` source 0 purchase | purchase (an embedded store) |
//! | `m` member 0 `q` page | purchases, some together, compressed (a shared store) |
//! | `m` member 0 `i` card event-key | content hash and purchase of an event whose purchase was sealed early |
//! | `m` member 0 `t` number | transfers of one record, for statements |
//! | `a` day member | agenda: the member has something falling due by that day's mark |
//! | `c` card | hint: who holds a card, from when to when |
//! | `u` source 0 purchase | hint: whose purchase it is |
//! | `r` referrer 0 referred | hint: who says that the member referred them |
//! | `k` request key | an answer kept for a repeated request |
//! | `s` kind unit 0 owner | sum of an account kind (counter) |
//! | `g` offer | granted under an offer (counter) |
//! | `b` day offer | raised under an offer by the records of a day of UTC (counter) |
//! | `g` offer 0 process, `b` day offer 0 process | the same by one process (a shared store alone) |
//! | `z`, `y` | the partition's latest daily mark; the latest whose work is done (a shared store alone) |
//! | `M` merchant, `O` offer | version, document (catalogue) |
//! | `R` rule | version, rule of the risk desk (catalogue) |
//! | `d` number | dead letter (catalogue) |
//! | `x` number | version, case (catalogue); newest first |
//! | `v` process | what a process saw at competitors' tills (catalogue, a shared store alone) |
//! | `w` version detector | the detector's version counts for nothing (catalogue) |
//! | `y` member 0 number | hint: a case that the member is in (catalogue) |
//!
//! Ids hold no control characters, so 0 ends them. All keys of a member lie together.

use super::{Key, Partition};
use crate::domain::member::MemberHead;
use crate::domain::{CardHash, Code, Currency, EventKey, MemberId, OfferId, PurchaseKey, Timestamp, Unit};
use crate::ledger::AccountKind;
use crate::record::{RecordError, decode, encode};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Which partition of `partitions` a key's owner belongs to. The hash is part of the
/// store's format: XXH3, seed 0.
#[must_use]
pub fn partition_of(owner: &[u8], partitions: u16) -> Partition {
    let hash = xxhash_rust::xxh3::xxh3_64(owner);
    u16::try_from(hash % u64::from(partitions.max(1))).expect("a remainder is below its divisor")
}

/// A member's partition.
#[must_use]
pub fn member_partition(member: &MemberId, partitions: u16) -> Partition {
    partition_of(member.as_str().as_bytes(), partitions)
}

/// How a keeper that holds keys in memory is asked for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf<'a> {
    /// One of an owner's keys: the owner, and what tells its keys apart. A scan is of one
    /// owner, or of all.
    Owned(&'a [u8], &'a [u8]),
    /// By itself, never by a prefix.
    Point,
    /// By prefixes too.
    Ordered,
    /// A counter: by itself, or all of a kind.
    Counter,
}

/// The shelf of a key, or of a prefix that is scanned.
#[must_use]
pub fn shelf(key: &[u8]) -> Shelf<'_> {
    match key.first() {
        Some(b'm') => match key.iter().position(|byte| *byte == 0) {
            Some(end) => Shelf::Owned(&key[..=end], &key[end + 1..]),
            None => Shelf::Ordered,
        },
        Some(b'c' | b'u') => Shelf::Point,
        Some(b's' | b'g' | b'b') => Shelf::Counter,
        _ => Shelf::Ordered,
    }
}

fn member_prefix(member: &MemberId, kind: u8, more: usize) -> Key {
    let mut key = Vec::with_capacity(3 + member.as_str().len() + more);
    key.push(b'm');
    key.extend_from_slice(member.as_str().as_bytes());
    key.extend_from_slice(&[0, kind]);
    key
}

/// Head of a member.
#[must_use]
pub fn head(member: &MemberId) -> Key {
    member_prefix(member, b'h', 0)
}
/// Prefix of all keys of a member.
#[must_use]
pub fn member(member: &MemberId) -> Key {
    [b"m", member.as_str().as_bytes(), &[0]].concat()
}
/// A member's own key, wrapped.
#[must_use]
pub fn own_key(member: &MemberId) -> Key {
    member_prefix(member, b'k', 0)
}
/// Prefix of a member's purchases.
#[must_use]
pub fn purchases(member: &MemberId) -> Key {
    member_prefix(member, b'p', 0)
}
/// One purchase.
#[must_use]
pub fn purchase(member: &MemberId, purchase: &PurchaseKey) -> Key {
    let (source, id) = (purchase.source.as_str(), purchase.id.as_str());
    let mut key = member_prefix(member, b'p', source.len() + id.len() + 1);
    key.extend_from_slice(source.as_bytes());
    key.push(0);
    key.extend_from_slice(id.as_bytes());
    key
}
/// Prefix of the pages of a member's purchases.
#[must_use]
pub fn purchase_pages(member: &MemberId) -> Key {
    member_prefix(member, b'q', 0)
}
/// A page of a member's purchases.
#[must_use]
pub fn purchase_page(member: &MemberId, page: usize) -> Key {
    [&purchase_pages(member)[..], page.to_string().as_bytes()].concat()
}
/// Identity of an event, with the card.
#[must_use]
pub fn identity(member: &MemberId, card: CardHash, event: &EventKey) -> Key {
    let mut key = member_prefix(member, b'i', 16 + event.as_str().len());
    key.extend_from_slice(&card.0);
    key.extend_from_slice(event.as_str().as_bytes());
    key
}
/// Prefix of a member's transfers.
#[must_use]
pub fn statement(member: &MemberId) -> Key {
    member_prefix(member, b't', 0)
}
/// Transfers of one of the member's records, by the version it made.
#[must_use]
pub fn statement_line(member: &MemberId, version: u64) -> Key {
    let mut key = member_prefix(member, b't', 8);
    key.extend_from_slice(&version.to_be_bytes());
    key
}
/// Agenda entry.
#[must_use]
pub fn agenda(day: u32, member: &MemberId) -> Key {
    let mut key = vec![b'a'];
    key.extend_from_slice(&day.to_be_bytes());
    key.extend_from_slice(member.as_str().as_bytes());
    key
}
/// Day and member of an agenda entry.
#[must_use]
pub fn agenda_parts(key: &[u8]) -> Option<(u32, MemberId)> {
    let day = u32::from_be_bytes(key.get(1..5)?.try_into().ok()?);
    Some((day, MemberId::new(std::str::from_utf8(key.get(5..)?).ok()?).ok()?))
}
/// Hint: holders of a card.
#[must_use]
pub fn card(card: CardHash) -> Key {
    let mut key = vec![b'c'];
    key.extend_from_slice(&card.0);
    key
}
/// Hint: whose purchase.
#[must_use]
pub fn purchase_owner(purchase: &PurchaseKey) -> Key {
    let mut key = vec![b'u'];
    key.extend_from_slice(purchase.source.as_str().as_bytes());
    key.push(0);
    key.extend_from_slice(purchase.id.as_str().as_bytes());
    key
}
/// Prefix of those who say that a member referred them.
#[must_use]
pub fn referrals(referrer: &MemberId) -> Key {
    [b"r", referrer.as_str().as_bytes(), &[0]].concat()
}
/// Hint: one of them.
#[must_use]
pub fn referral(referrer: &MemberId, referred: &MemberId) -> Key {
    [referrals(referrer).as_slice(), referred.as_str().as_bytes()].concat()
}
/// Whom such a hint names.
#[must_use]
pub fn referral_parts(key: &[u8]) -> Option<MemberId> {
    let end = key.iter().position(|byte| *byte == 0)?;
    MemberId::new(std::str::from_utf8(&key[end + 1..]).ok()?).ok()
}
/// Answer kept for a request key.
#[must_use]
pub fn request(key: &[u8; 16]) -> Key {
    let mut out = vec![b'k'];
    out.extend_from_slice(key);
    out
}
/// Sum of an account kind for a merchant or a cause; members' kinds are summed over all
/// members.
#[must_use]
pub fn sum(kind: AccountKind, unit: Unit, owner: Option<&str>) -> Key {
    let mut key = vec![b's', kind as u8];
    let mut put = |of: u8, text: &str| {
        key.push(of);
        key.extend_from_slice(text.as_bytes());
        key.push(0);
    };
    match &unit {
        Unit::Money(currency) => put(b'm', currency.as_str()),
        Unit::Points(code) => put(b'p', code.as_str()),
        Unit::Perk(code) => put(b'k', code.as_str()),
    }
    key.extend_from_slice(owner.unwrap_or_default().as_bytes());
    key
}
/// Kind, unit and owner of a sum; no owner is an empty name.
#[must_use]
pub fn sum_parts(key: &[u8]) -> Option<(AccountKind, Unit, &str)> {
    let kind = *AccountKind::ALL.get(usize::from(*key.get(1)?))?;
    let (of, rest) = (*key.get(2)?, key.get(3..)?);
    let end = rest.iter().position(|byte| *byte == 0)?;
    let text = std::str::from_utf8(&rest[..end]).ok()?;
    let unit = match of {
        b'm' => Unit::Money(Currency::parse(text).ok()?),
        b'p' => Unit::Points(Code::parse(text).ok()?),
        b'k' => Unit::Perk(Code::parse(text).ok()?),
        _ => return None,
    };
    Some((kind, unit, std::str::from_utf8(&rest[end + 1..]).ok()?))
}
/// Granted under an offer, in this partition.
#[must_use]
pub fn granted(offer: &OfferId) -> Key {
    let mut key = vec![b'g'];
    key.extend_from_slice(offer.as_str().as_bytes());
    key
}
/// The same counter for what one process counts, in a shared store.
#[must_use]
pub fn by_process(mut counter: Key, process: u32) -> Key {
    counter.push(0);
    counter.extend_from_slice(&process.to_be_bytes());
    counter
}
/// Raised under an offer by the records of a day, in this partition.
#[must_use]
pub fn raised(day: u32, offer: &OfferId) -> Key {
    [b"b".as_slice(), &day.to_be_bytes(), offer.as_str().as_bytes()].concat()
}
/// Day of such a counter.
#[must_use]
pub fn raised_day(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(key.get(1..5)?.try_into().ok()?))
}
/// The partition's latest daily mark.
#[must_use]
pub fn mark() -> Key {
    vec![b'z']
}
/// The latest daily mark whose work is done, in a shared store: there a mark is in force
/// before its work begins.
#[must_use]
pub fn marked() -> Key {
    vec![b'y']
}
/// A merchant document.
#[must_use]
pub fn merchant(id: &str) -> Key {
    [b"M", id.as_bytes()].concat()
}
/// An offer document.
#[must_use]
pub fn offer(id: &str) -> Key {
    [b"O", id.as_bytes()].concat()
}
/// A dead letter.
#[must_use]
pub fn dead_letter(number: u64) -> Key {
    let mut key = vec![b'd'];
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// Prefix of all cases.
#[must_use]
pub fn cases() -> Key {
    vec![b'x']
}
/// A case. The newest comes first.
#[must_use]
pub fn case(number: u64) -> Key {
    [&cases()[..], &(!number).to_be_bytes()].concat()
}
/// Prefix of the cases that a member is in.
#[must_use]
pub fn cases_of(member: &MemberId) -> Key {
    [b"y", member.as_str().as_bytes(), &[0]].concat()
}
/// Hint: one of them.
#[must_use]
pub fn case_of(member: &MemberId, number: u64) -> Key {
    [cases_of(member).as_slice(), &(!number).to_be_bytes()].concat()
}
/// The number of a case, of its own key or a hint.
#[must_use]
pub fn case_number(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>().map(|number| !u64::from_be_bytes(*number))
}

/// Prefix of all rules of the risk desk.
#[must_use]
pub fn rules() -> Key {
    vec![b'R']
}
/// A rule of the risk desk.
#[must_use]
pub fn rule(id: &Code) -> Key {
    [&rules()[..], id.as_str().as_bytes()].concat()
}
/// Prefix of what all processes told of watched tills.
#[must_use]
pub fn all_tills() -> Key {
    vec![b'v']
}
/// What one process told of watched tills.
#[must_use]
pub fn tills(process: u32) -> Key {
    [&all_tills()[..], &process.to_be_bytes()].concat()
}

/// Prefix of all withdrawn versions of detectors.
#[must_use]
pub fn withdrawals() -> Key {
    vec![b'w']
}
/// A detector's version that counts for nothing.
#[must_use]
pub fn withdrawn(detector: &str, version: u32) -> Key {
    [&withdrawals()[..], &version.to_be_bytes(), detector.as_bytes()].concat()
}
/// The detector and the version of such a key.
#[must_use]
pub fn withdrawn_parts(key: &[u8]) -> Option<(compact_str::CompactString, u32)> {
    let (version, detector) = key.get(1..)?.split_first_chunk::<4>()?;
    Some((std::str::from_utf8(detector).ok()?.into(), u32::from_be_bytes(*version)))
}

/// A card's holder, as the card index remembers: a hint, checked against the member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardClaim {
    /// Who.
    pub member: MemberId,
    /// From when.
    pub from: Timestamp,
    /// Until before when; `None` while linked.
    pub to: Option<Timestamp>,
}

impl CardClaim {
    /// Whether the card is the member's at an instant.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.from <= at && self.to.is_none_or(|to| at < to)
    }
    /// Whether it keeps another member from holding the card from an instant on.
    #[must_use]
    pub fn bars(&self, member: &MemberId, from: Timestamp) -> bool {
        &self.member != member && self.to.is_none_or(|to| from < to)
    }
}

/// Identity of an event: what tells a redelivery from other content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Hash of the normalised fields.
    pub content: u64,
    /// The purchase it belongs to.
    pub purchase: PurchaseKey,
}

/// Puts a version before an encoded value, where keepers look for it.
#[must_use]
pub fn versioned<T: Serialize>(version: u64, value: &T) -> Bytes {
    let mut bytes = version.to_le_bytes().to_vec();
    bytes.extend_from_slice(&encode(value));
    bytes.into()
}
/// Version and value.
///
/// # Errors
/// [`RecordError`] when the bytes are not what [`versioned`] made.
pub fn unversioned<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<(u64, T), RecordError> {
    let (version, rest) = bytes.split_first_chunk::<8>().ok_or(RecordError::Empty)?;
    Ok((u64::from_le_bytes(*version), decode(rest)?))
}
/// A document of the catalogue: JSON behind its version, so that a person can read it where
/// it is kept.
///
/// # Panics
/// Never: our documents have a JSON form.
#[must_use]
pub fn document<T: Serialize>(version: u64, value: &T) -> Bytes {
    let mut bytes = version.to_le_bytes().to_vec();
    serde_json::to_writer(&mut bytes, value).expect("our documents have a JSON form");
    bytes.into()
}
/// Version and document.
///
/// # Errors
/// [`RecordError`] when the bytes are not what [`document`] made.
pub fn of_document<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<(u64, T), RecordError> {
    let (version, rest) = bytes.split_first_chunk::<8>().ok_or(RecordError::Empty)?;
    Ok((u64::from_le_bytes(*version), serde_json::from_slice(rest).map_err(RecordError::Document)?))
}
/// Version of a versioned value or document; 0 when there is none.
#[must_use]
pub fn version(bytes: Option<&Bytes>) -> u64 {
    bytes.and_then(|bytes| bytes.first_chunk::<8>()).map_or(0, |version| u64::from_le_bytes(*version))
}
/// A counter's value.
#[must_use]
pub fn counter(bytes: Option<&Bytes>) -> i64 {
    bytes.and_then(|b| b.as_ref().try_into().ok()).map_or(0, i64::from_le_bytes)
}
/// A head with its version.
#[must_use]
pub fn head_value(head: &MemberHead) -> Bytes {
    versioned(head.version, head)
}
