//! Lithic: the whole transaction each time, with all events it has by then; the shop is as
//! the last of them calls it.

use super::{Dialect, Event, Says};
use crate::authenticate::Scheme;
use crate::domain::EventKind;
use crate::normalise::Format;
use serde_json::{Value, json};

pub(super) static DIALECT: Dialect = Dialect {
    format: Format::Lithic,
    auth: &[Scheme::StandardWebhooks],
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
    retells: true,
    silent: false,
    token: |letters| format!("lcard-{letters}"),
    purchase: |event| format!("ltx-{}", event.number),
    bodies: |event, approved| vec![body(event, approved)],
};

fn body(event: &Event<'_>, approved: bool) -> Value {
    let (shop, step) = (event.shop, event.step());
    let events: Vec<Value> = (0..=event.at).map(|at| happened(&Event { at, ..*event }, approved)).collect();
    json!({
        "event_type": "card_transaction.updated", "token": (DIALECT.purchase)(event),
        "account_token": "account-quayside", "card_token": event.card.token,
        "status": if event.posts() { "SETTLED" } else { "PENDING" },
        "result": if approved { "APPROVED" } else { "DECLINED" },
        "network": "VISA", "created": event.bought_at().to_string(), "updated": step.at.to_string(),
        "merchant": {
            "acceptor_id": event.mid(), "acquiring_institution_id": "191231", "descriptor": shop.descriptor,
            "mcc": shop.mcc, "country": event.country_3(), "city": shop.merchant.name,
        },
        "pos": {"entry_mode": {"card": "PRESENT", "cardholder": "PRESENT", "pan": "CONTACTLESS", "pin_entered": false}},
        "events": events,
    })
}

fn happened(event: &Event<'_>, approved: bool) -> Value {
    let step = event.step();
    let (word, polarity) = match step.kind {
        EventKind::Advice => ("AUTHORIZATION_ADVICE", "DEBIT"),
        EventKind::Reversal => ("AUTHORIZATION_REVERSAL", "CREDIT"),
        EventKind::Expiry => ("AUTHORIZATION_EXPIRY", "CREDIT"),
        EventKind::Clearing => ("CLEARING", "DEBIT"),
        EventKind::Refund => ("RETURN", "CREDIT"),
        // What is added is one more of the same.
        _ => ("AUTHORIZATION", "DEBIT"),
    };
    let minor = match step.kind {
        EventKind::Reversal | EventKind::Expiry => event.taken_off(),
        _ => step.minor.unwrap_or(0),
    };
    let money = json!({"amount": minor, "currency": event.currency()});
    json!({
        "token": format!("lev-{}-{}", event.number, event.at), "type": word,
        "result": if approved { "APPROVED" } else { "DECLINED" }, "effective_polarity": polarity,
        "created": step.at.to_string(), "amount": if polarity == "CREDIT" { -minor } else { minor },
        "amounts": {"merchant": money, "cardholder": money, "settlement": null},
    })
}
