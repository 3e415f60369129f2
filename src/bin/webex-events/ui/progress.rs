//! The progress line.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use chrono::{DateTime, SecondsFormat, Utc};
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use webex_events::Stats;

use crate::ui::{
    eta::Covered,
    messages::{self, Format},
};

/// The progress of a run, on the terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
    last_page: Instant,
    created: Option<DateTime<Utc>>,
}

impl Progress {
    /// Shows the line only if stderr is a terminal, and not between events on the same terminal.
    pub(crate) fn start(events_on_stdout: bool) -> Self {
        let bar = messages::bar();
        let in_the_way = events_on_stdout && io::stdout().is_terminal();
        if io::stderr().is_terminal()
            && !messages::is_quiet()
            && !in_the_way
            && messages::format() == Format::Text
        {
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
            // Move the cursor back to the start, so that a terminal's `^C` doesn't wrap into a second line and
            // leave the first one on the screen.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}\u{1b}[G") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        let now = Instant::now();
        Self { bar, started: now, last_page: now, created: None }
    }

    /// Shows that a page was written. `created` is the time of its last event.
    pub(crate) fn page(&mut self, stats: &Stats, created: Option<DateTime<Utc>>) {
        self.last_page = Instant::now();
        self.created = created.or(self.created);
        self.tick(stats);
    }

    /// Updates the times on the line.
    pub(crate) fn tick(&self, stats: &Stats) {
        if !self.bar.is_hidden() {
            self.bar.set_message(text(stats, self.started.elapsed(), self.last_page.elapsed(), self.created));
        }
    }

    /// Shows the progress of slices.
    pub(crate) fn slices(&mut self, stats: &Stats, covered: &mut Covered, open: usize) {
        let now = Instant::now();
        let remaining = covered.remaining(now);
        if !self.bar.is_hidden() {
            self.bar.set_message(slices_text(stats, covered, open, remaining, self.started.elapsed()));
        }
    }

    /// Shows the progress of a follower.
    pub(crate) fn follows(&self, stats: &Stats, lag: Duration, is_caught_up: bool) {
        if !self.bar.is_hidden() {
            let phase = if is_caught_up { "caught up" } else { "catching up" };
            let events = counted(stats.events, "event");
            self.bar.set_message(format!("{phase}, lag {} s, {events}, {}", lag.as_secs(), retries(stats)));
        }
    }

    /// The time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn text(stats: &Stats, elapsed: Duration, since_page: Duration, created: Option<DateTime<Utc>>) -> String {
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
        text = format!("{text}; no page for {} s", since_page.as_secs());
    }
    text
}

fn slices_text(
    stats: &Stats,
    covered: &Covered,
    open: usize,
    remaining: Option<Duration>,
    elapsed: Duration,
) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = stats.events as f64 / elapsed.as_secs_f64().max(0.001);
    let (closed, slices) = covered.slices();
    // The most important part comes first: a narrow terminal cuts off the rest.
    let left = match remaining {
        Some(remaining) => format!("about {} left", rough(remaining)),
        None => "estimating the time left".to_owned(),
    };
    let mut text = format!(
        "{:.1} % of the time, {left}; {closed} of {slices} slices, {open} open, {}, {rate:.0}/s, {}",
        (covered.share() * 1000.0).floor() / 10.0,
        counted(stats.events, "event"),
        HumanBytes(stats.bytes)
    );
    if stats.retries > 0 {
        text = format!("{text}, {}", retries(stats));
    }
    text
}

/// A rounded time.
fn rough(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{} s", seconds.div_ceil(10).max(1) * 10),
        60..3600 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 600 * 10),
    }
}

/// A number with its noun.
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
    fn the_line_of_slices_shows_the_covered_share_of_the_time() {
        let at = |hour: i64| DateTime::from_timestamp(hour * 3600, 0).unwrap();
        let mut covered = Covered::new(3, 0, Some((at(0), at(3))));
        let stats = Stats::default();
        let text = |covered: &Covered, left| slices_text(&stats, covered, 2, left, Duration::from_secs(1));
        assert_eq!(
            text(&covered, None),
            "0.0 % of the time, estimating the time left; 0 of 3 slices, 2 open, 0 events, 0/s, 0 B"
        );
        covered.close((at(0), at(1)));
        let left = Duration::from_secs(754);
        assert!(
            text(&covered, Some(left)).starts_with("33.3 % of the time, about 13 min left; 1 of 3 slices")
        );
    }

    #[test]
    fn an_estimated_time_is_rounded() {
        for (seconds, expected) in
            [(0, "10 s"), (34, "40 s"), (61, "2 min"), (7_600, "2 h 0 min"), (90_000, "25 h 0 min")]
        {
            assert_eq!(rough(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn the_line_has_only_parts_with_a_value() {
        let second = Duration::from_secs(1);
        let mut stats = Stats::default();
        assert_eq!(text(&stats, Duration::ZERO, Duration::ZERO, None), "0 events, 0/s, 0 pages, 0 B");
        (stats.events, stats.pages, stats.bytes) = (2000, 2, 2 << 20);
        (stats.retries, stats.waited) = (3, 12 * second);
        let created = "2026-01-05T09:00:00.123Z".parse().ok();
        assert_eq!(
            text(&stats, 4 * second, 2 * second, created),
            "2000 events, 500/s, 2 pages, 2.00 MiB, at 2026-01-05T09:00:00Z, 3 retries, waited 12 s; \
             no page for 2 s"
        );
    }
}
