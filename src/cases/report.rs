//! Somebody's word from outside: an issuer's chargebacks, a member's letter, a partner's list. It opens a
//! case, or joins the one that is there; by itself it does nothing to anybody, however many say it, and
//! whom it names is listed and not meant by a review that names nobody. What people then say of the case
//! is a label of the origin `report`.

use super::origin::Origin;
use super::rules::SAID_BY_OTHERS;
use super::{Case, Evidence, Happened, NotNow, Status, Step, Suspect};
use crate::domain::{MemberId, Timestamp};
use serde::{Deserialize, Serialize};

/// What evidence of a report says in a detector's place.
pub const OUTSIDE_REPORT: &str = "outside-report";

/// Who reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reporter {
    /// A bank that issued a card: a chargeback for fraud, a fraud report.
    Issuer,
    /// Another member.
    Member,
    /// A merchant, a network, another programme.
    Partner,
    /// Somebody else: police, a journalist.
    Other,
}

impl Reporter {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Issuer, Self::Member, Self::Partner, Self::Other];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Member => "member",
            Self::Partner => "partner",
            Self::Other => "other",
        }
    }
}

/// A report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Who reported.
    pub reporter: Reporter,
    /// Whom they name, each once, with the score that each has.
    pub members: Vec<(MemberId, u16)>,
    /// What they say.
    pub reason: String,
    /// Who wrote it down: the id of their key.
    pub by: String,
}

/// The case that a report opens or joins, as it is from now on, given the cases that hold any of whom it
/// names; `next` is the number of a new one. It joins one that people have before them first, then the one
/// that has most of them. One whose review is over is open again.
///
/// # Errors
/// [`NotNow`] of a case that takes no further step.
pub fn reported(report: &Report, known: &[Case], next: u64, at: Timestamp) -> Result<Case, NotNow> {
    let shared = |case: &Case| report.members.iter().filter(|(member, _)| case.suspect(member).is_some()).count();
    let theirs = known.iter().filter(|case| case.merchant.is_none() && case.status != Status::Merged);
    let joined = theirs
        .filter(|case| case.status.is_standing() || 2 * shared(case) >= report.members.len())
        .max_by_key(|case| (case.status.is_standing(), shared(case), std::cmp::Reverse(case.id)));
    let words = format!("{} members reported ({}): {}", report.members.len(), report.reporter.as_str(), report.reason);
    let mut case = match joined {
        None => opened(report, words, next, at),
        Some(case) => {
            let mut case = case.clone();
            let step = if case.status == Status::Open { Step::Grow } else { Step::Reopen };
            case.step(step, &report.by, words, at)?;
            if step == Step::Reopen {
                // What is said of it from here on is said because of the report.
                case.origin.reported = Some(report.reporter);
            }
            case
        }
    };
    for (member, score) in &report.members {
        if case.suspect(member).is_none() {
            case.members.push(Suspect { member: member.clone(), score: *score, own: false, since: at });
        }
    }
    case.members.sort_by(|a, b| a.member.cmp(&b.member));
    case.evidence.push(Evidence {
        detector: OUTSIDE_REPORT.into(),
        version: 1,
        // Nothing acts by itself on what others say.
        family: SAID_BY_OTHERS.into(),
        strength: 500,
        words: format!("reported from outside ({}): {}", report.reporter.as_str(), report.reason),
        clears: "what the reporter's own records say".to_owned(),
        members: report.members.iter().map(|(member, _)| member.clone()).collect(),
        seen_at: at,
    });
    case.evidence.sort_by(|a, b| b.strength.cmp(&a.strength).then_with(|| a.detector.cmp(&b.detector)));
    Ok(case)
}

fn opened(report: &Report, words: String, id: u64, at: Timestamp) -> Case {
    let scores: u32 = report.members.iter().map(|(_, score)| u32::from(*score)).sum();
    let mean = scores / u32::try_from(report.members.len().max(1)).unwrap_or(u32::MAX);
    let (from, to) = (Status::Open, Status::Open);
    Case {
        id,
        status: Status::Open,
        merchant: None,
        opened_at: at,
        changed_at: at,
        score: u16::try_from(mean).unwrap_or(u16::MAX),
        members: Vec::new(),
        evidence: Vec::new(),
        ties: Vec::new(),
        reviews: Vec::new(),
        acts: Vec::new(),
        timeline: vec![Happened { at, step: None, from, to, by: report.by.clone(), words }],
        origin: Origin { reported: Some(report.reporter), ..Origin::default() },
    }
}
