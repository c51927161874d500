//! Reports from outside, and honest groups to compare with: what neither does by itself.

use crate::screening::{AT_ONCE, HOLD, HOLD_FROM, ON, Town};
use crate::world::Service;
use serde_json::{Value, json};

#[tokio::test]
async fn a_report_from_outside_becomes_a_case_and_a_label_of_its_own() {
    let town = Town::open(&[HOLD, HOLD_FROM]).await;
    town.screened().await;
    let report =
        |members: Value| json!({"reported_by": "issuer", "members": members, "reason": "chargebacks, ref. 88"});
    let (status, made) = town.post("/v1/cases", report(json!(["honest-50", "honest-51", "honest-50"]))).await;
    assert_eq!((status, &made["status"], &made["members"]), (200, &json!("open"), &json!(0)), "{made:#}");
    let path = format!("/v1/cases/{}", made["id"]);
    let case = town.get(&path).await;
    assert_eq!(case["families"], json!(["said by others"]), "{case:#}");
    assert!(case["suspects"].as_array().unwrap().iter().all(|suspect| suspect["own"] == false));
    assert!(case["headline"].as_str().unwrap().contains("reported from outside (issuer): chargebacks, ref. 88"));
    town.followed().await;
    assert_eq!(town.standing("honest-50").await, "clear", "nothing follows by itself");
    // Another one about one of them joins it.
    let (_, more) = town.post("/v1/cases", report(json!(["honest-51", "honest-52"]))).await;
    assert_eq!(more["id"], made["id"]);
    let review = json!({"verdict": "confirm", "reason": "the issuer is right", "members": ["honest-50", "honest-51"]});
    assert_eq!(town.post(&format!("{path}/review"), review).await.0, 200);
    town.followed().await;
    assert_eq!((town.standing("honest-50").await, town.standing("honest-52").await), ("barred".into(), "clear".into()));
    let case = town.get(&path).await;
    assert_eq!(case["reviews"][0]["chosen_by"], "report");
    let view = town.get("/v1/screening/detectors").await;
    let origin = view["origins"].as_array().unwrap().iter().find(|origin| origin["chosen_by"] == "report").unwrap();
    assert_eq!(origin["reviews"]["confirmed"], 1);
    for (document, field) in [
        (report(json!([])), "members"),
        (report(json!(["nobody-at-all"])), "members"),
        (json!({"reported_by": "issuer", "members": ["honest-50"], "reason": ""}), "reason"),
    ] {
        let (status, problem) = town.post("/v1/cases", document.clone()).await;
        assert_eq!(status, 422, "{document}: {problem:#}");
        assert!(problem.to_string().contains(&format!("\"{field}\"")), "{document}: {problem:#}");
    }
    let report = report(json!(["honest-50"])).to_string();
    assert_eq!(town.service.call_with("POST", "/v1/cases", "nobody", &[], &report).await.status, 401);
    town.audited_and_rebuilt().await.stop().await;
}

/// As compiled in nothing is held where too few honest groups of the kind are known; people look at it.
#[tokio::test]
async fn inv_08_nothing_is_held_where_too_few_honest_groups_are_known() {
    let bound = ("RINGFENCE_SCREENING__AUTOMATIC_ERROR_BASIS_POINTS_MAX", "50");
    let town = Town::open(&[HOLD, HOLD_FROM, bound]).await;
    town.ring("ring").await;
    town.screened().await;
    town.followed().await;
    let queue = town.get("/v1/cases").await;
    let case = town.get(&format!("/v1/cases/{}", queue["cases"][0]["id"])).await;
    assert_eq!((&case["policy_acts"], town.standing("ring-3").await.as_str()), (&json!([]), "clear"), "{case:#}");
    assert_eq!(case["compared"]["segment"], "other", "{case:#}");
    assert_eq!(case["compared"]["as_high"], 0, "no honest group scores so high: {case:#}");
    let view = town.get("/v1/screening/detectors").await;
    let homes = &view["segments"][0];
    assert_eq!(
        (&homes["segment"], &homes["groups"], &homes["act_from"]),
        (&json!("household"), &json!(10), &Value::Null)
    );
    assert_eq!(view["segments"][1]["groups"], 1, "one office: {view:#}");
    town.audited_and_rebuilt().await.stop().await;
}

/// What a start from a snapshot and the records after it knows is what a start from the whole journal
/// knows; one that is damaged, of another version or of another journal is not used.
#[tokio::test]
async fn a_start_from_a_snapshot_knows_what_one_from_the_journal_does() {
    let town = Town::open(&[]).await;
    town.ring("one").await;
    town.screened().await;
    let Town { service, operator, risk } = town;
    assert!(!service.doors.screener.has_resumed(), "there was none");
    let folder = service.stop().await;
    let path = folder.0.join("journal/screening.snapshot");
    let early = std::fs::read(&path).unwrap();
    // What comes after the snapshot is read from the journal.
    let service = Service::start_in(folder, &[ON, AT_ONCE, ("RINGFENCE_SCREENING__SNAPSHOT_EVERY_SECONDS", "0")]).await;
    assert!(!service.doors.screener.has_resumed(), "it was not to be used");
    let town = Town { service, operator, risk };
    town.ring("two").await;
    town.member("late", Some("two-3"), &[], "2026-11-20T09:00:00Z").await;
    let Town { service, operator, risk } = town;
    let mut folder = service.stop().await;
    let mut damaged = early.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let mut newer = early.clone();
    newer[8] += 1;
    let stranger = {
        let other = Town::open(&[]).await;
        other.ring("one").await;
        other.screened().await;
        let folder = other.service.stop().await;
        std::fs::read(folder.0.join("journal/screening.snapshot")).unwrap()
    };
    let mut known = Vec::new();
    for (bytes, is_used) in [(early, true), (damaged, false), (newer, false), (stranger, false), (Vec::new(), false)] {
        std::fs::write(&path, &bytes).unwrap();
        let service = Service::start_in(folder, &[ON, AT_ONCE]).await;
        let town = Town { service, operator: operator.clone(), risk: risk.clone() };
        town.screened().await;
        assert_eq!(town.service.doors.screener.has_resumed(), is_used, "{} bytes", bytes.len());
        let mut seen = vec![json!(town.service.doors.screener.seen())];
        for member in ["one-5", "two-7", "late", "honest-4"] {
            let mut view = town.get(&format!("/v1/members/{member}/risk")).await;
            // The pass is of now.
            view.as_object_mut().unwrap().retain(|name, _| !["pass_at", "live_at"].contains(&name.as_str()));
            seen.push(view);
        }
        seen.push(town.get("/v1/screening/detectors").await["segments"].clone());
        known.push(seen);
        folder = town.service.stop().await;
    }
    assert!(known.iter().all(|seen| *seen == known[0]), "{known:#?}");
}
