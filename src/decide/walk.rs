//! The walk over a member's purchases in their order: what of those passed the later ones
//! depend on. Offers and the purchases they look at together have numbers for the time of one
//! walk, so that ids are compared once and not for every purchase.

use super::assign::{Assigned, assign};
use super::caps::{Earlier, Uses};
use super::evaluate::Case;
use super::history::{Bought, History, OfferStarts, Sealed};
use super::kept::Kept;
use super::line::At;
use super::member::{MemberState, Placed};
use super::refusal::Refusal;
use super::worth::Worth;
use super::{OfferBook, Policy};
use crate::domain::offer::{Offer, Reward, Terms};
use crate::domain::purchase::{Occasion, Purchase};
use crate::domain::time::civil_day;
use crate::domain::{MerchantId, OfferId, Timestamp, Unit};
use jiff::civil;
use std::cell::RefCell;
use std::sync::Arc;

/// One judging: what is known of the purchases already passed.
pub(super) struct Run<'a> {
    pub(super) member: &'a MemberState,
    /// Merchants concerned; `None` is all.
    merchants: Option<&'a [MerchantId]>,
    pub(super) book: &'a dyn OfferBook,
    pub(super) policy: &'a Policy,
    pub(super) mark: Timestamp,
    assigned: Assigned<'a>,
    pub(super) kept: Kept,
    passed: Vec<Passed<'a>>,
    /// What those passed used of caps, looked up as far back as an offer asks.
    pub(super) earlier: RefCell<Earlier<'a>>,
    offers: Vec<Known<'a>>,
    by_id: hashbrown::HashMap<&'a OfferId, usize>,
    shelves: Vec<Shelf<'a>>,
    by_merchant: hashbrown::HashMap<&'a MerchantId, usize>,
    /// The merchant asked for last, and its shelf when it is concerned: mostly it is the next
    /// one's too.
    last: Option<(&'a MerchantId, Option<usize>)>,
    /// Numbers of the offers over a category.
    wide: Vec<usize>,
}

/// How a judging looks at a purchase.
#[derive(Clone, Copy)]
pub(super) struct Concern {
    /// Whether it is judged. An offer is one merchant's: what others gave uses none of its caps.
    pub(super) in_scope: bool,
    /// The shelf of its merchant, when that is concerned.
    own: Option<usize>,
}

/// A purchase passed as it was decided before.
pub(super) struct Passed<'a> {
    pub(super) placed: &'a Placed,
    /// What it was granted uses caps; else no offer in scope looks at it any more.
    pub(super) in_scope: bool,
}

/// An offer with what this judging knows of it.
struct Known<'a> {
    offer: &'a Offer,
    is_wide: bool,
    /// When it began, unless its terms say.
    published_first: Timestamp,
    /// The purchases it looks at.
    shelf: usize,
    /// Kept up as it is asked, which changes no answer.
    uses: RefCell<Uses>,
}

/// Purchases that offers look at together: those at a merchant, or those that an offer over a
/// category takes.
struct Shelf<'a> {
    /// Numbers of the merchant's own offers, by id.
    offers: Vec<usize>,
    /// Whether any of its offers looks back at all.
    looks_back: bool,
    history: History<'a>,
    /// When the member's referrals under the merchant's offers qualified.
    referrals: Vec<Timestamp>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        member: &'a MemberState,
        merchants: Option<&'a [MerchantId]>,
        book: &'a dyn OfferBook,
        policy: &'a Policy,
        mark: Timestamp,
    ) -> Self {
        // What looks beyond one merchant is judged with all of them.
        let category = book.apart().category();
        let is_occasion = |placed: &Placed| {
            !placed.is_purchase
                && matches!(placed.purchase.occasion, Some(Occasion::Signal { .. } | Occasion::Referral(_)))
        };
        let wide = !category.is_empty() || member.purchases.iter().any(is_occasion);
        let merchants = if wide { None } else { merchants };
        let mut run = Self {
            member,
            merchants,
            book,
            policy,
            mark,
            assigned: assign(member, merchants, mark, &policy.lapse),
            kept: Kept::of_sealed(&member.head),
            passed: Vec::with_capacity(member.purchases.len()),
            earlier: RefCell::default(),
            offers: Vec::new(),
            by_id: hashbrown::HashMap::new(),
            shelves: Vec::new(),
            by_merchant: hashbrown::HashMap::new(),
            last: None,
            wide: Vec::new(),
        };
        run.wide = category.iter().map(|offer| run.know(offer)).collect();
        run
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
            let concern = run.concern(placed);
            run.pass(index, Concern { in_scope: true, ..concern });
        }
        run
    }

    /// How this judging looks at a purchase.
    pub(super) fn concern(&mut self, placed: &'a Placed) -> Concern {
        let own = placed.merchant.as_ref().and_then(|merchant| self.shelf_concerned(merchant));
        let in_scope = own.is_some()
            || (self.merchants.is_none()
                && (!placed.is_purchase || self.wide.iter().any(|number| takes(self.offer(*number), placed))));
        Concern { in_scope, own }
    }

    /// The shelf of a merchant, unless that is not concerned.
    fn shelf_concerned(&mut self, merchant: &'a MerchantId) -> Option<usize> {
        if let Some((_, shelf)) = self.last.filter(|(last, _)| *last == merchant) {
            return shelf;
        }
        let is_concerned = self.merchants.is_none_or(|list| list.contains(merchant));
        let shelf = is_concerned.then(|| self.shelf_of(merchant));
        self.last = Some((merchant, shelf));
        shelf
    }

    pub(super) fn worth(&self, index: usize) -> Worth<'a> {
        let placed = &self.member.purchases[index];
        placed.worth(self.mark, &self.policy.lapse).less(self.assigned.taken(index))
    }

    /// Passes a purchase as it was decided before.
    pub(super) fn pass(&mut self, index: usize, concern: Concern) {
        let placed = &self.member.purchases[index];
        self.passed.push(Passed { placed, in_scope: concern.in_scope });
        if concern.in_scope {
            self.remember(index, concern);
        }
    }

    /// Those passed as they were decided before, oldest first.
    pub(super) fn passed(&self) -> &[Passed<'a>] {
        &self.passed
    }

    /// Counts what was granted for an entry against the caps.
    pub(super) fn use_granted(&mut self, purchase: &'a Purchase, placed: &Placed) {
        for grant in &purchase.grants {
            if let Some(offer) = self.book.offer(&grant.offer).filter(|_| grant.amount_minor > 0) {
                let number = self.know(offer);
                self.uses(number).borrow_mut().add(placed, grant.amount_minor);
            }
        }
        self.kept.add_decided(purchase);
    }

    /// No offer in scope looks at it any more; what was used of one is still had.
    pub(super) fn let_go(&mut self, purchase: &Purchase) {
        self.kept.add_gone(purchase, |_| false);
    }

    /// Lets later purchases look back at this one.
    pub(super) fn remember(&mut self, index: usize, concern: Concern) {
        let placed = &self.member.purchases[index];
        if placed.is_purchase {
            self.remember_bought(index, concern.own);
        } else if let Some(Occasion::Referral(referral)) = &placed.purchase.occasion {
            let offer = self.book.offer(&referral.offer);
            let qualified = referral.qualified.is_some() && referral.clear && !referral.barred;
            if let Some(offer) = offer.filter(|_| qualified) {
                let shelf = self.shelf_of(offer.merchant());
                self.shelves[shelf].referrals.push(placed.time);
            }
        }
    }

    fn remember_bought(&mut self, index: usize, own: Option<usize>) {
        let own = own.filter(|shelf| self.shelves[*shelf].looks_back);
        if own.is_none() && self.wide.is_empty() {
            return;
        }
        let placed = &self.member.purchases[index];
        let (minor, cleared_at) = placed.tally.standing(self.mark, &self.policy.lapse);
        let minor = minor - self.assigned.taken(index);
        if minor <= 0 || self.refused_card(placed).is_some() {
            return;
        }
        let bought = Bought::new(placed, minor, cleared_at);
        if let Some(shelf) = own {
            self.shelves[shelf].history.push(bought);
        }
        for number in &self.wide {
            let Known { offer, shelf, .. } = self.offers[*number];
            if takes(offer, placed) {
                self.shelves[shelf].history.push(bought);
            }
        }
    }

    /// Why a purchase earns nothing by its card. The door asks this of every event when it
    /// comes; an unlinking dated before it may come later, and must end in the same books.
    pub(super) fn refused_card(&self, placed: &Placed) -> Option<Refusal> {
        let Some(link) = self.member.link_of(placed) else {
            return Some(Refusal::CardNotLinked);
        };
        let credited_by = self.member.other_source(link, placed.time)?.clone();
        Some(Refusal::SeenFromAnotherSource { credited_by })
    }

    /// The number of an offer, which it gets when it is first met.
    pub(super) fn know(&mut self, offer: &'a Offer) -> usize {
        if let Some(number) = self.by_id.get(&offer.id) {
            return *number;
        }
        let shelf = if offer.is_wide() {
            self.shelves.push(Shelf {
                offers: Vec::new(),
                looks_back: offer.looks_back(),
                history: History::default(),
                referrals: Vec::new(),
            });
            self.shelves.len() - 1
        } else {
            self.shelf_of(offer.merchant())
        };
        // Its merchant's shelf may have met it just now.
        if let Some(number) = self.by_id.get(&offer.id) {
            return *number;
        }
        self.put(offer, shelf)
    }

    fn put(&mut self, offer: &'a Offer, shelf: usize) -> usize {
        let (is_wide, published_first) = (offer.is_wide(), offer.published_first());
        self.offers.push(Known { offer, is_wide, published_first, shelf, uses: RefCell::default() });
        self.by_id.insert(&offer.id, self.offers.len() - 1);
        self.offers.len() - 1
    }

    /// The purchases at a merchant, with the merchant's offers.
    fn shelf_of(&mut self, merchant: &'a MerchantId) -> usize {
        self.by_merchant.get(merchant).copied().unwrap_or_else(|| self.set_up(merchant))
    }

    fn set_up(&mut self, merchant: &'a MerchantId) -> usize {
        let own = self.book.offers_of(merchant);
        let shelf = self.shelves.len();
        let looks_back = own.iter().any(|offer| offer.looks_back());
        // Of few merchants most purchases are theirs; of many, each has few.
        let room = if looks_back && self.merchants.is_some() { self.member.purchases.len() } else { 0 };
        self.shelves.push(Shelf {
            offers: Vec::with_capacity(own.len()),
            looks_back,
            history: History::after(sealed_at(self.member, merchant), room),
            referrals: Vec::new(),
        });
        self.by_merchant.insert(merchant, shelf);
        self.offers.reserve(own.len());
        self.by_id.reserve(own.len());
        for offer in own.iter().filter(|offer| !offer.is_wide()) {
            let number = self.put(offer, shelf);
            self.shelves[shelf].offers.push(number);
        }
        shelf
    }

    /// The offer of a number.
    pub(super) fn offer(&self, number: usize) -> &'a Offer {
        self.offers[number].offer
    }

    /// What was used of the caps of an offer.
    pub(super) fn uses(&self, number: usize) -> &RefCell<Uses> {
        &self.offers[number].uses
    }

    /// The numbers of the offers of which a purchase holds grants, as these lie there; the
    /// highest of all for an offer that this judging does not know.
    pub(super) fn numbers_granted(&self, purchase: &Purchase, numbers: &mut Vec<usize>) {
        numbers.clear();
        numbers.extend(purchase.grants.iter().map(|grant| self.by_id.get(&grant.offer).copied().unwrap_or(usize::MAX)));
    }

    /// The offers that may look at a purchase or occasion, by id.
    pub(super) fn candidates(&mut self, placed: &'a Placed) -> Vec<usize> {
        match &placed.purchase.occasion {
            Some(Occasion::Signal { kind, offer, .. }) => {
                let asked = |candidate: &&Arc<Offer>| offer.as_ref().is_none_or(|offer| &candidate.id == offer);
                let found = self.book.apart().signal(*kind).iter().filter(asked);
                found.map(|offer| self.know(offer)).collect()
            }
            Some(Occasion::Referral(referral)) => {
                self.book.offer(&referral.offer).map(|offer| self.know(offer)).into_iter().collect()
            }
            Some(Occasion::Exchange { .. }) => Vec::new(),
            None => {
                let own = placed.merchant.as_ref().map(|merchant| self.shelf_of(merchant));
                let mut found = own.map_or_else(Vec::new, |shelf| self.shelves[shelf].offers.clone());
                let own = found.len();
                found.extend(self.wide.iter().filter(|number| takes(self.offer(**number), placed)));
                if found.len() > own {
                    found.sort_by_key(|number| &self.offer(*number).id);
                }
                found
            }
        }
    }

    /// An offer as it looks at what is judged.
    pub(super) fn case<'c>(&'c self, at: &'c At<'c>, number: usize, terms: &'c Terms, reward: &'c Reward) -> Case<'c> {
        let (known, shelf) = self.known(number);
        Case {
            member: self.member,
            terms,
            reward,
            bought: at.bought.as_ref(),
            history: &shelf.history,
            referrals: self.referrals(known, shelf),
            time: at.time,
            local: at.local,
            local_day: at.local_day,
            profile_at: at.profile_at,
            offer_starts: known.starts(terms),
        }
    }

    /// An offer as it looks at the member at an instant and its local reading, nothing bought.
    pub(super) fn case_without_purchase<'c>(
        &'c self,
        number: usize,
        terms: &'c Terms,
        time: Timestamp,
        local: civil::DateTime,
    ) -> Case<'c> {
        let (known, shelf) = self.known(number);
        Case {
            member: self.member,
            terms,
            reward: &terms.reward,
            bought: None,
            history: &shelf.history,
            referrals: self.referrals(known, shelf),
            time,
            local,
            local_day: civil_day(local.date()),
            profile_at: time,
            offer_starts: known.starts(terms),
        }
    }

    fn known(&self, number: usize) -> (&Known<'a>, &Shelf<'a>) {
        let known = &self.offers[number];
        (known, &self.shelves[known.shelf])
    }

    fn referrals<'c>(&'c self, known: &Known<'a>, own: &'c Shelf<'a>) -> &'c [Timestamp] {
        // An offer over a category has a shelf of its own, and its merchant's referrals.
        let at = if known.is_wide { self.by_merchant.get(known.offer.merchant()) } else { None };
        at.map_or(own, |shelf| &self.shelves[*shelf]).referrals.as_slice()
    }

    /// What perks that were used and then taken back leave of what an offer would give.
    pub(super) fn left_of_kept(&self, given: i64, unit: Unit, offer: &OfferId) -> Result<i64, Refusal> {
        match self.kept.stand_for(&self.passed, offer, unit, given) {
            all if all > 0 && all == given => Err(Refusal::UsedBefore { minor: all }),
            some => Ok(given - some),
        }
    }
}

impl Known<'_> {
    /// When the offer began: by its terms, or else when it was first published.
    fn starts(&self, terms: &Terms) -> OfferStarts {
        terms.starts.map_or(OfferStarts::At(self.published_first), OfferStarts::Local)
    }
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
