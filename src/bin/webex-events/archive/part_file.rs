//! A file that isn't closed yet: its events, what came between them, and how far both have come.

use std::{
    borrow::Cow,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use memchr::memchr2;
use serde_json::{Map, Value, json};
use webex_events::{Cursor, Error, Event, MalformedItem, Result as ListResult};

use super::{
    append_file::{Growing, Mark},
    codec::Codec,
    fs::{remove, with_suffix},
    ledger::{Entry, Malformed, Stage},
    seen::Seen,
};
use crate::{error::one_line, ui::messages};

/// Written at a time.
const CHUNK: usize = 256 << 10;

/// What all files of a store have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) codec: Codec,
    /// Whether their checksums are kept.
    pub(crate) hashed: bool,
    /// How many ids are remembered for certain; none is all of them.
    pub(crate) memory: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Draft {
    /// As of the last whole page. Its bytes and checksums are as of the last commit.
    pub(super) entry: Entry,
    /// What the state file is to say: as of the last commit, if there was one.
    pub(super) committed: Option<Entry>,
    /// Whether the state file says that it is done.
    pub(super) is_said: bool,
    form: Form,
    text: Growing,
    malformed: Option<Growing>,
    seen: Seen,
    safe: Safe,
    /// How many events will come again that an earlier run has written without their page's end.
    again: u64,
    /// Whether the page or the frame in hand is written whole.
    is_whole: bool,
    /// Whether the folder may not have its names on disk yet.
    pub(super) is_new: bool,
    lines: Vec<u8>,
}

/// Where to go back to if something can't be written whole: the last point between two frames.
#[derive(Debug)]
struct Safe {
    entry: Entry,
    text: Mark,
    malformed: Mark,
}

impl Draft {
    /// One of which there is nothing yet. An open `file` is used, and what it has is gone.
    pub(super) fn begin(path: &Path, file: Option<File>, entry: Entry, form: Form) -> io::Result<Self> {
        let text = Growing::begin(part(path), file, form.codec, form.hashed)?;
        Ok(Self::new(entry, form, text, None, Seen::new(form.memory)))
    }

    /// One that an earlier run has begun, as far as its entry says. What stands behind that is gone.
    ///
    /// Fails with a sentence about the file at fault, if it isn't what its entry says.
    pub(super) fn reopen(path: &Path, file: Option<File>, entry: Entry, form: Form) -> io::Result<Self> {
        let mut seen = Seen::new(form.memory);
        let mut events = 0;
        let text = Growing::reopen(part(path), file, (form.codec, form.hashed), entry.bytes, |line| {
            let event = str::from_utf8(line).ok().and_then(|line| Event::from_json(line).ok());
            let event = event.ok_or_else(|| unfit(format!("its line {} is no event", events + 1)))?;
            seen.insert(event.id());
            events += 1;
            Ok(())
        })?;
        if events != entry.events {
            return Err(unfit(format!("it has {events} events and should have {}", entry.events)));
        }
        if entry.sha256.is_some() && form.hashed && text.sha256() != entry.sha256 {
            return Err(unfit("its checksum doesn't fit"));
        }
        let malformed = entry.malformed.as_ref().map(|malformed| {
            let path = part(&malformed_path(path));
            let growing = Growing::reopen(path, None, (Codec::None, true), malformed.bytes, |_| Ok(()))?;
            if growing.sha256().as_ref() != Some(&malformed.sha256) {
                return Err(unfit("the checksum of what was malformed doesn't fit"));
            }
            Ok(growing)
        });
        let malformed = malformed.transpose()?;
        let committed = Some(entry.clone());
        Ok(Self { is_new: false, committed, ..Self::new(entry, form, text, malformed, seen) })
    }

    fn new(entry: Entry, form: Form, text: Growing, malformed: Option<Growing>, seen: Seen) -> Self {
        let mark = |growing: Option<&Growing>, hashed| {
            growing.and_then(Growing::mark).unwrap_or_else(|| Mark::start(hashed))
        };
        let safe = Safe {
            entry: entry.clone(),
            text: mark(Some(&text), form.hashed),
            malformed: mark(malformed.as_ref(), true),
        };
        let again = entry.ahead;
        Self {
            entry,
            committed: None,
            is_said: false,
            form,
            text,
            malformed,
            seen,
            safe,
            again,
            is_whole: true,
            is_new: true,
            lines: Vec::new(),
        }
    }

    /// Adds a page, and the place behind it. Returns how many of its events have fields that the
    /// service couldn't give.
    pub(super) fn add(
        &mut self,
        items: impl IntoIterator<Item = ListResult<Event>>,
        cursor: Option<Cursor>,
    ) -> io::Result<u64> {
        self.mark();
        self.is_whole = false;
        let mut partial = 0;
        let mut malformed = Vec::new();
        self.lines.clear();
        for item in items {
            match item {
                Ok(event) => partial += u64::from(self.event(&event)?),
                Err(Error::Item(item)) => malformed.push(*item),
                Err(error) => {
                    messages::warning(&one_line(&format!("an item can't be read: {error}")), Map::new());
                }
            }
        }
        self.write()?;
        self.keep(malformed)?;
        self.entry.pages += 1;
        (self.entry.cursor, self.entry.ahead, self.again) = (cursor, 0, 0);
        self.is_whole = true;
        Ok(partial)
    }

    /// Adds what was malformed in a page: all of it, or what there is of it is taken back.
    fn keep(&mut self, malformed: Vec<MalformedItem>) -> io::Result<()> {
        if malformed.is_empty() {
            return Ok(());
        }
        let page = self.entry.pages + 1;
        let items = malformed.len() as u64;
        let mut text = String::new();
        for item in malformed {
            text.push_str(&json!(kept(page, &item)).to_string());
            text.push('\n');
            // As text they are many times as long.
            if text.len() >= CHUNK {
                self.malformed()?.append(text.as_bytes())?;
                text.clear();
            }
        }
        self.malformed()?.append(text.as_bytes())?;
        self.entry.malformed.get_or_insert_default().items += items;
        Ok(())
    }

    /// Adds an event, unless it is there. Returns whether it is new and has fields that the service
    /// couldn't give.
    fn event(&mut self, event: &Event) -> io::Result<bool> {
        if !self.seen.insert(event.id()) {
            match self.again.checked_sub(1) {
                Some(again) => self.again = again,
                None => self.entry.duplicates += 1,
            }
            return Ok(false);
        }
        self.lines.extend_from_slice(framed(event.raw()).as_bytes());
        self.lines.push(b'\n');
        self.entry.events += 1;
        self.entry.ahead += 1;
        if self.lines.len() >= CHUNK {
            self.write()?;
        }
        // Errors that can't be read are errors too.
        Ok(event.errors().map_or(true, |errors| !errors.is_empty()))
    }

    /// Writes a part of a page. If the rest of it can't be written, this part counts, though the place is
    /// still the one before the page.
    fn write(&mut self) -> io::Result<()> {
        self.text.append(&self.lines)?;
        self.lines.clear();
        self.mark();
        Ok(())
    }

    /// Ends the frames and brings all to disk, so that the entry says what is there.
    pub(super) fn seal(&mut self) -> io::Result<()> {
        // A frame without its end is none: if that can't be written, all of it is taken back.
        self.is_whole = false;
        self.text.finish_frame()?;
        if self.entry.stage == Stage::Done {
            self.text.fill_empty()?;
        }
        self.text.sync()?;
        (self.entry.bytes, self.entry.sha256) = (self.text.bytes(), self.text.sha256());
        if let Some(growing) = &mut self.malformed {
            growing.sync()?;
            let (bytes, sha256) = (growing.bytes(), growing.sha256().unwrap_or_default());
            let items = self.entry.malformed_items();
            self.entry.malformed = Some(Malformed { items, bytes, sha256 });
        }
        self.mark();
        self.is_whole = true;
        self.committed = Some(self.entry.clone());
        Ok(())
    }

    /// Gives its handles back until more comes for it, since a process has few of them. What it has is
    /// brought to disk.
    pub(super) fn rest(&mut self) -> io::Result<()> {
        self.is_whole = false;
        self.text.finish_frame()?;
        self.mark();
        self.is_whole = true;
        self.text.rest()?;
        self.malformed.as_mut().map_or(Ok(()), Growing::rest)
    }

    /// After a failure: takes back what wasn't written whole, a page or a frame.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        if self.is_whole {
            return Ok(());
        }
        self.lines.clear();
        self.text.go_back(&self.safe.text)?;
        if self.safe.entry.malformed.is_none() {
            self.drop_malformed()?;
        } else if let Some(malformed) = &mut self.malformed {
            malformed.go_back(&self.safe.malformed)?;
        }
        self.entry = self.safe.entry.clone();
        self.is_whole = true;
        Ok(())
    }

    /// The entry says that there is nothing; once the state file says so too, [`empty`](Self::empty)
    /// makes it true.
    pub(super) fn forget(&mut self) {
        let range = self.entry.start.zip(self.entry.end);
        self.entry = Entry::new(std::mem::take(&mut self.entry.name), range);
        self.committed = Some(self.entry.clone());
    }

    pub(super) fn empty(&mut self) -> io::Result<()> {
        self.seen.clear();
        self.again = 0;
        self.text.go_back(&Mark::start(self.form.hashed))?;
        self.drop_malformed()?;
        self.mark();
        Ok(())
    }

    fn drop_malformed(&mut self) -> io::Result<()> {
        self.malformed.take().map_or(Ok(()), |malformed| remove(malformed.path()))
    }

    /// Whether all of it is on disk.
    pub(super) fn is_sealed(&self) -> bool {
        self.committed.as_ref() == Some(&self.entry)
    }

    /// How many bytes of events there are, those that aren't committed too.
    pub(super) fn bytes(&self) -> u64 {
        self.text.bytes()
    }

    #[cfg(test)]
    pub(super) fn is_awake(&self) -> bool {
        self.text.is_awake() || self.malformed.as_ref().is_some_and(Growing::is_awake)
    }

    #[cfg(test)]
    fn path(&self) -> &Path {
        self.text.path()
    }

    fn mark(&mut self) {
        let Some(text) = self.text.mark() else { return };
        let malformed = self.malformed.as_ref().and_then(Growing::mark);
        self.safe = Safe {
            entry: self.entry.clone(),
            text,
            malformed: malformed.unwrap_or_else(|| Mark::start(true)),
        };
    }

    fn malformed(&mut self) -> io::Result<&mut Growing> {
        let growing = if let Some(growing) = self.malformed.take() {
            growing
        } else {
            self.is_new = true;
            let path = with_suffix(&self.text.path().with_extension(""), ".malformed.part");
            Growing::begin(path, None, Codec::None, true)?
        };
        Ok(self.malformed.insert(growing))
    }
}

pub(super) fn part(path: &Path) -> PathBuf {
    with_suffix(path, ".part")
}

/// Where what isn't an event is kept, beside the file of those that are.
pub(crate) fn malformed_path(path: &Path) -> PathBuf {
    with_suffix(path, ".malformed")
}

/// JSON text without line breaks. Its strings can't hold any, so that those it has are white space
/// between tokens.
pub(crate) fn framed(json: &str) -> Cow<'_, str> {
    if memchr2(b'\n', b'\r', json.as_bytes()).is_some() {
        Cow::Owned(json.replace(['\n', '\r'], " "))
    } else {
        Cow::Borrowed(json)
    }
}

/// What is kept of an item that isn't an event, from this page.
pub(crate) fn kept(page: u64, item: &MalformedItem) -> Map<String, Value> {
    let kept = [
        ("page", page.into()),
        ("index", item.index().into()),
        ("error", item.to_string().into()),
        ("raw", item.raw().into()),
    ];
    kept.map(|(key, value): (&str, Value)| (key.to_owned(), value)).into_iter().collect()
}

fn unfit(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

#[cfg(test)]
mod tests;
