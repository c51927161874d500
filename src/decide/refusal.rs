//! The first reason why an offer gives nothing for a purchase: a stable code and the
//! facts a person needs to see why. Checked in the order of [`Refusal`]'s variants,
//! most certain first.

use crate::domain::offer::{Bounds, Comparison, Measure, Period};
use crate::domain::{Channel, Code, Currency, OfferId, SourceName, Unit};
use jiff::civil;

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
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
        starts: civil::DateTime,
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
        bought: civil::DateTime,
    },
    /// The offer looks at a purchase, and there is none.
    NoPurchase,
    /// Spent more than the offer allows.
    SpendTooHigh {
        /// What it allows, minor units.
        most_minor: i64,
        /// What stands, minor units.
        has_minor: i64,
    },
    /// Bought online and not in a shop, or the other way round.
    OtherChannel {
        /// What the offer asks.
        needs: Channel,
        /// How it was bought.
        has: Channel,
    },
    /// Bought at a shop that takes no part.
    OtherLocation,
    /// Bought in a country that takes no part.
    OtherCountry,
    /// Bought in a merchant category that takes no part.
    OtherCategory {
        /// The merchant category; `None` when the network sent none.
        has: Option<u16>,
    },
    /// Bought on a date that does not count, local to the shop.
    OutsideDates {
        /// The date.
        on: civil::Date,
    },
    /// A number counted over the member's purchases is not what the offer asks.
    Counted {
        /// What is counted.
        what: Measure,
        /// What the offer asks.
        is: Comparison,
        /// The number; `None` when there is nothing to count from.
        has: Option<i64>,
    },
    /// The member is in none of the groups the offer is for.
    NotInSegment,
    /// The offer is for other regions.
    NotInRegion,
    /// It is not the member's birthday.
    NotBirthday {
        /// Whether the birthday is known.
        known: bool,
    },
    /// A member for too short a time, or too long.
    Tenure {
        /// Days the offer asks.
        needs: Bounds,
        /// Days as a member.
        has_days: i64,
    },
    /// On a lower tier than the offer asks.
    TierTooLow {
        /// The tier.
        needs: Code,
        /// The member's; `None` below the first.
        has: Option<Code>,
    },
    /// Nobody referred the member, or later than this.
    NotReferred,
    /// A referral is rewarded for one purchase: the first that is large enough.
    NotQualifying,
    /// The member has chosen none of the offer's causes.
    NoCauseChosen,
    /// Something holds that must not.
    Excluded(Box<Refusal>),
    /// The offer gives a share of what another gives, and that gives nothing.
    OtherGivesNothing {
        /// The other offer.
        offer: OfferId,
    },
    /// What was given has expired unused.
    Expired,
    /// Perks that were used and then taken back stand for what would be given here.
    UsedBefore {
        /// How many.
        minor: i64,
    },
    /// The share is less than one minor unit.
    RewardRoundsToZero,
    /// The member has used the offer as often as it allows in the period.
    CapReached {
        /// The cap.
        cap: u32,
        /// Rewards before this one.
        used: u32,
        /// For which period; `Ever` is in all.
        every: Period,
    },
    /// The member has had all the reward the offer gives one person.
    RewardCapReached {
        /// The cap, in the reward's unit.
        cap: i64,
        /// That unit.
        unit: Unit,
        /// For which period; `Ever` is in all.
        every: Period,
    },
    /// A better offer of the same group gives.
    ExcludedByAnother {
        /// That offer.
        by: OfferId,
    },
    /// Other offers already give the whole purchase back.
    PurchaseCovered,
    /// The offer's budget is spent.
    BudgetSpent {
        /// The budget of the day it was asked on, and not the whole.
        of_day: bool,
    },
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
            Self::NoPurchase => "no_purchase",
            Self::SpendTooHigh { .. } => "spend_too_high",
            Self::OtherChannel { .. } => "other_channel",
            Self::OtherLocation => "other_location",
            Self::OtherCountry => "other_country",
            Self::OtherCategory { .. } => "other_category",
            Self::OutsideDates { .. } => "outside_dates",
            Self::Counted { what, .. } => match what {
                Measure::Purchases => "purchase_count",
                Measure::Spend => "spend_total",
                Measure::Locations => "locations_visited",
                Measure::Categories => "categories_bought",
                Measure::Streak(_) => "streak",
                Measure::DaysSince => "days_since_purchase",
                Measure::Referrals => "referral_count",
            },
            Self::NotInSegment => "not_in_segment",
            Self::NotInRegion => "not_in_region",
            Self::NotBirthday { .. } => "not_birthday",
            Self::Tenure { .. } => "tenure",
            Self::TierTooLow { .. } => "tier_too_low",
            Self::NotReferred => "not_referred",
            Self::NotQualifying => "not_qualifying",
            Self::NoCauseChosen => "no_cause_chosen",
            Self::Excluded(_) => "excluded",
            Self::OtherGivesNothing { .. } => "other_gives_nothing",
            Self::Expired => "expired",
            Self::UsedBefore { .. } => "used_before",
            Self::RewardRoundsToZero => "reward_rounds_to_zero",
            Self::CapReached { .. } => "cap_reached",
            Self::RewardCapReached { .. } => "reward_cap_reached",
            Self::ExcludedByAnother { .. } => "excluded_by_another",
            Self::PurchaseCovered => "purchase_covered",
            Self::BudgetSpent { .. } => "budget_spent",
        }
    }

    /// Of a count that grows towards a number: how far it is, and the number.
    #[must_use]
    pub fn progress(&self) -> Option<(i64, i64)> {
        let Self::Counted { is, has, .. } = self else { return None };
        let has = has.unwrap_or(0);
        match is {
            Comparison::Within(Bounds { at_least: Some(least), .. }) => Some((has.min(*least), *least)),
            Comparison::Within(_) => None,
            Comparison::Reaches(number) => Some((has.min(*number), *number)),
            Comparison::Every(number) => Some((has.rem_euclid(*number), *number)),
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
            Self::NotStarted { starts } => format!("bought before {}, local time of the shop", minute(*starts)),
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
            Self::OutsideHours { bought } => format!("bought at {}, local time of the shop", minute(*bought)),
            Self::NoPurchase => "the offer looks at a purchase, and nothing was bought".to_owned(),
            Self::SpendTooHigh { most_minor, has_minor } => {
                format!("at most {} counts, has {}", money(*most_minor), money(*has_minor))
            }
            Self::OtherChannel { needs, has } => {
                format!("needs a purchase {}, was {}", channel(*needs), channel(*has))
            }
            Self::OtherLocation => "the shop takes no part in the offer".to_owned(),
            Self::OtherCountry => "the shop's country takes no part in the offer".to_owned(),
            Self::OtherCategory { has: Some(mcc) } => format!("merchant category {mcc:04} takes no part in the offer"),
            Self::OtherCategory { has: None } => {
                "the offer depends on the merchant category, and the network sent none".to_owned()
            }
            Self::OutsideDates { on } => format!("{on}, local to the shop, does not count"),
            Self::Counted { what, is, has } => counted(*what, *is, *has, &money),
            Self::NotInSegment => "the member is in none of the groups the offer is for".to_owned(),
            Self::NotInRegion => "the offer is for other regions than the member's".to_owned(),
            Self::NotBirthday { known: true } => "it is not near the member's birthday".to_owned(),
            Self::NotBirthday { known: false } => "the member's birthday is not known".to_owned(),
            Self::Tenure { needs, has_days } => {
                format!(
                    "needs {} as a member, has {has_days}",
                    bounds(needs, &Noun("day", "days"), &|days| days.to_string())
                )
            }
            Self::TierTooLow { needs, has: Some(has) } => format!("needs the tier {needs}, has {has}"),
            Self::TierTooLow { needs, has: None } => format!("needs the tier {needs}, has none yet"),
            Self::NotReferred => "nobody had referred the member by then".to_owned(),
            Self::NotQualifying => {
                "a referral is rewarded for the first purchase that is large enough, which this is not".to_owned()
            }
            Self::NoCauseChosen => "the member has chosen none of the causes".to_owned(),
            Self::Excluded(held) => format!("must not be so: {}", held.detail(currency)),
            Self::OtherGivesNothing { offer } => format!("adds to the offer {offer}, which gives nothing here"),
            Self::Expired => "expired before it was used".to_owned(),
            Self::UsedBefore { minor: 1 } => "one that was used and then taken back stands for it".to_owned(),
            Self::UsedBefore { minor } => format!("{minor} that were used and then taken back stand for it"),
            Self::RewardRoundsToZero => "the reward is less than the smallest unit of the currency".to_owned(),
            // Of purchases, signals and referrals alike.
            Self::CapReached { cap, used, every } => {
                let within = match every {
                    Period::Ever => "for one member".to_owned(),
                    every => format!("in a {}", period(*every)),
                };
                let rewards = Noun("reward", "rewards").of(i64::from(*cap));
                format!("at most {cap} {rewards} {within}, {used} before this one")
            }
            Self::RewardCapReached { cap, unit, every: Period::Ever } => {
                format!("at most {} for one member", unit.shown(*cap))
            }
            Self::RewardCapReached { cap, unit, every } => {
                format!("at most {} for one member in a {}", unit.shown(*cap), period(*every))
            }
            Self::ExcludedByAnother { by } => format!("the offer {by} gives more, and only one of the group counts"),
            Self::PurchaseCovered => "other offers already give the whole purchase back".to_owned(),
            Self::BudgetSpent { of_day: false } => "the budget of the offer is spent".to_owned(),
            Self::BudgetSpent { of_day: true } => "the offer's budget for that day is spent".to_owned(),
        }
    }
}

fn minute(local: civil::DateTime) -> String {
    local.strftime("%Y-%m-%d %H:%M").to_string()
}

fn channel(channel: Channel) -> &'static str {
    match channel {
        Channel::InStore => "in a shop",
        Channel::Online => "online",
        Channel::Unknown => "made nobody said how",
    }
}

fn period(every: Period) -> &'static str {
    match every {
        Period::Day => "day",
        Period::Week => "week",
        Period::Month => "month",
        Period::Year => "year",
        Period::Ever => "lifetime",
    }
}

/// A thing that is counted, in one and in many.
struct Noun(&'static str, &'static str);

impl Noun {
    fn of(&self, n: i64) -> &'static str {
        if n == 1 { self.0 } else { self.1 }
    }
}

/// A range for a person: `at least 3 days`, `2 to 5 days`, `exactly 1 day`.
fn bounds(range: &Bounds, noun: &Noun, shown: &dyn Fn(i64) -> String) -> String {
    let with_noun = |words: String, n: i64| format!("{words} {}", noun.of(n)).trim_end().to_owned();
    match (range.at_least, range.at_most) {
        (Some(least), Some(most)) if least == most => with_noun(format!("exactly {}", shown(least)), least),
        (Some(least), Some(most)) => with_noun(format!("{} to {}", shown(least), shown(most)), most),
        (Some(least), None) => with_noun(format!("at least {}", shown(least)), least),
        (None, Some(most)) => with_noun(format!("at most {}", shown(most)), most),
        (None, None) => "any number".to_owned(),
    }
}

/// `1st`, `2nd`, `3rd`, `11th`.
fn ordinal(n: i64) -> String {
    let ending = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

/// A count for a person: `needs at least 2 different locations, has 1`.
fn counted(what: Measure, is: Comparison, has: Option<i64>, money: &dyn Fn(i64) -> String) -> String {
    let plain = |n: i64| n.to_string();
    let shown: &dyn Fn(i64) -> String = if what == Measure::Spend { money } else { &plain };
    let noun = match what {
        Measure::Purchases => Noun("purchase", "purchases"),
        Measure::Spend => Noun("", ""),
        Measure::Locations => Noun("different location", "different locations"),
        Measure::Categories => Noun("different category", "different categories"),
        Measure::Streak(Period::Day) => Noun("day", "days"),
        Measure::Streak(Period::Week) => Noun("week", "weeks"),
        Measure::Streak(Period::Month | Period::Ever) => Noun("month", "months"),
        Measure::Streak(Period::Year) => Noun("year", "years"),
        Measure::DaysSince => Noun("day", "days"),
        Measure::Referrals => Noun("qualified referral", "qualified referrals"),
    };
    let needs = match is {
        Comparison::Within(range) => bounds(&range, &noun, shown),
        Comparison::Reaches(number) if what == Measure::Spend => format!("the purchase that reaches {}", money(number)),
        Comparison::Every(number) if what == Measure::Spend => format!("every {}", money(number)),
        Comparison::Reaches(number) => format!("the {} {}", ordinal(number), noun.0),
        Comparison::Every(number) => format!("every {} {}", ordinal(number), noun.0),
    };
    let tail = match what {
        Measure::Spend => " spent",
        Measure::Streak(_) => " in a row",
        Measure::DaysSince => " since the purchase before",
        _ => "",
    };
    let has = has.map_or_else(|| "has bought nothing before".to_owned(), |has| format!("has {}", shown(has)));
    format!("needs {needs}{tail}, {has}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_say_what_they_need_and_what_they_have() {
        let least = |n| Comparison::Within(Bounds { at_least: Some(n), at_most: None });
        for (what, is, has, text) in [
            (Measure::Locations, least(2), Some(1), "needs at least 2 different locations, has 1"),
            (Measure::Purchases, Comparison::Every(10), Some(3), "needs every 10th purchase, has 3"),
            (Measure::Purchases, Comparison::Reaches(3), Some(1), "needs the 3rd purchase, has 1"),
            (
                Measure::Spend,
                Comparison::Reaches(10_000),
                Some(4250),
                "needs the purchase that reaches 100.00 USD spent, has 42.50 USD",
            ),
            (Measure::Spend, Comparison::Every(10_000), Some(0), "needs every 100.00 USD spent, has 0.00 USD"),
            (Measure::Streak(Period::Month), least(3), Some(2), "needs at least 3 months in a row, has 2"),
            (Measure::Streak(Period::Month), Comparison::Every(3), Some(2), "needs every 3rd month in a row, has 2"),
            (Measure::DaysSince, least(60), Some(12), "needs at least 60 days since the purchase before, has 12"),
            (
                Measure::DaysSince,
                least(60),
                None,
                "needs at least 60 days since the purchase before, has bought nothing before",
            ),
            (Measure::Categories, least(1), Some(0), "needs at least 1 different category, has 0"),
            (
                Measure::Referrals,
                Comparison::Within(Bounds { at_least: Some(1), at_most: Some(3) }),
                Some(4),
                "needs 1 to 3 qualified referrals, has 4",
            ),
        ] {
            let told = Refusal::Counted { what, is, has };
            assert_eq!(told.detail(Currency::parse("USD").unwrap()), text);
        }
    }
}
