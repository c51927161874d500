//! The networks' door: prove, receive, answer in the words of who asked.
//!
//! Our own format is answered with one outcome or problem per event. Other formats get
//! 200 for everything that is durable, so that nobody retries what is safe, with the body
//! their provider asks for. A body that cannot be read at all is 400 for everybody.

use super::Doors;
use super::money::UnitView;
use super::read;
use super::reply::{self, Reply};
use crate::normalise::{Acknowledgement, Unreadable};
use crate::pipeline::{self, Outcome, Received, Refused, Source};
use crate::telemetry::{RateLimitKind, Stage};
use crate::wire::{Problem, Request};
use hyper::{Method, StatusCode};
use serde::Serialize;
use std::borrow::Cow;
use utoipa::ToSchema;

/// Takes one webhook.
///
/// Proven by the source's signature or password in its provider's headers, not by an API key;
/// those named here are Standard Webhooks'. One event, or `{"events":[…]}` with
/// at most 500, answered by `{"results":[…]}`: one per event, in order. Other formats than
/// `ringfence` are answered in their provider's words.
#[utoipa::path(
    post, path = "/v1/webhooks/{source}", operation_id = "post_webhook", tag = "Webhooks",
    params(
        ("source" = String, Path, description = "A configured source"),
        ("webhook-id" = Option<String>, Header, description = "Standard Webhooks"),
        ("webhook-timestamp" = Option<String>, Header, description = "Standard Webhooks"),
        ("webhook-signature" = Option<String>, Header, description = "Standard Webhooks: `v1,…`"),
    ),
    request_body(content = Object, description = "A message in the source's format"),
    responses((status = 200, description = "Durable, except `no_offer` and `unknown_card`", body = EventAnswer)),
)]
pub(super) async fn receive(doors: &Doors, name: &str, request: &Request) -> Reply {
    let Some(source) = doors.sources.get(name) else {
        return reply::not_found("no source has this name; an operator configures it under [[sources]]");
    };
    if request.method != Method::POST {
        return reply::not_this_method("POST");
    }
    let metrics = &doors.engine.metrics;
    if let Some(limiter) = &doors.limits.sources[source.index]
        && let Err(wait) = limiter.check(name)
    {
        metrics.rate_limited(RateLimitKind::Source);
        return reply::slow_down(wait.seconds, "too many requests from this source");
    }
    let begun = std::time::Instant::now();
    let now = doors.engine.clock.now();
    let verified = source.verifier.verify(&request.headers, request.body.clone(), now);
    metrics.stage(Stage::Authenticate, begun.elapsed());
    let verified = match verified {
        Ok(verified) => verified,
        Err(denied) => {
            metrics.signature_failure(source.index, denied.label());
            // In full it says by how much a time is off: a wrong clock shows here first.
            tracing::warn!(
                request = %request.id, source = name, reason = denied.label(), "a webhook was not proven: {denied}"
            );
            return reply::not_proven(source.verifier.asks_for_password());
        }
    };
    verified.keys.places().for_each(|place| metrics.key_used(source.index, place));
    if let Some(signed_at) = verified.signed_at {
        metrics.clock_gap(source.index, now.as_ms().saturating_sub(signed_at.as_ms()));
    }
    if !read::is_json(request) {
        return reply::wrong_type();
    }
    match pipeline::receive(&doors.engine, source, &verified.body).await {
        Ok(received) => {
            let now = doors.engine.clock.now();
            doors.health.note(source.index, &received, now);
            doors.health.delivered(source.index, now);
            answer(source, &received)
        }
        Err(error) => unreadable(error),
    }
}

/// A body that is not in its source's format at all.
pub(super) fn unreadable(error: Unreadable) -> Reply {
    let detail = match error.byte {
        Some(byte) => format!("{} (at byte {byte})", error.problem.detail),
        None => error.problem.detail,
    };
    reply::unreadable(error.problem.code, &error.problem.path, detail)
}

fn answer(source: &Source, received: &Received) -> Reply {
    let later = received.results.iter().any(|result| matches!(result, Err(Refused::NotNow(_))));
    if later {
        // A batch answers so when any of its events must: the others are safe to repeat.
        return reply::come_back("send the same events again; those that were kept are recognised");
    }
    match source.format.acknowledgement() {
        Acknowledgement::PerEvent => ours(received),
        Acknowledgement::Received => theirs(received),
        Acknowledgement::Words(words) => Reply::json_text(StatusCode::OK, words),
    }
}

#[derive(Serialize, ToSchema)]
struct EventAnswer<'a> {
    event: Option<&'a str>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    purchase: Option<&'a str>,
    rewards: Vec<RewardAnswer<'a>>,
    refusals: Vec<RefusalAnswer<'a>>,
}

#[derive(Serialize, ToSchema)]
struct RewardAnswer<'a> {
    offer: &'a str,
    member: Option<&'a str>,
    state: &'static str,
    due_minor: i64,
    change_minor: i64,
    #[serde(flatten)]
    unit: UnitView,
    #[schema(value_type = Option<String>, format = DateTime)]
    available_at: Option<crate::domain::Timestamp>,
}

#[derive(Serialize, ToSchema)]
struct RefusalAnswer<'a> {
    offer: &'a str,
    code: &'static str,
    detail: String,
}

fn event_answer(outcome: &Outcome) -> EventAnswer<'_> {
    let member = outcome.member.as_ref().map(crate::domain::MemberId::as_str);
    EventAnswer {
        event: outcome.event.as_deref(),
        outcome: outcome.outcome.as_str(),
        purchase: outcome.purchase.as_ref().map(crate::domain::PurchaseId::as_str),
        rewards: outcome
            .rewards
            .iter()
            .map(|(line, unit)| RewardAnswer {
                offer: line.offer.as_str(),
                member,
                state: pipeline::state_word(line),
                due_minor: line.due_minor,
                change_minor: line.change_minor,
                unit: (*unit).into(),
                available_at: line.available_at,
            })
            .collect(),
        refusals: outcome
            .refusals
            .iter()
            .map(|(offer, refusal, currency)| RefusalAnswer {
                offer: offer.as_str(),
                code: refusal.code(),
                detail: refusal.detail(*currency),
            })
            .collect(),
    }
}

fn refused(refused: &Refused) -> Problem {
    match refused {
        Refused::Impossible { problem, kept } => {
            let shelf = if *kept { "; the message is kept among the dead letters" } else { "" };
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, problem.code, "The event is readable but impossible")
                .with_detail(Cow::from(format!("{}{shelf}", problem.detail)))
                .with_field(problem.path.clone())
        }
        Refused::Conflict { event } => Problem::new(StatusCode::CONFLICT, "event_differs", "Conflict").with_detail(
            Cow::from(format!("the event id {event} was seen with other content; give a new event a new id")),
        ),
        Refused::NotNow(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_now", "Not now"),
    }
}

fn ours(received: &Received) -> Reply {
    if !received.batch {
        return match &received.results[0] {
            Ok(outcome) => Reply::ok(&event_answer(outcome)),
            Err(problem) => refused(problem).into(),
        };
    }
    #[derive(Serialize)]
    struct Results {
        results: Vec<Box<serde_json::value::RawValue>>,
    }
    Reply::ok(&Results { results: results(received) })
}

/// One outcome or problem per event, in order.
pub(super) fn results(received: &Received) -> Vec<Box<serde_json::value::RawValue>> {
    received
        .results
        .iter()
        .map(|result| match result {
            Ok(outcome) => serde_json::value::to_raw_value(&event_answer(outcome)),
            Err(problem) => String::from_utf8(refused(problem).to_json(None))
                .map_err(|_| serde::ser::Error::custom("a problem is text"))
                .and_then(serde_json::value::RawValue::from_string),
        })
        .collect::<Result<_, serde_json::Error>>()
        .expect("our documents have a JSON form")
}

/// For a provider that reads the status alone: received, with an outcome per event for whoever
/// reads its log. Which became what is in the metrics too and, for those that were not
/// understood, on the dead-letter shelf.
fn theirs(received: &Received) -> Reply {
    #[derive(Serialize)]
    struct Acknowledged {
        received: bool,
        outcomes: Vec<&'static str>,
    }
    let word = |result: &Result<Outcome, Refused>| match result {
        Ok(outcome) => outcome.outcome.as_str(),
        Err(Refused::Conflict { .. }) => "conflict",
        Err(_) => "kept",
    };
    Reply::ok(&Acknowledged { received: true, outcomes: received.results.iter().map(word).collect() })
}
