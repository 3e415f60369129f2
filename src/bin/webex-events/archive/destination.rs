//! `Destination`: an output that is locked by this process, before anything is written.

use std::{
    fs::{create_dir, remove_dir},
    io,
    path::Path,
};

use super::{
    Archive, ArchiveError,
    attributes::{Applied, Attributes},
    fs as disk,
    layout::{Layout, malformed_path, part},
    ledger::Ledger,
    lock::{FileLock, is_held},
    meta::{ArchiveKind, ArchiveMeta},
    part_file::{PartOptions, WriteOptions},
};

/// The maximum number of attempts to create and lock the folder. Another process that created it may remove it again if it
/// wrote nothing.
const ATTEMPTS: u32 = 10;

/// An output that is locked by this process, and the ledger of an earlier run, if there is one.
#[derive(Debug)]
pub(crate) struct Destination {
    layout: Layout,
    kind: ArchiveKind,
    /// `None` after `open`.
    lock: Option<FileLock>,
    ledger: Option<Ledger>,
    has_made_folder: bool,
    attributes: Attributes,
    warning: Option<ArchiveWarning>,
}

/// A warning that doesn't stop the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArchiveWarning {
    /// Owner or group of the file that is replaced can't be kept. The new file is readable by fewer users.
    OwnerNotKept,
}

impl Destination {
    /// Locks the output for this process and reads its ledger, which must be of this kind. Creates the lock
    /// file, and the folder if it is missing. Refuses paths that can't be written.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Locked`] if another process writes there, even one of an older version.
    pub(crate) fn claim(layout: Layout, kind: ArchiveKind) -> Result<Self, ArchiveError> {
        layout.check_names()?;
        let attributes = layout.attributes().map_err(|error| layout.unwritable(error))?;
        let mut destination = Self {
            layout,
            kind,
            lock: None,
            ledger: None,
            has_made_folder: false,
            attributes,
            warning: None,
        };
        destination.lock()?;
        destination.ledger = destination.layout.read()?;
        if let Some(ledger) = &destination.ledger {
            ledger.expect_kind(kind, &destination.layout.ledger_path())?;
        }
        Ok(destination)
    }

    fn lock(&mut self) -> Result<(), ArchiveError> {
        let layout = &self.layout;
        let mut result = Ok(None);
        for _ in 0..ATTEMPTS {
            if let Layout::Folder(path) = layout {
                self.has_made_folder |= make_folder(path).map_err(|error| layout.unwritable(error))?;
            }
            result = FileLock::acquire(&layout.lock_path(), self.attributes);
            // Another process that started at the same time has removed the folder.
            if !matches!(&result, Err(error) if error.kind() == io::ErrorKind::NotFound) {
                break;
            }
        }
        let locked = || ArchiveError::Locked { path: layout.root().to_owned() };
        self.lock = result.map_err(|error| layout.unwritable(error))?;
        let Some(lock) = &self.lock else { return Err(locked()) };
        if lock.apply(self.attributes).map_err(|error| layout.unwritable(error))? == Applied::Narrowed {
            self.warning = Some(ArchiveWarning::OwnerNotKept);
        }
        if let Layout::File(path) = layout
            && is_held(&part(path)).map_err(|error| layout.unwritable(error))?
        {
            // Older versions lock the temporary file itself.
            return Err(locked());
        }
        Ok(())
    }

    /// The ledger of an earlier run.
    pub(crate) fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    pub(super) fn set_ledger(&mut self, ledger: Ledger) {
        self.ledger = Some(ledger);
    }

    pub(super) fn attributes(&self) -> Attributes {
        self.attributes
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn warning(&self) -> Option<ArchiveWarning> {
        self.warning
    }

    /// Forgets an export without committed content, so that another request can start. Returns true if it did.
    pub(crate) fn forget_empty(&mut self) -> bool {
        let is_empty = self.ledger.as_ref().is_some_and(|ledger| !ledger.has_content());
        let is_empty = is_empty && self.kind != ArchiveKind::Follow;
        if is_empty {
            self.ledger = None;
        }
        is_empty
    }

    /// Resumes the earlier run, if there was one. Otherwise starts the export that `meta` describes.
    pub(crate) fn open(mut self, meta: ArchiveMeta, options: WriteOptions) -> Result<Archive, ArchiveError> {
        let lock =
            self.lock.take().ok_or_else(|| ArchiveError::Locked { path: self.layout.root().to_owned() })?;
        let options = PartOptions { write: options, attributes: self.attributes };
        let archive = Archive::open(self.layout.clone(), lock, meta, self.ledger.take(), options)?;
        self.has_made_folder = false;
        Ok(archive)
    }
}

impl Layout {
    /// Refuses names that are too long or aren't regular files, before the first request.
    fn check_names(&self) -> Result<(), ArchiveError> {
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
}

impl Drop for Destination {
    /// Restores the previous state if nothing was started.
    fn drop(&mut self) {
        drop(self.lock.take());
        if let (Layout::Folder(path), true) = (&self.layout, self.has_made_folder) {
            // This fails if another process uses the folder now.
            let _ = remove_dir(path);
        }
    }
}

/// Creates the folder if it is missing. Returns true if it was created.
fn make_folder(path: &Path) -> io::Result<bool> {
    match create_dir(path).and_then(|()| disk::sync_folder(path)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
        Err(error) => Err(error),
    }
}
