//! What an export has done, in words.

use std::time::Duration;

use serde_json::{Map, Value, json};
use webex_events::Stats;

use crate::{
    output::Output,
    progress::{counted, retries},
    say,
};

#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Events with fields that the service couldn't give.
    pub(super) partial: u64,
    pub(super) malformed: u64,
    stats: Stats,
    took: Duration,
    is_complete: bool,
}

impl Tally {
    /// The walk is over.
    pub(super) fn settle(&mut self, stats: Stats, took: Duration, is_complete: bool) {
        (self.stats, self.took, self.is_complete) = (stats, took, is_complete);
    }

    /// How far an export came that failed.
    pub(super) fn far(&self, output: &Output) -> String {
        let written = output.written();
        let place = match written {
            0 => "no event was written".to_owned(),
            1 => format!("1 event is in {}, which isn't the whole list", output.part_name()),
            _ => format!("{written} events are in {}, which isn't the whole list", output.part_name()),
        };
        let malformed = match self.malformed {
            0 => String::new(),
            n => format!(", {}", counted(n, "malformed item")),
        };
        format!("{place} ({}{malformed})", self.work())
    }

    /// What it took.
    fn work(&self) -> String {
        let (pages, requests) = (counted(self.stats.pages, "page"), counted(self.stats.requests, "request"));
        format!("{pages}, {requests}, {}", retries(&self.stats))
    }

    /// The last line of an export that succeeded.
    pub(super) fn sum_up(&self, output: &Output) {
        let text = self.text(output.written(), output.bytes(), output.name(), &output.malformed_name());
        let fields = self.fields(output);
        if self.malformed > 0 {
            say::warning(&text, fields);
        } else {
            say::note(&text, fields);
        }
    }

    fn text(&self, written: u64, bytes: u64, name: &str, malformed_name: &str) -> String {
        let how = if self.is_complete { "complete" } else { "as many as asked for" };
        let mut text = format!(
            "{how}: {} in {name}: {}, {}, waited {:.1} s, took {:.1} s",
            counted(written, "event"),
            counted(bytes, "byte"),
            self.work(),
            self.stats.waited.as_secs_f64(),
            self.took.as_secs_f64(),
        );
        if self.partial > 0 {
            let partial = counted(self.partial, "event");
            text = format!("{text}, {partial} with fields that the service couldn't give");
        }
        match self.malformed {
            0 => format!("{text}, 0 malformed"),
            n => {
                let items = counted(n, "malformed item").to_uppercase();
                format!("{text}, {items} not among the events: see {malformed_name}")
            }
        }
    }

    fn fields(&self, output: &Output) -> Map<String, Value> {
        let millis = |time: Duration| Value::from(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let fields = [
            ("complete", self.is_complete.into()),
            ("output", output.name().into()),
            ("events", output.written().into()),
            ("bytes", output.bytes().into()),
            ("pages", self.stats.pages.into()),
            ("requests", self.stats.requests.into()),
            ("retries", self.stats.retries.into()),
            ("waited_ms", millis(self.stats.waited)),
            ("took_ms", millis(self.took)),
            ("partial", self.partial.into()),
            ("malformed", json!(self.malformed)),
        ];
        fields.map(|(name, value): (_, Value)| (name.to_owned(), value)).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_items_can_not_be_overlooked() {
        let mut tally = Tally::default();
        tally.settle(Stats::default(), Duration::from_millis(1250), true);
        let text = tally.text(7, 70, "f", "f.malformed");
        assert!(
            text.starts_with("complete: 7 events in f: 70 bytes") && text.ends_with("0 malformed"),
            "{text}"
        );
        assert!(text.contains("took 1.2 s"), "{text}");
        (tally.malformed, tally.is_complete) = (3, false);
        let text = tally.text(7, 70, "f", "f.malformed");
        assert!(text.starts_with("as many as asked for: 7"), "{text}");
        assert!(text.contains("3 MALFORMED ITEMS") && text.ends_with("see f.malformed"), "{text}");
    }
}
