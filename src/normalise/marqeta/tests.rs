//! The contract by tables, and what must hold for any message.

use super::*;
use crate::domain::Currency;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A valid body of each kind, for the tests that hold for every dialect.
pub(in super::super) fn valid() -> Vec<(EventKind, Value)> {
    [
        (EventKind::Authorization, "authorization"),
        (EventKind::Increment, "authorization.incremental"),
        (EventKind::Advice, "authorization.advice"),
        (EventKind::Reversal, "authorization.reversal"),
        (EventKind::Expiry, "authorization.reversal.issuerexpiration"),
        (EventKind::Clearing, "authorization.clearing"),
        (EventKind::ClearingReversal, "pindebit.reversal"),
        (EventKind::Refund, "refund"),
        (EventKind::RefundReversal, "pindebit.refund.reversal"),
        (EventKind::Chargeback, "authorization.clearing.chargeback"),
        (EventKind::ChargebackReversal, "authorization.clearing.chargeback.reversal"),
    ]
    .map(|(kind, word)| (kind, json!({"transactions": [transaction(json!({"type": word, (PRECEDING): "auth-1"}))]})))
    .to_vec()
}

/// An approved transaction of 42.50 with fields replaced; null takes one away.
fn transaction(changes: Value) -> Value {
    let mut made = json!({
        "type": "authorization", "state": "PENDING", "token": "tx-1", "card_token": "card-1",
        "amount": 42.50, "request_amount": 42.50, "currency_code": "USD",
        "created_time": "2026-11-21T19:58:00Z", "user_transaction_time": "2026-11-21T19:56:00Z",
        "settlement_date": "2026-11-22T00:00:00Z", "network": "VISA",
        "response": {"code": "0000", "memo": "Approved or completed successfully"},
        "acquirer": {"institution_id_code": "428399181"},
        "card_acceptor": {"mid": "000445566778899", "mcc": "5814", "name": "BLUE BOTTLE 0123", "city": "Oakland",
            "country_code": "USA", "postal_code": "94607     "},
        "pos": {"terminal_id": "T1"},
    });
    for (name, value) in changes.as_object().unwrap() {
        made[name] = value.clone();
    }
    made
}

fn one(body: &Value) -> Message {
    let read = read(&body.to_string()).unwrap();
    assert_eq!(read.messages.len(), 1);
    read.messages.into_iter().next().unwrap()
}

/// An event in one line, or why there is none.
fn told(changes: Value) -> String {
    line(one(&transaction(changes)))
}

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

#[test]
fn each_published_type() {
    for (kind, types) in [
        (
            "authorization tx-1 of auth-1 42.50 USD",
            "authorization authorization.atm.withdrawal authorization.cashback authorization.quasi.cash \
             authorization.standin account.funding.authorization pindebit.authorization transaction.authorization",
        ),
        ("increment tx-1 of auth-1 42.50 USD", "authorization.incremental"),
        ("advice tx-1 of auth-1 42.50 USD", "authorization.advice"),
        (
            "reversal tx-1 of auth-1 42.50 USD",
            "authorization.reversal account.funding.authorization.reversal pindebit.authorization.reversal",
        ),
        (
            "expiry tx-1 of auth-1 all",
            "authorization.reversal.issuerexpiration pindebit.authorization.reversal.issuerexpiration",
        ),
        (
            "clearing tx-1 of auth-1 42.50 USD",
            "authorization.clearing authorization.clearing.atm.withdrawal authorization.clearing.cashback \
             authorization.clearing.quasi.cash account.funding.authorization.clearing \
             account.funding.auth_plus_capture pindebit pindebit.atm.withdrawal pindebit.authorization.clearing \
             pindebit.cashback pindebit.quasi.cash pindebit.quasicash transaction.pindebit",
        ),
        ("clearing_reversal tx-1 of auth-1 42.50 USD", "pindebit.reversal account.funding.auth_plus_capture.reversal"),
        ("refund tx-1 of auth-1 42.50 USD", "refund pindebit.refund pindebit.credit.adjustment"),
        // What they name is a credit and no purchase.
        ("refund tx-1 of - 42.50 USD", "refund.authorization.clearing"),
        ("refund_reversal tx-1 of - 42.50 USD", "pindebit.refund.reversal"),
        ("refund_reversal tx-1 of auth-1 42.50 USD", "pindebit.debit.adjustment"),
        ("chargeback tx-1 of auth-1 42.50 USD", "authorization.clearing.chargeback pindebit.chargeback"),
        (
            "chargeback_reversal tx-1 of auth-1 42.50 USD",
            "authorization.clearing.chargeback.reversal pindebit.chargeback.reversal",
        ),
        (
            "ignored told_by_its_chargeback",
            "authorization.clearing.chargeback.completed authorization.clearing.chargeback.provisional.credit \
             authorization.clearing.chargeback.provisional.debit authorization.clearing.chargeback.writeoff \
             authorization.clearing.chargeback.representment authorization.clearing.representment \
             pindebit.chargeback.completed pindebit.chargeback.provisional.credit pindebit.representment \
             pindebit.chargeback.provisional.debit pindebit.chargeback.writeoff",
        ),
        (
            "ignored refund_not_cleared",
            "refund.authorization refund.authorization.advice refund.authorization.reversal",
        ),
        (
            "ignored account_verification",
            "balanceinquiry pindebit.balanceinquiry pindebit.checkavs address.verification",
        ),
        (
            "ignored type_of_no_concern",
            "gpa.credit gpa.debit.pending gpa.credit.chargeback msa.credit original.credit.authorization \
             original.credit.authorization.clearing original.credit.auth_plus_capture transfer.peer fee.charge \
             directdeposit.credit ach.pull token.advice unknown transaction.unknown funds.expire dispute.credit \
             chargeback.pfs.debit pushtocard.debit authorization.pin.change authorization.clearing.l2l3 \
             authorization.clearing.network.fee pindebit.transfer pindebit.financial.deposit",
        ),
        ("unknown_type type", "authorization.teleport pindebit.magic refund.twice account.funding.else"),
    ] {
        for word in types.split_ascii_whitespace() {
            assert_eq!(told(json!({"type": word, (PRECEDING): "auth-1"})), kind, "{word}");
        }
    }
}

#[test]
fn what_names_nothing_opens_a_purchase_or_names_none() {
    for (word, want) in [
        ("authorization", "authorization tx-1 of tx-1 42.50 USD"),
        ("authorization.clearing", "clearing tx-1 of tx-1 42.50 USD"),
        ("pindebit", "clearing tx-1 of tx-1 42.50 USD"),
        ("authorization.advice", "authorization tx-1 of tx-1 42.50 USD"),
        ("authorization.incremental", "authorization tx-1 of tx-1 42.50 USD"),
        ("refund", "refund tx-1 of - 42.50 USD"),
        ("pindebit.refund", "refund tx-1 of - 42.50 USD"),
        ("authorization.clearing.chargeback", "chargeback tx-1 of - 42.50 USD"),
        ("authorization.reversal", "missing_field preceding_related_transaction_token"),
        ("authorization.reversal.issuerexpiration", "missing_field preceding_related_transaction_token"),
    ] {
        assert_eq!(told(json!({"type": word})), want, "{word}");
        assert_eq!(told(json!({"type": word, (PRECEDING): null})), want, "{word}");
    }
    // The first of the chain, where it is told, is the purchase; the one before may be an increment.
    let chain = json!({"type": "authorization.clearing", (PRECEDING): "inc-1", "original_transaction_token": "auth-1"});
    assert_eq!(told(chain), "clearing tx-1 of auth-1 42.50 USD");
}

#[test]
fn only_what_was_approved_counts() {
    let approved = "authorization tx-1 of tx-1 42.50 USD";
    for (state, response, want) in [
        (json!("PENDING"), json!(null), approved),
        (json!("CLEARED"), json!({"code": "0000"}), approved),
        (json!("COMPLETION"), json!({"code": "0002"}), approved),
        (json!("VOID"), json!(null), approved),
        (json!("DECLINED"), json!({"code": "1016"}), "ignored not_approved"),
        (json!("ERROR"), json!({"code": "0000"}), "ignored not_approved"),
        (json!("PONDERING"), json!(null), "unknown_state state"),
        (json!(7), json!(null), "wrong_type state"),
        (json!(null), json!({"code": "0000"}), approved),
        (json!(null), json!({"code": "1830"}), approved),
        (json!(null), json!({"code": "1016"}), "ignored not_approved"),
        (json!(null), json!({}), "missing_field state"),
        (json!(null), json!(null), "missing_field state"),
    ] {
        assert_eq!(told(json!({"state": state.clone(), "response": response})), want, "{state}");
    }
    // A declined attempt need not make sense, nor be of a type we know.
    assert_eq!(told(json!({"state": "DECLINED", "amount": "much", "card_token": null})), "ignored not_approved");
    assert_eq!(told(json!({"state": "DECLINED", "type": "authorization.teleport"})), "ignored not_approved");
}

#[test]
fn amounts_are_the_merchants_without_rounding() {
    let abroad = |amount: Value, code: Value| json!({"network": {"original_amount": amount, "original_currency_code": code, "conversion_rate": 4.894582}});
    for (changes, amount, billing) in [
        (json!({}), "42.50 USD", "42.50 USD"),
        (json!({"amount": "10.17", "request_amount": null}), "10.17 USD", "10.17 USD"),
        (json!({"amount": 1500, "request_amount": 1500.00, "currency_code": "JPY"}), "1500 JPY", "1500 JPY"),
        (json!({"currency_conversion": abroad(json!(8.68), json!("826"))}), "8.68 GBP", "42.50 USD"),
        (json!({"currency_conversion": abroad(json!(6375.0), json!("392"))}), "6375 JPY", "42.50 USD"),
        (json!({"currency_conversion": abroad(json!(13.025), json!("414"))}), "13.025 KWD", "42.50 USD"),
        (json!({"currency_conversion": abroad(json!(8.68), json!("GBP"))}), "8.68 GBP", "42.50 USD"),
        (json!({"currency_conversion": abroad(json!(8.68), json!(826))}), "8.68 GBP", "42.50 USD"),
        // The same currency once more says nothing new.
        (json!({"currency_conversion": abroad(json!(40), json!("840"))}), "42.50 USD", "42.50 USD"),
        (json!({"currency_conversion": {}}), "42.50 USD", "42.50 USD"),
        (json!({"currency_conversion": {"network": null}}), "42.50 USD", "42.50 USD"),
        // Approved in part: which part of the original is meant is not said.
        (
            json!({"request_amount": 50, "currency_conversion": abroad(json!(10.21), json!("826"))}),
            "42.50 USD",
            "42.50 USD",
        ),
    ] {
        let Message::Event(event) = one(&transaction(changes.clone())) else { panic!("{changes}") };
        let found = (event.amount.unwrap().to_string(), event.billing.unwrap().to_string());
        assert_eq!(found, (amount.to_owned(), billing.to_owned()), "{changes}");
    }
    for (changes, want) in [
        (json!({"amount": -42.50}), "amount_negative amount"),
        (json!({"amount": 42.505}), "amount_not_exact amount"),
        (json!({"amount": null}), "missing_field amount"),
        (json!({"amount": [42]}), "wrong_type amount"),
        (json!({"amount": "4,250.00"}), "bad_amount amount"),
        (json!({"currency_code": null}), "missing_field currency_code"),
        (json!({"currency_code": "DOLLAR"}), "unknown_currency currency_code"),
        (
            json!({"currency_conversion": abroad(json!(-8.68), json!("826"))}),
            "amount_negative currency_conversion.network.original_amount",
        ),
        (
            json!({"currency_conversion": abroad(json!(8.68), json!("000"))}),
            "unknown_currency currency_conversion.network.original_currency_code",
        ),
        (json!({"amount": 0, "request_amount": 0}), "ignored account_verification"),
        (json!({"type": "authorization.clearing", "amount": 0.00}), "ignored moves_nothing"),
        (json!({"type": "authorization.advice", "amount": 0, (PRECEDING): "a"}), "advice tx-1 of a 0.00 USD"),
        (json!({"type": "authorization.advice", "amount": 0}), "ignored account_verification"),
    ] {
        assert_eq!(told(changes.clone()), want, "{changes}");
    }
}

#[test]
fn wrong_fields_are_named() {
    for (changes, want) in [
        (json!({"type": null}), "missing_field type"),
        (json!({"token": null}), "missing_field token"),
        (json!({"token": ""}), "bad_identifier token"),
        (json!({"card_token": null}), "missing_field card_token"),
        (json!({"card_token": "4242424242424242"}), "card_number card_token"),
        (json!({(PRECEDING): 7}), "wrong_type preceding_related_transaction_token"),
        (json!({"user_transaction_time": "soon"}), "bad_time user_transaction_time"),
        (json!({"user_transaction_time": null, "created_time": null}), "missing_field user_transaction_time"),
        (json!({"card_acceptor": null}), "missing_field card_acceptor"),
        (json!({"card_acceptor": {"mid": "", "name": null}}), "missing_field card_acceptor"),
        (json!({"card_acceptor": []}), "wrong_type card_acceptor"),
    ] {
        assert_eq!(told(changes.clone()), want, "{changes}");
    }
    // In a batch with its place; the others are taken.
    let body = json!({"transactions": [transaction(json!({})), 7, transaction(json!({"amount": -1})), null]});
    let read = read(&body.to_string()).unwrap();
    assert!(read.batch);
    assert_eq!(
        read.messages.into_iter().map(line).collect::<Vec<_>>(),
        [
            "authorization tx-1 of tx-1 42.50 USD",
            "wrong_type transactions[1]",
            "amount_negative transactions[2].amount",
            "wrong_type transactions[3]",
        ]
    );
    let wrapped = json!({"transaction": transaction(json!({"amount": -1})), "raw_iso8583": {"2": "1111118333398836"}});
    assert_eq!(line(one(&wrapped)), "amount_negative transaction.amount");
    assert_eq!(line(one(&json!({"transaction": 1}))), "wrong_type transaction");
    let twice = transaction(json!({})).to_string().replacen("\"amount\":", "\"amount\":1,\"amount\":", 1);
    let message = super::read(&twice).unwrap().messages.remove(0);
    assert_eq!(line(message), "duplicate_key amount");
}

#[test]
fn bodies_of_other_families_are_ignored() {
    for body in [
        json!({"cardtransitions": [{"token": "t", "state": "ACTIVE"}]}),
        json!({"usertransitions": [{"token": "t", "status": "ACTIVE"}]}),
        json!({"digitalwallettokentransitions": []}),
        json!({"chargebacktransitions": [{"type": "case.won"}]}),
        json!({"threedstransitions": [{"type": "initialization"}]}),
        json!({"pings": [{"token": "marqeta", "payload": "test"}]}),
        json!({"cards": [{}]}),
        json!({"users": [{}]}),
    ] {
        assert_eq!(line(one(&body)), "ignored no_transaction", "{body}");
    }
    for (body, code) in [
        (json!([]), "wrong_shape"),
        (json!("transactions"), "wrong_shape"),
        (json!({"transactions": {}}), "wrong_shape"),
        (json!({"transactions": []}), "batch_empty"),
        (json!({"transactions": vec![0; BATCH_MESSAGES_MAX + 1]}), "batch_too_large"),
    ] {
        assert_eq!(read(&body.to_string()).unwrap_err().problem.code, code);
    }
    let twice = r#"{"transactions":[1],"transactions":[2]}"#;
    assert_eq!(read(twice).unwrap_err().problem.code, "wrong_shape");
    assert_eq!(line(one(&json!({"nothing": "known"}))), "missing_field type");
}

#[test]
fn where_and_when() {
    let made = transaction(json!({
        "type": "authorization.clearing", (PRECEDING): "auth-1",
        "multi_clearing_sequence_number": "02", "multi_clearing_sequence_count": "04",
        "transaction_metadata": {"payment_channel": "ECOMMERCE"},
        "card_acceptor": {"mid": "0044", "network_mid": "777", "name": "SHOP 4242424242424242", "mcc": "0000",
            "country": "GBR", "zip": "SW1", "poi": {"tid": "P7"}},
        "pos": {"terminal_id": "00000000"},
    }));
    let Message::Event(event) = one(&made) else { panic!() };
    assert_eq!(event.sequence, Some(Sequence { number: 2, count: Some(4) }));
    assert_eq!(event.channel, Channel::Online);
    assert_eq!(
        event.merchant,
        MerchantMark {
            scheme: Some("visa".into()),
            mid: Some("0044".into()),
            acquirer: Some("428399181".into()),
            descriptor: Some("SHOP ************4242".into()),
            mcc: None,
            store_id: Some("777".into()),
            country: Some("GB".into()),
            postcode: Some("SW1".into()),
            terminal: Some("P7".into()),
        }
    );
    // The purchase's own time, and when it was posted.
    assert_eq!(event.occurred_at.to_string(), "2026-11-21T19:56:00Z");
    assert_eq!(event.posted_at.unwrap().to_string(), "2026-11-21T19:58:00Z");
    // What changes an authorization counts from its own time on.
    for word in ["authorization.incremental", "authorization.advice", "authorization.reversal"] {
        let Message::Event(event) = one(&transaction(json!({"type": word, (PRECEDING): "auth-1"}))) else { panic!() };
        assert_eq!((event.occurred_at.to_string().as_str(), event.posted_at), ("2026-11-21T19:58:00Z", None), "{word}");
    }
    for (number, count, want) in [
        (json!("01"), json!("99"), Some((1, None))),
        (json!("03"), json!("02"), Some((3, None))),
        (json!("00"), json!("00"), None),
        (json!("x"), json!("02"), None),
        (json!(null), json!("02"), None),
        (json!(1), json!(2), Some((1, Some(2)))),
    ] {
        let made = transaction(json!({"type": "authorization.clearing",
            "multi_clearing_sequence_number": number, "multi_clearing_sequence_count": count}));
        let Message::Event(event) = one(&made) else { panic!() };
        assert_eq!(event.sequence.map(|s| (s.number, s.count)), want);
    }
}

/// A hotel stay: every message names the authorization, and only it.
#[test]
fn a_whole_life_is_one_purchase() {
    let lines: Vec<_> = [
        ("a", "authorization", None, 100),
        ("b", "authorization.incremental", Some("a"), 50),
        ("c", "authorization.reversal", Some("a"), 20),
        ("d", "authorization.clearing", Some("a"), 90),
        ("e", "authorization.clearing", Some("a"), 40),
        ("f", "authorization.reversal.issuerexpiration", Some("a"), 0),
        ("g", "authorization.clearing.chargeback", Some("a"), 40),
        ("h", "authorization.clearing.chargeback.provisional.credit", Some("a"), 40),
        ("i", "authorization.clearing.chargeback.reversal", Some("a"), 40),
        ("j", "refund", None, 90),
    ]
    .map(|(token, word, before, amount)| {
        told(json!({"token": token, "type": word, (PRECEDING): before, "amount": amount, "request_amount": amount}))
    })
    .to_vec();
    assert_eq!(
        lines,
        [
            "authorization a of a 100.00 USD",
            "increment b of a 50.00 USD",
            "reversal c of a 20.00 USD",
            "clearing d of a 90.00 USD",
            "clearing e of a 40.00 USD",
            "expiry f of a all",
            "chargeback g of a 40.00 USD",
            "ignored told_by_its_chargeback",
            "chargeback_reversal i of a 40.00 USD",
            "refund j of - 90.00 USD",
        ]
    );
}

proptest! {
    #[test]
    fn a_purchase_is_only_ever_one_that_is_named(
        place in 0..11_usize,
        before in prop::option::of("[a-z]{1,8}"),
        first in prop::option::of("[a-z]{1,8}"),
    ) {
        let word = valid()[place].1["transactions"][0]["type"].clone();
        let made = transaction(json!({"type": word, (PRECEDING): before.clone(), (ORIGINAL): first.clone()}));
        if let Message::Event(event) = one(&made) {
            let named = [Some("tx-1".to_owned()), before, first];
            prop_assert!(event.purchase.is_none_or(|id| named.contains(&Some(id.to_string()))));
            prop_assert_eq!(event.key.as_str(), "tx-1");
        }
    }

    #[test]
    fn no_amount_is_rounded(minor in 1..=field::AMOUNT_MAX, code in prop::sample::select(vec!["USD", "JPY", "KWD"])) {
        let currency = Currency::parse(code).unwrap();
        let shown = Money::new(minor, currency).to_string();
        let amount = shown.split(' ').next().unwrap();
        let body = transaction(json!({"amount": "HERE", "request_amount": null, "currency_code": code}));
        let body = body.to_string().replacen("\"HERE\"", amount, 1);
        let message = read(&body).unwrap().messages.remove(0);
        prop_assert!(matches!(message, Message::Event(event) if event.amount == Some(Money::new(minor, currency))));
    }

    /// A transaction that is asked for later is in another state, and still the same.
    #[test]
    fn the_state_leaves_no_trace(place in 0..11_usize, state in prop::sample::select(vec!["CLEARED", "COMPLETION", "VOID"])) {
        let mut body = valid()[place].1.clone();
        let before = read(&body.to_string());
        body["transactions"][0]["state"] = json!(state);
        prop_assert_eq!(read(&body.to_string()), before);
    }
}
