//! What the contents of notifications tell: authorizations of virtual cards (In Control for
//! Commercial Payments, Business Payment Controls) and clearings. Must not know how
//! notifications are wrapped. Paths are relative to the content.

use super::super::decimal::Raw;
use super::super::field::{self, Part, Scalar, object, problem};
use super::super::when::{self, When};
use super::super::{Problem, iso};
use super::Judged;
use crate::domain::card_event::Clock;
use crate::domain::ids::IdError;
use crate::domain::{CardEvent, Channel, Currency, EventKey, EventKind, MerchantMark, Money, PurchaseId, Timestamp};
use compact_str::CompactString;
use jiff::civil;
use jiff::tz::TimeZone;

object! {
    /// The content of every subject: they share many names.
    pub(super) struct RawContent<'a> {
        message_type: Scalar<'a> = "messageTypeIndicator",
        network: Scalar<'a> = "financialNetworkCode",
        banknet: Scalar<'a> = "banknetReferenceNumber",
        trace: Scalar<'a> = "traceId",
        audit_number: Scalar<'a> = "systemTraceAuditNumber",
        transaction_amount: Raw<'a> = "transactionAmount",
        transaction_currency: Scalar<'a> = "transactionCurrencyCode",
        billing_amount: Raw<'a> = "billingAmount",
        billing_currency: Scalar<'a> = "billingCurrencyCode",
        response: Scalar<'a> = "responseCode",
        transmission_date: Scalar<'a> = "transmissionRawDate",
        transmission_time: Scalar<'a> = "transmissionRawTime",
        settlement_date: Scalar<'a> = "settlementDate",
        transaction_type: Scalar<'a> = "cardHolderTransactionTypeCode",
        status: Scalar<'a> = "posTransactionStatus",
        merchant: Part<'a, RawMerchant<'a>> = "merchant",
        original: Part<'a, RawOriginal<'a>> = "originalMessage",
        replacement: Part<'a, RawReplacement<'a>> = "replacementAmounts",
        request: Part<'a, RawRequest<'a>> = "purchaseRequest",
        real_card: Part<'a, RawCard<'a>> = "realPaymentCard",
        virtual_card: Part<'a, RawCard<'a>> = "virtualPaymentCard",
        processor: Part<'a, RawProcessor<'a>> = "processor",
        acceptor: Part<'a, RawAcceptor<'a>> = "acceptor",
        card_holder_amount: Part<'a, RawMoney<'a>> = "cardHolderAmount",
        information: Part<'a, RawInformation<'a>> = "transactionInformation",
        clearing_id: Scalar<'a> = "clearingTransactionId",
        direction: Scalar<'a> = "type",
        function: Scalar<'a> = "functionCode",
        stage: Scalar<'a> = "txnType",
        message_kind: Scalar<'a> = "messageTypeId",
        reversal: Scalar<'a> = "reversalIndicator",
        processing: Scalar<'a> = "processingCode",
        local_time: Scalar<'a> = "dateTimeTransactionLocal",
        controls_applied: Scalar<'a> = "controlsAppliedDateTime",
        acquirer: Scalar<'a> = "acquirerInstitutionIdCode",
    }
}

object! {
    struct RawMerchant<'a> {
        id: Scalar<'a> = "merchantId",
        category: Scalar<'a> = "categoryCode",
        name: Scalar<'a> = "name",
        state_or_country: Scalar<'a> = "stateOrCountryCode",
    }
}

object! {
    struct RawOriginal<'a> {
        audit_number: Scalar<'a> = "systemTraceAuditNumber",
        transmitted: Scalar<'a> = "transmissionRawDateTime",
    }
}

object! {
    struct RawReplacement<'a> {
        transaction: Raw<'a> = "transactionAmount",
        billing: Raw<'a> = "billingAmount",
    }
}

object! {
    struct RawRequest<'a> {
        id: Scalar<'a> = "purchaseRequestId",
    }
}

object! {
    struct RawCard<'a> {
        guid: Scalar<'a> = "accountGuid",
    }
}

object! {
    struct RawProcessor<'a> {
        response: Scalar<'a> = "responseCode",
        network: Scalar<'a> = "financialNetworkCode",
        banknet: Scalar<'a> = "banknetReferenceNumber",
    }
}

object! {
    struct RawAcceptor<'a> {
        id: Scalar<'a> = "id",
        terminal: Scalar<'a> = "terminalId",
        name: Scalar<'a> = "name",
        category: Scalar<'a> = "merchantCategoryCode",
        postcode: Scalar<'a> = "postalCode",
        country: Scalar<'a> = "countryCode",
        pos_country: Scalar<'a> = "posCountryCode",
        pos_status: Scalar<'a> = "posTransactionStatus",
        local_date: Scalar<'a> = "localDate",
        local_time: Scalar<'a> = "localTime",
        environment: Scalar<'a> = "environment",
        amount: Part<'a, RawMoney<'a>> = "amount",
    }
}

object! {
    struct RawMoney<'a> {
        amount: Raw<'a> = "amount",
        value: Raw<'a> = "value",
        number: Scalar<'a> = "currencyCode",
        letters: Scalar<'a> = "currencyCodeAlphabetic",
    }
}

object! {
    struct RawInformation<'a> {
        acquirer: Scalar<'a> = "acquirerInstitutionIdCode",
        processing: Scalar<'a> = "processingCode",
        date_time: Scalar<'a> = "dateTime",
        environment: Scalar<'a> = "environment",
        response: Scalar<'a> = "issuerResponse",
        audit_number: Scalar<'a> = "systemTraceAuditNumber",
        reversal: Part<'a, RawReversal<'a>> = "reversal",
    }
}

object! {
    struct RawReversal<'a> {
        transaction: Raw<'a> = "replacementTransactionAmount",
        billing: Raw<'a> = "replacementCardholderAmount",
    }
}

impl RawContent<'_> {
    /// An id to be repeated to a person.
    pub(super) fn repeatable(&self) -> Option<String> {
        let banknet = match &self.processor {
            Part::Given(processor) => said(&processor.banknet).repeatable(),
            _ => None,
        };
        said(&self.clearing_id).repeatable().or_else(|| said(&self.banknet).repeatable()).or(banknet)
    }

    /// Whether it looks like an authorization or a clearing.
    pub(super) fn moves_money(&self) -> bool {
        !matches!((&self.message_type, &self.clearing_id), (Scalar::Absent, Scalar::Absent))
    }
}

/// A scalar as text: a number as its digits; blanks around it, `""` and `"null"` mean that
/// nothing was said.
pub(super) fn said<'t>(raw: &'t Scalar<'_>) -> Scalar<'t> {
    match raw {
        Scalar::Text(text) => match text.trim_matches(' ') {
            "" | "null" => Scalar::Absent,
            text => Scalar::Text(text.into()),
        },
        Scalar::Int(number) => Scalar::Text(number.to_string().into()),
        Scalar::Bool(value) => Scalar::Bool(*value),
        Scalar::Absent | Scalar::Null => Scalar::Absent,
        Scalar::Huge | Scalar::Fraction => Scalar::Other("a number that is too large or has a fraction"),
        Scalar::Other(noun) => Scalar::Other(noun),
    }
}

/// The object, or one of which nothing was said.
fn part<'t, T: Default>(part: &'t Part<'_, T>, none: &'t T, path: &str) -> Result<&'t T, Problem> {
    Ok(part.object(path)?.unwrap_or(none))
}

/// Response codes (DE 39) by which a request was approved: wholly, with identification,
/// in part, for no amount, without the cash.
pub(super) fn is_approval(code: &str) -> bool {
    matches!(code, "00" | "08" | "10" | "85" | "87")
}

/// Response codes of reversals say why: an error, the customer's or a partial one, suspicion,
/// a late answer. Any other is that of the request, which was declined then.
fn is_reversal_reason(code: &str) -> bool {
    is_approval(code) || matches!(code, "06" | "17" | "32" | "34" | "68")
}

/// An authorization of In Control for Commercial Payments.
pub(super) fn authorization(raw: &RawContent<'_>, created: Timestamp) -> Result<Judged, Problem> {
    once(raw)?;
    let none = RawReplacement::default();
    let replacement = part(&raw.replacement, &none, "replacementAmounts")?;
    field::once(replacement.twice, "replacementAmounts")?;
    let no_merchant = RawMerchant::default();
    let merchant = part(&raw.merchant, &no_merchant, "merchant")?;
    field::once(merchant.twice, "merchant")?;
    let mark = MerchantMark {
        scheme: Some(CompactString::const_new("mastercard")),
        mid: said(&merchant.id).mark("merchant.merchantId")?,
        descriptor: said(&merchant.name).free_text("merchant.name")?,
        mcc: mcc(&merchant.category, "merchant.categoryCode")?,
        // Two letters may be a state: TN is both Tennessee and Tunisia.
        country: match said(&merchant.state_or_country) {
            Scalar::Text(code) if code.len() == 3 => iso::country(&Scalar::Text(code)),
            _ => None,
        },
        ..MerchantMark::default()
    };
    let day = month_and_day(&raw.settlement_date, created, "settlementDate")?;
    let occurred = match month_and_day(&raw.transmission_date, created, "transmissionRawDate")? {
        None => None,
        Some(day) => clock_time(&raw.transmission_time, "transmissionRawTime")?.map(|time| day.to_datetime(time)),
    };
    let occurred = occurred.and_then(When::wall).map(|when| When { clock: Clock::Utc, ..when });
    let occurred = occurred.ok_or_else(|| field::missing("transmissionRawDate", "with transmissionRawTime, in UTC"))?;
    request(Request {
        raw,
        responses: [(&raw.response, "responseCode"), (&Scalar::Absent, "")],
        banknet: (&raw.banknet, "banknetReferenceNumber"),
        network: &raw.network,
        audit_number: &raw.audit_number,
        code: (&raw.transaction_type, "cardHolderTransactionTypeCode"),
        status: &raw.status,
        day: day.ok_or_else(|| field::missing("settlementDate", "month and day, such as 0930"))?,
        created,
        occurred,
        amount: (&raw.transaction_amount, "transactionAmount"),
        currency: currency(&raw.transaction_currency, "transactionCurrencyCode")?,
        billing: (&raw.billing_amount, "billingAmount"),
        billing_currency: iso::currency(&said(&raw.billing_currency), "billingCurrencyCode")?,
        replacement: (&replacement.transaction, "replacementAmounts.transactionAmount"),
        replacement_billing: (&replacement.billing, "replacementAmounts.billingAmount"),
        merchant: mark,
        channel: Channel::Unknown,
    })
}

/// An authorization of Business Payment Controls: the same in other places.
pub(super) fn controlled_authorization(raw: &RawContent<'_>, created: Timestamp) -> Result<Judged, Problem> {
    once(raw)?;
    let none = RawProcessor::default();
    let processor = part(&raw.processor, &none, "processor")?;
    field::once(processor.twice, "processor")?;
    let none = RawInformation::default();
    let information = part(&raw.information, &none, "transactionInformation")?;
    field::once(information.twice, "transactionInformation")?;
    let none = RawReversal::default();
    let reversal = part(&information.reversal, &none, "transactionInformation.reversal")?;
    field::once(reversal.twice, "transactionInformation.reversal")?;
    let acceptor =
        raw.acceptor.object("acceptor")?.ok_or_else(|| field::missing("acceptor", "the merchant and the amount"))?;
    let none = RawMoney::default();
    let amount = part(&acceptor.amount, &none, "acceptor.amount")?;
    let no_billing = RawMoney::default();
    let billing = part(&raw.card_holder_amount, &no_billing, "cardHolderAmount")?;
    let local = month_and_day(&acceptor.local_date, created, "acceptor.localDate")?;
    let sent = transmitted(&information.date_time, created);
    let occurred = match (sent, local) {
        (Some(at), _) => Some(When::instant(at)),
        (None, Some(day)) => match clock_time(&acceptor.local_time, "acceptor.localTime")? {
            Some(time) => When::wall(day.to_datetime(time)),
            None => When::day(day),
        },
        (None, None) => None,
    };
    // There is no settlement date here: the day it was sent on, else the shop's.
    let day = sent.map(|at| at.local(&TimeZone::UTC).date()).or(local);
    request(Request {
        raw,
        responses: [
            (&processor.response, "processor.responseCode"),
            (&information.response, "transactionInformation.issuerResponse"),
        ],
        banknet: (&processor.banknet, "processor.banknetReferenceNumber"),
        network: &processor.network,
        audit_number: match &information.audit_number {
            Scalar::Absent | Scalar::Null => &raw.audit_number,
            given => given,
        },
        code: (&information.processing, "transactionInformation.processingCode"),
        status: &acceptor.pos_status,
        day: day.ok_or_else(|| field::missing("acceptor.localDate", "month and day, such as 0410"))?,
        created,
        occurred: occurred.ok_or_else(|| field::missing("acceptor.localDate", "month and day, such as 0410"))?,
        amount: (&amount.amount, "acceptor.amount.amount"),
        currency: money_currency(amount, "acceptor.amount")?
            .ok_or_else(|| field::missing("acceptor.amount.currencyCode", "such as \"840\""))?,
        billing: (&billing.amount, "cardHolderAmount.amount"),
        billing_currency: money_currency(billing, "cardHolderAmount")?,
        replacement: (&reversal.transaction, "transactionInformation.reversal.replacementTransactionAmount"),
        replacement_billing: (&reversal.billing, "transactionInformation.reversal.replacementCardholderAmount"),
        merchant: merchant(acceptor, &information.acquirer, "transactionInformation.acquirerInstitutionIdCode")?,
        channel: match channel(&information.environment) {
            Channel::Unknown => channel(&acceptor.environment),
            known => known,
        },
    })
}

type Place<'t, T> = (&'t T, &'static str);

/// A message of the authorization network, wherever its parts stood.
struct Request<'t, 'a> {
    raw: &'t RawContent<'a>,
    responses: [Place<'t, Scalar<'a>>; 2],
    banknet: Place<'t, Scalar<'a>>,
    network: &'t Scalar<'a>,
    audit_number: &'t Scalar<'a>,
    code: Place<'t, Scalar<'a>>,
    status: &'t Scalar<'a>,
    day: civil::Date,
    created: Timestamp,
    occurred: When,
    amount: Place<'t, Raw<'a>>,
    currency: Currency,
    billing: Place<'t, Raw<'a>>,
    billing_currency: Option<Currency>,
    replacement: Place<'t, Raw<'a>>,
    replacement_billing: Place<'t, Raw<'a>>,
    merchant: MerchantMark,
    channel: Channel,
}

fn request(of: Request<'_, '_>) -> Result<Judged, Problem> {
    let raw = of.raw;
    let message = said(&raw.message_type);
    let message = message.required_text("messageTypeIndicator", "such as 0110")?;
    let takes_back = match message {
        "0100" | "0110" | "0120" => false,
        "0400" | "0420" => true,
        other => {
            let detail = format!("{} is not one of 0100, 0110, 0120, 0400, 0420", field::echo(other));
            return Err(problem("unknown_type", "messageTypeIndicator", detail));
        }
    };
    let mut answered = false;
    for (response, path) in of.responses {
        let response = said(response);
        let Some(code) = response.text(path)? else { continue };
        answered = true;
        if !(if takes_back { is_reversal_reason(code) } else { is_approval(code) }) {
            return Ok(Judged::Ignored("not_approved"));
        }
    }
    if !answered && !takes_back {
        return Err(field::missing(of.responses[0].1, "what was answered, such as 00"));
    }
    if matches!(said(of.status).text("posTransactionStatus")?, Some("3" | "6" | "8" | "9")) {
        // Inquiries, counters and requests of tokens.
        return Ok(Judged::Ignored("account_verification"));
    }
    let code = said(of.code.0);
    match processing(&code, of.code.1)? {
        None | Some(Processing::Debit) => {}
        // What is credited is told by its clearing; nothing is held for it.
        Some(Processing::Credit | Processing::Payment) => return Ok(Judged::Ignored("told_by_its_clearing")),
        Some(Processing::Inquiry) => return Ok(Judged::Ignored("account_verification")),
    }
    let card = card(raw)?;
    let banknet = said(of.banknet.0);
    let banknet = banknet.identifier(of.banknet.1)?;
    let banknet = banknet.ok_or_else(|| field::missing(of.banknet.1, "the network's reference, such as Q4A91A"))?;
    // The trace is the first message's reference and day; a message that names another
    // than its own follows that one. One that is no reference and day says nothing.
    let trace = said(&raw.trace);
    let trace = trace.text("traceId")?.and_then(|text| trace_parts(text, of.created));
    let follows = trace.is_some_and(|(first, _)| first != banknet);
    let (first, first_day) = trace.unwrap_or((banknet, of.day));
    let minor = |(raw, path): Place<'_, Raw<'_>>| {
        let minor = raw.minor_units(path)?;
        minor.map(|minor| field::money(minor, of.currency, path)).transpose()
    };
    let amount = minor(of.amount)?;
    let replaced = minor(of.replacement)?.filter(|money| money.minor > 0);
    let (kind, amount) = match message {
        // What remains of it; zero or nothing says that all of it is taken back.
        _ if takes_back && replaced.is_some() => (EventKind::Advice, replaced),
        _ if takes_back => (EventKind::Reversal, amount.filter(|money| money.minor > 0)),
        "0120" if replaced.is_some() || follows || named(&raw.original)? => (EventKind::Advice, replaced.or(amount)),
        _ if follows => (EventKind::Increment, amount),
        _ => (EventKind::Authorization, amount),
    };
    match (kind, amount) {
        (EventKind::Reversal, None) => {}
        (_, None) => return Err(field::missing(of.amount.1, "in minor units, such as 7550")),
        (EventKind::Authorization | EventKind::Increment, Some(Money { minor: 0, .. })) => {
            return Ok(Judged::Ignored("account_verification"));
        }
        _ => {}
    }
    let billing = match of.billing_currency {
        None => None,
        Some(currency) => {
            let is_replaced = kind == EventKind::Advice && replaced.is_some();
            let (raw, path) = if is_replaced { of.replacement_billing } else { of.billing };
            raw.minor_units(path)?.map(|minor| field::money(minor, currency, path)).transpose()?
        }
    };
    check_merchant(&of.merchant)?;
    let network = said(of.network);
    let network = network.text("financialNetworkCode")?.unwrap_or_default();
    let audit_number = said(of.audit_number);
    let audit_number = audit_number.text("systemTraceAuditNumber")?.unwrap_or_default();
    let key = format!("{network}{banknet}:{}:{message}:{audit_number}", of.day);
    Ok(Judged::Event(Box::new(CardEvent {
        key: id(EventKey::new(key), of.banknet.1)?,
        kind,
        purchase: Some(purchase(first, first_day, &card, of.banknet.1)?),
        card,
        amount,
        billing,
        occurred_at: of.occurred.at,
        clock: of.occurred.clock,
        time_known: of.occurred.time_known,
        posted_at: None,
        approved: true,
        merchant: of.merchant,
        channel: of.channel,
        sequence: None,
    })))
}

/// A clearing of In Control for Commercial Payments.
pub(super) fn clearing(raw: &RawContent<'_>, _: Timestamp) -> Result<Judged, Problem> {
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
    let key = format!("{clearing}:{}:{day}", kind.as_str());
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
    let direction = said(&raw.direction);
    let credit = match direction.text("type")? {
        None => None,
        Some("C") => Some(true),
        Some("D") => Some(false),
        Some(other) => {
            let detail = format!("{} is neither D nor C", field::echo(other));
            return Err(problem("unknown_direction", "type", detail));
        }
    };
    let reversal = match said(&raw.reversal) {
        Scalar::Absent => false,
        Scalar::Text(word) if word.eq_ignore_ascii_case("true") => true,
        Scalar::Text(word) if word.eq_ignore_ascii_case("false") => false,
        given => given.boolean("reversalIndicator", false)?,
    };
    let unclear = |detail: &str| Err(problem("direction_unclear", "type", detail));
    let sale = match processing {
        Some(Processing::Credit) => Some(false),
        Some(_) => Some(true),
        None => None,
    };
    let kind = match (stage, reversal) {
        (Stage::Presentment, false) => match (sale, credit) {
            (Some(sale), Some(credit)) if sale == credit => {
                return unclear("must say the same direction as processingCode: D for a sale, C for a return");
            }
            (Some(true), _) | (None, Some(false)) => EventKind::Clearing,
            (Some(false), _) | (None, Some(true)) => EventKind::Refund,
            (None, None) => return Err(field::missing("type", "D for a sale, C for a return")),
        },
        // The code of a reversal is that of what it takes back; which of both directions
        // `type` says then is not published.
        (Stage::Presentment, true) => match sale {
            Some(true) => EventKind::ClearingReversal,
            Some(false) => EventKind::RefundReversal,
            None => return unclear("of a reversal is not enough without processingCode"),
        },
        (Stage::Dispute, _) | (Stage::Again, _) if sale == Some(false) => {
            return unclear("of a disputed return is not known");
        }
        (Stage::Dispute, false) if credit != Some(false) => EventKind::Chargeback,
        (Stage::Again, false) if credit != Some(true) => EventKind::ChargebackReversal,
        (Stage::Dispute, true) => EventKind::ChargebackReversal,
        _ => return unclear("does not fit the stage that functionCode or txnType says"),
    };
    Ok(Some(kind))
}

fn starts(word: &str, with: &str) -> bool {
    word.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
}

/// The first two digits of a processing code (DE 3): what happens to the card's account.
enum Processing {
    Debit,
    Credit,
    /// To the card, but not a return.
    Payment,
    Inquiry,
}

fn processing(code: &Scalar<'_>, path: &str) -> Result<Option<Processing>, Problem> {
    let Some(code) = code.text(path)? else { return Ok(None) };
    let digits = (code.len() == 2 || code.len() == 6) && code.bytes().all(|byte| byte.is_ascii_digit());
    match code.get(..2).filter(|_| digits) {
        // Purchase, cash, with cash back, funding, disbursement, check, scrip.
        Some("00" | "01" | "09" | "10" | "12" | "17" | "18") => Ok(Some(Processing::Debit)),
        Some("20") => Ok(Some(Processing::Credit)),
        Some("28") => Ok(Some(Processing::Payment)),
        Some("30") => Ok(Some(Processing::Inquiry)),
        _ => {
            let detail = format!("{} is no processing code whose direction is known", field::echo(code));
            Err(problem("unknown_processing_code", path, detail))
        }
    }
}

/// The parts of an authorization's content that hold money or identity, each only once.
fn once(raw: &RawContent<'_>) -> Result<(), Problem> {
    field::once(raw.twice, "")?;
    if let Part::Given(acceptor) = &raw.acceptor {
        field::once(acceptor.twice, "acceptor")?;
    }
    Ok(())
}

/// The card that was used: its GUID, else the purchase request that has it for itself, else
/// the GUID of the card behind it.
fn card(raw: &RawContent<'_>) -> Result<CompactString, Problem> {
    let none = RawCard::default();
    let virtual_card = part(&raw.virtual_card, &none, "virtualPaymentCard")?;
    let real_card = part(&raw.real_card, &none, "realPaymentCard")?;
    let no_request = RawRequest::default();
    let request = part(&raw.request, &no_request, "purchaseRequest")?;
    field::once(virtual_card.twice, "virtualPaymentCard")?;
    field::once(real_card.twice, "realPaymentCard")?;
    field::once(request.twice, "purchaseRequest")?;
    for (token, path) in [
        (&virtual_card.guid, "virtualPaymentCard.accountGuid"),
        (&request.id, "purchaseRequest.purchaseRequestId"),
        (&real_card.guid, "realPaymentCard.accountGuid"),
    ] {
        let token = said(token);
        if !matches!(token, Scalar::Absent) {
            return token.card(path);
        }
    }
    let instead = "or an accountGuid: a masked number names no card";
    Err(field::missing("purchaseRequest.purchaseRequestId", instead))
}

/// Whether an original message is named.
fn named(original: &Part<'_, RawOriginal<'_>>) -> Result<bool, Problem> {
    let none = RawOriginal::default();
    let original = part(original, &none, "originalMessage")?;
    field::once(original.twice, "originalMessage")?;
    Ok([&original.audit_number, &original.transmitted].into_iter().any(|field| !matches!(said(field), Scalar::Absent)))
}

/// Network, reference, month and day in one: `MCCQ4A91A0930`. Reference and day.
fn trace_parts(text: &str, created: Timestamp) -> Option<(&str, civil::Date)> {
    if !text.is_ascii() || !(8..=16).contains(&text.len()) {
        return None;
    }
    let (head, day) = text.split_at(text.len() - 4);
    let banknet = head.get(3..).filter(|banknet| banknet.bytes().all(|byte| byte.is_ascii_alphanumeric()))?;
    Some((banknet, dated(day, created)?))
}

/// The same for every message of a buying act and for no other: a reference is used again
/// on other days, and clearings do not say in which of the networks it was given.
fn purchase(banknet: &str, day: civil::Date, card: &str, path: &str) -> Result<PurchaseId, Problem> {
    id(PurchaseId::new(format!("{banknet}:{day}:{card}")), path)
}

fn id<T>(id: Result<T, IdError>, path: &str) -> Result<T, Problem> {
    id.map_err(|fault| problem("bad_identifier", path, fault.to_string()))
}

/// `MMDD` as the last such day up to the notification's creation, and two days for clocks
/// and zones.
fn month_and_day(raw: &Scalar<'_>, created: Timestamp, path: &str) -> Result<Option<civil::Date>, Problem> {
    let raw = said(raw);
    let Some(text) = raw.text(path)? else { return Ok(None) };
    dated(text, created)
        .map(Some)
        .ok_or_else(|| problem("bad_time", path, format!("{} is not month and day, such as 0930", field::echo(text))))
}

fn dated(text: &str, created: Timestamp) -> Option<civil::Date> {
    if text.len() != 4 {
        return None;
    }
    let (month, day) = (two(text.get(..2)?)?, two(text.get(2..)?)?);
    let last = created.plus_days(2).local(&TimeZone::UTC).date();
    // Eight years: a leap day may be that far back.
    (0..=8).find_map(|back| civil::Date::new(last.year() - back, month, day).ok().filter(|date| *date <= last))
}

fn two(text: &str) -> Option<i8> {
    if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// `hhmmss`.
fn clock_time(raw: &Scalar<'_>, path: &str) -> Result<Option<civil::Time>, Problem> {
    let raw = said(raw);
    let Some(text) = raw.text(path)? else { return Ok(None) };
    let time = || {
        let (hour, minute, second) = (two(text.get(..2)?)?, two(text.get(2..4)?)?, two(text.get(4..)?)?);
        civil::Time::new(hour, minute, second, 0).ok()
    };
    time()
        .map(Some)
        .ok_or_else(|| problem("bad_time", path, format!("{} is not a time of day, such as 092900", field::echo(text))))
}

/// `MM-DDThh:mm:ss.fffZ`, or `None`: other forms of it are published that say no time.
fn transmitted(raw: &Scalar<'_>, created: Timestamp) -> Option<Timestamp> {
    let raw = said(raw);
    let text = raw.text("").ok()??;
    let (date, time) = text.split_once('T')?;
    let (month, day) = date.split_once('-')?;
    let day = dated(&format!("{month}{day}"), created)?;
    let full = format!("{day}T{time}");
    let when = when::when(&Scalar::Text(full.into()), "").ok()??;
    (when.clock == Clock::Utc && when.time_known).then_some(when.at)
}

fn currency(raw: &Scalar<'_>, path: &'static str) -> Result<Currency, Problem> {
    iso::currency(&said(raw), path)?.ok_or_else(|| field::missing(path, "such as USD"))
}

/// The currency by its number and by its letters, which must be the same.
fn money_currency(raw: &RawMoney<'_>, path: &str) -> Result<Option<Currency>, Problem> {
    let at = |name: &str| format!("{path}.{name}");
    field::once(raw.twice, path)?;
    let number = iso::currency(&said(&raw.number), "currencyCode");
    let letters = iso::currency(&said(&raw.letters), "currencyCodeAlphabetic");
    let (number, letters) = match (number, letters) {
        (Ok(number), Ok(letters)) => (number, letters),
        (Err(fault), _) | (_, Err(fault)) => return Err(Problem { path: at(&fault.path), ..fault }),
    };
    match (number, letters) {
        (Some(one), Some(two)) if one != two => {
            Err(problem("currency_unclear", at("currencyCode"), "must be the same as currencyCodeAlphabetic"))
        }
        (number, letters) => Ok(number.or(letters)),
    }
}

/// An amount in major units with its currency, or `None` when it was not sent.
fn money(raw: &Part<'_, RawMoney<'_>>, path: &'static str) -> Result<Option<Money>, Problem> {
    let Some(raw) = raw.object(path)? else { return Ok(None) };
    let Some(currency) = money_currency(raw, path)? else {
        return Err(field::missing(&format!("{path}.currencyCode"), "such as \"840\""));
    };
    let (value, amount) = (raw.value.major_units(currency, path)?, raw.amount.major_units(currency, path)?);
    if value.is_some() && amount.is_some() && value != amount {
        return Err(problem("amount_unclear", path, "must not have a value and another amount"));
    }
    value.or(amount).map(|minor| field::money(minor, currency, path)).transpose()
}

fn merchant(acceptor: &RawAcceptor<'_>, acquirer: &Scalar<'_>, path: &str) -> Result<MerchantMark, Problem> {
    Ok(MerchantMark {
        scheme: Some(CompactString::const_new("mastercard")),
        mid: said(&acceptor.id).mark("acceptor.id")?,
        acquirer: said(acquirer).mark(path)?,
        descriptor: said(&acceptor.name).free_text("acceptor.name")?,
        mcc: mcc(&acceptor.category, "acceptor.merchantCategoryCode")?,
        store_id: None,
        country: iso::country(&said(&acceptor.country)).or_else(|| iso::country(&said(&acceptor.pos_country))),
        postcode: said(&acceptor.postcode).free_text("acceptor.postalCode")?,
        terminal: said(&acceptor.terminal).mark("acceptor.terminalId")?,
    })
}

fn check_merchant(merchant: &MerchantMark) -> Result<(), Problem> {
    if merchant.mid.is_none() && merchant.descriptor.is_none() {
        return Err(field::missing("merchant", "an object with an id or name"));
    }
    Ok(())
}

fn mcc(raw: &Scalar<'_>, path: &str) -> Result<Option<u16>, Problem> {
    // Without it nothing is lost but a hint.
    Ok(said(raw).text(path)?.and_then(field::mcc).filter(|code| *code != 0))
}

fn channel(raw: &Scalar<'_>) -> Channel {
    match said(raw) {
        Scalar::Text(word) if word == "ECOM" => Channel::Online,
        Scalar::Text(word) if matches!(word.as_ref(), "POS" | "PAYPASS" | "PWCB") => Channel::InStore,
        _ => Channel::Unknown,
    }
}
