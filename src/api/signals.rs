//! The door for signals: what a member did that is no purchase.

use super::check::{self, Fault};
use super::reply::Reply;
use super::{Doors, access, read};
use crate::authenticate::keys::Role::{App, Operator};
use crate::domain::purchase::{SIGNAL, entry_key};
use crate::domain::time::DAY_MS;
use crate::domain::{Code, MemberId, OfferId, PurchaseId, Timestamp};
use crate::engine::signal::Signalling;
use crate::record::Signal;
use crate::wire::Request;
use hyper::StatusCode;
use matchit::Params;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Longest name of a signal, in bytes.
const ID_BYTES_MAX: usize = 100;

/// What a member did.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct SignalDocument {
    /// What, in your words: up to 24 lower-case letters, digits and dashes. An underscore is
    /// read as a dash.
    #[schema(example = "review-posted")]
    pub kind: String,
    /// The one offer it concerns; without it every offer that asks for its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub offer: Option<OfferId>,
    /// When; without it now. The past is an operator's to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    /// Your name of it: the same again has one effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// A signal as it was taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignalView {
    /// Its name.
    pub id: String,
    /// What.
    pub kind: String,
    /// The one offer it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer: Option<String>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Whether an offer asks for such signals; else it is counted and no more.
    pub asked_for: bool,
}

/// Tells what a member did.
///
/// A signal counts for offers that ask for its kind when it comes; any other is counted.
#[utoipa::path(
    post, path = "/v1/members/{id}/signals", operation_id = "post_signal", tag = "Members",
    params(
        ("id" = String, Path, description = "Your id of the member"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters"),
    ),
    request_body = SignalDocument,
    responses((status = 201, description = "Taken, now or before", body = SignalView)),
)]
pub(super) async fn post(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, App])?;
    let member: MemberId = read::id(params, "id")?;
    let document: SignalDocument = read::document(request)?;
    let engine = &doors.engine;
    let now = engine.clock.now();
    let named = read::named(request, &caller, &document, false)?;
    let said = signalling(document, now, now.plus_ms(-i64::from(engine.options.retention_days) * DAY_MS))?;
    let before = engine.load(&member).await?;
    let known = said.id.as_ref().is_some_and(|id| {
        let key = entry_key(SIGNAL, id.clone());
        let place = before.as_ref().and_then(|member| Some((member, member.find(&key)?)));
        place.is_some_and(|(member, place)| Some(member.purchases[place].time) == said.at)
    });
    read::counts_from(&caller, "at", said.at, now, known)?;
    if said.offer.as_ref().is_some_and(|offer| engine.catalogue_now().offer(offer).is_none()) {
        return Err(Fault::bad("offer", "there is no such offer; name one, or leave it out").into());
    }
    let answer = |signal: &Signal| {
        let view = SignalView {
            id: signal.id.to_string(),
            kind: signal.kind.to_string(),
            offer: signal.offer.as_ref().map(ToString::to_string),
            at: signal.at,
            asked_for: signal.entry,
        };
        serde_json::to_string(&view).expect("our documents have a JSON form")
    };
    let answer = engine.signal(&member, said, named, answer).await?;
    Ok(Reply::json_text(StatusCode::CREATED, answer))
}

/// What the document means.
fn signalling(document: SignalDocument, now: Timestamp, oldest: Timestamp) -> Result<Signalling, Fault> {
    let SignalDocument { kind, offer, at, id } = document;
    let kind = Code::parse(&kind.replace('_', "-")).map_err(|_| {
        let detail = "must be a short name: 1 to 24 lower-case letters, digits and dashes or underscores between \
                      them, such as review-posted";
        Fault::bad("kind", detail)
    })?;
    let id = id.map(|id| {
        let id = check::text("id", &id, ID_BYTES_MAX)?;
        PurchaseId::new(id).map_err(|error| Fault::bad("id", error.to_string()))
    });
    if let Some(at) = at {
        if at > now.plus_days(1) {
            return Err(Fault::bad("at", "lies in the future; leave it out for now"));
        }
        if at < oldest {
            return Err(Fault::bad("at", format!("lies before {oldest}, from when on facts are kept")));
        }
    }
    Ok(Signalling { kind, offer, at, id: id.transpose()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::read::{Unread, parse};

    fn read(text: &str) -> Result<Signalling, Fault> {
        let now = Timestamp::parse("2026-11-21T00:00:00Z").unwrap();
        match parse::<SignalDocument>(text.as_bytes()) {
            Ok(document) => signalling(document, now, now.plus_ms(-DAY_MS * 578)),
            Err(Unread::Fault(fault)) => Err(fault),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_fault_has_its_place_and_underscores_are_dashes() {
        for (text, code, path) in [
            (r#"{}"#, "missing_field", "kind"),
            (r#"{"kind":"Review"}"#, "bad_value", "kind"),
            (r#"{"kind":"_"}"#, "bad_value", "kind"),
            (r#"{"kind":"login","at":"2026-11-23T00:00:00Z"}"#, "bad_value", "at"),
            (r#"{"kind":"login","at":"2020-01-01T00:00:00Z"}"#, "bad_value", "at"),
            (r#"{"kind":"login","id":""}"#, "bad_value", "id"),
            (r#"{"kind":"login","id":"4242424242424242"}"#, "card_number", "id"),
            (r#"{"kind":"login","source":"x"}"#, "unknown_field", "source"),
        ] {
            let fault = read(text).expect_err(text);
            assert_eq!((fault.code, fault.path.as_str()), (code, path), "{text}: {}", fault.detail);
        }
        assert_eq!(read(r#"{"kind":"offer_viewed"}"#).unwrap().kind.as_str(), "offer-viewed");
    }
}
