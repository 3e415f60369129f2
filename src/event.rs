//! `Event`: its text, and what is read of it.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::error::{Error, MalformedItem, Result};

pub(crate) mod batch;
mod data;
mod kind;
mod stored;
mod time;

use batch::{Batch, Envelope};
pub use data::{Attachment, EventData, Recipient};
pub use kind::{EventType, Resource, UnknownName};

/// One event, with the text it came in.
///
/// The envelope (id, resource, type, who, when) is read when an event arrives; what happened,
/// [`data`](Self::data), is decoded when it is asked for. [`raw`](Self::raw) is the whole event as the
/// service sent it, byte for byte, so nothing that this version doesn't know is ever lost; writing an event
/// out is writing that, and serialising it to JSON does so.
///
/// An event is two words, and cloning it is cheap: all events of a page share the page's text. One
/// that is kept keeps its whole page in memory (about a megabyte at 1,000 events);
/// [`into_owned`](Self::into_owned) gives it a text of its own.
///
/// ```
/// use webex_events::{Event, EventType, Resource};
///
/// let text = r#"{"id":"Y2lz","resource":"messages","type":"created","actorId":"UEVP","appId":"null",
///     "created":"2026-01-05T09:00:00.123Z","data":{"roomType":"direct","text":"ok","mood":"fine"}}"#;
/// let event = Event::from_json(text)?;
///
/// assert_eq!(event.id(), "Y2lz");
/// assert_eq!((event.resource(), event.event_type()), (&Resource::Messages, &EventType::Created));
/// assert_eq!((event.actor_id(), event.app_id()), (Some("UEVP"), None));
/// assert_eq!(event.created().timestamp_millis(), 1_767_603_600_123);
/// let data = event.data()?;
/// assert_eq!(data.text.as_deref(), Some("ok"));
/// assert_eq!(data.extra["mood"], "fine");
/// assert_eq!(event.raw(), text);
/// # Ok::<(), webex_events::Error>(())
/// ```
///
/// # Stored events
///
/// With `serde`, an event is its text: verbatim in JSON, as a string in formats that are not human-readable, such as
/// `MessagePack`, `postcard` and CBOR. Through [`serde_json::Value`] an event keeps its JSON value, but not its bytes:
/// white space, the order of keys and the digits of numbers can change. An event with a number that `Value` cannot hold
/// (`1e400`) fails to be written there.
#[derive(Clone)]
pub struct Event {
    batch: Arc<Batch>,
    /// Which of the batch's events it is.
    place: u32,
    /// Which of the batch's items.
    index: u32,
}

/// Why the service couldn't give a field of an event, which may then hold ciphertext.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct FieldError {
    /// What went wrong, as a word. The only documented one is `kms_failure`: the key to decrypt the
    /// field couldn't be had, and asking for the event again later may help.
    pub code: String,
    /// What went wrong, as a sentence.
    pub reason: String,
}

impl Event {
    /// The item at `index`, which must be in the batch, or what is wrong with it.
    pub(crate) fn of(batch: &Arc<Batch>, index: usize) -> Result<Self> {
        // No batch has that many items.
        let short = |number| u32::try_from(number).unwrap_or(u32::MAX);
        match batch.find(index) {
            Ok(place) => Ok(Self { batch: Arc::clone(batch), place: short(place), index: short(index) }),
            Err(number) => Err(MalformedItem::shared(Arc::clone(batch) as _, number).into()),
        }
    }

    /// Reads an event from its JSON text, such as a line that an exporter wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Item`] if the text isn't JSON or isn't an event: an object with the strings `id`,
    /// `resource`, `type` and a time `created`, and `actorId`, `orgId` and `appId` that are strings,
    /// null or absent.
    pub fn from_json(text: impl Into<String>) -> Result<Self> {
        match Batch::item(text.into()) {
            Ok(batch) => Self::of(&Arc::new(batch), 0),
            Err((text, error)) => Err(MalformedItem::new(text, 0, error.to_string()).into()),
        }
    }

    /// The event's own id: opaque, and what `Client::get` takes.
    #[must_use]
    pub fn id(&self) -> &str {
        self.envelope().id(&self.batch)
    }

    /// What the event is about.
    #[must_use]
    pub fn resource(&self) -> &Resource {
        &self.envelope().resource
    }

    /// What happened.
    #[must_use]
    pub fn event_type(&self) -> &EventType {
        &self.envelope().event_type
    }

    /// Who did it: a person's id.
    #[must_use]
    pub fn actor_id(&self) -> Option<&str> {
        self.envelope().actor_id(&self.batch)
    }

    /// The organization. Live events have been seen without one.
    #[must_use]
    pub fn org_id(&self) -> Option<&str> {
        self.envelope().org_id(&self.batch)
    }

    /// The app that did it. The service also writes the string `"null"` for none.
    #[must_use]
    pub fn app_id(&self) -> Option<&str> {
        self.envelope().app_id(&self.batch)
    }

    /// When it happened.
    #[must_use]
    pub fn created(&self) -> DateTime<Utc> {
        self.envelope().created
    }

    /// The details of what happened, decoded anew at each call. An event without `data` has empty details.
    ///
    /// A number that `f64` cannot hold, such as `1e400`, is read as a string with its digits.
    ///
    /// # Errors
    ///
    /// [`Error::Item`] if `data` is not an object, is nested more than about 120 deep, or contains half a
    /// surrogate pair. The rest of the event can be read nevertheless.
    pub fn data(&self) -> Result<EventData> {
        let Some(text) = self.envelope().data(&self.batch) else { return Ok(EventData::default()) };
        if let Some(data) = EventData::scan(text) {
            return Ok(data);
        }
        serde_json::from_str(text).map_err(|error| self.unreadable("data", &error))
    }

    /// The JSON text of `data`, byte for byte as received; `{}` if it is missing or null.
    ///
    /// ```
    /// use webex_events::Event;
    ///
    /// let event = Event::from_json(
    ///     r#"{"id":"a","resource":"rooms","type":"created","created":"2026-01-05T09:00:00Z","data":{ "title":"b" }}"#,
    /// )?;
    /// assert_eq!(event.data_raw(), r#"{ "title":"b" }"#);
    /// # Ok::<(), webex_events::Error>(())
    /// ```
    #[must_use]
    pub fn data_raw(&self) -> &str {
        self.envelope().data(&self.batch).unwrap_or("{}")
    }

    /// Decodes `data` into a type of your own. A missing `data` is decoded from `{}`.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use webex_events::Event;
    ///
    /// #[derive(Deserialize)]
    /// struct Room {
    ///     title: Option<String>,
    /// }
    ///
    /// let event = Event::from_json(
    ///     r#"{"id":"a","resource":"rooms","type":"created","created":"2026-01-05T09:00:00Z","data":{"title":"b"}}"#,
    /// )?;
    /// assert_eq!(event.data_as::<Room>()?.title.as_deref(), Some("b"));
    /// # Ok::<(), webex_events::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Item`] if `data` does not have the form that the type requires. The error says where, and not what is
    /// there.
    pub fn data_as<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(self.data_raw()).map_err(|error| self.unreadable("data", &error))
    }

    /// Whether the service could not provide some fields of `data`: whether `errors` is there and not empty.
    ///
    /// It costs less than [`errors`](Self::errors), and is true as well where that fails.
    ///
    /// ```
    /// use webex_events::Event;
    ///
    /// let event = Event::from_json(
    ///     r#"{"id":"a","resource":"rooms","type":"created","created":"2026-01-05T09:00:00Z","data":{},
    ///         "errors":{"title":{"code":"kms_failure","reason":"No key."}}}"#,
    /// )?;
    /// assert!(event.has_errors());
    /// assert_eq!(event.errors()?["title"].code, "kms_failure");
    /// # Ok::<(), webex_events::Error>(())
    /// ```
    #[must_use]
    pub fn has_errors(&self) -> bool {
        let is_empty = |text: &str| {
            text.strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'))
                .is_some_and(|inner| inner.trim().is_empty())
        };
        self.envelope().errors(&self.batch).is_some_and(|text| !is_empty(text))
    }

    /// The fields of `data` that the service could not provide, by name, with the reasons. Almost always empty.
    ///
    /// # Errors
    ///
    /// [`Error::Item`] if `errors` is not an object of objects.
    pub fn errors(&self) -> Result<BTreeMap<String, FieldError>> {
        let Some(text) = self.envelope().errors(&self.batch) else { return Ok(BTreeMap::new()) };
        let fields: BTreeMap<String, serde_json::Map<String, Value>> =
            serde_json::from_str(text).map_err(|error| self.unreadable("errors", &error))?;
        let read = |(field, error): (String, serde_json::Map<String, Value>)| {
            let error = FieldError::deserialize(Value::Object(error))?;
            Ok((field, error))
        };
        fields
            .into_iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|error| self.unreadable("errors", &error))
    }

    /// The JSON text of this event, byte for byte as received, without the white space around it.
    #[must_use]
    pub fn raw(&self) -> &str {
        self.envelope().raw(&self.batch)
    }

    /// The same event with a text of its own, so that it no longer keeps its page in memory.
    #[must_use]
    pub fn into_owned(self) -> Self {
        Self::from_json(self.raw()).unwrap_or(self)
    }

    fn envelope(&self) -> &Envelope {
        self.batch.event(self.place as usize)
    }

    fn unreadable(&self, key: &str, error: &serde_json::Error) -> Error {
        // Its own words can repeat what stands there.
        let (line, column) = (error.line(), error.column());
        MalformedItem::new(
            self.raw(),
            self.index as usize,
            format!("`{key}` can't be decoded at its {line}:{column}"),
        )
        .into()
    }
}

/// By [`raw`](Event::raw) text.
impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.raw() == other.raw()
    }
}

impl Eq for Event {}

/// By [`raw`](Event::raw) text.
impl Hash for Event {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.raw().hash(state);
    }
}

/// The envelope. What happened is personal and stays out.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("id", &self.id())
            .field("resource", &self.resource().as_str())
            .field("event_type", &self.event_type().as_str())
            .field("created", &self.created())
            .finish_non_exhaustive()
    }
}
