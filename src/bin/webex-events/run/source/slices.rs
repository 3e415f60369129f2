//! The slices of a range that are left to read, several at a time.

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use futures_util::StreamExt;
use webex_events::{Client, Error, Event, Page, Result as ListResult, Slice, SliceItem, SliceStream, Stats};

use super::{Source, Step};
use crate::{
    archive::FailedSlice,
    error::{Code, Failure, kind},
    metrics::RunSnapshot,
    run::{
        plan::SlicePlan,
        range::Span,
        restart::{self, Reaction},
    },
    ui::{eta::Covered, progress::Progress},
};

#[derive(Debug)]
pub(crate) struct SliceSource {
    client: Client,
    concurrency: NonZeroUsize,
    plan: SlicePlan,
    slices: SliceStream,
    /// The statistics of streams that were abandoned because a slice had to restart.
    abandoned: Stats,
    /// Slices that an earlier run has read to their end, but whose files have no name yet.
    read: VecDeque<Span>,
    covered: Covered,
    /// The number of slices that were set aside since the last page.
    failures: u32,
    /// False if the service has given this run a page before its slices.
    is_first: bool,
}

impl SliceSource {
    pub(crate) fn new(
        client: Client,
        concurrency: NonZeroUsize,
        mut plan: SlicePlan,
        covered: Covered,
        is_first: bool,
    ) -> Self {
        let slices = client.list_slices(plan.rest(), concurrency);
        let read = plan.take_read().into();
        Self {
            client,
            concurrency,
            plan,
            slices,
            abandoned: Stats::default(),
            read,
            covered,
            failures: 0,
            is_first,
        }
    }

    /// Continues with the slices that are left.
    fn rebuild(&mut self) {
        self.abandoned = self.stats();
        self.slices = self.client.list_slices(self.plan.rest(), self.concurrency);
    }

    fn step(&mut self, item: SliceItem) -> Option<Step> {
        match item {
            SliceItem::Page { slice, mut page } => {
                self.failures = 0;
                self.plan.limit(&mut page);
                let (list, is_restart) = self.plan.page(&slice, &page);
                if let Some(span) = span(&page) {
                    self.covered.page(of(&slice), span);
                }
                Some(Step::Page { span: Some(of(&slice)), list, page, is_restart })
            }
            SliceItem::Closed { slice, .. } if self.plan.close(&slice) => {
                self.covered.close(of(&slice));
                Some(Step::Finished { span: Some(of(&slice)) })
            }
            _ => None,
        }
    }
}

impl Stream for SliceSource {
    type Item = ListResult<Step>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(span) = this.read.pop_front() {
            return Poll::Ready(Some(Ok(Step::Finished { span: Some(span) })));
        }
        loop {
            let Some(item) = ready!(this.slices.poll_next_unpin(cx)) else { return Poll::Ready(None) };
            if let Some(step) = this.step(item?) {
                return Poll::Ready(Some(Ok(step)));
            }
        }
    }
}

impl Source for SliceSource {
    fn react(&self, error: &Error) -> Reaction {
        let Some(slice) = self.slices.failed() else { return Reaction::Stop };
        let (position, restarts) = self.plan.position(slice);
        let is_first = self.is_first && self.stats().pages == 0;
        restart::of_slice(error, position, restarts, is_first, self.failures)
    }

    fn start_over(&mut self, error: &Error) -> String {
        let slice = self.slices.failed().cloned();
        let start = slice.as_ref().map(Slice::start);
        if let Some(slice) = &slice {
            self.plan.restart(slice);
            self.covered.forget(of(slice));
        }
        self.rebuild();
        let start = start.map(|start| start.to_string()).unwrap_or_default();
        format!(
            "note: the cursor in the slice from {start} is no longer valid ({error}): restarting the slice"
        )
    }

    fn set_aside(&mut self, error: &Error) -> Option<(FailedSlice, Code)> {
        let slice = self.slices.skip_failed()?;
        let is_beyond_retention = self.plan.skip(&slice, error.is_beyond_retention());
        self.failures += 1;
        self.covered.forget(of(&slice));
        let failure = Failure::within_run(error);
        let message = match self.plan.list_name(&slice) {
            Some(list) => format!("{list}: {}", failure.message),
            None => failure.message,
        };
        let failed = FailedSlice {
            start: slice.start(),
            end: slice.end(),
            kind: kind(error).to_owned(),
            message,
            is_beyond_retention,
        };
        Some((failed, failure.code))
    }

    fn stats(&self) -> Stats {
        self.abandoned + self.slices.stats()
    }

    fn show(&mut self, progress: &mut Progress) {
        progress.slices(&self.stats(), &mut self.covered, self.slices.open());
    }

    fn reading(&self) -> RunSnapshot {
        RunSnapshot { stats: self.stats(), open_slices: self.slices.open(), ..RunSnapshot::default() }
    }
}

fn of(slice: &Slice) -> Span {
    (slice.start(), slice.end())
}

/// The first and the last instant of a page's events.
fn span(page: &Page) -> Option<Span> {
    let created = || page.items.iter().flatten().map(Event::created);
    created().min().zip(created().max())
}
