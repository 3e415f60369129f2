//! `MalformedItem`: an item of a page that isn't an event.

use std::{error::Error as StdError, fmt};

use super::Error;

/// An item of a page that isn't an event, with its text, so that it can be kept all the same.
///
/// Its [`Debug`] leaves out the text, which can be long and is personal.
#[derive(Clone, PartialEq, Eq)]
pub struct MalformedItem {
    raw: Box<str>,
    index: usize,
    reason: Box<str>,
}

impl MalformedItem {
    pub(crate) fn new(raw: impl Into<Box<str>>, index: usize, reason: impl Into<Box<str>>) -> Self {
        Self { raw: raw.into(), index, reason: reason.into() }
    }

    /// The item's text as received. Bytes that aren't UTF-8 stand as U+FFFD.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// Its place in its page, the first being 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }
}

impl fmt::Display for MalformedItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "item {} of the page isn't an event that can be read: {}", self.index, self.reason)
    }
}

impl fmt::Debug for MalformedItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MalformedItem")
            .field("index", &self.index)
            .field("reason", &self.reason)
            .field("bytes", &self.raw.len())
            .finish_non_exhaustive()
    }
}

impl StdError for MalformedItem {}

impl From<MalformedItem> for Error {
    fn from(item: MalformedItem) -> Self {
        Self::Item(Box::new(item))
    }
}
