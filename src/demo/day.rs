//! The words of a day of traffic: messages with what must come of them, and purchases with
//! what must stand of them at the end, by plain arithmetic that owes the engine nothing.

use crate::domain::{EventKind, Sequence, Timestamp};

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

/// A person's part of the day, for their story.
#[must_use]
pub fn bought_by(day: &Day, who: usize) -> Vec<&Bought> {
    let mut all: Vec<&Bought> = day.bought.iter().filter(|bought| bought.person == who).collect();
    all.sort_by_key(|bought| bought.steps.first().map(|step| step.at));
    all
}
