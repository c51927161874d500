//! Hostile and broken input over the wire: 4xx, bounded, never 5xx, never a panic, and the
//! service goes on.

use crate::world::{self, Service};
use std::path::Path;

#[tokio::test]
async fn every_file_of_jsontestsuite_gets_an_answer_that_is_no_5xx() {
    let service = Service::start(&[]).await;
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/jsontestsuite/test_parsing");
    let mut read = 0;
    for entry in std::fs::read_dir(dir).expect("the suite is there") {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for source in ["visa-eu", "stripe"] {
            let (status, answer) = service.post(source, std::fs::read(&path).unwrap()).await;
            assert!(status < 500, "{name} at {source}: {status} {answer}");
            if name.starts_with("n_") {
                assert_eq!(status, 400, "{name} at {source}: {answer}");
                assert!(answer["code"].is_string() && answer["detail"].is_string(), "{name}: {answer}");
            }
        }
        read += 1;
    }
    assert_eq!(read, 318, "the whole suite was posted");
    service.stop().await;
}

#[tokio::test]
async fn naughty_strings_are_kept_or_refused_and_shown_as_they_came() {
    let service = Service::start(&[]).await;
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/blns/blns.json");
    let strings: Vec<String> = serde_json::from_slice(&std::fs::read(list).expect("the list is there")).unwrap();
    assert!(strings.len() > 400);
    for (n, text) in strings.iter().enumerate() {
        let mut body: serde_json::Value = serde_json::from_str(&world::event(
            &format!("n{n}"),
            "authorization",
            &format!("p{n}"),
            "tok",
            100,
            world::BEGIN,
            "1",
        ))
        .unwrap();
        body["merchant"]["descriptor"] = text.as_str().into();
        let (status, answer) = service.post("visa-eu", body.to_string()).await;
        assert!(status == 200 || status == 422, "{text:?}: {status} {answer}");
        body["id"] = text.as_str().into();
        let (status, answer) = service.post("visa-eu", body.to_string()).await;
        assert!(matches!(status, 200 | 422), "{text:?}: {status} {answer}");
        if status == 200 {
            assert_eq!(answer["event"], text.as_str());
        }
    }
    service.stop().await;
}

#[tokio::test]
async fn deep_nesting_and_large_bodies_are_refused_early() {
    let service = Service::start(&[]).await;
    for open in ["[", "{\"a\":"] {
        let (status, answer) = service.post("visa-eu", open.repeat(100_000)).await;
        assert_eq!(status, 400, "{answer}");
    }
    let (status, answer) = service.post("visa-eu", vec![b' '; 10 << 20]).await;
    assert_eq!((status, answer["code"].as_str()), (413, Some("body_too_large")), "{answer}");
    let (status, answer) = service.post("visa-eu", "").await;
    assert_eq!(status, 400, "{answer}");
    let good = world::event("after", "authorization", "p", "tok", 100, world::BEGIN, "1");
    assert_eq!(service.post("visa-eu", good).await.0, 200, "the service goes on");
    service.stop().await;
}

#[tokio::test]
async fn inv_01_nothing_is_read_before_it_is_proven() {
    let service = Service::start(&[]).await;
    // Broken JSON with a wrong signature: the signature is judged, not the JSON.
    for headers in [
        vec![],
        vec![("webhook-id", "m"), ("webhook-timestamp", "1"), ("webhook-signature", "v1,AAAA")],
        vec![("webhook-id", "m"), ("webhook-timestamp", "99999999999999999999"), ("webhook-signature", "v1,=")],
        vec![("webhook-id", ""), ("webhook-timestamp", "abc"), ("webhook-signature", "")],
        vec![("stripe-signature", "t=,v1=")],
    ] {
        let headers: Vec<_> = headers.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        for source in ["visa-eu", "stripe"] {
            let answer = service.send("POST", &format!("/v1/webhooks/{source}"), &headers, b"{broken".to_vec()).await;
            assert_eq!(answer.status, 401);
            assert_eq!(answer.json()["code"], "not_authenticated");
            assert!(answer.headers.contains_key("x-request-id"));
        }
    }
    let books = service.engine().trial_balance().await.unwrap();
    assert!(books.sums.is_empty());
    service.stop().await;
}
