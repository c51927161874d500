//! How a shared store keeps a member's purchases: several in one value, compressed. Purchases of
//! one member are much alike, so that ten take less than half of the memory that they take one by
//! one, and memory decides what a shared store costs. An embedded store keeps each by itself: there it
//! is writing that costs.
//!
//! Which page a purchase is on follows from its key and from how many pages there are, and that
//! from how many purchases the member has: nothing has to be remembered. A commit writes the pages
//! of the purchases that it touches, and all of them where their number changes, which it does at
//! powers of two. Cost: linear in the member's purchases for finding them, in those of the pages
//! for writing.

use super::EngineError;
use crate::decide::{MemberState, Touched};
use crate::domain::PurchaseKey;
use crate::domain::purchase::Purchase;
use crate::record;
use crate::store::{Batch, Partition, StoreError, keys};
use std::collections::BTreeSet;

/// How many purchases a page holds at the most, on average; half of it at the least. With more a
/// member takes less memory, and a commit more time.
const PURCHASES_PER_PAGE: usize = 4;
/// Longest page before compression: two thousand purchases of many events are far below.
const PAGE_BYTES_MAX: usize = 256 << 20;

/// How a member is in the state before a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Base {
    /// The member's version.
    pub(super) version: u64,
    /// How many purchases; `None` where each is kept by itself.
    paged: Option<usize>,
}

impl Base {
    /// A member as it was read from the state.
    pub(super) fn of(member: &MemberState, shared: bool) -> Self {
        Self { version: member.head.version, paged: shared.then_some(member.purchases.len()) }
    }
}

/// Puts what was touched of a member's purchases.
pub(super) fn put_purchases(batch: &mut Batch, base: Base, member: &MemberState, touched: &Touched) {
    let id = &member.head.id;
    let Some(before) = base.paged else {
        for key in &touched.purchases {
            if let Some(at) = member.find(key) {
                let purchase: &Purchase = &member.purchases[at].purchase;
                batch.puts.push((keys::purchase(id, key), Some(record::encode(purchase).into())));
            }
        }
        batch.puts.extend(touched.sealed.iter().map(|key| (keys::purchase(id, key), None)));
        return;
    };
    let (had, pages) = (pages_for(before), pages_for(member.purchases.len()));
    let concerned: BTreeSet<usize> = if had == pages {
        touched.purchases.iter().chain(&touched.sealed).map(|key| page_of(key, pages)).collect()
    } else {
        (0..pages).collect()
    };
    let mut on: Vec<Vec<&Purchase>> = vec![Vec::new(); pages];
    for placed in &member.purchases {
        on[page_of(&placed.purchase.key, pages)].push(&placed.purchase);
    }
    for page in concerned {
        let value = (!on[page].is_empty()).then(|| packed(&on[page]).into());
        batch.puts.push((keys::purchase_page(id, page), value));
    }
    batch.puts.extend((pages..had).map(|page| (keys::purchase_page(id, page), None)));
}

/// The purchases on a page.
///
/// # Errors
/// When the bytes are not what [`put_purchases`] wrote.
pub(super) fn unpacked(partition: Partition, page: &[u8]) -> Result<Vec<Purchase>, EngineError> {
    let broken = || StoreError::Broken { partition };
    let (bytes, rest) = lz4_flex::block::uncompressed_size(page).map_err(|_| broken())?;
    if bytes > PAGE_BYTES_MAX {
        return Err(broken().into());
    }
    Ok(record::decode(&lz4_flex::block::decompress(rest, bytes).map_err(|_| broken())?)?)
}

fn packed(purchases: &[&Purchase]) -> Vec<u8> {
    record::with_encoded(&purchases, lz4_flex::block::compress_prepend_size)
}

/// A power of two: when it grows, each page becomes two.
fn pages_for(purchases: usize) -> usize {
    purchases.div_ceil(PURCHASES_PER_PAGE).next_power_of_two()
}

/// The hash is part of the store's format: XXH3, seed 0.
fn page_of(key: &PurchaseKey, pages: usize) -> usize {
    let mut hash = xxhash_rust::xxh3::Xxh3Default::new();
    hash.update(key.source.as_str().as_bytes());
    hash.update(&[0]);
    hash.update(key.id.as_str().as_bytes());
    usize::try_from(hash.digest() % pages as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::member::Placed;
    use crate::domain::member::MemberHead;
    use crate::domain::{MemberId, PurchaseId, SourceName, Timestamp};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn key(number: u16) -> PurchaseKey {
        PurchaseKey { source: SourceName::new("acme").unwrap(), id: PurchaseId::new(format!("pur-{number}")).unwrap() }
    }

    fn member(numbers: &BTreeSet<u16>) -> MemberState {
        let mut member = MemberState::new(MemberHead::new(MemberId::new("ann").unwrap(), Timestamp::default()));
        for number in numbers {
            member.purchases.push(Placed::new(Purchase::new(key(*number))));
        }
        member.purchases.sort_by(|a, b| a.order().cmp(&b.order()));
        member
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever comes and goes, the pages hold the member's purchases, each once.
        #[test]
        fn pages_hold_what_the_member_has(
            steps in prop::collection::vec(prop::collection::vec((0_u16..90, any::<bool>()), 1..30), 1..12),
        ) {
            let mut store: BTreeMap<Vec<u8>, bytes::Bytes> = BTreeMap::new();
            let mut has = BTreeSet::new();
            for step in steps {
                let base = Base::of(&member(&has), true);
                let mut touched = Touched::default();
                for (number, stays) in step {
                    if stays {
                        has.insert(number);
                        touched.sealed.retain(|touched| *touched != key(number));
                        touched.purchases.push(key(number));
                    } else if has.remove(&number) {
                        touched.purchases.retain(|touched| *touched != key(number));
                        touched.sealed.push(key(number));
                    }
                }
                let now = member(&has);
                let mut batch = Batch::default();
                put_purchases(&mut batch, base, &now, &touched);
                for (key, value) in batch.puts {
                    prop_assert!(key.starts_with(&keys::purchase_pages(&now.head.id)));
                    match value {
                        Some(value) => drop(store.insert(key, value)),
                        None => drop(store.remove(&key)),
                    }
                }
                let mut kept = Vec::new();
                for page in store.values() {
                    kept.extend(unpacked(0, page).unwrap());
                }
                kept.sort_by(|a, b| a.key.cmp(&b.key));
                let mut wanted: Vec<PurchaseKey> = has.iter().map(|number| key(*number)).collect();
                wanted.sort();
                prop_assert_eq!(kept.into_iter().map(|purchase| purchase.key).collect::<Vec<_>>(), wanted);
            }
        }
    }

    #[test]
    fn a_page_that_is_none_is_an_error() {
        let page = packed(&[&Purchase::new(key(1))]);
        assert_eq!(unpacked(0, &page).unwrap(), [Purchase::new(key(1))]);
        for end in 0..page.len() {
            assert!(unpacked(0, &page[..end]).is_err(), "cut at {end}");
        }
        let mut vast = page.clone();
        vast[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(unpacked(0, &vast).is_err());
    }
}
