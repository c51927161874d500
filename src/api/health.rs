//! A source's health for operators: what it sent beside what it says it sent, whether it is
//! silent, and who failed to prove themselves as it.

use super::reply::{self, Reply};
use super::{Doors, access, check, ingest, read};
use crate::authenticate::keys::Role::Operator;
use crate::domain::{Currency, EventKind, Timestamp};
use crate::health::SourceHealth;
use crate::health::day::Day;
use crate::health::totals::{Control, ControlTotal, DayTotals, Totals};
use crate::pipeline::Source;
use crate::telemetry::WebhookOutcome;
use crate::wire::Request;
use check::Fault;
use matchit::Params;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// Days shown when the caller does not say.
const DAYS_DEFAULT: u32 = 7;
/// Lines of one day's control totals.
const LINES_MAX: usize = crate::health::totals::CELLS_MAX;

/// A source's own count and sum of one type and currency on one day.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct ControlTotalDocument {
    /// As in the `ringfence` format.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: EventKind,
    /// Null, or left out, for events without an amount.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub currency: Option<Currency>,
    /// How many different events.
    pub count: u64,
    /// Their amounts, minor units.
    pub sum_minor: i64,
}

/// A source's own totals of one day, as kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct ControlView {
    /// UTC.
    #[schema(value_type = String, format = Date)]
    pub day: Day,
    /// Raised by each change.
    pub version: u64,
    /// When they were given.
    #[schema(value_type = String, format = DateTime)]
    pub given_at: Timestamp,
    /// One per type and currency.
    pub totals: Vec<ControlTotalDocument>,
}

/// What one source sent, and how it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthView {
    /// Which.
    pub source: String,
    /// When this was said.
    #[schema(value_type = String, format = DateTime)]
    pub now: Timestamp,
    /// Its newest delivery: a proven webhook or a pulled page.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_delivery_at: Option<Timestamp>,
    /// Whether it is quieter than its habit.
    pub silence: SilenceView,
    /// Webhooks turned away since the start of the service, by reason.
    pub signature_failures: BTreeMap<String, u64>,
    /// Spans of which counts may be missing, because the service was killed.
    pub gaps: Vec<GapView>,
    /// Events dated outside the days that are kept.
    pub outside_days_kept: u64,
    /// Days on which something was received or said, oldest first.
    pub days: Vec<DayView>,
}

/// How quiet a source is.
#[derive(Debug, Serialize, ToSchema)]
pub struct SilenceView {
    /// `learning`, `usual` or `silent`; `silent` is alarmed.
    pub state: &'static str,
    /// Since its newest delivery, or since the start of the service.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// How long.
    pub seconds: u64,
    /// What is usual for a silence that began then; null while it is learned.
    pub habit_seconds: Option<u64>,
    /// When it is alarmed; null while the habit is learned.
    pub alarm_after_seconds: Option<u64>,
    /// Weeks of which something is known.
    pub weeks_known: u32,
}

/// A span.
#[derive(Debug, Serialize, ToSchema)]
pub struct GapView {
    /// From.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// To.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
}

/// One day.
#[derive(Debug, Serialize, ToSchema)]
pub struct DayView {
    /// UTC, by the events' own time.
    #[schema(value_type = String, format = Date)]
    pub day: Day,
    /// By type and currency.
    pub received: Vec<ReceivedView>,
    /// Messages that are no events, by outcome, on the day they came.
    pub other_messages: BTreeMap<&'static str, u64>,
    /// Deliveries of further types and currencies than are told apart.
    pub uncounted: u64,
    /// What the source says; null when it said nothing.
    pub control_totals: Option<ControlView>,
    /// Whether both agree; null when the source said nothing.
    pub agrees: Option<bool>,
    /// Received less said, where they differ.
    pub differences: Vec<DifferenceView>,
}

/// Events of one type and currency.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReceivedView {
    /// As in the `ringfence` format.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Null for events without an amount.
    #[schema(value_type = Option<String>)]
    pub currency: Option<Currency>,
    /// Different events.
    pub count: u64,
    /// Their amounts, minor units.
    pub sum_minor: i64,
    /// All deliveries, by outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
}

/// Received less said.
#[derive(Debug, Serialize, ToSchema)]
pub struct DifferenceView {
    /// As in the `ringfence` format.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Null for events without an amount.
    #[schema(value_type = Option<String>)]
    pub currency: Option<Currency>,
    /// Events; negative when fewer came than were said.
    pub count: i64,
    /// Minor units.
    pub sum_minor: i64,
}

/// What a source sent, by day, type and currency, beside what it says; and whether it is silent.
///
/// An event counts on the UTC day of its own time, once however often it is delivered.
/// Silence is measured against the source's own habit by hour of the week and is alarmed
/// once three weeks are known.
#[utoipa::path(
    get, path = "/v1/sources/{source}/health", operation_id = "get_source_health", tag = "Operations",
    params(
        ("source" = String, Path, description = "A configured source"),
        ("from" = Option<String>, Query, description = "First day (UTC), such as 2026-11-15; six days ago when not given"),
        ("to" = Option<String>, Query, description = "Last day (UTC), this one included; the newest when not given"),
    ),
    responses((status = 200, description = "Its health", body = HealthView)),
)]
pub(super) fn get(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    access::one_of(doors, request, &[Operator])?;
    let source = ingest::source(doors, params)?;
    let day = |name: &str| match read::query(request, name)? {
        None => Ok(None),
        Some(text) => {
            text.parse::<Day>().map(Some).map_err(|bad| reply::unreadable("unreadable", name, bad.to_string()))
        }
    };
    Ok(Reply::ok(&view_of(doors, source, day("from")?, day("to")?)?))
}

/// A source's health over some days.
pub(crate) fn view_of(doors: &Doors, source: &Source, from: Option<Day>, to: Option<Day>) -> Result<HealthView, Reply> {
    let now = doors.engine.clock.now();
    let to = to.unwrap_or(Day(u32::MAX));
    let from = from.unwrap_or_else(|| Day::of(now).min(to).before(DAYS_DEFAULT - 1));
    if to < from {
        return Err(reply::unreadable("unreadable", "to", format!("must not be before `from`, which is {from}")));
    }
    let silence = doors.health.silence(source.index, now);
    let SourceHealth { totals, habit, gaps, .. } = doors.health.look(source.index);
    Ok(HealthView {
        source: source.name.to_string(),
        now,
        last_delivery_at: habit.last(),
        silence: SilenceView {
            state: silence.word(),
            since: silence.since,
            seconds: silence.seconds,
            habit_seconds: silence.habit_seconds,
            alarm_after_seconds: silence.alarm_seconds,
            weeks_known: u32::try_from(silence.weeks).unwrap_or(u32::MAX),
        },
        signature_failures: doors.engine.metrics.signature_failures_of(source.index),
        gaps: gaps.iter().map(|gap| GapView { from: gap.from, to: gap.to }).collect(),
        outside_days_kept: totals.outside,
        days: totals.days.range(from..=to).map(|(day, kept)| day_view(*day, kept)).collect(),
    })
}

fn day_view(day: Day, kept: &DayTotals) -> DayView {
    let differences = kept.differences();
    DayView {
        day,
        received: kept
            .cells
            .iter()
            .map(|((kind, currency), cell)| ReceivedView {
                kind: kind.as_str(),
                currency: *currency,
                count: cell.count,
                sum_minor: cell.sum_minor,
                outcomes: words(&cell.outcomes),
            })
            .collect(),
        other_messages: words(&kept.others),
        uncounted: kept.uncounted,
        control_totals: kept.control.as_ref().map(|control| control_view(day, control)),
        agrees: differences.as_ref().map(Vec::is_empty),
        differences: differences
            .into_iter()
            .flatten()
            .map(|differ| DifferenceView {
                kind: differ.kind.as_str(),
                currency: differ.currency,
                count: differ.count,
                sum_minor: differ.sum_minor,
            })
            .collect(),
    }
}

fn words(outcomes: &[u64]) -> BTreeMap<&'static str, u64> {
    let each = WebhookOutcome::ALL.iter().zip(outcomes).filter(|(_, count)| **count > 0);
    each.map(|(outcome, count)| (outcome.as_str(), *count)).collect()
}

fn control_view(day: Day, control: &Control) -> ControlView {
    let totals = control.totals.iter().map(|said| ControlTotalDocument {
        kind: said.kind,
        currency: said.currency,
        count: said.count,
        sum_minor: said.sum_minor,
    });
    ControlView { day, version: control.version, given_at: control.given_at, totals: totals.collect() }
}

/// What a source says it sent on a day: all of it, in place of what it said before.
///
/// A type and currency that is not listed is said to be nothing.
#[utoipa::path(
    put, path = "/v1/sources/{source}/control-totals/{day}", operation_id = "put_control_totals", tag = "Operations",
    params(
        ("source" = String, Path, description = "A configured source"),
        ("day" = String, Path, description = "UTC, by the events' own time, such as 2026-11-21"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the totals to replace"),
    ),
    request_body = Vec<ControlTotalDocument>,
    responses(
        (status = 200, description = "Replaced", body = ControlView),
        (status = 201, description = "New", body = ControlView),
    ),
)]
pub(super) async fn put_control(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator])?;
    let source = ingest::source(doors, params)?;
    let day: Day = read::id(params, "day")?;
    let given: Vec<ControlTotalDocument> = read::document(request)?;
    let if_match = read::if_match(request)?;
    let now = doors.engine.clock.now();
    let days_kept = doors.health.options.days_kept;
    if !Totals::keeps(day, Day::of(now), days_kept) {
        let first = Day::of(now).before(days_kept - 1);
        return Err(Fault::bad(
            "day",
            format!("must be from {first} on (`health.days_kept` is {days_kept}) and not in the future"),
        )
        .into());
    }
    check::at_most("", &given, LINES_MAX)?;
    let mut totals: Vec<ControlTotal> = Vec::with_capacity(given.len());
    for (place, said) in given.iter().enumerate() {
        check::minor(&format!("[{place}].sum_minor"), said.sum_minor, 0)?;
        if said.currency.is_none() && said.sum_minor != 0 {
            let detail = "is needed where there is a sum; leave `currency` out only for events without an amount";
            return Err(Fault::new("missing_field", format!("[{place}].currency"), detail).into());
        }
        if totals.iter().any(|other| (other.kind, other.currency) == (said.kind, said.currency)) {
            let detail = "says again what another line says; give each type and currency once";
            return Err(Fault::contradiction(format!("[{place}]"), detail).into());
        }
        let (kind, currency, count, sum_minor) = (said.kind, said.currency, said.count, said.sum_minor);
        totals.push(ControlTotal { kind, currency, count, sum_minor });
    }
    let control = doors
        .health
        .say(source.index, day, totals, if_match, now)
        .map_err(|has| reply::other_version(has, if_match.unwrap_or(0)))?;
    let (health, index) = (Arc::clone(&doors.health), source.index);
    // On disk before it is answered.
    let saved = tokio::task::spawn_blocking(move || health.save_one(index)).await;
    if !matches!(saved, Ok(Ok(()))) {
        if let Ok(Err(error)) = saved {
            tracing::error!(source = %source.name, error = %crate::pipeline::Chain(&error), "control totals are not on disk");
        }
        return Err(reply::come_back("the totals are not on disk; send the same ones again"));
    }
    tracing::info!(request = %request.id, key = %caller.key_id, source = %source.name, %day, "control totals were given");
    Ok(Reply::put(control.version == 1, &control_view(day, &control), control.version))
}
