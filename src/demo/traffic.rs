//! A day of the town's card traffic, from the seed alone: who buys what, how the card
//! networks tell it, and everything that goes wrong on the way. Pure: no clock, no engine.

use super::day::{Bought, Day, Expect, Message, Proof, Step, stands};
use super::dialect::{self, Card, Event};
use super::town::{CITIES, Person, Shop, Town, Trade};
use crate::domain::time::DAY_MS;
use crate::domain::{EventKind, Timestamp};
use jiff::civil;
use jiff::tz::TimeZone;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

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
    let mut writer = Writer { town, rng, zones, date, day, number: 0 };
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
    // Stable: a duplicate stays behind what it repeats.
    day.messages.sort_by_key(|message| message.deliver);
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
        let mut steps = self.course(shop.trade, shop.city);
        self.afterwards(&mut steps, shop.city, card.source == 0 && twin.is_none());
        let late = (steps.len() > 1 && self.rng.random_ratio(1, 20)).then(|| self.rng.random_range(0..steps.len() - 1));
        // Of two sources that know a card, the first by name credits.
        let credited = |source: usize| twin.is_none() || source == 0;
        for card in [Some(card), twin].into_iter().flatten() {
            let id = self.tell(who, place, card, &steps, late);
            let plain = town.plain_offer(place).map(|offer| {
                let due = if credited(card.source) { town.plain_reward(offer, person, stands(&steps)) } else { 0 };
                (offer, due)
            });
            let bought = Bought { person: who, shop: place, source: card.source, id, steps: steps.clone(), plain };
            self.day.bought.push(bought);
        }
    }

    /// Posts a purchase's steps as the card's source tells them; returns its id there.
    fn tell(&mut self, who: usize, place: usize, card: &Card, steps: &[Step], late: Option<usize>) -> String {
        let shop = &self.town.shops[place];
        let budgeted = shop.offers.iter().any(|offer| self.town.offers[*offer].terms.budget_minor.is_some());
        let lane = if budgeted { LANES_OF_SHOPS + place } else { who };
        let number = self.number();
        let purchase = dialect::purchase_id(card.source, number);
        let mut delivered: Vec<Timestamp> =
            steps.iter().map(|step| step.at.plus_ms(self.rng.random_range(1..20) * 1000)).collect();
        if let Some(late) = late {
            delivered[late] = delivered[late + 1].plus_ms(60_000);
        }
        let mut held = 0;
        for (at, step) in steps.iter().enumerate() {
            let event = Event { number, at, purchase: &purchase, card, shop, step, held };
            let body = dialect::body(&event);
            match step.kind {
                EventKind::Authorization | EventKind::Increment => held += step.minor.unwrap_or(0),
                EventKind::Advice => held = step.minor.unwrap_or(0),
                _ => {}
            }
            let message = Message {
                lane,
                source: card.source,
                deliver: delivered[at],
                id: format!("msg_{number}_{at}"),
                body,
                proof: Proof::Right,
                copies: 1,
                expect: Expect::Ours,
            };
            self.deliver(message, &event);
        }
        purchase
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
            45 if event.step.kind == EventKind::Authorization => {
                let step = Step { minor: event.step.minor.map(|minor| minor + 1), ..*event.step };
                let other = Message {
                    body: dialect::body(&Event { step: &step, ..*event }),
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
        let purchase = dialect::purchase_id(card.source, number);
        let step = Step { kind: EventKind::Authorization, minor: Some(minor), at, sequence: None };
        let event = Event { number, at: 0, purchase: &purchase, card, shop, step: &step, held: 0 };
        let body = if declined { dialect::declined(&event) } else { dialect::body(&event) };
        let message = Message {
            lane: usize::try_from(number).unwrap_or(0),
            source: card.source,
            deliver: at.plus_ms(2000),
            id: format!("msg_{number}_0"),
            body,
            proof: Proof::Right,
            copies: 1,
            expect,
        };
        let clears = matches!(expect, Expect::NoOffer | Expect::UnknownCard);
        self.push(message.clone());
        if clears {
            let step = Step { kind: EventKind::Clearing, at: at.plus_ms(36_000_000), ..step };
            let event = Event { at: 1, step: &step, ..event };
            let (id, body) = (format!("msg_{number}_1"), dialect::body(&event));
            self.push(Message { id, body, deliver: step.at.plus_ms(2000), ..message });
        }
    }

    fn elsewhere(&mut self, who: usize) {
        let town = self.town;
        let person = &town.people[who];
        let near = &town.shops[town.shop_of(person.city, Trade::Coffee).unwrap_or(0)];
        let number = self.rng.random_range(0..40);
        let mid = format!("{:015}", 771_200_300 + number);
        let descriptor = format!("CORNER SHOP {number}");
        let shop = Shop { authorization_mid: mid.clone(), clearing_mid: mid, descriptor, ..near.clone() };
        let minor = self.rng.random_range(200..9000);
        self.single(&person.cards[0], &shop, false, minor, Expect::NoOffer);
    }

    fn stranger(&mut self) {
        let shop = &self.town.shops[self.rng.random_range(0..self.town.shops.len())];
        let source = self.rng.random_range(0..2);
        let card = Card { source, token: format!("{}_visitor{}", ["tok", "ic"][source], self.number) };
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
        for count in 0..24_u64 {
            let source = usize::try_from(count % 2).unwrap_or(0);
            let town = self.town;
            let shop = &town.shops[self.rng.random_range(0..town.shops.len())];
            let number = self.number();
            let minute = self.rng.random_range(480..1200);
            let at = self.at(shop.city, minute);
            let step = Step { kind: EventKind::Authorization, minor: Some(1500), at, sequence: None };
            let (proof, expect) = match count {
                0..12 => (Proof::WrongSecret, Expect::NotProven),
                12..16 => (Proof::Old, Expect::NotProven),
                16..20 => (Proof::Right, Expect::Unreadable),
                _ => (Proof::Right, Expect::Kept),
            };
            let token = if expect == Expect::Kept { "4242424242424242".to_owned() } else { format!("tok_odd{count}") };
            let card = Card { source, token };
            let purchase = dialect::purchase_id(source, number);
            let event = Event { number, at: 0, purchase: &purchase, card: &card, shop, step: &step, held: 0 };
            let mut body = dialect::body(&event);
            if expect == Expect::Unreadable {
                body.truncate(body.len() / 2);
            }
            let id = format!("msg_{number}_0");
            let lane = usize::try_from(number).unwrap_or(0);
            self.push(Message { lane, source, deliver: at, id, body, proof, copies: 1, expect });
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
        let fits = paid.contains(&bought.person)
            && shop.trade == Trade::Coffee
            && person.twin.is_none()
            && bought.steps.iter().map(|step| step.kind).eq(kinds)
            && messages.iter().all(|message| message.lane != bought.person);
        let number = bought.id.split_once('_').and_then(|(_, number)| number.parse().ok());
        let (true, Some(number)) = (fits, number) else { continue };
        let cards = person.cards.iter().filter(|card| card.source == bought.source);
        // With one card at the source there is no doubt which one paid.
        let [card] = cards.collect::<Vec<_>>()[..] else { continue };
        let step = Step { kind: EventKind::Refund, at: now.plus_ms(-300_000), ..bought.steps[1] };
        let event = Event { number, at: 2, purchase: &bought.id, card, shop, step: &step, held: 0 };
        messages.push(Message {
            lane: bought.person,
            source: bought.source,
            deliver: now,
            id: format!("msg_{number}_2"),
            body: dialect::body(&event),
            proof: Proof::Right,
            copies: 1,
            expect: Expect::Ours,
        });
        bought.steps.push(step);
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
    let of_bank = |person: &&Person| person.twin.is_none() && person.cards[0].source == 0;
    let person = town.people.iter().find(of_bank).or(town.people.first())?;
    let card = &person.cards[0];
    let shop = &town.shops[town.shop_of(person.city, Trade::Coffee)?];
    let step = Step { kind: EventKind::Authorization, minor: Some(450), at: now, sequence: None };
    let purchase = dialect::purchase_id(card.source, ONE_MORE);
    let event = Event { number: ONE_MORE, at: 0, purchase: &purchase, card, shop, step: &step, held: 0 };
    Some((person, card.source, dialect::body(&event)))
}
