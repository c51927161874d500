//! The door of the consoles: an API key, or a sign-in that is good once, becomes a session.

use super::form::Form;
use super::page::{self, Chrome, Visitor};
use super::session;
use crate::api::Doors;
use crate::api::read;
use crate::api::reply::{self, Reply};
use crate::authenticate::keys::{Caller, Role};
use crate::domain::Timestamp;
use crate::wire::Request;
use askama::Template;
use hyper::StatusCode;

/// Carries what the sign-in form must say, before there is a session.
const FORM_COOKIE: &str = "ringfence_sign_in";

#[derive(Template)]
#[template(path = "sign_in.html", config = "src/console/askama.toml")]
struct SignIn {
    chrome: Chrome,
    csrf: String,
    wrong: &'static str,
}

/// The form; or straight in with `?once=`.
pub(super) fn show(doors: &Doors, request: &Request, now: Timestamp) -> Reply {
    let Ok(Some(once)) = read::query(request, "once") else { return form(request, StatusCode::OK, "") };
    match doors.sessions.take_once(&once, now).filter(|caller| doors.keys.stands(caller)) {
        Some(caller) => begin(doors, request, caller, now),
        None => form(request, StatusCode::UNAUTHORIZED, "This sign-in was used, or is older than ten minutes."),
    }
}

/// Takes the form.
pub(super) fn enter(doors: &Doors, request: &Request, now: Timestamp) -> Reply {
    let sent = Form::of(request);
    let expected = page::cookie(request, FORM_COOKIE).unwrap_or_default();
    if !page::is_ours(request) || !page::same(sent.get("csrf"), expected) {
        return form(request, StatusCode::FORBIDDEN, "The form had grown old. Please sign in again.");
    }
    match doors.keys.verify(sent.get("key").trim()) {
        None => form(request, StatusCode::UNAUTHORIZED, "This is no valid key."),
        Some(caller) if matches!(caller.role, Role::App | Role::Auditor) => {
            form(request, StatusCode::FORBIDDEN, "Keys of this role have no console.")
        }
        Some(caller) => begin(doors, request, caller, now),
    }
}

fn begin(doors: &Doors, request: &Request, caller: Caller, now: Timestamp) -> Reply {
    let place = super::home(caller.role);
    tracing::info!(request = %request.id, key = %caller.key_id, role = %caller.role, "somebody signed in to the console");
    if let Err(refused) = super::note(doors, &caller, "sign in".to_owned(), request, now) {
        return page::problem(None, request, refused);
    }
    match doors.sessions.open(caller, now) {
        Ok(token) => page::see_other(place, Some(&page::session_cookie(request, &token))),
        Err(_) => reply::come_back("sign in again"),
    }
}

fn form(request: &Request, status: StatusCode, wrong: &'static str) -> Reply {
    let Ok(csrf) = session::token() else { return reply::come_back("load the page again") };
    let cookie = page::set_cookie(request, FORM_COOKIE, &csrf, 3_600);
    page::page_with(status, &SignIn { chrome: Chrome::outside(), csrf, wrong }, Some(&cookie))
}

/// Ends the session.
pub(super) fn leave(doors: &Doors, visitor: &Visitor<'_>) -> Reply {
    doors.sessions.close(visitor.token);
    let cookie = page::set_cookie(visitor.request, session::COOKIE, "", 0);
    page::see_other("/console/sign-in", Some(&cookie))
}
