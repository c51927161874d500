//! Who holds a card, of cards that one member alone ever held: remembered, so that most events ask
//! no index. What is remembered is what the index said; a member's own state says whether the card
//! is theirs, and in a shared store a commit that rests on what is not so any more is refused.

use super::{Engine, EngineError};
use crate::domain::{CardHash, MemberId, Timestamp};
use crate::record::MemberInput;
use crate::store::keys::CardClaim;
use std::sync::Arc;

/// Cards whose holder is remembered: thirty megabytes at the most.
const HOLDERS_MAX: usize = 262_144;

/// See the module.
pub(super) struct Holders(quick_cache::sync::Cache<CardHash, Arc<CardClaim>>);

impl Default for Holders {
    fn default() -> Self {
        Self(quick_cache::sync::Cache::new(HOLDERS_MAX))
    }
}

impl Holders {
    /// Forgets a card; whoever asks the index about it meanwhile does not remember what it said.
    fn forget(&self, card: CardHash) {
        self.0.remove(&card);
    }
    /// Forgets all of them.
    pub(super) fn clear(&self) {
        self.0.clear();
    }
    /// Forgets the cards that a committed input gave to others.
    pub(super) fn forget_changed(&self, input: &MemberInput) {
        match input {
            MemberInput::CardLinked { link, replaces } => {
                self.forget(link.card);
                replaces.iter().for_each(|card| self.forget(*card));
            }
            MemberInput::CardUnlinked { card, .. } => self.forget(*card),
            _ => {}
        }
    }
}

impl Engine {
    /// Who holds a card at a time, when nobody else ever held it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remembered_holder(&self, card: CardHash, at: Timestamp) -> Result<Option<MemberId>, EngineError> {
        let claim = match self.holders.0.get_value_or_guard_async(&card).await {
            Ok(claim) => claim,
            Err(guard) => {
                let claims = self.card_claims(card).await?;
                let [only] = claims.as_slice() else { return Ok(None) };
                let claim = Arc::new(only.clone());
                // Refused when the card was forgotten since: then the index may say otherwise by now.
                let _ = guard.insert(Arc::clone(&claim));
                claim
            }
        };
        Ok(claim.holds(at).then(|| claim.member.clone()))
    }

    /// Asks the index for a card's holder the next time.
    pub fn forget_holder(&self, card: CardHash) {
        self.holders.forget(card);
    }
}
