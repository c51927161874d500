//! Labels: how their group was chosen and whether the score was shown; cases judged blind, and groups
//! below the threshold that chance puts before people.

use crate::screening::{HOLD, HOLD_FROM, Town, members};
use serde_json::{Value, json};

/// What a case, its members and the queue say of scores.
async fn scores(town: &Town, id: u64) -> Vec<Value> {
    let case = town.get(&format!("/v1/cases/{id}")).await;
    let risk = town.get("/v1/members/ring-5/risk").await;
    let queue = town.get("/v1/cases").await;
    let mut scores = vec![case["score"].clone(), risk["score"].clone(), queue["cases"][0]["score"].clone()];
    scores.extend(case["suspects"].as_array().unwrap().iter().map(|suspect| suspect["score"].clone()));
    scores.extend(case["evidence"].as_array().unwrap().iter().map(|seen| seen["strength"].clone()));
    scores.extend(risk["neighbours"].as_array().unwrap().iter().map(|around| around["score"].clone()));
    scores
}

#[tokio::test]
async fn a_case_that_is_judged_blind_hides_its_score_until_the_verdict() {
    let town = Town::open(&[("RINGFENCE_SCREENING__BLIND_PERCENT", "100")]).await;
    town.ring("ring").await;
    town.screened().await;
    let queue = town.get("/v1/cases").await;
    let id = queue["cases"][0]["id"].as_u64().unwrap();
    assert_eq!(queue["cases"][0]["blind"], true);
    let hidden = scores(&town, id).await;
    assert!(hidden.len() > 20 && hidden.iter().all(Value::is_null), "{hidden:?}");
    assert_eq!(town.get("/v1/members/ring-5/risk").await["evidence"], json!([]));
    let case = town.get(&format!("/v1/cases/{id}")).await;
    let names: Vec<&str> =
        case["evidence"].as_array().unwrap().iter().map(|seen| seen["detector"].as_str().unwrap()).collect();
    assert!(names.is_sorted(), "its order tells nothing: {names:?}");
    // Whatever is said of it, the score was not shown.
    let review = json!({"verdict": "confirm", "reason": "a farm", "score_shown": true});
    assert_eq!(town.post(&format!("/v1/cases/{id}/review"), review).await.0, 200);
    town.followed().await;
    let shown = scores(&town, id).await;
    assert!(shown.iter().all(Value::is_number), "{shown:?}");
    let case = town.get(&format!("/v1/cases/{id}")).await;
    assert_eq!((&case["reviews"][0]["score_shown"], &case["blind"]), (&json!(false), &json!(true)));
    // Taken back, nobody has judged it: it is judged blind again.
    assert_eq!(town.post(&format!("/v1/cases/{id}/undo"), json!({"reason": "unsure"})).await.0, 200);
    town.followed().await;
    assert!(scores(&town, id).await.iter().all(Value::is_null));
    town.audited_and_rebuilt().await.stop().await;
}

#[tokio::test]
async fn chance_puts_groups_below_the_threshold_before_people() {
    let few = ("RINGFENCE_SCREENING__RANDOM_CASES_PER_DAY", "2");
    let none = ("RINGFENCE_SCREENING__CASE_SCORE_MIN", "1000");
    let town = Town::open(&[few, none, HOLD, ("RINGFENCE_SCREENING__AUTOMATIC_SCORE_MIN", "0")]).await;
    town.ring("one").await;
    town.ring("two").await;
    town.ring("three").await;
    let cases = async || town.get("/v1/cases").await["cases"].as_array().unwrap().clone();
    town.screened().await;
    let drawn = cases().await;
    assert_eq!(drawn.len(), 2, "so many a day: {drawn:#?}");
    town.ring("four").await;
    town.screened().await;
    assert_eq!(cases().await.len(), 2, "and no more on that day");
    for name in ["one-3", "two-3", "three-3"] {
        assert_eq!(town.standing(name).await, "clear", "nothing is done to them by itself");
    }
    for (case, verdict) in drawn.iter().zip(["confirm", "dismiss"]) {
        let path = format!("/v1/cases/{}/review", case["id"]);
        assert_eq!(town.post(&path, json!({"verdict": verdict, "reason": "looked at"})).await.0, 200);
        let case = town.get(&format!("/v1/cases/{}", case["id"])).await;
        assert_eq!(
            (&case["reviews"][0]["chosen_by"], &case["reviews"][0]["score_shown"]),
            (&json!("random"), &json!(true))
        );
    }
    town.followed().await;
    let view = town.get("/v1/screening/detectors").await;
    let origin = view["origins"].as_array().unwrap().iter().find(|origin| origin["chosen_by"] == "random").unwrap();
    assert_eq!(
        origin,
        &json!({"chosen_by": "random", "reviews": {"confirmed": 1, "dismissed": 1, "watched": 0},
            "precision_per_mille": 500})
    );
    town.service.clock.set(town.service.clock.now().plus_ms(24 * 3_600_000));
    town.ring("five").await;
    town.screened().await;
    assert!(cases().await.len() > 2, "the next day has its own");
    town.audited_and_rebuilt().await.stop().await;
}

#[tokio::test]
async fn what_the_desk_is_worth_is_told_by_detector() {
    let town = Town::open(&[HOLD, HOLD_FROM]).await;
    town.ring("one").await;
    town.ring("two").await;
    town.screened().await;
    town.followed().await;
    assert_eq!((town.standing("one-3").await, town.standing("two-3").await), ("held".to_owned(), "held".to_owned()));
    town.buy("one-3", "p1", "2026-11-21T13:00:00Z").await;
    town.buy("two-3", "p2", "2026-11-21T13:00:00Z").await;
    let held_at = town.service.clock.now();
    town.service.clock.set(held_at.plus_ms(3 * 24 * 3_600_000));
    for case in town.get("/v1/cases").await["cases"].as_array().unwrap().clone() {
        let case = town.get(&format!("/v1/cases/{}", case["id"])).await;
        let verdict = if members(&case)[0].starts_with("one") { "dismiss" } else { "confirm" };
        let path = format!("/v1/cases/{}/review", case["id"]);
        assert_eq!(town.post(&path, json!({"verdict": verdict, "reason": "judged"})).await.0, 200);
    }
    town.followed().await;
    town.screened().await;
    let worth = async || {
        let view = town.get("/v1/screening/detectors").await;
        let found = view["detectors"].as_array().unwrap().iter().find(|one| one["name"] == "shared-instrument");
        found.unwrap()["worth"].clone()
    };
    let two_dollars = json!([{"currency": "USD", "minor": 200}]);
    let both = worth().await;
    assert_eq!((&both["avoided"], &both["held_wrongly"], &both["lost"]), (&two_dollars, &two_dollars, &json!([])));
    assert_eq!(both["members_held_wrongly"], 12);
    let days = both["days_held_wrongly"].as_i64().unwrap();
    assert!((36..48).contains(&days), "twelve members, three days and some hours each: {days}");
    // A confirmation that is taken back has avoided nothing.
    let confirmed = town.get("/v1/cases?status=confirmed").await["cases"][0]["id"].clone();
    assert_eq!(town.post(&format!("/v1/cases/{confirmed}/undo"), json!({"reason": "unsure"})).await.0, 200);
    town.followed().await;
    town.screened().await;
    assert_eq!(worth().await["avoided"], json!([]));
    town.audited_and_rebuilt().await.stop().await;
}
