//! Pictures of members, what they share, and who referred whom: of a case, and of who is around one
//! member. Bounded; the same content stands in a table beside each.

use crate::cases::{Case, Tie};
use crate::console::page::encoded;
use crate::console::words;
use crate::decide::MemberState;
use crate::domain::member::Standing;
use crate::domain::{MemberId, MerchantId, Unit};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most nodes that are drawn.
const NODES_MAX: usize = 500;
/// Most links that are drawn.
const LINKS_MAX: usize = 2_000;

/// What is known of a member besides their links.
#[derive(Debug)]
pub(in crate::console) struct Known {
    /// How far they are trusted now.
    pub standing: Standing,
    /// What they have and had, of money, for the size of their node.
    pub money_minor: i64,
    /// The same in words.
    pub money: String,
}

impl Known {
    /// Of each member by id, as far as a merchant is concerned.
    pub(in crate::console) fn of_all(
        members: &[Arc<MemberState>],
        merchant: Option<&MerchantId>,
    ) -> BTreeMap<String, Self> {
        let one = |member: &Arc<MemberState>| {
            let sums = member.head.balances.iter().map(|(unit, had)| {
                (*unit, had.pending_minor + had.posted_minor + had.held_minor + had.available_minor + had.paid_minor)
            });
            let sums: Vec<(Unit, i64)> = sums.filter(|(_, minor)| *minor != 0).collect();
            let money_minor = sums.iter().filter(|(unit, _)| unit.currency().is_some()).map(|(_, minor)| minor).sum();
            let money = words::list(&sums.iter().map(|(unit, minor)| unit.shown(*minor)).collect::<Vec<_>>());
            (member.head.id.to_string(), Self { standing: member.head.standing_now(merchant), money_minor, money })
        };
        members.iter().map(one).collect()
    }
}

/// A picture, as the script draws it.
#[derive(Debug, Serialize)]
pub(in crate::console) struct Picture {
    nodes: Vec<Node>,
    links: Vec<Link>,
    /// Most nodes that are drawn, also when somebody asks for more.
    most: usize,
    /// Nodes that are left out, and what else was not looked at.
    more: usize,
    /// The nodes left out in words; empty when there are none.
    #[serde(skip)]
    left_out: String,
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
    /// The same as of its row in the table.
    key: String,
    from: String,
    to: String,
    kind: String,
    verified: bool,
    facts: String,
}

/// A picture with its table, as a page carries them.
pub(in crate::console) struct PicturePart {
    /// For the script.
    pub graph: String,
    /// What is not drawn, in words; empty when everything is.
    pub left_out: String,
    /// The links, all of them.
    pub ties: Vec<TieRow>,
}

/// A link in the table.
pub(in crate::console) struct TieRow {
    /// The same as of its line in the picture.
    pub key: String,
    /// Who said it.
    pub from: String,
    /// The address of their page.
    pub from_link: String,
    /// A member, or an identifier's short name.
    pub to: String,
    /// The address of a member's page.
    pub to_link: Option<String>,
    /// In words.
    pub kind: String,
    /// Whether it is verified.
    pub verified: bool,
    /// Since when.
    pub at: String,
}

/// Somebody whose node has facts.
struct Person {
    id: String,
    score: Option<u16>,
    sort: &'static str,
}

/// Whether a link leads to a member rather than to something shared.
fn leads_to_member(kind: &str) -> bool {
    matches!(kind, "referral" | "vouch")
}

/// A standing's word.
pub(in crate::console) fn word(standing: Standing) -> &'static str {
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
        let person = |suspect: &crate::cases::Suspect| Person {
            id: suspect.member.to_string(),
            score: (!case.hides_score()).then_some(suspect.score),
            sort: "member",
        };
        Self::drawn(case.members.iter().map(person).collect(), &case.ties, known)
    }

    /// Draws who is around a member: their scores by id, and how many more there are.
    pub(super) fn around(
        member: (&MemberId, Option<u16>),
        scores: BTreeMap<String, Option<u16>>,
        ties: &[Tie],
        known: &BTreeMap<String, Known>,
        more: usize,
    ) -> Self {
        let own = Person { id: member.0.to_string(), score: member.1, sort: "member" };
        let others = scores.into_iter().map(|(id, score)| Person { id, score, sort: "outside" });
        let mut drawn = Self::drawn([own].into_iter().chain(others).collect(), ties, known);
        drawn.more += more;
        if more > 0 {
            drawn.left_out = format!("{more} more around them are not named.");
        }
        drawn
    }

    fn drawn(people: Vec<Person>, ties: &[Tie], known: &BTreeMap<String, Known>) -> Self {
        let inside: BTreeSet<String> = people.iter().map(|person| person.id.clone()).collect();
        let mut nodes: Vec<Node> = people.into_iter().map(|person| node(person, known)).collect();
        nodes.sort_by_key(|node| (node.sort != "member", std::cmp::Reverse(node.money)));
        let mut others: BTreeMap<(String, &'static str, String), usize> = BTreeMap::new();
        for tie in ties {
            if leads_to_member(&tie.kind) {
                if !inside.contains(&tie.to) {
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
        let cut = nodes.split_off(nodes.len().min(NODES_MAX));
        let drawn: BTreeSet<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
        let links = ties.iter().map(link);
        let links = links.filter(|link| drawn.contains(link.from.as_str()) && drawn.contains(link.to.as_str()));
        let links: Vec<Link> = links.take(LINKS_MAX).collect();
        Self { nodes, links, most: NODES_MAX, more: cut.len(), left_out: left_out(&cut) }
    }

    /// With its table.
    pub(super) fn part(&self, ties: &[Tie]) -> PicturePart {
        PicturePart {
            graph: serde_json::to_string(self).unwrap_or_default(),
            left_out: self.left_out.clone(),
            ties: ties.iter().map(tie_row).collect(),
        }
    }
}

fn node(person: Person, known: &BTreeMap<String, Known>) -> Node {
    let Person { id, score, sort } = person;
    let score = words::score(score);
    let (standing, money_minor, money) = known
        .get(&id)
        .map_or(("clear", 0, String::new()), |known| (word(known.standing), known.money_minor, known.money.clone()));
    let money = if money.is_empty() { "no money".to_owned() } else { money };
    let facts = format!("{id}: score {score}, {standing}, {money}");
    Node { id: format!("m:{id}"), label: id, sort, standing, money: money_minor, facts }
}

fn link(tie: &Tie) -> Link {
    let prefix = if leads_to_member(&tie.kind) { "m" } else { "i" };
    let (from, to) = (format!("m:{}", tie.from), format!("{prefix}:{}", tie.to));
    let sure = if tie.verified { ", verified" } else { "" };
    let facts = format!("{} to {}: {}{sure}, since {}", tie.from, tie.to, words::kind(&tie.kind), words::when(tie.at));
    Link { key: key(tie), from, to, kind: tie.kind.to_string(), verified: tie.verified, facts }
}

/// By what a link is known in a picture and in its table.
fn key(tie: &Tie) -> String {
    format!("{} {} {}", tie.from, tie.kind, tie.to)
}

/// What a picture leaves out, in words.
fn left_out(cut: &[Node]) -> String {
    let shared = cut.iter().filter(|node| node.sort == "identifier").count();
    let parts = [(cut.len() - shared, "member"), (shared, "shared identifier")];
    let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, of)| words::count(*count, of));
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() {
        return String::new();
    }
    format!("{} more are not drawn: a picture has at most {NODES_MAX}. The tables have all.", words::list(&parts))
}

fn tie_row(tie: &Tie) -> TieRow {
    TieRow {
        key: key(tie),
        from: tie.from.to_string(),
        from_link: encoded(tie.from.as_str()),
        to: tie.to.clone(),
        to_link: leads_to_member(&tie.kind).then(|| encoded(&tie.to)),
        kind: words::kind(&tie.kind),
        verified: tie.verified,
        at: words::when(tie.at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    #[test]
    fn what_is_not_drawn_is_said() {
        let name = |number: usize| MemberId::new(format!("m-{number:03}")).unwrap();
        let people = |count: usize| {
            (0..count).map(|at| Person { id: name(at).to_string(), score: Some(1), sort: "member" }).collect()
        };
        let tie = |at: usize, to: &str, kind: &str| Tie {
            from: name(at),
            to: to.to_owned(),
            kind: kind.into(),
            verified: true,
            at: Timestamp::default(),
        };
        let ties: Vec<Tie> =
            (0..501).map(|at| tie(at, "device-0001", "device")).chain([tie(1, "m-000", "referral")]).collect();
        let known = BTreeMap::new();
        let whole = Picture::drawn(people(499), &ties[..499], &known);
        assert_eq!((whole.nodes.len(), whole.links.len(), whole.left_out.as_str()), (500, 499, ""));
        let cut = Picture::drawn(people(501), &ties, &known);
        assert_eq!((cut.nodes.len(), cut.more), (500, 2));
        assert!(cut.left_out.starts_with("1 member and 1 shared identifier more are not drawn"), "{}", cut.left_out);
        assert_eq!(cut.links.len(), 1, "links of what is drawn alone");
        assert_eq!(cut.part(&ties).ties.len(), 502, "the table has all");
    }
}
