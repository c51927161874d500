//! Detectors for the risk desk: in how many cases each version speaks and what people said of
//! those, how groups came to be looked at, and what became of the fitted model.

use super::cases::{chosen_by, detectors};
use super::money::UnitView;
use super::reply::Reply;
use super::{Doors, access};
use crate::authenticate::keys::Role::{Operator, Risk};
use crate::cases::{Case, Evidence, Review, SCORE, Status, Verdict};
use crate::console::counted;
use crate::domain::time::DAY_MS;
use crate::follow::pass::MODEL_CLEARS;
use crate::follow::screening::{ModelUse, SegmentCut};
use crate::follow::worth::{Sums, Value};
use crate::graph::model::named::FITTED_MODEL;
use crate::wire::Request;
use compact_str::CompactString;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// How many cases stand where, and what became of those that a detector's version speaks in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    by_status: BTreeMap<Status, usize>,
    /// By detector and version.
    pub by_detector: BTreeMap<(CompactString, u32), Tally>,
    /// By how the group came to be looked at: reviews, not cases.
    pub by_origin: BTreeMap<String, Said>,
    /// There are more than are read for a count.
    pub more: bool,
}

/// What people said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct Said {
    /// Fraud.
    pub confirmed: usize,
    /// Honest.
    pub dismissed: usize,
    /// Wait.
    pub watched: usize,
}

impl Said {
    fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Confirm => self.confirmed += 1,
            Verdict::Dismiss => self.dismissed += 1,
            Verdict::Watch => self.watched += 1,
        }
    }

    fn join(&mut self, other: Self) {
        self.confirmed += other.confirmed;
        self.dismissed += other.dismissed;
        self.watched += other.watched;
    }

    /// Confirmed of a thousand confirmed and dismissed ones.
    #[must_use]
    pub fn precision(&self) -> Option<u16> {
        u16::try_from((1000 * self.confirmed).checked_div(self.confirmed + self.dismissed)?).ok()
    }
}

/// Cases in which a detector's version speaks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    /// All of them.
    pub cases: usize,
    /// It was the strongest when the case was opened or reviewed.
    pub first: usize,
    /// By the last review that stands.
    pub said: Said,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.cases += other.cases;
        self.first += other.first;
        self.said.join(other.said);
    }
}

impl Counts {
    /// What one case adds.
    pub(crate) fn of_case(case: &Case) -> Self {
        let mut counts = Self::default();
        counts.take(case);
        counts
    }

    /// Adds others.
    pub(crate) fn add(&mut self, other: &Self) {
        for (status, count) in &other.by_status {
            *self.by_status.entry(*status).or_insert(0) += count;
        }
        for (version, tally) in &other.by_detector {
            self.by_detector.entry(version.clone()).or_default().add(tally);
        }
        for (origin, said) in &other.by_origin {
            self.by_origin.entry(origin.clone()).or_default().join(*said);
        }
    }

    fn take(&mut self, case: &Case) {
        *self.by_status.entry(case.status).or_insert(0) += 1;
        let verdict = case.last_review().map(|(_, review)| review.verdict);
        let found = |seen: &Evidence| (seen.detector.clone(), seen.version);
        let first = case.evidence.iter().find(|seen| seen.detector != SCORE).map(found);
        let all: BTreeSet<_> = case.evidence.iter().filter(|seen| seen.detector != SCORE).map(found).collect();
        for version in all {
            let is_first = first.as_ref() == Some(&version);
            let tally = self.by_detector.entry(version).or_default();
            tally.cases += 1;
            tally.first += usize::from(is_first);
            verdict.into_iter().for_each(|verdict| tally.said.add(verdict));
        }
        let stand = |review: &&Review| !review.undone;
        for review in case.reviews.iter().filter(stand) {
            self.by_origin.entry(chosen_by(&review.chosen)).or_default().add(review.verdict);
        }
    }
    /// How many have a status.
    pub(crate) fn of(&self, status: Status) -> usize {
        self.by_status.get(&status).copied().unwrap_or(0)
    }
}

/// Detectors and what people said of what they found.
#[derive(Debug, Serialize, ToSchema)]
pub struct DetectorsView {
    /// Each version that there is, and those before that speak in a case still.
    pub detectors: Vec<DetectorView>,
    /// Reviews that stand, by how their group came to be looked at.
    pub origins: Vec<OriginView>,
    /// Honest groups by kind in the last whole pass, and the scores that follow from them; empty before the first.
    pub segments: Vec<SegmentView>,
    /// The fitted model of this process; null when it has none.
    pub model: Option<ModelView>,
    /// Whether another process screens the store that this one shares: its model counts, and this
    /// one's says nothing.
    pub screened_elsewhere: bool,
    /// Only the newest 20,000 cases were counted.
    pub more: bool,
}

/// A version of a detector.
#[derive(Debug, Serialize, ToSchema)]
pub struct DetectorView {
    /// As evidence says it.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// `counts`, `withdrawn`, or `earlier` for a version that this program does not have.
    pub state: &'static str,
    /// What kind of evidence it is; null for an earlier version.
    pub family: Option<&'static str>,
    /// What would clear a finding.
    pub clears: Option<&'static str>,
    /// Cases in which it speaks.
    pub cases: usize,
    /// Those of which it is the strongest evidence.
    pub strongest_in: usize,
    /// What the last review of each says that stands.
    pub reviews: Said,
    /// Confirmed of a thousand confirmed and dismissed; null when there are none.
    pub precision_per_mille: Option<u16>,
    /// What came of those cases in money.
    pub worth: WorthView,
}

/// What came of the cases that a detector's version speaks in. Reviews that were undone count for nothing.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct WorthView {
    /// Rewards that confirmed cases took back before they were paid.
    pub avoided: Vec<AmountView>,
    /// Those that were paid already, and not asked back.
    pub lost: Vec<AmountView>,
    /// Rewards that were held from members of cases that people dismissed.
    pub held_wrongly: Vec<AmountView>,
    /// Members of whom they were held.
    pub members_held_wrongly: u64,
    /// Days that they were held, over all those members, rounded down.
    pub days_held_wrongly: i64,
}

/// So much of a unit.
#[derive(Debug, Serialize, ToSchema)]
pub struct AmountView {
    /// Of what.
    #[serde(flatten)]
    pub unit: UnitView,
    /// Minor units.
    pub minor: i64,
    /// The same, for people.
    #[serde(skip)]
    pub(crate) shown: String,
}

impl WorthView {
    fn of(value: &Value) -> Self {
        let amounts = |sums: &Sums| {
            sums.iter()
                .map(|(unit, minor)| AmountView { unit: (*unit).into(), minor: *minor, shown: unit.shown(*minor) })
                .collect()
        };
        Self {
            avoided: amounts(&value.avoided),
            lost: amounts(&value.lost),
            held_wrongly: amounts(&value.held_wrongly),
            members_held_wrongly: value.members_held_wrongly,
            days_held_wrongly: value.held_wrongly_ms / DAY_MS,
        }
    }
}

/// Honest groups of one kind: all that nobody called fraud.
#[derive(Debug, Serialize, ToSchema)]
pub struct SegmentView {
    /// `household`, `office`, `ambassador` or `other`, which is compared with all of them.
    pub segment: &'static str,
    /// How many there are.
    pub groups: usize,
    /// Those that people called honest.
    pub cleared: usize,
    /// Score from which a group of the kind is a case.
    pub open_from: u16,
    /// Those that score so high.
    pub above: usize,
    /// The upper 95 percent bound of the share of honest ones that score so high, basis points, rounded up.
    pub error_basis_points: u16,
    /// Score from which the policy may act without a review; null where too few groups are known.
    pub act_from: Option<u16>,
}

/// Honest groups by kind in the last whole pass.
pub(crate) fn segments(doors: &Doors) -> Vec<SegmentView> {
    let view = |cut: SegmentCut| SegmentView {
        segment: cut.line.segment.as_str(),
        groups: cut.line.groups,
        cleared: cut.line.cleared,
        open_from: cut.open_from,
        above: cut.line.above,
        error_basis_points: cut.line.error_basis_points(),
        act_from: cut.act_from,
    };
    doors.screener.segments().into_iter().map(view).collect()
}

/// Reviews of one origin.
#[derive(Debug, Serialize, ToSchema)]
pub struct OriginView {
    /// A detector's name and version, `random` or `report`.
    pub chosen_by: String,
    /// What they say.
    pub reviews: Said,
    /// Confirmed of a thousand confirmed and dismissed; null when there are none.
    pub precision_per_mille: Option<u16>,
}

/// The fitted model of a process.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelView {
    /// Its file's name.
    pub name: String,
    /// Its version, as evidence of `fitted-model` and its withdrawal say it: the first 32 bits of `hash`.
    pub version: u32,
    /// SHA-256 of its file.
    pub hash: String,
    /// `shadow`, `live` or `withdrawn`.
    pub state: &'static str,
    /// Labelled members that it was fitted on.
    pub fitted_on_members: usize,
    /// Bad ones among them.
    pub fitted_on_bad: usize,
    /// In shadow, of the last pass: how its cases differ from those that were found.
    pub beside: Option<BesideView>,
}

/// Groups of one pass that are cases by the score that counts and by the model in shadow.
#[derive(Debug, Serialize, ToSchema)]
pub struct BesideView {
    /// By both.
    pub both: usize,
    /// By the model alone: it would open them.
    pub would_open: usize,
    /// By the score that counts alone: the model would not open them.
    pub would_not_open: usize,
}

/// The state of a model as people read it.
pub(crate) fn state_of(model: &ModelUse) -> &'static str {
    if model.is_withdrawn { "withdrawn" } else { model.state.as_str() }
}

impl ModelView {
    fn of(model: &ModelUse) -> Self {
        Self {
            name: model.named.name.clone(),
            version: model.named.version,
            hash: model.named.hash.clone(),
            state: state_of(model),
            fitted_on_members: model.named.model.on.members,
            fitted_on_bad: model.named.model.on.bad,
            beside: model.beside.map(|beside| BesideView {
                both: beside.both,
                would_open: beside.model_alone,
                would_not_open: beside.score_alone,
            }),
        }
    }
}

/// Every detector's version, with what people said of the cases it speaks in.
pub(crate) fn versions(doors: &Doors, counts: &Counts) -> Vec<DetectorView> {
    let mut tallies = counts.by_detector.clone();
    let worth = doors.screener.worth();
    let mut all: Vec<DetectorView> = Vec::new();
    let mut add = |name: &str, version: u32, state, said: Option<(&'static str, &'static str)>, tally: Tally| {
        all.push(DetectorView {
            name: name.to_owned(),
            version,
            state,
            family: said.map(|said| said.0),
            clears: said.map(|said| said.1),
            cases: tally.cases,
            strongest_in: tally.first,
            reviews: tally.said,
            precision_per_mille: tally.said.precision(),
            worth: worth.get(&(name.into(), version)).map(WorthView::of).unwrap_or_default(),
        });
    };
    for detector in detectors() {
        let tally = tallies.remove(&(detector.name.into(), detector.version)).unwrap_or_default();
        let state = if doors.screener.counts(detector) { "counts" } else { "withdrawn" };
        add(detector.name, detector.version, state, Some((detector.family, detector.clears)), tally);
    }
    if let Some(model) = doors.screener.model() {
        let tally = tallies.remove(&(FITTED_MODEL.into(), model.named.version)).unwrap_or_default();
        let said = ("the model's figures", MODEL_CLEARS);
        add(FITTED_MODEL, model.named.version, state_of(&model), Some(said), tally);
    }
    // Versions before: what they said stands in cases still.
    for ((name, version), tally) in tallies {
        add(&name, version, "earlier", None, tally);
    }
    all
}

/// Detectors, and what people said of what they found.
///
/// What the desk is worth is from the records that screening read: of a shared store since this process
/// took it over. By the newest 20,000 cases: a case counts for every version that speaks in it, by its last review
/// that stands. Precision by origin is of reviews, each by how its group came to be looked at.
#[utoipa::path(
    get, path = "/v1/screening/detectors", operation_id = "list_detectors", tag = "Risk",
    responses((status = 200, description = "Detectors, origins of reviews, the fitted model", body = DetectorsView)),
)]
pub(super) async fn list(doors: &Doors, request: &Request) -> Result<Reply, Reply> {
    access::one_of(doors, request, &[Operator, Risk])?;
    let counts = counted(doors).await?;
    Ok(Reply::ok(&DetectorsView {
        detectors: versions(doors, &counts),
        origins: origins(&counts),
        segments: segments(doors),
        model: doors.screener.model().as_ref().map(ModelView::of),
        screened_elsewhere: doors.screener.is_elsewhere(),
        more: counts.more,
    }))
}

/// Reviews by how their group came to be looked at.
pub(crate) fn origins(counts: &Counts) -> Vec<OriginView> {
    let view = |(chosen_by, reviews): (&String, &Said)| OriginView {
        chosen_by: chosen_by.clone(),
        reviews: *reviews,
        precision_per_mille: reviews.precision(),
    };
    counts.by_origin.iter().map(view).collect()
}
