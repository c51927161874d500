//! The first reason why an offer gives nothing for a purchase: a stable code and the
//! facts a person needs to see why. Checked in the order of [`Refusal`]'s variants,
//! most certain first.

use crate::domain::{Currency, SourceName};
use serde::Serialize;

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    /// The card was not this member's when buying: unlinked before, or linked after.
    CardNotLinked,
    /// Another source's feed of the same card is the one that credits.
    SeenFromAnotherSource {
        /// The one that credits.
        credited_by: SourceName,
    },
    /// Terms and purchase are in different currencies; nothing is converted.
    CurrencyDiffers {
        /// The offer's.
        offer: Currency,
        /// The purchase's.
        purchase: Currency,
    },
    /// Bought before the offer began, in the shop's local time.
    NotStarted {
        /// Local date and time of its start.
        starts: String,
    },
    /// Bought after the offer was over.
    OfferEnded,
    /// Bought while the offer was paused.
    OfferPaused,
    /// Cash, quasi-cash, gift cards and wallet loads earn nothing here.
    CashLike {
        /// The merchant category.
        mcc: u16,
    },
    /// The member had not opted in when buying.
    NotActivated,
    /// The offer is not for this member. Says no more: the reason is not for the outside.
    NotEligible,
    /// Refunded, reversed or lapsed: nothing of the purchase stands.
    NothingStands {
        /// Whether it lapsed without a clearing.
        lapsed: bool,
    },
    /// Spent less than the offer asks.
    SpendTooLow {
        /// What it asks, minor units.
        needs_minor: i64,
        /// What stands, minor units.
        has_minor: i64,
    },
    /// The offer looks at the hour, and only the day is known.
    TimeUnknown,
    /// Bought outside the offer's days or hours, local to the shop.
    OutsideHours {
        /// Local date and time of the purchase.
        bought: String,
    },
    /// The share is less than one minor unit.
    RewardRoundsToZero,
    /// The member has used the offer as often as it allows in the period.
    CapReached {
        /// The cap.
        cap: u32,
        /// Rewarded purchases before this one.
        used: u32,
    },
    /// The member has had all the reward the offer gives one person.
    RewardCapReached {
        /// The cap, minor units.
        cap_minor: i64,
    },
    /// A better offer of the same group gives.
    ExcludedByAnother {
        /// That offer.
        by: crate::domain::OfferId,
    },
    /// Other offers already give the whole purchase back.
    PurchaseCovered,
    /// The offer's budget is spent.
    BudgetSpent,
}

impl Refusal {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::CardNotLinked => "card_not_linked",
            Self::SeenFromAnotherSource { .. } => "seen_from_another_source",
            Self::CurrencyDiffers { .. } => "currency_differs",
            Self::NotStarted { .. } => "not_started",
            Self::OfferEnded => "offer_ended",
            Self::OfferPaused => "offer_paused",
            Self::CashLike { .. } => "cash_like",
            Self::NotActivated => "not_activated",
            Self::NotEligible => "not_eligible",
            Self::NothingStands { .. } => "nothing_stands",
            Self::SpendTooLow { .. } => "spend_too_low",
            Self::TimeUnknown => "time_unknown",
            Self::OutsideHours { .. } => "outside_hours",
            Self::RewardRoundsToZero => "reward_rounds_to_zero",
            Self::CapReached { .. } => "cap_reached",
            Self::RewardCapReached { .. } => "reward_cap_reached",
            Self::ExcludedByAnother { .. } => "excluded_by_another",
            Self::PurchaseCovered => "purchase_covered",
            Self::BudgetSpent => "budget_spent",
        }
    }

    /// A sentence for a person: what it needs and what it has.
    #[must_use]
    pub fn detail(&self, currency: Currency) -> String {
        use crate::domain::Money;
        let money = |minor: i64| Money::new(minor, currency).to_string();
        match self {
            Self::CardNotLinked => "the card was not linked to the member when buying".to_owned(),
            Self::SeenFromAnotherSource { credited_by } => format!("this card is credited by the source {credited_by}"),
            Self::CurrencyDiffers { offer, purchase } => format!("the offer is in {offer}, the purchase in {purchase}"),
            Self::NotStarted { starts } => format!("bought before {starts}, local time of the shop"),
            Self::OfferEnded => "bought after the offer was over".to_owned(),
            Self::OfferPaused => "bought while the offer was paused".to_owned(),
            Self::CashLike { mcc } => format!("merchant category {mcc:04} is cash-like and earns nothing"),
            Self::NotActivated => "the member had not activated the offer before buying".to_owned(),
            Self::NotEligible => "the offer is not available to this member".to_owned(),
            Self::NothingStands { lapsed: true } => "the authorization lapsed without a clearing".to_owned(),
            Self::NothingStands { lapsed: false } => "the purchase was refunded or reversed in full".to_owned(),
            Self::SpendTooLow { needs_minor, has_minor } => {
                format!("needs {}, has {}", money(*needs_minor), money(*has_minor))
            }
            Self::TimeUnknown => "the offer depends on the hour, and the network sent only the day".to_owned(),
            Self::OutsideHours { bought } => format!("bought at {bought}, local time of the shop"),
            Self::RewardRoundsToZero => "the reward is less than the smallest unit of the currency".to_owned(),
            Self::CapReached { cap, used } => {
                format!("at most {cap} rewarded purchases in the period, {used} before this one")
            }
            Self::RewardCapReached { cap_minor } => format!("at most {} for one member", money(*cap_minor)),
            Self::ExcludedByAnother { by } => format!("the offer {by} gives more, and only one of the group counts"),
            Self::PurchaseCovered => "other offers already give the whole purchase back".to_owned(),
            Self::BudgetSpent => "the budget of the offer is spent".to_owned(),
        }
    }
}
