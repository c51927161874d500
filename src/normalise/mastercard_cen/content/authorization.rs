//! Messages of the authorization network: requests, advices and reversals.

use super::super::Judged;
use super::{
    Processing, RawContent, RawInformation, RawMerchant, RawMoney, RawOriginal, RawProcessor, RawReplacement,
    RawReversal, card, channel, check_merchant, clock_time, currency, dated, id, mcc, merchant, money_currency,
    month_and_day, once, part, processing, purchase, said, written,
};
use crate::domain::card_event::Clock;
use crate::domain::{CardEvent, Channel, Currency, EventKey, EventKind, MerchantMark, Money, Timestamp};
use crate::normalise::decimal::Raw;
use crate::normalise::field::{self, Part, Scalar, problem};
use crate::normalise::{
    Problem, iso,
    when::{self, When},
};
use compact_str::CompactString;
use jiff::civil;
use jiff::tz::TimeZone;

/// Response codes (DE 39) by which a request was approved: wholly, with identification,
/// in part, for no amount, without the cash.
pub(in super::super) fn is_approval(code: &str) -> bool {
    matches!(code, "00" | "08" | "10" | "85" | "87")
}

/// Response codes of reversals say why: an error, the customer's or a partial one, suspicion,
/// a late answer. Any other is that of the request, which was declined then.
fn is_reversal_reason(code: &str) -> bool {
    is_approval(code) || matches!(code, "06" | "17" | "32" | "34" | "68")
}

/// An authorization of In Control for Commercial Payments.
pub(in super::super) fn authorization(raw: &RawContent<'_>, created: Timestamp) -> Result<Judged, Problem> {
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
pub(in super::super) fn controlled_authorization(raw: &RawContent<'_>, created: Timestamp) -> Result<Judged, Problem> {
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
    let key = [network, banknet, ":", &written(of.day), ":", message, ":", audit_number].concat();
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
