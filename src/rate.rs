//! `RateLimit`, and the pacer of a client and its clones: their pace, and the pauses that the service requests.

use std::{
    num::NonZeroU32,
    pin::pin,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use futures_util::future::select;
use tokio::sync::Notify;

use crate::{clock::Clock, sync::lock};

mod learned;

use learned::Learned;

/// The pace of a client's requests, for all its clones and streams together, retries included.
///
/// A burst of 1 unless set: requests are spread evenly. The service's own limits are undocumented,
/// except for a rule of thumb of 300 a minute, and are shared by all programs of a user. A client without a
/// limit, or with one that is too high, therefore learns a pace from a 429. If no further 429 follows, the pace
/// recovers: it holds for 10 s after the pause, and then rises by a quarter each second. A 429 on the way up that
/// confirms the pace doubles these times, up to 10 minutes and a quarter each minute. A 429 now and then, whose waits
/// take less than a fifth of the time, makes requests no slower.
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
    /// At most this number of requests a minute.
    pub fn per_minute(requests: NonZeroU32) -> Self {
        Self::every(Duration::from_secs(60), requests)
    }

    /// At most this number of requests a second.
    pub fn per_second(requests: NonZeroU32) -> Self {
        Self::every(Duration::from_secs(1), requests)
    }

    fn every(time: Duration, requests: NonZeroU32) -> Self {
        Self { period: time / requests.get(), burst: NonZeroU32::MIN }
    }

    /// The number of requests that may be sent without a wait after a quiet time. The average stays the same.
    pub const fn burst(mut self, requests: NonZeroU32) -> Self {
        self.burst = requests;
        self
    }

    /// The time by which a request may precede its even pace.
    fn tolerance(&self) -> Duration {
        self.period.saturating_mul(self.burst.get() - 1)
    }
}

/// The gate that every request passes before it is sent.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    pause: Mutex<Option<Pause>>,
    /// Wakes requests that wait for a pause when it is extended: the new wait may exceed their `max_wait`.
    extended: Notify,
    /// Spreads those that wait in a pause over the time after it.
    spread: Spread,
    limit: Option<RateLimit>,
    learned: Mutex<Learned>,
    /// The instant at which the next request is due at an even pace. The first request that arrives then is sent, and
    /// there is no queue: a waiting stream that isn't polled, or is dropped, must delay no other.
    due: Mutex<Option<Instant>>,
}

/// A wait that the service requested.
#[derive(Clone, Copy, Debug)]
struct Pause {
    begun: Instant,
    /// Stored as a duration, because the end of a very long pause could overflow [`Instant`].
    wait: Duration,
}

impl Pause {
    fn rest(self, now: Instant) -> Duration {
        self.wait.saturating_sub(now.saturating_duration_since(self.begun))
    }

    /// The time over which the paused requests are spread after it.
    fn spread(self) -> Duration {
        (self.wait / 10).clamp(Duration::from_millis(50), Duration::from_secs(5))
    }
}

/// A sequence of fractions in which each next one lies far from those before it, however many there are: it advances by
/// the golden ratio. Independent random numbers would often lie close together.
#[derive(Debug, Default)]
struct Spread(Mutex<Option<f64>>);

impl Spread {
    /// The next fraction, of at least 0 and less than 1. The first one is random, so that clients differ.
    fn next(&self, clock: &dyn Clock) -> f64 {
        const GOLDEN: f64 = 0.618_033_988_749_894_9;
        let mut last = lock(&self.0);
        let next = last.map_or_else(|| clock.jitter(), |last| (last + GOLDEN).fract());
        *last = Some(next);
        next
    }
}

impl Pacer {
    pub(crate) fn new(limit: Option<RateLimit>) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Notes a 429: holds back every request for `wait` from now on.
    pub(crate) fn pause(&self, clock: &dyn Clock, wait: Duration) {
        let now = clock.now();
        let mut pause = lock(&self.pause);
        let rest = pause.map_or(Duration::ZERO, |pause| pause.rest(now));
        if rest.is_zero() {
            self.learned().refuse(now, wait);
        }
        if rest < wait {
            *pause = Some(Pause { begun: now, wait });
            drop(pause);
            tracing::info!(wait_ms = millis(wait), "paused by the service");
            self.extended.notify_waiters();
        }
    }

    /// Notes a response other than 429.
    pub(crate) fn grant(&self) {
        self.learned().grant();
    }

    /// Returns true if a pause is in effect.
    pub(crate) fn is_paused(&self, clock: &dyn Clock) -> bool {
        let pause = *lock(&self.pause);
        pause.is_some_and(|pause| !pause.rest(clock.now()).is_zero())
    }

    /// Returns when a request may be sent, with the time that it waited.
    ///
    /// # Errors
    ///
    /// The rest of a pause that is longer than `longest`: the request must not be sent.
    pub(crate) async fn ready(&self, clock: &dyn Clock, longest: Duration) -> Result<Duration, Duration> {
        let start = clock.now();
        loop {
            self.paused(clock, longest).await?;
            let wait = self.take(clock.now());
            if wait.is_zero() {
                break;
            }
            clock.sleep(wait).await;
        }
        let now = clock.now();
        self.learned().send(now);
        Ok(now.saturating_duration_since(start))
    }

    /// Takes the right to send now, or returns the time to wait before the next try.
    fn take(&self, now: Instant) -> Duration {
        let Some((period, tolerance)) = self.pace(now) else { return Duration::ZERO };
        let mut due = lock(&self.due);
        let next = due.unwrap_or(now).max(now);
        let wait = next.saturating_duration_since(now).saturating_sub(tolerance);
        if wait.is_zero() {
            *due = next.checked_add(period);
        }
        wait
    }

    /// The time from one request to the next, and the tolerance: as set, or slower where the service has refused that.
    fn pace(&self, now: Instant) -> Option<(Duration, Duration)> {
        let set = self.limit.as_ref().map(|limit| (limit.period, limit.tolerance()));
        match (self.learned().period(now), set) {
            (Some(learned), Some((period, _))) if period < learned => Some((learned, Duration::ZERO)),
            (Some(learned), None) => Some((learned, Duration::ZERO)),
            (_, set) => set,
        }
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        lock(&self.learned)
    }

    /// The pause that holds, with its rest. The first request after a pause ends it.
    fn current_pause(&self, now: Instant) -> Option<(Pause, Duration)> {
        let mut current = lock(&self.pause);
        let pause = (*current)?;
        let rest = pause.rest(now);
        if rest.is_zero() {
            *current = None;
            tracing::info!("the pause of the service is over");
            return None;
        }
        Some((pause, rest))
    }

    /// Returns when no pause holds, each waiter at an instant of its own.
    async fn paused(&self, clock: &dyn Clock, longest: Duration) -> Result<(), Duration> {
        let mut position = None;
        loop {
            let mut extended = pin!(self.extended.notified());
            // Before the pause is read, so that no extension is missed.
            extended.as_mut().enable();
            let Some((pause, rest)) = self.current_pause(clock.now()) else { return Ok(()) };
            if rest > longest {
                return Err(rest);
            }
            let position = *position.get_or_insert_with(|| self.spread.next(clock));
            let wait = rest.saturating_add(pause.spread().mul_f64(position));
            select(extended, clock.sleep(wait)).await;
        }
    }
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::clock::{System, simulated::Simulated};

    fn n(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    async fn waits(pacer: &Pacer, clock: &&'static Simulated, requests: usize) -> Vec<u128> {
        let mut waits = Vec::new();
        for _ in 0..requests {
            waits.push(pacer.ready(clock, Duration::MAX).await.unwrap().as_millis());
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
    async fn a_burst_is_sent_immediately_and_fills_up_again() {
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
            assert_eq!(waits(&pacer, &clock, 1).await, [expected]);
        }
    }

    #[tokio::test]
    async fn the_requests_that_a_pause_held_follow_each_other_at_a_distance() {
        for jitter in [0.0, 0.3, 0.999] {
            let clock = Simulated::new(jitter);
            let spread = Spread::default();
            for number in [2, 8, 64] {
                let mut positions: Vec<_> = (0..number).map(|_| spread.next(&clock)).collect();
                positions.sort_unstable_by(f64::total_cmp);
                let least = positions.windows(2).map(|pair| pair[1] - pair[0]).fold(1.0, f64::min);
                assert!(least * f64::from(number) > 0.3, "{least} between {number} requests");
                assert!(positions.iter().all(|position| (0.0..1.0).contains(position)));
            }
        }
    }

    #[tokio::test]
    async fn a_short_pause_still_spreads_over_50_milliseconds() {
        let clock = Simulated::new(0.5);
        let pacer = Pacer::new(None);
        pacer.pause(&clock, Duration::from_millis(10));
        assert_eq!(waits(&pacer, &clock, 1).await, [35]);
    }

    #[tokio::test]
    async fn a_shorter_pause_never_cuts_a_longer_one_short() {
        let clock = Simulated::new(0.0);
        let pacer = Pacer::new(None);
        pacer.pause(&clock, Duration::from_secs(10));
        pacer.pause(&clock, Duration::from_secs(1));
        assert_eq!(waits(&pacer, &clock, 1).await, [10_000]);
    }

    #[tokio::test]
    async fn a_pause_of_any_length_is_a_pause() {
        for wait in [Duration::from_secs(i64::MAX as u64), Duration::from_secs(u64::MAX), Duration::MAX] {
            let clock = Simulated::new(0.0);
            let pacer = Pacer::new(None);
            pacer.pause(&clock, wait);
            clock.advance(Duration::from_secs(1));
            let rest = pacer.ready(&clock, Duration::from_secs(3600)).await.unwrap_err();
            assert_eq!(rest, wait.saturating_sub(Duration::from_secs(1)));
            pacer.pause(&System, wait);
            assert!(
                pacer.ready(&System, Duration::MAX).now_or_never().is_none(),
                "it waits, and doesn't overflow"
            );
        }
    }

    #[tokio::test]
    async fn a_request_is_refused_while_the_rest_of_a_pause_is_longer_than_its_patience() {
        let clock = Simulated::new(0.0);
        let pacer = Pacer::new(None);
        pacer.pause(&clock, Duration::from_secs(10));
        let patience = Duration::from_secs(4);
        assert_eq!(pacer.ready(&clock, patience).await, Err(Duration::from_secs(10)));
        clock.advance(Duration::from_secs(6));
        assert_eq!(pacer.ready(&clock, patience).await, Ok(patience));
    }

    #[tokio::test]
    async fn a_pause_that_is_extended_ends_the_wait_of_those_with_less_patience() {
        let pacer = Pacer::new(None);
        let second = Duration::from_secs(1);
        pacer.pause(&System, 100 * second);
        let mut waiting = pin!(pacer.ready(&System, 200 * second));
        assert!((&mut waiting).now_or_never().is_none());
        pacer.pause(&System, 300 * second);
        let rest = waiting.now_or_never().expect("it still waits").unwrap_err();
        assert!(rest > 299 * second, "{rest:?}");
    }

    #[tokio::test]
    async fn without_a_limit_a_refusal_teaches_one() {
        let clock = Simulated::new(0.0);
        let pacer = Pacer::new(None);
        for _ in 0..10 {
            assert_eq!(waits(&pacer, &clock, 1).await, [0]);
            pacer.grant();
        }
        // All requests in flight are refused together, which is one refusal.
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
                waits(&pacer, &clock, 1).await;
                pacer.grant();
            }
            pacer.pause(&clock, Duration::from_secs(1));
            clock.advance(Duration::from_secs(9));
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
