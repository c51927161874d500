//! `ringfence check`: what is wrong, what is odd, and what is in force, as a printable report.
//!
//! A problem stops the start; a warning does not, and names only what an operator would
//! change once told.

use super::problem::Problem;
use super::{ReadFile, Settings, SourceRate};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Something that works and is perhaps not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The key.
    pub path: String,
    /// What follows from it.
    pub text: String,
}

/// What `ringfence check` found.
#[derive(Debug, Clone)]
pub struct CheckReport {
    /// What stops the start.
    pub problems: Vec<Problem>,
    /// What does not.
    pub warnings: Vec<Warning>,
    /// The settings, when they can be understood.
    pub settings: Option<Settings>,
}

/// Checks a configuration. The caller adds what it finds about the store.
#[must_use]
pub fn check(file: Option<&Path>, env: &BTreeMap<String, String>, read_file: ReadFile<'_>) -> CheckReport {
    match Settings::load(file, env, read_file) {
        Ok(settings) => CheckReport { problems: Vec::new(), warnings: settings.warnings(), settings: Some(settings) },
        Err(found) => CheckReport { problems: found.0, warnings: Vec::new(), settings: None },
    }
}

impl CheckReport {
    /// Whether the service may start.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.problems.is_empty()
    }
    /// The report for people: the settings in force, then warnings, then problems, then the verdict.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.settings.as_ref().map(Settings::describe).unwrap_or_default();
        if !text.is_empty() {
            text.push('\n');
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "warning  {}: {}", warning.path, warning.text);
        }
        for problem in &self.problems {
            let _ = writeln!(text, "problem  {problem}");
        }
        let counted = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let verdict = if self.is_ok() { "ok" } else { "not ok" };
        let _ = writeln!(
            text,
            "{verdict}: {}, {}",
            counted(self.problems.len(), "problem"),
            counted(self.warnings.len(), "warning")
        );
        text
    }
}

impl Settings {
    /// What works and is perhaps not meant; `serve` logs it, `check` prints it.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut warn = |path: &str, text: String| warnings.push(Warning { path: path.to_owned(), text });
        let server = &self.server;
        if self.sources.is_empty() {
            warn("sources", "none is configured: no webhook will be accepted".to_owned());
        }
        if !server.listen.ip().is_loopback() {
            if server.trusted_proxies.is_empty() {
                let what = "others can reach it directly and no proxy is trusted: without one in front there is no \
                            TLS, and behind one all callers share the proxy's address and its limit";
                warn("server.trusted_proxies", what.to_owned());
            }
            if server.public_url.is_none() {
                let what = "not set, while others can reach the service: its own description and `ringfence sign` \
                            name the address of `server.listen`";
                warn("server.public_url", what.to_owned());
            }
            if server.public_url.as_ref().is_some_and(|url| url.starts_with("http://")) {
                warn("server.public_url", "is http: keys and webhooks travel in the open".to_owned());
            }
        }
        let rates = [
            ("per_source", self.limits.per_source),
            ("per_key", self.limits.per_key),
            ("per_address", self.limits.per_address),
        ];
        for (name, rate) in rates {
            if rate.is_none() {
                warn(&format!("limits.{name}.per_second"), "is 0: there is no such limit".to_owned());
            }
        }
        if server.drain_time_max < server.body_time_max {
            let what = "is less than body_seconds_max: at a stop, a request that is within its rights may be cut";
            warn("server.drain_seconds_max", what.to_owned());
        }
        if self.webhooks.dead_letters_max == 0 {
            let what = "is 0: an authentic message that is not understood is lost";
            warn("webhooks.dead_letters_max", what.to_owned());
        }
        if self.purchases.retention_days <= 540 {
            let what = "disputes run to 540 days: later chargebacks will be `too_old` and their rewards stay granted";
            warn("purchases.retention_days", what.to_owned());
        }
        for (index, source) in self.sources.iter().enumerate() {
            if source.rate == Some(SourceRate::Unlimited) {
                warn(&format!("sources[{index}].rate.per_second"), "is 0: there is no such limit".to_owned());
            }
            for (nth, secret) in source.secrets.iter().enumerate() {
                let key = secret.expose().trim_start_matches("whsec_");
                // 64 bytes are 88 characters of base64: the block of SHA-256, beyond which a key is hashed first.
                if source.auth.contains(&super::AuthScheme::StandardWebhooks) && key.len() > 88 {
                    let what = "the key has more than the 64 bytes Standard Webhooks allows";
                    warn(&format!("sources[{index}].secrets[{nth}]"), what.to_owned());
                }
            }
        }
        warnings
    }
}
