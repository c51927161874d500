//! Proving partitions: what a store forgot is found by asking it, and offered again from the
//! journal by its input, so that another process' records in between do no harm.

use super::super::{Engine, EngineError};
use super::Shared;
use crate::decide::MemberState;
use crate::domain::MemberId;
use crate::domain::member::{CardLink, RecordRef};
use crate::journal::Position;
use crate::record::{self, Body, MemberInput, Record};
use crate::store::redis::{Look, while_repairing};
use crate::store::{Batch, By, CATALOGUE, Expect, Partition, keys};
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Partitions asked at a time.
const ASKED_AT_ONCE: usize = 64;
/// How often a process says that it is alive.
const BEAT_EVERY: std::time::Duration = std::time::Duration::from_millis(200);
/// Records read from the journal at a time.
const PAGE: usize = 256;
/// Times an input is offered again to a member whom others change meanwhile.
const TRIES: usize = 16;

impl Engine {
    /// Looks how every partition stands, and proves those that are not proved: what they lack of
    /// this process is offered again. Nothing to do where the store is this process' alone.
    ///
    /// # Errors
    /// When Redis does not answer, or the journal cannot be read; commits wait meanwhile.
    pub async fn prove_all(self: &Arc<Self>) -> Result<(), EngineError> {
        let Some(shared) = self.shared() else { return Ok(()) };
        let _one = shared.proving.lock().await;
        let processes = shared.beat().await?;
        // A round may begin an epoch, the next one offers again, the last one finds all proved.
        for _ in 0..4 {
            let asked = futures_util::stream::iter(shared.redis.standings().partitions());
            let looks = asked.map(|partition| self.stand(shared, partition, &processes.alive));
            let looks: Vec<_> = looks.buffer_unordered(ASKED_AT_ONCE).collect().await;
            let mut lacking = BTreeMap::new();
            for look in looks {
                let (partition, look) = look?;
                if let Some(look) = look {
                    lacking.insert(partition, look);
                }
            }
            if lacking.is_empty() {
                return Ok(());
            }
            while_repairing(self.repair(shared, &lacking)).await?;
        }
        Ok(())
    }

    /// Says that this process is alive, and hears who else is. Nothing to do where the store is
    /// this process' alone.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn beat(&self) -> Result<(), EngineError> {
        match self.shared() {
            Some(shared) => shared.beat().await.map(drop),
            None => Ok(()),
        }
    }

    /// Says so a few times a second, for ever: also while a long repair is under way, or the others
    /// would go on without what this process holds.
    pub async fn keep_beating(&self) {
        let mut tick = tokio::time::interval(BEAT_EVERY);
        loop {
            tick.tick().await;
            if let Err(error) = self.beat().await {
                tracing::debug!(error = %crate::pipeline::Chain(&error), "the shared store did not hear that this process is alive");
            }
        }
    }

    /// Waits until somebody finds a partition that is to be proved or a budget that is to be
    /// settled; for ever where the store is this process' alone.
    pub async fn doubts(&self) {
        match self.shared() {
            Some(shared) => shared.doubts.notified().await,
            None => std::future::pending().await,
        }
    }

    /// How a partition stands; with the look when this process has something to offer again.
    async fn stand(
        &self,
        shared: &Shared,
        partition: Partition,
        alive: &[u32],
    ) -> Result<(Partition, Option<Look>), EngineError> {
        let standing = shared.redis.standings().of(partition);
        // Before it is asked: what is told while it answers only raises it.
        let seen = standing.seen();
        let mut look = shared.redis.look(partition, shared.process).await?;
        // An epoch is used once: the book is the newest one's chain.
        if !look.here || look.epoch < standing.highest() {
            standing.doubt();
            tracing::info!(partition, after = look.epoch.max(standing.highest()), "a partition begins a new epoch");
            look = shared.redis.begin(partition, shared.process, look.epoch, alive).await?;
        }
        for gone in look.awaited.iter().filter(|process| !alive.contains(process)) {
            shared.redis.gone(partition, *gone, look.epoch).await?;
        }
        if partition != CATALOGUE {
            self.saw_mark(partition, look.mark);
        }
        let awaited = look.awaited.contains(&shared.process);
        let whole = look.own_epoch == look.epoch && look.sequence >= seen && !shared.holds(partition);
        if whole && !awaited {
            if look.awaited.is_empty() && !standing.is_proved() {
                standing.enter(look.epoch, look.sequence);
                standing.prove();
            }
            return Ok((partition, None));
        }
        standing.doubt();
        // Others go first: this process was not here when the epoch began.
        let may = awaited || look.awaited.is_empty();
        Ok((partition, may.then_some(look)))
    }

    /// Offers again what partitions may lack, and settles them.
    async fn repair(self: &Arc<Self>, shared: &Shared, lacking: &BTreeMap<Partition, Look>) -> Result<(), EngineError> {
        for (partition, look) in lacking {
            shared.redis.standings().of(*partition).enter(look.epoch, look.sequence);
            self.mark_again(*partition, look).await?;
        }
        let end = self.journal.end();
        let begin = lacking.values().map(|look| look.place).min().unwrap_or(end);
        let mut offered = 0_u64;
        let mut at = begin;
        while at < end {
            let engine = Arc::clone(self);
            let page = tokio::task::spawn_blocking(move || engine.journal.read(at, PAGE));
            let page = page.await.map_err(|_| EngineError::Stopping)??;
            if page.entries.is_empty() {
                break;
            }
            for entry in &page.entries {
                let record: Record = record::decode(&entry.record)?;
                let lacks = |partition: Partition| lacking.get(&partition).is_some_and(|look| look.place <= entry.at);
                if lacks(record.envelope.partition) {
                    offered += u64::from(self.offer_again(&record).await?);
                }
                self.hint_again(shared, &record, lacks).await?;
            }
            at = page.next;
        }
        if offered > 0 {
            tracing::warn!(offered, "records that the shared store had forgotten were offered again");
            self.metrics.offered_again(offered);
        }
        self.holders.clear();
        // What was forgotten may have been a budget's total too.
        shared.unsure_of_all.store(true, Ordering::Release);
        for (partition, look) in lacking {
            if shared.redis.settled(*partition, shared.process, look.epoch, end).await? {
                self.end(&shared.settled(*partition, end));
            }
        }
        Ok(())
    }

    /// Offers a record again by its input, unless the state has it. Tells whether it was lacking.
    async fn offer_again(self: &Arc<Self>, record: &Record) -> Result<bool, EngineError> {
        match &record.body {
            Body::Member { member, input, changes } => {
                let reference = record.first_said();
                for _ in 0..TRIES {
                    let mut turn = self.turn(member).await?;
                    turn.repair(reference.number);
                    if !lacks(&turn.member, reference, input) {
                        if !turn.member.head.has_applied(reference) {
                            // Somebody else has told it meanwhile: this record is on no chain.
                            self.withdraw(std::slice::from_ref(&record.envelope));
                        }
                        return Ok(false);
                    }
                    if let MemberInput::CardLinked { link, .. } = input.as_ref()
                        && self.is_elsewhere(member, link).await?
                    {
                        self.withdraw(std::slice::from_ref(&record.envelope));
                        return Ok(false);
                    }
                    let request = record.envelope.request.clone();
                    if let Some(request) = &request
                        && self.answered(record.envelope.partition, &request.key).await?.is_some()
                    {
                        return Ok(false);
                    }
                    let given = match input.as_ref() {
                        MemberInput::Redeemed(redemption) => redemption.exchange.as_ref().and_then(|exchange| {
                            changes.iter().find(|change| change.purchase == exchange.entry).cloned()
                        }),
                        _ => None,
                    };
                    turn.step_giving(input.as_ref().clone(), request, given).await?;
                    match turn.commit().await {
                        Err(EngineError::Contended) => self.refresh_mark(record.envelope.partition).await?,
                        done => return done.map(|_| true),
                    }
                }
                Err(EngineError::Contended)
            }
            Body::Merchant { merchant, .. } => {
                let value = keys::document(record.envelope.version, merchant.as_ref());
                self.document_again(record, keys::merchant(merchant.id.as_str()), value).await
            }
            Body::Offer { offer, .. } => {
                let value = keys::document(record.envelope.version, offer.as_ref());
                self.document_again(record, keys::offer(offer.id.as_str()), value).await
            }
            Body::Case(case) => {
                if self.document_version(&keys::case(case.id)).await? >= record.envelope.version {
                    return Ok(false);
                }
                let mut batches = super::super::cases::batches(record, case);
                self.log_with(&mut batches, record);
                for batch in batches {
                    self.batch_again(batch).await?;
                }
                Ok(true)
            }
            Body::DetectorWithdrawn(withdrawal) => {
                let mut batches = [super::super::cases::withdrawal_batch(record, withdrawal)];
                self.log_with(&mut batches, record);
                let [batch] = batches;
                self.batch_again(batch).await
            }
            Body::Rule(rule) => {
                if self.document_version(&keys::rule(&rule.id)).await? >= record.envelope.version {
                    return Ok(false);
                }
                let mut batches = [super::super::rules::batch(record, rule)];
                self.log_with(&mut batches, record);
                let [batch] = batches;
                self.batch_again(batch).await
            }
            Body::DeadLetter(letter) => {
                let key = keys::dead_letter(letter.id);
                if self.keeper().get(CATALOGUE, &key).await?.is_some() {
                    return Ok(false);
                }
                self.put_again(CATALOGUE, vec![(key, Some(record::encode(letter.as_ref()).into()))], Vec::new()).await
            }
            Body::DeadLetterSettled { id, .. } => {
                self.put_again(CATALOGUE, vec![(keys::dead_letter(*id), None)], Vec::new()).await
            }
            // Time brings it again by itself: the mark was forgotten with what it did.
            Body::DayMarked { .. } | Body::Withdrawn { .. } | Body::Adopted { .. } => Ok(false),
        }
    }

    /// Whether somebody else was given a card meanwhile.
    async fn is_elsewhere(&self, member: &MemberId, link: &CardLink) -> Result<bool, EngineError> {
        let claims = self.card_claims(link.card).await?;
        Ok(claims.iter().any(|claim| claim.bars(member, link.from)))
    }

    /// A mark that was in force stays so; its work is done again where that was forgotten too.
    async fn mark_again(&self, partition: Partition, look: &Look) -> Result<(), EngineError> {
        if partition == CATALOGUE || self.mark(partition).as_ms() <= look.mark {
            return Ok(());
        }
        let mark = bytes::Bytes::copy_from_slice(&self.mark(partition).as_ms().to_le_bytes());
        self.put_again(partition, vec![(keys::mark(), Some(mark))], Vec::new()).await?;
        let done = self.keeper().get(partition, &keys::marked()).await?;
        self.marked[usize::from(partition)].store(keys::counter(done.as_ref()), Ordering::Release);
        Ok(())
    }

    async fn document_again(
        self: &Arc<Self>,
        record: &Record,
        key: Vec<u8>,
        value: bytes::Bytes,
    ) -> Result<bool, EngineError> {
        let has = self.document_version(&key).await?;
        if has >= record.envelope.version {
            return Ok(false);
        }
        let expects = vec![Expect { key: key.clone(), version: has }];
        self.put_again(CATALOGUE, vec![(key, Some(value))], expects).await
    }

    async fn put_again(
        &self,
        partition: Partition,
        puts: Vec<(Vec<u8>, Option<bytes::Bytes>)>,
        expects: Vec<Expect>,
    ) -> Result<bool, EngineError> {
        self.batch_again(Batch { partition, puts, expects, ..Batch::default() }).await
    }

    async fn batch_again(&self, mut batch: Batch) -> Result<bool, EngineError> {
        let Some(shared) = self.shared() else { return Ok(false) };
        batch.by = Some(By { process: shared.process, low_water: Position::default(), repairs: true });
        self.keeper().commit(batch).await?;
        Ok(true)
    }

    /// What a record wrote into other partitions' indexes.
    async fn hint_again(
        &self,
        shared: &Shared,
        record: &Record,
        lacks: impl Fn(Partition) -> bool,
    ) -> Result<(), EngineError> {
        let batches = super::super::turn::hints(self.keeper(), self.partitions(), &self.processes(), record).await;
        let batches = match batches {
            // The card was given to somebody else since.
            Err(EngineError::Contended) => return Ok(()),
            batches => batches?,
        };
        for mut batch in batches.into_iter().filter(|batch| lacks(batch.partition)) {
            batch.by = Some(By { process: shared.process, low_water: Position::default(), repairs: true });
            self.keeper().commit(batch).await?;
        }
        Ok(())
    }
}

/// Whether a member's state lacks what a record said.
fn lacks(member: &MemberState, record: RecordRef, input: &MemberInput) -> bool {
    if member.head.has_applied(record) {
        return false;
    }
    let head = &member.head;
    match input {
        // The network may have told another process again meanwhile.
        MemberInput::Event(event) => {
            let known = member.find(&event.purchase).map(|at| &member.purchases[at].purchase);
            let same = |held: &crate::domain::purchase::HeldEvent| {
                held.key == event.event.key && held.card == event.event.card
            };
            !known.is_some_and(|purchase| purchase.events.iter().any(same))
        }
        MemberInput::CardLinked { link, .. } => {
            !head.cards.iter().any(|known| known.card == link.card && known.from == link.from)
        }
        MemberInput::CardUnlinked { card, at } => {
            head.cards.iter().any(|known| known.card == *card && known.to.is_none_or(|to| *at < to))
        }
        MemberInput::Activated(step) => !head.activations.contains(step),
        MemberInput::StandingSet(step) => !head.standings.contains(step),
        MemberInput::Signalled(signal) => {
            let key = |purchase: &crate::domain::PurchaseKey| purchase.id == signal.id;
            !signal.entry || !member.purchases.iter().any(|placed| key(&placed.purchase.key))
        }
        // The day's mark does it again.
        MemberInput::TimePassed { .. } => false,
        MemberInput::Erased { .. } => !head.erased,
        MemberInput::Screened { through } => head.screened < *through,
        MemberInput::Registered { .. }
        | MemberInput::Rematched(_)
        | MemberInput::DecidedAgain
        | MemberInput::Redeemed(_)
        | MemberInput::ReferralTold(_)
        | MemberInput::ReferrerTold(_) => true,
    }
}
