//! One offer: what it says, how far it has come, its versions with their differences, and the
//! steps that may follow.

use super::differ::{Difference, differences};
use super::edit::Card;
use super::list::{amount, word};
use crate::api::Doors;
use crate::api::offer_document::OfferDocument;
use crate::api::offers::{self, LifeView, OfferState, OfferView, StepDocument};
use crate::api::reply::{self, Reply};
use crate::console::page::{self, Chrome, Visitor, encoded};
use crate::console::words;
use crate::domain::OfferId;
use crate::domain::offer::Offer;
use askama::Template;
use hyper::StatusCode;

#[derive(Template)]
#[template(path = "offer.html", config = "src/console/askama.toml")]
struct OfferPage {
    chrome: Chrome,
    id: String,
    link: String,
    title: String,
    merchant: String,
    state: String,
    words: String,
    card: Card,
    state_words: String,
    version: u32,
    /// What is to be said of the version that counts.
    counts: String,
    document_version: u64,
    granted: String,
    budgets: Vec<BudgetRow>,
    warnings: Vec<(String, String)>,
    life: Vec<LifeRow>,
    versions: Vec<VersionRow>,
    steps: Vec<StepRow>,
    may_reject: bool,
    document: String,
}

struct BudgetRow {
    what: &'static str,
    whole: String,
    left: String,
    used: u32,
}

struct LifeRow {
    change: String,
    version: Option<u32>,
    effective: String,
    reason: String,
}

struct VersionRow {
    version: u32,
    counts: bool,
    words: String,
    differences: Vec<Difference>,
}

struct StepRow {
    word: &'static str,
    label: &'static str,
    explained: &'static str,
    /// What is wanted most.
    main: bool,
}

/// An id of an offer in a path.
pub(super) fn offer_id(text: &str) -> Result<OfferId, Reply> {
    OfferId::new(text).map_err(|_| reply::not_found("there is no such offer"))
}

/// The page.
pub(in crate::console) async fn show(doors: &Doors, visitor: &Visitor<'_>, id: &str) -> Result<Reply, Reply> {
    let id = offer_id(id)?;
    let (version, offer) = offers::seen(doors, &visitor.caller, &id).await?;
    let view = offers::whole(doors, version, &offer).await?;
    let operator = visitor.caller.merchant.is_none();
    let asks = !operator && !doors.engine.has_published(offer.merchant());
    let currency = view.document.currency;
    Ok(page::page(
        StatusCode::OK,
        &OfferPage {
            chrome: visitor.chrome("offers"),
            link: encoded(id.as_str()),
            id: id.to_string(),
            title: view.document.title.clone(),
            merchant: view.document.merchant.to_string(),
            state: word(view.state),
            words: view.in_words.clone(),
            card: Card::of(&offer.newest().terms),
            version: view.version,
            state_words: words::plain(&word(view.state)),
            counts: match view.published_version {
                None => ", never published".to_owned(),
                Some(published) if published != view.version => format!(", version {published} counts"),
                Some(_) => String::new(),
            },
            document_version: version,
            granted: offer.newest().terms.unit().shown(view.granted_minor.unwrap_or(0)),
            budgets: budgets(&view, |minor| amount(minor, currency)),
            warnings: view.warnings.iter().map(|warning| (warning.path.clone(), warning.detail.clone())).collect(),
            life: view.life.iter().rev().map(life_row).collect(),
            versions: versions(&offer, view.published_version),
            steps: steps(&view, operator, asks),
            may_reject: operator && view.state == OfferState::AwaitingApproval,
            document: serde_json::to_string_pretty(&view.document).unwrap_or_default(),
        },
    ))
}

fn budgets(view: &OfferView, shown: impl Fn(i64) -> String) -> Vec<BudgetRow> {
    let both = [
        ("In all", view.document.budget_minor, view.budget_left_minor, view.budget_used_percent),
        ("Today", view.document.daily_budget_minor, view.daily_budget_left_minor, view.daily_budget_used_percent),
    ];
    let each = both.into_iter().filter_map(|(what, whole, left, used)| {
        Some(BudgetRow {
            what,
            whole: shown(whole?),
            left: left.map_or_else(String::new, &shown),
            used: used.unwrap_or(0),
        })
    });
    each.collect()
}

fn life_row(step: &LifeView) -> LifeRow {
    LifeRow {
        change: words::plain(step.change),
        version: step.version,
        effective: words::when(step.effective),
        reason: step.reason.clone().unwrap_or_default(),
    }
}

/// Versions, newest first, each with what it changed.
fn versions(offer: &Offer, published: Option<u32>) -> Vec<VersionRow> {
    let document = |place: usize| {
        let version = offer.versions.get(place)?;
        serde_json::to_value(OfferDocument::of(&version.terms)).ok()
    };
    let row = |place: usize| {
        let version = &offer.versions[place];
        let before = place.checked_sub(1).and_then(document);
        let both = before.zip(document(place));
        VersionRow {
            version: version.version,
            counts: published == Some(version.version),
            words: version.terms.in_words(),
            differences: both.map(|(before, after)| differences(&before, &after)).unwrap_or_default(),
        }
    };
    (0..offer.versions.len()).rev().take(50).map(row).collect()
}

/// The steps that may follow, for whoever looks.
fn steps(view: &OfferView, operator: bool, asks: bool) -> Vec<StepRow> {
    let main = |word, label, explained| StepRow { word, label, explained, main: true };
    let other = |word, label, explained| StepRow { main: false, ..main(word, label, explained) };
    let newer = view.published_version.is_some_and(|published| published < view.version);
    let mut steps = Vec::new();
    match view.state {
        OfferState::Draft if asks => {
            steps.push(main("publish", "Ask for approval", "An operator looks at it and publishes it."));
        }
        OfferState::Draft => steps.push(main("publish", "Publish", "It counts from two seconds later.")),
        OfferState::AwaitingApproval if operator => {
            steps.push(main("approve", "Approve and publish", "Its merchant publishes by itself from then on."));
        }
        OfferState::Published | OfferState::BudgetSpent | OfferState::Paused if newer => {
            steps.push(main("publish", "Publish the new version", "Purchases from then on are judged by it."));
        }
        _ => {}
    }
    match view.state {
        OfferState::Published | OfferState::BudgetSpent => {
            steps.push(other("pause", "Pause", "Gives nothing until resumed."));
        }
        OfferState::Paused => steps.push(main("resume", "Resume", "Gives again.")),
        _ => {}
    }
    if !matches!(view.state, OfferState::Ended | OfferState::Draft | OfferState::AwaitingApproval) {
        steps.push(other("end", "End", "Never gives again. What was earned stays."));
    }
    steps
}

/// Takes the step that a button asks for.
pub(in crate::console) async fn step(
    doors: &Doors,
    visitor: &Visitor<'_>,
    id: &str,
    word: &str,
) -> Result<Reply, Reply> {
    let id = offer_id(id)?;
    match word {
        "publish" | "pause" | "resume" | "end" => {}
        "approve" | "reject" => visitor.one_of(&[crate::authenticate::keys::Role::Operator])?,
        _ => return Err(reply::not_found("there is no such step")),
    }
    let reason = Some(visitor.form.get("reason").trim().to_owned()).filter(|_| word == "reject");
    let document = StepDocument { effective_from: None, reason };
    // What was read is what is published: whoever changed it meanwhile is asked to look again.
    let rests_on = visitor.form.get("document_version").parse().ok();
    offers::step_as(doors, &visitor.caller, &id, word, document, (None, rests_on)).await?;
    Ok(page::see_other(&format!("/console/offers/{}", encoded(id.as_str())), None))
}
