//! `MalformedItem`: an item of a page that is not an event.

use std::{error::Error as StdError, fmt, sync::Arc};

use super::Error;

/// An item of a page that is not an event, with its bytes, so that it can be kept.
///
/// An item is malformed if its extent can be found (its strings and brackets close), but it is not an event: it is not
/// JSON, it is not UTF-8, or a member that every event has is missing or of another type. Items of a page share the
/// page's memory.
///
/// The [`Debug`] output leaves out the text, which can be long and is personal.
///
/// ```
/// use webex_events::{Error, Event};
///
/// let text = r#"{"id":"","resource":"messages","type":"created","created":"2026-01-05T09:00:00Z"}"#;
/// let Err(Error::Item(item)) = Event::from_json(text) else { unreachable!() };
/// assert_eq!((item.raw(), item.bytes(), item.index()), (text, text.as_bytes(), 0));
/// assert!(item.to_string().contains("`id` is missing, empty or not a string"));
/// ```
#[derive(Clone)]
pub struct MalformedItem(Repr);

#[derive(Clone)]
enum Repr {
    /// One of the malformed items of a page, by its number among them.
    Shared(Arc<dyn MalformedItems>, u32),
    Alone(Box<Alone>),
}

#[derive(Clone)]
struct Alone {
    raw: Box<str>,
    index: usize,
    reason: Box<str>,
}

/// The malformed items of a page, by their number among them.
pub(crate) trait MalformedItems: Send + Sync {
    fn raw(&self, number: usize) -> &str;
    fn bytes(&self, number: usize) -> &[u8];
    fn index(&self, number: usize) -> usize;
    fn reason(&self, number: usize) -> String;
}

impl MalformedItem {
    pub(crate) fn new(raw: impl Into<Box<str>>, index: usize, reason: impl Into<Box<str>>) -> Self {
        Self(Repr::Alone(Box::new(Alone { raw: raw.into(), index, reason: reason.into() })))
    }

    pub(crate) fn shared(page: Arc<dyn MalformedItems>, number: usize) -> Self {
        // No page has that many.
        Self(Repr::Shared(page, u32::try_from(number).unwrap_or(u32::MAX)))
    }

    /// The item's text as received. Bytes that are not UTF-8 are shown as U+FFFD; [`bytes`](Self::bytes) has them.
    /// Empty for a comma without an item.
    #[must_use]
    pub fn raw(&self) -> &str {
        match &self.0 {
            Repr::Shared(page, number) => page.raw(*number as usize),
            Repr::Alone(item) => &item.raw,
        }
    }

    /// The item's bytes, exactly as received.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Shared(page, number) => page.bytes(*number as usize),
            Repr::Alone(item) => item.raw.as_bytes(),
        }
    }

    /// The item's position in its page. The first item has the position 0.
    #[must_use]
    pub fn index(&self) -> usize {
        match &self.0 {
            Repr::Shared(page, number) => page.index(*number as usize),
            Repr::Alone(item) => item.index,
        }
    }

    fn reason(&self) -> String {
        match &self.0 {
            Repr::Shared(page, number) => page.reason(*number as usize),
            Repr::Alone(item) => item.reason.to_string(),
        }
    }
}

/// By bytes, position and reason.
impl PartialEq for MalformedItem {
    fn eq(&self, other: &Self) -> bool {
        self.index() == other.index() && self.bytes() == other.bytes() && self.reason() == other.reason()
    }
}

impl Eq for MalformedItem {}

impl fmt::Display for MalformedItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "item {} of the page is not an event that can be read: {}", self.index(), self.reason())
    }
}

impl fmt::Debug for MalformedItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MalformedItem")
            .field("index", &self.index())
            .field("reason", &self.reason())
            .field("bytes", &self.bytes().len())
            .finish_non_exhaustive()
    }
}

impl StdError for MalformedItem {}

impl From<MalformedItem> for Error {
    fn from(item: MalformedItem) -> Self {
        Self::Item(Box::new(item))
    }
}
