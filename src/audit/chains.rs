//! Which records are the book, where several processes wrote it: those on the chain that the
//! newest record of each member begins. A record that another process was faster than, or that
//! a shared store forgot and that was offered again, is on none: its branch was superseded.

use crate::domain::MemberId;
use crate::record::{Body, Record};
use std::collections::{HashMap, HashSet};

/// A record's process, partition and number.
pub(super) type Name = (u32, u16, u64);
/// A record's process and number, within its member.
type Own = (u32, u64);

/// One record of a member.
#[derive(Debug, Clone, Copy)]
struct Link {
    own: Own,
    partition: u16,
    previous: Option<Own>,
    version: u64,
    epoch: u32,
}

/// All records of members, until the book is found among them. Forty-eight bytes per record.
#[derive(Debug, Default)]
pub(super) struct Chains {
    members: HashMap<MemberId, Vec<Link>>,
}

impl Chains {
    /// Takes a record that can be read.
    pub(super) fn take(&mut self, record: &Record) {
        let Body::Member { member, .. } = &record.body else { return };
        let envelope = &record.envelope;
        let link = Link {
            own: (envelope.process, envelope.number),
            partition: envelope.partition,
            previous: envelope.previous.map(|previous| (previous.process, previous.number)),
            version: envelope.version,
            epoch: envelope.epoch,
        };
        self.members.entry(member.clone()).or_default().push(link);
    }

    /// The records that are on no book. Linear in the records.
    pub(super) fn superseded(self, withdrawn: &HashSet<Name>) -> HashSet<Name> {
        let mut superseded = HashSet::new();
        for links in self.members.into_values() {
            let is_withdrawn = |link: &Link| withdrawn.contains(&(link.own.0, link.partition, link.own.1));
            let by_own: HashMap<Own, Link> = links.iter().map(|link| (link.own, *link)).collect();
            let tip = links.iter().filter(|link| !is_withdrawn(link)).max_by_key(|link| (link.epoch, link.version));
            let mut book = HashSet::new();
            let mut next = tip.map(|tip| tip.own);
            // A chain that came back to itself would be endless.
            while let Some(own) = next.filter(|own| book.insert(*own)) {
                next = by_own.get(&own).and_then(|link| link.previous);
            }
            // Only what can be: a branch of an older epoch, or one whose place another process took.
            // Anything else that is on no chain is for the books to tell.
            let newest = tip.map_or(0, |tip| tip.epoch);
            let taken: HashMap<u64, u32> =
                book.iter().filter_map(|own| by_own.get(own)).map(|link| (link.version, link.own.0)).collect();
            let lost = |link: &&Link| {
                link.epoch < newest || taken.get(&link.version).is_some_and(|process| *process != link.own.0)
            };
            let off = links.iter().filter(|link| !book.contains(&link.own) && !is_withdrawn(link)).filter(lost);
            superseded.extend(off.map(|link| (link.own.0, link.partition, link.own.1)));
        }
        superseded
    }
}

/// The newest record taken of each member: says which stream goes on, whatever the clocks of
/// the processes say.
#[derive(Debug, Default)]
pub(super) struct Taken(HashMap<MemberId, Own>);

impl Taken {
    /// Whether all that a record of the book rests on was taken.
    pub(super) fn is_next(&self, record: &Record) -> bool {
        let Body::Member { member, .. } = &record.body else { return true };
        let previous = record.envelope.previous.map(|previous| (previous.process, previous.number));
        self.0.get(member).copied() == previous
    }
    /// A record was taken.
    pub(super) fn take(&mut self, record: &Record) {
        if let Body::Member { member, .. } = &record.body {
            self.0.insert(member.clone(), (record.envelope.process, record.envelope.number));
        }
    }
}
