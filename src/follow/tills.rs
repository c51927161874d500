//! Reading what was bought at rivals' tills: this process' own sightings, and what those who share
//! the store tell of theirs. A till that cannot be read now is read by the next pass.

use crate::domain::MerchantId;
use crate::domain::merchant::Competitor;
use crate::engine::{Engine, EngineError};
use crate::pipeline::Chain;
use crate::sightings::tills::{Tills, Told};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What is known of rivals' tills, kept from pass to pass.
#[derive(Debug, Default)]
pub(super) struct Watched(Mutex<(Tills, Option<Told>)>);

impl Watched {
    /// Reads on, and returns what is known, of all processes. Blocks on the disk and the store.
    pub(super) fn read(
        &self,
        engine: &Arc<Engine>,
        runtime: &tokio::runtime::Handle,
        rivals: &BTreeMap<MerchantId, Vec<Competitor>>,
    ) -> Tills {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = read_own(&mut known.0, engine, runtime, rivals) {
            tracing::warn!(error = %Chain(&error), "competitors' tills could not be read; the next pass goes on");
        }
        let mut all = known.0.clone();
        match runtime.block_on(engine.tills_told()) {
            Ok(told) => told.into_iter().for_each(|told| all.hear(told)),
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "other processes could not be asked for competitors' tills");
            }
        }
        all
    }

    /// Reads on, and tells the process that screens, when there is anything new to tell.
    pub(super) fn tell(
        &self,
        engine: &Arc<Engine>,
        runtime: &tokio::runtime::Handle,
        rivals: &BTreeMap<MerchantId, Vec<Competitor>>,
    ) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let done = read_own(&mut known.0, engine, runtime, rivals).and_then(|()| {
            let told = known.0.told();
            if known.1.as_ref() != Some(&told) {
                runtime.block_on(engine.tell_tills(&told))?;
                known.1 = Some(told);
            }
            Ok(())
        });
        if let Err(error) = done {
            tracing::warn!(error = %Chain(&error), "what was seen at competitors' tills could not be told");
        }
    }
}

fn read_own(
    tills: &mut Tills,
    engine: &Arc<Engine>,
    runtime: &tokio::runtime::Handle,
    rivals: &BTreeMap<MerchantId, Vec<Competitor>>,
) -> Result<(), EngineError> {
    let Some(sightings) = engine.sightings() else { return Ok(()) };
    let mids = || rivals.values().flatten().flat_map(|rival| &rival.mids);
    // Where nobody declared a till, nothing waits for the disk.
    let settled = if mids().next().is_some() { runtime.block_on(sightings.settled())? } else { Vec::new() };
    Ok(tills.read(sightings, &settled, mids())?)
}
