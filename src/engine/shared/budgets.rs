//! Budgets of a shared store: each process keeps one total with the offer, of what it granted
//! and has reserved. A total that nobody is sure of, because a command was not answered, the
//! store forgot, or its process died, is counted anew from the partitions and said again.

use super::super::budgets::{Budget, Crossed, Reserved, Use, crossed_between};
use super::super::{Engine, EngineError};
use super::{Shared, lock};
use crate::domain::OfferId;
use crate::domain::offer::Offer;
use crate::store::keys;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Offers whose use is remembered to tell of shares.
const TOLD_MAX: usize = 10_000;

impl Shared {
    /// Takes as much of an amount as an offer's budgets have left, in this process' name.
    pub(in crate::engine) async fn reserve(
        &self,
        offer: &OfferId,
        minor: i64,
        budget: Budget,
        day: u32,
    ) -> Result<Reserved, EngineError> {
        let whole = Reserved { offer: offer.clone(), day, minor: minor.max(0), day_spent: false };
        if minor <= 0 || budget == Budget::NONE {
            return Ok(whole);
        }
        let asked = self.redis.reserve(offer, self.process, minor, budget.whole, (day, budget.of_day)).await;
        let (minor, left, left_of_day) = asked.inspect_err(|_| {
            // It may have been taken.
            lock(&self.unsure).insert(offer.clone());
        })?;
        let used = |budget: i64, left: i64| if budget == i64::MAX { 0 } else { budget - left };
        let before =
            Use { granted: used(budget.whole, left), raised: used(budget.of_day, left_of_day), ..Use::default() };
        let after = Use { granted: before.granted + minor, raised: before.raised + minor, ..before };
        let mut told = lock(&self.told);
        if told.len() < TOLD_MAX || told.contains_key(offer) {
            told.insert(offer.clone(), (before, after));
        }
        Ok(Reserved { minor, day_spent: minor < whole.minor && left_of_day < left, ..whole })
    }

    /// The shares that this process' last reservation of an offer came to.
    pub(in crate::engine) fn crossed(&self, offer: &OfferId, budget: Budget) -> Vec<Crossed> {
        let Some((before, after)) = lock(&self.told).remove(offer) else { return Vec::new() };
        crossed_between(before, after, budget)
    }

    /// Counts what reservations came to, of the whole budget or of a day's: usually just what
    /// was reserved, and then there is nothing to say.
    pub(in crate::engine) fn spend(&self, offer: &OfferId, day: Option<u32>, by: i64) {
        let mut spent = lock(&self.spent);
        let key = (offer.clone(), day);
        let sum = spent.entry(key.clone()).or_default();
        *sum += by;
        if *sum == 0 {
            spent.remove(&key);
        } else {
            // What was reserved in vain is free for others at once.
            self.doubts.notify_one();
        }
    }
}

impl Engine {
    /// Says what budgets came to beside what was reserved of them.
    ///
    /// # Errors
    /// When Redis does not answer; it is said later.
    pub async fn settle_budgets(&self) -> Result<(), EngineError> {
        let Some(shared) = self.shared() else { return Ok(()) };
        let spent = std::mem::take(&mut *lock(&shared.spent));
        for ((offer, day), by) in spent {
            if let Err(error) = shared.redis.used(&offer, day, shared.process, by).await {
                // Whether it was counted is not known: the whole total is said again.
                lock(&shared.unsure).insert(offer);
                tracing::warn!(error = %crate::pipeline::Chain(&error), "a budget could not be settled; its total is said again");
            }
        }
        Ok(())
    }

    /// Says again every total that nobody is sure of, and settles those of processes that died.
    ///
    /// # Errors
    /// When Redis does not answer; it is done later.
    pub async fn sweep_budgets(self: &Arc<Self>) -> Result<(), EngineError> {
        let Some(shared) = self.shared() else { return Ok(()) };
        self.sweep_dead(shared).await?;
        let mut unsure = std::mem::take(&mut *lock(&shared.unsure));
        if shared.unsure_of_all.swap(false, Ordering::AcqRel) {
            unsure.extend(self.budgeted());
        }
        while let Some(offer) = unsure.pop_first() {
            if let Err(error) = self.say_total(shared, &offer).await {
                unsure.insert(offer);
                lock(&shared.unsure).append(&mut unsure);
                return Err(error);
            }
        }
        Ok(())
    }

    /// What an offer used of its budgets in a shared store.
    pub(in crate::engine) async fn shared_use(&self, offer: &OfferId, day: u32) -> Result<Option<Use>, EngineError> {
        let Some(shared) = self.shared().filter(|_| self.has_budget(offer)) else { return Ok(None) };
        let granted = shared.redis.counted(&keys::granted(offer)).await?;
        let raised = shared.redis.counted(&keys::raised(day, offer)).await?;
        let said = async |day| -> Result<i64, EngineError> {
            Ok(shared.redis.budget_totals(offer, day).await?.iter().map(|(_, total)| total).sum())
        };
        let (reserved, reserved_of_day) = (said(None).await? - granted, said(Some(day)).await? - raised);
        Ok(Some(Use { granted, raised, reserved: reserved.max(0), reserved_of_day: reserved_of_day.max(0) }))
    }

    /// Puts an offer into the snapshot. With its first budget nothing is said there of what was
    /// granted before: every process counts and says its own, and one those of the dead.
    pub(in crate::engine) fn swap_offer(self: &Arc<Self>, offer: Offer) {
        let (id, had_budget) = (offer.id.clone(), self.has_budget(&offer.id));
        self.swap(|known, revision| known.with_offer(Arc::new(offer), revision));
        if let Some(shared) = self.shared().filter(|_| !had_budget && self.has_budget(&id)) {
            // After the swap: what is granted from now on is said as it comes.
            lock(&shared.unsure).insert(id);
            lock(&shared.swept).clear();
            shared.doubts.notify_one();
        }
    }

    fn budgeted(&self) -> BTreeSet<OfferId> {
        let catalogue = self.catalogue();
        let budgeted = catalogue.some_offers(usize::MAX).filter(|offer| self.has_budget(&offer.id));
        budgeted.map(|offer| offer.id.clone()).collect()
    }

    async fn say_total(self: &Arc<Self>, shared: &Shared, offer: &OfferId) -> Result<(), EngineError> {
        // Nothing of this process is reserved or under way meanwhile.
        let _alone = self.gate.write().await;
        lock(&shared.spent).retain(|(spent, _), _| spent != offer);
        self.total_of(shared, offer, shared.process).await.map(drop)
    }

    /// Counts what a process granted under an offer, in all and today, and says it where the
    /// budget is. Returns what it had said too much.
    async fn total_of(&self, shared: &Shared, offer: &OfferId, process: u32) -> Result<i64, EngineError> {
        let today = self.clock.now().day();
        let mut freed = 0;
        for day in [None, Some(today)] {
            let counter = day.map_or_else(|| keys::granted(offer), |day| keys::raised(day, offer));
            let total = shared.redis.counted(&keys::by_process(counter, process)).await?;
            let known = shared.redis.budget_totals(offer, day).await?;
            let said = known.iter().find(|(known, _)| *known == process).map_or(0, |(_, total)| *total);
            if said != total {
                shared.redis.assert_used(offer, day, process, total).await?;
                freed += said - total;
            }
        }
        Ok(freed)
    }

    /// A process that is dead has nothing reserved: its totals are what it granted. It is shut
    /// out first, so that a commit of its that is still on the way is refused.
    async fn sweep_dead(&self, shared: &Shared) -> Result<(), EngineError> {
        let processes = lock(&shared.processes).clone();
        // One of those alive does it.
        if processes.alive.iter().min() != Some(&shared.process) {
            return Ok(());
        }
        lock(&shared.swept).retain(|process| !processes.alive.contains(process));
        for dead in processes.known.iter().filter(|process| !processes.alive.contains(process)) {
            if lock(&shared.swept).contains(dead) {
                continue;
            }
            for partition in shared.redis.standings().partitions() {
                let epoch = shared.redis.look(partition, *dead).await?.epoch;
                shared.redis.gone(partition, *dead, epoch).await?;
            }
            for offer in self.budgeted() {
                let freed_minor = self.total_of(shared, &offer, *dead).await?;
                if freed_minor != 0 {
                    tracing::info!(%offer, process = dead, freed_minor, "a dead process' reservations were released");
                }
            }
            lock(&shared.swept).insert(*dead);
        }
        Ok(())
    }
}
