//! What screening keeps, as a file: a start reads it and the records after it in place of all there are.
//!
//! A snapshot holds the place up to which it has read, and the last record before it, so that it is known
//! to be of this journal. It is written aside and renamed; one that is damaged, of another version of the
//! program or of another journal is refused, and everything is read again. It is only ever a copy of what
//! the journal says: to throw it away costs time and nothing else.
//!
//! Scores are none of it: the first pass makes them. It holds members' ids and keyed hashes, as the state does.

use super::kept::Kept;
use super::live::Arrivals;
use super::report::Report;
use super::resident::Resident;
use super::rules::Rules;
use super::worth::Worth;
use crate::domain::MemberId;
use crate::engine::Engine;
use crate::journal::Position;
use crate::kept;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Begins the file.
const MAGIC: &[u8; 8] = b"RFSCREEN";
/// Raised with every change of what is kept or of what it means.
const VERSION: u32 = 1;
/// Bytes before the content: magic, version, checksum.
const HEAD: usize = 8 + 4 + 16;
/// No network that fits a machine takes more.
const BYTES_MAX: u64 = 1 << 38;

/// How far was read, and what stood there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Where to read on.
    pub next: Position,
    /// The last record before it: its frame, its place there, and the hash of its bytes.
    pub last: (Position, u32, u64),
}

impl Place {
    /// After a record.
    #[must_use]
    pub fn after(next: Position, last: &crate::journal::Entry) -> Self {
        Self { next, last: (last.at, last.index, xxh3_64(&last.record)) }
    }

    /// Whether this journal has that record.
    #[must_use]
    pub fn is_of(&self, engine: &Engine) -> bool {
        let (at, index, hash) = self.last;
        let is_it =
            |entry: &crate::journal::Entry| (entry.at, entry.index) == (at, index) && xxh3_64(&entry.record) == hash;
        self.next <= engine.journal_end() && engine.read_journal(at, 1).is_ok_and(|page| page.entries.iter().any(is_it))
    }
}

/// A copy of what is kept, to be written beside the work.
#[derive(Debug)]
pub struct Copied {
    /// The network: the same copy that a pass looks at.
    pub resident: Arc<Resident>,
    /// The desk's rules.
    pub rules: Rules,
    /// Sign-ups of the last day.
    pub arrivals: Arrivals,
    /// What merchants may know.
    pub report: Report,
    /// What the desk is worth.
    pub worth: Worth,
    /// How far was read.
    pub place: Place,
    /// Members whose rewards waited for nothing but screening.
    pub release: Vec<MemberId>,
}

/// In the order of the file.
#[derive(Serialize)]
struct Said<'a>(Place, &'a [MemberId], &'a Resident, &'a Rules, &'a Arrivals, &'a Report, &'a Worth);

#[derive(Deserialize)]
struct Heard(Place, Vec<MemberId>, Resident, Rules, Arrivals, Report, Worth);

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotFault {
    /// The disk.
    #[error("it cannot be read or written")]
    Disk(#[from] std::io::Error),
    /// Not ours, or of another version.
    #[error("it is of another version of the program")]
    Version,
    /// Bytes were changed.
    #[error("its bytes are damaged")]
    Damaged,
    /// It has no form.
    #[error("what is kept has no bytes")]
    NoForm(#[source] postcard::Error),
}

/// Where an engine's snapshot is.
#[must_use]
pub fn path(engine: &Engine) -> PathBuf {
    engine.options.journal_dir.join("screening.snapshot")
}

impl Copied {
    /// The file's bytes.
    ///
    /// # Errors
    /// When there is no form for it.
    pub fn bytes(&self) -> Result<Vec<u8>, SnapshotFault> {
        let Self { resident, rules, arrivals, report, worth, place, release } = self;
        let said = Said(*place, release, resident, rules, arrivals, report, worth);
        let mut bytes = vec![0; HEAD];
        bytes = postcard::to_extend(&said, bytes).map_err(SnapshotFault::NoForm)?;
        let checksum = xxh3_128(&bytes[HEAD..]);
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..HEAD].copy_from_slice(&checksum.to_le_bytes());
        Ok(bytes)
    }

    /// Writes it in place of the one before. Takes a second for a million members.
    ///
    /// # Errors
    /// When the disk refuses; the one before stands.
    pub fn write(&self, path: &Path) -> Result<(), SnapshotFault> {
        Ok(kept::replace(path, &self.bytes()?)?)
    }
}

/// What a file holds: what is kept, how far it was read, and whose rewards waited.
///
/// # Errors
/// [`SnapshotFault`]; then everything is to be read again.
pub fn parse(bytes: &[u8]) -> Result<(Kept, Place, Vec<MemberId>), SnapshotFault> {
    let (head, content) = bytes.split_at_checked(HEAD).ok_or(SnapshotFault::Damaged)?;
    if head[..8] != *MAGIC || head[8..12] != VERSION.to_le_bytes() {
        return Err(SnapshotFault::Version);
    }
    if head[12..] != xxh3_128(content).to_le_bytes() {
        return Err(SnapshotFault::Damaged);
    }
    let Heard(place, release, mut resident, rules, arrivals, report, worth) =
        postcard::from_bytes(content).map_err(|_| SnapshotFault::Damaged)?;
    resident.index();
    let mut kept = Kept::default();
    (kept.resident, kept.rules, kept.arrivals) = (resident, rules, arrivals);
    (kept.report, kept.worth) = (report, worth);
    Ok((kept, place, release))
}

/// The snapshot of an engine's journal; `None` when there is none.
///
/// # Errors
/// [`SnapshotFault`] of one that is not used.
pub fn read(engine: &Engine) -> Result<Option<(Kept, Place, Vec<MemberId>)>, SnapshotFault> {
    let Some(bytes) = kept::read(&path(engine), BYTES_MAX)? else { return Ok(None) };
    let found = parse(&bytes)?;
    // A journal that was put back from a copy, or is another one.
    if found.1.is_of(engine) { Ok(Some(found)) } else { Err(SnapshotFault::Version) }
}

/// Maps of many as sorted pairs, so that the same is always the same bytes.
pub(super) mod pairs {
    use hashbrown::HashMap;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::hash::Hash;

    pub(in crate::follow) fn serialize<K, V, S>(map: &HashMap<K, V>, to: S) -> Result<S::Ok, S::Error>
    where
        K: Ord + Serialize,
        V: Serialize,
        S: Serializer,
    {
        let mut pairs: Vec<(&K, &V)> = map.iter().collect();
        pairs.sort_unstable_by(|a, b| a.0.cmp(b.0));
        pairs.serialize(to)
    }

    pub(in crate::follow) fn deserialize<'de, K, V, D>(from: D) -> Result<HashMap<K, V>, D::Error>
    where
        K: Eq + Hash + Deserialize<'de>,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(from)?.into_iter().collect())
    }
}
