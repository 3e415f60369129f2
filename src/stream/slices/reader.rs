//! `SliceReader`: one slice, page by page.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use futures_util::StreamExt;

use super::{EventStream, Pages, SliceItem};
use crate::{
    error::{Error, Result},
    fetch::Shared,
    page::Page,
    slice::{Slice, SlicePosition},
    stats::Stats,
};

/// The margin at the end of the list that was requested, as long as the service may refuse the list for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestedMargin {
    /// It was requested without knowing the service's time.
    Guessed,
    /// It was clipped at the service's time, which can be wrong by a little.
    Clipped,
    /// It does not reach into the future, or there is none.
    Past,
}

/// Yields the pages of a slice, and that it is closed.
pub(super) struct SliceReader {
    shared: Arc<Shared>,
    slice: Slice,
    pages: Pages,
    margin: RequestedMargin,
    /// The work of lists that were refused because their margin reached into the future.
    refused: Stats,
    /// True if the slice's cursor belongs to another list.
    is_foreign: bool,
    is_closed: bool,
    /// Events that lie in the slice.
    events: u64,
    /// Events that lie outside of the slice and its margin.
    outside: u64,
}

impl SliceReader {
    pub(super) fn new(shared: &Arc<Shared>, slice: Slice) -> Self {
        let (events, margin) = if let Some(cursor) = slice.cursor() {
            (EventStream::resumed(Arc::clone(shared), cursor.clone()), RequestedMargin::Past)
        } else {
            let service_time = shared.service_time();
            let query = slice.request_query(service_time, shared.clock.utc());
            let margin = match service_time {
                None => RequestedMargin::Guessed,
                Some(_) if slice.has_whole_margin(&query) => RequestedMargin::Past,
                Some(_) => RequestedMargin::Clipped,
            };
            (EventStream::list(Arc::clone(shared), query), margin)
        };
        let is_foreign = slice.cursor().is_some_and(|cursor| !slice.owns(cursor));
        Self {
            shared: Arc::clone(shared),
            slice,
            pages: events.pages(),
            margin,
            refused: Stats::default(),
            is_foreign,
            is_closed: false,
            events: 0,
            outside: 0,
        }
    }

    pub(super) fn slice(&self) -> &Slice {
        &self.slice
    }

    pub(super) fn into_slice(self) -> Slice {
        self.slice
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub(super) fn resume(&mut self) {
        self.pages.resume();
    }

    pub(super) fn stats(&self) -> Stats {
        Stats { events: self.events, outside: self.outside, ..self.refused + self.pages.stats() }
    }

    /// Lists the slice again, with an earlier end, if the service may have refused it because its margin
    /// reached into the future. Returns whether it does.
    fn lists_less(&mut self, error: &Error) -> bool {
        if error.status() != Some(400) {
            return false;
        }
        let (query, margin) = match (self.margin, self.shared.service_time()) {
            (RequestedMargin::Past, _) => return false,
            (RequestedMargin::Guessed, Some(now)) => {
                (self.slice.request_query(Some(now), now), RequestedMargin::Clipped)
            }
            _ => (self.slice.query_without_margin(), RequestedMargin::Past),
        };
        self.margin = margin;
        self.refused = self.refused + self.pages.stats();
        self.pages = EventStream::list(Arc::clone(&self.shared), query).pages();
        true
    }

    /// Keeps the events of the slice.
    fn keep(&mut self, page: &mut Page) {
        let (events, outside) = (&mut self.events, &mut self.outside);
        let slice = &self.slice;
        page.items.retain(|item| {
            let Ok(event) = item else { return true };
            let position = slice.position(event);
            *events += u64::from(position == SlicePosition::Inside);
            *outside += u64::from(position == SlicePosition::Outside);
            position == SlicePosition::Inside
        });
    }
}

impl Stream for SliceReader {
    type Item = Result<SliceItem>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_closed {
            return Poll::Ready(None);
        }
        if self.is_foreign {
            return Poll::Ready(Some(Err(Error::cursor("the cursor does not belong to this slice"))));
        }
        loop {
            let Some(page) = ready!(self.pages.poll_next_unpin(cx)) else {
                self.is_closed = true;
                let (slice, stats) = (self.slice.clone(), self.stats());
                return Poll::Ready(Some(Ok(SliceItem::Closed { slice, stats })));
            };
            return Poll::Ready(Some(match page {
                Ok(mut page) => {
                    self.margin = RequestedMargin::Past;
                    self.keep(&mut page);
                    Ok(SliceItem::Page { slice: self.slice.clone(), page })
                }
                Err(error) if self.lists_less(&error) => continue,
                Err(error) => Err(error),
            }));
        }
    }
}
