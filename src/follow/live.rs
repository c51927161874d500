//! What screening sees as records come, between two looks at everybody: strong keys shared by
//! too many, referrals between members of one key, and sign-ups that come together far faster
//! than the base. These contributions replace what the last pass said of the same kind; all
//! others stay as they were then, and each is shown with its time.

use super::pass::{Passed, Scored, group, rounded, scored_by, strongest_few};
use super::resident::{Resident, Who, is_strong};
use crate::cases::Evidence;
use crate::cases::triage::{Group, TriagePolicy};
use crate::domain::Timestamp;
use crate::graph::detectors::self_referral::SELF_REFERRAL;
use crate::graph::detectors::shared_instrument::{SHARED_INSTRUMENT, members_max_of};
use crate::graph::detectors::signup_burst::SIGNUP_BURST;
use crate::graph::detectors::{Detector, ramp};
use crate::graph::network::NO_TIME;
use crate::graph::score::{Contribution, FINDING_FULL, HALF};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Members of a component that are looked at together.
const LOOKED_AT_MAX: usize = 200;
/// Buckets of the base's sign-ups: hours of a day.
const HOURS: usize = 24;
const HOUR: u32 = 3_600;
const DAY: u32 = 86_400;
/// Members of a burst, and how many times more than by chance.
const BURST_MIN: usize = 6;
const BURST_TIMES: f64 = 5.0;

/// Sign-ups of the whole base in the last day, by hour.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Arrivals {
    counts: [u32; HOURS],
    hour: u32,
}

impl Arrivals {
    /// Somebody joined.
    pub fn joined(&mut self, at: u32) {
        let hour = at / HOUR;
        if hour > self.hour {
            let passed = usize::try_from(hour - self.hour).unwrap_or(HOURS).min(HOURS);
            for step in 1..=passed {
                let place = (self.hour as usize + step) % HOURS;
                self.counts[place] = 0;
            }
            self.hour = hour;
        }
        if self.hour - hour < HOURS as u32 {
            self.counts[hour as usize % HOURS] += 1;
        }
    }
    fn day(&self) -> u32 {
        self.counts.iter().sum()
    }
}

/// What is seen of one component.
struct Seen {
    detector: &'static Detector,
    strength: f64,
    words: String,
    members: BTreeSet<Who>,
}

/// Looks at the component of a member whose links changed: the scores of its members as they are
/// now, and the group, when there is one.
#[must_use]
pub fn look(
    resident: &Resident,
    who: Who,
    arrivals: &Arrivals,
    passed: Option<&Passed>,
    policy: &TriagePolicy,
    at: Timestamp,
) -> (BTreeMap<Who, Scored>, Option<Group>) {
    let component: BTreeSet<Who> = resident.component(who, LOOKED_AT_MAX).into_iter().collect();
    if component.len() < 2 {
        return (BTreeMap::new(), None);
    }
    let others = [referrals(resident, &component), burst(resident, &component, arrivals)];
    let seen: Vec<Seen> = instruments(resident, &component)
        .into_iter()
        .chain(others.into_iter().flatten())
        .filter(|seen| resident.counts(seen.detector))
        .collect();
    let mut scores = BTreeMap::new();
    for &member in &component {
        let mut live: Vec<Contribution> = Vec::new();
        for one in seen.iter().filter(|one| one.members.contains(&member)) {
            // The strongest of several instruments stands first.
            if !live.iter().any(|known| known.source == one.detector.name) {
                live.push(one.part());
            }
        }
        scores.insert(member, merged(live, passed, member));
    }
    let evidence = strongest_few(seen.iter().map(|one| one.evidence(resident, at)).collect());
    let score = |who: Who| scores.get(&who).map_or(0.0, |scored| scored.score);
    let mut found = group(resident, &component, evidence, score, policy, at);
    let model = passed.and_then(Passed::live_model);
    found.evidence.extend(model.and_then(|model| scored_by(&found, &model.named, at)));
    let is_case = found.is_case(policy);
    (scores, is_case.then_some(found))
}

/// Whether what a source said in the pass is kept up to date between passes.
#[must_use]
pub fn replaces(source: &str) -> bool {
    [SHARED_INSTRUMENT.name, SELF_REFERRAL.name].contains(&source)
}

/// The live contributions in place of what the same detectors said in the pass. An instrument is
/// wholly seen live; of a referral the pass may have seen more. The pass reads bursts from its own
/// figures: a live one speaks until then.
fn merged(live: Vec<Contribution>, passed: Option<&Passed>, who: Who) -> Scored {
    let scored = passed.and_then(|passed| passed.scores.get(&who));
    let rest = || passed.and_then(Passed::live_model).map(|model| model.rest(who));
    let mut parts: Vec<Contribution> =
        scored.map_or_else(|| rest().into_iter().collect(), |scored| scored.parts.clone());
    let now = |source: &str| live.iter().find(|one| one.source == source).map_or(0.0, |one| one.adds);
    parts.retain(|part| match part.source {
        source if source == SHARED_INSTRUMENT.name => false,
        source if source == SELF_REFERRAL.name => part.adds > now(source),
        _ => true,
    });
    for part in live {
        let is_told = parts.iter().any(|known| known.source == part.source);
        if !is_told && (scored.is_none() || part.source != SIGNUP_BURST.name) {
            parts.push(part);
        }
    }
    parts.sort_by(|a, b| b.adds.total_cmp(&a.adds));
    let sum: f64 = parts.iter().map(|part| part.adds).sum();
    let score = match passed.and_then(Passed::live_model) {
        Some(model) => model.named.score(sum),
        None => 1000.0 * sum.max(0.0) / (sum.max(0.0) + HALF),
    };
    Scored { score, parts }
}

impl Seen {
    fn part(&self) -> Contribution {
        let words = format!("{}: {}", self.detector.name, self.words);
        Contribution {
            family: self.detector.family,
            source: self.detector.name,
            adds: FINDING_FULL * self.strength,
            words,
        }
    }
    fn evidence(&self, resident: &Resident, at: Timestamp) -> Evidence {
        Evidence {
            detector: self.detector.name.into(),
            version: self.detector.version,
            family: self.detector.family.into(),
            strength: rounded(1000.0 * self.strength).max(1),
            words: self.words.clone(),
            clears: self.detector.clears.to_owned(),
            members: self.members.iter().map(|&who| resident.id(who)).collect(),
            seen_at: at,
        }
    }
}

/// Cards, payout accounts and devices of more members than they may honestly have: the strongest first, and
/// of each member the strongest of theirs. Those that are nobody's strongest say nothing more.
fn instruments(resident: &Resident, component: &BTreeSet<Who>) -> Vec<Seen> {
    let keys: BTreeSet<(u8, u32)> = component
        .iter()
        .flat_map(|&who| {
            resident.said(who).filter(|link| is_strong(link.kind)).map(|link| (link.kind, link.to)).collect::<Vec<_>>()
        })
        .collect();
    let mut all: Vec<Seen> = Vec::new();
    for (kind, key) in keys {
        let members: BTreeSet<Who> = resident.of_identifier(key).take(LOOKED_AT_MAX).map(|link| link.by).collect();
        let word = resident.word(kind);
        let max = members_max_of(word);
        if members.len() > max {
            let strength = 0.5 + 0.5 * ramp(members.len() as f64, max as f64, 3.0 * max as f64);
            let words = format!("one {word} of {} members", members.len());
            all.push(Seen { detector: &SHARED_INSTRUMENT, strength, words, members });
        }
    }
    all.sort_by(|a, b| b.strength.total_cmp(&a.strength));
    let mut told: BTreeSet<Who> = BTreeSet::new();
    all.retain(|seen| {
        let is_new = seen.members.iter().any(|who| !told.contains(who));
        told.extend(seen.members.iter().copied());
        is_new
    });
    all
}

/// Referrals between two of one component: they share an instrument, at one remove perhaps.
fn referrals(resident: &Resident, component: &BTreeSet<Who>) -> Option<Seen> {
    let mut members = BTreeSet::new();
    let mut pairs = 0;
    for &who in component {
        if let Some(link) = resident.referrer(who)
            && component.contains(&{ link.to })
        {
            members.extend([who, link.to]);
            pairs += 1;
        }
    }
    let strength = if pairs > 2 { 1.0 } else { 0.7 };
    let words = format!("{pairs} referrals between members who share cards, payout accounts or devices");
    (pairs > 0).then_some(Seen { detector: &SELF_REFERRAL, strength, words, members })
}

/// Members of one component who joined within a day, against what the base's day would bring.
fn burst(resident: &Resident, component: &BTreeSet<Who>, arrivals: &Arrivals) -> Option<Seen> {
    let mut joined: Vec<(u32, Who)> =
        component.iter().map(|&who| (resident.member(who).joined, who)).filter(|(at, _)| *at != NO_TIME).collect();
    joined.sort_unstable();
    let mut best: &[(u32, Who)] = &[];
    let mut low = 0;
    for high in 0..joined.len() {
        while joined[high].0 - joined[low].0 >= DAY {
            low += 1;
        }
        if high + 1 - low > best.len() {
            best = &joined[low..=high];
        }
    }
    let share = f64::from(arrivals.day()) / resident.len().max(1) as f64;
    let expected = (component.len() as f64 * share).max(0.1);
    if best.len() < BURST_MIN || (best.len() as f64) < BURST_TIMES * expected {
        return None;
    }
    let words = format!("{} members of one key came within a day; {expected:.1} would by chance", best.len());
    let strength = 0.3 + 0.7 * ramp(best.len() as f64 / expected, BURST_TIMES, 10.0 * BURST_TIMES);
    let members = best.iter().map(|&(_, who)| who).collect();
    Some(Seen { detector: &SIGNUP_BURST, strength, words, members })
}
