//! What the contents of notifications tell: authorizations of virtual cards (In Control for
//! Commercial Payments, Business Payment Controls) and clearings. Must not know how
//! notifications are wrapped. Paths are relative to the content.

mod authorization;
mod clearing;

pub(super) use authorization::{authorization, controlled_authorization, is_approval};
pub(super) use clearing::clearing;

use super::super::decimal::Raw;
use super::super::field::{self, Part, Scalar, object, problem};
use super::super::{Problem, iso};
use crate::domain::ids::IdError;
use crate::domain::{Channel, Currency, MerchantMark, Money, PurchaseId, Timestamp};
use compact_str::{CompactString, format_compact};
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
        Scalar::Text(text) => match field::trimmed(text) {
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

/// The same for every message of a buying act and for no other: a reference is used again
/// on other days, and clearings do not say in which of the networks it was given.
fn purchase(banknet: &str, day: civil::Date, card: &str, path: &str) -> Result<PurchaseId, Problem> {
    id(PurchaseId::new([banknet, ":", &written(day), ":", card].concat()), path)
}

/// The day as part of an id: `2024-05-23`.
fn written(day: civil::Date) -> CompactString {
    format_compact!("{day}")
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
