//! What the processes that share a store tell each other of watched tills: each has sightings of
//! its own, and one of them screens.

use super::{Engine, EngineError};
use crate::domain::Timestamp;
use crate::record;
use crate::sightings::tills::Told;
use crate::store::{Batch, CATALOGUE, keys};

/// Processes that are heard.
const PROCESSES_MAX: usize = 1_000;

impl Engine {
    /// Tells those who share the store what this process saw at watched tills, in place of what it told
    /// before. Nothing where the store is this process' alone.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tell_tills(&self, told: &Told) -> Result<(), EngineError> {
        if self.is_shared() {
            let key = keys::tills(self.journal.process());
            let value = record::encode(&(self.clock.now(), told)).into();
            let batch = Batch { partition: CATALOGUE, puts: vec![(key, Some(value))], ..Batch::default() };
            self.keeper().commit(batch).await?;
        }
        Ok(())
    }

    /// What other processes told, unless it is older than sightings are kept.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tills_told(&self) -> Result<Vec<Told>, EngineError> {
        if !self.is_shared() {
            return Ok(Vec::new());
        }
        let kept_ms = i64::from(self.options.sightings_days) * crate::domain::time::DAY_MS;
        let oldest = self.clock.now().plus_ms(-kept_ms);
        let own = keys::tills(self.journal.process());
        let found = self.keeper().scan(CATALOGUE, &keys::all_tills(), None, PROCESSES_MAX).await?;
        let mut heard = Vec::new();
        for (_, value) in found.iter().filter(|(key, _)| *key != own) {
            let (at, told): (Timestamp, Told) = record::decode(value)?;
            if at >= oldest {
                heard.push(told);
            }
        }
        Ok(heard)
    }
}
