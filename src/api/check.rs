//! What every document is checked against: bounded texts, ids, amounts, no card numbers.
//! A fault says where, what is wrong and what would be right; it never repeats a card
//! number and quotes at most a short piece of what was sent.

use super::reply::{self, Reply};
use crate::domain::Timestamp;
use crate::normalise::pan;
use compact_str::CompactString;

/// Most bytes of what was sent that a fault repeats.
const QUOTED_BYTES_MAX: usize = 200;
/// Largest amount we take, minor units: far beyond any budget, far below overflow.
pub(super) const MINOR_MAX: i64 = 1_000_000_000_000_000;
/// Longest name or title, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 200;
/// Most faults of one document that are told at once.
const FAULTS_MAX: usize = 50;

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Stable, for programs.
    pub code: &'static str,
    /// From the top of the document: `locations[3].mids[0].mid`.
    pub path: String,
    /// For people: what is wrong and what would be right.
    pub detail: String,
}

impl Fault {
    /// A fault at a place.
    pub(super) fn new(code: &'static str, path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { code, path: quoted(&path.into()), detail: detail.into() }
    }
    /// A value that is not one of those allowed here.
    pub(crate) fn bad(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new("bad_value", path, detail)
    }
    /// Two values that cannot both be meant.
    pub(super) fn contradiction(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new("contradiction", path, detail)
    }
}

impl From<Fault> for Reply {
    fn from(fault: Fault) -> Self {
        reply::impossible(fault.code, &fault.path, fault.detail)
    }
}

/// All that is wrong with a document, at least one fault: so that whoever wrote it need not
/// meet them one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// The faults found, if there are any; of very many the first.
    pub(super) fn new(mut faults: Vec<Fault>) -> Option<Self> {
        faults.truncate(FAULTS_MAX);
        (!faults.is_empty()).then_some(Self(faults))
    }
    /// In the order of the document.
    #[must_use]
    pub fn list(&self) -> &[Fault] {
        &self.0
    }
}

impl From<Faults> for Reply {
    fn from(faults: Faults) -> Self {
        reply::impossible_for_all(faults.0.into_iter().map(|fault| (fault.code, fault.path, fault.detail)).collect())
    }
}

/// What was sent, fit to be repeated: short, and without card numbers.
pub(super) fn quoted(text: &str) -> String {
    let masked = pan::mask(text);
    if masked.len() <= QUOTED_BYTES_MAX {
        return masked.into_owned();
    }
    let mut end = QUOTED_BYTES_MAX;
    while !masked.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &masked[..end])
}

/// A text for people: not blank, bounded, one line, without card numbers.
pub(super) fn text(path: &str, text: &str, bytes_max: usize) -> Result<String, Fault> {
    identifier(path, text, bytes_max)?;
    no_card_number(path, text)?;
    Ok(text.to_owned())
}

/// As [`text`], of several lines.
pub(super) fn lines(path: &str, given: &str, bytes_max: usize) -> Result<String, Fault> {
    text(path, &given.replace("\r\n", " ").replace('\n', " "), bytes_max)?;
    Ok(given.to_owned())
}

/// A BCP 47 tag, as far as its form goes.
pub(super) fn language(path: &str, tag: &str) -> Result<CompactString, Fault> {
    let letters = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphabetic());
    let mut parts = tag.split('-');
    let first = parts.next().is_some_and(|part| (2..=3).contains(&part.len()) && letters(part));
    let plain = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if first && tag.len() <= 35 && parts.all(plain) {
        return Ok(CompactString::from(tag));
    }
    Err(Fault::bad(path, format!("`{}` is not a language tag (BCP 47), such as de or pt-BR", quoted(tag))))
}

/// As [`text`], short.
pub(super) fn short(path: &str, given: &str, bytes_max: usize) -> Result<CompactString, Fault> {
    text(path, given, bytes_max).map(CompactString::from)
}

/// An identifier by contract: as [`text`], but digit runs in it prove nothing.
pub(super) fn identifier(path: &str, text: &str, bytes_max: usize) -> Result<CompactString, Fault> {
    if text.trim().is_empty() {
        return Err(Fault::bad(path, "must not be empty; leave the key out when there is nothing to say"));
    }
    if text.len() > bytes_max {
        let detail = format!("must be at most {bytes_max} bytes, has {}", text.len());
        return Err(Fault::new("too_long", path, detail));
    }
    if text.chars().any(char::is_control) {
        return Err(Fault::bad(path, "must not contain control characters or line breaks"));
    }
    Ok(CompactString::from(text))
}

/// Refuses what holds a card number.
pub(super) fn no_card_number(path: &str, text: &str) -> Result<(), Fault> {
    if pan::is_card_number(text) {
        let detail = "looks like a card number, which we never take; send the source's token, or remove it";
        return Err(Fault::new("card_number", path, detail));
    }
    Ok(())
}

/// An amount of at least `least` minor units.
pub(super) fn minor(path: &str, minor: i64, least: i64) -> Result<i64, Fault> {
    if (least..=MINOR_MAX).contains(&minor) {
        return Ok(minor);
    }
    Err(Fault::bad(path, format!("must be a whole number of minor units from {least} to {MINOR_MAX}, is {minor}")))
}

/// A list of at most so many.
pub(super) fn at_most<T>(path: &str, list: &[T], most: usize) -> Result<(), Fault> {
    if list.len() <= most {
        return Ok(());
    }
    Err(Fault::new("too_many", path, format!("may have at most {most} entries, has {}", list.len())))
}

/// The IANA name of a time zone in its one spelling.
pub(super) fn zone(path: &str, name: &str) -> Result<CompactString, Fault> {
    let known = (name.len() <= 64).then(|| jiff::tz::TimeZone::get(name).ok()).flatten();
    let known = known.and_then(|zone| zone.iana_name().map(CompactString::from));
    known.ok_or_else(|| {
        let detail = format!("`{}` is not an IANA time zone, such as America/New_York or Europe/Berlin", quoted(name));
        Fault::bad(path, detail)
    })
}

/// ISO 3166 alpha-2, as far as its form goes.
pub(super) fn country(path: &str, code: &str) -> Result<CompactString, Fault> {
    if code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(CompactString::from(code));
    }
    Err(Fault::bad(
        path,
        format!("`{}` is not an ISO 3166 country code of two capital letters, such as US", quoted(code)),
    ))
}

/// A card network's name, lower case.
pub(super) fn scheme(path: &str, name: &str) -> Result<CompactString, Fault> {
    let lower = name.to_ascii_lowercase();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if (1..=32).contains(&lower.len()) && lower.bytes().all(plain) {
        return Ok(CompactString::from(lower));
    }
    Err(Fault::bad(path, "must be a card network's name of 1 to 32 letters, digits and dashes, such as visa"))
}

/// A window that ends after it begins.
pub(super) fn window(path: &str, from: Option<Timestamp>, to: Option<Timestamp>) -> Result<(), Fault> {
    match (from, to) {
        (Some(from), Some(to)) if to <= from => {
            Err(Fault::contradiction(path, format!("must be after `from`, which is {from}")))
        }
        _ => Ok(()),
    }
}
