//! What a record does to a member's state. The live path and the replay of a journal
//! run this same code, so they cannot differ.

use super::member::MemberState;
use super::referral;
use super::settle::GrantChange;
use crate::domain::member::{SealedProfile, SignalCount};
use crate::domain::purchase::{Grant, HeldEvent, Occasion, Purchase, Referral, SIGNAL, Stage, entry_key};
use crate::domain::{CardHash, MemberId, PurchaseId, PurchaseKey, Timestamp, Unit};
use crate::ledger;
use crate::record::{Envelope, EventInput, Exchange, LotUse, MemberInput, Redemption, Rematch, Signal};

/// What a record touched besides the head, so that only that is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// Purchases that changed.
    pub purchases: Vec<PurchaseKey>,
    /// Purchases that are gone: sealed into totals.
    pub sealed: Vec<PurchaseKey>,
    /// Events of sealed purchases that may come again, each with its purchase.
    pub outlived: Vec<(HeldEvent, PurchaseKey)>,
}

impl Touched {
    fn purchase(&mut self, key: &PurchaseKey) {
        if !self.purchases.contains(key) {
            self.purchases.push(key.clone());
        }
    }
}

/// Applies the input, before anything is decided. Whoever has the members' keys opens the
/// profiles after a registration: they are sealed here.
pub fn apply_input(member: &mut MemberState, input: &MemberInput, touched: &mut Touched) {
    match input {
        MemberInput::Registered { joined_at, referred_by, profile, links } => {
            let head = &mut member.head;
            head.joined_at = *joined_at;
            let who = |by: &Option<(MemberId, Timestamp)>| by.as_ref().map(|(by, _)| by.clone());
            if who(&head.referred_by) != who(referred_by) {
                // What was known is of somebody else.
                head.referrer.clear();
                head.qualified.clear();
            }
            head.referred_by.clone_from(referred_by);
            if let Some(step) = profile {
                put_profile(&mut head.profiles, step);
            }
            head.links.clone_from(links);
        }
        MemberInput::CardLinked { link, replaces, .. } => {
            if let Some(old) = replaces {
                end_card(member, *old, link.from);
            }
            member.head.cards.push(link.clone());
        }
        MemberInput::CardUnlinked { card, at } => end_card(member, *card, *at),
        MemberInput::Activated(step) => member.head.activations.push(step.clone()),
        MemberInput::Event(input) => insert_event(member, input, touched),
        MemberInput::TimePassed { sealed, totals, forget_before, qualified } => {
            member.head.qualified.extend(qualified.iter().cloned());
            for placed in member.purchases.iter().filter(|placed| sealed.contains(&placed.purchase.key)) {
                let young = placed.purchase.events.iter().filter(|event| event.occurred_at >= *forget_before);
                touched.outlived.extend(young.map(|event| (event.clone(), placed.purchase.key.clone())));
            }
            member.head.outlived |= !touched.outlived.is_empty();
            member.purchases.retain(|placed| !sealed.contains(&placed.purchase.key));
            for total in totals {
                let same = |old: &&mut crate::domain::member::SealedTotal| {
                    old.merchant == total.merchant && old.unit == total.unit
                };
                match member.head.sealed.iter_mut().find(same) {
                    Some(old) => old.clone_from(total),
                    None => member.head.sealed.push(total.clone()),
                }
            }
            touched.sealed.extend(sealed.iter().cloned());
        }
        MemberInput::Rematched(rematch) => move_event(member, rematch, touched),
        MemberInput::DecidedAgain => {}
        MemberInput::StandingSet(step) => member.head.standings.push(step.clone()),
        MemberInput::Redeemed(redemption) => redeem(member, redemption, touched),
        MemberInput::Signalled(signal) if signal.entry => {
            let mut purchase = Purchase::new(entry_key(SIGNAL, signal.id.clone()));
            let Signal { kind, offer, at, .. } = signal.clone();
            purchase.occasion = Some(Occasion::Signal { kind, offer, at });
            touched.purchase(&purchase.key);
            member.place(purchase);
        }
        MemberInput::Signalled(signal) => count_signal(&mut member.head.signals, signal),
        MemberInput::ReferralTold(told) => hold_referral(member, told, touched),
        MemberInput::ReferrerTold(told) => {
            let known = &mut member.head.referrer;
            match known.iter_mut().find(|known| known.offer == told.offer) {
                Some(known) if known.version < told.version => known.clone_from(told),
                Some(_) => {}
                None => known.push(told.clone()),
            }
        }
        MemberInput::Erased { .. } => {
            let head = &mut member.head;
            head.erased = true;
            head.signals.clear();
            head.profiles.clear();
            head.links.clear();
            // Who referred them stays: the referrer's books go on resting on it.
            for link in &mut head.cards {
                link.token = None;
            }
            member.profiles.clear();
        }
        MemberInput::Screened { through } => {
            member.head.screened = member.head.screened.max(*through);
            // Only their hold keeps these back from now on: their day comes earlier.
            let waits =
                |grant: &Grant| grant.stage == Stage::Posted && grant.amount_minor > 0 && grant.earned_at <= *through;
            for placed in member.purchases.iter().filter(|placed| placed.purchase.grants.iter().any(waits)) {
                touched.purchase(&placed.purchase.key);
            }
        }
    }
}

/// Applies the decision and the envelope, after the input.
pub fn apply_changes(member: &mut MemberState, envelope: &Envelope, changes: &[GrantChange], touched: &mut Touched) {
    for change in changes {
        if let Some(at) = member.find(&change.purchase) {
            let purchase = std::sync::Arc::make_mut(&mut member.purchases[at].purchase);
            match purchase.grants.iter_mut().find(|grant| grant.offer == change.grant.offer) {
                Some(grant) => grant.clone_from(&change.grant),
                None => purchase.grants.push(change.grant.clone()),
            }
            touched.purchase(&change.purchase);
        }
        for legs in &change.transfers {
            post(member, change.grant.unit, *legs);
        }
    }
    let head = &mut member.head;
    head.version = envelope.version;
    let last = crate::domain::member::RecordRef { process: envelope.process, number: envelope.number };
    head.apply(last, envelope.first_said());
    head.mark = head.mark.max(envelope.mark);
}

/// Ids of one kind's signals that are remembered.
const RECENT_MAX: usize = 16;

/// Counts a signal that no offer asked for.
fn count_signal(counts: &mut Vec<SignalCount>, signal: &Signal) {
    let Signal { kind, at, .. } = *signal;
    let place = counts.iter().position(|count| count.kind == kind).unwrap_or_else(|| {
        counts.push(SignalCount { kind, count: 0, first: at, last: at, recent: Vec::new() });
        counts.len() - 1
    });
    let count = &mut counts[place];
    count.count += 1;
    (count.first, count.last) = (count.first.min(at), count.last.max(at));
    if count.recent.len() == RECENT_MAX {
        count.recent.remove(0);
    }
    count.recent.push(signal_hash(&signal.id));
}

/// By which a counted signal is known again.
#[must_use]
pub fn signal_hash(id: &PurchaseId) -> u64 {
    xxhash_rust::xxh3::xxh3_64(id.as_str().as_bytes())
}

/// Holds what is told of a referral, unless something newer is held.
fn hold_referral(member: &mut MemberState, told: &Referral, touched: &mut Touched) {
    let key = referral::key(&told.offer, &told.referred);
    let known = member.find(&key).map(|at| member.purchases[at].purchase.as_ref().clone());
    let mut purchase = known.unwrap_or_else(|| Purchase::new(key));
    if let Some(Occasion::Referral(held)) = &purchase.occasion
        && held.version >= told.version
    {
        return;
    }
    purchase.occasion = Some(Occasion::Referral(told.clone()));
    touched.purchase(&purchase.key);
    member.place(purchase);
}

/// Puts a profile at its place; what was said for the same instant is replaced.
fn put_profile(profiles: &mut Vec<SealedProfile>, step: &SealedProfile) {
    match profiles.binary_search_by_key(&step.at, |known| known.at) {
        Ok(place) => profiles[place].clone_from(step),
        Err(place) => profiles.insert(place, step.clone()),
    }
}

fn post(member: &mut MemberState, unit: Unit, legs: ledger::Legs) {
    let balances = &mut member.head.balances;
    let at = balances.binary_search_by_key(&unit, |(of, _)| *of).unwrap_or_else(|at| {
        balances.insert(at, (unit, crate::domain::member::Balance::default()));
        at
    });
    ledger::post(&mut balances[at].1, legs);
}

fn end_card(member: &mut MemberState, card: CardHash, at: Timestamp) {
    // The earliest end counts, whichever was said first.
    for link in member.head.cards.iter_mut().filter(|link| link.card == card && link.to.is_none_or(|to| at < to)) {
        link.to = Some(at.max(link.from));
    }
}

fn insert_event(member: &mut MemberState, input: &EventInput, touched: &mut Touched) {
    let known = member.find(&input.purchase).map(|at| member.purchases[at].purchase.as_ref().clone());
    let mut purchase = known.unwrap_or_else(|| Purchase::new(input.purchase.clone()));
    let mut event = input.event.clone();
    event.matched = input.matched.as_ref().map(|matched| purchase.match_index(matched));
    purchase.insert(event);
    touched.purchase(&input.purchase);
    member.place(purchase);
}

fn move_event(member: &mut MemberState, rematch: &Rematch, touched: &mut Touched) {
    let Some(at) = member.find(&rematch.purchase) else { return };
    let mut purchase = member.purchases[at].purchase.as_ref().clone();
    let is_it = |event: &HeldEvent| event.key == rematch.event && event.card == rematch.card;
    let Some(place) = purchase.events.iter().position(is_it) else { return };
    let mut event = purchase.events.remove(place);
    event.matched = rematch.matched.as_ref().map(|matched| purchase.match_index(matched));
    event.occurred_at = rematch.occurred_at;
    purchase.insert(event);
    touched.purchase(&rematch.purchase);
    member.place(purchase);
}

fn redeem(member: &mut MemberState, redemption: &Redemption, touched: &mut Touched) {
    for (uses, sign) in [(&redemption.lots, 1), (&redemption.settled, -1)] {
        for lot in uses {
            use_lot(member, lot, sign * lot.minor, redemption.unit, touched);
        }
    }
    if let Some(Exchange { entry, offer, version, at }) = &redemption.exchange {
        let occasion = Occasion::Exchange { offer: offer.clone(), version: *version, at: *at };
        member.place(Purchase { occasion: Some(occasion), ..Purchase::new(entry.clone()) });
        touched.purchase(entry);
    }
    let id = member.head.id.clone();
    for transfer in redemption.transfers(&id) {
        post(member, transfer.unit, transfer.legs);
    }
}

fn use_lot(member: &mut MemberState, lot: &LotUse, minor: i64, unit: Unit, touched: &mut Touched) {
    match (&lot.purchase, &lot.offer) {
        (Some(purchase), Some(offer)) => {
            if let Some(at) = member.find(purchase) {
                let purchase = std::sync::Arc::make_mut(&mut member.purchases[at].purchase);
                for grant in purchase.grants.iter_mut().filter(|grant| &grant.offer == offer) {
                    grant.used_minor += minor;
                }
            }
            touched.purchase(purchase);
        }
        _ => {
            let sealed = member.head.sealed.iter_mut();
            for total in sealed.filter(|total| total.merchant == lot.merchant && total.unit == unit) {
                total.available_minor -= minor;
            }
        }
    }
}
