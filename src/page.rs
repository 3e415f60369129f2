//! `Page`, and how a body becomes the events of one.

use std::vec;

use chrono::{DateTime, Utc};

use crate::{
    cursor::Cursor,
    error::Result,
    event::{
        Event,
        batch::{Batch, NotAPage, Rejected},
    },
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
    /// The service's time when this page was requested, or a little earlier.
    pub(crate) served_at: Option<DateTime<Utc>>,
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

/// Reads the body of a page. Bytes that aren't UTF-8 spoil the item they stand in, not the page.
pub(crate) fn decode(body: Vec<u8>) -> Result<Batch, Rejected> {
    let (text, spoiled) = text(body);
    Batch::page(text, &spoiled)
}

/// Reads a body that is one event.
pub(crate) fn decode_event(body: Vec<u8>) -> Result<Batch, Rejected> {
    let (text, spoiled) = text(body);
    match (Batch::item(text), spoiled.first()) {
        (Ok(batch), Some(&at)) => Err((batch.into_text(), NotAPage::NotUtf8(at))),
        (Err((text, error)), Some(&at)) if !matches!(error, NotAPage::Truncated(_)) => {
            Err((text, NotAPage::NotUtf8(at)))
        }
        (read, _) => read,
    }
}

/// `body` as text, with U+FFFD for what isn't UTF-8, and where that stands: of several side by side the
/// first, since no item ends between them.
fn text(body: Vec<u8>) -> (String, Vec<usize>) {
    let body = match String::from_utf8(body) {
        Ok(text) => return (text, Vec::new()),
        Err(error) => error.into_bytes(),
    };
    let mut text = String::with_capacity(body.len());
    let mut spoiled = Vec::new();
    for chunk in body.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            if spoiled.is_empty() || !chunk.valid().is_empty() {
                spoiled.push(text.len());
            }
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    (text, spoiled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_marked_where_they_stand() {
        assert_eq!(text(b"ab".to_vec()), ("ab".to_owned(), vec![]));
        let (_, runs) = text(b"\xff\xff\xe2\x82a\xff\xff".to_vec());
        assert_eq!(runs, [0, 10]);
        let (text, spoiled) = text(b"a\xffb\xc3\xa9\xe2\x82c".to_vec());
        assert_eq!(text, "a\u{fffd}bé\u{fffd}c");
        assert!(spoiled.iter().all(|&at| text[at..].starts_with('\u{fffd}')) && spoiled.len() == 2);
    }

    #[test]
    fn a_run_of_bytes_that_are_no_text_is_marked_once() {
        assert_eq!(text(b"\xff\xff\xe2\x82a\xff\xff".to_vec()).1, [0, 10]);
    }
}
