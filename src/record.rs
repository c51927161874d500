//! The record: what one commit says, and all a journal holds.
//!
//! A record carries its input, the decision and what the decision rests on, so that
//! replaying the journal rebuilds the state (`apply`), and an auditor can decide again.
//! It is encoded with `postcard` behind a version byte. Fields are only ever added in a
//! new version.

use crate::cases::rules::Rule;
use crate::cases::{Case, Withdrawal};
use crate::decide::GrantChange;
use crate::domain::member::{
    ActivationStep, CardLink, LinkFact, RecordRef, ReferrerTold, SealedProfile, SealedTotal, StandingStep,
};
use crate::domain::merchant::{Matched, Merchant};
use crate::domain::offer::Offer;
use crate::domain::purchase::{AnswerLine, HeldEvent, Qualified, Referral};
use crate::domain::{
    CardEvent, CardHash, Code, EventKey, MemberId, MerchantId, OfferId, PurchaseId, PurchaseKey, SourceName, Timestamp,
    Unit,
};
use crate::ledger::{Legs, Transfer};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::cell::RefCell;

/// Version of the encoding.
pub const RECORD_VERSION: u8 = 1;

/// One committed record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Who wrote it where, and what it rests on.
    pub envelope: Envelope,
    /// What it says.
    pub body: Body,
}

/// Who wrote a record where, and what it rests on. A single process on its own store
/// has one epoch for ever; a shared store raises it when it proves itself again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The writing process.
    pub process: u32,
    /// The partition of the record's subject.
    pub partition: u16,
    /// Numbered from 1 per partition and process.
    pub number: u64,
    /// Epoch of the partition in which it was offered.
    pub epoch: u32,
    /// The number of the record whose input this one offers again, because a shared store forgot it.
    pub again: Option<u64>,
    /// When it was decided.
    pub at: Timestamp,
    /// The subject's record before this one: its chain.
    pub previous: Option<RecordRef>,
    /// The subject's version that this record makes; it rests on the one before.
    pub version: u64,
    /// Revision of the catalogue that was read.
    pub catalogue: u64,
    /// Latest daily mark of the partition: what time had brought when this was decided.
    pub mark: Timestamp,
    /// The request this answers, when it named one: the same key again gets the same answer.
    pub request: Option<RequestKey>,
}

impl Envelope {
    /// As [`Record::first_said`].
    #[must_use]
    pub fn first_said(&self) -> RecordRef {
        RecordRef { process: self.process, number: self.again.unwrap_or(self.number) }
    }
}

/// An idempotency key as kept: hashes of the key with its caller and route, and of the
/// request; and what was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestKey {
    /// Hash of caller, route and key.
    pub key: [u8; 16],
    /// Hash of the body: another body under the same key is refused.
    pub body: [u8; 16],
    /// Kept for ever (pay-outs) rather than 24 hours.
    pub forever: bool,
    /// When it was first answered.
    pub at: Timestamp,
    /// HTTP-independent answer: a JSON document.
    pub answer: String,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Something happened to a member.
    Member {
        /// Which.
        member: MemberId,
        /// What.
        input: Box<MemberInput>,
        /// What follows for grants and books.
        changes: Vec<GrantChange>,
    },
    /// A merchant as it is from now on.
    Merchant {
        /// The merchant.
        merchant: Box<Merchant>,
        /// An operator said so: what is held may move to another shop, and lose its reward.
        operator_word: bool,
    },
    /// An offer with its whole life as it is from now on. `operator_word` marks a step
    /// that an operator dated into the past.
    Offer {
        /// The offer.
        offer: Box<Offer>,
        /// An operator dated a step into the past.
        operator_word: bool,
    },
    /// A message that could not be understood, masked.
    DeadLetter(Box<DeadLetter>),
    /// A dead letter was replayed or dropped.
    DeadLetterSettled {
        /// Which.
        id: u64,
        /// In words.
        outcome: String,
    },
    /// All of a partition that time brings up to here has been recorded.
    DayMarked {
        /// The mark.
        mark: Timestamp,
    },
    /// A record that was written and not accepted by the state: its number counts for nothing.
    Withdrawn {
        /// Its number.
        number: u64,
    },
    /// A case as it is from now on.
    Case(Box<Case>),
    /// A detector's version counts for nothing from now on.
    DetectorWithdrawn(Box<Withdrawal>),
    /// A rule of the risk desk with all it ever said, as it is from now on.
    Rule(Box<Rule>),
    /// This journal was made of others: what follows was written by these processes, until it
    /// went on itself.
    Adopted {
        /// Their numbers.
        processes: Vec<u32>,
    },
}

/// Something that happened to a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberInput {
    /// Registered, or the profile changed.
    Registered {
        /// From when the person is a member.
        joined_at: Timestamp,
        /// Who referred them.
        referred_by: Option<(MemberId, Timestamp)>,
        /// Personal fields from an instant on; `None` leaves them as they were.
        profile: Option<SealedProfile>,
        /// Shared identifiers, all of them.
        links: Vec<LinkFact>,
    },
    /// A card was linked.
    CardLinked {
        /// The link.
        link: CardLink,
        /// A card that ends where this one begins.
        replaces: Option<CardHash>,
    },
    /// A card was unlinked.
    CardUnlinked {
        /// Which.
        card: CardHash,
        /// From when.
        at: Timestamp,
    },
    /// Opted in or out.
    Activated(ActivationStep),
    /// A card event.
    Event(Box<EventInput>),
    /// Time passed: a lapse, the end of a hold, or sealing fell due.
    TimePassed {
        /// Purchases that are sealed now, with what they leave behind.
        sealed: Vec<PurchaseKey>,
        /// Totals after sealing, for the merchants concerned.
        totals: Vec<SealedTotal>,
        /// Identities of sealed purchases' events before here are forgotten: anything as
        /// old is refused before any look-up.
        forget_before: Timestamp,
        /// Which of the sealed purchases qualified the member's referral, per offer.
        qualified: Vec<(OfferId, Qualified)>,
    },
    /// An event that is held already was seen at another shop once the merchants were known
    /// better.
    Rematched(Box<Rematch>),
    /// Offers changed with effect in the past: decided again.
    DecidedAgain,
    /// A standing was set, by a review or a policy.
    StandingSet(StandingStep),
    /// Paid out, spent or used.
    Redeemed(Box<Redemption>),
    /// The member did something that is no purchase.
    Signalled(Signal),
    /// A member whom this one referred qualified, or no longer does, or is trusted otherwise.
    ReferralTold(Referral),
    /// Who referred this member is trusted so far.
    ReferrerTold(ReferrerTold),
    /// The person was erased; the books stay.
    Erased {
        /// Where their key lay, to be erased with them.
        slot: Option<u64>,
    },
    /// Screening has passed all that was recorded of the member up to an instant, that included.
    Screened {
        /// The instant.
        through: Timestamp,
    },
}

/// A card event as decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventInput {
    /// The purchase it belongs to.
    pub purchase: PurchaseKey,
    /// The event with its answer.
    pub event: HeldEvent,
    /// The shop it was matched to.
    pub matched: Option<Matched>,
}

/// Another shop for an event that is held already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rematch {
    /// The purchase it belongs to.
    pub purchase: PurchaseKey,
    /// The event.
    pub event: EventKey,
    /// The card it came by.
    pub card: CardHash,
    /// The shop; `None` when it is nobody's any more.
    pub matched: Option<Matched>,
    /// Its time, which a wall clock's reading takes from the shop.
    pub occurred_at: Timestamp,
}

/// Something a member did that is no purchase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// The same however often it is told.
    pub id: PurchaseId,
    /// What, in the operator's words.
    pub kind: Code,
    /// The one offer it concerns.
    pub offer: Option<OfferId>,
    /// When.
    pub at: Timestamp,
    /// An offer asked for its kind: it is an entry among the purchases. Else it is counted.
    pub entry: bool,
}

/// Money paid out, points spent or a perk used: from the lots that expire soonest, then the
/// oldest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redemption {
    /// The caller's reference, or ours.
    pub id: String,
    /// What is paid.
    pub unit: Unit,
    /// How much of it.
    pub minor: i64,
    /// Lots paid out, and lots used to settle what was owed.
    pub lots: Vec<LotUse>,
    /// Owed amounts that were settled from lots.
    pub settled: Vec<LotUse>,
    /// What was got for it: an entry of its own. `None` when it was paid out or used.
    pub exchange: Option<Exchange>,
}

/// Points spent on an offer. What it gave is among the record's changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The entry that holds what was given.
    pub entry: PurchaseKey,
    /// The offer.
    pub offer: OfferId,
    /// Its version.
    pub version: u32,
    /// When.
    pub at: Timestamp,
}

/// Part of a lot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LotUse {
    /// The purchase; `None` for lots of sealed purchases at `merchant`.
    pub purchase: Option<PurchaseKey>,
    /// The offer; `None` with the purchase.
    pub offer: Option<OfferId>,
    /// Who funds it.
    pub merchant: MerchantId,
    /// Minor units.
    pub minor: i64,
}

/// A genuine message that could not be understood: kept masked, bounded, replayable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Numbered by its record.
    pub id: u64,
    /// Who sent it.
    pub source: SourceName,
    /// When it came.
    pub received_at: Timestamp,
    /// Why it could not be understood: a stable code.
    pub code: String,
    /// Where in it.
    pub path: String,
    /// In words.
    pub detail: String,
    /// The message with card numbers masked; `None` when too large to keep.
    pub body: Option<Vec<u8>>,
}

/// An authentic event that is not ours now: kept some days apart from the books, without
/// its token, and found again when its card is linked or its MID added. Borrowed where it
/// is written, as it passes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting<'a> {
    /// Who sent it.
    pub source: Cow<'a, SourceName>,
    /// Keyed hash of source and token.
    pub card: CardHash,
    /// When it came.
    pub received_at: Timestamp,
    /// Its source tells its shop again with every later message, as it is by then.
    pub retells_shop: bool,
    /// The event, its token emptied.
    pub event: Cow<'a, CardEvent>,
}

/// The bytes are no record of a version we know.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Written by a newer program.
    #[error("record version {0} is not known to this program (it knows {RECORD_VERSION}); use the newer one")]
    Version(u8),
    /// Not a record.
    #[error("record cannot be read")]
    Broken(#[source] postcard::Error),
    /// Not a document.
    #[error("document cannot be read")]
    Document(#[source] serde_json::Error),
    /// No bytes.
    #[error("record is empty")]
    Empty,
}

/// Encodes behind the version byte.
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    with_encoded(value, <[u8]>::to_vec)
}

/// Lends the bytes that [`encode`] would return: for those who only look at them.
pub fn with_encoded<T: Serialize, R>(value: &T, look: impl FnOnce(&[u8]) -> R) -> R {
    // Made in room that each thread keeps: a value's length is not known before, and growing
    // step by step copies what is there again and again.
    ROOM.with_borrow_mut(|room| {
        let mut bytes = std::mem::take(room);
        bytes.clear();
        bytes.push(RECORD_VERSION);
        let bytes = postcard::to_extend(value, bytes).expect("our records have a postcard form");
        let looked = look(&bytes);
        if bytes.capacity() <= ROOM_BYTES_MAX {
            *room = bytes;
        }
        looked
    })
}

/// What a thread keeps of room at most.
const ROOM_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Decodes what [`encode`] wrote.
///
/// # Errors
/// [`RecordError`] for anything else, trailing bytes included.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, RecordError> {
    let (version, rest) = bytes.split_first().ok_or(RecordError::Empty)?;
    if *version != RECORD_VERSION {
        return Err(RecordError::Version(*version));
    }
    let (value, left) = postcard::take_from_bytes(rest).map_err(RecordError::Broken)?;
    if left.is_empty() { Ok(value) } else { Err(RecordError::Broken(postcard::Error::DeserializeBadEncoding)) }
}

impl Record {
    /// The first record of the process that said the same: what a state notes as applied.
    #[must_use]
    pub fn first_said(&self) -> RecordRef {
        self.envelope.first_said()
    }

    /// How later records name this one.
    #[must_use]
    pub fn reference(&self) -> RecordRef {
        RecordRef { process: self.envelope.process, number: self.envelope.number }
    }

    /// The transfers it makes, in order.
    #[must_use]
    pub fn transfers(&self) -> Vec<Transfer> {
        let Body::Member { member, input, changes } = &self.body else { return Vec::new() };
        let of_grant = |change: &GrantChange, legs: &Legs| Transfer {
            legs: *legs,
            unit: change.grant.unit,
            member: member.clone(),
            merchant: Some(change.grant.merchant.clone()),
            purchase: Some(change.purchase.clone()),
            offer: Some(change.grant.offer.clone()),
        };
        let mut transfers: Vec<Transfer> =
            changes.iter().flat_map(|change| change.transfers.iter().map(|legs| of_grant(change, legs))).collect();
        if let MemberInput::Redeemed(redemption) = input.as_ref() {
            transfers.extend(redemption.transfers(member));
        }
        transfers
    }
}

impl Redemption {
    /// The transfers of a pay-out: each lot from available through the pay-out account
    /// to paid; what was owed is settled from available first.
    #[must_use]
    pub fn transfers(&self, member: &MemberId) -> Vec<Transfer> {
        use crate::ledger::AccountKind::{MemberAvailable, MemberOwed, MemberPaid, PayOut};
        let owed: i64 = self.settled.iter().map(|lot| lot.minor).sum();
        let make = |legs: Legs, lot: Option<&LotUse>| Transfer {
            legs,
            unit: self.unit,
            member: member.clone(),
            merchant: lot.map(|lot| lot.merchant.clone()),
            purchase: lot.and_then(|lot| lot.purchase.clone()),
            offer: lot.and_then(|lot| lot.offer.clone()),
        };
        let mut transfers = Vec::new();
        let mut to_settle = owed;
        for lot in &self.lots {
            // What is owed is settled out of this lot: it is the lot that pays.
            let settles = lot.minor.min(to_settle);
            to_settle -= settles;
            if settles > 0 {
                transfers.push(make(Legs::new(MemberAvailable, MemberOwed, settles), Some(lot)));
            }
            if lot.minor > settles {
                transfers.push(make(Legs::new(MemberAvailable, PayOut, lot.minor - settles), Some(lot)));
            }
        }
        if self.minor > 0 {
            transfers.push(make(Legs::new(PayOut, MemberPaid, self.minor), None));
        }
        transfers
    }
}

/// The held form of an event: what decisions read, without token and descriptor.
#[must_use]
pub fn held(
    event: &CardEvent,
    card: CardHash,
    received_at: Timestamp,
    occurred_at: Timestamp,
    content: u64,
) -> HeldEvent {
    HeldEvent {
        key: event.key.clone(),
        kind: event.kind,
        card,
        amount: event.amount,
        occurred_at,
        time_known: event.time_known,
        posted_at: event.posted_at.unwrap_or(received_at),
        mcc: event.merchant.mcc,
        channel: event.channel,
        sequence: event.sequence,
        matched: None,
        content,
        answer: Vec::<AnswerLine>::new(),
    }
}
