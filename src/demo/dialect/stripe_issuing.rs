//! Stripe Issuing: objects in envelopes; an authorization that changes is told as it is by
//! then, with what was changed.

use super::{Dialect, Event, Says};
use crate::authenticate::Scheme;
use crate::domain::EventKind;
use crate::normalise::Format;
use serde_json::{Value, json};

pub(super) static DIALECT: Dialect = Dialect {
    format: Format::StripeIssuing,
    auth: &[Scheme::Stripe],
    says: Says {
        increment: true,
        advice: true,
        reversal: true,
        expiry: true,
        clearings: true,
        names_refund: true,
        names_part_refund: true,
        disputes: false,
    },
    retells: false,
    silent: false,
    token: |letters| format!("ic_{letters}"),
    purchase: |event| format!("iauth_{}", event.number),
    bodies: |event, approved| vec![body(event, approved)],
};

fn body(event: &Event<'_>, approved: bool) -> Value {
    let (shop, step) = (event.shop, event.step());
    let minor = step.minor.unwrap_or(0);
    let seconds = step.at.as_seconds();
    let currency = event.currency().to_lowercase();
    let purchase = (DIALECT.purchase)(event);
    let merchant = json!({
        "category_code": shop.mcc, "country": event.country(), "name": shop.descriptor, "network_id": event.mid(),
        "postal_code": event.postcode(),
    });
    let transaction = |word: &str, signed: i64| {
        let object = json!({
            "id": format!("ipi_{}_{}", event.number, event.at), "object": "issuing.transaction", "type": word,
            "amount": signed, "currency": currency, "merchant_amount": signed, "merchant_currency": currency,
            "authorization": purchase, "card": event.card.token, "created": seconds, "merchant_data": merchant,
        });
        ("issuing_transaction.created", object, Value::Null)
    };
    let authorization = |kind: &'static str, minor: i64, status: &str, previous: Value| {
        let object = json!({
            "id": purchase, "object": "issuing.authorization", "amount": minor, "currency": currency,
            "merchant_amount": minor, "merchant_currency": currency, "approved": approved, "status": status,
            "authorization_method": "contactless", "pending_request": null, "transactions": [],
            "card": {"id": event.card.token, "brand": "Visa"}, "created": event.bought_at().as_seconds(),
            "merchant_data": merchant,
        });
        (kind, object, previous)
    };
    let (begun, changed) = ("issuing_authorization.created", "issuing_authorization.updated");
    let held = json!({"amount": event.held(), "merchant_amount": event.held()});
    let (kind, object, previous) = match step.kind {
        EventKind::Clearing => transaction("capture", -minor),
        EventKind::Refund => transaction("refund", minor),
        EventKind::Authorization => {
            authorization(begun, minor, if approved { "pending" } else { "closed" }, Value::Null)
        }
        // A snapshot of the whole, whatever was added or taken off.
        EventKind::Increment => authorization(changed, event.held() + minor, "pending", held),
        EventKind::Advice => authorization(changed, minor, "pending", held),
        EventKind::Reversal if event.taken_off() < event.held() => {
            authorization(changed, event.held() - event.taken_off(), "pending", held)
        }
        EventKind::Expiry => authorization(changed, 0, "expired", json!({"status": "pending"})),
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
