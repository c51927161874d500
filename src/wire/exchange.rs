//! One request: named, bounded, read, handled, answered. The hot path of the whole service: no spawn, no box, no
//! timer and no log line for a request whose body is here at once.

use super::body::{Intake, Unread, discard};
use super::options::{WireOptions, count};
use super::problem::{self, Problem};
use super::request::{Handler, REQUEST_ID_HEADER, Request, RequestId, RequestIds};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{EXPECT, HeaderName};
use hyper::{Response, Version};
use std::future::poll_fn;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

static REQUEST_ID: HeaderName = HeaderName::from_static(REQUEST_ID_HEADER);

/// What all connections of one server share.
#[derive(Debug)]
pub(super) struct Shared<H> {
    pub(super) options: WireOptions,
    pub(super) handler: Arc<H>,
    pub(super) ids: RequestIds,
    pub(super) bodies_awaited: AtomicU64,
}

/// One connection, as the acceptor and its requests see it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) peer: IpAddr,
    /// Requests begun; with `ended` it tells a quiet connection from a busy one without a timer per request.
    pub(super) begun: AtomicU64,
    pub(super) ended: AtomicU64,
    /// Set once, when the connection should end after what it has in flight.
    pub(super) closing: AtomicBool,
    /// Of the connection's own task, which keeps it for life.
    pub(super) waker: OnceLock<Waker>,
}

impl Line {
    pub(super) fn new(peer: IpAddr) -> Self {
        Self {
            peer: peer.to_canonical(),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            waker: OnceLock::new(),
        }
    }
    pub(super) fn is_quiet(&self) -> bool {
        self.begun.load(Ordering::Acquire) == self.ended.load(Ordering::Acquire)
    }
    /// Asks the connection's task to end it in good order.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }
}

/// Counts a request as in flight until dropped, which also happens when the caller hangs up.
struct InFlight<'a> {
    everywhere: &'a AtomicU64,
    line: &'a Line,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.everywhere.fetch_sub(1, Ordering::AcqRel);
        self.line.ended.fetch_add(1, Ordering::AcqRel);
    }
}

/// Takes one of a bounded number of places; gives it back when dropped.
struct Place<'a>(&'a AtomicU64);

impl<'a> Place<'a> {
    fn take(places: &'a AtomicU64, places_max: usize) -> Option<Self> {
        let place = Self(places);
        (places.fetch_add(1, Ordering::AcqRel) < places_max as u64).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Answers one request, whatever happens.
pub(super) async fn exchange<H: Handler>(
    shared: &Shared<H>,
    line: &Line,
    request: hyper::Request<Incoming>,
) -> Response<Full<Bytes>> {
    let arrived = Instant::now();
    let options = &shared.options;
    let in_flight = &options.counters.requests_in_flight;
    line.begun.fetch_add(1, Ordering::AcqRel);
    let before = in_flight.fetch_add(1, Ordering::AcqRel);
    let _in_flight = InFlight { everywhere: in_flight, line };

    let (head, mut body) = request.into_parts();
    let id = shared.ids.name(&head.headers);
    let read = if before >= options.requests_in_flight_max as u64 {
        count(&options.counters.requests_refused_full);
        Err(problem::overloaded(options.retry_after_seconds))
    } else if head.headers.len() > options.headers_max {
        // Over HTTP/1.1 hyper has already refused; over HTTP/2 only the bytes are bounded below us.
        Err(problem::headers_too_many(options.headers_max))
    } else {
        read(shared, &head, &mut body).await
    };
    let mut response = match read {
        Ok(body) => {
            let request = Request {
                method: head.method,
                uri: head.uri,
                version: head.version,
                headers: head.headers,
                body,
                peer: line.peer,
                id: id.clone(),
                arrived,
            };
            handled(shared, request, &id).await
        }
        Err(problem) => problem.to_response(&id),
    };
    response.headers_mut().insert(&REQUEST_ID, id.to_header());
    response
}

async fn read<H>(
    shared: &Shared<H>,
    head: &hyper::http::request::Parts,
    body: &mut Incoming,
) -> Result<Bytes, Problem> {
    let options = &shared.options;
    let mut intake = match Intake::begin(body, options.body_bytes_max) {
        Ok(intake) => intake,
        Err(unread) => return Err(Box::pin(refuse(shared, head, body, unread)).await),
    };
    match poll_fn(|context| Poll::Ready(intake.poll(body, context))).await {
        Poll::Ready(Ok(())) => Ok(intake.into_bytes()),
        Poll::Ready(Err(unread)) => Err(Box::pin(refuse(shared, head, body, unread)).await),
        // Boxed, so that the usual request does not carry the room for a timer.
        Poll::Pending => Box::pin(read_on(shared, head, body, intake)).await,
    }
}

/// The rest of a body that is still on its way.
async fn read_on<H>(
    shared: &Shared<H>,
    head: &hyper::http::request::Parts,
    body: &mut Incoming,
    mut intake: Intake,
) -> Result<Bytes, Problem> {
    let options = &shared.options;
    let Some(_awaited) = Place::take(&shared.bodies_awaited, options.bodies_awaited_max) else {
        count(&options.counters.requests_refused_full);
        return Err(problem::overloaded(options.retry_after_seconds).closing());
    };
    let whole = poll_fn(|context| intake.poll(body, context));
    match tokio::time::timeout(Duration::from_secs(options.body_seconds_max), whole).await {
        Ok(Ok(())) => Ok(intake.into_bytes()),
        Ok(Err(unread)) => {
            drop(intake);
            Err(refuse(shared, head, body, unread).await)
        }
        Err(_) => {
            count(&options.counters.requests_refused_slow);
            Err(problem::body_too_slow(options.body_seconds_max))
        }
    }
}

/// Says no to a body. A caller that sends all of it before it reads would see a reset connection in place of the
/// answer, so some of what is still to come is read and thrown away, unless it waits for `100-continue` or can be
/// told to stop (HTTP/2).
async fn refuse<H>(
    shared: &Shared<H>,
    head: &hyper::http::request::Parts,
    body: &mut Incoming,
    unread: Unread,
) -> Problem {
    let options = &shared.options;
    if unread == Unread::Broken {
        count(&options.counters.requests_refused_broken);
        return problem::body_broken();
    }
    count(&options.counters.requests_refused_large);
    if head.version < Version::HTTP_2
        && !head.headers.contains_key(EXPECT)
        && let Some(_awaited) = Place::take(&shared.bodies_awaited, options.bodies_awaited_max)
    {
        let rest = discard(body, options.discard_bytes_max);
        // Late or not, the answer is the same.
        let _ = tokio::time::timeout(Duration::from_secs(options.body_seconds_max), rest).await;
    }
    problem::body_too_large(options.body_bytes_max)
}

/// Calls the handler; its panic is an answer like any other, so that one bad request neither ends the connection of
/// the others on it nor goes unnamed in the log.
async fn handled<H: Handler>(shared: &Shared<H>, request: Request, id: &RequestId) -> Response<Full<Bytes>> {
    let mut answer = pin!(async { shared.handler.handle(request).await });
    let caught = poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    });
    match caught.await {
        Some(response) => response,
        None => {
            count(&shared.options.counters.handler_panics);
            tracing::error!(request_id = %id, "the handler of a request panicked");
            problem::internal().to_response(id)
        }
    }
}
