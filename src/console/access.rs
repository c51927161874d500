//! Who may come in: users with their roles, API keys, and links that are good once. For operators.

use crate::api::Doors;
use crate::api::reply::{self, Reply};
use crate::authenticate::keys::users::{UserName, UserRecord};
use crate::authenticate::keys::{KeyId, KeyRecord, NewKey, Role};
use crate::console::page::{self, Chrome, Visitor};
use crate::console::{session, words};
use crate::domain::MerchantId;
use askama::Template;
use hyper::StatusCode;
use hyper::header::HOST;

/// Keys that the page shows, newest first.
const KEYS_SHOWN_MAX: usize = 200;

#[derive(Template)]
#[template(path = "access.html", config = "src/console/askama.toml")]
struct AccessPage {
    chrome: Chrome,
    users: Vec<UserRow>,
    keys: Vec<KeyRow>,
    keys_left_out: usize,
    roles: [&'static str; 5],
    made: Option<Made>,
}

struct UserRow {
    name: String,
    role: &'static str,
    merchant: String,
    since: String,
    set: bool,
    own: bool,
}

struct KeyRow {
    id: String,
    role: &'static str,
    merchant: String,
    label: String,
    since: String,
    revoked: String,
    has_console: bool,
}

/// What was just made, shown this once.
pub(super) struct Made {
    words: String,
    secret: String,
    link: String,
}

/// The page.
pub(super) fn show(doors: &Doors, visitor: &Visitor<'_>, made: Option<Made>) -> Reply {
    let keys = doors.keys.list();
    let own = visitor.caller.key_id.user();
    page::page(
        StatusCode::OK,
        &AccessPage {
            chrome: visitor.chrome("access"),
            users: doors.keys.users().iter().map(|user| user_row(user, own.as_ref())).collect(),
            keys_left_out: keys.len().saturating_sub(KEYS_SHOWN_MAX),
            keys: keys.iter().rev().take(KEYS_SHOWN_MAX).map(key_row).collect(),
            roles: Role::ALL.map(Role::name),
            made,
        },
    )
}

fn user_row(user: &UserRecord, own: Option<&UserName>) -> UserRow {
    UserRow {
        name: user.name.to_string(),
        role: user.role.name(),
        merchant: user.merchant.as_ref().map(ToString::to_string).unwrap_or_default(),
        since: words::when(user.created_at),
        set: user.password.is_some(),
        own: own == Some(&user.name),
    }
}

fn key_row(key: &KeyRecord) -> KeyRow {
    KeyRow {
        id: key.id.to_string(),
        role: key.role.name(),
        merchant: key.merchant.as_ref().map(ToString::to_string).unwrap_or_default(),
        label: key.label.clone().unwrap_or_default(),
        since: words::when(key.created_at),
        revoked: key.revoked_at.map_or_else(String::new, words::when),
        has_console: key.role.has_console(),
    }
}

/// Role and merchant of a form.
fn role(visitor: &Visitor<'_>) -> Result<(Role, Option<MerchantId>), Reply> {
    let wrong = |field: &str, detail: String| reply::impossible("bad_value", field, detail);
    let role: Role = visitor.form.get("role").parse().map_err(|error| wrong("role", format!("{error}")))?;
    let merchant = Some(visitor.form.get("merchant").trim()).filter(|text| !text.is_empty());
    let merchant = merchant.map(MerchantId::new).transpose();
    Ok((role, merchant.map_err(|error| wrong("merchant", error.to_string()))?))
}

/// A user's name in a path.
fn name(text: &str) -> Result<UserName, Reply> {
    text.parse().map_err(|_| reply::not_found("there is no such user"))
}

/// Makes a link for somebody.
async fn link(doors: &Doors, visitor: &Visitor<'_>, who: KeyId) -> Result<String, Reply> {
    let random = session::random().map_err(|_| reply::come_back("try again"))?;
    let now = visitor.now;
    let token = super::with_keys(doors, move |keys| keys.invite(&who, now, &random)).await?;
    let host = visitor.request.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let scheme = if page::is_tls(visitor.request) { "https" } else { "http" };
    Ok(format!("{scheme}://{host}/console/sign-in?once={}", token.expose()))
}

/// Enters a user, and makes the link by which they come in first.
pub(super) async fn add_user(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let (role, merchant) = role(visitor)?;
    let wanted = visitor.form.get("name").trim().parse::<UserName>();
    let wanted = wanted.map_err(|error| reply::impossible("bad_value", "name", error.to_string()))?;
    let now = visitor.now;
    let user = super::with_keys(doors, move |keys| keys.create_user(wanted, role, merchant, now)).await?;
    let link = link(doors, visitor, KeyId::of_user(&user.name)).await?;
    let words = format!("{} is entered. Give them this link: by it they choose their password.", user.name);
    Ok(show(doors, visitor, Some(Made { words, secret: String::new(), link })))
}

/// Makes a new link for a user, who may choose a new password by it.
pub(super) async fn link_user(doors: &Doors, visitor: &Visitor<'_>, user: &str) -> Result<Reply, Reply> {
    let name = name(user)?;
    let known = doors.keys.user(&name).ok_or_else(|| reply::not_found("there is no such user"))?;
    let link = link(doors, visitor, KeyId::of_user(&known.name)).await?;
    Ok(show(doors, visitor, Some(Made { words: format!("A link for {name}."), secret: String::new(), link })))
}

/// Takes a user away; where they are signed in they are not any more.
pub(super) async fn remove_user(doors: &Doors, visitor: &Visitor<'_>, user: &str) -> Result<Reply, Reply> {
    let name = name(user)?;
    if visitor.caller.key_id == KeyId::of_user(&name) {
        return Err(reply::conflict("not_now", "nobody removes themselves; let another operator do it"));
    }
    super::with_keys(doors, move |keys| keys.remove_user(&name)).await?;
    Ok(page::see_other("/console/access", None))
}

/// Makes a key.
pub(super) async fn add_key(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let (role, merchant) = role(visitor)?;
    let label = Some(visitor.form.get("label").trim().to_owned()).filter(|label| !label.is_empty());
    let random = session::random().map_err(|_| reply::come_back("try again"))?;
    let now = visitor.now;
    let new = NewKey { role, merchant, label };
    let (key, secret) = super::with_keys(doors, move |keys| keys.create(new, now, &random)).await?;
    let link = if role.has_console() { link(doors, visitor, key.id.clone()).await? } else { String::new() };
    let words = format!("Key {} of role {role} is made.", key.id);
    Ok(show(doors, visitor, Some(Made { words, secret: secret.expose().to_owned(), link })))
}

fn key_id(text: &str) -> Result<KeyId, Reply> {
    text.parse().map_err(|_| reply::not_found("there is no such key"))
}

/// Makes a sign-in for the holder of a key.
pub(super) async fn link_key(doors: &Doors, visitor: &Visitor<'_>, id: &str) -> Result<Reply, Reply> {
    let known = doors.keys.caller(&key_id(id)?).filter(|caller| caller.role.has_console());
    let known = known.ok_or_else(|| reply::not_found("there is no such key that has a console"))?;
    let link = link(doors, visitor, known.key_id).await?;
    Ok(show(doors, visitor, Some(Made { words: format!("A link for key {id}."), secret: String::new(), link })))
}

/// Ends a key.
pub(super) async fn revoke_key(doors: &Doors, visitor: &Visitor<'_>, id: &str) -> Result<Reply, Reply> {
    let (id, now) = (key_id(id)?, visitor.now);
    super::with_keys(doors, move |keys| keys.revoke(&id, now)).await?;
    Ok(page::see_other("/console/access", None))
}
