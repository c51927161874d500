//! `ringfence check`: what is wrong, what is odd, and what is in force, as a printable report.
//!
//! A problem stops the start; a warning does not, and names only what an operator would
//! change once told; a note is what an operator should know and cannot change here.

use super::problem::Problem;
use super::{ModelState, ReadFile, Settings, SourceRate, values};
use crate::authenticate::Scheme;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Formats whose provider may do otherwise than we know, and why.
const EXPERIMENTAL: [(&str, &str); 1] =
    [("visa-vop", "its contract is not public; try it with the messages of your own agreement before relying on it")];

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
    /// What is only worth knowing.
    pub notes: Vec<Warning>,
    /// The settings, when they can be understood.
    pub settings: Option<Settings>,
}

/// Checks a configuration. The caller adds what it finds about the store.
#[must_use]
pub fn check(file: Option<&Path>, env: &BTreeMap<String, String>, read_file: ReadFile<'_>) -> CheckReport {
    match Settings::load(file, env, read_file) {
        Ok(settings) => CheckReport {
            problems: Vec::new(),
            warnings: settings.warnings(),
            notes: settings.notes(),
            settings: Some(settings),
        },
        Err(found) => CheckReport { problems: found.0, warnings: Vec::new(), notes: Vec::new(), settings: None },
    }
}

impl CheckReport {
    /// Whether the service may start.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.problems.is_empty()
    }
    /// The report for people: the settings in force, then notes, warnings and problems, then the verdict.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.settings.as_ref().map(Settings::describe).unwrap_or_default();
        if !text.is_empty() {
            text.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(text, "note     {}: {}", note.path, note.text);
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
        if !self.screening.enabled {
            let what = "is off: rewards become available and are paid without having been screened";
            warn("screening.enabled", what.to_owned());
        }
        if let Some(model) = self.screening.model.as_ref().filter(|model| model.state == ModelState::Live) {
            let on = model.named.model.on.members;
            let what = format!(
                "is live: the score is that of {}, fitted on {on} members; back-test it, and run it in shadow first",
                model.named.title()
            );
            warn("screening.model_state", what);
        }
        for (index, source) in self.sources.iter().enumerate() {
            if source.rate == Some(SourceRate::Unlimited) {
                warn(&format!("sources[{index}].rate.per_second"), "is 0: there is no such limit".to_owned());
            }
            if !source.auth.iter().any(|scheme| scheme.signs_body()) {
                let what = "the body is not signed: whoever learns the password, or stands where TLS ends, can post \
                            what they like; add the provider's signature when it has one";
                warn(&format!("sources[{index}].auth"), what.to_owned());
            }
            if source.public_url.as_ref().is_some_and(|url| url.starts_with("http://")) {
                warn(&format!("sources[{index}].public_url"), "is http: webhooks travel in the open".to_owned());
            }
            for (nth, secret) in source.secrets.iter().enumerate() {
                let key = secret.text.expose().trim_start_matches("whsec_");
                // 64 bytes are 88 characters of base64: the block of SHA-256, beyond which a key is hashed first.
                if secret.scheme == Scheme::StandardWebhooks && key.len() > 88 {
                    let what = "the key has more than the 64 bytes Standard Webhooks allows";
                    warn(&format!("sources[{index}].secrets[{nth}]"), what.to_owned());
                }
            }
        }
        warnings
    }

    /// What follows from what is configured and cannot be changed here: worth knowing, not a
    /// reason to act.
    #[must_use]
    pub fn notes(&self) -> Vec<Warning> {
        let mut notes = Vec::new();
        let mut note = |path: String, text: String| notes.push(Warning { path, text });
        for (index, source) in self.sources.iter().enumerate() {
            let format = source.format.as_str();
            if let Some((_, why)) = EXPERIMENTAL.iter().find(|(name, _)| *name == format) {
                note(format!("sources[{index}].format"), format!("`{format}` is experimental: {why}"));
            }
            if !source.auth.iter().any(|scheme| scheme.signs_time()) {
                let ways: Vec<&str> = source.auth.iter().map(|scheme| scheme.name()).collect();
                let text = format!(
                    "the proof of `{}`, {}, carries no time: an old delivery can be posted again, and only the \
                     event's identity, kept for {} days, stops it from counting twice",
                    source.name,
                    values::all_of(&ways),
                    self.purchases.retention_days
                );
                note(format!("sources[{index}].auth"), text);
            }
        }
        notes
    }
}
