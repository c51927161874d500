//! Who is meant by what somebody types into the search: a member's id, a card's token, or an
//! identifier that members share. Tokens and identifiers are known by their hashes alone.

use crate::api::Doors;
use crate::api::reply::Reply;
use crate::console::words;
use crate::domain::MemberId;

/// Kinds of identifiers that are looked for.
const KINDS: [&str; 6] = ["device", "payout", "phone", "email", "address", "ip"];
/// Members that are shown.
pub(super) const FOUND_MAX: usize = 100;

/// A member, and what led to them.
pub(super) struct Found {
    /// Who.
    pub member: MemberId,
    /// In words.
    pub by: String,
}

/// Everybody whom a text leads to.
pub(super) async fn find(doors: &Doors, text: &str) -> Result<Vec<Found>, Reply> {
    let engine = &doors.engine;
    let mut found: Vec<Found> = Vec::new();
    let mut add = |member: MemberId, by: &str| {
        if found.len() < FOUND_MAX && !found.iter().any(|known| known.member == member) {
            found.push(Found { member, by: by.to_owned() });
        }
    };
    if let Ok(member) = MemberId::new(text)
        && engine.load(&member).await?.is_some()
    {
        add(member, "member");
    }
    for source in doors.sources.values() {
        for claim in engine.card_claims(engine.card_hash(&source.name, text)).await? {
            let was = if claim.to.is_some() { "had a card" } else { "card" };
            add(claim.member, &format!("{was} of {}", source.name));
        }
    }
    for kind in KINDS {
        let hash = engine.link_hash(kind, text);
        doors.screener.sharing(kind, &hash, FOUND_MAX).into_iter().for_each(|member| add(member, &words::kind(kind)));
    }
    Ok(found)
}
