//! What a text asks of an index, and the few names that may answer.
//!
//! A text's words are weighed over all indexes first, so that a shop's chance does not depend
//! on which index holds it. Then the rarest words say which names are worth a look.

use super::clean::{self, Cleaned};
use super::index::{BIT, Index, Question, weight_unknown};
use super::score::Side;
use compact_str::{CompactString, format_compact};

/// Forms looked at per text, and per word.
const FORMS_MAX: usize = 96;
/// Steps through lists of forms per text: an adversary's text of common words stops there.
const STEPS_MAX: usize = 512;
/// Vocabulary words that a cut word may be the beginning of.
const PREFIXED_MAX: u32 = 24;
/// Letters that a cut word must have.
const PREFIX_LETTERS_MIN: usize = 4;

/// A word of the text, weighed over all indexes.
#[derive(Debug)]
pub(super) struct Term<'a> {
    pub(super) text: &'a str,
    pub(super) cut: bool,
    /// A field may end with it, however short it is.
    pub(super) ends_field: bool,
    pub(super) number: bool,
    /// It stood at the end as a state or country, and counts only when a name has it.
    pub(super) tail: bool,
    pub(super) weight: u32,
}

/// A word of the text in one index.
#[derive(Debug, Default, Clone)]
pub(super) struct Found {
    pub(super) exact: Option<u32>,
    /// Longer words that it may be the beginning of.
    pub(super) longer: std::ops::Range<u32>,
    /// It and the next, written together.
    pub(super) with_next: Option<u32>,
}

/// The rest of the question, read once.
pub(super) struct Asked<'a> {
    pub(super) terms: Vec<Term<'a>>,
    pub(super) text: &'a Cleaned,
    pub(super) numbers: Vec<CompactString>,
    pub(super) stated: usize,
    pub(super) postcode: Option<CompactString>,
    pub(super) country: Option<[u8; 2]>,
    pub(super) mcc: Option<u16>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(question: &Question<'a>, sides: &[Side<'_>]) -> Self {
        let text = question.text;
        let merchants = sides.iter().map(|side| side.index.len()).sum();
        let weigh = |word: &str| {
            let found = sides.iter().filter_map(|side| spelled(side.index, word).map(|at| side.index.weight(at)));
            found.min().unwrap_or_else(|| weight_unknown(word, merchants))
        };
        let words = text.words.iter().map(|word| Term {
            text: word.text.as_str(),
            cut: word.cut && word.text.len() >= PREFIX_LETTERS_MIN,
            ends_field: word.cut,
            number: word.is_number(),
            tail: false,
            weight: weigh(&word.text),
        });
        let tail = text.region.map(|region| Term {
            text: region,
            cut: false,
            ends_field: false,
            number: false,
            tail: true,
            weight: 4 * BIT,
        });
        let us = (text.country == Some(*b"US")).then_some("us");
        let us =
            us.map(|text| Term { text, cut: false, ends_field: false, number: false, tail: true, weight: 4 * BIT });
        let mut numbers = text.numbers.clone();
        let stated = numbers.len();
        let soft = text.words.iter().skip(1).filter(|word| word.is_number());
        numbers.extend(soft.map(|word| word.text.clone()));
        let sent = question.country.and_then(|code| <[u8; 2]>::try_from(code.as_bytes()).ok());
        Self {
            terms: words.chain(tail).chain(us).collect(),
            text,
            numbers,
            stated,
            postcode: question.postcode.and_then(clean::postcode).or_else(|| text.postcode.clone()),
            country: sent.map(|code| code.map(|letter| letter.to_ascii_uppercase())).or(text.country),
            mcc: question.mcc,
        }
    }

    pub(super) fn resolve(&self, index: &Index) -> Vec<Found> {
        let terms = &self.terms;
        terms
            .iter()
            .enumerate()
            .map(|(nth, term)| {
                let longer = if term.cut { index.find_prefix(term.text) } else { 0..0 };
                let next = terms.get(nth + 1).filter(|next| !next.tail);
                Found {
                    exact: spelled(index, term.text),
                    longer: if longer.len() <= PREFIXED_MAX as usize { longer } else { 0..0 },
                    with_next: next.and_then(|next| index.find(&format_compact!("{}{}", term.text, next.text))),
                }
            })
            .collect()
    }
}

/// A word in either spelling of its umlauts: terminals write `MUENCHEN` or `MUNCHEN`.
fn spelled(index: &Index, word: &str) -> Option<u32> {
    index.find(word).or_else(|| plain_umlauts(word).and_then(|plain| index.find(&plain)))
}

/// `None` when it has none that are written out.
pub(super) fn plain_umlauts(word: &str) -> Option<String> {
    let written = word.contains("ae") || word.contains("oe") || word.contains("ue");
    written.then(|| word.replace("ae", "a").replace("oe", "o").replace("ue", "u"))
}

/// Numbers of the forms worth looking at, each once.
pub(super) fn forms(asked: &Asked<'_>, found: &[Found], index: &Index) -> Vec<u32> {
    let mut picked: Vec<u32> = Vec::with_capacity(FORMS_MAX);
    // Written together in the text, apart in the name.
    for term in asked.terms.iter().filter(|term| !term.tail) {
        picked.extend(index.forms_joined(term.text).take(8));
    }
    if let [first, second, ..] = &asked.terms[..] {
        picked.extend(index.forms_joined(&format_compact!("{}{}", first.text, second.text)).take(8));
    }
    let mut lists: Vec<&[u32]> = Vec::with_capacity(asked.terms.len());
    for found in found {
        let words = found.exact.into_iter().chain(found.with_next).chain(found.longer.clone());
        lists.extend(words.map(|word| index.forms_with(word)).filter(|list| !list.is_empty()));
    }
    lists.sort_by_key(|list| list.len());
    lists.dedup_by(|one, other| std::ptr::eq(*one, *other));
    let mut steps = 0;
    for list in lists.iter().take_while(|list| list.len() <= FORMS_MAX / 2) {
        if picked.len() >= FORMS_MAX {
            break;
        }
        picked.extend(list.iter().take(FORMS_MAX - picked.len()));
    }
    let Some(rarest) = lists.first().filter(|list| list.len() > FORMS_MAX / 2) else {
        picked.sort_unstable();
        picked.dedup();
        return picked;
    };
    // No word is rare: those that have two of them, or one and the place.
    for other in lists.iter().skip(1) {
        common(rarest, other, &mut steps, |form| *form, |form| *form, &mut picked);
    }
    let numbers = asked.numbers.iter().map(|number| format_compact!("#{number}"));
    let postcode = asked.postcode.iter().map(|code| format_compact!("@{code}"));
    let keyed = numbers.chain(postcode).filter_map(|text| index.find(&text));
    let city = found.iter().filter_map(|found| found.exact);
    for word in keyed.chain(city) {
        let merchant = |shop: &u32| index.place(*shop).merchant;
        let owner = |form: &u32| index.form(*form).merchant;
        common(rarest, index.shops_with(word), &mut steps, owner, merchant, &mut picked);
    }
    picked.sort_unstable();
    picked.dedup();
    picked
}

/// Those of the first list whose key is in the second too; both ascend by their keys.
fn common(
    first: &[u32],
    second: &[u32],
    steps: &mut usize,
    key: impl Fn(&u32) -> u32,
    key_second: impl Fn(&u32) -> u32,
    picked: &mut Vec<u32>,
) {
    let (mut at, mut at_second) = (0, 0);
    while at < first.len() && at_second < second.len() && picked.len() < FORMS_MAX && *steps < STEPS_MAX {
        *steps += 1;
        let (one, two) = (key(&first[at]), key_second(&second[at_second]));
        match one.cmp(&two) {
            std::cmp::Ordering::Equal => {
                picked.push(first[at]);
                at += 1;
            }
            std::cmp::Ordering::Less => at += leap(&first[at..], |item| key(item) < two),
            std::cmp::Ordering::Greater => at_second += leap(&second[at_second..], |item| key_second(item) < one),
        }
    }
}

/// How many at the front are still before, in steps that double.
fn leap(list: &[u32], before: impl Fn(&u32) -> bool) -> usize {
    let mut width = 1;
    while width < list.len() && before(&list[width]) {
        width *= 2;
    }
    let (from, to) = (width / 2, list.len().min(width + 1));
    from + list[from..to].partition_point(before)
}
