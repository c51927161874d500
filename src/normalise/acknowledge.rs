//! What a provider must hear so that it counts a delivery as received and does not send it
//! again. The status is 200 for everybody; the words of those who read more than the status
//! stand in their dialect's own file.

use super::Format;

/// The body of an answer to what is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledgement {
    /// One outcome or problem per event, in our own words.
    PerEvent,
    /// The provider reads the status and nothing else: `{"received":true,"outcomes":[…]}`.
    Received,
    /// The provider reads the body, which must be this JSON text whatever became of the events.
    Words(&'static str),
}

impl Format {
    /// What this dialect's provider must hear.
    #[must_use]
    pub const fn acknowledgement(self) -> Acknowledgement {
        match self {
            Self::Ringfence => Acknowledgement::PerEvent,
            Self::MastercardCen => Acknowledgement::Words(super::mastercard_cen::ACKNOWLEDGEMENT),
            // Who reads the body has a line of its own: `Acknowledgement::Words(…::ACKNOWLEDGEMENT)`.
            _ => Acknowledgement::Received,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_format_is_answered_per_event_and_fixed_words_are_json() {
        for format in Format::ALL {
            match format.acknowledgement() {
                Acknowledgement::PerEvent => assert_eq!(format, Format::Ringfence),
                Acknowledgement::Received => {
                    // It repeats for up to a day what is not answered in its words.
                    assert_ne!(format.as_str(), "mastercard-cen", "reads the body of an answer");
                }
                Acknowledgement::Words(words) => {
                    let read: Result<serde_json::Value, _> = serde_json::from_str(words);
                    assert!(read.is_ok_and(|value| value.is_object()), "{format}: {words}");
                }
            }
        }
        assert_eq!(Format::StripeIssuing.acknowledgement(), Acknowledgement::Received);
    }
}
