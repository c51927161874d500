//! Cases, and what they lead to: each moves as it may, and no standing is without its cause.

use super::{Books, Member, Name};
use crate::audit::report::Named;
use crate::cases::rules::{Rule, Says, State};
use crate::cases::{Case, Status, Step, Verdict};
use crate::domain::Code;
use crate::domain::member::{Standing, StandingOrigin, StandingStep};
use crate::domain::purchase::{Grant, Stage};
use crate::record::Envelope;

/// A second telling of how a case may move.
fn leads(from: Status, step: Step) -> Option<Status> {
    let before_people = matches!(from, Status::Open | Status::Watching);
    match step {
        Step::Grow if before_people => Some(from),
        Step::Merge if before_people => Some(Status::Merged),
        Step::Confirm if before_people => Some(Status::Confirmed),
        Step::Dismiss if before_people => Some(Status::Dismissed),
        Step::Watch if before_people => Some(Status::Watching),
        Step::Reopen if !matches!(from, Status::Open | Status::Merged) => Some(Status::Open),
        Step::Withdraw if from != Status::Merged => Some(from),
        Step::Propose if from.is_standing() => Some(from),
        Step::Undo | Step::Object if from != Status::Merged => Some(Status::Open),
        _ => None,
    }
}

impl Books<'_> {
    /// A case continues what it was, by one step of the table.
    pub(super) fn case(&mut self, name: Name, version: u64, case: Case) {
        let known = self.cases.get(&case.id);
        let follows = version == known.map_or(0, |(version, _)| *version).saturating_add(1);
        let last = case.timeline.last();
        let moved = match (known, last) {
            (None, Some(opening)) => opening.step.is_none() && case.status == Status::Open && case.reviews.is_empty(),
            (Some((_, before)), Some(last)) => {
                let step = last.step.and_then(|step| leads(before.status, step));
                let kept = before.reviews.len() <= case.reviews.len()
                    && before.reviews.iter().zip(&case.reviews).all(|(old, new)| {
                        old.verdict == new.verdict && old.members == new.members && (!old.undone || new.undone)
                    })
                    && before.acts.len() <= case.acts.len()
                    && before.acts.iter().zip(&case.acts).all(|(old, new)| {
                        (old.standing, &old.members, old.until) == (new.standing, &new.members, new.until)
                            && (!old.undone || new.undone)
                    });
                last.from == before.status && last.to == case.status && step == Some(case.status) && kept
            }
            (_, None) => false,
        };
        self.report.look(Named::Cases, follows && moved, || {
            format!("{name}: case {} version {version} does not follow from what it was", case.id)
        });
        self.ruled(name, &case);
        self.cases.insert(case.id, (version, case));
    }

    /// A rule keeps all it said and says one thing more; what it says is by somebody and, of an allow
    /// list, ends.
    pub(super) fn rule(&mut self, name: Name, version: u64, rule: Rule) {
        let said = self.rules.get(&rule.id).map_or(&[][..], |known| &known.versions);
        let newest = rule.versions.last();
        let grows = rule.versions.len() == said.len() + 1 && rule.versions.starts_with(said);
        let numbered = newest.is_some_and(|newest| {
            u64::from(newest.number) == version
                && !newest.by.is_empty()
                && (newest.until.is_some() || !matches!(newest.says, Says::Allow { .. }))
        });
        // Of several journals the version before may be in another one, further on.
        let follows = grows && version == rule.versions.len() as u64;
        self.report.look(Named::Documents, numbered && (follows || self.several), || {
            format!("{name}: rule {} version {version} does not follow from what it said", rule.id)
        });
        if rule.versions.len() > said.len() {
            self.rules.insert(rule.id, rule);
        }
    }

    /// Evidence of a rule names one that was live when it was seen.
    fn ruled(&mut self, name: Name, case: &Case) {
        for seen in &case.evidence {
            let Some(id) = seen.detector.strip_prefix("rule:") else { continue };
            // Of several journals the rule may be in another one, further on.
            if self.several {
                continue;
            }
            let rule = Code::parse(id).ok().and_then(|id| self.rules.get(&id));
            let version = rule.and_then(|rule| rule.versions.iter().find(|version| version.number == seen.version));
            let was_live = version.is_some_and(|version| {
                version.state == State::Live
                    && version.at <= seen.seen_at
                    && version.until.is_none_or(|until| seen.seen_at < until)
                    && !matches!(version.says, Says::Allow { .. })
            });
            self.report.look(Named::Rules, was_live, || {
                format!("{name}: case {} rests on {} {}, which was not live", case.id, seen.detector, seen.version)
            });
        }
    }

    /// A standing leads back to what caused it.
    pub(super) fn cause(&mut self, name: Name, member: &Member, envelope: &Envelope, step: &StandingStep) {
        // Of several journals the case may be in another one, further on.
        if self.several {
            return;
        }
        let id = &member.head.id;
        let case = step.origin.case().and_then(|case| self.cases.get(&case)).map(|(_, case)| case);
        let review = |place: u32| case.and_then(|case| case.reviews.get(usize::try_from(place).ok()?));
        let caused =
            match step.origin {
                StandingOrigin::Said => true,
                StandingOrigin::Review { review: place, .. } => review(place).is_some_and(|review| {
                    let standing = match review.verdict {
                        Verdict::Confirm => Standing::Barred,
                        Verdict::Dismiss => Standing::Clear,
                        Verdict::Watch => Standing::Watched,
                    };
                    review.members.contains(id) && review.merchant == step.merchant && standing == step.standing
                }),
                StandingOrigin::Undone { review: place, .. } => {
                    review(place).is_some_and(|review| review.undone && review.members.contains(id))
                }
                // What acts by itself only raises, and only those whom their own acts tie to the case.
                StandingOrigin::Policy { .. } => case.is_some_and(|case| {
                    let acted = case.acts.iter().any(|act| act.standing == step.standing && act.members.contains(id));
                    let own = case.members.iter().any(|suspect| suspect.own && &suspect.member == id);
                    acted
                        && own
                        && step.standing <= Standing::Held
                        && (step.standing < Standing::Held || step.until.is_some())
                }),
                StandingOrigin::Withdrawn { .. } => {
                    case.is_some_and(|case| case.acts.iter().any(|act| act.undone && act.members.contains(id)))
                }
                StandingOrigin::Ended => member.head.standings.iter().any(|held| {
                    held.merchant == step.merchant && held.until.is_some_and(|until| until <= envelope.mark)
                }),
            };
        self.report.look(Named::Causes, caused, || {
            format!("{name}: member {id} stands {:?} by {:?}, which does not say so", step.standing, step.origin)
        });
    }

    /// Nothing is available before screening has passed the record that earned it.
    pub(super) fn screened(
        &mut self,
        name: Name,
        member: &Member,
        envelope: &Envelope,
        old: Option<&Grant>,
        new: &Grant,
    ) {
        let raised = old.is_none_or(|old| new.amount_minor > old.amount_minor);
        let earned = match old {
            Some(old) if !raised => new.earned_at == old.earned_at,
            _ => new.earned_at >= envelope.at,
        };
        let passed = new.earned_at < envelope.mark || new.earned_at <= member.head.screened;
        // What was got for points was earned when they were.
        let free = !self.options.policy.screened || new.amount_minor == 0 || new.stage != Stage::Available;
        let held_back = free || passed || member.exchanges.values().any(|exchange| exchange.offer == new.offer);
        self.report.look(Named::Screened, earned && held_back, || {
            format!("{name}: member {} offer {}: available before it was screened", member.head.id, new.offer)
        });
    }
}
