//! Doors for merchants and their shops.

use super::merchant_document::{MerchantDocument, MerchantView};
use super::reply::{self, Reply};
use super::{Doors, access, read};
use crate::authenticate::keys::Caller;
use crate::authenticate::keys::Role::{self, Operator};
use crate::domain::MerchantId;
use crate::domain::merchant::Merchant;
use crate::engine::again::Job;
use crate::wire::Request;
use matchit::Params;

/// Creates or replaces a merchant.
///
/// Times of offers are local to its locations. A location's MIDs count from their `from`;
/// several shops may share one when `shared` is set and the descriptor decides. Events of the
/// last days that a changed MID, store id or descriptor leads to are decided again before
/// this answers; see the preview. What is credited already moves to another shop, or is taken
/// back, by an operator's key alone.
#[utoipa::path(
    put, path = "/v1/merchants/{id}", operation_id = "put_merchant", tag = "Merchants",
    params(
        ("id" = String, Path, description = "Your id of the merchant"),
        ("If-Match" = Option<String>, Header, description = "The ETag this change rests on"),
    ),
    request_body = MerchantDocument,
    responses(
        (status = 200, description = "Replaced, or the same as before", body = MerchantView),
        (status = 201, description = "Created", body = MerchantView),
    ),
)]
pub(super) async fn put(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, Role::Merchant])?;
    let id: MerchantId = read::id(params, "id")?;
    access::own_merchant(&caller, &id)?;
    let if_match = read::if_match(request)?;
    let document: MerchantDocument = read::document(request)?;
    let merchant = document.into_merchant(id)?;
    let view_of = merchant.clone();
    let (version, created) = put_as(doors, &caller, merchant, if_match).await?;
    Ok(Reply::put(created, &MerchantView::of(&view_of, version), version))
}

/// Enters a merchant by somebody's word; its version, and whether it is new.
pub(crate) async fn put_as(
    doors: &Doors,
    caller: &Caller,
    merchant: Merchant,
    if_match: Option<u64>,
) -> Result<(u64, bool), Reply> {
    access::own_merchant(caller, &merchant.id)?;
    let operator_word = caller.role == Operator;
    let (version, created) = doors.engine.put_merchant_as(merchant, if_match, operator_word).await?;
    // What was seen at shops that are known otherwise since this change.
    doors.again.go_on(&doors.engine, |job| matches!(job, Job::Seen { .. })).await?;
    Ok((version, created))
}

/// A merchant as it is.
#[utoipa::path(
    get, path = "/v1/merchants/{id}", operation_id = "get_merchant", tag = "Merchants",
    params(("id" = String, Path, description = "Your id of the merchant")),
    responses((status = 200, description = "The merchant, its version as ETag", body = MerchantView)),
)]
pub(super) async fn get(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, Role::Merchant])?;
    let id: MerchantId = read::id(params, "id")?;
    let (version, merchant) = seen(doors, &caller, &id).await?;
    Ok(Reply::versioned(&MerchantView::of(&merchant, version), version))
}

/// A merchant and its version, for those who may see it.
pub(crate) async fn seen(doors: &Doors, caller: &Caller, id: &MerchantId) -> Result<(u64, Merchant), Reply> {
    access::own_merchant(caller, id)?;
    let found = doors.engine.merchant_document(id).await?;
    found.ok_or_else(|| reply::not_found("there is no such merchant"))
}
