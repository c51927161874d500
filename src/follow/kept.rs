//! What screening keeps of the records, in memory, and what was seen in it.

use super::feed::Page;
use super::live::{Arrivals, look};
use super::pass::{Passed, Scored};
use super::report::Report;
use super::resident::{Resident, Who};
use super::rivals::{Launches, is_early};
use super::rules::{Hit, Rules};
use super::worth::Worth;
use crate::cases::triage::{Group, TriagePolicy};
use crate::cases::{Case, Review, Verdict};
use crate::decide::MemberState;
use crate::domain::purchase::{Occasion, Stage};
use crate::domain::{EventKind, MemberId, Money, Sequence, Timestamp};
use crate::record::{Body, MemberInput, Record};
use hashbrown::HashMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Members whose live score is remembered.
const LIVE_MAX: usize = 200_000;
/// What rules say of one page: the next pass says the rest.
const HITS_MAX: usize = 1_000;

/// What is kept of the records, and what was seen in it.
#[derive(Debug, Default)]
pub struct Kept {
    /// The network.
    pub resident: Resident,
    /// Sign-ups of the last while.
    pub arrivals: Arrivals,
    /// The last look at everybody.
    pub passed: Option<Arc<Passed>>,
    /// The desk's rules.
    pub rules: Rules,
    live: HashMap<Who, (Scored, Timestamp)>,
    /// What merchants may know of their own business.
    pub report: Report,
    /// When offers began.
    pub launches: Arc<Launches>,
    /// What came of cases, in money.
    pub worth: Worth,
    /// The state of a shared store is being read for the first time.
    reading: bool,
}

/// What a page of records came to.
#[derive(Debug, Default)]
pub struct Taken {
    /// Members whose links changed.
    pub changed: BTreeSet<Who>,
    /// Members whose rewards wait for nothing but screening.
    pub waiting: Vec<(MemberId, Timestamp)>,
    /// What the desk's rules say of what came.
    pub hits: Vec<Hit>,
    /// Members who did not follow their own version: they are to be read from the state.
    pub stale: BTreeSet<MemberId>,
}

impl Kept {
    /// Takes a page in.
    pub fn take(&mut self, page: Page) -> Taken {
        if page.anew {
            *self = Self { reading: true, launches: Arc::clone(&self.launches), ..Self::default() };
        }
        self.reading &= !page.from_logs;
        let mut taken = Taken::default();
        page.rules.iter().for_each(|rule| self.rules.set(rule));
        page.withdrawn.iter().for_each(|(detector, version)| self.resident.withdraw(detector, *version));
        for member in &page.members {
            self.restore(member, &mut taken);
            if self.reading {
                self.report.restore(member);
            }
        }
        for record in &page.records {
            if let Body::Member { member, .. } = &record.body
                && page.from_logs
                && (taken.stale.contains(member) || !self.follows(member, record))
            {
                taken.stale.insert(member.clone());
                continue;
            }
            self.report.feed(record);
            self.worth.feed(record);
            let changed = self.feed(record);
            taken.changed.extend(changed);
            if !self.rules.is_empty() {
                self.ask_rules(record, changed.is_some(), &mut taken.hits);
            }
            taken.waiting.extend(waits(record));
        }
        // After the members whom they name.
        for case in &page.cases {
            self.learn(case);
            self.worth.learn(case);
        }
        taken
    }

    /// Takes members in as the state has them, in place of what was kept of them.
    pub fn restore_all(&mut self, members: &[MemberState]) -> Taken {
        let mut taken = Taken::default();
        members.iter().for_each(|member| self.restore(member, &mut taken));
        taken
    }

    /// Asks the rules about the member of a record, whoever they flag because of it.
    fn ask_rules(&mut self, record: &Record, is_linked: bool, hits: &mut Vec<Hit>) {
        let Body::Member { member, .. } = &record.body else { return };
        let Some(who) = self.resident.find(member.as_str()) else { return };
        self.rules.feed(who, record);
        for hit in self.rules.of(&self.resident, who, is_linked, record.envelope.at) {
            self.rules.flag(&hit);
            if hits.len() < HITS_MAX {
                hits.push(hit);
            }
        }
    }

    /// What the rules say, as groups: of those that are live.
    #[must_use]
    pub fn ruled(&self, hits: &[Hit], now: Timestamp) -> Vec<Group> {
        let score = |who: Who| self.scored(who).0.score;
        hits.iter().filter_map(|hit| self.rules.group(&self.resident, hit, score, now)).collect()
    }

    /// Whether a record is the next of its member: logs tell some twice, and may lack some.
    fn follows(&self, member: &MemberId, record: &Record) -> bool {
        let known = self.resident.find(member.as_str()).map_or(0, |who| self.resident.member(who).version);
        record.envelope.again.is_none() && u64::from(known) + 1 == record.envelope.version
    }

    /// Enters a member as the state has them, in place of what was kept.
    fn restore(&mut self, state: &MemberState, taken: &mut Taken) {
        let head = &state.head;
        let resident = &mut self.resident;
        let who = resident.enter(&head.id);
        if !resident.member(who).registered {
            self.arrivals.joined(seconds(head.joined_at));
        }
        resident.register(who, head.joined_at, head.referred_by.as_ref().map(|(by, at)| (by, *at)), &head.links);
        head.cards.iter().for_each(|link| resident.card(who, &link.card, link.from));
        if head.erased {
            resident.erase(who);
        }
        self.rules.restore(who, state);
        let did = resident.member_mut(who);
        did.forget_acts();
        did.version = u32::try_from(head.version).unwrap_or(u32::MAX);
        did.standing = head.standing_now(None);
        let count = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        did.activations = count(head.activations.iter().filter(|step| step.active).count());
        let early = head.activations.iter().filter(|step| step.active);
        let early = early.filter(|step| is_early(&self.launches, &step.offer, seconds(step.at))).count();
        did.early = u8::try_from(early).unwrap_or(u8::MAX);
        did.views =
            head.signals.iter().fold(0, |sum, of| sum.saturating_add(u32::try_from(of.count).unwrap_or(u32::MAX)));
        for placed in &state.purchases {
            let purchase = &placed.purchase;
            did.views = did.views.saturating_add(u32::from(matches!(purchase.occasion, Some(Occasion::Signal { .. }))));
            // How often is not kept: each reward that was used was used at least once.
            let used = purchase.grants.iter().filter(|grant| grant.used_minor > 0).count();
            did.redemptions = did.redemptions.saturating_add(count(used));
            for event in &purchase.events {
                did.bought(event.kind, event.amount, event.sequence, event.occurred_at);
            }
        }
        for total in &head.sealed {
            did.purchases = did.purchases.saturating_add(total.purchases);
            did.spend_minor = did.spend_minor.saturating_add(total.worth_minor);
            did.last = did.last.max(total.last_at.map_or(0, seconds));
        }
        let waits = state.purchases.iter().flat_map(|placed| &placed.purchase.grants).filter(|grant| {
            let over = grant.available_at.is_some_and(|free| free <= grant.earned_at);
            grant.stage == Stage::Posted && grant.amount_minor > 0 && over
        });
        taken.waiting.extend(waits.map(|grant| grant.earned_at).max().map(|at| (head.id.clone(), at)));
        taken.changed.insert(who);
    }

    /// Looks at a member whose links changed and at all who share a strong key with them, unless one of
    /// those was looked at already. Returns the group, when there is one.
    pub fn look(
        &mut self,
        who: Who,
        looked: &mut BTreeSet<Who>,
        policy: &TriagePolicy,
        now: Timestamp,
    ) -> Option<Group> {
        if !looked.insert(self.resident.root(who)) {
            return None;
        }
        let (scores, group) = look(&self.resident, who, &self.arrivals, self.passed.as_deref(), policy, now);
        for (who, scored) in scores {
            if self.live.len() < LIVE_MAX || self.live.contains_key(&who) {
                self.live.insert(who, (scored, now));
            }
        }
        group
    }

    /// A pass is done: what was seen before it is in it.
    pub fn pass(&mut self, passed: Arc<Passed>) {
        self.live.retain(|_, (_, at)| *at > passed.at);
        self.passed = Some(passed);
    }

    /// A member's score, and when it was last seen live.
    #[must_use]
    pub fn scored(&self, who: Who) -> (Scored, Option<Timestamp>) {
        if let Some((scored, at)) = self.live.get(&who) {
            return (scored.clone(), Some(*at));
        }
        let Some(passed) = &self.passed else { return (Scored::default(), None) };
        let quiet = || passed.live_model().map(|model| model.quiet(who));
        (passed.scores.get(&who).cloned().or_else(quiet).unwrap_or_default(), None)
    }

    /// Takes a record in; tells whose links it changed.
    fn feed(&mut self, record: &Record) -> Option<Who> {
        match &record.body {
            Body::Member { member, input, .. } => {
                let changed = self.feed_member(member, input);
                let who = self.resident.enter(member);
                self.resident.member_mut(who).version = u32::try_from(record.envelope.version).unwrap_or(u32::MAX);
                changed
            }
            Body::Case(case) => {
                self.learn(case);
                None
            }
            Body::Rule(rule) => {
                self.rules.set(rule);
                None
            }
            Body::DetectorWithdrawn(withdrawal) => {
                self.resident.withdraw(&withdrawal.detector, withdrawal.version);
                None
            }
            _ => None,
        }
    }

    fn feed_member(&mut self, member: &MemberId, input: &MemberInput) -> Option<Who> {
        let resident = &mut self.resident;
        let who = resident.enter(member);
        match input {
            MemberInput::Registered { joined_at, referred_by, links, .. } => {
                if !resident.member(who).registered {
                    self.arrivals.joined(seconds(*joined_at));
                }
                resident.register(who, *joined_at, referred_by.as_ref().map(|(by, at)| (by, *at)), links);
                return Some(who);
            }
            MemberInput::CardLinked { link, .. } => {
                resident.card(who, &link.card, link.from);
                return Some(who);
            }
            MemberInput::Erased { .. } => resident.erase(who),
            MemberInput::Activated(step) => {
                let did = resident.member_mut(who);
                did.activations = did.activations.saturating_add(u16::from(step.active));
                let early = step.active && is_early(&self.launches, &step.offer, seconds(step.at));
                did.early = did.early.saturating_add(u8::from(early));
            }
            MemberInput::Signalled(_) => {
                let did = resident.member_mut(who);
                did.views = did.views.saturating_add(1);
            }
            MemberInput::Redeemed(_) => {
                let did = resident.member_mut(who);
                did.redemptions = did.redemptions.saturating_add(1);
            }
            MemberInput::StandingSet(step) if step.merchant.is_none() => {
                resident.member_mut(who).standing = step.standing;
            }
            MemberInput::Event(input) => {
                let event = &input.event;
                resident.member_mut(who).bought(event.kind, event.amount, event.sequence, event.occurred_at);
            }
            _ => {}
        }
        None
    }

    /// What people said of a case's members: the last review of each that stands. What the
    /// policy did by itself teaches nothing.
    fn learn(&mut self, case: &Case) {
        for suspect in &case.members {
            let Some(who) = self.resident.find(suspect.member.as_str()) else { continue };
            let of_them = |review: &&Review| review.members.contains(&suspect.member);
            // What another case's review said of them stands.
            if !case.reviews.iter().any(|review| of_them(&review)) {
                continue;
            }
            let said = case.reviews.iter().rev().filter(of_them).find(|review| !review.undone);
            self.resident.member_mut(who).known = match said.map(|review| (review.verdict, &review.merchant)) {
                Some((Verdict::Confirm, None)) => Some(true),
                Some((Verdict::Dismiss, _)) => Some(false),
                _ => None,
            };
        }
    }
}

impl super::resident::Member {
    /// Counts an event of a purchase.
    fn bought(&mut self, kind: EventKind, amount: Option<Money>, sequence: Option<Sequence>, at: Timestamp) {
        let minor = amount.map_or(0, |amount| amount.minor);
        match kind {
            EventKind::Clearing => {
                // Of several clearings of one purchase the first counts.
                let first = sequence.is_none_or(|sequence| sequence.number <= 1);
                self.purchases = self.purchases.saturating_add(u32::from(first));
                self.spend_minor = self.spend_minor.saturating_add(minor);
                (self.first, self.last) = (self.first.min(seconds(at)), self.last.max(seconds(at)));
            }
            EventKind::Refund | EventKind::Chargeback => {
                self.refunds = self.refunds.saturating_add(1);
                self.spend_minor = self.spend_minor.saturating_sub(minor);
            }
            _ => {}
        }
    }
}

fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.as_ms() / 1000).unwrap_or(0)
}

/// Whose rewards wait for nothing but screening after a record, and when it was.
fn waits(record: &Record) -> Option<(MemberId, Timestamp)> {
    let Body::Member { member, changes, .. } = &record.body else { return None };
    let at = record.envelope.at;
    let waits = changes.iter().any(|change| {
        let over = change.grant.available_at.is_some_and(|free| free <= at);
        change.grant.stage == Stage::Posted && change.grant.amount_minor > 0 && over
    });
    waits.then(|| (member.clone(), at))
}
