//! Each bad offer is refused with its code and the path of the fault.

use super::*;
use crate::api::read::{Unread, parse};
use serde_json::{Value, json};

fn whole() -> Value {
    json!({
        "merchant": "blue-bottle", "title": "5% back before noon", "currency": "USD",
        "reward": {"kind": "percent", "basis_points": 500, "max_minor": 1000},
        "when": {"all": [{"spend_at_least_minor": 500},
                         {"local_time": {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "06:00", "to": "12:00"}}]},
        "starts": "2026-11-01T00:00", "ends": "2026-12-01T00:00",
        "budget_minor": 500_000,
        "limits": {"per_member": {"count": 4, "every": "month"}, "reward_per_member_minor": 2000},
        "activation": "required", "stacking": {"group": "coffee", "mode": "exclusive", "priority": 10},
        "hold_days": 14, "holdout_percent": 10, "allow_cash_like": false, "funding": "merchant", "beneficiary": "member"
    })
}

/// The whole offer with one value changed, by JSON pointer; `None` removes it.
fn changed(pointer: &str, value: Option<Value>) -> Vec<u8> {
    let mut offer = whole();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = offer.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(map), Some(value)) => drop(map.insert(key.to_owned(), value)),
        (Value::Object(map), None) => drop(map.remove(key)),
        (Value::Array(list), Some(value)) => list[key.parse::<usize>().unwrap()] = value,
        _ => panic!("{pointer} leads nowhere"),
    }
    serde_json::to_vec(&offer).unwrap()
}

#[test]
fn the_offer_of_the_interface_reads_back_as_it_was_written() {
    let document: OfferDocument = parse(&serde_json::to_vec(&whole()).unwrap()).unwrap();
    let terms = document.into_terms().unwrap();
    let Condition::All(all) = &terms.when else { panic!("{:?}", terms.when) };
    assert_eq!(all[1], Condition::local_time(0b1_1111, 360, 720));
    assert_eq!(serde_json::to_value(OfferDocument::of(&terms)).unwrap(), whole());
}

#[test]
fn little_is_enough() {
    let text = br#"{"merchant":"m","title":"T","currency":"EUR","reward":{"kind":"fixed","amount_minor":100}}"#;
    let terms = parse::<OfferDocument>(text).unwrap().into_terms().unwrap();
    assert_eq!(
        (terms.activation, terms.stacking.mode, terms.hold_days),
        (Activation::Required, StackingMode::Combine, 0)
    );
    assert!(terms.when == Condition::always() && terms.budget_minor.is_none() && !terms.cash_like);
}

#[test]
fn every_fault_has_its_place() {
    let window = |from: &str, to: &str| Some(json!({"local_time": {"from": from, "to": to}}));
    let cases = [
        ("/colour", Some(json!(1)), "unknown_field", "colour"),
        ("/reward/colour", Some(json!(1)), "unknown_field", "reward.colour"),
        ("/when/all/0", Some(json!({"mcc": 1})), "unknown_field", "when.all[0].mcc"),
        ("/when/any", Some(json!([])), "unknown_field", "when.any"),
        ("/merchant", None, "missing_field", "merchant"),
        ("/title", None, "missing_field", "title"),
        ("/reward/kind", None, "missing_field", "reward.kind"),
        ("/reward/basis_points", None, "missing_field", "reward.basis_points"),
        ("/limits/per_member/every", None, "missing_field", "limits.per_member.every"),
        ("/merchant", Some(json!("")), "bad_value", "merchant"),
        ("/title", Some(json!("4242 4242 4242 4242")), "card_number", "title"),
        ("/title", Some(json!("x".repeat(201))), "too_long", "title"),
        ("/currency", Some(json!("usd")), "bad_value", "currency"),
        ("/reward/kind", Some(json!("points")), "bad_value", "reward.kind"),
        ("/reward/kind", Some(json!("fixed")), "contradiction", "reward.basis_points"),
        ("/reward/amount_minor", Some(json!(5)), "contradiction", "reward.amount_minor"),
        ("/reward/basis_points", Some(json!(0)), "bad_value", "reward.basis_points"),
        ("/reward/basis_points", Some(json!(10_001)), "bad_value", "reward.basis_points"),
        ("/reward/basis_points", Some(json!(-1)), "bad_value", "reward.basis_points"),
        ("/reward/basis_points", Some(json!(1.5)), "wrong_type", "reward.basis_points"),
        ("/reward/max_minor", Some(json!(0)), "bad_value", "reward.max_minor"),
        ("/reward/max_minor", Some(json!(500_001)), "contradiction", "reward.max_minor"),
        ("/reward", Some(json!({"kind": "fixed", "amount_minor": 500_001})), "contradiction", "reward.amount_minor"),
        ("/reward", Some(json!({"kind": "fixed", "amount_minor": 2001})), "contradiction", "reward.amount_minor"),
        ("/when/all/0", Some(json!({})), "bad_value", "when.all[0]"),
        ("/when/all/0/spend_at_least_minor", Some(json!(0)), "bad_value", "when.all[0].spend_at_least_minor"),
        ("/when/all/1/local_time/days", Some(json!([])), "bad_value", "when.all[1].local_time.days"),
        ("/when/all/1/local_time/days", Some(json!(["mon", "mon"])), "contradiction", "when.all[1].local_time.days[1]"),
        ("/when/all/1/local_time/days", Some(json!(["monday"])), "bad_value", "when.all[1].local_time.days[0]"),
        ("/when/all/1", window("06:00", "06:00"), "contradiction", "when.all[1].local_time.to"),
        ("/when/all/1", window("24:00", "06:00"), "bad_value", "when.all[1].local_time.from"),
        ("/when/all/1", window("6:00", "12:00"), "bad_value", "when.all[1].local_time.from"),
        ("/when/all/1", window("06:00", "24:01"), "bad_value", "when.all[1].local_time.to"),
        ("/when/all/1", window("06:00", "99:99"), "bad_value", "when.all[1].local_time.to"),
        ("/starts", Some(json!("2026-11-01T00:00Z")), "bad_value", "starts"),
        ("/starts", Some(json!("2026-11-01T00:00-05:00")), "bad_value", "starts"),
        ("/starts", Some(json!("2026-02-30T00:00")), "bad_value", "starts"),
        ("/ends", Some(json!("2026-11-01T00:00")), "contradiction", "ends"),
        ("/budget_minor", Some(json!(0)), "bad_value", "budget_minor"),
        ("/budget_minor", Some(json!(i64::MAX)), "bad_value", "budget_minor"),
        ("/limits/per_member/count", Some(json!(0)), "bad_value", "limits.per_member.count"),
        ("/limits/per_member/every", Some(json!("hour")), "bad_value", "limits.per_member.every"),
        ("/limits/reward_per_member_minor", Some(json!(0)), "bad_value", "limits.reward_per_member_minor"),
        ("/activation", Some(json!("optional")), "bad_value", "activation"),
        ("/stacking/mode", Some(json!("both")), "bad_value", "stacking.mode"),
        ("/stacking/group", Some(json!("")), "bad_value", "stacking.group"),
        ("/hold_days", Some(json!(366)), "bad_value", "hold_days"),
        ("/holdout_percent", Some(json!(101)), "bad_value", "holdout_percent"),
        ("/funding", Some(json!("operator")), "bad_value", "funding"),
        ("/beneficiary", Some(json!("referrer")), "bad_value", "beneficiary"),
    ];
    for (pointer, value, code, path) in cases {
        let body = changed(pointer, value);
        let text = String::from_utf8_lossy(&body).into_owned();
        let fault = match parse::<OfferDocument>(&body).map(OfferDocument::into_terms) {
            Ok(Err(fault)) | Err(Unread::Fault(fault)) => fault,
            other => panic!("{text} is taken as {other:?}"),
        };
        assert_eq!((fault.code, fault.path.as_str()), (code, path), "{}: {text}", fault.detail);
        assert!(!fault.detail.is_empty() && !fault.detail.contains("4242 4242"), "{fault:?}");
    }
}
