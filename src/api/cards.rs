//! Doors for linking cards. A card is a token of its source; card numbers never come in.

use super::check::{self, Fault};
use super::reply::{self, Reply};
use super::{Doors, access, members, read};
use crate::authenticate::keys::Role::{App, Operator};
use crate::domain::{CardHash, MemberId, SourceName, Timestamp};
use crate::engine::acts::{ActError, Linking};
use crate::wire::Request;
use hyper::StatusCode;
use matchit::Params;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 256;

/// How a card is linked.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct LinkingDocument {
    /// Purchases from here count; without it from now. The past is an operator's to say.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub from: Option<Timestamp>,
    /// The same physical card as another source knows it: one of both is credited.
    #[serde(default)]
    pub same_card_as: Option<OtherCard>,
    /// A card of this member that ends where this one begins.
    #[serde(default)]
    pub replaces: Option<OtherCard>,
}

/// From when a card is unlinked.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct UnlinkingDocument {
    /// Purchases before here count; without it before now. The past is an operator's to say.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub from: Option<Timestamp>,
}

/// Another card of the same member.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct OtherCard {
    /// Whose token.
    #[schema(value_type = String)]
    pub source: SourceName,
    /// The token.
    pub token: String,
}

impl std::fmt::Debug for OtherCard {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OtherCard").field("source", &self.source).finish_non_exhaustive()
    }
}

/// A card as it is linked.
#[derive(Debug, Serialize, ToSchema)]
pub struct LinkedCard {
    /// Whose token.
    pub source: String,
    /// Purchases from here count.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Cards of the same number are one physical card known to several sources.
    pub same_card: u32,
}

/// Links a card.
///
/// A token means something only within its source. A card has one owner at a time.
#[utoipa::path(
    put, path = "/v1/members/{id}/cards/{source}/{token}", operation_id = "put_card", tag = "Members",
    params(
        ("id" = String, Path, description = "Your id of the member"),
        ("source" = String, Path, description = "A configured source"),
        ("token" = String, Path, description = "The source's token of the card, percent-encoded; never a card number"),
    ),
    request_body(content = Option<LinkingDocument>),
    responses(
        (status = 200, description = "Linked already", body = LinkedCard),
        (status = 201, description = "Linked", body = LinkedCard),
    ),
)]
pub(super) async fn put(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, App])?;
    let (member, source, token) = named(params)?;
    let document: LinkingDocument = read::document_or_default(request)?;
    if !doors.sources.contains_key(source.as_str()) {
        return Err(reply::not_found("no source has this name; an operator configures it under [[sources]]"));
    }
    let engine = &doors.engine;
    let before = members::known(doors, &member).await?;
    let card = engine.card_hash(&source, &token);
    let linked = before.head.cards.iter().any(|link| link.card == card && link.to.is_none());
    read::counts_from(&caller, "from", document.from, engine.clock.now(), linked)?;
    let other = |path: &str, other: Option<OtherCard>| -> Result<Option<CardHash>, Reply> {
        let Some(OtherCard { source, token: given }) = other else { return Ok(None) };
        let other = engine.card_hash(&source, &self::token(&format!("{path}.token"), &given)?);
        if other == card {
            return Err(Fault::contradiction(path, "is the card itself; name another one").into());
        }
        if !before.head.cards.iter().any(|link| link.card == other) {
            return Err(Fault::new("unknown_card", path, "this member has no such card; link it first").into());
        }
        Ok(Some(other))
    };
    let same_card_as = other("same_card_as", document.same_card_as)?;
    let replaces = other("replaces", document.replaces)?;
    let linking = Linking { source: source.clone(), token, from: document.from, same_card_as, replaces };
    let (state, created) = engine.link_card(&member, linking).await?;
    if created && document.from.is_some() {
        // Since a time in the past: what was seen of the card since then is its member's.
        if let Some(job) = engine.job_of_linking(&state) {
            doors.again.finish(engine, job).await?;
        }
    }
    let link = state.head.cards.iter().rev().find(|link| link.card == card).ok_or(ActError::UnknownCard)?;
    let view = LinkedCard { source: source.to_string(), from: link.from, same_card: link.group };
    Ok(Reply::json(if created { StatusCode::CREATED } else { StatusCode::OK }, &view, None))
}

/// Unlinks a card.
///
/// Refunds and clearings of purchases made before still count.
#[utoipa::path(
    delete, path = "/v1/members/{id}/cards/{source}/{token}", operation_id = "delete_card", tag = "Members",
    params(
        ("id" = String, Path, description = "Your id of the member"),
        ("source" = String, Path, description = "The token's source"),
        ("token" = String, Path, description = "The source's token of the card, percent-encoded"),
    ),
    request_body(content = Option<UnlinkingDocument>),
    responses((status = 204, description = "Unlinked, or so already")),
)]
pub(super) async fn delete(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, App])?;
    let (member, source, token) = named(params)?;
    let document: UnlinkingDocument = read::document_or_default(request)?;
    let engine = &doors.engine;
    let card = engine.card_hash(&source, &token);
    let before = members::known(doors, &member).await?;
    let unlinked =
        before.head.cards.iter().any(|link| link.card == card && link.to.is_some() && link.to == document.from);
    read::counts_from(&caller, "from", document.from, engine.clock.now(), unlinked)?;
    engine.unlink_card(&member, card, document.from).await?;
    Ok(Reply::Empty)
}

/// Whose card of which source a path names.
pub(super) fn named(params: &Params<'_, '_>) -> Result<(MemberId, SourceName, String), Reply> {
    let (member, source) = (read::id(params, "id")?, read::id(params, "source")?);
    Ok((member, source, token("token", &read::part(params, "token")?)?))
}

/// A token: an identifier that is no card number.
fn token(path: &str, text: &str) -> Result<String, Reply> {
    check::identifier(path, text, TOKEN_BYTES_MAX)?;
    check::no_card_number(path, text)?;
    Ok(text.to_owned())
}
