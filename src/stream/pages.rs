//! `Pages`: the adapter of `EventStream::pages`.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::{Stream, stream::FusedStream};
use pin_project::pin_project;

use super::EventStream;
use crate::{cursor::Cursor, error::Result, page::Page, stats::Stats};

/// The pages of a list. Made by [`EventStream::pages`] and [`Take::pages`](super::Take::pages).
///
/// An empty page is yielded like any other, and the list continues after it. A page with a bad next link
/// is yielded, and its error after it.
///
/// ```
/// # use futures::TryStreamExt;
/// # use webex_events::{Client, Cursor, Event, ListEvents, Result};
/// # async fn example(client: Client, store: impl Fn(Vec<Result<Event>>, Option<&Cursor>)) -> Result<()> {
/// let mut pages = client.list(ListEvents::new()).pages();
/// while let Some(page) = pages.try_next().await? {
///     let position = page.cursor().cloned();
///     store(page.items, position.as_ref()); // in one transaction
/// }
/// # Ok(())
/// # }
/// ```
#[pin_project]
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Pages {
    #[pin]
    events: EventStream,
    /// The number of events that may still be yielded.
    left: Option<usize>,
    /// `None` was returned because no event is left to take.
    is_used_up: bool,
}

impl Pages {
    pub(super) fn new(events: EventStream, left: Option<usize>) -> Self {
        Self { events, left, is_used_up: false }
    }

    /// The position after the last page yielded, as [`EventStream::cursor`].
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        self.events.cursor()
    }

    /// After an error, makes the next poll request the failed page again, as [`EventStream::resume`].
    pub fn resume(&mut self) {
        self.events.resume();
    }

    /// Counts of the stream's work so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.events.stats()
    }
}

impl Stream for Pages {
    type Item = Result<Page>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        if *this.left == Some(0) {
            *this.is_used_up = true;
            return Poll::Ready(None);
        }
        let page = ready!(this.events.get_mut().poll_page(*this.left, cx));
        if let (Some(left), Some(Ok(page))) = (this.left, &page) {
            *left -= page.items.iter().filter(|item| item.is_ok()).count();
        }
        Poll::Ready(page)
    }
}

impl FusedStream for Pages {
    fn is_terminated(&self) -> bool {
        self.is_used_up || self.events.is_terminated()
    }
}
