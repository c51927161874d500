//! The door for one purchase: its events, what it is worth, and why or why not for every
//! offer. The evaluation is the one that decides.

use super::check::Fault;
use super::money::{PurchaseName, UnitView};
use super::reply::{self, Reply};
use super::{Doors, access, read};
use crate::authenticate::keys::Role::{Merchant, Operator, Risk};
use crate::decide::evaluate::Found;
use crate::decide::judge::Line;
use crate::decide::{Assigned, Credit, Fate, MemberState, Worth};
use crate::domain::merchant::Evidence;
use crate::domain::purchase::{Grant, HeldEvent, Occasion, Purchase, Stage};
use crate::domain::{Currency, MemberId, Money, OfferId, PurchaseId, PurchaseKey, SourceName, Timestamp};
use crate::wire::Request;
use matchit::Params;
use serde::Serialize;
use utoipa::ToSchema;

/// A purchase explained.
#[derive(Debug, Serialize, ToSchema)]
pub struct PurchaseView {
    /// Its name.
    pub purchase: PurchaseName,
    /// Who bought; absent for merchants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Where; absent when no event named a shop we know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shop: Option<ShopView>,
    /// What it is when nothing was bought; absent for purchases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occasion: Option<OccasionView>,
    /// Its events, in the order that counts.
    pub events: Vec<EventView>,
    /// Credits that name no purchase and come off this one, oldest first. Which they come off
    /// may change when earlier facts arrive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<JoinedView>,
    /// What became of its own credits when they name no purchase; absent for purchases.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assigned: Vec<AssignedView>,
    /// What it is worth, less what `joined` takes.
    pub worth: WorthView,
    /// Every offer concerned, by id; for merchants their own alone.
    pub offers: Vec<OfferLine>,
}

/// What is rewarded when nothing was bought.
#[derive(Debug, Serialize, ToSchema)]
pub struct OccasionView {
    /// `signal`, `referral` or `exchange`.
    pub kind: &'static str,
    /// The signal's kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// Who was referred; absent for merchants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referred: Option<String>,
    /// The one offer it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer: Option<String>,
    /// When: of a referral, when the purchase that qualifies it was made.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

impl OccasionView {
    fn of(occasion: &Occasion) -> Self {
        let none = Self { kind: "", signal: None, referred: None, offer: None, at: occasion.at() };
        match occasion {
            Occasion::Signal { kind, offer, .. } => {
                let offer = offer.as_ref().map(ToString::to_string);
                Self { kind: "signal", signal: Some(kind.to_string()), offer, ..none }
            }
            Occasion::Referral(referral) => {
                let (offer, referred) = (referral.offer.to_string(), referral.referred.to_string());
                Self { kind: "referral", referred: Some(referred), offer: Some(offer), ..none }
            }
            Occasion::Exchange { offer, .. } => Self { kind: "exchange", offer: Some(offer.to_string()), ..none },
        }
    }
}

/// Where a purchase was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShopView {
    /// Whose shop.
    pub merchant: String,
    /// Which.
    pub location: String,
    /// Its IANA zone.
    pub time_zone: String,
    /// By what it was recognised: `mid`, `store_id` or `descriptor`.
    pub evidence: &'static str,
    /// How sure it was, of 1000, when nobody had registered the descriptor and it was only like
    /// the shop's; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1000)]
    pub confidence: Option<u16>,
    /// What spoke for the shop then: `words`, `whole_name`, `registered_text`, `city`,
    /// `postcode`, `store_number`, `mcc`, `country`, `only_shop`, `shared_mid`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<&'static str>,
}

/// An event of a purchase, without its card.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    /// The event's id.
    pub id: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Absent for a reversal of all and an expiry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<AmountView>,
    /// The act of buying or returning.
    #[schema(value_type = String, format = DateTime)]
    pub occurred_at: Timestamp,
    /// False when only the day is known.
    pub time_known: bool,
    /// When the issuer posted it; when not said, when it reached us.
    #[schema(value_type = String, format = DateTime)]
    pub posted_at: Timestamp,
    /// Merchant category code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcc: Option<String>,
}

/// A credit that names no purchase and comes off this one.
#[derive(Debug, Serialize, ToSchema)]
pub struct JoinedView {
    /// Its own entry.
    pub purchase: PurchaseName,
    /// The credit.
    pub event: EventView,
    /// What it takes off, minor units: its amount less what was taken back of it.
    pub takes_minor: i64,
}

/// What became of a credit that names no purchase.
#[derive(Debug, Serialize, ToSchema)]
pub struct AssignedView {
    /// The credit's event id.
    pub event: String,
    /// `joined` to a purchase; `taken_back` by reversals; `takes_back` a credit, being a
    /// reversal; `waits` without effect until something fits.
    pub state: &'static str,
    /// The purchase it comes off, or the entry of the credit it takes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purchase: Option<PurchaseName>,
    /// What it takes off, minor units; zero unless joined.
    pub takes_minor: i64,
}

/// An amount.
#[derive(Debug, Serialize, ToSchema)]
pub struct AmountView {
    /// Minor units.
    pub minor: i64,
    /// ISO 4217.
    pub currency: String,
}

/// What a purchase is worth now.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorthView {
    /// What stands, minor units.
    pub minor: i64,
    /// ISO 4217; absent when no event has an amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The purchase's time.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// Wholly cleared.
    pub complete: bool,
    /// The authorization lapsed without a clearing.
    pub lapsed: bool,
    /// When it lapses if nobody clears; absent when nothing can lapse.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub lapses_at: Option<Timestamp>,
    /// Posting time of the last clearing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub cleared_at: Option<Timestamp>,
}

/// What one offer gives for the purchase, or why not.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfferLine {
    /// The offer.
    pub offer: String,
    /// The version whose terms counted.
    pub version: u32,
    /// Who funds it.
    pub merchant: String,
    /// Of what.
    #[serde(flatten)]
    pub unit: UnitView,
    /// In the books for this purchase.
    pub granted_minor: i64,
    /// What the terms give now.
    pub due_minor: i64,
    /// `pending`, `posted`, `available` or `held`; absent when nothing is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// When it may be paid; absent while pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub available_at: Option<Timestamp>,
    /// Why it gives nothing, or less than its terms say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<RefusalView>,
    /// Each of its conditions, met or not.
    pub conditions: Vec<ConditionView>,
}

/// A condition of an offer, by the evaluation that decides.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConditionView {
    /// Whether it is met.
    pub met: bool,
    /// What it is about: stable, for programs.
    pub code: &'static str,
    /// What it needs and what it has, for people.
    pub detail: String,
    /// How far a count is, where it is one that grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressView>,
}

/// How far a count is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProgressView {
    /// Reached so far.
    pub has: i64,
    /// What is asked for.
    pub of: i64,
}

impl ConditionView {
    pub(super) fn of(found: &Found, currency: Currency) -> Self {
        let told = &found.told;
        let detail = told.detail(currency);
        Self {
            met: found.holds != found.negated,
            code: told.code(),
            detail: if found.negated { format!("must not be so: {detail}") } else { detail },
            progress: told.progress().filter(|_| !found.negated).map(|(has, of)| ProgressView { has, of }),
        }
    }
}

/// Why an offer gives nothing, or less.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefusalView {
    /// Stable, for programs.
    pub code: &'static str,
    /// For people.
    pub detail: String,
}

/// A purchase, explained.
///
/// Events, worth, and why or why not for every offer. A merchant sees its own offers'
/// lines alone. What is rewarded without a purchase is under the sources `signal` (the signal's
/// id), `referral` (`offer:referred member`) and `exchange`.
#[utoipa::path(
    get, path = "/v1/purchases/{source}/{purchase}", operation_id = "get_purchase", tag = "Purchases",
    params(
        ("source" = String, Path, description = "Who told us"),
        ("purchase" = String, Path, description = "The source's id of the purchase, or of its one event"),
        ("member" = Option<String>, Query, description = "Whose it is, where several members have a signal of this id; not for merchants"),
    ),
    responses((status = 200, description = "The purchase", body = PurchaseView)),
)]
pub(super) async fn get(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, Risk, Merchant])?;
    let none = || reply::not_found("there is no such purchase, or it is so old that only its totals are kept");
    let source: SourceName = read::id(params, "source")?;
    let id: PurchaseId = read::id(params, "purchase")?;
    let key = PurchaseKey { source, id };
    let owner = match read::query(request, "member")? {
        Some(_) if caller.role == Merchant => {
            return Err(reply::not_allowed("`member` is not a merchant's to ask by; leave it out"));
        }
        Some(member) => MemberId::new(member).map_err(|error| Fault::bad("member", error.to_string()))?,
        None => doors.engine.purchase_owner(&key).await?.ok_or_else(none)?,
    };
    let member = doors.engine.load(&owner).await?.ok_or_else(none)?;
    let mut view = explained(doors, &member, &key).ok_or_else(none)?;
    if let Some(own) = &caller.merchant {
        view.offers.retain(|line| line.merchant == own.as_str());
        if view.offers.is_empty() {
            return Err(none());
        }
        view.member = None;
        if let Some(occasion) = &mut view.occasion {
            occasion.referred = None;
        }
        for line in &mut view.offers {
            // Why a reward is frozen is not for merchants, and neither is that it is.
            if line.state == Some("held") {
                (line.state, line.available_at) = (Some("pending"), None);
            }
        }
        if view.shop.as_ref().is_some_and(|shop| shop.merchant != own.as_str()) {
            view.shop = None;
            view.joined.clear();
            view.assigned.clear();
        }
    }
    Ok(Reply::ok(&view))
}

/// A purchase decided again, with all that was looked at.
pub(crate) fn explained(doors: &Doors, member: &MemberState, key: &PurchaseKey) -> Option<PurchaseView> {
    let explained = doors.engine.explain(member, key)?;
    let placed = &member.purchases[member.find(key)?];
    let purchase = placed.purchase.as_ref();
    let judged = explained.judged.as_ref().map_or(&[][..], |judged| &judged.lines);
    let conditions = |offer: &OfferId| explained.conditions.iter().find(|(of, _)| of == offer).map(|(_, found)| found);
    let of_line = |line: &Line| of_line(line, purchase, conditions(&line.offer).map_or(&[][..], Vec::as_slice));
    let mut offers: Vec<OfferLine> = judged.iter().map(of_line).collect();
    // An offer that lost the purchase to another shop is no candidate and may have given.
    let lost = purchase.grants.iter().filter(|grant| !judged.iter().any(|line| line.offer == grant.offer));
    offers.extend(lost.filter(|grant| grant.amount_minor != 0).map(of_grant));
    offers.sort_by(|a, b| a.offer.cmp(&b.offer));
    let joined = explained.assigned.credits.iter().filter_map(|credit| of_joined(member, credit, explained.place));
    let own = |credit: &&Credit<'_>| credit.entry == explained.place;
    let assigned = explained.assigned.credits.iter().filter(own);
    Some(PurchaseView {
        purchase: name_of(key),
        member: Some(member.head.id.to_string()),
        shop: explained.worth.shop.map(|shop| ShopView {
            merchant: shop.merchant.to_string(),
            location: shop.location.to_string(),
            time_zone: shop.time_zone.to_string(),
            evidence: evidence_word(shop.evidence),
            confidence: shop.evidence.likeness().map(|likeness| likeness.confidence),
            reasons: shop.evidence.likeness().map_or_else(Vec::new, |likeness| likeness.reasons.names().collect()),
        }),
        occasion: purchase.occasion.as_ref().map(OccasionView::of),
        events: purchase.events.iter().map(of_event).collect(),
        joined: joined.collect(),
        assigned: assigned.map(|credit| of_assigned(member, credit, &explained.assigned)).collect(),
        worth: WorthView { time: placed.time, ..of_worth(&explained.worth) },
        offers,
    })
}

fn name_of(key: &PurchaseKey) -> PurchaseName {
    PurchaseName { source: key.source.to_string(), id: key.id.to_string() }
}

fn name_at(member: &MemberState, place: usize) -> PurchaseName {
    name_of(&member.purchases[place].purchase.key)
}

fn of_joined(member: &MemberState, credit: &Credit<'_>, to: usize) -> Option<JoinedView> {
    match credit.fate {
        Fate::Joined { purchase, minor } if purchase == to => Some(JoinedView {
            purchase: name_at(member, credit.entry),
            event: of_event(credit.event),
            takes_minor: minor,
        }),
        _ => None,
    }
}

fn of_assigned(member: &MemberState, credit: &Credit<'_>, assigned: &Assigned<'_>) -> AssignedView {
    let (state, purchase, takes_minor) = match credit.fate {
        Fate::Joined { purchase, minor } => ("joined", Some(name_at(member, purchase)), minor),
        Fate::TakenBack => ("taken_back", None, 0),
        Fate::TakesBack(of) => ("takes_back", Some(name_at(member, assigned.credits[of].entry)), 0),
        Fate::Waits => ("waits", None, 0),
    };
    AssignedView { event: credit.event.key.to_string(), state, purchase, takes_minor }
}

fn evidence_word(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Mid => "mid",
        Evidence::StoreId => "store_id",
        Evidence::Descriptor | Evidence::Likeness(_) => "descriptor",
    }
}

fn word(stage: Stage, held: bool) -> &'static str {
    match (held, stage) {
        (true, _) => "held",
        (false, Stage::Pending) => "pending",
        (false, Stage::Posted) => "posted",
        (false, Stage::Available) => "available",
    }
}

fn of_line(line: &Line, purchase: &Purchase, conditions: &[Found]) -> OfferLine {
    let granted_minor = purchase.grant(&line.offer).map_or(0, |grant| grant.amount_minor);
    let gives = line.due_minor > 0;
    OfferLine {
        offer: line.offer.to_string(),
        version: line.version,
        merchant: line.merchant.to_string(),
        unit: line.unit.into(),
        granted_minor,
        due_minor: line.due_minor,
        state: gives.then(|| word(line.stage, line.held)),
        available_at: line.available_at.filter(|_| gives),
        refusal: line
            .refusal
            .as_ref()
            .map(|refusal| RefusalView { code: refusal.code(), detail: refusal.detail(line.currency) }),
        conditions: conditions.iter().map(|found| ConditionView::of(found, line.currency)).collect(),
    }
}

fn of_grant(grant: &Grant) -> OfferLine {
    OfferLine {
        offer: grant.offer.to_string(),
        version: grant.version,
        merchant: grant.merchant.to_string(),
        unit: grant.unit.into(),
        granted_minor: grant.amount_minor,
        due_minor: grant.amount_minor,
        state: Some(word(grant.stage, grant.held)),
        available_at: grant.available_at,
        refusal: None,
        conditions: Vec::new(),
    }
}

fn of_event(event: &HeldEvent) -> EventView {
    let amount = |money: Money| AmountView { minor: money.minor, currency: money.currency.to_string() };
    EventView {
        id: event.key.to_string(),
        kind: event.kind.as_str(),
        amount: event.amount.map(amount),
        occurred_at: event.occurred_at,
        time_known: event.time_known,
        posted_at: event.posted_at,
        mcc: event.mcc.map(|mcc| format!("{mcc:04}")),
    }
}

fn of_worth(worth: &Worth<'_>) -> WorthView {
    WorthView {
        minor: worth.minor,
        currency: worth.currency.map(|currency| currency.to_string()),
        time: worth.time,
        complete: worth.complete,
        lapsed: worth.lapsed,
        lapses_at: worth.lapses_at,
        cleared_at: worth.cleared_at,
    }
}
