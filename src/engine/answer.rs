//! What is answered for an event: the rewards of its purchase. A credit that names no
//! purchase has none of its own; it answers with those of the purchases it moves.

use crate::decide::judge::{Judged, Line};
use crate::decide::{Before, GrantChange, LapsePolicy, MemberState, assign};
use crate::domain::purchase::AnswerLine;
use crate::domain::{OfferId, PurchaseKey, Timestamp};
use crate::record::MemberInput;
use std::collections::BTreeMap;

/// What credits that name no purchase take off which purchases, before an input.
pub(super) struct Taken(BTreeMap<PurchaseKey, i64>);

impl Taken {
    /// `None` for an input that brings no such credit and concerns none: most inputs.
    pub(super) fn before(
        member: &MemberState,
        input: &MemberInput,
        before: Option<&Before>,
        mark: Timestamp,
        lapse: &LapsePolicy,
    ) -> Option<Self> {
        let MemberInput::Event(input) = input else { return None };
        let names_none = input.event.kind.is_credit() && input.event.key.as_str() == input.purchase.id.as_str();
        let concerns = names_none || before.is_some_and(|before| before.unlinked);
        concerns.then(|| Self::now(member, mark, lapse))
    }

    fn now(member: &MemberState, mark: Timestamp, lapse: &LapsePolicy) -> Self {
        let assigned = assign(member, None, mark, lapse);
        let by_key = |(place, minor): (usize, i64)| (member.purchases[place].purchase.key.clone(), minor);
        Self(assigned.all_taken().map(by_key).collect())
    }

    /// The purchases from which more or less is taken now, in the member's order.
    fn moved(&self, member: &MemberState, mark: Timestamp, lapse: &LapsePolicy) -> Vec<PurchaseKey> {
        let now = Self::now(member, mark, lapse);
        let keys = member.purchases.iter().map(|placed| &placed.purchase.key);
        keys.filter(|key| self.0.get(*key) != now.0.get(*key)).cloned().collect()
    }
}

/// The purchases that answer for an event: its own, and those that a credit which names
/// none moves. Asked after the input was applied.
pub(super) fn answering(
    member: &MemberState,
    own: PurchaseKey,
    taken: Option<&Taken>,
    mark: Timestamp,
    lapse: &LapsePolicy,
) -> Vec<PurchaseKey> {
    let moved = taken.map_or_else(Vec::new, |taken| taken.moved(member, mark, lapse));
    let others = moved.into_iter().filter(|key| *key != own).collect::<Vec<_>>();
    std::iter::once(own).chain(others).collect()
}

/// The rewards of a purchase that give something or have changed, as judged and not yet
/// applied.
pub(super) fn rewards(
    member: &MemberState,
    own: &PurchaseKey,
    judged: &[Judged],
    changes: &[GrantChange],
) -> Vec<AnswerLine> {
    let at = member.find(own).expect("judged just above");
    let purchase = &member.purchases[at].purchase;
    let granted = |offer: &OfferId| purchase.grant(offer).map_or(0, |grant| grant.amount_minor);
    let of_line = |line: &Line| AnswerLine {
        offer: line.offer.clone(),
        stage: line.stage,
        held: line.held,
        due_minor: line.due_minor,
        change_minor: line.due_minor - granted(&line.offer),
        available_at: line.available_at,
    };
    let lines = judged.iter().filter(|j| j.index == at).flat_map(|j| &j.lines);
    let mut answer: Vec<AnswerLine> =
        lines.map(of_line).filter(|line| line.due_minor != 0 || line.change_minor != 0).collect();
    // An offer that lost the purchase to another shop is no candidate and yet has changed.
    for change in changes.iter().filter(|change| &change.purchase == own) {
        let before = granted(&change.grant.offer);
        if before != 0 && !answer.iter().any(|line| line.offer == change.grant.offer) {
            answer.push(AnswerLine {
                offer: change.grant.offer.clone(),
                stage: change.grant.stage,
                held: change.grant.held,
                due_minor: change.grant.amount_minor,
                change_minor: change.grant.amount_minor - before,
                available_at: change.grant.available_at,
            });
        }
    }
    answer
}
