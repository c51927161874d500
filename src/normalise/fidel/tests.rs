//! Fidel, by the published transactions with fields replaced.

use super::super::normalise;
use super::*;
use crate::normalise::Format;
use proptest::prelude::*;
use serde_json::{Value, json};

const AUTH: &str = include_str!("../../../tests/data/normalise/fidel/transaction.auth.fixed.json");
const CLEARING: &str = include_str!("../../../tests/data/normalise/fidel/transaction.clearing.json");
const REFUND: &str = include_str!("../../../tests/data/normalise/fidel/transaction.refund.json");
const REFUND_MATCHED: &str =
    include_str!("../../../tests/data/normalise/fidel/transaction.refund.match.qualified.json");
const REFUND_WITH_TEXT: &str = include_str!("../../../tests/data/normalise/fidel/transaction.refund.descriptor.json");

/// A valid body of each kind, for the tests that hold for every dialect.
pub(in super::super) fn valid() -> Vec<(EventKind, Value)> {
    [(EventKind::Authorization, AUTH), (EventKind::Clearing, CLEARING), (EventKind::Refund, REFUND)]
        .map(|(kind, sample)| (kind, with(sample, &json!({}))))
        .to_vec()
}

/// Here one byte of the body is the sign, so an edit may turn it; then the event must have
/// turned with it.
pub(in super::super) fn sign_agrees(body: &[u8], kind: EventKind) -> bool {
    let body: Value = serde_json::from_slice(body).unwrap();
    let text = body["amount"].as_str().map_or_else(|| body["amount"].to_string(), |text| text.trim().to_owned());
    text.starts_with('-') == (kind == EventKind::Refund)
}

/// A sample with fields replaced; null takes one away.
fn with(sample: &str, changes: &Value) -> Value {
    let mut body: Value = serde_json::from_str(sample).unwrap();
    for (path, value) in changes.as_object().unwrap() {
        let mut at = &mut body;
        let (parents, name) = path.rsplit_once('.').unwrap_or(("", path));
        for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
            at = &mut at[parent];
        }
        if value.is_null() {
            at.as_object_mut().unwrap().remove(name);
        } else {
            at[name] = value.clone();
        }
    }
    body
}

fn one(body: &str) -> Message {
    let read = read(body).unwrap();
    assert!(!read.batch && read.messages.len() == 1);
    read.messages.into_iter().next().unwrap()
}

/// An event in one line, or why there is none.
fn told(body: &Value) -> String {
    match one(&body.to_string()) {
        Message::Event(e) => format!(
            "{} {} of {} {} at {}{}",
            e.kind.as_str(),
            e.key,
            e.purchase.map_or("-".to_owned(), |p| p.to_string()),
            e.amount.map_or("all".to_owned(), |m| m.to_string()),
            e.occurred_at,
            if e.clock == Clock::Local { " local" } else { "" },
        ),
        Message::Ignored { why, .. } => format!("ignored {why}"),
        Message::Impossible { problem, .. } => format!("{} {}", problem.code, problem.path),
    }
}

fn event(body: &Value) -> CardEvent {
    match one(&body.to_string()) {
        Message::Event(event) => *event,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_flags_and_the_sign_tell_what_happened() {
    let short = |changes: Value| told(&with(CLEARING, &changes)).split(" at ").next().unwrap().to_owned();
    for (changes, want) in [
        (json!({"id": "t", "auth": true, "cleared": false}), "authorization t:auth of t 10.00 GBP"),
        (json!({"id": "t", "auth": true, "cleared": true}), "clearing t:clearing of t 10.00 GBP"),
        (json!({"id": "t", "auth": false, "cleared": true}), "clearing t:clearing of t 10.00 GBP"),
        (json!({"id": "t", "auth": null, "cleared": true}), "clearing t:clearing of t 10.00 GBP"),
        (json!({"id": "t", "auth": true, "cleared": null}), "authorization t:auth of t 10.00 GBP"),
        (json!({"auth": false, "cleared": false}), "ignored not_approved"),
        (json!({"auth": true, "cleared": false, "amount": 0}), "ignored account_verification"),
        (json!({"amount": 0}), "amount_zero amount"),
        // Below zero is a refund whatever the flags say: a void is sent as one.
        (json!({"id": "t", "auth": false, "amount": -10}), "refund t:refund of - 10.00 GBP"),
        (json!({"id": "t", "auth": true, "amount": -10}), "refund t:refund of - 10.00 GBP"),
        (json!({"id": "t", "auth": false, "cleared": false, "amount": -10}), "refund t:refund of - 10.00 GBP"),
        (json!({"id": "t", "amount": -10, "originalTransactionId": "o"}), "refund t:refund of o 10.00 GBP"),
        (
            json!({"id": "t", "amount": -10, "originalTransactionId": "", "originalTransaction": {"id": "o"}}),
            "refund t:refund of o 10.00 GBP",
        ),
        (json!({"id": "t", "originalTransactionId": "o"}), "clearing t:clearing of t 10.00 GBP"),
        (json!({"id": "t", "refundTransactionId": "r"}), "clearing t:clearing of t 10.00 GBP"),
    ] {
        assert_eq!(short(changes.clone()), want, "{changes}");
    }
}

#[test]
fn one_refund_sent_as_two_events_is_one() {
    // The clearing that goes with a refund, told later and with other surroundings.
    let other = json!({"updated": "2020-07-09T08:00:00.000Z", "offer": {"qualified": true, "cashback": 1},
        "refundTransactionId": null});
    assert_eq!(event(&with(REFUND, &other)), event(&with(REFUND, &json!({}))));
    // The same refund once more, matched and qualified.
    assert_eq!(one(REFUND_MATCHED), one(REFUND_WITH_TEXT));
    // Not matched: the same in both again, and it names nothing.
    let unmatched = with(REFUND, &json!({"originalTransactionId": null}));
    assert_eq!(event(&unmatched).purchase, None);
    assert_eq!(event(&unmatched).key, event(&with(REFUND, &json!({}))).key);
}

#[test]
fn a_qualified_event_is_the_event_again() {
    let offer = json!({"qualified": true, "id": "eeefb94b-d11c-44db-81d7-d86a9fcc4069", "message": [],
        "qualificationDate": null, "cashback": 2.5, "performanceFee": 0.3});
    for sample in [AUTH, CLEARING] {
        let later = json!({"offer": offer, "updated": "2020-08-01T00:00:00.000Z"});
        assert_eq!(event(&with(sample, &later)), event(&with(sample, &json!({}))));
    }
}

#[test]
fn a_life_cycle_is_one_purchase() {
    let auth = event(&with(CLEARING, &json!({"cleared": false, "amount": 12.34, "identifiers.MID": "auth-mid"})));
    let clearing = event(&with(CLEARING, &json!({"amount": 10.17})));
    let refund = event(&with(REFUND, &json!({})));
    assert_eq!(auth.purchase, clearing.purchase);
    assert_eq!(clearing.purchase, refund.purchase);
    assert_eq!(
        (auth.amount.unwrap().minor, clearing.amount.unwrap().minor, refund.amount.unwrap().minor),
        (1234, 1017, 1000)
    );
    assert_eq!(auth.merchant.mid.as_deref(), Some("auth-mid"));
    assert_ne!(auth.merchant.mid, clearing.merchant.mid);
    assert!(auth.key != clearing.key && clearing.key != refund.key);
}

#[test]
fn the_shops_clock_is_read_in_its_own_zone() {
    for (datetime, zone, want) in [
        ("2020-07-08T18:05:52", json!("Europe/London"), "2020-07-08T17:05:52Z"),
        ("2020-01-08T18:05:52", json!("Europe/London"), "2020-01-08T18:05:52Z"),
        ("2026-11-21T19:56:00", json!("America/New_York"), "2026-11-22T00:56:00Z"),
        ("2026-11-21T19:56:00.5", json!("Asia/Kathmandu"), "2026-11-21T14:11:00.5Z"),
        // Clocks go forward over it, and back over it.
        ("2026-03-08T02:30:00", json!("America/New_York"), "2026-03-08T07:30:00Z"),
        ("2026-11-01T01:30:00", json!("America/New_York"), "2026-11-01T05:30:00Z"),
        ("2026-11-21T19:56:00", json!("Mars/Olympus"), "2026-11-21T19:56:00Z local"),
        ("2026-11-21T19:56:00", json!(5), "2026-11-21T19:56:00Z local"),
        ("2026-11-21T19:56:00", Value::Null, "2026-11-21T19:56:00Z local"),
        // Already an instant.
        ("2026-11-21T19:56:00Z", json!("America/New_York"), "2026-11-21T19:56:00Z"),
        ("2026-11-21T19:56:00+01:00", json!("America/New_York"), "2026-11-21T18:56:00Z"),
        // The instant would lie before 1970.
        ("1970-01-01T00:00:00", json!("Asia/Tokyo"), "1970-01-01T00:00:00Z local"),
    ] {
        let body = with(AUTH, &json!({"datetime": datetime, "location.timezone": zone}));
        assert_eq!(told(&body).split(" at ").nth(1), Some(want), "{datetime} {zone}");
    }
    let day = event(&with(AUTH, &json!({"datetime": "2026-11-21"})));
    assert_eq!((day.time_known, day.clock), (false, Clock::Local));
    assert_eq!(told(&with(AUTH, &json!({"datetime": "soon"}))), "bad_time datetime");
    assert_eq!(told(&with(AUTH, &json!({"datetime": null}))), "missing_field datetime");
}

#[test]
fn a_posting_is_told_only_by_what_it_made() {
    let posted = |sample, changes: Value| event(&with(sample, &changes)).posted_at.map(|at| at.to_string());
    assert_eq!(posted(AUTH, json!({})), None);
    // Made by its authorization, days before.
    assert_eq!(posted(CLEARING, json!({})), None);
    assert_eq!(posted(CLEARING, json!({"auth": false})).as_deref(), Some("2020-07-08T17:05:52.567Z"));
    assert_eq!(posted(REFUND, json!({})).as_deref(), Some("2020-07-08T17:23:13.972Z"));
    assert_eq!(posted(REFUND, json!({"created": "2020-07-08"})), None);
}

#[test]
fn money_is_read_from_its_digits() {
    for (amount, currency, want) in [
        (json!(10.17), "GBP", "10.17 GBP"),
        (json!("10.17"), "GBP", "10.17 GBP"),
        (json!(486), "JPY", "486 JPY"),
        (json!(1.234), "KWD", "1.234 KWD"),
    ] {
        let got = event(&with(CLEARING, &json!({"amount": amount, "currency": currency})));
        assert_eq!(got.amount.unwrap().to_string(), want);
    }
    for (amount, want) in [
        (json!(10.175), "amount_not_exact amount"),
        (json!(48.77943451477946), "amount_not_exact amount"),
        (json!(true), "wrong_type amount"),
        (json!({"value": 1}), "wrong_type amount"),
        (Value::Null, "missing_field amount"),
    ] {
        assert_eq!(told(&with(CLEARING, &json!({"amount": amount}))), want);
    }
    assert_eq!(told(&with(CLEARING, &json!({"currency": "XXX"}))), "unknown_currency currency");
    // The rate's rest does not cost the event.
    let abroad = json!({"billingAmount": 4.43219, "billingCurrency": "USD"});
    assert_eq!(event(&with(CLEARING, &abroad)).billing, None);
    let abroad = json!({"billingAmount": -4.43, "billingCurrency": "USD"});
    assert_eq!(event(&with(CLEARING, &abroad)).billing.unwrap().to_string(), "4.43 USD");
}

#[test]
fn marks_of_the_merchant() {
    let of = |changes: Value| event(&with(AUTH, &changes)).merchant;
    let text = |changes: Value| of(changes).descriptor.unwrap().to_string();
    assert_eq!(text(json!({})), "Bob's Cafe");
    assert_eq!(text(json!({"merchantDescriptor": "BOBS 12"})), "BOBS 12");
    let both = json!({"merchantDescriptor": "BOBS 12", "descriptor": {"merchantName": "BOBS CAFE LONDON"}});
    assert_eq!(text(both), "BOBS CAFE LONDON");
    assert_eq!(text(json!({"descriptor": {"merchantName": null, "storeName": "Bob's"}})), "Bob's");
    assert_eq!(text(json!({"descriptor": {"merchantName": "0"}})), "Bob's Cafe");
    let mark = of(json!({"card.scheme": "Mastercard", "merchantCategoryCode": "5814", "identifiers.MID": "000"}));
    assert_eq!((mark.scheme.as_deref(), mark.mcc, mark.mid), (Some("mastercard"), Some(5814), None));
    assert_eq!(of(json!({"location": null})).store_id, None);
    let nobody = json!({"location": null, "brand": null, "identifiers": null});
    assert_eq!(told(&with(AUTH, &nobody)), "missing_field identifiers");
    for (present, channel) in
        [(json!(true), Channel::InStore), (json!(false), Channel::Online), (Value::Null, Channel::Unknown)]
    {
        assert_eq!(event(&with(AUTH, &json!({"cardPresent": present}))).channel, channel);
    }
}

#[test]
fn the_card_is_its_token_alone() {
    for (changes, want) in [
        (json!({"card.id": "4242424242424242"}), "card_number card.id"),
        (json!({"card.id": null}), "missing_field card.id"),
        (json!({"card": null}), "missing_field card"),
        (json!({"card": "tok"}), "wrong_type card"),
        (json!({"id": "4242424242424242"}), "card_number id"),
        (json!({"id": null}), "missing_field id"),
        (json!({"id": "x".repeat(128)}), "bad_identifier id"),
    ] {
        assert_eq!(told(&with(AUTH, &changes)), want);
    }
    let old = json!({"card": null, "cardId": "tok", "scheme": "Amex", "identifiers": null, "merchantId": "77"});
    let old = event(&with(AUTH, &old));
    assert_eq!(
        (old.card.as_str(), old.merchant.scheme.as_deref(), old.merchant.mid.as_deref()),
        ("tok", Some("amex"), Some("77"))
    );
}

#[test]
fn what_is_no_transaction_is_no_concern_unless_it_holds_money() {
    for (body, want) in [
        (json!({"event": "card.failed", "card": {"id": "c"}, "message": "m"}), "ignored type_of_no_concern"),
        (json!({"accountId": "a", "name": "Starbucks"}), "ignored type_of_no_concern"),
        (json!({"location": {"id": "l"}, "scheme": "amex", "status": "location.active"}), "ignored type_of_no_concern"),
        (json!({"context": {"consent": {}}, "live": false}), "ignored type_of_no_concern"),
        (json!({"brandId": "b", "currency": "GBP", "status": "live"}), "ignored type_of_no_concern"),
        // An event of a later day, not known here.
        (json!({"event": "card.tokenised", "id": "t"}), "ignored type_of_no_concern"),
        // Money that moves in a way that is not known.
        (json!({"event": "transaction.chargeback", "id": "t"}), "missing_field cleared"),
        (with(AUTH, &json!({"auth": null, "cleared": null})), "missing_field cleared"),
        (json!({}), "unknown_type "),
        (json!({"id": "x"}), "unknown_type "),
    ] {
        assert_eq!(told(&body), want, "{body}");
    }
    assert_eq!(read("[]").unwrap_err().problem.code, "wrong_shape");
    assert_eq!(read("{").unwrap_err().problem.code, "not_json");
}

#[test]
fn a_key_that_comes_twice_is_refused_where_it_matters() {
    let body = with(AUTH, &json!({})).to_string();
    for (from, to, want) in [
        (r#""amount":"#, r#""amount":1,"amount":"#, "duplicate_key amount"),
        (r#""MID":"#, r#""MID":"1","MID":"#, "duplicate_key identifiers.MID"),
        (r#""timezone":"#, r#""timezone":"Asia/Tokyo","timezone":"#, "duplicate_key location.timezone"),
    ] {
        let Message::Impossible { problem, .. } = one(&body.replacen(from, to, 1)) else { panic!("{to}") };
        let path = problem.path.split('.').next_back().unwrap();
        assert_eq!(problem.code, "duplicate_key", "{want}");
        assert!(want.ends_with(path) && want.ends_with(&problem.path), "{want} {}", problem.path);
    }
    // The same twice, or of no concern.
    for (from, to) in [
        (r#""amount":"#, r#""amount":100,"amount":"#),
        (r#""currency":"#, r#""currency":"GBP","currency":"#),
        (r#""amexApprovalCode":"#, r#""amexApprovalCode":null,"amexApprovalCode":"#),
    ] {
        assert_eq!(one(&body.replacen(from, to, 1)), one(&body), "{to}");
    }
}

proptest! {
    #[test]
    fn an_amount_comes_out_as_it_went_in(minor in -field::AMOUNT_MAX..=field::AMOUNT_MAX, auth: bool, cleared: bool) {
        let usd = Currency::parse("USD").unwrap();
        let shown = Money::new(minor, usd).to_string();
        let number = shown.split(' ').next().unwrap();
        let body = with(CLEARING, &json!({"amount": 7, "currency": "USD", "auth": auth, "cleared": cleared})).to_string();
        let body = body.replacen(r#""amount":7"#, &format!(r#""amount":{number}"#), 1);
        let read = normalise(Format::Fidel, body.as_bytes()).unwrap();
        if let [Message::Event(event)] = &read.messages[..] {
            prop_assert_eq!(event.amount, Some(Money::new(minor.abs(), usd)));
            prop_assert_eq!(event.kind == EventKind::Refund, minor < 0);
        } else {
            prop_assert!(minor == 0 || (minor > 0 && !auth && !cleared));
        }
    }

    #[test]
    fn only_a_refund_bears_another_purchase(id in "[a-z0-9-]{1,20}", original in "[a-z0-9-]{1,20}", amount in -3_i64..3, auth: bool, cleared: bool) {
        let body = with(CLEARING, &json!({"id": id, "originalTransactionId": original, "amount": amount,
            "auth": auth, "cleared": cleared}));
        if let Message::Event(event) = one(&body.to_string()) {
            let own = event.purchase.as_ref().is_some_and(|purchase| purchase.as_str() == id);
            let named = event.purchase.as_ref().is_some_and(|purchase| purchase.as_str() == original);
            let right = if event.kind == EventKind::Refund { named } else { own };
            prop_assert!(right);
            prop_assert!(event.key.as_str().starts_with(&id));
        }
    }
}
