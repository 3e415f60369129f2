//! The files of a follower's folder: one for each hour in which events were created.

use std::{collections::BTreeMap, io};

use chrono::{DateTime, TimeDelta, Utc};
use webex_events::{Event, Result as ListResult};

use crate::{
    archive::{Codec, FileEntry},
    run::{names, range::hour},
};

const HOUR: TimeDelta = TimeDelta::hours(1);

/// The hours for which events may still come.
#[derive(Debug, Default)]
pub(super) struct Hours {
    open: BTreeMap<DateTime<Utc>, FileEntry>,
}

/// The items of a round by file, and the files that are finished.
pub(super) type Sorted = (Vec<(FileEntry, Vec<ListResult<Event>>)>, Vec<FileEntry>);

impl Hours {
    /// `open` are the unfinished files of an earlier run.
    pub(super) fn new(open: impl IntoIterator<Item = FileEntry>) -> Self {
        Self { open: open.into_iter().filter_map(|entry| Some((entry.start?, entry))).collect() }
    }

    /// Sorts items into files. An hour is over once all lists have settled up to its end.
    pub(super) fn sort(
        &mut self,
        items: Vec<ListResult<Event>>,
        settled: DateTime<Utc>,
        codec: Codec,
    ) -> io::Result<Sorted> {
        let newest = items.iter().flatten().map(Event::created).max();
        let mut files: BTreeMap<DateTime<Utc>, Vec<_>> = BTreeMap::new();
        for item in items {
            // The time of a malformed item is unknown.
            let created = item.as_ref().map_or(newest.unwrap_or(settled), Event::created);
            let start = hour(created).ok_or_else(|| io::Error::other(format!("{created} has no hour")))?;
            files.entry(start).or_default().push(item);
        }
        let mut sorted = Vec::new();
        for (start, items) in files {
            let entry = self.open.entry(start).or_insert_with(|| names::entry(start, start + HOUR, codec));
            sorted.push((entry.clone(), items));
        }
        let over: Vec<_> = self.open.keys().copied().filter(|start| *start + HOUR <= settled).collect();
        Ok((sorted, over.iter().filter_map(|start| self.open.remove(start)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn event(id: &str, created: &str) -> ListResult<Event> {
        Event::from_json(format!(
            r#"{{"id":"{id}","resource":"rooms","type":"created","created":"{created}"}}"#
        ))
    }

    fn file_names(entries: &[FileEntry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.name.as_str()).collect()
    }

    #[test]
    fn events_go_into_the_file_of_their_hour_and_an_hour_ends_when_it_has_settled() {
        let mut hours = Hours::default();
        let items = vec![
            event("1", "2026-01-05T08:59:59.999Z"),
            event("2", "2026-01-05T09:00:00Z"),
            event("3", "2026-01-05T08:00:00Z"),
        ];
        let settled = at("2026-01-05T09:00:00Z") - TimeDelta::milliseconds(1);
        let (files, over) = hours.sort(items, settled, Codec::None).unwrap();
        let counts: Vec<_> = files.iter().map(|(entry, items)| (entry.start.unwrap(), items.len())).collect();
        assert_eq!(counts, [(at("2026-01-05T08:00:00Z"), 2), (at("2026-01-05T09:00:00Z"), 1)]);
        assert!(over.is_empty(), "an event of the last millisecond may come: {over:?}");
        let settled = at("2026-01-05T09:00:00Z");
        let (files, over) = hours.sort(Vec::new(), settled, Codec::None).unwrap();
        assert!(files.is_empty());
        assert_eq!(file_names(&over), ["events_20260105T080000Z_20260105T090000Z.ndjson"]);
        let (_, over) = hours.sort(Vec::new(), settled, Codec::None).unwrap();
        assert!(over.is_empty(), "it is over once");
    }

    #[test]
    fn files_of_an_earlier_run_end_too() {
        let start = at("2026-01-05T08:00:00Z");
        let mut hours = Hours::new([names::entry(start, start + HOUR, Codec::None)]);
        let settled = at("2026-01-05T12:00:00Z");
        assert_eq!(hours.sort(Vec::new(), settled, Codec::None).unwrap().1.len(), 1);
    }
}
