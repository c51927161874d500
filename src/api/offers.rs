//! Doors for offers and their life.

use super::check::{self, Fault};
use super::offer_document::{self, OfferDocument, Warning};
use super::reply::{self, Reply};
use super::{Doors, access, page, read};
use crate::authenticate::keys::Caller;
use crate::authenticate::keys::Role::{Merchant, Operator};
use crate::domain::offer::{LifeChange, LifeStep, Offer};
use crate::domain::{MerchantId, OfferId, Timestamp};
use crate::engine::acts::Named;
use crate::engine::again::Job;
use crate::engine::budgets::{Budget, Use, used_percent};
use crate::engine::catalogue::{Asked, Step};
use crate::wire::Request;
use hyper::StatusCode;
use matchit::Params;
use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Longest reason of a rejection.
const REASON_BYTES_MAX: usize = 1_000;

/// An offer as it is: its newest terms, and how far it has come.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfferView {
    /// The caller's id.
    pub id: String,
    /// Of the newest terms, from 1: other content makes a new one.
    pub version: u32,
    /// The version published last; absent for a draft.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_version: Option<u32>,
    /// Of the document, terms and life, as in the ETag.
    pub document_version: u64,
    /// Where it stands in its life.
    pub state: OfferState,
    /// The steps of its life, by when they count.
    pub life: Vec<LifeView>,
    /// Granted so far, pending included; absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub granted_minor: Option<i64>,
    /// Reserved at this moment for decisions under way; absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved_minor: Option<i64>,
    /// What the published version's budget has left; absent without a budget and in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_left_minor: Option<i64>,
    /// What its daily budget has left today; absent without one and in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily_budget_left_minor: Option<i64>,
    /// How much of the budget is granted, in whole percent; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 82)]
    pub budget_used_percent: Option<u32>,
    /// How much of today's budget was granted today, in whole percent; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily_budget_used_percent: Option<u32>,
    /// The newest terms in one plain English sentence.
    #[schema(example = "Members get 5 percent, up to 10.00 USD, on weekdays before noon.")]
    pub in_words: String,
    /// A budget of which 50, 80 or 100 percent are used; and, but not in lists, what is allowed
    /// but hardly meant in the newest terms. Absent when there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// The newest terms.
    #[serde(flatten)]
    pub document: OfferDocument,
}

/// Where an offer stands in its life. Dates are in its terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OfferState {
    /// Never published.
    Draft,
    /// Its merchant, who has published nothing yet, asked for an operator's approval.
    AwaitingApproval,
    /// Gives.
    Published,
    /// Published, and its budget has nothing left to give.
    BudgetSpent,
    /// Gives nothing until resumed.
    Paused,
    /// Never gives again.
    Ended,
}

impl OfferState {
    /// A state by its word.
    pub(crate) fn read(word: &str) -> Result<Self, Fault> {
        let known = Self::deserialize(word.into_deserializer());
        known.map_err(|error: serde::de::value::Error| Fault::bad("state", error.to_string()))
    }
}

/// A step of an offer's life.
#[derive(Debug, Serialize, ToSchema)]
pub struct LifeView {
    /// `approval_asked`, `rejected`, `published`, `paused`, `resumed` or `ended`.
    pub change: &'static str,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Which version was published, or is to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// From when it counts.
    #[schema(value_type = String, format = DateTime)]
    pub effective: Timestamp,
}

/// Offers, by id.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfferPage {
    /// The page.
    pub offers: Vec<OfferView>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// From when a step counts.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct StepDocument {
    /// In the past, by an operator alone; without it 2 seconds after the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub effective_from: Option<Timestamp>,
    /// Why an offer is rejected: for that step, and required there. Its merchant reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A step taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepView {
    /// The offer.
    pub offer: String,
    /// Where it stands now.
    pub state: OfferState,
    /// The version published last; absent for a draft.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_version: Option<u32>,
    /// From when the step counts.
    #[schema(value_type = String, format = DateTime)]
    pub effective: Timestamp,
}

impl OfferView {
    fn of(offer: &Offer, document_version: u64, used: Use) -> Self {
        let budget = budget(offer);
        Self {
            id: offer.id.to_string(),
            version: offer.newest().version,
            published_version: offer.newest_published().map(|version| version.version),
            document_version,
            state: state(offer, used.granted),
            life: offer.life.iter().map(life).collect(),
            granted_minor: None,
            reserved_minor: None,
            budget_left_minor: None,
            daily_budget_left_minor: None,
            budget_used_percent: used_percent(used.granted, budget.whole),
            daily_budget_used_percent: used_percent(used.raised, budget.of_day),
            in_words: offer.newest().terms.in_words(),
            warnings: budget_warnings(budget, used),
            document: OfferDocument::of(&offer.newest().terms),
        }
    }
}

/// The budgets that count: those of a draft when it is published.
fn budget(offer: &Offer) -> Budget {
    Budget::of(&offer.newest_published().unwrap_or(offer.newest()).terms)
}

/// What there is to say of budgets that are used by half, nearly or wholly.
fn budget_warnings(budget: Budget, used: Use) -> Vec<Warning> {
    let spent = "is spent: nothing more is given before it is raised or something is taken back";
    let day_spent = "is spent for today; tomorrow's begins at midnight UTC";
    let both = [
        ("budget_minor", used.granted, budget.whole, "", spent),
        ("daily_budget_minor", used.raised, budget.of_day, " for today", day_spent),
    ];
    let told = both.into_iter().filter_map(|(path, used, budget, when, spent)| {
        let detail = match used_percent(used, budget)? {
            ..50 => return None,
            percent @ 50..100 => format!("{percent} percent of it is used{when}"),
            _ => spent.to_owned(),
        };
        Some(Warning { path: path.to_owned(), detail })
    });
    told.collect()
}

/// Where an offer stands that has granted so much.
fn state(offer: &Offer, granted: i64) -> OfferState {
    let changes = || offer.life.iter().rev().map(|step| &step.change);
    if changes().any(|change| *change == LifeChange::Ended) {
        return OfferState::Ended;
    }
    if offer.awaits_approval() {
        return OfferState::AwaitingApproval;
    }
    if offer.newest_published().is_none() {
        return OfferState::Draft;
    }
    match changes().find(|change| matches!(change, LifeChange::Paused | LifeChange::Resumed)) {
        Some(LifeChange::Paused) => OfferState::Paused,
        _ if granted >= budget(offer).whole => OfferState::BudgetSpent,
        _ => OfferState::Published,
    }
}

fn life(step: &LifeStep) -> LifeView {
    let mut reason = None;
    let (change, version) = match &step.change {
        LifeChange::ApprovalAsked(version) => ("approval_asked", Some(*version)),
        LifeChange::Rejected(why) => {
            reason = Some(why.to_string());
            ("rejected", None)
        }
        LifeChange::Published(version) => ("published", Some(*version)),
        LifeChange::Paused => ("paused", None),
        LifeChange::Resumed => ("resumed", None),
        LifeChange::Ended => ("ended", None),
    };
    LifeView { change, reason, version, effective: step.effective }
}

/// The offer with its version, when the caller may see it.
pub(crate) async fn seen(doors: &Doors, caller: &Caller, id: &OfferId) -> Result<(u64, Offer), Reply> {
    let none = || reply::not_found("there is no such offer");
    let (version, offer) = doors.engine.offer_document(id).await?.ok_or_else(none)?;
    access::own_merchant(caller, offer.merchant()).map_err(|_| none())?;
    Ok((version, offer))
}

/// The offer with all that there is to say of it.
pub(crate) async fn whole(doors: &Doors, version: u64, offer: &Offer) -> Result<OfferView, Reply> {
    let used = doors.engine.offer_use(&offer.id).await?;
    let budget = budget(offer);
    let left = |minor: i64, used: i64| (minor != i64::MAX).then(|| (minor - used).max(0));
    let mut view = OfferView::of(offer, version, used);
    view.granted_minor = Some(used.granted);
    view.reserved_minor = Some(used.reserved);
    view.budget_left_minor = left(budget.whole, used.granted + used.reserved);
    view.daily_budget_left_minor = left(budget.of_day, used.raised + used.reserved_of_day);
    view.warnings.extend(offer_document::warnings(&offer.newest().terms));
    Ok(view)
}

/// Creates an offer or adds a version.
///
/// Other content makes a new version; nothing counts before it is published. An offer
/// keeps its merchant and its currency. Other content withdraws what its merchant asked an
/// operator to approve. Points and perks belong to the merchant whose
/// offer named them first; another's offer that names them is refused (409).
#[utoipa::path(
    put, path = "/v1/offers/{id}", operation_id = "put_offer", tag = "Offers",
    params(
        ("id" = String, Path, description = "Your id of the offer"),
        ("If-Match" = Option<String>, Header, description = "The ETag this change rests on"),
    ),
    request_body = OfferDocument,
    responses(
        (status = 200, description = "A new version, or the same as before", body = OfferView),
        (status = 201, description = "Created", body = OfferView),
    ),
)]
pub(super) async fn put(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, Merchant])?;
    let id: OfferId = read::id(params, "id")?;
    let if_match = read::if_match(request)?;
    let document: OfferDocument = read::document(request)?;
    let created = put_as(doors, &caller, &id, document, if_match).await?;
    let (version, offer) = seen(doors, &caller, &id).await?;
    Ok(Reply::put(created, &whole(doors, version, &offer).await?, version))
}

/// Writes an offer by a caller's word; true when there was none.
pub(crate) async fn put_as(
    doors: &Doors,
    caller: &Caller,
    id: &OfferId,
    document: OfferDocument,
    if_match: Option<u64>,
) -> Result<bool, Reply> {
    access::own_merchant(caller, &document.merchant)?;
    let terms = document.into_terms(id)?;
    Ok(doors.engine.put_offer(id, terms, if_match).await?.1)
}

/// An offer as it is.
#[utoipa::path(
    get, path = "/v1/offers/{id}", operation_id = "get_offer", tag = "Offers",
    params(("id" = String, Path, description = "Your id of the offer")),
    responses((status = 200, description = "The offer, its version as ETag", body = OfferView)),
)]
pub(super) async fn get(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, Merchant])?;
    let id: OfferId = read::id(params, "id")?;
    let (version, offer) = seen(doors, &caller, &id).await?;
    Ok(Reply::versioned(&whole(doors, version, &offer).await?, version))
}

/// What an offer's document may say, as JSON Schema (draft 2020-12): for editors and for checks before sending.
#[utoipa::path(
    get, path = "/v1/schemas/offer.json", operation_id = "get_offer_schema", tag = "Offers",
    responses((status = 200, description = "The schema", content_type = "application/schema+json")),
)]
pub(super) fn schema() -> Reply {
    Reply::Text { content_type: "application/schema+json".into(), body: offer_document::schema::text() }
}

/// Offers, by id.
#[utoipa::path(
    get, path = "/v1/offers", operation_id = "list_offers", tag = "Offers",
    params(
        ("limit" = Option<u8>, Query, description = "1 to 200, 50 when not given"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("merchant" = Option<String>, Query, description = "Only this merchant's"),
        ("state" = inline(Option<OfferState>), Query, description = "Only those that stand there, such as `awaiting_approval`; a page may then hold fewer than `limit`"),
    ),
    responses((status = 200, description = "A page", body = OfferPage)),
)]
pub(super) async fn list(doors: &Doors, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, Merchant])?;
    let page = page::page::<OfferId>(request)?;
    let wanted = read::query(request, "state")?.map(|word| OfferState::read(&word)).transpose()?;
    let asked = read::query(request, "merchant")?;
    let asked = asked.map(MerchantId::new).transpose();
    let asked = asked.map_err(|error| Fault::bad("merchant", error.to_string()))?;
    if let Some(merchant) = &asked {
        access::own_merchant(&caller, merchant)?;
    }
    let merchant = asked.or_else(|| caller.merchant.clone());
    Ok(Reply::ok(&listed(doors, merchant.as_ref(), wanted, &page).await?))
}

/// Offers of a merchant, or all.
pub(crate) async fn listed(
    doors: &Doors,
    merchant: Option<&MerchantId>,
    wanted: Option<OfferState>,
    page: &page::Page<OfferId>,
) -> Result<OfferPage, Reply> {
    let found = doors.engine.offer_documents(merchant, page.after.as_ref(), page.limit).await?;
    let full = found.len() == page.limit;
    let next_cursor = found.last().filter(|_| full).map(|(_, offer)| page::cursor(&offer.id));
    let mut offers = Vec::with_capacity(found.len());
    for (version, offer) in &found {
        let budgeted = budget(offer) != Budget::NONE;
        let used = if budgeted { doors.engine.offer_use(&offer.id).await? } else { Use::default() };
        if wanted.is_none_or(|wanted| wanted == state(offer, used.granted)) {
            offers.push(OfferView::of(offer, *version, used));
        }
    }
    Ok(OfferPage { offers, next_cursor })
}

/// Takes an offer a step through its life.
///
/// The step counts 2 seconds later, so that every process has met it, or from an instant
/// in the past by an operator's word: then every purchase concerned is decided again
/// before the answer. A step that was taken already changes nothing.
///
/// The first `publish` of a merchant who never had an offer published asks an operator: the
/// offer is then `awaiting_approval`, until an operator's `approve` publishes it or `reject`, with a
/// reason, makes it a draft again. Whatever an operator publishes is approved. From then on
/// the merchant publishes by itself.
#[utoipa::path(
    post, path = "/v1/offers/{id}/{step}", operation_id = "step_offer", tag = "Offers",
    params(
        ("id" = String, Path, description = "Your id of the offer"),
        ("step" = inline(StepWord), Path, description = "Which step"),
        ("Idempotency-Key" = Option<String>, Header, description = "Kept 24 hours"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the offer as it was read"),
    ),
    request_body(content = Option<StepDocument>),
    responses((status = 200, description = "Done, or so already", body = StepView)),
)]
pub(super) async fn step(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let word = params.get("step").unwrap_or_default();
    let of_operator = matches!(word, "approve" | "reject");
    if !of_operator && !matches!(word, "publish" | "pause" | "resume" | "end") {
        return Err(reply::no_route());
    }
    let roles: &[_] = if of_operator { &[Operator] } else { &[Operator, Merchant] };
    let caller = access::one_of(doors, request, roles)?;
    let id: OfferId = read::id(params, "id")?;
    let if_match = read::if_match(request)?;
    let document: StepDocument = read::document_or_default(request)?;
    let named = read::named(request, &caller, &document, false)?;
    let answer = step_as(doors, &caller, &id, word, document, (named, if_match)).await?;
    Ok(Reply::json_text(StatusCode::OK, answer))
}

/// Takes a step by a caller's word; what the request named itself and rests on comes last.
pub(crate) async fn step_as(
    doors: &Doors,
    caller: &Caller,
    id: &OfferId,
    word: &str,
    document: StepDocument,
    (named, if_match): (Option<Named>, Option<u64>),
) -> Result<String, Reply> {
    let step = document.step(word)?;
    let now = doors.engine.clock.now();
    if let Some(from) = document.effective_from {
        access::operator_word(caller, "effective_from")?;
        if from > now {
            let detail = "must lie in the past; leave it out for now, and use `starts` and `ends` for the future";
            return Err(Fault::bad("effective_from", detail).into());
        }
        tracing::info!(key = %caller.key_id, offer = %id, from = %from, "an operator dates a step of an offer into the past");
    }
    seen(doors, caller, id).await?;
    let granted = doors.engine.offer_use(id).await?.granted;
    let answer = move |offer: &Offer, effective: Timestamp| {
        let view = StepView {
            offer: offer.id.to_string(),
            state: state(offer, granted),
            published_version: offer.newest_published().map(|version| version.version),
            effective,
        };
        serde_json::to_string(&view).expect("our documents have a JSON form")
    };
    let asked = Asked { step, from: document.effective_from, by_merchant: caller.role == Merchant, if_match };
    let answer = doors.engine.step_offer_named(id, asked, named, answer).await?;
    if document.effective_from.is_some() {
        doors.again.go_on(&doors.engine, |job| matches!(job, Job::Seen { .. })).await?;
    }
    Ok(answer)
}

impl StepDocument {
    /// The step that a word of the path and this document ask for.
    fn step(&self, word: &str) -> Result<Step, Fault> {
        if word == "reject" {
            if self.effective_from.is_some() {
                return Err(Fault::contradiction("effective_from", "a rejection counts at once; leave it out"));
            }
            let reason = self.reason.as_deref().unwrap_or_default();
            if reason.trim().is_empty() {
                let detail = "say in words why the offer is not published; its merchant reads it";
                return Err(Fault::new("missing_field", "reason", detail));
            }
            return Ok(Step::Reject(check::text("reason", reason, REASON_BYTES_MAX)?.into()));
        }
        if self.reason.is_some() {
            return Err(Fault::contradiction("reason", format!("has no meaning for `{word}`; it is for `reject`")));
        }
        Ok(match word {
            "publish" => Step::Publish,
            "approve" => Step::Approve,
            "pause" => Step::Pause,
            "resume" => Step::Resume,
            _ => Step::End,
        })
    }
}

/// A step of an offer's life, as the path says it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "the router reads the word; this is for the description of the service")]
pub(super) enum StepWord {
    /// The newest version counts.
    Publish,
    /// What its merchant asked for is published; an operator's.
    Approve,
    /// It is not, for a reason; an operator's.
    Reject,
    /// Gives nothing until resumed.
    Pause,
    /// Gives again.
    Resume,
    /// Never gives again.
    End,
}
