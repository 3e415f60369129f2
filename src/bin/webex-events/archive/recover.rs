//! Recovers an archive from the files of an earlier run. `archive.rs` lists the possible states.
//!
//! The order matters: unknown files are refused before anything changes. Complete files get their names first, then open
//! files are truncated, and files without an entry are removed last. Each step can be repeated, so a kill during recovery
//! leaves a state that the next run recovers in the same way.

use std::{collections::HashSet, io, path::Path};

use super::{
    error::ArchiveError,
    fs::{self as disk, check_length},
    layout::{Layout, malformed_path, part},
    ledger::{FileEntry, Ledger, Stage},
    part_file::{PartFile, PartOptions, check_complete},
};

/// The recovered files of a ledger.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub(super) complete: Vec<FileEntry>,
    pub(super) parts: Vec<PartFile>,
}

/// Makes the files match the ledger.
pub(super) fn recover(
    layout: &Layout,
    ledger: &Ledger,
    options: PartOptions,
) -> Result<Recovered, ArchiveError> {
    let mut recovered = Recovered::default();
    let mut has_renamed = false;
    refuse_unknown(layout, &ledger.files)?;
    for entry in &ledger.files {
        let mut entry = entry.clone();
        if matches!(layout, Layout::File(_)) {
            // A single output may have been renamed since the state was written.
            entry.name = layout.file_name();
        }
        let path = layout.path(&entry.name);
        match entry.stage {
            Stage::Open => {
                let file = reopen(layout, &path, entry, options);
                recovered.parts.push(file.map_err(|error| failure(layout, &part(&path), error))?);
            }
            Stage::Complete => {
                has_renamed |= finish_renames(layout, &path, &entry, options)
                    .map_err(|error| failure(layout, &path, error))?;
                entry.complete();
                recovered.complete.push(FileEntry { replaces: None, ..entry });
            }
        }
    }
    if has_renamed {
        disk::sync_folder(&layout.ledger_path()).map_err(|error| layout.unwritable(error))?;
    }
    remove_leftovers(layout, &ledger.files).map_err(|error| layout.unwritable(error))?;
    Ok(recovered)
}

fn reopen(layout: &Layout, path: &Path, entry: FileEntry, options: PartOptions) -> io::Result<PartFile> {
    let mut file = if entry.pages == 0 && entry.bytes == 0 {
        PartFile::recreate(path, entry, options)?
    } else {
        PartFile::reopen(path, entry, options)?
    };
    if matches!(layout, Layout::Folder(_)) {
        file.close()?;
    }
    Ok(file)
}

/// Renames a complete file and its malformed items if they still have part names. Returns true if any had.
fn finish_renames(layout: &Layout, path: &Path, entry: &FileEntry, options: PartOptions) -> io::Result<bool> {
    let malformed = malformed_path(path);
    let malformed_needs_rename = entry.malformed.is_some() && disk::length(&part(&malformed))?.is_some();
    let needs_rename = needs_rename(layout, path, entry, malformed_needs_rename, options)?;
    if needs_rename {
        layout.retire(entry)?;
    }
    if let Some(kept) = &entry.malformed {
        if malformed_needs_rename {
            layout.rename_part(&malformed, kept.bytes)?;
        } else {
            check_length(&malformed, kept.bytes)?;
        }
    }
    if needs_rename {
        layout.rename_part(path, entry.bytes)?;
    }
    if entry.malformed.is_none() {
        layout.drop_old_malformed()?;
    }
    Ok(needs_rename || malformed_needs_rename)
}

/// Checks a complete file that may still have its part name: truncates the part file to its committed length, or removes an
/// empty one. Returns true if it must be renamed. If a single file replaces an older one, both names exist, and the part file
/// is the export.
fn needs_rename(
    layout: &Layout,
    path: &Path,
    entry: &FileEntry,
    malformed_needs_rename: bool,
    options: PartOptions,
) -> io::Result<bool> {
    let left = match disk::length(&part(path))? {
        None => Err(None),
        Some(length) if length < entry.bytes => Err(check_length(&part(path), entry.bytes).err()),
        Some(_) => {
            let malformed = entry.malformed.clone().filter(|_| malformed_needs_rename);
            // Truncate bytes after the committed end, and check the rest.
            PartFile::reopen(path, FileEntry { malformed, ..entry.clone() }, options).map(drop).map_err(Some)
        }
    };
    let Err(error) = left else { return Ok(true) };
    let named = match (layout, &error) {
        (Layout::Folder(_), None) => check_length(path, entry.bytes),
        // The file under the final name may be older than this export: compare its checksum.
        _ => check_complete(path, entry, options.write.codec),
    };
    match (named, error) {
        (Ok(()), None) => Ok(false),
        // An older version locked its temporary file, and could leave it empty.
        (Ok(()), Some(_)) => disk::remove(&part(path)).map(|()| false),
        (Err(_), Some(error)) | (Err(error), None) => Err(error),
    }
}

/// Refuses a folder with files under final names that its ledger doesn't list as complete.
pub(super) fn refuse_unknown(layout: &Layout, known: &[FileEntry]) -> Result<(), ArchiveError> {
    let unknown = unknown_files(layout, known).map_err(|error| layout.unwritable(error))?;
    unknown.first().map_or(Ok(()), |name| {
        Err(ArchiveError::UnknownFile { path: layout.path(name), ledger: layout.ledger_path() })
    })
}

/// The files under final names without a complete entry, except those that open files replace.
pub(crate) fn unknown_files(layout: &Layout, known: &[FileEntry]) -> io::Result<Vec<String>> {
    let complete = known.iter().filter(|entry| entry.is_complete()).map(|entry| entry.name.as_str());
    let replaced = known.iter().filter_map(|entry| Some(entry.replaces.as_ref()?.name.as_str()));
    let known: HashSet<_> = complete.chain(replaced).collect();
    let is_known = |name: &str| known.contains(name.strip_suffix(".malformed").unwrap_or(name));
    let names = layout.names()?.into_iter();
    Ok(names.filter(|name| name.strip_suffix(".part").is_none() && !is_known(name)).collect())
}

/// Removes part files without an open entry, and the ledger's temporary file.
pub(super) fn remove_leftovers(layout: &Layout, known: &[FileEntry]) -> io::Result<()> {
    let open = |name: &str| known.iter().find(|entry| entry.name == name && !entry.is_complete());
    for name in layout.names()? {
        let Some(text) = name.strip_suffix(".part") else { continue };
        let is_known = match text.strip_suffix(".malformed") {
            Some(text) => open(text).is_some_and(|entry| entry.malformed.is_some()),
            None => open(text).is_some(),
        };
        if !is_known {
            disk::remove(&layout.path(&name))?;
        }
    }
    disk::remove(&disk::with_suffix(&layout.ledger_path(), ".tmp"))
}

/// Turns an error into `DamagedFile` if it is about the content, or into `Write` if the system refuses to open or change the file.
pub(super) fn failure(layout: &Layout, path: &Path, error: io::Error) -> ArchiveError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => {
            ArchiveError::DamagedFile { path, layout: layout.clone(), reason: "it is missing".to_owned() }
        }
        _ if error.raw_os_error().is_some() => ArchiveError::Write { path, error },
        _ => ArchiveError::DamagedFile { path, layout: layout.clone(), reason: error.to_string() },
    }
}
