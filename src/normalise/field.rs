//! What the dialects share: reading JSON fields without ever failing on their content,
//! and checking them one by one.
//!
//! A wrong type in one field must not hide the rest of the body, so reading and judging
//! are two steps: the reader only fails on what is no JSON. Must not know any dialect.

use super::{BATCH_MESSAGES_MAX, Message, Problem, Unreadable, pan};
use crate::domain::ids::{self, IdError};
use crate::domain::{CardEvent, Currency, Money, Timestamp};
use compact_str::CompactString;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

/// Largest amount in minor units, so that sums of amounts stay within `i64`.
pub(super) const AMOUNT_MAX: i64 = i64::MAX / 4;

/// Longest free text (a statement line), in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 512;

/// A JSON value where a scalar is expected. Borrowed from the body where it can be.
#[derive(Debug, Default)]
pub(super) enum Scalar<'a> {
    /// The key is not there.
    #[default]
    Absent,
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number beyond `i64`.
    Huge,
    /// A number with a fraction or an exponent (or so long that it is read as one).
    Fraction,
    /// Text.
    Text(Cow<'a, str>),
    /// No scalar: its noun; the value is skipped.
    Other(&'static str),
}

/// A JSON value where an object is expected.
#[derive(Debug, Default)]
pub(super) enum Part<'a, T> {
    /// The key is not there.
    #[default]
    Absent,
    /// `null`.
    Null,
    /// An object.
    Given(T),
    /// Text: some dialects write an id in place of the object.
    Text(Cow<'a, str>),
    /// Neither: its noun; the value is skipped.
    Other(&'static str),
}

/// A JSON value where a list is expected whose content does not matter.
#[derive(Debug, Default)]
pub(super) enum List {
    /// The key is not there, or something else stands there.
    #[default]
    Absent,
    /// `[]`.
    Empty,
    /// At least one item.
    Filled,
}

/// A list of messages, each judged as soon as it is read, so that a long batch is never
/// held in two forms.
#[derive(Debug, Default)]
pub(super) enum Batch<T> {
    /// The key is not there.
    #[default]
    Absent,
    /// In order.
    Given(Vec<Message>),
    /// More than [`BATCH_MESSAGES_MAX`].
    TooLarge,
    /// No list: its noun; the value is skipped.
    Other(&'static str, PhantomData<T>),
}

/// What a message that can be understood comes to.
pub(super) enum Judged {
    /// An event.
    Event(Box<CardEvent>),
    /// Of no consequence for us: why, as a stable word.
    Ignored(&'static str),
}

/// One message of a dialect that sends batches.
pub(super) trait Judge<'de>: Fields<'de> {
    /// What the message means; `index` is its place in the batch.
    fn judge(message: Part<'de, Self>, index: usize) -> Message;
}

/// A place for the value of one key.
pub(super) trait Slot: Sized {
    /// Whether the key has not been seen yet.
    fn is_absent(&self) -> bool;
    /// Whether the other value surely says the same, so that it does not matter which of
    /// the two was meant.
    fn says_the_same(&self, _other: &Self) -> bool {
        false
    }
}

/// Takes the value of a key, unless there is one already: tells whether there was none, or
/// the same.
pub(super) fn fill<'de, S: Slot + Deserialize<'de>, A: MapAccess<'de>>(
    slot: &mut S,
    map: &mut A,
) -> Result<bool, A::Error> {
    if slot.is_absent() {
        *slot = map.next_value()?;
        return Ok(true);
    }
    let again: S = map.next_value()?;
    Ok(slot.says_the_same(&again))
}

/// An object of known keys.
pub(super) trait Fields<'de>: Default {
    /// Takes the value of a key; tells whether the key is known.
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error>;
}

/// A large object behind one pointer, which is handed on in place of all its fields.
impl<'de, T: Fields<'de>> Fields<'de> for Box<T> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        T::take(self, key, map)
    }
}

/// Declares an object by its keys. Unknown keys are skipped; of a key that comes twice
/// the first value is kept, and the key noted in `twice` unless both say the same.
macro_rules! object {
    ($(#[$meta:meta])* $vis:vis struct $name:ident<$lt:lifetime> { $($field:ident : $ty:ty = $key:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        $vis struct $name<$lt> {
            $($field: $ty,)*
            twice: Option<&'static str>,
            borrows: std::marker::PhantomData<&$lt ()>,
        }
        impl<$lt> $crate::normalise::field::Fields<$lt> for $name<$lt> {
            fn take<A: serde::de::MapAccess<$lt>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
                match key {
                    $($key => {
                        if !$crate::normalise::field::fill(&mut self.$field, map)? {
                            self.twice = Some($key);
                        }
                    })*
                    _ => {
                        map.next_value::<serde::de::IgnoredAny>()?;
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    };
}
pub(super) use object;

/// A key, borrowed unless it is written with escapes.
pub(super) struct Key<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(V)
    }
}

const ARRAY: &str = "an array";
const OBJECT: &str = "an object";

/// A value made from whatever JSON stands there; never an error of its own.
pub(super) trait Shape<'de>: Sized {
    /// A scalar, or the noun of what was skipped.
    fn from_scalar(scalar: Scalar<'de>) -> Self;
    /// A list, read to its end.
    fn from_seq<A: SeqAccess<'de>>(seq: A) -> Result<Self, A::Error> {
        drain(seq).map(|_| Self::from_scalar(Scalar::Other(ARRAY)))
    }
    /// An object, read to its end.
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::from_scalar(Scalar::Other(OBJECT)))
    }
}

/// Reads a list to its end, and tells how many items it had.
fn drain<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<usize, A::Error> {
    let mut count = 0;
    while seq.next_element::<IgnoredAny>()?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// Reads a [`Shape`].
pub(super) struct ShapeVisitor<S>(PhantomData<S>);

impl<S> Default for ShapeVisitor<S> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<'de, S: Shape<'de>> Visitor<'de> for ShapeVisitor<S> {
    type Value = S;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E>(self) -> Result<S, E> {
        Ok(S::from_scalar(Scalar::Null))
    }
    fn visit_bool<E>(self, value: bool) -> Result<S, E> {
        Ok(S::from_scalar(Scalar::Bool(value)))
    }
    fn visit_i64<E>(self, value: i64) -> Result<S, E> {
        Ok(S::from_scalar(Scalar::Int(value)))
    }
    fn visit_u64<E>(self, value: u64) -> Result<S, E> {
        Ok(S::from_scalar(i64::try_from(value).map_or(Scalar::Huge, Scalar::Int)))
    }
    fn visit_f64<E>(self, _: f64) -> Result<S, E> {
        Ok(S::from_scalar(Scalar::Fraction))
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<S, E> {
        Ok(S::from_scalar(Scalar::Text(Cow::Borrowed(text))))
    }
    fn visit_str<E>(self, text: &str) -> Result<S, E> {
        Ok(S::from_scalar(Scalar::Text(Cow::Owned(text.to_owned()))))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<S, A::Error> {
        S::from_seq(seq)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<S, A::Error> {
        S::from_map(map)
    }
}

impl<'de> Shape<'de> for Scalar<'de> {
    fn from_scalar(scalar: Scalar<'de>) -> Self {
        scalar
    }
}
impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor::default())
    }
}
impl Slot for Scalar<'_> {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
    fn says_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Int(one), Self::Int(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => one == other,
            // What is not kept cannot be compared.
            _ => false,
        }
    }
}

impl<'de, T: Fields<'de>> Shape<'de> for Part<'de, T> {
    fn from_scalar(scalar: Scalar<'de>) -> Self {
        match scalar {
            Scalar::Null => Self::Null,
            Scalar::Text(text) => Self::Text(text),
            other => Self::Other(other.noun()),
        }
    }
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut fields = T::default();
        while let Some(Key(key)) = map.next_key()? {
            fields.take(&key, &mut map)?;
        }
        Ok(Self::Given(fields))
    }
}
impl<'de, T: Fields<'de>> Deserialize<'de> for Part<'de, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor::default())
    }
}
impl<T> Slot for Part<'_, T> {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl<'de> Shape<'de> for List {
    fn from_scalar(_: Scalar<'de>) -> Self {
        Self::Absent
    }
    fn from_seq<A: SeqAccess<'de>>(seq: A) -> Result<Self, A::Error> {
        drain(seq).map(|count| if count == 0 { Self::Empty } else { Self::Filled })
    }
}
impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor::default())
    }
}
impl Slot for List {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl<'de, T: Judge<'de>> Shape<'de> for Batch<T> {
    fn from_scalar(scalar: Scalar<'de>) -> Self {
        Self::Other(scalar.noun(), PhantomData)
    }
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        let mut messages = Vec::new();
        while messages.len() < BATCH_MESSAGES_MAX {
            let Some(message) = seq.next_element::<Part<'de, T>>()? else {
                return Ok(Self::Given(messages));
            };
            messages.push(T::judge(message, messages.len()));
        }
        drain(seq).map(|more| if more == 0 { Self::Given(messages) } else { Self::TooLarge })
    }
}
impl<'de, T: Judge<'de>> Deserialize<'de> for Batch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor::default())
    }
}
impl<T> Slot for Batch<T> {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// The fault of a body that is no JSON, with the byte at which reading stopped.
pub(super) fn not_json(body: &str, fault: &serde_json::Error) -> Unreadable {
    let line_start = body
        .as_bytes()
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'\n')
        .map(|(at, _)| at + 1)
        .nth(fault.line().wrapping_sub(2))
        .unwrap_or(0);
    let byte = (line_start + fault.column().saturating_sub(1)).min(body.len());
    // The reader's own words quote at most one character of the body.
    let text = fault.to_string();
    let what = text.split(" at line ").next().unwrap_or("malformed");
    Unreadable {
        byte: Some(byte),
        ..Unreadable::new("not_json", format!("the body is not JSON: {what}, at byte {byte}"))
    }
}

/// The text without spaces around it. Nearly all text has none, which its first and last
/// byte say at once.
pub(super) fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        [b' ', ..] | [.., b' '] => text.trim_matches(' '),
        _ => text,
    }
}

// From here on: judging one field. A `path` is relative to the message.

/// A field that cannot be right.
#[cold]
pub(super) fn problem(code: &'static str, path: impl Into<String>, detail: impl Into<String>) -> Problem {
    Problem { code, path: path.into(), detail: detail.into() }
}

/// A short piece of the input for a person to recognise it by: card numbers and other
/// long numbers masked, control characters written out.
pub(super) fn echo(text: &str) -> String {
    const CHARS_MAX: usize = 24;
    let mut out = String::from("`");
    let masked = pan::mask(text);
    let piece: String = masked.chars().take(CHARS_MAX).collect();
    // A mistyped card number is still most of one.
    let sensitive = piece
        .split(|c: char| !c.is_ascii_digit() && c != ' ' && c != '-')
        .any(|run| run.bytes().filter(u8::is_ascii_digit).count() >= 12);
    for c in piece.chars() {
        match c {
            '0'..='9' if sensitive => out.push('*'),
            '`' => out.push('\''),
            c => out.extend(c.escape_debug()),
        }
    }
    if masked.chars().nth(CHARS_MAX).is_some() {
        out.push('…');
    }
    out.push('`');
    out
}

impl<'a> Scalar<'a> {
    /// What stands there, for a sentence.
    fn noun(&self) -> &'static str {
        match self {
            Self::Absent => "nothing",
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Huge => "a number",
            Self::Fraction => "a number with a fraction or exponent",
            Self::Text(_) => "a string",
            Self::Other(noun) => noun,
        }
    }
    #[cold]
    fn wrong_type(&self, path: &str, right: &str) -> Problem {
        problem("wrong_type", path, format!("must be {right}, is {}", self.noun()))
    }
    /// Text, or `None` when absent or null.
    pub(super) fn text(&self, path: &str) -> Result<Option<&str>, Problem> {
        match self {
            Self::Absent | Self::Null => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            other => Err(other.wrong_type(path, "a string")),
        }
    }
    /// Text that must be there.
    pub(super) fn required_text(&self, path: &str, example: &str) -> Result<&str, Problem> {
        self.text(path)?.ok_or_else(|| missing(path, example))
    }
    /// A truth value, or the default when absent or null.
    pub(super) fn boolean(&self, path: &str, default: bool) -> Result<bool, Problem> {
        match self {
            Self::Absent | Self::Null => Ok(default),
            Self::Bool(value) => Ok(*value),
            other => Err(other.wrong_type(path, "true or false")),
        }
    }
    /// A whole number, or `None` when absent or null.
    pub(super) fn integer(&self, path: &str) -> Result<Option<i64>, Problem> {
        match self {
            Self::Absent | Self::Null => Ok(None),
            Self::Int(value) => Ok(Some(*value)),
            other => Err(other.wrong_type(path, "a whole number")),
        }
    }
    /// An amount of whole minor units with its sign, or `None` when absent or null.
    pub(super) fn minor_units(&self, path: &str) -> Result<Option<i64>, Problem> {
        let too_large = || problem("amount_too_large", path, format!("must be at most {AMOUNT_MAX} minor units"));
        match self {
            Self::Absent | Self::Null => Ok(None),
            Self::Int(value) if value.unsigned_abs() > AMOUNT_MAX.unsigned_abs() => Err(too_large()),
            Self::Int(value) => Ok(Some(*value)),
            Self::Huge => Err(too_large()),
            Self::Fraction => Err(problem(
                "amount_not_integer",
                path,
                "must be a whole number of minor units without fraction or exponent: 4250 for 42.50 USD",
            )),
            other => Err(other.wrong_type(path, "a whole number of minor units, such as 4250")),
        }
    }
    /// A time in RFC 3339 with a zone, or `None` when absent or null.
    pub(super) fn instant(&self, path: &str) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.text(path)? else { return Ok(None) };
        if let Some(plain) = Timestamp::parse_plain(text) {
            return Ok(Some(plain));
        }
        // The reader of times takes more forms than RFC 3339 has.
        if !is_rfc3339(text.as_bytes()) {
            return Err(bad_time(path, text));
        }
        Timestamp::parse(text).map(Some).map_err(|_| bad_time(path, text))
    }
    /// A time in whole seconds since 1970, or `None` when absent or null.
    pub(super) fn unix_seconds(&self, path: &str) -> Result<Option<Timestamp>, Problem> {
        let Some(seconds) = self.integer(path)? else { return Ok(None) };
        match seconds.checked_mul(1000) {
            Some(ms) if (0..=Timestamp::MAX.as_ms()).contains(&ms) => Ok(Some(Timestamp::from_ms(ms))),
            _ => Err(problem("bad_time", path, "must be seconds since 1970, at most those of the year 9999")),
        }
    }
    /// Text without the blanks around it, or `None` when not sent, which networks also write
    /// as "", "0" or all zeros.
    fn sent(&self, path: &str) -> Result<Option<&str>, Problem> {
        let Some(text) = self.text(path)? else { return Ok(None) };
        let text = match text.as_bytes() {
            [b' ' | b'\t', ..] | [.., b' ' | b'\t'] => text.trim_matches([' ', '\t']),
            _ => text,
        };
        Ok(if text.bytes().all(|b| b == b'0') { None } else { Some(text) })
    }
    /// An id that the merchant or its acquirer bears, as sent but for blanks around it;
    /// see [`Self::sent`].
    pub(super) fn mark(&self, path: &str) -> Result<Option<CompactString>, Problem> {
        let Some(text) = self.sent(path)? else { return Ok(None) };
        ids::check(text).map_err(|fault| bad_identifier(&fault, path))?;
        Ok(Some(CompactString::new(text)))
    }
    /// Free text with card numbers masked; see [`Self::sent`].
    pub(super) fn free_text(&self, path: &str) -> Result<Option<CompactString>, Problem> {
        let Some(text) = self.sent(path)? else { return Ok(None) };
        if text.len() > TEXT_BYTES_MAX {
            let detail = format!("must be at most {TEXT_BYTES_MAX} bytes, has {}", text.len());
            return Err(problem("too_long", path, detail));
        }
        Ok(Some(CompactString::new(pan::mask(text))))
    }
    /// A token that stands for a card. Never a card number.
    pub(super) fn card(&self, path: &str) -> Result<CompactString, Problem> {
        let text = self.required_text(path, "the source's token of the card")?;
        Ok(CompactString::new(guarded(text, path, "a token that stands for the card")?))
    }
    /// An identifier the sender chose, or `None` when absent or null. Never a card number.
    pub(super) fn identifier(&self, path: &str) -> Result<Option<&str>, Problem> {
        self.text(path)?.map(|text| guarded(text, path, OWN)).transpose()
    }
    /// The same as one of our ids, which look at what they are made of by themselves.
    pub(super) fn id<T: FromStr<Err = IdError>>(&self, path: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(path)? else { return Ok(None) };
        no_card_number(text, path, OWN)?;
        text.parse().map(Some).map_err(|fault| bad_identifier(&fault, path))
    }
    /// An identifier as it may be repeated to a person, whatever else is wrong.
    pub(super) fn repeatable(&self) -> Option<String> {
        self.identifier("").ok().flatten().map(str::to_owned)
    }
}

impl<T> Part<'_, T> {
    /// The object, or `None` when absent or null.
    pub(super) fn object(&self, path: &str) -> Result<Option<&T>, Problem> {
        let noun = match self {
            Self::Absent | Self::Null => return Ok(None),
            Self::Given(fields) => return Ok(Some(fields)),
            Self::Text(_) => "a string",
            Self::Other(noun) => noun,
        };
        Err(problem("wrong_type", path, format!("must be an object, is {noun}")))
    }
}

/// A required field that is not there.
#[cold]
pub(super) fn missing(path: &str, example: &str) -> Problem {
    problem("missing_field", path, format!("is required: {example}"))
}

/// A key that came twice with two values: which was meant cannot be known.
pub(super) fn once(twice: Option<&'static str>, path: &str) -> Result<(), Problem> {
    let Some(key) = twice else { return Ok(()) };
    let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    Err(problem("duplicate_key", path, "must appear only once in its object"))
}

/// A currency by its three capital letters.
pub(super) fn currency(code: &str, path: &str) -> Result<Currency, Problem> {
    Currency::parse(code).map_err(|_| {
        let detail = format!("{} is not an ISO 4217 currency code in capital letters, such as USD", echo(code));
        problem("unknown_currency", path, detail)
    })
}

/// An amount that must not be negative, with its currency.
pub(super) fn money(minor: i64, currency: Currency, path: &str) -> Result<Money, Problem> {
    if minor < 0 {
        return Err(problem("amount_negative", path, "must not be negative: the type of the event says the direction"));
    }
    Ok(Money::new(minor, currency))
}

/// A merchant category code from its digits; 0000 is "not sent".
pub(super) fn mcc(digits: &str) -> Option<u16> {
    if digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// What an identifier must be, for a sentence.
const OWN: &str = "an identifier of the sender's own";

fn guarded<'t>(text: &'t str, path: &str, right: &str) -> Result<&'t str, Problem> {
    no_card_number(text, path, right)?;
    ids::check(text).map_err(|fault| bad_identifier(&fault, path))?;
    Ok(text)
}

/// Comes first of all, so that no other complaint can come to quote it.
fn no_card_number(text: &str, path: &str, right: &str) -> Result<(), Problem> {
    if pan::is_card_number(text) {
        return Err(problem("card_number", path, format!("holds a card number; must be {right}")));
    }
    Ok(())
}

#[cold]
fn bad_identifier(fault: &IdError, path: &str) -> Problem {
    let code = if matches!(fault, IdError::TooLong(_)) { "too_long" } else { "bad_identifier" };
    problem(code, path, fault.to_string())
}

#[cold]
fn bad_time(path: &str, text: &str) -> Problem {
    let detail = format!(
        "{} is not an RFC 3339 instant with a zone, such as 2026-11-21T19:56:00Z, between 1970 and 9999",
        echo(text)
    );
    problem("bad_time", path, detail)
}

/// `YYYY-MM-DDThh:mm:ss[.f…]` and `Z` or `±hh:mm`; the numbers themselves are checked later.
fn is_rfc3339(text: &[u8]) -> bool {
    fn fits(text: &[u8], form: &[u8]) -> bool {
        text.len() == form.len()
            && text.iter().zip(form).all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                b'+' => matches!(byte, b'+' | b'-'),
                form => byte.eq_ignore_ascii_case(form),
            })
    }
    const DATE_TIME: &[u8] = b"0000-00-00t00:00:00";
    let Some((head, mut zone)) = text.split_at_checked(DATE_TIME.len()) else { return false };
    if let [b'.', fraction @ ..] = zone {
        let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            return false;
        }
        zone = &fraction[digits..];
    }
    fits(head, DATE_TIME) && (fits(zone, b"z") || fits(zone, b"+00:00"))
}
