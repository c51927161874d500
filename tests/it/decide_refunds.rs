//! Credits that name no purchase, over worlds of several purchases: what each comes off, by
//! the rule read a second time from the facts alone, and the rewards that follow from it.
//! Also what the engine answers, shows and keeps of them.
//!
//! The second reading shares no code with `decide::assign`: it looks through all purchases
//! for each credit and sums what is left of them anew each time. As `decide_order`:
//! `RINGFENCE_CASES` says how many worlds, `PROPTEST_RNG_SEED` repeats a run.

use crate::desk::{Desk, Shelf, card, link, purchase, usd};
use crate::said::{self, shop};
use crate::world::{self, Service};
use proptest::prelude::*;
use ringfence::audit::{AuditOptions, audit};
use ringfence::clock::Clock;
use ringfence::decide::Policy;
use ringfence::domain::merchant::Evidence;
use ringfence::domain::purchase::HeldEvent;
use ringfence::domain::{Channel, Currency, EventKey, EventKind, MemberId, Money, OfferId, Timestamp};
use ringfence::engine::EngineOptions;
use ringfence::record::EventInput;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const DAY: i64 = 86_400_000;

fn base() -> Timestamp {
    Timestamp::parse("2026-01-10T00:00:00Z").unwrap()
}

/// What is bought: one clearing, or an authorization that lapses after ten days.
#[derive(Debug, Clone)]
struct Bought {
    id: String,
    /// Quarters of a day.
    at: i64,
    minor: i64,
    card: u8,
    merchant: u8,
    euro: bool,
    cleared: bool,
    day_only: bool,
    /// A refund that names it.
    refunded: i64,
}

/// A credit that names none.
#[derive(Debug, Clone)]
struct Credit {
    id: String,
    at: i64,
    kind: EventKind,
    minor: i64,
    card: u8,
    merchant: u8,
    euro: bool,
    day_only: bool,
    /// A reversal that names it.
    taken_back: i64,
}

#[derive(Debug, Clone)]
struct World {
    bought: Vec<Bought>,
    credits: Vec<Credit>,
    /// Quarters of a day.
    mark: i64,
    order: u64,
}

/// Cards 0 and 1 are two; 2 is 0 as another source knows it, credited by `net` throughout.
const CARDS: [(&str, &str); 3] = [("net", "ann"), ("net", "other"), ("zed", "ann-2")];
const MERCHANTS: [&str; 2] = ["york", "auckland"];

/// Mostly close together, sometimes around the end of the window.
fn when() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 0_i64..40, 1 => 700_i64..760]
}

fn minor() -> impl Strategy<Value = i64> {
    prop_oneof![6 => (1_i64..=6).prop_map(|n| n * 1000), 1 => 0_i64..=3000]
}

fn place() -> impl Strategy<Value = (u8, u8, bool, bool)> {
    let card = prop_oneof![8 => Just(0_u8), 1 => Just(1_u8), 2 => Just(2_u8)];
    let merchant = prop_oneof![6 => Just(0_u8), 1 => Just(1_u8)];
    (card, merchant, prop::bool::weighted(0.05), prop::bool::weighted(0.15))
}

fn bought() -> impl Strategy<Value = Bought> {
    let refunded = prop_oneof![4 => Just(0_i64), 1 => minor()];
    (when(), minor(), place(), prop::bool::weighted(0.8), refunded).prop_map(
        |(at, minor, (card, merchant, euro, day_only), cleared, refunded)| Bought {
            id: String::new(),
            at,
            minor: minor.max(1),
            card,
            merchant,
            euro,
            cleared,
            day_only,
            refunded,
        },
    )
}

fn credit() -> impl Strategy<Value = Credit> {
    use EventKind::{Chargeback, ChargebackReversal, ClearingReversal, Refund, RefundReversal};
    let kind = prop_oneof![
        6 => Just(Refund),
        3 => Just(RefundReversal),
        2 => Just(Chargeback),
        1 => Just(ChargebackReversal),
        1 => Just(ClearingReversal),
    ];
    let taken_back = prop_oneof![5 => Just(0_i64), 1 => minor()];
    (when(), kind, minor(), place(), taken_back).prop_map(
        |(at, kind, minor, (card, merchant, euro, day_only), taken_back)| Credit {
            id: String::new(),
            at,
            kind,
            minor,
            card,
            merchant,
            euro,
            day_only,
            taken_back,
        },
    )
}

fn worlds() -> impl Strategy<Value = World> {
    let all = (
        prop::collection::vec(bought(), 2..8),
        prop::collection::vec(credit(), 2..8),
        prop_oneof![Just(0_i64), 30_i64..100, Just(800)],
        any::<u64>(),
    );
    all.prop_map(|(mut bought, mut credits, mark, order)| {
        for (n, bought) in bought.iter_mut().enumerate() {
            bought.id = format!("p{n}");
        }
        for (n, credit) in credits.iter_mut().enumerate() {
            credit.id = format!("c{n}");
        }
        World { bought, credits, mark, order }
    })
}

fn at(quarter: i64) -> Timestamp {
    base().plus_ms(quarter * DAY / 4)
}

/// First and last day that an instant may mean.
fn days(quarter: i64, day_only: bool, merchant: u8) -> (i64, i64) {
    let zone = jiff::tz::TimeZone::get(said::zone_of(MERCHANTS[usize::from(merchant)])).unwrap();
    let noon = |date: jiff::civil::Date| {
        date.at(12, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_millisecond() / DAY
    };
    let local = noon(at(quarter).local(&zone).date());
    let utc = at(quarter).as_ms() / DAY;
    if day_only { (local.min(utc), local.max(utc)) } else { (local, local) }
}

impl World {
    /// Every event with its purchase.
    fn events(&self) -> Vec<EventInput> {
        let mut events = Vec::new();
        for b in &self.bought {
            let kind = if b.cleared { EventKind::Clearing } else { EventKind::Authorization };
            events.push(event(
                &format!("{}-e", b.id),
                &b.id,
                kind,
                b.minor,
                (b.at, b.day_only),
                (b.card, b.merchant, b.euro),
            ));
            if b.refunded > 0 {
                let id = format!("{}-n", b.id);
                let told =
                    event(&id, &b.id, EventKind::Refund, b.refunded, (b.at + 1, false), (b.card, b.merchant, b.euro));
                events.push(told);
            }
        }
        for c in &self.credits {
            events.push(event(&c.id, &c.id, c.kind, c.minor, (c.at, c.day_only), (c.card, c.merchant, c.euro)));
            let reversal = match c.kind {
                EventKind::Refund => EventKind::RefundReversal,
                EventKind::Chargeback => EventKind::ChargebackReversal,
                _ => continue,
            };
            if c.taken_back > 0 {
                let id = format!("{}-n", c.id);
                let told = event(&id, &c.id, reversal, c.taken_back, (c.at + 1, false), (c.card, c.merchant, c.euro));
                events.push(told);
            }
        }
        events
    }

    fn desk(&self) -> Desk {
        let mut shelf = Shelf::default();
        for merchant in MERCHANTS {
            shelf.publish(merchant, said::terms(&format!("10% merchant {merchant}")).unwrap());
        }
        let mut desk = Desk::empty(shelf, Policy::default(), "ann");
        for (n, (source, token)) in CARDS.iter().enumerate() {
            let group = if n == 1 { 1 } else { 0 };
            desk.link(link(source, card(token), Timestamp::default(), None, group));
        }
        desk
    }

    /// What stands of a purchase by its own events.
    fn own(&self, b: &Bought) -> i64 {
        let lapsed = !b.cleared && at(b.at).plus_days(10) <= at(self.mark).max(Timestamp::default());
        if lapsed && self.mark > 0 { 0 } else { (b.minor - b.refunded).max(0) }
    }

    /// The rule, read slowly: which purchase each credit comes off, and how much.
    fn assigned(&self) -> BTreeMap<String, (String, i64)> {
        let mut left: BTreeMap<&str, i64> =
            self.credits.iter().map(|c| (c.id.as_str(), self.left_by_name(c))).collect();
        let alike =
            |a: &Credit, card: u8, merchant: u8, euro: bool| a.card == card && a.merchant == merchant && a.euro == euro;
        let not_later = |a: (i64, bool), b: (i64, bool), merchant: u8| {
            if a.1 || b.1 { days(a.0, a.1, merchant).0 <= days(b.0, b.1, merchant).1 } else { a.0 <= b.0 }
        };
        let mut ordered: Vec<&Credit> = self.credits.iter().collect();
        ordered.sort_by_key(|c| (c.at, c.kind, c.id.clone()));
        for reversal in &ordered {
            let of = match reversal.kind {
                EventKind::RefundReversal => EventKind::Refund,
                EventKind::ChargebackReversal => EventKind::Chargeback,
                _ => continue,
            };
            let mut meant = ordered.iter().filter(|c| {
                c.kind == of
                    && alike(c, reversal.card, reversal.merchant, reversal.euro)
                    && left[c.id.as_str()] == reversal.minor
                    && reversal.minor > 0
                    && not_later((c.at, c.day_only), (reversal.at, reversal.day_only), c.merchant)
            });
            if let Some(meant) = meant.next_back() {
                left.insert(&meant.id, 0);
            }
        }
        let mut found: BTreeMap<String, (String, i64)> = BTreeMap::new();
        let mut purchases: Vec<&Bought> = self.bought.iter().collect();
        purchases.sort_by_key(|b| (b.at, b.id.clone()));
        let takes = [EventKind::Refund, EventKind::Chargeback, EventKind::ClearingReversal];
        for c in ordered.iter().filter(|c| takes.contains(&c.kind) && left[c.id.as_str()] > 0) {
            let remaining = |b: &Bought| {
                self.own(b) - found.values().filter(|(to, _)| *to == b.id).map(|(_, minor)| minor).sum::<i64>()
            };
            let within = |b: &Bought| {
                if b.day_only || c.day_only {
                    days(c.at, c.day_only, c.merchant).0 - days(b.at, b.day_only, b.merchant).1 <= 180
                } else {
                    c.at - b.at <= 180 * 4
                }
            };
            // What the other source tells is beside: card 2 meets what card 2 bought alone.
            let candidates: Vec<&&Bought> = purchases
                .iter()
                .filter(|b| alike(c, b.card, b.merchant, b.euro) && remaining(b) > 0)
                .filter(|b| not_later((b.at, b.day_only), (c.at, c.day_only), c.merchant) && within(b))
                .collect();
            let equal = candidates.iter().rfind(|b| remaining(b) == c.minor);
            let covers = candidates.iter().rfind(|b| remaining(b) >= c.minor);
            if let Some(to) = equal.or(covers) {
                let to = to.id.clone();
                found.insert(c.id.clone(), (to, left[c.id.as_str()]));
            }
        }
        found
    }

    fn left_by_name(&self, c: &Credit) -> i64 {
        let takes_back = matches!(c.kind, EventKind::Refund | EventKind::Chargeback);
        (c.minor - if takes_back { c.taken_back } else { 0 }).max(0)
    }
}

fn event(
    id: &str,
    of: &str,
    kind: EventKind,
    minor: i64,
    (quarter, day_only): (i64, bool),
    (by, merchant, euro): (u8, u8, bool),
) -> EventInput {
    let (source, token) = CARDS[usize::from(by)];
    let currency = if euro { Currency::parse("EUR").unwrap() } else { usd() };
    let event = HeldEvent {
        key: EventKey::new(id).unwrap(),
        kind,
        card: card(token),
        amount: Some(Money::new(minor, currency)),
        occurred_at: at(quarter),
        time_known: !day_only,
        posted_at: at(quarter),
        mcc: None,
        channel: Channel::Unknown,
        sequence: None,
        matched: None,
        content: 0,
        answer: Vec::new(),
    };
    let name = MERCHANTS[usize::from(merchant)];
    let matched = Some(shop(name, said::zone_of(name), Evidence::Mid));
    EventInput { purchase: purchase(source, of), event, matched }
}

fn shuffled<T>(mut items: Vec<T>, mut seed: u64) -> Vec<T> {
    for place in (1..items.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(place, usize::try_from(seed >> 33).unwrap() % (place + 1));
    }
    items
}

proptest! {
    #![proptest_config(crate::decide_order::config())]

    /// The rule read twice agrees, and rewards are those of what it leaves, whatever the
    /// order of arrival and wherever in it the mark comes.
    #[test]
    fn inv_04_credits_without_a_name_come_off_as_the_rule_says(world in worlds()) {
        let expected = world.assigned();
        let mut desk = world.desk();
        let events = shuffled(world.events(), world.order);
        let marked = usize::try_from(world.order % 7).unwrap().min(events.len());
        for (n, told) in events.into_iter().enumerate() {
            if n == marked && world.mark > 0 {
                desk.mark(at(world.mark));
            }
            prop_assert!(desk.event(told).is_some());
            desk.audit();
        }
        if world.mark > 0 {
            desk.mark(at(world.mark));
        }
        let joined = desk.joined().into_iter().map(|(credit, to)| (credit.to_string(), to.id.to_string()));
        let joined: BTreeMap<String, String> = joined.collect();
        let named = expected.iter().map(|(credit, (to, _))| (credit.clone(), to.clone())).collect();
        prop_assert_eq!(joined, named);
        for b in &world.bought {
            let off: i64 = expected.values().filter(|(to, _)| *to == b.id).map(|(_, minor)| minor).sum();
            let stands = world.own(b) - off;
            prop_assert!(stands >= 0);
            let (source, _) = CARDS[usize::from(b.card)];
            let counts = b.card != 2 && !b.euro;
            let placed = desk.member.find(&purchase(source, &b.id)).unwrap();
            let offer = OfferId::new(MERCHANTS[usize::from(b.merchant)]).unwrap();
            let granted = desk.member.purchases[placed].purchase.grant(&offer).map_or(0, |grant| grant.amount_minor);
            prop_assert_eq!(granted, if counts { stands / 10 } else { 0 }, "{}", &b.id);
        }
        for c in &world.credits {
            let (source, _) = CARDS[usize::from(c.card)];
            let placed = desk.member.find(&purchase(source, &c.id)).unwrap();
            prop_assert!(desk.member.purchases[placed].purchase.grants.iter().all(|grant| grant.amount_minor == 0));
        }
        // Nor does deciding once more change anything.
        prop_assert!(desk.decide_all().changes.is_empty());
    }
}

/// The property proves nothing about worlds in which no credit finds anything.
#[test]
fn drawn_worlds_of_refunds_are_not_idle() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut some, mut several, mut partly, mut beside) = (0, 0, 0, 0);
    for _ in 0..500 {
        let world = worlds().new_tree(&mut runner).unwrap().current();
        let found = world.assigned();
        some += u32::from(!found.is_empty());
        several += u32::from(found.len() > 1);
        let amount = |id: &str| world.credits.iter().find(|c| c.id == id).unwrap().minor;
        partly += u32::from(found.iter().any(|(id, (_, minor))| *minor < amount(id)));
        beside += u32::from(world.credits.iter().any(|c| c.card == 2 && found.contains_key(&c.id)));
    }
    assert!(some > 200 && several > 50 && partly > 10 && beside > 5, "{some} {several} {partly} {beside}");
}

/// A body that names no purchase.
fn unnamed(id: &str, kind: &str, minor: i64, at: &str) -> String {
    world::event(id, kind, "none", "tok_ann", minor, at, "123456").replace(r#""purchase_id":"none","#, "")
}

fn named(id: &str, kind: &str, purchase: &str, minor: i64, at: &str) -> String {
    world::event(id, kind, purchase, "tok_ann", minor, at, "123456")
}

async fn town(service: &Service) {
    let engine = service.engine();
    engine.put_merchant(world::merchant("shop", &["123456"]), None).await.unwrap();
    world::publish(engine, "five", world::terms("shop")).await;
    world::member(engine, "ann", "tok_ann").await;
}

/// Outcome, and per reward what is due and by how much that changed.
fn told(answer: &Value) -> (String, Vec<(i64, i64)>) {
    let rewards = answer["rewards"].as_array().cloned().unwrap_or_default();
    let number = |reward: &Value, name: &str| reward[name].as_i64().unwrap_or(i64::MIN);
    let each = rewards.iter().map(|reward| (number(reward, "due_minor"), number(reward, "change_minor")));
    (answer["outcome"].as_str().unwrap_or("?").to_owned(), each.collect())
}

#[tokio::test]
async fn a_refund_without_a_name_answers_with_what_it_takes_and_is_shown_on_both_sides() {
    let service = Service::start(&[]).await;
    town(&service).await;
    let post = async |body: String| {
        let (status, answer) = service.post("visa-eu", body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    };
    let show = async |id: &str| service.call("GET", &format!("/v1/purchases/visa-eu/{id}"), "").await.1;
    post(named("a", "clearing", "p1", 4000, "2026-11-20T11:00:00Z")).await;
    post(named("b", "clearing", "p2", 6000, "2026-11-20T12:00:00Z")).await;
    let refund = unnamed("r1", "refund", 4000, "2026-11-20T13:00:00Z");
    let answer = post(refund.clone()).await;
    assert_eq!(told(&answer), ("clawed_back".to_owned(), vec![(0, -200)]), "{answer}");
    assert_eq!(answer["purchase"], "r1");
    assert_eq!(answer["refusals"][0]["code"], "nothing_stands");
    let again = post(refund).await;
    assert_eq!(told(&again), ("duplicate".to_owned(), vec![(0, -200)]), "{again}");
    assert_eq!(again["rewards"][0]["currency"], "USD");

    let p1 = show("p1").await;
    assert_eq!(p1["worth"]["minor"], 0, "{p1}");
    assert_eq!(p1["joined"][0]["purchase"], json!({"source": "visa-eu", "id": "r1"}));
    assert_eq!((&p1["joined"][0]["takes_minor"], &p1["joined"][0]["event"]["type"]), (&json!(4000), &json!("refund")));
    assert_eq!(p1.get("assigned"), None);
    let r1 = show("r1").await;
    assert_eq!(r1["assigned"][0]["purchase"], json!({"source": "visa-eu", "id": "p1"}), "{r1}");
    assert_eq!((&r1["assigned"][0]["state"], &r1["assigned"][0]["takes_minor"]), (&json!("joined"), &json!(4000)));
    let p2 = show("p2").await;
    assert_eq!((&p2["worth"]["minor"], p2.get("joined"), p2.get("assigned")), (&json!(6000), None, None));

    // An earlier refund takes the purchase and moves the other: what changed is answered.
    let answer = post(unnamed("r0", "refund", 4000, "2026-11-20T12:30:00Z")).await;
    assert_eq!(told(&answer), ("clawed_back".to_owned(), vec![(100, -200)]), "{answer}");
    assert_eq!(show("r1").await["assigned"][0]["purchase"]["id"], "p2");
    // Nothing fits: no effect.
    let answer = post(unnamed("r2", "refund", 4000, "2026-11-20T14:00:00Z")).await;
    assert_eq!(told(&answer), ("no_reward".to_owned(), Vec::new()), "{answer}");
    assert_eq!(show("r2").await["assigned"][0]["state"], "waits");
    // Taken back: by the network's word of the refund, and by a reversal that names none.
    let answer = post(named("v1", "refund_reversal", "r1", 4000, "2026-11-20T15:00:00Z")).await;
    assert_eq!(show("r1").await["assigned"][0]["state"], "taken_back");
    // The one that waited takes its place, so no reward moved.
    assert_eq!(told(&answer), ("no_reward".to_owned(), Vec::new()), "{answer}");
    let answer = post(unnamed("v2", "refund_reversal", 4000, "2026-11-20T16:00:00Z")).await;
    assert_eq!(told(&answer), ("adjusted".to_owned(), vec![(300, 200)]), "{answer}");
    let v2 = show("v2").await;
    assert_eq!(
        (&v2["assigned"][0]["state"], &v2["assigned"][0]["purchase"]["id"]),
        (&json!("takes_back"), &json!("r2"))
    );
    service.stop().await;
}

/// Sealed together: neither gives back what it took, nor comes off another, and `audit`
/// agrees before and after.
#[tokio::test]
async fn a_purchase_is_sealed_with_what_comes_off_it() {
    let folder = world::Folder::new("sealed-refunds");
    let clock = Clock::manual(Timestamp::parse("2026-03-01T12:00:00Z").unwrap());
    let options = EngineOptions { retention_days: 200, ..world::small_options(&folder.0) };
    let source = world::source();
    let engine = world::engine(None, options, &clock);
    engine.put_merchant(world::merchant("shop", &["123456"]), None).await.unwrap();
    world::publish(&engine, "five", world::terms("shop")).await;
    world::member(&engine, "ann", "tok_ann").await;
    let ann = MemberId::new("ann").unwrap();
    let send = async |body: String| {
        let received = world::receive(&engine, &source, &body).await;
        assert!(received.results[0].is_ok(), "{received:?}");
    };
    send(named("a", "clearing", "p1", 4000, "2026-03-01T10:00:00Z")).await;
    clock.set(Timestamp::parse("2026-06-01T12:00:00Z").unwrap());
    engine.mark_day(clock.now()).await.unwrap();
    send(named("b", "clearing", "p2", 9000, "2026-06-01T10:00:00Z")).await;
    // Off the older, long after it was bought; and one that nothing covers.
    send(unnamed("r1", "refund", 4000, "2026-06-01T11:00:00Z")).await;
    send(unnamed("r2", "refund", 9900, "2026-06-01T11:30:00Z")).await;
    let state = async || engine.load(&ann).await.unwrap().unwrap();
    let available = async || state().await.head.balances[0].1;
    assert_eq!((available().await.available_minor, available().await.posted_minor), (0, 450));
    let left = async || state().await.purchases.iter().map(|p| p.purchase.key.id.to_string()).collect::<Vec<_>>();
    // The refund is younger than its purchase, and goes with it.
    clock.set(Timestamp::parse("2026-09-20T12:00:00Z").unwrap());
    engine.mark_day(clock.now()).await.unwrap();
    assert_eq!(left().await, ["p2", "r2"]);
    assert_eq!(available().await.available_minor, 450);
    let total = state().await.head.sealed[0].clone();
    assert_eq!((total.purchases, total.worth_minor, total.available_minor), (0, 0, 0), "nothing of it stood");
    // Another refund finds what is there, and a redelivery is known.
    send(unnamed("r1", "refund", 4000, "2026-06-01T11:00:00Z")).await;
    assert_eq!(available().await.available_minor, 450);
    send(unnamed("r3", "refund", 4000, "2026-09-20T11:00:00Z")).await;
    assert_eq!(available().await.available_minor, 250);
    engine.stop().unwrap();
    let options = AuditOptions { retention_days: 200, ..AuditOptions::new(Policy::default()) };
    let report = audit(&[folder.0.join("journal")], &options).unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.totals.purchases_sealed, 2);
}
