//! A puller for each source that names a pull address: asks for a page, takes its documents
//! by the operator's authority ([`crate::ingest`]), writes the next page's cursor down once all
//! of them are durable, and asks again.
//!
//! The cursor lies in a small file beside the journal. A process that is killed between the
//! documents and the cursor reads the page once more, which identity makes harmless. A
//! document that cannot be read goes to the dead letters like a webhook; when even that has
//! no room the cursor stays, since the other side still keeps the page.

pub mod page;
pub mod wait;

use crate::authenticate::Secret;
use crate::domain::{SourceName, Timestamp};
use crate::engine::{Engine, EngineError};
use crate::health::Health;
use crate::ingest::{Intake, PACK_DOCUMENTS_MAX};
use crate::kept;
use crate::normalise::{self, Unreadable};
use crate::pipeline::{Chain, Received, Refused, Source};
use crate::record::DeadLetter;
use crate::wire::client::{FetchError, Fetched, HttpClient};
use base64::Engine as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use page::{BadPage, Page, Shape};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// Pages read without a pause: whoever answers with ever new cursors is not asked for ever.
const PAGES_MAX: u32 = 1_000;
/// Tries of what could not be committed, within one page.
const TRIES_MAX: u32 = 5;
const TRY_AGAIN_MS: u64 = 200;
const CURSOR_FILE_BYTES_MAX: u64 = 64 << 10;

/// How the other side knows us.
#[derive(Clone)]
pub enum Proof {
    /// It does not.
    Nobody,
    /// `Authorization: Bearer …`
    Bearer(Secret),
    /// `Authorization: Basic …`, of `user:password`.
    Basic(Secret),
}

impl Proof {
    fn header(&self) -> Result<Option<HeaderValue>, PullError> {
        let text = match self {
            Self::Nobody => return Ok(None),
            Self::Bearer(secret) => format!("Bearer {}", secret.expose()),
            Self::Basic(secret) => {
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(secret.expose()))
            }
        };
        let mut value = HeaderValue::try_from(zeroize::Zeroizing::new(text).as_str()).map_err(|_| PullError::Secret)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// What a source says about its pages.
#[derive(Clone)]
pub struct PullOptions {
    /// Whom to ask.
    pub url: String,
    /// The pause after the last page.
    pub every: Duration,
    /// The query parameter that carries the cursor.
    pub cursor_query: String,
    /// Where in the answer things are.
    pub shape: Shape,
    /// Most bytes of a page.
    pub page_bytes_max: usize,
    /// Time for a page.
    pub page_time_max: Duration,
    /// How the other side knows us.
    pub proof: Proof,
}

/// Why a page was not taken. The cursor then stays where it is.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// No answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// An answer other than 200.
    #[error("the other side answered {status}")]
    Status {
        /// Which.
        status: u16,
        /// Seconds it wants us to wait.
        retry_after_seconds: Option<u64>,
    },
    /// The answer is no page.
    #[error(transparent)]
    Page(#[from] BadPage),
    /// The secret cannot be sent.
    #[error("`pull.secret` holds characters that no header may hold")]
    Secret,
    /// The address with the cursor is none.
    #[error("the cursor makes no address")]
    Address,
    /// Not now.
    #[error("the store does not take the page now")]
    NotNow,
    /// The engine could not keep a dead letter.
    #[error("a document could not be kept")]
    Engine(#[from] EngineError),
    /// A document is neither understood nor kept.
    #[error("the dead-letter shelf is full; look at /v1/dead-letters, or raise webhooks.dead_letters_max")]
    ShelfFull,
    /// The cursor.
    #[error("the cursor at {path} cannot be read or written")]
    Cursor {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl PullError {
    fn asked_seconds(&self) -> Option<u64> {
        match self {
            Self::Status { retry_after_seconds, .. } => *retry_after_seconds,
            _ => None,
        }
    }
}

/// What a puller counts.
#[derive(Debug, Default)]
pub struct PullCounters {
    /// Pages taken.
    pub pages: AtomicU64,
    /// Documents taken.
    pub documents: AtomicU64,
    /// Pages that were not.
    pub failures: AtomicU64,
    /// When a page was last taken; 0 before the first.
    pub succeeded_at: AtomicI64,
}

/// What one round did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Round {
    /// Pages taken.
    pub pages: u32,
    /// Documents in them that were not taken just before.
    pub documents: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CursorFile {
    /// A cursor means something only to whoever gave it.
    url: String,
    cursor: String,
    at: Timestamp,
}

/// Pulls one source.
pub struct Puller {
    options: PullOptions,
    engine: Arc<Engine>,
    health: Arc<Health>,
    source: Source,
    client: HttpClient,
    path: PathBuf,
    cursor: Option<String>,
    /// Documents of the last page, which is read again while it has no successor.
    taken: HashSet<u64>,
    failures: u32,
    random: ChaCha8Rng,
    counters: Arc<PullCounters>,
}

/// Where the cursor of a source lies.
#[must_use]
pub fn cursor_path(dir: &Path, source: &SourceName) -> PathBuf {
    dir.join(format!("{source}.cursor"))
}

impl Puller {
    /// A puller that goes on where the last one ended. Blocks.
    ///
    /// # Errors
    /// [`PullError`] when the address cannot be asked or the cursor not be read.
    pub fn new(
        options: PullOptions,
        engine: Arc<Engine>,
        health: Arc<Health>,
        source: Source,
        dir: &Path,
        seed: u64,
    ) -> Result<Self, PullError> {
        let path = cursor_path(dir, &source.name);
        let unread = |source| PullError::Cursor { path: path.clone(), source };
        let uri: hyper::Uri = options.url.parse().map_err(|_| PullError::Address)?;
        options.proof.header()?;
        std::fs::create_dir_all(dir).map_err(unread)?;
        let cursor = match kept::read(&path, CURSOR_FILE_BYTES_MAX).map_err(unread)? {
            None => None,
            Some(text) => {
                let file: CursorFile = serde_json::from_slice(&text).map_err(|error| unread(error.into()))?;
                (file.url == options.url).then_some(file.cursor)
            }
        };
        Ok(Self {
            client: HttpClient::for_address(&uri)?,
            options,
            engine,
            health,
            source,
            path,
            cursor,
            taken: HashSet::new(),
            failures: 0,
            random: ChaCha8Rng::seed_from_u64(seed),
            counters: Arc::default(),
        })
    }

    /// What it counts.
    #[must_use]
    pub fn counters(&self) -> Arc<PullCounters> {
        Arc::clone(&self.counters)
    }

    /// Where the next page begins, as far as it is known.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// Pulls for ever. Dropped at a stop: then the page under way is read once more later.
    pub async fn run(mut self) {
        loop {
            let wait = self.round_and_wait().await;
            tokio::time::sleep(wait).await;
        }
    }

    /// One round; how long to wait after it.
    pub async fn round_and_wait(&mut self) -> Duration {
        match self.round().await {
            Ok(round) => {
                if self.failures > 0 {
                    tracing::info!(source = %self.source.name, "the source's pages are read again");
                }
                self.failures = 0;
                tracing::debug!(source = %self.source.name, pages = round.pages, documents = round.documents, "pulled");
                self.options.every
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.counters.failures.fetch_add(1, Ordering::Relaxed);
                let wait = wait::after_failures(self.failures, self.random.next_u64(), error.asked_seconds());
                tracing::warn!(
                    source = %self.source.name, failures = self.failures, wait_seconds = wait.as_secs(),
                    error = %Chain(&error), "a page was not taken; its cursor stays"
                );
                wait
            }
        }
    }

    /// Pages until there are no more.
    ///
    /// # Errors
    /// [`PullError`] of the first page that was not taken; those before it are done.
    pub async fn round(&mut self) -> Result<Round, PullError> {
        let mut round = Round::default();
        while round.pages < PAGES_MAX {
            let page = self.fetch().await?;
            let documents = self.take(&page.documents).await?;
            round.pages += 1;
            round.documents += documents;
            let now = self.engine.clock.now();
            if documents > 0 {
                self.health.delivered(self.source.index, now);
            }
            self.counters.pages.fetch_add(1, Ordering::Relaxed);
            self.counters.documents.fetch_add(documents, Ordering::Relaxed);
            self.counters.succeeded_at.store(now.as_ms(), Ordering::Relaxed);
            match page.next {
                // The page that has no successor is the one that grows.
                None => break,
                Some(next) if self.cursor.as_ref() == Some(&next) => break,
                Some(next) => {
                    self.keep_cursor(next, now).await?;
                    self.taken.clear();
                }
            }
        }
        Ok(round)
    }

    async fn fetch(&self) -> Result<Page, PullError> {
        let options = &self.options;
        let url = page::with_cursor(&options.url, &options.cursor_query, self.cursor.as_deref());
        let mut request = hyper::Request::get(url)
            .header(ACCEPT, "application/json")
            .body(Full::<Bytes>::default())
            .map_err(|_| PullError::Address)?;
        if let Some(value) = options.proof.header()? {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let answer = self.client.fetch(request, options.page_bytes_max, options.page_time_max).await?;
        let Fetched { status, retry_after_seconds, body } = answer;
        match status {
            200 => Ok(page::read(&body, &options.shape)?),
            // Nothing there.
            204 => Ok(Page { documents: Vec::new(), next: None }),
            _ => Err(PullError::Status { status, retry_after_seconds }),
        }
    }

    /// Takes a page's documents; how many were new. All are durable when this returns.
    async fn take(&mut self, documents: &[Bytes]) -> Result<u64, PullError> {
        let mut new: Vec<Bytes> = Vec::new();
        let mut seen = HashSet::new();
        for document in documents {
            let hash = xxh3_64(document);
            if !self.taken.contains(&hash) && seen.insert(hash) {
                new.push(document.clone());
            }
        }
        let count = new.len() as u64;
        for pack in new.chunks(PACK_DOCUMENTS_MAX) {
            let mut pack = pack.to_vec();
            for tries in 1.. {
                pack = self.take_pack(&pack).await?;
                if pack.is_empty() {
                    break;
                }
                if tries == TRIES_MAX {
                    return Err(PullError::NotNow);
                }
                tokio::time::sleep(Duration::from_millis(TRY_AGAIN_MS << tries)).await;
            }
        }
        // What is no longer on the page need not be remembered.
        self.taken = documents.iter().map(|document| xxh3_64(document)).collect();
        Ok(count)
    }

    /// Takes a pack; the documents that must come again.
    async fn take_pack(&mut self, pack: &[Bytes]) -> Result<Vec<Bytes>, PullError> {
        let intake = Intake { engine: &self.engine, source: &self.source, health: &self.health };
        let taken = intake.take(pack).await;
        let mut again = Vec::new();
        for (document, taken) in pack.iter().zip(taken) {
            match self.settled(document, taken).await? {
                true => drop(self.taken.insert(xxh3_64(document))),
                false => again.push(document.clone()),
            }
        }
        Ok(again)
    }

    /// Whether nothing of a document must come again.
    async fn settled(&self, document: &Bytes, taken: Result<Received, Unreadable>) -> Result<bool, PullError> {
        let received = match taken {
            Ok(received) => received,
            Err(unreadable) => return self.shelve(document, unreadable).await.map(|()| true),
        };
        for result in received.results {
            match result {
                Err(Refused::NotNow(_)) => return Ok(false),
                Err(Refused::Impossible { kept: false, .. }) => return Err(PullError::ShelfFull),
                Err(Refused::Conflict { event }) => {
                    tracing::warn!(source = %self.source.name, event, "a pulled event was seen with other content; the first stays");
                }
                _ => {}
            }
        }
        Ok(true)
    }

    /// A document that is none of its format is kept like a message that cannot be true.
    async fn shelve(&self, document: &Bytes, unreadable: Unreadable) -> Result<(), PullError> {
        let masked = normalise::masked(self.source.format, document);
        let letter = DeadLetter {
            id: 0,
            source: self.source.name.clone(),
            received_at: self.engine.clock.now(),
            code: unreadable.problem.code.to_owned(),
            path: unreadable.problem.path,
            detail: unreadable.problem.detail,
            body: (masked.len() <= self.engine.options.dead_letter_bytes_max).then_some(masked),
        };
        self.engine.shelve(letter).await?.map(|_| ()).ok_or(PullError::ShelfFull)
    }

    async fn keep_cursor(&mut self, next: String, now: Timestamp) -> Result<(), PullError> {
        let file = CursorFile { url: self.options.url.clone(), cursor: next.clone(), at: now };
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || kept::replace(&path, &serde_json::to_vec(&file)?));
        let written = written.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        written.map_err(|source| PullError::Cursor { path: self.path.clone(), source })?;
        self.cursor = Some(next);
        Ok(())
    }
}
