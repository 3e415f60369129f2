//! Lock files: one process at a time writes an output or moves a checkpoint.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{
    attributes::{Applied, Attributes},
    error::ArchiveError,
    fs as disk,
    layout::Layout,
};

/// The number of attempts to open and lock a file, which another process may remove in between.
const ATTEMPTS: u32 = 100;
/// The number of further attempts to lock a file that another process holds, and the pause before each.
const BUSY_RETRIES: u32 = 3;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// A locked file, which is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct FileLock {
    path: PathBuf,
    file: File,
}

impl Layout {
    /// Returns true if another process is writing here.
    pub(crate) fn is_locked(&self) -> bool {
        is_held(&self.lock_path()).unwrap_or(false)
    }
}

impl FileLock {
    /// Locks `PATH.lock`, so that no other process uses `path`. A symbolic link counts as the file that
    /// it points to.
    pub(crate) fn beside(path: &Path) -> Result<Self, ArchiveError> {
        let written = |error| ArchiveError::Write { path: path.to_owned(), error };
        let real = disk::resolve(path).map_err(written)?;
        let attributes = Attributes::of(&real).map_err(written)?;
        Self::acquire(&disk::with_suffix(&real, ".lock"), attributes)
            .map_err(written)?
            .ok_or_else(|| ArchiveError::Locked { path: path.to_owned() })
    }

    /// Locks the file at `path`, which is created if it is missing. None if another process holds it.
    pub(super) fn acquire(path: &Path, attributes: Attributes) -> io::Result<Option<Self>> {
        let mut failure = None;
        let mut retries = BUSY_RETRIES;
        for _ in 0..ATTEMPTS {
            let file = match attributes.open(path) {
                // The file may have been removed while it was opened. If the folder is missing, retrying fails too.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    failure = Some(error);
                    continue;
                }
                result => result?,
            };
            match try_lock(&file)? {
                false if retries == 0 => return Ok(None),
                // A process that only checks the lock holds it for an instant.
                false => {
                    retries -= 1;
                    thread::sleep(BUSY_PAUSE);
                }
                true if is_at(&file, path)? => return Ok(Some(Self { path: path.to_owned(), file })),
                true => {}
            }
        }
        Err(failure.unwrap_or_else(|| {
            io::Error::other("another program removes or replaces its lock file again and again")
        }))
    }
}

impl FileLock {
    /// Sets the attributes of the lock file. One that an earlier process has left may have others.
    pub(super) fn apply(&self, attributes: Attributes) -> io::Result<Applied> {
        attributes.apply(&self.file)
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // It is still locked, so no other process uses it. A file with content isn't a lock file of this program.
        if self.file.metadata().is_ok_and(|file| file.len() == 0) {
            let _ = disk::remove(&self.path);
        }
    }
}

/// Returns true if a file at `path` exists and another process holds it.
pub(super) fn is_held(path: &Path) -> io::Result<bool> {
    match File::open(path) {
        Ok(file) => Ok(!try_lock(&file)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns false if another process holds the file. A file system without locks counts as unlocked.
fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Returns true if `path` still names this file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let id = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
    let named = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        result => result?,
    };
    Ok(id(&file.metadata()?) == id(&named))
}

/// This system can't replace an open file.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acquire(path: &Path) -> Option<FileLock> {
        FileLock::acquire(path, Attributes::default()).unwrap()
    }

    #[test]
    fn a_lock_is_held_once_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.lock");
        let first = acquire(&path);
        assert!(first.is_some() && acquire(&path).is_none() && is_held(&path).unwrap());
        drop(first);
        assert!(!path.exists() && !is_held(&path).unwrap());
        assert!(acquire(&path).is_some());
    }

    #[test]
    fn a_lock_file_that_a_kill_left_is_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.lock");
        fs::write(&path, "").unwrap();
        drop(acquire(&path).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn another_file_with_the_name_of_the_lock_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Cargo");
        fs::write(folder.path().join("Cargo.lock"), "mine").unwrap();
        let lock = FileLock::beside(&path).unwrap();
        assert!(matches!(FileLock::beside(&path), Err(ArchiveError::Locked { .. })));
        drop(lock);
        assert_eq!(fs::read(folder.path().join("Cargo.lock")).unwrap(), b"mine");
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none/f.lock");
        let error = FileLock::acquire(&path, Attributes::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_locked_as_the_file_that_it_points_to() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("file", &link).unwrap();
        let _lock = FileLock::beside(&link).unwrap();
        assert!(FileLock::beside(&folder.path().join("file")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_was_renamed_or_replaced_is_not_at_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let file = File::create(&path).unwrap();
        assert!(is_at(&file, &path).unwrap());
        fs::rename(&path, folder.path().join("g")).unwrap();
        assert!(!is_at(&file, &path).unwrap());
        let _new = File::create(&path).unwrap();
        assert!(!is_at(&file, &path).unwrap());
    }

    /// This error once counted as a replaced file, and locking was tried again forever.
    #[cfg(unix)]
    #[test]
    fn a_path_that_can_not_be_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let file = File::create(&path).unwrap();
        is_at(&file, &path.join("below")).unwrap_err();
    }
}
