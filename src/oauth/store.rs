//! `TokenStore`: the file that tokens are kept in. It has one writer at a time and is never half written, unless
//! the file can only be overwritten in place.
//!
//! Everything here blocks.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};

use super::{disk::Disk, renewal_error::RenewalError, tokens::Tokens};

/// No token file is longer.
const LONGEST: u64 = 1 << 20;

/// The new content may be longer than the old one by this much.
const ROOM: usize = 4 << 10;

#[derive(Debug)]
pub(super) struct TokenStore {
    /// Absolute, so that a later change of the working directory has no effect.
    path: PathBuf,
    /// The target of a link at `path` at the start.
    target: PathBuf,
    disk: Box<dyn Disk>,
}

/// The reason why a token file can't be used.
#[derive(Debug)]
pub(super) enum ReadError {
    Missing,
    /// It isn't a token file. The text is one line with the reason.
    Invalid(String),
    Io(io::Error),
}

/// Keeps other processes out until it is dropped.
#[derive(Debug)]
pub(super) struct StoreLock {
    /// `FILE.lock`, which outlives each replacement of the file. None where the folder can't be written to.
    _beside: Option<File>,
    /// The token file itself. Containers that have the same file mounted have no `FILE.lock` in common.
    itself: Option<File>,
}

/// A commit that was rehearsed, or prepared as far as possible.
#[derive(Debug)]
pub(super) enum PreparedCommit {
    /// The new file, with room for its content.
    Replace(TempFile),
    /// The file is overwritten, with this length at least.
    InPlace(usize),
}

impl TokenStore {
    pub(super) fn open(path: &Path, disk: Box<dyn Disk>) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let target = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        // Opening a pipe would wait for another process, and a device would be replaced. A folder can't be read.
        if fs::metadata(&path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            return Err(io::Error::other(format!("{} isn't a regular file", path.display())));
        }
        Ok(Self { path, target, disk })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file itself, after following a link.
    fn target(&self) -> PathBuf {
        fs::canonicalize(&self.path).unwrap_or_else(|_| self.target.clone())
    }

    /// Reads the file: its tokens, and its text as it is.
    pub(super) fn read(&self, now: DateTime<Utc>) -> Result<(Tokens, String), ReadError> {
        let mut text = String::new();
        let read = File::open(&self.path).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
        match read {
            Ok(_) => match Tokens::from_file(&text, now) {
                Ok(tokens) => Ok((tokens, text)),
                Err(reason) => Err(ReadError::Invalid(reason)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ReadError::Missing),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(ReadError::Invalid("it isn't text".to_owned()))
            }
            Err(error) => Err(ReadError::Io(error)),
        }
    }

    /// Returns whether the file exists and has no content.
    pub(super) fn is_empty(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|file| file.len() == 0)
    }

    /// Takes the lock; none while another process has it.
    pub(super) fn try_lock(&self) -> Result<Option<StoreLock>, RenewalError> {
        let target = self.target();
        let path = beside(&target, ".lock");
        let failed = |error| RenewalError::file("locked", &path, error);
        let (beside, denied) = match self.disk.open_lock(&path) {
            Ok(file) => (Some(file), None),
            Err(error) if only_in_place(&error) => (None, Some(error)),
            Err(error) => return Err(failed(error)),
        };
        if let Some(file) = &beside
            && !locked(file).map_err(failed)?
        {
            return Ok(None);
        }
        let itself = match self.disk.open(&target) {
            // With mandatory locks the file could no longer be read.
            Ok(file) if cfg!(unix) || beside.is_none() => Some(file),
            _ => None,
        };
        if let Some(file) = &itself {
            // A file that was replaced while this process waited isn't the one to lock.
            if !locked(file).map_err(failed)? || !is_at(file, &target) {
                return Ok(None);
            }
        }
        match denied {
            Some(error) if itself.is_none() => Err(failed(error)),
            _ => Ok(Some(StoreLock { _beside: beside, itself })),
        }
    }

    /// Makes sure that new tokens can be stored, before there are any to lose. It goes through the whole commit
    /// with `text`, the content of the file so far, and then takes the room for the new content.
    pub(super) fn rehearse(&self, lock: &mut StoreLock, text: &str) -> Result<PreparedCommit, RenewalError> {
        let replaced = self.create_temp(text.len()).and_then(|temp| self.replace(lock, temp, text));
        let rehearsed = match replaced {
            Ok(()) => self.create_temp(text.len()).map(PreparedCommit::Replace),
            Err(error) if only_in_place(&error) => {
                let length = text.len() + ROOM;
                self.overwrite(lock, text, length, error).map(|()| PreparedCommit::InPlace(length))
            }
            Err(error) => Err(error),
        };
        rehearsed.map_err(|error| self.not_written(error))
    }

    /// Takes the room for the content of a file that doesn't exist yet.
    pub(super) fn prepare_new(&self) -> Result<PreparedCommit, RenewalError> {
        self.create_temp(0).map(PreparedCommit::Replace).map_err(|error| self.not_written(error))
    }

    /// Prepares a commit of tokens that are already at risk, without a rehearsal.
    pub(super) fn prepare(&self, tokens: &Tokens) -> Result<PreparedCommit, RenewalError> {
        let length = tokens.to_file().len();
        match self.create_temp(length) {
            Ok(temp) => Ok(PreparedCommit::Replace(temp)),
            Err(error) if only_in_place(&error) => Ok(PreparedCommit::InPlace(length)),
            Err(error) => Err(self.not_written(error)),
        }
    }

    /// Stores `tokens`. After it has returned, a crash of the machine doesn't undo it.
    pub(super) fn commit(
        &self,
        lock: &mut StoreLock,
        commit: PreparedCommit,
        tokens: &Tokens,
    ) -> Result<(), RenewalError> {
        let text = tokens.to_file();
        let (length, denied) = match commit {
            PreparedCommit::InPlace(length) => (length, io::ErrorKind::PermissionDenied.into()),
            PreparedCommit::Replace(temp) => match self.replace(lock, temp, &text) {
                Err(error) if only_in_place(&error) => (text.len(), error),
                result => return result.map_err(|error| self.not_written(error)),
            },
        };
        self.overwrite(lock, &text, length, denied).map_err(|error| self.not_written(error))
    }

    /// Creates the future file under another name, with room for a content a little longer than `length`.
    fn create_temp(&self, length: usize) -> io::Result<TempFile> {
        let target = self.target();
        let path = beside(&target, ".new");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let temp = TempFile { file: Some(self.disk.create(&path)?), path, target };
        if let Some(file) = &temp.file {
            self.disk.write(file, &vec![b' '; length + ROOM])?;
            self.disk.sync(file)?;
        }
        Ok(temp)
    }

    fn replace(&self, lock: &mut StoreLock, mut temp: TempFile, text: &str) -> io::Result<()> {
        let Some(file) = &temp.file else { return Ok(()) };
        self.disk.write(file, text.as_bytes())?;
        file.set_len(text.len() as u64)?;
        self.disk.sync(file)?;
        if lock.itself.is_some() {
            // A process that locks the file itself must find the new one locked, too.
            locked(file)?;
        }
        self.disk.rename(&temp.path, &temp.target)?;
        lock.itself = temp.file.take().filter(|_| lock.itself.is_some());
        let folder = temp.target.parent().unwrap_or(Path::new("/"));
        self.disk.sync_folder(folder)
    }

    /// Overwrites the file, after `denied` said that it can't be replaced. It is padded so that nothing of the
    /// old content is left, and not truncated first, so that it is never empty.
    fn overwrite(&self, lock: &StoreLock, text: &str, length: usize, denied: io::Error) -> io::Result<()> {
        let Some(file) = &lock.itself else { return Err(denied) };
        let old = usize::try_from(file.metadata()?.len().min(LONGEST)).unwrap_or_default();
        let mut bytes = text.trim_end().as_bytes().to_vec();
        bytes.resize(length.max(old).max(bytes.len() + 1) - 1, b' ');
        bytes.push(b'\n');
        self.disk.write(file, &bytes)?;
        self.disk.sync(file)
    }

    /// Removes the file, the file beside it, and the link that leads to it. The lock is removed last.
    pub(super) fn remove(&self, lock: StoreLock) -> Result<(), RenewalError> {
        let target = self.target();
        let [temp, lock_file] = [".new", ".lock"].map(|ending| beside(&target, ending));
        let removed = |path: &Path| match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(RenewalError::file("removed", path, error))
            }
            _ => Ok(()),
        };
        for path in [&target, &self.path, &temp] {
            removed(path)?;
        }
        let folder = target.parent().unwrap_or(Path::new("/"));
        self.disk.sync_folder(folder).map_err(|error| RenewalError::file("removed", &self.path, error))?;
        // An open file can't be removed on each system.
        drop(lock);
        removed(&lock_file)
    }

    fn not_written(&self, error: io::Error) -> RenewalError {
        RenewalError::file("written", &self.path, error)
    }
}

/// The future file, under another name. It is removed when it is dropped.
#[derive(Debug)]
pub(super) struct TempFile {
    /// `None` after it has replaced the file.
    file: Option<File>,
    path: PathBuf,
    target: PathBuf,
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            // One that can't be removed is removed before the next is created.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Returns whether the file can't be replaced, but perhaps overwritten: it is a mount point (EBUSY), or
/// its folder is sticky (EPERM), belongs to somebody else (EACCES) or is read-only (EROFS).
fn only_in_place(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ResourceBusy
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::CrossesDevices
    )
}

/// Tries to lock `file`. Dropping it gives the lock up.
fn locked(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        // On a file system without locks, nothing keeps other processes out.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(theirs)) => (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
