//! The contract by tables, and what must hold for any snapshot.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A valid body of each kind that comes alone, for the tests that hold for every dialect.
pub(in super::super) fn valid() -> Vec<(EventKind, Value)> {
    [
        (EventKind::Authorization, "AUTHORIZATION", "DEBIT"),
        (EventKind::Reversal, "AUTHORIZATION_REVERSAL", "CREDIT"),
        (EventKind::Expiry, "AUTHORIZATION_EXPIRY", "CREDIT"),
        (EventKind::Clearing, "CLEARING", "DEBIT"),
        (EventKind::Clearing, "FINANCIAL_AUTHORIZATION", "DEBIT"),
        (EventKind::Refund, "RETURN", "CREDIT"),
        (EventKind::RefundReversal, "RETURN_REVERSAL", "DEBIT"),
    ]
    .map(|(kind, word, polarity)| (kind, snapshot(vec![event(1, word, 4250, json!({"effective_polarity": polarity}))])))
    .to_vec()
}

fn event(number: usize, word: &str, minor: i64, changes: Value) -> Value {
    let mut made = json!({
        "token": format!("ev-{number}"), "type": word, "result": "APPROVED", "detailed_results": ["APPROVED"],
        "created": format!("2026-11-21T{:02}:{:02}:00Z", number / 60, number % 60), "amount": minor,
        "amounts": {
            "cardholder": {"amount": minor, "currency": "USD", "conversion_rate": "1.000000"},
            "merchant": {"amount": minor, "currency": "USD"},
            "settlement": null,
        },
        "network_info": {"acquirer": {"acquirer_reference_number": "74000000000000000000001"}}, "rule_results": [],
    });
    for (name, value) in changes.as_object().unwrap() {
        made[name] = value.clone();
    }
    made
}

fn snapshot(events: Vec<Value>) -> Value {
    json!({
        "event_type": "card_transaction.updated", "token": "tx-1", "account_token": "acc-1", "card_token": "card-1",
        "status": "PENDING", "result": "APPROVED", "amount": 1, "authorization_amount": 1, "settled_amount": 0,
        "amounts": {"hold": {"amount": -1800, "currency": "USD"}, "merchant": {"amount": 0, "currency": "USD"}},
        "created": "2026-11-21T00:00:00Z", "updated": "2026-11-21T00:00:00Z",
        "merchant": {"acceptor_id": "000445566778899", "acquiring_institution_id": "333301802529120",
            "descriptor": "SQ *BLUE BOTTLE", "city": "Oakland", "state": "CA", "country": "USA", "mcc": "5814",
            "postal_code": "94607"},
        "merchant_currency": "USD", "network": "VISA",
        "pos": {"entry_mode": {"card": "PRESENT", "cardholder": "PRESENT", "pan": "ICC", "pin_entered": false},
            "terminal": {"acceptor_terminal_id": "T1"}},
        "events": events,
    })
}

fn messages_of(body: &Value) -> Vec<Message> {
    read(&body.to_string()).unwrap().messages
}

fn lines(body: &Value) -> Vec<String> {
    messages_of(body).into_iter().map(line).collect()
}

/// An event in one line, or why there is none.
fn line(message: Message) -> String {
    match message {
        Message::Event(e) => format!(
            "{} {} of {} {}",
            e.kind.as_str(),
            e.key,
            e.purchase.map_or("-".to_owned(), |p| p.to_string()),
            e.amount.map_or("all".to_owned(), |m| m.to_string()),
        ),
        Message::Ignored { why, .. } => format!("ignored {why}"),
        Message::Impossible { problem, .. } => format!("{} {}", problem.code, problem.path),
    }
}

/// One event after an approved authorization: what it is told as.
fn after_authorization(word: &str, changes: Value) -> String {
    let mut all = lines(&snapshot(vec![event(1, "AUTHORIZATION", 5000, json!({})), event(2, word, 4250, changes)]));
    assert_eq!(all.remove(0), "authorization ev-1 of tx-1 50.00 USD");
    all.remove(0)
}

#[test]
fn each_published_type_and_polarity() {
    let promised = "ignored refund_not_cleared";
    let wrong = "polarity_contradicts events[1].effective_polarity";
    for (word, debit, credit, unsaid) in [
        ("AUTHORIZATION", "authorization ev-2 of tx-1 42.50 USD", promised, "authorization ev-2 of tx-1 42.50 USD"),
        ("AUTHORIZATION_ADVICE", "advice ev-2 of tx-1 42.50 USD", promised, "advice ev-2 of tx-1 42.50 USD"),
        ("AUTHORIZATION_REVERSAL", promised, "reversal ev-2 of tx-1 42.50 USD", "reversal ev-2 of tx-1 42.50 USD"),
        ("AUTHORIZATION_EXPIRY", promised, "expiry ev-2 of tx-1 all", "expiry ev-2 of tx-1 all"),
        (
            "CLEARING",
            "clearing ev-2 of tx-1 42.50 USD",
            "refund ev-2 of tx-1 42.50 USD",
            "clearing ev-2 of tx-1 42.50 USD",
        ),
        (
            "FINANCIAL_AUTHORIZATION",
            "clearing ev-2 of tx-1 42.50 USD",
            "refund ev-2 of tx-1 42.50 USD",
            "clearing ev-2 of tx-1 42.50 USD",
        ),
        ("RETURN", wrong, "refund ev-2 of tx-1 42.50 USD", "refund ev-2 of tx-1 42.50 USD"),
        ("FINANCIAL_CREDIT_AUTHORIZATION", wrong, "refund ev-2 of tx-1 42.50 USD", "refund ev-2 of tx-1 42.50 USD"),
        ("CORRECTION_CREDIT", wrong, "refund ev-2 of tx-1 42.50 USD", "refund ev-2 of tx-1 42.50 USD"),
        ("RETURN_REVERSAL", "refund_reversal ev-2 of tx-1 42.50 USD", wrong, "refund_reversal ev-2 of tx-1 42.50 USD"),
        ("CORRECTION_DEBIT", "refund_reversal ev-2 of tx-1 42.50 USD", wrong, "refund_reversal ev-2 of tx-1 42.50 USD"),
        ("CREDIT_AUTHORIZATION", promised, promised, promised),
        ("CREDIT_AUTHORIZATION_ADVICE", promised, promised, promised),
        (
            "BALANCE_INQUIRY",
            "ignored account_verification",
            "ignored account_verification",
            "ignored account_verification",
        ),
        ("TELEPORT", "unknown_type events[1].type", "unknown_type events[1].type", "unknown_type events[1].type"),
    ] {
        assert_eq!(after_authorization(word, json!({"effective_polarity": "DEBIT"})), debit, "{word}");
        assert_eq!(after_authorization(word, json!({"effective_polarity": "CREDIT"})), credit, "{word}");
        assert_eq!(after_authorization(word, json!({})), unsaid, "{word}");
        // Refused, it is nothing, whatever else it says.
        let refused = json!({"result": "INSUFFICIENT_FUNDS", "amounts": 7, "token": null});
        assert_eq!(after_authorization(word, refused), "ignored not_approved", "{word}");
    }
    assert_eq!(
        after_authorization("CLEARING", json!({"effective_polarity": "SIDEWAYS"})),
        "unknown_polarity events[1].effective_polarity"
    );
    // No verdict is no refusal.
    assert_eq!(after_authorization("CLEARING", json!({"result": null})), "clearing ev-2 of tx-1 42.50 USD");
}

#[test]
fn signs_and_totals_say_nothing() {
    let minus = json!({"amounts": {"merchant": {"amount": -4250, "currency": "USD"}}, "amount": -1});
    assert_eq!(after_authorization("CLEARING", minus.clone()), "clearing ev-2 of tx-1 42.50 USD");
    assert_eq!(after_authorization("RETURN", minus), "refund ev-2 of tx-1 42.50 USD");
    // A transaction is called settled while a part of it is still held.
    let mut body = snapshot(vec![event(1, "AUTHORIZATION", 5000, json!({})), event(2, "CLEARING", 4000, json!({}))]);
    let before = messages_of(&body);
    for (name, value) in [
        ("status", json!("SETTLED")),
        ("result", json!("DECLINED")),
        ("amount", json!(-4000)),
        ("settled_amount", json!(4000)),
        ("updated", json!("2027-01-01T00:00:00Z")),
        ("amounts", json!({"hold": {"amount": -1000, "currency": "USD"}})),
    ] {
        body[name] = value;
        assert_eq!(messages_of(&body), before, "{name}");
    }
}

#[test]
fn amounts_are_the_merchants() {
    let abroad = json!({"amounts": {
        "merchant": {"amount": 1000, "currency": "JPY"},
        "cardholder": {"amount": 650, "currency": "USD", "conversion_rate": "0.650000"},
        "settlement": {"amount": 651, "currency": "USD", "conversion_rate": "0.651000"},
    }});
    let body = snapshot(vec![event(1, "CLEARING", 650, abroad)]);
    let Message::Event(event_of) = messages_of(&body).remove(0) else { panic!() };
    assert_eq!(event_of.amount.unwrap().to_string(), "1000 JPY");
    assert_eq!(event_of.billing.unwrap().to_string(), "6.50 USD");
    let at = "events[1].amounts.merchant";
    for (changes, want) in [
        (
            json!({"amounts": {"merchant": {"amount": 1.5, "currency": "USD"}}}),
            format!("amount_not_integer {at}.amount"),
        ),
        (
            json!({"amounts": {"merchant": {"amount": 1, "currency": "DOLLAR"}}}),
            format!("unknown_currency {at}.currency"),
        ),
        (json!({"amounts": {"merchant": {"amount": 1}}}), format!("missing_field {at}.currency")),
        (json!({"amounts": {"merchant": 7}}), format!("wrong_type {at}")),
        (json!({"amounts": []}), "wrong_type events[1].amounts".to_owned()),
        (json!({"amounts": null, "amount": null}), format!("missing_field {at}")),
        (json!({"amounts": null, "amount": i64::MAX}), "amount_too_large events[1].amount".to_owned()),
        (json!({"amounts": {"merchant": {"amount": 0, "currency": "USD"}}}), "ignored moves_nothing".to_owned()),
        (json!({"token": null}), "missing_field events[1].token".to_owned()),
        (json!({"token": "4242424242424242"}), "card_number events[1].token".to_owned()),
        (json!({"created": "soon"}), "bad_time events[1].created".to_owned()),
        (json!({"created": null}), "missing_field events[1].created".to_owned()),
    ] {
        assert_eq!(after_authorization("CLEARING", changes.clone()), want, "{changes}");
    }
    let nothing = snapshot(vec![event(1, "AUTHORIZATION", 0, json!({}))]);
    assert_eq!(lines(&nothing), ["ignored account_verification"]);
    assert_eq!(
        after_authorization("AUTHORIZATION_ADVICE", json!({"amounts": {"merchant": {"amount": 0, "currency": "USD"}}})),
        "advice ev-2 of tx-1 0.00 USD"
    );
}

#[test]
fn the_oldest_messages_know_one_amount_and_write_the_card_out() {
    let old = |changes: Value| {
        let mut body = json!({
            "token": "tx-1", "card": {"token": "card-1", "last_four": "0001"}, "amount": -1000, "merchant_amount": 1000,
            "merchant_currency": "USD", "merchant": {"acceptor_id": "1", "descriptor": "SHOP"},
            "events": [{"token": "ev-1", "type": "CLEARING", "result": "APPROVED", "amount": 1000,
                "created": "2021-11-21T00:01:00Z"}],
        });
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        lines(&body).remove(0)
    };
    assert_eq!(old(json!({})), "clearing ev-1 of tx-1 10.00 USD");
    // Converted: the event's amount is not the merchant's.
    assert_eq!(old(json!({"merchant_amount": 1400})), "missing_field events[0].amounts.merchant");
    assert_eq!(old(json!({"merchant_currency": null})), "missing_field events[0].amounts.merchant");
    assert_eq!(old(json!({"card": null})), "missing_field card_token");
    assert_eq!(old(json!({"card": {"token": "4242424242424242"}})), "card_number card.token");
    assert_eq!(old(json!({"card_token": "card-2"})), "clearing ev-1 of tx-1 10.00 USD");
}

#[test]
fn what_has_nothing_before_it() {
    let alone = |word: &str, polarity: &str| {
        lines(&snapshot(vec![event(1, word, 4250, json!({"effective_polarity": polarity}))])).remove(0)
    };
    // Offline, or in the place of an issuer who did not answer: then it is the authorization.
    assert_eq!(alone("AUTHORIZATION_ADVICE", "DEBIT"), "authorization ev-1 of tx-1 42.50 USD");
    // Forced, the clearing is its own purchase; a return without one names none.
    assert_eq!(alone("CLEARING", "DEBIT"), "clearing ev-1 of tx-1 42.50 USD");
    assert_eq!(alone("RETURN", "CREDIT"), "refund ev-1 of - 42.50 USD");
    assert_eq!(alone("CLEARING", "CREDIT"), "refund ev-1 of - 42.50 USD");
    assert_eq!(alone("RETURN_REVERSAL", "DEBIT"), "refund_reversal ev-1 of - 42.50 USD");
    // What was refused or only verified is nothing to follow.
    let body = snapshot(vec![
        event(1, "AUTHORIZATION", 4250, json!({"result": "DECLINED"})),
        event(2, "AUTHORIZATION", 0, json!({})),
        event(3, "RETURN", 100, json!({})),
        event(4, "AUTHORIZATION_ADVICE", 4250, json!({})),
        event(5, "AUTHORIZATION_ADVICE", 5000, json!({})),
        event(6, "RETURN", 200, json!({})),
    ]);
    assert_eq!(
        lines(&body),
        [
            "ignored not_approved",
            "ignored account_verification",
            "refund ev-3 of - 1.00 USD",
            "authorization ev-4 of tx-1 42.50 USD",
            "advice ev-5 of tx-1 50.00 USD",
            "refund ev-6 of tx-1 2.00 USD",
        ]
    );
}

#[test]
fn a_single_message_that_the_network_declined_is_taken_back() {
    let refused = event(2, "CLEARING", 4250, json!({"result": "DECLINED"}));
    let body = snapshot(vec![event(1, "FINANCIAL_AUTHORIZATION", 4250, json!({})), refused.clone()]);
    assert_eq!(lines(&body), ["clearing ev-1 of tx-1 42.50 USD", "clearing_reversal ev-2 of tx-1 42.50 USD"]);
    let body = snapshot(vec![event(1, "AUTHORIZATION", 4250, json!({})), refused]);
    assert_eq!(lines(&body), ["authorization ev-1 of tx-1 42.50 USD", "ignored not_approved"]);
}

#[test]
fn other_messages_and_empty_snapshots() {
    let with = |changes: Value| {
        let mut body = snapshot(vec![event(1, "CLEARING", 4250, json!({}))]);
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    for word in ["dispute.updated", "account_holder.created", "card_transaction.enhanced_data.created", "card.created"]
    {
        assert_eq!(lines(&with(json!({"event_type": word}))), ["ignored type_of_no_concern"], "{word}");
    }
    assert_eq!(lines(&with(json!({"event_type": null}))), ["clearing ev-1 of tx-1 42.50 USD"]);
    assert_eq!(lines(&with(json!({"event_type": 7}))), ["wrong_type event_type"]);
    for nothing in [json!([]), json!(null)] {
        assert_eq!(lines(&with(json!({"events": nothing.clone()}))), ["ignored no_events"]);
        assert_eq!(lines(&with(json!({"events": nothing, "event_type": null}))), ["ignored no_events"]);
    }
    assert_eq!(lines(&with(json!({"events": {}}))), ["wrong_type events"]);
    assert_eq!(lines(&with(json!({"events": [null, 7]}))), ["wrong_type events[0]", "wrong_type events[1]"]);
    assert_eq!(lines(&json!({"nothing": "known"})), ["missing_field events"]);
    for (changes, want) in [
        (json!({"token": null}), "missing_field token"),
        (json!({"card_token": null}), "missing_field card_token"),
        (json!({"card_token": "4242424242424242"}), "card_number card_token"),
        (json!({"merchant": null}), "missing_field merchant"),
        (json!({"merchant": {"acceptor_id": "", "descriptor": null}}), "missing_field merchant"),
    ] {
        assert_eq!(lines(&with(changes.clone())), [want], "{changes}");
        // Wrapped as the list of events has it.
        let mut wrapped = json!({"token": "msg_1", "event_type": "card_transaction.updated", "created": "now"});
        wrapped["payload"] = with(changes);
        assert_eq!(
            lines(&wrapped),
            [format!("{} payload.{}", want.split(' ').next().unwrap(), want.split(' ').nth(1).unwrap())]
        );
    }
    let wrapped = json!({"token": "msg_1", "event_type": "card_transaction.updated", "payload": with(json!({}))});
    assert_eq!(messages_of(&wrapped), messages_of(&with(json!({}))));
    assert_eq!(lines(&json!({"event_type": "card_transaction.updated", "payload": 7})), ["wrong_type payload"]);
    for (body, code) in [
        (json!([]), "wrong_shape"),
        (json!(7), "wrong_shape"),
        (with(json!({"events": vec![0; BATCH_MESSAGES_MAX + 1]})), "batch_too_large"),
    ] {
        assert_eq!(read(&body.to_string()).unwrap_err().problem.code, code);
    }
    assert_eq!(messages_of(&with(json!({"events": vec![0; BATCH_MESSAGES_MAX]}))).len(), BATCH_MESSAGES_MAX);
    let twice = with(json!({})).to_string().replacen("\"token\":\"tx-1\"", "\"token\":\"tx-1\",\"token\":\"tx-2\"", 1);
    assert_eq!(read(&twice).unwrap().messages.into_iter().map(line).collect::<Vec<_>>(), ["duplicate_key token"]);
}

#[test]
fn where_and_how() {
    let body = snapshot(vec![event(1, "CLEARING", 4250, json!({}))]);
    let Message::Event(found) = messages_of(&body).remove(0) else { panic!() };
    assert_eq!(
        found.merchant,
        MerchantMark {
            scheme: Some("visa".into()),
            mid: Some("000445566778899".into()),
            acquirer: Some("333301802529120".into()),
            descriptor: Some("SQ *BLUE BOTTLE".into()),
            mcc: Some(5814),
            store_id: None,
            country: Some("US".into()),
            postcode: Some("94607".into()),
            terminal: Some("T1".into()),
        }
    );
    assert_eq!((found.card.as_str(), found.channel), ("card-1", Channel::InStore));
    assert_eq!(found.occurred_at.to_string(), "2026-11-21T00:01:00Z");
    assert_eq!(found.posted_at, Some(found.occurred_at));
    let mut online = body.clone();
    online["pos"] = json!({"entry_mode": {"pan": "ECOMMERCE"}});
    online["network"] = json!("UNKNOWN");
    let Message::Event(found) = messages_of(&online).remove(0) else { panic!() };
    assert_eq!((found.channel, found.merchant.scheme, found.merchant.terminal), (Channel::Online, None, None));
    online["events"][0]["created"] = json!("2026-11-21T00:01:00.25");
    let Message::Event(found) = messages_of(&online).remove(0) else { panic!() };
    assert_eq!((found.occurred_at.to_string().as_str(), found.clock), ("2026-11-21T00:01:00.25Z", Clock::Utc));
}

fn any_events() -> impl Strategy<Value = Vec<Value>> {
    let word = prop::sample::select(vec![
        "AUTHORIZATION",
        "AUTHORIZATION_ADVICE",
        "AUTHORIZATION_EXPIRY",
        "AUTHORIZATION_REVERSAL",
        "BALANCE_INQUIRY",
        "CLEARING",
        "CORRECTION_CREDIT",
        "CORRECTION_DEBIT",
        "CREDIT_AUTHORIZATION",
        "FINANCIAL_AUTHORIZATION",
        "FINANCIAL_CREDIT_AUTHORIZATION",
        "RETURN",
        "RETURN_REVERSAL",
        "TELEPORT",
    ]);
    let polarity = prop::sample::select(vec![json!("CREDIT"), json!("DEBIT"), json!(null)]);
    let result = prop::sample::select(vec!["APPROVED", "APPROVED", "DECLINED"]);
    prop::collection::vec((word, polarity, result, -3..5000_i64), 1..12).prop_map(|all| {
        let numbered = all.into_iter().enumerate();
        numbered
            .map(|(at, (word, polarity, result, minor))| {
                event(at, word, minor, json!({"effective_polarity": polarity, "result": result}))
            })
            .collect()
    })
}

proptest! {
    /// Each later snapshot tells the earlier events in the same words.
    #[test]
    fn what_was_told_is_told_the_same_again(events in any_events()) {
        let all = messages_of(&snapshot(events.clone()));
        for seen in 1..events.len() {
            prop_assert_eq!(&messages_of(&snapshot(events[..seen].to_vec())), &all[..seen]);
        }
    }

    /// In whatever order they are listed.
    #[test]
    fn the_order_of_the_list_says_nothing(events in any_events()) {
        let told = messages_of(&snapshot(events.clone()));
        let mut other = messages_of(&snapshot(events.into_iter().rev().collect()));
        other.reverse();
        for (one, other) in told.into_iter().zip(other) {
            if !matches!(one, Message::Impossible { .. }) {
                prop_assert_eq!(one, other);
            }
        }
    }

    #[test]
    fn nothing_refused_counts_and_each_event_keeps_its_key(events in any_events()) {
        let single = |event: &Value| event["type"] == "FINANCIAL_AUTHORIZATION" && event["result"] == "APPROVED";
        let has_single = events.iter().any(single);
        for (event, message) in events.iter().zip(messages_of(&snapshot(events.clone()))) {
            if let Message::Event(told) = message {
                prop_assert_eq!(told.key.as_str(), event["token"].as_str().unwrap());
                prop_assert!(told.purchase.is_none_or(|id| id.as_str() == "tx-1"));
                let taken_back = told.kind == EventKind::ClearingReversal && has_single;
                prop_assert!(event["result"] == "APPROVED" || taken_back);
            }
        }
    }
}
