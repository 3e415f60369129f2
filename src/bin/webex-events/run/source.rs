//! Sources of a run: a list, slices or a follower, each as a stream of steps.

use chrono::{DateTime, Utc};
use futures_core::Stream;
use webex_events::{Error, Event, Page, Result as ListResult, Stats};

use crate::{
    archive::FailedSlice,
    error::Code,
    metrics::RunSnapshot,
    run::{positions::Positions, range::Span, restart::Reaction},
    ui::progress::Progress,
};

mod follow;
mod list;
mod slices;

pub(crate) use self::{
    follow::FollowSource,
    list::{ListRequest, ListSource},
    slices::SliceSource,
};

/// One unit of output. `span` is the range of its slice; it is `None` in a list without slices.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "steps come one at a time, and almost every one is a page")]
pub(crate) enum Step {
    /// A page of one of the lists, by its index in the request. If `is_restart`, it replaces everything that was
    /// written before.
    Page { span: Option<Span>, list: usize, page: Page, is_restart: bool },
    /// The end of all lists, or of all lists of the slice.
    Finished { span: Option<Span> },
    /// A correction of the start of the range. It comes before the first page.
    From(Option<DateTime<Utc>>),
    /// Everything that a follower yields without waiting, and the positions after it.
    Round { items: Vec<ListResult<Event>>, positions: Positions },
}

/// A stream of steps that ends at an error, and can then be continued in the way that [`react`](Self::react) returns.
pub(crate) trait Source: Stream<Item = ListResult<Step>> + Unpin {
    /// Decides the reaction to an error of this stream.
    fn react(&self, error: &Error) -> Reaction;

    /// Continues after [`Reaction::StartOver`]. Returns a note for the user.
    fn start_over(&mut self, error: &Error) -> String;

    /// Continues without the slice that failed, after [`Reaction::SetAside`]. Returns it with its exit code.
    fn set_aside(&mut self, _: &Error) -> Option<(FailedSlice, Code)> {
        None
    }

    /// Continues after the pause of [`Reaction::BackOff`].
    fn resume(&mut self) {}

    /// The statistics of this run.
    fn stats(&self) -> Stats;

    /// The name of the list that an error of this stream belongs to, if there are several.
    fn list_name(&self) -> Option<String> {
        None
    }

    /// Shows how far reading has come.
    fn show(&mut self, progress: &mut Progress);

    /// A snapshot for metrics.
    fn reading(&self) -> RunSnapshot {
        RunSnapshot { stats: self.stats(), ..RunSnapshot::default() }
    }
}
