//! A follower of one or more lists. Everything that they yield without waiting is one round.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures_core::Stream;
use futures_util::StreamExt;
use webex_events::{Error, Event, Follow, Result as ListResult, Stats};

use super::{Source, Step};
use crate::{
    metrics::RunSnapshot,
    run::{
        positions::Positions,
        range::Span,
        restart::{self, PagePosition, Reaction},
    },
    ui::{eta::Covered, progress::Progress},
};

/// A round has at most this many items.
const BATCH: usize = 1000;
/// A list that has settled this much later than another one waits for it. Otherwise the files of all hours in between
/// would be open, and the ids in them in memory.
const LEAD: TimeDelta = TimeDelta::hours(12);

#[derive(Debug)]
pub(crate) struct FollowSource {
    /// The names of the lists, in the order of the request.
    names: Vec<String>,
    /// Their followers.
    lists: Vec<Follow>,
    /// Their positions after the last item.
    positions: Positions,
    items: Vec<ListResult<Event>>,
    /// The error after the items.
    error: Option<Error>,
    /// The index of the list that the last error belongs to.
    failed: usize,
    /// True once a round has had the positions.
    is_reported: bool,
    /// The progress from the first checkpoint up to the start of this run, until the follower has caught up.
    catching_up: Option<CatchUp>,
}

#[derive(Debug)]
struct CatchUp {
    span: Span,
    position: DateTime<Utc>,
    covered: Covered,
}

impl CatchUp {
    fn new(from: DateTime<Utc>) -> Self {
        let span = (from, Utc::now().max(from));
        Self { span, position: from, covered: Covered::new(1, 0, Some(span)) }
    }

    /// Moves on to this instant, up to which all lists have settled.
    fn reach(&mut self, position: DateTime<Utc>) {
        if position > self.position {
            self.covered.page(self.span, (self.position, position));
            self.position = position;
        }
    }
}

impl FollowSource {
    /// Follows these lists, with their names, which start at these positions.
    pub(crate) fn new(lists: impl Iterator<Item = (String, Follow)>, positions: Positions) -> Self {
        let (names, lists) = lists.unzip();
        let catching_up = Some(CatchUp::new(positions.settled()));
        Self {
            names,
            lists,
            positions,
            items: Vec::new(),
            error: None,
            failed: 0,
            is_reported: false,
            catching_up,
        }
    }

    /// The instant up to which all lists have settled.
    pub(crate) fn settled(&self) -> DateTime<Utc> {
        self.positions.settled()
    }

    /// The longest lag of a list.
    pub(crate) fn lag(&self) -> Duration {
        self.lists.iter().map(Follow::lag).max().unwrap_or_default()
    }

    /// Collects items until there is none, an error, or a full round. Returns true if there is none for now.
    fn gather(&mut self, cx: &mut Context<'_>) -> bool {
        let latest = self.settled().checked_add_signed(LEAD).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let mut is_pending = true;
        for (index, list) in self.lists.iter_mut().enumerate() {
            if list.checkpoint().settled() > latest {
                continue;
            }
            loop {
                if self.error.is_some() || self.items.len() >= BATCH {
                    return false;
                }
                match list.poll_next_unpin(cx) {
                    Poll::Ready(Some(Err(error))) if !matches!(error, Error::Item(_)) => {
                        (self.error, self.failed) = (Some(error), index);
                    }
                    Poll::Ready(Some(item)) => self.items.push(item),
                    Poll::Ready(None) => {
                        is_pending = false;
                        break;
                    }
                    Poll::Pending => break,
                }
            }
        }
        is_pending
    }

    /// The positions after everything that was gathered.
    fn gathered(&self) -> Positions {
        let mut checkpoints = self.lists.iter().map(Follow::checkpoint);
        match checkpoints.next() {
            Some(first) => Positions::new(first, checkpoints),
            None => self.positions.clone(),
        }
    }
}

impl Stream for FollowSource {
    type Item = ListResult<Step>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let is_pending = this.gather(cx);
        let positions = this.gathered();
        // A quiet period moves the positions too.
        if !this.items.is_empty() || !this.is_reported || this.positions != positions {
            (this.positions, this.is_reported) = (positions.clone(), true);
            if let Some(catching_up) = &mut this.catching_up {
                catching_up.reach(positions.settled());
            }
            return Poll::Ready(Some(Ok(Step::Round { items: mem::take(&mut this.items), positions })));
        }
        match this.error.take() {
            Some(error) => Poll::Ready(Some(Err(error))),
            None if is_pending => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

impl Source for FollowSource {
    fn react(&self, error: &Error) -> Reaction {
        let pages = self.lists.get(self.failed).map_or(0, |list| list.stats().pages);
        let position = if pages > 0 { PagePosition::Later } else { PagePosition::First };
        restart::of_follower(error, position)
    }

    fn start_over(&mut self, error: &Error) -> String {
        self.resume();
        error.to_string()
    }

    fn resume(&mut self) {
        self.lists.iter_mut().for_each(Follow::resume);
    }

    fn stats(&self) -> Stats {
        self.lists.iter().map(Follow::stats).fold(Stats::default(), |sum, stats| sum + stats)
    }

    fn list_name(&self) -> Option<String> {
        self.names.get(self.failed).filter(|_| self.names.len() > 1).cloned()
    }

    fn show(&mut self, progress: &mut Progress) {
        let (stats, lag) = (self.stats(), self.lag());
        if self.lists.iter().all(Follow::is_caught_up) && self.catching_up.take().is_some() {
            progress.caught_up(&stats);
        }
        let covered = self.catching_up.as_mut().map(|catching_up| &mut catching_up.covered);
        progress.follows(&stats, lag, covered);
    }

    fn reading(&self) -> RunSnapshot {
        RunSnapshot { stats: self.stats(), lag: Some(self.lag()), ..RunSnapshot::default() }
    }
}
