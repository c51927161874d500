//! What a handler gets: one request, whole, with a name and an arrival time. And the names themselves.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::HeaderValue;
use hyper::{HeaderMap, Method, Response, Uri, Version};
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Characters an inbound request id may have.
const REQUEST_ID_CHARS_MAX: usize = 64;
/// Where a request id comes in and goes out.
pub(super) const REQUEST_ID_HEADER: &str = "x-request-id";

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one. A panic in here becomes a 500 and costs nobody else anything. The request id is put into the
    /// answer afterwards. The future is dropped unfinished when an HTTP/1.1 caller hangs up or the stop's deadline passes, so work
    /// that must end needs a task of its own.
    fn handle(&self, request: Request) -> impl Future<Output = Response<Full<Bytes>>> + Send;
}

/// A request whose body is here, within all bounds.
#[derive(Debug, Clone)]
pub struct Request {
    /// GET, POST, …
    pub method: Method,
    /// Path and query; over HTTP/2 also scheme and authority.
    pub uri: Uri,
    /// HTTP version.
    pub version: Version,
    /// All headers as they came.
    pub headers: HeaderMap,
    /// The exact bytes of the body; empty when there is none.
    pub body: Bytes,
    /// Who is at the other end of the connection, perhaps a proxy; IPv4 is never written as IPv6.
    pub peer: IpAddr,
    /// Its name in logs and in the answer.
    pub id: RequestId,
    /// When its head was complete.
    pub arrived: Instant,
}

/// The name of a request in logs, answers and problems: 1 to 64 characters of `[A-Za-z0-9._-]`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Name);

/// Most names are ours and stay on the stack.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Name {
    Ours([u8; 16]),
    Theirs(HeaderValue),
}

impl RequestId {
    /// The caller's own name for the request, when it sent a usable one.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(REQUEST_ID_HEADER)?;
        let fits = (1..=REQUEST_ID_CHARS_MAX).contains(&value.len());
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        (fits && value.as_bytes().iter().all(plain)).then(|| Self(Name::Theirs(value.clone())))
    }
    /// A name of ours: 16 hexadecimal digits.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        Self(Name::Ours(std::array::from_fn(|at| DIGITS[usize::from((number >> (60 - 4 * at)) as u8 & 15)])))
    }
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = match &self.0 {
            Name::Ours(digits) => digits.as_slice(),
            Name::Theirs(value) => value.as_bytes(),
        };
        std::str::from_utf8(bytes).expect("a request id is ASCII: checked when it was made")
    }
    pub(super) fn to_header(&self) -> HeaderValue {
        match &self.0 {
            Name::Ours(digits) => HeaderValue::from_bytes(digits).expect("hexadecimal digits are a header value"),
            Name::Theirs(value) => value.clone(),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names requests: a counter that starts at random, so that two processes or two starts do not give the same names.
#[derive(Debug)]
pub(super) struct RequestIds(AtomicU64);

impl RequestIds {
    pub(super) fn starting_at(number: u64) -> Self {
        Self(AtomicU64::new(number))
    }
    /// The caller's name for it, or the next of ours.
    pub(super) fn name(&self, headers: &HeaderMap) -> RequestId {
        RequestId::from_headers(headers)
            .unwrap_or_else(|| RequestId::from_number(self.0.fetch_add(1, Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_names_are_sixteen_digits_and_differ() {
        let ids = RequestIds::starting_at(0xfedc_ba98_7654_32ff);
        assert_eq!(ids.name(&HeaderMap::new()).as_str(), "fedcba98765432ff");
        assert_eq!(ids.name(&HeaderMap::new()).as_str(), "fedcba9876543300");
        let last = RequestIds::starting_at(u64::MAX);
        assert_eq!(last.name(&HeaderMap::new()).to_string(), "ffffffffffffffff");
        assert_eq!(last.name(&HeaderMap::new()).to_string(), "0000000000000000");
    }

    #[test]
    fn a_callers_name_is_taken_when_plain() {
        let longest = "a".repeat(64);
        let too_long = "a".repeat(65);
        let table: [(&[u8], bool); 9] = [
            (b"x", true),
            (b"Az09._-", true),
            (longest.as_bytes(), true),
            (too_long.as_bytes(), false),
            (b"", false),
            (b"a b", false),
            (b"a\"b", false),
            (b"a/../b", false),
            (b"\xc3\xa4", false),
        ];
        for (text, taken) in table {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID_HEADER, HeaderValue::from_bytes(text).unwrap());
            let id = RequestId::from_headers(&headers);
            assert_eq!(id.is_some(), taken, "{text:?}");
            assert!(id.is_none_or(|id| id.as_str().as_bytes() == text && id.to_header().as_bytes() == text));
        }
    }
}
