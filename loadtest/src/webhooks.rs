//! `webhooks`: a mix of events on schedule, latency from the intended time, and the proof.

use crate::drive::{Load, Pace, latencies};
use crate::fault::{Fault, fault};
use crate::figures::{self, row};
use crate::server::Credentials;
use crate::stage::{self, BATCH_MOST, BATCH_TIME_MAX, Common, Stage};
use crate::town::{self, Town};
use crate::traffic::{Answers, Mix, Traffic};
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Events sent to find the maximum.
const FINDING: usize = 30_000;
/// Most events of a run.
const EVENTS_MOST: usize = 20_000_000;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    mix: Mix,
    /// Events per second; not said, half of what the service can do is found and taken
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// Seconds to send for
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Folder for the service's data
    #[arg(long, default_value = "target/loadtest")]
    dir: PathBuf,
    /// A service that runs already, in place of one started here: its address. Its secret and an operator's key are
    /// read from RINGFENCE_SECRET_LOAD and RINGFENCE_BOOTSTRAP_KEY, its source is `load`; it is neither stopped nor audited
    #[arg(long, value_name = "ADDRESS:PORT")]
    url: Option<SocketAddr>,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Fault> {
    args.mix.check()?;
    let core = args.common.pin();
    match args.url {
        None => {
            let stage = Stage::set(&args.common, &args.dir, core)?;
            let town = stage.town.clone();
            let mut traffic = Traffic::new(&town, &stage.credentials, args.common.seed)?;
            let sent = send(args, stage.server.at, &mut traffic)?;
            let proof = stage.prove(&traffic)?;
            sent.show(args, &Common::placed(core), &traffic, proof);
        }
        Some(to) => {
            let credentials = Credentials::from_environment()?;
            let town = Town::new(args.common.merchants, args.common.members)?;
            town.build(to, &credentials)?;
            let before = town::books(to, &credentials)?;
            let mut traffic = Traffic::new(&town, &credentials, args.common.seed)?;
            let sent = send(args, to, &mut traffic)?;
            let proof = stage::prove(to, &credentials, before, &town, &traffic)?;
            sent.show(args, "a server that ran already", &traffic, proof);
        }
    }
    Ok(())
}

struct Sent {
    rate: u32,
    found: Option<f64>,
    count: usize,
    took: Duration,
    latency: hdrhistogram::Histogram<u64>,
    answers: Answers,
}

fn send(args: &Args, to: SocketAddr, traffic: &mut Traffic<'_>) -> Result<Sent, Fault> {
    let closed =
        Load { to, connections: usize::from(args.common.connections), pace: Pace::Closed, time_max: BATCH_TIME_MAX };
    let found = match args.rate {
        Some(_) => None,
        None => {
            let requests = traffic.prepare(args.mix, FINDING)?;
            Some(figures::per_second(FINDING, traffic.send(&closed, &requests)?.0.took))
        }
    };
    let rate = args.rate.unwrap_or_else(|| figures::rate(found.unwrap_or(1.0), 0.5));
    let count = usize::try_from(u64::from(rate) * u64::from(args.seconds)).unwrap_or(usize::MAX);
    if count > EVENTS_MOST {
        return Err(fault(format!("{count} events are more than the {EVENTS_MOST} of one run")));
    }
    // A batch is over before its signatures are too old.
    let batch = BATCH_MOST.min(usize::try_from(rate).unwrap_or(1).saturating_mul(60)).max(1);
    let mut sent = Sent { rate, found, count, took: Duration::ZERO, latency: latencies(), answers: Answers::default() };
    let mut left = count;
    while left > 0 {
        let requests = traffic.prepare(args.mix, left.min(batch))?;
        let (ran, answers) = traffic.send(&Load { pace: Pace::PerSecond(rate), ..closed }, &requests)?;
        sent.took += ran.took;
        sent.latency.add(&ran.latency).map_err(|e| fault(e.to_string()))?;
        sent.answers.add(&answers);
        left -= requests.len();
    }
    Ok(sent)
}

impl Sent {
    fn show(&self, args: &Args, placed: &str, traffic: &Traffic<'_>, proof: Vec<(String, String)>) {
        let Mix { crediting, duplicates, refunds, no_offer } = args.mix;
        let rest = 100 - crediting - duplicates - refunds;
        let achieved = figures::per_second(self.count, self.took);
        let mut rows = vec![
            row("machine", figures::machine()),
            row("where", placed),
            row(
                "mix",
                format!(
                    "{crediting} % crediting, {rest} % no offer ({no_offer:?}), {duplicates} % duplicates, {refunds} % refunds"
                ),
            ),
        ];
        if let Some(found) = self.found {
            let connections = args.common.connections;
            rows.push(row("maximum found", format!("{found:.0} per second with {connections} connections")));
        }
        rows.extend([
            row("sent on schedule", format!("{} at {} per second, answered at {achieved:.0}", self.count, self.rate)),
            row("latency", figures::percentiles_text(&self.latency)),
            row("answers", words(&self.answers)),
        ]);
        rows.extend(proof);
        figures::table("Webhooks, open loop, latency from the intended time", &rows);
        if args.common.json {
            let line = json!({
                "run": "webhooks", "rate": self.rate, "sent": self.count, "answered_per_second": achieved,
                "maximum_found": self.found, "latency": figures::percentiles(&self.latency),
                "outcomes": self.answers.outcomes, "granted_minor": traffic.granted_minor(), "proved": true,
            });
            println!("{line}");
        }
    }
}

fn words(answers: &Answers) -> String {
    let outcomes = answers.outcomes.iter().map(|(word, count)| format!("{count} {word}"));
    let others = answers.not_ok.iter().map(|(status, count)| format!("{count} answered {status} and sent again"));
    outcomes.chain(others).collect::<Vec<_>>().join(", ")
}
