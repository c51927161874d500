//! A purchase as the member's state keeps it: the set of its events, where it was
//! made, and what each offer has granted for it so far.

use super::merchant::Matched;
use super::offer::Funding;
use super::{
    CardHash, Channel, Code, EventKey, EventKind, MemberId, MerchantId, Money, OfferId, PurchaseId, PurchaseKey,
    Sequence, SourceName, Timestamp, Unit,
};
use serde::{Deserialize, Serialize};

/// A card event as kept with its purchase: what decisions read, and no token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldEvent {
    /// The same for every delivery.
    pub key: EventKey,
    /// What happened.
    pub kind: EventKind,
    /// The card it came by.
    pub card: CardHash,
    /// In the merchant's currency; `None` for a reversal of all and an expiry.
    pub amount: Option<Money>,
    /// The act of buying or returning.
    pub occurred_at: Timestamp,
    /// False when only the day is known.
    pub time_known: bool,
    /// When the issuer posted it; when not said, when it reached us.
    pub posted_at: Timestamp,
    /// Merchant category code; `None` when not sent.
    pub mcc: Option<u16>,
    /// Where.
    pub channel: Channel,
    /// Which of several clearings.
    pub sequence: Option<Sequence>,
    /// Index into the purchase's `matches`; `None` when the merchant was not known.
    pub matched: Option<u8>,
    /// Hash of the normalised fields, to tell a redelivery from other content.
    pub content: u64,
    /// What the first delivery was answered, given again to every other.
    pub answer: Vec<AnswerLine>,
}

/// One reward as it was answered for an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerLine {
    /// Which offer.
    pub offer: OfferId,
    /// Where the reward stood.
    pub stage: Stage,
    /// Frozen by a standing.
    pub held: bool,
    /// What was due after the event.
    pub due_minor: i64,
    /// By how much the event changed it.
    pub change_minor: i64,
    /// When it may be paid; `None` while pending.
    pub available_at: Option<Timestamp>,
}

/// How far a reward has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The purchase is not wholly cleared.
    Pending,
    /// Cleared, inside the hold days.
    Posted,
    /// May be paid.
    Available,
}

/// What an offer has granted for a purchase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Which offer.
    pub offer: OfferId,
    /// The version whose terms were used.
    pub version: u32,
    /// Who funds it.
    pub merchant: MerchantId,
    /// What the amounts are counted in.
    pub unit: Unit,
    /// Who pays for it.
    pub funding: Funding,
    /// The cause that gets it; `None` is the member.
    pub cause: Option<Code>,
    /// What the terms gave at the last decision, before the budget.
    pub terms_minor: i64,
    /// What was granted: also the budget's verdict when the offer has one.
    pub amount_minor: i64,
    /// Less than the terms gave, because the budget of that day was spent.
    pub day_spent: bool,
    /// Perks: how many stay only because they were used; below zero, how many are not given
    /// because such ones stand for them.
    pub kept_minor: i64,
    /// How far it has come.
    pub stage: Stage,
    /// Frozen by a standing.
    pub held: bool,
    /// What redemptions used of it. May exceed `amount_minor` after a clawback; the
    /// excess is owed, or lost.
    pub used_minor: i64,
    /// Whether that excess is booked as fraud loss rather than owed.
    pub lost: bool,
    /// When it may be paid; `None` while pending.
    pub available_at: Option<Timestamp>,
    /// From when it can no longer be used; `None` is never.
    pub expires_at: Option<Timestamp>,
    /// Number of the record that changed it last, which a correction names.
    pub record: u64,
    /// When the record that last raised it was made: nothing of it is available before
    /// screening has passed that.
    pub earned_at: Timestamp,
}

impl Grant {
    /// What can still be redeemed of it, or is frozen.
    #[must_use]
    pub fn remaining_minor(&self) -> i64 {
        (self.amount_minor - self.used_minor).max(0)
    }
    /// What stays whatever happens to the purchase: a perk that was used is never owed.
    #[must_use]
    pub fn used_perks(&self) -> i64 {
        if matches!(self.unit, Unit::Perk(_)) { self.used_minor } else { 0 }
    }
    /// What was used and has been taken back since.
    #[must_use]
    pub fn excess_minor(&self) -> i64 {
        (self.used_minor - self.amount_minor).max(0)
    }
}

/// A purchase: the set of its events, kept in their canonical order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    /// Source and the source's id.
    pub key: PurchaseKey,
    /// Ordered by time, kind, key.
    pub events: Vec<HeldEvent>,
    /// The shops its events were matched to.
    pub matches: Vec<Matched>,
    /// One per offer that ever granted something for it.
    pub grants: Vec<Grant>,
    /// What happened when nothing was bought: an entry of its own, rewarded in the same way.
    pub occasion: Option<Occasion>,
}

/// Something that is rewarded and is no purchase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Occasion {
    /// The member did something: a review, an idea, an event attended.
    Signal {
        /// Its kind, in the operator's words.
        kind: Code,
        /// The one offer it concerns; `None` is every offer that asks for its kind.
        offer: Option<OfferId>,
        /// When.
        at: Timestamp,
    },
    /// A member whom this one referred, as their own state says.
    Referral(Referral),
    /// The member spent points on an offer: an act, never decided again.
    Exchange {
        /// The offer.
        offer: OfferId,
        /// Its version.
        version: u32,
        /// When.
        at: Timestamp,
    },
}

impl Referral {
    /// The time by which it is taken: of the purchase that qualifies it, else when it was made.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.qualified.as_ref().map_or(self.referred_at, |qualified| qualified.at)
    }
}

/// Under which source entries that are no purchases are kept; no real source has these names.
pub const SIGNAL: &str = "signal";
/// As [`SIGNAL`].
pub const REFERRAL: &str = "referral";
/// As [`SIGNAL`].
pub const EXCHANGE: &str = "exchange";

/// The key of an entry that is no purchase.
#[must_use]
pub fn entry_key(source: &str, id: PurchaseId) -> PurchaseKey {
    PurchaseKey { source: SourceName::new(source).expect("one of the words above"), id }
}

impl Occasion {
    /// When it was.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Signal { at, .. } | Self::Exchange { at, .. } => *at,
            Self::Referral(referral) => referral.at(),
        }
    }
}

/// A referral as the referrer holds it: a register that follows the referred member's state.
/// The higher version wins; the same twice changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referral {
    /// Under which offer.
    pub offer: OfferId,
    /// Who was referred.
    pub referred: MemberId,
    /// When: regions and segments count as they were then.
    pub referred_at: Timestamp,
    /// Version of the referred member's state that this says.
    pub version: u64,
    /// Their first standing purchase that is large enough; `None` while there is none.
    pub qualified: Option<Qualified>,
    /// Whether they are trusted: the reward is frozen while they are not.
    pub clear: bool,
    /// Whether they are barred: nothing is due for them.
    pub barred: bool,
}

/// The purchase that qualifies a referral.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Qualified {
    /// Which.
    pub purchase: PurchaseKey,
    /// When it was made: referrals are taken by it, then by its key.
    pub at: Timestamp,
    /// When it was wholly cleared; `None` while it is not.
    pub cleared_at: Option<Timestamp>,
}

impl Purchase {
    /// A purchase without events yet.
    #[must_use]
    pub fn new(key: PurchaseKey) -> Self {
        Self { key, events: Vec::new(), matches: Vec::new(), grants: Vec::new(), occasion: None }
    }
    /// Adds an event at its place; the same key twice is the caller's mistake.
    pub fn insert(&mut self, event: HeldEvent) {
        let order = |e: &HeldEvent| (e.occurred_at, e.kind, e.key.clone());
        let at = order(&event);
        let place = self.events.partition_point(|other| order(other) < at);
        self.events.insert(place, event);
    }
    /// Index of a shop among `matches`, added when new. A purchase seen at more than
    /// 255 shops is absurd; the last one then stands for the rest.
    pub fn match_index(&mut self, matched: &Matched) -> u8 {
        let place = self.matches.iter().position(|m| m == matched).unwrap_or_else(|| {
            if self.matches.len() < usize::from(u8::MAX) {
                self.matches.push(matched.clone());
            }
            self.matches.len() - 1
        });
        u8::try_from(place).expect("bounded just above")
    }
    /// Its credits that name no purchase, in order: they opened this entry under their own
    /// key, and come off another purchase. None when something was bought under that key:
    /// then they are that purchase's own.
    pub fn unlinked(&self) -> impl Iterator<Item = &HeldEvent> {
        let buys = |event: &HeldEvent| matches!(event.kind, EventKind::Authorization | EventKind::Clearing);
        let bought = self.events.iter().any(buys);
        self.events.iter().filter(move |event| !bought && self.names_none(event))
    }
    /// Whether an event is a credit that opened this entry: its purchase is itself.
    #[must_use]
    pub fn names_none(&self, event: &HeldEvent) -> bool {
        event.kind.is_credit() && event.key.as_str() == self.key.id.as_str()
    }
    /// The grant of an offer.
    #[must_use]
    pub fn grant(&self, offer: &OfferId) -> Option<&Grant> {
        self.grants.iter().find(|grant| &grant.offer == offer)
    }
}
