//! Facts of a person, by their own time: profiles, and signals of what they did.

use crate::world::{self, BOOTSTRAP, Service};
use ringfence::audit::{AuditOptions, audit};
use ringfence::authenticate::keys::KEY_RANDOM_BYTES;
use ringfence::authenticate::{NewKey, Role};
use ringfence::decide::{MemberState, Policy};
use ringfence::domain::offer::Trigger;
use ringfence::domain::purchase::Occasion;
use ringfence::domain::{Code, MemberId, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;

async fn ann(service: &Service) -> Arc<MemberState> {
    service.engine().load(&MemberId::new("ann").unwrap()).await.unwrap().unwrap()
}

async fn put(service: &Service, body: Value) -> (u16, Value) {
    service.call("PUT", "/v1/members/ann", &body.to_string()).await
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

#[tokio::test]
async fn a_profile_counts_from_its_own_time() {
    let service = Service::start(&[]).await;
    assert_eq!(put(&service, json!({"region": "us", "birthday": "--02-29", "cause": "trees"})).await.0, 201);
    service.clock.set(at("2026-12-01T12:00:00Z"));
    let (_, view) = put(&service, json!({"region": "uk", "birthday": "--02-29"})).await;
    assert_eq!((&view["region"], &view["profile_from"]), (&json!("uk"), &json!("2026-12-01T12:00:00Z")), "{view}");
    assert!(view.get("cause").is_none());
    // An operator says what was before; what was said for later stays.
    let earlier = json!({"region": "de", "birthday": "--02-29", "profile_from": "2026-11-25T00:00:00Z"});
    let (_, view) = put(&service, earlier.clone()).await;
    assert_eq!(view["region"], "uk");
    let state = ann(&service).await;
    let region = |when: &str| state.profile_at(at(when)).and_then(|profile| profile.region.clone());
    for (when, want) in [
        ("2026-11-21T11:59:59Z", None),
        ("2026-11-21T12:00:00Z", Some("us")),
        ("2026-11-25T00:00:00Z", Some("de")),
        ("2026-12-01T12:00:00Z", Some("uk")),
    ] {
        assert_eq!(region(when).as_deref(), want, "{when}");
    }
    assert_eq!(state.profiles[0].profile.cause, Some(Code::parse("trees").unwrap()));
    // The same again changes nothing, dated or not.
    let version = state.head.version;
    put(&service, json!({"region": "uk", "birthday": "--02-29"})).await;
    put(&service, earlier.clone()).await;
    assert_eq!(ann(&service).await.head.version, version);
    // For the same instant it is corrected.
    put(&service, json!({"region": "fr", "profile_from": "2026-11-25T00:00:00Z"})).await;
    assert_eq!(ann(&service).await.profiles.len(), 3);
    proved(service).await;
}

#[tokio::test]
async fn the_past_is_an_operators_to_say() {
    let service = Service::start(&[]).await;
    let new = NewKey { role: Role::App, merchant: None, label: None };
    let (_, app) = service.doors.keys.create(new, service.clock.now(), &[7; KEY_RANDOM_BYTES]).unwrap();
    let put = |body: Value| {
        let (service, app) = (&service, app.expose().to_owned());
        async move { service.call_with("PUT", "/v1/members/ann", &app, &[], &body.to_string()).await }
    };
    assert_eq!(put(json!({"region": "us"})).await.status, 201);
    let past = put(json!({"region": "uk", "profile_from": "2026-11-01T00:00:00Z"})).await;
    assert_eq!(past.status, 403, "{:?}", past.json());
    assert_eq!(put(json!({"region": "uk", "profile_from": "2027-01-01T00:00:00Z"})).await.status, 200);
    assert_eq!(put(json!({"region": "us", "profile_from": "2026-11-21T12:00:00Z"})).await.status, 200);
    let signal = json!({"kind": "review-posted", "at": "2026-11-01T00:00:00Z"}).to_string();
    assert_eq!(service.call_with("POST", "/v1/members/ann/signals", app.expose(), &[], &signal).await.status, 403);
    proved(service).await;
}

#[tokio::test]
async fn a_birthday_changes_once_a_year() {
    let service = Service::start(&[]).await;
    put(&service, json!({"birthday": "--02-28"})).await;
    service.clock.set(at("2026-12-01T12:00:00Z"));
    assert_eq!(put(&service, json!({"birthday": "--03-01"})).await.0, 200);
    // To leave it out does not forget it.
    service.clock.set(at("2026-12-02T12:00:00Z"));
    assert_eq!(put(&service, json!({})).await.0, 200);
    service.clock.set(at("2027-12-01T11:59:59Z"));
    let (status, problem) = put(&service, json!({"birthday": "--04-01"})).await;
    assert_eq!((status, &problem["code"], &problem["field"]), (422, &json!("birthday_changed"), &json!("birthday")));
    assert!(problem["detail"].as_str().unwrap().contains("2027-12-01T12:00:00Z"), "{problem}");
    service.clock.set(at("2027-12-01T12:00:00Z"));
    assert_eq!(put(&service, json!({"birthday": "--04-01"})).await.0, 200);
    // A mistake is put right for the instant it was said for.
    let right = json!({"birthday": "--05-01", "profile_from": "2027-12-01T12:00:00Z"});
    assert_eq!(put(&service, right).await.0, 200);
    proved(service).await;
}

#[tokio::test]
async fn inv_06_profiles_and_signals_are_the_same_after_a_replay() {
    let service = Service::start(&[]).await;
    asks(&service, "review-posted").await;
    put(&service, json!({"region": "us-west", "segments": ["gold"]})).await;
    service.clock.set(at("2026-12-01T12:00:00Z"));
    put(&service, json!({"region": "us-east"})).await;
    for kind in ["review_posted", "login", "login"] {
        let (status, answer) =
            service.call("POST", "/v1/members/ann/signals", &json!({"kind": kind}).to_string()).await;
        assert_eq!(status, 201, "{answer}");
    }
    let before = ann(&service).await;
    assert_eq!((before.profiles.len(), before.purchases.len(), before.head.signals[0].count), (2, 1, 2));
    let folder = service.stop().await;
    std::fs::remove_dir_all(folder.0.join("state")).unwrap();
    let service = Service::start_in(folder, &[]).await;
    assert_eq!(ann(&service).await, before);
    // Kept sealed, and gone with the person.
    let folder = service.stop().await;
    assert!(!holds(&folder.0, b"us-west"));
    let service = Service::start_in(folder, &[]).await;
    assert_eq!(service.call("DELETE", "/v1/members/ann", "").await.0, 204);
    let state = ann(&service).await;
    assert!(state.profiles.is_empty() && state.head.profiles.is_empty() && state.head.signals.is_empty());
    assert_eq!(state.purchases.len(), 1, "the books stay");
    let folder = proved(service).await;
    std::fs::remove_dir_all(folder.0.join("state")).unwrap();
    let service = Service::start_in(folder, &[]).await;
    assert!(ann(&service).await.profiles.is_empty());
    proved(service).await;
}

/// Whether some file below a folder holds these bytes.
fn holds(folder: &std::path::Path, text: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().flatten().any(|entry| match entry.path() {
        path if path.is_dir() => holds(&path, text),
        path => std::fs::read(path).unwrap().windows(text.len()).any(|bytes| bytes == text),
    })
}

#[tokio::test]
async fn an_audit_without_the_members_keys_says_so() {
    let service = Service::start(&[]).await;
    let engine = service.engine();
    engine.put_merchant(world::merchant("a", &["111"]), None).await.unwrap();
    world::publish(engine, "five", world::terms("a")).await;
    world::member(engine, "ann", "tok_ann").await;
    put(&service, json!({"region": "us-west"})).await;
    service
        .post("visa-eu", world::event("e1", "clearing", "p1", "tok_ann", 2_000, "2026-11-21T11:00:00Z", "111"))
        .await;
    let folder = proved(service).await;
    let journal = folder.0.join("journal");
    let options = AuditOptions::new(Policy::default());
    let keys = std::fs::read(journal.join("member.keys")).unwrap();
    std::fs::remove_file(journal.join("member.keys")).unwrap();
    let report = audit(std::slice::from_ref(&journal), &options).unwrap();
    assert!(report.is_clean() && report.totals.not_decided == 1, "{report}");
    assert!(report.notes.iter().any(|note| note.contains("member.keys")), "{report}");
    // A damaged key is a difference.
    let mut damaged = keys.clone();
    damaged[3] ^= 1;
    std::fs::write(journal.join("member.keys"), damaged).unwrap();
    assert!(!audit(&[journal], &options).unwrap().is_clean());
}

/// An offer that asks for a kind of signal.
async fn asks(service: &Service, kind: &str) {
    let engine = service.engine();
    engine.put_merchant(world::merchant("a", &["111"]), None).await.unwrap();
    let mut terms = world::terms("a");
    terms.trigger = Trigger::Signal { kind: Code::parse(kind).unwrap() };
    world::publish(engine, "reviews", terms).await;
}

#[tokio::test]
async fn inv_02_a_signal_has_one_effect() {
    let service = Service::start(&[]).await;
    asks(&service, "review-posted").await;
    let post = |key: &'static str, body: Value| {
        let service = &service;
        async move {
            let headers = [("idempotency-key", key)];
            let headers = if key.is_empty() { &[][..] } else { &headers[..] };
            service.call_with("POST", "/v1/members/ann/signals", BOOTSTRAP, headers, &body.to_string()).await
        }
    };
    assert_eq!(post("", json!({"kind": "login"})).await.status, 404);
    put(&service, json!({})).await;
    let review = json!({"kind": "review_posted", "id": "r1", "at": "2026-11-20T08:00:00Z"});
    let first = post("", review.clone()).await;
    assert_eq!((first.status, &first.json()["asked_for"]), (201, &json!(true)), "{:?}", first.json());
    let version = ann(&service).await.head.version;
    assert_eq!(post("", review.clone()).await.body, first.body);
    assert_eq!(post("k1", json!({"kind": "review-posted", "id": "r1"})).await.body, first.body);
    let other = post("", json!({"kind": "review-posted", "id": "r1", "offer": "reviews"})).await;
    assert_eq!((other.status, &other.json()["code"]), (409, &json!("event_differs")));
    assert_eq!(ann(&service).await.head.version, version);
    // Without an id the request's own name is it.
    let (one, two) = (post("k2", json!({"kind": "login"})).await, post("k2", json!({"kind": "login"})).await);
    assert_eq!((one.status, one.body.clone()), (201, two.body));
    assert_eq!(post("k2", json!({"kind": "logout"})).await.json()["code"], "idempotency_key_reused");
    let state = ann(&service).await;
    assert_eq!((state.head.signals.len(), state.head.signals[0].count), (1, 1));
    let [entry] = state.purchases.as_slice() else { panic!("{state:?}") };
    assert_eq!(entry.purchase.key.to_string(), "signal/r1");
    assert_eq!(entry.time, at("2026-11-20T08:00:00Z"));
    assert!(matches!(&entry.purchase.occasion, Some(Occasion::Signal { offer: None, .. })));
    assert_eq!(post("", json!({"kind": "login", "offer": "none"})).await.json()["field"], "offer");
    proved(service).await;
}

/// Stops the service and proves its books from the journal alone.
async fn proved(service: Service) -> world::Folder {
    let folder = service.stop().await;
    let report = audit(&[folder.0.join("journal")], &AuditOptions::new(Policy::default())).unwrap();
    assert!(report.is_clean(), "{report}");
    folder
}
