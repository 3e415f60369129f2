//! `PartFile`: a file that isn't complete, with its events, its malformed items and its committed state.

use std::{borrow::Cow, io, path::Path};

use memchr::memchr2;
use serde_json::{Map, Value, json};
use webex_events::{Cursor, Error, Event, MalformedItem, Result as ListResult};

use super::{
    append_file::{AppendFile, Checksum, Digests, Savepoint, read_hashed},
    attributes::Attributes,
    codec::Codec,
    fs::{check_length, open_regular, remove, with_suffix},
    layout::{malformed_path, part},
    ledger::{FileEntry, MalformedEntry},
    seen::SeenIds,
};

/// The number of bytes that are collected for a write.
const CHUNK: usize = 256 << 10;

/// The options for writing the files of an archive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteOptions {
    pub(crate) codec: Codec,
    pub(crate) checksum: Checksum,
    /// The number of ids that are remembered at least; `None` remembers all.
    pub(crate) memory: Option<usize>,
}

/// The write options, with the attributes that the archive adds.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartOptions {
    pub(super) write: WriteOptions,
    /// The mode, owner and group of new files.
    pub(super) attributes: Attributes,
}

#[derive(Debug)]
pub(super) struct PartFile {
    /// The state after the last whole page; its bytes and checksums are those of the last commit.
    pub(super) entry: FileEntry,
    /// The state in the ledger after the last commit, if there was one.
    pub(super) committed: Option<FileEntry>,
    options: PartOptions,
    text: AppendFile,
    malformed: Option<AppendFile>,
    seen: SeenIds,
    safe: SafePoint,
    /// The number of events that will be listed again, because an earlier run has written only the start of their page.
    resent: u64,
    /// True if the current page or frame is written completely.
    is_whole: bool,
    /// True if the folder may not have its names on disk yet.
    pub(super) is_new: bool,
    lines: Vec<u8>,
}

/// The last point between two frames, to which a failed write is rolled back.
#[derive(Debug)]
struct SafePoint {
    entry: FileEntry,
    text: Savepoint,
    /// `None` if there was no malformed item.
    malformed: Option<Savepoint>,
}

impl PartFile {
    /// Creates an empty file. Replaces an existing one.
    pub(super) fn create(path: &Path, entry: FileEntry, options: PartOptions) -> io::Result<Self> {
        let WriteOptions { codec, checksum, memory } = options.write;
        let text = AppendFile::create(part(path), options.attributes, codec, checksum)?;
        Ok(Self::new(entry, options, text, None, SeenIds::new(memory)))
    }

    /// Creates the file of an entry without content, which stays in the ledger until the next commit of the file.
    pub(super) fn recreate(path: &Path, entry: FileEntry, options: PartOptions) -> io::Result<Self> {
        let committed = Some(entry.clone());
        Ok(Self { committed, ..Self::create(path, entry, options)? })
    }

    /// Reopens a file of an earlier run, and truncates it to the length in its entry.
    ///
    /// Fails with [`io::ErrorKind::InvalidData`] or [`io::ErrorKind::UnexpectedEof`] if it doesn't match its entry.
    pub(super) fn reopen(path: &Path, entry: FileEntry, options: PartOptions) -> io::Result<Self> {
        let WriteOptions { codec, checksum, memory } = options.write;
        let mut seen = SeenIds::new(memory);
        let mut lines = LineCounter::default();
        let text = AppendFile::reopen(
            part(path),
            (codec, checksum),
            entry.bytes,
            kept(&entry),
            |line| lines.count(line, |event| _ = seen.insert(event.id())),
            |digests| check(&entry, digests),
        )?;
        lines.check(&entry)?;
        let malformed = entry.malformed.as_ref().map(|malformed| {
            let path = part(&malformed_path(path));
            let written_as = (Codec::None, Checksum::Sha256);
            AppendFile::reopen(
                path,
                written_as,
                malformed.bytes,
                [],
                |_| Ok(()),
                |digests| {
                    if digests.sha256().as_ref() == Some(&malformed.sha256) {
                        return Ok(());
                    }
                    Err(unfit("the checksum of its malformed items doesn't match"))
                },
            )
        });
        let malformed = malformed.transpose()?;
        let committed = Some(entry.clone());
        Ok(Self { is_new: false, committed, ..Self::new(entry, options, text, malformed, seen) })
    }

    fn new(
        entry: FileEntry,
        options: PartOptions,
        text: AppendFile,
        malformed: Option<AppendFile>,
        seen: SeenIds,
    ) -> Self {
        let safe = SafePoint {
            entry: entry.clone(),
            text: text.savepoint().unwrap_or_else(|| text.start()),
            malformed: malformed.as_ref().and_then(AppendFile::savepoint),
        };
        let resent = entry.ahead;
        Self {
            entry,
            committed: None,
            options,
            text,
            malformed,
            seen,
            safe,
            resent,
            is_whole: true,
            is_new: true,
            lines: Vec::new(),
        }
    }

    /// Adds a page of a list, and the cursor after it. Returns the number of its events with field errors.
    pub(super) fn add(
        &mut self,
        list: usize,
        items: impl IntoIterator<Item = ListResult<Event>>,
        cursor: Option<Cursor>,
    ) -> io::Result<u64> {
        self.save();
        self.is_whole = false;
        let mut partial = 0;
        let mut malformed = Vec::new();
        self.lines.clear();
        for item in items {
            match item {
                Ok(event) => partial += u64::from(self.event(&event)?),
                Err(Error::Item(item)) => malformed.push(*item),
                // A page has no other errors.
                Err(error) => return Err(io::Error::other(format!("an item can't be read: {error}"))),
            }
        }
        self.write()?;
        self.keep_malformed(malformed)?;
        self.entry.add_page(list, cursor);
        if self.entry.replaces.is_none() {
            self.resent = 0;
        }
        self.entry.ahead = self.resent;
        self.is_whole = true;
        Ok(partial)
    }

    fn keep_malformed(&mut self, malformed: Vec<MalformedItem>) -> io::Result<()> {
        if malformed.is_empty() {
            return Ok(());
        }
        let page = self.entry.pages + 1;
        let items = malformed.len() as u64;
        let mut text = String::new();
        for item in malformed {
            text.push_str(&json!(malformed_record(page, &item)).to_string());
            text.push('\n');
            // As text the items are several times as long.
            if text.len() >= CHUNK {
                self.malformed()?.append(text.as_bytes())?;
                text.clear();
            }
        }
        self.malformed()?.append(text.as_bytes())?;
        self.entry.malformed.get_or_insert_default().items += items;
        Ok(())
    }

    /// Adds an event, unless the file has it. Returns true if it is new and has field errors.
    fn event(&mut self, event: &Event) -> io::Result<bool> {
        if !self.seen.insert(event.id()) {
            match self.resent.checked_sub(1) {
                Some(resent) => self.resent = resent,
                None => self.entry.duplicates += 1,
            }
            return Ok(false);
        }
        self.lines.extend_from_slice(single_line(event.raw()).as_bytes());
        self.lines.push(b'\n');
        self.entry.events += 1;
        self.entry.ahead += 1;
        if self.lines.len() >= CHUNK {
            self.write()?;
        }
        // Unreadable field errors count as field errors.
        Ok(event.errors().map_or(true, |errors| !errors.is_empty()))
    }

    /// Writes a part of a page. If the rest can't be written, this part is kept, and the cursor still points to the
    /// page.
    fn write(&mut self) -> io::Result<()> {
        self.text.append(&self.lines)?;
        self.lines.clear();
        self.save();
        Ok(())
    }

    /// Ends the frames and syncs everything to disk, so that the entry matches the files.
    pub(super) fn seal(&mut self) -> io::Result<()> {
        // A frame without its end is invalid: if the end can't be written, roll back the whole frame.
        self.is_whole = false;
        self.text.finish_frame()?;
        if self.entry.is_complete() {
            self.text.fill_empty()?;
        }
        self.text.sync()?;
        self.entry.bytes = self.text.bytes();
        (self.entry.sha256, self.entry.crc32) = (self.text.digests().sha256(), self.text.digests().crc32());
        if let Some(file) = &mut self.malformed {
            file.sync()?;
            let (bytes, sha256) = (file.bytes(), file.digests().sha256().unwrap_or_default());
            let items = self.entry.malformed_items();
            self.entry.malformed = Some(MalformedEntry { items, bytes, sha256 });
        }
        self.save();
        self.is_whole = true;
        self.committed = Some(self.entry.clone());
        Ok(())
    }

    /// Closes its files until they are written again, because a process has few file handles. Their content is synced to
    /// disk.
    pub(super) fn close(&mut self) -> io::Result<()> {
        self.is_whole = false;
        self.text.finish_frame()?;
        self.save();
        self.is_whole = true;
        self.text.close()?;
        self.malformed.as_mut().map_or(Ok(()), AppendFile::close)
    }

    /// Rolls back a page or a frame that wasn't written completely, after a failure.
    pub(super) fn roll_back(&mut self) -> io::Result<()> {
        if self.is_whole {
            return Ok(());
        }
        self.lines.clear();
        self.text.rollback_to(&self.safe.text)?;
        match (&self.safe.malformed, &mut self.malformed) {
            (Some(point), Some(malformed)) => malformed.rollback_to(point)?,
            _ => self.drop_malformed()?,
        }
        self.entry = self.safe.entry.clone();
        self.is_whole = true;
        Ok(())
    }

    /// Resets the entry to an empty file. Call [`empty`](Self::empty) once the ledger says the same.
    pub(super) fn forget(&mut self) {
        let range = self.entry.start.zip(self.entry.end);
        let lists = self.entry.lists.len();
        self.entry = FileEntry::new(std::mem::take(&mut self.entry.name), range).with_lists(lists);
        self.committed = Some(self.entry.clone());
    }

    pub(super) fn empty(&mut self) -> io::Result<()> {
        self.seen.clear();
        self.resent = 0;
        self.text.rollback_to(&self.text.start())?;
        self.drop_malformed()?;
        self.save();
        Ok(())
    }

    /// Resets the entry to one of which no page is read, and keeps its events, which are brought to disk. Call
    /// [`drop_malformed`](Self::drop_malformed) once the ledger says the same.
    pub(super) fn forget_pages(&mut self) -> io::Result<()> {
        self.seal()?;
        self.entry.forget_pages();
        self.resent = self.entry.ahead;
        self.committed = Some(self.entry.clone());
        self.save();
        Ok(())
    }

    pub(super) fn drop_malformed(&mut self) -> io::Result<()> {
        self.malformed.take().map_or(Ok(()), |malformed| remove(malformed.path()))
    }

    /// Returns true if everything is on disk.
    pub(super) fn is_sealed(&self) -> bool {
        self.committed.as_ref() == Some(&self.entry)
    }

    /// Returns true if the next commit gives the file its final name.
    pub(super) fn is_committed_whole(&self) -> bool {
        self.committed.as_ref().is_some_and(FileEntry::is_complete)
    }

    /// The number of bytes of events, including those that aren't committed.
    pub(super) fn bytes(&self) -> u64 {
        self.text.bytes()
    }

    #[cfg(test)]
    pub(super) fn is_open(&self) -> bool {
        self.text.is_open() || self.malformed.as_ref().is_some_and(AppendFile::is_open)
    }

    #[cfg(test)]
    pub(super) fn break_file(&mut self) {
        self.text.break_file();
    }

    #[cfg(test)]
    fn path(&self) -> &Path {
        self.text.path()
    }

    fn save(&mut self) {
        let Some(text) = self.text.savepoint() else { return };
        let malformed = self.malformed.as_ref().and_then(AppendFile::savepoint);
        self.safe = SafePoint { entry: self.entry.clone(), text, malformed };
    }

    fn malformed(&mut self) -> io::Result<&mut AppendFile> {
        let file = if let Some(file) = self.malformed.take() {
            file
        } else {
            self.is_new = true;
            let path = with_suffix(&self.text.path().with_extension(""), ".malformed.part");
            AppendFile::create(path, self.options.attributes, Codec::None, Checksum::Sha256)?
        };
        Ok(self.malformed.insert(file))
    }
}

/// Checks that a file under its final name is what its entry says.
pub(super) fn check_complete(path: &Path, entry: &FileEntry, codec: Codec) -> io::Result<()> {
    check_length(path, entry.bytes)?;
    let mut digests = Digests::new(kept(entry));
    let mut lines = LineCounter::default();
    read_hashed(
        open_regular(path)?,
        codec,
        entry.bytes,
        |bytes| digests.update(bytes),
        |line| lines.count(line, |_| ()),
    )?;
    check(entry, &digests)?;
    lines.check(entry)
}

/// The checksums that an entry has.
pub(super) fn kept(entry: &FileEntry) -> impl Iterator<Item = Checksum> + use<> {
    let sha256 = entry.sha256.as_ref().map(|_| Checksum::Sha256);
    sha256.into_iter().chain(entry.crc32.map(|_| Checksum::Crc32))
}

pub(super) fn check(entry: &FileEntry, digests: &Digests) -> io::Result<()> {
    let fits = (entry.sha256.is_none() || entry.sha256 == digests.sha256())
        && (entry.crc32.is_none() || entry.crc32 == digests.crc32());
    if fits { Ok(()) } else { Err(unfit("its checksum doesn't match")) }
}

/// The lines of a file that is read again.
#[derive(Debug, Default)]
struct LineCounter {
    events: u64,
}

impl LineCounter {
    fn count(&mut self, line: &[u8], show: impl FnOnce(&Event)) -> io::Result<()> {
        let event = str::from_utf8(line).ok().and_then(|line| Event::from_json(line).ok());
        let event = event.ok_or_else(|| unfit(format!("its line {} is not an event", self.events + 1)))?;
        show(&event);
        self.events += 1;
        Ok(())
    }

    fn check(&self, entry: &FileEntry) -> io::Result<()> {
        if self.events == entry.events {
            return Ok(());
        }
        Err(unfit(format!("it has {} events and should have {}", self.events, entry.events)))
    }
}

/// JSON text without line breaks, which can only occur between its tokens.
pub(crate) fn single_line(json: &str) -> Cow<'_, str> {
    if memchr2(b'\n', b'\r', json.as_bytes()).is_some() {
        Cow::Owned(json.replace(['\n', '\r'], " "))
    } else {
        Cow::Borrowed(json)
    }
}

/// The record of a malformed item from this page. Bytes that are not UTF-8 are kept in hexadecimal digits too.
pub(crate) fn malformed_record(page: u64, item: &MalformedItem) -> Map<String, Value> {
    let is_utf8 = item.raw().as_bytes() == item.bytes();
    let hexadecimal = |byte: &u8| format!("{byte:02x}");
    let bytes = (!is_utf8).then(|| item.bytes().iter().map(hexadecimal).collect::<String>());
    let record = [
        ("page", page.into()),
        ("index", item.index().into()),
        ("error", item.to_string().into()),
        ("raw", item.raw().into()),
    ];
    let record = record.into_iter().chain(bytes.map(|bytes| ("bytes", bytes.into())));
    record.map(|(key, value): (&str, Value)| (key.to_owned(), value)).collect()
}

pub(super) fn unfit(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

#[cfg(test)]
mod tests;
