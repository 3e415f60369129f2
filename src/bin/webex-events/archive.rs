//! What is written over several runs: growing files, and one state file that says how far they have come.
//!
//! A *draft* is a file that grows as `NAME.part`. A *commit* brings all drafts to disk and then replaces
//! the state file, which has their lengths, counts and cursors: so text and place move on in one step. A
//! file goes through three stages, a commit each, and each stands in the state file before the next begins:
//!
//! - **open**: it grows. What it has beyond its committed length counts for nothing.
//! - **done**: it is on disk whole, and gets its name with the next commit.
//! - **closed**: it has its name. Nothing touches it any more.
//!
//! When the program is killed, this is what there is, and what the next run makes of it:
//!
//! | killed | on disk | the next run |
//! |---|---|---|
//! | before the first commit | perhaps drafts, no state file | begins anew, over them |
//! | while a draft grows, or is brought to disk | a draft longer than its entry, or without one | cuts it to its entry, or removes it |
//! | while the state file is written | the same, and a `.tmp` beside the state file | the same, and removes that |
//! | behind the commit of a file that is done | a draft with all that belongs into it | gives it its name |
//! | between giving its name to `NAME.malformed` and to `NAME` | one of them renamed | gives it to the other |
//! | between giving the name and the commit that says so | a file under its name, its entry "done" | takes it as closed |
//! | with the power gone before the folder was brought to disk | perhaps the draft of a file that is said to be closed | gives it its name |
//! | while a draft is begun anew | its entry says that it is empty, or still the old | cuts it, or goes on as before |
//! | after the last file of an export into one file got its name | the file, and a state file with its length | removes the state file |
//!
//! What can't come from this is damage, and refused: a draft shorter than its entry or of another
//! checksum, a closed file that is gone or of another length, a file under a final name that no entry
//! knows, a state file that was cut or changed.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs::{File, create_dir},
    io,
    ops::Add,
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use webex_events::{Cursor, Event, Result as ListResult};

use self::{
    background_sync::{Sealing, seal},
    fs as disk,
    part_file::Draft,
    recover::Recovered,
};
use crate::error::Failure;

mod append_file;
mod background_sync;
mod codec;
pub(crate) mod fs;
mod layout;
mod ledger;
mod part_file;
mod recover;
mod seen;
#[cfg(test)]
mod tests;

pub(crate) use self::{
    append_file::read,
    codec::Codec,
    layout::Place,
    ledger::{About, Entry, Kind, Malformed, Stage, State, hex},
    part_file::{Form, framed, kept, malformed_path},
    recover::foreign,
};

/// So many drafts of a folder have their files open at most. A process has few handles: 256 on some systems.
const AWAKE: usize = 100;

/// A place that is this process's alone, and what an earlier run has left there.
#[derive(Debug)]
pub(crate) struct Found {
    place: Place,
    /// None for a folder that isn't there yet.
    lock: Option<File>,
    state: Option<State>,
    was_there: bool,
}

#[derive(Debug)]
pub(crate) struct Store {
    place: Place,
    form: Form,
    about: About,
    checkpoint: Option<Value>,
    closed: Vec<Entry>,
    /// The names of the closed ones.
    names: HashSet<String>,
    /// The lines of the closed ones in the state file.
    lines: Vec<String>,
    drafts: BTreeMap<String, Draft>,
    /// Drafts that are done and on their way to disk.
    sealing: Option<Sealing>,
    /// Those of a folder that may have their files open.
    awake: BTreeSet<String>,
    /// Of a folder; or of a file, until there is a draft.
    lock: Option<File>,
    /// Whether there is more to say than the state file says.
    is_dirty: bool,
    /// Of the closed ones.
    totals: Totals,
}

/// What all files have together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) malformed: u64,
    pub(crate) duplicates: u64,
    /// Events with fields that the service couldn't give, in this run.
    pub(crate) partial: u64,
}

impl Add for Totals {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            events: self.events + other.events,
            bytes: self.bytes + other.bytes,
            malformed: self.malformed + other.malformed,
            duplicates: self.duplicates + other.duplicates,
            partial: self.partial + other.partial,
        }
    }
}

impl Totals {
    fn count(&mut self, entry: &Entry, bytes: u64) {
        self.events += entry.events;
        self.bytes += bytes;
        self.malformed += entry.malformed_items();
        self.duplicates += entry.duplicates;
    }
}

impl Found {
    /// Takes the place for this process and reads what is there. Makes nothing but a lock.
    pub(crate) fn at(place: Place) -> Result<Self, Failure> {
        let (lock, was_there) = match &place {
            Place::Folder(path) if !path.is_dir() => (None, false),
            Place::Folder(_) => (Some(place.lock()?), true),
            Place::File(path) => {
                let was_there = part_file::part(path).exists();
                (Some(place.lock()?), was_there)
            }
        };
        let mut found = Self { place, lock, state: None, was_there };
        found.state = found.place.read()?;
        Ok(found)
    }

    pub(crate) fn state(&self) -> Option<&State> {
        self.state.as_ref()
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Goes on where the earlier run was, if there was one; otherwise begins what `about` says.
    pub(crate) fn open(mut self, about: About, form: Form) -> Result<Store, Failure> {
        let place = self.place.clone();
        if let Place::Folder(path) = &place
            && self.lock.is_none()
        {
            let made = create_dir(path).and_then(|()| disk::sync_folder(path));
            made.map_err(|error| place.unwritable(&error))?;
            self.lock = Some(place.lock()?);
            self.state = place.read()?;
        }
        let mut store = Store {
            place,
            form,
            about,
            checkpoint: None,
            closed: Vec::new(),
            names: HashSet::new(),
            lines: Vec::new(),
            drafts: BTreeMap::new(),
            sealing: None,
            awake: BTreeSet::new(),
            lock: self.lock.take(),
            is_dirty: false,
            totals: Totals::default(),
        };
        match self.state.take() {
            Some(state) => store.go_on(state)?,
            None => store.begin()?,
        }
        Ok(store)
    }
}

impl Drop for Found {
    /// A place at which nothing was begun is left as it was.
    fn drop(&mut self) {
        match &self.place {
            _ if self.lock.is_none() => {}
            Place::File(path) if !self.was_there => {
                let _ = disk::remove(&part_file::part(path));
            }
            Place::File(_) => {}
            place @ Place::Folder(_) => place.unlock(),
        }
    }
}

impl Store {
    fn begin(&mut self) -> Result<(), Failure> {
        recover::refuse_foreign(&self.place, &[])?;
        if matches!(self.place, Place::Folder(_)) {
            // From here on it is known what was asked for, and what its instants are.
            self.write().map_err(|error| self.place.unwritable(&error))?;
        }
        Ok(())
    }

    fn go_on(&mut self, state: State) -> Result<(), Failure> {
        let file = if matches!(self.place, Place::File(_)) { self.lock.take() } else { None };
        let Recovered { closed, drafts, moved_on } = recover::recover(&self.place, &state, self.form, file)?;
        for entry in closed {
            self.close(entry).map_err(|error| self.place.unwritable(&error.into()))?;
        }
        self.drafts = drafts.into_iter().map(|draft| (draft.entry.name.clone(), draft)).collect();
        (self.about, self.checkpoint, self.is_dirty) = (state.about, state.checkpoint, moved_on);
        Ok(())
    }

    pub(crate) fn about(&self) -> &About {
        &self.about
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn checkpoint(&self) -> Option<&Value> {
        self.checkpoint.as_ref()
    }

    pub(crate) fn closed(&self) -> &[Entry] {
        &self.closed
    }

    /// As they were at the last page.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Entry> {
        self.drafts.values().map(|draft| &draft.entry)
    }

    pub(crate) fn files(&self) -> Vec<Entry> {
        self.closed.iter().chain(self.open()).cloned().collect()
    }

    pub(crate) fn totals(&self) -> Totals {
        let mut totals = self.totals;
        if let Some(sealing) = &self.sealing {
            totals = totals + sealing.totals;
        }
        for draft in self.drafts.values() {
            totals.count(&draft.entry, draft.bytes());
        }
        totals
    }

    /// Adds a page to a file, which is begun if there is none yet, and the place behind it.
    pub(crate) fn add(
        &mut self,
        file: &Entry,
        items: impl IntoIterator<Item = ListResult<Event>>,
        cursor: Option<Cursor>,
    ) -> io::Result<()> {
        self.is_dirty = true;
        let partial = self.draft(file)?.add(items, cursor)?;
        self.totals.partial += partial;
        Ok(())
    }

    /// The range begins at another instant than it was thought to.
    pub(crate) fn set_from(&mut self, from: Option<DateTime<Utc>>) {
        self.about.from = from;
    }

    /// How far a follower has come, to be committed with the events up to there.
    pub(crate) fn set_checkpoint(&mut self, checkpoint: Value) {
        if self.checkpoint.as_ref() != Some(&checkpoint) {
            self.checkpoint = Some(checkpoint);
            self.is_dirty = true;
        }
    }

    /// A file has all that belongs into it. The next commit gives it its name, unless it has that already:
    /// an earlier run may have been killed behind the last but one step.
    pub(crate) fn finish(&mut self, file: &Entry) -> io::Result<()> {
        if self.is_closed(file) {
            return Ok(());
        }
        self.is_dirty = true;
        let entry = &mut self.draft(file)?.entry;
        (entry.stage, entry.cursor) = (Stage::Done, None);
        Ok(())
    }

    /// Empties a file that is open, since its cursor is of no use any more.
    pub(crate) fn start_over(&mut self, file: &Entry) -> io::Result<()> {
        let Some(draft) = self.drafts.get_mut(&file.name) else { return Ok(()) };
        // First the word, then the deed: a draft that is shorter than its entry would be damage.
        draft.forget();
        self.write()?;
        self.draft(file)?.empty()
    }

    /// Brings everything to disk.
    pub(crate) fn commit(&mut self) -> io::Result<()> {
        self.take_back()?;
        if self.is_dirty { self.commit_those(|_| true) } else { Ok(()) }
    }

    /// Sends the files that are done to disk, without waiting for it, and commits those that have got
    /// there. The others stay at their last commit, unless they belong together.
    pub(crate) fn commit_done(&mut self) -> io::Result<()> {
        if self.checkpoint.is_some() {
            return self.commit();
        }
        if self.sealing.as_ref().is_some_and(Sealing::is_over) {
            self.take_back()?;
            self.commit_those(|_| false)?;
            self.is_dirty = true;
        }
        if self.sealing.is_none() {
            let done = |draft: &Draft| draft.entry.stage == Stage::Done && !draft.is_sealed();
            let names: Vec<_> =
                self.drafts.iter().filter(|(_, draft)| done(draft)).map(|(name, _)| name.clone()).collect();
            let drafts: Vec<_> = names.iter().filter_map(|name| self.drafts.remove(name)).collect();
            if !drafts.is_empty() {
                self.sealing = Some(Sealing::begin(drafts));
            }
        }
        Ok(())
    }

    /// Whether there is something for [`commit_done`](Self::commit_done) to do.
    pub(crate) fn is_sealed(&self) -> bool {
        self.sealing.as_ref().is_some_and(Sealing::is_over)
    }

    /// Waits until the files that were sent to disk are there.
    fn take_back(&mut self) -> io::Result<()> {
        let Some(sealing) = self.sealing.take() else { return Ok(()) };
        let (drafts, result) = sealing.end();
        self.drafts.extend(drafts.into_iter().map(|draft| (draft.entry.name.clone(), draft)));
        result?;
        self.rest_done()
    }

    /// Files of a folder that are done and on disk need no handles any more.
    fn rest_done(&mut self) -> io::Result<()> {
        if matches!(self.place, Place::File(_)) {
            return Ok(());
        }
        let is_done = |draft: &&mut Draft| draft.entry.stage == Stage::Done && draft.is_sealed();
        for draft in self.drafts.values_mut().filter(is_done) {
            draft.rest()?;
            self.awake.remove(&draft.entry.name);
        }
        Ok(())
    }

    /// Commits what there is at the end of a run.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.commit()?;
        if matches!(self.place, Place::Folder(_)) {
            return self.commit();
        }
        self.give_names()?;
        if self.closed.is_empty() {
            return Ok(());
        }
        disk::sync_folder(&self.place.state())?;
        disk::remove(&self.place.state())?;
        disk::sync_folder(&self.place.state())
    }

    /// Commits what can be committed after a failure: whole pages. A follower's place is one for all its
    /// files, so that it stays at its last commit, and what came since comes again.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        if self.about.kind == Kind::Follow {
            return Ok(());
        }
        // If it fails, so does what comes.
        let _ = self.take_back();
        for draft in self.drafts.values_mut() {
            draft.settle()?;
        }
        self.is_dirty = true;
        self.end()
    }

    /// A commit. It also takes those files a step further of which the last one has said that they are done.
    fn commit_those(&mut self, which: impl Fn(&Entry) -> bool) -> io::Result<()> {
        self.give_names()?;
        seal(self.drafts.values_mut().filter(|draft| which(&draft.entry)).collect())?;
        self.rest_done()?;
        if self.drafts.values().any(|draft| draft.is_new && draft.committed.is_some()) {
            disk::sync_folder(&self.place.state())?;
            self.drafts.values_mut().for_each(|draft| draft.is_new = false);
        }
        self.write()?;
        self.is_dirty = false;
        for draft in self.drafts.values_mut() {
            draft.is_new = false;
            draft.is_said = draft.committed.as_ref().is_some_and(|entry| entry.stage == Stage::Done);
            self.is_dirty |= draft.is_said;
        }
        Ok(())
    }

    /// Gives those files their names that the state file says are done.
    fn give_names(&mut self) -> io::Result<()> {
        let said = self.drafts.values().filter(|draft| draft.is_said);
        for name in said.map(|draft| draft.entry.name.clone()).collect::<Vec<_>>() {
            let Some(entry) = self.drafts.get(&name).map(|draft| draft.entry.clone()) else { continue };
            self.place.publish(&entry)?;
            self.close(Entry { stage: Stage::Closed, ..entry })?;
            self.drafts.remove(&name);
        }
        Ok(())
    }

    fn write(&self) -> io::Result<()> {
        let sealing = self.sealing.iter().flat_map(|sealing| &sealing.committed);
        let open = self.drafts.values().filter_map(|draft| draft.committed.as_ref()).chain(sealing);
        let open = open.map(Entry::line).collect::<Result<Vec<_>, _>>()?;
        let lines = self.lines.iter().chain(&open);
        let text = ledger::text(&self.about, self.checkpoint.as_ref(), lines)?;
        disk::replace(&self.place.state(), text.as_bytes())
    }

    fn close(&mut self, entry: Entry) -> serde_json::Result<()> {
        let at =
            self.closed.partition_point(|closed| (closed.start, &closed.name) < (entry.start, &entry.name));
        self.lines.insert(at, entry.line()?);
        self.totals.count(&entry, entry.bytes);
        self.names.insert(entry.name.clone());
        self.closed.insert(at, entry);
        Ok(())
    }

    fn is_closed(&self, file: &Entry) -> bool {
        self.names.contains(&file.name)
    }

    fn draft(&mut self, file: &Entry) -> io::Result<&mut Draft> {
        if matches!(self.place, Place::Folder(_)) && !self.awake.contains(&file.name) {
            if self.awake.len() >= AWAKE {
                for name in std::mem::take(&mut self.awake) {
                    self.drafts.get_mut(&name).map_or(Ok(()), Draft::rest)?;
                }
            }
            self.awake.insert(file.name.clone());
        }
        if !self.drafts.contains_key(&file.name) {
            if self.is_closed(file) || self.sealing.as_ref().is_some_and(|sealing| sealing.has(&file.name)) {
                return Err(io::Error::other(format!("{} is closed, and more has come for it", file.name)));
            }
            let of_file = matches!(self.place, Place::File(_));
            let open = if of_file { self.lock.take() } else { None };
            let draft = Draft::begin(&self.place.path(&file.name), open, file.clone(), self.form)?;
            self.drafts.insert(file.name.clone(), draft);
        }
        self.drafts.get_mut(&file.name).ok_or_else(|| io::Error::other("a draft is gone"))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        match &self.place {
            // Nothing came, so that the draft has nothing but the lock, or what was there before.
            Place::File(path) if self.lock.is_some() => {
                let part = part_file::part(path);
                if disk::length(&part).is_ok_and(|length| length == Some(0)) {
                    let _ = disk::remove(&part);
                }
            }
            Place::File(_) => {}
            place @ Place::Folder(_) => place.unlock(),
        }
    }
}
