//! A card event in our words: what every provider's message becomes.
//!
//! One meaning per field; a provider's dialect ends in its `normalise` file.

use super::{EventKey, Money, PurchaseId, Timestamp};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// What happened to the purchase. The order is the order in which events of the
/// same instant are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Asks to hold funds.
    Authorization,
    /// Adds to what is authorized.
    Increment,
    /// Sets what is authorized, from its time on.
    Advice,
    /// Takes off what is authorized, or all of it when it has no amount.
    Reversal,
    /// The issuer lets the authorization go.
    Expiry,
    /// Moves money: presentment, capture, posting.
    Clearing,
    /// Takes a clearing back.
    ClearingReversal,
    /// A credit after clearing.
    Refund,
    /// Takes a refund back.
    RefundReversal,
    /// A clearing taken back after a dispute.
    Chargeback,
    /// The dispute ends for the merchant.
    ChargebackReversal,
}

impl EventKind {
    /// Every kind, in order.
    pub const ALL: [Self; 11] = [
        Self::Authorization,
        Self::Increment,
        Self::Advice,
        Self::Reversal,
        Self::Expiry,
        Self::Clearing,
        Self::ClearingReversal,
        Self::Refund,
        Self::RefundReversal,
        Self::Chargeback,
        Self::ChargebackReversal,
    ];
    /// The word of the `ringfence` format.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::Increment => "increment",
            Self::Advice => "advice",
            Self::Reversal => "reversal",
            Self::Expiry => "expiry",
            Self::Clearing => "clearing",
            Self::ClearingReversal => "clearing_reversal",
            Self::Refund => "refund",
            Self::RefundReversal => "refund_reversal",
            Self::Chargeback => "chargeback",
            Self::ChargebackReversal => "chargeback_reversal",
        }
    }
    /// Whether it gives money back that was cleared, or takes such a credit back: what
    /// sources send without saying which purchase it concerns.
    #[must_use]
    pub fn is_credit(self) -> bool {
        matches!(
            self,
            Self::ClearingReversal | Self::Refund | Self::RefundReversal | Self::Chargeback | Self::ChargebackReversal
        )
    }
    /// What this takes back; `None` when it takes back no credit.
    #[must_use]
    pub fn takes_back(self) -> Option<Self> {
        match self {
            Self::RefundReversal => Some(Self::Refund),
            Self::ChargebackReversal => Some(Self::Chargeback),
            _ => None,
        }
    }
    /// Whether an event of this kind may open a purchase at a merchant we know;
    /// the others only follow one (and wait for it when they come first).
    #[must_use]
    pub fn opens(self) -> bool {
        matches!(self, Self::Authorization | Self::Clearing)
    }
}

/// Where the sale took place, as far as the source says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Card and cardholder were in the shop.
    InStore,
    /// Over the network.
    Online,
    /// The source did not say.
    #[default]
    Unknown,
}

/// Which of several clearings this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sequence {
    /// From 1.
    pub number: u32,
    /// How many there will be; `None` when the source does not say.
    pub count: Option<u32>,
}

/// How the source's clock is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Clock {
    /// `occurred_at` is an instant.
    #[default]
    Utc,
    /// The source gave the shop's wall clock without a zone: `occurred_at` holds that
    /// reading as if it were UTC until the location is known.
    Local,
}

/// The merchant as the card network names it. `None` is "not sent"; the words
/// "0", "" and null that some networks send for it are already gone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct MerchantMark {
    /// Card network, lower case (`visa`).
    pub scheme: Option<CompactString>,
    /// Merchant id (card acceptor id) as sent, leading zeros included.
    pub mid: Option<CompactString>,
    /// The acquirer's id (BIN or ICA).
    pub acquirer: Option<CompactString>,
    /// The text on the card statement, card numbers masked.
    pub descriptor: Option<CompactString>,
    /// Merchant category code, four digits.
    pub mcc: Option<u16>,
    /// The network's own id of the shop.
    pub store_id: Option<CompactString>,
    /// ISO 3166 alpha-2.
    pub country: Option<CompactString>,
    /// Postcode of the shop.
    pub postcode: Option<CompactString>,
    /// Terminal id.
    pub terminal: Option<CompactString>,
}

/// One card event, normalised. Its card is a token of its source; the envelope that
/// carries it says which source.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CardEvent {
    /// The same for every delivery of this event.
    pub key: EventKey,
    /// What happened.
    pub kind: EventKind,
    /// Joins the events of one buying act; `None` opens a purchase of its own
    /// (or, for a refund, names nothing).
    pub purchase: Option<PurchaseId>,
    /// The source's token of the card. Never a card number: the guard has looked.
    pub card: CompactString,
    /// Never negative, in the merchant's currency. `None` only for a reversal of
    /// all and for an expiry.
    pub amount: Option<Money>,
    /// What the cardholder is billed; kept, not used.
    pub billing: Option<Money>,
    /// The act of buying or returning.
    pub occurred_at: Timestamp,
    /// How `occurred_at` is to be read.
    pub clock: Clock,
    /// False when only the day is known.
    pub time_known: bool,
    /// When the issuer posted it; `None` when not said.
    pub posted_at: Option<Timestamp>,
    /// False for a declined message.
    pub approved: bool,
    /// Who was paid.
    pub merchant: MerchantMark,
    /// Where.
    pub channel: Channel,
    /// Which of several clearings; `None` when not said.
    pub sequence: Option<Sequence>,
}

impl std::fmt::Debug for CardEvent {
    /// Without the card and the descriptor: a debug print may reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CardEvent")
            .field("key", &self.key)
            .field("kind", &self.kind)
            .field("purchase", &self.purchase)
            .field("amount", &self.amount)
            .field("occurred_at", &self.occurred_at)
            .field("approved", &self.approved)
            .finish_non_exhaustive()
    }
}
