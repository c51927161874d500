//! The two ways into a store: by ourselves, when no service runs on it, or through the
//! service that does.

use super::Intake;
use super::lines::Line;
use super::tally::Tally;
use crate::api::Doors;
use crate::authenticate::Secret;
use crate::pipeline::Chain;
use crate::wire::client::{FetchError, HttpClient, address};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Uri};
use std::sync::Arc;
use std::time::Duration;

/// A pack may take this long at a service before it is tried again.
const PACK_SECONDS_MAX: u64 = 120;
/// Most bytes of a service's answer.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Why a pack was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// Come back with the same.
    #[error("{why}")]
    NotNow {
        /// In words.
        why: String,
        /// As far as the other side says.
        seconds: Option<u64>,
    },
    /// The service takes no bodies as large as this pack.
    #[error("the service takes no bodies of this size")]
    TooLarge,
    /// It will never be taken so.
    #[error("the service refuses: {0}")]
    Refused(String),
}

/// A way in.
pub enum Way {
    /// A store that we opened.
    Here {
        /// Its doors.
        doors: Arc<Doors>,
        /// The source.
        source: String,
    },
    /// A service.
    There(Box<Service>),
}

/// A service that is asked.
pub struct Service {
    client: HttpClient,
    uri: Uri,
    key: Secret,
}

impl Service {
    /// The service at an address, with an operator's key.
    ///
    /// # Errors
    /// In words that say what would be right.
    pub fn new(at: &str, source: &str, key: Secret) -> Result<Self, String> {
        let base = address(at).map_err(|bad| format!("--at: {bad}"))?;
        if base.query().is_some() {
            return Err("--at: has a query; give the address alone, such as http://127.0.0.1:8080".to_owned());
        }
        let uri = format!("{}/v1/sources/{source}/ingest", at.trim_end_matches('/'));
        let uri = uri.parse().map_err(|_| format!("--source: `{source}` cannot stand in an address"))?;
        let client = HttpClient::for_address(&base).map_err(|error| format!("--at: {}", Chain(&error)))?;
        Ok(Self { client, uri, key })
    }

    async fn take(&self, lines: &[Line]) -> Result<Tally, NotTaken> {
        let mut body = Vec::with_capacity(lines.iter().map(|line| line.bytes.len() + 1).sum());
        for line in lines {
            body.extend_from_slice(&line.bytes);
            body.push(b'\n');
        }
        let request = hyper::Request::builder()
            .method(Method::POST)
            .uri(self.uri.clone())
            .header(CONTENT_TYPE, "application/x-ndjson")
            .header(AUTHORIZATION, format!("Bearer {}", self.key.expose()))
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| NotTaken::Refused("the key holds characters that no header may hold".to_owned()))?;
        let answered = self.client.fetch(request, ANSWER_BYTES_MAX, Duration::from_secs(PACK_SECONDS_MAX)).await;
        let answer = match answered {
            Ok(answer) => answer,
            Err(error @ (FetchError::Authorities(_) | FetchError::TooLarge(_))) => {
                return Err(NotTaken::Refused(Chain(&error).to_string()));
            }
            Err(error) => return Err(NotTaken::NotNow { why: Chain(&error).to_string(), seconds: None }),
        };
        let said = || String::from_utf8_lossy(&answer.body).chars().take(500).collect::<String>();
        match answer.status {
            200 => serde_json::from_slice(&answer.body)
                .map_err(|error| NotTaken::Refused(format!("its answer is none of ours: {error}"))),
            413 => Err(NotTaken::TooLarge),
            408 | 429 | 500..=599 => {
                let why = format!("the service answered {}: {}", answer.status, said());
                Err(NotTaken::NotNow { why, seconds: answer.retry_after_seconds })
            }
            status => Err(NotTaken::Refused(format!("{status}: {}", said()))),
        }
    }
}

impl Way {
    /// Takes lines. The tally numbers them from 1, as they stand in the pack.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub async fn take(&self, lines: &[Line]) -> Result<Tally, NotTaken> {
        match self {
            Self::There(service) => service.take(lines).await,
            Self::Here { doors, source } => {
                let source = doors
                    .sources
                    .get(source)
                    .ok_or_else(|| NotTaken::Refused("the source is not configured".to_owned()))?;
                if !doors.engine.is_able() {
                    let why = "the store takes no more commits; see the log".to_owned();
                    return Err(NotTaken::NotNow { why, seconds: None });
                }
                let intake = Intake { engine: &doors.engine, source, health: &doors.health };
                let documents: Vec<Bytes> = lines.iter().map(|line| line.bytes.clone()).collect();
                let mut tally = Tally::default();
                for (taken, line) in intake.take(&documents).await.iter().zip(1..) {
                    tally.count(line, taken);
                }
                Ok(tally)
            }
        }
    }
}
