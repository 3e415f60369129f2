//! Files against their ledger.

use std::{
    collections::HashSet,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use webex_events::Event;

use super::problem;
use crate::archive::{
    Codec, Entry, Place, Seen, Stage, State, foreign, fs::with_suffix, hex, malformed_path, read,
};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) files: u64,
    pub(super) events: u64,
    pub(super) problems: u64,
    /// Whether the service was asked too.
    pub(super) is_compared: bool,
    ids: Seen,
}

/// Reads every file that the ledger knows.
pub(super) fn check(place: &Place, state: &State) -> Checked {
    let mut checked = Checked::default();
    for entry in &state.files {
        let path = lies_at(place, entry);
        let codec = state.about.compress;
        if entry.bytes > 0 || entry.stage != Stage::Open {
            check_file(&path, entry, codec, &mut checked);
        }
        if let Some(malformed) = &entry.malformed {
            let path = beside(place, entry);
            let mut hasher = Sha256::new();
            let mut items = 0;
            let shown = path.display().to_string();
            let whole = open(&path, malformed.bytes, entry.is_whole()).and_then(|file| {
                read(file, Codec::None, malformed.bytes, Some(&mut hasher), |_| {
                    items += 1;
                    Ok(())
                })
            });
            match whole {
                Err(error) => problem(&mut checked, &format!("{shown}: {error}")),
                Ok(()) if items != malformed.items || hex(&hasher.finalize()) != malformed.sha256 => {
                    problem(&mut checked, &format!("{shown}: it was changed: its checksum doesn't fit"));
                }
                Ok(()) => {}
            }
        }
    }
    match foreign(place, &state.files) {
        Ok(names) => {
            for name in names {
                problem(
                    &mut checked,
                    &format!("{}: no entry of the ledger knows it", place.path(&name).display()),
                );
            }
        }
        Err(error) => problem(&mut checked, &format!("{}: {error}", place.display())),
    }
    checked
}

/// Where a file is: under its own name, or the temporary one until it has that.
pub(super) fn lies_at(place: &Place, entry: &Entry) -> PathBuf {
    named(&place.path(&entry.name), entry.stage)
}

fn beside(place: &Place, entry: &Entry) -> PathBuf {
    named(&malformed_path(&place.path(&entry.name)), entry.stage)
}

fn named(path: &Path, stage: Stage) -> PathBuf {
    let part = with_suffix(path, ".part");
    match stage {
        Stage::Open => part,
        Stage::Done if part.exists() => part,
        Stage::Done | Stage::Closed => path.to_owned(),
    }
}

/// A file of at least so many bytes; of exactly so many, if it is whole.
fn open(path: &Path, bytes: u64, is_whole: bool) -> io::Result<File> {
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => io::Error::new(error.kind(), "it is gone"),
        _ => error,
    })?;
    let length = file.metadata()?.len();
    if length < bytes || (is_whole && length > bytes) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it has {length} bytes and should have {bytes}"),
        ));
    }
    Ok(file)
}

fn check_file(path: &Path, entry: &Entry, codec: Codec, checked: &mut Checked) {
    let shown = path.display().to_string();
    checked.files += 1;
    let mut hasher = Sha256::new();
    let (mut events, mut line_number) = (0, 0);
    let mut faults = Faults::default();
    let whole = open(path, entry.bytes, entry.is_whole()).and_then(|file| {
        read(file, codec, entry.bytes, Some(&mut hasher), |line| {
            line_number += 1;
            let Some(event) = str::from_utf8(line).ok().and_then(|line| Event::from_json(line).ok()) else {
                faults.add(format!("line {line_number} is no event"));
                return Ok(());
            };
            events += 1;
            let created = event.created();
            if entry.start.is_some_and(|start| created < start) || entry.end.is_some_and(|end| created >= end)
            {
                faults
                    .add(format!("line {line_number} was created at {created}, outside of the file's range"));
            }
            if !checked.ids.insert(event.id()) {
                faults.add(format!("line {line_number} has the id of another line: {}", event.id()));
            }
            Ok(())
        })
    });
    checked.events += events;
    let sha256 = hex(&hasher.finalize());
    if let Err(error) = whole {
        faults.add(error.to_string());
    } else if faults.is_empty() && events != entry.events {
        faults.add(format!("it has {events} events and should have {}", entry.events));
    } else if entry.sha256.as_ref().is_some_and(|expected| *expected != sha256) {
        faults.add("it was changed: its checksum doesn't fit".to_owned());
    }
    if let Some(text) = faults.text() {
        problem(checked, &format!("{shown}: {text}"));
    }
}

/// What is wrong with one file: the first few things, and how many more there are.
#[derive(Debug, Default)]
struct Faults {
    shown: Vec<String>,
    more: usize,
}

impl Faults {
    fn add(&mut self, what: String) {
        if self.shown.len() < 3 { self.shown.push(what) } else { self.more += 1 }
    }

    fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    fn text(self) -> Option<String> {
        match (self.shown.is_empty(), self.more) {
            (true, _) => None,
            (false, 0) => Some(self.shown.join(", ")),
            (false, more) => Some(format!("{}, and {more} more", self.shown.join(", "))),
        }
    }
}

/// The ids of a file, which was checked.
pub(super) fn ids(place: &Place, entry: &Entry, codec: Codec) -> io::Result<HashSet<String>> {
    let mut ids = HashSet::new();
    let file = File::open(lies_at(place, entry))?;
    read(file, codec, entry.bytes, None, |line| {
        if let Some(event) = str::from_utf8(line).ok().and_then(|line| Event::from_json(line).ok()) {
            ids.insert(event.id().to_owned());
        }
        Ok(())
    })?;
    Ok(ids)
}
