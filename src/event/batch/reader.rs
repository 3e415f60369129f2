//! The one pass over a text that finds its items and reads their envelopes.

use std::ops::Range;

use super::{Envelope, ItemFault, MOST_ITEMS, MalformedSpan, NotAPage, Span};
use crate::{
    event::{EventType, Resource, time::parse_time},
    json::{Kind, Quoted, Scanner, SyntaxError},
};

/// An item that is JSON, but not an event.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) raw: Range<usize>,
    pub(super) fault: ItemFault,
}

pub(super) struct Reader<'a> {
    text: &'a str,
    /// The bytes as received, if they are not UTF-8.
    received: Option<&'a [u8]>,
    /// The end of the part of `received` that has been checked.
    checked: usize,
    /// The first position outside of items that is not UTF-8.
    stray: Option<usize>,
    /// The first comma without an item.
    stray_comma: Option<SyntaxError>,
    /// The strings to be appended to the text.
    pub(super) appended: String,
    pub(super) envelopes: Vec<Envelope>,
    pub(super) malformed: Vec<MalformedSpan>,
    pub(super) lossy: Vec<(u32, Span)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, received: Option<&'a [u8]>) -> Self {
        Self {
            text,
            received,
            checked: 0,
            stray: None,
            stray_comma: None,
            appended: String::new(),
            envelopes: Vec::new(),
            malformed: Vec::new(),
            lossy: Vec::new(),
        }
    }

    /// Reads a page to the end of the text.
    pub(super) fn page(&mut self, scanner: &mut Scanner<'a>) -> Result<(), NotAPage> {
        if scanner.peek()? != Kind::Object {
            scanner.value()?;
            scanner.end()?;
            return Err(NotAPage::NotAnObject);
        }
        let mut found = false;
        let mut fault = None;
        scanner.object(|scanner, key| {
            if key.value().as_deref() != Some("items") {
                scanner.value()?;
                return Ok(());
            }
            if found {
                fault = Some(NotAPage::ItemsTwice);
            }
            if scanner.peek()? != Kind::Array {
                fault = fault.or(Some(NotAPage::NoItems));
                scanner.value()?;
                return Ok(());
            }
            found = true;
            self.items(scanner)
        })?;
        scanner.end()?;
        self.check_outside(self.text.len());
        match (fault, self.stray) {
            (Some(fault), _) => Err(fault),
            (None, Some(at)) => Err(NotAPage::NotUtf8(at)),
            (None, None) if found => Ok(()),
            (None, None) => Err(NotAPage::NoItems),
        }
    }

    /// Reads a text that is one item.
    pub(super) fn only_item(&mut self, scanner: &mut Scanner<'a>) -> Result<(), NotAPage> {
        let read = self.envelope(scanner)?;
        scanner.end()?;
        if let Some(error) = self.received.and_then(|received| str::from_utf8(received).err()) {
            return Err(NotAPage::NotUtf8(error.valid_up_to()));
        }
        match read {
            Ok(envelope) => self.envelopes.push(envelope),
            Err(unread) => self.push_malformed(unread.raw),
        }
        Ok(())
    }

    /// Reads the array of items. An error inside an item makes only that item malformed, as long as the
    /// end of the item can be found. A superfluous comma counts as a malformed item, which is empty. An array of
    /// commas alone is an error.
    fn items(&mut self, scanner: &mut Scanner<'a>) -> Result<(), NotAPage> {
        if scanner.open_array()? {
            return Ok(());
        }
        loop {
            let start = scanner.position();
            let is_last = match self.envelope(scanner) {
                Ok(Ok(envelope)) => match scanner.separator() {
                    Ok(is_last) => {
                        self.push(envelope);
                        is_last
                    }
                    Err(error) => self.skip(scanner, start, error)?,
                },
                Ok(Err(unread)) => match scanner.separator() {
                    Ok(is_last) => {
                        self.push_malformed(unread.raw);
                        is_last
                    }
                    Err(error) => self.skip(scanner, start, error)?,
                },
                Err(error) => self.skip(scanner, start, error)?,
            };
            if is_last {
                let is_blank =
                    self.envelopes.is_empty() && self.malformed.iter().all(|item| item.raw.is_empty());
                return self.stray_comma.filter(|_| is_blank).map_or(Ok(()), |error| Err(error.into()));
            }
            if self.envelopes.len() + self.malformed.len() >= MOST_ITEMS {
                return Err(NotAPage::TooManyItems);
            }
        }
    }

    #[cold]
    fn skip(
        &mut self,
        scanner: &mut Scanner<'a>,
        start: usize,
        error: SyntaxError,
    ) -> Result<bool, NotAPage> {
        let raw = scanner.skip_item(start, error)?;
        if raw.is_empty() {
            self.stray_comma = self.stray_comma.or(Some(error));
        }
        self.push_malformed(raw);
        Ok(scanner.separator()?)
    }

    fn push(&mut self, envelope: Envelope) {
        if self.received.is_some() && !self.is_utf8(&envelope.raw.range()) {
            return self.push_malformed(envelope.raw.range());
        }
        if self.envelopes.is_empty() {
            // The number of items if the others are like this one.
            let Range { start, end } = envelope.raw.range();
            let likely = (self.text.len() - start) / (end - start).max(1);
            self.envelopes.reserve_exact(likely.min(MOST_ITEMS));
        }
        self.envelopes.push(envelope);
    }

    /// Stores the position of a malformed item.
    #[expect(clippy::cast_possible_truncation, reason = "no page has more than MOST_ITEMS")]
    fn push_malformed(&mut self, raw: Range<usize>) {
        if let Some(received) = self.received
            && !self.is_utf8(&raw)
        {
            let lossy = String::from_utf8_lossy(received.get(raw.clone()).unwrap_or_default());
            let span = self.append(&lossy);
            self.lossy.push((self.malformed.len() as u32, span));
        }
        let index = (self.envelopes.len() + self.malformed.len()) as u32;
        self.malformed.push(MalformedSpan { index, raw: raw.into() });
    }

    /// Returns whether the next item is UTF-8, and checks what is before it.
    fn is_utf8(&mut self, item: &Range<usize>) -> bool {
        self.check_outside(item.start);
        self.checked = item.end;
        self.received
            .and_then(|received| received.get(item.clone()))
            .is_none_or(|item| str::from_utf8(item).is_ok())
    }

    /// Checks what is outside of items, up to `end`.
    fn check_outside(&mut self, end: usize) {
        let outside = self.received.and_then(|received| received.get(self.checked..end)).unwrap_or_default();
        if let Err(error) = str::from_utf8(outside) {
            self.stray = self.stray.or(Some(self.checked + error.valid_up_to()));
        }
        self.checked = self.checked.max(end);
    }

    /// Reads an item. Of a key that occurs twice the last value counts, as in [`serde_json::Value`].
    pub(super) fn envelope(
        &mut self,
        scanner: &mut Scanner<'a>,
    ) -> Result<Result<Envelope, Unread>, SyntaxError> {
        if scanner.peek()? != Kind::Object {
            return Ok(Err(Unread { raw: scanner.value()?, fault: ItemFault::NotAnObject }));
        }
        let (mut created, mut resource, mut event_type) = (None, None, None);
        let [mut actor_id, mut org_id, mut app_id] = [Some(Span::default()); 3];
        let [mut data, mut errors] = [Span::default(); 2];
        let mut id = None;
        let start = scanner.position();
        scanner.object(|scanner, key| {
            match key.value().as_deref() {
                Some("id") => id = self.string(scanner, false)?.filter(|&id| !id.is_empty()),
                Some("resource") => resource = parse(scanner, |name| Some(Resource::from(name)))?,
                Some("type") => event_type = parse(scanner, |name| Some(EventType::from(name)))?,
                Some("created") => created = parse(scanner, parse_time)?,
                Some("actorId") => actor_id = self.string(scanner, true)?,
                Some("orgId") => org_id = self.string(scanner, true)?,
                Some("appId") => app_id = self.string(scanner, true)?,
                Some("data") => data = present(scanner)?,
                Some("errors") => errors = present(scanner)?,
                _ => {
                    scanner.value()?;
                }
            }
            Ok::<_, SyntaxError>(())
        })?;
        let raw = start..scanner.position();
        let missing = |key| Ok(Err(Unread { raw: raw.clone(), fault: ItemFault::Member(key) }));
        let Some(id) = id else { return missing("id") };
        let Some(resource) = resource else { return missing("resource") };
        let Some(event_type) = event_type else { return missing("type") };
        let Some(created) = created else { return missing("created") };
        let Some(actor_id) = actor_id else { return missing("actorId") };
        let Some(org_id) = org_id else { return missing("orgId") };
        let Some(app_id) = app_id else { return missing("appId") };
        let raw = raw.into();
        Ok(Ok(Envelope { raw, id, actor_id, org_id, app_id, data, errors, created, resource, event_type }))
    }

    /// Reads a value that must be a string, or null if `nullable`.
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
        let value = quoted.value()?;
        Some(self.append(&value))
    }

    /// Appends a string to the text of the batch.
    fn append(&mut self, text: &str) -> Span {
        let start = self.text.len() + self.appended.len();
        self.appended += text;
        (start..self.text.len() + self.appended.len()).into()
    }
}

/// Reads a value that must be a string that `read` accepts.
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
