//! Detectors: in how many cases each version speaks and what people said of those; how far
//! screening is behind; and a version that is to count for nothing.

use super::counts::{self, Tally};
use super::rules;
use crate::api::Doors;
use crate::api::cases::{self, WithdrawDocument};
use crate::api::reply::{self, Reply};
use crate::cases::triage::Automatic;
use crate::console::page::{self, Chrome, Visitor, encoded};
use crate::console::words;
use askama::Template;
use hyper::StatusCode;
use std::collections::BTreeMap;

#[derive(Template)]
#[template(path = "detectors.html", config = "src/console/askama.toml")]
struct DetectorsPage {
    chrome: Chrome,
    is_on: bool,
    policy: &'static str,
    facts: Vec<(&'static str, String)>,
    rows: Vec<Row>,
    more: bool,
    rules: rules::Section,
}

struct Row {
    name: String,
    words: String,
    link: String,
    version: u32,
    family: String,
    state: &'static str,
    counts: bool,
    clears: &'static str,
    tally: Tally,
    precision: String,
}

/// The page.
pub(in crate::console) async fn show(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let counts = counts::counted(doors, visitor.now).await?;
    let mut tallies: BTreeMap<(String, u32), Tally> =
        counts.by_detector.iter().map(|((name, version), tally)| ((name.to_string(), *version), *tally)).collect();
    let mut rows: Vec<Row> = Vec::new();
    for detector in cases::detectors() {
        let tally = tallies.remove(&(detector.name.to_owned(), detector.version)).unwrap_or_default();
        let counts = doors.screener.counts(detector);
        rows.push(Row {
            family: words::plain(detector.family),
            state: if counts { "counts" } else { "withdrawn" },
            counts,
            clears: detector.clears,
            ..row(detector.name, detector.version, tally)
        });
    }
    // Versions before: what they said stands in cases still.
    rows.extend(tallies.into_iter().map(|((name, version), tally)| row(&name, version, tally)));
    let settings = doors.screener.settings();
    Ok(page::page(
        StatusCode::OK,
        &DetectorsPage {
            chrome: visitor.chrome("detectors"),
            is_on: settings.enabled,
            policy: match settings.triage.automatic {
                Automatic::Nothing => "shadow: cases alone, nothing is done by itself",
                Automatic::Watch => "members of a new case are watched by themselves",
                Automatic::Hold => "members of a new case are held by themselves",
            },
            facts: facts(doors, visitor).await?,
            rows,
            more: counts.more,
            rules: rules::section(doors, visitor).await?,
        },
    ))
}

fn row(name: &str, version: u32, tally: Tally) -> Row {
    let judged = tally.confirmed + tally.dismissed;
    Row {
        words: words::plain(name),
        link: encoded(name),
        name: name.to_owned(),
        version,
        family: String::new(),
        state: "earlier",
        counts: false,
        clears: "",
        precision: match judged {
            0 => String::new(),
            _ => format!("{} of {judged} · {} %", tally.confirmed, 100 * tally.confirmed / judged),
        },
        tally,
    }
}

async fn facts(doors: &Doors, visitor: &Visitor<'_>) -> Result<Vec<(&'static str, String)>, Reply> {
    let screening = doors.engine.screening();
    let (members, links, findings) = doors.screener.seen();
    let pass_at = screening.progress().pass_at;
    let jobs = doors.engine.jobs().await?;
    Ok(vec![
        ("Last whole pass", pass_at.map_or_else(|| "none yet".to_owned(), |at| words::ago(at, visitor.now))),
        ("Records behind", screening.lag_records().to_string()),
        ("Members", members.to_string()),
        ("Links", links.to_string()),
        ("Findings", findings.to_string()),
        ("Cases opened since the start", doors.screener.cases_opened().to_string()),
        ("Waited in vain", screening.waits().to_string()),
        ("Jobs under way", jobs.len().to_string()),
    ])
}

/// Withdraws a version.
pub(in crate::console) async fn withdraw(
    doors: &Doors,
    visitor: &Visitor<'_>,
    name: &str,
    version: &str,
) -> Result<Reply, Reply> {
    let version = version.parse().map_err(|_| reply::not_found("there is no such version"))?;
    let reason = visitor.form.get("reason").trim().to_owned();
    let document = WithdrawDocument { version, reason };
    cases::withdrawn(doors, &visitor.caller, visitor.request, name.to_owned(), document).await?;
    Ok(page::see_other("/console/detectors", None))
}
