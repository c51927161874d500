//! Perks that were used and are earned no longer. Nobody can give a cup of coffee back, so it
//! stays; but it stands for the next one that the same offer gives, or a punch card could be
//! filled, spent and taken back again and again.

use super::judge::Line;
use super::refusal::Refusal;
use super::walk::Passed;
use crate::domain::member::MemberHead;
use crate::domain::purchase::Purchase;
use crate::domain::{OfferId, Unit};
use std::cell::OnceCell;

/// By offer, how many more perks stand than were earned.
type ByOffer = hashbrown::HashMap<OfferId, i64>;

/// How many more perks of each offer stand than were earned, by the purchases passed.
#[derive(Default)]
pub(super) struct Kept {
    /// By sealed purchases, and by those that this run judged.
    known: ByOffer,
    /// By those passed as they were decided before; found out when an offer of a perk asks.
    passed: OnceCell<ByOffer>,
}

impl Kept {
    /// What sealed purchases left.
    pub(super) fn of_sealed(head: &MemberHead) -> Self {
        let mut kept = Self::default();
        for used in head.sealed.iter().flat_map(|total| &total.offers) {
            kept.add(&used.offer, used.kept);
        }
        kept
    }

    /// Kept when above zero, set off when below.
    #[inline]
    pub(super) fn add(&mut self, offer: &OfferId, minor: i64) {
        add(&mut self.known, offer, minor);
    }

    /// What a purchase was decided to keep and to set off.
    pub(super) fn add_decided(&mut self, purchase: &Purchase) {
        add_decided(&mut self.known, purchase);
    }

    /// What a purchase keeps of offers that look at it no longer.
    pub(super) fn add_gone(&mut self, purchase: &Purchase, looks: impl Fn(&OfferId) -> bool) {
        add_gone(&mut self.known, purchase, looks);
    }

    /// How many of so many perks are already the member's, and not given again.
    pub(super) fn stand_for(&self, passed: &[Passed<'_>], offer: &OfferId, unit: Unit, given: i64) -> i64 {
        if !matches!(unit, Unit::Perk(_)) {
            return 0;
        }
        let of = |by_offer: &ByOffer| by_offer.get(offer).copied().unwrap_or(0);
        let kept = of(&self.known) + of(self.passed.get_or_init(|| by_passed(passed)));
        kept.clamp(0, given.max(0))
    }

    /// Sets what was kept off against what a line gives, but not against what was used of
    /// itself.
    #[inline]
    pub(super) fn set_off(&self, passed: &[Passed<'_>], line: &mut Line, purchase: &Purchase) {
        let is_perk = matches!(line.unit, Unit::Perk(_));
        if !is_perk || self.stand_for(passed, &line.offer, line.unit, line.terms_minor) == 0 {
            return;
        }
        let used = line.had(purchase).map_or(0, |grant| grant.used_minor);
        let off = self.stand_for(passed, &line.offer, line.unit, line.terms_minor - used);
        if off > 0 {
            line.terms_minor -= off;
            (line.due_minor, line.kept_minor) = (line.terms_minor, -off);
            line.refusal = Some(Refusal::UsedBefore { minor: off });
        }
    }
}

#[inline]
fn add(to: &mut ByOffer, offer: &OfferId, minor: i64) {
    if minor != 0 {
        *to.entry_ref(offer).or_default() += minor;
    }
}

fn add_decided(to: &mut ByOffer, purchase: &Purchase) {
    purchase.grants.iter().for_each(|grant| add(to, &grant.offer, grant.kept_minor));
}

fn add_gone(to: &mut ByOffer, purchase: &Purchase, looks: impl Fn(&OfferId) -> bool) {
    // Nearly none has any: the offers are compared last.
    for grant in purchase.grants.iter().filter(|grant| grant.used_perks() > 0 && !looks(&grant.offer)) {
        add(to, &grant.offer, grant.used_perks());
    }
}

fn by_passed(passed: &[Passed<'_>]) -> ByOffer {
    let mut kept = ByOffer::new();
    for Passed { placed, in_scope } in passed {
        if *in_scope {
            add_decided(&mut kept, &placed.purchase);
        } else {
            add_gone(&mut kept, &placed.purchase, |_| false);
        }
    }
    kept
}
