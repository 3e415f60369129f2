//! One or more lists, one after the other, page by page, from the beginning or from a stored cursor.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use chrono::{DateTime, Utc};
use futures_core::Stream;
use futures_util::StreamExt;
use serde_json::Map;
use webex_events::{Client, Cursor, Error, Event, ListEvents, Pages, Result as ListResult, Stats};

use super::{Source, Step};
use crate::{
    run::{
        range::{Range, ahead_of},
        restart::{self, PagePosition, Reaction},
        slices,
    },
    ui::{messages, progress::Progress},
};

/// The lists to read.
#[derive(Clone, Debug)]
pub(crate) struct ListRequest {
    pub(crate) client: Client,
    pub(crate) lists: Vec<ListEvents>,
    pub(crate) range: Range,
    /// True if the start of the range uses this machine's clock, and nothing has been written yet.
    pub(crate) is_relative: bool,
    /// The maximum number of events, and the number of events that are written already.
    pub(crate) take: Option<usize>,
    pub(crate) taken: usize,
    pub(crate) prefetch: usize,
    /// True if the output can be replaced after a restart.
    pub(crate) is_file: bool,
}

#[derive(Debug)]
pub(crate) struct ListSource {
    request: ListRequest,
    /// The index of the list that is being read.
    list: usize,
    /// `None` if an earlier run has read everything.
    pages: Option<Pages>,
    position: PagePosition,
    is_restart: bool,
    restarts: u32,
    /// The statistics of lists that are over or were abandoned.
    earlier: Stats,
    is_finished: bool,
    /// The creation time of the last event.
    created: Option<DateTime<Utc>>,
    /// True if a page has come that the progress line doesn't show yet.
    has_news: bool,
}

impl ListRequest {
    fn pages(&self, list: usize, cursor: Option<&Cursor>) -> Pages {
        let query = || self.range.of(self.lists.get(list).cloned().unwrap_or_default());
        let events = match cursor {
            Some(cursor) => self.client.resume(cursor),
            None => self.client.list(query()),
        };
        let events = events.prefetch(self.prefetch);
        match self.take {
            Some(n) => events.take(n.saturating_sub(self.taken)).pages(),
            None => events.pages(),
        }
    }
}

impl ListSource {
    /// Starts with the list of this index, at its beginning or at a cursor that an earlier run has stored.
    pub(crate) fn new(request: ListRequest, list: usize, cursor: Option<&Cursor>) -> Self {
        let position = if cursor.is_some() { PagePosition::Stored } else { PagePosition::First };
        let pages = Some(request.pages(list, cursor));
        Self { list, pages, position, ..Self::read(request) }
    }

    /// Reads nothing: an earlier run has read everything, and only the file's name is missing.
    pub(crate) fn read(request: ListRequest) -> Self {
        Self {
            request,
            list: 0,
            pages: None,
            position: PagePosition::First,
            is_restart: false,
            restarts: 0,
            earlier: Stats::default(),
            is_finished: false,
            created: None,
            has_news: false,
        }
    }

    /// Returns true if the end of the last list was reached, not only the maximum number of events.
    pub(crate) fn is_whole(&self) -> bool {
        let is_at_end = |pages: &Pages| self.list + 1 >= self.request.lists.len() && pages.cursor().is_none();
        self.is_finished && self.pages.as_ref().is_none_or(is_at_end)
    }

    fn restart(&mut self) {
        self.request.taken = 0;
        self.is_restart = true;
        self.start(0);
    }

    /// Starts a list at its beginning.
    fn start(&mut self, list: usize) {
        self.earlier = self.stats();
        self.pages = Some(self.request.pages(list, None));
        (self.list, self.position) = (list, PagePosition::First);
    }

    /// Starts the list after one that has ended. Returns false if there is none, or the maximum number of events is
    /// reached.
    fn start_next(&mut self) -> bool {
        let Some(pages) = &self.pages else { return false };
        let events = usize::try_from(pages.stats().events).unwrap_or(usize::MAX);
        self.request.taken = self.request.taken.saturating_add(events);
        let is_enough = self.request.take.is_some_and(|take| self.request.taken >= take);
        if is_enough || self.list + 1 >= self.request.lists.len() {
            return false;
        }
        self.start(self.list + 1);
        true
    }

    /// Corrects a start that uses this machine's clock, if that clock is ahead.
    fn correct_from(&mut self) -> Option<Step> {
        let ahead = ahead_of(&self.request.client)?;
        messages::warning(
            &format!(
                "this machine's clock is {} s ahead of the service's: --from uses the service's clock",
                ahead.num_seconds()
            ),
            Map::new(),
        );
        let range = &mut self.request.range;
        range.from = range.from.and_then(|from| from.checked_sub_signed(ahead));
        let from = range.from;
        self.restart();
        Some(Step::From(from))
    }
}

impl Stream for ListSource {
    type Item = ListResult<Step>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.is_finished {
            return Poll::Ready(None);
        }
        let page = loop {
            let page = match &mut this.pages {
                Some(pages) => ready!(pages.poll_next_unpin(cx)),
                None => None,
            };
            if let Some(page) = page.transpose()? {
                break page;
            }
            if !this.start_next() {
                this.is_finished = true;
                return Poll::Ready(Some(Ok(Step::Finished { span: None })));
            }
        };
        if mem::take(&mut this.request.is_relative)
            && let Some(step) = this.correct_from()
        {
            return Poll::Ready(Some(Ok(step)));
        }
        this.position = PagePosition::Later;
        this.created = page.items.iter().rev().flatten().next().map(Event::created);
        this.has_news = true;
        let (list, is_restart) = (this.list, mem::take(&mut this.is_restart));
        Poll::Ready(Some(Ok(Step::Page { span: None, list, page, is_restart })))
    }
}

impl Source for ListSource {
    fn react(&self, error: &Error) -> Reaction {
        restart::of_list(error, self.position, self.restarts, self.request.is_file)
    }

    fn start_over(&mut self, error: &Error) -> String {
        self.restarts += 1;
        self.restart();
        format!("note: the cursor is no longer valid ({error}): reading from the beginning")
    }

    fn stats(&self) -> Stats {
        self.earlier + self.pages.as_ref().map(Pages::stats).unwrap_or_default()
    }

    fn list_name(&self) -> Option<String> {
        self.request.lists.get(self.list).filter(|_| self.request.lists.len() > 1).map(slices::list_name)
    }

    fn show(&mut self, progress: &mut Progress) {
        if mem::take(&mut self.has_news) {
            progress.page(&self.stats(), self.created);
        } else {
            progress.tick(&self.stats());
        }
    }
}
