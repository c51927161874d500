//! Our own format: one event, or `{"events":[…]}`.
//!
//! Strict where money or identity is concerned, liberal elsewhere: unknown fields are
//! skipped, nothing of them is kept. The hot path of the service: one pass over the
//! body, borrowed from it, no tree in between.

use super::field::{self, Batch, Fields, Judge, Key, Part, Scalar, Shape, ShapeVisitor, object, problem};
use super::{BATCH_MESSAGES_MAX, Message, Normalised, Problem, Unreadable};
use crate::domain::card_event::Clock;
use crate::domain::{CardEvent, Channel, EventKey, EventKind, MerchantMark, Money, PurchaseId, Sequence};
use compact_str::CompactString;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess};

/// As configuration calls it.
pub(super) const NAME: &str = "ringfence";

/// No identifiers beyond those every dialect knows.
pub(super) const IDENTIFIERS: &[&str] = &[];

object! {
    struct RawEvent<'a> {
        id: Scalar<'a> = "id",
        kind: Scalar<'a> = "type",
        purchase_id: Scalar<'a> = "purchase_id",
        card: Scalar<'a> = "card",
        amount: Part<'a, RawMoney<'a>> = "amount",
        billing: Part<'a, RawMoney<'a>> = "billing",
        occurred_at: Scalar<'a> = "occurred_at",
        time_known: Scalar<'a> = "time_known",
        posted_at: Scalar<'a> = "posted_at",
        approved: Scalar<'a> = "approved",
        merchant: Part<'a, RawMerchant<'a>> = "merchant",
        channel: Scalar<'a> = "channel",
        sequence: Part<'a, RawSequence<'a>> = "sequence",
    }
}

object! {
    struct RawMoney<'a> {
        minor: Scalar<'a> = "minor",
        currency: Scalar<'a> = "currency",
    }
}

object! {
    struct RawMerchant<'a> {
        scheme: Scalar<'a> = "scheme",
        mid: Scalar<'a> = "mid",
        acquirer: Scalar<'a> = "acquirer",
        descriptor: Scalar<'a> = "descriptor",
        mcc: Scalar<'a> = "mcc",
        store_id: Scalar<'a> = "store_id",
        country: Scalar<'a> = "country",
        postcode: Scalar<'a> = "postcode",
        terminal: Scalar<'a> = "terminal",
    }
}

object! {
    struct RawSequence<'a> {
        number: Scalar<'a> = "number",
        count: Scalar<'a> = "count",
    }
}

/// What stands at the top of a body.
#[derive(Debug)]
enum Top<'a> {
    One(Box<RawEvent<'a>>),
    Batch(Batch<RawEvent<'a>>),
    /// Keys of an event beside `events`, or `events` twice.
    Unclear(&'static str),
    NoObject,
}

/// Reads a body.
pub(super) fn read(body: &str) -> Result<Normalised, Unreadable> {
    let top = serde_json::from_str(body).map_err(|fault| field::not_json(body, &fault))?;
    match top {
        Top::One(event) => Ok(Normalised { batch: false, messages: vec![message(*event, None)] }),
        Top::Batch(Batch::Given(messages)) if !messages.is_empty() => Ok(Normalised { batch: true, messages }),
        Top::Batch(Batch::Given(_) | Batch::Absent) => {
            Err(unreadable("batch_empty", "events", format!("must hold 1 to {BATCH_MESSAGES_MAX} events, holds none")))
        }
        Top::Batch(Batch::TooLarge) => {
            Err(unreadable("batch_too_large", "events", format!("must hold at most {BATCH_MESSAGES_MAX} events")))
        }
        Top::Batch(Batch::Other(noun, _)) => {
            Err(unreadable("wrong_shape", "events", format!("must be an array of events, is {noun}")))
        }
        Top::Unclear(detail) => Err(unreadable("wrong_shape", "events", detail.to_owned())),
        Top::NoObject => {
            Err(Unreadable::new("wrong_shape", "the body must be one event or {\"events\":[…]}: a JSON object"))
        }
    }
}

fn unreadable(code: &'static str, path: &str, detail: String) -> Unreadable {
    Unreadable { problem: problem(code, path, detail), byte: None }
}

impl<'de> Deserialize<'de> for Top<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor::default())
    }
}

impl<'de> Shape<'de> for Top<'de> {
    fn from_scalar(_: Scalar<'de>) -> Self {
        Self::NoObject
    }
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut event = Box::<RawEvent<'de>>::default();
        let mut is_event = false;
        let mut batch = None;
        let mut twice = false;
        while let Some(Key(key)) = map.next_key()? {
            if key != "events" {
                is_event |= event.take(&key, &mut map)?;
            } else if batch.is_none() {
                batch = Some(map.next_value()?);
            } else {
                twice = true;
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(match batch {
            _ if twice => Self::Unclear("must appear only once"),
            Some(_) if is_event => Self::Unclear("must not stand beside the fields of a single event"),
            Some(batch) => Self::Batch(batch),
            None => Self::One(event),
        })
    }
}

impl<'de> Judge<'de> for RawEvent<'de> {
    fn judge(event: Part<'de, Self>, index: usize) -> Message {
        match event {
            Part::Given(event) => message(event, Some(index)),
            other => match other.object("") {
                Err(mut problem) => {
                    problem.path = format!("events[{index}]");
                    Message::Impossible { id: None, problem }
                }
                Ok(_) => {
                    let problem = problem("wrong_type", format!("events[{index}]"), "must be an object, is null");
                    Message::Impossible { id: None, problem }
                }
            },
        }
    }
}

fn message(event: RawEvent<'_>, index: Option<usize>) -> Message {
    match judge(&event) {
        Ok(Judged::Event(event)) => Message::Event(event),
        Ok(Judged::Ignored(why)) => Message::Ignored { id: event.id.repeatable(), why },
        Err(mut problem) => {
            if let Some(index) = index {
                problem.path = format!("events[{index}].{}", problem.path);
            }
            Message::Impossible { id: event.id.repeatable(), problem }
        }
    }
}

enum Judged {
    Event(Box<CardEvent>),
    Ignored(&'static str),
}

fn judge(raw: &RawEvent<'_>) -> Result<Judged, Problem> {
    field::once(raw.twice, "")?;
    let id =
        raw.id.identifier("id")?.ok_or_else(|| field::missing("id", "the same for every delivery of this event"))?;
    let key = EventKey::new(id).map_err(|fault| problem("bad_identifier", "id", fault.to_string()))?;
    let kind = kind(raw.kind.required_text("type", "what happened, such as clearing")?)?;
    let purchase = match raw.purchase_id.identifier("purchase_id")? {
        None => None,
        Some(id) => {
            Some(PurchaseId::new(id).map_err(|fault| problem("bad_identifier", "purchase_id", fault.to_string()))?)
        }
    };
    let card = raw.card.card("card")?;
    let amount = money(&raw.amount, "amount")?;
    let billing = money(&raw.billing, "billing")?;
    let occurred_at = raw
        .occurred_at
        .instant("occurred_at")?
        .ok_or_else(|| field::missing("occurred_at", "the act of buying or returning, such as 2026-11-21T19:56:00Z"))?;
    let time_known = raw.time_known.boolean("time_known", true)?;
    let posted_at = raw.posted_at.instant("posted_at")?;
    let approved = raw.approved.boolean("approved", true)?;
    let merchant = merchant(&raw.merchant)?;
    let channel = channel(raw.channel.text("channel")?)?;
    let sequence = sequence(&raw.sequence)?;
    // Each field is right by itself; what is left is how they go together. A declined
    // message comes first: it has no effect, so its amount need not make sense.
    if !approved {
        return Ok(Judged::Ignored("not_approved"));
    }
    match (kind, amount) {
        (EventKind::Reversal | EventKind::Expiry, None) => {}
        (_, None) => {
            return Err(field::missing(
                "amount",
                "only a reversal of all and an expiry have none; such as {\"minor\":4250,\"currency\":\"USD\"}",
            ));
        }
        (EventKind::Authorization, Some(Money { minor: 0, .. })) => return Ok(Judged::Ignored("account_verification")),
        (EventKind::Advice, Some(_)) => {}
        (_, Some(Money { minor: 0, .. })) => {
            let detail =
                format!("must be more than zero for {}: only an authorization or advice may be zero", kind.as_str());
            return Err(problem("amount_zero", "amount.minor", detail));
        }
        (_, Some(_)) => {}
    }
    Ok(Judged::Event(Box::new(CardEvent {
        key,
        kind,
        purchase,
        card,
        amount,
        billing,
        occurred_at,
        clock: Clock::Utc,
        time_known,
        posted_at,
        approved,
        merchant,
        channel,
        sequence,
    })))
}

fn kind(word: &str) -> Result<EventKind, Problem> {
    EventKind::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or_else(|| {
        let known = EventKind::ALL.map(EventKind::as_str).join(", ");
        problem("unknown_type", "type", format!("{} is not one of {known}", field::echo(word)))
    })
}

fn channel(word: Option<&str>) -> Result<Channel, Problem> {
    match word {
        None | Some("unknown") => Ok(Channel::Unknown),
        Some("in_store") => Ok(Channel::InStore),
        Some("online") => Ok(Channel::Online),
        Some(word) => {
            let detail = format!("{} is not one of in_store, online, unknown", field::echo(word));
            Err(problem("unknown_channel", "channel", detail))
        }
    }
}

fn money(raw: &Part<'_, RawMoney<'_>>, path: &'static str) -> Result<Option<Money>, Problem> {
    // Paths are only spelled out when there is something to say.
    judge_money(raw, path).map_err(|mut problem| {
        if problem.path != path {
            problem.path = format!("{path}.{}", problem.path);
        }
        problem
    })
}

fn judge_money(raw: &Part<'_, RawMoney<'_>>, path: &'static str) -> Result<Option<Money>, Problem> {
    let Some(raw) = raw.object(path)? else { return Ok(None) };
    field::once(raw.twice, "")?;
    let minor =
        raw.minor.minor_units("minor")?.ok_or_else(|| field::missing("minor", "whole minor units, such as 4250"))?;
    let currency = field::currency(raw.currency.required_text("currency", "such as USD")?, "currency")?;
    field::money(minor, currency, "minor").map(Some)
}

fn merchant(raw: &Part<'_, RawMerchant<'_>>) -> Result<MerchantMark, Problem> {
    const NAMED: &str = "an object with a mid, store_id or descriptor";
    let Some(raw) = raw.object("merchant")? else { return Err(field::missing("merchant", NAMED)) };
    field::once(raw.twice, "merchant")?;
    let mut scheme = raw.scheme.mark("merchant.scheme")?;
    if let Some(scheme) = &mut scheme {
        scheme.make_ascii_lowercase();
    }
    let merchant = MerchantMark {
        scheme,
        mid: raw.mid.mark("merchant.mid")?,
        acquirer: raw.acquirer.mark("merchant.acquirer")?,
        descriptor: raw.descriptor.free_text("merchant.descriptor")?,
        mcc: mcc(&raw.mcc)?,
        store_id: raw.store_id.mark("merchant.store_id")?,
        country: country(&raw.country)?,
        postcode: raw.postcode.mark("merchant.postcode")?,
        terminal: raw.terminal.mark("merchant.terminal")?,
    };
    if merchant.mid.is_none() && merchant.store_id.is_none() && merchant.descriptor.is_none() {
        return Err(field::missing("merchant", &format!("{NAMED} (\"\", \"0\" and null count as not sent)")));
    }
    Ok(merchant)
}

fn mcc(raw: &Scalar<'_>) -> Result<Option<u16>, Problem> {
    let code = match raw {
        Scalar::Absent | Scalar::Null => return Ok(None),
        Scalar::Text(text) if text.bytes().all(|b| b == b'0') => return Ok(None),
        Scalar::Text(text) => field::mcc(text),
        Scalar::Int(0) => return Ok(None),
        Scalar::Int(number) => u16::try_from(*number).ok().filter(|code| *code <= 9999),
        _ => None,
    };
    code.map(Some).ok_or_else(|| problem("bad_mcc", "merchant.mcc", "must be four digits, such as \"5814\""))
}

fn country(raw: &Scalar<'_>) -> Result<Option<CompactString>, Problem> {
    let country = raw.mark("merchant.country")?;
    match &country {
        Some(code) if code.len() != 2 || !code.bytes().all(|b| b.is_ascii_uppercase()) => {
            let detail =
                format!("{} is not an ISO 3166 country code of two capital letters, such as US", field::echo(code));
            Err(problem("bad_country", "merchant.country", detail))
        }
        _ => Ok(country),
    }
}

fn sequence(raw: &Part<'_, RawSequence<'_>>) -> Result<Option<Sequence>, Problem> {
    let Some(raw) = raw.object("sequence")? else { return Ok(None) };
    field::once(raw.twice, "sequence")?;
    let wrong = |path: &str, detail: &str| problem("bad_sequence", path, detail);
    let number = raw
        .number
        .integer("sequence.number")?
        .ok_or_else(|| field::missing("sequence.number", "which of several clearings this is, from 1"))?;
    let number =
        u32::try_from(number).ok().filter(|n| *n >= 1).ok_or_else(|| wrong("sequence.number", "must be 1 or more"))?;
    let count = match raw.count.integer("sequence.count")? {
        None => None,
        Some(count) => Some(
            u32::try_from(count)
                .ok()
                .filter(|count| *count >= number)
                .ok_or_else(|| wrong("sequence.count", "must be at least the number, or null when not known"))?,
        ),
    };
    Ok(Some(Sequence { number, count }))
}
