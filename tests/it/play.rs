//! A programme of `config/programmes` played over the service: its own documents, members who
//! buy, and what they then have, in words that a story can be told in.

use crate::world::{self, BOOTSTRAP, Service};
use ringfence::audit::{AuditOptions, audit};
use ringfence::decide::Policy;
use ringfence::domain::member::{Standing, StandingOrigin, StandingStep};
use ringfence::domain::{MemberId, OfferId, Timestamp};
use ringfence::programmes;
use ringfence::record::MemberInput;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A shop of a programme that names none.
const MID: &str = "700100200300";
/// The shops of the coffee club and of the bakery.
pub const PARIS: &str = "100200300401";
pub const MILAN: &str = "100200300402";
pub const MARKET: &str = "200300400501";
pub const HARBOR: &str = "200300400502";
pub const HILLTOP: &str = "200300400503";
/// Since when a programme counts.
const SINCE: &str = "2026-11-01T00:00:00Z";

/// A programme in force, with the clock in hand.
pub struct Play {
    service: Service,
    currency: String,
    /// Where each purchase was made.
    shops: BTreeMap<String, String>,
    told: u32,
}

impl Play {
    /// Publishes a programme's documents as they are.
    pub async fn of(name: &str) -> Self {
        let service = Service::start(&[]).await;
        let (_, text) = programmes::FILES.iter().find(|(known, _)| *known == name).unwrap();
        let programme: Value = serde_json::from_str(text).unwrap();
        let offers = programme["offers"].as_object().unwrap();
        let first = offers.values().next().unwrap();
        let shop = json!({"id": "main", "mids": [{"mid": MID}]});
        let plain = json!({"name": name, "time_zone": "Etc/UTC", "locations": [shop]});
        let merchant = programme.get("merchant").unwrap_or(&plain);
        let path = format!("/v1/merchants/{}", first["merchant"].as_str().unwrap());
        let (status, answer) = service.call("PUT", &path, &merchant.to_string()).await;
        assert_eq!(status, 201, "{answer}");
        for (id, document) in offers {
            let (status, answer) = service.call("PUT", &format!("/v1/offers/{id}"), &document.to_string()).await;
            assert_eq!((status, answer.get("warnings")), (201, None), "{answer}");
            let since = json!({"effective_from": SINCE}).to_string();
            let (status, answer) = service.call("POST", &format!("/v1/offers/{id}/publish"), &since).await;
            assert_eq!((status, &answer["state"]), (200, &json!("published")), "{answer}");
        }
        let currency = first["currency"].as_str().unwrap().to_owned();
        Self { service, currency, shops: BTreeMap::new(), told: 0 }
    }

    /// Moves the clock to a day's noon or a minute, with the daily mark.
    pub async fn now(&self, at: &str) {
        let text = if at.len() == 10 { format!("{at}T12:00:00Z") } else { format!("{at}:00Z") };
        self.service.clock.set(Timestamp::parse(&text).unwrap());
        self.service.engine().mark_day(self.service.clock.now()).await.unwrap();
        self.told().await;
    }

    /// Lets both sides of every referral know what there is to know.
    async fn told(&self) {
        self.service.doors.again.go_on(self.service.engine(), |_| true).await.unwrap();
    }

    /// A person with a card, linked long ago.
    pub async fn joins(&self, who: &str, said: Value) {
        let (status, answer) = self.service.call("PUT", &format!("/v1/members/{who}"), &said.to_string()).await;
        assert!(status == 201 || status == 200, "{answer}");
        let card = format!("/v1/members/{who}/cards/visa-eu/tok_{who}");
        let from = json!({"from": "2026-08-01T00:00:00Z"}).to_string();
        let (status, answer) = self.service.call("PUT", &card, &from).await;
        assert!(status == 201 || status == 200, "{answer}");
    }

    /// One more offer of the programme's merchant: 1 percent where a condition holds.
    pub async fn asks(&self, offer: &str, when: Value) {
        let (_, list) = self.service.call("GET", "/v1/offers", "").await;
        let document = json!({"merchant": list["offers"][0]["merchant"], "title": offer, "currency": self.currency,
            "activation": "automatic", "reward": {"kind": "percent", "basis_points": 100}, "when": when});
        let (status, answer) = self.service.call("PUT", &format!("/v1/offers/{offer}"), &document.to_string()).await;
        assert_eq!(status, 201, "{answer}");
        let since = json!({"effective_from": SINCE}).to_string();
        assert_eq!(self.service.call("POST", &format!("/v1/offers/{offer}/publish"), &since).await.0, 200);
    }

    pub async fn opts_in(&self, who: &str, offer: &str) {
        let (status, answer) = self.service.call("PUT", &format!("/v1/members/{who}/activations/{offer}"), "").await;
        assert_eq!(status, 200, "{answer}");
    }

    /// Whether an offer keeps a member out to measure what it brings.
    pub fn kept_out(&self, who: &str, offer: &str, percent: u8) -> bool {
        let (who, offer) = (MemberId::new(who).unwrap(), OfferId::new(offer).unwrap());
        self.service.engine().policy.held_out(&who, &offer, percent)
    }

    /// How far a member is trusted, from a day on.
    pub async fn stands(&self, who: &str, standing: Standing, since: &str) {
        let since = Timestamp::parse(&format!("{since}T00:00:00Z")).unwrap();
        let set_at = self.service.clock.now();
        let step = StandingStep {
            merchant: None,
            standing,
            since,
            set_at,
            ask_back: true,
            until: None,
            origin: StandingOrigin::Said,
        };
        let mut turn = self.service.engine().turn(&MemberId::new(who).unwrap()).await.unwrap();
        turn.step(MemberInput::StandingSet(step), None).await.unwrap();
        turn.commit().await.unwrap();
        self.told().await;
    }

    /// A purchase, cleared at once, at the programme's only shop.
    pub async fn buys(&mut self, who: &str, purchase: &str, minor: i64) {
        self.buys_at(MID, who, purchase, minor).await;
    }
    pub async fn buys_at(&mut self, mid: &str, who: &str, purchase: &str, minor: i64) {
        let now = self.service.clock.now().to_string();
        self.event("clearing", mid, who, purchase, minor, &now).await;
    }
    pub async fn authorizes(&mut self, who: &str, purchase: &str, minor: i64) {
        let now = self.service.clock.now().to_string();
        self.event("authorization", MID, who, purchase, minor, &now).await;
    }
    /// A purchase that is told of late.
    pub async fn bought(&mut self, who: &str, purchase: &str, minor: i64, day: &str) {
        self.event("clearing", MID, who, purchase, minor, &format!("{day}T12:00:00Z")).await;
    }
    pub async fn refunds(&mut self, who: &str, purchase: &str, minor: i64) {
        let (mid, now) = (self.shops[purchase].clone(), self.service.clock.now().to_string());
        self.event("refund", &mid, who, purchase, minor, &now).await;
    }
    async fn event(&mut self, kind: &str, mid: &str, who: &str, purchase: &str, minor: i64, at: &str) {
        self.told += 1;
        self.shops.insert(purchase.to_owned(), mid.to_owned());
        let body = world::event(&format!("e{}", self.told), kind, purchase, &format!("tok_{who}"), minor, at, mid);
        let body = body.replace("\"USD\"", &format!("\"{}\"", self.currency));
        let (status, answer) = self.service.post("visa-eu", body).await;
        assert_eq!(status, 200, "{answer}");
        self.told().await;
    }

    /// Something that is no purchase.
    pub async fn signals(&self, who: &str, kind: &str, id: &str) {
        let body = json!({"kind": kind, "id": id}).to_string();
        let (status, answer) = self.service.call("POST", &format!("/v1/members/{who}/signals"), &body).await;
        assert_eq!((status, &answer["asked_for"]), (201, &json!(true)), "{answer}");
    }

    /// What a member has, unit by unit: `beans available 20, paid 100; free-coffee available 1`.
    pub async fn has(&self, who: &str) -> String {
        let (status, answer) = self.service.call("GET", &format!("/v1/members/{who}/balance"), "").await;
        assert_eq!(status, 200, "{answer}");
        let mut units = Vec::new();
        for balance in answer["balances"].as_array().unwrap() {
            let parts = ["pending", "posted", "held", "available", "paid", "owed"];
            let parts = parts.map(|part| (part, balance[&format!("{part}_minor")].as_i64().unwrap()));
            let parts = parts.iter().filter(|(_, minor)| *minor != 0).map(|(part, minor)| format!("{part} {minor}"));
            let parts = parts.collect::<Vec<_>>().join(", ");
            if !parts.is_empty() {
                units.push(format!("{} {parts}", unit(balance)));
            }
        }
        if units.is_empty() { "nothing".to_owned() } else { units.join("; ") }
    }

    /// What an offer gives for a purchase, or why not: `500 posted`, `spend_too_low: needs …`.
    pub async fn gives(&self, offer: &str, purchase: &str) -> String {
        let line = self.line(offer, purchase).await;
        assert_eq!(line["granted_minor"], line["due_minor"], "{line}");
        match line.get("refusal") {
            Some(why) => format!("{}: {}", why["code"].as_str().unwrap(), why["detail"].as_str().unwrap()),
            None => format!("{} {}", line["due_minor"], line["state"].as_str().unwrap()),
        }
    }

    /// An offer's line of an explained purchase.
    pub async fn line(&self, offer: &str, purchase: &str) -> Value {
        let answer = self.entry("visa-eu", purchase).await;
        let lines = answer["offers"].as_array().unwrap();
        lines.iter().find(|line| line["offer"] == offer).unwrap_or_else(|| panic!("{answer}")).clone()
    }

    /// As [`Self::gives`], for what is no purchase: a `signal`, a `referral`.
    pub async fn gives_for(&self, what: &str, offer: &str, id: &str) -> String {
        let entry = self.entry(what, id).await;
        let line = entry["offers"].as_array().unwrap().iter().find(|line| line["offer"] == offer);
        let line = line.unwrap_or_else(|| panic!("{entry}"));
        match line.get("refusal") {
            Some(why) => format!("{}: {}", why["code"].as_str().unwrap(), why["detail"].as_str().unwrap()),
            None => format!("{} {}", line["due_minor"], line["state"].as_str().unwrap()),
        }
    }

    /// The newest entry of a kind in a member's statement.
    pub async fn last_entry(&self, who: &str, source: &str) -> String {
        let (_, page) = self.service.call("GET", &format!("/v1/members/{who}/statement"), "").await;
        let purchases = page["transfers"].as_array().unwrap().iter().filter_map(|transfer| transfer.get("purchase"));
        let found = purchases.filter(|of| of["source"] == source).find_map(|of| of["id"].as_str());
        found.unwrap_or_else(|| panic!("{page}")).to_owned()
    }

    /// An explained purchase, or what is none, as the door tells it.
    pub async fn entry(&self, source: &str, id: &str) -> Value {
        let (status, answer) = self.service.call("GET", &format!("/v1/purchases/{source}/{id}"), "").await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// What a member may earn now, best first.
    pub async fn prospects(&self, who: &str) -> Vec<Value> {
        let (status, answer) = self.service.call("GET", &format!("/v1/members/{who}/offers"), "").await;
        assert_eq!((status, &answer["more"]), (200, &json!(false)), "{answer}");
        answer["offers"].as_array().unwrap().clone()
    }

    /// Pays out, spends points or uses a perk: `100 beans for 1 free-coffee`, or why not.
    pub async fn wants(&mut self, who: &str, what: Value) -> String {
        self.told += 1;
        let (path, key) = (format!("/v1/members/{who}/redemptions"), format!("want-{}", self.told));
        let headers = [("idempotency-key", key.as_str())];
        let answer = self.service.call_with("POST", &path, BOOTSTRAP, &headers, &what.to_string()).await;
        let (status, answer) = (answer.status, answer.json());
        if status != 201 {
            return format!("{}: {}", answer["code"].as_str().unwrap(), answer["detail"].as_str().unwrap());
        }
        let amount = |of: &Value| format!("{} {}", of["amount_minor"], unit(of));
        match answer.get("received") {
            Some(received) => format!("{} for {}", amount(&answer), amount(received)),
            None => amount(&answer),
        }
    }

    /// The accounts of a kind of owner (`causes`, `merchants`), or all (`accounts`), that hold something.
    pub async fn books(&self, of: &str) -> Vec<String> {
        let (_, books) = self.service.call("GET", "/v1/ledger/trial-balance", "").await;
        assert_eq!(books["balanced"], true, "{books}");
        let sums = books[of].as_array().unwrap().iter().filter(|sum| sum["minor"] != 0);
        let said = sums.map(|sum| {
            let owner = sum.get("cause").map_or(String::new(), |cause| format!("{} ", cause.as_str().unwrap()));
            format!("{owner}{} {} {}", sum["account"].as_str().unwrap_or("all"), sum["minor"], unit(sum))
        });
        said.collect()
    }

    /// Stops, and proves the books from the journal alone.
    pub async fn ends(self) {
        assert_eq!(self.books("sums").await, [""; 0]);
        let folder = self.service.stop().await;
        let report = audit(&[folder.0.join("journal")], &AuditOptions::new(Policy::default())).unwrap();
        assert!(report.is_clean(), "{report}");
    }
}

fn unit(of: &Value) -> &str {
    ["currency", "unit", "perk"].iter().find_map(|name| of.get(name)?.as_str()).unwrap()
}
