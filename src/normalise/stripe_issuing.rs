//! Stripe Issuing: events of authorizations and transactions.
//!
//! Amounts are whole minor units, captures negative, refunds positive. An authorization
//! comes as a snapshot each time it changes, in any order, so each snapshot is told as
//! what it sets from its own time on (an advice, a reversal of all, an expiry) and never
//! as a difference to another one. Its transactions are told once, by their creation.
//! Must not take part in approvals (`issuing_authorization.request`): they are not made yet.

use super::field::{self, Judged, List, Part, Scalar, object, problem};
use super::{Message, Normalised, Problem, Unreadable};
use crate::domain::card_event::Clock;
use crate::domain::{CardEvent, Channel, EventKey, EventKind, MerchantMark, Money, PurchaseId, Timestamp};
use compact_str::CompactString;

/// As configuration calls it.
pub(super) const NAME: &str = "stripe-issuing";

/// Identifiers by contract, beyond those every dialect knows.
pub(super) const IDENTIFIERS: &[&str] = &["acquiringinstitutionid"];

object! {
    struct RawEnvelope<'a> {
        id: Scalar<'a> = "id",
        kind: Scalar<'a> = "type",
        created: Scalar<'a> = "created",
        data: Part<'a, RawData<'a>> = "data",
    }
}

object! {
    struct RawData<'a> {
        object: Part<'a, Box<RawObject<'a>>> = "object",
        previous: Part<'a, RawPrevious<'a>> = "previous_attributes",
    }
}

object! {
    /// An authorization or a transaction: they share most of their fields.
    struct RawObject<'a> {
        id: Scalar<'a> = "id",
        kind: Scalar<'a> = "type",
        amount: Scalar<'a> = "amount",
        currency: Scalar<'a> = "currency",
        merchant_amount: Scalar<'a> = "merchant_amount",
        merchant_currency: Scalar<'a> = "merchant_currency",
        merchant: Part<'a, RawMerchant<'a>> = "merchant_data",
        card: Part<'a, RawCard<'a>> = "card",
        created: Scalar<'a> = "created",
        approved: Scalar<'a> = "approved",
        status: Scalar<'a> = "status",
        method: Scalar<'a> = "authorization_method",
        pending_request: Part<'a, RawNamed<'a>> = "pending_request",
        transactions: List = "transactions",
        authorization: Part<'a, RawNamed<'a>> = "authorization",
    }
}

object! {
    struct RawMerchant<'a> {
        category_code: Scalar<'a> = "category_code",
        country: Scalar<'a> = "country",
        name: Scalar<'a> = "name",
        network_id: Scalar<'a> = "network_id",
        postal_code: Scalar<'a> = "postal_code",
        terminal_id: Scalar<'a> = "terminal_id",
    }
}

object! {
    struct RawCard<'a> {
        id: Scalar<'a> = "id",
        brand: Scalar<'a> = "brand",
    }
}

object! {
    /// Something of which only the id matters, if anything.
    struct RawNamed<'a> {
        id: Scalar<'a> = "id",
    }
}

object! {
    /// What an update changed, with the values from before.
    struct RawPrevious<'a> {
        amount: Scalar<'a> = "amount",
        merchant_amount: Scalar<'a> = "merchant_amount",
        approved: Scalar<'a> = "approved",
        status: Scalar<'a> = "status",
    }
}

/// Reads a body: always one event.
pub(super) fn read(body: &str) -> Result<Normalised, Unreadable> {
    let envelope: Part<'_, RawEnvelope<'_>> =
        super::json::from_str(body).map_err(|fault| field::not_json(body, &fault))?;
    let Part::Given(envelope) = envelope else {
        return Err(Unreadable::new("wrong_shape", "the body must be an event: a JSON object"));
    };
    let message = match judge(&envelope) {
        Ok(Judged::Event(event)) => Message::Event(event),
        Ok(Judged::Ignored(why)) => Message::Ignored { id: envelope.id.repeatable(), why },
        Err(problem) => Message::Impossible { id: envelope.id.repeatable(), problem },
    };
    Ok(Normalised { batch: false, messages: vec![message] })
}

fn judge(envelope: &RawEnvelope<'_>) -> Result<Judged, Problem> {
    field::once(envelope.twice, "")?;
    let kind = envelope.kind.required_text("type", "such as issuing_transaction.created")?;
    match kind {
        "issuing_authorization.created" | "issuing_authorization.updated" | "issuing_transaction.created" => {}
        // The approval is still being asked for; what comes of it is told by the others.
        "issuing_authorization.request" => return Ok(Judged::Ignored("approval_in_flight")),
        // Nothing that moves money changes after the creation of a transaction.
        "issuing_transaction.updated" => return Ok(Judged::Ignored("told_by_its_creation")),
        _ => return Ok(Judged::Ignored("type_of_no_concern")),
    }
    let data = envelope.data.object("data")?.ok_or_else(|| field::missing("data", "with the object"))?;
    field::once(data.twice, "data")?;
    let object = data.object.object(OBJECT)?.ok_or_else(|| field::missing(OBJECT, "what the event is about"))?;
    field::once(object.twice, OBJECT)?;
    match kind {
        "issuing_transaction.created" => transaction(object),
        "issuing_authorization.created" => created(object),
        _ => {
            let previous = data.previous.object("data.previous_attributes")?;
            let at = envelope.created.unix_seconds("created")?.ok_or_else(|| field::missing("created", UNIX))?;
            updated(object, previous, at)
        }
    }
}

const OBJECT: &str = "data.object";
const UNIX: &str = "seconds since 1970, such as 1795291000";

fn at(name: &str) -> String {
    format!("{OBJECT}.{name}")
}

fn transaction(object: &RawObject<'_>) -> Result<Judged, Problem> {
    let word = object.kind.required_text("data.object.type", "capture or refund")?;
    let (kind, sign, rule) = match word {
        "capture" => (EventKind::Clearing, -1, "must not be positive for a capture"),
        "refund" => (EventKind::Refund, 1, "must not be negative for a refund"),
        _ => {
            let detail = format!("{} is not one of capture, refund", field::echo(word));
            return Err(problem("unknown_type", at("type"), detail));
        }
    };
    let subject = subject(object)?;
    let purchase = match &object.authorization {
        // A force capture opens a purchase of its own; a credit may name none.
        Part::Absent | Part::Null => None,
        Part::Text(id) => Some(purchase(&Scalar::Text(id.as_ref().into()), "data.object.authorization")?),
        other => match other.object("data.object.authorization")? {
            None => None,
            Some(named) => {
                field::once(named.twice, "data.object.authorization")?;
                Some(purchase(&named.id, "data.object.authorization.id")?)
            }
        },
    };
    let (amount, billing) = amounts(object, sign, rule)?;
    if amount.minor == 0 {
        return Err(problem("amount_zero", at("merchant_amount"), "must not be zero for a capture or refund"));
    }
    Ok(Judged::Event(Box::new(event(subject, kind, purchase, Some(amount), billing))))
}

fn created(object: &RawObject<'_>) -> Result<Judged, Problem> {
    let subject = subject(object)?;
    let (amount, billing) = amounts(object, 1, AUTHORIZED)?;
    if !approved(object)? {
        return Ok(Judged::Ignored("not_approved"));
    }
    if amount.minor == 0 {
        // Nothing is held yet while the request stands; an update brings the amount.
        let asked = matches!(object.pending_request, Part::Given(_));
        return Ok(Judged::Ignored(if asked { "approval_in_flight" } else { "account_verification" }));
    }
    let purchase = purchase(&object.id, "data.object.id")?;
    Ok(Judged::Event(Box::new(event(subject, EventKind::Authorization, Some(purchase), Some(amount), billing))))
}

const AUTHORIZED: &str = "must not be negative for an authorization";

fn updated(object: &RawObject<'_>, previous: Option<&RawPrevious<'_>>, at: Timestamp) -> Result<Judged, Problem> {
    let mut subject = subject(object)?;
    let purchase = purchase(&object.id, "data.object.id")?;
    let (amount, billing) = amounts(object, 1, AUTHORIZED)?;
    let approved = approved(object)?;
    let status = object.status.required_text("data.object.status", "such as pending")?;
    // An update of metadata alone says nothing about money. Only when it does not say
    // what it changed is every snapshot taken.
    let mut was_approved = None;
    let mut was_nothing = false;
    if let Some(previous) = previous {
        field::once(previous.twice, "data.previous_attributes")?;
        let changed = |scalar: &Scalar<'_>| !matches!(scalar, Scalar::Absent);
        let of_money = [&previous.amount, &previous.merchant_amount, &previous.approved, &previous.status];
        if !of_money.into_iter().any(changed) {
            return Ok(Judged::Ignored("nothing_changed"));
        }
        if changed(&previous.approved) {
            was_approved = Some(previous.approved.boolean("data.previous_attributes.approved", false)?);
        }
        was_nothing = previous.merchant_amount.minor_units("data.previous_attributes.merchant_amount")? == Some(0);
    }
    let (kind, amount, billing) = match status {
        "reversed" => (EventKind::Reversal, None, None),
        "expired" => (EventKind::Expiry, None, None),
        _ if !approved && was_approved == Some(true) => (EventKind::Reversal, None, None),
        _ if !approved => return Ok(Judged::Ignored("not_approved")),
        "closed" => return Ok(Judged::Ignored("told_by_its_transactions")),
        // What is held shrinks with every partial capture; the captures tell that.
        "pending" if matches!(object.transactions, List::Filled) => {
            return Ok(Judged::Ignored("told_by_its_transactions"));
        }
        // At its creation there was nothing to hold, so that was ignored: it begins here.
        "pending" if amount.minor > 0 && (was_approved == Some(false) || was_nothing) => {
            return Ok(Judged::Event(Box::new(event(
                subject,
                EventKind::Authorization,
                Some(purchase),
                Some(amount),
                billing,
            ))));
        }
        "pending" => (EventKind::Advice, Some(amount), billing),
        other => {
            let detail = format!("{} is not one of pending, closed, reversed, expired", field::echo(other));
            return Err(problem("unknown_status", self::at("status"), detail));
        }
    };
    // The same for every delivery of this update; another for every other update, so that
    // all of them count, each from its own time on.
    let told = amount.map_or_else(|| kind.as_str().to_owned(), |amount| amount.minor.to_string());
    subject.key = key(&format!("{}:{told}:{}", subject.key, at.as_seconds()), "data.object.id")?;
    subject.occurred_at = at;
    Ok(Judged::Event(Box::new(event(subject, kind, Some(purchase), amount, billing))))
}

/// Who, where and when: what all kinds of events have.
struct Subject {
    key: EventKey,
    card: CompactString,
    occurred_at: Timestamp,
    merchant: MerchantMark,
    channel: Channel,
}

fn subject(object: &RawObject<'_>) -> Result<Subject, Problem> {
    let id = object.id.identifier("data.object.id")?.ok_or_else(|| field::missing("data.object.id", "its own id"))?;
    let (card, scheme) = card(&object.card)?;
    let channel = match object.method.text("data.object.authorization_method")? {
        Some("online") => Channel::Online,
        Some("chip" | "contactless" | "swipe") => Channel::InStore,
        // Keyed in may be either.
        _ => Channel::Unknown,
    };
    Ok(Subject {
        key: key(id, "data.object.id")?,
        card,
        occurred_at: object
            .created
            .unix_seconds("data.object.created")?
            .ok_or_else(|| field::missing("data.object.created", UNIX))?,
        merchant: merchant(&object.merchant, scheme)?,
        channel,
    })
}

fn event(
    subject: Subject,
    kind: EventKind,
    purchase: Option<PurchaseId>,
    amount: Option<Money>,
    billing: Option<Money>,
) -> CardEvent {
    CardEvent {
        key: subject.key,
        kind,
        purchase,
        card: subject.card,
        amount,
        billing,
        occurred_at: subject.occurred_at,
        clock: Clock::Utc,
        time_known: true,
        // Only `created` is said, and that is the act itself.
        posted_at: None,
        approved: true,
        merchant: subject.merchant,
        channel: subject.channel,
        sequence: None,
    }
}

fn key(id: &str, path: &str) -> Result<EventKey, Problem> {
    EventKey::new(id).map_err(|fault| problem("bad_identifier", path, fault.to_string()))
}

fn purchase(id: &Scalar<'_>, path: &str) -> Result<PurchaseId, Problem> {
    let id = id.identifier(path)?.ok_or_else(|| field::missing(path, "the id of the authorization"))?;
    PurchaseId::new(id).map_err(|fault| problem("bad_identifier", path, fault.to_string()))
}

fn approved(object: &RawObject<'_>) -> Result<bool, Problem> {
    match object.approved {
        Scalar::Absent | Scalar::Null => Err(field::missing("data.object.approved", "true or false")),
        _ => object.approved.boolean("data.object.approved", false),
    }
}

/// The merchant's amount and the cardholder's, both without the sign that the kind of
/// object prescribes. Another sign is refused rather than dropped.
fn amounts(object: &RawObject<'_>, sign: i64, rule: &'static str) -> Result<(Money, Option<Money>), Problem> {
    let unsigned = |minor: i64, name: &str| {
        if minor.signum() == -sign { Err(problem("amount_sign", at(name), rule)) } else { Ok(minor.abs()) }
    };
    let currency = |scalar: &Scalar<'_>, path: &'static str| {
        let code = scalar.required_text(path, "such as usd")?;
        // Written in small letters; nothing else is.
        if code.bytes().any(|b| b.is_ascii_uppercase()) {
            let detail = format!("{} is not a currency code in small letters, such as usd", field::echo(code));
            return Err(problem("unknown_currency", path, detail));
        }
        field::currency(&code.to_ascii_uppercase(), path)
    };
    let minor = object
        .merchant_amount
        .minor_units("data.object.merchant_amount")?
        .ok_or_else(|| field::missing("data.object.merchant_amount", "whole minor units of merchant_currency"))?;
    let merchant = Money::new(
        unsigned(minor, "merchant_amount")?,
        currency(&object.merchant_currency, "data.object.merchant_currency")?,
    );
    let billing = match object.amount.minor_units("data.object.amount")? {
        None => None,
        Some(minor) => {
            Some(Money::new(unsigned(minor, "amount")?, currency(&object.currency, "data.object.currency")?))
        }
    };
    Ok((merchant, billing))
}

/// The card's id, and its network when the card is written out.
fn card(card: &Part<'_, RawCard<'_>>) -> Result<(CompactString, Option<CompactString>), Problem> {
    if let Part::Text(id) = card {
        return Ok((Scalar::Text(id.as_ref().into()).card("data.object.card")?, None));
    }
    let Some(card) = card.object("data.object.card")? else {
        return Err(field::missing("data.object.card", "the card or its id"));
    };
    field::once(card.twice, "data.object.card")?;
    let scheme = card.brand.free_text("data.object.card.brand")?.map(|brand| match brand.as_str() {
        "American Express" => CompactString::const_new("amex"),
        other => CompactString::new(other.to_lowercase()),
    });
    Ok((card.id.card("data.object.card.id")?, scheme))
}

fn merchant(raw: &Part<'_, RawMerchant<'_>>, scheme: Option<CompactString>) -> Result<MerchantMark, Problem> {
    const PATH: &str = "data.object.merchant_data";
    const NAMED: &str = "an object with a network_id or name";
    let Some(raw) = raw.object(PATH)? else { return Err(field::missing(PATH, NAMED)) };
    field::once(raw.twice, PATH)?;
    let merchant = MerchantMark {
        scheme,
        mid: raw.network_id.mark("data.object.merchant_data.network_id")?,
        acquirer: None,
        descriptor: raw.name.free_text("data.object.merchant_data.name")?,
        // What acquirers write here is not always a code; without it nothing is lost but a hint.
        mcc: raw
            .category_code
            .text("data.object.merchant_data.category_code")?
            .and_then(field::mcc)
            .filter(|code| *code != 0),
        store_id: None,
        country: raw
            .country
            .mark("data.object.merchant_data.country")?
            .filter(|code| code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase())),
        postcode: raw.postal_code.free_text("data.object.merchant_data.postal_code")?,
        terminal: raw.terminal_id.mark("data.object.merchant_data.terminal_id")?,
    };
    if merchant.mid.is_none() && merchant.descriptor.is_none() {
        return Err(field::missing(PATH, NAMED));
    }
    Ok(merchant)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A valid body of each kind, for the tests that hold for every dialect.
    pub(in super::super) fn valid() -> Vec<(EventKind, Value)> {
        let (moved, begun, changed) =
            ("issuing_transaction.created", "issuing_authorization.created", "issuing_authorization.updated");
        [
            (EventKind::Clearing, moved, TRANSACTION, json!({})),
            (EventKind::Refund, moved, TRANSACTION, json!({"type": "refund", "amount": 100, "merchant_amount": 100})),
            (EventKind::Authorization, begun, AUTHORIZATION, json!({"merchant_amount": 700})),
            (EventKind::Advice, changed, AUTHORIZATION, json!({"merchant_amount": 700})),
            (EventKind::Reversal, changed, AUTHORIZATION, json!({"status": "reversed"})),
            (EventKind::Expiry, changed, AUTHORIZATION, json!({"status": "expired"})),
        ]
        .map(|(kind, word, sample, changes)| {
            (kind, serde_json::from_str(&envelope(word, 2000, sample, changes, None)).unwrap())
        })
        .to_vec()
    }

    const AUTHORIZATION: &str =
        include_str!("../../tests/data/normalise/stripe-issuing/issuing_authorization.object.json");
    const TRANSACTION: &str = include_str!("../../tests/data/normalise/stripe-issuing/issuing_transaction.object.json");

    /// A published object with fields replaced, in the envelope of an event.
    fn envelope(kind: &str, created: i64, sample: &str, changes: Value, previous: Option<Value>) -> String {
        let mut object: Value = serde_json::from_str(sample).unwrap();
        for (name, value) in changes.as_object().unwrap() {
            object[name] = value.clone();
        }
        let mut data = json!({"object": object});
        if let Some(previous) = previous {
            data["previous_attributes"] = previous;
        }
        json!({"id": "evt_1", "object": "event", "type": kind, "created": created, "livemode": false,
            "pending_webhooks": 0, "request": {"id": null, "idempotency_key": null}, "data": data})
        .to_string()
    }

    fn one(body: &str) -> Message {
        let read = read(body).unwrap();
        assert!(!read.batch && read.messages.len() == 1);
        read.messages.into_iter().next().unwrap()
    }

    /// An event in one line, or why there is none.
    fn told(body: &str) -> String {
        match one(body) {
            Message::Event(e) => format!(
                "{} {} of {} {} at {}",
                e.kind.as_str(),
                e.key,
                e.purchase.map_or("-".to_owned(), |p| p.to_string()),
                e.amount.map_or("all".to_owned(), |m| m.to_string()),
                e.occurred_at.as_seconds()
            ),
            Message::Ignored { why, id } => {
                assert_eq!(id.as_deref(), Some("evt_1"));
                format!("ignored {why}")
            }
            Message::Impossible { problem, .. } => format!("{} {}", problem.code, problem.path),
        }
    }

    fn transaction_told(changes: Value) -> String {
        told(&envelope("issuing_transaction.created", 9, TRANSACTION, changes, None))
    }

    fn created_told(changes: Value) -> String {
        told(&envelope("issuing_authorization.created", 9, AUTHORIZATION, changes, None))
    }

    /// An update of a held authorization of 7.00 at second 2000.
    fn updated_told(changes: Value, previous: Value) -> String {
        let mut all = json!({"amount": 700, "merchant_amount": 700, "pending_request": null});
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let previous = Some(previous).filter(|p| !p.is_null());
        told(&envelope("issuing_authorization.updated", 2000, AUTHORIZATION, all, previous))
    }

    #[test]
    fn the_published_transaction() {
        let Message::Event(event) = one(&envelope("issuing_transaction.created", 9, TRANSACTION, json!({}), None))
        else {
            panic!()
        };
        let usd = crate::domain::Currency::parse("USD").unwrap();
        let want = CardEvent {
            key: EventKey::new("ipi_1Pgc78B7WZ01zgkWm0QxtFzQ").unwrap(),
            kind: EventKind::Clearing,
            purchase: Some(PurchaseId::new("iauth_1Pgc78B7WZ01zgkW9IPKCfII").unwrap()),
            card: "ic_1Pgag5B7WZ01zgkWephORn8N".into(),
            amount: Some(Money::new(100, usd)),
            billing: Some(Money::new(100, usd)),
            occurred_at: Timestamp::from_ms(1_234_567_890_000),
            clock: Clock::Utc,
            time_known: true,
            posted_at: None,
            approved: true,
            merchant: MerchantMark {
                scheme: None,
                mid: Some("1234567890".into()),
                acquirer: None,
                descriptor: Some("Rocket Rides".into()),
                mcc: Some(4121),
                store_id: None,
                country: Some("US".into()),
                postcode: Some("94107".into()),
                terminal: None,
            },
            channel: Channel::Unknown,
            sequence: None,
        };
        assert_eq!(*event, want);
    }

    #[test]
    fn transactions_are_told_once_with_the_sign_of_their_type() {
        let ipi = "ipi_1Pgc78B7WZ01zgkWm0QxtFzQ";
        let refund = json!({"type": "refund", "amount": 100, "merchant_amount": 90, "merchant_currency": "eur"});
        assert_eq!(
            transaction_told(refund),
            format!("refund {ipi} of iauth_1Pgc78B7WZ01zgkW9IPKCfII 0.90 EUR at 1234567890")
        );
        for (changes, want) in [
            (json!({"authorization": null}), format!("clearing {ipi} of - 1.00 USD at 1234567890")),
            (
                json!({"authorization": {"id": "iauth_2", "object": "issuing.authorization"}}),
                format!("clearing {ipi} of iauth_2 1.00 USD at 1234567890"),
            ),
            (
                json!({"type": "refund", "authorization": null, "amount": 5, "merchant_amount": 5}),
                format!("refund {ipi} of - 0.05 USD at 1234567890"),
            ),
            (
                json!({"merchant_amount": -1500, "merchant_currency": "jpy"}),
                format!("clearing {ipi} of iauth_1Pgc78B7WZ01zgkW9IPKCfII 1500 JPY at 1234567890"),
            ),
            (json!({"merchant_amount": 100}), "amount_sign data.object.merchant_amount".to_owned()),
            (json!({"amount": 100}), "amount_sign data.object.amount".to_owned()),
            (json!({"type": "refund"}), "amount_sign data.object.merchant_amount".to_owned()),
            (json!({"type": "refund", "merchant_amount": 1}), "amount_sign data.object.amount".to_owned()),
            (json!({"merchant_amount": 0}), "amount_zero data.object.merchant_amount".to_owned()),
            (json!({"merchant_amount": -1.0}), "amount_not_integer data.object.merchant_amount".to_owned()),
            (json!({"merchant_amount": i64::MIN}), "amount_too_large data.object.merchant_amount".to_owned()),
            (json!({"merchant_amount": null}), "missing_field data.object.merchant_amount".to_owned()),
            (json!({"merchant_currency": "USD"}), "unknown_currency data.object.merchant_currency".to_owned()),
            (json!({"merchant_currency": "usdx"}), "unknown_currency data.object.merchant_currency".to_owned()),
            (json!({"type": "dispute"}), "unknown_type data.object.type".to_owned()),
            (json!({"card": "4242424242424242"}), "card_number data.object.card".to_owned()),
            (json!({"card": {"id": "4242424242424242"}}), "card_number data.object.card.id".to_owned()),
            (json!({"card": 1}), "wrong_type data.object.card".to_owned()),
            (json!({"card": null}), "missing_field data.object.card".to_owned()),
            (json!({"authorization": 7}), "wrong_type data.object.authorization".to_owned()),
            (json!({"authorization": ""}), "bad_identifier data.object.authorization".to_owned()),
            (json!({"created": 1.5}), "wrong_type data.object.created".to_owned()),
            (json!({"created": -1}), "bad_time data.object.created".to_owned()),
            (json!({"created": i64::MAX}), "bad_time data.object.created".to_owned()),
            (json!({"merchant_data": {"name": ""}}), "missing_field data.object.merchant_data".to_owned()),
        ] {
            assert_eq!(transaction_told(changes.clone()), want, "{changes}");
        }
        let update = envelope("issuing_transaction.updated", 9, TRANSACTION, json!({}), None);
        assert_eq!(told(&update), "ignored told_by_its_creation");
    }

    const IAUTH: &str = "iauth_1Pgc77B7WZ01zgkWn0SmtHBY";

    #[test]
    fn authorizations_begin_with_an_approved_amount() {
        // The published sample as it is: nothing held yet, 7.00 asked for.
        assert_eq!(created_told(json!({})), "ignored approval_in_flight");
        assert_eq!(created_told(json!({"pending_request": null})), "ignored account_verification");
        assert_eq!(created_told(json!({"approved": false, "merchant_amount": 700})), "ignored not_approved");
        assert_eq!(created_told(json!({"approved": null})), "missing_field data.object.approved");
        assert_eq!(created_told(json!({"merchant_amount": -700})), "amount_sign data.object.merchant_amount");
        let held = json!({"amount": 800, "merchant_amount": 700, "merchant_currency": "eur", "pending_request": null});
        assert_eq!(created_told(held.clone()), format!("authorization {IAUTH} of {IAUTH} 7.00 EUR at 1234567890"));
        let body = envelope("issuing_authorization.created", 9, AUTHORIZATION, held, None);
        let Message::Event(event) = one(&body) else { panic!() };
        assert_eq!(event.billing.unwrap().to_string(), "8.00 USD");
        assert_eq!(event.card, "ic_1Pgag5B7WZ01zgkWephORn8N");
        assert_eq!(event.merchant.scheme.as_deref(), Some("visa"));
        assert_eq!(
            told(&body.replace("issuing_authorization.created", "issuing_authorization.request")),
            "ignored approval_in_flight"
        );
    }

    #[test]
    fn networks_and_channels_have_our_names() {
        for (brand, scheme) in [("Visa", "visa"), ("MasterCard", "mastercard"), ("American Express", "amex")] {
            let changes = json!({"card": {"id": "ic_1", "brand": brand}, "authorization_method": "chip"});
            let Message::Event(event) = one(&envelope("issuing_transaction.created", 9, TRANSACTION, changes, None))
            else {
                panic!()
            };
            assert_eq!(event.merchant.scheme.as_deref(), Some(scheme));
            assert_eq!(event.channel, Channel::InStore);
        }
    }

    #[test]
    fn updates_tell_what_their_snapshot_sets() {
        let begun = |minor: &str| format!("authorization {IAUTH} of {IAUTH} {minor} USD at 1234567890");
        for (changes, previous, want) in [
            (
                json!({}),
                json!({"amount": 500, "merchant_amount": 500}),
                format!("advice {IAUTH}:700:2000 of {IAUTH} 7.00 USD at 2000"),
            ),
            (json!({}), Value::Null, format!("advice {IAUTH}:700:2000 of {IAUTH} 7.00 USD at 2000")),
            (
                json!({"merchant_amount": 0}),
                json!({"merchant_amount": 700}),
                format!("advice {IAUTH}:0:2000 of {IAUTH} 0.00 USD at 2000"),
            ),
            (json!({}), json!({"metadata": {"a": "b"}}), "ignored nothing_changed".to_owned()),
            (
                json!({"status": "reversed"}),
                json!({"status": "pending"}),
                format!("reversal {IAUTH}:reversal:2000 of {IAUTH} all at 2000"),
            ),
            (
                json!({"status": "reversed", "amount": 0, "merchant_amount": 0}),
                Value::Null,
                format!("reversal {IAUTH}:reversal:2000 of {IAUTH} all at 2000"),
            ),
            (
                json!({"status": "expired"}),
                json!({"status": "pending"}),
                format!("expiry {IAUTH}:expiry:2000 of {IAUTH} all at 2000"),
            ),
            (json!({"status": "closed"}), json!({"status": "pending"}), "ignored told_by_its_transactions".to_owned()),
            (
                json!({"transactions": [{"id": "ipi_1"}]}),
                json!({"amount": 900}),
                "ignored told_by_its_transactions".to_owned(),
            ),
            // Approved only after its creation, or with an amount only then.
            (json!({}), json!({"approved": false}), begun("7.00")),
            (json!({}), json!({"amount": 0, "merchant_amount": 0, "pending_request": {}}), begun("7.00")),
            (json!({"approved": false}), json!({"amount": 0, "merchant_amount": 0}), "ignored not_approved".to_owned()),
            (
                json!({"approved": false, "status": "closed"}),
                json!({"status": "pending"}),
                "ignored not_approved".to_owned(),
            ),
            (
                json!({"approved": false, "status": "closed"}),
                json!({"approved": true, "status": "pending"}),
                format!("reversal {IAUTH}:reversal:2000 of {IAUTH} all at 2000"),
            ),
            (json!({"status": "asleep"}), Value::Null, "unknown_status data.object.status".to_owned()),
            (
                json!({}),
                json!({"merchant_amount": 1.5}),
                "amount_not_integer data.previous_attributes.merchant_amount".to_owned(),
            ),
        ] {
            assert_eq!(updated_told(changes.clone(), previous.clone()), want, "{changes} {previous}");
        }
    }

    #[test]
    fn the_rest_of_the_provider_is_no_concern() {
        for kind in ["plan.created", "issuing_dispute.created", "issuing_card.updated", "issuing_authorization"] {
            assert_eq!(told(&format!(r#"{{"id":"evt_1","type":"{kind}"}}"#)), "ignored type_of_no_concern");
        }
        for (body, want) in [
            ("{}", "missing_field type"),
            (r#"{"type":"issuing_transaction.created"}"#, "missing_field data"),
            (r#"{"type":"issuing_transaction.created","data":{}}"#, "missing_field data.object"),
            (r#"{"type":"issuing_transaction.created","data":{"object":[]}}"#, "wrong_type data.object"),
            (r#"{"type":"issuing_transaction.created","data":{"object":{}}}"#, "missing_field data.object.type"),
            (
                r#"{"type":"issuing_transaction.created","data":{"object":{"type":"capture","type":"refund"}}}"#,
                "duplicate_key data.object.type",
            ),
        ] {
            assert_eq!(told(body), want);
        }
        assert_eq!(read("[]").unwrap_err().problem.code, "wrong_shape");
        assert_eq!(read("{").unwrap_err().problem.code, "not_json");
    }
}
