//! Small servers that say how fast the least of it could be: [`Bound::Bare`] reads a body
//! and answers; [`Bound::Read`] verifies and parses it too; [`Bound::Append`] also appends
//! and syncs the same bytes. None decides, keeps state, limits or counts anything.
//!
//! They run as the service does with one worker: one thread that accepts and serves, and for the
//! journal the one it has. Spawned by the runs as hidden subcommands of this binary.

use crate::fault::{Fault, fault};
use crate::server::{Credentials, SECRET_VARIABLE, Server};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use ringfence::authenticate::{Scheme, Secret, Verifier};
use ringfence::clock::Clock;
use ringfence::journal::disk::RealDisk;
use ringfence::journal::{Journal, Options};
use ringfence::normalise::{Format, normalise};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Of the size of our answer to an event that concerns nobody.
const ANSWER_NO_OFFER: &str = r#"{"event":"evt_0123abcd_1234567","outcome":"no_offer","purchase":"pur_0123abcd_1234567","rewards":[],"refusals":[]}"#;
/// Of the size of our answer to an event that is credited.
const ANSWER_CREDITED: &str = r#"{"event":"evt_0123abcd_1234567","outcome":"credited","purchase":"pur_0123abcd_1234567","rewards":[{"offer":"off_0123abcd_123","member":"mem_0123abcd_00012345","state":"pending","due_minor":1000,"change_minor":1000,"currency":"USD","available_at":null}],"refusals":[]}"#;
/// Longest body, as the service has it.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Take and answer.
    Bare,
    /// Verify, parse, answer.
    Read,
    /// Verify, parse, append, sync, answer.
    Append,
}

impl Bound {
    /// Its hidden subcommand.
    fn subcommand(self) -> &'static str {
        match self {
            Self::Bare => "serve-bare",
            Self::Read => "serve-read",
            Self::Append => "serve-append",
        }
    }
    /// Starts it as a process of its own.
    pub fn start(self, folder: &Path, credentials: &Credentials, core: Option<usize>) -> Result<Server, Fault> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(self.subcommand()).arg("--dir").arg(folder);
        Server::start(self.subcommand(), command, credentials, core, &folder.join(self.subcommand()))
    }
}

/// Options of the hidden subcommands.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the journal is made
    #[arg(long)]
    dir: PathBuf,
}

struct Work {
    /// `None` takes anything from anybody.
    verifier: Option<Verifier>,
    journal: Option<Journal>,
    answer: Bytes,
}

/// Serves until SIGTERM.
pub fn serve(bound: Bound, args: &Args) -> Result<(), Fault> {
    let secret = std::env::var(SECRET_VARIABLE).map_err(|_| fault("no secret"))?;
    let verifier = Verifier::new(&[Scheme::StandardWebhooks], vec![Secret::new(secret)], 300);
    let journal = match bound {
        Bound::Bare | Bound::Read => None,
        Bound::Append => {
            let options = Options::new(args.dir.join("bound-journal"));
            let opened =
                Journal::open(Arc::new(RealDisk), options, None, &mut |_, _: &[u8]| Ok::<(), std::io::Error>(()));
            Some(opened.map_err(|e| fault(e.to_string()))?.0)
        }
    };
    let work = Work {
        verifier: if bound == Bound::Bare { None } else { Some(verifier.map_err(|e| fault(e.to_string()))?) },
        answer: Bytes::from_static(if journal.is_some() { ANSWER_CREDITED } else { ANSWER_NO_OFFER }.as_bytes()),
        journal,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(accept(Arc::new(work)))
}

async fn accept(work: Arc<Work>) -> Result<(), Fault> {
    let mut stop = std::pin::pin!(ringfence::wire::shutdown_signal()?);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let http = Arc::new(hyper::server::conn::http1::Builder::new());
    loop {
        let (stream, _) = tokio::select! {
            _ = &mut stop => return Ok(()),
            accepted = listener.accept() => accepted?,
        };
        stream.set_nodelay(true)?;
        let (work, http) = (Arc::clone(&work), Arc::clone(&http));
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request| {
                let work = Arc::clone(&work);
                async move { Ok::<_, Infallible>(answer(&work, request).await) }
            });
            // An end of the connection is the other side's doing.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(work: &Work, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    if head.method == Method::GET {
        let stats = work.journal.as_ref().map(Journal::stats).unwrap_or_default();
        // The names of the service's own page.
        let text = format!(
            "ringfence_journal_sync_seconds_count {}\nringfence_journal_sync_records_sum {}\n",
            stats.syncs, stats.records
        );
        return Response::new(Full::from(text));
    }
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        return status(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let body = body.to_bytes();
    if let Some(verifier) = &work.verifier {
        let Ok(verified) = verifier.verify(&head.headers, body.clone(), Clock::Machine.now()) else {
            return status(StatusCode::UNAUTHORIZED);
        };
        if normalise(Format::Ringfence, verified.body.as_bytes()).is_err() {
            return status(StatusCode::BAD_REQUEST);
        }
    }
    if let Some(journal) = &work.journal
        && journal.append(vec![body.to_vec()]).await.is_err()
    {
        return status(StatusCode::SERVICE_UNAVAILABLE);
    }
    let mut response = Response::new(Full::new(work.answer.clone()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
