//! What an offer gives: of *what*, and *how much*. Any amount goes with any unit, so that
//! points by tiers or a fixed perk need no kind of their own.

use super::Condition;
use crate::domain::{BasisPoints, Code, Currency, OfferId, Unit};
use serde::{Deserialize, Serialize};

/// What is given each time the offer's conditions hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reward {
    /// Of what.
    pub what: What,
    /// How much.
    pub amount: Amount,
}

/// Of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// Money in the offer's currency.
    Money,
    /// Points of a named unit.
    Points {
        /// The unit.
        unit: Code,
        /// Days from when they may be spent until they are gone; `None` is never.
        expires_days: Option<u32>,
        /// What a hundred are worth to a member, minor units of the offer's currency: for
        /// choosing between offers and for ranking them. Nothing is ever converted by it.
        worth_of_100_minor: i64,
    },
    /// Something that is not money.
    Perk {
        /// What the merchant calls it.
        code: Code,
        /// Days from when it may be used until it is gone; `None` is never.
        expires_days: Option<u32>,
        /// What one is worth to a member, as for points.
        worth_minor: i64,
    },
}

impl What {
    /// What the amounts are counted in.
    #[must_use]
    pub fn unit(&self, currency: Currency) -> Unit {
        match *self {
            Self::Money => Unit::Money(currency),
            Self::Points { unit, .. } => Unit::Points(unit),
            Self::Perk { code, .. } => Unit::Perk(code),
        }
    }
    /// After how many days of being available it is gone.
    #[must_use]
    pub fn expires_days(&self) -> Option<u32> {
        match *self {
            Self::Money => None,
            Self::Points { expires_days, .. } | Self::Perk { expires_days, .. } => expires_days,
        }
    }
    /// What so much of it is worth to a member, minor units of the offer's currency.
    #[must_use]
    pub fn worth_minor(&self, amount: i64) -> i64 {
        match *self {
            Self::Money => amount,
            Self::Points { worth_of_100_minor, .. } => amount.saturating_mul(worth_of_100_minor) / 100,
            Self::Perk { worth_minor, .. } => amount.saturating_mul(worth_minor),
        }
    }
}

/// How much: a function of the purchase, rounded down to whole units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Amount {
    /// The same each time.
    Fixed(i64),
    /// A share of the purchase.
    Share {
        /// The share.
        basis_points: BasisPoints,
        /// At most so much for one purchase.
        max: Option<i64>,
    },
    /// So much for each whole step of spend: one point for each 1.00.
    PerStep {
        /// How much for each.
        give: i64,
        /// The step, minor units.
        spend_minor: i64,
        /// At most so much for one purchase.
        max: Option<i64>,
    },
    /// By spend: the highest step that the purchase reaches; below the first, nothing.
    Steps(Vec<SpendStep>),
    /// What the purchase lacks to the next whole multiple, minor units.
    RoundUp {
        /// The multiple.
        to_minor: i64,
    },
    /// A share of what another offer of the merchant gives for the same purchase, in its
    /// unit: 10000 basis points double it.
    OfAnother {
        /// That offer, which must not itself give a share of another.
        offer: OfferId,
        /// The share.
        basis_points: BasisPoints,
    },
    /// The first branch whose condition holds; when none does, nothing.
    FirstOf(Vec<Branch>),
}

/// A step of [`Amount::Steps`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendStep {
    /// From this spend on, minor units.
    pub spend_minor: i64,
    /// So much.
    pub give: i64,
}

/// A branch of [`Amount::FirstOf`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// When it is taken.
    pub when: Condition,
    /// What it gives; never itself a choice.
    pub amount: Amount,
}

impl Reward {
    /// Whether it is money.
    #[must_use]
    pub fn is_money(&self) -> bool {
        self.what == What::Money
    }
    /// A share of the purchase in money.
    #[must_use]
    pub fn percent(basis_points: u32, max: Option<i64>) -> Self {
        Self { what: What::Money, amount: Amount::Share { basis_points: BasisPoints(basis_points), max } }
    }
    /// The same amount of money each time, minor units.
    #[must_use]
    pub fn fixed(minor: i64) -> Self {
        Self { what: What::Money, amount: Amount::Fixed(minor) }
    }
}
