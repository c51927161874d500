//! The subtraction: what is due by [`judge`](super::judge) less what was granted, as
//! grant changes and transfers. From here on nothing can be refused.

use super::judge::{Judged, Line};
use super::member::MemberState;
use super::refusal::Refusal;
use crate::domain::member::MemberHead;
use crate::domain::purchase::{Grant, Stage};
use crate::domain::{PurchaseKey, Timestamp};
use crate::ledger::{Legs, transfers_between};
use serde::{Deserialize, Serialize};

/// A grant as it is from now on, with the transfers that made it so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantChange {
    /// For which purchase.
    pub purchase: PurchaseKey,
    /// The grant.
    pub grant: Grant,
    /// Empty when only the terms' amount or a date moved.
    pub transfers: Vec<Legs>,
}

/// The record that will carry what is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub record: u64,
    /// What it raises was earned then.
    pub earned_at: Timestamp,
    /// What was earned up to here, that included, has been screened and may become available;
    /// `None` when nothing waits for screening.
    pub screened: Option<Timestamp>,
}

impl Entry {
    /// A record of a member under a mark. What it raises was earned after all that is screened,
    /// so that two records of one instant are told apart.
    #[must_use]
    pub fn of(member: &MemberHead, record: u64, at: Timestamp, mark: Timestamp, gated: bool) -> Self {
        // A mark rises when screening has passed all that was recorded before it.
        let screened = gated.then(|| member.screened.max(mark.plus_ms(-1)));
        Self { record, earned_at: screened.map_or(at, |screened| at.max(screened.plus_ms(1))), screened }
    }
}

/// Compares what is due with what was granted, purchase by purchase, and returns what
/// changes.
#[must_use]
pub fn settle(member: &MemberState, judged: &[Judged], entry: &Entry) -> Vec<GrantChange> {
    let mut changes = Vec::new();
    for Judged { index, lines, .. } in judged {
        let purchase = &member.purchases[*index].purchase;
        let mut change = |old: Option<&Grant>, mut grant: Grant| {
            let transfers = transfers_between(old, &grant);
            grant.record = entry.record;
            changes.push(GrantChange { purchase: purchase.key.clone(), grant, transfers });
        };
        for line in lines {
            let old = line.had(purchase);
            // What gave nothing and gives nothing is not worth a line in the books; what
            // the terms asked of a spent budget is, or it would be asked again.
            let idle = |old: &Grant| {
                let same =
                    (old.terms_minor, old.lost, old.kept_minor) == (line.terms_minor, line.lost, line.kept_minor);
                old.amount_minor == 0 && same
            };
            let never = || line.terms_minor == 0 && line.kept_minor == 0;
            let quiet = line.due_minor == 0 && old.map_or_else(never, idle);
            if quiet {
                continue;
            }
            let grown = grown(old, line, entry);
            if !old.is_some_and(|old| stays(old, line, grown)) {
                change(old, granted(old, line, grown));
            }
        }
        // The purchase has moved to another shop: offers that are no longer candidates give nothing.
        let gone = |(place, grant): &(usize, &Grant)| {
            let said = grant.amount_minor > 0 || grant.kept_minor != 0;
            said && !lines.iter().any(|line| line.granted == Some(*place))
        };
        for (_, old) in purchase.grants.iter().enumerate().filter(gone) {
            let stays = old.used_perks();
            if (old.amount_minor, old.kept_minor) != (stays, stays) {
                let kept = Grant { amount_minor: stays, terms_minor: stays, kept_minor: stays, ..old.clone() };
                change(Some(old), Grant { day_spent: false, ..kept });
            }
        }
    }
    changes
}

/// How far a grant has come by what a line asks, and since when what it is was earned.
fn grown(old: Option<&Grant>, line: &Line, entry: &Entry) -> (Stage, Timestamp) {
    let raised = old.is_none_or(|old| line.due_minor > old.amount_minor);
    let earned_at = old.map_or(entry.earned_at, |old| if raised { entry.earned_at } else { old.earned_at });
    let waits = entry.screened.is_some_and(|screened| earned_at > screened);
    let stage = match line.stage {
        _ if line.due_minor == 0 => old.map_or(Stage::Pending, |old| old.stage),
        Stage::Available if waits => Stage::Posted,
        stage => stage,
    };
    (stage, earned_at)
}

/// Whether a grant is already what a line asks for.
fn stays(old: &Grant, line: &Line, (stage, earned_at): (Stage, Timestamp)) -> bool {
    let amounts = (old.terms_minor, old.amount_minor, old.kept_minor);
    let times = (old.available_at, old.expires_at, old.earned_at);
    let same = amounts == (line.terms_minor, line.due_minor, line.kept_minor)
        && times == (line.available_at, line.expires_at, earned_at)
        && (old.stage, old.held, old.lost, old.day_spent) == (stage, line.held, line.lost, of_day(line))
        && (old.version, old.unit, old.funding, old.cause) == (line.version, line.unit, line.funding, line.cause)
        && old.merchant == line.merchant;
    debug_assert_eq!(same, *old == granted(Some(old), line, (stage, earned_at)), "the same question twice");
    same
}

fn of_day(line: &Line) -> bool {
    matches!(line.refusal, Some(Refusal::BudgetSpent { of_day: true }))
}

/// The grant that a line asks for. What was used stays used.
fn granted(old: Option<&Grant>, line: &Line, (stage, earned_at): (Stage, Timestamp)) -> Grant {
    Grant {
        offer: line.offer.clone(),
        version: line.version,
        merchant: line.merchant.clone(),
        unit: line.unit,
        funding: line.funding,
        cause: line.cause,
        terms_minor: line.terms_minor,
        amount_minor: line.due_minor,
        kept_minor: line.kept_minor,
        day_spent: of_day(line),
        stage,
        held: line.held,
        used_minor: old.map_or(0, |old| old.used_minor),
        lost: line.lost,
        available_at: line.available_at,
        expires_at: line.expires_at,
        record: old.map_or(0, |old| old.record),
        earned_at,
    }
}
