//! Doors for what the past brings: what a change would come to, and what is still being
//! decided again.

use super::cards::{self, LinkingDocument};
use super::merchant_document::MerchantDocument;
use super::money::UnitView;
use super::reply::{self, Reply};
use super::{Doors, access, members, read};
use crate::again::{self, Preview};
use crate::authenticate::keys::Caller;
use crate::authenticate::keys::Role::{Merchant, Operator};
use crate::domain::member::CardLink;
use crate::domain::{MerchantId, Timestamp};
use crate::engine::again::Job;
use crate::wire::Request;
use matchit::Params;
use serde::Serialize;
use utoipa::ToSchema;

/// What a change would come to.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewView {
    /// Events of the last days that were looked at.
    pub events_found: u64,
    /// Those that would be taken although they were nobody's when they came.
    pub events_taken: u64,
    /// Members whose rewards would change.
    pub members: u64,
    /// Purchases whose rewards would change.
    pub purchases: u64,
    /// Sums of the changes, by unit.
    pub rewards: Vec<RewardChange>,
    /// False when there is more than a preview looks at: then these are part of it.
    pub complete: bool,
}

/// Rewards that would be added and taken back.
#[derive(Debug, Serialize, ToSchema)]
pub struct RewardChange {
    /// Of what.
    #[serde(flatten)]
    pub unit: UnitView,
    /// Minor units.
    pub added_minor: i64,
    /// Minor units.
    pub taken_back_minor: i64,
}

impl From<Preview> for PreviewView {
    fn from(preview: Preview) -> Self {
        let change = |(unit, (added_minor, taken_back_minor)): (crate::domain::Unit, (i64, i64))| RewardChange {
            unit: unit.into(),
            added_minor,
            taken_back_minor,
        };
        Self {
            events_found: preview.found,
            events_taken: preview.ours,
            members: preview.members,
            purchases: preview.purchases,
            rewards: preview.rewards.into_iter().map(change).collect(),
            complete: preview.whole,
        }
    }
}

/// What replacing a merchant would come to.
///
/// Nothing is changed. Looks at the events of the last days that its changed MIDs, store ids
/// and descriptors lead to, at most 20,000.
#[utoipa::path(
    post, path = "/v1/merchants/{id}/preview", operation_id = "preview_merchant", tag = "Merchants",
    params(("id" = String, Path, description = "Your id of the merchant")),
    request_body = MerchantDocument,
    responses((status = 200, description = "What would change", body = PreviewView)),
)]
pub(super) async fn merchant(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, Merchant])?;
    let id: MerchantId = read::id(params, "id")?;
    access::own_merchant(&caller, &id)?;
    let document: MerchantDocument = read::document(request)?;
    let preview = again::preview_merchant(&doors.engine, document.into_merchant(id)?, caller.role == Operator).await?;
    Ok(Reply::ok(&PreviewView::from(preview)))
}

/// What linking a card since a time in the past would come to.
///
/// Nothing is changed. Looks at the events of the last days of this card, at most 20,000.
#[utoipa::path(
    post, path = "/v1/members/{id}/cards/{source}/{token}/preview", operation_id = "preview_card", tag = "Members",
    params(
        ("id" = String, Path, description = "Your id of the member"),
        ("source" = String, Path, description = "A configured source"),
        ("token" = String, Path, description = "The source's token of the card, percent-encoded; never a card number"),
    ),
    request_body(content = Option<LinkingDocument>),
    responses((status = 200, description = "What would change", body = PreviewView)),
)]
pub(super) async fn card(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    access::one_of(doors, request, &[Operator])?;
    let (member, source, token) = cards::named(params)?;
    let document: LinkingDocument = read::document_or_default(request)?;
    let engine = &doors.engine;
    let state = members::known(doors, &member).await?;
    let from = document.from.unwrap_or_else(|| engine.clock.now());
    let card = engine.card_hash(&source, &token);
    let group = state.head.cards.iter().map(|link| link.group + 1).max().unwrap_or(0);
    let link = CardLink { source, card, from, to: None, group, token: None };
    let preview = again::preview_card(engine, &member, link).await?;
    Ok(Reply::ok(&PreviewView::from(preview)))
}

/// Statement texts that may be a merchant's shops.
#[derive(Debug, Serialize, ToSchema)]
pub struct SuggestionsView {
    /// Most frequent first.
    pub descriptors: Vec<SuggestionView>,
    /// False when there is more than was looked at.
    pub complete: bool,
}

/// A text that may be a shop's, not surely enough to credit anything.
#[derive(Debug, Serialize, ToSchema)]
pub struct SuggestionView {
    /// One of the texts, as sent: register it under `descriptors` of its location to link it.
    pub text: String,
    /// What all of them have in common.
    pub key: String,
    /// Which location it may be.
    pub location: String,
    /// How sure, of 1000; `matching.descriptor_confidence_min` would credit it.
    pub confidence: u16,
    /// Why.
    pub reasons: Vec<&'static str>,
    /// Events of the last days with such a text.
    pub events: u64,
    /// MIDs they came with, at most ten.
    pub mids: Vec<String>,
}

/// Statement texts of the last days that may be this merchant's.
///
/// Nothing was credited for them. Register a text at its location, or a MID, and the events
/// are decided again.
#[utoipa::path(
    get, path = "/v1/merchants/{id}/descriptors", operation_id = "list_descriptors", tag = "Merchants",
    params(("id" = String, Path, description = "Your id of the merchant")),
    responses((status = 200, description = "What may be linked", body = SuggestionsView)),
)]
pub(super) async fn suggestions(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, Merchant])?;
    let id: MerchantId = read::id(params, "id")?;
    Ok(Reply::ok(&suggested(doors, &caller, &id).await?))
}

/// What may be linked to a merchant, for those who may see it.
pub(crate) async fn suggested(doors: &Doors, caller: &Caller, id: &MerchantId) -> Result<SuggestionsView, Reply> {
    access::own_merchant(caller, id)?;
    let catalogue = doors.engine.catalogue();
    let merchant = catalogue.merchant(id).ok_or_else(|| reply::not_found("there is no such merchant"))?;
    let (found, complete) = again::suggestions(&doors.engine, merchant).await?;
    let view = |found: again::Suggestion| SuggestionView {
        text: found.text,
        key: found.key,
        location: found.location.to_string(),
        confidence: found.likeness.confidence,
        reasons: found.likeness.reasons.names().collect(),
        events: found.events,
        mids: found.mids.into_iter().collect(),
    };
    let descriptors = found.into_iter().map(view).collect();
    Ok(SuggestionsView { descriptors, complete })
}

/// What is still being decided again.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobsView {
    /// Jobs that are not done.
    pub jobs: Vec<JobView>,
}

/// A job that is not done.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobView {
    /// `members` of a merchant whose offers changed, `events` that were seen, `referrals`
    /// whose sides are told, or `standings` of members after a review.
    pub kind: &'static str,
    /// The merchant, for `members`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merchant: Option<String>,
    /// For `events`: cards, MIDs, store ids and words that lead to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clues: Option<usize>,
    /// Concerns what happened from here on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
}

/// Lists what is still being decided again.
#[utoipa::path(
    get, path = "/v1/jobs", operation_id = "list_jobs", tag = "Operations",
    responses((status = 200, description = "Jobs that are not done; a restart goes on with them", body = JobsView)),
)]
pub(super) async fn jobs(doors: &Doors, request: &Request) -> Result<Reply, Reply> {
    access::one_of(doors, request, &[Operator])?;
    let view = |job: Job| match job {
        Job::Members { merchant, since } => {
            JobView { kind: "members", merchant: Some(merchant.to_string()), clues: None, since: Some(since) }
        }
        Job::Seen { clues, since, .. } => {
            JobView { kind: "events", merchant: None, clues: Some(clues.len()), since: Some(since) }
        }
        Job::Erase { .. } => JobView { kind: "erasures", merchant: None, clues: None, since: None },
        Job::Referral { .. } | Job::Referrer { .. } => {
            JobView { kind: "referrals", merchant: None, clues: None, since: None }
        }
        Job::Case { .. } | Job::Withdraw { .. } => {
            JobView { kind: "standings", merchant: None, clues: None, since: None }
        }
    };
    let jobs = doors.engine.jobs().await?.into_iter().map(|(_, job)| view(job)).collect();
    Ok(Reply::ok(&JobsView { jobs }))
}
