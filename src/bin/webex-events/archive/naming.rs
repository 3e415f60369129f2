//! Names of complete files: which one a file has now, and the step that gives it its final one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    fs::{self as disk, check_length},
    layout::{Layout, malformed_path, part},
    ledger::FileEntry,
};

impl Layout {
    /// The current path of a file: its final one, or that of its part file until it is renamed.
    pub(crate) fn content_path(&self, entry: &FileEntry) -> PathBuf {
        current_path(self.path(&entry.name), entry)
    }

    /// The current path of the malformed items of a file.
    pub(crate) fn malformed_content_path(&self, entry: &FileEntry) -> PathBuf {
        current_path(malformed_path(&self.path(&entry.name)), entry)
    }

    /// Gives a complete file its final name, after the file of its malformed items.
    pub(super) fn publish(&self, entry: &FileEntry) -> io::Result<()> {
        self.retire(entry)?;
        let path = self.path(&entry.name);
        let malformed = malformed_path(&path);
        if let Some(kept) = &entry.malformed {
            self.rename_part(&malformed, kept.bytes)?;
        }
        self.rename_part(&path, entry.bytes)?;
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
    pub(super) fn rename_part(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let part = part(path);
        check_length(&part, bytes)?;
        if matches!(self, Self::File(_)) {
            // The attributes of the old file may have changed since the export began.
            self.attributes()?.apply(&disk::open_regular(&part)?)?;
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
}

fn current_path(path: PathBuf, entry: &FileEntry) -> PathBuf {
    let part = part(&path);
    // A complete file may still have its part name after a kill. The file under its final name may then be an older one.
    if !entry.is_complete() || part.is_file() { part } else { path }
}
