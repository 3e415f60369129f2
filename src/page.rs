//! `Page`, and the decoding of a body into its events.

use std::vec;

use crate::{
    cursor::Cursor,
    error::Result,
    event::{
        Event,
        batch::{Batch, Rejected},
    },
    service_clock::ServedAt,
};

/// A page of a list: the items of one response, or the rest of them if the list was resumed within the
/// page.
///
/// ```
/// # use futures::TryStreamExt;
/// # use webex_events::{Client, ListEvents, Result};
/// # async fn example(client: Client) -> Result<()> {
/// let mut pages = client.list(ListEvents::new()).pages();
/// while let Some(page) = pages.try_next().await? {
///     let resume_after = page.cursor().cloned();
///     for event in page {
///         println!("{}", event?.raw());
///     }
///     // Everything up to here is done: store `resume_after`.
/// #   drop(resume_after);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Page {
    /// The events in the service's order, with an [`Error::Item`](crate::Error::Item) at the position of each
    /// malformed item.
    pub items: Vec<Result<Event>>,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) previous: Option<Cursor>,
    /// The time of the response by each of the clocks.
    pub(crate) served_at: Option<ServedAt>,
    pub(crate) tracking_id: Option<Box<str>>,
}

impl Page {
    /// Returns the position after this page; `None` only for the last page of the list.
    #[must_use]
    pub fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }

    /// Returns the position of the previous page, if the service gave a link to it, which it doesn't guarantee.
    #[must_use]
    pub fn previous(&self) -> Option<&Cursor> {
        self.previous.as_ref()
    }

    /// Returns the tracking id of the response.
    #[must_use]
    pub fn tracking_id(&self) -> Option<&str> {
        self.tracking_id.as_deref()
    }
}

impl IntoIterator for Page {
    type Item = Result<Event>;
    type IntoIter = vec::IntoIter<Result<Event>>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

/// Reads the body of a page. An item that can't be read does not make the others unreadable.
pub(crate) fn decode(body: Vec<u8>) -> Result<Batch, Rejected> {
    Batch::page(body)
}

/// Reads a body that is one event.
pub(crate) fn decode_event(body: Vec<u8>) -> Result<Batch, Rejected> {
    Batch::single(body)
}
