//! `SliceStream`: slices that are listed concurrently.

use std::{
    fmt, iter,
    num::NonZeroUsize,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::{Stream, stream::FusedStream};
use futures_util::stream::{FuturesUnordered, StreamExt, StreamFuture};

use super::{EventStream, Pages};
use crate::{error::Result, fetch::Shared, page::Page, slice::Slice, stats::Stats};

mod events;
mod reader;

pub use events::SliceEvents;
use reader::SliceReader;

/// An item of a [`SliceStream`].
///
/// ```
/// use webex_events::SliceItem;
///
/// /// Counts the events of a page; a slice that is closed has no more.
/// fn count(item: &SliceItem) -> usize {
///     match item {
///         SliceItem::Page { page, .. } => page.items.iter().flatten().count(),
///         SliceItem::Closed { slice, .. } => {
///             println!("{} to {} is complete", slice.start(), slice.end());
///             0
///         }
///         _ => 0,
///     }
/// }
/// # let _ = count;
/// ```
#[derive(Debug)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "pages come one at a time, and almost every item is one")]
pub enum SliceItem {
    /// A page of a slice. The pages of one slice come in order.
    Page {
        /// The slice that it belongs to.
        slice: Slice,
        /// The page, with the events of the slice alone. It keeps all its malformed items, because the time
        /// of their creation is unknown: a neighbouring slice can list the same item again.
        /// [`Page::cursor`] is a position for [`Slice::with_cursor`].
        page: Page,
    },
    /// A slice was read to its end. It comes after the slice's last page, and only then.
    Closed {
        /// The slice.
        slice: Slice,
        /// The work that it took. `events` counts the events of the slice.
        stats: Stats,
    },
}

/// The pages of several slices, as they arrive. Made by
/// [`Client::list_slices`](crate::Client::list_slices).
///
/// **Order:** the pages of different slices interleave. The pages of one slice are in the service's order.
///
/// **Laziness:** nothing is sent before the first poll. A new slice is taken from the iterator only when an
/// earlier one was closed or set aside, so the iterator may be lazy or endless. The next page of a slice is
/// requested only when the previous one has been yielded and another item is polled for: no slice has more
/// than one page in memory.
///
/// **Completeness:** each event of a slice is yielded once, as [`Slice`] guarantees. Events that the service
/// lists although they were created outside of the slice and its margin are not yielded, but counted in
/// [`Stats::outside`].
///
/// **The end** is `None` after all slices were closed or set aside.
///
/// An error ends the stream: after it there is only `None`, until [`resume`](Self::resume) requests the
/// failed page again, or [`skip_failed`](Self::skip_failed) sets the failed slice aside. The other slices
/// keep their positions.
///
/// # Cancel safety
///
/// Dropping a future of `next` loses nothing and repeats no request. Dropping the stream aborts all
/// requests in flight. Nothing is spawned.
///
/// ```
/// # use futures::StreamExt;
/// # use webex_events::{Client, ListEvents, Result, SliceItem};
/// # async fn example(client: Client, quarter: ListEvents) -> Result<()> {
/// use std::{num::NonZeroUsize, time::Duration};
///
/// let plan = quarter.slices(Duration::from_secs(6 * 3600))?;
/// let mut slices = client.list_slices(plan, NonZeroUsize::new(4).unwrap());
/// let mut failed = Vec::new();
/// while let Some(item) = slices.next().await {
///     match item {
///         Ok(SliceItem::Page { slice, page }) => println!("{}: {} items", slice.start(), page.items.len()),
///         Ok(SliceItem::Closed { slice, stats }) => println!("{}: {} events", slice.start(), stats.events),
///         Ok(_) => {}
///         Err(error) if error.is_transient() => slices.resume(),
///         Err(_) => failed.extend(slices.skip_failed()),
///     }
/// }
/// println!("{} slices could not be read", failed.len());
/// # Ok(())
/// # }
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct SliceStream {
    shared: Arc<Shared>,
    plan: iter::Fuse<Box<dyn Iterator<Item = Slice> + Send>>,
    concurrency: NonZeroUsize,
    reading: FuturesUnordered<StreamFuture<SliceReader>>,
    /// The slice whose page was yielded last. Its next page is requested when another item is polled for.
    yielded: Option<SliceReader>,
    failed: Option<SliceReader>,
    /// The work of the slices that were closed or set aside.
    finished: Stats,
    is_done: bool,
    /// `None` was returned, and nothing has been resumed since.
    is_terminated: bool,
}

impl SliceStream {
    pub(crate) fn new(
        shared: Arc<Shared>,
        plan: impl Iterator<Item = Slice> + Send + 'static,
        concurrency: NonZeroUsize,
    ) -> Self {
        let plan: Box<dyn Iterator<Item = Slice> + Send> = Box::new(plan);
        Self {
            shared,
            plan: plan.fuse(),
            concurrency,
            reading: FuturesUnordered::new(),
            yielded: None,
            failed: None,
            finished: Stats::default(),
            is_done: false,
            is_terminated: false,
        }
    }

    /// The events of all slices, in no particular order. Malformed items are among them, as in
    /// [`EventStream`].
    pub fn events(self) -> SliceEvents {
        SliceEvents::new(self)
    }

    /// After an error, makes the next poll request the failed page again. Without one, does nothing.
    ///
    /// The request waits first, as after [`EventStream::resume`], so that a loop that resumes on every error can't spin.
    /// The other slices are read meanwhile.
    pub fn resume(&mut self) {
        if let Some(mut reader) = self.failed.take() {
            reader.resume();
            self.is_terminated = false;
            self.yielded = Some(reader);
        }
    }

    /// After an error, sets the failed slice aside and returns it, so that the next poll continues with the
    /// others. Without one, does nothing and returns `None`.
    ///
    /// The slice is returned as it was given, and is never closed. Pages of it that were yielded before
    /// remain valid: to read the rest later, list the slice [`with_cursor`](Slice::with_cursor) of the last
    /// page; to read all of it, discard them. [`stats`](Self::stats) still counts what was read of it.
    pub fn skip_failed(&mut self) -> Option<Slice> {
        let reader = self.failed.take()?;
        self.finished = self.finished + reader.stats();
        self.is_terminated = false;
        Some(reader.into_slice())
    }

    /// The slice that the last error belongs to, until [`resume`](Self::resume) or
    /// [`skip_failed`](Self::skip_failed).
    #[must_use]
    pub fn failed(&self) -> Option<&Slice> {
        self.failed.as_ref().map(SliceReader::slice)
    }

    /// The number of slices that are being read.
    #[must_use]
    pub fn open(&self) -> usize {
        self.readers().filter(|reader| !reader.is_closed()).count()
    }

    /// The work of all slices so far, together. `events` counts the events that lie in their slice.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.readers().fold(self.finished, |sum, reader| sum + reader.stats())
    }

    /// The work of the slices that were neither closed nor set aside.
    fn readers(&self) -> impl Iterator<Item = &SliceReader> {
        let reading = self.reading.iter().filter_map(StreamFuture::get_ref);
        reading.chain(&self.yielded).chain(&self.failed)
    }

    /// Fills up the number of slices that may be read concurrently.
    fn fill(&mut self) {
        if let Some(reader) = self.yielded.take() {
            self.reading.push(reader.into_future());
        }
        while self.reading.len() < self.concurrency.get()
            && let Some(slice) = self.plan.next()
        {
            self.reading.push(SliceReader::new(&self.shared, slice).into_future());
        }
    }
}

impl Stream for SliceStream {
    type Item = Result<SliceItem>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.failed.is_some() || this.is_done {
            this.is_terminated = true;
            return Poll::Ready(None);
        }
        this.fill();
        let Some((item, reader)) = ready!(this.reading.poll_next_unpin(cx)) else {
            (this.is_done, this.is_terminated) = (true, true);
            return Poll::Ready(None);
        };
        match &item {
            Some(Ok(SliceItem::Page { .. })) => this.yielded = Some(reader),
            Some(Ok(SliceItem::Closed { stats, .. })) => this.finished = this.finished + *stats,
            Some(Err(_)) => this.failed = Some(reader),
            None => {}
        }
        Poll::Ready(item)
    }
}

impl FusedStream for SliceStream {
    fn is_terminated(&self) -> bool {
        self.is_terminated
    }
}

impl fmt::Debug for SliceStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SliceStream")
            .field("open", &self.open())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
