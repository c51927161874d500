//! What the day left in the books, and whether it is proved: figures gathered from every
//! member, compared with the accounts, with the budgets, and with the generator's own
//! arithmetic.

use super::circles::{Circles, Kind};
use super::day::{Day, Expect};
use super::poster::Tally;
use super::regulars::Regulars;
use super::town::{SOURCES, Town};
use crate::api::Doors;
use crate::cases::Status;
use crate::commands::Failure;
use crate::config::Settings;
use crate::decide::MemberState;
use crate::domain::member::Balance;
use crate::domain::purchase::Grant;
use crate::domain::{EventKind, MemberId, Money, OfferId, PurchaseId, PurchaseKey, SourceName, Timestamp, Unit};
use crate::engine::Engine;
use crate::engine::look::TrialBalance;
use crate::engine::redeem::Wanted;
use crate::ledger::AccountKind;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Members who are paid at the end of the day.
const PAID_MEMBERS: usize = 60;

/// One shop's day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShopDay {
    /// Purchases of members of which something stands.
    pub purchases: u64,
    /// What stands of them, minor units.
    pub spend_minor: i64,
    /// What was given back, minor units.
    pub cashback_minor: i64,
}

/// What an offer gave in all.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// To whom, or on whose behalf.
    pub members: BTreeSet<MemberId>,
    /// How much, by unit, and whether to a cause.
    pub amounts: BTreeMap<(bool, Unit), i64>,
}

/// One pay-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paid {
    /// To whom: index into the town's people.
    pub person: usize,
    /// How much.
    pub money: Money,
}

/// Everything the summary tells.
#[derive(Debug, Clone)]
pub struct Books {
    /// Every member, in the town's order.
    pub members: Vec<Arc<MemberState>>,
    /// Sums of all accounts.
    pub trial: TrialBalance,
    /// Sums of all members' balances.
    pub balances: BTreeMap<Unit, Balance>,
    /// What refunds, cancellations and disputes took back.
    pub clawed_back: BTreeMap<Unit, i64>,
    /// Why offers gave nothing, or less: how often, by code.
    pub refused: BTreeMap<&'static str, u64>,
    /// Per shop, in the town's order.
    pub shops: Vec<ShopDay>,
    /// Per offer, in the town's order: granted, minor units.
    pub granted: Vec<i64>,
    /// Per offer of a programme, what it gave.
    pub programmes: BTreeMap<OfferId, Given>,
    /// Who was paid.
    pub paid: Vec<Paid>,
    /// When.
    pub paid_at: Timestamp,
}

/// Something that was checked.
#[derive(Debug, Clone)]
pub struct Proof {
    /// What, in a few words.
    pub what: String,
    /// Whether it holds.
    pub holds: bool,
    /// With which figures.
    pub detail: String,
}

/// The journal proved by code that shares nothing with what wrote it. It is open, and at
/// rest: every webhook is answered.
///
/// # Errors
/// When the journal cannot be read.
pub async fn audit(settings: &Settings) -> Result<Proof, Failure> {
    let (dir, policy) = (settings.journal.dir.clone(), crate::app::policy(settings));
    let read = move || crate::audit::audit(&[dir], &crate::audit::AuditOptions::new(policy));
    let report = tokio::task::spawn_blocking(read).await??;
    for check in report.checks.iter().filter(|check| check.difference_count > 0) {
        for difference in &check.differences {
            eprintln!("audit: {}: {difference}", check.name);
        }
    }
    let what = "the journal audits clean".to_owned();
    Ok(Proof {
        what,
        holds: report.is_clean(),
        detail: format!("{} checks over the whole journal", report.checks.len()),
    })
}

/// What screening made of the town's circles.
#[derive(Debug, Clone)]
pub struct Flagged {
    /// Every case with its number of members, score, scope and strongest evidence.
    pub cases: Vec<(u64, usize, u16, String, String)>,
    /// By kind of circle: how many people there are, and how many of them a case means.
    pub kinds: BTreeMap<Kind, (usize, usize)>,
    /// Circles of fakes and scouts that no case is about.
    pub missed: usize,
    /// Links and members that the last pass looked at.
    pub seen: (usize, usize),
}

impl Flagged {
    /// Everybody who should be is in a case, and nobody else.
    #[must_use]
    pub fn proof(&self) -> Proof {
        let honest: usize = self.kinds.iter().filter(|(kind, _)| kind.is_honest()).map(|(_, (_, meant))| meant).sum();
        let detail =
            format!("{} cases, {} circles missed, {honest} honest people meant", self.cases.len(), self.missed);
        Proof { what: "rings flagged, families in peace".to_owned(), holds: self.missed == 0 && honest == 0, detail }
    }
}

/// Reads the cases when screening has passed everything, and compares them with the circles.
///
/// # Errors
/// When the store fails.
pub async fn flagged(doors: &Doors, circles: &Circles) -> Result<Flagged, Failure> {
    let engine = &doors.engine;
    while !engine.screened_up_to(engine.journal_end()).await {}
    let (cases, _) = engine.cases(None, 1_000, |case| case.status != Status::Merged).await?;
    let meant: BTreeSet<MemberId> = cases.iter().flat_map(crate::cases::Case::meant).collect();
    let mut kinds: BTreeMap<Kind, (usize, usize)> = BTreeMap::new();
    let mut missed = 0;
    for circle in &circles.circles {
        let hit = circle.members.iter().filter(|member| meant.contains(*member)).count();
        let (people, found) = kinds.entry(circle.kind).or_default();
        (*people, *found) = (*people + circle.members.len(), *found + hit);
        missed += usize::from(!circle.kind.is_honest() && 2 * hit < circle.members.len());
    }
    let line = |case: &crate::cases::Case| {
        let scope =
            case.merchant.as_ref().map_or_else(|| "program".to_owned(), |merchant| format!("merchant:{merchant}"));
        let headline = case.evidence.first().map(|evidence| evidence.words.clone()).unwrap_or_default();
        (case.id, case.members.len(), case.score, scope, headline)
    };
    let (members, links, _) = doors.screener.seen();
    Ok(Flagged { cases: cases.iter().map(line).collect(), kinds, missed, seen: (members, links) })
}

/// Pays some members all they may have.
///
/// # Errors
/// When the store refuses.
pub async fn pay_day(engine: &Arc<Engine>, town: &Town) -> Result<Vec<Paid>, Failure> {
    let mut paid = Vec::new();
    for (place, person) in town.people.iter().enumerate() {
        let Some(state) = engine.load(&person.id).await? else { continue };
        for (unit, balance) in &state.head.balances {
            let minor = balance.available_minor - balance.owed_minor;
            if let Some(currency) = unit.currency().filter(|_| minor > 0) {
                engine
                    .redeem(&person.id, format!("payday-{place}"), Wanted::Of(*unit, minor), None, |_| String::new())
                    .await?;
                paid.push(Paid { person: place, money: Money::new(minor, currency) });
            }
        }
        if paid.len() >= PAID_MEMBERS {
            break;
        }
    }
    Ok(paid)
}

/// Reads every member and the accounts. Linear in members and purchases.
///
/// # Errors
/// When the store fails.
pub async fn gather(engine: &Arc<Engine>, town: &Town, paid: Vec<Paid>, paid_at: Timestamp) -> Result<Books, Failure> {
    let mut books = Books {
        members: Vec::with_capacity(town.people.len()),
        trial: engine.trial_balance().await?,
        balances: BTreeMap::new(),
        clawed_back: BTreeMap::new(),
        refused: BTreeMap::new(),
        shops: vec![ShopDay::default(); town.shops.len()],
        granted: vec![0; town.offers.len()],
        programmes: BTreeMap::new(),
        paid,
        paid_at,
    };
    for person in &town.people {
        let state = engine.load(&person.id).await?.ok_or_else(|| format!("{} is not in the books", person.id))?;
        books.member(engine, town, &state);
        books.members.push(state);
    }
    Ok(books)
}

impl Books {
    fn member(&mut self, engine: &Engine, town: &Town, state: &MemberState) {
        for (unit, balance) in &state.head.balances {
            let sum = self.balances.entry(*unit).or_default();
            sum.pending_minor += balance.pending_minor;
            sum.posted_minor += balance.posted_minor;
            sum.held_minor += balance.held_minor;
            sum.available_minor += balance.available_minor;
            sum.paid_minor += balance.paid_minor;
            sum.owed_minor += balance.owed_minor;
        }
        for placed in &state.purchases {
            let explained = engine.explain(state, &placed.purchase.key);
            let lines = explained.iter().filter_map(|e| e.judged.as_ref()).flat_map(|judged| &judged.lines);
            for refusal in lines.filter_map(|line| line.refusal.as_ref()) {
                *self.refused.entry(refusal.code()).or_default() += 1;
            }
            let twin = |line: &crate::decide::Line| {
                matches!(line.refusal, Some(crate::decide::Refusal::SeenFromAnotherSource { .. }))
            };
            let told_twice =
                explained.as_ref().and_then(|e| e.judged.as_ref()).is_some_and(|judged| judged.lines.iter().any(twin));
            let shop = town.shops.iter().position(|shop| Some(&shop.merchant.id) == placed.merchant.as_ref());
            if let (Some(shop), Some(explained), false) = (shop, &explained, told_twice)
                && explained.worth.minor > 0
            {
                self.shops[shop].purchases += 1;
                self.shops[shop].spend_minor += explained.worth.minor;
            }
            for grant in &placed.purchase.grants {
                if let Some(shop) = shop {
                    self.shops[shop].cashback_minor += grant.amount_minor;
                }
                match town.offers.iter().position(|offer| offer.id == grant.offer) {
                    Some(offer) => self.granted[offer] += grant.amount_minor,
                    None => self.programme(state, grant),
                }
            }
            for event in placed.purchase.events.iter().filter(|event| takes(event.kind)) {
                let lost: i64 = event.answer.iter().map(|line| line.change_minor.min(0)).sum();
                // A refund that names no purchase stands alone and has no grants of its own.
                let granted_in = placed.purchase.grants.first().map(|grant| grant.unit);
                let unit = granted_in.or(event.amount.map(|money| money.currency.into())).filter(|_| lost < 0);
                if let Some(unit) = unit {
                    *self.clawed_back.entry(unit).or_default() -= lost;
                }
            }
        }
    }

    fn programme(&mut self, state: &MemberState, grant: &Grant) {
        if grant.amount_minor > 0 {
            let given = self.programmes.entry(grant.offer.clone()).or_default();
            given.members.insert(state.head.id.clone());
            *given.amounts.entry((grant.cause.is_some(), grant.unit)).or_default() += grant.amount_minor;
        }
    }

    /// Compares what the programmes gave with what the regulars counted.
    #[must_use]
    pub fn programmes(&self, regulars: &Regulars) -> Proof {
        let mut wrong = Vec::new();
        for (offer, expected) in &regulars.expected {
            let given = self.programmes.get(offer).map_or(0, |given| given.amounts.values().sum::<i64>());
            if given != *expected {
                wrong.push(format!("{offer} gave {given}, must give {expected}"));
            }
        }
        let detail = match wrong.is_empty() {
            true => format!("{} offers of ten programmes, as counted beside them", regulars.expected.len()),
            false => wrong.join("; "),
        };
        Proof { what: "programmes equal plain counting".to_owned(), holds: wrong.is_empty(), detail }
    }

    /// What a purchase was granted under an offer.
    #[must_use]
    pub fn granted_for(&self, person: usize, key: &PurchaseKey, offer: &crate::domain::OfferId) -> Option<i64> {
        let state = &self.members[person];
        let purchase = &state.purchases[state.find(key)?].purchase;
        Some(purchase.grant(offer).map_or(0, |grant| grant.amount_minor))
    }
}

fn takes(kind: EventKind) -> bool {
    matches!(kind, EventKind::Refund | EventKind::Chargeback | EventKind::Reversal | EventKind::Expiry)
}

/// The key under which the engine keeps what a source tells.
///
/// # Errors
/// Never with ids made by the generator.
pub fn key(source: usize, id: &str) -> Result<PurchaseKey, Failure> {
    Ok(PurchaseKey { source: SourceName::new(SOURCES[source].name)?, id: PurchaseId::new(id)? })
}

/// Compares the books with everything they must agree with.
///
/// # Errors
/// Never in practice.
pub fn prove(town: &Town, day: &Day, tally: &Tally, books: &Books) -> Result<Vec<Proof>, Failure> {
    let mut proofs = vec![answers(day, tally)];
    for (what, expect, word) in [
        ("duplicates recognised", Expect::Duplicate, "duplicate"),
        ("forgeries turned away", Expect::NotProven, "not_proven"),
        ("unfit messages shelved", Expect::Kept, "kept"),
        ("same id, other content", Expect::Conflict, "conflict"),
    ] {
        let (sent, seen) = (day.expected(expect), tally.of(word));
        let detail = format!("{seen} of {sent} sent");
        proofs.push(Proof { what: what.to_owned(), holds: sent == seen, detail });
    }
    proofs.push(plain(town, day, books)?);
    proofs.push(budgets(town, books));
    proofs.push(zero(books));
    proofs.push(members(books));
    Ok(proofs)
}

fn answers(day: &Day, tally: &Tally) -> Proof {
    let (count, _) = &tally.surprises;
    let detail = format!("{} of {} webhooks", day.webhooks() - count, day.webhooks());
    Proof { what: "answered as they must be".to_owned(), holds: *count == 0, detail }
}

fn plain(town: &Town, day: &Day, books: &Books) -> Result<Proof, Failure> {
    let (mut checked, mut wrong) = (0_u64, Vec::new());
    for bought in &day.bought {
        let Some((offer, due)) = bought.plain else { continue };
        let granted = books.granted_for(bought.person, &key(bought.source, &bought.id)?, &town.offers[offer].id);
        checked += 1;
        if granted != Some(due) {
            wrong.push(format!("{} earned {granted:?}, must earn {due}", bought.id));
        }
    }
    let detail = match wrong.first() {
        None => format!("{checked} purchases, to the minor unit"),
        Some(first) => format!("{} of {checked} differ: {first}", wrong.len()),
    };
    Ok(Proof { what: "rewards equal plain arithmetic".to_owned(), holds: wrong.is_empty(), detail })
}

fn budgets(town: &Town, books: &Books) -> Proof {
    let with = town.offers.iter().zip(&books.granted).filter_map(|(o, granted)| Some((granted, o.terms.budget_minor?)));
    let all: Vec<_> = with.collect();
    let spent = all.iter().filter(|(granted, budget)| *granted == budget).count();
    let holds = all.iter().all(|(granted, budget)| *granted <= budget);
    let detail = format!("{} budgets, {spent} of them spent to the end", all.len());
    Proof { what: "no budget exceeded".to_owned(), holds, detail }
}

fn zero(books: &Books) -> Proof {
    let out = books.trial.out_of_balance();
    let (perks, units): (Vec<&Unit>, Vec<&Unit>) =
        books.balances.keys().partition(|unit| matches!(unit, Unit::Perk(_)));
    let detail = if out.is_empty() {
        let named: Vec<String> = units.iter().map(ToString::to_string).collect();
        format!("debits equal credits in {} and {} perks", named.join(", "), perks.len())
    } else {
        format!("out by {out:?} minor units")
    };
    Proof { what: "trial balance is zero".to_owned(), holds: out.is_empty() && !units.is_empty(), detail }
}

fn members(books: &Books) -> Proof {
    let mut wrong = Vec::new();
    for (unit, balance) in &books.balances {
        for (kind, minor) in [
            (AccountKind::MemberPending, balance.pending_minor),
            (AccountKind::MemberPosted, balance.posted_minor),
            (AccountKind::MemberHeld, balance.held_minor),
            (AccountKind::MemberAvailable, balance.available_minor),
            (AccountKind::MemberPaid, balance.paid_minor),
            (AccountKind::MemberOwed, -balance.owed_minor),
        ] {
            let account = books.trial.sums.get(&(kind, *unit)).copied().unwrap_or(0);
            if account != minor {
                wrong.push(format!("{} {unit}: members {minor}, account {account}", kind.as_str()));
            }
        }
    }
    let detail = match wrong.first() {
        None => format!("{} members, {} units", books.members.len(), books.balances.len()),
        Some(first) => first.clone(),
    };
    Proof { what: "members' balances equal accounts".to_owned(), holds: wrong.is_empty(), detail }
}
