//! The page that a stream is yielding.

use crate::{
    cursor::{Cursor, Taken},
    error::Result,
    event::Event,
    fetch::Fetched,
    query::ListEvents,
};

/// The page that a stream is yielding.
#[derive(Debug)]
pub(super) struct OpenPage {
    pub(super) page: Fetched,
    /// The number of its items that were yielded.
    taken: usize,
    /// It was requested in a smaller size than its URL says, so its next link, which has that size, is no position to
    /// store.
    is_limited: bool,
    /// The reader has seen some of it, even if it is empty.
    visited: bool,
}

impl OpenPage {
    pub(super) fn new(page: Fetched, taken: usize, is_limited: bool) -> Self {
        Self { page, taken, is_limited, visited: false }
    }

    /// The number of items that are left.
    pub(super) fn left(&self) -> usize {
        self.page.batch.len() - self.taken
    }

    /// True if there is nothing left of it, even for a reader of whole pages.
    pub(super) fn is_done(&self) -> bool {
        self.left() == 0 && self.visited
    }

    pub(super) fn is_last(&self) -> bool {
        matches!(self.page.next, Ok(None))
    }

    #[inline]
    pub(super) fn next(&mut self) -> Option<Result<Event>> {
        if self.left() == 0 {
            return None;
        }
        self.visited = true;
        self.taken += 1;
        Some(Event::of(&self.page.batch, self.taken - 1))
    }

    /// The items that are left, up to and with the `limit`-th event.
    pub(super) fn rest(&mut self, limit: usize) -> Vec<Result<Event>> {
        self.visited = true;
        let mut items = Vec::with_capacity(self.left().min(limit));
        let mut events = 0;
        while events < limit
            && let Some(item) = self.next()
        {
            events += usize::from(item.is_ok());
            items.push(item);
        }
        items
    }

    /// The position after the last item yielded, unless the list ends there.
    pub(super) fn cursor(&self, query: &ListEvents) -> Option<Cursor> {
        match &self.page.next {
            Ok(None) if self.left() == 0 => None,
            Ok(Some(next)) if self.left() == 0 && !self.is_limited => {
                Some(Cursor::at(next.as_str(), query.clone()))
            }
            _ => Some(self.end(query)),
        }
    }

    /// The position after the last item yielded, on this page.
    pub(super) fn end(&self, query: &ListEvents) -> Cursor {
        let taken = Taken::of(self.taken, |index| self.page.batch.key(index));
        Cursor { taken, ..Cursor::at(self.page.url.as_str(), query.clone()) }
    }
}
