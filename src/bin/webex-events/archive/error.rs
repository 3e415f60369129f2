//! `ArchiveError`: the errors of files on disk. The program's `error.rs` adds the advice.

use std::{io, path::PathBuf};

use super::{layout::Layout, meta::ArchiveKind, roles::SharedPath};

#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    #[error("another process is writing {}", .path.display())]
    Locked { path: PathBuf },
    #[error("{} can't be written: {}", .path.display(), reason(.error))]
    Write { path: PathBuf, error: io::Error },
    #[error("{} can't be read: {}", .path.display(), reason(.error))]
    Read { path: PathBuf, error: io::Error },
    #[error("{} can't be written: there is no folder {}", .path.display(), .folder.display())]
    NoFolder { path: PathBuf, folder: PathBuf },
    /// `layout` is the archive of the ledger, or `None` for a checkpoint without an archive.
    #[error("{} is damaged: {damage}", .path.display())]
    DamagedLedger { path: PathBuf, layout: Option<Layout>, damage: LedgerDamage },
    #[error("{} has version {version} of the format, and this program reads versions 1 to {latest}", .path.display())]
    OtherVersion { path: PathBuf, version: u64, latest: u64 },
    /// A file doesn't match its entry in the ledger.
    #[error("{} is damaged: {reason}", .path.display())]
    DamagedFile { path: PathBuf, layout: Layout, reason: String },
    /// A file has a final name, and the ledger has no complete entry for it.
    #[error("{} is not in {}", .path.display(), .ledger.display())]
    UnknownFile { path: PathBuf, ledger: PathBuf },
    #[error("{} belongs to {found}, not to {expected}", .path.display())]
    OtherKind { path: PathBuf, found: ArchiveKind, expected: ArchiveKind },
    #[error(transparent)]
    SharedPath(#[from] SharedPath),
}

/// The damage of a ledger that can't be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LedgerDamage {
    #[error("it is cut off or was changed")]
    Cut,
    #[error("it was changed: its checksum doesn't match")]
    Checksum,
    #[error("its content isn't valid")]
    Content,
    #[error("it has version {found} of the format, and this program reads versions 1 to {latest}")]
    Version { found: u64, latest: u64 },
}

impl Layout {
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

/// The text of an error, without the number that the system has for it.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let number = error.raw_os_error().map(|number| format!(" (os error {number})"));
    match number.and_then(|number| text.strip_suffix(&number)) {
        Some(text) => text.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_in_words_alone() {
        let error = io::Error::from_raw_os_error(13);
        assert!(error.to_string().contains("(os error 13)"), "{error}");
        assert!(!reason(&error).is_empty() && !reason(&error).contains("os error"), "{}", reason(&error));
        assert_eq!(reason(&io::Error::other("a text (os error 13)")), "a text (os error 13)");
    }
}
