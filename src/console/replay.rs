//! A purchase decided again before one's eyes: its events, what it is worth, and for each offer
//! what was granted beside what the same facts give now.

use crate::api::Doors;
use crate::api::members;
use crate::api::purchases::{self, OfferLine, PurchaseView};
use crate::api::reply::{self, Reply};
use crate::console::page::{self, Chrome, Visitor, encoded};
use crate::console::words;
use crate::domain::{MemberId, PurchaseId, PurchaseKey, SourceName};
use askama::Template;
use hyper::StatusCode;

#[derive(Template)]
#[template(path = "replay.html", config = "src/console/askama.toml")]
struct ReplayPage {
    chrome: Chrome,
    member: String,
    link: String,
    name: String,
    shop: String,
    worth: String,
    when: String,
    same: bool,
    events: Vec<(String, &'static str, String)>,
    offers: Vec<OfferRow>,
}

struct OfferRow {
    offer: String,
    version: u32,
    granted: String,
    due: String,
    same: bool,
    state: &'static str,
    refusal: String,
    conditions: Vec<(bool, String)>,
}

/// The page.
pub(super) async fn show(
    doors: &Doors,
    visitor: &Visitor<'_>,
    member: &str,
    source: &str,
    purchase: &str,
) -> Result<Reply, Reply> {
    let none = || reply::not_found("there is no such purchase, or it is so old that only its totals are kept");
    let id = MemberId::new(member).map_err(|_| none())?;
    let source = SourceName::new(source).map_err(|_| none())?;
    let key = PurchaseKey { source, id: PurchaseId::new(purchase).map_err(|_| none())? };
    let state = members::known(doors, &id).await?;
    let view = purchases::explained(doors, &state, &key).ok_or_else(none)?;
    Ok(page::page(StatusCode::OK, &page_of(visitor, &id, view)))
}

fn page_of(visitor: &Visitor<'_>, id: &MemberId, view: PurchaseView) -> ReplayPage {
    let offers: Vec<OfferRow> = view.offers.iter().map(offer_row).collect();
    let amount = |minor: i64, currency: &str| {
        let currency = crate::domain::Currency::parse(currency).ok();
        currency.map_or_else(|| minor.to_string(), |currency| crate::domain::Money::new(minor, currency).to_string())
    };
    let event = |event: &purchases::EventView| {
        let amount = event.amount.as_ref().map_or_else(String::new, |of| amount(of.minor, &of.currency));
        (words::when(event.occurred_at), event.kind, amount)
    };
    ReplayPage {
        chrome: visitor.chrome("cases"),
        member: id.to_string(),
        link: encoded(id.as_str()),
        name: format!("{} · {}", view.purchase.source, view.purchase.id),
        shop: view
            .shop
            .as_ref()
            .map_or_else(|| "no shop we know".to_owned(), |shop| format!("{} at {}", shop.merchant, shop.location)),
        worth: view.worth.currency.as_ref().map_or_else(String::new, |currency| amount(view.worth.minor, currency)),
        when: words::when(view.worth.time),
        same: offers.iter().all(|row| row.same),
        events: view.events.iter().map(event).collect(),
        offers,
    }
}

fn offer_row(line: &OfferLine) -> OfferRow {
    OfferRow {
        offer: line.offer.clone(),
        version: line.version,
        granted: line.unit.shown(line.granted_minor),
        due: line.unit.shown(line.due_minor),
        same: line.granted_minor == line.due_minor,
        state: line.state.unwrap_or(""),
        refusal: line.refusal.as_ref().map(|refusal| refusal.detail.clone()).unwrap_or_default(),
        conditions: line.conditions.iter().map(|condition| (condition.met, condition.detail.clone())).collect(),
    }
}
