//! What happened around a case: its own steps, and what its members did, newest first.

use crate::cases::Case;
use crate::console::words;
use crate::decide::MemberState;
use crate::domain::Timestamp;
use crate::domain::purchase::Occasion;
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

/// The entries, and how many older ones are left out.
pub(super) fn timeline(case: &Case, members: &[Arc<MemberState>]) -> (Vec<Entry>, usize) {
    let mut all: Vec<(Timestamp, &'static str, String)> = Vec::new();
    for happened in &case.timeline {
        let step = happened.step.map_or("opened", crate::cases::Step::as_str);
        let by = words::by(&happened.by);
        all.push((happened.at, "case", format!("{step} by {by}: {}", happened.words)));
    }
    for member in members {
        let id = &member.head.id;
        all.push((
            member.head.joined_at,
            "joined",
            match &member.head.referred_by {
                Some((by, _)) => format!("{id} joined, referred by {by}"),
                None => format!("{id} joined"),
            },
        ));
        for step in member.head.activations.iter().filter(|step| step.active) {
            all.push((step.at, "opted in", format!("{id} opted in to {}", step.offer)));
        }
        for placed in &member.purchases {
            let at = placed.merchant.as_ref().map_or_else(String::new, |merchant| format!(" at {merchant}"));
            let said = match &placed.purchase.occasion {
                None if placed.unlinked => format!("{id} got a refund{at}"),
                None => format!("{id} bought{at}"),
                Some(Occasion::Referral(referral)) => format!("{id} is rewarded for referring {}", referral.referred),
                Some(Occasion::Signal { kind, .. }) => format!("{id}: {}", words::plain(&kind.to_string())),
                Some(Occasion::Exchange { offer, .. }) => format!("{id} spent points on {offer}"),
            };
            all.push((placed.time, "bought", said));
        }
    }
    all.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
    let left_out = all.len().saturating_sub(ENTRIES_MAX);
    let entries = all.into_iter().take(ENTRIES_MAX);
    (entries.map(|(at, sort, words)| Entry { when: words::when(at), sort, words }).collect(), left_out)
}
