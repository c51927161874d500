//! How each source words a card event: the senders' side of `normalise`, one file per
//! format and written apart from it, so that the two prove each other. A dialect declares
//! which steps its words can say; what it cannot say never happens to its cards.

mod fidel;
mod kard;
mod lithic;
mod marqeta;
mod mastercard_cen;
mod ringfence;
mod stripe_issuing;
mod visa_vop;

use super::day::Step;
pub use super::town::Card;
use super::town::{CITIES, Shop};
use crate::authenticate::Scheme;
use crate::domain::{EventKind, Money, Timestamp};
use crate::normalise::Format;
use jiff::tz::TimeZone;
use serde_json::Value;

/// Which steps a dialect has words for, beyond an authorization and one clearing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Says {
    /// More is added to what is held.
    pub increment: bool,
    /// What is held is set anew.
    pub advice: bool,
    /// What is held is let go, all or a part.
    pub reversal: bool,
    /// The issuer lets the authorization go.
    pub expiry: bool,
    /// One authorization is cleared in several parts.
    pub clearings: bool,
    /// A refund of all names its purchase.
    pub names_refund: bool,
    /// A refund of a part names its purchase.
    pub names_part_refund: bool,
    /// Disputes.
    pub disputes: bool,
}

impl Says {
    /// What two dialects can both say, for a card that two sources tell of.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            increment: self.increment && other.increment,
            advice: self.advice && other.advice,
            reversal: self.reversal && other.reversal,
            expiry: self.expiry && other.expiry,
            clearings: self.clearings && other.clearings,
            names_refund: self.names_refund && other.names_refund,
            names_part_refund: self.names_part_refund && other.names_part_refund,
            disputes: self.disputes && other.disputes,
        }
    }
}

/// A network's way of speaking.
#[derive(Debug)]
pub struct Dialect {
    /// What the service calls it.
    pub format: Format,
    /// How its messages are proved.
    pub auth: &'static [Scheme],
    /// What it has words for.
    pub says: Says,
    /// Each message tells the whole purchase again, from its beginning.
    pub retells: bool,
    /// It is answered in words of its own, which do not tell what became of a message.
    pub silent: bool,
    token: fn(&str) -> String,
    purchase: fn(&Event<'_>) -> String,
    bodies: fn(&Event<'_>, bool) -> Vec<Value>,
}

/// All of them.
pub static DIALECTS: [&Dialect; 8] = [
    &ringfence::DIALECT,
    &stripe_issuing::DIALECT,
    &fidel::DIALECT,
    &kard::DIALECT,
    &visa_vop::DIALECT,
    &mastercard_cen::DIALECT,
    &marqeta::DIALECT,
    &lithic::DIALECT,
];

impl Dialect {
    /// What its cards are called, from letters of one's own.
    #[must_use]
    pub fn token(&self, letters: &str) -> String {
        (self.token)(letters)
    }
    /// The purchase's id, as the books know it.
    #[must_use]
    pub fn purchase(&self, event: &Event<'_>) -> String {
        (self.purchase)(event)
    }
    /// What is posted for an event, in order: mostly one body, never none.
    #[must_use]
    pub fn bodies(&self, event: &Event<'_>) -> Vec<String> {
        (self.bodies)(event, true).iter().map(Value::to_string).collect()
    }
    /// What is posted for an authorization that was declined; `None` when that is not told.
    #[must_use]
    pub fn declined(&self, event: &Event<'_>) -> Option<String> {
        (self.bodies)(event, false).first().map(Value::to_string)
    }
}

/// One event with all that went before it and what it is about.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// The purchase's number, which makes its ids.
    pub number: u64,
    /// The event's place among the purchase's steps.
    pub at: usize,
    /// Paid with.
    pub card: &'a Card,
    /// Where.
    pub shop: &'a Shop,
    /// All that happens to the purchase, up to this event at least; never empty.
    pub steps: &'a [Step],
}

impl<'a> Event<'a> {
    /// What happened.
    fn step(&self) -> &'a Step {
        &self.steps[self.at]
    }
    /// When the purchase was begun.
    fn bought_at(&self) -> Timestamp {
        self.steps[0].at
    }
    /// What was held before it, minor units.
    fn held(&self) -> i64 {
        held(&self.steps[..self.at])
    }
    /// What a reversal takes off: its amount, or all that is held.
    fn taken_off(&self) -> i64 {
        self.step().minor.unwrap_or_else(|| self.held())
    }
    /// Whether it gives all back that was cleared before it.
    fn refunds_all(&self) -> bool {
        let cleared: i64 =
            self.steps[..self.at].iter().filter(|s| s.kind == EventKind::Clearing).filter_map(|s| s.minor).sum();
        self.step().minor == Some(cleared)
    }
    /// Whether it moves money, and names the shop as its clearing does.
    fn posts(&self) -> bool {
        use EventKind::{Advice, Authorization, Expiry, Increment, Reversal};
        !matches!(self.step().kind, Authorization | Increment | Advice | Reversal | Expiry)
    }
    /// How the acquirer calls the shop in this event.
    fn mid(&self) -> &'a str {
        if self.step().kind == EventKind::Clearing { &self.shop.clearing_mid } else { &self.shop.authorization_mid }
    }
    fn currency(&self) -> &'a str {
        self.shop.currency.as_str()
    }
    /// The currency by its number, as text of three digits.
    fn currency_number(&self) -> String {
        let known = iso_currency::Currency::from_code(self.currency());
        known.map_or_else(String::new, |currency| format!("{:03}", currency.numeric()))
    }
    /// An amount in major units with all its digits: `12.30`.
    fn major(&self, minor: i64) -> String {
        let text = Money::new(minor, self.shop.currency).to_string();
        text.split(' ').next().unwrap_or_default().to_owned()
    }
    /// The same as a JSON number: `12.3`.
    fn decimal(&self, minor: i64) -> Value {
        serde_json::from_str(&self.major(minor)).unwrap_or(Value::Null)
    }
    fn country(&self) -> &'static str {
        CITIES[self.shop.city].country
    }
    /// The country by three letters.
    fn country_3(&self) -> &'static str {
        rust_iso3166::from_alpha2(self.country()).map_or("", |country| country.alpha3)
    }
    fn postcode(&self) -> &'static str {
        CITIES[self.shop.city].postcode
    }
}

/// What is held after these steps, minor units.
fn held(steps: &[Step]) -> i64 {
    steps.iter().fold(0, |held, step| match (step.kind, step.minor) {
        (EventKind::Authorization | EventKind::Increment, Some(minor)) => held + minor,
        (EventKind::Advice, Some(minor)) => minor,
        (EventKind::Reversal, Some(minor)) => (held - minor).max(0),
        (EventKind::Reversal | EventKind::Expiry, _) => 0,
        _ => held,
    })
}

/// A time as a pattern has it, in UTC.
fn utc(at: Timestamp, pattern: &str) -> String {
    at.local(&TimeZone::UTC).strftime(pattern).to_string()
}
