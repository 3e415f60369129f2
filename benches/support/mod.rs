//! Pages to measure with, and the structs of the hand-written loop.

#![allow(dead_code, missing_docs, reason = "each benchmark uses some of it")]

use std::collections::BTreeMap;

use serde::Deserialize;
use webex_events::sandbox::Sandbox;

/// The bodies of all pages of a sandbox, at so many events a page.
pub(crate) fn pages(sandbox: &Sandbox, size: usize) -> Vec<Vec<u8>> {
    let mut items = Vec::new();
    sandbox.for_each_item(|item| items.push(item.to_owned()));
    items.chunks(size).map(|chunk| format!("{{\"items\":[{}]}}", chunk.join(",")).into_bytes()).collect()
}

/// What a careful programmer writes by hand: plain owned structs for the documented keys.
#[derive(Debug, Deserialize)]
pub(crate) struct PlainPage {
    pub(crate) items: Vec<PlainEvent>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlainEvent {
    pub(crate) id: String,
    pub(crate) resource: String,
    #[serde(rename = "type")]
    pub(crate) event_type: String,
    pub(crate) actor_id: String,
    pub(crate) org_id: Option<String>,
    pub(crate) app_id: Option<String>,
    pub(crate) created: String,
    pub(crate) data: PlainData,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PlainData {
    pub(crate) id: Option<String>,
    pub(crate) room_id: Option<String>,
    pub(crate) room_type: Option<String>,
    pub(crate) org_id: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) person_id: Option<String>,
    pub(crate) person_email: Option<String>,
    pub(crate) meeting_id: Option<String>,
    pub(crate) creator_id: Option<String>,
    pub(crate) host: Option<BTreeMap<String, serde_json::Value>>,
    pub(crate) attendees: Option<Vec<serde_json::Value>>,
    pub(crate) transcription_enabled: Option<String>,
    pub(crate) recording_enabled: Option<String>,
    pub(crate) has_post_meetings_chat: Option<String>,
    pub(crate) corelation_id: Option<String>,
    pub(crate) call_type: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) user_type: Option<String>,
    pub(crate) call_direction: Option<String>,
    pub(crate) is_call_answered: Option<String>,
    pub(crate) call_duration_seconds: Option<String>,
    pub(crate) call_start_time: Option<String>,
    pub(crate) call_answer_time: Option<String>,
    pub(crate) call_transfer_time: Option<String>,
    pub(crate) calling_number: Option<String>,
    pub(crate) calling_line_id: Option<String>,
    pub(crate) called_number: Option<String>,
    pub(crate) called_line_id: Option<String>,
    pub(crate) dialed_digits: Option<String>,
    pub(crate) call_redirecting_number: Option<String>,
    pub(crate) call_redirected_reason: Option<String>,
    pub(crate) created: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) breakout_session_id: Option<String>,
    pub(crate) recipients: Option<Vec<serde_json::Value>>,
}
