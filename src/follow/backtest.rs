//! Back-tests: what another threshold, a fitted model or a detector's version would have found in a
//! period that is over, beside what people said of the cases that there were.
//!
//! The records are read again up to each pass of the period; what came is looked at as it came, and
//! everybody at each pass, as the live path does, and groups become cases by the same triage, none of
//! which is written anywhere. What reviews said in those days is known to it when they said it. A case
//! of the back-test has the verdict of the case in the books that the same triage would have put its
//! group into. The desk's rules speak as they did in those days: what a live one says becomes a case, and
//! whom an allow entry spares becomes none. Cases about merchants' rivals are left out: no threshold concerns them.
//!
//! Memory is what screening takes for the same network, and a pass beside it; time is that of reading
//! the journal and of the passes, of which there are at most [`PASSES_MAX`].

use super::feed::Page;
use super::kept::Kept;
use super::pass::pass;
use super::resident::Who;
use super::rules::{self, Hit};
use crate::cases::rules::{RULE, Rule, State};
use crate::cases::triage::{Group, TriagePolicy, is_theirs, segment, triage};
use crate::cases::{Case, SCREENING, Status, Step, Verdict};
use crate::config::{ModelSettings, ModelState};
use crate::domain::time::DAY_MS;
use crate::domain::{Code, MemberId, Timestamp};
use crate::graph::detectors::ALL;
use crate::graph::model::named::{FITTED_MODEL, NamedModel};
use crate::graph::network::NetworkFault;
use crate::graph::segments::Segment;
use crate::record::{Body, Record};
use compact_str::CompactString;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Passes of one back-test.
pub const PASSES_MAX: i64 = 400;
/// Days of its period.
pub const DAYS_MAX: i64 = 366;
/// Cases that are followed at once.
const CASES_MAX: usize = 50_000;
/// Cases that the outcome lists.
const LISTED_MAX: usize = 200;
/// Members of one that it names.
const NAMED_MAX: usize = 5;
/// Numbers of the back-test's own cases begin here: no case of the books is near.
const OWN_NUMBERS: u64 = 1 << 48;

/// What is to be tried.
#[derive(Debug, Clone)]
pub struct Asked {
    /// From when on cases count.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// Time between two passes.
    pub every_ms: i64,
    /// The policy.
    pub policy: TriagePolicy,
    /// The fitted model, live; `None` is the score that needs no labels.
    pub model: Option<Arc<NamedModel>>,
    /// Only cases in which this detector's version speaks; it counts even if it was withdrawn. A rule's counts
    /// even while it was in shadow.
    pub detector: Option<(CompactString, u32)>,
}

/// What is wrong with what was asked: the field, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub struct AskedFault {
    /// Which field.
    pub field: &'static str,
    /// What to say in its place.
    pub detail: String,
}

impl Asked {
    /// Whether it is bounded and over.
    ///
    /// # Errors
    /// [`AskedFault`], which names the field.
    pub fn check(&self, now: Timestamp) -> Result<(), AskedFault> {
        let fault = |field, detail: String| Err(AskedFault { field, detail });
        let (from, to) = (self.from.as_ms(), self.to.as_ms());
        if to > now.as_ms() {
            return fault("to", "must not lie ahead: a back-test is of what was".to_owned());
        }
        if from >= to {
            return fault("from", "must lie before `to`".to_owned());
        }
        if to - from > DAYS_MAX * DAY_MS {
            return fault("from", format!("must lie at most {DAYS_MAX} days before `to`"));
        }
        if self.every_ms <= 0 || (to - from) / self.every_ms > PASSES_MAX {
            let detail = format!("must give at most {PASSES_MAX} passes in the period: take a longer time between two");
            return fault("every_hours", detail);
        }
        Ok(())
    }

    fn model(&self) -> Option<ModelSettings> {
        self.model.as_ref().map(|named| ModelSettings { named: Arc::clone(named), state: ModelState::Live })
    }
}

/// Whether a detector's version can be run: that of this program, or the model's.
///
/// # Errors
/// The names or the version that there are, in words.
pub fn known(name: &str, version: u32, model: Option<&NamedModel>) -> Result<(), String> {
    if name.strip_prefix(RULE).is_some_and(|id| Code::parse(id).is_ok()) {
        // Which there were is in the records.
        return Ok(());
    }
    let versions =
        ALL.iter().map(|one| (one.name, one.version)).chain(model.map(|model| (FITTED_MODEL, model.version)));
    let all: Vec<_> = versions.collect();
    match all.iter().find(|(known, _)| *known == name) {
        Some((_, has)) if *has == version => Ok(()),
        Some((_, has)) => Err(format!("this program has version {has} of `{name}`; another one needs its own program")),
        None => {
            let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
            Err(format!("`{name}` is no detector that can be tried; there are {}", names.join(", ")))
        }
    }
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, utoipa::ToSchema)]
pub struct Progress {
    /// Records read.
    pub records: u64,
    /// Passes done.
    pub passes: u64,
    /// Passes that there may be.
    pub passes_max: u64,
}

/// What became of some cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, utoipa::ToSchema)]
pub struct Became {
    /// Cases.
    pub cases: usize,
    /// Reviewed: fraud.
    pub confirmed: usize,
    /// Reviewed: honest.
    pub dismissed: usize,
    /// Reviewed: wait and see.
    pub watched: usize,
    /// In the books, and no review of it stands.
    pub undecided: usize,
    /// In no case of the books: nobody has looked at them.
    pub unseen: usize,
}

impl Became {
    fn add(&mut self, verdict: Option<Option<Verdict>>) {
        self.cases += 1;
        match verdict {
            Some(Some(Verdict::Confirm)) => self.confirmed += 1,
            Some(Some(Verdict::Dismiss)) => self.dismissed += 1,
            Some(Some(Verdict::Watch)) => self.watched += 1,
            Some(None) => self.undecided += 1,
            None => self.unseen += 1,
        }
    }
}

/// One case that would have been opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Line {
    /// When it would have been.
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    /// Mean score of those whom their own acts tie to it, at the end; null while the case in the books is
    /// judged blind.
    pub score: Option<u16>,
    /// How many members.
    pub members: usize,
    /// The first of them.
    pub first_members: Vec<String>,
    /// Detectors that speak in it.
    pub detectors: Vec<String>,
    /// The case in the books that it is; null when nobody has looked at them.
    pub case: Option<u64>,
    /// `confirmed`, `dismissed`, `watched`, `undecided` or `unseen`.
    pub became: &'static str,
}

/// What would have been found in one kind of group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct OfSegment {
    /// `household`, `office`, `ambassador` or `other`, which is compared with all of them.
    pub segment: &'static str,
    /// Honest groups of it at the last look at everybody: all that nobody had called fraud.
    pub groups: usize,
    /// Score from which one is a case.
    pub open_from: u16,
    /// Those that score so high.
    pub above: usize,
    /// The upper 95 percent bound of the share of honest ones that do, basis points, rounded up.
    pub error_basis_points: u16,
    /// Cases of the kind that would have been opened.
    pub would_open: Became,
}

/// What would have been found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Outcome {
    /// In a sentence.
    pub words: String,
    /// Cases that would have been opened in the period.
    pub would_open: Became,
    /// Cases that were opened in the period.
    pub were_opened: Became,
    /// Cases that were opened in the period and confirmed, and would not have been.
    pub missed: Vec<u64>,
    /// By kind of group, with the error on honest ones.
    pub segments: Vec<OfSegment>,
    /// The cases that would have been opened, the first 200.
    pub cases: Vec<Line>,
    /// What it took.
    pub read: Progress,
}

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// The records.
    #[error("the records cannot be read")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The network.
    #[error("the network is too large for a pass")]
    Network(#[from] NetworkFault),
    /// Too much is found.
    #[error("more than {CASES_MAX} cases: ask for a higher `score_min` or a shorter period")]
    TooMany,
    /// It was told to stop.
    #[error("it was stopped before its end")]
    Stopped,
}

/// Where the records come from, in order of time; `None` at the end.
pub type Records<'a> = &'a mut dyn FnMut() -> Result<Option<Vec<Record>>, BacktestError>;

/// Runs a back-test over records; `tell` hears how far it has come and says whether to go on.
///
/// # Errors
/// [`BacktestError`].
pub fn run(
    asked: &Asked,
    records: Records<'_>,
    tell: &mut dyn FnMut(Progress) -> bool,
) -> Result<Outcome, BacktestError> {
    let mut trial = Trial::new(asked);
    while let Some(page) = records()? {
        trial.read.records += page.len() as u64;
        trial.feed(page, tell)?;
        if !tell(trial.read) {
            return Err(BacktestError::Stopped);
        }
    }
    trial.end(tell)
}

/// Cases, and which a member is in.
#[derive(Default)]
struct Book {
    cases: BTreeMap<u64, Case>,
    of: BTreeMap<MemberId, BTreeSet<u64>>,
}

impl Book {
    fn put(&mut self, case: Case) {
        for suspect in &case.members {
            self.of.entry(suspect.member.clone()).or_default().insert(case.id);
        }
        self.cases.insert(case.id, case);
    }

    /// Cases of a scope that hold any of some members.
    fn with<'m>(&self, members: impl Iterator<Item = &'m MemberId>) -> BTreeMap<u64, &Case> {
        let ids: BTreeSet<u64> = members.filter_map(|member| self.of.get(member)).flatten().copied().collect();
        ids.into_iter().filter_map(|id| Some((id, self.cases.get(&id)?))).collect()
    }

    /// The case that a case of another book is, by the rule of triage; decided ones first, then by members
    /// that both have.
    fn same<'a>(&'a self, case: &Case) -> Option<&'a Case> {
        let shared = |other: &Case| case.members.iter().filter(|one| other.suspect(&one.member).is_some()).count();
        let mine = self.with(case.members.iter().map(|suspect| &suspect.member)).into_values();
        mine.filter(|other| other.merchant == case.merchant && is_theirs(&case.members, other))
            .max_by_key(|other| (other.last_review().is_some(), shared(other), std::cmp::Reverse(other.id)))
    }
}

/// A case as far as triage and its outcome need it.
fn bare(case: &Case) -> Case {
    let mut case = case.clone();
    (case.ties, case.timeline, case.acts) = (Vec::new(), Vec::new(), Vec::new());
    case
}

fn verdict(case: &Case) -> Option<Verdict> {
    case.last_review().map(|(_, review)| review.verdict)
}

/// The back-test as it goes.
struct Trial<'a> {
    asked: &'a Asked,
    kept: Kept,
    /// The policy as the last pass bounds it.
    policy: TriagePolicy,
    /// What there is in the books.
    real: Book,
    /// What there would be.
    would: Book,
    /// Cases that would have been opened in the period: when, and of what kind they were then.
    opened: BTreeMap<u64, (Timestamp, Segment)>,
    next_number: u64,
    next_pass: Timestamp,
    /// Something came since the last pass.
    dirty: bool,
    begun: bool,
    read: Progress,
}

impl<'a> Trial<'a> {
    fn new(asked: &'a Asked) -> Self {
        let passes = (asked.to.as_ms() - asked.from.as_ms()) / asked.every_ms + 2;
        Self {
            asked,
            kept: Kept::default(),
            policy: asked.policy.clone(),
            real: Book::default(),
            would: Book::default(),
            opened: BTreeMap::new(),
            next_number: OWN_NUMBERS,
            next_pass: asked.from,
            dirty: true,
            begun: false,
            read: Progress { passes_max: u64::try_from(passes).unwrap_or(0), ..Progress::default() },
        }
    }

    fn feed(&mut self, page: Vec<Record>, tell: &mut dyn FnMut(Progress) -> bool) -> Result<(), BacktestError> {
        let mut together = Vec::new();
        for mut record in page {
            // What another process' record said once more counts once.
            if record.envelope.again.is_some() {
                continue;
            }
            let at = record.envelope.at;
            while at >= self.next_pass && self.next_pass <= self.asked.to {
                self.take(std::mem::take(&mut together))?;
                self.look_at_all(tell)?;
            }
            match &mut record.body {
                Body::Rule(rule) => self.try_rule(rule),
                Body::Case(case) => {
                    self.take(std::mem::take(&mut together))?;
                    self.hear(case, at);
                }
                Body::DetectorWithdrawn(gone) if self.asked.detector == Some((gone.detector.clone(), gone.version)) => {
                    continue;
                }
                _ => {}
            }
            // Beyond the period only what people said counts.
            if at < self.asked.to {
                together.push(record);
            }
        }
        self.take(together)
    }

    /// Takes records in and, in the period, looks at what they changed.
    fn take(&mut self, records: Vec<Record>) -> Result<(), BacktestError> {
        let Some(at) = records.last().map(|record| record.envelope.at) else { return Ok(()) };
        self.dirty = true;
        let taken = self.kept.take(Page { records, ..Page::default() });
        if !self.begun {
            return Ok(());
        }
        self.enter_ruled(&taken.hits, at)?;
        let mut looked: BTreeSet<Who> = BTreeSet::new();
        for who in taken.changed {
            if let Some(group) = self.kept.look(who, &mut looked, &self.policy, at) {
                self.enter(group, &self.policy.clone(), at)?;
            }
        }
        Ok(())
    }

    /// The rule that is tried counts as if it had been live from the beginning.
    fn try_rule(&self, rule: &mut Rule) {
        let Some((name, number)) = &self.asked.detector else { return };
        if rule.detector() == *name {
            for version in rule.versions.iter_mut().filter(|version| version.number == *number) {
                version.state = if version.state == State::Shadow { State::Live } else { version.state };
            }
        }
    }

    /// Enters what the desk's rules say.
    fn enter_ruled(&mut self, hits: &[Hit], at: Timestamp) -> Result<(), BacktestError> {
        let policy = rules::policy(&self.policy);
        for group in self.kept.ruled(hits, at) {
            self.enter(group, &policy, at)?;
        }
        Ok(())
    }

    fn look_at_all(&mut self, tell: &mut dyn FnMut(Progress) -> bool) -> Result<(), BacktestError> {
        let at = self.next_pass;
        let last = self.asked.to;
        let next = at.plus_ms(self.asked.every_ms);
        // The last one at the end, and none beyond.
        self.next_pass = if at < last { next.min(last) } else { last.plus_ms(1) };
        if !std::mem::take(&mut self.dirty) {
            return Ok(());
        }
        let passed = pass(&self.kept.resident, &self.asked.policy, self.asked.model().as_ref(), false, at)?;
        self.read.passes += 1;
        let groups = passed.groups.clone();
        self.policy = self.asked.policy.bounded(&passed.controls);
        self.kept.pass(Arc::new(passed));
        self.kept.rules.forget_before(at);
        let hits = self.kept.rules.of_all(&self.kept.resident, at);
        let begins = !self.begun;
        if begins {
            // From here on the books go their way, and the back-test its own.
            self.begun = true;
            self.real.cases.values().cloned().for_each(|case| self.would.put(case));
        }
        self.enter_ruled(&hits, at)?;
        for group in groups {
            self.enter(group, &self.policy.clone(), at)?;
        }
        if begins {
            // What was there before the period would have been opened before it.
            self.opened.clear();
        }
        if tell(self.read) { Ok(()) } else { Err(BacktestError::Stopped) }
    }

    /// Enters a group as the engine does.
    fn enter(&mut self, group: Group, policy: &TriagePolicy, at: Timestamp) -> Result<(), BacktestError> {
        let group = self.kept.rules.spare(&self.kept.resident, group, at);
        let known = self.would.with(group.members.iter().map(|suspect| &suspect.member));
        let known: Vec<Case> = known.into_values().cloned().collect();
        for mut case in triage(group, &known, policy, self.next_number, at) {
            if case.id == self.next_number {
                self.next_number += 1;
                self.opened.insert(case.id, (at, segment(&case.members, &case.ties)));
                // What was decided of them before is known.
                if let Some(said) = self.real.same(&case).cloned() {
                    follow(&mut case, &said, at);
                }
            }
            self.would.put(bare(&case));
        }
        if self.would.cases.len() > CASES_MAX { Err(BacktestError::TooMany) } else { Ok(()) }
    }

    /// A case of the books: what people say of it is said of the same group here.
    fn hear(&mut self, case: &Case, at: Timestamp) {
        let case = bare(case);
        if self.begun && at < self.asked.to {
            let same = self.would.with(case.members.iter().map(|suspect| &suspect.member));
            let same: Vec<u64> = same.into_values().filter(|own| is_same(own, &case)).map(|own| own.id).collect();
            for id in same {
                let own = self.would.cases.get_mut(&id).expect("found just above");
                follow(own, &case, at);
            }
        }
        self.real.put(case);
    }

    fn end(mut self, tell: &mut dyn FnMut(Progress) -> bool) -> Result<Outcome, BacktestError> {
        while self.next_pass <= self.asked.to {
            self.look_at_all(tell)?;
        }
        let speaks = |case: &Case| {
            let asked = self.asked.detector.as_ref();
            asked.is_none_or(|(name, version)| case.rests_on(name, *version))
        };
        let (mut would_open, mut cases) = (Became::default(), Vec::new());
        let mut of_segment: BTreeMap<Segment, Became> = BTreeMap::new();
        for (id, (at, kind)) in &self.opened {
            let case = &self.would.cases[id];
            if case.status == Status::Merged || !speaks(case) {
                continue;
            }
            let same = self.real.same(case);
            let said = same.map(verdict);
            would_open.add(said);
            of_segment.entry(*kind).or_default().add(said);
            if cases.len() < LISTED_MAX {
                cases.push(line(case, *at, same));
            }
        }
        let (mut were_opened, mut missed) = (Became::default(), Vec::new());
        let period = self.asked.from..self.asked.to;
        let were =
            |case: &&Case| case.merchant.is_none() && case.status != Status::Merged && period.contains(&case.opened_at);
        for case in self.real.cases.values().filter(were).filter(|case| speaks(case)) {
            let said = verdict(case);
            were_opened.add(Some(said));
            let found = self.would.with(case.members.iter().map(|suspect| &suspect.member));
            if said == Some(Verdict::Confirm) && !found.into_values().any(|own| is_same(own, case)) {
                missed.push(case.id);
            }
        }
        let Became { cases: count, confirmed, dismissed, undecided, unseen, .. } = would_open;
        let words = format!(
            "{count} cases, {confirmed} of them confirmed; {dismissed} you dismissed; {undecided} undecided, {unseen} \
             that nobody has looked at; {} confirmed ones would have been missed",
            missed.len()
        );
        let segments = self.segments(&of_segment);
        Ok(Outcome { words, would_open, were_opened, missed, segments, cases, read: self.read })
    }
}

impl Trial<'_> {
    /// Each kind of group, with the error on honest ones at the last look at everybody.
    fn segments(&self, would_open: &BTreeMap<Segment, Became>) -> Vec<OfSegment> {
        let Some(passed) = &self.kept.passed else { return Vec::new() };
        let lines = passed.controls.lines(|segment| self.policy.open_from(segment));
        let of = |line: crate::graph::segments::Line| OfSegment {
            segment: line.segment.as_str(),
            groups: line.groups,
            open_from: self.policy.open_from(line.segment),
            above: line.above,
            error_basis_points: line.error_basis_points(),
            would_open: would_open.get(&line.segment).copied().unwrap_or_default(),
        };
        lines.into_iter().map(of).collect()
    }
}

/// Whether a case of the back-test is one of the books.
fn is_same(own: &Case, real: &Case) -> bool {
    own.merchant == real.merchant && own.status != Status::Merged && is_theirs(&own.members, real)
}

/// Takes over what people said of the same case.
fn follow(own: &mut Case, real: &Case, at: Timestamp) {
    let step = match (verdict(real), verdict(own)) {
        (now, before) if now == before => return,
        (Some(now), _) => now.step(),
        (None, _) => Step::Undo,
    };
    if own.step(step, SCREENING, String::new(), at).is_ok() {
        own.reviews = real.reviews.clone();
    }
}

fn line(case: &Case, opened_at: Timestamp, same: Option<&Case>) -> Line {
    let detectors: BTreeSet<&str> = case.evidence.iter().map(|seen| seen.detector.as_str()).collect();
    Line {
        opened_at,
        score: (!same.is_some_and(Case::hides_score)).then_some(case.score),
        members: case.members.len(),
        first_members: case.members.iter().take(NAMED_MAX).map(|suspect| suspect.member.to_string()).collect(),
        detectors: detectors.into_iter().map(str::to_owned).collect(),
        case: same.map(|same| same.id),
        became: match same.map(verdict) {
            None => "unseen",
            Some(None) => "undecided",
            Some(Some(Verdict::Confirm)) => "confirmed",
            Some(Some(Verdict::Dismiss)) => "dismissed",
            Some(Some(Verdict::Watch)) => "watched",
        },
    }
}
