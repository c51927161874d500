//! Deciding a case: what it would do to money, the review itself, and taking it back. The same
//! calls as the API's, so that nothing can be done here that could not be done there.

use super::case::{REASONS, not_others};
use crate::api::Doors;
use crate::api::cases::{self, ReportDocument, ReviewDocument};
use crate::api::reply::{self, Reply};
use crate::cases::Verdict;
use crate::cases::report::Reporter;
use crate::console::page::{self, Visitor};
use crate::console::words;
use crate::domain::{MemberId, Unit};
use crate::engine::again::Job;
use crate::engine::cases::{CaseError, Effect};
use askama::Template;
use hyper::StatusCode;

/// Members whom the answer to a review waits for; a larger group is followed on its page.
const WAITED_FOR_MAX: usize = 200;

#[derive(Template)]
#[template(path = "effect.html", config = "src/console/askama.toml")]
struct EffectPart {
    verdict: &'static str,
    meant: String,
    changed: usize,
    looked_at: Option<usize>,
    rows: Vec<EffectRow>,
}

struct EffectRow {
    what: &'static str,
    before: String,
    after: String,
    change: String,
    less: bool,
}

/// The form as the API's document; without a reason where only the effect is asked for.
fn document(visitor: &Visitor<'_>, reason: String) -> Result<ReviewDocument, Reply> {
    let form = &visitor.form;
    let verdict = match form.get("verdict") {
        "confirm" => Verdict::Confirm,
        "dismiss" => Verdict::Dismiss,
        "watch" => Verdict::Watch,
        _ => return Err(reply::impossible("missing_field", "verdict", "choose confirm, dismiss or watch")),
    };
    let some = form.get("who") == "some";
    let members: Result<Vec<MemberId>, Reply> = form
        .all("member")
        .filter(|_| some)
        .map(|id| MemberId::new(id).map_err(|error| reply::impossible("bad_value", "members", error.to_string())))
        .collect();
    let members = members?;
    if some && members.is_empty() {
        return Err(reply::impossible("missing_field", "members", "tick at least one member, or choose everyone"));
    }
    let scope = Some(form.get("scope").to_owned()).filter(|scope| !scope.is_empty());
    // The box may still be ticked when another verdict was chosen after it.
    let ask_back = verdict == Verdict::Confirm && form.get("ask_back") == "yes";
    Ok(ReviewDocument { verdict, scope, members, reason, since: None, ask_back, score_shown: true })
}

/// The chosen reason and what was written besides.
fn reason(visitor: &Visitor<'_>) -> String {
    let template = visitor.form.get("template").trim();
    let template = REASONS.iter().find(|known| **known == template).copied().unwrap_or_default();
    let written = visitor.form.get("reason").trim();
    match (template, written) {
        (template, "") => template.to_owned(),
        ("", written) => written.to_owned(),
        (template, written) => format!("{template}. {written}"),
    }
}

/// What the review in the form would do to money.
pub(in crate::console) async fn preview(doors: &Doors, visitor: &Visitor<'_>, id: u64) -> Result<Reply, Reply> {
    let case = doors.engine.case(id).await?.ok_or(CaseError::Unknown)?;
    let document = document(visitor, "a preview".to_owned())?;
    let said = cases::reviewing(doors, &visitor.caller, document)?;
    if let Some(stranger) = said.members.iter().find(|member| case.suspect(member).is_none()) {
        return Err(CaseError::NotAMember(stranger.clone()).into());
    }
    let effect = doors.engine.effect_of_review(&case, &said).await?;
    Ok(page::page(
        StatusCode::OK,
        &EffectPart {
            verdict: said.verdict.step().as_str(),
            meant: words::count(effect.meant, "member"),
            changed: effect.changed,
            looked_at: (effect.looked_at < effect.meant).then_some(effect.looked_at),
            rows: rows(&effect),
        },
    ))
}

fn rows(effect: &Effect) -> Vec<EffectRow> {
    let mut rows = Vec::new();
    for (unit, (before, after)) in &effect.balances {
        let each = [
            ("Pending", before.pending_minor + before.posted_minor, after.pending_minor + after.posted_minor),
            ("Held", before.held_minor, after.held_minor),
            ("May be paid", before.available_minor, after.available_minor),
            ("Owed by members", before.owed_minor, after.owed_minor),
        ];
        rows.extend(each.into_iter().filter_map(|(what, before, after)| row(what, *unit, before, after)));
    }
    for (unit, (before, after)) in &effect.lost {
        rows.extend(row("Booked as fraud loss", *unit, *before, *after));
    }
    rows
}

fn row(what: &'static str, unit: Unit, before: i64, after: i64) -> Option<EffectRow> {
    let by = after - before;
    let sign = if by > 0 { "+" } else { "" };
    (before != 0 || after != 0).then(|| EffectRow {
        what,
        before: unit.shown(before),
        after: unit.shown(after),
        change: if by == 0 { "–".to_owned() } else { format!("{sign}{}", unit.shown(by)) },
        less: by < 0,
    })
}

/// Takes the review.
pub(in crate::console) async fn review(doors: &Doors, visitor: &Visitor<'_>, id: u64) -> Result<Reply, Reply> {
    not_others(doors, visitor, id)?;
    let document = document(visitor, reason(visitor))?;
    let said = cases::reviewing(doors, &visitor.caller, document)?;
    doors.engine.review_case(id, said, None, cases::changed).await?;
    tracing::info!(request = %visitor.request.id, key = %visitor.caller.key_id, case = id, "a case was reviewed");
    doors.console.taken.release(id, visitor.now);
    followed(doors, id).await
}

/// Says the same as the reviewer who proposed it.
pub(in crate::console) async fn second(doors: &Doors, visitor: &Visitor<'_>, id: u64) -> Result<Reply, Reply> {
    not_others(doors, visitor, id)?;
    let case = doors.engine.case(id).await?.ok_or(CaseError::Unknown)?;
    let nothing = || reply::conflict("not_now", "nothing waits for a second reviewer; load the case again");
    let first = case.proposal().ok_or_else(nothing)?;
    if first.by == visitor.caller.key_id.as_str() {
        return Err(reply::not_allowed("a second reviewer must be another person"));
    }
    let scope = first.merchant.as_ref().map_or_else(|| "program".to_owned(), |merchant| format!("merchant:{merchant}"));
    let document = ReviewDocument {
        verdict: first.verdict,
        scope: Some(scope),
        members: first.members.clone(),
        reason: cases::reason(visitor.form.get("reason").trim())?,
        since: Some(first.since),
        ask_back: first.ask_back,
        score_shown: true,
    };
    let said = cases::reviewing(doors, &visitor.caller, document)?;
    doors.engine.review_case(id, said, None, cases::changed).await?;
    tracing::info!(request = %visitor.request.id, key = %visitor.caller.key_id, case = id, "a proposed review was confirmed");
    doors.console.taken.release(id, visitor.now);
    followed(doors, id).await
}

/// Takes the last review back.
pub(in crate::console) async fn undo(doors: &Doors, visitor: &Visitor<'_>, id: u64) -> Result<Reply, Reply> {
    not_others(doors, visitor, id)?;
    let reason = cases::reason(visitor.form.get("reason").trim())?;
    doors.engine.undo_review(id, &visitor.caller.key_id.to_string(), &reason, None, cases::changed).await?;
    tracing::info!(request = %visitor.request.id, key = %visitor.caller.key_id, case = id, "a review was taken back");
    followed(doors, id).await
}

/// Records what somebody outside reported, and goes to the case.
pub(in crate::console) async fn report(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let form = &visitor.form;
    let who = form.get("reported_by");
    let reported_by = Reporter::ALL.into_iter().find(|reporter| reporter.as_str() == who);
    let Some(reported_by) = reported_by else {
        return Err(reply::impossible("missing_field", "reported_by", "choose who reported"));
    };
    let ids = form.get("members").split([',', ' ', '\n', '\r', '\t']).filter(|id| !id.is_empty());
    let id = |id| MemberId::new(id).map_err(|error| reply::impossible("bad_value", "members", error.to_string()));
    let members = ids.map(id).collect::<Result<Vec<MemberId>, Reply>>()?;
    let reason = form.get("reason").trim().to_owned();
    let report = cases::reporting(doors, &visitor.caller, ReportDocument { reported_by, members, reason })?;
    let answer = doors.engine.report(report, None, |case| case.id.to_string()).await?;
    tracing::info!(request = %visitor.request.id, key = %visitor.caller.key_id, case = answer, "a report from outside was recorded");
    Ok(page::see_other(&format!("/console/cases/{answer}"), None))
}

/// The effect is on the books before the page answers; a large group is followed on its page.
async fn followed(doors: &Doors, id: u64) -> Result<Reply, Reply> {
    let case = doors.engine.case(id).await?.ok_or(CaseError::Unknown)?;
    if case.members.len() <= WAITED_FOR_MAX {
        doors.again.go_on(&doors.engine, move |job| matches!(job, Job::Case { case } if *case == id)).await?;
    }
    Ok(page::see_other(&format!("/console/cases/{id}"), None))
}
