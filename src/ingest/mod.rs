//! Bodies by an operator's authority in place of a signature: files for backfill, pages
//! that were pulled. The same path as a webhook ([`crate::pipeline`]), the same identity, so
//! that whatever is taken twice counts once.
//!
//! Documents go in packs. Within a pack, purchases go side by side, so that they share the
//! journal's syncs; what belongs to one purchase goes in the order of the file. A pack is
//! done before the next one begins: that makes "done up to here" one number.

pub mod cursor;
pub mod lines;
pub mod run;
pub mod tally;
pub mod way;

use crate::authenticate::VerifiedBody;
use crate::engine::Engine;
use crate::health::Health;
use crate::normalise::{self, Format, Message, Unreadable};
use crate::pipeline::{self, Received, Source};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Most documents of a pack.
pub const PACK_DOCUMENTS_MAX: usize = 500;
/// Bytes after which a pack takes no further document.
pub const PACK_BYTES_MAX: usize = 256 << 10;

/// Where documents go.
#[derive(Clone, Copy)]
pub struct Intake<'a> {
    /// Commits.
    pub engine: &'a Arc<Engine>,
    /// Whose words they are.
    pub source: &'a Source,
    /// Counts.
    pub health: &'a Health,
}

impl Intake<'_> {
    /// Takes a pack of documents through the whole path; what became of each, in order.
    /// Every event with an outcome other than `no_offer` and `unknown_card` is durable then.
    pub async fn take(&self, documents: &[Bytes]) -> Vec<Result<Received, Unreadable>> {
        let mut lanes: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (place, document) in documents.iter().enumerate() {
            lanes.entry(lane(self.source.format, document)).or_default().push(place);
        }
        let lanes = lanes.into_values().map(|places| async move {
            let mut taken = Vec::with_capacity(places.len());
            for place in places {
                let body = VerifiedBody::by_operator(documents[place].clone());
                // On the heap: there are hundreds of lanes.
                let received = Box::pin(pipeline::receive(self.engine, self.source, &body)).await;
                if let Ok(received) = &received {
                    self.health.note(self.source.index, received, self.engine.clock.now());
                }
                taken.push((place, received));
            }
            taken
        });
        let mut taken: Vec<_> = futures_util::future::join_all(lanes).await.into_iter().flatten().collect();
        taken.sort_by_key(|(place, _)| *place);
        taken.into_iter().map(|(_, received)| received).collect()
    }
}

/// Documents of one lane go in order: those that begin with the same purchase do.
fn lane(format: Format, document: &[u8]) -> u64 {
    let Ok(normalised) = normalise::normalise(format, document) else { return 0 };
    let event = normalised.messages.iter().find_map(|message| match message {
        Message::Event(event) => Some(event),
        _ => None,
    });
    event.map_or(0, |event| {
        let purchase = event.purchase.as_ref().map_or(event.key.as_str(), |purchase| purchase.as_str());
        xxh3_64(purchase.as_bytes())
    })
}
