//! The offer as its document says it, and as we mean it.

use super::check::{self, Fault, NAME_BYTES_MAX};
use crate::domain::offer::{
    Activation, Amount, Condition, CountCap, Limits, LocalTime, Period, PurchaseTest, Reward, Stacking, StackingMode,
    Terms,
};
use crate::domain::{Currency, MerchantId};
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most conditions of one offer.
const CONDITIONS_MAX: usize = 16;
/// Longest hold.
const HOLD_DAYS_MAX: u32 = 365;
/// Days of a week, Monday first.
const WEEK: [Weekday; 7] =
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];
const MINUTES_PER_DAY: u16 = 24 * 60;

/// What a merchant promises. All money in `currency`, all local times the location's.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct OfferDocument {
    /// Who funds it; never changes.
    #[schema(value_type = String, example = "blue-bottle")]
    pub merchant: MerchantId,
    /// Shown to members.
    #[schema(example = "5% back before noon")]
    pub title: String,
    /// ISO 4217; never changes. A purchase in another currency is refused.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
    /// What is given.
    pub reward: RewardDocument,
    /// Conditions; without them every purchase counts.
    #[serde(default)]
    pub when: WhenDocument,
    /// Local date and time from which purchases count; without it from publication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-11-01T00:00")]
    pub starts: Option<String>,
    /// Local date and time before which purchases count; without it until ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-12-01T00:00")]
    pub ends: Option<String>,
    /// Most this offer may give in all, pending included; without it there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_minor: Option<i64>,
    /// Caps of one member; without them none.
    #[serde(default)]
    pub limits: LimitsDocument,
    /// Whether a member must opt in before buying.
    #[serde(default)]
    pub activation: ActivationWord,
    /// How it combines with others on one purchase.
    #[serde(default)]
    pub stacking: StackingDocument,
    /// Days between the last clearing's posting and availability, 0 to 365.
    #[serde(default)]
    #[schema(maximum = 365)]
    pub hold_days: u32,
    /// Share of members kept out to measure what the offer brings, 0 to 100.
    #[serde(default)]
    #[schema(maximum = 100)]
    pub holdout_percent: u8,
    /// Whether cash-like purchases (by MCC) earn too.
    #[serde(default)]
    pub allow_cash_like: bool,
    /// Who pays for the reward.
    #[serde(default)]
    pub funding: FundingWord,
    /// Who gets it.
    #[serde(default)]
    pub beneficiary: BeneficiaryWord,
}

/// What is given for a purchase: a share of it, or the same amount each time.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct RewardDocument {
    /// Which of both.
    pub kind: RewardKind,
    /// `percent`: the share, 1 to 10000; 500 is 5 %. Rounded down to the minor unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10000)]
    pub basis_points: Option<u32>,
    /// `percent`: most for one purchase; without it no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_minor: Option<i64>,
    /// `fixed`: the amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_minor: Option<i64>,
}

/// Kind of reward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RewardKind {
    /// A share of the purchase.
    Percent,
    /// The same amount for every purchase.
    Fixed,
}

/// Conditions over the purchase.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct WhenDocument {
    /// Must all hold.
    pub all: Vec<ConditionDocument>,
}

/// One condition: exactly one of its keys.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct ConditionDocument {
    /// The purchase is worth at least this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spend_at_least_minor: Option<i64>,
    /// The local time of the purchase lies in a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_time: Option<LocalTimeDocument>,
}

/// A window of the shop's local time. One that ends before it begins runs over midnight
/// and belongs to the day it began.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct LocalTimeDocument {
    /// Without it every day.
    #[serde(default = "every_day")]
    pub days: Vec<Weekday>,
    /// From this minute on; without it midnight.
    #[serde(default = "midnight")]
    #[schema(example = "06:00")]
    pub from: String,
    /// Before this minute; without it midnight.
    #[serde(default = "end_of_day")]
    #[schema(example = "12:00")]
    pub to: String,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "days need no words")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// Caps of one member.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct LimitsDocument {
    /// At most so many rewarded purchases per period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_member: Option<CountDocument>,
    /// At most so much reward in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_per_member_minor: Option<i64>,
}

/// At most `count` per calendar period, local to the shop.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct CountDocument {
    /// Rewarded purchases, at least 1.
    #[schema(minimum = 1)]
    pub count: u32,
    /// The period; weeks begin on Monday.
    pub every: PeriodWord,
}

/// A calendar period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum PeriodWord {
    Day,
    Week,
    Month,
    Year,
    Ever,
}

/// Whether a member must opt in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActivationWord {
    /// Only purchases while opted in count.
    #[default]
    Required,
    /// Everybody takes part.
    Automatic,
}

/// How an offer combines with others on one purchase.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct StackingDocument {
    /// Offers of one group compete; without it a group of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Exclusive in its group, or combined with the rest.
    #[serde(default = "combine")]
    pub mode: StackingWord,
    /// Higher goes first.
    #[serde(default)]
    pub priority: i32,
}

/// Exclusive or combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StackingWord {
    /// Of the group's exclusive offers only the best for the member gives.
    Exclusive,
    /// Gives besides others.
    Combine,
}

/// Who pays for the reward.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FundingWord {
    /// The offer's merchant.
    #[default]
    Merchant,
}

/// Who gets the reward.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BeneficiaryWord {
    /// The member who buys.
    #[default]
    Member,
}

impl Default for StackingDocument {
    fn default() -> Self {
        Self { group: None, mode: combine(), priority: 0 }
    }
}

fn combine() -> StackingWord {
    StackingWord::Combine
}
fn every_day() -> Vec<Weekday> {
    WEEK.to_vec()
}
fn midnight() -> String {
    "00:00".to_owned()
}
fn end_of_day() -> String {
    "24:00".to_owned()
}

impl OfferDocument {
    /// What the document means.
    ///
    /// # Errors
    /// The first [`Fault`], with its path.
    pub fn into_terms(self) -> Result<Terms, Fault> {
        check::no_card_number("merchant", self.merchant.as_str())?;
        let title = check::text("title", &self.title, NAME_BYTES_MAX)?;
        let reward = self.reward.into_reward()?;
        let starts = self.starts.map(|text| local("starts", &text)).transpose()?;
        let ends = self.ends.map(|text| local("ends", &text)).transpose()?;
        if let (Some(starts), Some(ends)) = (starts, ends)
            && ends <= starts
        {
            return Err(Fault::contradiction("ends", format!("must be after `starts`, which is {}", shown(starts))));
        }
        let budget_minor = self.budget_minor.map(|minor| check::minor("budget_minor", minor, 1)).transpose()?;
        let limits = self.limits.into_limits()?;
        check_one_reward(&reward, budget_minor, limits.reward_per_member_minor)?;
        if self.hold_days > HOLD_DAYS_MAX {
            return Err(Fault::bad("hold_days", format!("must be 0 to {HOLD_DAYS_MAX}, is {}", self.hold_days)));
        }
        if self.holdout_percent > 100 {
            return Err(Fault::bad("holdout_percent", format!("must be 0 to 100, is {}", self.holdout_percent)));
        }
        let group = self.stacking.group.map(|group| check::short("stacking.group", &group, 64)).transpose()?;
        Ok(Terms {
            when: self.when.into_condition()?,
            starts,
            ends,
            budget_minor,
            limits,
            activation: match self.activation {
                ActivationWord::Required => Activation::Required,
                ActivationWord::Automatic => Activation::Automatic,
            },
            stacking: Stacking {
                group,
                mode: match self.stacking.mode {
                    StackingWord::Exclusive => StackingMode::Exclusive,
                    StackingWord::Combine => StackingMode::Combine,
                },
                priority: self.stacking.priority,
            },
            hold_days: self.hold_days,
            holdout_percent: self.holdout_percent,
            cash_like: self.allow_cash_like,
            ..Terms::new(self.merchant, title, self.currency, reward)
        })
    }

    /// The document of some terms.
    pub(super) fn of(terms: &Terms) -> Self {
        let (kind, basis_points, max_minor, amount_minor) = match terms.reward.amount {
            Amount::Share { basis_points, max } => (RewardKind::Percent, Some(basis_points.0), max, None),
            Amount::Fixed(minor) => (RewardKind::Fixed, None, None, Some(minor)),
            _ => unreachable!("no document says anything else"),
        };
        Self {
            merchant: terms.merchant.clone(),
            title: terms.title.clone(),
            currency: terms.currency,
            reward: RewardDocument { kind, basis_points, max_minor, amount_minor },
            when: WhenDocument {
                all: match &terms.when {
                    Condition::All(list) => list.iter().map(ConditionDocument::of).collect(),
                    _ => unreachable!("no document says anything else"),
                },
            },
            starts: terms.starts.map(shown),
            ends: terms.ends.map(shown),
            budget_minor: terms.budget_minor,
            limits: LimitsDocument {
                per_member: terms.limits.per_member.map(|cap| CountDocument {
                    count: cap.count,
                    every: match cap.every {
                        Period::Day => PeriodWord::Day,
                        Period::Week => PeriodWord::Week,
                        Period::Month => PeriodWord::Month,
                        Period::Year => PeriodWord::Year,
                        Period::Ever => PeriodWord::Ever,
                    },
                }),
                reward_per_member_minor: terms.limits.reward_per_member_minor,
            },
            activation: match terms.activation {
                Activation::Required => ActivationWord::Required,
                Activation::Automatic => ActivationWord::Automatic,
            },
            stacking: StackingDocument {
                group: terms.stacking.group.as_ref().map(ToString::to_string),
                mode: match terms.stacking.mode {
                    StackingMode::Exclusive => StackingWord::Exclusive,
                    StackingMode::Combine => StackingWord::Combine,
                },
                priority: terms.stacking.priority,
            },
            hold_days: terms.hold_days,
            holdout_percent: terms.holdout_percent,
            allow_cash_like: terms.cash_like,
            funding: FundingWord::Merchant,
            beneficiary: BeneficiaryWord::Member,
        }
    }
}

/// One whole reward must fit into the budget and into what one member may have.
fn check_one_reward(reward: &Reward, budget: Option<i64>, per_member: Option<i64>) -> Result<(), Fault> {
    let (path, one) = match reward.amount {
        Amount::Fixed(minor) => ("reward.amount_minor", minor),
        Amount::Share { max: Some(max), .. } => ("reward.max_minor", max),
        _ => return Ok(()),
    };
    if let Some(budget) = budget.filter(|budget| one > *budget) {
        return Err(Fault::contradiction(
            path,
            format!("one reward of {one} is more than `budget_minor`, which is {budget}"),
        ));
    }
    if let (Amount::Fixed(_), Some(cap)) = (&reward.amount, per_member.filter(|cap| one > *cap)) {
        let detail = format!("one reward of {one} is more than `limits.reward_per_member_minor`, which is {cap}");
        return Err(Fault::contradiction(path, detail));
    }
    Ok(())
}

impl RewardDocument {
    fn into_reward(self) -> Result<Reward, Fault> {
        let stray = |path: &str, kind: &str| {
            Fault::contradiction(path, format!("has no meaning for a {kind} reward; remove it"))
        };
        let missing = |path: &str| Fault::new("missing_field", path, "is required for this kind of reward");
        match self.kind {
            RewardKind::Percent => {
                if self.amount_minor.is_some() {
                    return Err(stray("reward.amount_minor", "percent"));
                }
                let basis_points = self.basis_points.ok_or_else(|| missing("reward.basis_points"))?;
                if !(1..=10_000).contains(&basis_points) {
                    let detail = format!("must be 1 to 10000 (500 is 5 percent), is {basis_points}");
                    return Err(Fault::bad("reward.basis_points", detail));
                }
                let max_minor = self.max_minor.map(|minor| check::minor("reward.max_minor", minor, 1)).transpose()?;
                Ok(Reward::percent(basis_points, max_minor))
            }
            RewardKind::Fixed => {
                if self.basis_points.is_some() {
                    return Err(stray("reward.basis_points", "fixed"));
                }
                if self.max_minor.is_some() {
                    return Err(stray("reward.max_minor", "fixed"));
                }
                let minor = self.amount_minor.ok_or_else(|| missing("reward.amount_minor"))?;
                Ok(Reward::fixed(check::minor("reward.amount_minor", minor, 1)?))
            }
        }
    }
}

impl WhenDocument {
    fn into_condition(self) -> Result<Condition, Fault> {
        check::at_most("when.all", &self.all, CONDITIONS_MAX)?;
        let all = self.all.into_iter().enumerate();
        let all = all.map(|(place, condition)| condition.into_condition(&format!("when.all[{place}]")));
        Ok(Condition::All(all.collect::<Result<_, _>>()?))
    }
}

impl ConditionDocument {
    fn into_condition(self, path: &str) -> Result<Condition, Fault> {
        match (self.spend_at_least_minor, self.local_time) {
            (Some(minor), None) => {
                let path = format!("{path}.spend_at_least_minor");
                Ok(Condition::spend_at_least(check::minor(&path, minor, 1)?))
            }
            (None, Some(window)) => window.into_condition(&format!("{path}.local_time")),
            (None, None) => Err(Fault::bad(path, "must have one of `spend_at_least_minor` and `local_time`")),
            (Some(_), Some(_)) => Err(Fault::contradiction(path, "has two conditions; make each an entry of its own")),
        }
    }

    fn of(condition: &Condition) -> Self {
        match *condition {
            Condition::Purchase(PurchaseTest::Spend(bounds)) => {
                Self { spend_at_least_minor: bounds.at_least, local_time: None }
            }
            Condition::Purchase(PurchaseTest::LocalTime(LocalTime { days, from_minute, to_minute })) => {
                let days = WEEK.iter().enumerate().filter(|(bit, _)| days & (1 << bit) != 0);
                let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
                let window = LocalTimeDocument {
                    days: days.map(|(_, day)| *day).collect(),
                    from: clock(from_minute),
                    to: clock(to_minute),
                };
                Self { spend_at_least_minor: None, local_time: Some(window) }
            }
            _ => unreachable!("no document says anything else"),
        }
    }
}

impl LocalTimeDocument {
    fn into_condition(self, path: &str) -> Result<Condition, Fault> {
        let mut days = 0_u8;
        for (place, day) in self.days.iter().enumerate() {
            let bit = 1 << WEEK.iter().position(|other| other == day).expect("the week has every day");
            if days & bit != 0 {
                return Err(Fault::contradiction(format!("{path}.days[{place}]"), "this day is given twice"));
            }
            days |= bit;
        }
        if days == 0 {
            return Err(Fault::bad(format!("{path}.days"), "must name at least one day; leave it out for every day"));
        }
        let from_minute = minute(&format!("{path}.from"), &self.from)?;
        let to_minute = minute(&format!("{path}.to"), &self.to)?;
        if from_minute == MINUTES_PER_DAY {
            return Err(Fault::bad(format!("{path}.from"), "24:00 is only an end; a window begins at 00:00"));
        }
        if from_minute == to_minute {
            return Err(Fault::contradiction(
                format!("{path}.to"),
                "the window has no minutes; a whole day is 00:00 to 24:00",
            ));
        }
        Ok(Condition::local_time(days, from_minute, to_minute))
    }
}

/// The minute of the day that `HH:MM` names, `24:00` included.
fn minute(path: &str, text: &str) -> Result<u16, Fault> {
    let digits = |text: &str| (text.len() == 2).then(|| text.parse::<u16>().ok()).flatten();
    let parts = text.split_once(':').and_then(|(hour, minute)| Some((digits(hour)?, digits(minute)?)));
    let minutes = parts.filter(|(_, minute)| *minute < 60).map(|(hour, minute)| hour * 60 + minute);
    let detail = format!("`{}` is not a time of day, such as 06:00, 23:59 or 24:00", check::quoted(text));
    minutes.filter(|minutes| *minutes <= MINUTES_PER_DAY).ok_or_else(|| Fault::bad(path, detail))
}

/// A local date and time: one with a zone would be somebody else's clock.
fn local(path: &str, text: &str) -> Result<DateTime, Fault> {
    let zoned = text.contains(['Z', 'z', '+', '['])
        || text.rfind('-').is_some_and(|at| text.find(['T', 't', ' ']).is_some_and(|t| t < at));
    let parsed = (!zoned && text.len() <= 32).then(|| text.parse::<DateTime>().ok()).flatten();
    parsed.ok_or_else(|| {
        let quoted = check::quoted(text);
        let detail = format!("`{quoted}` is not a local date and time without a zone, such as 2026-11-01T00:00");
        Fault::bad(path, detail)
    })
}

fn shown(local: DateTime) -> String {
    let whole_minute = local.second() == 0 && local.subsec_nanosecond() == 0;
    if whole_minute { local.strftime("%Y-%m-%dT%H:%M").to_string() } else { local.to_string() }
}

impl LimitsDocument {
    fn into_limits(self) -> Result<Limits, Fault> {
        let per_member = self.per_member.map(|cap| {
            if cap.count == 0 {
                return Err(Fault::bad(
                    "limits.per_member.count",
                    "must be at least 1; leave `per_member` out for no cap",
                ));
            }
            let every = match cap.every {
                PeriodWord::Day => Period::Day,
                PeriodWord::Week => Period::Week,
                PeriodWord::Month => Period::Month,
                PeriodWord::Year => Period::Year,
                PeriodWord::Ever => Period::Ever,
            };
            Ok(CountCap { count: cap.count, every })
        });
        let path = "limits.reward_per_member_minor";
        let reward = self.reward_per_member_minor.map(|minor| check::minor(path, minor, 1)).transpose()?;
        Ok(Limits { per_member: per_member.transpose()?, reward_per_member_minor: reward, ..Limits::default() })
    }
}

#[cfg(test)]
#[path = "offer_document_tests.rs"]
mod tests;
