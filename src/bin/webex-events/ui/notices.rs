//! Messages about pauses and retries, which the library reports as log events.
//!
//! A pause is reported once, and a failure that is retried once for each cause, however many requests it concerns.

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Map;
use tracing_subscriber::{Layer, filter::Targets, layer::Context, registry::LookupSpan};

use crate::{
    error::in_words,
    ui::{human, messages},
};

/// The log events that this module reads.
pub(super) fn targets() -> Targets {
    use tracing_subscriber::filter::LevelFilter;
    Targets::new()
        .with_target("webex_events::rate", LevelFilter::INFO)
        .with_target("webex_events::retry", LevelFilter::WARN)
}

/// A failure that is retried for the same cause is reported again after this time.
const REPEAT: Duration = Duration::from_secs(60);
/// Responses to concurrent requests request pauses that end at about the same time.
const SAME: TimeDelta = TimeDelta::seconds(2);

static STOPPED: AtomicBool = AtomicBool::new(false);

/// Stops the reports, and the log.
pub(super) fn stop() {
    STOPPED.store(true, Relaxed);
}

pub(super) fn is_stopped() -> bool {
    STOPPED.load(Relaxed)
}

/// The end of the latest pause.
static PAUSE: Mutex<Option<DateTime<Utc>>> = Mutex::new(None);

/// The end of the pause that the service has requested, if it lasts.
pub(super) fn paused_until(now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    lock(&PAUSE).filter(|end| *end > now)
}

/// The text for a pause.
pub(super) fn pause_text(end: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!("paused by the service until {} (429)", human::clock(end, now))
}

/// Turns log events into messages.
#[derive(Debug)]
pub(super) struct Notices {
    /// False if retries are in the log.
    reports_retries: bool,
    last: Mutex<Option<(String, Instant)>>,
}

impl Notices {
    pub(super) fn new(reports_retries: bool) -> Self {
        Self { reports_retries, last: Mutex::new(None) }
    }

    fn pause(wait: Duration) {
        let now = Utc::now();
        let end = TimeDelta::from_std(wait).ok().and_then(|wait| now.checked_add_signed(wait));
        let end = end.unwrap_or(DateTime::<Utc>::MAX_UTC);
        let before = lock(&PAUSE).replace(end);
        let is_known = before.is_some_and(|before| end - before < SAME);
        if !is_known && wait >= Duration::from_secs(1) {
            messages::note(
                &pause_text(end, now),
                Map::from_iter([("until".to_owned(), human::instant(end).into())]),
            );
        }
    }

    fn retry(&self, event: &LogEvent) {
        let cause = match event.cause.split_once(": ") {
            Some((failure, cause)) => format!("{failure}: {}", in_words(cause)),
            None => event.cause.clone(),
        };
        let now = Instant::now();
        let mut last = lock(&self.last);
        let is_known = last.as_ref().is_some_and(|(before, at)| *before == cause && now - *at < REPEAT);
        if is_known {
            return;
        }
        let wait = Duration::from_millis(event.wait_ms);
        let text = format!("{cause}; trying again in {}", human::span(wait.max(Duration::from_millis(100))));
        *last = Some((cause, now));
        drop(last);
        messages::warning(&text, Map::from_iter([("wait_ms".to_owned(), event.wait_ms.into())]));
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Notices {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if is_stopped() {
            return;
        }
        let mut read = LogEvent::default();
        event.record(&mut read);
        if event.metadata().target() == "webex_events::rate" {
            if read.message == "paused by the service" {
                Self::pause(Duration::from_millis(read.wait_ms));
            }
        } else if self.reports_retries && read.status != Some(429) {
            self.retry(&read);
        }
    }
}

/// The fields of a log event.
#[derive(Debug, Default)]
struct LogEvent {
    message: String,
    cause: String,
    wait_ms: u64,
    status: Option<u64>,
}

impl tracing::field::Visit for LogEvent {
    fn record_u64(&mut self, field: &tracing::field::Field, value: u64) {
        match field.name() {
            "wait_ms" => self.wait_ms = value,
            "status" => self.status = Some(value),
            _ => {}
        }
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        if field.name() == "cause" {
            value.clone_into(&mut self.cause);
        }
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
