//! The comparison of the final files with the service.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use webex_events::{Event, EventType, sandbox::Sandbox};

use crate::{
    job::{Job, Kind, names},
    remains::{Entry, Remains, sha256, unpacked},
    weather::{Fault, Period},
};

/// The events of the service.
#[derive(Debug)]
pub(crate) struct Expected {
    /// In the service's order.
    pub(crate) events: Vec<(DateTime<Utc>, String)>,
    /// The malformed items.
    pub(crate) malformed: Vec<String>,
    lines: HashSet<String>,
}

impl Expected {
    /// The events that the service has in a range, or in all without one.
    pub(crate) fn of(service: &Sandbox, range: Option<Period>) -> Self {
        let (mut events, mut malformed) = (Vec::new(), Vec::new());
        service.for_each_item(|item| match Event::from_json(item) {
            Err(_) => malformed.push(item.to_owned()),
            Ok(event) => {
                let created = event.created();
                if range.is_none_or(|(start, end)| (start..end).contains(&created)) {
                    events.push((created, item.to_owned()));
                }
            }
        });
        let lines = events.iter().map(|(_, line)| line.clone()).collect();
        Self { events, malformed, lines }
    }

    pub(crate) fn has(&self, line: &str) -> bool {
        self.lines.contains(line)
    }
}

/// That a job's files have each event once, as the service gave it, and that nothing else is there.
#[track_caller]
pub(crate) fn check(job: &Job) {
    match job.kind {
        Kind::File => check_file(job, false),
        Kind::Folder | Kind::Follow => check_folder(job),
    }
}

/// The same for a file that a killed run had completed. Its lock may be left.
#[track_caller]
pub(crate) fn check_after_kill(job: &Job) {
    let has_lock = job.out().with_file_name(format!("{}.lock", job.file)).exists();
    check_file(job, has_lock);
}

#[track_caller]
fn check_file(job: &Job, has_lock: bool) {
    let expected = job.expected();
    let mut left = vec![job.file.clone()];
    if has_lock {
        left.push(format!("{}.lock", job.file));
    }
    if !expected.malformed.is_empty() {
        let malformed = format!("{}.malformed", job.file);
        left.push(malformed.clone());
        assert_eq!(sorted(raws(job, &malformed)), sorted(expected.malformed.clone()));
    }
    assert_eq!(names(&job.output_folder()), left);
    let text = unpacked(job.codec, &fs::read(job.out()).unwrap());
    let lines: Vec<_> = text.lines().collect();
    let mut expected: Vec<_> = expected.events.iter().map(|(_, line)| line.as_str()).collect();
    if job.has_lists {
        expected.sort_by_key(|line| list(line));
    }
    assert!(lines == expected, "{} events, in another order or other ones: {}", expected.len(), lines.len());
}

#[track_caller]
fn check_folder(job: &Job) {
    let expected = job.expected();
    let remains = Remains::read(&job.state(), None);
    let mut left = vec!["ledger.json".to_owned()];
    let (mut events, mut malformed) = (0, Vec::new());
    for entry in remains.entries() {
        let is_open = job.kind == Kind::Follow && entry.stage == "open";
        assert!(is_open || entry.stage == "complete", "{} is {}", entry.name, entry.stage);
        let name = if is_open { format!("{}.part", entry.name) } else { entry.name.clone() };
        let bytes = fs::read(job.output_folder().join(&name)).unwrap();
        assert_eq!(entry.bytes, bytes.len() as u64, "{name}");
        assert_eq!(entry.sha256.as_deref(), Some(sha256(&bytes).as_str()), "{name}");
        events += check_slice(job, entry, &unpacked(job.codec, &bytes), &expected);
        left.push(name);
        if entry.malformed.is_some() {
            let end = if is_open { ".part" } else { "" };
            left.push(format!("{}.malformed{end}", entry.name));
            malformed.extend(raws(job, left.last().unwrap()));
        }
    }
    assert_eq!(events, expected.events.len(), "all of them");
    left.sort();
    assert_eq!(names(&job.output_folder()), left);
    check_malformed(job, &malformed, &expected.malformed);
}

/// That a file has the events of its range. Returns how many.
#[track_caller]
fn check_slice(job: &Job, entry: &Entry, text: &str, expected: &Expected) -> usize {
    let (start, end) = entry.range.as_ref().unwrap();
    let range: Period = (start.parse().unwrap(), end.parse().unwrap());
    let of_range = expected.events.iter().filter(|(created, _)| (range.0..range.1).contains(created));
    let mut expected: Vec<_> = of_range.map(|(_, line)| line.as_str()).collect();
    let mut lines: Vec<_> = text.lines().collect();
    if job.kind == Kind::Follow || job.has_lists {
        // A follower's events come in the order of their creation, except late ones; the pages of several lists as they
        // arrive.
        lines.sort_unstable();
        expected.sort_unstable();
    }
    assert!(lines == expected, "{}: {} events instead of {}", entry.name, lines.len(), expected.len());
    lines.len()
}

/// The index of the list that an event is in, if there is a list for each type.
fn list(line: &str) -> Option<usize> {
    let event = Event::from_json(line).unwrap();
    EventType::KNOWN.iter().position(|known| known == event.event_type())
}

/// That each malformed item was kept. Nobody can tell when one was created: in a folder, one at the border
/// of two slices is kept with both, and a follower knows it by its text.
#[track_caller]
fn check_malformed(job: &Job, kept: &[String], expected: &[String]) {
    assert!(job.weather.has(Fault::Items) || kept.is_empty());
    let (kept, expected) = (counted(kept), counted(expected));
    assert!(kept.keys().eq(expected.keys()), "other malformed items");
    for (raw, count) in kept {
        let most = expected[raw];
        let range = if job.kind == Kind::Folder { most..=2 * most } else { 1..=most };
        assert!(range.contains(&count), "{count} times: {raw}");
    }
}

fn counted(texts: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for text in texts {
        *counts.entry(text.as_str()).or_default() += 1;
    }
    counts
}

/// The texts of malformed items in a file.
fn raws(job: &Job, name: &str) -> Vec<String> {
    let text = fs::read_to_string(job.output_folder().join(name)).unwrap();
    let raw = |line: &str| serde_json::from_str::<Value>(line).unwrap()["raw"].as_str().unwrap().to_owned();
    text.lines().map(raw).collect()
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}
