//! Events that were nobody's when they came: found again when a card is linked or a shop
//! becomes known, previewed before, the books in the end as if everything had been known
//! from the start.

use crate::world::{self, Service};
use ringfence::audit::{AuditOptions, audit};
use ringfence::decide::Policy;
use ringfence::domain::merchant::Merchant;
use ringfence::domain::{MemberId, OfferId, Timestamp};
use ringfence::engine::again::Job;
use ringfence::store::{Batch, CATALOGUE};
use serde_json::{Value, json};

/// What a week of a town brings: two shops, four members, purchases with their refunds.
fn week() -> Vec<String> {
    let mut bodies = Vec::new();
    for day in 14..21 {
        for (n, member) in ["ann", "bob", "cyd", "dan"].iter().enumerate() {
            for (shop, mid) in ["111", "222", "333"].iter().enumerate() {
                let purchase = format!("p{day}{member}{mid}");
                let at = |hour: usize| format!("2026-11-{day:02}T{:02}:{:02}:00Z", hour + n, shop);
                let minor = 1_000 + 100 * i64::try_from(n * 3 + shop).unwrap() + day;
                let of = |id: &str, kind: &str, minor: i64, hour: usize| {
                    world::event(
                        &format!("{id}{purchase}"),
                        kind,
                        &purchase,
                        &format!("tok_{member}"),
                        minor,
                        &at(hour),
                        mid,
                    )
                };
                bodies.push(of("a", "authorization", minor, 8));
                bodies.push(of("c", "clearing", minor - 50, 12));
                if (day + i64::try_from(n).unwrap()) % 3 == 0 {
                    bodies.push(of("r", "refund", 400, 15));
                }
            }
        }
    }
    bodies
}

/// The service with offers of two merchants, whose shops have these MIDs.
async fn town(a: &[&str], b: &[&str]) -> Service {
    let service = Service::start(&[]).await;
    let engine = service.engine();
    engine.put_merchant(world::merchant("a", a), None).await.unwrap();
    engine.put_merchant(world::merchant("b", b), None).await.unwrap();
    world::publish(engine, "five", world::terms("a")).await;
    let mut terms = world::terms("b");
    terms.limits.reward_per_member_minor = Some(300);
    world::publish(engine, "capped", terms).await;
    service.doors.again.go_on(engine, |_| true).await.unwrap();
    service
}

async fn members(service: &Service) {
    for member in ["ann", "bob", "cyd", "dan"] {
        world::member(service.engine(), member, &format!("tok_{member}")).await;
    }
    service.doors.again.go_on(service.engine(), |_| true).await.unwrap();
}

/// What every member was granted, per offer and purchase.
async fn grants(service: &Service) -> Vec<(String, String, i64)> {
    let mut all = Vec::new();
    for member in ["ann", "bob", "cyd", "dan"] {
        let Some(state) = service.engine().load(&MemberId::new(member).unwrap()).await.unwrap() else { continue };
        for placed in &state.purchases {
            let of = |grant: &ringfence::domain::purchase::Grant| {
                (placed.purchase.key.to_string(), grant.offer.to_string(), grant.amount_minor)
            };
            all.extend(placed.purchase.grants.iter().filter(|grant| grant.amount_minor != 0).map(of));
        }
    }
    all.sort();
    all
}

/// Stops the service and proves its books from the journal alone.
async fn proved(service: Service) {
    let folder = service.stop().await;
    let report = audit(&[folder.0.join("journal")], &AuditOptions::new(Policy::default())).unwrap();
    assert!(report.is_clean(), "{report}");
}

fn document(merchant: &Merchant) -> String {
    let mids: Vec<Value> = merchant.locations[0].mids.iter().map(|mid| json!({"mid": mid.mid})).collect();
    json!({"name": merchant.name, "time_zone": merchant.time_zone, "locations": [{"id": "main", "mids": mids}]})
        .to_string()
}

/// What a world knows that was told everything first.
async fn told_first() -> Vec<(String, String, i64)> {
    let service = town(&["111"], &["222", "333"]).await;
    members(&service).await;
    for body in week() {
        service.post("visa-eu", body).await;
    }
    let want = grants(&service).await;
    assert!(want.iter().any(|(_, offer, _)| offer == "five") && want.iter().any(|(_, offer, _)| offer == "capped"));
    proved(service).await;
    want
}

#[tokio::test]
async fn inv_04_the_mid_list_was_wrong_for_a_week() {
    let want = told_first().await;
    // Shop a lacks its own MID and has one of b's; one of b's is nobody's.
    let service = town(&["222"], &["999"]).await;
    members(&service).await;
    let mut nobodys = 0;
    for body in week() {
        let (status, answer) = service.post("visa-eu", body).await;
        assert_eq!(status, 200, "{answer}");
        nobodys += u32::from(answer["outcome"] == "no_offer");
    }
    assert!(nobodys > 100, "{nobodys}");
    let wrong = grants(&service).await;
    assert_ne!(wrong, want);

    // The preview says what comes of each step, and changes nothing.
    let (a, b) = (world::merchant("a", &["111"]), world::merchant("b", &["222", "333"]));
    let sum = |grants: &[(String, String, i64)], offer: &str| -> i64 {
        grants.iter().filter(|(_, of, _)| of == offer).map(|(_, _, minor)| minor).sum()
    };
    let (status, preview) = service.call("POST", "/v1/merchants/a/preview", &document(&a)).await;
    assert_eq!((status, &preview["complete"]), (200, &json!(true)), "{preview}");
    let usd = &preview["rewards"][0];
    assert_eq!(usd["added_minor"].as_i64().unwrap(), sum(&want, "five"));
    assert_eq!(usd["taken_back_minor"].as_i64().unwrap(), sum(&wrong, "five"));
    assert_eq!(preview["members"], 4);
    assert_eq!(grants(&service).await, wrong);

    let (status, _) = service.call("PUT", "/v1/merchants/a", &document(&a)).await;
    assert_eq!(status, 200);
    let (_, preview) = service.call("POST", "/v1/merchants/b/preview", &document(&b)).await;
    assert_eq!(
        preview["rewards"][0],
        json!({"currency": "USD", "added_minor": sum(&want, "capped"), "taken_back_minor": 0})
    );
    let (status, _) = service.call("PUT", "/v1/merchants/b", &document(&b)).await;
    assert_eq!(status, 200);
    assert_eq!(grants(&service).await, want);
    let (_, jobs) = service.call("GET", "/v1/jobs", "").await;
    assert_eq!(jobs, json!({"jobs": []}));

    // Everything is a duplicate now, wherever it was found.
    for body in week() {
        let (_, answer) = service.post("visa-eu", body).await;
        assert_eq!(answer["outcome"], "duplicate", "{answer}");
    }
    assert_eq!(grants(&service).await, want);
    let (_, why) = service.call("GET", "/v1/purchases/visa-eu/p14ann222", "").await;
    assert!(why.to_string().contains("\"capped\""), "{why}");
    proved(service).await;
}

#[tokio::test]
async fn cards_linked_since_the_past_bring_what_was_seen() {
    let want = told_first().await;
    let service = town(&["111"], &["222", "333"]).await;
    for body in week() {
        let (_, answer) = service.post("visa-eu", body).await;
        assert_eq!(answer["outcome"], "unknown_card");
    }
    for member in ["ann", "bob", "cyd", "dan"] {
        service.call("PUT", &format!("/v1/members/{member}"), "{}").await;
        let path = format!("/v1/members/{member}/cards/visa-eu/tok_{member}");
        let from = json!({"from": "1970-01-01T00:00:00Z"}).to_string();
        let (status, preview) = service.call("POST", &format!("{path}/preview"), &from).await;
        let owed: i64 = want.iter().filter(|(key, ..)| key.contains(member)).map(|(_, _, minor)| minor).sum();
        assert_eq!((status, preview["rewards"][0]["added_minor"].as_i64()), (200, Some(owed)), "{preview}");
        assert_eq!(service.call("PUT", &path, &from).await.0, 201);
    }
    assert_eq!(grants(&service).await, want);
    proved(service).await;
}

#[tokio::test]
async fn a_card_linked_in_the_middle_brings_only_what_is_its_owners() {
    let service = town(&["111"], &["222", "333"]).await;
    for body in week() {
        service.post("visa-eu", body).await;
    }
    service.call("PUT", "/v1/members/ann", "{}").await;
    let from = json!({"from": "2026-11-18T00:00:00Z"}).to_string();
    service.call("PUT", "/v1/members/ann/cards/visa-eu/tok_ann", &from).await;
    let ann = service.engine().load(&MemberId::new("ann").unwrap()).await.unwrap().unwrap();
    assert_eq!(ann.purchases.len(), 3 * 3);
    let since = Timestamp::parse("2026-11-18T00:00:00Z").unwrap();
    assert!(ann.purchases.iter().all(|placed| placed.time >= since));
    proved(service).await;
}

#[tokio::test]
async fn inv_07_an_interrupted_job_goes_on_after_a_restart() {
    let want = told_first().await;
    let service = town(&["999"], &["888"]).await;
    members(&service).await;
    for body in week() {
        service.post("visa-eu", body).await;
    }
    // The changes are committed and nobody has looked for what they bring.
    service.engine().put_merchant(world::merchant("a", &["111"]), None).await.unwrap();
    service.engine().put_merchant(world::merchant("b", &["222", "333"]), None).await.unwrap();
    assert_eq!(service.engine().jobs().await.unwrap().len(), 2);
    let folder = service.stop().await;
    // The state is lost as well: the journal alone must bring the jobs back.
    std::fs::remove_dir_all(folder.0.join("state")).unwrap();
    let service = Service::start_in(folder, &[]).await;
    service.doors.again.go_on(service.engine(), |_| true).await.unwrap();
    assert_eq!(grants(&service).await, want);
    assert!(service.engine().jobs().await.unwrap().is_empty());
    proved(service).await;
}

#[tokio::test]
async fn an_offer_that_counts_since_the_past_brings_what_was_seen_before_it() {
    let service = Service::start(&[]).await;
    let engine = service.engine();
    engine.put_merchant(world::merchant("a", &["111"]), None).await.unwrap();
    members(&service).await;
    for body in week() {
        let (_, answer) = service.post("visa-eu", body).await;
        assert_eq!(answer["outcome"], "no_offer");
    }
    let id = OfferId::new("five").unwrap();
    engine.put_offer(&id, world::terms("a"), None).await.unwrap();
    let from = json!({"effective_from": "2026-11-17T00:00:00Z"}).to_string();
    assert_eq!(service.call("POST", "/v1/offers/five/publish", &from).await.0, 200);
    let granted = grants(&service).await;
    assert_eq!(granted.len(), 4 * 4, "four days of four members: {granted:?}");
    proved(service).await;
}

#[tokio::test]
async fn a_job_is_bounded_to_what_changed() {
    let service = town(&["111"], &["222"]).await;
    let engine = service.engine();
    // Other competitors bring nothing new.
    let mut rivalled = world::merchant("a", &["111"]);
    rivalled.competitors.push(ringfence::domain::merchant::Competitor {
        name: "B".to_owned(),
        mids: Vec::new(),
        email_domains: Vec::new(),
        networks: Vec::new(),
    });
    engine.put_merchant(rivalled, None).await.unwrap();
    assert!(engine.jobs().await.unwrap().is_empty());
    engine.put_merchant(world::merchant("a", &["111", "0444"]), None).await.unwrap();
    let jobs = engine.jobs().await.unwrap();
    let [(_, Job::Seen { clues, .. })] = jobs.as_slice() else { panic!("{jobs:?}") };
    assert_eq!(clues.len(), 2, "the marks of the one location that changed");
    service.stop().await;
}

#[tokio::test]
async fn inv_04_a_follower_that_came_first_is_joined_after_a_restart() {
    let service = town(&["111"], &["222"]).await;
    members(&service).await;
    let at = |hour: u32| format!("2026-11-21T{hour:02}:00:00Z");
    // A refund from a till whose MID nobody knows, before the purchase it names.
    let refund = world::event("r1", "refund", "p1", "tok_ann", 1_000, &at(11), "777");
    let (_, answer) = service.post("visa-eu", refund.clone()).await;
    assert_eq!(answer["outcome"], "no_offer");
    let service = Service::start_in(service.stop().await, &[]).await;
    ringfence::again::take_followers(service.engine()).await.unwrap();
    let clearing = world::event("c1", "clearing", "p1", "tok_ann", 3_000, &at(10), "111");
    let (_, answer) = service.post("visa-eu", clearing).await;
    assert_eq!(answer["outcome"], "credited", "{answer}");
    assert_eq!(grants(&service).await[0].2, 100, "five percent of what the refund leaves");
    let (_, answer) = service.post("visa-eu", refund).await;
    assert_eq!(answer["outcome"], "duplicate");
    // One whose purchase is there by the time somebody looks.
    let (_, answer) = service.post("visa-eu", world::event("r2", "refund", "p2", "tok_ann", 500, &at(11), "777")).await;
    assert_eq!(answer["outcome"], "no_offer");
    let service = Service::start_in(service.stop().await, &[]).await;
    service.post("visa-eu", world::event("c2", "clearing", "p2", "tok_ann", 2_500, &at(10), "111")).await;
    ringfence::again::take_followers(service.engine()).await.unwrap();
    assert_eq!(grants(&service).await[1].2, 100);
    proved(service).await;
}

#[tokio::test]
async fn texts_that_may_be_a_shops_are_offered_for_linking() {
    let service = Service::start(&[]).await;
    let engine = service.engine();
    let shop = |descriptors: Value| {
        json!({"name": "Blue Bottle Coffee", "time_zone": "America/Los_Angeles", "locations": [
            {"id": "webster", "city": "Oakland", "country": "US", "mids": [{"mid": "111"}], "descriptors": descriptors},
            {"id": "mint", "city": "San Francisco", "country": "US", "mids": [{"mid": "112"}]}]})
        .to_string()
    };
    assert_eq!(service.call("PUT", "/v1/merchants/a", &shop(json!([]))).await.0, 201);
    world::publish(engine, "five", world::terms("a")).await;
    members(&service).await;
    // A sale of one of them under a text that says neither place.
    let text = "BLUE BOTTLE COFFEE";
    for n in 0..3 {
        let body = world::event(
            &format!("e{n}"),
            "clearing",
            &format!("p{n}"),
            "tok_ann",
            2_000,
            "2026-11-20T11:00:00Z",
            "999",
        );
        let (_, answer) = service.post("visa-eu", body.replace("SHOP", text)).await;
        assert_eq!(answer["outcome"], "no_offer", "{answer}");
    }
    let (status, found) = service.call("GET", "/v1/merchants/a/descriptors", "").await;
    assert_eq!((status, &found["complete"]), (200, &json!(true)), "{found}");
    let first = &found["descriptors"][0];
    assert_eq!(
        (&first["text"], &first["events"], &first["mids"]),
        (&json!(text), &json!(3), &json!(["999"])),
        "{found}"
    );
    assert!(first["confidence"].as_u64().unwrap() < 800, "{found}");
    // A person links it, and what was seen is credited.
    assert_eq!(service.call("PUT", "/v1/merchants/a", &shop(json!([text]))).await.0, 200);
    assert_eq!(grants(&service).await.len(), 3);
    let (_, found) = service.call("GET", "/v1/merchants/a/descriptors", "").await;
    assert_eq!(found["descriptors"], json!([]));
    proved(service).await;
}

#[tokio::test]
async fn a_text_of_a_card_that_nobody_linked_is_compared_once_somebody_does() {
    let mut service = Service::start(&[]).await;
    let text = "BLUE BOTTLE WEBSTER";
    let shop = json!({"name": "Blue Bottle Coffee", "time_zone": "America/Los_Angeles", "locations": [
        {"id": "webster", "city": "Oakland", "country": "US", "mids": [{"mid": "111"}], "descriptors": [text]}]});
    assert_eq!(service.call("PUT", "/v1/merchants/a", &shop.to_string()).await.0, 201);
    world::publish(service.engine(), "five", world::terms("a")).await;
    world::member(service.engine(), "ann", "tok_ann").await;
    let of = |member: &str, kind: &str, minor, hour: u32, mid: &str| {
        let at = format!("2026-11-20T{hour:02}:00:00Z");
        let id = format!("{kind}{member}");
        world::event(&id, kind, &format!("p{member}"), &format!("tok_{member}"), minor, &at, mid).replace("SHOP", text)
    };
    // The card index is read again at a start, and not forgotten over it.
    service = Service::start_in(service.stop().await, &[]).await;
    for (member, kind, mid, outcome) in [
        ("ann", "clearing", "999", "credited"),
        ("bob", "refund", "999", "no_offer"),
        ("bob", "clearing", "999", "no_offer"),
        ("cyd", "clearing", "111", "unknown_card"),
    ] {
        let minor = if kind == "refund" { 1_000 } else { 3_000 };
        let (_, answer) = service.post("visa-eu", of(member, kind, minor, 11, mid)).await;
        assert_eq!(answer["outcome"], outcome, "{member} {kind}: {answer}");
    }
    let from = json!({"from": "1970-01-01T00:00:00Z"}).to_string();
    for (member, owed) in [("bob", 100), ("cyd", 150)] {
        service.call("PUT", &format!("/v1/members/{member}"), "{}").await;
        let path = format!("/v1/members/{member}/cards/visa-eu/tok_{member}");
        let (_, preview) = service.call("POST", &format!("{path}/preview"), &from).await;
        assert_eq!(preview["rewards"][0]["added_minor"], owed, "{preview}");
        assert_eq!(service.call("PUT", &path, &from).await.0, 201);
    }
    let granted: Vec<i64> = grants(&service).await.into_iter().map(|(_, _, minor)| minor).collect();
    assert_eq!(granted, [150, 100, 150]);
    proved(service).await;
}

#[tokio::test]
async fn a_merchant_takes_no_reward_back_by_forgetting_a_mid() {
    let service = town(&["111"], &["222"]).await;
    members(&service).await;
    for body in week() {
        service.post("visa-eu", body).await;
    }
    let before = grants(&service).await;
    let engine = service.engine();
    let forgotten = world::merchant("a", &["999"]);
    engine.put_merchant_as(forgotten.clone(), None, false).await.unwrap();
    service.doors.again.go_on(engine, |_| true).await.unwrap();
    assert_eq!(grants(&service).await, before);
    // What it adds counts from then on, and what was seen there is credited.
    engine.put_merchant_as(world::merchant("a", &["333"]), None, false).await.unwrap();
    service.doors.again.go_on(engine, |_| true).await.unwrap();
    assert!(grants(&service).await.len() > before.len());
    proved(service).await;
}

/// Who links many cards waits for each card's own events: what else is waiting is not even read.
#[tokio::test]
async fn a_card_since_the_past_waits_for_its_own_job_alone() {
    let service = town(&["111"], &["222"]).await;
    let body = world::event("e1", "clearing", "p1", "tok_eve", 4_000, "2026-11-21T11:00:00Z", "111");
    assert_eq!(service.post("visa-eu", body).await.1["outcome"], "unknown_card");
    assert_eq!(service.call("PUT", "/v1/members/eve", "{}").await.0, 201);
    // A job that nobody could read stands for thousands that are waiting.
    let waiting = |value: Option<&'static [u8]>| Batch {
        partition: CATALOGUE,
        puts: vec![(b"js-other".to_vec(), value.map(bytes::Bytes::from_static))],
        ..Batch::default()
    };
    let keeper = service.engine().keeper();
    keeper.commit(waiting(Some(b"\xff"))).await.unwrap();
    assert!(service.engine().jobs().await.is_err(), "to look through all of them would fail");
    let from = json!({"from": "2026-11-01T00:00:00Z"}).to_string();
    let (status, linked) = service.call("PUT", "/v1/members/eve/cards/visa-eu/tok_eve", &from).await;
    assert_eq!(status, 201, "{linked}");
    let (_, balance) = service.call("GET", "/v1/members/eve/balance", "").await;
    assert_eq!(balance["balances"][0]["posted_minor"], 200, "{balance}");
    keeper.commit(waiting(None)).await.unwrap();
    assert_eq!(service.engine().jobs().await.unwrap(), []);
    proved(service).await;
}
