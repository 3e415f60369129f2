//! The slices of an export that are left to read, and the cursor from which each continues.

use std::{
    collections::{HashMap, HashSet},
    mem,
};

use chrono::{DateTime, Utc};
use webex_events::{Cursor, Page, Slice, Slices};

use crate::{
    archive::{Archive, FileEntry},
    run::{range::Span, restart::PagePosition},
};

#[derive(Debug)]
pub(crate) struct SlicePlan {
    slices: Slices,
    /// Slices that are complete or aren't tried again, by their start.
    done: HashSet<DateTime<Utc>>,
    /// Slices that an earlier run couldn't read. They come last, so that they don't delay the others.
    failed: HashSet<DateTime<Utc>>,
    /// Slices that an earlier run has read to their end without finishing their files.
    read: Vec<Span>,
    /// Slices that are partly read.
    begun: HashMap<DateTime<Utc>, Begun>,
}

#[derive(Clone, Debug, Default)]
struct Begun {
    cursor: Option<Cursor>,
    position: PagePosition,
    /// True if the next page replaces everything that was written of the slice.
    is_restart: bool,
    restarts: u32,
}

impl SlicePlan {
    /// The plan for these slices, some of which are in `archive`.
    pub(crate) fn new(slices: Slices, archive: &Archive) -> Self {
        let done = archive.complete().iter().filter_map(|entry| entry.start).collect();
        let mut plan = Self { slices, done, failed: HashSet::new(), read: Vec::new(), begun: HashMap::new() };
        for slice in archive.failed() {
            let slices = if slice.is_beyond_retention { &mut plan.done } else { &mut plan.failed };
            slices.insert(slice.start);
        }
        for entry in archive.open_files() {
            let Some(span) = entry.start.zip(entry.end) else { continue };
            if let Some(cursor) = &entry.cursor {
                let begun = Begun { cursor: Some(cursor.clone()), ..Begun::default() };
                plan.begun.insert(span.0, begun);
            } else if is_read(entry) {
                plan.done.insert(span.0);
                plan.read.push(span);
            }
        }
        plan
    }

    /// The number of slices, and the number of those that are done.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.slices.len(), self.done.len())
    }

    /// The slices whose files only have to be finished.
    pub(crate) fn take_read(&mut self) -> Vec<Span> {
        mem::take(&mut self.read)
    }

    /// The slices that are left, oldest first, each with the cursor to resume from. Those that failed before come last.
    pub(crate) fn rest(&mut self) -> impl Iterator<Item = Slice> + Send + use<> {
        for begun in self.begun.values_mut() {
            begun.position = if begun.cursor.is_some() { PagePosition::Stored } else { PagePosition::First };
        }
        let (done, begun) = (self.done.clone(), self.begun.clone());
        let failed = self.failed.clone();
        let is_failed = move |slice: &Slice| failed.contains(&slice.start());
        let is_last = is_failed.clone();
        let first = self.slices.clone().filter(move |slice| !is_failed(slice));
        let slices = first.chain(self.slices.clone().filter(is_last));
        slices.filter(move |slice| !done.contains(&slice.start())).map(move |slice| {
            match begun.get(&slice.start()).and_then(|begun| begun.cursor.clone()) {
                Some(cursor) => slice.with_cursor(cursor),
                None => slice,
            }
        })
    }

    /// Records a page of this slice. Returns true if it is the first page after a restart.
    pub(crate) fn page(&mut self, slice: &Slice, page: &Page) -> bool {
        let begun = self.begun.entry(slice.start()).or_default();
        begun.cursor = page.cursor().cloned();
        begun.position = PagePosition::Later;
        mem::take(&mut begun.is_restart)
    }

    /// Marks a slice that was read to its end, or that can't be read and isn't tried again in this run.
    pub(crate) fn close(&mut self, slice: &Slice) {
        self.begun.remove(&slice.start());
        self.done.insert(slice.start());
    }

    /// Lets a slice restart from the beginning.
    pub(crate) fn restart(&mut self, slice: &Slice) {
        let begun = self.begun.entry(slice.start()).or_default();
        *begun = Begun { is_restart: true, restarts: begun.restarts + 1, ..Begun::default() };
    }

    /// The position in a slice, and the number of its restarts.
    pub(crate) fn position(&self, slice: &Slice) -> (PagePosition, u32) {
        self.begun.get(&slice.start()).map_or_else(Default::default, |begun| (begun.position, begun.restarts))
    }
}

/// Returns true if the last page of a file is written, so that only its final name is missing.
pub(crate) fn is_read(entry: &FileEntry) -> bool {
    !entry.is_complete() && entry.pages > 0 && entry.cursor.is_none()
}
