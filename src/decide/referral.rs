//! Referrals: which purchase of a referred member qualifies, and what is told to who
//! referred them.
//!
//! A referral is a fact about another member. What the referred member's state says of it is
//! told to the referrer, who keeps it as a register: the higher version wins, the same twice
//! changes nothing. So both sides decide from their own state alone, and a refund on one side
//! reaches the other as a newer version.

use super::assign::assign;
use super::member::{MemberState, Placed};
use super::worth::{LapsePolicy, Worth};
use crate::domain::member::{MemberHead, Standing};
use crate::domain::offer::{InForce, Offer, Reach, Terms, Trigger};
use crate::domain::purchase::{Qualified, REFERRAL, Referral, entry_key};
use crate::domain::{MemberId, MerchantId, OfferId, PurchaseId, PurchaseKey, Timestamp};

/// The referred member's first purchase, in order, that qualifies their referral under an
/// offer: its place, and what is told of it. Not before the referral, at the offer's merchant
/// or in its reach, by a card of theirs that its source credits, in the offer's currency, and
/// worth as much as the version in force when it was made asks for. `None` too when that
/// purchase is sealed: it is final then, and in the head.
///
/// Linear in the member's purchases up to it, and what [`assign`] takes.
#[must_use]
pub fn qualified(
    member: &MemberState,
    offer: &Offer,
    mark: Timestamp,
    lapse: &LapsePolicy,
) -> Option<(usize, Qualified)> {
    let (_, referred_at) = member.head.referred_by.as_ref()?;
    if member.head.qualified.iter().any(|(known, _)| *known == offer.id) {
        return None;
    }
    let from = member.purchases.partition_point(|placed| placed.time < *referred_at);
    let assigned = if from < member.purchases.len() { assign(member, None, mark, lapse) } else { return None };
    member.purchases.iter().enumerate().skip(from).find_map(|(index, placed)| {
        if !placed.is_purchase {
            return None;
        }
        let InForce::Version(version) = offer.in_force(placed.time) else { return None };
        let Trigger::Referral { spend_at_least_minor, .. } = version.terms.trigger else { return None };
        let worth = placed.worth(mark, lapse).less(assigned.taken(index));
        let large = worth.minor >= spend_at_least_minor.max(1) && worth.currency == Some(version.terms.currency);
        if !large || !reached(&version.terms, placed, &worth) || !theirs(member, placed) {
            return None;
        }
        let cleared_at = worth.cleared_at.filter(|_| worth.complete);
        Some((index, Qualified { purchase: placed.purchase.key.clone(), at: placed.time, cleared_at }))
    })
}

/// Whether an offer looks at a purchase made there and then.
fn reached(terms: &Terms, placed: &Placed, worth: &Worth<'_>) -> bool {
    let there = match &terms.reach {
        Reach::Merchant => placed.merchant.as_ref() == Some(&terms.merchant),
        Reach::Category { mcc, except } => {
            let of_them = worth.mcc.is_some_and(|code| mcc.iter().any(|range| range.contains(&code)));
            of_them && placed.merchant.as_ref().is_none_or(|merchant| !except.contains(merchant))
        }
    };
    let local = placed.local;
    there && terms.starts.is_none_or(|starts| local >= starts) && terms.ends.is_none_or(|ends| local < ends)
}

/// Whether it was made by a card that was the member's then, and credited by its source.
fn theirs(member: &MemberState, placed: &Placed) -> bool {
    let link = member.link_of(placed);
    link.is_some_and(|link| member.other_source(link, placed.time).is_none())
}

/// What a referred member's state says of their referral under an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The offer.
    pub offer: OfferId,
    /// The purchase that qualifies.
    pub qualified: Qualified,
    /// As [`Referral::clear`].
    pub clear: bool,
    /// As [`Referral::barred`].
    pub barred: bool,
}

/// What there is to tell of a member's referral, per offer; nothing while no purchase
/// qualifies.
#[must_use]
pub fn told<'a>(
    member: &MemberState,
    offers: impl IntoIterator<Item = &'a Offer>,
    mark: Timestamp,
    lapse: &LapsePolicy,
) -> Vec<Told> {
    if member.head.referred_by.is_none() {
        return Vec::new();
    }
    let tell = |offer: &Offer| {
        let sealed = member.head.qualified.iter().find(|(known, _)| *known == offer.id);
        let qualified = match sealed {
            Some((_, qualified)) => qualified.clone(),
            None => qualified(member, offer, mark, lapse)?.1,
        };
        let (clear, barred) = trust(&member.head, offer.merchant(), qualified.at);
        Some(Told { offer: offer.id.clone(), qualified, clear, barred })
    };
    offers.into_iter().filter_map(tell).collect()
}

/// Whether a member is trusted without reserve where a referral is concerned, and whether
/// they are barred: by the strictest standing that concerns a purchase there and then.
#[must_use]
pub fn trust(head: &MemberHead, merchant: &MerchantId, at: Timestamp) -> (bool, bool) {
    let standing = head.standing(merchant, at).map_or(Standing::Clear, |step| step.standing);
    (standing == Standing::Clear, standing == Standing::Barred)
}

impl Told {
    /// As the referrer holds it.
    #[must_use]
    pub fn referral(self, referred: &MemberId, referred_at: Timestamp, version: u64) -> Referral {
        let Self { offer, qualified, clear, barred } = self;
        Referral { offer, referred: referred.clone(), referred_at, version, qualified: Some(qualified), clear, barred }
    }
}

/// Whether two tellings say the same, whatever their versions.
#[must_use]
pub fn same(one: &Referral, other: &Referral) -> bool {
    *one == Referral { version: one.version, ..other.clone() }
}

/// Under which key the referrer keeps a referral: offer and referred member, or a hash of
/// them when they are too long for an id.
#[must_use]
pub fn key(offer: &OfferId, referred: &MemberId) -> PurchaseKey {
    // An offer with a colon in its id could be read in two ways.
    let plain = Some(format!("{offer}:{referred}")).filter(|_| !offer.as_str().contains(':'));
    let id = plain.and_then(|text| PurchaseId::new(text).ok()).unwrap_or_else(|| {
        let hash = |text: &str| xxhash_rust::xxh3::xxh3_128(text.as_bytes());
        let text = format!("{:032x}:{:032x}", hash(offer.as_str()), hash(referred.as_str()));
        PurchaseId::new(text).expect("sixty-five plain bytes")
    });
    entry_key(REFERRAL, id)
}

#[cfg(test)]
#[path = "referral_tests.rs"]
mod tests;
