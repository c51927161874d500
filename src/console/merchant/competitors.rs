//! Rivals that a merchant declares, and how many people are kept out for it: a number, and no
//! number so small that it would point at somebody.

use super::whose::{self, Whose};
use crate::api::Doors;
use crate::api::merchant_document::{CompetitorDocument, MerchantDocument};
use crate::api::merchants;
use crate::api::reply::Reply;
use crate::console::page::{self, Chrome, Visitor};
use crate::console::risk::desk;
use askama::Template;
use hyper::StatusCode;

/// Numbers below this one are not told.
const TOLD_MIN: usize = 5;

#[derive(Template)]
#[template(path = "competitors.html", config = "src/console/askama.toml")]
struct CompetitorsPage {
    chrome: Chrome,
    merchant: String,
    query: String,
    version: u64,
    kept_out: String,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    domains: String,
    networks: String,
    mids: String,
}

/// The page.
pub(in crate::console) async fn show(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let Some(whose) = whose::whose(doors, visitor).await? else { return super::choose(visitor, "competitors") };
    let (kept_out, is_more) = desk::known(doors, visitor.now).await?.kept_out(&whose.id);
    let document = MerchantDocument::of(&whose.merchant);
    let row = |rival: CompetitorDocument| Row {
        name: rival.name,
        domains: rival.email_domains.join(", "),
        networks: rival.networks.join(", "),
        mids: rival.mids.join(", "),
    };
    Ok(page::page(
        StatusCode::OK,
        &CompetitorsPage {
            chrome: visitor.chrome("competitors"),
            merchant: whose.id.to_string(),
            query: whose.query,
            version: whose.version,
            kept_out: told(kept_out, is_more),
            rows: document.competitors.into_iter().map(row).collect(),
        },
    ))
}

fn told(number: usize, is_more: bool) -> String {
    match number {
        0 => "nobody".to_owned(),
        1..TOLD_MIN => format!("fewer than {TOLD_MIN}"),
        _ if is_more => format!("more than {number}"),
        _ => number.to_string(),
    }
}

async fn enter(doors: &Doors, visitor: &Visitor<'_>, whose: Whose, document: MerchantDocument) -> Result<Reply, Reply> {
    let rests_on = visitor.form.get("document_version").parse().unwrap_or(whose.version);
    let merchant = document.into_merchant(whose.id)?;
    merchants::put_as(doors, &visitor.caller, merchant, Some(rests_on)).await?;
    Ok(page::see_other(&format!("/console/competitors{}", whose.query), None))
}

/// Declares one.
pub(in crate::console) async fn declare(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let whose = whose::named(doors, visitor).await?;
    let lines = |name: &str| {
        let lines = visitor.form.get(name).lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let mut document = MerchantDocument::of(&whose.merchant);
    document.competitors.push(CompetitorDocument {
        name: visitor.form.get("name").trim().to_owned(),
        mids: lines("mids"),
        email_domains: lines("email_domains"),
        networks: lines("networks"),
    });
    enter(doors, visitor, whose, document).await
}

/// Takes one back.
pub(in crate::console) async fn remove(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let whose = whose::named(doors, visitor).await?;
    let mut document = MerchantDocument::of(&whose.merchant);
    document.competitors.retain(|rival| rival.name != visitor.form.get("name"));
    enter(doors, visitor, whose, document).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_would_point_at_somebody_is_not_told() {
        let said = [0, 1, 4, 5, 60].map(|number| told(number, false));
        assert_eq!(said, ["nobody", "fewer than 5", "fewer than 5", "5", "60"]);
        assert_eq!(told(7, true), "more than 7");
    }
}
