//! Limits as documents say them: caps of one member, calendar periods, the ladder of tiers.

use super::Reader;
use super::condition::{DAYS_MAX, code};
use crate::api::check::{self, Fault};
use crate::domain::offer::{CountCap, Ladder, LadderTier, Limits, Period, RewardCap};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most rungs of a ladder.
const TIERS_MAX: usize = 16;

/// Caps of one member.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct LimitsDocument {
    /// At most so many rewarded purchases per period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_member: Option<CountCapDocument>,
    /// At most so much reward in all; of points and perks, so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub reward_per_member_minor: Option<i64>,
    /// At most so much reward per period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_per_period: Option<RewardCapDocument>,
    /// At most so many qualified referrals of one referrer per period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrals: Option<CountCapDocument>,
}

/// At most `count` per calendar period, local to the shop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct CountCapDocument {
    /// How many, at least 1.
    #[schema(minimum = 1)]
    pub count: u32,
    /// The period.
    pub every: PeriodWord,
}

/// At most `minor` per calendar period, local to the shop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct RewardCapDocument {
    /// How much, minor units; of points and perks, how many.
    #[schema(minimum = 1)]
    pub minor: i64,
    /// The period.
    pub every: PeriodWord,
}

/// A calendar period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeriodWord {
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

impl PeriodWord {
    /// What it means.
    pub(super) fn period(self) -> Period {
        match self {
            Self::Day => Period::Day,
            Self::Week => Period::Week,
            Self::Month => Period::Month,
            Self::Year => Period::Year,
            Self::Ever => Period::Ever,
        }
    }
    /// The word of a period.
    pub(super) fn of(period: Period) -> Self {
        match period {
            Period::Day => Self::Day,
            Period::Week => Self::Week,
            Period::Month => Self::Month,
            Period::Year => Self::Year,
            Period::Ever => Self::Ever,
        }
    }
}

/// Tiers by rolling spend at the merchant. One rises at once, and falls `grace_days` after
/// the spend has left the window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct LadderDocument {
    /// Days of spend that count, 1 to 3660.
    #[schema(minimum = 1, maximum = 3660)]
    pub window_days: u32,
    /// Days for which a tier outlasts its spend, 0 to 3660.
    #[serde(default)]
    #[schema(maximum = 3660)]
    pub grace_days: u32,
    /// Lowest first.
    #[schema(min_items = 1, max_items = 16)]
    pub tiers: Vec<TierDocument>,
}

/// A tier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct TierDocument {
    /// A short name, such as `gold`.
    pub name: String,
    /// From this rolling spend on.
    #[schema(minimum = 1)]
    pub spend_minor: i64,
}

/// Days from `least` to `most`.
pub(super) fn days(path: &str, days: u32, least: u32, most: u32) -> Result<u32, Fault> {
    if (least..=most).contains(&days) {
        return Ok(days);
    }
    Err(Fault::bad(path, format!("must be {least} to {most}, is {days}")))
}

impl LimitsDocument {
    /// What it means; faults go to the reader.
    pub(super) fn read(self, reader: &mut Reader) -> Option<Limits> {
        let counted = |key: &str, cap: Option<CountCapDocument>| cap.map(|cap| cap.read(key)).transpose();
        let per_member = reader.take(counted("per_member", self.per_member));
        let path = "limits.reward_per_member_minor";
        let minor = self.reward_per_member_minor.map(|minor| check::minor(path, minor, 1)).transpose();
        let reward_per_member_minor = reader.take(minor);
        let per_period = self.reward_per_period.map(|cap| {
            let minor = check::minor("limits.reward_per_period.minor", cap.minor, 1)?;
            Ok(RewardCap { minor, every: cap.every.period() })
        });
        let reward_per_period = reader.take(per_period.transpose());
        let referrals = reader.take(counted("referrals", self.referrals));
        Some(Limits {
            per_member: per_member?,
            reward_per_member_minor: reward_per_member_minor?,
            reward_per_period: reward_per_period?,
            referrals: referrals?,
        })
    }

    /// The document of limits.
    pub(super) fn of(limits: &Limits) -> Self {
        Self {
            per_member: limits.per_member.map(CountCapDocument::of),
            reward_per_member_minor: limits.reward_per_member_minor,
            reward_per_period: limits
                .reward_per_period
                .map(|cap| RewardCapDocument { minor: cap.minor, every: PeriodWord::of(cap.every) }),
            referrals: limits.referrals.map(CountCapDocument::of),
        }
    }
}

impl CountCapDocument {
    fn read(self, key: &str) -> Result<CountCap, Fault> {
        if self.count == 0 {
            let detail = format!("must be at least 1; leave `{key}` out for no cap");
            return Err(Fault::bad(format!("limits.{key}.count"), detail));
        }
        Ok(CountCap { count: self.count, every: self.every.period() })
    }
    fn of(cap: CountCap) -> Self {
        Self { count: cap.count, every: PeriodWord::of(cap.every) }
    }
}

impl LadderDocument {
    /// What it means.
    pub(super) fn read(self) -> Result<Ladder, Fault> {
        let window_days = days("ladder.window_days", self.window_days, 1, DAYS_MAX)?;
        let grace_days = days("ladder.grace_days", self.grace_days, 0, DAYS_MAX)?;
        if self.tiers.is_empty() {
            return Err(Fault::bad("ladder.tiers", "must have at least one tier; leave `ladder` out for none"));
        }
        check::at_most("ladder.tiers", &self.tiers, TIERS_MAX)?;
        let mut tiers: Vec<LadderTier> = Vec::with_capacity(self.tiers.len());
        for (place, tier) in self.tiers.into_iter().enumerate() {
            let path = format!("ladder.tiers[{place}]");
            let name = code(&format!("{path}.name"), &tier.name)?;
            let spend_minor = check::minor(&format!("{path}.spend_minor"), tier.spend_minor, 1)?;
            if tiers.iter().any(|other| other.name == name) {
                return Err(Fault::contradiction(format!("{path}.name"), format!("`{name}` is given twice")));
            }
            if let Some(below) = tiers.last().filter(|below| spend_minor <= below.spend_minor) {
                let detail =
                    format!("must be more than that of `{}` below it, which is {}", below.name, below.spend_minor);
                return Err(Fault::contradiction(format!("{path}.spend_minor"), detail));
            }
            tiers.push(LadderTier { name, spend_minor });
        }
        Ok(Ladder { window_days, grace_days, tiers })
    }

    /// The document of a ladder.
    pub(super) fn of(ladder: &Ladder) -> Self {
        let tier = |tier: &LadderTier| TierDocument { name: tier.name.to_string(), spend_minor: tier.spend_minor };
        Self {
            window_days: ladder.window_days,
            grace_days: ladder.grace_days,
            tiers: ladder.tiers.iter().map(tier).collect(),
        }
    }
}
