//! `ringfence ingest`: a source's messages from a file, for backfill and for clearings that
//! are fetched. Opens the store by itself, or goes through the service that has it open.

use super::{ConfigArgs, Failure};
use crate::app::{self, AppError};
use crate::authenticate::Secret;
use crate::clock::Clock;
use crate::config::{Settings, SourceSettings};
use crate::engine::StartError;
use crate::ingest::cursor::{self, Cursor};
use crate::ingest::lines::Lines;
use crate::ingest::run::{End, Report, run};
use crate::ingest::way::{Service, Way};
use crate::normalise::{self, Format, Message};
use crate::store::embedded::OpenError;
use crate::{telemetry, wire};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The key with which a running service is asked.
const KEY_VARIABLES: [&str; 2] = ["RINGFENCE_OPERATOR_KEY", "RINGFENCE_BOOTSTRAP_KEY"];
/// Room for reading.
const READ_BYTES: usize = 1 << 20;

/// What can be said to `ringfence ingest`.
#[derive(Debug, Clone, clap::Args)]
pub struct IngestArgs {
    /// Configuration and store.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The source, as configured.
    #[arg(long)]
    pub source: String,
    /// One message per line, each as the source would post it.
    pub file: PathBuf,
    /// The running service, such as http://127.0.0.1:8080, when one has the store open; an
    /// operator's key must be in RINGFENCE_OPERATOR_KEY.
    #[arg(long, value_name = "URL")]
    pub at: Option<String>,
    /// Begin at this line (1 is the first), whatever the cursor says.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub from_line: Option<u64>,
    /// Where it is kept how far we are; beside FILE unless said.
    #[arg(long, value_name = "FILE")]
    pub cursor: Option<PathBuf>,
    /// Print what the lines would be read as, and take none.
    #[arg(long)]
    pub dry_run: bool,
    /// The report as one JSON document in place of the table.
    #[arg(long)]
    pub json: bool,
}

/// Takes the file and prints the report.
///
/// # Errors
/// When it cannot be begun, was not finished, or lines were lost.
pub fn ingest(args: &IngestArgs) -> Result<(), Failure> {
    let there = args.at.is_some() && !args.dry_run;
    // The service there has the sources and their secrets: whoever brings a file needs its key alone.
    let settings = if there {
        Settings::load(None, &BTreeMap::new(), &|path| std::fs::read_to_string(path))?
    } else {
        args.config.settings()?
    };
    let file = File::open(&args.file).map_err(|error| format!("{}: {error}", args.file.display()))?;
    if args.dry_run {
        return dry_run(find(&settings, &args.source)?, file, args.from_line, settings.server.body_bytes_max);
    }
    if !there {
        find(&settings, &args.source)?;
    }
    telemetry::init_logging(settings.log.level, settings.log.format)?;
    let into = match &args.at {
        Some(at) => at.trim_end_matches('/').to_owned(),
        None => settings.store.url.to_string(),
    };
    let cursor_path = args.cursor.clone().unwrap_or_else(|| cursor::beside(&args.file));
    let place = Place { source: &args.source, into: &into, path: &cursor_path };
    let lines = place.begin(&file, args.from_line, settings.server.body_bytes_max)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let stop = Arc::new(AtomicBool::new(false));
        let signal = wire::shutdown_signal()?;
        let asked = Arc::clone(&stop);
        let listening = tokio::spawn(async move {
            signal.await;
            asked.store(true, Ordering::Release);
        });
        let report = match &args.at {
            Some(at) => {
                let way = Way::There(Box::new(Service::new(at, &args.source, operator_key()?)?));
                place.run(&way, lines, &file, &stop).await
            }
            None => {
                let work = async |doors| {
                    let way = Way::Here { doors, source: args.source.clone() };
                    place.run(&way, lines, &file, &stop).await
                };
                app::beside_service(&settings, Clock::Machine, work).await.map_err(in_use)?
            }
        };
        listening.abort();
        report
    })?;
    tell(&report, args)
}

fn find<'s>(settings: &'s Settings, name: &str) -> Result<&'s SourceSettings, Failure> {
    let known: Vec<&str> = settings.sources.iter().map(|source| source.name.as_str()).collect();
    let found = settings.sources.iter().find(|source| source.name.as_str() == name);
    found.ok_or_else(|| {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        format!("--source: no source is called `{name}`; configured: {known}").into()
    })
}

/// A store that a service has open is told with the way out.
fn in_use(error: AppError) -> Failure {
    match error {
        AppError::Engine(StartError::State(OpenError::InUse { path })) => format!(
            "the store in {} is in use, surely by a running service: either stop it, or go through it with \
             `--at http://127.0.0.1:8080` (its address) and an operator's key in {}",
            path.display(),
            KEY_VARIABLES[0]
        )
        .into(),
        error => error.into(),
    }
}

fn operator_key() -> Result<Secret, Failure> {
    let given = KEY_VARIABLES.iter().find_map(|name| std::env::var(name).ok().filter(|key| !key.is_empty()));
    let wanted = format!(
        "--at needs an operator's key in {}; make one with `ringfence keys create --role operator`",
        KEY_VARIABLES[0]
    );
    Ok(Secret::new(given.ok_or(wanted)?))
}

/// What a run works on.
struct Place<'a> {
    source: &'a str,
    into: &'a str,
    path: &'a Path,
}

impl Place<'_> {
    /// The lines that are not done.
    fn begin(
        &self,
        file: &File,
        from_line: Option<u64>,
        line_bytes_max: usize,
    ) -> Result<Lines<BufReader<File>>, Failure> {
        let (line, byte) = match from_line {
            Some(_) => (0, 0),
            None => {
                let found = Cursor::find(self.path, file, self.source, self.into)?;
                found.map_or((0, 0), |cursor| (cursor.line, cursor.byte))
            }
        };
        let mut reader = file.try_clone()?;
        reader.seek(SeekFrom::Start(byte))?;
        let mut lines = Lines::new(BufReader::with_capacity(READ_BYTES, reader), line_bytes_max, line, byte);
        lines.pass_to(from_line.unwrap_or(1))?;
        if lines.line() > 0 {
            eprintln!("going on at line {}; --from-line 1 begins anew", lines.line() + 1);
        }
        // Found out now rather than after the first pack.
        self.keep(file, lines.line(), lines.byte())?;
        Ok(lines)
    }

    fn keep(&self, file: &File, line: u64, byte: u64) -> std::io::Result<()> {
        let before = cursor::before(file, byte)?;
        let cursor = Cursor { source: self.source.to_owned(), into: self.into.to_owned(), line, byte, before };
        cursor.keep(self.path).map_err(std::io::Error::other)
    }

    async fn run(
        &self,
        way: &Way,
        lines: Lines<BufReader<File>>,
        file: &File,
        stop: &Arc<AtomicBool>,
    ) -> Result<Report, Failure> {
        let bar = ProgressBar::new(file.metadata()?.len());
        let template = "  {msg} [{bar:32}] {bytes}/{total_bytes}, {elapsed}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        let done = |line: u64, byte: u64| {
            bar.set_position(byte);
            bar.set_message(format!("line {line}"));
            self.keep(file, line, byte)
        };
        let report = run(way, lines, stop, done).await;
        bar.finish_and_clear();
        Ok(report?)
    }
}

/// Prints the report; an error when a person must do something.
fn tell(report: &Report, args: &IngestArgs) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let end = match &report.end {
        End::Done => "done".to_owned(),
        End::Interrupted => "interrupted".to_owned(),
        End::Stopped { why, .. } => format!("stopped: {why}"),
    };
    if args.json {
        let text = json!({ "end": end, "lines_done": report.line, "report": report.tally });
        writeln!(out, "{text}")?;
    } else {
        writeln!(out, "{}\n{end}; {} lines of {} are done", report.tally.text(), report.line, args.file.display())?;
    }
    out.flush()?;
    match &report.end {
        End::Done if report.tally.lost.count > 0 => {
            Err(format!("{} lines were lost; see the report", report.tally.lost.count).into())
        }
        End::Done => Ok(()),
        End::Interrupted => Err("interrupted; the same command goes on where it ended".into()),
        End::Stopped { line, why } => {
            Err(format!("stopped before line {line}: {why}; the same command goes on there").into())
        }
    }
}

/// Prints what each line would be read as, without its card.
fn dry_run(source: &SourceSettings, file: File, from_line: Option<u64>, line_bytes_max: usize) -> Result<(), Failure> {
    let format: Format = source.format.as_str().parse()?;
    let mut lines = Lines::new(BufReader::with_capacity(READ_BYTES, file), line_bytes_max, 0, 0);
    lines.pass_to(from_line.unwrap_or(1))?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut lost = 0_u64;
    while let Some(pack) = lines.pack()? {
        for number in pack.too_long {
            lost += 1;
            let detail = format!("has more than {line_bytes_max} bytes");
            writeln!(
                out,
                "{}",
                json!({ "line": number, "unreadable": { "code": "body_too_large", "detail": detail } })
            )?;
        }
        for line in pack.lines {
            match normalise::normalise(format, &line.bytes) {
                Ok(normalised) => {
                    for message in &normalised.messages {
                        lost += u64::from(matches!(message, Message::Impossible { .. }));
                        writeln!(out, "{}", shown(line.number, message))?;
                    }
                }
                Err(unreadable) => {
                    lost += 1;
                    let problem = unreadable.problem;
                    let said = json!({ "code": problem.code, "path": problem.path, "detail": problem.detail });
                    writeln!(out, "{}", json!({ "line": line.number, "unreadable": said }))?;
                }
            }
        }
    }
    out.flush()?;
    if lost > 0 { Err(format!("{lost} messages would not be understood").into()) } else { Ok(()) }
}

fn shown(line: u64, message: &Message) -> serde_json::Value {
    match message {
        Message::Event(event) => {
            let money = |money: Option<crate::domain::Money>| {
                money.map(|money| json!({ "minor": money.minor, "currency": money.currency }))
            };
            let merchant = &event.merchant;
            json!({ "line": line, "event": {
                "id": event.key, "type": event.kind, "purchase_id": event.purchase,
                "amount": money(event.amount), "billing": money(event.billing),
                "occurred_at": event.occurred_at, "time_known": event.time_known, "posted_at": event.posted_at,
                "approved": event.approved, "channel": event.channel, "sequence": event.sequence,
                "merchant": merchant,
            }})
        }
        Message::Ignored { id, why } => json!({ "line": line, "ignored": { "id": id, "why": why } }),
        Message::Impossible { id, problem } => json!({ "line": line, "impossible": {
            "id": id, "code": problem.code, "path": problem.path, "detail": problem.detail,
        }}),
    }
}
