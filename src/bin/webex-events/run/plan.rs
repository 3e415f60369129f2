//! The slices of an export, and how far each has come.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use webex_events::{Cursor, Event, Page, Result as ListResult, Slice, Slices};

use crate::archive::{Archive, FileEntry, Stage};

/// So often in a run a slice may begin anew because its cursors don't last.
const RESTARTS: u32 = 3;

#[derive(Debug)]
pub(crate) struct Plan {
    slices: Slices,
    closed: HashSet<DateTime<Utc>>,
    /// Where slices that are begun go on.
    begun: HashMap<DateTime<Utc>, Begun>,
}

#[derive(Clone, Debug, Default)]
struct Begun {
    cursor: Option<Cursor>,
    /// Whether a page has come since it was last begun, at its cursor or anew.
    has_page: bool,
    /// Whether what is written of it is to be replaced by what comes.
    is_anew: bool,
    restarts: u32,
}

impl Plan {
    /// These slices, of which `store` has some.
    pub(crate) fn new(slices: Slices, store: &Archive) -> Self {
        let closed = store.complete().iter().filter_map(|entry| entry.start).collect();
        let mut plan = Self { slices, closed, begun: HashMap::new() };
        for entry in store.open_files() {
            if let (Some(start), Some(cursor)) = (entry.start, &entry.cursor) {
                let begun = Begun { cursor: Some(cursor.clone()), ..Begun::default() };
                plan.begun.insert(start, begun);
            } else if let (Some(start), true) = (entry.start, is_read(entry)) {
                plan.closed.insert(start);
            }
        }
        plan
    }

    /// How many slices there are, and how many of them are closed.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.slices.len(), self.closed.len())
    }

    /// The slices that aren't closed, oldest first, each from where it is to go on.
    pub(crate) fn rest(&mut self) -> impl Iterator<Item = Slice> + Send + use<> {
        for begun in self.begun.values_mut() {
            begun.has_page = false;
        }
        let (closed, begun) = (self.closed.clone(), self.begun.clone());
        self.slices.clone().filter(move |slice| !closed.contains(&slice.start())).map(
            move |slice| match begun.get(&slice.start()).and_then(|begun| begun.cursor.clone()) {
                Some(cursor) => slice.with_cursor(cursor),
                None => slice,
            },
        )
    }

    /// A page of this slice has come. Returns whether it is the first of a slice that begins anew.
    pub(crate) fn page(&mut self, slice: &Slice, page: &Page) -> bool {
        let begun = self.begun.entry(slice.start()).or_default();
        begun.cursor = page.cursor().cloned();
        begun.has_page = true;
        std::mem::take(&mut begun.is_anew)
    }

    /// A slice was read to its end.
    pub(crate) fn close(&mut self, slice: &Slice) {
        self.begun.remove(&slice.start());
        self.closed.insert(slice.start());
    }

    /// Lets a slice begin anew, unless it did so too often.
    pub(crate) fn begin_anew(&mut self, slice: &Slice) -> bool {
        let begun = self.begun.entry(slice.start()).or_default();
        begun.restarts += 1;
        (begun.cursor, begun.is_anew) = (None, true);
        begun.restarts <= RESTARTS
    }

    /// Whether the service has given a page of this slice since reading was last begun.
    pub(crate) fn has_page(&self, slice: &Slice) -> bool {
        self.begun.get(&slice.start()).is_some_and(|begun| begun.has_page)
    }
}

/// Whether the last page of a file is written, so that all that is left is to give it its name.
pub(crate) fn is_read(entry: &FileEntry) -> bool {
    entry.stage == Stage::Open && entry.pages > 0 && entry.cursor.is_none()
}

/// The first and the last instant of a page's events.
pub(crate) fn span(items: &[ListResult<Event>]) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let created = || items.iter().flatten().map(Event::created);
    created().min().zip(created().max())
}
