//! What a programme's member may earn now, and why a purchase earned or did not, as the doors
//! tell it.

use crate::play::{HARBOR, HILLTOP, MARKET, PARIS, Play};
use serde_json::{Value, json};

#[tokio::test]
async fn what_a_member_may_earn_is_told_best_first_and_how_far_they_are() {
    let mut play = Play::of("third-shop").await;
    play.joins("ann", json!({})).await;
    let told = |offers: &[Value]| -> Vec<(String, Value)> {
        offers.iter().map(|of| (of["offer"].as_str().unwrap().to_owned(), of["expected_minor"].clone())).collect()
    };
    let offers = play.prospects("ann").await;
    assert_eq!(told(&offers), [("bakery-invitation".into(), json!(0)), ("bakery-third-shop".into(), json!(0))]);
    assert_eq!(offers[0]["reason"], "nothing bought there in the last 90 days");
    assert_eq!(offers[0]["conditions"][0]["progress"], json!({"has": 0, "of": 2}));
    // One shop visited: half way.
    play.buys_at(MARKET, "ann", "market", 900).await;
    let offers = play.prospects("ann").await;
    let condition = json!({
        "met": false, "code": "locations_visited", "detail": "needs the 2nd different location, has 1",
        "progress": {"has": 1, "of": 2}
    });
    assert_eq!(offers[0]["conditions"], json!([condition]));
    assert_eq!(offers[0]["refusal"]["code"], "locations_visited");
    // Both, and now at Hilltop: five dollars are near, and come first.
    play.now("2026-11-22").await;
    play.buys_at(HARBOR, "ann", "harbor", 900).await;
    play.buys_at(HILLTOP, "ann", "small", 400).await;
    let offers = play.prospects("ann").await;
    let first = &offers[0];
    assert_eq!(told(&offers), [("bakery-third-shop".into(), json!(500)), ("bakery-invitation".into(), json!(0))]);
    assert_eq!(
        (&first["next_minor"], &first["currency"], &first["activate"]),
        (&json!(500), &json!("USD"), &json!(false))
    );
    assert_eq!(
        first["reason"],
        "bought 3 times there in the last 90 days, usually 9.00 USD: about 5.00 USD in 30 days"
    );
    assert!(first["in_words"].as_str().unwrap().starts_with("Members who spend at least 5.00 USD and have visited"));
    assert_eq!(first["conditions"][0]["met"], true, "{first}");
    assert_eq!(first["conditions"][0]["detail"], "needs at least 2 different locations, has 2");
    // Had once, there is no more.
    play.buys_at(HILLTOP, "ann", "third", 900).await;
    let offers = play.prospects("ann").await;
    assert_eq!(told(&offers), [("bakery-invitation".into(), json!(0)), ("bakery-third-shop".into(), json!(0))]);
    assert_eq!(offers[1]["refusal"]["code"], "cap_reached");
    play.ends().await;
}

#[tokio::test]
async fn a_purchase_says_each_condition_with_what_it_needs_and_has() {
    let mut play = Play::of("third-shop").await;
    play.joins("ann", json!({})).await;
    play.buys_at(MARKET, "ann", "a-market", 900).await;
    play.buys_at(HILLTOP, "ann", "b-small", 400).await;
    let conditions = |line: Value| -> Vec<(Value, String)> {
        let each = line["conditions"].as_array().unwrap().iter();
        each.map(|of| (of["met"].clone(), format!("{}: {}", of["code"], of["detail"]).replace('"', ""))).collect()
    };
    let no_part = "other_location: the shop takes no part in the offer";
    let found = conditions(play.line("bakery-third-shop", "a-market").await);
    let visited = |has: i64| format!("locations_visited: needs at least 2 different locations, has {has}");
    let spend = |has: &str| format!("spend_too_low: needs 5.00 USD, has {has} USD");
    assert_eq!(found, [(json!(false), no_part.to_owned()), (json!(true), spend("9.00")), (json!(false), visited(1))]);
    let line = play.line("bakery-third-shop", "b-small").await;
    assert_eq!(line["refusal"]["code"], "spend_too_low", "the first that is not met is the refusal");
    assert_eq!(line["conditions"][2]["progress"], json!({"has": 1, "of": 2}));
    let found = conditions(line);
    assert_eq!((&found[1], &found[2]), (&(json!(false), spend("4.00")), &(json!(false), visited(1))));
    play.ends().await;
}

#[tokio::test]
async fn what_is_rewarded_without_a_purchase_is_explained_as_purchases_are() {
    let mut play = Play::of("community").await;
    play.joins("ann", json!({})).await;
    play.joins("bob", json!({})).await;
    play.signals("ann", "review-posted", "r0").await;
    play.buys("bob", "drill", 8_000).await;
    let none = "purchase_count: needs at least 1 purchase, has 0";
    assert_eq!(play.gives_for("signal", "community-review", "r0").await, none);
    let entry = play.entry("signal", "r0").await;
    let occasion = json!({"kind": "signal", "signal": "review-posted", "at": "2026-11-21T12:00:00Z"});
    assert_eq!((&entry["member"], &entry["occasion"]), (&json!("ann"), &occasion), "{entry}");
    assert_eq!(entry["worth"]["time"], "2026-11-21T12:00:00Z");
    // An id is one member's own: of another's signal by the same id one asks by name.
    play.now("2026-11-22").await;
    play.signals("bob", "review-posted", "r0").await;
    assert_eq!(play.entry("signal", "r0").await["member"], "ann");
    let of_bob = play.entry("signal", "r0?member=bob").await;
    assert_eq!((&of_bob["member"], &of_bob["offers"][0]["due_minor"]), (&json!("bob"), &json!(20)), "{of_bob}");
    play.ends().await;

    let mut play = Play::of("refer-a-friend").await;
    play.joins("ann", json!({"region": "austin"})).await;
    play.joins("bob", json!({"region": "austin", "referred_by": "ann"})).await;
    play.now("2026-11-22").await;
    play.buys("bob", "coat", 9_000).await;
    assert!(play.gives_for("referral", "refer-a-friend", "refer-a-friend:bob").await.ends_with(" posted"));
    let entry = play.entry("referral", "refer-a-friend:bob").await;
    assert_eq!((&entry["member"], &entry["occasion"]["referred"]), (&json!("ann"), &json!("bob")), "{entry}");
    // Another referrer holds it from then on.
    play.joins("cyd", json!({"region": "austin"})).await;
    play.joins("bob", json!({"region": "austin", "referred_by": "cyd"})).await;
    play.now("2026-11-23").await;
    play.refunds("bob", "coat", 9_000).await;
    play.buys("bob", "hat", 9_000).await;
    assert_eq!(play.entry("referral", "refer-a-friend:bob").await["member"], "cyd");
    play.ends().await;

    let mut play = Play::of("coffee-club").await;
    play.joins("ann", json!({})).await;
    for n in 0..6 {
        play.buys_at(PARIS, "ann", &format!("cup{n}"), 2_000).await;
    }
    play.now("2026-12-21").await;
    assert_eq!(play.wants("ann", json!({"offer": "coffee-for-beans"})).await, "100 beans for 1 free-coffee");
    let entry = play.last_entry("ann", "exchange").await;
    let seen = play.entry("exchange", &entry).await;
    assert_eq!(
        (&seen["occasion"]["kind"], &seen["offers"][0]["granted_minor"]),
        (&json!("exchange"), &json!(1)),
        "{seen}"
    );
    play.ends().await;
}

#[tokio::test]
async fn why_nothing_is_earned_now_counts_what_was_bought_and_no_purchase_that_is_supposed() {
    let mut play = Play::of("punch-card").await;
    play.joins("ann", json!({})).await;
    play.buys("ann", "cup1", 400).await;
    play.buys("ann", "cup2", 400).await;
    let offers = play.prospects("ann").await;
    let detail = "needs every 10th purchase, has 2";
    assert_eq!(
        (&offers[0]["refusal"]["detail"], &offers[0]["conditions"][0]["detail"]),
        (&json!(detail), &json!(detail))
    );
    play.ends().await;

    // One that is met so far, and would be no more.
    let mut play = Play::of("cashback").await;
    play.joins("ann", json!({})).await;
    let first = json!({"purchases": {"at_most": 2}});
    play.asks("cashback-first", first).await;
    play.buys("ann", "one", 4_000).await;
    play.buys("ann", "two", 4_000).await;
    let offers = play.prospects("ann").await;
    let of = offers.iter().find(|of| of["offer"] == "cashback-first").unwrap();
    assert_eq!(of["refusal"]["detail"], "needs at most 2 purchases, has 3 with the next purchase", "{of}");
    assert_eq!(
        (&of["conditions"][0]["met"], &of["conditions"][0]["detail"]),
        (&json!(true), &json!("needs at most 2 purchases, has 2"))
    );
    play.ends().await;
}
