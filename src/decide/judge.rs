//! What each offer gives for each purchase, and for what else is rewarded.
//!
//! Purchases are taken by their time, then key. For each: the offers in force at its
//! time, their conditions, then caps by what earlier purchases used, then the group's
//! exclusive choice, then the cut to the purchase. So a purchase depends only on
//! itself and on earlier ones, and judging may start at the one that changed; or earlier,
//! where there are credits that name no purchase, since any of them may come off another
//! purchase now ([`assign`]). Signals and referrals stand in the same order and are judged in
//! the same way.

use super::assign::{Assigned, assign, reaches_back};
use super::evaluate::{Case, Found};
use super::history::{Bought, History, OfferStarts, Rests, Sealed, period};
use super::kept::Kept;
use super::member::{Before, MemberState, Placed, zone};
use super::refusal::Refusal;
use super::stack::{self, Candidate};
use super::worth::Worth;
use super::{OfferBook, Policy};
use crate::domain::member::Standing;
use crate::domain::offer::{
    Activation, Amount, Beneficiary, Condition, Funding, InForce, Offer, Period, Reward, Terms, Trigger,
};
use crate::domain::purchase::{Occasion, Purchase, Stage};
use crate::domain::time::civil_day;
use crate::domain::{Code, Currency, MerchantId, OfferId, PurchaseKey, Timestamp, Unit};
use crate::record::MemberInput;
use jiff::civil;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which purchases to judge again: from a place in the order on, at these merchants.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    /// Index of the first purchase concerned.
    pub from: usize,
    /// Merchants concerned; `None` is all.
    pub merchants: Option<&'a [MerchantId]>,
    /// The purchase whose own event this is: it may ask a spent budget again.
    pub own: Option<&'a PurchaseKey>,
}

/// What an offer gives for a purchase, or the first reason why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which offer.
    pub offer: OfferId,
    /// The version in force; 0 when none was ever published.
    pub version: u32,
    /// Whose offer it is.
    pub merchant: MerchantId,
    /// Currency of the terms.
    pub currency: Currency,
    /// What the reward is counted in.
    pub unit: Unit,
    /// Who pays for it.
    pub funding: Funding,
    /// The cause it goes to; `None` is the member.
    pub cause: Option<Code>,
    /// What the terms give under caps and stacking, before the budget.
    pub terms_minor: i64,
    /// What is due: `terms_minor` cut to the budget's verdict.
    pub due_minor: i64,
    /// As [`crate::domain::purchase::Grant::kept_minor`].
    pub kept_minor: i64,
    /// How far the reward has come.
    pub stage: Stage,
    /// Frozen by a standing.
    pub held: bool,
    /// When it may be paid; `None` while pending.
    pub available_at: Option<Timestamp>,
    /// When what is left of it is gone; `None` while pending, and for what does not expire.
    pub expires_at: Option<Timestamp>,
    /// For a reward taken back after it was paid: booked as loss instead of owed.
    pub lost: bool,
    /// Why it gives nothing, or less than the terms say.
    pub refusal: Option<Refusal>,
}

/// What an applied input concerns, as the bounds of a [`Scope`]: a purchase's event, its
/// merchant (and the one it had before) from its place in the order on, or from where the
/// credits there that name no purchase reach back to; other facts, every purchase. `before`
/// is how the purchase stood before the event, if it was there.
///
/// # Panics
/// When the input is an event that was not applied.
#[must_use]
pub fn concerned(
    member: &MemberState,
    input: &MemberInput,
    before: Option<Before>,
) -> (usize, Option<Vec<MerchantId>>) {
    let own = match input {
        MemberInput::Event(event) => Some(&event.purchase),
        MemberInput::Rematched(rematch) => Some(&rematch.purchase),
        _ => None,
    };
    let Some(own) = own else {
        // A pay-out changes no reward, but a card, an activation or a profile may: those are
        // judged from the first purchase on.
        let moves_no_reward = matches!(input, MemberInput::Redeemed(_) | MemberInput::Erased { .. });
        return (if moves_no_reward { usize::MAX } else { 0 }, None);
    };
    let at = member.find(own).expect("applied before");
    let (from, old) = match before {
        None => (at, None),
        // What it came off is free of it, wherever that stands.
        Some(before) if before.unlinked => (0, before.merchant),
        Some(before) => (at.min(before.place), before.merchant),
    };
    let now = member.purchases[at].merchant.clone();
    let mut merchants: Vec<MerchantId> = now.into_iter().chain(old).collect();
    merchants.dedup();
    let from = reaches_back(member, &merchants).map_or(from, |place| place.min(from));
    (from, Some(merchants))
}

/// A purchase judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Its place in the member's order.
    pub index: usize,
    /// What stands of it, minor units.
    pub worth_minor: i64,
    /// Every candidate offer, by id.
    pub lines: Vec<Line>,
}

/// More is due under an offer with a budget than was granted: reserve this much.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    /// For which purchase.
    pub purchase: PurchaseKey,
    /// From which offer's budget.
    pub offer: OfferId,
    /// How much more, in the reward's unit.
    pub minor: i64,
}

/// What a budget answered to an [`Ask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Raise {
    /// How much more, in the reward's unit.
    pub minor: i64,
    /// Less than was asked for, because the day's budget has no more.
    pub day_spent: bool,
}

/// What budgets answered to [`Ask`]s, by purchase and offer.
pub type Raises = BTreeMap<(PurchaseKey, OfferId), Raise>;

/// Judges the purchases in scope. Returns them with the reservations that are still
/// to be made; when there are any, reserve, add the answers to `raises`, and judge
/// again. Linear in the member's purchases at the merchants concerned times their offers,
/// and what [`assign`] takes.
#[must_use]
pub fn judge(
    member: &MemberState,
    scope: &Scope<'_>,
    book: &dyn OfferBook,
    policy: &Policy,
    mark: Timestamp,
    raises: &Raises,
) -> (Vec<Judged>, Vec<Ask>) {
    if scope.from >= member.purchases.len() {
        return (Vec::new(), Vec::new());
    }
    let mut run = Run::new(member, scope.merchants, book, policy, mark);
    let (mut judged, mut asks) = (Vec::new(), Vec::new());
    for (index, placed) in member.purchases.iter().enumerate() {
        let own = scope.own == Some(&placed.purchase.key);
        if matches!(placed.purchase.occasion, Some(Occasion::Exchange { .. })) {
            // What was exchanged is an act: it uses caps and is never decided again.
            run.tally(placed);
        } else if run.concerns(placed) || own {
            // One that lost its shop is at no merchant, and gives back what it was granted.
            let worth = run.worth(index);
            if index < scope.from {
                // Grants of earlier purchases are right already, and use caps.
                run.tally(placed);
            } else {
                let lines = run.lines(index, &worth, scope.own, raises, &mut asks);
                judged.push(Judged { index, worth_minor: worth.minor, lines });
            }
            run.remember(placed, &worth);
        } else {
            // No offer in scope looks at it any more; what was used of one is still had.
            run.kept.add_gone(&placed.purchase, |_| false);
        }
    }
    (judged, asks)
}

/// Why and why not of one purchase: every leaf of the conditions of every candidate offer,
/// by offer, as the decision itself looks at them.
#[must_use]
pub fn explain(
    member: &MemberState,
    index: usize,
    book: &dyn OfferBook,
    policy: &Policy,
    mark: Timestamp,
) -> Vec<(OfferId, Vec<Found>)> {
    let run = Run::after(member, index, book, policy, mark);
    let placed = &member.purchases[index];
    let worth = run.worth(index);
    let at = run.at(index, &worth);
    let explained = run.candidates(placed).into_iter().filter_map(|offer| {
        let (InForce::Version(version) | InForce::Paused(version) | InForce::Ended(version)) = offer.in_force(at.time)
        else {
            return None;
        };
        let reward = at.reward(&version.terms)?;
        let case = run.case(&at, offer, &version.terms, reward);
        let mut found = Vec::new();
        if let Some(when) = at.asked(&version.terms) {
            case.explain(when, false, &mut found);
        }
        Some((offer.id.clone(), found))
    });
    explained.collect()
}

/// Purchases that one or several offers look at together.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shelf {
    /// Those at a merchant.
    Merchant(MerchantId),
    /// Those that an offer over a category takes.
    Category(OfferId),
}

/// One judging: what is known of the purchases already passed.
pub(super) struct Run<'a> {
    member: &'a MemberState,
    /// Merchants concerned; `None` is all.
    merchants: Option<&'a [MerchantId]>,
    book: &'a dyn OfferBook,
    policy: &'a Policy,
    mark: Timestamp,
    assigned: Assigned<'a>,
    usage: Usage,
    kept: Kept,
    histories: Vec<(Shelf, History<'a>)>,
    /// Whether any offer looks back at all.
    looks_back: bool,
    empty: History<'a>,
    /// When the member's referrals qualified, by merchant.
    referrals: Vec<(MerchantId, Vec<Timestamp>)>,
}

/// What is judged: a purchase, or something else at a time.
struct At<'a> {
    index: usize,
    placed: &'a Placed,
    worth: &'a Worth<'a>,
    bought: Option<Bought<'a>>,
    time: Timestamp,
    local: civil::DateTime,
    local_day: i32,
    /// When what it is was complete; `None` while it is not.
    cleared_at: Option<Timestamp>,
    profile_at: Timestamp,
}

impl<'a> At<'a> {
    /// What must hold here. The condition of a referral's offer asks who refers; what it asks
    /// of the referred member stands in the branches of their own reward.
    fn asked<'t>(&self, terms: &'t Terms) -> Option<&'t Condition> {
        let of_referred = self.bought.is_some() && matches!(terms.trigger, Trigger::Referral { .. });
        (!of_referred).then_some(&terms.when)
    }
    /// What an offer gives here, if it looks at this at all.
    fn reward<'t>(&self, terms: &'t Terms) -> Option<&'t Reward> {
        match (&self.placed.purchase.occasion, &terms.trigger) {
            (None, Trigger::Purchase) | (Some(Occasion::Referral(_)), Trigger::Referral { .. }) => Some(&terms.reward),
            (None, Trigger::Referral { referred, .. }) => referred.as_ref(),
            (Some(Occasion::Signal { kind, .. }), Trigger::Signal { kind: asked }) if kind == asked => {
                Some(&terms.reward)
            }
            _ => None,
        }
    }
}

/// Whether the people a reward depends on are trusted.
struct Trust {
    held: bool,
    barred: bool,
    /// The other side of a referral is barred, or not known yet.
    other_barred: bool,
    lost: bool,
}

impl<'a> Run<'a> {
    fn new(
        member: &'a MemberState,
        merchants: Option<&'a [MerchantId]>,
        book: &'a dyn OfferBook,
        policy: &'a Policy,
        mark: Timestamp,
    ) -> Self {
        // What looks beyond one merchant is judged with all of them.
        let is_occasion =
            |placed: &Placed| matches!(placed.purchase.occasion, Some(Occasion::Signal { .. } | Occasion::Referral(_)));
        let wide = !book.apart().category().is_empty() || member.purchases.iter().any(is_occasion);
        let merchants = if wide { None } else { merchants };
        let here = |offers: &[Arc<Offer>]| offers.iter().any(|offer| offer.looks_back());
        let looks_back = wide
            || match merchants {
                Some(list) => list.iter().any(|merchant| here(book.offers_of(merchant))),
                None => true,
            };
        Self {
            member,
            merchants,
            book,
            policy,
            mark,
            assigned: assign(member, merchants, mark, &policy.lapse),
            usage: Usage::default(),
            kept: Kept::of_sealed(&member.head),
            histories: Vec::new(),
            looks_back,
            empty: History::default(),
            referrals: Vec::new(),
        }
    }

    /// The member's first so many purchases, passed as they were decided.
    pub(super) fn after(
        member: &'a MemberState,
        count: usize,
        book: &'a dyn OfferBook,
        policy: &'a Policy,
        mark: Timestamp,
    ) -> Self {
        let mut run = Self::new(member, None, book, policy, mark);
        for (index, placed) in member.purchases.iter().enumerate().take(count) {
            let worth = run.worth(index);
            run.tally(placed);
            run.remember(placed, &worth);
        }
        run
    }

    /// An offer as it looks at the member at an instant and its local reading, nothing bought.
    pub(super) fn case_without_purchase<'c>(
        &'c self,
        offer: &'c Offer,
        terms: &'c Terms,
        time: Timestamp,
        local: civil::DateTime,
    ) -> Case<'c>
    where
        'a: 'c,
    {
        Case {
            member: self.member,
            terms,
            reward: &terms.reward,
            bought: None,
            history: self.history(offer),
            referrals: self.referrals(offer.merchant()),
            time,
            local,
            local_day: civil_day(local.date()),
            profile_at: time,
            offer_starts: starts(offer, terms),
        }
    }

    /// Whether a purchase is in scope. An offer is one merchant's: what others gave uses none
    /// of its caps.
    fn concerns(&self, placed: &Placed) -> bool {
        match self.merchants {
            None => {
                placed.merchant.is_some()
                    || placed.purchase.occasion.is_some()
                    || self.book.apart().category().iter().any(|offer| takes(offer, placed))
            }
            Some(list) => placed.merchant.as_ref().is_some_and(|merchant| list.contains(merchant)),
        }
    }

    fn worth(&self, index: usize) -> Worth<'a> {
        let placed = &self.member.purchases[index];
        placed.worth(self.mark, &self.policy.lapse).less(self.assigned.taken(index))
    }

    /// Counts what a purchase was granted already against the caps.
    fn tally(&mut self, placed: &Placed) {
        for grant in placed.purchase.grants.iter().filter(|grant| grant.amount_minor > 0) {
            self.usage.add(&grant.offer, Use::new(placed, grant.amount_minor));
        }
        self.kept.add_decided(&placed.purchase);
    }

    /// Lets later purchases look back at this one.
    fn remember(&mut self, placed: &'a Placed, worth: &Worth<'a>) {
        if let Some(Occasion::Referral(referral)) = &placed.purchase.occasion {
            let offer = self.book.offer(&referral.offer);
            if let Some(offer) = offer.filter(|_| referral.qualified.is_some() && referral.clear && !referral.barred) {
                let merchant = offer.merchant();
                match self.referrals.iter_mut().find(|(known, _)| known == merchant) {
                    Some((_, times)) => times.push(placed.time),
                    None => self.referrals.push((merchant.clone(), vec![placed.time])),
                }
            }
            return;
        }
        if !self.looks_back || worth.minor <= 0 || placed.purchase.occasion.is_some() || !self.is_own(placed) {
            return;
        }
        let bought = Bought::new(placed, worth);
        if let Some(merchant) = &placed.merchant {
            let known = self
                .histories
                .iter()
                .position(|(shelf, _)| matches!(shelf, Shelf::Merchant(known) if known == merchant));
            let at = known.unwrap_or_else(|| {
                let history = History::after(sealed_at(self.member, merchant));
                self.histories.push((Shelf::Merchant(merchant.clone()), history));
                self.histories.len() - 1
            });
            self.histories[at].1.push(bought);
        }
        for offer in self.book.apart().category().iter().filter(|offer| takes(offer, placed)) {
            let shelf = Shelf::Category(offer.id.clone());
            let known = self.histories.iter().position(|(known, _)| *known == shelf);
            let at = known.unwrap_or_else(|| {
                self.histories.push((shelf, History::default()));
                self.histories.len() - 1
            });
            self.histories[at].1.push(bought);
        }
    }

    /// Whether a purchase is the member's, told by the source that credits its card.
    fn is_own(&self, placed: &Placed) -> bool {
        let link = self.member.link_of(&placed.purchase, placed.time);
        link.is_some_and(|link| self.member.other_source(link, placed.time).is_none())
    }

    fn at(&self, index: usize, worth: &'a Worth<'a>) -> At<'a> {
        let placed = &self.member.purchases[index];
        let bought = placed.purchase.occasion.is_none().then(|| Bought::new(placed, worth));
        let (time, profile_at) = match &placed.purchase.occasion {
            Some(Occasion::Referral(referral)) => (placed.time, referral.referred_at),
            _ => (placed.time, placed.time),
        };
        let cleared_at = match &placed.purchase.occasion {
            None => worth.cleared_at.filter(|_| worth.complete),
            Some(Occasion::Signal { at, .. } | Occasion::Exchange { at, .. }) => Some(*at),
            Some(Occasion::Referral(referral)) => {
                referral.qualified.as_ref().and_then(|qualified| qualified.cleared_at)
            }
        };
        // Where there is no shop, the member's own clock counts.
        let home = || self.member.profile_at(profile_at).and_then(|profile| profile.time_zone.as_deref());
        let local = match worth.shop {
            None => home().map_or(placed.local, |name| time.local(&zone(name))),
            Some(_) => placed.local,
        };
        let local_day = if local == placed.local { placed.local_day } else { civil_day(local.date()) };
        At { index, placed, worth, bought, time, local, local_day, cleared_at, profile_at }
    }

    /// The offers that may look at a purchase or occasion.
    fn candidates(&self, placed: &Placed) -> Vec<&'a Arc<Offer>> {
        match &placed.purchase.occasion {
            Some(Occasion::Signal { kind, offer, .. }) => {
                let asked = |candidate: &&Arc<Offer>| offer.as_ref().is_none_or(|offer| &candidate.id == offer);
                self.book.apart().signal(*kind).iter().filter(asked).collect()
            }
            Some(Occasion::Referral(referral)) => self.book.offer(&referral.offer).into_iter().collect(),
            Some(Occasion::Exchange { .. }) => Vec::new(),
            None => {
                let own = placed.merchant.as_ref().map_or(&[][..], |merchant| self.book.offers_of(merchant));
                let wide = self.book.apart().category().iter().filter(|offer| takes(offer, placed));
                own.iter().filter(|offer| !offer.is_wide()).chain(wide).collect()
            }
        }
    }

    fn history(&self, offer: &Offer) -> &History<'a> {
        let is_it = |shelf: &Shelf| match shelf {
            Shelf::Merchant(merchant) => !offer.is_wide() && merchant == offer.merchant(),
            Shelf::Category(id) => *id == offer.id,
        };
        self.histories.iter().find(|(shelf, _)| is_it(shelf)).map_or(&self.empty, |(_, history)| history)
    }

    /// When the member's referrals under a merchant's offers qualified.
    fn referrals(&self, merchant: &MerchantId) -> &[Timestamp] {
        self.referrals.iter().find(|(known, _)| known == merchant).map_or(&[], |(_, times)| times.as_slice())
    }

    fn case<'c>(&'c self, at: &'c At<'a>, offer: &'c Offer, terms: &'c Terms, reward: &'c Reward) -> Case<'c>
    where
        'a: 'c,
    {
        Case {
            member: self.member,
            terms,
            reward,
            bought: at.bought.as_ref(),
            history: self.history(offer),
            referrals: self.referrals(offer.merchant()),
            time: at.time,
            local: at.local,
            local_day: at.local_day,
            profile_at: at.profile_at,
            offer_starts: starts(offer, terms),
        }
    }

    /// What all candidate offers give, after stacking and budgets; uses caps.
    fn lines(
        &mut self,
        index: usize,
        worth: &Worth<'a>,
        own: Option<&PurchaseKey>,
        raises: &Raises,
        asks: &mut Vec<Ask>,
    ) -> Vec<Line> {
        let placed = &self.member.purchases[index];
        let mut candidates: Vec<Candidate<'_>> = {
            let at = self.at(index, worth);
            let offers = self.candidates(placed);
            let mut candidates = Vec::with_capacity(offers.len());
            candidates.extend(offers.into_iter().filter_map(|offer| self.line(&at, offer)));
            candidates
        };
        candidates.sort_by(|a, b| a.line.offer.cmp(&b.line.offer));
        let purchase = &placed.purchase;
        candidates.iter_mut().for_each(|candidate| self.kept.set_off(&mut candidate.line, purchase));
        let mut uses = Vec::new();
        let verdict = |line: &Line, budgeted: bool| verdict(line, budgeted, purchase, own, raises);
        stack::choose(&mut candidates, &verdict);
        self.shares_of_others(&mut candidates, placed, worth);
        if placed.purchase.occasion.is_none() {
            stack::cut_to_purchase(&mut candidates, worth.minor);
        }
        for Candidate { line, terms, .. } in &mut candidates {
            let (due, ask) = verdict(line, terms.is_budgeted());
            line.due_minor = due;
            if let Some(minor) = ask {
                asks.push(Ask { purchase: purchase.key.clone(), offer: line.offer.clone(), minor });
            }
            if line.due_minor < line.terms_minor {
                line.refusal = Some(Refusal::BudgetSpent { of_day: by_day(line, purchase, raises) });
            }
            keep_what_is_gone_or_used(line, purchase, self.mark);
            if line.due_minor > 0 {
                uses.push((line.offer.clone(), Use::new(placed, line.due_minor)));
            }
        }
        let lines: Vec<Line> = candidates.into_iter().map(|candidate| candidate.line).collect();
        lines.iter().for_each(|line| self.kept.add(&line.offer, line.kept_minor));
        self.kept.add_gone(purchase, |offer| lines.iter().any(|line| line.offer == *offer));
        for (offer, used) in uses {
            self.usage.add(&offer, used);
        }
        lines
    }

    /// What the offer gives here before stacking and budget; `None` when it was not
    /// published by then or looks at something else, and so is no candidate.
    fn line<'c>(&'c self, at: &At<'a>, offer: &'c Offer) -> Option<Candidate<'c>>
    where
        'a: 'c,
    {
        let (version, life) = match offer.in_force(at.time) {
            InForce::NotYet => return None,
            InForce::Version(version) => (version, None),
            InForce::Paused(version) => (version, Some(Refusal::OfferPaused)),
            InForce::Ended(version) => (version, Some(Refusal::OfferEnded)),
        };
        let terms = &version.terms;
        let reward = at.reward(terms)?;
        let trust = self.trust(at, terms, offer);
        let case = self.case(at, offer, terms, reward);
        let cause = self.cause(at, terms, offer);
        let given = match self.refuse(at, &case, offer, life, &trust) {
            Some(refusal) => Err(refusal),
            None if cause.is_none() && terms.beneficiary != Beneficiary::Member => Err(Refusal::NoCauseChosen),
            None => self.give(at, &case, offer),
        };
        let (minor, refusal) = match given {
            Ok(minor) => (minor, None),
            Err(refusal) => (0, Some(refusal)),
        };
        // A reward rests on its own purchase and on those its conditions counted.
        let mut rests = Rests::default();
        rests.on(at.cleared_at);
        if minor > 0 || matches!(reward.amount, Amount::OfAnother { .. }) {
            if let Some(when) = at.asked(terms) {
                case.rests(when, &mut rests);
            }
            case.amount_rests(&reward.amount, &mut rests);
        }
        let available_at = rests.cleared_at.filter(|_| !rests.pending).map(|at| at.plus_days(terms.hold_days));
        let stage = match available_at {
            None => Stage::Pending,
            // Without hold days there is no time to pass: no mark is waited for.
            Some(at) if at <= self.mark || terms.hold_days == 0 => Stage::Available,
            Some(_) => Stage::Posted,
        };
        let expires_at = available_at.zip(reward.what.expires_days()).map(|(at, days)| at.plus_days(days));
        let line = Line {
            offer: offer.id.clone(),
            version: version.version,
            merchant: terms.merchant.clone(),
            currency: terms.currency,
            unit: reward.what.unit(terms.currency),
            funding: terms.funding,
            cause,
            terms_minor: minor,
            due_minor: minor,
            kept_minor: 0,
            stage,
            held: trust.held,
            available_at,
            expires_at,
            lost: trust.lost,
            refusal,
        };
        Some(Candidate { line, terms, reward })
    }

    /// Whether the member, and for a referral the other side, are trusted.
    fn trust(&self, at: &At<'_>, terms: &Terms, offer: &Offer) -> Trust {
        let standing = self.member.head.standing(&terms.merchant, at.time);
        let barred = standing.is_some_and(|step| step.standing == Standing::Barred);
        let held = standing.is_some_and(|step| step.standing == Standing::Held);
        let lost = barred && standing.is_some_and(|step| !step.ask_back);
        let (other_clear, other_barred) = match (&at.placed.purchase.occasion, &terms.trigger) {
            (Some(Occasion::Referral(referral)), _) => (referral.clear, referral.barred),
            (None, Trigger::Referral { .. }) => self.member.head.referrer_trust(&offer.id),
            _ => (true, false),
        };
        // A referral is paid only when both are clear.
        let is_referral = matches!(terms.trigger, Trigger::Referral { .. });
        let watched = is_referral && standing.is_some_and(|step| step.standing == Standing::Watched);
        Trust { held: !barred && (held || watched || !other_clear), barred, other_barred, lost }
    }

    /// The cause the member chose, of those the offer gives to.
    fn cause(&self, at: &At<'_>, terms: &Terms, offer: &Offer) -> Option<Code> {
        let Beneficiary::Cause(causes) = &terms.beneficiary else { return None };
        if self.member.head.erased {
            return at.placed.purchase.grant(&offer.id).and_then(|grant| grant.cause);
        }
        let chosen = self.member.profile_at(at.profile_at)?.cause?;
        causes.contains(&chosen).then_some(chosen)
    }

    /// The first reason why the offer does not look at this. Branches live here; most
    /// certain first.
    fn refuse(
        &self,
        at: &At<'a>,
        case: &Case<'_>,
        offer: &Offer,
        life: Option<Refusal>,
        trust: &Trust,
    ) -> Option<Refusal> {
        let (worth, terms) = (at.worth, case.terms);
        if at.bought.is_some() {
            // The door asks this of every event when it comes; an unlinking dated before it may
            // come later, and must end in the same books.
            let link = self.member.link_of(&at.placed.purchase, at.time);
            let Some(link) = link else { return Some(Refusal::CardNotLinked) };
            if let Some(credited_by) = self.member.other_source(link, at.time) {
                return Some(Refusal::SeenFromAnotherSource { credited_by: credited_by.clone() });
            }
            if let Some(purchase) = worth.currency.filter(|purchase| *purchase != terms.currency) {
                return Some(Refusal::CurrencyDiffers { offer: terms.currency, purchase });
            }
        }
        if let Some(starts) = terms.starts.filter(|starts| at.local < *starts) {
            return Some(Refusal::NotStarted { starts });
        }
        if terms.ends.is_some_and(|ends| at.local >= ends) {
            return Some(Refusal::OfferEnded);
        }
        if life.is_some() {
            return life;
        }
        let cash_like =
            |mcc: &u16| !terms.cash_like && self.policy.cash_like_mcc.iter().any(|range| range.contains(mcc));
        if let Some(mcc) = worth.mcc.filter(cash_like) {
            return Some(Refusal::CashLike { mcc });
        }
        if terms.activation == Activation::Required && !self.member.head.active(&offer.id, at.time) {
            return Some(Refusal::NotActivated);
        }
        if trust.barred || self.policy.held_out(&self.member.head.id, &offer.id, terms.holdout_percent) {
            return Some(Refusal::NotEligible);
        }
        if at.bought.is_some() && worth.minor == 0 {
            return Some(Refusal::NothingStands { lapsed: worth.lapsed });
        }
        if let Some(refusal) = self.refuse_referral(at, terms, offer) {
            return Some(refusal);
        }
        // Not before: while nothing qualifies the other side was told nothing, and why is the
        // purchase itself.
        if trust.other_barred {
            return Some(Refusal::NotEligible);
        }
        // What an erased person was is not known any more: what was true of a purchase stays.
        if self.member.head.erased && terms.reads_profile() {
            let was = at.placed.purchase.grant(&offer.id).is_some_and(|grant| grant.terms_minor > 0);
            return (!was).then_some(Refusal::NotEligible);
        }
        at.asked(terms).and_then(|when| case.check(when).err())
        // From here on the terms give; caps, stacking and budget may still cut.
    }

    fn refuse_referral(&self, at: &At<'_>, terms: &Terms, offer: &Offer) -> Option<Refusal> {
        match (&at.placed.purchase.occasion, &terms.trigger) {
            (Some(Occasion::Referral(referral)), _) if referral.qualified.is_none() => {
                Some(Refusal::NothingStands { lapsed: false })
            }
            (None, Trigger::Referral { .. }) => {
                if self.member.head.referred_by.as_ref().is_none_or(|(_, referred_at)| *referred_at > at.time) {
                    return Some(Refusal::NotReferred);
                }
                let qualified = super::referral::qualified(self.member, offer, self.mark, &self.policy.lapse);
                (qualified.map(|(index, _)| index) != Some(at.index)).then_some(Refusal::NotQualifying)
            }
            _ => None,
        }
    }

    /// What the terms give under the member's caps; nothing yet for a share of another.
    fn give(&self, at: &At<'_>, case: &Case<'_>, offer: &Offer) -> Result<i64, Refusal> {
        if self.member.head.erased && case.terms.reads_profile() {
            let was = at.placed.purchase.grant(&offer.id).map_or(0, |grant| grant.terms_minor);
            return Ok(if at.bought.is_some() && case.reward.is_money() { was.min(at.worth.minor) } else { was });
        }
        match case.give()? {
            Some(given) => self.capped(given, at.placed, case.terms, case.reward, offer),
            None => Ok(0),
        }
    }

    /// Cuts a reward to what the member's caps leave.
    fn capped(
        &self,
        given: i64,
        placed: &Placed,
        terms: &Terms,
        reward: &Reward,
        offer: &Offer,
    ) -> Result<i64, Refusal> {
        let is_referral = matches!(placed.purchase.occasion, Some(Occasion::Referral(_)));
        self.left_of_caps(given, (placed.local, placed.local_day), is_referral, terms, reward, offer)
    }

    /// What perks that were used and then taken back leave of what an offer would give.
    pub(super) fn left_of_kept(&self, given: i64, terms: &Terms, offer: &OfferId) -> Result<i64, Refusal> {
        match self.kept.stand_for(offer, terms.unit(), given) {
            all if all > 0 && all == given => Err(Refusal::UsedBefore { minor: all }),
            some => Ok(given - some),
        }
    }

    /// What the member's caps leave of a reward at a local time and its day.
    pub(super) fn left_of_caps(
        &self,
        given: i64,
        (local, local_day): (civil::DateTime, i32),
        is_referral: bool,
        terms: &Terms,
        reward: &Reward,
        offer: &Offer,
    ) -> Result<i64, Refusal> {
        let uses = self.usage.of(&offer.id);
        let sealed = |every: Period| self.member.sealed_use(&offer.id, every, local);
        let in_period = |every: Period| {
            let now = period(every, local, local_day);
            // The order is nearly that of local days: from the newest, until a period's length
            // and the difference of two zones lie behind.
            let near = move |used: &&Use| longest_days(every).is_none_or(|days| local_day - used.local_day <= days + 2);
            let recent = uses.iter().rev().take_while(near);
            recent.filter(move |used| period(every, used.local, used.local_day) == now)
        };
        let referral_cap = terms.limits.referrals.filter(|_| is_referral);
        for cap in terms.limits.per_member.into_iter().chain(referral_cap) {
            let used = u32::try_from(in_period(cap.every).count()).unwrap_or(u32::MAX);
            let used = used.saturating_add(sealed(cap.every).0);
            if used >= cap.count {
                return Err(Refusal::CapReached { cap: cap.count, used, every: cap.every });
            }
        }
        let in_all = terms.limits.reward_per_member_minor.map(|cap| (cap, Period::Ever));
        let in_time = terms.limits.reward_per_period.map(|cap| (cap.minor, cap.every));
        let mut left = given;
        for (cap, every) in in_all.into_iter().chain(in_time) {
            let used = in_period(every).map(|used| used.minor).sum::<i64>() + sealed(every).1;
            left = left.min(cap - used);
            if left <= 0 {
                return Err(Refusal::RewardCapReached { cap, unit: reward.what.unit(terms.currency), every });
            }
        }
        Ok(left)
    }

    /// Offers that give a share of what another gives, now that it is known.
    fn shares_of_others(&self, candidates: &mut [Candidate<'_>], placed: &Placed, worth: &Worth<'_>) {
        for place in 0..candidates.len() {
            let Amount::OfAnother { offer: of, basis_points } = &candidates[place].reward.amount else { continue };
            if candidates[place].line.refusal.is_some() {
                continue;
            }
            let other = candidates
                .iter()
                .find(|other| &other.line.offer == of && !matches!(other.reward.amount, Amount::OfAnother { .. }));
            let unit = candidates[place].line.unit;
            let base = other.filter(|other| other.line.unit == unit).map_or(0, |other| other.line.terms_minor);
            let share = basis_points.of_floor(base);
            let is_bought = placed.purchase.occasion.is_none();
            let share = if is_bought && unit.currency().is_some() { share.min(worth.minor) } else { share };
            let Candidate { terms, reward, line, .. } = &candidates[place];
            let given = match self.book.offer(&line.offer) {
                Some(offer) if share > 0 => self.capped(share, placed, terms, reward, offer),
                _ => Err(Refusal::OtherGivesNothing { offer: of.clone() }),
            };
            let line = &mut candidates[place].line;
            match given {
                Ok(minor) => {
                    (line.terms_minor, line.due_minor) = (minor, minor);
                    self.kept.set_off(line, &placed.purchase);
                }
                Err(refusal) => line.refusal = Some(refusal),
            }
        }
    }
}

/// When an offer began: by its terms, or else when it was first published.
fn starts(offer: &Offer, terms: &Terms) -> OfferStarts {
    terms.starts.map_or_else(|| OfferStarts::At(offer.published_first()), OfferStarts::Local)
}

/// Whether an offer over a category takes a purchase.
fn takes(offer: &Offer, placed: &Placed) -> bool {
    placed.tally.mcc.is_some_and(|mcc| offer.takes_category(mcc, placed.merchant.as_ref()))
}

fn sealed_at(member: &MemberState, merchant: &MerchantId) -> Sealed {
    let totals = || member.head.sealed.iter().filter(|total| &total.merchant == merchant && total.purchases > 0);
    // Spend counts in one currency: the one most was bought in.
    let most = totals().max_by_key(|total| (total.purchases, std::cmp::Reverse(total.unit)));
    Sealed {
        purchases: totals().map(|total| i64::from(total.purchases)).sum(),
        spend_minor: most.map_or(0, |total| total.worth_minor),
        currency: most.and_then(|total| total.unit.currency()),
        last_at: totals().filter_map(|total| total.last_at).max(),
    }
}

/// What is due of a reward under its budget, and what is to be asked of it. Due is what the
/// terms give, cut to what the budget granted. Lower is free; higher needs a new reservation,
/// and only when the terms rose or the purchase itself spoke.
fn verdict(
    line: &Line,
    budgeted: bool,
    purchase: &Purchase,
    own: Option<&PurchaseKey>,
    raises: &Raises,
) -> (i64, Option<i64>) {
    let (granted, terms_before) = purchase.grant(&line.offer).map_or((0, 0), |g| (g.amount_minor, g.terms_minor));
    let more = line.terms_minor - granted;
    if !budgeted || more <= 0 {
        return (line.terms_minor, None);
    }
    let may_ask = own == Some(&purchase.key) || line.terms_minor > terms_before;
    match raises.get(&(purchase.key.clone(), line.offer.clone())) {
        Some(raise) => (granted + raise.minor.min(more), None),
        None if may_ask => (line.terms_minor, Some(more)),
        None => (granted, None),
    }
}

/// Whether it was the day's budget that left less than the terms say: as it was answered now,
/// or when it was last asked.
fn by_day(line: &Line, purchase: &Purchase, raises: &Raises) -> bool {
    let before = || purchase.grant(&line.offer).is_some_and(|grant| grant.day_spent);
    let raise = raises.get(&(purchase.key.clone(), line.offer.clone()));
    raise.map_or_else(before, |raise| raise.day_spent)
}

/// What has expired is due only as far as it was used, and a perk that was used stays, since
/// nobody can give it back.
fn keep_what_is_gone_or_used(line: &mut Line, purchase: &Purchase, mark: Timestamp) {
    let used = purchase.grant(&line.offer).map_or(0, |grant| grant.used_minor);
    if line.due_minor > used && line.expires_at.is_some_and(|at| at <= mark) {
        (line.terms_minor, line.due_minor) = (used, used);
        line.refusal = Some(Refusal::Expired);
    }
    if matches!(line.unit, Unit::Perk(_)) && line.due_minor < used {
        line.kept_minor = used - line.due_minor;
        (line.terms_minor, line.due_minor) = (used, used);
    }
}

/// Days of the longest period of a kind; `None` is without end.
fn longest_days(every: Period) -> Option<i32> {
    match every {
        Period::Day => Some(1),
        Period::Week => Some(7),
        Period::Month => Some(31),
        Period::Year => Some(366),
        Period::Ever => None,
    }
}

/// A reward that uses caps.
struct Use {
    local: civil::DateTime,
    local_day: i32,
    minor: i64,
}

impl Use {
    fn new(placed: &Placed, minor: i64) -> Self {
        Self { local: placed.local, local_day: placed.local_day, minor }
    }
}

/// What earlier purchases used of each offer's caps, oldest first.
#[derive(Default)]
struct Usage(hashbrown::HashMap<OfferId, Vec<Use>>);

impl Usage {
    fn add(&mut self, offer: &OfferId, used: Use) {
        self.0.entry_ref(offer).or_default().push(used);
    }
    fn of(&self, offer: &OfferId) -> &[Use] {
        self.0.get(offer).map_or(&[], Vec::as_slice)
    }
}
