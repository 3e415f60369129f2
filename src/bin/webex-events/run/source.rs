//! Reading: a list, slices or a follower, as one stream of steps.

use chrono::{DateTime, Utc};
use futures_core::Stream;
use webex_events::{Checkpoint, Error, Event, Page, Result as ListResult, Stats};

use crate::{
    archive::FailedSlice,
    error::Code,
    metrics::Reading,
    run::{range::Span, restart::Reaction},
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

/// Something to be written. `span` names the slice that it is of; there is none in a list without slices.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "steps come one at a time, and almost every one is a page")]
pub(crate) enum Step {
    /// A page. If `is_anew`, it replaces what was written before.
    Page { span: Option<Span>, page: Page, is_anew: bool },
    /// Everything of the list or the slice was read.
    Finished { span: Option<Span> },
    /// The range begins at another instant than it was thought to. It comes before the first page.
    From(Option<DateTime<Utc>>),
    /// Everything that a follower yields without waiting, and the checkpoint after it.
    Round { items: Vec<ListResult<Event>>, checkpoint: Checkpoint },
}

/// A stream of steps that ends with an error, and may be continued after one in the way that
/// [`react`](Self::react) names.
pub(crate) trait Source: Stream<Item = ListResult<Step>> + Unpin {
    /// What is to be done about an error of this stream.
    fn react(&self, error: &Error) -> Reaction;

    /// Continues, after [`Reaction::StartOver`]. Returns what is told about it.
    fn start_over(&mut self, error: &Error) -> String;

    /// Continues without the slice that failed, after [`Reaction::SetAside`]. Returns it with its exit code.
    fn set_aside(&mut self, _: &Error) -> Option<(FailedSlice, Code)> {
        None
    }

    /// Continues after the pause of [`Reaction::BackOff`].
    fn resume(&mut self) {}

    /// What was read in this run.
    fn stats(&self) -> Stats;

    /// Shows how far reading has come.
    fn show(&mut self, progress: &mut Progress);

    /// The same, for metrics.
    fn reading(&self) -> Reading {
        Reading { stats: self.stats(), ..Reading::default() }
    }
}
