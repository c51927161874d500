//! Doors for those who check the books.

use super::money::{TransferView, UnitView};
use super::reply::Reply;
use super::{Doors, access, page};
use crate::authenticate::keys::Role::{Auditor, Operator};
use crate::engine::look::TransferPlace;
use crate::wire::Request;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The books, summed: credit less debit.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrialBalanceView {
    /// Whether every unit sums to zero.
    pub balanced: bool,
    /// Per account kind and unit.
    pub accounts: Vec<AccountSum>,
    /// Per unit, over all accounts: zero when the books are right.
    pub sums: Vec<UnitSum>,
    /// Per cause.
    pub causes: Vec<CauseSum>,
    /// Per merchant; for operators alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merchants: Option<Vec<MerchantSum>>,
}

/// What all accounts of a kind hold.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountSum {
    /// The kind.
    pub account: &'static str,
    /// Of what.
    #[serde(flatten)]
    pub unit: UnitView,
    /// Credit less debit, minor units.
    pub minor: i64,
}

/// What all accounts hold.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnitSum {
    /// Of what.
    #[serde(flatten)]
    pub unit: UnitView,
    /// Credit less debit, minor units.
    pub minor: i64,
}

/// What a merchant's account holds.
#[derive(Debug, Serialize, ToSchema)]
pub struct MerchantSum {
    /// The merchant.
    pub merchant: String,
    /// The kind.
    pub account: &'static str,
    /// Of what.
    #[serde(flatten)]
    pub unit: UnitView,
    /// Credit less debit, minor units.
    pub minor: i64,
}

/// What a cause's account holds.
#[derive(Debug, Serialize, ToSchema)]
pub struct CauseSum {
    /// The cause's code.
    pub cause: String,
    /// The kind.
    pub account: &'static str,
    /// Of what.
    #[serde(flatten)]
    pub unit: UnitView,
    /// Credit less debit, minor units.
    pub minor: i64,
}

/// Transfers of the whole book, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct TransferPage {
    /// The page. May be empty before the end: a call looks at a bounded piece.
    pub transfers: Vec<TransferView>,
    /// Where the next page begins; null at the end of what is written.
    pub next_cursor: Option<String>,
}

/// The books, summed.
#[utoipa::path(
    get, path = "/v1/ledger/trial-balance", operation_id = "get_trial_balance", tag = "Ledger",
    responses((status = 200, description = "Per account kind and unit", body = TrialBalanceView)),
)]
pub(super) async fn trial_balance(doors: &Doors, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, Auditor])?;
    Ok(Reply::ok(&summed(doors, caller.role == Operator).await?))
}

/// The books, summed; of merchants where they may be seen.
pub(crate) async fn summed(doors: &Doors, with_merchants: bool) -> Result<TrialBalanceView, Reply> {
    let books = doors.engine.trial_balance().await?;
    let mut sums = BTreeMap::new();
    for ((_, unit), minor) in &books.sums {
        *sums.entry(*unit).or_insert(0) += minor;
    }
    let accounts = books.sums.iter().map(|((kind, unit), minor)| AccountSum {
        account: kind.as_str(),
        unit: (*unit).into(),
        minor: *minor,
    });
    let merchants = books.merchants.iter().map(|((merchant, kind, unit), minor)| MerchantSum {
        merchant: merchant.to_string(),
        account: kind.as_str(),
        unit: (*unit).into(),
        minor: *minor,
    });
    let causes = books.causes.iter().map(|((cause, kind, unit), minor)| CauseSum {
        cause: cause.to_string(),
        account: kind.as_str(),
        unit: (*unit).into(),
        minor: *minor,
    });
    Ok(TrialBalanceView {
        balanced: books.out_of_balance().is_empty(),
        accounts: accounts.collect(),
        sums: sums.iter().map(|(unit, minor)| UnitSum { unit: (*unit).into(), minor: *minor }).collect(),
        causes: causes.collect(),
        merchants: with_merchants.then(|| merchants.collect()),
    })
}

/// Transfers of the whole book, oldest first, from the journal.
#[utoipa::path(
    get, path = "/v1/ledger/transfers", operation_id = "list_transfers", tag = "Ledger",
    params(
        ("limit" = Option<u8>, Query, description = "1 to 200, 50 when not given"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = TransferPage)),
)]
pub(super) async fn transfers(doors: &Doors, request: &Request) -> Result<Reply, Reply> {
    access::one_of(doors, request, &[Operator, Auditor])?;
    Ok(Reply::ok(&listed(doors, &page::page::<TransferPlace>(request)?).await?))
}

/// A page of the book's transfers.
pub(crate) async fn listed(doors: &Doors, page: &page::Page<TransferPlace>) -> Result<TransferPage, Reply> {
    let found = doors.engine.transfers(page.after, page.limit).await.map_err(|error| match error {
        crate::engine::look::TransfersError::NoPlace => page::bad_cursor(),
        crate::engine::look::TransfersError::Engine(error) => error.into(),
    })?;
    let view = |(line, member): &(crate::engine::look::StatementLine, crate::domain::MemberId)| {
        let views = line.transfers.iter().map(|transfer| {
            let mut view = TransferView::of(transfer, line.at, line.record);
            view.member = Some(member.to_string());
            view
        });
        views.collect::<Vec<_>>()
    };
    let transfers = found.lines.iter().flat_map(view).collect();
    Ok(TransferPage { transfers, next_cursor: found.next.map(|place| page::cursor(&place)) })
}
