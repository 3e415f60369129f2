//! `WithCursors`: the adapter of `EventStream::with_cursors`.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::{Stream, stream::FusedStream};
use pin_project::pin_project;

use super::EventStream;
use crate::{cursor::Cursor, error::Result, event::Event, stats::Stats};

/// The events of a list, each with the position after it. Made by [`EventStream::with_cursors`].
///
/// ```
/// # use futures::TryStreamExt;
/// # use webex_events::{Client, ListEvents, Result};
/// # async fn example(client: Client) -> Result<()> {
/// let mut events = client.list(ListEvents::new()).with_cursors();
/// while let Some((event, cursor)) = events.try_next().await? {
///     println!("{} {}", event.id(), cursor.map_or("the end".to_owned(), |cursor| cursor.to_string()));
/// }
/// # Ok(())
/// # }
/// ```
#[pin_project]
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct WithCursors {
    #[pin]
    events: EventStream,
}

impl WithCursors {
    pub(super) fn new(events: EventStream) -> Self {
        Self { events }
    }

    /// The position after the last event yielded, as [`EventStream::cursor`].
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

impl Stream for WithCursors {
    type Item = Result<(Event, Option<Cursor>)>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let events = self.project().events.get_mut();
        let item = ready!(events.poll_item(cx));
        Poll::Ready(item.map(|item| item.map(|event| (event, events.cursor()))))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.events.size_hint()
    }
}

impl FusedStream for WithCursors {
    fn is_terminated(&self) -> bool {
        self.events.is_terminated()
    }
}
