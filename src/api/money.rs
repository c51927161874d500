//! Doors for a member's money: what they have, how it came, and paying it out.

use super::check::{self, Fault};
use super::reply::{self, Reply};
use super::{Doors, access, members, page, read};
use crate::authenticate::keys::Role::{App, Operator};
use crate::decide::MemberState;
use crate::domain::purchase::Grant;
use crate::domain::{Code, Currency, MemberId, OfferId, Timestamp, Unit};
use crate::engine::look::{StatementLine, StatementTransfer};
use crate::engine::redeem::{Done, Wanted};
use crate::ledger::AccountKind;
use crate::wire::Request;
use hyper::StatusCode;
use matchit::Params;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Longest reference of a pay-out, in bytes.
const REFERENCE_BYTES_MAX: usize = 128;

/// What an amount is counted in: exactly one of these is there. Points and perks are whole:
/// their minor unit is one of them.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct UnitView {
    /// Money: ISO 4217.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Points: their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// A perk: its code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perk: Option<String>,
}

impl UnitView {
    /// An amount of it for a person.
    #[must_use]
    pub fn shown(&self, minor: i64) -> String {
        let money = self.currency.as_deref().and_then(|code| Currency::parse(code).ok()).map(Unit::Money);
        let points = self.unit.as_deref().and_then(|code| Code::parse(code).ok()).map(Unit::Points);
        let perk = self.perk.as_deref().and_then(|code| Code::parse(code).ok()).map(Unit::Perk);
        money.or(points).or(perk).map_or_else(|| minor.to_string(), |unit| unit.shown(minor))
    }
}

impl From<Unit> for UnitView {
    fn from(unit: Unit) -> Self {
        match unit {
            Unit::Money(currency) => Self { currency: Some(currency.to_string()), ..Self::default() },
            Unit::Points(unit) => Self { unit: Some(unit.to_string()), ..Self::default() },
            Unit::Perk(code) => Self { perk: Some(code.to_string()), ..Self::default() },
        }
    }
}

/// What a member has.
#[derive(Debug, Serialize, ToSchema)]
pub struct BalanceView {
    /// One per currency, then per kind of points, then per perk; empty when there never was anything.
    pub balances: Vec<UnitBalance>,
}

/// What a member has of one unit.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnitBalance {
    /// Of what.
    #[serde(flatten)]
    pub unit: UnitView,
    /// On purchases not wholly cleared.
    pub pending_minor: i64,
    /// Cleared, inside the hold days.
    pub posted_minor: i64,
    /// Frozen.
    pub held_minor: i64,
    /// May be paid, once what is owed is settled from it.
    pub available_minor: i64,
    /// Paid so far.
    pub paid_minor: i64,
    /// Taken back after it was paid.
    pub owed_minor: i64,
}

/// A member's transfers, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatementPage {
    /// The page. May be shorter than asked for, or empty, before the end: a call looks at a bounded piece.
    pub transfers: Vec<TransferView>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// A transfer: from one account to another. Never changed: a correction is a transfer of
/// its own that names the record it corrects.
#[derive(Debug, Serialize, ToSchema)]
pub struct TransferView {
    /// When it was decided.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Taken from this account kind.
    pub debit: &'static str,
    /// Given to this account kind.
    pub credit: &'static str,
    /// Minor units, above zero.
    pub amount_minor: i64,
    /// Of what.
    #[serde(flatten)]
    pub unit: UnitView,
    /// The member concerned; absent in their own statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// The merchant concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merchant: Option<String>,
    /// For which purchase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purchase: Option<PurchaseName>,
    /// Under which offer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer: Option<String>,
    /// The cause whose account is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The record that caused it: process, partition and number.
    pub record: String,
    /// Number of the record it corrects, of the same process and partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrects: Option<u64>,
}

/// A purchase's name.
#[derive(Debug, Serialize, ToSchema)]
pub struct PurchaseName {
    /// Who told us.
    pub source: String,
    /// The source's id of it.
    pub id: String,
}

/// What a member wants of what they have: an amount of money paid out, an offer that gives for
/// points, or a perk used. One of the three.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct RedemptionDocument {
    /// To be paid out: minor units, at least 1, with `currency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub amount_minor: Option<i64>,
    /// ISO 4217, with `amount_minor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "USD")]
    pub currency: Option<Currency>,
    /// Id of an offer whose trigger is points: they are spent, and its reward is given at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<String>,
    /// Code of a perk: one of it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "free-coffee")]
    pub perk: Option<String>,
    /// Your reference; without it the redemption gets an id of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl RedemptionDocument {
    /// What is wanted, when it is one thing.
    fn wanted(&self) -> Result<Wanted, Fault> {
        match (self.amount_minor, self.currency, &self.offer, &self.perk) {
            (Some(minor), Some(currency), None, None) => {
                Ok(Wanted::Of(currency.into(), check::minor("amount_minor", minor, 1)?))
            }
            (Some(_), None, None, None) => Err(Fault::new("missing_field", "currency", "say in which currency")),
            (None, Some(_), None, None) => {
                Err(Fault::new("missing_field", "amount_minor", "say how much is to be paid out, minor units"))
            }
            (None, None, Some(offer), None) => {
                let offer = OfferId::new(offer).map_err(|error| Fault::bad("offer", error.to_string()))?;
                Ok(Wanted::Offer(offer))
            }
            (None, None, None, Some(perk)) => {
                let perk = Code::parse(perk).map_err(|error| Fault::bad("perk", error.to_string()))?;
                Ok(Wanted::Of(Unit::Perk(perk), 1))
            }
            (None, None, None, None) => Err(Fault::new(
                "missing_field",
                "amount_minor",
                "give `amount_minor` and `currency` to pay out, `offer` to spend points on, or `perk` to use one",
            )),
            _ => Err(Fault::contradiction(
                "amount_minor",
                "give `amount_minor` with `currency`, or `offer`, or `perk`: one redemption does one thing",
            )),
        }
    }
}

/// A redemption as it was made. The same request is answered so for ever.
#[derive(Debug, Serialize, ToSchema)]
pub struct RedemptionView {
    /// Your reference, or ours.
    pub id: String,
    /// The member.
    pub member: String,
    /// Paid out, spent or used.
    pub amount_minor: i64,
    /// Owed from earlier and settled from what was available, besides.
    pub settled_minor: i64,
    /// Of what.
    #[serde(flatten)]
    pub unit: UnitView,
    /// What was got for points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<ReceivedView>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// What was got for points.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReceivedView {
    /// The offer.
    pub offer: String,
    /// How much, minor units.
    pub amount_minor: i64,
    /// Of what.
    #[serde(flatten)]
    pub unit: UnitView,
    /// The cause that gets it, when it is not the member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// From when it can no longer be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
}

impl ReceivedView {
    fn of(grant: &Grant) -> Self {
        Self {
            offer: grant.offer.to_string(),
            amount_minor: grant.amount_minor,
            unit: grant.unit.into(),
            cause: grant.cause.as_ref().map(ToString::to_string),
            expires_at: grant.expires_at,
        }
    }
}

impl TransferView {
    /// The view of a transfer that a record made.
    pub(super) fn of(transfer: &StatementTransfer, at: Timestamp, record: (u32, u16, u64)) -> Self {
        let (process, partition, number) = record;
        let kind = AccountKind::as_str;
        let purchase = transfer.purchase.as_ref();
        Self {
            at,
            debit: kind(transfer.legs.debit),
            credit: kind(transfer.legs.credit),
            amount_minor: transfer.legs.minor,
            unit: transfer.unit.into(),
            member: None,
            merchant: transfer.merchant.as_ref().map(ToString::to_string),
            purchase: purchase.map(|p| PurchaseName { source: p.source.to_string(), id: p.id.to_string() }),
            offer: transfer.offer.as_ref().map(ToString::to_string),
            cause: transfer.legs.cause.as_ref().map(ToString::to_string),
            record: format!("{process}-{partition}-{number}"),
            corrects: transfer.legs.corrects,
        }
    }
}

/// What a member has.
#[utoipa::path(
    get, path = "/v1/members/{id}/balance", operation_id = "get_balance", tag = "Money",
    params(("id" = String, Path, description = "Your id of the member")),
    responses((status = 200, description = "Per currency, kind of points and perk", body = BalanceView)),
)]
pub(super) async fn balance(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    access::one_of(doors, request, &[Operator, App])?;
    let member = members::known(doors, &read::id(params, "id")?).await?;
    let balances = member.head.balances.iter().map(|(unit, balance)| UnitBalance {
        unit: (*unit).into(),
        pending_minor: balance.pending_minor,
        posted_minor: balance.posted_minor,
        held_minor: balance.held_minor,
        available_minor: balance.available_minor,
        paid_minor: balance.paid_minor,
        owed_minor: balance.owed_minor,
    });
    Ok(Reply::ok(&BalanceView { balances: balances.collect() }))
}

/// A member's transfers, newest first.
#[utoipa::path(
    get, path = "/v1/members/{id}/statement", operation_id = "get_statement", tag = "Money",
    params(
        ("id" = String, Path, description = "Your id of the member"),
        ("limit" = Option<u8>, Query, description = "1 to 200, 50 when not given"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = StatementPage)),
)]
pub(super) async fn statement(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    access::one_of(doors, request, &[Operator, App])?;
    let member = members::known(doors, &read::id(params, "id")?).await?;
    Ok(Reply::ok(&statement_of(doors, &member, &page::page(request)?).await?))
}

/// A member's transfers, newest first.
pub(crate) async fn statement_of(
    doors: &Doors,
    member: &MemberState,
    page: &page::Page<(u64, usize)>,
) -> Result<StatementPage, Reply> {
    // The version whose record is next, and how many of its transfers were shown.
    let (newest, shown) = page.after.unwrap_or((member.head.version, 0));
    let before = newest.checked_add(1).ok_or_else(page::bad_cursor)?;
    let (lines, below) = doors.engine.statement(member, before, page.limit).await?;
    let mut transfers = Vec::new();
    let mut next = None;
    'page: for (version, line) in &lines {
        let skipped = if *version == newest { shown } else { 0 };
        for (place, transfer) in line.transfers.iter().rev().enumerate().skip(skipped) {
            if transfers.len() == page.limit {
                next = Some((*version, place));
                break 'page;
            }
            transfers.push(of_line(line, transfer));
        }
    }
    let next = next.or_else(|| below.map(|below| (below - 1, 0)));
    Ok(StatementPage { transfers, next_cursor: next.map(|place| page::cursor(&place)) })
}

fn of_line(line: &StatementLine, transfer: &StatementTransfer) -> TransferView {
    TransferView::of(transfer, line.at, line.record)
}

/// Pays out money, spends points on an offer, or uses a perk.
///
/// From the rewards that expire soonest, then the oldest; what is owed is settled first. The
/// key is kept for ever: the same request again is answered as the first time and takes
/// nothing more.
#[utoipa::path(
    post, path = "/v1/members/{id}/redemptions", operation_id = "post_redemption", tag = "Money",
    params(
        ("id" = String, Path, description = "Your id of the member"),
        ("Idempotency-Key" = String, Header, description = "Required; 1 to 255 visible ASCII characters"),
    ),
    request_body = RedemptionDocument,
    responses((status = 201, description = "Done, now or when first asked", body = RedemptionView)),
)]
pub(super) async fn redeem(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, App])?;
    let member: MemberId = read::id(params, "id")?;
    let document: RedemptionDocument = read::document(request)?;
    let named = read::named(request, &caller, &document, true)?;
    let Some(named) = named else {
        let detail = "is required for redemptions: give each one a key of its own, and repeat it with the same key";
        return Err(reply::unreadable("idempotency_key_missing", "Idempotency-Key", detail));
    };
    let wanted = document.wanted().map_err(Reply::from)?;
    let reference = document.reference.map(|text| check::text("reference", &text, REFERENCE_BYTES_MAX));
    let reference: Option<String> = reference.transpose().map_err(|fault: Fault| Reply::from(fault))?;
    // Ours is made of the key, so that it is the same however often it is asked.
    let id = reference.unwrap_or_else(|| format!("red_{:032x}", u128::from_be_bytes(named.key)));
    let of = member.clone();
    let answer = move |done: Done<'_>| {
        let made = done.redemption;
        let view = RedemptionView {
            id: made.id.clone(),
            member: of.to_string(),
            amount_minor: made.minor,
            settled_minor: made.settled.iter().map(|lot| lot.minor).sum(),
            unit: made.unit.into(),
            received: done.given.map(ReceivedView::of),
            at: done.at,
        };
        serde_json::to_string(&view).expect("our documents have a JSON form")
    };
    let answer = doors.engine.redeem(&member, id, wanted, Some(named), answer).await?;
    Ok(Reply::json_text(StatusCode::CREATED, answer))
}
