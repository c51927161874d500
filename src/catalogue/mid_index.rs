//! The compact index from a key (MID, store id, descriptor) to those who registered it.
//!
//! Entries lie sorted by a seeded hash, 32 bytes each, two in a cache line; a table
//! of bucket starts finds them. So a look-up waits for two places in memory, and
//! ten million MIDs take 34 bytes each. Frozen once built: changes are the overlay's.
//! It answers who registered a key under which conditions, and judges nothing.

use super::key::Key;
use std::cmp::Ordering;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Entries per bucket on average: more makes the table of starts smaller (so that it
/// stays in the processor's cache) and the run to search longer.
const ENTRIES_PER_BUCKET: usize = 2;
/// In the last byte of an entry's key: the text lies in `long_texts`.
const LONG: u8 = u8::MAX;
/// Flag: many shops use the key, so it proves nothing.
const SHARED: u16 = 1;
/// Flag: the one merchant registered it for several locations.
const SEVERAL: u16 = 2;
/// Flag: several merchants registered it; `target` is a place in `claims`.
const CROWD: u16 = 4;
/// In `claims`, beside a location: its merchant registered several.
const SEVERAL_BIT: u32 = 1 << 31;
/// Most locations that an index can name.
pub(super) const LOCATIONS_MAX: u32 = SEVERAL_BIT - 1;

/// Under which conditions a key counts. Zero is "any" in each field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Terms {
    /// Code of the acquirer.
    pub(super) acquirer: u32,
    /// Place of the from-to window, from 1.
    pub(super) window: u32,
    /// Code of the scheme.
    pub(super) scheme: u16,
    /// Many shops use it.
    pub(super) shared: bool,
}

/// One location's registration of a key.
#[derive(Debug)]
pub(super) struct Claim {
    /// What was registered.
    pub(super) key: Key,
    /// Under which conditions.
    pub(super) terms: Terms,
    /// By which location: its place in the layer.
    pub(super) location: u32,
}

/// A key under one set of conditions. The alignment keeps it within a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
struct Entry {
    key: u128,
    target: u32,
    acquirer: u32,
    window: u32,
    scheme: u16,
    flags: u16,
}

impl Entry {
    const EMPTY: Self = Self { key: 0, target: 0, acquirer: 0, window: 0, scheme: 0, flags: 0 };

    fn terms(&self) -> Terms {
        Terms { acquirer: self.acquirer, window: self.window, scheme: self.scheme, shared: self.flags & SHARED != 0 }
    }
}

/// The claims on one key under one set of conditions.
#[derive(Debug, Clone, Copy)]
pub(super) enum Claimants<'a> {
    /// One merchant's.
    One(u32, bool),
    /// Several merchants', each location with a mark when it stands for several.
    Crowd(&'a [u32]),
}

impl Claimants<'_> {
    /// Each merchant's smallest location, and whether it registered several. Calls until
    /// told to stop by `false`.
    pub(super) fn each(self, mut take: impl FnMut(u32, bool) -> bool) {
        match self {
            Self::One(location, several) => {
                take(location, several);
            }
            Self::Crowd(claims) => {
                for claim in claims {
                    if !take(claim & !SEVERAL_BIT, claim & SEVERAL_BIT != 0) {
                        return;
                    }
                }
            }
        }
    }
}

/// See the top of the file.
#[derive(Debug, Default)]
pub(super) struct MidIndex {
    seed: u64,
    /// Where each bucket's entries begin, and at the end where the last one's end.
    starts: Box<[u32]>,
    entries: Box<[Entry]>,
    /// A count, then so many locations.
    claims: Box<[u32]>,
    long_texts: Box<[u8]>,
}

impl MidIndex {
    /// Builds from a feed that yields the same claims each time it is called (it is
    /// called twice, so that nothing but the index is ever held). `merchant_of` names the
    /// merchant of each location; locations of one merchant are neighbours, in the order in
    /// which the smallest is preferred. `expected` may be more than the feed yields. The
    /// seed must not be known to those who choose keys. Linear in the claims, except that
    /// each bucket is sorted.
    pub(super) fn build(seed: u64, expected: usize, merchant_of: &[u32], feed: &dyn Fn(&mut dyn FnMut(Claim))) -> Self {
        let buckets = expected.div_ceil(ENTRIES_PER_BUCKET);
        if buckets == 0 {
            return Self::default();
        }
        let mut index = Self { seed, starts: vec![0_u32; buckets + 1].into_boxed_slice(), ..Self::default() };
        let mut counts = std::mem::take(&mut index.starts);
        let mut long_bytes = 0;
        feed(&mut |claim| {
            counts[bucket_of(hash_of(&claim.key, seed), buckets) + 1] += 1;
            if let Key::Long(text) = &claim.key {
                long_bytes += text.len();
            }
        });
        let mut sum = 0_u32;
        for count in &mut counts {
            sum = sum.checked_add(*count).expect("fewer than 2^32 claims fit in memory");
            *count = sum;
        }
        let mut cursors = counts.clone();
        let mut entries = vec![Entry::EMPTY; sum as usize];
        let mut long_texts = Vec::with_capacity(long_bytes);
        feed(&mut |claim| {
            let hash = hash_of(&claim.key, seed);
            let cursor = &mut cursors[bucket_of(hash, buckets)];
            entries[*cursor as usize] = Entry {
                key: match &claim.key {
                    Key::Short(key) => *key,
                    Key::Long(text) => store_long(&mut long_texts, text, hash),
                },
                target: claim.location,
                acquirer: claim.terms.acquirer,
                window: claim.terms.window,
                scheme: claim.terms.scheme,
                flags: if claim.terms.shared { SHARED } else { 0 },
            };
            *cursor += 1;
        });
        index.starts = counts;
        index.long_texts = long_texts.into_boxed_slice();
        index.collapse(entries, merchant_of);
        index
    }

    /// Makes one entry of the claims on one key under the same conditions, so that a MID
    /// of a thousand shops is one entry and not a thousand to search.
    fn collapse(&mut self, mut entries: Vec<Entry>, merchant_of: &[u32]) {
        let mut claims = Vec::new();
        let mut crowd: Vec<u32> = Vec::new();
        let mut write = 0;
        for bucket in 0..self.starts.len() - 1 {
            let (from, to) = (self.starts[bucket] as usize, self.starts[bucket + 1] as usize);
            self.starts[bucket] = u32::try_from(write).expect("no more than before");
            entries[from..to]
                .sort_unstable_by(|one, other| self.compare(one, other).then(one.target.cmp(&other.target)));
            let mut next = from;
            while next < to {
                let mut entry = entries[next];
                crowd.clear();
                while next < to && self.compare(&entry, &entries[next]) == Ordering::Equal {
                    let location = entries[next].target;
                    match crowd.last_mut() {
                        Some(last) if *last & !SEVERAL_BIT == location => {}
                        Some(last)
                            if merchant_of[(*last & !SEVERAL_BIT) as usize] == merchant_of[location as usize] =>
                        {
                            *last |= SEVERAL_BIT;
                        }
                        _ => crowd.push(location),
                    }
                    next += 1;
                }
                if let [only] = crowd[..] {
                    entry.target = only & !SEVERAL_BIT;
                    entry.flags |= if only & SEVERAL_BIT == 0 { 0 } else { SEVERAL };
                } else {
                    entry.target = u32::try_from(claims.len()).expect("fewer than 2^32 claims fit in memory");
                    entry.flags |= CROWD;
                    claims.push(u32::try_from(crowd.len()).expect("fewer than 2^32 claims fit in memory"));
                    claims.extend_from_slice(&crowd);
                }
                entries[write] = entry;
                write += 1;
            }
        }
        *self.starts.last_mut().expect("there is a bucket") = u32::try_from(write).expect("no more than before");
        entries.truncate(write);
        self.entries = entries.into_boxed_slice();
        self.claims = claims.into_boxed_slice();
    }

    /// By key, then by conditions.
    fn compare(&self, one: &Entry, other: &Entry) -> Ordering {
        let keys = match (self.long_text(one), self.long_text(other)) {
            (None, None) => one.key.cmp(&other.key),
            (long, other) => long.cmp(&other),
        };
        keys.then_with(|| one.terms().cmp(&other.terms()))
    }

    fn long_text(&self, entry: &Entry) -> Option<&[u8]> {
        let key = entry.key.to_le_bytes();
        if key[15] != LONG {
            return None;
        }
        let [a, b, c, d, e, f, g, h, ..] = key;
        let from = u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]);
        let len = u32::from_le_bytes([f, g, h, 0]);
        let from = usize::try_from(from).expect("it was a place in memory");
        Some(&self.long_texts[from..from + len as usize])
    }

    /// What is registered for a key: its conditions and who claims it. Two waits for
    /// memory, then linear in the different conditions registered for the key.
    #[inline]
    pub(super) fn find<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = (Terms, Claimants<'a>)> {
        let run: &[Entry] = if self.entries.is_empty() {
            &[]
        } else {
            let bucket = bucket_of(hash_of(key, self.seed), self.starts.len() - 1);
            &self.entries[self.starts[bucket] as usize..self.starts[bucket + 1] as usize]
        };
        run.iter()
            .filter(move |entry| match key {
                Key::Short(short) => entry.key == *short,
                Key::Long(text) => self.long_text(entry) == Some(text.as_bytes()),
            })
            .map(|entry| (entry.terms(), self.claimants(entry)))
    }

    fn claimants(&self, entry: &Entry) -> Claimants<'_> {
        if entry.flags & CROWD == 0 {
            return Claimants::One(entry.target, entry.flags & SEVERAL != 0);
        }
        let from = entry.target as usize + 1;
        Claimants::Crowd(&self.claims[from..from + self.claims[from - 1] as usize])
    }

    /// Keys under different conditions. O(1).
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes held. O(1).
    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.starts)
            + size_of_val(&*self.entries)
            + size_of_val(&*self.claims)
            + size_of_val(&*self.long_texts)
    }
}

/// Five bytes of place, three of length, seven of hash (so that other texts are seldom
/// looked at when sorting by key), and the mark.
fn store_long(long_texts: &mut Vec<u8>, text: &str, hash: u64) -> u128 {
    let from = (long_texts.len() as u64).to_le_bytes();
    let len = u32::try_from(text.len()).unwrap_or(u32::MAX).min(0x00ff_ffff);
    // Nothing that long passes the wire; cut short it can only fail to be found.
    long_texts.extend_from_slice(&text.as_bytes()[..len as usize]);
    let mut key = [0; 16];
    key[..5].copy_from_slice(&from[..5]);
    key[5..8].copy_from_slice(&len.to_le_bytes()[..3]);
    key[8..15].copy_from_slice(&hash.to_le_bytes()[..7]);
    key[15] = LONG;
    u128::from_le_bytes(key)
}

#[inline]
fn hash_of(key: &Key, seed: u64) -> u64 {
    match key {
        Key::Short(short) => xxh3_64_with_seed(&short.to_le_bytes(), seed),
        Key::Long(text) => xxh3_64_with_seed(text.as_bytes(), seed),
    }
}

/// Spreads a hash over any number of buckets below 2^32 without a division.
#[inline]
fn bucket_of(hash: u64, buckets: usize) -> usize {
    (((hash >> 32) * buckets as u64) >> 32) as usize
}
