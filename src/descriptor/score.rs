//! What speaks for a shop and against it, in points, and when that is enough.
//!
//! Candidates come from the rarest words. A name earns at most 700 points, the place 300, the
//! rest rounds up; what contradicts takes away more than anything but the place can give. A
//! shop in another country is none. A name alone, however well it fits, stays below any
//! sensible threshold, since shops of one name are many.

use super::asked::{Asked, Resolved, Term, forms, plain_umlauts};
use super::index::{BIT, Form, Index, Question};
use super::vocabulary as known;
use crate::domain::merchant::{CONFIDENCE_MAX, Likeness, Reasons};

/// Below it nothing is matched, unless configured otherwise.
pub const CONFIDENCE_MIN: u16 = 800;
/// Points by which a shop must be ahead of every other merchant's.
const MARGIN: i32 = 60;
/// Points by which it must be ahead of its own merchant's others.
const MARGIN_OWN: i32 = 40;
/// Candidates named when none is sure.
pub const CANDIDATES_MAX: usize = 5;
/// Points from which on a candidate is worth naming.
const WORTH_NAMING: i32 = 300;
/// Shops of one merchant looked at, per word of the place.
const SHOPS_MAX: usize = 48;
/// Shops that a merchant may have for all of them to be looked at.
const SHOPS_ALL_MAX: usize = 8;
/// Most that a name without any evidence of the place can reach.
const WITHOUT_PLACE_MAX: i32 = 760;
/// The same, when it is whole, rare, of the merchant's only shop and the category fits.
const WITHOUT_PLACE_RARE_MAX: i32 = 860;
/// Rarity of a name that few others have, in sixteenths of a bit.
const RARE: u32 = 24 * BIT;
/// Rarity up to which a word of a name is often left out (`COFFEE`, `RESTAURANT`).
const USUAL: u32 = 10 * BIT;
/// Rarity below which a name could be anybody's.
const COMMON: u32 = 14 * BIT;

/// A shop that a text may mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Place of the index among those asked.
    pub layer: usize,
    /// The shop's place in its index.
    pub shop: u32,
    /// The merchant's place in its index.
    pub merchant: u32,
    /// How sure, and why.
    pub likeness: Likeness,
    points: i32,
    /// What it counts against others: also what does not make it surer itself.
    rival: i32,
}

/// What a text means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// This shop.
    Matched(Candidate),
    /// One of these perhaps, best first: offered for linking.
    Unsure(Vec<Candidate>),
    /// No shop we know.
    Nothing,
}

/// An index with the say which of its merchants count.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// The index.
    pub index: &'a Index,
    /// Whether a merchant counts: one that was replaced since does not.
    pub live: &'a dyn Fn(u32) -> bool,
    /// Whether a shop is one of those that registered the shared MID the text came with.
    pub shares_mid: Option<&'a dyn Fn(u32) -> bool>,
}

impl std::fmt::Debug for Side<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Side").field("shops", &self.index.len()).finish_non_exhaustive()
    }
}

/// What a text means among the shops of some indexes. Microseconds: looks at no more than
/// `FORMS_MAX` names and [`SHOPS_MAX`] shops of each.
#[must_use]
pub fn find(question: &Question<'_>, sides: &[Side<'_>], confidence_min: u16) -> Verdict {
    if question.text.words.is_empty() {
        return Verdict::Nothing;
    }
    let (asked, resolved) = Asked::new(question, sides);
    let mut best = Best::default();
    for (layer, (side, found)) in
        sides.iter().zip(&resolved).enumerate().filter(|(_, (side, _))| !side.index.is_empty())
    {
        for number in forms(&asked, found, side.index) {
            let form = side.index.form(number);
            if (side.live)(form.merchant) {
                Scoring { asked: &asked, found, side, layer }.form(&form, &mut best);
            }
        }
    }
    best.verdict(confidence_min)
}

/// The best candidates, one entry per shop.
#[derive(Debug, Default)]
struct Best {
    list: Vec<Candidate>,
}

impl Best {
    fn offer(&mut self, candidate: Candidate) {
        let same = |known: &&mut Candidate| (known.layer, known.shop) == (candidate.layer, candidate.shop);
        if let Some(known) = self.list.iter_mut().find(same) {
            let rival = known.rival.max(candidate.rival);
            if known.points < candidate.points {
                *known = candidate;
            }
            known.rival = rival;
        } else if self.list.len() < 4 * CANDIDATES_MAX {
            self.list.push(candidate);
        } else if let Some(least) = self.list.iter_mut().min_by_key(|known| known.rival)
            && least.rival < candidate.rival
        {
            *least = candidate;
        }
    }

    fn verdict(mut self, confidence_min: u16) -> Verdict {
        self.list.retain(|candidate| candidate.points >= WORTH_NAMING);
        self.list.sort_by_key(|candidate| (-candidate.points, candidate.layer, candidate.shop));
        let Some(first) = self.list.first().copied() else { return Verdict::Nothing };
        let ahead = self.list[1..].iter().all(|other| {
            let own = (other.layer, other.merchant) == (first.layer, first.merchant);
            if own { first.points - other.points >= MARGIN_OWN } else { first.points - other.rival >= MARGIN }
        });
        if ahead && first.points >= i32::from(confidence_min) {
            return Verdict::Matched(first);
        }
        self.list.truncate(CANDIDATES_MAX);
        Verdict::Unsure(self.list)
    }
}

/// How well a name fits.
struct Name {
    points: i32,
    whole: bool,
    /// Rarity of what fits.
    rarity: u32,
    /// Words of the text that the name explains, by place.
    covered: u64,
    /// The name's rarest word is in the text.
    distinct: bool,
}

struct Scoring<'a> {
    asked: &'a Asked<'a>,
    found: &'a Resolved,
    side: &'a Side<'a>,
    layer: usize,
}

impl Scoring<'_> {
    fn form(&self, form: &Form<'_>, best: &mut Best) {
        let index = self.side.index;
        let Some(fit) = self.fit(form) else { return };
        let shops = self.shops(form);
        let only = index.shops_of(form.merchant).len() == 1;
        for shop in shops {
            let name = self.name(&fit, shop);
            if let Some(candidate) = self.shop(form, &name, shop, only) {
                best.offer(candidate);
            }
        }
    }

    /// Which words of the text a form explains (whole, or in part as a cut word), and how
    /// much of the form they are. `None` when too little to be worth more.
    fn fit(&self, form: &Form<'_>) -> Option<Fit> {
        let index = self.side.index;
        let mut fit = Fit::default();
        let whole: u32 = form.words.iter().map(|word| index.weight(*word)).sum();
        let mut rarest = (0, false);
        let mut before = None;
        for (place, word) in form.words.iter().enumerate() {
            let weight = index.weight(*word);
            let open = |nth: &usize, fit: &Fit| fit.covered >> nth & 1 == 0;
            let mut hit = None;
            for (nth, found) in self.found.words.iter().enumerate().filter(|(nth, _)| open(nth, &fit)) {
                if found.exact == Some(*word) {
                    hit = Some((nth, 1, weight));
                    break;
                }
                if found.with_next == Some(*word) && open(&(nth + 1), &fit) {
                    hit = Some((nth, 2, weight));
                    break;
                }
                if found.longer.contains(word) {
                    hit = Some((nth, 1, weight * 17 / 20));
                }
            }
            // Behind the word before it, even one letter is enough.
            if let (None, Some(last)) = (hit, before) {
                let next: usize = last + 1;
                let begun = |term: &&Term<'_>| term.ends_field && index.text(*word).starts_with(term.text.as_bytes());
                if open(&next, &fit) && self.asked.terms.get(next).filter(begun).is_some() {
                    hit = Some((next, 1, weight * 17 / 20));
                }
            }
            before = hit.map(|(nth, count, _)| nth + count - 1);
            if weight > rarest.0 {
                rarest = (weight, hit.is_some());
            }
            if hit.is_none() && weight <= USUAL {
                fit.unsaid += weight / 2;
            }
            if let Some((nth, count, credit)) = hit {
                fit.covered |= ((1 << count) - 1) << nth;
                fit.last = fit.last.max(nth + count - 1);
                fit.matched += credit;
                // A cut word ends the field: what the name has behind it could not be said.
                if credit < weight {
                    let behind: u32 = form.words[place + 1..].iter().map(|word| index.weight(*word)).sum();
                    fit.unsaid += behind * 3 / 4;
                }
            }
        }
        fit.distinct = rarest.1;
        let joined = self.joined(form);
        if let Some((nth, count)) = joined.filter(|_| fit.matched < whole) {
            fit = Fit {
                covered: ((1 << count) - 1) << nth,
                last: nth + count - 1,
                matched: whole,
                unsaid: 0,
                of: 0,
                distinct: true,
            };
        }
        fit.of = whole;
        // A common word alone, or less than a third of a name, leads nowhere.
        let enough = fit.matched + fit.unsaid >= whole / 3 && (fit.matched >= COMMON / 2 || fit.matched == whole);
        (fit.matched > 0 && enough).then_some(fit)
    }

    /// Where the text writes a form's words together: which of its words, and how many.
    fn joined(&self, form: &Form<'_>) -> Option<(usize, usize)> {
        if form.words.len() < 2 {
            return None;
        }
        let index = self.side.index;
        let mut rest = self.asked.terms.first()?.text.as_bytes();
        let mut used = 1;
        for word in form.words {
            let text = index.text(*word);
            if rest.is_empty() {
                rest = self.asked.terms.get(used).filter(|term| !term.tail)?.text.as_bytes();
                used += 1;
            }
            if let Some(behind) = rest.strip_prefix(text) {
                rest = behind;
            } else {
                return None;
            }
        }
        rest.is_empty().then_some((0, used))
    }

    /// The merchant's shops that the text could tell from the others.
    fn shops(&self, form: &Form<'_>) -> Vec<u32> {
        let index = self.side.index;
        let all = index.shops_of(form.merchant);
        if let Some(shops) = form.shops.filter(|shops| shops.len() <= SHOPS_ALL_MAX) {
            return shops.to_vec();
        }
        if all.len() <= SHOPS_ALL_MAX {
            return all.collect();
        }
        let keyed = self.found.numbers.iter().flatten().chain(&self.found.postcode).copied();
        let place = self.asked.text.place.iter().filter_map(|word| index.find(word));
        let words = keyed.chain(self.found.words.iter().filter_map(|found| found.exact)).chain(place);
        let mut shops = Vec::new();
        for word in words {
            let with = index.shops_of_with(form.merchant, word);
            shops.extend(with.iter().take(SHOPS_MAX));
        }
        shops.sort_unstable();
        shops.dedup();
        if let Some(registered) = form.shops {
            shops.retain(|shop| registered.binary_search(shop).is_ok());
        }
        if shops.is_empty() {
            // The merchant is worth naming, though nothing says which shop: two of them, so
            // that neither is ahead.
            match form.shops {
                Some(registered) => shops.extend(registered.iter().take(2)),
                None => shops.extend(all.take(2)),
            }
        }
        shops
    }

    /// How well a form fits once the shop's own city is taken off the text.
    fn name(&self, fit: &Fit, shop: u32) -> Name {
        let (terms, index) = (&self.asked.terms, self.side.index);
        let city = index.city(shop);
        let pinned = self.pinned(shop);
        let (mut said, mut unexplained) = (0, 0);
        for (nth, term) in terms.iter().enumerate() {
            if fit.covered >> nth & 1 == 1 {
                said += term.weight;
                continue;
            }
            let in_city = city
                .iter()
                .any(|word| self.found.words[nth].exact == Some(*word) || self.found.words[nth].longer.contains(word));
            if term.tail || term.number || in_city {
                continue;
            }
            // Behind the name, where number or postcode already say which shop it is, a word
            // is probably a place we were not told.
            let weight = if pinned && nth > fit.last { term.weight / 4 } else { term.weight };
            said += weight;
            unexplained += weight;
        }
        let of_text = permille(said - unexplained, said);
        let of_form = permille((fit.matched + fit.unsaid).min(fit.of), fit.of);
        let whole = unexplained == 0 && fit.matched == fit.of;
        let distinct = fit.matched.min(COMMON) * 1000 / COMMON;
        let points = 600 * of_text / 1000 * (350 + 650 * of_form / 1000) / 1000 * distinct / 1000;
        let rare = (fit.matched / 4).min(100) * of_text / 1000;
        Name {
            points: i32::try_from(points + rare).unwrap_or(0),
            whole,
            rarity: fit.matched,
            covered: fit.covered,
            distinct: fit.distinct,
        }
    }

    /// Whether number or postcode say which shop it is.
    fn pinned(&self, shop: u32) -> bool {
        self.number_fits(shop).is_some() || self.postcode_fits(shop) == Some(true)
    }

    /// Whether one of the text's numbers is the shop's, and whether it was said to be one.
    fn number_fits(&self, shop: u32) -> Option<bool> {
        let index = self.side.index;
        if !index.place(shop).has_numbers() {
            return None;
        }
        let has = |word: &Option<u32>| word.is_some_and(|word| index.shops_with(word).binary_search(&shop).is_ok());
        self.found.numbers.iter().position(has).map(|place| place < self.asked.stated)
    }

    /// Whether the postcodes are the same; `None` when one is not known.
    fn postcode_fits(&self, shop: u32) -> Option<bool> {
        let index = self.side.index;
        self.asked.postcode.as_ref()?;
        Some(self.found.postcode == Some(index.place(shop).postcode()?))
    }

    /// Whether the text names the shop's city outside of its name; `Some(false)` when its
    /// city field names another.
    fn city_fits(&self, name: &Name, shop: u32) -> Option<bool> {
        let index = self.side.index;
        let city = index.city(shop);
        let text = self.asked.text;
        if city.is_empty() {
            return None;
        }
        let in_place = |word: &u32| {
            text.place.iter().enumerate().any(|(nth, place)| {
                let plain = || plain_umlauts(place).is_some_and(|plain| index.text(*word) == plain.as_bytes());
                let whole = index.text(*word) == place.as_bytes() || plain();
                // The city's field has 13 characters.
                let cut = nth + 1 == text.place.len() && place.len() >= 3;
                whole || (cut && index.text(*word).starts_with(place.as_bytes()))
            })
        };
        let in_words = |word: &u32| {
            self.found.words.iter().enumerate().any(|(nth, found)| {
                name.covered >> nth & 1 == 0 && (found.exact == Some(*word) || found.longer.contains(word))
            })
        };
        if city.iter().all(in_place) || city.iter().all(in_words) {
            return Some(true);
        }
        let names_a_place =
            text.place.iter().any(|word| word.len() > 2 && word.bytes().all(|b| b.is_ascii_lowercase()));
        (names_a_place && !city.iter().any(|word| in_place(word) || in_words(word))).then_some(false)
    }

    /// Whether the state at the text's end is the shop's.
    fn region_fits(&self, shop: u32) -> Option<bool> {
        let index = self.side.index;
        let region = self.asked.text.region.filter(|region| known::is_us_region(region))?;
        let place = index.place(shop);
        if place.country().is_some_and(|country| country != *b"US") {
            // `DE` and `CA` are countries too.
            let country = place.country().map(|code| code.map(|letter| letter.to_ascii_lowercase()));
            return (country.as_ref().map(<[u8; 2]>::as_slice) != Some(region.as_bytes())).then_some(false);
        }
        let text = std::str::from_utf8(index.text(place.postcode()?)).ok()?;
        known::region_of_zip(text.strip_prefix('@')?).map(|own| own == region)
    }

    fn shop(&self, form: &Form<'_>, name: &Name, shop: u32, only: bool) -> Option<Candidate> {
        let asked = self.asked;
        let place = self.side.index.place(shop);
        let mut reasons = Reasons::WORDS;
        let mut points = name.points;
        let mut count = |reason: Reasons, worth: i32| {
            reasons = reasons.and(reason);
            worth
        };
        match (asked.country, place.country()) {
            (Some(one), Some(other)) if one != other => return None,
            (Some(_), Some(_)) => points += count(Reasons::COUNTRY, 20),
            _ => {}
        }
        if name.whole {
            points += count(Reasons::WHOLE_NAME, 50);
        }
        let mut located = 0;
        let number = self.number_fits(shop);
        match number {
            Some(stated) => located += count(Reasons::STORE_NUMBER, if stated { 200 } else { 170 }),
            None if place.has_numbers() && asked.stated > 0 => points -= 300,
            None if place.has_numbers() && asked.numbers.iter().any(|number| number.len() >= 3) => points -= 150,
            None => {}
        }
        match self.postcode_fits(shop) {
            Some(true) => located += count(Reasons::POSTCODE, 200),
            Some(false) => points -= 200,
            None => {}
        }
        match self.city_fits(name, shop) {
            Some(true) => located += count(Reasons::CITY, 150),
            Some(false) => points -= 300,
            None => {}
        }
        if self.region_fits(shop) == Some(false) {
            points -= 300;
        }
        if self.side.shares_mid.is_some_and(|shares| shares(shop)) {
            located += count(Reasons::SHARED_MID, 200);
        }
        let alone = only || form.shops.is_some_and(|shops| shops.len() == 1);
        if form.registered && name.whole && alone && (number.is_some() || !place.has_numbers()) {
            located += count(Reasons::REGISTERED_TEXT, 150);
        }
        if only {
            points += count(Reasons::ONLY_SHOP, 30);
        }
        match (asked.mcc, place.mcc()) {
            (Some(one), Some(other)) if known::mcc_family(one) == known::mcc_family(other) => {
                points += count(Reasons::MCC, 50);
            }
            (Some(_), Some(_)) => points -= 250,
            _ => {}
        }
        points += located.min(300);
        // The same text registered for several shops of another merchant makes none of them
        // sure, and spoils it for all.
        let spoils = form.registered && name.whole && !reasons.has(Reasons::REGISTERED_TEXT);
        let rival = points + if spoils { 150 } else { 0 };
        let pinned = Reasons::POSTCODE.and(Reasons::STORE_NUMBER).and(Reasons::SHARED_MID);
        if located == 0 {
            let rare = name.whole && only && name.rarity >= RARE && reasons.has(Reasons::MCC);
            points = points.min(if rare { WITHOUT_PLACE_RARE_MAX } else { WITHOUT_PLACE_MAX });
        } else if name.rarity < COMMON && !reasons.has_any(pinned) {
            points = points.min(WITHOUT_PLACE_MAX);
        }
        // What is left without its rarest word (`NOODLE BAR`) could be anybody's.
        if !name.distinct {
            points = points.min(WITHOUT_PLACE_MAX);
        }
        let confidence = u16::try_from(points.clamp(0, i32::from(CONFIDENCE_MAX))).unwrap_or(0);
        let likeness = Likeness { confidence, reasons };
        Some(Candidate { layer: self.layer, shop, merchant: form.merchant, likeness, points, rival })
    }
}

/// What a form explains.
#[derive(Debug, Default)]
struct Fit {
    covered: u64,
    last: usize,
    /// Weight of the form's words that the text has.
    matched: u32,
    /// Weight of those it had no room for.
    unsaid: u32,
    /// Weight of the form.
    of: u32,
    /// The form's rarest word is among them.
    distinct: bool,
}

fn permille(part: u32, whole: u32) -> u32 {
    (1000 * part).checked_div(whole).unwrap_or(0)
}
