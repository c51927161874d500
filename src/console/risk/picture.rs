//! The picture of a case: its members, what they share, who referred whom. Bounded; the same
//! content stands in a table beside it.

use crate::cases::Case;
use crate::console::words;
use crate::domain::member::Standing;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Most nodes that are drawn.
pub(super) const NODES_MAX: usize = 500;
/// Most links that are drawn.
const LINKS_MAX: usize = 2_000;

/// What is known of a member besides the case.
pub(super) struct Known {
    /// How far they are trusted now.
    pub standing: Standing,
    /// What they have and had, of money, for the size of their node.
    pub money_minor: i64,
    /// The same in words.
    pub money: String,
}

/// A picture, as the script draws it.
#[derive(Debug, Serialize)]
pub(super) struct Picture {
    nodes: Vec<Node>,
    links: Vec<Link>,
    /// Nodes that are left out.
    #[serde(skip)]
    pub left_out: usize,
}

#[derive(Debug, Serialize)]
struct Node {
    id: String,
    label: String,
    /// `member`, `outside` or `identifier`.
    sort: &'static str,
    standing: &'static str,
    money: i64,
    facts: String,
}

#[derive(Debug, Serialize)]
struct Link {
    from: String,
    to: String,
    kind: String,
    verified: bool,
    facts: String,
}

/// Whether a link leads to a member rather than to something shared.
pub(super) fn leads_to_member(kind: &str) -> bool {
    matches!(kind, "referral" | "vouch")
}

/// A standing's word.
pub(super) fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Clear => "clear",
        Standing::Watched => "watched",
        Standing::Held => "held",
        Standing::Barred => "barred",
    }
}

impl Picture {
    /// Draws a case: members with most money first, then what most of them share.
    pub(super) fn of(case: &Case, known: &BTreeMap<String, Known>) -> Self {
        let mut nodes: Vec<Node> = case
            .members
            .iter()
            .map(|suspect| {
                let id = suspect.member.to_string();
                let (standing, money_minor, money) = known.get(&id).map_or(("clear", 0, String::new()), |known| {
                    (word(known.standing), known.money_minor, known.money.clone())
                });
                let money = if money.is_empty() { "no money".to_owned() } else { money };
                let facts = format!("{id}: score {}, {standing}, {money}", suspect.score);
                Node { id: format!("m:{id}"), label: id, sort: "member", standing, money: money_minor, facts }
            })
            .collect();
        nodes.sort_by_key(|node| std::cmp::Reverse(node.money));
        let inside: BTreeSet<&str> = case.members.iter().map(|suspect| suspect.member.as_str()).collect();
        let mut others: BTreeMap<(String, &'static str, String), usize> = BTreeMap::new();
        for tie in &case.ties {
            if leads_to_member(&tie.kind) {
                if !inside.contains(tie.to.as_str()) {
                    *others.entry((tie.to.clone(), "outside", tie.to.clone())).or_default() += 1;
                }
            } else {
                *others.entry((tie.to.clone(), "identifier", words::kind(&tie.kind))).or_default() += 1;
            }
        }
        let mut others: Vec<_> = others.into_iter().collect();
        others.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        nodes.extend(others.into_iter().map(|((to, sort, label), count)| {
            let facts = match sort {
                "outside" => format!("{label}: not part of this case"),
                _ => format!("{label} {to}: {}", words::count(count, "link")),
            };
            let prefix = if sort == "outside" { "m" } else { "i" };
            Node { id: format!("{prefix}:{to}"), label, sort, standing: "", money: 0, facts }
        }));
        let left_out = nodes.len().saturating_sub(NODES_MAX);
        nodes.truncate(NODES_MAX);
        let drawn: BTreeSet<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
        let link = |tie: &crate::cases::Tie| {
            let prefix = if leads_to_member(&tie.kind) { "m" } else { "i" };
            let (from, to) = (format!("m:{}", tie.from), format!("{prefix}:{}", tie.to));
            let sure = if tie.verified { ", verified" } else { "" };
            let facts =
                format!("{} to {}: {}{sure}, since {}", tie.from, tie.to, words::kind(&tie.kind), words::when(tie.at));
            Link { from, to, kind: tie.kind.to_string(), verified: tie.verified, facts }
        };
        let links = case.ties.iter().map(link);
        let links = links.filter(|link| drawn.contains(link.from.as_str()) && drawn.contains(link.to.as_str()));
        let links: Vec<Link> = links.take(LINKS_MAX).collect();
        Self { nodes, links, left_out }
    }

    /// As the page carries it.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
