//! Offers: what a merchant promises, as data. A version is never edited.
//!
//! An offer is four ideas: a [`Trigger`] that makes it look, a [`Condition`] that must hold, a
//! [`Reward`] of some [`Amount`], and [`Limits`] of what it gives. `api::offer_document` reads
//! and checks the JSON form; judging is `decide`'s.

mod condition;
mod reward;
mod words;

pub use condition::{
    Bounds, Comparison, Condition, Count, Ladder, LadderTier, LocalTime, Measure, MemberTest, PurchaseTest, Reach,
    Within,
};
pub use reward::{Amount, Branch, Reward, SpendStep, What};

use super::{BasisPoints, Code, Currency, MerchantId, OfferId, Timestamp, Unit};
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
    /// What makes it look at a member.
    pub trigger: Trigger,
    /// Whose purchases it looks at.
    pub reach: Reach,
    /// What is given.
    pub reward: Reward,
    /// Must hold; of a referral, for who refers.
    pub when: Condition,
    /// The ladder that conditions on a tier mean.
    pub ladder: Option<Ladder>,
    /// Local date and time from which purchases count; `None` is from publication.
    pub starts: Option<civil::DateTime>,
    /// Local date and time before which purchases count; `None` is until ended.
    pub ends: Option<civil::DateTime>,
    /// Most this offer may give in all, pending included; `None` is unlimited.
    pub budget_minor: Option<i64>,
    /// Most this offer may give in one day of UTC, pending included; what is taken back later
    /// gives nothing back to the day.
    pub daily_budget_minor: Option<i64>,
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
    /// Who pays for the reward.
    pub funding: Funding,
    /// Who gets the reward.
    pub beneficiary: Beneficiary,
    /// What people are shown besides the title.
    pub shown: Shown,
}

impl Terms {
    /// Terms of a plain offer: every purchase, no limits, nobody need opt in.
    #[must_use]
    pub fn new(merchant: MerchantId, title: impl Into<String>, currency: Currency, reward: Reward) -> Self {
        Self {
            merchant,
            title: title.into(),
            currency,
            trigger: Trigger::Purchase,
            reach: Reach::Merchant,
            reward,
            when: Condition::always(),
            ladder: None,
            starts: None,
            ends: None,
            budget_minor: None,
            daily_budget_minor: None,
            limits: Limits::default(),
            activation: Activation::Automatic,
            stacking: Stacking { group: None, mode: StackingMode::Combine, priority: 0 },
            hold_days: 0,
            holdout_percent: 0,
            cash_like: false,
            funding: Funding::default(),
            beneficiary: Beneficiary::default(),
            shown: Shown::default(),
        }
    }
    /// The same where this holds too.
    #[must_use]
    pub fn and(mut self, condition: Condition) -> Self {
        match &mut self.when {
            Condition::All(list) => list.push(condition),
            other => {
                let first = std::mem::replace(other, Condition::always());
                *other = Condition::All(vec![first, condition]);
            }
        }
        self
    }
    /// Every leaf of every condition: its own, and those of its rewards' branches.
    pub fn each_leaf<'a>(&'a self, look: &mut impl FnMut(&'a Condition)) {
        self.when.each_leaf(look);
        let referred = match &self.trigger {
            Trigger::Referral { referred, .. } => referred.as_ref(),
            _ => None,
        };
        for reward in std::iter::once(&self.reward).chain(referred) {
            if let Amount::FirstOf(branches) = &reward.amount {
                branches.iter().for_each(|branch| branch.when.each_leaf(look));
            }
        }
    }
    /// Whether it depends on what was bought before.
    #[must_use]
    pub fn looks_back(&self) -> bool {
        let mut found = false;
        self.each_leaf(&mut |leaf| {
            found |= matches!(leaf, Condition::Count(_) | Condition::Member(MemberTest::Tier(_)));
        });
        found
    }
    /// Whether it depends on what was said of the person, which is gone once they are erased.
    #[must_use]
    pub fn reads_profile(&self) -> bool {
        let mut found = false;
        self.each_leaf(&mut |leaf| {
            found |= matches!(
                leaf,
                Condition::Member(MemberTest::Segments(_) | MemberTest::Regions(_) | MemberTest::Birthday { .. })
            );
        });
        found
    }
    /// Whether a budget has a word in what it gives.
    #[must_use]
    pub fn is_budgeted(&self) -> bool {
        self.budget_minor.is_some() || self.daily_budget_minor.is_some()
    }
    /// What the reward is counted in.
    #[must_use]
    pub fn unit(&self) -> Unit {
        self.reward.what.unit(self.currency)
    }
    /// The points and perks it names, each with its place in the offer's document. They are
    /// their merchant's own: conditions and money name none.
    pub fn named_units(&self) -> impl Iterator<Item = (&'static str, Unit)> {
        let (referred, spent) = match &self.trigger {
            Trigger::Referral { referred, .. } => (referred.as_ref(), None),
            Trigger::Points { unit, .. } => (None, Some(("trigger.points.unit", Unit::Points(*unit)))),
            _ => (None, None),
        };
        let rewards = [
            (Some(&self.reward), "reward.unit", "reward.code"),
            (referred, "trigger.referral.referred_reward.unit", "trigger.referral.referred_reward.code"),
        ];
        let given = rewards.into_iter().filter_map(|(reward, points, perk)| match reward?.what {
            What::Points { unit, .. } => Some((points, Unit::Points(unit))),
            What::Perk { code, .. } => Some((perk, Unit::Perk(code))),
            What::Money => None,
        });
        given.chain(spent)
    }
}

/// Who pays for a reward: the merchant's share, the operator bears the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Funding {
    /// 10000 is the merchant alone, 0 the operator alone.
    pub merchant: BasisPoints,
}

impl Default for Funding {
    fn default() -> Self {
        Self { merchant: BasisPoints::WHOLE }
    }
}

/// Who gets a reward.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Beneficiary {
    /// The member.
    #[default]
    Member,
    /// The one of these causes that the member chose.
    Cause(Vec<Code>),
}

/// What people are shown of an offer besides its title.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Shown {
    /// The terms, in words.
    pub terms: Option<String>,
    /// Address of a picture.
    pub image: Option<String>,
    /// Title and terms in other languages, by BCP 47 tag.
    pub languages: Vec<Translation>,
}

/// Title and terms in a language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Translation {
    /// BCP 47 tag.
    pub language: CompactString,
    /// The title.
    pub title: String,
    /// The terms.
    pub terms: Option<String>,
}

/// What makes an offer look at a member.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Trigger {
    /// A purchase.
    #[default]
    Purchase,
    /// Something the member did that is no purchase: a review, an idea, an event attended.
    Signal {
        /// Its kind, in the operator's words.
        kind: Code,
    },
    /// A member they referred has made their first standing purchase of at least so much, and
    /// both are trusted.
    Referral {
        /// The least spend, minor units.
        spend_at_least_minor: i64,
        /// What the referred member gets for that purchase, besides what the referrer gets.
        referred: Option<Reward>,
    },
    /// The member spends points on it, once for each request.
    Points {
        /// Of which unit.
        unit: Code,
        /// So many.
        points: i64,
    },
}

/// Caps of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// At most so many rewarded purchases per period.
    pub per_member: Option<CountCap>,
    /// At most so much reward in all, in the reward's unit.
    pub reward_per_member_minor: Option<i64>,
    /// At most so much reward per period, in the reward's unit.
    pub reward_per_period: Option<RewardCap>,
    /// At most so many qualified referrals of one referrer are rewarded.
    pub referrals: Option<CountCap>,
}

/// At most `minor` per calendar period, local to the location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewardCap {
    /// In the reward's unit.
    pub minor: i64,
    /// The period.
    pub every: Period,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LifeChange {
    /// Its merchant, who has published nothing yet, wants this version published: an operator
    /// has to approve.
    ApprovalAsked(u32),
    /// An operator said no, for this reason.
    Rejected(CompactString),
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
                LifeChange::ApprovalAsked(_) | LifeChange::Rejected(_) => {}
            }
        }
        match version {
            None => InForce::NotYet,
            Some(version) if ended => InForce::Ended(version),
            Some(version) if paused => InForce::Paused(version),
            Some(version) => InForce::Version(version),
        }
    }
    /// Whether any version depends on what was bought before.
    #[must_use]
    pub fn looks_back(&self) -> bool {
        self.versions.iter().any(|version| version.terms.looks_back())
    }
    /// Whether it looks beyond its merchant's shops.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        self.versions.iter().any(|version| version.terms.reach != Reach::Merchant)
    }
    /// Whether it takes purchases of a merchant category at a merchant; by the newest version,
    /// or the last that was published.
    #[must_use]
    pub fn takes_category(&self, mcc: u16, merchant: Option<&MerchantId>) -> bool {
        match &self.newest_published().unwrap_or(self.newest()).terms.reach {
            Reach::Merchant => false,
            Reach::Category { mcc: ranges, except } => {
                ranges.iter().any(|range| range.contains(&mcc)) && merchant.is_none_or(|at| !except.contains(at))
            }
        }
    }
    /// From when its first publication counts; the far end of time for a draft.
    #[must_use]
    pub fn published_first(&self) -> Timestamp {
        let published = |step: &&LifeStep| matches!(step.change, LifeChange::Published(_));
        self.life.iter().find(published).map_or(Timestamp::MAX, |step| step.effective)
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
    /// Whether its newest version waits for an operator's approval. Other content withdraws
    /// what was asked: nobody approves what nobody read.
    #[must_use]
    pub fn awaits_approval(&self) -> bool {
        let asked = self.life.iter().rev().find_map(|step| match step.change {
            LifeChange::ApprovalAsked(version) => Some(Some(version)),
            LifeChange::Rejected(_) => Some(None),
            _ => None,
        });
        // A publication may be dated before it was asked for.
        asked.flatten() == Some(self.newest().version) && self.newest_published().is_none()
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
