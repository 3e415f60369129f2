use std::fs;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::super::EventData;

/// If the short way returns a result, `serde_json` returns the same.
fn agrees(text: &str) -> bool {
    let scanned = EventData::scan(text);
    if let Some(data) = &scanned {
        match serde_json::from_str::<EventData>(text) {
            Ok(expected) => assert_eq!(data, &expected, "{text}"),
            // Numbers that `f64` can't hold are for the short way alone.
            Err(error) => assert!(error.to_string().contains("number out of range"), "{error}: {text}"),
        }
    }
    scanned.is_some()
}

#[test]
fn it_reads_every_fixture() {
    #[derive(serde::Deserialize)]
    struct EventText {
        data: Box<RawValue>,
    }
    let mut read = 0;
    for file in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures")).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let event = fs::read_to_string(path).unwrap();
        let event: EventText = serde_json::from_str(&event).unwrap();
        assert!(agrees(event.data.get()), "{}", event.data);
        read += 1;
    }
    assert!(read > 10);
}

#[test]
fn it_reads_unusual_values_that_fit() {
    for text in [
        "{}",
        " { } ",
        r#"{"roomId":"a","roomId":7,"room\u0049d":"b"}"#,
        r#"{"id":"a\u00e9\n\/\ud83d\ude00","new":{"a":[1,-0,1.5e3,{"":null}],"a":2}}"#,
        r#"{"corelationId":"a","correlationId":"b"}"#,
        r#"{"corelationId":5,"correlationId":null,"corelationId":"b"}"#,
        r#"{"callDurationSeconds":"0192","durationSeconds":18446744073709551615,"sizeBytes":-1}"#,
        r#"{"created":"","updated":"2026-01-05T09:00:00+0000","startTime":"noon"}"#,
        r#"{"recipients":[{"personId":5,"guestEmail":null}],"attachments":[{},5],"files":["a",null]}"#,
        r#"{"extra":1,"id":null,"host":[],"inputs":{"$serde_json::private::RawValue":"{"}}"#,
    ] {
        assert!(agrees(text), "{text}");
    }
}

#[test]
fn it_leaves_texts_that_may_be_refused_to_serde_json() {
    let nested = |levels| format!("{{\"new\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    for (text, reads) in [
        (nested(126), true),
        (nested(127), false),
        (nested(100_000), false),
        (r#"{"text":"\ud800"}"#.into(), false),
        (r#"{"new":"\ude00\ud83d"}"#.into(), false),
        (r#"{"\ud83dx":1}"#.into(), false),
        (r#"{"new":["\ud83d\u0041"]}"#.into(), false),
        (r#"{"new":{"$serde_json::private::Number":"5"}}"#.into(), true),
        ("[]".into(), false),
        ("null".into(), false),
        ("{}{}".into(), false),
        (r#"{"id":"a""#.into(), false),
        (r#"{"id":nul}"#.into(), false),
    ] {
        assert_eq!(agrees(&text), reads, "{text}");
    }
}

#[test]
fn a_number_that_f64_can_not_hold_is_a_string_with_its_text() {
    let data = EventData::scan(
        r#"{"exp":1e400,"inputs":{"n":[-1E+309]},"pageNumber":1e999,"text":1e400,"a":1e308,"b":1e-400,"seq":9007199254740993}"#,
    )
    .unwrap();
    assert_eq!(data.extra["exp"], "1e400");
    assert_eq!(data.inputs.as_ref().unwrap()["n"][0], "-1E+309");
    assert_eq!((data.page_number, &data.extra["pageNumber"]), (None, &"1e999".into()));
    assert_eq!(data.text.as_deref(), Some("1e400"));
    assert_eq!((data.extra["a"].as_f64(), data.extra["b"].as_f64()), (Some(1e308), Some(0.0)));
    assert_eq!(data.extra["seq"].as_u64(), Some(9_007_199_254_740_993));
    let stored = serde_json::to_string(&data).unwrap();
    assert_eq!(serde_json::from_str::<EventData>(&stored).unwrap(), data);
}

/// The inside of a string, with escapes, those of half a surrogate pair too.
fn inner() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[a-zA-Z0-9:. -]{0,12}",
        1 => "[\\PC&&[^\"\\\\]]{0,4}",
        2 => r#"\\["\\/bfnrt]"#,
        1 => r"\\u[0-9a-cA-C][0-9a-fA-F]{3}",
        1 => r"\\ud83d\\ude00",
        1 => prop_oneof![12 => r"\\uD83D\\uDE00", 1 => r"\\ud83d", 1 => r"\\ude00\\ud83d"],
    ];
    prop::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![6 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"]
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => inner().prop_map(|text| format!("\"{text}\"")),
        2 => r#""(yes|NO|True|false|0|7|0192|\+1|18446744073709551616|)""#,
        2 => r#""2026-0[1-9]-[0-3][0-9]T09:[0-6]0:00(\.[0-9]{1,9})?(Z|[+-]0[0-9]:?[0-9]0)""#,
        2 => "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?",
        2 => "true|false|null",
    ];
    leaf.prop_recursive(4, 24, 4, |inside| {
        let item = (space(), inside, space()).prop_map(|(a, value, b)| format!("{a}{value}{b}")).boxed();
        let key = prop_oneof![
            2 => prop::sample::select(
                &["personId", "personEmail", "guestEmail", "contentType", "content"][..]
            ).prop_map(str::to_owned),
            1 => inner(),
        ];
        let member = (key, item.clone()).prop_map(|(key, value)| format!("\"{key}\":{value}"));
        let object = prop::collection::vec(member, 0..4)
            .prop_map(|members| format!("{{{}}}", members.join(",")))
            .boxed();
        prop_oneof![
            prop::collection::vec(item, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            object.clone(),
            prop::collection::vec(object, 0..3).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(inner(), 1..3).prop_map(|items| format!("[\"{}\"]", items.join("\",\""))),
        ]
    })
}

fn object() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        8 => prop::sample::select(EventData::KEYS).prop_map(str::to_owned),
        1 => prop_oneof![Just("correlationId".to_owned()), Just("corelationId".to_owned())],
        1 => Just(r"room\u0049d".to_owned()),
        1 => inner(),
    ];
    let member = (space(), key, space(), space(), value(), space())
        .prop_map(|(a, key, b, c, value, d)| format!("{a}\"{key}\"{b}:{c}{value}{d}"));
    prop::collection::vec(member, 0..10).prop_map(|members| format!("{{{}}}", members.join(",")))
}

proptest! {
    #[test]
    fn it_agrees_with_serde_json_on_any_object(text in object()) {
        let read = agrees(&text);
        // The short way reads everything that `serde_json` reads.
        prop_assert!(read || serde_json::from_str::<EventData>(&text).is_err(), "{}", text);
    }

    #[test]
    fn it_agrees_with_serde_json_on_damaged_objects(
        text in object(),
        at in any::<prop::sample::Index>(),
        with in "[\\[\\]{}\",:\\\\0-9eun.\u{1f} -]?",
    ) {
        let at = text.char_indices().map(|(at, _)| at).nth(at.index(text.chars().count())).unwrap();
        let after = at + text[at..].chars().next().unwrap().len_utf8();
        agrees(&format!("{}{with}{}", &text[..at], &text[after..]));
        agrees(&format!("{}{with}{}", &text[..at], &text[at..]));
        agrees(&text[..at]);
    }
}
