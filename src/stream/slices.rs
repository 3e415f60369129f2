//! `SliceStream`: slices listed side by side.

use std::{
    fmt, iter,
    num::NonZeroUsize,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    vec,
};

use futures_core::{Stream, stream::FusedStream};
use futures_util::stream::{FuturesUnordered, StreamExt, StreamFuture};

use super::{EventStream, Pages};
use crate::{
    error::{Error, Result},
    event::Event,
    fetch::Shared,
    page::Page,
    slice::Slice,
    stats::Stats,
};

/// What comes of slices that are listed side by side.
#[derive(Debug)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "pages come one at a time, and almost every item is one")]
pub enum SliceItem {
    /// A page of a slice. Those of one slice come in order.
    Page {
        /// Which slice it is of.
        slice: Slice,
        /// The page, with the events of the slice alone and all its malformed items, of which nobody
        /// can tell when they were created. [`Page::cursor`] is a place for [`Slice::with_cursor`].
        page: Page,
    },
    /// A slice was read to its end. It comes behind the slice's last page, and only then.
    Closed {
        /// Which slice.
        slice: Slice,
        /// What that took; `events` counts those of the slice.
        stats: Stats,
    },
}

/// The pages of several slices, as they come. Made by
/// [`Client::list_slices`](crate::Client::list_slices).
///
/// **Order:** the pages of different slices mix, those of one slice are in the service's order.
/// **Laziness:** nothing is sent before the first poll. A new slice is drawn from the plan only when one
/// has been closed, and no page of a slice is asked for before the one before it has been handed out and
/// another item is polled for: no slice has more than one page in memory. **The end** is `None` after all
/// slices of the plan have been closed.
///
/// An error ends the stream: after it there is only `None`, until [`resume`](Self::resume), which asks
/// again for the page that failed. The other slices keep their places meanwhile.
///
/// # Cancel safety
///
/// Dropping a future of `next` loses nothing and repeats no request. Dropping the stream aborts what
/// is under way. Nothing is spawned.
///
/// ```
/// # use futures::TryStreamExt;
/// # use webex_events::{Client, ListEvents, Result, SliceItem};
/// # async fn example(client: Client, quarter: ListEvents) -> Result<()> {
/// use std::{num::NonZeroUsize, time::Duration};
///
/// let plan = quarter.slices(Duration::from_secs(6 * 3600))?;
/// let mut slices = client.list_slices(plan, NonZeroUsize::new(4).unwrap());
/// while let Some(item) = slices.try_next().await? {
///     match item {
///         SliceItem::Page { slice, page } => println!("{}: {} items", slice.start(), page.items.len()),
///         SliceItem::Closed { slice, stats } => println!("{}: {} events, complete", slice.start(), stats.events),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct SliceStream {
    shared: Arc<Shared>,
    plan: iter::Fuse<Box<dyn Iterator<Item = Slice> + Send>>,
    concurrency: NonZeroUsize,
    reading: FuturesUnordered<StreamFuture<Reader>>,
    /// The slice whose page is out: its next one is asked for when another item is polled for.
    shown: Option<Reader>,
    failed: Option<Reader>,
    /// Of the slices that have been closed.
    closed: Stats,
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
            shown: None,
            failed: None,
            closed: Stats::default(),
            is_done: false,
            is_terminated: false,
        }
    }

    /// The events of all slices, page by page as they come: in no order.
    ///
    /// Malformed items are among them, as in [`EventStream`].
    pub fn events(self) -> SliceEvents {
        SliceEvents { slices: self, page: Vec::new().into_iter() }
    }

    /// After an error, makes the next poll ask again for the page that failed. Without one, does
    /// nothing.
    pub fn resume(&mut self) {
        if let Some(mut reader) = self.failed.take() {
            reader.pages.resume();
            self.is_terminated = false;
            self.shown = Some(reader);
        }
    }

    /// The slice that the last error is of, until [`resume`](Self::resume).
    #[must_use]
    pub fn failed(&self) -> Option<&Slice> {
        self.failed.as_ref().map(|reader| &reader.slice)
    }

    /// How many slices are being read.
    #[must_use]
    pub fn open(&self) -> usize {
        self.readers().filter(|reader| !reader.is_closed).count()
    }

    /// What all slices have done so far, together. `events` counts those that lie in their slice.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.readers().fold(self.closed, |sum, reader| sum + reader.stats())
    }

    /// Of the slices that haven't been closed.
    fn readers(&self) -> impl Iterator<Item = &Reader> {
        let reading = self.reading.iter().filter_map(StreamFuture::get_ref);
        reading.chain(&self.shown).chain(&self.failed)
    }

    /// Goes on reading as many slices as may be read at once.
    fn draw(&mut self) {
        if let Some(reader) = self.shown.take() {
            self.reading.push(reader.into_future());
        }
        while self.reading.len() < self.concurrency.get()
            && let Some(slice) = self.plan.next()
        {
            self.reading.push(Reader::new(&self.shared, slice).into_future());
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
        this.draw();
        let Some((item, reader)) = ready!(this.reading.poll_next_unpin(cx)) else {
            (this.is_done, this.is_terminated) = (true, true);
            return Poll::Ready(None);
        };
        match &item {
            Some(Ok(SliceItem::Page { .. })) => this.shown = Some(reader),
            Some(Ok(SliceItem::Closed { stats, .. })) => this.closed = this.closed + *stats,
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

/// One slice, page by page, and that it is closed.
struct Reader {
    slice: Slice,
    pages: Pages,
    /// Whether the slice's cursor is one of another list.
    is_foreign: bool,
    is_closed: bool,
    /// Those that lie in the slice.
    events: u64,
}

impl Reader {
    fn new(shared: &Arc<Shared>, slice: Slice) -> Self {
        let requested = slice.request_query();
        let is_foreign = slice.cursor().is_some_and(|cursor| !cursor.query.is_same_list(&requested));
        let events = match slice.cursor() {
            Some(cursor) => EventStream::resumed(Arc::clone(shared), cursor.clone()),
            None => EventStream::list(Arc::clone(shared), requested),
        };
        Self { slice, pages: events.pages(), is_foreign, is_closed: false, events: 0 }
    }

    fn stats(&self) -> Stats {
        Stats { events: self.events, ..self.pages.stats() }
    }
}

impl Stream for Reader {
    type Item = Result<SliceItem>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_closed {
            return Poll::Ready(None);
        }
        if self.is_foreign {
            return Poll::Ready(Some(Err(Error::cursor("the cursor isn't one of this slice"))));
        }
        let Some(page) = ready!(self.pages.poll_next_unpin(cx)) else {
            self.is_closed = true;
            let (slice, stats) = (self.slice.clone(), self.stats());
            return Poll::Ready(Some(Ok(SliceItem::Closed { slice, stats })));
        };
        Poll::Ready(Some(page.map(|mut page| {
            let slice = self.slice.clone();
            page.items.retain(|item| item.as_ref().map_or(true, |event| slice.holds(event)));
            self.events += page.items.iter().filter(|item| item.is_ok()).count() as u64;
            SliceItem::Page { slice, page }
        })))
    }
}

/// The events of several slices. Made by [`SliceStream::events`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct SliceEvents {
    slices: SliceStream,
    /// What is left of the page that came last.
    page: vec::IntoIter<Result<Event>>,
}

impl SliceEvents {
    /// After an error, makes the next poll ask again for the page that failed, as
    /// [`SliceStream::resume`].
    pub fn resume(&mut self) {
        self.slices.resume();
    }

    /// What all slices have done so far, as [`SliceStream::stats`]: by whole pages.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.slices.stats()
    }
}

impl Stream for SliceEvents {
    type Item = Result<Event>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(item) = this.page.next() {
                return Poll::Ready(Some(item));
            }
            match ready!(this.slices.poll_next_unpin(cx)) {
                Some(Ok(SliceItem::Page { page, .. })) => this.page = page.into_iter(),
                Some(Ok(SliceItem::Closed { .. })) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl FusedStream for SliceEvents {
    fn is_terminated(&self) -> bool {
        self.slices.is_terminated()
    }
}
