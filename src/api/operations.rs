//! What operators and their machines ask: alive, ready, metrics.

use super::Doors;
use super::reply::{self, Reply};
use bytes::Bytes;
use serde::Serialize;
use std::sync::atomic::Ordering;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
struct Status {
    status: &'static str,
}

/// The process is there.
#[utoipa::path(
    get, path = "/healthz", operation_id = "get_health", tag = "Operations",
    responses((status = 200, description = "Alive", body = Status)),
)]
pub(super) fn alive() -> Reply {
    Reply::ok(&Status { status: "ok" })
}

/// The service takes traffic: started, not stopping, and able to commit.
#[utoipa::path(
    get, path = "/readyz", operation_id = "get_ready", tag = "Operations",
    responses((status = 200, description = "Ready", body = Status), (status = 503, description = "Not now")),
)]
pub(super) fn ready(doors: &Doors) -> Reply {
    let ready = doors.ready.load(Ordering::Acquire) && doors.engine.is_able() && doors.engine.is_current();
    doors.engine.metrics.set_ready(ready);
    doors.engine.metrics.set_journal_poisoned(doors.engine.is_poisoned());
    if ready {
        Reply::ok(&Status { status: "ready" })
    } else {
        reply::come_back("starting, stopping, unable to commit, or out of touch with the shared store")
    }
}

/// All metrics, the books' sums included.
#[utoipa::path(
    get, path = "/metrics", operation_id = "get_metrics", tag = "Operations",
    responses((status = 200, description = "OpenMetrics", content_type = "application/openmetrics-text")),
)]
pub(super) async fn metrics(doors: &Doors) -> Reply {
    match doors.engine.trial_balance().await {
        Ok(balance) => {
            let mut totals = std::collections::BTreeMap::new();
            for ((_, unit), minor) in &balance.sums {
                *totals.entry(*unit).or_insert(0_i128) += i128::from(*minor);
            }
            for (unit, minor) in totals {
                doors.engine.metrics.set_books_sum(unit, minor);
            }
        }
        Err(error) => return error.into(),
    }
    doors.engine.metrics.set_journal_poisoned(doors.engine.is_poisoned());
    Reply::Text {
        content_type: "application/openmetrics-text; version=1.0.0; charset=utf-8".into(),
        body: Bytes::from(doors.engine.metrics.encode()),
    }
}
