//! Refusals as `application/problem+json` (RFC 9457) with a stable `code`. Callers branch on the code and people
//! read the detail; neither may carry a card number, a secret or anything that only we should know.

use super::RequestId;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde::Serialize;
use std::borrow::Cow;

/// A refusal or failure, as the outside sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What the caller should do, in HTTP's words.
    pub status: StatusCode,
    /// Which problem; never changes its meaning. `type` is `urn:ringfence:problem:` and this.
    pub code: &'static str,
    /// The same for every problem of this code.
    pub title: &'static str,
    /// This case, for a person. Empty is left out.
    pub detail: Cow<'static, str>,
    /// Where in the body the trouble is, as a path (`events[3].amount.minor`). `None` when it is not in the body.
    pub field: Option<String>,
    /// All that is wrong, when it is more than one thing; the first of them is this problem.
    pub errors: Vec<ProblemEntry>,
    /// When to come back with the same request. `None` says nothing about that.
    pub retry_after_seconds: Option<u32>,
    /// How a caller may prove itself (`WWW-Authenticate`). `None` says nothing about that.
    pub challenge: Option<&'static str>,
    /// Ends the connection after the answer (HTTP/1.1), because more of this request is still to come.
    pub close: bool,
}

/// One of several things that are wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProblemEntry {
    /// As a problem's.
    pub code: &'static str,
    /// Where in the body; empty is left out.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// What is wrong, for a person.
    pub detail: String,
}

#[derive(Serialize)]
struct Members<'a> {
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
    title: &'a str,
    status: u16,
    code: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ProblemEntry],
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl Problem {
    /// A problem without detail.
    #[must_use]
    pub const fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self {
            status,
            code,
            title,
            detail: Cow::Borrowed(""),
            field: None,
            errors: Vec::new(),
            retry_after_seconds: None,
            challenge: None,
            close: false,
        }
    }
    /// Adds what happened in this case.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = detail.into();
        self
    }
    /// Adds where in the body.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
    /// Adds all that is wrong, this problem included.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<ProblemEntry>) -> Self {
        self.errors = errors;
        self
    }
    /// Adds when to come back.
    #[must_use]
    pub const fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }
    /// Adds how a caller may prove itself.
    #[must_use]
    pub const fn with_challenge(mut self, challenge: &'static str) -> Self {
        self.challenge = Some(challenge);
        self
    }
    /// Ends the connection after the answer.
    #[must_use]
    pub(super) const fn closing(mut self) -> Self {
        self.close = true;
        self
    }
    /// The answer to the request of this name.
    #[must_use]
    pub fn to_response(&self, request: &RequestId) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.to_json(Some(request)))));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
    /// The body alone, for the places (a batch's results) where a problem stands inside another answer.
    /// Without a request it is about a connection, or the answer around it names the request.
    #[must_use]
    pub fn to_json(&self, request: Option<&RequestId>) -> Vec<u8> {
        let members = Members {
            kind: Cow::Owned(format!("urn:ringfence:problem:{}", self.code)),
            title: self.title,
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            field: self.field.as_deref(),
            errors: &self.errors,
            request_id: request.map(RequestId::as_str),
        };
        serde_json::to_vec(&members).expect("strings and a number are JSON")
    }
}

/// The body is longer than allowed.
pub(super) fn body_too_large(bytes_max: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large")
        .with_detail(format!("A body may have at most {bytes_max} bytes."))
        .closing()
}

/// The body did not arrive in time.
pub(super) fn body_too_slow(seconds_max: u64) -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "The body did not arrive in time")
        .with_detail(format!("A body must be complete {seconds_max} seconds after its head."))
        .closing()
}

/// The body broke off, or its chunks were not chunks.
pub(super) fn body_broken() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "body_broken", "The body could not be read").closing()
}

/// More header lines than allowed. HTTP/1.1 is refused by hyper itself, without a body.
pub(super) fn headers_too_many(headers_max: usize) -> Problem {
    Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_many", "Too many header fields")
        .with_detail(format!("A request may have at most {headers_max} header fields."))
        .closing()
}

/// No room for another connection, or for another one of this address.
pub(super) fn connections_full(retry_after_seconds: u32) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "connections_full", "Too many connections are open")
        .with_detail("Close connections that are not used, or come back later.")
        .with_retry_after(retry_after_seconds)
        .closing()
}

/// No room now.
pub(super) fn overloaded(retry_after_seconds: u32) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Too many requests are in flight")
        .with_detail("Nothing was done; send the same request again.")
        .with_retry_after(retry_after_seconds)
}

/// The handler panicked.
pub(super) fn internal() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side")
        .with_detail("It may or may not have been done; send the same request again.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_in_their_order_and_absent_ones_left_out() {
        let bare = Problem::new(StatusCode::NOT_FOUND, "no_such_offer", "No such offer");
        assert_eq!(
            String::from_utf8(bare.to_json(None)).unwrap(),
            r#"{"type":"urn:ringfence:problem:no_such_offer","title":"No such offer","status":404,"code":"no_such_offer"}"#
        );
        let full =
            bare.with_detail("\"O1\" is not here").with_field("offer").with_retry_after(7).with_challenge("Basic");
        let response = full.to_response(&RequestId::from_number(1));
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["retry-after"], "7");
        assert_eq!(response.headers()["www-authenticate"], "Basic");
        assert_eq!(response.headers().get("connection"), None);
        assert_eq!(
            String::from_utf8(full.to_json(Some(&RequestId::from_number(10)))).unwrap(),
            r#"{"type":"urn:ringfence:problem:no_such_offer","title":"No such offer","status":404,"code":"no_such_offer","detail":"\"O1\" is not here","field":"offer","request_id":"000000000000000a"}"#
        );
    }
}
