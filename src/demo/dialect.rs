//! How each source words a card event: the senders' side of `normalise`, written apart from
//! it so that the two prove each other.

use super::day::Step;
pub use super::town::Card;
use super::town::Shop;
use crate::domain::EventKind;
use serde_json::{Value, json};

/// One event with what it is about.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// The purchase's number, which makes its ids.
    pub number: u64,
    /// The event's place among the purchase's.
    pub at: usize,
    /// The purchase's id.
    pub purchase: &'a str,
    /// Paid with.
    pub card: &'a Card,
    /// Where.
    pub shop: &'a Shop,
    /// What.
    pub step: &'a Step,
    /// What was authorized before it, minor units.
    pub held: i64,
}

/// The id a source gives a purchase.
#[must_use]
pub fn purchase_id(source: usize, number: u64) -> String {
    if source == 0 { format!("pur_{number}") } else { format!("iauth_{number}") }
}

/// The body of an event.
#[must_use]
pub fn body(event: &Event<'_>) -> String {
    if event.card.source == 0 { ours(event, true).to_string() } else { issuing(event, true).to_string() }
}

/// The body of an authorization that was declined.
#[must_use]
pub fn declined(event: &Event<'_>) -> String {
    if event.card.source == 0 { ours(event, false).to_string() } else { issuing(event, false).to_string() }
}

fn mid<'a>(event: &Event<'a>) -> &'a str {
    if event.step.kind == EventKind::Clearing { &event.shop.clearing_mid } else { &event.shop.authorization_mid }
}

fn ours(event: &Event<'_>, approved: bool) -> Value {
    let Event { shop, step, .. } = event;
    let place = &shop.merchant.locations[0];
    let currency = shop.currency.as_str();
    let posted = step.kind == EventKind::Clearing;
    json!({
        "id": format!("evt_{}_{}", event.number, event.at),
        "type": step.kind.as_str(),
        "purchase_id": event.purchase,
        "card": event.card.token,
        "amount": step.minor.map(|minor| json!({"minor": minor, "currency": currency})),
        "occurred_at": step.at.to_string(),
        "posted_at": posted.then(|| step.at.to_string()),
        "approved": approved,
        "merchant": {
            "scheme": "visa", "mid": mid(event), "descriptor": shop.descriptor, "mcc": shop.mcc,
            "country": place.country, "postcode": place.postcode,
        },
        "channel": "in_store",
        "sequence": step.sequence.map(|s| json!({"number": s.number, "count": s.count})),
    })
}

fn issuing(event: &Event<'_>, approved: bool) -> Value {
    let Event { shop, step, .. } = event;
    let place = &shop.merchant.locations[0];
    let minor = step.minor.unwrap_or(0);
    let seconds = step.at.as_seconds();
    let currency = shop.currency.as_str().to_lowercase();
    let merchant = json!({
        "category_code": shop.mcc, "country": place.country, "name": shop.descriptor, "network_id": mid(event),
        "postal_code": place.postcode,
    });
    let transaction = |word: &str, signed: i64| {
        let object = json!({
            "id": format!("ipi_{}_{}", event.number, event.at), "object": "issuing.transaction", "type": word,
            "amount": signed, "currency": currency, "merchant_amount": signed, "merchant_currency": currency,
            "authorization": event.purchase, "card": event.card.token, "created": seconds, "merchant_data": merchant,
        });
        ("issuing_transaction.created", object, Value::Null)
    };
    let authorization = |kind: &'static str, minor: i64, status: &str, previous: Value| {
        let object = json!({
            "id": event.purchase, "object": "issuing.authorization", "amount": minor, "currency": currency,
            "merchant_amount": minor, "merchant_currency": currency, "approved": approved, "status": status,
            "authorization_method": "contactless", "pending_request": null, "transactions": [],
            "card": {"id": event.card.token, "brand": "Visa"}, "created": seconds, "merchant_data": merchant,
        });
        (kind, object, previous)
    };
    let (begun, changed) = ("issuing_authorization.created", "issuing_authorization.updated");
    let held = json!({"amount": event.held, "merchant_amount": event.held});
    let (kind, object, previous) = match step.kind {
        EventKind::Clearing => transaction("capture", -minor),
        EventKind::Refund => transaction("refund", minor),
        EventKind::Authorization => {
            authorization(begun, minor, if approved { "pending" } else { "closed" }, Value::Null)
        }
        // A snapshot of the whole, whatever was added.
        EventKind::Increment => authorization(changed, event.held + minor, "pending", held),
        EventKind::Advice => authorization(changed, minor, "pending", held),
        _ => authorization(changed, 0, "reversed", json!({"status": "pending"})),
    };
    let mut data = json!({"object": object});
    if !previous.is_null() {
        data["previous_attributes"] = previous;
    }
    json!({
        "id": format!("evt_q{}_{}", event.number, event.at), "object": "event", "type": kind, "created": seconds,
        "livemode": false, "data": data,
    })
}
