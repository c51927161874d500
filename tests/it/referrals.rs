//! Referrals: what one member's state says is told to the other, in every order of arrival,
//! across crashes, refunds, lapses and seals. Asserted on what the states hold.

use crate::world::{self, Folder, Service};
use ringfence::again::Again;
use ringfence::audit::{AuditOptions, audit};
use ringfence::clock::Clock;
use ringfence::decide::{MemberState, Policy};
use ringfence::domain::member::{Standing, StandingOrigin, StandingStep};
use ringfence::domain::offer::{Activation, Condition, MemberTest, Reward, Trigger};
use ringfence::domain::purchase::{Occasion, Referral};
use ringfence::domain::{MemberId, Timestamp};
use ringfence::engine::Engine;
use ringfence::engine::acts::Registration;
use ringfence::pipeline::Source;
use ringfence::record::MemberInput;
use serde_json::json;
use std::sync::Arc;

fn id(text: &str) -> MemberId {
    MemberId::new(text).unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// One engine by hand: nothing is told unless somebody does the jobs.
struct Town {
    folder: Folder,
    clock: Clock,
    engine: Arc<Engine>,
    source: Source,
    again: Arc<Again>,
}

impl Town {
    async fn new() -> Self {
        let clock = Clock::manual(world::begin());
        let folder = Folder::new("referrals");
        let engine = world::engine(None, world::small_options(&folder.0), &clock);
        let town = Self { folder, clock, engine, source: world::source(), again: Arc::default() };
        town.engine.put_merchant(world::merchant("a", &["111"]), None).await.unwrap();
        let mut terms = world::terms("a");
        terms.trigger = Trigger::Referral { spend_at_least_minor: 2_000, referred: None };
        // Purchases give nothing by themselves here.
        terms.activation = Activation::Required;
        world::publish(&town.engine, "friend", terms).await;
        town
    }
    /// The process is gone and comes back; `state` is what is left besides the journal.
    fn again(mut self, stopped: bool, state: bool) -> Self {
        if stopped {
            self.engine.stop().unwrap();
        }
        let nothing = Folder::new("nothing");
        let options = world::small_options(&nothing.0);
        // The old one is let go first: it has the files open.
        self.engine = world::engine(None, options, &self.clock);
        if !state {
            std::fs::remove_dir_all(self.folder.0.join("state")).unwrap();
        }
        self.engine = world::engine(None, world::small_options(&self.folder.0), &self.clock);
        self.again = Arc::default();
        self
    }
    async fn join(&self, member: &str, referred_by: Option<&str>) {
        let said = Registration { referred_by: referred_by.map(id), ..Registration::default() };
        self.engine.register(&id(member), said, None).await.unwrap();
        if referred_by.is_some() {
            let linking = ringfence::engine::acts::Linking {
                source: ringfence::domain::SourceName::new("visa-eu").unwrap(),
                token: format!("tok_{member}"),
                from: Some(Timestamp::from_ms(0)),
                same_card_as: None,
                replaces: None,
            };
            self.engine.link_card(&id(member), linking).await.unwrap();
        }
    }
    async fn event(&self, member: &str, name: &str, kind: &str, purchase: &str, minor: i64, when: &str) {
        let body = world::event(name, kind, purchase, &format!("tok_{member}"), minor, when, "111");
        world::receive(&self.engine, &self.source, &body).await;
    }
    async fn step(&self, member: &str, input: MemberInput) {
        let mut turn = self.engine.turn(&id(member)).await.unwrap();
        turn.step(input, None).await.unwrap();
        turn.commit().await.unwrap();
    }
    async fn tell(&self) {
        self.again.go_on(&self.engine, |_| true).await.unwrap();
        assert!(self.engine.jobs().await.unwrap().is_empty());
    }
    async fn state(&self, member: &str) -> Arc<MemberState> {
        self.engine.load(&id(member)).await.unwrap().unwrap()
    }
    /// What a member holds of those they referred.
    async fn held(&self, member: &str) -> Vec<Referral> {
        let of = |occasion: &Option<Occasion>| match occasion {
            Some(Occasion::Referral(referral)) => Some(referral.clone()),
            _ => None,
        };
        self.state(member).await.purchases.iter().filter_map(|placed| of(&placed.purchase.occasion)).collect()
    }
    /// The purchases that qualify, by who was referred.
    async fn qualified(&self, member: &str) -> Vec<(String, Option<String>)> {
        let of = |held: Referral| (held.referred.to_string(), held.qualified.map(|q| q.purchase.id.to_string()));
        self.held(member).await.into_iter().map(of).collect()
    }
    /// Whether the referrer is trusted and barred, as the referred member knows it.
    async fn referrer(&self, member: &str) -> Vec<(bool, bool)> {
        self.state(member).await.head.referrer.iter().map(|told| (told.clear, told.barred)).collect()
    }
    /// Stops, and proves the books from the journal alone.
    fn proved(self) {
        self.engine.stop().unwrap();
        let report = audit(&[self.folder.0.join("journal")], &AuditOptions::new(Policy::default())).unwrap();
        assert!(report.is_clean(), "{report}");
    }
}

fn standing(standing: Standing, since: &str) -> MemberInput {
    let (since, set_at) = (at(since), at("2026-11-21T15:00:00Z"));
    MemberInput::StandingSet(StandingStep {
        merchant: None,
        standing,
        since,
        set_at,
        ask_back: false,
        until: None,
        origin: StandingOrigin::Said,
    })
}

const ONE: &str = "2026-11-21T13:00:00Z";
const TWO: &str = "2026-11-21T14:00:00Z";

#[tokio::test]
async fn inv_04_a_referral_is_the_same_in_every_order() {
    let mut told = Vec::new();
    // Where the referrer registers: before all, before the purchase, after it, after the refund.
    for place in 0..4 {
        let town = Town::new().await;
        for step in 0..4 {
            if step == place {
                town.join("ann", None).await;
                town.tell().await;
            }
            match step {
                0 => town.join("bob", Some("ann")).await,
                1 => {
                    town.event("bob", "e1", "clearing", "p1", 2_500, ONE).await;
                    town.event("bob", "e2", "clearing", "p2", 3_000, TWO).await;
                }
                2 => town.event("bob", "e3", "refund", "p1", 1_000, TWO).await,
                _ => {}
            }
            if place % 2 == 0 {
                town.tell().await;
            }
        }
        town.tell().await;
        let held = town.held("ann").await;
        assert_eq!(town.qualified("ann").await, [("bob".to_owned(), Some("p2".to_owned()))], "{place}");
        assert_eq!(town.referrer("bob").await, [(true, false)]);
        assert_eq!(held[0].referred_at, world::begin());
        told.push(Referral { version: 0, ..held[0].clone() });
        // Told again, nothing changes on either side.
        let versions = (town.state("ann").await.head.version, town.state("bob").await.head.version);
        town.engine.settle_referral(&id("ann"), &id("bob")).await.unwrap();
        town.engine.settle_referrals(&id("ann")).await.unwrap();
        assert_eq!(versions, (town.state("ann").await.head.version, town.state("bob").await.head.version));
        town.proved();
    }
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:?}");
}

#[tokio::test]
async fn the_next_purchase_qualifies_when_the_first_is_refunded_or_none() {
    let town = Town::new().await;
    town.join("ann", None).await;
    town.join("bob", Some("ann")).await;
    let bob = "bob".to_owned();
    for (event, kind, purchase, minor, when, qualifies) in [
        // Too small, then before the referral, then large enough.
        ("e1", "clearing", "p1", 1_999, ONE, None),
        ("e2", "clearing", "p0", 9_000, "2026-11-20T13:00:00Z", None),
        ("e3", "clearing", "p3", 2_000, TWO, Some("p3")),
        ("e4", "clearing", "p2", 5_000, "2026-11-21T13:30:00Z", Some("p2")),
        ("e5", "refund", "p2", 3_001, TWO, Some("p3")),
        ("e6", "chargeback", "p3", 1, TWO, None),
        ("e7", "chargeback_reversal", "p3", 1, TWO, Some("p3")),
    ] {
        town.event("bob", event, kind, purchase, minor, when).await;
        town.tell().await;
        let want = qualifies.map(str::to_owned);
        match town.qualified("ann").await.as_slice() {
            [] => assert_eq!(want, None, "{event}"),
            [one] => assert_eq!(*one, (bob.clone(), want), "{event}"),
            more => panic!("{more:?}"),
        }
    }
    town.proved();
}

#[tokio::test]
async fn inv_07_a_crash_between_the_purchase_and_the_telling_loses_nothing() {
    for (stopped, state) in [(true, true), (true, false), (false, true)] {
        let town = Town::new().await;
        town.join("ann", None).await;
        town.join("bob", Some("ann")).await;
        town.event("bob", "e1", "clearing", "p1", 2_500, ONE).await;
        assert!(town.held("ann").await.is_empty());
        let town = town.again(stopped, state);
        assert!(town.held("ann").await.is_empty());
        assert!(!town.engine.jobs().await.unwrap().is_empty(), "{stopped} {state}");
        town.tell().await;
        assert_eq!(town.qualified("ann").await, [("bob".to_owned(), Some("p1".to_owned()))]);
        assert_eq!(town.referrer("bob").await, [(true, false)]);
        let held = town.held("ann").await;
        // What was told stays told, whatever is replayed.
        let town = town.again(true, false);
        town.tell().await;
        assert_eq!(town.held("ann").await, held);
        town.proved();
    }
}

#[tokio::test]
async fn each_side_knows_how_far_the_other_is_trusted() {
    let town = Town::new().await;
    town.join("ann", None).await;
    town.join("bob", Some("ann")).await;
    town.event("bob", "e1", "clearing", "p1", 2_500, ONE).await;
    town.tell().await;
    let trusted = |held: &Referral| (held.clear, held.barred);
    assert_eq!(trusted(&town.held("ann").await[0]), (true, false));
    // Since after the purchase: it does not concern it.
    town.step("bob", standing(Standing::Barred, TWO)).await;
    town.tell().await;
    assert_eq!(trusted(&town.held("ann").await[0]), (true, false));
    town.step("bob", standing(Standing::Barred, ONE)).await;
    town.tell().await;
    assert_eq!(trusted(&town.held("ann").await[0]), (false, true));
    town.step("ann", standing(Standing::Held, ONE)).await;
    town.tell().await;
    assert_eq!(town.referrer("bob").await, [(false, false)]);
    town.proved();
}

#[tokio::test]
async fn a_lapse_is_told_though_it_changes_no_books() {
    let town = Town::new().await;
    town.join("ann", None).await;
    town.join("bob", Some("ann")).await;
    town.event("bob", "e1", "authorization", "p1", 2_500, ONE).await;
    town.tell().await;
    let held = town.held("ann").await;
    assert_eq!(held[0].qualified.as_ref().map(|q| q.cleared_at), Some(None));
    town.clock.set(at("2026-12-03T12:00:00Z"));
    town.engine.mark_day(town.clock.now()).await.unwrap();
    town.tell().await;
    assert_eq!(town.qualified("ann").await, [("bob".to_owned(), None)]);
    // The clearing comes after all.
    town.event("bob", "e2", "clearing", "p1", 2_500, ONE).await;
    town.tell().await;
    assert_eq!(town.qualified("ann").await, [("bob".to_owned(), Some("p1".to_owned()))]);
    assert!(town.held("ann").await[0].qualified.as_ref().unwrap().cleared_at.is_some());
    town.proved();
}

#[tokio::test]
async fn a_sealed_purchase_goes_on_to_qualify_and_is_not_told_anew() {
    let town = Town::new().await;
    town.join("ann", None).await;
    town.join("bob", Some("ann")).await;
    town.event("bob", "e1", "clearing", "p1", 2_500, ONE).await;
    town.tell().await;
    town.clock.set(at("2028-08-01T12:00:00Z"));
    town.engine.mark_day(town.clock.now()).await.unwrap();
    let bob = town.state("bob").await;
    assert!(bob.purchases.is_empty() && bob.head.qualified.len() == 1);
    town.event("bob", "e2", "clearing", "p2", 2_500, "2028-08-01T11:00:00Z").await;
    town.engine.settle_referrals(&id("ann")).await.unwrap();
    town.tell().await;
    assert!(town.held("ann").await.is_empty(), "it was held, and is sealed");
    town.proved();
}

/// What an offer asks, it asks of who refers.
#[tokio::test]
async fn the_referred_member_gets_theirs_whatever_is_asked_of_who_refers() {
    let service = Service::start(&[]).await;
    let engine = service.engine();
    engine.put_merchant(world::merchant("a", &["111"]), None).await.unwrap();
    let mut terms = world::terms("a").and(Condition::Member(MemberTest::Segments(vec!["vip".to_owned()])));
    terms.reward = Reward::fixed(500);
    terms.trigger = Trigger::Referral { spend_at_least_minor: 2_000, referred: Some(Reward::fixed(300)) };
    world::publish(engine, "friend", terms).await;
    for (who, said) in [
        ("ann", json!({"segments": ["vip"]})),
        ("bob", json!({"referred_by": "ann"})),
        ("cyd", json!({})),
        ("dan", json!({"referred_by": "cyd", "segments": ["vip"]})),
    ] {
        assert_eq!(service.call("PUT", &format!("/v1/members/{who}"), &said.to_string()).await.0, 201);
        service.call("PUT", &format!("/v1/members/{who}/cards/visa-eu/tok_{who}"), "").await;
    }
    service.clock.set(at("2026-11-21T15:00:00Z"));
    for who in ["bob", "dan"] {
        let body = world::event(who, "clearing", who, &format!("tok_{who}"), 2_500, "2026-11-21T14:00:00Z", "111");
        assert_eq!(service.post("visa-eu", body).await.0, 200);
    }
    service.doors.again.go_on(engine, |_| true).await.unwrap();
    for (purchase, due, conditions) in [
        ("visa-eu/bob", 300, 0),
        ("visa-eu/dan", 300, 0),
        ("referral/friend:bob", 500, 1),
        ("referral/friend:dan", 0, 1),
    ] {
        let (_, seen) = service.call("GET", &format!("/v1/purchases/{purchase}"), "").await;
        let line = &seen["offers"][0];
        assert_eq!(
            (&line["due_minor"], line["conditions"].as_array().unwrap().len()),
            (&json!(due), conditions),
            "{seen}"
        );
    }
    let (_, seen) = service.call("GET", "/v1/purchases/referral/friend:dan", "").await;
    assert_eq!(seen["offers"][0]["refusal"]["code"], "not_in_segment", "{seen}");
    let folder = service.stop().await;
    let report = audit(&[folder.0.join("journal")], &AuditOptions::new(Policy::default())).unwrap();
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn another_referrer_takes_over_and_an_unknown_one_counts_for_nothing() {
    let town = Town::new().await;
    town.join("ann", None).await;
    town.join("cyd", None).await;
    town.join("bob", Some("ann")).await;
    town.event("bob", "e1", "clearing", "p1", 2_500, ONE).await;
    town.tell().await;
    town.clock.set(at("2026-11-21T13:30:00Z"));
    town.join("bob", Some("cyd")).await;
    town.event("bob", "e2", "clearing", "p2", 2_500, TWO).await;
    town.tell().await;
    assert_eq!(town.qualified("ann").await, [("bob".to_owned(), None)]);
    assert_eq!(town.qualified("cyd").await, [("bob".to_owned(), Some("p2".to_owned()))]);
    town.join("bob", Some("nobody")).await;
    assert!(town.referrer("bob").await.is_empty());
    town.tell().await;
    assert!(town.engine.load(&id("nobody")).await.unwrap().is_none());
    assert_eq!(town.qualified("cyd").await, [("bob".to_owned(), None)]);
    town.proved();
}

#[tokio::test]
async fn other_terms_since_the_past_are_told() {
    let town = Town::new().await;
    town.join("ann", None).await;
    town.join("bob", Some("ann")).await;
    town.event("bob", "e1", "clearing", "p1", 2_500, ONE).await;
    town.tell().await;
    let mut terms = world::terms("a");
    terms.trigger = Trigger::Referral { spend_at_least_minor: 3_000, referred: None };
    terms.activation = Activation::Required;
    world::publish(&town.engine, "friend", terms).await;
    let (merchant, since) = (ringfence::domain::MerchantId::new("a").unwrap(), Timestamp::from_ms(0));
    town.engine.decide_again(&merchant, since).await.unwrap();
    town.tell().await;
    assert_eq!(town.qualified("ann").await, [("bob".to_owned(), None)]);
    town.proved();
}

#[tokio::test]
async fn inv_06_a_replay_rebuilds_the_same_states() {
    let town = Town::new().await;
    town.join("ann", None).await;
    town.join("bob", Some("ann")).await;
    town.event("bob", "e1", "clearing", "p1", 2_500, ONE).await;
    town.event("bob", "e2", "refund", "p1", 600, TWO).await;
    town.tell().await;
    town.step("ann", standing(Standing::Watched, ONE)).await;
    town.event("bob", "e3", "clearing", "p2", 2_500, TWO).await;
    town.tell().await;
    let before = [town.state("ann").await, town.state("bob").await];
    let town = town.again(true, false);
    assert_eq!([town.state("ann").await, town.state("bob").await], before);
    town.tell().await;
    assert_eq!([town.state("ann").await, town.state("bob").await], before);
    town.proved();
}

#[tokio::test]
async fn the_service_tells_by_itself_and_no_answer_waits() {
    let service = Service::start(&[]).await;
    let engine = service.engine();
    engine.put_merchant(world::merchant("a", &["111"]), None).await.unwrap();
    let mut terms = world::terms("a");
    terms.trigger = Trigger::Referral { spend_at_least_minor: 2_000, referred: None };
    world::publish(engine, "friend", terms).await;
    service.call("PUT", "/v1/members/ann", "{}").await;
    service.call("PUT", "/v1/members/bob", &json!({"referred_by": "ann"}).to_string()).await;
    service.call("PUT", "/v1/members/bob/cards/visa-eu/tok_bob", "").await;
    service.clock.set(at("2026-11-21T15:00:00Z"));
    let (status, _) = service.post("visa-eu", world::event("e1", "clearing", "p1", "tok_bob", 2_500, ONE, "111")).await;
    assert_eq!(status, 200);
    // Whatever is left is done by now, by the service or by this.
    service.doors.again.go_on(engine, |_| true).await.unwrap();
    let bob = engine.load(&id("bob")).await.unwrap().unwrap();
    assert_eq!(bob.head.referrer.len(), 1);
    let ann = engine.load(&id("ann")).await.unwrap().unwrap();
    assert_eq!(ann.purchases[0].purchase.key.to_string(), "referral/friend:bob");
    assert_eq!(service.call("GET", "/v1/jobs", "").await.1, json!({"jobs": []}));
    // The person goes, and a refund still reaches the referrer.
    assert_eq!(service.call("DELETE", "/v1/members/bob", "").await.0, 204);
    assert!(service.call("GET", "/v1/members/bob", "").await.1.get("referred_by").is_none());
    service.post("visa-eu", world::event("e2", "refund", "p1", "tok_bob", 2_500, TWO, "111")).await;
    service.doors.again.go_on(engine, |_| true).await.unwrap();
    let ann = engine.load(&id("ann")).await.unwrap().unwrap();
    let Some(Occasion::Referral(held)) = &ann.purchases[0].purchase.occasion else { panic!("{ann:?}") };
    assert_eq!(held.qualified, None);
    let folder = service.stop().await;
    let report = audit(&[folder.0.join("journal")], &AuditOptions::new(Policy::default())).unwrap();
    assert!(report.is_clean(), "{report}");
}
