//! Each fixture fills its fields, and loses nothing.

use std::fs;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use webex_events::{Attachment, EventData, Recipient};

use super::{
    assert_round_trips, decode,
    keys::{assert_kept, extra},
    time,
};

pub(super) fn fixture(name: &str) -> (String, Map<String, Value>) {
    #[derive(Deserialize)]
    struct Event<T> {
        data: T,
    }
    fn read<T: DeserializeOwned>(event: &str) -> T {
        serde_json::from_str::<Event<T>>(event).unwrap().data
    }
    let path = format!("{}/tests/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let event = fs::read_to_string(path).unwrap();
    (read::<Box<serde_json::value::RawValue>>(&event).get().to_owned(), read(&event))
}

/// A fixture's data: each field by its name, with the key whose string it is or the value it has.
macro_rules! expect {
    ($json:ident => $($name:literal { $($field:ident: $value:tt,)* })+) => {
        [$(($name, |$json: &Map<String, Value>, data: &mut EventData| {
            let _ = $json;
            $(data.$field = expect!($json, $value);)*
        }),)+]
    };
    ($json:ident, $key:literal) => { Some($json[$key].as_str().unwrap().to_owned()) };
    ($json:ident, ($value:expr)) => { $value };
}

type Expected = fn(&Map<String, Value>, &mut EventData);

fn card() -> Attachment {
    let mut card = Attachment::default();
    card.content_type = Some("application/vnd.microsoft.card.adaptive".to_owned());
    card.content = Some(json!({"type": "AdaptiveCard", "version": "1.3", "body": []}));
    card
}

fn recipients() -> Vec<Recipient> {
    let (mut person, mut guest) = (Recipient::default(), Recipient::default());
    person.person_id =
        Some("Y2lzY29zcGFyazovL3VzL1BFT1BMRS8wMDAwMDBiMi0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwYjI".to_owned());
    person.person_email = Some("bob@example.com".to_owned());
    guest.guest_display_name = Some("Guest Example".to_owned());
    guest.guest_email = Some("guest@example.org".to_owned());
    vec![person, guest]
}

#[rustfmt::skip]
const FIXTURES: &[(&str, Expected)] = &expect! { json =>
    "all-documented-keys" {
        id: "id", room_id: "roomId", room_type: "roomType", org_id: "orgId", text: "text", person_id: "personId",
        person_email: "personEmail", meeting_id: "meetingId", creator_id: "creatorId",
        host: (Some(extra(json["host"].clone()))), attendees: (json["attendees"].as_array().cloned()),
        transcription_enabled: (Some(true)), recording_enabled: (Some(false)), has_post_meetings_chat: (Some(true)),
        correlation_id: "corelationId", call_type: "callType", user_id: "userId", user_type: "userType",
        call_direction: "callDirection", is_call_answered: (Some(true)), call_duration_seconds: (Some(192)),
        call_start_time: (time("2026-01-05T16:00:00.976Z")), call_answer_time: (time("2026-01-05T16:00:04.012Z")),
        call_transfer_time: (time("2026-01-05T16:02:00Z")), calling_number: "callingNumber",
        calling_line_id: "callingLineId", called_number: "calledNumber", called_line_id: "calledLineId",
        dialed_digits: "dialedDigits", call_redirecting_number: "callRedirectingNumber",
        call_redirected_reason: "callRedirectedReason", created: (time("2026-01-05T16:05:00Z")), r#type: "type",
        breakout_session_id: "breakoutSessionId", recipients: (Some(recipients())),
    }
    "attachmentactions-created" {
        id: "id", r#type: "type", message_id: "messageId", person_id: "personId", room_id: "roomId",
        inputs: (Some(extra(json!({"Name": "Bob", "approve": true, "count": 3, "choice": "a,b"})))),
        created: (time("2026-01-05T12:00:00Z")),
    }
    "businesstexts-created" {
        id: "id", person_id: "personId", person_email: "personEmail", text: "text", r#type: "type",
        calling_number: "callingNumber", called_number: "calledNumber",
        created: (time("2026-01-05T16:30:00Z")),
    }
    "call-records-created" {
        id: "id", correlation_id: "corelationId", call_type: "callType", user_id: "userId",
        user_type: "userType", call_direction: "callDirection", is_call_answered: (Some(true)),
        call_duration_seconds: (Some(192)), call_start_time: (time("2026-01-05T16:00:00.976Z")),
        call_answer_time: (time("2026-01-05T16:00:04.012Z")), call_transfer_time: (None),
        calling_number: "callingNumber", calling_line_id: "callingLineId", called_number: "calledNumber",
        called_line_id: "calledLineId", dialed_digits: "dialedDigits",
        call_redirecting_number: (Some(String::new())), call_redirected_reason: (Some(String::new())),
        created: (time("2026-01-05T16:05:00Z")),
    }
    "convergedrecordings-created" {
        id: "id", topic: "topic", create_time: (time("2026-01-05T16:06:00Z")),
        time_recorded: (time("2026-01-05T16:00:05Z")), format: "format", service_type: "serviceType",
        duration_seconds: (Some(187)), size_bytes: (Some(1_498_112)), status: "status", owner_id: "ownerId",
        owner_email: "ownerEmail", owner_type: "ownerType", storage_region: "storageRegion",
        service_data: (Some(extra(json["serviceData"].clone()))),
    }
    "convergedrecordings-updated" {
        id: "id", topic: "topic", create_time: (time("2026-01-05T16:06:00Z")),
        time_recorded: (time("2026-01-05T16:00:05Z")), format: "format", service_type: "serviceType",
        duration_seconds: (Some(187)), size_bytes: (Some(1_498_112)), status: "status", owner_id: "ownerId",
        owner_email: "ownerEmail", owner_type: "ownerType", storage_region: "storageRegion",
        service_data: (Some(extra(json["serviceData"].clone()))),
    }
    "convergedrecordings-deleted" {
        id: "id", topic: "topic", create_time: (time("2026-01-05T16:06:00Z")),
        time_recorded: (time("2026-01-05T16:00:05Z")), format: "format", service_type: "serviceType",
        status: "status", owner_id: "ownerId",
        owner_email: "ownerEmail", owner_type: "ownerType",
        service_data: (Some(extra(json["serviceData"].clone()))),
    }
    "file-transcodings-read" {
        id: "id", room_id: "roomId", room_type: "roomType", person_id: "personId",
        person_email: "personEmail", file_content_url: "fileContentUrl", file_id: "fileId",
        page_number: (Some(1)), created: (time("2026-01-05T12:11:00Z")),
    }
    "files-read" {
        id: "id", room_id: "roomId", room_type: "roomType", person_id: "personId",
        person_email: "personEmail", file_content_url: "fileContentUrl", file_id: "fileId",
        content_url: "contentUrl", created: (time("2026-01-05T12:10:00Z")),
    }
    "item-with-field-errors" {
        id: "id", room_id: "roomId", room_type: "roomType", text: "text", person_id: "personId",
        person_email: "personEmail", created: (time("2026-01-05T17:00:00Z")),
    }
    "meetingmessages-created" {
        id: "id", meeting_id: "meetingId", text: "text", r#type: "type", person_id: "personId",
        person_email: "personEmail", breakout_session_id: "breakoutSessionId", recipients: (Some(recipients())),
        created: (time("2026-01-05T13:20:00Z")),
    }
    "meetingmessages-updated" {
        id: "id", meeting_id: "meetingId", text: "text", r#type: "type", person_id: "personId",
        person_email: "personEmail",
        created: (time("2026-01-05T13:20:00Z")),
    }
    "meetingmessages-deleted" {
        id: "id", meeting_id: "meetingId", r#type: "type", person_id: "personId",
        person_email: "personEmail",
    }
    "meetings-ended-lenient" {
        meeting_id: "meetingId", host: (Some(Map::new())), attendees: (Some(vec!["bob@example.com".into()])),
        transcription_enabled: (Some(true)), recording_enabled: (Some(true)),
        has_post_meetings_chat: (Some(false)), created: (time("2026-01-05T14:30:00Z")),
    }
    "meetings-ended" {
        id: "id", meeting_id: "meetingId", title: "title", creator_id: "creatorId",
        host: (Some(extra(json["host"].clone()))), attendees: (json["attendees"].as_array().cloned()),
        transcription_enabled: (Some(true)), recording_enabled: (Some(false)),
        has_post_meetings_chat: (Some(true)), created: (time("2026-01-05T13:00:00Z")),
    }
    "meetingtranscripts-created" {
        id: "id", meeting_id: "meetingId", scheduled_meeting_id: "scheduledMeetingId",
        meeting_series_id: "meetingSeriesId", meeting_topic: "meetingTopic", site_url: "siteUrl",
        host_user_id: "hostUserId", start_time: (time("2026-01-05T13:00:00Z")),
        vtt_download_link: "vttDownloadLink", txt_download_link: "txtDownloadLink", status: "status",
    }
    "memberships-created-via-team" {
        id: "id", room_id: "roomId", person_id: "personId", person_email: "personEmail",
        person_display_name: "personDisplayName", person_org_id: "personOrgId",
        is_moderator: (Some(false)), is_monitor: (Some(false)), created: (time("2026-01-05T10:01:00Z")),
    }
    "memberships-created" {
        id: "id", room_id: "roomId", room_type: "roomType", person_id: "personId",
        person_email: "personEmail", person_display_name: "personDisplayName", person_org_id: "personOrgId",
        is_moderator: (Some(false)), is_monitor: (Some(false)), is_room_hidden: (Some(false)),
        created: (time("2026-01-05T10:00:00Z")),
    }
    "memberships-created-without-org" {
        id: "id", room_id: "roomId", room_type: "roomType", person_id: "personId",
        person_email: "personEmail", person_display_name: "personDisplayName", person_org_id: "personOrgId",
        is_moderator: (Some(false)), is_monitor: (Some(false)), is_room_hidden: (Some(false)),
        created: (time("2026-01-05T10:00:00Z")),
    }
    "memberships-updated" {
        id: "id", room_id: "roomId", room_type: "roomType", person_id: "personId",
        person_email: "personEmail", person_display_name: "personDisplayName", person_org_id: "personOrgId",
        is_moderator: (Some(true)), is_monitor: (Some(false)), is_room_hidden: (Some(false)),
        created: (time("2026-01-05T10:00:00Z")),
    }
    "memberships-deleted" {
        id: "id", room_id: "roomId", room_type: "roomType", person_id: "personId",
        person_email: "personEmail", person_display_name: "personDisplayName", person_org_id: "personOrgId",
        is_moderator: (Some(false)), is_monitor: (Some(false)), is_room_hidden: (Some(false)),
        created: (time("2026-01-05T10:00:00Z")),
    }
    "messages-created-minimal" {
        id: "id", room_id: "roomId", room_type: "roomType", text: "text", person_id: "personId",
        person_email: "personEmail", created: (time("2026-01-05T09:00:01Z")),
    }
    "messages-created-without-org" {
        id: "id", room_id: "roomId", room_type: "roomType", text: "text", person_id: "personId",
        person_email: "personEmail", created: (time("2026-01-05T09:00:01Z")),
    }
    "messages-created-files-only" {
        id: "id", room_id: "roomId", room_type: "roomType", files: (Some(vec![json["files"][0].as_str().unwrap().to_owned()])), person_id: "personId",
        person_email: "personEmail", created: (time("2026-01-05T09:00:01Z")),
    }
    "messages-created-card-only" {
        id: "id", room_id: "roomId", room_type: "roomType", attachments: (Some(vec![card()])), person_id: "personId",
        person_email: "personEmail", created: (time("2026-01-05T09:00:02Z")),
    }
    "messages-created" {
        id: "id", room_id: "roomId", room_type: "roomType", org_id: "orgId", text: "text",
        files: (Some(vec![json["files"][0].as_str().unwrap().to_owned()])), person_id: "personId",
        person_email: "personEmail", html: "html", markdown: "markdown",
        mentioned_people: (Some(vec![json["mentionedPeople"][0].as_str().unwrap().to_owned()])),
        mentioned_groups: (Some(vec!["all".to_owned()])), attachments: (Some(vec![card()])), parent_id: "parentId",
        is_voice_clip: (Some(false)), created: (time("2026-01-05T09:00:00Z")),
    }
    "messages-deleted" {
        id: "id", room_id: "roomId", room_type: "roomType", person_id: "personId",
        person_email: "personEmail",
    }
    "messages-updated" {
        id: "id", room_id: "roomId", room_type: "roomType", text: "text", person_id: "personId",
        person_email: "personEmail", created: (time("2026-01-05T09:00:00Z")),
        updated: (time("2026-01-05T09:05:00Z")),
    }
    "rooms-updated" {
        id: "id", title: "title", r#type: "type", is_locked: (Some(true)), is_public: (Some(false)),
        is_announcement_only: (Some(false)), is_read_only: (Some(false)), creator_id: "creatorId",
        owner_id: "ownerId", classification_id: "classificationId",
        title_encryption_key_url: "titleEncryptionKeyUrl", last_activity: (time("2026-01-05T10:59:59Z")),
        created: (time("2025-12-01T08:00:00Z")),
    }
    "rooms-created-untitled" {
        id: "id", r#type: "type", is_locked: (Some(true)), is_public: (Some(false)),
        creator_id: "creatorId",
        owner_id: "ownerId",
        title_encryption_key_url: "titleEncryptionKeyUrl", last_activity: (time("2026-01-05T11:00:00Z")),
        created: (time("2026-01-05T11:00:00Z")),
    }
    "tabs-created" {
        id: "id", room_id: "roomId", room_type: "roomType", display_name: "displayName",
        content_url: "contentUrl", creator_id: "creatorId", created: (time("2026-01-05T11:30:00Z")),
    }
    "tabs-updated" {
        id: "id", room_id: "roomId", room_type: "roomType", display_name: "displayName",
        content_url: "contentUrl", creator_id: "creatorId", created: (time("2026-01-05T11:30:00Z")),
    }
    "tabs-deleted" {
        id: "id", room_id: "roomId", room_type: "roomType", display_name: "displayName",
        content_url: "contentUrl", creator_id: "creatorId", created: (time("2026-01-05T11:30:00Z")),
    }
    "unknown-resource" {
        id: "id", extra: (extra(json!({"somethingNew": {"a": [1, null, true]}}))),
    }
};

#[test]
fn every_fixture_fills_its_fields() {
    for (name, fill) in FIXTURES {
        let (text, json) = fixture(name);
        let mut expected = EventData::default();
        fill(&json, &mut expected);
        assert_eq!(decode(&text), expected, "{name}");
    }
}

#[test]
fn no_fixture_is_left_out() {
    let directory = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures")).unwrap();
    let mut names: Vec<_> = directory
        .filter_map(|file| Some(file.unwrap().file_name().to_str()?.strip_suffix(".json")?.to_owned()))
        .collect();
    names.sort();
    let mut expected: Vec<_> = FIXTURES.iter().map(|(name, _)| *name).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn nothing_of_a_fixture_is_lost() {
    for (name, _) in FIXTURES {
        let (text, json) = fixture(name);
        let data = decode(&text);
        assert_kept(&json, &data);
        assert_round_trips(&data);
    }
}
