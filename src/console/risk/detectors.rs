//! Detectors: in how many cases each version speaks and what people said of those; how far
//! screening is behind; and a version that is to count for nothing.

use super::backtests::{self, Backtests};
use super::rules;
use crate::api::Doors;
use crate::api::cases::{self, WithdrawDocument};
use crate::api::detectors::{self, AmountView, DetectorView, OriginView, Said, SegmentView, WorthView};
use crate::api::reply::{self, Reply};
use crate::cases::triage::Automatic;
use crate::console::page::{self, Chrome, Visitor, encoded};
use crate::console::words;
use crate::domain::Timestamp;
use crate::domain::time::DAY_MS;
use askama::Template;
use hyper::StatusCode;

#[derive(Template)]
#[template(path = "detectors.html", config = "src/console/askama.toml")]
struct DetectorsPage {
    chrome: Chrome,
    is_on: bool,
    policy: &'static str,
    facts: Vec<(&'static str, String)>,
    model: Vec<(&'static str, String)>,
    elsewhere: bool,
    rows: Vec<Row>,
    origins: Vec<Origin>,
    segments: Vec<Segment>,
    backtests: Backtests,
    has_model: bool,
    score_min: u16,
    families_min: usize,
    from: String,
    to: String,
    more: bool,
    rules: rules::Section,
}

impl DetectorsPage {
    /// Whether a version has a line in what the desk is worth.
    fn is_worth_told(&self) -> bool {
        self.rows.iter().any(|row| [&row.avoided, &row.lost, &row.wrongly].iter().any(|text| !text.is_empty()))
    }
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
    cases: usize,
    strongest_in: usize,
    said: Said,
    precision: String,
    avoided: String,
    lost: String,
    wrongly: String,
}

struct Segment {
    words: &'static str,
    groups: usize,
    cleared: usize,
    open_from: u16,
    above: usize,
    error: String,
    act_from: String,
}

struct Origin {
    words: String,
    said: Said,
    precision: String,
}

/// The page.
pub(in crate::console) async fn show(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let counts = crate::console::counted(doors).await?;
    let rows = detectors::versions(doors, &counts).into_iter().map(row).collect();
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
            model: model(doors),
            elsewhere: doors.screener.is_elsewhere(),
            rows,
            segments: detectors::segments(doors).into_iter().map(segment).collect(),
            origins: detectors::origins(&counts).into_iter().map(origin).collect(),
            backtests: backtests::all(doors),
            has_model: settings.model.is_some(),
            score_min: settings.triage.score_min,
            families_min: settings.triage.families_min,
            from: day(visitor.now.plus_ms(-30 * DAY_MS)),
            to: day(visitor.now),
            more: counts.more,
            rules: rules::section(doors, visitor).await?,
        },
    ))
}

fn shown(amounts: &[AmountView]) -> String {
    words::list(&amounts.iter().map(|amount| amount.shown.clone()).collect::<Vec<_>>())
}

/// `12.00 USD of 3 members, 9 days`.
fn wrongly(worth: &WorthView) -> String {
    match worth.members_held_wrongly {
        0 => String::new(),
        members => {
            let amounts = shown(&worth.held_wrongly);
            let of = if amounts.is_empty() { "nothing" } else { &amounts };
            let count = |number: u64, word: &str| words::count(usize::try_from(number).unwrap_or(usize::MAX), word);
            let days = u64::try_from(worth.days_held_wrongly).unwrap_or(0);
            format!("{of} of {}, {}", count(members, "member"), count(days, "day"))
        }
    }
}

/// `2026-11-21`.
fn day(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

fn row(version: DetectorView) -> Row {
    let said = version.reviews;
    Row {
        words: words::plain(&version.name),
        link: encoded(&version.name),
        family: version.family.map(words::plain).unwrap_or_default(),
        state: version.state,
        counts: ["counts", "live", "shadow"].contains(&version.state),
        clears: version.clears.unwrap_or(""),
        precision: precision(said),
        cases: version.cases,
        strongest_in: version.strongest_in,
        said,
        avoided: shown(&version.worth.avoided),
        lost: shown(&version.worth.lost),
        wrongly: wrongly(&version.worth),
        version: version.version,
        name: version.name,
    }
}

fn segment(found: SegmentView) -> Segment {
    Segment {
        words: match found.segment {
            "household" => "households",
            "office" => "offices",
            "ambassador" => "ambassadors' circles",
            _ => "groups of no such kind, beside all of these",
        },
        groups: found.groups,
        cleared: found.cleared,
        open_from: found.open_from,
        above: found.above,
        error: format!("{}.{:02} %", found.error_basis_points / 100, found.error_basis_points % 100),
        act_from: found.act_from.map_or_else(|| "none: too few are known".to_owned(), |from| from.to_string()),
    }
}

fn origin(found: OriginView) -> Origin {
    Origin { words: words::plain(&found.chosen_by), precision: precision(found.reviews), said: found.reviews }
}

/// `37 of 40 · 92 %`.
fn precision(said: Said) -> String {
    let judged = said.confirmed + said.dismissed;
    match said.precision() {
        Some(precision) => format!("{} of {judged} · {} %", said.confirmed, precision / 10),
        None => String::new(),
    }
}

/// What the fitted model of this process is and would do.
fn model(doors: &Doors) -> Vec<(&'static str, String)> {
    let Some(model) = doors.screener.model() else { return Vec::new() };
    let on = &model.named.model.on;
    let mut facts = vec![
        ("Model", model.named.name.clone()),
        ("Version", format!("{} ({})", model.named.version, &model.named.hash[..12])),
        ("State", detectors::state_of(&model).to_owned()),
        ("Fitted on", format!("{} members, {} bad", on.members, on.bad)),
    ];
    if let Some(beside) = model.beside {
        facts.push(("Cases of the last pass that it finds too", beside.both.to_string()));
        facts.push(("It would open besides", beside.model_alone.to_string()));
        facts.push(("It would not open", beside.score_alone.to_string()));
    }
    facts
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
        ("Waited for screening in vain", screening.waits().to_string()),
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
