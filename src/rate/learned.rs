//! The pace that the service's refusals teach.

use std::time::{Duration, Instant};

/// No limit is measured over more time than this; the service's rule of thumb is by the minute.
const WINDOW: Duration = Duration::from_secs(60);
/// Fewer grants than this say nothing of a limit: somebody else has used it up.
const LEAST: u32 = 4;
/// A refusal never slows requests down to less than one in this time.
const SLOWEST: Duration = Duration::from_secs(2);

/// How fast requests may follow each other without being refused, as far as the answers tell.
///
/// The first refusal measures it: so many requests were granted in the time up to now and the wait that is
/// asked for. Further ones slow it down by a tenth. Each grant speeds it up a little, so that a limit that
/// was measured too low, or has been raised, is found again.
#[derive(Debug, Default)]
pub(super) struct Learned {
    since: Option<Instant>,
    granted: u32,
    period: Option<Duration>,
}

impl Learned {
    /// A request is sent.
    pub(super) fn send(&mut self, now: Instant) {
        let since = self.since.filter(|since| now.saturating_duration_since(*since) < WINDOW);
        if since.is_none() {
            (self.since, self.granted) = (Some(now), 0);
        }
    }

    /// A request was answered otherwise than 429.
    pub(super) fn grant(&mut self) {
        self.granted = self.granted.saturating_add(1);
        self.period =
            self.period.map(|period| period.saturating_sub(period / 2048)).filter(|period| !period.is_zero());
    }

    /// A request was refused, and the service asks to wait this long.
    pub(super) fn refuse(&mut self, now: Instant, wait: Duration) {
        let measured = self.since.filter(|_| self.granted >= LEAST).map(|since| {
            let time = now.saturating_duration_since(since).saturating_add(wait.min(WINDOW));
            time / self.granted
        });
        let slower = self.period.map(|period| period + period / 10);
        self.period = slower.or(measured).map(|period| period.min(SLOWEST));
        (self.since, self.granted) = (None, 0);
    }

    /// The time from one request to the next.
    pub(super) fn period(&self) -> Option<Duration> {
        self.period
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLIS: Duration = Duration::from_millis(1);

    /// So many grants, one every `period`, and then a refusal.
    fn burst(learned: &mut Learned, begin: Instant, grants: u32, period: Duration, wait: Duration) {
        for n in 0..grants {
            learned.send(begin + period * n);
            learned.grant();
        }
        learned.refuse(begin + period * grants, wait);
    }

    #[test]
    fn a_refusal_measures_the_limit() {
        let begin = Instant::now();
        for (grants, period, wait, expected) in [
            (10, 2 * MILLIS, 1000 * MILLIS, Some(102)),
            (300, 10 * MILLIS, 57_000 * MILLIS, Some(200)),
            // An hour is a punishment and no measure.
            (300, 10 * MILLIS, 3_600_000 * MILLIS, Some(210)),
            (4, MILLIS, 60_000 * MILLIS, Some(2000)),
            (3, MILLIS, 1000 * MILLIS, None),
            (0, MILLIS, 1000 * MILLIS, None),
        ] {
            let mut learned = Learned::default();
            burst(&mut learned, begin, grants, period, wait);
            assert_eq!(learned.period(), expected.map(|millis| millis * MILLIS), "{grants} and {wait:?}");
        }
    }

    #[test]
    fn what_was_long_ago_counts_for_nothing() {
        let (mut learned, begin) = (Learned::default(), Instant::now());
        learned.send(begin);
        learned.grant();
        burst(&mut learned, begin + 3600 * 1000 * MILLIS, 10, 2 * MILLIS, 1000 * MILLIS);
        assert_eq!(learned.period(), Some(102 * MILLIS));
    }

    #[test]
    fn a_further_refusal_slows_down_by_a_tenth_and_grants_speed_up_slowly() {
        let (mut learned, begin) = (Learned::default(), Instant::now());
        burst(&mut learned, begin, 10, Duration::ZERO, 1000 * MILLIS);
        learned.refuse(begin, 1000 * MILLIS);
        assert_eq!(learned.period(), Some(110 * MILLIS));
        for _ in 0..200 {
            learned.grant();
        }
        let period = learned.period().unwrap();
        assert!((99 * MILLIS..101 * MILLIS).contains(&period), "{period:?}");
        for _ in 0..100_000 {
            learned.grant();
        }
        assert!(learned.period().is_none_or(|period| period < MILLIS), "it is forgotten in the end");
    }
}
