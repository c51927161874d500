//! What is known of a member: profile, cards, activations, standings. All are facts
//! with a time from which they count, so a purchase is judged by those in force at
//! its own time.

use super::{CardHash, MerchantId, OfferId, SourceName, Timestamp};
use serde::{Deserialize, Serialize};

/// A card of a member, from link to unlink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardLink {
    /// Whose token.
    pub source: SourceName,
    /// Keyed hash of source and token.
    pub card: CardHash,
    /// Purchases from here count.
    pub from: Timestamp,
    /// Purchases before here count; `None` while linked.
    pub to: Option<Timestamp>,
    /// Cards with the same group are one physical card known to several sources.
    pub group: u32,
}

/// A step of opting in or out of an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivationStep {
    /// Which offer.
    pub offer: OfferId,
    /// From when.
    pub at: Timestamp,
    /// In or out.
    pub active: bool,
}

/// How far a member is trusted, loosest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nothing known against them.
    Clear,
    /// Looked at; no consequence.
    Watched,
    /// Rewards of purchases from `since` on are frozen.
    Held,
    /// Rewards of purchases from `since` on are not due.
    Barred,
}

/// A standing, for the whole programme or for one merchant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingStep {
    /// `None` is the whole programme.
    pub merchant: Option<MerchantId>,
    /// The standing.
    pub standing: Standing,
    /// Purchases from here on are concerned.
    pub since: Timestamp,
    /// When it was set: the newest of a scope counts.
    pub set_at: Timestamp,
    /// For `barred`: whether what was already paid is asked back from the member
    /// (owed) rather than booked as fraud loss.
    pub ask_back: bool,
}
