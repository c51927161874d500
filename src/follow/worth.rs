//! What the desk is worth: the rewards that reviews took back before they were paid, against those
//! that were held from members whom people found honest, and for how long. From the transfers of the
//! books and the cases' own records, by case, and by each detector's version that speaks in it.
//!
//! Kept of the records that were read: of a shared store from when this process took over on.

use crate::cases::{Case, Status, Verdict};
use crate::domain::member::{Standing, StandingOrigin, StandingStep};
use crate::domain::{MemberId, Timestamp, Unit};
use crate::ledger::{AccountKind, Legs};
use crate::record::{Body, MemberInput, Record};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Cases that are kept; of further ones nothing is added up.
const CASES_MAX: usize = 50_000;
/// What members have, in whatever state.
const HAVE: [AccountKind; 4] =
    [AccountKind::MemberPending, AccountKind::MemberPosted, AccountKind::MemberHeld, AccountKind::MemberAvailable];

/// Sums by unit, minor units.
pub type Sums = BTreeMap<Unit, i64>;

/// What came of one case.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct OfCase {
    verdict: Option<Verdict>,
    merged: bool,
    /// Detectors' versions that speak in it.
    detectors: BTreeSet<(CompactString, u32)>,
    avoided: Sums,
    lost: Sums,
    held: Sums,
    held_ms: i64,
    members_held: u64,
}

/// What some cases came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Value {
    /// Taken back by confirmed cases before it was paid.
    pub avoided: Sums,
    /// Paid already when they were confirmed, and not asked back.
    pub lost: Sums,
    /// Held from members of cases that were dismissed.
    pub held_wrongly: Sums,
    /// How long, over all those members, milliseconds.
    pub held_wrongly_ms: i64,
    /// How many of them were held.
    pub members_held_wrongly: u64,
}

/// A hold that a case set and nobody has ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Hold {
    case: u64,
    since: Timestamp,
}

/// See the module.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Worth {
    cases: BTreeMap<u64, OfCase>,
    holds: BTreeMap<MemberId, Hold>,
}

fn add(sums: &mut Sums, unit: Unit, minor: i64) {
    if minor != 0 {
        *sums.entry(unit).or_default() += minor;
    }
}

/// What goes into an account less what comes out of it.
fn into(legs: &Legs, account: AccountKind) -> i64 {
    legs.minor * (i64::from(legs.credit == account) - i64::from(legs.debit == account))
}

impl Worth {
    /// Takes a record in.
    pub fn feed(&mut self, record: &Record) {
        match &record.body {
            Body::Case(case) => self.learn(case),
            Body::Member { member, input, .. } => {
                if let MemberInput::StandingSet(step) = input.as_ref() {
                    self.stand(member, step, record);
                } else if let Some(case) = self.holds.get(member).map(|hold| hold.case)
                    && let Some(of_case) = self.cases.get_mut(&case)
                {
                    // Bought, or given back, while they are held.
                    for transfer in record.transfers() {
                        add(&mut of_case.held, transfer.unit, into(&transfer.legs, AccountKind::MemberHeld));
                    }
                }
            }
            _ => {}
        }
    }

    /// What people say of a case, and who speaks in it.
    pub fn learn(&mut self, case: &Case) {
        if self.cases.len() >= CASES_MAX && !self.cases.contains_key(&case.id) {
            return;
        }
        let of_case = self.cases.entry(case.id).or_default();
        of_case.verdict = case.last_review().map(|(_, review)| review.verdict);
        of_case.merged = case.status == Status::Merged;
        // What was withdrawn since did it nevertheless.
        let seen = case.evidence.iter().map(|seen| (seen.detector.clone(), seen.version));
        of_case.detectors.extend(seen);
    }

    fn stand(&mut self, member: &MemberId, step: &StandingStep, record: &Record) {
        let holds = step.standing == Standing::Held && step.merchant.is_none();
        if let Some(before) = self.holds.remove(member)
            && let Some(of_case) = self.cases.get_mut(&before.case)
        {
            of_case.held_ms += (step.set_at.as_ms() - before.since.as_ms()).max(0);
        }
        let case = match step.origin {
            StandingOrigin::Review { case, .. } | StandingOrigin::Undone { case, .. } => case,
            StandingOrigin::Policy { case } => case,
            _ => return,
        };
        let Some(of_case) = self.cases.get_mut(&case) else { return };
        for transfer in record.transfers() {
            let (unit, legs) = (transfer.unit, &transfer.legs);
            // An undo gives back what the review took: both are of the same case.
            add(&mut of_case.avoided, unit, -HAVE.iter().map(|&account| into(legs, account)).sum::<i64>());
            add(&mut of_case.lost, unit, -into(legs, AccountKind::FraudLoss));
            if holds {
                add(&mut of_case.held, unit, into(legs, AccountKind::MemberHeld));
            }
        }
        if holds {
            of_case.members_held += 1;
            self.holds.insert(member.clone(), Hold { case, since: step.set_at });
        }
    }

    /// By each detector's version. A case counts for every version that speaks in it.
    #[must_use]
    pub fn by_detector(&self) -> BTreeMap<(CompactString, u32), Value> {
        let mut all: BTreeMap<(CompactString, u32), Value> = BTreeMap::new();
        for of_case in self.cases.values().filter(|of_case| !of_case.merged) {
            for version in &of_case.detectors {
                let value = all.entry(version.clone()).or_default();
                match of_case.verdict {
                    Some(Verdict::Confirm) => {
                        join(&mut value.avoided, &of_case.avoided);
                        join(&mut value.lost, &of_case.lost);
                    }
                    Some(Verdict::Dismiss) => {
                        join(&mut value.held_wrongly, &of_case.held);
                        value.held_wrongly_ms += of_case.held_ms;
                        value.members_held_wrongly += of_case.members_held;
                    }
                    _ => {}
                }
            }
        }
        all
    }
}

fn join(sums: &mut Sums, others: &Sums) {
    others.iter().for_each(|(unit, minor)| add(sums, *unit, *minor));
    sums.retain(|_, minor| *minor != 0);
}
