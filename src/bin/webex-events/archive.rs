//! The archive: files that grow over several runs, and one ledger with the committed state of all of them.
//!
//! A *part file* grows as `NAME.part`. A *commit* brings part files to disk and then replaces the ledger, which has
//! their lengths, counts, checksums and cursors, so that events and cursors advance in one step. A file has two
//! stages:
//!
//! - **open**: it grows. Bytes after its committed length are ignored.
//! - **complete**: its whole content is on disk. Once the ledger says so, it gets its final name, and never changes.
//!
//! The range of a file can be read again (`reread.rs`): the file keeps its name until another one, which is open, is
//! complete and replaces it.
//!
//! The steps of a commit are, in this order: fsync of the part files; fsync of the folder, if a part file is new;
//! replacing the ledger, with an fsync of file and folder; renaming the files that are complete. The end of a run, or
//! the next commit, brings the new names to disk.
//!
//! A kill at any instant leaves one of the following, and the next run continues from it:
//!
//! | killed | on disk | the next run |
//! |---|---|---|
//! | before the first commit | perhaps part files, and no ledger or one without files | starts from the beginning, over them |
//! | while a part file grows, or is brought to disk | a part file that is longer than its entry, or has none | cuts it to its entry, or removes it |
//! | while the ledger is written | the same, and a `.tmp` beside the ledger | the same, and removes that |
//! | after the commit of a file that is complete | its part file, with everything | gives it its name |
//! | between giving its name to `NAME.malformed` and to `NAME` | one of them renamed | renames the other |
//! | after giving the name | the file under its name | takes it as complete |
//! | when the power fails before the folder is on disk | perhaps the part file of a complete file | gives it its name |
//! | while a file is restarted from the beginning | its entry is empty, or still the old one | cuts it, or continues |
//! | after the last file of an export into one file got its name | the file, and a state that says complete | checks it, and removes the state |
//! | between the copy of a file that is read again and the ledger | the old file, and its copy as the part file | takes the old file as complete, and removes the copy |
//! | after an old file was kept, since the service no longer has its range | the old file, and the part file | removes the part file |
//! | while the file that a complete one replaces is set aside | the part file, with everything | sets the old file aside, and gives the part file its name |
//! | at any time | the lock file, which nobody holds | locks it, and removes it at the end |
//!
//! Anything else is damage, and refused: a part file that is shorter than its entry or has another checksum, a
//! complete file that is gone or has another length, a file under a final name without a complete entry, a ledger
//! that was cut or changed.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io,
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use webex_events::{Cursor, Event, Result as ListResult};

use self::{
    background_sync::{BackgroundSync, seal},
    fs as disk,
    part_file::{PartFile, PartOptions},
    recover::Recovered,
};

mod append_file;
mod attributes;
mod background_sync;
mod codec;
mod destination;
mod error;
pub(crate) mod fs;
mod layout;
mod ledger;
mod lock;
mod meta;
mod naming;
mod part_file;
mod recover;
mod reread;
mod roles;
mod seen;
mod sync_ahead;
#[cfg(test)]
mod tests;
mod totals;

pub(crate) use self::{
    append_file::{Checksum, read},
    codec::Codec,
    destination::{ArchiveWarning, Destination},
    error::{ArchiveError, reason},
    layout::{Layout, malformed_path},
    ledger::{FailedSlice, FileEntry, Ledger, ListProgress, MalformedEntry, Stage, hex},
    lock::FileLock,
    meta::{ArchiveKind, ArchiveMeta, Difference, RequestField, Slicing, StoredRequest},
    part_file::{WriteOptions, malformed_record, single_line},
    recover::unknown_files,
    reread::Reread,
    roles::{Role, RoleFile, check_roles},
    totals::Totals,
};

/// The largest number of part files of a folder that are open. A process has few handles: 256 on some systems.
const MAX_OPEN: usize = 100;

/// Files that are being written, and their ledger.
#[derive(Debug)]
pub(crate) struct Archive {
    layout: Layout,
    options: PartOptions,
    meta: ArchiveMeta,
    checkpoint: Option<Value>,
    /// Failed slices by their start.
    failed: BTreeMap<DateTime<Utc>, FailedSlice>,
    complete: Vec<FileEntry>,
    /// The names of the complete ones.
    names: HashSet<String>,
    /// The lines of the complete ones in the ledger.
    lines: Vec<String>,
    parts: BTreeMap<String, PartFile>,
    /// Complete files that are being synced to disk.
    sync: Option<BackgroundSync>,
    /// The names of a folder's part files that may be open.
    open_parts: BTreeSet<String>,
    /// True if the ledger is out of date.
    is_dirty: bool,
    /// True if a file has been renamed since the last sync of the folder.
    has_new_names: bool,
    /// The sums over the complete files.
    totals: Totals,
    /// Holds the lock, and is dropped last.
    _lock: FileLock,
}

impl Archive {
    fn open(
        layout: Layout,
        lock: FileLock,
        meta: ArchiveMeta,
        ledger: Option<Ledger>,
        options: PartOptions,
    ) -> Result<Self, ArchiveError> {
        let mut archive = Self {
            layout,
            options,
            meta,
            checkpoint: None,
            failed: BTreeMap::new(),
            complete: Vec::new(),
            names: HashSet::new(),
            lines: Vec::new(),
            parts: BTreeMap::new(),
            sync: None,
            open_parts: BTreeSet::new(),
            is_dirty: false,
            has_new_names: false,
            totals: Totals::default(),
            _lock: lock,
        };
        match ledger {
            Some(ledger) => archive.resume(ledger)?,
            None => archive.begin()?,
        }
        Ok(archive)
    }

    fn begin(&mut self) -> Result<(), ArchiveError> {
        recover::refuse_unknown(&self.layout, &[])?;
        if matches!(self.layout, Layout::Folder(_)) {
            // Store the request and its instants before anything is read.
            self.write().map_err(|error| self.layout.unwritable(error))?;
            recover::remove_leftovers(&self.layout, &[]).map_err(|error| self.layout.unwritable(error))?;
        }
        Ok(())
    }

    fn resume(&mut self, ledger: Ledger) -> Result<(), ArchiveError> {
        self.is_dirty |= ledger.files.iter().any(|entry| entry.is_complete() && entry.replaces.is_some());
        let Recovered { complete, parts } = recover::recover(&self.layout, &ledger, self.options)?;
        for entry in complete {
            self.add_complete(entry).map_err(|error| self.layout.unwritable(error.into()))?;
        }
        self.parts = parts.into_iter().map(|part| (part.entry.name.clone(), part)).collect();
        self.failed = ledger.failed.into_iter().map(|failed| (failed.start, failed)).collect();
        (self.meta, self.checkpoint) = (ledger.meta, ledger.checkpoint);
        Ok(())
    }

    pub(crate) fn meta(&self) -> &ArchiveMeta {
        &self.meta
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn checkpoint(&self) -> Option<&Value> {
        self.checkpoint.as_ref()
    }

    pub(crate) fn complete(&self) -> &[FileEntry] {
        &self.complete
    }

    /// The files that aren't complete, after their last pages.
    pub(crate) fn open_files(&self) -> impl Iterator<Item = &FileEntry> {
        self.parts.values().map(|part| &part.entry)
    }

    pub(crate) fn files(&self) -> Vec<FileEntry> {
        self.complete.iter().chain(self.open_files()).cloned().collect()
    }

    /// The slices that couldn't be read when they were last tried.
    pub(crate) fn failed(&self) -> impl Iterator<Item = &FailedSlice> {
        self.failed.values()
    }

    pub(crate) fn totals(&self) -> Totals {
        let mut totals = self.totals;
        if let Some(sync) = &self.sync {
            totals = totals + sync.totals;
        }
        for part in self.parts.values() {
            totals.count(&part.entry, part.bytes());
        }
        totals
    }

    /// Adds a page to a file of one list, and the cursor after it. Creates the file if it is missing.
    pub(crate) fn add(
        &mut self,
        file: &FileEntry,
        items: impl IntoIterator<Item = ListResult<Event>>,
        cursor: Option<Cursor>,
    ) -> io::Result<()> {
        self.add_to_list(file, 0, items, cursor)
    }

    /// Adds a page of one of the lists of a file, by its index in the request.
    pub(crate) fn add_to_list(
        &mut self,
        file: &FileEntry,
        list: usize,
        items: impl IntoIterator<Item = ListResult<Event>>,
        cursor: Option<Cursor>,
    ) -> io::Result<()> {
        self.is_dirty = true;
        let partial = self.part(file)?.add(list, items, cursor)?;
        self.totals.partial += partial;
        Ok(())
    }

    /// Corrects the start of the range.
    pub(crate) fn set_from(&mut self, from: Option<DateTime<Utc>>) {
        self.meta.from = from;
    }

    /// Sets the checkpoint of a follower, which is committed with the events up to it.
    pub(crate) fn set_checkpoint(&mut self, checkpoint: Value) {
        if self.checkpoint.as_ref() != Some(&checkpoint) {
            self.checkpoint = Some(checkpoint);
            self.is_dirty = true;
        }
    }

    /// Records that a slice can't be read, until its file is complete.
    pub(crate) fn set_failed(&mut self, failed: FailedSlice) {
        self.failed.insert(failed.start, failed);
        self.is_dirty = true;
    }

    /// Marks a file as complete. The next commit gives it its final name. Does nothing if the file is complete already: an
    /// earlier run may have been killed before its last step.
    pub(crate) fn finish(&mut self, file: &FileEntry) -> io::Result<()> {
        if let Some(start) = file.start {
            self.is_dirty |= self.failed.remove(&start).is_some();
        }
        let key = self.key(file);
        if self.names.contains(&key) || self.parts.get(&key).is_some_and(|part| part.entry.is_complete()) {
            return Ok(());
        }
        self.is_dirty = true;
        self.part(file)?.entry.complete();
        Ok(())
    }

    /// Empties an open file whose cursor is no longer valid.
    pub(crate) fn start_over(&mut self, file: &FileEntry) -> io::Result<()> {
        let Some(part) = self.parts.get_mut(&self.key(file)) else { return Ok(()) };
        if part.entry.replaces.is_some() {
            // The service may no longer have all events of the file that this one replaces.
            part.forget_pages()?;
            if part.is_new {
                disk::sync_folder(&self.layout.ledger_path())?;
            }
            self.write()?;
            return self.part(file)?.drop_malformed();
        }
        // Update the ledger before truncating: a file that is shorter than its entry counts as damaged.
        part.forget();
        self.write()?;
        self.part(file)?.empty()
    }

    /// Commits everything.
    pub(crate) fn commit(&mut self) -> io::Result<()> {
        self.end_sync()?;
        if self.is_dirty { self.commit_files(|_| true) } else { Ok(()) }
    }

    /// Starts syncing complete files without waiting, and commits those that are already synced. The others stay at their
    /// last commit, unless a checkpoint covers all of them.
    pub(crate) fn commit_complete(&mut self) -> io::Result<()> {
        if self.checkpoint.is_some() {
            return self.commit();
        }
        if self.has_synced() {
            self.end_sync()?;
            self.commit_files(|_| false)?;
            self.is_dirty = true;
        }
        if self.sync.is_none() {
            let is_due = |part: &PartFile| part.entry.is_complete() && !part.is_sealed();
            let names: Vec<_> =
                self.parts.iter().filter(|(_, part)| is_due(part)).map(|(name, _)| name.clone()).collect();
            let parts: Vec<_> = names.iter().filter_map(|name| self.parts.remove(name)).collect();
            if !parts.is_empty() {
                match BackgroundSync::start(parts) {
                    Ok(sync) => self.sync = Some(sync),
                    Err(parts) => {
                        self.take_back(parts);
                        return self.commit();
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns true if [`commit_complete`](Self::commit_complete) has something to commit.
    pub(crate) fn has_synced(&self) -> bool {
        self.sync.as_ref().is_some_and(BackgroundSync::is_over)
    }

    /// Waits until the complete files are on disk.
    fn end_sync(&mut self) -> io::Result<()> {
        let Some(sync) = self.sync.take() else { return Ok(()) };
        let (parts, result) = sync.end();
        self.take_back(parts);
        result
    }

    fn take_back(&mut self, parts: Vec<PartFile>) {
        self.parts.extend(parts.into_iter().map(|part| (part.entry.name.clone(), part)));
    }

    /// Commits everything at the end of a run.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        let has_kept = self.keep_old()?;
        self.commit()?;
        if has_kept {
            recover::remove_leftovers(&self.layout, &self.files())?;
        }
        if self.is_dirty {
            // Files have replaced others, which the ledger still names.
            self.write()?;
            self.is_dirty = false;
        }
        if std::mem::take(&mut self.has_new_names) {
            disk::sync_folder(&self.layout.ledger_path())?;
        }
        if matches!(self.layout, Layout::Folder(_)) || self.complete.is_empty() {
            return Ok(());
        }
        disk::remove(&self.layout.ledger_path())?;
        disk::sync_folder(&self.layout.ledger_path())
    }

    /// Commits whole pages after a failure, if possible. A follower stays at its last commit, because its checkpoint covers
    /// all files; later events are listed again.
    pub(crate) fn salvage(&mut self) -> io::Result<()> {
        if self.meta.kind == ArchiveKind::Follow {
            return Ok(());
        }
        // If this fails, the following step fails too.
        let _ = self.end_sync();
        for part in self.parts.values_mut() {
            part.roll_back()?;
        }
        self.is_dirty = true;
        self.end()
    }

    /// Commits the files that `is_due` selects, and those that are already synced.
    fn commit_files(&mut self, is_due: impl Fn(&FileEntry) -> bool) -> io::Result<()> {
        self.record(is_due)?;
        self.rename_parts()
    }

    /// All steps of a commit except the renames.
    fn record(&mut self, is_due: impl Fn(&FileEntry) -> bool) -> io::Result<()> {
        seal(self.parts.values_mut().filter(|part| is_due(&part.entry)).collect())?;
        if self.parts.values().any(|part| part.is_new && part.committed.is_some()) {
            disk::sync_folder(&self.layout.ledger_path())?;
        }
        self.write()?;
        for part in self.parts.values_mut() {
            part.is_new = false;
        }
        self.is_dirty = false;
        Ok(())
    }

    /// Gives the files that are complete in the ledger their final names.
    fn rename_parts(&mut self) -> io::Result<()> {
        let complete = self.parts.values().filter(|part| part.is_committed_whole());
        for name in complete.map(|part| part.entry.name.clone()).collect::<Vec<_>>() {
            let Some(part) = self.parts.get_mut(&name) else { continue };
            let entry = part.entry.clone();
            // Some systems can't rename open files.
            part.close()?;
            // If this fails, the file stays in the ledger, and the next run repeats it.
            self.layout.publish(&entry)?;
            self.parts.remove(&name);
            self.open_parts.remove(&name);
            self.has_new_names = true;
            self.is_dirty |= entry.replaces.is_some();
            self.add_complete(FileEntry { replaces: None, ..entry })?;
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        let syncing = self.sync.iter().flat_map(|sync| &sync.committed);
        let parts = self.parts.values().filter_map(|part| part.committed.as_ref()).chain(syncing);
        let parts = parts.map(|entry| Ok((entry, entry.line()?))).collect::<serde_json::Result<Vec<_>>>()?;
        let complete = self.complete.iter().zip(&self.lines);
        let mut files: Vec<_> = complete.chain(parts.iter().map(|(entry, line)| (*entry, line))).collect();
        files.sort_by_key(|(entry, _)| (!entry.is_complete(), entry.start, &entry.name));
        let lines = files.into_iter().map(|(_, line)| line);
        let failed: Vec<_> = self.failed.values().cloned().collect();
        let text = ledger::text(&self.meta, self.checkpoint.as_ref(), &failed, lines)?;
        disk::replace(&self.layout.ledger_path(), text.as_bytes(), self.layout.ledger_attributes()?)?;
        // This has synced the folder too.
        self.has_new_names = false;
        Ok(())
    }

    fn add_complete(&mut self, entry: FileEntry) -> serde_json::Result<()> {
        let is_before = |other: &FileEntry| (other.start, &other.name) < (entry.start, &entry.name);
        let at = self.complete.partition_point(is_before);
        self.lines.insert(at, entry.line()?);
        self.totals.count(&entry, entry.bytes);
        self.names.insert(entry.name.clone());
        self.complete.insert(at, entry);
        Ok(())
    }

    /// The key of a file. A single file always has the same key.
    fn key(&self, file: &FileEntry) -> String {
        match self.layout {
            Layout::File(_) => self.layout.file_name(),
            Layout::Folder(_) => file.name.clone(),
        }
    }

    fn part(&mut self, file: &FileEntry) -> io::Result<&mut PartFile> {
        let key = self.key(file);
        let is_closed = |part: &PartFile| part.entry.is_complete();
        if self.names.contains(&key)
            || self.sync.as_ref().is_some_and(|sync| sync.has(&key))
            || self.parts.get(&key).is_some_and(is_closed)
        {
            return Err(io::Error::other(format!("{key} is complete, and more has come for it")));
        }
        if matches!(self.layout, Layout::Folder(_)) && !self.open_parts.contains(&key) {
            if self.open_parts.len() >= MAX_OPEN {
                for name in std::mem::take(&mut self.open_parts) {
                    self.parts.get_mut(&name).map_or(Ok(()), PartFile::close)?;
                }
            }
            self.open_parts.insert(key.clone());
        }
        if !self.parts.contains_key(&key) {
            let entry = FileEntry { name: key.clone(), ..file.clone() };
            let part = PartFile::create(&self.layout.path(&key), entry, self.options)?;
            self.parts.insert(key.clone(), part);
        }
        self.parts.get_mut(&key).ok_or_else(|| io::Error::other("a part file is gone"))
    }
}
