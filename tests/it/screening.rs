//! Screening, live: rings become cases while their rewards are on hold, families and offices are
//! left in peace, reviews move money and can be taken back, and money waits for screening.

use crate::world::{self, BOOTSTRAP, Service};
use ringfence::audit::{AuditOptions, audit};
use ringfence::authenticate::keys::{KEY_RANDOM_BYTES, NewKey, Role};
use ringfence::clock::Clock;
use ringfence::commands::ConfigArgs;
use ringfence::commands::fit::{FitArgs, fit};
use ringfence::config::ScreeningSettings;
use ringfence::decide::Policy;
use ringfence::domain::{Currency, MemberId, Timestamp, Unit};
use ringfence::engine::acts::ActError;
use ringfence::engine::redeem::Wanted;
use ringfence::engine::{Engine, EngineOptions};
use ringfence::follow::screening::Screener;
use ringfence::telemetry::Metrics;
use serde_json::{Value, json};
use std::sync::Arc;

pub const ON: (&str, &str) = ("RINGFENCE_SCREENING__ENABLED", "true");
pub const AT_ONCE: (&str, &str) = ("RINGFENCE_SCREENING__PASS_EVERY_SECONDS", "0");
pub const HOLD: (&str, &str) = ("RINGFENCE_SCREENING__AUTOMATIC", "hold");
/// A town of ninety has too few families to say how many honest ones a hold would meet.
pub const NO_BOUND: (&str, &str) = ("RINGFENCE_SCREENING__AUTOMATIC_ERROR_BASIS_POINTS_MAX", "10000");
pub const HOLD_FROM: (&str, &str) = ("RINGFENCE_SCREENING__AUTOMATIC_SCORE_MIN", "550");

/// A programme with one shop whose offer holds for two weeks, and honest people: families of
/// three with one address and one device, an office of fifteen on one network, others alone.
pub struct Town {
    pub service: Service,
    pub operator: String,
    pub risk: String,
}

impl Town {
    pub async fn open(extra: &[(&str, &str)]) -> Self {
        let extra: Vec<_> = [ON, AT_ONCE, NO_BOUND].iter().chain(extra).copied().collect();
        let service = Service::start(&extra).await;
        // The bootstrap key ends with the first one that is made.
        let town = Self { operator: key(&service, Role::Operator), risk: key(&service, Role::Risk), service };
        let engine = town.service.engine();
        engine.put_merchant(world::merchant("shop", &["123456"]), None).await.unwrap();
        let terms = ringfence::domain::offer::Terms { hold_days: 14, ..world::terms("shop") };
        world::publish(engine, "five", terms).await;
        for person in 0..90 {
            let mut links = vec![json!({"kind": "device", "value": format!("phone-{person}")})];
            if person < 30 {
                let family = person / 3;
                links = vec![
                    json!({"kind": "device", "value": format!("tablet-{family}"), "verified": true}),
                    json!({"kind": "address", "value": format!("home-{family}"), "verified": true}),
                ];
            } else if person < 45 {
                links.push(json!({"kind": "ip", "value": "office"}));
            }
            let by = (person < 30 && person % 3 > 0).then(|| format!("honest-{}", person / 3 * 3));
            let day = 1 + person * 7 % 27;
            town.member(&format!("honest-{person}"), by.as_deref(), &links, &format!("2026-10-{day:02}T08:00:00Z"))
                .await;
        }
        town
    }

    pub async fn member(&self, id: &str, by: Option<&str>, links: &[Value], joined_at: &str) {
        let document = json!({"referred_by": by, "links": links, "joined_at": joined_at});
        self.put(&format!("/v1/members/{id}"), &document.to_string()).await;
        self.put(&format!("/v1/members/{id}/cards/visa-eu/tok_{id}"), r#"{"from":"2026-10-01T00:00:00Z"}"#).await;
    }

    pub async fn put(&self, path: &str, body: &str) {
        let reply = self.service.call_with("PUT", path, &self.operator, &[], body).await;
        assert_eq!(reply.status, 201, "{path}: {}", reply.json());
    }

    /// Twelve accounts of one hand: one device, one payout account, each refers the next.
    pub async fn ring(&self, name: &str) {
        for place in 0..12_u32 {
            let links = [
                json!({"kind": "device", "value": format!("{name}-device"), "verified": true}),
                json!({"kind": "payout", "value": format!("{name}-account"), "verified": true}),
            ];
            let by = place.checked_sub(1).map(|before| format!("{name}-{before}"));
            let at = format!("2026-11-20T08:{place:02}:00Z");
            self.member(&format!("{name}-{place}"), by.as_deref(), &links, &at).await;
        }
    }

    pub async fn buy(&self, id: &str, purchase: &str, at: &str) -> Value {
        let body = world::event(purchase, "clearing", purchase, &format!("tok_{id}"), 4_000, at, "123456");
        let (status, answer) = self.service.post("visa-eu", body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Comes back when everything said so far has been looked at, by a whole pass too.
    pub async fn screened(&self) {
        // The last pass is too old now: whoever asks waits for the next.
        self.service.clock.set(self.service.clock.now().plus_ms(2 * 3_600_000));
        let engine = self.service.engine();
        for _ in 0..30 {
            if engine.screened_up_to(engine.journal_end()).await {
                return;
            }
        }
        panic!("screening does not come up: {:?}", engine.screening().progress());
    }

    pub fn now(&self) -> String {
        self.service.clock.now().to_string()
    }

    /// Comes back when members have followed every review.
    pub async fn followed(&self) {
        self.service.doors.again.go_on(self.service.engine(), |_| true).await.unwrap();
    }

    pub async fn get(&self, path: &str) -> Value {
        let reply = self.service.call_with("GET", path, &self.risk, &[], "").await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.json());
        reply.json()
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let reply = self.service.call_with("POST", path, &self.risk, &[], &body.to_string()).await;
        (reply.status, reply.json())
    }

    pub async fn balance(&self, id: &str) -> (i64, i64, i64) {
        let state = self.service.engine().load(&MemberId::new(id).unwrap()).await.unwrap().unwrap();
        let balance = state.head.balance(Currency::parse("USD").unwrap());
        (balance.posted_minor, balance.held_minor, balance.available_minor)
    }

    pub async fn standing(&self, id: &str) -> String {
        self.get(&format!("/v1/members/{id}/risk")).await["standing"].as_str().unwrap().to_owned()
    }

    /// Stops, proves the books, and starts again from the journal alone.
    pub async fn audited_and_rebuilt(self) -> Service {
        let folder = self.service.stop().await;
        let options = AuditOptions::new(Policy { screened: true, ..Policy::default() });
        let report = audit(&[folder.0.join("journal")], &options).unwrap();
        assert!(
            report.is_clean(),
            "{:#?}",
            report.checks.iter().filter(|c| c.difference_count > 0).collect::<Vec<_>>()
        );
        std::fs::remove_dir_all(folder.0.join("state")).unwrap();
        Service::start_in(folder, &[ON, AT_ONCE]).await
    }
}

fn key(service: &Service, role: Role) -> String {
    let new = NewKey { role, merchant: None, label: None };
    let random = [role as u8 + 1; KEY_RANDOM_BYTES];
    let (_, text) = service.doors.keys.create(new, service.clock.now(), &random).unwrap();
    text.expose().to_owned()
}

pub fn members(case: &Value) -> Vec<String> {
    let mut all: Vec<String> =
        case["suspects"].as_array().unwrap().iter().map(|s| s["member"].as_str().unwrap().to_owned()).collect();
    all.sort();
    all
}

#[tokio::test]
async fn inv_08_a_ring_becomes_one_case_and_a_review_moves_its_money() {
    let town = Town::open(&[]).await;
    town.ring("ring").await;
    for place in 0..12 {
        let answer = town.buy(&format!("ring-{place}"), &format!("p{place}"), "2026-11-21T11:00:00Z").await;
        assert_eq!(answer["rewards"][0]["state"], "posted", "it is on hold: {answer}");
    }
    town.buy("honest-0", "h0", "2026-11-21T11:00:00Z").await;
    town.screened().await;

    let queue = town.get("/v1/cases?status=open").await;
    assert_eq!(queue["cases"].as_array().unwrap().len(), 1, "one case, and the honest ones in peace: {queue:#}");
    let id = queue["cases"][0]["id"].as_u64().unwrap();
    let case = town.get(&format!("/v1/cases/{id}")).await;
    assert_eq!(members(&case).len(), 12, "{case:#}");
    assert!(members(&case).iter().all(|member| member.starts_with("ring-")));
    assert!(case["families"].as_array().unwrap().len() >= 2, "{case:#}");
    assert_eq!(case["at_stake"][0]["pending_minor"], 12 * 200, "{case:#}");
    assert!(case["evidence"].as_array().unwrap().iter().all(|seen| seen["clears"].as_str().unwrap().len() > 10));
    // The model is in shadow: nobody was held.
    assert_eq!((town.standing("ring-3").await.as_str(), town.balance("ring-3").await), ("clear", (200, 0, 0)));

    let path = format!("/v1/cases/{id}/review");
    let (status, answer) = town.post(&path, json!({"verdict": "confirm", "reason": "one hand"})).await;
    assert_eq!((status, answer["status"].as_str()), (200, Some("confirmed")), "{answer}");
    town.followed().await;
    assert_eq!(town.standing("ring-3").await, "barred");
    assert_eq!(town.balance("ring-3").await, (0, 0, 0), "barred makes due zero");
    assert_eq!(town.balance("honest-0").await, (200, 0, 0));
    let why = town.get("/v1/purchases/visa-eu/p3").await;
    assert!(why.to_string().contains("not_eligible"), "{why:#}");
    let (status, again) = town.post(&path, json!({"verdict": "confirm", "reason": "again"})).await;
    assert_eq!((status, again["code"].as_str()), (409, Some("not_in_this_state")));

    let (status, answer) = town.post(&format!("/v1/cases/{id}/undo"), json!({"reason": "the wrong case"})).await;
    assert_eq!((status, answer["status"].as_str()), (200, Some("open")), "{answer}");
    town.followed().await;
    assert_eq!((town.standing("ring-3").await.as_str(), town.balance("ring-3").await), ("clear", (200, 0, 0)));

    // A dismissal remembers its evidence: the next looks find the same and say nothing.
    let (status, _) = town.post(&path, json!({"verdict": "dismiss", "reason": "a test of ours"})).await;
    assert_eq!(status, 200);
    town.followed().await;
    town.screened().await;
    town.screened().await;
    let case = town.get(&format!("/v1/cases/{id}")).await;
    assert_eq!(case["status"], "dismissed", "{:#}", case["timeline"]);
    let steps: Vec<&str> = case["timeline"].as_array().unwrap().iter().map(|e| e["step"].as_str().unwrap()).collect();
    assert_eq!(steps.iter().filter(|step| **step == "opened").count(), 1);
    let reviews: Vec<&str> = steps.into_iter().filter(|step| !["opened", "grow"].contains(step)).collect();
    assert_eq!(reviews, ["confirm", "undo", "dismiss"]);
    let everything = town.get("/v1/cases").await;
    assert_eq!(everything["cases"].as_array().unwrap().len(), 1, "never a second case: {everything:#}");

    let risk = town.risk.clone();
    let service = town.audited_and_rebuilt().await;
    let again = service.call_with("GET", &format!("/v1/cases/{id}"), &risk, &[], "").await;
    // What it is compared with is known after the first look at everybody.
    let without = |mut case: Value| {
        case.as_object_mut().unwrap().remove("compared");
        case
    };
    assert_eq!(without(again.json()), without(case), "inv_06: from the journal alone the case is the same");
    service.stop().await;
}

#[tokio::test]
async fn outside_the_risk_desk_nobody_learns_anything() {
    let town = Town::open(&[]).await;
    town.ring("ring").await;
    town.screened().await;
    let id = town.get("/v1/cases").await["cases"][0]["id"].as_u64().unwrap();
    for role in [Role::App, Role::Auditor] {
        let key = key(&town.service, role);
        for path in ["/v1/cases".to_owned(), format!("/v1/cases/{id}"), "/v1/members/ring-1/risk".to_owned()] {
            assert_eq!(town.service.call_with("GET", &path, &key, &[], "").await.status, 403, "{role:?} {path}");
        }
        let body = r#"{"verdict":"confirm","reason":"x"}"#;
        let path = format!("/v1/cases/{id}/review");
        assert_eq!(town.service.call_with("POST", &path, &key, &[], body).await.status, 403);
    }
    for (body, field) in [
        (json!({"verdict": "perhaps", "reason": "x"}), "verdict"),
        (json!({"verdict": "confirm"}), "reason"),
        (json!({"verdict": "confirm", "reason": " "}), "reason"),
        (json!({"verdict": "confirm", "reason": "x", "scope": "shop"}), "scope"),
        (json!({"verdict": "confirm", "reason": "x", "scope": "merchant:nobody"}), "scope"),
        (json!({"verdict": "confirm", "reason": "x", "members": ["honest-5"]}), "members"),
        (json!({"verdict": "watch", "reason": "x", "ask_back": true}), "ask_back"),
    ] {
        let (status, answer) = town.post(&format!("/v1/cases/{id}/review"), body.clone()).await;
        assert_eq!((status, answer["field"].as_str()), (422, Some(field)), "{body}: {answer}");
    }
    let (status, _) = town.post("/v1/cases/999999/review", json!({"verdict": "watch", "reason": "x"})).await;
    assert_eq!(status, 404);
    let (status, answer) = town.post(&format!("/v1/cases/{id}/undo"), json!({"reason": "x"})).await;
    assert_eq!((status, answer["code"].as_str()), (409, Some("not_in_this_state")), "nothing to take back");
    // A detector's version is withdrawn: it leaves the case and does not come back.
    let withdrawal = json!({"version": 1, "reason": "it mistakes families"});
    let (status, answer) = town.post("/v1/detectors/nobody/withdraw", withdrawal.clone()).await;
    assert!(status == 404 && answer["detail"].as_str().unwrap().contains("self-referral"), "{answer}");
    assert_eq!(town.post("/v1/detectors/shared-instrument/withdraw", withdrawal).await.0, 200);
    town.followed().await;
    town.screened().await;
    let case = town.get(&format!("/v1/cases/{id}")).await;
    assert!(case["evidence"].as_array().unwrap().iter().all(|seen| seen["detector"] != "shared-instrument"));
    assert!(!case["families"].to_string().contains("instruments"), "{case:#}");
    town.service.stop().await;
}

/// Forty accounts that name an honest ambassador, and type her address, do not get her held.
#[tokio::test]
async fn inv_08_framing_does_not_work() {
    let town = Town::open(&[HOLD, HOLD_FROM]).await;
    let ambassador = [
        json!({"kind": "address", "value": "her-home", "verified": true}),
        json!({"kind": "device", "value": "her-phone", "verified": true}),
    ];
    town.member("ambassador", None, &ambassador, "2026-10-02T08:00:00Z").await;
    for place in 0..40 {
        let links = [
            json!({"kind": "device", "value": "farm"}),
            json!({"kind": "device", "value": "her-phone"}),
            json!({"kind": "address", "value": "her-home"}),
        ];
        let at = format!("2026-11-20T09:{place:02}:00Z");
        town.member(&format!("fake-{place}"), Some("ambassador"), &links, &at).await;
    }
    town.buy("ambassador", "a1", "2026-11-21T11:00:00Z").await;
    town.buy("fake-7", "f7", "2026-11-21T11:00:00Z").await;
    town.screened().await;
    town.followed().await;
    assert_eq!(town.standing("fake-7").await, "held");
    assert_eq!(town.balance("fake-7").await, (0, 200, 0));
    assert!(["clear", "watched"].contains(&town.standing("ambassador").await.as_str()));
    assert_eq!(town.balance("ambassador").await, (200, 0, 0));
    let id = town.get("/v1/cases").await["cases"][0]["id"].as_u64().unwrap();
    let case = town.get(&format!("/v1/cases/{id}")).await;
    let her = case["suspects"].as_array().unwrap().iter().find(|s| s["member"] == "ambassador").unwrap();
    assert_eq!(her["own"], false, "she is listed as who was named: {her}");
    // A review that names nobody does not mean her either.
    let (status, _) =
        town.post(&format!("/v1/cases/{id}/review"), json!({"verdict": "confirm", "reason": "a farm"})).await;
    assert_eq!(status, 200);
    town.followed().await;
    assert_eq!(town.standing("fake-7").await, "barred");
    assert_eq!(town.standing("ambassador").await, "clear");
    // Nor does what is known of them now.
    town.screened().await;
    town.followed().await;
    assert_eq!(town.standing("ambassador").await, "clear");
    town.audited_and_rebuilt().await.stop().await;
}

/// Found as it comes, without waiting for a look at everybody; and a hold ends by itself.
#[tokio::test]
async fn a_ring_is_held_as_it_comes_and_released_when_nobody_reviews_it() {
    let town = Town::open(&[HOLD, HOLD_FROM, ("RINGFENCE_SCREENING__PASS_EVERY_SECONDS", "86400")]).await;
    town.screened().await;
    town.ring("ring").await;
    let engine = town.service.engine();
    assert!(engine.screened_up_to(engine.journal_end()).await, "passed, with what followed");
    assert_eq!(town.standing("ring-11").await, "held");
    town.buy("ring-11", "p1", "2026-11-21T13:00:00Z").await;
    assert_eq!(town.balance("ring-11").await, (0, 200, 0));
    let risk = town.get("/v1/members/ring-11/risk").await;
    assert!(risk["live_at"].is_string() && risk["pass_at"].is_string(), "each with its age: {risk:#}");
    let until = risk["standings"][0]["until"].as_str().unwrap();
    assert!(until.starts_with("2026-12-21"), "{until}");
    for day in ["2026-12-20T00:10:00Z", "2026-12-22T00:10:00Z"] {
        town.service.clock.set(ringfence::domain::Timestamp::parse(day).unwrap());
        let today = ringfence::domain::Timestamp::start_of_day(town.service.clock.now().day());
        loop {
            engine.mark_day(town.service.clock.now()).await.unwrap();
            if (0..engine.partitions()).all(|partition| engine.mark(partition) >= today) {
                break;
            }
        }
        let held = day.starts_with("2026-12-20");
        assert_eq!(town.standing("ring-11").await, if held { "held" } else { "clear" }, "{day}");
    }
    assert_eq!(town.balance("ring-11").await, (0, 0, 200), "released, and its hold days are over");
    town.audited_and_rebuilt().await.stop().await;
}

/// A competitor's staff: held against them by the merchant concerned alone, after a review.
#[tokio::test]
async fn a_competitors_staff_loses_that_merchants_offers_and_no_others() {
    let town = Town::open(&[]).await;
    let engine = town.service.engine();
    engine.put_merchant(world::merchant("other", &["777"]), None).await.unwrap();
    world::publish(engine, "others", world::terms("other")).await;
    let mut shop = world::merchant("shop", &["123456"]);
    shop.competitors = vec![ringfence::domain::merchant::Competitor {
        name: "Rival".to_owned(),
        mids: Vec::new(),
        email_domains: vec!["rival.example".into()],
        networks: vec!["203.0.113.0/25".into()],
    }];
    engine.put_merchant(shop, None).await.unwrap();
    for (name, email, ip) in [
        ("scout", "scout@Rival.example", "203.0.113.9"),
        ("former", "former@rival.example", "198.51.100.4"),
        ("guest", "guest@mail.example", "203.0.113.10"),
    ] {
        let links = [json!({"kind": "email", "value": email}), json!({"kind": "ip", "value": ip})];
        town.member(name, None, &links, "2026-10-05T08:00:00Z").await;
    }
    let seen = town.service.call_with("GET", "/v1/members/scout", &town.operator, &[], "").await.json();
    assert_eq!(seen["links"].as_array().unwrap().len(), 2, "what is derived is nobody's to see: {seen}");
    for signal in 0..12 {
        let body = json!({"kind": "offer_viewed", "id": format!("s{signal}")}).to_string();
        let reply = town.service.call_with("POST", "/v1/members/former/signals", &town.operator, &[], &body).await;
        assert_eq!(reply.status, 201);
    }
    town.screened().await;
    let queue = town.get("/v1/cases").await;
    assert_eq!(queue["cases"].as_array().unwrap().len(), 1, "{queue:#}");
    assert_eq!(queue["cases"][0]["scope"], "merchant:shop");
    let id = queue["cases"][0]["id"].as_u64().unwrap();
    let case = town.get(&format!("/v1/cases/{id}")).await;
    assert_eq!(members(&case), ["former", "scout"], "one sign is none: {case:#}");
    let offers = async || {
        let reply = town.service.call_with("GET", "/v1/members/scout/offers", &town.operator, &[], "").await;
        reply.json().to_string()
    };
    assert!(offers().await.contains("five"), "nothing follows without a review");
    let (status, _) =
        town.post(&format!("/v1/cases/{id}/review"), json!({"verdict": "confirm", "reason": "on their payroll"})).await;
    assert_eq!(status, 200);
    town.followed().await;
    let shown = offers().await;
    assert!(!shown.contains("five") && shown.contains("others"), "{shown}");
    assert_eq!(town.standing("scout").await, "clear", "an honest customer elsewhere");
    let refused = town.buy("scout", "p1", "2026-11-21T11:00:00Z").await;
    assert_eq!(
        (refused["outcome"].as_str(), refused["refusals"][0]["code"].as_str()),
        (Some("no_reward"), Some("not_eligible"))
    );
    let body = world::event("p2", "clearing", "p2", "tok_scout", 4_000, "2026-11-21T11:00:00Z", "777");
    assert_eq!(town.service.post("visa-eu", body).await.1["outcome"], "credited");
    town.audited_and_rebuilt().await.stop().await;
}

/// Small purchases at a competitor's own tills, soon taken back, beside reading everything: a case.
/// A customer of both, whose purchases stay, is none, however much they read.
#[tokio::test]
async fn who_only_tries_a_competitors_tills_is_told_from_its_customers() {
    let town = Town::open(&[]).await;
    let mut shop = world::merchant("shop", &["123456"]);
    shop.competitors = vec![ringfence::domain::merchant::Competitor {
        name: "Rival".to_owned(),
        mids: vec!["00666".into()],
        email_domains: Vec::new(),
        networks: Vec::new(),
    }];
    town.service.engine().put_merchant(shop, None).await.unwrap();
    let at = |minute: usize| format!("2026-11-20T10:{minute:02}:00Z");
    let till = async |id: &str, purchase: &str, kind: &str, minor: i64, minute: usize| {
        let event = format!("{purchase}-{kind}");
        let body = world::event(&event, kind, purchase, &format!("tok_{id}"), minor, &at(minute), "666");
        let (status, answer) = town.service.post("visa-eu", body).await;
        assert_eq!((status, answer["outcome"].as_str()), (200, Some("no_offer")), "nobody registered it: {answer}");
    };
    // Who bought before their card was linked is seen all the same.
    for visit in 0..3 {
        let purchase = format!("scout-{visit}");
        till("scout", &purchase, "authorization", 100, visit).await;
        till("scout", &purchase, "reversal", 100, 10 + visit).await;
    }
    for name in ["scout", "customer", "reader"] {
        town.member(name, None, &[json!({"kind": "device", "value": name})], "2026-10-05T08:00:00Z").await;
        for signal in 0..12 {
            let body = json!({"kind": "offer_viewed", "id": format!("s{signal}")}).to_string();
            let path = format!("/v1/members/{name}/signals");
            assert_eq!(town.service.call_with("POST", &path, &town.operator, &[], &body).await.status, 201);
        }
    }
    for visit in 0..3 {
        let (small, large) = (format!("customer-{visit}"), format!("customer-large-{visit}"));
        till("customer", &small, "authorization", 100, visit).await;
        till("customer", &small, "reversal", 100, 10 + visit).await;
        till("customer", &large, "clearing", 4_000, 20 + visit).await;
    }
    town.screened().await;
    let queue = town.get("/v1/cases").await;
    assert_eq!(queue["cases"].as_array().unwrap().len(), 1, "{queue:#}");
    assert_eq!(queue["cases"][0]["scope"], "merchant:shop");
    let case = town.get(&format!("/v1/cases/{}", queue["cases"][0]["id"])).await;
    assert_eq!(members(&case), ["scout"], "{case:#}");
    assert_eq!(case["families"], json!(["offers read", "rival tills"]));
    // What comes later is read on from there. In place of reading much: being there first.
    let engine = town.service.engine();
    let activation = ringfence::domain::offer::Activation::Required;
    let mut begun = town.service.clock.now();
    for offer in 0..5 {
        let id = ringfence::domain::OfferId::new(format!("launch-{offer}")).unwrap();
        let terms = ringfence::domain::offer::Terms { activation, ..world::terms("shop") };
        engine.put_offer(&id, terms, None).await.unwrap();
        begun = engine.step_offer(&id, ringfence::engine::catalogue::Step::Publish, None).await.unwrap();
    }
    town.service.clock.set(begun.plus_ms(120_000));
    town.member("early", None, &[json!({"kind": "device", "value": "early"})], "2026-10-05T08:00:00Z").await;
    for offer in 0..5 {
        let path = format!("/v1/members/early/activations/launch-{offer}");
        let reply = town.service.call_with("PUT", &path, &town.operator, &[], "").await;
        assert!(matches!(reply.status, 200 | 201), "{}", reply.json());
    }
    for visit in 0..3 {
        let purchase = format!("early-{visit}");
        till("early", &purchase, "clearing", 250, visit).await;
        till("early", &purchase, "refund", 250, 10 + visit).await;
    }
    town.screened().await;
    let case = town.get(&format!("/v1/cases/{}", queue["cases"][0]["id"])).await;
    assert_eq!(members(&case), ["early", "scout"], "{case:#}");
    assert!(case["families"].to_string().contains("first minutes"), "{case:#}");
    town.audited_and_rebuilt().await.stop().await;
}

/// What people said of cases becomes a model; what they took back, and what policy did, does not.
#[tokio::test]
async fn a_model_is_fitted_from_reviews_alone() {
    let town = Town::open(&[HOLD, HOLD_FROM]).await;
    for ring in 0..9 {
        town.ring(&format!("ring{ring}")).await;
    }
    town.screened().await;
    let queue = town.get("/v1/cases?limit=100").await;
    let cases = queue["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 9, "{queue:#}");
    let folder = world::Folder::new("reviews");
    let config = folder.0.join("ringfence.toml");
    let model = folder.0.join("model.json");
    let fit_now = async |dir: &world::Folder| {
        let text = format!(
            "[store]\nurl = \"embedded:{0}\"\npartitions = 16\n[journal]\ndir = \"{0}/journal\"\n",
            dir.0.display()
        );
        std::fs::write(&config, text).unwrap();
        let args = FitArgs::of_reviews(ConfigArgs { config: Some(config.clone()), store: None }, model.clone());
        tokio::task::spawn_blocking(move || fit(&args)).await.unwrap().map_err(|error| error.to_string())
    };
    for (place, case) in cases.iter().enumerate() {
        let verdict = if place % 2 == 0 { "confirm" } else { "dismiss" };
        let path = format!("/v1/cases/{}", case["id"]);
        let (status, answer) =
            town.post(&format!("{path}/review"), json!({"verdict": verdict, "reason": "judged"})).await;
        assert_eq!(status, 200, "{answer}");
        if place == 8 {
            assert_eq!(town.post(&format!("{path}/undo"), json!({"reason": "unsure"})).await.0, 200);
        }
    }
    town.followed().await;
    let dir = town.service.stop().await;
    fit_now(&dir).await.unwrap();
    let fitted: Value = serde_json::from_str(&std::fs::read_to_string(&model).unwrap()).unwrap();
    let text = fitted.to_string();
    assert!(text.contains("\"members\":96") && text.contains("\"bad\":48"), "eight cases of twelve: {text}");
    // Without reviews there is nothing to learn, and it says so.
    let town = Town::open(&[HOLD, HOLD_FROM]).await;
    town.ring("ring").await;
    town.screened().await;
    let dir = town.service.stop().await;
    let refused = fit_now(&dir).await.unwrap_err();
    assert!(refused.contains("reviews of this store") && refused.contains("0 bad and 0 good"), "{refused}");
}

/// An engine without a screener: what becomes of money when screening has stopped.
#[tokio::test]
async fn money_waits_while_screening_does_not_come() {
    let folder = world::Folder::new("gate");
    let clock = Clock::manual(world::begin());
    let policy = Policy { screened: true, ..Policy::default() };
    let options = EngineOptions { partitions: 4, ..world::small_options(&folder.0) };
    let metrics = Arc::new(Metrics::new(&[]));
    let (engine, _) = Engine::start(options, policy.clone(), clock.clone(), metrics).unwrap();
    engine.put_merchant(world::merchant("shop", &["123456"]), None).await.unwrap();
    let terms = ringfence::domain::offer::Terms { hold_days: 0, ..world::terms("shop") };
    world::publish(&engine, "at-once", terms).await;
    let held = ringfence::domain::offer::Terms { hold_days: 1, ..world::terms("shop") };
    world::publish(&engine, "a-day", held).await;
    world::member(&engine, "ann", "tok_ann").await;
    let source = world::source();
    let (ann, usd) = (MemberId::new("ann").unwrap(), Currency::parse("USD").unwrap());
    let body = |id: &str, at: &str| world::event(id, "clearing", id, "tok_ann", 4_000, at, "123456");
    world::receive(&engine, &source, &body("e1", "2026-11-21T11:00:00Z")).await;
    // Late: its day of hold was over long before it came.
    world::receive(&engine, &source, &body("e2", "2026-11-02T11:00:00Z")).await;
    let balance = async || engine.load(&ann).await.unwrap().unwrap().head.balance(usd);
    assert_eq!((balance().await.posted_minor, balance().await.available_minor), (800, 0));
    // Days pass and nobody looks.
    clock.set(clock.now().plus_days(3));
    engine.mark_day(clock.now()).await.unwrap();
    assert_eq!((balance().await.posted_minor, balance().await.available_minor), (800, 0), "the mark did not rise");
    let pay =
        async || engine.redeem(&ann, "r1".to_owned(), Wanted::Of(Unit::Money(usd), 100), None, |_| String::new()).await;
    assert!(matches!(pay().await, Err(ActError::NotScreened)));
    assert!(engine.screening().waits() >= 2, "which an alarm sees");
    // It comes back.
    let screener = Arc::new(Screener::new(ScreeningSettings { enabled: true, ..ScreeningSettings::default() }));
    let running = screener.start(&engine, tokio::runtime::Handle::current()).unwrap();
    while balance().await.available_minor < 800 {
        engine.mark_day(clock.now()).await.unwrap();
    }
    pay().await.unwrap();
    assert_eq!(balance().await.paid_minor, 100);
    // What is earned at once is paid as soon as it is screened, the same day.
    world::receive(&engine, &source, &body("e3", "2026-11-24T11:00:00Z")).await;
    while balance().await.available_minor < 900 {
        assert!(engine.release(&ann).await.unwrap());
    }
    tokio::task::spawn_blocking(move || running.stop()).await.unwrap();
    // It stops again, and its last look becomes too old.
    clock.set(clock.now().plus_ms(2 * 3_600_000));
    assert!(matches!(pay().await, Err(ActError::NotScreened)));
    engine.stop().unwrap();
    let report = audit(&[folder.0.join("journal")], &AuditOptions::new(policy)).unwrap();
    assert!(report.is_clean(), "{:#?}", report.checks.iter().filter(|c| c.difference_count > 0).collect::<Vec<_>>());
}

/// A reward came when its hold was over but for the mark of the day, and screening passed it, for
/// the sake of another one, before that mark rose: the mark releases it, not the next day's.
#[tokio::test]
async fn what_screening_passed_before_the_mark_of_the_day_is_released_by_it() {
    let folder = world::Folder::new("gate");
    let clock = Clock::manual(Timestamp::start_of_day(world::begin().day() + 1).plus_ms(5_000));
    let policy = Policy { screened: true, ..Policy::default() };
    let options = EngineOptions { partitions: 4, ..world::small_options(&folder.0) };
    let (engine, _) = Engine::start(options, policy.clone(), clock.clone(), Arc::new(Metrics::new(&[]))).unwrap();
    engine.put_merchant(world::merchant("shop", &["123456"]), None).await.unwrap();
    for (offer, hold_days) in [("at-once", 0), ("a-day", 1)] {
        let terms = ringfence::domain::offer::Terms { hold_days, ..world::terms("shop") };
        world::publish(&engine, offer, terms).await;
    }
    world::member(&engine, "ann", "tok_ann").await;
    let body = world::event("e1", "clearing", "e1", "tok_ann", 4_000, "2026-11-21T00:00:00Z", "123456");
    world::receive(&engine, &world::source(), &body).await;
    let (ann, usd) = (MemberId::new("ann").unwrap(), Currency::parse("USD").unwrap());
    let balance = async || {
        let balance = engine.load(&ann).await.unwrap().unwrap().head.balance(usd);
        (balance.posted_minor, balance.available_minor)
    };
    let screened = || {
        engine.screening().passed(engine.journal_end(), 0);
        engine.screening().pass_done(clock.now());
    };
    screened();
    assert!(engine.release(&ann).await.unwrap());
    assert_eq!(balance().await, (200, 200), "the other one's day has no mark yet");
    screened();
    engine.mark_day(clock.now()).await.unwrap();
    assert_eq!(balance().await, (0, 400));
    engine.stop().unwrap();
    let report = audit(&[folder.0.join("journal")], &AuditOptions::new(policy)).unwrap();
    assert!(report.is_clean(), "{:#?}", report.checks.iter().filter(|c| c.difference_count > 0).collect::<Vec<_>>());
}

#[tokio::test]
async fn metrics_and_a_pay_out_say_when_money_waits() {
    let service = Service::start(&[ON]).await;
    let engine = service.engine();
    // The day's mark may come between, and may have waited on a busy machine.
    let begun = std::time::Instant::now();
    let page = loop {
        assert!(engine.screened_up_to(engine.journal_end()).await);
        let page = service.call_with("GET", "/metrics", BOOTSTRAP, &[], "").await;
        let page = String::from_utf8(page.body).unwrap();
        if page.contains("ringfence_screening_lag_records 0") {
            break page;
        }
        assert!(begun.elapsed().as_secs() < 120, "waited two minutes in vain\n{page}");
    };
    for name in ["screening_pass_age_seconds 0", "screening_waits_total "] {
        assert!(page.contains(&format!("ringfence_{name}")), "{name}\n{page}");
    }
    assert_eq!(service.call("GET", "/readyz", "").await.0, 200);
    service.stop().await;
}
