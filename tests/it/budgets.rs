//! Budgets over the whole service: the day's, what is told of their use, and what a restart
//! and the passing of days make of them.

use crate::world::{self, Service};
use ringfence::audit::{AuditOptions, Named, audit};
use ringfence::decide::Policy;
use ringfence::domain::{OfferId, Timestamp};
use ringfence::store::keys;
use serde_json::{Value, json};

/// 5 percent, of which 10.00 may be given a day and 25.00 in all.
async fn town() -> Service {
    let service = Service::start(&[]).await;
    let engine = service.engine();
    engine.put_merchant(world::merchant("shop", &["123456"]), None).await.unwrap();
    let mut terms = world::terms("shop");
    (terms.budget_minor, terms.daily_budget_minor) = (Some(2_500), Some(1_000));
    world::publish(engine, "five", terms).await;
    for n in 0..30 {
        world::member(engine, &format!("m{n}"), &format!("tok_{n}")).await;
    }
    service
}

/// A member's purchase or refund now: what became of it under the offer.
async fn event(service: &Service, kind: &str, member: u32, purchase: &str, minor: i64) -> (i64, String) {
    let (id, now) = (format!("{purchase}-{kind}"), service.clock.now().to_string());
    let body = world::event(&id, kind, purchase, &format!("tok_{member}"), minor, &now, "123456");
    let (status, answer) = service.post("visa-eu", body).await;
    assert_eq!(status, 200, "{answer}");
    let due = answer["rewards"][0]["due_minor"].as_i64().unwrap_or(0);
    (due, answer["refusals"][0]["detail"].as_str().unwrap_or_default().to_owned())
}

async fn buys(service: &Service, member: u32, purchase: &str, minor: i64) -> i64 {
    event(service, "clearing", member, purchase, minor).await.0
}

async fn day(service: &Service, day: &str) {
    service.clock.set(Timestamp::parse(&format!("{day}T12:00:00Z")).unwrap());
    service.engine().mark_day(service.clock.now()).await.unwrap();
}

async fn offer(service: &Service) -> Value {
    let (status, one) = service.call("GET", "/v1/offers/five", "").await;
    assert_eq!(status, 200, "{one}");
    let (_, list) = service.call("GET", "/v1/offers", "").await;
    for key in ["state", "budget_used_percent", "daily_budget_used_percent", "warnings"] {
        assert_eq!(list["offers"][0].get(key), one.get(key), "a list says the same: {key}");
    }
    one
}

/// Warnings of an offer, `path: words`.
fn warnings(offer: &Value) -> Vec<String> {
    let all = offer.get("warnings").and_then(Value::as_array).cloned().unwrap_or_default();
    all.iter().map(|one| format!("{}: {}", one["path"].as_str().unwrap(), one["detail"].as_str().unwrap())).collect()
}

/// How often budgets have come to a share.
fn told(service: &Service, budget: &str, percent: u32) -> u32 {
    let sample = format!("ringfence_budgets_used_total{{budget=\"{budget}\",percent=\"{percent}\"}} ");
    let page = service.engine().metrics.encode();
    page.lines().find_map(|line| line.strip_prefix(&sample)).unwrap().parse().unwrap()
}

/// Stops, and proves the books from the journal alone.
async fn proved(service: Service) {
    let folder = service.stop().await;
    let report = audit(&[folder.0.join("journal")], &AuditOptions::new(Policy::default())).unwrap();
    assert!(report.is_clean() && report.check(Named::Budgets).examined > 0, "{report}");
}

#[tokio::test]
async fn inv_05_a_days_budget_is_never_passed_by_concurrent_members() {
    let service = town().await;
    let names: Vec<_> = (0..30).map(|n| (n, format!("p{n}"))).collect();
    let sends = names.iter().map(|(member, purchase)| event(&service, "clearing", *member, purchase, 1_500));
    let answers = futures_util::future::join_all(sends).await;
    assert_eq!(answers.iter().map(|(due, _)| due).sum::<i64>(), 1_000, "{answers:?}");
    let spent = "the offer's budget for that day is spent";
    assert_eq!(answers.iter().filter(|(_, why)| why == spent).count(), 17, "13 whole rewards of 75, one of 25");
    let (_, seen) = service.call("GET", "/v1/purchases/visa-eu/p29", "").await;
    let refusal = &seen["offers"][0]["refusal"];
    assert_eq!((&refusal["code"], &refusal["detail"]), (&json!("budget_spent"), &json!(spent)), "{seen}");
    // What is taken back today gives nothing back to the day.
    let given = answers.iter().position(|(due, _)| *due == 75).unwrap();
    event(&service, "refund", names[given].0, &names[given].1, 1_500).await;
    assert_eq!(buys(&service, 0, "more", 1_500).await, 0);
    day(&service, "2026-11-22").await;
    assert_eq!(buys(&service, 0, "tomorrow", 30_000).await, 1_000);
    proved(service).await;
}

#[tokio::test]
async fn what_is_used_of_a_budget_is_told_and_a_restart_forgets_none_of_it() {
    let service = town().await;
    let view = offer(&service).await;
    assert_eq!((&view["budget_used_percent"], &view["state"]), (&json!(0), &json!("published")));
    assert_eq!(warnings(&view), [""; 0]);
    assert_eq!(buys(&service, 1, "p1", 12_000).await, 600);
    let view = offer(&service).await;
    assert_eq!(warnings(&view), ["daily_budget_minor: 60 percent of it is used for today"]);
    assert_eq!(view["daily_budget_left_minor"], 400);
    assert_eq!(buys(&service, 2, "p2", 20_000).await, 400);
    let (_, may) = service.call("GET", "/v1/members/m1/offers", "").await;
    let refusal = &may["offers"][0]["refusal"];
    assert_eq!((&refusal["code"], may["offers"][0].get("next_minor")), (&json!("budget_spent"), None), "{may}");
    assert_eq!(refusal["detail"], "the offer's budget for that day is spent");
    let view = offer(&service).await;
    assert_eq!(warnings(&view), ["daily_budget_minor: is spent for today; tomorrow's begins at midnight UTC"]);
    assert_eq!((told(&service, "day", 50), told(&service, "day", 80), told(&service, "day", 100)), (1, 1, 1));
    assert_eq!(told(&service, "whole", 50), 0);

    // A restart knows what the day has given, with the state and without it.
    let folder = service.stop().await;
    let service = Service::start_in(folder, &[]).await;
    assert_eq!(buys(&service, 3, "p3", 20_000).await, 0);
    let folder = service.stop().await;
    std::fs::remove_dir_all(folder.0.join("state")).unwrap();
    let service = Service::start_in(folder, &[]).await;
    assert_eq!(buys(&service, 4, "p4", 20_000).await, 0);
    assert_eq!(offer(&service).await["daily_budget_used_percent"], 100);

    // Each share of the whole is told as it is crossed, and again when it is crossed again.
    day(&service, "2026-11-22").await;
    assert_eq!(buys(&service, 5, "p5", 20_000).await, 1_000);
    let view = offer(&service).await;
    assert_eq!(view["budget_used_percent"], 80);
    assert_eq!(warnings(&view)[0], "budget_minor: 80 percent of it is used");
    assert_eq!((told(&service, "whole", 50), told(&service, "whole", 80)), (1, 1));
    event(&service, "refund", 5, "p5", 20_000).await;
    assert_eq!(offer(&service).await["budget_used_percent"], 40);
    day(&service, "2026-11-23").await;
    assert_eq!(buys(&service, 6, "p6", 20_000).await, 1_000);
    assert_eq!((told(&service, "whole", 50), told(&service, "whole", 80)), (2, 2));
    day(&service, "2026-11-24").await;
    assert_eq!(event(&service, "clearing", 7, "p7", 20_000).await.0, 500);
    let (due, why) = event(&service, "clearing", 8, "p8", 20_000).await;
    assert_eq!((due, why.as_str()), (0, "the budget of the offer is spent"));
    let view = offer(&service).await;
    assert_eq!((&view["state"], &view["budget_left_minor"]), (&json!("budget_spent"), &json!(0)), "{view}");
    assert!(warnings(&view)[0].starts_with("budget_minor: is spent: nothing more is given"), "{view}");
    assert_eq!(told(&service, "whole", 100), 1);
    // A step says so too; and what stands otherwise stands before it.
    let (_, paused) = service.call("POST", "/v1/offers/five/pause", "").await;
    assert_eq!(paused["state"], "paused", "{paused}");
    let (_, resumed) = service.call("POST", "/v1/offers/five/resume", "").await;
    assert_eq!(resumed["state"], "budget_spent", "{resumed}");
    proved(service).await;
}

#[tokio::test]
async fn days_that_are_over_are_forgotten() {
    let service = town().await;
    let five = OfferId::new("five").unwrap();
    let mut days = Vec::new();
    for (n, date) in ["2026-11-22", "2026-11-23", "2026-11-24"].into_iter().enumerate() {
        day(&service, date).await;
        assert_eq!(buys(&service, 1, &format!("p{n}"), 1_000).await, 50);
        days.push(service.clock.now().day());
    }
    let keeper = service.engine().keeper();
    let counted = |day: u32| keys::raised(day, &five);
    let at = keeper.counted_in(0);
    let left: Vec<i64> = {
        let mut left = Vec::new();
        for day in &days {
            left.push(keys::counter(keeper.get(at, &counted(*day)).await.unwrap().as_ref()));
        }
        left
    };
    assert_eq!(left, [0, 50, 50], "today and yesterday are kept");
    proved(service).await;
}

#[tokio::test]
async fn a_smaller_budget_tells_what_it_has_come_to() {
    let service = town().await;
    assert_eq!(buys(&service, 1, "p1", 12_000).await, 600);
    let document = json!({"merchant": "shop", "title": "5% back", "currency": "USD", "activation": "automatic",
        "reward": {"kind": "percent", "basis_points": 500}, "budget_minor": 700, "hold_days": 1});
    let (_, put) = service.call("PUT", "/v1/offers/five", &document.to_string()).await;
    assert_eq!((&put["budget_used_percent"], told(&service, "whole", 50)), (&json!(24), 0), "not before it counts");
    service.call("POST", "/v1/offers/five/publish", "").await;
    assert_eq!((told(&service, "whole", 50), told(&service, "whole", 80), told(&service, "whole", 100)), (1, 1, 0));
    proved(service).await;
}
