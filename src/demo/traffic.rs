//! A day of the town's card traffic, from the seed alone: who buys what, how the card
//! networks tell it, and everything that goes wrong on the way. Pure: no clock, no engine.

use super::day::{Bought, Day, Expect, Message, Proof, Step, Tells, stands};
use super::dialect::{Card, Event, Says};
use super::town::{BANK, CITIES, Person, SOURCES, Shop, Town, Trade};
use crate::domain::time::DAY_MS;
use crate::domain::{EventKind, MerchantId, Timestamp};
use jiff::civil;
use jiff::tz::TimeZone;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Lanes for purchases whose order matters to somebody else: budgets.
const LANES_OF_SHOPS: usize = 1_000_000;

/// How many are refunded after their reward was paid.
const REGRETS: usize = 3;
/// The number of a purchase that is no part of any day.
const ONE_MORE: u64 = 1_000_000_000;

/// Writes a day. Linear in `webhooks`.
pub fn generate(town: &Town, rng: &mut ChaCha8Rng, day: u32, webhooks: usize) -> Day {
    let start = Timestamp::start_of_day(day);
    let date = start.local(&TimeZone::UTC).date();
    let zones = CITIES.map(|city| TimeZone::get(city.zone).unwrap_or(TimeZone::UTC));
    let day = Day { start, messages: Vec::with_capacity(webhooks + 64), bought: Vec::new() };
    let corner = MerchantId::new("corner-shop").expect("made here to obey the rules");
    let mut writer = Writer { town, rng, zones, date, day, number: 0, visits: BTreeMap::new(), corner };
    writer.oddities();
    while writer.day.messages.len() < webhooks {
        let who = writer.rng.random_range(0..town.people.len());
        match writer.rng.random_range(0..100) {
            0..9 => writer.elsewhere(who),
            9..14 => writer.stranger(),
            14..18 => writer.nothing(who, false),
            18..21 => writer.nothing(who, true),
            _ => writer.purchase(who),
        }
    }
    let mut day = writer.day;
    day.put_in_order();
    day
}

/// Writes one day.
pub(super) struct Writer<'a> {
    town: &'a Town,
    pub(super) rng: &'a mut ChaCha8Rng,
    zones: [TimeZone; 4],
    date: civil::Date,
    pub(super) day: Day,
    number: u64,
    /// Where cards paid.
    visits: BTreeMap<(&'a str, usize), Visit>,
    /// A merchant that is none of ours.
    corner: MerchantId,
}

/// What is known of a card at a shop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    /// It paid there.
    Paid,
    /// It paid there once and got money back that names no purchase: which one is meant is
    /// plain only as long as it does not pay there again.
    Once,
}

impl<'a> Writer<'a> {
    fn number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// The instant of a local minute of the day; beyond 1440 it is the next morning.
    pub(super) fn at(&mut self, city: usize, minute: i64) -> Timestamp {
        let seconds = self.rng.random_range(0..60);
        Timestamp::from_local(self.date.at(0, 0, 0, 0), &self.zones[city]).plus_ms((minute * 60 + seconds) * 1000)
    }

    fn push(&mut self, message: Message) {
        // Everything is told before the second midnight.
        let last = self.day.start.plus_ms(2 * DAY_MS - 600_000);
        self.day.messages.push(Message { deliver: message.deliver.min(last), ..message });
    }
    fn purchase(&mut self, who: usize) {
        let town = self.town;
        let person = &town.people[who];
        let trade = match self.rng.random_range(0..100) {
            0..35 => Trade::Coffee,
            35..54 => Trade::Lunch,
            54..73 => Trade::Grocery,
            73..83 => Trade::Fuel,
            83..88 => Trade::Online,
            88..97 => Trade::Dinner,
            _ => Trade::Hotel,
        };
        let place = town.shop_of(person.city, trade).or_else(|| town.shop_of(person.city, Trade::Coffee));
        let Some(place) = place else { return };
        let shop = &town.shops[place];
        let which = self.rng.random_range(0..person.cards.len());
        let card = &person.cards[which];
        let twin = person.twin.as_ref().filter(|_| which == 0);
        let cards = || [Some(card), twin].into_iter().flatten();
        let visits: Vec<_> = cards().map(|card| self.visits.get(&(card.token.as_str(), place)).copied()).collect();
        if visits.contains(&Some(Visit::Once)) {
            return;
        }
        let says = cards().map(|card| SOURCES[card.source].dialect.says).reduce(Says::and);
        let Some(says) = says else { return };
        let mut steps = self.course(shop.trade, shop.city, says);
        let first = visits.iter().all(Option::is_none);
        let names = |named: bool| named || first;
        let may = Says {
            names_refund: names(says.names_refund),
            names_part_refund: names(says.names_part_refund),
            disputes: says.disputes && twin.is_none(),
            ..says
        };
        self.afterwards(&mut steps, shop.city, may);
        let refunded = steps.iter().any(|step| step.kind == EventKind::Refund);
        let visit = if refunded && !(says.names_refund && says.names_part_refund) { Visit::Once } else { Visit::Paid };
        self.visits.extend(cards().map(|card| ((card.token.as_str(), place), visit)));
        let late = (steps.len() > 1 && self.rng.random_ratio(1, 20)).then(|| self.rng.random_range(0..steps.len() - 1));
        // Of two sources that know a card, the first by name credits.
        let by = cards().map(|card| SOURCES[card.source].name).min();
        let credited = |source: usize| by == Some(SOURCES[source].name);
        for card in cards() {
            let (number, id) = self.tell(who, place, card, &steps, late);
            let plain = town.plain_offer(place).map(|offer| {
                let due = if credited(card.source) { town.plain_reward(offer, person, stands(&steps)) } else { 0 };
                (offer, due)
            });
            let bought =
                Bought { person: who, shop: place, source: card.source, number, id, steps: steps.clone(), plain };
            self.day.bought.push(bought);
        }
    }

    /// Posts a purchase's steps as the card's source tells them; returns its number and its
    /// id there.
    fn tell(&mut self, who: usize, place: usize, card: &Card, steps: &[Step], late: Option<usize>) -> (u64, String) {
        let shop = &self.town.shops[place];
        let budgeted = shop.offers.iter().any(|offer| self.town.offers[*offer].terms.budget_minor.is_some());
        let lane = if budgeted { LANES_OF_SHOPS + place } else { who };
        let number = self.number();
        let dialect = SOURCES[card.source].dialect;
        let purchase = dialect.purchase(&Event { number, at: 0, card, shop, steps });
        let mut delivered: Vec<Timestamp> =
            steps.iter().map(|step| step.at.plus_ms(self.rng.random_range(1..20) * 1000)).collect();
        if let Some(late) = late {
            delivered[late] = delivered[late + 1].plus_ms(60_000);
        }
        for (at, deliver) in delivered.into_iter().enumerate() {
            let event = Event { number, at, card, shop, steps };
            let tells = Some(Tells { purchase: number, from: if dialect.retells { 0 } else { at }, to: at });
            for (nth, body) in dialect.bodies(&event).into_iter().enumerate() {
                let message = Message {
                    lane,
                    source: card.source,
                    deliver,
                    id: if nth == 0 { format!("msg_{number}_{at}") } else { format!("msg_{number}_{at}_{nth}") },
                    body,
                    proof: Proof::Right,
                    copies: 1,
                    expect: Expect::Ours,
                    tells,
                };
                self.deliver(message, &event);
            }
        }
        (number, purchase)
    }

    /// Delivers once, or more often, as networks do.
    fn deliver(&mut self, message: Message, event: &Event<'_>) {
        let later = self.rng.random_range(1..14_400) * 1000;
        match self.rng.random_range(0..1000) {
            0..20 => {
                let copies = self.rng.random_range(2..5);
                self.push(Message { copies, ..message });
            }
            20..45 => {
                let again =
                    Message { deliver: message.deliver.plus_ms(later), expect: Expect::Duplicate, ..message.clone() };
                self.push(message);
                self.push(again);
            }
            45 if event.at == 0 && event.steps[0].kind == EventKind::Authorization => {
                let step = event.steps[0];
                let steps = [Step { minor: step.minor.map(|minor| minor + 1), ..step }];
                let bodies = SOURCES[event.card.source].dialect.bodies(&Event { steps: &steps, ..*event });
                let other = Message {
                    body: bodies.into_iter().next().unwrap_or_default(),
                    deliver: message.deliver.plus_ms(later),
                    expect: Expect::Conflict,
                    ..message.clone()
                };
                self.push(message);
                self.push(other);
            }
            _ => self.push(message),
        }
    }

    /// A single event at a shop that never becomes a purchase of ours.
    fn single(&mut self, card: &Card, shop: &Shop, declined: bool, minor: i64, expect: Expect) {
        let number = self.number();
        let minute = self.rng.random_range(420..1320);
        let at = self.at(shop.city, minute);
        let begun = Step { kind: EventKind::Authorization, minor: Some(minor), at, sequence: None };
        let posted = Step { kind: EventKind::Clearing, at: at.plus_ms(36_000_000), ..begun };
        let steps = [begun, posted];
        let dialect = SOURCES[card.source].dialect;
        let body_of = |at| dialect.bodies(&Event { number, at, card, shop, steps: &steps }).into_iter().next();
        let body =
            if declined { dialect.declined(&Event { number, at: 0, card, shop, steps: &steps }) } else { body_of(0) };
        // A network that keeps declined cards to itself posts nothing.
        let Some(body) = body else { return };
        let message = Message {
            lane: usize::try_from(number).unwrap_or(0),
            source: card.source,
            deliver: at.plus_ms(2000),
            id: format!("msg_{number}_0"),
            body,
            proof: Proof::Right,
            copies: 1,
            expect,
            tells: None,
        };
        let clears = matches!(expect, Expect::NoOffer | Expect::UnknownCard);
        self.push(message.clone());
        if let Some(body) = body_of(1).filter(|_| clears) {
            let id = format!("msg_{number}_1");
            self.push(Message { id, body, deliver: posted.at.plus_ms(2000), ..message });
        }
    }

    fn elsewhere(&mut self, who: usize) {
        let town = self.town;
        let person = &town.people[who];
        let near = &town.shops[town.shop_of(person.city, Trade::Coffee).unwrap_or(0)];
        let number = self.rng.random_range(0..40);
        let mid = format!("{:015}", 771_200_300 + number);
        let descriptor = format!("CORNER SHOP {number}");
        let mut shop = Shop { authorization_mid: mid.clone(), clearing_mid: mid, descriptor, ..near.clone() };
        // Some networks say a shop's name or their group of it, not the text of a statement.
        shop.merchant.name = format!("Corner Shop {number}");
        shop.merchant.id = self.corner.clone();
        let minor = self.rng.random_range(200..9000);
        self.single(&person.cards[0], &shop, false, minor, Expect::NoOffer);
    }

    fn stranger(&mut self) {
        let shop = &self.town.shops[self.rng.random_range(0..self.town.shops.len())];
        let source = self.rng.random_range(0..SOURCES.len());
        let card = Card { source, token: SOURCES[source].dialect.token(&format!("visitor{}", self.number)) };
        let minor = self.rng.random_range(200..9000);
        self.single(&card, shop, false, minor, Expect::UnknownCard);
    }

    /// A declined card, or a verification of nothing.
    fn nothing(&mut self, who: usize, declined: bool) {
        let town = self.town;
        let person = &town.people[who];
        let shop = &town.shops[town.shop_of(person.city, Trade::Grocery).unwrap_or(0)];
        let minor = if declined { self.rng.random_range(200..9000) } else { 0 };
        self.single(&person.cards[0], shop, declined, minor, Expect::Ignored);
    }

    /// What must be turned away, spread over the day.
    fn oddities(&mut self) {
        // Some sign no time: an old delivery of theirs proves itself, and is stopped as a duplicate.
        let timed: Vec<usize> = (0..SOURCES.len())
            .filter(|source| SOURCES[*source].dialect.auth.iter().any(|scheme| scheme.signs_time()))
            .collect();
        for count in 0..36_usize {
            let source = if (16..20).contains(&count) { timed[count % timed.len()] } else { count % SOURCES.len() };
            let town = self.town;
            let shop = &town.shops[self.rng.random_range(0..town.shops.len())];
            let number = self.number();
            let minute = self.rng.random_range(480..1200);
            let at = self.at(shop.city, minute);
            let step = Step { kind: EventKind::Authorization, minor: Some(1500), at, sequence: None };
            let (proof, expect) = match count {
                0..16 => (Proof::WrongSecret, Expect::NotProven),
                16..20 => (Proof::Old, Expect::NotProven),
                20..28 => (Proof::Right, Expect::Unreadable),
                _ => (Proof::Right, Expect::Kept),
            };
            let dialect = SOURCES[source].dialect;
            let token = if expect == Expect::Kept {
                "4242424242424242".to_owned()
            } else {
                dialect.token(&format!("odd{count}"))
            };
            let card = Card { source, token };
            let bodies = dialect.bodies(&Event { number, at: 0, card: &card, shop, steps: &[step] });
            let mut body = bodies.into_iter().next().unwrap_or_default();
            if expect == Expect::Unreadable {
                body.truncate(body.len() / 2);
            }
            let id = format!("msg_{number}_0");
            let lane = usize::try_from(number).unwrap_or(0);
            self.push(Message { lane, source, deliver: at, id, body, proof, copies: 1, expect, tells: None });
        }
    }
}
/// Some of the people who were paid bring their coffee back: refunds of rewards that are
/// spent already. Adds them to the day and returns the webhooks that tell it.
pub fn regrets(town: &Town, day: &mut Day, paid: &[usize], now: Timestamp) -> Vec<Message> {
    let kinds = [EventKind::Authorization, EventKind::Clearing];
    let mut messages: Vec<Message> = Vec::new();
    for bought in &mut day.bought {
        let person = &town.people[bought.person];
        let shop = &town.shops[bought.shop];
        let dialect = SOURCES[bought.source].dialect;
        let fits = paid.contains(&bought.person)
            && dialect.says.names_refund
            && shop.trade == Trade::Coffee
            && person.twin.is_none()
            && bought.steps.iter().map(|step| step.kind).eq(kinds)
            && messages.iter().all(|message| message.lane != bought.person);
        if !fits {
            continue;
        }
        let cards = person.cards.iter().filter(|card| card.source == bought.source);
        // With one card at the source there is no doubt which one paid.
        let [card] = cards.collect::<Vec<_>>()[..] else { continue };
        let step = Step { kind: EventKind::Refund, at: now.plus_ms(-300_000), ..bought.steps[1] };
        bought.steps.push(step);
        let event = Event { number: bought.number, at: 2, card, shop, steps: &bought.steps };
        let Some(body) = dialect.bodies(&event).into_iter().next() else { continue };
        messages.push(Message {
            lane: bought.person,
            source: bought.source,
            deliver: now,
            id: format!("msg_{}_2", bought.number),
            body,
            proof: Proof::Right,
            copies: 1,
            expect: Expect::Ours,
            tells: None,
        });
        if messages.len() == REGRETS {
            break;
        }
    }
    day.messages.extend(messages.iter().cloned());
    messages
}

/// The webhook of somebody who buys a coffee now, for a person to post: who, its source and
/// its body.
#[must_use]
pub fn one_more(town: &Town, now: Timestamp) -> Option<(&Person, usize, String)> {
    let of_bank = |person: &&Person| person.twin.is_none() && person.cards[0].source == BANK;
    let person = town.people.iter().find(of_bank).or(town.people.first())?;
    let card = &person.cards[0];
    let shop = &town.shops[town.shop_of(person.city, Trade::Coffee)?];
    let step = Step { kind: EventKind::Authorization, minor: Some(450), at: now, sequence: None };
    let event = Event { number: ONE_MORE, at: 0, card, shop, steps: &[step] };
    let body = SOURCES[card.source].dialect.bodies(&event).into_iter().next()?;
    Some((person, card.source, body))
}
