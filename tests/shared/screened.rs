//! Screening of a store that several processes share: one of them looks for all, money waits for
//! it wherever it is asked for, and another takes over.

use crate::together::{open, share_secrets, until_seen};
use crate::world::redis::{RedisCluster, RedisServer};
use crate::world::{self, Folder, Service};
use ringfence::decide::Policy;
use ringfence::domain::{Currency, MemberId, OfferId, Unit};
use ringfence::engine::acts::ActError;
use ringfence::engine::redeem::Wanted;
use serde_json::{Value, json};

/// Services that screen, each with a copy of the store's secrets.
async fn screening(url: &str, count: usize) -> Vec<Service> {
    let mut all: Vec<Service> = Vec::new();
    for _ in 0..count {
        let folder = Folder::new("screened");
        if let Some(first) = all.first() {
            share_secrets(&first.folder, &folder);
        }
        all.push(start(folder, url).await);
    }
    all
}

async fn start(folder: Folder, url: &str) -> Service {
    let settings = [
        ("RINGFENCE_STORE__URL", url),
        ("RINGFENCE_STORE__PARTITIONS", "16"),
        ("RINGFENCE_PURCHASES__OFFER_EFFECTIVE_SECONDS", "30"),
        ("RINGFENCE_SCREENING__ENABLED", "true"),
        ("RINGFENCE_SCREENING__PASS_EVERY_SECONDS", "0"),
    ];
    Service::start_in(folder, &settings).await
}

/// Asks until something is so.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so().await {
        assert!(begun.elapsed().as_secs() < 120, "waited two minutes in vain: {what}");
        tokio::task::yield_now().await;
    }
}

/// A call that may be asked to come back while the store is being proved.
async fn put(service: &Service, path: &str, body: &Value) {
    until(path, async || match service.call("PUT", path, &body.to_string()).await {
        (200 | 201, _) => true,
        (503, _) => false,
        other => panic!("{path}: {other:?}"),
    })
    .await;
}

async fn member(service: &Service, id: &str, by: Option<String>, links: Value, joined_at: &str) {
    let document = json!({"referred_by": by, "links": links, "joined_at": joined_at});
    put(service, &format!("/v1/members/{id}"), &document).await;
    let card = format!("/v1/members/{id}/cards/visa-eu/tok_{id}");
    put(service, &card, &json!({"from": "2026-10-01T00:00:00Z"})).await;
}

/// Accounts of one hand, each referred by the one before, told to one service after the other.
async fn ring(all: &[Service], places: std::ops::Range<usize>) {
    for place in places {
        let links = json!([
            {"kind": "device", "value": "one-device", "verified": true},
            {"kind": "payout", "value": "one-account", "verified": true},
        ]);
        let at = format!("2026-11-20T08:{place:02}:00Z");
        let by = place.checked_sub(1).map(|before| format!("ring-{before}"));
        member(&all[place % all.len()], &format!("ring-{place}"), by, links, &at).await;
    }
}

async fn honest(all: &[Service]) {
    for person in 0..30_usize {
        let links = json!([{"kind": "device", "value": format!("phone-{person}")}]);
        let at = format!("2026-10-{:02}T08:00:00Z", 1 + person * 7 % 27);
        member(&all[person % all.len()], &format!("honest-{person}"), None, links, &at).await;
    }
}

async fn buy(service: &Service, id: &str, purchase: &str) {
    let at = "2026-11-21T09:00:00Z";
    let body = world::event(purchase, "clearing", purchase, &format!("tok_{id}"), 4_000, at, "123456");
    until(purchase, async || service.post("visa-eu", body.clone()).await.0 == 200).await;
}

async fn available(service: &Service, id: &str) -> i64 {
    let state = service.engine().member_now(&MemberId::new(id).unwrap()).await;
    // It is being proved.
    let Ok(state) = state else { return -1 };
    state.unwrap().head.balance(Currency::parse("USD").unwrap()).available_minor
}

async fn pay(service: &Service, id: &str, request: &str, minor: i64) -> Result<String, ActError> {
    let wanted = Wanted::Of(Unit::Money(Currency::parse("USD").unwrap()), minor);
    let member = MemberId::new(id).unwrap();
    service.engine().redeem(&member, request.to_owned(), wanted, None, |_| "paid".to_owned()).await
}

/// The cases that a service knows, with their status.
async fn cases(service: &Service) -> Vec<(u64, String)> {
    let (status, page) = service.call("GET", "/v1/cases", "").await;
    let case = |case: &Value| (case["id"].as_u64().unwrap(), case["status"].as_str().unwrap().to_owned());
    // It is being proved.
    if status == 200 { page["cases"].as_array().unwrap().iter().map(case).collect() } else { Vec::new() }
}

fn screens(service: &Service) -> bool {
    service.engine().screening().token() != 0
}

/// Stops all and proves their journals as one book.
async fn stopped_and_audited(all: Vec<Service>, gone: Vec<Folder>) {
    let mut folders = gone;
    for service in all {
        assert!(service.engine().trial_balance().await.unwrap().out_of_balance().is_empty());
        folders.push(service.stop().await);
    }
    let journals: Vec<_> = folders.iter().map(|folder| folder.0.join("journal")).collect();
    let options = ringfence::audit::AuditOptions::new(Policy { screened: true, ..Policy::default() });
    let report = ringfence::audit::audit(&journals, &options).unwrap();
    let differences: Vec<_> = report.checks.iter().filter(|check| check.difference_count > 0).collect();
    assert!(report.is_clean(), "{differences:#?}");
}

/// One looks for all: the ring is one case wherever it was told, honest people are paid by any process,
/// the review made at another process counts, and when the one that looks is stopped another goes on.
async fn one_screens_for_all(url: &str) {
    let mut all = screening(url, 3).await;
    open(&all[0], 0, None).await;
    for service in &all {
        until_seen(service).await;
    }
    honest(&all).await;
    ring(&all, 0..12).await;
    until("one of them screens", async || all.iter().filter(|service| screens(service)).count() == 1).await;
    for service in &all {
        until("the ring is a case", async || cases(service).await.len() == 1).await;
    }
    let quiet = all.iter().find(|service| !screens(service)).unwrap();
    // Told to one, released by the one that looks, paid by another.
    for (nth, service) in all.iter().enumerate() {
        buy(service, &format!("honest-{nth}"), &format!("h{nth}")).await;
        buy(service, &format!("ring-{nth}"), &format!("r{nth}")).await;
    }
    for nth in 0..all.len() {
        until("a reward is released", async || available(quiet, &format!("honest-{nth}")).await == 200).await;
    }
    assert_eq!(pay(quiet, "honest-0", "p0", 150).await.unwrap(), "paid");
    let (id, status) = cases(quiet).await.remove(0);
    assert_eq!(status, "open");
    let said = json!({"verdict": "confirm", "reason": "twelve accounts of one hand"});
    let (status, answer) = quiet.call("POST", &format!("/v1/cases/{id}/review"), &said.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    for service in &all {
        until("what they earned is not due", async || available(service, "ring-1").await == 0).await;
    }
    assert!(matches!(pay(quiet, "ring-1", "p1", 100).await, Err(ActError::NotEnough { available_minor: 0, .. })));
    // Who is not the one that looks says so.
    let (_, risk) = quiet.call("GET", "/v1/members/ring-1/risk", "").await;
    assert_eq!((&risk["standing"], &risk["screened_elsewhere"]), (&json!("barred"), &json!(true)), "{risk}");
    let leader = all.iter().position(screens).unwrap();
    let gone = all.remove(leader).stop().await;
    buy(&all[0], "honest-7", "h7").await;
    until("another takes over", async || available(&all[1], "honest-7").await == 200).await;
    assert_eq!(all.iter().filter(|service| screens(service)).count(), 1);
    assert_eq!(pay(&all[0], "honest-7", "p7", 200).await.unwrap(), "paid");
    // What was decided stands, and the same ring is no second case.
    for service in &all {
        let known = cases(service).await;
        assert!(known.len() == 1 && known[0].1 == "confirmed", "{known:?}");
    }
    stopped_and_audited(all, vec![gone]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_08_one_process_screens_for_all_on_one_redis() {
    let server = RedisServer::start();
    one_screens_for_all(&server.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_08_one_process_screens_for_all_on_a_cluster() {
    let cluster = RedisCluster::start(false, 5_000, false);
    one_screens_for_all(&cluster.url()).await;
}

/// A Redis that forgets everything forgets the logs, the lease and how far screening had come:
/// nothing is skipped, nothing is counted twice, and no money goes out meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_07_inv_08_screening_skips_nothing_when_redis_forgets() {
    let mut server = RedisServer::forgetful();
    let all = screening(&server.url(), 2).await;
    open(&all[0], 0, None).await;
    for service in &all {
        until_seen(service).await;
    }
    honest(&all).await;
    ring(&all, 0..6).await;
    for nth in 0..6 {
        buy(&all[nth % 2], &format!("honest-{nth}"), &format!("h{nth}")).await;
    }
    server.restart();
    ring(&all, 6..12).await;
    for nth in 6..12 {
        buy(&all[nth % 2], &format!("honest-{nth}"), &format!("h{nth}")).await;
    }
    for nth in 0..12 {
        until("a reward is released", async || available(&all[nth % 2], &format!("honest-{nth}")).await == 200).await;
    }
    let whole = async || {
        let found = all[0].engine().cases(None, 10, |_| true).await.unwrap_or_default().0;
        found.len() == 1 && found[0].members.iter().filter(|one| one.member.as_str().starts_with("ring")).count() == 12
    };
    until("the ring is one case, whole", whole).await;
    // What was read again is not counted again, once all of it was read.
    for nth in 0..12 {
        let id = MemberId::new(format!("honest-{nth}")).unwrap();
        let once = async || {
            let leader = all.iter().find(|service| screens(service));
            let did = leader.and_then(|leader| leader.doors.screener.acts(&id));
            did.is_some_and(|did| (did.purchases, did.spend_minor, did.refunds) == (1, 4_000, 0))
        };
        until("each purchase counts once", once).await;
    }
    let five = OfferId::new("five").unwrap();
    assert_eq!(all[0].engine().offer_use(&five).await.unwrap().granted, 12 * 200);
    stopped_and_audited(all, Vec::new()).await;
}

/// A purchase that tries a competitor's till may be told to one process and taken back at another:
/// the one that screens knows both halves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_each_process_saw_at_a_competitors_tills_is_known_to_the_one_that_screens() {
    let server = RedisServer::start();
    let all = screening(&server.url(), 2).await;
    let mut shop = world::merchant("shop", &["123456"]);
    shop.competitors = vec![ringfence::domain::merchant::Competitor {
        name: "Rival".to_owned(),
        mids: vec!["666".into()],
        email_domains: Vec::new(),
        networks: vec!["203.0.113.0/24".into()],
    }];
    let entered = async || all[0].engine().put_merchant(shop.clone(), None).await.is_ok();
    until("the merchant is entered", entered).await;
    let links = json!([{"kind": "ip", "value": "203.0.113.9"}]);
    member(&all[0], "scout", None, links, "2026-10-05T08:00:00Z").await;
    until("one of them screens", async || all.iter().filter(|service| screens(service)).count() == 1).await;
    let quiet = all.iter().find(|service| !screens(service)).unwrap();
    for visit in 0..3 {
        // Both halves at the process that does not screen, or each at another.
        for (place, kind) in ["authorization", "reversal"].into_iter().enumerate() {
            let to = if visit == 2 { quiet } else { &all[(visit + place) % 2] };
            let (event, at) = (format!("{kind}-{visit}"), format!("2026-11-20T10:{visit}{place}:00Z"));
            let body = world::event(&event, kind, &format!("p{visit}"), "tok_scout", 100, &at, "666");
            until(&event, async || to.post("visa-eu", body.clone()).await.0 == 200).await;
        }
    }
    let found = async || {
        // What each saw comes with a pass, and a pass with something that happened.
        all[0].engine().screening().wish_pass();
        all[1].engine().screening().wish_pass();
        cases(&all[0]).await.len() == 1
    };
    until("the scout is a case", found).await;
    let (_, case) = all[1].call("GET", "/v1/cases", "").await;
    assert_eq!(case["cases"][0]["families"], json!(["rival network", "rival tills"]), "{case}");
    stopped_and_audited(all, Vec::new()).await;
}

/// Members of one device who join now.
async fn farm(all: &[&Service], device: &str) {
    for place in 0..3 {
        let links = json!([{"kind": "device", "value": device, "verified": true}]);
        let at = world::begin().plus_ms(place * 1_000).to_string();
        let to = all[usize::try_from(place).unwrap() % all.len()];
        member(to, &format!("{device}-{place}"), None, links, &at).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_said_at_one_process_is_kept_by_whichever_screens() {
    let server = RedisServer::start();
    let mut all = screening(&server.url(), 2).await;
    until("one of them screens", async || all.iter().filter(|service| screens(service)).count() == 1).await;
    let at = all.iter().position(|service| !screens(service)).unwrap();
    let quiet = all.remove(at);
    let busy = all.remove(0);
    let says = json!({"velocity": {"count": "sign_ups", "per": "device", "within": {"days": 1}, "at_least": 3}});
    put(&quiet, "/v1/screening/rules/farm", &json!({"rule": says, "reason": "told by the desk"})).await;
    let live = json!({"state": "live", "reason": "it flags the right ones"}).to_string();
    let path = "/v1/screening/rules/farm/state";
    until("the rule is live", async || quiet.call("POST", path, &live).await.0 == 200).await;
    // The one that screens has heard of it when it counts whom the rule flags.
    let live_there = async || busy.call("GET", "/v1/screening/rules/farm", "").await.1["state"] == "live";
    until("the rule is live everywhere", live_there).await;
    farm(&[&busy, &quiet], "handset").await;
    until("the farm is a case", async || cases(&quiet).await.len() == 1).await;
    assert_eq!(cases(&busy).await, cases(&quiet).await);

    let gone = busy.stop().await;
    until("the other screens", async || screens(&quiet)).await;
    farm(&[&quiet], "tablet").await;
    until("so is the next", async || cases(&quiet).await.len() == 2).await;
    let (_, page) = quiet.call("GET", "/v1/cases", "").await;
    for case in page["cases"].as_array().unwrap() {
        assert_eq!(case["families"], json!(["velocity"]), "{case}");
    }
    stopped_and_audited(vec![quiet], vec![gone]).await;
}
