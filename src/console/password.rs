//! A user's own password: set after the first sign-in, changed by whoever knows it.

use crate::api::Doors;
use crate::api::reply::{self, Reply};
use crate::authenticate::keys::users::{PASSWORD_CHARS_MIN, PasswordHash, UserName, UserRecord};
use crate::console::page::{self, Chrome, Visitor};
use crate::console::session;
use askama::Template;
use hyper::StatusCode;

#[derive(Template)]
#[template(path = "password.html", config = "src/console/askama.toml")]
struct PasswordPage {
    chrome: Chrome,
    /// The one there is need not be said.
    first: bool,
    chars_min: usize,
    wrong: String,
}

/// Who looks, when it is a user.
fn user(doors: &Doors, visitor: &Visitor<'_>) -> Result<UserRecord, Reply> {
    let name: Option<UserName> = visitor.caller.key_id.user();
    name.and_then(|name| doors.keys.user(&name))
        .ok_or_else(|| reply::not_found("a key has no password; an operator enters users under Access"))
}

/// Whether the password as it is need not be said: there is none, or a link let them in.
fn is_first(visitor: &Visitor<'_>, user: &UserRecord) -> bool {
    user.password.is_none() || visitor.by_link
}

fn form(visitor: &Visitor<'_>, first: bool, status: StatusCode, wrong: String) -> Reply {
    let chrome = visitor.chrome("password");
    page::page(status, &PasswordPage { chrome, first, chars_min: PASSWORD_CHARS_MIN, wrong })
}

/// The form.
pub(super) fn show(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let user = user(doors, visitor)?;
    Ok(form(visitor, is_first(visitor, &user), StatusCode::OK, String::new()))
}

/// Sets it.
pub(super) async fn set(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let user = user(doors, visitor)?;
    let first = is_first(visitor, &user);
    let refused = |wrong: String| Ok(form(visitor, first, StatusCode::UNPROCESSABLE_ENTITY, wrong));
    let (old, new) = (visitor.form.get("old"), visitor.form.get("new").to_owned());
    if new != visitor.form.get("again") {
        return refused("Both must be the same.".to_owned());
    }
    if !first && !doors.console.tries.is_right(user.password.clone(), old).await {
        return refused("This is not the password as it is.".to_owned());
    }
    let salt = session::random().map_err(|_| reply::come_back("set it again"))?;
    let hash = match super::apart(move || PasswordHash::of(&new, &salt)).await {
        Ok(hash) => hash,
        Err(bad) => return refused(format!("Choose another one: {bad}.")),
    };
    let set = hash.clone();
    super::with_keys(doors, move |keys| keys.set_password(&user.name, &set)).await?;
    // Every session of the password before is over: this one goes on as a new one.
    doors.console.sessions.close(visitor.token);
    let token = doors.console.sessions.open(visitor.caller.clone(), Some(hash), false, visitor.now);
    let token = token.map_err(|_| reply::come_back("sign in with the new password"))?;
    let cookie = page::session_cookie(visitor.request, &token);
    Ok(page::see_other(super::home(visitor.caller.role), Some(&cookie)))
}
