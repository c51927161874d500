//! Several services on one store: what one is told, all know; what is told to all at once has
//! one effect; budgets hold.

use crate::world::redis::{RedisCluster, RedisServer, wait_for};
use crate::world::{self, Folder, Service, event};
use ringfence::clock::Clock;
use ringfence::domain::{Currency, MemberId, OfferId};
use ringfence::engine::Engine;
use std::collections::BTreeMap;

/// Settings of a service on a shared store. It may look for changes as seldom as a machine that is busy
/// with other tests lets it.
pub fn shared(url: &str) -> [(&'static str, &str); 2] {
    [("RINGFENCE_STORE__URL", url), ("RINGFENCE_PURCHASES__OFFER_EFFECTIVE_SECONDS", "30")]
}

/// Starts services on one store: the first makes its secrets, the others have a copy.
pub async fn services(url: &str, count: usize) -> Vec<Service> {
    let mut all: Vec<Service> = Vec::new();
    for _ in 0..count {
        let folder = Folder::new("together");
        if let Some(first) = all.first() {
            share_secrets(&first.folder, &folder);
        }
        all.push(Service::start_in(folder, &shared(url)).await);
    }
    all
}

pub fn share_secrets(from: &Folder, to: &Folder) {
    std::fs::create_dir_all(to.0.join("journal")).unwrap();
    std::fs::copy(from.0.join("journal/store.secrets"), to.0.join("journal/store.secrets")).unwrap();
}

/// A shop with an offer of five percent.
pub async fn open_shop(service: &Service, budget: Option<i64>) {
    open(service, 1, budget).await;
}

/// The same, with so many days of hold.
pub async fn open(service: &Service, hold_days: u32, budget_minor: Option<i64>) {
    let engine = service.engine();
    engine.put_merchant(world::merchant("shop", &["123456"]), None).await.unwrap();
    let terms = ringfence::domain::offer::Terms { hold_days, budget_minor, ..world::terms("shop") };
    world::publish(engine, "five", terms).await;
}

/// Comes back when a service has seen the shop's offer.
pub async fn until_seen(service: &Service) {
    let five = OfferId::new("five").unwrap();
    while service.engine().catalogue().offer(&five).is_none_or(|offer| offer.newest_published().is_none()) {
        tokio::task::yield_now().await;
    }
}

const AT: &str = "2026-11-21T11:00:00Z";

/// The posted and pending cashback of a member, as a service reads it.
pub async fn cashback(service: &Service, member: &str) -> i64 {
    let state = service.engine().load(&MemberId::new(member).unwrap()).await.unwrap().unwrap();
    let balance = state.head.balance(Currency::parse("USD").unwrap());
    balance.pending_minor + balance.posted_minor + balance.available_minor
}

pub fn purchase(member: usize, nth: usize) -> String {
    let id = format!("{member}-{nth}");
    event(&format!("e{id}"), "clearing", &format!("p{id}"), &format!("tok_{member}"), 2_000, AT, "123456")
}

async fn tells_each_other(url: &str) {
    let all = services(url, 2).await;
    let (one, two) = (&all[0], &all[1]);
    open_shop(one, None).await;
    world::member(one.engine(), "m0", "tok_0").await;
    until_seen(two).await;
    // A person registered at one with a birthday is known at the other.
    let (status, _) = one.call("PUT", "/v1/members/ann", r#"{"region":"EU-DE","birthday":"--02-29"}"#).await;
    assert_eq!(status, 201);
    let (status, ann) = two.call("GET", "/v1/members/ann", "").await;
    assert_eq!((status, &ann["region"]), (200, &serde_json::json!("EU-DE")), "{ann}");
    // A purchase told to the second, its refund to the first, its repetition to both.
    let (status, answer) = two.post("visa-eu", purchase(0, 1)).await;
    assert_eq!((status, &answer["outcome"]), (200, &serde_json::json!("credited")), "{answer}");
    for service in &all {
        let (_, answer) = service.post("visa-eu", purchase(0, 1)).await;
        assert_eq!(answer["outcome"], "duplicate", "{answer}");
        assert_eq!(cashback(service, "m0").await, 100);
    }
    let refund = event("r1", "refund", "p0-1", "tok_0", 2_000, AT, "123456");
    let (status, answer) = one.post("visa-eu", refund).await;
    assert_eq!((status, &answer["outcome"]), (200, &serde_json::json!("clawed_back")), "{answer}");
    assert_eq!(cashback(two, "m0").await, 0);
    // An offer that pauses at the second pauses at the first.
    let (status, _) = two.call("POST", "/v1/offers/five/pause", "{}").await;
    assert_eq!(status, 200);
    let five = OfferId::new("five").unwrap();
    while one.engine().catalogue().offer(&five).unwrap().life.len() < 2 {
        tokio::task::yield_now().await;
    }
    // The person is erased at one, and says nothing at the other.
    assert_eq!(one.call("DELETE", "/v1/members/ann", "").await.0, 204);
    assert_eq!(two.call("GET", "/v1/members/ann", "").await.1["erased"], true);
    for service in all {
        assert!(service.engine().trial_balance().await.unwrap().out_of_balance().is_empty());
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_on_one_redis_tell_each_other() {
    let server = RedisServer::start();
    tells_each_other(&server.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_on_a_cluster_tell_each_other() {
    let cluster = RedisCluster::start(false, 5_000, false);
    tells_each_other(&cluster.url()).await;
}

/// An offer that gives without a budget gets one later, while one of those who gave under it is
/// gone: what all of them gave counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_05_a_first_budget_counts_what_every_process_gave_before() {
    let server = RedisServer::start();
    let mut all = services(&server.url(), 3).await;
    open_shop(&all[0], None).await;
    world::member(all[0].engine(), "m0", "tok_0").await;
    let source = world::source();
    for (nth, service) in all.iter().enumerate() {
        until_seen(service).await;
        let received = told(service.engine(), &source, &purchase(0, nth)).await;
        assert_eq!(received.results[0].as_ref().unwrap().outcome.as_str(), "credited");
    }
    all.remove(2).stop().await;
    let five = OfferId::new("five").unwrap();
    let terms = ringfence::domain::offer::Terms {
        budget_minor: Some(450),
        daily_budget_minor: Some(450),
        ..world::terms("shop")
    };
    world::publish(all[0].engine(), "five", terms).await;
    // Each says its own, and one of them says that of the process that is gone.
    let said = || all.iter().all(|service| !service.engine().has_doubts());
    let totals = || {
        let keys = server.cli(&["--scan", "--pattern", "rf:{b:five}:budget"]);
        server.cli(&["hvals", &keys]).lines().filter_map(|total| total.parse::<i64>().ok()).sum::<i64>()
    };
    wait_for(|| said() && totals() == 300);
    let mut granted = 300;
    for nth in 3..6 {
        let received = told(all[nth % 2].engine(), &source, &purchase(0, nth)).await;
        granted += received.results[0].as_ref().unwrap().rewards.iter().map(|(line, _)| line.change_minor).sum::<i64>();
    }
    assert_eq!(granted, 450);
    for service in &all {
        service.engine().settle_budgets().await.unwrap();
    }
    for service in all {
        let used = service.engine().offer_use(&five).await.unwrap();
        assert_eq!((used.granted, used.reserved, used.raised, used.reserved_of_day), (450, 0, 450, 0));
        service.stop().await;
    }
}

const MEMBERS: usize = 24;
const EACH: usize = 8;

/// Tells an event until it is taken: on a busy machine a process may not have looked at the store for
/// too long, and asks callers back.
async fn told(
    engine: &std::sync::Arc<ringfence::engine::Engine>,
    source: &ringfence::pipeline::Source,
    body: &str,
) -> ringfence::pipeline::Received {
    use ringfence::pipeline::Refused;
    loop {
        let received = world::receive(engine, source, body).await;
        if !matches!(received.results[0], Err(Refused::NotNow(_))) {
            return received;
        }
        tokio::task::yield_now().await;
    }
}

/// Every event is told to every service at about the same time.
async fn takes_each_event_once(url: &str, services_count: usize) {
    let all = services(url, services_count).await;
    // Enough for half of what is bought.
    let budget = i64::try_from(MEMBERS * EACH * 100 / 2).unwrap();
    open_shop(&all[0], Some(budget)).await;
    for member in 0..MEMBERS {
        world::member(all[0].engine(), &format!("m{member}"), &format!("tok_{member}")).await;
    }
    for service in &all {
        until_seen(service).await;
    }
    let source = world::source();
    let sendings = all.iter().enumerate().map(|(place, service)| {
        let (engine, source) = (service.engine().clone(), &source);
        async move {
            let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
            for nth in 0..EACH {
                // Each service takes the members in another order.
                let members = (0..MEMBERS).map(|member| (member * 7 + place * 5) % MEMBERS);
                let sent = members.map(|member| {
                    let engine = engine.clone();
                    async move { told(&engine, source, &purchase(member, nth)).await }
                });
                for received in futures_util::future::join_all(sent).await {
                    let outcome = received.results[0].as_ref().map(|outcome| outcome.outcome.as_str());
                    *outcomes.entry(outcome.expect("taken").to_owned()).or_default() += 1;
                }
            }
            outcomes
        }
    });
    let outcomes = futures_util::future::join_all(sendings).await;
    let count = |name: &str| outcomes.iter().map(|of| of.get(name).copied().unwrap_or(0)).sum::<usize>();
    // Of each event at most one telling had the effect, the others were duplicates. Who is asked to
    // come back may find that it had been kept.
    let effects = count("credited") + count("no_reward");
    assert!(effects <= MEMBERS * EACH, "{outcomes:?}");
    assert_eq!(effects + count("duplicate"), MEMBERS * EACH * all.len(), "{outcomes:?}");
    let mut granted = 0;
    for member in 0..MEMBERS {
        granted += cashback(&all[0], &format!("m{member}")).await;
    }
    assert!(granted <= budget, "the budget is passed: {outcomes:?}");
    // What was reserved in vain is there for the next.
    let mut nth = EACH;
    while granted < budget {
        let received = told(all[nth % all.len()].engine(), &source, &purchase(0, nth)).await;
        granted += received.results[0].as_ref().unwrap().rewards.iter().map(|(line, _)| line.change_minor).sum::<i64>();
        nth += 1;
    }
    let more = told(all[0].engine(), &source, &purchase(0, nth)).await;
    assert_eq!(more.results[0].as_ref().unwrap().outcome.as_str(), "no_reward");
    assert_eq!(granted, budget);
    // Every process agrees on what is left: nothing stays reserved.
    let five = OfferId::new("five").unwrap();
    for service in &all {
        service.engine().settle_budgets().await.unwrap();
    }
    for service in &all {
        let used = service.engine().offer_use(&five).await.unwrap();
        assert_eq!((used.granted, used.reserved, used.raised), (budget, 0, budget));
        assert!(service.engine().trial_balance().await.unwrap().out_of_balance().is_empty());
    }
    for service in all {
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_02_inv_05_four_services_on_one_redis_take_each_event_once_and_keep_the_budget() {
    let server = RedisServer::start();
    takes_each_event_once(&server.url(), 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_02_inv_05_four_services_on_a_cluster_take_each_event_once_and_keep_the_budget() {
    let cluster = RedisCluster::start(false, 5_000, false);
    takes_each_event_once(&cluster.url(), 4).await;
}

/// Two members want the same card at two services at once: one of them gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_linked_at_two_services_at_once_has_one_owner() {
    let server = RedisServer::start();
    let all = services(&server.url(), 2).await;
    for member in ["ann", "bob"] {
        assert_eq!(all[0].call("PUT", &format!("/v1/members/{member}"), "{}").await.0, 201);
    }
    for card in 0..40 {
        let link = async |service: &Service, member: &str| loop {
            let path = format!("/v1/members/{member}/cards/visa-eu/tok_{card}");
            let (status, answer) = service.call("PUT", &path, "{}").await;
            if status != 503 {
                break (status, answer);
            }
        };
        let (ann, bob) = tokio::join!(link(&all[0], "ann"), link(&all[1], "bob"));
        let mut statuses = [ann.0, bob.0];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409], "{ann:?} {bob:?}");
    }
    for service in all {
        service.stop().await;
    }
}

/// A pay-out that Redis forgot is not made a second time, whoever asks for it again; and what
/// a process did that does nothing any more comes back by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_02_a_redemption_that_redis_forgot_is_not_paid_twice() {
    let mut server = RedisServer::forgetful();
    let all = services(&server.url(), 2).await;
    open_shop(&all[0], None).await;
    world::member(all[0].engine(), "m0", "tok_0").await;
    until_seen(&all[1]).await;
    all[0].post("visa-eu", purchase(0, 1)).await;
    for service in &all {
        service.clock.set(world::begin().plus_days(3));
    }
    let balance =
        async |service: &Service| service.call("GET", "/v1/members/m0/balance", "").await.1["balances"][0].clone();
    while balance(&all[0]).await["available_minor"] != 100 {
        tokio::task::yield_now().await;
    }
    let key = [("idempotency-key", "pay-1")];
    let pay = r#"{"currency":"USD","amount_minor":60}"#;
    let path = "/v1/members/m0/redemptions";
    let paid = all[0].call_with("POST", path, world::BOOTSTRAP, &key, pay).await;
    assert_eq!(paid.status, 201, "{}", paid.json());
    server.restart();
    // The second asks for the same; the first, which paid, is idle.
    let again = loop {
        let again = all[1].call_with("POST", path, world::BOOTSTRAP, &key, pay).await;
        if again.status != 503 {
            break again;
        }
    };
    assert_eq!((again.status, again.json()), (201, paid.json()), "it is answered as the first time");
    for service in &all {
        let balance = balance(service).await;
        assert_eq!((&balance["available_minor"], &balance["paid_minor"]), (&40.into(), &60.into()), "{balance}");
    }
    for service in all {
        service.stop().await;
    }
}

/// A Redis without a disk is killed: everything it held comes back from the journals, without
/// anybody telling it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_07_a_redis_that_forgot_everything_gets_it_back_from_the_journals() {
    let mut server = RedisServer::forgetful();
    let all = services(&server.url(), 2).await;
    open_shop(&all[0], Some(10_000)).await;
    for member in 0..4 {
        world::member(all[member % 2].engine(), &format!("m{member}"), &format!("tok_{member}")).await;
    }
    until_seen(&all[1]).await;
    for nth in 0..6 {
        for member in 0..4 {
            let (status, answer) = all[(member + nth) % 2].post("visa-eu", purchase(member, nth)).await;
            assert_eq!((status, &answer["outcome"]), (200, &serde_json::json!("credited")), "{answer}");
        }
    }
    let five = OfferId::new("five").unwrap();
    server.restart();
    wait_for(|| server.cli(&["ping"]) == "PONG");
    // Who comes meanwhile is asked to come back; then everything is there.
    for service in &all {
        loop {
            let (status, answer) = service.post("visa-eu", purchase(1, 99)).await;
            if status == 200 {
                assert!(matches!(answer["outcome"].as_str(), Some("credited" | "duplicate")), "{answer}");
                break;
            }
            assert_eq!(status, 503, "{answer}");
        }
    }
    for member in 0..4_usize {
        let purchases = if member == 1 { 7 } else { 6 };
        for service in &all {
            assert_eq!(cashback(service, &format!("m{member}")).await, purchases * 100, "m{member}");
        }
        let (_, answer) = all[0].post("visa-eu", purchase(member, 0)).await;
        assert_eq!(answer["outcome"], "duplicate", "{answer}");
    }
    for service in &all {
        assert!(service.engine().trial_balance().await.unwrap().out_of_balance().is_empty());
        let used = async || service.engine().offer_use(&five).await.map(|used| (used.granted, used.reserved));
        while !matches!(used().await, Ok((2_500, 0))) {
            tokio::task::yield_now().await;
        }
    }
    for service in all {
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_and_redemptions_of_one_member_at_all_services_at_once_are_all_taken() {
    let server = RedisServer::start();
    let all = services(&server.url(), 4).await;
    open_shop(&all[0], None).await;
    world::member(all[0].engine(), "m0", "tok_0").await;
    until_seen(&all[3]).await;
    all[0].post("visa-eu", purchase(0, 1)).await;
    for service in &all {
        service.clock.set(world::begin().plus_days(3));
    }
    while all[0].call("GET", "/v1/members/m0/balance", "").await.1["balances"][0]["available_minor"] != 100 {
        tokio::task::yield_now().await;
    }
    let all = &all;
    let signals = (0..40).map(|nth| async move {
        let body = format!(r#"{{"kind":"review","id":"review-{nth}"}}"#);
        all[nth % 4].call("POST", "/v1/members/m0/signals", &body).await
    });
    let redemptions = (0..12).map(|nth| async move {
        let (key, body) = (format!("pay-{nth}"), r#"{"currency":"USD","amount_minor":10}"#);
        let headers = [("idempotency-key", key.as_str())];
        let path = "/v1/members/m0/redemptions";
        let answer = all[nth % 4].call_with("POST", path, world::BOOTSTRAP, &headers, body).await;
        (answer.status, answer.json())
    });
    let (signals, redemptions) =
        tokio::join!(futures_util::future::join_all(signals), futures_util::future::join_all(redemptions));
    for (status, answer) in &signals {
        assert!((200..300).contains(status), "{status} {answer}");
    }
    let paid = redemptions.iter().filter(|(status, _)| *status == 201).count();
    assert_eq!(paid, 10, "{redemptions:?}");
    assert!(redemptions.iter().all(|(status, _)| matches!(status, 201 | 409 | 422)), "{redemptions:?}");
}

/// What a start on a shared store reads of its own journal.
async fn records_read(folder: &Folder, url: &str) -> u64 {
    let settings = world::settings(&folder.0, &shared(url));
    let options = ringfence::app::engine_options(&settings);
    let metrics = std::sync::Arc::new(ringfence::telemetry::Metrics::new(&[]));
    let policy = ringfence::app::policy(&settings);
    let started = tokio::task::spawn_blocking(move || {
        let (engine, started) = Engine::start(options, policy, Clock::Machine, metrics).unwrap();
        engine.stop().unwrap();
        started
    });
    started.await.unwrap().replayed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_06_a_start_reads_what_is_new_in_its_journal_and_all_of_it_when_it_must() {
    let server = RedisServer::start();
    let url = server.url();
    let one = services(&url, 1).await.remove(0);
    open_shop(&one, None).await;
    world::member(one.engine(), "m0", "tok_0").await;
    for nth in 0..5 {
        one.post("visa-eu", purchase(0, nth)).await;
    }
    let folder = one.stop().await;
    assert_eq!(records_read(&folder, &url).await, 0, "it ended in order");
    let place = folder.0.join("journal/shared.place");
    let noted = std::fs::read(&place).unwrap();

    let one = Service::start_in(folder, &shared(&url)).await;
    for nth in 5..8 {
        one.post("visa-eu", purchase(0, nth)).await;
    }
    let folder = one.stop().await;
    // As after a crash: an older place is as good, with what came since.
    std::fs::write(&place, &noted).unwrap();
    let since = records_read(&folder, &url).await;
    assert!((3..8).contains(&since), "{since}");
    for broken in [Some(Vec::new()), Some([&noted[..20], &[0xff], &noted[21..]].concat()), None] {
        match broken {
            Some(bytes) => std::fs::write(&place, bytes).unwrap(),
            None => std::fs::remove_file(&place).unwrap(),
        }
        let all = records_read(&folder, &url).await;
        assert!(all > since + 5, "{all}");
    }
    let other = Folder::new("other-place");
    share_secrets(&folder, &other);
    std::fs::copy(&place, other.0.join("journal/shared.place")).unwrap();
    assert_eq!(records_read(&other, &url).await, 0, "the place of another journal says nothing");

    let one = Service::start_in(folder, &shared(&url)).await;
    for nth in 0..8 {
        assert_eq!(one.post("visa-eu", purchase(0, nth)).await.1["outcome"], "duplicate");
    }
    one.post("visa-eu", purchase(0, 8)).await;
    assert_eq!(cashback(&one, "m0").await, 900);
    let folder = one.stop().await;
    let report = ringfence::audit::audit(
        &[folder.0.join("journal")],
        &ringfence::audit::AuditOptions::new(ringfence::app::policy(&world::settings(&folder.0, &[]))),
    );
    assert!(report.unwrap().is_clean(), "no number was given twice");
}
