//! A merchant's shops and the ids by which acquirers know them: which of them are heard of, which
//! are silent, statement texts that may be theirs; and the form, the list and the one click by
//! which they are entered.

use super::sheet::{self, Sheet};
use super::whose::{self, Whose};
use crate::api::merchant_document::{LocationDocument, MerchantDocument, MidDocument};
use crate::api::merchants;
use crate::api::reply::{self, Reply};
use crate::api::{Doors, again};
use crate::catalogue::heard::Silence;
use crate::console::page::{self, Chrome, Visitor};
use crate::console::words;
use crate::domain::merchant::{Location, Merchant, Mid};
use crate::domain::{LocationId, Timestamp};
use askama::Template;
use hyper::StatusCode;
use std::collections::BTreeMap;

/// Shops that one page shows.
const SHOWN_MAX: usize = 500;
/// Texts that one page shows.
const TEXTS_MAX: usize = 50;

#[derive(Template)]
#[template(path = "locations.html", config = "src/console/askama.toml")]
struct LocationsPage {
    chrome: Chrome,
    merchant: String,
    query: String,
    version: u64,
    rows: Vec<Row>,
    left_out: usize,
    preview: Option<Sheet>,
    sheet: String,
}

/// Statement texts that may be the merchant's: looked for among the events of the last days, which takes
/// longer than the rest of the page, so that it is asked for when the page is there.
#[derive(Template)]
#[template(path = "texts.html", config = "src/console/askama.toml")]
struct TextsPart {
    csrf: String,
    query: String,
    version: u64,
    texts: Vec<TextRow>,
}

#[derive(Template)]
#[template(path = "heard.html", config = "src/console/askama.toml")]
struct HeardPage {
    chrome: Chrome,
    merchant: String,
    query: String,
    part: HeardPart,
}

#[derive(Template)]
#[template(path = "heard_part.html", config = "src/console/askama.toml")]
struct HeardPart {
    rows: Vec<HeardRow>,
    silent: usize,
}

struct HeardRow {
    mid: String,
    location: String,
    count: u64,
    last: String,
}

struct Row {
    id: String,
    name: String,
    place: String,
    bought: String,
    spend: String,
    mids: Vec<MidRow>,
    texts: Vec<String>,
}

struct MidRow {
    mid: String,
    of: String,
    heard: String,
    /// Quieter than its habit: in words; empty when it is not.
    gone: String,
}

struct TextRow {
    text: String,
    location: String,
    sure: u16,
    events: u64,
    mids: String,
}

/// The page.
pub(in crate::console) async fn show(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    page(doors, visitor, None, String::new()).await
}

async fn page(doors: &Doors, visitor: &Visitor<'_>, preview: Option<Sheet>, sheet: String) -> Result<Reply, Reply> {
    let Some(whose) = whose::whose(doors, visitor).await? else { return super::choose(visitor, "locations") };
    let report = doors.screener.report(&whose.id);
    let locations = &whose.merchant.locations;
    let mut spent: BTreeMap<&LocationId, Vec<String>> = BTreeMap::new();
    for ((id, unit), sums) in report.shops.iter().filter(|(_, sums)| sums.spend_minor != 0) {
        spent.entry(id).or_default().push(unit.shown(sums.spend_minor));
    }
    let spend = |location: &Location| spent.get(&location.id).map_or_else(String::new, |sums| sums.join(", "));
    let shown = locations.iter().take(SHOWN_MAX);
    let rows = shown.map(|one| row(doors, visitor, &whose, one, report.bought_at.get(&one.id), spend(one))).collect();
    Ok(page::page(
        StatusCode::OK,
        &LocationsPage {
            chrome: visitor.chrome("locations"),
            rows,
            left_out: locations.len().saturating_sub(SHOWN_MAX),
            merchant: whose.id.to_string(),
            query: whose.query,
            version: whose.version,
            preview,
            sheet,
        },
    ))
}

/// The texts, as a part.
pub(in crate::console) async fn texts(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let whose = whose::named(doors, visitor).await?;
    let texts = again::suggested(doors, &visitor.caller, &whose.id).await?;
    let text = |found: again::SuggestionView| TextRow {
        text: found.text,
        location: found.location,
        sure: found.confidence / 10,
        events: found.events,
        mids: found.mids.join(", "),
    };
    let texts = texts.descriptors.into_iter().take(TEXTS_MAX).map(text).collect();
    let part = TextsPart { csrf: visitor.csrf.clone(), query: whose.query, version: whose.version, texts };
    Ok(page::page(StatusCode::OK, &part))
}

fn row(
    doors: &Doors,
    visitor: &Visitor<'_>,
    whose: &Whose,
    location: &Location,
    bought_at: Option<&Timestamp>,
    spend: String,
) -> Row {
    let parts = [&location.postcode, &location.city, &location.country];
    let place: Vec<String> = parts.into_iter().flatten().map(ToString::to_string).collect();
    Row {
        id: location.id.to_string(),
        name: location.name.clone().unwrap_or_default(),
        place: place.join(" "),
        bought: bought_at.map_or_else(String::new, |at| words::ago(*at, visitor.now)),
        spend,
        mids: location.mids.iter().map(|mid| mid_row(doors, visitor, whose, mid)).collect(),
        texts: location.descriptors.iter().map(ToString::to_string).collect(),
    }
}

fn mid_row(doors: &Doors, visitor: &Visitor<'_>, whose: &Whose, mid: &Mid) -> MidRow {
    let heard = doors.engine.heard.of(&whose.id, &mid.mid);
    let gone = heard.and_then(|sound| doors.engine.heard.silence(&sound, visitor.now));
    let of: Vec<&str> = [&mid.scheme, &mid.acquirer].into_iter().flatten().map(|text| text.as_str()).collect();
    MidRow {
        mid: mid.mid.to_string(),
        of: of.join(" "),
        heard: heard.map_or_else(String::new, |sound| words::ago(sound.last, visitor.now)),
        gone: gone.map_or_else(String::new, in_words),
    }
}

fn in_words(silence: Silence) -> String {
    let days = |days: u32| words::count(usize::try_from(days).unwrap_or(usize::MAX), "day");
    let usual = match silence.habit_days {
        0 => "it is heard of every day else".to_owned(),
        habit => format!("it rests for {} at most else", days(habit)),
    };
    format!("nothing for {}, {usual}", days(silence.days))
}

/// How many of a merchant's MIDs have gone silent.
pub(super) fn gone_silent(doors: &Doors, merchant: &Merchant, now: Timestamp) -> usize {
    let heard = &doors.engine.heard;
    let mids = merchant.locations.iter().flat_map(|location| &location.mids);
    let sounds = mids.filter_map(|mid| heard.of(&merchant.id, &mid.mid));
    sounds.filter(|sound| heard.silence(sound, now).is_some()).count()
}

/// Whether MIDs work: those heard of, the last one first. Asked for again and again as a part.
pub(in crate::console) async fn heard(doors: &Doors, visitor: &Visitor<'_>, whole: bool) -> Result<Reply, Reply> {
    let Some(whose) = whose::whose(doors, visitor).await? else { return super::choose(visitor, "heard") };
    let mut silent = 0;
    let mut rows: Vec<(Timestamp, HeardRow)> = Vec::new();
    for location in &whose.merchant.locations {
        for mid in &location.mids {
            let Some(sound) = doors.engine.heard.of(&whose.id, &mid.mid) else {
                silent += 1;
                continue;
            };
            let last = format!("{} ({} UTC)", words::ago(sound.last, visitor.now), words::when(sound.last));
            let (mid, location) = (mid.mid.to_string(), location.id.to_string());
            rows.push((sound.last, HeardRow { mid, location, count: sound.count, last }));
        }
    }
    rows.sort_by_key(|(last, _)| std::cmp::Reverse(*last));
    let part = HeardPart { rows: rows.into_iter().take(SHOWN_MAX).map(|(_, row)| row).collect(), silent };
    if !whole {
        return Ok(page::page(StatusCode::OK, &part));
    }
    let (chrome, merchant, query) = (visitor.chrome("locations"), whose.id.to_string(), whose.query);
    Ok(page::page(StatusCode::OK, &HeardPage { chrome, merchant, query, part }))
}

fn back(whose: &Whose) -> Reply {
    page::see_other(&format!("/console/locations{}", whose.query), None)
}

/// Enters the merchant as a page has changed it, resting on what that page showed.
async fn enter(doors: &Doors, visitor: &Visitor<'_>, whose: Whose, document: MerchantDocument) -> Result<Reply, Reply> {
    let rests_on = visitor.form.get("document_version").parse().unwrap_or(whose.version);
    let merchant = document.into_merchant(whose.id.clone())?;
    merchants::put_as(doors, &visitor.caller, merchant, Some(rests_on)).await?;
    Ok(back(&whose))
}

/// Adds a MID, and its shop where it is new.
pub(in crate::console) async fn add(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let whose = whose::named(doors, visitor).await?;
    let mut document = MerchantDocument::of(&whose.merchant);
    let said = |name: &str| Some(visitor.form.get(name).trim().to_owned()).filter(|text| !text.is_empty());
    let id = visitor.form.get("location").trim();
    let id = LocationId::new(id).map_err(|error| reply::impossible("bad_value", "location", error.to_string()))?;
    let mut line = LocationDocument {
        name: said("name"),
        city: said("city"),
        postcode: said("postcode"),
        country: said("country"),
        ..LocationDocument::bare(id)
    };
    let mid = said("mid").map(|mid| MidDocument {
        scheme: said("scheme"),
        acquirer: said("acquirer"),
        ..MidDocument::bare(mid)
    });
    line.mids.extend(mid);
    sheet::merge(&mut document, line);
    enter(doors, visitor, whose, document).await
}

/// Links a statement text to a shop: what was seen with it is decided again.
pub(in crate::console) async fn link(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let whose = whose::named(doors, visitor).await?;
    let mut document = MerchantDocument::of(&whose.merchant);
    let (text, id) = (visitor.form.get("text").to_owned(), visitor.form.get("location"));
    let location = document.locations.iter_mut().find(|location| location.id.as_str() == id);
    location.ok_or_else(|| reply::not_found("the merchant has no such shop"))?.descriptors.push(text);
    enter(doors, visitor, whose, document).await
}

/// Shows what a list would enter, with its faults by line; enters it when it was looked at.
pub(in crate::console) async fn import(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let whose = whose::named(doors, visitor).await?;
    let (file, typed) = (visitor.form.get("file"), visitor.form.get("sheet"));
    let text = if file.trim().is_empty() { typed } else { file }.to_owned();
    if text.trim().is_empty() {
        return Err(reply::impossible("missing_field", "file", "choose a file, or put the list into the box below it"));
    }
    let mut document = MerchantDocument::of(&whose.merchant);
    let read = sheet::read(&text, &mut document);
    if visitor.form.get("step") == "enter" && read.faults.is_empty() {
        return enter(doors, visitor, whose, document).await;
    }
    page(doors, visitor, Some(read), text).await
}

impl LocationsPage {
    fn shops(&self) -> String {
        words::count(self.rows.len() + self.left_out, "shop")
    }
    fn mids(&self) -> String {
        words::count(self.rows.iter().map(|row| row.mids.len()).sum(), "MID")
    }
    fn unheard(&self) -> usize {
        self.rows.iter().flat_map(|row| &row.mids).filter(|mid| mid.heard.is_empty()).count()
    }
    /// Those that have gone silent, with their shop.
    fn gone(&self) -> Vec<(&Row, &MidRow)> {
        let all = self.rows.iter().flat_map(|row| row.mids.iter().map(move |mid| (row, mid)));
        all.filter(|(_, mid)| !mid.gone.is_empty()).collect()
    }
}
