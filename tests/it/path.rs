//! The path of a webhook as a network's engineer sees it: first cashback, duplicates,
//! conflicts, disorder, several sources, time passing, budgets under concurrency.

use crate::world::{self, Service};
use ringfence::clock::Clock;
use ringfence::domain::{MemberId, SourceName, Timestamp};
use ringfence::engine::EngineOptions;
use ringfence::engine::acts::Linking;
use ringfence::telemetry::WebhookOutcome;
use serde_json::Value;

async fn town(extra: &[(&str, &str)]) -> Service {
    let service = Service::start(extra).await;
    let engine = service.engine();
    engine.put_merchant(world::merchant("shop", &["000123456"]), None).await.unwrap();
    world::publish(engine, "five", world::terms("shop")).await;
    world::member(engine, "ann", "tok_ann").await;
    service
}

fn one(answer: &Value) -> (&str, i64, i64, &str) {
    let reward = &answer["rewards"][0];
    let number = |name: &str| reward[name].as_i64().unwrap_or(0);
    (
        answer["outcome"].as_str().unwrap_or("?"),
        number("due_minor"),
        number("change_minor"),
        reward["state"].as_str().unwrap_or("-"),
    )
}

#[tokio::test]
async fn a_purchase_from_authorization_to_refund() {
    let service = town(&[]).await;
    let post = |id: &'static str, kind: &'static str, minor: i64, minute: u32| {
        world::event(id, kind, "p1", "tok_ann", minor, &format!("2026-11-21T11:{minute:02}:00Z"), "123456")
    };
    let (status, answer) = service.post("visa-eu", post("e1", "authorization", 4000, 0)).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(one(&answer), ("credited", 200, 200, "pending"));
    assert_eq!((answer["event"].as_str(), answer["purchase"].as_str()), (Some("e1"), Some("p1")));
    let (_, answer) = service.post("visa-eu", post("e2", "clearing", 3800, 10)).await;
    assert_eq!(one(&answer), ("adjusted", 190, -10, "posted"));
    let (_, answer) = service.post("visa-eu", post("e2", "clearing", 3800, 10)).await;
    assert_eq!(one(&answer), ("duplicate", 190, -10, "posted"));
    assert_eq!(answer["refusals"], serde_json::json!([]));
    let (status, answer) = service.post("visa-eu", post("e2", "clearing", 3900, 10)).await;
    assert_eq!((status, answer["code"].as_str()), (409, Some("event_differs")));
    let (_, answer) = service.post("visa-eu", post("e3", "refund", 1900, 20)).await;
    assert_eq!(one(&answer), ("clawed_back", 95, -95, "posted"));
    // The second midnight brings the end of the hold of one day.
    service.clock.set(Timestamp::parse("2026-11-23T00:00:01Z").unwrap());
    service.engine().mark_day(service.clock.now()).await.unwrap();
    let ann = service.engine().load(&MemberId::new("ann").unwrap()).await.unwrap().unwrap();
    let balance = ann.head.balances[0].1;
    assert_eq!((balance.posted_minor, balance.available_minor), (0, 95));
    service.stop().await;
}

#[tokio::test]
async fn outcomes_say_why_nothing_was_given() {
    let service = town(&[]).await;
    let at = "2026-11-21T11:00:00Z";
    for (id, body, outcome) in [
        ("unknown merchant", world::event("a", "authorization", "pa", "tok_ann", 100, at, "999"), "no_offer"),
        ("unknown card", world::event("b", "authorization", "pb", "tok_bob", 100, at, "123456"), "unknown_card"),
        ("verification", world::event("c", "authorization", "pc", "tok_ann", 0, at, "123456"), "ignored"),
        ("too old", world::event("d", "clearing", "pd", "tok_ann", 100, "2024-11-21T11:00:00Z", "123456"), "too_old"),
        ("too little", world::event("e", "clearing", "pe", "tok_ann", 5, at, "123456"), "no_reward"),
    ] {
        let (status, answer) = service.post("visa-eu", body).await;
        assert_eq!((status, answer["outcome"].as_str()), (200, Some(outcome)), "{id}: {answer}");
        if outcome == "no_reward" {
            assert_eq!(answer["refusals"][0]["code"], "reward_rounds_to_zero");
        }
    }
    let bad = world::event("f", "clearing", "pf", "4242424242424242", 100, at, "123456");
    let (status, answer) = service.post("visa-eu", bad).await;
    assert_eq!((status, answer["code"].as_str()), (422, Some("card_number")));
    assert!(!answer.to_string().contains("4242"), "inv_10: {answer}");
    let letters = service.engine().dead_letters(0, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert!(!String::from_utf8_lossy(letters[0].body.as_deref().unwrap()).contains("424242424242"));
    service.stop().await;
}

#[tokio::test]
async fn inv_02_one_event_over_many_connections_at_once_has_one_effect() {
    let service = town(&[]).await;
    let body = world::event("e1", "clearing", "p1", "tok_ann", 4000, "2026-11-21T11:00:00Z", "123456");
    let answers = futures_util::future::join_all((0..64).map(|_| service.post("visa-eu", body.clone()))).await;
    let firsts = answers.iter().filter(|(_, answer)| answer["outcome"] == "credited").count();
    let again = answers.iter().filter(|(_, answer)| answer["outcome"] == "duplicate").count();
    assert_eq!((firsts, again), (1, 63));
    assert!(answers.iter().all(|(status, answer)| *status == 200 && answer["rewards"][0]["due_minor"] == 200));
    service.stop().await;
}

#[tokio::test]
async fn a_batch_is_answered_event_by_event_in_order() {
    let service = town(&[]).await;
    let at = "2026-11-21T11:00:00Z";
    let events = [
        world::event("b1", "refund", "p1", "tok_ann", 1000, "2026-11-21T11:30:00Z", "123456"),
        world::event("b2", "clearing", "p1", "tok_ann", 4000, at, "123456"),
        world::event("b3", "clearing", "p2", "tok_ann", -5, at, "123456"),
        world::event("b2", "clearing", "p1", "tok_ann", 4000, at, "123456"),
    ];
    let (status, answer) = service.post("visa-eu", format!(r#"{{"events":[{}]}}"#, events.join(","))).await;
    assert_eq!(status, 200, "{answer}");
    let outcome = |n: usize| answer["results"][n]["outcome"].as_str().unwrap_or("-");
    assert_eq!((outcome(0), outcome(1), outcome(3)), ("no_reward", "credited", "duplicate"));
    assert_eq!(answer["results"][1]["rewards"][0]["due_minor"], 150);
    assert_eq!(answer["results"][2]["status"], 422);
    service.stop().await;
}

#[tokio::test]
async fn inv_05_a_budget_is_never_passed_by_concurrent_members() {
    let service = town(&[]).await;
    let engine = service.engine();
    let mut terms = world::terms("shop");
    terms.budget_minor = Some(1_000);
    world::publish(engine, "small", terms).await;
    for n in 0..40 {
        world::member(engine, &format!("m{n}"), &format!("tok_{n}")).await;
    }
    let at = "2026-11-21T11:00:00Z";
    let sends = (0..40).map(|n| {
        let body =
            world::event(&format!("e{n}"), "clearing", &format!("p{n}"), &format!("tok_{n}"), 1_500, at, "123456");
        service.post("visa-eu", body)
    });
    let answers = futures_util::future::join_all(sends).await;
    let mut given = 0;
    let mut spent = 0;
    for (status, answer) in &answers {
        assert_eq!(*status, 200);
        let small = answer["rewards"].as_array().unwrap().iter().find(|reward| reward["offer"] == "small");
        given += small.map_or(0, |reward| reward["due_minor"].as_i64().unwrap());
        let refusals = answer["refusals"].as_array().unwrap();
        spent += usize::from(refusals.iter().any(|r| r["offer"] == "small" && r["code"] == "budget_spent"));
    }
    assert_eq!((given, spent), (1_000, 27), "13 whole rewards of 75, one of 25, the rest refused");
    // A refund gives budget back to the next purchase, not to one that was cut.
    let refund = world::event("r0", "refund", "p0", "tok_0", 1_500, "2026-11-21T11:30:00Z", "123456");
    service.post("visa-eu", refund).await;
    service.stop().await;
}

#[tokio::test]
async fn a_card_known_to_two_sources_is_credited_by_one() {
    let service = town(&[]).await;
    let engine = service.engine();
    let ann = MemberId::new("ann").unwrap();
    let visa = SourceName::new("visa-eu").unwrap();
    let linking = Linking {
        source: SourceName::new("stripe").unwrap(),
        token: "ic_ann".to_owned(),
        from: Some(Timestamp::from_ms(1)),
        same_card_as: Some(engine.card_hash(&visa, "tok_ann")),
        replaces: None,
    };
    engine.link_card(&ann, linking).await.unwrap();
    let capture = r#"{"id":"evt_1","object":"event","type":"issuing_transaction.created","created":1795258800,"data":{"object":{"id":"ipi_1","object":"issuing.transaction","type":"capture","amount":-4000,"currency":"usd","merchant_amount":-4000,"merchant_currency":"usd","authorization":"iauth_1","card":"ic_ann","created":1795258800,"merchant_data":{"category_code":"5814","country":"US","name":"SHOP","network_id":"123456"}}}}"#;
    let (status, answer) = service.post("stripe", capture).await;
    assert_eq!((status, answer["outcomes"][0].as_str()), (200, Some("no_reward")), "{answer}");
    let body = world::event("e1", "clearing", "p1", "tok_ann", 4000, "2026-11-21T11:00:00Z", "123456");
    assert_eq!(service.post("visa-eu", body).await.1["outcome"], "credited");
    let state = engine.load(&ann).await.unwrap().unwrap();
    assert_eq!(state.head.balances[0].1.posted_minor, 200, "once");
    service.stop().await;
}

#[tokio::test]
async fn a_stop_and_a_start_change_nothing() {
    let service = town(&[]).await;
    let body = world::event("e1", "clearing", "p1", "tok_ann", 4000, "2026-11-21T11:00:00Z", "123456");
    service.post("visa-eu", body.clone()).await;
    let before = service.engine().load(&MemberId::new("ann").unwrap()).await.unwrap().unwrap();
    let folder = service.stop().await;
    let service = Service::start_in(folder, &[]).await;
    assert_eq!(service.post("visa-eu", body.clone()).await.1["outcome"], "duplicate");
    let after = service.engine().load(&MemberId::new("ann").unwrap()).await.unwrap().unwrap();
    assert_eq!(before, after);
    // And inv_06: from the journal alone the state is the same.
    let folder = service.stop().await;
    std::fs::remove_dir_all(folder.0.join("state")).unwrap();
    let service = Service::start_in(folder, &[]).await;
    let rebuilt = service.engine().load(&MemberId::new("ann").unwrap()).await.unwrap().unwrap();
    assert_eq!(before, rebuilt);
    assert_eq!(service.post("visa-eu", body).await.1["outcome"], "duplicate");
    service.stop().await;
}

/// An event whose purchase was sealed early still has its one effect: its identity is kept
/// by itself, over a restart and a rebuild too.
#[tokio::test]
async fn inv_02_a_redelivery_after_early_sealing_is_a_duplicate() {
    let folder = world::Folder::new("sealed-early");
    let clock = Clock::manual(world::begin());
    let options = EngineOptions { open_purchases_max: 3, ..world::small_options(&folder.0) };
    let source = world::source();
    let mut engine = world::engine(None, options.clone(), &clock);
    engine.put_merchant(world::merchant("shop", &["000123456"]), None).await.unwrap();
    world::publish(&engine, "five", world::terms("shop")).await;
    world::member(&engine, "ann", "tok_ann").await;
    let body = |n: u32| {
        let at = format!("2026-09-0{}T11:00:00Z", n + 1);
        world::event(&format!("e{n}"), "clearing", &format!("p{n}"), "tok_ann", 4000, &at, "123456")
    };
    for n in 0..6 {
        let received = world::receive(&engine, &source, &body(n)).await;
        assert_eq!(received.results[0].as_ref().unwrap().outcome, WebhookOutcome::Credited, "{n}");
        // What is sealed must be final: the mark ends the hold.
        clock.set(clock.now().plus_days(1));
        engine.mark_day(clock.now()).await.unwrap();
    }
    let ann = MemberId::new("ann").unwrap();
    let before = engine.load(&ann).await.unwrap().unwrap();
    assert!(before.purchases.len() < 6 && before.head.outlived, "some were sealed early");
    assert_eq!(before.head.balances[0].1.available_minor, 6 * 200);
    for lost in [false, true] {
        for n in 0..6 {
            let received = world::receive(&engine, &source, &body(n)).await;
            assert_eq!(received.results[0].as_ref().unwrap().outcome, WebhookOutcome::Duplicate, "{n}");
        }
        engine.stop().unwrap();
        drop(engine);
        if lost {
            std::fs::remove_dir_all(folder.0.join("state")).unwrap();
        }
        engine = world::engine(None, options.clone(), &clock);
        assert_eq!(engine.load(&ann).await.unwrap().unwrap(), before);
    }
    let received = world::receive(&engine, &source, &body(0)).await;
    assert_eq!(received.results[0].as_ref().unwrap().outcome, WebhookOutcome::Duplicate);
}
