//! Mastercard's event notifications: Commercial Event Notifications 1.2, pushed as arrays
//! (one alone is read too) or pulled as pages, and what is public of Transaction
//! Notifications.
//!
//! Authorizations say minor units, clearings decimals; dates come without a year, which the
//! notification's creation gives. Network references are unique for a day only, so a
//! purchase is a reference, its day and the card. The card is the one used in the shop:
//! its GUID, or the purchase request that it was made for; the numbers sent are masked and
//! name no card. Clearings that do not say the cardholder's side, and Transaction
//! Notifications, whose units and times are not published, move nothing: they go to the
//! dead letters.

mod content;
#[cfg(test)]
pub(super) mod tests;

use super::field::{self, Batch, Fields, Judge, Judged, Key, Part, Scalar, Shape, ShapeVisitor, object, problem};
use super::{BATCH_MESSAGES_MAX, Message, Normalised, Problem, Unreadable};
use content::RawContent;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess};

/// As configuration calls it.
pub(super) const NAME: &str = "mastercard-cen";

/// Whoever answers otherwise is sent the same for up to a day.
pub(super) const ACKNOWLEDGEMENT: &str = r#"{"success":true}"#;

/// Identifiers by contract, beyond those every dialect knows.
pub(super) const IDENTIFIERS: &[&str] = &[
    "accountguid",
    "acquirerinstitutionidcode",
    "acquirerreferencedata",
    "authorizationtransactionid",
    "banknetreferencenumber",
    "clearingtransactionid",
    "companyguid",
    "corpguid",
    "forwardinginstitutionidcode",
    "fundingsourceguid",
    "issuerguid",
    "originaltransactionid",
    "purchaserequestid",
    "traceid",
    "transuid",
];

object! {
    struct RawNotification<'a> {
        subject: Scalar<'a> = "subject",
        created: Scalar<'a> = "createdTimestamp",
        idempotency_key: Scalar<'a> = "idempotencyKey",
        content: Part<'a, Box<RawContent<'a>>> = "content",
        // Of Transaction Notifications.
        card_reference: Scalar<'a> = "cardReference",
        trans_uid: Scalar<'a> = "transUid",
        issuer_response: Scalar<'a> = "issuerResponse",
    }
}

/// What stands at the top of a body.
enum Top<'a> {
    One(Option<Message>),
    /// The name of the list, and what is in it.
    Batch(&'static str, Batch<RawNotification<'a>>),
    /// More than one list, or a list beside a notification.
    Unclear,
    Other,
}

/// The lists of a page: of Commercial Event Notifications, and of undelivered Transaction
/// Notifications.
const LISTS: [&str; 2] = ["notifications", "data"];

/// Reads a body.
pub(super) fn read(body: &str) -> Result<Normalised, Unreadable> {
    let top = super::json::from_str(body).map_err(|fault| field::not_json(body, &fault))?;
    let wrong = |code, path: &str, detail: String| Unreadable { problem: problem(code, path, detail), byte: None };
    let shape = "the body must be a notification, an array of them, or a page of them";
    match top {
        Top::One(Some(message)) => Ok(Normalised { batch: false, messages: vec![message] }),
        Top::One(None) | Top::Other => Err(Unreadable::new("wrong_shape", shape)),
        Top::Unclear => Err(Unreadable::new("wrong_shape", format!("{shape}, not several of these"))),
        Top::Batch(name, Batch::Given(mut messages)) if !messages.is_empty() => {
            for message in &mut messages {
                if let Message::Impossible { problem, .. } = message {
                    problem.path.insert_str(0, name);
                }
            }
            Ok(Normalised { batch: true, messages })
        }
        Top::Batch(name, Batch::Given(_) | Batch::Absent) => {
            Err(wrong("batch_empty", name, format!("must hold 1 to {BATCH_MESSAGES_MAX} notifications, holds none")))
        }
        Top::Batch(name, Batch::TooLarge) => {
            Err(wrong("batch_too_large", name, format!("must hold at most {BATCH_MESSAGES_MAX} notifications")))
        }
        Top::Batch(name, Batch::Other(noun, _)) => {
            Err(wrong("wrong_shape", name, format!("must be an array of notifications, is {noun}")))
        }
    }
}

impl<'de> Deserialize<'de> for Top<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor::default())
    }
}

impl<'de> Shape<'de> for Top<'de> {
    fn from_scalar(_: Scalar<'de>) -> Self {
        Self::Other
    }
    fn from_seq<A: SeqAccess<'de>>(seq: A) -> Result<Self, A::Error> {
        Batch::from_seq(seq).map(|batch| Self::Batch("", batch))
    }
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut notification = RawNotification::<'de>::default();
        let mut is_notification = false;
        let mut list = None;
        let mut unclear = false;
        while let Some(Key(key)) = map.next_key()? {
            match LISTS.into_iter().find(|name| *name == key) {
                Some(name) if list.is_none() => list = Some((name, map.next_value()?)),
                Some(_) => {
                    unclear = true;
                    map.next_value::<IgnoredAny>()?;
                }
                None => is_notification |= notification.take(&key, &mut map)?,
            }
        }
        Ok(match list {
            Some(_) if unclear || is_notification => Self::Unclear,
            Some((name, batch)) => Self::Batch(name, batch),
            // Judged where it was read: it is too large to be moved about.
            None => Self::One(is_notification.then(|| message(&notification, None))),
        })
    }
}

impl<'de> Judge<'de> for RawNotification<'de> {
    fn judge(notification: Part<'de, Self>, index: usize) -> Message {
        let fault = match &notification {
            Part::Given(notification) => return message(notification, Some(index)),
            other => other.object("").err(),
        };
        let detail = fault.map_or_else(|| "must be an object, is null".to_owned(), |problem| problem.detail);
        Message::Impossible { id: None, problem: problem("wrong_type", format!("[{index}]"), detail) }
    }
}

fn message(notification: &RawNotification<'_>, place: Option<usize>) -> Message {
    let id = || {
        let content = match &notification.content {
            Part::Given(content) => content.repeatable(),
            _ => None,
        };
        content.or_else(|| notification.idempotency_key.repeatable()).or_else(|| notification.trans_uid.repeatable())
    };
    match judge(notification) {
        Ok(Judged::Event(event)) => Message::Event(event),
        Ok(Judged::Ignored(why)) => Message::Ignored { id: id(), why },
        Err(mut problem) => {
            if let Some(index) = place {
                problem.path.insert_str(0, &format!("[{index}]."));
            }
            Message::Impossible { id: id(), problem }
        }
    }
}

fn judge(notification: &RawNotification<'_>) -> Result<Judged, Problem> {
    field::once(notification.twice, "")?;
    let given = |scalar: &Scalar<'_>| !matches!(scalar, Scalar::Absent | Scalar::Null);
    if !given(&notification.subject) && (given(&notification.trans_uid) || given(&notification.card_reference)) {
        return transaction_notification(notification);
    }
    let subject = notification.subject.required_text("subject", "such as CLEARING")?;
    let read = match subject {
        "PAYMENT_AUTHORIZATION" => content::authorization,
        "BPC_PAYMENT_AUTHORIZATION" => content::controlled_authorization,
        "CLEARING" => content::clearing,
        // Instructions of payment and the life of tokens move no money on a card.
        "PAYMENT_UPDATE" | "TOKEN_PROVISIONING_EVENT" | "TOKEN_LIFECYCLE_EVENT" => {
            return Ok(Judged::Ignored("type_of_no_concern"));
        }
        other => {
            let moves_money = matches!(&notification.content, Part::Given(content) if content.moves_money());
            if !moves_money {
                return Ok(Judged::Ignored("type_of_no_concern"));
            }
            let detail = format!("{} is not a subject whose amounts are known", field::echo(other));
            return Err(problem("unknown_type", "subject", detail));
        }
    };
    let content = notification.content.object("content")?.ok_or_else(|| field::missing("content", "of the event"))?;
    let created = notification
        .created
        .instant("createdTimestamp")?
        .ok_or_else(|| field::missing("createdTimestamp", "it gives the year of the dates"))?;
    // Paths are only spelled out when there is something to say.
    read(content, created).map_err(|mut problem| {
        problem.path.insert_str(0, "content.");
        problem
    })
}

/// Only names of fields are published of these: neither the unit of `cardholderAmount`, nor
/// the merchant's amount, nor the time, nor the words for what happened. A declined one
/// would have no effect in any case.
fn transaction_notification(notification: &RawNotification<'_>) -> Result<Judged, Problem> {
    let response = content::said(&notification.issuer_response);
    if let Some(word) = response.text("issuerResponse")? {
        let declined = word.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("declin"));
        if declined || (word.len() == 2 && !content::is_approval(word)) {
            return Ok(Judged::Ignored("not_approved"));
        }
    }
    let detail = "units and times of Transaction Notifications are not published, so it cannot be known what this \
                  moves; subscribe to Commercial Event Notifications, or send it in the ringfence format";
    Err(problem("contract_not_public", "cardholderAmount", detail))
}
