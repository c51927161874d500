//! The few things the journal and the vault ask of a disk, so that a disk that fails can stand in for a good one.
//!
//! [`RealDisk`] is the operating system's; [`SimDisk`] lives in memory, forgets what was not synced and fails on
//! demand. Nothing here knows what the bytes mean.

mod real;
mod sim;

pub use real::RealDisk;
pub use sim::{SimDisk, SyncHold};

use std::io;
use std::path::Path;

/// Holds a directory for one process; let go when dropped.
pub type DirLock = Box<dyn Send + Sync>;

/// Directories and the names in them.
///
/// A new, renamed or removed name is durable only after [`Disk::sync_dir`] on its directory.
pub trait Disk: Send + Sync {
    /// Makes the directory, and those above it, durably; nothing happens when it is there.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes a new empty file; fails when the name is taken.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file that is there, to read and to write.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// The names of the files in a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Removes a file's name. Whoever has it open may go on reading.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name, taking the place of a file that had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes a directory for this process alone; `None` when another holds it.
    fn lock(&self, dir: &Path) -> io::Result<Option<DirLock>>;
}

/// One open file. It has no cursor: every call says where.
pub trait DiskFile: Send + Sync {
    /// Writes all the bytes at the offset. On an error any part of them may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Fills as much of `into` as there are bytes at the offset; the count is short only at the end of the file.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    /// Makes the bytes and the length durable.
    fn sync_data(&self) -> io::Result<()>;
    /// How long the file is.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts the file, or extends it with zeros; durable after [`DiskFile::sync_data`].
    fn set_len(&self, bytes: u64) -> io::Result<()>;
}
