//! The result of a run: its last line, its exit code, and the file of `--summary`.

use std::{collections::BTreeSet, io::ErrorKind, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use webex_events::Stats;

use crate::{
    archive::{FailedSlice, FileEntry, Totals},
    error::{AGAIN, Code, Failure},
    run::{range::Range, request::Options, stop_reason::StopReason},
    ui::{
        human::{counted, instant, number, size, span},
        messages,
    },
};

mod report;

/// The result of a run. Events, bytes and files are those of all runs of an export; pages, requests, retries and waits
/// are those of this run.
#[derive(Debug, Default)]
pub(crate) struct RunSummary {
    /// The arguments that determine the content of the output.
    pub(crate) options: Options,
    pub(crate) range: Range,
    pub(crate) totals: Totals,
    pub(crate) stats: Stats,
    pub(crate) took: Duration,
    /// True if everything was read.
    pub(crate) is_complete: bool,
    /// The reason why a run that didn't fail isn't complete; `None` if it reached the maximum number of events.
    pub(crate) why_not: Option<&'static str>,
    /// True if an earlier run had completed everything.
    pub(crate) was_complete: bool,
    pub(crate) files: Vec<FileEntry>,
    /// The number of complete slices and of all slices of a folder.
    pub(crate) slices: Option<(usize, usize)>,
    /// Slices that were set aside in this run, or permanently in an earlier run.
    pub(crate) failed: Vec<(FailedSlice, Code)>,
    /// The instant up to which a follower's events are final, and its lag.
    pub(crate) followed: Option<(DateTime<Utc>, Duration)>,
    /// True if a later run resumes where this one has ended.
    pub(crate) is_resumable: bool,
    /// The list that an error of the service belongs to, if there are several.
    pub(crate) list: Option<String>,
    /// The final name of the output, and its name until it is complete.
    pub(crate) name: String,
    pub(crate) part_name: String,
    pub(crate) malformed_name: String,
}

impl RunSummary {
    /// Prints the last line of a run that succeeded, or returns its failure with the exit code.
    pub(crate) fn conclude(&self, ended: Result<(), StopReason>) -> Result<(), Failure> {
        let Err(reason) = ended else {
            return match Code::worst(self.failed.iter().map(|(_, code)| *code)) {
                None => {
                    self.sum_up();
                    Ok(())
                }
                Some(code) => Err(Failure::new(code, self.failed_text())),
            };
        };
        let progress = self.progress();
        let has_events = self.totals.events > 0;
        match reason {
            StopReason::Service(error) => {
                let has_events = has_events || self.followed.is_some();
                let failure = Failure::after(&error, &progress, has_events, self.is_resumable);
                Err(match &self.list {
                    Some(list) => Failure { message: format!("{list}: {}", failure.message), ..failure },
                    None => failure,
                })
            }
            // A reader that closes the output doesn't want more, which is no failure.
            StopReason::Output(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            StopReason::Output(error) => {
                Err(Failure::unwritable_after(&self.name, &error, &progress, self.is_resumable))
            }
            StopReason::WriterGone => {
                Err(Failure::new(Code::Output, format!("{} can't be written; {progress}", self.name)))
            }
            StopReason::Signal(code) if self.is_resumable && (has_events || self.followed.is_some()) => {
                Err(Failure::new(code, format!("{progress}; {AGAIN}")))
            }
            StopReason::Signal(code) => Err(Failure::new(code, progress)),
            StopReason::Failed(failure) => Err(failure),
        }
    }

    /// The progress of a run that isn't complete.
    fn progress(&self) -> String {
        if let Some((settled, lag)) = self.followed {
            return format!(
                "{} in this run{}; settled up to {}, lag {}",
                if self.stats.events == 0 {
                    "no event".to_owned()
                } else {
                    counted(self.stats.events, "event")
                },
                if self.stats.events == 0 { String::new() } else { format!(", written to {}", self.name) },
                instant(settled),
                span(Duration::from_secs(lag.as_secs()))
            );
        }
        let written = match self.totals.events {
            0 => "no event was written".to_owned(),
            1 => format!("1 event is in {}, which isn't the whole list", self.part_name),
            n => format!("{} are in {}, which isn't the whole list", counted(n, "event"), self.part_name),
        };
        let malformed = match self.totals.malformed {
            0 => String::new(),
            n => format!(", {}", counted(n, "malformed item")),
        };
        let slices = self.slices.map_or(String::new(), |(complete, all)| {
            format!(", {complete} of {} closed", counted(all as u64, "slice"))
        });
        let details = format!("{}{malformed}{slices}{}", self.work(), self.outside());
        match details.trim_start_matches(", ") {
            "" => written,
            details => format!("{written} ({details})"),
        }
    }

    /// The number of events that no file has, because of their `created`.
    fn outside(&self) -> String {
        match self.stats.outside {
            0 => String::new(),
            1 => ", 1 EVENT NOT WRITTEN: it was created outside of the slice in which the service listed it"
                .to_owned(),
            n => format!(
                ", {} EVENTS NOT WRITTEN: they were created outside of the slices in which the service listed them",
                number(n)
            ),
        }
    }

    fn failed_text(&self) -> String {
        let starts: BTreeSet<_> = self.failed.iter().map(|(slice, _)| slice.start).collect();
        let (failed, (_, all)) = (starts.len(), self.slices.unwrap_or_default());
        let advice = if self.failed.iter().all(|(slice, _)| slice.is_beyond_retention) {
            "the service no longer has them".to_owned()
        } else {
            "the same command tries them again".to_owned()
        };
        format!("{failed} of {} can't be read; {}; {advice}", counted(all as u64, "slice"), self.progress())
    }

    /// The numbers of pages, requests and retries, and the waits, as far as they aren't zero.
    fn work(&self) -> String {
        let stats = &self.stats;
        let numbers = [(stats.pages, "page"), (stats.requests, "request"), (stats.retries, "retry")];
        let numbers = numbers.into_iter().filter(|(n, _)| *n > 0);
        let mut parts: Vec<_> = numbers.map(|(n, thing)| counted(n, thing)).collect();
        // Waits of concurrent slices add up to more than the run took.
        if stats.waited >= Duration::from_millis(100) && stats.waited <= self.took {
            parts.push(format!("waited {}", span(stats.waited)));
        }
        parts.join(", ")
    }

    fn sum_up(&self) {
        if self.totals.malformed > 0 || self.stats.outside > 0 {
            messages::warning(&self.text(), self.fields());
        } else {
            messages::note(&self.text(), self.fields());
        }
    }

    fn text(&self) -> String {
        let status = match (self.is_complete, self.was_complete) {
            (true, true) => "complete already",
            (true, false) => "complete",
            _ => "as many as requested",
        };
        let (totals, took) = (&self.totals, span(self.took.max(Duration::from_millis(100))));
        let mut found = counted(totals.events, "event");
        if totals.bytes > 0 {
            found = format!("{found}, {}", size(totals.bytes));
        }
        if let Some((files, _)) = self.slices {
            found = format!("{found}, {}", counted(files as u64, "file"));
        }
        let mut text = match (self.was_complete, self.stats.events >= totals.events) {
            (true, _) => format!("{status}: {found}, in {}", self.name),
            (false, true) => {
                format!("{status}: {found} in {took}, written to {}; {}", self.name, self.work())
            }
            // Earlier runs have written the rest.
            (false, false) => format!(
                "{status}: {found}, written to {}; this run: {} in {took}, {}",
                self.name,
                counted(self.stats.events, "event"),
                self.work()
            ),
        };
        text = text.trim_end_matches([',', ';', ' ']).to_owned();
        if totals.duplicates > 0 {
            text = format!("{text}, {} dropped", counted(totals.duplicates, "duplicate"));
        }
        if totals.partial > 0 {
            let partial = counted(totals.partial, "event");
            text = format!("{text}, {partial} with fields that the service couldn't provide");
        }
        text.push_str(&self.outside());
        if totals.malformed > 0 {
            let items = counted(totals.malformed, "malformed item").to_uppercase();
            text = format!("{text}, {items} not among the events: see {}", self.malformed_name);
        }
        text
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
            ("malformed", json!(self.totals.malformed)),
            ("outside", self.stats.outside.into()),
        ];
        fields.map(|(name, value): (_, Value)| (name.to_owned(), value)).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_items_are_reported_in_capitals() {
        let mut stats = Stats::default();
        (stats.events, stats.pages, stats.requests) = (7, 1, 1);
        let mut summary = RunSummary {
            totals: Totals { events: 7, bytes: 70, ..Totals::default() },
            stats,
            took: Duration::from_millis(1250),
            is_complete: true,
            name: "f".to_owned(),
            malformed_name: "f.malformed".to_owned(),
            ..RunSummary::default()
        };
        let text = summary.text();
        assert_eq!(text, "complete: 7 events, 70 bytes in 1.2 s, written to f; 1 page, 1 request");
        (summary.totals.malformed, summary.totals.duplicates, summary.is_complete) = (3, 1, false);
        let text = summary.text();
        assert!(
            text.starts_with("as many as requested: 7") && text.contains("1 duplicate dropped"),
            "{text}"
        );
        assert!(text.contains("3 MALFORMED ITEMS") && text.ends_with("see f.malformed"), "{text}");
    }

    #[test]
    fn the_last_line_is_for_people() {
        let mut stats = Stats::default();
        (stats.events, stats.pages, stats.requests, stats.retries) = (200_000, 250, 1260, 3);
        stats.waited = Duration::from_secs(12);
        let mut summary = RunSummary {
            totals: Totals { events: 200_000, bytes: 187 << 20, ..Totals::default() },
            stats,
            took: Duration::from_millis(18_400),
            is_complete: true,
            slices: Some((120, 120)),
            name: "d".to_owned(),
            ..RunSummary::default()
        };
        assert_eq!(
            summary.text(),
            "complete: 200,000 events, 187 MiB, 120 files in 18 s, written to d; 250 pages, 1,260 requests, \
             3 retries, waited 12 s"
        );
        summary.stats.events = 1000;
        assert_eq!(
            summary.text(),
            "complete: 200,000 events, 187 MiB, 120 files, written to d; this run: 1,000 events in 18 s, \
             250 pages, 1,260 requests, 3 retries, waited 12 s"
        );
        summary.was_complete = true;
        assert_eq!(summary.text(), "complete already: 200,000 events, 187 MiB, 120 files, in d");
    }

    #[test]
    fn events_outside_of_their_slices_are_reported_in_capitals() {
        let mut summary = RunSummary { is_complete: true, name: "f".to_owned(), ..RunSummary::default() };
        assert!(!summary.text().contains("outside") && !summary.progress().contains("outside"));
        summary.stats.outside = 2;
        for text in [summary.text(), summary.progress()] {
            assert!(text.contains("2 EVENTS NOT WRITTEN: they were created outside"), "{text}");
        }
        assert_eq!(summary.fields()["outside"], 2);
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst_slice() {
        let slice = |code| {
            let (start, kind, message) = (Utc::now(), "service".to_owned(), "no".to_owned());
            (FailedSlice { start, end: start, kind, message, is_beyond_retention: false }, code)
        };
        let order = [Code::Settings, Code::Refused, Code::Output, Code::Unavailable, Code::Stopped];
        for (at, worst) in order.iter().enumerate() {
            let failed = order[at..].iter().rev().copied().map(slice).collect();
            let summary = RunSummary { failed, slices: Some((1, 6)), ..RunSummary::default() };
            let failure = summary.conclude(Ok(())).unwrap_err();
            assert_eq!(failure.code, *worst);
            assert!(failure.message.starts_with(&format!("{} of 6 slices can't be read", 5 - at)));
        }
    }
}
