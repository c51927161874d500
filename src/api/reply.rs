//! Answers: the one place that knows HTTP statuses. Choose by what the caller should do:
//! fix it (400, 422), check the secret (401), investigate (409), slow down (429), come
//! back with the same request (503).

use crate::engine::EngineError;
use crate::engine::acts::ActError;
use crate::engine::catalogue::EditError;
use crate::wire::{Problem, ProblemEntry, RequestId};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, ETAG, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use std::borrow::Cow;

/// Every code a refusal may have, in order.
pub const CODES: [&str; 60] = [
    "amount_negative",
    "amount_not_exact",
    "amount_not_integer",
    "amount_sign",
    "amount_too_large",
    "amount_zero",
    "bad_amount",
    "bad_country",
    "bad_identifier",
    "bad_mcc",
    "bad_sequence",
    "bad_time",
    "bad_value",
    "batch_empty",
    "batch_too_large",
    "birthday_changed",
    "body_broken",
    "body_too_large",
    "body_too_slow",
    "card_linked_elsewhere",
    "card_number",
    "connections_full",
    "contradiction",
    "duplicate_key",
    "event_differs",
    "headers_too_many",
    "idempotency_key_missing",
    "idempotency_key_reused",
    "internal",
    "member_erased",
    "message_not_kept",
    "method_not_allowed",
    "missing_field",
    "not_allowed",
    "not_authenticated",
    "not_enough_available",
    "not_found",
    "not_in_this_state",
    "not_json",
    "not_now",
    "offer_keeps_currency",
    "offer_of_other_merchant",
    "overloaded",
    "payments_wait",
    "source_not_configured",
    "too_long",
    "too_many",
    "too_many_requests",
    "unit_of_other_merchant",
    "unknown_card",
    "unknown_channel",
    "unknown_currency",
    "unknown_field",
    "unknown_status",
    "unknown_type",
    "unreadable",
    "version_differs",
    "wrong_media_type",
    "wrong_shape",
    "wrong_type",
];

/// What is answered.
#[derive(Debug)]
pub enum Reply {
    /// A JSON document.
    Json {
        /// 200, 201 or 202.
        status: StatusCode,
        /// The document.
        body: Bytes,
        /// Its version, as an entity tag.
        version: Option<u64>,
    },
    /// Anything else that is not an error.
    Text {
        /// Of which type.
        content_type: Cow<'static, str>,
        /// The bytes.
        body: Bytes,
    },
    /// Done, nothing to say.
    Empty,
    /// Look there instead.
    Elsewhere(&'static str),
    /// A page for people, as it goes out.
    Page(Box<Response<Full<Bytes>>>),
    /// Not done, and why.
    Problem(Box<Problem>),
}

impl Reply {
    /// 200 with a document.
    #[must_use]
    pub fn ok(value: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, value, None)
    }
    /// 201 when something new was made, 200 otherwise, with the document and its version.
    #[must_use]
    pub fn put(created: bool, value: &impl Serialize, version: u64) -> Self {
        Self::json(if created { StatusCode::CREATED } else { StatusCode::OK }, value, Some(version))
    }
    /// 200 with a document and its version.
    #[must_use]
    pub fn versioned(value: &impl Serialize, version: u64) -> Self {
        Self::json(StatusCode::OK, value, Some(version))
    }
    /// A document.
    #[must_use]
    pub fn json(status: StatusCode, value: &impl Serialize, version: Option<u64>) -> Self {
        let body = serde_json::to_vec(value).expect("our documents have a JSON form");
        Self::Json { status, body: body.into(), version }
    }
    /// A document that is JSON text already.
    #[must_use]
    pub fn json_text(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self::Json { status, body: body.into(), version: None }
    }
    /// The status, for counters.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Json { status, .. } => status.as_u16(),
            Self::Text { .. } => 200,
            Self::Empty => 204,
            Self::Elsewhere(_) => 308,
            Self::Page(page) => page.status().as_u16(),
            Self::Problem(problem) => problem.status.as_u16(),
        }
    }
    /// As bytes on the wire.
    #[must_use]
    pub fn into_response(self, request: &RequestId) -> Response<Full<Bytes>> {
        let with = |status: StatusCode, content_type: &'static str, body: Bytes| {
            let mut response = Response::new(Full::new(body));
            *response.status_mut() = status;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            response
        };
        match self {
            Self::Json { status, body, version } => {
                let mut response = with(status, "application/json", body);
                if let Some(tag) = version.and_then(|v| HeaderValue::from_str(&format!("\"{v}\"")).ok()) {
                    response.headers_mut().insert(ETAG, tag);
                }
                response
            }
            Self::Text { content_type, body } => {
                let mut response = with(StatusCode::OK, "application/octet-stream", body);
                if let Ok(value) = HeaderValue::from_str(&content_type) {
                    response.headers_mut().insert(CONTENT_TYPE, value);
                }
                response
            }
            Self::Empty => {
                let mut response = Response::new(Full::default());
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            Self::Elsewhere(place) => {
                let mut response = with(StatusCode::PERMANENT_REDIRECT, "text/plain", Bytes::new());
                response.headers_mut().insert(hyper::header::LOCATION, HeaderValue::from_static(place));
                response
            }
            Self::Page(page) => *page,
            Self::Problem(problem) => problem.to_response(request),
        }
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

fn problem(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Reply {
    Problem::new(status, code, title).with_detail(detail.into()).into()
}

/// 400: the request cannot be read.
#[must_use]
pub fn unreadable(code: &'static str, field: &str, detail: impl Into<String>) -> Reply {
    with_field(Problem::new(StatusCode::BAD_REQUEST, code, "The request cannot be read"), field, detail)
}
/// 422: readable but impossible.
#[must_use]
pub fn impossible(code: &'static str, field: &str, detail: impl Into<String>) -> Reply {
    with_field(
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, "The request is readable but impossible"),
        field,
        detail,
    )
}
/// 422 for several reasons, at least one: the first as by [`impossible`], and all as `errors`.
#[must_use]
pub fn impossible_for_all(mut reasons: Vec<(&'static str, String, String)>) -> Reply {
    if reasons.len() == 1 {
        let (code, field, detail) = reasons.remove(0);
        return impossible(code, &field, detail);
    }
    let Some((code, field, detail)) = reasons.first().cloned() else {
        return impossible("bad_value", "", "the document cannot be meant");
    };
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, "The request is readable but impossible");
    let errors = reasons.into_iter().map(|(code, field, detail)| ProblemEntry { code, field, detail });
    with_field(problem.with_errors(errors.collect()), &field, detail)
}
fn with_field(problem: Problem, field: &str, detail: impl Into<String>) -> Reply {
    let problem = problem.with_detail(detail.into());
    if field.is_empty() { problem.into() } else { problem.with_field(field).into() }
}
/// 401 for a webhook: which part was wrong is for the operator's log alone. A source that
/// uses a password is asked for it, whatever was wrong: some senders wait for that.
#[must_use]
pub fn not_proven(asks_for_password: bool) -> Reply {
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "not_authenticated", "Not authenticated")
        .with_detail("the signature, its key or its age is not right");
    if asks_for_password {
        problem.with_challenge("Basic realm=\"webhooks\", charset=\"UTF-8\"").into()
    } else {
        problem.into()
    }
}
/// 401 for the API.
#[must_use]
pub fn no_key() -> Reply {
    let detail = "give an API key as `Authorization: Bearer rf_…`; an operator makes one with `ringfence keys create`";
    problem(StatusCode::UNAUTHORIZED, "not_authenticated", "Not authenticated", detail)
}
/// 403.
#[must_use]
pub fn not_allowed(detail: impl Into<String>) -> Reply {
    problem(StatusCode::FORBIDDEN, "not_allowed", "Not allowed", detail)
}
/// 404.
#[must_use]
pub fn not_found(detail: impl Into<String>) -> Reply {
    problem(StatusCode::NOT_FOUND, "not_found", "Not found", detail)
}
/// 404 for a path.
#[must_use]
pub fn no_route() -> Reply {
    not_found("no route has this path; see /docs")
}
/// 405.
#[must_use]
pub fn not_this_method(allowed: &str) -> Reply {
    problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "Method not allowed",
        format!("this path takes {allowed}"),
    )
}
/// 409.
#[must_use]
pub fn conflict(code: &'static str, detail: impl Into<String>) -> Reply {
    problem(StatusCode::CONFLICT, code, "Conflict", detail)
}
/// 412.
#[must_use]
pub fn other_version(has: u64, given: u64) -> Reply {
    let detail = format!("the document has version {has}, If-Match says {given}; read it again and repeat the change");
    problem(StatusCode::PRECONDITION_FAILED, "version_differs", "The document has changed", detail)
}
/// 415.
#[must_use]
pub fn wrong_type() -> Reply {
    let detail = "send JSON with `Content-Type: application/json`";
    problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong_media_type", "Unsupported media type", detail)
}
/// 415 where lines are taken.
#[must_use]
pub fn wrong_lines() -> Reply {
    let detail = "send one JSON document per line with `Content-Type: application/x-ndjson`";
    problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong_media_type", "Unsupported media type", detail)
}
/// 429.
#[must_use]
pub fn slow_down(seconds: u32, detail: &'static str) -> Reply {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Slow down")
        .with_detail(detail)
        .with_retry_after(seconds.max(1))
        .into()
}
/// 503.
#[must_use]
pub fn come_back(detail: &'static str) -> Reply {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_now", "Not now").with_detail(detail).with_retry_after(1).into()
}

/// 503 for a pay-out while screening is behind.
fn payments_wait() -> Reply {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "payments_wait", "Payments wait")
        .with_detail("nothing was taken; send the same request with the same key again")
        .with_retry_after(5)
        .into()
}

impl From<EngineError> for Reply {
    fn from(error: EngineError) -> Self {
        tracing::error!(error = %crate::pipeline::Chain(&error), "a request could not be committed or read");
        come_back("the request had no effect that will be kept; send the same one again")
    }
}

impl From<ActError> for Reply {
    fn from(error: ActError) -> Self {
        match error {
            ActError::UnknownMember => not_found("no member has this id"),
            ActError::Erased => conflict("member_erased", error.to_string()),
            ActError::VersionDiffers { has, given } => other_version(has, given),
            ActError::CardLinkedElsewhere => conflict("card_linked_elsewhere", error.to_string()),
            ActError::UnknownCard => not_found("the member has no such card"),
            ActError::NotEnough { .. } => conflict("not_enough_available", error.to_string()),
            ActError::KeyReused => conflict("idempotency_key_reused", error.to_string()),
            ActError::BirthdayChanged { .. } => impossible("birthday_changed", "birthday", error.to_string()),
            ActError::SignalDiffers => conflict("event_differs", error.to_string()),
            ActError::UnknownOffer => impossible("bad_value", "offer", error.to_string()),
            ActError::NoExchange(_) | ActError::BudgetSpent { .. } => conflict("not_in_this_state", error.to_string()),
            ActError::NotScreened => payments_wait(),
            ActError::TooMany(_) => impossible("too_many", "", error.to_string()),
            ActError::Engine(error) => error.into(),
        }
    }
}

impl From<EditError> for Reply {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Unknown(what) => not_found(format!("there is no such {what}")),
            EditError::VersionDiffers { has, given } => other_version(has, given),
            EditError::OtherMerchant => conflict("offer_of_other_merchant", error.to_string()),
            EditError::OtherCurrency => conflict("offer_keeps_currency", error.to_string()),
            EditError::OtherMerchantsUnit { unit: (field, _) } => with_field(
                Problem::new(StatusCode::CONFLICT, "unit_of_other_merchant", "Conflict"),
                field,
                error.to_string(),
            ),
            EditError::KeyReused => conflict("idempotency_key_reused", error.to_string()),
            EditError::NotNow(why) => conflict("not_in_this_state", why),
            EditError::Engine(error) => error.into(),
        }
    }
}
