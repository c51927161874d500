//! The networks: posts the day's messages over HTTP with real signatures, many at once and
//! each lane in its order, and counts what was answered.

use super::circles::Call;
use super::day::{Day, Expect, Message, Proof};
use super::stage::{Secrets, Signers};
use super::town::SOURCES;
use crate::authenticate::Secret;
use crate::clock::Clock;
use crate::commands::Failure;
use crate::domain::Timestamp;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use hdrhistogram::Histogram;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, StatusCode, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Requests under way at once, each on a connection that is kept.
const LANES: usize = 96;
/// The clock moves in such steps; nothing is under way when it does.
pub const STEP_MS: i64 = 3 * 3_600_000;
/// How often one message is tried when the service says "not now".
const TRIES_MAX: u32 = 5;
/// Surprises that are told in full.
const SURPRISES_TOLD: usize = 10;

/// What the networks saw.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Webhooks by the word of their outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// Client-side latency, microseconds.
    pub latency: Histogram<u64>,
    /// Answers that differ from what the message had to be answered: how many, and some of them.
    pub surprises: (u64, Vec<String>),
    /// Answers 429 and 503 that were tried again.
    pub retries: u64,
}

impl Tally {
    fn new() -> Result<Self, Failure> {
        let latency = Histogram::new_with_bounds(1, 60_000_000, 3)?;
        Ok(Self { outcomes: BTreeMap::new(), latency, surprises: (0, Vec::new()), retries: 0 })
    }
    fn surprise(&mut self, text: String) {
        self.surprises.0 += 1;
        if self.surprises.1.len() < SURPRISES_TOLD {
            self.surprises.1.push(text);
        }
    }
    /// Takes in another tally.
    ///
    /// # Errors
    /// Never: all histograms have the same bounds.
    pub fn add(&mut self, other: &Self) -> Result<(), Failure> {
        for (word, count) in &other.outcomes {
            *self.outcomes.entry(word.clone()).or_default() += count;
        }
        self.latency.add(&other.latency)?;
        self.surprises.0 += other.surprises.0;
        let room = SURPRISES_TOLD.saturating_sub(self.surprises.1.len());
        self.surprises.1.extend(other.surprises.1.iter().take(room).cloned());
        self.retries += other.retries;
        Ok(())
    }
    /// Webhooks with this word.
    #[must_use]
    pub fn of(&self, word: &str) -> u64 {
        self.outcomes.get(word).copied().unwrap_or(0)
    }
}

/// Posts to one service.
pub struct Poster {
    client: Client<HttpConnector, Full<Bytes>>,
    signers: Vec<Signers>,
    urls: Vec<hyper::Uri>,
    base: String,
    clock: Clock,
}

impl Poster {
    /// Readies the clients.
    ///
    /// # Errors
    /// Never in practice: the address is that of a bound listener.
    pub fn new(address: SocketAddr, secrets: &Secrets, clock: Clock) -> Result<Self, Failure> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(LANES).build(connector);
        let url = |name: &str| format!("http://{address}/v1/webhooks/{name}").parse::<hyper::Uri>();
        let urls = SOURCES.iter().map(|source| url(source.name)).collect::<Result<_, _>>()?;
        let base = format!("http://{address}");
        Ok(Self { client, signers: secrets.signers()?, urls, base, clock })
    }

    /// Tells the service what an issuer's app would, side by side.
    ///
    /// # Errors
    /// When a request is not taken.
    pub async fn tell(&self, key: &Secret, said: &[Call]) -> Result<(), Failure> {
        let bearer = format!("Bearer {}", key.expose());
        let one = async |said: &Call| -> Result<(), Failure> {
            let uri = format!("{}{}", self.base, said.path);
            let request = hyper::Request::builder()
                .method(said.method)
                .uri(uri)
                .header(header::AUTHORIZATION, &bearer)
                .header(header::CONTENT_TYPE, "application/json");
            let response = self.client.request(request.body(Full::new(Bytes::from(said.body.clone())))?).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            if status.is_success() {
                return Ok(());
            }
            Err(format!("{} {}: {status} {}", said.method, said.path, String::from_utf8_lossy(&body)).into())
        };
        futures_util::stream::iter(said).map(|said| Ok(one(said))).try_buffer_unordered(LANES).try_collect::<()>().await
    }

    /// Posts the day, and calls `step` each time the clock has moved, and `posted` with the
    /// webhooks answered since it was last called.
    ///
    /// # Errors
    /// When the service cannot be reached.
    pub async fn post_day(
        self: &Arc<Self>,
        day: &Day,
        mut step: impl AsyncFnMut(Timestamp) -> Result<(), Failure>,
        posted: impl Fn(u64) + Clone + Send + 'static,
    ) -> Result<Tally, Failure> {
        let mut total = Tally::new()?;
        let mut from = 0;
        let mut until = day.start;
        while from < day.messages.len() {
            until = until.plus_ms(STEP_MS);
            self.clock.set(until);
            step(until).await?;
            let to = from + day.messages[from..].partition_point(|message| message.deliver < until);
            total.add(&self.post_all(&day.messages[from..to], posted.clone()).await?)?;
            from = to;
        }
        Ok(total)
    }

    /// Posts messages as the clock stands: lanes side by side, each in its order.
    ///
    /// # Errors
    /// When the service cannot be reached.
    pub async fn post_all(
        self: &Arc<Self>,
        messages: &[Message],
        posted: impl Fn(u64) + Clone + Send + 'static,
    ) -> Result<Tally, Failure> {
        let mut total = Tally::new()?;
        let mut lanes: Vec<Vec<Message>> = vec![Vec::new(); LANES];
        for message in messages {
            lanes[message.lane % LANES].push(message.clone());
        }
        let tasks: Vec<_> = lanes
            .into_iter()
            .filter(|lane| !lane.is_empty())
            .map(|lane| {
                let (poster, posted) = (Arc::clone(self), posted.clone());
                tokio::spawn(async move { poster.post_lane(lane, posted).await })
            })
            .collect();
        for task in tasks {
            total.add(&task.await??)?;
        }
        Ok(total)
    }

    async fn post_lane(&self, messages: Vec<Message>, posted: impl Fn(u64)) -> Result<Tally, Failure> {
        let mut tally = Tally::new()?;
        for message in messages {
            let copies = (0..message.copies).map(|_| self.post(&message));
            let mut words = Vec::with_capacity(usize::from(message.copies));
            for answer in futures_util::future::join_all(copies).await {
                let answer = answer?;
                tally.latency.saturating_record(u64::try_from(answer.took.as_micros()).unwrap_or(u64::MAX));
                tally.retries += u64::from(answer.retries);
                *tally.outcomes.entry(answer.word.clone()).or_default() += 1;
                words.push(answer.word);
            }
            posted(u64::from(message.copies));
            if !is_expected(&message, &words) {
                tally.surprise(format!(
                    "{} {}: {:?}, answered {}",
                    message.id,
                    message.body,
                    message.expect,
                    words.join(", ")
                ));
            }
        }
        Ok(tally)
    }

    async fn post(&self, message: &Message) -> Result<Answer, Failure> {
        let Signers { right, wrong } = &self.signers[message.source];
        let body = Bytes::copy_from_slice(message.body.as_bytes());
        let begun = Instant::now();
        for tries in 0..TRIES_MAX {
            let now = self.clock.now();
            let (signers, at) = match message.proof {
                Proof::Right => (right, now),
                Proof::WrongSecret => (wrong, now),
                Proof::Old => (right, now.plus_ms(-3_600_000)),
            };
            let mut request = hyper::Request::builder()
                .method(Method::POST)
                .uri(self.urls[message.source].clone())
                .header(header::CONTENT_TYPE, "application/json");
            for signer in signers {
                for (name, value) in signer.sign(&message.id, at, &body)? {
                    request = request.header(name, value);
                }
            }
            let response = self.client.request(request.body(Full::new(body.clone()))?).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
                tokio::time::sleep(Duration::from_millis(100 << tries)).await;
                continue;
            }
            return Ok(Answer { word: word(status, &body), took: begun.elapsed(), retries: tries });
        }
        Err(format!("{}: the service said `not now` {TRIES_MAX} times", message.id).into())
    }
}

struct Answer {
    word: String,
    took: Duration,
    retries: u32,
}

#[derive(Deserialize)]
struct Said<'a> {
    outcome: Option<&'a str>,
    outcomes: Option<Vec<&'a str>>,
    success: Option<bool>,
}

/// What a source hears that is answered in fixed words of its own.
const TAKEN: &str = "taken";

/// The outcome in one word: the last that is new, of a message that tells several events.
fn word(status: StatusCode, body: &[u8]) -> String {
    match status {
        StatusCode::OK => serde_json::from_slice::<Said<'_>>(body)
            .ok()
            .and_then(|said| {
                let several = said.outcomes.unwrap_or_default();
                let new = several.iter().rev().find(|word| **word != "duplicate").or(several.first()).copied();
                said.outcome.or(new).or((said.success == Some(true)).then_some(TAKEN))
            })
            .unwrap_or("no outcome")
            .to_owned(),
        StatusCode::BAD_REQUEST => "unreadable".to_owned(),
        StatusCode::UNAUTHORIZED => "not_proven".to_owned(),
        StatusCode::CONFLICT => "conflict".to_owned(),
        StatusCode::UNPROCESSABLE_ENTITY => "kept".to_owned(),
        other => other.as_str().to_owned(),
    }
}

/// Of copies delivered at once exactly one is the first.
fn is_expected(message: &Message, words: &[String]) -> bool {
    let all = |word: &str| words.iter().all(|said| said == word);
    if SOURCES[message.source].dialect.silent && !matches!(message.expect, Expect::Unreadable | Expect::NotProven) {
        return all(TAKEN);
    }
    match message.expect {
        Expect::Ours => {
            let first: Vec<_> = words.iter().filter(|word| *word != "duplicate").collect();
            matches!(first.as_slice(), [word] if ["credited", "adjusted", "clawed_back", "no_reward"].contains(&word.as_str()))
        }
        Expect::Duplicate => all("duplicate"),
        Expect::NoOffer => all("no_offer"),
        Expect::UnknownCard => all("unknown_card"),
        Expect::Ignored => all("ignored"),
        Expect::Conflict => all("conflict"),
        Expect::Kept => all("kept"),
        Expect::Unreadable => all("unreadable"),
        Expect::NotProven => all("not_proven"),
    }
}
