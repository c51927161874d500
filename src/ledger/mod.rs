//! The double-entry ledger: the chart of accounts, transfers, and their sums.
//!
//! A transfer has two legs, one unit and a positive amount, and is never changed:
//! a correction is a new transfer that names the record it corrects. Pure; balances
//! are derived, so this file has no state of its own.
//!
//! | account | of | normal side | stands for |
//! |---|---|---|---|
//! | `merchant_budget` | offer's merchant | debit | rewards promised on purchases not yet cleared |
//! | `merchant_funding` | offer's merchant | debit | what the merchant owes for rewards on cleared purchases |
//! | `member_pending` | member | credit | rewards not wholly cleared |
//! | `member_posted` | member | credit | cleared, inside the hold days |
//! | `member_held` | member | credit | frozen by a standing |
//! | `member_available` | member | credit | may be paid |
//! | `pay_out` | operator | credit | clearing account between the claim and the payment; zero once paid |
//! | `member_paid` | member | credit | paid so far |
//! | `member_owed` | member | debit | taken back after it was paid, asked back |
//! | `fraud_loss` | operator | debit | taken back after it was paid, not asked back |
//! | `budget_overrun` | operator | debit | granted beyond a budget that a store forgot |

use crate::domain::member::Balance;
use crate::domain::purchase::{Grant, Stage};
use crate::domain::{MemberId, MerchantId, OfferId, PurchaseKey, Unit};
use serde::{Deserialize, Serialize};

/// A kind of account; with its owner it is an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// Promised on purchases not yet cleared.
    MerchantBudget,
    /// Owed by the merchant for cleared purchases.
    MerchantFunding,
    /// Not wholly cleared.
    MemberPending,
    /// Cleared, inside the hold days.
    MemberPosted,
    /// Frozen by a standing.
    MemberHeld,
    /// May be paid.
    MemberAvailable,
    /// Between the claim and the payment.
    PayOut,
    /// Paid so far.
    MemberPaid,
    /// Taken back after it was paid, asked back.
    MemberOwed,
    /// Taken back after it was paid, not asked back.
    FraudLoss,
    /// Granted beyond a budget that a store forgot.
    BudgetOverrun,
}

/// Whose an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A merchant's.
    Merchant,
    /// A member's.
    Member,
    /// The operator's.
    Operator,
}

impl AccountKind {
    /// The chart, in order.
    pub const ALL: [Self; 11] = [
        Self::MerchantBudget,
        Self::MerchantFunding,
        Self::MemberPending,
        Self::MemberPosted,
        Self::MemberHeld,
        Self::MemberAvailable,
        Self::PayOut,
        Self::MemberPaid,
        Self::MemberOwed,
        Self::FraudLoss,
        Self::BudgetOverrun,
    ];
    /// Its name in the books.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MerchantBudget => "merchant_budget",
            Self::MerchantFunding => "merchant_funding",
            Self::MemberPending => "member_pending",
            Self::MemberPosted => "member_posted",
            Self::MemberHeld => "member_held",
            Self::MemberAvailable => "member_available",
            Self::PayOut => "pay_out",
            Self::MemberPaid => "member_paid",
            Self::MemberOwed => "member_owed",
            Self::FraudLoss => "fraud_loss",
            Self::BudgetOverrun => "budget_overrun",
        }
    }
    /// Whose it is.
    #[must_use]
    pub fn owner(self) -> Owner {
        match self {
            Self::MerchantBudget | Self::MerchantFunding => Owner::Merchant,
            Self::PayOut | Self::FraudLoss | Self::BudgetOverrun => Owner::Operator,
            _ => Owner::Member,
        }
    }
}

/// The two legs of a transfer, without whose they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Legs {
    /// Taken from here.
    pub debit: AccountKind,
    /// Given to here.
    pub credit: AccountKind,
    /// Minor units, above zero.
    pub minor: i64,
    /// Number of the record this corrects; `None` when it corrects nothing.
    pub corrects: Option<u64>,
}

impl Legs {
    /// A transfer that corrects nothing.
    ///
    /// # Panics
    /// When the amount is not positive or both legs are one account: the caller is wrong.
    #[must_use]
    pub fn new(debit: AccountKind, credit: AccountKind, minor: i64) -> Self {
        assert!(minor > 0, "a transfer moves a positive amount");
        assert_ne!(debit, credit, "a transfer has two accounts");
        Self { debit, credit, minor, corrects: None }
    }
}

/// A transfer with its owners, as books and statements show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The legs.
    pub legs: Legs,
    /// The one unit.
    pub unit: Unit,
    /// The member concerned.
    pub member: MemberId,
    /// The merchant concerned; `None` when the operator alone is.
    pub merchant: Option<MerchantId>,
    /// For which purchase; `None` for lots of sealed purchases.
    pub purchase: Option<PurchaseKey>,
    /// Under which offer.
    pub offer: Option<OfferId>,
}

/// Which account a reward lies in.
fn account(stage: Stage, held: bool) -> AccountKind {
    match (held, stage) {
        (true, _) => AccountKind::MemberHeld,
        (false, Stage::Pending) => AccountKind::MemberPending,
        (false, Stage::Posted) => AccountKind::MemberPosted,
        (false, Stage::Available) => AccountKind::MemberAvailable,
    }
}

/// Which account of the merchant stands against it.
fn contra(stage: Stage) -> AccountKind {
    match stage {
        Stage::Pending => AccountKind::MerchantBudget,
        Stage::Posted | Stage::Available => AccountKind::MerchantFunding,
    }
}

/// Which account bears what was paid and then taken back.
fn excess_account(lost: bool) -> AccountKind {
    if lost { AccountKind::FraudLoss } else { AccountKind::MemberOwed }
}

/// The transfers that turn one state of a grant into another. Both must have used the
/// same. Afterwards the accounts hold: what remains of the reward, against the merchant;
/// what was used and stands, as paid, against the merchant; what was used and was taken
/// back, as owed or lost.
#[must_use]
pub fn transfers_between(old: Option<&Grant>, new: &Grant) -> Vec<Legs> {
    let mut legs = Vec::with_capacity(2);
    let (had, has) = (old.map_or(0, Grant::remaining_minor), new.remaining_minor());
    let (to, to_contra) = (account(new.stage, new.held), contra(new.stage));
    let (from, from_contra) = old.map_or((to, to_contra), |old| (account(old.stage, old.held), contra(old.stage)));
    let corrects = old.map(|old| old.record);
    let mut push = |debit, credit, minor: i64| {
        if minor > 0 {
            legs.push(Legs { corrects, ..Legs::new(debit, credit, minor) });
        }
    };
    if from_contra != to_contra {
        push(from, from_contra, had);
        push(to_contra, to, has);
    } else {
        push(from, from_contra, had - has);
        if from != to {
            push(from, to, had.min(has));
        }
        push(to_contra, to, has - had);
    }
    let (excess_had, excess_has) = (old.map_or(0, Grant::excess_minor), new.excess_minor());
    let (excess_from, excess_to) = (excess_account(old.is_some_and(|old| old.lost)), excess_account(new.lost));
    let funding = AccountKind::MerchantFunding;
    if excess_from == excess_to {
        push(funding, excess_from, excess_had - excess_has);
        push(excess_to, funding, excess_has - excess_had);
    } else {
        push(funding, excess_from, excess_had);
        push(excess_to, funding, excess_has);
    }
    legs
}

/// Moves a member's balance by a transfer; legs of other owners do not concern it.
pub fn post(balance: &mut Balance, legs: Legs) {
    for (kind, minor) in [(legs.debit, -legs.minor), (legs.credit, legs.minor)] {
        match kind {
            AccountKind::MemberPending => balance.pending_minor += minor,
            AccountKind::MemberPosted => balance.posted_minor += minor,
            AccountKind::MemberHeld => balance.held_minor += minor,
            AccountKind::MemberAvailable => balance.available_minor += minor,
            AccountKind::MemberPaid => balance.paid_minor += minor,
            AccountKind::MemberOwed => balance.owed_minor -= minor,
            _ => {}
        }
    }
}

/// Whether no part of a balance is below zero.
#[must_use]
pub fn is_sound(balance: &Balance) -> bool {
    let Balance { pending_minor, posted_minor, held_minor, available_minor, paid_minor, owed_minor } = *balance;
    [pending_minor, posted_minor, held_minor, available_minor, paid_minor, owed_minor].iter().all(|minor| *minor >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::offer::Funding;
    use crate::domain::{Currency, Timestamp};

    fn grant(amount: i64, stage: Stage, held: bool, used: i64, lost: bool) -> Grant {
        Grant {
            offer: OfferId::new("o").unwrap(),
            version: 1,
            merchant: MerchantId::new("m").unwrap(),
            unit: Unit::Money(Currency::parse("USD").unwrap()),
            funding: Funding::default(),
            cause: None,
            terms_minor: amount,
            amount_minor: amount,
            stage,
            held,
            used_minor: used,
            lost,
            available_at: None::<Timestamp>,
            expires_at: None,
            record: 7,
        }
    }

    /// Every pair of states: after the transfers, the accounts hold exactly what the
    /// new state says, whatever the old one was.
    #[test]
    fn inv_03_every_change_of_a_grant_balances() {
        let mut states = Vec::new();
        for amount in [0, 3, 5] {
            for stage in [Stage::Pending, Stage::Posted, Stage::Available] {
                for held in [false, true] {
                    for lost in [false, true] {
                        states.push((amount, stage, held, lost));
                    }
                }
            }
        }
        for used in [0, 2, 4, 5] {
            for &(a0, s0, h0, l0) in &states {
                for &(a1, s1, h1, l1) in &states {
                    let (old, new) = (grant(a0, s0, h0, used, l0), grant(a1, s1, h1, used, l1));
                    let mut sums = std::collections::BTreeMap::<AccountKind, i64>::new();
                    for legs in transfers_between(None, &old).into_iter().chain(transfers_between(Some(&old), &new)) {
                        *sums.entry(legs.debit).or_default() -= legs.minor;
                        *sums.entry(legs.credit).or_default() += legs.minor;
                    }
                    let mut expected = std::collections::BTreeMap::<AccountKind, i64>::new();
                    for legs in transfers_between(None, &new) {
                        *expected.entry(legs.debit).or_default() -= legs.minor;
                        *expected.entry(legs.credit).or_default() += legs.minor;
                    }
                    sums.retain(|_, v| *v != 0);
                    expected.retain(|_, v| *v != 0);
                    assert_eq!(sums, expected, "{old:?} -> {new:?}");
                    assert_eq!(sums.values().sum::<i64>(), 0);
                }
            }
        }
    }

    #[test]
    fn a_clearing_releases_and_posts() {
        let (pending, posted) =
            (grant(200, Stage::Pending, false, 0, false), grant(190, Stage::Posted, false, 0, false));
        let legs = transfers_between(Some(&pending), &posted);
        assert_eq!(
            legs,
            [
                Legs {
                    debit: AccountKind::MemberPending,
                    credit: AccountKind::MerchantBudget,
                    minor: 200,
                    corrects: Some(7)
                },
                Legs {
                    debit: AccountKind::MerchantFunding,
                    credit: AccountKind::MemberPosted,
                    minor: 190,
                    corrects: Some(7)
                },
            ]
        );
    }
}
