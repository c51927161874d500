//! Which shops have which words: frozen once built, compact, and quick to ask for the few
//! shops that a text can mean.
//!
//! Shops are numbered by their place in the feed, a merchant's being neighbours. A *form* is
//! one way to write a merchant's name, as a list of words; shops of a chain share it. Words,
//! city words, store numbers and postcodes are one sorted vocabulary (`#12` and `@94607` are
//! the latter two), so that a word cut short is a range of it.

use super::clean::{self, Cleaned};
use super::vocabulary as known;
use compact_str::{CompactString, format_compact};
use hashbrown::{HashMap, HashTable};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Words of a form; what is beyond does not name a shop.
pub(super) const FORM_WORDS_MAX: usize = 8;
/// A form of all the merchant's shops.
const ALL: u32 = u32::MAX;
/// As many shops are thought of beyond those registered: in an index of three merchants
/// every word would be rare.
const POPULATION: u64 = 65_536;
/// Weight of a bit of rarity.
pub(super) const BIT: u32 = 16;
/// In a shop's category: it has store numbers.
const HAS_NUMBERS: u16 = 1 << 15;
/// In a form's merchant: a registered statement text, not only a name.
const REGISTERED: u32 = 1 << 31;
/// Times the place of a hash is estimated, each time from a nearer hash: the first estimate
/// is off by hundreds in a million, the last by a few.
const JOINED_ESTIMATES: usize = 3;
/// How far from the last estimate a hash is looked for first.
const JOINED_NEAR: usize = 32;
/// Merchants and shops that an index can hold.
const COUNT_MAX: u32 = REGISTERED - 1;

/// A shop as the index reads it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shop<'a> {
    /// Its merchant's place: never less than the one before.
    pub merchant: u32,
    /// Its merchant's name.
    pub merchant_name: &'a str,
    /// Its own name.
    pub name: Option<&'a str>,
    /// Statement texts registered for it.
    pub descriptors: &'a [CompactString],
    /// City.
    pub city: Option<&'a str>,
    /// Postcode.
    pub postcode: Option<&'a str>,
    /// ISO 3166 alpha-2.
    pub country: Option<&'a str>,
    /// Category.
    pub mcc: Option<u16>,
    /// Its merchant's own numbers of it.
    pub store_numbers: &'a [CompactString],
}

/// What is compared of a shop once it is found. Zero is "not known".
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    pub(super) merchant: u32,
    postcode: u32,
    city_from: u32,
    country: [u8; 2],
    mcc: u16,
}

impl Place {
    /// The country, when known.
    pub(super) fn country(&self) -> Option<[u8; 2]> {
        (self.country != [0; 2]).then_some(self.country)
    }
    /// The category, when known.
    pub(super) fn mcc(&self) -> Option<u16> {
        let mcc = self.mcc & !HAS_NUMBERS;
        (mcc > 0).then_some(mcc)
    }
    /// Whether any store number is known.
    pub(super) fn has_numbers(&self) -> bool {
        self.mcc & HAS_NUMBERS != 0
    }
    /// The postcode's place in the vocabulary, when known.
    pub(super) fn postcode(&self) -> Option<u32> {
        self.postcode.checked_sub(1)
    }
}

/// One way to write a merchant's name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form<'a> {
    pub(super) merchant: u32,
    /// A registered statement text, not only a name.
    pub(super) registered: bool,
    /// Its words' places in the vocabulary.
    pub(super) words: &'a [u32],
    /// The shops it stands for; `None` is all of the merchant's.
    pub(super) shops: Option<&'a [u32]>,
}

/// See the top of the file.
#[derive(Debug, Default)]
pub struct Index {
    seed: u64,
    texts: Box<[u8]>,
    text_starts: Box<[u32]>,
    by_text: HashTable<u32>,
    weights: Box<[u16]>,
    /// Per word its forms, then its shops.
    postings: Box<[u32]>,
    form_starts: Box<[u32]>,
    shop_starts: Box<[u32]>,
    forms: Box<[FormRow]>,
    form_words: Box<[u32]>,
    /// Per merchant its first form.
    first_forms: Box<[u32]>,
    /// A count, then so many shops.
    scopes: Box<[u32]>,
    /// Hash of all words of a form written together, sorted.
    joined: Box<[(u32, u32)]>,
    places: Box<[Place]>,
    cities: Box<[u32]>,
    /// Per merchant its first shop, and at the end their number.
    merchants: Box<[u32]>,
}

#[derive(Debug, Clone, Copy)]
struct FormRow {
    merchant: u32,
    words_from: u32,
    scope: u32,
}

/// What is collected before words are sorted.
#[derive(Default)]
struct Draft {
    numbers: HashMap<CompactString, u32>,
    texts: Vec<CompactString>,
    /// Merchants that have the word in a form, and the last one that was counted.
    having: Vec<(u32, u32)>,
    forms: Vec<(u32, Vec<u32>, Vec<u32>)>,
    /// The forms of the merchant being read, and its name's words.
    known: HashMap<(u32, Vec<u32>), usize>,
    name: Vec<CompactString>,
    places: Vec<Place>,
    cities: Vec<u32>,
    merchants: Vec<u32>,
    shop_words: Vec<(u32, u32)>,
}

impl Draft {
    fn intern(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.texts.len()).expect("fewer than 2^32 words fit in memory");
        self.texts.push(CompactString::new(text));
        self.having.push((0, u32::MAX));
        self.numbers.insert(CompactString::new(text), number);
        number
    }

    /// Adds a form of the merchant being read, or of its shop alone.
    fn form(&mut self, merchant: u32, shop: Option<u32>, registered: bool, words: &[CompactString]) {
        if words.is_empty() {
            return;
        }
        let words: Vec<u32> = words.iter().take(FORM_WORDS_MAX).map(|word| self.intern(word)).collect();
        for word in &words {
            let (count, last) = &mut self.having[*word as usize];
            if *last != merchant {
                (*count, *last) = (*count + 1, merchant);
            }
        }
        let merchant = merchant | if registered { REGISTERED } else { 0 };
        let key = (merchant, words);
        if let Some(place) = self.known.get(&key) {
            // One that stands for all shops lists none.
            let shops = &mut self.forms[*place].2;
            if let Some(shop) = shop
                && shops.last().is_some_and(|last| *last != shop)
            {
                shops.push(shop);
            }
            return;
        }
        self.forms.push((merchant, key.1.clone(), shop.into_iter().collect()));
        self.known.insert(key, self.forms.len() - 1);
    }

    fn shop(&mut self, shop: &Shop<'_>) {
        let number = u32::try_from(self.places.len()).expect("bounded by the feed");
        if self.merchants.len() <= shop.merchant as usize {
            // Those before it without a shop end where it begins.
            self.merchants.resize(shop.merchant as usize + 1, number);
            self.known.clear();
            self.name = clean::name_words(shop.merchant_name);
            let name = std::mem::take(&mut self.name);
            self.form(shop.merchant, None, false, &name);
            self.name = name;
        }
        let city = shop.city.map(clean::place_words).unwrap_or_default();
        let mut numbers: Vec<CompactString> =
            shop.store_numbers.iter().filter_map(|number| clean::store_number(number)).collect();
        if let Some(own) = shop.name {
            // A shop's own name (`Downtown`) names it only behind its merchant's.
            let own = clean::name_words(own);
            let begins_alike = own.first().is_some_and(|first| self.name.contains(first));
            let mut words = if begins_alike { Vec::new() } else { self.name.clone() };
            words.extend(own);
            let words = without_city(&words, &city);
            self.form(shop.merchant, Some(number), false, words);
        }
        for text in shop.descriptors {
            let cleaned = clean::clean(text);
            let stated = cleaned.numbers.iter().cloned();
            numbers.extend(stated);
            let soft = cleaned.words.iter().skip(1).filter(|word| word.is_number() && word.text.len() >= 3);
            numbers.extend(soft.map(|word| word.text.clone()));
            let words = cleaned.words.iter().enumerate();
            let words: Vec<CompactString> = words
                .filter(|(nth, word)| *nth == 0 || !word.is_number() || word.text.len() < 3)
                .map(|(_, word)| word.text.clone())
                .collect();
            self.form(shop.merchant, Some(number), true, without_city(&words, &city));
        }
        let city_from = u32::try_from(self.cities.len()).expect("bounded by the shops");
        for word in &city {
            let word = self.intern(word);
            self.cities.push(word);
            self.shop_words.push((word, number));
        }
        numbers.sort_unstable();
        numbers.dedup();
        for text in &numbers {
            let word = self.intern(&format_compact!("#{text}"));
            self.shop_words.push((word, number));
        }
        let postcode = shop.postcode.and_then(clean::postcode).map(|code| self.intern(&format_compact!("@{code}")));
        if let Some(word) = postcode {
            self.shop_words.push((word, number));
        }
        let country = shop.country.and_then(|code| <[u8; 2]>::try_from(code.as_bytes()).ok());
        self.places.push(Place {
            merchant: shop.merchant,
            postcode: postcode.map_or(0, |word| word + 1),
            city_from,
            country: country.map_or([0; 2], |code| code.map(|letter| letter.to_ascii_uppercase())),
            mcc: shop.mcc.filter(|mcc| *mcc <= 9999).unwrap_or(0) | if numbers.is_empty() { 0 } else { HAS_NUMBERS },
        });
    }
}

/// Without the city at the end, unless it is all there is.
fn without_city<'a>(words: &'a [CompactString], city: &[CompactString]) -> &'a [CompactString] {
    match words.strip_suffix(city) {
        Some(name) if !name.is_empty() && !city.is_empty() => name,
        _ => words,
    }
}

impl Index {
    /// Builds over shops in the order of their merchants. `background` is the index of the
    /// many when this is one of a few that changed: a word is as rare as both say. Of more
    /// than 2^31 shops or merchants the rest is left out. Linear in the shops, beyond
    /// sorting their words.
    #[must_use]
    pub fn build<'a>(shops: impl Iterator<Item = Shop<'a>>, background: Option<&Self>, seed: u64) -> Self {
        let mut draft = Draft::default();
        for shop in shops.take(COUNT_MAX as usize) {
            // A merchant out of order would break every search below.
            assert!(shop.merchant as usize + 1 >= draft.merchants.len(), "a merchant's shops are neighbours");
            draft.shop(&shop);
        }
        (draft.numbers, draft.known) = (HashMap::new(), HashMap::new());
        draft.merchants.push(u32::try_from(draft.places.len()).expect("bounded above"));
        let mut order: Vec<u32> = (0..u32::try_from(draft.texts.len()).expect("bounded above")).collect();
        order.sort_unstable_by(|one, other| draft.texts[*one as usize].cmp(&draft.texts[*other as usize]));
        let mut place_of = vec![0_u32; order.len()];
        for (place, number) in (0..).zip(&order) {
            place_of[*number as usize] = place;
        }
        let mut index = Self { seed, ..Self::default() };
        index.place_words(&draft, &order, background);
        index.place_forms(&mut draft, &place_of);
        index.post(&draft, &place_of);
        for place in &mut draft.places {
            place.postcode = place.postcode.checked_sub(1).map_or(0, |word| place_of[word as usize] + 1);
        }
        index.cities = draft.cities.iter().map(|word| place_of[*word as usize]).collect();
        index.places = draft.places.into_boxed_slice();
        index.merchants = draft.merchants.into_boxed_slice();
        index
    }

    fn place_words(&mut self, draft: &Draft, order: &[u32], background: Option<&Self>) {
        let mut texts = Vec::with_capacity(draft.texts.iter().map(CompactString::len).sum());
        let mut starts = Vec::with_capacity(order.len() + 1);
        let merchants = draft.merchants.len() as u64 + background.map_or(0, |other| other.merchants.len() as u64);
        let mut weights = Vec::with_capacity(order.len());
        for number in order {
            let text = &draft.texts[*number as usize];
            starts.push(u32::try_from(texts.len()).expect("fewer than 2^32 bytes of words"));
            texts.extend_from_slice(text.as_bytes());
            let own = weight(text, draft.having[*number as usize].0, merchants);
            let there = background.and_then(|other| other.find(text).map(|word| other.weight(word)));
            weights.push(u16::try_from(own.min(there.unwrap_or(own))).unwrap_or(u16::MAX));
        }
        starts.push(u32::try_from(texts.len()).expect("fewer than 2^32 bytes of words"));
        self.texts = texts.into_boxed_slice();
        self.text_starts = starts.into_boxed_slice();
        self.weights = weights.into_boxed_slice();
        let mut table = HashTable::with_capacity(order.len());
        for word in 0..u32::try_from(order.len()).expect("bounded above") {
            let hash = |word: &u32| xxh3_64_with_seed(self.text(*word), self.seed);
            table.insert_unique(hash(&word), word, hash);
        }
        self.by_text = table;
    }

    fn place_forms(&mut self, draft: &mut Draft, place_of: &[u32]) {
        let mut rows = Vec::with_capacity(draft.forms.len());
        let mut words_all = Vec::with_capacity(draft.forms.iter().map(|form| form.1.len()).sum());
        let mut scopes = Vec::new();
        let mut joined = Vec::new();
        let mut first_forms = Vec::with_capacity(draft.merchants.len());
        let mut together = Vec::new();
        for (merchant, words, shops) in &mut draft.forms {
            words.iter_mut().for_each(|word| *word = place_of[*word as usize]);
            let owner = (*merchant & !REGISTERED) as usize;
            let owned = draft.merchants[owner + 1] - draft.merchants[owner];
            let scope = if shops.is_empty() || shops.len() == owned as usize {
                ALL
            } else {
                let from = u32::try_from(scopes.len()).expect("bounded by the shops");
                scopes.push(u32::try_from(shops.len()).expect("bounded by the shops"));
                scopes.append(shops);
                from
            };
            if words.len() > 1 {
                together.clear();
                words.iter().for_each(|word| together.extend_from_slice(self.text(*word)));
                let number = u32::try_from(rows.len()).expect("fewer than 2^32 forms");
                joined.push((short_hash(&together), number));
            }
            if first_forms.len() <= owner {
                first_forms.resize(owner + 1, u32::try_from(rows.len()).expect("fewer than 2^32 forms"));
            }
            let words_from = u32::try_from(words_all.len()).expect("fewer than 2^32 words of forms");
            rows.push(FormRow { merchant: *merchant, words_from, scope });
            words_all.extend_from_slice(words);
        }
        first_forms.resize(draft.merchants.len(), u32::try_from(rows.len()).expect("fewer than 2^32 forms"));
        self.first_forms = first_forms.into_boxed_slice();
        joined.sort_unstable();
        self.forms = rows.into_boxed_slice();
        self.form_words = words_all.into_boxed_slice();
        self.scopes = scopes.into_boxed_slice();
        self.joined = joined.into_boxed_slice();
    }

    /// Counting sort: each word's forms and shops side by side, both in ascending order.
    fn post(&mut self, draft: &Draft, place_of: &[u32]) {
        let count = place_of.len();
        let mut form_starts = vec![0_u32; count + 1];
        let mut shop_starts = vec![0_u32; count + 1];
        for number in 0..self.forms.len() {
            self.form(u32::try_from(number).expect("bounded above")).words.iter().for_each(|word| {
                form_starts[*word as usize + 1] += 1;
            });
        }
        for (word, _) in &draft.shop_words {
            shop_starts[place_of[*word as usize] as usize + 1] += 1;
        }
        let mut sum = 0_u32;
        for starts in [&mut form_starts, &mut shop_starts] {
            for start in starts.iter_mut() {
                sum = sum.checked_add(*start).expect("fewer than 2^32 postings");
                *start = sum;
            }
        }
        let mut postings = vec![0_u32; sum as usize];
        let mut cursors = form_starts.clone();
        for number in 0..u32::try_from(self.forms.len()).expect("bounded above") {
            for word in self.form(number).words {
                let cursor = &mut cursors[*word as usize];
                postings[*cursor as usize] = number;
                *cursor += 1;
            }
        }
        let mut cursors = shop_starts.clone();
        for (word, shop) in &draft.shop_words {
            let cursor = &mut cursors[place_of[*word as usize] as usize];
            postings[*cursor as usize] = *shop;
            *cursor += 1;
        }
        self.postings = postings.into_boxed_slice();
        self.form_starts = form_starts.into_boxed_slice();
        self.shop_starts = shop_starts.into_boxed_slice();
    }

    /// A word's text. O(1).
    pub(super) fn text(&self, word: u32) -> &[u8] {
        let word = word as usize;
        &self.texts[self.text_starts[word] as usize..self.text_starts[word + 1] as usize]
    }

    /// A word's place in the vocabulary. O(1).
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        let hash = xxh3_64_with_seed(text.as_bytes(), self.seed);
        self.by_text.find(hash, |word| self.text(*word) == text.as_bytes()).copied()
    }

    /// The words that begin so, as a range. Logarithmic.
    pub(super) fn find_prefix(&self, prefix: &str) -> std::ops::Range<u32> {
        let count = self.weights.len();
        let below = |end: &dyn Fn(&[u8]) -> bool| {
            let (mut from, mut to) = (0, count);
            while from < to {
                let middle = from.midpoint(to);
                if end(self.text(u32::try_from(middle).unwrap_or(u32::MAX))) { from = middle + 1 } else { to = middle }
            }
            u32::try_from(from).unwrap_or(u32::MAX)
        };
        let prefix = prefix.as_bytes();
        below(&|text| text < prefix)..below(&|text| text < prefix || text.starts_with(prefix))
    }

    /// How rare a word is, in sixteenths of a bit. O(1).
    pub(super) fn weight(&self, word: u32) -> u32 {
        u32::from(self.weights[word as usize])
    }

    /// A form. O(1).
    pub(super) fn form(&self, number: u32) -> Form<'_> {
        let number = number as usize;
        let row = self.forms[number];
        let to = self.forms.get(number + 1).map_or(self.form_words.len(), |next| next.words_from as usize);
        let shops = (row.scope != ALL).then(|| {
            let from = row.scope as usize + 1;
            &self.scopes[from..from + self.scopes[from - 1] as usize]
        });
        Form {
            merchant: row.merchant & !REGISTERED,
            registered: row.merchant & REGISTERED != 0,
            words: &self.form_words[row.words_from as usize..to],
            shops,
        }
    }

    /// A form's merchant. O(1).
    pub(super) fn merchant_of_form(&self, number: u32) -> u32 {
        self.forms[number as usize].merchant & !REGISTERED
    }

    /// A merchant's first form, or the first of the next that has one. O(1).
    pub(super) fn first_form_of(&self, merchant: u32) -> u32 {
        self.first_forms[merchant as usize]
    }

    /// A merchant's forms. O(1).
    pub(super) fn forms_of(&self, merchant: u32) -> std::ops::Range<u32> {
        self.first_forms[merchant as usize]..self.first_forms[merchant as usize + 1]
    }

    /// Forms with a word, ascending, and so by merchant. O(1).
    pub(super) fn forms_with(&self, word: u32) -> &[u32] {
        let word = word as usize;
        &self.postings[self.form_starts[word] as usize..self.form_starts[word + 1] as usize]
    }

    /// Shops with a city word, number or postcode, ascending. O(1).
    pub(super) fn shops_with(&self, word: u32) -> &[u32] {
        let word = word as usize;
        &self.postings[self.shop_starts[word] as usize..self.shop_starts[word + 1] as usize]
    }

    /// Forms whose words, written together, are this. A few steps.
    pub(super) fn forms_joined(&self, together: &str) -> impl Iterator<Item = u32> {
        let hash = short_hash(together.as_bytes());
        // Hashes are even: the place is near where it would be if they were evenly apart. Few
        // steps matter, since each waits for memory.
        let len = self.joined.len();
        let (mut near, mut known) = (0_usize, 0_u32);
        for _ in 0..JOINED_ESTIMATES {
            let places = |hashes: u32| usize::try_from((u64::from(hashes) * len as u64) >> 32).unwrap_or(0);
            near = match hash.checked_sub(known) {
                Some(above) => (near + places(above)).min(len.saturating_sub(1)),
                None => near.saturating_sub(places(known - hash)),
            };
            known = self.joined.get(near).map_or(hash, |(other, _)| *other);
        }
        let (mut low, mut high) = (near.saturating_sub(JOINED_NEAR), len.min(near + JOINED_NEAR));
        if low > 0 && self.joined[low].0 >= hash {
            low = 0;
        }
        if high < len && self.joined[high].0 < hash {
            high = len;
        }
        let from = low + self.joined[low..high].partition_point(|(other, _)| *other < hash);
        let same = self.joined[from..].iter().take_while(move |(other, _)| *other == hash);
        same.map(|(_, form)| *form).filter(move |form| {
            let mut rest = together.as_bytes();
            let words = self.form(*form).words;
            words.iter().all(|word| rest.strip_prefix(self.text(*word)).map(|behind| rest = behind).is_some())
                && rest.is_empty()
        })
    }

    /// What is compared of a shop. O(1).
    pub(super) fn place(&self, shop: u32) -> &Place {
        &self.places[shop as usize]
    }

    /// Words of a shop's city. O(1).
    pub(super) fn city(&self, shop: u32) -> &[u32] {
        let shop = shop as usize;
        let to = self.places.get(shop + 1).map_or(self.cities.len(), |next| next.city_from as usize);
        &self.cities[self.places[shop].city_from as usize..to]
    }

    /// A merchant's shops. O(1).
    pub(super) fn shops_of(&self, merchant: u32) -> std::ops::Range<u32> {
        self.merchants[merchant as usize]..self.merchants[merchant as usize + 1]
    }

    /// Of the shops with a word, those of one merchant. Logarithmic.
    pub(super) fn shops_of_with(&self, merchant: u32, word: u32) -> &[u32] {
        let shops = self.shops_with(word);
        let range = self.shops_of(merchant);
        let from = shops.partition_point(|shop| *shop < range.start);
        let count = shops[from..].partition_point(|shop| *shop < range.end);
        &shops[from..from + count]
    }

    /// Shops held. O(1).
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no shop. O(1).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes held. O(1).
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.texts)
            + size_of_val(&*self.text_starts)
            + self.by_text.allocation_size()
            + size_of_val(&*self.weights)
            + size_of_val(&*self.postings)
            + size_of_val(&*self.form_starts)
            + size_of_val(&*self.shop_starts)
            + size_of_val(&*self.forms)
            + size_of_val(&*self.form_words)
            + size_of_val(&*self.first_forms)
            + size_of_val(&*self.scopes)
            + size_of_val(&*self.joined)
            + size_of_val(&*self.places)
            + size_of_val(&*self.cities)
            + size_of_val(&*self.merchants)
    }
}

fn short_hash(bytes: &[u8]) -> u32 {
    u32::try_from(xxh3_64_with_seed(bytes, 0) >> 32).unwrap_or_default()
}

/// How rare a word is among the merchants and those thought of beyond them, in sixteenths of
/// a bit.
fn weight(text: &str, having: u32, merchants: u64) -> u32 {
    let all = POPULATION + merchants;
    let beyond = u64::from(known::shops_with(text)).max(1);
    let with = (u64::from(having) + beyond).min(all);
    log2(all) - log2(with)
}

/// The weight of a word that no merchant has.
pub(super) fn weight_unknown(text: &str, merchants: usize) -> u32 {
    weight(text, 0, merchants as u64)
}

/// Logarithm to base 2 in sixteenths, the fraction by a straight line. Zero for zero.
fn log2(number: u64) -> u32 {
    let Some(whole) = number.checked_ilog2() else { return 0 };
    let fraction = if whole >= 4 { number >> (whole - 4) } else { number << (4 - whole) } & 15;
    whole * BIT + u32::try_from(fraction).unwrap_or(0)
}

/// What an index is asked: the text's parts, resolved by whoever scores.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The text, taken apart.
    pub text: &'a Cleaned,
    /// The shop's category as sent.
    pub mcc: Option<u16>,
    /// The shop's country as sent, ISO 3166 alpha-2.
    pub country: Option<&'a str>,
    /// The shop's postcode as sent.
    pub postcode: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_rise() {
        assert_eq!((log2(0), log2(1), log2(2), log2(3), log2(65_536)), (0, 0, 16, 24, 256));
        assert!((1..5_000).all(|number| log2(number) <= log2(number + 1)));
    }

    #[test]
    fn words_are_found_whole_and_by_their_beginning() {
        let names = ["Blue Bottle Coffee", "Blue Bonnet", "Bluebird", "Zoo"];
        let shops =
            names.iter().zip(0..).map(|(name, merchant)| Shop { merchant, merchant_name: name, ..Shop::default() });
        let index = Index::build(shops, None, 7);
        let named = |range: std::ops::Range<u32>| -> Vec<String> {
            range.map(|word| String::from_utf8_lossy(index.text(word)).into_owned()).collect()
        };
        assert_eq!(named(index.find_prefix("bo")), ["bonnet", "bottle"]);
        assert_eq!(named(index.find_prefix("blue")), ["blue", "bluebird"]);
        assert_eq!(named(index.find_prefix("zz")), Vec::<String>::new());
        assert_eq!(index.forms_with(index.find("blue").unwrap()), [0, 1]);
        assert_eq!(index.forms_joined("bluebottlecoffee").collect::<Vec<_>>(), [0]);
        assert_eq!(index.find("bott"), None);
        assert!(index.weight(index.find("coffee").unwrap()) < index.weight(index.find("bottle").unwrap()));
    }

    #[test]
    fn shops_of_a_chain_share_a_form() {
        let (one, other) = ([CompactString::from("STARBUCKS STORE 00304 SEATTLE")], [CompactString::from("SBUX 12")]);
        let shop =
            |city, descriptors| Shop { merchant_name: "Starbucks", city: Some(city), descriptors, ..Shop::default() };
        let index = Index::build([shop("Seattle", &one), shop("Tacoma", &other)].into_iter(), None, 7);
        let forms: Vec<_> = (0..3).map(|number| index.form(number)).collect();
        assert_eq!(forms.iter().map(|form| form.shops).collect::<Vec<_>>(), [None, Some(&[0][..]), Some(&[1][..])]);
        assert_eq!(index.forms.len(), 3);
        assert_eq!(index.shops_of_with(0, index.find("tacoma").unwrap()), [1]);
        assert_eq!(index.shops_with(index.find("#304").unwrap()), [0]);
        assert!(index.place(0).has_numbers() && index.place(0).country().is_none());
    }
}
