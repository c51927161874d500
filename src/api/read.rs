//! Reading requests: strict JSON documents with the path of every fault, path and query
//! parts, `If-Match`, `Idempotency-Key`. Knows no document and no route.

use super::access;
use super::check::{self, Fault, quoted};
use super::reply::{self, Reply};
use crate::authenticate::keys::Caller;
use crate::engine::acts::Named;
use crate::wire::Request;
use hyper::header::{CONTENT_TYPE, HeaderName, IF_MATCH, IF_NONE_MATCH};
use matchit::Params;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::str::FromStr;

/// Longest `Idempotency-Key`, in characters.
const KEY_CHARS_MAX: usize = 255;

/// Why a body is no document.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread {
    /// Not JSON.
    NotJson(String),
    /// JSON that cannot be meant.
    Fault(Fault),
}

impl From<Unread> for Reply {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::NotJson(detail) => reply::unreadable("unreadable", "", detail),
            Unread::Fault(fault) => fault.into(),
        }
    }
}

/// Whether the body is JSON, as far as its type says; callers that send no type mean JSON.
pub(super) fn is_json(request: &Request) -> bool {
    let Some(given) = request.headers.get(CONTENT_TYPE) else { return true };
    // As most write it.
    if given == "application/json" {
        return true;
    }
    let essence = given.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

/// The document in the body.
pub(super) fn document<T: DeserializeOwned + Serialize>(request: &Request) -> Result<T, Reply> {
    if !is_json(request) {
        return Err(reply::wrong_type());
    }
    parse(&request.body).map_err(Reply::from)
}

/// The document in the body, or an empty one when there is no body.
pub(super) fn document_or_default<T: DeserializeOwned + Serialize + Default>(request: &Request) -> Result<T, Reply> {
    if request.body.is_empty() { Ok(T::default()) } else { document(request) }
}

/// Reads a document strictly.
///
/// # Errors
/// [`Unread`], with the path of the first fault.
pub fn parse<T: DeserializeOwned + Serialize>(body: &[u8]) -> Result<T, Unread> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let not_json =
        |error: &serde_json::Error| Unread::NotJson(format!("the body is not JSON: {}", quoted(&error.to_string())));
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let place = || place(body, error.path());
        match error.inner().classify() {
            serde_json::error::Category::Data => {
                let message = error.inner().to_string();
                let key = message.strip_prefix("unknown variant `").and_then(|rest| rest.split('`').next());
                // A choice by key, of which there is no such: the place is an object then.
                match key.filter(|_| place().is_some_and(|at| at.is_object())) {
                    Some(key) => {
                        let path = if path == "." { key.to_owned() } else { format!("{path}.{key}") };
                        Unread::Fault(fault(&path, &message.replacen("variant", "field", 1)))
                    }
                    None => Unread::Fault(fault(&path, &message)),
                }
            }
            _ => place().map_or_else(|| not_json(error.inner()), |at| Unread::Fault(not_one_key(&path, &at))),
        }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    if body.contains(&b'[') {
        let given = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
        let read = serde_json::to_value(&value).map_err(|error| not_json(&error))?;
        if let Some(path) = list_for_object(&given, &read, "") {
            return Err(Unread::Fault(Fault::new("wrong_type", path, "is a list; expected an object")));
        }
    }
    Ok(value)
}

/// What the body has at a path; `None` when the body is not JSON.
fn place(body: &[u8], path: &serde_path_to_error::Path) -> Option<Value> {
    let mut value: Value = serde_json::from_slice(body).ok()?;
    for segment in path {
        value = match (segment, value) {
            (serde_path_to_error::Segment::Seq { index }, Value::Array(mut list)) if *index < list.len() => {
                list.swap_remove(*index)
            }
            (
                serde_path_to_error::Segment::Map { key } | serde_path_to_error::Segment::Enum { variant: key },
                Value::Object(mut map),
            ) => map.remove(key)?,
            (_, value) => return Some(value),
        };
    }
    Some(value)
}

/// Serde calls it no JSON when a choice by key has not exactly one key.
fn not_one_key(path: &str, at: &Value) -> Fault {
    let path = if path == "." { "" } else { path };
    match at {
        Value::Object(map) if map.is_empty() => {
            Fault::bad(path, "must have exactly one key, which says what it is; it has none")
        }
        Value::Object(map) => {
            let keys: Vec<_> = map.keys().map(String::as_str).collect();
            let detail = format!(
                "must have exactly one key, has {}: {}; make each an entry of its own",
                keys.len(),
                quoted(&keys.join(", "))
            );
            Fault::contradiction(path, detail)
        }
        _ => {
            Fault::new("wrong_type", path, "expected an object with exactly one key, or a word where words are allowed")
        }
    }
}

/// Serde takes a list where an object belongs, by the order of its keys. Nobody means that.
fn list_for_object(given: &Value, read: &Value, path: &str) -> Option<String> {
    match (given, read) {
        (Value::Array(_), Value::Object(_)) => Some(path.to_owned()),
        (Value::Array(given), Value::Array(read)) => given
            .iter()
            .zip(read)
            .enumerate()
            .find_map(|(place, (given, read))| list_for_object(given, read, &format!("{path}[{place}]"))),
        (Value::Object(given), Value::Object(read)) => given.iter().find_map(|(key, given)| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            list_for_object(given, read.get(key)?, &path)
        }),
        _ => None,
    }
}

/// Serde's words in ours.
fn fault(path: &str, message: &str) -> Fault {
    let message = message.rsplit_once(" at line ").map_or(message, |(before, _)| before);
    let path = if path == "." { "" } else { path };
    let below = |prefix: &str| {
        let name = message.strip_prefix(prefix)?.split('`').next()?;
        Some(if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") })
    };
    if let Some(path) = below("missing field `") {
        return Fault::new("missing_field", path, "is required");
    }
    if let Some(path) = below("duplicate field `") {
        return Fault::new("duplicate_key", path, "is given twice; give it once");
    }
    let mut detail = quoted(message);
    for (theirs, ours) in [
        ("unknown field", "unknown key"),
        ("unknown variant", "unknown word"),
        ("floating point", "fraction"),
        ("unit variant, expected newtype variant", "a word alone, expected an object with this key"),
        ("newtype variant, expected unit variant", "an object, expected a word alone"),
        (", expected i64", ", expected a whole number"),
        (", expected u64", ", expected a whole number from 0"),
        (", expected u32", ", expected a whole number from 0 to 4294967295"),
        (", expected u8", ", expected a whole number from 0 to 255"),
        (", expected i32", ", expected a whole number from -2147483648 to 2147483647"),
        (", there are no fields", "; no key is allowed here"),
    ] {
        detail = detail.replace(theirs, ours);
    }
    if message.starts_with("invalid length") {
        return Fault::new("wrong_type", path, "is a list; expected an object");
    }
    let code = match message {
        _ if message.starts_with("unknown field") => "unknown_field",
        _ if message.starts_with("invalid type") => "wrong_type",
        _ => "bad_value",
    };
    Fault::new(code, path, detail)
}

/// Undoes percent-encoding; `None` when what follows a percent sign is not two hexadecimal
/// digits, or the result is not UTF-8.
pub(crate) fn decoded(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(rest.next()?)? << 4 | digit(rest.next()?)?
            }
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A part of the path, undone.
pub(super) fn part(params: &Params<'_, '_>, name: &str) -> Result<String, Reply> {
    let raw = params.get(name).expect("the route has this part");
    decoded(raw, false).ok_or_else(|| {
        reply::unreadable(
            "unreadable",
            name,
            "a percent sign in the path must be followed by two hexadecimal digits of UTF-8",
        )
    })
}

/// An id in the path. Never a card number: ids are kept and logged.
pub(super) fn id<T>(params: &Params<'_, '_>, name: &str) -> Result<T, Reply>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    let text = part(params, name)?;
    check::no_card_number(name, &text)?;
    text.parse().map_err(|error: T::Err| Fault::bad(name, error.to_string()).into())
}

/// A part of the query; `None` when it is not there or empty.
pub(crate) fn query(request: &Request, name: &str) -> Result<Option<String>, Reply> {
    let query = request.uri.query().unwrap_or("");
    let found = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
    let Some((_, raw)) = found.filter(|(_, raw)| !raw.is_empty()) else { return Ok(None) };
    let text = decoded(raw, true);
    text.map(Some).ok_or_else(|| {
        reply::unreadable(
            "unreadable",
            name,
            "a percent sign in the query must be followed by two hexadecimal digits of UTF-8",
        )
    })
}

/// The version a change rests on, from `If-Match: "7"`, or 0 from `If-None-Match: *`, which
/// only creates.
pub(super) fn if_match(request: &Request) -> Result<Option<u64>, Reply> {
    let text = |name: HeaderName| request.headers.get(name).map(|value| value.to_str().unwrap_or("").trim().to_owned());
    if let Some(given) = text(IF_NONE_MATCH) {
        if given != "*" {
            return Err(reply::unreadable(
                "unreadable",
                "If-None-Match",
                "only `*` is understood: create, never replace",
            ));
        }
        return Ok(Some(0));
    }
    let Some(given) = text(IF_MATCH) else { return Ok(None) };
    let version = given.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
    let detail = "give the document's ETag as it was answered, such as \"7\", or leave the header out";
    version.map(Some).ok_or_else(|| reply::unreadable("unreadable", "If-Match", detail))
}

/// The request's own name, if it has one: the same again is answered as the first time.
/// It is bound to the caller's role, not to its key, so that a repeated pay-out stays one
/// while keys are rotated.
pub(super) fn named(
    request: &Request,
    caller: &Caller,
    document: &impl Serialize,
    forever: bool,
) -> Result<Option<Named>, Reply> {
    let Some(value) = request.headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().unwrap_or("");
    if !(1..=KEY_CHARS_MAX).contains(&key.len()) {
        let detail = format!("must be 1 to {KEY_CHARS_MAX} visible ASCII characters");
        return Err(reply::unreadable("unreadable", "Idempotency-Key", detail));
    }
    let merchant = caller.merchant.as_ref().map_or("", |merchant| merchant.as_str());
    let route = request.uri.path();
    let parts = [caller.role.name(), merchant, request.method.as_str(), route, key];
    let body = serde_json::to_vec(document).expect("our documents have a JSON form");
    Ok(Some(Named { key: hash(&parts), body: digest(&body), forever }))
}

/// A hash of several texts, each ended by a byte that no header and no id holds.
fn hash(parts: &[&str]) -> [u8; 16] {
    let mut joined = Vec::new();
    for part in parts {
        joined.extend_from_slice(part.as_bytes());
        joined.push(0);
    }
    digest(&joined)
}

fn digest(bytes: &[u8]) -> [u8; 16] {
    Sha256::digest(bytes)[..16].try_into().expect("a SHA-256 digest has thirty-two bytes")
}

/// An instant that a caller says something counts from. The past is an operator's alone,
/// unless the same was said before.
pub(super) fn counts_from(
    caller: &Caller,
    path: &str,
    at: Option<crate::domain::Timestamp>,
    now: crate::domain::Timestamp,
    said_before: bool,
) -> Result<(), Reply> {
    match at {
        Some(at) if at < now && !said_before => access::operator_word(caller, path),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_are_undone_or_refused() {
        for (text, right) in [
            ("tok_1", Some("tok_1")),
            ("a%2Fb%20c+d", Some("a/b c+d")),
            ("%C3%A4", Some("ä")),
            ("%", None),
            ("%2", None),
            ("%zz", None),
            ("%ff", None),
        ] {
            assert_eq!(decoded(text, false).as_deref(), right, "{text}");
        }
        assert_eq!(decoded("a+b", true).as_deref(), Some("a b"));
    }
}
