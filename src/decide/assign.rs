//! Credits that name no purchase, and the purchase each comes off: a function of the set
//! of a member's facts, so an earlier fact that arrives late may move an assignment.
//!
//! A credit that names a purchase is never here: it is an event of that purchase, and waits
//! for it. One that names none opened an entry under its own key ([`Placed::unlinked`]); the
//! entry's identity stays, and what is decided here is only what it comes off.
//!
//! 1. Reversals first, by time and key: each takes back the newest credit of its kind (a
//!    refund, a chargeback) of the same card, merchant, currency and amount that is not later
//!    and still stands. Which credit is meant does not depend on what that credit came off,
//!    and a credit that was taken back comes off nothing: two refunds of which one was a
//!    mistake leave one refund, whichever was said to be taken back.
//! 2. Then refunds, chargebacks and clearing reversals, by time, kind and key: each comes off
//!    the newest standing purchase of the same card, merchant and currency, not later than it
//!    and within [`WINDOW_DAYS`], whose remaining worth equals its amount; else off the newest
//!    whose remaining worth covers it; else it waits without effect.
//!
//! Remaining worth is the purchase's own worth under the mark less what came off before, so
//! it is never below zero, and a lapse moves assignments too.
//!
//! **One card** is one piece of plastic: tokens that were declared the same, or that replace
//! each other. Where several sources know it, one alone is credited, and what the others tell
//! is refused; so their credits do not touch its purchases either, or a refund told twice
//! would come off twice. They are assigned among what the same source told.
//!
//! **Sealed purchases** are gone, and so are the credits that came off them: they are sealed
//! together ([`Assigned::units`]). A purchase is kept far longer than the window, so only a
//! credit that arrives more than a year late, or a purchase that was sealed early because the
//! member has too many, can miss its purchase; it then waits, or finds another that fits.

use super::member::{MemberState, Placed, zone};
use super::worth::LapsePolicy;
use crate::domain::member::{CardLink, MemberHead};
use crate::domain::purchase::HeldEvent;
use crate::domain::time::civil_day;
use crate::domain::{CardHash, Currency, EventKind, MerchantId, SourceName, Timestamp};
use std::collections::BTreeMap;

/// A credit that names no purchase comes off none that is older by more than these days.
pub const WINDOW_DAYS: u32 = 180;

/// What becomes of a credit that names no purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It comes off a purchase.
    Joined {
        /// Place of the purchase in the member's order.
        purchase: usize,
        /// What comes off: the amount less what reversals that name the credit took back.
        minor: i64,
    },
    /// Reversals took all of it back: it comes off nothing.
    TakenBack,
    /// It is a reversal, and takes back the credit at this place of [`Assigned::credits`].
    TakesBack(usize),
    /// Nothing fits: no effect until something does.
    Waits,
}

/// A credit that names no purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit<'a> {
    /// Place in the member's order of the entry it opened.
    pub entry: usize,
    /// The credit.
    pub event: &'a HeldEvent,
    /// What becomes of it.
    pub fate: Fate,
}

/// Credits that name no purchase, and what they come off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assigned<'a> {
    /// By time, kind and key.
    pub credits: Vec<Credit<'a>>,
    /// What comes off each purchase, by its place.
    taken: BTreeMap<usize, i64>,
}

impl Assigned<'_> {
    /// What comes off a purchase besides its own events; never more than its own worth.
    #[must_use]
    pub fn taken(&self, purchase: usize) -> i64 {
        self.taken.get(&purchase).copied().unwrap_or(0)
    }
    /// What comes off which purchases, by place.
    pub fn all_taken(&self) -> impl Iterator<Item = (usize, i64)> + '_ {
        self.taken.iter().map(|(purchase, minor)| (*purchase, *minor))
    }
    /// Parts the first `count` places of the member's order into what belongs together: a
    /// purchase with the credits that come off it and the reversals of those, oldest first.
    /// Without one unit all others are assigned as with it, so units may be sealed one by
    /// one, and only whole. Near linear.
    #[must_use]
    pub fn units(&self, count: usize) -> Vec<Vec<usize>> {
        // Each place points at one of its unit that is not newer; the oldest at itself.
        let mut older: Vec<usize> = (0..count).collect();
        let oldest = |older: &mut Vec<usize>, mut place: usize| {
            while older[place] != place {
                older[place] = older[older[place]];
                place = older[place];
            }
            place
        };
        for credit in &self.credits {
            let other = match credit.fate {
                Fate::Joined { purchase, .. } => purchase,
                Fate::TakesBack(of) => self.credits[of].entry,
                Fate::TakenBack | Fate::Waits => continue,
            };
            let (a, b) = (oldest(&mut older, credit.entry), oldest(&mut older, other));
            older[a.max(b)] = a.min(b);
        }
        let mut units: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for place in 0..count {
            units.entry(oldest(&mut older, place)).or_default().push(place);
        }
        units.into_values().collect()
    }
}

/// Assigns the member's credits that name no purchase, at some merchants (`None` is all),
/// under the latest daily mark.
///
/// A member without any costs one look at a flag per purchase. Otherwise linear in the
/// purchases of the merchants concerned, and their product with the credits there in the
/// worst case, when none fits; both are bounded by the purchases a member may have open.
#[must_use]
pub fn assign<'a>(
    member: &'a MemberState,
    merchants: Option<&[MerchantId]>,
    mark: Timestamp,
    lapse: &LapsePolicy,
) -> Assigned<'a> {
    let asked = |placed: &&Placed| is_asked(placed, merchants);
    if !member.purchases.iter().any(|placed| placed.unlinked && asked(&placed)) {
        return Assigned::default();
    }
    let cards = same_cards(&member.head);
    let mut credits: Vec<Loose<'_>> = Vec::new();
    for (entry, placed) in member.purchases.iter().enumerate().filter(|(_, p)| p.unlinked && asked(p)) {
        loose(member, entry, placed, &cards, &mut credits);
    }
    credits.sort_by_key(Loose::order);
    take_back(&mut credits);
    let mut standing = standing(member, &asked, &credits, &cards, mark, lapse);
    let mut taken = BTreeMap::new();
    for credit in &mut credits {
        if let Some(purchase) = come_off(credit, &mut standing) {
            *taken.entry(purchase).or_default() += credit.left;
        }
    }
    let credits = credits.into_iter().map(|Loose { entry, event, fate, .. }| Credit { entry, event, fate });
    Assigned { credits: credits.collect(), taken }
}

/// The first place in the member's order from which a change at some merchants may move what
/// credits come off; `None` when there are none. No credit reaches back further than its
/// window, and three days more for dates without an hour: each end may be a day off, and has a
/// day's length.
#[must_use]
pub fn reaches_back(member: &MemberState, merchants: &[MerchantId]) -> Option<usize> {
    let there = |placed: &&Placed| placed.unlinked && is_asked(placed, Some(merchants));
    // In the order of time, so the first one is the earliest.
    let earliest = member.purchases.iter().find(there)?.time;
    let from = earliest.plus_ms(-i64::from(WINDOW_DAYS + 3) * crate::domain::time::DAY_MS);
    Some(member.purchases.partition_point(|placed| placed.time < from))
}

fn is_asked(placed: &Placed, merchants: Option<&[MerchantId]>) -> bool {
    match (merchants, &placed.merchant) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(list), Some(merchant)) => list.contains(merchant),
    }
}

/// What a credit and its purchase have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kin<'a> {
    merchant: &'a MerchantId,
    currency: Currency,
    card: u32,
    /// Told by a source that does not credit the card; `None` when its source does.
    told_beside: Option<&'a SourceName>,
}

impl<'a> Kin<'a> {
    fn new(
        member: &MemberState,
        link: &'a CardLink,
        at: Timestamp,
        cards: &BTreeMap<CardHash, u32>,
        merchant: &'a MerchantId,
        currency: Currency,
    ) -> Option<Self> {
        let told_beside = member.other_source(link, at).map(|_| &link.source);
        Some(Self { merchant, currency, card: *cards.get(&link.card)?, told_beside })
    }
}

/// When something was, as far as its source knows.
#[derive(Debug, Clone, Copy)]
struct When {
    at: Timestamp,
    known: bool,
    /// The days it may be, first and last. A source that knows only the day names it by its
    /// midnight, in UTC or as the shop's clock shows it; so both readings count.
    days: (i32, i32),
}

impl When {
    fn new(at: Timestamp, known: bool, local_day: i32) -> Self {
        let utc_day = i32::try_from(at.day()).unwrap_or(i32::MAX);
        let days = if known { (local_day, local_day) } else { (local_day.min(utc_day), local_day.max(utc_day)) };
        Self { at, known, days }
    }
    /// Whether this is not later than another: by the instant when both have one, else by
    /// the day. So what is dated by its day alone is not earlier than anything of that day.
    fn is_by(&self, other: &Self) -> bool {
        if self.known && other.known { self.at <= other.at } else { self.days.0 <= other.days.1 }
    }
    /// Whether another is at most [`WINDOW_DAYS`] later.
    fn reaches(&self, other: &Self) -> bool {
        if self.known && other.known {
            other.at <= self.at.plus_days(WINDOW_DAYS)
        } else {
            i64::from(other.days.0) - i64::from(self.days.1) <= i64::from(WINDOW_DAYS)
        }
    }
}

/// A credit on its way to a purchase.
struct Loose<'a> {
    entry: usize,
    event: &'a HeldEvent,
    source: &'a SourceName,
    /// `None` when it can come off nothing: its card was not linked, or it has no amount.
    kin: Option<Kin<'a>>,
    when: When,
    amount: i64,
    /// What reversals have left of it.
    left: i64,
    fate: Fate,
}

impl<'a> Loose<'a> {
    /// As events are ordered; the source last, since an event's key is its source's own.
    fn order(&self) -> (Timestamp, EventKind, &'a str, &'a SourceName) {
        (self.event.occurred_at, self.event.kind, self.event.key.as_str(), self.source)
    }
}

/// The credits that opened an entry, less the reversals that name it.
fn loose<'a>(
    member: &'a MemberState,
    entry: usize,
    placed: &'a Placed,
    cards: &BTreeMap<CardHash, u32>,
    credits: &mut Vec<Loose<'a>>,
) {
    let purchase = &placed.purchase;
    let begun = credits.len();
    for event in purchase.unlinked() {
        let matched = event.matched.and_then(|index| purchase.matches.get(usize::from(index)));
        let zone = matched.map_or(jiff::tz::TimeZone::UTC, |shop| zone(&shop.time_zone));
        let local_day = civil_day(event.occurred_at.local(&zone).date());
        let when = When::new(event.occurred_at, event.time_known, local_day);
        // The door asks the link of every event when it comes; an unlinking dated before the
        // event may come later, and must end in the same books.
        let link = member.head.card_at(event.card, event.occurred_at);
        let kin = link.zip(placed.merchant.as_ref()).zip(event.amount).and_then(|((link, merchant), money)| {
            Kin::new(member, link, event.occurred_at, cards, merchant, money.currency)
        });
        let amount = event.amount.map_or(0, |money| money.minor);
        let named = purchase.events.iter().filter(|other| {
            !purchase.names_none(other)
                && other.kind.takes_back() == Some(event.kind)
                && other.amount.zip(event.amount).is_some_and(|(a, b)| a.currency == b.currency)
        });
        let named = named.filter_map(|other| other.amount).fold(0_i64, |sum, money| sum.saturating_add(money.minor));
        // Two cards may bring one key: what the first has used of the reversals is gone.
        let alike = |other: &&Loose<'_>| {
            other.event.kind == event.kind && other.kin.map(|k| k.currency) == kin.map(|k| k.currency)
        };
        let used = credits[begun..].iter().filter(alike).map(|other| other.amount - other.left).sum::<i64>();
        let left = amount.saturating_sub(named.saturating_sub(used).max(0)).max(0);
        let source = &purchase.key.source;
        credits.push(Loose { entry, event, source, kin, when, amount, left, fate: Fate::Waits });
    }
}

/// Lets each reversal take back the newest credit that it fits.
fn take_back(credits: &mut [Loose<'_>]) {
    for place in 0..credits.len() {
        let reversal = &credits[place];
        let Some(kind) = reversal.event.kind.takes_back() else { continue };
        let (kin, when, amount) = (reversal.kin, reversal.when, reversal.amount);
        if kin.is_none() || amount == 0 {
            continue;
        }
        let fits = |credit: &Loose<'_>| {
            credit.event.kind == kind && credit.left == amount && credit.kin == kin && credit.when.is_by(&when)
        };
        if let Some(of) = credits.iter().rposition(fits) {
            credits[of].left = 0;
            credits[place].fate = Fate::TakesBack(of);
        }
    }
}

/// A purchase of which something stands.
struct Standing<'a> {
    place: usize,
    kin: Kin<'a>,
    when: When,
    left: i64,
}

/// The purchases that any of the credits may come off, in the member's order.
fn standing<'a>(
    member: &'a MemberState,
    asked: &dyn Fn(&&Placed) -> bool,
    credits: &[Loose<'_>],
    cards: &BTreeMap<CardHash, u32>,
    mark: Timestamp,
    lapse: &LapsePolicy,
) -> Vec<Standing<'a>> {
    let sought = |kin: &Kin<'_>| credits.iter().any(|credit| credit.kin.as_ref() == Some(kin));
    let mut standing: Vec<Standing<'a>> = Vec::new();
    for (place, placed) in member.purchases.iter().enumerate().filter(|(_, p)| !p.unlinked && asked(p)) {
        let worth = placed.worth(mark, lapse);
        let Some(((merchant, currency), link)) =
            placed.merchant.as_ref().zip(worth.currency.filter(|_| worth.minor > 0)).zip(member.link_of(placed))
        else {
            continue;
        };
        let kin = Kin::new(member, link, placed.time, cards, merchant, currency);
        if let Some(kin) = kin.filter(|kin| sought(kin)) {
            let when = When::new(placed.time, worth.time_known, placed.local_day);
            standing.push(Standing { place, kin, when, left: worth.minor });
        }
    }
    standing
}

/// Finds what a credit comes off and takes it off there; says which purchase.
fn come_off(credit: &mut Loose<'_>, standing: &mut [Standing<'_>]) -> Option<usize> {
    if credit.event.kind.takes_back().is_some() || credit.amount == 0 {
        return None;
    }
    if credit.left == 0 {
        credit.fate = Fate::TakenBack;
        return None;
    }
    let kin = credit.kin?;
    let mut covers = None;
    let mut equals = None;
    for (place, purchase) in standing.iter().enumerate().rev() {
        let fits = purchase.left >= credit.amount
            && purchase.kin == kin
            && purchase.when.is_by(&credit.when)
            && purchase.when.reaches(&credit.when);
        if fits && purchase.left == credit.amount {
            equals = Some(place);
            break;
        }
        covers = covers.or(fits.then_some(place));
    }
    let purchase = &mut standing[equals.or(covers)?];
    purchase.left -= credit.left;
    credit.fate = Fate::Joined { purchase: purchase.place, minor: credit.left };
    Some(purchase.place)
}

/// Each linked card with a number that it shares with those declared to be the same.
fn same_cards(head: &MemberHead) -> BTreeMap<CardHash, u32> {
    let mut of_card: BTreeMap<CardHash, u32> = BTreeMap::new();
    let mut of_group: BTreeMap<u32, u32> = BTreeMap::new();
    // A card that was linked again stands in several groups and joins them: numbers sink
    // until none moves.
    let mut moved = true;
    while moved {
        moved = false;
        for link in &head.cards {
            let card = of_card.entry(link.card).or_insert(link.group);
            let group = of_group.entry(link.group).or_insert(link.group);
            let least = (*card).min(*group);
            moved |= *card != least || *group != least;
            (*card, *group) = (least, least);
        }
    }
    of_card
}

#[cfg(test)]
#[path = "assign_tests.rs"]
mod tests;
