//! Ranges whose files are read again, because the range has grown, or because a file is damaged or lacks events.
//!
//! The old file keeps its name until the new one is complete, so that readers can use it meanwhile. The new file starts with the
//! events of the old one if that is sound: the service may no longer have all of them. All files are prepared first, and
//! the ledger is written last. From then on, an ordinary run reads the ranges, and the next commit replaces the old files.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    io::{self, Read, Write},
    path::Path,
};

use super::{
    Archive,
    append_file::Digests,
    codec::Codec,
    destination::Destination,
    error::ArchiveError,
    fs as disk,
    layout::{Layout, malformed_path, part},
    ledger::{FileEntry, Ledger, ReplacedFile},
    part_file::{PartFile, check, check_complete, kept, unfit},
    recover::failure,
};

/// The number of bytes that are copied with one call.
const CHUNK: usize = 256 << 10;

/// A range that is read again.
#[derive(Clone, Debug)]
pub(crate) struct Reread {
    /// The entry of the file that is replaced; `None` if there is no file for the range.
    pub(crate) old: Option<FileEntry>,
    /// The empty entry of the file that replaces it; `None` if its events are written anyway.
    pub(crate) new: Option<FileEntry>,
    /// True if the old file is sound, so that the new one starts with its events.
    pub(crate) is_sound: bool,
    /// True if the old file is kept under another name.
    pub(crate) is_kept: bool,
}

impl Destination {
    /// Lets the next run read these ranges again, with this change of the ledger. It has an effect once the ledger is
    /// written; a kill before that leaves the old state.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::DamagedFile`] if a file that is said to be sound isn't.
    pub(crate) fn reread(
        &mut self,
        files: &[Reread],
        change: impl FnOnce(&mut Ledger),
    ) -> Result<(), ArchiveError> {
        let Some(mut ledger) = self.ledger().cloned() else { return Ok(()) };
        let old: HashSet<_> =
            files.iter().filter_map(|file| Some(file.old.as_ref()?.name.as_str())).collect();
        ledger.files.retain(|entry| !old.contains(entry.name.as_str()));
        for file in files {
            let new = self.prepare(file)?.map(|new| new.with_lists(ledger.meta.request.list_count()));
            ledger.files.extend(new);
        }
        change(&mut ledger);
        self.replace_ledger(ledger)
    }

    /// Takes back damaged files that have been restored from a copy before they were read again. Returns their number.
    pub(crate) fn take_back(&mut self) -> Result<u64, ArchiveError> {
        let Some(mut ledger) = self.ledger().cloned() else { return Ok(0) };
        let (codec, lists) = (ledger.meta.compress, ledger.meta.request.list_count());
        let mut restored = BTreeMap::new();
        for file in &mut ledger.files {
            let Some(old) = self.restored(file, codec) else { continue };
            let empty = FileEntry::new(file.name.clone(), file.start.zip(file.end)).with_lists(lists);
            *file = FileEntry { replaces: file.replaces.take(), ..empty };
            restored.insert(file.name.clone(), old);
        }
        if restored.is_empty() {
            return Ok(0);
        }
        // Update the ledger before removing what was read: a file that is shorter than its entry counts as damaged.
        self.replace_ledger(ledger.clone())?;
        for name in restored.keys() {
            for path in [self.layout().path(name), malformed_path(&self.layout().path(name))] {
                disk::remove(&part(&path)).map_err(|error| self.layout().unwritable(error))?;
            }
        }
        let number = restored.len() as u64;
        for file in &mut ledger.files {
            let Some(old) = restored.remove(&file.name) else { continue };
            ledger.failed.retain(|failed| (Some(failed.start), Some(failed.end)) != (old.start, old.end));
            *file = old;
        }
        self.replace_ledger(ledger)?;
        Ok(number)
    }

    /// The entry of the old file of a range, if it was damaged and is sound again.
    fn restored(&self, file: &FileEntry, codec: Codec) -> Option<FileEntry> {
        let old = file.replaces.as_ref().filter(|old| old.is_damaged)?.entry.as_deref()?;
        if file.is_complete() || (old.start, old.end) != (file.start, file.end) {
            return None;
        }
        check_old(self.layout(), old, codec).is_ok().then(|| old.clone())
    }

    fn replace_ledger(&mut self, mut ledger: Ledger) -> Result<(), ArchiveError> {
        ledger.files.sort_by(|one, other| {
            let key = |entry: &FileEntry| (!entry.is_complete(), entry.start);
            key(one).cmp(&key(other)).then_with(|| one.name.cmp(&other.name))
        });
        let path = self.layout().ledger_path();
        let written = disk::sync_folder(&path).and_then(|()| ledger.write(&path));
        written.map_err(|error| self.layout().unwritable(error))?;
        self.set_ledger(ledger);
        Ok(())
    }

    /// Prepares the files of a range. Returns the entry of the new one.
    fn prepare(&self, file: &Reread) -> Result<Option<FileEntry>, ArchiveError> {
        let unwritable = |error| self.layout().unwritable(error);
        let Some(old) = &file.old else {
            // There is nothing to replace, but a follower must not finish the file.
            return Ok(file.new.clone().map(|new| FileEntry { replaces: Some(nothing(&new)), ..new }));
        };
        self.end_renames(old).map_err(unwritable)?;
        let path = self.layout().path(&old.name);
        let keep_as = if file.is_kept { Some(self.free_name(old).map_err(unwritable)?) } else { None };
        if !file.is_sound && !old.is_complete() {
            let kept = keep_as.as_ref().map(|name| self.layout().path(name));
            disk::set_aside(&part(&path), kept.as_deref()).map_err(unwritable)?;
            let kept = kept.as_deref().map(malformed_path);
            disk::set_aside(&part(&malformed_path(&path)), kept.as_deref()).map_err(unwritable)?;
        }
        let Some(new) = file.new.clone() else { return Ok(None) };
        let replaces = match (old.is_complete(), &old.replaces) {
            (true, _) => {
                let entry = Some(Box::new(FileEntry { replaces: None, ..old.clone() }));
                Some(ReplacedFile { name: old.name.clone(), keep_as, entry, is_damaged: !file.is_sound })
            }
            (false, Some(replaced)) => Some(replaced.clone()),
            (false, None) if file.is_sound => Some(nothing(&new)),
            (false, None) => None,
        };
        if !file.is_sound || old.bytes == 0 {
            return Ok(Some(FileEntry { replaces, ..new }));
        }
        let source = self.layout().content_path(old);
        let target = part(&self.layout().path(&new.name));
        let temporary = disk::with_suffix(&self.layout().ledger_path(), ".tmp");
        let copied = self.copy(&source, old, &temporary).and_then(|()| fs::rename(&temporary, target));
        copied.map_err(|error| {
            let _ = disk::remove(&temporary);
            failure(self.layout(), &source, error)
        })?;
        Ok(Some(FileEntry {
            events: old.events,
            bytes: old.bytes,
            sha256: old.sha256.clone(),
            crc32: old.crc32,
            duplicates: old.duplicates,
            ahead: old.events,
            replaces,
            ..new
        }))
    }

    /// Gives a complete file its final name if the last run was killed before that.
    fn end_renames(&self, entry: &FileEntry) -> io::Result<()> {
        let path = self.layout().path(&entry.name);
        if !entry.is_complete() || !part(&path).exists() {
            return Ok(());
        }
        self.layout().retire(entry)?;
        let malformed = malformed_path(&path);
        if part(&malformed).exists() {
            fs::rename(part(&malformed), malformed)?;
        }
        fs::rename(part(&path), path)
    }

    /// A name for a replaced file, which programs that read the folder don't take for one of its data files.
    fn free_name(&self, entry: &FileEntry) -> io::Result<String> {
        let planned = entry.replaces.as_ref().and_then(|replaced| replaced.keep_as.as_ref());
        let mut number = 1;
        loop {
            let kept = entry.name.replacen(".ndjson", &format!(".replaced-{number}"), 1);
            let path = self.layout().path(&kept);
            if planned != Some(&kept) && !path.try_exists()? && !malformed_path(&path).try_exists()? {
                return Ok(kept);
            }
            number += 1;
        }
    }

    /// Copies the committed bytes of a file to disk, if their checksum is right.
    fn copy(&self, source: &Path, entry: &FileEntry, target: &Path) -> io::Result<()> {
        let mut from = disk::open_regular(source)?.take(entry.bytes);
        let mut to = self.attributes().create(target)?;
        let mut digests = Digests::new(kept(entry));
        let (mut buffer, mut copied) = (vec![0; CHUNK], 0);
        loop {
            let length = from.read(&mut buffer)?;
            let bytes = buffer.get(..length).unwrap_or_default();
            if bytes.is_empty() {
                break;
            }
            digests.update(bytes);
            to.write_all(bytes)?;
            copied += length as u64;
        }
        if copied < entry.bytes {
            return Err(unfit(format!("its length is {copied} B and should be {} B", entry.bytes)));
        }
        check(entry, &digests)?;
        to.sync_all()
    }
}

/// The mark of a new file that replaces nothing.
fn nothing(new: &FileEntry) -> ReplacedFile {
    ReplacedFile { name: new.name.clone(), keep_as: None, entry: None, is_damaged: false }
}

/// Checks a file that is to be replaced, and its malformed items.
fn check_old(layout: &Layout, old: &FileEntry, codec: Codec) -> io::Result<()> {
    let path = layout.path(&old.name);
    check_complete(&path, old, codec)?;
    old.malformed.as_ref().map_or(Ok(()), |kept| disk::check_length(&malformed_path(&path), kept.bytes))
}

impl Archive {
    /// Keeps the old files of ranges that the service no longer has, if they are sound and nothing was read. Returns true
    /// if there were any.
    pub(super) fn keep_old(&mut self) -> serde_json::Result<bool> {
        let kept = |part: &PartFile| {
            let old = part.entry.replaces.as_ref()?.entry.as_deref()?;
            let is_lost = self.failed.get(&old.start?).is_some_and(|failed| failed.is_beyond_retention);
            let is_kept = is_lost
                && part.entry.pages == 0
                && check_old(&self.layout, old, self.options.write.codec).is_ok();
            is_kept.then(|| (part.entry.name.clone(), old.clone()))
        };
        let kept: Vec<_> = self.parts.values().filter_map(kept).collect();
        let has_kept = !kept.is_empty();
        self.is_dirty |= has_kept;
        for (name, old) in kept {
            self.parts.remove(&name);
            self.open_parts.remove(&name);
            self.add_complete(old)?;
        }
        Ok(has_kept)
    }
}
