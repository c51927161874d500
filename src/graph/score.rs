//! One score per member, 0 to 1000, as a sum of named contributions; the strongest few in words.

use super::detectors::{Detector, Finding};
use super::features::Table;
use super::found::Found;
use super::model::{Additive, Model};
use super::seeds::{Seeds, company};
use super::stats::median;
use super::tails::{Term, terms};

/// Terms of a finding of full strength; as surprising as one member in four hundred.
pub const FINDING_FULL: f64 = 6.0;
/// The sum of terms that is half of the highest score.
pub const HALF: f64 = 10.0;
/// Reasons that are put in words.
const REASONS: usize = 4;
/// A contribution below this is no reason: one member in seven is as extreme.
const REASON_MIN: f64 = 2.0;
/// Without a model: the score from which a member is watched.
const WATCHED_BY_TERMS: f64 = 600.0;
/// With a model: even chances.
const WATCHED_BY_MODEL: f64 = 500.0;
/// Families of evidence that must agree before a member is watched.
const FAMILIES_MIN: usize = 2;

/// The family of what is said of a member without links.
const NO_LINKS: &str = "no links";
/// The family of what a fitted model begins with, before any figure is known.
pub const BASE_RATE: &str = "base rate";

/// What one kind of evidence adds.
#[derive(Debug, Clone, PartialEq)]
pub struct Contribution {
    /// What kind of evidence.
    pub family: &'static str,
    /// Which figure or detector says it.
    pub source: &'static str,
    /// What is added.
    pub adds: f64,
    /// What was seen.
    pub words: String,
}

/// A member's score.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// 0 to 1000.
    pub score: f64,
    /// Whether people should look: high, by at least two families of evidence.
    pub watched: bool,
    /// The strongest contributions, strongest first.
    pub reasons: Vec<Contribution>,
}

/// What members are scored by.
#[derive(Debug)]
pub struct Scorer<'a> {
    found: &'a Found<'a>,
    table: &'a Table,
    model: Option<&'a Model>,
    terms: Vec<Term>,
    company: Option<Vec<f64>>,
    /// What the middle one of the linked members has: all that is known of one without links.
    middle: f64,
    /// By row: places of the findings that name it.
    findings_of: Vec<Vec<u32>>,
    findings: &'a [Finding],
}

impl<'a> Scorer<'a> {
    /// By a model when there is one, else by tails and findings; beside either, by company.
    #[must_use]
    pub fn new(
        found: &'a Found<'a>,
        table: &'a Table,
        model: Option<&'a Model>,
        seeds: Option<&Seeds>,
        findings: &'a [Finding],
    ) -> Self {
        let mut findings_of = vec![Vec::new(); found.network.members.len()];
        for (place, finding) in (0..).zip(findings) {
            for &row in &finding.members {
                findings_of[row].push(place);
            }
        }
        let terms = if model.is_none() { terms(found, table) } else { Vec::new() };
        let company = seeds.map(|seeds| company(found, seeds));
        let mut scorer = Self { found, table, model, terms, company, middle: 0.0, findings_of, findings };
        let linked = (0..found.network.members.len()).filter(|&row| found.is_linked(row));
        let mut sums: Vec<f64> = match model {
            Some(model) => {
                let Additive { intercept, .. } = model.fitted.additive;
                let odds = model.fitted.additive.scores(table);
                linked.map(|row| odds[row] - intercept).collect()
            }
            None => linked.map(|row| scorer.terms.iter().map(|term| term.surprise[row]).sum()).collect(),
        };
        scorer.middle = if sums.is_empty() { 0.0 } else { median(&mut sums) };
        scorer
    }

    /// What features add. Nothing can be read from a member without links, for or against it.
    fn parts(&self, row: usize) -> Vec<Contribution> {
        if !self.found.is_linked(row) {
            let words = "no links: scored as the middle member".to_owned();
            return vec![Contribution { family: NO_LINKS, source: NO_LINKS, adds: self.middle, words }];
        }
        if self.model.is_some() { self.steps(row) } else { self.tails(row) }
    }

    /// The score of a member.
    #[must_use]
    pub fn score(&self, row: usize) -> Score {
        let mut parts = self.parts(row);
        if let Some(company) = &self.company {
            let words = format!("company of members already known, log odds {:+.1}", company[row]);
            parts.push(Contribution { family: "known fraud", source: "company", adds: company[row], words });
        }
        let mut beside = Vec::new();
        for (finding, part) in self.finding_parts(row) {
            if finding.detector.scored && self.model.is_none() { parts.push(part) } else { beside.push(part) }
        }
        let sum: f64 = parts.iter().map(|part| part.adds).sum();
        let (score, watched_from) = match self.model {
            Some(model) => (self.score_of(model.fitted.additive.intercept + sum), WATCHED_BY_MODEL),
            None => (self.score_of(sum), WATCHED_BY_TERMS),
        };
        parts.append(&mut beside);
        parts.retain(|part| part.adds >= self.reason_min() || part.family == NO_LINKS);
        parts.sort_by(|a, b| b.adds.total_cmp(&a.adds));
        let mut families: Vec<&str> = parts.iter().map(|part| part.family).filter(|&one| one != NO_LINKS).collect();
        families.sort_unstable();
        families.dedup();
        parts.truncate(REASONS);
        Score { score, watched: score >= watched_from && families.len() >= FAMILIES_MIN, reasons: parts }
    }

    /// A member's score without the company they keep, and every contribution to it that says something,
    /// strongest first: their sum, as log odds of a model's calibration or as a share, is the score. The
    /// findings that no feature reads add to either.
    #[must_use]
    pub fn parts_of(&self, row: usize) -> (f64, Vec<Contribution>) {
        let mut parts = self.parts(row);
        if let Some(model) = self.model {
            let words = "how common fraud was among the members that the model was fitted on".to_owned();
            let adds = model.fitted.additive.intercept;
            parts.push(Contribution { family: BASE_RATE, source: BASE_RATE, adds, words });
        }
        parts.extend(self.finding_parts(row).filter(|(finding, _)| finding.detector.scored).map(|(_, part)| part));
        let sum: f64 = parts.iter().map(|part| part.adds).sum();
        // Of a model nobody begins at nothing: the middle member's sum is a contribution.
        parts.retain(|part| part.adds != 0.0 && (self.model.is_some() || part.family != NO_LINKS));
        parts.sort_by(|a, b| b.adds.total_cmp(&a.adds));
        (self.score_of(sum), parts)
    }

    /// The sum of [`Self::parts_of`] for every row, without a word: log odds.
    ///
    /// # Panics
    /// Without a model.
    #[must_use]
    pub fn odds(&self) -> Vec<f64> {
        let additive = &self.model.expect("asked with a model").fitted.additive;
        let mut odds = additive.scores(self.table);
        for (row, odds) in odds.iter_mut().enumerate() {
            if !self.found.is_linked(row) {
                *odds = self.middle_odds();
            }
            for finding in self.strongest(row).into_iter().filter(|finding| finding.detector.scored) {
                *odds += FINDING_FULL * finding.strength;
            }
        }
        odds
    }

    /// What is said of who was not seen: the middle member's log odds by the model.
    #[must_use]
    pub fn middle_odds(&self) -> f64 {
        self.model.map_or(0.0, |model| model.fitted.additive.intercept) + self.middle
    }

    fn score_of(&self, sum: f64) -> f64 {
        1000.0 * self.model.map_or_else(|| self.share(sum), |model| model.fitted.calibration.chance(sum))
    }

    /// Log odds are smaller than tails: a step of a half makes chances one and a half times as high.
    fn reason_min(&self) -> f64 {
        if self.model.is_some() { 0.25 } else { REASON_MIN }
    }

    /// Good company may take a sum below zero: from there it goes to 0 ever slower.
    fn share(&self, sum: f64) -> f64 {
        let known = if self.company.is_some() { HALF } else { 0.0 };
        let sum = if sum < 0.0 { known * (sum / HALF).exp() } else { known + sum };
        sum / (sum + known + HALF)
    }

    fn tails(&self, row: usize) -> Vec<Contribution> {
        let term = |term: &Term| {
            let adds = term.surprise[row];
            let (_, values) = self.table.named(term.feature.name).expect("a feature of ours");
            let one_in = adds.exp();
            let words = if adds < REASON_MIN {
                String::new()
            } else {
                format!("{}: {}; 1 member in {one_in:.0} is so", term.feature.words, figure(values[row]))
            };
            Contribution { family: term.feature.family, source: term.feature.name, adds, words }
        };
        self.terms.iter().map(term).collect()
    }

    fn steps(&self, row: usize) -> Vec<Contribution> {
        let tables = &self.model.expect("asked with a model").fitted.additive.tables;
        let part = |steps: &super::model::Steps| {
            let (_, values) = self.table.named(steps.feature.name).expect("a feature of ours");
            let adds = steps.contributions(&values[row..=row]).sum();
            let words = if adds < self.reason_min() {
                String::new()
            } else {
                format!("{}: {} ({adds:+.2})", steps.feature.words, figure(values[row]))
            };
            Contribution { family: steps.feature.family, source: steps.feature.name, adds, words }
        };
        tables.iter().map(part).collect()
    }

    /// The strongest finding of each detector.
    fn strongest(&self, row: usize) -> Vec<&Finding> {
        let mut strongest: Vec<&Finding> = Vec::new();
        for &place in &self.findings_of[row] {
            let finding = &self.findings[place as usize];
            match strongest.iter_mut().find(|other| other.detector == finding.detector) {
                Some(other) if other.strength < finding.strength => *other = finding,
                Some(_) => {}
                None => strongest.push(finding),
            }
        }
        strongest
    }

    /// What they add.
    fn finding_parts(&self, row: usize) -> impl Iterator<Item = (&Finding, Contribution)> {
        self.strongest(row).into_iter().map(|finding| {
            let words = format!("{}: {}", finding.detector.name, finding.words);
            let Detector { family, name: source, .. } = *finding.detector;
            let part = Contribution { family, source, adds: FINDING_FULL * finding.strength, words };
            (finding, part)
        })
    }
}

/// Four digits are enough to read.
fn figure(value: f64) -> String {
    if !value.is_finite() {
        "not known".to_owned()
    } else if value == value.trunc() || value.abs() >= 1000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.3}")
    }
}
