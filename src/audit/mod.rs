//! The audit: reads journals from their first byte and proves the books with code that
//! shares nothing with the code that wrote them, save the words of a record.
//!
//! [`audit`] reads frames by itself, sums every account by itself, and decides each member
//! again from the inputs alone, in a fixed and in a shuffled order: what was granted must
//! be what is due. Every check has a name, a count and its first differences.

mod books;
mod chains;
mod due;
mod frames;
mod keys;
mod report;
#[cfg(test)]
mod tests;

pub use report::{Check, JournalRead, Named, Report, RewardLine, Totals, TrialLine};

use crate::decide::Policy;
use crate::record::{self, Body, Record};
use books::{Books, Place};
use chains::{Chains, Taken};
use frames::{At, Frame, Frames};
use std::collections::HashSet;
use std::collections::VecDeque;
use std::path::PathBuf;

/// Under which rules the books are judged.
#[derive(Debug, Clone)]
pub struct AuditOptions {
    /// Rules of every decision, as the service had them. The holdout key is read from the
    /// secrets beside the journal.
    pub policy: Policy,
    /// Days until purchases are sealed and their identities may be forgotten.
    pub retention_days: u32,
    /// Seed of the shuffled order.
    pub seed: u64,
    /// Differences kept of each check; the rest are counted.
    pub differences_max: usize,
}

impl AuditOptions {
    /// The defaults under a policy.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, retention_days: 578, seed: 1, differences_max: 20 }
    }
}

/// Why there is no report at all. What is wrong in the books is in the report.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file or folder cannot be read.
    #[error("{path} cannot be read")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No segment is there.
    #[error("{dir} holds no journal: name the folder with the `.seg` files (journal.dir in the configuration)")]
    NoJournal {
        /// Where.
        dir: PathBuf,
    },
    /// Nothing was named.
    #[error("no journal was named")]
    Nothing,
}

/// Audits the journals of all processes that share a store, together.
///
/// Reads each journal twice, frame by frame; keeps the facts of every member in memory,
/// which is a few hundred bytes per event.
///
/// # Errors
/// [`AuditError`] when files cannot be read; differences are in the report.
pub fn audit(journal_dirs: &[PathBuf], options: &AuditOptions) -> Result<Report, AuditError> {
    if journal_dirs.is_empty() {
        return Err(AuditError::Nothing);
    }
    let mut options = options.clone();
    let mut report = Report::new(options.differences_max);
    match journal_dirs.iter().find_map(|dir| frames::holdout_key(dir)) {
        Some(key) => options.policy.holdout_key = key,
        None => report.notes.push(
            "no readable store.secrets beside the journal: who is held out of an offer cannot be told, and offers with a holdout may differ"
                .to_owned(),
        ),
    }
    let mut withdrawn = HashSet::new();
    let mut ends = Vec::new();
    let mut chains = Chains::default();
    for dir in journal_dirs {
        ends.push(first_pass(dir, &mut report, &mut withdrawn, &mut chains)?);
    }
    let superseded = chains.superseded(&withdrawn);
    report.totals.superseded = superseded.len() as u64;
    let keys = journal_dirs.iter().map(|dir| keys::Keys::read(dir)).collect();
    let mut books = Books::new(&options, withdrawn, &mut report, keys);
    let mut streams = Vec::new();
    for (journal, (dir, end)) in journal_dirs.iter().zip(ends).enumerate() {
        let mut stream = Stream { journal, frames: Frames::open(dir, Some(end))?, ready: VecDeque::new() };
        stream.fill()?;
        streams.push(stream);
    }
    // The journals of several processes side by side: what rests on another's record after it,
    // and else by time, as their clocks may differ.
    let mut taken = Taken::default();
    loop {
        for stream in &mut streams {
            stream.skip(&superseded)?;
        }
        let first = |can: &dyn Fn(&Record) -> bool| {
            let heads = streams.iter().enumerate().filter_map(|(i, stream)| Some((i, &stream.ready.front()?.1)));
            heads.filter(|(_, record)| can(record)).min_by_key(|(_, record)| record.envelope.at).map(|(i, _)| i)
        };
        // Where nothing follows something is missing, and the books say what.
        let Some(next) = first(&|record| taken.is_next(record)).or_else(|| first(&|_| true)) else { break };
        if let Some((place, record)) = streams[next].ready.pop_front() {
            taken.take(&record);
            books.take(place, record);
        }
    }
    books.close();
    Ok(report)
}

/// Checks frames and chain, sees that every record can be read, and finds the withdrawn.
fn first_pass(
    dir: &std::path::Path,
    report: &mut Report,
    withdrawn: &mut HashSet<(u32, u16, u64)>,
    chains: &mut Chains,
) -> Result<At, AuditError> {
    let mut frames = Frames::open(dir, None)?;
    let mut read = JournalRead { dir: dir.to_owned(), segments: frames.segments(), ..JournalRead::default() };
    // Of a journal that was made of others: who wrote in those.
    let mut adopted = HashSet::new();
    while let Some(frame) = frames.next()? {
        read.frames += 1;
        report.examined(Named::Frames, 1);
        for (index, bytes) in frame.records().enumerate() {
            read.records += 1;
            report.examined(Named::Records, 1);
            match record::decode::<Record>(bytes) {
                Ok(Record { envelope, body: Body::Withdrawn { number } }) => {
                    withdrawn.insert((envelope.process, envelope.partition, number));
                }
                Ok(record)
                    if Some(record.envelope.process) != frames.process
                        && !adopted.contains(&record.envelope.process) =>
                {
                    let process = record.envelope.process;
                    report.differ(Named::Records, || {
                        format!("{} record {index}: written by process {process}, in the journal of another", frame.at)
                    });
                }
                Ok(record) => {
                    if let Body::Adopted { processes } = &record.body {
                        adopted.extend(processes.iter().copied());
                    }
                    chains.take(&record);
                }
                Err(error) => report.differ(Named::Records, || format!("{} record {index}: {error}", frame.at)),
            }
        }
    }
    if let Some(fault) = frames.fault.take() {
        report.examined(Named::Frames, 1);
        report.differ(Named::Frames, || format!("{}: {fault}", dir.display()));
        report.notes.push(format!(
            "reading of {} stopped at {}; what follows is not checked",
            dir.display(),
            frames.at
        ));
    }
    if frames.torn_bytes > 0 {
        report.notes.push(format!(
            "{}: {} bytes of an interrupted write at {}; none of them was ever acknowledged",
            dir.display(),
            frames.torn_bytes,
            frames.at
        ));
    }
    read.process = frames.process;
    read.bytes = frames.bytes;
    read.torn_bytes = frames.torn_bytes;
    report.journals.push(read);
    Ok(frames.at)
}

/// Records of one journal, in order.
struct Stream {
    journal: usize,
    frames: Frames,
    ready: VecDeque<(Place, Record)>,
}

impl Stream {
    /// Goes on to the next record that is of the book, or of no member.
    fn skip(&mut self, superseded: &HashSet<chains::Name>) -> Result<(), AuditError> {
        loop {
            self.fill()?;
            let Some((_, record)) = self.ready.front() else { return Ok(()) };
            let Record { envelope, .. } = record;
            if !superseded.contains(&(envelope.process, envelope.partition, envelope.number)) {
                return Ok(());
            }
            self.ready.pop_front();
        }
    }
    fn fill(&mut self) -> Result<(), AuditError> {
        while self.ready.is_empty() {
            let Some(frame) = self.frames.next()? else { break };
            self.split(&frame);
        }
        Ok(())
    }
    fn split(&mut self, frame: &Frame) {
        for (index, bytes) in frame.records().enumerate() {
            // What cannot be read was told in the first pass.
            if let Ok(record) = record::decode::<Record>(bytes) {
                let place = Place { journal: self.journal, at: frame.at, index };
                self.ready.push_back((place, record));
            }
        }
    }
}
