//! Kard: an issuer's transactions, flat (`transactionId`, `status` …) or as JSON:API
//! resources (`{"data":[{"type":"transaction","id","attributes":{…}}]}`).
//!
//! Amounts are whole cents and never negative; `status` says what happened. All messages
//! of one purchase bear the same `transactionId`; several settlements of one authorization
//! are told apart by their time alone, so that identity is id, status and that time, in
//! whichever form the message came. What the provider sends the other way (rewards earned,
//! audits, files) moves no money of a card and is ignored.

use super::decimal::Raw;
use super::field::{self, Batch, Fields, Judge, Judged, Key, Part, Scalar, Shape, ShapeVisitor, Slot, object, problem};
use super::when::{self, When};
use super::{BATCH_MESSAGES_MAX, Message, Normalised, Problem, Unreadable, iso};
use crate::domain::card_event::Clock;
use crate::domain::{CardEvent, Channel, Currency, EventKey, EventKind, MerchantMark, Money, PurchaseId};
use compact_str::CompactString;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess};
use std::fmt;

/// As configuration calls it.
pub(super) const NAME: &str = "kard";

/// Identifiers by contract, beyond those every dialect knows.
pub(super) const IDENTIFIERS: &[&str] = &["cardproductid", "vmid", "vsid"];

object! {
    /// A transaction's fields, in both spellings: `merchantId` and its like stand in the
    /// flat form, `merchant` in the other.
    struct Attributes<'a> {
        transaction_id: Scalar<'a> = "transactionId",
        user_id: Scalar<'a> = "userId",
        partner_user_id: Scalar<'a> = "referringPartnerUserId",
        status: Scalar<'a> = "status",
        direction: Scalar<'a> = "direction",
        payment_type: Scalar<'a> = "paymentType",
        amount: Raw<'a> = "amount",
        currency: Scalar<'a> = "currency",
        authorization_date: Scalar<'a> = "authorizationDate",
        settled_date: Scalar<'a> = "settledDate",
        transaction_date: Scalar<'a> = "transactionDate",
        card_bin: Scalar<'a> = "cardBIN",
        card_last_four: Scalar<'a> = "cardLastFour",
        card_network: Scalar<'a> = "cardNetwork",
        mcc: Scalar<'a> = "mcc",
        description: Scalar<'a> = "description",
        merchant: Part<'a, RawMerchant<'a>> = "merchant",
        merchant_id: Last<'a> = "merchantId",
        merchant_name: Scalar<'a> = "merchantName",
        merchant_zipcode: Scalar<'a> = "merchantAddrZipcode",
        merchant_zip_code: Scalar<'a> = "merchantAddrZipCode",
        merchant_country: Scalar<'a> = "merchantAddrCountry",
        processor_mids: Part<'a, RawProcessorMids<'a>> = "processorMids",
        reward: Scalar<'a> = "reward",
    }
}

object! {
    struct RawMerchant<'a> {
        id: Scalar<'a> = "id",
        name: Scalar<'a> = "name",
        zipcode: Scalar<'a> = "addrZipcode",
        country: Scalar<'a> = "addrCountry",
    }
}

object! {
    /// How the card network calls the merchant.
    struct RawProcessorMids<'a> {
        processor: Scalar<'a> = "processor",
        mids: Part<'a, RawMids<'a>> = "mids",
    }
}

object! {
    struct RawMids<'a> {
        vmid: Scalar<'a> = "vmid",
        vsid: Scalar<'a> = "vsid",
    }
}

/// A value of which the last counts when its key comes twice. The provider's published
/// messages give `merchantId` twice, with two values; its own reader of JSON keeps the last,
/// so that is what the sender means. Only for a mark of the merchant, never for money.
#[derive(Debug, Default)]
struct Last<'a>(Scalar<'a>);

impl<'de> Deserialize<'de> for Last<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Scalar::deserialize(deserializer).map(Self)
    }
}

impl Slot for Last<'_> {
    /// Always room for one more.
    fn is_absent(&self) -> bool {
        true
    }
}

/// A JSON:API resource, or a transaction without that wrapping.
#[derive(Debug, Default)]
struct Resource<'a> {
    id: Scalar<'a>,
    kind: Scalar<'a>,
    attributes: Part<'a, Attributes<'a>>,
    flat: Attributes<'a>,
    twice: Option<&'static str>,
}

impl<'de> Fields<'de> for Resource<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        let (key, first) = match key {
            "id" => ("id", field::fill(&mut self.id, map)?),
            "type" => ("type", field::fill(&mut self.kind, map)?),
            "attributes" => ("attributes", field::fill(&mut self.attributes, map)?),
            _ => return self.flat.take(key, map),
        };
        if !first {
            self.twice = Some(key);
        }
        Ok(true)
    }
}

/// What stands at the top of a body.
enum Top<'a> {
    One(Message),
    /// A list, with the path of its items.
    List(Batch<Resource<'a>>, &'static str),
    Unclear(&'static str),
    NoObject,
}

/// What stands under `data`.
enum Data<'a> {
    One(Message),
    List(Batch<Resource<'a>>),
    Other,
}

/// Reads a body.
pub(super) fn read(body: &str) -> Result<Normalised, Unreadable> {
    let top = super::json::from_str(body).map_err(|fault| field::not_json(body, &fault))?;
    match top {
        Top::One(message) => Ok(Normalised { batch: false, messages: vec![message] }),
        Top::List(Batch::Given(mut messages), path) if !messages.is_empty() => {
            for message in &mut messages {
                if let Message::Impossible { problem, .. } = message {
                    problem.path.insert_str(0, path);
                }
            }
            Ok(Normalised { batch: true, messages })
        }
        Top::List(Batch::TooLarge, path) => {
            let detail = format!("must hold at most {BATCH_MESSAGES_MAX} transactions");
            Err(unreadable("batch_too_large", path, detail))
        }
        Top::List(_, "") | Top::NoObject => {
            Err(Unreadable::new("wrong_shape", "the body must be a transaction or {\"data\":[…]}: a JSON object"))
        }
        Top::List(_, path) => {
            let detail = format!("must hold 1 to {BATCH_MESSAGES_MAX} transactions, holds none");
            Err(unreadable("batch_empty", path, detail))
        }
        Top::Unclear(detail) => Err(unreadable("wrong_shape", "data", detail.to_owned())),
    }
}

fn unreadable(code: &'static str, path: &str, detail: String) -> Unreadable {
    Unreadable { problem: problem(code, path, detail), byte: None }
}

impl<'de> Deserialize<'de> for Top<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor::default())
    }
}

impl<'de> Shape<'de> for Top<'de> {
    fn from_scalar(_: Scalar<'de>) -> Self {
        Self::NoObject
    }
    fn from_seq<A: SeqAccess<'de>>(seq: A) -> Result<Self, A::Error> {
        Batch::from_seq(seq).map(|batch| Self::List(batch, ""))
    }
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut resource = Resource::<'de>::default();
        let mut is_resource = false;
        let mut data = None;
        let mut twice = false;
        while let Some(Key(key)) = map.next_key()? {
            if key != "data" {
                is_resource |= resource.take(&key, &mut map)?;
            } else if data.is_none() {
                data = Some(map.next_value()?);
            } else {
                twice = true;
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(match data {
            _ if twice => Self::Unclear("must appear only once"),
            Some(_) if is_resource => Self::Unclear("must not stand beside the fields of a single transaction"),
            Some(Data::One(message)) => Self::One(message),
            Some(Data::List(batch)) => Self::List(batch, "data"),
            Some(Data::Other) => Self::Unclear("must be an object or an array of objects"),
            // Judged where it was read: it is too large to be moved about.
            None => Self::One(message(&resource, format_args!(""))),
        })
    }
}

impl<'de> Deserialize<'de> for Data<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor::default())
    }
}

impl<'de> Shape<'de> for Data<'de> {
    fn from_scalar(_: Scalar<'de>) -> Self {
        Self::Other
    }
    fn from_seq<A: SeqAccess<'de>>(seq: A) -> Result<Self, A::Error> {
        Batch::from_seq(seq).map(Self::List)
    }
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut resource = Resource::<'de>::default();
        while let Some(Key(key)) = map.next_key()? {
            resource.take(&key, &mut map)?;
        }
        Ok(Self::One(message(&resource, format_args!("data"))))
    }
}

impl<'de> Judge<'de> for Resource<'de> {
    fn judge(resource: Part<'de, Self>, index: usize) -> Message {
        match resource {
            Part::Given(resource) => message(&resource, format_args!("[{index}]")),
            other => {
                let problem = match other.object("") {
                    Err(problem) => Problem { path: format!("[{index}]"), ..problem },
                    Ok(_) => problem("wrong_type", format!("[{index}]"), "must be an object, is null"),
                };
                Message::Impossible { id: None, problem }
            }
        }
    }
}

/// What the message means; the path of a problem begins with `at`.
fn message(resource: &Resource<'_>, at: fmt::Arguments<'_>) -> Message {
    let attributes = match &resource.attributes {
        Part::Given(attributes) => attributes,
        _ => &resource.flat,
    };
    let id = || resource.id.repeatable().or_else(|| attributes.transaction_id.repeatable());
    match judge(resource) {
        Ok(Judged::Event(event)) => Message::Event(event),
        Ok(Judged::Ignored(why)) => Message::Ignored { id: id(), why },
        Err(mut problem) => {
            let mut path = at.to_string();
            if !path.is_empty() && !problem.path.is_empty() {
                path.push('.');
            }
            problem.path.insert_str(0, &path);
            Message::Impossible { id: id(), problem }
        }
    }
}

/// What a message is, as far as its `type` says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A transaction of a card, with a status.
    Card,
    /// From a core banking system: settled, and the card is not known for sure.
    Core,
    /// Matched to an offer by its sender: neither status nor currency.
    Matched,
}

fn judge(resource: &Resource<'_>) -> Result<Judged, Problem> {
    field::once(resource.twice, "")?;
    let kind = match resource.kind.text("type")? {
        // Transactions of the past are the same happenings, told at enrolment.
        Some("transaction" | "historicalTransaction") | None => Kind::Card,
        Some("coreTransaction" | "coreHistoricalTransaction") => Kind::Core,
        Some("matchedTransaction") => Kind::Matched,
        Some(_) => return Ok(Judged::Ignored("type_of_no_concern")),
    };
    match resource.attributes.object("attributes")? {
        Some(attributes) => transaction(attributes, kind).map_err(|mut problem| {
            problem.path.insert_str(0, "attributes.");
            problem
        }),
        None => {
            let flat = &resource.flat;
            // The notice of a reward in its older form has no type.
            if matches!(flat.reward, Scalar::Other(_)) && !given(&flat.transaction_id) {
                return Ok(Judged::Ignored("type_of_no_concern"));
            }
            transaction(flat, kind)
        }
    }
}

/// Whether anything but null stands there.
fn given(scalar: &Scalar<'_>) -> bool {
    !matches!(scalar, Scalar::Absent | Scalar::Null)
}

fn transaction(raw: &Attributes<'_>, kind: Kind) -> Result<Judged, Problem> {
    field::once(raw.twice, "")?;
    let id = raw
        .transaction_id
        .identifier("transactionId")?
        .ok_or_else(|| field::missing("transactionId", "the same for every message of a purchase"))?;
    let status = match (raw.status.text("status")?, kind) {
        (Some(status), _) => status,
        (None, Kind::Core) => "SETTLED",
        // It has been paid, and whether it has been settled is not said: so it counts as
        // authorized, and a settlement under the same id takes its place.
        (None, Kind::Matched) => "APPROVED",
        (None, Kind::Card) => {
            return Err(field::missing("status", "one of APPROVED, SETTLED, REVERSED, RETURNED, DECLINED"));
        }
    };
    let credit = match raw.direction.text("direction")? {
        None | Some("DEBIT") => false,
        Some("CREDIT") => true,
        Some(other) => {
            let detail = format!("{} is not one of DEBIT, CREDIT", field::echo(other));
            return Err(problem("unknown_direction", "direction", detail));
        }
    };
    let (event_kind, word) = match (status, credit) {
        ("APPROVED", _) => (EventKind::Authorization, "approved"),
        ("SETTLED", false) => (EventKind::Clearing, "settled"),
        ("SETTLED", true) => (EventKind::Refund, "settled"),
        ("REVERSED", _) => (EventKind::Reversal, "reversed"),
        ("RETURNED", _) => (EventKind::Refund, "returned"),
        // It has no effect, so the rest of it need not make sense.
        ("DECLINED", _) => return Ok(Judged::Ignored("not_approved")),
        (other, _) => {
            let detail =
                format!("{} is not one of APPROVED, SETTLED, REVERSED, RETURNED, DECLINED", field::echo(other));
            return Err(problem("unknown_status", "status", detail));
        }
    };
    let amount = amount(raw, kind)?;
    let card = card(raw)?;
    let times = times(raw, event_kind, status)?;
    let merchant = merchant(raw)?;
    if matches!(&raw.payment_type, Scalar::Text(word) if word == "CASH") {
        return Ok(Judged::Ignored("not_by_card"));
    }
    let amount = match (event_kind, amount) {
        // A credit that is only authorized has not moved yet; its settlement tells it.
        (EventKind::Authorization, _) if credit => return Ok(Judged::Ignored("credit_not_settled")),
        (EventKind::Authorization, Some(Money { minor: 0, .. })) => {
            return Ok(Judged::Ignored("account_verification"));
        }
        (EventKind::Reversal, amount) => amount.filter(|amount| amount.minor > 0),
        (_, Some(Money { minor: 0, .. })) => {
            return Err(problem("amount_zero", "amount", format!("must not be zero for {status}")));
        }
        (_, None) => return Err(field::missing("amount", CENTS)),
        (_, amount) => amount,
    };
    let named = event_kind != EventKind::Refund || (!credit && names_its_purchase(&times));
    let identity = times.told.map_or_else(|| format!("{id}:{word}"), |at| format!("{id}:{word}:{}", at.at.as_ms()));
    let bad_id = |fault: crate::domain::ids::IdError| problem("bad_identifier", "transactionId", fault.to_string());
    Ok(Judged::Event(Box::new(CardEvent {
        key: EventKey::new(identity).map_err(bad_id)?,
        kind: event_kind,
        purchase: if named { Some(PurchaseId::new(id).map_err(bad_id)?) } else { None },
        card,
        amount,
        billing: None,
        occurred_at: times.act.at,
        clock: times.act.clock,
        time_known: times.act.time_known,
        posted_at: times.posted.filter(|posted| posted.clock == Clock::Utc).map(|posted| posted.at),
        approved: true,
        merchant,
        // `cardPresence` and `panEntryMode` have no published words.
        channel: Channel::Unknown,
        sequence: None,
    })))
}

const CENTS: &str = "whole cents, such as 4250 for 42.50";

fn amount(raw: &Attributes<'_>, kind: Kind) -> Result<Option<Money>, Problem> {
    let currency = match iso::currency(&raw.currency, "currency")? {
        Some(currency) => currency,
        // This type has no currency: its amounts are cents and its shops in the States.
        None if kind == Kind::Matched => {
            Currency::parse("USD").map_err(|_| field::missing("currency", "such as USD"))?
        }
        None => return Err(field::missing("currency", "such as USD")),
    };
    raw.amount.minor_units("amount")?.map(|minor| field::money(minor, currency, "amount")).transpose()
}

/// The token of the card: the issuer's id of the user and, as far as they are sent, the
/// first six and the last four digits, `438103:123456:4321`. This is by what the provider
/// itself tells a user's cards apart; the digits alone would be no token.
fn card(raw: &Attributes<'_>) -> Result<CompactString, Problem> {
    let (user, path) =
        if given(&raw.user_id) { (&raw.user_id, "userId") } else { (&raw.partner_user_id, "referringPartnerUserId") };
    let mut token = user.card(path)?;
    for (part, path) in [(&raw.card_bin, "cardBIN"), (&raw.card_last_four, "cardLastFour")] {
        if part.text(path)?.is_some_and(|text| !text.is_empty()) {
            let Some(text) = part.identifier(path)? else { continue };
            token.push(':');
            token.push_str(text);
        }
    }
    let whole = Scalar::Text(token.as_str().into());
    whole.card(path)
}

/// When a message's happening was.
struct Times {
    /// The act of buying or returning.
    act: When,
    /// What tells this message apart from others of the same status; an authorization is
    /// the only one of its purchase.
    told: Option<When>,
    /// When it was posted, if it was.
    posted: Option<When>,
    /// Of the authorization that went before.
    authorized: Option<When>,
}

fn times(raw: &Attributes<'_>, kind: EventKind, status: &str) -> Result<Times, Problem> {
    const FORM: &str = "such as 2026-11-21T19:56:00Z";
    let authorized = when::when(&raw.authorization_date, "authorizationDate")?;
    let settled = when::when(&raw.settled_date, "settledDate")?;
    let happened = when::when(&raw.transaction_date, "transactionDate")?;
    let need = |time: Option<When>, path: &str| time.ok_or_else(|| field::missing(path, FORM));
    Ok(match (kind, status) {
        (EventKind::Authorization, _) => {
            Times { act: need(authorized.or(happened), "authorizationDate")?, told: None, posted: None, authorized }
        }
        (_, "SETTLED") => {
            let settled = need(settled, "settledDate")?;
            // Without the time of buying only the day of posting is known, not the hour.
            let act = authorized.or(happened).unwrap_or(When { time_known: false, ..settled });
            Times { act, told: Some(settled), posted: Some(settled), authorized }
        }
        _ => {
            let act = need(happened.or(settled), "transactionDate")?;
            let posted = if kind == EventKind::Refund { settled } else { None };
            Times { act, told: Some(act), posted, authorized }
        }
    })
}

/// Whether a return bears the id of the purchase it takes back. By the contract a return
/// may come under an id of its own, when the purchase could not be found; and an id that
/// no purchase bears would wait for ever. Who knows when the purchase was authorized has
/// found it; all others are assigned by card, merchant and amount.
fn names_its_purchase(times: &Times) -> bool {
    times.authorized.is_some_and(|authorized| authorized.at < times.act.at)
}

fn merchant(raw: &Attributes<'_>) -> Result<MerchantMark, Problem> {
    let nested = raw.merchant.object("merchant")?;
    if let Some(merchant) = nested {
        field::once(merchant.twice, "merchant")?;
    }
    let mids = network_mids(raw)?;
    let first = |a: Option<CompactString>, b: Result<Option<CompactString>, Problem>| match a {
        Some(a) => Ok(Some(a)),
        None => b,
    };
    let mut mid = raw.merchant_id.0.mark("merchantId")?;
    let mut descriptor = raw.description.free_text("description")?;
    let mut postcode = first(
        raw.merchant_zipcode.free_text("merchantAddrZipcode")?,
        raw.merchant_zip_code.free_text("merchantAddrZipCode"),
    )?;
    let mut country_of = country(&raw.merchant_country);
    if let Some(merchant) = nested {
        mid = first(mid, merchant.id.mark("merchant.id"))?;
        descriptor = first(descriptor, merchant.name.free_text("merchant.name"))?;
        postcode = first(postcode, merchant.zipcode.free_text("merchant.addrZipcode"))?;
        country_of = country_of.or_else(|| country(&merchant.country));
    }
    let merchant = MerchantMark {
        scheme: scheme(raw, mids.scheme)?,
        mid: first(mid, Ok(mids.mid))?,
        acquirer: None,
        descriptor: first(descriptor, raw.merchant_name.free_text("merchantName"))?,
        mcc: category(&raw.mcc),
        // Not `storeId`: that is the merchant's own count of its shops, and another's
        // shop has the same number.
        store_id: mids.store,
        country: country_of,
        postcode,
        terminal: None,
    };
    if merchant.mid.is_none() && merchant.store_id.is_none() && merchant.descriptor.is_none() {
        return Err(field::missing("description", "the merchant's text, or a merchant with an id"));
    }
    Ok(merchant)
}

/// The card network's own ids.
#[derive(Default)]
struct NetworkMids {
    scheme: Option<CompactString>,
    mid: Option<CompactString>,
    store: Option<CompactString>,
}

fn network_mids(raw: &Attributes<'_>) -> Result<NetworkMids, Problem> {
    let Some(outer) = raw.processor_mids.object("processorMids")? else { return Ok(NetworkMids::default()) };
    field::once(outer.twice, "processorMids")?;
    let scheme = outer.processor.free_text("processorMids.processor")?;
    let Some(mids) = outer.mids.object("processorMids.mids")? else {
        return Ok(NetworkMids { scheme, ..NetworkMids::default() });
    };
    field::once(mids.twice, "processorMids.mids")?;
    Ok(NetworkMids {
        scheme,
        mid: mids.vmid.mark("processorMids.mids.vmid")?,
        store: mids.vsid.mark("processorMids.mids.vsid")?,
    })
}

fn scheme(raw: &Attributes<'_>, processor: Option<CompactString>) -> Result<Option<CompactString>, Problem> {
    let network = raw.card_network.free_text("cardNetwork")?.or(processor);
    Ok(network.map(|mut network| {
        network.make_ascii_lowercase();
        match network.as_str() {
            "americanexpress" | "american express" => CompactString::const_new("amex"),
            _ => network,
        }
    }))
}

/// A country by its code, or by the only name that the provider writes.
fn country(raw: &Scalar<'_>) -> Option<CompactString> {
    match raw {
        Scalar::Text(name) if name.trim() == "United States" => Some(CompactString::const_new("US")),
        other => iso::country(other),
    }
}

/// Not always a code; without it nothing is lost but a hint.
fn category(raw: &Scalar<'_>) -> Option<u16> {
    let code = match raw {
        Scalar::Text(digits) => field::mcc(digits),
        Scalar::Int(number) => u16::try_from(*number).ok().filter(|code| *code <= 9999),
        _ => None,
    };
    code.filter(|code| *code != 0)
}

#[cfg(test)]
pub(super) mod tests;
