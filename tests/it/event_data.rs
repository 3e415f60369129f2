//! `EventData`: known and unknown shapes of data.

mod fixtures;
mod keys;

use std::{collections::BTreeMap, fmt::Write as _};

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use webex_events::{Attachment, EventData, Recipient};

use self::{
    fixtures::fixture,
    keys::{Kind, assert_kept, extra, keys},
};

fn decode(data: &str) -> EventData {
    serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    text.parse().ok()
}

/// Checks that every way of reading and writing gives the same.
fn assert_round_trips(data: &EventData) {
    let text = serde_json::to_string(data).unwrap();
    assert_eq!(&decode(&text), data, "{text}");
    assert_eq!(&serde_json::from_slice::<EventData>(text.as_bytes()).unwrap(), data);
    assert_eq!(&serde_json::from_reader::<_, EventData>(text.as_bytes()).unwrap(), data);
    let value = serde_json::to_value(data).unwrap();
    assert_eq!(&EventData::deserialize(&value).unwrap(), data);
    assert_eq!(&serde_json::from_value::<EventData>(value).unwrap(), data);
}

// ---- Each kind of value ----

#[test]
fn a_value_that_fits_its_key_is_in_its_field() {
    for (kind, key) in keys() {
        for (value, written) in kind.fits() {
            let data = decode(&json!({key: value}).to_string());
            assert_eq!(data.extra, Map::new(), "{key}: {value}");
            assert_eq!(serde_json::to_value(&data).unwrap(), json!({key: written}), "{key}: {value}");
            assert_round_trips(&data);
        }
    }
}

#[test]
fn a_value_that_does_not_fit_is_kept_unchanged() {
    for (kind, key) in keys() {
        for value in kind.misfits() {
            let mut expected = EventData::default();
            expected.extra = extra(json!({key: value}));
            let data = decode(&json!({key: value}).to_string());
            assert_eq!(data, expected, "{key}: {value}");
            assert_eq!(serde_json::to_value(&data).unwrap(), json!({key: value}));
            assert_round_trips(&data);
        }
    }
}

#[test]
fn null_is_none() {
    for (_, key) in keys().chain([(Kind::Text, "corelationId")]) {
        assert_eq!(decode(&json!({key: null}).to_string()), EventData::default(), "{key}");
    }
}

#[test]
fn an_empty_time_is_none() {
    for (_, key) in keys().filter(|(kind, _)| *kind == Kind::Time) {
        assert_eq!(decode(&json!({key: ""}).to_string()), EventData::default(), "{key}");
    }
}

#[test]
fn of_a_repeated_key_the_last_value_counts() {
    for (kind, key) in keys() {
        let (fit, misfit) = (kind.fits().remove(0).0, kind.misfits().remove(0));
        for values in [[&fit, &misfit], [&misfit, &fit], [&fit, &Value::Null], [&misfit, &Value::Null]] {
            let last = decode(&json!({key: values[1]}).to_string());
            let both = format!(r#"{{"{key}":{},"x":1,"{key}":{},"x":[]}}"#, values[0], values[1]);
            let mut data = decode(&both);
            assert_eq!(data.extra.remove("x"), Some(json!([])));
            assert_eq!(data, last, "{both}");
        }
    }
}

#[test]
fn unknown_keys_are_kept_even_if_their_value_is_null() {
    let json = json!({"roomid": "a", "ID": "b", "": {}, "room_id": 1, "extra": {"a": 1}, "new": null});
    let data = decode(&json.to_string());
    assert_eq!(Value::from(data.extra.clone()), json);
    assert_round_trips(&data);
}

/// The ids of a card's inputs are its author's choice; by `serde_json`'s own rules these two break.
#[test]
fn no_key_makes_data_undecodable() {
    for key in ["$serde_json::private::RawValue", "$serde_json::private::Number"] {
        for value in [json!("{"), json!(5)] {
            let text = json!({"id": "a", "inputs": {key: value}, "new": [{key: value}]}).to_string();
            let data = decode(&text);
            assert_eq!(data.inputs.as_ref().unwrap()[key], value);
            assert_eq!(serde_json::to_string(&data).unwrap(), text);
        }
        decode(&json!({key: "{"}).to_string());
    }
}

#[test]
fn escaped_keys_are_keys() {
    let data = decode(r#"{"room\u0049d":"a","n\u0065w":1}"#);
    assert_eq!((data.room_id.as_deref(), &data.extra), (Some("a"), &extra(json!({"new": 1}))));
}

#[test]
fn a_malformed_value_inside_a_recipient_stays_there() {
    let data = decode(r#"{"recipients":[{"personId":5,"personEmail":"a","new":1}]}"#);
    let [recipient] = &data.recipients.unwrap()[..] else { panic!("one recipient") };
    assert_eq!((recipient.person_id.as_ref(), recipient.person_email.as_deref()), (None, Some("a")));
    assert_eq!(recipient.extra, extra(json!({"personId": 5, "new": 1})));
    assert_eq!(data.extra, Map::new());
}

#[test]
fn the_parts_can_be_decoded_separately() {
    let recipient: Recipient = serde_json::from_str(r#"{"guestEmail":"a"}"#).unwrap();
    assert_eq!(recipient.guest_email.as_deref(), Some("a"));
    let attachment: Attachment = serde_json::from_str(r#"{"content":{}}"#).unwrap();
    assert_eq!(attachment.content, Some(json!({})));
    assert!(serde_json::from_str::<Recipient>("5").is_err());
    assert!(serde_json::from_str::<Attachment>("[]").is_err());
}

// ---- The two spellings ----

#[test]
fn either_spelling_fills_the_correlation_id() {
    for (json, id, rest) in [
        (json!({"corelationId": "a"}), Some("a"), json!({})),
        (json!({"correlationId": "a"}), Some("a"), json!({})),
        (json!({"corelationId": "a", "correlationId": "a"}), Some("a"), json!({})),
        (json!({"corelationId": "a", "correlationId": null}), Some("a"), json!({})),
        (json!({"corelationId": null, "correlationId": "b"}), Some("b"), json!({})),
        (json!({"corelationId": "a", "correlationId": "b"}), Some("b"), json!({"corelationId": "a"})),
        (json!({"corelationId": 5, "correlationId": "b"}), Some("b"), json!({"corelationId": 5})),
        (json!({"corelationId": 5}), None, json!({"corelationId": 5})),
        (
            json!({"corelationId": "a", "correlationId": 5}),
            None,
            json!({"corelationId": "a", "correlationId": 5}),
        ),
    ] {
        let mut fields: Vec<_> =
            json.as_object().unwrap().iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        for _ in 0..2 {
            let data = decode(&format!("{{{}}}", fields.join(",")));
            assert_eq!(data.correlation_id.as_deref(), id, "{json}");
            assert_eq!(Value::from(data.extra.clone()), rest, "{json}");
            assert_round_trips(&data);
            fields.reverse();
        }
    }
}

#[test]
fn of_a_repeated_spelling_the_last_value_counts() {
    let id = |data: &str| decode(data).correlation_id;
    assert_eq!(id(r#"{"corelationId":"a","corelationId":"b"}"#).as_deref(), Some("b"));
    assert_eq!(id(r#"{"corelationId":"a","corelationId":null}"#), None);
    assert_eq!(decode(r#"{"corelationId":5,"corelationId":"b"}"#).extra, Map::new());
}

// ---- Data that can and can't be decoded ----

#[test]
fn an_empty_object_is_empty_data() {
    assert_eq!(decode("{}"), EventData::default());
    assert_eq!(serde_json::to_string(&EventData::default()).unwrap(), "{}");
}

#[test]
fn data_that_is_not_an_object_fails() {
    for text in ["null", "true", "5", "1.5", "\"a\"", "[]", "[[\"id\",\"a\"]]", "", "{", "{\"id\":}"] {
        assert!(serde_json::from_str::<EventData>(text).is_err(), "{text}");
        if let Ok(value) = serde_json::from_str::<Value>(text) {
            assert!(EventData::deserialize(&value).is_err(), "{text}");
            assert!(serde_json::from_value::<EventData>(value).is_err(), "{text}");
        }
    }
}

#[test]
fn fails_where_the_text_is_refused() {
    let nested = |levels: usize| format!(r#"{{"id":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    assert!(serde_json::from_str::<EventData>(&nested(126)).is_ok());
    assert!(serde_json::from_str::<EventData>(&nested(127)).is_err());
    assert!(serde_json::from_str::<EventData>(r#"{"text":"\ud800"}"#).is_err());
}

#[test]
fn decodes_through_the_buffer_of_an_untagged_enum() {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Data(Box<EventData>),
    }
    let (text, _) = fixture("messages-created");
    let Either::Data(data) = serde_json::from_str(&text).unwrap();
    assert_eq!(*data, decode(&text));
}

#[test]
fn decodes_beside_other_keys() {
    #[derive(Deserialize)]
    struct Beside {
        id: String,
        #[serde(flatten)]
        data: EventData,
    }
    let Beside { id, data } = serde_json::from_str(r#"{"id":"a","roomId":"b","isLocked":"yes"}"#).unwrap();
    assert_eq!((&*id, data.id, data.room_id.as_deref(), data.is_locked), ("a", None, Some("b"), Some(true)));
}

/// The parts of an `Event` can be sent between threads, like the event.
#[test]
fn is_send_and_sync() {
    fn check<T: Send + Sync + Unpin + 'static>() {}
    check::<EventData>();
    check::<Recipient>();
    check::<Attachment>();
}

// ---- Any object ----

fn any_key() -> impl Strategy<Value = String> {
    let known: Vec<_> = keys().map(|(_, key)| key).chain(["corelationId"]).collect();
    prop_oneof![
        6 => prop::sample::select(known).prop_map(str::to_owned),
        1 => prop_oneof!["corelationId", "correlationId"],
        1 => "[a-z]{0,2}",
        1 => any::<String>(),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    const WORDS: &[&str] = &[
        "",
        "yes",
        "No",
        "TRUE",
        "false",
        "192",
        "007",
        "-1",
        "a",
        "2026-01-05T09:00:00Z",
        "2026-01-05T11:30:00.1234567+02:30",
        "2026-01-05T09:00:00-0130",
        "2026-02-30T00:00:00Z",
    ];
    // Not all floats survive a text: serde_json's reader may be off in the last digit.
    let float = any::<f64>().prop_filter("as read again", |float| {
        serde_json::from_str::<Value>(&json!(float).to_string()).is_ok_and(|read| read == json!(float))
    });
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        2 => any::<bool>().prop_map(Value::from),
        2 => any::<u64>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => float.prop_map(Value::from),
        4 => prop::sample::select(WORDS).prop_map(Value::from),
        2 => any::<String>().prop_map(Value::from),
    ];
    let inner_key = prop_oneof![
        3 => "personId|personEmail|guestEmail|guestDisplayName|contentType|content",
        1 => any::<String>(),
    ];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        let object = prop::collection::btree_map(inner_key.clone(), inner.clone(), 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()));
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::Array),
            object.clone(),
            prop::collection::vec(object, 0..3).prop_map(Value::Array),
            prop::collection::vec(any::<String>(), 0..3).prop_map(Value::from),
        ]
    })
}

fn text_of(entries: &[(String, Value)]) -> String {
    let mut text = String::from("{");
    for (at, (key, value)) in entries.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(text, "{comma}{}:{value}", Value::from(key.as_str())).unwrap();
    }
    text + "}"
}

proptest! {
    #[test]
    fn any_object_decodes_and_survives(entries in prop::collection::vec((any_key(), any_json()), 0..12)) {
        let data = decode(&text_of(&entries));
        assert_round_trips(&data);

        let last: BTreeMap<_, _> = entries.into_iter().collect();
        let map: Map<_, _> = last.into_iter().collect();
        assert_kept(&map, &data);
        prop_assert_eq!(serde_json::from_value::<EventData>(map.into()).unwrap(), data);
    }
}
