//! What an export has done, in words.

use std::time::Duration;

use serde_json::{Map, Value, json};
use webex_events::Stats;

use crate::{
    archive::Totals,
    ui::{
        messages,
        progress::{counted, retries},
    },
};

/// What has been done, and where it is.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) totals: Totals,
    pub(crate) stats: Stats,
    pub(crate) took: Duration,
    /// Whether it is the whole list.
    pub(crate) is_complete: bool,
    /// Whether there was nothing to do.
    pub(crate) was_complete: bool,
    /// How many files are closed, of how many, in a folder.
    pub(crate) files: Option<(usize, usize)>,
    /// Where a complete list is, or where it will be.
    pub(crate) name: String,
    /// Where what came is as long as it isn't.
    pub(crate) part_name: String,
    pub(crate) malformed_name: String,
}

impl Tally {
    /// How far an export came that failed.
    pub(crate) fn far(&self) -> String {
        let place = match self.totals.events {
            0 => "no event was written".to_owned(),
            1 => format!("1 event is in {}, which isn't the whole list", self.part_name),
            n => format!("{n} events are in {}, which isn't the whole list", self.part_name),
        };
        let malformed = match self.totals.malformed {
            0 => String::new(),
            n => format!(", {}", counted(n, "malformed item")),
        };
        let files = self.files.map_or(String::new(), |(closed, all)| {
            format!(", {closed} of {} closed", counted(all as u64, "slice"))
        });
        format!("{place} ({}{malformed}{files}{})", self.work(), self.outside())
    }

    /// Events that no file has, because of their `created`.
    fn outside(&self) -> String {
        match self.stats.outside {
            0 => String::new(),
            1 => ", 1 EVENT NOT WRITTEN: it was created outside of the slice that the service listed it for"
                .to_owned(),
            n => format!(
                ", {n} EVENTS NOT WRITTEN: they were created outside of the slices that the service listed them for"
            ),
        }
    }

    /// What it took.
    fn work(&self) -> String {
        let (pages, requests) = (counted(self.stats.pages, "page"), counted(self.stats.requests, "request"));
        format!("{pages}, {requests}, {}", retries(&self.stats))
    }

    /// The last line of an export that succeeded.
    pub(crate) fn sum_up(&self) {
        if self.totals.malformed > 0 || self.stats.outside > 0 {
            messages::warning(&self.text(), self.fields());
        } else {
            messages::note(&self.text(), self.fields());
        }
    }

    fn text(&self) -> String {
        let how = match (self.is_complete, self.was_complete) {
            (true, true) => "complete already",
            (true, false) => "complete",
            _ => "as many as asked for",
        };
        let files =
            self.files.map_or(String::new(), |(closed, _)| format!(" ({})", counted(closed as u64, "file")));
        let mut text = format!(
            "{how}: {} in {}{files}: {}, {}, waited {:.1} s, took {:.1} s",
            counted(self.totals.events, "event"),
            self.name,
            counted(self.totals.bytes, "byte"),
            self.work(),
            self.stats.waited.as_secs_f64(),
            self.took.as_secs_f64(),
        );
        if self.totals.duplicates > 0 {
            text = format!("{text}, {} dropped", counted(self.totals.duplicates, "duplicate"));
        }
        if self.totals.partial > 0 {
            let partial = counted(self.totals.partial, "event");
            text = format!("{text}, {partial} with fields that the service couldn't give");
        }
        text.push_str(&self.outside());
        match self.totals.malformed {
            0 => format!("{text}, 0 malformed"),
            n => {
                let items = counted(n, "malformed item").to_uppercase();
                format!("{text}, {items} not among the events: see {}", self.malformed_name)
            }
        }
    }

    fn fields(&self) -> Map<String, Value> {
        let millis = |time: Duration| Value::from(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let fields = [
            ("complete", self.is_complete.into()),
            ("output", self.name.clone().into()),
            ("events", self.totals.events.into()),
            ("bytes", self.totals.bytes.into()),
            ("pages", self.stats.pages.into()),
            ("requests", self.stats.requests.into()),
            ("retries", self.stats.retries.into()),
            ("waited_ms", millis(self.stats.waited)),
            ("took_ms", millis(self.took)),
            ("duplicates", self.totals.duplicates.into()),
            ("partial", self.totals.partial.into()),
            ("outside", self.stats.outside.into()),
            ("malformed", json!(self.totals.malformed)),
        ];
        fields.map(|(name, value): (_, Value)| (name.to_owned(), value)).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_outside_of_their_slices_can_not_be_overlooked() {
        let mut tally = Tally { is_complete: true, name: "f".to_owned(), ..Tally::default() };
        assert!(!tally.text().contains("outside") && !tally.far().contains("outside"));
        tally.stats.outside = 2;
        for text in [tally.text(), tally.far()] {
            assert!(text.contains("2 EVENTS NOT WRITTEN: they were created outside"), "{text}");
        }
        assert_eq!(tally.fields()["outside"], 2);
    }

    #[test]
    fn malformed_items_can_not_be_overlooked() {
        let mut tally = Tally {
            totals: Totals { events: 7, bytes: 70, ..Totals::default() },
            took: Duration::from_millis(1250),
            is_complete: true,
            name: "f".to_owned(),
            malformed_name: "f.malformed".to_owned(),
            ..Tally::default()
        };
        let text = tally.text();
        assert!(
            text.starts_with("complete: 7 events in f: 70 bytes") && text.ends_with("0 malformed"),
            "{text}"
        );
        assert!(text.contains("took 1.2 s") && !text.contains("duplicate"), "{text}");
        (tally.totals.malformed, tally.totals.duplicates, tally.is_complete) = (3, 1, false);
        let text = tally.text();
        assert!(
            text.starts_with("as many as asked for: 7") && text.contains("1 duplicate dropped"),
            "{text}"
        );
        assert!(text.contains("3 MALFORMED ITEMS") && text.ends_with("see f.malformed"), "{text}");
    }
}
