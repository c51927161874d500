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
//! | `operator_budget` | operator | debit | the operator's share of rewards promised on purchases not yet cleared |
//! | `operator_funding` | operator | debit | the operator's share of rewards on cleared purchases |
//! | `member_pending` | member | credit | rewards not wholly cleared |
//! | `member_posted` | member | credit | cleared, inside the hold days |
//! | `member_held` | member | credit | frozen by a standing |
//! | `member_available` | member | credit | may be paid |
//! | `cause_pending` | cause | credit | given to a cause: not yet available, or frozen |
//! | `cause_due` | cause | credit | given to a cause: may be paid over to it |
//! | `pay_out` | operator | credit | clearing account between the claim and the payment; zero once paid |
//! | `member_paid` | member | credit | paid, spent or used so far |
//! | `member_owed` | member | debit | taken back after it was paid, asked back |
//! | `fraud_loss` | operator | debit | taken back after it was paid, not asked back |
//! | `budget_overrun` | operator | debit | granted beyond a budget that a store forgot |
//!
//! All are kept per unit: money of a currency, points, perks. Who funds a reward shares it:
//! the merchant's share is rounded down, the operator bears the rest.

use crate::domain::member::Balance;
use crate::domain::purchase::{Grant, Stage};
use crate::domain::{Code, MemberId, MerchantId, OfferId, PurchaseKey, Unit};
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
    /// The operator's share of what is promised on purchases not yet cleared.
    OperatorBudget,
    /// The operator's share for cleared purchases.
    OperatorFunding,
    /// A cause's, not yet available or frozen.
    CausePending,
    /// A cause's, to be paid over to it.
    CauseDue,
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
    /// A cause's, by its code.
    Cause,
}

impl AccountKind {
    /// The chart, in order.
    pub const ALL: [Self; 15] = [
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
        Self::OperatorBudget,
        Self::OperatorFunding,
        Self::CausePending,
        Self::CauseDue,
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
            Self::OperatorBudget => "operator_budget",
            Self::OperatorFunding => "operator_funding",
            Self::CausePending => "cause_pending",
            Self::CauseDue => "cause_due",
        }
    }
    /// Whose it is.
    #[must_use]
    pub fn owner(self) -> Owner {
        match self {
            Self::MerchantBudget | Self::MerchantFunding => Owner::Merchant,
            Self::PayOut | Self::FraudLoss | Self::BudgetOverrun | Self::OperatorBudget | Self::OperatorFunding => {
                Owner::Operator
            }
            Self::CausePending | Self::CauseDue => Owner::Cause,
            _ => Owner::Member,
        }
    }
    /// Whether rewards are funded from it: what these four move is what was granted.
    #[must_use]
    pub fn funds(self) -> bool {
        matches!(self, Self::MerchantBudget | Self::MerchantFunding | Self::OperatorBudget | Self::OperatorFunding)
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
    /// Whose cause's account is meant; `None` when neither is one.
    pub cause: Option<Code>,
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
        Self { debit, credit, minor, corrects: None, cause: None }
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

/// Who pays for a reward, with the accounts that stand against it.
struct Funder {
    /// Before the purchase has cleared.
    budget: AccountKind,
    /// Afterwards, and for whatever was used.
    funding: AccountKind,
}

const MERCHANT: Funder = Funder { budget: AccountKind::MerchantBudget, funding: AccountKind::MerchantFunding };
const OPERATOR: Funder = Funder { budget: AccountKind::OperatorBudget, funding: AccountKind::OperatorFunding };

/// What a funder has of a grant: what remains of the reward and where it lies, what was used
/// of it, and what of that was taken back.
struct Part {
    /// Where what remains lies, with the cause it belongs to.
    lies_in: (AccountKind, Option<Code>),
    /// What stands against it.
    against: AccountKind,
    remains: i64,
    used: i64,
    excess: i64,
    /// What bears the excess.
    borne_by: AccountKind,
}

impl Part {
    /// A funder's part of a grant: shares are those of the whole amount, so that what is used
    /// and what remains always add up to what the funder bears.
    fn of(grant: &Grant, funder: &Funder) -> Self {
        let share = |minor: i64| {
            let merchants = grant.funding.merchant.of_floor(minor);
            if funder.budget == MERCHANT.budget { merchants } else { minor - merchants }
        };
        let stands = grant.used_minor.min(grant.amount_minor).max(0);
        Self {
            lies_in: (account(grant), grant.cause),
            against: if grant.stage == Stage::Pending { funder.budget } else { funder.funding },
            remains: share(grant.amount_minor) - share(stands),
            used: share(grant.used_minor),
            excess: share(grant.used_minor) - share(stands),
            borne_by: if grant.lost { AccountKind::FraudLoss } else { AccountKind::MemberOwed },
        }
    }
    /// The same place with nothing there.
    fn emptied(&self, used: i64) -> Self {
        Self { remains: 0, excess: 0, used, ..*self }
    }
}

/// Which account a reward lies in.
fn account(grant: &Grant) -> AccountKind {
    match (grant.cause.is_some(), grant.held, grant.stage) {
        (true, false, Stage::Available) => AccountKind::CauseDue,
        (true, _, _) => AccountKind::CausePending,
        (false, true, _) => AccountKind::MemberHeld,
        (false, false, Stage::Pending) => AccountKind::MemberPending,
        (false, false, Stage::Posted) => AccountKind::MemberPosted,
        (false, false, Stage::Available) => AccountKind::MemberAvailable,
    }
}

/// The transfers that turn one state of a grant into another. Both must have used the
/// same. Afterwards the accounts hold, for each funder's share: what remains of the reward,
/// against the funder; what was used and stands, as paid, against the funder; what was used
/// and was taken back, as owed or lost.
#[must_use]
pub fn transfers_between(old: Option<&Grant>, new: &Grant) -> Vec<Legs> {
    let mut legs = Vec::with_capacity(2);
    for funder in [&MERCHANT, &OPERATOR] {
        let to = Part::of(new, funder);
        let from = old.map_or_else(|| to.emptied(to.used), |old| Part::of(old, funder));
        between(&from, &to, &mut |debit, credit, minor, cause| {
            if minor > 0 {
                legs.push(Legs { corrects: old.map(|old| old.record), cause, ..Legs::new(debit, credit, minor) });
            }
        });
    }
    // Other terms may share what was used in another way.
    if let Some(old) = old {
        let more = Part::of(new, &MERCHANT).used - Part::of(old, &MERCHANT).used;
        let (to, from) = if more > 0 { (&MERCHANT, &OPERATOR) } else { (&OPERATOR, &MERCHANT) };
        if more != 0 {
            legs.push(Legs { corrects: Some(old.record), ..Legs::new(to.funding, from.funding, more.abs()) });
        }
    }
    legs
}

/// The transfers of one funder's part.
fn between(from: &Part, to: &Part, push: &mut impl FnMut(AccountKind, AccountKind, i64, Option<Code>)) {
    let ((source, source_cause), (target, target_cause)) = (from.lies_in, to.lies_in);
    let (had, has) = (from.remains, to.remains);
    // A transfer names one cause: from one to another it goes by way of the funder.
    let other_cause = source_cause.is_some() && target_cause.is_some() && source_cause != target_cause;
    if from.against != to.against || other_cause {
        push(source, from.against, had, source_cause);
        push(to.against, target, has, target_cause);
    } else {
        push(source, from.against, had - has, source_cause);
        if source != target {
            push(source, target, had.min(has), source_cause.or(target_cause));
        }
        push(to.against, target, has - had, target_cause);
    }
    let funding = if from.against == AccountKind::MerchantBudget || from.against == AccountKind::MerchantFunding {
        AccountKind::MerchantFunding
    } else {
        AccountKind::OperatorFunding
    };
    if from.borne_by == to.borne_by {
        push(funding, from.borne_by, from.excess - to.excess, None);
        push(to.borne_by, funding, to.excess - from.excess, None);
    } else {
        push(funding, from.borne_by, from.excess, None);
        push(to.borne_by, funding, to.excess, None);
    }
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
mod tests;
