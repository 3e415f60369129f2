//! `Page`, and how a body becomes the events of one.

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

/// A page of a list: what one request brought, or what is left of it where reading began in its
/// middle.
///
/// ```
/// # use futures::TryStreamExt;
/// # use webex_events::{Client, ListEvents, Result};
/// # async fn example(client: Client) -> Result<()> {
/// let mut pages = client.list(ListEvents::new()).pages();
/// while let Some(page) = pages.try_next().await? {
///     let resume_behind = page.cursor().cloned();
///     for event in page {
///         println!("{}", event?.raw());
///     }
///     // Everything up to here is done with: store `resume_behind`.
/// #   drop(resume_behind);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Page {
    /// The events in the service's order, a malformed one as an
    /// [`Error::Item`](crate::Error::Item) in its place.
    pub items: Vec<Result<Event>>,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) previous: Option<Cursor>,
    /// The time of the response by each of the clocks.
    pub(crate) served_at: Option<ServedAt>,
    pub(crate) tracking_id: Option<Box<str>>,
}

impl Page {
    /// Where the list goes on behind this page; `None` after its last page, and only then.
    #[must_use]
    pub fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }

    /// The page before this one, if the service gave a link to it. It does not promise one.
    #[must_use]
    pub fn previous(&self) -> Option<&Cursor> {
        self.previous.as_ref()
    }

    /// The tracking id of the answer.
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
