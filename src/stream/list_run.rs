//! The one generator of a list: from page to page along the next links.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use futures_core::Stream;
use tracing::Instrument;

use crate::{
    cursor::Cursor,
    error::{Error, LinkErrorKind, Result},
    fetch::{Fetched, FirstPage, Shared},
    link::CycleDetector,
    query::ListEvents,
    slice::RequestedEnd,
    stats::Meter,
    trace::ListTrace,
};

/// This number of empty pages in a row is no progress.
const EMPTY_PAGES: u32 = 1000;

/// The generator, in its box.
pub(super) type ListRun = Pin<Box<dyn Stream<Item = Result<ListStep>> + Send>>;

/// A page, and the number of its items that were yielded before the run began.
pub(super) type ListStep = (Fetched, usize);

/// The position at which a run begins.
#[derive(Clone, Debug)]
pub(super) struct ListStart {
    pub(super) cursor: Cursor,
    /// The cursor was given by a user, so that a refusal of its page means that it is stale.
    pub(super) from_user: bool,
    /// The end that the first page is requested with, if it depends on the time of the request.
    pub(super) end: Option<RequestedEnd>,
}

impl ListStart {
    pub(super) fn at(cursor: Cursor) -> Self {
        Self { cursor, from_user: false, end: None }
    }

    pub(super) fn is_at(&self, page: &Fetched) -> bool {
        self.cursor.url == page.url.as_str()
    }
}

/// The number of events at which the reader will stop, counted like [`Stats::events`](crate::Stats::events), so that
/// nothing after them is read ahead.
#[derive(Debug)]
pub(super) struct Demand(AtomicU64);

impl Demand {
    pub(super) fn unlimited() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }

    pub(super) fn limit(&self, events: u64) {
        self.0.store(events, Relaxed);
    }

    fn is_met(&self, events: u64) -> bool {
        events >= self.0.load(Relaxed)
    }
}

/// Reads page after page from `start`, as far as there is demand. `events` were yielded before. A list's first page is
/// requested with `limited`, if there is one, but keeps the URL of `start`.
pub(super) fn list_run(
    shared: Arc<Shared>,
    start: ListStart,
    limited: Option<ListEvents>,
    meter: Arc<Meter>,
    demand: Arc<Demand>,
    mut events: u64,
) -> ListRun {
    Box::pin(async_stream::try_stream! {
        let ListStart { cursor: Cursor { url, taken, query }, from_user, end } = start;
        let mut url = shared.origins.admit(&url)?;
        let mut trace = ListTrace::start(&url);
        let is_first = query.url(&shared.events).is_ok_and(|first| first == url);
        // A page that is continued in its middle keeps its size: a smaller one may not have its last event.
        let first = (is_first && taken.is_none()).then(|| FirstPage { query: limited.unwrap_or(query), end });
        let sent = first.as_ref().and_then(|first| first.query.url(&shared.events).ok()).unwrap_or_else(|| url.clone());
        let page = shared.page(sent.clone(), first, &meter).instrument(trace.span()).await;
        let page = page.inspect_err(|_| trace.fail());
        let mut page = if is_first && !from_user { page? } else { page.map_err(stale)? };
        let mut taken = taken.resume_at(page.batch.len(), |index| page.batch.key(index));
        let mut cycles = CycleDetector::new(&page.url);
        if page.url == sent {
            page.url = url;
        }
        let mut empty_pages = 0;
        loop {
            empty_pages = if page.batch.len() == 0 { empty_pages + 1 } else { 0 };
            events += page.batch.events_from(taken) as u64;
            page.next = page.next.and_then(|next| {
                next.map(|next| cycles.follow(&next).and_then(|()| progress(empty_pages)).map(|()| next)).transpose()
            });
            let next = page.next.as_ref().ok().cloned().flatten();
            trace.add_page(page.batch.len());
            match &page.next {
                Ok(Some(_)) => {}
                Ok(None) => trace.complete(),
                Err(_) => trace.fail(),
            }
            yield (page, taken);
            match next {
                Some(next) if !demand.is_met(events) => url = next,
                _ => break,
            }
            let later = shared.page(url, None, &meter).instrument(trace.span()).await;
            page = later.inspect_err(|_| trace.fail()).map_err(stale)?;
            taken = 0;
        }
    })
}

/// The meaning of a refusal of any page but the first one of a list.
fn stale(error: Error) -> Error {
    match error {
        error if !matches!(error.page_status(), Some(400 | 404 | 410)) => error,
        Error::Api(response) => Error::Cursor {
            reason: "the service no longer knows the cursor, the position in the list".into(),
            source: Some(response),
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
