//! Referrals that qualify.

use super::member::MemberState;
use super::worth::LapsePolicy;
use crate::domain::Timestamp;
use crate::domain::offer::Offer;
use crate::domain::purchase::Qualified;

/// The purchase that qualifies a member's referral under an offer.
#[must_use]
pub fn qualified(
    _member: &MemberState,
    _offer: &Offer,
    _mark: Timestamp,
    _lapse: &LapsePolicy,
) -> Option<(usize, Qualified)> {
    None
}
