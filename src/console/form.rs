//! What a form sent: pairs of names and texts, in order. As browsers send short forms, and as they
//! send those with a file. Within the bound of a request's body.

use crate::api::read;
use crate::wire::Request;
use bytes::Bytes;
use hyper::header::CONTENT_TYPE;
use std::convert::Infallible;

/// Most fields that are looked at.
const FIELDS_MAX: usize = 5_000;

/// The fields of a form.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Of a request's body; what cannot be read is left out and misses then.
    pub(super) async fn of(request: &Request) -> Self {
        let kind = request.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        match multer::parse_boundary(kind) {
            Ok(boundary) => Self(parts(boundary, request.body.clone()).await),
            Err(_) => Self(pairs(&request.body)),
        }
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

/// Browsers end the lines of a text field as mail does.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

fn pairs(body: &[u8]) -> Vec<(String, String)> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let pairs = text.split('&').filter_map(|pair| pair.split_once('=')).take(FIELDS_MAX);
    let pair = |(name, text)| Some((read::decoded(name, true)?, lines(&read::decoded(text, true)?)));
    pairs.filter_map(pair).collect()
}

/// The parts of a form with files. What of a file is no UTF-8 becomes U+FFFD: whoever reads it says where.
async fn parts(boundary: String, body: Bytes) -> Vec<(String, String)> {
    let whole = futures_util::stream::once(async { Ok::<_, Infallible>(body) });
    let mut sent = multer::Multipart::new(whole, boundary);
    let mut all = Vec::new();
    while let Ok(Some(field)) = sent.next_field().await {
        let Some(name) = field.name().map(str::to_owned) else { continue };
        let Ok(bytes) = field.bytes().await else { break };
        all.push((name, lines(&String::from_utf8_lossy(&bytes))));
        if all.len() >= FIELDS_MAX {
            break;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_form_with_a_file_is_read_as_one_without() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\nabc\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"shops.csv\"\r\nContent-Type: text/csv\r\n\r\nlocation,mid\r\na,1\r\n\r\n--b--\r\n";
        let form = Form(parts("b".to_owned(), Bytes::from_static(body.as_bytes())).await);
        assert_eq!((form.get("csrf"), form.get("file")), ("abc", "location,mid\na,1\n"));
        let cut = Form(parts("b".to_owned(), Bytes::from_static(&body.as_bytes()[..120])).await);
        assert_eq!((cut.get("csrf"), cut.get("file")), ("abc", ""), "a part that does not end is not there");
        let many = "a=1&".repeat(FIELDS_MAX + 7);
        assert_eq!(pairs(many.as_bytes()).len(), FIELDS_MAX);
        assert_eq!(pairs(b"a=x%0D%0Ay"), [("a".to_owned(), "x\ny".to_owned())]);
    }
}
