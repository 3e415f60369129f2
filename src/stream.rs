//! `EventStream`: the one generator that walks from page to page, and the events of its pages.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use futures_core::{Stream, stream::FusedStream};

use crate::{
    cursor::{Cursor, Taken},
    error::{Error, LinkErrorKind, Result, TransportError},
    event::Event,
    fetch::{Fetched, Shared},
    link::CycleDetector,
    page::Page,
    query::ListEvents,
    stats::{Meter, Stats},
};

mod ahead;
mod follow;
mod pages;
mod slices;
mod take;

use ahead::Ahead;
pub use follow::Follow;
pub use pages::Pages;
pub use slices::{SliceEvents, SliceItem, SliceStream};
pub use take::Take;

/// So many empty pages in a row are no progress.
const EMPTY_PAGES: u32 = 1000;

/// The events of a list, page by page as they are requested.
///
/// Made by [`Client::list`](crate::Client::list) and [`Client::resume`](crate::Client::resume); it
/// borrows nothing and can be moved between tasks.
///
/// **Order** is the service's, which it doesn't document. **Laziness:** nothing is sent before the first
/// poll, and no page until all events of the one before have been handed out, except by
/// [`prefetch`](Self::prefetch); the reader's polling is the backpressure. **The end** is `None`
/// after a page without a next link, and only then: no fault, limit or empty page looks like it.
///
/// A malformed item is an [`Error::Item`] in its place, and the stream goes on. Any other error ends
/// it: after that there is only `None`, until [`resume`](Self::resume).
///
/// # Cancel safety
///
/// Dropping a future of `next` loses nothing and repeats no request. Dropping the stream aborts what
/// is under way.
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
    prefetch: usize,
    /// Where the next page is to be had; none only for a query that can't be. It stays on a page until
    /// that has arrived, so that one that fails can be requested again.
    start: Option<Start>,
    /// Where pages come from; none before the first poll, and after the end or an error.
    source: Option<Source>,
    open: Option<Open>,
    state: State,
    /// `None` was returned, and nothing has been resumed since.
    is_terminated: bool,
    demand: Arc<Demand>,
    meter: Arc<Meter>,
    stats: Stats,
}

/// A place to begin a walk from.
#[derive(Clone, Debug)]
struct Start {
    cursor: Cursor,
    /// Whether a user brought this cursor, so that a refusal of its page means that it is stale.
    brought: bool,
}

/// The page being read.
#[derive(Debug)]
struct Open {
    page: Fetched,
    /// How many of its items are out.
    taken: usize,
    /// Whether the reader has had any of it, be it that it is empty.
    shown: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    /// An error was given; `resume` leads back.
    Failed,
    /// The page without a next link is out.
    Complete,
}

enum Source {
    Walk(Walk),
    Ahead(Ahead),
}

/// The one generator of a list, in its box.
type Walk = Pin<Box<dyn Stream<Item = Result<Step>> + Send>>;

/// A page, and how many of its items were handed out before the walk began.
type Step = (Fetched, usize);

/// How many events the reader wants at most, counted like [`Stats::events`], so that reading ahead
/// goes no further.
#[derive(Debug)]
struct Demand(AtomicU64);

impl EventStream {
    pub(crate) fn list(shared: Arc<Shared>, query: ListEvents) -> Self {
        let mut stream = Self::new(shared, query, None);
        stream.start_at_first_page();
        stream
    }

    pub(crate) fn resumed(shared: Arc<Shared>, cursor: Cursor) -> Self {
        Self::new(shared, cursor.query.clone(), Some(Start { cursor, brought: true }))
    }

    fn new(shared: Arc<Shared>, query: ListEvents, start: Option<Start>) -> Self {
        Self {
            shared,
            query,
            prefetch: 0,
            start,
            source: None,
            open: None,
            state: State::Reading,
            is_terminated: false,
            demand: Arc::new(Demand(AtomicU64::new(u64::MAX))),
            meter: Arc::default(),
            stats: Stats::default(),
        }
    }

    fn start_at_first_page(&mut self) {
        let url = self.query.url(&self.shared.events).ok();
        let cursor = url.map(|url| Cursor::at(url, self.query.clone()));
        self.start = cursor.map(|cursor| Start { cursor, brought: false });
    }

    /// The rest of the list by whole pages, the rest of a page already begun first. Nothing is fetched
    /// twice.
    pub fn pages(self) -> Pages {
        Pages::new(self, None)
    }

    /// At most `n` events more, malformed items not counted.
    ///
    /// Asks for no page that it doesn't need. Before the first request of a list it also asks for
    /// smaller pages, if `n` is less than a page: `take(5)` sends `max=5`.
    pub fn take(mut self, n: usize) -> Take {
        let is_new = self.source.is_none() && self.meter.read(self.stats) == Stats::default();
        if n > 0 && is_new && self.start.as_ref().is_some_and(|start| !start.brought) {
            self.query.shrink_page_size(n);
            self.start_at_first_page();
        }
        Take::new(self, n)
    }

    /// Reads so many pages ahead of the reader, in a task of its own, which ends with the stream.
    /// The default is 0: none, and no task.
    ///
    /// That many pages more are held in memory. Must then be polled within a tokio runtime.
    pub fn prefetch(mut self, pages: usize) -> Self {
        self.prefetch = pages;
        self
    }

    /// Where the list goes on behind the last event handed out; `None` from the last event of the
    /// last page on. After an error it still points to the page that failed.
    ///
    /// A list whose query can't be has none.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        match &self.open {
            Some(open) => open.cursor(&self.query),
            None if self.state == State::Complete => None,
            None => self.start.as_ref().map(|start| start.cursor.clone()),
        }
    }

    /// After an error, makes the next poll ask again for the page that failed, and go on behind the
    /// last event handed out. Without one, does nothing.
    pub fn resume(&mut self) {
        if self.state == State::Failed {
            self.state = State::Reading;
            self.is_terminated = false;
        }
    }

    /// What the stream has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.meter.read(self.stats)
    }

    /// Sees to it that nothing is read ahead that isn't needed for `n` more events.
    fn limit_to(&self, n: usize) {
        self.demand.0.store(self.stats.events.saturating_add(n as u64), Relaxed);
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event>>> {
        loop {
            if let Some(item) = self.open.as_mut().and_then(Open::next) {
                match &item {
                    Ok(_) => self.stats.events += 1,
                    Err(_) => self.stats.malformed += 1,
                }
                return Poll::Ready(Some(item));
            }
            match ready!(self.poll_turn(cx)) {
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
            match ready!(self.poll_turn(cx)) {
                Some(Ok(())) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// Closes the page that is open and opens the next; none after the last.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<()>>> {
        if let Some(open) = self.open.take() {
            let end = open.end(&self.query);
            match open.page.next {
                Ok(Some(next)) => self.start = Some(Start::at(Cursor::at(next, self.query.clone()))),
                Ok(None) => self.stop(State::Complete),
                Err(error) => {
                    self.start = Some(Start::at(end));
                    return Poll::Ready(Some(Err(self.failed(error))));
                }
            }
        }
        if self.state != State::Reading {
            self.is_terminated = true;
            return Poll::Ready(None);
        }
        let (page, taken) = match ready!(self.poll_source(cx)) {
            Ok(step) => step,
            Err(error) => return Poll::Ready(Some(Err(self.failed(error)))),
        };
        self.stats.pages += 1;
        self.open = Some(Open { page, taken, shown: false });
        Poll::Ready(Some(Ok(())))
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step>> {
        let source = match (self.source.take(), &self.start) {
            (Some(Source::Walk(walk)), _) if self.prefetch > 0 => {
                Source::Ahead(Ahead::new(walk, self.prefetch))
            }
            (Some(source), _) => source,
            (None, Some(start)) => {
                let (shared, meter, demand) = (self.shared.clone(), self.meter.clone(), self.demand.clone());
                let walk = Box::pin(walk(shared, start.clone(), meter, demand, self.stats.events));
                if self.prefetch > 0 {
                    Source::Ahead(Ahead::new(walk, self.prefetch))
                } else {
                    Source::Walk(walk)
                }
            }
            (None, None) => {
                let refused = self.query.url(&self.shared.events).err();
                return Poll::Ready(Err(refused.unwrap_or_else(|| Error::query("the query can't be sent"))));
            }
        };
        let step = match self.source.insert(source) {
            Source::Walk(walk) => walk.as_mut().poll_next(cx),
            Source::Ahead(ahead) => ahead.poll_next(cx),
        };
        // A walk says how it ends in its last step. One that just stops was cut off, and that must not
        // look like an end.
        step.map(|step| {
            step.unwrap_or_else(|| {
                Err(TransportError::new("the walk was cut off", "the runtime is shutting down").into())
            })
        })
    }

    fn failed(&mut self, error: Error) -> Error {
        self.stop(State::Failed);
        error
    }

    fn stop(&mut self, state: State) {
        self.source = None;
        self.state = state;
    }
}

impl Start {
    fn at(cursor: Cursor) -> Self {
        Self { cursor, brought: false }
    }
}

impl Open {
    fn is_out(&self) -> bool {
        self.taken == self.page.batch.len()
    }

    fn is_done(&self) -> bool {
        self.is_out() && self.shown
    }

    fn is_last(&self) -> bool {
        matches!(self.page.next, Ok(None))
    }

    #[inline]
    fn next(&mut self) -> Option<Result<Event>> {
        if self.is_out() {
            return None;
        }
        self.shown = true;
        self.taken += 1;
        Some(Event::of(&self.page.batch, self.taken - 1))
    }

    /// The items that are left, up to the one that is the `limit`-th event.
    fn rest(&mut self, limit: usize) -> Vec<Result<Event>> {
        self.shown = true;
        let mut items = Vec::with_capacity((self.page.batch.len() - self.taken).min(limit));
        let mut events = 0;
        while events < limit
            && let Some(item) = self.next()
        {
            events += usize::from(item.is_ok());
            items.push(item);
        }
        items
    }

    /// Where the list goes on behind what is out, unless it ends there.
    fn cursor(&self, query: &ListEvents) -> Option<Cursor> {
        match &self.page.next {
            Ok(None) if self.is_out() => None,
            Ok(Some(next)) if self.is_out() => Some(Cursor::at(next.as_str(), query.clone())),
            _ => Some(self.end(query)),
        }
    }

    /// This page, behind what is out of it.
    fn end(&self, query: &ListEvents) -> Cursor {
        let taken = Taken::of(self.taken, |index| self.page.batch.id(index));
        Cursor { taken, ..Cursor::at(self.page.url.as_str(), query.clone()) }
    }
}

/// Walks from page to page along the next links, as far as there is demand.
fn walk(
    shared: Arc<Shared>,
    start: Start,
    meter: Arc<Meter>,
    demand: Arc<Demand>,
    mut seen: u64,
) -> impl Stream<Item = Result<Step>> + Send {
    async_stream::try_stream! {
        let Start { cursor: Cursor { url, taken, query }, brought } = start;
        let mut url = shared.origins.admit(&url)?;
        let is_first = query.url(&shared.events).is_ok_and(|first| first == url);
        let page = shared.page(url, is_first.then_some(&query), &meter).await;
        let mut page = if brought { page.map_err(stale)? } else { page? };
        let mut taken = taken.resume_at(page.batch.len(), |index| page.batch.id(index));
        let mut cycles = CycleDetector::new(&page.url);
        let mut empty_pages = 0;
        loop {
            empty_pages = if page.batch.len() == 0 { empty_pages + 1 } else { 0 };
            seen += page.batch.events_from(taken) as u64;
            page.next = page.next.and_then(|next| {
                next.map(|next| cycles.follow(&next).and_then(|()| progress(empty_pages)).map(|()| next)).transpose()
            });
            let next = page.next.as_ref().ok().cloned().flatten();
            yield (page, taken);
            match next {
                Some(next) if seen < demand.0.load(Relaxed) => url = next,
                _ => break,
            }
            page = shared.page(url, None, &meter).await?;
            taken = 0;
        }
    }
}

/// What it means when the service refuses the page of a cursor that was kept.
fn stale(error: Error) -> Error {
    match error {
        error if !matches!(error.page_status(), Some(400 | 404 | 410)) => error,
        Error::Api(answer) => Error::Cursor {
            reason: "the service doesn't know the cursor's page any more".into(),
            source: Some(answer),
        },
        error => error,
    }
}

fn progress(empty_pages: u32) -> Result<()> {
    if empty_pages < EMPTY_PAGES {
        return Ok(());
    }
    Err(Error::link(LinkErrorKind::NoProgress, format!("{EMPTY_PAGES} in a row, and still a next link")))
}

impl Stream for EventStream {
    type Item = Result<Event>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_item(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.open {
            Some(open) => {
                let left = open.page.batch.len() - open.taken;
                (left, open.is_last().then_some(left))
            }
            None if self.state == State::Reading => (0, None),
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
