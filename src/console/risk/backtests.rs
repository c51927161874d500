//! Back-tests on the detectors page: a threshold tried on days that are over, beside what people
//! said of the cases there were.

use crate::api::Doors;
use crate::api::backtests::{self, BacktestDocument, BacktestView};
use crate::api::check::Fault;
use crate::api::reply::Reply;
use crate::console::page::{self, Visitor};
use crate::console::words;
use crate::domain::Timestamp;
use crate::follow::backtest::Became;
use crate::follow::backtest::OfSegment;
use askama::Template;
use hyper::StatusCode;

/// Cases of one back-test that are shown.
const SHOWN_MAX: usize = 20;

/// The list alone, for a page that asks again while one runs.
#[derive(Template)]
#[template(path = "backtests.html", config = "src/console/askama.toml")]
struct ListPart {
    backtests: Backtests,
}

/// Back-tests, the newest first.
pub(super) struct Backtests {
    /// One is running.
    pub running: bool,
    /// All of them.
    pub rows: Vec<Row>,
}

/// One of them.
pub(super) struct Row {
    /// Its number.
    pub id: u64,
    /// What was tried.
    pub asked: String,
    /// How far it is, what came of it, or why nothing did.
    pub words: String,
    /// What was opened in the period as it was.
    pub were: String,
    /// Confirmed cases that it would have missed.
    pub missed: Vec<u64>,
    /// How many honest groups of each kind score as high.
    pub segments: Vec<String>,
    /// What it would have opened.
    pub lines: Vec<LineRow>,
    /// There are more.
    pub more: usize,
}

/// A case that would have been opened.
pub(super) struct LineRow {
    /// When.
    pub at: String,
    /// Its score.
    pub score: String,
    /// Its members.
    pub members: usize,
    /// Who they are.
    pub who: String,
    /// Detectors that speak in it.
    pub detectors: String,
    /// What became of it.
    pub became: &'static str,
    /// The case that it is.
    pub case: Option<u64>,
}

fn counted(became: Became) -> String {
    let Became { cases, confirmed, dismissed, watched, undecided, .. } = became;
    format!(
        "{cases} were opened: {confirmed} confirmed, {dismissed} dismissed, {watched} watched, {undecided} undecided"
    )
}

/// `household: 2 of 226 honest groups score 550 or more, at most 2.77 %`.
fn compared(of: &OfSegment) -> String {
    let (whole, rest) = (of.error_basis_points / 100, of.error_basis_points % 100);
    let OfSegment { segment, above, groups, open_from, .. } = of;
    format!("{segment}: {above} of {groups} honest groups score {open_from} or more, at most {whole}.{rest:02} %")
}

fn row(view: BacktestView) -> Row {
    let asked = &view.asked;
    let model = if asked.model.is_some() { ", by the fitted model" } else { "" };
    let detector = asked.detector.as_ref().map(|name| format!(", where {name} speaks")).unwrap_or_default();
    let tried = format!(
        "{} to {}: score from {}, {} kinds of evidence{model}{detector}",
        words::when(asked.from),
        words::when(asked.to),
        asked.score_min,
        asked.families_min
    );
    let progress = view.progress;
    let said = match (&view.outcome, &view.failure) {
        (Some(outcome), _) => outcome.words.clone(),
        (None, Some(failure)) => failure.clone(),
        (None, None) => {
            format!(
                "{} records read, {} of at most {} looks at everybody",
                progress.records, progress.passes, progress.passes_max
            )
        }
    };
    let lines = view.outcome.iter().flat_map(|outcome| &outcome.cases).take(SHOWN_MAX).map(|line| LineRow {
        at: words::when(line.opened_at),
        score: words::score(line.score),
        members: line.members,
        who: line.first_members.join(", "),
        detectors: line.detectors.iter().map(|name| words::plain(name)).collect::<Vec<_>>().join(", "),
        became: line.became,
        case: line.case,
    });
    Row {
        id: view.id,
        asked: tried,
        words: said,
        were: view.outcome.as_ref().map(|outcome| counted(outcome.were_opened)).unwrap_or_default(),
        missed: view.outcome.as_ref().map(|outcome| outcome.missed.clone()).unwrap_or_default(),
        segments: view.outcome.iter().flat_map(|one| &one.segments).filter(|of| of.groups > 0).map(compared).collect(),
        lines: lines.collect(),
        more: view.outcome.as_ref().map_or(0, |outcome| outcome.would_open.cases.saturating_sub(SHOWN_MAX)),
    }
}

/// All of them.
pub(super) fn all(doors: &Doors) -> Backtests {
    let views: Vec<BacktestView> = doors.screener.backtests().all().iter().map(BacktestView::of).collect();
    Backtests { running: views.iter().any(|view| view.state == "running"), rows: views.into_iter().map(row).collect() }
}

/// The list alone.
pub(in crate::console) fn show(doors: &Doors) -> Result<Reply, Reply> {
    Ok(page::page(StatusCode::OK, &ListPart { backtests: all(doors) }))
}

/// Begins one.
pub(in crate::console) fn begin(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let said = |name: &str| Some(visitor.form.get(name).trim()).filter(|text| !text.is_empty());
    let day = |name: &'static str| {
        let text = said(name).unwrap_or_default();
        Timestamp::parse(&format!("{text}T00:00:00Z")).map_err(|_| Reply::from(Fault::bad(name, "must be a day")))
    };
    let number = |name: &'static str| {
        said(name)
            .map(|text| text.parse::<u16>().map_err(|_| Reply::from(Fault::bad(name, "must be a number"))))
            .transpose()
    };
    let families = number("families_min")?.map(|count| u8::try_from(count).unwrap_or(u8::MAX));
    let document = BacktestDocument {
        from: day("from")?,
        to: day("to")?,
        score_min: number("score_min")?,
        families_min: families,
        model: said("model").map(|text| text == "model"),
        detector: None,
        version: None,
        every_hours: None,
    };
    backtests::begun(doors, &visitor.caller, visitor.request, &document)?;
    Ok(page::see_other("/console/detectors", None))
}
