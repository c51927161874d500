//! The API as a newcomer and as an app call it, from the first merchant to the pay-out.

use crate::world::{self, BOOTSTRAP, Service};
use serde_json::{Value, json};

/// A shop with five percent back, without hold days, and Ann with her card.
async fn shop(service: &Service) {
    let put = |path: &'static str, body: Value| async move {
        let (status, answer) = service.call("PUT", path, &body.to_string()).await;
        assert!(status == 200 || status == 201, "{path}: {status} {answer}");
        answer
    };
    put(
        "/v1/merchants/blue",
        json!({"name": "Blue", "time_zone": "America/Los_Angeles",
        "locations": [{"id": "oakland", "mids": [{"scheme": "visa", "mid": "000445566778899"}]}]}),
    )
    .await;
    put(
        "/v1/offers/five",
        json!({"merchant": "blue", "title": "5% back", "currency": "USD",
        "reward": {"kind": "percent", "basis_points": 500}, "activation": "automatic", "hold_days": 0}),
    )
    .await;
    let (status, answer) =
        service.call("POST", "/v1/offers/five/publish", r#"{"effective_from":"2026-01-01T00:00:00Z"}"#).await;
    assert_eq!((status, answer["state"].as_str()), (200, Some("published")), "{answer}");
    put("/v1/members/ann", json!({"birthday": "--02-29", "region": "us-west"})).await;
    put("/v1/members/ann/cards/visa-eu/tok_ann", json!({"from": "2026-01-01T00:00:00Z"})).await;
}

#[tokio::test]
async fn from_the_first_merchant_to_the_pay_out() {
    let service = Service::start(&[]).await;
    shop(&service).await;
    let body = world::event("e1", "clearing", "p1", "tok_ann", 4250, "2026-11-21T11:00:00Z", "445566778899");
    let (_, answer) = service.post("visa-eu", body).await;
    // Without hold days a cleared reward waits for nothing.
    assert_eq!(
        (answer["outcome"].as_str(), answer["rewards"][0]["state"].as_str()),
        (Some("credited"), Some("available"))
    );
    let pay = |minor: i64, key: &'static str| {
        let body = json!({"amount_minor": minor, "currency": "USD"}).to_string();
        let service = &service;
        async move {
            let headers = [("idempotency-key", key)];
            service.call_with("POST", "/v1/members/ann/redemptions", BOOTSTRAP, &headers, &body).await
        }
    };
    assert_eq!(pay(213, "too-much").await.status, 409);
    let (first, again) = (pay(200, "k1").await, pay(200, "k1").await);
    assert_eq!((first.status, again.body.clone()), (201, first.body), "inv_02: the same key pays once");
    let other = pay(100, "k1").await;
    assert_eq!((other.status, other.json()["code"].as_str()), (409, Some("idempotency_key_reused")));
    let (_, balance) = service.call("GET", "/v1/members/ann/balance", "").await;
    let usd = &balance["balances"][0];
    assert_eq!((usd["available_minor"].as_i64(), usd["paid_minor"].as_i64()), (Some(12), Some(200)), "{balance}");
    // A refund after the pay-out: what is left goes, the rest is owed.
    let refund = world::event("e2", "refund", "p1", "tok_ann", 4250, "2026-11-21T11:30:00Z", "445566778899");
    assert_eq!(service.post("visa-eu", refund).await.1["outcome"], "clawed_back");
    let (_, balance) = service.call("GET", "/v1/members/ann/balance", "").await;
    let usd = &balance["balances"][0];
    assert_eq!((usd["available_minor"].as_i64(), usd["owed_minor"].as_i64()), (Some(0), Some(200)), "{balance}");
    let (_, books) = service.call("GET", "/v1/ledger/trial-balance", "").await;
    assert_eq!(books["balanced"], true, "{books}");
    let (_, purchase) = service.call("GET", "/v1/purchases/visa-eu/p1", "").await;
    assert_eq!(purchase["offers"][0]["refusal"]["code"], "nothing_stands", "{purchase}");
    service.stop().await;
}

#[tokio::test]
async fn inv_10_no_token_and_no_secret_is_shown_or_kept() {
    let service = Service::start(&[]).await;
    shop(&service).await;
    let (status, answer) = service.call("PUT", "/v1/members/ann/cards/visa-eu/4242424242424242", "{}").await;
    assert_eq!(status, 422, "{answer}");
    assert!(!answer.to_string().contains("42424242"), "{answer}");
    service.call("DELETE", "/v1/members/ann", "").await;
    let folder = service.stop().await;
    // Neither the journal nor the state holds the token or the region in the clear.
    let mut looked_at = 0;
    for entry in walk(&folder.0) {
        let bytes = std::fs::read(&entry).unwrap();
        for secret in ["tok_ann", "us-west", world::SECRET, BOOTSTRAP] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds `{secret}`", entry.display());
        }
        looked_at += 1;
    }
    assert!(looked_at >= 4, "journal, keys, secrets and state were looked at");
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        if entry.path().is_dir() { found.extend(walk(&entry.path())) } else { found.push(entry.path()) }
    }
    found
}

#[tokio::test]
async fn inv_09_callers_are_bounded_and_told_when_to_come_back() {
    let extra = [("RINGFENCE_LIMITS__PER_KEY__PER_SECOND", "1"), ("RINGFENCE_LIMITS__PER_KEY__BURST", "3")];
    let service = Service::start(&extra).await;
    let mut limited = 0;
    for _ in 0..6 {
        let answer = service.call_with("GET", "/v1/ledger/trial-balance", BOOTSTRAP, &[], "").await;
        if answer.status == 429 {
            limited += 1;
            assert!(answer.headers.contains_key("retry-after"));
        }
    }
    assert!(limited >= 2, "{limited} of 6 were told to slow down");
    service.stop().await;
}

#[tokio::test]
async fn operations_answer_without_a_key() {
    let service = Service::start(&[]).await;
    for (path, status) in
        [("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/openapi.json", 200), ("/nowhere", 404)]
    {
        let answer = service.send("GET", path, &[], Vec::new()).await;
        assert_eq!(answer.status, status, "{path}");
    }
    let metrics = service.send("GET", "/metrics", &[], Vec::new()).await;
    let text = String::from_utf8(metrics.body).unwrap();
    assert!(text.ends_with("# EOF\n") && text.contains("_seconds_bucket"), "{}", &text[..200]);
    let answer = service.send("GET", "/v1/ledger/trial-balance", &[], Vec::new()).await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (401, Some("not_authenticated")));
    service.stop().await;
}
