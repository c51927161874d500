//! Back-tests: another threshold over days that are over, beside what reviews said; over the API, on
//! the console, and from the journal alone.

use crate::screening::Town;
use ringfence::clock::Clock;
use ringfence::commands::ConfigArgs;
use ringfence::commands::backtest::{BacktestArgs, backtest};
use ringfence::domain::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

async fn tried(town: &Town, document: Value) -> Value {
    let (status, begun) = town.post("/v1/screening/backtests", document).await;
    assert_eq!(status, 202, "{begun:#}");
    let doors = Arc::clone(&town.service.doors);
    tokio::task::spawn_blocking(move || doors.screener.backtests().wait()).await.unwrap();
    let view = town.get(&format!("/v1/screening/backtests/{}", begun["id"])).await;
    assert_eq!(view["state"], "done", "{view:#}");
    view["outcome"].clone()
}

/// Three rings on three days, of which one is confirmed, one dismissed, and one left; found as they
/// were, and with thresholds that find none of them.
#[tokio::test]
async fn a_threshold_is_tried_on_days_that_are_over() {
    let town = Town::open(&[]).await;
    town.screened().await;
    let from = town.service.clock.now();
    for ring in ["one", "two", "three"] {
        town.ring(ring).await;
        town.screened().await;
    }
    let queue = town.get("/v1/cases").await;
    let ids: Vec<u64> = queue["cases"].as_array().unwrap().iter().map(|case| case["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), 3, "{queue:#}");
    for (id, verdict) in ids.iter().zip(["confirm", "dismiss"]) {
        let (status, _) =
            town.post(&format!("/v1/cases/{id}/review"), json!({"verdict": verdict, "reason": "judged"})).await;
        assert_eq!(status, 200);
    }
    town.followed().await;
    town.screened().await;
    let before = town.service.engine().journal_end();
    let period = |more: Value| {
        let mut document = json!({"from": from, "to": town.service.clock.now(), "every_hours": 1});
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        document
    };
    let as_it_was = tried(&town, period(json!({}))).await;
    let expected = json!({"cases": 3, "confirmed": 1, "dismissed": 1, "watched": 0, "undecided": 1, "unseen": 0});
    assert_eq!((&as_it_was["would_open"], &as_it_was["were_opened"]), (&expected, &expected), "{as_it_was:#}");
    assert_eq!(as_it_was["missed"], json!([]));
    let words = as_it_was["words"].as_str().unwrap();
    assert!(words.starts_with("3 cases, 1 of them confirmed; 1 you dismissed"), "{words}");
    let mut found: Vec<u64> =
        as_it_was["cases"].as_array().unwrap().iter().map(|line| line["case"].as_u64().unwrap()).collect();
    found.sort_unstable();
    let mut known = ids.clone();
    known.sort_unstable();
    assert_eq!(found, known, "each is the case that there is");
    let homes = &as_it_was["segments"][0];
    assert_eq!((&homes["segment"], &homes["groups"], &homes["above"]), (&json!("household"), &json!(10), &json!(0)));
    assert_eq!(homes["error_basis_points"], 2589, "none of ten leaves a quarter: {homes:#}");
    let strict = tried(&town, period(json!({"score_min": 1000}))).await;
    assert_eq!((&strict["would_open"]["cases"], &strict["missed"]), (&json!(0), &json!([ids[0]])), "{strict:#}");
    let of_one = tried(&town, period(json!({"detector": "shared-instrument", "version": 1}))).await;
    assert_eq!(of_one["would_open"]["cases"], 3, "{of_one:#}");
    let of_other = tried(&town, period(json!({"detector": "refund-abuse", "version": 1}))).await;
    assert_eq!((&of_other["would_open"]["cases"], &of_other["were_opened"]["cases"]), (&json!(0), &json!(0)));
    // A day before, nothing was there to find, whatever came later.
    let earlier = json!({"from": from.plus_ms(-86_400_000), "to": from});
    assert_eq!(tried(&town, earlier).await["would_open"]["cases"], 0);
    assert_eq!(town.service.engine().journal_end(), before, "nothing was written");
    for (more, field) in [
        (json!({"to": "2099-01-01T00:00:00Z"}), "to"),
        (json!({"from": "2020-01-01T00:00:00Z"}), "from"),
        (json!({"from": from.plus_ms(-30 * 86_400_000)}), "every_hours"),
        (json!({"score_min": 1001}), "score_min"),
        (json!({"families_min": 0}), "families_min"),
        (json!({"model": true}), "model"),
        (json!({"detector": "shared-instrument"}), "version"),
        (json!({"detector": "shared-instrument", "version": 9}), "detector"),
        (json!({"detector": "horoscope", "version": 1}), "detector"),
    ] {
        let (status, problem) = town.post("/v1/screening/backtests", period(more.clone())).await;
        assert_eq!(status, 422, "{more}: {problem:#}");
        assert!(problem.to_string().contains(&format!("\"{field}\"")), "{more}: {problem:#}");
    }
    let list = town.get("/v1/screening/backtests").await;
    assert_eq!(list["backtests"].as_array().unwrap().len(), 5);
    assert_eq!(list["backtests"][0]["id"], 5, "the newest first");
    // The same from the journal alone, when nobody serves.
    let dir = town.service.stop().await;
    let args = |score_min| BacktestArgs {
        config: ConfigArgs { config: None, store: Some(format!("embedded:{}", dir.0.display())) },
        journal: Vec::new(),
        from: from.to_string(),
        to: Clock::Machine.now().min(Timestamp::parse("2026-11-22T12:00:00Z").unwrap()).to_string(),
        score_min,
        families_min: None,
        model: None,
        detector: None,
        version: None,
        every_hours: 1,
        json: true,
    };
    let run = |args: BacktestArgs| backtest(&args).map_err(|error| error.to_string());
    run(args(None)).unwrap();
    let refused = run(BacktestArgs { from: "yesterday".to_owned(), ..args(None) }).unwrap_err();
    assert!(refused.contains("--from: `yesterday`"), "{refused}");
    let refused = run(BacktestArgs { to: "2099-01-01".to_owned(), ..args(None) }).unwrap_err();
    assert!(refused.starts_with("--to: must not lie ahead"), "{refused}");
    let refused = run(BacktestArgs { journal: vec![dir.0.join("nowhere")], ..args(None) }).unwrap_err();
    assert!(refused.contains("nowhere"), "{refused}");
}

/// The desk's rules speak as they did; one in shadow can be tried as if it had been live.
#[tokio::test]
async fn a_rule_is_tried_on_days_that_are_over() {
    let town = Town::open(&[("RINGFENCE_SCREENING__CASE_SCORE_MIN", "1000")]).await;
    town.screened().await;
    let from = town.service.clock.now();
    for (rule, member) in [("shadow", "honest-50"), ("live", "honest-60")] {
        let says = json!({"rule": {"deny": {"member": member}}, "reason": "told us"});
        let path = format!("/v1/screening/rules/{rule}");
        let made = town.service.call_with("PUT", &path, &town.risk, &[], &says.to_string()).await;
        assert_eq!(made.status, 201, "{}", made.json());
    }
    let live = json!({"state": "live", "reason": "certain"});
    assert_eq!(town.post("/v1/screening/rules/live/state", live).await.0, 200);
    town.screened().await;
    let period = |more: Value| {
        let mut document = json!({"from": from, "to": town.service.clock.now(), "every_hours": 1});
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        document
    };
    let found = |outcome: &Value| -> Vec<String> {
        let lines = outcome["cases"].as_array().unwrap().iter();
        lines.map(|line| format!("{} {}", line["first_members"][0], line["detectors"][0]).replace('"', "")).collect()
    };
    assert_eq!(found(&tried(&town, period(json!({}))).await), ["honest-60 rule:live"]);
    // Version 1 was the one in shadow; it says of itself what it would have done.
    let shadow = tried(&town, period(json!({"detector": "rule:shadow", "version": 1}))).await;
    assert_eq!(found(&shadow), ["honest-50 rule:shadow"], "{shadow:#}");
    // Whom an allow entry spares becomes no case.
    let until = town.service.clock.now().plus_ms(30 * 86_400_000).to_string();
    let allow = json!({"rule": {"allow": {"whom": {"member": "honest-60"}}}, "reason": "a friend", "until": until});
    let made = town.service.call_with("PUT", "/v1/screening/rules/friend", &town.risk, &[], &allow.to_string()).await;
    assert_eq!(made.status, 201, "{}", made.json());
    let later = town.service.clock.now();
    town.screened().await;
    let spared = json!({"from": later, "to": town.service.clock.now(), "every_hours": 1});
    assert_eq!(found(&tried(&town, spared).await), Vec::<String>::new());
    town.service.stop().await;
}

/// What was known in those days is known to the back-test: a lower threshold finds what nobody looked at.
#[tokio::test]
async fn a_lower_threshold_finds_what_nobody_looked_at() {
    let town = Town::open(&[("RINGFENCE_SCREENING__CASE_SCORE_MIN", "1000")]).await;
    town.screened().await;
    let from = town.service.clock.now();
    town.ring("ring").await;
    town.screened().await;
    assert_eq!(town.get("/v1/cases").await["cases"].as_array().unwrap().len(), 0);
    let period = json!({"from": from, "to": town.service.clock.now(), "score_min": 550, "every_hours": 1});
    let outcome = tried(&town, period.clone()).await;
    assert_eq!(
        (&outcome["would_open"]["cases"], &outcome["would_open"]["unseen"], &outcome["were_opened"]["cases"]),
        (&json!(1), &json!(1), &json!(0)),
        "{outcome:#}"
    );
    assert_eq!(outcome["cases"][0]["members"], 12);
    let refused = town.service.call_with("POST", "/v1/screening/backtests", "nobody", &[], &period.to_string()).await;
    assert_eq!(refused.status, 401);
    town.service.stop().await;
}
