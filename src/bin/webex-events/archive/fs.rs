//! File system operations of the archive: names with suffixes, and atomic replacement of files.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::attributes::Attributes;

/// The maximum number of symbolic links that lead to a file.
const LINKS: u32 = 40;

/// Atomically replaces the file at `path`. The new content is on disk when this returns.
pub(crate) fn replace(path: &Path, content: &[u8], attributes: Attributes) -> io::Result<()> {
    let temporary = with_suffix(path, ".tmp");
    let mut file = attributes.create(&temporary)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| fs::rename(&temporary, path)) {
        // The temporary file is useless, and may be what fills the disk.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    sync_folder(path)
}

/// Writes a whole file that other programs read. Replaces a regular file atomically and keeps its mode, owner and group.
/// Follows symbolic links. Writes directly to a device or a pipe.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() || is_descriptor(path) => {
            // Don't replace a file that another process has opened for us, such as `/dev/stdout`.
            OpenOptions::new().append(true).open(path)?.write_all(content)
        }
        Ok(_) => {
            let real = path.canonicalize()?;
            replace(&real, content, Attributes::of(&real)?)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            replace(&resolve(path)?, content, Attributes::default())
        }
        Err(error) => Err(error),
    }
}

/// Checks that [`write_whole`] can write to `path`. Doesn't change an existing file; creates and removes `PATH.tmp`.
pub(crate) fn check_writable(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        // Opening a pipe would wait for its reader.
        Ok(found) if !found.is_file() || is_descriptor(path) => Ok(()),
        Ok(found) if found.permissions().readonly() => Err(io::ErrorKind::PermissionDenied.into()),
        _ => {
            let temporary = with_suffix(&resolve(path)?, ".tmp");
            drop(Attributes::private().create(&temporary)?);
            remove(&temporary)
        }
    }
}

/// Returns true if `path` is a system name for an open file, such as `/dev/stdout`.
fn is_descriptor(path: &Path) -> bool {
    cfg!(unix) && ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc"].iter().any(|name| path.starts_with(name))
}

/// The path of the file that `path` names or links to, which may not exist yet.
pub(crate) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Removes a file. Succeeds if there is none.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Renames a file, or removes it if there is no name to keep it under. Succeeds if there is none.
pub(super) fn set_aside(path: &Path, keep_as: Option<&Path>) -> io::Result<()> {
    let Some(kept) = keep_as else { return remove(path) };
    match fs::rename(path, kept) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Returns true for a regular file. Check this before opening a path: opening a pipe waits for another process.
pub(super) fn is_regular(path: &Path) -> io::Result<bool> {
    fs::metadata(path).map(|file| file.is_file())
}

/// Opens a regular file for reading. Opening a pipe would wait for another process.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    if is_regular(path)? { File::open(path) } else { Err(not_regular()) }
}

/// The error for a path that isn't a regular file.
pub(super) fn not_regular() -> io::Error {
    io::Error::other("it isn't a regular file")
}

/// The length of a file, if there is one.
pub(super) fn length(path: &Path) -> io::Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Syncs the names in the folder of `path` to disk.
#[cfg(unix)]
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all()) {
        // Some file systems can't sync folders, and a folder may be writable but not readable.
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
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Fails unless there is a file of this length.
pub(super) fn check_length(path: &Path, bytes: u64) -> io::Result<()> {
    match length(path)? {
        Some(length) if length == bytes => Ok(()),
        Some(length) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("its length is {length} B and should be {bytes} B"),
        )),
        None => Err(io::Error::new(io::ErrorKind::NotFound, "it is missing")),
    }
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
            replace(&path, content.as_bytes(), Attributes::default()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_even_if_its_file_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::os::unix::fs::symlink("file", &link).unwrap();
        for content in ["new", "replaced"] {
            check_writable(&link).unwrap();
            write_whole(&link, content.as_bytes()).unwrap();
            assert!(link.is_symlink() && !file.is_symlink());
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_written_directly() {
        let device = Path::new("/dev/null");
        check_writable(device).unwrap();
        write_whole(device, b"text").unwrap();
        assert!(!fs::metadata(device).unwrap().is_file() && !Path::new("/dev/null.tmp").exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_regular_file_in_a_folder_of_devices_is_replaced() {
        for (name, is_open) in [
            ("/dev/shm/summary.json", false),
            ("/dev/mqueue/f", false),
            ("/dev/stdout", true),
            ("/dev/fd/3", true),
            ("/proc/self/fd/1", true),
        ] {
            assert_eq!(is_descriptor(Path::new(name)), is_open, "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_is_replaced_keeps_its_mode() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        write_whole(&path, b"new").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_path_that_can_not_be_written_is_refused_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        check_writable(&folder.path().join("new")).unwrap();
        for path in ["none/f".to_owned(), "f".repeat(300), String::new()] {
            check_writable(&folder.path().join(path)).unwrap_err();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn circular_links_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        for (link, target) in [("a", "b"), ("b", "a")] {
            std::os::unix::fs::symlink(target, folder.path().join(link)).unwrap();
        }
        resolve(&folder.path().join("a")).unwrap_err();
    }
}
