//! The decision, in pure code: the reward due now, less the reward already granted.
//!
//! [`assign`] says which purchase a refund that names none comes off, [`judge`] what each
//! offer gives for each purchase: both functions of the set of the member's facts;
//! [`settle`] turns the difference to what was granted into
//! transfers. Neither knows a clock, a store or the graph: a missing fact is a missing
//! field, not a missing import.

pub mod amount;
pub mod apply;
pub mod assign;
pub mod book;
mod budget;
mod caps;
pub mod evaluate;
pub mod exchange;
pub mod history;
pub mod judge;
mod kept;
mod line;
pub mod member;
pub mod prospect;
pub mod referral;
pub mod refusal;
mod rolling;
mod running;
pub mod settle;
mod stack;
mod walk;
pub mod worth;

pub use apply::{Touched, apply_changes, apply_input, signal_hash};
pub use assign::{Assigned, Credit, Fate, assign};
pub use book::{OfferBook, OffersApart};
pub use exchange::{Exchanged, NoExchange, exchange};
pub use judge::{Ask, Judged, Line, Scope, concerned, explain, judge};
pub use member::{Before, MemberState};
pub use prospect::{Habit, Prospect, prospects};
pub use refusal::Refusal;
pub use settle::{Entry, GrantChange, settle};
pub use worth::{LapsePolicy, Tally, Worth, worth};

use crate::domain::{MemberId, OfferId};
use std::ops::RangeInclusive;

/// Rules that hold for every offer. Part of the configuration, and a fact of every decision.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// When authorizations lapse.
    pub lapse: LapsePolicy,
    /// Categories that earn nothing unless an offer says otherwise.
    pub cash_like_mcc: Vec<RangeInclusive<u16>>,
    /// Key of the hash that draws the holdout.
    pub holdout_key: [u8; 16],
    /// Nothing becomes available before screening has passed the record that earned it.
    pub screened: bool,
}

impl Policy {
    /// Whether a member is kept out of an offer to measure what it brings. The hash
    /// does not depend on the share, so raising the share keeps who is in it.
    #[must_use]
    pub fn held_out(&self, member: &MemberId, offer: &OfferId, percent: u8) -> bool {
        if percent == 0 {
            return false;
        }
        let mut text = Vec::with_capacity(16 + 1 + member.as_str().len() + offer.as_str().len());
        text.extend_from_slice(&self.holdout_key);
        text.extend_from_slice(offer.as_str().as_bytes());
        text.push(0);
        text.extend_from_slice(member.as_str().as_bytes());
        xxhash_rust::xxh3::xxh3_64(&text) % 100 < u64::from(percent)
    }
}
