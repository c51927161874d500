//! `[sources.pull]`: the pages of a source that does not post everything by itself.

use super::reader::Reader;
use super::secret::{SECRET_TEXT_BYTES_MAX, SecretPlace, SecretText};
use super::sources::fetch;
use super::values::{Bad, bad, quoted};
use super::{MIB, ReadFile};
use crate::wire::client;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where a source's pages are.
#[derive(Debug, Clone)]
pub struct PullSettings {
    /// Whom to ask.
    pub url: String,
    /// The pause after the last page.
    pub every: Duration,
    /// The query parameter that carries the cursor.
    pub cursor_query: String,
    /// The member of the answer that holds the next cursor.
    pub cursor_field: String,
    /// The member that holds the list; `None`: the only list there is.
    pub items_field: Option<String>,
    /// Most bytes of a page.
    pub page_bytes_max: usize,
    /// Time for a page.
    pub page_time_max: Duration,
    /// How the secret is sent.
    pub secret_kind: PullSecretKind,
    /// The secret; `None`: the other side does not ask for one.
    pub secret: Option<SecretText>,
    /// Where the secret is.
    pub secret_place: Option<SecretPlace>,
}

/// How a secret is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullSecretKind {
    /// `Authorization: Bearer …`
    Bearer,
    /// `Authorization: Basic …`, of `user:password`.
    Basic,
}

const KEYS: [&str; 6] = ["url", "cursor_query", "cursor_field", "items_field", "secret", "secret_kind"];
const NUMBERS: [(&str, i64, i64, i64); 3] =
    [("every_seconds", 60, 1, 86_400), ("page_bytes_max", 8 * MIB, 1024, 64 * MIB), ("page_seconds_max", 30, 1, 300)];

/// Makes the keys known, where no source has them.
pub(super) fn know(reader: &mut Reader<'_>) {
    for key in KEYS {
        reader.know(&format!("sources[].pull.{key}"), None);
    }
    for (key, _, min, max) in NUMBERS {
        reader.know(&format!("sources[].pull.{key}"), Some((min, max)));
    }
}

/// Reads the section at a path. `None` when there is none, or a problem was noted.
pub(super) fn read(
    reader: &mut Reader<'_>,
    at: &str,
    env: &BTreeMap<String, String>,
    read_file: ReadFile<'_>,
) -> Option<PullSettings> {
    if !reader.is_said(at) {
        return None;
    }
    let url = reader.required(&format!("{at}.url"), "an address", |text| match client::address(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(found) => bad(found.wrong, found.right),
    });
    let mut number = |key: &str| {
        let (_, usual, min, max) = *NUMBERS.iter().find(|(name, ..)| *name == key).expect("a key of this table");
        let path = format!("{at}.{key}");
        if reader.is_said(&path) { reader.integer(&path, min, max) } else { usual }
    };
    let (every, page_bytes, page_seconds) =
        (number("every_seconds"), number("page_bytes_max"), number("page_seconds_max"));
    let cursor_query = reader.optional(&format!("{at}.cursor_query"), |text| name(text, "after"));
    let cursor_field = reader.optional(&format!("{at}.cursor_field"), |text| name(text, "nextCursor"));
    let items_field = reader.optional(&format!("{at}.items_field"), |text| name(text, "notifications"));
    let secret_kind = reader.optional(&format!("{at}.secret_kind"), |text| match text {
        "bearer" => Ok(PullSecretKind::Bearer),
        "basic" => Ok(PullSecretKind::Basic),
        _ => bad(format!("{} is no way to send a secret", quoted(text)), "`bearer` or `basic`"),
    });
    let secret_kind = secret_kind.unwrap_or(PullSecretKind::Bearer);
    let path = format!("{at}.secret");
    let secret_place = reader.optional(&path, SecretPlace::parse);
    let secret = secret_place.as_ref().and_then(|place| {
        let fetched = fetch(place, env, read_file).and_then(|secret| fits(&secret, secret_kind).map(|()| secret));
        let named = |found: Bad| Bad { wrong: format!("the secret at `{place}` {}", found.wrong), ..found };
        fetched.map_err(|found| reader.problem(&path, named(found))).ok()
    });
    let unsigned = |number: i64| number.unsigned_abs();
    Some(PullSettings {
        url: url?,
        every: Duration::from_secs(unsigned(every)),
        cursor_query: cursor_query.unwrap_or_else(|| "after".to_owned()),
        cursor_field: cursor_field.unwrap_or_else(|| "nextCursor".to_owned()),
        items_field,
        page_bytes_max: usize::try_from(page_bytes).unwrap_or(usize::MAX),
        page_time_max: Duration::from_secs(unsigned(page_seconds)),
        secret_kind,
        secret,
        secret_place,
    })
}

/// A name of a parameter or member: one that needs no encoding.
fn name(text: &str, example: &str) -> Result<String, Bad> {
    let fine = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if fine {
        return Ok(text.to_owned());
    }
    let right = format!("1 to 64 letters, digits, `-`, `_` and `.`, such as \"{example}\"");
    bad(format!("{} is no name", quoted(text)), right)
}

fn fits(secret: &SecretText, kind: PullSecretKind) -> Result<(), Bad> {
    let text = secret.expose();
    if text.is_empty() || text.len() > SECRET_TEXT_BYTES_MAX || !text.bytes().all(|b| (0x20..0x7F).contains(&b)) {
        return bad("is empty, too long, or not printable ASCII on one line", "the secret alone");
    }
    if kind == PullSecretKind::Basic && !text.contains(':') {
        return bad("has no colon", "`user:password` for `secret_kind = \"basic\"`");
    }
    Ok(())
}
