//! The queue: cases that wait for somebody, most money first, of all that there are.

use super::desk::{self, Line};
use super::picture::word;
use super::{counts, search};
use crate::api::Doors;
use crate::api::page as lists;
use crate::api::read;
use crate::api::reply::Reply;
use crate::cases::Status;
use crate::console::page::{self, Chrome, Visitor};
use crate::console::words;
use crate::domain::Timestamp;
use crate::domain::member::Standing;
use crate::domain::time::DAY_MS;
use askama::Template;
use hyper::StatusCode;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Cases of one page.
const CASES_MAX: usize = 100;
/// How long a case has waited: the word of an address, that of the page, days from and days to.
const AGES: [(&str, &str, i64, i64); 4] = [
    ("day", "Up to a day", 0, 1),
    ("week", "A day to a week", 1, 7),
    ("month", "A week to 30 days", 7, 30),
    ("older", "Over 30 days", 30, i64::MAX / DAY_MS),
];
const SORTS: [(&str, &str); 3] = [("money", "Most money"), ("score", "Highest score"), ("age", "Oldest")];
const STANDINGS: [Standing; 4] = [Standing::Clear, Standing::Watched, Standing::Held, Standing::Barred];

#[derive(Template)]
#[template(path = "queue.html", config = "src/console/askama.toml")]
struct Queue {
    chrome: Chrome,
    rows: Vec<Row>,
    statuses: Vec<Choice>,
    detectors: Vec<Choice>,
    merchants: Vec<Choice>,
    ages: Vec<Choice>,
    standings: Vec<Choice>,
    sorts: Vec<Choice>,
    search: String,
    found: Vec<FoundRow>,
    filtered: bool,
    /// The filter as the address says it, for what comes back here.
    query: String,
    counts: counts::Line,
    /// The case that the visitor works on.
    own: Option<u64>,
    /// How many cases are like that.
    all: usize,
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
    shown_score: String,
    members: usize,
    standing: &'static str,
    detectors: String,
    headline: String,
    stake: String,
    opened: String,
    age: String,
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
    age: String,
    standing: Option<Standing>,
    search: String,
    sort: String,
}

impl Filter {
    fn of(visitor: &Visitor<'_>) -> Result<Self, Reply> {
        let asked = |name: &str| Ok::<_, Reply>(read::query(visitor.request, name)?.unwrap_or_default());
        let (status, sort, standing) = (asked("status")?, asked("sort")?, asked("standing")?);
        let status = if status.is_empty() { "open".to_owned() } else { status };
        Ok(Self {
            status: Status::ALL.into_iter().find(|known| known.as_str() == status),
            detector: asked("detector")?,
            merchant: asked("merchant")?,
            age: asked("age")?,
            standing: STANDINGS.into_iter().find(|known| word(*known) == standing),
            search: asked("search")?.trim().to_owned(),
            sort: if sort.is_empty() { "money".to_owned() } else { sort },
        })
    }
    /// As the address says it, without a search and without a place in the list.
    fn query(&self) -> String {
        let status = self.status.map_or("all", Status::as_str);
        let standing = self.standing.map_or("", word);
        let texts = [&self.detector, &self.merchant, &self.age, &self.sort];
        let [detector, merchant, age, sort] = texts.map(|text| page::encoded(text));
        format!("status={status}&detector={detector}&merchant={merchant}&age={age}&standing={standing}&sort={sort}")
    }
    fn is_any(&self) -> bool {
        let texts = [&self.detector, &self.merchant, &self.age, &self.search];
        self.standing.is_some() || texts.iter().any(|text| !text.is_empty())
    }
    fn wants(&self, line: &Line, now: Timestamp) -> bool {
        let days = now.as_ms().saturating_sub(line.opened_at.as_ms()) / DAY_MS;
        let age = AGES.iter().find(|(value, ..)| *value == self.age);
        self.status.is_none_or(|status| line.status == status)
            && (self.detector.is_empty() || line.detectors.contains(self.detector.as_str()))
            && (self.merchant.is_empty() || self.merchant == line.scope)
            && age.is_none_or(|(_, _, from, to)| (*from..*to).contains(&days))
            && self.standing.is_none_or(|standing| line.standing == standing)
    }
    /// Those of some cases that are wanted, the first first.
    fn sorted(&self, lines: impl Iterator<Item = Arc<Line>>, now: Timestamp) -> Vec<Arc<Line>> {
        let mut wanted: Vec<Arc<Line>> = lines.filter(|line| self.wants(line, now)).collect();
        match self.sort.as_str() {
            "score" => wanted.sort_by_key(|line| Reverse((line.score, line.id))),
            "age" => wanted.sort_by_key(|line| (line.opened_at, line.id)),
            _ => wanted.sort_by_key(|line| Reverse((line.stake_minor, line.score, line.id))),
        }
        wanted
    }
}

/// The page.
pub(in crate::console) async fn show(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let filter = Filter::of(visitor)?;
    let known = desk::known(doors, visitor.now).await?;
    let mut found = Vec::new();
    let (lines, all, next) = if filter.search.is_empty() {
        let from = lists::page::<usize>(visitor.request)?.after.unwrap_or(0);
        let wanted = filter.sorted(known.lines.values().cloned(), visitor.now);
        let to = from.saturating_add(CASES_MAX);
        let lines: Vec<Arc<Line>> = wanted.iter().skip(from).take(CASES_MAX).cloned().collect();
        (lines, wanted.len(), (to < wanted.len()).then_some(to))
    } else {
        if let Some(id) = filter.search.strip_prefix('#').and_then(|number| number.parse::<u64>().ok()) {
            return Ok(page::see_other(&format!("/console/cases/{id}"), None));
        }
        found = search::find(doors, &filter.search).await?;
        let lines = of_members(doors, &known, &found).await?;
        let all = lines.len();
        (lines, all, None)
    };
    let query = filter.query();
    let open = || known.lines.values();
    Ok(page::page(
        StatusCode::OK,
        &Queue {
            chrome: visitor.chrome("cases"),
            rows: lines.iter().map(|line| row(doors, visitor, line)).collect(),
            statuses: statuses(&filter),
            detectors: choices("Any detector", &filter.detector, open().flat_map(|line| line.detectors.iter())),
            merchants: choices("Any scope", &filter.merchant, open().map(|line| &line.scope)),
            ages: words_of("Any age", &filter.age, AGES.map(|(value, label, ..)| (value, label))),
            standings: words_of(
                "Any standing",
                filter.standing.map_or("", word),
                STANDINGS.map(|one| (word(one), word(one))),
            ),
            sorts: words_of("", &filter.sort, SORTS).into_iter().skip(1).collect(),
            filtered: filter.is_any(),
            found: found.into_iter().map(found_row).collect(),
            counts: counts::line(doors, &known.counts, visitor.now),
            own: doors.console.taken.case_of(&visitor.caller.key_id, visitor.now),
            all,
            next: next.map(|from| format!("?{query}&cursor={}", lists::cursor(&from))),
            search: filter.search,
            query,
        },
    ))
}

/// Every case of those who were found, whatever became of it, the newest first.
async fn of_members(doors: &Doors, known: &desk::Known, found: &[search::Found]) -> Result<Vec<Arc<Line>>, Reply> {
    let mut lines: BTreeMap<u64, Arc<Line>> = BTreeMap::new();
    for one in found {
        for case in doors.engine.cases_of(&one.member).await? {
            let line = known.lines.get(&case.id).cloned().unwrap_or_else(|| Arc::new(Line::of(&case, None)));
            lines.insert(case.id, line);
        }
    }
    Ok(lines.into_values().rev().take(CASES_MAX).collect())
}

fn found_row(found: search::Found) -> FoundRow {
    FoundRow { link: page::encoded(found.member.as_str()), member: found.member.to_string(), by: found.by }
}

/// Takes the first case of the list that nobody has, and goes there. Who has one goes on with it.
pub(in crate::console) async fn take_next(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let (taken, by) = (&doors.console.taken, &visitor.caller.key_id);
    if let Some(own) = taken.case_of(by, visitor.now) {
        return Ok(page::see_other(&format!("/console/cases/{own}"), None));
    }
    let filter = Filter::of(visitor)?;
    let known = desk::known(doors, visitor.now).await?;
    let open = known.lines.values().filter(|line| line.status == Status::Open);
    for line in filter.sorted(open.cloned(), visitor.now) {
        // Somebody may have been faster with it, or have decided it elsewhere.
        if taken.holder(line.id, visitor.now).is_some()
            || doors.engine.case(line.id).await?.is_none_or(|case| case.status != Status::Open)
        {
            continue;
        }
        if taken.take(line.id, by, visitor.now).is_ok() {
            return Ok(page::see_other(&format!("/console/cases/{}", line.id), None));
        }
    }
    Ok(page::see_other(&format!("/console/cases?{}", filter.query()), None))
}

fn row(doors: &Doors, visitor: &Visitor<'_>, line: &Line) -> Row {
    let holder = doors.console.taken.holder(line.id, visitor.now).map(|(who, _)| who);
    Row {
        id: line.id,
        status: line.status.as_str(),
        scope: line.scope.clone(),
        shown_score: words::score(line.score),
        members: line.members,
        standing: word(line.standing),
        detectors: line.detectors.iter().map(|name| words::plain(name)).collect::<Vec<_>>().join(", "),
        headline: line.headline.clone(),
        stake: line.stake.clone().unwrap_or_else(|| "on its page".to_owned()),
        opened: words::when(line.opened_at),
        age: words::age(line.opened_at, visitor.now),
        own: holder.as_ref() == Some(&visitor.caller.key_id),
        holder: holder.map_or_else(String::new, |who| words::by(who.as_str())),
    }
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

/// Words that are there, and the one that was chosen.
fn choices<T: AsRef<str>>(any: &str, chosen: &str, found: impl Iterator<Item = T>) -> Vec<Choice> {
    let mut all: BTreeSet<String> = found.map(|text| text.as_ref().to_owned()).collect();
    if !chosen.is_empty() {
        all.insert(chosen.to_owned());
    }
    let first = Choice { value: String::new(), label: any.to_owned(), chosen: chosen.is_empty() };
    let each = all.into_iter().map(|value| Choice { label: words::plain(&value), chosen: value == chosen, value });
    [first].into_iter().chain(each).collect()
}

/// Words that are always the same.
fn words_of<const N: usize>(any: &str, chosen: &str, all: [(&str, &str); N]) -> Vec<Choice> {
    let choice = |(value, label): (&str, &str)| Choice {
        value: value.to_owned(),
        label: label.to_owned(),
        chosen: value == chosen,
    };
    [("", any)].into_iter().chain(all).map(choice).collect()
}
