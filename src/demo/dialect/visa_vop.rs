//! Visa Offers Platform: lists of keys and values, amounts as decimal text, and a form of
//! time for each kind of message. There are words for an authorization, settlements and
//! returns, and for nothing that changes or lets go what is held; declined cards are not told.

use super::{Dialect, Event, Says, utc};
use crate::authenticate::Scheme;
use crate::domain::EventKind;
use crate::normalise::Format;
use serde_json::{Value, json};

pub(super) static DIALECT: Dialect = Dialect {
    format: Format::VisaVop,
    auth: &[Scheme::Basic],
    says: Says {
        increment: false,
        advice: false,
        reversal: false,
        expiry: false,
        clearings: true,
        names_refund: true,
        names_part_refund: true,
        disputes: false,
    },
    retells: false,
    silent: false,
    token: |letters| format!("ext{letters}"),
    // Fifteen digits.
    purchase: |event| (480_000_000_000_000 + event.number).to_string(),
    bodies: |event, approved| if approved { vec![body(event)] } else { Vec::new() },
};

fn body(event: &Event<'_>) -> Value {
    let (shop, step) = (event.shop, event.step());
    let amount = event.major(step.minor.unwrap_or(0));
    let (vip, number) = ((DIALECT.purchase)(event), event.currency_number());
    let gmt = utc(event.bought_at(), "%Y-%m-%dT%H:%M:%S+00:00");
    let group = shop.merchant.id.to_string();
    let (word, side, elements) = match step.kind {
        EventKind::Clearing => {
            let elements = vec![
                ("SettlementAmount", amount.clone()),
                ("SettlementCurrencyCodeNumeric", number),
                ("SettlementBillingAmount", amount.clone()),
                ("SettlementBillingCurrency", event.currency().to_owned()),
                ("SettlementDate", utc(step.at, "%Y-%m-%dT%H:%M:%S+00:00")),
                ("TransactionAmount", amount),
                ("TransactionCode", "05".to_owned()),
                ("MerchantDateTimeGMT", gmt),
                ("TimeStampYYMMDD", "0001-01-01T00:00:00".to_owned()),
                ("MerchantCardAcceptorId", event.mid().to_owned()),
                ("MerchantGroup.0.ExternalId", group),
            ];
            ("SETTLE", "Transaction", elements)
        }
        EventKind::Refund => {
            let elements = vec![
                ("Amount", amount.clone()),
                ("CurrencyCode", number.clone()),
                ("AcquirerAmount", amount),
                ("AcquirerCurrencyCode", number),
                ("DateTime", utc(step.at, "%-m/%-d/%Y %-I:%-M:%-S %p")),
                ("CardAcceptorIdCode", event.mid().to_owned()),
                ("SettlementId", format!("R{}-{}", event.number, event.at)),
                ("MerchantGroupName.0.ExternalId", group),
            ];
            ("RETURN", "ReturnTransaction", elements)
        }
        _ => {
            let elements = vec![
                ("TransactionAmount", amount.clone()),
                ("CurrencyCodeNumeric", number.clone()),
                ("BillingAmount", amount),
                ("BillingCurrencyCode", number),
                ("SettlementAmount", "0".to_owned()),
                ("SettlementCurrencyCodeNumeric", "0".to_owned()),
                ("SettlementDate", String::new()),
                ("TimeStampYYMMDD", utc(step.at, "%Y-%m-%dT%H:%M:%S")),
                ("MerchantCardAcceptorId", event.mid().to_owned()),
                ("MerchantGroup.0.ExternalId", group),
            ];
            ("Auth", "Transaction", elements)
        }
    };
    let shared = [
        ("VipTransactionId", vip),
        ("VisaMerchantName", shop.merchant.name.clone()),
        ("VisaStoreId", "0".to_owned()),
        ("PanLastFour", "0000".to_owned()),
    ];
    let elements: Vec<Value> = elements
        .into_iter()
        .chain(shared)
        .map(|(key, value)| json!({"Key": format!("{side}.{key}"), "Value": value}))
        .collect();
    json!({
        "CardId": format!("card-{}", event.number), "ExternalUserId": event.card.token,
        "MessageElementsCollection": elements,
        "MessageId": format!("msg-{}-{}", event.number, event.at), "MessageName": "endpoint-quayside",
        "UserDefinedFieldsCollection": [{"Key": "TransactionType", "Value": word}],
        "UserProfileId": "profile-quayside",
    })
}
