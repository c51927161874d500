//! The operator's door for a source's own messages: files for backfill, without signatures.

use super::reply::{self, Reply};
use super::{Doors, access, read};
use crate::authenticate::keys::Role::Operator;
use crate::ingest::lines::Lines;
use crate::ingest::tally::Tally;
use crate::ingest::{Intake, PACK_DOCUMENTS_MAX};
use crate::pipeline::Source;
use crate::wire::Request;
use bytes::Bytes;
use hyper::header::CONTENT_TYPE;
use matchit::Params;
use serde::{Deserialize, Serialize};

/// Takes nothing besides the lines.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Nothing {}

/// The source that the path names, with its name.
pub(super) fn source<'d>(doors: &'d Doors, params: &Params<'_, '_>) -> Result<&'d Source, Reply> {
    let name = read::part(params, "source")?;
    let none = || reply::not_found("no source has this name; an operator configures it under [[sources]]");
    doors.sources.get(&name).ok_or_else(none)
}

/// Takes messages of a source by an operator's authority in place of a signature.
///
/// One JSON document per line (at most 500), each one a body as the source would post it. Same
/// path and same identity as a webhook, so whatever is taken twice counts once. The answer
/// counts; lines under `later` must be sent again, lines under `lost` must be corrected first.
#[utoipa::path(
    post, path = "/v1/sources/{source}/ingest", operation_id = "ingest", tag = "Operations",
    params(
        ("source" = String, Path, description = "A configured source"),
        ("Idempotency-Key" = Option<String>, Header, description = "Allowed; events have identities, so that the same lines have one effect anyway"),
    ),
    request_body(content = String, content_type = "application/x-ndjson", description = "One message per line, in the source's format"),
    responses((status = 200, description = "What became of the lines, numbered from 1", body = Tally)),
)]
pub(super) async fn post(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator])?;
    let source = source(doors, params)?;
    if !read::is_json(request) && !is_lines(request) {
        return Err(reply::wrong_lines());
    }
    read::named(request, &caller, &Nothing::default(), false)?;
    // The body is here, within its bound: no line of it is too long.
    let mut lines = Lines::new(&request.body[..], usize::MAX, 0, 0);
    let unread = |error: std::io::Error| reply::unreadable("unreadable", "", error.to_string());
    let mut given = Vec::new();
    while let Some(pack) = lines.pack().map_err(unread)? {
        given.extend(pack.lines);
        if given.len() > PACK_DOCUMENTS_MAX {
            let detail = format!("has more than {PACK_DOCUMENTS_MAX} lines; send the rest in further requests");
            return Err(reply::impossible("too_many", "", detail));
        }
    }
    tracing::info!(
        request = %request.id, key = %caller.key_id, source = %source.name, lines = given.len(),
        "an operator gives messages of a source"
    );
    let intake = Intake { engine: &doors.engine, source, health: &doors.health };
    let documents: Vec<Bytes> = given.iter().map(|line| line.bytes.clone()).collect();
    let taken = intake.take(&documents).await;
    let mut tally = Tally::default();
    for (line, taken) in given.iter().zip(&taken) {
        tally.count(line.number, taken);
    }
    Ok(Reply::ok(&tally))
}

fn is_lines(request: &Request) -> bool {
    let given = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim();
    ["application/x-ndjson", "application/jsonl", "application/x-jsonlines"]
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known))
}
