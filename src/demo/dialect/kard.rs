//! Kard: resources of JSON:API, whole cents, and one word for what happened. All messages of
//! a purchase bear its id; several settlements differ by their time alone.

use super::{Dialect, Event, Says};
use crate::authenticate::Scheme;
use crate::domain::EventKind;
use crate::normalise::Format;
use serde_json::{Value, json};

/// What follows the user in a card's token: the first six digits and the last four.
const DIGITS: [&str; 2] = ["438103", "4321"];

pub(super) static DIALECT: Dialect = Dialect {
    format: Format::Kard,
    auth: &[Scheme::Kard],
    says: Says {
        increment: false,
        advice: false,
        reversal: true,
        expiry: false,
        clearings: true,
        names_refund: true,
        names_part_refund: true,
        disputes: false,
    },
    retells: false,
    silent: false,
    token: |letters| format!("usr-{letters}:{}:{}", DIGITS[0], DIGITS[1]),
    purchase: |event| format!("ktx-{}", event.number),
    bodies: |event, approved| vec![body(event, approved)],
};

fn body(event: &Event<'_>, approved: bool) -> Value {
    let (shop, step) = (event.shop, event.step());
    let status = match step.kind {
        _ if !approved => "DECLINED",
        EventKind::Clearing => "SETTLED",
        EventKind::Refund => "RETURNED",
        EventKind::Reversal => "REVERSED",
        _ => "APPROVED",
    };
    let minor = if step.kind == EventKind::Reversal { event.taken_off() } else { step.minor.unwrap_or(0) };
    let mut parts = event.card.token.split(':');
    let user = parts.next().unwrap_or_default();
    let settled = (step.kind == EventKind::Clearing).then(|| step.at.to_string());
    let happened = if step.kind == EventKind::Clearing { event.bought_at() } else { step.at };
    json!({"data": [{
        "type": "transaction",
        "id": format!("{}-{}", (DIALECT.purchase)(event), event.at),
        "attributes": {
            "transactionId": (DIALECT.purchase)(event), "userId": user, "status": status,
            "amount": minor, "subtotal": minor, "currency": event.currency(),
            "direction": "DEBIT", "paymentType": "CARD",
            "authorizationDate": event.bought_at().to_string(), "transactionDate": happened.to_string(),
            "settledDate": settled, "cardBIN": parts.next(), "cardLastFour": parts.next(), "cardNetwork": "VISA",
            "mcc": shop.mcc, "description": shop.descriptor,
            "merchant": {
                "id": event.mid(), "name": shop.merchant.name, "addrCountry": event.country(),
                "addrZipcode": event.postcode(),
            },
        },
    }]})
}
