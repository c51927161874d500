//! Who is around a member, as a picture with its table: whole on the member's page, and as a part that
//! any picture takes in when somebody asks for more of it.

use super::picture::{Known, Picture, PicturePart};
use crate::api::reply::{self, Reply};
use crate::api::{Doors, members, risk};
use crate::cases::Tie;
use crate::console::page;
use crate::domain::MemberId;
use crate::follow::around::Neighbour;
use crate::follow::pass::rounded;
use askama::Template;
use compact_str::CompactString;
use hyper::StatusCode;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Template)]
#[template(path = "around.html", config = "src/console/askama.toml")]
struct AroundPart {
    picture: PicturePart,
}

/// The part.
pub(in crate::console) async fn show(doors: &Doors, id: &str) -> Result<Reply, Reply> {
    let id = MemberId::new(id).map_err(|_| reply::not_found("no member has this id"))?;
    members::known(doors, &id).await?;
    Ok(page::page(StatusCode::OK, &AroundPart { picture: part(doors, &id).await? }))
}

/// Who is around a member. Reads at most as many members as screening names.
pub(in crate::console) async fn part(doors: &Doors, id: &MemberId) -> Result<PicturePart, Reply> {
    let (score, around) =
        doors.screener.risk(id).map_or_else(Default::default, |risk| (rounded(risk.scored.score), risk.around));
    let ties = ties(id, &around.neighbours);
    let mut scores: BTreeMap<MemberId, u16> = BTreeMap::new();
    for near in &around.neighbours {
        scores.extend(MemberId::new(&near.member).ok().map(|member| (member, rounded(near.score))));
    }
    let all: Vec<MemberId> = [id].into_iter().chain(scores.keys()).cloned().collect();
    let states = doors.engine.load_all(all.clone()).await?;
    let known = Known::of_all(&states, None);
    let hidden = risk::hidden(doors, all.iter()).await?;
    let shown = |member: &MemberId, score: u16| (!hidden.contains(member)).then_some(score);
    let score = shown(id, score);
    let scores = scores.into_iter().map(|(member, score)| (member.to_string(), shown(&member, score))).collect();
    Ok(Picture::around((id, score), scores, &ties, &known, around.more).part(&ties))
}

/// The links by which neighbours are there.
fn ties(own: &MemberId, neighbours: &[Neighbour]) -> Vec<Tie> {
    let mut told: BTreeSet<&str> = BTreeSet::new();
    let mut ties = Vec::new();
    for near in neighbours {
        let Ok(other) = MemberId::new(&near.member) else { continue };
        let mut tie = |from: &MemberId, to: &str, verified, at| {
            let (kind, to) = (CompactString::from(near.kind.as_str()), to.to_owned());
            ties.push(Tie { from: from.clone(), to, kind, verified, at });
        };
        match &near.shared {
            Some(shared) => {
                if told.insert(&shared.name) {
                    tie(own, &shared.name, shared.own_verified, shared.own_at);
                }
                tie(&other, &shared.name, shared.other_verified, near.at);
            }
            None if near.said_by == "member" => tie(own, other.as_str(), near.verified, near.at),
            None => tie(&other, own.as_str(), near.verified, near.at),
        }
    }
    ties
}
