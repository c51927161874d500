//! Which cards anybody has linked, from memory: most cards of a network are nobody's here, and what is nobody's
//! costs no look at the state.
//!
//! Bloom filters of one word per card: "nobody's" is certain, anything else is for the index to say. Why an event
//! that is told so is not lost, whenever its card is linked:
//!
//! 1. A card is entered before the commit that links it. Whoever is told "nobody's" would not have found a claim in
//!    the state either, so the span in which an event can come too early is no longer than without this.
//! 2. An event is kept as a sighting before its card is asked for here. Sightings are taken under one lock, and the
//!    search that a link begins goes through the same lock, after the card was entered: either the search finds the
//!    sighting, or the event was kept after the search began and sees the card.
//! 3. Until all cards in the state were entered, nobody is told "nobody's".
//!
//! Cards are never taken out: one that was linked once is asked for in the index for ever.

use super::{Engine, EngineError};
use crate::domain::CardHash;
use crate::store::{Key, Partition};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Cards that the first filter takes; each next one takes four times as many.
const FIRST: usize = 1 << 16;
/// Filters at most: room for a thousand million cards.
const FILTERS: usize = 8;
/// Cards that share a word of 64 bits, on average, when a filter is full: two bytes for each.
const CARDS_PER_WORD: usize = 4;
/// Bits that a card sets in its word: with four, 1 in 150 strangers passes a full filter.
const BITS: u32 = 4;
/// Cards that are read from the state at a time.
const PAGE: usize = 512;

/// See the module.
#[derive(Debug)]
pub(super) struct Linked {
    filters: [OnceLock<Filter>; FILTERS],
    /// All cards of the state are in.
    whole: AtomicBool,
    /// Up to where they were read; `None` when they are all in.
    read: Mutex<Option<(Partition, Option<Key>)>>,
}

#[derive(Debug)]
struct Filter {
    words: Box<[AtomicU64]>,
    taken: AtomicUsize,
}

impl Filter {
    fn taking(cards: usize) -> Self {
        let words = (0..cards / CARDS_PER_WORD).map(|_| AtomicU64::new(0)).collect();
        Self { words, taken: AtomicUsize::new(0) }
    }
    fn is_full(&self) -> bool {
        self.taken.load(Ordering::Relaxed) >= self.words.len() * CARDS_PER_WORD
    }
    fn word(&self, place: u64) -> &AtomicU64 {
        // Their number is a power of two.
        &self.words[usize::try_from(place & (self.words.len() as u64 - 1)).expect("below a length")]
    }
}

/// Where a card stands and which bits it sets there. Its hash is keyed: nobody can choose cards that meet.
fn place_and_bits(card: CardHash) -> (u64, u64) {
    let [place, draw] = [0, 8].map(|from| card.0[from..from + 8].try_into().map_or(0, u64::from_le_bytes));
    (place, (0..BITS).fold(0, |bits, nth| bits | 1 << ((draw >> (6 * nth)) & 63)))
}

impl Default for Linked {
    fn default() -> Self {
        Self { filters: Default::default(), whole: AtomicBool::new(false), read: Mutex::new(Some((0, None))) }
    }
}

impl Linked {
    /// Enters a card, before it is linked.
    pub(super) fn enter(&self, card: CardHash) {
        if self.has(card) {
            return;
        }
        let (place, bits) = place_and_bits(card);
        let sizes = (0..).map(|nth| FIRST << (2 * nth));
        let filters =
            self.filters.iter().zip(sizes).map(|(filter, cards)| filter.get_or_init(|| Filter::taking(cards)));
        // The last one takes what comes: it then says "perhaps" more often.
        let with_room = filters.enumerate().find(|(nth, filter)| *nth + 1 == FILTERS || !filter.is_full());
        if let Some((_, filter)) = with_room {
            filter.taken.fetch_add(1, Ordering::Relaxed);
            filter.word(place).fetch_or(bits, Ordering::AcqRel);
        }
    }

    fn has(&self, card: CardHash) -> bool {
        let (place, bits) = place_and_bits(card);
        let made = self.filters.iter().map_while(OnceLock::get);
        made.into_iter().any(|filter| filter.word(place).load(Ordering::Acquire) & bits == bits)
    }

    /// Whether certainly nobody has or had the card linked.
    pub(super) fn is_nobodys(&self, card: CardHash) -> bool {
        self.whole.load(Ordering::Acquire) && !self.has(card)
    }
}

impl Engine {
    /// Whether nothing can come of an event of this card at a shop that nobody knows: nobody has or had the card
    /// linked, and should somebody link it, the event is found again among the sightings.
    #[must_use]
    pub fn is_nobodys(&self, card: CardHash) -> bool {
        self.sightings.is_some() && self.linked.is_nobodys(card)
    }

    /// Enters the cards of the state, at most so many pages of them, going on where the last call ended; `false`
    /// when there are more. Blocks on the disk.
    ///
    /// # Errors
    /// When the state fails.
    pub fn learn_cards(&self, pages_max: usize) -> Result<bool, EngineError> {
        // Of a shared store others link cards too: no card is certainly nobody's.
        if self.shared().is_some() {
            return Ok(true);
        }
        let mut read = self.linked.read.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..pages_max {
            let Some((partition, after)) = read.take_if(|_| self.is_able()) else { break };
            let page = super::start::now(self.keeper().scan(partition, b"c", after.as_deref(), PAGE));
            let page = page.inspect_err(|_| *read = Some((partition, after)))?;
            let cards = page.iter().filter_map(|(key, _)| key.get(1..)?.try_into().ok());
            cards.for_each(|card| self.linked.enter(CardHash(card)));
            *read = match page.last() {
                Some((last, _)) if page.len() == PAGE => Some((partition, Some(last.clone()))),
                _ if partition + 1 < self.partitions() => Some((partition + 1, None)),
                _ => None,
            };
        }
        if read.is_none() {
            self.linked.whole.store(true, Ordering::Release);
        }
        Ok(read.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(number: u64) -> CardHash {
        let hash = |seed| xxhash_rust::xxh3::xxh3_64_with_seed(&number.to_le_bytes(), seed);
        CardHash(((u128::from(hash(1)) << 64) | u128::from(hash(2))).to_le_bytes())
    }

    #[test]
    fn every_card_that_was_entered_is_found_and_few_others_are() {
        let linked = Linked::default();
        assert!(!linked.is_nobodys(card(7)), "nobody's is said of no card before all are in");
        linked.whole.store(true, Ordering::Release);
        assert!(linked.is_nobodys(card(7)));
        // Through the first filter into the next.
        let cards = 3 * FIRST as u64;
        (0..cards).for_each(|number| linked.enter(card(number)));
        assert!((0..cards).all(|number| !linked.is_nobodys(card(number))));
        let strangers = (cards..2 * cards).filter(|number| !linked.is_nobodys(card(*number))).count() as u64;
        assert!(strangers < cards / 50, "{strangers} of {cards} strangers pass");
        assert_eq!(linked.filters.iter().filter(|filter| filter.get().is_some()).count(), 2);
        (0..cards).for_each(|number| linked.enter(card(number)));
        let taken: usize =
            linked.filters.iter().filter_map(OnceLock::get).map(|f| f.taken.load(Ordering::Relaxed)).sum();
        assert!(taken as u64 <= cards, "what is in takes no more room");
    }
}
