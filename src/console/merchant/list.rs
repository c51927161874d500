//! Offers with their state, budget and warnings.

use super::locations;
use crate::api::Doors;
use crate::api::offers::{self, OfferState, OfferView};
use crate::api::page as lists;
use crate::api::read;
use crate::api::reply::{self, Reply};
use crate::console::page::{self, Chrome, Visitor, encoded};
use crate::console::words;
use crate::domain::{Currency, MerchantId, Money, OfferId};
use askama::Template;
use hyper::StatusCode;

#[derive(Template)]
#[template(path = "offers.html", config = "src/console/askama.toml")]
struct Offers {
    chrome: Chrome,
    rows: Vec<Row>,
    operator: bool,
    merchant: String,
    states: Vec<(&'static str, String, bool)>,
    /// MIDs of the merchant that have gone silent.
    silent: usize,
    next: Option<String>,
}

struct Row {
    id: String,
    link: String,
    title: String,
    merchant: String,
    state: String,
    words: String,
    version: u32,
    state_words: String,
    /// The version that counts, when it is not the newest.
    counts: Option<u32>,
    budget: String,
    used: Option<u32>,
    used_today: Option<u32>,
    warnings: Vec<String>,
}

/// Where an offer may stand.
const STATES: [&str; 6] = ["draft", "awaiting_approval", "published", "budget_spent", "paused", "ended"];

/// A state's word.
pub(super) fn word(state: OfferState) -> String {
    serde_json::to_value(state).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// An offer's amount in words.
pub(super) fn amount(minor: i64, currency: Currency) -> String {
    Money::new(minor, currency).to_string()
}

/// The page.
pub(in crate::console) async fn show(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let asked = read::query(visitor.request, "merchant")?;
    let asked = asked.map(MerchantId::new).transpose().map_err(|_| reply::not_found("there is no such merchant"))?;
    if let Some(merchant) = &asked {
        crate::api::access::own_merchant(&visitor.caller, merchant)?;
    }
    let merchant = visitor.caller.merchant.clone().or(asked);
    let state = read::query(visitor.request, "state")?.unwrap_or_default();
    let wanted = if state.is_empty() { None } else { Some(OfferState::read(&state)?) };
    let found = offers::listed(doors, merchant.as_ref(), wanted, &lists::page::<OfferId>(visitor.request)?).await?;
    let of = merchant.as_ref().map(ToString::to_string).unwrap_or_default();
    let silent = match &merchant {
        Some(id) => {
            let known = doors.engine.merchant_document(id).await?;
            known.map_or(0, |(_, known)| locations::gone_silent(doors, &known, visitor.now))
        }
        None => 0,
    };
    let next = found.next_cursor.map(|cursor| format!("?merchant={}&state={state}&cursor={cursor}", encoded(&of)));
    Ok(page::page(
        StatusCode::OK,
        &Offers {
            chrome: visitor.chrome("offers"),
            rows: found.offers.iter().map(row).collect(),
            operator: visitor.caller.merchant.is_none(),
            merchant: of,
            states: STATES.map(|word| (word, words::plain(word), word == state)).into(),
            silent,
            next,
        },
    ))
}

/// A warning as those say it who do not know the document.
fn said(path: &str, detail: &str) -> String {
    format!("{}: {detail}", words::plain(path.strip_suffix("_minor").unwrap_or(path)))
}

fn row(offer: &OfferView) -> Row {
    let currency = offer.document.currency;
    Row {
        link: encoded(&offer.id),
        id: offer.id.clone(),
        title: offer.document.title.clone(),
        merchant: offer.document.merchant.to_string(),
        state: word(offer.state),
        words: offer.in_words.clone(),
        version: offer.version,
        state_words: words::plain(&word(offer.state)),
        counts: offer.published_version.filter(|published| *published != offer.version),
        budget: offer.document.budget_minor.map_or_else(|| "none".to_owned(), |minor| amount(minor, currency)),
        used: offer.budget_used_percent,
        used_today: offer.daily_budget_used_percent,
        warnings: offer.warnings.iter().map(|warning| said(&warning.path, &warning.detail)).collect(),
    }
}
