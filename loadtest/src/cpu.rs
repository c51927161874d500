//! `cpu`: server CPU time per request, ours beside the bounds, sides alternating in one run.
//!
//! Closed loop with a fixed number of connections: each side always has the same number of
//! requests before it and works without a pause, so neither gains from batching, or pays for
//! waking up, by being asked more or less often than the other. A side's time is counted from
//! the begin of its turn to the begin of its next: what it does afterwards, such as a
//! checkpoint, is counted too.

use crate::bounds::Bound;
use crate::fault::Fault;
use crate::figures::{self, Spread, micros_each, ratio, row};
use crate::server::{Folder, Server};
use crate::stage::{self, Common, Stage};
use crate::traffic::{Mix, NoOffer, Traffic};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Turns of each side, after one to warm up
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Requests of one turn that concern no offer
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u32).range(1000..=200_000))]
    no_offer: u32,
    /// Requests of one turn that are credited
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u32).range(1000..=200_000))]
    crediting: u32,
    /// Folder on a RAM disk
    #[arg(long, default_value = "/dev/shm")]
    dir: PathBuf,
}

/// What a no-offer event may be like, best first.
const NO_OFFER: [(&str, NoOffer); 3] = [
    ("no offer, card not linked", NoOffer::Unlinked),
    ("no offer, card linked, shops of a town", NoOffer::Town),
    ("no offer, card linked, every text new", NoOffer::New),
];

struct Turns {
    cpu: [Vec<Duration>; 2],
    took: [Vec<Duration>; 2],
    count: usize,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Fault> {
    let common = &args.common;
    let core = common.pin();
    let stage = Stage::set(common, &args.dir, core)?;
    let town = stage.town.clone();
    let mut traffic = Traffic::new(&town, &stage.credentials, common.seed)?;
    let folder = Folder::new(&args.dir)?;
    // What is sent to a bound is of another run of ids and is proved by nobody.
    let mut aside = Traffic::new(&town, &stage.credentials, common.seed.wrapping_add(1))?;

    let bare = Bound::Bare.start(folder.path(), &stage.credentials, core)?;
    let count = args.no_offer as usize;
    let mut no_offer = Vec::new();
    for (words, like) in NO_OFFER {
        let mix = Mix::no_offer(like);
        no_offer.push((words, turns(args, [&bare, &stage.server], [&mut aside, &mut traffic], mix, count)?));
    }
    // What of the distance is proof and reading alone, with nothing done about what was read.
    let read = Bound::Read.start(folder.path(), &stage.credentials, core)?;
    let mut aside_too = Traffic::new(&town, &stage.credentials, common.seed.wrapping_add(2))?;
    let new = Mix::no_offer(NoOffer::New);
    let reading = turns(args, [&bare, &read], [&mut aside, &mut aside_too], new, count)?;
    read.stop()?;
    bare.stop()?;
    let append = Bound::Append.start(folder.path(), &stage.credentials, core)?;
    let crediting =
        turns(args, [&append, &stage.server], [&mut aside, &mut traffic], Mix::CREDITING, args.crediting as usize)?;
    append.stop()?;
    let proof = stage.prove(&traffic)?;

    let mut rows = vec![
        row("machine", figures::machine()),
        row("where", Common::placed(core)),
        row("load", format!("closed loop, {} connections, {} turns of each side", common.connections, args.rounds)),
        row("town", format!("{} members, {} merchants", common.members, common.merchants)),
    ];
    let each = no_offer.iter().map(|(words, turns)| turns.show(&mut rows, words, ["bare hyper", "ours"], Some(0.70)));
    let first: Vec<Value> = each.collect();
    let reads = reading.show(&mut rows, "no offer", ["bare hyper again", "verify and parse alone"], None);
    let second = crediting.show(&mut rows, "crediting, RAM disk", ["verify-parse-append-sync", "ours"], Some(0.50));
    rows.extend(proof);
    figures::table("Server CPU time per webhook (user and system), the bound's over ours", &rows);
    if common.json {
        println!("{}", json!({"run": "cpu", "no_offer": first, "reading": reads, "crediting": second, "proved": true}));
    }
    Ok(())
}

fn turns(
    args: &Args,
    servers: [&Server; 2],
    traffic: [&mut Traffic<'_>; 2],
    mix: Mix,
    count: usize,
) -> Result<Turns, Fault> {
    let mut turns = Turns { cpu: [Vec::new(), Vec::new()], took: [Vec::new(), Vec::new()], count };
    for side in 0..2 {
        stage::closed(&args.common, servers[side], traffic[side], mix, count)?;
    }
    let mut begun = [servers[0].cpu()?, servers[1].cpu()?];
    for _ in 0..args.rounds {
        for side in 0..2 {
            turns.took[side].push(stage::closed(&args.common, servers[side], traffic[side], mix, count)?);
        }
        for side in 0..2 {
            let now = servers[side].cpu()?;
            turns.cpu[side].push(now - begun[side]);
            begun[side] = now;
        }
    }
    Ok(turns)
}

impl Turns {
    fn show(&self, rows: &mut Vec<(String, String)>, name: &str, sides: [&str; 2], target: Option<f64>) -> Value {
        let each = |side: usize| self.cpu[side].iter().map(|cpu| micros_each(*cpu, self.count)).collect::<Vec<_>>();
        let rates = |side: usize| {
            Spread::of(self.took[side].iter().map(|took| figures::per_second(self.count, *took)).collect())
        };
        let ratios = each(0).iter().zip(each(1)).map(|(bound, ours)| ratio(*bound, ours)).collect();
        let (ratios, theirs, ours) = (Spread::of(ratios), Spread::of(each(0)), Spread::of(each(1)));
        let sum = |side: usize| micros_each(self.cpu[side].iter().sum(), self.count * self.cpu[side].len());
        let whole = ratio(sum(0), sum(1));
        rows.extend([
            row(format!("{name}: {}", sides[0]), format!("{} µs, {} per second", theirs.text(2), rates(0).text(0))),
            row(format!("{name}: {}", sides[1]), format!("{} µs, {} per second", ours.text(2), rates(1).text(0))),
            row(
                format!("{name}: ratio"),
                format!(
                    "{} by turns, {whole:.3} in all{}",
                    ratios.text(3),
                    target.map(|least| format!("; at least {least:.2}")).unwrap_or_default()
                ),
            ),
        ]);
        json!({
            "requests_per_turn": self.count, "bound_cpu_micros": theirs.json(), "ours_cpu_micros": ours.json(),
            "bound_per_second": rates(0).json(), "ours_per_second": rates(1).json(),
            "ratio": ratios.json(), "ratio_in_all": whole, "target": target,
        })
    }
}
