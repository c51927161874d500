//! Files of the pages, compiled in and served from memory. Their address carries a hash of all of
//! them, so that a browser may keep them for a year.

use super::page;
use crate::api::reply::Reply;
use bytes::Bytes;
use std::sync::LazyLock;

const FILES: [(&str, &str, &[u8]); 11] = [
    ("console.css", "text/css; charset=utf-8", include_bytes!("static/console.css")),
    ("console.js", "text/javascript; charset=utf-8", include_bytes!("static/console.js")),
    ("chart.js", "text/javascript; charset=utf-8", include_bytes!("static/chart.js")),
    ("icon.svg", "image/svg+xml", include_bytes!("static/icon.svg")),
    ("htmx.js", "text/javascript; charset=utf-8", include_bytes!("vendored/htmx-4.0.1.min.js")),
    ("htmx.LICENSE", "text/plain; charset=utf-8", include_bytes!("vendored/htmx.LICENSE")),
    ("cytoscape.js", "text/javascript; charset=utf-8", include_bytes!("vendored/cytoscape-3.34.4.min.js")),
    ("uplot.js", "text/javascript; charset=utf-8", include_bytes!("vendored/uplot-1.6.32.min.js")),
    ("uplot.css", "text/css; charset=utf-8", include_bytes!("vendored/uplot-1.6.32.min.css")),
    ("uplot.LICENSE", "text/plain; charset=utf-8", include_bytes!("vendored/uplot.LICENSE")),
    ("cytoscape.LICENSE", "text/plain; charset=utf-8", include_bytes!("vendored/cytoscape.LICENSE")),
];

/// Changes when any file does.
static HASH: LazyLock<String> = LazyLock::new(|| {
    let sum = FILES.iter().fold(0, |sum, (_, _, bytes)| crc32c::crc32c_append(sum, bytes));
    format!("{sum:08x}")
});

/// What stands behind the files' names in pages.
pub(super) fn version() -> &'static str {
    &HASH
}

/// One of the files.
pub(super) fn file(name: &str) -> Reply {
    match FILES.iter().find(|(known, _, _)| *known == name) {
        Some((_, kind, bytes)) => page::kept_long(kind, Bytes::from_static(bytes)),
        None => crate::api::reply::not_found("there is no such file"),
    }
}
