//! Doors for what could not be understood: look at it, and try again once it can be.

use super::reply::{self, Reply};
use super::{Doors, access, page, read, webhooks};
use crate::authenticate::VerifiedBody;
use crate::authenticate::keys::Caller;
use crate::authenticate::keys::Role::Operator;
use crate::domain::Timestamp;
use crate::pipeline::{self, Refused};
use crate::record::DeadLetter;
use crate::wire::Request;
use matchit::Params;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// Most bytes of messages on one page: a page ends early when they are many.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// Dead letters, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShelfPage {
    /// The page; shorter than asked for when messages are long.
    pub dead_letters: Vec<LetterView>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// A genuine message that could not be understood.
#[derive(Debug, Serialize, ToSchema)]
pub struct LetterView {
    /// Its number.
    pub id: u64,
    /// Who sent it.
    pub source: String,
    /// When it came.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Timestamp,
    /// Why it could not be understood: a stable code.
    pub code: String,
    /// Where in it.
    pub path: String,
    /// In words.
    pub detail: String,
    /// The message with card numbers masked; absent when it was too large to keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// What became of a dead letter.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayView {
    /// Its number.
    pub id: u64,
    /// It is off the shelf.
    pub settled: bool,
    /// One per event, in order: an outcome, or a problem.
    #[schema(value_type = Vec<Object>)]
    pub results: Vec<Box<RawValue>>,
}

/// Takes nothing.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Nothing {}

/// What could not be understood, oldest first.
#[utoipa::path(
    get, path = "/v1/dead-letters", operation_id = "list_dead_letters", tag = "Operations",
    params(
        ("limit" = Option<u8>, Query, description = "1 to 200, 50 when not given"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = ShelfPage)),
)]
pub(super) async fn list(doors: &Doors, request: &Request) -> Result<Reply, Reply> {
    access::one_of(doors, request, &[Operator])?;
    Ok(Reply::ok(&listed(doors, &page::page::<u64>(request)?).await?))
}

/// A page of the shelf.
pub(crate) async fn listed(doors: &Doors, page: &page::Page<u64>) -> Result<ShelfPage, Reply> {
    let found = doors.engine.dead_letters(page.after.unwrap_or(0), page.limit).await?;
    let mut more = found.len() == page.limit;
    let mut bytes = 0;
    let mut dead_letters: Vec<LetterView> = Vec::new();
    for letter in found {
        bytes += letter.body.as_ref().map_or(0, Vec::len);
        if bytes > PAGE_BYTES_MAX && !dead_letters.is_empty() {
            more = true;
            break;
        }
        dead_letters.push(view(letter));
    }
    let next_cursor = dead_letters.last().filter(|_| more).map(|letter| page::cursor(&letter.id));
    Ok(ShelfPage { dead_letters, next_cursor })
}

fn view(letter: DeadLetter) -> LetterView {
    LetterView {
        id: letter.id,
        source: letter.source.to_string(),
        received_at: letter.received_at,
        code: letter.code,
        path: letter.path,
        detail: letter.detail,
        body: letter.body.map(|body| String::from_utf8_lossy(&body).into_owned()),
    }
}

/// Takes a dead letter through the whole path again.
///
/// It leaves the shelf when its events are kept now. One that still cannot be understood
/// goes back onto the shelf under a new number. Safe to repeat: events have identities,
/// and a letter that is off the shelf is not found.
#[utoipa::path(
    post, path = "/v1/dead-letters/{id}/replay", operation_id = "replay_dead_letter", tag = "Operations",
    params(
        ("id" = u64, Path, description = "Its number"),
        ("Idempotency-Key" = Option<String>, Header, description = "Allowed; a replay takes no body, so it is by itself the same every time"),
    ),
    responses((status = 200, description = "Replayed", body = ReplayView)),
)]
pub(super) async fn replay(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator])?;
    let id: u64 = read::id(params, "id")?;
    // No body to differ in, so the key has nothing to tell apart; it is checked all the same.
    let nothing: Nothing = read::document_or_default(request)?;
    read::named(request, &caller, &nothing, false)?;
    Ok(Reply::ok(&replayed(doors, &caller, request, id).await?))
}

/// Replays a letter by an operator's word.
pub(crate) async fn replayed(doors: &Doors, caller: &Caller, request: &Request, id: u64) -> Result<ReplayView, Reply> {
    let engine = &doors.engine;
    let none = || reply::not_found("no dead letter has this number; it may have been replayed already");
    let letter = engine.dead_letter(id).await?.ok_or_else(none)?;
    let body = letter.body.ok_or_else(|| {
        reply::conflict("message_not_kept", "the message was too large to keep; ask its sender for it again")
    })?;
    let source = doors.sources.get(letter.source.as_str()).ok_or_else(|| {
        reply::conflict("source_not_configured", "its source is no longer configured; configure it under [[sources]]")
    })?;
    tracing::info!(request = %request.id, key = %caller.key_id, letter = id, "an operator replays a dead letter");
    let received = pipeline::receive(engine, source, &VerifiedBody::by_operator(body.into())).await;
    let received = received.map_err(webhooks::unreadable)?;
    doors.health.note(source.index, &received, engine.clock.now());
    let kept = |result: &Result<_, Refused>| match result {
        Ok(_) | Err(Refused::Conflict { .. }) => true,
        Err(Refused::Impossible { kept, .. }) => *kept,
        Err(Refused::NotNow(_)) => false,
    };
    if received.results.iter().any(|result| matches!(result, Err(Refused::NotNow(_)))) {
        return Err(reply::come_back("replay it again; events that were kept are recognised"));
    }
    let settled = received.results.iter().all(kept);
    if settled {
        engine.unshelve(id, format!("replayed by {}", caller.key_id)).await?;
    }
    Ok(ReplayView { id, settled, results: webhooks::results(&received) })
}
