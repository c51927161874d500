//! The bounds of a server, each with its unit in its name, and the counts of what they refused.
//! A bound that is not here does not exist: nothing in `wire` grows with what strangers send.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Every bound of [`serve`](super::serve).
#[derive(Debug, Clone)]
pub struct WireOptions {
    /// Connections open at once. One more is accepted, told 503 and closed.
    pub connections_max: usize,
    /// Connections of one address (IPv6: of one /64) open at once, so that nobody takes all of them. Proxies are
    /// addresses like others: leave them the connections they need.
    pub connections_per_address_max: usize,
    /// Bytes of a request's head, request line included. At least 8192 (hyper's own minimum; less is raised to it).
    /// It bounds memory rather than counts: over HTTP/1.1 a head up to the next buffer size, at most twice this, may pass.
    pub header_bytes_max: usize,
    /// Header lines of a request. 100 is fastest: hyper then parses them on the stack.
    pub headers_max: usize,
    /// Requests one HTTP/2 connection may have open at once.
    pub streams_max: u32,
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// Seconds from a request's head to the last byte of its body.
    pub body_seconds_max: u64,
    /// Bodies that are still on their way, among the requests in flight. Smaller than `requests_in_flight_max`, so
    /// that callers who send slowly cannot keep out those whose request is there at once; together with
    /// `body_bytes_max` it is also the memory that half-sent bodies can take.
    pub bodies_awaited_max: usize,
    /// Bytes of a refused HTTP/1.1 body that are read and thrown away, so that a caller who sends all before it
    /// reads still sees the 413. Beyond it the connection is closed.
    pub discard_bytes_max: u64,
    /// Requests being read or handled at once. One more is answered 503, not queued.
    pub requests_in_flight_max: usize,
    /// Seconds a 503 of ours asks to wait.
    pub retry_after_seconds: u32,
    /// Seconds from a connection's start to the end of its first request's head.
    pub first_head_seconds_max: u64,
    /// Seconds a connection may stay without a request: the rest between two requests, and also the longest that
    /// the head of a later request may take.
    pub quiet_seconds_max: u64,
    /// Seconds from the stop to the moment when what is left is cut.
    pub drain_seconds_max: u64,
    /// Where refusals are counted; the caller keeps a clone and publishes it.
    pub counters: Arc<WireCounters>,
}

impl Default for WireOptions {
    fn default() -> Self {
        Self {
            connections_max: 8_192,
            connections_per_address_max: 4_096,
            header_bytes_max: 16 * 1024,
            headers_max: 100,
            streams_max: 128,
            body_bytes_max: 1024 * 1024,
            body_seconds_max: 10,
            bodies_awaited_max: 256,
            discard_bytes_max: 16 * 1024 * 1024,
            requests_in_flight_max: 1_024,
            retry_after_seconds: 1,
            first_head_seconds_max: 10,
            quiet_seconds_max: 75,
            drain_seconds_max: 25,
            counters: Arc::default(),
        }
    }
}

/// What the wire holds and what it refused, since the start of the process.
#[derive(Debug, Default)]
pub struct WireCounters {
    /// Open now.
    pub connections_open: AtomicU64,
    /// Accepted, those closed at once included.
    pub connections_accepted: AtomicU64,
    /// Closed at once because `connections_max` or `connections_per_address_max` were open.
    pub connections_refused: AtomicU64,
    /// Closed because no request came in time.
    pub connections_quiet: AtomicU64,
    /// Being read or handled now.
    pub requests_in_flight: AtomicU64,
    /// Answered 503 because `requests_in_flight_max` or `bodies_awaited_max` was reached.
    pub requests_refused_full: AtomicU64,
    /// Answered 413.
    pub requests_refused_large: AtomicU64,
    /// Answered 408.
    pub requests_refused_slow: AtomicU64,
    /// Answered 400 because the body broke off or its framing was wrong.
    pub requests_refused_broken: AtomicU64,
    /// Answered 500 because the handler panicked. Anything but zero is a bug of ours.
    pub handler_panics: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
