//! The door to one member's risk: score, standing, evidence, neighbours. For the risk desk alone.

use super::reply::Reply;
use super::{Doors, access, members, read};
use crate::authenticate::keys::Role::{Operator, Risk};
use crate::cases::Case;
use crate::decide::MemberState;
use crate::domain::member::{Standing, StandingStep};
use crate::domain::{MemberId, Timestamp};
use crate::follow::around::Neighbour;
use crate::follow::pass::rounded;
use crate::wire::Request;
use matchit::Params;
use serde::Serialize;
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// A member's risk.
#[derive(Debug, Serialize, ToSchema)]
pub struct RiskView {
    /// Who.
    pub member: String,
    /// 0 to 1000; null while a case that they are in is judged blind.
    pub score: Option<u16>,
    /// How far they are trusted in the whole programme.
    #[schema(value_type = String, example = "barred")]
    pub standing: Standing,
    /// Standings in force: the newest of each scope.
    pub standings: Vec<StandingView>,
    /// What the score is made of, strongest first: it is the share of their sum, or with a fitted model
    /// that is live the chance that their sum of log odds stands for.
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
    /// The score by the fitted model, when there is one and a pass has seen the member with it.
    pub model: Option<ModelScoreView>,
    /// Cases that the member is in.
    pub cases: Vec<u64>,
    /// Members around them, at most fifty: by what few share first.
    pub neighbours: Vec<NeighbourView>,
}

/// A member's score by the fitted model.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelScoreView {
    /// Its file's name.
    pub name: String,
    /// Its version, as evidence says it: the first 32 bits of `hash`.
    pub version: u32,
    /// SHA-256 of its file.
    pub hash: String,
    /// 0 to 1000: the chance in a thousand.
    pub score: u16,
    /// `shadow`, when it counts for nothing, or `live`, when it is the score.
    pub state: &'static str,
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
    /// Their score; null where it is hidden.
    pub score: Option<u16>,
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

fn neighbour(found: Neighbour, hidden: bool) -> NeighbourView {
    let Neighbour { member, kind, said_by, verified, score, .. } = found;
    NeighbourView { member, kind, said_by, verified, score: (!hidden).then(|| rounded(score)) }
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

/// Members whose scores nobody may be told: they are in a case that is judged blind.
pub(crate) async fn hidden<'a>(
    doors: &Doors,
    members: impl Iterator<Item = &'a MemberId>,
) -> Result<BTreeSet<MemberId>, Reply> {
    let mut hidden = BTreeSet::new();
    if doors.screener.settings().blind_percent > 0 {
        for member in members {
            if doors.engine.cases_of(member).await?.iter().any(Case::hides_score) {
                hidden.insert(member.clone());
            }
        }
    }
    Ok(hidden)
}

/// What is known of a member's risk.
pub(crate) async fn view(doors: &Doors, state: &MemberState) -> Result<RiskView, Reply> {
    let id = &state.head.id;
    let cases = doors.engine.cases_of(id).await?;
    // What a reviewer may not know of a case is not told by its members either.
    let hidden = cases.iter().any(Case::hides_score);
    let risk = doors.screener.risk(id);
    let (scored, pass_at, live_at, neighbours, by_model) = match risk {
        Some(risk) => (risk.scored, risk.pass_at, risk.live_at, risk.around.neighbours, risk.by_model),
        None => Default::default(),
    };
    let around: Vec<MemberId> = neighbours.iter().filter_map(|near| MemberId::new(&near.member).ok()).collect();
    let hiding = self::hidden(doors, around.iter()).await?;
    let evidence = scored.parts.into_iter().filter(|_| !hidden).map(|part| ContributionView {
        family: part.family,
        adds: part.adds,
        words: part.words,
    });
    Ok(RiskView {
        member: id.to_string(),
        score: (!hidden).then(|| rounded(scored.score)),
        standing: state.head.standing_now(None),
        standings: state.head.standings_now().map(standing).collect(),
        evidence: evidence.collect(),
        screened_elsewhere: doors.screener.is_elsewhere(),
        pass_at,
        live_at,
        model: by_model.filter(|_| !hidden).map(|(named, state, score)| ModelScoreView {
            name: named.name.clone(),
            version: named.version,
            hash: named.hash.clone(),
            score: rounded(score),
            state: state.as_str(),
        }),
        cases: cases.iter().map(|case| case.id).collect(),
        neighbours: neighbours
            .into_iter()
            .map(|found| {
                let theirs = hidden || hiding.iter().any(|member| member.as_str() == found.member);
                neighbour(found, theirs)
            })
            .collect(),
    })
}
