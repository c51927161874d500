//! A source's messages from a file, by an operator's authority: through the route, by the
//! command beside a stopped service, and through a running one.

use crate::world::{self, BOOTSTRAP, Service};
use ringfence::app;
use ringfence::clock::Clock;
use ringfence::domain::{Currency, MemberId, Timestamp};
use ringfence::ingest::lines::Lines;
use ringfence::ingest::run::{End, Report, run};
use ringfence::ingest::tally::Tally;
use ringfence::ingest::way::{Service as There, Way};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const AT: &str = "2026-11-20T11:00:00Z";

/// For the program itself, whose clock is the machine's: yesterday.
fn yesterday() -> String {
    Timestamp::start_of_day(Clock::Machine.now().day() - 1).to_string()
}

async fn town(engine: &Arc<ringfence::engine::Engine>) {
    engine.put_merchant(world::merchant("shop", &["000123456"]), None).await.unwrap();
    world::publish(engine, "five", world::terms("shop")).await;
    for member in 0..10 {
        world::member(engine, &format!("m{member}"), &format!("tok_{member}")).await;
    }
}

fn clearing(n: u64) -> String {
    world::event(&format!("e{n}"), "clearing", &format!("p{n}"), &format!("tok_{}", n % 10), 4_000, AT, "123456")
}

/// Ten clearings of members, a stranger's, a repeated one, a changed one, what cannot be true,
/// what cannot be read, an empty line, a batch.
fn file() -> String {
    let mut lines: Vec<String> = (0..10).map(clearing).collect();
    lines.push(world::event("s1", "authorization", "ps", "tok_stranger", 700, AT, "123456"));
    lines.push(clearing(3));
    lines.push(clearing(3).replace("4000", "4001"));
    lines.push(clearing(20).replace("4000", "-5"));
    lines.push("{\"id\": broken".to_owned());
    lines.push(String::new());
    lines.push(format!("{{\"events\":[{},{}]}}", clearing(30), clearing(31).replace("\"clearing\"", "\"refund\"")));
    lines.join("\n")
}

fn check(tally: &Tally) {
    check_on(tally, "2026-11-20");
}

fn check_on(tally: &Tally, day: &str) {
    assert_eq!((tally.lines, tally.events), (16, 16), "{tally:?}");
    let lines =
        |listed: &ringfence::ingest::tally::Listed| listed.first.iter().map(|told| told.line).collect::<Vec<_>>();
    assert_eq!(lines(&tally.conflicts), [13]);
    assert_eq!((lines(&tally.dead_letters), tally.dead_letters.first[0].code.as_str()), (vec![14], "amount_negative"));
    assert_eq!((lines(&tally.lost), tally.lost.count), (vec![15], 1));
    assert!(tally.later.is_empty());
    assert_eq!(tally.outcomes["unknown_card"], 1);
    let sums: Vec<(String, &str, u64, i64)> =
        tally.sums.iter().map(|sum| (sum.day.to_string(), sum.kind.as_str(), sum.count, sum.sum_minor)).collect();
    let day = || day.to_owned();
    assert_eq!(
        sums,
        [(day(), "authorization", 1, 700), (day(), "clearing", 13, 13 * 4_000 + 1), (day(), "refund", 1, 4_000)]
    );
}

async fn posted(service: &Service, member: u64) -> i64 {
    let id = MemberId::new(format!("m{member}")).unwrap();
    let member = service.engine().load(&id).await.unwrap().unwrap();
    let balance = member.head.balance(Currency::parse("USD").unwrap());
    balance.posted_minor + balance.available_minor
}

#[tokio::test]
async fn inv_02_lines_count_once_however_often_they_are_given() {
    let service = Service::start(&[]).await;
    town(service.engine()).await;
    // One of them came as a webhook before.
    assert_eq!(service.post("visa-eu", clearing(0)).await.1["outcome"], "credited");
    for round in 0..2 {
        let headers = [("content-type", "application/x-ndjson")];
        let answer = service.call_with("POST", "/v1/sources/visa-eu/ingest", BOOTSTRAP, &headers, "").await;
        assert_eq!(answer.json()["lines"], 0);
        let key = ("authorization".to_owned(), format!("Bearer {BOOTSTRAP}"));
        let kind = ("content-type".to_owned(), "application/x-ndjson".to_owned());
        let answer = service.send("POST", "/v1/sources/visa-eu/ingest", &[key, kind], file().into_bytes()).await;
        assert_eq!(answer.status, 200, "{:?}", answer.json());
        let tally: Tally = serde_json::from_slice(&answer.body).unwrap();
        check(&tally);
        let duplicates = tally.outcomes["duplicate"];
        assert_eq!(duplicates, if round == 0 { 2 } else { 13 }, "{tally:?}");
    }
    for member in 0..10 {
        assert_eq!(posted(&service, member).await, if member == 0 { 400 } else { 200 }, "m{member}");
    }
    service.stop().await;
}

#[tokio::test]
async fn only_an_operator_gives_lines_and_within_bounds() {
    let service = Service::start(&[]).await;
    let body = clearing(0);
    let nobody = service.send("POST", "/v1/sources/visa-eu/ingest", &[], body.clone().into_bytes()).await;
    assert_eq!(nobody.status, 401);
    assert_eq!(service.call("POST", "/v1/sources/none/ingest", &body).await.0, 404);
    assert_eq!(service.call("GET", "/v1/sources/visa-eu/ingest", "").await.0, 405);
    let many = "{}\n".repeat(501);
    let (status, answer) = service.call("POST", "/v1/sources/visa-eu/ingest", &many).await;
    assert_eq!((status, answer["code"].as_str()), (422, Some("too_many")), "{answer}");
    let headers = [
        ("authorization".to_owned(), format!("Bearer {BOOTSTRAP}")),
        ("content-type".to_owned(), "text/csv".to_owned()),
    ];
    let answer = service.send("POST", "/v1/sources/visa-eu/ingest", &headers, b"a,b".to_vec()).await;
    assert_eq!(answer.status, 415);
    let app = service.doors.keys.create(
        ringfence::authenticate::NewKey { role: ringfence::authenticate::Role::App, merchant: None, label: None },
        service.clock.now(),
        &[7; ringfence::authenticate::keys::KEY_RANDOM_BYTES],
    );
    let (_, app) = app.unwrap();
    let answer = service.call_with("POST", "/v1/sources/visa-eu/ingest", app.expose(), &[], &body).await;
    assert!(matches!(answer.status, 401 | 403), "an app's key may not: {}", answer.status);
    service.stop().await;
}

async fn run_text(way: &Way, text: &str) -> (Report, Vec<u64>) {
    let lines = Lines::new(std::io::Cursor::new(text.to_owned().into_bytes()), 1 << 20, 0, 0);
    let mut done = Vec::new();
    let stop = Arc::new(AtomicBool::new(false));
    let report = run(way, lines, &stop, |line, _| {
        done.push(line);
        Ok(())
    });
    (report.await.unwrap(), done)
}

#[tokio::test]
async fn a_file_goes_through_a_running_service() {
    let service = Service::start(&[("RINGFENCE_SERVER__BODY_BYTES_MAX", "8192")]).await;
    town(service.engine()).await;
    let secret = ringfence::authenticate::Secret::new(BOOTSTRAP.to_owned());
    let at = format!("http://{}", service.address);
    let way = Way::There(Box::new(There::new(&at, "visa-eu", secret.clone()).unwrap()));
    // More than one body of the service holds: packs are halved until they fit.
    let mut text = file();
    text.extend((100..200).map(|n| format!("\n{}", clearing(n))));
    text.push_str(&format!("\n{}", " ".repeat(3) + &"x".repeat(9_000)));
    let (report, done) = run_text(&way, &text).await;
    assert_eq!((&report.end, report.line, done), (&End::Done, 118, vec![118]));
    assert_eq!(report.tally.lines, 16 + 100 + 1);
    let lost: Vec<_> = report.tally.lost.first.iter().map(|told| (told.line, told.code.as_str())).collect();
    assert_eq!(lost, [(15, "not_json"), (118, "body_too_large")], "{:?}", report.tally.lost);
    assert_eq!(posted(&service, 5).await, 11 * 200);
    // Without the right key, or away: the run stops in front of the first line.
    let wrong = Way::There(Box::new(There::new(&at, "visa-eu", ringfence::authenticate::Secret::new("x")).unwrap()));
    let (report, done) = run_text(&wrong, &text).await;
    assert!(matches!(&report.end, End::Stopped { line: 1, why } if why.contains("401")), "{:?}", report.end);
    assert!(done.is_empty() && report.tally == Tally::default());
    for bad in ["http://example.org", "ftp://127.0.0.1", "127.0.0.1:8080"] {
        assert!(There::new(bad, "visa-eu", secret.clone()).is_err(), "{bad}");
    }
    service.stop().await;
}

/// The command with a configuration that is all in variables.
fn ingest(dir: &Path, file: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .args(["ingest", "--source", "visa-eu"])
        .arg(file)
        .args(more)
        .env_clear()
        .envs(world::variables(dir, &[]))
        .env("RINGFENCE_OPERATOR_KEY", BOOTSTRAP)
        .output()
        .expect("the program runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn report(stdout: &str) -> Value {
    serde_json::from_str(stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_works_beside_a_stopped_service_and_goes_on_where_it_was() {
    let folder = world::Folder::new("ingest");
    let settings = world::settings(&folder.0, &[]);
    app::beside_service(&settings, Clock::Machine, async |doors| town(&doors.engine).await).await.unwrap();
    let path = folder.0.join("backfill.jsonl");
    let at = yesterday();
    let (file, clearing) = (|| file().replace(AT, &at), |n| clearing(n).replace(AT, &at));
    std::fs::write(&path, file()).unwrap();
    // What it would be read as, without a card.
    let (code, out, _) = ingest(&folder.0, &path, &["--dry-run"]);
    assert_eq!((code, out.lines().count()), (Some(1), 17), "{out}");
    assert!(out.contains("\"unreadable\"") && out.contains("\"impossible\"") && !out.contains("tok_"), "{out}");
    let (code, out, err) = ingest(&folder.0, &path, &["--json"]);
    assert_eq!(code, Some(1), "a line is lost: {err}");
    assert!(err.contains("1 lines were lost"), "{err}");
    let told = report(&out);
    assert_eq!((told["end"].as_str(), told["lines_done"].as_u64()), (Some("done"), Some(17)));
    check_on(&serde_json::from_value(told["report"].clone()).unwrap(), &at[..10]);
    // Again: nothing is left to do. With more lines: those alone.
    let (code, out, _) = ingest(&folder.0, &path, &["--json"]);
    assert_eq!((code, report(&out)["report"]["lines"].as_u64()), (Some(0), Some(0)));
    std::fs::write(&path, format!("{}\n{}\n", file(), clearing(40))).unwrap();
    let (code, out, err) = ingest(&folder.0, &path, &[]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("going on at line 18"), "{err}");
    assert!(out.contains("credited") && out.contains("1 lines, 1 events"), "{out}");
    // All of it again by an operator's word: identity makes it harmless.
    let (_, out, _) = ingest(&folder.0, &path, &["--json", "--from-line", "1"]);
    assert_eq!(report(&out)["report"]["outcomes"]["duplicate"], 14, "{out}");
    // Another store has its own cursor; and the wrong file is refused.
    std::fs::write(&path, "{}\n{}\n").unwrap();
    let (code, _, err) = ingest(&folder.0, &path, &[]);
    assert_eq!(code, Some(1));
    assert!(err.contains("cursor of a longer file"), "{err}");
    let report = ringfence::audit::audit(
        std::slice::from_ref(&settings.journal.dir),
        &ringfence::audit::AuditOptions::new(app::policy(&settings)),
    );
    assert!(report.unwrap().is_clean());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_says_what_to_do_when_a_service_has_the_store() {
    let service = Service::start(&[]).await;
    town(service.engine()).await;
    let path = service.folder.0.join("day.jsonl");
    std::fs::write(&path, file()).unwrap();
    let (dir, at) = (service.folder.0.clone(), format!("http://{}", service.address));
    let ask = |more: Vec<String>| {
        let (dir, path) = (dir.clone(), path.clone());
        tokio::task::spawn_blocking(move || ingest(&dir, &path, &more.iter().map(String::as_str).collect::<Vec<_>>()))
    };
    let (code, _, err) = ask(vec![]).await.unwrap();
    assert_eq!(code, Some(1));
    assert!(err.contains("--at http://") && err.contains("RINGFENCE_OPERATOR_KEY"), "{err}");
    // Nothing was done, so what it left behind stands in nobody's way.
    let through = ["--at", &at, "--json"].map(str::to_owned).to_vec();
    let (code, out, err) = ask(through).await.unwrap();
    assert_eq!(code, Some(1), "{err}");
    check(&serde_json::from_value(report(&out)["report"].clone()).unwrap());
    assert_eq!(posted(&service, 7).await, 200);
    let (code, _, err) = ask(vec!["--at".to_owned(), "http://example.org".to_owned()]).await.unwrap();
    assert!(code == Some(1) && !err.is_empty());
    service.stop().await;
}

#[tokio::test]
async fn what_is_out_of_order_in_a_file_ends_in_the_same_books() {
    let service = Service::start(&[]).await;
    town(service.engine()).await;
    let life = |n: u64| {
        let event = |id: &str, kind: &str, minor: i64, at: &str| {
            world::event(&format!("{id}{n}"), kind, &format!("l{n}"), &format!("tok_{}", n % 10), minor, at, "123456")
        };
        [
            event("r", "refund", 1_000, "2026-11-20T15:00:00Z"),
            event("c", "clearing", 4_000, "2026-11-20T13:00:00Z"),
            event("a", "authorization", 5_000, "2026-11-20T12:00:00Z"),
        ]
    };
    let text = (0..100).flat_map(life).collect::<Vec<_>>().join("\n");
    let (status, tally) = service.call("POST", "/v1/sources/visa-eu/ingest", &text).await;
    assert_eq!((status, tally["lines"].as_u64()), (200, Some(300)), "{tally}");
    for member in 0..10 {
        assert_eq!(posted(&service, member).await, 10 * 150, "m{member}");
    }
    let (_, books) = service.call("GET", "/v1/ledger/trial-balance", "").await;
    assert_eq!(books["balanced"], json!(true));
    service.stop().await;
}
