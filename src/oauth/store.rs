//! The file that tokens are kept in: one writer at a time, and never half written.
//!
//! Everything here blocks.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};

use super::{failure::Failure, tokens::Tokens};

/// No file of tokens is longer.
const LONGEST: u64 = 1 << 20;

/// So much longer than the content so far may that of a reply be.
const ROOM: usize = 8 << 10;

#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    /// Where a link at `path` led at the start.
    target: PathBuf,
}

/// What is in the way of using a file.
#[derive(Debug)]
pub(super) enum Unreadable {
    Missing,
    /// It isn't what it should be; a line on why.
    Invalid(String),
    Io(io::Error),
}

impl Store {
    pub(super) fn open(path: PathBuf) -> Self {
        let target = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        Self { path, target }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file itself, where a link leads now.
    fn target(&self) -> PathBuf {
        fs::canonicalize(&self.path).unwrap_or_else(|_| self.target.clone())
    }

    /// The file beside it that is locked instead of it, since it is itself replaced.
    fn lock_path(&self) -> PathBuf {
        beside(&self.target(), ".lock")
    }

    pub(super) fn read(&self, now: DateTime<Utc>) -> Result<Tokens, Unreadable> {
        let mut text = String::new();
        let read = File::open(&self.path).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
        match read {
            Ok(_) => Tokens::from_file(&text, now).map_err(Unreadable::Invalid),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Unreadable::Missing),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(Unreadable::Invalid("it isn't text".to_owned()))
            }
            Err(error) => Err(Unreadable::Io(error)),
        }
    }

    /// Opens the file that is to be locked.
    pub(super) fn lock_file(&self) -> Result<File, Failure> {
        let path = self.lock_path();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        private(&mut options).open(&path).map_err(|error| Failure::file("locked", &path, error))
    }

    /// Whether the lock could be had. Dropping `file` gives it up.
    pub(super) fn try_lock(&self, file: &File) -> Result<bool, Failure> {
        match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            // A file system without locks: there is one process, we hope.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(true),
            Err(TryLockError::Error(error)) => Err(Failure::file("locked", &self.lock_path(), error)),
        }
    }

    /// Makes sure that the file can be replaced, before there is something to be lost: takes the room for
    /// the new content. Only under the lock.
    pub(super) fn reserve(&self, tokens: &Tokens) -> Result<Draft, Failure> {
        let target = self.target();
        let path = beside(&target, ".new");
        let draft = || {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut options = OpenOptions::new();
            let file = private(options.write(true).create_new(true)).open(&path)?;
            let mut draft = Draft { file, path: path.clone(), target: target.clone(), kept: false };
            draft.file.write_all(&vec![b' '; tokens.to_file().len() + ROOM])?;
            draft.file.sync_all()?;
            Ok(draft)
        };
        draft().map_err(|error| Failure::file("written", &target, error))
    }
}

/// The file to be, under another name. Dropped, it is gone.
#[derive(Debug)]
pub(super) struct Draft {
    file: File,
    path: PathBuf,
    target: PathBuf,
    kept: bool,
}

impl Draft {
    /// Replaces the file. When this returns, a crash of the machine doesn't undo it.
    pub(super) fn commit(mut self, tokens: &Tokens) -> Result<(), Failure> {
        self.write(tokens.to_file().as_bytes()).map_err(|error| Failure::file("written", &self.target, error))
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        self.file.rewind()?;
        self.file.write_all(text)?;
        self.file.set_len(text.len() as u64)?;
        self.file.sync_all()?;
        fs::rename(&self.path, &self.target)?;
        self.kept = true;
        sync_folder(&self.target)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // What stays behind is removed before the next one.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// For the owner's eyes only, from the moment that it is made.
#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Makes the new name of a file as lasting as its content.
#[cfg(unix)]
fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match File::open(folder)?.sync_all() {
        // Some file systems know no such thing.
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
