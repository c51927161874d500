//! Marqeta: transaction webhooks.
//!
//! Deltas: each message is a transaction with a token of its own and names the one it
//! follows, which is always the authorization. Amounts are decimal numbers in major units
//! and never signed: the type says the direction. `amount` is what the cardholder is
//! billed; when the merchant asked in another currency, that is told beside it. Must not
//! take a declined attempt for a purchase: it has the same shape and only another state.

use super::decimal::Raw;
use super::field::{self, Batch, Fields, Judge, Judged, Key, Part, Scalar, Shape, ShapeVisitor, object, problem};
use super::{BATCH_MESSAGES_MAX, Message, Normalised, Problem, Unreadable, iso, when};
use crate::domain::{CardEvent, Channel, EventKey, EventKind, MerchantMark, Money, PurchaseId, Sequence, Timestamp};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess};

#[cfg(test)]
pub(super) mod tests;

/// As configuration calls it.
pub(super) const NAME: &str = "marqeta";

/// Identifiers by contract, beyond those every dialect knows.
pub(super) const IDENTIFIERS: &[&str] = &[
    "acquirerreferencedata",
    "acquirerreferenceid",
    "approvalcode",
    "batchnumber",
    "clearingrecordsequencenumber",
    "identifier",
    "institutionidcode",
    "networkassignedid",
    "networkmid",
    "networkreferenceid",
];

object! {
    struct RawTransaction<'a> {
        token: Scalar<'a> = "token",
        kind: Scalar<'a> = "type",
        state: Scalar<'a> = "state",
        response: Part<'a, RawResponse<'a>> = "response",
        card: Scalar<'a> = "card_token",
        preceding: Scalar<'a> = "preceding_related_transaction_token",
        original: Scalar<'a> = "original_transaction_token",
        amount: Raw<'a> = "amount",
        request_amount: Raw<'a> = "request_amount",
        currency: Scalar<'a> = "currency_code",
        conversion: Part<'a, RawConversion<'a>> = "currency_conversion",
        created: Scalar<'a> = "created_time",
        acted: Scalar<'a> = "user_transaction_time",
        network: Scalar<'a> = "network",
        acquirer: Part<'a, RawAcquirer<'a>> = "acquirer",
        merchant: Part<'a, RawAcceptor<'a>> = "card_acceptor",
        pos: Part<'a, RawPos<'a>> = "pos",
        metadata: Part<'a, RawMetadata<'a>> = "transaction_metadata",
        clearing_number: Scalar<'a> = "multi_clearing_sequence_number",
        clearing_count: Scalar<'a> = "multi_clearing_sequence_count",
    }
}

object! {
    struct RawResponse<'a> {
        code: Scalar<'a> = "code",
    }
}

object! {
    struct RawConversion<'a> {
        network: Part<'a, RawNetworkConversion<'a>> = "network",
    }
}

object! {
    /// What the merchant asked for, in its own currency.
    struct RawNetworkConversion<'a> {
        amount: Raw<'a> = "original_amount",
        currency: Scalar<'a> = "original_currency_code",
    }
}

object! {
    struct RawAcquirer<'a> {
        id: Scalar<'a> = "institution_id_code",
    }
}

object! {
    /// The merchant. Simulated messages spell some fields in another way.
    struct RawAcceptor<'a> {
        mid: Scalar<'a> = "mid",
        network_mid: Scalar<'a> = "network_mid",
        mcc: Scalar<'a> = "mcc",
        name: Scalar<'a> = "name",
        country_code: Scalar<'a> = "country_code",
        country: Scalar<'a> = "country",
        postal_code: Scalar<'a> = "postal_code",
        zip: Scalar<'a> = "zip",
        poi: Part<'a, RawPoi<'a>> = "poi",
    }
}

object! {
    struct RawPoi<'a> {
        tid: Scalar<'a> = "tid",
    }
}

object! {
    struct RawPos<'a> {
        terminal: Scalar<'a> = "terminal_id",
        card_presence: Scalar<'a> = "card_presence",
        holder_presence: Scalar<'a> = "card_holder_presence",
    }
}

object! {
    struct RawMetadata<'a> {
        channel: Scalar<'a> = "payment_channel",
    }
}

/// What stands at the top of a body.
enum Top<'a> {
    /// `{"transactions":[…]}`.
    Batch(Batch<RawTransaction<'a>>),
    /// A transaction by itself, or as `transaction` beside the network's message.
    One(Message),
    /// Only messages of other families: transitions of cards and users, pings.
    Others,
    Twice(&'static str),
    NoObject,
}

/// Reads a body: a batch, or one transaction.
pub(super) fn read(body: &str) -> Result<Normalised, Unreadable> {
    let top = super::json::from_str(body).map_err(|fault| field::not_json(body, &fault))?;
    match top {
        Top::Batch(Batch::Given(messages)) if !messages.is_empty() => Ok(Normalised { batch: true, messages }),
        Top::Batch(Batch::Given(_) | Batch::Absent) => Err(unreadable(
            "batch_empty",
            TRANSACTIONS,
            format!("must hold 1 to {BATCH_MESSAGES_MAX} transactions, holds none"),
        )),
        Top::Batch(Batch::TooLarge) => Err(unreadable(
            "batch_too_large",
            TRANSACTIONS,
            format!("must hold at most {BATCH_MESSAGES_MAX} transactions"),
        )),
        Top::Batch(Batch::Other(noun, _)) => {
            Err(unreadable("wrong_shape", TRANSACTIONS, format!("must be an array of transactions, is {noun}")))
        }
        Top::One(message) => Ok(Normalised { batch: false, messages: vec![message] }),
        Top::Others => {
            let message = Message::Ignored { id: None, why: "no_transaction" };
            Ok(Normalised { batch: true, messages: vec![message] })
        }
        Top::Twice(key) => Err(unreadable("wrong_shape", key, "must appear only once".to_owned())),
        Top::NoObject => Err(Unreadable::new(
            "wrong_shape",
            "the body must be {\"transactions\":[…]} or one transaction: a JSON object",
        )),
    }
}

const TRANSACTIONS: &str = "transactions";
const TRANSACTION: &str = "transaction";

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
        let mut bare = RawTransaction::<'de>::default();
        let (mut is_bare, mut others) = (false, false);
        let mut batch: Option<Batch<RawTransaction<'de>>> = None;
        let mut wrapped: Option<Part<'de, RawTransaction<'de>>> = None;
        let mut twice = None;
        while let Some(Key(key)) = map.next_key()? {
            match &*key {
                TRANSACTIONS if batch.is_none() => batch = Some(map.next_value()?),
                TRANSACTION if wrapped.is_none() => wrapped = Some(map.next_value()?),
                TRANSACTIONS | TRANSACTION => {
                    twice = Some(if &*key == TRANSACTIONS { TRANSACTIONS } else { TRANSACTION });
                    map.next_value::<IgnoredAny>()?;
                }
                key => {
                    let known = bare.take(key, &mut map)?;
                    is_bare |= known;
                    others |= !known && is_other_family(key);
                }
            }
        }
        Ok(match (twice, batch, wrapped) {
            (Some(key), _, _) => Self::Twice(key),
            (None, Some(batch), _) => Self::Batch(batch),
            (None, None, Some(wrapped)) => Self::One(message(&wrapped, || TRANSACTION.to_owned())),
            (None, None, None) if others && !is_bare => Self::Others,
            (None, None, None) => Self::One(message(&Part::Given(bare), String::new)),
        })
    }
}

/// Whether a key of the body holds a list of messages that are no transactions.
fn is_other_family(key: &str) -> bool {
    const OTHERS: [&str; 9] =
        ["pings", "ping", "users", "businesses", "cards", "cases", "chargebacks", "digitalwallettokens", "gpaorders"];
    key.ends_with("transitions") || OTHERS.contains(&key)
}

impl<'de> Judge<'de> for RawTransaction<'de> {
    fn judge(transaction: Part<'de, Self>, index: usize) -> Message {
        message(&transaction, || format!("{TRANSACTIONS}[{index}]"))
    }
}

/// What one transaction means; its place is only spelled out when there is a complaint.
fn message(transaction: &Part<'_, RawTransaction<'_>>, place: impl Fn() -> String) -> Message {
    let impossible = |id: Option<String>, mut problem: Problem| {
        let place = place();
        problem.path = match (place.is_empty(), problem.path.is_empty()) {
            (true, _) => problem.path,
            (false, true) => place,
            (false, false) => format!("{place}.{}", problem.path),
        };
        Message::Impossible { id, problem }
    };
    let raw = match transaction.object("") {
        Ok(Some(raw)) => raw,
        Ok(None) => return impossible(None, problem("wrong_type", "", "must be an object, is null")),
        Err(problem) => return impossible(None, problem),
    };
    match judge(raw) {
        Ok(Judged::Event(event)) => Message::Event(event),
        Ok(Judged::Ignored(why)) => Message::Ignored { id: raw.token.repeatable(), why },
        Err(problem) => impossible(raw.token.repeatable(), problem),
    }
}

/// What the token of an earlier transaction in a message names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// The purchase. A message without one opens a purchase under its own token.
    Purchase,
    /// The purchase, or nothing: a credit opens none.
    PurchaseIfAny,
    /// A credit that went before, which is no purchase.
    Credit,
}

/// What a type means: published types that concern no purchase are ignored, and a type of
/// the families that move a purchase's money is refused when it is not published.
fn meaning(word: &str) -> Result<(EventKind, Names), Ignorable<'_>> {
    let meant = match word {
        "authorization"
        | "authorization.atm.withdrawal"
        | "authorization.cashback"
        | "authorization.quasi.cash"
        | "authorization.standin"
        | "account.funding.authorization"
        | "pindebit.authorization" => (EventKind::Authorization, Names::Purchase),
        // Adds to what is authorized, without replacing it.
        "authorization.incremental" => (EventKind::Increment, Names::Purchase),
        // Replaces what is authorized; the difference stands elsewhere in the message.
        "authorization.advice" => (EventKind::Advice, Names::Purchase),
        "authorization.reversal" | "account.funding.authorization.reversal" | "pindebit.authorization.reversal" => {
            (EventKind::Reversal, Names::Purchase)
        }
        "authorization.reversal.issuerexpiration" | "pindebit.authorization.reversal.issuerexpiration" => {
            (EventKind::Expiry, Names::Purchase)
        }
        // Single messages authorize and clear at once.
        "authorization.clearing"
        | "authorization.clearing.atm.withdrawal"
        | "authorization.clearing.cashback"
        | "authorization.clearing.quasi.cash"
        | "account.funding.authorization.clearing"
        | "account.funding.auth_plus_capture"
        | "pindebit"
        | "pindebit.atm.withdrawal"
        | "pindebit.authorization.clearing"
        | "pindebit.cashback"
        | "pindebit.quasi.cash"
        | "pindebit.quasicash" => (EventKind::Clearing, Names::Purchase),
        "account.funding.auth_plus_capture.reversal" | "pindebit.reversal" => {
            (EventKind::ClearingReversal, Names::PurchaseIfAny)
        }
        "refund" | "pindebit.credit.adjustment" | "pindebit.refund" => (EventKind::Refund, Names::PurchaseIfAny),
        // Names the refund's authorization.
        "refund.authorization.clearing" => (EventKind::Refund, Names::Credit),
        "pindebit.debit.adjustment" => (EventKind::RefundReversal, Names::PurchaseIfAny),
        "pindebit.refund.reversal" => (EventKind::RefundReversal, Names::Credit),
        // Told when the dispute begins; see the others of its family below.
        "authorization.clearing.chargeback" | "pindebit.chargeback" => (EventKind::Chargeback, Names::PurchaseIfAny),
        // The case was lost, or the network refused it.
        "authorization.clearing.chargeback.reversal" | "pindebit.chargeback.reversal" => {
            (EventKind::ChargebackReversal, Names::PurchaseIfAny)
        }
        other => return Err(ignorable(other)),
    };
    Ok(meant)
}

/// A type that makes no event.
enum Ignorable<'a> {
    Ignored(&'static str),
    Unknown(&'a str),
}

fn ignorable(word: &str) -> Ignorable<'_> {
    Ignorable::Ignored(match word {
        "address.verification" | "balanceinquiry" | "pindebit.balanceinquiry" | "pindebit.checkavs" => {
            "account_verification"
        }
        // What a refund's authorization promises, its clearing brings.
        "refund.authorization" | "refund.authorization.advice" | "refund.authorization.reversal" => {
            "refund_not_cleared"
        }
        // Between issuer and cardholder, or on the way: the chargeback itself and its
        // reversal say what the merchant bears.
        "authorization.clearing.chargeback.completed"
        | "authorization.clearing.chargeback.provisional.credit"
        | "authorization.clearing.chargeback.provisional.debit"
        | "authorization.clearing.chargeback.representment"
        | "authorization.clearing.chargeback.writeoff"
        | "authorization.clearing.representment"
        | "pindebit.chargeback.completed"
        | "pindebit.chargeback.provisional.credit"
        | "pindebit.chargeback.provisional.debit"
        | "pindebit.chargeback.writeoff"
        | "pindebit.representment" => "told_by_its_chargeback",
        // Fees, invoice lines, PINs, deposits.
        "authorization.clearing.l2l3"
        | "authorization.clearing.network.fee"
        | "authorization.pin.change"
        | "authorization.pin.unblock"
        | "pindebit.financial.deposit"
        | "pindebit.pin.change"
        | "pindebit.pin.unblock"
        | "pindebit.transfer" => "type_of_no_concern",
        _ => {
            let of_purchases = ["authorization", "account.funding", "pindebit", "refund"];
            if of_purchases.iter().any(|family| word.starts_with(family)) {
                return Ignorable::Unknown(word);
            }
            // Loads, transfers and pay-outs to the card (an original credit is none for goods).
            "type_of_no_concern"
        }
    })
}

fn judge(raw: &RawTransaction<'_>) -> Result<Judged, Problem> {
    field::once(raw.twice, "")?;
    let word = raw.kind.required_text("type", "such as authorization.clearing")?;
    // Before all else: a declined attempt need not make sense.
    if matches!(raw.state.text("state")?, Some("DECLINED" | "ERROR")) {
        return Ok(Judged::Ignored("not_approved"));
    }
    // The name under which events are subscribed to has the family in front.
    let (mut kind, names) = match meaning(word.strip_prefix("transaction.").unwrap_or(word)) {
        Ok(meant) => meant,
        Err(Ignorable::Ignored(why)) => return Ok(Judged::Ignored(why)),
        Err(Ignorable::Unknown(word)) => {
            let detail = format!("{} is no published type, and may move a purchase's money", field::echo(word));
            return Err(problem("unknown_type", "type", detail));
        }
    };
    if !approved(raw)? {
        return Ok(Judged::Ignored("not_approved"));
    }
    let token = raw.token.identifier("token")?.ok_or_else(|| field::missing("token", "the transaction's own"))?;
    let card = raw.card.card("card_token")?;
    let named = named(raw, names)?;
    let purchase = match (named, names) {
        (Some(id), _) => Some(id),
        (None, Names::PurchaseIfAny | Names::Credit) => None,
        (None, Names::Purchase) => {
            match kind {
                EventKind::Reversal | EventKind::Expiry => {
                    return Err(field::missing(PRECEDING, "the authorization that is let go"));
                }
                // With nothing before it to add to or to replace, it is the authorization.
                EventKind::Increment | EventKind::Advice => kind = EventKind::Authorization,
                _ => {}
            }
            Some(purchase(token, "token")?)
        }
    };
    let (amount, billing) = if kind == EventKind::Expiry {
        (None, None)
    } else {
        let (amount, billing) = amounts(raw)?;
        match kind {
            EventKind::Authorization if amount.minor == 0 => return Ok(Judged::Ignored("account_verification")),
            EventKind::Advice => {}
            _ if amount.minor == 0 => return Ok(Judged::Ignored("moves_nothing")),
            _ => {}
        }
        (Some(amount), Some(billing))
    };
    let times = times(raw, kind)?;
    Ok(Judged::Event(Box::new(CardEvent {
        key: EventKey::new(token).map_err(|fault| problem("bad_identifier", "token", fault.to_string()))?,
        kind,
        purchase,
        card,
        amount,
        billing,
        occurred_at: times.occurred.at,
        clock: times.occurred.clock,
        time_known: times.occurred.time_known,
        posted_at: times.posted_at,
        approved: true,
        merchant: merchant(raw)?,
        channel: channel(raw),
        sequence: if kind == EventKind::Clearing { sequence(raw) } else { None },
    })))
}

/// By its state; the response's code decides where no state is given. Nothing else in the
/// event comes from the state: it changes when a transaction is asked for again.
fn approved(raw: &RawTransaction<'_>) -> Result<bool, Problem> {
    match raw.state.text("state")? {
        Some("PENDING" | "CLEARED" | "COMPLETION" | "COMPLETED" | "VOID") => Ok(true),
        Some(other) => {
            let detail = format!("{} is not one of PENDING, CLEARED, COMPLETION, DECLINED, ERROR", field::echo(other));
            Err(problem("unknown_state", "state", detail))
        }
        None => {
            let response = raw.response.object("response")?;
            let code = response.map_or(Ok(None), |response| response.code.text("response.code"))?;
            let code = code.ok_or_else(|| field::missing("state", "such as PENDING or DECLINED"))?;
            Ok(matches!(code, "0000" | "0002" | "1830"))
        }
    }
}

const PRECEDING: &str = "preceding_related_transaction_token";
const ORIGINAL: &str = "original_transaction_token";

/// The purchase by the token of its first transaction.
fn named(raw: &RawTransaction<'_>, names: Names) -> Result<Option<PurchaseId>, Problem> {
    if names == Names::Credit {
        return Ok(None);
    }
    // The first of a chain where that is told; else the one before, which is the authorization.
    for (token, path) in [(&raw.original, ORIGINAL), (&raw.preceding, PRECEDING)] {
        if let Some(id) = token.identifier(path)? {
            return purchase(id, path).map(Some);
        }
    }
    Ok(None)
}

fn purchase(id: &str, path: &str) -> Result<PurchaseId, Problem> {
    PurchaseId::new(id).map_err(|fault| problem("bad_identifier", path, fault.to_string()))
}

/// What the merchant gets, in its currency, and what the cardholder is billed.
fn amounts(raw: &RawTransaction<'_>) -> Result<(Money, Money), Problem> {
    let currency =
        iso::currency(&raw.currency, "currency_code")?.ok_or_else(|| field::missing("currency_code", "such as USD"))?;
    let minor = raw.amount.major_units(currency, "amount")?.ok_or_else(|| field::missing("amount", "such as 42.50"))?;
    let billed = field::money(minor, currency, "amount")?;
    const NETWORK: &str = "currency_conversion.network";
    const ASKED: &str = "currency_conversion.network.original_amount";
    const ASKED_IN: &str = "currency_conversion.network.original_currency_code";
    let Some(conversion) = raw.conversion.object("currency_conversion")? else { return Ok((billed, billed)) };
    field::once(conversion.twice, "currency_conversion")?;
    let Some(network) = conversion.network.object(NETWORK)? else { return Ok((billed, billed)) };
    field::once(network.twice, NETWORK)?;
    let Some(asked_in) = iso::currency(&network.currency, ASKED_IN)?.filter(|asked_in| *asked_in != currency) else {
        return Ok((billed, billed));
    };
    let Some(asked) = network.amount.major_units(asked_in, ASKED)? else { return Ok((billed, billed)) };
    // Where only a part of the request was approved or taken back, the original amount may be
    // that of the whole request, and how much of it is meant is not ours to guess: then the
    // event keeps the currency that is certain, and moves nothing in a purchase of another.
    let requested = raw.request_amount.major_units(currency, "request_amount")?.unwrap_or(minor);
    if requested != minor {
        return Ok((billed, billed));
    }
    Ok((field::money(asked, asked_in, ASKED)?, billed))
}

struct Times {
    occurred: when::When,
    posted_at: Option<Timestamp>,
}

/// When it happened. `user_transaction_time` is the time of the purchase even in what
/// follows it, so what changes an authorization has its own time from its creation; what
/// moves money keeps the time of the act, and was posted when it was created.
fn times(raw: &RawTransaction<'_>, kind: EventKind) -> Result<Times, Problem> {
    let acted = when::when(&raw.acted, "user_transaction_time")?;
    let created = when::when(&raw.created, "created_time")?;
    let follows = matches!(kind, EventKind::Increment | EventKind::Advice | EventKind::Reversal | EventKind::Expiry);
    let occurred = if follows { created.or(acted) } else { acted.or(created) };
    let occurred = occurred.ok_or_else(|| field::missing("user_transaction_time", "such as 2026-11-21T19:56:00Z"))?;
    let posts = !follows && kind != EventKind::Authorization;
    // A day or a wall clock is no instant.
    let created = created.filter(|created| *created == when::When::instant(created.at));
    Ok(Times { occurred, posted_at: created.filter(|_| posts).map(|created| created.at) })
}

fn merchant(raw: &RawTransaction<'_>) -> Result<MerchantMark, Problem> {
    const PATH: &str = "card_acceptor";
    const NAMED: &str = "an object with a mid or name";
    let acceptor = raw.merchant.object(PATH)?.ok_or_else(|| field::missing(PATH, NAMED))?;
    field::once(acceptor.twice, PATH)?;
    let mut scheme = raw.network.free_text("network")?;
    if let Some(scheme) = &mut scheme {
        scheme.make_ascii_lowercase();
    }
    let mid = acceptor.mid.mark("card_acceptor.mid")?;
    // Often the same once more, which names no shop.
    let store_id = acceptor.network_mid.mark("card_acceptor.network_mid")?.filter(|id| Some(id) != mid.as_ref());
    let acquirer = match raw.acquirer.object("acquirer")? {
        None => None,
        Some(acquirer) => acquirer.id.mark("acquirer.institution_id_code")?,
    };
    let postcode = match acceptor.postal_code.free_text("card_acceptor.postal_code")? {
        None => acceptor.zip.free_text("card_acceptor.zip")?,
        postcode => postcode,
    };
    let terminal = match (raw.pos.object("pos")?, acceptor.poi.object("card_acceptor.poi")?) {
        (Some(pos), poi) => match (pos.terminal.mark("pos.terminal_id")?, poi) {
            (None, Some(poi)) => poi.tid.mark("card_acceptor.poi.tid")?,
            (terminal, _) => terminal,
        },
        (None, Some(poi)) => poi.tid.mark("card_acceptor.poi.tid")?,
        (None, None) => None,
    };
    let merchant = MerchantMark {
        scheme,
        mid,
        acquirer,
        descriptor: acceptor.name.free_text("card_acceptor.name")?,
        mcc: acceptor.mcc.text("card_acceptor.mcc")?.and_then(field::mcc).filter(|code| *code != 0),
        store_id,
        country: iso::country(&acceptor.country_code).or_else(|| iso::country(&acceptor.country)),
        postcode,
        terminal,
    };
    if merchant.mid.is_none() && merchant.store_id.is_none() && merchant.descriptor.is_none() {
        return Err(field::missing(PATH, NAMED));
    }
    Ok(merchant)
}

/// Only a hint: what is not understood is not said.
fn channel(raw: &RawTransaction<'_>) -> Channel {
    let Part::Given(metadata) = &raw.metadata else { return in_store(raw) };
    match metadata.channel.text("") {
        Ok(Some("ECOMMERCE")) => Channel::Online,
        _ => in_store(raw),
    }
}

fn in_store(raw: &RawTransaction<'_>) -> Channel {
    let Part::Given(pos) = &raw.pos else { return Channel::Unknown };
    match (&pos.card_presence, &pos.holder_presence) {
        (Scalar::Bool(true), Scalar::Bool(true)) => Channel::InStore,
        _ => Channel::Unknown,
    }
}

/// Which of several clearings, written as `02` of `04`; 99 of Visa's is "how many is not
/// known".
fn sequence(raw: &RawTransaction<'_>) -> Option<Sequence> {
    let number = |scalar: &Scalar<'_>| match scalar {
        Scalar::Text(text) if text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit()) => text.parse::<u32>().ok(),
        Scalar::Int(number) => u32::try_from(*number).ok(),
        _ => None,
    };
    let at = number(&raw.clearing_number).filter(|number| (1..=98).contains(number))?;
    let count = number(&raw.clearing_count).filter(|count| (at..=98).contains(count));
    Some(Sequence { number: at, count })
}
