//! The pace that the service's 429s teach, and how it recovers.

use std::time::{Duration, Instant};

/// No limit is measured over more time than this; the service's rule of thumb is by the minute.
const WINDOW: Duration = Duration::from_secs(60);
/// Fewer grants than this measure no limit: another program has used it up.
const LEAST: u32 = 4;
/// The time for which a pace holds after a pause, before it recovers.
const HOLD: Duration = Duration::from_secs(10);
/// The most that this time grows to when a recovery leads to the next refusal.
const LONGEST_HOLD: Duration = Duration::from_secs(600);
/// A recovering pace rises by a quarter in this part of its hold.
const STEPS: u32 = 10;
/// A period that is too short to matter.
const SHORTEST: Duration = Duration::from_millis(1);
/// A refusal never makes requests slower than one in this time.
const SLOWEST: Duration = Duration::from_secs(2);

/// A refusal costs little if all waits take at most this part of the time.
const CHEAP: u32 = 5;

/// The pace at which requests are not refused, as far as the responses show it.
///
/// A refusal measures it: the number of requests granted in the time up to the end of the wait. Earlier refusals count
/// too, each half as much as the next. A further refusal makes the pace slower by a tenth at least, if the waits take
/// more than a fifth of the time: a refusal now and then, at any pace, costs less than slower requests would.
///
/// Without such a refusal the pace recovers, because the refusal may have been about another program's requests, or the
/// limit may have changed. A refusal that confirms the pace during a recovery doubles the time until the next one, so that
/// a limit that stays the same costs ever fewer refusals.
#[derive(Debug, Default)]
pub(super) struct Learned {
    since: Option<Instant>,
    /// The time before `since` that still counts, and the waits, which are no part of it.
    before: Duration,
    waited: Duration,
    granted: u32,
    /// The latest refusal. Responses that were in flight then still count, until the next request is sent.
    refused: Option<Refusal>,
    pace: Option<Pace>,
}

#[derive(Clone, Copy, Debug)]
struct Refusal {
    /// The time in which the grants were given, without and with the waits.
    granting: Duration,
    measured: Duration,
    at: Instant,
    /// The wait that the service requests.
    wait: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Pace {
    /// The time from one request to the next.
    period: Duration,
    learned_at: Instant,
    /// The pause, which is no time in which requests are granted, and the time for which the pace holds after it.
    pause: Duration,
    hold: Duration,
}

impl Learned {
    /// Notes that a request is sent.
    pub(super) fn send(&mut self, now: Instant) {
        if let Some(Refusal { granting, measured, .. }) = self.refused {
            (self.pace, self.refused, self.since) = (self.pace(), None, Some(now));
            (self.before, self.waited) = (granting, measured.saturating_sub(granting));
            self.halve();
            return;
        }
        let since = *self.since.get_or_insert(now);
        let passed = self.before.saturating_add(now.saturating_duration_since(since));
        if passed < WINDOW {
            return;
        }
        (self.before, self.since) = (passed, Some(now));
        if passed < 2 * WINDOW {
            // Half of it still counts, or a refusal just now would have nothing to measure.
            self.halve();
        } else {
            (self.before, self.waited, self.granted) = (Duration::ZERO, Duration::ZERO, 0);
        }
    }

    fn halve(&mut self) {
        (self.before, self.waited, self.granted) = (self.before / 2, self.waited / 2, self.granted / 2);
    }

    /// Notes a response other than 429.
    pub(super) fn grant(&mut self) {
        self.granted = self.granted.saturating_add(1);
    }

    /// Notes a 429 that requests a wait.
    pub(super) fn refuse(&mut self, now: Instant, wait: Duration) {
        let since = self.since.unwrap_or(now);
        let granting = self.before.saturating_add(now.saturating_duration_since(since));
        let measured = granting.saturating_add(self.waited).saturating_add(wait.min(WINDOW));
        self.refused = Some(Refusal { granting, measured, at: now, wait });
    }

    /// The time from one request to the next.
    pub(super) fn period(&self, now: Instant) -> Option<Duration> {
        self.pace().and_then(|pace| pace.period(now))
    }

    fn pace(&self) -> Option<Pace> {
        let Some(Refusal { granting, measured, at, wait }) = self.refused else { return self.pace };
        // A little slower, since the instant at which the limit starts to count again isn't known exactly.
        let average = (self.granted >= LEAST).then(|| measured / self.granted * 51 / 50);
        let Some((pace, current)) = self.pace.and_then(|pace| Some((pace, pace.period(at)?))) else {
            return Some(Pace { period: average?.min(SLOWEST), learned_at: at, pause: wait, hold: HOLD });
        };
        let is_cheap = measured.saturating_sub(granting).saturating_mul(CHEAP) <= measured;
        if is_cheap && average.is_some() {
            return Some(pace);
        }
        let period = average.unwrap_or_default().max(current + current / 10).min(SLOWEST);
        Some(Pace { period, learned_at: at, pause: wait, hold: pace.next_hold(at, period) })
    }
}

impl Pace {
    /// The time for which it has been recovering.
    fn recovering(self, now: Instant) -> Duration {
        now.saturating_duration_since(self.learned_at).saturating_sub(self.pause).saturating_sub(self.hold)
    }

    /// The time from one request to the next, if it still matters.
    fn period(self, now: Instant) -> Option<Duration> {
        let quarters = self.recovering(now).div_duration_f64(self.hold / STEPS);
        let period = self.period.mul_f64(0.8_f64.powf(quarters));
        (period >= SHORTEST).then_some(period)
    }

    /// The time for which the next pace holds, which has this period.
    fn next_hold(self, now: Instant, period: Duration) -> Duration {
        if self.recovering(now).is_zero() {
            self.hold
        } else if period < self.period * 3 / 4 {
            // The service has granted more than that limit, so it was none.
            HOLD
        } else {
            (self.hold * 2).min(LONGEST_HOLD)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLIS: Duration = Duration::from_millis(1);

    /// Grants, one every `period`, and then a refusal.
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
            // An hour is a penalty and no measure.
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
    fn a_grant_that_was_in_flight_still_counts() {
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
    fn grants_of_long_ago_count_for_nothing() {
        let (mut learned, begin) = (Learned::default(), Instant::now());
        learned.send(begin);
        learned.grant();
        let later = begin + 3600 * 1000 * MILLIS;
        burst(&mut learned, later, 10, Duration::ZERO, 1000 * MILLIS);
        assert_eq!(learned.period(later), Some(102 * MILLIS));
    }

    #[test]
    fn a_refusal_measures_the_same_wherever_a_window_ends() {
        for grants in [250, 295, 300, 301, 305, 350, 599, 601] {
            let (mut learned, begin) = (Learned::default(), Instant::now());
            burst(&mut learned, begin, grants, 200 * MILLIS, 6000 * MILLIS);
            let period = learned.period(begin + 200 * MILLIS * grants).unwrap_or_default();
            assert!((200 * MILLIS..265 * MILLIS).contains(&period), "{grants}: {period:?}");
        }
    }

    #[test]
    fn without_a_further_refusal_the_pace_recovers_gradually() {
        let begin = Instant::now();
        for wait in [1000 * MILLIS, 60_000 * MILLIS] {
            let mut learned = Learned::default();
            burst(&mut learned, begin, 4, Duration::ZERO, wait);
            let period = |after: Duration| learned.period(begin + wait + after);
            let first = period(Duration::ZERO).unwrap();
            assert!(first >= 250 * MILLIS);
            assert_eq!(period(HOLD), Some(first), "it holds");
            assert_eq!(period(HOLD + 1000 * MILLIS), Some(first.mul_f64(0.8)));
            assert_eq!(period(HOLD + 2000 * MILLIS), Some(first.mul_f64(0.8 * 0.8)));
            assert_eq!(period(HOLD * 6), None, "and then it is forgotten");
        }
    }

    #[test]
    fn a_refusal_during_a_recovery_doubles_the_hold() {
        let (mut learned, mut now) = (Learned::default(), Instant::now());
        burst(&mut learned, now, 10, Duration::ZERO, 1000 * MILLIS);
        for hold in [10, 20, 40, 80, 160, 320, 600, 600].map(Duration::from_secs) {
            let pause_ends = now + 1000 * MILLIS;
            let period = learned.period(pause_ends).unwrap();
            assert_eq!(learned.period(pause_ends + hold), Some(period), "{hold:?}");
            now = pause_ends + hold * 11 / 10;
            assert!(learned.period(now).unwrap() < period, "{hold:?}");
            learned.send(now);
            learned.refuse(now, 1000 * MILLIS);
        }
    }

    /// Sends requests for ten minutes to a service that responds in 5 ms, and that refuses some of them for a time.
    /// Returns the numbers of grants and refusals.
    fn ten_minutes(mut refuses: impl FnMut(Duration) -> Option<Duration>) -> (u32, u32) {
        let (mut learned, begin) = (Learned::default(), Instant::now());
        let (mut now, mut grants, mut refusals) = (begin, 0, 0);
        while now < begin + 10 * WINDOW {
            now += learned.period(now).unwrap_or_default();
            learned.send(now);
            now += 5 * MILLIS;
            if let Some(wait) = refuses(now - begin) {
                refusals += 1;
                learned.refuse(now, wait);
                now += wait;
            } else {
                grants += 1;
                learned.grant();
            }
        }
        (grants, refusals)
    }

    #[test]
    fn refusals_that_have_nothing_to_do_with_the_pace_do_not_slow_it_down_ever_more() {
        for (wait, at_least) in [(250 * MILLIS, 10), (1000 * MILLIS, 4), (5000 * MILLIS, 1)] {
            for seed in 0..20 {
                let mut rng = fastrand::Rng::with_seed(seed);
                let (granted, refused) = ten_minutes(|_| (rng.u8(0..50) == 0).then_some(wait));
                assert!(
                    granted > at_least * 600,
                    "{granted} and {refused} refused with {wait:?}, seed {seed}"
                );
            }
        }
    }

    #[test]
    fn a_limit_is_used_and_rarely_exceeded() {
        for (limit, window) in [(300, 60), (50, 10), (10, 1)] {
            let (mut current, mut used) = (0, 0);
            let (granted, refused) = ten_minutes(|passed| {
                let number = passed.as_secs() / window;
                if number != current {
                    (current, used) = (number, 0);
                }
                used += 1;
                (used > limit).then(|| Duration::from_secs((number + 1) * window).saturating_sub(passed))
            });
            let possible = u32::try_from(600 / window).unwrap() * limit;
            assert!(granted > possible * 3 / 5, "{granted} of {possible}");
            assert!(refused * 100 < granted, "{refused} refused, {granted} granted of {possible}");
        }
    }

    #[test]
    fn a_wait_of_any_length_overflows_nothing() {
        for wait in [Duration::from_secs(i64::MAX as u64), Duration::MAX] {
            let (mut learned, begin) = (Learned::default(), Instant::now());
            burst(&mut learned, begin, 10, Duration::ZERO, wait);
            assert!(learned.period(begin).is_some());
            burst(&mut learned, begin, 10, Duration::ZERO, wait);
            assert!(learned.period(begin).is_some());
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
