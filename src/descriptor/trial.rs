//! A trial of the matching on labelled texts: precision and recall, by half and threshold.
//!
//! The set is parted by a hash of each text into a half that may be looked at while rules
//! are made and a half that is held out: a rule that only fits the first shows itself in
//! the second.

use super::index::{Index, Question, Shop};
use super::score::{Side, Verdict, find};
use super::{Cleaned, clean};
use crate::domain::merchant::CONFIDENCE_MAX;
use compact_str::CompactString;
use serde::Serialize;
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64;

/// Thresholds that a report shows beside the one in force.
const THRESHOLDS: [u16; 7] = [600, 700, 750, 800, 850, 900, 950];
/// Label of a text that means none of the shops.
pub const NONE: &str = "none";

/// A file that cannot be read as what it should be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Unreadable {
    /// From 1.
    pub line: usize,
    /// What is wrong and what would be right.
    pub what: String,
}

/// A shop of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialShop {
    /// Its id, which labels name.
    pub id: String,
    /// Its merchant's name.
    pub merchant: String,
    name: Option<String>,
    city: Option<String>,
    postcode: Option<String>,
    country: Option<String>,
    mcc: Option<u16>,
    store_numbers: Vec<CompactString>,
    descriptors: Vec<CompactString>,
}

/// A labelled text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// The text.
    pub descriptor: String,
    mcc: Option<u16>,
    country: Option<String>,
    postcode: Option<String>,
    /// The shop it means; `None` when none of them.
    pub label: Option<String>,
    /// Which documented form it has, as `SOURCES.md` lists them.
    pub group: String,
    /// Whether it is in the half that rules were never made on.
    pub held_out: bool,
}

/// One text's outcome.
#[derive(Debug, Clone)]
pub struct Outcome<'a> {
    /// The text.
    pub labelled: &'a Labelled,
    /// Id of the best shop that stands clear of the others, and how sure.
    pub found: Option<(&'a str, u16)>,
}

/// Precision and recall of a half at a threshold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Score {
    /// `tuned` or `held_out`.
    pub half: &'static str,
    /// The threshold.
    pub threshold: u16,
    /// Texts.
    pub texts: u32,
    /// Texts that mean a shop.
    pub with_shop: u32,
    /// Matched to the right shop.
    pub right: u32,
    /// Matched to a wrong one.
    pub wrong: u32,
    /// Right of all matched, in ten-thousandths; 10,000 when none was matched.
    pub precision: u32,
    /// Right of all that mean a shop, in ten-thousandths.
    pub recall: u32,
}

/// Fields of a line of comma-separated values; quotes hold commas, two quotes are one.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let last = fields.len() - 1;
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                fields[last].push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => fields[last].push(letter),
        }
    }
    fields
}

/// Rows below a heading, by column.
fn rows<'a>(
    text: &'a str,
    columns: &'a [&'a str],
) -> Result<impl Iterator<Item = (usize, BTreeMap<&'a str, String>)>, Unreadable> {
    let mut lines = text.lines().enumerate().map(|(nth, line)| (nth + 1, line));
    let heading: Vec<String> = lines.next().map(|(_, line)| fields(line)).unwrap_or_default();
    let mut places = Vec::new();
    for column in columns {
        let place = heading.iter().position(|name| name == column);
        let what = || format!("has no column `{column}`; the heading is {}", columns.join(","));
        places.push((*column, place.ok_or_else(|| Unreadable { line: 1, what: what() })?));
    }
    Ok(lines.filter(|(_, line)| !line.trim().is_empty()).map(move |(number, line)| {
        let mut values = fields(line);
        let mut value = |place: usize| values.get_mut(place).map(std::mem::take).unwrap_or_default();
        (number, places.iter().map(|(column, place)| (*column, value(*place))).collect())
    }))
}

fn taken(row: &mut BTreeMap<&str, String>, column: &str) -> Option<String> {
    row.remove(column).filter(|value| !value.is_empty())
}

fn mcc(row: &mut BTreeMap<&str, String>, line: usize) -> Result<Option<u16>, Unreadable> {
    let Some(code) = taken(row, "mcc") else { return Ok(None) };
    let what = format!("`{code}` is no merchant category code of four digits");
    code.parse().ok().filter(|code| *code <= 9999).map(Some).ok_or(Unreadable { line, what })
}

/// Reads shops: `id,merchant,name,city,postcode,country,mcc,store_numbers,descriptors`, the
/// last two with `|` between several.
///
/// # Errors
/// The first [`Unreadable`] line.
pub fn read_shops(text: &str) -> Result<Vec<TrialShop>, Unreadable> {
    let columns = ["id", "merchant", "name", "city", "postcode", "country", "mcc", "store_numbers", "descriptors"];
    let mut shops: Vec<TrialShop> = Vec::new();
    for (line, mut row) in rows(text, &columns)? {
        let missing = |column: &str| Unreadable { line, what: format!("`{column}` is empty") };
        let several = |text: Option<String>| -> Vec<CompactString> {
            text.map(|text| text.split('|').map(CompactString::from).collect()).unwrap_or_default()
        };
        shops.push(TrialShop {
            id: taken(&mut row, "id").ok_or_else(|| missing("id"))?,
            merchant: taken(&mut row, "merchant").ok_or_else(|| missing("merchant"))?,
            name: taken(&mut row, "name"),
            city: taken(&mut row, "city"),
            postcode: taken(&mut row, "postcode"),
            country: taken(&mut row, "country"),
            mcc: mcc(&mut row, line)?,
            store_numbers: several(taken(&mut row, "store_numbers")),
            descriptors: several(taken(&mut row, "descriptors")),
        });
    }
    shops.sort_by(|one, other| one.merchant.cmp(&other.merchant));
    Ok(shops)
}

/// Reads labelled texts: `descriptor,mcc,country,postcode,label,group`.
///
/// # Errors
/// The first [`Unreadable`] line.
pub fn read_labelled(text: &str, shops: &[TrialShop]) -> Result<Vec<Labelled>, Unreadable> {
    let columns = ["descriptor", "mcc", "country", "postcode", "label", "group"];
    let mut labelled = Vec::new();
    for (line, mut row) in rows(text, &columns)? {
        let descriptor = row.remove("descriptor").unwrap_or_default();
        let label = taken(&mut row, "label")
            .ok_or_else(|| Unreadable { line, what: format!("has no label; say a shop's id or `{NONE}`") })?;
        if label != NONE && !shops.iter().any(|shop| shop.id == label) {
            return Err(Unreadable { line, what: format!("the label `{label}` is no shop's id") });
        }
        labelled.push(Labelled {
            held_out: xxh3_64(descriptor.as_bytes()) & 1 == 1,
            mcc: mcc(&mut row, line)?,
            country: taken(&mut row, "country"),
            postcode: taken(&mut row, "postcode"),
            label: Some(label).filter(|label| label != NONE),
            group: row.remove("group").unwrap_or_default(),
            descriptor,
        });
    }
    Ok(labelled)
}

/// Matches every text against the shops. As slow as a service's matching, once per text.
#[must_use]
pub fn run<'a>(shops: &'a [TrialShop], labelled: &'a [Labelled]) -> Vec<Outcome<'a>> {
    let index = index(shops);
    let sides = [Side { index: &index, live: &|_| true, shares_mid: None }];
    let outcome = |labelled: &'a Labelled| {
        let text: Cleaned = clean(&labelled.descriptor);
        let question = Question {
            text: &text,
            mcc: labelled.mcc,
            country: labelled.country.as_deref(),
            postcode: labelled.postcode.as_deref(),
        };
        let found = match find(&question, &sides, 0) {
            Verdict::Matched(candidate) => {
                Some((shops[candidate.shop as usize].id.as_str(), candidate.likeness.confidence))
            }
            Verdict::Unsure(_) | Verdict::Nothing => None,
        };
        Outcome { labelled, found }
    };
    labelled.iter().map(outcome).collect()
}

/// The index over a trial's shops.
#[must_use]
pub fn index(shops: &[TrialShop]) -> Index {
    let mut merchant = 0;
    let numbered = shops.iter().enumerate().map(|(nth, shop)| {
        merchant += u32::from(nth > 0 && shops[nth - 1].merchant != shop.merchant);
        Shop {
            merchant,
            merchant_name: &shop.merchant,
            name: shop.name.as_deref(),
            descriptors: &shop.descriptors,
            city: shop.city.as_deref(),
            postcode: shop.postcode.as_deref(),
            country: shop.country.as_deref(),
            mcc: shop.mcc,
            store_numbers: &shop.store_numbers,
        }
    });
    Index::build(numbered, None, 0)
}

/// The score of each half at the threshold and at others, the one in force first.
#[must_use]
pub fn scores(outcomes: &[Outcome<'_>], threshold: u16) -> Vec<Score> {
    let others = THRESHOLDS.iter().copied().filter(|other| *other != threshold && *other <= CONFIDENCE_MAX);
    let score = |threshold: u16, held_out: bool| {
        let (mut texts, mut with_shop, mut right, mut wrong) = (0, 0, 0, 0);
        for outcome in outcomes.iter().filter(|outcome| outcome.labelled.held_out == held_out) {
            let label = outcome.labelled.label.as_deref();
            texts += 1;
            with_shop += u32::from(label.is_some());
            if let Some((found, _)) = outcome.found.filter(|(_, confidence)| *confidence >= threshold) {
                right += u32::from(label == Some(found));
                wrong += u32::from(label != Some(found));
            }
        }
        Score {
            half: if held_out { "held_out" } else { "tuned" },
            threshold,
            texts,
            with_shop,
            right,
            wrong,
            precision: share(right, right + wrong),
            recall: share(right, with_shop),
        }
    };
    std::iter::once(threshold).chain(others).flat_map(|at| [score(at, false), score(at, true)]).collect()
}

/// A share in ten-thousandths, rounded down; all of nothing.
fn share(part: u32, whole: u32) -> u32 {
    (part * 10_000).checked_div(whole).unwrap_or(10_000)
}
