//! `ArchiveError`: everything that can go wrong with the files on disk. What to do about each is the caller's to say.

use std::{io, path::PathBuf};

use super::{layout::Layout, ledger::LedgerDamage, meta::ArchiveKind, roles::Role};

#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    #[error("another process is writing {}", .path.display())]
    Locked { path: PathBuf },
    #[error("{} can't be written: {error}", .path.display())]
    Write { path: PathBuf, error: io::Error },
    #[error("{} can't be read: {error}", .path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("{} can't be written: there is no folder {}", .path.display(), .folder.display())]
    NoFolder { path: PathBuf, folder: PathBuf },
    /// The layout is that of the archive whose ledger it is; none for a checkpoint by itself.
    #[error("{} is damaged: {damage}", .path.display())]
    DamagedLedger { path: PathBuf, layout: Option<Layout>, damage: LedgerDamage },
    /// A file isn't what its entry in the ledger says.
    #[error("{} is damaged: {reason}", .path.display())]
    DamagedFile { path: PathBuf, layout: Layout, reason: String },
    /// A file has a final name, and the ledger has no complete entry for it.
    #[error("{} is none of the files that {} knows", .path.display(), .ledger.display())]
    UnknownFile { path: PathBuf, ledger: PathBuf },
    #[error("{} belongs to {found}, not to {expected}", .path.display())]
    OtherKind { path: PathBuf, found: ArchiveKind, expected: ArchiveKind },
    #[error("{} would be {first} and {second}", .path.display())]
    SharedPath { path: PathBuf, first: Role, second: Role },
}
