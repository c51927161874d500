//! Cases in the books: found groups become records, reviews become records, and members follow
//! one by one, by jobs that a restart goes on with. One record of a case at a time.

use super::acts::Named;
use super::again::Job;
use super::{Engine, EngineError};
use crate::cases::origin::Origin;
use crate::cases::report::{Report, reported};
use crate::cases::triage::{Group, TriagePolicy, drawn, triage};
use crate::cases::{
    Case, Chosen, Consequence, Evidence, NotNow, REVIEWS_MAX, Review, Status, Step, Verdict, Withdrawal,
};
use crate::decide::MemberState;
use crate::domain::member::{Balance, Standing, StandingOrigin, StandingStep};
use crate::domain::{MemberId, MerchantId, Timestamp, Unit};
use crate::record::{self, Body, MemberInput, Record, RequestKey};
use crate::store::{Batch, CATALOGUE, Expect, Lease, keys};
use bytes::Bytes;
use compact_str::CompactString;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Members who follow side by side.
const FOLLOWERS_AT_ONCE: usize = 64;
/// Times that a member's standing is tried while another process changes the member.
const FOLLOW_TRIES: u32 = 8;
/// Cases that one look at the list reads at most.
const LOOKED_AT_MAX: usize = 2_000;
/// Members whom a preview of a review looks at.
const SUPPOSED_MAX: usize = 200;
/// Versions of detectors that were ever withdrawn.
const WITHDRAWN_MAX: usize = 10_000;
/// Cases of one member.
const PER_MEMBER_MAX: usize = 100;
/// Steps of a member's standing that are kept: beyond them none is set by itself.
const STANDINGS_MAX: usize = 1_000;

/// Why a case was not changed.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// There is none.
    #[error("there is no such case")]
    Unknown,
    /// The step does not follow from where the case is.
    #[error(transparent)]
    NotNow(#[from] NotNow),
    /// A member is named whom nobody registered.
    #[error("member {0} is not registered; name registered members alone")]
    Stranger(MemberId),
    /// A member is named who is not in it.
    #[error("member {0} is not in this case; name its members alone, or leave `members` out")]
    NotAMember(MemberId),
    /// It has no review that could be taken back.
    #[error("the case has no review that stands")]
    NothingToUndo,
    /// It was reviewed too often.
    #[error("a case takes at most {REVIEWS_MAX} reviews")]
    TooManyReviews,
    /// The request's name was used for another one.
    #[error("this key was used for another request; give a new request a new key")]
    KeyReused,
    /// The engine could not.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What a reviewer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reviewing {
    /// The verdict.
    pub verdict: Verdict,
    /// The whole programme, whatever the case is about.
    pub whole_programme: bool,
    /// For which merchant; `None` is the case's own scope.
    pub merchant: Option<MerchantId>,
    /// Who is meant; nobody named is those whom their own acts tie to the group.
    pub members: Vec<MemberId>,
    /// Why.
    pub reason: String,
    /// Purchases from here on.
    pub since: Timestamp,
    /// What was paid already is asked back.
    pub ask_back: bool,
    /// Who: the id of their key.
    pub by: String,
    /// Whether they saw the score.
    pub score_shown: bool,
}

impl Reviewing {
    /// For which merchant.
    fn scope(&self, case: &Case) -> Option<MerchantId> {
        if self.whole_programme { None } else { self.merchant.clone().or_else(|| case.merchant.clone()) }
    }
    /// Whether it says what somebody else proposed.
    fn seconds(&self, first: &Review, members: &[MemberId], case: &Case) -> bool {
        let Review { verdict, merchant, since, ask_back, .. } = first;
        first.by != self.by
            && (*verdict, *since, *ask_back) == (self.verdict, self.since, self.ask_back)
            && *merchant == self.scope(case)
            && first.members == members
    }
    /// Who is meant, by id.
    fn meant(&self, case: &Case) -> Vec<MemberId> {
        let mut members = if self.members.is_empty() { case.meant() } else { self.members.clone() };
        members.sort();
        members.dedup();
        members
    }
}

/// What a review would do to the money of those it means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Effect {
    /// Members who are meant.
    pub meant: usize,
    /// Those who were looked at: the rest is more than a preview looks at.
    pub looked_at: usize,
    /// Those whose standing would change.
    pub changed: usize,
    /// What they have together now, and would have.
    pub balances: BTreeMap<Unit, (Balance, Balance)>,
    /// Paid already and not asked back: booked as fraud loss, now and then.
    pub lost: BTreeMap<Unit, (i64, i64)>,
}

impl Effect {
    /// What it takes from members, of the currency of which it takes most, minor units.
    #[must_use]
    pub fn takes_minor(&self) -> i64 {
        let has = |had: &Balance| had.pending_minor + had.posted_minor + had.held_minor + had.available_minor;
        let money = self.balances.iter().filter(|(unit, _)| unit.currency().is_some());
        money.map(|(_, (before, after))| has(before) - has(after)).max().unwrap_or(0)
    }
}

/// What a case's members have in one unit that is at stake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stake {
    /// Not available yet.
    pub pending_minor: i64,
    /// Frozen.
    pub held_minor: i64,
    /// May be paid.
    pub available_minor: i64,
    /// Paid.
    pub paid_minor: i64,
}

/// What a case's record puts into the state: the document, where its members find it, and the
/// job of those who follow. The document first.
pub(super) fn batches(record: &Record, case: &Case) -> Vec<Batch> {
    let document = keys::versioned(record.envelope.version, case);
    let hints = case.members.iter().map(|suspect| (keys::case_of(&suspect.member, case.id), Some(Bytes::new())));
    let request = record.envelope.request.as_ref();
    let request = request.map(|request| (keys::request(&request.key), Some(record::encode(request).into())));
    let puts = [(keys::case(case.id), Some(document))].into_iter().chain(hints).chain(request).collect();
    let mut batches = vec![Batch { partition: CATALOGUE, puts, ..Batch::default() }];
    if case.consequences().next().is_some() {
        batches.push(Job::Case { case: case.id }.batch(record));
    }
    batches
}

/// What the withdrawal of a detector's version puts into the state: that it counts for nothing,
/// and the job of taking it out of the cases.
pub(super) fn withdrawal_batch(record: &Record, withdrawal: &Withdrawal) -> Batch {
    let mut batch = Job::Withdraw { withdrawal: withdrawal.clone() }.batch(record);
    batch.puts.push((keys::withdrawn(&withdrawal.detector, withdrawal.version), Some(Bytes::new())));
    batch
}

impl Engine {
    /// A case.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn case(&self, id: u64) -> Result<Option<Case>, EngineError> {
        Ok(self.case_document(id).await?.map(|(_, case)| case))
    }

    async fn case_document(&self, id: u64) -> Result<Option<(u64, Case)>, EngineError> {
        let found = self.keeper().get(CATALOGUE, &keys::case(id)).await?;
        Ok(found.map(|bytes| keys::unversioned(&bytes)).transpose()?)
    }

    /// Cases, newest first, after one of them, that are wanted; and after which to read on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn cases(
        &self,
        after: Option<u64>,
        limit: usize,
        wanted: impl Fn(&Case) -> bool,
    ) -> Result<(Vec<Case>, Option<u64>), EngineError> {
        let mut found: Vec<Case> = Vec::new();
        let mut after = after.map(keys::case);
        for _ in 0..LOOKED_AT_MAX.div_ceil(limit.max(1)) {
            let page = self.keeper().scan(CATALOGUE, &keys::cases(), after.as_deref(), limit).await?;
            for (_, value) in &page {
                let case: Case = keys::unversioned(value)?.1;
                let id = case.id;
                if wanted(&case) {
                    found.push(case);
                }
                after = Some(keys::case(id));
                if found.len() == limit {
                    return Ok((found, Some(id)));
                }
            }
            if page.len() < limit {
                return Ok((found, None));
            }
        }
        let next = after.and_then(|key| keys::case_number(&key));
        Ok((found, next))
    }

    /// Cases that a member is in.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn cases_of(&self, member: &MemberId) -> Result<Vec<Case>, EngineError> {
        let prefix = keys::cases_of(member);
        let hints = self.keeper().scan(CATALOGUE, &prefix, None, PER_MEMBER_MAX).await?;
        let wanted: Vec<_> = hints.iter().filter_map(|(key, _)| keys::case_number(key)).map(keys::case).collect();
        let found = self.keeper().read(CATALOGUE, &wanted).await?;
        found.iter().flatten().map(|value| Ok(keys::unversioned(value)?.1)).collect()
    }

    /// Enters a group that was found: opens a case, or grows one. Returns the cases that changed.
    ///
    /// # Errors
    /// When the journal or the state refuses.
    pub async fn enter_group(self: &Arc<Self>, group: Group, policy: &TriagePolicy) -> Result<Vec<Case>, EngineError> {
        self.enter(group, policy, None).await
    }

    /// Enters a group below the threshold that chance chose, one in so many: opens a case unless there
    /// is one.
    ///
    /// # Errors
    /// When the journal or the state refuses.
    pub async fn enter_drawn(
        self: &Arc<Self>,
        group: Group,
        policy: &TriagePolicy,
        one_in: u32,
    ) -> Result<Vec<Case>, EngineError> {
        self.enter(group, policy, Some(one_in)).await
    }

    async fn enter(
        self: &Arc<Self>,
        mut group: Group,
        policy: &TriagePolicy,
        one_in: Option<u32>,
    ) -> Result<Vec<Case>, EngineError> {
        // The follower may not have read of it yet.
        let withdrawn = self.withdrawn().await?;
        group.evidence.retain(|seen| !withdrawn.contains(&(seen.detector.clone(), seen.version)));
        if one_in.is_none() && !group.is_case(policy) || group.evidence.is_empty() {
            return Ok(Vec::new());
        }
        let _one = self.screening.cases.lock().await;
        let mut known: BTreeMap<u64, Case> = BTreeMap::new();
        for suspect in &group.members {
            known.extend(self.cases_of(&suspect.member).await?.into_iter().map(|case| (case.id, case)));
        }
        let known: Vec<Case> = known.into_values().collect();
        let next = self.next_case().await?;
        let now = self.clock.now();
        let mut changed = match one_in {
            None => triage(group, &known, policy, next, now),
            Some(one_in) => drawn(group, &known, policy, next, now, one_in).into_iter().collect(),
        };
        for case in changed.iter_mut().filter(|case| case.id == next) {
            case.origin.blind = self.is_blind(next);
        }
        let lease = self.screening.lease();
        if self.is_shared() && lease.is_none() {
            // Another process screens by now.
            return Err(EngineError::Contended);
        }
        for case in &changed {
            self.commit_case(case, None, lease).await?;
        }
        Ok(changed)
    }

    /// The number of a new case: newer than the newest, because processes that share a store number their
    /// records each for itself.
    async fn next_case(&self) -> Result<u64, EngineError> {
        let newest = self.keeper().scan(CATALOGUE, &keys::cases(), None, 1).await?;
        let newest = newest.first().and_then(|(key, _)| keys::case_number(key)).unwrap_or(0);
        Ok(self.next_number(CATALOGUE).max(newest + 1))
    }

    /// Records what somebody outside reported: a case is opened, or the one that is there is joined. Nothing
    /// follows by itself.
    ///
    /// # Errors
    /// [`CaseError`].
    pub async fn report(
        self: &Arc<Self>,
        report: Report,
        named: Option<Named>,
        answer: impl FnOnce(&Case) -> String,
    ) -> Result<String, CaseError> {
        let _one = self.screening.cases.lock().await;
        if let Some(kept) = self.first_answer(CATALOGUE, named.as_ref(), || CaseError::KeyReused).await? {
            return Ok(kept);
        }
        let mut known: BTreeMap<u64, Case> = BTreeMap::new();
        for (member, _) in &report.members {
            if self.load(member).await?.is_none() {
                return Err(CaseError::Stranger(member.clone()));
            }
            known.extend(self.cases_of(member).await?.into_iter().map(|case| (case.id, case)));
        }
        let known: Vec<Case> = known.into_values().collect();
        let next = self.next_case().await?;
        let mut case = reported(&report, &known, next, self.clock.now())?;
        if case.id == next {
            case.origin.blind = self.is_blind(next);
        }
        self.commit_answered(case, named, answer).await
    }

    /// Whether a case is judged without its score: drawn by a keyed hash of its number, so that nobody
    /// can tell beforehand and everybody finds the same.
    fn is_blind(&self, id: u64) -> bool {
        let drawn = self.link_hash("blind", &id.to_string()).0;
        u16::from_be_bytes([drawn[0], drawn[1]]) % 100 < u16::from(self.options.blind_percent)
    }

    /// How many cases chance has chosen since an instant, of the newest 2,000.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn drawn_since(&self, since: Timestamp) -> Result<usize, EngineError> {
        let wanted = |case: &Case| case.opened_at >= since && case.origin.one_in.is_some();
        Ok(self.cases(None, LOOKED_AT_MAX, wanted).await?.0.len())
    }

    /// Versions of detectors that count for nothing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn withdrawn(&self) -> Result<BTreeSet<(CompactString, u32)>, EngineError> {
        let found = self.keeper().scan(CATALOGUE, &keys::withdrawals(), None, WITHDRAWN_MAX).await?;
        Ok(found.iter().filter_map(|(key, _)| keys::withdrawn_parts(key)).collect())
    }

    /// Takes a review: one record; the members follow by a job.
    ///
    /// # Errors
    /// [`CaseError`].
    pub async fn review_case(
        self: &Arc<Self>,
        id: u64,
        said: Reviewing,
        named: Option<Named>,
        answer: impl FnOnce(&Case) -> String,
    ) -> Result<String, CaseError> {
        // Before the cases are locked: it looks at members as a preview does.
        let takes_much = self.takes_much(id, &said).await?;
        let _one = self.screening.cases.lock().await;
        if let Some(kept) = self.first_answer(CATALOGUE, named.as_ref(), || CaseError::KeyReused).await? {
            return Ok(kept);
        }
        let mut case = self.case(id).await?.ok_or(CaseError::Unknown)?;
        if case.reviews.len() >= REVIEWS_MAX {
            return Err(CaseError::TooManyReviews);
        }
        if let Some(stranger) = said.members.iter().find(|member| case.suspect(member).is_none()) {
            return Err(CaseError::NotAMember(stranger.clone()));
        }
        let members = said.meant(&case);
        let at = self.clock.now();
        let second = case.proposal().filter(|first| said.seconds(first, &members, &case));
        let proposes = takes_much && second.is_none();
        let mut words = format!("{} members: {}", members.len(), said.reason);
        if let Some(first) = second {
            words = format!("{words} (proposed by {})", first.by);
        }
        case.step(if proposes { Step::Propose } else { said.verdict.step() }, &said.by, words, at)?;
        let by_evidence = || {
            let of = |strongest: &Evidence| (strongest.detector.clone(), strongest.version);
            case.evidence.first().map(of).map_or(Chosen::Report, |(name, version)| Chosen::Detector { name, version })
        };
        // Chance or somebody outside chose it, whatever was found since.
        let chosen = match case.origin {
            Origin { one_in: Some(_), .. } => Chosen::Random,
            Origin { reported: Some(_), .. } => Chosen::Report,
            _ => by_evidence(),
        };
        let score_shown = said.score_shown && !case.hides_score();
        case.reviews.push(Review {
            verdict: said.verdict,
            merchant: said.scope(&case),
            members,
            reason: said.reason,
            since: said.since,
            ask_back: said.ask_back,
            by: said.by,
            at,
            undone: proposes,
            families: case.families().into_iter().map(Into::into).collect(),
            chosen,
            score_shown,
        });
        self.commit_answered(case, named, answer).await
    }

    /// Whether a review takes so much from members that a second reviewer must say the same.
    async fn takes_much(self: &Arc<Self>, id: u64, said: &Reviewing) -> Result<bool, CaseError> {
        let limit = self.options.four_eyes_minor;
        if limit == 0 || said.verdict != Verdict::Confirm {
            return Ok(false);
        }
        let case = self.case(id).await?.ok_or(CaseError::Unknown)?;
        let effect = self.effect_of_review(&case, said).await?;
        // What is not looked at might be any amount.
        Ok(effect.looked_at < effect.meant || effect.takes_minor() >= limit)
    }

    /// What a review would do to the money of those it means, by the decision itself. Nothing
    /// is changed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn effect_of_review(self: &Arc<Self>, case: &Case, said: &Reviewing) -> Result<Effect, EngineError> {
        let (members, merchant) = (said.meant(case), said.scope(case));
        let asked = Consequence {
            origin: StandingOrigin::Review { case: case.id, review: u32::try_from(case.reviews.len()).unwrap_or(0) },
            merchant: merchant.as_ref(),
            standing: said.verdict.standing(),
            since: said.since,
            until: None,
            ask_back: said.ask_back,
            at: self.clock.now(),
            undone: false,
            members: &members,
        };
        let looked_at = &members[..members.len().min(SUPPOSED_MAX)];
        let mut effect = Effect { meant: members.len(), looked_at: looked_at.len(), ..Effect::default() };
        for member in looked_at {
            if self.load(member).await?.is_none() {
                continue;
            }
            let mut turn = self.turn(member).await?;
            turn.suppose(self.catalogue());
            effect.add(&turn.member, false);
            if let Some(step) = step_of(&turn.member, &asked, turn.now()) {
                turn.step(MemberInput::StandingSet(step), None).await?;
                effect.changed += 1;
            }
            effect.add(&turn.member, true);
        }
        effect.balances.retain(|_, both| *both != (Balance::default(), Balance::default()));
        effect.lost.retain(|_, both| *both != (0, 0));
        Ok(effect)
    }

    /// Takes the last review back: its label is withdrawn and its members stand as before it.
    ///
    /// # Errors
    /// [`CaseError`].
    pub async fn undo_review(
        self: &Arc<Self>,
        id: u64,
        by: &str,
        reason: &str,
        named: Option<Named>,
        answer: impl FnOnce(&Case) -> String,
    ) -> Result<String, CaseError> {
        let _one = self.screening.cases.lock().await;
        if let Some(kept) = self.first_answer(CATALOGUE, named.as_ref(), || CaseError::KeyReused).await? {
            return Ok(kept);
        }
        let mut case = self.case(id).await?.ok_or(CaseError::Unknown)?;
        let (place, review) = case.last_review().ok_or(CaseError::NothingToUndo)?;
        let words = format!("the review by {} is taken back: {reason}", review.by);
        case.step(Step::Undo, by, words, self.clock.now())?;
        case.reviews[place].undone = true;
        self.commit_answered(case, named, answer).await
    }

    /// Records a member's objection, which reopens the case.
    ///
    /// # Errors
    /// [`CaseError`].
    pub async fn object(
        self: &Arc<Self>,
        id: u64,
        member: &MemberId,
        by: &str,
        reason: &str,
        named: Option<Named>,
        answer: impl FnOnce(&Case) -> String,
    ) -> Result<String, CaseError> {
        let _one = self.screening.cases.lock().await;
        if let Some(kept) = self.first_answer(CATALOGUE, named.as_ref(), || CaseError::KeyReused).await? {
            return Ok(kept);
        }
        let mut case = self.case(id).await?.ok_or(CaseError::Unknown)?;
        if case.suspect(member).is_none() {
            return Err(CaseError::NotAMember(member.clone()));
        }
        case.step(Step::Object, by, format!("member {member} objects: {reason}"), self.clock.now())?;
        self.commit_answered(case, named, answer).await
    }

    async fn commit_answered(
        self: &Arc<Self>,
        case: Case,
        named: Option<Named>,
        answer: impl FnOnce(&Case) -> String,
    ) -> Result<String, CaseError> {
        let answer = answer(&case);
        let request = named.map(|named| named.answered(self.clock.now(), answer.clone()));
        self.commit_case(&case, request, None).await?;
        Ok(answer)
    }

    /// Withdraws a detector's version: from here on it counts for nothing, and by a job its evidence
    /// leaves every case, with what the policy did on it.
    ///
    /// # Errors
    /// When the journal or the state refuses.
    pub async fn withdraw_detector(self: &Arc<Self>, withdrawal: Withdrawal) -> Result<(), EngineError> {
        let record = self.catalogue_record(Body::DetectorWithdrawn(Box::new(withdrawal.clone())), 0);
        let batch = withdrawal_batch(&record, &withdrawal);
        self.commit_apart(record, vec![batch]).await?;
        self.jobs_left.notify_one();
        Ok(())
    }

    /// Takes a withdrawn version's evidence out of every case. Done twice it changes nothing.
    ///
    /// # Errors
    /// When the journal or the state refuses; the job stays.
    pub async fn withdraw_from_cases(self: &Arc<Self>, withdrawal: &Withdrawal) -> Result<(), EngineError> {
        let Withdrawal { detector, version, by, reason, .. } = withdrawal;
        let mut after = None;
        loop {
            let rests = |case: &Case| case.status != Status::Merged && case.rests_on(detector, *version);
            let (found, next) = self.cases(after, FOLLOWERS_AT_ONCE, rests).await?;
            for id in found.iter().map(|case| case.id) {
                let _one = self.screening.cases.lock().await;
                // As it is now: it may have grown meanwhile.
                let Some(mut case) = self.case(id).await?.filter(rests) else { continue };
                if case.withdraw(detector, *version, by, reason, self.clock.now()).is_ok() {
                    self.commit_case(&case, None, None).await?;
                }
            }
            after = next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Called with the cases' lock held: the version cannot move, unless another process moves it.
    async fn commit_case(
        self: &Arc<Self>,
        case: &Case,
        request: Option<RequestKey>,
        lease: Option<Lease>,
    ) -> Result<(), EngineError> {
        let has = self.case_document(case.id).await?.map_or(0, |(version, _)| version);
        let mut record = self.catalogue_record(Body::Case(Box::new(case.clone())), has + 1);
        record.envelope.request = request;
        let mut batches = batches(&record, case);
        batches[0].expects.push(Expect { key: keys::case(case.id), version: has });
        batches[0].lease = lease;
        let leaves_job = batches.len() > 1;
        self.commit_apart(record, batches).await?;
        self.screening.case_changed(case.id);
        if leaves_job {
            self.jobs_left.notify_one();
        }
        Ok(())
    }

    /// Gives a case's members the standings that its reviews and the policy ask for. Done twice
    /// it changes nothing.
    ///
    /// # Errors
    /// When the journal or the state refuses; the job stays.
    pub async fn follow_case(self: &Arc<Self>, id: u64) -> Result<(), EngineError> {
        let Some(case) = self.case(id).await? else { return Ok(()) };
        for asked in case.consequences() {
            for some in asked.members.chunks(FOLLOWERS_AT_ONCE) {
                let following = some.iter().map(|member| self.follow(member, &asked));
                for done in futures_util::future::join_all(following).await {
                    done?;
                }
            }
        }
        Ok(())
    }

    async fn follow(self: &Arc<Self>, member: &MemberId, asked: &Consequence<'_>) -> Result<(), EngineError> {
        let Some(state) = self.load(member).await? else { return Ok(()) };
        if step_of(&state, asked, self.clock.now()).is_none() {
            return Ok(());
        }
        for tried in 1.. {
            let mut turn = self.turn(member).await?;
            let Some(step) = step_of(&turn.member, asked, turn.now()) else { break };
            turn.step(MemberInput::StandingSet(step), None).await?;
            match turn.commit().await {
                // Another process was faster: they are buying just now.
                Err(EngineError::Contended) if self.is_shared() && tried < FOLLOW_TRIES => {
                    self.refresh_mark(self.partition(member)).await?;
                }
                done => return done.map(drop),
            }
        }
        Ok(())
    }
}

/// How many of a case's members have followed what its reviews and the policy ask of them, and how many are
/// asked: of those who were read. `O(members × what is asked)`.
#[must_use]
pub fn followed(case: &Case, members: &[Arc<MemberState>], now: Timestamp) -> (usize, usize) {
    let known: BTreeMap<&MemberId, &MemberState> =
        members.iter().map(|member| (&member.head.id, member.as_ref())).collect();
    let mut asked: BTreeMap<&MemberId, bool> = BTreeMap::new();
    for consequence in case.consequences() {
        for (id, state) in consequence.members.iter().filter_map(|id| Some((id, *known.get(id)?))) {
            *asked.entry(id).or_insert(true) &= step_of(state, &consequence, now).is_none();
        }
    }
    (asked.values().filter(|done| **done).count(), asked.len())
}

/// What members have that is at stake, by unit.
#[must_use]
pub fn stake<'a>(members: impl IntoIterator<Item = &'a Arc<MemberState>>) -> BTreeMap<Unit, Stake> {
    let mut stakes: BTreeMap<Unit, Stake> = BTreeMap::new();
    for (unit, balance) in members.into_iter().flat_map(|member| &member.head.balances) {
        let stake = stakes.entry(*unit).or_default();
        stake.pending_minor += balance.pending_minor + balance.posted_minor;
        stake.held_minor += balance.held_minor;
        stake.available_minor += balance.available_minor;
        stake.paid_minor += balance.paid_minor;
    }
    stakes.retain(|_, stake| *stake != Stake::default());
    stakes
}

impl Effect {
    /// Adds what a member has, before the review or after it.
    fn add(&mut self, member: &MemberState, after: bool) {
        for (unit, balance) in &member.head.balances {
            let both = self.balances.entry(*unit).or_default();
            let sum = if after { &mut both.1 } else { &mut both.0 };
            sum.pending_minor += balance.pending_minor;
            sum.posted_minor += balance.posted_minor;
            sum.held_minor += balance.held_minor;
            sum.available_minor += balance.available_minor;
            sum.paid_minor += balance.paid_minor;
            sum.owed_minor += balance.owed_minor;
        }
        for grant in member.purchases.iter().flat_map(|placed| &placed.purchase.grants).filter(|grant| grant.lost) {
            let both = self.lost.entry(grant.unit).or_default();
            *(if after { &mut both.1 } else { &mut both.0 }) += grant.excess_minor();
        }
    }
}

/// The step that a consequence asks of a member; `None` when they stand so already, or somebody
/// has said otherwise since.
fn step_of(member: &MemberState, asked: &Consequence<'_>, now: Timestamp) -> Option<StandingStep> {
    let steps: Vec<&StandingStep> =
        member.head.standings.iter().filter(|step| step.merchant.as_ref() == asked.merchant).collect();
    if member.head.standings.len() >= STANDINGS_MAX {
        return None;
    }
    let newest = steps.iter().copied().max_by_key(|step| (step.set_at, step.standing));
    let stands = newest.map_or(Standing::Clear, |step| step.standing);
    let done =
        |origin: StandingOrigin, at: Timestamp| steps.iter().any(|step| step.origin == origin && step.set_at >= at);
    // Steps of one instant would be taken by their strictness.
    let set_at = newest.map_or(now, |step| now.max(step.set_at.plus_ms(1)));
    let step = |standing, since, until, ask_back, origin| StandingStep {
        merchant: asked.merchant.cloned(),
        standing,
        since,
        set_at,
        ask_back,
        until,
        origin,
    };
    if asked.undone {
        let origin = match asked.origin {
            StandingOrigin::Review { case, review } => StandingOrigin::Undone { case, review },
            StandingOrigin::Policy { case } => StandingOrigin::Withdrawn { case },
            _ => return None,
        };
        // Only what this review set is taken back.
        newest.filter(|step| step.origin == asked.origin)?;
        let before = steps.iter().copied().filter(|step| step.origin != asked.origin).max_by_key(|step| step.set_at);
        return Some(match before {
            Some(before) => step(before.standing, before.since, before.until, before.ask_back, origin),
            None => step(Standing::Clear, asked.since, None, false, origin),
        });
    }
    if done(asked.origin, asked.at) {
        return None;
    }
    let wanted = match asked.origin {
        // Policy only raises.
        StandingOrigin::Policy { .. } => stands < asked.standing,
        _ => stands != asked.standing || newest.is_some_and(|step| step.since != asked.since),
    };
    // A later word of somebody else stands; those of one case come in their order.
    let overtaken = newest.is_some_and(|step| step.set_at > asked.at && step.origin.case() != asked.origin.case());
    (wanted && !overtaken).then(|| step(asked.standing, asked.since, asked.until, asked.ask_back, asked.origin))
}
