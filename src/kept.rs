//! Small files that are replaced whole: cursors and counts that must survive a crash.
//!
//! A reader never sees half a file: it is written aside, synced, renamed, and the folder is
//! synced, so that after a return the new content is there whatever happens. Must not know
//! what the files hold.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

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
