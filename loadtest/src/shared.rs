//! `shared`: what a crediting webhook costs on a Redis, beside the embedded store and beside the
//! same function calls alone; how many commands and round trips it takes; what a member takes in
//! memory there. Everything in one run, sides alternating.
#![expect(clippy::float_arithmetic, reason = "figures for people")]

use crate::fault::{Fault, fault};
use crate::figures::{Spread, micros_each, ratio};
use crate::server::Folder;
use futures_util::StreamExt;
use ringfence::authenticate::VerifiedBody;
use ringfence::clock::Clock;
use ringfence::decide::Policy;
use ringfence::domain::merchant::{Location, Merchant, Mid};
use ringfence::domain::offer::{Reward, Terms};
use ringfence::domain::{Currency, LocationId, MemberId, MerchantId, OfferId, SourceName, Timestamp};
use ringfence::engine::acts::{Linking, Registration};
use ringfence::engine::catalogue::Step;
use ringfence::engine::{Engine, EngineOptions};
use ringfence::pipeline::{Chain, Source};
use ringfence::store::redis::Redis;
use ringfence::store::redis::connection::ConnectOptions;
use ringfence::store::{Batch, CATALOGUE, Keeper, keys};
use ringfence::telemetry::Metrics;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Turns of each side, after one to warm up
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Crediting webhooks of one turn
    #[arg(long, default_value_t = 5_000)]
    webhooks: usize,
    /// Members who buy
    #[arg(long, default_value_t = 1_000)]
    members: usize,
    /// Webhooks under way at once
    #[arg(long, default_value_t = 64)]
    at_once: usize,
    /// Folder of the journals: on a RAM disk, so that disks are not what is measured
    #[arg(long, default_value = "/dev/shm")]
    dir: PathBuf,
    /// Also: how long a start takes with so many offers of a tenth as many merchants
    #[arg(long, default_value_t = 0)]
    offers: usize,
}

const PURCHASES: usize = 10;

struct Server {
    child: Child,
    client: redis::Client,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(dir: &Path, extra: &[&str]) -> Result<Self, Fault> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"])
            .arg(dir)
            .args(extra)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| {
                fault(format!("redis-server: {error}; install it with: sudo apt-get install redis-server"))
            })?;
        let mut lines = BufReader::new(child.stdout.take().ok_or_else(|| fault("no output"))?).lines();
        while let Some(Ok(line)) = lines.next() {
            if line.contains("Ready to accept connections") {
                break;
            }
        }
        std::thread::spawn(move || lines.for_each(drop));
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).map_err(said)?;
        Ok(Self { child, client, port })
    }

    /// Three masters of a Cluster, each in a folder of its own.
    fn cluster(dir: &Path) -> Result<Vec<Self>, Fault> {
        let start = |place: usize| {
            let dir = dir.join(format!("master-{place}"));
            std::fs::create_dir_all(&dir)?;
            Self::start(&dir, &["--cluster-enabled", "yes"])
        };
        let masters: Vec<Self> = (0..3).map(start).collect::<Result<_, _>>()?;
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]).args(masters.iter().map(|master| format!("127.0.0.1:{}", master.port)));
        let created = create.args(["--cluster-replicas", "0", "--cluster-yes"]).output()?;
        if !created.status.success() {
            return Err(fault(String::from_utf8_lossy(&created.stdout).into_owned()));
        }
        // Each of them hears a moment later that all slots are served.
        let begun = Instant::now();
        for master in &masters {
            while master.info_of("CLUSTER", "INFO")?.get("cluster_state").is_none_or(|state| state != "ok") {
                if begun.elapsed() > Duration::from_secs(30) {
                    return Err(fault("the Cluster does not come up"));
                }
                crate::server::pause(Duration::from_millis(50));
            }
        }
        Ok(masters)
    }

    fn info(&self, section: &str) -> Result<BTreeMap<String, String>, Fault> {
        self.info_of("INFO", section)
    }

    /// The lines of an answer, each a name and a value.
    fn info_of(&self, command: &str, of: &str) -> Result<BTreeMap<String, String>, Fault> {
        let mut connection = self.client.get_connection().map_err(said)?;
        let text: String = redis::cmd(command).arg(of).query(&mut connection).map_err(said)?;
        let lines = text.lines().filter_map(|line| line.trim().split_once(':'));
        Ok(lines.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    /// CPU time of the thread that runs commands.
    fn cpu(&self) -> Result<Duration, Fault> {
        let info = self.info("cpu")?;
        let of = |key: &str| info.get(key).and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or(0.0);
        Ok(Duration::from_secs_f64(of("used_cpu_user_main_thread") + of("used_cpu_sys_main_thread")))
    }

    /// Calls of each command so far; those of scripts are not clients'.
    fn calls(&self) -> Result<BTreeMap<String, u64>, Fault> {
        let info = self.info("commandstats")?;
        let calls = |value: &str| value.strip_prefix("calls=")?.split(',').next()?.parse().ok();
        Ok(info
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix("cmdstat_")?.to_owned(), calls(value)?)))
            .collect())
    }
}

fn said(error: redis::RedisError) -> Fault {
    fault(error.to_string())
}

fn own_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

struct Side {
    engine: Arc<Engine>,
    next: usize,
    cpu: Vec<f64>,
    rate: Vec<f64>,
}

impl Side {
    /// A store with a shop, an offer and members.
    async fn open(options: EngineOptions, members: usize) -> Result<Self, Fault> {
        let side = Self::join(options, 0).await?;
        let engine = &side.engine;
        let refused = |error: &dyn std::error::Error| fault(error.to_string());
        engine.put_merchant(shop("shop", "123456"), None).await.map_err(|error| refused(&error))?;
        let usd = Currency::parse("USD").map_err(|error| refused(&error))?;
        let shop = MerchantId::new("shop").map_err(|error| refused(&error))?;
        let terms =
            Terms { budget_minor: Some(1 << 50), ..Terms::new(shop, "5% back", usd, Reward::percent(500, None)) };
        let offer = OfferId::new("five").map_err(|error| refused(&error))?;
        engine.put_offer(&offer, terms, None).await.map_err(|error| refused(&error))?;
        engine.step_offer(&offer, Step::Publish, Some(Timestamp::from_ms(0))).await.map_err(|error| refused(&error))?;
        side.register("member", 0..members).await?;
        Ok(side)
    }

    /// An engine on a store that may be another's too; its purchases are numbered from here.
    async fn join(options: EngineOptions, next: usize) -> Result<Self, Fault> {
        let source = SourceName::new("network").map_err(|error| fault(error.to_string()))?;
        let metrics = Arc::new(Metrics::new(std::slice::from_ref(&source)));
        let policy = Policy { screened: true, ..Policy::default() };
        let started = tokio::task::spawn_blocking(move || {
            Engine::start(options, policy, Clock::Machine, metrics).map_err(|error| fault(Chain(&error).to_string()))
        });
        let (engine, _) = started.await.map_err(|error| fault(error.to_string()))??;
        // As the service does beside the webhooks.
        let beside = Arc::clone(&engine);
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(200));
            loop {
                tick.tick().await;
                let done =
                    beside.beat().await.and(beside.read_changes().await.map(drop)).and(beside.settle_budgets().await);
                if done.and(beside.prove_all().await).is_err() {
                    break;
                }
            }
        });
        Ok(Self { engine, next, cpu: Vec::new(), rate: Vec::new() })
    }

    /// Members with a card each.
    async fn register(&self, name: &str, numbers: std::ops::Range<usize>) -> Result<(), Fault> {
        let refused = |error: &dyn std::error::Error| fault(error.to_string());
        for number in numbers {
            let id = MemberId::new(format!("{name}-{number:07}")).map_err(|error| refused(&error))?;
            self.engine.register(&id, Registration::default(), None).await.map_err(|error| refused(&error))?;
            let source = SourceName::new("network").map_err(|error| refused(&error))?;
            let (token, from) = (format!("tok_{number:07}"), Some(Timestamp::from_ms(0)));
            let linking = Linking { source, token, from, same_card_as: None, replaces: None };
            self.engine.link_card(&id, linking).await.map_err(|error| refused(&error))?;
        }
        Ok(())
    }

    /// The next purchases, all at once up to a bound; every one must be credited.
    async fn credit(
        &mut self,
        source: &Source,
        count: usize,
        at_once: usize,
        members: std::ops::Range<usize>,
    ) -> Result<Duration, Fault> {
        let from = self.next;
        self.next += count;
        let (engine, members) = (&self.engine, &members);
        let begun = Instant::now();
        let sent = futures_util::stream::iter(from..from + count).map(|n| async move {
            let body = VerifiedBody::by_operator(bytes::Bytes::from(purchase(n, members.start + n % members.len())));
            let received = ringfence::pipeline::receive(engine, source, &body).await;
            let outcome = received.ok().and_then(|mut received| received.results.pop()).and_then(Result::ok);
            outcome.is_some_and(|outcome| outcome.outcome.as_str() == "credited")
        });
        let credited = sent.buffer_unordered(at_once).filter(|credited| std::future::ready(*credited)).count().await;
        if credited != count {
            return Err(fault(format!("{credited} of {count} were credited")));
        }
        Ok(begun.elapsed())
    }
}

fn shop(id: &str, mid: &str) -> Merchant {
    let mid = Mid { scheme: None, acquirer: None, mid: mid.into(), from: None, to: None, shared: false };
    let location = Location { mids: vec![mid], ..Location::new(LocationId::new("main").expect("a short id")) };
    Merchant {
        id: MerchantId::new(id).expect("a short id"),
        name: "Shop".to_owned(),
        time_zone: "America/New_York".into(),
        locations: vec![location],
        competitors: Vec::new(),
    }
}

fn purchase(n: usize, member: usize) -> String {
    let at = Timestamp::start_of_day(Clock::Machine.now().day() - 1);
    format!(
        r#"{{"id":"evt_{n:09}","type":"clearing","purchase_id":"pur_{n:09}","card":"tok_{member:07}","amount":{{"minor":4250,"currency":"USD"}},"occurred_at":"{at}","posted_at":"{at}","merchant":{{"scheme":"visa","mid":"123456","descriptor":"SHOP 0123","mcc":"5814"}}}}"#
    )
}

/// The calls of our functions that one webhook makes, as Redis saw them.
fn captured(lines: &[String]) -> Vec<redis::Cmd> {
    let ours = lines
        .iter()
        .filter(|line| line.contains("\"FCALL\"") && (line.contains("_commit\"") || line.contains("_reserve\"")));
    ours.map(|line| {
        let mut command = redis::Cmd::new();
        let mut parts = parts(line);
        // A version that was put is what the next call of the same expects.
        if let Some(at) = parts.iter().position(|part| part == b"e")
            && let Some(put) = parts.iter().skip(at + 4).position(|part| part == b"h").map(|place| at + 4 + place + 1)
        {
            let version = parts[put].get(..8).map(<[u8]>::to_vec).unwrap_or_default();
            parts[at + 3] = version;
        }
        parts.iter().for_each(|part| {
            command.arg(part.as_slice());
        });
        command
    })
    .collect()
}

/// The quoted parts of a line of `MONITOR`, taken out of their quotes.
fn parts(line: &str) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    let mut bytes = line.bytes().skip_while(|byte| *byte != b'"').peekable();
    while bytes.find(|byte| *byte == b'"').is_some() {
        let mut part = Vec::new();
        while let Some(byte) = bytes.next().filter(|byte| *byte != b'"') {
            if byte != b'\\' {
                part.push(byte);
                continue;
            }
            match bytes.next() {
                Some(b'x') => {
                    let digits: String = bytes.by_ref().take(2).map(char::from).collect();
                    part.push(u8::from_str_radix(&digits, 16).unwrap_or(0));
                }
                Some(b'n') => part.push(b'\n'),
                Some(b'r') => part.push(b'\r'),
                Some(b't') => part.push(b'\t'),
                Some(b'a') => part.push(7),
                Some(b'b') => part.push(8),
                Some(other) => part.push(other),
                None => {}
            }
        }
        parts.push(part);
    }
    parts
}

/// Redis' time for these calls alone, sixteen at a time, per webhook.
fn alone(server: &Server, calls: &[redis::Cmd], times: usize) -> Result<f64, Fault> {
    let mut connection = server.client.get_connection().map_err(said)?;
    let mut batch = redis::pipe();
    for call in std::iter::repeat_n(calls, 16).flatten() {
        batch.add_command(call.clone()).ignore();
    }
    let before = server.cpu()?;
    for _ in 0..times / 16 {
        batch.query::<()>(&mut connection).map_err(said)?;
    }
    Ok(micros_each(server.cpu()?.saturating_sub(before), times / 16 * 16))
}

fn memory(server: &Server) -> Result<BTreeMap<&'static str, u64>, Fault> {
    let mut connection = server.client.get_connection().map_err(said)?;
    let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("rf:*").query(&mut connection).map_err(said)?;
    let mut bytes: BTreeMap<&'static str, u64> = BTreeMap::new();
    for key in keys {
        let name = String::from_utf8_lossy(&key).into_owned();
        let kind = match name.split_once("}:").map_or("", |(_, rest)| rest.split(':').next().unwrap_or("")) {
            "m" => "head and purchases",
            "t" => "statement",
            "c" => "card",
            "u" => "owners of purchases",
            "members" => "list of members",
            "index" | "lines" => "agenda",
            "log" => "log, until screening has read it",
            _ => "else",
        };
        let size: Option<u64> =
            redis::cmd("MEMORY").arg("USAGE").arg(&key).arg("SAMPLES").arg(0).query(&mut connection).map_err(said)?;
        *bytes.entry(kind).or_default() += size.unwrap_or(0);
    }
    Ok(bytes)
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measure(args))
}

async fn measure(args: &Args) -> Result<(), Fault> {
    let folder = Folder::new(&args.dir)?;
    let server = Server::start(folder.path(), &[])?;
    let source = Source {
        name: SourceName::new("network").map_err(|error| fault(error.to_string()))?,
        index: 0,
        format: ringfence::normalise::Format::Ringfence,
        verifier: verifier()?,
        default_scheme: None,
    };
    let options = |name: &str| {
        let dir = folder.path().join(name);
        EngineOptions { sightings_days: 0, ..EngineOptions::new(&dir) }
    };
    let connect = ConnectOptions::parse(&format!("redis://127.0.0.1:{}", server.port)).map_err(said)?;
    let mut embedded = Side::open(options("embedded"), args.members).await?;
    let mut shared = Side::open(EngineOptions { shared: Some(connect), ..options("shared") }, args.members).await?;
    let mut redis_cpu = Vec::new();
    let mut calls = BTreeMap::new();
    for round in 0..=args.rounds {
        for is_shared in [false, true] {
            let side = if is_shared { &mut shared } else { &mut embedded };
            let (own, theirs, counted) = (own_cpu(), server.cpu()?, server.calls()?);
            let took = side.credit(&source, args.webhooks, args.at_once, 0..args.members).await?;
            let (own, theirs) = (own_cpu().saturating_sub(own), server.cpu()?.saturating_sub(theirs));
            if round == 0 {
                continue;
            }
            side.cpu.push(micros_each(own, args.webhooks));
            side.rate.push(crate::figures::per_second(args.webhooks, took));
            if is_shared {
                redis_cpu.push(micros_each(theirs, args.webhooks));
                for (command, count) in server.calls()? {
                    *calls.entry(command.clone()).or_insert(0) += count - counted.get(&command).copied().unwrap_or(0);
                }
            }
        }
    }
    // One at a time: how many times the way to Redis and back an answer waits for.
    let mut each = Vec::new();
    for _ in 0..500 {
        each.push(shared.credit(&source, 1, 1, 0..args.members).await?.as_secs_f64() * 1e6);
    }
    let monitor = tokio::task::spawn_blocking({
        let port = server.port;
        move || watch(port)
    });
    // The watcher says when it watches; one webhook later it has seen what it is asked for.
    let (watcher, lines) = monitor.await.map_err(|error| fault(error.to_string()))??;
    shared.credit(&source, 1, 1, 0..args.members).await?;
    let seen = tokio::task::spawn_blocking(move || collect(watcher, lines))
        .await
        .map_err(|error| fault(error.to_string()))??;
    let functions = captured(&seen);
    let alone: Vec<f64> = (0..args.rounds).map(|_| alone(&server, &functions, 16_000)).collect::<Result<_, _>>()?;
    let per_webhook = |count: &u64| crate::figures::float(*count) / (args.rounds * args.webhooks) as f64;
    println!("crediting, {} webhooks a turn, {} at once, {} turns", args.webhooks, args.at_once, args.rounds);
    let (cpu, own, beside) = (Spread::of(redis_cpu), Spread::of(shared.cpu.clone()), Spread::of(embedded.cpu.clone()));
    let alone = Spread::of(alone);
    println!(
        "  service CPU, µs each: embedded {}, Redis {}: ratio {:.2}",
        beside.text(1),
        own.text(1),
        ratio(own.median, beside.median)
    );
    println!(
        "  per second: embedded {}, Redis {}",
        Spread::of(embedded.rate.clone()).text(0),
        Spread::of(shared.rate.clone()).text(0)
    );
    println!(
        "  Redis main thread, µs each: {}; its {} function calls alone, 16 at a time: {}: ratio {:.2}",
        cpu.text(1),
        functions.len(),
        alone.text(1),
        ratio(cpu.median, alone.median)
    );
    println!("  one at a time, µs: {}", Spread::of(each).text(0));
    for (command, count) in calls.iter().filter(|(_, count)| per_webhook(count) >= 0.01) {
        println!("  {command}: {:.2} per webhook", per_webhook(count));
    }
    together(args, &server, &mut shared, &source, folder.path()).await?;
    memory_of_members(&source, folder.path()).await?;
    if args.offers > 0 {
        start_with_offers(args, folder.path()).await?;
    }
    Ok(())
}

/// What two engines take on one Redis together, against one; and one on a Cluster of three masters.
async fn together(args: &Args, server: &Server, one: &mut Side, source: &Source, dir: &Path) -> Result<(), Fault> {
    let connect = ConnectOptions::parse(&format!("redis://127.0.0.1:{}", server.port)).map_err(said)?;
    let second = dir.join("second");
    std::fs::create_dir_all(second.join("journal"))?;
    std::fs::copy(dir.join("shared/journal/store.secrets"), second.join("journal/store.secrets"))?;
    let options = EngineOptions { sightings_days: 0, shared: Some(connect), ..EngineOptions::new(&second) };
    let mut two = Side::join(options, 500_000_000).await?;
    let masters = Server::cluster(dir)?;
    let nodes: Vec<String> = masters.iter().map(|master| format!("127.0.0.1:{}", master.port)).collect();
    let connect = ConnectOptions::parse(&format!("redis-cluster://{}", nodes.join(","))).map_err(said)?;
    let options =
        EngineOptions { sightings_days: 0, shared: Some(connect), ..EngineOptions::new(&dir.join("cluster")) };
    let mut cluster = Side::open(options, args.members).await?;
    let (mut alone, mut apart, mut both, mut spread) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..=args.rounds {
        let took = one.credit(source, args.webhooks, args.at_once, 0..args.members).await?;
        let (half, middle) = (args.webhooks / 2, args.members / 2);
        let mut together = [Duration::ZERO; 2];
        for (took, [first, other]) in
            together.iter_mut().zip([[0..middle, middle..args.members], [0..args.members, 0..args.members]])
        {
            let begun = Instant::now();
            let (first, other) = tokio::join!(
                one.credit(source, half, args.at_once / 2, first),
                two.credit(source, half, args.at_once / 2, other)
            );
            first.and(other)?;
            *took = begun.elapsed();
        }
        let on_cluster = cluster.credit(source, args.webhooks, args.at_once, 0..args.members).await?;
        if round > 0 {
            alone.push(crate::figures::per_second(args.webhooks, took));
            apart.push(crate::figures::per_second(half * 2, together[0]));
            both.push(crate::figures::per_second(half * 2, together[1]));
            spread.push(crate::figures::per_second(args.webhooks, on_cluster));
        }
    }
    println!(
        "crediting per second: one engine {}; two on the same Redis, each with its own half of the members {}, both with \
         all of them {}; one on a Cluster of three masters {}",
        Spread::of(alone).text(0),
        Spread::of(apart).text(0),
        Spread::of(both).text(0),
        Spread::of(spread).text(0)
    );
    Ok(())
}

/// Ten purchases each, of members who have nothing else, all in one partition: as many as a store of 256 has for each
/// of a million. As Redis comes, and with room for larger values in its compact hashes.
async fn memory_of_members(source: &Source, dir: &Path) -> Result<(), Fault> {
    const MEMBERS: usize = 4_000;
    for compact in [64, 1024] {
        let dir = dir.join(format!("memory-{compact}"));
        std::fs::create_dir_all(&dir)?;
        let server = Server::start(&dir, &["--hash-max-listpack-value", &compact.to_string()])?;
        let connect = ConnectOptions::parse(&format!("redis://127.0.0.1:{}", server.port)).map_err(said)?;
        let options =
            EngineOptions { sightings_days: 0, shared: Some(connect), partitions: 1, ..EngineOptions::new(&dir) };
        let mut side = Side::open(options, MEMBERS).await?;
        side.credit(source, MEMBERS * PURCHASES, 64, 0..MEMBERS).await?;
        println!("memory of a member with a card and {PURCHASES} purchases, bytes; hash-max-listpack-value {compact}:");
        let found = memory(&server)?;
        let each = |bytes: u64| bytes / MEMBERS as u64;
        found.iter().for_each(|(kind, bytes)| println!("  {kind}: {}", each(*bytes)));
        println!("  in all: {}", each(found.values().sum()));
    }
    Ok(())
}

/// How long an engine takes to start on a store with many offers.
async fn start_with_offers(args: &Args, dir: &Path) -> Result<(), Fault> {
    let dir = dir.join("offers");
    std::fs::create_dir_all(&dir)?;
    let server = Server::start(&dir, &[])?;
    let url = format!("redis://127.0.0.1:{}", server.port);
    let options = || -> Result<EngineOptions, Fault> {
        let connect = ConnectOptions::parse(&url).map_err(said)?;
        Ok(EngineOptions { sightings_days: 0, shared: Some(connect), ..EngineOptions::new(&dir) })
    };
    let first = Side::open(options()?, 0).await?;
    let offer = OfferId::new("five").map_err(|error| fault(error.to_string()))?;
    let offer = first.engine.catalogue().offer(&offer).cloned().ok_or_else(|| fault("no offer"))?;
    let stopping = Arc::clone(&first.engine);
    drop(first);
    let stopped = tokio::task::spawn_blocking(move || stopping.stop()).await;
    stopped.map_err(|error| fault(error.to_string()))?.map_err(|error| fault(error.to_string()))?;
    let connect = ConnectOptions::parse(&url).map_err(said)?;
    let keeper = Redis::open(&connect, EngineOptions::new(&dir).partitions).await.map_err(|e| fault(e.to_string()))?;
    let merchants = (args.offers / 10).max(1);
    let numbers: Vec<usize> = (0..args.offers).collect();
    for some in numbers.chunks(500) {
        let mut puts = Vec::new();
        for &number in some {
            let merchant = format!("shop-{:06}", number % merchants);
            if number < merchants {
                let document = shop(&merchant, &format!("{:09}", 200_000_000 + number));
                puts.push((keys::merchant(&merchant), Some(keys::document(1, &document))));
            }
            let id = OfferId::new(format!("offer-{number:07}")).map_err(|error| fault(error.to_string()))?;
            let mut one = offer.as_ref().clone();
            for version in &mut one.versions {
                version.offer = id.clone();
                version.terms.merchant = MerchantId::new(&merchant).map_err(|error| fault(error.to_string()))?;
            }
            one.id = id;
            puts.push((keys::offer(one.id.as_str()), Some(keys::document(1, &one))));
        }
        let batch = Batch { partition: CATALOGUE, puts, ..Batch::default() };
        keeper.commit(batch).await.map_err(|error| fault(error.to_string()))?;
    }
    let options = EngineOptions { journal_dir: dir.join("again"), ..options()? };
    std::fs::create_dir_all(&options.journal_dir)?;
    std::fs::copy(dir.join("journal/store.secrets"), options.journal_dir.join("store.secrets"))?;
    let begun = Instant::now();
    let started = Side::join(options, 0).await?;
    let took = begun.elapsed();
    let found = started.engine.catalogue().some_offers(usize::MAX).count();
    println!("a start with {found} offers of {merchants} merchants in Redis: {:.2} s", took.as_secs_f64());
    Ok(())
}

fn verifier() -> Result<ringfence::authenticate::Verifier, Fault> {
    use ringfence::authenticate::{Scheme, Secret, Verifier};
    let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=".to_owned());
    Verifier::new(&[Scheme::StandardWebhooks], vec![secret], 300).map_err(|error| fault(error.to_string()))
}

type Lines = std::io::Lines<BufReader<std::process::ChildStdout>>;

fn watch(port: u16) -> Result<(Child, Lines), Fault> {
    let mut watcher =
        Command::new("redis-cli").args(["-p", &port.to_string(), "monitor"]).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(watcher.stdout.take().ok_or_else(|| fault("no output"))?).lines();
    lines.next();
    Ok((watcher, lines))
}

fn collect(mut watcher: Child, lines: Lines) -> Result<Vec<String>, Fault> {
    let mut seen = Vec::new();
    // The process' own beat ends what is looked at: it comes a few times a second.
    for line in lines {
        let line = line?;
        let beat = line.contains("_beat\"");
        seen.push(line);
        if beat {
            break;
        }
    }
    watcher.kill()?;
    watcher.wait()?;
    Ok(seen)
}
