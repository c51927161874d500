//! The door of the consoles: a name with its password, an API key, or a link that is good once,
//! becomes a session. Guessing is slow, and nobody learns from an answer which names there are.

use super::audit;
use super::form::Form;
use super::page::{self, Chrome, Visitor};
use super::session;
use crate::api::Doors;
use crate::api::read;
use crate::api::reply::{self, Reply};
use crate::authenticate::keys::Caller;
use crate::authenticate::keys::users::{PasswordHash, SALT_BYTES, UserName};
use crate::domain::Timestamp;
use crate::wire::{AddressKey, LimitOptions, Limiter, Request};
use askama::Template;
use hyper::StatusCode;
use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Carries what the sign-in form must say, before there is a session.
const FORM_COOKIE: &str = "ringfence_sign_in";
/// Tries at once, for one name and from one address.
const TRIES: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
/// After them, one in so long a time.
const TRY_EVERY: Duration = Duration::from_secs(20);
/// Names and addresses remembered, of each.
const REMEMBERED_MAX: usize = 10_000;
/// Passwords looked at side by side: each takes 19 MiB.
const AT_ONCE: usize = 2;

/// What every unknown name is compared with, so that it takes as long as a known one.
static NOBODY: LazyLock<Option<PasswordHash>> =
    LazyLock::new(|| PasswordHash::of("nobody has this password", &[0; SALT_BYTES]).ok());

/// How often somebody may try to come in.
#[derive(Debug)]
pub struct Tries {
    names: Limiter<str>,
    addresses: Limiter<AddressKey>,
    hashing: Semaphore,
}

impl Default for Tries {
    fn default() -> Self {
        let options = LimitOptions { per_second: NonZeroU32::MIN, burst: TRIES, keys_max: REMEMBERED_MAX };
        Self {
            names: Limiter::every(TRY_EVERY, options),
            addresses: Limiter::every(TRY_EVERY, options),
            hashing: Semaphore::new(AT_ONCE),
        }
    }
}

impl Tries {
    /// Counts a try.
    fn count(&self, address: AddressKey, name: &str) -> Result<(), Reply> {
        let checked = self.addresses.check(&address);
        let checked = checked.and_then(|()| if name.is_empty() { Ok(()) } else { self.names.check(name) });
        checked.map_err(|wait| reply::slow_down(wait.seconds, "too many tries to sign in; wait and try again"))
    }

    /// Whether a password is a user's. Takes as long whoever is named.
    pub(super) async fn is_right(&self, hash: Option<PasswordHash>, password: &str) -> bool {
        let Ok(_one) = self.hashing.acquire().await else { return false };
        let password = password.to_owned();
        let looked = tokio::task::spawn_blocking(move || {
            let known = hash.is_some();
            let hash = NOBODY.as_ref().and_then(|nobody| hash.or_else(|| Some(nobody.clone())));
            hash.is_some_and(|hash| hash.is(&password)) && known
        });
        looked.await.unwrap_or(false)
    }
}

#[derive(Template)]
#[template(path = "sign_in.html", config = "src/console/askama.toml")]
struct SignIn {
    chrome: Chrome,
    csrf: String,
    wrong: &'static str,
    name: String,
    once: String,
}

impl SignIn {
    fn says(wrong: &'static str) -> Self {
        Self { chrome: Chrome::outside(), csrf: String::new(), wrong, name: String::new(), once: String::new() }
    }
}

/// The form; with `?once=` a single button: what looks at links before people do must not use
/// them up.
pub(super) fn show(request: &Request) -> Reply {
    let once = read::query(request, "once").ok().flatten().unwrap_or_default();
    form(request, StatusCode::OK, SignIn { once, ..SignIn::says("") })
}

/// Takes the form.
pub(super) async fn enter(doors: &Doors, request: &Request, now: Timestamp) -> Reply {
    let sent = Form::of(request).await;
    let expected = page::cookie(request, FORM_COOKIE).unwrap_or_default();
    if !page::is_ours(request) || !page::same(sent.get("csrf"), expected) {
        return form(request, StatusCode::FORBIDDEN, SignIn::says("The form had grown old. Please sign in again."));
    }
    let name = sent.get("name").trim();
    let address = AddressKey::from(doors.proxies.caller(request.peer, &request.headers));
    if let Err(refused) = doors.console.tries.count(address, name) {
        return page::problem(None, request, refused);
    }
    let (once, key) = (sent.get("once"), sent.get("key").trim());
    let (found, by_link, wrong) = if !once.is_empty() {
        (linked(doors, once, now).await, true, "This sign-in was used, or is older than ten minutes.")
    } else if name.is_empty() {
        (doors.keys.verify(key), false, "This is no valid key.")
    } else {
        (known(doors, name, sent.get("password")).await, false, "Name and password do not belong together.")
    };
    match found {
        None => {
            let name = name.to_owned();
            form(request, StatusCode::UNAUTHORIZED, SignIn { name, ..SignIn::says(wrong) })
        }
        Some(caller) if !caller.role.has_console() => {
            form(request, StatusCode::FORBIDDEN, SignIn::says("Keys of this role have no console."))
        }
        Some(caller) => begin(doors, request, caller, by_link, now).await,
    }
}

/// Whom a name and a password mean.
async fn known(doors: &Doors, name: &str, password: &str) -> Option<Caller> {
    let user = name.parse::<UserName>().ok().and_then(|name| doors.keys.user(&name));
    let hash = user.as_ref().and_then(|user| user.password.clone());
    let right = doors.console.tries.is_right(hash, password).await;
    let user = user.filter(|_| right)?;
    doors.keys.caller(&crate::authenticate::KeyId::of_user(&user.name))
}

/// Whom a link means, which is used up.
async fn linked(doors: &Doors, once: &str, now: Timestamp) -> Option<Caller> {
    let once = once.to_owned();
    super::with_keys(doors, move |keys| keys.accept(&once, now)).await.ok().flatten()
}

async fn begin(doors: &Doors, request: &Request, caller: Caller, by_link: bool, now: Timestamp) -> Reply {
    let user = caller.key_id.user().and_then(|name| doors.keys.user(&name));
    let unset = by_link && user.as_ref().is_some_and(|user| user.password.is_none());
    let place = if unset { "/console/password" } else { super::home(caller.role) };
    tracing::info!(request = %request.id, key = %caller.key_id, role = %caller.role, "somebody signed in to the console");
    if super::note(doors, audit::Entry::of(&caller, "sign in".to_owned(), &request.id, now)).await.is_err() {
        let refused = reply::come_back("the audit list cannot be written, so nobody is let in");
        return page::problem(None, request, refused);
    }
    match doors.console.sessions.open(caller, user.and_then(|user| user.password), by_link, now) {
        Ok(token) => page::see_other(place, Some(&page::session_cookie(request, &token))),
        Err(_) => reply::come_back("sign in again"),
    }
}

fn form(request: &Request, status: StatusCode, says: SignIn) -> Reply {
    let Ok(csrf) = session::token() else { return reply::come_back("load the page again") };
    let cookie = page::set_cookie(request, FORM_COOKIE, &csrf, 3_600);
    page::page_with(status, &SignIn { csrf, ..says }, Some(&cookie))
}

/// Ends the session.
pub(super) fn leave(doors: &Doors, visitor: &Visitor<'_>) -> Reply {
    doors.console.sessions.close(visitor.token);
    let cookie = page::set_cookie(visitor.request, session::COOKIE, "", 0);
    page::see_other("/console/sign-in", Some(&cookie))
}
