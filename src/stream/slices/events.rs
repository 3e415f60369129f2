//! `SliceEvents`: the adapter of `SliceStream::events`.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    vec,
};

use futures_core::{Stream, stream::FusedStream};
use futures_util::StreamExt;

use super::{SliceItem, SliceStream};
use crate::{error::Result, event::Event, slice::Slice, stats::Stats};

/// The events of several slices, in no particular order. Made by [`SliceStream::events`].
///
/// ```
/// # use futures::TryStreamExt;
/// # use webex_events::{Client, ListEvents, Result};
/// # async fn example(client: Client, week: ListEvents) -> Result<()> {
/// use std::{num::NonZeroUsize, time::Duration};
///
/// let plan = week.slices(Duration::from_secs(24 * 3600))?;
/// let mut events = client.list_slices(plan, NonZeroUsize::new(4).unwrap()).events();
/// while let Some(event) = events.try_next().await? {
///     println!("{}", event.id());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct SliceEvents {
    slices: SliceStream,
    /// The rest of the latest page.
    page: vec::IntoIter<Result<Event>>,
}

impl SliceEvents {
    pub(super) fn new(slices: SliceStream) -> Self {
        Self { slices, page: Vec::new().into_iter() }
    }

    /// After an error, makes the next poll request the failed page again, after a wait, as [`SliceStream::resume`].
    pub fn resume(&mut self) {
        self.slices.resume();
    }

    /// After an error, sets the failed slice aside and returns it, as [`SliceStream::skip_failed`]. Events of
    /// it that were yielded before remain valid.
    pub fn skip_failed(&mut self) -> Option<Slice> {
        self.slices.skip_failed()
    }

    /// The slice that the last error belongs to, as [`SliceStream::failed`].
    #[must_use]
    pub fn failed(&self) -> Option<&Slice> {
        self.slices.failed()
    }

    /// The work of all slices so far, as [`SliceStream::stats`]: by whole pages.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.slices.stats()
    }
}

impl Stream for SliceEvents {
    type Item = Result<Event>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(item) = this.page.next() {
                return Poll::Ready(Some(item));
            }
            match ready!(this.slices.poll_next_unpin(cx)) {
                Some(Ok(SliceItem::Page { page, .. })) => this.page = page.into_iter(),
                Some(Ok(SliceItem::Closed { .. })) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl FusedStream for SliceEvents {
    fn is_terminated(&self) -> bool {
        self.slices.is_terminated()
    }
}
