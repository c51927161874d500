//! One purchase told by every network in its own words, over HTTP with its own proof, ends
//! in the same books; and no order or repetition of what a network sends changes them. What
//! is posted is worded by the demo's side, which shares nothing with what reads it.

use crate::world::{self, Folder, Service};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use ringfence::config::Settings;
use ringfence::demo::books;
use ringfence::demo::day::Step;
use ringfence::demo::dialect::{Card, DIALECTS, Event, Says};
use ringfence::demo::stage::{self, Secrets, Signers};
use ringfence::demo::town::{SOURCES, Shop, Trade};
use ringfence::domain::{Currency, EventKind, MemberId, OfferId, PurchaseKey, Sequence, SourceName, Timestamp};
use ringfence::engine::acts::{Linking, Registration};

const MIDS: [&str; 2] = ["000445566001", "000446466001"];

/// A service with a source for each format, a shop, and an offer of 5 %.
struct Town {
    service: Service,
    settings: Settings,
    signers: Vec<Signers>,
    shop: Shop,
}

/// What a person has of a purchase: what stands of it, what it earned, and the balance.
#[derive(Debug, PartialEq, Eq)]
struct Has {
    worth_minor: i64,
    granted_minor: i64,
    pending_minor: i64,
    posted_minor: i64,
}

/// A purchase of a member, told by one source.
struct Purchase {
    member: MemberId,
    card: Card,
    number: u64,
    steps: Vec<Step>,
}

impl Town {
    async fn start() -> Self {
        let folder = Folder::new("dialects");
        let secrets = Secrets::draw().unwrap();
        let settings = stage::settings(&folder.0, &secrets).unwrap();
        let service = Service::start_as(folder, &settings).await;
        let merchant = world::merchant("shop", &MIDS);
        service.engine().put_merchant(merchant.clone(), None).await.unwrap();
        world::publish(service.engine(), "five", world::terms("shop")).await;
        let shop = Shop {
            merchant,
            trade: Trade::Online,
            city: 0,
            currency: Currency::parse("USD").unwrap(),
            authorization_mid: MIDS[0].to_owned(),
            clearing_mid: MIDS[1].to_owned(),
            mcc: "5691",
            descriptor: "SHOP PORTLAND".to_owned(),
            offers: Vec::new(),
        };
        Self { service, settings, signers: secrets.signers().unwrap(), shop }
    }

    /// A new member with a card of this source, and what it bought.
    async fn buys(&self, source: usize, name: &str, number: u64, steps: Vec<Step>) -> Purchase {
        let engine = self.service.engine();
        let member = MemberId::new(format!("{name}-{source}")).unwrap();
        let card = Card { source, token: SOURCES[source].dialect.token(name) };
        engine.register(&member, Registration::default(), None).await.unwrap();
        let linking = Linking {
            source: SourceName::new(SOURCES[source].name).unwrap(),
            token: card.token.clone(),
            from: Some(Timestamp::from_ms(0)),
            same_card_as: None,
            replaces: None,
        };
        engine.link_card(&member, linking).await.unwrap();
        Purchase { member, card, number, steps }
    }

    fn event<'a>(&'a self, purchase: &'a Purchase, at: usize) -> Event<'a> {
        let Purchase { card, number, steps, .. } = purchase;
        Event { number: *number, at, card, shop: &self.shop, steps }
    }

    /// What its source posts for one step.
    fn bodies(&self, purchase: &Purchase, at: usize) -> Vec<String> {
        SOURCES[purchase.card.source].dialect.bodies(&self.event(purchase, at))
    }

    async fn post(&self, source: usize, body: &str) {
        let mut headers = Vec::new();
        for signer in &self.signers[source].right {
            let proof = signer.sign("msg_test", self.service.clock.now(), body.as_bytes()).unwrap();
            headers.extend(proof.into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
        let path = format!("/v1/webhooks/{}", SOURCES[source].name);
        let answer = self.service.send("POST", &path, &headers, body.as_bytes().to_vec()).await;
        assert_eq!(answer.status, 200, "{body}: {}", String::from_utf8_lossy(&answer.body));
    }

    async fn has(&self, purchase: &Purchase) -> Has {
        let engine = self.service.engine();
        let state = engine.load(&purchase.member).await.unwrap().unwrap();
        let source = &SOURCES[purchase.card.source];
        let id = source.dialect.purchase(&self.event(purchase, 0));
        let key = PurchaseKey { source: SourceName::new(source.name).unwrap(), id: id.parse().unwrap() };
        let explained = engine.explain(&state, &key).unwrap_or_else(|| panic!("{key:?} is not in the books"));
        let placed = &state.purchases[state.find(&key).unwrap()].purchase;
        let granted = placed.grant(&OfferId::new("five").unwrap()).map_or(0, |grant| grant.amount_minor);
        let balance = state.head.balances.first().map(|(_, balance)| *balance).unwrap_or_default();
        Has {
            worth_minor: explained.worth.minor,
            granted_minor: granted,
            pending_minor: balance.pending_minor,
            posted_minor: balance.posted_minor,
        }
    }

    async fn audit(&self) {
        let proof = books::audit(&self.settings).await.unwrap();
        assert!(proof.holds, "{proof:?}");
    }
}

/// A life as far as it can be said, with what must stand after each step; `None` where that
/// depends on what the network has no words for.
fn life(says: Says) -> Vec<(Step, Option<i64>)> {
    use EventKind::{Advice, Authorization, Clearing, Increment, Refund, Reversal};
    let begun = Timestamp::parse("2026-11-21T09:00:00Z").unwrap();
    let of_two = |number| Some(Sequence { number, count: Some(2) });
    let mut steps = Vec::new();
    let mut say = |kind, minor, minutes: i64, sequence, stands| {
        steps.push((Step { kind, minor: Some(minor), at: begun.plus_ms(minutes * 60_000), sequence }, stands));
    };
    say(Authorization, 4000, 0, None, Some(4000));
    if says.increment {
        say(Increment, 700, 20, None, Some(4700));
    }
    if says.advice {
        say(Advice, 5000, 30, None, Some(5000));
    }
    if says.reversal {
        say(Reversal, 500, 40, None, says.advice.then_some(4500).or(Some(3500)));
    }
    if says.clearings {
        say(Clearing, 2500, 60, of_two(1), None);
        say(Clearing, 2000, 90, of_two(2), Some(4500));
    } else {
        say(Clearing, 4500, 60, None, Some(4500));
    }
    say(Refund, 1000, 120, None, Some(3500));
    say(Refund, 3500, 150, None, Some(0));
    steps
}

#[tokio::test]
async fn one_life_told_by_every_network_ends_in_the_same_books() {
    let town = Town::start().await;
    for (source, dialect) in DIALECTS.iter().enumerate() {
        let told = life(dialect.says);
        let steps = told.iter().map(|(step, _)| *step).collect();
        let purchase = town.buys(source, "life", 41, steps).await;
        for (at, (step, stands)) in told.iter().enumerate() {
            for body in town.bodies(&purchase, at) {
                town.post(source, &body).await;
            }
            let has = town.has(&purchase).await;
            let what = format!("{} after {} at {at}", dialect.format, step.kind.as_str());
            if let Some(stands) = stands {
                assert_eq!((has.worth_minor, has.granted_minor), (*stands, stands / 20), "{what}");
            }
            assert_eq!(has.pending_minor + has.posted_minor, has.granted_minor, "{what}");
        }
    }
    town.audit().await;
    town.service.stop().await;
}

/// A refund of all is named where a network names any: no likeness is asked for.
#[tokio::test]
async fn a_whole_refund_takes_all_back_however_it_is_told() {
    let town = Town::start().await;
    for (source, dialect) in DIALECTS.iter().enumerate() {
        let parts = life(Says { clearings: false, ..dialect.says });
        let clearing = parts.iter().position(|(step, _)| step.kind == EventKind::Clearing).unwrap();
        let mut steps: Vec<Step> = parts[..=clearing].iter().map(|(step, _)| *step).collect();
        steps.push(Step {
            kind: EventKind::Refund,
            minor: Some(4500),
            at: steps[clearing].at.plus_ms(60_000),
            sequence: None,
        });
        let purchase = town.buys(source, "whole", 42, steps).await;
        for at in 0..purchase.steps.len() {
            for body in town.bodies(&purchase, at) {
                town.post(source, &body).await;
            }
        }
        let nothing = Has { worth_minor: 0, granted_minor: 0, pending_minor: 0, posted_minor: 0 };
        assert_eq!(town.has(&purchase).await, nothing, "{}", dialect.format);
    }
    town.audit().await;
    town.service.stop().await;
}

#[tokio::test]
async fn any_order_and_any_repetition_end_in_the_same_books() {
    const SEEDS: u8 = 5;
    let town = Town::start().await;
    for (source, dialect) in DIALECTS.iter().enumerate() {
        // Up to the first refund, so that something stands.
        let mut steps: Vec<Step> = life(dialect.says).into_iter().map(|(step, _)| step).collect();
        steps.pop();
        for seed in 0..SEEDS {
            let name = format!("order{}", char::from(b'a' + seed));
            let purchase = town.buys(source, &name, 100 + u64::from(seed), steps.clone()).await;
            let bodies: Vec<String> = (0..steps.len()).flat_map(|at| town.bodies(&purchase, at)).collect();
            let mut posted = [bodies.clone(), bodies].concat();
            posted.shuffle(&mut ChaCha8Rng::seed_from_u64(u64::from(seed)));
            for body in &posted {
                town.post(source, body).await;
            }
            let want = Has { worth_minor: 3500, granted_minor: 175, pending_minor: 0, posted_minor: 175 };
            assert_eq!(town.has(&purchase).await, want, "{} with seed {seed}", dialect.format);
        }
    }
    town.audit().await;
    town.service.stop().await;
}
