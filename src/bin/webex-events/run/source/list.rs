//! One list, page by page, from its beginning or from a stored cursor.

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
        restart::{self, Position, Reaction},
    },
    ui::{messages, progress::Progress},
};

/// What is listed.
#[derive(Clone, Debug)]
pub(crate) struct ListRequest {
    pub(crate) client: Client,
    pub(crate) filters: ListEvents,
    pub(crate) range: Range,
    /// Whether the range's beginning goes by this machine's clock, and nothing was written since.
    pub(crate) is_relative: bool,
    /// The number of events that there may be, and of those that there are already.
    pub(crate) take: Option<usize>,
    pub(crate) taken: usize,
    pub(crate) prefetch: usize,
    /// Whether what was written can be taken back.
    pub(crate) is_file: bool,
}

#[derive(Debug)]
pub(crate) struct ListSource {
    request: ListRequest,
    /// None if an earlier run has read everything.
    pages: Option<Pages>,
    position: Position,
    is_anew: bool,
    restarts: u32,
    /// Of lists that were given up.
    given_up: Stats,
    is_finished: bool,
    /// The creation of the last event.
    created: Option<DateTime<Utc>>,
    /// Whether a page has come that wasn't shown yet.
    has_news: bool,
}

impl ListRequest {
    fn pages(&self, cursor: Option<&Cursor>) -> Pages {
        let events = match cursor {
            Some(cursor) => self.client.resume(cursor),
            None => self.client.list(self.range.of(self.filters.clone())),
        };
        let events = events.prefetch(self.prefetch);
        match self.take {
            Some(n) => events.take(n.saturating_sub(self.taken)).pages(),
            None => events.pages(),
        }
    }
}

impl ListSource {
    /// Lists from the beginning, or from a cursor that an earlier run has stored.
    pub(crate) fn new(request: ListRequest, cursor: Option<&Cursor>) -> Self {
        let position = if cursor.is_some() { Position::Stored } else { Position::First };
        let pages = Some(request.pages(cursor));
        Self { pages, position, ..Self::read(request) }
    }

    /// Reads nothing: an earlier run has read everything, and all that is left is to give the file its name.
    pub(crate) fn read(request: ListRequest) -> Self {
        Self {
            request,
            pages: None,
            position: Position::First,
            is_anew: false,
            restarts: 0,
            given_up: Stats::default(),
            is_finished: false,
            created: None,
            has_news: false,
        }
    }

    /// Whether the end of the list was reached, and not only as many events as are wanted.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_finished && self.pages.as_ref().is_none_or(|pages| pages.cursor().is_none())
    }

    fn begin_anew(&mut self) {
        self.request.taken = 0;
        self.given_up = self.stats();
        self.pages = Some(self.request.pages(None));
        (self.position, self.is_anew) = (Position::First, true);
    }

    /// Moves the beginning of a range that goes by this machine's clock, if that is ahead.
    fn correct_from(&mut self) -> Option<Step> {
        let ahead = ahead_of(&self.request.client)?;
        messages::warning(
            &format!(
                "this machine's clock is {} s ahead of the service's: --from goes by the service's",
                ahead.num_seconds()
            ),
            Map::new(),
        );
        let range = &mut self.request.range;
        range.from = range.from.and_then(|from| from.checked_sub_signed(ahead));
        let from = range.from;
        self.begin_anew();
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
        let page = match &mut this.pages {
            Some(pages) => ready!(pages.poll_next_unpin(cx)),
            None => None,
        };
        let Some(page) = page.transpose()? else {
            this.is_finished = true;
            return Poll::Ready(Some(Ok(Step::Finished { span: None })));
        };
        if mem::take(&mut this.request.is_relative)
            && let Some(step) = this.correct_from()
        {
            return Poll::Ready(Some(Ok(step)));
        }
        this.position = Position::Later;
        this.created = page.items.iter().rev().flatten().next().map(Event::created);
        this.has_news = true;
        Poll::Ready(Some(Ok(Step::Page { span: None, page, is_anew: mem::take(&mut this.is_anew) })))
    }
}

impl Source for ListSource {
    fn react(&self, error: &Error) -> Reaction {
        restart::of_list(error, self.position, self.restarts, self.request.is_file)
    }

    fn start_over(&mut self, error: &Error) -> String {
        self.restarts += 1;
        self.begin_anew();
        format!("note: the place is gone ({error}): reading from the beginning")
    }

    fn stats(&self) -> Stats {
        self.given_up + self.pages.as_ref().map(Pages::stats).unwrap_or_default()
    }

    fn show(&mut self, progress: &mut Progress) {
        if mem::take(&mut self.has_news) {
            progress.page(&self.stats(), self.created);
        } else {
            progress.tick(&self.stats());
        }
    }
}
