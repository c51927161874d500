//! The desk's rules as screening reads them: whom a deny list's entry means, which velocities were
//! reached, and who is spared by the allow list.
//!
//! A velocity is a function of the set of what members did since the rule began to say so, not of
//! the order in which it was recorded: a replay finds what was found live. What it needs is kept for
//! the rules there are, and for as long as their windows reach back.

use super::acts::Acts;
use super::pass::{rounded, ties};
use super::resident::{CARD, REFERRAL, Resident, Who};
use crate::cases::rules::{
    Counted, DENY_LIST, Fact, Rule, SAID_BY_OTHERS, Says, State, VELOCITY, Velocity, WITHIN_SECONDS_MAX, Whom,
};
use crate::cases::triage::{Automatic, Group, NO_BOUND, TriagePolicy};
use crate::cases::{Evidence, Suspect};
use crate::decide::MemberState;
use crate::domain::{Code, MemberId, Timestamp};
use crate::graph::network::NO_TIME;
use crate::record::Record;
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Members of one identifier that are looked at together.
const KEY_MEMBERS_MAX: usize = 1_000;
/// Members whom one rule has flagged that are told apart.
const FLAGGED_MAX: usize = 10_000;
/// Groups of one rule that one look enters.
const GROUPS_MAX: usize = 500;
/// Links of a picture.
const TIES_MAX: usize = 500;

/// Whom a rule has flagged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flagged {
    /// When each gave cause first: Unix seconds.
    pub members: BTreeMap<Who, u32>,
}

/// What a rule says of somebody.
#[derive(Debug, Clone)]
pub struct Hit {
    /// Which.
    pub rule: Code,
    /// Its version.
    version: u32,
    /// Those who gave cause by an act or a verified instrument of their own.
    own: BTreeSet<Who>,
    /// Those of whom others say so, or who say it unverified.
    others: BTreeSet<Who>,
    /// When cause was given: Unix seconds.
    at: u32,
    words: String,
    strength: u16,
}

/// What a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Member(Who),
    Key(u32),
}

/// See the module.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Rules {
    known: BTreeMap<Code, Rule>,
    acts: Acts,
    flagged: BTreeMap<Code, Flagged>,
}

fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.as_ms() / 1000).unwrap_or_default()
}

/// What a rule takes to be a case: the desk said so beforehand. What follows by itself is the
/// policy's, which asks for a second kind of evidence.
#[must_use]
pub fn policy(policy: &TriagePolicy) -> TriagePolicy {
    TriagePolicy { score_min: 0, families_min: 1, members_min: 0, open_error_max: NO_BOUND, ..policy.clone() }
}

impl Rules {
    /// Takes a rule as it is from now on.
    pub fn set(&mut self, rule: &Rule) {
        let before = self.known.insert(rule.id, rule.clone());
        if before.is_some_and(|before| before.newest().says != rule.newest().says) {
            self.flagged.remove(&rule.id);
        }
        let mut wanted = BTreeMap::new();
        for rule in self.known.values().filter(|rule| rule.newest().state != State::Ended) {
            if let Says::Velocity(velocity) = &rule.newest().says {
                let since = wanted.entry(velocity.of).or_insert(u32::MAX);
                *since = (*since).min(seconds(rule.since()));
            }
        }
        self.acts.want(wanted);
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Whom a rule has flagged, those that would count were it live.
    #[must_use]
    pub fn flagged(&self, rule: &Code) -> Option<&Flagged> {
        self.flagged.get(rule)
    }

    /// Takes in what a record says that a member did.
    pub fn feed(&mut self, who: Who, record: &Record) {
        self.acts.feed(who, record);
    }
    /// Takes a member in as the state has them, in place of what was kept.
    pub fn restore(&mut self, who: Who, state: &MemberState) {
        self.acts.restore(who, state);
    }
    /// Forgets what no window reaches back to any more.
    pub fn forget_before(&mut self, now: Timestamp) {
        self.acts.forget_before(seconds(now).saturating_sub(2 * WITHIN_SECONDS_MAX));
    }

    /// What rules that count at an instant say of a member, or because of them: live ones and those in
    /// shadow. Unless their links changed, velocities of what they did alone.
    #[must_use]
    pub fn of(&self, resident: &Resident, who: Who, is_linked: bool, now: Timestamp) -> Vec<Hit> {
        let concerns = |rule: &&Rule| match &rule.newest().says {
            Says::Velocity(velocity) => is_linked || Acts::keeps(velocity.of),
            _ => is_linked,
        };
        let counting = self.counting(resident, now).filter(concerns);
        counting.flat_map(|rule| self.hits(resident, rule, subjects_of(resident, rule, who))).collect()
    }

    /// What they say of everybody. Linear in the members and their links.
    #[must_use]
    pub fn of_all(&self, resident: &Resident, now: Timestamp) -> Vec<Hit> {
        let mut hits = Vec::new();
        for rule in self.counting(resident, now) {
            let subjects: BTreeSet<Subject> = match &rule.newest().says {
                Says::Allow { .. } => BTreeSet::new(),
                Says::Deny(whom) => denied(resident, whom).into_iter().collect(),
                Says::Velocity(velocity) => {
                    let since = seconds(rule.since());
                    let numbers = 0..u32::try_from(resident.len()).expect("numbered by u32");
                    let acted = numbers.filter(|&who| self.has_done(resident, velocity.of, who, since));
                    acted.flat_map(|who| subjects_of(resident, rule, who)).collect()
                }
            };
            hits.extend(self.hits(resident, rule, subjects).into_iter().take(GROUPS_MAX));
        }
        hits
    }

    /// Deny entries and velocities that have not ended and were not withdrawn.
    fn counting<'a>(&'a self, resident: &'a Resident, now: Timestamp) -> impl Iterator<Item = &'a Rule> {
        self.known.values().filter(move |rule| {
            rule.state(now) != State::Ended && !resident.is_withdrawn(&rule.detector(), rule.newest().number)
        })
    }

    fn hits(&self, resident: &Resident, rule: &Rule, subjects: impl IntoIterator<Item = Subject>) -> Vec<Hit> {
        let subjects = subjects.into_iter();
        match &rule.newest().says {
            Says::Allow { .. } => Vec::new(),
            Says::Deny(whom) => subjects.filter_map(|subject| deny(resident, rule, whom, subject)).collect(),
            Says::Velocity(velocity) => {
                subjects.filter_map(|subject| self.velocity(resident, rule, velocity, subject)).collect()
            }
        }
    }

    fn velocity(&self, resident: &Resident, rule: &Rule, velocity: &Velocity, subject: Subject) -> Option<Hit> {
        let since = seconds(rule.since());
        let mut facts = Vec::new();
        let (mut own, mut others) = (BTreeSet::new(), BTreeSet::new());
        for (who, is_verified) in members(resident, subject) {
            let theirs = self.facts(resident, velocity, who, since);
            if theirs.is_empty() || resident.member(who).erased {
                continue;
            }
            facts.extend(theirs);
            let is_own = is_verified && !velocity.of.is_said_by_others();
            if is_own {
                own.insert(who)
            } else {
                others.insert(who)
            };
        }
        let reached = velocity.reached(facts)?;
        let (count, hours) = (own.len() + others.len(), velocity.within_seconds.div_ceil(3600));
        let of = velocity.of.as_str().replace('_', "-");
        let what = match velocity.sum {
            Some(currency) => format!("{of} of {} {currency} (minor units)", reached.most),
            None => format!("{} {of}", reached.most),
        };
        let whose = match &velocity.per {
            Some(kind) => format!("one {} of {count} members", kind.trim_start_matches('~')),
            None => "one member".to_owned(),
        };
        let times = reached.most / velocity.at_least.max(1);
        let strength = 400 + 100 * u16::try_from(times.clamp(1, 6)).unwrap_or(1);
        let words = format!("{what} within {hours} hours by {whose}; the rule takes {}", velocity.at_least);
        Some(Hit { rule: rule.id, version: rule.newest().number, own, others, at: reached.at, words, strength })
    }

    fn has_done(&self, resident: &Resident, what: Counted, who: Who, since: u32) -> bool {
        match what {
            Counted::SignUps => joined(resident, who).is_some_and(|at| at >= since),
            Counted::Referrals => resident.referrer(who).is_some_and(|link| { link.at } >= since),
            Counted::Cards => resident.said(who).any(|link| link.kind == CARD && { link.at } >= since),
            _ => self.acts.has(who, what, since),
        }
    }

    /// What a velocity counts of a member.
    fn facts(&self, resident: &Resident, velocity: &Velocity, who: Who, since: u32) -> Vec<Fact> {
        let one = |at: u32| Fact { at, adds: 1 };
        let mut facts: Vec<Fact> = match velocity.of {
            Counted::SignUps => joined(resident, who).into_iter().map(one).collect(),
            Counted::Referrals => resident.named(who).map(|link| one(link.at)).collect(),
            Counted::Cards => resident.said(who).filter(|link| link.kind == CARD).map(|link| one(link.at)).collect(),
            what => self.acts.of(who, what, velocity.sum).collect(),
        };
        facts.retain(|fact| fact.at >= since);
        facts
    }

    /// Writes down whom a hit flags.
    pub fn flag(&mut self, hit: &Hit) {
        let flagged = self.flagged.entry(hit.rule).or_default();
        for &who in hit.own.iter().chain(&hit.others) {
            if flagged.members.len() < FLAGGED_MAX || flagged.members.contains_key(&who) {
                let at = flagged.members.entry(who).or_insert(hit.at);
                *at = (*at).min(hit.at);
            }
        }
    }

    /// The group of a hit, when its rule is live.
    #[must_use]
    pub fn group(&self, resident: &Resident, hit: &Hit, score: impl Fn(Who) -> f64, now: Timestamp) -> Option<Group> {
        // One that says something else meanwhile is asked anew.
        let speaks = |rule: &&Rule| rule.newest().number == hit.version && rule.state(now) == State::Live;
        let rule = self.known.get(&hit.rule).filter(speaks)?;
        let family = if matches!(rule.newest().says, Says::Deny(_)) { DENY_LIST } else { VELOCITY };
        // Whoever only has a denied identifier typed into their account says it themselves.
        let of_others = if family == DENY_LIST { DENY_LIST } else { SAID_BY_OTHERS };
        let evidence = |family: &str, members: &BTreeSet<Who>| {
            (!members.is_empty()).then(|| Evidence {
                detector: rule.detector(),
                version: rule.newest().number,
                family: family.into(),
                strength: hit.strength,
                words: hit.words.clone(),
                clears: format!(
                    "the desk ending the rule, or an allow entry; it was made for: {}",
                    rule.newest().reason
                ),
                members: members.iter().map(|&who| resident.id(who)).collect(),
                seen_at: now,
            })
        };
        let suspect =
            |&who: &Who, own| Suspect { member: resident.id(who), score: rounded(score(who)), own, since: now };
        let own = hit.own.iter().map(|who| suspect(who, true));
        let all: BTreeSet<Who> = hit.own.union(&hit.others).copied().collect();
        Some(Group {
            merchant: None,
            members: own.chain(hit.others.iter().map(|who| suspect(who, false))).collect(),
            evidence: [evidence(family, &hit.own), evidence(of_others, &hit.others)].into_iter().flatten().collect(),
            ties: ties(resident, &all, TIES_MAX),
        })
    }

    /// A group without those whom the allow list spares of what it says of them.
    #[must_use]
    pub fn spare(&self, resident: &Resident, mut group: Group, now: Timestamp) -> Group {
        for (whom, detectors) in self.allowed(now) {
            let spared = |member: &MemberId| means(resident, whom, member);
            let named = |detector: &CompactString| detectors.is_empty() || detectors.contains(detector);
            let mut met: BTreeSet<MemberId> = BTreeSet::new();
            for seen in group.evidence.iter_mut().filter(|seen| named(&seen.detector)) {
                met.extend(seen.members.extract_if(.., |member| spared(member)));
            }
            if detectors.is_empty() {
                group.members.retain(|suspect| !spared(&suspect.member));
                group.ties.retain(|tie| !spared(&tie.from));
            } else {
                let left = |member: &MemberId| group.evidence.iter().any(|seen| seen.members.contains(member));
                group.members.retain(|suspect| !met.contains(&suspect.member) || left(&suspect.member));
            }
        }
        group.evidence.retain(|seen| !seen.members.is_empty());
        group
    }

    /// Members to whom nothing is done by itself: those of allow entries that name no detector.
    #[must_use]
    pub fn spared(&self, resident: &Resident, now: Timestamp) -> BTreeSet<MemberId> {
        let all = self.allowed(now).filter(|(_, detectors)| detectors.is_empty());
        let of = |whom: &Whom| match whom {
            Whom::Member(member) => vec![member.clone()],
            Whom::Identifier { .. } => {
                let keys = denied(resident, whom).into_iter();
                keys.flat_map(|key| members(resident, key)).map(|(who, _)| resident.id(who)).collect()
            }
        };
        all.flat_map(|(whom, _)| of(whom)).collect()
    }

    fn allowed(&self, now: Timestamp) -> impl Iterator<Item = (&Whom, &Vec<CompactString>)> {
        self.known.values().filter(move |rule| rule.state(now) == State::Live).filter_map(|rule| {
            match &rule.newest().says {
                Says::Allow { whom, detectors } => Some((whom, detectors)),
                _ => None,
            }
        })
    }
}

fn joined(resident: &Resident, who: Who) -> Option<u32> {
    let member = resident.member(who);
    (member.registered && member.joined != NO_TIME).then_some(member.joined)
}

/// Members of a subject, and whether it is verified that they are.
fn members(resident: &Resident, subject: Subject) -> Vec<(Who, bool)> {
    match subject {
        Subject::Member(who) => vec![(who, true)],
        Subject::Key(key) => {
            resident.of_identifier(key).take(KEY_MEMBERS_MAX).map(|link| (link.by, link.verified)).collect()
        }
    }
}

/// What an entry of a list means.
fn denied(resident: &Resident, whom: &Whom) -> Vec<Subject> {
    match whom {
        Whom::Member(member) => resident.find(member.as_str()).map(Subject::Member).into_iter().collect(),
        Whom::Identifier { kind, values } => {
            values.iter().filter_map(|value| resident.lookup(kind, value)).map(Subject::Key).collect()
        }
    }
}

/// Whether an entry means a member.
fn means(resident: &Resident, whom: &Whom, member: &MemberId) -> bool {
    match whom {
        Whom::Member(named) => named == member,
        Whom::Identifier { .. } => {
            let keys = denied(resident, whom);
            let Some(who) = resident.find(member.as_str()) else { return false };
            resident.said(who).any(|link| link.kind != REFERRAL && keys.contains(&Subject::Key(link.to)))
        }
    }
}

/// What a rule looks at because of a member.
fn subjects_of(resident: &Resident, rule: &Rule, who: Who) -> Vec<Subject> {
    let said = |who: Who, kind: &str| {
        let kind = resident.kind_of(kind).filter(|kind| *kind != REFERRAL);
        let keys = resident.said(who).filter(move |link| Some(link.kind) == kind);
        keys.map(|link| Subject::Key(link.to)).collect::<Vec<_>>()
    };
    match &rule.newest().says {
        Says::Allow { .. } => Vec::new(),
        Says::Deny(whom @ Whom::Member(_)) => {
            denied(resident, whom).into_iter().filter(|subject| *subject == Subject::Member(who)).collect()
        }
        Says::Deny(whom @ Whom::Identifier { kind, .. }) => {
            let keys = denied(resident, whom);
            said(who, kind).into_iter().filter(|subject| keys.contains(subject)).collect()
        }
        Says::Velocity(velocity) => {
            // A referral is told by who was referred, and counted of who referred them.
            let whose = if velocity.of == Counted::Referrals {
                resident.referrer(who).map(|link| link.to).into_iter().collect()
            } else {
                vec![who]
            };
            let of = |who: Who| match &velocity.per {
                Some(kind) => said(who, kind),
                None => vec![Subject::Member(who)],
            };
            whose.into_iter().flat_map(of).collect()
        }
    }
}

fn deny(resident: &Resident, rule: &Rule, whom: &Whom, subject: Subject) -> Option<Hit> {
    let (mut own, mut others) = (BTreeSet::new(), BTreeSet::new());
    for (who, is_verified) in members(resident, subject) {
        let member = resident.member(who);
        if member.registered && !member.erased {
            if is_verified {
                own.insert(who)
            } else {
                others.insert(who)
            };
        }
    }
    let words = match (whom, subject) {
        (Whom::Identifier { kind, .. }, Subject::Key(key)) => {
            let name = resident.kind_of(kind).map(|kind| resident.short_name(kind, key)).unwrap_or_default();
            let count = own.len() + others.len();
            format!("{} is on the deny list: {count} members", name.trim_start_matches('~'))
        }
        _ => "on the deny list".to_owned(),
    };
    let at = seconds(rule.since());
    (!own.is_empty() || !others.is_empty()).then(|| Hit {
        rule: rule.id,
        version: rule.newest().number,
        own,
        others,
        at,
        words,
        strength: 1_000,
    })
}

/// Whether a policy acts at all: who is spared matters then alone.
#[must_use]
pub fn acts(policy: &TriagePolicy) -> bool {
    policy.automatic != Automatic::Nothing
}
