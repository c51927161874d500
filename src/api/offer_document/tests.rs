//! Each bad offer is refused with its code and the path of the fault.

use super::*;
use crate::api::check::Fault;
use crate::api::read::{Unread, parse};
use crate::domain::offer::Condition;
use serde_json::{Value, json};

fn id() -> OfferId {
    OfferId::new("mornings").unwrap()
}

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
    let terms = document.into_terms(&id()).unwrap();
    let Condition::All(all) = &terms.when else { panic!("{:?}", terms.when) };
    assert_eq!(all[1], Condition::local_time(0b1_1111, 360, 720));
    assert_eq!(serde_json::to_value(OfferDocument::of(&terms)).unwrap(), whole());
}

#[test]
fn little_is_enough() {
    let text = br#"{"merchant":"m","title":"T","currency":"EUR","reward":{"kind":"fixed","amount_minor":100}}"#;
    let terms = parse::<OfferDocument>(text).unwrap().into_terms(&id()).unwrap();
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
        ("/when/all/0", Some(json!({"colour": 1})), "unknown_field", "when.all[0].colour"),
        ("/when/any", Some(json!([])), "contradiction", "when"),
        ("/when", Some(json!({"any": []})), "contradiction", "when.any"),
        ("/when", Some(json!([])), "wrong_type", "when"),
        ("/when/all/0", Some(json!({"mcc": 1})), "wrong_type", "when.all[0].mcc"),
        ("/merchant", None, "missing_field", "merchant"),
        ("/title", None, "missing_field", "title"),
        ("/reward/kind", None, "missing_field", "reward.kind"),
        ("/reward/basis_points", None, "missing_field", "reward.basis_points"),
        ("/limits/per_member/every", None, "missing_field", "limits.per_member.every"),
        ("/merchant", Some(json!("")), "bad_value", "merchant"),
        ("/title", Some(json!("4242 4242 4242 4242")), "card_number", "title"),
        ("/title", Some(json!("x".repeat(201))), "too_long", "title"),
        ("/currency", Some(json!("usd")), "bad_value", "currency"),
        ("/reward/kind", Some(json!("miles")), "bad_value", "reward.kind"),
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
        ("/daily_budget_minor", Some(json!(0)), "bad_value", "daily_budget_minor"),
        ("/budget_minor", Some(json!(i64::MAX)), "bad_value", "budget_minor"),
        ("/limits/per_member/count", Some(json!(0)), "bad_value", "limits.per_member.count"),
        ("/limits/per_member/every", Some(json!("hour")), "bad_value", "limits.per_member.every"),
        ("/limits/reward_per_member_minor", Some(json!(0)), "bad_value", "limits.reward_per_member_minor"),
        ("/activation", Some(json!("optional")), "bad_value", "activation"),
        ("/stacking/mode", Some(json!("both")), "bad_value", "stacking.mode"),
        ("/stacking/group", Some(json!("")), "bad_value", "stacking.group"),
        ("/hold_days", Some(json!(366)), "bad_value", "hold_days"),
        ("/holdout_percent", Some(json!(101)), "bad_value", "holdout_percent"),
        ("/funding", Some(json!("members")), "bad_value", "funding"),
        ("/funding", Some(json!({"merchant_basis_points": 10_001})), "bad_value", "funding.merchant_basis_points"),
        ("/funding", Some(json!({"colour": 1})), "unknown_field", "funding.colour"),
        ("/beneficiary", Some(json!("referrer")), "bad_value", "beneficiary"),
    ];
    for (pointer, value, code, path) in cases {
        let body = changed(pointer, value);
        let text = String::from_utf8_lossy(&body).into_owned();
        let fault = fault(&body);
        assert_eq!((fault.code, fault.path.as_str()), (code, path), "{}: {text}", fault.detail);
        assert!(!fault.detail.is_empty() && !fault.detail.contains("4242 4242"), "{fault:?}");
    }
}

/// The one fault of a body, or the first of several.
fn fault(body: &[u8]) -> Fault {
    match parse::<OfferDocument>(body).map(|document| document.into_terms(&id())) {
        Ok(Err(faults)) => faults.list()[0].clone(),
        Err(Unread::Fault(fault)) => fault,
        other => panic!("{} is taken as {other:?}", String::from_utf8_lossy(body)),
    }
}

/// An offer with these keys besides what every offer needs.
fn plain(more: Value) -> Value {
    let mut offer = json!({"merchant": "m", "title": "T", "currency": "USD", "activation": "automatic",
                           "reward": {"kind": "fixed", "amount_minor": 500}});
    let Value::Object(more) = more else { panic!("keys are wanted") };
    offer.as_object_mut().unwrap().extend(more);
    offer
}

fn read_plain(more: Value) -> Terms {
    let body = serde_json::to_vec(&plain(more)).unwrap();
    let document: OfferDocument = parse(&body).unwrap_or_else(|fault| panic!("{fault:?}"));
    document.into_terms(&id()).unwrap_or_else(|faults| panic!("{faults:?}"))
}

#[test]
fn all_faults_are_told_at_once() {
    let body = plain(json!({"title": "", "hold_days": 400, "budget_minor": 0,
        "when": {"all": [{"tier": "Gold"}, {"any": [{"spend": {}}, {"referred": false}]}]}}));
    let document: OfferDocument = parse(&serde_json::to_vec(&body).unwrap()).unwrap();
    let faults = document.into_terms(&id()).unwrap_err();
    let paths: Vec<_> = faults.list().iter().map(|fault| fault.path.as_str()).collect();
    let right = [
        "title",
        "when.all[0].tier",
        "when.all[1].any[0].spend",
        "when.all[1].any[1].referred",
        "budget_minor",
        "hold_days",
    ];
    assert_eq!(paths, right);
    let crate::api::reply::Reply::Problem(problem) = faults.into() else { panic!("a problem") };
    assert_eq!((problem.code, problem.field.as_deref(), problem.errors.len()), ("bad_value", Some("title"), 6));
}

#[test]
fn contradictions_are_found_before_publishing() {
    let ladder = json!({"window_days": 365, "tiers": [{"name": "silver", "spend_minor": 100}, {"name": "gold", "spend_minor": 200}]});
    let choice = |second: Value| json!({"kind": "first_of", "branches": [{"when": {"regions": ["north"]}, "reward": {"kind": "fixed", "amount_minor": 1}}, second]});
    let all = |list: Value| json!({"when": {"all": list}});
    let cases = [
        (json!({"budget_minor": 499}), "reward.amount_minor"),
        (json!({"daily_budget_minor": 499}), "reward.amount_minor"),
        (json!({"budget_minor": 5000, "daily_budget_minor": 5001}), "daily_budget_minor"),
        (json!({"limits": {"reward_per_period": {"minor": 499, "every": "day"}}}), "reward.amount_minor"),
        (
            json!({"reward": {"kind": "tiers", "steps": [{"spend_minor": 1, "amount_minor": 9}, {"spend_minor": 2, "amount_minor": 99}]}, "budget_minor": 98}),
            "reward.steps[1].amount_minor",
        ),
        (
            json!({"reward": {"kind": "tiers", "steps": [{"spend_minor": 2, "amount_minor": 9}, {"spend_minor": 2, "amount_minor": 99}]}}),
            "reward.steps[1].spend_minor",
        ),
        (json!({"reward": {"kind": "of_another", "offer": "mornings", "basis_points": 1}}), "reward.offer"),
        (
            json!({"reward": choice(json!({"when": {"regions": ["north"]}, "reward": {"kind": "fixed", "amount_minor": 1}}))}),
            "reward.branches[1]",
        ),
        (json!({"reward": choice(json!({"reward": {"kind": "perk", "code": "tree"}}))}), "reward.branches[1].reward"),
        (
            json!({"reward": choice(json!({"reward": choice(json!({"reward": {"kind": "percent", "basis_points": 1}}))}))}),
            "reward.branches[1].reward.kind",
        ),
        (
            json!({"reward": choice(json!({"when": {"regions": ["south"]}, "reward": {"kind": "fixed", "amount_minor": 1}})), "when": {"regions": ["south"]}}),
            "reward.branches[0].when",
        ),
        (json!({"reward": {"kind": "points", "unit": "beans", "points": 1, "basis_points": 5}}), "reward.basis_points"),
        (json!({"reward": {"kind": "fixed", "amount_minor": 5, "max_minor": 50}}), "reward.max_minor"),
        (json!({"limits": {"referrals": {"count": 1, "every": "day"}}}), "limits.referrals"),
        (json!({"trigger": {"signal": "idea"}, "reward": {"kind": "percent", "basis_points": 5}}), "reward"),
        (json!({"trigger": {"signal": "idea"}, "when": {"channel": "online"}}), "when"),
        (json!({"trigger": {"signal": "idea"}, "when": {"purchases": {"every": 3}}}), "when"),
        (
            json!({"trigger": {"points": {"unit": "beans", "points": 5}}, "reward": {"kind": "points", "unit": "beans", "points": 5}}),
            "reward.unit",
        ),
        (
            json!({"trigger": {"referral": {"spend_at_least_minor": 1, "referred_reward": {"kind": "perk", "code": "tree"}}}, "budget_minor": 1000}),
            "trigger.referral.referred_reward",
        ),
        (json!({"when": {"tier": "gold"}}), "when.tier"),
        (json!({"when": {"tier": "bronze"}, "ladder": ladder}), "when.tier"),
        (json!({"when": {"spend": {"at_least_minor": 5, "at_most_minor": 4}}}), "when.spend.at_most_minor"),
        (
            all(json!([{"spend_at_least_minor": 500}, {"all": [{"spend": {"at_most_minor": 499}}]}])),
            "when.all[1].all[0]",
        ),
        (all(json!([{"channel": "online"}, {"channel": "in_store"}])), "when.all[1]"),
        (all(json!([{"mcc": ["5411"]}, {"mcc": ["5412-5500", "1000"]}])), "when.all[1]"),
        (all(json!([{"locations": ["a"]}, {"locations": ["b"]}])), "when.all[1]"),
        (all(json!([{"regions": ["a"]}, {"regions": ["b"]}])), "when.all[1]"),
        (all(json!([{"tier": "gold"}, {"not": {"tier": "gold"}}])), "when.all[0].tier"),
        (all(json!([{"referred": true}, {"not": {"referred": true}}])), "when.all[1]"),
        (
            all(json!([{"referred": true}, {"any": [{"standing": "clear"}, {"not": {"referred": true}}]}])),
            "when.all[1].any[1]",
        ),
        (all(json!([{"local_time": {"days": ["sat"]}}, {"local_time": {"days": ["sun"]}}])), "when.all[1]"),
        (all(json!([{"local_time": {"to": "12:00"}}, {"local_time": {"from": "12:00"}}])), "when.all[1]"),
        (
            all(json!([{"dates": [{"from": "2026-12-01", "to": "2026-12-24"}]}, {"dates": [{"from": "2026-12-25"}]}])),
            "when.all[1]",
        ),
        (json!({"ends": "2026-12-01T00:00", "when": {"dates": [{"from": "2026-12-01"}]}}), "when"),
        (json!({"starts": "2026-12-02T10:00", "when": {"dates": [{"from": "2026-12-01"}]}}), "when"),
        (json!({"when": {"purchases": {"at_most": 0}}}), "when"),
        (json!({"when": {"purchases": {"exactly": 1, "every": 3}}}), "when.purchases"),
        (json!({"when": {"purchases": {}}}), "when.purchases"),
        (json!({"when": {"days_since_purchase": {"reaches": 3}}}), "when.days_since_purchase"),
        (json!({"when": {"streak": {"every": "ever", "each": 3}}}), "when.streak.every"),
        (json!({"when": {"streak": {"every": "day", "each": 3, "within": "year"}}}), "when.streak.within"),
        (
            json!({"when": {"days_since_purchase": {"at_least": 3, "within": "year"}}}),
            "when.days_since_purchase.within",
        ),
        (json!({"when": {"referrals": {"at_least": 3, "within": "year"}}}), "when.referrals.within"),
        (json!({"when": {"referrals": {"at_least": 1, "of": [{"spend_at_least_minor": 1}]}}}), "when.referrals.of"),
        (all(json!([{"purchases": {"exactly": 4}}, {"purchases": {"every": 3}}])), "when.all[1]"),
        (all(json!([{"purchases": {"reaches": 4}}, {"purchases": {"at_most": 3}}])), "when.all[1]"),
        (json!({"when": {"not": {"all": []}}}), "when"),
    ];
    for (more, path) in cases {
        let text = more.to_string();
        let fault = fault(&serde_json::to_vec(&plain(more)).unwrap());
        assert_eq!(fault.path, path, "{}: {text}", fault.detail);
        assert!(fault.detail.len() > 10, "{fault:?}");
    }
}

#[test]
fn what_can_hold_is_taken() {
    let all = |list: Value| json!({"when": {"all": list}});
    for more in [
        all(
            json!([{"local_time": {"days": ["sat"], "from": "22:00", "to": "04:00"}}, {"local_time": {"days": ["sun"]}}]),
        ),
        all(json!([{"purchases": {"exactly": 6}}, {"purchases": {"every": 3}}])),
        all(json!([{"purchases": {"exactly": 1}}, {"purchases": {"exactly": 2, "within": "month"}}])),
        all(json!([{"spend_total": {"reaches": 100}}, {"spend_total": {"at_most": 500}}])),
        all(json!([{"segments": ["a"]}, {"segments": ["b"]}])),
        json!({"starts": "2026-12-01T10:00", "when": {"dates": [{"from": "2026-12-01"}]}}),
        json!({"trigger": {"referral": {"spend_at_least_minor": 1}}, "when": {"referrals": {"every": 3}}}),
        json!({"when": {"purchases": {"at_most": 0, "of": [{"channel": "online"}]}}}),
    ] {
        read_plain(more);
    }
}

#[test]
fn what_is_hardly_meant_is_a_warning() {
    let north = json!({"when": {"regions": ["north"]}, "reward": {"kind": "fixed", "amount_minor": 1}});
    let rest = json!({"reward": {"kind": "fixed", "amount_minor": 1}});
    let choice = |branches: Value| json!({"kind": "first_of", "branches": branches});
    let ladder = json!({"window_days": 365, "tiers": [{"name": "gold", "spend_minor": 200}]});
    for (more, right) in [
        (json!({}), None),
        (json!({"budget_minor": 501}), None),
        (json!({"budget_minor": 500}), Some("reward.amount_minor")),
        (json!({"daily_budget_minor": 500}), Some("reward.amount_minor")),
        (json!({"budget_minor": 501, "daily_budget_minor": 501}), Some("daily_budget_minor")),
        (json!({"reward": choice(json!([north])), "when": {"regions": ["north"]}}), None),
        (json!({"reward": choice(json!([north]))}), Some("reward.branches")),
        (json!({"reward": choice(json!([north, rest]))}), None),
        (json!({"ladder": ladder}), Some("ladder")),
        (json!({"holdout_percent": 100}), Some("holdout_percent")),
        (
            json!({"limits": {"reward_per_member_minor": 900, "reward_per_period": {"minor": 900, "every": "day"}}}),
            Some("limits.reward_per_period"),
        ),
    ] {
        let text = more.to_string();
        let warned = warnings(&read_plain(more));
        assert_eq!(warned.iter().map(|w| w.path.as_str()).collect::<Vec<_>>(), Vec::from_iter(right), "{text}");
    }
}

#[test]
fn inv_09_an_offer_is_bounded() {
    let mut deep = json!({"referred": true});
    for _ in 0..8 {
        deep = json!({"any": [deep]});
    }
    let wide = |conditions: usize| json!({"all": vec![json!({"channel": "online"}); conditions]});
    let cases = [
        (json!({"when": deep}), "too_many", "when.any[0].any[0].any[0].any[0].any[0].any[0].any[0].any[0]"),
        (json!({"when": wide(65)}), "too_many", "when"),
        (json!({"when": wide(101)}), "too_many", "when.all"),
        (json!({"when": {"segments": vec!["a"; 101]}}), "too_many", "when.segments"),
        (
            json!({"reward": {"kind": "tiers", "steps": vec![json!({"spend_minor": 1, "amount_minor": 1}); 17]}}),
            "too_many",
            "reward.steps",
        ),
    ];
    for (more, code, path) in cases {
        let fault = fault(&serde_json::to_vec(&plain(more)).unwrap());
        assert_eq!((fault.code, fault.path.as_str()), (code, path));
    }
    read_plain(json!({"when": wide(64)}));
}

#[path = "round_trip_tests.rs"]
mod round_trip;
