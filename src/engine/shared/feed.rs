//! The catalogue as others change it: each process looks at the list of changes a few times a
//! second, reads what it lacks, and swaps its snapshot. A list that is shorter than it was is
//! one of a store that forgot: then everything is read again.

use super::super::{Engine, EngineError, start};
use super::lock;
use crate::domain::merchant::Merchant;
use crate::domain::offer::Offer;
use crate::store::{CATALOGUE, keys};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Changes read at a time.
const PAGE: usize = 512;

impl Engine {
    /// Brings the catalogue up to date with what others wrote; nothing to do where the store is
    /// this process' alone. Returns how many documents came.
    ///
    /// # Errors
    /// When Redis does not answer: commits then stop within two seconds.
    pub async fn read_changes(self: &Arc<Self>) -> Result<usize, EngineError> {
        let Some(shared) = self.shared() else { return Ok(0) };
        let begun = Instant::now();
        let mut read = 0;
        let known = shared.change.load(Ordering::Acquire);
        if shared.redis.newest_change().await? < known {
            read = self.read_catalogue_again().await?;
        } else {
            loop {
                let after = shared.change.load(Ordering::Acquire);
                let page = shared.redis.changes(after, PAGE).await?;
                let Some((_, newest)) = page.last() else { break };
                let names: Vec<Vec<u8>> = page.iter().map(|(name, _)| name.clone()).collect();
                let _editing = self.editing.lock().await;
                let documents = self.keeper().read(CATALOGUE, &names).await?;
                for (name, document) in names.iter().zip(documents) {
                    let Some(document) = document else { continue };
                    self.take_document(name, &document)?;
                    read += 1;
                }
                shared.change.store(*newest, Ordering::Release);
                if page.len() < PAGE {
                    break;
                }
            }
        }
        *lock(&shared.fresh) = begun;
        Ok(read)
    }

    fn take_document(self: &Arc<Self>, name: &[u8], document: &[u8]) -> Result<(), EngineError> {
        match name.first() {
            Some(b'M') => {
                let merchant: Merchant = keys::of_document(document)?.1;
                self.swap(|known, revision| known.with_merchant(Arc::new(merchant), revision));
            }
            Some(b'O') => {
                let offer: Offer = keys::of_document(document)?.1;
                self.swap_offer(offer);
            }
            _ => {}
        }
        Ok(())
    }

    async fn read_catalogue_again(self: &Arc<Self>) -> Result<usize, EngineError> {
        let Some(shared) = self.shared() else { return Ok(0) };
        tracing::warn!(
            "the list of changes of the catalogue is shorter than it was: the whole catalogue is read again"
        );
        let _editing = self.editing.lock().await;
        let newest = shared.redis.newest_change().await?;
        let revision = self.catalogue().revision() + 1;
        let read = start::read_catalogue(self.keeper(), revision).await?;
        let read = read.with_descriptor_confidence_min(self.options.descriptor_confidence_min);
        self.snapshot.store(Arc::new(read));
        shared.change.store(newest, Ordering::Release);
        Ok(0)
    }
}
