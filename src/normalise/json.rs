//! A quick reader of JSON for bodies as networks send them.
//!
//! It knows the plain part of JSON, steps over what nobody asked for without looking at it
//! twice, and takes blanks and text eight bytes at a time. Whatever else stands there (escapes,
//! fractions, a sign) it hands to `serde_json` piece by piece; and where it does not go on it
//! gives up, and the body is read again by `serde_json`, which has the last word on what is
//! JSON and on the words for what is not. So this must never take what `serde_json` refuses,
//! and never read another value.

use super::decimal::AS_WRITTEN;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Reads a text that is one JSON value.
pub(super) fn from_str<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, serde_json::Error> {
    quick(text).map_or_else(|| serde_json::from_str(text), Ok)
}

/// The value, or `None` when it is not to be had by the quick way.
fn quick<'de, T: Deserialize<'de>>(text: &'de str) -> Option<T> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let value = T::deserialize(&mut reader).ok()?;
    reader.blanks();
    (reader.at == text.len()).then_some(value)
}

/// Objects and lists within each other that are read; far below the limit of `serde_json`.
const DEPTH_MAX: u8 = 64;
/// Digits of a number that surely fits.
const DIGITS_MAX: usize = 18;

/// The quick way ends here. Why is for `serde_json` to say.
#[derive(Debug)]
struct GivenUp;

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not to be read the quick way")
    }
}
impl std::error::Error for GivenUp {}
impl de::Error for GivenUp {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// A string between its quotes.
enum Text<'de> {
    /// As it is.
    Plain(&'de str),
    /// With escapes; the quotes are still around it.
    Escaped(&'de str),
}

struct Reader<'de> {
    text: &'de str,
    at: usize,
    depth: u8,
}

/// The same byte eight times.
const fn eight(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The place in a row of eight of the lowest byte whose highest bit is set in `found`.
fn place(found: u64) -> usize {
    (found.trailing_zeros() / 8) as usize
}

/// The highest bit of each byte at which plain text ends: a quote, a backslash or a control
/// character. Bytes above the lowest such may be marked falsely.
///
/// A byte below a bound borrows when the bound is taken off. With its second bit turned
/// over the quote (0x22) stands right behind the control characters, and one bound finds all.
fn text_ends(row: u64) -> u64 {
    let quote_or_control = (row ^ eight(2)).wrapping_sub(eight(0x21));
    let backslash = (row ^ eight(b'\\')).wrapping_sub(eight(1));
    (quote_or_control | backslash) & !row & eight(0x80)
}

/// How many bytes of plain text there are before a quote, a backslash or a control character.
#[inline]
fn plain_len(rest: &[u8]) -> usize {
    let (rows, tail) = rest.as_chunks();
    let mut len = 0;
    for row in rows {
        let found = text_ends(u64::from_le_bytes(*row));
        if found != 0 {
            return len + place(found);
        }
        len += row.len();
    }
    len + plain_len_of_few(tail)
}

/// The same of the last few bytes of a body, where no text of a whole one ends.
#[cold]
fn plain_len_of_few(tail: &[u8]) -> usize {
    tail.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count()
}

impl<'de> Reader<'de> {
    #[inline]
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }
    #[inline]
    fn row(&self, at: usize) -> Option<u64> {
        self.text.as_bytes().get(at..)?.first_chunk().map(|row| u64::from_le_bytes(*row))
    }
    #[inline]
    fn piece(&self, from: usize) -> Result<&'de str, GivenUp> {
        self.text.get(from..self.at).ok_or(GivenUp)
    }

    /// Steps over blanks: most often a line's end and the indentation of the next.
    fn blanks(&mut self) {
        loop {
            match self.byte(self.at) {
                Some(b' ') => match self.row(self.at) {
                    Some(row) => self.at += place(row ^ eight(b' ')),
                    None => self.at += 1,
                },
                Some(b'\n' | b'\r' | b'\t') => self.at += 1,
                _ => return,
            }
        }
    }
    /// The next byte that is no blank, still to be taken.
    #[inline]
    fn next(&mut self) -> Result<u8, GivenUp> {
        // Bodies that travel have no blanks.
        if let Some(byte) = self.byte(self.at)
            && byte > b' '
        {
            return Ok(byte);
        }
        self.blanks();
        self.byte(self.at).ok_or(GivenUp)
    }
    /// Takes this byte, blanks before it left out.
    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), GivenUp> {
        if self.next()? != byte {
            return Err(GivenUp);
        }
        self.at += 1;
        Ok(())
    }

    /// Takes a string; its quote is next.
    #[inline]
    fn string(&mut self) -> Result<Text<'de>, GivenUp> {
        let quote = self.at;
        let rest = self.text.get(quote + 1..).ok_or(GivenUp)?;
        let len = plain_len(rest.as_bytes());
        if rest.as_bytes().get(len) == Some(&b'"') {
            self.at = quote + len + 2;
            return rest.get(..len).map(Text::Plain).ok_or(GivenUp);
        }
        self.escaped(quote, quote + 1 + len)
    }
    #[cold]
    fn escaped(&mut self, quote: usize, mut at: usize) -> Result<Text<'de>, GivenUp> {
        loop {
            match self.byte(at) {
                Some(b'\\') => at += 2 + plain_len(self.text.as_bytes().get(at + 2..).ok_or(GivenUp)?),
                Some(b'"') => break,
                _ => return Err(GivenUp),
            }
        }
        self.at = at + 1;
        self.piece(quote).map(Text::Escaped)
    }
    fn skip_string(&mut self) -> Result<(), GivenUp> {
        match self.string()? {
            Text::Plain(_) => Ok(()),
            Text::Escaped(text) => is_json(text),
        }
    }

    /// Takes the characters of a number, in whatever order; tells whether it is digits alone.
    #[inline]
    fn number(&mut self) -> Result<(&'de str, bool), GivenUp> {
        let (from, mut plain) = (self.at, true);
        loop {
            match self.byte(self.at) {
                Some(b'0'..=b'9') => {}
                Some(b'-' | b'+' | b'.' | b'e' | b'E') => plain = false,
                _ => break,
            }
            self.at += 1;
        }
        let text = self.piece(from)?;
        Ok((text, plain && text.len() <= DIGITS_MAX && (text.len() == 1 || !text.starts_with('0'))))
    }
    fn skip_number(&mut self) -> Result<(), GivenUp> {
        match self.number()? {
            (_, true) => Ok(()),
            (text, false) => is_json(text),
        }
    }
    #[inline]
    fn word(&mut self, word: &str) -> Result<(), GivenUp> {
        let rest = self.text.as_bytes().get(self.at..).ok_or(GivenUp)?;
        if !rest.starts_with(word.as_bytes()) {
            return Err(GivenUp);
        }
        self.at += word.len();
        Ok(())
    }

    /// Takes a value that nobody asked for.
    fn skip(&mut self) -> Result<(), GivenUp> {
        // One bit for each object (1) or list (0) that is open, the innermost lowest, under a
        // bit that marks the end.
        let mut open = 1_u64;
        loop {
            match self.next()? {
                b'"' => self.skip_string()?,
                b'-' | b'0'..=b'9' => self.skip_number()?,
                b't' => self.word("true")?,
                b'f' => self.word("false")?,
                b'n' => self.word("null")?,
                _ if open.leading_zeros() == 0 => return Err(GivenUp),
                b'{' => {
                    self.at += 1;
                    if self.next()? == b'}' {
                        self.at += 1;
                    } else {
                        open = (open << 1) | 1;
                        self.skip_key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.at += 1;
                    if self.next()? == b']' {
                        self.at += 1;
                    } else {
                        open <<= 1;
                        continue;
                    }
                }
                _ => return Err(GivenUp),
            }
            // Behind a value.
            loop {
                if open == 1 {
                    return Ok(());
                }
                let within_object = open & 1 == 1;
                match self.next()? {
                    b',' => {
                        self.at += 1;
                        if within_object {
                            self.skip_key()?;
                        }
                        break;
                    }
                    b'}' if within_object => {}
                    b']' if !within_object => {}
                    _ => return Err(GivenUp),
                }
                self.at += 1;
                open >>= 1;
            }
        }
    }
    #[inline]
    fn skip_key(&mut self) -> Result<(), GivenUp> {
        if self.next()? != b'"' {
            return Err(GivenUp);
        }
        self.skip_string()?;
        self.expect(b':')
    }

    fn enter(&mut self) -> Result<(), GivenUp> {
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(GivenUp) } else { Ok(()) }
    }
    fn leave(&mut self, byte: u8) -> Result<(), GivenUp> {
        self.depth -= 1;
        self.expect(byte)
    }
}

fn is_json(piece: &str) -> Result<(), GivenUp> {
    serde_json::from_str::<IgnoredAny>(piece).map(|_| ()).map_err(|_| GivenUp)
}

/// What `serde_json` makes of a piece.
fn handed_on<'de, V>(
    piece: &'de str,
    read: impl FnOnce(&mut serde_json::Deserializer<serde_json::de::StrRead<'de>>) -> Result<V, serde_json::Error>,
) -> Result<V, GivenUp> {
    let mut reader = serde_json::Deserializer::from_str(piece);
    let value = read(&mut reader).map_err(|_| GivenUp)?;
    reader.end().map_err(|_| GivenUp)?;
    Ok(value)
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = GivenUp;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, GivenUp> {
        match self.next()? {
            b'"' => match self.string()? {
                Text::Plain(text) => visitor.visit_borrowed_str(text),
                Text::Escaped(text) => handed_on(text, |reader| reader.deserialize_any(visitor)),
            },
            b'{' => {
                self.enter()?;
                let value = visitor.visit_map(Items { reader: self, first: true })?;
                self.leave(b'}')?;
                Ok(value)
            }
            b'[' => {
                self.enter()?;
                let value = visitor.visit_seq(Items { reader: self, first: true })?;
                self.leave(b']')?;
                Ok(value)
            }
            b'-' | b'0'..=b'9' => match self.number()? {
                (text, true) => visitor.visit_u64(text.parse().map_err(|_| GivenUp)?),
                (text, false) => handed_on(text, |reader| reader.deserialize_any(visitor)),
            },
            b't' => self.word("true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.word("false").and_then(|()| visitor.visit_bool(false)),
            b'n' => self.word("null").and_then(|()| visitor.visit_unit()),
            _ => Err(GivenUp),
        }
    }
    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, GivenUp> {
        if self.next()? != b'"' {
            return Err(GivenUp);
        }
        match self.string()? {
            Text::Plain(text) => visitor.visit_borrowed_str(text),
            Text::Escaped(text) => handed_on(text, |reader| reader.deserialize_str(visitor)),
        }
    }
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, GivenUp> {
        self.deserialize_str(visitor)
    }
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, GivenUp> {
        self.deserialize_str(visitor)
    }
    #[inline]
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, GivenUp> {
        self.skip()?;
        visitor.visit_unit()
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, GivenUp> {
        if self.next()? == b'n' {
            self.word("null")?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }
    /// A value as it is written is asked for as one of these.
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, GivenUp> {
        self.blanks();
        let from = self.at;
        self.skip()?;
        let piece = self.piece(from)?;
        if name == AS_WRITTEN {
            return visitor.visit_borrowed_str(piece);
        }
        handed_on(piece, |reader| reader.deserialize_newtype_struct(name, visitor))
    }
    /// No dialect has one.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, GivenUp> {
        Err(GivenUp)
    }
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct
    }
}

/// What stands between two brackets. The closing one is left for whoever took the other.
struct Items<'r, 'de> {
    reader: &'r mut Reader<'de>,
    first: bool,
}

impl Items<'_, '_> {
    /// The byte with which another item begins; `None` at the end.
    #[inline]
    fn another(&mut self, close: u8) -> Result<Option<u8>, GivenUp> {
        let byte = self.reader.next()?;
        if byte == close {
            return Ok(None);
        }
        if std::mem::take(&mut self.first) {
            return Ok(Some(byte));
        }
        if byte != b',' {
            return Err(GivenUp);
        }
        self.reader.at += 1;
        self.reader.next().map(Some)
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = GivenUp;
    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, GivenUp> {
        match self.another(b'}')? {
            None => Ok(None),
            Some(b'"') => seed.deserialize(&mut *self.reader).map(Some),
            Some(_) => Err(GivenUp),
        }
    }
    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, GivenUp> {
        self.reader.expect(b':')?;
        seed.deserialize(&mut *self.reader)
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = GivenUp;
    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, GivenUp> {
        match self.another(b']')? {
            None => Ok(None),
            Some(_) => seed.deserialize(&mut *self.reader).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// What the quick way finds is what `serde_json` finds; gives whether it found anything.
    fn agree(text: &str) -> bool {
        let read: Option<Value> = quick(text);
        let skipped: Option<IgnoredAny> = quick(text);
        let raw: Option<&serde_json::value::RawValue> = quick(text);
        if let Some(read) = &read {
            assert_eq!(Some(read), serde_json::from_str(text).ok().as_ref(), "{text}");
        }
        if skipped.is_some() {
            assert!(serde_json::from_str::<IgnoredAny>(text).is_ok(), "{text}");
        }
        if let Some(raw) = raw {
            let theirs: &serde_json::value::RawValue = serde_json::from_str(text).unwrap();
            assert_eq!(raw.get(), theirs.get(), "{text}");
        }
        read.is_some() && skipped.is_some() && raw.is_some()
    }

    #[test]
    fn what_networks_send_is_read_the_quick_way() {
        for text in [
            "{}",
            "[]",
            " {\n        \"a\" : [1, -2, 3.5, 1e3, 0],\r\n\t\"b\": {\"c\": null, \"d\": true, \"e\": false}} \n",
            r#"{"text":"caf\u00e9 \"x\" \\","more":"Überweisung, lang genug für mehrere Reihen"}"#,
            r#"{"a":123456789012345678,"b":1234567890123456789,"c":99999999999999999999,"d":-0}"#,
            r#"{"a":{"a":{"a":[[[{"a":[]}]]]}},"a":""}"#,
            "\"12345678\"",
            "7",
        ] {
            assert!(agree(text), "{text}");
        }
        let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(agree(&deep(60)));
        for depth in [62, 63, 64, 65, 66, 127, 128, 129, 1000] {
            agree(&deep(depth));
        }
    }

    #[test]
    fn what_is_no_json_is_not_taken() {
        for text in [
            "",
            " ",
            "{",
            "[",
            "\"",
            "\"a",
            "\"\\\"",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\":1 \"b\":2}",
            "{a:1}",
            "{1:1}",
            "01",
            "-",
            "1.",
            "1e",
            "+1",
            "--1",
            "1-1",
            "tru",
            "truex",
            "nul",
            "1 1",
            "\"\u{1}\"",
            "\"1234567\u{1f}\"",
            "\"\\x\"",
            "\"\\u12\"",
            "{\"\\x\":1}",
            "[}",
            "{]",
            "{\"a\":[}]",
            "[1]]",
            "\u{a0}1",
            "{\"a\":1}}",
            "{} {}",
            "\u{feff}{}",
            "[\"a\\\"]",
            "1e400x",
            "{\"a\"1}",
            "[[1,[2},3]]",
            "{\"a\":{\"b\":1]}",
        ] {
            assert!(!agree(text), "{text}");
            assert!(from_str::<Value>(text).is_err());
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1000_i32..1000, 1_u8..100).prop_map(|(n, d)| serde_json::from_str(&format!("{n}.{d}")).unwrap()),
            ".{0,30}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map(".{0,12}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn all_json_is_read_the_quick_way(value in json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert!(agree(&text), "{text}");
        }
        #[test]
        fn changed_json_is_taken_only_when_it_is_json(value in json(), at: prop::sample::Index, with in "[\\[\\]{}\",:0-9.eE+\\\\u \\n-]{0,2}", gone in 0_usize..3) {
            let mut chars: Vec<char> = value.to_string().chars().collect();
            let from = at.index(chars.len());
            let to = (from + gone).min(chars.len());
            chars.splice(from..to, with.chars());
            agree(&chars.into_iter().collect::<String>());
        }
        #[test]
        fn any_text_is_answered(text in "[\\[\\]{}\",:0-9.eE+\\\\unltrfas \\n-]{0,24}") {
            agree(&text);
        }
    }
}
