//! Messages of the clearing system: presentments, disputes and their reversals.

use super::super::Judged;
use super::{
    Processing, RawContent, card, check_merchant, id, merchant, money, once, processing, purchase, said, written,
};
use crate::domain::{CardEvent, Channel, EventKey, EventKind, Timestamp};
use crate::normalise::field::{self, Scalar, problem};
use crate::normalise::{Problem, when};
use jiff::tz::TimeZone;

/// A clearing of In Control for Commercial Payments.
pub(in super::super) fn clearing(raw: &RawContent<'_>, _: Timestamp) -> Result<Judged, Problem> {
    once(raw)?;
    let Some(kind) = clearing_kind(raw)? else { return Ok(Judged::Ignored("no_purchase")) };
    let card = card(raw)?;
    let clearing = said(&raw.clearing_id);
    let clearing = clearing.identifier("clearingTransactionId")?;
    let clearing = clearing.ok_or_else(|| field::missing("clearingTransactionId", "the id of this message"))?;
    let acceptor =
        raw.acceptor.object("acceptor")?.ok_or_else(|| field::missing("acceptor", "the merchant and the amount"))?;
    // Money is read from where it is in the merchant's currency, and nowhere else.
    let amount = money(&acceptor.amount, "acceptor.amount")?
        .ok_or_else(|| field::missing("acceptor.amount", "with value and currencyCode"))?;
    if amount.minor == 0 {
        return Err(problem("amount_zero", "acceptor.amount", "must not be zero for a clearing"));
    }
    let billing = money(&raw.card_holder_amount, "cardHolderAmount")?;
    let local = said(&raw.local_time);
    let occurred = when::when(&local, "dateTimeTransactionLocal")?
        .ok_or_else(|| field::missing("dateTimeTransactionLocal", "such as 2020-07-16T11:09:42.10+01:00"))?;
    let posted = said(&raw.controls_applied);
    let posted_at = when::when(&posted, "controlsAppliedDateTime")?.map(|when| when.at);
    let merchant = merchant(acceptor, &raw.acquirer, "acquirerInstitutionIdCode")?;
    check_merchant(&merchant)?;
    let banknet = said(&raw.banknet);
    let banknet = banknet.identifier("banknetReferenceNumber")?;
    let day = occurred.at.local(&TimeZone::UTC).date();
    let purchase = match (kind, banknet) {
        // A return's reference is its own, not that of the sale; none is named.
        (EventKind::Refund | EventKind::RefundReversal, _) | (_, None) => None,
        (_, Some(banknet)) => Some(purchase(banknet, day, &card, "banknetReferenceNumber")?),
    };
    let key = [clearing, ":", kind.as_str(), ":", &written(day)].concat();
    Ok(Judged::Event(Box::new(CardEvent {
        key: id(EventKey::new(key), "clearingTransactionId")?,
        kind,
        purchase,
        card,
        amount: Some(amount),
        billing,
        occurred_at: occurred.at,
        clock: occurred.clock,
        time_known: occurred.time_known,
        posted_at,
        approved: true,
        merchant,
        channel: Channel::Unknown,
        sequence: None,
    })))
}

/// Where in the life of a clearing a message stands.
#[derive(PartialEq, Clone, Copy)]
enum Stage {
    Presentment,
    /// Presented again after a dispute.
    Again,
    Dispute,
    Administrative,
}

/// What a clearing is, or `None` when it is of no purchase. Stage and direction are each
/// said in several fields; where these disagree nothing is moved.
fn clearing_kind(raw: &RawContent<'_>) -> Result<Option<EventKind>, Problem> {
    let function = said(&raw.function);
    let by_function = match function.text("functionCode")? {
        None => None,
        Some("200") => Some(Stage::Presentment),
        Some("205" | "282") => Some(Stage::Again),
        Some("450" | "451" | "453" | "454") => Some(Stage::Dispute),
        Some(code) if code.len() == 3 && code.starts_with(['6', '7']) => Some(Stage::Administrative),
        Some(other) => {
            let detail = format!("{} is no function whose direction is known", field::echo(other));
            return Err(problem("unknown_type", "functionCode", detail));
        }
    };
    let stage = said(&raw.stage);
    let by_word = match stage.text("txnType")? {
        None => None,
        Some(word) if starts(word, "First Presentment") => Some(Stage::Presentment),
        Some(word) if starts(word, "Second Presentment") => Some(Stage::Again),
        Some(word) if starts(word, "First Chargeback") || starts(word, "Arbitration Chargeback") => {
            Some(Stage::Dispute)
        }
        Some(word) => {
            let message = said(&raw.message_kind);
            if !matches!(message.text("messageTypeId")?, Some("1644" | "1740")) {
                let detail = format!("{} is not a presentment or chargeback", field::echo(word));
                return Err(problem("unknown_type", "txnType", detail));
            }
            Some(Stage::Administrative)
        }
    };
    let stage = match (by_function, by_word) {
        (Some(one), Some(two)) if one != two => {
            return Err(problem("type_unclear", "txnType", "must say the same as functionCode"));
        }
        (Some(stage), _) | (None, Some(stage)) => stage,
        (None, None) => return Err(field::missing("txnType", "such as First Presentment")),
    };
    if stage == Stage::Administrative {
        return Ok(None);
    }
    let code = said(&raw.processing);
    let processing = match processing(&code, "processingCode")? {
        Some(Processing::Inquiry) => return Ok(None),
        // Winnings, transfers: money to a card that is no return of a purchase.
        Some(Processing::Payment) => return Ok(None),
        found => found,
    };
    let reversal = match said(&raw.reversal) {
        // Left out it would turn a reversal into a sale.
        Scalar::Absent => return Err(field::missing("reversalIndicator", "true or false")),
        Scalar::Text(word) if word.eq_ignore_ascii_case("true") => true,
        Scalar::Text(word) if word.eq_ignore_ascii_case("false") => false,
        given => given.boolean("reversalIndicator", false)?,
    };
    // Processing codes are the cardholder's side (ISO 8583, field 3). `type` says C for the
    // published first presentment of a sale: it is some other side's, which is not published.
    let unclear = |detail: &str| Err(problem("direction_unclear", "processingCode", detail));
    let sale = match processing {
        Some(Processing::Credit) => false,
        Some(_) => true,
        None => return unclear("must say whether this is a sale or a return, such as 00 or 20"),
    };
    let kind = match (stage, reversal, sale) {
        (Stage::Presentment, false, true) => EventKind::Clearing,
        (Stage::Presentment, false, false) => EventKind::Refund,
        // The code of a reversal is that of what it takes back.
        (Stage::Presentment, true, true) => EventKind::ClearingReversal,
        (Stage::Presentment, true, false) => EventKind::RefundReversal,
        (Stage::Dispute, false, true) => EventKind::Chargeback,
        (Stage::Again, false, true) | (Stage::Dispute, true, true) => EventKind::ChargebackReversal,
        (Stage::Again, true, true) => return unclear("of a second presentment that is reversed is not enough"),
        _ => return unclear("of a disputed return is not known"),
    };
    Ok(Some(kind))
}

fn starts(word: &str, with: &str) -> bool {
    word.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
}
