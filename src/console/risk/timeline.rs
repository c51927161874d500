//! What happened around a case: its own steps, and what its members did, newest first.

use crate::api::Doors;
use crate::api::reply::Reply;
use crate::cases::{Case, Happened, Step};
use crate::console::words;
use crate::decide::MemberState;
use crate::decide::member::Placed;
use crate::domain::member::{ActivationStep, MemberHead};
use crate::domain::purchase::Occasion;
use crate::domain::{Timestamp, Unit};
use std::sync::Arc;

/// Most entries that are shown.
const ENTRIES_MAX: usize = 120;

/// An entry.
pub(super) struct Entry {
    /// When.
    pub when: String,
    /// `case` for a step of the case, else what a member did.
    pub sort: &'static str,
    /// In words.
    pub words: String,
}

/// Members whose payments are looked up: those who were paid most.
const PAID_MEMBERS_MAX: usize = 20;

/// What there is to tell, put into words only when it is shown.
enum Told<'a> {
    Step(&'a Happened),
    Joined(&'a MemberHead),
    OptedIn(&'a MemberHead, &'a ActivationStep),
    Bought(&'a MemberHead, &'a Placed),
    Paid(&'a MemberHead, Unit, i64),
}

/// The entries, and how many older ones are left out.
pub(super) async fn timeline(
    doors: &Doors,
    case: &Case,
    members: &[Arc<MemberState>],
) -> Result<(Vec<Entry>, usize), Reply> {
    let mut all: Vec<(Timestamp, Told<'_>)> =
        case.timeline.iter().map(|happened| (happened.at, Told::Step(happened))).collect();
    for member in members {
        let head = &member.head;
        all.push((head.joined_at, Told::Joined(head)));
        let steps = head.activations.iter().filter(|step| step.active);
        all.extend(steps.map(|step| (step.at, Told::OptedIn(head, step))));
        all.extend(member.purchases.iter().map(|placed| (placed.time, Told::Bought(head, placed))));
    }
    for (member, paid) in paid(doors, members).await? {
        all.extend(paid.into_iter().map(|(at, unit, minor)| (at, Told::Paid(&member.head, unit, minor))));
    }
    all.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let left_out = all.len().saturating_sub(ENTRIES_MAX);
    let entry = |(at, told): (Timestamp, Told<'_>)| {
        let (sort, words) = said(&told);
        Entry { when: words::when(at), sort, words }
    };
    Ok((all.into_iter().take(ENTRIES_MAX).map(entry).collect(), left_out))
}

/// What those were paid lately who were paid most.
async fn paid<'a>(doors: &Doors, members: &'a [Arc<MemberState>]) -> Result<Vec<(&'a MemberState, Paid)>, Reply> {
    let sum = |member: &MemberState| member.head.balances.iter().map(|(_, had)| had.paid_minor).sum::<i64>();
    let mut most: Vec<(i64, &MemberState)> = members.iter().map(|member| (sum(member), member.as_ref())).collect();
    most.retain(|(sum, _)| *sum > 0);
    most.sort_by_key(|(sum, _)| std::cmp::Reverse(*sum));
    let mut found = Vec::new();
    for (_, member) in most.into_iter().take(PAID_MEMBERS_MAX) {
        found.push((member, doors.engine.paid_lately(member).await?));
    }
    Ok(found)
}

/// What was done, in the past.
fn past(step: Step) -> &'static str {
    match step {
        Step::Grow => "grew",
        Step::Reopen => "opened again",
        Step::Confirm => "confirmed",
        Step::Dismiss => "dismissed",
        Step::Watch => "watched",
        Step::Undo => "taken back",
        Step::Object => "objected to",
        Step::Merge => "merged",
        Step::Withdraw => "evidence withdrawn",
        Step::Propose => "proposed",
    }
}

type Paid = Vec<(Timestamp, Unit, i64)>;

fn said(told: &Told<'_>) -> (&'static str, String) {
    match told {
        Told::Step(happened) => {
            let step = happened.step.map_or("opened", past);
            let said = happened.words.trim_start_matches("0 further members; ");
            ("case", format!("{step} by {}: {said}", words::by(&happened.by)))
        }
        Told::Joined(head) => (
            "joined",
            match &head.referred_by {
                Some((by, _)) => format!("{} joined, referred by {by}", head.id),
                None => format!("{} joined", head.id),
            },
        ),
        Told::OptedIn(head, step) => ("opted in", format!("{} opted in to {}", head.id, step.offer)),
        Told::Paid(head, unit, minor) => ("paid", format!("{} was paid {}", head.id, unit.shown(*minor))),
        Told::Bought(head, placed) => {
            let (id, at) = (&head.id, placed.merchant.as_ref().map_or_else(String::new, |shop| format!(" at {shop}")));
            let said = match &placed.purchase.occasion {
                None if placed.unlinked => format!("{id} got a refund{at}"),
                None => format!("{id} bought{at}"),
                Some(Occasion::Referral(referral)) => format!("{id} is rewarded for referring {}", referral.referred),
                Some(Occasion::Signal { kind, .. }) => format!("{id}: {}", words::plain(&kind.to_string())),
                Some(Occasion::Exchange { offer, .. }) => format!("{id} spent points on {offer}"),
            };
            ("bought", said)
        }
    }
}
