//! A follower. Everything that it yields without waiting is one round.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use futures_util::StreamExt;
use webex_events::{Checkpoint, Error, Event, Follow, Result as ListResult, Stats};

use super::{Source, Step};
use crate::{
    metrics::RunSnapshot,
    run::restart::{self, PagePosition, Reaction},
    ui::progress::Progress,
};

/// A round has at most this many items.
const BATCH: usize = 1000;

#[derive(Debug)]
pub(crate) struct FollowSource {
    events: Follow,
    items: Vec<ListResult<Event>>,
    /// The error after the items.
    error: Option<Error>,
    /// The checkpoint of the last round.
    reported: Option<Checkpoint>,
}

impl FollowSource {
    pub(crate) fn new(events: Follow) -> Self {
        Self { events, items: Vec::new(), error: None, reported: None }
    }

    pub(crate) fn checkpoint(&self) -> Checkpoint {
        self.events.checkpoint()
    }

    pub(crate) fn lag(&self) -> Duration {
        self.events.lag()
    }

    /// Collects items until there is none, an error, or a full round. Returns true if there is none for now.
    fn gather(&mut self, cx: &mut Context<'_>) -> bool {
        while self.error.is_none() && self.items.len() < BATCH {
            match self.events.poll_next_unpin(cx) {
                Poll::Ready(Some(Err(error))) if !matches!(error, Error::Item(_)) => self.error = Some(error),
                Poll::Ready(Some(item)) => self.items.push(item),
                Poll::Ready(None) => return false,
                Poll::Pending => return true,
            }
        }
        false
    }
}

impl Stream for FollowSource {
    type Item = ListResult<Step>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let is_pending = this.gather(cx);
        let checkpoint = this.events.checkpoint();
        // A quiet period moves the checkpoint too.
        if !this.items.is_empty() || this.reported.as_ref() != Some(&checkpoint) {
            this.reported = Some(checkpoint.clone());
            let items = mem::take(&mut this.items);
            return Poll::Ready(Some(Ok(Step::Round { items, checkpoint })));
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
        let position = if self.stats().pages > 0 { PagePosition::Later } else { PagePosition::First };
        restart::of_follower(error, position)
    }

    fn start_over(&mut self, error: &Error) -> String {
        self.events.resume();
        error.to_string()
    }

    fn resume(&mut self) {
        self.events.resume();
    }

    fn stats(&self) -> Stats {
        self.events.stats()
    }

    fn show(&mut self, progress: &mut Progress) {
        progress.follows(&self.events.stats(), self.events.lag(), self.events.is_caught_up());
    }

    fn reading(&self) -> RunSnapshot {
        RunSnapshot { stats: self.stats(), lag: Some(self.lag()), ..RunSnapshot::default() }
    }
}
