//! The `data` of a synthetic event, in the form of its resource.

use super::{
    events::{Person, Room, World},
    json::{self, Object},
    random::{Random, hyphenated},
};
use crate::event::{EventType, Resource};

const WORDS: [&str; 32] = [
    "the",
    "plan",
    "for",
    "next",
    "quarter",
    "is",
    "attached",
    "please",
    "review",
    "before",
    "Monday",
    "thanks",
    "budget",
    "draft",
    "\"final\"",
    "version",
    "and",
    "we",
    "meet",
    "at",
    "noon",
    "in",
    "Zürich",
    "with",
    "legal",
    "C:\\plans\\v2",
    "about",
    "retention\n",
    "policy",
    "東京",
    "ok",
    "🎉",
];
const HOUR: i64 = 3_600_000;

/// The parts that the `data` of one event is made from.
pub(super) struct Scene<'a> {
    pub(super) world: &'a World,
    pub(super) person: &'a Person,
    pub(super) room: &'a Room,
    pub(super) event_type: &'a EventType,
    pub(super) created: i64,
    pub(super) random: Random,
}

impl Scene<'_> {
    pub(super) fn write(&mut self, resource: &Resource, data: &mut Object<'_>) {
        match resource {
            Resource::Messages => self.message(data),
            Resource::Memberships => self.membership(data),
            Resource::Rooms => self.space(data),
            Resource::Tabs => self.tab(data),
            Resource::AttachmentActions => self.attachment_action(data),
            Resource::Files | Resource::FileTranscodings => self.file(resource, data),
            Resource::Meetings => self.meeting(data),
            Resource::MeetingMessages => self.meeting_message(data),
            Resource::MeetingTranscripts => self.transcript(data),
            Resource::CallRecords => self.call(data),
            Resource::BusinessTexts => self.business_text(data),
            Resource::ConvergedRecordings => self.recording(data),
            _ => {}
        }
    }

    fn deleted(&self) -> bool {
        *self.event_type == EventType::Deleted
    }

    fn other(&mut self) -> &Person {
        let world = self.world;
        self.random.pick(&world.people)
    }

    fn words(&mut self, least: usize, most: usize) -> String {
        let count = least + self.random.below(most - least);
        let mut text = String::with_capacity(count * 8);
        for _ in 0..count {
            text.push_str(self.random.word(&WORDS));
            text.push(' ');
        }
        text.truncate(text.trim_end().len());
        text
    }

    fn in_room(&self, data: &mut Object<'_>) {
        data.text("roomId", &self.room.id)
            .text("roomType", if self.room.direct { "direct" } else { "group" });
    }

    fn by_person(&self, data: &mut Object<'_>) {
        data.text("personId", &self.person.id).text("personEmail", &self.person.email);
    }

    /// Writes when the subject of the event was created, and for an update when it was updated.
    fn times(&mut self, data: &mut Object<'_>) {
        if *self.event_type == EventType::Updated {
            let age = self.random.span(48 * HOUR);
            data.time("created", self.created - age).time("updated", self.created);
        } else {
            data.time("created", self.created);
        }
    }

    fn message(&mut self, data: &mut Object<'_>) {
        let message = self.random.uuid();
        data.id("id", "MESSAGE", message);
        self.in_room(data);
        if self.deleted() {
            return self.by_person(data);
        }
        let text = self.words(6, 48);
        data.text("text", &text);
        if self.random.one_in(6) {
            let content = json::id("CONTENT", self.random.uuid());
            data.json("files", &format!("[\"https://webexapis.com/v1/contents/{content}\"]"));
        }
        self.by_person(data);
        if self.random.one_in(2) {
            data.text("html", &format!("<p>{text}</p>")).text("markdown", &text);
        }
        if self.random.one_in(5) {
            let mentioned = format!("[\"{}\"]", self.other().id);
            data.json("mentionedPeople", &mentioned);
        }
        if self.random.one_in(12) {
            let card = r#"[{"contentType":"application/vnd.microsoft.card.adaptive","content":{"type":"AdaptiveCard","version":"1.3","body":[]}}]"#;
            data.json("attachments", card);
        }
        if self.random.one_in(4) {
            data.id("parentId", "MESSAGE", self.random.uuid());
        }
        self.times(data);
    }

    fn membership(&mut self, data: &mut Object<'_>) {
        let id = json::id("MEMBERSHIP", self.person.uuid ^ self.room.uuid);
        data.text("id", &id);
        // A membership that was created through a team has fewer members.
        let by_team = self.random.one_in(4);
        data.text("roomId", &self.room.id);
        if !by_team {
            data.text("roomType", if self.room.direct { "direct" } else { "group" });
        }
        self.by_person(data);
        data.text("personDisplayName", &self.person.name)
            .text("personOrgId", &self.world.org_uri)
            .flag("isModerator", self.random.one_in(5))
            .flag("isMonitor", false);
        if !by_team {
            data.flag("isRoomHidden", false);
        }
        data.time("created", self.created);
    }

    fn space(&mut self, data: &mut Object<'_>) {
        let title = self.words(2, 6);
        let (classification, key) = (self.random.uuid(), self.random.uuid());
        data.text("id", &self.room.id)
            .text("title", &title)
            .text("type", "group")
            .flag("isLocked", self.random.one_in(2))
            .flag("isPublic", false)
            .flag("isAnnouncementOnly", self.random.one_in(8))
            .flag("isReadOnly", false)
            .text("creatorId", &self.person.id)
            .text("ownerId", &self.world.org_uri)
            .id("classificationId", "CLASSIFICATION", classification);
        let key = hyphenated(key);
        let url = format!("kms://kms.example.com/keys/{}", String::from_utf8_lossy(&key));
        data.text("titleEncryptionKeyUrl", &url)
            .time("lastActivity", self.created - 1000)
            .time("created", self.created - 24 * HOUR - self.random.span(400 * 24 * HOUR));
    }

    fn tab(&mut self, data: &mut Object<'_>) {
        data.id("id", "TAB", self.random.uuid());
        self.in_room(data);
        let name = self.words(1, 4);
        let page = self.random.below(10_000);
        data.text("displayName", &name)
            .text("contentUrl", &format!("https://wiki.example.com/pages/{page}"))
            .text("creatorId", &self.person.id);
        self.times(data);
    }

    fn attachment_action(&mut self, data: &mut Object<'_>) {
        data.id("id", "ATTACHMENT_ACTION", self.random.uuid());
        data.text("type", "submit").id("messageId", "MESSAGE", self.random.uuid());
        let (approve, count, comment) =
            (self.random.one_in(2), self.random.below(9) as u64, self.words(1, 20));
        data.object("inputs", |inputs| {
            inputs
                .text("Name", &self.person.name)
                .flag("approve", approve)
                .number("count", count)
                .text("choice", "a,b")
                .text("comment", &comment);
        });
        data.text("personId", &self.person.id).text("roomId", &self.room.id);
        data.time("created", self.created);
    }

    fn file(&mut self, resource: &Resource, data: &mut Object<'_>) {
        data.id("id", "MESSAGE", self.random.uuid());
        self.in_room(data);
        self.by_person(data);
        let file = self.random.below(1000);
        let url = format!("https://files.example.com/v1/spaces/{}/contents/{file}", self.random.below(9));
        if *resource == Resource::FileTranscodings {
            data.text("fileContentUrl", &format!("{url}/versions/3"))
                .text("fileId", &file.to_string())
                .number("pageNumber", 1 + self.random.below(40) as u64);
        } else {
            let content = json::id("CONTENT", self.random.uuid());
            data.text("fileContentUrl", &url)
                .text("fileId", &file.to_string())
                .text("contentUrl", &format!("https://webexapis.com/v1/contents/{content}"));
        }
        data.time("created", self.created);
    }

    fn meeting(&mut self, data: &mut Object<'_>) {
        let (meeting, title) = (meeting_id(&mut self.random), self.words(2, 7));
        data.text("id", &meeting)
            .text("meetingId", &meeting)
            .text("title", &title)
            .text("creatorId", &self.person.id)
            .object("host", |host| describe(host, self.person));
        let attendees = data.key("attendees");
        attendees.push(b'[');
        for nth in 0..=self.random.below(3) {
            if nth > 0 {
                attendees.push(b',');
            }
            let mut attendee = Object::new(attendees);
            describe(&mut attendee, self.other());
            attendee.end();
        }
        attendees.push(b']');
        for flag in ["transcriptionEnabled", "recordingEnabled", "hasPostMeetingsChat"] {
            data.text(flag, if self.random.one_in(2) { "yes" } else { "no" });
        }
        data.time("created", self.created - HOUR);
    }

    fn meeting_message(&mut self, data: &mut Object<'_>) {
        data.id("id", "MEETING_MESSAGE", self.random.uuid());
        data.text("meetingId", &meeting_id(&mut self.random));
        if !self.deleted() {
            let text = self.words(4, 40);
            data.text("text", &text);
        }
        data.text("type", "direct");
        self.by_person(data);
        data.uuid("breakoutSessionId", self.random.uuid());
        let other = self.other();
        let recipients = format!(
            r#"[{{"personId":"{}","personEmail":"{}"}},{{"guestDisplayName":"Guest Example","guestEmail":"guest@example.org"}}]"#,
            other.id, other.email
        );
        data.json("recipients", &recipients).time("created", self.created);
    }

    fn transcript(&mut self, data: &mut Object<'_>) {
        let (meeting, topic) = (meeting_id(&mut self.random), self.words(2, 7));
        let transcript = format!("{:032x}", self.random.uuid());
        let link = |format| {
            format!("https://example.webex.com/v1/meetingTranscripts/{transcript}/download?format={format}")
        };
        let series = meeting.split('_').next().unwrap_or_default();
        data.text("id", &transcript)
            .text("meetingId", &meeting)
            .text("scheduledMeetingId", &format!("{series}_20260105T130000Z"))
            .text("meetingSeriesId", series)
            .text("meetingTopic", &topic)
            .text("siteUrl", "example.webex.com")
            .text("hostUserId", &self.person.id)
            .time("startTime", self.created - HOUR)
            .text("vttDownloadLink", &link("vtt"))
            .text("txtDownloadLink", &link("txt"))
            .text("status", "available");
    }

    fn call(&mut self, data: &mut Object<'_>) {
        let seconds = 1 + self.random.span(3600);
        let start = self.created - 1000 * (seconds + 5);
        let answered = !self.random.one_in(5);
        let called = self.other().number.clone();
        data.uuid("id", self.random.uuid())
            .uuid("corelationId", self.random.uuid())
            .text("callType", self.random.word(&["SIP_ENTERPRISE", "PSTN_SIP", "SIP_NATIONAL"]))
            .text("userId", &self.person.id)
            .text("userType", self.random.word(&["User", "HuntGroup", "VirtualLine"]))
            .text("callDirection", self.random.word(&["ORIGINATING", "TERMINATING"]))
            .text("isCallAnswered", if answered { "true" } else { "false" })
            .text("callDurationSeconds", &if answered { seconds } else { 0 }.to_string())
            .time("callStartTime", start);
        if answered {
            data.time("callAnswerTime", start + 4012);
        } else {
            data.text("callAnswerTime", "");
        }
        data.text("callTransferTime", "")
            .text("callingNumber", &self.person.number)
            .text("callingLineId", "211")
            .text("calledNumber", &called)
            .text("calledLineId", "219")
            .text("dialedDigits", "219")
            .text("callRedirectingNumber", "")
            .text("callRedirectedReason", "")
            .time("created", self.created);
    }

    fn business_text(&mut self, data: &mut Object<'_>) {
        data.uuid("id", self.random.uuid());
        self.by_person(data);
        let (text, called) = (self.words(4, 40), self.other().number.clone());
        data.text("text", &text)
            .text("type", "direct")
            .text("callingNumber", &self.person.number)
            .text("calledNumber", &called)
            .time("created", self.created);
    }

    fn recording(&mut self, data: &mut Object<'_>) {
        let seconds = 30 + self.random.below(3000) as u64;
        let topic = format!("Call with {}", self.other().number);
        data.text("id", &format!("{:032x}", self.random.uuid()))
            .text("topic", &topic)
            .time("createTime", self.created - 4 * 60_000)
            .time("timeRecorded", self.created - HOUR)
            .text("format", "MP3")
            .text("serviceType", "calling")
            .number("durationSeconds", seconds)
            .number("sizeBytes", seconds * 8012)
            .text("status", "available")
            .uuid("ownerId", self.person.uuid)
            .text("ownerEmail", &self.person.email)
            .text("ownerType", "user")
            .text("storageRegion", "US");
        let (location, session) = (self.random.uuid(), self.random.uuid());
        data.object("serviceData", |service| {
            service.id("locationId", "LOCATION", location).uuid("callSessionId", session);
        });
    }
}

fn describe(object: &mut Object<'_>, person: &Person) {
    object.text("id", &person.id).text("email", &person.email).text("displayName", &person.name);
}

fn meeting_id(random: &mut Random) -> String {
    format!("{:032x}_I_{:018}", random.uuid(), random.next() >> 8)
}
