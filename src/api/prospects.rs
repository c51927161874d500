//! The door for what a member may earn now: every offer by the evaluation that decides, with
//! how far they are, best first.

use super::members::known;
use super::money::UnitView;
use super::purchases::ConditionView;
use super::reply::Reply;
use super::{Doors, access, page, read};
use crate::authenticate::keys::Role::{App, Operator};
use crate::decide::{Prospect, Refusal};
use crate::domain::{MemberId, Money};
use crate::wire::Request;
use matchit::Params;
use serde::Serialize;
use utoipa::ToSchema;

/// What a member may earn now, best first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProspectList {
    /// By what they may bring in the next thirty days, then by id.
    pub offers: Vec<ProspectView>,
    /// Whether there are more than were asked for.
    pub more: bool,
}

/// An offer as it stands for a member.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProspectView {
    /// The offer.
    pub offer: String,
    /// Whose offer it is.
    pub merchant: String,
    /// Its title.
    pub title: String,
    /// The offer in a sentence.
    pub in_words: String,
    /// What its reward is counted in.
    #[serde(flatten)]
    pub unit: UnitView,
    /// Whether the member must opt in first.
    pub activate: bool,
    /// What a usual purchase of the member would bring now; absent when nothing is usual yet,
    /// or it would bring nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_minor: Option<i64>,
    /// Why it would bring nothing now: a stable code and words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<super::purchases::RefusalView>,
    /// Conditions over the member and what they bought, with how far they are.
    pub conditions: Vec<ConditionView>,
    /// What the offer may bring in the next thirty days, minor units of its currency.
    pub expected_minor: i64,
    /// Why it stands where it does in the list.
    pub reason: String,
}

/// What a member may earn now.
///
/// Offers in force of merchants where the member buys or has opted in, offers over a category,
/// for referrals and for signals, and further ones by id. By what each may bring the member in
/// thirty days: what a usual purchase of the last ninety days would earn now, for as many as
/// are usual. Offers that keep the member out to measure what they bring are not among them.
#[utoipa::path(
    get, path = "/v1/members/{id}/offers", operation_id = "get_member_offers", tag = "Members",
    params(
        ("id" = String, Path, description = "Your id of the member"),
        ("limit" = Option<usize>, Query, description = "At most so many, 1 to 200; 50 without it"),
    ),
    responses((status = 200, description = "Offers, best first", body = ProspectList)),
)]
pub(super) async fn get(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    access::one_of(doors, request, &[Operator, App])?;
    let id: MemberId = read::id(params, "id")?;
    let limit = page::limit(request)?;
    let member = known(doors, &id).await?;
    let catalogue = doors.engine.catalogue();
    let found = doors.engine.prospects(&member, &catalogue, limit + 1).await?;
    let more = found.len() > limit;
    Ok(Reply::ok(&ProspectList { offers: found.iter().take(limit).map(view).collect(), more }))
}

fn view(prospect: &Prospect<'_>) -> ProspectView {
    let terms = &prospect.version.terms;
    ProspectView {
        offer: prospect.offer.id.to_string(),
        merchant: terms.merchant.to_string(),
        title: terms.title.clone(),
        in_words: terms.in_words(),
        unit: prospect.unit().into(),
        activate: prospect.activate,
        next_minor: prospect.next,
        refusal: prospect.refusal.as_ref().map(|refusal| told(refusal, prospect.with_purchase, terms.currency)),
        conditions: prospect.conditions.iter().map(|found| ConditionView::of(found, terms.currency)).collect(),
        expected_minor: prospect.expected_minor,
        reason: reason(prospect),
    }
}

fn told(refusal: &Refusal, with_purchase: bool, currency: crate::domain::Currency) -> super::purchases::RefusalView {
    let detail = refusal.detail(currency);
    let detail = if with_purchase { format!("{detail} with the next purchase") } else { detail };
    super::purchases::RefusalView { code: refusal.code(), detail }
}

/// Why an offer stands where it does, in words.
fn reason(prospect: &Prospect<'_>) -> String {
    let currency = prospect.version.terms.currency;
    let habit = prospect.habit;
    match (habit.usual_minor, prospect.expected_minor) {
        (None, _) => "nothing bought there in the last 90 days".to_owned(),
        (Some(usual), 0) => {
            format!(
                "{} there in the last 90 days, usually {}; it would bring nothing now",
                times(habit.purchases),
                Money::new(usual, currency)
            )
        }
        (Some(usual), expected) => format!(
            "{} there in the last 90 days, usually {}: about {} in 30 days",
            times(habit.purchases),
            Money::new(usual, currency),
            Money::new(expected, currency)
        ),
    }
}

fn times(purchases: u32) -> String {
    if purchases == 1 { "bought once".to_owned() } else { format!("bought {purchases} times") }
}
