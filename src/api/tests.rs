//! The doors as a caller sees them, without a socket: one shop, one offer, one member,
//! from the first document to the pay-out.

use super::*;
use crate::authenticate::keys::{KEY_RANDOM_BYTES, NewKey, Role};
use crate::authenticate::{Scheme, Secret, VerifiedBody, Verifier};
use crate::clock::Clock;
use crate::decide::Policy;
use crate::domain::{MerchantId, SourceName, Timestamp};
use crate::engine::EngineOptions;
use crate::normalise::Format;
use crate::pipeline;
use crate::telemetry::Metrics;
use crate::wire::RequestId;
use http_body_util::BodyExt;
use hyper::{HeaderMap, Method, Version};
use serde_json::{Value, json};

struct World {
    doors: Doors,
    keys: HashMap<&'static str, String>,
    clock: Clock,
    _dir: Folder,
}

/// A folder that goes with its test.
struct Folder(std::path::PathBuf);
impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn world(name: &str) -> World {
    let dir = std::env::temp_dir().join(format!("ringfence-api-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let clock = Clock::manual(at("2026-11-21T12:00:00Z"));
    let source = SourceName::new("visa-eu").unwrap();
    let metrics = Arc::new(Metrics::new(std::slice::from_ref(&source)));
    let mut options = EngineOptions::new(&dir);
    options.partitions = 4;
    let (engine, _) = Engine::start(options, Policy::default(), clock.clone(), metrics).unwrap();
    let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let verifier = Verifier::new(&[Scheme::StandardWebhooks], vec![secret], 300).unwrap();
    let source = Source { name: source, index: 0, format: Format::Ringfence, verifier, default_scheme: None };
    let ring = KeyRing::load(&dir, None).unwrap();
    let roles = [("operator", Role::Operator, None), ("app", Role::App, None), ("auditor", Role::Auditor, None)];
    let merchants = [("bean", Role::Merchant, Some("bean")), ("rival", Role::Merchant, Some("rival"))];
    let mut keys = HashMap::new();
    for (number, (name, role, merchant)) in roles.into_iter().chain(merchants).enumerate() {
        let merchant = merchant.map(|id| MerchantId::new(id).unwrap());
        let random = [u8::try_from(number).unwrap() + 1; KEY_RANDOM_BYTES];
        let (_, text) = ring.create(NewKey { role, merchant, label: None }, clock.now(), &random).unwrap();
        keys.insert(name, text.expose().to_owned());
    }
    let limits = Limits { sources: vec![None], keys: None, addresses: None };
    let doors = Doors::new(engine, vec![source], ring, limits, TrustedProxies::default(), Arc::default());
    World { doors, keys, clock, _dir: Folder(dir) }
}

impl World {
    /// Status, ETag and document of one request; `line` is `METHOD /path`, headers are lines.
    async fn ask(&self, who: &str, line: &str, headers: &str, body: &Value) -> (u16, String, Value) {
        let (method, path) = line.split_once(' ').unwrap();
        let mut map = HeaderMap::new();
        if let Some(key) = self.keys.get(who) {
            map.insert("authorization", format!("Bearer {key}").parse().unwrap());
        }
        for (name, value) in headers.lines().filter_map(|line| line.split_once(": ")) {
            map.insert(hyper::header::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        let request = Request {
            method: Method::from_bytes(method.as_bytes()).unwrap(),
            uri: path.parse().unwrap(),
            version: Version::HTTP_11,
            headers: map,
            body: if body.is_null() { Bytes::new() } else { serde_json::to_vec(body).unwrap().into() },
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
            id: RequestId::from_number(1),
            arrived: std::time::Instant::now(),
        };
        let response = self.doors.handle(request).await;
        let status = response.status().as_u16();
        let tag = response.headers().get("etag").map_or("", |tag| tag.to_str().unwrap()).to_owned();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, tag, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn does(&self, who: &str, line: &str, body: Value, status: u16) -> Value {
        let (got, _, document) = self.ask(who, line, "", &body).await;
        assert_eq!(got, status, "{who} {line}: {document}");
        document
    }

    async fn event(&self, event: Value) {
        let body = VerifiedBody::by_operator(serde_json::to_vec(&event).unwrap().into());
        let received = pipeline::receive(&self.doors.engine, &self.doors.sources["visa-eu"], &body).await.unwrap();
        assert!(received.results.iter().all(Result::is_ok), "{received:?}");
    }

    /// A shop, an offer of 5 %, a member with a card, and a cleared purchase of 40.00.
    async fn set_up(&self) {
        let shop = json!({"name": "Bean", "time_zone": "UTC", "locations": [{"id": "1", "mids": [{"mid": "0042"}]}]});
        self.does("operator", "PUT /v1/merchants/bean", shop, 201).await;
        let offer = json!({"merchant": "bean", "title": "5%", "currency": "USD", "budget_minor": 1000,
            "reward": {"kind": "percent", "basis_points": 500}, "activation": "automatic"});
        self.does("bean", "PUT /v1/offers/o1", offer, 201).await;
        self.does("operator", "POST /v1/offers/o1/publish", json!({"effective_from": "2026-11-01T00:00:00Z"}), 200)
            .await;
        self.does("app", "PUT /v1/members/ann", json!({"birthday": "--02-29"}), 201).await;
        let from = json!({"from": "2026-11-01T00:00:00Z"});
        self.does("operator", "PUT /v1/members/ann/cards/visa-eu/tok%2F1", from, 201).await;
        self.event(json!({"id": "e1", "type": "clearing", "purchase_id": "p1", "card": "tok/1",
            "amount": {"minor": 4000, "currency": "USD"}, "occurred_at": "2026-11-20T10:00:00Z",
            "merchant": {"mid": "42"}}))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_is_explained_and_paid_out_once() {
    let world = world("paid");
    world.set_up().await;
    world.clock.set(at("2026-11-22T12:00:00Z"));
    world.doors.engine.mark_day(world.clock.now()).await.unwrap();
    let balance = world.does("app", "GET /v1/members/ann/balance", Value::Null, 200).await;
    assert_eq!(balance["balances"][0]["available_minor"], 200, "{balance}");
    let offer = world.does("bean", "GET /v1/offers/o1", Value::Null, 200).await;
    assert_eq!(
        (&offer["state"], &offer["granted_minor"], &offer["budget_left_minor"]),
        (&json!("published"), &json!(200), &json!(800))
    );
    let seen = world.does("bean", "GET /v1/purchases/visa-eu/p1", Value::Null, 200).await;
    assert_eq!(seen["offers"][0]["state"], "available", "{seen}");
    assert!(seen.get("member").is_none() && !seen.to_string().contains("tok"));
    world.does("rival", "GET /v1/purchases/visa-eu/p1", Value::Null, 404).await;
    let all = world.does("operator", "GET /v1/purchases/visa-eu/p1", Value::Null, 200).await;
    assert_eq!((&all["member"], &all["worth"]["minor"]), (&json!("ann"), &json!(4000)));

    // Two at once and once more: one pay-out, three equal answers.
    let line = "POST /v1/members/ann/redemptions";
    let body = json!({"amount_minor": 150, "currency": "USD"});
    assert_eq!(world.ask("app", line, "", &body).await.2["code"], "idempotency_key_missing");
    let key = "idempotency-key: once";
    let (one, two) = tokio::join!(world.ask("app", line, key, &body), world.ask("app", line, key, &body));
    assert_eq!((one.0, &one), (201, &two));
    world.clock.set(at("2027-11-21T12:00:00Z"));
    assert_eq!(world.ask("app", line, key, &body).await, one);
    let other = json!({"amount_minor": 50, "currency": "USD"});
    assert_eq!(world.ask("app", line, key, &other).await.2["code"], "idempotency_key_reused");
    let more = json!({"amount_minor": 51, "currency": "USD"});
    assert_eq!(world.ask("app", line, "idempotency-key: two", &more).await.2["code"], "not_enough_available");
    let balance = world.does("app", "GET /v1/members/ann/balance", Value::Null, 200).await;
    assert_eq!(
        (&balance["balances"][0]["available_minor"], &balance["balances"][0]["paid_minor"]),
        (&json!(50), &json!(150))
    );

    // Both lists say the same, page by page, in opposite orders.
    let mut newest = Vec::new();
    let mut oldest = Vec::new();
    for (who, path, list) in
        [("app", "/v1/members/ann/statement", &mut newest), ("auditor", "/v1/ledger/transfers", &mut oldest)]
    {
        let mut cursor = String::new();
        loop {
            let page = world.does(who, &format!("GET {path}?limit=1&cursor={cursor}"), Value::Null, 200).await;
            let shown = page["transfers"].as_array().unwrap().iter();
            list.extend(shown.map(|t| format!("{} {} {} {}", t["record"], t["debit"], t["credit"], t["amount_minor"])));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = next.to_owned();
        }
    }
    oldest.reverse();
    assert_eq!(newest, oldest);
    assert_eq!(newest.len(), 3);
    let books = world.does("auditor", "GET /v1/ledger/trial-balance", Value::Null, 200).await;
    assert!(books["balanced"] == true && books.get("merchants").is_none(), "{books}");
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_versions_and_keys_are_kept_apart() {
    let world = world("apart");
    world.set_up().await;
    let null = Value::Null;
    for (who, line, body, status) in [
        ("nobody", "GET /v1/offers", null.clone(), 401),
        ("auditor", "GET /v1/offers", null.clone(), 403),
        ("rival", "GET /v1/offers/o1", null.clone(), 404),
        ("rival", "POST /v1/offers/o1/pause", null.clone(), 404),
        ("rival", "GET /v1/merchants/bean", null.clone(), 404),
        ("bean", "POST /v1/offers/o1/pause", json!({"effective_from": "2026-11-02T00:00:00Z"}), 403),
        ("operator", "POST /v1/offers/o1/pause", json!({"effective_from": "2027-11-02T00:00:00Z"}), 422),
        ("operator", "POST /v1/offers/o1/forecast", null.clone(), 404),
        ("operator", "DELETE /v1/offers/o1", null.clone(), 405),
        ("app", "PUT /v1/members/bob", json!({"name": "Bob"}), 422),
        ("app", "PUT /v1/members/ann/cards/visa-eu/4242424242424242", null.clone(), 422),
        ("app", "PUT /v1/members/ann/cards/amex/t", null.clone(), 404),
        ("app", "PUT /v1/members/bob/cards/visa-eu/t", null.clone(), 404),
        ("app", "PUT /v1/members/ann/cards/visa-eu/t", json!({"from": "2026-11-02T00:00:00Z"}), 403),
        ("app", "PUT /v1/members/ann/cards/visa-eu/t", json!({"replaces": {"source": "visa-eu", "token": "x"}}), 422),
        ("app", "PUT /v1/members/ann/activations/o1", json!({"at": "2026-11-02T00:00:00Z"}), 403),
        ("app", "PUT /v1/members/ann/activations/none", null.clone(), 404),
        ("app", "PUT /v1/members/ann/activations/o1", null.clone(), 200),
        ("app", "DELETE /v1/members/ann/activations/o1", null.clone(), 204),
        ("app", "DELETE /v1/members/ann/cards/visa-eu/tok%2F1", null.clone(), 204),
        ("app", "GET /v1/members/ann/statement?cursor=x", null.clone(), 400),
        ("app", "GET /v1/members/ann/statement?limit=201", null.clone(), 400),
        ("operator", "GET /v1/dead-letters", null.clone(), 200),
        ("operator", "POST /v1/dead-letters/7/replay", null.clone(), 404),
        ("nobody", "GET /docs", null.clone(), 308),
        ("nobody", "GET /docs/", null.clone(), 200),
        ("nobody", "GET /openapi.json", null.clone(), 200),
    ] {
        world.does(who, line, body, status).await;
    }
    let (_, tag, merchant) = world.ask("bean", "GET /v1/merchants/bean", "", &null).await;
    assert_eq!((tag.as_str(), &merchant["version"]), ("\"1\"", &json!(1)));
    let shop = json!({"name": "Bean & Co", "time_zone": "UTC"});
    assert_eq!(world.ask("bean", "PUT /v1/merchants/bean", "if-match: \"2\"", &shop).await.0, 412);
    assert_eq!(world.ask("bean", "PUT /v1/merchants/bean", "if-match: \"1\"", &shop).await.0, 200);
    assert_eq!(world.ask("bean", "PUT /v1/merchants/bean", "if-match: \"1\"", &shop).await.0, 412);
    // A step under a key: the same answer, even when the step changes nothing any more.
    let key = "idempotency-key: k";
    let first = world.ask("bean", "POST /v1/offers/o1/pause", key, &null).await;
    assert_eq!((first.0, &first.2["state"]), (200, &json!("paused")));
    assert_eq!(world.ask("bean", "POST /v1/offers/o1/pause", "", &null).await.0, 200);
    assert_eq!(world.ask("bean", "POST /v1/offers/o1/pause", key, &null).await, first);
    let key = "idempotency-key: again";
    assert_eq!(world.ask("operator", "POST /v1/offers/o1/pause", key, &null).await.0, 200);
    let other = json!({"effective_from": "2026-11-02T00:00:00Z"});
    assert_eq!(
        world.ask("operator", "POST /v1/offers/o1/pause", key, &other).await.2["code"],
        "idempotency_key_reused"
    );
    // The person goes, the books stay.
    let before = world.does("app", "GET /v1/members/ann", null.clone(), 200).await;
    assert_eq!((&before["birthday"], &before["cards"][0]["token"]), (&json!("--02-29"), &json!("tok/1")));
    world.does("app", "DELETE /v1/members/ann", null.clone(), 204).await;
    let after = world.does("app", "GET /v1/members/ann", null.clone(), 200).await;
    assert!(
        after["erased"] == true && after.get("birthday").is_none() && after["cards"][0].get("token").is_none(),
        "{after}"
    );
    let balance = world.does("app", "GET /v1/members/ann/balance", null, 200).await;
    assert_eq!(balance["balances"][0]["available_minor"], 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_replayed() {
    let world = world("letters");
    world.set_up().await;
    let body = json!({"id": "e9", "type": "swap", "card": "tok/1", "amount": {"minor": 1, "currency": "USD"},
        "occurred_at": "2026-11-20T10:00:00Z", "merchant": {"mid": "42"}});
    let body = VerifiedBody::by_operator(serde_json::to_vec(&body).unwrap().into());
    let source = &world.doors.sources["visa-eu"];
    pipeline::receive(&world.doors.engine, source, &body).await.unwrap();
    let list = world.does("operator", "GET /v1/dead-letters", Value::Null, 200).await;
    let id = list["dead_letters"][0]["id"].as_u64().unwrap();
    assert_eq!(list["dead_letters"][0]["code"], "unknown_type");
    let replayed = world.does("operator", &format!("POST /v1/dead-letters/{id}/replay"), Value::Null, 200).await;
    assert_eq!((&replayed["settled"], &replayed["results"][0]["code"]), (&json!(true), &json!("unknown_type")));
    let list = world.does("operator", "GET /v1/dead-letters", Value::Null, 200).await;
    assert_eq!(list["dead_letters"].as_array().unwrap().len(), 1);
    assert_ne!(list["dead_letters"][0]["id"], id);
    world.does("operator", &format!("POST /v1/dead-letters/{id}/replay"), Value::Null, 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_is_said_in_words_with_warnings_or_refused_with_all_its_faults() {
    let world = world("words");
    world.set_up().await;
    let offer = |when: Value| {
        json!({"merchant": "bean", "title": "T", "currency": "USD", "activation": "automatic", "budget_minor": 500,
               "when": when, "reward": {"kind": "perk", "code": "free-cup", "count": 500}})
    };
    let made = world.does("bean", "PUT /v1/offers/o2", offer(json!({"purchases": {"every": 10}})), 201).await;
    assert_eq!(made["in_words"], "Members get 500 × free-cup, with every 10th purchase.");
    assert_eq!(made["warnings"][0]["path"], "reward.count", "{made}");
    assert_eq!(made["when"], json!({"purchases": {"every": 10}}));

    let wrong = json!({"all": [{"tier": "GOLD"}, {"mcc": ["54"]}]});
    let refused = world.does("bean", "PUT /v1/offers/o2", offer(wrong), 422).await;
    assert_eq!((&refused["code"], &refused["field"]), (&json!("bad_value"), &json!("when.all[0].tier")), "{refused}");
    let fields: Vec<_> = refused["errors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["when.all[0].tier", "when.all[1].mcc[0]"]);

    let schema = world.does("nobody", "GET /v1/schemas/offer.json", Value::Null, 200).await;
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[tokio::test(flavor = "multi_thread")]
async fn points_and_perks_are_one_merchants_own() {
    let world = world("units");
    world.set_up().await;
    world.does("operator", "PUT /v1/merchants/rival", json!({"name": "Rival", "time_zone": "UTC"}), 201).await;
    let beans = json!({"kind": "points", "unit": "beans", "points": 5});
    let cup = json!({"kind": "perk", "code": "free-cup"});
    let offer = |merchant: &str, reward: &Value, trigger: Value| {
        let mut offer =
            json!({"merchant": merchant, "title": "T", "currency": "USD", "activation": "automatic", "reward": reward});
        if !trigger.is_null() {
            offer["trigger"] = trigger;
        }
        offer
    };
    let beans_spent = json!({"points": {"unit": "beans", "points": 3}});
    let money = json!({"kind": "fixed", "amount_minor": 5});
    world.does("bean", "PUT /v1/offers/b1", offer("bean", &beans, Value::Null), 201).await;
    world.does("bean", "PUT /v1/offers/b2", offer("bean", &cup, beans_spent.clone()), 201).await;
    for (reward, trigger, field) in [
        (&beans, Value::Null, "reward.unit"),
        (&cup, Value::Null, "reward.code"),
        (&money, beans_spent, "trigger.points.unit"),
        (
            &money,
            json!({"referral": {"spend_at_least_minor": 1, "referred_reward": cup}}),
            "trigger.referral.referred_reward.code",
        ),
    ] {
        // An operator's word does not help.
        for who in ["rival", "operator"] {
            let no = world.does(who, "PUT /v1/offers/r1", offer("rival", reward, trigger.clone()), 409).await;
            assert_eq!((&no["code"], &no["field"]), (&json!("unit_of_other_merchant"), &json!(field)), "{no}");
        }
    }
    // Another name, or a perk named like the points of somebody else, is free.
    let own = json!({"kind": "perk", "code": "beans"});
    world.does("rival", "PUT /v1/offers/r1", offer("rival", &own, Value::Null), 201).await;

    // Two who name the same at once: one has it.
    let tea = json!({"kind": "perk", "code": "free-tea"});
    let (ours, theirs) = (offer("bean", &tea, Value::Null), offer("rival", &tea, Value::Null));
    let both = futures_util::future::join(
        world.ask("bean", "PUT /v1/offers/b3", "", &ours),
        world.ask("rival", "PUT /v1/offers/r3", "", &theirs),
    );
    let (one, other) = both.await;
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
}

#[tokio::test]
async fn a_redemption_does_one_thing() {
    let world = world("redemptions");
    world.set_up().await;
    let key = |number: usize| format!("idempotency-key: k{number}");
    for (number, (body, status, code, field)) in [
        (json!({}), 422, "missing_field", json!("amount_minor")),
        (json!({"amount_minor": 5}), 422, "missing_field", json!("currency")),
        (json!({"currency": "USD"}), 422, "missing_field", json!("amount_minor")),
        (json!({"amount_minor": 0, "currency": "USD"}), 422, "bad_value", json!("amount_minor")),
        (json!({"offer": "o1", "perk": "free-coffee"}), 422, "contradiction", json!("amount_minor")),
        (json!({"perk": "Free coffee"}), 422, "bad_value", json!("perk")),
        (json!({"offer": "none"}), 422, "bad_value", json!("offer")),
        (json!({"offer": "o1"}), 409, "not_in_this_state", Value::Null),
        (json!({"perk": "free-coffee"}), 409, "not_enough_available", Value::Null),
    ]
    .into_iter()
    .enumerate()
    {
        let (got, _, answer) = world.ask("app", "POST /v1/members/ann/redemptions", &key(number), &body).await;
        assert_eq!((got, &answer["code"], &answer["field"]), (status, &json!(code), &field), "{body}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchants_first_publication_is_an_operators_to_approve() {
    let world = world("approval");
    world.set_up().await;
    world.does("operator", "PUT /v1/merchants/rival", json!({"name": "Rival", "time_zone": "UTC"}), 201).await;
    let offer = |title: &str| {
        json!({"merchant": "rival", "title": title, "currency": "USD", "activation": "automatic",
            "reward": {"kind": "percent", "basis_points": 500}})
    };
    let null = Value::Null;
    let ask = |who: &'static str, step: &'static str, body: Value| {
        let world = &world;
        async move {
            let (status, _, answer) = world.ask(who, &format!("POST /v1/offers/r1/{step}"), "", &body).await;
            (status, answer["state"].as_str().unwrap_or_default().to_owned(), answer)
        }
    };
    world.does("rival", "PUT /v1/offers/r1", offer("T"), 201).await;
    // Asked for, once however often; the draft gives nothing and stays one.
    for _ in 0..2 {
        let (status, state, answer) = ask("rival", "publish", null.clone()).await;
        assert_eq!((status, state.as_str()), (200, "awaiting_approval"), "{answer}");
        assert!(answer.get("published_version").is_none(), "{answer}");
    }
    let view = world.does("rival", "GET /v1/offers/r1", null.clone(), 200).await;
    assert_eq!(view["state"], "awaiting_approval", "{view}");
    let steps: Vec<_> =
        view["life"].as_array().unwrap().iter().map(|step| (&step["change"], &step["version"])).collect();
    assert_eq!(steps, [(&json!("approval_asked"), &json!(1))]);
    let list = world.does("operator", "GET /v1/offers?state=awaiting_approval", null.clone(), 200).await;
    assert_eq!((list["offers"].as_array().unwrap().len(), &list["offers"][0]["id"]), (1, &json!("r1")), "{list}");
    let odd = world.does("operator", "GET /v1/offers?state=waiting", null.clone(), 422).await;
    assert_eq!(odd["field"], "state", "{odd}");
    for (who, step, body, status) in [
        ("rival", "approve", null.clone(), 403),
        ("rival", "reject", json!({"reason": "no"}), 403),
        ("operator", "reject", null.clone(), 422),
        ("operator", "reject", json!({"reason": " "}), 422),
        ("operator", "approve", json!({"reason": "fine"}), 422),
        ("rival", "pause", null.clone(), 409),
    ] {
        let (got, _, answer) = ask(who, step, body).await;
        assert_eq!(got, status, "{who} {step}: {answer}");
    }
    // Rejected, it is a draft with a reason, and may be asked for again.
    let (status, state, _) = ask("operator", "reject", json!({"reason": "say what for"})).await;
    assert_eq!((status, state.as_str()), (200, "draft"));
    let view = world.does("rival", "GET /v1/offers/r1", null.clone(), 200).await;
    assert_eq!(view["life"][1]["reason"], "say what for", "{view}");
    assert_eq!(ask("operator", "approve", null.clone()).await.0, 409);
    assert_eq!(ask("rival", "publish", null.clone()).await.1, "awaiting_approval");
    // Other content is not what was asked for; nor does an operator approve what nobody read.
    let version = world.ask("operator", "GET /v1/offers/r1", "", &null).await.1;
    let changed = world.does("rival", "PUT /v1/offers/r1", offer("Other"), 200).await;
    assert_eq!(changed["state"], "draft");
    let (status, _, answer) = ask("operator", "approve", null.clone()).await;
    assert!(status == 409 && answer["detail"].as_str().unwrap().contains("asked for again"), "{answer}");
    assert_eq!(ask("rival", "publish", null.clone()).await.1, "awaiting_approval");
    let old = format!("if-match: {version}");
    assert_eq!(world.ask("operator", "POST /v1/offers/r1/approve", &old, &null).await.0, 412);
    // Approved, it counts; the same again changes nothing.
    for _ in 0..2 {
        let (status, state, answer) = ask("operator", "approve", null.clone()).await;
        assert_eq!((status, state.as_str(), &answer["published_version"]), (200, "published", &json!(2)), "{answer}");
    }
    let (_, state, answer) = ask("operator", "reject", json!({"reason": "too late"})).await;
    assert_eq!((state.as_str(), &answer["code"]), ("", &json!("not_in_this_state")), "{answer}");
    // From then on the merchant publishes by itself; as one does for whom an operator published.
    world.does("rival", "PUT /v1/offers/r1", offer("Third"), 200).await;
    assert_eq!(ask("rival", "publish", null.clone()).await.1, "published");
    let mut other = offer("Bean");
    other["merchant"] = json!("bean");
    world.does("bean", "PUT /v1/offers/o2", other, 201).await;
    let published = world.does("bean", "POST /v1/offers/o2/publish", null, 200).await;
    assert_eq!(published["state"], "published", "{published}");
}
