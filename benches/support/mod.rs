//! The pages of the benchmarks, and the structs of the hand-written loop.

#![expect(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "each benchmark uses some of it, prints, and may fail by panicking"
)]

use std::{borrow::Cow, collections::BTreeMap, sync::mpsc, thread};

use serde::Deserialize;
use tokio::runtime::Builder;
use webex_events::{
    Client,
    sandbox::{Sandbox, SandboxBuilder},
};

/// A sandbox in a thread of its own, for as long as the benchmark runs.
pub(crate) struct Service {
    pub(crate) url: String,
    pub(crate) token: String,
}

impl Service {
    pub(crate) fn start(sandbox: SandboxBuilder) -> Self {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let sandbox = sandbox.start().await.unwrap();
                sender.send((sandbox.base_url().to_owned(), sandbox.token().to_owned())).unwrap();
                std::future::pending::<()>().await;
            });
        });
        let (url, token) = receiver.recv().unwrap();
        Self { url, token }
    }

    pub(crate) fn client(&self) -> Client {
        Client::builder().base_url(&self.url).token(self.token.as_str()).build().unwrap()
    }
}

/// Runs each variant once a round, because the load of the machine changes, and returns for each its
/// median time in seconds and its median ratio to the variant `base` in the same round. The first round
/// doesn't count.
pub(crate) fn compare<const N: usize>(
    rounds: usize,
    base: usize,
    mut time: impl FnMut(usize) -> f64,
) -> [(f64, f64); N] {
    let rounds: Vec<[f64; N]> = (0..=rounds).map(|_| std::array::from_fn(&mut time)).skip(1).collect();
    std::array::from_fn(|way| {
        let median = |of: &dyn Fn(&[f64; N]) -> f64| {
            let mut values: Vec<_> = rounds.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        (median(&|round| round[way]), median(&|round| round[way] / round[base]))
    })
}

/// Prints a line of a table; `target` is the largest good ratio.
pub(crate) fn print(name: &str, (seconds, ratio): (f64, f64), target: Option<f64>) {
    let target = target.map_or(String::new(), |target| {
        format!("  target {target:.2}: {}", if ratio <= target { "met" } else { "missed" })
    });
    println!("  {name:<34} {:9.2} ms  {ratio:5.2}{target}", seconds * 1e3);
}

/// The bodies of all pages of a sandbox, with this number of events a page.
pub(crate) fn pages(sandbox: &Sandbox, size: usize) -> Vec<Vec<u8>> {
    let mut items = Vec::new();
    sandbox.for_each_item(|item| items.push(item.to_owned()));
    items.chunks(size).map(|chunk| format!("{{\"items\":[{}]}}", chunk.join(",")).into_bytes()).collect()
}

/// The structs of a hand-written client: plain and owned, for the documented keys.
#[derive(Debug, Deserialize)]
pub(crate) struct PlainPage {
    pub(crate) items: Vec<PlainEvent>,
}

/// The same structs, borrowed where a text has no escapes.
#[derive(Debug, Deserialize)]
pub(crate) struct BorrowedPage<'a> {
    #[serde(borrow)]
    pub(crate) items: Vec<BorrowedEvent<'a>>,
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

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BorrowedEvent<'a> {
    #[serde(borrow)]
    pub(crate) id: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) resource: Cow<'a, str>,
    #[serde(rename = "type")]
    #[serde(borrow)]
    pub(crate) event_type: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) actor_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) org_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) app_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) created: Cow<'a, str>,
    pub(crate) data: BorrowedData<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct BorrowedData<'a> {
    #[serde(borrow)]
    pub(crate) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) room_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) room_type: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) org_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) text: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) person_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) person_email: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) meeting_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) creator_id: Option<Text<'a>>,
    pub(crate) host: Option<BTreeMap<String, serde_json::Value>>,
    pub(crate) attendees: Option<Vec<serde_json::Value>>,
    #[serde(borrow)]
    pub(crate) transcription_enabled: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) recording_enabled: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) has_post_meetings_chat: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) corelation_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) call_type: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) user_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) user_type: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) call_direction: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) is_call_answered: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) call_duration_seconds: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) call_start_time: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) call_answer_time: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) call_transfer_time: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) calling_number: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) calling_line_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) called_number: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) called_line_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) dialed_digits: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) call_redirecting_number: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) call_redirected_reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) created: Option<Text<'a>>,
    #[serde(rename = "type")]
    #[serde(borrow)]
    pub(crate) kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) breakout_session_id: Option<Text<'a>>,
    pub(crate) recipients: Option<Vec<serde_json::Value>>,
}

/// Inside an `Option`, serde would decode a plain `Cow` as an owned one.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);
