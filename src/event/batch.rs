//! `Batch`: the text of a page and the envelopes of its events, which all events of the page share.

mod reader;

use std::{fmt, mem, ops::Range, sync::Arc};

use chrono::{DateTime, Utc};

use self::reader::{Reader, Unread};
use super::{EventType, Resource};
use crate::{
    buffer_pool::{BufferPool, TakesBack},
    error::MalformedItems,
    json::{Scanner, SyntaxError},
};

/// The longest text that can be read. Spans are 32 bits wide, and unescaped strings are appended to
/// the text, where they are shorter than in it.
pub(crate) const LONGEST: usize = (u32::MAX / 2) as usize;

/// The most items that a page may have, a hundred times what the service sends at most. It bounds the memory
/// that a page of very small items takes.
const MOST_ITEMS: usize = 100_000;

/// The text of a page, and the position of each item in it.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The text as received, but with `?` for each byte that is not UTF-8. After it come the strings of
    /// envelopes that had escapes, and the lossy texts of malformed items.
    text: String,
    /// The bytes as received, if they are not UTF-8. Positions are those of the text.
    received: Option<Box<[u8]>>,
    /// The envelopes of the items that are events.
    envelopes: Vec<Envelope>,
    /// The other items, in order.
    malformed: Vec<MalformedSpan>,
    /// The malformed items that are not UTF-8: their number among the malformed items, and their text with U+FFFD.
    lossy: Vec<(u32, Span)>,
    /// Takes the text's buffer when no event needs it any more.
    buffers: Option<Arc<dyn TakesBack>>,
}

/// An item that is not an event. A page can consist of such items, so only this is kept: the reason is found by
/// reading the item once more.
#[derive(Debug)]
struct MalformedSpan {
    index: u32,
    raw: Span,
}

/// Identifies an item of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemKey<'a> {
    /// The id of an event.
    Event(&'a str),
    /// The bytes of a malformed item.
    Malformed(&'a [u8]),
}

/// A part of a batch's text. Empty at 0 means absent, because no string can start there.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    end: u32,
}

/// The members of an event that are read when it arrives.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    raw: Span,
    id: Span,
    actor_id: Span,
    org_id: Span,
    app_id: Span,
    data: Span,
    errors: Span,
    pub(crate) created: DateTime<Utc>,
    pub(crate) resource: Resource,
    pub(crate) event_type: EventType,
}

/// The reason why an item is not an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemFault {
    Empty,
    NotAnObject,
    NotUtf8,
    /// The key is missing or has an unsuitable value.
    Member(&'static str),
    Syntax(SyntaxError),
}

impl fmt::Display for ItemFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is a comma, but no item"),
            Self::NotAnObject => f.write_str("it is not an object"),
            Self::NotUtf8 => f.write_str("it is not UTF-8"),
            Self::Member("id") => f.write_str("`id` is missing, empty or not a string"),
            Self::Member("created") => f.write_str("`created` is missing or not a time"),
            Self::Member(key) => write!(f, "`{key}` is missing or not a string"),
            Self::Syntax(error) => write!(f, "it is not JSON: {error}"),
        }
    }
}

/// A text that can't be read, and the reason.
pub(crate) type Rejected = (String, NotAPage);

/// The reason why a text is not a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAPage {
    /// The text is the beginning of JSON: its end did not arrive.
    #[error("it is cut off: {0}")]
    Truncated(SyntaxError),
    #[error(transparent)]
    Syntax(SyntaxError),
    #[error("it is not an object")]
    NotAnObject,
    #[error("it has no array `items`")]
    NoItems,
    #[error("it has `items` twice")]
    ItemsTwice,
    #[error("it has more than {MOST_ITEMS} items")]
    TooManyItems,
    #[error("it is not UTF-8 at byte {0}")]
    NotUtf8(usize),
    #[error("it is too long: more than 2 GiB, or more than 512 MiB that are not UTF-8")]
    TooLong,
}

impl From<SyntaxError> for NotAPage {
    fn from(error: SyntaxError) -> Self {
        if error.is_early_end() { Self::Truncated(error) } else { Self::Syntax(error) }
    }
}

impl Batch {
    /// Reads a page: an object with an array `items`. Bytes that are not UTF-8 make the item that has them malformed;
    /// outside of items they make the page unreadable.
    pub(crate) fn page(body: Vec<u8>) -> Result<Self, Rejected> {
        let (text, received) = text(body);
        Self::read(text, received, |scanner, reader| reader.page(scanner))
    }

    /// Reads a body that is one item.
    pub(crate) fn single(body: Vec<u8>) -> Result<Self, Rejected> {
        let (text, received) = text(body);
        Self::read(text, received, |scanner, reader| reader.only_item(scanner))
    }

    /// Reads a text that is one item.
    pub(crate) fn item(text: String) -> Result<Self, Rejected> {
        Self::read(text, None, |scanner, reader| reader.only_item(scanner))
    }

    fn read(
        text: String,
        received: Option<Box<[u8]>>,
        read: impl for<'a> Fn(&mut Scanner<'a>, &mut Reader<'a>) -> Result<(), NotAPage>,
    ) -> Result<Self, Rejected> {
        // A lossy text is up to three times as long.
        let longest = if received.is_none() { LONGEST } else { LONGEST / 4 };
        if text.len() > longest {
            return Err((text, NotAPage::TooLong));
        }
        let mut reader = Reader::new(&text, received.as_deref());
        let mut scanner = Scanner::new(&text);
        scanner.skip_byte_order_mark();
        let read = read(&mut scanner, &mut reader);
        let Reader { appended, envelopes, mut malformed, lossy, .. } = reader;
        malformed.shrink_to_fit();
        match read {
            Ok(()) => {
                Ok(Self { text: text + &appended, received, envelopes, malformed, lossy, buffers: None })
            }
            Err(error) => {
                Err((received.map_or(text, |body| String::from_utf8_lossy(&body).into_owned()), error))
            }
        }
    }

    /// The same batch, which returns its buffer to `buffers` when it is dropped.
    pub(crate) fn returning(mut self, buffers: &Arc<BufferPool>) -> Self {
        self.buffers = Some(Arc::clone(buffers) as _);
        self
    }

    /// The number of items, malformed ones included.
    pub(crate) fn len(&self) -> usize {
        self.envelopes.len() + self.malformed.len()
    }

    /// The envelope of the event at `position` among the events, which must come from [`find`](Self::find).
    pub(crate) fn event(&self, position: usize) -> &Envelope {
        &self.envelopes[position]
    }

    /// The position among the events of the item at `index`, which must be less than [`len`](Self::len); or, if it is
    /// malformed, its position among the malformed items.
    pub(crate) fn find(&self, index: usize) -> Result<usize, usize> {
        match self.malformed.binary_search_by_key(&index, |malformed| malformed.index as usize) {
            Ok(number) => Err(number),
            Err(malformed_before) => Ok(index - malformed_before),
        }
    }

    /// The item at `index`, which must be less than [`len`](Self::len).
    pub(crate) fn key(&self, index: usize) -> ItemKey<'_> {
        match self.find(index) {
            Ok(position) => ItemKey::Event(self.event(position).id(self)),
            Err(number) => ItemKey::Malformed(self.bytes(number)),
        }
    }

    /// The number of events from the item at `index` on.
    pub(crate) fn events_from(&self, index: usize) -> usize {
        let malformed = self.malformed.partition_point(|malformed| (malformed.index as usize) < index);
        self.len() - index - (self.malformed.len() - malformed)
    }

    /// The reason why a malformed item is not an event.
    pub(crate) fn fault(&self, number: usize) -> ItemFault {
        if self.lossy(number).is_some() {
            return ItemFault::NotUtf8;
        }
        let raw = self.slice(self.malformed[number].raw).unwrap_or_default();
        if raw.is_empty() {
            return ItemFault::Empty;
        }
        let mut scanner = Scanner::new(raw);
        match Reader::new(raw, None).envelope(&mut scanner) {
            Err(error) => ItemFault::Syntax(error),
            Ok(Err(Unread { fault, .. })) if scanner.end().is_ok() => fault,
            Ok(_) => scanner.end().err().map_or(ItemFault::NotAnObject, ItemFault::Syntax),
        }
    }

    fn lossy(&self, number: usize) -> Option<&str> {
        let found = self.lossy.binary_search_by_key(&number, |&(number, _)| number as usize).ok()?;
        self.slice(self.lossy[found].1)
    }

    fn slice(&self, span: Span) -> Option<&str> {
        if span.end == 0 { None } else { self.text.get(span.range()) }
    }
}

/// The malformed items, by their number among them.
impl MalformedItems for Batch {
    fn raw(&self, number: usize) -> &str {
        self.lossy(number).or_else(|| self.slice(self.malformed[number].raw)).unwrap_or_default()
    }

    fn bytes(&self, number: usize) -> &[u8] {
        let text = self.received.as_deref().unwrap_or(self.text.as_bytes());
        text.get(self.malformed[number].raw.range()).unwrap_or_default()
    }

    fn index(&self, number: usize) -> usize {
        self.malformed[number].index as usize
    }

    fn reason(&self, number: usize) -> String {
        self.fault(number).to_string()
    }
}

/// A body as text; and the body itself, if it is not UTF-8. The text is then as long, with `?` for each byte that is
/// not UTF-8.
fn text(body: Vec<u8>) -> (String, Option<Box<[u8]>>) {
    let body = match String::from_utf8(body) {
        Ok(text) => return (text, None),
        Err(error) => error.into_bytes(),
    };
    let mut text = String::with_capacity(body.len());
    for chunk in body.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    (text, Some(body.into_boxed_slice()))
}

impl Drop for Batch {
    fn drop(&mut self) {
        if let Some(spare) = &self.buffers {
            spare.give(mem::take(&mut self.text).into_bytes());
        }
    }
}

impl Default for Envelope {
    fn default() -> Self {
        Self {
            raw: Span::default(),
            id: Span::default(),
            actor_id: Span::default(),
            org_id: Span::default(),
            app_id: Span::default(),
            data: Span::default(),
            errors: Span::default(),
            created: DateTime::UNIX_EPOCH,
            resource: Resource::Messages,
            event_type: EventType::Created,
        }
    }
}

/// An envelope's strings, in the batch it belongs to.
impl Envelope {
    pub(crate) fn raw<'a>(&self, batch: &'a Batch) -> &'a str {
        batch.slice(self.raw).unwrap_or_default()
    }

    pub(crate) fn id<'a>(&self, batch: &'a Batch) -> &'a str {
        batch.slice(self.id).unwrap_or_default()
    }

    pub(crate) fn actor_id<'a>(&self, batch: &'a Batch) -> Option<&'a str> {
        batch.slice(self.actor_id)
    }

    pub(crate) fn org_id<'a>(&self, batch: &'a Batch) -> Option<&'a str> {
        batch.slice(self.org_id)
    }

    pub(crate) fn app_id<'a>(&self, batch: &'a Batch) -> Option<&'a str> {
        batch.slice(self.app_id).filter(|&id| id != "null")
    }

    pub(crate) fn data<'a>(&self, batch: &'a Batch) -> Option<&'a str> {
        batch.slice(self.data)
    }

    pub(crate) fn errors<'a>(&self, batch: &'a Batch) -> Option<&'a str> {
        batch.slice(self.errors)
    }
}

impl Span {
    fn is_empty(self) -> bool {
        self.start == self.end
    }

    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl From<Range<usize>> for Span {
    /// No position exceeds twice [`LONGEST`], so the conversion is exact.
    #[expect(clippy::cast_possible_truncation, reason = "texts longer than LONGEST are refused")]
    fn from(range: Range<usize>) -> Self {
        Self { start: range.start as u32, end: range.end as u32 }
    }
}

#[cfg(test)]
mod tests;
