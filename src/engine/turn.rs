//! A turn: one member's state, held alone, while inputs are decided and committed.
//!
//! Several inputs may be decided in one turn; their records go into one frame of the
//! journal and one batch of the state. Nothing is visible to others before the commit,
//! and a turn that is dropped has had no effect.

use super::again::{Job, tells};
use super::answer::{Taken, answering, rewards};
use super::budgets::{Budget, Crossed, Reserved};
use super::pages::{Base, put_purchases};
use super::rounds::Decision;
use super::{Engine, EngineError, referral};
use crate::catalogue::Catalogue;
use crate::decide::Policy;
use crate::decide::exchange::expired;
use crate::decide::judge::{Raise, Raises};
use crate::decide::member::Placed;
use crate::decide::referral::key;
use crate::decide::{
    Entry, GrantChange, Judged, MemberState, Scope, Touched, apply_changes, apply_input, concerned, judge, settle,
    worth,
};
use crate::domain::member::MemberHead;
use crate::domain::purchase::{AnswerLine, Grant, SIGNAL, Stage, entry_key};
use crate::domain::time::DAY_MS;
use crate::domain::{CardHash, Code, MemberId, MerchantId, OfferId, PurchaseKey, Timestamp};
use crate::ledger::{AccountKind, Owner};
use crate::record::{self, Body, Envelope, MemberInput, Record, RequestKey};
use crate::store::keys::{self, CardClaim, Identity};
use crate::store::{Batch, Expect, Keeper, Lease, Partition};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{OwnedMutexGuard, OwnedRwLockReadGuard};

/// Rounds of reserving before a purchase is left with what it has: each answers at
/// least one purchase for good, and few members have more than a handful concerned.
const RESERVE_ROUNDS_MAX: usize = 64;

/// What a step decided, for the caller to answer with.
#[derive(Debug, Clone)]
pub struct Decided {
    /// All purchases judged.
    pub judged: Vec<Judged>,
    /// Whether anything changed in the books.
    pub changed: bool,
    /// The purchases that answer for the step's event, its own first.
    pub purchases: Vec<PurchaseKey>,
    /// Their rewards.
    pub answer: Vec<AnswerLine>,
}

/// See the module. Boxed, because it passes through several hands.
pub struct Turn {
    engine: Arc<Engine>,
    _guard: OwnedMutexGuard<()>,
    _gate: OwnedRwLockReadGuard<()>,
    partition: Partition,
    /// The state as decided so far in this turn.
    pub member: MemberState,
    base: Base,
    catalogue: Arc<Catalogue>,
    records: Vec<Record>,
    touched: Touched,
    removed: Vec<Vec<u8>>,
    /// Purchases that the index does not know yet.
    unindexed: Vec<PurchaseKey>,
    /// Days on which the member's agenda is to be looked at, besides those of touched purchases.
    scheduled: Vec<u32>,
    reserved: Vec<Reserved>,
    /// What there was to tell of the member's referral before the first step.
    told: Option<referral::Before>,
    /// The commit leaves jobs that nobody waits for.
    leaves_jobs: bool,
    now: Timestamp,
    /// Decides what would be, not what is.
    supposed: bool,
    /// Offers again what a shared store forgot.
    repairs: Option<u64>,
    /// Work that one process of a shared store does alone.
    lease: Option<Lease>,
    /// Jobs to be left with the commit.
    left: Vec<Job>,
}

impl Engine {
    /// Takes the member's turn; waits while another has it. A member nobody registered
    /// starts empty with version 0.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn turn(self: &Arc<Self>, member: &MemberId) -> Result<Box<Turn>, EngineError> {
        self.turn_on(member, self.shared().is_some()).await
    }

    /// As [`Engine::turn`], on the state as this process last saw it: what others committed
    /// since is found when the turn is committed, which then fails as contended.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn quick_turn(self: &Arc<Self>, member: &MemberId) -> Result<Box<Turn>, EngineError> {
        self.turn_on(member, false).await
    }

    async fn turn_on(self: &Arc<Self>, member: &MemberId, anew: bool) -> Result<Box<Turn>, EngineError> {
        let guard = Arc::clone(self.stripe(member.as_str().as_bytes())).lock_owned().await;
        let gate = Arc::clone(&self.gate).read_owned().await;
        let now = self.clock.now();
        if anew {
            self.members.remove(member);
        }
        let state = match self.load_held(member).await? {
            Some(state) => state.as_ref().clone(),
            None => MemberState::new(MemberHead::new(member.clone(), now)),
        };
        Ok(Box::new(Turn {
            engine: Arc::clone(self),
            _guard: guard,
            _gate: gate,
            partition: self.partition(member),
            base: Base::of(&state, self.shared().is_some()),
            member: state,
            catalogue: self.catalogue(),
            records: Vec::new(),
            touched: Touched::default(),
            removed: Vec::new(),
            unindexed: Vec::new(),
            scheduled: Vec::new(),
            reserved: Vec::new(),
            told: None,
            leaves_jobs: false,
            now,
            supposed: false,
            repairs: None,
            lease: None,
            left: Vec::new(),
        }))
    }
}

impl Turn {
    /// The member.
    #[must_use]
    pub fn id(&self) -> &MemberId {
        &self.member.head.id
    }
    /// Whether anybody registered the member before this turn.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.base.version > 0 || !self.records.is_empty()
    }
    pub(super) fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.engine)
    }
    pub(super) fn partition(&self) -> Partition {
        self.partition
    }
    /// Offers again what a record said, and commits although the partition is being proved: it
    /// is this turn that proves it.
    pub(super) fn repair(&mut self, record: u64) {
        self.repairs = Some(record);
    }
    /// Commits only while this process has a lease.
    pub(super) fn under(&mut self, lease: Option<Lease>) {
        self.lease = lease;
    }
    /// Leaves a job with the commit.
    pub(super) fn leave(&mut self, job: Job) {
        self.left.push(job);
    }
    pub(super) fn envelopes(&self) -> impl Iterator<Item = &Envelope> {
        self.records.iter().map(|record| &record.envelope)
    }
    /// The time of this turn.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }
    /// The catalogue this turn reads.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }
    /// Decides under another catalogue from here on: what would be if it were ours. A turn
    /// that does must not be committed.
    pub fn suppose(&mut self, catalogue: Arc<Catalogue>) {
        self.catalogue = catalogue;
        self.supposed = true;
    }
    /// Number the next record of this turn will have had; makes the nonce of sealed fields.
    #[must_use]
    pub fn next_reference(&self) -> crate::domain::member::RecordRef {
        // Reserved for sealing: a number of its own, so that a nonce is never used twice.
        crate::domain::member::RecordRef {
            process: self.engine.journal.process(),
            number: self.engine.next_number(self.partition),
        }
    }
    /// The latest daily mark that counts for this member.
    #[must_use]
    pub fn mark(&self) -> Timestamp {
        self.engine.mark(self.partition).max(self.member.head.mark)
    }
    /// The identity of an event of a card, if it came before: from its purchase, or as it
    /// was kept when that was sealed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn identity(
        &self,
        card: CardHash,
        event: &crate::domain::EventKey,
    ) -> Result<Option<Identity>, EngineError> {
        for placed in &self.member.purchases {
            let purchase = &placed.purchase;
            if let Some(held) = purchase.events.iter().find(|held| held.card == card && held.key == *event) {
                return Ok(Some(Identity { content: held.content, purchase: purchase.key.clone() }));
            }
        }
        if !self.member.head.outlived {
            return Ok(None);
        }
        let found = self.engine.keeper().get(self.partition, &keys::identity(self.id(), card, event)).await?;
        Ok(found.map(|bytes| record::decode(&bytes)).transpose()?)
    }

    /// Has the commit enter a purchase in the index of purchases.
    pub fn index_with_commit(&mut self, purchase: PurchaseKey) {
        self.unindexed.push(purchase);
    }

    /// Decides one input: applies it, judges what it concerns, reserves from budgets,
    /// settles, and keeps the record for the commit.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn step(&mut self, input: MemberInput, request: Option<RequestKey>) -> Result<Decided, EngineError> {
        self.step_at(input, request, self.mark()).await
    }

    /// As [`Turn::step`], for points spent on an offer: with what it gives, which nothing
    /// decides again.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn step_giving(
        &mut self,
        input: MemberInput,
        request: Option<RequestKey>,
        given: Option<GrantChange>,
    ) -> Result<Decided, EngineError> {
        self.step_with(input, request, self.mark(), given).await
    }

    /// Reserves from an offer's budgets until the turn ends. What it says is less than was
    /// asked for when they have no more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn reserve(&mut self, offer: &OfferId, minor: i64) -> Result<Raise, EngineError> {
        let budget = self.budget_of(offer);
        if budget == Budget::NONE {
            return Ok(Raise { minor, day_spent: false });
        }
        let day = self.now.day();
        let reserved = self.engine.reserve(offer, minor, budget, day).await?;
        let raise = Raise { minor: reserved.minor, day_spent: reserved.day_spent };
        self.reserved.push(reserved);
        Ok(raise)
    }

    /// As [`Turn::step`], under a mark that is being made.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn step_at(
        &mut self,
        input: MemberInput,
        request: Option<RequestKey>,
        mark: Timestamp,
    ) -> Result<Decided, EngineError> {
        self.step_with(input, request, mark, None).await
    }

    async fn step_with(
        &mut self,
        mut input: MemberInput,
        request: Option<RequestKey>,
        mark: Timestamp,
        given: Option<GrantChange>,
    ) -> Result<Decided, EngineError> {
        let own = match &input {
            MemberInput::Event(event) => Some(event.purchase.clone()),
            MemberInput::Rematched(rematch) => Some(rematch.purchase.clone()),
            _ => None,
        };
        let before = own.as_ref().and_then(|key| self.member.before(key));
        let lapse = &self.engine.policy.lapse;
        if self.told.is_none() {
            self.told = Some(referral::Before::of(&self.member, &self.catalogue, lapse));
        }
        let taken = Taken::before(&self.member, &input, before.as_ref(), mark, lapse);
        apply_input(&mut self.member, &input, &mut self.touched);
        if matches!(input, MemberInput::Registered { .. }) {
            self.member.profiles = self.engine.keys.open_profiles(self.partition, &self.member)?;
        }
        let (from, merchants) = concerned(&self.member, &input, before);
        let scope = Scope { from, merchants: merchants.as_deref(), own: own.as_ref() };
        let judged = self.judge_with_budgets(&scope, mark).await?;
        let envelope = self.envelope(request, mark);
        let entry = Entry::of(&self.member.head, envelope.number, self.now, mark, self.engine.policy.screened);
        let mut changes = settle(&self.member, &judged, &entry);
        changes.extend(expired(&self.member, mark, envelope.number));
        changes.extend(given.map(|mut change| {
            change.grant.record = envelope.number;
            change
        }));
        let lapse = &self.engine.policy.lapse;
        let purchases = own.map_or_else(Vec::new, |own| answering(&self.member, own, taken.as_ref(), mark, lapse));
        let rewards_of = |key| rewards(&self.member, key, &judged, &changes);
        let answer: Vec<AnswerLine> = purchases.iter().flat_map(rewards_of).collect();
        if let MemberInput::Event(event) = &mut input {
            event.event.answer.clone_from(&answer);
            self.keep_answer(&event.purchase, &event.event.key, &answer);
        }
        apply_changes(&mut self.member, &envelope, &changes, &mut self.touched);
        for (_, balance) in &self.member.head.balances {
            assert!(crate::ledger::is_sound(balance), "a balance went below zero: {balance:?}");
        }
        let changed = !changes.is_empty();
        let body = Body::Member { member: self.id().clone(), input: Box::new(input), changes };
        self.records.push(Record { envelope, body });
        Ok(Decided { judged, changed, purchases, answer })
    }

    async fn judge_with_budgets(&mut self, scope: &Scope<'_>, mark: Timestamp) -> Result<Vec<Judged>, EngineError> {
        let mut raises = Raises::new();
        for _ in 0..RESERVE_ROUNDS_MAX {
            let book = self.catalogue.as_ref();
            let (judged, asks) = judge(&self.member, scope, book, &self.engine.policy, mark, &raises);
            if asks.is_empty() {
                return Ok(judged);
            }
            for ask in asks {
                let raise = self.reserve(&ask.offer, ask.minor).await?;
                raises.insert((ask.purchase, ask.offer), raise);
            }
        }
        // Whoever still asks gets nothing more this time; the next event asks again.
        let book = self.catalogue.as_ref();
        let (_, asks) = judge(&self.member, scope, book, &self.engine.policy, mark, &raises);
        raises.extend(asks.into_iter().map(|ask| ((ask.purchase, ask.offer), Raise::default())));
        Ok(judge(&self.member, scope, book, &self.engine.policy, mark, &raises).0)
    }

    fn budget_of(&self, offer: &OfferId) -> Budget {
        self.catalogue.offer(offer).map_or(Budget::NONE, |offer| Budget::in_force(offer))
    }

    fn envelope(&self, request: Option<RequestKey>, mark: Timestamp) -> Envelope {
        Envelope {
            process: self.engine.journal.process(),
            partition: self.partition,
            number: self.engine.next_number(self.partition),
            epoch: self.engine.epoch(self.partition),
            again: self.repairs,
            at: self.now,
            previous: self.member.head.last,
            version: self.member.head.version + 1,
            catalogue: self.catalogue.revision(),
            mark,
            request,
        }
    }

    fn keep_answer(&mut self, purchase: &PurchaseKey, event: &crate::domain::EventKey, answer: &[AnswerLine]) {
        let Some(at) = self.member.find(purchase) else { return };
        let purchase = Arc::make_mut(&mut self.member.purchases[at].purchase);
        if let Some(kept) = purchase.events.iter_mut().find(|kept| &kept.key == event) {
            kept.answer = answer.to_vec();
        }
    }

    /// Also removes these keys of the member's partition with the commit (past agenda entries).
    pub fn remove_with_commit(&mut self, keys: Vec<Vec<u8>>) {
        self.removed.extend(keys);
    }

    /// Enters the member in the agenda for what the purchases bring after a mark.
    pub fn schedule(&mut self, mark: Timestamp) {
        let due = self.engine.due();
        let screened = self.member.head.screened;
        let days = self.member.purchases.iter().filter_map(|placed| due.next_day(placed, mark, screened));
        self.scheduled = days.collect();
        self.scheduled.sort_unstable();
        self.scheduled.dedup();
    }

    /// What this turn leaves to be told of the member's referral.
    #[must_use]
    pub fn news(&self) -> Vec<Job> {
        let Some(before) = self.told.clone() else { return Vec::new() };
        let now = referral::Before::of(&self.member, &self.catalogue, &self.engine.policy.lapse);
        before.jobs(now, self.id())
    }

    /// Drops what was decided when it turned out to change nothing.
    pub fn forget_steps(&mut self) {
        self.records.clear();
    }

    /// Journals and applies everything decided in this turn, then lets others in. Goes on
    /// even when the caller is dropped, because a record on disk must reach the state.
    ///
    /// # Errors
    /// When the journal or the state refuses; then nothing of this turn has any effect.
    pub async fn commit(mut self: Box<Self>) -> Result<Arc<MemberState>, EngineError> {
        assert!(!self.supposed, "a supposition is never committed");
        let engine = Arc::clone(&self.engine);
        if self.repairs.is_none() {
            engine.check_proved(self.partition)?;
        }
        let news = self.news();
        let empty = MemberState::new(MemberHead::new(self.id().clone(), self.now));
        let member = Arc::new(std::mem::replace(&mut self.member, empty));
        let removed = std::mem::take(&mut self.removed).into_iter().map(|key| (key, None));
        let days = self.scheduled.iter().map(|day| (keys::agenda(*day, &member.head.id), Some(Bytes::new())));
        if self.records.is_empty() {
            // The agenda alone: nothing to journal, and nothing lost if it is forgotten.
            let puts = removed.chain(days).collect();
            engine.keeper().commit(Batch { partition: self.partition, puts, ..Batch::default() }).await?;
            return Ok(member);
        }
        let mut batches = Vec::new();
        for record in &self.records {
            let input = if let Body::Member { input, .. } = &record.body { Some(input.as_ref()) } else { None };
            if let Some(MemberInput::CardLinked { link, .. }) = input {
                engine.linked.enter(link.card);
            }
            if !matches!(input, Some(MemberInput::Event(_))) {
                batches.extend(hints(engine.keeper(), engine.partitions(), &engine.processes(), record).await?);
            }
            // A budget learnt after this commit would count it twice.
            for (offer, _) in granted_changes(record).filter(|_| engine.shared().is_none()) {
                engine.learn_budget(offer, self.now.day()).await?;
            }
        }
        let index = self.unindexed.iter().map(|purchase| owner_hint(engine.partitions(), purchase, &member.head.id));
        batches.extend(index);
        batches.extend(news.iter().chain(&self.left).map(|job| job.batch(&self.records[0])));
        self.leaves_jobs = batches.iter().any(tells);
        let (records, touched) = (&self.records, &self.touched);
        let mut batch = member_batch(&member, self.base, records, touched, self.partition, &engine.due());
        batch.puts.extend(removed.chain(days));
        let records: Vec<Vec<u8>> = self.records.iter().map(record::encode).collect();
        engine.finish_batch(&mut batch, &member, &self.records, &records);
        batch.lease = self.lease;
        batches.push(batch);
        engine.commit_in_a_round(Decision { turn: self, member, records, batches }).await
    }

    /// Makes what was committed count, before others have the member's turn.
    pub(super) fn count(&self, member: &Arc<MemberState>) {
        // Counted before the reservations end with the turn, so that no other turn sees
        // the budget with neither.
        for (offer, by) in self.records.iter().flat_map(granted_changes) {
            for crossed in self.engine.granted(offer, by, self.budget_of(offer), self.now.day()) {
                self.engine.tell_of_budget(offer, crossed);
            }
        }
        for record in &self.records {
            if let Body::Member { input, .. } = &record.body {
                self.engine.holders.forget_changed(input);
            }
        }
        self.engine.members.insert(member.head.id.clone(), Arc::clone(member));
        if self.leaves_jobs {
            self.engine.jobs_left.notify_one();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        for reserved in &self.reserved {
            self.engine.end_reservation(reserved);
        }
    }
}

/// By how much each change of a record raises or lowers what is granted under its offer.
pub(super) fn granted_changes(record: &Record) -> impl Iterator<Item = (&OfferId, i64)> {
    let changes = match &record.body {
        Body::Member { changes, .. } => changes.as_slice(),
        _ => &[],
    };
    // What the accounts that fund it move is what the grant moved.
    let moved = |legs: &crate::ledger::Legs| {
        let of = |kind: AccountKind| if kind.funds() { legs.minor } else { 0 };
        of(legs.debit) - of(legs.credit)
    };
    let each = changes.iter().map(move |change| (&change.grant.offer, change.transfers.iter().map(moved).sum()));
    each.filter(|(_, by)| *by != 0)
}

impl Engine {
    /// Sums what the state counts under an offer, once a day, if it has a budget.
    pub(super) async fn learn_budget(&self, offer: &OfferId, day: u32) -> Result<(), EngineError> {
        if !self.has_budget(offer) || self.budgets.knows(offer, day) {
            return Ok(());
        }
        let granted = self.counted(&keys::granted(offer)).await?;
        let raised = self.counted(&keys::raised(day, offer)).await?;
        self.budgets.learn(offer, granted, day, raised);
        Ok(())
    }

    /// What the state counts under a key, in all.
    pub(super) async fn counted(&self, key: &[u8]) -> Result<i64, EngineError> {
        let mut sum = 0;
        for partition in self.counting_partitions() {
            sum += keys::counter(self.keeper().get(partition, key).await?.as_ref());
        }
        Ok(sum)
    }

    /// Tells operators that an offer's budget has come to one of the shares they are warned of.
    pub(super) fn tell_of_budget(&self, offer: &OfferId, crossed: Crossed) {
        let Crossed { of_day, share } = crossed;
        self.metrics.budget_used(of_day, share);
        let budget = if of_day { "day" } else { "whole" };
        tracing::warn!(offer = %offer, budget, percent = share.as_str(), "an offer's budget is used so far");
    }

    /// Who holds or held a card, as the index remembers.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn card_claims(&self, card: CardHash) -> Result<Vec<CardClaim>, EngineError> {
        claims_of(self.keeper(), self.partitions(), card).await
    }

    /// Whose purchase it is, as the index remembers.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn purchase_owner(&self, purchase: &PurchaseKey) -> Result<Option<MemberId>, EngineError> {
        owner_of(self.keeper(), self.partitions(), purchase).await
    }
}

async fn owner_of(
    keeper: &dyn Keeper,
    partitions: u16,
    purchase: &PurchaseKey,
) -> Result<Option<MemberId>, EngineError> {
    let owner = keys::purchase_owner(purchase);
    let partition = keys::partition_of(&owner, partitions);
    let found = keeper.get(partition, &owner).await?;
    Ok(found.and_then(|bytes| MemberId::new(std::str::from_utf8(&bytes).ok()?).ok()))
}

/// Enters a purchase in the index.
fn owner_hint(partitions: u16, purchase: &PurchaseKey, member: &MemberId) -> Batch {
    let owner = keys::purchase_owner(purchase);
    let partition = keys::partition_of(&owner, partitions);
    let value = Bytes::copy_from_slice(member.as_str().as_bytes());
    Batch { partition, puts: vec![(owner, Some(value))], ..Batch::default() }
}

/// The hints a record makes, in other partitions than the member's.
pub(super) async fn hints(
    keeper: &dyn Keeper,
    partitions: u16,
    processes: &[u32],
    record: &Record,
) -> Result<Vec<Batch>, EngineError> {
    let Body::Member { member, input, .. } = &record.body else { return Ok(Vec::new()) };
    let index = CardIndex { partitions, shared: !processes.is_empty() };
    match input.as_ref() {
        MemberInput::CardLinked { link, replaces, .. } => {
            let mut batches = Vec::new();
            if let Some(old) = replaces {
                batches.push(claim(keeper, index, *old, member, None, Some(link.from)).await?);
            }
            batches.push(claim(keeper, index, link.card, member, Some(link.from), None).await?);
            // Dated into the past: what was seen of it since then is looked for.
            if link.from < record.envelope.at {
                let jobs = Job::card(link.card, link.from).spread(processes);
                batches.extend(jobs.iter().map(|job| job.batch(record)));
            }
            Ok(batches)
        }
        MemberInput::CardUnlinked { card, at } => Ok(vec![claim(keeper, index, *card, member, None, Some(*at)).await?]),
        MemberInput::Event(input) => {
            let known = owner_of(keeper, partitions, &input.purchase).await?.is_some();
            Ok(if known { Vec::new() } else { vec![owner_hint(partitions, &input.purchase, member)] })
        }
        input => {
            let mut batches = referral::hints(keeper, partitions, record, member, input).await?;
            if let Some((entry, anew)) = opens(input)
                && (anew || owner_of(keeper, partitions, &entry).await?.is_none())
            {
                batches.push(owner_hint(partitions, &entry, member));
            }
            Ok(batches)
        }
    }
}

/// The entry that is no purchase which an input opens, so that it is found as purchases are;
/// and whether that is so however it was found before: a referral may have another referrer.
fn opens(input: &MemberInput) -> Option<(PurchaseKey, bool)> {
    match input {
        MemberInput::Signalled(signal) if signal.entry => Some((entry_key(SIGNAL, signal.id.clone()), false)),
        MemberInput::ReferralTold(told) => Some((key(&told.offer, &told.referred), told.qualified.is_some())),
        MemberInput::Redeemed(redemption) => Some((redemption.exchange.as_ref()?.entry.clone(), false)),
        _ => None,
    }
}

/// Where cards' holders are kept.
#[derive(Clone, Copy)]
struct CardIndex {
    partitions: u16,
    /// Other processes may change it too.
    shared: bool,
}

/// A change of a card's holders: begins (`from`) or ends (`to`) the member's claim.
async fn claim(
    keeper: &dyn Keeper,
    index: CardIndex,
    card: CardHash,
    member: &MemberId,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Result<Batch, EngineError> {
    let partition = keys::partition_of(&card.0, index.partitions);
    let found = keeper.get(partition, &keys::card(card)).await?;
    let mut claims: Vec<CardClaim> = found.as_ref().map(|bytes| record::decode(bytes)).transpose()?.unwrap_or_default();
    if let Some(to) = to {
        for claim in claims.iter_mut().filter(|claim| &claim.member == member && claim.to.is_none_or(|old| to < old)) {
            claim.to = Some(to.max(claim.from));
        }
    }
    // Between the question whose card it is and this commit another process may have given it away.
    let elsewhere = |from: Timestamp| claims.iter().any(|claim| claim.bars(member, from));
    if index.shared && from.is_some_and(elsewhere) {
        return Err(EngineError::Contended);
    }
    let known = |claim: &CardClaim| &claim.member == member && Some(claim.from) == from;
    if let Some(from) = from
        && !claims.iter().any(known)
    {
        claims.push(CardClaim { member: member.clone(), from, to: None });
    }
    let value = record::encode(&claims).into();
    // Another process may claim the card at the same time: one of both is refused.
    let same = if index.shared { vec![(keys::card(card), found)] } else { Vec::new() };
    Ok(Batch { partition, same, puts: vec![(keys::card(card), Some(value))], ..Batch::default() })
}

async fn claims_of(keeper: &dyn Keeper, partitions: u16, card: CardHash) -> Result<Vec<CardClaim>, EngineError> {
    let partition = keys::partition_of(&card.0, partitions);
    let found = keeper.get(partition, &keys::card(card)).await?;
    Ok(found.map(|bytes| record::decode(&bytes)).transpose()?.unwrap_or_default())
}

/// Everything records write in the member's own partition.
pub(super) fn member_batch(
    member: &MemberState,
    base: Base,
    records: &[Record],
    touched: &Touched,
    partition: Partition,
    due: &Due<'_>,
) -> Batch {
    let id = &member.head.id;
    let mut batch = Batch { partition, ..Batch::default() };
    batch.expects.push(Expect { key: keys::head(id), version: base.version });
    batch.puts.push((keys::head(id), Some(keys::head_value(&member.head))));
    put_purchases(&mut batch, base, member, touched);
    for key in &touched.purchases {
        if let Some(at) = member.find(key)
            && let Some(day) = due.next_day(&member.purchases[at], member.head.mark, member.head.screened)
        {
            batch.puts.push((keys::agenda(day, id), Some(Bytes::new())));
        }
    }
    for (event, purchase) in &touched.outlived {
        let identity = Identity { content: event.content, purchase: purchase.clone() };
        batch.puts.push((keys::identity(id, event.card, &event.key), Some(record::encode(&identity).into())));
    }
    for record in records {
        record_puts(&mut batch, id, record);
    }
    batch
}

fn record_puts(batch: &mut Batch, id: &MemberId, record: &Record) {
    if let Body::Member { input, .. } = &record.body
        && let MemberInput::Event(input) = input.as_ref()
        && input.event.occurred_at > record.envelope.at
    {
        // Dated ahead of our clock: the catalogue of its time is not known yet.
        batch.puts.push((keys::agenda(input.event.occurred_at.day() + 1, id), Some(Bytes::new())));
    }
    if let Body::Member { input, .. } = &record.body
        && let MemberInput::StandingSet(step) = input.as_ref()
        && let Some(until) = step.until
    {
        // The first mark at or after its end.
        batch.puts.push((keys::agenda(until.plus_ms(DAY_MS - 1).day(), id), Some(Bytes::new())));
    }
    if let Some(request) = &record.envelope.request {
        batch.puts.push((keys::request(&request.key), Some(record::encode(request).into())));
    }
    let transfers = record.transfers();
    debug_assert!(transfers.iter().all(|t| t.legs.debit != AccountKind::BudgetOverrun));
    for transfer in &transfers {
        for (kind, minor) in [(transfer.legs.debit, -transfer.legs.minor), (transfer.legs.credit, transfer.legs.minor)]
        {
            let owner = match kind.owner() {
                Owner::Merchant => transfer.merchant.as_ref().map(MerchantId::as_str),
                Owner::Cause => transfer.legs.cause.as_ref().map(Code::as_str),
                Owner::Member | Owner::Operator => None,
            };
            add(&mut batch.adds, keys::sum(kind, transfer.unit, owner), minor);
        }
    }
    for (offer, by) in granted_changes(record) {
        add(&mut batch.adds, keys::granted(offer), by);
        if by > 0 {
            add(&mut batch.adds, keys::raised(record.envelope.at.day(), offer), by);
        }
    }
    if !transfers.is_empty() {
        let line = crate::engine::look::StatementLine::of(record, transfers);
        batch.puts.push((keys::statement_line(id, record.envelope.version), Some(record::encode(&line).into())));
    }
}

/// Few counters are raised by one turn: looking through them costs less than a map.
pub(super) fn add(adds: &mut Vec<(Vec<u8>, i64)>, key: Vec<u8>, by: i64) {
    match adds.iter_mut().find(|(known, _)| *known == key) {
        Some((_, sum)) => *sum += by,
        None => adds.push((key, by)),
    }
}

/// What says when time next brings something to a purchase.
pub(super) struct Due<'a> {
    /// When authorizations lapse.
    pub policy: &'a Policy,
    /// Days until a purchase is sealed.
    pub retention_days: u32,
}

impl Engine {
    pub(super) fn due(&self) -> Due<'_> {
        Due { policy: &self.policy, retention_days: self.options.retention_days }
    }
}

impl Due<'_> {
    /// The day whose mark next changes something of the purchase: a lapse, the end of a
    /// hold, an expiry, or sealing. Screening has passed what was recorded up to an instant.
    fn next_day(&self, placed: &Placed, mark: Timestamp, screened: Timestamp) -> Option<u32> {
        let purchase = &placed.purchase;
        let worth = worth(purchase, mark, &self.policy.lapse);
        let lapse = worth.lapses_at.filter(|at| *at > mark && !worth.complete);
        let holds = purchase.grants.iter().filter(|grant| grant.stage == Stage::Posted && grant.amount_minor > 0);
        // What came when its hold was over waits for screening: for the mark after that at the latest.
        let waits = |grant: &Grant| if grant.earned_at > screened { grant.earned_at.plus_ms(1) } else { mark };
        let free = holds.filter_map(|grant| Some(grant.available_at?.max(waits(grant))));
        let hold = free.filter(|at| *at > mark).min();
        let unused = purchase.grants.iter().filter(|grant| grant.remaining_minor() > 0);
        let expiry = unused.filter_map(|grant| grant.expires_at).filter(|at| *at > mark).min();
        // A purchase past its retention that is not final yet is looked at every day.
        let seal = placed.time.plus_days(self.retention_days).max(mark.plus_ms(1));
        let due = [lapse, hold, expiry, Some(seal)].into_iter().flatten().min()?;
        // The first mark at or after the instant.
        u32::try_from((due.as_ms() + DAY_MS - 1) / DAY_MS).ok()
    }
}
