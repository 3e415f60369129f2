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
    retry::ResumeBackoff,
    slice::{RequestedEnd, Slice, SlicePosition},
    stats::Stats,
};

/// Yields the pages of a slice, and that it is closed.
pub(super) struct SliceReader {
    shared: Arc<Shared>,
    slice: Slice,
    pages: Pages,
    /// The end of the requested list, as long as the service may refuse the list for it.
    end: Option<RequestedEnd>,
    /// The work of lists that were refused because their margin reached into the future.
    refused: Stats,
    /// True if the slice's cursor belongs to another list.
    is_foreign: bool,
    /// The wait before that is said again.
    backoff: ResumeBackoff,
    is_closed: bool,
    /// Events that lie in the slice.
    events: u64,
    /// Events that lie outside of the slice and its margin.
    outside: u64,
}

impl SliceReader {
    pub(super) fn new(shared: &Arc<Shared>, slice: Slice) -> Self {
        let (pages, end) = match slice.cursor() {
            Some(cursor) => (EventStream::resumed(Arc::clone(shared), cursor.clone()).pages(), None),
            None => (list(shared, &slice, slice.requested_end()), Some(slice.requested_end())),
        };
        let is_foreign = slice.cursor().is_some_and(|cursor| !slice.owns(cursor));
        Self {
            shared: Arc::clone(shared),
            slice,
            pages,
            end,
            refused: Stats::default(),
            is_foreign,
            backoff: ResumeBackoff::default(),
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
        let end = self.end.filter(|_| error.status() == Some(400));
        let Some(end) = end.and_then(|end| end.after_refusal(self.shared.service_time())) else {
            return false;
        };
        self.end = Some(end);
        self.refused = self.refused + self.pages.stats();
        self.pages = list(&self.shared, &self.slice, end);
        true
    }

    /// The error of a cursor of another list. It waits before it is said again, like any failure.
    fn poll_foreign(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let error = match ready!(self.backoff.poll(&*self.shared.clock, cx)) {
            Ok(waited) => {
                self.refused.waited = self.refused.waited.saturating_add(waited);
                Error::cursor("the cursor does not belong to this slice")
            }
            Err(error) => error,
        };
        self.backoff.fail(&error, &self.shared.retry, &*self.shared.clock);
        Poll::Ready(error)
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

fn list(shared: &Arc<Shared>, slice: &Slice, end: RequestedEnd) -> Pages {
    EventStream::list_up_to(Arc::clone(shared), slice.request_query(), end).pages()
}

impl Stream for SliceReader {
    type Item = Result<SliceItem>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_closed {
            return Poll::Ready(None);
        }
        if self.is_foreign {
            return self.poll_foreign(cx).map(|error| Some(Err(error)));
        }
        loop {
            let Some(page) = ready!(self.pages.poll_next_unpin(cx)) else {
                self.is_closed = true;
                let (slice, stats) = (self.slice.clone(), self.stats());
                return Poll::Ready(Some(Ok(SliceItem::Closed { slice, stats })));
            };
            return Poll::Ready(Some(match page {
                Ok(mut page) => {
                    self.end = None;
                    self.keep(&mut page);
                    Ok(SliceItem::Page { slice: self.slice.clone(), page })
                }
                Err(error) if self.lists_less(&error) => continue,
                Err(error) => Err(error),
            }));
        }
    }
}
