//! Small files that are replaced whole: cursors and counts that must survive a crash.
//!
//! A reader never sees half a file: it is written aside, synced, renamed, and the folder is
//! synced, so that after a return the new content is there whatever happens. Must not know
//! what the files hold.

use rustix::fs::{FlockOperation, flock};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a lock that somebody holds is asked for, and how long between.
const LOCK_TRIES: u32 = 25;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Takes a file as a lock, while the file is open; `None` when another process has it. One that is
/// just ending is waited for, half a second at most: also a child that somebody starts holds
/// what was open, until it becomes another program.
///
/// # Errors
/// When the file system refuses.
pub fn lock(path: &Path, mode: u32) -> io::Result<Option<File>> {
    let file = File::options().read(true).write(true).create(true).truncate(false).mode(mode).open(path)?;
    for tried in 1.. {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            // The system has no lock that waits for so long and no longer.
            Err(rustix::io::Errno::WOULDBLOCK) if tried < LOCK_TRIES => std::thread::park_timeout(LOCK_PAUSE),
            Err(rustix::io::Errno::WOULDBLOCK) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Puts new content in place of a file, or makes it.
///
/// # Errors
/// When the file system refuses; the old content then stands.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let aside = aside(path);
    let mut file = File::create(&aside)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&aside, path)?;
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

/// The content; `None` when there is no such file.
///
/// # Errors
/// When it cannot be read, or has more than `bytes_max` bytes, which ours never have.
pub fn read(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut content)?;
    if content.len() as u64 > bytes_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("has more than {bytes_max} bytes")));
    }
    Ok(Some(content))
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(".new");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_read_within_a_bound() {
        let dir = std::env::temp_dir().join(format!("ringfence-kept-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("a.cursor");
        assert_eq!(read(&path, 10).unwrap(), None);
        replace(&path, b"one").unwrap();
        replace(&path, b"2").unwrap();
        assert_eq!(read(&path, 1).unwrap().as_deref(), Some(&b"2"[..]));
        replace(&path, b"three").unwrap();
        assert!(read(&path, 4).is_err(), "longer than anything we wrote");
        assert!(!dir.join("a.cursor.new").exists());
        assert!(replace(&dir.join("no/such/folder"), b"x").is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
