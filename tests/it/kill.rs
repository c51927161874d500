//! The real program, killed with SIGKILL at any instant under load, again and again: every
//! answered event is in the books after the restart, none twice, and the audit is clean.
//!
//! `RINGFENCE_KILLS=N` kills N times (60 in the everyday run).

use crate::world;
use ringfence::authenticate::{Scheme, Secret, Signer};
use ringfence::clock::Clock;
use ringfence::domain::{Currency, MemberId};
use std::collections::BTreeMap;
use std::io::BufRead;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const MEMBERS: u64 = 480;
const SENDERS: usize = 12;

/// A child that does not outlive the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(dir: &Path) -> (Server, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .arg("serve")
        .env_clear()
        .envs(world::variables(dir, &[]))
        .env("RINGFENCE_STORE__CHECKPOINT_SECONDS", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let address = line.trim().strip_prefix("listening on http://").unwrap_or_else(|| panic!("said `{line}`"));
    (Server(child), address.parse().expect("an address"))
}

/// Event `n`, always the same.
fn body(n: u64) -> String {
    let day = Clock::Machine.now();
    let at = ringfence::domain::Timestamp::start_of_day(day.day() - 1).to_string();
    let minor = 100 + i64::try_from(n % 9_000).unwrap();
    let card = format!("tok_{}", n % MEMBERS);
    world::event(&format!("e{n}"), "clearing", &format!("p{n}"), &card, minor, &at, "123456")
}

/// Posts events from a shared counter over one connection until the server is gone.
async fn send_until_gone(
    address: SocketAddr,
    signer: Arc<Signer>,
    next: Arc<AtomicU64>,
    answered: Arc<AtomicUsize>,
    kill_at: usize,
    kill: Arc<dyn Fn() + Send + Sync>,
) -> BTreeMap<u64, u16> {
    use http_body_util::{BodyExt, Full};
    let mut done = BTreeMap::new();
    let Ok(stream) = tokio::net::TcpStream::connect(address).await else { return done };
    let io = hyper_util::rt::TokioIo::new(stream);
    let Ok((mut sender, connection)) = hyper::client::conn::http1::handshake(io).await else { return done };
    tokio::spawn(connection);
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let body = body(n);
        let headers = signer.sign("msg_kill", Clock::Machine.now(), body.as_bytes()).expect("signed");
        let mut request = hyper::Request::post("/v1/webhooks/visa-eu").header("host", "ringfence");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(bytes::Bytes::from(body))).expect("a request");
        let Ok(response) = sender.send_request(request).await else { return done };
        let status = response.status().as_u16();
        if response.into_body().collect().await.is_err() {
            return done;
        }
        done.insert(n, status);
        if answered.fetch_add(1, Ordering::Relaxed) + 1 == kill_at {
            kill();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_07_every_answered_event_survives_kill_9_under_load() {
    let kills: u64 = std::env::var("RINGFENCE_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let folder = world::Folder::new("kill");
    {
        let settings = world::settings(&folder.0, &[]);
        let clock = Clock::Machine;
        let engine = world::engine(None, ringfence::app::engine_options(&settings), &clock);
        engine.put_merchant(world::merchant("shop", &["123456"]), None).await.unwrap();
        world::publish(&engine, "five", world::terms("shop")).await;
        for member in 0..MEMBERS {
            world::member(&engine, &format!("m{member}"), &format!("tok_{member}")).await;
        }
        engine.stop().unwrap();
    }
    let signer = Arc::new(Signer::new(Scheme::StandardWebhooks, &Secret::new(world::SECRET.to_owned())).unwrap());
    let next = Arc::new(AtomicU64::new(0));
    let mut answered_ok = BTreeMap::new();
    for round in 0..kills {
        let (server, address) = serve(&folder.0);
        let pid = rustix::process::Pid::from_raw(i32::try_from(server.0.id()).unwrap()).unwrap();
        let kill: Arc<dyn Fn() + Send + Sync> =
            Arc::new(move || rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed"));
        // A different number of answers each time, so that the kill falls anywhere.
        let kill_at = 1 + usize::try_from((round * 7919) % 240).unwrap();
        let answered = Arc::new(AtomicUsize::new(0));
        let senders = (0..SENDERS).map(|_| {
            let (signer, next, answered, kill) = (signer.clone(), next.clone(), answered.clone(), kill.clone());
            tokio::spawn(send_until_gone(address, signer, next, answered, kill_at, kill))
        });
        for sender in senders.collect::<Vec<_>>() {
            for (n, status) in sender.await.expect("a sender does not panic") {
                assert_eq!(status, 200, "event {n} of round {round}");
                answered_ok.insert(n, round);
            }
        }
        drop(server);
    }
    // What was answered is there without asking the network again.
    let settings = world::settings(&folder.0, &[]);
    let engine = world::engine(None, ringfence::app::engine_options(&settings), &Clock::Machine);
    let source = world::source();
    for (n, round) in &answered_ok {
        let received = world::receive(&engine, &source, &body(*n)).await;
        let outcome = received.results[0].as_ref().map(|o| o.outcome.as_str());
        assert!(matches!(outcome, Ok("duplicate")), "event {n}, answered in round {round}: {outcome:?}");
    }
    // With the redeliveries of what was never answered, the books are those of the set.
    let sent = next.load(Ordering::Relaxed);
    for n in (0..sent).filter(|n| !answered_ok.contains_key(n)) {
        world::receive(&engine, &source, &body(n)).await;
    }
    let usd = Currency::parse("USD").unwrap();
    for member in 0..MEMBERS {
        let rewards = (0..sent)
            .filter(|n| n % MEMBERS == member)
            .map(|n| (100 + i64::try_from(n % 9_000).unwrap()) * 500 / 10_000);
        let state = engine.load(&MemberId::new(format!("m{member}")).unwrap()).await.unwrap().unwrap();
        let balance = state.head.balance(usd);
        assert_eq!(balance.posted_minor + balance.available_minor, rewards.sum::<i64>(), "m{member}: {balance:?}");
    }
    assert!(engine.trial_balance().await.unwrap().out_of_balance().is_empty());
    engine.stop().unwrap();
    drop(engine);
    let journal = [settings.journal.dir.clone()];
    let report =
        ringfence::audit::audit(&journal, &ringfence::audit::AuditOptions::new(ringfence::app::policy(&settings)));
    let report = report.expect("a journal");
    assert!(report.is_clean(), "{report}");
    println!("{kills} kills, {} events answered before a kill, {sent} sent", answered_ok.len());
}
