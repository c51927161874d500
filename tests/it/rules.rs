//! The desk's rules over HTTP: in shadow they count, live they open cases, an allow entry silences
//! until its end; what is said wrongly is told where; and what others say of somebody holds nobody.

use crate::screening::{Town, members};
use serde_json::{Value, json};

impl Town {
    /// Says a rule.
    async fn say(&self, id: &str, document: &Value) -> (u16, Value) {
        let path = format!("/v1/screening/rules/{id}");
        let reply = self.service.call_with("PUT", &path, &self.risk, &[], &document.to_string()).await;
        (reply.status, reply.json())
    }

    /// Says one and makes it live.
    async fn make_live(&self, id: &str, says: Value) {
        let (status, rule) = self.say(id, &json!({"rule": says, "reason": "told by the desk"})).await;
        assert_eq!((status, rule["state"].as_str()), (201, Some("shadow")), "{rule}");
        let state = json!({"state": "live", "reason": "it flags the right ones"});
        let (status, rule) = self.post(&format!("/v1/screening/rules/{id}/state"), state).await;
        assert_eq!((status, rule["version"].as_u64(), rule["state"].as_str()), (200, Some(2), Some("live")), "{rule}");
    }

    async fn rule(&self, id: &str) -> Value {
        self.get(&format!("/v1/screening/rules/{id}")).await
    }

    /// Members of one device who join now.
    async fn join(&self, device: &str, count: i64, verified: bool) {
        for place in 0..count {
            let links = [json!({"kind": "device", "value": device, "verified": verified})];
            let at = self.service.clock.now().plus_ms(place * 1_000).to_string();
            self.member(&format!("{device}-{place}"), None, &links, &at).await;
        }
    }

    async fn cases(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for line in self.get("/v1/cases").await["cases"].as_array().unwrap() {
            all.push(self.get(&format!("/v1/cases/{}", line["id"])).await);
        }
        all
    }
}

fn farm() -> Value {
    json!({"velocity": {"count": "sign_ups", "per": "device", "within": {"days": 1}, "at_least": 3}})
}

#[tokio::test]
async fn a_velocity_counts_in_shadow_opens_a_case_when_live_and_is_withdrawn() {
    let town = Town::open(&[]).await;
    let (status, refused) = town.say("farm", &json!({"rule": farm(), "state": "live", "reason": "now"})).await;
    assert_eq!((status, refused["code"].as_str()), (409, Some("not_in_this_state")), "shadow first: {refused}");
    let document = json!({"rule": farm(), "reason": "device farms"});
    let (status, rule) = town.say("farm", &document).await;
    assert_eq!((status, &rule["detector"], &rule["flagged"]["members"]), (201, &json!("rule:farm"), &json!(0)));
    assert_eq!(town.say("farm", &document).await.0, 200, "the same again changes nothing");
    town.join("handset", 3, true).await;
    town.join("tablet", 2, true).await;
    town.screened().await;
    let rule = town.rule("farm").await;
    assert_eq!((&rule["version"], &rule["flagged"]["members"]), (&json!(1), &json!(3)), "{rule:#}");
    assert_eq!(town.cases().await, Vec::<Value>::new(), "shadow only counts");

    let state = json!({"state": "live", "reason": "three of three were farms"});
    let (status, rule) = town.post("/v1/screening/rules/farm/state", state).await;
    assert_eq!((status, &rule["versions"][0]["state"], &rule["state"]), (200, &json!("shadow"), &json!("live")));
    town.screened().await;
    let cases = town.cases().await;
    assert_eq!(cases.len(), 1, "{cases:#?}");
    assert_eq!(members(&cases[0]), ["handset-0", "handset-1", "handset-2"]);
    assert_eq!(
        (&cases[0]["families"], &cases[0]["evidence"][0]["detector"]),
        (&json!(["velocity"]), &json!("rule:farm"))
    );
    assert_eq!(cases[0]["evidence"][0]["version"], 2);
    // As it comes: the fourth member of the same device joins the case, and no second is opened.
    town.member("late", None, &[json!({"kind": "device", "value": "handset", "verified": true})], &town.now()).await;
    town.screened().await;
    let cases = town.cases().await;
    assert_eq!((cases.len(), members(&cases[0]).len()), (1, 4), "{cases:#?}");
    assert_eq!(town.rule("farm").await["flagged"]["members"], 4);

    let why = json!({"version": 2, "reason": "a school's tablets"});
    assert_eq!(town.post("/v1/detectors/rule:farm/withdraw", why).await.0, 200);
    town.followed().await;
    let case = town.cases().await.remove(0);
    assert_eq!(case["evidence"], json!([]), "its evidence left: {case:#}");
    town.join("phablet", 3, true).await;
    town.screened().await;
    assert_eq!((town.cases().await.len(), &town.rule("farm").await["withdrawn"]), (1, &json!(true)));

    // From the journal alone the rule says the same of the same members.
    let (before, risk) = (town.rule("farm").await, town.risk.clone());
    let service = town.audited_and_rebuilt().await;
    let engine = service.engine();
    while !engine.screened_up_to(engine.journal_end()).await {}
    let again = service.call_with("GET", "/v1/screening/rules/farm", &risk, &[], "").await.json();
    assert_eq!(again, before, "inv_06: the same, flagged members included");
    service.stop().await;
}

#[tokio::test]
async fn an_allow_entry_silences_until_its_end() {
    let town = Town::open(&[]).await;
    let until = town.service.clock.now().plus_days(2).to_string();
    let spare = |whom: Value, detectors: Value| {
        json!({"rule": {"allow": {"whom": whom, "detectors": detectors}}, "state": "live",
               "reason": "a showroom's tablet", "until": until})
    };
    let showroom = json!({"identifier": {"kind": "device", "value": "showroom"}});
    assert_eq!(town.say("showroom", &spare(showroom, json!([]))).await.0, 201);
    let named = spare(json!({"member": "kiosk-0"}), json!(["rule:farm"]));
    assert_eq!(town.say("kiosk", &named).await.0, 201);
    town.make_live("farm", farm()).await;
    town.join("showroom", 4, true).await;
    town.join("kiosk", 4, true).await;
    town.screened().await;
    let cases = town.cases().await;
    assert_eq!(cases.len(), 1, "{cases:#?}");
    assert_eq!(members(&cases[0]), ["kiosk-1", "kiosk-2", "kiosk-3"], "one is spared of that rule");
    assert_eq!(town.rule("showroom").await["flagged"], Value::Null);
    town.service.clock.set(town.service.clock.now().plus_days(2));
    town.screened().await;
    let cases = town.cases().await;
    assert_eq!(cases.len(), 2, "its end has come: {cases:#?}");
    assert_eq!(members(&cases[0]).len(), 4, "{:#}", cases[0]);
    assert_eq!((members(&cases[1]).len(), town.rule("kiosk").await["state"].as_str()), (4, Some("ended")));
    town.audited_and_rebuilt().await.stop().await;
}

/// A denied device, network and member: those who have it verified are meant by a review that names
/// nobody, others are listed. One kind of evidence holds nobody, whatever is automatic.
#[tokio::test]
async fn a_deny_entry_finds_who_has_the_identifier() {
    let hold = [("RINGFENCE_SCREENING__AUTOMATIC", "hold"), ("RINGFENCE_SCREENING__AUTOMATIC_SCORE_MIN", "0")];
    let town = Town::open(&hold).await;
    town.join("burner", 1, true).await;
    let links = [json!({"kind": "device", "value": "burner"}), json!({"kind": "ip", "value": "203.0.113.77"})];
    town.member("typist", None, &links, &town.now()).await;
    town.make_live("burner", json!({"deny": {"identifier": {"kind": "device", "value": "burner"}}})).await;
    town.screened().await;
    let case = town.cases().await.remove(0);
    let own: Vec<_> = case["suspects"].as_array().unwrap().iter().map(|one| (&one["member"], &one["own"])).collect();
    assert_eq!(own, [(&json!("burner-0"), &json!(true)), (&json!("typist"), &json!(false))], "{case:#}");
    assert_eq!(case["families"], json!(["deny list"]));
    assert_eq!(town.standing("burner-0").await, "clear", "one kind of evidence is none for the policy");
    let shown = town.get("/v1/screening/rules").await.to_string();
    assert!(shown.contains("device") && !shown.contains("\"burner\",\"value\"") && !shown.contains("value"), "{shown}");

    let (status, _) =
        town.say("net", &json!({"rule": {"deny": {"identifier": {"kind": "network", "value": "203.0.113.0/24"}}}, "reason": "a proxy"})).await;
    assert_eq!(status, 201);
    let card = json!({"deny": {"card": {"source": "visa-eu", "token": "tok_honest-50"}}});
    assert_eq!(town.say("card", &json!({"rule": card, "reason": "stolen"})).await.0, 201);
    assert_eq!(town.say("one", &json!({"rule": {"deny": {"member": "honest-51"}}, "reason": "told us"})).await.0, 201);
    town.screened().await;
    for (rule, who) in [("net", "typist"), ("card", "honest-50"), ("one", "honest-51")] {
        let rule = town.rule(rule).await;
        assert_eq!(rule["flagged"]["newest"], json!([who]), "{rule:#}");
    }
    assert_eq!(town.cases().await.len(), 1);
    town.audited_and_rebuilt().await.stop().await;
}

/// Forty fakes name an honest ambassador and share a device of theirs that they never verified: a
/// rule over referrals is live, policy holds at once, and the ambassador stays as they were.
#[tokio::test]
async fn inv_08_a_velocity_of_what_others_say_holds_nobody() {
    let hold = [
        ("RINGFENCE_SCREENING__AUTOMATIC", "hold"),
        ("RINGFENCE_SCREENING__AUTOMATIC_SCORE_MIN", "0"),
        ("RINGFENCE_SCREENING__CASE_SCORE_MIN", "0"),
    ];
    let town = Town::open(&hold).await;
    let named = json!({"velocity": {"count": "referrals", "per": "member", "within": {"days": 1}, "at_least": 10}});
    town.make_live("named", named).await;
    town.make_live("farm", farm()).await;
    let links = [json!({"kind": "device", "value": "phone-of-hers", "verified": true})];
    town.member("ambassador", None, &links, "2026-10-02T08:00:00Z").await;
    for fake in 0..40 {
        let links = [json!({"kind": "device", "value": "phone-of-hers"})];
        town.member(&format!("fake-{fake}"), Some("ambassador"), &links, &town.now()).await;
    }
    town.screened().await;
    town.followed().await;
    let cases = town.cases().await;
    let about = |case: &&Value| members(case).contains(&"ambassador".to_owned());
    let case = cases.iter().find(about).expect("people look at it");
    assert!(case["families"].to_string().contains("said by others"), "{case:#}");
    assert_eq!(town.standing("ambassador").await, "clear", "{case:#}");
    town.audited_and_rebuilt().await.stop().await;
}

#[tokio::test]
async fn what_a_rule_cannot_say_is_told_with_its_place() {
    let town = Town::open(&[]).await;
    let velocity = |more: Value| {
        let mut says = json!({"count": "sign_ups", "per": "device", "within": {"days": 1}, "at_least": 3});
        for (name, value) in more.as_object().unwrap() {
            says[name] = value.clone();
        }
        json!({"rule": {"velocity": says}, "reason": "why"})
    };
    let sum = |of: &str| json!({"count": null, "sum": {"of": of, "currency": "USD"}, "at_least": 5000});
    let deny = |whom: Value| json!({"rule": {"deny": whom}, "reason": "why"});
    let identifier = |kind: &str, value: &str| deny(json!({"identifier": {"kind": kind, "value": value}}));
    let allow =
        |until: Option<&str>| json!({"rule": {"allow": {"whom": {"member": "ann"}}}, "reason": "why", "until": until});
    for (document, code, field) in [
        (velocity(json!({"at_least": 1})), "bad_value", "rule.velocity.at_least"),
        (velocity(json!({"at_least": 1001})), "bad_value", "rule.velocity.at_least"),
        (velocity(json!({"within": {"days": 32}})), "bad_value", "rule.velocity.within"),
        (velocity(json!({"within": {"hours": 0}})), "bad_value", "rule.velocity.within"),
        (velocity(json!({"per": "member"})), "bad_value", "rule.velocity.per"),
        (velocity(json!({"per": "a b"})), "bad_value", "rule.velocity.per"),
        (velocity(json!({"count": null})), "bad_value", "rule.velocity.count"),
        (velocity(json!({"sum": {"of": "rewards", "currency": "USD"}})), "bad_value", "rule.velocity.sum"),
        (velocity(sum("sign_ups")), "bad_value", "rule.velocity.sum.of"),
        (identifier("device", " "), "bad_value", "rule.deny.identifier.value"),
        (identifier("referral", "ann"), "bad_value", "rule.deny.identifier.kind"),
        (identifier("card", "tok"), "bad_value", "rule.deny.identifier.kind"),
        (identifier("network", "office"), "bad_value", "rule.deny.identifier.value"),
        (identifier("network", "10.0.0.0/7"), "bad_value", "rule.deny.identifier.value"),
        (identifier("device", "4242424242424242"), "card_number", "rule.deny.identifier.value"),
        (deny(json!({"member": "a\u{0}b"})), "bad_value", "rule.deny.member"),
        (allow(None), "bad_value", "until"),
        (allow(Some("2020-01-01T00:00:00Z")), "bad_value", "until"),
        (allow(Some("2030-01-01T00:00:00Z")), "bad_value", "until"),
    ] {
        let (status, problem) = town.say("rule", &document).await;
        let found = (problem["code"].as_str(), problem["field"].as_str());
        assert_eq!((status, found), (422, (Some(code), Some(field))), "{document} {problem}");
        assert!(problem["detail"].as_str().unwrap().len() > 10 && !problem.to_string().contains("4242"), "{problem}");
    }
    let (status, problem) = town.say("rule", &velocity(json!({"at_least": 0, "within": {"days": 99}}))).await;
    assert_eq!((status, problem["errors"].as_array().map(Vec::len)), (422, Some(2)), "all at once: {problem}");
    let (status, problem) = town.say("rule", &json!({"rule": {"deny": {}}, "reason": "why"})).await;
    assert!(
        (400..423).contains(&status) && problem["field"].as_str().is_some_and(|field| field.starts_with("rule")),
        "{problem}"
    );
    assert_eq!(town.say("Rule!", &velocity(json!({}))).await.0, 422);
    // Amounts are added where there are some.
    assert_eq!(town.say("sums", &velocity(sum("refunds"))).await.0, 201);
    let path = "/v1/screening/rules/sums";
    let reply =
        town.service.call_with("PUT", path, &town.operator, &[("if-match", "\"7\"")], &allow(None).to_string()).await;
    assert!(matches!(reply.status, 412 | 422), "{}", reply.json());
    let (status, _) = town.post("/v1/screening/rules/none/state", json!({"state": "live", "reason": "why"})).await;
    assert_eq!(status, 404);
    town.service.stop().await;
}

/// What members did is counted as it comes: purchases, refunds, rewards and what they come to.
#[tokio::test]
async fn what_is_counted_is_what_happened_since_the_rule_was_made() {
    let town = Town::open(&[]).await;
    town.buy("honest-60", "before", "2026-11-21T09:00:00Z").await;
    let rule = |count: &str, at_least: i64| {
        json!({"rule": {"velocity": {"count": count, "per": "member", "within": {"days": 7}, "at_least": at_least}},
               "reason": "how many"})
    };
    let sum = json!({"rule": {"velocity": {"sum": {"of": "rewards", "currency": "USD"}, "per": "member",
                     "within": {"days": 7}, "at_least": 400}}, "reason": "how much"});
    assert_eq!(town.say("buys", &rule("purchases", 2)).await.0, 201);
    assert_eq!(town.say("earns", &sum).await.0, 201);
    assert_eq!(town.say("returns", &rule("refunds", 2)).await.0, 201);
    assert_eq!(town.say("cards", &rule("cards", 2)).await.0, 201);
    for (id, purchases) in [("honest-60", 1), ("honest-61", 2), ("honest-62", 2)] {
        for place in 0..purchases {
            town.buy(id, &format!("{id}-{place}"), &town.now()).await;
        }
    }
    for place in 0..2 {
        let (event, purchase) = (format!("back-{place}"), format!("honest-62-{place}"));
        let body = crate::world::event(&event, "refund", &purchase, "tok_honest-62", 4_000, &town.now(), "123456");
        assert_eq!(town.service.post("visa-eu", body).await.0, 200);
    }
    town.screened().await;
    for (rule, flagged) in [
        ("buys", &["honest-61", "honest-62"][..]),
        // What was taken back is no reward after all; it was flagged while it was one.
        ("earns", &["honest-61", "honest-62"]),
        ("returns", &["honest-62"]),
        ("cards", &[]),
    ] {
        let rule = town.rule(rule).await;
        let mut found: Vec<String> = serde_json::from_value(rule["flagged"]["newest"].clone()).unwrap();
        found.sort();
        assert_eq!(found, flagged, "{rule:#}");
    }
    town.audited_and_rebuilt().await.stop().await;
}
