//! `Layout`: the paths of an archive, which is one file with its state beside it, or a folder with its ledger in it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    attributes::Attributes,
    error::ArchiveError,
    fs as disk,
    ledger::{FileEntry, Ledger},
    lock::is_held,
    part_file::{malformed_path, part},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `FILE`, with `FILE.part` and `FILE.cursor` until it is complete.
    File(PathBuf),
    /// A folder with `ledger.json`.
    Folder(PathBuf),
}

impl Layout {
    /// The ledger, or the state of a single file.
    pub(crate) fn ledger_path(&self) -> PathBuf {
        match self {
            Self::File(path) => disk::with_suffix(path, ".cursor"),
            Self::Folder(path) => path.join("ledger.json"),
        }
    }

    /// The lock file.
    pub(super) fn lock_path(&self) -> PathBuf {
        match self {
            Self::File(path) => disk::with_suffix(path, ".lock"),
            Self::Folder(path) => path.join("ledger.lock"),
        }
    }

    /// The file, or the folder.
    pub(crate) fn root(&self) -> &Path {
        let (Self::File(path) | Self::Folder(path)) = self;
        path
    }

    /// The path of a complete file. A single file has only one path, whatever its name in the state.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Folder(path) => path.join(name),
        }
    }

    /// The current path of a file: its final one, or its temporary one until it is renamed.
    pub(crate) fn content_path(&self, entry: &FileEntry) -> PathBuf {
        now_at(self.path(&entry.name), entry)
    }

    /// The current path of the malformed items of a file.
    pub(crate) fn malformed_content_path(&self, entry: &FileEntry) -> PathBuf {
        now_at(malformed_path(&self.path(&entry.name)), entry)
    }

    /// The name of the one file.
    pub(crate) fn file_name(&self) -> String {
        self.root().file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub(crate) fn display(&self) -> String {
        self.root().display().to_string()
    }

    /// Returns true if another process is writing here.
    pub(crate) fn is_locked(&self) -> bool {
        is_held(&self.lock_path()).unwrap_or(false)
    }

    /// The ledger, if there is one.
    pub(crate) fn read(&self) -> Result<Option<Ledger>, ArchiveError> {
        Ledger::of_layout(&self.ledger_path(), Some(self))
    }

    /// The attributes of temporary files: those of the file that they will replace.
    pub(super) fn attributes(&self) -> io::Result<Attributes> {
        match self {
            Self::File(path) => Attributes::of(path),
            Self::Folder(_) => Ok(Attributes::default()),
        }
    }

    /// The attributes of the ledger, which contains cursors and the request.
    pub(super) fn ledger_attributes(&self) -> io::Result<Attributes> {
        match self {
            Self::File(_) => self.attributes(),
            Self::Folder(_) => Ok(Attributes::private()),
        }
    }

    /// Gives a complete file its final name, after the file of its malformed items.
    pub(super) fn publish(&self, entry: &FileEntry) -> io::Result<()> {
        self.retire(entry)?;
        let path = self.path(&entry.name);
        let malformed = malformed_path(&path);
        if let Some(kept) = &entry.malformed {
            self.give_name(&malformed, kept.bytes)?;
        }
        self.give_name(&path, entry.bytes)?;
        if entry.malformed.is_none() {
            self.drop_old_malformed()?;
        }
        Ok(())
    }

    /// Removes the file that a complete one replaces, or gives it the name under which it is kept. The complete file still
    /// has its temporary name. A file that this has done is left alone, so it can be repeated.
    pub(super) fn retire(&self, entry: &FileEntry) -> io::Result<()> {
        let Some(replaced) = &entry.replaces else { return Ok(()) };
        let (old, new) = (self.path(&replaced.name), self.path(&entry.name));
        let kept = replaced.keep_as.as_ref().map(|name| self.path(name));
        let malformed = malformed_path(&new);
        // The new malformed items get their name first, which may be the name of the old ones.
        let has_old_malformed = entry.malformed.is_none() || part(&malformed).exists();
        if old != new || has_old_malformed {
            disk::set_aside(&malformed_path(&old), kept.as_deref().map(malformed_path).as_deref())?;
        }
        // A file with the same name that isn't kept is replaced by the rename.
        if old != new || kept.is_some() {
            disk::set_aside(&old, kept.as_deref())?;
        }
        Ok(())
    }

    /// Renames a complete file if its length is the one in the ledger.
    pub(super) fn give_name(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let part = part(path);
        has_length(&part, bytes)?;
        if matches!(self, Self::File(_)) {
            // The attributes of the old file may have changed since the export began.
            self.attributes()?.apply(&File::open(&part)?)?;
        }
        fs::rename(&part, path)
    }

    /// Removes the malformed items of an earlier export into the same file.
    pub(super) fn drop_old_malformed(&self) -> io::Result<()> {
        let Self::File(path) = self else { return Ok(()) };
        let malformed = malformed_path(path);
        disk::remove(&malformed)?;
        disk::remove(&part(&malformed))
    }

    /// Returns true if a name in a folder has the form of a data file or its temporary file.
    pub(super) fn is_data_name(name: &str) -> bool {
        name.starts_with("events_") && name.contains(".ndjson")
    }

    /// The names of the data files in a folder, and of their temporary files.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let Self::Folder(folder) = self else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            if let Some(name) = entry?.file_name().to_str()
                && Self::is_data_name(name)
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Finds names that are too long, or taken by folders and pipes, before anything has been read for them.
    pub(super) fn check_names(&self) -> Result<(), ArchiveError> {
        let names = match self {
            Self::File(path) => {
                let malformed = malformed_path(path);
                vec![part(&malformed), part(path), malformed]
            }
            Self::Folder(path) => {
                vec![path.join("events_20260101T000000.000Z_20260101T000000.000Z.ndjson.zst.malformed.part")]
            }
        };
        for name in names {
            match disk::is_regular(&name) {
                Ok(true) => {}
                Ok(false) => return Err(ArchiveError::Write { path: name, error: disk::not_regular() }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(self.unwritable(error)),
            }
        }
        Ok(())
    }

    pub(crate) fn unwritable(&self, error: io::Error) -> ArchiveError {
        let path = self.root().to_owned();
        match self.root().parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) if error.kind() == io::ErrorKind::NotFound && !folder.is_dir() => {
                ArchiveError::NoFolder { path, folder: folder.to_owned() }
            }
            _ => ArchiveError::Write { path, error },
        }
    }
}

fn now_at(path: PathBuf, entry: &FileEntry) -> PathBuf {
    let part = part(&path);
    // A complete file has its final name, or gets it next. Until then, the name may belong to the file that it replaces.
    if !entry.is_complete() || part.exists() { part } else { path }
}

pub(super) fn has_length(path: &Path, bytes: u64) -> io::Result<()> {
    match disk::length(path)? {
        Some(length) if length == bytes => Ok(()),
        Some(length) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it has {length} bytes and should have {bytes}"),
        )),
        None => Err(io::Error::new(io::ErrorKind::NotFound, "it is missing")),
    }
}
