//! The text of a page with the envelopes of its events: what all events of a page share.

use std::{borrow::Cow, fmt, mem, ops::Range, sync::Arc};

use chrono::{DateTime, Utc};

use super::{EventType, Resource, time::parse_time};
use crate::{
    buffer_pool::BufferPool,
    json::{Kind, Quoted, Scanner, SyntaxError},
};

/// The longest text that can be read: spans are 32 bits wide, and unescaped strings stand behind
/// the text, where they take less room than in it.
pub(crate) const LONGEST: usize = (u32::MAX / 2) as usize;

/// A text and where in it the events stand.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// As received, and behind that the envelope's strings that had escapes.
    text: String,
    /// Of the items that are events.
    envelopes: Vec<Envelope>,
    /// The other items, in order.
    malformed: Vec<MalformedSpan>,
    /// Where the text's buffer goes when no event needs it any more.
    buffers: Option<Arc<BufferPool>>,
}

/// An item that isn't an event. A page can be nothing but such items, so as little as can be is kept:
/// what is wrong with it is found by reading it once more.
#[derive(Debug)]
struct MalformedSpan {
    index: u32,
    raw: Span,
    is_utf8: bool,
}

/// A part of a batch's text. Absent if it is empty at 0, where no string can stand.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    end: u32,
}

/// What is read of an event when it arrives.
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
    pub(crate) fault: Option<Fault>,
}

/// Why an item isn't an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    NotAnObject,
    NotUtf8,
    /// The key is missing or its value isn't what it must be.
    Member(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => f.write_str("it isn't an object"),
            Self::NotUtf8 => f.write_str("it isn't UTF-8"),
            Self::Member("created") => f.write_str("`created` is missing or isn't a time"),
            Self::Member(key) => write!(f, "`{key}` is missing or isn't a string"),
        }
    }
}

/// A text that can't be read, and why.
pub(crate) type Rejected = (String, NotAPage);

/// Why a text isn't a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAPage {
    /// The text is the beginning of JSON: its end did not arrive.
    #[error("it is cut off: {0}")]
    Truncated(SyntaxError),
    #[error(transparent)]
    Syntax(SyntaxError),
    #[error("it isn't an object")]
    NotAnObject,
    #[error("it has no array `items`")]
    NoItems,
    #[error("it has `items` twice")]
    ItemsTwice,
    #[error("it isn't UTF-8 at byte {0}")]
    NotUtf8(usize),
    #[error("it is longer than 2 GiB")]
    TooLong,
}

impl From<SyntaxError> for NotAPage {
    fn from(error: SyntaxError) -> Self {
        if error.is_early_end() { Self::Truncated(error) } else { Self::Syntax(error) }
    }
}

impl Batch {
    /// Reads a page: an object with an array `items`. `spoiled` are the places, in order, where
    /// something stands that wasn't UTF-8.
    pub(crate) fn page(text: String, spoiled: &[usize]) -> Result<Self, Rejected> {
        Self::read(text, spoiled, |scanner, reader| {
            reader.page(scanner)?;
            let stray = reader.stray.or(reader.spoiled.first().copied());
            stray.map_or(Ok(()), |at| Err(NotAPage::NotUtf8(at)))
        })
    }

    /// Reads one item that stands alone.
    pub(crate) fn item(text: String) -> Result<Self, Rejected> {
        Self::read(text, &[], |scanner, reader| {
            reader.item(scanner)?;
            Ok(scanner.end()?)
        })
    }

    fn read(
        text: String,
        spoiled: &[usize],
        read: impl for<'a> Fn(&mut Scanner<'a>, &mut Reader<'a>) -> Result<(), NotAPage>,
    ) -> Result<Self, Rejected> {
        if text.len() > LONGEST {
            return Err((text, NotAPage::TooLong));
        }
        let mut reader = Reader::new(&text, spoiled);
        let mut scanner = Scanner::new(&text);
        scanner.skip_byte_order_mark();
        let read = read(&mut scanner, &mut reader);
        let Reader { unescaped, envelopes, malformed, .. } = reader;
        match read {
            Ok(()) => Ok(Self { text: text + &unescaped, envelopes, malformed, buffers: None }),
            Err(error) => Err((text, error)),
        }
    }

    /// The same, but its buffer is given back when it is no longer needed.
    pub(crate) fn returning(mut self, buffers: &Arc<BufferPool>) -> Self {
        self.buffers = Some(Arc::clone(buffers));
        self
    }

    /// The text, without the batch.
    pub(crate) fn into_text(mut self) -> String {
        mem::take(&mut self.text)
    }

    /// How many items there are, malformed ones included.
    pub(crate) fn len(&self) -> usize {
        self.envelopes.len() + self.malformed.len()
    }

    /// The item at `index`, which must be less than [`len`](Self::len).
    pub(crate) fn envelope(&self, index: usize) -> Cow<'_, Envelope> {
        match self.find(index) {
            Ok(place) => Cow::Borrowed(self.event(place)),
            Err(malformed) => Cow::Owned(self.misread(malformed)),
        }
    }

    /// The event at `place` among the events, which must have come from [`find`](Self::find).
    pub(crate) fn event(&self, place: usize) -> &Envelope {
        &self.envelopes[place]
    }

    /// Which of the events the item at `index` is, if it is one.
    pub(crate) fn place(&self, index: usize) -> Option<usize> {
        self.find(index).ok()
    }

    /// The id of an item that isn't malformed.
    pub(crate) fn id(&self, index: usize) -> Option<&str> {
        self.slice(self.envelopes.get(self.place(index)?)?.id)
    }

    /// How many events there are from the item at `index` on.
    pub(crate) fn events_from(&self, index: usize) -> usize {
        let malformed = self.malformed.partition_point(|malformed| (malformed.index as usize) < index);
        self.len() - index - (self.malformed.len() - malformed)
    }

    fn find(&self, index: usize) -> Result<usize, &MalformedSpan> {
        match self.malformed.binary_search_by_key(&index, |malformed| malformed.index as usize) {
            Ok(at) => Err(&self.malformed[at]),
            Err(misfits_before) => Ok(index - misfits_before),
        }
    }

    /// What could be read of an item that isn't an event.
    fn misread(&self, malformed: &MalformedSpan) -> Envelope {
        let raw = self.slice(malformed.raw).unwrap_or_default();
        let read = Reader::new(raw, &[]).envelope(&mut Scanner::new(raw));
        let fault = read.ok().and_then(|envelope| envelope.fault).filter(|_| malformed.is_utf8);
        Envelope { raw: malformed.raw, fault: fault.or(Some(Fault::NotUtf8)), ..Envelope::default() }
    }

    fn slice(&self, span: Span) -> Option<&str> {
        if span.end == 0 { None } else { self.text.get(span.range()) }
    }
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
            fault: None,
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
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl From<Range<usize>> for Span {
    /// No position is beyond twice [`LONGEST`], so none is cut.
    #[expect(clippy::cast_possible_truncation, reason = "texts longer than LONGEST are refused")]
    fn from(range: Range<usize>) -> Self {
        Self { start: range.start as u32, end: range.end as u32 }
    }
}

struct Reader<'a> {
    text: &'a str,
    unescaped: String,
    envelopes: Vec<Envelope>,
    malformed: Vec<MalformedSpan>,
    /// Where something stands that wasn't UTF-8, from the next item on.
    spoiled: &'a [usize],
    /// The first of those places that is in no item.
    stray: Option<usize>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, spoiled: &'a [usize]) -> Self {
        Self {
            text,
            unescaped: String::new(),
            envelopes: Vec::new(),
            malformed: Vec::new(),
            spoiled,
            stray: None,
        }
    }

    /// Reads the page at which `scanner` stands, to the end of the text.
    fn page(&mut self, scanner: &mut Scanner<'a>) -> Result<(), NotAPage> {
        if scanner.peek()? != Kind::Object {
            scanner.value()?;
            scanner.end()?;
            return Err(NotAPage::NotAnObject);
        }
        let mut found = false;
        let mut fault = None;
        scanner.object(|scanner, key| {
            if key.value().as_deref() != Some("items") {
                return scanner.value().map(drop);
            }
            if found {
                fault = Some(NotAPage::ItemsTwice);
            }
            if scanner.peek()? != Kind::Array {
                fault = fault.or(Some(NotAPage::NoItems));
                return scanner.value().map(drop);
            }
            found = true;
            scanner.array(|scanner| self.item(scanner))
        })?;
        scanner.end()?;
        match fault {
            Some(fault) => Err(fault),
            None if found => Ok(()),
            None => Err(NotAPage::NoItems),
        }
    }

    /// Reads the item at which `scanner` stands.
    fn item(&mut self, scanner: &mut Scanner<'a>) -> Result<(), SyntaxError> {
        let envelope = self.envelope(scanner)?;
        let is_utf8 = self.spoiled.is_empty() || !self.is_spoiled(&envelope.raw.range());
        if envelope.fault.is_none() && is_utf8 {
            if self.envelopes.is_empty() {
                // As many as there can be if the others are like this one.
                let Range { start, end } = envelope.raw.range();
                self.envelopes.reserve_exact((self.text.len() - start) / (end - start).max(1));
            }
            self.envelopes.push(envelope);
        } else {
            // No more items than bytes.
            let index = u32::try_from(self.envelopes.len() + self.malformed.len()).unwrap_or(u32::MAX);
            self.malformed.push(MalformedSpan { index, raw: envelope.raw, is_utf8 });
        }
        Ok(())
    }

    /// Whether something in the next item wasn't UTF-8.
    fn is_spoiled(&mut self, item: &Range<usize>) -> bool {
        let (before, rest) = self.spoiled.split_at(self.spoiled.partition_point(|&at| at < item.start));
        let (inside, rest) = rest.split_at(rest.partition_point(|&at| at < item.end));
        self.stray = self.stray.or(before.first().copied());
        self.spoiled = rest;
        !inside.is_empty()
    }

    /// Reads the item at which `scanner` stands. Where a key stands twice the last one counts, as in
    /// [`serde_json::Value`].
    fn envelope(&mut self, scanner: &mut Scanner<'a>) -> Result<Envelope, SyntaxError> {
        let mut envelope = Envelope::default();
        if scanner.peek()? != Kind::Object {
            envelope.raw = scanner.value()?.into();
            envelope.fault = Some(Fault::NotAnObject);
            return Ok(envelope);
        }
        let (mut created, mut resource, mut event_type) = (None, None, None);
        let [mut actor_id, mut org_id, mut app_id] = [Some(Span::default()); 3];
        let mut id = None;
        let start = scanner.position();
        scanner.object(|scanner, key| {
            match key.value().as_deref() {
                Some("id") => id = self.string(scanner, false)?,
                Some("resource") => resource = parse(scanner, |name| Some(Resource::from(name)))?,
                Some("type") => event_type = parse(scanner, |name| Some(EventType::from(name)))?,
                Some("created") => created = parse(scanner, parse_time)?,
                Some("actorId") => actor_id = self.string(scanner, true)?,
                Some("orgId") => org_id = self.string(scanner, true)?,
                Some("appId") => app_id = self.string(scanner, true)?,
                Some("data") => envelope.data = present(scanner)?,
                Some("errors") => envelope.errors = present(scanner)?,
                _ => {
                    scanner.value()?;
                }
            }
            Ok(())
        })?;
        envelope.raw = (start..scanner.position()).into();
        let mut must = |there: bool, key| {
            if !there {
                envelope.fault = envelope.fault.or(Some(Fault::Member(key)));
            }
        };
        must(id.is_some(), "id");
        must(resource.is_some(), "resource");
        must(event_type.is_some(), "type");
        must(created.is_some(), "created");
        must(actor_id.is_some(), "actorId");
        must(org_id.is_some(), "orgId");
        must(app_id.is_some(), "appId");
        if let (Some(id), Some(created), Some(resource), Some(event_type)) =
            (id, created, resource, event_type)
        {
            envelope.id = id;
            envelope.created = created;
            envelope.resource = resource;
            envelope.event_type = event_type;
        }
        envelope.actor_id = actor_id.unwrap_or_default();
        envelope.org_id = org_id.unwrap_or_default();
        envelope.app_id = app_id.unwrap_or_default();
        Ok(envelope)
    }

    /// Reads a value that must be a string; or, where that is allowed, null.
    fn string(&mut self, scanner: &mut Scanner<'a>, nullable: bool) -> Result<Option<Span>, SyntaxError> {
        match scanner.peek()? {
            Kind::String => {
                let quoted = scanner.string()?;
                Ok(self.span(&quoted))
            }
            kind => {
                scanner.value()?;
                Ok((nullable && kind == Kind::Null).then(Span::default))
            }
        }
    }

    fn span(&mut self, quoted: &Quoted<'a>) -> Option<Span> {
        if quoted.is_plain() {
            return Some(quoted.inner.clone().into());
        }
        let start = self.text.len() + self.unescaped.len();
        self.unescaped += &quoted.value()?;
        Some((start..self.text.len() + self.unescaped.len()).into())
    }
}

/// Reads a value, which must be a string that `read` understands.
fn parse<T>(scanner: &mut Scanner<'_>, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, SyntaxError> {
    if scanner.peek()? == Kind::String {
        return Ok(scanner.string()?.value().as_deref().and_then(read));
    }
    scanner.value()?;
    Ok(None)
}

/// Reads a value of any kind; null is absent.
fn present(scanner: &mut Scanner<'_>) -> Result<Span, SyntaxError> {
    let kind = scanner.peek()?;
    let value = scanner.value()?;
    Ok(if kind == Kind::Null { Span::default() } else { value.into() })
}

#[cfg(test)]
mod tests;
