//! Where a store lies: one file with its state beside it, or a folder with its state in it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    fs as disk,
    ledger::{Entry, State},
    part_file::{malformed_path, part},
};
use crate::error::{Code, Failure};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `FILE`, with `FILE.part` and `FILE.cursor` until it is complete.
    File(PathBuf),
    /// A folder, with `ledger.json`.
    Folder(PathBuf),
}

impl Place {
    /// The state file.
    pub(crate) fn state(&self) -> PathBuf {
        match self {
            Self::File(path) => disk::with_suffix(path, ".cursor"),
            Self::Folder(path) => path.join("ledger.json"),
        }
    }

    /// What is locked by the process that writes here.
    fn lock_path(&self) -> PathBuf {
        match self {
            Self::File(path) => part(path),
            Self::Folder(path) => path.join("ledger.lock"),
        }
    }

    /// Where the file of this name is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Folder(path) => path.join(name),
        }
    }

    /// The name of the one file.
    pub(crate) fn file_name(&self) -> String {
        match self {
            Self::File(path) | Self::Folder(path) => {
                path.file_name().unwrap_or_default().to_string_lossy().into_owned()
            }
        }
    }

    pub(crate) fn display(&self) -> String {
        match self {
            Self::File(path) | Self::Folder(path) => path.display().to_string(),
        }
    }

    /// Takes the place for this process.
    pub(super) fn lock(&self) -> Result<File, Failure> {
        match disk::lock(&self.lock_path()) {
            Ok(Some(file)) => Ok(file),
            Ok(None) => Err(Failure::new(
                Code::Stopped,
                format!(
                    "another process is writing {}: wait until it has ended, or choose another place with -o",
                    self.display()
                ),
            )),
            Err(error) => Err(self.unwritable(&error)),
        }
    }

    /// Whether another process is writing here.
    pub(crate) fn is_locked(&self) -> bool {
        let lock = |file: File| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock));
        File::open(self.lock_path()).is_ok_and(lock)
    }

    /// Gives the place back. The lock is still held, so nobody else has it.
    pub(super) fn unlock(&self) {
        if matches!(self, Self::Folder(_)) {
            // One that stays disturbs nobody.
            let _ = disk::remove(&self.lock_path());
        }
    }

    /// What the state file says, if there is one.
    pub(crate) fn read(&self) -> Result<Option<State>, Failure> {
        let cure = match self {
            Self::File(file) => {
                format!("restore it, or remove it and {} to start anew", part(file).display())
            }
            Self::Folder(_) => {
                "restore it from a copy, or choose another folder; the files in this one are untouched"
                    .to_owned()
            }
        };
        State::at(&self.state(), &cure)
    }

    /// Gives a file that is done its name, and the one beside it. Does what is left of that, if some of
    /// it is done.
    pub(super) fn publish(&self, entry: &Entry) -> io::Result<()> {
        let path = self.path(&entry.name);
        let malformed = malformed_path(&path);
        if entry.malformed.is_some() {
            rename_part(&malformed)?;
        }
        if matches!(self, Self::File(_))
            && let Ok(old) = fs::metadata(&path)
            && part(&path).exists()
        {
            fs::set_permissions(part(&path), old.permissions())?;
        }
        rename_part(&path)?;
        if entry.malformed.is_none() && matches!(self, Self::File(_)) {
            // From an export that this one replaces.
            disk::remove(&malformed)?;
            disk::remove(&part(&malformed))?;
        }
        Ok(())
    }

    /// Names in a folder that are of the form of its files, under their own and temporary names.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let Self::Folder(folder) = self else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            if let Some(name) = entry?.file_name().to_str()
                && name.starts_with("events_")
                && name.contains(".ndjson")
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    pub(crate) fn unwritable(&self, error: &io::Error) -> Failure {
        let name = self.display();
        let path = match self {
            Self::File(path) | Self::Folder(path) => path,
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let text = match folder {
            Some(folder) if error.kind() == io::ErrorKind::NotFound => format!(
                "{name} can't be written: there is no folder {}; make it, or choose another place with -o",
                folder.display()
            ),
            _ => format!("{name} can't be written: {error}; choose another place with -o"),
        };
        Failure::new(Code::Output, text)
    }
}

fn rename_part(path: &Path) -> io::Result<()> {
    match fs::rename(part(path), path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.exists() => Ok(()),
        result => result,
    }
}
