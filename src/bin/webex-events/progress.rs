//! The progress line.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use chrono::{DateTime, SecondsFormat, Utc};
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use webex_events::Stats;

use crate::{args::LogFormat, say};

/// A line on the terminal, if there is one, that tells how an export goes.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
    last_page: Instant,
    created: Option<DateTime<Utc>>,
}

impl Progress {
    /// Shows it only where nobody is disturbed: not in a pipe, nor between events on the terminal.
    pub(crate) fn start(format: LogFormat, events_on_stdout: bool) -> Self {
        let bar = say::bar();
        let in_the_way = events_on_stdout && io::stdout().is_terminal();
        if io::stderr().is_terminal() && !say::is_quiet() && !in_the_way && format == LogFormat::Text {
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        let now = Instant::now();
        Self { bar, started: now, last_page: now, created: None }
    }

    /// A page was written, the last event of which was created then.
    pub(crate) fn page(&mut self, stats: &Stats, created: Option<DateTime<Utc>>) {
        self.last_page = Instant::now();
        self.created = created.or(self.created);
        self.tick(stats);
    }

    /// Time has passed.
    pub(crate) fn tick(&self, stats: &Stats) {
        if !self.bar.is_hidden() {
            self.bar.set_message(text(stats, self.started.elapsed(), self.last_page.elapsed(), self.created));
        }
    }

    /// How long the export has taken.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn text(stats: &Stats, elapsed: Duration, since_page: Duration, created: Option<DateTime<Utc>>) -> String {
    // An average in whole events is exact enough to be looked at.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = stats.events as f64 / elapsed.as_secs_f64().max(0.001);
    let (events, pages) = (counted(stats.events, "event"), counted(stats.pages, "page"));
    let mut text = format!("{events}, {rate:.0}/s, {pages}, {}", HumanBytes(stats.bytes));
    if let Some(created) = created {
        text = format!("{text}, at {}", created.to_rfc3339_opts(SecondsFormat::Secs, true));
    }
    if stats.retries > 0 {
        text = format!("{text}, {}", retries(stats));
    }
    if stats.waited.as_secs() > 0 {
        text = format!("{text}, waited {} s", stats.waited.as_secs());
    }
    if since_page.as_secs() >= 2 {
        text = format!("{text}; waiting for a page since {} s", since_page.as_secs());
    }
    text
}

/// A number of things.
pub(crate) fn counted(n: u64, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

pub(crate) fn retries(stats: &Stats) -> String {
    if stats.retries == 1 { "1 retry".to_owned() } else { format!("{} retries", stats.retries) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_there_is_to_say() {
        let second = Duration::from_secs(1);
        let mut stats = Stats::default();
        assert_eq!(text(&stats, Duration::ZERO, Duration::ZERO, None), "0 events, 0/s, 0 pages, 0 B");
        (stats.events, stats.pages, stats.bytes) = (2000, 2, 2 << 20);
        (stats.retries, stats.waited) = (3, 12 * second);
        let created = "2026-01-05T09:00:00.123Z".parse().ok();
        assert_eq!(
            text(&stats, 4 * second, 2 * second, created),
            "2000 events, 500/s, 2 pages, 2.00 MiB, at 2026-01-05T09:00:00Z, 3 retries, waited 12 s; \
             waiting for a page since 2 s"
        );
    }
}
