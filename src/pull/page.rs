//! A page of an answer: the documents in it, each as its exact bytes, and the cursor of the
//! next. Pure. What the documents say is for `normalise`.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Documents of one page; the memory of a page is bounded by its bytes already.
pub const DOCUMENTS_MAX: usize = 20_000;
/// Longest cursor.
pub const CURSOR_BYTES_MAX: usize = 2_048;

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In their order.
    pub documents: Vec<Bytes>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// The answer is no page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the answer is no page: {0}")]
pub struct BadPage(pub String);

/// Where in the answer things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The member that holds the list; `None`: the only list there is.
    pub items: Option<String>,
    /// The member that holds the next page's cursor.
    pub cursor: String,
}

/// Reads a page: a list of documents, or an object with a list and a cursor.
///
/// # Errors
/// [`BadPage`], without repeating what the answer holds.
pub fn read(body: &[u8], shape: &Shape) -> Result<Page, BadPage> {
    let bad = |what: &str| BadPage(what.to_owned());
    let not_json = |error: serde_json::Error| {
        BadPage(format!("it is not JSON of the right shape (line {}, column {})", error.line(), error.column()))
    };
    let whole: &RawValue = serde_json::from_slice(body).map_err(not_json)?;
    let (items, next) = match whole.get().as_bytes().first() {
        Some(b'[') => (whole, None),
        Some(b'{') => {
            let mut members: BTreeMap<Cow<'_, str>, &RawValue> =
                Members::deserialize(&mut serde_json::Deserializer::from_str(whole.get())).map_err(not_json)?.0;
            let next = members.remove(shape.cursor.as_str()).map(cursor).transpose()?.flatten();
            (list(&members, shape)?, next)
        }
        _ => return Err(bad("it is neither a list nor an object")),
    };
    let documents: Vec<&RawValue> = serde_json::from_str(items.get()).map_err(not_json)?;
    if documents.len() > DOCUMENTS_MAX {
        return Err(BadPage(format!("it has {} documents; ask for pages of at most {DOCUMENTS_MAX}", documents.len())));
    }
    let documents = documents.into_iter().map(|document| Bytes::copy_from_slice(document.get().as_bytes()));
    Ok(Page { documents: documents.collect(), next })
}

#[derive(Deserialize)]
struct Members<'a>(#[serde(borrow)] BTreeMap<Cow<'a, str>, &'a RawValue>);

fn list<'a>(members: &BTreeMap<Cow<'a, str>, &'a RawValue>, shape: &Shape) -> Result<&'a RawValue, BadPage> {
    let is_list = |value: &RawValue| value.get().starts_with('[');
    if let Some(name) = &shape.items {
        let found = members.get(name.as_str()).copied();
        return found
            .filter(|value| is_list(value))
            .ok_or_else(|| BadPage(format!("it has no list `{name}` (`pull.items_field` says so)")));
    }
    let mut lists = members.values().filter(|value| is_list(value));
    match (lists.next(), lists.next()) {
        (Some(one), None) => Ok(*one),
        (None, _) => Err(BadPage("it has no list of documents".to_owned())),
        (Some(_), Some(_)) => Err(BadPage("it has several lists; say which in `pull.items_field`".to_owned())),
    }
}

/// A cursor is a text or a whole number; null and an empty text say that there is none.
fn cursor(value: &RawValue) -> Result<Option<String>, BadPage> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Text(String),
        Number(u64),
        Nothing(()),
    }
    let text = match serde_json::from_str(value.get()) {
        Ok(Given::Text(text)) => text,
        Ok(Given::Number(number)) => number.to_string(),
        Ok(Given::Nothing(())) => return Ok(None),
        Err(_) => return Err(BadPage("its cursor is neither a text nor a whole number".to_owned())),
    };
    if text.len() > CURSOR_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(BadPage(format!("its cursor is longer than {CURSOR_BYTES_MAX} bytes or holds control characters")));
    }
    Ok((!text.is_empty()).then_some(text))
}

/// Puts a cursor into an address: `?after=…`, percent-encoded.
#[must_use]
pub fn with_cursor(url: &str, parameter: &str, cursor: Option<&str>) -> String {
    let Some(cursor) = cursor else { return url.to_owned() };
    let mut out = format!("{url}{}{parameter}=", if url.contains('?') { '&' } else { '?' });
    for byte in cursor.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shape(items: Option<&str>) -> Shape {
        Shape { items: items.map(str::to_owned), cursor: "nextCursor".to_owned() }
    }

    #[test]
    fn pages_are_read_in_every_shape_we_know() {
        for (body, items, documents, next) in [
            (r#"[]"#, None, vec![], None),
            (r#" [{"a":1}, {"b" : 2}] "#, None, vec![r#"{"a":1}"#, r#"{"b" : 2}"#], None),
            (r#"{"notifications":[{"a":1}],"nextCursor":"x=/"}"#, None, vec![r#"{"a":1}"#], Some("x=/")),
            (r#"{"nextCursor":17,"n":[1]}"#, None, vec!["1"], Some("17")),
            (r#"{"n":[],"nextCursor":null,"total":3}"#, None, vec![], None),
            (r#"{"n":[],"nextCursor":""}"#, None, vec![], None),
            (r#"{"errors":[],"n":[2]}"#, Some("n"), vec!["2"], None),
        ] {
            let page = read(body.as_bytes(), &shape(items)).unwrap_or_else(|bad| panic!("{body}: {bad}"));
            let texts: Vec<&str> = page.documents.iter().map(|one| std::str::from_utf8(one).unwrap()).collect();
            assert_eq!((texts, page.next.as_deref()), (documents, next), "{body}");
        }
    }

    #[test]
    fn what_is_no_page_is_said_to_be_none() {
        for (body, items, why) in [
            ("", None, "not JSON"),
            ("<html>", None, "not JSON"),
            ("{\"n\":[1}", None, "not JSON"),
            ("7", None, "neither a list nor an object"),
            ("{}", None, "no list"),
            (r#"{"a":[],"b":[]}"#, None, "several lists"),
            (r#"{"a":[]}"#, Some("n"), "no list `n`"),
            (r#"{"n":{}}"#, Some("n"), "no list `n`"),
            (r#"{"n":[],"nextCursor":{"a":1}}"#, None, "neither a text nor a whole number"),
            (r#"{"n":[],"nextCursor":"a\nb"}"#, None, "control characters"),
        ] {
            let bad = read(body.as_bytes(), &shape(items)).unwrap_err();
            assert!(bad.0.contains(why), "{body}: {bad}");
        }
        let many = format!("[{}1]", "1,".repeat(DOCUMENTS_MAX));
        assert!(read(many.as_bytes(), &shape(None)).is_err());
    }

    #[test]
    fn a_cursor_goes_back_as_it_came() {
        for (url, cursor, right) in [
            ("https://a.b/n", None, "https://a.b/n"),
            ("https://a.b/n", Some("x"), "https://a.b/n?after=x"),
            ("https://a.b/n?size=5", Some("a b&c=ü"), "https://a.b/n?size=5&after=a%20b%26c%3D%C3%BC"),
        ] {
            assert_eq!(with_cursor(url, "after", cursor), right);
            assert!(right.parse::<hyper::Uri>().is_ok());
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics(body in proptest::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}\",:a-c0-9]{0,40}") {
            let _ = read(&body, &shape(None));
            let _ = read(text.as_bytes(), &shape(Some("a")));
        }
    }
}
