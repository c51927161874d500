//! Budgets of a shared store: each process keeps one total with the offer, of what it granted
//! and has reserved. A total that nobody is sure of, because a command was not answered, the
//! store forgot, or its process died, is counted anew from the partitions and said again.

use super::super::{Engine, EngineError};
use super::{Shared, lock};
use crate::domain::OfferId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Engine {
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

    /// What all processes granted and reserved of a budget in a shared store.
    pub(in crate::engine) async fn budget_totals(&self, offer: &OfferId) -> Result<Option<i64>, EngineError> {
        let Some(shared) = self.shared().filter(|_| self.has_budget(offer)) else { return Ok(None) };
        Ok(Some(shared.redis.budget_totals(offer).await?.into_iter().map(|(_, total)| total).sum()))
    }

    fn budgeted(&self) -> BTreeSet<OfferId> {
        let catalogue = self.catalogue();
        let budgeted = catalogue.some_offers(usize::MAX).filter(|offer| self.has_budget(&offer.id));
        budgeted.map(|offer| offer.id.clone()).collect()
    }

    async fn say_total(self: &Arc<Self>, shared: &Shared, offer: &OfferId) -> Result<(), EngineError> {
        // Nothing of this process is reserved or under way meanwhile.
        let _alone = self.gate.write().await;
        lock(&shared.spent).remove(offer);
        let total = shared.redis.granted_by(offer, shared.process).await?;
        let known = shared.redis.budget_totals(offer).await?;
        let said = known.iter().find(|(process, _)| *process == shared.process).map_or(0, |(_, total)| *total);
        if said != total {
            shared.redis.assert_used(offer, shared.process, total).await?;
        }
        Ok(())
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
                let said = shared.redis.budget_totals(&offer).await?.into_iter().find(|(process, _)| process == dead);
                let Some((_, said)) = said else { continue };
                let total = shared.redis.granted_by(&offer, *dead).await?;
                if total != said {
                    shared.redis.assert_used(&offer, *dead, total).await?;
                    tracing::info!(%offer, process = dead, freed_minor = said - total, "a dead process' reservations were released");
                }
            }
            lock(&shared.swept).insert(*dead);
        }
        Ok(())
    }
}
