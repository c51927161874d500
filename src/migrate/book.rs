//! The journals of all processes read as one book: what follows another's record comes after it,
//! and what does not count is left out: records that were withdrawn, branches that were superseded.

use super::MigrateError;
use crate::domain::MemberId;
use crate::journal::disk::RealDisk;
use crate::journal::{Journal, Options, Position};
use crate::record::{self, Body, Record, RecordError};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Records read from a journal at a time.
pub(super) const PAGE: usize = 512;

/// A record's process and number, within its member.
type Own = (u32, u64);

struct Link {
    own: Own,
    partition: u16,
    previous: Option<Own>,
    version: u64,
    epoch: u32,
}

/// What a first reading of all journals finds.
#[derive(Default)]
struct Found {
    members: BTreeMap<MemberId, Vec<Link>>,
    withdrawn: HashSet<(u32, u16, u64)>,
    epoch: u32,
    writers: BTreeSet<u32>,
}

impl Found {
    fn take(&mut self, record: &Record) {
        let envelope = &record.envelope;
        self.epoch = self.epoch.max(envelope.epoch);
        self.writers.insert(envelope.process);
        match &record.body {
            Body::Withdrawn { number } => {
                self.withdrawn.insert((envelope.process, envelope.partition, *number));
            }
            Body::Member { member, .. } => {
                let link = Link {
                    own: (envelope.process, envelope.number),
                    partition: envelope.partition,
                    previous: envelope.previous.map(|previous| (previous.process, previous.number)),
                    version: envelope.version,
                    epoch: envelope.epoch,
                };
                self.members.entry(member.clone()).or_default().push(link);
            }
            _ => {}
        }
    }

    /// Per member, the records that count: the chain that ends with the newest.
    fn book(&self) -> HashMap<MemberId, HashSet<Own>> {
        let of = |links: &Vec<Link>| {
            let by_own: HashMap<Own, &Link> = links.iter().map(|link| (link.own, link)).collect();
            let counts = |link: &&Link| !self.withdrawn.contains(&(link.own.0, link.partition, link.own.1));
            let newest = links.iter().filter(counts).max_by_key(|link| (link.epoch, link.version)).map(|link| link.own);
            let mut chain = HashSet::new();
            let mut next = newest;
            while let Some(own) = next.filter(|own| chain.insert(*own)) {
                next = by_own.get(&own).and_then(|link| link.previous);
            }
            chain
        };
        self.members.iter().map(|(member, links)| (member.clone(), of(links))).collect()
    }
}

/// One journal as it is read.
struct Stream {
    journal: Journal,
    at: Position,
    ready: VecDeque<Record>,
}

impl Stream {
    fn fill(&mut self) -> Result<(), MigrateError> {
        while self.ready.is_empty() && self.at < self.journal.end() {
            let page = self.journal.read(self.at, PAGE)?;
            if page.entries.is_empty() {
                break;
            }
            for entry in &page.entries {
                self.ready.push_back(record::decode(&entry.record)?);
            }
            self.at = page.next;
        }
        Ok(())
    }
}

/// See the module.
pub(super) struct Book {
    streams: Vec<Stream>,
    counts: HashMap<MemberId, HashSet<Own>>,
    withdrawn: HashSet<(u32, u16, u64)>,
    /// The newest record of each member that was read.
    taken: HashMap<MemberId, Own>,
    /// Records that do not count.
    pub(super) left_out: u64,
    /// The highest epoch that was proved.
    pub(super) epoch: u32,
    /// All who wrote any of it.
    pub(super) writers: BTreeSet<u32>,
}

impl Book {
    /// Opens the journals in some folders and reads each of them once, for what counts.
    pub(super) fn open(dirs: &[PathBuf]) -> Result<Self, MigrateError> {
        let mut found = Found::default();
        let mut streams = Vec::new();
        for dir in dirs {
            let journal = open(dir, &mut found)?;
            streams.push(Stream { journal, at: Position::default(), ready: VecDeque::new() });
        }
        let counts = found.book();
        let Found { withdrawn, epoch, writers, .. } = found;
        Ok(Self { streams, counts, withdrawn, taken: HashMap::new(), left_out: 0, epoch, writers })
    }

    /// The journals' processes, and where each journal ends.
    pub(super) fn processes(&self) -> Vec<(u32, Position)> {
        self.streams.iter().map(|stream| (stream.journal.process(), stream.journal.end())).collect()
    }

    /// The next record that counts, and which journal has it.
    pub(super) fn next(&mut self) -> Result<Option<(usize, Record)>, MigrateError> {
        loop {
            for stream in &mut self.streams {
                stream.fill()?;
            }
            // What follows a record comes after it, whatever the clocks of the processes say.
            let follows = |record: &Record| match &record.body {
                Body::Member { member, .. } => {
                    let previous = record.envelope.previous.map(|previous| (previous.process, previous.number));
                    !self.counts(record) || self.taken.get(member).copied() == previous
                }
                _ => true,
            };
            let heads =
                || self.streams.iter().enumerate().filter_map(|(place, stream)| Some((place, stream.ready.front()?)));
            let first = |can: &dyn Fn(&Record) -> bool| -> Option<usize> {
                let able = heads().filter(|(_, record)| can(record));
                able.min_by_key(|(_, record)| record.envelope.at).map(|(place, _)| place)
            };
            let Some(place) = first(&follows).or_else(|| first(&|_| true)) else { return Ok(None) };
            let Some(record) = self.streams[place].ready.pop_front() else { return Ok(None) };
            if !self.counts(&record) {
                self.left_out += 1;
                continue;
            }
            if let Body::Member { member, .. } = &record.body {
                self.taken.insert(member.clone(), (record.envelope.process, record.envelope.number));
            }
            return Ok(Some((place, record)));
        }
    }

    fn counts(&self, record: &Record) -> bool {
        let envelope = &record.envelope;
        match &record.body {
            Body::Member { member, .. } => {
                self.counts.get(member).is_some_and(|chain| chain.contains(&(envelope.process, envelope.number)))
            }
            Body::Withdrawn { .. } => false,
            _ => !self.withdrawn.contains(&(envelope.process, envelope.partition, envelope.number)),
        }
    }

    /// Lets go of the journals.
    pub(super) fn close(self) -> Result<(), crate::journal::AppendError> {
        self.streams.into_iter().try_for_each(|stream| stream.journal.close())
    }
}

fn open(dir: &Path, found: &mut Found) -> Result<Journal, MigrateError> {
    let options = Options::new(dir);
    let opened = Journal::open(Arc::new(RealDisk), options, None, &mut |_, bytes: &[u8]| {
        found.take(&record::decode::<Record>(bytes)?);
        Ok::<(), RecordError>(())
    });
    opened.map(|(journal, _)| journal).map_err(|source| MigrateError::Journal { path: dir.to_owned(), source })
}
