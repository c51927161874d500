//! Cases: what screening found, for people to judge. One case per group of members, joined and
//! grown by what is found later; its status moves by a table; reviews are kept with what they
//! rested on; nothing of it is a consequence by itself.
//!
//! [`triage`] says what becomes of a group that was found, under the written policy; [`rules`] is
//! what the desk says itself: lists and velocities; [`report`] what it was told from outside. Pure.

pub mod origin;
pub mod report;
pub mod rules;
pub mod triage;

#[cfg(test)]
mod tests;

use crate::domain::member::{Standing, StandingOrigin};
use crate::domain::{MemberId, MerchantId, Timestamp};
use compact_str::CompactString;
use origin::Origin;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Evidence of one case: of each detector the strongest few.
pub const EVIDENCE_MAX: usize = 40;
/// Entries of a timeline: beyond them what only grew is forgotten first.
pub const TIMELINE_MAX: usize = 200;
/// Reviews of one case.
pub const REVIEWS_MAX: usize = 100;

/// Where a case stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits for a review.
    Open,
    /// Reviewed: looked at further, without consequence.
    Watching,
    /// Reviewed: fraud.
    Confirmed,
    /// Reviewed: honest, as far as the evidence went.
    Dismissed,
    /// Part of another case.
    Merged,
}

/// What happens to a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// More of the same was found.
    Grow,
    /// Something was found that the last review had not seen.
    Reopen,
    /// A review: fraud.
    Confirm,
    /// A review: honest.
    Dismiss,
    /// A review: wait and see.
    Watch,
    /// The last review is taken back.
    Undo,
    /// A member objects.
    Object,
    /// It turned out to be the same group as another.
    Merge,
    /// Evidence of a detector's version was withdrawn; people judge what is left.
    Withdraw,
    /// A review that takes so much that a second reviewer must say the same before it counts.
    Propose,
}

/// Every move that a case may make.
pub const MOVES: [(Status, Step, Status); 27] = [
    (Status::Open, Step::Grow, Status::Open),
    (Status::Open, Step::Confirm, Status::Confirmed),
    (Status::Open, Step::Dismiss, Status::Dismissed),
    (Status::Open, Step::Watch, Status::Watching),
    (Status::Open, Step::Undo, Status::Open),
    (Status::Open, Step::Object, Status::Open),
    (Status::Open, Step::Merge, Status::Merged),
    (Status::Watching, Step::Grow, Status::Watching),
    (Status::Watching, Step::Reopen, Status::Open),
    (Status::Watching, Step::Confirm, Status::Confirmed),
    (Status::Watching, Step::Dismiss, Status::Dismissed),
    (Status::Watching, Step::Watch, Status::Watching),
    (Status::Watching, Step::Undo, Status::Open),
    (Status::Watching, Step::Object, Status::Open),
    (Status::Watching, Step::Merge, Status::Merged),
    (Status::Confirmed, Step::Reopen, Status::Open),
    (Status::Confirmed, Step::Undo, Status::Open),
    (Status::Confirmed, Step::Object, Status::Open),
    (Status::Dismissed, Step::Reopen, Status::Open),
    (Status::Dismissed, Step::Undo, Status::Open),
    (Status::Dismissed, Step::Object, Status::Open),
    (Status::Open, Step::Withdraw, Status::Open),
    (Status::Watching, Step::Withdraw, Status::Watching),
    (Status::Confirmed, Step::Withdraw, Status::Confirmed),
    (Status::Dismissed, Step::Withdraw, Status::Dismissed),
    (Status::Open, Step::Propose, Status::Open),
    (Status::Watching, Step::Propose, Status::Watching),
];

impl Status {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Open, Self::Watching, Self::Confirmed, Self::Dismissed, Self::Merged];

    /// Where a step leads; `None` when it does not follow from here.
    #[must_use]
    pub fn after(self, step: Step) -> Option<Self> {
        MOVES.iter().find(|(from, by, _)| (*from, *by) == (self, step)).map(|(_, _, to)| *to)
    }
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Watching => "watching",
            Self::Confirmed => "confirmed",
            Self::Dismissed => "dismissed",
            Self::Merged => "merged",
        }
    }
    /// Whether people have it before them: found anew, it is joined rather than opened again.
    #[must_use]
    pub fn is_standing(self) -> bool {
        matches!(self, Self::Open | Self::Watching)
    }
}

impl Step {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grow => "grow",
            Self::Reopen => "reopen",
            Self::Confirm => "confirm",
            Self::Dismiss => "dismiss",
            Self::Watch => "watch",
            Self::Undo => "undo",
            Self::Object => "object",
            Self::Merge => "merge",
            Self::Withdraw => "withdraw",
            Self::Propose => "propose",
        }
    }
}

/// What a reviewer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Fraud: what is not paid is not due.
    Confirm,
    /// Honest.
    Dismiss,
    /// Wait and see.
    Watch,
}

impl Verdict {
    /// The standing that it gives.
    #[must_use]
    pub fn standing(self) -> Standing {
        match self {
            Self::Confirm => Standing::Barred,
            Self::Dismiss => Standing::Clear,
            Self::Watch => Standing::Watched,
        }
    }
    /// The step that it is.
    #[must_use]
    pub fn step(self) -> Step {
        match self {
            Self::Confirm => Step::Confirm,
            Self::Dismiss => Step::Dismiss,
            Self::Watch => Step::Watch,
        }
    }
}

/// A member of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    /// Who.
    pub member: MemberId,
    /// Their score when last looked at, 0 to 1000.
    pub score: u16,
    /// Whether an act or a verified instrument of their own ties them to the group. One who was
    /// only named by others is listed for the reader and never held by policy, nor meant by a
    /// review that names nobody.
    pub own: bool,
    /// When they were found to belong to it.
    pub since: Timestamp,
}

/// Something that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Who saw it.
    pub detector: CompactString,
    /// Its version.
    pub version: u32,
    /// What kind of evidence it is.
    pub family: CompactString,
    /// How strong, 1 to 1000.
    pub strength: u16,
    /// What was seen, for people.
    pub words: String,
    /// What would clear it.
    pub clears: String,
    /// Whom it concerns.
    pub members: Vec<MemberId>,
    /// When it was seen last.
    pub seen_at: Timestamp,
}

/// A link between members of a case, as a picture shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tie {
    /// Who said it.
    pub from: MemberId,
    /// A member, or an identifier's short name that means nothing outside the picture.
    pub to: String,
    /// `referral`, `device`, `card`, …
    pub kind: CompactString,
    /// Whether it is verified.
    pub verified: bool,
    /// Since when.
    pub at: Timestamp,
}

/// A review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// What was said.
    pub verdict: Verdict,
    /// For which merchant; `None` is the whole programme.
    pub merchant: Option<MerchantId>,
    /// Who is meant.
    pub members: Vec<MemberId>,
    /// Why, in the reviewer's words.
    pub reason: String,
    /// Purchases from here on are concerned.
    pub since: Timestamp,
    /// What was paid already is asked back rather than booked as fraud loss.
    pub ask_back: bool,
    /// Who: the id of their key.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// It was taken back, or waits for a second reviewer: it counts for nothing.
    pub undone: bool,
    /// Families of evidence that were there.
    pub families: Vec<CompactString>,
    /// How the group came to be looked at: labels are weighed by it.
    pub chosen: Chosen,
    /// Whether the score was shown to the reviewer.
    pub score_shown: bool,
}

/// How a group came to be reviewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chosen {
    /// By a detector's finding, its strongest.
    Detector {
        /// Which.
        name: CompactString,
        /// Its version.
        version: u32,
    },
    /// By chance.
    Random,
    /// By somebody's word from outside.
    Report,
}

/// What the written policy did when the case was opened or grew. Never a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyAct {
    /// The standing that was set.
    pub standing: Standing,
    /// For whom.
    pub members: Vec<MemberId>,
    /// When.
    pub at: Timestamp,
    /// When it ends by itself; `None` for standings that do not.
    pub until: Option<Timestamp>,
    /// It was withdrawn with the detector's version that it rested on.
    pub undone: bool,
}

/// An entry of the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// When.
    pub at: Timestamp,
    /// What; `None` is the opening.
    pub step: Option<Step>,
    /// The status before.
    pub from: Status,
    /// The status after.
    pub to: Status,
    /// Who: the id of a key, or `screening`.
    pub by: String,
    /// In words.
    pub words: String,
}

/// A detector's version that counts for nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// Which detector.
    pub detector: CompactString,
    /// Which version.
    pub version: u32,
    /// Who: the id of their key.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// A case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Numbered by its first record.
    pub id: u64,
    /// Where it stands.
    pub status: Status,
    /// The merchant whose rivals it is about; `None` is the whole programme.
    pub merchant: Option<MerchantId>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it changed last.
    pub changed_at: Timestamp,
    /// The mean score of its members who tie themselves to it.
    pub score: u16,
    /// By id.
    pub members: Vec<Suspect>,
    /// Strongest first.
    pub evidence: Vec<Evidence>,
    /// Its picture, bounded.
    pub ties: Vec<Tie>,
    /// Oldest first.
    pub reviews: Vec<Review>,
    /// What policy did, oldest first.
    pub acts: Vec<PolicyAct>,
    /// Oldest first.
    pub timeline: Vec<Happened>,
    /// How it came to be looked at.
    pub origin: Origin,
}

/// Families of evidence without which nothing acts by itself, whatever is configured.
pub const FAMILIES_TO_ACT: usize = 2;

/// Who acts when nobody does.
pub const SCREENING: &str = "screening";

/// Evidence that is no detector's finding: how far a figure of the score is out of the common.
pub const SCORE: &str = "score";

/// A step that does not follow from where a case is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a case that is {} cannot take the step {}", from.as_str(), step.as_str())]
pub struct NotNow {
    /// Where it is.
    pub from: Status,
    /// The step.
    pub step: Step,
}

impl Case {
    /// Takes a step by the table and writes it down.
    ///
    /// # Errors
    /// [`NotNow`]; then nothing has changed.
    pub fn step(&mut self, step: Step, by: &str, words: String, at: Timestamp) -> Result<(), NotNow> {
        let from = self.status;
        let to = from.after(step).ok_or(NotNow { from, step })?;
        self.status = to;
        self.changed_at = at;
        self.timeline.push(Happened { at, step: Some(step), from, to, by: by.to_owned(), words });
        if self.timeline.len() > TIMELINE_MAX {
            let grown = self.timeline.iter().position(|happened| happened.step == Some(Step::Grow));
            self.timeline.remove(grown.unwrap_or(1));
        }
        Ok(())
    }

    /// The review that waits for a second reviewer: the last one, when nothing else that matters
    /// has happened since.
    #[must_use]
    pub fn proposal(&self) -> Option<&Review> {
        let idle = |step: Option<Step>| matches!(step, Some(Step::Grow | Step::Withdraw));
        let last = self.timeline.iter().rev().find(|happened| !idle(happened.step))?;
        self.reviews.last().filter(|review| last.step == Some(Step::Propose) && review.undone)
    }

    /// Whether any of its evidence is of a detector's version.
    #[must_use]
    pub fn rests_on(&self, detector: &str, version: u32) -> bool {
        self.evidence.iter().any(|seen| seen.detector == detector && seen.version == version)
    }

    /// Takes the evidence of a detector's version out. What the policy did by itself is taken back
    /// when what is left would not have been enough; reviews are people's and stay.
    ///
    /// # Errors
    /// [`NotNow`] of a case that is part of another.
    pub fn withdraw(
        &mut self,
        detector: &str,
        version: u32,
        by: &str,
        reason: &str,
        at: Timestamp,
    ) -> Result<(), NotNow> {
        self.step(Step::Withdraw, by, format!("{detector} {version} is withdrawn: {reason}"), at)?;
        self.evidence.retain(|seen| !(seen.detector == detector && seen.version == version));
        let mut acts = std::mem::take(&mut self.acts);
        for act in &mut acts {
            act.undone |= act.members.iter().any(|member| self.agreeing(member) < FAMILIES_TO_ACT);
        }
        self.acts = acts;
        Ok(())
    }

    /// Whether its score and the strength of its evidence are hidden: it is judged without them, and
    /// nobody has judged it yet.
    #[must_use]
    pub fn hides_score(&self) -> bool {
        self.origin.blind && self.last_review().is_none()
    }

    /// The evidence as people see it: the strongest first, or where that is hidden by name.
    #[must_use]
    pub fn shown_evidence(&self) -> Vec<&Evidence> {
        let mut shown: Vec<&Evidence> = self.evidence.iter().collect();
        if self.hides_score() {
            shown.sort_by(|a, b| (&a.detector, &a.family, &a.words).cmp(&(&b.detector, &b.family, &b.words)));
        }
        shown
    }

    /// Families of evidence.
    #[must_use]
    pub fn families(&self) -> BTreeSet<&str> {
        self.evidence.iter().map(|evidence| evidence.family.as_str()).collect()
    }

    /// Families of evidence that count when the policy acts on a member by itself: what others said
    /// does not, and what a rule says counts for those of whom it says it alone.
    #[must_use]
    pub fn agreeing(&self, member: &MemberId) -> usize {
        let counts = |seen: &&Evidence| {
            seen.family != rules::SAID_BY_OTHERS
                && (!seen.detector.starts_with(rules::RULE) || seen.members.contains(member))
        };
        self.evidence.iter().filter(counts).map(|seen| &seen.family).collect::<BTreeSet<_>>().len()
    }

    /// The member's place in it.
    #[must_use]
    pub fn suspect(&self, member: &MemberId) -> Option<&Suspect> {
        self.members.iter().find(|suspect| &suspect.member == member)
    }

    /// Its members by id.
    pub fn names(&self) -> impl Iterator<Item = MemberId> {
        self.members.iter().map(|suspect| suspect.member.clone())
    }

    /// The last review that was not taken back.
    #[must_use]
    pub fn last_review(&self) -> Option<(usize, &Review)> {
        self.reviews.iter().enumerate().rev().find(|(_, review)| !review.undone)
    }

    /// Whom a review means that names nobody: those whom their own acts tie to the group.
    #[must_use]
    pub fn meant(&self) -> Vec<MemberId> {
        self.members.iter().filter(|suspect| suspect.own).map(|suspect| suspect.member.clone()).collect()
    }

    /// Every consequence that it asks for, in order: origin, standing, until when, for whom.
    /// One that was taken back asks for nothing.
    pub fn consequences(&self) -> impl Iterator<Item = Consequence<'_>> {
        let reviews = (0..).zip(&self.reviews).map(|(place, review)| Consequence {
            origin: StandingOrigin::Review { case: self.id, review: place },
            merchant: review.merchant.as_ref(),
            standing: review.verdict.standing(),
            since: review.since,
            until: None,
            ask_back: review.ask_back,
            at: review.at,
            undone: review.undone,
            members: &review.members,
        });
        let acts = self.acts.iter().map(|act| Consequence {
            origin: StandingOrigin::Policy { case: self.id },
            merchant: self.merchant.as_ref(),
            standing: act.standing,
            since: Timestamp::default(),
            until: act.until,
            ask_back: false,
            at: act.at,
            undone: act.undone,
            members: &act.members,
        });
        let mut all: Vec<_> = reviews.chain(acts).collect();
        all.sort_by_key(|consequence| consequence.at);
        all.into_iter()
    }
}

/// What a review or the policy asks for.
#[derive(Debug, Clone)]
pub struct Consequence<'a> {
    /// What asks for it.
    pub origin: StandingOrigin,
    /// For which merchant; `None` is the whole programme.
    pub merchant: Option<&'a MerchantId>,
    /// The standing.
    pub standing: Standing,
    /// Purchases from here on.
    pub since: Timestamp,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// What was paid already is asked back.
    pub ask_back: bool,
    /// When it was asked for.
    pub at: Timestamp,
    /// It was taken back.
    pub undone: bool,
    /// For whom.
    pub members: &'a [MemberId],
}
