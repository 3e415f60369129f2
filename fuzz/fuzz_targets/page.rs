//! The body of a page, read by the crate and by a model of it in `serde_json`: both accept the same bodies
//! as pages, find the same items in them, and read the same values of each.

#![no_main]

use chrono::{DateTime, Datelike, Utc};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use webex_events::{Error, Event, EventData, internals};

mod model;

use model::members;

fuzz_target!(|body: &[u8]| {
    let found = internals::decode_page(body.to_vec());
    let Ok(text) = str::from_utf8(body) else {
        // Which items that makes malformed is for the tests to say. Their bytes are those of the body.
        for item in found.into_iter().flatten() {
            let (raw, item) = match &item {
                Ok(event) => (event.raw().as_bytes(), "an event"),
                Err(Error::Item(item)) => (item.bytes(), "malformed"),
                Err(error) => panic!("{error}"),
            };
            assert!(raw.is_empty() || body.windows(raw.len()).any(|part| part == raw), "{item}");
        }
        return;
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // What is not JSON as a whole can still be a page, with malformed items.
    let Some(expected) = items(text) else {
        for (index, item) in found.into_iter().flatten().enumerate() {
            match item {
                Ok(event) => compare(Ok(event.clone()), index, event.raw()),
                Err(Error::Item(item)) => assert!(text.contains(item.raw()) && item.index() == index, "{text}"),
                Err(error) => panic!("{error}"),
            }
        }
        return;
    };
    assert_eq!(found.as_ref().map(|items| items.len()), Some(expected.len()), "{text}");
    for (index, (item, raw)) in found.into_iter().flatten().zip(expected).enumerate() {
        compare(item, index, raw.get());
    }
});

/// The items of a page: of an object with one `items`, which is an array.
fn items(page: &str) -> Option<Vec<&RawValue>> {
    let mut items = members(page)?.into_iter().filter(|(key, _)| key == b"items");
    let (_, only) = items.next()?;
    if items.next().is_some() {
        return None;
    }
    serde_json::from_str(only.get()).ok()
}

fn compare(item: Result<Event, Error>, index: usize, raw: &str) {
    let expected = Envelope::read(raw);
    let alone = Event::from_json(raw);
    match item {
        Ok(event) => {
            let envelope = expected.expect("it isn't an event");
            assert_eq!(event.raw(), raw);
            envelope.compare(&event);
            envelope.compare(&alone.unwrap());
            envelope.compare(&event.into_owned());
        }
        Err(Error::Item(item)) => {
            assert!(expected.is_none() && alone.is_err(), "it is an event: {raw}");
            assert_eq!((item.raw(), item.index()), (raw, index));
        }
        Err(error) => panic!("{error}"),
    }
}

struct Envelope<'a> {
    id: String,
    resource: String,
    event_type: String,
    created: DateTime<Utc>,
    actor_id: Option<String>,
    org_id: Option<String>,
    app_id: Option<String>,
    data: Option<&'a str>,
}

impl<'a> Envelope<'a> {
    fn read(raw: &'a str) -> Option<Self> {
        let members = members(raw)?;
        let last = |name: &str| {
            members.iter().rev().find(|(key, _)| key == name.as_bytes()).map(|(_, value)| value.get())
        };
        let text = |name| serde_json::from_str::<String>(last(name)?).ok();
        let nullable = |name| match last(name) {
            None => Some(None),
            Some(value) => serde_json::from_str::<Option<String>>(value).ok(),
        };
        Some(Self {
            id: text("id").filter(|id| !id.is_empty())?,
            resource: text("resource")?,
            event_type: text("type")?,
            created: time(&text("created")?)?,
            actor_id: nullable("actorId")?,
            org_id: nullable("orgId")?,
            app_id: nullable("appId")?.filter(|id| id != "null"),
            data: last("data").filter(|&value| value != "null"),
        })
    }

    fn compare(&self, event: &Event) {
        assert_eq!(event.id(), self.id);
        assert_eq!(event.resource().as_str(), self.resource);
        assert_eq!(event.event_type().as_str(), self.event_type);
        assert_eq!(event.created(), self.created);
        assert_eq!(event.actor_id(), self.actor_id.as_deref());
        assert_eq!(event.org_id(), self.org_id.as_deref());
        assert_eq!(event.app_id(), self.app_id.as_deref());
        let data = self.data.map_or_else(|| Ok(EventData::default()), serde_json::from_str);
        // A number beyond `f64` is a string to the crate alone.
        if !data.as_ref().is_err_and(|error| error.to_string().contains("out of range")) {
            assert_eq!(event.data().ok(), data.ok(), "{:?}", self.data);
        }
    }
}

/// RFC 3339, the offset with or without its colon, in a year that RFC 3339 can write in UTC.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).or_else(|error| {
        let [.., b'+' | b'-', _, _, _, _] = text.as_bytes() else { return Err(error) };
        let Some((front, minutes)) = text.split_at_checked(text.len() - 2) else { return Err(error) };
        DateTime::parse_from_rfc3339(&format!("{front}:{minutes}"))
    });
    Some(time.ok()?.to_utc()).filter(|time| (0..=9999).contains(&time.year()))
}
