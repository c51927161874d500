//! Asking others over HTTP: bounded in bytes and time, TLS against the machine's own list of
//! authorities (or the file that `SSL_CERT_FILE` names), no redirects followed, so that a
//! secret goes only where it was meant to go.

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::RETRY_AFTER;
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::net::IpAddr;
use std::time::Duration;

/// Seconds until a connection must stand.
const CONNECT_SECONDS_MAX: u64 = 10;

/// Why an address may not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{wrong}; give {right}")]
pub struct BadAddress {
    /// What is wrong; the address is not repeated, since it may hold a password.
    pub wrong: &'static str,
    /// What would be right.
    pub right: &'static str,
}

/// Reads an address that may be asked: `https`, or `http` to this machine alone.
///
/// # Errors
/// [`BadAddress`].
pub fn address(text: &str) -> Result<Uri, BadAddress> {
    const RIGHT: &str = "https://host/path, or http:// to this machine (127.0.0.1, [::1], localhost)";
    let bad = |wrong| BadAddress { wrong, right: RIGHT };
    let uri: Uri = text.parse().map_err(|_| bad("is no URL"))?;
    let authority = uri.authority().ok_or_else(|| bad("names no host"))?;
    if authority.as_str().contains('@') {
        return Err(bad("holds a user name or password, which belong into the secret"));
    }
    if text.contains('#') {
        return Err(bad("has a fragment"));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if here => Ok(uri),
        Some("http") => Err(bad("is http to another machine, where secrets and cards would travel in the open")),
        _ => Err(bad("is no http or https URL")),
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The machine's list of authorities cannot be read.
    #[error(
        "the machine's list of certificate authorities cannot be read; install ca-certificates or set SSL_CERT_FILE"
    )]
    Authorities(#[source] std::io::Error),
    /// The other side cannot be reached, or breaks off.
    #[error("the other side cannot be reached")]
    Reach(#[source] hyper_util::client::legacy::Error),
    /// The answer breaks off.
    #[error("the answer breaks off")]
    Broken(#[source] hyper::Error),
    /// The answer is larger than allowed.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    /// It takes too long.
    #[error("no whole answer within {0} seconds")]
    TooSlow(u64),
}

/// An answer, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The status.
    pub status: u16,
    /// Seconds that the other side wants us to wait.
    pub retry_after_seconds: Option<u64>,
    /// The body.
    pub body: Bytes,
}

/// Asks.
#[derive(Debug, Clone)]
pub struct HttpClient(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Open(Client<HttpConnector, Full<Bytes>>),
    Sealed(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl HttpClient {
    /// One that can ask this address.
    ///
    /// # Errors
    /// [`FetchError::Authorities`].
    pub fn for_address(uri: &Uri) -> Result<Self, FetchError> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(CONNECT_SECONDS_MAX)));
        if uri.scheme_str() != Some("https") {
            return Ok(Self(Kind::Open(Client::builder(TokioExecutor::new()).build(connector))));
        }
        connector.enforce_http(false);
        let sealed = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .map_err(FetchError::Authorities)?
            .https_only()
            .enable_http1()
            .wrap_connector(connector);
        Ok(Self(Kind::Sealed(Client::builder(TokioExecutor::new()).build(sealed))))
    }

    /// One request and its whole answer.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch(
        &self,
        request: Request<Full<Bytes>>,
        bytes_max: usize,
        time_max: Duration,
    ) -> Result<Fetched, FetchError> {
        let whole = async {
            let response = match &self.0 {
                Kind::Open(client) => client.request(request).await,
                Kind::Sealed(client) => client.request(request).await,
            };
            read(response.map_err(FetchError::Reach)?, bytes_max).await
        };
        tokio::time::timeout(time_max, whole).await.unwrap_or(Err(FetchError::TooSlow(time_max.as_secs())))
    }
}

async fn read(response: Response<Incoming>, bytes_max: usize) -> Result<Fetched, FetchError> {
    let (head, mut incoming) = response.into_parts();
    let mut body = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.map_err(FetchError::Broken)?.into_data() else { continue };
        if body.len() + data.len() > bytes_max {
            return Err(FetchError::TooLarge(bytes_max));
        }
        body.extend_from_slice(&data);
    }
    let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Ok(Fetched { status: head.status.as_u16(), retry_after_seconds: retry_after, body: body.freeze() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sealed_or_near_addresses_are_asked() {
        for (text, wrong) in [
            ("https://api.example.org/notifications?x=1", ""),
            ("http://127.0.0.1:8080", ""),
            ("http://[::1]:8080/x", ""),
            ("http://localhost/x", ""),
            ("http://api.example.org", "in the open"),
            ("http://127.0.0.1.example.org", "in the open"),
            ("https://user:pass@api.example.org", "password"),
            ("ftp://api.example.org", "no http"),
            ("/path", "no host"),
            ("https://a.b/#c", "fragment"),
            ("nonsense url", "no URL"),
        ] {
            match address(text) {
                Ok(_) => assert_eq!(wrong, "", "{text}"),
                Err(bad) => assert!(!wrong.is_empty() && bad.wrong.contains(wrong), "{text}: {bad}"),
            }
        }
    }
}
