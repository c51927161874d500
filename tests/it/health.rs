//! A source's health as an operator asks for it: received beside said, redelivery, silence
//! against habit, failed signatures, over restarts.

use crate::world::{self, BOOTSTRAP, Service};
use ringfence::domain::Timestamp;
use serde_json::{Value, json};

async fn town() -> Service {
    let service = Service::start(&[]).await;
    let engine = service.engine();
    engine.put_merchant(world::merchant("shop", &["000123456"]), None).await.unwrap();
    world::publish(engine, "five", world::terms("shop")).await;
    world::member(engine, "ann", "tok_ann").await;
    service
}

async fn health(service: &Service, query: &str) -> Value {
    let (status, health) = service.call("GET", &format!("/v1/sources/visa-eu/health{query}"), "").await;
    assert_eq!(status, 200, "{health}");
    health
}

fn day<'h>(health: &'h Value, day: &str) -> &'h Value {
    let days = health["days"].as_array().unwrap();
    days.iter().find(|one| one["day"] == day).unwrap_or_else(|| panic!("{day} is not in {health}"))
}

const YESTERDAY: &str = "2026-11-20T22:00:00Z";
const CONTROL: &str = "/v1/sources/visa-eu/control-totals/2026-11-20";

#[tokio::test]
async fn what_was_received_stands_beside_what_was_said() {
    let service = town().await;
    let clearing = |id: &str, card: &str, minor: i64| {
        world::event(id, "clearing", &format!("p{id}"), card, minor, YESTERDAY, "123456")
    };
    // Late, repeated, of a stranger, of an unknown shop, changed.
    for body in [
        clearing("1", "tok_ann", 4_000),
        clearing("1", "tok_ann", 4_000),
        clearing("1", "tok_ann", 4_001),
        clearing("2", "tok_stranger", 250),
        clearing("2", "tok_stranger", 250),
        clearing("3", "tok_ann", 30).replace("123456", "999"),
        world::event("4", "refund", "p1", "tok_ann", 1_000, "2026-11-21T09:00:00Z", "123456"),
    ] {
        service.post("visa-eu", body).await;
    }
    let (status, _) = service.post("visa-eu", clearing("5", "4242424242424242", 1)).await;
    assert_eq!(status, 422);
    let seen = health(&service, "").await;
    let received = &day(&seen, "2026-11-20")["received"];
    assert_eq!(
        received,
        &json!([{"type": "clearing", "currency": "USD", "count": 3, "sum_minor": 4_280,
            "outcomes": {"credited": 1, "duplicate": 1, "conflict": 1, "unknown_card": 2, "no_offer": 1}}])
    );
    assert_eq!(day(&seen, "2026-11-20")["agrees"], Value::Null);
    assert_eq!(day(&seen, "2026-11-21")["other_messages"], json!({"kept": 1}), "by the day it came");
    assert_eq!((seen["silence"]["state"].as_str(), seen["gaps"].as_array().map(Vec::len)), (Some("learning"), Some(0)));
    // The source says one clearing more, and nothing of another type.
    let said = json!([{"type": "clearing", "currency": "USD", "count": 4, "sum_minor": 5_000},
        {"type": "chargeback", "currency": "EUR", "count": 1, "sum_minor": 7}]);
    let (status, answer) = service.call("PUT", CONTROL, &said.to_string()).await;
    assert_eq!((status, &answer["version"], &answer["totals"]), (201, &json!(1), &said), "{answer}");
    let folder = service.stop().await;
    let service = Service::start_in(folder, &[]).await;
    let seen = health(&service, "?from=2026-11-20&to=2026-11-20").await;
    assert_eq!(seen["days"].as_array().unwrap().len(), 1);
    let kept = day(&seen, "2026-11-20");
    assert_eq!(&kept["received"], received, "a stop and a start change nothing");
    assert_eq!(kept["agrees"], false);
    assert_eq!(
        kept["differences"],
        json!([{"type": "clearing", "currency": "USD", "count": -1, "sum_minor": -720},
            {"type": "chargeback", "currency": "EUR", "count": -1, "sum_minor": -7}])
    );
    // What was missing comes as a file; the source corrects the rest.
    let (_, tally) = service.call("POST", "/v1/sources/visa-eu/ingest", &clearing("6", "tok_ann", 720)).await;
    assert_eq!(tally["outcomes"]["credited"], 1, "{tally}");
    let said = json!([{"type": "clearing", "currency": "USD", "count": 4, "sum_minor": 5_000}]);
    let stale = service.call_with("PUT", CONTROL, BOOTSTRAP, &[("if-match", "\"0\"")], &said.to_string()).await;
    assert_eq!(stale.status, 412);
    let fresh = service.call_with("PUT", CONTROL, BOOTSTRAP, &[("if-match", "\"1\"")], &said.to_string()).await;
    assert_eq!((fresh.status, fresh.headers["etag"].to_str().unwrap()), (200, "\"2\""));
    let seen = health(&service, "").await;
    assert_eq!(
        (&day(&seen, "2026-11-20")["agrees"], &day(&seen, "2026-11-20")["differences"]),
        (&json!(true), &json!([]))
    );
    service.stop().await;
}

#[tokio::test]
async fn impossible_totals_are_refused_with_their_place() {
    let service = Service::start(&[]).await;
    let line = |more: &str| format!(r#"{{"type":"clearing","currency":"USD","count":1,"sum_minor":2{more}}}"#);
    for (path, body, status, field) in [
        (CONTROL, format!("[{},{}]", line(""), line("")), 422, "[1]"),
        (CONTROL, format!("[{}]", line(r#","sum":1"#)), 422, "[0].sum"),
        (CONTROL, r#"[{"type":"purchase","currency":"USD","count":1,"sum_minor":2}]"#.to_owned(), 422, "[0].type"),
        (CONTROL, r#"[{"type":"clearing","currency":"XXX","count":1,"sum_minor":2}]"#.to_owned(), 422, "[0].currency"),
        (CONTROL, r#"[{"type":"expiry","count":1,"sum_minor":2}]"#.to_owned(), 422, "[0].currency"),
        (CONTROL, r#"[{"type":"expiry","count":-1,"sum_minor":0}]"#.to_owned(), 422, "[0].count"),
        (CONTROL, r#"[{"type":"expiry","count":1,"sum_minor":-1}]"#.to_owned(), 422, "[0].sum_minor"),
        ("/v1/sources/visa-eu/control-totals/2026-11-31", "[]".to_owned(), 422, "day"),
        ("/v1/sources/visa-eu/control-totals/2026-01-01", "[]".to_owned(), 422, "day"),
        ("/v1/sources/visa-eu/control-totals/2027-01-01", "[]".to_owned(), 422, "day"),
        ("/v1/sources/none/control-totals/2026-11-20", "[]".to_owned(), 404, ""),
    ] {
        let (code, answer) = service.call("PUT", path, &body).await;
        assert_eq!((code, answer["field"].as_str().unwrap_or("")), (status, field), "{path} {body}: {answer}");
    }
    assert_eq!(health(&service, "").await["days"], json!([]));
    for query in ["?from=yesterday", "?from=2026-11-20&to=2026-11-19"] {
        let (status, _) = service.call("GET", &format!("/v1/sources/visa-eu/health{query}"), "").await;
        assert_eq!(status, 400, "{query}");
    }
    let answer = service.send("GET", "/v1/sources/visa-eu/health", &[], Vec::new()).await;
    assert_eq!(answer.status, 401);
    service.stop().await;
}

#[tokio::test]
async fn a_source_that_is_quieter_than_usual_is_alarmed() {
    let service = town().await;
    let begin = service.clock.now();
    // Four hours apart for three weeks and a half; a page of lines given by hand is no delivery.
    for n in 0..150 {
        service.clock.set(begin.plus_ms(n * 4 * 3_600_000));
        let body = world::event(&format!("q{n}"), "authorization", &format!("q{n}"), "tok", 100, world::BEGIN, "1");
        assert_eq!(service.post("visa-eu", body).await.0, 200);
    }
    let last = service.clock.now();
    let metrics = async || {
        let answer = service.send("GET", "/metrics", &[], Vec::new()).await;
        String::from_utf8(answer.body).unwrap()
    };
    service.clock.set(last.plus_ms(5 * 3_600_000));
    let seen = health(&service, "").await;
    let silence = &seen["silence"];
    assert_eq!(
        (silence["state"].as_str(), silence["habit_seconds"].as_u64()),
        (Some("usual"), Some(14_400)),
        "{silence}"
    );
    service.doors.health.turned(service.clock.now());
    assert!(metrics().await.contains("ringfence_source_silent{source=\"visa-eu\"} 0"));
    service.clock.set(last.plus_ms(7 * 3_600_000));
    let body = world::event("h", "authorization", "h", "tok", 100, world::BEGIN, "1");
    service.call("POST", "/v1/sources/visa-eu/ingest", &body).await;
    let seen = health(&service, "").await;
    assert_eq!((&seen["silence"]["state"], &seen["last_delivery_at"]), (&json!("silent"), &json!(last.to_string())));
    service.doors.health.turned(service.clock.now());
    let page = metrics().await;
    assert!(page.contains("ringfence_source_silent{source=\"visa-eu\"} 1"), "{page}");
    assert!(page.contains("ringfence_source_silence_seconds{source=\"visa-eu\"} 25200"), "{page}");
    // A webhook that is not proven is no sign of life, and is counted by its reason.
    let headers = [("webhook-id", "m"), ("webhook-timestamp", "1"), ("webhook-signature", "v1,AAAA")];
    let headers: Vec<_> = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    service.send("POST", "/v1/webhooks/visa-eu", &headers, b"{}".to_vec()).await;
    let seen = health(&service, "").await;
    assert_eq!(
        (&seen["silence"]["state"], &seen["signature_failures"]),
        (&json!("silent"), &json!({"malformed_header": 1}))
    );
    service.post("visa-eu", world::event("r", "authorization", "r", "tok", 100, world::BEGIN, "1")).await;
    assert_eq!(health(&service, "").await["silence"]["state"], "usual");
    let now = Timestamp::parse(health(&service, "").await["now"].as_str().unwrap()).unwrap();
    assert_eq!(now, service.clock.now());
    service.stop().await;
}
