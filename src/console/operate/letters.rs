//! What could not be understood: why, where in the message, the message itself masked; and a
//! button that tries it again.

use crate::api::Doors;
use crate::api::page as lists;
use crate::api::reply::Reply;
use crate::api::shelf::{self, LetterView};
use crate::console::page::{self, Chrome, Visitor};
use crate::console::words;
use askama::Template;
use hyper::StatusCode;

#[derive(Template)]
#[template(path = "letters.html", config = "src/console/askama.toml")]
struct LettersPage {
    chrome: Chrome,
    told: Option<String>,
    rows: Vec<Row>,
    next: Option<String>,
}

struct Row {
    id: u64,
    source: String,
    when: String,
    code: String,
    path: String,
    detail: String,
    body: Option<String>,
}

/// The page.
pub(in crate::console) async fn show(
    doors: &Doors,
    visitor: &Visitor<'_>,
    told: Option<String>,
) -> Result<Reply, Reply> {
    let found = shelf::listed(doors, &lists::page::<u64>(visitor.request)?).await?;
    let next = found.next_cursor.map(|cursor| format!("/console/dead-letters?cursor={cursor}"));
    let rows = found.dead_letters.into_iter().map(row).collect();
    Ok(page::page(StatusCode::OK, &LettersPage { chrome: visitor.chrome("dead-letters"), told, rows, next }))
}

fn row(letter: LetterView) -> Row {
    let LetterView { id, source, received_at, code, path, detail, body } = letter;
    Row { id, source, when: words::when(received_at), code: words::plain(&code), path, detail, body }
}

/// Tries one again.
pub(in crate::console) async fn replay(doors: &Doors, visitor: &Visitor<'_>, id: u64) -> Result<Reply, Reply> {
    let done = shelf::replayed(doors, &visitor.caller, visitor.request, id).await?;
    // A problem has a code; what was taken has an outcome.
    let problem = |result: &serde_json::value::RawValue| {
        let read: serde_json::Value = serde_json::from_str(result.get()).ok()?;
        read.get("code")?;
        Some(read["detail"].as_str().unwrap_or_default().to_owned())
    };
    let told = match done.results.iter().find_map(|result| problem(result)) {
        None => format!("Letter {id} is understood now and off the shelf."),
        Some(why) => format!("Letter {id} cannot be understood yet and is on the shelf under a new number: {why}"),
    };
    show(doors, visitor, Some(told)).await
}
