//! Offers: what a merchant promises, as data. A version is never edited.
//!
//! `parse` turns the JSON of the interface into [`Terms`] and says for every fault
//! its path, what is wrong and what would be right. Judging is `decide`'s.

use super::{BasisPoints, Currency, MerchantId, OfferId, Timestamp};
use compact_str::CompactString;
use jiff::civil;
use serde::{Deserialize, Serialize};

/// One version of an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferVersion {
    /// The offer.
    pub offer: OfferId,
    /// From 1; the same content is never a new version.
    pub version: u32,
    /// What is promised.
    pub terms: Terms,
}

/// What is promised. All money in `currency`, all local times the location's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Who funds it.
    pub merchant: MerchantId,
    /// Shown to members.
    pub title: String,
    /// Currency of terms and reward; a purchase in another is refused.
    pub currency: Currency,
    /// What is given.
    pub reward: Reward,
    /// Must all hold.
    pub when: Vec<Condition>,
    /// Local date and time from which purchases count; `None` is from publication.
    pub starts: Option<civil::DateTime>,
    /// Local date and time before which purchases count; `None` is until ended.
    pub ends: Option<civil::DateTime>,
    /// Most this offer may give in all, pending included; `None` is unlimited.
    pub budget_minor: Option<i64>,
    /// Caps of one member.
    pub limits: Limits,
    /// Whether the member must opt in.
    pub activation: Activation,
    /// How it combines with others on one purchase.
    pub stacking: Stacking,
    /// Days between the last clearing's posting and availability.
    pub hold_days: u32,
    /// Share of members, in percent, kept out to measure what the offer brings.
    pub holdout_percent: u8,
    /// Whether cash-like purchases (by MCC) earn too.
    pub cash_like: bool,
}

/// What is given for a purchase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reward {
    /// A share of the purchase, rounded down, at most `max_minor`.
    Percent {
        /// The share.
        basis_points: BasisPoints,
        /// Cap per purchase; `None` is none.
        max_minor: Option<i64>,
    },
    /// The same amount for every purchase.
    Fixed {
        /// Minor units.
        minor: i64,
    },
}

/// A condition over the purchase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// The purchase's worth reaches this.
    SpendAtLeast(i64),
    /// The local time of the purchase lies in a window.
    LocalTime {
        /// Bit 0 is Monday; 127 is every day.
        days: u8,
        /// Minute of the day from which it counts.
        from_minute: u16,
        /// Minute of the day before which it counts (1440 is midnight). A window
        /// with `to` not after `from` runs over midnight and belongs to the day it began.
        to_minute: u16,
    },
}

/// Caps of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// At most so many rewarded purchases per period.
    pub per_member: Option<CountCap>,
    /// At most so much reward in all, minor units.
    pub reward_per_member_minor: Option<i64>,
}

/// At most `count` per calendar period, local to the location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountCap {
    /// Rewarded purchases.
    pub count: u32,
    /// The period.
    pub every: Period,
}

/// A calendar period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A local day.
    Day,
    /// A local week, from Monday.
    Week,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
    /// The offer's whole life.
    Ever,
}

/// Whether a member must opt in before buying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Only purchases while the member has opted in count.
    Required,
    /// Everybody takes part.
    Automatic,
}

/// How an offer combines with others on one purchase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stacking {
    /// Offers of one group compete; `None` is a group of its own.
    pub group: Option<CompactString>,
    /// Exclusive in its group, or combined with the rest.
    pub mode: StackingMode,
    /// Higher goes first.
    pub priority: i32,
}

/// Exclusive or combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StackingMode {
    /// Of the group's exclusive offers only the best for the member gives.
    Exclusive,
    /// Gives besides others.
    Combine,
}

/// Something that happened in an offer's life; counts from `effective`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifeStep {
    /// From when it counts.
    pub effective: Timestamp,
    /// What.
    pub change: LifeChange,
}

/// What changed in an offer's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LifeChange {
    /// This version is in force.
    Published(u32),
    /// Nothing is given until resumed.
    Paused,
    /// Gives again.
    Resumed,
    /// Never gives again.
    Ended,
}

/// An offer with all its versions and its life, oldest first. This is the document
/// the store keeps; it only grows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The id.
    pub id: OfferId,
    /// Number `n` is at `n - 1`.
    pub versions: Vec<OfferVersion>,
    /// By `effective`, then as recorded.
    pub life: Vec<LifeStep>,
}

/// Whether an offer gives at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InForce<'a> {
    /// Not published by then.
    NotYet,
    /// This version counts.
    Version(&'a OfferVersion),
    /// Published but paused.
    Paused(&'a OfferVersion),
    /// Ended by then.
    Ended(&'a OfferVersion),
}

impl Offer {
    /// What is in force at an instant. Linear in the life steps, which are few.
    #[must_use]
    pub fn in_force(&self, at: Timestamp) -> InForce<'_> {
        let mut version = None;
        let mut paused = false;
        let mut ended = false;
        for step in self.life.iter().filter(|step| step.effective <= at) {
            match step.change {
                LifeChange::Published(number) => version = self.version(number),
                LifeChange::Paused => paused = true,
                LifeChange::Resumed => paused = false,
                LifeChange::Ended => ended = true,
            }
        }
        match version {
            None => InForce::NotYet,
            Some(version) if ended => InForce::Ended(version),
            Some(version) if paused => InForce::Paused(version),
            Some(version) => InForce::Version(version),
        }
    }
    /// A version by its number.
    #[must_use]
    pub fn version(&self, number: u32) -> Option<&OfferVersion> {
        self.versions.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }
    /// The newest version.
    #[must_use]
    pub fn newest(&self) -> &OfferVersion {
        self.versions.last().expect("an offer is created with its first version")
    }
    /// The version published last, whether or not it is in force yet.
    #[must_use]
    pub fn newest_published(&self) -> Option<&OfferVersion> {
        let published = self.life.iter().filter_map(|step| match step.change {
            LifeChange::Published(number) => Some(number),
            _ => None,
        });
        self.version(published.max()?)
    }
    /// The merchant who funds it.
    #[must_use]
    pub fn merchant(&self) -> &MerchantId {
        &self.newest().terms.merchant
    }
    /// Adds a life step in its place.
    pub fn step(&mut self, step: LifeStep) {
        let place = self.life.partition_point(|other| other.effective <= step.effective);
        self.life.insert(place, step);
    }
}
