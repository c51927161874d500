//! What a form sent: pairs of names and texts, in order.

use crate::api::read;
use crate::wire::Request;

/// Most fields that are looked at.
const FIELDS_MAX: usize = 5_000;

/// The fields of a form.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Of a request's body; what cannot be read is left out and misses then.
    pub(super) fn of(request: &Request) -> Self {
        let text = std::str::from_utf8(&request.body).unwrap_or_default();
        let pairs = text.split('&').filter_map(|pair| pair.split_once('=')).take(FIELDS_MAX);
        // Browsers end the lines of a text field as mail does.
        let pair = |(name, text)| Some((read::decoded(name, true)?, read::decoded(text, true)?.replace("\r\n", "\n")));
        Self(pairs.filter_map(pair).collect())
    }
    /// A field; empty when it is not there.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, text)| text.as_str())
    }
    /// Every field of this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, text)| text.as_str())
    }
}
