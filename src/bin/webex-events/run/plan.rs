//! The slices of an export that are left to read, and the cursor from which each continues.
//!
//! A slice has a part for each list of the request. It is done when all of its parts are.

use std::{
    collections::{HashMap, HashSet},
    iter, mem,
};

use chrono::{DateTime, Utc};
use webex_events::{Cursor, ListEvents, Page, Slice, Slices};

use crate::{
    archive::{Archive, FileEntry, ListProgress},
    run::{range::Span, restart::PagePosition, slices},
};

/// A part of a slice: the start of the slice, and the index of the list.
type SlicePart = (DateTime<Utc>, usize);

#[derive(Debug)]
pub(crate) struct SlicePlan {
    /// The query of each list, without a range.
    lists: Vec<ListEvents>,
    /// The slices of each list. They have the same ranges.
    slices: Vec<Slices>,
    /// Parts that are read to their end.
    done: HashSet<SlicePart>,
    /// Parts that aren't tried again in this run. The value is true if the service no longer has the slice.
    skipped: HashMap<SlicePart, bool>,
    /// Slices that an earlier run couldn't read. They come last, so that they don't delay the others.
    failed: HashSet<DateTime<Utc>>,
    /// Slices that an earlier run has read to their end without finishing their files.
    read: Vec<Span>,
    /// Parts that are partly read.
    begun: HashMap<SlicePart, Begun>,
    /// The number of restarts by slice.
    restarts: HashMap<DateTime<Utc>, u32>,
    /// Slices whose next page replaces everything that was written of them.
    replaced: HashSet<DateTime<Utc>>,
    /// The start of the range, if it lies within the first slice.
    from: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, Default)]
struct Begun {
    cursor: Option<Cursor>,
    position: PagePosition,
}

impl SlicePlan {
    /// The plan for these lists and their slices, some of which are in `archive`.
    pub(crate) fn new(lists: Vec<(ListEvents, Slices)>, archive: &Archive) -> Self {
        let (lists, slices) = lists.into_iter().unzip();
        let mut plan = Self {
            lists,
            slices,
            done: HashSet::new(),
            skipped: HashMap::new(),
            failed: HashSet::new(),
            read: Vec::new(),
            begun: HashMap::new(),
            restarts: HashMap::new(),
            replaced: HashSet::new(),
            from: None,
        };
        for start in archive.complete().iter().filter_map(|entry| entry.start) {
            plan.done.extend(plan.parts(start));
        }
        for slice in archive.failed() {
            if slice.is_beyond_retention {
                plan.done.extend(plan.parts(slice.start));
            } else {
                plan.failed.insert(slice.start);
            }
        }
        for entry in archive.open_files() {
            plan.open(entry);
        }
        plan
    }

    /// Takes in a file that isn't complete.
    fn open(&mut self, entry: &FileEntry) {
        let Some(span) = entry.start.zip(entry.end) else { return };
        if is_read(entry) {
            self.read.push(span);
        }
        for part in self.parts(span.0) {
            match entry.list(part.1) {
                ListProgress::Unread => {}
                ListProgress::Partial(cursor) => {
                    let position = PagePosition::Stored;
                    self.begun.insert(part, Begun { cursor: Some(cursor.clone()), position });
                }
                ListProgress::Whole => _ = self.done.insert(part),
            }
        }
    }

    /// The parts of a slice.
    fn parts(&self, start: DateTime<Utc>) -> impl Iterator<Item = SlicePart> + use<> {
        (0..self.lists.len()).map(move |list| (start, list))
    }

    fn part(&self, slice: &Slice) -> SlicePart {
        let query = slice.query();
        let is_of = |list: &ListEvents| list.clone().from(slice.start()).to(slice.end()) == query;
        let list = if self.lists.len() > 1 { self.lists.iter().position(is_of) } else { None };
        (slice.start(), list.unwrap_or_default())
    }

    fn is_done(&self, start: DateTime<Utc>) -> bool {
        self.parts(start).all(|part| self.done.contains(&part))
    }

    /// The same plan for the slices with these starts alone.
    pub(crate) fn only(mut self, starts: &HashSet<DateTime<Utc>>) -> Self {
        self.read.retain(|(start, _)| starts.contains(start));
        let others = self.slices.first().cloned().into_iter().flatten().map(|slice| slice.start());
        for start in others.filter(|start| !starts.contains(start)) {
            self.done.extend(self.parts(start));
        }
        self
    }

    /// The same plan without events that were created before this instant.
    pub(crate) fn from(self, from: Option<DateTime<Utc>>) -> Self {
        Self { from, ..self }
    }

    /// Removes the events that aren't in the range.
    pub(crate) fn limit(&self, page: &mut Page) {
        if let Some(from) = self.from {
            page.items.retain(|item| item.as_ref().map_or(true, |event| event.created() >= from));
        }
    }

    /// The number of slices, and the number of those that are done.
    pub(crate) fn count(&self) -> (usize, usize) {
        let starts: HashSet<_> = self.done.iter().map(|(start, _)| *start).collect();
        let done = starts.into_iter().filter(|start| self.is_done(*start)).count();
        (self.slices.first().map_or(0, Slices::len), done)
    }

    /// The slices whose files only have to be finished.
    pub(crate) fn take_read(&mut self) -> Vec<Span> {
        mem::take(&mut self.read)
    }

    /// The parts that are left, in the order of time, each with the cursor to resume from. Those of slices that failed
    /// before come last.
    pub(crate) fn rest(&mut self) -> impl Iterator<Item = Slice> + Send + use<> {
        for begun in self.begun.values_mut() {
            begun.position = if begun.cursor.is_some() { PagePosition::Stored } else { PagePosition::First };
        }
        let (done, begun) = (self.done.clone(), self.begun.clone());
        let skipped: HashSet<_> = self.skipped.keys().copied().collect();
        let failed = self.failed.clone();
        let is_failed = move |(start, _): &SlicePart| failed.contains(start);
        let is_last = is_failed.clone();
        let first = each_part(self.slices.clone()).filter(move |(part, _)| !is_failed(part));
        let parts = first.chain(each_part(self.slices.clone()).filter(move |(part, _)| is_last(part)));
        let left = parts.filter(move |(part, _)| !done.contains(part) && !skipped.contains(part));
        left.map(move |(part, slice)| match begun.get(&part).and_then(|begun| begun.cursor.clone()) {
            Some(cursor) => slice.with_cursor(cursor),
            None => slice,
        })
    }

    /// Records a page of a slice. Returns the index of its list, and true if it is the first page after a restart.
    pub(crate) fn page(&mut self, slice: &Slice, page: &Page) -> (usize, bool) {
        let part = self.part(slice);
        self.begun.insert(part, Begun { cursor: page.cursor().cloned(), position: PagePosition::Later });
        (part.1, self.replaced.remove(&slice.start()))
    }

    /// Marks a list of a slice that was read to its end. Returns true if the whole slice is.
    pub(crate) fn close(&mut self, slice: &Slice) -> bool {
        let part = self.part(slice);
        self.begun.remove(&part);
        self.done.insert(part);
        self.is_done(slice.start())
    }

    /// Marks a list of a slice that isn't tried again in this run. Returns true if the service no longer has any of the
    /// lists of the slice that were skipped.
    pub(crate) fn skip(&mut self, slice: &Slice, is_beyond_retention: bool) -> bool {
        let part = self.part(slice);
        self.begun.remove(&part);
        self.skipped.insert(part, is_beyond_retention);
        self.parts(slice.start()).filter_map(|part| self.skipped.get(&part)).all(|is_beyond| *is_beyond)
    }

    /// Lets a slice restart from the beginning, with all of its lists.
    pub(crate) fn restart(&mut self, slice: &Slice) {
        let start = slice.start();
        for part in self.parts(start) {
            self.begun.remove(&part);
            self.done.remove(&part);
        }
        self.replaced.insert(start);
        *self.restarts.entry(start).or_default() += 1;
    }

    /// The position in a list of a slice, and the number of restarts of the slice.
    pub(crate) fn position(&self, slice: &Slice) -> (PagePosition, u32) {
        let position =
            self.begun.get(&self.part(slice)).map_or_else(Default::default, |begun| begun.position);
        (position, self.restarts.get(&slice.start()).copied().unwrap_or_default())
    }

    /// The name of the list of a slice, if there are several.
    pub(crate) fn list_name(&self, slice: &Slice) -> Option<String> {
        let list = self.lists.get(self.part(slice).1).filter(|_| self.lists.len() > 1)?;
        Some(slices::list_name(list))
    }
}

/// The slices of all lists, in the order of time.
fn each_part(mut lists: Vec<Slices>) -> impl Iterator<Item = (SlicePart, Slice)> {
    let mut at = 0_usize;
    iter::from_fn(move || {
        let list = at.checked_rem(lists.len())?;
        at += 1;
        let slice = lists.get_mut(list)?.next()?;
        Some(((slice.start(), list), slice))
    })
}

/// Returns true if the last page of each list of a file is written, so that only its final name is missing.
pub(crate) fn is_read(entry: &FileEntry) -> bool {
    !entry.is_complete()
        && (0..entry.lists.len().max(1)).all(|list| matches!(entry.list(list), ListProgress::Whole))
}
