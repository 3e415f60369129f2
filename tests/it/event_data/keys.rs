//! Every key that `EventData` has a field for, with values that fit and values that don't.

use chrono::DateTime;
use serde_json::{Map, Value, json};
use webex_events::EventData;

/// The kind of a key's values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Text,
    YesNo,
    Whole,
    Time,
    Texts,
    Values,
    Object,
    Recipients,
    Attachments,
}
use Kind::{Attachments, Object, Recipients, Text, Texts, Time, Values, Whole, YesNo};

#[rustfmt::skip]
pub(crate) const KEYS: &[(Kind, &[&str])] = &[
    (Text, &[
        "id", "orgId", "type", "title", "status", "roomId", "roomType", "personId", "personEmail",
        "personDisplayName", "personOrgId", "creatorId", "ownerId", "text", "markdown", "html", "parentId",
        "teamId", "classificationId", "description", "titleEncryptionKeyUrl", "displayName", "contentUrl",
        "messageId", "fileContentUrl", "fileId", "meetingId", "breakoutSessionId", "scheduledMeetingId",
        "meetingSeriesId", "meetingTopic", "siteUrl", "hostUserId", "vttDownloadLink", "txtDownloadLink",
        "correlationId", "callType", "userId", "userType", "callDirection", "callingNumber", "callingLineId",
        "calledNumber", "calledLineId", "dialedDigits", "callRedirectingNumber", "callRedirectedReason",
        "topic", "format", "serviceType", "ownerEmail", "ownerType", "storageRegion",
    ]),
    (YesNo, &[
        "isVoiceClip", "isModerator", "isMonitor", "isRoomHidden", "isHidden", "isLocked", "isPublic",
        "isReadOnly", "isAnnouncementOnly", "transcriptionEnabled", "recordingEnabled",
        "hasPostMeetingsChat", "isCallAnswered",
    ]),
    (Whole, &["pageNumber", "callDurationSeconds", "durationSeconds", "sizeBytes"]),
    (Time, &[
        "created", "updated", "madePublic", "lastActivity", "startTime", "callStartTime", "callAnswerTime",
        "callTransferTime", "createTime", "timeRecorded",
    ]),
    (Texts, &["files", "mentionedPeople", "mentionedGroups"]),
    (Values, &["attendees"]),
    (Object, &["host", "inputs", "serviceData"]),
    (Recipients, &["recipients"]),
    (Attachments, &["attachments"]),
];

pub(crate) fn keys() -> impl Iterator<Item = (Kind, &'static str)> {
    KEYS.iter().flat_map(|(kind, keys)| keys.iter().map(move |key| (*kind, *key)))
}

pub(crate) fn kind(key: &str) -> Option<Kind> {
    keys().find(|known| known.1 == key).map(|known| known.0)
}

impl Kind {
    /// Values that fit, and the values as written.
    pub(crate) fn fits(self) -> Vec<(Value, Value)> {
        let same = |values: Value| -> Vec<_> {
            let Value::Array(values) = values else { panic!("{values} is no list") };
            values.into_iter().map(|value| (value.clone(), value)).collect()
        };
        match self {
            Text => same(json!(["", "a", "null", "ünï\n"])),
            YesNo => [("true", true), ("TRUE", true), ("Yes", true), ("no", false), ("False", false)]
                .map(|(text, value)| (json!(text), json!(value)))
                .into_iter()
                .chain(same(json!([true, false])))
                .collect(),
            Whole => [("0", 0), ("192", 192), ("0192", 192), ("18446744073709551615", u64::MAX)]
                .map(|(text, value)| (json!(text), json!(value)))
                .into_iter()
                .chain(same(json!([0, 192, u64::MAX])))
                .collect(),
            Time => [
                ("2026-01-05T09:00:00Z", "2026-01-05T09:00:00.000Z"),
                ("2026-01-05T09:00:00.123Z", "2026-01-05T09:00:00.123Z"),
                ("2026-01-05T09:00:00.123456Z", "2026-01-05T09:00:00.123456Z"),
                ("2026-01-05T09:00:00.000000001Z", "2026-01-05T09:00:00.000000001Z"),
                ("2026-01-05T11:30:00+02:30", "2026-01-05T09:00:00.000Z"),
                ("2026-01-05T09:00:00+0000", "2026-01-05T09:00:00.000Z"),
                ("2026-01-05T01:00:00.5-0800", "2026-01-05T09:00:00.500Z"),
                ("2016-12-31T23:59:60Z", "2016-12-31T23:59:60.000Z"),
            ]
            .map(|(text, value)| (json!(text), json!(value)))
            .into(),
            Texts => same(json!([[], ["a", ""]])),
            Values => same(json!([[], ["a@example.com", {"id": "a"}, null, 5, [1.5]]])),
            Object => same(json!([{}, {"a": {"b": [null, 1.5, -1]}, "c": null}])),
            Recipients => vec![
                (json!([]), json!([])),
                (json!([{}]), json!([{}])),
                (
                    json!([{"personId": "a", "guestEmail": null, "new": null}, {"personEmail": 5}]),
                    json!([{"personId": "a", "new": null}, {"personEmail": 5}]),
                ),
            ],
            Attachments => vec![
                (json!([]), json!([])),
                (
                    json!([{"contentType": "a", "content": null}, {"content": [1], "contentType": {}}]),
                    json!([{"contentType": "a"}, {"content": [1], "contentType": {}}]),
                ),
            ],
        }
    }

    /// Values that don't fit.
    pub(crate) fn misfits(self) -> Vec<Value> {
        let all = json!([true, false, -1, 0, 1.5, "", "a", [], ["a", 5], [null], [{}, "a"], {}, {"a": 1}]);
        let further = match self {
            Text | Values => json!([]),
            YesNo => json!(["y", "yes ", "1", "tru", "ｙｅｓ"]),
            Whole => json!(["-1", "+1", "1.0", " 1", "18446744073709551616", "٣", -0.5, 1.0, 1e300]),
            Time => json!(["2026-02-30T00:00:00Z", "9999-12-31T23:59:59-01:00", "0", 1_767_603_600]),
            Texts => json!(["files", ["a", "b", null]]),
            Object => json!([[{}]]),
            Recipients => {
                json!([[{"personId": "a", "guestEmail": null}, {"personId": "b"}, 5], {"personId": "a"}])
            }
            Attachments => json!([[{"contentType": "a", "content": null}, null]]),
        };
        let fits: fn(&Value) -> bool = match self {
            Text => Value::is_string,
            YesNo => Value::is_boolean,
            Whole => Value::is_u64,
            Time => |value| value == "",
            Texts => |value| value == &json!([]),
            Values => Value::is_array,
            Object => Value::is_object,
            Recipients | Attachments => |value| value == &json!([]),
        };
        [all, further]
            .into_iter()
            .flat_map(|values| values.as_array().cloned().unwrap())
            .filter(|value| !fits(value))
            .collect()
    }
}

pub(crate) fn extra(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("{value} is no object") };
    map
}

/// Each key of `input` is in `output`, with its value or one that means the same.
pub(crate) fn assert_kept(input: &Map<String, Value>, data: &EventData) {
    let output = extra(serde_json::to_value(data).unwrap());
    for (key, value) in input {
        let kind = kind(if key == "corelationId" { "correlationId" } else { key });
        let nothing = value.is_null() || (kind == Some(Time) && value == "");
        if kind.is_some() && nothing {
            assert_eq!(output.get(key), None, "{key}");
        } else if key == "corelationId" && output.get(key).is_none() {
            assert_eq!(&output["correlationId"], value);
        } else {
            assert!(same(kind, value, &output[key]), "{key}: {value} became {}", output[key]);
        }
    }
    let invented = output.keys().find(|key| {
        let alias = if *key == "correlationId" { "corelationId" } else { *key };
        !input.contains_key(*key) && !input.contains_key(alias)
    });
    assert_eq!(invented, None);
}

fn same(kind: Option<Kind>, from: &Value, to: &Value) -> bool {
    let text = from.as_str().unwrap_or_default();
    from == to
        || match (kind, to) {
            (Some(YesNo), Value::Bool(to)) => {
                [["no", "false"], ["yes", "true"]][usize::from(*to)].contains(&&*text.to_lowercase())
            }
            (Some(Whole), Value::Number(to)) => {
                text.trim_start_matches('0') == to.to_string() || to == &0.into()
            }
            (Some(Time), Value::String(to)) => {
                let colon = text.len().saturating_sub(2);
                let from = [text.to_owned(), format!("{}:{}", &text[..colon], &text[colon..])]
                    .iter()
                    .find_map(|text| DateTime::parse_from_rfc3339(text).ok());
                from == DateTime::parse_from_rfc3339(to).ok() && from.is_some()
            }
            (Some(Recipients), _) => {
                without_null(from, &["personId", "personEmail", "guestDisplayName", "guestEmail"]) == *to
            }
            (Some(Attachments), _) => without_null(from, &["contentType", "content"]) == *to,
            _ => false,
        }
}

fn without_null(list: &Value, keys: &[&str]) -> Value {
    let mut list = list.clone();
    for item in list.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        item.retain(|key, value| !value.is_null() || !keys.contains(&&**key));
    }
    list
}
