//! Card events of a town, signed and unique, and what the books must say when all of them
//! are taken. The expectation is counted here, from the events alone.

use crate::drive::{self, Load, Ran, Requests};
use crate::fault::{Fault, fault};
use crate::random::Random;
use crate::server::{Credentials, SOURCE};
use crate::town::{Town, reward_minor};
use ringfence::authenticate::Signer;
use ringfence::clock::Clock;
use ringfence::domain::Timestamp;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Largest number of rounds in which unanswered events are sent again.
const RETRY_ROUNDS_MAX: u32 = 20;
/// How far back events are dated.
const BACK_MS: u64 = 2 * 86_400_000;

/// Percent of [`NoOffer::Town`]'s texts that carry a reference of their own, as marketplaces, rides and bookings write
/// them (`AMZN MKTP US*2K4XY7`): such a text comes once.
const TEXTS_ONCE_PERCENT: u64 = 10;
/// Cards that nobody has linked, for each that somebody has: a network that sends all cards of an issuer.
const UNLINKED_CARDS_EACH: u32 = 10;

/// What an event is like that concerns no offer. In each its MID is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum NoOffer {
    /// A linked card, and a statement text that never came before: the worst there is.
    New,
    /// A linked card in the shops of its town: one to a linked card, the second visited half as often as the first, the
    /// tenth a tenth as often (visits to shops are about so), each with one text; and a tenth of the texts
    /// come once.
    Town,
    /// A card that nobody has linked, and a text that never came before.
    Unlinked,
}

/// Shares of the kinds of event, in percent. What is left of 100 concerns merchants that
/// are nobody's.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Mix {
    /// Percent of events that are a first purchase at a merchant with an offer
    #[arg(long, default_value_t = 60)]
    pub crediting: u8,
    /// Percent of events that were sent before
    #[arg(long, default_value_t = 5)]
    pub duplicates: u8,
    /// Percent of events that take half of an earlier purchase back
    #[arg(long, default_value_t = 5)]
    pub refunds: u8,
    /// What events that concern no offer are like
    #[arg(long = "no-offer-events", value_enum, default_value_t = NoOffer::New)]
    pub no_offer: NoOffer,
}

impl Mix {
    /// Purchases alone.
    pub const CREDITING: Self = Self { crediting: 100, duplicates: 0, refunds: 0, no_offer: NoOffer::New };

    /// Events that concern no offer alone.
    pub const fn no_offer(no_offer: NoOffer) -> Self {
        Self { crediting: 0, duplicates: 0, refunds: 0, no_offer }
    }

    /// Whether the shares fit into 100.
    pub fn check(&self) -> Result<(), Fault> {
        let sum = u32::from(self.crediting) + u32::from(self.duplicates) + u32::from(self.refunds);
        if sum > 100 { Err(fault(format!("the shares add up to {sum} percent"))) } else { Ok(()) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Authorization,
    Clearing,
    Refund,
    NoOffer,
}

/// An event, from which its body can be made again.
#[derive(Debug, Clone, Copy)]
struct Event {
    serial: u64,
    kind: Kind,
    purchase: u64,
    member: u32,
    merchant: u32,
    minor: i64,
    at: Timestamp,
    /// Its statement text carries a reference of its own.
    referenced: bool,
}

/// A purchase as the events so far make it.
#[derive(Debug, Clone, Copy)]
struct Purchase {
    number: u64,
    member: u32,
    merchant: u32,
    spent_minor: i64,
    refunded_minor: i64,
    at: Timestamp,
    cleared: bool,
}

/// How often each outcome was answered, and how often something else than 200.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// By word.
    pub outcomes: BTreeMap<String, u64>,
    /// By status: answers that asked to come back, or refused.
    pub not_ok: BTreeMap<u16, u64>,
}

impl Answers {
    /// Adds those of another batch.
    pub fn add(&mut self, other: &Self) {
        for (word, count) in &other.outcomes {
            *self.outcomes.entry(word.clone()).or_default() += count;
        }
        for (status, count) in &other.not_ok {
            *self.not_ok.entry(*status).or_default() += count;
        }
    }
}

/// All events of one run.
#[derive(Debug)]
pub struct Traffic<'a> {
    town: &'a Town,
    signer: Signer,
    draw: Random,
    serial: u64,
    purchases: Vec<Purchase>,
    /// Events that may be sent again.
    sent: Vec<Event>,
    batch: Vec<Event>,
    expected: BTreeMap<&'static str, u64>,
    /// All answers so far.
    pub answers: Answers,
}

impl<'a> Traffic<'a> {
    /// No event yet.
    pub fn new(town: &'a Town, credentials: &Credentials, seed: u64) -> Result<Self, Fault> {
        Ok(Self {
            town,
            signer: credentials.signer()?,
            draw: Random(seed),
            serial: 0,
            purchases: Vec::new(),
            sent: Vec::new(),
            batch: Vec::new(),
            expected: BTreeMap::new(),
            answers: Answers::default(),
        })
    }

    /// Makes and signs the next events. They are good for as long as a signature is.
    pub fn prepare(&mut self, mix: Mix, count: usize) -> Result<Requests, Fault> {
        let now = Clock::Machine.now();
        self.batch.clear();
        for _ in 0..count {
            let event = self.event(mix, now);
            self.batch.push(event);
        }
        let batch = std::mem::take(&mut self.batch);
        let requests = self.sign(&batch, now);
        self.batch = batch;
        requests
    }

    fn sign(&self, events: &[Event], now: Timestamp) -> Result<Requests, Fault> {
        let path = format!("/v1/webhooks/{SOURCE}");
        let mut requests = Requests::default();
        let (mut body, mut id) = (String::new(), String::new());
        for event in events {
            self.body(event, &mut body);
            id.clear();
            write!(id, "msg_{}_{}", self.town.run, event.serial).expect("a String takes all");
            let signed = self.signer.sign(&id, now, body.as_bytes()).map_err(|e| fault(e.to_string()))?;
            let headers: Vec<(&str, &str)> = signed.iter().map(|(name, value)| (*name, value.as_str())).collect();
            requests.push(&drive::head("POST", &path, &headers, body.len()), body.as_bytes());
        }
        Ok(requests)
    }

    fn event(&mut self, mix: Mix, now: Timestamp) -> Event {
        let drawn = self.draw.below(100);
        let crediting = u64::from(mix.crediting);
        let refunds = crediting + u64::from(mix.refunds);
        let duplicates = refunds + u64::from(mix.duplicates);
        if drawn >= refunds && drawn < duplicates && !self.sent.is_empty() {
            let place = self.draw.below(self.sent.len() as u64);
            *self.expected.entry("duplicate").or_default() += 1;
            return self.sent[usize::try_from(place).unwrap_or(0)];
        }
        self.serial += 1;
        if drawn >= crediting
            && drawn < refunds
            && let Some(event) = self.refund(now)
        {
            self.sent.push(event);
            *self.expected.entry("refund").or_default() += 1;
            return event;
        }
        let credits = drawn < crediting;
        let event = self.purchase(credits, mix.no_offer, now);
        if credits {
            self.sent.push(event);
        }
        *self.expected.entry(if credits { "credited" } else { "no_offer" }).or_default() += 1;
        event
    }

    fn purchase(&mut self, credits: bool, no_offer: NoOffer, now: Timestamp) -> Event {
        let back = i64::try_from(self.draw.below(BACK_MS)).unwrap_or(0);
        let town = self.town;
        let (of_town, linked) = (self.draw.below_u32(town.merchants), self.draw.below_u32(town.members));
        let (member, merchant) = match no_offer {
            _ if credits => (linked, of_town),
            NoOffer::New => (linked, self.stranger()),
            NoOffer::Town => (linked, town.merchants + self.draw.often_low(town.members)),
            NoOffer::Unlinked => {
                let cards = town.members.saturating_mul(UNLINKED_CARDS_EACH);
                (town.members + self.draw.below_u32(cards), self.stranger())
            }
        };
        let of_town = !credits && no_offer == NoOffer::Town;
        let cleared = self.serial.is_multiple_of(2);
        let event = Event {
            serial: self.serial,
            kind: match (credits, cleared) {
                (false, _) => Kind::NoOffer,
                (true, true) => Kind::Clearing,
                (true, false) => Kind::Authorization,
            },
            purchase: self.serial,
            member,
            merchant,
            minor: 2_000 + i64::try_from(self.draw.below(28_000)).unwrap_or(0),
            at: Timestamp::from_ms(now.plus_ms(-back).as_seconds() * 1000),
            referenced: of_town && self.draw.below(100) < TEXTS_ONCE_PERCENT,
        };
        if credits {
            self.purchases.push(Purchase {
                number: event.purchase,
                member: event.member,
                merchant: event.merchant,
                spent_minor: event.minor,
                refunded_minor: 0,
                at: event.at,
                cleared,
            });
        }
        event
    }

    /// One of so many merchants that few come twice.
    fn stranger(&mut self) -> u32 {
        self.town.merchants + self.draw.below_u32(9_000_000)
    }

    /// Half of an earlier cleared purchase that has none yet. `None` when none is found.
    fn refund(&mut self, now: Timestamp) -> Option<Event> {
        for _ in 0..8 {
            let place = self.draw.below(self.purchases.len() as u64);
            let Some(purchase) = self.purchases.get_mut(usize::try_from(place).ok()?) else { continue };
            if !purchase.cleared || purchase.refunded_minor > 0 {
                continue;
            }
            purchase.refunded_minor = purchase.spent_minor / 2;
            return Some(Event {
                serial: self.serial,
                kind: Kind::Refund,
                purchase: purchase.number,
                member: purchase.member,
                merchant: purchase.merchant,
                minor: purchase.refunded_minor,
                at: purchase.at.max(now.plus_ms(-60_000)),
                referenced: false,
            });
        }
        None
    }

    fn body(&self, event: &Event, body: &mut String) {
        let kind = match (event.kind, event.serial % 2) {
            (Kind::Authorization, _) | (Kind::NoOffer, 1) => "authorization",
            (Kind::Clearing | Kind::NoOffer, _) => "clearing",
            (Kind::Refund, _) => "refund",
        };
        let run = &self.town.run;
        let reference = if event.referenced { format!("*{:06X}", event.serial) } else { String::new() };
        body.clear();
        write!(
            body,
            "{{\"id\":\"evt_{run}_{serial}\",\"type\":\"{kind}\",\"purchase_id\":\"pur_{run}_{purchase}\",\
             \"card\":\"{card}\",\"amount\":{{\"minor\":{minor},\"currency\":\"USD\"}},\"occurred_at\":\"{at}\",\
             \"time_known\":true,\"posted_at\":null,\"approved\":true,\"billing\":null,\
             \"merchant\":{{\"scheme\":\"visa\",\"mid\":\"{mid}\",\"acquirer\":null,\
             \"descriptor\":\"SQ *SHOP NUMBER {merchant}{reference}\",\"mcc\":\"5814\",\"store_id\":null,\"country\":\"US\",\
             \"postcode\":\"94607\",\"terminal\":null}},\"channel\":\"in_store\"}}",
            serial = event.serial,
            purchase = event.purchase,
            card = self.town.token(event.member),
            minor = event.minor,
            at = event.at,
            mid = self.town.mid(event.merchant),
            merchant = event.merchant,
        )
        .expect("a String takes all");
    }

    /// Sends what was prepared last. Events that were not answered with 200 are sent again
    /// until they are, outside the measurement, as their sender would.
    pub fn send(&mut self, load: &Load, requests: &Requests) -> Result<(Ran, Answers), Fault> {
        let mut answers = Answers::default();
        let mut again = Vec::new();
        let ran = drive::run(load, requests, &mut |index, status, body| {
            if !note(&mut answers, status, body) {
                again.push(index);
            }
        })?;
        let batch = std::mem::take(&mut self.batch);
        let mut total = answers.clone();
        for _ in 0..RETRY_ROUNDS_MAX {
            if again.is_empty() {
                break;
            }
            crate::server::pause(std::time::Duration::from_millis(250));
            let events: Vec<Event> = again.iter().map(|index| batch[*index]).collect();
            let requests = self.sign(&events, Clock::Machine.now())?;
            let mut later = Answers::default();
            let mut still = Vec::new();
            let gently = Load { connections: load.connections.min(32), pace: drive::Pace::Closed, ..*load };
            drive::run(&gently, &requests, &mut |index, status, body| {
                if !note(&mut later, status, body) {
                    still.push(again[index]);
                }
            })?;
            total.add(&later);
            again = still;
        }
        if !again.is_empty() {
            return Err(fault(format!("{} events were never taken: {:?}", again.len(), total.not_ok)));
        }
        self.answers.add(&total);
        Ok((ran, answers))
    }

    /// What the answers must have been, if none had to be sent again.
    pub fn check_answers(&self) -> Result<(), Fault> {
        let of = |word: &str| self.answers.outcomes.get(word).copied().unwrap_or(0);
        let expected = |word: &str| self.expected.get(word).copied().unwrap_or(0);
        // A refund that overtook its purchase is answered `no_reward`, and takes its part later.
        let refunds = of("clawed_back") + of("no_reward") + of("adjusted");
        let found = [of("credited"), of("no_offer"), of("duplicate"), refunds];
        let wanted = [expected("credited"), expected("no_offer"), expected("duplicate"), expected("refund")];
        if self.answers.not_ok.is_empty() && found != wanted {
            return Err(fault(format!(
                "answers differ: credited, no_offer, duplicate, refund are {found:?}, expected {wanted:?}: {:?}",
                self.answers.outcomes
            )));
        }
        Ok(())
    }

    /// What the books must have granted in all.
    pub fn granted_minor(&self) -> i64 {
        self.purchases.iter().map(Purchase::reward_minor).sum()
    }

    /// What the books must have granted to each of some members, spread over all.
    pub fn granted_to_some(&self, most: u32) -> BTreeMap<u32, i64> {
        let step = (self.town.members / most.max(1)).max(1);
        let mut granted: BTreeMap<u32, i64> =
            (0..self.town.members).step_by(step as usize).map(|member| (member, 0)).collect();
        for purchase in &self.purchases {
            if let Some(sum) = granted.get_mut(&purchase.member) {
                *sum += purchase.reward_minor();
            }
        }
        granted
    }
}

impl Purchase {
    fn reward_minor(&self) -> i64 {
        reward_minor(self.spent_minor - self.refunded_minor)
    }
}

/// Counts an answer; false when the event must be sent again.
fn note(answers: &mut Answers, status: u16, body: &[u8]) -> bool {
    if status != 200 {
        *answers.not_ok.entry(status).or_default() += 1;
        return false;
    }
    const KEY: &[u8] = b"\"outcome\":\"";
    let start = body.windows(KEY.len()).position(|part| part == KEY).map(|at| at + KEY.len());
    let word = start.and_then(|start| body[start..].split(|byte| *byte == b'"').next());
    let word = word.and_then(|word| std::str::from_utf8(word).ok()).unwrap_or("(none)");
    match answers.outcomes.get_mut(word) {
        Some(count) => *count += 1,
        None => {
            answers.outcomes.insert(word.to_owned(), 1);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_signed_and_read_by_the_service() {
        use ringfence::authenticate::{Scheme, Secret, Verifier};
        use ringfence::normalise::{Format, Message, normalise};
        let town = Town::new(10, 10).unwrap();
        let credentials = Credentials::draw().unwrap();
        let mut traffic = Traffic::new(&town, &credentials, 7).unwrap();
        let mix = Mix { crediting: 50, duplicates: 10, refunds: 20, no_offer: NoOffer::Unlinked };
        let requests = traffic.prepare(mix, 500).unwrap();
        assert_eq!(requests.len(), 500);
        let mut body = String::new();
        let mut kinds = std::collections::BTreeSet::new();
        let secret = vec![Secret::new(credentials.secret.clone())];
        let verifier = Verifier::new(&[Scheme::StandardWebhooks], secret, 300).unwrap();
        for event in &traffic.batch {
            traffic.body(event, &mut body);
            let read = normalise(Format::Ringfence, body.as_bytes()).unwrap();
            assert!(matches!(read.messages[..], [Message::Event(_)]), "{body}: {:?}", read.messages);
            kinds.insert(format!("{:?}", event.kind));
            let now = Clock::Machine.now();
            let mut headers = hyper::HeaderMap::new();
            for (name, value) in traffic.signer.sign("msg_1", now, body.as_bytes()).unwrap() {
                headers.insert(name, value.parse().unwrap());
            }
            assert!(verifier.verify(&headers, body.clone().into(), now).is_ok());
        }
        assert_eq!(kinds.len(), 4);
        assert!(traffic.granted_minor() > 0);
        let all = traffic.granted_to_some(10);
        assert_eq!(all.values().sum::<i64>(), traffic.granted_minor());
    }

    #[test]
    fn events_of_no_offer_are_as_they_say() {
        let town = Town::new(10, 1_000).unwrap();
        let credentials = Credentials::draw().unwrap();
        let events = |no_offer| {
            let mut traffic = Traffic::new(&town, &credentials, 7).unwrap();
            traffic.prepare(Mix::no_offer(no_offer), 10_000).unwrap();
            traffic.batch
        };
        let differ = |events: &[Event]| {
            events.iter().map(|event| event.merchant).collect::<std::collections::BTreeSet<_>>().len()
        };
        for no_offer in [NoOffer::New, NoOffer::Town, NoOffer::Unlinked] {
            let events = events(no_offer);
            assert!(events.iter().all(|event| event.merchant >= town.merchants), "{no_offer:?}");
            let linked = events.iter().filter(|event| event.member < town.members).count();
            assert_eq!(linked, if no_offer == NoOffer::Unlinked { 0 } else { events.len() });
        }
        assert!(differ(&events(NoOffer::New)) > 9_900);
        let town_events = events(NoOffer::Town);
        assert!((500..=1_000).contains(&differ(&town_events)));
        let visits = |number| town_events.iter().filter(|event| event.merchant == town.merchants + number).count();
        assert!(visits(0) > visits(1) && visits(1) > 3 * visits(9));
        let once = town_events.iter().filter(|event| event.referenced).count();
        assert!((900..1_100).contains(&once), "{once}");
    }
}
