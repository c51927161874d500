//! What a text asks of an index, and the few names that may answer.
//!
//! A text's words are weighed over all indexes first, so that a shop's chance does not depend
//! on which index holds it. Then the rarest words say which names are worth a look.

use super::clean::{self, Cleaned};
use super::index::{BIT, Index, Question, weight_unknown};
use super::score::Side;
use compact_str::CompactString;

/// Forms looked at per text.
const FORMS_MAX: usize = 64;
/// Steps through lists of forms per text: an adversary's text of common words stops there.
const STEPS_MAX: usize = 96;
/// Forms that a word may have for all of them to be looked at.
const RARE_FORMS_MAX: usize = 16;
/// Forms that one writing together may mean.
const JOINED_MAX: usize = 8;
/// Vocabulary words that a cut word may be the beginning of.
const PREFIXED_MAX: usize = 24;
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

/// The question in one index.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// Per term.
    pub(super) words: Vec<Found>,
    /// Per number; `None` when no shop has it.
    pub(super) numbers: Vec<Option<u32>>,
    /// `None` when not sent or no shop has it.
    pub(super) postcode: Option<u32>,
}

/// The question, read once.
pub(super) struct Asked<'a> {
    pub(super) terms: Vec<Term<'a>>,
    pub(super) text: &'a Cleaned,
    pub(super) numbers: Vec<&'a str>,
    /// So many of the numbers said what they are.
    pub(super) stated: usize,
    pub(super) postcode: Option<CompactString>,
    pub(super) country: Option<[u8; 2]>,
    pub(super) mcc: Option<u16>,
}

impl<'a> Asked<'a> {
    /// Reads a question and looks its words up in each index.
    pub(super) fn new(question: &Question<'a>, sides: &[Side<'_>]) -> (Self, Vec<Resolved>) {
        let text = question.text;
        let words = text.words.iter().map(|word| Term {
            text: word.text.as_str(),
            cut: word.cut && word.text.len() >= PREFIX_LETTERS_MIN,
            ends_field: word.cut,
            number: word.is_number(),
            tail: false,
            weight: 0,
        });
        let us = (text.country == Some(*b"US")).then_some("us");
        let tail = text.region.into_iter().chain(us).map(|text| Term {
            text,
            cut: false,
            ends_field: false,
            number: false,
            tail: true,
            weight: 4 * BIT,
        });
        let soft = text.words.iter().skip(1).filter(|word| word.is_number()).map(|word| &word.text);
        let sent = question.country.and_then(|code| <[u8; 2]>::try_from(code.as_bytes()).ok());
        let mut asked = Self {
            terms: words.chain(tail).collect(),
            text,
            numbers: text.numbers.iter().chain(soft).map(CompactString::as_str).collect(),
            stated: text.numbers.len(),
            postcode: question.postcode.and_then(clean::postcode).or_else(|| text.postcode.clone()),
            country: sent.map(|code| code.map(|letter| letter.to_ascii_uppercase())).or(text.country),
            mcc: question.mcc,
        };
        let resolved: Vec<Resolved> = sides.iter().map(|side| asked.resolve(side.index)).collect();
        let merchants = sides.iter().map(|side| side.index.len()).sum();
        for (nth, term) in asked.terms.iter_mut().enumerate().filter(|(_, term)| !term.tail) {
            let in_each = sides.iter().zip(&resolved);
            let found = in_each.filter_map(|(side, found)| Some(side.index.weight(found.words.get(nth)?.exact?)));
            term.weight = found.min().unwrap_or_else(|| weight_unknown(term.text, merchants));
        }
        (asked, resolved)
    }

    fn resolve(&self, index: &Index) -> Resolved {
        if index.is_empty() {
            return Resolved::default();
        }
        let terms = &self.terms;
        let found = |(nth, term): (usize, &Term<'_>)| {
            let exact = spelled(index, term.text);
            // A word that is one is not cut.
            let longer = if term.cut && exact.is_none() { index.find_prefix(term.text) } else { 0..0 };
            let next = terms.get(nth + 1).filter(|next| !next.tail && !term.tail);
            Found {
                exact,
                longer: if longer.len() <= PREFIXED_MAX { longer } else { 0..0 },
                with_next: next.and_then(|next| index.find(&together(term.text, next.text))),
            }
        };
        Resolved {
            words: terms.iter().enumerate().map(found).collect(),
            numbers: self.numbers.iter().map(|number| index.find(&together("#", number))).collect(),
            postcode: self.postcode.as_ref().and_then(|code| index.find(&together("@", code))),
        }
    }
}

/// Two texts as one, which is looked up.
fn together(one: &str, other: &str) -> CompactString {
    let mut both = CompactString::with_capacity(one.len() + other.len());
    both.push_str(one);
    both.push_str(other);
    both
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
pub(super) fn forms(asked: &Asked<'_>, found: &Resolved, index: &Index) -> Vec<u32> {
    let mut picked: Vec<u32> = Vec::with_capacity(FORMS_MAX);
    // Written together in the text, apart in the name.
    if let Some(first) = asked.terms.first() {
        picked.extend(index.forms_joined(first.text).take(JOINED_MAX));
    }
    if let [first, second, ..] = &asked.terms[..] {
        picked.extend(index.forms_joined(&together(first.text, second.text)).take(JOINED_MAX));
    }
    let mut lists: Vec<(u32, &[u32])> = Vec::with_capacity(asked.terms.len());
    for found in &found.words {
        let words = found.exact.into_iter().chain(found.with_next).chain(found.longer.clone());
        lists.extend(words.map(|word| (word, index.forms_with(word))).filter(|(_, list)| !list.is_empty()));
    }
    lists.sort_by_key(|(_, list)| list.len());
    lists.dedup_by_key(|(word, _)| *word);
    let (rare, frequent) = lists.split_at(lists.partition_point(|(_, list)| list.len() <= RARE_FORMS_MAX));
    for (_, list) in rare {
        picked.extend(list.iter().take(FORMS_MAX.saturating_sub(picked.len())));
    }
    if let Some(((word, driver), others)) = frequent.split_first() {
        // Of a word that very many have, those at the place that the text names.
        let places = found.numbers.iter().flatten().chain(&found.postcode).copied();
        let places = places.chain(found.words.iter().filter_map(|found| found.exact));
        let mut places: Vec<&[u32]> = places.map(|word| index.shops_with(word)).collect();
        places.sort_by_key(|list| list.len());
        let (mut steps, rare) = (0, picked.len());
        for shops in places {
            if shops.len() <= STEPS_MAX {
                of_shops(index, (*word, driver), shops, &mut steps, &mut picked);
            } else {
                at_place(index, driver, shops, &mut steps, &mut picked);
            }
            // The rest of the lists are longer and say less.
            if picked.len() > rare {
                break;
            }
        }
        // Else those that have another of the words too.
        if picked.len() == rare {
            for (_, other) in others {
                in_both(driver, other, &mut steps, &mut picked);
            }
        }
    }
    picked.sort_unstable();
    picked.dedup();
    picked
}

/// Forms with a word whose merchant has one of a few shops. Most merchants have few forms, and
/// looking at these is quicker than finding them in a long list.
fn of_shops(index: &Index, (word, forms): (u32, &[u32]), shops: &[u32], steps: &mut usize, picked: &mut Vec<u32>) {
    let mut before = None;
    for shop in shops {
        if picked.len() >= FORMS_MAX || *steps >= STEPS_MAX {
            return;
        }
        *steps += 1;
        let merchant = index.place(*shop).merchant;
        // Those of one merchant are neighbours.
        if before.replace(merchant) == Some(merchant) {
            continue;
        }
        let (own, had) = (index.forms_of(merchant), picked.len());
        if own.len() <= RARE_FORMS_MAX {
            picked.extend(own.filter(|form| index.form(*form).words.contains(&word)).take(FORMS_MAX - had));
        } else {
            let from = forms.partition_point(|form| *form < own.start);
            picked.extend(forms[from..].iter().take_while(|form| own.contains(form)).take(FORMS_MAX - had));
        }
        *steps += picked.len() - had;
    }
}

/// The same of many shops, both lists in leaps.
fn at_place(index: &Index, forms: &[u32], shops: &[u32], steps: &mut usize, picked: &mut Vec<u32>) {
    let (mut form, mut shop) = (0, 0);
    while shop < shops.len() && picked.len() < FORMS_MAX && *steps < STEPS_MAX {
        *steps += 1;
        let merchant = index.place(shops[shop]).merchant;
        form += leap(&forms[form..], index.first_form_of(merchant));
        let Some(next) = forms.get(form) else { return };
        let owner = index.merchant_of_form(*next);
        if owner == merchant {
            picked.push(*next);
            form += 1;
        } else {
            shop += leap(&shops[shop..], index.shops_of(owner).start);
        }
    }
}

/// Those that are in both lists.
fn in_both(one: &[u32], other: &[u32], steps: &mut usize, picked: &mut Vec<u32>) {
    let (mut at, mut at_other) = (0, 0);
    while at < one.len() && picked.len() < FORMS_MAX && *steps < STEPS_MAX {
        *steps += 1;
        at_other += leap(&other[at_other..], one[at]);
        let Some(next) = other.get(at_other) else { return };
        if *next == one[at] {
            picked.push(*next);
            at += 1;
        } else {
            at += leap(&one[at..], *next);
        }
    }
}

/// How many at the front of an ascending list are below a bound, in steps that double.
fn leap(list: &[u32], bound: u32) -> usize {
    let mut width = 1;
    while width < list.len() && list[width] < bound {
        width *= 2;
    }
    let (from, to) = (width / 2, list.len().min(width + 1));
    from + list[from..to].partition_point(|item| *item < bound)
}
