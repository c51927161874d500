//! What cards did at tills that somebody watches, by their MIDs: how many ordinary purchases, and
//! which small ones were taken back soon after, as those who only try a till do.
//!
//! Read from the sightings, which hold every authentic event of the last days, ours or not. What
//! was read once is not read again until the tills are others, or old days are dropped: then all
//! of it, which costs one look-up per till and segment and one reading of each sighting there.

use super::{Clue, Segment, Sightings, SightingsError};
use crate::domain::{CardHash, EventKind, Timestamp};
use crate::journal::Position;
use crate::record::Sighting;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use xxhash_rust::xxh3::xxh3_64;

/// A purchase of at most so many minor units is small: 5.00, or 500 where there is no hundredth.
pub const SMALL_MINOR_MAX: i64 = 500;
/// Currencies of more decimals than this have larger numbers for the same worth.
const DECIMALS: u8 = 2;
/// Seconds in which it is taken back soon.
pub const SOON_SECONDS: u32 = 3 * 86_400;
/// Cards at tills that are kept; of further ones nothing is.
const CARDS_MAX: usize = 200_000;
/// Small purchases of one card at one till.
const SMALL_MAX: usize = 16;
/// Cards that one process tells others of.
const TOLD_MAX: usize = 10_000;
/// Sightings read at a time.
const PAGE: usize = 256;

/// A small purchase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Small {
    /// Hash of its source and id.
    purchase: u64,
    /// The least of its amounts; 0 when none was said.
    minor: i64,
    /// Unix seconds; `None` while it is only known that it was taken back: its beginning may have
    /// been told to another process, or come later.
    begun: Option<u32>,
    /// When it was taken back whole.
    undone: Option<u32>,
}

impl Small {
    fn is_test(&self) -> bool {
        let took = self.begun.zip(self.undone).map(|(begun, undone)| undone.saturating_sub(begun));
        took.is_some_and(|seconds| seconds <= SOON_SECONDS)
    }
    /// Whether the other knows a half that this one does not.
    fn lacks(&self, other: &Self) -> bool {
        self.begun.is_none() && other.begun.is_some() || self.undone.is_none() && other.undone.is_some()
    }
    /// Puts the two halves of one purchase together.
    fn join(&mut self, other: &Self) {
        // What is taken back in part stays.
        let is_whole = |taken: &Self, of: &Self| taken.minor == 0 || taken.minor >= of.minor;
        let begins = if self.begun.is_some() { &*self } else { other };
        let ends = if self.undone.is_some() { &*self } else { other };
        let (begun, undone, minor) = (begins.begun, ends.undone.filter(|_| is_whole(ends, begins)), begins.minor);
        (self.begun, self.undone, self.minor) = (begun, undone, minor);
    }
}

/// What one card did at one till.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Bought {
    /// Purchases that cleared for more.
    ordinary: u32,
    small: Vec<Small>,
}

impl Bought {
    /// Takes a small purchase in, or one half of it.
    fn take(&mut self, half: Small) {
        let has_room = self.small.len() < SMALL_MAX;
        match self.small.iter_mut().find(|known| known.purchase == half.purchase) {
            Some(known) if known.lacks(&half) => known.join(&half),
            None if has_room => self.small.push(half),
            _ => {}
        }
    }
}

/// What one process tells those who share its store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told(Vec<(u64, CardHash, Bought)>);

/// What somebody did at some tills.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tested {
    /// Small purchases that were taken back soon.
    pub tests: u32,
    /// Purchases that stayed.
    pub ordinary: u32,
}

impl std::ops::AddAssign for Tested {
    fn add_assign(&mut self, other: Self) {
        self.tests = self.tests.saturating_add(other.tests);
        self.ordinary = self.ordinary.saturating_add(other.ordinary);
    }
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Tills {
    /// The tills that it was read for.
    clues: BTreeSet<Clue>,
    /// The oldest segment when reading began, and up to where all was read.
    oldest: Option<Segment>,
    read: Position,
    cards: HashMap<(u64, CardHash), Bought>,
}

/// The till of a MID, as it is compared; `None` when it is one of the words for "not sent".
fn till(mid: &str) -> Option<u64> {
    Clue::mid(mid).map(|clue| clue.hash())
}

impl Tills {
    /// Reads on to the end of what was settled. Blocks on the disk.
    ///
    /// # Errors
    /// [`SightingsError`]; what was read stays, the next call goes on.
    pub fn read(
        &mut self,
        sightings: &Sightings,
        settled: &[Segment],
        mids: impl Iterator<Item = impl AsRef<str>>,
    ) -> Result<(), SightingsError> {
        let clues: BTreeSet<Clue> = mids.filter_map(|mid| Clue::mid(mid.as_ref())).collect();
        let oldest = settled.first().copied();
        if clues != self.clues || oldest != self.oldest {
            *self = Self { clues, oldest, ..Self::default() };
        }
        if self.clues.is_empty() {
            return Ok(());
        }
        let from = self.read.segment;
        for segment in settled.iter().copied().filter(|segment| *segment >= from) {
            let offset = if segment == self.read.segment { self.read.offset } else { 0 };
            // What comes meanwhile is read by the next call, and must not count twice.
            let end = sightings.journal.end();
            let end = if end.segment == segment { end } else { Position { segment: segment + 1, offset: 0 } };
            let clues = std::mem::take(&mut self.clues);
            let places = Position { segment, offset }..end;
            let searched = sightings.search_in(places, &clues, Timestamp::default(), PAGE, |page| {
                page.iter().for_each(|sighting| self.take(sighting));
                Ok::<(), SightingsError>(())
            });
            self.clues = clues;
            searched?;
            self.read = end;
        }
        Ok(())
    }

    fn take(&mut self, sighting: &Sighting<'_>) {
        let event = &sighting.event;
        let Some(till) = event.merchant.mid.as_deref().and_then(till) else { return };
        let key = (till, sighting.card);
        if !event.approved || (self.cards.len() >= CARDS_MAX && !self.cards.contains_key(&key)) {
            return;
        }
        let bought = self.cards.entry(key).or_default();
        let at = u32::try_from(event.occurred_at.as_ms() / 1000).unwrap_or_default();
        let id = event.purchase.as_ref().map_or(event.key.as_str(), |purchase| purchase.as_str());
        let purchase = xxh3_64([sighting.source.as_str(), "\0", id].concat().as_bytes());
        let minor = event.amount.map(|amount| {
            let scale = 10_i64.pow(u32::from(amount.currency.exponent().saturating_sub(DECIMALS)));
            (amount.minor, amount.minor <= SMALL_MINOR_MAX * scale)
        });
        match (event.kind, minor) {
            (EventKind::Authorization | EventKind::Clearing, Some((1.., false))) => {
                // Of several clearings of one purchase the first counts.
                let first = event.sequence.is_none_or(|sequence| sequence.number <= 1);
                bought.small.retain(|small| small.purchase != purchase);
                bought.ordinary += u32::from(event.kind == EventKind::Clearing && first);
            }
            (EventKind::Authorization | EventKind::Clearing, Some((minor @ 1.., true))) => {
                bought.take(Small { purchase, minor, begun: Some(at), undone: None });
            }
            (EventKind::Reversal | EventKind::ClearingReversal | EventKind::Refund, minor) => match event.purchase {
                Some(_) if minor.is_none_or(|(_, small)| small) => {
                    let minor = minor.map_or(0, |(minor, _)| minor);
                    bought.take(Small { purchase, minor, begun: None, undone: Some(at) });
                }
                Some(_) => {}
                // A refund that names no purchase is that of the same amount.
                None => {
                    let same = |small: &&mut Small| small.undone.is_none() && Some((small.minor, true)) == minor;
                    if let Some(small) = bought.small.iter_mut().rev().find(same) {
                        small.undone = Some(at);
                    }
                }
            },
            _ => {}
        }
    }

    /// What is known of those who took anything back, for processes that share the store: bounded.
    #[must_use]
    pub fn told(&self) -> Told {
        let tried = self.cards.iter().filter(|(_, bought)| bought.small.iter().any(|small| small.undone.is_some()));
        let mut told: Vec<_> = tried.map(|((till, card), bought)| (*till, *card, bought.clone())).collect();
        // The same every time, so that what did not change is not written anew.
        told.sort_unstable_by_key(|(till, card, bought)| (std::cmp::Reverse(bought.small.len()), *till, *card));
        told.truncate(TOLD_MAX);
        Told(told)
    }

    /// Takes in what another process tells, of the same tills alone.
    pub fn hear(&mut self, told: Told) {
        let wanted: BTreeSet<u64> = self.clues.iter().map(Clue::hash).collect();
        for (till, card, theirs) in told.0.into_iter().filter(|(till, ..)| wanted.contains(till)) {
            let bought = self.cards.entry((till, card)).or_default();
            bought.ordinary = bought.ordinary.saturating_add(theirs.ordinary);
            theirs.small.into_iter().for_each(|small| bought.take(small));
        }
    }

    /// What each card did at some tills. Linear in what is kept.
    pub fn at<'a>(&'a self, mids: &'a [impl AsRef<str>]) -> impl Iterator<Item = (CardHash, Tested)> + 'a {
        let tills: BTreeSet<u64> = mids.iter().filter_map(|mid| till(mid.as_ref())).collect();
        self.cards.iter().filter(move |((till, _), _)| tills.contains(till)).map(|((_, card), bought)| {
            let tests = bought.small.iter().filter(|small| small.is_test()).count();
            let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            let stayed = bought.small.iter().filter(|small| small.begun.is_some() && !small.is_test()).count();
            let ordinary = bought.ordinary.saturating_add(count(stayed));
            (*card, Tested { tests: count(tests), ordinary })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::card_event::{CardEvent, Channel, Clock, MerchantMark};
    use crate::domain::{Currency, EventKey, Money, PurchaseId, SourceName};
    use std::borrow::Cow;

    /// `purchase kind minor @second`, all at the till 7; no purchase is `-`, no amount is `-`.
    fn sighting(card: u8, text: &str, place: usize) -> Sighting<'static> {
        let [purchase, kind, minor, at] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
        let kind = match kind {
            "auth" => EventKind::Authorization,
            "clear" => EventKind::Clearing,
            "void" => EventKind::Reversal,
            "refund" => EventKind::Refund,
            _ => panic!("{kind}"),
        };
        let (minor, currency) = minor.split_once(|letter: char| letter.is_ascii_uppercase()).map_or_else(
            || (minor, "USD".to_owned()),
            |(number, _)| (number, minor.trim_start_matches(|digit: char| digit.is_ascii_digit()).to_owned()),
        );
        let amount = minor.parse().ok().map(|minor| Money::new(minor, Currency::parse(&currency).unwrap()));
        let occurred_at = Timestamp::from_ms(at.trim_start_matches('@').parse::<i64>().unwrap() * 1000);
        let event = CardEvent {
            key: EventKey::new(format!("e{place}")).unwrap(),
            kind,
            purchase: (purchase != "-").then(|| PurchaseId::new(purchase).unwrap()),
            card: Default::default(),
            amount,
            billing: None,
            occurred_at,
            clock: Clock::Utc,
            time_known: true,
            posted_at: None,
            approved: true,
            merchant: MerchantMark { mid: Some("0007".into()), ..MerchantMark::default() },
            channel: Channel::default(),
            sequence: None,
        };
        Sighting {
            source: Cow::Owned(SourceName::new("visa-eu").unwrap()),
            card: CardHash([card; 16]),
            received_at: occurred_at,
            retells_shop: false,
            event: Cow::Owned(event),
        }
    }

    #[test]
    fn tests_are_told_from_purchases() {
        for (events, tests, ordinary) in [
            (&["a auth 100 @0", "a void 100 @60"][..], 1, 0),
            (&["a auth 100 @0", "a void - @60"], 1, 0),
            (&["a clear 499 @0", "a refund 499 @259200"], 1, 0),
            (&["a clear 499 @0", "a refund 499 @259201"], 0, 1),
            (&["a clear 499 @0", "a refund 100 @60"], 0, 1),
            (&["a clear 501 @0", "a refund 501 @60"], 0, 1),
            (&["a auth 100 @0", "a clear 4000 @60"], 0, 1),
            (&["a auth 100 @0", "a clear 100 @60", "a refund 100 @90"], 1, 0),
            (&["a auth 0 @0", "a void 0 @60"], 0, 0),
            (&["a clear 300 @0", "- refund 300 @60", "- refund 300 @61"], 1, 0),
            (&["a clear 300 @0", "b clear 200 @1", "- refund 200 @60"], 1, 1),
            (&["a auth 4000 @0", "a void 4000 @60"], 0, 0),
            (&["a auth 4000 @0", "a void - @60"], 0, 0),
            (&["a void - @60", "a auth 100 @0"], 1, 0),
            (&["a void 50 @60", "a auth 100 @0"], 0, 1),
            (&["a void - @60", "a auth 4000 @0", "a clear 4000 @9"], 0, 1),
            (&["a auth 500JPY @0", "a void - @60"], 1, 0),
            (&["a auth 5000KWD @0", "a void - @60"], 1, 0),
            (&["a auth 5001KWD @0", "a void - @60"], 0, 0),
        ] {
            let mut tills = Tills::default();
            events.iter().enumerate().for_each(|(place, text)| tills.take(&sighting(1, text, place)));
            let mut found = Tested::default();
            tills.at(&["7"]).for_each(|(_, tested)| found += tested);
            assert_eq!(found, Tested { tests, ordinary }, "{events:?}");
            assert_eq!(tills.at(&["8"]).count(), 0, "another till");
        }
    }

    #[test]
    fn halves_that_two_processes_saw_are_one() {
        let (mut here, mut there) = (Tills::default(), Tills::default());
        let watched: BTreeSet<Clue> = Clue::mid("7").into_iter().collect();
        (here.clues, there.clues) = (watched.clone(), watched);
        for (tills, events) in [
            (&mut there, ["a auth 100 @0", "b auth 100 @10", "b void - @20", "c clear 900 @30", "d void 200 @40"]),
            (&mut here, ["a void - @60", "d auth 200 @35", "e auth 100 @10", "f clear 900 @30", "g clear 900 @30"]),
        ] {
            events.iter().enumerate().for_each(|(place, text)| tills.take(&sighting(1, text, place)));
        }
        let told = there.told();
        assert_eq!(record_round(&told), told);
        here.hear(told);
        let (_, tested) = here.at(&["7"]).next().unwrap();
        assert_eq!(tested, Tested { tests: 3, ordinary: 4 });
        let mut elsewhere = Tills::default();
        elsewhere.hear(there.told());
        assert_eq!(elsewhere.at(&["7"]).count(), 0, "of tills that nobody watches nothing is kept");
    }

    fn record_round(told: &Told) -> Told {
        crate::record::decode(&crate::record::encode(told)).unwrap()
    }
}
