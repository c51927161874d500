//! The wire against real sockets. Where a bound on time must strike, tokio's clock is paused and jumps there as
//! soon as nobody has anything else to do; nothing sleeps.

use super::*;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rand::{RngExt, SeedableRng};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

/// Answers with what it was asked; some paths misbehave.
struct Echo {
    /// Requests that reached the handler.
    reached: AtomicU64,
    /// `/wait` answers when there is a permit.
    gate: Semaphore,
}

impl Handler for Echo {
    async fn handle(&self, request: Request) -> Response<Full<Bytes>> {
        self.reached.fetch_add(1, Ordering::SeqCst);
        match request.uri.path() {
            "/panic" => panic!("asked to"),
            "/wait" => self.gate.acquire().await.unwrap().forget(),
            _ => {}
        }
        let Request { method, uri, version, body, peer, id, .. } = request;
        let text = format!("{method} {} {version:?} {} bytes from {peer} as {id}", uri.path(), body.len());
        Response::new(Full::new(Bytes::from(text)))
    }
}

struct World {
    address: SocketAddr,
    echo: Arc<Echo>,
    counters: Arc<WireCounters>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Stopped>,
}

impl World {
    async fn with(change: impl FnOnce(&mut WireOptions)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut options = WireOptions { drain_seconds_max: 2, ..WireOptions::default() };
        change(&mut options);
        let counters = options.counters.clone();
        let echo = Arc::new(Echo { reached: AtomicU64::new(0), gate: Semaphore::new(0) });
        let (stop, stopped) = oneshot::channel();
        let handler = echo.clone();
        let server = tokio::spawn(async move {
            let stop = async { drop(stopped.await) };
            serve(listener, options, handler, stop).await
        });
        Self { address, echo, counters, stop, server }
    }
    async fn new() -> Self {
        Self::with(|_| {}).await
    }
    async fn line(&self) -> Line {
        Line(TcpStream::connect(self.address).await.unwrap())
    }
    /// One request on a connection of its own, to the end of that connection.
    async fn tell(&self, request: &str) -> String {
        let mut line = self.line().await;
        line.send(request).await;
        line.rest().await
    }
    async fn stop(self) -> Stopped {
        self.stop.send(()).unwrap();
        self.server.await.unwrap()
    }
    /// Waits until so many requests have reached the handler.
    async fn reached(&self, requests: u64) {
        until(|| self.echo.reached.load(Ordering::SeqCst) >= requests).await;
    }
}

/// Lets others run until it is so. Bounded by the test runner alone: every step is a yield.
async fn until(mut so: impl FnMut() -> bool) {
    while !so() {
        tokio::task::yield_now().await;
    }
}

struct Line(TcpStream);

impl Line {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }
    /// Everything until the other end closes; a reset ends it as well.
    async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let _ = self.0.read_to_end(&mut bytes).await;
        String::from_utf8_lossy(&bytes).into_owned()
    }
    /// One answer with a declared length.
    async fn answer(&mut self) -> String {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8(bytes.clone()).unwrap();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                    return text;
                }
            }
            assert_ne!(self.0.read_buf(&mut bytes).await.unwrap(), 0, "closed after {text:?}");
        }
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

fn post(path: &str, body_bytes: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {body_bytes}\r\n\r\n{}", "x".repeat(body_bytes))
}

/// Status, code and header of a problem, and that its members are there.
fn check_problem(answer: &str, status: u16, code: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(head.contains("content-type: application/problem+json"), "{answer}");
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["code"], code);
    assert_eq!(problem["type"], format!("urn:ringfence:problem:{code}"));
    assert!(head.contains(&format!("x-request-id: {}", problem["request_id"].as_str().unwrap())), "{answer}");
}

#[tokio::test]
async fn http_1_is_answered_and_the_connection_kept() {
    let world = World::new().await;
    let mut line = world.line().await;
    for body_bytes in [0, 1, 5_000, 1024 * 1024] {
        line.send(post("/a", body_bytes)).await;
        let answer = line.answer().await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains(&format!("POST /a HTTP/1.1 {body_bytes} bytes from 127.0.0.1 as ")), "{answer}");
    }
    line.send("POST /c HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").await;
    assert!(line.answer().await.contains("POST /c HTTP/1.1 5 bytes"));
    line.send(get("/1") + &get("/2")).await;
    let mut answers = line.answer().await;
    if !answers.contains("/2 ") {
        answers += &line.answer().await;
    }
    assert!(answers.contains("GET /1 ") && answers.contains("GET /2 "), "{answers}");
    assert_eq!(world.counters.connections_open.load(Ordering::Relaxed), 1);
    assert_eq!(world.counters.requests_in_flight.load(Ordering::Relaxed), 0);
}

type Sender = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

async fn http_2(world: &World) -> (Sender, JoinHandle<Result<(), hyper::Error>>) {
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(connection))
}

async fn ask_2(sender: &Sender, path: &str, body_bytes: usize) -> (StatusCode, String) {
    let request = hyper::Request::post(format!("http://x{path}"));
    let request = request.body(Full::new(Bytes::from(vec![b'x'; body_bytes]))).unwrap();
    let response = sender.clone().send_request(request).await.unwrap();
    assert!(response.headers().contains_key("x-request-id"));
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn http_2_is_answered_on_one_connection() {
    let world = World::with(|options| options.headers_max = 20).await;
    let (sender, _connection) = http_2(&world).await;
    let asked = (0..50).map(|at| {
        let sender = sender.clone();
        tokio::spawn(async move { ask_2(&sender, &format!("/{at}"), at * 100).await })
    });
    for (at, asked) in asked.collect::<Vec<_>>().into_iter().enumerate() {
        let (status, body) = asked.await.unwrap();
        assert_eq!(status, 200);
        assert!(body.contains(&format!("POST /{at} HTTP/2.0 {} bytes from 127.0.0.1", at * 100)), "{body}");
    }
    let (status, body) = ask_2(&sender, "/large", 1024 * 1024 + 1).await;
    assert_eq!(status, 413, "{body}");
    let (status, body) = ask_2(&sender, "/panic", 0).await;
    assert_eq!(status, 500, "{body}");
    let mut request = hyper::Request::get("http://x/").body(Full::default()).unwrap();
    for at in 0..21 {
        request.headers_mut().append("x", at.into());
    }
    assert_eq!(sender.clone().send_request(request).await.unwrap().status(), 431);
    assert_eq!(ask_2(&sender, "/after", 1024 * 1024).await.0, 200);
    assert_eq!(world.counters.connections_accepted.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn inv_09_a_body_one_byte_too_long_is_refused() {
    let world = World::with(|options| options.body_bytes_max = 1_000).await;
    assert!(world.line().await.0.peer_addr().is_ok());
    let mut line = world.line().await;
    line.send(post("/fits", 1_000)).await;
    assert!(line.answer().await.contains("1000 bytes"));
    check_problem(&world.tell(&post("/declared", 1_001)).await, 413, "body_too_large");
    let chunked = |bytes: usize| {
        let chunks = format!("{:x}\r\n{}\r\n", 100, "x".repeat(100)).repeat(bytes / 100);
        format!("POST /chunked HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{chunks}1\r\nx\r\n0\r\n\r\n")
    };
    line.send(chunked(900)).await;
    assert!(line.answer().await.contains("901 bytes"));
    check_problem(&world.tell(&chunked(1_000)).await, 413, "body_too_large");
    // All of it is sent before the answer is read.
    check_problem(&world.tell(&post("/much", 10_000_000)).await, 413, "body_too_large");
    assert_eq!(world.echo.reached.load(Ordering::SeqCst), 2);
    assert_eq!(world.counters.requests_refused_large.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_caller_that_waits_to_be_told_is_told_at_once() {
    let world = World::with(|options| options.body_bytes_max = 1_000).await;
    let head = |bytes| format!("POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: {bytes}\r\n\r\n");
    check_problem(&world.tell(&head(1_001)).await, 413, "body_too_large");
    let mut line = world.line().await;
    line.send(head(3)).await;
    assert_eq!(line.answer().await, "HTTP/1.1 100 Continue\r\n\r\n");
    line.send("abc").await;
    assert!(line.answer().await.contains("3 bytes"));
}

#[tokio::test(start_paused = true)]
async fn inv_09_a_slow_body_is_refused() {
    let world = World::with(|options| options.body_seconds_max = 3).await;
    for part in [
        "POST / HTTP/1.1\r\ncontent-length: 10\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 10\r\n\r\n123456789",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        check_problem(&world.tell(part).await, 408, "body_too_slow");
    }
    assert_eq!(world.counters.requests_refused_slow.load(Ordering::Relaxed), 3);
    assert_eq!(world.echo.reached.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn inv_09_a_connection_without_a_request_is_closed() {
    let world = World::new().await;
    // Nothing, half a head, half of HTTP/2's preface: closed without an answer.
    for part in ["", "POST / HTTP/1.1\r\nhost:", "PRI * HTTP/2.0\r\n"] {
        let begun = tokio::time::Instant::now();
        assert_eq!(world.tell(part).await, "");
        let seconds = begun.elapsed().as_secs();
        assert!((9..=16).contains(&seconds), "{part:?} closed after {seconds} s");
    }
    // A kept connection has longer; half a second head does not keep it.
    let mut line = world.line().await;
    line.send(get("/")).await;
    line.answer().await;
    line.send("GET / HT").await;
    let begun = tokio::time::Instant::now();
    assert_eq!(line.rest().await, "");
    let seconds = begun.elapsed().as_secs();
    assert!((70..=90).contains(&seconds), "closed after {seconds} s");
    // The same for HTTP/2, which would otherwise stay for ever.
    let (sender, connection) = http_2(&world).await;
    assert_eq!(ask_2(&sender, "/", 0).await.0, 200);
    let begun = tokio::time::Instant::now();
    let _ = connection.await.unwrap();
    let seconds = begun.elapsed().as_secs();
    assert!((70..=90).contains(&seconds), "closed after {seconds} s");
    assert_eq!(world.counters.connections_quiet.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn inv_09_heads_are_bounded() {
    let world = World::with(|options| options.header_bytes_max = 10_000).await;
    let head = |lines: usize, bytes: usize| {
        let lines: String = (0..lines).map(|at| format!("h{at}: {}\r\n", "x".repeat(bytes))).collect();
        format!("GET / HTTP/1.1\r\nconnection: close\r\n{lines}\r\n")
    };
    assert!(world.tell(&head(99, 1)).await.starts_with("HTTP/1.1 200"));
    assert!(world.tell(&head(100, 1)).await.starts_with("HTTP/1.1 431"));
    assert!(world.tell(&head(1, 9_900)).await.starts_with("HTTP/1.1 200"));
    assert!(world.tell(&head(1, 20_000)).await.starts_with("HTTP/1.1 431"));
    let few = World::with(|options| options.headers_max = 5).await;
    assert!(few.tell(&head(4, 1)).await.starts_with("HTTP/1.1 200"));
    assert!(few.tell(&head(5, 1)).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn garbage_is_refused_and_harms_nobody() {
    let world = World::new().await;
    for (garbage, answers) in [
        ("garbage\r\n\r\n", true),
        ("GET / HTTP/9.9\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nno colon here\r\n\r\n", true),
        ("POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", true),
        ("POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", true),
        ("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", true),
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n", true),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}", true),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nthese are no frames at all", false),
    ] {
        let answer = world.tell(garbage).await;
        assert!(!answers || answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{garbage:?}: {answer:?}");
    }
    // A body that breaks off is nobody's request.
    let mut line = world.line().await;
    line.send("POST / HTTP/1.1\r\ncontent-length: 10\r\n\r\nabc").await;
    line.0.shutdown().await.unwrap();
    line.rest().await;
    assert_eq!(world.echo.reached.load(Ordering::SeqCst), 0);
    assert!(world.line().await.0.peer_addr().is_ok());
    let mut line = world.line().await;
    line.send(get("/")).await;
    assert!(line.answer().await.contains("200 OK"));
}

#[tokio::test]
async fn inv_09_requests_in_flight_are_bounded() {
    let world = World::with(|options| options.requests_in_flight_max = 2).await;
    let mut waiting = [world.line().await, world.line().await];
    for (at, line) in waiting.iter_mut().enumerate() {
        line.send(get("/wait")).await;
        world.reached(at as u64 + 1).await;
    }
    let mut line = world.line().await;
    for _ in 0..3 {
        line.send(post("/", 100)).await;
        let answer = line.answer().await;
        check_problem(&answer, 503, "overloaded");
        assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    }
    world.echo.gate.add_permits(1);
    until(|| world.counters.requests_in_flight.load(Ordering::Relaxed) < 2).await;
    line.send(post("/", 100)).await;
    assert!(line.answer().await.contains("200 OK"), "the same connection serves again");
    // One that hangs up gives its place back too.
    drop(waiting);
    until(|| world.counters.requests_in_flight.load(Ordering::Relaxed) == 0).await;
    assert_eq!(world.counters.requests_refused_full.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn inv_09_slow_bodies_leave_room_for_quick_ones() {
    let world = World::with(|options| options.bodies_awaited_max = 2).await;
    let mut slow = [world.line().await, world.line().await];
    for line in &mut slow {
        line.send("POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\na").await;
    }
    until(|| world.counters.requests_in_flight.load(Ordering::Relaxed) == 2).await;
    check_problem(&world.tell("POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\na").await, 503, "overloaded");
    let mut quick = world.line().await;
    quick.send(post("/", 1_000)).await;
    assert!(quick.answer().await.contains("200 OK"));
    for line in &mut slow {
        line.send("b").await;
        assert!(line.answer().await.contains("2 bytes"));
    }
}

#[tokio::test]
async fn inv_09_connections_are_bounded() {
    let world = World::with(|options| options.connections_max = 2).await;
    let mut kept = [world.line().await, world.line().await];
    for line in &mut kept {
        line.send(get("/")).await;
        line.answer().await;
    }
    let refused = world.line().await.rest().await;
    assert!(refused.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{refused}");
    assert!(refused.contains("retry-after: 1\r\n") && refused.contains(r#""code":"connections_full""#), "{refused}");
    let [mut stays, leaves] = kept;
    drop(leaves);
    until(|| world.counters.connections_open.load(Ordering::Relaxed) == 1).await;
    let mut line = world.line().await;
    for line in [&mut line, &mut stays] {
        line.send(get("/")).await;
        assert!(line.answer().await.contains("200 OK"));
    }
    assert_eq!(world.counters.connections_refused.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn inv_09_one_address_cannot_take_all_connections() {
    let world = World::with(|options| options.connections_per_address_max = 1).await;
    let mut first = world.line().await;
    first.send(get("/")).await;
    first.answer().await;
    assert!(world.line().await.rest().await.contains("connections_full"));
    drop(first);
    until(|| world.counters.connections_open.load(Ordering::Relaxed) == 0).await;
    let mut next = world.line().await;
    next.send(get("/")).await;
    assert!(next.answer().await.contains("200 OK"));
}

/// Requests with random damage: whatever comes of them, it is not our fault and not our end.
#[tokio::test]
async fn inv_09_damaged_requests_are_never_a_5xx() {
    let world = World::with(|options| options.body_bytes_max = 500).await;
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let whole = [
        post("/a", 40),
        "POST /c HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0\0\0\u{1}\u{1}\u{5}\0\0\0\u{1}\u{2}".to_owned(),
    ];
    for case in 0..600 {
        let mut bytes = whole[case % whole.len()].clone().into_bytes();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..bytes.len().max(1));
            match random.random_range(0..4) {
                _ if bytes.is_empty() => bytes.push(b'G'),
                0 => bytes[at] = random.random(),
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, *b"\r\n: 0,".get(at % 6).unwrap()),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let mut line = world.line().await;
        let _ = line.0.write_all(&bytes).await;
        let _ = line.0.shutdown().await;
        let answer = line.rest().await;
        assert!(
            !answer.lines().any(|line| line.starts_with("HTTP/1.1 5")),
            "{case}: {:?} -> {answer}",
            String::from_utf8_lossy(&bytes)
        );
    }
    assert!(world.tell(&get("/").replace("host: x", "connection: close")).await.contains("200 OK"));
    assert_eq!(world.counters.handler_panics.load(Ordering::Relaxed), 0);
    until(|| world.counters.requests_in_flight.load(Ordering::Relaxed) == 0).await;
    assert!(world.stop().await.drained);
}

#[tokio::test]
async fn the_machines_signal_is_seen_even_before_anybody_waits() {
    let signal = shutdown_signal().unwrap();
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
    assert_eq!(signal.await, "SIGTERM");
}

#[tokio::test]
async fn the_answer_names_the_request() {
    let world = World::new().await;
    let ask = async |header: &str| {
        let mut line = world.line().await;
        line.send(format!("GET / HTTP/1.1\r\n{header}\r\n")).await;
        let answer = line.answer().await;
        let named = answer.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap().to_owned();
        assert!(answer.ends_with(&format!("as {named}")), "the handler saw the same name");
        named
    };
    assert_eq!(ask("x-request-id: evt_1.a-B\r\n").await, "evt_1.a-B");
    let (first, second) = (ask("").await, ask("x-request-id: no spaces\r\n").await);
    assert_ne!(first, second);
    for own in [first, second] {
        assert!(own.len() == 16 && own.bytes().all(|byte| byte.is_ascii_hexdigit()), "{own}");
    }
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let world = World::new().await;
    let mut line = world.line().await;
    for _ in 0..2 {
        line.send(get("/panic")).await;
        check_problem(&line.answer().await, 500, "internal");
        line.send(get("/")).await;
        assert!(line.answer().await.contains("200 OK"));
    }
    assert_eq!(world.counters.handler_panics.load(Ordering::Relaxed), 2);
    assert_eq!(world.counters.requests_in_flight.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_stop_answers_what_is_in_flight() {
    let world = World::new().await;
    let (mut idle, mut untouched, mut busy) = (world.line().await, world.line().await, world.line().await);
    idle.send(get("/")).await;
    idle.answer().await;
    let (sender, connection) = http_2(&world).await;
    busy.send(get("/wait")).await;
    let asked = tokio::spawn({
        let sender = sender.clone();
        async move { ask_2(&sender, "/wait", 10).await }
    });
    world.reached(3).await;
    let (address, echo) = (world.address, world.echo.clone());
    let stopping = tokio::spawn(world.stop());
    assert_eq!(idle.rest().await, "");
    assert_eq!(untouched.rest().await, "");
    assert!(TcpStream::connect(address).await.is_err(), "nobody new is let in");
    assert!(!stopping.is_finished());
    echo.gate.add_permits(2);
    let answer = busy.rest().await;
    assert!(answer.contains("200 OK") && answer.contains("connection: close"), "{answer}");
    assert_eq!(asked.await.unwrap().0, 200);
    assert!(connection.await.unwrap().is_ok());
    assert_eq!(stopping.await.unwrap(), Stopped { drained: true, aborted_connections: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_at_its_deadline() {
    let world = World::with(|options| options.drain_seconds_max = 7).await;
    let mut stuck = world.line().await;
    stuck.send(get("/wait")).await;
    let (sender, _connection) = http_2(&world).await;
    let asked = tokio::spawn(async move {
        let request = hyper::Request::get("http://x/wait").body(Full::<Bytes>::default()).unwrap();
        sender.clone().send_request(request).await.is_err()
    });
    world.reached(2).await;
    let begun = tokio::time::Instant::now();
    let counters = world.counters.clone();
    assert_eq!(world.stop().await, Stopped { drained: false, aborted_connections: 2 });
    assert_eq!(begun.elapsed().as_secs(), 7);
    assert_eq!(stuck.rest().await, "");
    assert!(asked.await.unwrap());
    until(|| counters.requests_in_flight.load(Ordering::Relaxed) == 0).await;
}

#[tokio::test]
async fn a_stop_without_connections_is_immediate() {
    let world = World::with(|options| options.drain_seconds_max = 3_600).await;
    let stopped = tokio::time::timeout(Duration::from_secs(60), world.stop()).await.unwrap();
    assert_eq!(stopped, Stopped { drained: true, aborted_connections: 0 });
}
