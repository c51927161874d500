//! The desk's rules: what they say, whom they flag, and forms to say one, make it live or end it.

use crate::api::Doors;
use crate::api::reply::Reply;
use crate::api::rule_document::{
    AllowDocument, IdentifierDocument, RuleDocument, SaysDocument, VelocityDocument, WhomDocument, WindowDocument,
};
use crate::api::rules::{self, RuleView, StateDocument};
use crate::cases::rules::{Counted, State};
use crate::console::page::{self, Visitor, encoded};
use crate::console::words;
use crate::domain::Timestamp;
use std::collections::BTreeMap;

/// Rules that are shown.
const SHOWN_MAX: usize = 200;
/// Kinds of identifiers that the forms offer; the interface takes others too.
const KINDS: [&str; 8] = ["device", "payout", "address", "phone", "email", "ip", "email_domain", "network"];

/// The section of the page of detectors.
pub(in crate::console) struct Section {
    pub rows: Vec<Row>,
    pub more: bool,
    pub kinds: [&'static str; 8],
    pub counted: Vec<&'static str>,
}

/// A rule.
pub(in crate::console) struct Row {
    pub id: String,
    pub link: String,
    pub kind: &'static str,
    pub words: String,
    pub state: &'static str,
    pub version: u32,
    pub flagged: String,
    pub reason: String,
    pub by: String,
    pub said: String,
    pub until: String,
    pub acts: Vec<(&'static str, &'static str)>,
}

/// What the page shows.
pub(super) async fn section(doors: &Doors, visitor: &Visitor<'_>) -> Result<Section, Reply> {
    let found = doors.engine.rules_after(None, SHOWN_MAX + 1).await?;
    let more = found.len() > SHOWN_MAX;
    let mut rows: Vec<Row> = found
        .iter()
        .take(SHOWN_MAX)
        .map(|rule| row(rule.newest().says.kind(), RuleView::of(doors, rule), visitor.now))
        .collect();
    // Those that count first.
    rows.sort_by_key(|row| row.state == State::Ended.as_str());
    let counted = Counted::ALL.iter().map(|counted| counted.as_str()).collect();
    Ok(Section { rows, more, kinds: KINDS, counted })
}

fn row(kind: &'static str, view: RuleView, now: Timestamp) -> Row {
    let flagged = match &view.flagged {
        None if view.screened_elsewhere => "known to another process".to_owned(),
        None => String::new(),
        Some(flagged) => match flagged.last_at {
            Some(at) => format!("{} · {}", flagged.members, words::ago(at, now)),
            None => flagged.members.to_string(),
        },
    };
    let acts = match view.state {
        "shadow" => vec![("live", "Make live"), ("ended", "End")],
        "live" if kind == "allow" => vec![("ended", "End")],
        "live" => vec![("shadow", "Back to shadow"), ("ended", "End")],
        _ => Vec::new(),
    };
    Row {
        link: encoded(&view.id),
        id: view.id,
        kind,
        words: view.words,
        state: if view.withdrawn { "withdrawn" } else { view.state },
        version: view.version,
        flagged,
        reason: view.reason,
        by: words::by(&view.by),
        said: words::ago(view.at, now),
        until: view.until.map(|until| until.to_string()).unwrap_or_default(),
        acts,
    }
}

/// Says one.
pub(in crate::console) async fn say(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let get = |name: &str| visitor.form.get(name).trim().to_owned();
    let id = rules::named(&get("id"))?;
    let rule = match get("kind").as_str() {
        "allow" => SaysDocument::Allow(AllowDocument { whom: whom(visitor), detectors: Vec::new() }),
        "velocity" => SaysDocument::Velocity(velocity(visitor)),
        _ => SaysDocument::Deny(whom(visitor)),
    };
    // An allow entry that spares nobody yet is of no use to anybody.
    let state = if matches!(rule, SaysDocument::Allow(_)) { State::Live } else { State::Shadow };
    let until = Timestamp::parse(&format!("{}T00:00:00Z", get("until"))).ok();
    let document = RuleDocument { rule, state, reason: get("reason"), until };
    // Only a new one: another rule of that name is not meant.
    rules::said(doors, &visitor.caller, visitor.request, id, document, Some(0)).await?;
    Ok(page::see_other("/console/detectors#h-rules", None))
}

fn whom(visitor: &Visitor<'_>) -> WhomDocument {
    let (kind, value) = (visitor.form.get("whom").to_owned(), visitor.form.get("value").trim().to_owned());
    match kind.as_str() {
        "member" => WhomDocument::Member(value),
        _ => WhomDocument::Identifier(IdentifierDocument { kind, value }),
    }
}

fn velocity(visitor: &Visitor<'_>) -> VelocityDocument {
    let number = |name: &str| visitor.form.get(name).trim().parse().unwrap_or_default();
    let hours = u32::try_from(number("hours")).unwrap_or_default();
    let counted: BTreeMap<&str, Counted> = Counted::ALL.iter().map(|counted| (counted.as_str(), *counted)).collect();
    VelocityDocument {
        count: counted.get(visitor.form.get("count")).copied(),
        sum: None,
        per: visitor.form.get("per").to_owned(),
        within: WindowDocument::Hours(hours),
        at_least: number("at_least"),
    }
}

/// Takes one to another state.
pub(in crate::console) async fn step(doors: &Doors, visitor: &Visitor<'_>, id: &str) -> Result<Reply, Reply> {
    let wanted = visitor.form.get("state");
    let state = State::ALL.into_iter().find(|state| state.as_str() == wanted).unwrap_or(State::Shadow);
    let document = StateDocument { state, reason: visitor.form.get("reason").trim().to_owned() };
    let rests_on = visitor.form.get("version").parse().ok();
    rules::stepped(doors, &visitor.caller, visitor.request, rules::named(id)?, document, rests_on).await?;
    Ok(page::see_other("/console/detectors#h-rules", None))
}
