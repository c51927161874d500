//! `ringfence serve` and `ringfence check`.

use super::{ConfigArgs, Failure, bootstrap_key};
use crate::app::{self, App};
use crate::clock::Clock;
use crate::config::{self, Problem, StoreUrl};
use crate::pipeline::Chain;
use crate::store::embedded::{self, Embedded, OpenError};
use crate::store::redis::Redis;
use crate::{telemetry, wire};
use std::io::Write;

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// When the service cannot start, or not stop cleanly.
pub fn serve(args: &ConfigArgs) -> Result<(), Failure> {
    let settings = args.settings()?;
    telemetry::init_logging(settings.log.level, settings.log.format)?;
    for warning in settings.warnings() {
        tracing::warn!(setting = warning.path, "{}", warning.text);
    }
    for note in settings.notes() {
        tracing::info!(setting = note.path, "{}", note.text);
    }
    let bootstrap = bootstrap_key()?;
    let mut runtime = match settings.server.worker_threads {
        // One core: a runtime of one thread does without waking others.
        Some(1) => tokio::runtime::Builder::new_current_thread(),
        threads => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            if let Some(threads) = threads {
                builder.worker_threads(threads);
            }
            builder
        }
    };
    runtime.enable_all().build()?.block_on(async {
        let signal = wire::shutdown_signal()?;
        let app = App::start(&settings, Clock::Machine, bootstrap.as_ref()).await?;
        let started = &app.started;
        tracing::info!(
            replayed_records = started.replayed,
            torn_bytes = started.torn_bytes,
            rebuilt = started.rebuilt.as_deref().unwrap_or("no"),
            "started"
        );
        let mut out = std::io::stdout();
        writeln!(out, "listening on http://{}", app.address())?;
        out.flush()?;
        let stopped = app
            .serve(async {
                let signal = signal.await;
                tracing::info!(signal, "stopping: no new requests, those in flight are answered");
            })
            .await?;
        tracing::info!(drained = stopped.drained, aborted_connections = stopped.aborted_connections, "stopped");
        Ok(())
    })
}

/// Says what is wrong with the configuration and the store, and where.
///
/// # Errors
/// When something is: the report is on stdout.
pub fn check(args: &ConfigArgs) -> Result<(), Failure> {
    let mut report = config::check(args.config.as_deref(), &args.variables(), &|path| std::fs::read_to_string(path));
    if let Some(settings) = &report.settings {
        let mut found = Vec::new();
        for (index, said) in settings.sources.iter().enumerate() {
            if let Err(error) = app::source(index, said, settings.webhooks.age_seconds_max) {
                let right = "see `auth` and `secrets` in config/ringfence.toml";
                found.push(Problem::new(format!("sources[{index}]"), Chain(&error).to_string(), right));
            }
        }
        if let Err(error) = bootstrap_key() {
            found.push(Problem::new(
                "RINGFENCE_BOOTSTRAP_KEY",
                error.to_string(),
                "make one with `openssl rand -hex 32`",
            ));
        }
        found.extend(check_store(settings));
        report.problems.extend(found);
    }
    print!("{}", report.text());
    if report.is_ok() { Ok(()) } else { Err("the configuration or the store is not right".into()) }
}

/// Whether the Redis that is named answers and is one that can be used.
fn check_shared(settings: &config::Settings) -> Option<Problem> {
    let options = app::engine_options(settings).shared?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let opened = runtime.block_on(Redis::open(&options, settings.store.partitions));
    let error = opened.err()?;
    let right = "look at its address, its user and its version (7.0 or later)";
    Some(Problem::new("store.url", Chain(&error).to_string(), right))
}

fn check_store(settings: &config::Settings) -> Option<Problem> {
    let StoreUrl::Embedded(dir) = &settings.store.url else { return check_shared(settings) };
    let path = dir.join(embedded::FOLDER);
    if !path.exists() {
        return None;
    }
    match Embedded::open(&path, settings.store.cache_bytes, usize::MAX) {
        Ok((_, Some(meta))) if meta.partitions != settings.store.partitions => {
            let wrong = format!("the store was created with {} partitions", meta.partitions);
            Some(Problem::new("store.partitions", wrong, "set the same number; a store keeps it"))
        }
        Ok(_) | Err(OpenError::InUse { .. }) => None,
        Err(error @ OpenError::Unsound { .. }) => {
            Some(Problem::new("store.url", Chain(&error).to_string(), "the next start rebuilds it by itself"))
        }
        Err(error) => {
            Some(Problem::new("store.url", Chain(&error).to_string(), "make the folder readable and writable"))
        }
    }
}
