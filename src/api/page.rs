//! Pages of lists: `?limit=&cursor=`. A cursor is ours to read: callers pass it back as
//! they got it.

use super::read;
use super::reply::{self, Reply};
use crate::wire::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Entries when the caller does not say.
const LIMIT_DEFAULT: usize = 50;
/// Most entries of a page.
pub(super) const LIMIT_MAX: usize = 200;

/// What part of a list is asked for.
#[derive(Debug)]
pub(crate) struct Page<C> {
    /// At most so many entries.
    pub limit: usize,
    /// After which place; `None` from the start.
    pub after: Option<C>,
}

/// Reads limit and cursor.
pub(crate) fn page<C: DeserializeOwned>(request: &Request) -> Result<Page<C>, Reply> {
    let limit = limit(request)?;
    let after = match read::query(request, "cursor")? {
        None => None,
        Some(text) => {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok();
            Some(bytes.and_then(|bytes| crate::record::decode(&bytes).ok()).ok_or_else(bad_cursor)?)
        }
    };
    Ok(Page { limit, after })
}

/// Reads how many entries are asked for.
pub(super) fn limit(request: &Request) -> Result<usize, Reply> {
    let Some(text) = read::query(request, "limit")? else { return Ok(LIMIT_DEFAULT) };
    text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit)).ok_or_else(|| {
        reply::unreadable("unreadable", "limit", format!("must be a whole number from 1 to {LIMIT_MAX}"))
    })
}

/// The place where the next page begins.
pub(crate) fn cursor(place: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(crate::record::encode(place))
}

/// 400: not a cursor of this list.
pub(super) fn bad_cursor() -> Reply {
    reply::unreadable(
        "unreadable",
        "cursor",
        "pass on `next_cursor` of the page before, of the same list, or leave it out",
    )
}
