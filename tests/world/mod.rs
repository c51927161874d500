//! A small world to test in: folders that go away, settings with two sources, a shop, an
//! offer, members with cards, and webhooks with real signatures.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary uses a part of the world, and a test that cannot go on fails where it stands"
)]

pub mod network;
pub mod redis;
pub mod ring;

use ringfence::api::Doors;
use ringfence::app::{self, App};
use ringfence::authenticate::{Scheme, Secret, Signer, VerifiedBody};
use ringfence::clock::Clock;
use ringfence::config::Settings;
use ringfence::decide::Policy;
use ringfence::domain::merchant::{Location, Merchant, Mid};
use ringfence::domain::offer::{Reward, Terms};
use ringfence::domain::{Currency, LocationId, MemberId, MerchantId, OfferId, SourceName, Timestamp};
use ringfence::engine::acts::{Linking, Registration};
use ringfence::engine::catalogue::Step;
use ringfence::engine::{Engine, EngineOptions};
use ringfence::journal::disk::Disk;
use ringfence::pipeline::{Received, Source};
use ringfence::telemetry::Metrics;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
pub const STRIPE_SECRET: &str = "whsec_5Tq0zQdX3nRrN8cVb1LwKj7uYtHsGfEa";
/// When the worlds of tests begin.
pub const BEGIN: &str = "2026-11-21T12:00:00Z";

/// A folder that goes away.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        Self::below(&std::env::temp_dir(), name)
    }
    pub fn below(parent: &Path, name: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("ringfence-{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn begin() -> Timestamp {
    Timestamp::parse(BEGIN).expect("an instant")
}

/// Variables that make a world's settings: `extra` go over them.
pub fn variables(dir: &Path, extra: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = [
        ("RINGFENCE_SERVER__LISTEN", "127.0.0.1:0".to_owned()),
        ("RINGFENCE_STORE__URL", format!("embedded:{}", dir.display())),
        ("RINGFENCE_STORE__PARTITIONS", "16".to_owned()),
        ("RINGFENCE_JOURNAL__DIR", dir.join("journal").display().to_string()),
        ("RINGFENCE_LOG__LEVEL", std::env::var("RINGFENCE_TEST_LOG").unwrap_or_else(|_| "error".to_owned())),
        // What is about something else sees its money at once.
        ("RINGFENCE_SCREENING__ENABLED", "false".to_owned()),
        ("RINGFENCE_SECRET_VISA", SECRET.to_owned()),
        ("RINGFENCE_SECRET_STRIPE", STRIPE_SECRET.to_owned()),
        (
            "RINGFENCE_SOURCES",
            r#"[{name="visa-eu",format="ringfence",auth=["standard-webhooks"],secrets=["env:RINGFENCE_SECRET_VISA"]},{name="stripe",format="stripe-issuing",auth=["stripe"],secrets=["env:RINGFENCE_SECRET_STRIPE"]}]"#.to_owned(),
        ),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    all.extend(extra.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    all
}

pub fn settings(dir: &Path, extra: &[(&str, &str)]) -> Settings {
    let variables = variables(dir, extra);
    Settings::load(None, &variables, &|path| std::fs::read_to_string(path)).unwrap_or_else(|e| panic!("{e}"))
}

/// The engine alone, on any disk, with the clock in hand.
pub fn engine(disk: Option<Arc<dyn Disk>>, options: EngineOptions, clock: &Clock) -> Arc<Engine> {
    let metrics = Arc::new(Metrics::new(&[SourceName::new("visa-eu").unwrap()]));
    let started = match disk {
        Some(disk) => Engine::start_on(disk, options, Policy::default(), clock.clone(), metrics),
        None => Engine::start(options, Policy::default(), clock.clone(), metrics),
    };
    started.unwrap_or_else(|e| panic!("{}", ringfence::pipeline::Chain(&e))).0
}

pub fn small_options(dir: &Path) -> EngineOptions {
    EngineOptions { partitions: 8, sightings_days: 0, cache_bytes: 8 << 20, ..EngineOptions::new(dir) }
}

pub fn source() -> Source {
    let dir = Folder::new("source");
    let settings = settings(&dir.0, &[]);
    app::source(0, &settings.sources[0], 300).expect("a source")
}

pub fn merchant(id: &str, mids: &[&str]) -> Merchant {
    Merchant {
        id: MerchantId::new(id).unwrap(),
        name: id.to_owned(),
        time_zone: "America/Los_Angeles".into(),
        locations: vec![Location {
            mids: mids
                .iter()
                .map(|mid| Mid {
                    scheme: None,
                    acquirer: None,
                    mid: (*mid).into(),
                    from: None,
                    to: None,
                    shared: false,
                })
                .collect(),
            ..Location::new(LocationId::new("main").unwrap())
        }],
        competitors: Vec::new(),
    }
}

/// Five percent of everything in USD, without conditions.
pub fn terms(merchant: &str) -> Terms {
    Terms {
        hold_days: 1,
        ..Terms::new(
            MerchantId::new(merchant).unwrap(),
            "5% back",
            Currency::parse("USD").unwrap(),
            Reward::percent(500, None),
        )
    }
}

/// Puts an offer in force since the beginning of time, by an operator's word.
pub async fn publish(engine: &Arc<Engine>, offer: &str, terms: Terms) {
    let id = OfferId::new(offer).unwrap();
    engine.put_offer(&id, terms, None).await.expect("an offer");
    engine.step_offer(&id, Step::Publish, Some(Timestamp::from_ms(0))).await.expect("published");
}

/// Registers a member with one card of the first source, since the beginning of time.
pub async fn member(engine: &Arc<Engine>, id: &str, token: &str) {
    let member = MemberId::new(id).unwrap();
    engine.register(&member, Registration::default(), None).await.expect("registered");
    let linking = Linking {
        source: SourceName::new("visa-eu").unwrap(),
        token: token.to_owned(),
        from: Some(Timestamp::from_ms(0)),
        same_card_as: None,
        replaces: None,
    };
    engine.link_card(&member, linking).await.expect("linked");
}

/// A body of the `ringfence` format.
pub fn event(id: &str, kind: &str, purchase: &str, card: &str, minor: i64, at: &str, mid: &str) -> String {
    format!(
        r#"{{"id":"{id}","type":"{kind}","purchase_id":"{purchase}","card":"{card}","amount":{{"minor":{minor},"currency":"USD"}},"occurred_at":"{at}","posted_at":"{at}","merchant":{{"scheme":"visa","mid":"{mid}","descriptor":"SHOP","mcc":"5814"}}}}"#
    )
}

/// Takes a body through the whole path, in process.
pub async fn receive(engine: &Arc<Engine>, source: &Source, body: &str) -> Received {
    let body = VerifiedBody::by_operator(bytes::Bytes::copy_from_slice(body.as_bytes()));
    ringfence::pipeline::receive(engine, source, &body).await.expect("readable")
}

/// A service on a free port, in process.
pub struct Service {
    pub folder: Folder,
    pub address: std::net::SocketAddr,
    pub doors: Arc<Doors>,
    pub clock: Clock,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
    visa: Signer,
    stripe: Signer,
}

impl Service {
    pub async fn start(extra: &[(&str, &str)]) -> Self {
        Self::start_in(Folder::new("service"), extra).await
    }
    pub async fn start_in(folder: Folder, extra: &[(&str, &str)]) -> Self {
        let settings = settings(&folder.0, extra);
        Self::start_as(folder, &settings).await
    }
    /// With settings of one's own. [`Service::post`] signs for the two sources of the world alone.
    pub async fn start_as(folder: Folder, settings: &Settings) -> Self {
        let clock = Clock::manual(begin());
        let bootstrap = Secret::new(BOOTSTRAP.to_owned());
        let app = App::start(settings, clock.clone(), Some(&bootstrap)).await.unwrap_or_else(|e| panic!("{e}"));
        let (address, doors) = (app.address(), Arc::clone(&app.doors));
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let stop = async {
                let _ = stopped.await;
            };
            app.serve(stop).await.expect("a clean stop");
        });
        let sign = |scheme, secret: &str| Signer::new(scheme, &Secret::new(secret.to_owned())).expect("a signer");
        let (visa, stripe) = (sign(Scheme::StandardWebhooks, SECRET), sign(Scheme::Stripe, STRIPE_SECRET));
        Self { folder, address, doors, clock, stop: Some(stop), task, visa, stripe }
    }
    pub fn engine(&self) -> &Arc<Engine> {
        &self.doors.engine
    }
    /// Stops in order and hands the folder on.
    pub async fn stop(mut self) -> Folder {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        (&mut self.task).await.expect("the service ends by itself");
        let empty = Folder(PathBuf::from("/nonexistent/ringfence"));
        std::mem::replace(&mut self.folder, empty)
    }
    /// Posts a signed body; status and JSON.
    pub async fn post(&self, source: &str, body: impl Into<Vec<u8>>) -> (u16, serde_json::Value) {
        let body = body.into();
        let signer = if source == "stripe" { &self.stripe } else { &self.visa };
        let headers = signer.sign("msg_test", self.clock.now(), &body).expect("signed");
        let headers: Vec<(String, String)> = headers.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        let reply = self.send("POST", &format!("/v1/webhooks/{source}"), &headers, body).await;
        (reply.status, reply.json())
    }
    /// Calls the API as the operator.
    pub async fn call(&self, method: &str, path: &str, body: &str) -> (u16, serde_json::Value) {
        let reply = self.call_with(method, path, BOOTSTRAP, &[], body).await;
        (reply.status, reply.json())
    }
    pub async fn call_with(&self, method: &str, path: &str, key: &str, more: &[(&str, &str)], body: &str) -> Answer {
        let mut headers = vec![("authorization".to_owned(), format!("Bearer {key}"))];
        if !body.is_empty() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        headers.extend(more.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        self.send(method, path, &headers, body.as_bytes().to_vec()).await
    }
    pub async fn send(&self, method: &str, path: &str, headers: &[(String, String)], body: Vec<u8>) -> Answer {
        send(self.address, method, path, headers, body).await.expect("an answer")
    }
}

pub const BOOTSTRAP: &str = "test-operator-key-0123456789abcdef0123456789";

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: hyper::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or(serde_json::Value::Null)
    }
}

/// One request on a connection of its own.
pub async fn send(
    address: std::net::SocketAddr,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: Vec<u8>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    use http_body_util::{BodyExt, Full};
    let stream = tokio::net::TcpStream::connect(address).await?;
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    let connection = tokio::spawn(connection);
    let mut request = hyper::Request::builder().method(method).uri(path).header("host", address.to_string());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let response = sender.send_request(request.body(Full::new(bytes::Bytes::from(body)))?).await?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await?.to_bytes().to_vec();
    drop(sender);
    let _ = connection.await;
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
}
