//! `EventStream`: the events of a list, and its state between pages.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::{Stream, stream::FusedStream};
use tokio::runtime;

use crate::{
    cursor::Cursor,
    error::{Error, Result, TransportError},
    event::Event,
    fetch::Shared,
    page::Page,
    query::ListEvents,
    retry::ResumeBackoff,
    slice::RequestedEnd,
    stats::{Meter, Stats},
    timer::current_runtime,
};

mod ahead;
mod follow;
mod list_run;
mod open_page;
mod pages;
mod slices;
mod take;
mod with_cursors;

use ahead::Ahead;
pub use follow::Follow;
use list_run::{Demand, ListRun, ListStart, ListStep, list_run};
use open_page::OpenPage;
pub use pages::Pages;
pub use slices::{SliceEvents, SliceItem, SliceStream};
pub use take::Take;
pub use with_cursors::WithCursors;

/// The events of a list, page by page as they are requested.
///
/// Made by [`Client::list`](crate::Client::list) and [`Client::resume`](crate::Client::resume). It
/// borrows nothing and can be moved between tasks.
///
/// **Order:** the service's, which it doesn't document. **Laziness:** nothing is sent before the first
/// poll, and no page is requested until all events of the previous one have been yielded, except by
/// [`prefetch`](Self::prefetch). The reader's polling provides the backpressure. **The end** is `None`
/// after a page without a next link, and only then: no fault, limit or empty page looks like it.
///
/// A malformed item is an [`Error::Item`] at its position, and the stream continues. Any other error ends
/// it: the stream yields `None` from then on, until [`resume`](Self::resume). A stream that is polled outside of a
/// tokio runtime, or after the runtime of its request has ended, yields a transient error.
///
/// # Cancel safety
///
/// Dropping a future of `next` loses nothing and repeats no request. Dropping the stream aborts everything in
/// flight.
///
/// # In `select!`
///
/// [`is_terminated`](FusedStream::is_terminated) is true only after `None` was returned, so a
/// `futures::select!` loop may end on `None` or on `complete`. This holds for every stream of this crate.
/// After an error the next item is `None`; [`resume`](Self::resume) makes the stream live again.
///
/// ```
/// # use futures::TryStreamExt;
/// # use webex_events::{Client, ListEvents, Result};
/// # async fn example(client: Client) -> Result<()> {
/// let mut events = client.list(ListEvents::new().page_size(100));
/// while let Some(event) = events.try_next().await? {
///     println!("{} {}", event.created(), event.id());
/// }
/// assert!(events.cursor().is_none(), "the list is complete");
/// # Ok(())
/// # }
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct EventStream {
    shared: Arc<Shared>,
    query: ListEvents,
    /// The query that the first page is requested with, if [`take`](Self::take) needs less than a page of `query`.
    limited: Option<ListEvents>,
    prefetch: usize,
    /// The position of the next page; none only for an invalid query. It stays on a page until
    /// that has arrived, so that a page that fails can be requested again.
    start: Option<ListStart>,
    /// The source of pages; none before the first poll, and after the end or an error.
    source: Option<PageSource>,
    /// The runtime that a pending request belongs to.
    runtime: Option<runtime::Id>,
    open: Option<OpenPage>,
    state: ListState,
    /// `None` was returned, and nothing has been resumed since.
    is_terminated: bool,
    backoff: ResumeBackoff,
    demand: Arc<Demand>,
    meter: Arc<Meter>,
    stats: Stats,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListState {
    Reading,
    /// An error was yielded; `resume` returns to `Reading`.
    Failed,
    /// The page without a next link was yielded.
    Complete,
}

enum PageSource {
    Run(ListRun),
    Ahead(Ahead),
}

impl EventStream {
    pub(crate) fn list(shared: Arc<Shared>, query: ListEvents) -> Self {
        let mut stream = Self::new(shared, query, None);
        stream.start_at_first_page();
        stream
    }

    /// A list whose first page is requested up to an end that depends on the time of each request.
    pub(crate) fn list_up_to(shared: Arc<Shared>, query: ListEvents, end: RequestedEnd) -> Self {
        let mut stream = Self::list(shared, query);
        stream.start = stream.start.map(|start| ListStart { end: Some(end), ..start });
        stream
    }

    pub(crate) fn resumed(shared: Arc<Shared>, cursor: Cursor) -> Self {
        Self::new(shared, cursor.query.clone(), Some(ListStart { from_user: true, ..ListStart::at(cursor) }))
    }

    fn new(shared: Arc<Shared>, query: ListEvents, start: Option<ListStart>) -> Self {
        Self {
            shared,
            query,
            limited: None,
            prefetch: 0,
            start,
            source: None,
            runtime: None,
            open: None,
            state: ListState::Reading,
            is_terminated: false,
            backoff: ResumeBackoff::default(),
            demand: Arc::new(Demand::unlimited()),
            meter: Arc::default(),
            stats: Stats::default(),
        }
    }

    fn start_at_first_page(&mut self) {
        let url = self.query.url(&self.shared.events).ok();
        self.start = url.map(|url| ListStart::at(Cursor::at(url, self.query.clone())));
    }

    /// The rest of the list by whole pages, beginning with the rest of a page already begun. Nothing is fetched
    /// twice.
    pub fn pages(self) -> Pages {
        Pages::new(self, None)
    }

    /// At most `n` more events, malformed items not counted.
    ///
    /// Requests no page that it doesn't need. Before the first request of a list it also reduces the size of the
    /// first page, if `n` is less than a page: `take(5)` sends `max=5`. The service's links contain the size, so any
    /// further page has it too. The [`cursor`](Take::cursor) of the first page is resumed with the page size of the
    /// query, and requests that page again.
    pub fn take(mut self, n: usize) -> Take {
        let is_new = self.source.is_none() && self.meter.read(self.stats) == Stats::default();
        if n > 0 && is_new && self.start.as_ref().is_some_and(|start| !start.from_user) {
            self.limited = self.query.limited_to(n);
        }
        Take::new(self, n)
    }

    /// The events, each with the position after it: `None` after the last one of the list.
    ///
    /// For consumers that store a position with each event. A position holds the page's URL and the query, so that
    /// each costs a few allocations; [`cursor`](Self::cursor) gives one only when it is needed.
    ///
    /// ```
    /// # use futures::TryStreamExt;
    /// # use webex_events::{Client, Cursor, Event, ListEvents, Result};
    /// # fn store(_: &Event, _: Option<&Cursor>) {}
    /// # async fn example(client: Client) -> Result<()> {
    /// let mut events = client.list(ListEvents::new()).with_cursors();
    /// while let Some((event, cursor)) = events.try_next().await? {
    ///     store(&event, cursor.as_ref());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_cursors(self) -> WithCursors {
        WithCursors::new(self)
    }

    /// Reads up to this number of pages ahead of the reader, in a task of its own, which ends with the stream.
    /// The default is 0: none, and no task.
    ///
    /// These pages are held in memory in addition to the one being read. The task belongs to the runtime of the first
    /// poll. A stream that is polled on another runtime yields the pages that have arrived, and then begins a task there,
    /// which requests the next page again. If the first runtime exists but nobody drives it, a connection that was opened
    /// there gives no response: such a request fails after the client's `read_timeout`, and is retried over another one.
    pub fn prefetch(mut self, pages: usize) -> Self {
        self.prefetch = pages;
        self
    }

    /// The position after the last event yielded; `None` from the last event of the
    /// last page on. After an error it still points to the page that failed.
    ///
    /// A list with an invalid query has none.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        match &self.open {
            Some(open) => open.cursor(&self.query),
            None if self.state == ListState::Complete => None,
            None => self.start.as_ref().map(|start| start.cursor.clone()),
        }
    }

    /// After an error, makes the next poll request the failed page again and continue after the
    /// last event yielded. Without one, does nothing.
    ///
    /// That poll waits first, so that a loop that resumes on every transient error can't spin. The wait counts
    /// from the failure. After a transient error it is the backoff of the failed attempt
    /// ([`RetryPolicy::backoff`](crate::RetryPolicy::backoff), at least half of its bound), or the wait in `Retry-After`
    /// if that is longer, up to [`max_wait`](crate::RetryPolicy::max_wait). After any error it is at least
    /// 100 ms. It doubles while failures repeat, and a page that arrives resets it.
    pub fn resume(&mut self) {
        if self.state == ListState::Failed {
            self.state = ListState::Reading;
            self.is_terminated = false;
        }
    }

    /// Counts of the stream's work so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.meter.read(self.stats)
    }

    /// Limits reading ahead to the pages that `n` more events need.
    fn limit_to(&self, n: usize) {
        self.demand.limit(self.stats.events.saturating_add(n as u64));
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event>>> {
        loop {
            if let Some(item) = self.open.as_mut().and_then(OpenPage::next) {
                match &item {
                    Ok(_) => self.stats.events += 1,
                    Err(_) => self.stats.malformed += 1,
                }
                return Poll::Ready(Some(item));
            }
            match ready!(self.poll_next_page(cx)) {
                Some(Ok(())) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// The rest of the open page, or the next one, with at most `limit` events.
    fn poll_page(&mut self, limit: Option<usize>, cx: &mut Context<'_>) -> Poll<Option<Result<Page>>> {
        loop {
            if let Some(open) = self.open.as_mut().filter(|open| !open.is_done()) {
                let items = open.rest(limit.unwrap_or(usize::MAX));
                let events = items.iter().filter(|item| item.is_ok()).count();
                self.stats.events += events as u64;
                self.stats.malformed += (items.len() - events) as u64;
                let previous = open.page.previous.take().map(|url| Cursor::at(url, self.query.clone()));
                let (served_at, tracking_id) = (open.page.served_at, open.page.tracking_id.clone());
                return Poll::Ready(Some(Ok(Page {
                    items,
                    cursor: open.cursor(&self.query),
                    previous,
                    served_at,
                    tracking_id,
                })));
            }
            match ready!(self.poll_next_page(cx)) {
                Some(Ok(())) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// Closes the open page and opens the next; none after the last.
    fn poll_next_page(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<()>>> {
        if let Some(open) = self.open.take() {
            let end = open.end(&self.query);
            match open.page.next {
                Ok(Some(next)) => self.start = Some(ListStart::at(Cursor::at(next, self.query.clone()))),
                Ok(None) => self.stop(ListState::Complete),
                Err(error) => {
                    self.start = Some(ListStart::at(end));
                    return Poll::Ready(Some(Err(self.failed(error))));
                }
            }
        }
        if self.state != ListState::Reading {
            self.is_terminated = true;
            return Poll::Ready(None);
        }
        let (page, taken) = match ready!(self.poll_source(cx)) {
            Ok(step) => step,
            Err(error) => return Poll::Ready(Some(Err(self.failed(error)))),
        };
        self.backoff.succeed();
        let is_first = self.stats.pages == 0 && self.start.as_ref().is_some_and(|start| start.is_at(&page));
        let is_limited = is_first && self.limited.is_some();
        self.stats.pages += 1;
        self.open = Some(OpenPage::new(page, taken, is_limited));
        Poll::Ready(Some(Ok(())))
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Result<ListStep>> {
        let source = match self.source.take() {
            // Its task belongs to another runtime, which may not be driven any more: this one begins another task.
            Some(PageSource::Ahead(ahead)) if ahead.is_stranded(current_runtime()?) => {
                self.runtime = None;
                PageSource::Run(self.run()?)
            }
            Some(source) => source,
            None => {
                let waited = ready!(self.backoff.poll(&*self.shared.clock, cx))?;
                self.meter.wait(waited);
                PageSource::Run(self.run()?)
            }
        };
        let source = match source {
            PageSource::Run(run) => {
                // The timers of a request panic when they are polled after their runtime has ended.
                let runtime = current_runtime()?;
                if self.runtime.is_some_and(|of_request| of_request != runtime) {
                    return Poll::Ready(Err(cut_off("its runtime is not the one that the request began on")));
                }
                self.runtime = Some(runtime);
                if self.prefetch > 0 {
                    PageSource::Ahead(Ahead::new(run, self.prefetch, runtime))
                } else {
                    PageSource::Run(run)
                }
            }
            ahead @ PageSource::Ahead(_) => ahead,
        };
        let step = match self.source.insert(source) {
            PageSource::Run(run) => {
                let step = run.as_mut().poll_next(cx);
                self.runtime = self.runtime.filter(|_| step.is_pending());
                step
            }
            PageSource::Ahead(ahead) => ahead.poll_next(cx),
        };
        // A run says in its last step how it ends. One that just stops was cut off, and that must not
        // look like an end.
        step.map(|step| step.unwrap_or_else(|| Err(cut_off("the runtime is shutting down"))))
    }

    /// A run from the position of the next page.
    fn run(&self) -> Result<ListRun> {
        let Some(start) = &self.start else {
            let invalid = self.query.url(&self.shared.events).err();
            return Err(invalid.unwrap_or_else(|| Error::query("the query can't be sent")));
        };
        let (shared, meter, demand) = (self.shared.clone(), self.meter.clone(), self.demand.clone());
        Ok(list_run(shared, start.clone(), self.limited.clone(), meter, demand, self.stats.events))
    }

    fn failed(&mut self, error: Error) -> Error {
        self.backoff.fail(&error, &self.shared.retry, &*self.shared.clock);
        self.stop(ListState::Failed);
        error
    }

    fn stop(&mut self, state: ListState) {
        (self.source, self.runtime) = (None, None);
        self.state = state;
    }
}

fn cut_off(reason: &'static str) -> Error {
    TransportError::new("the request was cut off", reason).into()
}

impl Stream for EventStream {
    type Item = Result<Event>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_item(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.open {
            Some(open) => {
                let left = open.left();
                (left, open.is_last().then_some(left))
            }
            None if self.state == ListState::Reading => (0, None),
            None => (0, Some(0)),
        }
    }
}

impl FusedStream for EventStream {
    fn is_terminated(&self) -> bool {
        self.is_terminated
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("state", &self.state)
            .field("prefetch", &self.prefetch)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
