//! Comparison of files with their ledger.

use std::{collections::BTreeMap, fs::File, io, path::Path};

use sha2::{Digest, Sha256};
use webex_events::Event;

use super::{index::IdIndex, ranges::TimeSpan};
use crate::{
    archive::{self, Codec, FileEntry, Layout, Ledger, MalformedEntry, Stage, hex, read, unknown_files},
    error::reason,
};

/// The state of all files of a folder.
#[derive(Debug, Default)]
pub(super) struct FolderCheck {
    files: BTreeMap<String, FileCheck>,
    /// Problems that belong to no file of the ledger.
    other: Vec<String>,
    /// The number of files that were read, which numbers them.
    read: u32,
    pub(super) ids: IdIndex,
}

/// The state of one file.
#[derive(Debug)]
pub(super) struct FileCheck {
    pub(super) entry: FileEntry,
    /// The number of the file in [`IdIndex`].
    pub(super) number: u32,
    events: u64,
    problems: Vec<String>,
}

impl FileCheck {
    pub(super) fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

impl FolderCheck {
    /// Reads the files of the ledger, except those that were found sound and haven't changed in it since.
    pub(super) fn update(&mut self, layout: &Layout, state: &Ledger) {
        let mut before = std::mem::take(&mut self.files);
        let mut to_read = Vec::new();
        for entry in &state.files {
            match before.remove(&entry.name) {
                Some(file) if file.is_sound() && file.entry == *entry => {
                    self.files.insert(entry.name.clone(), file);
                }
                file => {
                    // Before reading any file: an id that moved from one file to another isn't in both.
                    if let Some(file) = file {
                        self.ids.forget(file.number);
                    }
                    to_read.push(entry);
                }
            }
        }
        for gone in before.values() {
            self.ids.forget(gone.number);
        }
        for entry in to_read {
            self.read += 1;
            let file = check(layout, entry, state.meta.compress, self.read, &mut self.ids);
            self.files.insert(entry.name.clone(), file);
        }
        self.other = match unknown_files(layout, &state.files) {
            Ok(names) => {
                let problem = |name: String| {
                    format!("{}: the ledger has no entry for it", layout.path(&name).display())
                };
                names.into_iter().map(problem).collect()
            }
            Err(error) => vec![format!("{}: {}", layout.display(), reason(&error))],
        };
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = &String> {
        self.files.values().flat_map(|file| &file.problems).chain(&self.other)
    }

    /// The files with problems.
    pub(super) fn damaged(&self) -> impl Iterator<Item = (&FileEntry, &[String])> {
        let damaged = self.files.values().filter(|file| !file.is_sound());
        damaged.map(|file| (&file.entry, file.problems.as_slice()))
    }

    pub(super) fn file(&self, name: &str) -> Option<&FileCheck> {
        self.files.get(name)
    }

    /// The number of files with content.
    pub(super) fn count(&self) -> u64 {
        self.files.values().filter(|file| is_there(&file.entry)).count() as u64
    }

    pub(super) fn events(&self) -> u64 {
        self.files.values().map(|file| file.events).sum()
    }
}

/// Returns true if the file must exist.
fn is_there(entry: &FileEntry) -> bool {
    entry.bytes > 0 || entry.stage != Stage::Open
}

fn check(layout: &Layout, entry: &FileEntry, codec: Codec, number: u32, ids: &mut IdIndex) -> FileCheck {
    let mut check = FileCheck { entry: entry.clone(), number, events: 0, problems: Vec::new() };
    if is_there(entry) {
        let path = layout.content_path(entry);
        let (events, faults) = check_events(&path, entry, codec, |id| ids.add(id, number));
        check.events = events;
        check.problems.extend(faults.text().map(|text| format!("{}: {text}", path.display())));
    }
    if let Some(malformed) = &entry.malformed {
        let path = layout.malformed_content_path(entry);
        if let Err(error) = check_malformed(&path, malformed, entry.is_complete()) {
            check.problems.push(format!("{}: {}", path.display(), reason(&error)));
        }
    }
    check
}

/// Opens a file of at least `bytes` bytes, or of exactly `bytes` if it is complete.
fn open(path: &Path, bytes: u64, is_whole: bool) -> io::Result<File> {
    let file = archive::fs::open_regular(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => io::Error::new(error.kind(), "it is missing"),
        _ => error,
    })?;
    let length = file.metadata()?.len();
    if length < bytes || (is_whole && length > bytes) {
        return Err(invalid(format!("its length is {length} B and should be {bytes} B")));
    }
    Ok(file)
}

fn invalid(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

fn check_malformed(path: &Path, malformed: &MalformedEntry, is_whole: bool) -> io::Result<()> {
    let mut hasher = Sha256::new();
    let mut items = 0;
    let file = open(path, malformed.bytes, is_whole)?;
    read(file, Codec::None, malformed.bytes, Some(&mut hasher), |_| {
        items += 1;
        Ok(())
    })?;
    if items != malformed.items || hex(&hasher.finalize()) != malformed.sha256 {
        return Err(invalid("it was changed: its checksum doesn't match"));
    }
    Ok(())
}

/// Reads a file of events. Returns their number and the faults.
fn check_events(
    path: &Path,
    entry: &FileEntry,
    codec: Codec,
    mut is_new: impl FnMut(&str) -> bool,
) -> (u64, LineFaults) {
    let mut hasher = Sha256::new();
    let (mut events, mut line_number) = (0, 0);
    let mut faults = LineFaults::default();
    let span = span(entry);
    let whole = open(path, entry.bytes, entry.is_complete()).and_then(|file| {
        read(file, codec, entry.bytes, Some(&mut hasher), |line| {
            line_number += 1;
            let Some(event) = event(line) else {
                faults.add(format!("line {line_number} is not an event"));
                return Ok(());
            };
            events += 1;
            let created = event.created();
            if span.is_some_and(|span| !span.contains(created)) {
                faults
                    .add(format!("line {line_number} was created at {created}, outside of the file's range"));
            }
            if !is_new(event.id()) {
                faults.add(format!("line {line_number} has the id of another line: {}", event.id()));
            }
            Ok(())
        })
    });
    let sha256 = hex(&hasher.finalize());
    if let Err(error) = whole {
        faults.add(reason(&error));
    } else if faults.is_empty() && events != entry.events {
        faults.add(format!("it has {events} events and should have {}", entry.events));
    } else if entry.sha256.as_ref().is_some_and(|expected| *expected != sha256) {
        faults.add("it was changed: its checksum doesn't match".to_owned());
    }
    (events, faults)
}

/// The range of a file.
pub(super) fn span(entry: &FileEntry) -> Option<TimeSpan> {
    Some(TimeSpan { start: entry.start?, end: entry.end? })
}

fn event(line: &[u8]) -> Option<Event> {
    str::from_utf8(line).ok().and_then(|line| Event::from_json(line).ok())
}

/// Calls `show` for each event of a file that was checked.
pub(super) fn each_event(
    layout: &Layout,
    entry: &FileEntry,
    codec: Codec,
    mut show: impl FnMut(&Event),
) -> io::Result<()> {
    let file = archive::fs::open_regular(&layout.content_path(entry))?;
    read(file, codec, entry.bytes, None, |line| {
        event(line).iter().for_each(&mut show);
        Ok(())
    })
}

/// The faults of one file: the first few, and the number of the others.
#[derive(Debug, Default)]
struct LineFaults {
    shown: Vec<String>,
    more: usize,
}

impl LineFaults {
    const SHOWN: usize = 3;

    fn add(&mut self, fault: String) {
        if self.shown.len() < Self::SHOWN { self.shown.push(fault) } else { self.more += 1 }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{ArchiveKind, ArchiveMeta, StoredRequest};

    fn entry(stage: Stage, text: &str, events: u64) -> FileEntry {
        FileEntry { stage, events, bytes: text.len() as u64, ..FileEntry::new("events_a.ndjson", None) }
    }

    fn state(files: Vec<FileEntry>) -> Ledger {
        let meta = ArchiveMeta {
            kind: ArchiveKind::Export,
            request: StoredRequest::default(),
            from: None,
            to: None,
            slicing: None,
            waited_s: 0,
            compress: Codec::None,
            begun: chrono::Utc::now(),
        };
        Ledger { meta, checkpoint: None, failed: Vec::new(), files }
    }

    #[test]
    fn a_file_that_has_grown_is_sound_with_the_current_ledger() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::Folder(folder.path().to_owned());
        let line = |id: &str| {
            format!(
                "{{\"id\":\"{id}\",\"resource\":\"rooms\",\"type\":\"created\",\
                 \"created\":\"2026-01-05T09:00:00Z\"}}\n"
            )
        };
        let path = folder.path().join("events_a.ndjson");
        let part = folder.path().join("events_a.ndjson.part");
        std::fs::write(&part, line("1")).unwrap();
        let before = state(vec![entry(Stage::Open, &line("1"), 1)]);
        let mut check = FolderCheck::default();
        check.update(&layout, &before);
        assert_eq!((check.problems().count(), check.events()), (0, 1));

        // The export continues, and gives the file its final name.
        let text = line("1") + &line("2");
        std::fs::write(&path, &text).unwrap();
        std::fs::remove_file(&part).unwrap();
        let mut check = FolderCheck::default();
        check.update(&layout, &before);
        assert!(check.problems().any(|problem| problem.contains("it is missing")));
        assert!(check.problems().any(|problem| problem.contains("the ledger has no entry")));
        check.update(&layout, &state(vec![entry(Stage::Complete, &text, 2)]));
        let problems: Vec<_> = check.problems().collect();
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!((check.events(), check.count()), (2, 1));
    }

    #[test]
    fn the_first_three_faults_are_shown_and_the_others_counted() {
        let mut faults = LineFaults::default();
        assert!(faults.is_empty());
        for n in 1..=5 {
            faults.add(format!("f{n}"));
        }
        assert_eq!(faults.text().unwrap(), "f1, f2, f3, and 2 more");
        assert_eq!(LineFaults::default().text(), None);
    }
}
