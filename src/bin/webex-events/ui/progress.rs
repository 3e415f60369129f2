//! The progress of a run: a line that changes on a terminal, or a new line each minute.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Map;
use webex_events::Stats;

use crate::ui::{
    eta::Covered,
    human::{self, counted},
    messages::{self, Format, ProgressForm},
    notices,
};

/// The time between two lines.
const INTERVAL: Duration = Duration::from_secs(60);

/// The progress of a run on stderr.
#[derive(Debug)]
pub(crate) struct Progress {
    form: Form,
    started: Instant,
    last_page: Instant,
    created: Option<DateTime<Utc>>,
}

#[derive(Debug)]
enum Form {
    Hidden,
    Bar(ProgressBar),
    /// Lines, and the time of the next.
    Lines(Instant),
}

impl Form {
    fn of(mode: ProgressForm, events_on_stdout: bool, now: Instant) -> Self {
        let is_terminal = io::stderr().is_terminal();
        // A line that changes would be between the events on the same terminal.
        let in_the_way = events_on_stdout && is_terminal && io::stdout().is_terminal();
        match mode {
            _ if messages::is_quiet() || mode == ProgressForm::Off || in_the_way => Self::Hidden,
            ProgressForm::Auto if is_terminal && messages::format() == Format::Text => {
                Self::Bar(messages::bar())
            }
            _ => Self::Lines(now + INTERVAL),
        }
    }
}

impl Progress {
    pub(crate) fn start(events_on_stdout: bool) -> Self {
        let now = Instant::now();
        let form = Form::of(messages::progress(), events_on_stdout, now);
        if let Form::Bar(bar) = &form {
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
            // Move the cursor back to the start, so that a terminal's `^C` doesn't wrap into a second line and
            // leave the first one on the screen.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}\u{1b}[G") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self { form, started: now, last_page: now, created: None }
    }

    /// Shows that a page was written. `created` is the time of its last event.
    pub(crate) fn page(&mut self, stats: &Stats, created: Option<DateTime<Utc>>) {
        self.last_page = Instant::now();
        self.created = created.or(self.created);
        self.tick(stats);
    }

    /// Updates the times on the line.
    pub(crate) fn tick(&mut self, stats: &Stats) {
        let (elapsed, since_page, created) = (self.elapsed(), self.last_page.elapsed(), self.created);
        self.show(|| text(stats, elapsed, since_page, created));
    }

    /// Shows the progress of slices.
    pub(crate) fn slices(&mut self, stats: &Stats, covered: &mut Covered, open: usize) {
        let remaining = covered.remaining(Instant::now());
        let elapsed = self.elapsed();
        self.show(|| {
            let (closed, slices) = covered.slices();
            let share = share_text(covered, remaining);
            format!("{share}; {closed} of {slices} slices, {open} open, {}", work(stats, elapsed))
        });
    }

    /// Shows the progress of a follower. `covered` is `Some` until it has caught up for the first time.
    pub(crate) fn follows(&mut self, stats: &Stats, lag: Duration, covered: Option<&mut Covered>) {
        let lag = human::span(Duration::from_secs(lag.as_secs()));
        match covered {
            Some(covered) => {
                let remaining = covered.remaining(Instant::now());
                let elapsed = self.elapsed();
                self.show(|| {
                    format!(
                        "catching up: {}; lag {lag}, {}",
                        share_text(covered, remaining),
                        work(stats, elapsed)
                    )
                });
            }
            // A follower runs for months: it needs no new line each minute.
            None if matches!(self.form, Form::Lines(_)) => {}
            None => self.show(|| format!("caught up, lag {lag}{}", more(stats))),
        }
    }

    /// Says that a follower has caught up.
    pub(crate) fn caught_up(&self, stats: &Stats) {
        if matches!(self.form, Form::Lines(_)) && self.elapsed() >= INTERVAL {
            let took = human::span(self.elapsed());
            messages::note(&format!("caught up after {took}{}", more(stats)), Map::new());
        }
    }

    /// The time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn end(&self) {
        if let Form::Bar(bar) = &self.form {
            bar.finish_and_clear();
        }
    }

    fn show(&mut self, text: impl FnOnce() -> String) {
        let now = Instant::now();
        match &mut self.form {
            Form::Hidden => {}
            Form::Bar(bar) => {
                let now = Utc::now();
                let text = text();
                bar.set_message(match notices::paused_until(now) {
                    Some(end) => format!("{}; {text}", notices::pause_text(end, now)),
                    None => text,
                });
            }
            Form::Lines(due) => {
                if now >= *due {
                    *due = now + INTERVAL;
                    messages::note(&text(), Map::new());
                }
            }
        }
    }
}

fn text(stats: &Stats, elapsed: Duration, since_page: Duration, created: Option<DateTime<Utc>>) -> String {
    let mut text = work(stats, elapsed);
    if let Some(created) = created {
        text = format!("{text}, at {}", human::instant(created));
    }
    if since_page.as_secs() >= 2 {
        text = format!("{text}; no page for {}", human::span(Duration::from_secs(since_page.as_secs())));
    }
    text
}

/// The share of the range that is read, and the time left, which is at least the rest of a pause.
///
/// The most important part comes first: a narrow terminal cuts off the rest.
fn share_text(covered: &Covered, remaining: Option<Duration>) -> String {
    let now = Utc::now();
    let paused = notices::paused_until(now).and_then(|end| (end - now).to_std().ok());
    let share = (covered.share() * 1000.0).floor() / 10.0;
    format!("{share:.1} % of the time, {}", left(remaining, paused, now))
}

fn left(remaining: Option<Duration>, paused: Option<Duration>, now: DateTime<Utc>) -> String {
    let remaining = match (remaining, paused) {
        (None, None) => return "estimating the time left".to_owned(),
        (None, Some(paused)) => return format!("at least {} left", human::span(whole(paused))),
        (Some(remaining), paused) => remaining.max(paused.unwrap_or_default()),
    };
    let end = TimeDelta::from_std(remaining).ok().and_then(|remaining| now.checked_add_signed(remaining));
    let minutes = end.map(|end| {
        let form = if end.date_naive() == now.date_naive() { "%H:%M UTC" } else { "%Y-%m-%d %H:%M UTC" };
        format!(", until about {}", end.format(form))
    });
    format!("about {} left{}", human::span(rounded(remaining)), minutes.unwrap_or_default())
}

/// Rounded up to whole seconds.
fn whole(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs() + u64::from(time.subsec_nanos() > 0))
}

/// Rounded up: an estimate isn't exact.
fn rounded(time: Duration) -> Duration {
    let seconds = time.as_secs();
    let unit = match seconds {
        0..60 => 10,
        60..3600 => 60,
        _ => 600,
    };
    Duration::from_secs(seconds.div_ceil(unit).max(1) * unit)
}

/// The events of this run, their number per second, and the rest that isn't zero.
fn work(stats: &Stats, elapsed: Duration) -> String {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate for people"
    )]
    let rate = (stats.events as f64 / elapsed.as_secs_f64().max(0.001)).round() as u64;
    format!("{}, {}/s{}", counted(stats.events, "event"), human::number(rate), rest(stats))
}

/// The events of this run, if there are any, and the rest that isn't zero.
fn more(stats: &Stats) -> String {
    let events =
        if stats.events > 0 { format!(", {}", counted(stats.events, "event")) } else { String::new() };
    events + &rest(stats)
}

fn rest(stats: &Stats) -> String {
    let mut text = String::new();
    for (n, thing) in [(stats.pages, "page"), (stats.retries, "retry")] {
        if n > 0 {
            text.extend([", ", &counted(n, thing)]);
        }
    }
    if stats.bytes > 0 {
        text.extend([", ", &human::size(stats.bytes)]);
    }
    if stats.waited.as_secs() > 0 {
        text.extend([", waited ", &human::span(Duration::from_secs(stats.waited.as_secs()))]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn the_time_left_is_never_less_than_a_pause() {
        let now = at("2026-01-05T12:00:00Z");
        let seconds = Duration::from_secs;
        for (remaining, paused, expected) in [
            (None, None, "estimating the time left"),
            (None, Some(seconds(600)), "at least 10 min left"),
            (Some(seconds(754)), None, "about 13 min left, until about 12:12 UTC"),
            (Some(seconds(60)), Some(seconds(600)), "about 10 min left, until about 12:10 UTC"),
            (Some(seconds(754)), Some(seconds(600)), "about 13 min left, until about 12:12 UTC"),
            (Some(seconds(50_000)), None, "about 14 h left, until about 2026-01-06 01:53 UTC"),
        ] {
            assert_eq!(left(remaining, paused, now), expected);
        }
    }

    #[test]
    fn an_estimated_time_is_rounded_up() {
        for (seconds, expected) in [(0, 10), (34, 40), (61, 120), (7_600, 7_800), (90_000, 90_000)] {
            assert_eq!(rounded(Duration::from_secs(seconds)), Duration::from_secs(expected));
        }
    }

    #[test]
    fn the_share_is_rounded_down() {
        let hour = |hour: i64| DateTime::from_timestamp(hour * 3600, 0).unwrap();
        let mut covered = Covered::new(3, 0, Some((hour(0), hour(3))));
        covered.close((hour(0), hour(1)));
        assert!(share_text(&covered, None).starts_with("33.3 % of the time, "));
    }

    #[test]
    fn the_line_has_only_parts_with_a_value() {
        let second = Duration::from_secs(1);
        let mut stats = Stats::default();
        assert_eq!(text(&stats, Duration::ZERO, Duration::ZERO, None), "0 events, 0/s");
        (stats.events, stats.pages, stats.bytes) = (2000, 2, 2 << 20);
        (stats.retries, stats.waited) = (3, 72 * second);
        assert_eq!(
            text(&stats, 4 * second, 2 * second, Some(at("2026-01-05T09:00:00.123Z"))),
            "2,000 events, 500/s, 2 pages, 3 retries, 2 MiB, waited 1 min 12 s, at 2026-01-05T09:00:00Z; \
             no page for 2 s"
        );
    }

    #[test]
    fn a_new_line_is_due_each_minute() {
        let now = Instant::now();
        let mut progress =
            Progress { form: Form::Lines(now + INTERVAL), started: now, last_page: now, created: None };
        let mut shown = 0;
        progress.show(|| {
            shown += 1;
            String::new()
        });
        progress.form = Form::Lines(now);
        for _ in 0..3 {
            progress.show(|| {
                shown += 1;
                String::new()
            });
        }
        assert_eq!(shown, 1);
        assert!(matches!(progress.form, Form::Lines(due) if due >= now + INTERVAL));
    }
}
