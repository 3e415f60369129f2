//! `RateLimit`, and what holds back all clones of a client together: the pacer and the pause.

use std::{
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::clock::Clock;

mod learned;

use learned::Learned;

/// How often a client may ask, all its clones and streams together, retries included.
///
/// A burst of 1 unless set: requests are spread evenly. The service's own limits are undocumented
/// but for a rule of thumb of 300 a minute, and are shared by all that a user runs. So a client without a
/// limit, or with one that is too high, learns from the first 429 how fast it may go, and goes no faster.
///
/// ```
/// use std::num::NonZeroU32;
/// use webex_events::RateLimit;
///
/// let limit = RateLimit::per_minute(NonZeroU32::new(240).unwrap()).burst(NonZeroU32::new(4).unwrap());
/// # let _ = limit;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a limit does nothing until a `ClientBuilder` has it"]
pub struct RateLimit {
    period: Duration,
    burst: NonZeroU32,
}

impl RateLimit {
    /// So many requests a minute.
    pub fn per_minute(requests: NonZeroU32) -> Self {
        Self::every(Duration::from_secs(60), requests)
    }

    /// So many requests a second.
    pub fn per_second(requests: NonZeroU32) -> Self {
        Self::every(Duration::from_secs(1), requests)
    }

    fn every(time: Duration, requests: NonZeroU32) -> Self {
        Self { period: time / requests.get(), burst: NonZeroU32::MIN }
    }

    /// How many requests may go out at once after a quiet time. The average stays what it is.
    pub const fn burst(mut self, requests: NonZeroU32) -> Self {
        self.burst = requests;
        self
    }

    /// How far a request may run ahead of its even pace.
    fn tolerance(&self) -> Duration {
        self.period.saturating_mul(self.burst.get() - 1)
    }
}

/// What every request passes before it is sent.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    pause: Mutex<Option<Pause>>,
    limit: Option<RateLimit>,
    learned: Mutex<Learned>,
    /// When the next request is due at an even pace. It is taken by the first to be there then, not
    /// queued up for: a stream that waits and isn't polled, or is dropped, must hold up no other.
    due: Mutex<Option<Instant>>,
}

/// A wait that the service asked for.
#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Instant,
    /// Over how long those that it held back come back.
    spread: Duration,
}

impl Pacer {
    pub(crate) fn new(limit: Option<RateLimit>) -> Self {
        Self { limit, ..Self::default() }
    }

    /// A request was refused: holds every request back for `wait` from now on.
    pub(crate) fn pause(&self, clock: &dyn Clock, wait: Duration) {
        let now = clock.now();
        let Some(until) = now.checked_add(wait) else { return };
        let spread = (wait / 10).clamp(Duration::from_millis(50), Duration::from_secs(5));
        let mut pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        if pause.is_none_or(|pause| pause.until <= now) {
            self.learned().refuse(now, wait);
        }
        if pause.is_none_or(|pause| pause.until < until) {
            *pause = Some(Pause { until, spread });
        }
    }

    /// A request was answered, and not refused for being one too many.
    pub(crate) fn grant(&self) {
        self.learned().grant();
    }

    /// Returns when a request may be sent, and how long that took.
    pub(crate) async fn ready(&self, clock: &dyn Clock) -> Duration {
        let start = clock.now();
        loop {
            self.paused(clock).await;
            let wait = self.take(clock.now());
            if wait.is_zero() {
                break;
            }
            clock.sleep(wait).await;
        }
        let now = clock.now();
        self.learned().send(now);
        now.saturating_duration_since(start)
    }

    /// Takes the right to send now, or says how long to wait before trying again.
    fn take(&self, now: Instant) -> Duration {
        let Some((period, tolerance)) = self.pace(now) else { return Duration::ZERO };
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let next = due.unwrap_or(now).max(now);
        let wait = next.saturating_duration_since(now).saturating_sub(tolerance);
        if wait.is_zero() {
            *due = next.checked_add(period);
        }
        wait
    }

    /// The time from one request to the next, and how far one may run ahead of it: as set, or slower where
    /// the service has refused that.
    fn pace(&self, now: Instant) -> Option<(Duration, Duration)> {
        let set = self.limit.as_ref().map(|limit| (limit.period, limit.tolerance()));
        match (self.learned().period(now), set) {
            (Some(learned), Some((period, _))) if period < learned => Some((learned, Duration::ZERO)),
            (Some(learned), None) => Some((learned, Duration::ZERO)),
            (_, set) => set,
        }
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when no pause holds, each waiter at a moment of its own.
    async fn paused(&self, clock: &dyn Clock) {
        loop {
            let now = clock.now();
            let pause = *self.pause.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(pause) = pause.filter(|pause| now < pause.until) else { return };
            let wait = pause.until - now + pause.spread.mul_f64(clock.jitter());
            clock.sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::simulated::Simulated;

    fn n(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    async fn waits(pacer: &Pacer, clock: &&'static Simulated, requests: usize) -> Vec<u128> {
        let mut waits = Vec::new();
        for _ in 0..requests {
            waits.push(pacer.ready(clock).await.as_millis());
        }
        waits
    }

    #[tokio::test]
    async fn without_a_limit_nothing_waits() {
        let clock = Simulated::new(0.0);
        assert_eq!(waits(&Pacer::new(None), &clock, 3).await, [0, 0, 0]);
    }

    #[tokio::test]
    async fn requests_are_spread_evenly() {
        let clock = Simulated::new(0.0);
        let pacer = Pacer::new(Some(RateLimit::per_minute(n(120))));
        assert_eq!(waits(&pacer, &clock, 4).await, [0, 500, 500, 500]);
        clock.advance(Duration::from_millis(700));
        assert_eq!(waits(&pacer, &clock, 2).await, [0, 500]);
    }

    #[tokio::test]
    async fn a_burst_goes_out_at_once_and_fills_up_again() {
        let clock = Simulated::new(0.0);
        let pacer = Pacer::new(Some(RateLimit::per_second(n(10)).burst(n(3))));
        assert_eq!(waits(&pacer, &clock, 5).await, [0, 0, 0, 100, 100]);
        clock.advance(Duration::from_secs(60));
        assert_eq!(waits(&pacer, &clock, 4).await, [0, 0, 0, 100]);
    }

    #[tokio::test]
    async fn a_pause_holds_everyone_and_lets_them_go_spread_out() {
        for (jitter, seconds, expected) in
            [(0.0, 10, 10_000), (0.5, 10, 10_500), (0.5, 0, 0), (0.5, 600, 602_500)]
        {
            let clock = Simulated::new(jitter);
            let pacer = Pacer::new(None);
            pacer.pause(&clock, Duration::from_secs(seconds));
            assert_eq!(pacer.ready(&clock).await.as_millis(), expected);
        }
    }

    #[tokio::test]
    async fn a_short_pause_still_spreads_over_50_milliseconds() {
        let clock = Simulated::new(0.5);
        let pacer = Pacer::new(None);
        pacer.pause(&clock, Duration::from_millis(10));
        assert_eq!(pacer.ready(&clock).await.as_millis(), 35);
    }

    #[tokio::test]
    async fn a_shorter_pause_never_cuts_a_longer_one_short() {
        let clock = Simulated::new(0.0);
        let pacer = Pacer::new(None);
        pacer.pause(&clock, Duration::from_secs(10));
        pacer.pause(&clock, Duration::from_secs(1));
        pacer.pause(&clock, Duration::MAX);
        assert_eq!(pacer.ready(&clock).await, Duration::from_secs(10));
    }

    #[tokio::test]
    async fn without_a_limit_a_refusal_teaches_one() {
        let clock = Simulated::new(0.0);
        let pacer = Pacer::new(None);
        for _ in 0..10 {
            assert_eq!(pacer.ready(&clock).await, Duration::ZERO);
            pacer.grant();
        }
        // All that were under way are refused at once, which is one refusal.
        for _ in 0..7 {
            pacer.pause(&clock, Duration::from_secs(1));
        }
        assert_eq!(waits(&pacer, &clock, 3).await, [1000, 102, 102]);
    }

    #[tokio::test]
    async fn a_refusal_teaches_more_than_the_limit_that_was_set_only_if_it_is_slower() {
        for (per_second, expected) in [(20, 102), (5, 200)] {
            let clock = Simulated::new(0.0);
            let pacer = Pacer::new(Some(RateLimit::per_second(n(per_second)).burst(n(10))));
            for _ in 0..10 {
                pacer.ready(&clock).await;
                pacer.grant();
            }
            pacer.pause(&clock, Duration::from_secs(1));
            clock.advance(Duration::from_secs(60));
            let waits = waits(&pacer, &clock, 12).await;
            assert_eq!(waits.last(), Some(&expected), "{waits:?}");
        }
    }

    #[tokio::test]
    async fn after_a_pause_the_pace_holds_still() {
        let clock = Simulated::new(0.0);
        let pacer = Pacer::new(Some(RateLimit::per_second(n(2))));
        pacer.pause(&clock, Duration::from_secs(10));
        assert_eq!(waits(&pacer, &clock, 3).await, [10_000, 500, 500]);
    }
}
