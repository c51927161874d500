//! One journal made of several, for a store that has one: the records of the book, each as its
//! process wrote it, behind one that names those processes. Members' keys move into one vault, and
//! records name them where they lie now; nothing else of a record changes, so that everything a
//! record says of another still holds, and what was sealed still opens.

use super::book::{Book, PAGE};
use super::{MigrateError, Migrated};
use crate::clock::Clock;
use crate::domain::member::Sealed;
use crate::domain::{MemberId, Timestamp};
use crate::engine::migration::MigrationError;
use crate::journal::disk::RealDisk;
use crate::journal::vault::{Vault, VaultError};
use crate::journal::{Journal, Options, Position};
use crate::record::{self, Body, Envelope, MemberInput, Record};
use crate::store::CATALOGUE;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files that the processes of a store have in common, beside their journals.
const IN_COMMON: [&str; 2] = ["store.secrets", "keys.json"];

/// Where members' keys lay, and where they lie now.
struct Keys {
    /// By process.
    old: HashMap<u32, Vault>,
    new: Arc<Vault>,
    slots: HashMap<MemberId, u64>,
}

impl Keys {
    /// Names the new place of a key wherever a record names it.
    fn move_to(&mut self, record: &mut Record) -> Result<(), VaultError> {
        let Body::Member { member, input, .. } = &mut record.body else { return Ok(()) };
        match input.as_mut() {
            MemberInput::Registered { profile: Some(profile), .. } => self.name(member, &mut profile.sealed),
            MemberInput::CardLinked { link, .. } => match &mut link.token {
                Some(token) => self.name(member, token),
                None => Ok(()),
            },
            MemberInput::Erased { slot } => {
                *slot = self.slots.get(member).copied();
                // The process that has the key may not have come to it.
                slot.map_or(Ok(()), |slot| self.new.erase(slot))
            }
            _ => Ok(()),
        }
    }

    /// Whatever of a member is sealed is sealed with one key, which lies in the vault of the
    /// process that sealed first.
    fn name(&mut self, member: &MemberId, sealed: &mut Sealed) -> Result<(), VaultError> {
        let slot = match self.slots.get(member) {
            Some(slot) => *slot,
            None => {
                let old = self.old.get(&sealed.record.process);
                let key = old.map(|vault| vault.key(sealed.slot)).transpose()?.flatten();
                let slot = match key {
                    Some(key) => self.new.take_in(&key)?,
                    None => {
                        let slot = self.new.create(getrandom::fill)?;
                        self.new.erase(slot)?;
                        slot
                    }
                };
                self.slots.insert(member.clone(), slot);
                slot
            }
        };
        sealed.slot = slot;
        Ok(())
    }
}

/// Makes one journal of those in some folders. They stay as they are.
pub(super) async fn merge(dirs: &[PathBuf], into: &Path) -> Result<Migrated, MigrateError> {
    if into.join("store.secrets").exists() || has_segments(into)? {
        return Err(MigrateError::HasJournal(into.to_owned()));
    }
    let folder = |source| MigrateError::Folder { path: into.to_owned(), source };
    std::fs::create_dir_all(into).map_err(folder)?;
    let mut book = Book::open(dirs)?;
    let mut old = HashMap::new();
    for (dir, (process, _)) in dirs.iter().zip(book.processes()) {
        let vault = Vault::open(&RealDisk, &dir.join("member.keys")).map_err(MigrationError::from)?;
        old.insert(process, vault);
    }
    let new = Arc::new(Vault::open(&RealDisk, &into.join("member.keys")).map_err(MigrationError::from)?);
    let mut options = Options::new(into);
    options.vault = Some(Arc::clone(&new));
    let journal = empty(options)?;
    let mut keys = Keys { old, new, slots: HashMap::new() };

    let processes = book.writers.iter().copied().collect();
    let mut page = vec![record::encode(&adopted(&journal, book.epoch, processes))];
    let mut done = Migrated::default();
    while let Some((_, mut record)) = book.next()? {
        if matches!(record.body, Body::Adopted { .. }) {
            continue;
        }
        keys.move_to(&mut record).map_err(MigrationError::from)?;
        page.push(record::encode(&record));
        done.records += 1;
        if page.len() == PAGE {
            journal.append(std::mem::take(&mut page)).await.map_err(MigrateError::Append)?;
        }
    }
    journal.append(page).await.map_err(MigrateError::Append)?;
    done.left_out = book.left_out;
    let process = journal.process();
    journal.close().and(book.close()).map_err(MigrateError::Append)?;
    merge_sightings(dirs, into, process).await?;
    // Last: a folder with secrets is a whole one.
    for name in IN_COMMON.iter().rev() {
        let from = dirs.iter().map(|dir| dir.join(name)).find(|path| path.exists());
        if let Some(from) = from {
            std::fs::copy(from, into.join(name)).map_err(folder)?;
        }
    }
    Ok(done)
}

fn adopted(journal: &Journal, epoch: u32, processes: Vec<u32>) -> Record {
    let envelope = Envelope {
        process: journal.process(),
        partition: CATALOGUE,
        number: 1,
        epoch: epoch.max(1),
        again: None,
        at: Clock::Machine.now(),
        previous: None,
        version: 0,
        catalogue: 0,
        mark: Timestamp::default(),
        request: None,
    };
    Record { envelope, body: Body::Adopted { processes } }
}

/// The events of the last days as they came, so that what becomes known later still finds them.
async fn merge_sightings(dirs: &[PathBuf], into: &Path, process: u32) -> Result<(), MigrateError> {
    let mut options = Options::new(into.join("sightings"));
    options.process = Some(process);
    options.segment_ms_max = Some(crate::domain::time::DAY_MS);
    let all = empty(options)?;
    for dir in dirs {
        let dir = dir.join("sightings");
        if !has_segments(&dir)? {
            continue;
        }
        let one = empty(Options::new(&dir))?;
        let mut at = Position::default();
        while at < one.end() {
            let page = one.read(at, PAGE)?;
            let records: Vec<Vec<u8>> = page.entries.into_iter().map(|entry| entry.record.to_vec()).collect();
            if records.is_empty() {
                break;
            }
            all.append(records).await.map_err(MigrateError::Append)?;
            at = page.next;
        }
        one.close().map_err(MigrateError::Append)?;
    }
    all.close().map_err(MigrateError::Append)
}

/// A journal whose records are not looked at as it opens.
fn empty(options: Options) -> Result<Journal, MigrateError> {
    let path = options.dir.clone();
    let skip = &mut |_, _: &[u8]| Ok::<(), std::convert::Infallible>(());
    let opened = Journal::open(Arc::new(RealDisk), options, None, skip);
    opened.map(|(journal, _)| journal).map_err(|source| MigrateError::Journal { path, source })
}

fn has_segments(dir: &Path) -> Result<bool, MigrateError> {
    let folder = |source| MigrateError::Folder { path: dir.to_owned(), source };
    if !dir.exists() {
        return Ok(false);
    }
    let mut names = std::fs::read_dir(dir).map_err(folder)?;
    names.try_fold(false, |found, entry| {
        Ok(found || entry.map_err(folder)?.path().extension().is_some_and(|e| e == "seg"))
    })
}
