//! A case on one screen: what happened, the picture, the evidence, the money, and the decision.

use super::picture::{Known, Picture, PicturePart, word};
use super::{said, timeline};
use crate::api::reply::{self, Reply};
use crate::api::{Doors, cases};
use crate::authenticate::keys::{KeyId, Role};
use crate::cases::{Case, Chosen, Evidence, Step, Suspect, Verdict};
use crate::console::page::{self, Chrome, Visitor, encoded};
use crate::console::words;
use crate::decide::MemberState;
use crate::domain::Unit;
use crate::domain::member::Standing;
use crate::engine::cases::{CaseError, Stake, followed, stake};
use askama::Template;
use hyper::StatusCode;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Members of one piece of evidence that are named.
const NAMED_MAX: usize = 12;

/// Why a case is confirmed, dismissed or watched, for those who say the same often.
pub(super) const REASONS: [&str; 6] = [
    "One hand behind several accounts",
    "Fake referrals: the referred accounts are not real people",
    "Purchases made for the reward and returned",
    "A household or family: they share a home, not a scheme",
    "A shared place of work or network",
    "Not enough to decide; look again when more is known",
];

#[derive(Template)]
#[template(path = "case.html", config = "src/console/askama.toml")]
struct CasePage {
    chrome: Chrome,
    id: u64,
    status: &'static str,
    scope: String,
    score: String,
    hidden: bool,
    drawn: Option<u32>,
    opened: String,
    ago: String,
    sentence: String,
    compared: String,
    stakes: Vec<StakeRow>,
    suspects: Vec<SuspectRow>,
    own: usize,
    picture: PicturePart,
    evidence: Vec<EvidenceRow>,
    reviews: Vec<ReviewRow>,
    timeline: Vec<timeline::Entry>,
    timeline_left_out: usize,
    verdicts: Vec<(&'static str, &'static str)>,
    merchants: Vec<String>,
    own_scope: String,
    reasons: &'static [&'static str],
    may_undo: bool,
    following: Option<Progress>,
    /// Somebody else has it: who, and until when.
    others: Option<(String, String)>,
    own_until: Option<String>,
    may_take: bool,
    may_free: bool,
    proposal: Option<ProposalRow>,
    merged_into: Option<u64>,
}

/// How far members are who follow a review; asked for again and again as a part.
#[derive(Template)]
#[template(path = "progress.html", config = "src/console/askama.toml")]
struct Progress {
    case: u64,
    done: usize,
    of: usize,
    /// Nothing is left to do.
    over: bool,
}

impl Progress {
    fn of(case: &Case, members: &[Arc<MemberState>], visitor: &Visitor<'_>) -> Self {
        let (done, of) = followed(case, members, visitor.now);
        Self { case: case.id, done, of, over: false }
    }
}

/// A review that waits for a second reviewer.
struct ProposalRow {
    verdict: &'static str,
    members: usize,
    by: String,
    at: String,
    reason: String,
    /// Whoever looks may be the second.
    may_second: bool,
}

struct StakeRow {
    pending: String,
    held: String,
    available: String,
    paid: String,
}

struct SuspectRow {
    member: String,
    link: String,
    score: String,
    own: bool,
    standing: &'static str,
    since: String,
    money: String,
}

struct EvidenceRow {
    detector: String,
    version: u32,
    family: String,
    strength: Option<u16>,
    words: String,
    clears: String,
    /// How many others it speaks of, in words; empty where it is not known.
    unusual: String,
    members: Vec<(String, String)>,
    more: usize,
    seen: String,
}

struct ReviewRow {
    verdict: &'static str,
    scope: String,
    members: usize,
    reason: String,
    by: String,
    at: String,
    undone: bool,
    chosen: String,
}

/// The page.
pub(in crate::console) async fn show(doors: &Doors, visitor: &Visitor<'_>, id: u64) -> Result<Reply, Reply> {
    let engine = &doors.engine;
    let case = engine.case(id).await?.ok_or(CaseError::Unknown)?;
    tracing::info!(request = %visitor.request.id, key = %visitor.caller.key_id, case = id, "a case was read");
    let members = engine.load_all(case.names()).await?;
    let stake = stake(&members);
    let known = Known::of_all(&members, case.merchant.as_ref());
    let (timeline, timeline_left_out) = timeline::timeline(doors, &case, &members).await?;
    let (taken, by) = (&doors.console.taken, &visitor.caller.key_id);
    taken.touch(id, by, visitor.now);
    let holder =
        taken.holder(id, visitor.now).map(|(who, until)| (who == *by, words::by(who.as_str()), words::when(until)));
    // The members follow one by one; a page that comes meanwhile says so.
    let following = engine.follows(id).await?.then(|| Progress::of(&case, &members, visitor));
    let hidden = case.hides_score();
    Ok(page::page(
        StatusCode::OK,
        &CasePage {
            chrome: visitor.chrome("cases"),
            id,
            status: case.status.as_str(),
            scope: scope(&case),
            score: words::score((!hidden).then_some(case.score)),
            opened: words::when(case.opened_at),
            ago: words::ago(case.opened_at, visitor.now),
            sentence: said::sentence(&case, &stake),
            compared: said::compared(cases::compared(doors, &case)),
            stakes: stake.iter().map(stake_row).collect(),
            suspects: case.members.iter().map(|suspect| suspect_row(suspect, &known, hidden)).collect(),
            own: case.meant().len(),
            picture: Picture::of(&case, &known).part(&case.ties),
            evidence: case.shown_evidence().into_iter().map(|seen| evidence_row(doors, seen, hidden)).collect(),
            hidden,
            drawn: case.origin.one_in,
            reviews: case
                .reviews
                .iter()
                .rev()
                .filter(|review| case.proposal() != Some(*review))
                .map(review_row)
                .collect(),
            timeline,
            timeline_left_out,
            verdicts: verdicts(&case),
            merchants: merchants(&case, &members),
            own_scope: case.merchant.as_ref().map_or_else(|| "program".to_owned(), |id| format!("merchant:{id}")),
            reasons: &REASONS,
            may_undo: case.last_review().is_some() && case.status.after(Step::Undo).is_some(),
            following,
            may_take: holder.is_none() && case.status.is_standing(),
            may_free: holder.is_some() && visitor.caller.role == Role::Operator,
            own_until: holder.as_ref().filter(|(own, ..)| *own).map(|(_, _, until)| until.clone()),
            others: holder.filter(|(own, ..)| !own).map(|(_, who, until)| (who, until)),
            proposal: case.proposal().map(|review| ProposalRow {
                verdict: review.verdict.step().as_str(),
                members: review.members.len(),
                by: words::by(&review.by),
                at: words::when(review.at),
                reason: review.reason.clone(),
                may_second: review.by != visitor.caller.key_id.as_str(),
            }),
            merged_into: case.origin.merged_into,
        },
    ))
}

/// How far the members are who follow the last review.
pub(in crate::console) async fn progress(doors: &Doors, visitor: &Visitor<'_>, id: u64) -> Result<Reply, Reply> {
    let case = doors.engine.case(id).await?.ok_or(CaseError::Unknown)?;
    let over = !doors.engine.follows(id).await?;
    let members = doors.engine.load_all(case.names()).await?;
    let part = Progress { over, ..Progress::of(&case, &members, visitor) };
    Ok(page::page(StatusCode::OK, &part))
}

/// Takes a case to work on.
pub(in crate::console) fn take(doors: &Doors, visitor: &Visitor<'_>, id: u64) -> Result<Reply, Reply> {
    doors.console.taken.take(id, &visitor.caller.key_id, visitor.now).map_err(|who| has_it(&who))?;
    Ok(page::see_other(&format!("/console/cases/{id}"), None))
}

/// Lets go of a case: of one's own, or of anybody's by an operator.
pub(in crate::console) fn release(doors: &Doors, visitor: &Visitor<'_>, id: u64) -> Result<Reply, Reply> {
    if visitor.caller.role != Role::Operator {
        not_others(doors, visitor, id)?;
    }
    doors.console.taken.release(id, visitor.now);
    Ok(page::see_other("/console/cases", None))
}

/// Refuses to touch what somebody else works on.
pub(super) fn not_others(doors: &Doors, visitor: &Visitor<'_>, id: u64) -> Result<(), Reply> {
    match doors.console.taken.holder(id, visitor.now) {
        Some((who, _)) if who != visitor.caller.key_id => Err(has_it(&who)),
        _ => Ok(()),
    }
}

fn has_it(who: &KeyId) -> Reply {
    let detail = format!("{} works on this case; ask them, or wait until it is free", words::by(who.as_str()));
    reply::conflict("not_now", detail)
}

fn scope(case: &Case) -> String {
    case.merchant.as_ref().map_or_else(|| "the whole programme".to_owned(), |id| format!("competitors of {id}"))
}

/// Which reviews the case may take now.
fn verdicts(case: &Case) -> Vec<(&'static str, &'static str)> {
    let all = [
        (Verdict::Confirm, ("confirm", "Confirm: fraud. What is not paid is not due.")),
        (Verdict::Dismiss, ("dismiss", "Dismiss: honest. The same evidence is not shown again.")),
        (Verdict::Watch, ("watch", "Watch: wait and see, without consequence.")),
    ];
    let may = all.into_iter().filter(|(verdict, _)| case.status.after(verdict.step()).is_some());
    may.map(|(_, words)| words).collect()
}

/// Merchants where the members have rewards, or whom the case is about: a review may be for one alone.
fn merchants(case: &Case, members: &[Arc<MemberState>]) -> Vec<String> {
    let rewards = members.iter().flat_map(|member| &member.purchases).flat_map(|placed| &placed.purchase.grants);
    let mut all: BTreeSet<String> = rewards.map(|grant| grant.merchant.to_string()).collect();
    all.extend(case.merchant.as_ref().map(ToString::to_string));
    all.into_iter().take(200).collect()
}

fn stake_row((unit, had): (&Unit, &Stake)) -> StakeRow {
    StakeRow {
        pending: unit.shown(had.pending_minor),
        held: unit.shown(had.held_minor),
        available: unit.shown(had.available_minor),
        paid: unit.shown(had.paid_minor),
    }
}

fn suspect_row(suspect: &Suspect, known: &BTreeMap<String, Known>, hidden: bool) -> SuspectRow {
    let member = suspect.member.to_string();
    let had = known.get(&member);
    SuspectRow {
        link: encoded(&member),
        score: words::score((!hidden).then_some(suspect.score)),
        own: suspect.own,
        standing: word(had.map_or(Standing::Clear, |had| had.standing)),
        since: words::when(suspect.since),
        money: had.map(|had| had.money.clone()).unwrap_or_default(),
        member,
    }
}

/// How unusual something is, by how many others a detector speaks of.
fn unusual(doors: &Doors, seen: &Evidence) -> String {
    match doors.screener.others(&seen.detector, seen.version, &seen.members) {
        None => String::new(),
        Some((0, honest)) => format!("Besides these it speaks of none of {honest} members not known as fraud."),
        Some((others, honest)) => {
            format!(
                "Besides these it speaks of {others} of {honest} members not known as fraud: 1 in {}.",
                honest / others
            )
        }
    }
}

fn evidence_row(doors: &Doors, seen: &Evidence, hidden: bool) -> EvidenceRow {
    let named = seen.members.iter().take(NAMED_MAX).map(|member| (member.to_string(), encoded(member.as_str())));
    EvidenceRow {
        detector: words::plain(&seen.detector),
        version: seen.version,
        family: words::plain(&seen.family),
        strength: (!hidden).then_some(seen.strength),
        words: seen.words.clone(),
        clears: seen.clears.clone(),
        unusual: unusual(doors, seen),
        members: named.collect(),
        more: seen.members.len().saturating_sub(NAMED_MAX),
        seen: words::when(seen.seen_at),
    }
}

fn review_row(review: &crate::cases::Review) -> ReviewRow {
    ReviewRow {
        verdict: review.verdict.step().as_str(),
        scope: review.merchant.as_ref().map_or_else(|| "the whole programme".to_owned(), ToString::to_string),
        members: review.members.len(),
        reason: review.reason.clone(),
        by: words::by(&review.by),
        at: words::when(review.at),
        undone: review.undone,
        chosen: match &review.chosen {
            Chosen::Detector { name, version } => format!("{} {version}", words::plain(name)),
            Chosen::Random => "chance".to_owned(),
            Chosen::Report => "a report".to_owned(),
        },
    }
}
