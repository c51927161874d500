//! Doors for members: who they are, and what they opted in to.

use super::member_document::{MemberDocument, MemberView};
use super::reply::{self, Reply};
use super::{Doors, access, read};
use crate::authenticate::keys::Role::{App, Operator};
use crate::decide::MemberState;
use crate::domain::member::ProfileStep;
use crate::domain::{MemberId, OfferId, Timestamp};
use crate::wire::Request;
use matchit::Params;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// From when an activation counts.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct ActivationDocument {
    /// Without it now. The past is an operator's to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
}

/// An activation as it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActivationView {
    /// The offer.
    pub offer: String,
    /// Opted in.
    pub active: bool,
    /// From when.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// The member, or 404.
pub(crate) async fn known(doors: &Doors, id: &MemberId) -> Result<Arc<MemberState>, Reply> {
    doors.engine.load(id).await?.ok_or_else(|| reply::not_found("no member has this id"))
}

/// Creates or replaces a member.
#[utoipa::path(
    put, path = "/v1/members/{id}", operation_id = "put_member", tag = "Members",
    params(
        ("id" = String, Path, description = "Your id of the member"),
        ("If-Match" = Option<String>, Header, description = "The ETag this change rests on"),
    ),
    request_body = MemberDocument,
    responses(
        (status = 200, description = "Replaced, or the same as before", body = MemberView),
        (status = 201, description = "Created", body = MemberView),
    ),
)]
pub(super) async fn put(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, App])?;
    let id: MemberId = read::id(params, "id")?;
    let if_match = read::if_match(request)?;
    let document: MemberDocument = read::document(request)?;
    let engine = &doors.engine;
    let now = engine.clock.now();
    let said = document.into_registration(&id, now)?;
    if said.profile_from.is_some() || said.links.iter().any(|(.., at)| at.is_some()) {
        let before = engine.load(&id).await?;
        let profiles = before.as_ref().map_or(&[][..], |member| &member.profiles);
        let same = |step: &ProfileStep| Some(step.at) == said.profile_from && step.profile == said.profile;
        read::counts_from(&caller, "profile_from", said.profile_from, now, profiles.iter().any(same))?;
        let before = before.as_ref().map_or(&[][..], |member| &member.head.links);
        for (place, (kind, value, _, at)) in said.links.iter().enumerate() {
            let hash = engine.link_hash(kind, value);
            let known = before.iter().any(|link| link.value == hash && Some(link.at) == *at);
            read::counts_from(&caller, &format!("links[{place}].at"), *at, now, known)?;
        }
    }
    let (member, created) = engine.register(&id, said, if_match).await?;
    Ok(Reply::put(created, &MemberView::of(engine, &member, now)?, member.head.version))
}

/// A member as they are.
///
/// Shared identifiers come back without their values, which are not kept.
#[utoipa::path(
    get, path = "/v1/members/{id}", operation_id = "get_member", tag = "Members",
    params(("id" = String, Path, description = "Your id of the member")),
    responses((status = 200, description = "The member, their version as ETag", body = MemberView)),
)]
pub(super) async fn get(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    access::one_of(doors, request, &[Operator, App])?;
    let member = known(doors, &read::id(params, "id")?).await?;
    let view = MemberView::of(&doors.engine, &member, doors.engine.clock.now())?;
    Ok(Reply::versioned(&view, member.head.version))
}

/// Erases the person.
///
/// Their cards end, and profile, links and tokens are gone; the books stay.
#[utoipa::path(
    delete, path = "/v1/members/{id}", operation_id = "delete_member", tag = "Members",
    params(("id" = String, Path, description = "Your id of the member")),
    responses((status = 204, description = "Erased, or so already")),
)]
pub(super) async fn delete(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    access::one_of(doors, request, &[Operator, App])?;
    doors.engine.erase(&read::id(params, "id")?).await?;
    Ok(Reply::Empty)
}

/// Opts a member in to an offer.
#[utoipa::path(
    put, path = "/v1/members/{id}/activations/{offer}", operation_id = "put_activation", tag = "Members",
    params(
        ("id" = String, Path, description = "Your id of the member"),
        ("offer" = String, Path, description = "Your id of the offer"),
    ),
    request_body(content = Option<ActivationDocument>),
    responses((status = 200, description = "Opted in, or so already", body = ActivationView)),
)]
pub(super) async fn opt_in(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let (offer, at) = activation(doors, params, request, true).await?;
    Ok(Reply::ok(&ActivationView { offer: offer.to_string(), active: true, at }))
}

/// Opts a member out of an offer.
#[utoipa::path(
    delete, path = "/v1/members/{id}/activations/{offer}", operation_id = "delete_activation", tag = "Members",
    params(
        ("id" = String, Path, description = "Your id of the member"),
        ("offer" = String, Path, description = "Your id of the offer"),
    ),
    request_body(content = Option<ActivationDocument>),
    responses((status = 204, description = "Opted out, or so already")),
)]
pub(super) async fn opt_out(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    activation(doors, params, request, false).await?;
    Ok(Reply::Empty)
}

async fn activation(
    doors: &Doors,
    params: &Params<'_, '_>,
    request: &Request,
    active: bool,
) -> Result<(OfferId, Timestamp), Reply> {
    let caller = access::one_of(doors, request, &[Operator, App])?;
    let member: MemberId = read::id(params, "id")?;
    let offer: OfferId = read::id(params, "offer")?;
    let document: ActivationDocument = read::document_or_default(request)?;
    let engine = &doors.engine;
    let before = known(doors, &member).await?;
    let steps = &before.head.activations;
    let said = |at| steps.iter().any(|step| step.offer == offer && step.active == active && step.at == at);
    read::counts_from(&caller, "at", document.at, engine.clock.now(), document.at.is_some_and(said))?;
    if engine.catalogue_now().offer(&offer).is_none() {
        return Err(reply::not_found("there is no such offer"));
    }
    let at = engine.activate(&member, &offer, active, document.at).await?;
    Ok((offer, at))
}
