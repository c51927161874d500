//! The consoles: pages for the risk desk, merchants and operators, made by the server from compiled
//! templates. A page shows what the API's doors show and acts through the same calls; here is only
//! how it looks. Scripts and styles come with the program, and nothing is loaded from elsewhere.

mod access;
mod assets;
pub mod audit;
mod form;
mod member;
mod merchant;
mod operate;
mod page;
mod password;
mod replay;
mod risk;
pub mod session;
mod sign_in;
mod words;

use crate::api::Doors;
use crate::api::detectors::Counts;
use crate::api::read;
use crate::api::reply::{self, Reply};
use crate::authenticate::keys::Role::{self, Merchant, Operator, Risk};
use crate::authenticate::keys::{KeyRing, KeysError};
use crate::config::ConsoleSettings;
use crate::domain::Timestamp;
use crate::wire::Request;
use audit::Outcome;
use form::Form;
use page::Visitor;
use std::sync::Arc;

/// What the consoles keep besides the books: in memory, but for the list of who did what.
#[derive(Debug)]
pub struct Console {
    /// Who is signed in.
    pub sessions: session::Sessions,
    /// How often somebody may try to.
    pub tries: sign_in::Tries,
    /// Who saw and did what.
    pub audit: Arc<audit::Audit>,
    /// Who works on which case.
    pub taken: risk::take::Taken,
    /// All cases as they were a moment ago.
    pub desk: Arc<risk::desk::Desk>,
}

/// How many cases stand where and what became of them, as the desk knew it a moment ago.
pub(crate) async fn counted(doors: &Doors) -> Result<Counts, Reply> {
    Ok(risk::desk::known(doors, doors.engine.clock.now()).await?.counts.clone())
}

impl Console {
    /// Nobody is signed in; the list lies beside the keys.
    #[must_use]
    pub fn new(keys: &KeyRing, settings: ConsoleSettings) -> Self {
        let dir = keys.path().parent().map(std::path::Path::to_owned).unwrap_or_default();
        Self {
            sessions: session::Sessions::default(),
            tries: sign_in::Tries::default(),
            audit: Arc::new(audit::Audit::at(dir, settings.audit_bytes_max)),
            taken: risk::take::Taken::new(settings.take_idle),
            desk: Arc::default(),
        }
    }
}

/// Does what blocks where that is allowed.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("what blocks answers, it does not panic")
}

/// Does something with the keys and users, whose file is written meanwhile.
async fn with_keys<T: Send + 'static>(
    doors: &Doors,
    work: impl FnOnce(&KeyRing) -> Result<T, KeysError> + Send + 'static,
) -> Result<T, Reply> {
    let keys = Arc::clone(&doors.keys);
    apart(move || work(&keys)).await.map_err(|error| match error {
        KeysError::Io { .. } | KeysError::Broken { .. } | KeysError::Vanished(_) => {
            tracing::error!(error = %crate::pipeline::Chain(&error), "the file of keys and users cannot be changed");
            reply::come_back("the file of keys and users cannot be changed")
        }
        KeysError::Unknown(_) | KeysError::UnknownUser(_) => reply::not_found(error.to_string()),
        other => reply::impossible("bad_value", "", other.to_string()),
    })
}

/// Answers a request for a page.
pub async fn answer(doors: &Doors, request: &Request) -> Reply {
    let path = request.uri.path().strip_prefix("/console").unwrap_or_default().trim_matches('/');
    let parts: Option<Vec<String>> = path.split('/').map(|part| read::decoded(part, false)).collect();
    let Some(parts) = parts else { return page::problem(None, request, no_page()) };
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let now = doors.engine.clock.now();
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["static", name]) => return assets::file(name),
        ("GET", ["sign-in"]) => return sign_in::show(request),
        ("POST", ["sign-in"]) => return sign_in::enter(doors, request, now).await,
        _ => {}
    }
    let Some(visitor) = visitor(doors, request, now).await else { return page::see_other("/console/sign-in", None) };
    match noted(doors, &visitor, &parts).await {
        Ok(reply @ Reply::Problem(_)) | Err(reply) => page::problem(Some(&visitor), request, reply),
        Ok(reply) => reply,
    }
}

/// Shows or does what is asked for, and writes down that it was.
async fn noted(doors: &Doors, visitor: &Visitor<'_>, parts: &[&str]) -> Result<Reply, Reply> {
    let Some(did) = audit::deed(visitor, parts) else { return inside(doors, visitor, parts).await };
    let entry = audit::Entry::of(&visitor.caller, did, &visitor.request.id, visitor.now);
    if visitor.request.method == "POST" {
        // Before it is done: else a crash could leave an act of nobody.
        let begun = note(doors, audit::Entry { outcome: Outcome::Begun, ..entry.clone() }).await;
        begun.map_err(|()| reply::come_back("the audit list cannot be written, so nothing is done"))?;
    }
    let reply = inside(doors, visitor, parts).await;
    let refused = matches!(reply, Ok(Reply::Problem(_)) | Err(_));
    let outcome = if refused { Outcome::Refused } else { Outcome::Done };
    match note(doors, audit::Entry { outcome, ..entry }).await {
        // Of what could not be written down nothing is shown.
        Err(()) if !refused => Err(reply::come_back(
            "the audit list cannot be written, so nothing is shown; what was done stands, and the list has that it was begun",
        )),
        _ => reply,
    }
}

/// Who asks, when they are signed in and their key still stands.
async fn visitor<'a>(doors: &Doors, request: &'a Request, now: Timestamp) -> Option<Visitor<'a>> {
    let token = page::cookie(request, session::COOKIE)?;
    let session = doors.console.sessions.find(token, now)?;
    let user = session.caller.key_id.user().and_then(|name| doors.keys.user(&name));
    // Whoever changed the password, here or by the command line, meant to end what began with it.
    if !doors.keys.stands(&session.caller) || user.and_then(|user| user.password) != session.password {
        doors.console.sessions.close(token);
        return None;
    }
    let session::Session { caller, csrf, by_link, .. } = session;
    let elsewhere = doors.screener.is_elsewhere();
    Some(Visitor { caller, csrf, by_link, elsewhere, token, request, form: Form::of(request).await, now })
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
                ("GET", ["counts"]) => risk::counts::show(doors, visitor).await,
                ("POST", ["next"]) => risk::queue::take_next(doors, visitor).await,
                ("POST", ["report"]) => risk::decide::report(doors, visitor).await,
                ("POST", [id, "take"]) => risk::case::take(doors, visitor, number(id)?),
                ("POST", [id, "release"]) => risk::case::release(doors, visitor, number(id)?),
                ("GET", [id]) => risk::case::show(doors, visitor, number(id)?).await,
                ("GET", [id, "progress"]) => risk::case::progress(doors, visitor, number(id)?).await,
                ("POST", [id, "preview"]) => risk::decide::preview(doors, visitor, number(id)?).await,
                ("POST", [id, "review"]) => risk::decide::review(doors, visitor, number(id)?).await,
                ("POST", [id, "second"]) => risk::decide::second(doors, visitor, number(id)?).await,
                ("POST", [id, "undo"]) => risk::decide::undo(doors, visitor, number(id)?).await,
                _ => Err(no_page()),
            }
        }
        ("GET", ["audit", rest @ ..]) => {
            visitor.one_of(&[Operator])?;
            match rest {
                [] => audit::show(doors, visitor).await,
                [name] => audit::export(doors, name).await,
                _ => Err(no_page()),
            }
        }
        ("GET" | "POST", ["access", rest @ ..]) => {
            visitor.one_of(&[Operator])?;
            match (method, rest) {
                ("GET", []) => Ok(access::show(doors, visitor, None)),
                ("POST", ["users"]) => access::add_user(doors, visitor).await,
                ("POST", ["users", name, "link"]) => access::link_user(doors, visitor, name).await,
                ("POST", ["users", name, "remove"]) => access::remove_user(doors, visitor, name).await,
                ("POST", ["keys"]) => access::add_key(doors, visitor).await,
                ("POST", ["keys", id, "link"]) => access::link_key(doors, visitor, id).await,
                ("POST", ["keys", id, "revoke"]) => access::revoke_key(doors, visitor, id).await,
                _ => Err(no_page()),
            }
        }
        ("GET", ["performance"]) => {
            portal(visitor)?;
            merchant::performance::show(doors, visitor).await
        }
        ("GET", ["heard", rest @ ..]) => {
            portal(visitor)?;
            match rest {
                [] | ["part"] => merchant::locations::heard(doors, visitor, rest.is_empty()).await,
                _ => Err(no_page()),
            }
        }
        ("GET" | "POST", ["locations", rest @ ..]) => {
            portal(visitor)?;
            match (method, rest) {
                ("GET", []) => merchant::locations::show(doors, visitor).await,
                ("GET", ["texts"]) => merchant::locations::texts(doors, visitor).await,
                ("POST", []) => merchant::locations::add(doors, visitor).await,
                ("POST", ["link"]) => merchant::locations::link(doors, visitor).await,
                ("POST", ["import"]) => merchant::locations::import(doors, visitor).await,
                _ => Err(no_page()),
            }
        }
        ("GET" | "POST", ["competitors", rest @ ..]) => {
            portal(visitor)?;
            match (method, rest) {
                ("GET", []) => merchant::competitors::show(doors, visitor).await,
                ("POST", []) => merchant::competitors::declare(doors, visitor).await,
                ("POST", ["remove"]) => merchant::competitors::remove(doors, visitor).await,
                _ => Err(no_page()),
            }
        }
        ("GET", ["sources"]) => {
            visitor.one_of(&[Operator])?;
            operate::sources::show(doors, visitor).await
        }
        ("GET", ["state"]) => {
            visitor.one_of(&[Operator])?;
            operate::state::show(doors, visitor).await
        }
        ("GET", ["ledger"]) => {
            visitor.one_of(&[Operator])?;
            operate::ledger::show(doors, visitor).await
        }
        ("GET" | "POST", ["dead-letters", rest @ ..]) => {
            visitor.one_of(&[Operator])?;
            match (method, rest) {
                ("GET", []) => operate::letters::show(doors, visitor, None).await,
                ("POST", [id, "replay"]) => operate::letters::replay(doors, visitor, number(id)?).await,
                _ => Err(no_page()),
            }
        }
        ("GET", ["password"]) => password::show(doors, visitor),
        ("POST", ["password"]) => password::set(doors, visitor).await,
        ("GET", ["members", id, rest @ ..]) => {
            desk(visitor)?;
            match rest {
                [] => member::show(doors, visitor, id).await,
                ["around"] => risk::around::show(doors, id).await,
                ["purchases", source, purchase] => replay::show(doors, visitor, id, source, purchase).await,
                _ => Err(no_page()),
            }
        }
        ("GET" | "POST", ["detectors", rest @ ..]) => {
            desk(visitor)?;
            match (method, rest) {
                ("GET", []) => risk::detectors::show(doors, visitor).await,
                ("POST", ["rules"]) => risk::rules::say(doors, visitor).await,
                ("POST", ["rules", id, "state"]) => risk::rules::step(doors, visitor, id).await,
                ("GET", ["backtests"]) => risk::backtests::show(doors),
                ("POST", ["backtests"]) => risk::backtests::begin(doors, visitor),
                ("POST", [name, version, "withdraw"]) => risk::detectors::withdraw(doors, visitor, name, version).await,
                _ => Err(no_page()),
            }
        }
        ("GET" | "POST", ["offers", rest @ ..]) => {
            portal(visitor)?;
            match (method, rest) {
                ("GET", []) => merchant::list::show(doors, visitor).await,
                ("GET", ["new"]) => merchant::edit::begin(doors, visitor).await,
                ("POST", ["new"]) => merchant::edit::create(doors, visitor).await,
                ("POST", ["validate"]) => merchant::edit::validate(visitor),
                ("POST", ["written"]) => merchant::edit::written(visitor),
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

/// Puts a line on the audit list.
async fn note(doors: &Doors, entry: audit::Entry) -> Result<(), ()> {
    let audit = Arc::clone(&doors.console.audit);
    apart(move || audit.note(&entry)).await.map_err(|error| {
        tracing::error!(%error, "the audit list of the consoles cannot be written");
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
