//! What happened, in one or two plain sentences: from the links of the case and its money.

use crate::api::cases::ComparedView;
use crate::cases::Case;
use crate::console::words;
use crate::domain::Unit;
use crate::engine::cases::Stake;
use std::collections::{BTreeMap, BTreeSet};

/// The sentence over a case.
pub(super) fn sentence(case: &Case, stake: &BTreeMap<Unit, Stake>) -> String {
    let who = words::count(case.members.len(), "member");
    let (shared, referred) = ties(case);
    let referred = match referred {
        0 => None,
        1 => Some("one of them was referred by another of the group".to_owned()),
        many => Some(format!("{many} of them were referred by another of the group")),
    };
    let what = match (shared.is_empty(), referred) {
        (false, Some(referred)) => format!("share {}; {referred}", words::list(&shared)),
        (false, None) => format!("share {}", words::list(&shared)),
        (true, Some(referred)) => format!("belong together: {referred}"),
        (true, None) => case
            .evidence
            .first()
            .map_or_else(|| "belong together".to_owned(), |seen| format!("stand out: {}", seen.words)),
    };
    format!("{who} {}. {}", what.trim_end_matches('.'), money(stake))
}

/// `0 of 1240 honest households score as high.`
pub(super) fn compared(view: Option<ComparedView>) -> String {
    let Some(ComparedView { segment, groups, as_high: Some(as_high) }) = view else { return String::new() };
    let of = match segment {
        "other" => "honest groups of any kind".to_owned(),
        kind => format!("honest groups of the kind {kind}"),
    };
    format!("{as_high} of {groups} {of} score as high in the last look at everybody.")
}

/// What they share, strongest kind first, and how many were referred from within.
fn ties(case: &Case) -> (Vec<String>, usize) {
    let known = |text: &str| case.members.iter().any(|suspect| suspect.member.as_str() == text);
    let mut shared: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    let (mut referrals, mut verified) = (BTreeSet::new(), BTreeSet::new());
    for tie in &case.ties {
        if tie.kind == "referral" {
            if known(&tie.to) {
                referrals.insert(tie.from.as_str());
            }
            continue;
        }
        shared.entry((tie.kind.as_str(), tie.to.as_str())).or_default().insert(tie.from.as_str());
        if tie.verified {
            verified.insert((tie.kind.as_str(), tie.to.as_str()));
        }
    }
    let mut by_kind: BTreeMap<&str, (usize, BTreeSet<&str>, bool)> = BTreeMap::new();
    for ((kind, to), by) in shared.into_iter().filter(|(_, by)| by.len() > 1) {
        let (count, members, sure) = by_kind.entry(kind).or_default();
        *count += 1;
        members.extend(by);
        *sure |= verified.contains(&(kind, to));
    }
    let mut kinds: Vec<_> = by_kind.into_iter().collect();
    kinds.sort_by_key(|(_, (_, members, sure))| std::cmp::Reverse((*sure, members.len())));
    let all = case.members.len();
    let share = |(kind, (count, members, sure)): (&str, (usize, BTreeSet<&str>, bool))| {
        let name = words::kind(kind);
        let sure = if sure { "verified " } else { "" };
        let things = match count {
            1 => format!("one {sure}{name}"),
            _ => format!("{count} {sure}{name}{}", if name.ends_with('s') { "es" } else { "s" }),
        };
        if members.len() < all { format!("{things} ({} of them)", members.len()) } else { things }
    };
    (kinds.into_iter().take(3).map(share).collect(), referrals.len())
}

fn money(stake: &BTreeMap<Unit, Stake>) -> String {
    let sum = |of: fn(&Stake) -> i64| {
        let each = stake.iter().map(|(unit, had)| (unit, of(had))).filter(|(_, minor)| *minor != 0);
        words::list(&each.map(|(unit, minor)| unit.shown(minor)).collect::<Vec<_>>())
    };
    let open = sum(|had| had.pending_minor + had.held_minor + had.available_minor);
    let paid = sum(|had| had.paid_minor);
    match (open.is_empty(), paid.is_empty()) {
        (true, true) => "No money is at stake yet.".to_owned(),
        (false, true) => format!("{open} can still be kept; nothing is paid out."),
        (true, false) => format!("All of it, {paid}, is paid out."),
        (false, false) => format!("{open} can still be kept; {paid} is paid out."),
    }
}
