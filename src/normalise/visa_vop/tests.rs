//! The published messages, changed field by field.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

macro_rules! sample {
    ($name:literal) => {
        include_str!(concat!("../../../tests/data/normalise/visa-vop/", $name, ".json"))
    };
}

const AUTH: &str = sample!("auth");
const SETTLEMENT: &str = sample!("settlement");
const REFUND: &str = sample!("refund");

/// A valid body of each kind, for the tests that hold for every dialect.
pub(in super::super) fn valid() -> Vec<(EventKind, Value)> {
    [(EventKind::Authorization, AUTH), (EventKind::Clearing, SETTLEMENT), (EventKind::Refund, REFUND)]
        .map(|(kind, sample)| (kind, serde_json::from_str(sample).unwrap()))
        .to_vec()
}

/// A sample with values of its elements put in place, or taken away by null.
fn with(sample: &str, changes: &[(&str, Value)]) -> Value {
    let mut body: Value = serde_json::from_str(sample).unwrap();
    let side = if sample == REFUND { "ReturnTransaction" } else { "Transaction" };
    let elements = body[ELEMENTS].as_array_mut().unwrap();
    for (name, value) in changes {
        let key = format!("{side}.{name}");
        elements.retain(|pair| pair["Key"] != key);
        elements.push(json!({"Key": key, "Value": value}));
    }
    body
}

fn one(body: &Value) -> Message {
    let read = read(&body.to_string()).unwrap();
    assert!(!read.batch && read.messages.len() == 1);
    read.messages.into_iter().next().unwrap()
}

fn event(body: &Value) -> CardEvent {
    match one(body) {
        Message::Event(event) => *event,
        other => panic!("{other:?}"),
    }
}

/// An event in one line, or why there is none.
fn told(body: &Value) -> String {
    match one(body) {
        Message::Event(e) => format!(
            "{} {} {} at {}{}",
            e.kind.as_str(),
            e.key,
            e.amount.map_or("all".to_owned(), |m| m.to_string()),
            e.occurred_at,
            if e.clock == Clock::Local { " local" } else { "" },
        ),
        Message::Ignored { why, .. } => format!("ignored {why}"),
        Message::Impossible { problem, .. } => {
            let path = problem.path.replace(&format!("{ELEMENTS}."), "").replace("ReturnTransaction.", "");
            format!("{} {}", problem.code, path.replace("Transaction.", ""))
        }
    }
}

const VIP: &str = "MTY1NzkzM0EtNDI1OS00MjA2LUIxNjEtRUE1RTE2NDY3ODM0";
const SETTLED: &str = "32c26a8d-95be-4923-b78e-e49ac7d8812d";
const RETURNED: &str = "d5e121cf-f34a-47ac-be19-908fc09db1ad";

#[test]
fn authorizations() {
    let auth = |changes: &[(&str, Value)]| told(&with(AUTH, changes));
    let at = |amount: &str, time: &str| format!("authorization {VIP}:auth {amount} at {time}");
    for (changes, want) in [
        (vec![], at("96.00 USD", "2022-10-14T12:52:24Z")),
        (vec![("TransactionAmount", json!(96))], at("96.00 USD", "2022-10-14T12:52:24Z")),
        (vec![("TransactionAmount", json!(89.45))], at("89.45 USD", "2022-10-14T12:52:24Z")),
        (vec![("CurrencyCodeNumeric", json!(826))], at("96.00 GBP", "2022-10-14T12:52:24Z")),
        (vec![("CurrencyCodeNumeric", json!("392"))], at("96 JPY", "2022-10-14T12:52:24Z")),
        (vec![("CurrencyCodeNumeric", json!("GBP"))], at("96.00 GBP", "2022-10-14T12:52:24Z")),
        // Its own stamp comes first, the merchant's is second, the day is last.
        (vec![("TimeStampYYMMDD", json!("2021-09-29T12:56:36"))], at("96.00 USD", "2021-09-29T12:56:36Z")),
        (vec![("TimeStampYYMMDD", json!("2021-09-29T12:56:36+01:00"))], at("96.00 USD", "2021-09-29T11:56:36Z")),
        (vec![("TimeStampYYMMDD", json!("0001-01-01T00:00:00"))], at("96.00 USD", "2022-10-14T12:52:24Z")),
        (
            vec![("TimeStampYYMMDD", json!("")), ("MerchantDateTimeGMT", json!(null))],
            at("96.00 USD", "2022-10-14T00:00:00Z local"),
        ),
        (vec![("TransactionAmount", json!("0"))], "ignored account_verification".to_owned()),
        (vec![("TransactionAmount", json!("-1"))], "amount_negative TransactionAmount".to_owned()),
        (vec![("TransactionAmount", json!("96.005"))], "amount_not_exact TransactionAmount".to_owned()),
        (vec![("TransactionAmount", json!(""))], "missing_field TransactionAmount".to_owned()),
        (vec![("TransactionAmount", json!(true))], "wrong_type TransactionAmount".to_owned()),
        (vec![("CurrencyCodeNumeric", json!("0"))], "missing_field CurrencyCodeNumeric".to_owned()),
        (vec![("CurrencyCodeNumeric", json!("001"))], "unknown_currency CurrencyCodeNumeric".to_owned()),
        (vec![("VipTransactionId", json!("0"))], "missing_field VipTransactionId".to_owned()),
        (vec![("VipTransactionId", json!("4242424242424242"))], "card_number VipTransactionId".to_owned()),
        (vec![("TimeStampYYMMDD", json!("soon"))], "bad_time TimeStampYYMMDD".to_owned()),
    ] {
        assert_eq!(auth(&changes), want, "{changes:?}");
    }
}

#[test]
fn an_id_of_fifteen_digits_is_no_card_number() {
    // 481272465966128 passes the check of card numbers; it is an id all the same.
    assert!(pan::is_card_number("481272465966128"));
    let event = event(&with(AUTH, &[("VipTransactionId", json!(481_272_465_966_128_i64))]));
    assert_eq!(event.purchase.unwrap().as_str(), "481272465966128");
}

#[test]
fn settlements_join_their_authorization_and_are_told_apart_by_their_day() {
    let settled = |changes: &[(&str, Value)]| told(&with(SETTLEMENT, changes));
    let clearing = format!("clearing {SETTLED}:clearing");
    for (changes, want) in [
        (vec![], format!("{clearing}:2022-08-15T16:28:42.988Z 10.99 GBP at 2020-06-02T15:46:00Z")),
        (
            vec![("SettlementDate", json!("2022-08-16"))],
            format!("{clearing}:2022-08-16T00:00:00Z 10.99 GBP at 2020-06-02T15:46:00Z"),
        ),
        (vec![("SettlementDate", json!(""))], format!("{clearing} 10.99 GBP at 2020-06-02T15:46:00Z")),
        // What a published settlement leaves at the year 1 or empty.
        (
            vec![
                ("TimeStampYYMMDD", json!("0001-01-01T00:00:00")),
                ("BillingAmount", json!("")),
                ("SettlementDate", json!("2022-08-16 10:00:00")),
                ("SettlementBillingCurrency", json!("826")),
            ],
            format!("{clearing}:2022-08-16T10:00:00Z 10.99 GBP at 2020-06-02T15:46:00Z"),
        ),
        (
            vec![("MerchantDateTimeGMT", json!("")), ("SettlementDate", json!(""))],
            format!("{clearing} 10.99 GBP at 2020-06-02T15:46:00Z"),
        ),
        (
            vec![("TransactionCode", json!("05")), ("SettlementDate", json!(""))],
            format!("{clearing} 10.99 GBP at 2020-06-02T15:46:00Z"),
        ),
        (vec![("TransactionCode", json!("06"))], "unknown_transaction_code TransactionCode".to_owned()),
        (vec![("TransactionCode", json!("25"))], "unknown_transaction_code TransactionCode".to_owned()),
        (vec![("SettlementAmount", json!("0"))], "amount_zero SettlementAmount".to_owned()),
        (vec![("SettlementAmount", json!("-10.99"))], "amount_negative SettlementAmount".to_owned()),
        (vec![("SettlementAmount", json!(""))], "missing_field SettlementAmount".to_owned()),
        (vec![("SettlementCurrencyCodeNumeric", json!(""))], "missing_field SettlementCurrencyCodeNumeric".to_owned()),
    ] {
        assert_eq!(settled(&changes), want, "{changes:?}");
    }
    let clearing = event(&with(SETTLEMENT, &[("VipTransactionId", json!(VIP))]));
    assert_eq!(clearing.purchase, event(&with(AUTH, &[])).purchase);
}

#[test]
fn returns_are_refunds_of_the_purchase_they_name() {
    let returned = |changes: &[(&str, Value)]| told(&with(REFUND, changes));
    for (changes, want) in [
        (vec![], format!("refund {RETURNED}:refund:1603810919 89.45 GBP at 2020-10-27T15:01:59Z")),
        (
            vec![("AcquirerAmount", json!("-89.45"))],
            format!("refund {RETURNED}:refund:1603810919 89.45 GBP at 2020-10-27T15:01:59Z"),
        ),
        (
            vec![("AcquirerCurrencyCode", json!("0")), ("SettlementId", json!("BBA1"))],
            format!("refund {RETURNED}:refund:BBA1:1603810919 89.45 USD at 2020-10-27T15:01:59Z"),
        ),
        (
            vec![("DateTime", json!("1/5/2021 12:12:43 AM"))],
            format!("refund {RETURNED}:refund:1609805563 89.45 GBP at 2021-01-05T00:12:43Z"),
        ),
        (
            vec![("DateTime", json!("1/5/2021 12:12:43 pm"))],
            format!("refund {RETURNED}:refund:1609848763 89.45 GBP at 2021-01-05T12:12:43Z"),
        ),
        (vec![("DateTime", json!("13/27/2020 3:1:59 PM"))], "bad_time DateTime".to_owned()),
        (vec![("DateTime", json!("10/27/2020 13:1:59 PM"))], "bad_time DateTime".to_owned()),
        (vec![("DateTime", json!("10/27/2020 0:1:59 PM"))], "bad_time DateTime".to_owned()),
        (vec![("DateTime", json!("10/27/2020 3:1:59"))], "bad_time DateTime".to_owned()),
        (vec![("DateTime", json!("10/27/2020 3:1:59 PM GMT"))], "bad_time DateTime".to_owned()),
        (vec![("DateTime", json!("10/27/+2020 3:1:59 PM"))], "bad_time DateTime".to_owned()),
        (vec![("DateTime", json!("1/1/0001 12:00:00 AM"))], "missing_field DateTime".to_owned()),
        (vec![("AcquirerAmount", json!("0.00"))], "amount_zero AcquirerAmount".to_owned()),
    ] {
        assert_eq!(returned(&changes), want, "{changes:?}");
    }
    // Two parts of one purchase, returned at two times, are two.
    let (one, two) = (returned(&[]), returned(&[("DateTime", json!("10/28/2020 3:1:59 PM"))]));
    assert_ne!(one, two);
}

#[test]
fn the_type_of_message_decides_and_an_unknown_one_moves_nothing() {
    for (word, want) in [
        (json!("AUTH"), "authorization"),
        (json!("auth"), "authorization"),
        (json!("Settle"), "missing_field"),
        (json!("RETURN"), "missing_field"),
        (json!("Void"), "unknown_type"),
        (json!(5), "unknown_type"),
        (json!(""), "missing_field"),
        (json!(null), "missing_field"),
        (json!(["Auth"]), "wrong_type"),
    ] {
        let mut body = with(AUTH, &[("SettlementAmount", json!(null))]);
        body[USER_FIELDS][0]["Value"] = word.clone();
        assert_eq!(told(&body).split(' ').next(), Some(want), "{word}");
        // Older endpoints call the field so.
        body[USER_FIELDS][0]["Key"] = json!("MessageType");
        assert_eq!(told(&body).split(' ').next(), Some(want), "{word}");
    }
    let mut body = with(AUTH, &[]);
    body[USER_FIELDS] = json!([]);
    assert_eq!(told(&body), "missing_field UserDefinedFieldsCollection.TransactionType".replace("Transaction.", ""));
}

#[test]
fn values_that_say_not_sent_are_not_sent() {
    let nothing = [json!(null), json!(""), json!("0"), json!(0)];
    for none in &nothing {
        let mark = |names: &[&str]| {
            let changes: Vec<_> = names.iter().map(|name| (*name, none.clone())).collect();
            match one(&with(SETTLEMENT, &changes)) {
                Message::Event(event) => Ok(event.merchant),
                Message::Impossible { problem, .. } => Err((problem.code, problem.path)),
                other => panic!("{other:?}"),
            }
        };
        let all = mark(&["VisaMerchantId"]).unwrap();
        assert_eq!(all.mid.as_deref(), Some("test_primary_identifier_1"));
        assert_eq!(all.store_id.as_deref(), Some("N+4j+mjB3TDKdu3jO0F3SXQhI2kOITLgxs9isjyo8Ss="));
        assert_eq!(all.descriptor.as_deref(), Some("Bink Shop"));
        assert_eq!(mark(&["VisaStoreId", "MerchantAcquirerBin"]).unwrap().store_id, None);
        let merchant = mark(&["MerchantCardAcceptorId", "VisaStoreId"]).unwrap();
        assert_eq!(merchant.store_id.as_deref(), Some("test-mid-456"));
        let named = ["MerchantCardAcceptorId", "VisaStoreId", "VisaMerchantId", "VisaStoreName", "VisaMerchantName"];
        let group = mark(&named).unwrap();
        assert_eq!((group.store_id.as_deref(), group.descriptor.as_deref()), (Some("MYSTORE"), Some("TEST_MG")));
        let none_left = [&named[..], &["MerchantGroup.0.Name", "MerchantGroup.0.ExternalId"]].concat();
        let path = format!("{ELEMENTS}.Transaction.MerchantCardAcceptorId");
        assert_eq!(mark(&none_left), Err(("missing_field", path)));
    }
}

#[test]
fn a_settlement_fills_short_merchant_ids_with_zeros() {
    let mid = |sample, name| {
        let found = |id: &str| event(&with(sample, &[(name, json!(id))])).merchant.mid.map(|mid| mid.to_string());
        (found("000000035730602"), found("0000000"), found("00035730602"))
    };
    let kept = Some("00035730602".to_owned());
    let stripped = (Some("35730602".to_owned()), None, kept.clone());
    assert_eq!(mid(SETTLEMENT, "MerchantCardAcceptorId"), stripped);
    assert_eq!(mid(REFUND, "CardAcceptorIdCode"), stripped);
    assert_eq!(mid(AUTH, "MerchantCardAcceptorId"), (Some("000000035730602".to_owned()), None, kept));
}

#[test]
fn the_card_is_the_id_given_at_enrolment() {
    for (external, card_id, want) in [
        (json!("token"), json!("card"), Ok("token")),
        (json!(1_445_552), json!("card"), Ok("1445552")),
        (json!(""), json!("card"), Ok("card")),
        (json!(null), json!("card"), Ok("card")),
        (json!(null), json!(null), Err(("missing_field", "ExternalUserId"))),
        (json!("4242424242424242"), json!("card"), Err(("card_number", "ExternalUserId"))),
        (json!(4_242_424_242_424_242_i64), json!("card"), Err(("card_number", "ExternalUserId"))),
        (json!([]), json!("card"), Err(("wrong_type", "ExternalUserId"))),
    ] {
        let mut body = with(AUTH, &[]);
        body["ExternalUserId"] = external.clone();
        body["CardId"] = card_id;
        let found = match one(&body) {
            Message::Event(event) => Ok(event.card.to_string()),
            Message::Impossible { problem, .. } => Err((problem.code, problem.path)),
            other => panic!("{other:?}"),
        };
        let want = want.map(str::to_owned).map_err(|(code, path)| (code, path.to_owned()));
        assert_eq!(found, want, "{external}");
    }
}

#[test]
fn a_key_may_come_again_with_the_same_value_only() {
    let twice = |value: Value| {
        let mut body = with(AUTH, &[]);
        let pair = json!({"Key": "Transaction.TransactionAmount", "Value": value});
        body[ELEMENTS].as_array_mut().unwrap().push(pair);
        told(&body).split(' ').next().unwrap().to_owned()
    };
    assert_eq!(twice(json!("96.00")), "authorization");
    assert_eq!(twice(json!("95.00")), "duplicate_key");
    // Within a pair it is never clear which was meant.
    let pair = r#"{"Key":"Transaction.TransactionAmount","Key":"Transaction.USDAmount","Value":"1"}"#;
    let body =
        AUTH.replacen("\"MessageElementsCollection\": [", &format!("\"MessageElementsCollection\": [{pair},"), 1);
    let read = read(&body).unwrap();
    assert!(matches!(&read.messages[..], [Message::Impossible { problem, .. }] if problem.code == "duplicate_key"));
    let body = AUTH.replacen('{', r#"{"ExternalUserId":"x","#, 1);
    let read = super::read(&body).unwrap();
    assert!(matches!(&read.messages[..], [Message::Impossible { problem, .. }] if problem.path == "ExternalUserId"));
}

#[test]
fn older_names_and_blanks_say_the_same() {
    let new = event(&with(AUTH, &[]));
    let mut body = with(AUTH, &[]);
    for pair in body[ELEMENTS].as_array_mut().unwrap() {
        let key = format!("{} ", pair["Key"].as_str().unwrap());
        *pair = json!({"value": pair["Value"], "key": key});
    }
    let old = json!({
        "cardId": body["CardId"], "externalUserId": body["ExternalUserId"], "messageId": body["MessageId"],
        "messageElementsCollection": {"messageElement": body[ELEMENTS]},
        "userDefinedFieldsCollection": {"userDefinedField": [{"key": "TransactionType", "value": "AUTH"}]},
    });
    assert_eq!(event(&old), new);
    let mut two = old;
    two["messageElementsCollection"]["again"] = body[ELEMENTS].clone();
    assert_eq!(told(&two).split(' ').next(), Some("wrong_type"));
}

#[test]
fn what_is_no_message_is_unreadable() {
    for body in ["[]", "{}", "7", r#"{"MessageName":"x"}"#, sample!("third-party-revenue-monster-webhook")] {
        assert_eq!(read(body).unwrap_err().problem.code, "wrong_shape", "{body}");
    }
    assert_eq!(read("{").unwrap_err().problem.code, "not_json");
    for (elements, want) in [(json!(null), "missing_field"), (json!("x"), "wrong_type"), (json!({}), "wrong_type")] {
        let mut body = with(AUTH, &[]);
        body[ELEMENTS] = elements;
        assert_eq!(told(&body), format!("{want} {ELEMENTS}"));
    }
}

proptest! {
    /// Whatever is changed in the elements: an event names its own purchase, and what it
    /// is stays what the message says.
    #[test]
    fn changed_elements_change_neither_purchase_nor_direction(
        which in 0..3_usize,
        name in prop::sample::select(vec!["SettlementAmount", "Amount", "TransactionAmount", "AcquirerAmount",
            "TransactionCode", "MerchantDateTimeGMT", "DateTime", "SettlementDate", "SettlementId", "VisaStoreId"]),
        value in prop_oneof![Just(json!(null)), any::<i32>().prop_map(Value::from), ".*".prop_map(Value::from),
            "-?[0-9]{1,6}(\\.[0-9]{1,3})?".prop_map(Value::from), any::<f64>().prop_map(Value::from)],
    ) {
        let (sample, kind, vip) = [
            (AUTH, EventKind::Authorization, VIP),
            (SETTLEMENT, EventKind::Clearing, SETTLED),
            (REFUND, EventKind::Refund, RETURNED),
        ][which];
        if let Message::Event(event) = one(&with(sample, &[(name, value)])) {
            prop_assert_eq!(event.kind, kind);
            prop_assert_eq!(event.purchase.as_ref().map(PurchaseId::as_str), Some(vip));
            prop_assert!(event.key.as_str().starts_with(vip));
            prop_assert!(event.amount.unwrap().minor > 0);
        }
    }
}
