//! What makes an offer look at a member, whose purchases it looks at, and who pays and gets
//! the reward, as documents say it.

use super::condition::{categories, code, each, shown_category};
use super::{Reader, RewardDocument};
use crate::api::check::{self, Fault};
use crate::domain::offer::{Beneficiary, Funding, Reach, Trigger};
use crate::domain::{BasisPoints, MerchantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What makes an offer look at a member besides a purchase: an object with exactly one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TriggerDocument {
    /// Something the member did that is no purchase, by its kind: `review-posted`.
    Signal(String),
    /// A member whom they referred has made their first purchase of at least so much.
    Referral(Box<ReferralDocument>),
    /// The member spends points on it, once for each request.
    Points(SpentPointsDocument),
}

/// Which referrals count, and what the referred member gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct ReferralDocument {
    /// The referred member's first purchase is worth at least this.
    #[schema(minimum = 1)]
    pub spend_at_least_minor: i64,
    /// What the referred member gets for that purchase; without it nothing. The offer's `when`
    /// asks who refers alone: what the referred member must fulfil is said by a `first_of` here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referred_reward: Option<RewardDocument>,
}

/// Points that are spent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct SpentPointsDocument {
    /// Of which unit.
    #[schema(example = "beans")]
    pub unit: String,
    /// So many.
    #[schema(minimum = 1)]
    pub points: i64,
}

/// An offer over merchant categories rather than one merchant's shops.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct ReachDocument {
    /// The categories: `5411` or `5812-5814`.
    #[schema(min_items = 1, max_items = 100)]
    pub mcc: Vec<String>,
    /// Merchants that take no part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub except: Vec<String>,
}

/// Who pays for the reward: a word, or the merchant's share in basis points (the operator bears the rest).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FundingDocument {
    /// The offer's merchant.
    #[default]
    Merchant,
    /// The operator of the programme.
    Operator,
    /// The merchant this share, 0 to 10000.
    MerchantBasisPoints(u32),
}

/// Who gets the reward: a word, or `{"causes": […]}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BeneficiaryDocument {
    /// The member who buys.
    #[default]
    Member,
    /// The one of these causes that the member chose.
    Causes(Vec<String>),
}

impl TriggerDocument {
    /// What it means; faults go to the reader.
    pub(super) fn read(self, reader: &mut Reader) -> Option<Trigger> {
        match self {
            Self::Signal(kind) => {
                let kind = reader.take(code("trigger.signal", &kind))?;
                Some(Trigger::Signal { kind })
            }
            Self::Referral(referral) => {
                let ReferralDocument { spend_at_least_minor, referred_reward } = *referral;
                let path = "trigger.referral.spend_at_least_minor";
                let least = reader.take(check::minor(path, spend_at_least_minor, 1));
                let referred = match referred_reward {
                    Some(reward) => reward.read("trigger.referral.referred_reward", reader).map(Some),
                    None => Some(None),
                };
                Some(Trigger::Referral { spend_at_least_minor: least?, referred: referred? })
            }
            Self::Points(spent) => {
                let unit = reader.take(code("trigger.points.unit", &spent.unit));
                let points = reader.take(check::minor("trigger.points.points", spent.points, 1));
                Some(Trigger::Points { unit: unit?, points: points? })
            }
        }
    }

    /// The document of a trigger; `None` is a purchase.
    pub(super) fn of(trigger: &Trigger) -> Option<Self> {
        match trigger {
            Trigger::Purchase => None,
            Trigger::Signal { kind } => Some(Self::Signal(kind.to_string())),
            Trigger::Referral { spend_at_least_minor, referred } => Some(Self::Referral(Box::new(ReferralDocument {
                spend_at_least_minor: *spend_at_least_minor,
                referred_reward: referred.as_ref().map(RewardDocument::of),
            }))),
            Trigger::Points { unit, points } => {
                Some(Self::Points(SpentPointsDocument { unit: unit.to_string(), points: *points }))
            }
        }
    }
}

impl ReachDocument {
    /// What it means.
    pub(super) fn read(self) -> Result<Reach, Fault> {
        let mcc = categories("reach.mcc", self.mcc)?;
        if self.except.is_empty() {
            return Ok(Reach::Category { mcc, except: Vec::new() });
        }
        let merchant = |path: &str, id: String| {
            check::no_card_number(path, &id)?;
            MerchantId::new(id).map_err(|error| Fault::bad(path, error.to_string()))
        };
        Ok(Reach::Category { mcc, except: each("reach.except", self.except, merchant)? })
    }

    /// The document of a reach; `None` is the merchant's own shops.
    pub(super) fn of(reach: &Reach) -> Option<Self> {
        match reach {
            Reach::Merchant => None,
            Reach::Category { mcc, except } => Some(Self {
                mcc: mcc.iter().map(shown_category).collect(),
                except: except.iter().map(ToString::to_string).collect(),
            }),
        }
    }
}

impl FundingDocument {
    /// What it means.
    pub(super) fn read(self) -> Result<Funding, Fault> {
        let merchant = match self {
            Self::Merchant => BasisPoints::WHOLE,
            Self::Operator => BasisPoints(0),
            Self::MerchantBasisPoints(points) if points <= BasisPoints::WHOLE.0 => BasisPoints(points),
            Self::MerchantBasisPoints(points) => {
                let detail = format!("must be 0 to 10000 (5000 is one half), is {points}");
                return Err(Fault::bad("funding.merchant_basis_points", detail));
            }
        };
        Ok(Funding { merchant })
    }

    /// The document of a funding.
    pub(super) fn of(funding: Funding) -> Self {
        match funding.merchant {
            BasisPoints::WHOLE => Self::Merchant,
            BasisPoints(0) => Self::Operator,
            BasisPoints(points) => Self::MerchantBasisPoints(points),
        }
    }
}

impl BeneficiaryDocument {
    /// What it means.
    pub(super) fn read(self) -> Result<Beneficiary, Fault> {
        match self {
            Self::Member => Ok(Beneficiary::Member),
            Self::Causes(list) => {
                let causes = each("beneficiary.causes", list, |path, cause| code(path, &cause))?;
                let twice = (1..causes.len()).find(|place| causes[..*place].contains(&causes[*place]));
                match twice {
                    Some(place) => {
                        Err(Fault::contradiction(format!("beneficiary.causes[{place}]"), "this cause is given twice"))
                    }
                    None => Ok(Beneficiary::Cause(causes)),
                }
            }
        }
    }

    /// The document of a beneficiary.
    pub(super) fn of(beneficiary: &Beneficiary) -> Self {
        match beneficiary {
            Beneficiary::Member => Self::Member,
            Beneficiary::Cause(causes) => Self::Causes(causes.iter().map(ToString::to_string).collect()),
        }
    }
}
