//! Real processes on one store under load. Whatever is done to them meanwhile: every answered event
//! is in the books, none twice, and the books are those of the set of events.

use crate::together::{open_shop, share_secrets, shared};
use crate::world::{self, Folder, Service};
use ringfence::authenticate::{Scheme, Secret, Signer};
use ringfence::clock::Clock;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::io::BufRead;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

const MEMBERS: u64 = 60;
const SENDERS: usize = 8;

/// A service as a process of its own.
pub struct Process {
    folder: Folder,
    child: Child,
    /// What comes before its command: where it runs.
    runs: Vec<String>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Stops it in order.
    pub fn stop(&mut self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success(), "it stops in order");
    }
}

/// Several of them on one store. Addresses stay: a process that starts again takes its own.
pub struct Fleet {
    url: String,
    pub processes: Vec<Process>,
    pub addresses: Vec<SocketAddr>,
}

/// Where a process runs, and where it listens.
pub type Place = (Vec<String>, String);

fn spawn(folder: &Folder, url: &str, (runs, listen): (&[String], &str)) -> (Child, SocketAddr) {
    let command: Vec<&str> = runs.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_ringfence")]).collect();
    let extra = [&settings(url)[..], &[("RINGFENCE_SERVER__LISTEN", listen)]].concat();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .arg("serve")
        .env_clear()
        .env("PATH", path)
        .envs(world::variables(&folder.0, &extra))
        .env("RINGFENCE_BOOTSTRAP_KEY", world::BOOTSTRAP)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let address = line.trim().strip_prefix("listening on http://").unwrap_or_else(|| panic!("said `{line}`"));
    (child, address.parse().expect("an address"))
}

/// Members are screened: whoever does it is killed and cut off as the others are.
fn settings(url: &str) -> Vec<(&'static str, &str)> {
    [&shared(url)[..], &[("RINGFENCE_SCREENING__ENABLED", "true")]].concat()
}

impl Fleet {
    /// A shop, an offer and members, then `count` processes.
    pub async fn start(url: &str, count: usize) -> Self {
        Self::at(url, vec![(Vec::new(), "127.0.0.1:0".to_owned()); count]).await
    }

    /// The same, with processes at some places.
    pub async fn at(url: &str, places: Vec<Place>) -> Self {
        let first = Service::start_in(Folder::new("fleet"), &settings(url)).await;
        open_shop(&first, None).await;
        for member in 0..MEMBERS {
            world::member(first.engine(), &format!("m{member}"), &format!("tok_{member}")).await;
        }
        let mut folders = vec![first.stop().await];
        for _ in 1..places.len() {
            let folder = Folder::new("fleet");
            share_secrets(&folders[0], &folder);
            folders.push(folder);
        }
        let mut fleet = Self { url: url.to_owned(), processes: Vec::new(), addresses: Vec::new() };
        for (folder, (runs, listen)) in folders.into_iter().zip(places) {
            let (child, address) = spawn(&folder, url, (&runs, &listen));
            fleet.processes.push(Process { folder, child, runs });
            fleet.addresses.push(address);
        }
        fleet
    }

    pub fn kill(&mut self, place: usize) {
        let process = &mut self.processes[place];
        let _ = process.child.kill();
        let _ = process.child.wait();
    }

    pub fn start_again(&mut self, place: usize) {
        let address = self.addresses[place].to_string();
        let process = &mut self.processes[place];
        (process.child, _) = spawn(&process.folder, &self.url, (&process.runs, &address));
    }
}

fn amount(n: u64) -> i64 {
    100 + i64::try_from(n % 9_000).unwrap()
}

/// Event `n`, always the same.
fn body(n: u64) -> String {
    let at = ringfence::domain::Timestamp::start_of_day(Clock::Machine.now().day() - 1).to_string();
    let card = format!("tok_{}", n % MEMBERS);
    world::event(&format!("e{n}"), "clearing", &format!("p{n}"), &card, amount(n), &at, "123456")
}

/// What came of the load so far.
#[derive(Default)]
pub struct Load {
    next: AtomicU64,
    answered: AtomicU64,
    asked_back: AtomicU64,
    /// Requests that met nobody, or whose answer never came.
    lost: AtomicU64,
    stop: std::sync::atomic::AtomicBool,
    done: Mutex<BTreeMap<u64, String>>,
}

impl Load {
    /// Waits until so many events more were answered.
    pub async fn answered_more(&self, more: u64) {
        let until = self.answered.load(Ordering::Relaxed) + more;
        let begun = std::time::Instant::now();
        while self.answered.load(Ordering::Relaxed) < until {
            assert!(begun.elapsed().as_secs() < 120, "nothing is answered any more");
            tokio::task::yield_now().await;
        }
    }
    /// Waits until so many requests more were turned away or lost.
    pub async fn refused_more(&self, more: u64) {
        let refused = || self.asked_back.load(Ordering::Relaxed) + self.lost.load(Ordering::Relaxed);
        let until = refused() + more;
        let begun = std::time::Instant::now();
        while refused() < until {
            assert!(begun.elapsed().as_secs() < 120, "nobody notices");
            tokio::task::yield_now().await;
        }
    }
}

async fn post(address: SocketAddr, signer: &Signer, body: String) -> Option<(u16, bool, serde_json::Value)> {
    let headers = signer.sign("msg_chaos", Clock::Machine.now(), body.as_bytes()).expect("signed");
    let headers: Vec<(String, String)> = headers.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    let answer = world::send(address, "POST", "/v1/webhooks/visa-eu", &headers, body.into_bytes()).await.ok()?;
    let retry = answer.headers.contains_key("retry-after");
    Some((answer.status, retry, answer.json()))
}

/// Asks until it is answered: a partition that is being proved asks callers back.
async fn get(address: SocketAddr, path: &str, headers: &[(String, String)]) -> world::Answer {
    loop {
        let answer = world::send(address, "GET", path, headers, Vec::new()).await.unwrap();
        if answer.status != 503 {
            return answer;
        }
    }
}

/// Sends events until told to stop, each again and again, to another service each time, until one
/// answers: as a network does.
async fn send(load: Arc<Load>, addresses: Vec<SocketAddr>, signer: Arc<Signer>) {
    while !load.stop.load(Ordering::Relaxed) {
        let n = load.next.fetch_add(1, Ordering::Relaxed);
        let mut to = usize::try_from(n).unwrap();
        loop {
            to += 1;
            match post(addresses[to % addresses.len()], &signer, body(n)).await {
                Some((200, _, answer)) => {
                    let outcome = answer["outcome"].as_str().unwrap_or_default().to_owned();
                    assert!(matches!(outcome.as_str(), "credited" | "duplicate"), "event {n}: {answer}");
                    load.done.lock().unwrap().insert(n, outcome);
                    load.answered.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Some((503, retry, _)) => {
                    assert!(retry, "who is asked to come back is told when");
                    load.asked_back.fetch_add(1, Ordering::Relaxed);
                }
                Some((status, _, answer)) => panic!("event {n}: {status} {answer}"),
                None => {
                    load.lost.fetch_add(1, Ordering::Relaxed);
                }
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Puts load on a fleet while `chaos` does what it does, then looks at the books.
pub async fn under_load(mut fleet: Fleet, chaos: impl AsyncFnOnce(&mut Fleet, &Load)) -> (u64, u64, u64) {
    let signer = Arc::new(Signer::new(Scheme::StandardWebhooks, &Secret::new(world::SECRET.to_owned())).unwrap());
    let load = Arc::new(Load::default());
    let senders = (0..SENDERS).map(|_| tokio::spawn(send(load.clone(), fleet.addresses.clone(), signer.clone())));
    let senders: Vec<_> = senders.collect();
    load.answered_more(50).await;
    chaos(&mut fleet, &load).await;
    load.answered_more(200).await;
    load.stop.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await.expect("a sender does not panic");
    }
    // All of them know every answered event.
    let done = load.done.lock().unwrap().clone();
    for (n, outcome) in &done {
        let address = fleet.addresses[usize::try_from(*n).unwrap() % fleet.addresses.len()];
        let (status, answer) = loop {
            let (status, _, answer) = post(address, &signer, body(*n)).await.unwrap();
            if status != 503 {
                break (status, answer);
            }
        };
        assert_eq!((status, answer["outcome"].as_str()), (200, Some("duplicate")), "event {n}, {outcome}: {answer}");
    }
    // The books are those of the set, as each of them reads it.
    let operator = vec![("authorization".to_owned(), format!("Bearer {}", world::BOOTSTRAP))];
    for member in 0..MEMBERS {
        let expected: i64 = done.keys().filter(|n| **n % MEMBERS == member).map(|n| amount(*n) * 500 / 10_000).sum();
        for address in &fleet.addresses {
            let path = format!("/v1/members/m{member}/balance");
            let answer = get(*address, &path, &operator).await;
            let balance = &answer.json()["balances"][0];
            let has: i64 = ["pending_minor", "posted_minor", "available_minor"]
                .map(|of| balance[of].as_i64().unwrap_or(0))
                .iter()
                .sum();
            assert_eq!(has, expected, "m{member} at {address}: {balance}");
        }
    }
    for address in &fleet.addresses {
        let answer = get(*address, "/v1/ledger/trial-balance", &operator).await;
        assert_eq!(answer.json()["balanced"], true, "{}", String::from_utf8_lossy(&answer.body));
    }
    // All journals together prove them.
    for process in &mut fleet.processes {
        process.stop();
    }
    let dirs: Vec<_> = fleet.processes.iter().map(|process| process.folder.0.join("journal")).collect();
    let settings = world::settings(&fleet.processes[0].folder.0, &[("RINGFENCE_SCREENING__ENABLED", "true")]);
    let options = ringfence::audit::AuditOptions::new(ringfence::app::policy(&settings));
    let report = ringfence::audit::audit(&dirs, &options).expect("journals");
    assert!(report.is_clean(), "{report}");
    let counted = |of: &AtomicU64| of.load(Ordering::Relaxed);
    let told = (counted(&load.answered), counted(&load.asked_back), counted(&load.lost));
    println!("{} answered, {} asked back, {} lost on the way", told.0, told.1, told.2);
    told
}
