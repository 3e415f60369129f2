//! `EventData`: the details of an event.

mod json;
mod record;
mod scan;
mod wire;

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor},
    ser::{Error as _, SerializeMap},
};
use serde_json::{Map, Value};

use self::{
    json::Json,
    record::{Record, pick, record, stream},
    scan::Unusual,
    wire::{FieldValue, Written, merge_alias, take},
};
use super::stored::{read_text, write_text};
use crate::json::Scanner;

record! {
    /// The `data` of an event: the message, membership, call and so on that the event is about, as it was
    /// at the time of the event.
    ///
    /// [`Event::data()`](crate::Event::data) decodes it at each call, and nothing else does.
    /// It can also be read from and written to JSON by itself:
    ///
    /// ```
    /// use webex_events::EventData;
    ///
    /// let data: EventData = serde_json::from_str(
    ///     r#"{
    ///         "callType": "SIP_ENTERPRISE",
    ///         "isCallAnswered": "true",
    ///         "callDurationSeconds": "192",
    ///         "callTransferTime": "",
    ///         "calledNumber": 219,
    ///         "somethingNew": {"a": [1, null]}
    ///     }"#,
    /// )?;
    /// assert_eq!(data.call_type.as_deref(), Some("SIP_ENTERPRISE"));
    /// assert_eq!(data.is_call_answered, Some(true));
    /// assert_eq!(data.call_duration_seconds, Some(192));
    /// assert_eq!(data.call_transfer_time, None);
    ///
    /// // Keys without a field, and values that don't fit their field:
    /// assert_eq!(data.extra["somethingNew"]["a"][0], 1);
    /// assert_eq!((data.called_number, &data.extra["calledNumber"]), (None, &219.into()));
    /// # Ok::<_, serde_json::Error>(())
    /// ```
    ///
    /// # One type for all resources
    ///
    /// The service specifies one flat union for all resources and often leaves out keys, so every
    /// field is an `Option`, and the documentation of a field says where to expect it. Besides the
    /// documented keys there are fields for those that other clients have observed. The service adds
    /// keys at any time, to new events only; they are in [`extra`](Self::extra) until a version of
    /// this crate has a field for them.
    ///
    /// # Values that fit
    ///
    /// | field | reads | written as |
    /// |---|---|---|
    /// | `String` | a string | it |
    /// | `bool` | `true`, `"true"`, `"yes"`, `false`, `"false"`, `"no"`, the strings in any case | `true` or `false` |
    /// | `u64` | a whole number that isn't negative, or a string of its digits | a number |
    /// | `DateTime<Utc>` | RFC 3339, the offset with or without its colon; `""` is `None` | UTC with `Z` and at least milliseconds |
    /// | `Vec<String>` | a list of nothing but strings | it |
    /// | [`Vec<Recipient>`](Recipient), [`Vec<Attachment>`](Attachment) | a list of nothing but objects | it |
    /// | `Vec<Value>` | any list | it |
    /// | `Map<String, Value>` | any object | it |
    ///
    /// `null` is `None`. A value that doesn't fit is in `extra`, unchanged, under its key. Of a key that
    /// occurs twice the last value counts. Decoding fails only for what isn't a JSON object, and
    /// where `serde_json` refuses the text: beyond 127 levels of nesting, or at half a surrogate pair.
    /// [`Event::data()`](crate::Event::data) reads a number that `f64` cannot hold, such as `1e400`, as a
    /// string with its digits.
    ///
    /// Writing and reading again gives the same data, in JSON and in formats that are not human-readable
    /// (`MessagePack`, `postcard`, CBOR), which store its JSON text. The text may differ:
    /// [`Event::raw()`](crate::Event::raw) has that, and also the digits of numbers beyond the
    /// precision of [`serde_json::Value`]. A value that would not be read back the same, such as a time after the
    /// year 9999, can't be serialized.
    EventData by stream {
        /// Id of the thing: of the message, membership, room, tab, card submission, meeting,
        /// transcript, call record or recording. For `files` and `file_transcodings` its meaning is
        /// undocumented.
        id: String = "id",
        /// Organization that the thing belongs to. Its form differs from [`Event::org_id`](crate::Event::org_id):
        /// both are base64, but this one encodes a URI that ends in the value that the other one encodes.
        org_id: String = "orgId",
        /// Kind of room (`direct`, `group`; `rooms`), of action (`submit`;
        /// `attachmentActions`) or of message (`direct`, …; `meetingMessages`, `businessTexts`).
        r#type: String = "type",
        /// Title of a room (`rooms`), perhaps encrypted, see
        /// [`title_encryption_key_url`](Self::title_encryption_key_url), or of a meeting (`meetings`).
        title: String = "title",
        /// State of a transcript or recording, such as `available` (`meetingTranscripts`,
        /// `convergedRecordings`).
        status: String = "status",
        /// Time at which the thing was created (all but `meetingTranscripts` and `convergedRecordings`; missing
        /// from deleted messages).
        created: DateTime<Utc> = "created",
        /// Time of the last change (`messages`).
        updated: DateTime<Utc> = "updated",

        /// Room that the thing is in (`messages`, `memberships`, `tabs`, `attachmentActions`, `files`,
        /// `file_transcodings`).
        room_id: String = "roomId",
        /// `direct` for a room of two, `group` for any other (with [`room_id`](Self::room_id); missing
        /// from memberships that came with membership of a team).
        room_type: String = "roomType",
        /// Person who acted, or the member of a membership (`messages`, `memberships`,
        /// `attachmentActions`, `files`, `file_transcodings`, `meetingMessages`, `businessTexts`).
        person_id: String = "personId",
        /// That person's address (with [`person_id`](Self::person_id), but not `attachmentActions`).
        person_email: String = "personEmail",
        /// That person's name (`memberships`).
        person_display_name: String = "personDisplayName",
        /// That person's organization (`memberships`).
        person_org_id: String = "personOrgId",
        /// Person who created it (`rooms`, `tabs`, `meetings`).
        creator_id: String = "creatorId",
        /// Organization that owns a room (`rooms`), or whoever owns a recording, see
        /// [`owner_type`](Self::owner_type) (`convergedRecordings`).
        owner_id: String = "ownerId",

        /// Text, plain (`messages`, `meetingMessages`, `businessTexts`; missing from deleted messages
        /// and those of files only).
        text: String = "text",
        /// Text as its author wrote it, in Markdown (`messages`).
        markdown: String = "markdown",
        /// Text as HTML (`messages`).
        html: String = "html",
        /// Message that this one replies to (`messages`).
        parent_id: String = "parentId",
        /// Addresses of the attached files, which need the token too (`messages`).
        files: Vec<String> = "files",
        /// Ids of the people mentioned (`messages`).
        mentioned_people: Vec<String> = "mentionedPeople",
        /// Groups mentioned, such as `all` (`messages`).
        mentioned_groups: Vec<String> = "mentionedGroups",
        /// Attachments other than files, such as a card (`messages`).
        attachments: Vec<Attachment> = "attachments",
        /// True if the audio file is a voice clip that a Webex client recorded (`messages`).
        is_voice_clip: bool = "isVoiceClip",

        /// True if the person moderates the room (`memberships`).
        is_moderator: bool = "isModerator",
        /// True if it is a bot that monitors the room; deprecated by the service (`memberships`).
        is_monitor: bool = "isMonitor",
        /// True if the room, a direct one, is hidden in the person's clients (`memberships`; missing
        /// from those that came with membership of a team).
        is_room_hidden: bool = "isRoomHidden",
        /// The same by its other documented name (`memberships`).
        is_hidden: bool = "isHidden",

        /// True if the room is moderated (`rooms`).
        is_locked: bool = "isLocked",
        /// True if everyone in the organization can find and join the room (`rooms`).
        is_public: bool = "isPublic",
        /// Time at which the room was made public (`rooms`).
        made_public: DateTime<Utc> = "madePublic",
        /// True if a compliance officer has closed the room, a direct one, to new messages (`rooms`).
        is_read_only: bool = "isReadOnly",
        /// True if only moderators can post (`rooms`).
        is_announcement_only: bool = "isAnnouncementOnly",
        /// Team that the room belongs to (`rooms`).
        team_id: String = "teamId",
        /// Time of the last activity in the room (`rooms`).
        last_activity: DateTime<Utc> = "lastActivity",
        /// Space classification of the room, whose change is what an event about it reports (`rooms`).
        classification_id: String = "classificationId",
        /// Description of the room (`rooms`).
        description: String = "description",
        /// Key that [`title`](Self::title) is encrypted with; the title may then be missing or ciphertext
        /// (`rooms`).
        title_encryption_key_url: String = "titleEncryptionKeyUrl",

        /// Label of a tab (`tabs`).
        display_name: String = "displayName",
        /// Address that a tab shows (`tabs`), or of a file's content (`files`, `file_transcodings`).
        content_url: String = "contentUrl",

        /// Message whose card was submitted (`attachmentActions`).
        message_id: String = "messageId",
        /// Values that were entered into the card, by the ids of its inputs, which the author
        /// of the card chose (`attachmentActions`).
        inputs: Map<String, Value> = "inputs",

        /// Address of the file that was downloaded or previewed (`files`, `file_transcodings`).
        file_content_url: String = "fileContentUrl",
        /// Id of that file (`files`, `file_transcodings`).
        file_id: String = "fileId",
        /// Page of the file whose preview was shown (`file_transcodings`). It is undocumented whether the first page is
        /// 0 or 1.
        page_number: u64 = "pageNumber",

        /// Meeting (`meetings`), or the one it belongs to (`meetingMessages`, `meetingTranscripts`).
        meeting_id: String = "meetingId",
        /// Host of the meeting (`meetings`). The content of the object is undocumented.
        host: Map<String, Value> = "host",
        /// Participants who were signed in, without guests (`meetings`). The kind of the items is
        /// undocumented: objects and strings have been observed.
        attendees: Vec<Value> = "attendees",
        /// True if the assistant was on; if so, a transcript follows within minutes (`meetings`).
        transcription_enabled: bool = "transcriptionEnabled",
        /// True if some of the meeting was recorded; the recording follows shortly (`meetings`).
        recording_enabled: bool = "recordingEnabled",
        /// True if there was a chat in the meetings client. It isn't among the `meetingMessages`; the
        /// service lists it apart, as the post-meeting chats (`meetings`).
        has_post_meetings_chat: bool = "hasPostMeetingsChat",
        /// Breakout session that the message was written in (`meetingMessages`).
        breakout_session_id: String = "breakoutSessionId",
        /// Recipients of the message, if it was not to all (`meetingMessages`).
        recipients: Vec<Recipient> = "recipients",

        /// Scheduled meeting that the transcript's meeting was an instance of (`meetingTranscripts`).
        scheduled_meeting_id: String = "scheduledMeetingId",
        /// Series of that meeting (`meetingTranscripts`).
        meeting_series_id: String = "meetingSeriesId",
        /// Topic of that meeting (`meetingTranscripts`).
        meeting_topic: String = "meetingTopic",
        /// Webex site of that meeting, a host name (`meetingTranscripts`).
        site_url: String = "siteUrl",
        /// Host of that meeting (`meetingTranscripts`).
        host_user_id: String = "hostUserId",
        /// Time at which that meeting began (`meetingTranscripts`).
        start_time: DateTime<Utc> = "startTime",
        /// Address of the transcript as `WebVTT` (`meetingTranscripts`).
        vtt_download_link: String = "vttDownloadLink",
        /// Address of the transcript as plain text (`meetingTranscripts`).
        txt_download_link: String = "txtDownloadLink",

        /// Correlates call records (`call_records`). The specification spells it `corelationId`,
        /// which is read where `correlationId` has no value; should both have one, and not the same,
        /// `corelationId` is in [`extra`](Self::extra).
        correlation_id: String = "correlationId",
        /// Kind of call, such as `SIP_ENTERPRISE` (`call_records`).
        call_type: String = "callType",
        /// User that owns the record (`call_records`).
        user_id: String = "userId",
        /// Kind of that user, such as `User` or `HuntGroup` (`call_records`).
        user_type: String = "userType",
        /// `ORIGINATING` or `TERMINATING` (`call_records`). The specification's own example has
        /// `ORIGINTATING`.
        call_direction: String = "callDirection",
        /// True if the call was answered (`call_records`).
        is_call_answered: bool = "isCallAnswered",
        /// Length of the call in seconds (`call_records`).
        call_duration_seconds: u64 = "callDurationSeconds",
        /// Time at which the call began (`call_records`).
        call_start_time: DateTime<Utc> = "callStartTime",
        /// Time at which the call was answered (`call_records`).
        call_answer_time: DateTime<Utc> = "callAnswerTime",
        /// Time at which the call was transferred (`call_records`).
        call_transfer_time: DateTime<Utc> = "callTransferTime",
        /// Number of the caller or sender (`call_records`, `businessTexts`).
        calling_number: String = "callingNumber",
        /// Line of the caller (`call_records`).
        calling_line_id: String = "callingLineId",
        /// Number that was called or written to (`call_records`, `businessTexts`).
        called_number: String = "calledNumber",
        /// Line that was called (`call_records`).
        called_line_id: String = "calledLineId",
        /// Digits as they were dialled (`call_records`).
        dialed_digits: String = "dialedDigits",
        /// Number that redirected the call; perhaps empty (`call_records`).
        call_redirecting_number: String = "callRedirectingNumber",
        /// Reason of the redirection; perhaps empty (`call_records`).
        call_redirected_reason: String = "callRedirectedReason",

        /// Topic of the recording (`convergedRecordings`).
        topic: String = "topic",
        /// Time at which the file was created, some time after the recording (`convergedRecordings`).
        create_time: DateTime<Utc> = "createTime",
        /// Time at which the recording began (`convergedRecordings`).
        time_recorded: DateTime<Utc> = "timeRecorded",
        /// Format of the file, such as `MP3` (`convergedRecordings`).
        format: String = "format",
        /// Service that recorded, such as `calling` (`convergedRecordings`).
        service_type: String = "serviceType",
        /// Length in seconds (`convergedRecordings`).
        duration_seconds: u64 = "durationSeconds",
        /// Size in bytes (`convergedRecordings`).
        size_bytes: u64 = "sizeBytes",
        /// Email address of the owner (`convergedRecordings`).
        owner_email: String = "ownerEmail",
        /// Kind of owner, such as `user`, `place` or `virtualLine` (`convergedRecordings`).
        owner_type: String = "ownerType",
        /// Region that it is stored in (`convergedRecordings`).
        storage_region: String = "storageRegion",
        /// Further values of the recording service: `locationId` and `callSessionId` of a call
        /// (`convergedRecordings`).
        service_data: Map<String, Value> = "serviceData",
    }
    aliases {
        corelation_id = "corelationId" for correlation_id = "correlationId",
    }
}

record! {
    /// A recipient of a message in a meeting: a person or a guest.
    ///
    /// Reads and writes by the rules of [`EventData`].
    Recipient by pick {
        /// The person's id.
        person_id: String = "personId",
        /// The person's address.
        person_email: String = "personEmail",
        /// The guest's name.
        guest_display_name: String = "guestDisplayName",
        /// The guest's address.
        guest_email: String = "guestEmail",
    }
}

record! {
    /// An attachment of a message other than a file, such as a card.
    ///
    /// Reads and writes by the rules of [`EventData`].
    Attachment by pick {
        /// Type of [`content`](Self::content), such as `application/vnd.microsoft.card.adaptive`.
        content_type: String = "contentType",
        /// Content of the attachment: the JSON of a card, for example.
        content: Value = "content",
    }
}
