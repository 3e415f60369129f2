//! `Take`: the adapter of `EventStream::take`.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::{Stream, stream::FusedStream};
use pin_project::pin_project;

use super::{EventStream, Pages};
use crate::{cursor::Cursor, error::Result, event::Event, stats::Stats};

/// The first events of a list. Made by [`EventStream::take`].
///
/// It ends after this number of events or with the list. [`cursor`](Self::cursor) tells which: it is `None`
/// only if the list is complete.
///
/// ```
/// # use futures::TryStreamExt;
/// # use webex_events::{Client, ListEvents, Result};
/// # async fn example(client: Client) -> Result<()> {
/// let mut latest = client.list(ListEvents::new()).take(5); // one request, with `max=5`
/// while let Some(event) = latest.try_next().await? {
///     println!("{}", event.id());
/// }
/// println!("{}", if latest.cursor().is_some() { "there are more" } else { "these are all" });
/// # Ok(())
/// # }
/// ```
#[pin_project]
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Take {
    #[pin]
    events: EventStream,
    left: usize,
    /// `None` was returned because nothing is left to take.
    is_used_up: bool,
}

impl Take {
    pub(super) fn new(events: EventStream, n: usize) -> Self {
        events.limit_to(n);
        Self { events, left: n, is_used_up: false }
    }

    /// The same events by pages. The last page is cut after the last event.
    pub fn pages(self) -> Pages {
        Pages::new(self.events, Some(self.left))
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

impl Stream for Take {
    type Item = Result<Event>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        if *this.left == 0 {
            *this.is_used_up = true;
            return Poll::Ready(None);
        }
        let item = ready!(this.events.poll_next(cx));
        if let Some(Ok(_)) = item {
            *this.left -= 1;
        }
        Poll::Ready(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // Malformed items come in addition to what is left.
        let (lower, upper) = self.events.size_hint();
        if self.left == 0 { (0, Some(0)) } else { (lower.min(self.left), upper) }
    }
}

impl FusedStream for Take {
    fn is_terminated(&self) -> bool {
        self.is_used_up || self.events.is_terminated()
    }
}
