//! Sends requests that were prepared before, over keep-alive HTTP/1.1 connections, from one
//! thread: as fast as answers come ([`Pace::Closed`]) or on a schedule ([`Pace::PerSecond`]).
//!
//! No HTTP library: one that does all that HTTP allows costs as much as the bare server it
//! would measure. Here a request is one write and an answer one read. Knows nothing of
//! what it sends; speaks to the loopback interface alone.

use crate::fault::{Fault, fault};
use hdrhistogram::Histogram;
use rustix::event::{Timespec, epoll};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Longest answer taken.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// From here on waiting is done by looking again and again: a sleeping thread wakes late.
const SPIN_NANOS: u64 = 200_000;
/// Latencies above this are recorded as this.
const LATENCY_NANOS_MAX: u64 = 120_000_000_000;

/// Requests side by side in one piece of memory.
#[derive(Debug, Default)]
pub struct Requests {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Requests {
    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len()
    }
    /// Adds one.
    pub fn push(&mut self, head: &str, body: &[u8]) {
        self.bytes.extend_from_slice(head.as_bytes());
        self.bytes.extend_from_slice(body);
        self.ends.push(self.bytes.len());
    }
    /// One of them.
    fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }
}

/// When the next request goes out.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// When a connection is free.
    Closed,
    /// On schedule; latency counts from the intended time, whether or not a connection was free.
    PerSecond(u32),
}

/// How to send.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// To whom.
    pub to: SocketAddr,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// When.
    pub pace: Pace,
    /// The run is given up after this.
    pub time_max: Duration,
}

/// What was seen.
#[derive(Debug)]
pub struct Ran {
    /// From the first send to the last answer.
    pub took: Duration,
    /// Nanoseconds.
    pub latency: Histogram<u64>,
}

/// An empty histogram of latencies.
pub fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, LATENCY_NANOS_MAX, 3).expect("the bounds are right")
}

struct Line {
    stream: TcpStream,
    /// Which request, and when it was to go out.
    busy: Option<(usize, u64)>,
    inbox: Vec<u8>,
}

/// Sends them all; each answer is handed over with the request's place, its status and body.
pub fn run(load: &Load, requests: &Requests, on_answer: &mut dyn FnMut(usize, u16, &[u8])) -> Result<Ran, Fault> {
    if !load.to.ip().is_loopback() {
        return Err(fault(format!("{} is not this machine; load goes to the loopback interface alone", load.to)));
    }
    let total = requests.len();
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| fault(format!("epoll: {e}")))?;
    let mut lines = Vec::with_capacity(load.connections);
    for place in 0..load.connections.min(total) {
        lines.push(Line { stream: connect(load, &poll, place)?, busy: None, inbox: Vec::new() });
    }
    // Those that rested longest go first: taken the other way round, a slow schedule would leave some without
    // a request until the server closes them.
    let mut idle: VecDeque<usize> = (0..lines.len()).collect();
    let due = |index: usize| match load.pace {
        Pace::Closed => 0,
        Pace::PerSecond(rate) => index as u64 * 1_000_000_000 / u64::from(rate),
    };
    let mut latency = latencies();
    let mut scratch = vec![0_u8; 64 << 10];
    let mut events = Vec::with_capacity(256);
    let (mut next, mut done) = (0, 0);
    let begun = Instant::now();
    let since = |begun: Instant| u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
    while done < total {
        let mut now = since(begun);
        if begun.elapsed() > load.time_max {
            return Err(fault(format!("{done} of {total} requests were answered within {:?}", load.time_max)));
        }
        while next < total && due(next) <= now {
            let Some(place) = idle.pop_front() else { break };
            now = since(begun);
            let intended = if matches!(load.pace, Pace::Closed) { now } else { due(next) };
            send(&mut lines[place], requests.get(next))?;
            lines[place].busy = Some((next, intended));
            next += 1;
        }
        let wait = if next < total && !idle.is_empty() { due(next).saturating_sub(since(begun)) } else { 100_000_000 };
        // As fast as answers come, the load never sleeps: waking it would be the server's work, more of it the
        // longer each answer takes, and the sides would pay differently for it.
        let looks = matches!(load.pace, Pace::Closed) || wait < SPIN_NANOS;
        let wait = if looks { 0 } else { wait - SPIN_NANOS / 2 };
        let timeout = Timespec {
            tv_sec: i64::try_from(wait / 1_000_000_000).unwrap_or(1),
            tv_nsec: i64::try_from(wait % 1_000_000_000).unwrap_or(0),
        };
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(fault(format!("epoll: {error}"))),
        }
        for event in events.drain(..) {
            let event: epoll::Event = event;
            let place = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
            let line = &mut lines[place];
            if line.busy.is_none() {
                if has_ended(line, &mut scratch)? {
                    line.stream = connect(load, &poll, place)?;
                }
                continue;
            }
            if !receive(line, &mut scratch, &mut |index, intended, status, body| {
                let _ = latency.record(since(begun).saturating_sub(intended).clamp(1_000, LATENCY_NANOS_MAX));
                on_answer(index, status, body);
            })? {
                continue;
            }
            done += 1;
            if next < total && due(next) <= since(begun) {
                let intended = if matches!(load.pace, Pace::Closed) { since(begun) } else { due(next) };
                send(line, requests.get(next))?;
                line.busy = Some((next, intended));
                next += 1;
            } else {
                idle.push_back(place);
            }
        }
    }
    Ok(Ran { took: begun.elapsed(), latency })
}

/// A connection whose answers are heard of under its place.
fn connect(load: &Load, poll: &impl AsFd, place: usize) -> Result<TcpStream, Fault> {
    let stream = TcpStream::connect_timeout(&load.to, Duration::from_secs(5))
        .map_err(|e| fault(format!("connecting to {}: {e}", load.to)))?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let data = epoll::EventData::new_u64(place as u64);
    epoll::add(poll, &stream, data, epoll::EventFlags::IN).map_err(|e| fault(format!("epoll: {e}")))?;
    Ok(stream)
}

/// Whether the server closed a connection that rested, which it may: nothing was asked, so nothing is lost.
fn has_ended(line: &mut Line, scratch: &mut [u8]) -> Result<bool, Fault> {
    match line.stream.read(scratch) {
        Ok(0) => Ok(true),
        Ok(_) => Err(fault("an answer came that nobody asked for")),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(false),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(true),
        Err(error) => Err(fault(format!("reading an answer: {error}"))),
    }
}

fn send(line: &mut Line, mut bytes: &[u8]) -> Result<(), Fault> {
    let begun = Instant::now();
    while !bytes.is_empty() {
        match line.stream.write(bytes) {
            Ok(sent) => bytes = &bytes[sent..],
            // One request fits the socket's buffer: this is for the rare one that does not.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                if begun.elapsed() > Duration::from_secs(10) {
                    return Err(fault("the server takes no bytes"));
                }
                std::thread::yield_now();
            }
            Err(error) => return Err(fault(format!("sending a request: {error}"))),
        }
    }
    Ok(())
}

/// Reads what is there; true when that completed the answer.
fn receive(
    line: &mut Line,
    scratch: &mut [u8],
    on_answer: &mut impl FnMut(usize, u64, u16, &[u8]),
) -> Result<bool, Fault> {
    let read = match line.stream.read(scratch) {
        Ok(0) => return Err(fault("the server closed a connection without an answer to what was asked on it")),
        Ok(read) => read,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(false),
        Err(error) => return Err(fault(format!("reading an answer: {error}"))),
    };
    let Some((index, intended)) = line.busy else { return Ok(false) };
    let whole = if line.inbox.is_empty() {
        &scratch[..read]
    } else {
        line.inbox.extend_from_slice(&scratch[..read]);
        &line.inbox
    };
    let Some((status, body)) = parse(whole)? else {
        if line.inbox.is_empty() {
            line.inbox.extend_from_slice(&scratch[..read]);
        }
        if line.inbox.len() > ANSWER_BYTES_MAX {
            return Err(fault("an answer is too long"));
        }
        return Ok(false);
    };
    on_answer(index, intended, status, &whole[body]);
    line.inbox.clear();
    line.busy = None;
    Ok(true)
}

/// Status and place of the body, when it is all there.
pub fn parse(bytes: &[u8]) -> Result<Option<(u16, Range<usize>)>, Fault> {
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..head]).map_err(|_| fault("the head of an answer is not text"))?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|word| word.parse().ok());
    let status: u16 = status.ok_or_else(|| fault("an answer has no status"))?;
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map(|(_, value)| value.trim().parse::<usize>());
    let length = match length {
        Some(Ok(length)) => length,
        None if status == 204 || status == 304 => 0,
        _ => return Err(fault("an answer has no content-length")),
    };
    let body = head + 4..head + 4 + length;
    if bytes.len() > body.end {
        return Err(fault("an answer is longer than it says"));
    }
    Ok((bytes.len() == body.end).then_some((status, body)))
}

/// The head of a request.
pub fn head(method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> String {
    use std::fmt::Write;
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n");
    if length > 0 {
        text.push_str("content-type: application/json\r\n");
    }
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").expect("a String takes all");
    }
    text.push_str("\r\n");
    text
}

/// One request and its answer.
pub fn call(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<(u16, Vec<u8>), Fault> {
    let mut one = Requests::default();
    one.push(&head(method, path, headers, body.len()), body);
    let mut answer = None;
    let load = Load { to, connections: 1, pace: Pace::Closed, time_max: Duration::from_secs(60) };
    run(&load, &one, &mut |_, status, body| answer = Some((status, body.to_vec())))?;
    answer.ok_or_else(|| fault("no answer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_or_not_yet() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(parse(text).unwrap(), Some((200, 38..40)));
        for end in 0..text.len() {
            assert_eq!(parse(&text[..end]).unwrap(), None, "cut at {end}");
        }
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nx").is_err());
    }

    #[test]
    fn a_connection_that_rests_may_end_and_may_not_speak() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut other, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut line = Line { stream, busy: None, inbox: Vec::new() };
        let mut scratch = [0; 16];
        assert!(!has_ended(&mut line, &mut scratch).unwrap(), "it rests");
        other.write_all(b"?").unwrap();
        assert!(has_ended(&mut line, &mut scratch).is_err(), "nobody asked");
        drop(other);
        assert!(has_ended(&mut line, &mut scratch).unwrap());
    }
}
