//! A statement text taken apart: who carried the money, which words name the shop, and what
//! is only there to say when, where and which of many.
//!
//! The same text always gives the same parts, whatever its case, accents and spaces, and
//! no part is longer than what went in. Nothing here knows any merchant.

use super::facilitators::{Facilitator, Kind, strip};
use super::vocabulary as known;
use compact_str::CompactString;

/// Characters of a text that are looked at; networks send 22 to 40, providers up to 512.
pub const CHARS_MAX: usize = 160;
/// Words kept of a text.
pub const WORDS_MAX: usize = 16;
/// Bytes kept of a word.
pub const WORD_BYTES_MAX: usize = 32;
/// Store numbers kept of a text.
pub const NUMBERS_MAX: usize = 4;
/// A shop's field has 22 to 25 characters in the networks' messages, and some facilitators
/// use fewer: a word that ends in these columns may be the beginning of a longer one.
const CUT_COLUMNS: std::ops::RangeInclusive<usize> = 18..=25;

/// A word of a shop's name: lower-case letters and digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The word.
    pub text: CompactString,
    /// It ends where fields end: it may be cut short.
    pub cut: bool,
}

impl Word {
    /// Only digits: perhaps a store number, perhaps part of the name (`FOREVER 21`).
    #[must_use]
    pub fn is_number(&self) -> bool {
        self.text.bytes().all(|byte| byte.is_ascii_digit())
    }
}

/// The parts of a statement text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Whose mark stood in front; `None` when nobody's.
    pub facilitator: Option<&'static Facilitator>,
    /// What names the shop, and a city when it stood in the same field.
    pub words: Vec<Word>,
    /// Numbers said to be a store's (`#0123`, `STORE 12`, `T-1234`), without leading zeros.
    pub numbers: Vec<CompactString>,
    /// Words of the city's own field.
    pub place: Vec<CompactString>,
    /// A state or province at the end, lower case.
    pub region: Option<&'static str>,
    /// The country at the end, where the word can mean nothing else.
    pub country: Option<[u8; 2]>,
    /// A ZIP code behind a state.
    pub postcode: Option<CompactString>,
    /// Digits of a telephone number.
    pub phone: Option<CompactString>,
    /// The last word of the name may be cut short.
    pub truncated: bool,
}

/// Takes a statement text apart. Linear in its first [`CHARS_MAX`] characters.
#[must_use]
pub fn clean(text: &str) -> Cleaned {
    let folded = fold(text);
    let mut rest = folded.trim();
    let mut cleaned = Cleaned::default();
    let mut field_from = folded.len() - rest.len();
    while let Some((facilitator, behind)) = strip(rest) {
        rest = behind.trim_start_matches([' ', '-', ':']);
        match facilitator.kind {
            Kind::Bank => {
                rest = without_card(without_date(rest));
                field_from = rest.as_ptr() as usize - folded.as_ptr() as usize;
            }
            Kind::Wallet => cleaned.facilitator = cleaned.facilitator.or(Some(facilitator)),
            Kind::Shop => cleaned.facilitator = Some(facilitator),
            Kind::Marketplace => {
                cleaned.facilitator = Some(facilitator);
                break;
            }
        }
    }
    let origin = rest.as_ptr() as usize - folded.as_ptr() as usize;
    let (name, place) = fields(rest);
    let mut reader = Reader { cleaned, column: origin.saturating_sub(field_from), into_place: false };
    reader.read(name);
    if let Some(place) = place {
        reader.into_place = true;
        reader.read(place);
    }
    let mut cleaned = reader.cleaned;
    take_tail(&mut cleaned);
    if let Some(market) = cleaned.facilitator.filter(|facilitator| facilitator.kind == Kind::Marketplace) {
        // What stands behind the mark was not paid by this card.
        let word = |text| Word { text: CompactString::new(text), cut: false };
        cleaned.words = market.name.split(' ').map(word).collect();
        cleaned.place.clear();
        cleaned.numbers.clear();
    }
    cleaned.truncated = place.is_none() && cleaned.words.last().is_some_and(|word| word.cut);
    cleaned
}

/// The words of a name as somebody wrote it in a document: no field ends in it, and its
/// last word is no state.
#[must_use]
pub fn name_words(text: &str) -> Vec<CompactString> {
    let folded = fold(text);
    let mut reader = Reader { cleaned: Cleaned::default(), column: 0, into_place: false };
    reader.read(folded.trim());
    reader.cleaned.words.into_iter().map(|word| word.text).collect()
}

/// The words of a city's name.
#[must_use]
pub fn place_words(text: &str) -> Vec<CompactString> {
    let folded = fold(text);
    let pieces = folded.split(|c: char| !c.is_ascii_alphanumeric()).filter(|piece| !piece.is_empty());
    pieces.take(WORDS_MAX).map(bounded).collect()
}

/// A postcode in its one spelling: letters and digits alone, of a ZIP+4 the first five.
/// `None` when nothing is left.
#[must_use]
pub fn postcode(text: &str) -> Option<CompactString> {
    let zip = text.trim().split_once('-').map_or(text, |(zip, more)| if more.len() == 4 { zip } else { text });
    let letters = zip.chars().take(16).filter(char::is_ascii_alphanumeric);
    let code: CompactString = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    (!code.is_empty() && code.bytes().any(|byte| byte != b'0')).then_some(code)
}

/// A store number in its one spelling: its digits without leading zeros, or its letters and
/// digits when it has no digit. `None` when nothing is left.
#[must_use]
pub fn store_number(text: &str) -> Option<CompactString> {
    let digits: CompactString = text.chars().take(WORD_BYTES_MAX).filter(char::is_ascii_digit).collect();
    if digits.is_empty() {
        let letters = text.chars().take(WORD_BYTES_MAX).filter(char::is_ascii_alphanumeric);
        let letters: CompactString = letters.map(|letter| letter.to_ascii_lowercase()).collect();
        return (!letters.is_empty()).then_some(letters);
    }
    let number = digits.trim_start_matches('0');
    (!number.is_empty()).then(|| CompactString::new(number))
}

/// The text under which equal descriptors come together: without the facilitator, dates,
/// references and telephone numbers, with the store number. A key's key is itself.
#[must_use]
pub fn key(text: &str) -> String {
    let mut key = render(&clean(text));
    // What was dropped may have stood between two words that mean something together.
    for _ in 0..WORDS_MAX {
        let again = render(&clean(&key));
        if again == key {
            break;
        }
        key = again;
    }
    key
}

fn render(cleaned: &Cleaned) -> String {
    let country = cleaned.country.map(|code| code.map(|letter| char::from(letter.to_ascii_lowercase())));
    let country = country.map(CompactString::from_iter);
    let numbers = cleaned.numbers.iter().map(|number| compact_str::format_compact!("#{number}"));
    let words = cleaned.words.iter().map(|word| word.text.clone()).chain(cleaned.place.iter().cloned());
    let tail = cleaned.region.map(CompactString::new).into_iter().chain(cleaned.postcode.clone()).chain(country);
    let parts: Vec<CompactString> = words.chain(tail).chain(numbers).collect();
    parts.join(" ")
}

/// Lower-case ASCII. Apostrophes vanish, so that `JOE'S` is `JOES`.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len().min(CHARS_MAX));
    for letter in text.chars().take(CHARS_MAX) {
        match letter {
            '\'' | '’' | '‘' | '`' | '´' | 'ʼ' => {}
            _ if letter.is_ascii_control() || letter.is_whitespace() => folded.push(' '),
            _ if letter.is_ascii() => folded.push(letter.to_ascii_lowercase()),
            _ => {
                // No sign stands for more than a few letters; the bound holds for all.
                let ascii = deunicode::deunicode_char(letter).unwrap_or(" ");
                let plain = ascii.bytes().filter(u8::is_ascii).filter(|byte| !b"'`*".contains(byte)).take(8);
                folded.extend(plain.map(|byte| char::from(byte.to_ascii_lowercase())));
            }
        }
    }
    folded
}

/// Without the date that a bank puts behind its own words.
fn without_date(text: &str) -> &str {
    match text.split_once(' ') {
        Some((first, rest)) if is_date(first) || (first.len() == 4 && first.bytes().all(|b| b.is_ascii_digit())) => {
            rest.trim_start()
        }
        _ => text,
    }
}

/// Without the last digits of the card that a bank puts at the end.
fn without_card(text: &str) -> &str {
    match text.trim_end().rsplit_once(' ') {
        Some((front, last)) if last.len() == 4 && last.bytes().all(|b| b.is_ascii_digit()) => {
            front.trim_end().strip_suffix(" card").unwrap_or(text)
        }
        _ => text,
    }
}

/// The shop's field, and the city's when the first was filled up with spaces.
fn fields(text: &str) -> (&str, Option<&str>) {
    let mut from = 0;
    while let Some(gap) = text[from..].find("  ").map(|gap| from + gap) {
        let rest = text[gap..].trim_start();
        let place = text.len() - rest.len();
        let wide = place - gap >= 3 || place >= *CUT_COLUMNS.start();
        if gap >= 3 && wide && !rest.is_empty() && !rest.starts_with(['*', '#']) {
            return (&text[..gap], Some(rest));
        }
        from = text.len() - rest.len();
        if from >= text.len() {
            break;
        }
    }
    (text, None)
}

/// Reads tokens into a [`Cleaned`].
struct Reader {
    cleaned: Cleaned,
    /// Column of the shop's field at which the text begins.
    column: usize,
    into_place: bool,
}

impl Reader {
    fn read(&mut self, text: &str) {
        let splits = |c: char| c == ' ' || c == '*' || c == ',' || c == ';' || c == '|' || c == '_';
        let begin = |token: &str| token.as_ptr() as usize - text.as_ptr() as usize;
        let tokens: Vec<&str> = text.split(splits).filter(|token| !token.is_empty()).collect();
        let mut next = 0;
        while let Some(token) = tokens.get(next) {
            let phone = phone(&tokens[next..]);
            if let Some((count, digits)) = phone {
                self.cleaned.phone.get_or_insert(digits);
                next += count;
                continue;
            }
            self.token(token, self.column + begin(token));
            next += 1;
        }
        self.column += text.len();
    }

    fn has_words(&self) -> bool {
        !self.cleaned.words.is_empty()
    }

    fn token(&mut self, token: &str, column: usize) {
        if is_date(token) || token.contains('@') {
            return;
        }
        if let Some(site) = site(token) {
            // Behind a name it says where to complain; alone it is the name.
            if !self.has_words() {
                let end = column + token.len();
                for piece in site.split('-').filter(|piece| !piece.is_empty()) {
                    self.piece(piece, end);
                }
            }
            return;
        }
        if let Some(number) = stated(token) {
            self.number(number);
            return;
        }
        if let Some((word, number)) = token.split_once('#')
            && !word.is_empty()
        {
            self.token(word, column);
            self.token(&token[word.len()..], column + word.len());
            let _ = number;
            return;
        }
        let initials = token.len() >= 3 && token.split('.').all(|piece| piece.len() <= 1);
        if initials {
            let joined: CompactString = token.chars().filter(char::is_ascii_alphanumeric).collect();
            return self.piece(&joined, column + token.len());
        }
        let mut from = 0;
        for piece in token.split(|c: char| !c.is_ascii_alphanumeric()) {
            if !piece.is_empty() {
                self.piece(piece, column + from + piece.len());
            }
            from += piece.len() + 1;
        }
    }

    /// Letters and digits alone, ending in a column.
    fn piece(&mut self, piece: &str, end: usize) {
        let digits = piece.bytes().filter(u8::is_ascii_digit).count();
        let letters = piece.len() - digits;
        if letters == 0 {
            self.digits(piece, end);
        } else if digits == 0 {
            if !(self.has_words() && known::is_legal_form(piece) && known::region(piece).is_none()) {
                self.word(piece, end);
            } else if !self.into_place && self.cleaned.words.len() > 1 {
                // `& CO KG`: no Colorado.
                self.cleaned.words.pop_if(|word| word.text == "co");
            }
        } else if let Some(number) = stated(piece) {
            self.number(number);
        } else if let Some((first, second)) = two_runs(piece) {
            self.piece(first, end - second.len());
            self.piece(second, end);
        } else if !(digits >= 2 && piece.len() >= 5) {
            self.word(piece, end);
        }
    }

    fn digits(&mut self, digits: &str, end: usize) {
        let list = if self.into_place { self.cleaned.place.last() } else { self.cleaned.words.last().map(|w| &w.text) };
        let last = list.map(CompactString::as_str);
        if digits.len() == 5 && self.has_words() && last.is_some_and(|word| known::region(word).is_some()) {
            self.cleaned.postcode = postcode(digits);
            return;
        }
        let number = digits.trim_start_matches('0');
        if number.is_empty() || number.len() > 6 || digits.len() > 10 {
            return;
        }
        if !self.into_place
            && self.cleaned.words.len() > 1
            && self.cleaned.words.last().is_some_and(|word| known::announces_number(&word.text))
        {
            self.cleaned.words.pop();
            return self.number(number);
        }
        // A number is the shop's in either field.
        let into_place = std::mem::take(&mut self.into_place);
        self.word(number, if into_place { 0 } else { end });
        self.into_place = into_place;
    }

    fn number(&mut self, number: &str) {
        let number = number.trim_start_matches('0');
        let numbers = &mut self.cleaned.numbers;
        if !number.is_empty() && numbers.len() < NUMBERS_MAX && !numbers.iter().any(|known| known == number) {
            numbers.push(bounded(number));
        }
        // `STORE #12`: the word belongs to the number.
        let words = &mut self.cleaned.words;
        if words.len() > 1 && words.last().is_some_and(|word| known::announces_number(&word.text)) {
            words.pop();
        }
    }

    fn word(&mut self, word: &str, end: usize) {
        if self.into_place {
            if self.cleaned.place.len() < WORDS_MAX {
                self.cleaned.place.push(bounded(word));
            }
        } else if self.cleaned.words.len() < WORDS_MAX {
            self.cleaned.words.push(Word { text: bounded(word), cut: CUT_COLUMNS.contains(&end) });
        }
    }
}

fn bounded(word: &str) -> CompactString {
    CompactString::new(&word[..word.len().min(WORD_BYTES_MAX)])
}

/// Takes country and state off the end, as long as a word is left.
fn take_tail(cleaned: &mut Cleaned) {
    let Cleaned { words, place, region, country, .. } = cleaned;
    let mut pop = |accept: &mut dyn FnMut(&str) -> bool| {
        if let Some(last) = place.last() {
            if accept(last) {
                place.pop();
            }
        } else if words.len() > 1 && words.last().is_some_and(|word| accept(&word.text)) {
            words.pop();
        }
    };
    pop(&mut |word| known::country(word).map(|code| *country = Some(code)).is_some());
    pop(&mut |word| known::region(word).map(|code| *region = Some(code)).is_some());
    if country.is_none() {
        pop(&mut |word| known::country(word).map(|code| *country = Some(code)).is_some());
    }
    // Only now is it sure that what looks like a legal form is no state.
    let mut kept = 0;
    words.retain(|word| {
        let keep = kept == 0 || !known::is_legal_form(&word.text);
        kept += usize::from(keep);
        keep
    });
}

/// A number that says itself what it is: `#0123`, `t-1234`, `f12345`.
fn stated(token: &str) -> Option<&str> {
    let number = token
        .strip_prefix('#')
        .or_else(|| token.strip_prefix("t-"))
        .or_else(|| token.strip_prefix(['f', 't']).filter(|rest| rest.len() >= 3))?;
    let number = number.trim_start_matches('-');
    ((1..=10).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}

/// Letters with a number written onto them (`WALMART1234`), or the other way round
/// (`1249RIVERDALE`).
fn two_runs(piece: &str) -> Option<(&str, &str)> {
    let digit_first = piece.as_bytes().first()?.is_ascii_digit();
    let turn = piece.bytes().position(|byte| byte.is_ascii_digit() != digit_first)?;
    let (first, second) = piece.split_at(turn);
    let one_turn = second.bytes().all(|byte| byte.is_ascii_digit() != digit_first);
    let (letters, digits) = if digit_first { (second, first) } else { (first, second) };
    let (letters_min, digits_min) = if digit_first { (4, 3) } else { (3, 3) };
    (one_turn && letters.len() >= letters_min && (digits_min..=10).contains(&digits.len())).then_some((first, second))
}

/// `12/25`, `12/25/26`, `2026-03-14`, `03-14-2026`, `14mar26`, `19:56`.
fn is_date(token: &str) -> bool {
    let parts: Vec<&str> = token.split(['/', '-', '.', ':']).collect();
    let all_digits = parts.iter().all(|part| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()));
    let lens: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let below = |part: &str, most: u16| part.parse::<u16>().is_ok_and(|number| (1..=most).contains(&number));
    if all_digits && parts.len() > 1 {
        return match lens[..] {
            [1 | 2, 1 | 2] => token.contains([':', '/']) && (token.contains(':') || both_days(parts[0], parts[1])),
            [1 | 2, 1 | 2, 2 | 4] => both_days(parts[0], parts[1]) || token.contains(':'),
            [4, 1 | 2, 1 | 2] => both_days(parts[1], parts[2]),
            _ => false,
        };
    }
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let (Some(day), Some(month), Some(year)) = (token.get(..2), token.get(2..5), token.get(5..)) else { return false };
    if !MONTHS.contains(&month) {
        return false;
    }
    below(day, 31) && (year.is_empty() || (matches!(year.len(), 2 | 4) && year.bytes().all(|b| b.is_ascii_digit())))
}

/// Whether two numbers can be a day and a month, in either order.
fn both_days(one: &str, other: &str) -> bool {
    let number = |part: &str| part.parse::<u16>().unwrap_or(0);
    let (one, other) = (number(one), number(other));
    one >= 1 && other >= 1 && one.min(other) <= 12 && one.max(other) <= 31
}

/// A telephone number that the tokens begin with: how many tokens it takes, and its digits.
fn phone(tokens: &[&str]) -> Option<(usize, CompactString)> {
    let mut digits = CompactString::default();
    let mut groups = 0;
    for (count, token) in tokens.iter().take(4).enumerate() {
        let fits = token.bytes().all(|byte| byte.is_ascii_digit() || b"()-.+/".contains(&byte));
        if !fits || is_date(token) {
            break;
        }
        for group in token.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()) {
            // Groups of a telephone number: (1) 3 3 4, or of a British one 4 to 6 and more.
            if group.len() > 7 && groups > 0 {
                return None;
            }
            groups += 1;
            digits.push_str(group);
        }
        let grouped = groups >= 2 || digits.starts_with("08") || digits.starts_with('8');
        let length = digits.len() == 10 || (digits.len() == 11 && digits.starts_with(['0', '1']));
        let follows = tokens.get(count + 1).is_some_and(|next| next.bytes().all(|byte| byte.is_ascii_digit()));
        if length && grouped && !(digits.len() == 10 && follows && groups == 1) {
            return Some((count + 1, digits));
        }
        if digits.len() > 11 {
            break;
        }
    }
    None
}

/// The name in a web address: `www.aldi.us/x` is `aldi`. `None` for what is none.
fn site(token: &str) -> Option<&str> {
    const ENDS: [&str; 22] = [
        "com", "net", "org", "co", "uk", "de", "fr", "io", "us", "ca", "au", "eu", "shop", "store", "app", "tv", "ai",
        "gov", "it", "es", "nl", "biz",
    ];
    let host = token.strip_prefix("https://").or_else(|| token.strip_prefix("http://")).unwrap_or(token);
    let host = host.split('/').next().unwrap_or(host).trim_end_matches('.');
    let labels: Vec<&str> = host.split('.').collect();
    let plain = |label: &&str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if labels.len() < 2 || !labels.iter().all(plain) || !ENDS.contains(labels.last()?) {
        return None;
    }
    let second = matches!(labels[labels.len() - 2], "co" | "com" | "org" | "gov" | "ac") && labels.len() > 2;
    let name = labels[labels.len() - if second { 3 } else { 2 }];
    (name.len() > 1 && name != "www").then_some(name)
}

#[cfg(test)]
#[path = "clean_tests.rs"]
mod tests;
