//! Rules of the risk desk as data: a deny list's entries, an allow list's entries with their end,
//! and velocities. A rule has an author, begins in shadow, where it only counts what it would have
//! flagged, and keeps all it ever said: evidence names the version that it rests on.
//!
//! A live rule is a detector like any other, under the name `rule:ID`: it adds evidence to cases,
//! and what follows is the policy's and people's. Pure.

use crate::domain::{CardHash, Code, Currency, MemberId, Timestamp};
use compact_str::{CompactString, format_compact};
use serde::{Deserialize, Serialize};

/// What the detector's name of every rule begins with.
pub const RULE: &str = "rule:";
/// The family of a deny list's evidence.
pub const DENY_LIST: &str = "deny list";
/// The family of a velocity's evidence.
pub const VELOCITY: &str = "velocity";
/// The family of a velocity's evidence that rests on what others said of a member. It never counts
/// for what acts by itself.
pub const SAID_BY_OTHERS: &str = "said by others";
/// Versions of one rule; after them a new one is to be made.
pub const VERSIONS_MAX: usize = 100;
/// Rules that have not ended.
pub const RULES_MAX: usize = 500;
/// The longest window of a velocity, in seconds.
pub const WITHIN_SECONDS_MAX: u32 = 31 * 86_400;

/// A rule with all it ever said, oldest first; at least one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name.
    pub id: Code,
    /// Oldest first.
    pub versions: Vec<Version>,
}

/// What a rule said from an instant on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Numbered from 1.
    pub number: u32,
    /// Whether it counts.
    pub state: State,
    /// What it says.
    pub says: Says,
    /// Why, in its author's words.
    pub reason: String,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// Who: the id of their key.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Whether a rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It only counts what it would have flagged.
    Shadow,
    /// It adds evidence to cases; an allow entry silences.
    Live,
    /// It counts for nothing.
    Ended,
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Says {
    /// Whoever it means is evidence of fraud.
    Deny(Whom),
    /// Whoever it means opens no case.
    Allow {
        /// Who.
        whom: Whom,
        /// By these detectors; none named is by any.
        detectors: Vec<CompactString>,
    },
    /// So much of a thing within a time is evidence of fraud.
    Velocity(Velocity),
}

/// Whom an entry of a list means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Whom {
    /// One member.
    Member(MemberId),
    /// Everybody who says one of some identifiers of a kind: a network is several.
    Identifier {
        /// The kind, as links say it.
        kind: CompactString,
        /// Keyed hashes of the values.
        values: Vec<CardHash>,
    },
}

/// How much of a thing within which time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Velocity {
    /// Of what.
    pub of: Counted,
    /// Its amounts in a currency are added rather than it is counted.
    pub sum: Option<Currency>,
    /// Of all members who say one identifier of a kind together; `None` of each member.
    pub per: Option<CompactString>,
    /// Within so many seconds.
    pub within_seconds: u32,
    /// So many, or so much in minor units, are evidence.
    pub at_least: i64,
}

/// What a velocity counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// Members who joined.
    SignUps,
    /// Members who say that one referred them: their word, not the referrer's.
    Referrals,
    /// Cards that were linked.
    Cards,
    /// Offers opted in to.
    Activations,
    /// Purchases that cleared; their sum is of all clearings.
    Purchases,
    /// Refunds and chargebacks.
    Refunds,
    /// Rewards, as they are after all.
    Rewards,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Shadow, Self::Live, Self::Ended];
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Live => "live",
            Self::Ended => "ended",
        }
    }
}

impl Counted {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::SignUps, Self::Referrals, Self::Cards, Self::Activations, Self::Purchases, Self::Refunds, Self::Rewards];
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignUps => "sign_ups",
            Self::Referrals => "referrals",
            Self::Cards => "cards",
            Self::Activations => "activations",
            Self::Purchases => "purchases",
            Self::Refunds => "refunds",
            Self::Rewards => "rewards",
        }
    }
    /// Whether it has amounts that can be added.
    #[must_use]
    pub fn has_amounts(self) -> bool {
        matches!(self, Self::Purchases | Self::Refunds | Self::Rewards)
    }
    /// Whether others say it of a member.
    #[must_use]
    pub fn is_said_by_others(self) -> bool {
        self == Self::Referrals
    }
}

impl Rule {
    /// The name under which its evidence stands.
    #[must_use]
    pub fn detector(&self) -> CompactString {
        format_compact!("{RULE}{}", self.id)
    }
    /// What it says now.
    ///
    /// # Panics
    /// Never: a rule is made with a version.
    #[must_use]
    pub fn newest(&self) -> &Version {
        self.versions.last().expect("a rule is made with a version")
    }
    /// Where it is at an instant: one whose end has come has ended.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> State {
        let newest = self.newest();
        if newest.until.is_some_and(|until| until <= now) { State::Ended } else { newest.state }
    }
    /// From when it counts what happens: its first version that says the same.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        let says = &self.newest().says;
        let same = self.versions.iter().rev().take_while(|version| &version.says == says);
        same.last().map_or(self.newest().at, |version| version.at)
    }
}

impl Says {
    /// The word of its kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Deny(_) => "deny",
            Self::Allow { .. } => "allow",
            Self::Velocity(_) => "velocity",
        }
    }
}

/// Something that a velocity may count: when, whether it counts as one, and its amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fact {
    /// Unix seconds.
    pub at: u32,
    /// How many it is, or how much.
    pub adds: i64,
}

/// A velocity that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// When the fact came that made it enough: Unix seconds.
    pub at: u32,
    /// The most within any such time.
    pub most: i64,
}

impl Velocity {
    /// Whether so much came within the time, by a set of facts: their order does not matter.
    /// `n log n` in their number.
    #[must_use]
    pub fn reached(&self, mut facts: Vec<Fact>) -> Option<Reached> {
        facts.sort_unstable();
        let (mut sum, mut low, mut reached) = (0_i64, 0, None::<Reached>);
        for fact in &facts {
            sum = sum.saturating_add(fact.adds);
            // What is exactly so old is not within it any more.
            while fact.at - facts[low].at >= self.within_seconds {
                sum = sum.saturating_sub(facts[low].adds);
                low += 1;
            }
            if sum >= self.at_least {
                let known = reached.get_or_insert(Reached { at: fact.at, most: sum });
                known.most = known.most.max(sum);
            }
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn velocity(within_seconds: u32, at_least: i64) -> Velocity {
        Velocity { of: Counted::SignUps, sum: None, per: None, within_seconds, at_least }
    }

    #[test]
    fn a_velocity_is_reached_by_what_came_within_its_time_in_any_order() {
        for (within, at_least, facts, expected) in [
            (10, 3, &[(0, 1), (5, 1), (9, 1)][..], Some((9, 3))),
            (10, 3, &[(9, 1), (0, 1), (5, 1)], Some((9, 3))),
            (10, 3, &[(0, 1), (5, 1), (10, 1)], None),
            (10, 3, &[(0, 1), (5, 1), (14, 1), (14, 1)], Some((14, 3))),
            (10, 2, &[(0, 1), (1, 1), (2, 1), (30, 1)], Some((1, 3))),
            (10, 500, &[(0, 300), (3, -100), (5, 300)], Some((5, 500))),
            (10, 501, &[(0, 300), (3, -100), (5, 300)], None),
            (10, 1, &[], None),
        ] {
            let facts = facts.iter().map(|&(at, adds)| Fact { at, adds }).collect();
            let reached = velocity(within, at_least).reached(facts);
            assert_eq!(reached.map(|reached| (reached.at, reached.most)), expected, "{at_least} within {within}");
        }
    }

    #[test]
    fn a_rule_counts_from_when_it_began_to_say_so_until_its_end() {
        let at = Timestamp::from_ms;
        let version = |number: u32, state, at_least, until| Version {
            number,
            state,
            says: Says::Velocity(velocity(10, at_least)),
            reason: "too fast".to_owned(),
            until,
            by: "key".to_owned(),
            at: at(i64::from(number) * 100),
        };
        let id = Code::parse("fast").unwrap();
        let mut rule = Rule { id, versions: vec![version(1, State::Shadow, 3, None)] };
        assert_eq!((rule.state(at(5)), rule.since()), (State::Shadow, at(100)));
        rule.versions.push(version(2, State::Live, 3, Some(at(900))));
        assert_eq!((rule.state(at(899)), rule.state(at(900)), rule.since()), (State::Live, State::Ended, at(100)));
        rule.versions.push(version(3, State::Live, 4, None));
        assert_eq!((rule.state(at(9_000)), rule.since()), (State::Live, at(300)));
        assert_eq!(rule.detector(), "rule:fast");
    }
}
