//! Doors for the risk desk: the queue of cases, one case with its evidence, reviews and what
//! takes them back. Nobody else learns more than `not_eligible` or `pending`.

use super::check::{self, Fault};
use super::money::UnitView;
use super::reply::{self, Reply};
use super::{Doors, access, page, read};
use crate::authenticate::keys::Caller;
use crate::authenticate::keys::Role::{Operator, Risk};
use crate::cases::report::{Report, Reporter};
use crate::cases::rules::RULE;
use crate::cases::triage::segment;
use crate::cases::{Case, Chosen, Evidence, Happened, PolicyAct, Review, Status, Suspect, Tie, Verdict, Withdrawal};
use crate::decide::MemberState;
use crate::domain::member::Standing;
use crate::domain::{Code, MemberId, MerchantId, Timestamp, Unit};
use crate::engine::cases::{CaseError, Reviewing, Stake, stake};
use crate::follow::pass::rounded;
use crate::follow::rivals::COMPETITOR_STAFF;
use crate::graph::detectors::{ALL, Detector};
use crate::graph::model::named::FITTED_MODEL;
use crate::wire::Request;
use hyper::StatusCode;
use matchit::Params;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// Longest reason, in bytes.
const REASON_BYTES_MAX: usize = 2_000;
/// Most members that a review may name.
const MEMBERS_MAX: usize = 1_000;

/// Cases, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct CasePage {
    /// The page. May be empty before the end: a call looks at a bounded piece.
    pub cases: Vec<CaseLine>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// A case in the queue.
#[derive(Debug, Serialize, ToSchema)]
pub struct CaseLine {
    /// Its number.
    pub id: u64,
    /// `open`, `watching`, `confirmed`, `dismissed` or `merged`.
    pub status: &'static str,
    /// `program`, or `merchant:ID` for a case about that merchant's competitors.
    pub scope: String,
    /// Mean score of those whom their own acts tie to it, 0 to 1000; null while the case is judged blind.
    pub score: Option<u16>,
    /// It is judged without its score and the strength of its evidence, or was.
    pub blind: bool,
    /// How many members.
    pub members: usize,
    /// Kinds of evidence that agree.
    pub families: Vec<String>,
    /// The strongest piece of evidence.
    pub headline: String,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    /// When it changed last.
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: Timestamp,
}

/// A case.
#[derive(Debug, Serialize, ToSchema)]
pub struct CaseView {
    /// As in the queue.
    #[serde(flatten)]
    pub line: CaseLine,
    /// Honest groups of the same kind that it is compared with; null before the first whole pass.
    pub compared: Option<ComparedView>,
    /// Who is in it.
    pub suspects: Vec<SuspectView>,
    /// What was seen, strongest first; by name while the case is judged blind.
    pub evidence: Vec<EvidenceView>,
    /// Links between its members: a picture. Identifiers have short names that mean nothing
    /// outside of it.
    pub links: Vec<TieView>,
    /// What its members have, by unit.
    pub at_stake: Vec<StakeView>,
    /// Oldest first.
    pub reviews: Vec<ReviewView>,
    /// What the written policy did without a review.
    pub policy_acts: Vec<PolicyActView>,
    /// Everything that happened to it, with the status before.
    pub timeline: Vec<HappenedView>,
    /// The case that it is part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<u64>,
}

/// A case beside honest groups of its kind: those that nobody called fraud, in the last whole pass.
#[derive(Debug, Serialize, ToSchema)]
pub struct ComparedView {
    /// `household`, `office`, `ambassador` or `other`, which is compared with all of them.
    pub segment: &'static str,
    /// How many there are.
    pub groups: usize,
    /// Those that score as high, or higher; null while the case is judged blind.
    pub as_high: Option<usize>,
}

/// A member of a case.
#[derive(Debug, Serialize, ToSchema)]
pub struct SuspectView {
    /// Who.
    pub member: String,
    /// 0 to 1000, when last looked at; null while the case is judged blind.
    pub score: Option<u16>,
    /// Whether an act or a verified instrument of their own ties them to the group; false for one
    /// whom only others name. A review that names nobody means those of whom it is true.
    pub own: bool,
    /// How far they are trusted now, for the case's scope.
    #[schema(value_type = String, example = "barred")]
    pub standing: Standing,
    /// When they were found to belong to it.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// Something that was seen.
#[derive(Debug, Serialize, ToSchema)]
pub struct EvidenceView {
    /// Who saw it, and its version.
    pub detector: String,
    /// Its version.
    pub version: u32,
    /// What kind of evidence it is.
    pub family: String,
    /// 1 to 1000; null while the case is judged blind.
    pub strength: Option<u16>,
    /// What was seen.
    pub words: String,
    /// What would clear it.
    pub clears: String,
    /// Whom it concerns.
    pub members: Vec<String>,
    /// When it was seen last.
    #[schema(value_type = String, format = DateTime)]
    pub seen_at: Timestamp,
}

/// A link of a case's picture.
#[derive(Debug, Serialize, ToSchema)]
pub struct TieView {
    /// Who said it.
    pub from: String,
    /// A member, or an identifier's short name.
    pub to: String,
    /// `referral`, `device`, `card`, …
    pub kind: String,
    /// Whether it is verified.
    pub verified: bool,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// What a case's members have in one unit.
#[derive(Debug, Serialize, ToSchema)]
pub struct StakeView {
    /// Of what.
    #[serde(flatten)]
    pub unit: UnitView,
    /// Not available yet, minor units.
    pub pending_minor: i64,
    /// Frozen.
    pub held_minor: i64,
    /// May be paid.
    pub available_minor: i64,
    /// Paid.
    pub paid_minor: i64,
}

/// A review.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReviewView {
    /// What was said.
    #[schema(value_type = String, example = "confirm")]
    pub verdict: Verdict,
    /// `program` or `merchant:ID`.
    pub scope: String,
    /// Who was meant.
    pub members: Vec<String>,
    /// Why.
    pub reason: String,
    /// Who: the id of their key.
    pub by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// It was taken back, or waits for a second reviewer: it counts for nothing.
    pub undone: bool,
    /// How the group came to be looked at: a detector's name and version, `random` or `report`.
    pub chosen_by: String,
    /// Whether the reviewer saw the score.
    pub score_shown: bool,
}

/// What the policy did by itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolicyActView {
    /// The standing that was set.
    #[schema(value_type = String, example = "barred")]
    pub standing: Standing,
    /// For whom.
    pub members: Vec<String>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// When it ends by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// It was taken back with the detector's version that it rested on.
    pub undone: bool,
}

/// An entry of the timeline.
#[derive(Debug, Serialize, ToSchema)]
pub struct HappenedView {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// `opened`, `grow`, `reopen`, `confirm`, `dismiss`, `watch`, `undo`, `object`, `merge`, `withdraw` or `propose`.
    pub step: &'static str,
    /// The status before.
    pub from: &'static str,
    /// The status after.
    pub to: &'static str,
    /// Who: the id of a key, or `screening`.
    pub by: String,
    /// In words.
    pub words: String,
}

/// A review of a case.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct ReviewDocument {
    /// Fraud, honest, or wait and see.
    #[schema(value_type = String, example = "confirm")]
    pub verdict: Verdict,
    /// `program`, or `merchant:ID`: without it the case's own.
    #[serde(default)]
    pub scope: Option<String>,
    /// Who is meant; without it all whom their own acts tie to the group. Name those whom only
    /// others name if you mean them too.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub members: Vec<MemberId>,
    /// Why, for those who read it later.
    pub reason: String,
    /// Purchases from here on are concerned; without it all.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// With `confirm`: what was paid already is asked back rather than booked as fraud loss.
    #[serde(default)]
    pub ask_back: bool,
    /// Whether you saw the score before you judged: kept with the label. Of a case that is judged blind it
    /// is never so.
    #[serde(default = "yes")]
    pub score_shown: bool,
}

fn yes() -> bool {
    true
}

/// Why something is done.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct ReasonDocument {
    /// Why, for those who read it later.
    pub reason: String,
}

/// A member's objection.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct ObjectionDocument {
    /// Who objects.
    #[schema(value_type = String)]
    pub member: MemberId,
    /// What they say.
    pub reason: String,
}

/// A report from outside.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct ReportDocument {
    /// Who reported: `issuer`, `member`, `partner` or `other`.
    #[schema(value_type = String, example = "issuer")]
    pub reported_by: Reporter,
    /// Whom they name, 1 to 1,000 registered members.
    #[schema(value_type = Vec<String>)]
    pub members: Vec<MemberId>,
    /// What they say, with their own reference.
    pub reason: String,
}

/// What became of a case.
#[derive(Debug, Serialize, ToSchema)]
pub struct CaseChanged {
    /// Its number.
    pub id: u64,
    /// Where it stands now.
    pub status: &'static str,
    /// Members whose standing follows, one by one; `GET /v1/jobs` shows while they do.
    pub members: usize,
}

fn scope(merchant: Option<&MerchantId>) -> String {
    merchant.map_or_else(|| "program".to_owned(), |merchant| format!("merchant:{merchant}"))
}

fn texts<T: ToString>(list: &[T]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

impl CaseLine {
    pub(crate) fn of(case: &Case) -> Self {
        Self {
            id: case.id,
            status: case.status.as_str(),
            scope: scope(case.merchant.as_ref()),
            score: (!case.hides_score()).then_some(case.score),
            blind: case.origin.blind,
            members: case.members.len(),
            families: case.families().into_iter().map(str::to_owned).collect(),
            headline: case.shown_evidence().first().map(|evidence| evidence.words.clone()).unwrap_or_default(),
            opened_at: case.opened_at,
            changed_at: case.changed_at,
        }
    }
}

impl CaseView {
    fn of(case: &Case, stake: &BTreeMap<Unit, Stake>, standing: impl Fn(&MemberId) -> Standing) -> Self {
        let hidden = case.hides_score();
        let suspect = |suspect: &Suspect| SuspectView {
            member: suspect.member.to_string(),
            score: (!hidden).then_some(suspect.score),
            own: suspect.own,
            standing: standing(&suspect.member),
            since: suspect.since,
        };
        let at_stake = stake.iter().map(|(unit, stake)| StakeView {
            unit: (*unit).into(),
            pending_minor: stake.pending_minor,
            held_minor: stake.held_minor,
            available_minor: stake.available_minor,
            paid_minor: stake.paid_minor,
        });
        Self {
            line: CaseLine::of(case),
            compared: None,
            suspects: case.members.iter().map(suspect).collect(),
            evidence: case.shown_evidence().into_iter().map(|seen| EvidenceView::of(seen, hidden)).collect(),
            links: case.ties.iter().map(TieView::of).collect(),
            at_stake: at_stake.collect(),
            reviews: case.reviews.iter().map(ReviewView::of).collect(),
            policy_acts: case.acts.iter().map(PolicyActView::of).collect(),
            timeline: case.timeline.iter().map(HappenedView::of).collect(),
            merged_into: case.origin.merged_into,
        }
    }
}

impl EvidenceView {
    fn of(evidence: &Evidence, hidden: bool) -> Self {
        Self {
            detector: evidence.detector.to_string(),
            version: evidence.version,
            family: evidence.family.to_string(),
            strength: (!hidden).then_some(evidence.strength),
            words: evidence.words.clone(),
            clears: evidence.clears.clone(),
            members: texts(&evidence.members),
            seen_at: evidence.seen_at,
        }
    }
}

impl TieView {
    fn of(tie: &Tie) -> Self {
        let Tie { from, to, kind, verified, at } = tie;
        Self { from: from.to_string(), to: to.clone(), kind: kind.to_string(), verified: *verified, at: *at }
    }
}

impl ReviewView {
    fn of(review: &Review) -> Self {
        Self {
            verdict: review.verdict,
            scope: scope(review.merchant.as_ref()),
            members: texts(&review.members),
            reason: review.reason.clone(),
            by: review.by.clone(),
            at: review.at,
            undone: review.undone,
            chosen_by: chosen_by(&review.chosen),
            score_shown: review.score_shown,
        }
    }
}

/// How a group came to be looked at, as people read it.
pub(crate) fn chosen_by(chosen: &Chosen) -> String {
    match chosen {
        Chosen::Detector { name, version } => format!("{name} {version}"),
        Chosen::Random => "random".to_owned(),
        Chosen::Report => "report".to_owned(),
    }
}

impl PolicyActView {
    fn of(act: &PolicyAct) -> Self {
        Self { standing: act.standing, members: texts(&act.members), at: act.at, until: act.until, undone: act.undone }
    }
}

impl HappenedView {
    fn of(happened: &Happened) -> Self {
        Self {
            at: happened.at,
            step: happened.step.map_or("opened", crate::cases::Step::as_str),
            from: happened.from.as_str(),
            to: happened.to.as_str(),
            by: happened.by.clone(),
            words: happened.words.clone(),
        }
    }
}

impl From<CaseError> for Reply {
    fn from(error: CaseError) -> Self {
        match error {
            CaseError::Unknown => reply::not_found("no case has this number"),
            CaseError::NotAMember(_) | CaseError::Stranger(_) => {
                reply::impossible("bad_value", "members", error.to_string())
            }
            CaseError::NotNow(_) | CaseError::NothingToUndo | CaseError::TooManyReviews => {
                reply::conflict("not_in_this_state", error.to_string())
            }
            CaseError::KeyReused => reply::conflict("idempotency_key_reused", error.to_string()),
            CaseError::Engine(error) => error.into(),
        }
    }
}

/// Cases, newest first.
#[utoipa::path(
    get, path = "/v1/cases", operation_id = "list_cases", tag = "Risk",
    params(
        ("limit" = Option<u8>, Query, description = "1 to 200, 50 when not given"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("status" = Option<String>, Query, description = "Only these: `open`, `watching`, `confirmed`, `dismissed` or `merged`"),
    ),
    responses((status = 200, description = "A page", body = CasePage)),
)]
pub(super) async fn list(doors: &Doors, request: &Request) -> Result<Reply, Reply> {
    access::one_of(doors, request, &[Operator, Risk])?;
    let page = page::page::<u64>(request)?;
    let status = match read::query(request, "status")? {
        None => None,
        Some(word) => Some(Status::ALL.into_iter().find(|status| status.as_str() == word).ok_or_else(|| {
            let words: Vec<&str> = Status::ALL.iter().map(|status| status.as_str()).collect();
            reply::unreadable("unreadable", "status", format!("must be one of {}", words.join(", ")))
        })?),
    };
    let wanted = |case: &Case| status.is_none_or(|status| case.status == status);
    let (cases, next) = doors.engine.cases(page.after, page.limit, wanted).await?;
    let next_cursor = next.map(|after| page::cursor(&after));
    Ok(Reply::ok(&CasePage { cases: cases.iter().map(CaseLine::of).collect(), next_cursor }))
}

/// One case with its evidence, its picture, its timeline and the money at stake.
#[utoipa::path(
    get, path = "/v1/cases/{id}", operation_id = "get_case", tag = "Risk",
    params(("id" = u64, Path, description = "Its number")),
    responses((status = 200, description = "The case", body = CaseView)),
)]
pub(super) async fn get(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, Risk])?;
    let id: u64 = read::id(params, "id")?;
    let case = doors.engine.case(id).await?.ok_or(CaseError::Unknown)?;
    tracing::info!(request = %request.id, key = %caller.key_id, case = id, "a case was read");
    Ok(Reply::ok(&whole(doors, &case).await?))
}

/// A case beside honest groups of its kind.
pub(crate) fn compared(doors: &Doors, case: &Case) -> Option<ComparedView> {
    let segment = segment(&case.members, &case.ties);
    let (as_high, groups) = doors.screener.reaching(segment, case.score)?;
    Some(ComparedView { segment: segment.as_str(), groups, as_high: (!case.hides_score()).then_some(as_high) })
}

/// A case with all that there is to say of it.
pub(crate) async fn whole(doors: &Doors, case: &Case) -> Result<CaseView, Reply> {
    let engine = &doors.engine;
    let members = engine.load_all(case.names()).await?;
    let known = |member: &Arc<MemberState>| (member.head.id.clone(), member.head.standing_now(case.merchant.as_ref()));
    let standings: BTreeMap<MemberId, Standing> = members.iter().map(known).collect();
    let standing = |member: &MemberId| standings.get(member).copied().unwrap_or(Standing::Clear);
    Ok(CaseView { compared: compared(doors, case), ..CaseView::of(case, &stake(&members), standing) })
}

/// Why something is done, when it can be kept.
pub(crate) fn reason(text: &str) -> Result<String, Reply> {
    Ok(check::lines("reason", text, REASON_BYTES_MAX)?)
}

/// Reviews a case.
///
/// One record; the standings of its members follow one by one and their purchases are decided
/// again: `confirm` makes what is not paid not due, `dismiss` clears, `watch` only looks. From
/// `screening.four_eyes_minor` on a `confirm` is a proposal: the case stays as it is until another
/// key confirms the same members, scope, `since` and `ask_back`.
#[utoipa::path(
    post, path = "/v1/cases/{id}/review", operation_id = "review_case", tag = "Risk",
    params(
        ("id" = u64, Path, description = "Its number"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters"),
    ),
    request_body = ReviewDocument,
    responses((status = 200, description = "Recorded, now or when first asked", body = CaseChanged)),
)]
pub(super) async fn review(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, Risk])?;
    let id: u64 = read::id(params, "id")?;
    let document: ReviewDocument = read::document(request)?;
    let named = read::named(request, &caller, &document, false)?;
    let said = reviewing(doors, &caller, document)?;
    let answer = doors.engine.review_case(id, said, named, changed).await?;
    tracing::info!(request = %request.id, key = %caller.key_id, case = id, "a case was reviewed");
    Ok(Reply::json_text(StatusCode::OK, answer))
}

/// What a caller says by a review, when it can be meant.
pub(crate) fn reviewing(doors: &Doors, caller: &Caller, document: ReviewDocument) -> Result<Reviewing, Reply> {
    check::at_most("members", &document.members, MEMBERS_MAX)?;
    let merchant = match document.scope.as_deref() {
        None | Some("program") => None,
        Some(scope) => {
            let detail = "must be `program` or `merchant:` with the id of a merchant";
            let merchant = scope.strip_prefix("merchant:").and_then(|id| MerchantId::new(id).ok());
            let merchant = merchant.ok_or_else(|| Fault::bad("scope", detail))?;
            if doors.engine.catalogue_now().merchant(&merchant).is_none() {
                return Err(Fault::bad("scope", "there is no such merchant").into());
            }
            Some(merchant)
        }
    };
    if document.ask_back && document.verdict != Verdict::Confirm {
        return Err(Fault::contradiction("ask_back", "goes with the verdict `confirm` alone; leave it out").into());
    }
    Ok(Reviewing {
        verdict: document.verdict,
        whole_programme: document.scope.as_deref() == Some("program"),
        merchant,
        members: document.members,
        reason: reason(&document.reason)?,
        since: document.since.unwrap_or_default(),
        ask_back: document.ask_back,
        by: caller.key_id.to_string(),
        score_shown: document.score_shown,
    })
}

/// What became of a case, in JSON.
pub(crate) fn changed(case: &Case) -> String {
    let members = case.reviews.last().map_or(0, |review| review.members.len());
    let view = CaseChanged { id: case.id, status: case.status.as_str(), members };
    serde_json::to_string(&view).expect("our documents have a JSON form")
}

/// Takes the last review back.
///
/// Its label is withdrawn, its members stand as they did before it, and the case is open again.
#[utoipa::path(
    post, path = "/v1/cases/{id}/undo", operation_id = "undo_review", tag = "Risk",
    params(
        ("id" = u64, Path, description = "Its number"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters"),
    ),
    request_body = ReasonDocument,
    responses((status = 200, description = "Taken back, now or when first asked", body = CaseChanged)),
)]
pub(super) async fn undo(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, Risk])?;
    let id: u64 = read::id(params, "id")?;
    let document: ReasonDocument = read::document(request)?;
    let named = read::named(request, &caller, &document, false)?;
    let reason = reason(&document.reason)?;
    let answer = doors.engine.undo_review(id, &caller.key_id.to_string(), &reason, named, changed).await?;
    tracing::info!(request = %request.id, key = %caller.key_id, case = id, "a review was taken back");
    Ok(Reply::json_text(StatusCode::OK, answer))
}

/// Records a member's objection: the case is open again.
#[utoipa::path(
    post, path = "/v1/cases/{id}/objections", operation_id = "object_to_case", tag = "Risk",
    params(
        ("id" = u64, Path, description = "Its number"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters"),
    ),
    request_body = ObjectionDocument,
    responses((status = 200, description = "Recorded, now or when first asked", body = CaseChanged)),
)]
pub(super) async fn object(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, Risk])?;
    let id: u64 = read::id(params, "id")?;
    let document: ObjectionDocument = read::document(request)?;
    let named = read::named(request, &caller, &document, false)?;
    let reason = reason(&document.reason)?;
    let by = caller.key_id.to_string();
    let answer = doors.engine.object(id, &document.member, &by, &reason, named, changed).await?;
    Ok(Reply::json_text(StatusCode::OK, answer))
}

/// Records what somebody outside reported.
///
/// An issuer's chargebacks, a member's letter, a partner's list: a case is opened with whom they name, or the
/// one that is there is joined. Nothing follows by itself, and a review that names nobody does not mean
/// those whom only the report names. What is then said of the case is a label of the origin `report`.
#[utoipa::path(
    post, path = "/v1/cases", operation_id = "report_members", tag = "Risk",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    request_body = ReportDocument,
    responses((status = 200, description = "Recorded, now or when first asked", body = CaseChanged)),
)]
pub(super) async fn report(doors: &Doors, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, Risk])?;
    let document: ReportDocument = read::document(request)?;
    let named = read::named(request, &caller, &document, false)?;
    let report = reporting(doors, &caller, document)?;
    let answer = doors.engine.report(report, named, changed).await?;
    tracing::info!(request = %request.id, key = %caller.key_id, "a report from outside was recorded");
    Ok(Reply::json_text(StatusCode::OK, answer))
}

/// A report as the engine takes it.
pub(crate) fn reporting(doors: &Doors, caller: &Caller, document: ReportDocument) -> Result<Report, Reply> {
    let ReportDocument { reported_by, mut members, reason: said } = document;
    members.sort();
    members.dedup();
    if members.is_empty() || members.len() > MEMBERS_MAX {
        return Err(reply::impossible("bad_value", "members", format!("name 1 to {MEMBERS_MAX} members")));
    }
    let score = |member: &MemberId| doors.screener.risk(member).map_or(0, |risk| rounded(risk.scored.score));
    let members = members.into_iter().map(|member| (member.clone(), score(&member))).collect();
    Ok(Report { reporter: reported_by, members, reason: reason(&said)?, by: caller.key_id.to_string() })
}

/// Which version of a detector, and why.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct WithdrawDocument {
    /// As evidence says it.
    pub version: u32,
    /// Why, for those who read it later.
    pub reason: String,
}

/// A detector's version that counts for nothing.
#[derive(Debug, Serialize, ToSchema)]
pub struct WithdrawnView {
    /// The detector.
    pub detector: String,
    /// Its version.
    pub version: u32,
}

/// Withdraws a version of a detector.
///
/// It counts for nothing from now on. Its evidence leaves every case, one by one, and what the
/// policy did on it by itself is taken back where what is left would not have been enough; reviews
/// stay. `GET /v1/jobs` shows while that goes on. A newer version of the detector is not concerned.
#[utoipa::path(
    post, path = "/v1/detectors/{name}/withdraw", operation_id = "withdraw_detector", tag = "Risk",
    params(("name" = String, Path, description = "As evidence says it, such as shared-instrument")),
    request_body = WithdrawDocument,
    responses((status = 200, description = "Withdrawn", body = WithdrawnView)),
)]
pub(super) async fn withdraw(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, Risk])?;
    let name: String = read::part(params, "name")?;
    let document: WithdrawDocument = read::document(request)?;
    Ok(Reply::ok(&withdrawn(doors, &caller, request, name, document).await?))
}

/// Withdraws a detector's version by somebody's word.
pub(crate) async fn withdrawn(
    doors: &Doors,
    caller: &Caller,
    request: &Request,
    name: String,
    document: WithdrawDocument,
) -> Result<WithdrawnView, Reply> {
    let reason = reason(&document.reason)?;
    let rule = name.strip_prefix(RULE).and_then(|id| Code::parse(id).ok());
    let known = match rule {
        Some(rule) => doors.engine.rule(&rule).await?.is_some(),
        None => name == FITTED_MODEL || detectors().any(|detector| detector.name == name),
    };
    if !known {
        let names: Vec<&str> = detectors().map(|detector| detector.name).collect();
        return Err(reply::not_found(format!(
            "no detector has this name; there are {}, and rule:ID for a rule",
            names.join(", ")
        )));
    }
    let (version, by) = (document.version, caller.key_id.to_string());
    let at = doors.engine.clock.now();
    let withdrawal = Withdrawal { detector: name.as_str().into(), version, by, reason, at };
    doors.engine.withdraw_detector(withdrawal).await?;
    tracing::info!(request = %request.id, key = %caller.key_id, detector = name, version, "a detector was withdrawn");
    Ok(WithdrawnView { detector: name, version })
}

/// Every detector there is.
pub(crate) fn detectors() -> impl Iterator<Item = &'static Detector> {
    ALL.into_iter().chain([&COMPETITOR_STAFF])
}
