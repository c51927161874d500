//! `console`: the first byte of every page of the consoles, signed in, with many members and open cases in
//! the store and webhooks served meanwhile; then the proof of the books.

use crate::drive::{Load, Pace, Requests, head, latencies, run as drive_all};
use crate::fault::{Fault, fault};
use crate::figures::{self, millis_at, row};
use crate::pages::{Browser, between};
use crate::random::Random;
use crate::server::pause;
use crate::stage::{self, BATCH_TIME_MAX, Common, Stage};
use crate::traffic::{Mix, Traffic};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Accounts of one hand in each case.
const RING: u32 = 8;
/// Longest that screening may take to open the cases.
const SCREENING_TIME_MAX: Duration = Duration::from_secs(240);
/// Pages that are asked for before any is measured.
const WARM_ROUNDS: u32 = 2;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Open cases
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    cases: u32,
    /// Purchases that are credited before anything is measured
    #[arg(long, default_value_t = 40_000)]
    purchases: usize,
    /// Webhooks per second meanwhile
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Times that each page is asked for
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(5..=1_000))]
    rounds: u32,
    /// Seconds of webhooks: the pages are asked for within them
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(5..=80))]
    seconds: u32,
    /// Folder for the service's data
    #[arg(long, default_value = "target/loadtest")]
    dir: PathBuf,
}

/// A page, and what it reads at most.
struct Page {
    name: &'static str,
    path: String,
    reads: &'static str,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Fault> {
    if u64::from(args.cases) * u64::from(RING) > u64::from(args.common.members) {
        return Err(fault(format!(
            "{} cases of {RING} members are more than {} members",
            args.cases, args.common.members
        )));
    }
    let core = args.common.pin();
    let stage = Stage::set(&args.common, &args.dir, core)?;
    let to = stage.server.at;
    let town = stage.town.clone();
    let mut traffic = Traffic::new(&town, &stage.credentials, args.common.seed)?;
    stage::closed(&args.common, &stage.server, &mut traffic, Mix::CREDITING, args.purchases)?;
    rings(args, &stage)?;
    let mut browser = Browser::signed_in(to, &stage.credentials.key)?;
    let open = wait_for_cases(args, &mut browser)?;
    let pages = pages(args, &stage, &mut browser)?;
    let count = usize::try_from(u64::from(args.rate) * u64::from(args.seconds)).unwrap_or(usize::MAX);
    let mix = Mix { crediting: 60, duplicates: 5, refunds: 5, no_offer: crate::traffic::NoOffer::New };
    let requests = traffic.prepare(mix, count)?;
    let connections = usize::from(args.common.connections);
    let load = Load { to, connections, pace: Pace::PerSecond(args.rate), time_max: BATCH_TIME_MAX };
    let (seen, sent, whole) = std::thread::scope(|scope| {
        let sending = scope.spawn(|| traffic.send(&load, &requests));
        let seen = look(args, &mut browser, &pages);
        // Those measured after the webhooks ended were measured without them.
        let whole = !sending.is_finished();
        let sent = sending.join().map_err(|_| fault("the webhooks ended in a panic"));
        (seen, sent, whole)
    });
    let (seen, (ran, answers)) = (seen?, sent??);
    let proof = stage.prove(&traffic)?;
    let mut rows = vec![
        row("machine", figures::machine()),
        row("where", Common::placed(core)),
        row("store", format!("{} members, {open} open cases", args.common.members)),
        row("webhooks meanwhile", format!("{} per second: {}", args.rate, figures::percentiles_text(&ran.latency))),
        row("pages within them", if whole { "all" } else { "not all: say more --seconds or fewer --rounds" }),
    ];
    for (page, latency, bytes) in &seen {
        let (p50, p99) = (millis_at(latency, 50.0), millis_at(latency, 99.0));
        rows.push(row(
            page.name,
            format!("p50 {p50:.1} ms, p99 {p99:.1} ms, {} KiB; reads {}", bytes >> 10, page.reads),
        ));
    }
    rows.extend(proof);
    figures::table("Consoles, first byte of each page, signed in", &rows);
    if args.common.json {
        let pages: serde_json::Map<String, serde_json::Value> = seen
            .iter()
            .map(|(page, latency, bytes)| {
                let mut figures = figures::percentiles(latency);
                figures["bytes"] = json!(bytes);
                (page.name.to_owned(), figures)
            })
            .collect();
        let line = json!({
            "run": "console", "members": args.common.members, "cases": open, "rate": args.rate, "within": whole,
            "webhooks": figures::percentiles(&ran.latency), "outcomes": answers.outcomes, "pages": pages, "proved": true,
        });
        println!("{line}");
    }
    Ok(())
}

/// Tells the service of rings: members of one device and one payout account who refer each other.
fn rings(args: &Args, stage: &Stage) -> Result<(), Fault> {
    let (town, bearer) = (&stage.town, stage.credentials.bearer());
    let mut requests = Requests::default();
    for number in 0..args.cases * RING {
        let ring = number / RING;
        let by = (number % RING > 0).then(|| town.member(number - 1));
        let link = |kind: &str| json!({"kind": kind, "value": format!("{kind}-{}-{ring}", town.run), "verified": true});
        let body = json!({"referred_by": by, "links": [link("device"), link("payout")]}).to_string();
        let path = format!("/v1/members/{}", town.member(number));
        requests.push(&head("PUT", &path, &[("authorization", &bearer)], body.len()), body.as_bytes());
    }
    let mut wrong = None;
    drive_all(&args.common.closed(&stage.server), &requests, &mut |_, status, body| {
        if !(200..300).contains(&status) && wrong.is_none() {
            wrong = Some(format!("{status} {}", String::from_utf8_lossy(body)));
        }
    })?;
    wrong.map_or(Ok(()), |wrong| Err(fault(format!("setting up rings: {wrong}"))))
}

/// Waits until screening has opened the cases.
fn wait_for_cases(args: &Args, browser: &mut Browser) -> Result<u32, Fault> {
    let begun = Instant::now();
    loop {
        let counts = browser.get("/console/cases/counts")?;
        let open: u32 = between(&counts.text, "<strong>", "</strong>")?.parse().unwrap_or(0);
        if open >= args.cases {
            return Ok(open);
        }
        if begun.elapsed() > SCREENING_TIME_MAX {
            return Err(fault(format!(
                "screening opened {open} of {} cases within {SCREENING_TIME_MAX:?}",
                args.cases
            )));
        }
        pause(Duration::from_millis(500));
    }
}

/// Every page of both consoles; `CASE` and `MEMBER` stand for another one each time.
fn pages(args: &Args, stage: &Stage, browser: &mut Browser) -> Result<Vec<Page>, Fault> {
    let (merchant, offer) = (stage.town.merchant(0), stage.town.offer(0));
    let of = |path: &str| format!("/console/{path}?merchant={merchant}");
    let page = |name, path: String, reads| Page { name, path, reads };
    // Somebody with a purchase.
    let mut replay = None;
    for number in 0..args.common.members {
        let member = stage.town.member(number);
        let text = browser.get(&format!("/console/members/{member}"))?.text;
        if let Ok(rest) = between(&text, "/purchases/", "\"") {
            replay = Some(format!("/console/members/{member}/purchases/{rest}"));
            break;
        }
    }
    let replay = replay.ok_or_else(|| fault("nobody has bought anything"))?;
    Ok(vec![
        page("cases", "/console/cases".to_owned(), "no store: lines of 20,000 cases in memory"),
        page("cases by age", "/console/cases?sort=age&age=day&standing=clear".to_owned(), "the same"),
        page("cases: search", "/console/cases?search=MEMBER".to_owned(), "100 members, 100 cases of each"),
        page("counts", "/console/cases/counts".to_owned(), "no store"),
        page("case", "/console/cases/CASE".to_owned(), "1 case, its 1,000 members, 20 statements' newest 128 lines"),
        page(
            "member",
            "/console/members/MEMBER".to_owned(),
            "1 member, 100 cases, 50 neighbours, 1,024 lines of statement",
        ),
        page("around a member", "/console/members/MEMBER/around".to_owned(), "50 neighbours"),
        page("purchase decided again", replay, "1 member"),
        page("detectors", "/console/detectors".to_owned(), "10,000 jobs, 200 rules"),
        page("offers", of("offers"), "100 offers"),
        page("offer", of(&format!("offers/{offer}")), "1 offer, its versions"),
        page("offer: new", of("offers/new"), "1 merchant"),
        page("performance", of("performance"), "sums of 92 days in memory, 100 offers"),
        page("locations", of("locations"), "1 merchant"),
        page("locations: texts, a part", of("locations/texts"), "20,000 sightings, asked for after the page"),
        page("does my MID work", of("heard"), "1 merchant"),
        page("competitors", of("competitors"), "1 merchant, lines of 20,000 cases in memory"),
        page("sources", "/console/sources".to_owned(), "no store: days of each source in memory"),
        page("dead letters", "/console/dead-letters".to_owned(), "a page of letters"),
        page("state", "/console/state".to_owned(), "256 partitions in memory, 10,000 jobs"),
        page("ledger", "/console/ledger".to_owned(), "sums of the books, 5,000 records"),
        page("access", "/console/access".to_owned(), "no store: keys and users"),
        page("audit", "/console/audit".to_owned(), "the newest 256 KiB of the list"),
    ])
}

type Seen<'a> = (&'a Page, hdrhistogram::Histogram<u64>, usize);

/// Asks for each page in turn, round after round.
fn look<'a>(args: &Args, browser: &mut Browser, pages: &'a [Page]) -> Result<Vec<Seen<'a>>, Fault> {
    let mut random = Random(args.common.seed);
    let cases = numbers(&browser.get("/console/cases")?.text, "/console/cases/");
    let mut seen: Vec<Seen<'_>> = pages.iter().map(|page| (page, latencies(), 0)).collect();
    let member = browser.get(&format!("/console/cases/{}", cases.first().ok_or_else(|| fault("no case"))?))?.text;
    let members = numbers(&member, "/console/members/");
    for round in 0..args.rounds + WARM_ROUNDS {
        for (page, latency, bytes) in &mut seen {
            let draw = |random: &mut Random, all: &[String]| {
                let place = random.below(u64::try_from(all.len()).unwrap_or(1));
                all[usize::try_from(place).unwrap_or(0)].clone()
            };
            let path = page.path.replace("CASE", &draw(&mut random, &cases));
            let path = path.replace("MEMBER", &draw(&mut random, &members));
            let got = browser.get(&path)?;
            if got.status != 200 {
                return Err(fault(format!("{path} answers {}", got.status)));
            }
            *bytes = got.text.len().max(*bytes);
            if round >= WARM_ROUNDS {
                let nanos = u64::try_from(got.first_byte.as_nanos()).unwrap_or(u64::MAX);
                latency.record(nanos.max(1_000)).map_err(|e| fault(e.to_string()))?;
            }
        }
    }
    Ok(seen)
}

/// What stands behind a link's beginning, each once.
fn numbers(text: &str, before: &str) -> Vec<String> {
    let mut found: Vec<String> = text
        .split(&format!("\"{before}"))
        .skip(1)
        .filter_map(|rest| rest.split(['"', '/', '?']).next())
        .filter(|one| !one.is_empty() && !matches!(*one, "next" | "counts"))
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}
