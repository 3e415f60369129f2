//! The text of `/metrics`: the Prometheus text format, version 0.0.4.
//!
//! It is written directly: two rules for escaping are simpler than a registry for each scrape.

use std::{
    fmt::{Display, Write},
    time::Duration,
};

use crate::metrics::RunSnapshot;

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn of(snapshot: &RunSnapshot, lag: Option<Duration>) -> String {
    let mut exposition = Exposition(String::new());
    let stats = &snapshot.stats;
    exposition.counter("events_total", "Events read.", stats.events);
    exposition.counter("malformed_total", "Malformed items read.", stats.malformed);
    let duplicates = "Events that were listed again and dropped.";
    exposition.counter("duplicates_dropped_total", duplicates, snapshot.duplicates);
    let outside =
        "Events that were not written because they were created outside of the slice that listed them.";
    exposition.counter("events_outside_total", outside, stats.outside);
    exposition.counter("pages_total", "Pages read.", stats.pages);
    exposition.counter("received_bytes_total", "Bytes of pages after decompression.", stats.bytes);
    exposition.counter("retries_total", "Requests that were sent again.", stats.retries);
    let requests = snapshot.responses.iter().map(|(status, count)| (status.to_string(), count));
    exposition.family("requests_total", "counter", "Responses received, by status.", "status", requests);
    let waited = "Time spent waiting for the rate limit and in pauses.";
    exposition.counter("waited_seconds_total", waited, stats.waited.as_secs_f64());
    exposition.gauge("open_slices", "Slices that are being read.", snapshot.open_slices);
    if let Some(lag) = lag {
        let help = "Time since the instant up to which all events were read.";
        exposition.gauge("lag_seconds", help, lag.as_secs_f64());
    }
    if let Some(expiry) = snapshot.token_expiry {
        let help = "Unix time at which the access token expires.";
        exposition.gauge("token_expiry_timestamp_seconds", help, expiry.timestamp());
    }
    let version = [(env!("CARGO_PKG_VERSION"), 1)];
    exposition.family("build_info", "gauge", "The version of the program.", "version", version);
    exposition.0
}

struct Exposition(String);

impl Exposition {
    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.single(name, "counter", help, value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.single(name, "gauge", help, value);
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.line(format_args!("webex_events_{name} {value}"));
    }

    /// A metric with one label, and a line for each value of the label. Without values it is left out.
    fn family<L: AsRef<str>, V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        label: &str,
        series: impl IntoIterator<Item = (L, V)>,
    ) {
        for (at, (value_of_label, value)) in series.into_iter().enumerate() {
            if at == 0 {
                self.head(name, kind, help);
            }
            let value_of_label = label_value(value_of_label.as_ref());
            self.line(format_args!("webex_events_{name}{{{label}=\"{value_of_label}\"}} {value}"));
        }
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP webex_events_{name} {}", help_text(help)));
        self.line(format_args!("# TYPE webex_events_{name} {kind}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string succeeds.
        let _ = writeln!(self.0, "{line}");
    }
}

fn help_text(text: &str) -> String {
    text.replace('\\', r"\\").replace('\n', r"\n")
}

fn label_value(text: &str) -> String {
    help_text(text).replace('"', r#"\""#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_and_quotes_are_escaped() {
        let mut exposition = Exposition(String::new());
        exposition.family("x", "gauge", "a\\b\n\"c\"", "l", [("d\"\\\n", 1.5)]);
        assert_eq!(
            exposition.0,
            "# HELP webex_events_x a\\\\b\\n\"c\"\n# TYPE webex_events_x gauge\nwebex_events_x{l=\"d\\\"\\\\\\n\"} 1.5\n"
        );
    }

    #[test]
    fn a_family_without_a_series_is_left_out() {
        let mut exposition = Exposition(String::new());
        exposition.family("x", "gauge", "help", "l", [("", 0); 0]);
        assert_eq!(exposition.0, "");
    }
}
