//! What only the passing of time brings: lapses, ends of holds, sealing. A daily mark
//! per partition records it; nothing here happens because a clock was read in the middle
//! of a decision.

use super::shared::SETTLED_MS;
use super::{Engine, EngineError};
use crate::decide::member::Placed;
use crate::decide::referral::qualified;
use crate::decide::{LapsePolicy, MemberState, assign};
use crate::domain::member::{SealedTotal, SealedUse, Standing, StandingOrigin, StandingStep, month_of};
use crate::domain::offer::Offer;
use crate::domain::purchase::Stage;
use crate::domain::{MemberId, MerchantId, PurchaseKey, Timestamp, Unit};
use crate::record::{Body, MemberInput, RequestKey};
use crate::store::{Batch, CATALOGUE, Lease, Partition, keys};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Members looked at between two looks at the stop flag, and keys read at a time.
const PAGE: usize = 256;
/// Partitions marked side by side.
const PARTITIONS_AT_ONCE: usize = 32;

impl Engine {
    /// Marks the day in every partition that has not been marked for it. Idle when all have.
    ///
    /// # Errors
    /// When the journal or the state refuses; what was done stays, the rest is done later.
    pub async fn mark_day(self: &Arc<Self>, now: Timestamp) -> Result<u64, EngineError> {
        let _one = self.marking.lock().await;
        let mark = Timestamp::start_of_day(now.day());
        let mut decided = 0;
        let behind = |partition: &u16| self.marked[usize::from(*partition)].load(Ordering::Acquire) < mark.as_ms();
        let partitions: Vec<Partition> = (0..self.partitions()).filter(behind).collect();
        // Others may be about to offer what they decided before midnight.
        if partitions.is_empty() || self.is_shared() && now < mark.plus_ms(SETTLED_MS) {
            return Ok(0);
        }
        // A mark says that all recorded before it has been screened: without that, money waits.
        drop(self.gate.write().await);
        if self.policy.screened && !self.has_screened(&self.reach(&partitions).await?).await? {
            return Ok(0);
        }
        let partitions = if self.is_shared() {
            self.raise_marks(partitions, mark).await?
        } else {
            // Turns under way were decided under the old mark: the new one rises when they
            // have ended, so that the agenda below misses none of them.
            let _alone = self.gate.write().await;
            for partition in &partitions {
                self.marks[usize::from(*partition)].fetch_max(mark.as_ms(), Ordering::AcqRel);
            }
            partitions.into_iter().map(|partition| (partition, None)).collect()
        };
        // Side by side, so that they share the journal's syncs.
        for some in partitions.chunks(PARTITIONS_AT_ONCE) {
            let marking = some.iter().map(|(partition, lease)| self.mark_partition(*partition, mark, *lease));
            for done in futures_util::future::join_all(marking).await {
                decided += done?;
            }
        }
        if !partitions.is_empty() {
            self.forget_answers(CATALOGUE).await?;
        }
        Ok(decided)
    }

    /// Drops answers kept for repeated requests when their 24 hours are over.
    async fn forget_answers(&self, partition: Partition) -> Result<(), EngineError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.keeper().scan(partition, b"k", after.as_deref(), PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            let mut puts = Vec::new();
            for (key, value) in page {
                let kept: RequestKey = crate::record::decode(&value)?;
                if !kept.forever && kept.at.plus_days(1) <= self.clock.now() {
                    puts.push((key, None));
                }
            }
            // A replay may bring some back; they are dropped again the next day.
            self.keeper().commit(Batch { partition, puts, ..Batch::default() }).await?;
        }
    }

    /// Puts a mark in force in a shared store, before its work is done: from then on no process
    /// commits under the old one. Returns the partitions whose work is this process' to do.
    async fn raise_marks(
        &self,
        partitions: Vec<Partition>,
        mark: Timestamp,
    ) -> Result<Vec<(Partition, Option<Lease>)>, EngineError> {
        let mut mine = Vec::new();
        for partition in partitions {
            let found = self.keeper().read(partition, &[keys::mark(), keys::marked()]).await?;
            let [in_force, done] = [0, 1].map(|place: usize| keys::counter(found[place].as_ref()));
            if done >= mark.as_ms() {
                self.marked[usize::from(partition)].fetch_max(done, Ordering::AcqRel);
                continue;
            }
            if in_force < mark.as_ms() {
                let value = Bytes::copy_from_slice(&mark.as_ms().to_le_bytes());
                let same = vec![(keys::mark(), found[0].clone())];
                let batch = Batch { partition, same, puts: vec![(keys::mark(), Some(value))], ..Batch::default() };
                // Another process may raise it at the same time: one of both is enough.
                self.keeper().commit(batch).await?;
            }
            self.marks[usize::from(partition)].fetch_max(mark.as_ms(), Ordering::AcqRel);
            if let Some(lease) = self.lease(partition).await? {
                mine.push((partition, Some(lease)));
            }
        }
        Ok(mine)
    }

    /// Drops the counters of days that no budget asks any more: the day before may still be
    /// counted on by a turn that began then.
    async fn forget_days(&self, partition: Partition, mark: Timestamp) -> Result<(), EngineError> {
        loop {
            let page = self.keeper().scan(partition, b"b", None, PAGE).await?;
            let old = |key: &[u8]| keys::raised_day(key).is_some_and(|day| day + 1 < mark.day());
            let puts: Vec<_> =
                page.into_iter().map(|(key, _)| key).filter(|key| old(key)).map(|key| (key, None)).collect();
            if puts.is_empty() {
                return Ok(());
            }
            self.keeper().commit(Batch { partition, puts, ..Batch::default() }).await?;
        }
    }

    async fn mark_partition(
        self: &Arc<Self>,
        partition: Partition,
        mark: Timestamp,
        lease: Option<Lease>,
    ) -> Result<u64, EngineError> {
        let mut decided = 0;
        let mut after: Option<Vec<u8>> = None;
        loop {
            if !self.is_able() {
                return Err(EngineError::Stopping);
            }
            // Kept while there is work: another process takes over a few seconds after the last page.
            if lease.is_some() && self.lease(partition).await? != lease {
                return Err(EngineError::Contended);
            }
            let page = self.keeper().scan(partition, b"a", after.as_deref(), PAGE).await?;
            let mut due: BTreeMap<MemberId, Vec<Vec<u8>>> = BTreeMap::new();
            let mut beyond = page.len() < PAGE;
            for (key, _) in page {
                match keys::agenda_parts(&key) {
                    Some((day, _)) if day > mark.day() => beyond = true,
                    Some((_, member)) => due.entry(member).or_default().push(key.clone()),
                    None => {}
                }
                after = Some(key);
            }
            // Members of one page at once: they share the journal's syncs.
            let turns = due.into_iter().map(|(member, keys)| self.time_passes(member, keys, mark, lease));
            for done in futures_util::future::join_all(turns).await {
                decided += u64::from(done?);
            }
            if beyond {
                break;
            }
        }
        self.forget_answers(partition).await?;
        self.forget_days(partition, mark).await?;
        let mut record = self.catalogue_record(Body::DayMarked { mark }, 0);
        record.envelope.partition = partition;
        record.envelope.number = self.next_number(partition);
        let value = Bytes::copy_from_slice(&mark.as_ms().to_le_bytes());
        let key = if self.is_shared() { keys::marked() } else { keys::mark() };
        let batch = Batch { partition, puts: vec![(key, Some(value))], lease, ..Batch::default() };
        self.commit_apart(record, vec![batch]).await?;
        self.marked[usize::from(partition)].fetch_max(mark.as_ms(), Ordering::AcqRel);
        Ok(decided)
    }

    async fn time_passes(
        self: &Arc<Self>,
        member: MemberId,
        agenda: Vec<Vec<u8>>,
        mark: Timestamp,
        lease: Option<Lease>,
    ) -> Result<bool, EngineError> {
        let mut turn = self.turn(&member).await?;
        turn.under(lease);
        let ended = ended_holds(&turn.member, mark);
        for step in &ended {
            turn.step_at(MemberInput::StandingSet(step.clone()), None, mark).await?;
        }
        let retention = self.options.retention_days;
        let old = |placed: &Placed| placed.time.plus_days(retention) <= mark;
        // As old as its purchase: what came off that later is part of it.
        let units = final_units(&turn.member, mark, &self.policy.lapse);
        let old_units = units.into_iter().filter(|unit| old(&turn.member.purchases[unit[0]]));
        let sealed = old_units.flatten().map(|at| turn.member.purchases[at].purchase.key.clone()).collect();
        let input = self.sealing(&turn.member, sealed, mark);
        let seals = matches!(&input, MemberInput::TimePassed { sealed, .. } if !sealed.is_empty());
        let decided = turn.step_at(input, None, mark).await?;
        let says = seals || decided.changed || !ended.is_empty() || !turn.news().is_empty();
        if !says {
            turn.forget_steps();
        }
        turn.remove_with_commit(agenda);
        turn.schedule(mark);
        turn.commit().await?;
        Ok(says)
    }

    /// The input that seals some of a member's purchases under a mark.
    #[must_use]
    pub fn sealing(&self, member: &MemberState, sealed: Vec<PurchaseKey>, mark: Timestamp) -> MemberInput {
        let totals = totals_after(member, &sealed, mark, &self.policy.lapse);
        let forget_before =
            Timestamp::from_ms(mark.as_ms() - i64::from(self.options.retention_days) * crate::domain::time::DAY_MS);
        let catalogue = self.catalogue_now();
        let qualifies = |offer: &Arc<Offer>| {
            let (place, qualified) = qualified(member, offer, mark, &self.policy.lapse)?;
            sealed.contains(&member.purchases[place].purchase.key).then(|| (offer.id.clone(), qualified))
        };
        let qualified = catalogue.apart().referral().iter().filter_map(qualifies).collect();
        MemberInput::TimePassed { sealed, totals, forget_before, qualified }
    }

    /// The oldest final purchases of a member who has more than the bound.
    #[must_use]
    pub fn too_many_open(&self, member: &MemberState) -> Vec<PurchaseKey> {
        let bought = member.purchases.iter().filter(|placed| placed.purchase.occasion.is_none()).count();
        let over = bought.saturating_sub(self.options.open_purchases_max);
        let mark = self.mark(self.partition(&member.head.id)).max(member.head.mark);
        // Daily and weekly caps look at single purchases: the last month stays open.
        // Nor is what is no purchase sealed early: it would count anew when it is told again.
        let old = |at: &usize| {
            let placed = &member.purchases[*at];
            placed.time.plus_days(31) < self.clock.now() && placed.purchase.occasion.is_none()
        };
        let mut sealed = Vec::new();
        for unit in final_units(member, mark, &self.policy.lapse) {
            if sealed.len() >= over {
                break;
            }
            if unit.iter().all(old) {
                sealed.extend(unit);
            }
        }
        sealed.into_iter().map(|at| member.purchases[at].purchase.key.clone()).collect()
    }
}

/// Holds that end by a mark: who was held and not reviewed is released, never forgotten.
fn ended_holds(member: &MemberState, mark: Timestamp) -> Vec<StandingStep> {
    let steps = &member.head.standings;
    let newest =
        |step: &&StandingStep| !steps.iter().any(|other| other.merchant == step.merchant && other.set_at > step.set_at);
    let over = steps.iter().filter(|step| step.until.is_some_and(|until| until <= mark)).filter(newest);
    let end = |step: &StandingStep| StandingStep {
        standing: Standing::Clear,
        set_at: step.set_at.plus_ms(1).max(mark),
        until: None,
        origin: StandingOrigin::Ended,
        ..step.clone()
    };
    over.map(end).collect()
}

/// What may be sealed: purchases of which nothing can change any more by itself, each with
/// the credits that come off it, oldest first. A credit sealed by itself would give back
/// what it takes, and one left behind would come off another purchase.
fn final_units(member: &MemberState, mark: Timestamp, lapse: &LapsePolicy) -> Vec<Vec<usize>> {
    let mut units = assign(member, None, mark, lapse).units(member.purchases.len());
    units.retain(|unit| unit.iter().all(|at| is_final(&member.purchases[*at], mark, lapse)));
    units
}

/// Whether nothing of a purchase can change any more by itself: cleared or dead, and
/// every reward available, unfrozen, not owed and never to expire unused.
fn is_final(placed: &Placed, mark: Timestamp, lapse: &LapsePolicy) -> bool {
    let worth = placed.worth(mark, lapse);
    if worth.lapses_at.is_some_and(|at| at > mark) {
        return false;
    }
    if placed.purchase.occasion.is_some() {
        // Totals are of purchases at merchants: what was rewarded without one stays.
        return placed.purchase.grants.iter().all(|grant| grant.amount_minor == 0 && grant.used_minor == 0);
    }
    placed.purchase.grants.iter().all(|grant| {
        let paid_back = grant.excess_minor() > 0;
        let settled = grant.amount_minor == 0 || (grant.stage == Stage::Available && !grant.held);
        let expires = grant.expires_at.is_some() && grant.remaining_minor() > 0;
        settled && !paid_back && !expires
    })
}

/// Totals per merchant and unit once some purchases are sealed into them.
fn totals_after(
    member: &MemberState,
    sealed: &[PurchaseKey],
    mark: Timestamp,
    lapse: &LapsePolicy,
) -> Vec<SealedTotal> {
    let mut totals: Vec<SealedTotal> = Vec::new();
    if sealed.is_empty() {
        return totals;
    }
    let assigned = assign(member, None, mark, lapse);
    let places = member.purchases.iter().enumerate();
    for (place, placed) in places.filter(|(_, placed)| sealed.contains(&placed.purchase.key)) {
        let worth = placed.worth(mark, lapse).less(assigned.taken(place));
        if let (Some(merchant), Some(currency)) = (&placed.merchant, worth.currency) {
            let total = total_of(member, &mut totals, merchant, Unit::Money(currency));
            if worth.minor > 0 {
                total.purchases += 1;
                total.worth_minor += worth.minor;
                total.last_at = total.last_at.max(Some(placed.time));
            }
        }
        // A purchase's rewards may be funded by another merchant's offers after it moved;
        // they are summed where they are funded.
        for grant in placed.purchase.grants.iter().filter(|grant| grant.amount_minor > 0 || grant.kept_minor != 0) {
            let total = total_of(member, &mut totals, &grant.merchant, grant.unit);
            if grant.cause.is_none() {
                total.available_minor += grant.remaining_minor();
            }
            let (month, minor) = (month_of(placed.local_day), grant.amount_minor);
            let (count, kept) = (u32::from(minor > 0), grant.kept_minor);
            let same = |used: &&mut SealedUse| used.offer == grant.offer && used.month == month;
            match total.offers.iter_mut().find(same) {
                Some(used) => {
                    used.count += count;
                    used.minor += minor;
                    used.kept += kept;
                }
                None => total.offers.push(SealedUse { offer: grant.offer.clone(), month, count, minor, kept }),
            }
        }
    }
    totals
}

/// The total of a merchant and unit as it grows: what was sealed before is in it.
fn total_of<'a>(
    member: &MemberState,
    totals: &'a mut Vec<SealedTotal>,
    merchant: &MerchantId,
    unit: Unit,
) -> &'a mut SealedTotal {
    let is_it = |total: &SealedTotal| &total.merchant == merchant && total.unit == unit;
    let place = totals.iter().position(is_it).unwrap_or_else(|| {
        let known = member.head.sealed.iter().find(|total| is_it(total));
        totals.push(known.cloned().unwrap_or_else(|| SealedTotal::new(merchant.clone(), unit)));
        totals.len() - 1
    });
    &mut totals[place]
}
