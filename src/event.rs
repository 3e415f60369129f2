//! `Event`: the text of an event, and the members that are read from it.

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

/// One event, with its text as received.
///
/// The envelope (id, resource, type, actor, time) is read when an event arrives. The details,
/// [`data`](Self::data), are decoded only when they are requested. [`raw`](Self::raw) is the whole event as the
/// service sent it, byte for byte, so nothing that this version doesn't know is lost. Serializing an event to JSON
/// writes that text.
///
/// Cloning an event is cheap: all events of a page share the page's text. An event
/// that is kept therefore keeps its whole page in memory (about a megabyte for 1,000 events);
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
    /// The position among the batch's events.
    entry: u32,
    /// The position among the batch's items.
    index: u32,
}

/// The reason why the service couldn't provide a field of an event, which may then contain ciphertext.
///
/// ```
/// use webex_events::Event;
///
/// let event = Event::from_json(
///     r#"{"id":"a","resource":"messages","type":"created","created":"2026-01-05T09:00:00Z",
///         "errors":{"text":{"code":"kms_failure","reason":"the key server failed"}}}"#,
/// )?;
/// assert_eq!(event.errors()?["text"].code, "kms_failure");
/// # Ok::<(), webex_events::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct FieldError {
    /// The kind of failure. The only documented one is `kms_failure`: the key that decrypts the
    /// field wasn't available. Requesting the event again later may help.
    pub code: String,
    /// A description of the failure.
    pub reason: String,
}

impl Event {
    /// Returns the item at `index`, which must be in the batch, or its fault if it is malformed.
    pub(crate) fn of(batch: &Arc<Batch>, index: usize) -> Result<Self> {
        // No batch has that many items.
        let short = |number| u32::try_from(number).unwrap_or(u32::MAX);
        match batch.find(index) {
            Ok(entry) => Ok(Self { batch: Arc::clone(batch), entry: short(entry), index: short(index) }),
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

    /// Returns the event's own id, which is opaque. [`Client::get`](crate::Client::get) takes it.
    #[must_use]
    pub fn id(&self) -> &str {
        self.envelope().id(&self.batch)
    }

    /// Returns the kind of resource that the event is about.
    #[must_use]
    pub fn resource(&self) -> &Resource {
        &self.envelope().resource
    }

    /// Returns the type of the event: created, updated, deleted and so on.
    #[must_use]
    pub fn event_type(&self) -> &EventType {
        &self.envelope().event_type
    }

    /// Returns the id of the person who acted.
    #[must_use]
    pub fn actor_id(&self) -> Option<&str> {
        self.envelope().actor_id(&self.batch)
    }

    /// Returns the id of the organization. Real events can lack it.
    #[must_use]
    pub fn org_id(&self) -> Option<&str> {
        self.envelope().org_id(&self.batch)
    }

    /// Returns the id of the app that acted. The string `"null"`, which the service also writes, is `None`.
    #[must_use]
    pub fn app_id(&self) -> Option<&str> {
        self.envelope().app_id(&self.batch)
    }

    /// Returns the time of the event.
    #[must_use]
    pub fn created(&self) -> DateTime<Utc> {
        self.envelope().created
    }

    /// Decodes the details of the event, at each call. An event without `data` has empty details.
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

    /// Returns the JSON text of `data`, byte for byte as received; `{}` if it is missing or null.
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
    /// [`Error::Item`] if `data` does not have the form that the type requires. The error has the position of the fault,
    /// not the data.
    pub fn data_as<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(self.data_raw()).map_err(|error| self.unreadable("data", &error))
    }

    /// Returns whether the service could not provide some fields of `data`, that is, whether `errors` is not empty.
    ///
    /// It costs less than [`errors`](Self::errors), and is also true if that fails.
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

    /// Returns the fields of `data` that the service could not provide, by name, with the reasons. Almost always empty.
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

    /// Returns the JSON text of this event, byte for byte as received, without the white space around it.
    #[must_use]
    pub fn raw(&self) -> &str {
        self.envelope().raw(&self.batch)
    }

    /// Returns the same event with a text of its own, so that it no longer keeps its page in memory.
    #[must_use]
    pub fn into_owned(self) -> Self {
        Self::from_json(self.raw()).unwrap_or(self)
    }

    fn envelope(&self) -> &Envelope {
        self.batch.event(self.entry as usize)
    }

    fn unreadable(&self, key: &str, error: &serde_json::Error) -> Error {
        // The message of `serde_json` can repeat values of the event.
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

/// Shows the envelope. The details are personal, so they are left out.
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
