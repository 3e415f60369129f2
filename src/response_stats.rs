//! What all answers of a client tell together: how many of each status there were, and the service's
//! time.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};

/// Kept by a client for all its clones.
#[derive(Debug, Default)]
pub(crate) struct ResponseStats(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    by_status: BTreeMap<u16, u64>,
    /// The service's time, at the least, at an instant of ours.
    service: Option<(DateTime<Utc>, Instant)>,
}

impl ResponseStats {
    pub(crate) fn count(&self, status: u16) {
        *self.seen().by_status.entry(status).or_default() += 1;
    }

    pub(crate) fn by_status(&self) -> BTreeMap<u16, u64> {
        self.seen().by_status.clone()
    }

    /// Learns from the `Date` of an answer whose request was sent at `sent` and whose head was there
    /// `took` later. Returns the earliest that the service can have looked at its data: it wrote the
    /// date at an unknown moment in between, and looked at one no earlier than `sent`.
    pub(crate) fn dated(&self, date: &str, sent: Instant, took: Duration) -> Option<DateTime<Utc>> {
        let date = DateTime::from(httpdate::parse_http_date(date.trim()).ok()?);
        let earliest = back(date, took)?;
        self.seen().service = Some((earliest, sent));
        Some(earliest)
    }

    pub(crate) fn service_time(&self, now: Instant) -> Option<DateTime<Utc>> {
        let (time, at) = self.seen().service?;
        let since = TimeDelta::from_std(now.saturating_duration_since(at)).ok()?;
        time.checked_add_signed(since)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn back(time: DateTime<Utc>, by: Duration) -> Option<DateTime<Utc>> {
    time.checked_sub_signed(TimeDelta::from_std(by).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn the_service_time_is_never_ahead_of_the_service() {
        let answers = ResponseStats::default();
        let second = Duration::from_secs(1);
        let before = Instant::now();
        let sent = before + second;
        assert_eq!(answers.service_time(sent), None);
        let looked = answers.dated("Mon, 05 Jan 2026 09:00:10 GMT", sent, 3 * second);
        assert_eq!(looked, Some(at("2026-01-05T09:00:07Z")));
        // When the head came, the service had written its date already.
        assert_eq!(answers.service_time(sent + 3 * second), Some(at("2026-01-05T09:00:10Z")));
        assert_eq!(answers.service_time(sent + 63 * second), Some(at("2026-01-05T09:01:10Z")));
        assert_eq!(answers.service_time(before), Some(at("2026-01-05T09:00:07Z")));
    }

    #[test]
    fn the_latest_date_that_can_be_read_holds() {
        let answers = ResponseStats::default();
        let sent = Instant::now();
        let dated = |date| answers.dated(date, sent, Duration::ZERO);
        assert!(dated(" Monday, 05-Jan-26 09:01:30 GMT ").is_some());
        assert_eq!(dated("Mon, 05 Jan 2026 09:00:00 GMT"), Some(at("2026-01-05T09:00:00Z")));
        assert_eq!(dated("yesterday"), None);
        assert_eq!(dated(""), None);
        assert!(dated("Fri, 31 Dec 9999 23:59:59 GMT").is_some());
        assert!(dated("Mon, 05 Jan 2026 09:00:00 GMT").is_some());
        assert_eq!(answers.service_time(sent), Some(at("2026-01-05T09:00:00Z")));
        assert_eq!(answers.dated("Mon, 05 Jan 2026 09:00:00 GMT", sent, Duration::MAX), None);
    }
}
