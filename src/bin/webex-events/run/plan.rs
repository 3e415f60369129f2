//! The slices of an export that are left to read, and the cursor from which each continues.

use std::{
    collections::{HashMap, HashSet},
    mem,
};

use chrono::{DateTime, Utc};
use webex_events::{Cursor, Page, Slice, Slices};

use crate::{
    archive::{Archive, FileEntry},
    run::{range::Span, restart::Position},
};

#[derive(Debug)]
pub(crate) struct Plan {
    slices: Slices,
    /// Those that are not read any more, by their start.
    done: HashSet<DateTime<Utc>>,
    /// Those that an earlier run couldn't read: they come last, so that they don't keep the others from being read.
    failed: HashSet<DateTime<Utc>>,
    /// Those that an earlier run has read to their end without finishing their files.
    read: Vec<Span>,
    /// Those that are begun.
    begun: HashMap<DateTime<Utc>, Begun>,
}

#[derive(Clone, Debug, Default)]
struct Begun {
    cursor: Option<Cursor>,
    position: Position,
    /// Whether what is written of it is to be replaced by what comes.
    is_anew: bool,
    restarts: u32,
}

impl Plan {
    /// The plan for these slices, of which `store` has some.
    pub(crate) fn new(slices: Slices, store: &Archive) -> Self {
        let done = store.complete().iter().filter_map(|entry| entry.start).collect();
        let mut plan = Self { slices, done, failed: HashSet::new(), read: Vec::new(), begun: HashMap::new() };
        for slice in store.failed() {
            let slices = if slice.is_beyond_retention { &mut plan.done } else { &mut plan.failed };
            slices.insert(slice.start);
        }
        for entry in store.open_files() {
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

    /// The slices that are left, oldest first, each from where it continues; at the end those that failed before.
    pub(crate) fn rest(&mut self) -> impl Iterator<Item = Slice> + Send + use<> {
        for begun in self.begun.values_mut() {
            begun.position = if begun.cursor.is_some() { Position::Stored } else { Position::First };
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

    /// A page of this slice has come. Returns whether it is the first of a slice that starts over.
    pub(crate) fn page(&mut self, slice: &Slice, page: &Page) -> bool {
        let begun = self.begun.entry(slice.start()).or_default();
        begun.cursor = page.cursor().cloned();
        begun.position = Position::Later;
        mem::take(&mut begun.is_anew)
    }

    /// A slice was read to its end, or can't be read, and isn't tried again in this run.
    pub(crate) fn close(&mut self, slice: &Slice) {
        self.begun.remove(&slice.start());
        self.done.insert(slice.start());
    }

    /// Lets a slice start over.
    pub(crate) fn begin_anew(&mut self, slice: &Slice) {
        let begun = self.begun.entry(slice.start()).or_default();
        *begun = Begun { is_anew: true, restarts: begun.restarts + 1, ..Begun::default() };
    }

    /// How far a slice has come since it was last begun, and how often it has started over.
    pub(crate) fn position(&self, slice: &Slice) -> (Position, u32) {
        self.begun.get(&slice.start()).map_or_else(Default::default, |begun| (begun.position, begun.restarts))
    }
}

/// Whether the last page of a file is written, so that all that is left is to give it its name.
pub(crate) fn is_read(entry: &FileEntry) -> bool {
    !entry.is_complete() && entry.pages > 0 && entry.cursor.is_none()
}
