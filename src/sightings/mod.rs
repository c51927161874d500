//! Sightings: the authentic events of the last days as they came, ours or not, so that one
//! that was not ours then is found again when its card is linked or its shop becomes known.
//!
//! A log apart from the books, of whole segments that are dropped when they are old enough;
//! written without anybody waiting, so a power cut may take the last second of it. Nothing
//! is indexed while an event passes: a segment is indexed when it is closed, and the one
//! that is written when somebody asks. Must not decide anything.

mod index;
pub mod tills;

use crate::descriptor;
use crate::domain::card_event::MerchantMark;
use crate::domain::merchant::{Location, Merchant};
use crate::domain::{CardHash, EventKind, PurchaseKey, Timestamp};
use crate::journal::{AppendError, Journal, Position, ReadError};
use crate::record::{self, RecordError, Sighting};
use index::{Entry, Index};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::sync::{Mutex, PoisonError};

/// Words of a statement text that lead to it; the first ones name the shop.
const WORDS_MAX: usize = 6;
/// Shorter ones are no clue.
const WORD_BYTES_MIN: usize = 3;
/// Records of a segment read at once.
const PAGE: usize = 2_048;

/// What may lead to a sighting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Clue {
    /// Its card.
    Card(CardHash),
    /// The purchase it names.
    Purchase(PurchaseKey),
    /// Its merchant id, without leading zeros, in capitals.
    Mid(String),
    /// The network's id of the shop, in capitals.
    StoreId(String),
    /// A word of the statement text that may name the shop, as it is compared.
    Word(String),
    /// It follows a purchase, which may come later.
    Follower,
}

impl Clue {
    fn hash(&self) -> u64 {
        let (kind, bytes): (u8, Vec<u8>) = match self {
            Self::Card(card) => (b'c', card.0.to_vec()),
            Self::Purchase(key) => (b'p', [key.source.as_str(), "\0", key.id.as_str()].concat().into_bytes()),
            Self::Mid(text) => (b'm', text.clone().into_bytes()),
            Self::StoreId(text) => (b's', text.clone().into_bytes()),
            Self::Word(text) => (b'w', text.clone().into_bytes()),
            Self::Follower => (b'f', Vec::new()),
        };
        xxhash_rust::xxh3::xxh3_64_with_seed(&bytes, u64::from(kind))
    }
    /// A merchant id; `None` when it is one of the words for "not sent".
    #[must_use]
    pub fn mid(text: &str) -> Option<Self> {
        let text = text.trim_ascii().trim_start_matches('0');
        (!text.is_empty()).then(|| Self::Mid(text.to_ascii_uppercase()))
    }
    fn store_id(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        (!text.is_empty()).then(|| Self::StoreId(text.to_ascii_uppercase()))
    }
    fn words(text: &str) -> impl Iterator<Item = Self> {
        let words = descriptor::clean(text).words.into_iter().map(|word| word.text);
        words.filter(|word| word.len() >= WORD_BYTES_MIN).take(WORDS_MAX).map(|word| Self::Word(word.to_string()))
    }
    fn of_name(name: &str) -> impl Iterator<Item = Self> {
        let words = descriptor::clean::name_words(name).into_iter().filter(|word| word.len() >= WORD_BYTES_MIN);
        words.take(WORDS_MAX).map(|word| Self::Word(word.to_string()))
    }
    fn of_mark(mark: &MerchantMark) -> impl Iterator<Item = Self> {
        let mid = mark.mid.as_deref().and_then(Self::mid);
        let store_id = mark.store_id.as_deref().and_then(Self::store_id);
        mid.into_iter().chain(store_id).chain(mark.descriptor.as_deref().into_iter().flat_map(Self::words))
    }
    fn of_location(location: &Location) -> impl Iterator<Item = Self> {
        let mids = location.mids.iter().filter_map(|mid| Self::mid(&mid.mid));
        let store_ids = location.store_ids.iter().filter_map(|id| Self::store_id(&id.id));
        let texts = location.descriptors.iter().flat_map(|text| Self::words(text));
        mids.chain(store_ids).chain(texts).chain(location.name.as_deref().into_iter().flat_map(Self::of_name))
    }
    /// Everything that leads to a merchant's sightings.
    #[must_use]
    pub fn of_merchant(merchant: &Merchant) -> BTreeSet<Self> {
        merchant.locations.iter().flat_map(Self::of_location).chain(Self::of_name(&merchant.name)).collect()
    }
}

/// What leads to sightings that may mean something else after a merchant changed: the marks
/// of every location that is new, gone or changed. Empty when nothing did that a shop is
/// recognised by.
#[must_use]
pub fn changed_clues(before: Option<&Merchant>, after: &Merchant) -> BTreeSet<Clue> {
    let Some(before) = before else { return Clue::of_merchant(after) };
    let same = before.time_zone == after.time_zone && before.name == after.name;
    let found = |merchant: &Merchant, location: &Location| {
        merchant.locations.iter().find(|other| other.id == location.id).cloned()
    };
    let mut clues = BTreeSet::new();
    for (merchant, other) in [(before, after), (after, before)] {
        for location in &merchant.locations {
            if found(other, location).as_ref() != Some(location) || !same {
                clues.extend(Clue::of_location(location).chain(Clue::of_name(&merchant.name)));
            }
        }
    }
    clues
}

/// The clues of a sighting.
fn clues(sighting: &Sighting<'_>) -> Vec<Clue> {
    let purchase = sighting.event.purchase.as_ref();
    let purchase =
        purchase.map(|id| Clue::Purchase(PurchaseKey { source: sighting.source.as_ref().clone(), id: id.clone() }));
    let follower = (sighting.event.kind != EventKind::Authorization && purchase.is_some()).then_some(Clue::Follower);
    let clues = [Clue::Card(sighting.card)].into_iter().chain(purchase).chain(follower);
    clues.chain(Clue::of_mark(&sighting.event.merchant)).collect()
}

/// Why sightings cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum SightingsError {
    /// The log cannot be read.
    #[error("the log of sightings cannot be read")]
    Read(#[from] ReadError),
    /// The last ones cannot be written.
    #[error("the last sightings cannot be written")]
    Append(#[from] AppendError),
    /// An index cannot be read or written.
    #[error("an index of sightings cannot be used")]
    Index(#[from] io::Error),
    /// A sighting is not one of ours.
    #[error("a sighting cannot be read")]
    Record(#[from] RecordError),
}

/// Where a search stands: segments below are done.
pub type Segment = u64;

/// The index of the segment that is written, as far as somebody asked.
#[derive(Default)]
struct Growing {
    upto: Position,
    entries: Vec<Entry>,
}

/// The log and its indexes.
pub struct Sightings {
    journal: Journal,
    growing: Mutex<Growing>,
    closed: Mutex<BTreeMap<Segment, Option<Index>>>,
}

impl std::fmt::Debug for Sightings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sightings").field("journal", &self.journal).finish_non_exhaustive()
    }
}

fn hold<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sightings {
    /// Over an open log.
    #[must_use]
    pub fn new(journal: Journal) -> Self {
        Self { journal, growing: Mutex::default(), closed: Mutex::default() }
    }

    /// Keeps an event without waiting; `false` when there is no room for it.
    pub fn keep(&self, sighting: &Sighting<'_>) -> bool {
        record::with_encoded(sighting, |record| self.journal.append_relaxed(record))
    }

    /// Writes what was kept before, and closes the log. Blocks.
    ///
    /// # Errors
    /// [`AppendError`].
    pub fn close(&self) -> Result<(), AppendError> {
        self.journal.close()
    }

    /// The segments that a search begun now looks through, once everything kept before is
    /// in them.
    ///
    /// # Errors
    /// [`SightingsError::Append`].
    pub async fn settled(&self) -> Result<Vec<Segment>, SightingsError> {
        self.journal.flush_relaxed().await?;
        Ok(self.segments())
    }

    fn segments(&self) -> Vec<Segment> {
        self.journal.segments().into_iter().map(|(segment, _)| segment).collect()
    }

    /// As [`Sightings::settled`], but only what was kept since a time.
    ///
    /// # Errors
    /// [`SightingsError::Append`].
    pub async fn settled_since(&self, since: Timestamp) -> Result<Vec<Segment>, SightingsError> {
        self.journal.flush_relaxed().await?;
        let segments = self.journal.segments();
        let closed_before = |place: usize| segments.get(place + 1).is_some_and(|(_, at)| *at < since.as_ms());
        let places = (0..segments.len()).filter(|place| !closed_before(*place));
        Ok(places.map(|place| segments[place].0).collect())
    }

    /// The sightings of one segment that a clue leads to, in order of arrival, handed over
    /// in pages of at most `page`. Blocks on the disk. A segment that was dropped meanwhile
    /// has none.
    ///
    /// # Errors
    /// [`SightingsError`]; whatever `each` says ends the search.
    pub fn search<E: From<SightingsError>>(
        &self,
        segment: Segment,
        wanted: &BTreeSet<Clue>,
        since: Timestamp,
        page: usize,
        each: impl FnMut(Vec<Sighting<'static>>) -> Result<(), E>,
    ) -> Result<(), E> {
        let whole = Position { segment, offset: 0 }..Position { segment: segment + 1, offset: 0 };
        self.search_in(whole, wanted, since, page, each)
    }

    /// As [`Sightings::search`], from a place in the segment up to before another.
    fn search_in<E: From<SightingsError>>(
        &self,
        places: std::ops::Range<Position>,
        wanted: &BTreeSet<Clue>,
        since: Timestamp,
        page: usize,
        mut each: impl FnMut(Vec<Sighting<'static>>) -> Result<(), E>,
    ) -> Result<(), E> {
        let segment = places.start.segment;
        let mut entries = self.entries(segment, &wanted.iter().map(Clue::hash).collect())?;
        entries.retain(|entry| places.contains(&entry.frame(segment)));
        entries.sort_unstable_by_key(|entry| (entry.offset, entry.index));
        entries.dedup_by_key(|entry| (entry.offset, entry.index));
        let mut found = Vec::new();
        for same_frame in entries.chunk_by(|one, other| one.offset == other.offset) {
            let frame = same_frame[0].frame(segment);
            let read = match self.journal.read(frame, 1) {
                Err(ReadError::NoSegment { .. }) => break,
                read => read.map_err(SightingsError::from)?,
            };
            for entry in same_frame {
                let place = read.entries.iter().find(|found| found.at == frame && found.index == entry.index);
                let Some(place) = place else { continue };
                let sighting: Sighting<'static> = record::decode(&place.record).map_err(SightingsError::from)?;
                let leads = clues(&sighting).iter().any(|clue| wanted.contains(clue));
                // A shop's clock may differ from ours by a day: whoever decides looks again.
                if leads && sighting.event.occurred_at.plus_days(1) >= since {
                    found.push(sighting);
                }
                if found.len() == page {
                    each(std::mem::take(&mut found))?;
                }
            }
        }
        if found.is_empty() { Ok(()) } else { each(found) }
    }

    /// Entries of some hashes in a segment.
    fn entries(&self, segment: Segment, hashes: &HashSet<u64>) -> Result<Vec<Entry>, SightingsError> {
        if segment == self.journal.end().segment {
            let growing = self.grown()?;
            if growing.upto.segment == segment {
                return Ok(growing.entries.iter().copied().filter(|entry| hashes.contains(&entry.hash)).collect());
            }
        }
        let mut closed = hold(&self.closed);
        if let std::collections::btree_map::Entry::Vacant(place) = closed.entry(segment) {
            place.insert(self.indexed(segment)?);
        }
        let mut found = Vec::new();
        if let Some(index) = closed.get(&segment).and_then(Option::as_ref) {
            for hash in hashes {
                found.extend(index.find(*hash)?);
            }
        }
        Ok(found)
    }

    /// The index of the segment that is written, up to its end.
    fn grown(&self) -> Result<std::sync::MutexGuard<'_, Growing>, SightingsError> {
        let mut growing = hold(&self.growing);
        let end = self.journal.end();
        if growing.upto.segment != end.segment {
            *growing = Growing { upto: Position { segment: end.segment, offset: 0 }, entries: Vec::new() };
        }
        let Growing { upto, entries } = &mut *growing;
        self.read_entries(upto, end, entries)?;
        Ok(growing)
    }

    /// Adds the entries from a place up to another of the same segment.
    fn read_entries(&self, from: &mut Position, end: Position, into: &mut Vec<Entry>) -> Result<(), SightingsError> {
        while *from < end && from.segment == end.segment {
            let page = self.journal.read(*from, PAGE)?;
            if page.entries.is_empty() {
                break;
            }
            for entry in page.entries.iter().filter(|entry| entry.at.segment == end.segment) {
                let sighting: Sighting<'_> = record::decode(&entry.record)?;
                // A frame begins within the segment's bound, far below 4 GiB.
                let offset = u32::try_from(entry.at.offset).unwrap_or(u32::MAX);
                let of = |clue: Clue| Entry { hash: clue.hash(), offset, index: entry.index };
                into.extend(clues(&sighting).into_iter().map(of));
            }
            *from = page.next;
        }
        Ok(())
    }

    /// Opens a closed segment's index, made now when there is none; `None` when the segment
    /// is gone.
    fn indexed(&self, segment: Segment) -> Result<Option<Index>, SightingsError> {
        let (disk, dir) = self.journal.place();
        let bytes = match disk.open(&crate::journal::segment_path(dir, segment)).and_then(|file| file.len()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        if let Some(index) = Index::open(disk, dir, segment, bytes)? {
            return Ok(Some(index));
        }
        let mut entries = Vec::new();
        let mut from = Position { segment, offset: 0 };
        self.read_entries(&mut from, Position { segment, offset: bytes }, &mut entries)?;
        Ok(Some(Index::write(disk, dir, segment, bytes, entries)?))
    }

    /// Indexes every closed segment that is not, and drops the segments closed before a time
    /// with their indexes. Says how many were dropped. Blocks.
    ///
    /// # Errors
    /// [`SightingsError`].
    pub fn tidy(&self, drop_before_ms: i64) -> Result<u64, SightingsError> {
        let dropped = self.journal.drop_segments_closed_before(drop_before_ms)?;
        let segments = self.segments();
        let written = self.journal.end().segment;
        for segment in segments.iter().filter(|segment| **segment < written) {
            let mut closed = hold(&self.closed);
            if !closed.contains_key(segment) {
                let index = self.indexed(*segment)?;
                closed.insert(*segment, index);
            }
        }
        hold(&self.closed).retain(|segment, _| segments.contains(segment));
        let (disk, dir) = self.journal.place();
        for name in disk.list(dir)? {
            if index::segment_of(&name).is_some_and(|segment| !segments.contains(&segment)) {
                disk.remove(&dir.join(name))?;
            }
        }
        Ok(dropped)
    }
}
