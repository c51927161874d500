//! Kard, by the published transactions with fields replaced.

use super::*;
use crate::domain::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

const APPROVED: &str = include_str!("../../../tests/data/normalise/kard/incoming-approved-sandbox-web-313-L722.json");
const APPROVED_TWICE: &str =
    include_str!("../../../tests/data/normalise/kard/incoming-approved-sandbox-web-313-L190.json");
const SETTLED: &str = include_str!("../../../tests/data/normalise/kard/incoming-settled-sandbox-web-323-second.json");
const REVERSED: &str = include_str!("../../../tests/data/normalise/kard/incoming-reversed-sandbox-web-313-L270.json");
const REQUEST: &str = include_str!("../../../tests/data/normalise/kard/request.transaction.json");
const CORE: &str = include_str!("../../../tests/data/normalise/kard/request.coreTransaction.json");
const MATCHED: &str = include_str!("../../../tests/data/normalise/kard/request.matchedTransaction.json");

/// A valid body of each kind, for the tests that hold for every dialect.
pub(in super::super) fn valid() -> Vec<(EventKind, Value)> {
    vec![
        (EventKind::Authorization, flat(APPROVED, json!({}))),
        (EventKind::Clearing, flat(SETTLED, json!({}))),
        (EventKind::Reversal, flat(REVERSED, json!({}))),
        (EventKind::Refund, flat(REVERSED, json!({"status": "RETURNED"}))),
        (EventKind::Authorization, wrapped(REQUEST, json!({}))),
        (EventKind::Clearing, wrapped(CORE, json!({}))),
    ]
}

fn put(at: &mut Value, changes: &Value) {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            at.as_object_mut().unwrap().remove(name);
        } else {
            at[name] = value.clone();
        }
    }
}

/// A flat sample with fields replaced; null takes one away.
fn flat(sample: &str, changes: Value) -> Value {
    let mut body: Value = serde_json::from_str(sample).unwrap();
    put(&mut body, &changes);
    body
}

/// A request's sample with fields of its one transaction replaced.
fn wrapped(sample: &str, changes: Value) -> Value {
    let mut body: Value = serde_json::from_str(sample).unwrap();
    put(&mut body["data"][0]["attributes"], &changes);
    body
}

fn all(body: &str) -> Vec<Message> {
    read(body).unwrap().messages
}

fn one(body: &Value) -> Message {
    let mut messages = all(&body.to_string());
    assert_eq!(messages.len(), 1);
    messages.remove(0)
}

fn event(body: &Value) -> CardEvent {
    match one(body) {
        Message::Event(event) => *event,
        other => panic!("{other:?}"),
    }
}

/// An event in one line, or why there is none.
fn line(message: &Message) -> String {
    match message {
        Message::Event(e) => format!(
            "{} {} of {} {} at {}",
            e.kind.as_str(),
            e.key,
            e.purchase.as_ref().map_or("-", PurchaseId::as_str),
            e.amount.map_or("all".to_owned(), |m| m.to_string()),
            e.occurred_at
        ),
        Message::Ignored { why, .. } => format!("ignored {why}"),
        Message::Impossible { problem, .. } => format!("{} {}", problem.code, problem.path),
    }
}

fn told(body: &Value) -> String {
    line(&one(body))
}

const DAY: &str = "2022-10-31T18:48:06Z";

fn at(text: &str) -> i64 {
    Timestamp::parse(text).unwrap().as_ms()
}

#[test]
fn the_status_tells_what_happened() {
    let key = |word: &str| format!("t:{word}:{}", at(DAY));
    let of = |changes: Value| {
        let mut body = flat(SETTLED, json!({"transactionId": "t", "authorizationDate": null, "settledDate": null}));
        put(&mut body, &changes);
        told(&body)
    };
    for (changes, want) in [
        (
            json!({"status": "APPROVED", "authorizationDate": DAY}),
            format!("authorization t:approved of t 25.00 USD at {DAY}"),
        ),
        (json!({"status": "APPROVED"}), "missing_field authorizationDate".to_owned()),
        (
            json!({"status": "SETTLED", "settledDate": DAY, "authorizationDate": "2022-10-29T00:00:00Z"}),
            format!("clearing {} of t 25.00 USD at 2022-10-29T00:00:00Z", key("settled")),
        ),
        (
            json!({"status": "SETTLED", "settledDate": DAY}),
            format!("clearing {} of t 25.00 USD at {DAY}", key("settled")),
        ),
        (json!({"status": "SETTLED", "authorizationDate": DAY}), "missing_field settledDate".to_owned()),
        (
            json!({"status": "REVERSED", "transactionDate": DAY}),
            format!("reversal {} of t 25.00 USD at {DAY}", key("reversed")),
        ),
        (
            json!({"status": "REVERSED", "transactionDate": DAY, "amount": 0}),
            format!("reversal {} of t all at {DAY}", key("reversed")),
        ),
        (
            json!({"status": "REVERSED", "transactionDate": DAY, "amount": null}),
            format!("reversal {} of t all at {DAY}", key("reversed")),
        ),
        (json!({"status": "REVERSED", "authorizationDate": DAY}), "missing_field transactionDate".to_owned()),
        (
            json!({"status": "RETURNED", "transactionDate": DAY}),
            format!("refund {} of - 25.00 USD at {DAY}", key("returned")),
        ),
        (json!({"status": "RETURNED"}), "missing_field transactionDate".to_owned()),
        (json!({"status": "DECLINED"}), "ignored not_approved".to_owned()),
        (json!({"status": "DECLINED", "amount": -5, "currency": null}), "ignored not_approved".to_owned()),
        (json!({"status": "PENDING"}), "unknown_status status".to_owned()),
        (json!({"status": null}), "missing_field status".to_owned()),
        (
            json!({"status": "APPROVED", "authorizationDate": DAY, "amount": 0}),
            "ignored account_verification".to_owned(),
        ),
        (json!({"status": "SETTLED", "settledDate": DAY, "amount": 0}), "amount_zero amount".to_owned()),
        (json!({"status": "SETTLED", "settledDate": DAY, "amount": -1}), "amount_negative amount".to_owned()),
        (json!({"status": "SETTLED", "settledDate": DAY, "amount": 25.5}), "amount_not_exact amount".to_owned()),
        (json!({"status": "SETTLED", "settledDate": DAY, "amount": null}), "missing_field amount".to_owned()),
        (json!({"status": "SETTLED", "settledDate": DAY, "currency": null}), "missing_field currency".to_owned()),
        (json!({"status": "SETTLED", "settledDate": "soon"}), "bad_time settledDate".to_owned()),
        (
            json!({"status": "SETTLED", "settledDate": DAY, "transactionId": null}),
            "missing_field transactionId".to_owned(),
        ),
        (
            json!({"status": "SETTLED", "settledDate": DAY, "referringPartnerUserId": null}),
            "missing_field referringPartnerUserId".to_owned(),
        ),
    ] {
        assert_eq!(of(changes.clone()), want, "{changes}");
    }
}

#[test]
fn the_direction_turns_a_settlement() {
    let of = |changes: Value| told(&wrapped(CORE, changes));
    assert!(
        of(json!({"direction": "CREDIT"})).starts_with("refund CORE-TXN-2024-001234:settled:1729002600000 of - 45.99")
    );
    assert!(of(json!({"direction": null})).starts_with("clearing "));
    assert_eq!(of(json!({"direction": "SIDEWAYS"})), "unknown_direction data[0].attributes.direction");
    assert!(of(json!({"status": null})).starts_with("clearing "));
    let credit = json!({"direction": "CREDIT"});
    assert_eq!(told(&wrapped(REQUEST, credit)), "ignored credit_not_settled");
}

#[test]
fn several_settlements_are_told_apart_by_their_time() {
    let first = event(&flat(SETTLED, json!({"settledDate": "2022-10-30T18:48:06.135Z", "amount": 7500})));
    let second = event(&flat(SETTLED, json!({})));
    assert_eq!(first.purchase, second.purchase);
    assert_ne!(first.key, second.key);
    // The same instant in another spelling, or in the other form of the body, is the same.
    let again = event(&flat(SETTLED, json!({"settledDate": "2022-10-31T20:48:06.135+02:00"})));
    assert_eq!(again, second);
    let attributes =
        json!({"status": "SETTLED", "transactionId": "sandbox-web-323", "settledDate": "2022-10-31T18:48:06.135Z"});
    assert_eq!(event(&wrapped(REQUEST, attributes)).key, second.key);
}

#[test]
fn a_return_names_its_purchase_only_when_it_knows_it() {
    let of = |changes: Value| event(&flat(REVERSED, changes)).purchase.map(|purchase| purchase.to_string());
    let (day, before) = ("2022-10-30T17:48:06Z", "2022-10-29T17:48:06Z");
    assert_eq!(of(json!({"status": "RETURNED", "transactionDate": day})), None);
    let known = json!({"status": "RETURNED", "transactionDate": day, "authorizationDate": before});
    assert_eq!(of(known).as_deref(), Some("sandbox-web-313"));
    // Its own authorization says nothing of the purchase's.
    assert_eq!(of(json!({"status": "RETURNED", "transactionDate": day, "authorizationDate": day})), None);
}

#[test]
fn a_life_cycle_is_one_purchase() {
    let status = |sample, changes: Value| event(&flat(sample, changes));
    let id = |event: &CardEvent| event.purchase.clone();
    let approved = status(APPROVED, json!({"referringPartnerUserId": "438103"}));
    let reversed = status(REVERSED, json!({"amount": 2500}));
    let settled = status(SETTLED, json!({"transactionId": "sandbox-web-313", "amount": 7500}));
    assert_eq!(id(&approved), id(&reversed));
    assert_eq!(id(&approved), id(&settled));
    assert_eq!(approved.card, "438103:123456:4321");
    assert!(approved.card == reversed.card && reversed.card == settled.card);
    assert_eq!(settled.posted_at, Some(Timestamp::from_ms(at("2022-10-31T18:48:06.135Z"))));
    assert_eq!(approved.posted_at, None);
}

#[test]
fn a_purchase_matched_by_its_sender_counts_as_authorized() {
    let matched = event(&wrapped(MATCHED, json!({})));
    assert_eq!((matched.kind, matched.amount.unwrap().to_string().as_str()), (EventKind::Authorization, "10.00 USD"));
    // The same authorization, told in both ways, is one.
    assert_eq!(matched.key, event(&wrapped(REQUEST, json!({}))).key);
    assert_eq!(told(&wrapped(MATCHED, json!({"paymentType": "CASH"}))), "ignored not_by_card");
    let settled = json!({"currency": "CAD", "status": "SETTLED", "settledDate": DAY});
    assert!(told(&wrapped(MATCHED, settled)).starts_with("clearing "));
}

#[test]
fn the_card_is_the_user_and_the_digits_sent() {
    let of = |changes: Value| told(&flat(APPROVED, changes));
    assert_eq!(event(&wrapped(CORE, json!({}))).card, "6FHt5b6Fnp0qdomMEy5AN6PXcSJIeX69");
    assert_eq!(event(&flat(APPROVED, json!({"userId": "u", "cardBIN": "", "cardLastFour": "0000"}))).card, "u:0000");
    for (changes, want) in [
        (json!({"cardBIN": "4242424242424242"}), "card_number cardBIN"),
        (json!({"referringPartnerUserId": "4242424242424242"}), "card_number referringPartnerUserId"),
        (json!({"cardBIN": 123_456}), "wrong_type cardBIN"),
        (json!({"referringPartnerUserId": "x".repeat(128)}), "too_long referringPartnerUserId"),
        (json!({"transactionId": "4242424242424242"}), "card_number transactionId"),
    ] {
        assert_eq!(of(changes), want);
    }
}

#[test]
fn marks_of_the_merchant() {
    let of = |changes: Value| event(&flat(APPROVED, changes)).merchant;
    let mark = of(
        json!({"cardNetwork": "AMERICANEXPRESS", "merchantAddrZipCode": "30303", "merchantAddrCountry": "USA", "mcc": 763}),
    );
    assert_eq!((mark.scheme.as_deref(), mark.postcode.as_deref()), (Some("amex"), Some("30303")));
    assert_eq!((mark.country.as_deref(), mark.mcc), (Some("US"), Some(763)));
    assert_eq!(of(json!({"description": "CARD 4242424242424242"})).descriptor.unwrap(), "CARD ************4242");
    assert_eq!(of(json!({"description": null, "merchantName": "Hilltop"})).descriptor.unwrap(), "Hilltop");
    assert_eq!(of(json!({"merchantStoreId": "12345"})).store_id, None);
    let vmid = json!({"merchantId": "0", "processorMids": {"processor": "VISA", "mids": {"vmid": "55", "vsid": "66"}}});
    let mark = of(vmid);
    assert_eq!(
        (mark.mid.as_deref(), mark.store_id.as_deref(), mark.scheme.as_deref()),
        (Some("55"), Some("66"), Some("visa"))
    );
    let nobody = json!({"description": null, "merchantId": null});
    assert_eq!(told(&flat(APPROVED, nobody)), "missing_field description");
}

#[test]
fn a_merchant_given_twice_is_the_last_and_all_else_is_refused() {
    let Message::Event(event) = &all(APPROVED_TWICE)[0] else { panic!() };
    assert_eq!(event.merchant.mid.as_deref(), Some("542814140150267"));
    let body = flat(APPROVED, json!({})).to_string();
    for key in ["amount", "status", "transactionId", "cardBIN", "authorizationDate"] {
        let twice = body.replacen(&format!("\"{key}\":"), &format!("\"{key}\":\"x\",\"{key}\":"), 1);
        assert_eq!(line(&all(&twice)[0]), format!("duplicate_key {key}"));
    }
    let same = body.replacen(r#""amount":"#, r#""amount":10000,"amount":"#, 1);
    assert_eq!(all(&same), all(&body));
}

#[test]
fn every_form_of_a_body_says_the_same() {
    let attributes = wrapped(REQUEST, json!({}))["data"][0]["attributes"].clone();
    let resource = json!({"type": "transaction", "id": "m", "attributes": attributes});
    let want = event(&wrapped(REQUEST, json!({})));
    for (body, batch) in [
        (attributes.clone(), false),
        (resource.clone(), false),
        (json!({"data": resource}), false),
        (json!({"data": [resource]}), true),
        (json!([resource]), true),
        (json!([attributes]), true),
        (json!({"data": [attributes], "meta": {"page": 1}}), true),
        (json!({"type": "historicalTransaction", "id": "m", "attributes": attributes}), false),
    ] {
        let read = read(&body.to_string()).unwrap();
        assert_eq!(read.batch, batch, "{body}");
        assert_eq!(read.messages, [Message::Event(Box::new(want.clone()))], "{body}");
    }
}

#[test]
fn a_batch_is_judged_one_by_one() {
    let good = wrapped(REQUEST, json!({}))["data"][0].clone();
    let declined = wrapped(REQUEST, json!({"status": "DECLINED"}))["data"][0].clone();
    let bad = wrapped(REQUEST, json!({"amount": "ten"}))["data"][0].clone();
    let body = json!({"data": [good, declined, bad, 5, null, {"type": "offer", "id": "o"}, {"type": 1}]});
    let lines: Vec<String> = all(&body.to_string()).iter().map(line).collect();
    assert!(lines[0].starts_with("authorization "));
    assert_eq!(
        lines[1..],
        [
            "ignored not_approved",
            "bad_amount data[2].attributes.amount",
            "wrong_type data[3]",
            "wrong_type data[4]",
            "ignored type_of_no_concern",
            "wrong_type data[6].type"
        ]
    );
    assert_eq!(line(&all(&json!([bad]).to_string())[0]), "bad_amount [0].attributes.amount");
    assert_eq!(line(&all(&json!({"data": bad}).to_string())[0]), "bad_amount data.attributes.amount");
    assert_eq!(line(&all(&bad.to_string())[0]), "bad_amount attributes.amount");
}

#[test]
fn what_cannot_be_read_as_a_whole_says_why() {
    let many = |n: usize| json!({"data": vec![flat(APPROVED, json!({})); n]}).to_string();
    assert_eq!(all(&many(500)).len(), 500);
    for (body, code) in [
        (many(501), "batch_too_large"),
        (r#"{"data":[]}"#.to_owned(), "batch_empty"),
        (r#"{"data":5}"#.to_owned(), "wrong_shape"),
        (r#"{"data":null}"#.to_owned(), "wrong_shape"),
        (r#"{"data":[],"data":[]}"#.to_owned(), "wrong_shape"),
        (r#"{"data":[{}],"status":"SETTLED"}"#.to_owned(), "wrong_shape"),
        ("[]".to_owned(), "wrong_shape"),
        ("17".to_owned(), "wrong_shape"),
        ("{".to_owned(), "not_json"),
    ] {
        assert_eq!(read(&body).unwrap_err().problem.code, code, "{}", &body[..body.len().min(40)]);
    }
    assert_eq!(told(&json!({})), "missing_field transactionId");
}

proptest! {
    #[test]
    fn identity_is_the_id_the_status_and_the_time(
        ids in prop::array::uniform2("[a-z0-9-]{1,8}"),
        statuses in prop::array::uniform2(prop::sample::select(vec!["SETTLED", "REVERSED", "RETURNED"])),
        times in prop::array::uniform2(0_i64..3),
        amounts in prop::array::uniform2(1_i64..3),
    ) {
        let made = [0, 1].map(|i| {
            let when = Timestamp::from_ms(1_700_000_000_000 + times[i]).to_string();
            event(&flat(SETTLED, json!({"transactionId": ids[i], "status": statuses[i], "amount": amounts[i],
                "settledDate": when, "transactionDate": when, "authorizationDate": null})))
        });
        let same = ids[0] == ids[1] && statuses[0] == statuses[1] && times[0] == times[1];
        prop_assert_eq!(made[0].key == made[1].key, same);
        for (event, (id, amount)) in made.iter().zip(ids.iter().zip(amounts)) {
            prop_assert_eq!(event.amount.unwrap().minor, amount);
            prop_assert!(event.purchase.as_ref().is_none_or(|purchase| purchase.as_str() == id));
            prop_assert_eq!(event.purchase.is_none(), event.kind == EventKind::Refund);
        }
    }
}
