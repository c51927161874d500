//! The consoles: pages for the risk desk and for merchants, made by the server from compiled
//! templates. A page shows what the API's doors show and acts through the same calls; here is only
//! how it looks. Scripts and styles come with the program, and nothing is loaded from elsewhere.

mod assets;
pub mod audit;
mod form;
mod member;
mod merchant;
mod page;
mod risk;
pub mod session;
mod sign_in;
mod words;

use crate::api::Doors;
use crate::api::read;
use crate::api::reply::{self, Reply};
use crate::authenticate::keys::Caller;
use crate::authenticate::keys::Role::{self, Merchant, Operator, Risk};
use crate::domain::Timestamp;
use crate::wire::Request;
use form::Form;
use page::Visitor;

/// Answers a request for a page.
pub async fn answer(doors: &Doors, request: &Request) -> Reply {
    let path = request.uri.path().strip_prefix("/console").unwrap_or_default().trim_matches('/');
    let parts: Option<Vec<String>> = path.split('/').map(|part| read::decoded(part, false)).collect();
    let Some(parts) = parts else { return page::problem(None, request, no_page()) };
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let now = doors.engine.clock.now();
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["static", name]) => return assets::file(name),
        ("GET", ["sign-in"]) => return sign_in::show(doors, request, now),
        ("POST", ["sign-in"]) => return sign_in::enter(doors, request, now),
        _ => {}
    }
    let Some(visitor) = visitor(doors, request, now) else { return page::see_other("/console/sign-in", None) };
    match inside(doors, &visitor, &parts).await {
        Ok(reply @ Reply::Problem(_)) | Err(reply) => page::problem(Some(&visitor), request, reply),
        Ok(reply) => match written_down(doors, &visitor, &parts) {
            Ok(()) => reply,
            Err(refused) => page::problem(Some(&visitor), request, refused),
        },
    }
}

/// Who asks, when they are signed in and their key still stands.
fn visitor<'a>(doors: &Doors, request: &'a Request, now: Timestamp) -> Option<Visitor<'a>> {
    let token = page::cookie(request, session::COOKIE)?;
    let session = doors.sessions.find(token, now)?;
    if !doors.keys.stands(&session.caller) {
        doors.sessions.close(token);
        return None;
    }
    Some(Visitor { caller: session.caller, csrf: session.csrf, token, request, form: Form::of(request), now })
}

async fn inside(doors: &Doors, visitor: &Visitor<'_>, parts: &[&str]) -> Result<Reply, Reply> {
    let method = visitor.request.method.as_str();
    if !matches!(method, "GET" | "POST") {
        return Err(reply::not_this_method("GET, POST"));
    }
    if method == "POST" {
        visitor.check_form()?;
    }
    let desk = |visitor: &Visitor<'_>| visitor.one_of(&[Operator, Risk]);
    let portal = |visitor: &Visitor<'_>| visitor.one_of(&[Operator, Merchant]);
    match (method, parts) {
        ("GET", [""]) => Ok(page::see_other(home(visitor.caller.role), None)),
        ("POST", ["sign-out"]) => Ok(sign_in::leave(doors, visitor)),
        ("GET" | "POST", ["cases", rest @ ..]) => {
            desk(visitor)?;
            match (method, rest) {
                ("GET", []) => risk::queue::show(doors, visitor).await,
                ("GET", [id]) => risk::case::show(doors, visitor, number(id)?).await,
                ("POST", [id, "preview"]) => risk::decide::preview(doors, visitor, number(id)?).await,
                ("POST", [id, "review"]) => risk::decide::review(doors, visitor, number(id)?).await,
                ("POST", [id, "undo"]) => risk::decide::undo(doors, visitor, number(id)?).await,
                _ => Err(no_page()),
            }
        }
        ("GET", ["audit"]) => {
            visitor.one_of(&[Operator])?;
            audit::show(doors, visitor)
        }
        ("GET", ["audit.jsonl"]) => {
            visitor.one_of(&[Operator])?;
            audit::export(doors)
        }
        ("GET", ["members", id]) => {
            desk(visitor)?;
            member::show(doors, visitor, id).await
        }
        ("GET" | "POST", ["offers", rest @ ..]) => {
            portal(visitor)?;
            match (method, rest) {
                ("GET", []) => merchant::list::show(doors, visitor).await,
                ("GET", ["new"]) => merchant::edit::begin(doors, visitor).await,
                ("POST", ["new"]) => merchant::edit::create(doors, visitor).await,
                ("POST", ["validate"]) => merchant::edit::validate(visitor),
                ("GET", [id]) => merchant::offer::show(doors, visitor, id).await,
                ("POST", [id]) => merchant::edit::save(doors, visitor, id).await,
                ("GET", [id, "edit"]) => merchant::edit::open(doors, visitor, id).await,
                ("POST", [id, "steps", word]) => merchant::offer::step(doors, visitor, id, word).await,
                _ => Err(no_page()),
            }
        }
        _ => Err(no_page()),
    }
}

/// Puts what was seen or done on the audit list. What cannot be put there is not shown.
fn written_down(doors: &Doors, visitor: &Visitor<'_>, parts: &[&str]) -> Result<(), Reply> {
    let method = visitor.request.method.as_str();
    let Some(did) = audit::deed(method, parts, visitor.form.get("verdict")) else { return Ok(()) };
    note(doors, &visitor.caller, did, visitor.request, visitor.now)
}

fn note(doors: &Doors, caller: &Caller, did: String, request: &Request, now: Timestamp) -> Result<(), Reply> {
    doors.console_audit.note(&audit::Entry::of(caller, did, &request.id, now)).map_err(|error| {
        tracing::error!(%error, "the audit list of the consoles cannot be written");
        reply::come_back("the audit list cannot be written, so nothing is shown; what was decided stands")
    })
}

/// Where somebody of a role begins.
fn home(role: Role) -> &'static str {
    if role == Merchant { "/console/offers" } else { "/console/cases" }
}

fn no_page() -> Reply {
    reply::not_found("there is no such page")
}

fn number(text: &str) -> Result<u64, Reply> {
    text.parse().map_err(|_| no_page())
}
