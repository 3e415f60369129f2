//! An event keeps its text as received, and no item affects another.

mod hostile;

use std::{fs, path::Path};

use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use webex_events::{Error, Event, EventType, ListEvents, Resource};

use crate::support::{Service, body, event, event_with, kind, label, ok, within};

/// The text of each fixture, by its file's name.
fn fixtures() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut fixtures: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap().trim().to_owned())
        })
        .collect();
    fixtures.sort();
    assert!(fixtures.len() >= 34);
    fixtures
}

fn fixture(name: &str) -> Event {
    let (_, text) = fixtures().into_iter().find(|(other, _)| other == name).unwrap();
    Event::from_json(text).unwrap()
}

/// The events of a page with these items.
async fn listed(items: &[String]) -> Vec<webex_events::Result<Event>> {
    let text = body(items);
    let service = Service::start(move |_| ok(text.clone())).await;
    let list = service.client().list(ListEvents::new());
    within(list.collect()).await
}

// ---- the envelope ----

#[test]
fn every_fixture_is_an_event() {
    for (name, text) in fixtures() {
        let event = Event::from_json(&*text).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        let string = |key: &str| value.get(key).and_then(Value::as_str);
        assert_eq!(Some(event.id()), string("id"), "{name}");
        assert_eq!(Some(event.resource().as_str()), string("resource"), "{name}");
        assert_eq!(Some(event.event_type().as_str()), string("type"), "{name}");
        assert_eq!(event.actor_id(), string("actorId"), "{name}");
        assert_eq!(event.org_id(), string("orgId"), "{name}");
        assert_eq!(event.app_id(), string("appId").filter(|&id| id != "null"), "{name}");
        let created = chrono::DateTime::parse_from_rfc3339(string("created").unwrap()).unwrap();
        assert_eq!(event.created(), created, "{name}");
        assert_eq!(event.raw(), text, "{name}");
        event.data().unwrap();
        let has_errors = name == "item-with-field-errors";
        assert_eq!(
            (event.errors().unwrap().is_empty(), event.has_errors()),
            (!has_errors, has_errors),
            "{name}"
        );
        assert_eq!(serde_json::from_str::<Value>(event.data_raw()).unwrap(), value["data"], "{name}");
        assert_eq!(event.data_as::<Value>().unwrap(), value["data"], "{name}");
    }
}

#[tokio::test]
async fn every_fixture_is_the_same_event_in_a_page() {
    let (names, texts): (Vec<_>, Vec<_>) = fixtures().into_iter().unzip();
    let events = listed(&texts).await;
    for ((name, text), event) in names.iter().zip(&texts).zip(events) {
        let event = event.unwrap();
        assert_eq!(event.raw(), text, "{name}");
        assert_eq!(event, Event::from_json(&**text).unwrap(), "{name}");
    }
}

#[test]
fn unknown_names_are_kept() {
    let known = fixture("messages-created");
    assert_eq!((known.resource(), known.event_type()), (&Resource::Messages, &EventType::Created));
    let unknown = fixture("unknown-resource");
    assert_eq!((unknown.resource().as_str(), unknown.event_type().as_str()), ("whiteboards", "archived"));
    assert_eq!(unknown.data().unwrap().extra["somethingNew"], json!({"a": [1, null, true]}));
}

#[test]
fn an_app_id_that_says_null_is_none() {
    for (members, expected) in [
        ("", None),
        (r#","appId":"null""#, None),
        (r#","appId":null"#, None),
        (r#","appId":"\u006eull""#, None),
        (r#","appId":"Null""#, Some("Null")),
        (r#","appId":"app""#, Some("app")),
        (r#","appId":"a\"p\\p""#, Some("a\"p\\p")),
    ] {
        assert_eq!(Event::from_json(event_with("a", members)).unwrap().app_id(), expected, "{members}");
    }
}

#[test]
fn ids_that_are_missing_or_null_are_none() {
    let event = fixture("messages-created-minimal");
    assert_eq!((event.org_id(), event.app_id()), (None, None));
    let event = Event::from_json(event_with("a", r#","actorId":null,"orgId":null"#)).unwrap();
    assert_eq!((event.actor_id(), event.org_id()), (None, None));
}

#[test]
fn a_time_is_read_in_every_form_of_the_documentation() {
    for (text, millis) in [
        ("2016-05-16T21:34:59.324Z", 1_463_434_499_324),
        ("2015-10-18T14:26:16+00:00", 1_445_178_376_000),
        ("2015-10-18T16:26:16+02:00", 1_445_178_376_000),
        ("2026-01-05T09:00:00Z", 1_767_603_600_000),
        ("2026-01-05T09:00:00.123456789Z", 1_767_603_600_123),
    ] {
        let event = Event::from_json(event("a").replace("2026-01-05T09:00:00.123Z", text)).unwrap();
        assert_eq!(event.created().timestamp_millis(), millis, "{text}");
    }
}

#[test]
fn an_item_that_is_not_an_event_is_a_malformed_item_with_its_text() {
    let good = event("a");
    for text in
        ["", "null", "{}", "[]", "{\"id\":\"a\"}", &good[1..], &format!("{good}{good}"), &format!("{good},")]
    {
        let error = Event::from_json(text).unwrap_err();
        let Error::Item(item) = &error else { panic!("{error:?}") };
        assert_eq!((item.raw(), item.index()), (text, 0));
    }
}

// ---- the text ----

#[tokio::test]
async fn the_text_of_an_event_is_kept_byte_for_byte() {
    let texts = [
        r#"{ "id" : "a" ,"resource":"messages" , "type":"created","created":"2026-01-05T09:00:00Z"   }"#.to_owned(),
        "{\n\t\"id\":\"b\",\r\n\"resource\":\"messages\",\"type\":\"created\",\"created\":\"2026-01-05T09:00:00Z\"}".to_owned(),
        event_with("c", r#","id":"d","x":1,"x":2,"x":{"x":[]}"#),
        event_with("e", r#","data":{"text":"\u00e9\/\ud83d\ude00 \"q\" \\","n":1.50e+10,"big":123456789012345678901234567890}"#),
        event_with("f", r#","data":{"z":1,"a":2},"":null,"é😀":"☃""#),
        event_with("g", r#","data":{"text":"﻿  ]}, {\"id\":"}"#),
        r#"{"\u0069d":"h\u002fi","resource":"m\u0065ssages","type":"created","created":"2026-01-05T09:00:00\u005a"}"#.to_owned(),
    ];
    let events: Vec<Event> = listed(&texts).await.into_iter().map(Result::unwrap).collect();
    for (event, text) in events.iter().zip(&texts) {
        assert_eq!(event.raw(), text);
        assert_eq!(Event::from_json(&**text).unwrap().raw(), text);
    }
    let ids: Vec<&str> = events.iter().map(Event::id).collect();
    assert_eq!(ids, ["a", "b", "d", "e", "f", "g", "h/i"]);
    assert_eq!(events[6].resource(), &Resource::Messages);
}

#[tokio::test]
async fn space_between_items_is_not_part_of_them() {
    let [a, b] = [event("a"), event("b")];
    let text = format!("{{\"items\" :\n[ \t{a}\r\n ,\n\n{b}\t]\n}}\n");
    let service = Service::start(move |_| ok(text.clone())).await;
    let events: Vec<Event> = within(service.client().list(ListEvents::new()).try_collect()).await.unwrap();
    assert_eq!(events.iter().map(Event::raw).collect::<Vec<_>>(), [a, b]);
}

#[test]
fn an_event_is_written_as_it_was_received() {
    let text = event_with("a", r#", "data" : {"n":1.50,"n":2,"s":"\u00e9\/"} "#);
    let event = Event::from_json(&*text).unwrap();
    assert_eq!(serde_json::to_string(&event).unwrap(), text);
    assert_eq!(serde_json::to_string(&[&event, &event]).unwrap(), format!("[{text},{text}]"));
    assert_eq!(serde_json::to_string(&json!({"n": 1})).unwrap(), r#"{"n":1}"#);
    let mut out = Vec::new();
    serde_json::to_writer(&mut out, &event).unwrap();
    assert_eq!(out, text.as_bytes());
}

#[test]
fn an_event_is_read_as_it_was_written() {
    let text = event_with("a", r#", "data" : {"n":1.50,"n":2,"s":"\u00e9\/"} "#);
    let event: Event = serde_json::from_str(&text).unwrap();
    assert_eq!((event.id(), event.raw()), ("a", &*text));
    let events: Vec<Event> = serde_json::from_str(&format!("[ {text} , {text}]")).unwrap();
    assert_eq!(events.iter().map(Event::raw).collect::<Vec<_>>(), [&text, &text]);
    let event: Event = serde_json::from_reader(text.as_bytes()).unwrap();
    assert_eq!(event.raw(), text);
    assert!(serde_json::from_str::<Event>("{}").is_err());
    assert!(serde_json::from_str::<Event>("7").is_err());
}

#[tokio::test]
async fn events_with_the_same_text_are_equal() {
    let events = listed(&[event("a"), event("b"), event("a")]).await;
    let [a, b, again] = &events.into_iter().map(Result::unwrap).collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!(a, again);
    assert_ne!(a, b);
    assert_eq!(a.clone(), *a);
    let owned = a.clone().into_owned();
    assert_eq!((&owned, owned.raw(), owned.id()), (a, a.raw(), "a"));
    assert_eq!((owned.created(), owned.resource()), (a.created(), a.resource()));
    assert_eq!(Event::from_json(event("a")).unwrap(), *a);
}

// ---- data and errors ----

#[test]
fn a_missing_data_is_an_empty_one() {
    for members in ["", r#","data":{}"#, r#","data":null"#] {
        let data = Event::from_json(event_with("a", members)).unwrap().data().unwrap();
        assert_eq!((data.text, data.extra.len()), (None, 0), "{members}");
    }
}

#[tokio::test]
async fn data_of_a_wrong_kind_fails_without_its_event() {
    for data in ["[]", "[{}]", "7", "\"text\"", "true"] {
        let text = event_with("a", &format!(r#","data":{data}"#));
        for event in [Event::from_json(&*text), listed(std::slice::from_ref(&text)).await.remove(0)] {
            let event = event.unwrap();
            assert_eq!((event.id(), event.raw()), ("a", &*text));
            assert!(event.errors().unwrap().is_empty());
            let Error::Item(item) = event.data().unwrap_err() else { panic!("{data}") };
            assert_eq!(item.raw(), text);
        }
    }
}

#[test]
fn data_keeps_its_text_and_unknown_keys() {
    let event = Event::from_json(event_with(
        "a",
        r#","data":{"text":"hi \u00e9","mood":"fine","nested":{"a":[1,null]}}"#,
    ));
    let data = event.unwrap().data().unwrap();
    assert_eq!(data.text.as_deref(), Some("hi é"));
    assert_eq!(data.extra["mood"], "fine");
    assert_eq!(data.extra["nested"], json!({"a": [1, null]}));
}

#[test]
fn partial_failures_are_read() {
    let errors = fixture("item-with-field-errors").errors().unwrap();
    assert_eq!(errors.keys().collect::<Vec<_>>(), ["text"]);
    assert_eq!(errors["text"].code, "kms_failure");
    assert_eq!(errors["text"].reason, "Key management server failed to respond appropriately.");
    for members in ["", r#","errors":{}"#, r#","errors":null"#] {
        assert!(
            Event::from_json(event_with("a", members)).unwrap().errors().unwrap().is_empty(),
            "{members}"
        );
    }
}

#[tokio::test]
async fn malformed_errors_fail_without_their_event() {
    for errors in ["[]", "7", "\"no\"", r#"[{"description":"x"}]"#, r#"{"text":7}"#, r#"{"text":[]}"#] {
        let text = event_with("a", &format!(r#","data":{{"text":"x"}},"errors":{errors}"#));
        let events = listed(&[text.clone(), event("b")]).await;
        assert_eq!(events.iter().map(label).collect::<Vec<_>>(), ["a", "b"], "{errors}");
        let event = events[0].as_ref().unwrap();
        assert_eq!((event.raw(), event.data().unwrap().text.as_deref()), (&*text, Some("x")));
        // An empty array may be read as an empty object.
        match event.errors() {
            Err(Error::Item(_)) => {}
            Ok(read) => assert!(read.is_empty() && errors == "[]", "{errors}"),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_kept_event_can_be_read_from_many_threads() {
    let service = Service::list(&["a b c"]).await;
    let events: Vec<Event> = within(service.client().list(ListEvents::new()).try_collect()).await.unwrap();
    let ids: Vec<_> = events
        .into_iter()
        .map(|event| std::thread::spawn(move || event.id().to_owned()))
        .map(|thread| thread.join().unwrap())
        .collect();
    assert_eq!(ids, ["a", "b", "c"]);
}

// ---- errors, data types and equality of events ----

#[test]
fn the_text_of_data_is_kept_byte_for_byte() {
    for (members, expected) in [
        (r#","data": { "a" : 1e400 ,"b":"\ud800"} "#, r#"{ "a" : 1e400 ,"b":"\ud800"}"#),
        (r#","data":[1]"#, "[1]"),
        (r#","data":null"#, "{}"),
        ("", "{}"),
    ] {
        let event = Event::from_json(event_with("a", members)).unwrap();
        assert_eq!(event.data_raw(), expected);
        assert_eq!(event.into_owned().data_raw(), expected);
    }
}

#[test]
fn data_is_decoded_into_a_type_of_the_users_own() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Own {
        text: Option<String>,
    }
    let read = |members: &str| Event::from_json(event_with("a", members)).unwrap().data_as::<Own>();
    assert_eq!(read(r#","data":{"text":"b","x":1}"#).unwrap(), Own { text: Some("b".to_owned()) });
    assert_eq!(read("").unwrap(), Own { text: None });
    let error = read(r#","data":{"text":{"SECRET":1}}"#).unwrap_err();
    assert_eq!(kind(&error), "Item");
    assert!(!format!("{error} {error:?}").contains("SECRET"), "{error}");
}

#[test]
fn an_event_has_errors_where_there_is_one() {
    for (members, expected) in [
        ("", false),
        (r#","errors":null"#, false),
        (r#","errors":{ }"#, false),
        (r#","errors":{"text":{"code":"kms_failure"}}"#, true),
        (r#","errors":[]"#, true),
    ] {
        let event = Event::from_json(event_with("a", members)).unwrap();
        assert_eq!(event.has_errors(), expected, "{members}");
    }
}

#[test]
fn equal_events_have_equal_hashes() {
    let events = [event("a"), event("a"), event("b")].map(|text| Event::from_json(text).unwrap());
    let set: std::collections::HashSet<_> = events.iter().cloned().collect();
    assert_eq!(set.len(), 2);
}
