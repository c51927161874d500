//! Who is around a member: whom they name, who names them, and who shares something with them. What
//! few share comes first, so that a popular network never hides a payout account.

use super::kept::Kept;
use super::resident::{Link, REFERRAL, Who};
use crate::domain::Timestamp;
use crate::engine::derived::is_derived;
use std::cmp::Reverse;

/// Members around one that are named.
const NEIGHBOURS_MAX: usize = 50;
/// Members of one identifier, and referrals of one referrer, that are looked at.
const LOOKED_AT_MAX: usize = 1_000;

/// A member around another.
#[derive(Debug)]
pub struct Neighbour {
    /// Who.
    pub member: String,
    /// By which kind of link.
    pub kind: String,
    /// Whose word the link is: `member`, `other` or, where they share something, `both`.
    pub said_by: &'static str,
    /// Whether it is verified, of what is shared for both.
    pub verified: bool,
    /// Their score.
    pub score: f64,
    /// Since when: of what is shared, for the other.
    pub at: Timestamp,
    /// What they share; `None` of a referral.
    pub shared: Option<Shared>,
}

/// Something that two members say.
#[derive(Debug)]
pub struct Shared {
    /// Its short name, which means nothing outside of a picture.
    pub name: String,
    /// Whether it is verified for the member who was asked for.
    pub own_verified: bool,
    /// Since when they have it.
    pub own_at: Timestamp,
    /// Whether it is verified for the other.
    pub other_verified: bool,
}

/// Members around one, bounded.
#[derive(Debug, Default)]
pub struct Around {
    /// Those that are named.
    pub neighbours: Vec<Neighbour>,
    /// Further ones, as far as was looked.
    pub more: usize,
}

/// Who is around a member. Linear in the links looked at: of each of theirs at most a thousand.
#[must_use]
pub fn around(kept: &Kept, who: Who) -> Around {
    let resident = &kept.resident;
    let mut found = Around::default();
    let named: Vec<Link> = resident.named(who).take(LOOKED_AT_MAX).collect();
    let mut shared: Vec<(Link, Vec<Link>)> = Vec::new();
    for link in resident.said(who) {
        if link.kind == REFERRAL {
            found.add(|| referral(kept, link.to, &link, "member"));
        } else if !is_derived(resident.word(link.kind)) {
            let others = resident.of_identifier(link.to).filter(|other| { other.by } != who);
            shared.push((link, others.take(LOOKED_AT_MAX).collect()));
        }
    }
    shared.sort_by_key(|(link, others)| (others.len(), Reverse(link.verified), link.kind, { link.to }));
    for (link, others) in &shared {
        others.iter().for_each(|other| found.add(|| shares(kept, link, other)));
    }
    named.iter().for_each(|link| found.add(|| referral(kept, link.by, link, "other")));
    found
}

impl Around {
    fn add(&mut self, neighbour: impl FnOnce() -> Neighbour) {
        if self.neighbours.len() < NEIGHBOURS_MAX {
            self.neighbours.push(neighbour());
        } else {
            self.more += 1;
        }
    }
}

fn at(link: &Link) -> Timestamp {
    Timestamp::from_ms(i64::from(link.at) * 1000)
}

fn referral(kept: &Kept, other: Who, link: &Link, said_by: &'static str) -> Neighbour {
    Neighbour {
        member: kept.resident.name(other).to_owned(),
        kind: kept.resident.word(REFERRAL).to_owned(),
        said_by,
        verified: false,
        score: kept.scored(other).0.score,
        at: at(link),
        shared: None,
    }
}

fn shares(kept: &Kept, own: &Link, other: &Link) -> Neighbour {
    Neighbour {
        member: kept.resident.name(other.by).to_owned(),
        kind: kept.resident.word(own.kind).to_owned(),
        said_by: "both",
        verified: own.verified && other.verified,
        score: kept.scored(other.by).0.score,
        at: at(other),
        shared: Some(Shared {
            name: kept.resident.short_name(own.kind, own.to),
            own_verified: own.verified,
            own_at: at(own),
            other_verified: other.verified,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::member::LinkFact;
    use crate::domain::{CardHash, MemberId};

    fn link(kind: &str, value: u8) -> LinkFact {
        LinkFact { kind: kind.into(), value: CardHash([value; 16]), verified: true, at: Timestamp::from_ms(1_000_000) }
    }

    fn kept(members: &[(&str, Option<&str>, Vec<LinkFact>)]) -> Kept {
        let mut kept = Kept::default();
        for (name, by, links) in members {
            let who = kept.resident.enter(&MemberId::new(*name).unwrap());
            let by = by.map(|by| (MemberId::new(by).unwrap(), Timestamp::from_ms(2_000_000)));
            let joined = Timestamp::from_ms(500_000);
            kept.resident.register(who, joined, by.as_ref().map(|(by, at)| (by, *at)), links);
        }
        kept
    }

    fn names(found: &Around) -> Vec<&str> {
        found.neighbours.iter().map(|neighbour| neighbour.member.as_str()).collect()
    }

    #[test]
    fn what_few_share_comes_before_what_many_do() {
        let ips = (0..200).map(|number| format!("wifi-{number}")).collect::<Vec<_>>();
        let mut all: Vec<(&str, Option<&str>, Vec<LinkFact>)> =
            ips.iter().map(|name| (name.as_str(), None, vec![link("ip", 1)])).collect();
        all.push(("ann", None, vec![link("ip", 1), link("device", 2), link("~domain", 3)]));
        all.push(("bob", Some("ann"), vec![link("device", 2), link("~domain", 3)]));
        let kept = kept(&all);
        let found = around(&kept, kept.resident.find("ann").unwrap());
        assert_eq!(names(&found)[..1], ["bob"]);
        assert_eq!((found.neighbours.len(), found.more), (50, 152), "bob twice and two hundred of the network");
        let shared = found.neighbours[0].shared.as_ref().unwrap();
        assert!(shared.name.starts_with("device-") && shared.own_verified && shared.other_verified);
        assert!(found.neighbours.iter().all(|one| !one.kind.starts_with('~')), "what nobody said is not told");
    }

    #[test]
    fn a_referral_is_told_from_both_sides() {
        let kept = kept(&[("ann", None, vec![]), ("bob", Some("ann"), vec![])]);
        let (ann, bob) = (kept.resident.find("ann").unwrap(), kept.resident.find("bob").unwrap());
        let (of_ann, of_bob) = (around(&kept, ann), around(&kept, bob));
        assert_eq!((names(&of_ann), of_ann.neighbours[0].said_by), (vec!["bob"], "other"));
        assert_eq!((names(&of_bob), of_bob.neighbours[0].said_by), (vec!["ann"], "member"));
        assert_eq!(of_ann.neighbours[0].at, Timestamp::from_ms(2_000_000));
    }
}
