//! How other networks prove themselves, over HTTP: Fidel with the address it signs, Kard
//! without a time, Marqeta with a password beside its signature; replays, rotation, and what
//! an operator sees of both.

use crate::world::{self, Answer, Service};
use ringfence::authenticate::{Scheme, Secret, Signer};
use ringfence::domain::{MemberId, SourceName, Timestamp};
use ringfence::engine::acts::Linking;

const URL: &str = "https://offers.example.org/hooks/fidel?brand=7";
const FIDEL: &str = "fidel-k3y-R7mQ2xW9pL4vT8zN";
const KARD: &str = "kard-k3y-R7mQ2xW9pL4vT8zN";
const MARQETA: &str = "mq-k3y-R7mQ2xW9pL4vT8zN";
const MARQETA_OLD: &str = "mq-k3y-old-W9pL4vT8zNR7mQ2x";
const PASSWORD: &str = "mq:Zc5Hs8Kd1:Yf3Gt6Bq9x";

/// A shop with an offer of 5 %, ann with a card at each of three sources. All speak our own
/// format: how a source proves itself and whose words it speaks are two settings.
async fn town() -> Service {
    let mut extra: Vec<(String, String)> = Vec::new();
    for (place, name, auth, secrets, more) in [
        (2, "net-fidel", r#"["fidel"]"#, r#"["env:RINGFENCE_SECRET_F"]"#, Some(URL)),
        (3, "net-kard", r#"["kard"]"#, r#"["env:RINGFENCE_SECRET_K"]"#, None),
        (
            4,
            "net-marqeta",
            r#"["basic", "marqeta"]"#,
            r#"["env:RINGFENCE_SECRET_M", "basic=env:RINGFENCE_SECRET_P", "env:RINGFENCE_SECRET_M_OLD"]"#,
            None,
        ),
    ] {
        let mut set =
            |key: &str, value: &str| extra.push((format!("RINGFENCE_SOURCES__{place}__{key}"), value.to_owned()));
        set("NAME", name);
        set("FORMAT", "ringfence");
        set("AUTH", auth);
        set("SECRETS", secrets);
        if let Some(url) = more {
            set("PUBLIC_URL", url);
        }
    }
    for (name, value) in [("F", FIDEL), ("K", KARD), ("M", MARQETA), ("M_OLD", MARQETA_OLD), ("P", PASSWORD)] {
        extra.push((format!("RINGFENCE_SECRET_{name}"), value.to_owned()));
    }
    let extra: Vec<(&str, &str)> = extra.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let service = Service::start(&extra).await;
    let engine = service.engine();
    engine.put_merchant(world::merchant("shop", &["000123456"]), None).await.unwrap();
    world::publish(engine, "five", world::terms("shop")).await;
    world::member(engine, "ann", "tok_ann").await;
    for source in ["net-fidel", "net-kard", "net-marqeta"] {
        let linking = Linking {
            source: SourceName::new(source).unwrap(),
            token: format!("{source}-ann"),
            from: Some(Timestamp::from_ms(0)),
            same_card_as: None,
            replaces: None,
        };
        engine.link_card(&MemberId::new("ann").unwrap(), linking).await.unwrap();
    }
    service
}

fn signer(scheme: Scheme, secret: &str) -> Signer {
    Signer::new(scheme, &Secret::new(secret)).unwrap().posting_to(URL)
}

/// The headers of several proofs at once.
fn proof(signers: &[&Signer], now: Timestamp, body: &str) -> Vec<(String, String)> {
    let each = signers.iter().flat_map(|signer| signer.sign("", now, body.as_bytes()).unwrap());
    each.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn purchase(source: &str, event: &str) -> String {
    let (purchase, card) = (format!("p-{event}"), format!("{source}-ann"));
    world::event(event, "clearing", &purchase, &card, 4000, "2026-11-21T11:00:00Z", "123456")
}

async fn post(service: &Service, source: &str, headers: &[(String, String)], body: &str) -> Answer {
    service.send("POST", &format!("/v1/webhooks/{source}"), headers, body.as_bytes().to_vec()).await
}

fn outcome(answer: &Answer) -> (u16, String) {
    let json = answer.json();
    let word = json["outcome"].as_str().or_else(|| json["code"].as_str()).unwrap_or("?");
    (answer.status, word.to_owned())
}

async fn metrics(service: &Service) -> String {
    String::from_utf8(service.send("GET", "/metrics", &[], Vec::new()).await.body).unwrap()
}

#[tokio::test]
async fn inv_01_fidel_proves_body_address_and_time() {
    let service = town().await;
    let (now, body) = (service.clock.now(), purchase("net-fidel", "e1"));
    let fidel = signer(Scheme::Fidel, FIDEL);
    let good = proof(&[&fidel], now, &body);
    let elsewhere = fidel.clone().posting_to("https://offers.example.org/hooks/fidel");
    let denied = (401, "not_authenticated".to_owned());
    for (what, headers, body) in [
        ("another body", good.clone(), body.replace("4000", "4001")),
        ("another address", proof(&[&elsewhere], now, &body), body.clone()),
        ("another key", proof(&[&signer(Scheme::Fidel, KARD)], now, &body), body.clone()),
        ("an old time", proof(&[&fidel], now.plus_ms(-300_001), &body), body.clone()),
        ("a future time", proof(&[&fidel], now.plus_ms(300_001), &body), body.clone()),
        ("nothing", Vec::new(), body.clone()),
        ("twice", [&good[..], &good].concat(), body.clone()),
    ] {
        let answer = post(&service, "net-fidel", &headers, &body).await;
        assert_eq!(outcome(&answer), denied, "{what}");
        assert!(!answer.headers.contains_key("www-authenticate"), "{what}");
    }
    // Nobody's money moved, and what is genuine still counts once.
    assert_eq!(outcome(&post(&service, "net-fidel", &good, &body).await), (200, "credited".to_owned()));
    assert_eq!(outcome(&post(&service, "net-fidel", &good, &body).await), (200, "duplicate".to_owned()));
    // A retry is signed anew, and is the same event.
    service.clock.set(now.plus_ms(60_000));
    let late = proof(&[&fidel], service.clock.now().plus_ms(2_500), &body);
    assert_eq!(outcome(&post(&service, "net-fidel", &late, &body).await), (200, "duplicate".to_owned()));
    let page = metrics(&service).await;
    for line in [
        r#"ringfence_proofs_total{source="net-fidel",key="1"} 3"#,
        r#"ringfence_signature_clock_gap_seconds{source="net-fidel"} -2.5"#,
        r#"ringfence_signature_clock_gap_largest_seconds{source="net-fidel"} -2.5"#,
        r#"ringfence_signature_failures_total{source="net-fidel",reason="no_matching_signature"} 3"#,
        r#"ringfence_signature_failures_total{source="net-fidel",reason="too_old"} 1"#,
        r#"ringfence_signature_failures_total{source="net-fidel",reason="too_new"} 1"#,
    ] {
        assert!(page.contains(line), "{line} in\n{page}");
    }
    service.stop().await;
}

/// Without a time the proof holds for ever; the event's identity makes it count once.
#[tokio::test]
async fn inv_02_a_replay_without_a_time_has_one_effect() {
    let service = town().await;
    let body = purchase("net-kard", "e1");
    let headers = proof(&[&signer(Scheme::Kard, KARD)], service.clock.now(), &body);
    assert_eq!(outcome(&post(&service, "net-kard", &headers, &body).await), (200, "credited".to_owned()));
    for days in [1, 100, 500] {
        service.clock.set(world::begin().plus_days(days));
        assert_eq!(outcome(&post(&service, "net-kard", &headers, &body).await), (200, "duplicate".to_owned()));
    }
    // Once its identity may be forgotten, it is too old to count at all.
    service.clock.set(world::begin().plus_days(579));
    assert_eq!(outcome(&post(&service, "net-kard", &headers, &body).await), (200, "too_old".to_owned()));
    let page = metrics(&service).await;
    assert!(!page.contains(r#"clock_gap_seconds{source="net-kard"}"#), "{page}");
    service.stop().await;
}

#[tokio::test]
async fn marqeta_brings_a_password_and_a_signature_each_rotated_apart() {
    let service = town().await;
    let now = service.clock.now();
    let (basic, old) = (signer(Scheme::Basic, PASSWORD), signer(Scheme::Marqeta, MARQETA_OLD));
    let new = signer(Scheme::Marqeta, MARQETA);
    let body = purchase("net-marqeta", "e1");
    let wrong = signer(Scheme::Basic, "mq:Zc5Hs8Kd1:Yf3Gt6Bq9y");
    for (what, signers) in [
        ("no signature", &[&basic][..]),
        ("no password", &[&new]),
        ("a wrong password", &[&wrong, &new]),
        ("a wrong key", &[&basic, &signer(Scheme::Marqeta, KARD)]),
    ] {
        let answer = post(&service, "net-marqeta", &proof(signers, now, &body), &body).await;
        assert_eq!(outcome(&answer), (401, "not_authenticated".to_owned()), "{what}");
        // The same whatever was wrong, so that it tells nobody which.
        let asked = answer.headers["www-authenticate"].to_str().unwrap();
        assert_eq!(asked, r#"Basic realm="webhooks", charset="UTF-8""#);
    }
    let answer = post(&service, "net-marqeta", &proof(&[&basic, &old], now, &body), &body).await;
    assert_eq!(outcome(&answer), (200, "credited".to_owned()));
    for event in ["e2", "e3"] {
        let body = purchase("net-marqeta", event);
        let answer = post(&service, "net-marqeta", &proof(&[&basic, &new], now, &body), &body).await;
        assert_eq!(outcome(&answer), (200, "credited".to_owned()));
    }
    let page = metrics(&service).await;
    for line in [
        r#"ringfence_proofs_total{source="net-marqeta",key="1"} 2"#,
        r#"ringfence_proofs_total{source="net-marqeta",key="2"} 3"#,
        r#"ringfence_proofs_total{source="net-marqeta",key="3"} 1"#,
        r#"ringfence_proofs_total{source="net-kard",key="1"} 0"#,
    ] {
        assert!(page.contains(line), "{line} in\n{page}");
    }
    assert!(!page.contains(r#"source="net-marqeta",key="4""#), "{page}");
    service.stop().await;
}

/// A provider that reads the status alone is told 200 for all that is genuine and durable; a
/// genuine body that cannot be read at all is not.
#[tokio::test]
async fn other_providers_are_answered_so_that_they_stop_repeating() {
    let service = town().await;
    let unreadable = service.post("stripe", r#"{"id":"evt_1","#).await;
    assert_eq!((unreadable.0, unreadable.1["code"].as_str()), (400, Some("not_json")));
    let ping =
        r#"{"id":"evt_2","object":"event","type":"issuing_card.created","created":1795258800,"data":{"object":{}}}"#;
    let (status, answer) = service.post("stripe", ping).await;
    assert_eq!((status, answer), (200, serde_json::json!({"received": true, "outcomes": ["ignored"]})));
    let impossible = r#"{"id":"evt_3","object":"event","type":"issuing_transaction.created","created":1795258800,"data":{"object":{"id":"ipi_1","object":"issuing.transaction","type":"capture","amount":"a lot","currency":"usd","card":"ic_ann","created":1795258800}}}"#;
    let (status, answer) = service.post("stripe", impossible).await;
    assert_eq!((status, answer), (200, serde_json::json!({"received": true, "outcomes": ["kept"]})));
    service.stop().await;
}
