//! Every kind of notification, what it says twice, and whole lives of purchases.

use super::*;
use crate::domain::card_event::Clock;
use crate::domain::{CardEvent, Channel, EventKind, PurchaseId};
use proptest::prelude::*;
use serde_json::{Value, json};

macro_rules! sample {
    ($name:literal) => {
        include_str!(concat!("../../../tests/data/normalise/mastercard-cen/", $name, ".json"))
    };
}

const AUTHORIZATION: &str = sample!("cen-iccp-authorization");
const CONTROLLED: &str = sample!("cen-bpc-authorization");
const CLEARING: &str = sample!("cen-iccp-clearing");

/// The notification of a published page, with values put at dotted paths of its content.
fn with(sample: &str, changes: &[(&str, Value)]) -> Value {
    let page: Value = serde_json::from_str(sample).unwrap();
    let mut notification = page["notifications"][0].clone();
    for (path, value) in changes {
        let mut at = &mut notification["content"];
        for name in path.split('.') {
            at = &mut at[name];
        }
        *at = value.clone();
    }
    notification
}

/// The published authorization as a first message: neither follows another nor replaces.
fn first(changes: &[(&str, Value)]) -> Value {
    let mut all = vec![
        ("messageTypeIndicator", json!("0110")),
        ("traceId", json!("MCCQ4A91A0410  ")),
        ("originalMessage", json!(null)),
        ("replacementAmounts", json!(null)),
    ];
    all.extend(changes.iter().cloned());
    with(AUTHORIZATION, &all)
}

fn controlled(changes: &[(&str, Value)]) -> Value {
    let mut all = vec![("processor.responseCode", json!("00"))];
    all.extend(changes.iter().cloned());
    with(CONTROLLED, &all)
}

fn cleared(changes: &[(&str, Value)]) -> Value {
    let mut all = vec![("type", json!("D"))];
    all.extend(changes.iter().cloned());
    with(CLEARING, &all)
}

/// A valid body of each kind, for the tests that hold for every dialect.
pub(in super::super) fn valid() -> Vec<(EventKind, Value)> {
    vec![
        (EventKind::Authorization, first(&[])),
        (EventKind::Authorization, json!([controlled(&[])])),
        (EventKind::Increment, first(&[("traceId", json!("MCC9999991231"))])),
        (EventKind::Advice, serde_json::from_str(AUTHORIZATION).unwrap()),
        (EventKind::Reversal, first(&[("messageTypeIndicator", json!("0400"))])),
        (EventKind::Clearing, cleared(&[])),
        (EventKind::ClearingReversal, json!({"notifications": [cleared(&[("reversalIndicator", json!(true))])]})),
        (EventKind::Refund, cleared(&[("type", json!("C")), ("processingCode", json!("200000"))])),
        (
            EventKind::Chargeback,
            cleared(&[
                ("type", json!("C")),
                ("functionCode", json!(450)),
                ("txnType", json!("First Chargeback (Full)")),
            ]),
        ),
        (
            EventKind::ChargebackReversal,
            cleared(&[("functionCode", json!(205)), ("txnType", json!("Second Presentment (Full)"))]),
        ),
    ]
}

fn one(body: &Value) -> Message {
    let read = read(&body.to_string()).unwrap();
    assert_eq!((read.batch, read.messages.len()), (false, 1));
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
            "{} of {} {} at {}{}",
            e.kind.as_str(),
            e.purchase.as_ref().map_or("-", |purchase| purchase.as_str().split_at(17).0),
            e.amount.map_or("all".to_owned(), |m| m.to_string()),
            e.occurred_at,
            if e.clock == Clock::Local { " local" } else { "" },
        ),
        Message::Ignored { why, .. } => format!("ignored {why}"),
        Message::Impossible { problem, .. } => format!("{} {}", problem.code, problem.path),
    }
}

const AT: &str = "at 2023-11-03T10:16:11Z";

#[test]
fn authorizations_by_their_message_type_and_what_they_follow() {
    let own = "Q4A91A:2024-04-10";
    let other = "999999:2023-12-31";
    let follows = ("traceId", json!("MCC9999991231  "));
    let replaced = |minor: i64| ("replacementAmounts", json!({"transactionAmount": minor, "billingAmount": 7}));
    let named = ("originalMessage", json!({"systemTraceAuditNumber": "11174"}));
    let kind = |word: &str| ("messageTypeIndicator", json!(word));
    for (changes, want) in [
        (vec![], format!("authorization of {own} 9110 JPY {AT}")),
        (vec![kind("0100")], format!("authorization of {own} 9110 JPY {AT}")),
        (vec![kind("0120")], format!("authorization of {own} 9110 JPY {AT}")),
        // A trace that is no reference and day, or is not there, says nothing.
        (vec![("traceId", json!("null"))], format!("authorization of {own} 9110 JPY {AT}")),
        (vec![("traceId", json!("MCC9999991200"))], format!("authorization of {own} 9110 JPY {AT}")),
        (vec![follows.clone()], format!("increment of {other} 9110 JPY {AT}")),
        (vec![kind("0120"), follows.clone()], format!("advice of {other} 9110 JPY {AT}")),
        (vec![kind("0120"), named.clone()], format!("advice of {own} 9110 JPY {AT}")),
        (vec![kind("0120"), replaced(500)], format!("advice of {own} 500 JPY {AT}")),
        (vec![kind("0120"), follows.clone(), ("transactionAmount", json!(0))], format!("advice of {other} 0 JPY {AT}")),
        (vec![kind("0400"), follows.clone(), named.clone()], format!("reversal of {other} 9110 JPY {AT}")),
        (vec![kind("0420"), follows.clone()], format!("reversal of {other} 9110 JPY {AT}")),
        (vec![kind("0400"), ("transactionAmount", json!(null))], format!("reversal of {own} all {AT}")),
        // What remains after a partial reversal; zero is a full one.
        (vec![kind("0400"), follows.clone(), replaced(500)], format!("advice of {other} 500 JPY {AT}")),
        (vec![kind("0420"), follows.clone(), replaced(0)], format!("reversal of {other} 9110 JPY {AT}")),
        (vec![kind("0400"), ("responseCode", json!("17"))], format!("reversal of {own} 9110 JPY {AT}")),
        (vec![kind("0400"), ("responseCode", json!(null))], format!("reversal of {own} 9110 JPY {AT}")),
        (vec![kind("0800")], "unknown_type content.messageTypeIndicator".to_owned()),
        (vec![kind("")], "missing_field content.messageTypeIndicator".to_owned()),
    ] {
        assert_eq!(told(&first(&changes)), want, "{changes:?}");
    }
}

#[test]
fn what_holds_nothing_is_ignored() {
    for (name, value, want) in [
        ("responseCode", json!("05"), "ignored not_approved"),
        ("responseCode", json!("51"), "ignored not_approved"),
        ("responseCode", json!(""), "missing_field content.responseCode"),
        ("transactionAmount", json!(0), "ignored account_verification"),
        ("posTransactionStatus", json!("8"), "ignored account_verification"),
        ("posTransactionStatus", json!("9"), "ignored account_verification"),
        ("cardHolderTransactionTypeCode", json!("30"), "ignored account_verification"),
        ("cardHolderTransactionTypeCode", json!("20"), "ignored told_by_its_clearing"),
        ("cardHolderTransactionTypeCode", json!("28"), "ignored told_by_its_clearing"),
        ("cardHolderTransactionTypeCode", json!("77"), "unknown_processing_code content.cardHolderTransactionTypeCode"),
    ] {
        assert_eq!(told(&first(&[(name, value.clone())])), want, "{name} {value}");
    }
    // In part, or with identification, it was approved.
    for code in ["08", "10", "85", "87"] {
        assert!(told(&first(&[("responseCode", json!(code))])).starts_with("authorization"), "{code}");
    }
}

#[test]
fn amounts_of_authorizations_are_minor_units() {
    for (changes, want) in [
        (vec![("transactionCurrencyCode", json!("USD"))], "91.10 USD"),
        (vec![("transactionCurrencyCode", json!("840"))], "91.10 USD"),
        (vec![("transactionCurrencyCode", json!(414))], "9.110 KWD"),
        (vec![("transactionAmount", json!("7550"))], "7550 JPY"),
        (vec![("transactionAmount", json!(7550.0))], "7550 JPY"),
        (vec![("transactionAmount", json!(75.5))], "amount_not_exact content.transactionAmount"),
        (vec![("transactionAmount", json!(-1))], "amount_negative content.transactionAmount"),
        (vec![("transactionAmount", json!(null))], "missing_field content.transactionAmount"),
        (vec![("transactionCurrencyCode", json!("XXX"))], "unknown_currency content.transactionCurrencyCode"),
        (vec![("transactionCurrencyCode", json!(null))], "missing_field content.transactionCurrencyCode"),
    ] {
        let found = told(&first(&changes));
        assert_eq!(found.replace("authorization of Q4A91A:2024-04-10 ", "").replace(&format!(" {AT}"), ""), want);
    }
    let event = event(&first(&[]));
    assert_eq!(event.billing.unwrap().to_string(), "16100 JPY");
}

#[test]
fn an_identifier_used_again_on_another_day_is_another_purchase() {
    let day = |date: &str| event(&first(&[("settlementDate", json!(date)), ("traceId", json!(null))]));
    let (one, again, two) = (day("0410"), day("0410"), day("0411"));
    assert_eq!(one, again);
    assert_ne!(one.key, two.key);
    assert_ne!(one.purchase, two.purchase);
    // So is one of another card.
    let card = event(&first(&[("purchaseRequest.purchaseRequestId", json!(1))]));
    assert_ne!(card.purchase, one.purchase);
    // Created in January, of the last day of the year before.
    let mut body = first(&[
        ("settlementDate", json!("1231")),
        ("transmissionRawDate", json!("1231")),
        ("traceId", json!("MCCQ4A91A1231")),
    ]);
    body["createdTimestamp"] = json!("2024-01-01T00:00:05.000Z");
    assert_eq!(told(&body), "authorization of Q4A91A:2023-12-31 9110 JPY at 2023-12-31T10:16:11Z");
    body["content"]["settlementDate"] = json!("0229");
    body["content"]["traceId"] = json!(null);
    assert!(told(&body).starts_with("authorization of Q4A91A:2020-02-29"));
    body["createdTimestamp"] = json!(null);
    assert_eq!(told(&body), "missing_field createdTimestamp");
    for (name, value) in [
        ("settlementDate", json!("1301")),
        ("transmissionRawDate", json!("0431")),
        ("transmissionRawTime", json!("250000")),
        ("transmissionRawTime", json!("1016")),
    ] {
        assert_eq!(told(&first(&[(name, value)])), format!("bad_time content.{name}"));
    }
}

#[test]
fn controlled_authorizations_say_the_same_in_other_places() {
    let event = event(&controlled(&[]));
    assert_eq!(event.kind, EventKind::Authorization);
    assert_eq!(event.amount.unwrap().to_string(), "91.10 USD");
    assert_eq!(event.billing.unwrap().to_string(), "161.00 USD");
    assert_eq!(event.card, "0ENTb7c9b10627302423cc08963bb1e01779868251f0eafd39783224af427fd5b2051698658907");
    // Only the shop's wall clock is said.
    assert_eq!((event.occurred_at.to_string().as_str(), event.clock), ("2024-04-10T09:29:00Z", Clock::Local));
    let mark = event.merchant;
    assert_eq!(mark.mid.as_deref(), Some("497520000000000"));
    assert_eq!((mark.acquirer.as_deref(), mark.terminal.as_deref()), (Some("5173"), Some("0001")));
    assert_eq!((mark.mcc, mark.country.as_deref()), (Some(5542), Some("US")));
    let banknet = ("processor.banknetReferenceNumber", json!("Q4A91A"));
    for (changes, want) in [
        (vec![("transactionInformation.issuerResponse", json!("05"))], "ignored not_approved"),
        (vec![("acceptor.amount.amount", json!(0))], "ignored account_verification"),
        (
            vec![("acceptor.amount.currencyCodeAlphabetic", json!("EUR"))],
            "currency_unclear content.acceptor.amount.currencyCode",
        ),
        (vec![("acceptor.amount.currencyCode", json!("1"))], "unknown_currency content.acceptor.amount.currencyCode"),
        (vec![("acceptor", json!(null))], "missing_field content.acceptor"),
        (
            vec![banknet.clone(), ("transactionInformation.dateTime", json!("04-09T23:30:00.000-02:00"))],
            "authorization of Q4A91A:2024-04-10 91.10 USD at 2024-04-10T01:30:00Z",
        ),
        (
            vec![banknet.clone(), ("acceptor.localTime", json!(null))],
            "authorization of Q4A91A:2024-04-10 91.10 USD at 2024-04-10T00:00:00Z local",
        ),
        (
            vec![banknet.clone(), ("messageTypeIndicator", json!("0400"))],
            "advice of Q4A91A:2024-04-10 1000.00 USD at 2024-04-10T09:29:00Z local",
        ),
    ] {
        assert_eq!(told(&controlled(&changes)), want, "{changes:?}");
    }
    let online = controlled(&[("transactionInformation.environment", json!("ECOM"))]);
    assert!(matches!(one(&online), Message::Event(event) if event.channel == Channel::Online));
}

#[test]
fn clearings_by_stage_and_direction() {
    const SALE: &str = "of 1234:2024-05-23:7 14.10 USD at 2024-05-23T01:05:50.419Z";
    let dispute = [("functionCode", json!(453)), ("txnType", json!("First Chargeback (Partial)"))];
    let again = [("functionCode", json!("282")), ("txnType", json!("Second Presentment (Partial)"))];
    let is = |name: &'static str, value: Value| (name, value);
    let (back, returned) = (is("reversalIndicator", json!(true)), is("processingCode", json!("20")));
    let both = |one: &[(&'static str, Value)], more: &[(&'static str, Value)]| [one, more].concat();
    let unclear = || "direction_unclear content.processingCode".to_owned();
    for (changes, want) in [
        (vec![], format!("clearing {SALE}")),
        (vec![is("processingCode", json!("010000"))], format!("clearing {SALE}")),
        // The published first presentment says C, the next one may not: no side of it counts.
        (vec![is("type", json!("C"))], format!("clearing {SALE}")),
        (vec![is("type", json!("D"))], format!("clearing {SALE}")),
        (vec![is("type", json!(null))], format!("clearing {SALE}")),
        (vec![is("functionCode", json!(null))], format!("clearing {SALE}")),
        (vec![is("txnType", json!(null))], format!("clearing {SALE}")),
        (vec![back.clone()], format!("clearing_reversal {SALE}")),
        (vec![returned.clone()], SALE.replacen("of 1234:2024-05-23:7", "refund of -", 1)),
        (vec![returned.clone(), back.clone()], SALE.replacen("of 1234:2024-05-23:7", "refund_reversal of -", 1)),
        (dispute.to_vec(), format!("chargeback {SALE}")),
        (both(&dispute, std::slice::from_ref(&back)), format!("chargeback_reversal {SALE}")),
        (again.to_vec(), format!("chargeback_reversal {SALE}")),
        // Not said, or not known.
        (vec![is("processingCode", json!(null))], unclear()),
        (vec![back.clone(), is("processingCode", json!(""))], unclear()),
        (both(&again, std::slice::from_ref(&back)), unclear()),
        (both(&dispute, std::slice::from_ref(&returned)), unclear()),
        (vec![is("reversalIndicator", json!(null))], "missing_field content.reversalIndicator".to_owned()),
        (vec![is("reversalIndicator", json!(7))], "wrong_type content.reversalIndicator".to_owned()),
        (vec![is("reversalIndicator", json!("false"))], format!("clearing {SALE}")),
        (vec![is("functionCode", json!(450))], "type_unclear content.txnType".to_owned()),
        (vec![is("functionCode", json!(999))], "unknown_type content.functionCode".to_owned()),
        (vec![is("txnType", json!("Fee")), is("functionCode", json!(null))], "unknown_type content.txnType".to_owned()),
        (vec![is("txnType", json!(null)), is("functionCode", json!(null))], "missing_field content.txnType".to_owned()),
        // Of no purchase.
        (vec![is("functionCode", json!(700)), is("txnType", json!(null))], "ignored no_purchase".to_owned()),
        (
            vec![
                is("messageTypeId", json!(1740)),
                is("functionCode", json!(null)),
                is("txnType", json!("Fee Collection")),
            ],
            "ignored no_purchase".to_owned(),
        ),
        (vec![is("processingCode", json!("28"))], "ignored no_purchase".to_owned()),
    ] {
        assert_eq!(told(&cleared(&changes)), want, "{changes:?}");
    }
}

#[test]
fn a_clearing_joins_its_authorization_by_reference_and_day() {
    let id = ("purchaseRequest.purchaseRequestId", json!(7_163_960));
    let clearing = event(&cleared(&[
        id,
        ("banknetReferenceNumber", json!("Q4A91A")),
        // In UTC this is the day on which the network took the authorization.
        ("dateTimeTransactionLocal", json!("2024-04-09T23:30:00-05:00")),
    ]));
    assert_eq!(clearing.purchase, event(&first(&[])).purchase);
    assert_eq!(clearing.card, event(&first(&[])).card);
    // Without a reference it stands for itself.
    assert_eq!(event(&cleared(&[("banknetReferenceNumber", json!(""))])).purchase, None);
}

#[test]
fn the_published_clearing_as_a_sale() {
    let event = event(&cleared(&[]));
    assert_eq!(event.key.as_str(), "9876996:clearing:2024-05-23");
    assert_eq!(event.billing.unwrap().to_string(), "41.20 USD");
    assert_eq!(event.posted_at.unwrap().to_string(), "2024-05-23T01:05:50.419Z");
    let mark = event.merchant;
    assert_eq!((mark.mid.as_deref(), mark.acquirer.as_deref()), (Some("520009999999"), Some("10000")));
    assert_eq!((mark.descriptor.as_deref(), mark.mcc), (Some("sample name"), Some(1711)));
    assert_eq!((mark.postcode.as_deref(), mark.country.as_deref()), (Some("432531"), Some("US")));
    assert_eq!(mark.terminal.as_deref(), Some("01999999"));
    for (changes, want) in [
        (vec![("acceptor.amount", json!(null))], "missing_field content.acceptor.amount"),
        (vec![("acceptor.amount.value", json!(14.105))], "amount_not_exact content.acceptor.amount"),
        (vec![("acceptor.amount.value", json!(0))], "amount_zero content.acceptor.amount"),
        (vec![("acceptor.amount.value", json!(-14.1))], "amount_negative content.acceptor.amount"),
        (vec![("acceptor.amount.amount", json!(1410))], "amount_unclear content.acceptor.amount"),
        (vec![("clearingTransactionId", json!(null))], "missing_field content.clearingTransactionId"),
        (vec![("acceptor.name", json!("0")), ("acceptor.id", json!("0"))], "missing_field content.merchant"),
        (vec![("dateTimeTransactionLocal", json!("1103"))], "bad_time content.dateTimeTransactionLocal"),
    ] {
        assert_eq!(told(&cleared(&changes)), want, "{changes:?}");
    }
}

#[test]
fn a_masked_number_names_no_card() {
    let without = cleared(&[("purchaseRequest", json!(null))]);
    assert_eq!(told(&without), "missing_field content.purchaseRequest.purchaseRequestId");
    let number = cleared(&[("virtualPaymentCard.accountGuid", json!("4242424242424242"))]);
    assert_eq!(told(&number), "card_number content.virtualPaymentCard.accountGuid");
    let real = cleared(&[("purchaseRequest", json!(null)), ("realPaymentCard.accountGuid", json!("0ENT1"))]);
    assert_eq!(event(&real).card, "0ENT1");
}

#[test]
fn subjects() {
    for (subject, want) in [
        (json!("PAYMENT_UPDATE"), "ignored type_of_no_concern"),
        (json!("TOKEN_PROVISIONING_EVENT"), "ignored type_of_no_concern"),
        (json!("SOMETHING_NEW"), "unknown_type subject"),
        (json!(null), "missing_field subject"),
        (json!(7), "wrong_type subject"),
    ] {
        let mut body = first(&[]);
        body["subject"] = subject.clone();
        assert_eq!(told(&body), want, "{subject}");
    }
    assert_eq!(told(&json!({"subject": "SOMETHING_NEW", "content": {"a": 1}})), "ignored type_of_no_concern");
    assert_eq!(told(&json!({"subject": "CLEARING"})), "missing_field content");
    assert_eq!(told(&json!({"subject": "CLEARING", "content": []})), "wrong_type content");
}

#[test]
fn transaction_notifications_are_kept_for_later() {
    let sent = |response: Value| {
        told(&json!({"cardReference": "c", "transUid": "t1", "cardholderAmount": 12.34, "cardholderCurrency": "USD",
            "merchantName": "SHOP", "channel": "POS", "issuerResponse": response, "transactionType": "PURCHASE",
            "messageType": "AUTHORIZATION"}))
    };
    for response in [json!("APPROVED"), json!("00"), json!(null), json!("what")] {
        assert_eq!(sent(response), "contract_not_public cardholderAmount");
    }
    for response in [json!("DECLINED"), json!("Decline"), json!("05")] {
        assert_eq!(sent(response), "ignored not_approved");
    }
    let page = json!({"data": [{"transUid": "t1", "cardReference": "c"}, {"transUid": "t2"}], "nextCursor": "9"});
    let read = read(&page.to_string()).unwrap();
    assert!(read.batch);
    assert!(matches!(&read.messages[..], [Message::Impossible { id: Some(one), .. },
        Message::Impossible { id: Some(two), problem }] if one == "t1" && two == "t2"
        && problem.path == "data[1].cardholderAmount"));
}

#[test]
fn alone_in_an_array_and_in_a_page() {
    let body = first(&[]);
    let alone = one(&body);
    for (wrapped, batch) in [
        (json!([body]), true),
        (json!({"count": 1, "offset": 0, "limit": 1, "total": 9, "notifications": [body]}), true),
        (json!({"notifications": [body], "nextCursor": "x"}), true),
        (body.clone(), false),
    ] {
        let read = read(&wrapped.to_string()).unwrap();
        assert_eq!((read.batch, read.messages), (batch, vec![alone.clone()]));
    }
    let broken = json!([first(&[]), 7, null, first(&[("responseCode", json!(null))]), {}]);
    let paths: Vec<_> = read(&broken.to_string())
        .unwrap()
        .messages
        .iter()
        .map(|message| match message {
            Message::Impossible { problem, .. } => format!("{} {}", problem.code, problem.path),
            _ => String::new(),
        })
        .collect();
    let want =
        ["", "wrong_type [1]", "wrong_type [2]", "missing_field [3].content.responseCode", "missing_field [4].subject"];
    assert_eq!(paths, want);
    for (body, code) in [
        ("[]", "batch_empty"),
        (r#"{"notifications":[]}"#, "batch_empty"),
        (r#"{"notifications":{}}"#, "wrong_shape"),
        (r#"{"notifications":[{}],"data":[{}]}"#, "wrong_shape"),
        (r#"{"notifications":[{}],"subject":"CLEARING"}"#, "wrong_shape"),
        ("{}", "wrong_shape"),
        ("7", "wrong_shape"),
        ("{", "not_json"),
        (sample!("bink-auth"), "wrong_shape"),
        (sample!("bink-tgx2-settlement-parsed"), "wrong_shape"),
    ] {
        assert_eq!(read(body).unwrap_err().problem.code, code, "{body}");
    }
    let many = json!(vec![json!({}); BATCH_MESSAGES_MAX + 1]);
    assert_eq!(read(&many.to_string()).unwrap_err().problem.code, "batch_too_large");
}

#[test]
fn a_key_that_comes_twice_is_refused() {
    let body = first(&[]).to_string();
    for (from, to) in [
        (r#""transactionAmount":"#, r#""transactionAmount":1,"transactionAmount":"#),
        (r#""merchantId":"#, r#""merchantId":"x","merchantId":"#),
        (r#""purchaseRequestId":"#, r#""purchaseRequestId":1,"purchaseRequestId":"#),
        (r#""subject":"#, r#""subject":"x","subject":"#),
    ] {
        let read = read(&body.replacen(from, to, 1)).unwrap();
        let [Message::Impossible { problem, .. }] = &read.messages[..] else { panic!("{to}: {read:?}") };
        assert_eq!(problem.code, "duplicate_key", "{to}");
    }
}

#[test]
fn the_life_of_a_purchase_has_one_id() {
    let trace = ("traceId", json!("MCCQ4A91A0410"));
    let own = |banknet: &str| ("banknetReferenceNumber", json!(banknet));
    let kind = |word: &str| ("messageTypeIndicator", json!(word));
    let id = ("purchaseRequest.purchaseRequestId", json!(7_163_960));
    let time = ("dateTimeTransactionLocal", json!("2024-04-10T11:00:00Z"));
    let clearing =
        |more: &[(&'static str, Value)]| cleared(&[&[id.clone(), time.clone(), own("Q4A91A")], more].concat());
    let life = [
        first(&[]),
        first(&[trace.clone(), own("ZZ0001"), kind("0110")]),
        first(&[trace.clone(), own("ZZ0002"), kind("0400"), ("replacementAmounts", json!({"transactionAmount": 500}))]),
        first(&[trace.clone(), own("ZZ0003"), kind("0420")]),
        clearing(&[]),
        clearing(&[("clearingTransactionId", json!(2))]),
        clearing(&[("clearingTransactionId", json!(3)), ("reversalIndicator", json!(true))]),
    ];
    let events = life.map(|body| event(&body));
    let kinds = events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>().join(" ");
    assert_eq!(kinds, "authorization increment advice reversal clearing clearing clearing_reversal");
    let purchase = events[0].purchase.as_ref().map(PurchaseId::as_str);
    assert_eq!(purchase, Some("Q4A91A:2024-04-10:7163960"));
    let mut keys = std::collections::BTreeSet::new();
    for event in &events {
        assert_eq!(event.purchase.as_ref().map(PurchaseId::as_str), purchase);
        assert!(keys.insert(event.key.as_str()), "{}", event.key);
    }
}

proptest! {
    /// Whatever one field of a clearing says, a sale is not told as a credit nor the
    /// other way round unless every field that says so was changed.
    #[test]
    fn one_changed_field_never_turns_a_clearing_round(
        refund: bool,
        // All but `processingCode`, which is the one word for it.
        name in prop::sample::select(vec!["type", "functionCode", "txnType", "messageTypeId",
            "acceptor.amount.value", "banknetReferenceNumber", "dateTimeTransactionLocal"]),
        value in prop_oneof![Just(json!(null)), any::<i64>().prop_map(Value::from), ".*".prop_map(Value::from),
            prop::sample::select(vec!["C", "D", "00", "20", "28", "200", "205", "450", "First Chargeback", "0"]).prop_map(Value::from)],
    ) {
        let mut all = if refund { vec![("type", json!("C")), ("processingCode", json!("20"))] } else { vec![] };
        all.push((name, value));
        if let Message::Event(event) = one(&cleared(&all)) {
            prop_assert_eq!(event.kind, if refund { EventKind::Refund } else { EventKind::Clearing });
        }
    }
}
