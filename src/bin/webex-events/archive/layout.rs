//! `Layout`: the paths of an archive, which is one file with its ledger beside it, or a folder with its ledger in it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{attributes::Attributes, fs as disk};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `FILE`, with `FILE.part` and `FILE.cursor` until it is complete.
    File(PathBuf),
    /// A folder with `ledger.json`.
    Folder(PathBuf),
}

impl Layout {
    /// The ledger.
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

    /// The path of a complete file. An archive of one file ignores `name`: the file may have been renamed since.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Folder(path) => path.join(name),
        }
    }

    /// The name of the one file.
    pub(crate) fn file_name(&self) -> String {
        self.root().file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub(crate) fn display(&self) -> String {
        self.root().display().to_string()
    }

    /// The attributes of part files: those of the file that they will replace.
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

    /// Returns true if a name in a folder has the form of a data file or its part file.
    pub(super) fn is_data_name(name: &str) -> bool {
        name.starts_with("events_") && name.contains(".ndjson")
    }

    /// The names of the data files in a folder, and of their part files.
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
}

/// The path of a file until it is complete.
pub(super) fn part(path: &Path) -> PathBuf {
    disk::with_suffix(path, ".part")
}

/// The path of a file's malformed items.
pub(crate) fn malformed_path(path: &Path) -> PathBuf {
    disk::with_suffix(path, ".malformed")
}
