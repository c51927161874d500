//! Accepts connections and ends them: when there are too many, when nothing comes, when the service stops.
//! One sweep over all connections stands in for timers per connection and request, which hyper would
//! arm anew for every head.

use super::address::AddressKey;
use super::exchange::{Line, Shared, exchange};
use super::options::{WireCounters, WireOptions, count};
use super::problem::{Problem, connections_full};
use super::request::{Handler, RequestIds};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};

/// Rest after the machine refused to give us a connection (usually: out of file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Every connection ended in good order.
    pub drained: bool,
    /// Connections that were cut at the deadline.
    pub aborted_connections: usize,
}

/// Serves HTTP/1.1 and HTTP/2 (prior knowledge) until `stop` resolves, then ends in good order: the listener is
/// closed, requests in flight are answered (HTTP/1.1 with `connection: close`, HTTP/2 after GOAWAY), idle connections are
/// closed, and what is left after `drain_seconds_max` is cut.
///
/// Readiness is the caller's: `stop` should wait for the signal, then switch readiness off, then (behind a load
/// balancer) wait until that was seen, and only then resolve. Until it does, everything is served as ever.
///
/// The connection that exceeds `connections_max` is accepted and closed with a 503, not left in the listener's
/// queue: its caller learns at once that it should come back, in place of a time-out that tells it nothing.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    options: WireOptions,
    handler: Arc<H>,
    stop: impl Future<Output = ()>,
) -> Stopped {
    let counters = options.counters.clone();
    let builder = Arc::new(builder(&options));
    let refusal = refusal(&connections_full(options.retry_after_seconds));
    // Without randomness from the machine, names start at zero: less handy, not less safe.
    let ids = RequestIds::starting_at(getrandom::u64().unwrap_or(0));
    let shared = Arc::new(Shared { options, handler, ids, bodies_awaited: 0.into() });
    let options = &shared.options;
    let mut lines = Lines::new(counters.clone());
    let mut sweep = sweep_timer(options);

    let mut accepting = true;
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(ended) = lines.tasks.join_next_with_id() => lines.forget(ended),
            _ = sweep.tick() => lines.sweep(options),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    count(&counters.connections_accepted);
                    accepting = true;
                    if lines.has_room(options, peer) {
                        lines.open(&builder, &shared, stream, peer);
                    } else {
                        count(&counters.connections_refused);
                        // As much as fits the socket's buffer, which all of it does; nobody is waited for.
                        let _ = stream.try_write(&refusal);
                    }
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    // Said once, not twenty times a second.
                    if std::mem::take(&mut accepting) {
                        tracing::error!(%error, "cannot accept connections; trying on");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }

    drop(listener);
    lines.open.values().for_each(|open| open.line.close());
    let mut deadline = pin!(tokio::time::sleep(Duration::from_secs(options.drain_seconds_max)));
    while !lines.open.is_empty() {
        tokio::select! {
            Some(ended) = lines.tasks.join_next_with_id() => lines.forget(ended),
            _ = sweep.tick() => lines.sweep(options),
            () = &mut deadline => break,
        }
    }
    let aborted_connections = lines.open.len();
    lines.tasks.shutdown().await;
    counters.connections_open.store(0, Ordering::Relaxed);
    Stopped { drained: aborted_connections == 0, aborted_connections }
}

/// Resolves with the signal's name on SIGTERM or SIGINT. Both are watched from the call on, so one that comes
/// before the first poll is not lost.
///
/// # Errors
/// When the machine does not let us watch.
pub fn shutdown_signal() -> std::io::Result<impl Future<Output = &'static str> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

fn builder(options: &WireOptions) -> auto::Builder<TokioExecutor> {
    /// hyper's minimum for its buffer.
    const HEADER_BYTES_LEAST: usize = 8_192;
    /// With another number hyper takes the room for headers from the heap, for every request.
    const HEADERS_ON_STACK: usize = 100;
    /// What HTTP/2 gives every stream from the start; below it senders need not listen.
    const WINDOW_BYTES_LEAST: u32 = 65_535;
    const WINDOW_BYTES_MOST: u32 = 256 * 1024;

    let header_bytes = options.header_bytes_max.max(HEADER_BYTES_LEAST);
    let window = u32::try_from(options.body_bytes_max).unwrap_or(u32::MAX);
    let window = window.clamp(WINDOW_BYTES_LEAST, WINDOW_BYTES_MOST);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let mut one = builder.http1();
    // The sweep does this, and covers what hyper does not: the time before the protocol is known.
    // Answers are small: copying one behind its head costs less than a list of two pieces.
    one.header_read_timeout(None).max_buf_size(header_bytes).writev(false);
    if options.headers_max != HEADERS_ON_STACK {
        one.max_headers(options.headers_max);
    }
    builder
        .http2()
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(options.streams_max)
        .initial_stream_window_size(window)
        .initial_connection_window_size(4 * window);
    builder
}

/// The bytes for a connection that is one too many.
fn refusal(problem: &Problem) -> Vec<u8> {
    let body = problem.to_json(None);
    let mut bytes = format!(
        "HTTP/1.1 {}\r\ncontent-type: application/problem+json\r\nretry-after: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        problem.status,
        problem.retry_after_seconds.unwrap_or(1),
        body.len(),
    )
    .into_bytes();
    bytes.extend_from_slice(&body);
    bytes
}

/// The other end gave up while it waited: says nothing about the listener.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn sweep_timer(options: &WireOptions) -> tokio::time::Interval {
    let shortest = options.first_head_seconds_max.min(options.quiet_seconds_max);
    let mut timer = tokio::time::interval(Duration::from_secs((shortest / 4).clamp(1, 5)));
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

/// All open connections.
struct Lines {
    tasks: JoinSet<()>,
    open: HashMap<Id, Open>,
    /// How many of the open ones each address has; addresses without any are not in it.
    by_address: HashMap<AddressKey, usize>,
    counters: Arc<WireCounters>,
}

struct Open {
    line: Arc<Line>,
    task: AbortHandle,
    quiet_since: Instant,
    /// Requests begun when last looked at.
    begun: u64,
}

impl Lines {
    fn new(counters: Arc<WireCounters>) -> Self {
        Self { tasks: JoinSet::new(), open: HashMap::new(), by_address: HashMap::new(), counters }
    }

    fn has_room(&self, options: &WireOptions, peer: SocketAddr) -> bool {
        let of_address = self.by_address.get(&peer.ip().into()).copied().unwrap_or(0);
        self.open.len() < options.connections_max && of_address < options.connections_per_address_max
    }

    fn open<H: Handler>(
        &mut self,
        builder: &Arc<auto::Builder<TokioExecutor>>,
        shared: &Arc<Shared<H>>,
        stream: TcpStream,
        peer: SocketAddr,
    ) {
        // Answers are small and written at once; without this some would wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let line = Arc::new(Line::new(peer.ip()));
        *self.by_address.entry(line.peer.into()).or_default() += 1;
        let task = self.tasks.spawn(run(builder.clone(), shared.clone(), line.clone(), stream));
        self.open.insert(task.id(), Open { line, task, quiet_since: Instant::now(), begun: 0 });
        self.counters.connections_open.store(self.open.len() as u64, Ordering::Relaxed);
    }

    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => error.id(),
        };
        if let Some(open) = self.open.remove(&id)
            && let Entry::Occupied(mut of_address) = self.by_address.entry(open.line.peer.into())
        {
            *of_address.get_mut() -= 1;
            if *of_address.get() == 0 {
                of_address.remove();
            }
        }
        self.counters.connections_open.store(self.open.len() as u64, Ordering::Relaxed);
    }

    /// Ends the connections on which nothing happens. One that never sent a request is cut; one that did is asked
    /// to end (GOAWAY) and cut when it has not a sweep later.
    fn sweep(&mut self, options: &WireOptions) {
        let now = Instant::now();
        for open in self.open.values_mut() {
            let begun = open.line.begun.load(Ordering::Acquire);
            if begun != open.begun || !open.line.is_quiet() {
                open.begun = begun;
                open.quiet_since = now;
                continue;
            }
            let quiet = now.duration_since(open.quiet_since);
            if begun == 0 && quiet >= Duration::from_secs(options.first_head_seconds_max) {
                count(&self.counters.connections_quiet);
                open.task.abort();
            } else if quiet >= Duration::from_secs(options.quiet_seconds_max) {
                if open.line.closing.load(Ordering::Acquire) {
                    open.task.abort();
                } else {
                    count(&self.counters.connections_quiet);
                    open.line.close();
                }
            }
        }
    }
}

/// One connection, from its first byte to its last.
async fn run<H: Handler>(
    builder: Arc<auto::Builder<TokioExecutor>>,
    shared: Arc<Shared<H>>,
    line: Arc<Line>,
    stream: TcpStream,
) {
    let service = service_fn(|request| {
        let (shared, line) = (shared.clone(), line.clone());
        async move { Ok::<_, Infallible>(exchange(&shared, &line, request).await) }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut told = false;
    let ended = poll_fn(|context| {
        // The waker is left before the flag is read, and the flag is set before the waker is taken: no close is lost.
        line.waker.get_or_init(|| context.waker().clone());
        if !told && line.closing.load(Ordering::SeqCst) {
            told = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    })
    .await;
    if let Err(error) = ended {
        // The other end's doing: garbage, a reset, a broken frame. hyper has answered where an answer exists.
        tracing::debug!(%error, "a connection ended early");
    }
}
