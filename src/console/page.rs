//! What all pages share: who looks, the frame around them, and the headers they go out with.

use super::{assets, session, words};
use crate::api::reply::{self, Reply};
use crate::authenticate::keys::{Caller, Role};
use crate::domain::Timestamp;
use crate::wire::{Problem, Request};
use askama::Template;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, HeaderName, HeaderValue, LOCATION, ORIGIN,
    REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Response, StatusCode};

/// Everything from here, nothing inline, nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Who looks at a page.
pub(super) struct Visitor<'a> {
    /// By whose key.
    pub caller: Caller,
    /// What every form of the session carries.
    pub csrf: String,
    /// They came by a link that is good once.
    pub by_link: bool,
    /// Another process screens the store that this one shares.
    pub elsewhere: bool,
    /// The session's token.
    pub token: &'a str,
    /// What they ask for.
    pub request: &'a Request,
    /// What they sent.
    pub form: super::form::Form,
    /// When.
    pub now: Timestamp,
}

impl Visitor<'_> {
    /// Refuses whoever has another role.
    pub(super) fn one_of(&self, roles: &[Role]) -> Result<(), Reply> {
        if roles.contains(&self.caller.role) {
            return Ok(());
        }
        let words: Vec<&str> = roles.iter().map(|role| role.name()).collect();
        Err(reply::not_allowed(format!("this page is for the roles {}", words.join(", "))))
    }

    /// Refuses what no form of this session sent.
    pub(super) fn check_form(&self) -> Result<(), Reply> {
        if is_ours(self.request) && same(self.form.get("csrf"), &self.csrf) {
            return Ok(());
        }
        Err(reply::not_allowed("this form is of another session; load its page again and send it from there"))
    }

    /// The frame of a page of theirs.
    pub(super) fn chrome(&self, here: &'static str) -> Chrome {
        let by = words::by(self.caller.key_id.as_str());
        let of = self.caller.merchant.as_ref().map_or_else(|| self.caller.role.to_string(), ToString::to_string);
        let is_user = self.caller.key_id.user().is_some();
        let elsewhere = self.elsewhere && matches!(here, "cases" | "detectors" | "performance" | "locations");
        let (who, role) = (format!("{of} · {by}"), Some(self.caller.role));
        Chrome { who, role, is_user, csrf: self.csrf.clone(), here, elsewhere }
    }
}

/// The frame around a page.
pub(super) struct Chrome {
    /// Who looks, in words.
    pub who: String,
    /// In which role; `None` before the door.
    pub role: Option<Role>,
    /// Whether they have a password.
    pub is_user: bool,
    /// What its forms carry.
    pub csrf: String,
    /// Which part of the console it is.
    pub here: &'static str,
    /// It shows what only the process that screens knows whole, and this one is not it.
    pub elsewhere: bool,
}

impl Chrome {
    /// Before the door.
    pub(super) fn outside() -> Self {
        Self { who: String::new(), role: None, is_user: false, csrf: String::new(), here: "", elsewhere: false }
    }
    /// Whether the risk desk is theirs.
    pub(super) fn desk(&self) -> bool {
        matches!(self.role, Some(Role::Operator | Role::Risk))
    }
    /// Whether the offers are theirs.
    pub(super) fn portal(&self) -> bool {
        matches!(self.role, Some(Role::Operator | Role::Merchant))
    }
    /// Whether the operators' pages are theirs.
    pub(super) fn overseer(&self) -> bool {
        self.role == Some(Role::Operator)
    }
    /// The merchants' pages and what they are called.
    #[expect(clippy::unused_self, reason = "templates ask what they have at hand")]
    pub(super) fn merchants(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("offers", "Offers"),
            ("performance", "Performance"),
            ("locations", "Locations"),
            ("competitors", "Competitors"),
        ]
    }
    /// The operators' pages and what they are called.
    #[expect(clippy::unused_self, reason = "templates ask what they have at hand")]
    pub(super) fn operators(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("sources", "Sources"),
            ("dead-letters", "Dead letters"),
            ("state", "State"),
            ("ledger", "Ledger"),
            ("access", "Access"),
            ("audit", "Audit"),
        ]
    }
    /// Of the files.
    #[expect(clippy::unused_self, reason = "templates ask what they have at hand")]
    pub(super) fn files(&self) -> &'static str {
        assets::version()
    }
}

/// Compares without telling by the time how much is right.
pub(super) fn same(given: &str, right: &str) -> bool {
    let differ = given.bytes().zip(right.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b));
    !right.is_empty() && given.len() == right.len() && differ == 0
}

/// Whether a form was sent from a page of this address, as far as the browser says.
pub(super) fn is_ours(request: &Request) -> bool {
    let header = |name: HeaderName| request.headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = header(HeaderName::from_static("sec-fetch-site")) {
        return matches!(site, "same-origin" | "none");
    }
    let host = header(HOST).or_else(|| request.uri.authority().map(|authority| authority.as_str()));
    match (header(ORIGIN), host) {
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, of)| of == host),
        // A browser that sends forms says where from; what is no browser has no cookie to abuse.
        _ => true,
    }
}

/// A cookie of the request.
pub(super) fn cookie<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let lines = request.headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).find_map(|pair| {
        let (known, value) = pair.trim().split_once('=')?;
        (known == name).then_some(value)
    })
}

/// Whether the browser came by TLS, as far as the proxy says.
pub(super) fn is_tls(request: &Request) -> bool {
    let proto = request.headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    proto.is_some_and(|proto| proto.eq_ignore_ascii_case("https")) || request.uri.scheme_str() == Some("https")
}

/// A cookie for the consoles alone; `seconds` 0 takes it away.
pub(super) fn set_cookie(request: &Request, name: &str, value: &str, seconds: i64) -> String {
    let secure = if is_tls(request) { "; Secure" } else { "" };
    format!("{name}={value}; Path=/console; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

/// The session's cookie.
pub(super) fn session_cookie(request: &Request, token: &str) -> String {
    set_cookie(request, session::COOKIE, token, session::SESSION_MS / 1000)
}

fn response(status: StatusCode, kind: &'static str, cache: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, cache),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // The origin alone, and to ourselves: without it a browser sends forms as of nobody.
        (REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A page.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Reply {
    page_with(status, template, None)
}

/// A page that sets a cookie.
pub(super) fn page_with(status: StatusCode, template: &impl Template, cookie: Option<&str>) -> Reply {
    let Ok(text) = template.render() else { return reply::come_back("the page could not be made") };
    let mut response = response(status, "text/html; charset=utf-8", "no-store", text.into());
    if let Some(value) = cookie.and_then(|cookie| HeaderValue::from_str(cookie).ok()) {
        response.headers_mut().append(SET_COOKIE, value);
    }
    Reply::Page(Box::new(response))
}

/// A file that never changes under its address.
pub(super) fn kept_long(kind: &'static str, body: Bytes) -> Reply {
    Reply::Page(Box::new(response(StatusCode::OK, kind, "public, max-age=31536000, immutable", body)))
}

/// Look there now.
pub(super) fn see_other(place: &str, cookie: Option<&str>) -> Reply {
    let mut response = response(StatusCode::SEE_OTHER, "text/plain", "no-store", Bytes::new());
    for (name, text) in [(LOCATION, Some(place)), (SET_COOKIE, cookie)] {
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(text).ok()) {
            response.headers_mut().append(name, value);
        }
    }
    Reply::Page(Box::new(response))
}

/// Text fit for a part of an address.
pub(super) fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[derive(Template)]
#[template(path = "problem.html", config = "src/console/askama.toml")]
struct ProblemPage {
    chrome: Chrome,
    title: String,
    faults: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "faults.html", config = "src/console/askama.toml")]
struct ProblemPart {
    faults: Vec<(String, String)>,
}

/// All that is wrong: where, and what to do.
pub(super) fn faults(problem: &Problem) -> Vec<(String, String)> {
    if problem.errors.is_empty() {
        return vec![(problem.field.clone().unwrap_or_default(), problem.detail.to_string())];
    }
    problem.errors.iter().map(|entry| (entry.field.clone(), entry.detail.clone())).collect()
}

/// A refusal as a page, or as a part of one when a part was asked for.
pub(super) fn problem(visitor: Option<&Visitor<'_>>, request: &Request, reply: Reply) -> Reply {
    let Reply::Problem(problem) = reply else { return reply };
    let faults = faults(&problem);
    if request.headers.contains_key("hx-request") {
        // A part is put into its page whatever was wrong.
        return page(StatusCode::OK, &ProblemPart { faults });
    }
    let chrome = visitor.map_or_else(Chrome::outside, |visitor| visitor.chrome(""));
    page(problem.status, &ProblemPage { chrome, title: problem.title.to_owned(), faults })
}
