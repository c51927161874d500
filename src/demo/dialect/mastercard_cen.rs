//! Mastercard's event notifications, pushed as arrays. Authorizations say minor units,
//! clearings decimals in objects; what is left of an authorization comes in place of what is
//! taken off; what is added has a reference of its own and traces the first. Returns name no
//! purchase. Whatever is sent is answered with the same words.

use super::{Dialect, Event, Says, utc};
use crate::authenticate::Scheme;
use crate::domain::EventKind;
use crate::normalise::Format;
use serde_json::{Value, json};

pub(super) static DIALECT: Dialect = Dialect {
    format: Format::MastercardCen,
    auth: &[Scheme::Basic],
    says: Says {
        increment: true,
        advice: true,
        reversal: true,
        expiry: false,
        clearings: true,
        names_refund: false,
        names_part_refund: false,
        disputes: true,
    },
    retells: false,
    silent: true,
    token: |letters| format!("GUID{letters}"),
    purchase: |event| format!("{}:{}:{}", reference(event), utc(event.bought_at(), "%Y-%m-%d"), event.card.token),
    bodies: |event, approved| vec![json!([notification(event, approved)])],
};

/// What the network calls the first message of a purchase, on its day.
fn reference(event: &Event<'_>) -> String {
    format!("Q{:05X}", event.number)
}

fn notification(event: &Event<'_>, approved: bool) -> Value {
    let (subject, content) = if event.posts() {
        ("CLEARING", clearing(event))
    } else {
        ("PAYMENT_AUTHORIZATION", authorization(event, approved))
    };
    json!({
        "subject": subject, "subscriptionName": "quayside", "pushStatus": "PENDING",
        "createdTimestamp": event.step().at.to_string(), "content": content,
    })
}

fn authorization(event: &Event<'_>, approved: bool) -> Value {
    let (shop, step) = (event.shop, event.step());
    let minor = step.minor.unwrap_or(0);
    let day = utc(event.bought_at(), "%m%d");
    let follows = event.at > 0 && step.kind == EventKind::Increment;
    let audit_number = |at: usize| format!("{:04}{at:02}", event.number % 10_000);
    let (message, amount, replacement) = match step.kind {
        EventKind::Advice => ("0120", minor, minor),
        EventKind::Reversal => ("0400", event.held(), (event.held() - event.taken_off()).max(0)),
        _ => ("0100", minor, 0),
    };
    let original = (message != "0100").then(|| {
        let sent = utc(event.bought_at(), "%m%d%H%M%S");
        json!({"messageTypeIndicator": "0100", "systemTraceAuditNumber": audit_number(0), "transmissionRawDateTime": sent})
    });
    json!({
        "messageTypeIndicator": message, "systemTraceAuditNumber": audit_number(event.at),
        "financialNetworkCode": "MCC",
        "banknetReferenceNumber": if follows { format!("R{:05X}{}", event.number, event.at) } else { reference(event) },
        "traceId": format!("MCC{}{day}", reference(event)),
        "transactionAmount": amount, "transactionCurrencyCode": event.currency(),
        "billingAmount": amount, "billingCurrencyCode": event.currency(),
        "responseCode": if approved { "00" } else { "51" },
        "transmissionRawDate": utc(step.at, "%m%d"), "transmissionRawTime": utc(step.at, "%H%M%S"),
        "settlementDate": day, "cardHolderTransactionTypeCode": "00", "posTransactionStatus": "0",
        "merchant": {
            "merchantId": event.mid(), "categoryCode": shop.mcc, "name": shop.descriptor,
            "stateOrCountryCode": event.country_3(),
        },
        "virtualPaymentCard": {"number": "****************6090", "accountGuid": event.card.token},
        "originalMessage": original,
        "replacementAmounts": {"transactionAmount": replacement, "billingAmount": replacement},
    })
}

fn clearing(event: &Event<'_>) -> Value {
    let (shop, step) = (event.shop, event.step());
    let amount = event.decimal(step.minor.unwrap_or(0));
    let (function, stage, processing) = match step.kind {
        EventKind::Refund => (200, "First Presentment", "20"),
        EventKind::Chargeback => (450, "First Chargeback", "00"),
        EventKind::ChargebackReversal => (205, "Second Presentment", "00"),
        _ => (200, "First Presentment", "00"),
    };
    let acted = if step.kind == EventKind::Refund { step.at } else { event.bought_at() };
    let money = |name: &str| json!({name: amount, "currencyCode": event.currency_number(), "currencyCodeAlphabetic": event.currency()});
    json!({
        "clearingTransactionId": format!("C{}-{}", event.number, event.at),
        "functionCode": function, "txnType": stage, "processingCode": processing, "reversalIndicator": false,
        "banknetReferenceNumber": reference(event), "acquirerInstitutionIdCode": 10_000,
        "dateTimeTransactionLocal": acted.to_string(), "controlsAppliedDateTime": step.at.to_string(),
        "cardHolderAmount": money("amount"),
        "virtualPaymentCard": {"number": "****************6090", "accountGuid": event.card.token},
        "acceptor": {
            "id": event.mid(), "name": shop.descriptor, "merchantCategoryCode": shop.mcc,
            "postalCode": event.postcode(), "countryCode": event.country_3(), "amount": money("value"),
        },
    })
}
