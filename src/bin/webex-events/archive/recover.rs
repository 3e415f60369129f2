//! What an earlier run has left, made into a store again. `archive.rs` tells what there can be.

use std::{collections::HashSet, fs::File, io, path::Path};

use super::{
    fs as disk,
    layout::Place,
    ledger::{Entry, Stage, State},
    part_file::{Draft, Form, malformed_path, part},
};
use crate::error::{Code, Failure};

/// The files of a state, as they were found.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub(super) closed: Vec<Entry>,
    pub(super) drafts: Vec<Draft>,
    /// Whether more is closed than the state file says.
    pub(super) moved_on: bool,
}

/// Brings files and state together. `file` is the open draft of a store that is one file.
pub(super) fn recover(
    place: &Place,
    state: &State,
    form: Form,
    mut file: Option<File>,
) -> Result<Recovered, Failure> {
    let mut recovered = Recovered::default();
    refuse_foreign(place, &state.files)?;
    for entry in &state.files {
        let path = place.path(&entry.name);
        match entry.stage {
            Stage::Closed
                if disk::length(&path).is_ok_and(|length| length.is_some()) || !part(&path).exists() =>
            {
                has_length(&path, entry.bytes).map_err(|error| damaged(place, &path, &error))?;
                recovered.closed.push(entry.clone());
            }
            Stage::Open => {
                let draft = if entry.pages == 0 && entry.bytes == 0 {
                    Draft::begin(&path, file.take(), entry.clone(), form)
                } else {
                    Draft::reopen(&path, file.take(), entry.clone(), form)
                };
                let draft = draft.and_then(|mut draft| {
                    // The handle of a single file is its lock.
                    if matches!(place, Place::Folder(_)) {
                        draft.rest()?;
                    }
                    Ok(draft)
                });
                recovered.drafts.push(draft.map_err(|error| damaged(place, &part(&path), &error))?);
            }
            Stage::Done | Stage::Closed => {
                publish(place, &path, entry, form, file.take())
                    .map_err(|error| damaged(place, &path, &error))?;
                recovered.closed.push(Entry { stage: Stage::Closed, cursor: None, ..entry.clone() });
                recovered.moved_on = true;
            }
        }
    }
    if let (Place::File(path), Some(_)) = (place, file) {
        // It is closed, and the lock has made an empty draft.
        disk::remove(&part(path)).map_err(|error| place.unwritable(&error))?;
    }
    if recovered.moved_on {
        disk::sync_folder(&place.state()).map_err(|error| place.unwritable(&error))?;
    }
    sweep(place, &state.files).map_err(|error| place.unwritable(&error))?;
    Ok(recovered)
}

/// Gives a file that is done its name, unless that was the last thing that was done.
fn publish(place: &Place, path: &Path, entry: &Entry, form: Form, file: Option<File>) -> io::Result<()> {
    let found = disk::length(&part(path))?;
    let is_there = found.is_some_and(|length| length >= entry.bytes && (length > 0 || entry.bytes == 0));
    if is_there {
        // What stands behind its end goes, and the rest is looked at.
        let malformed = malformed_path(path);
        let renamed = entry.malformed.is_some() && disk::length(&part(&malformed))?.is_none();
        let text = Entry { malformed: entry.malformed.clone().filter(|_| !renamed), ..entry.clone() };
        Draft::reopen(path, file, text, form)?;
    } else {
        has_length(path, entry.bytes)?;
        if matches!(place, Place::File(_)) {
            // The lock has made an empty one.
            drop(file);
            disk::remove(&part(path))?;
        }
    }
    if let Some(malformed) = &entry.malformed
        && disk::length(&part(&malformed_path(path)))?.is_none()
    {
        has_length(&malformed_path(path), malformed.bytes)?;
    }
    place.publish(entry)
}

fn has_length(path: &Path, bytes: u64) -> io::Result<()> {
    match disk::length(path)? {
        Some(length) if length == bytes => Ok(()),
        Some(length) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it has {length} bytes and should have {bytes}"),
        )),
        None => Err(io::Error::new(io::ErrorKind::NotFound, "it is gone")),
    }
}

/// Refuses a folder with files under final names that its ledger knows nothing of.
pub(super) fn refuse_foreign(place: &Place, known: &[Entry]) -> Result<(), Failure> {
    let foreign = foreign(place, known).map_err(|error| place.unwritable(&error))?;
    foreign.first().map_or(Ok(()), |name| {
        Err(Failure::new(
            Code::Output,
            format!(
                "{} is none of the files that {} knows: move it away, or choose another folder with -o",
                place.path(name).display(),
                place.state().display()
            ),
        ))
    })
}

/// The files under final names that no entry knows.
pub(crate) fn foreign(place: &Place, known: &[Entry]) -> io::Result<Vec<String>> {
    let known: HashSet<_> =
        known.iter().filter(|entry| entry.is_whole()).map(|entry| entry.name.as_str()).collect();
    let is_known = |name: &str| known.contains(name.strip_suffix(".malformed").unwrap_or(name));
    let names = place.names()?.into_iter();
    Ok(names.filter(|name| name.strip_suffix(".part").is_none() && !is_known(name)).collect())
}

/// Removes drafts of which nothing was committed.
fn sweep(place: &Place, known: &[Entry]) -> io::Result<()> {
    let open = |name: &str| known.iter().find(|entry| entry.name == name && entry.stage == Stage::Open);
    for name in place.names()? {
        let Some(text) = name.strip_suffix(".part") else { continue };
        let is_known = match text.strip_suffix(".malformed") {
            Some(text) => open(text).is_some_and(|entry| entry.malformed.is_some()),
            None => open(text).is_some(),
        };
        if !is_known {
            disk::remove(&place.path(&name))?;
        }
    }
    disk::remove(&disk::with_suffix(&place.state(), ".tmp"))
}

fn damaged(place: &Place, path: &Path, error: &io::Error) -> Failure {
    let cure = match place {
        Place::File(_) => {
            format!("remove {} and {} to start anew", place.state().display(), part(path).display())
        }
        Place::Folder(_) => "restore it from a copy, or export anew into another folder".to_owned(),
    };
    let cure = cure.replace(".part.part", ".part");
    Failure::new(Code::Output, format!("{} is damaged: {error}; {cure}", path.display()))
}
