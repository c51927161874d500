//! Pages of a source: pulled from a server that pages, fails, repeats itself, sends garbage,
//! sends too much, hangs up; the cursor never passes what is not durable.

use crate::world::{self, Folder, Service};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use ringfence::authenticate::Secret;
use ringfence::pull::page::Shape;
use ringfence::pull::{Proof, PullError, PullOptions, Puller, Round, cursor_path};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// An address with its parameters, and the proof that came with it.
type Asked = (String, Option<String>);

/// A server that answers with what it was given, in order, and remembers what it was asked.
#[derive(Clone)]
struct Provider {
    address: SocketAddr,
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Provider {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let provider = Self { address, answers: Arc::default(), asked: Arc::default() };
        let serving = provider.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let provider = serving.clone();
                let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                    let answer = provider.answer(&request);
                    async move { answer }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        provider
    }
    fn answer(&self, request: &Request<hyper::body::Incoming>) -> Result<Response<Full<Bytes>>, std::io::Error> {
        let proof = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        self.asked.lock().unwrap().push((request.uri().to_string(), proof));
        let next = self.answers.lock().unwrap().pop_front();
        // Nothing left to say: hangs up.
        let (status, body) = next.ok_or_else(|| std::io::Error::other("hangs up"))?;
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status.try_into().unwrap();
        response.headers_mut().insert("retry-after", "7".parse().unwrap());
        Ok(response)
    }
    fn says(&self, status: u16, body: impl Into<String>) {
        self.answers.lock().unwrap().push_back((status, body.into()));
    }
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap()).into_iter().map(|(uri, _)| uri).collect()
    }
    fn options(&self) -> PullOptions {
        PullOptions {
            url: format!("http://{}/notifications", self.address),
            every: Duration::from_secs(60),
            cursor_query: "after".to_owned(),
            shape: Shape { items: None, cursor: "nextCursor".to_owned() },
            page_bytes_max: 16 << 10,
            page_time_max: Duration::from_secs(10),
            proof: Proof::Nobody,
        }
    }
}

fn event(n: u64) -> String {
    world::event(&format!("e{n}"), "clearing", &format!("p{n}"), "tok_ann", 4_000, "2026-11-20T11:00:00Z", "123456")
}

fn page(events: &[String], next: Option<&str>) -> String {
    let next = next.map_or("null".to_owned(), |next| format!("\"{next}\""));
    format!(r#"{{"notifications":[{}],"nextCursor":{next}}}"#, events.join(","))
}

async fn town(extra: &[(&str, &str)]) -> Service {
    let service = Service::start(extra).await;
    let engine = service.engine();
    engine.put_merchant(world::merchant("shop", &["000123456"]), None).await.unwrap();
    world::publish(engine, "five", world::terms("shop")).await;
    world::member(engine, "ann", "tok_ann").await;
    service
}

fn puller(service: &Service, options: PullOptions, folder: &Folder) -> Puller {
    let (engine, health) = (Arc::clone(service.engine()), Arc::clone(&service.doors.health));
    Puller::new(options, engine, health, world::source(), &folder.0, 7).unwrap()
}

async fn events(service: &Service) -> usize {
    let ann = ringfence::domain::MemberId::new("ann").unwrap();
    service.engine().load(&ann).await.unwrap().unwrap().purchases.len()
}

#[tokio::test]
async fn pages_are_read_to_the_end_and_on_from_there() {
    let (service, provider, folder) = (town(&[]).await, Provider::start().await, Folder::new("pull"));
    let mut first = puller(&service, provider.options(), &folder);
    provider.says(200, page(&[event(0), event(1)], Some("c/1")));
    provider.says(200, page(&[event(2)], Some("c2")));
    provider.says(200, page(&[event(3)], None));
    assert_eq!(first.round().await.unwrap(), Round { pages: 3, documents: 4 });
    assert_eq!(provider.asked(), ["/notifications", "/notifications?after=c%2F1", "/notifications?after=c2"]);
    assert_eq!((events(&service).await, first.cursor()), (4, Some("c2")));
    // The last page has grown; what was on it before is not taken again.
    provider.says(200, page(&[event(3), event(4)], None));
    assert_eq!(first.round().await.unwrap(), Round { pages: 1, documents: 1 });
    assert_eq!(provider.asked(), ["/notifications?after=c2"]);
    // Killed: the next process goes on at the cursor, and reads the page once more.
    drop(first);
    let mut second = puller(&service, provider.options(), &folder);
    provider.says(200, page(&[event(3), event(4)], Some("c3")));
    provider.says(204, "");
    assert_eq!(second.round().await.unwrap(), Round { pages: 2, documents: 2 });
    assert_eq!((events(&service).await, second.cursor()), (5, Some("c3")), "inv_02: identity makes it harmless");
    let counters = second.counters();
    assert_eq!(counters.pages.load(std::sync::atomic::Ordering::Relaxed), 2);
    // Another address has its own cursors.
    let options = PullOptions { url: format!("http://{}/other", provider.address), ..provider.options() };
    assert_eq!(puller(&service, options, &folder).cursor(), None);
    let (_, health) = service.call("GET", "/v1/sources/visa-eu/health", "").await;
    assert_eq!(health["days"][0]["received"][0]["count"], 5, "{health}");
    assert_eq!(health["last_delivery_at"], world::BEGIN, "a page is a delivery");
    service.stop().await;
}

#[tokio::test]
async fn a_page_that_is_not_taken_is_asked_for_again() {
    let (service, provider, folder) = (town(&[]).await, Provider::start().await, Folder::new("pull"));
    let mut puller = puller(&service, provider.options(), &folder);
    provider.says(200, page(&[event(0)], Some("c1")));
    provider.says(500, "oops");
    assert!(matches!(puller.round().await, Err(PullError::Status { status: 500, retry_after_seconds: Some(7) })));
    let too_large = page(&(0..100).map(event).collect::<Vec<_>>(), Some("c9"));
    assert!(too_large.len() > 16 << 10);
    for (status, body) in [
        (200, "<html>moved</html>".to_owned()),
        (200, "{\"notifications\":[".to_owned()),
        (200, r#"{"error":"no"}"#.to_owned()),
        (200, too_large),
        (302, String::new()),
        (401, String::new()),
    ] {
        provider.says(status, body);
        let wait = puller.round_and_wait().await;
        assert!(wait >= Duration::from_millis(500) && wait <= Duration::from_secs(300), "{status}: {wait:?}");
    }
    // Hangs up.
    assert!(matches!(puller.round().await, Err(PullError::Fetch(_))));
    assert_eq!((events(&service).await, puller.cursor()), (1, Some("c1")));
    assert_eq!(puller.counters().failures.load(std::sync::atomic::Ordering::Relaxed), 6);
    assert!(provider.asked()[1..].iter().all(|uri| uri == "/notifications?after=c1"));
    // It recovers, and the pause is the configured one again.
    provider.says(200, page(&[event(1)], None));
    assert_eq!(puller.round_and_wait().await, Duration::from_secs(60));
    assert_eq!(events(&service).await, 2);
    service.stop().await;
}

#[tokio::test]
async fn documents_that_are_not_understood_are_kept_once_and_do_not_stop_the_rest() {
    let (service, provider, folder) = (town(&[]).await, Provider::start().await, Folder::new("pull"));
    let mut puller = puller(&service, provider.options(), &folder);
    let bad = [r#"{"id":7}"#.to_owned(), "[1]".to_owned(), event(9).replace("4000", "-4000"), "null".to_owned()];
    let all: Vec<String> = bad.iter().cloned().chain([event(0)]).collect();
    for _ in 0..3 {
        provider.says(200, page(&all, None));
        puller.round().await.unwrap();
    }
    assert_eq!(events(&service).await, 1);
    let letters = service.engine().dead_letters(0, 50).await.unwrap();
    assert_eq!(letters.len(), bad.len(), "each once, though the page came three times: {letters:?}");
    service.stop().await;
}

#[tokio::test]
async fn a_full_shelf_keeps_the_cursor_where_it_is() {
    let extra = [("RINGFENCE_WEBHOOKS__DEAD_LETTERS_MAX", "0")];
    let (service, provider, folder) = (town(&extra).await, Provider::start().await, Folder::new("pull"));
    let mut puller = puller(&service, provider.options(), &folder);
    for bad in ["[1]".to_owned(), event(9).replace("4000", "-4000")] {
        provider.says(200, page(&[event(0), bad], Some("c1")));
        assert!(matches!(puller.round().await, Err(PullError::ShelfFull)));
        assert_eq!((puller.cursor(), cursor_path(&folder.0, &world::source().name).exists()), (None, false));
    }
    provider.says(200, page(&[event(0)], Some("c1")));
    provider.says(204, "");
    puller.round().await.unwrap();
    assert_eq!((events(&service).await, puller.cursor()), (1, Some("c1")));
    service.stop().await;
}

#[tokio::test]
async fn a_provider_that_repeats_its_cursor_is_not_asked_for_ever() {
    let (service, provider, folder) = (town(&[]).await, Provider::start().await, Folder::new("pull"));
    let mut puller = puller(&service, provider.options(), &folder);
    provider.says(200, page(&[event(0)], Some("c1")));
    provider.says(200, page(&[event(0)], Some("c1")));
    assert_eq!(puller.round().await.unwrap().pages, 2);
    for n in 0..1_100 {
        provider.says(200, page(&[], Some(&format!("ring{}", n % 2))));
    }
    assert_eq!(puller.round().await.unwrap().pages, 1_000, "inv_09: then there is a pause");
    service.stop().await;
}

#[tokio::test]
async fn secrets_are_sent_as_the_other_side_wants_them_and_shown_nowhere() {
    let (service, provider, folder) = (town(&[]).await, Provider::start().await, Folder::new("pull"));
    for (proof, sent) in [
        (Proof::Bearer(Secret::new("t0ken")), Some("Bearer t0ken")),
        (Proof::Basic(Secret::new("me:pass")), Some("Basic bWU6cGFzcw==")),
        (Proof::Nobody, None),
    ] {
        provider.says(200, page(&[], None));
        puller(&service, PullOptions { proof, ..provider.options() }, &folder).round().await.unwrap();
        assert_eq!(provider.asked.lock().unwrap().pop().unwrap().1.as_deref(), sent);
    }
    let (engine, health) = (Arc::clone(service.engine()), Arc::clone(&service.doors.health));
    let options = PullOptions { proof: Proof::Bearer(Secret::new("a\nb")), ..provider.options() };
    let refused = Puller::new(options, engine, health, world::source(), &folder.0, 7).err().expect("refused");
    assert!(!refused.to_string().contains("a\nb"), "inv_10: {refused}");
    service.stop().await;
}

/// The whole: configured, pulled by the service, on the metrics page, stopped in order, and on
/// where it was after the next start.
#[tokio::test]
async fn the_service_pulls_what_is_configured() {
    let provider = Provider::start().await;
    provider.says(200, page(&[event(0), event(1)], Some("c1")));
    provider.says(200, page(&[event(2)], None));
    let sources = format!(
        r#"[{{name="visa-eu",format="ringfence",auth=["standard-webhooks"],secrets=["env:RINGFENCE_SECRET_VISA"],pull={{url="http://{}/n",secret="env:RINGFENCE_SECRET_PULL"}}}}]"#,
        provider.address
    );
    let extra = [("RINGFENCE_SOURCES", sources.as_str()), ("RINGFENCE_SECRET_PULL", "t0ken")];
    let service = Service::start(&extra).await;
    let counted = async |text: &str| {
        let answer = service.send("GET", "/metrics", &[], Vec::new()).await;
        String::from_utf8(answer.body).unwrap().contains(text)
    };
    let pulled = async {
        while !counted("ringfence_pull_documents_total{source=\"visa-eu\"} 3").await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), pulled).await.expect("both pages are pulled");
    assert!(counted("ringfence_pull_pages_total{source=\"visa-eu\"} 2").await);
    assert!(counted("ringfence_pull_failures_total{source=\"visa-eu\"} 0").await);
    assert_eq!(provider.asked.lock().unwrap()[1], ("/n?after=c1".to_owned(), Some("Bearer t0ken".to_owned())));
    let folder = service.stop().await;
    provider.asked();
    let service = Service::start_in(folder, &extra).await;
    let asked = async {
        while provider.asked.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asked).await.expect("it asks again");
    assert_eq!(provider.asked(), ["/n?after=c1"]);
    service.stop().await;
}
