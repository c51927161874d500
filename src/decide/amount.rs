//! How much an offer gives for what it looked at, before caps. Every share is rounded down,
//! once, here.

use super::evaluate::Case;
use super::refusal::Refusal;
use crate::domain::offer::{Amount, What};

impl Case<'_> {
    /// What the offer's amount comes to, in the reward's unit; `Ok(None)` when it is a share of
    /// what another offer gives, which is known later.
    ///
    /// # Errors
    /// Why it comes to nothing.
    pub fn give(&self) -> Result<Option<i64>, Refusal> {
        let given = match self.amount(&self.reward.amount)? {
            None => return Ok(None),
            Some(given) => given,
        };
        // Money never exceeds the purchase; a point or a perk has no price to compare.
        let given = match (self.reward.what, self.bought) {
            (What::Money, Some(bought)) => given.min(bought.minor),
            _ => given,
        };
        if given > 0 { Ok(Some(given)) } else { Err(Refusal::RewardRoundsToZero) }
    }

    /// `None` is a share of what another offer gives.
    fn amount(&self, amount: &Amount) -> Result<Option<i64>, Refusal> {
        let spent = || self.bought.map(|bought| bought.minor).ok_or(Refusal::NoPurchase);
        let capped = |given: i64, max: Option<i64>| Some(max.map_or(given, |max| given.min(max)));
        Ok(match amount {
            Amount::Fixed(give) => Some(*give),
            Amount::Share { basis_points, max } => capped(basis_points.of_floor(spent()?), *max),
            Amount::PerStep { give, spend_minor, max } => capped((spent()? / spend_minor).saturating_mul(*give), *max),
            Amount::Steps(steps) => {
                let has_minor = spent()?;
                let reached = steps.iter().rfind(|step| has_minor >= step.spend_minor);
                let needs_minor = steps.first().map_or(0, |step| step.spend_minor);
                Some(reached.ok_or(Refusal::SpendTooLow { needs_minor, has_minor })?.give)
            }
            Amount::RoundUp { to_minor } => Some((to_minor - spent()? % to_minor) % to_minor),
            Amount::OfAnother { .. } => None,
            Amount::FirstOf(branches) => {
                let mut refusal = Refusal::RewardRoundsToZero;
                for branch in branches {
                    match self.check(&branch.when) {
                        Ok(()) => return self.amount(&branch.amount),
                        Err(other) => refusal = other,
                    }
                }
                return Err(refusal);
            }
        })
    }

    /// Adds what the amount rests on: the purchases that the conditions of its branches count.
    pub fn amount_rests(&self, amount: &Amount, rests: &mut super::history::Rests) {
        if let Amount::FirstOf(branches) = amount {
            for branch in branches {
                if self.check(&branch.when).is_ok() {
                    self.rests(&branch.when, rests);
                    return;
                }
            }
        }
    }
}
