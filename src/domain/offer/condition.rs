//! Conditions: a small closed language. A tree of *all*, *any* and *not* over leaves that
//! look at the purchase at hand, at the member, or at a *count* over the member's purchases.
//!
//! Punch cards, first purchases, lapsed customers, streaks, tiers, spend-X-get-Y and visits
//! to several shops are all [`Count`]s: something counted over some purchases within some
//! time, compared with a number.

use super::Period;
use crate::domain::{Channel, Code, LocationId, MerchantId};
use compact_str::CompactString;
use jiff::civil;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// All hold; without any, it holds.
    All(Vec<Condition>),
    /// At least one holds.
    Any(Vec<Condition>),
    /// It does not hold. What cannot be told (an hour that was not sent) does not hold either way.
    Not(Box<Condition>),
    /// The purchase at hand.
    Purchase(PurchaseTest),
    /// The member, at the time that counts.
    Member(MemberTest),
    /// Something counted over the member's purchases.
    Count(Count),
}

impl Condition {
    /// Holds always.
    #[must_use]
    pub const fn always() -> Self {
        Self::All(Vec::new())
    }
    /// The purchase is worth at least so much, minor units.
    #[must_use]
    pub const fn spend_at_least(minor: i64) -> Self {
        Self::Purchase(PurchaseTest::Spend(Bounds { at_least: Some(minor), at_most: None }))
    }
    /// The purchase's local time lies in a weekly window.
    #[must_use]
    pub const fn local_time(days: u8, from_minute: u16, to_minute: u16) -> Self {
        Self::Purchase(PurchaseTest::LocalTime(LocalTime { days, from_minute, to_minute }))
    }
    /// Each leaf of the tree, in order.
    pub fn each_leaf<'a>(&'a self, look: &mut impl FnMut(&'a Condition)) {
        match self {
            Self::All(list) | Self::Any(list) => list.iter().for_each(|condition| condition.each_leaf(look)),
            Self::Not(condition) => condition.each_leaf(look),
            leaf => look(leaf),
        }
    }
}

/// A test of one purchase, by its own facts alone: so it serves for the purchase at hand
/// and for those that are counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PurchaseTest {
    /// What stands of it lies in a range, minor units of the offer's currency.
    Spend(Bounds),
    /// How it was made.
    Channel(Channel),
    /// At one of these shops of the merchant.
    Locations(Vec<LocationId>),
    /// In one of these countries, ISO 3166 alpha-2: the shop's.
    Countries(Vec<CompactString>),
    /// Its merchant category lies in one of these ranges.
    Mcc(Vec<RangeInclusive<u16>>),
    /// Its local time lies in a weekly window.
    LocalTime(LocalTime),
    /// Its local date lies in one of these ranges, both ends included.
    Dates(Vec<RangeInclusive<civil::Date>>),
}

/// A weekly window of a shop's local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalTime {
    /// Bit 0 is Monday; 127 is every day.
    pub days: u8,
    /// Minute of the day from which it counts.
    pub from_minute: u16,
    /// Minute of the day before which it counts (1440 is midnight). A window with `to` not
    /// after `from` runs over midnight and belongs to the day it began.
    pub to_minute: u16,
}

/// A range of whole numbers, both ends included; a missing end is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bounds {
    /// At least.
    pub at_least: Option<i64>,
    /// At most.
    pub at_most: Option<i64>,
}

impl Bounds {
    /// Whether a number lies within.
    #[must_use]
    pub fn holds(&self, value: i64) -> bool {
        self.at_least.is_none_or(|least| value >= least) && self.at_most.is_none_or(|most| value <= most)
    }
}

/// A test of the member by facts in force at the purchase's time (for a referral, when it
/// was made).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberTest {
    /// In at least one of these groups, in the operator's words.
    Segments(Vec<String>),
    /// Of one of these regions, in the operator's words.
    Regions(Vec<String>),
    /// The local date lies near the member's birthday.
    Birthday {
        /// Days before it.
        days_before: u16,
        /// Days after it.
        days_after: u16,
    },
    /// So many whole days a member.
    TenureDays(Bounds),
    /// On at least this tier of the offer's ladder.
    Tier(Code),
    /// Trusted without reserve: nobody is looking at the account.
    Clear,
    /// Was referred by somebody.
    Referred,
}

/// Something counted over the member's purchases that stand, the one at hand included if it
/// is among them: at the offer's merchant, or for an offer over a category, in the category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// What is counted.
    pub what: Measure,
    /// Only purchases that pass all of these.
    pub of: Vec<PurchaseTest>,
    /// Only purchases of this time.
    pub within: Within,
    /// How the number compares.
    pub is: Comparison,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Purchases.
    Purchases,
    /// What stands of them, minor units of the offer's currency.
    Spend,
    /// Different shops.
    Locations,
    /// Different merchant categories.
    Categories,
    /// Consecutive calendar periods with a purchase in each, up to that of the purchase at hand.
    Streak(Period),
    /// Whole days since the one before the purchase at hand; there must be one.
    DaysSince,
    /// Qualified referrals the member made.
    Referrals,
}

/// Purchases of which time are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Within {
    /// The calendar period of the purchase at hand, local to its shop; `Ever` is all.
    Calendar(Period),
    /// So many days of 24 hours before the purchase at hand.
    Days(u32),
    /// Since the offer's local start.
    Offer,
}

/// How a number compares. `before` is the number without the purchase at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Lies in a range.
    Within(Bounds),
    /// This purchase brings it to the number or past it.
    Reaches(i64),
    /// This purchase brings it to a multiple of the number or past one.
    Every(i64),
}

impl Comparison {
    /// Whether it holds.
    #[must_use]
    pub fn holds(self, before: i64, now: i64) -> bool {
        match self {
            Self::Within(bounds) => bounds.holds(now),
            Self::Reaches(number) => before < number && now >= number,
            Self::Every(number) => now.div_euclid(number) > before.div_euclid(number),
        }
    }
}

/// A ladder of tiers by rolling spend at the offer's merchant. The tier at a time is the
/// highest reached at the end of any local day of the last `grace_days` (at least one): one
/// rises over night and falls late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ladder {
    /// Days of spend that count.
    pub window_days: u32,
    /// Days for which a tier outlasts its spend.
    pub grace_days: u32,
    /// Lowest first.
    pub tiers: Vec<LadderTier>,
}

/// A rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LadderTier {
    /// Its name.
    pub name: Code,
    /// From this rolling spend on, minor units.
    pub spend_minor: i64,
}

/// Whose purchases an offer looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reach {
    /// Those at the offer's merchant.
    Merchant,
    /// Those anywhere in some merchant categories, but not at these merchants.
    Category {
        /// The categories.
        mcc: Vec<RangeInclusive<u16>>,
        /// Merchants that take no part.
        except: Vec<MerchantId>,
    },
}
