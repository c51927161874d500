//! Which merchant a page is about: a merchant's own, or the one that an operator names.

use crate::api::reply::{self, Reply};
use crate::api::{Doors, merchants, read};
use crate::console::page::{Visitor, encoded};
use crate::domain::MerchantId;
use crate::domain::merchant::Merchant;

/// The merchant of a page.
pub(super) struct Whose {
    /// Who.
    pub id: MerchantId,
    /// Version of the document.
    pub version: u64,
    /// The document.
    pub merchant: Merchant,
    /// What addresses of the page say besides: empty for a merchant's own.
    pub query: String,
}

/// The merchant that is meant; `None` when an operator has named none yet.
pub(super) async fn whose(doors: &Doors, visitor: &Visitor<'_>) -> Result<Option<Whose>, Reply> {
    let asked = read::query(visitor.request, "merchant")?.filter(|text| !text.is_empty());
    let asked = asked.map(MerchantId::new).transpose().map_err(|_| no_merchant())?;
    let query = asked.as_ref().map_or_else(String::new, |id| format!("?merchant={}", encoded(id.as_str())));
    let Some(id) = asked.or_else(|| visitor.caller.merchant.clone()) else { return Ok(None) };
    let (version, merchant) = merchants::seen(doors, &visitor.caller, &id).await?;
    Ok(Some(Whose { id, version, merchant, query }))
}

/// As [`whose`], where one must be named.
pub(super) async fn named(doors: &Doors, visitor: &Visitor<'_>) -> Result<Whose, Reply> {
    whose(doors, visitor).await?.ok_or_else(no_merchant)
}

fn no_merchant() -> Reply {
    reply::not_found("there is no such merchant")
}
