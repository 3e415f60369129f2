//! Values that a user stores: each format reads back the same value, or refuses to write it.

use std::fmt::Debug;

use chrono::{TimeDelta, Utc};
use futures::StreamExt;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use webex_events::{Cursor, Event, EventData, EventType, ListEvents, Resource, Slice};

use crate::support::{Service, event_with, read_some};

/// The formats, each as a way out and back.
fn round_trips<T: Serialize + DeserializeOwned>(value: &T) -> [(&'static str, Option<T>); 6] {
    let cbor = || {
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes).ok()?;
        Some(ciborium::from_reader(&*bytes).unwrap())
    };
    let read_msgpack = |bytes: Vec<u8>| rmp_serde::from_slice(&bytes).unwrap();
    [
        ("JSON", serde_json::to_string(value).ok().map(|text| serde_json::from_str(&text).unwrap())),
        ("Value", serde_json::to_value(value).ok().map(|value| serde_json::from_value(value).unwrap())),
        ("MessagePack of arrays", rmp_serde::to_vec(value).ok().map(read_msgpack)),
        ("MessagePack of names", rmp_serde::to_vec_named(value).ok().map(read_msgpack)),
        ("postcard", postcard::to_stdvec(value).ok().map(|bytes| postcard::from_bytes(&bytes).unwrap())),
        ("CBOR", cbor()),
    ]
}

fn assert_survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    for (format, back) in round_trips(value) {
        assert_eq!(back.as_ref(), Some(value), "{format}");
    }
}

/// One with each single member, and one with all.
fn queries() -> Vec<ListEvents> {
    let now = Utc::now();
    vec![
        ListEvents::new(),
        ListEvents::new().resource(Resource::Rooms),
        ListEvents::new().event_type("read"),
        ListEvents::new().actor_id("a"),
        ListEvents::new().from(now),
        ListEvents::new().to(now),
        ListEvents::new().page_size(7),
        ListEvents::new().param("a", "b").param("a", ""),
        ListEvents::new()
            .resource("whiteboards")
            .event_type(EventType::Deleted)
            .actor_id("b")
            .from(now - TimeDelta::days(7))
            .to(now)
            .page_size(1000)
            .param("hasAttachments", "true"),
    ]
}

#[test]
fn a_query_survives_every_format() {
    for query in queries() {
        assert_survives(&query);
    }
}

#[test]
fn a_query_is_stored_by_the_names_of_its_parameters() {
    let query = ListEvents::new().event_type("read").page_size(7).param("a", "b");
    let stored = json!({"type": "read", "max": 7, "params": [["a", "b"]]});
    assert_eq!(serde_json::to_value(&query).unwrap(), stored);
    assert_eq!(serde_json::to_string(&ListEvents::new()).unwrap(), "{}");
}

#[test]
fn a_stored_query_with_an_unknown_or_repeated_member_is_refused() {
    for text in [
        r#"{"resource":"rooms","actor":"a"}"#,
        r#"{"eventType":"read"}"#,
        r#"{"max":7,"max":8}"#,
        r#"{"max":70000}"#,
        "[]",
        "null",
    ] {
        assert!(serde_json::from_str::<ListEvents>(text).is_err(), "{text}");
    }
    let error = serde_json::from_str::<ListEvents>(r#"{"eventType":"read"}"#).unwrap_err();
    assert!(error.to_string().contains("eventType"), "{error}");
}

#[test]
fn a_slice_survives_every_format() {
    let day = TimeDelta::days(1).to_std().unwrap();
    for query in queries() {
        let range =
            query.from("2026-01-01T00:00:00Z".parse().unwrap()).to("2026-01-03T06:00:00Z".parse().unwrap());
        let slices: Vec<Slice> = range.slices(day).unwrap().collect();
        assert_survives(&slices);
    }
}

#[tokio::test]
async fn a_cursor_survives_every_format() {
    let service = Service::list(&["a !1 b", "c"]).await;
    let mut events = service.client().list(queries().pop().unwrap().page_size(3));
    while let Some(cursor) = events.cursor() {
        assert_survives(&cursor);
        if events.next().await.is_none() {
            break;
        }
    }
    assert_survives(&Cursor::from_page_url("https://webexapis.com/v1/events?cursor=a").unwrap());
}

#[test]
fn an_event_survives_every_format_and_keeps_its_bytes_in_all_but_value() {
    for members in [
        "",
        r#", "data" : { "text":"a\u00e9\ud83d\ude00","n":0.10,"big":12345678901234567890,"null":null }"#,
        r#","data":{"b":[1,{"a":2}]}"#,
    ] {
        let event = Event::from_json(event_with("a", members)).unwrap();
        for (format, back) in round_trips(&event) {
            let back = back.unwrap_or_else(|| panic!("{format}"));
            if format == "Value" {
                let value = |event: &Event| serde_json::from_str::<Value>(event.raw()).unwrap();
                assert_eq!(value(&back), value(&event));
            } else {
                assert_eq!(back.raw(), event.raw(), "{format}");
            }
        }
    }
}

#[test]
fn an_event_that_a_value_can_not_hold_is_refused_when_it_is_written() {
    let event = Event::from_json(event_with("a", r#","data":{"n":1e400}"#)).unwrap();
    let survived: Vec<_> =
        round_trips(&event).into_iter().filter_map(|(format, back)| Some((format, back? == event))).collect();
    let expected = ["JSON", "MessagePack of arrays", "MessagePack of names", "postcard", "CBOR"];
    assert_eq!(survived, expected.map(|format| (format, true)));
}

fn data() -> EventData {
    let text = json!({
        "roomId": "a", "isVoiceClip": true, "pageNumber": 7, "created": "2026-01-05T09:00:00.123Z", "files": ["b"],
        "inputs": {"x": [1, null, {"y": 0.1}]}, "recipients": [{"personId": "c", "new": 1}],
        "attachments": [{"contentType": "d", "content": {"e": []}}], "calledNumber": 219,
        "new": {"f": [1.5e300, -7, 18_446_744_073_709_551_615_u64]},
    });
    serde_json::from_value(text).unwrap()
}

#[test]
fn data_survives_every_format() {
    assert_survives(&EventData::default());
    assert_survives(&data());
    let recipients = data().recipients.unwrap();
    assert_survives(&recipients);
    assert_survives(&data().attachments.unwrap());
}

#[test]
fn fractions_survive_to_the_last_digit() {
    for number in [0.1 + 0.2, 1.0 / 3.0, 5e-324, f64::MAX, 123_456_789.123_456_78, 2.225_073_858_507_201e-308]
    {
        let mut data = EventData::default();
        data.extra.insert("n".to_owned(), number.into());
        assert_survives(&data);
    }
}

#[test]
fn data_that_would_not_be_read_back_the_same_is_refused_when_it_is_written() {
    let mut twice = data();
    twice.extra.insert("roomId".to_owned(), "b".into());
    let mut late = data();
    late.updated = Some("+010000-01-01T00:00:00Z".parse().unwrap());
    let mut null = data();
    if let Some(attachments) = &mut null.attachments {
        attachments[0].content = Some(Value::Null);
    }
    for data in [twice, late, null] {
        for (format, back) in round_trips(&data) {
            assert!(back.is_none(), "{format}: {data:?}");
        }
    }
}

#[tokio::test]
async fn a_stored_cursor_resumes_the_same_in_every_format() {
    let service = Service::list(&["a !1 b", "c"]).await;
    let client = service.client();
    let mut events = client.list(ListEvents::new());
    read_some(2, &mut events).await;
    for (format, cursor) in round_trips(&events.cursor().unwrap()) {
        let rest = crate::support::read(client.resume(&cursor.unwrap())).await;
        assert_eq!(rest, ["b", "c"], "{format}");
    }
}
