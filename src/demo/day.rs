//! The words of a day of traffic: messages with what must come of them, and purchases with
//! what must stand of them at the end, by plain arithmetic that owes the engine nothing.

use super::town::SOURCES;
use crate::domain::{EventKind, Sequence, Timestamp};
use std::collections::BTreeSet;

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
    /// The steps it tells; `None` when they are of no purchase of ours.
    pub tells: Option<Tells>,
}

/// The steps of a purchase that a message tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tells {
    /// The purchase's number.
    pub purchase: u64,
    /// The first of them.
    pub from: usize,
    /// The last of them.
    pub to: usize,
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
    /// Its number, which makes its ids.
    pub number: u64,
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
    /// Puts the messages in order of delivery and says of those that tell what was told
    /// before that they are duplicates: a network that retells a purchase each time, or tells
    /// one refund as two events, repeats itself by contract.
    pub(super) fn put_in_order(&mut self) {
        // Stable: what repeats a message stays behind it.
        self.messages.sort_by_key(|message| message.deliver);
        let mut told = BTreeSet::new();
        for message in &mut self.messages {
            let Some(tells) = message.tells.filter(|_| message.expect == Expect::Ours) else { continue };
            let fresh = (tells.from..=tells.to).filter(|at| told.insert((tells.purchase, *at))).count();
            match fresh {
                0 => message.expect = Expect::Duplicate,
                1 => {}
                // Of copies at the same moment each could be the first to tell a part of it.
                _ => message.copies = 1,
            }
        }
    }
    /// Webhooks in all, each copy counted.
    #[must_use]
    pub fn webhooks(&self) -> u64 {
        self.messages.iter().map(|message| u64::from(message.copies)).sum()
    }
    /// How many webhooks must be seen to come to this. What a silent source sends is only
    /// seen to be taken, or turned away.
    #[must_use]
    pub fn expected(&self, expect: Expect) -> u64 {
        let taken = !matches!(expect, Expect::NotProven | Expect::Unreadable);
        let of = |message: &Message| match (expect, message.expect) {
            _ if taken && SOURCES[message.source].dialect.silent => 0,
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
            EventKind::Reversal => authorized = step.minor.map_or(0, |minor| (authorized - minor).max(0)),
            EventKind::Expiry => authorized = 0,
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
