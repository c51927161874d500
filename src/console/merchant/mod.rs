//! The merchant's portal: offers with the steps of their life, how they perform, shops and MIDs,
//! competitors. Nothing of a member is shown here.

pub(super) mod competitors;
pub(super) mod differ;
pub(super) mod edit;
pub(super) mod list;
pub(super) mod locations;
pub(super) mod offer;
pub(super) mod performance;
mod sheet;
mod simple;
mod whose;

use crate::api::reply::Reply;
use crate::console::page::{self, Chrome, Visitor};
use askama::Template;
use hyper::StatusCode;

#[derive(Template)]
#[template(path = "choose.html", config = "src/console/askama.toml")]
struct Choose {
    chrome: Chrome,
    here: &'static str,
}

/// Asks an operator whose page it is to be.
fn choose(visitor: &Visitor<'_>, here: &'static str) -> Result<Reply, Reply> {
    Ok(page::page(StatusCode::OK, &Choose { chrome: visitor.chrome(here), here }))
}
