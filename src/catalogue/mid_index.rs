//! The compact index from a key (MID, store id, descriptor) to those who registered it.
//!
//! Entries of 32 bytes lie in one table, sorted by the place their seeded hash asks for and
//! pushed along when it is taken (linear probing, kept in order). So a look-up waits for
//! one place in memory and reads a line or two from there, found or not. Frozen once
//! built: changes are the overlay's. It answers who registered a key under which
//! conditions, and judges nothing.

use super::key::Key;
use std::cmp::Ordering;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Places in the table per entry, as a fraction: more makes it larger, fewer makes the runs
/// longer. At 7 entries in 8 places an entry lies 3.5 places from its own on average.
const PLACES: (usize, usize) = (8, 7);
/// Places compared at once. Their cache lines are fetched side by side, where a loop that
/// decides at each entry whether to go on would wait for them one after the other.
const WINDOW: usize = 8;
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

/// Takes the claims of a feed one by one.
pub(super) type Taker<'a> = &'a mut dyn FnMut(Claim);

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
    /// Places that a hash can ask for; the table has some more for those pushed along.
    homes: usize,
    /// Free places have a key of zero; the last is free.
    places: Box<[Entry]>,
    /// How many are not free.
    entries: usize,
    /// A count, then so many locations.
    claims: Box<[u32]>,
    long_texts: Box<[u8]>,
}

impl MidIndex {
    /// Builds from a feed that yields the same claims each time it is called (it is
    /// called twice, so that nothing but the index is ever held). `merchant_of` names the
    /// merchant of a location; locations of one merchant are neighbours, in the order in
    /// which the smallest is preferred. `expected` may be more than the feed yields. The
    /// seed must not be known to those who choose keys. Linear in the claims, except that
    /// those of one home are sorted.
    pub(super) fn build(
        seed: u64,
        expected: usize,
        merchant_of: &dyn Fn(u32) -> u32,
        feed: &dyn Fn(Taker<'_>),
    ) -> Self {
        if expected == 0 {
            return Self::default();
        }
        let homes = expected.div_ceil(PLACES.1) * PLACES.0;
        let mut index = Self { seed, homes, ..Self::default() };
        let mut starts = vec![0_u32; homes + 1];
        let mut long_bytes = 0;
        feed(&mut |claim| {
            starts[home_of(hash_of(&claim.key, seed), homes) + 1] += 1;
            if let Key::Long(text) = &claim.key {
                long_bytes += text.len();
            }
        });
        let mut sum = 0_u32;
        for count in &mut starts {
            sum = sum.checked_add(*count).expect("fewer than 2^32 claims fit in memory");
            *count = sum;
        }
        let mut cursors = starts.clone();
        let mut entries = vec![Entry::EMPTY; sum as usize];
        let mut long_texts = Vec::with_capacity(long_bytes);
        feed(&mut |claim| {
            let hash = hash_of(&claim.key, seed);
            let cursor = &mut cursors[home_of(hash, homes)];
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
        drop(cursors);
        index.long_texts = long_texts.into_boxed_slice();
        index.collapse(&mut entries, &mut starts, merchant_of);
        index.spread(&entries, &starts);
        index
    }

    /// Makes one entry of the claims on one key under the same conditions, so that a MID
    /// of a thousand shops is one entry and not a thousand to search.
    fn collapse(&mut self, entries: &mut Vec<Entry>, starts: &mut [u32], merchant_of: &dyn Fn(u32) -> u32) {
        let mut claims = Vec::new();
        let mut crowd: Vec<u32> = Vec::new();
        let mut write = 0;
        for home in 0..starts.len() - 1 {
            let (from, to) = (starts[home] as usize, starts[home + 1] as usize);
            starts[home] = u32::try_from(write).expect("no more than before");
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
                        Some(last) if merchant_of(*last & !SEVERAL_BIT) == merchant_of(location) => {
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
        *starts.last_mut().expect("there is a home") = u32::try_from(write).expect("no more than before");
        entries.truncate(write);
        self.claims = claims.into_boxed_slice();
    }

    /// Puts sorted entries in their places: each at its home, or after the one before.
    fn spread(&mut self, entries: &[Entry], starts: &[u32]) {
        let mut next = 0;
        for home in 0..self.homes {
            let run = (starts[home + 1] - starts[home]) as usize;
            next = if run == 0 { next } else { next.max(home) + run };
        }
        let mut places = vec![Entry::EMPTY; next.max(self.homes) + 1];
        next = 0;
        for home in 0..self.homes {
            for entry in &entries[starts[home] as usize..starts[home + 1] as usize] {
                next = next.max(home);
                places[next] = *entry;
                next += 1;
            }
        }
        self.entries = entries.len();
        self.places = places.into_boxed_slice();
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

    /// Calls for each set of conditions registered for a key, with who claims it. One wait
    /// for memory, then linear in the different conditions registered for the key.
    #[inline]
    pub(super) fn find(&self, key: &Key, mut take: impl FnMut(Terms, Claimants<'_>)) {
        if self.entries == 0 {
            return;
        }
        let home = home_of(hash_of(key, self.seed), self.homes);
        let mut from = home;
        if let (Key::Short(short), Some(window)) = (key, self.places[home..].first_chunk::<WINDOW>()) {
            let (mut same, mut free) = (0_u32, 0_u32);
            for (place, entry) in window.iter().enumerate() {
                same |= u32::from(entry.key == *short) << place;
                free |= u32::from(entry.key == 0) << place;
            }
            if same == 0 && (free != 0 || self.home_of_entry(&window[WINDOW - 1]) > home) {
                return;
            }
            from += if same == 0 { WINDOW } else { same.trailing_zeros() as usize };
        }
        let mut found = false;
        for entry in &self.places[from..] {
            let same = match key {
                Key::Short(short) => entry.key == *short,
                Key::Long(text) => self.long_text(entry) == Some(text.as_bytes()),
            };
            if same {
                found = true;
                take(entry.terms(), self.claimants(entry));
            } else if found || entry.key == 0 || self.home_of_entry(entry) > home {
                // Entries of one key are neighbours, and none comes before its home.
                return;
            }
        }
    }

    fn home_of_entry(&self, entry: &Entry) -> usize {
        let key = entry.key.to_le_bytes();
        let hash = if key[15] == LONG {
            let [.., a, b, c, d, e, f, g, _] = key;
            u64::from_le_bytes([0, a, b, c, d, e, f, g])
        } else {
            xxh3_64_with_seed(&key, self.seed)
        };
        home_of(hash, self.homes)
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
        self.entries
    }

    /// Bytes held. O(1).
    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.places) + size_of_val(&*self.claims) + size_of_val(&*self.long_texts)
    }
}

/// Five bytes of place, three of length, the upper seven of the hash (its home can be told
/// without the text), and the mark.
fn store_long(long_texts: &mut Vec<u8>, text: &str, hash: u64) -> u128 {
    let from = (long_texts.len() as u64).to_le_bytes();
    let len = u32::try_from(text.len()).unwrap_or(u32::MAX).min(0x00ff_ffff);
    // Nothing that long passes the wire; cut short it can only fail to be found.
    long_texts.extend_from_slice(&text.as_bytes()[..len as usize]);
    let mut key = [0; 16];
    key[..5].copy_from_slice(&from[..5]);
    key[5..8].copy_from_slice(&len.to_le_bytes()[..3]);
    key[8..15].copy_from_slice(&hash.to_le_bytes()[1..]);
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

/// Spreads a hash over any number of places below 2^32 without a division.
#[inline]
fn home_of(hash: u64, homes: usize) -> usize {
    (((hash >> 32) * homes as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use compact_str::format_compact;

    #[test]
    fn every_key_is_found_and_no_other_at_any_size_and_seed() {
        let text = |number: u32| match number % 3 {
            0 => format_compact!("{number}A"),
            1 => format_compact!("1{number:014}"),
            _ => format_compact!("1{number:030}"),
        };
        for (size, seed) in [(1, 0), (2, 1), (7, 2), (8, 3), (100, 4), (5_000, 5), (5_000, 6)] {
            let index = MidIndex::build(seed, size as usize, &|location| location, &|take| {
                for number in 0..size {
                    let key = Key::of_mid(&text(number)).unwrap();
                    take(Claim { key, terms: Terms::default(), location: number });
                }
            });
            assert_eq!(index.len(), size as usize);
            for number in 0..size + 1_000 {
                let mut found = Vec::new();
                index.find(&Key::of_mid(&text(number)).unwrap(), |_, claimants| {
                    claimants.each(|location, several| {
                        assert!(!several);
                        found.push(location);
                        true
                    });
                });
                assert_eq!(found, if number < size { vec![number] } else { vec![] }, "{number} of {size}");
            }
        }
    }

    #[test]
    fn an_entry_takes_half_a_cache_line() {
        assert_eq!((size_of::<Entry>(), align_of::<Entry>()), (32, 32));
    }
}
