//! What becomes of a group that was found: nothing, a new case, or part of one that is there;
//! and what the written policy does with it. A dismissal remembers its evidence: the same
//! evidence never reopens it, only a family of evidence that it had not seen.

use super::origin::Origin;
use super::{
    Case, EVIDENCE_MAX, Evidence, FAMILIES_TO_ACT, Happened, PolicyAct, SCORE, SCREENING, Status, Step, Suspect, Tie,
};
use crate::domain::member::Standing;
use crate::domain::{MemberId, MerchantId, Timestamp};
use crate::graph::segments::{Controls, Segment};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Basis points of honest groups that may be wrong: all of them, which is no bound.
pub const NO_BOUND: u16 = 10_000;

/// The written policy: what opens a case, and what acts by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriagePolicy {
    /// Mean score of a group's members from which it is a case, 0 to 1000.
    pub score_min: u16,
    /// Families of evidence that must agree.
    pub families_min: usize,
    /// Members whom their own acts tie to the group.
    pub members_min: usize,
    /// Members of one case: the highest scores.
    pub members_max: usize,
    /// What is set without a review.
    pub automatic: Automatic,
    /// Mean score from which that is done.
    pub automatic_score_min: u16,
    /// Members whom the allow list spares: nothing is done to them by itself.
    pub spared: Arc<BTreeSet<MemberId>>,
    /// Days until a hold that nobody reviewed ends by itself.
    pub hold_days: u32,
    /// Basis points of honest groups of a kind that may become cases, by the upper 95 percent bound;
    /// [`NO_BOUND`] asks for none.
    pub open_error_max: u16,
    /// The same of those to whose members something is done without a review.
    pub act_error_max: u16,
    /// What the last pass made of these bounds.
    pub cuts: Cuts,
}

/// From which score a group of a kind is a case, and from which something is done by itself: `None` where
/// there are too few honest groups to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cuts(BTreeMap<Segment, (u16, Option<u16>)>);

impl TriagePolicy {
    /// The same policy with the bounds read from groups that nobody called fraud.
    #[must_use]
    pub fn bounded(&self, controls: &Controls) -> Self {
        let cut = |segment| {
            let open = controls.open_cut(segment, self.score_min, self.open_error_max);
            let act = controls.cut(segment, self.automatic_score_min, self.act_error_max);
            // Where too few groups are known a case costs a look, and an act would cost somebody's money.
            (segment, (open.unwrap_or(self.score_min), act))
        };
        Self { cuts: Cuts(Segment::ALL.into_iter().map(cut).collect()), ..self.clone() }
    }

    /// Mean score from which a group of a kind is a case.
    #[must_use]
    pub fn open_from(&self, segment: Segment) -> u16 {
        let cut = self.cuts.0.get(&segment).filter(|_| self.open_error_max < NO_BOUND);
        cut.map_or(self.score_min, |(open, _)| *open)
    }

    /// Mean score from which something is done without a review to members of such a group; `None` when
    /// nothing is: before the first pass too.
    #[must_use]
    pub fn act_from(&self, segment: Segment) -> Option<u16> {
        if self.act_error_max >= NO_BOUND {
            return Some(self.automatic_score_min);
        }
        self.cuts.0.get(&segment)?.1
    }
}

/// What kind of group some members are, by their picture.
#[must_use]
pub fn segment(members: &[Suspect], ties: &[Tie]) -> Segment {
    let most = |is_kind: fn(&Tie) -> bool| {
        let mut around: BTreeMap<&str, BTreeSet<&MemberId>> = BTreeMap::new();
        for tie in ties.iter().filter(|tie| is_kind(tie)) {
            around.entry(&tie.to).or_default().insert(&tie.from);
        }
        around.values().map(BTreeSet::len).max().unwrap_or(0)
    };
    let by_one = most(|tie| tie.kind == "referral");
    Segment::of(members.len(), by_one, most(|tie| matches!(tie.kind.as_str(), "ip" | "address")))
}

/// What policy may do without a review. It only ever raises a standing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Automatic {
    /// Nothing: cases alone (shadow).
    Nothing,
    /// Members are watched.
    Watch,
    /// Members are held.
    Hold,
}

/// A group as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The merchant whose rivals it is about; `None` is the whole programme.
    pub merchant: Option<MerchantId>,
    /// Who, each once.
    pub members: Vec<Suspect>,
    /// What was seen.
    pub evidence: Vec<Evidence>,
    /// Its picture.
    pub ties: Vec<Tie>,
}

impl Group {
    /// The mean score of those whom their own acts tie to it.
    #[must_use]
    pub fn score(&self) -> u16 {
        mean(self.members.iter().filter(|suspect| suspect.own))
    }

    fn families(&self) -> BTreeSet<&str> {
        self.evidence.iter().map(|evidence| evidence.family.as_str()).collect()
    }

    /// Whether the policy wants people to look at it.
    #[must_use]
    pub fn is_case(&self, policy: &TriagePolicy) -> bool {
        self.members.iter().filter(|suspect| suspect.own).count() >= policy.members_min
            && self.families().len() >= policy.families_min
            && self.score() >= policy.open_from(segment(&self.members, &self.ties))
    }
}

fn mean<'a>(members: impl Iterator<Item = &'a Suspect>) -> u16 {
    let (mut sum, mut count) = (0_u64, 0_u64);
    for suspect in members {
        sum += u64::from(suspect.score);
        count += 1;
    }
    u16::try_from(sum.checked_div(count).unwrap_or(0)).unwrap_or(u16::MAX)
}

/// Whether a group of these members belongs to a case: one that people have before them by any member of
/// its own, one whose review is over when the group is mostly its own; else the group is another.
#[must_use]
pub fn is_theirs(members: &[Suspect], case: &Case) -> bool {
    let own = members.iter().filter(|suspect| suspect.own).count();
    let shared = members.iter().filter(|suspect| case.suspect(&suspect.member).is_some()).count();
    let known = |suspect: &&Suspect| case.suspect(&suspect.member).is_some_and(|known| known.own);
    let own_shared = members.iter().filter(|suspect| suspect.own).filter(known).count();
    match case.status {
        Status::Merged => false,
        // Who is only named is looked at where they stand already, and joins no two cases.
        // Nor does one who was reported, but who was found since is them.
        Status::Open | Status::Watching => {
            own_shared > 0 || shared > 0 && (own == 0 || case.origin.reported.is_some() && case.meant().is_empty())
        }
        Status::Confirmed | Status::Dismissed => 2 * own_shared >= own,
    }
}

/// What becomes of a group, given the cases that hold any of its members: the cases that
/// change, each as it is from now on. `next` is the number of a new one.
#[must_use]
pub fn triage(mut group: Group, known: &[Case], policy: &TriagePolicy, next: u64, at: Timestamp) -> Vec<Case> {
    if !group.is_case(policy) {
        return Vec::new();
    }
    group.members.sort_by(|a, b| b.own.cmp(&a.own).then(b.score.cmp(&a.score)).then_with(|| a.member.cmp(&b.member)));
    group.members.truncate(policy.members_max);
    let shared = |case: &Case| group.members.iter().filter(|suspect| case.suspect(&suspect.member).is_some()).count();
    let own = group.members.iter().filter(|suspect| suspect.own).count();
    let mut theirs: Vec<&Case> =
        known.iter().filter(|case| case.merchant == group.merchant && is_theirs(&group.members, case)).collect();
    // The one that most of the group is in, the older of two; what people have before them first.
    theirs.sort_by_key(|case| (std::cmp::Reverse((case.status.is_standing(), shared(case))), case.id));
    let Some((first, others)) = theirs.split_first() else {
        return vec![opened(group, policy, next, at)];
    };
    let mut changed = Vec::new();
    let mut case = (*first).clone();
    // Two cases that people have before them and that one group joins are one case.
    for other in others.iter().filter(|other| own > 0 && case.status.is_standing() && other.status.is_standing()) {
        let mut part = (*other).clone();
        if part.step(Step::Merge, SCREENING, format!("the same group as case {}", case.id), at).is_ok() {
            part.origin.merged_into = Some(case.id);
            let Case { members, evidence, ties, acts, .. } = part.clone();
            group.members.extend(members);
            group.evidence.extend(evidence);
            group.ties.extend(ties);
            case.acts.extend(acts);
            changed.push(part);
        }
    }
    if grow(&mut case, group, policy, at) || !changed.is_empty() {
        act(&mut case, policy, at);
        changed.push(case);
    }
    changed
}

/// A case of a group below the threshold that chance chose, one in so many, so that people say what is
/// missed. `None` when a case has any of it already. Nothing is done by itself.
#[must_use]
pub fn drawn(
    mut group: Group,
    known: &[Case],
    policy: &TriagePolicy,
    next: u64,
    at: Timestamp,
    one_in: u32,
) -> Option<Case> {
    group.members.sort_by(|a, b| b.own.cmp(&a.own).then(b.score.cmp(&a.score)).then_with(|| a.member.cmp(&b.member)));
    group.members.truncate(policy.members_max);
    if known.iter().any(|case| case.merchant == group.merchant && is_theirs(&group.members, case)) {
        return None;
    }
    let policy = TriagePolicy { automatic: Automatic::Nothing, ..policy.clone() };
    let mut case = opened(group, &policy, next, at);
    case.origin.one_in = Some(one_in);
    Some(case)
}

fn opened(group: Group, policy: &TriagePolicy, id: u64, at: Timestamp) -> Case {
    let words = format!("{} members, {} kinds of evidence", group.members.len(), group.families().len());
    let mut case = Case {
        id,
        status: Status::Open,
        merchant: group.merchant.clone(),
        opened_at: at,
        changed_at: at,
        score: 0,
        members: Vec::new(),
        evidence: Vec::new(),
        ties: Vec::new(),
        reviews: Vec::new(),
        acts: Vec::new(),
        timeline: vec![Happened {
            at,
            step: None,
            from: Status::Open,
            to: Status::Open,
            by: SCREENING.to_owned(),
            words,
        }],
        origin: Origin::default(),
    };
    take(&mut case, group, policy);
    act(&mut case, policy, at);
    case
}

/// Takes a group into its case; tells whether that says anything new.
fn grow(case: &mut Case, group: Group, policy: &TriagePolicy, at: Timestamp) -> bool {
    let room = policy.members_max.saturating_sub(case.members.len());
    let new_members = group.members.iter().filter(|suspect| case.suspect(&suspect.member).is_none()).take(room).count();
    let known = case.families();
    let new_families: Vec<String> =
        group.families().into_iter().filter(|family| !known.contains(family)).map(str::to_owned).collect();
    let became_own = group.members.iter().any(|s| s.own && case.suspect(&s.member).is_some_and(|before| !before.own));
    // What a dismissal has seen never comes back by itself.
    let seen: BTreeSet<&str> = case
        .last_review()
        .map(|(_, review)| review.families.iter().map(compact_str::CompactString::as_str).collect())
        .unwrap_or_default();
    // Nor do the score's own figures bring it back, which move with everybody else's.
    let findings: BTreeSet<&str> =
        group.evidence.iter().filter(|one| one.detector != SCORE).map(|one| one.family.as_str()).collect();
    let unseen: Vec<&str> = findings.into_iter().filter(|family| !seen.contains(family)).collect();
    let (step, words) = match case.status {
        Status::Dismissed if unseen.is_empty() => return false,
        Status::Dismissed => (Step::Reopen, format!("new kinds of evidence: {}", unseen.join(", "))),
        Status::Confirmed | Status::Watching if !unseen.is_empty() || new_members > 0 => {
            (Step::Reopen, format!("{new_members} further members; new kinds of evidence: {}", list(&unseen)))
        }
        Status::Confirmed | Status::Merged => return false,
        _ if new_members == 0 && new_families.is_empty() && !became_own => return false,
        _ => {
            let new: Vec<&str> = new_families.iter().map(String::as_str).collect();
            (Step::Grow, format!("{new_members} further members; new kinds of evidence: {}", list(&new)))
        }
    };
    if case.step(step, SCREENING, words, at).is_err() {
        return false;
    }
    take(case, group, policy);
    true
}

fn list(words: &[&str]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

/// Puts what was found into the case, bounded.
fn take(case: &mut Case, group: Group, policy: &TriagePolicy) {
    for suspect in group.members {
        if let Some(known) = case.members.iter_mut().find(|known| known.member == suspect.member) {
            (known.score, known.own) = (suspect.score, known.own || suspect.own);
        } else if case.members.len() < policy.members_max {
            case.members.push(suspect);
        }
    }
    case.members.sort_by(|a, b| a.member.cmp(&b.member));
    for evidence in group.evidence {
        // The same seen again, perhaps of more members, is not another.
        let same = |known: &&mut Evidence| {
            (&known.detector, &known.family) == (&evidence.detector, &evidence.family)
                && known.members.iter().any(|member| evidence.members.contains(member))
        };
        match case.evidence.iter_mut().find(same) {
            Some(known) if known.version < evidence.version || known.members.len() <= evidence.members.len() => {
                *known = evidence;
            }
            Some(known) => known.seen_at = evidence.seen_at,
            None => case.evidence.push(evidence),
        }
    }
    case.evidence.sort_by(|a, b| b.strength.cmp(&a.strength).then_with(|| a.detector.cmp(&b.detector)));
    // One of each family stays, whatever is cut.
    let mut kept: BTreeSet<compact_str::CompactString> = BTreeSet::new();
    let mut place = 0;
    case.evidence.retain(|evidence| {
        place += 1;
        kept.insert(evidence.family.clone()) || place <= EVIDENCE_MAX
    });
    case.ties.extend(group.ties);
    case.ties.sort();
    case.ties.dedup();
    case.ties.truncate(4 * policy.members_max);
    case.score = mean(case.members.iter().filter(|suspect| suspect.own));
}

/// What the policy does without a review: it raises standings and never lowers one, and only
/// of those whom their own acts tie to the group.
fn act(case: &mut Case, policy: &TriagePolicy, at: Timestamp) {
    let standing = match policy.automatic {
        Automatic::Nothing => return,
        Automatic::Watch => Standing::Watched,
        Automatic::Hold => Standing::Held,
    };
    // At least two families must agree before anybody is held, whatever was configured.
    let from = policy.act_from(segment(&case.members, &case.ties));
    if case.status != Status::Open || from.is_none_or(|from| case.score < from) {
        return;
    }
    let acted: BTreeSet<_> = case.acts.iter().filter(|act| !act.undone).flat_map(|act| &act.members).cloned().collect();
    let is_free = |member: &_| !acted.contains(member) && !policy.spared.contains(member);
    let is_enough = |member: &_| is_free(member) && case.agreeing(member) >= FAMILIES_TO_ACT;
    let members: Vec<_> = case.meant().into_iter().filter(is_enough).collect();
    if !members.is_empty() {
        let until = (standing == Standing::Held).then(|| at.plus_days(policy.hold_days));
        case.acts.push(PolicyAct { standing, members, at, until, undone: false });
    }
}
