//! The log: one line per happening on standard error, as JSON or for people.
//!
//! Our own lines follow `log.level`; libraries speak from `warn` up alone, since at `debug` and
//! `trace` some print headers and bytes. `RUST_LOG` is not read: one place says how much.

use crate::config::{LogFormat, LogLevel};
use std::io::IsTerminal as _;
use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;

/// Why the log could not be started.
#[derive(Debug, thiserror::Error)]
#[error("starting the log: this process has one already")]
pub struct LoggingFault(#[source] tracing::dispatcher::SetGlobalDefaultError);

/// Starts the log of this process.
///
/// # Errors
/// [`LoggingFault`] when it was started before.
pub fn init_logging(level: LogLevel, format: LogFormat) -> Result<(), LoggingFault> {
    let colours = std::io::stderr().is_terminal();
    tracing::dispatcher::set_global_default(log_to(std::io::stderr, level, format, colours)).map_err(LoggingFault)
}

fn log_to<W>(writer: W, level: LogLevel, format: LogFormat, colours: bool) -> Dispatch
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let ours = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let filter = Targets::new().with_target("ringfence", ours).with_default(ours.min(LevelFilter::WARN));
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours);
    match format {
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(true).with_span_list(false);
            Dispatch::new(tracing_subscriber::registry().with(filter).with(lines))
        }
        LogFormat::Text => Dispatch::new(tracing_subscriber::registry().with(filter).with(lines)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: LogLevel, format: LogFormat, say: impl FnOnce()) -> String {
        let page = Page::default();
        let writer = page.clone();
        tracing::dispatcher::with_default(&log_to(move || writer.clone(), level, format, false), say);
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_is_one_json_object_with_the_request_beside_it() {
        let page = logged(LogLevel::Info, LogFormat::Json, || {
            let span = tracing::info_span!("request", request_id = "r1");
            span.in_scope(|| tracing::info!(event = "evt_1", duration_ms = 3, "webhook\nanswered"));
        });
        assert_eq!(page.lines().count(), 1, "{page}");
        let line: serde_json::Value = serde_json::from_str(&page).unwrap();
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "webhook\nanswered");
        assert_eq!(line["event"], "evt_1");
        assert_eq!(line["span"]["request_id"], "r1");
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{page}");
    }

    #[test]
    fn levels_bound_us_and_libraries() {
        for (level, expected) in [
            (LogLevel::Error, "our error"),
            (LogLevel::Info, "our info, our error, their warning"),
            (LogLevel::Trace, "our trace, our info, our error, their warning"),
        ] {
            let page = logged(level, LogFormat::Text, || {
                tracing::trace!("our trace");
                tracing::info!("our info");
                tracing::error!("our error");
                tracing::warn!(target: "hyper::proto", "their warning");
                tracing::info!(target: "hyper::proto", "their bytes");
                tracing::trace!(target: "h2", "their bytes");
            });
            let said: Vec<&str> = page.lines().filter_map(|line| line.rsplit(": ").next()).collect();
            assert_eq!(said.join(", "), expected, "{page}");
        }
    }

    #[test]
    fn a_line_break_in_a_field_cannot_forge_a_line() {
        let page = logged(LogLevel::Info, LogFormat::Text, || {
            tracing::warn!(event = ?"evt\n2026 ERROR forged", "answered");
        });
        assert_eq!(page.lines().count(), 1, "{page}");
    }
}
