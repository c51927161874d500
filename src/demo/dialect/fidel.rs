//! Fidel: a bare transaction that is authorized and, under the same id, cleared once.
//! Cancellations are refunds. A refund is posted twice, as a refund and as a clearing, with
//! the same transaction in both, and names its purchase only when it gives all of it back.

use super::super::town::CITIES;
use super::{Dialect, Event, Says};
use crate::authenticate::Scheme;
use crate::domain::EventKind;
use crate::normalise::Format;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

pub(super) static DIALECT: Dialect = Dialect {
    format: Format::Fidel,
    auth: &[Scheme::Fidel],
    says: Says {
        increment: false,
        advice: false,
        reversal: false,
        expiry: false,
        clearings: false,
        names_refund: true,
        names_part_refund: false,
        disputes: false,
    },
    retells: false,
    silent: false,
    token: |letters| format!("card-{letters}"),
    purchase: |event| format!("txn-{}", event.number),
    bodies,
};

fn bodies(event: &Event<'_>, approved: bool) -> Vec<Value> {
    let (shop, step) = (event.shop, event.step());
    let refund = step.kind == EventKind::Refund;
    let purchase = (DIALECT.purchase)(event);
    let authorized = event.steps[0].kind == EventKind::Authorization;
    let acted = if refund { step.at } else { event.bought_at() };
    let created = if authorized && !refund { event.bought_at() } else { step.at };
    let zone = CITIES[shop.city].zone;
    let local = acted.local(&TimeZone::get(zone).unwrap_or(TimeZone::UTC));
    let minor = step.minor.unwrap_or(0);
    let mut transaction = json!({
        "id": if refund { format!("{purchase}-r{}", event.at) } else { purchase.clone() },
        "accountId": "acc-quayside", "programId": "prg-quayside", "approvalCode": null, "wallet": null, "offer": null,
        "auth": !refund && authorized && approved, "cleared": event.posts(),
        "amount": event.decimal(if refund { -minor } else { minor }), "currency": event.currency(),
        "datetime": local.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
        "created": created.to_string(), "updated": step.at.to_string(),
        "card": {"id": event.card.token, "firstNumbers": "444400", "lastNumbers": "4001", "scheme": "visa"},
        "cardPresent": true,
        "location": {
            "id": format!("loc-{}", shop.merchant.id), "city": CITIES[shop.city].name, "geolocation": null,
            "countryCode": event.country_3(), "postcode": event.postcode(), "timezone": zone, "metadata": null,
        },
        "brand": {"id": format!("brand-{}", shop.merchant.id), "name": shop.merchant.name, "metadata": null},
        "identifiers": {"MID": event.mid(), "mastercardRefNumber": null, "visaAuthCode": "A73H890"},
        "merchantCategoryCode": shop.mcc,
    });
    if refund && event.refunds_all() {
        transaction["originalTransactionId"] = json!(purchase);
    }
    if !refund {
        return vec![transaction];
    }
    // As a refund, then as a clearing that knows its offers.
    let mut again = transaction.clone();
    again["offer"] = json!({"id": null, "qualified": false, "message": []});
    vec![transaction, again]
}
