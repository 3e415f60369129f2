//! What the store asks of a file system: names beside names, replacing a file as a whole, and locks.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Replaces `path` by a file with this content, which is there whole and on disk, or not at all.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = with_suffix(path, ".tmp");
    let mut file = File::create(&draft)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| fs::rename(&draft, path)) {
        // It is of no use to anybody, and may be what fills the disk.
        let _ = fs::remove_file(&draft);
        return Err(error);
    }
    sync_folder(path)
}

/// Opens a file without cutting it, made if missing, for this process alone. None if another has it.
pub(super) fn lock(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            // Whoever had it may have renamed or removed it in between.
            Ok(()) if !is_same(&file, path) => {}
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                return Ok(Some(file));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Removes a file that may not be there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// How long a file is, if it is there.
pub(super) fn length(path: &Path) -> io::Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes the names in the folder of `path` last.
#[cfg(unix)]
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all()) {
        // Some file systems can't, and a folder may be writable but not readable.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied)
                || error.kind() == io::ErrorKind::Unsupported =>
        {
            Ok(())
        }
        result => result,
    }
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
pub(super) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether `path` is still this file.
#[cfg(unix)]
fn is_same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
    let (Ok(file), Ok(path)) = (file.metadata(), fs::metadata(path)) else { return false };
    id(&file) == id(&path)
}

/// An open file can't be replaced here.
#[cfg(not(unix))]
fn is_same(_: &File, _: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(with_suffix(&path, ".tmp"), "left over by a crash").unwrap();
        for content in ["old and longer", "new"] {
            replace(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_lock_is_had_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "kept").unwrap();
        let first = lock(&path).unwrap();
        assert!(first.is_some() && lock(&path).unwrap().is_none());
        drop(first);
        assert!(lock(&path).unwrap().is_some());
        assert_eq!(fs::read(&path).unwrap(), b"kept");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_went_away_is_no_longer_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let file = lock(&path).unwrap().unwrap();
        assert!(is_same(&file, &path));
        fs::rename(&path, folder.path().join("g")).unwrap();
        assert!(!is_same(&file, &path));
        let _new = File::create(&path).unwrap();
        assert!(!is_same(&file, &path));
    }
}
