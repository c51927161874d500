//! Back-tests: what another threshold, the fitted model or a detector's version would have found in
//! a period that is over. One at a time, beside the service; nothing in the store changes.

use super::check::Fault;
use super::reply::{self, Reply};
use super::{Doors, access, read};
use crate::authenticate::keys::Caller;
use crate::authenticate::keys::Role::{Operator, Risk};
use crate::cases::triage::NO_BOUND;
use crate::config::ModelState;
use crate::domain::Timestamp;
use crate::follow::backtest::{Asked, Outcome, Progress, known};
use crate::follow::backtests::Kept;
use crate::wire::Request;
use hyper::StatusCode;
use matchit::Params;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;
/// Hours between two looks at everybody, when nobody says.
const EVERY_HOURS: u16 = 24;

/// What is to be tried.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct BacktestDocument {
    /// From when on cases count.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Until when: not ahead, and at most 366 days after `from`.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// In place of `screening.case_score_min`, 0 to 1000.
    #[serde(default)]
    pub score_min: Option<u16>,
    /// In place of `screening.case_families_min`, 1 to 10.
    #[serde(default)]
    pub families_min: Option<u8>,
    /// True tries the fitted model of this process as if it were live, false the score that needs no
    /// labels; without it as it is now.
    #[serde(default)]
    pub model: Option<bool>,
    /// Only cases in which this detector speaks, even one that was withdrawn, or this rule of the desk
    /// (`rule:ID`), even while it was in shadow; with `version`.
    #[serde(default)]
    pub detector: Option<String>,
    /// The detector's version.
    #[serde(default)]
    pub version: Option<u32>,
    /// Hours between two looks at everybody: 24 without it. At most 400 fit into the period.
    #[serde(default)]
    pub every_hours: Option<u16>,
}

/// A back-test.
#[derive(Debug, Serialize, ToSchema)]
pub struct BacktestView {
    /// Numbered from 1 at each start of the service: back-tests are kept in memory, the last 20.
    pub id: u64,
    /// `running`, `done` or `failed`.
    pub state: &'static str,
    /// Who asked: the id of their key.
    pub by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub begun_at: Timestamp,
    /// What was tried.
    pub asked: AskedView,
    /// How far it has come.
    pub progress: Progress,
    /// What would have been found; null until it is done.
    #[schema(value_type = Option<Outcome>)]
    pub outcome: Option<Arc<Outcome>>,
    /// Why there is no outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// What was tried.
#[derive(Debug, Serialize, ToSchema)]
pub struct AskedView {
    /// From when on cases count.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// Mean score from which a group is a case.
    pub score_min: u16,
    /// Kinds of evidence that must agree.
    pub families_min: usize,
    /// The hash of the fitted model's file; null is the score that needs no labels.
    pub model: Option<String>,
    /// A detector's name and version.
    pub detector: Option<String>,
    /// Hours between two looks at everybody.
    pub every_hours: i64,
}

/// Back-tests, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct BacktestList {
    /// All that are remembered.
    pub backtests: Vec<BacktestView>,
}

impl BacktestView {
    pub(crate) fn of(kept: &Kept) -> Self {
        let Asked { from, to, every_ms, policy, model, detector } = &kept.asked;
        let (state, outcome, failure) = match &kept.done {
            None => ("running", None, None),
            Some(Ok(outcome)) => ("done", Some(Arc::clone(outcome)), None),
            Some(Err(failure)) => ("failed", None, Some(failure.clone())),
        };
        Self {
            id: kept.id,
            state,
            by: kept.by.clone(),
            begun_at: kept.begun_at,
            asked: AskedView {
                from: *from,
                to: *to,
                score_min: policy.score_min,
                families_min: policy.families_min,
                model: model.as_ref().map(|model| model.hash.clone()),
                detector: detector.as_ref().map(|(name, version)| format!("{name} {version}")),
                every_hours: every_ms / HOUR_MS,
            },
            progress: kept.progress,
            outcome,
            failure,
        }
    }
}

/// What was asked, when it can be.
fn asked(doors: &Doors, document: &BacktestDocument) -> Result<Asked, Reply> {
    let BacktestDocument { from, to, score_min, families_min, model, detector, version, every_hours } = document;
    let settings = doors.screener.settings();
    let mut policy = settings.triage.clone();
    if let Some(score_min) = score_min {
        if *score_min > 1000 {
            return Err(Fault::bad("score_min", "must be 0 to 1000").into());
        }
        // What is asked for is tried, whatever honest groups say of it; the outcome tells what they say.
        (policy.score_min, policy.open_error_max) = (*score_min, NO_BOUND);
    }
    if let Some(families_min) = families_min {
        if !(1..=10).contains(families_min) {
            return Err(Fault::bad("families_min", "must be 1 to 10").into());
        }
        policy.families_min = usize::from(*families_min);
    }
    let configured = settings.model.as_ref();
    let model = match model {
        Some(true) if configured.is_none() => {
            let detail = "this process has no fitted model: set `screening.model`, or use `ringfence backtest --model`";
            return Err(Fault::bad("model", detail).into());
        }
        Some(true) => configured,
        Some(false) => None,
        None => configured.filter(|model| model.state == ModelState::Live),
    };
    let model = model.map(|model| Arc::clone(&model.named));
    let detector = match (detector, version) {
        (None, None) => None,
        (Some(name), Some(version)) => {
            known(name, *version, model.as_deref()).map_err(|detail| Fault::bad("detector", detail))?;
            Some((name.as_str().into(), *version))
        }
        (Some(_), None) => return Err(Fault::bad("version", "goes with `detector`: name its version").into()),
        (None, Some(_)) => return Err(Fault::bad("detector", "goes with `version`: name the detector").into()),
    };
    let every_ms = i64::from(every_hours.unwrap_or(EVERY_HOURS)) * HOUR_MS;
    let asked = Asked { from: *from, to: *to, every_ms, policy, model, detector };
    asked.check(doors.engine.clock.now()).map_err(|fault| Fault::bad(fault.field, fault.detail))?;
    Ok(asked)
}

/// Begins a back-test.
///
/// The journal is read again on a thread of low priority, with about the memory that screening takes;
/// `GET /v1/screening/backtests/{id}` says how far it is and what came of it. One runs at a time.
#[utoipa::path(
    post, path = "/v1/screening/backtests", operation_id = "begin_backtest", tag = "Risk",
    request_body = BacktestDocument,
    responses((status = 202, description = "Begun", body = BacktestView)),
)]
pub(super) async fn begin(doors: &Doors, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, Risk])?;
    let document: BacktestDocument = read::document(request)?;
    Ok(Reply::json(StatusCode::ACCEPTED, &begun(doors, &caller, request, &document)?, None))
}

/// Begins one by somebody's word.
pub(crate) fn begun(
    doors: &Doors,
    caller: &Caller,
    request: &Request,
    document: &BacktestDocument,
) -> Result<BacktestView, Reply> {
    let asked = asked(doors, document)?;
    let begun = doors.screener.backtests().begin(&doors.engine, asked, caller.key_id.to_string());
    let begun = begun.map_err(|refused| reply::conflict("not_in_this_state", refused.to_string()))?;
    tracing::info!(request = %request.id, key = %caller.key_id, backtest = begun.id, "a back-test was begun");
    Ok(BacktestView::of(&begun))
}

/// Back-tests, the newest first.
#[utoipa::path(
    get, path = "/v1/screening/backtests", operation_id = "list_backtests", tag = "Risk",
    responses((status = 200, description = "The last 20 since the start of the service", body = BacktestList)),
)]
pub(super) fn list(doors: &Doors, request: &Request) -> Result<Reply, Reply> {
    access::one_of(doors, request, &[Operator, Risk])?;
    let backtests = doors.screener.backtests().all().iter().map(BacktestView::of).collect();
    Ok(Reply::ok(&BacktestList { backtests }))
}

/// A back-test.
#[utoipa::path(
    get, path = "/v1/screening/backtests/{id}", operation_id = "get_backtest", tag = "Risk",
    params(("id" = u64, Path, description = "Its number")),
    responses((status = 200, description = "How far it is, or what came of it", body = BacktestView)),
)]
pub(super) fn get(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    access::one_of(doors, request, &[Operator, Risk])?;
    let id: u64 = read::id(params, "id")?;
    let found = doors.screener.backtests().get(id);
    let found = found.ok_or_else(|| reply::not_found("no back-test of this start of the service has this number"))?;
    Ok(Reply::ok(&BacktestView::of(&found)))
}
