//! Lithic: card transactions.
//!
//! A snapshot: each webhook holds the whole transaction with all that ever happened to it,
//! so each of its `events` is a message, known again by its own token. What an event says is
//! taken from itself, from those before it (events are only ever added) and from ids of the
//! transaction; status and totals of the transaction change and are never read. Amounts are
//! whole minor units whose signs differ from place to place: type and polarity say the
//! direction. The shop is told once for all events, as it is by then; see
//! [`Format::retells_shop`](super::Format::retells_shop).

use super::field::{self, Fields, Key, Part, Scalar, Shape, ShapeVisitor, Slot, object, problem};
use super::{BATCH_MESSAGES_MAX, Message, Normalised, Problem, Unreadable, iso, when};
use crate::domain::card_event::Clock;
use crate::domain::{CardEvent, Channel, EventKey, EventKind, MerchantMark, Money, PurchaseId, Timestamp};
use compact_str::CompactString;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess};

#[cfg(test)]
pub(super) mod tests;

/// As configuration calls it.
pub(super) const NAME: &str = "lithic";

/// Identifiers by contract, beyond those every dialect knows.
pub(super) const IDENTIFIERS: &[&str] = &[
    "acceptorid",
    "acceptorterminalid",
    "acquiringinstitutionid",
    "authorizationcode",
    "banknetreferencenumber",
    "originalbanknetreferencenumber",
    "originalswitchserialnumber",
    "originaltransactionid",
    "switchserialnumber",
];

object! {
    struct RawTransaction<'a> {
        token: Scalar<'a> = "token",
        account: Scalar<'a> = "account_token",
        card_token: Scalar<'a> = "card_token",
        card: Part<'a, RawCard<'a>> = "card",
        network: Scalar<'a> = "network",
        merchant: Part<'a, RawMerchant<'a>> = "merchant",
        merchant_currency: Scalar<'a> = "merchant_currency",
        merchant_amount: Scalar<'a> = "merchant_amount",
        amount: Scalar<'a> = "amount",
        pos: Part<'a, RawPos<'a>> = "pos",
        events: Events<'a> = "events",
    }
}

object! {
    /// The card written out, as the oldest messages have it.
    struct RawCard<'a> {
        token: Scalar<'a> = "token",
    }
}

object! {
    struct RawMerchant<'a> {
        acceptor_id: Scalar<'a> = "acceptor_id",
        acquirer: Scalar<'a> = "acquiring_institution_id",
        descriptor: Scalar<'a> = "descriptor",
        mcc: Scalar<'a> = "mcc",
        country: Scalar<'a> = "country",
        postal_code: Scalar<'a> = "postal_code",
    }
}

object! {
    struct RawPos<'a> {
        entry_mode: Part<'a, RawEntryMode<'a>> = "entry_mode",
        terminal: Part<'a, RawTerminal<'a>> = "terminal",
    }
}

object! {
    struct RawEntryMode<'a> {
        card: Scalar<'a> = "card",
        cardholder: Scalar<'a> = "cardholder",
        pan: Scalar<'a> = "pan",
    }
}

object! {
    struct RawTerminal<'a> {
        id: Scalar<'a> = "acceptor_terminal_id",
    }
}

object! {
    struct RawEvent<'a> {
        token: Scalar<'a> = "token",
        kind: Scalar<'a> = "type",
        result: Scalar<'a> = "result",
        polarity: Scalar<'a> = "effective_polarity",
        created: Scalar<'a> = "created",
        amount: Scalar<'a> = "amount",
        amounts: Part<'a, RawAmounts<'a>> = "amounts",
    }
}

object! {
    struct RawAmounts<'a> {
        merchant: Part<'a, RawAmount<'a>> = "merchant",
        cardholder: Part<'a, RawAmount<'a>> = "cardholder",
    }
}

object! {
    struct RawAmount<'a> {
        amount: Scalar<'a> = "amount",
        currency: Scalar<'a> = "currency",
    }
}

/// The events of a transaction. They are kept until its end is read, because what they
/// share may stand after them.
#[derive(Debug, Default)]
enum Events<'a> {
    /// The key is not there, or null.
    #[default]
    Absent,
    /// In order.
    Given(Vec<Part<'a, RawEvent<'a>>>),
    /// More than [`BATCH_MESSAGES_MAX`].
    TooLarge,
    /// No list: its noun; the value is skipped.
    Other(&'static str),
}

impl<'de> Shape<'de> for Events<'de> {
    fn from_scalar(scalar: Scalar<'de>) -> Self {
        match scalar {
            Scalar::Null => Self::Absent,
            Scalar::Other(noun) => Self::Other(noun),
            _ => Self::Other("a single value"),
        }
    }
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        let mut events = Vec::new();
        while let Some(event) = seq.next_element()? {
            if events.len() == BATCH_MESSAGES_MAX {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Self::TooLarge);
            }
            events.push(event);
        }
        Ok(Self::Given(events))
    }
}
impl<'de> Deserialize<'de> for Events<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor::default())
    }
}
impl Slot for Events<'_> {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// What stands at the top of a body.
enum Top<'a> {
    Body(Box<Body<'a>>),
    Twice(&'static str),
    NoObject,
}

/// A transaction, by itself or as `payload`, and what kind of message it came in.
#[derive(Default)]
struct Body<'a> {
    event_type: Scalar<'a>,
    payload: Part<'a, RawTransaction<'a>>,
    transaction: RawTransaction<'a>,
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
        let mut body = Box::<Body<'de>>::default();
        let mut twice = None;
        while let Some(Key(key)) = map.next_key()? {
            let (name, once) = match &*key {
                "event_type" => ("event_type", field::fill(&mut body.event_type, &mut map)?),
                "payload" => ("payload", field::fill(&mut body.payload, &mut map)?),
                key => {
                    body.transaction.take(key, &mut map)?;
                    continue;
                }
            };
            if !once {
                twice = Some(name);
            }
        }
        Ok(twice.map_or(Self::Body(body), Self::Twice))
    }
}

/// Reads a body: one transaction with its events.
pub(super) fn read(body: &str) -> Result<Normalised, Unreadable> {
    let top = super::json::from_str(body).map_err(|fault| field::not_json(body, &fault))?;
    let body: Box<Body<'_>> = match top {
        Top::Body(body) => body,
        Top::Twice(key) => return Err(unreadable("wrong_shape", key, "must appear only once".to_owned())),
        Top::NoObject => return Err(Unreadable::new("wrong_shape", "the body must be a transaction: a JSON object")),
    };
    let (transaction, place) = match &body.payload {
        Part::Given(payload) => (payload, "payload."),
        _ => (&body.transaction, ""),
    };
    let id = || transaction.token.repeatable();
    let one = |message| Ok(Normalised { batch: false, messages: vec![message] });
    let impossible = |mut problem: Problem| {
        problem.path.insert_str(0, place);
        one(Message::Impossible { id: id(), problem })
    };
    let event_type = match body.event_type.text("event_type") {
        Ok(event_type) => event_type,
        Err(problem) => return one(Message::Impossible { id: id(), problem }),
    };
    if event_type.is_some_and(|word| word != "card_transaction.updated") {
        return one(Message::Ignored { id: id(), why: "type_of_no_concern" });
    }
    if let Err(problem) = body.payload.object("payload") {
        return one(Message::Impossible { id: None, problem });
    }
    if let Err(problem) = field::once(transaction.twice, "") {
        return impossible(problem);
    }
    match &transaction.events {
        Events::Given(events) if !events.is_empty() => {
            Ok(Normalised { batch: true, messages: messages(transaction, events, place) })
        }
        Events::TooLarge => {
            Err(unreadable("batch_too_large", "events", format!("must hold at most {BATCH_MESSAGES_MAX} events")))
        }
        Events::Other(noun) => impossible(problem("wrong_type", "events", format!("must be an array, is {noun}"))),
        Events::Given(_) | Events::Absent => {
            let marks = [&transaction.account, &transaction.card_token];
            if event_type.is_some() || marks.into_iter().any(|mark| matches!(mark, Scalar::Text(_))) {
                // Nothing has happened yet, or it is another of their messages.
                return one(Message::Ignored { id: id(), why: "no_events" });
            }
            impossible(field::missing("events", "what happened to the transaction"))
        }
    }
}

fn unreadable(code: &'static str, path: &str, detail: String) -> Unreadable {
    Unreadable { problem: problem(code, path, detail), byte: None }
}

/// One message per event, in their order.
fn messages(transaction: &RawTransaction<'_>, events: &[Part<'_, RawEvent<'_>>], place: &str) -> Vec<Message> {
    let steps: Vec<Result<Told, Problem>> = events.iter().map(|event| step(transaction, event)).collect();
    let subject = subject(transaction);
    let mut messages = Vec::with_capacity(events.len());
    for (index, (event, told)) in events.iter().zip(&steps).enumerate() {
        let id = || match event {
            Part::Given(event) => event.token.repeatable(),
            _ => None,
        };
        messages.push(match (told, &subject) {
            (Ok(Told::Ignored(why)), _) => Message::Ignored { id: id(), why },
            (Err(problem), _) => {
                let mut problem = problem.clone();
                let dot = if problem.path.is_empty() { "" } else { "." };
                problem.path = format!("{place}events[{index}]{dot}{}", problem.path);
                Message::Impossible { id: id(), problem }
            }
            (Ok(Told::Step(_)), Err(problem)) => {
                let mut problem = problem.clone();
                problem.path.insert_str(0, place);
                Message::Impossible { id: id(), problem }
            }
            (Ok(Told::Step(step)), Ok(subject)) => tell(subject, step, &steps, index, id()),
        });
    }
    messages
}

/// What an event says by itself.
enum Told {
    Step(Step),
    Ignored(&'static str),
}

struct Step {
    key: EventKey,
    does: Does,
    amount: Option<Money>,
    billing: Option<Money>,
    at: Timestamp,
}

/// What an event does, as far as itself says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Kind(EventKind),
    /// Authorizes and clears at once.
    SingleMessage,
    /// A clearing that was refused, which takes back a single message that was approved: the
    /// network had declined it in the issuer's place.
    RefusedClearing,
}

fn step(transaction: &RawTransaction<'_>, event: &Part<'_, RawEvent<'_>>) -> Result<Told, Problem> {
    let raw = event.object("")?.ok_or_else(|| problem("wrong_type", "", "must be an object, is null"))?;
    field::once(raw.twice, "")?;
    let word = raw.kind.required_text("type", "such as CLEARING")?;
    // Silence is no refusal.
    if raw.result.text("result")?.is_some_and(|result| result != "APPROVED") {
        // What was refused need not make sense.
        return Ok(match word {
            "CLEARING" => match told(transaction, raw, Does::RefusedClearing) {
                Ok(Told::Step(step)) => Told::Step(step),
                _ => Told::Ignored("not_approved"),
            },
            _ => Told::Ignored("not_approved"),
        });
    }
    match does(word, raw)? {
        Ok(does) => told(transaction, raw, does),
        Err(why) => Ok(Told::Ignored(why)),
    }
}

fn told(transaction: &RawTransaction<'_>, raw: &RawEvent<'_>, does: Does) -> Result<Told, Problem> {
    let key = raw.token.id("token")?.ok_or_else(|| field::missing("token", "the event's own"))?;
    let at = created(&raw.created)?;
    let (amount, billing) = match does {
        // All that is held is let go, whatever is written.
        Does::Kind(EventKind::Expiry) => (None, None),
        _ => {
            let (amount, billing) = amounts(transaction, raw)?;
            match does {
                Does::Kind(EventKind::Advice) => {}
                Does::Kind(EventKind::Authorization) if amount.minor == 0 => {
                    return Ok(Told::Ignored("account_verification"));
                }
                _ if amount.minor == 0 => return Ok(Told::Ignored("moves_nothing")),
                _ => {}
            }
            (Some(amount), billing)
        }
    };
    Ok(Told::Step(Step { key, does, amount, billing, at }))
}

/// What an approved event does, or why it is ignored.
fn does(word: &str, raw: &RawEvent<'_>) -> Result<Result<Does, &'static str>, Problem> {
    /// A credit that is only promised; its settlement is told.
    const PROMISED: &str = "refund_not_cleared";
    let credit = match raw.polarity.text("effective_polarity")? {
        None => None,
        Some("CREDIT") => Some(true),
        Some("DEBIT") => Some(false),
        Some(other) => {
            let detail = format!("{} is not one of CREDIT, DEBIT", field::echo(other));
            return Err(problem("unknown_polarity", "effective_polarity", detail));
        }
    };
    let kind = match (word, credit) {
        ("AUTHORIZATION" | "AUTHORIZATION_ADVICE", Some(true))
        | ("AUTHORIZATION_REVERSAL" | "AUTHORIZATION_EXPIRY", Some(false))
        | ("CREDIT_AUTHORIZATION" | "CREDIT_AUTHORIZATION_ADVICE", _) => return Ok(Err(PROMISED)),
        // A later one in the same transaction adds to the first, as our own kind does.
        ("AUTHORIZATION", _) => EventKind::Authorization,
        // The amount is the new one, not the difference.
        ("AUTHORIZATION_ADVICE", _) => EventKind::Advice,
        ("AUTHORIZATION_REVERSAL", _) => EventKind::Reversal,
        ("AUTHORIZATION_EXPIRY", _) => EventKind::Expiry,
        ("BALANCE_INQUIRY", _) => return Ok(Err("account_verification")),
        ("CLEARING" | "FINANCIAL_AUTHORIZATION", Some(true)) => EventKind::Refund,
        ("CLEARING", _) => EventKind::Clearing,
        ("FINANCIAL_AUTHORIZATION", _) => return Ok(Ok(Does::SingleMessage)),
        ("RETURN" | "FINANCIAL_CREDIT_AUTHORIZATION" | "CORRECTION_CREDIT", None | Some(true)) => EventKind::Refund,
        ("RETURN_REVERSAL" | "CORRECTION_DEBIT", None | Some(false)) => EventKind::RefundReversal,
        (
            "RETURN" | "FINANCIAL_CREDIT_AUTHORIZATION" | "CORRECTION_CREDIT" | "RETURN_REVERSAL" | "CORRECTION_DEBIT",
            _,
        ) => {
            let detail = "says the other direction than the type: which one is meant cannot be known";
            return Err(problem("polarity_contradicts", "effective_polarity", detail));
        }
        _ => {
            let detail = format!("{} is no published type, and may move a purchase's money", field::echo(word));
            return Err(problem("unknown_type", "type", detail));
        }
    };
    Ok(Ok(Does::Kind(kind)))
}

/// Instants are in UTC, also where no zone is written.
fn created(raw: &Scalar<'_>) -> Result<Timestamp, Problem> {
    let when = when::when(raw, "created")?.ok_or_else(|| field::missing("created", "such as 2026-11-21T19:56:00Z"))?;
    Ok(when.at)
}

/// What the merchant gets, in its currency, and what the cardholder is billed. Without sign.
fn amounts(transaction: &RawTransaction<'_>, raw: &RawEvent<'_>) -> Result<(Money, Option<Money>), Problem> {
    const MERCHANT: &str = "amounts.merchant";
    let amounts = raw.amounts.object("amounts")?;
    if let Some(amounts) = amounts {
        field::once(amounts.twice, "amounts")?;
    }
    let merchant = match amounts {
        Some(amounts) => money(&amounts.merchant, MERCHANT)?,
        None => None,
    };
    // No money depends on it, and zero beside an amount of the merchant's is what is written
    // before it is known.
    let cardholder = amounts.and_then(|amounts| money(&amounts.cardholder, "amounts.cardholder").ok().flatten());
    let billing = cardholder.filter(|money| money.minor != 0);
    if let Some(merchant) = merchant {
        return Ok((merchant, billing));
    }
    // The oldest messages know one amount per event, in the currency of settlement. It is the
    // merchant's when the totals of the transaction were not converted.
    let missing = || field::missing(MERCHANT, "the amount in the merchant's currency");
    let minor = raw.amount.minor_units("amount")?.ok_or_else(missing)?.abs();
    let total = |scalar: &Scalar<'_>, path| scalar.minor_units(path).map(|minor| minor.map(i64::abs));
    let (settled, asked) =
        (total(&transaction.amount, "amount")?, total(&transaction.merchant_amount, "merchant_amount")?);
    if asked.is_some_and(|asked| Some(asked) != settled) {
        return Err(missing());
    }
    let currency = iso::currency(&transaction.merchant_currency, "merchant_currency")?.ok_or_else(missing)?;
    Ok((Money::new(minor, currency), billing))
}

fn money(raw: &Part<'_, RawAmount<'_>>, path: &'static str) -> Result<Option<Money>, Problem> {
    let Some(raw) = raw.object(path)? else { return Ok(None) };
    field::once(raw.twice, path)?;
    let within = |mut problem: Problem| {
        problem.path.insert(0, '.');
        problem.path.insert_str(0, path);
        problem
    };
    let minor = raw.amount.minor_units("amount").map_err(within)?;
    let currency = iso::currency(&raw.currency, "currency").map_err(within)?;
    match (minor, currency) {
        (Some(minor), Some(currency)) => Ok(Some(Money::new(minor.abs(), currency))),
        (None, _) => Ok(None),
        (Some(_), None) => Err(within(field::missing("currency", "such as USD"))),
    }
}

/// What all events of a transaction share.
struct Subject {
    purchase: PurchaseId,
    card: CompactString,
    merchant: MerchantMark,
    channel: Channel,
}

fn subject(raw: &RawTransaction<'_>) -> Result<Subject, Problem> {
    let purchase = raw.token.id("token")?.ok_or_else(|| field::missing("token", "the transaction's own"))?;
    let card = match (&raw.card_token, raw.card.object("card")?) {
        (Scalar::Absent | Scalar::Null, Some(card)) => {
            field::once(card.twice, "card")?;
            card.token.card("card.token")?
        }
        (token, _) => token.card("card_token")?,
    };
    Ok(Subject { purchase, card, merchant: merchant(raw)?, channel: channel(raw) })
}

fn merchant(transaction: &RawTransaction<'_>) -> Result<MerchantMark, Problem> {
    const PATH: &str = "merchant";
    const NAMED: &str = "an object with an acceptor_id or descriptor";
    let raw = transaction.merchant.object(PATH)?.ok_or_else(|| field::missing(PATH, NAMED))?;
    field::once(raw.twice, PATH)?;
    let mut scheme = transaction.network.free_text("network")?.filter(|network| network != "UNKNOWN");
    if let Some(scheme) = &mut scheme {
        scheme.make_ascii_lowercase();
    }
    let terminal = match &transaction.pos {
        Part::Given(RawPos { terminal: Part::Given(terminal), .. }) => {
            terminal.id.mark("pos.terminal.acceptor_terminal_id")?
        }
        _ => None,
    };
    let merchant = MerchantMark {
        scheme,
        mid: raw.acceptor_id.mark("merchant.acceptor_id")?,
        acquirer: raw.acquirer.mark("merchant.acquiring_institution_id")?,
        descriptor: raw.descriptor.free_text("merchant.descriptor")?,
        mcc: raw.mcc.text("merchant.mcc")?.and_then(field::mcc).filter(|code| *code != 0),
        store_id: None,
        country: iso::country(&raw.country),
        postcode: raw.postal_code.free_text("merchant.postal_code")?,
        terminal,
    };
    if merchant.mid.is_none() && merchant.descriptor.is_none() {
        return Err(field::missing(PATH, NAMED));
    }
    Ok(merchant)
}

/// Only a hint: what is not understood is not said.
fn channel(transaction: &RawTransaction<'_>) -> Channel {
    let Part::Given(RawPos { entry_mode: Part::Given(mode), .. }) = &transaction.pos else { return Channel::Unknown };
    let is = |scalar: &Scalar<'_>, word: &str| matches!(scalar, Scalar::Text(text) if text == word);
    if is(&mode.pan, "ECOMMERCE") || is(&mode.cardholder, "ELECTRONIC_ORDER") {
        Channel::Online
    } else if is(&mode.card, "PRESENT") && is(&mode.cardholder, "PRESENT") {
        Channel::InStore
    } else {
        Channel::Unknown
    }
}

/// An event among those before it: before by its time, so that the order of the list does
/// not matter, and events that are added later change nothing.
fn tell(subject: &Subject, step: &Step, all: &[Result<Told, Problem>], index: usize, id: Option<String>) -> Message {
    let after = |test: fn(Does) -> bool| {
        all.iter().enumerate().any(|(other_index, other)| match other {
            Ok(Told::Step(other)) => (other.at, other_index) < (step.at, index) && test(other.does),
            _ => false,
        })
    };
    let kind = match step.does {
        Does::SingleMessage => EventKind::Clearing,
        Does::RefusedClearing if after(|does| does == Does::SingleMessage) => EventKind::ClearingReversal,
        Does::RefusedClearing => return Message::Ignored { id, why: "not_approved" },
        // With nothing approved before it, it is the authorization: the terminal was offline,
        // or the network stood in.
        Does::Kind(EventKind::Advice) if !after(holds) => match step.amount {
            Some(Money { minor: 0, .. }) => return Message::Ignored { id, why: "account_verification" },
            _ => EventKind::Authorization,
        },
        Does::Kind(kind) => kind,
    };
    // A credit in a transaction where nothing was bought names no purchase by it.
    let is_credit = matches!(kind, EventKind::Refund | EventKind::RefundReversal);
    let purchase = (!is_credit || after(buys)).then(|| subject.purchase.clone());
    let posts = !matches!(kind, EventKind::Authorization | EventKind::Advice | EventKind::Reversal | EventKind::Expiry);
    Message::Event(Box::new(CardEvent {
        key: step.key.clone(),
        kind,
        purchase,
        card: subject.card.clone(),
        amount: step.amount,
        billing: step.billing,
        occurred_at: step.at,
        clock: Clock::Utc,
        time_known: true,
        posted_at: posts.then_some(step.at),
        approved: true,
        merchant: subject.merchant.clone(),
        channel: subject.channel,
        sequence: None,
    }))
}

fn holds(does: Does) -> bool {
    matches!(does, Does::Kind(EventKind::Authorization | EventKind::Advice))
}

fn buys(does: Does) -> bool {
    holds(does) || matches!(does, Does::SingleMessage | Does::Kind(EventKind::Clearing))
}
