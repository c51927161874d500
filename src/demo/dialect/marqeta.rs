//! Marqeta: lists of transactions, each with a token of its own and, when it follows, that of
//! the authorization it follows. Amounts are decimal numbers without sign.

use super::{Dialect, Event, Says};
use crate::authenticate::Scheme;
use crate::domain::EventKind;
use crate::normalise::Format;
use serde_json::{Value, json};

pub(super) static DIALECT: Dialect = Dialect {
    format: Format::Marqeta,
    auth: &[Scheme::Marqeta, Scheme::Basic],
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
    token: |letters| format!("crd-{letters}"),
    purchase: |event| token(event.number, 0),
    bodies: |event, approved| vec![json!({"transactions": [transaction(event, approved)]})],
};

fn token(number: u64, at: usize) -> String {
    format!("mqt-{number}-{at}")
}

fn transaction(event: &Event<'_>, approved: bool) -> Value {
    let (shop, step) = (event.shop, event.step());
    let word = match step.kind {
        EventKind::Increment => "authorization.incremental",
        EventKind::Advice => "authorization.advice",
        EventKind::Reversal => "authorization.reversal",
        EventKind::Expiry => "authorization.reversal.issuerexpiration",
        EventKind::Clearing => "authorization.clearing",
        EventKind::Refund => "refund",
        EventKind::Chargeback => "authorization.clearing.chargeback",
        EventKind::ChargebackReversal => "authorization.clearing.chargeback.reversal",
        _ => "authorization",
    };
    let minor = match step.kind {
        EventKind::Reversal | EventKind::Expiry => event.taken_off(),
        _ => step.minor.unwrap_or(0),
    };
    let state = match (approved, event.posts()) {
        (false, _) => "DECLINED",
        (true, false) => "PENDING",
        (true, true) => "COMPLETION",
    };
    let acted = if step.kind == EventKind::Refund { step.at } else { event.bought_at() };
    let mut transaction = json!({
        "type": word, "state": state, "token": token(event.number, event.at), "card_token": event.card.token,
        "user_token": "user-quayside", "network": "VISA", "acting_user_token": "user-quayside",
        "response": {"code": if approved { "0000" } else { "1016" }, "memo": ""},
        "amount": event.decimal(minor), "currency_code": event.currency(),
        "created_time": step.at.to_string(), "user_transaction_time": acted.to_string(),
        "card_acceptor": {
            "mid": event.mid(), "mcc": shop.mcc, "name": shop.descriptor, "country_code": event.country_3(),
            "postal_code": event.postcode(),
        },
        "pos": {"card_presence": true, "card_holder_presence": true},
    });
    if event.at > 0 {
        // A refund is no part of the chain; it names what it is of.
        let names = if step.kind == EventKind::Refund {
            "original_transaction_token"
        } else {
            "preceding_related_transaction_token"
        };
        transaction[names] = json!(token(event.number, 0));
    }
    if let Some(sequence) = step.sequence {
        transaction["multi_clearing_sequence_number"] = json!(format!("{:02}", sequence.number));
        transaction["multi_clearing_sequence_count"] = json!(format!("{:02}", sequence.count.unwrap_or(99)));
    }
    transaction
}
