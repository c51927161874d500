//! The look at everybody: the whole network through the graph's detectors and score, and the
//! groups that its findings make.

use super::by_model::ByModel;
use super::live;
use super::own::{leading, own};
use super::resident::{REFERRAL, Resident, Who};
use super::rules::Hit;
use crate::cases::triage::{Group, NO_BOUND, TriagePolicy};
use crate::cases::{Evidence, SCORE, Suspect, Tie};
use crate::config::ModelSettings;
use crate::domain::Timestamp;
use crate::graph::algorithms::components::UnionFind;
use crate::graph::detectors::dense_block::DENSE_BLOCK;
use crate::graph::detectors::{ALL, Finding, detect};
use crate::graph::features::Table;
use crate::graph::found::Found;
use crate::graph::model::named::{FITTED_MODEL, NamedModel};
use crate::graph::network::{Network, NetworkFault};
use crate::graph::score::{BASE_RATE, Contribution, Scorer};
use crate::graph::seeds::Seeds;
use crate::graph::segments::{Controls, Said, controls};
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};

/// Scores below this are not kept: nothing is unusual.
const KEPT_MIN: f64 = 100.0;
/// Findings weaker than this begin no group.
const STRENGTH_MIN: f64 = 0.3;
/// Findings of one member that are compared with each other.
const COMPARED_MAX: usize = 200;
/// A contribution that is no surprise is no evidence: one member in seven is as extreme.
const SURPRISE_MIN: f64 = 2.0;
/// Log odds from which a step of the fitted model is evidence: it doubles the odds.
const STEP_MIN: f64 = std::f64::consts::LN_2;
/// Groups below the threshold that are looked at for a draw.
pub const BELOW_MAX: usize = 2_000;
/// What would clear what the score says.
pub const MODEL_CLEARS: &str = "the same figures as other members have, over time";
/// Pieces of evidence of one detector in one group.
const PER_DETECTOR_MAX: usize = 5;

/// A member's score with what it is made of.
#[derive(Debug, Clone, Default)]
pub struct Scored {
    /// 0 to 1000.
    pub score: f64,
    /// Strongest first; those that say nothing are left out.
    pub parts: Vec<Contribution>,
}

/// What a pass found.
#[derive(Debug, Default)]
pub struct Passed {
    /// When what it looked at was read.
    pub at: Timestamp,
    /// Members with anything unusual.
    pub scores: HashMap<Who, Scored>,
    /// Groups, those with most members first.
    pub groups: Vec<Group>,
    /// Groups that lead to a merchant's rivals.
    pub rivals: Vec<Group>,
    /// What the desk's rules say of everybody.
    pub hits: Vec<Hit>,
    /// Groups below the threshold, when some are drawn: at most [`BELOW_MAX`], evenly chosen.
    pub below: Vec<Group>,
    /// How many there are.
    pub below_count: usize,
    /// Members, links, findings.
    pub seen: (usize, usize, usize),
    /// Honest groups of each kind, by the score of the case that half of each is in.
    pub controls: Controls,
    /// What the fitted model said, when there is one that counts.
    pub model: Option<ByModel>,
    /// How common it is among honest members that each detector speaks of them.
    pub spoken: Vec<Spoken>,
}

/// Of how many members a detector speaks who are not known as fraud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spoken {
    /// Its name.
    pub detector: &'static str,
    /// Its version.
    pub version: u32,
    /// Of so many.
    pub of: usize,
    /// So many are not known as fraud.
    pub honest: usize,
}

impl Passed {
    /// What the model said, when its score is the one that counts.
    #[must_use]
    pub fn live_model(&self) -> Option<&ByModel> {
        self.model.as_ref().filter(|model| model.live().is_some())
    }
}

/// Looks at everybody. Takes seconds to minutes for a large network. `draws`: groups below the
/// threshold are wanted too.
///
/// # Errors
/// When the network has more nodes or kinds than the graph numbers.
pub fn pass(
    resident: &Resident,
    policy: &TriagePolicy,
    model: Option<&ModelSettings>,
    draws: bool,
    at: Timestamp,
) -> Result<Passed, NetworkFault> {
    let network = resident.network(at)?;
    let who: Vec<Option<Who>> = network.members.nodes.iter().map(|&node| resident.find(network.name(node))).collect();
    let seeds = seeds(resident, &who);
    let found = Found::of(&network);
    let table = Table::of(&found);
    let mut findings = detect(&found, seeds.as_ref());
    findings.retain(|finding| resident.counts(finding.detector));
    let spoken = spoken(resident, &who, &findings);
    let model = model.filter(|model| !resident.is_withdrawn(FITTED_MODEL, model.named.version));
    let mut passed =
        Passed { at, seen: (network.members.len(), network.links.len(), findings.len()), spoken, ..Passed::default() };
    let looked = Looked { resident, network: &network, who: &who, findings: &findings, policy, at };
    // Who is near a known member is told as evidence; the score itself does not move with it.
    let scorer = |model| Scorer::new(&found, &table, model, None, &findings);
    let by_model = model.map(|model| (model, scorer(Some(&model.named.model))));
    passed.model = by_model.as_ref().map(|(model, scorer)| ByModel::new(model, scorer, &who, resident.len()));
    let live = passed.model.as_ref().and_then(ByModel::live).cloned();
    let (mut groups, reached) = match (&by_model, &live) {
        (Some((_, scorer)), Some(named)) => {
            passed.scores = looked.scores(scorer, |_, _| true);
            looked.groups(&passed.scores, Some(named))
        }
        (by_model, _) => {
            passed.scores = looked.scores(&scorer(None), |_, _| true);
            let found = looked.groups(&passed.scores, None);
            if let (Some((model, scorer)), Some(of_model)) = (by_model, &mut passed.model) {
                // Only members of groups are looked at in full: the others' scores are kept without reasons.
                let named: BTreeSet<usize> =
                    findings.iter().filter(|one| is_strong(one)).flat_map(|one| &one.members).copied().collect();
                let scores = looked.scores(scorer, |row, _| named.contains(&row));
                of_model.compare(&found.0, &looked.groups(&scores, Some(&model.named)).0);
            }
            found
        }
    };
    passed.controls = looked.controls(&reached);
    let bounded = policy.bounded(&passed.controls);
    groups.retain(|_, group| group.is_case(&bounded));
    if draws {
        (passed.below, passed.below_count) = looked.below(&passed.scores, &groups, live.as_deref());
    }
    passed.groups = groups.into_values().collect();
    passed.groups.sort_by(|a, b| {
        b.members.len().cmp(&a.members.len()).then_with(|| a.members[0].member.cmp(&b.members[0].member))
    });
    Ok(passed)
}

/// How common each detector's findings are among members who are not known as fraud.
fn spoken(resident: &Resident, who: &[Option<Who>], findings: &[Finding]) -> Vec<Spoken> {
    let is_honest = |row: &usize| who[*row].is_some_and(|who| resident.member(who).known != Some(true));
    let honest = (0..who.len()).filter(is_honest).count();
    // Of one that found nothing it is worth knowing too.
    let mut rows: BTreeMap<(&'static str, u32), BTreeSet<usize>> =
        ALL.iter().map(|detector| ((detector.name, detector.version), BTreeSet::new())).collect();
    for finding in findings {
        let of = rows.entry((finding.detector.name, finding.detector.version)).or_default();
        of.extend(finding.members.iter().copied().filter(is_honest));
    }
    rows.into_iter().map(|((detector, version), of)| Spoken { detector, version, of: of.len(), honest }).collect()
}

/// What reviews said, by row.
fn seeds(resident: &Resident, who: &[Option<Who>]) -> Option<Seeds> {
    let mut seeds = Seeds::default();
    for (row, who) in who.iter().enumerate() {
        match who.and_then(|who| resident.member(who).known) {
            Some(true) => drop(seeds.bad.insert(row)),
            Some(false) => drop(seeds.good.insert(row)),
            None => {}
        }
    }
    (!seeds.bad.is_empty() || !seeds.good.is_empty()).then_some(seeds)
}

fn is_strong(finding: &Finding) -> bool {
    finding.strength >= STRENGTH_MIN
}

/// What a pass looks at, before anybody is scored.
struct Looked<'a> {
    resident: &'a Resident,
    network: &'a Network,
    who: &'a [Option<Who>],
    findings: &'a [Finding],
    policy: &'a TriagePolicy,
    at: Timestamp,
}

impl Looked<'_> {
    /// Scores of those with anything unusual, or anything that is kept up to date between passes.
    fn scores(&self, scorer: &Scorer<'_>, wanted: impl Fn(usize, Who) -> bool) -> HashMap<Who, Scored> {
        let mut scores = HashMap::new();
        for (row, who) in self.who.iter().enumerate() {
            let Some(who) = who.filter(|&who| wanted(row, who)) else { continue };
            let (score, parts) = scorer.parts_of(row);
            if score >= KEPT_MIN || parts.iter().any(|part| live::replaces(part.source)) {
                scores.insert(who, Scored { score, parts });
            }
        }
        scores
    }

    /// Groups that are cases, by the place of the first finding of each; and the score of the highest group
    /// that each member is in, whatever it is from which one is a case.
    fn groups(
        &self,
        scores: &HashMap<Who, Scored>,
        model: Option<&NamedModel>,
    ) -> (BTreeMap<usize, Group>, HashMap<Who, u16>) {
        let any_score = TriagePolicy { score_min: 0, open_error_max: NO_BOUND, ..self.policy.clone() };
        let (strong, beside) = self.strong();
        let (mut groups, mut reached) = (BTreeMap::new(), HashMap::new());
        for places in same_members(&strong) {
            let group = self.group(&places, (&strong, &beside), scores, self.policy, model);
            if !group.is_case(&any_score) {
                continue;
            }
            let score = group.score();
            for who in group.members.iter().filter_map(|suspect| self.resident.find(suspect.member.as_str())) {
                let highest: &mut u16 = reached.entry(who).or_default();
                *highest = (*highest).max(score);
            }
            if group.is_case(self.policy) {
                groups.insert(places[0], group);
            }
        }
        (groups, reached)
    }

    /// Honest groups of each kind, by the score of the highest group that half of their members are in.
    fn controls(&self, reached: &HashMap<Who, u16>) -> Controls {
        let score = |row: usize| self.who[row].and_then(|who| reached.get(&who)).copied().unwrap_or(0);
        let said = |row: usize| match self.who[row].and_then(|who| self.resident.member(who).known) {
            Some(true) => Said::Fraud,
            Some(false) => Said::Honest,
            None => Said::Nothing,
        };
        Controls::of(&controls(self.network), score, said)
    }

    /// Some of the groups that are none, whatever their members' scores, and how many those are.
    fn below(
        &self,
        scores: &HashMap<Who, Scored>,
        cases: &BTreeMap<usize, Group>,
        model: Option<&NamedModel>,
    ) -> (Vec<Group>, usize) {
        let policy = TriagePolicy { score_min: 0, families_min: 1, open_error_max: NO_BOUND, ..self.policy.clone() };
        let (strong, beside) = self.strong();
        let mut places: Vec<Vec<usize>> = same_members(&strong);
        places.retain(|places| !cases.contains_key(&places[0]));
        let all = places.len();
        // Which of very many are looked at is a matter of chance too.
        places.sort_by_key(|places| {
            let seed = u64::try_from(self.at.as_ms()).unwrap_or(0);
            xxhash_rust::xxh3::xxh3_64_with_seed(&places[0].to_le_bytes(), seed)
        });
        places.truncate(BELOW_MAX);
        let looked_at = places.len();
        let groups = places.iter().map(|places| self.group(places, (&strong, &beside), scores, &policy, model));
        let groups: Vec<Group> = groups.filter(|group| group.is_case(&policy)).collect();
        // Of those that were not looked at as many are groups as of those that were.
        let count = groups.len() * all / looked_at.max(1);
        (groups, count)
    }

    /// A dense block may hold an honest core and a ring at once: it begins no group. Nor does what is
    /// said of one member alone. Both are told of the groups that they are about.
    fn strong(&self) -> (Vec<&Finding>, Vec<&Finding>) {
        let begins = |finding: &&Finding| finding.members.len() > 1 && finding.detector.name != DENSE_BLOCK.name;
        self.findings.iter().filter(|one| is_strong(one)).partition(begins)
    }

    /// Findings that are about the same members are one group.
    fn group(
        &self,
        places: &[usize],
        (strong, beside): (&[&Finding], &[&Finding]),
        scores: &HashMap<Who, Scored>,
        policy: &TriagePolicy,
        model: Option<&NamedModel>,
    ) -> Group {
        let Self { resident, network, who, at, .. } = *self;
        let mut members: BTreeSet<Who> = BTreeSet::new();
        for &place in places {
            members.extend(strong[place].members.iter().filter_map(|&row| who[row]));
        }
        let inside = |row: &usize| who[*row].is_some_and(|who| members.contains(&who));
        let beside = beside
            .iter()
            .filter(|finding| 2 * finding.members.iter().filter(|row| inside(row)).count() >= finding.members.len());
        let evidence = places.iter().map(|&place| strong[place]).chain(beside.copied()).map(|finding| {
            let rows = finding.members.iter().filter(|row| inside(row));
            let names = rows.map(|&row| network.name(network.members.nodes[row]));
            Evidence {
                detector: finding.detector.name.into(),
                version: finding.detector.version,
                family: finding.detector.family.into(),
                strength: per_mille(finding.strength),
                words: finding.words.clone(),
                clears: finding.detector.clears.to_owned(),
                members: names.filter_map(|name| name.parse().ok()).collect(),
                seen_at: at,
            }
        });
        let evidence = strongest_few(evidence.collect());
        let score = |who: Who| scores.get(&who).map_or(0.0, |scored| scored.score);
        let mut group = group(resident, &members, evidence, score, policy, at);
        group.evidence.extend(tails(&group, resident, scores, model, at));
        group.evidence.extend(model.and_then(|model| scored_by(&group, model, at)));
        group
    }
}

/// Places of findings, together when half of the smaller one's members are the other's too.
fn same_members(findings: &[&Finding]) -> Vec<Vec<usize>> {
    let mut of_member: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, finding) in findings.iter().enumerate() {
        for &row in &finding.members {
            of_member.entry(row).or_default().push(place);
        }
    }
    let mut shared: HashMap<(usize, usize), usize> = HashMap::new();
    for places in of_member.values() {
        let places = &places[..places.len().min(COMPARED_MAX)];
        for (nth, &one) in places.iter().enumerate() {
            for &other in &places[nth + 1..] {
                *shared.entry((one, other)).or_default() += 1;
            }
        }
    }
    let mut sets = UnionFind::new(findings.len());
    let number = |place: usize| u32::try_from(place).expect("findings are bounded");
    for (&(one, other), &count) in &shared {
        if 2 * count >= findings[one].members.len().min(findings[other].members.len()) {
            sets.union(number(one), number(other));
        }
    }
    let mut all: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for place in 0..findings.len() {
        all.entry(sets.root(number(place))).or_default().push(place);
    }
    all.into_values().collect()
}

/// Of each detector the strongest few: a star of a hundred pairs says one thing.
pub(super) fn strongest_few(mut evidence: Vec<Evidence>) -> Vec<Evidence> {
    evidence.sort_by(|a, b| b.strength.cmp(&a.strength).then_with(|| b.members.len().cmp(&a.members.len())));
    let mut count: BTreeMap<compact_str::CompactString, usize> = BTreeMap::new();
    evidence.retain(|one| {
        let count = count.entry(one.detector.clone()).or_default();
        *count += 1;
        *count <= PER_DETECTOR_MAX
    });
    evidence
}

/// A group with its members' scores, who ties themselves to it, and its picture. Those whom
/// others only name are listed, however unsuspicious.
#[must_use]
pub fn group(
    resident: &Resident,
    members: &BTreeSet<Who>,
    evidence: Vec<Evidence>,
    score: impl Fn(Who) -> f64,
    policy: &TriagePolicy,
    at: Timestamp,
) -> Group {
    // Behaviour of one's own needs nobody else.
    let acted: BTreeSet<_> =
        evidence.iter().filter(|one| one.detector == "refund-abuse").flat_map(|one| &one.members).collect();
    let tied = own(resident, members);
    let mut suspects = Vec::new();
    for &who in members {
        if resident.member(who).erased
            || resident.member(who).known == Some(false) && score(who) < f64::from(policy.score_min)
        {
            continue;
        }
        let member = resident.id(who);
        let own = tied.contains(&who) || acted.contains(&member);
        let score = score(who).clamp(0.0, 1000.0);
        // Who is only beside it says nothing and makes it look milder.
        if own && score < f64::from(policy.score_min) / 2.0 {
            continue;
        }
        suspects.push(Suspect { member, score: rounded(score), own, since: at });
    }
    let kept: BTreeSet<Who> = suspects.iter().filter_map(|suspect| resident.find(suspect.member.as_str())).collect();
    Group { merchant: None, ties: ties(resident, &kept, policy.members_max * 4), members: suspects, evidence }
}

/// What the score's own terms, or the model's, say of most of a group, as evidence.
fn tails(
    group: &Group,
    resident: &Resident,
    scores: &HashMap<Who, Scored>,
    model: Option<&NamedModel>,
    at: Timestamp,
) -> Vec<Evidence> {
    let own: Vec<&Suspect> = group.members.iter().filter(|suspect| suspect.own).collect();
    let adds_min = if model.is_some() { STEP_MIN } else { SURPRISE_MIN };
    let mut families: BTreeMap<&'static str, Vec<(&Suspect, &Contribution)>> = BTreeMap::new();
    for suspect in &own {
        let scored = resident.find(suspect.member.as_str()).and_then(|who| scores.get(&who));
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for part in scored.into_iter().flat_map(|scored| &scored.parts) {
            let known = part.family == BASE_RATE || group.evidence.iter().any(|one| one.family == part.family);
            if part.adds >= adds_min && !known && seen.insert(part.family) {
                families.entry(part.family).or_default().push((suspect, part));
            }
        }
    }
    let most = |members: &Vec<_>| 2 * members.len() > own.len();
    let told = families.into_iter().filter(|(_, members)| most(members));
    told.map(|(family, members)| {
        let strongest = members.iter().max_by(|a, b| a.1.adds.total_cmp(&b.1.adds)).expect("more than half of some");
        let by = model.map(|model| format!(", by the model {}", model.title())).unwrap_or_default();
        Evidence {
            detector: model.map_or(SCORE, |_| FITTED_MODEL).into(),
            version: model.map_or(1, |model| model.version),
            family: family.into(),
            strength: per_mille(strongest.1.adds / 10.0),
            words: format!("{} of {} members: {}{by}", members.len(), own.len(), strongest.1.words),
            clears: MODEL_CLEARS.to_owned(),
            members: members.iter().map(|(suspect, _)| suspect.member.clone()).collect(),
            seen_at: at,
        }
    })
    .collect()
}

/// The model by whose score a group is what it is, as evidence: of the same kind as the strongest
/// finding, because it is none of its own.
#[must_use]
pub fn scored_by(group: &Group, model: &NamedModel, at: Timestamp) -> Option<Evidence> {
    let strongest = group.evidence.iter().max_by_key(|seen| seen.strength)?;
    Some(Evidence {
        detector: FITTED_MODEL.into(),
        version: model.version,
        family: strongest.family.clone(),
        strength: group.score().clamp(1, 1000),
        words: format!("scored by the model {}", model.title()),
        clears: MODEL_CLEARS.to_owned(),
        members: group.members.iter().filter(|suspect| suspect.own).map(|suspect| suspect.member.clone()).collect(),
        seen_at: at,
    })
}

/// Referrals within a group, and identifiers that two of it share.
#[must_use]
pub fn ties(resident: &Resident, group: &BTreeSet<Who>, most: usize) -> Vec<Tie> {
    let mut ties = Vec::new();
    let leading = leading(resident, group);
    for &who in group {
        for link in resident.said(who) {
            let (to, kind) = (link.to, link.kind);
            let name = if kind == REFERRAL {
                if !group.contains(&to) {
                    continue;
                }
                resident.name(to).to_owned()
            } else {
                if !leading[&(kind, to)].iter().any(|other| { other.by } != who) {
                    continue;
                }
                resident.short_name(kind, to)
            };
            let at = Timestamp::from_ms(i64::from(link.at) * 1000);
            ties.push(Tie {
                from: resident.id(who),
                to: name,
                kind: resident.word(kind).into(),
                verified: link.verified,
                at,
            });
            if ties.len() >= most {
                return ties;
            }
        }
    }
    ties
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 to 1000 before")]
/// A score as it is shown.
#[must_use]
pub fn rounded(score: f64) -> u16 {
    score.clamp(0.0, 1000.0).round() as u16
}

fn per_mille(strength: f64) -> u16 {
    rounded(1000.0 * strength).max(1)
}
