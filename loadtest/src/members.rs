//! `members`: what a member with a linked card and without purchases costs, on disk and in
//! memory, and how long a restart takes after an orderly stop and after kill -9 under writes.
//!
//! Members are put into the store through the library, many at once so that they share
//! syncs; everything else is asked of the real server.

use crate::drive::{self, Load, Pace, Requests};
use crate::fault::{Fault, fault};
use crate::figures::{self, float, ratio, row};
use crate::server::{Credentials, Folder, SOURCE, Said, Server, Service, pause};
use crate::town::metric;
use ringfence::clock::Clock;
use ringfence::decide::Policy;
use ringfence::domain::{MemberId, SourceName};
use ringfence::engine::acts::{Linking, Registration};
use ringfence::engine::{Engine, EngineOptions};
use ringfence::telemetry::Metrics;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Members registered at once.
const TASKS: usize = 2048;
/// Longest the filling may take.
const FILL_TIME_MAX: Duration = Duration::from_secs(3600);
/// Resident memory is read when a server has been quiet for so long.
const SETTLE: Duration = Duration::from_secs(3);

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The service's binary; not said, the `ringfence` beside this one
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// Members, one card each
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1000..=20_000_000))]
    count: u32,
    /// Members asked about before memory is read again
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1000..=20_000_000))]
    touched: u32,
    /// Members registered over HTTP before the server is killed
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1000..=1_000_000))]
    writes: u32,
    /// `store.cache_bytes` of the servers
    #[arg(long, default_value_t = 16 << 20)]
    cache_bytes: usize,
    /// `store.members_cached_bytes` of the servers
    #[arg(long, default_value_t = 16 << 20)]
    members_cached_bytes: usize,
    /// Folder for the data
    #[arg(long, default_value = "target/loadtest")]
    dir: PathBuf,
    /// One JSON line at the end, for programs
    #[arg(long)]
    json: bool,
}

fn member(number: u32) -> String {
    format!("member_{number:010}")
}

fn token(number: u32) -> String {
    format!("tok_{number:010}_linked")
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Fault> {
    let credentials = Credentials::draw()?;
    let said = Said { worker_threads: None, caches: Some((args.cache_bytes, args.members_cached_bytes)) };
    let prepare = || Service::prepare(args.server.as_deref(), Folder::new(&args.dir)?, &credentials, None, said);
    let service = prepare()?;
    let filled = fill(&service.data(), args)?;
    let sizes = Sizes::of(&service.data())?;

    let empty = prepare()?;
    let server = empty.serve()?;
    pause(SETTLE);
    let resident_empty = server.resident()?;
    server.stop()?;
    drop(empty);

    let server = service.serve()?;
    let first_start = server.took;
    pause(SETTLE);
    let resident_fresh = server.resident()?;
    touch(&server, &credentials, args)?;
    pause(SETTLE);
    let resident_touched = server.resident()?;
    let stopped = server.stop()?;

    let server = service.serve()?;
    let clean_start = server.took;
    let clean_replayed = metric(server.at, "ringfence_replayed_records")?;
    let answered = write_until_killed(server, &credentials, args)?;
    let server = service.serve()?;
    let killed_start = server.took;
    let killed_replayed = metric(server.at, "ringfence_replayed_records")?;
    are_there(&server, &credentials, &answered)?;
    server.stop()?;
    let words = service.audit()?;

    let each = |bytes: u64| ratio(float(bytes), float(args.count.into()));
    let caches = (args.cache_bytes + args.members_cached_bytes) as u64;
    let above = |resident: u64| resident.saturating_sub(resident_empty);
    let beyond = |resident: u64| each(above(resident).saturating_sub(caches));
    let mib = |bytes: u64| ratio(float(bytes), float(1 << 20));
    let held = |resident: u64| {
        format!(
            "{:.1} MiB: {:.1} a member above the empty store, {:.1} beyond the caches",
            mib(resident),
            each(above(resident)),
            beyond(resident)
        )
    };
    let rows = [
        row("machine", figures::machine()),
        row("members", format!("{}, one card each, no purchases; data in {}", args.count, args.dir.display())),
        row(
            "filled",
            format!(
                "{:.1} s, {:.0} members per second",
                filled.as_secs_f64(),
                figures::per_second(args.count as usize, filled)
            ),
        ),
        row("on disk: state", format!("{:.1} bytes a member", each(sizes.state))),
        row("on disk: journal", format!("{:.1} bytes a member", each(sizes.journal))),
        row("on disk: keys and the rest", format!("{:.1} bytes a member", each(sizes.rest))),
        row(
            "on disk: in all",
            format!(
                "{:.1} bytes a member (lengths of files: {:.1}); at most 400",
                each(sizes.all()),
                each(sizes.lengths)
            ),
        ),
        row("caches configured", format!("{:.1} MiB of pages and members", mib(caches))),
        row("resident: empty store", format!("{:.1} MiB", mib(resident_empty))),
        row("resident: fresh start", format!("{}; at most 64", held(resident_fresh))),
        row(format!("resident: {} members touched", args.touched.min(args.count)), held(resident_touched)),
        row("first start", format!("{:.2} s", first_start.as_secs_f64())),
        row("orderly stop", format!("{:.2} s", stopped.as_secs_f64())),
        row("restart after it", format!("{:.2} s, {clean_replayed} records replayed", clean_start.as_secs_f64())),
        row(
            format!("restart after kill -9, {} writes answered", answered.len()),
            format!(
                "{:.2} s, {killed_replayed} records replayed, every answered write is there",
                killed_start.as_secs_f64()
            ),
        ),
        row("`ringfence audit`", format!("exit 0: {}", words.trim().lines().last().unwrap_or_default())),
    ];
    figures::table("Members with a linked card, without purchases", &rows);
    if args.json {
        let line = json!({
            "run": "members", "count": args.count, "state_bytes_each": each(sizes.state),
            "journal_bytes_each": each(sizes.journal), "rest_bytes_each": each(sizes.rest),
            "disk_bytes_each": each(sizes.all()),
            "file_lengths_each": each(sizes.lengths), "cache_bytes": caches, "resident_empty": resident_empty,
            "resident_fresh": resident_fresh, "resident_touched": resident_touched,
            "resident_fresh_each": each(above(resident_fresh)), "resident_fresh_beyond_caches_each": beyond(resident_fresh),
            "resident_touched_beyond_caches_each": beyond(resident_touched),
            "start_clean_seconds": clean_start.as_secs_f64(), "start_killed_seconds": killed_start.as_secs_f64(),
            "replayed_clean": clean_replayed, "replayed_killed": killed_replayed, "stop_seconds": stopped.as_secs_f64(),
        });
        println!("{line}");
    }
    Ok(())
}

/// Puts the members into a new store and closes it.
fn fill(data: &Path, args: &Args) -> Result<Duration, Fault> {
    let failed = |error: &dyn std::error::Error| {
        let mut words = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            words.push_str(&format!(": {next}"));
            cause = next.source();
        }
        fault(words)
    };
    let begun = Instant::now();
    let metrics = Arc::new(Metrics::new(&[]));
    let (engine, _) = Engine::start(EngineOptions::new(data), Policy::default(), Clock::Machine, metrics)
        .map_err(|error| failed(&error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done: Result<(), Fault> = runtime.block_on(async {
        let over = Arc::new(AtomicBool::new(false));
        let (watched, end) = (Arc::clone(&engine), Arc::clone(&over));
        // As the service's house does: what waits is written when it is much.
        let house = tokio::task::spawn_blocking(move || {
            while !end.load(Ordering::Acquire) && begun.elapsed() < FILL_TIME_MAX {
                if watched.waiting_bytes() > watched.options.checkpoint_bytes {
                    watched.checkpoint()?;
                }
                pause(Duration::from_millis(100));
            }
            Ok::<(), ringfence::engine::EngineError>(())
        });
        let next = Arc::new(AtomicU32::new(0));
        let source = SourceName::new(SOURCE).map_err(|e| fault(e.to_string()))?;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..TASKS {
            let (engine, next, source, count) = (Arc::clone(&engine), Arc::clone(&next), source.clone(), args.count);
            tasks.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count || begun.elapsed() > FILL_TIME_MAX {
                        return Ok(());
                    }
                    let id = MemberId::new(member(number)).map_err(|e| e.to_string())?;
                    engine.register(&id, Registration::default(), None).await.map_err(|e| e.to_string())?;
                    let source = source.clone();
                    let linking =
                        Linking { source, token: token(number), from: None, same_card_as: None, replaces: None };
                    engine.link_card(&id, linking).await.map_err(|e| e.to_string())?;
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|e| fault(e.to_string()))?.map_err(|words: String| fault(words))?;
        }
        over.store(true, Ordering::Release);
        house.await.map_err(|e| fault(e.to_string()))?.map_err(|error| failed(&error))
    });
    done?;
    let took = begun.elapsed();
    if took > FILL_TIME_MAX {
        return Err(fault("the store could not be filled in time"));
    }
    engine.stop().map_err(|error| failed(&error))?;
    Ok(took)
}

/// Bytes that files take on the disk; a length counts holes too, which take none.
#[derive(Debug, Default)]
struct Sizes {
    lengths: u64,
    state: u64,
    journal: u64,
    rest: u64,
}

impl Sizes {
    fn of(folder: &Path) -> Result<Self, Fault> {
        let mut sizes = Self::default();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                let (path, about) = (entry.path(), entry.metadata()?);
                if about.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let sum = if path.components().any(|part| part.as_os_str() == "state") {
                    &mut sizes.state
                } else if name.ends_with(".seg") {
                    &mut sizes.journal
                } else {
                    &mut sizes.rest
                };
                *sum += about.blocks() * 512;
                sizes.lengths += about.len();
            }
        }
        Ok(sizes)
    }
    fn all(&self) -> u64 {
        self.state + self.journal + self.rest
    }
}

fn gently(server: &Server) -> Load {
    Load { to: server.at, connections: 64, pace: Pace::Closed, time_max: Duration::from_secs(600) }
}

/// Asks about members spread over all.
fn touch(server: &Server, credentials: &Credentials, args: &Args) -> Result<(), Fault> {
    let bearer = credentials.bearer();
    let step = (args.count / args.touched.max(1)).max(1);
    let mut requests = Requests::default();
    for number in (0..args.count).step_by(step as usize).take(args.touched as usize) {
        let path = format!("/v1/members/{}/balance", member(number));
        requests.push(&drive::head("GET", &path, &[("authorization", &bearer)], 0), b"");
    }
    let mut wrong = 0_u64;
    drive::run(&gently(server), &requests, &mut |_, status, _| wrong += u64::from(status != 200))?;
    if wrong > 0 { Err(fault(format!("{wrong} members were not found"))) } else { Ok(()) }
}

/// Registers new members until the server is killed in the middle; those that were answered.
fn write_until_killed(server: Server, credentials: &Credentials, args: &Args) -> Result<Vec<u32>, Fault> {
    let bearer = credentials.bearer();
    let mut requests = Requests::default();
    // More than are awaited, so that the kill comes in the middle.
    for number in 0..args.writes + 10_000 {
        let path = format!("/v1/members/{}", member(args.count + number));
        requests.push(&drive::head("PUT", &path, &[("authorization", &bearer)], 2), b"{}");
    }
    let pid = i32::try_from(server.id()).ok().and_then(Pid::from_raw).ok_or_else(|| fault("no process id"))?;
    let mut answered = Vec::new();
    let mut wrong = None;
    let ran = drive::run(&gently(&server), &requests, &mut |index, status, body| {
        if (200..300).contains(&status) {
            answered.push(args.count + u32::try_from(index).unwrap_or(0));
        } else if wrong.is_none() {
            wrong = Some(format!("{status} {}", String::from_utf8_lossy(body)));
        }
        if answered.len() == args.writes as usize {
            let _ = kill_process(pid, Signal::KILL);
        }
    });
    server.kill()?;
    match (ran, wrong) {
        (_, Some(wrong)) => Err(fault(format!("registering a member: {wrong}"))),
        (Err(why), _) if answered.len() < args.writes as usize => Err(why),
        (Err(_), _) => Ok(answered),
        (Ok(_), _) => Err(fault("the server survived kill -9")),
    }
}

/// Whether every member that was answered is there.
fn are_there(server: &Server, credentials: &Credentials, members: &[u32]) -> Result<(), Fault> {
    let bearer = credentials.bearer();
    let mut requests = Requests::default();
    for number in members {
        let path = format!("/v1/members/{}", member(*number));
        requests.push(&drive::head("GET", &path, &[("authorization", &bearer)], 0), b"");
    }
    let mut lost = 0_u64;
    drive::run(&gently(server), &requests, &mut |_, status, _| lost += u64::from(status != 200))?;
    if lost > 0 { Err(fault(format!("{lost} members that were answered are lost"))) } else { Ok(()) }
}
