//! Fidel: the bare transaction as the body, whatever the event was called.
//!
//! Amounts are major units with a sign: below zero is a refund (a void is one too). What
//! happened is told by the two flags: `auth` alone is an authorization; `cleared`, with
//! or without `auth`, is a clearing. A transaction keeps its id from one to the other,
//! so the id joins them, and id and kind together are the identity of an event: the
//! `.qualified` variants tell the same happening again. A refund is sent as two events,
//! `transaction.refund` and `transaction.clearing`, with the same transaction in both;
//! see [`read`]. Events about cards, places, programmes and offers are no concern of ours.

use super::decimal::Raw;
use super::field::{self, Judged, Part, Scalar, object, problem};
use super::when::{self, When};
use super::{Message, Normalised, Problem, Unreadable, iso};
use crate::domain::card_event::Clock;
use crate::domain::{CardEvent, Channel, Currency, EventKey, EventKind, MerchantMark, Money, PurchaseId, Timestamp};
use compact_str::CompactString;
use jiff::tz::TimeZone;

/// As configuration calls it.
pub(super) const NAME: &str = "fidel";

/// Identifiers by contract, beyond those every dialect knows.
pub(super) const IDENTIFIERS: &[&str] =
    &["mastercardrefnumber", "mastercardtransactionsequencenumber", "senumber", "vmid", "vsid"];

object! {
    /// A transaction, with the spellings of the API before 2019 (`cardId`, `merchantId`,
    /// `locationId`, `date`) beside those of today, and the fields by which the other
    /// events are known to be Fidel's.
    struct RawTransaction<'a> {
        id: Scalar<'a> = "id",
        auth: Scalar<'a> = "auth",
        cleared: Scalar<'a> = "cleared",
        amount: Raw<'a> = "amount",
        currency: Scalar<'a> = "currency",
        billing_amount: Raw<'a> = "billingAmount",
        billing_currency: Scalar<'a> = "billingCurrency",
        datetime: Scalar<'a> = "datetime",
        date: Scalar<'a> = "date",
        created: Scalar<'a> = "created",
        original_id: Scalar<'a> = "originalTransactionId",
        original: Part<'a, RawNamed<'a>> = "originalTransaction",
        card_present: Scalar<'a> = "cardPresent",
        category_code: Scalar<'a> = "merchantCategoryCode",
        descriptor: Part<'a, RawDescriptor<'a>> = "descriptor",
        merchant_descriptor: Scalar<'a> = "merchantDescriptor",
        card: Part<'a, RawCard<'a>> = "card",
        card_id: Scalar<'a> = "cardId",
        scheme: Scalar<'a> = "scheme",
        brand: Part<'a, RawBrand<'a>> = "brand",
        location: Part<'a, RawLocation<'a>> = "location",
        location_id: Scalar<'a> = "locationId",
        country_code: Scalar<'a> = "countryCode",
        postcode: Scalar<'a> = "postcode",
        identifiers: Part<'a, RawIdentifiers<'a>> = "identifiers",
        merchant_id: Scalar<'a> = "merchantId",
        event: Scalar<'a> = "event",
        account_id: Scalar<'a> = "accountId",
        program_id: Scalar<'a> = "programId",
        offer: Scalar<'a> = "offer",
        offer_id: Scalar<'a> = "offerId",
        brand_id: Scalar<'a> = "brandId",
        context: Scalar<'a> = "context",
        resource: Scalar<'a> = "resource",
    }
}

object! {
    struct RawNamed<'a> {
        id: Scalar<'a> = "id",
    }
}

object! {
    struct RawCard<'a> {
        id: Scalar<'a> = "id",
        scheme: Scalar<'a> = "scheme",
    }
}

object! {
    struct RawBrand<'a> {
        name: Scalar<'a> = "name",
    }
}

object! {
    struct RawDescriptor<'a> {
        merchant_name: Scalar<'a> = "merchantName",
        store_name: Scalar<'a> = "storeName",
    }
}

object! {
    struct RawLocation<'a> {
        id: Scalar<'a> = "id",
        country_code: Scalar<'a> = "countryCode",
        postcode: Scalar<'a> = "postcode",
        timezone: Scalar<'a> = "timezone",
    }
}

object! {
    struct RawIdentifiers<'a> {
        mid: Scalar<'a> = "MID",
    }
}

/// Reads a body: always one event.
///
/// **One refund, two events.** Both bodies hold the same transaction: same id, same flags,
/// same amount, so they come out as the same event under the same key, and the second is a
/// duplicate. What differs between the two (`updated`, `offer`, `originalTransaction`
/// beside its id) is not kept. By the contract `originalTransactionId` is on both or on
/// neither; should a match be made between the two, the second is other content under the
/// same key: kept and alarmed, and the refund still counts once.
pub(super) fn read(body: &str) -> Result<Normalised, Unreadable> {
    let transaction: Part<'_, RawTransaction<'_>> =
        super::json::from_str(body).map_err(|fault| field::not_json(body, &fault))?;
    let Part::Given(transaction) = transaction else {
        return Err(Unreadable::new("wrong_shape", "the body must be a transaction or an event: a JSON object"));
    };
    let message = match judge(&transaction) {
        Ok(Judged::Event(event)) => Message::Event(event),
        Ok(Judged::Ignored(why)) => Message::Ignored { id: transaction.id.repeatable(), why },
        Err(problem) => Message::Impossible { id: transaction.id.repeatable(), problem },
    };
    Ok(Normalised { batch: false, messages: vec![message] })
}

fn judge(raw: &RawTransaction<'_>) -> Result<Judged, Problem> {
    if !given(&raw.auth) && !given(&raw.cleared) {
        return no_transaction(raw);
    }
    field::once(raw.twice, "")?;
    let auth = raw.auth.boolean("auth", false)?;
    let cleared = raw.cleared.boolean("cleared", false)?;
    let id = raw.id.identifier("id")?.ok_or_else(|| field::missing("id", "the transaction's own id"))?;
    let (amount, sign) = amount(raw)?;
    let kind = match sign {
        -1 => EventKind::Refund,
        _ if cleared => EventKind::Clearing,
        _ => EventKind::Authorization,
    };
    let (word, purchase) = match kind {
        EventKind::Refund => ("refund", original(raw)?),
        EventKind::Clearing => ("clearing", Some(purchase(id, "id")?)),
        _ => ("auth", Some(purchase(id, "id")?)),
    };
    let key =
        EventKey::new(format!("{id}:{word}")).map_err(|fault| problem("bad_identifier", "id", fault.to_string()))?;
    let location = raw.location.object("location")?;
    if let Some(location) = location {
        field::once(location.twice, "location")?;
    }
    let (card, scheme) = card(raw)?;
    let occurred = occurred(raw, location)?;
    let merchant = merchant(raw, location, scheme)?;
    let channel = match raw.card_present {
        Scalar::Bool(true) => Channel::InStore,
        Scalar::Bool(false) => Channel::Online,
        _ => Channel::Unknown,
    };
    // A transaction that was authorized is made then, and `created` tells no posting; one
    // that was not is made by its clearing or refund. `updated` moves with every telling,
    // so that nothing can be made of it.
    let posted_at = if auth || kind == EventKind::Authorization { None } else { created(raw)? };
    match (kind, sign) {
        (EventKind::Authorization, _) if !auth => return Ok(Judged::Ignored("not_approved")),
        (EventKind::Authorization, 0) => return Ok(Judged::Ignored("account_verification")),
        (_, 0) => return Err(problem("amount_zero", "amount", "must not be zero for a clearing")),
        _ => {}
    }
    Ok(Judged::Event(Box::new(CardEvent {
        key,
        kind,
        purchase,
        card,
        amount: Some(amount),
        billing: billing(raw),
        occurred_at: occurred.at,
        clock: occurred.clock,
        time_known: occurred.time_known,
        posted_at,
        approved: true,
        merchant,
        channel,
        sequence: None,
    })))
}

/// Whether anything but null stands there.
fn given(scalar: &Scalar<'_>) -> bool {
    !matches!(scalar, Scalar::Absent | Scalar::Null)
}

/// The first of two spellings that is given, with its path.
fn either<'r, 'a, 'p>(
    first: (&'r Scalar<'a>, &'p str),
    second: (&'r Scalar<'a>, &'p str),
) -> (&'r Scalar<'a>, &'p str) {
    if given(first.0) || !given(second.0) { first } else { second }
}

/// A body without the flags: another event, unless it holds money all the same.
fn no_transaction(raw: &RawTransaction<'_>) -> Result<Judged, Problem> {
    let named = matches!(&raw.event, Scalar::Text(name) if name.starts_with("transaction."));
    let paid = !matches!(raw.amount, Raw::Absent) && given(&raw.currency);
    if named || paid {
        return Err(field::missing(
            "cleared",
            "true or false, as `auth` is: they tell what happened to the transaction",
        ));
    }
    let known = [
        &raw.event,
        &raw.account_id,
        &raw.program_id,
        &raw.brand_id,
        &raw.offer,
        &raw.offer_id,
        &raw.context,
        &raw.resource,
    ];
    if known.into_iter().any(given) || matches!(raw.location, Part::Given(_)) {
        return Ok(Judged::Ignored("type_of_no_concern"));
    }
    let detail = "is no event of this provider: holds neither a transaction (`id`, `auth`, `cleared`, `amount` …) \
                  nor one of the fields `event`, `accountId`, `programId`, `brandId`, `offer`, `location`";
    Err(problem("unknown_type", "", detail))
}

/// The amount without its sign, and the sign.
fn amount(raw: &RawTransaction<'_>) -> Result<(Money, i64), Problem> {
    let currency = currency(raw)?;
    let minor = raw
        .amount
        .major_units(currency, "amount")?
        .ok_or_else(|| field::missing("amount", "a number in major units, such as 10.17; below zero for a refund"))?;
    Ok((Money::new(minor.abs(), currency), minor.signum()))
}

fn currency(raw: &RawTransaction<'_>) -> Result<Currency, Problem> {
    iso::currency(&raw.currency, "currency")?.ok_or_else(|| field::missing("currency", "such as GBP"))
}

/// What the cardholder is billed, without a sign, as a refund has none here. Converted
/// amounts are not used, so one that cannot be read does not cost the event.
fn billing(raw: &RawTransaction<'_>) -> Option<Money> {
    let currency = iso::currency(&raw.billing_currency, "billingCurrency").ok().flatten()?;
    let minor = raw.billing_amount.major_units(currency, "billingAmount").ok().flatten()?;
    Some(Money::new(minor.abs(), currency))
}

fn purchase(id: &str, path: &str) -> Result<PurchaseId, Problem> {
    PurchaseId::new(id).map_err(|fault| problem("bad_identifier", path, fault.to_string()))
}

/// The purchase that a refund names. Only a whole refund is matched by the provider; the
/// others name nothing.
fn original(raw: &RawTransaction<'_>) -> Result<Option<PurchaseId>, Problem> {
    const PATH: &str = "originalTransactionId";
    if let Some(id) = raw.original_id.text(PATH)?.filter(|id| !id.is_empty()) {
        raw.original_id.identifier(PATH)?;
        return purchase(id, PATH).map(Some);
    }
    let Some(named) = raw.original.object("originalTransaction")? else { return Ok(None) };
    field::once(named.twice, "originalTransaction")?;
    named.id.identifier("originalTransaction.id")?.map(|id| purchase(id, "originalTransaction.id")).transpose()
}

/// The card's token, and its network in our words.
fn card(raw: &RawTransaction<'_>) -> Result<(CompactString, Option<CompactString>), Problem> {
    let (id, scheme) = match raw.card.object("card")? {
        Some(card) => {
            field::once(card.twice, "card")?;
            ((&card.id, "card.id"), &card.scheme)
        }
        None if given(&raw.card_id) => ((&raw.card_id, "cardId"), &raw.scheme),
        None => return Err(field::missing("card", "an object with the id of the card")),
    };
    let mut scheme = scheme.free_text("card.scheme")?;
    if let Some(scheme) = &mut scheme {
        scheme.make_ascii_lowercase();
    }
    Ok((id.0.card(id.1)?, scheme))
}

/// The act itself. The provider writes the shop's wall clock and names the shop's zone
/// beside it, so that the instant is known here and need not wait for our own location; a
/// zone costs a look-up in a table that is compiled in (about 0.1 microseconds). Without a
/// zone we know, the wall clock's reading is passed on as such.
fn occurred(raw: &RawTransaction<'_>, location: Option<&RawLocation<'_>>) -> Result<When, Problem> {
    let (scalar, path) = either((&raw.datetime, "datetime"), (&raw.date, "date"));
    let when = when::when(scalar, path)?
        .ok_or_else(|| field::missing("datetime", "the shop's local time, such as 2026-11-21T19:56:00"))?;
    if when.clock == Clock::Utc || !when.time_known {
        return Ok(when);
    }
    let zone = match location.map(|location| &location.timezone) {
        Some(Scalar::Text(name)) => TimeZone::get(name).ok(),
        _ => None,
    };
    let instant =
        zone.map(|zone| when.at.read_locally(&zone)).filter(|at| (0..=Timestamp::MAX.as_ms()).contains(&at.as_ms()));
    Ok(instant.map_or(when, When::instant))
}

fn created(raw: &RawTransaction<'_>) -> Result<Option<Timestamp>, Problem> {
    let created = when::when(&raw.created, "created")?;
    Ok(created.filter(|when| when.clock == Clock::Utc).map(|when| when.at))
}

fn merchant(
    raw: &RawTransaction<'_>,
    location: Option<&RawLocation<'_>>,
    scheme: Option<CompactString>,
) -> Result<MerchantMark, Problem> {
    let mid = match raw.identifiers.object("identifiers")? {
        Some(identifiers) => {
            field::once(identifiers.twice, "identifiers")?;
            (&identifiers.mid, "identifiers.MID")
        }
        None => (&raw.merchant_id, "merchantId"),
    };
    let (store_id, country, postcode) = match location {
        Some(location) => {
            ((&location.id, "location.id"), &location.country_code, (&location.postcode, "location.postcode"))
        }
        None => ((&raw.location_id, "locationId"), &raw.country_code, (&raw.postcode, "postcode")),
    };
    let merchant = MerchantMark {
        scheme,
        // May differ between authorization and clearing; each event bears its own.
        mid: mid.0.mark(mid.1)?,
        acquirer: None,
        descriptor: descriptor(raw)?,
        mcc: category(&raw.category_code),
        store_id: store_id.0.mark(store_id.1)?,
        country: iso::country(country),
        postcode: postcode.0.free_text(postcode.1)?,
        terminal: None,
    };
    if merchant.mid.is_none() && merchant.store_id.is_none() && merchant.descriptor.is_none() {
        return Err(field::missing(
            "identifiers",
            "an object with the MID, or a location with an id, or a brand with a name",
        ));
    }
    Ok(merchant)
}

/// The network's text where it is passed on, else the brand's name.
fn descriptor(raw: &RawTransaction<'_>) -> Result<Option<CompactString>, Problem> {
    if let Part::Given(descriptor) = &raw.descriptor {
        field::once(descriptor.twice, "descriptor")?;
        let (scalar, path) = either(
            (&descriptor.merchant_name, "descriptor.merchantName"),
            (&descriptor.store_name, "descriptor.storeName"),
        );
        if let Some(text) = scalar.free_text(path)? {
            return Ok(Some(text));
        }
    }
    if let Some(text) = raw.merchant_descriptor.free_text("merchantDescriptor")? {
        return Ok(Some(text));
    }
    let Some(brand) = raw.brand.object("brand")? else { return Ok(None) };
    field::once(brand.twice, "brand")?;
    brand.name.free_text("brand.name")
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
