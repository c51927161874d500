//! A provider's words become ours: verified bytes in, [`CardEvent`]s out.
//!
//! One file per dialect, and no dialect's word outside its file; `field` and `pan`
//! are what they share. A body that cannot be read at all is [`Unreadable`]; a message
//! that can be read but cannot be true is [`Message::Impossible`] and belongs on the
//! dead-letter shelf. Must not read a clock, must not use floats for money, and must
//! never repeat a card number, not even to complain about it.

pub mod conformance;
pub mod pan;

mod acknowledge;
mod decimal;
mod fidel;
mod field;
mod iso;
mod json;
mod kard;
mod lithic;
mod marqeta;
mod mastercard_cen;
mod ringfence;
mod stripe_issuing;
#[cfg(test)]
mod tests;
mod visa_vop;
mod when;

pub use acknowledge::Acknowledgement;

use crate::domain::CardEvent;
use std::fmt;
use std::str::FromStr;

/// Most messages one body may carry.
pub const BATCH_MESSAGES_MAX: usize = 500;

/// A dialect we understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Our own, described in the interface.
    Ringfence,
    /// Fidel's transaction webhooks.
    Fidel,
    /// Kard's transactions.
    Kard,
    /// Visa Offers Platform; its contract is not public.
    VisaVop,
    /// Mastercard's event notifications.
    MastercardCen,
    /// Stripe Issuing's events of authorizations and transactions.
    StripeIssuing,
    /// Marqeta's transaction webhooks.
    Marqeta,
    /// Lithic's card transactions.
    Lithic,
}

impl Format {
    /// Every dialect.
    pub const ALL: [Self; 8] = [
        Self::Ringfence,
        Self::Fidel,
        Self::Kard,
        Self::VisaVop,
        Self::MastercardCen,
        Self::StripeIssuing,
        Self::Marqeta,
        Self::Lithic,
    ];

    /// The name by which configuration calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ringfence => ringfence::NAME,
            Self::Fidel => fidel::NAME,
            Self::Kard => kard::NAME,
            Self::VisaVop => visa_vop::NAME,
            Self::MastercardCen => mastercard_cen::NAME,
            Self::StripeIssuing => stripe_issuing::NAME,
            Self::Marqeta => marqeta::NAME,
            Self::Lithic => lithic::NAME,
        }
    }

    /// Whether a message tells again what was told before, with the shop as it is by then:
    /// its text may be another at clearing, and the event is still the same.
    #[must_use]
    pub fn retells_shop(self) -> bool {
        self == Self::Lithic
    }

    /// Names of fields that this dialect, by contract, fills with identifiers; a digit
    /// run in them is no card number however much it looks like one.
    fn identifiers(self) -> &'static [&'static str] {
        match self {
            Self::Ringfence => ringfence::IDENTIFIERS,
            Self::Fidel => fidel::IDENTIFIERS,
            Self::Kard => kard::IDENTIFIERS,
            Self::VisaVop => visa_vop::IDENTIFIERS,
            Self::MastercardCen => mastercard_cen::IDENTIFIERS,
            Self::StripeIssuing => stripe_issuing::IDENTIFIERS,
            Self::Marqeta => marqeta::IDENTIFIERS,
            Self::Lithic => lithic::IDENTIFIERS,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No dialect has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a format this build understands (it understands: {known})", known = known_formats())]
pub struct UnknownFormat(pub String);

fn known_formats() -> String {
    Format::ALL.map(Format::as_str).join(", ")
}

impl FromStr for Format {
    type Err = UnknownFormat;
    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.into_iter().find(|format| format.as_str() == name).ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}

/// What is wrong with a body or a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Stable, for programs: `amount_negative`.
    pub code: &'static str,
    /// Where, from the top of the body: `events[3].amount.currency`. Empty for the whole.
    pub path: String,
    /// For people: what is wrong and what would be right. Quotes at most a short piece of
    /// the input, and no card number.
    pub detail: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.detail) } else { write!(f, "{}: {}", self.path, self.detail) }
    }
}

/// The body as a whole cannot be read; nothing in it was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Unreadable {
    /// What is wrong.
    pub problem: Problem,
    /// Offset of the byte at which reading stopped; `None` when no single byte is at fault.
    pub byte: Option<usize>,
}

impl Unreadable {
    fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { problem: Problem { code, path: String::new(), detail: detail.into() }, byte: None }
    }
}

/// What one message of a body turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A card event in our words.
    Event(Box<CardEvent>),
    /// Understood, and of no consequence for us.
    Ignored {
        /// The sender's id of the message; `None` when it gave none.
        id: Option<String>,
        /// Stable word: `account_verification`.
        why: &'static str,
    },
    /// Readable, but cannot be true: to be kept among the dead letters.
    Impossible {
        /// The sender's id of the message; `None` when it gave none that can be repeated.
        id: Option<String>,
        /// What is wrong.
        problem: Problem,
    },
}

/// A body in our words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Normalised {
    /// Whether the sender wrote a batch (a batch of one is still a batch), so that the
    /// answer can have the same shape.
    pub batch: bool,
    /// In the order of the body; never empty.
    pub messages: Vec<Message>,
}

/// Translates a body. The caller passes bytes whose signature has been verified.
///
/// # Errors
/// [`Unreadable`] when nothing in the body can be trusted to be what was meant: no JSON,
/// no UTF-8, the wrong shape at the top, an empty batch or one that is too large.
pub fn normalise(format: Format, body: &[u8]) -> Result<Normalised, Unreadable> {
    // Checked as a whole: the JSON reader does not look inside strings that it skips.
    let text = std::str::from_utf8(body).map_err(|fault| Unreadable {
        byte: Some(fault.valid_up_to()),
        ..Unreadable::new("not_utf8", "the body is not UTF-8; JSON must be")
    })?;
    match format {
        Format::Ringfence => ringfence::read(text),
        Format::Fidel => fidel::read(text),
        Format::Kard => kard::read(text),
        Format::VisaVop => visa_vop::read(text),
        Format::MastercardCen => mastercard_cen::read(text),
        Format::StripeIssuing => stripe_issuing::read(text),
        Format::Marqeta => marqeta::read(text),
        Format::Lithic => lithic::read(text),
    }
}

/// The body as it may be kept among the dead letters: card numbers masked, in keys,
/// strings and bare numbers, except in fields that are identifiers by contract. Any bytes
/// are accepted; what was JSON stays JSON.
#[must_use]
pub fn masked(format: Format, body: &[u8]) -> Vec<u8> {
    pan::mask_json(body, format.identifiers())
}
