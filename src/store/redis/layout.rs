//! What Redis calls the keys of a partition: names a person can read in `redis-cli`, all of a
//! partition under one hash tag, so that they lie in one slot and change together.
//!
//! | Redis key | type | holds |
//! |---|---|---|
//! | `rf:{P}:m:MEMBER` | hash | head (`h`), own key (`k`) and purchases (`q…`, some together) |
//! | `rf:{P}:t:MEMBER` | hash | transfers of each record, for statements |
//! | `rf:{P}:i:MEMBER` | hash | identities of events whose purchase was sealed early |
//! | `rf:{P}:members` | sorted set | who is in the partition |
//! | `rf:{P}:c:NNN`, `rf:{P}:u:NNN` | hash | hints: holders of cards, owners of purchases |
//! | `rf:{P}:sums` | hash | counters |
//! | `rf:{P}:index`, `rf:{P}:lines` | sorted set, hash | agenda, referrals, kept answers, mark, jobs, dead letters |
//! | `rf:{P}:proof` | hash | see `library.lua` |
//! | `rf:{P}:log` | stream | records that screening has not read |
//! | `rf:{P}:lease` | hash | who alone does what follows the partition: the daily mark's work; of the catalogue, screening |
//! | `rf:{catalogue}:screened` | hash | the last entry of each log that screening has passed, and when it last looked at everybody |
//! | `rf:{catalogue}:M:ID`, `…:O:ID` | hash | merchant and offer: `version`, `document` (JSON) |
//! | `rf:{catalogue}:documents`, `…:changes` | sorted set | their names; by the number of their newest change |
//! | `rf:{b:OFFER}:budget` | hash | what each process granted and reserved of an offer's budget |
//! | `rf:{b:OFFER}:budget:DAY` | hash | what each raised and reserved on a day of UTC; expires |
//!
//! `P` is the partition's number or `catalogue`. `NNN` is a part of the hash of what the hint is of: a hash of a
//! hundred short fields takes a third of the memory of a hundred keys.

use crate::store::keys::{Shelf, shelf};
use crate::store::{CATALOGUE, Partition};

/// Hashes over which the hints of a partition are spread: of a partition with fifty thousand members and half a
/// million purchases a hash has some hundred fields, below the number at which Redis gives up their compact form.
const HINT_HASHES: u64 = 4096;
/// Version of this layout: a store that was filled in another is not read.
pub const LAYOUT: &str = "2";
/// Begins every key.
pub const PREFIX: &str = "rf:";

/// Where a key of a partition lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A field of a hash.
    Field {
        /// The hash.
        key: Vec<u8>,
        /// Its field.
        field: Vec<u8>,
        /// The member, when it is a head: entered among the partition's members.
        member: Option<Vec<u8>>,
    },
    /// A line of the partition's index.
    Line(Vec<u8>),
    /// A counter.
    Counter(Vec<u8>),
    /// A document of the catalogue: its key, and its name in the index.
    Document(Vec<u8>, Vec<u8>),
}

/// A key of a partition.
#[must_use]
pub fn named(partition: Partition, name: &[&[u8]]) -> Vec<u8> {
    let mut key = PREFIX.as_bytes().to_vec();
    if partition == CATALOGUE {
        key.extend_from_slice(b"{catalogue}:");
    } else {
        key.extend_from_slice(format!("{{{partition}}}:").as_bytes());
    }
    name.iter().for_each(|part| key.extend_from_slice(part));
    key
}

/// Where a key of ours lies in Redis.
#[must_use]
pub fn place(partition: Partition, key: &[u8]) -> Place {
    match shelf(key) {
        Shelf::Owned(owner, rest) => {
            // `m` member 0: what stands between is the member.
            let member = &owner[1..owner.len() - 1];
            let (kind, field) = match rest.first() {
                Some(b't') => (b"t:", &rest[1..]),
                Some(b'i') => (b"i:", &rest[1..]),
                _ => (b"m:", rest),
            };
            let head = (rest == b"h").then(|| member.to_vec());
            Place::Field { key: named(partition, &[kind, member]), field: field.to_vec(), member: head }
        }
        Shelf::Point => {
            let hash = xxhash_rust::xxh3::xxh3_64(&key[1..]) % HINT_HASHES;
            let key_of_all = named(partition, &[&key[..1], b":", format!("{hash:03x}").as_bytes()]);
            Place::Field { key: key_of_all, field: key[1..].to_vec(), member: None }
        }
        Shelf::Counter => Place::Counter(key.to_vec()),
        Shelf::Ordered if partition == CATALOGUE && matches!(key.first(), Some(b'M' | b'O')) => {
            Place::Document(named(partition, &[&key[..1], b":", &key[1..]]), key.to_vec())
        }
        Shelf::Ordered => Place::Line(key.to_vec()),
    }
}

/// Bounds of `ZRANGEBYLEX` for names that begin with a prefix and come after one.
#[must_use]
pub fn bounds(prefix: &[u8], after: Option<&[u8]>) -> (Vec<u8>, Vec<u8>) {
    let from = match after {
        Some(after) => [b"(", after].concat(),
        None => [b"[", prefix].concat(),
    };
    // The next prefix of the same length; none above a prefix of 0xff alone.
    let mut end = prefix.to_vec();
    while end.last() == Some(&u8::MAX) {
        end.pop();
    }
    match end.last_mut() {
        Some(last) => {
            *last += 1;
            (from, [b"(", end.as_slice()].concat())
        }
        None => (from, b"+".to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MemberId, OfferId};
    use crate::store::keys;

    #[test]
    fn keys_of_a_partition_share_its_hash_tag_and_can_be_read() {
        let ann = MemberId::new("ann").unwrap();
        let Place::Field { key, field, member } = place(17, &keys::head(&ann)) else { panic!("a field") };
        assert_eq!((key.as_slice(), field.as_slice()), (&b"rf:{17}:m:ann"[..], &b"h"[..]));
        assert_eq!(member.as_deref(), Some(&b"ann"[..]));
        let Place::Field { key, member, .. } = place(17, &keys::statement_line(&ann, 3)) else { panic!("a field") };
        assert_eq!((key.as_slice(), member), (&b"rf:{17}:t:ann"[..], None));
        let offer = keys::offer(OfferId::new("five").unwrap().as_str());
        assert_eq!(place(CATALOGUE, &offer), Place::Document(b"rf:{catalogue}:O:five".to_vec(), b"Ofive".to_vec()));
        assert_eq!(place(3, &keys::mark()), Place::Line(b"z".to_vec()));
    }

    #[test]
    fn bounds_hold_a_prefix_and_what_comes_after() {
        assert_eq!(bounds(b"a", None), (b"[a".to_vec(), b"(b".to_vec()));
        assert_eq!(bounds(b"a", Some(b"ab")), (b"(ab".to_vec(), b"(b".to_vec()));
        assert_eq!(bounds(&[b'a', 0xff], None), ([b'[', b'a', 0xff].to_vec(), b"(b".to_vec()));
    }
}
