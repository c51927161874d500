//! A day of the town's card traffic, from the seed alone: who buys what, how the card
//! networks tell it, and everything that goes wrong on the way. Each message carries what
//! the service must answer, and each simple purchase what it must earn, worked out here by
//! plain arithmetic and not by the engine.

use super::dialect::{self, Card, Event};
use super::town::{CITIES, Person, Shop, Town, Trade};
use crate::domain::time::DAY_MS;
use crate::domain::{EventKind, Sequence, Timestamp};
use jiff::civil;
use jiff::tz::TimeZone;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// What the service must make of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Expect {
    /// Recorded and decided: credited, adjusted, clawed back or no reward.
    Ours,
    /// Recognised as seen before.
    Duplicate,
    /// A shop without offers.
    NoOffer,
    /// A card nobody linked.
    UnknownCard,
    /// Declined, or a verification.
    Ignored,
    /// An id seen with other content.
    Conflict,
    /// Readable and impossible: on the dead-letter shelf.
    Kept,
    /// No JSON at all.
    Unreadable,
    /// A wrong signature or an old one.
    NotProven,
}

/// How a message is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// As its source does.
    Right,
    /// With a secret of its own.
    WrongSecret,
    /// An hour ago.
    Old,
}

/// One webhook to post.
#[derive(Debug, Clone)]
pub struct Message {
    /// Messages of one lane are posted one after another.
    pub lane: usize,
    /// Index into [`super::town::SOURCES`].
    pub source: usize,
    /// When its source sends it.
    pub deliver: Timestamp,
    /// The delivery's id.
    pub id: String,
    /// The body.
    pub body: String,
    /// How it is signed.
    pub proof: Proof,
    /// Posted so often at the same moment.
    pub copies: u8,
    /// What must come of it.
    pub expect: Expect,
}

/// One thing that happened to a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub kind: EventKind,
    /// How much; `None` is all.
    pub minor: Option<i64>,
    /// When.
    pub at: Timestamp,
    /// Which of several clearings.
    pub sequence: Option<Sequence>,
}

/// A purchase of a member at one of our shops, as one source tells it.
#[derive(Debug, Clone)]
pub struct Bought {
    /// Who: index into the town's people.
    pub person: usize,
    /// Where: index into the town's shops.
    pub shop: usize,
    /// Who tells it.
    pub source: usize,
    /// Its id there.
    pub id: String,
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// The offer and what it must have given at the end, when that is plain.
    pub plain: Option<(usize, i64)>,
}

/// All that is posted, in order of delivery, and what it is about.
#[derive(Debug, Clone)]
pub struct Day {
    /// Where its clock begins.
    pub start: Timestamp,
    /// What is posted.
    pub messages: Vec<Message>,
    /// What members bought.
    pub bought: Vec<Bought>,
}

impl Day {
    /// Webhooks in all, each copy counted.
    #[must_use]
    pub fn webhooks(&self) -> u64 {
        self.messages.iter().map(|message| u64::from(message.copies)).sum()
    }
    /// How many webhooks must come to this.
    #[must_use]
    pub fn expected(&self, expect: Expect) -> u64 {
        let of = |message: &Message| match (expect, message.expect) {
            (Expect::Duplicate, Expect::Ours) => u64::from(message.copies) - 1,
            (Expect::Ours, Expect::Ours) => 1,
            (asked, has) if asked == has => u64::from(message.copies),
            _ => 0,
        };
        self.messages.iter().map(of).sum()
    }
}

/// What stands of a purchase, from its steps: cleared when anything was, else authorized,
/// less what came back.
#[must_use]
pub fn stands(steps: &[Step]) -> i64 {
    let (mut authorized, mut cleared, mut any, mut off) = (0, 0, false, 0);
    for step in steps {
        let minor = step.minor.unwrap_or(0);
        match step.kind {
            EventKind::Authorization | EventKind::Increment => authorized += minor,
            EventKind::Advice => authorized = minor,
            EventKind::Reversal | EventKind::Expiry => authorized = 0,
            EventKind::Clearing => (cleared, any) = (cleared + minor, true),
            EventKind::ClearingReversal => cleared -= minor,
            EventKind::Refund | EventKind::Chargeback => off += minor,
            EventKind::RefundReversal | EventKind::ChargebackReversal => off -= minor,
        }
    }
    ((if any { cleared } else { authorized }) - off).max(0)
}

/// Lanes for purchases whose order matters to somebody else: budgets.
const LANES_OF_SHOPS: usize = 1_000_000;

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

struct Writer<'a> {
    town: &'a Town,
    rng: &'a mut ChaCha8Rng,
    zones: [TimeZone; 4],
    date: civil::Date,
    day: Day,
    number: u64,
}

impl<'a> Writer<'a> {
    fn number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// The instant of a local minute of the day; beyond 1440 it is the next morning.
    fn at(&mut self, city: usize, minute: i64) -> Timestamp {
        let seconds = self.rng.random_range(0..60);
        Timestamp::from_local(self.date.at(0, 0, 0, 0), &self.zones[city]).plus_ms((minute * 60 + seconds) * 1000)
    }

    fn push(&mut self, message: Message) {
        // Everything is told before the second midnight.
        let last = self.day.start.plus_ms(2 * DAY_MS - 600_000);
        self.day.messages.push(Message { deliver: message.deliver.min(last), ..message });
    }

    /// Minutes and amounts of one purchase, from the authorization to the clearing.
    fn course(&mut self, trade: Trade, city: usize) -> Vec<Step> {
        use EventKind::{Advice, Authorization, Clearing, Increment};
        let (from, to) = match trade {
            Trade::Coffee if self.rng.random_ratio(7, 10) => (390, 690),
            Trade::Coffee => (690, 1020),
            Trade::Lunch => (690, 840),
            Trade::Grocery => (960, 1230),
            Trade::Fuel => (420, 1200),
            Trade::Hotel => (870, 1080),
            Trade::Online => (480, 1380),
            Trade::Dinner => (1080, 1320),
        };
        let minute = self.rng.random_range(from..to);
        let night = 1440 + self.rng.random_range(60..360);
        let (low, high) = match trade {
            Trade::Coffee => (320, 980),
            Trade::Lunch => (900, 2800),
            Trade::Grocery => (900, 14_000),
            Trade::Fuel => (2500, 8500),
            Trade::Hotel => (12_000, 26_000),
            Trade::Online => (3000, 18_000),
            Trade::Dinner => (2800, 9500),
        };
        let minor: i64 = self.rng.random_range(low..high);
        let mut steps = Vec::with_capacity(4);
        let mut push = |this: &mut Self, kind, minor, minute, sequence| {
            steps.push(Step { kind, minor: Some(minor), at: this.at(city, minute), sequence });
        };
        match trade {
            Trade::Coffee | Trade::Lunch | Trade::Grocery => {
                push(self, Authorization, minor, minute, None);
                push(self, Clearing, minor, night, None);
            }
            Trade::Fuel => {
                push(self, Authorization, 100, minute, None);
                if self.rng.random_ratio(7, 10) {
                    push(self, Advice, minor, minute + 4, None);
                }
                push(self, Clearing, minor, night, None);
            }
            Trade::Hotel => {
                push(self, Authorization, minor, minute, None);
                let mut total = minor;
                for k in 0..self.rng.random_range(1..3) {
                    let more = self.rng.random_range(900..6500);
                    total += more;
                    push(self, Increment, more, 1140 + 90 * k, None);
                }
                push(self, Clearing, total, 1440 + 480, None);
            }
            Trade::Online => {
                push(self, Authorization, minor, minute, None);
                if self.rng.random_ratio(2, 5) {
                    let part = minor * self.rng.random_range(30..70) / 100;
                    let of_two = |number| Some(Sequence { number, count: Some(2) });
                    push(self, Clearing, part, night, of_two(1));
                    if self.rng.random_ratio(5, 6) {
                        push(self, Clearing, minor - part, night + 300, of_two(2));
                    }
                } else {
                    push(self, Clearing, minor, night, None);
                }
            }
            Trade::Dinner => {
                push(self, Authorization, minor, minute, None);
                let tip = minor * self.rng.random_range(10..22) / 100;
                push(self, Clearing, minor + tip, night, None);
            }
        }
        steps
    }

    /// What people do after they bought: cancel, wait, return, dispute.
    fn afterwards(&mut self, steps: &mut Vec<Step>, city: usize, disputes: bool) {
        use EventKind::{Chargeback, ChargebackReversal, Clearing, Refund, Reversal};
        let cleared: i64 = steps.iter().filter(|s| s.kind == Clearing).filter_map(|s| s.minor).sum();
        let morning = 1440 + 480 + self.rng.random_range(0..200);
        let plain = |kind, minor, at| Step { kind, minor, at, sequence: None };
        match self.rng.random_range(0..1000) {
            0..30 => {
                steps.retain(|step| step.kind != Clearing);
                let after = steps.last().map_or(self.day.start, |last| last.at).plus_ms(1_500_000);
                steps.push(plain(Reversal, None, after));
            }
            30..130 => steps.retain(|step| step.kind != Clearing),
            130..155 => {
                let at = self.at(city, morning);
                steps.push(plain(Refund, Some(cleared), at));
            }
            155..210 => {
                let part = cleared * self.rng.random_range(10..80) / 100;
                let at = self.at(city, morning);
                steps.push(plain(Refund, Some(part.max(1)), at));
                if self.rng.random_ratio(1, 5) {
                    let at = self.at(city, morning + 45);
                    steps.push(plain(Refund, Some(((cleared - part) / 2).max(1)), at));
                }
            }
            210..230 if steps.len() == 2 => drop(steps.remove(0)),
            230..234 if disputes => {
                let at = self.at(city, morning + 60);
                steps.push(plain(Chargeback, Some(cleared), at));
                if self.rng.random_ratio(1, 3) {
                    let at = self.at(city, morning + 90);
                    steps.push(plain(ChargebackReversal, Some(cleared), at));
                }
            }
            _ => {}
        }
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

/// A person's part of the day, for their story.
#[must_use]
pub fn bought_by(day: &Day, who: usize) -> Vec<&Bought> {
    let mut all: Vec<&Bought> = day.bought.iter().filter(|bought| bought.person == who).collect();
    all.sort_by_key(|bought| bought.steps.first().map(|step| step.at));
    all
}

/// The card a person pays with, first of all.
#[must_use]
pub fn first_card(person: &Person) -> &Card {
    &person.cards[0]
}
