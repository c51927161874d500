//! `disk`: crediting webhooks on a disk: the most per second, how many share a sync, and the
//! latency at half the most, beside the bound that only verifies, parses, appends and
//! syncs. Sides alternate; both are sent the same rate, half of what ours can do.

use crate::bounds::Bound;
use crate::drive::latencies;
use crate::fault::{Fault, fault};
use crate::figures::{self, Spread, float, percentiles, percentiles_text, ratio, row};
use crate::server::{Folder, Server};
use crate::stage::{Common, Stage, closed};
use crate::town::metric;
use crate::traffic::{Mix, Traffic};
use hdrhistogram::Histogram;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Turns of each side, after one to warm up
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Requests of one turn at the maximum
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u32).range(1000..=200_000))]
    count: u32,
    /// Seconds of one turn at half the maximum
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// Folder on the disk
    #[arg(long, default_value = "target/loadtest")]
    dir: PathBuf,
}

#[derive(Default)]
struct Side {
    rates: Vec<f64>,
    per_sync: Vec<f64>,
    per_sync_half: Vec<f64>,
    half: Vec<Histogram<u64>>,
}

/// Syncs and records so far.
fn syncs(server: &Server) -> Result<(u64, u64), Fault> {
    let count = metric(server.at, "ringfence_journal_sync_seconds_count")?;
    Ok((count, metric(server.at, "ringfence_journal_sync_records_sum")?))
}

fn per_sync(before: (u64, u64), after: (u64, u64)) -> f64 {
    ratio(float(after.1 - before.1), float((after.0 - before.0).max(1)))
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Fault> {
    let common = &args.common;
    let core = common.pin();
    let stage = Stage::set(common, &args.dir, core)?;
    let town = stage.town.clone();
    let mut traffic = Traffic::new(&town, &stage.credentials, common.seed)?;
    let mut aside = Traffic::new(&town, &stage.credentials, common.seed.wrapping_add(1))?;
    let folder = Folder::new(&args.dir)?;
    let append = Bound::Append.start(folder.path(), &stage.credentials, core)?;
    let servers = [&append, &stage.server];
    let mut sides = [Side::default(), Side::default()];
    let count = args.count as usize;

    for round in 0..=args.rounds {
        for (place, side) in sides.iter_mut().enumerate() {
            let traffic = if place == 0 { &mut aside } else { &mut traffic };
            let before = syncs(servers[place])?;
            let took = closed(common, servers[place], traffic, Mix::CREDITING, count)?;
            // The first is to warm up.
            if round > 0 {
                side.rates.push(figures::per_second(count, took));
                side.per_sync.push(per_sync(before, syncs(servers[place])?));
            }
        }
    }
    let most = Spread::of(sides[1].rates.clone());
    let rate = figures::rate(most.median, 0.5);
    let count = (u64::from(rate) * u64::from(args.seconds)).clamp(100, crate::stage::BATCH_MOST as u64);
    for _ in 0..args.rounds {
        for (place, side) in sides.iter_mut().enumerate() {
            let traffic = if place == 0 { &mut aside } else { &mut traffic };
            let requests = traffic.prepare(Mix::CREDITING, usize::try_from(count).unwrap_or(usize::MAX))?;
            let before = syncs(servers[place])?;
            let (ran, _) = traffic.send(&common.open(servers[place], rate), &requests)?;
            side.per_sync_half.push(per_sync(before, syncs(servers[place])?));
            side.half.push(ran.latency);
        }
    }
    append.stop()?;
    let proof = stage.prove(&traffic)?;

    let mut rows = vec![
        row("machine", figures::machine()),
        row("where", format!("{}; data in {}", Common::placed(core), args.dir.display())),
        row("load", format!("{} connections, {} turns of each side", common.connections, args.rounds)),
    ];
    let mut lines = Vec::new();
    for (name, side) in ["bound", "ours"].into_iter().zip(&sides) {
        let mut all = latencies();
        for one in &side.half {
            all.add(one).map_err(|e| fault(e.to_string()))?;
        }
        let at = |percentile| Spread::of(side.half.iter().map(|one| figures::millis_at(one, percentile)).collect());
        let (rates, shared) = (Spread::of(side.rates.clone()), Spread::of(side.per_sync.clone()));
        let shared_half = Spread::of(side.per_sync_half.clone());
        rows.extend([
            row(format!("{name}: most"), format!("{} per second", rates.text(0))),
            row(format!("{name}: webhooks per sync"), shared.text(1)),
            row(format!("{name}: at {rate} per second"), percentiles_text(&all)),
            row(format!("{name}: p99 by turns"), format!("{} ms", at(99.0).text(2))),
            row(format!("{name}: webhooks per sync then"), shared_half.text(1)),
        ]);
        lines.push(json!({
            "most_per_second": rates.json(), "webhooks_per_sync": shared.json(),
            "webhooks_per_sync_at_half": shared_half.json(), "latency_at_half": percentiles(&all),
            "p50_ms": at(50.0).json(), "p99_ms": at(99.0).json(), "p99_9_ms": at(99.9).json(),
        }));
    }
    rows.extend(proof);
    figures::table("Crediting webhooks on disk, the verify-parse-append-sync bound beside ours", &rows);
    if common.json {
        let line = json!({
            "run": "disk", "rate_at_half": rate, "seconds_at_half": Duration::from_secs(args.seconds.into()).as_secs(),
            "bound": lines[0], "ours": lines[1], "proved": true,
        });
        println!("{line}");
    }
    Ok(())
}
