//! `Disk`: the file system's operations that a token file needs, so that tests can make each of them fail.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Seek, Write},
    path::Path,
};

/// Each operation blocks.
pub(super) trait Disk: fmt::Debug + Send + Sync {
    /// Creates a file that only its owner can read. It is an error if there is one.
    fn create(&self, path: &Path) -> io::Result<File> {
        private(OpenOptions::new().read(true).write(true).create_new(true)).open(path)
    }

    /// Opens a file that exists only to be locked.
    fn open_lock(&self, path: &Path) -> io::Result<File> {
        private(OpenOptions::new().read(true).write(true).create(true).truncate(false)).open(path)
    }

    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(path)
    }

    /// Writes from the start of the file, without truncating it.
    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        file.rewind()?;
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Makes a new name in `folder` durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        sync_folder(folder)
    }
}

/// The real file system.
#[derive(Debug)]
pub(super) struct SystemDisk;

impl Disk for SystemDisk {}

/// Limits a new file to its owner, from the moment that it exists.
#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        // Some file systems can't sync a folder.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        synced => synced,
    }
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
