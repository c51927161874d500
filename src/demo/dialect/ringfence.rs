//! Our own format, as a bank that was given its documentation writes it.

use super::{Dialect, Event, Says};
use crate::authenticate::Scheme;
use crate::normalise::Format;
use serde_json::{Value, json};

pub(super) static DIALECT: Dialect = Dialect {
    format: Format::Ringfence,
    auth: &[Scheme::StandardWebhooks],
    says: Says {
        increment: true,
        advice: true,
        reversal: true,
        expiry: true,
        clearings: true,
        names_refund: true,
        names_part_refund: true,
        disputes: true,
    },
    retells: false,
    silent: false,
    token: |letters| format!("tok_{letters}"),
    purchase: |event| format!("pur_{}", event.number),
    bodies: |event, approved| vec![body(event, approved)],
};

fn body(event: &Event<'_>, approved: bool) -> Value {
    let (shop, step) = (event.shop, event.step());
    let currency = event.currency();
    json!({
        "id": format!("evt_{}_{}", event.number, event.at),
        "type": step.kind.as_str(),
        "purchase_id": (DIALECT.purchase)(event),
        "card": event.card.token,
        "amount": step.minor.map(|minor| json!({"minor": minor, "currency": currency})),
        "occurred_at": step.at.to_string(),
        "posted_at": event.posts().then(|| step.at.to_string()),
        "approved": approved,
        "merchant": {
            "scheme": "visa", "mid": event.mid(), "descriptor": shop.descriptor, "mcc": shop.mcc,
            "country": event.country(), "postcode": event.postcode(),
        },
        "channel": "in_store",
        "sequence": step.sequence.map(|s| json!({"number": s.number, "count": s.count})),
    })
}
