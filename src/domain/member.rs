//! What is known of a member: profile, cards, activations, standings. All are facts
//! with a time from which they count, so a purchase is judged by those in force at
//! its own time.

use super::purchase::Qualified;
use super::{CardHash, Code, MerchantId, OfferId, SourceName, Timestamp};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// A card of a member, from link to unlink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardLink {
    /// Whose token.
    pub source: SourceName,
    /// Keyed hash of source and token.
    pub card: CardHash,
    /// Purchases from here count.
    pub from: Timestamp,
    /// Purchases before here count; `None` while linked.
    pub to: Option<Timestamp>,
    /// Cards with the same group are one physical card known to several sources.
    pub group: u32,
    /// The token, for the person to see; gone when they are erased.
    pub token: Option<Sealed>,
}

/// A step of opting in or out of an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivationStep {
    /// Which offer.
    pub offer: OfferId,
    /// From when.
    pub at: Timestamp,
    /// In or out.
    pub active: bool,
}

/// How far a member is trusted, loosest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nothing known against them.
    Clear,
    /// Looked at; no consequence.
    Watched,
    /// Rewards of purchases from `since` on are frozen.
    Held,
    /// Rewards of purchases from `since` on are not due.
    Barred,
}

/// A standing, for the whole programme or for one merchant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingStep {
    /// `None` is the whole programme.
    pub merchant: Option<MerchantId>,
    /// The standing.
    pub standing: Standing,
    /// Purchases from here on are concerned.
    pub since: Timestamp,
    /// When it was set: the newest of a scope counts.
    pub set_at: Timestamp,
    /// For `barred`: whether what was already paid is asked back from the member
    /// (owed) rather than booked as fraud loss.
    pub ask_back: bool,
    /// For `held`: when it ends by itself; `None` stays until another is set.
    pub until: Option<Timestamp>,
    /// What set it.
    pub origin: StandingOrigin,
}

/// What set a standing: every consequence leads back to what caused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StandingOrigin {
    /// Somebody's direct word, without a case.
    Said,
    /// A review of a case, by its place among that case's reviews.
    Review {
        /// The case.
        case: u64,
        /// Which of its reviews.
        review: u32,
    },
    /// That review was undone.
    Undone {
        /// The case.
        case: u64,
        /// Which of its reviews.
        review: u32,
    },
    /// The written policy, when a case was opened or grew.
    Policy {
        /// The case.
        case: u64,
    },
    /// The end of a hold, by the daily mark.
    Ended,
    /// The policy's act was taken back, with the detector's version that it rested on.
    Withdrawn {
        /// The case.
        case: u64,
    },
}

impl StandingOrigin {
    /// The case that it comes from.
    #[must_use]
    pub fn case(self) -> Option<u64> {
        match self {
            Self::Review { case, .. }
            | Self::Undone { case, .. }
            | Self::Policy { case }
            | Self::Withdrawn { case } => Some(case),
            Self::Said | Self::Ended => None,
        }
    }
}

/// Where a record stands: which process wrote it, under which number of its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordRef {
    /// The process.
    pub process: u32,
    /// Its number within the partition and process.
    pub number: u64,
}

/// Personal fields sealed with the member's own key; unreadable once that is erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Where the key lies.
    pub slot: u64,
    /// The record that sealed it: with the field's place it makes the nonce.
    pub record: RecordRef,
    /// Ciphertext and tag.
    pub bytes: Vec<u8>,
}

/// What is said of a person, as decisions read it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Profile {
    /// Region in the operator's words.
    pub region: Option<String>,
    /// IANA zone.
    pub time_zone: Option<compact_str::CompactString>,
    /// Month and day.
    pub birthday: Option<(i8, i8)>,
    /// Groups in the operator's words.
    pub segments: Vec<String>,
    /// The cause their donations go to.
    pub cause: Option<Code>,
}

/// A profile from an instant on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileStep {
    /// From when it counts.
    pub at: Timestamp,
    /// What was said; it replaces all that was said before.
    pub profile: Profile,
}

/// A profile from an instant on, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedProfile {
    /// From when it counts.
    pub at: Timestamp,
    /// The [`Profile`], encoded as records are.
    pub sealed: Sealed,
}

/// Days between two changes of a birthday.
pub const BIRTHDAY_DAYS: u32 = 365;

/// Puts a step at its place, oldest first, in place of what was said for the same instant.
pub fn put_profile(steps: &mut Vec<ProfileStep>, step: ProfileStep) {
    match steps.binary_search_by_key(&step.at, |known| known.at) {
        Ok(place) => steps[place] = step,
        Err(place) => steps.insert(place, step),
    }
}

/// When a birthday may change, if these steps change it twice within [`BIRTHDAY_DAYS`]. To
/// say it first is no change, and neither is to leave it out: the one said last stands.
#[must_use]
pub fn birthday_changes_again(steps: &[ProfileStep]) -> Option<Timestamp> {
    let mut said = None;
    let mut changed: Option<Timestamp> = None;
    for (at, birthday) in steps.iter().filter_map(|step| Some((step.at, step.profile.birthday?))) {
        if said.replace(birthday).is_some_and(|before| before != birthday) {
            let again = changed.map(|before| before.plus_days(BIRTHDAY_DAYS));
            if again.is_some_and(|again| at < again) {
                return again;
            }
            changed = Some(at);
        }
    }
    None
}

/// Signals of a kind that no offer asked for when they came: counted, for screening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalCount {
    /// The kind.
    pub kind: Code,
    /// How many.
    pub count: u64,
    /// The earliest.
    pub first: Timestamp,
    /// The latest.
    pub last: Timestamp,
    /// Hashes of the last ids, newest last: the same again is not counted.
    pub recent: Vec<u64>,
}

/// How far who referred a member is trusted, as their own state says: a register that
/// follows it. The higher version wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferrerTold {
    /// Under which offer.
    pub offer: OfferId,
    /// Version of the referrer's state that this says.
    pub version: u64,
    /// Whether they are trusted: the reward is frozen while they are not.
    pub clear: bool,
    /// Whether they are barred: nothing is due.
    pub barred: bool,
}

/// A link to another member or a shared identifier, for screening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkFact {
    /// `device`, `address`, `payout`, `phone`, `email`, `ip` or another word.
    pub kind: compact_str::CompactString,
    /// Keyed hash of the identifier; the identifier itself is not kept.
    pub value: CardHash,
    /// Whether the operator has verified it.
    pub verified: bool,
    /// From when it counts.
    pub at: Timestamp,
}

/// What a member has of one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Balance {
    /// Not wholly cleared.
    pub pending_minor: i64,
    /// Cleared, inside the hold days.
    pub posted_minor: i64,
    /// Frozen by a standing.
    pub held_minor: i64,
    /// May be paid.
    pub available_minor: i64,
    /// Paid so far.
    pub paid_minor: i64,
    /// Taken back after it was paid.
    pub owed_minor: i64,
}

/// What sealed purchases at one merchant left behind of one unit, for history and for
/// pay-outs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedTotal {
    /// Where they were made.
    pub merchant: MerchantId,
    /// What it is counted in; purchases are counted under their currency.
    pub unit: super::Unit,
    /// How many stood.
    pub purchases: u32,
    /// What they were worth, minor units.
    pub worth_minor: i64,
    /// When the newest was made; `None` when none stood.
    pub last_at: Option<Timestamp>,
    /// Granted and not yet used, still payable.
    pub available_minor: i64,
    /// Rewards per offer and month.
    pub offers: Vec<SealedUse>,
}

impl SealedTotal {
    /// Nothing sealed yet.
    #[must_use]
    pub fn new(merchant: MerchantId, unit: super::Unit) -> Self {
        Self { merchant, unit, purchases: 0, worth_minor: 0, last_at: None, available_minor: 0, offers: Vec::new() }
    }
}

/// What sealed purchases of one local month used of an offer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SealedUse {
    /// Which offer.
    pub offer: OfferId,
    /// The month, as [`month_of`] counts.
    pub month: i32,
    /// Rewarded purchases.
    pub count: u32,
    /// Their reward, minor units.
    pub minor: i64,
    /// Sum of what they keep and set off, as of a grant.
    pub kept: i64,
}

/// The calendar month of a civil day (days since 1970-01-01): twelve times the year, plus
/// the month from 0.
#[must_use]
pub fn month_of(day: i32) -> i32 {
    let date = jiff::civil::date(1970, 1, 1).saturating_add(jiff::Span::new().days(day));
    i32::from(date.year()) * 12 + i32::from(date.month()) - 1
}

/// The head of a member's state: all but the purchases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberHead {
    /// The member.
    pub id: super::MemberId,
    /// Raised by one with every record.
    pub version: u64,
    /// The newest record.
    pub last: Option<RecordRef>,
    /// The newest record of each process, by process: what a shared store forgot is told by it.
    pub applied: Vec<RecordRef>,
    /// From when the person is a member.
    pub joined_at: Timestamp,
    /// Who referred them, and when.
    pub referred_by: Option<(super::MemberId, Timestamp)>,
    /// What was said of the person, sealed, oldest first.
    pub profiles: Vec<SealedProfile>,
    /// What is known of who referred them, per offer; nothing until it was told.
    pub referrer: Vec<ReferrerTold>,
    /// Purchases that qualified the referral and are sealed, per offer.
    pub qualified: Vec<(OfferId, Qualified)>,
    /// Signals that no offer asked for, per kind.
    pub signals: Vec<SignalCount>,
    /// The person was erased; the books stay.
    pub erased: bool,
    /// Shared identifiers.
    pub links: Vec<LinkFact>,
    /// Cards, oldest link first.
    pub cards: Vec<CardLink>,
    /// Opt-ins and opt-outs.
    pub activations: Vec<ActivationStep>,
    /// Standings as set.
    pub standings: Vec<StandingStep>,
    /// Per unit, in order: money by code, points, perks.
    pub balances: Vec<(super::Unit, Balance)>,
    /// The latest daily mark this member was decided under.
    pub mark: Timestamp,
    /// What sealed purchases left behind.
    pub sealed: Vec<SealedTotal>,
    /// Whether events of sealed purchases are kept by themselves, to know a redelivery.
    pub outlived: bool,
    /// Screening has passed what was recorded of the member up to here, by its own word; the
    /// daily mark says it too.
    pub screened: Timestamp,
}

impl MemberHead {
    /// A member nobody has registered yet.
    #[must_use]
    pub fn new(id: super::MemberId, joined_at: Timestamp) -> Self {
        Self {
            id,
            version: 0,
            last: None,
            applied: Vec::new(),
            joined_at,
            referred_by: None,
            profiles: Vec::new(),
            referrer: Vec::new(),
            qualified: Vec::new(),
            signals: Vec::new(),
            erased: false,
            links: Vec::new(),
            cards: Vec::new(),
            activations: Vec::new(),
            standings: Vec::new(),
            balances: Vec::new(),
            mark: Timestamp::default(),
            sealed: Vec::new(),
            outlived: false,
            screened: Timestamp::default(),
        }
    }
    /// Whether a record was applied: a process numbers the records of a member in the order in which they are.
    #[must_use]
    pub fn has_applied(&self, record: RecordRef) -> bool {
        self.applied.iter().any(|newest| newest.process == record.process && record.number <= newest.number)
    }
    /// Notes that a record was applied, and which one of its process said the same first.
    pub fn apply(&mut self, last: RecordRef, record: RecordRef) {
        self.last = Some(last);
        match self.applied.iter_mut().find(|newest| newest.process == record.process) {
            Some(newest) => newest.number = newest.number.max(record.number),
            None => self.applied.push(record),
        }
    }
    /// Whether the member had opted in to an offer at an instant: the newest step
    /// by then counts, and of several at one instant the one that opts out, so that the
    /// order in which they came does not matter.
    #[must_use]
    pub fn active(&self, offer: &OfferId, at: Timestamp) -> bool {
        let steps = self.activations.iter().filter(|step| &step.offer == offer && step.at <= at);
        steps.max_by_key(|step| (step.at, !step.active)).is_some_and(|step| step.active)
    }
    /// The card's link at an instant.
    #[inline]
    #[must_use]
    pub fn card_at(&self, card: CardHash, at: Timestamp) -> Option<&CardLink> {
        self.cards.iter().find(|link| link.card == card && link.from <= at && link.to.is_none_or(|to| at < to))
    }
    /// Which source credits the physical card behind this link at an instant: the
    /// earliest linked, then the first by name.
    #[must_use]
    pub fn crediting(&self, link: &CardLink, at: Timestamp) -> Option<&CardLink> {
        let same = self.cards.iter().filter(|other| other.group == link.group);
        let linked = same.filter(|other| other.from <= at && other.to.is_none_or(|to| at < to));
        linked.min_by(|a, b| (a.from, &a.source, a.card).cmp(&(b.from, &b.source, b.card)))
    }
    /// The strictest standing that concerns a purchase at a merchant and time. Of one
    /// scope the newest set counts; of several set at one instant the strictest, then the
    /// one that reaches back furthest, so that the order in which they came does not matter.
    #[must_use]
    pub fn standing(&self, merchant: &MerchantId, purchase_at: Timestamp) -> Option<&StandingStep> {
        if self.standings.is_empty() {
            return None; // As of nearly everybody.
        }
        let newest = |scope: Option<&MerchantId>| {
            let steps = self.standings.iter().filter(|s| s.merchant.as_ref() == scope);
            steps.max_by_key(|s| (s.set_at, s.standing, Reverse(s.since), s.ask_back))
        };
        let both = [newest(None), newest(Some(merchant))];
        both.into_iter().flatten().filter(|s| s.since <= purchase_at).max_by_key(|s| s.standing)
    }
    /// The newest standing of each scope.
    pub fn standings_now(&self) -> impl Iterator<Item = &StandingStep> {
        let order = |step: &StandingStep| (step.set_at, step.standing);
        self.standings.iter().filter(move |step| {
            let later = |other: &&StandingStep| other.merchant == step.merchant && order(other) > order(step);
            !self.standings.iter().any(|other| later(&other))
        })
    }
    /// The newest standing of a scope, whatever purchases it concerns.
    #[must_use]
    pub fn standing_now(&self, merchant: Option<&MerchantId>) -> Standing {
        let of_scope = self.standings_now().find(|step| step.merchant.as_ref() == merchant);
        of_scope.map_or(Standing::Clear, |step| step.standing)
    }
    /// Whether who referred the member is trusted, under an offer: clear, and barred. Nothing
    /// is due until they are there and it was told.
    #[must_use]
    pub fn referrer_trust(&self, offer: &OfferId) -> (bool, bool) {
        let told = self.referrer.iter().find(|told| &told.offer == offer);
        told.map_or((false, true), |told| (told.clear, told.barred))
    }
    /// The balance of a unit, zero when there is none.
    #[must_use]
    pub fn balance(&self, unit: impl Into<super::Unit>) -> Balance {
        let unit = unit.into();
        self.balances.iter().find(|(of, _)| *of == unit).map_or_else(Balance::default, |(_, b)| *b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_birthday_changes_once_a_year_whatever_the_order() {
        let day = |day: u32| Timestamp::start_of_day(day);
        for (said, again) in [
            (&[(10, Some((2, 29))), (11, Some((3, 1)))][..], None),
            (&[(10, Some((2, 29))), (11, Some((3, 1))), (375, Some((3, 2)))], Some(376)),
            (&[(10, Some((2, 29))), (11, Some((3, 1))), (376, Some((3, 2)))], None),
            (&[(10, Some((2, 29))), (11, None), (12, Some((2, 29))), (13, Some((3, 1)))], None),
            (&[(10, Some((2, 29))), (11, Some((3, 1))), (12, None), (13, Some((2, 29)))], Some(376)),
            (&[(20, Some((3, 1))), (30, Some((3, 2))), (10, Some((2, 29)))], Some(385)),
            (&[(20, Some((3, 1))), (20, Some((3, 2))), (20, Some((3, 3)))], None),
        ] {
            let mut steps = Vec::new();
            for (at, birthday) in said {
                let profile = Profile { birthday: *birthday, ..Profile::default() };
                put_profile(&mut steps, ProfileStep { at: day(*at), profile });
            }
            assert!(steps.is_sorted_by_key(|step| step.at));
            assert_eq!(birthday_changes_again(&steps), again.map(day), "{said:?}");
        }
    }
}
