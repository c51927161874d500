//! A member for the risk desk: standing, score and why, links, statement, decisions. Of a card
//! never more than its last four characters.

use crate::api::Doors;
use crate::api::member_document::{CardView, MemberView};
use crate::api::money::{self, TransferView};
use crate::api::reply::{self, Reply};
use crate::api::{members, page as lists, risk};
use crate::console::page::{self, Chrome, Visitor, encoded};
use crate::console::risk::around;
use crate::console::risk::picture::PicturePart;
use crate::console::words;
use crate::decide::MemberState;
use crate::domain::purchase::{Grant, Occasion, Stage};
use crate::domain::{MemberId, Timestamp};
use askama::Template;
use hyper::StatusCode;
use std::sync::Arc;

/// Purchases that are shown.
const PURCHASES_MAX: usize = 50;
/// Characters of a card's token that are shown.
const LAST_CHARS: usize = 4;

#[derive(Template)]
#[template(path = "member.html", config = "src/console/askama.toml")]
struct MemberPage {
    chrome: Chrome,
    member: String,
    erased: bool,
    joined: String,
    referred_by: Option<(String, String)>,
    score: String,
    standing: String,
    standings: Vec<StandingRow>,
    parts: Vec<PartRow>,
    passed: String,
    by_model: Option<String>,
    cases: Vec<u64>,
    balances: Vec<BalanceRow>,
    links: Vec<(String, bool, String)>,
    neighbours: Vec<NeighbourRow>,
    picture: PicturePart,
    cards: Vec<CardRow>,
    decisions: Vec<DecisionRow>,
    decisions_left_out: usize,
    transfers: Vec<TransferRow>,
    next: Option<String>,
}

struct StandingRow {
    scope: String,
    standing: String,
    since: String,
    until: String,
    case: Option<u64>,
}

struct PartRow {
    family: String,
    words: String,
    share: i64,
}

struct BalanceRow {
    pending: String,
    posted: String,
    held: String,
    available: String,
    paid: String,
    owed: String,
}

struct NeighbourRow {
    member: String,
    link: String,
    score: String,
    /// Everything that ties them, in words.
    ties: String,
}

struct CardRow {
    source: String,
    last: String,
    from: String,
    to: String,
}

struct DecisionRow {
    /// Where it is decided again.
    link: String,
    when: String,
    what: String,
    merchant: String,
    grants: Vec<String>,
}

struct TransferRow {
    at: String,
    amount: String,
    from: String,
    to: String,
    offer: String,
    merchant: String,
    record: String,
}

/// The page.
pub(super) async fn show(doors: &Doors, visitor: &Visitor<'_>, id: &str) -> Result<Reply, Reply> {
    let id = MemberId::new(id).map_err(|_| reply::not_found("no member has this id"))?;
    let state = members::known(doors, &id).await?;
    tracing::info!(request = %visitor.request.id, key = %visitor.caller.key_id, "a member's risk was read");
    let risk = risk::view(doors, &state).await?;
    let view = MemberView::of(&doors.engine, &state, visitor.now)?;
    let statement = money::statement_of(doors, &state, &lists::page(visitor.request)?).await?;
    let all: f64 = risk.evidence.iter().map(|part| part.adds.max(0.0)).sum();
    let by_model =
        risk.model.as_ref().map(|model| format!("{} by the model {}, {}", model.score, model.name, model.state));
    Ok(page::page(
        StatusCode::OK,
        &MemberPage {
            chrome: visitor.chrome("cases"),
            erased: view.erased,
            joined: words::when(view.joined_at),
            referred_by: view.referred_by.map(|by| (encoded(&by), by)),
            score: words::score(risk.score),
            standing: word(risk.standing),
            standings: risk.standings.iter().map(standing_row).collect(),
            parts: risk.evidence.into_iter().map(|part| part_row(part, all)).collect(),
            passed: passed(risk.pass_at, risk.live_at),
            by_model,
            cases: risk.cases,
            balances: balances(&state),
            links: view
                .links
                .iter()
                .map(|link| (words::kind(&link.kind), link.verified, words::when(link.at)))
                .collect(),
            picture: around::part(doors, &id).await?,
            neighbours: neighbours(risk.neighbours),
            cards: view.cards.into_iter().map(card_row).collect(),
            decisions: decisions(&state),
            decisions_left_out: state.purchases.len().saturating_sub(PURCHASES_MAX),
            transfers: statement.transfers.iter().map(transfer_row).collect(),
            next: statement
                .next_cursor
                .map(|cursor| format!("/console/members/{}?cursor={cursor}", encoded(id.as_str()))),
            member: id.to_string(),
        },
    ))
}

fn word(standing: crate::domain::member::Standing) -> String {
    format!("{standing:?}").to_lowercase()
}

fn standing_row(step: &risk::StandingView) -> StandingRow {
    StandingRow {
        scope: step.scope.clone(),
        standing: word(step.standing),
        since: if step.since == Timestamp::default() { "the beginning".to_owned() } else { words::when(step.since) },
        until: step.until.map_or_else(String::new, words::when),
        case: step.case,
    }
}

#[expect(clippy::float_arithmetic, reason = "shares of a score, no money")]
fn part_row(part: risk::ContributionView, all: f64) -> PartRow {
    #[expect(clippy::cast_possible_truncation, reason = "a percentage")]
    let share = if all > 0.0 { (part.adds / all * 100.0).round() as i64 } else { 0 };
    PartRow { family: words::plain(part.family), words: part.words, share }
}

fn passed(pass_at: Option<Timestamp>, live_at: Option<Timestamp>) -> String {
    match (pass_at, live_at) {
        (_, Some(live)) => format!("seen live {}", words::when(live)),
        (Some(pass), None) => format!("of the pass of {}", words::when(pass)),
        (None, None) => "not looked at yet".to_owned(),
    }
}

fn balances(state: &Arc<MemberState>) -> Vec<BalanceRow> {
    let each = state.head.balances.iter().map(|(unit, had)| BalanceRow {
        pending: unit.shown(had.pending_minor),
        posted: unit.shown(had.posted_minor),
        held: unit.shown(had.held_minor),
        available: unit.shown(had.available_minor),
        paid: unit.shown(had.paid_minor),
        owed: unit.shown(had.owed_minor),
    });
    each.collect()
}

/// Each neighbour once, the strongest tie first.
fn neighbours(found: Vec<risk::NeighbourView>) -> Vec<NeighbourRow> {
    let mut rows: Vec<NeighbourRow> = Vec::new();
    for risk::NeighbourView { member, kind, said_by, verified, score } in found {
        let sure = if verified { "verified " } else { "" };
        let tie = match said_by {
            "both" => format!("{sure}{}", words::kind(&kind)),
            "member" => format!("{sure}{} said by this member", words::kind(&kind)),
            _ => format!("{sure}{} said by them", words::kind(&kind)),
        };
        match rows.iter_mut().find(|row| row.member == member) {
            Some(row) => row.ties = format!("{}, {tie}", row.ties),
            None => rows.push(NeighbourRow { link: encoded(&member), score: words::score(score), ties: tie, member }),
        }
    }
    rows
}

/// A token may be what a network calls a card: its end is enough to tell one from another.
fn card_row(card: CardView) -> CardRow {
    let token = card.token.unwrap_or_default();
    let chars: Vec<char> = token.chars().collect();
    let last: String = chars[chars.len().saturating_sub(LAST_CHARS)..].iter().collect();
    CardRow {
        source: card.source,
        // Of a short one four characters would be all of it.
        last: if chars.len() > 2 * LAST_CHARS { format!("…{last}") } else { "…".to_owned() },
        from: words::when(card.from),
        to: card.to.map_or_else(String::new, words::when),
    }
}

fn decisions(state: &Arc<MemberState>) -> Vec<DecisionRow> {
    let newest = state.purchases.iter().rev().take(PURCHASES_MAX);
    let rows = newest.map(|placed| DecisionRow {
        link: format!(
            "/console/members/{}/purchases/{}/{}",
            encoded(state.head.id.as_str()),
            encoded(placed.purchase.key.source.as_str()),
            encoded(placed.purchase.key.id.as_str())
        ),
        when: words::when(placed.time),
        what: match &placed.purchase.occasion {
            None if placed.unlinked => "refund".to_owned(),
            None => format!("purchase {} · {}", placed.purchase.key.source, placed.purchase.key.id),
            Some(Occasion::Referral(referral)) => format!("referral of {}", referral.referred),
            Some(Occasion::Signal { kind, .. }) => format!("signal {kind}"),
            Some(Occasion::Exchange { .. }) => "points spent".to_owned(),
        },
        merchant: placed.merchant.as_ref().map(ToString::to_string).unwrap_or_default(),
        grants: placed.purchase.grants.iter().map(grant).collect(),
    });
    rows.collect()
}

fn grant(grant: &Grant) -> String {
    let stage = match grant.stage {
        _ if grant.held => "held",
        Stage::Pending => "pending",
        Stage::Posted => "posted",
        Stage::Available => "available",
    };
    format!("{} by {} ({stage})", grant.unit.shown(grant.amount_minor), grant.offer)
}

fn transfer_row(transfer: &TransferView) -> TransferRow {
    TransferRow {
        at: words::when(transfer.at),
        amount: transfer.unit.shown(transfer.amount_minor),
        from: words::plain(transfer.debit),
        to: words::plain(transfer.credit),
        offer: transfer.offer.clone().unwrap_or_default(),
        merchant: transfer.merchant.clone().unwrap_or_default(),
        record: transfer.record.clone(),
    }
}
