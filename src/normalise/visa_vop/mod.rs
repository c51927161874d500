//! Visa Offers Platform: endpoint messages. Experimental: the contract is not public, this
//! is what published consumers of it show (`tests/data/normalise/visa-vop/SOURCES.md`).
//!
//! A message is a list of keys and values, in any order, read in one pass. Amounts are
//! decimals in major units. What is sent without a zone is GMT: the fields that say so in
//! their name carry the same readings, and the consumers read all of them so; only
//! `MerchantLocalPurchaseDate` is the shop's own day. The card is `ExternalUserId`: it is
//! the id the programme gave at enrolment, and in the published messages it stays with a
//! card while `CardId` changes. Wrappers that others put around these messages are no
//! dialect of ours: they are unreadable, never guessed at.

use super::decimal::Raw;
use super::field::{self, Fields, Judged, Key, Part, Scalar, Shape, ShapeVisitor, Slot, fill, problem};
use super::when::{self, When};
use super::{Message, Normalised, Problem, Unreadable, iso, pan};
use crate::domain::card_event::Clock;
use crate::domain::{CardEvent, Channel, EventKey, EventKind, MerchantMark, Money, PurchaseId};
use compact_str::CompactString;
use jiff::civil;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess};
use std::marker::PhantomData;

#[cfg(test)]
pub(super) mod tests;

/// As configuration calls it.
pub(super) const NAME: &str = "visa-vop";

/// Identifiers by contract, beyond those every dialect knows.
pub(super) const IDENTIFIERS: &[&str] = &["messageid", "messagename", "userprofileid"];

/// The message. Older ones write the names with a small first letter.
#[derive(Default)]
struct RawMessage<'a> {
    card_id: Scalar<'a>,
    external_user_id: Scalar<'a>,
    message_id: Scalar<'a>,
    elements: Pairs<'a, Box<Elements<'a>>>,
    user_fields: Pairs<'a, UserFields<'a>>,
    twice: Option<&'static str>,
}

impl<'de> Fields<'de> for RawMessage<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        let (name, first) = match key {
            "CardId" | "cardId" => ("CardId", fill(&mut self.card_id, map)?),
            "ExternalUserId" | "externalUserId" => ("ExternalUserId", fill(&mut self.external_user_id, map)?),
            "MessageId" | "messageId" => ("MessageId", fill(&mut self.message_id, map)?),
            "MessageElementsCollection" | "messageElementsCollection" => (ELEMENTS, fill(&mut self.elements, map)?),
            "UserDefinedFieldsCollection" | "userDefinedFieldsCollection" => {
                (USER_FIELDS, fill(&mut self.user_fields, map)?)
            }
            _ => {
                map.next_value::<IgnoredAny>()?;
                return Ok(false);
            }
        };
        if !first {
            self.twice = Some(name);
        }
        Ok(true)
    }
}

const ELEMENTS: &str = "MessageElementsCollection";
const USER_FIELDS: &str = "UserDefinedFieldsCollection";

/// One key and its value.
#[derive(Default)]
struct RawPair<'a> {
    key: Scalar<'a>,
    value: Raw<'a>,
    twice: bool,
}

impl<'de> Fields<'de> for RawPair<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        let first = match key {
            "Key" | "key" => fill(&mut self.key, map)?,
            "Value" | "value" => fill(&mut self.value, map)?,
            _ => {
                map.next_value::<IgnoredAny>()?;
                return Ok(false);
            }
        };
        self.twice |= !first;
        Ok(true)
    }
}

/// Takes what is of concern from a list of keys and values.
trait Table<'a>: Default {
    fn put(&mut self, key: &str, value: Raw<'a>);
    /// A pair in which the key or the value stands twice: what was meant cannot be known.
    fn unclear(&mut self);
}

/// A list of keys and values; nothing of it is kept but what the table takes.
#[derive(Default)]
enum Pairs<'a, T> {
    #[default]
    Absent,
    Given(T),
    Other(&'static str, PhantomData<&'a ()>),
}

impl<'de, T: Table<'de>> Shape<'de> for Pairs<'de, T> {
    fn from_scalar(scalar: Scalar<'de>) -> Self {
        match scalar {
            Scalar::Null => Self::Absent,
            _ => Self::Other("no array", PhantomData),
        }
    }
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        let mut table = T::default();
        while let Some(pair) = seq.next_element::<Part<'de, RawPair<'de>>>()? {
            if let Part::Given(pair) = pair {
                match pair.key {
                    _ if pair.twice => table.unclear(),
                    // Some are sent with a blank at their end.
                    Scalar::Text(key) => table.put(field::trimmed(&key), pair.value),
                    _ => {}
                }
            }
        }
        Ok(Self::Given(table))
    }
    /// Older messages put the list into an object of one key (`messageElement`).
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut found = Self::Other("no array", PhantomData);
        let mut lists = 0;
        while let Some(Key(_)) = map.next_key()? {
            let inner = map.next_value::<Flat<'de, T>>()?.0;
            if matches!(inner, Self::Given(_)) {
                lists += 1;
                found = inner;
            }
        }
        Ok(if lists == 1 { found } else { Self::Other("no array", PhantomData) })
    }
}
impl<'de, T: Table<'de>> Deserialize<'de> for Pairs<'de, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor::default())
    }
}
impl<T> Slot for Pairs<'_, T> {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// The list within the object; an object in there is not looked into.
struct Flat<'a, T>(Pairs<'a, T>);

impl<'de, T: Table<'de>> Shape<'de> for Flat<'de, T> {
    fn from_scalar(scalar: Scalar<'de>) -> Self {
        Self(Pairs::from_scalar(scalar))
    }
    fn from_seq<A: SeqAccess<'de>>(seq: A) -> Result<Self, A::Error> {
        Pairs::from_seq(seq).map(Self)
    }
}
impl<'de, T: Table<'de>> Deserialize<'de> for Flat<'de, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor::default())
    }
}

impl<T> Pairs<'_, T> {
    fn given(&self, path: &'static str) -> Result<&T, Problem> {
        match self {
            Self::Given(table) => Ok(table),
            Self::Absent => Err(field::missing(path, "an array of keys and values")),
            Self::Other(noun, _) => Err(problem("wrong_type", path, format!("must be an array, is {noun}"))),
        }
    }
}

/// The fields the programme defined for its endpoint: which kind of message it is.
#[derive(Default)]
struct UserFields<'a> {
    transaction_type: Raw<'a>,
    message_type: Raw<'a>,
    twice: bool,
}

impl<'a> Table<'a> for UserFields<'a> {
    fn put(&mut self, key: &str, value: Raw<'a>) {
        let slot = match key {
            "TransactionType" => &mut self.transaction_type,
            "MessageType" => &mut self.message_type,
            _ => return,
        };
        self.twice |= !settle(slot, value);
    }
    fn unclear(&mut self) {
        self.twice = true;
    }
}

/// Sets a value once: tells whether it was not set to another one before.
fn settle<'a>(slot: &mut Raw<'a>, value: Raw<'a>) -> bool {
    match (&*slot, &value) {
        (Raw::Given(old), Raw::Given(new)) => old == new,
        _ => {
            *slot = value;
            true
        }
    }
}

/// The message's elements: those of a sale, and those of its return, which have other names.
#[derive(Default)]
struct Elements<'a> {
    sale: Side<'a>,
    back: Side<'a>,
    twice: Option<&'static str>,
}

macro_rules! side {
    ($($field:ident = $($key:literal)|+,)*) => {
        #[derive(Default)]
        struct Side<'a> { $($field: Raw<'a>,)* }
        impl<'a> Side<'a> {
            /// Takes a value; gives the key when it has another one already.
            fn put(&mut self, key: &str, value: Raw<'a>) -> Option<&'static str> {
                match key {
                    $($($key => (!settle(&mut self.$field, value)).then_some($key),)+)*
                    _ => None,
                }
            }
        }
    };
}

side! {
    vip_transaction_id = "VipTransactionId",
    settlement_id = "SettlementId",
    transaction_code = "TransactionCode",
    transaction_amount = "TransactionAmount" | "Amount",
    currency = "CurrencyCodeNumeric" | "CurrencyCode",
    acquirer_amount = "AcquirerAmount",
    acquirer_currency = "AcquirerCurrencyCode",
    billing_amount = "BillingAmount",
    billing_currency = "BillingCurrencyCode",
    settlement_amount = "SettlementAmount",
    settlement_currency = "SettlementCurrencyCodeNumeric",
    settlement_billing_amount = "SettlementBillingAmount",
    settlement_billing_currency = "SettlementBillingCurrency",
    settlement_date = "SettlementDate",
    date_time = "DateTime",
    time_stamp = "TimeStampYYMMDD",
    plain_time_stamp = "TimeStamp",
    date_time_gmt = "MerchantDateTimeGMT",
    purchase_date = "MerchantLocalPurchaseDate",
    mid = "MerchantCardAcceptorId" | "CardAcceptorIdCode",
    acquirer = "MerchantAcquirerBin" | "AcquirerBIN",
    merchant_id = "VisaMerchantId",
    merchant_name = "VisaMerchantName",
    store_id = "VisaStoreId",
    store_name = "VisaStoreName",
    statement_name = "MerchantName",
    group_id = "MerchantGroup.0.ExternalId" | "MerchantGroupName.0.ExternalId",
    group_name = "MerchantGroup.0.Name" | "MerchantGroupName.0.Name",
    mcc = "MerchantCategoryCode",
    country = "MerchantCountryCode",
    postcode = "MerchantPostalCode",
}

impl<'a> Table<'a> for Box<Elements<'a>> {
    fn put(&mut self, key: &str, value: Raw<'a>) {
        Elements::put(self, key, value);
    }
    fn unclear(&mut self) {
        Elements::unclear(self);
    }
}

impl<'a> Table<'a> for Elements<'a> {
    fn put(&mut self, key: &str, value: Raw<'a>) {
        let twice = if let Some(name) = key.strip_prefix("Transaction.") {
            self.sale.put(name, value)
        } else if let Some(name) = key.strip_prefix("ReturnTransaction.") {
            self.back.put(name, value)
        } else {
            None
        };
        self.twice = self.twice.or(twice);
    }
    fn unclear(&mut self) {
        self.twice = Some("Key");
    }
}

/// A value as a scalar; a number as the text it was written in, so that an id or a code
/// may be either.
fn scalar<'a>(raw: &Raw<'a>) -> Scalar<'a> {
    match raw {
        Raw::Absent => Scalar::Absent,
        Raw::Given(text) if text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => Scalar::Text((*text).into()),
        Raw::Given(text) => super::json::from_str(text).unwrap_or(Scalar::Other("a string that is not valid")),
    }
}

/// The same, but nothing when it says "not sent": "", "0", zeros.
fn sent<'a>(raw: &Raw<'a>) -> Scalar<'a> {
    match scalar(raw) {
        Scalar::Text(text) if field::trimmed(&text).bytes().all(|byte| byte == b'0') => Scalar::Absent,
        other => other,
    }
}

/// Reads a body: always one message.
pub(super) fn read(body: &str) -> Result<Normalised, Unreadable> {
    let message: Part<'_, RawMessage<'_>> =
        super::json::from_str(body).map_err(|fault| field::not_json(body, &fault))?;
    let Part::Given(message) = message else {
        return Err(Unreadable::new("wrong_shape", "the body must be a message: a JSON object"));
    };
    if message.elements.is_absent() && message.user_fields.is_absent() {
        let detail = format!("the body must be an endpoint message with {ELEMENTS} and {USER_FIELDS}");
        return Err(Unreadable::new("wrong_shape", detail));
    }
    let id = message.message_id.repeatable();
    let message = match judge(&message) {
        Ok(Judged::Event(event)) => Message::Event(event),
        Ok(Judged::Ignored(why)) => Message::Ignored { id, why },
        Err(problem) => Message::Impossible { id, problem },
    };
    Ok(Normalised { batch: false, messages: vec![message] })
}

fn judge(message: &RawMessage<'_>) -> Result<Judged, Problem> {
    field::once(message.twice, "")?;
    let fields = message.user_fields.given(USER_FIELDS)?;
    if fields.twice {
        return Err(problem("duplicate_key", USER_FIELDS, "TransactionType must be given only once"));
    }
    let kind = kind(fields)?;
    let card = card(message)?;
    let elements = message.elements.given(ELEMENTS)?;
    field::once(elements.twice, ELEMENTS)?;
    let (side, name) = match kind {
        EventKind::Refund => (&elements.back, "ReturnTransaction"),
        _ => (&elements.sale, "Transaction"),
    };
    // Paths are only spelled out when there is something to say.
    event(kind, card, side)
        .map_err(|problem| Problem { path: format!("{ELEMENTS}.{name}.{}", problem.path), ..problem })
}

fn kind(fields: &UserFields<'_>) -> Result<EventKind, Problem> {
    const PATH: &str = "UserDefinedFieldsCollection.TransactionType";
    let said = match sent(&fields.transaction_type) {
        Scalar::Absent | Scalar::Null => sent(&fields.message_type),
        said => said,
    };
    let word = field::trimmed(said.required_text(PATH, "Auth, Settle or Return")?);
    let is = |known: &str| word.eq_ignore_ascii_case(known);
    if is("auth") {
        Ok(EventKind::Authorization)
    } else if is("settle") {
        Ok(EventKind::Clearing)
    } else if is("return") {
        Ok(EventKind::Refund)
    } else {
        // It may move money, and which way is not known.
        let detail = format!("{} is not one of Auth, Settle, Return", field::echo(word));
        Err(problem("unknown_type", PATH, detail))
    }
}

fn card(message: &RawMessage<'_>) -> Result<CompactString, Problem> {
    match &message.external_user_id {
        Scalar::Absent | Scalar::Null => {}
        Scalar::Text(text) if text.is_empty() => {}
        Scalar::Int(number) => return Scalar::Text(number.to_string().into()).card("ExternalUserId"),
        given => return given.card("ExternalUserId"),
    }
    match &message.card_id {
        Scalar::Absent | Scalar::Null => {
            Err(field::missing("ExternalUserId", "the id given to the card at its enrolment"))
        }
        given => given.card("CardId"),
    }
}

/// What the elements of one side tell. Paths are their names.
fn event(kind: EventKind, card: CompactString, side: &Side<'_>) -> Result<Judged, Problem> {
    let vip = scalar(&side.vip_transaction_id);
    let vip = vip_id(&vip)?;
    let purchase = identifier(PurchaseId::new(vip), "VipTransactionId")?;
    let amounts = match kind {
        EventKind::Authorization => Amounts {
            amount: (&side.transaction_amount, "TransactionAmount"),
            currency: (&side.currency, "CurrencyCodeNumeric"),
            billing: (&side.billing_amount, "BillingAmount"),
            billing_currency: (&side.billing_currency, "BillingCurrencyCode"),
        },
        // What moves is what is settled; the amounts beside it are the authorization's.
        EventKind::Clearing => Amounts {
            amount: (&side.settlement_amount, "SettlementAmount"),
            currency: (&side.settlement_currency, "SettlementCurrencyCodeNumeric"),
            billing: (&side.settlement_billing_amount, "SettlementBillingAmount"),
            billing_currency: (&side.settlement_billing_currency, "SettlementBillingCurrency"),
        },
        // The acquirer's amount is in the merchant's currency, as a settlement's is.
        _ if !not_sent(&side.acquirer_amount) && !not_sent(&side.acquirer_currency) => Amounts {
            amount: (&side.acquirer_amount, "AcquirerAmount"),
            currency: (&side.acquirer_currency, "AcquirerCurrencyCode"),
            billing: (&side.transaction_amount, "Amount"),
            billing_currency: (&side.currency, "CurrencyCode"),
        },
        _ => Amounts {
            amount: (&side.transaction_amount, "Amount"),
            currency: (&side.currency, "CurrencyCode"),
            billing: (&Raw::Absent, "Amount"),
            billing_currency: (&Raw::Absent, "CurrencyCode"),
        },
    };
    let (amount, billing) = amounts.read(kind)?;
    if kind == EventKind::Clearing {
        sale(&side.transaction_code)?;
    }
    let when = occurred(kind, side)?;
    let posted_at = match kind {
        EventKind::Clearing => time(&side.settlement_date, "SettlementDate")?.map(|when| when.at),
        _ => None,
    };
    let merchant = merchant(kind, side)?;
    if amount.minor == 0 {
        return match kind {
            EventKind::Authorization => Ok(Judged::Ignored("account_verification")),
            _ => Err(problem("amount_zero", amounts.amount.1, "must not be zero when it is settled or returned")),
        };
    }
    // One purchase is authorized once, but may be settled and returned in parts: these are
    // told apart by what each delivery of the same part repeats. The message's own id is
    // not among that: published messages of several purchases share one.
    let key = match kind {
        EventKind::Authorization => format!("{vip}:auth"),
        EventKind::Clearing => match posted_at {
            Some(at) => format!("{vip}:clearing:{at}"),
            None => format!("{vip}:clearing"),
        },
        _ => {
            let settlement = sent(&side.settlement_id);
            match settlement.text("SettlementId")?.filter(|id| *id != vip) {
                Some(settlement) => format!("{vip}:refund:{settlement}:{}", when.at.as_seconds()),
                None => format!("{vip}:refund:{}", when.at.as_seconds()),
            }
        }
    };
    Ok(Judged::Event(Box::new(CardEvent {
        key: identifier(EventKey::new(key), "VipTransactionId")?,
        kind,
        purchase: Some(purchase),
        card,
        amount: Some(amount),
        billing,
        occurred_at: when.at,
        clock: when.clock,
        time_known: when.time_known,
        posted_at,
        approved: true,
        merchant,
        channel: Channel::Unknown,
        sequence: None,
    })))
}

fn identifier<T>(id: Result<T, crate::domain::ids::IdError>, path: &str) -> Result<T, Problem> {
    id.map_err(|fault| problem("bad_identifier", path, fault.to_string()))
}

/// The network's id of the purchase. It has 15 digits and often begins with a 4, so chance
/// makes a tenth of them look like card numbers; no card of this network has 15.
fn vip_id<'t>(id: &'t Scalar<'_>) -> Result<&'t str, Problem> {
    const PATH: &str = "VipTransactionId";
    const IS: &str = "the id that authorization and settlement share";
    let text = id.text(PATH)?.map(field::trimmed).unwrap_or_default();
    if text.bytes().all(|byte| byte == b'0') {
        return Err(field::missing(PATH, IS));
    }
    if pan::is_card_number(text) && text.len() != 15 {
        return Err(problem("card_number", PATH, format!("holds a card number; must be {IS}")));
    }
    Ok(text)
}

fn not_sent(raw: &Raw<'_>) -> bool {
    matches!(sent(raw), Scalar::Absent | Scalar::Null)
}

/// Which elements say how much, with their names.
struct Amounts<'t, 'a> {
    amount: (&'t Raw<'a>, &'static str),
    currency: (&'t Raw<'a>, &'static str),
    billing: (&'t Raw<'a>, &'static str),
    billing_currency: (&'t Raw<'a>, &'static str),
}

impl Amounts<'_, '_> {
    /// The merchant's amount and the cardholder's.
    fn read(&self, kind: EventKind) -> Result<(Money, Option<Money>), Problem> {
        let (raw, path) = self.currency;
        let currency = iso::currency(&sent(raw), path)?.ok_or_else(|| field::missing(path, "such as 840"))?;
        let money = |(raw, path): (&Raw<'_>, &'static str), currency| {
            let Some(minor) = raw.major_units(currency, path)? else { return Ok(None) };
            // A return says by its type that it is one; it comes with and without a sign.
            let minor = if kind == EventKind::Refund { minor.abs() } else { minor };
            field::money(minor, currency, path).map(Some)
        };
        let amount = money(self.amount, currency)?
            .ok_or_else(|| field::missing(self.amount.1, "in major units, such as \"96.00\""))?;
        let (raw, path) = self.billing_currency;
        let billing = match iso::currency(&sent(raw), path)? {
            Some(currency) => money(self.billing, currency)?,
            None => None,
        };
        Ok((amount, billing))
    }
}

/// A settlement that says what it is must be of a sale (05) or of cash (07): credits and
/// taken back sales have codes of their own, and how they are sent is not known.
fn sale(code: &Raw<'_>) -> Result<(), Problem> {
    const PATH: &str = "TransactionCode";
    let code = sent(code);
    match code.text(PATH)?.map(|text| text.trim_start_matches('0')) {
        None | Some("" | "5" | "7") => Ok(()),
        Some(other) => {
            let detail = format!("{} is not a sale: 05 or 07", field::echo(other));
            Err(problem("unknown_transaction_code", PATH, detail))
        }
    }
}

/// The act of buying or returning. An authorization's own time stamp is the network's; a
/// settlement repeats the sale's time in the field for it, and may leave the other at the
/// year 1.
fn occurred(kind: EventKind, side: &Side<'_>) -> Result<When, Problem> {
    let stamp = (&side.time_stamp, "TimeStampYYMMDD");
    let plain = (&side.plain_time_stamp, "TimeStamp");
    let gmt = (&side.date_time_gmt, "MerchantDateTimeGMT");
    let day = (&side.purchase_date, "MerchantLocalPurchaseDate");
    let returned = (&side.date_time, "DateTime");
    let places = match kind {
        EventKind::Authorization => [stamp, plain, gmt, day],
        EventKind::Clearing => [gmt, stamp, plain, day],
        _ => [returned, gmt, stamp, plain],
    };
    for (raw, path) in places {
        if let Some(when) = time(raw, path)? {
            return Ok(when);
        }
    }
    Err(field::missing(places[0].1, "such as 2022-10-14 12:52:24, in GMT"))
}

/// `2022-10-14 12:52:24`, `2020-06-02T15:46:00+00:00` or `10/27/2020 3:1:59 PM`; GMT where
/// no zone is given. `None` when not sent, for which the year 1 may stand.
fn time(raw: &Raw<'_>, path: &str) -> Result<Option<When>, Problem> {
    let raw = sent(raw);
    let text = raw.text(path)?.map(field::trimmed).unwrap_or_default();
    if text.starts_with("0001-01-01") || text.starts_with("1/1/0001 ") {
        return Ok(None);
    }
    if text.contains('/') {
        return with_slashes(text).map(Some).ok_or_else(|| {
            let detail = format!("{} is not a time, such as 10/27/2020 3:1:59 PM", field::echo(text));
            problem("bad_time", path, detail)
        });
    }
    let when = when::when(&raw, path)?;
    Ok(when.map(|when| if when.time_known { When { clock: Clock::Utc, ..when } } else { when }))
}

/// Month, day, year; hour of twelve, minute, second.
fn with_slashes(text: &str) -> Option<When> {
    fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
        let digits = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse().ok() } else { None }
    }
    fn three(text: &str, between: char) -> Option<[&str; 3]> {
        let mut parts = text.split(between);
        let three = [parts.next()?, parts.next()?, parts.next()?];
        parts.next().is_none().then_some(three)
    }
    let mut words = text.split(' ');
    let ([month, day, year], [hour, minute, second]) = (three(words.next()?, '/')?, three(words.next()?, ':')?);
    let noon = match words.next()? {
        half if half.eq_ignore_ascii_case("am") => 0,
        half if half.eq_ignore_ascii_case("pm") => 12,
        _ => return None,
    };
    let hour = number::<i8>(hour).filter(|hour| (1..=12).contains(hour))?;
    let date = civil::Date::new(number(year)?, number(month)?, number(day)?).ok()?;
    let time = civil::Time::new(hour % 12 + noon, number(minute)?, number(second)?, 0).ok()?;
    let wall = When::wall(date.to_datetime(time)).filter(|_| words.next().is_none())?;
    Some(When::instant(wall.at))
}

fn merchant(kind: EventKind, side: &Side<'_>) -> Result<MerchantMark, Problem> {
    let mid_path = if kind == EventKind::Refund { "CardAcceptorIdCode" } else { "MerchantCardAcceptorId" };
    let mut mid = scalar(&side.mid).mark(mid_path)?;
    if kind != EventKind::Authorization {
        // Settlement systems fill short ids up to fifteen digits; the authorization does not.
        mid = mid.map(|mid| match mid.strip_prefix("0000000") {
            Some(rest) if !rest.is_empty() => CompactString::new(rest),
            _ => mid,
        });
    }
    let mut store_id = scalar(&side.store_id).mark("VisaStoreId")?;
    if mid.is_none() && store_id.is_none() {
        // The network's id of all of the merchant's shops: better than none.
        store_id = scalar(&side.merchant_id).mark("VisaMerchantId")?;
    }
    let mut descriptor = None;
    for (raw, path) in [
        (&side.statement_name, "MerchantName"),
        (&side.store_name, "VisaStoreName"),
        (&side.merchant_name, "VisaMerchantName"),
    ] {
        if descriptor.is_none() {
            descriptor = scalar(raw).free_text(path)?;
        }
    }
    if mid.is_none() && store_id.is_none() && descriptor.is_none() {
        // What the programme calls the group the shop was enrolled in.
        store_id = scalar(&side.group_id).mark("MerchantGroup.0.ExternalId")?;
        descriptor = scalar(&side.group_name).free_text("MerchantGroup.0.Name")?;
    }
    if mid.is_none() && store_id.is_none() && descriptor.is_none() {
        let names = "or VisaStoreId, VisaMerchantId or a name (\"\", \"0\" and null count as not sent)";
        return Err(field::missing(mid_path, names));
    }
    Ok(MerchantMark {
        scheme: Some(CompactString::const_new("visa")),
        mid,
        acquirer: scalar(&side.acquirer).mark("MerchantAcquirerBin")?,
        descriptor,
        // Without it nothing is lost but a hint.
        mcc: scalar(&side.mcc).text("MerchantCategoryCode")?.and_then(field::mcc).filter(|code| *code != 0),
        store_id,
        country: iso::country(&sent(&side.country)),
        postcode: scalar(&side.postcode).free_text("MerchantPostalCode")?,
        terminal: None,
    })
}
