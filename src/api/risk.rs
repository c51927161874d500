//! The door to one member's risk: score, standing, evidence, neighbours. For the risk desk alone.

use super::reply::Reply;
use super::{Doors, access, members, read};
use crate::authenticate::keys::Role::{Operator, Risk};
use crate::decide::MemberState;
use crate::domain::member::{Standing, StandingStep};
use crate::domain::{MemberId, Timestamp};
use crate::follow::around::Neighbour;
use crate::wire::Request;
use matchit::Params;
use serde::Serialize;
use utoipa::ToSchema;

/// A member's risk.
#[derive(Debug, Serialize, ToSchema)]
pub struct RiskView {
    /// Who.
    pub member: String,
    /// 0 to 1000.
    pub score: u16,
    /// How far they are trusted in the whole programme.
    #[schema(value_type = String, example = "barred")]
    pub standing: Standing,
    /// Standings in force: the newest of each scope.
    pub standings: Vec<StandingView>,
    /// What the score is made of, strongest first: it is the share of their sum.
    pub evidence: Vec<ContributionView>,
    /// Whether another process screens the store that this one shares: score, evidence and
    /// neighbours are known there, and left out here.
    pub screened_elsewhere: bool,
    /// When what the last whole pass looked at was read; null before the first.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub pass_at: Option<Timestamp>,
    /// When the score was last brought up to date by itself; null when the pass is newer.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub live_at: Option<Timestamp>,
    /// Cases that the member is in.
    pub cases: Vec<u64>,
    /// Members around them, at most fifty: by what few share first.
    pub neighbours: Vec<NeighbourView>,
}

/// A standing in force.
#[derive(Debug, Serialize, ToSchema)]
pub struct StandingView {
    /// `program` or `merchant:ID`.
    pub scope: String,
    /// The standing.
    #[schema(value_type = String, example = "barred")]
    pub standing: Standing,
    /// Purchases from here on are concerned.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// When it was set.
    #[schema(value_type = String, format = DateTime)]
    pub set_at: Timestamp,
    /// When it ends by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// The case that it comes from.
    pub case: Option<u64>,
}

/// What one kind of evidence adds.
#[derive(Debug, Serialize, ToSchema)]
pub struct ContributionView {
    /// What kind.
    pub family: &'static str,
    /// What it adds; a member is one in e to the power of it.
    pub adds: f64,
    /// What was seen.
    pub words: String,
}

/// A member around another.
#[derive(Debug, Serialize, ToSchema)]
pub struct NeighbourView {
    /// Who.
    pub member: String,
    /// By which kind of link.
    pub kind: String,
    /// Whose word the link is: `member`, `other` or `both`.
    pub said_by: &'static str,
    /// Whether it is verified; of something shared for both.
    pub verified: bool,
    /// Their score.
    pub score: u16,
}

fn standing(step: &StandingStep) -> StandingView {
    StandingView {
        scope: step.merchant.as_ref().map_or_else(|| "program".to_owned(), |merchant| format!("merchant:{merchant}")),
        standing: step.standing,
        since: step.since,
        set_at: step.set_at,
        until: step.until,
        case: step.origin.case(),
    }
}

fn neighbour(found: Neighbour) -> NeighbourView {
    let Neighbour { member, kind, said_by, verified, score, .. } = found;
    NeighbourView { member, kind, said_by, verified, score: crate::follow::pass::rounded(score) }
}

/// What is known of a member's risk.
#[utoipa::path(
    get, path = "/v1/members/{id}/risk", operation_id = "get_risk", tag = "Risk",
    params(("id" = String, Path, description = "Your id of the member")),
    responses((status = 200, description = "Score, standing, evidence, neighbours", body = RiskView)),
)]
pub(super) async fn get(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, Risk])?;
    let id: MemberId = read::id(params, "id")?;
    let state = members::known(doors, &id).await?;
    tracing::info!(request = %request.id, key = %caller.key_id, "a member's risk was read");
    Ok(Reply::ok(&view(doors, &state).await?))
}

/// What is known of a member's risk.
pub(crate) async fn view(doors: &Doors, state: &MemberState) -> Result<RiskView, Reply> {
    let id = &state.head.id;
    let cases = doors.engine.cases_of(id).await?.iter().map(|case| case.id).collect();
    let risk = doors.screener.risk(id);
    let (scored, pass_at, live_at, neighbours) = match risk {
        Some(risk) => (risk.scored, risk.pass_at, risk.live_at, risk.around.neighbours),
        None => Default::default(),
    };
    let evidence = scored.parts.into_iter().map(|part| ContributionView {
        family: part.family,
        adds: part.adds,
        words: part.words,
    });
    Ok(RiskView {
        member: id.to_string(),
        score: crate::follow::pass::rounded(scored.score),
        standing: state.head.standing_now(None),
        standings: state.head.standings_now().map(standing).collect(),
        evidence: evidence.collect(),
        screened_elsewhere: doors.screener.is_elsewhere(),
        pass_at,
        live_at,
        cases,
        neighbours: neighbours.into_iter().map(neighbour).collect(),
    })
}
