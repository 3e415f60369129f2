//! The pace that the service's refusals teach.

use std::time::{Duration, Instant};

/// No limit is measured over more time than this; the service's rule of thumb is by the minute.
const WINDOW: Duration = Duration::from_secs(60);
/// Fewer grants than this say nothing of a limit: somebody else has used it up.
const LEAST: u32 = 4;
/// So long a refusal is remembered. Then the limit may have changed, and is tried anew.
const MEMORY: Duration = Duration::from_secs(600);
/// A refusal never slows requests down to less than one in this time.
const SLOWEST: Duration = Duration::from_secs(2);

/// How fast requests may follow each other without being refused, as far as the answers tell.
///
/// The first refusal measures it: so many requests were granted in the time up to the end of the wait that
/// is asked for. Further ones slow it down by a tenth.
#[derive(Debug, Default)]
pub(super) struct Learned {
    since: Option<Instant>,
    granted: u32,
    /// The time that a refusal measures, and when that came. Answers that were under way then still count,
    /// until the next request is sent.
    refused: Option<(Duration, Instant)>,
    pace: Option<Pace>,
}

/// The time from one request to the next, and when it was learned.
#[derive(Clone, Copy, Debug)]
struct Pace {
    period: Duration,
    at: Instant,
}

impl Learned {
    /// A request is sent.
    pub(super) fn send(&mut self, now: Instant) {
        if self.refused.is_some() {
            (self.pace, self.refused, self.since) = (self.pace(), None, None);
        }
        let passed = self.since.map(|since| now.saturating_duration_since(since));
        match (self.since, passed) {
            (Some(_), Some(passed)) if passed < WINDOW => {}
            // Half of it goes on counting, or a refusal just now would have nothing to measure.
            (Some(since), Some(passed)) if passed < 2 * WINDOW => {
                (self.since, self.granted) = (Some(since + passed / 2), self.granted / 2);
            }
            _ => (self.since, self.granted) = (Some(now), 0),
        }
    }

    /// A request was answered otherwise than 429.
    pub(super) fn grant(&mut self) {
        self.granted = self.granted.saturating_add(1);
    }

    /// A request was refused, and the service asks to wait this long.
    pub(super) fn refuse(&mut self, now: Instant, wait: Duration) {
        let since = self.since.unwrap_or(now);
        let time = now.saturating_duration_since(since).saturating_add(wait.min(WINDOW));
        self.refused = Some((time, now));
    }

    /// The time from one request to the next.
    pub(super) fn period(&self, now: Instant) -> Option<Duration> {
        self.pace().filter(|pace| pace.holds(now)).map(|pace| pace.period)
    }

    fn pace(&self) -> Option<Pace> {
        let Some((time, at)) = self.refused else { return self.pace };
        let slower = self.pace.filter(|pace| pace.holds(at)).map(|Pace { period, .. }| period + period / 10);
        // A little slower, since it isn't known to the instant when the limit begins to count anew.
        let measured = (self.granted >= LEAST).then(|| time / self.granted * 51 / 50);
        slower.or(measured).map(|period| Pace { period: period.min(SLOWEST), at })
    }
}

impl Pace {
    fn holds(self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < MEMORY
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
            (10, 2 * MILLIS, 980 * MILLIS, Some(102)),
            (300, 10 * MILLIS, 57_000 * MILLIS, Some(204)),
            // An hour is a punishment and no measure.
            (300, 10 * MILLIS, 3_600_000 * MILLIS, Some(214)),
            (4, MILLIS, 60_000 * MILLIS, Some(2000)),
            (3, MILLIS, 1000 * MILLIS, None),
            (0, MILLIS, 1000 * MILLIS, None),
        ] {
            let mut learned = Learned::default();
            burst(&mut learned, begin, grants, period, wait);
            let learned = learned.period(begin + period * grants).map(|period| period.as_millis());
            assert_eq!(learned, expected, "{grants} and {wait:?}");
        }
    }

    #[test]
    fn a_grant_that_was_under_way_counts_still() {
        let (mut learned, begin) = (Learned::default(), Instant::now());
        burst(&mut learned, begin, 8, Duration::ZERO, 1000 * MILLIS);
        learned.grant();
        learned.grant();
        assert_eq!(learned.period(begin), Some(102 * MILLIS));
        learned.send(begin);
        learned.grant();
        assert_eq!(learned.period(begin), Some(102 * MILLIS));
    }

    #[test]
    fn what_was_long_ago_counts_for_nothing() {
        let (mut learned, begin) = (Learned::default(), Instant::now());
        learned.send(begin);
        learned.grant();
        let later = begin + 3600 * 1000 * MILLIS;
        burst(&mut learned, later, 10, Duration::ZERO, 1000 * MILLIS);
        assert_eq!(learned.period(later), Some(102 * MILLIS));
        assert_eq!(learned.period(later + MEMORY), None);
    }

    /// The last request of a window is no worse a witness than the first of the next.
    #[test]
    fn a_refusal_measures_the_same_wherever_a_window_ends() {
        for grants in [250, 295, 300, 301, 305, 350, 599, 601] {
            let (mut learned, begin) = (Learned::default(), Instant::now());
            burst(&mut learned, begin, grants, 200 * MILLIS, 6000 * MILLIS);
            let period = learned.period(begin + 200 * MILLIS * grants).unwrap_or_default();
            assert!((200 * MILLIS..260 * MILLIS).contains(&period), "{grants}: {period:?}");
        }
    }

    #[test]
    fn a_further_refusal_slows_down_by_a_tenth() {
        let (mut learned, begin) = (Learned::default(), Instant::now());
        burst(&mut learned, begin, 10, Duration::ZERO, 1000 * MILLIS);
        burst(&mut learned, begin, 200, Duration::ZERO, 1000 * MILLIS);
        assert_eq!(learned.period(begin), Some(102 * MILLIS * 11 / 10));
        for _ in 0..100 {
            burst(&mut learned, begin, 1, Duration::ZERO, 1000 * MILLIS);
        }
        assert_eq!(learned.period(begin), Some(SLOWEST));
    }
}
