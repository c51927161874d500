//! What each candidate offer gives for one purchase, or for something else that is rewarded.

use super::budget::{by_day, keep_what_is_gone_or_used, verdict};
use super::evaluate::Case;
use super::history::{Bought, Rests};
use super::judge::{Ask, Line, Raises};
use super::member::{Placed, zone};
use super::refusal::Refusal;
use super::stack::{self, Candidate};
use super::walk::Run;
use super::worth::Worth;
use crate::domain::member::Standing;
use crate::domain::offer::{Activation, Amount, Beneficiary, Condition, InForce, Offer, Reward, Terms, Trigger};
use crate::domain::purchase::{Occasion, Stage};
use crate::domain::time::civil_day;
use crate::domain::{Code, Timestamp};
use jiff::civil;

/// What is judged: a purchase, or something else at a time.
pub(super) struct At<'a> {
    index: usize,
    placed: &'a Placed,
    worth: &'a Worth<'a>,
    pub(super) bought: Option<Bought<'a>>,
    /// Why nothing bought by its card earns anything.
    refused_card: Option<Refusal>,
    pub(super) time: Timestamp,
    pub(super) local: civil::DateTime,
    pub(super) local_day: i32,
    /// When what it is was complete; `None` while it is not.
    cleared_at: Option<Timestamp>,
    pub(super) profile_at: Timestamp,
    /// The numbers of the offers that granted something for it before.
    granted: Vec<usize>,
}

impl<'a> At<'a> {
    /// What must hold here. The condition of a referral's offer asks who refers; what it asks
    /// of the referred member stands in the branches of their own reward.
    pub(super) fn asked<'t>(&self, terms: &'t Terms) -> Option<&'t Condition> {
        let of_referred = self.bought.is_some() && matches!(terms.trigger, Trigger::Referral { .. });
        (!of_referred).then_some(&terms.when)
    }
    /// What an offer gives here, if it looks at this at all.
    pub(super) fn reward<'t>(&self, terms: &'t Terms) -> Option<&'t Reward> {
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
    /// A purchase or occasion as its candidates look at it.
    pub(super) fn at<'w>(&self, index: usize, worth: &'w Worth<'w>) -> At<'w>
    where
        'a: 'w,
    {
        let placed = &self.member.purchases[index];
        let bought = placed.is_purchase.then(|| Bought::new(placed, worth.minor, worth.wholly_cleared_at()));
        let refused_card = bought.as_ref().and_then(|_| self.refused_card(placed));
        let mut granted = Vec::new();
        self.numbers_granted(&placed.purchase, &mut granted);
        let (time, profile_at) = match &placed.purchase.occasion {
            Some(Occasion::Referral(referral)) => (placed.time, referral.referred_at),
            _ => (placed.time, placed.time),
        };
        let cleared_at = match &placed.purchase.occasion {
            None => worth.wholly_cleared_at(),
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
        At { index, placed, worth, bought, refused_card, time, local, local_day, cleared_at, profile_at, granted }
    }

    /// What all candidate offers give, after stacking and budgets; uses caps.
    pub(super) fn lines(
        &mut self,
        index: usize,
        worth: &Worth<'a>,
        own: bool,
        raises: &Raises,
        asks: &mut Vec<Ask>,
    ) -> Vec<Line> {
        let placed = &self.member.purchases[index];
        let purchase = &placed.purchase;
        let numbers = self.candidates(placed);
        let mut lines = Vec::with_capacity(numbers.len());
        let mut candidates: Vec<Candidate<'a>> = Vec::with_capacity(numbers.len());
        let at = self.at(index, worth);
        for number in numbers {
            if let Some(candidate) = self.line(&at, number, &mut lines) {
                candidates.push(candidate);
            }
        }
        let verdict = |line: &Line, terms: &Terms| verdict(line, terms.is_budgeted(), purchase, own, raises);
        stack::choose(&mut lines, &candidates, &verdict);
        self.shares_of_others(&mut lines, &candidates, placed, worth);
        if placed.is_purchase {
            stack::cut_to_purchase(&mut lines, &candidates, worth.minor);
        }
        for (line, candidate) in lines.iter_mut().zip(&candidates) {
            let (due, ask) = verdict(line, candidate.terms);
            line.due_minor = due;
            if let Some(minor) = ask {
                asks.push(Ask { purchase: purchase.key.clone(), offer: line.offer.clone(), minor });
            }
            if line.due_minor < line.terms_minor {
                line.refusal = Some(Refusal::BudgetSpent { of_day: by_day(line, purchase, raises) });
            }
            keep_what_is_gone_or_used(line, purchase, self.mark);
            if line.due_minor > 0 {
                self.uses(candidate.number).borrow_mut().add(placed, line.due_minor);
            }
        }
        lines.iter().for_each(|line| self.kept.add(&line.offer, line.kept_minor));
        self.kept.add_gone(purchase, |offer| lines.iter().any(|line| line.offer == *offer));
        lines
    }

    /// What the offer gives here before stacking and budget; `None` when it was not
    /// published by then or looks at something else, and so is no candidate.
    fn line(&self, at: &At<'_>, number: usize, lines: &mut Vec<Line>) -> Option<Candidate<'a>> {
        let offer = self.offer(number);
        let (version, life) = match offer.in_force(at.time) {
            InForce::NotYet => return None,
            InForce::Version(version) => (version, None),
            InForce::Paused(version) => (version, Some(Refusal::OfferPaused)),
            InForce::Ended(version) => (version, Some(Refusal::OfferEnded)),
        };
        let terms = &version.terms;
        let reward = at.reward(terms)?;
        let trust = self.trust(at, terms, offer);
        let case = self.case(at, number, terms, reward);
        let granted = at.granted.iter().position(|known| *known == number);
        let cause = self.cause(at, terms, offer);
        let given = match self.refuse(at, &case, offer, life, &trust) {
            Some(refusal) => Err(refusal),
            None if cause.is_none() && terms.beneficiary != Beneficiary::Member => Err(Refusal::NoCauseChosen),
            None => self.give(at, &case, number),
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
        lines.push(Line {
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
            granted,
        });
        if let Some(line) = lines.last_mut() {
            self.kept.set_off(self.passed(), line, &at.placed.purchase);
        }
        Some(Candidate { terms, reward, number })
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
        at: &At<'_>,
        case: &Case<'_>,
        offer: &Offer,
        life: Option<Refusal>,
        trust: &Trust,
    ) -> Option<Refusal> {
        let (worth, terms) = (at.worth, case.terms);
        if at.bought.is_some() {
            if at.refused_card.is_some() {
                return at.refused_card.clone();
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
    fn give(&self, at: &At<'_>, case: &Case<'_>, number: usize) -> Result<i64, Refusal> {
        if self.member.head.erased && case.terms.reads_profile() {
            let was = at.placed.purchase.grant(&self.offer(number).id).map_or(0, |grant| grant.terms_minor);
            return Ok(if at.bought.is_some() && case.reward.is_money() { was.min(at.worth.minor) } else { was });
        }
        match case.give()? {
            Some(given) => self.capped(given, at.placed, case.terms, case.reward, number),
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
        number: usize,
    ) -> Result<i64, Refusal> {
        let is_referral = matches!(placed.purchase.occasion, Some(Occasion::Referral(_)));
        self.left_of_caps(given, (placed.local, placed.local_day), is_referral, terms, reward, number)
    }

    /// Offers that give a share of what another gives, now that it is known.
    fn shares_of_others(&self, lines: &mut [Line], candidates: &[Candidate<'_>], placed: &Placed, worth: &Worth<'_>) {
        for (place, candidate) in candidates.iter().enumerate() {
            let Amount::OfAnother { offer: of, basis_points } = &candidate.reward.amount else { continue };
            if lines[place].refusal.is_some() {
                continue;
            }
            let is_it = |other: usize| {
                &lines[other].offer == of && !matches!(candidates[other].reward.amount, Amount::OfAnother { .. })
            };
            let unit = lines[place].unit;
            let other = (0..lines.len()).find(|other| is_it(*other)).map(|other| &lines[other]);
            let base = other.filter(|other| other.unit == unit).map_or(0, |other| other.terms_minor);
            let share = basis_points.of_floor(base);
            let share = if placed.is_purchase && unit.currency().is_some() { share.min(worth.minor) } else { share };
            let given = if share > 0 {
                self.capped(share, placed, candidate.terms, candidate.reward, candidate.number)
            } else {
                Err(Refusal::OtherGivesNothing { offer: of.clone() })
            };
            let line = &mut lines[place];
            match given {
                Ok(minor) => {
                    (line.terms_minor, line.due_minor) = (minor, minor);
                    self.kept.set_off(self.passed(), line, &placed.purchase);
                }
                Err(refusal) => line.refusal = Some(refusal),
            }
        }
    }
}
