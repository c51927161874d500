//! The queue: cases that wait for somebody, most money first.

use super::{counts, search};
use crate::api::Doors;
use crate::api::cases::CaseLine;
use crate::api::page as lists;
use crate::api::read;
use crate::api::reply::Reply;
use crate::cases::{Case, Status};
use crate::console::page::{self, Chrome, Visitor};
use crate::console::words;
use crate::engine::cases::stake;
use askama::Template;
use hyper::StatusCode;
use std::collections::{BTreeMap, BTreeSet};

/// Cases of one page.
const CASES_MAX: usize = 100;
/// Members whose money one page adds up.
const MEMBERS_MAX: usize = 3_000;

#[derive(Template)]
#[template(path = "queue.html", config = "src/console/askama.toml")]
struct Queue {
    chrome: Chrome,
    rows: Vec<Row>,
    statuses: Vec<Choice>,
    detectors: Vec<Choice>,
    merchants: Vec<Choice>,
    sorts: Vec<Choice>,
    search: String,
    found: Vec<FoundRow>,
    filtered: bool,
    /// The filter as the address says it, for what comes back here.
    query: String,
    counts: counts::Line,
    /// The case that the visitor works on.
    own: Option<u64>,
    next: Option<String>,
}

/// Somebody who was searched for.
struct FoundRow {
    member: String,
    link: String,
    by: String,
}

struct Row {
    id: u64,
    status: &'static str,
    scope: String,
    score: u16,
    members: usize,
    detectors: String,
    headline: String,
    stake: String,
    stake_minor: i64,
    opened: String,
    age: String,
    opened_ms: i64,
    /// Who works on it; empty when nobody does.
    holder: String,
    own: bool,
}

/// An entry of a list to choose from.
struct Choice {
    value: String,
    label: String,
    chosen: bool,
}

/// What is looked for.
struct Filter {
    status: Option<Status>,
    detector: String,
    merchant: String,
    search: String,
    sort: String,
}

impl Filter {
    fn of(visitor: &Visitor<'_>) -> Result<Self, Reply> {
        let asked = |name: &str| Ok::<_, Reply>(read::query(visitor.request, name)?.unwrap_or_default());
        let (status, sort) = (asked("status")?, asked("sort")?);
        let status = if status.is_empty() { "open".to_owned() } else { status };
        Ok(Self {
            status: Status::ALL.into_iter().find(|known| known.as_str() == status),
            detector: asked("detector")?,
            merchant: asked("merchant")?,
            search: asked("search")?.trim().to_owned(),
            sort: if sort.is_empty() { "money".to_owned() } else { sort },
        })
    }
    /// As the address says it, without a search and without a place in the list.
    fn query(&self) -> String {
        let status = self.status.map_or("all", Status::as_str);
        let [detector, merchant, sort] = [&self.detector, &self.merchant, &self.sort].map(|text| page::encoded(text));
        format!("status={status}&detector={detector}&merchant={merchant}&sort={sort}")
    }
    fn wants(&self, case: &Case) -> bool {
        let scope = case.merchant.as_ref().map_or("program", |merchant| merchant.as_str());
        self.status.is_none_or(|status| case.status == status)
            && (self.detector.is_empty() || case.evidence.iter().any(|seen| seen.detector == self.detector))
            && (self.merchant.is_empty() || self.merchant == scope)
    }
}

/// The page.
pub(in crate::console) async fn show(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let filter = Filter::of(visitor)?;
    let mut found = Vec::new();
    let (cases, next) = if filter.search.is_empty() {
        let after = lists::page::<u64>(visitor.request)?.after;
        doors.engine.cases(after, CASES_MAX, |case| filter.wants(case)).await?
    } else {
        if let Some(id) = filter.search.strip_prefix('#').and_then(|number| number.parse::<u64>().ok()) {
            return Ok(page::see_other(&format!("/console/cases/{id}"), None));
        }
        found = search::find(doors, &filter.search).await?;
        // Who looks for somebody wants every case of theirs, whatever became of it.
        let mut cases: BTreeMap<u64, Case> = BTreeMap::new();
        for known in &found {
            cases.extend(doors.engine.cases_of(&known.member).await?.into_iter().map(|case| (case.id, case)));
        }
        (cases.into_values().rev().take(CASES_MAX).collect(), None)
    };
    let mut rows = rows(doors, visitor, &cases).await?;
    sort(&mut rows, &filter.sort);
    let scopes =
        cases.iter().map(|case| case.merchant.as_ref().map_or_else(|| "program".to_owned(), ToString::to_string));
    let query = filter.query();
    let next = next.map(|after| format!("?{query}&cursor={}", lists::cursor(&after)));
    Ok(page::page(
        StatusCode::OK,
        &Queue {
            chrome: visitor.chrome("cases"),
            statuses: statuses(&filter),
            detectors: choices("Any detector", &filter.detector, cases.iter().flat_map(detectors)),
            merchants: choices("Any scope", &filter.merchant, scopes),
            sorts: [("money", "Most money"), ("score", "Highest score"), ("age", "Oldest")]
                .map(|(value, label)| Choice {
                    value: value.to_owned(),
                    label: label.to_owned(),
                    chosen: filter.sort == value,
                })
                .into(),
            filtered: !(filter.detector.is_empty() && filter.merchant.is_empty() && filter.search.is_empty()),
            found: found.into_iter().map(found_row).collect(),
            search: filter.search,
            counts: counts::line(doors, visitor.now).await?,
            own: doors.console.taken.case_of(&visitor.caller.key_id, visitor.now),
            query,
            rows,
            next,
        },
    ))
}

fn found_row(found: search::Found) -> FoundRow {
    FoundRow { link: page::encoded(found.member.as_str()), member: found.member.to_string(), by: found.by }
}

fn sort(rows: &mut [Row], by: &str) {
    match by {
        "score" => rows.sort_by_key(|row| std::cmp::Reverse(row.score)),
        "age" => rows.sort_by_key(|row| row.opened_ms),
        _ => rows.sort_by_key(|row| std::cmp::Reverse((row.stake_minor, row.score))),
    }
}

/// Takes the first case of the list that nobody has, and goes there. Who has one goes on with it.
pub(in crate::console) async fn take_next(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let (taken, by) = (&doors.console.taken, &visitor.caller.key_id);
    if let Some(own) = taken.case_of(by, visitor.now) {
        return Ok(page::see_other(&format!("/console/cases/{own}"), None));
    }
    let filter = Filter::of(visitor)?;
    let free =
        |case: &Case| case.status == Status::Open && filter.wants(case) && taken.holder(case.id, visitor.now).is_none();
    let (cases, _) = doors.engine.cases(None, CASES_MAX, free).await?;
    let mut rows = rows(doors, visitor, &cases).await?;
    sort(&mut rows, &filter.sort);
    // Somebody may have been faster with the first of them.
    let next = rows.iter().find(|row| taken.take(row.id, by, visitor.now).is_ok());
    Ok(match next {
        Some(row) => page::see_other(&format!("/console/cases/{}", row.id), None),
        None => page::see_other(&format!("/console/cases?{}", filter.query()), None),
    })
}

async fn rows(doors: &Doors, visitor: &Visitor<'_>, cases: &[Case]) -> Result<Vec<Row>, Reply> {
    let mut left = MEMBERS_MAX;
    let mut rows = Vec::with_capacity(cases.len());
    for case in cases {
        let (mut at_stake, mut stake_minor) = ("on its page".to_owned(), 0);
        if let Some(rest) = left.checked_sub(case.members.len()) {
            left = rest;
            let members = doors.engine.load_all(case.names()).await?;
            let open = stake(&members)
                .into_iter()
                .map(|(unit, had)| (unit, had.pending_minor + had.held_minor + had.available_minor));
            let open: Vec<_> = open.filter(|(_, minor)| *minor != 0).collect();
            stake_minor = open.iter().filter(|(unit, _)| unit.currency().is_some()).map(|(_, minor)| minor).sum();
            at_stake = words::list(&open.iter().map(|(unit, minor)| unit.shown(*minor)).collect::<Vec<_>>());
        }
        let line = CaseLine::of(case);
        let holder = doors.console.taken.holder(case.id, visitor.now).map(|(who, _)| who);
        rows.push(Row {
            id: line.id,
            status: line.status,
            scope: line.scope,
            score: line.score,
            members: line.members,
            detectors: detectors(case).iter().map(|name| words::plain(name)).collect::<Vec<_>>().join(", "),
            headline: line.headline,
            stake: at_stake,
            stake_minor,
            opened: words::when(line.opened_at),
            age: words::age(line.opened_at, visitor.now),
            opened_ms: line.opened_at.as_ms(),
            own: holder.as_ref() == Some(&visitor.caller.key_id),
            holder: holder.map_or_else(String::new, |who| words::by(who.as_str())),
        });
    }
    Ok(rows)
}

fn detectors(case: &Case) -> BTreeSet<String> {
    // What the score says of a group is no detector's.
    let seen = case.evidence.iter().filter(|seen| seen.detector != crate::cases::SCORE);
    seen.map(|seen| seen.detector.to_string()).collect()
}

fn statuses(filter: &Filter) -> Vec<Choice> {
    let all = Choice { value: "all".to_owned(), label: "Any status".to_owned(), chosen: filter.status.is_none() };
    let each = Status::ALL.into_iter().map(|status| Choice {
        value: status.as_str().to_owned(),
        label: status.as_str().to_owned(),
        chosen: filter.status == Some(status),
    });
    each.chain([all]).collect()
}

fn choices(any: &str, chosen: &str, found: impl Iterator<Item = String>) -> Vec<Choice> {
    let mut all: BTreeSet<String> = found.collect();
    if !chosen.is_empty() {
        all.insert(chosen.to_owned());
    }
    let first = Choice { value: String::new(), label: any.to_owned(), chosen: chosen.is_empty() };
    let each = all.into_iter().map(|value| Choice { label: words::plain(&value), chosen: value == chosen, value });
    [first].into_iter().chain(each).collect()
}
