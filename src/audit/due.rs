//! Granted equals due: each member decided again from the facts alone, with nothing
//! granted before, once with the facts as they came and once shuffled. Beside it the rules
//! that need no verdict: caps, worth and standings, counted here a second time.

use super::AuditOptions;
use super::books::{Holding, Member, Offers};
use super::report::{Named, Report};
use crate::decide::judge::{Raise, Raises};
use crate::decide::{Judged, Line, MemberState, OfferBook, Scope, judge};
use crate::domain::member::{MemberHead, Standing};
use crate::domain::offer::{Period, Terms};
use crate::domain::purchase::{Grant, Purchase, Stage};
use crate::domain::{MerchantId, OfferId, PurchaseKey, Timestamp, Unit};
use std::collections::{BTreeMap, HashMap};

/// Rounds in which verdicts are supplied; each answers every question of the one before.
const ROUNDS_MAX: usize = 64;

/// Numbers for the shuffle (SplitMix64).
pub(super) struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound.max(1) as u64).unwrap_or(0)
    }
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for place in (1..items.len()).rev() {
            items.swap(place, self.below(place + 1));
        }
    }
}

/// A member's state made of facts alone: no reward was ever granted.
pub(super) fn state(member: &Member, dice: Option<&mut Dice>) -> MemberState {
    let mut events: Vec<_> = member.events.iter().collect();
    if let Some(dice) = dice {
        dice.shuffle(&mut events);
    }
    let mut places: HashMap<&PurchaseKey, usize> = HashMap::new();
    let mut purchases: Vec<Purchase> = Vec::new();
    for (key, event, matched) in events {
        let place = *places.entry(key).or_insert_with(|| {
            purchases.push(Purchase::new(key.clone()));
            purchases.len() - 1
        });
        let purchase = &mut purchases[place];
        let mut event = event.clone();
        event.matched = matched.as_ref().map(|matched| purchase.match_index(matched));
        purchase.events.push(event);
    }
    let mut state = MemberState::new(member.head.clone());
    state.profiles.clone_from(&member.profiles);
    for (key, occasion) in &member.occasions {
        state.place(Purchase { occasion: Some(occasion.clone()), ..Purchase::new(key.clone()) });
    }
    for mut purchase in purchases {
        purchase.events.sort_by(|a, b| (a.occurred_at, a.kind, &a.key).cmp(&(b.occurred_at, b.kind, &b.key)));
        // What was used is an act, and stays whatever is decided.
        let used = member.holdings.get(&purchase.key).into_iter().flatten().map(|holding| &holding.grant);
        let bare = |grant: &Grant| Grant { amount_minor: 0, terms_minor: 0, kept_minor: 0, ..grant.clone() };
        purchase.grants = used.filter(|grant| grant.used_minor > 0).map(bare).collect();
        state.place(purchase);
    }
    state
}

/// Checks a member under a mark; `only` some purchases when they are being sealed. Says
/// how many purchases there are. Nothing is guessed of a member whose profiles do not open.
pub(super) fn check(
    report: &mut Report,
    member: &Member,
    offers: &Offers,
    options: &AuditOptions,
    mark: Timestamp,
    only: Option<&[PurchaseKey]>,
) -> u64 {
    if member.events.is_empty() && member.occasions.is_empty() && member.holdings.is_empty() {
        return 0;
    }
    let fixed = state(member, None);
    if member.closed {
        report.totals.not_decided += 1;
        return fixed.purchases.len() as u64;
    }
    let looked = |key: &PurchaseKey| only.is_none_or(|only| only.contains(key));
    let judged = decide(member, &fixed, offers, options, mark);
    compare(report, Named::GrantedEqualsDue, member, &fixed, &judged, (offers, options, mark), &looked);
    let seed = options.seed ^ xxhash_rust::xxh3::xxh3_64(member.head.id.as_str().as_bytes());
    let shuffled = state(member, Some(&mut Dice(seed)));
    let again = decide(member, &shuffled, offers, options, mark);
    compare(report, Named::GrantedEqualsDueShuffled, member, &shuffled, &again, (offers, options, mark), &looked);
    rules(report, member, &fixed, &judged, offers, &looked);
    expired(report, member, mark, &looked);
    fixed.purchases.len() as u64
}

/// Decides from nothing; budgets have said what the books say.
fn decide(
    member: &Member,
    state: &MemberState,
    offers: &Offers,
    options: &AuditOptions,
    mark: Timestamp,
) -> Vec<Judged> {
    let mut raises = Raises::new();
    for (purchase, holdings) in &member.holdings {
        for Holding { grant, .. } in holdings {
            let raise = Raise { minor: grant.amount_minor, day_spent: grant.day_spent };
            raises.insert((purchase.clone(), grant.offer.clone()), raise);
        }
    }
    let scope = Scope { from: 0, merchants: None, own: None };
    let mut judged = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let asks;
        (judged, asks) = judge(state, &scope, offers, &options.policy, mark, &raises);
        if asks.is_empty() {
            break;
        }
        raises.extend(asks.into_iter().map(|ask| ((ask.purchase, ask.offer), Raise::default())));
    }
    judged
}

fn compare(
    report: &mut Report,
    check: Named,
    member: &Member,
    state: &MemberState,
    judged: &[Judged],
    (offers, options, mark): (&Offers, &AuditOptions, Timestamp),
    looked: &dyn Fn(&PurchaseKey) -> bool,
) {
    let id = &member.head.id;
    let none = Vec::new();
    for Judged { index, lines, .. } in judged {
        let key = &state.purchases[*index].purchase.key;
        if !looked(key) {
            continue;
        }
        let holdings = member.holdings.get(key).unwrap_or(&none);
        for line in lines {
            let granted = holdings.iter().map(|holding| &holding.grant).find(|grant| grant.offer == line.offer);
            let budgeted = offers.find(&line.merchant, &line.offer).and_then(|offer| offer.version(line.version));
            let budgeted = budgeted.is_some_and(|version| has_budget(&version.terms));
            // Of what may expire only what was used may be left.
            let less = budgeted || line.expires_at.is_some();
            let waits = options.policy.screened.then(|| mark.plus_ms(-1).max(member.head.screened));
            report.look(check, equal(granted, line, less, waits), || {
                let due = shown(line.due_minor, line.terms_minor, line.stage, line.held);
                let has =
                    granted.map_or("nothing".to_owned(), |g| shown(g.amount_minor, g.terms_minor, g.stage, g.held));
                let why = line.refusal.as_ref().map_or("", |refusal| refusal.code());
                format!("member {id} purchase {key} offer {}: granted {has}, due {due} {why}", line.offer)
            });
        }
        let gone = holdings.iter().map(|holding| &holding.grant);
        let stays = |grant: &Grant| if matches!(grant.unit, Unit::Perk(_)) { grant.used_minor } else { 0 };
        let right = |grant: &Grant| grant.amount_minor == stays(grant) && grant.kept_minor == stays(grant);
        for grant in gone.filter(|grant| !right(grant) && !lines.iter().any(|l| l.offer == grant.offer)) {
            report.look(check, false, || {
                let has = grant.amount_minor;
                format!("member {id} purchase {key} offer {}: granted {has}, and it is no candidate", grant.offer)
            });
        }
    }
    let decided = |key: &PurchaseKey| state.find(key).is_some() || member.exchanges.contains_key(key);
    for (key, holdings) in member.holdings.iter().filter(|(key, _)| looked(key) && !decided(key)) {
        if holdings.iter().any(|holding| holding.grant.amount_minor != 0) {
            report.look(check, false, || format!("member {id} purchase {key}: granted without an event"));
        }
    }
}

/// Whether terms let a budget cut what they give; asked of the terms themselves.
pub(super) fn has_budget(terms: &Terms) -> bool {
    terms.budget_minor.or(terms.daily_budget_minor).is_some()
}

/// Whether what was granted is what is due. A budget's verdict may be below the terms; a
/// reward of nothing has no stage to compare.
fn equal(granted: Option<&Grant>, line: &Line, less: bool, screened: Option<Timestamp>) -> bool {
    let Some(grant) = granted else { return line.due_minor == 0 && line.terms_minor == 0 && line.kept_minor == 0 };
    let whole = grant.amount_minor == line.terms_minor || (less && grant.amount_minor < line.terms_minor);
    let amount = whole && grant.amount_minor == line.due_minor && grant.terms_minor == line.terms_minor;
    let lost = grant.used_minor <= grant.amount_minor || grant.lost == line.lost;
    // What screening has not passed waits where it was posted.
    let waits = screened.is_some_and(|screened| grant.earned_at > screened);
    let stage = grant.stage == line.stage || (waits && (grant.stage, line.stage) == (Stage::Posted, Stage::Available));
    let place = line.due_minor == 0
        || (stage
            && grant.held == line.held
            && grant.available_at == line.available_at
            && grant.version == line.version
            && grant.merchant == line.merchant
            && grant.unit == line.unit
            && grant.funding == line.funding
            && grant.cause == line.cause
            && grant.expires_at == line.expires_at);
    amount && lost && place && grant.kept_minor == line.kept_minor
}

fn shown(minor: i64, terms: i64, stage: crate::domain::purchase::Stage, held: bool) -> String {
    let cut = if minor == terms { String::new() } else { format!(" of {terms}") };
    format!("{minor}{cut} {stage:?}{}", if held { " held" } else { "" }).to_lowercase()
}

/// What points brought was an act: it stands until it expires.
fn expired(report: &mut Report, member: &Member, mark: Timestamp, looked: &dyn Fn(&PurchaseKey) -> bool) {
    for (key, _) in member.exchanges.iter().filter(|(key, _)| looked(key)) {
        for Holding { grant, .. } in member.holdings.get(key).into_iter().flatten() {
            let over = grant.expires_at.is_some_and(|at| at <= mark) && grant.amount_minor > grant.used_minor;
            report.look(Named::GrantedEqualsDue, !over, || {
                let id = &member.head.id;
                format!("member {id} entry {key} offer {}: has expired and stands", grant.offer)
            });
        }
    }
}

/// Caps, worth and standings, from the books and the purchases' times.
fn rules(
    report: &mut Report,
    member: &Member,
    state: &MemberState,
    judged: &[Judged],
    offers: &Offers,
    looked: &dyn Fn(&PurchaseKey) -> bool,
) {
    let id = &member.head.id;
    let none = Vec::new();
    // What each offer gave for earlier purchases: local date, minor units.
    let mut earlier: BTreeMap<&OfferId, Vec<(jiff::civil::Date, i64)>> = BTreeMap::new();
    for Judged { index, worth_minor, .. } in judged {
        let placed = &state.purchases[*index];
        let key = &placed.purchase.key;
        let holdings = member.holdings.get(key).unwrap_or(&none);
        let given = holdings.iter().map(|holding| &holding.grant).filter(|grant| grant.amount_minor > 0);
        // Points and perks are no part of what was paid.
        let money = given.clone().filter(|grant| grant.unit.currency().is_some());
        let sum: i128 = money.map(|grant| i128::from(grant.amount_minor)).sum();
        // What is no purchase is worth nothing, and rewarded all the same.
        if looked(key) && placed.purchase.occasion.is_none() {
            report.look(Named::Worth, sum <= i128::from(*worth_minor), || {
                format!("member {id} purchase {key}: rewarded with {sum}, worth {worth_minor}")
            });
        }
        let date = local_date(&placed.purchase, placed.time, placed.merchant.as_ref());
        for grant in given {
            let uses = earlier.entry(&grant.offer).or_default();
            if looked(key) {
                let strictest = standing(&member.head, &grant.merchant, placed.time);
                let obeyed = match strictest {
                    // A used perk stays whoever had it.
                    Standing::Barred => matches!(grant.unit, Unit::Perk(_)) && grant.amount_minor <= grant.used_minor,
                    Standing::Held => grant.held,
                    Standing::Clear | Standing::Watched => !grant.held,
                };
                report.look(Named::Standings, obeyed, || {
                    let has = shown(grant.amount_minor, grant.amount_minor, grant.stage, grant.held);
                    format!("member {id} purchase {key} offer {}: {has}, and the member is {strictest:?}", grant.offer)
                });
                if let Some(broken) = cap(member, grant, offers, uses, date) {
                    report
                        .differ(Named::Caps, || format!("member {id} purchase {key} offer {}: {broken}", grant.offer));
                }
                report.examined(Named::Caps, 1);
            }
            uses.push((date, grant.amount_minor));
        }
    }
}

/// Which cap a reward breaks, given what earlier purchases used.
fn cap(
    member: &Member,
    grant: &Grant,
    offers: &dyn OfferBook,
    earlier: &[(jiff::civil::Date, i64)],
    date: jiff::civil::Date,
) -> Option<String> {
    let offer = offers.offers_of(&grant.merchant).iter().find(|offer| offer.id == grant.offer)?;
    let limits = &offer.version(grant.version)?.terms.limits;
    let sealed = member.head.sealed.iter().flat_map(|total| &total.offers).filter(|used| used.offer == grant.offer);
    let sealed_minor = sealed.clone().map(|used| i128::from(used.minor)).sum::<i128>();
    let month = i32::from(date.year()) * 12 + i32::from(date.month()) - 1;
    if let Some(count) = limits.per_member {
        let counts = |of: i32| match count.every {
            Period::Day | Period::Week => false,
            Period::Month => of == month,
            Period::Year => of / 12 == month / 12,
            Period::Ever => true,
        };
        let sealed = sealed.filter(|used| counts(used.month)).map(|used| u64::from(used.count)).sum::<u64>();
        let used = earlier.iter().filter(|(day, _)| same_period(count.every, *day, date)).count() as u64 + sealed;
        if used >= u64::from(count.count) {
            return Some(format!("rewarded after {used} others of the period, at most {}", count.count));
        }
    }
    let most = limits.reward_per_member_minor?;
    let uses = earlier.iter().map(|(_, minor)| i128::from(*minor)).sum::<i128>();
    let sum = uses + sealed_minor + i128::from(grant.amount_minor);
    (sum > i128::from(most)).then(|| format!("the member has {sum} of at most {most}"))
}

fn same_period(every: Period, a: jiff::civil::Date, b: jiff::civil::Date) -> bool {
    match every {
        Period::Day => a == b,
        Period::Week => {
            a.iso_week_date().year() == b.iso_week_date().year() && a.iso_week_date().week() == b.iso_week_date().week()
        }
        Period::Month => a.year() == b.year() && a.month() == b.month(),
        Period::Year => a.year() == b.year(),
        Period::Ever => true,
    }
}

/// The date on the shop's wall when it was bought. The shop is one of those matched; all
/// of a merchant's are looked at for the one the purchase was placed at.
pub(super) fn local_date(purchase: &Purchase, time: Timestamp, merchant: Option<&MerchantId>) -> jiff::civil::Date {
    let worth = crate::decide::worth(purchase, Timestamp::default(), &crate::decide::LapsePolicy::default());
    let zone = worth.shop.filter(|shop| Some(&shop.merchant) == merchant).map(|shop| shop.time_zone.as_str());
    let zone = zone.and_then(|name| jiff::tz::TimeZone::get(name).ok()).unwrap_or(jiff::tz::TimeZone::UTC);
    time.local(&zone).date()
}

/// The strictest standing over a purchase: of each scope the one set last counts, if it
/// reaches back to the purchase.
fn standing(head: &MemberHead, merchant: &MerchantId, at: Timestamp) -> Standing {
    let mut strictest = Standing::Clear;
    for scope in [None, Some(merchant)] {
        let mut newest = None::<&crate::domain::member::StandingStep>;
        for step in head.standings.iter().filter(|step| step.merchant.as_ref() == scope) {
            if newest.is_none_or(|known| step.set_at >= known.set_at) {
                newest = Some(step);
            }
        }
        if let Some(step) = newest.filter(|step| step.since <= at) {
            strictest = strictest.max(step.standing);
        }
    }
    strictest
}
