//! The share of a time range that is read, and an estimate of how long the rest will take.
//!
//! indicatif's own estimate uses the last 15 s. Slices take longer than that and end in bursts, so that its estimate
//! jumps, and it can't express that there isn't enough data for an estimate yet.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};

type Span = (DateTime<Utc>, DateTime<Utc>);

/// The rate is measured over this period.
const WINDOW: Duration = Duration::from_secs(120);
/// An estimate needs at least this time, and this share of the range.
const LEAST_TIME: Duration = Duration::from_secs(5);
const LEAST_SHARE: f64 = 0.01;

#[derive(Debug)]
pub(crate) struct Covered {
    slices: usize,
    closed: usize,
    /// Length of the range, in seconds.
    total: f64,
    of_closed: f64,
    open: HashMap<DateTime<Utc>, WorkPart>,
    /// Covered seconds by instant, in this run.
    samples: VecDeque<(Instant, f64)>,
}

/// The span that the pages of an open slice have covered, if each page continues where the last one ended.
#[derive(Clone, Copy, Debug)]
struct WorkPart {
    span: Span,
    is_ordered: bool,
}

impl Covered {
    /// A range with this number of slices, of which an earlier run has closed some.
    pub(crate) fn new(slices: usize, closed: usize, range: Option<Span>) -> Self {
        let total = range.map_or(0.0, length);
        #[expect(clippy::cast_precision_loss, reason = "a share for people")]
        let of_closed = total * closed as f64 / slices.max(1) as f64;
        Self { slices, closed, total, of_closed, open: HashMap::new(), samples: VecDeque::new() }
    }

    /// Adds a page of a slice with events from this span.
    pub(crate) fn page(&mut self, slice: Span, (first, last): Span) {
        let part = self.open.entry(slice.0).or_insert(WorkPart { span: (first, last), is_ordered: true });
        if part.span != (first, last) {
            // The service documents no order. Without one, a page doesn't show how much is left.
            part.is_ordered &= last <= part.span.0 || first >= part.span.1;
            part.span = (part.span.0.min(first), part.span.1.max(last));
        }
    }

    pub(crate) fn close(&mut self, slice: Span) {
        self.open.remove(&slice.0);
        self.of_closed += length(slice);
        self.closed += 1;
    }

    /// Forgets a slice that restarts from the beginning.
    pub(crate) fn forget(&mut self, slice: Span) {
        self.open.remove(&slice.0);
    }

    /// The number of closed slices, and of all slices.
    pub(super) fn slices(&self) -> (usize, usize) {
        (self.closed, self.slices)
    }

    /// The covered share of the range, from 0 to 1.
    pub(super) fn share(&self) -> f64 {
        if self.total > 0.0 { (self.covered() / self.total).min(1.0) } else { 1.0 }
    }

    /// The estimated time for the rest at the latest rate, once there is enough data.
    pub(super) fn remaining(&mut self, now: Instant) -> Option<Duration> {
        let covered = self.covered();
        self.samples.push_back((now, covered));
        while let Some((at, _)) = self.samples.get(1)
            && now.saturating_duration_since(*at) >= WINDOW
        {
            self.samples.pop_front();
        }
        let (at, before) = *self.samples.front()?;
        let (time, more) = (now.saturating_duration_since(at), covered - before);
        if time < LEAST_TIME || more < LEAST_SHARE * self.total {
            return None;
        }
        Duration::try_from_secs_f64((self.total - covered).max(0.0) * time.as_secs_f64() / more).ok()
    }

    fn covered(&self) -> f64 {
        let open = self.open.values().filter(|part| part.is_ordered).map(|part| length(part.span));
        self.of_closed + open.sum::<f64>()
    }
}

fn length((start, end): Span) -> f64 {
    (end - start).max(TimeDelta::zero()).as_seconds_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_603_600 + hour * 3600, 0).unwrap()
    }

    fn slice(number: i64) -> Span {
        (at(number * 10), at(number * 10 + 10))
    }

    fn covered() -> Covered {
        Covered::new(10, 0, Some((at(0), at(100))))
    }

    #[test]
    fn the_share_is_a_share_of_time() {
        let mut covered = covered();
        covered.close(slice(0));
        covered.page(slice(1), (at(15), at(20)));
        assert!((covered.share() - 0.15).abs() < 1e-9);
        covered.page(slice(1), (at(12), at(15)));
        assert!((covered.share() - 0.18).abs() < 1e-9);
        covered.close(slice(1));
        assert!((covered.share() - 0.2).abs() < 1e-9);
        assert_eq!(covered.slices(), (2, 10));
        let resumed = Covered::new(10, 5, Some((at(0), at(100))));
        assert!((resumed.share() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn without_an_order_only_closed_slices_count() {
        let mut covered = covered();
        covered.page(slice(0), (at(1), at(9)));
        covered.page(slice(0), (at(2), at(8)));
        assert!(covered.share() < 1e-9);
        covered.page(slice(1), (at(11), at(12)));
        covered.forget(slice(1));
        assert!(covered.share() < 1e-9);
    }

    #[test]
    fn the_rest_is_estimated_at_the_latest_rate_once_there_is_one() {
        let start = Instant::now();
        let second = |n: u64| start + Duration::from_secs(n);
        let mut covered = Covered::new(100, 50, Some((at(0), at(1000))));
        assert_eq!(covered.remaining(second(0)), None);
        covered.close(slice(50));
        assert_eq!(covered.remaining(second(2)), None, "too early");
        assert_eq!(covered.remaining(second(10)), Some(Duration::from_secs(490)));
        // Ten times as fast from here on; the slow period is forgotten.
        let mut last = Duration::MAX;
        for n in 51..75 {
            covered.close(slice(n));
            let remaining = covered.remaining(second(10 + (n.unsigned_abs() - 50) * 10)).unwrap();
            assert!(remaining < last, "the estimate only decreases");
            last = remaining;
        }
        assert_eq!(last, Duration::from_secs(250));
        assert!(covered.samples.len() < 20);
    }

    #[test]
    fn an_empty_range_is_covered() {
        assert!((Covered::new(0, 0, None).share() - 1.0).abs() < 1e-9);
    }
}
