//! `RetryPolicy`: when to try again, decided by a pure function, and the loop that does it.

use std::{
    num::NonZeroU32,
    time::{Duration, SystemTime},
};

use crate::{
    clock::Clock,
    error::{Error, Result},
};

/// When a request that failed is sent again.
///
/// | setting | default |
/// |---|---|
/// | [`attempts`](Self::attempts) | 10 for each page |
/// | [`backoff`](Self::backoff) | from 500 ms, doubling, up to 30 s |
/// | [`max_wait`](Self::max_wait) | 1 hour |
///
/// Tried again are the answers 408, 423, 429, 500, 502, 503 and 504, and every failure to get a
/// whole answer. The wait is what the answer's `Retry-After` says (RFC 9110 section 10.2.3: seconds, or
/// a date, which is measured against the answer's own `Date`); where it says nothing that can be read, the
/// wait is drawn evenly from nothing up to the backoff, so that clients which failed together don't
/// come back together. A wait of more than `max_wait` isn't begun: the error comes at once, and its
/// [`retry_after`](Error::retry_after) tells how long the service asked for.
///
/// ```
/// use std::{num::NonZeroU32, time::Duration};
/// use webex_events::RetryPolicy;
///
/// let patient = RetryPolicy::default()
///     .attempts(NonZeroU32::new(30).unwrap())
///     .backoff(Duration::from_secs(1), Duration::from_secs(120))
///     .max_wait(Duration::from_secs(6 * 3600));
/// assert_ne!(patient, RetryPolicy::never());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a policy does nothing until a `ClientBuilder` has it"]
pub struct RetryPolicy {
    attempts: NonZeroU32,
    first: Duration,
    cap: Duration,
    max_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: NonZeroU32::MIN.saturating_add(9),
            first: Duration::from_millis(500),
            cap: Duration::from_secs(30),
            max_wait: Duration::from_secs(3600),
        }
    }
}

impl RetryPolicy {
    /// One attempt.
    pub fn never() -> Self {
        Self::default().attempts(NonZeroU32::MIN)
    }

    /// How many times a request is sent before its error is given, the first time included.
    pub const fn attempts(mut self, attempts: NonZeroU32) -> Self {
        self.attempts = attempts;
        self
    }

    /// The longest wait after the first attempt, which doubles with each further one, up to `cap`.
    /// A wait is drawn evenly between nothing and that.
    pub const fn backoff(mut self, first: Duration, cap: Duration) -> Self {
        self.first = first;
        self.cap = cap;
        self
    }

    /// The longest single wait that is begun.
    pub const fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// How long to wait after the `attempt`-th attempt failed with `error` until the next; none if
    /// there is to be no next. `jitter` is from [0, 1).
    fn delay(&self, attempt: u32, error: &Error, jitter: f64) -> Option<Duration> {
        if attempt >= self.attempts.get() || !error.is_retryable() {
            return None;
        }
        let wait = error.retry_after().unwrap_or_else(|| {
            let doubled = 1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX);
            self.first.saturating_mul(doubled).min(self.cap).mul_f64(jitter)
        });
        (wait <= self.max_wait).then_some(wait)
    }

    /// Calls until it succeeds or is to be given up. `call` gets the number of the attempt, from 1,
    /// and the status of the answer that the one before it failed with, if the request itself had one;
    /// `wait` gets that status too, and for how long.
    pub(crate) async fn run<T, Call, Called, Wait, Waited>(
        &self,
        clock: &dyn Clock,
        mut call: Call,
        mut wait: Wait,
    ) -> Result<T>
    where
        T: Send,
        Call: FnMut(u32, Option<u16>) -> Called + Send,
        Called: Future<Output = Result<T>> + Send,
        Wait: FnMut(Option<u16>, Duration) -> Waited + Send,
        Waited: Future<Output = ()> + Send,
    {
        let mut attempt = 1;
        let mut status = None;
        loop {
            let error = match call(attempt, status).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let Some(delay) = self.delay(attempt, &error, clock.jitter()) else {
                return Err(error);
            };
            tracing::warn!(attempt, wait_ms = delay.as_millis(), "trying again: {error}");
            status = error.page_status();
            wait(status, delay).await;
            attempt += 1;
        }
    }
}

/// Reads `Retry-After`, where `date` is the answer's own `Date`. What isn't whole seconds or an
/// HTTP date says nothing.
pub(crate) fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    if value.bytes().all(|byte| byte.is_ascii_digit()) {
        return value.parse().ok().map(Duration::from_secs);
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now: SystemTime = httpdate::parse_http_date(date?.trim()).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{
        clock::simulated::Simulated,
        error::{ApiError, TransportError},
    };

    fn answer(status: u16, retry_after: Option<u64>) -> Error {
        ApiError::new(status, None, retry_after.map(Duration::from_secs), String::new(), 1).into()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_a_panic() {
        let date = Some("Mon, 05 Jan 2026 09:00:00 GMT");
        let seconds = |n| Some(Duration::from_secs(n));
        for (value, date, expected) in [
            ("194", None, seconds(194)),
            (" 3600 ", None, seconds(3600)),
            ("0", None, seconds(0)),
            ("18446744073709551615", None, seconds(u64::MAX)),
            ("18446744073709551616", None, None),
            ("99999999999999999999999999999999", None, None),
            ("", None, None),
            ("-1", None, None),
            ("+5", None, None),
            ("1.5", None, None),
            ("1e3", None, None),
            ("rand(30),add(30)", None, None),
            ("soon", date, None),
            ("Mon, 05 Jan 2026 09:01:30 GMT", date, seconds(90)),
            ("Monday, 05-Jan-26 09:01:30 GMT", date, seconds(90)),
            ("Mon, 05 Jan 2026 08:00:00 GMT", date, seconds(0)),
            ("Mon, 05 Jan 2026 09:01:30 GMT", None, None),
            ("Mon, 05 Jan 2026 09:01:30 GMT", Some("yesterday"), None),
            ("Mon, 32 Jan 2026 09:01:30 GMT", date, None),
        ] {
            assert_eq!(retry_after(value, date), expected, "{value:?} at {date:?}");
        }
    }

    #[test]
    fn the_delay_is_what_the_service_asks_for_or_grows_up_to_the_cap() {
        let policy = RetryPolicy::default();
        let millis = |n| Some(Duration::from_millis(n));
        for (attempt, error, jitter, expected) in [
            (1, answer(500, None), 0.5, millis(250)),
            (2, answer(500, None), 0.5, millis(500)),
            (3, answer(503, None), 0.0, millis(0)),
            (7, answer(502, None), 0.5, millis(15_000)),
            (9, answer(408, None), 0.5, millis(15_000)),
            (1, answer(429, Some(7)), 0.5, millis(7_000)),
            (9, answer(423, Some(0)), 0.9, millis(0)),
            (1, answer(429, Some(3600)), 0.5, millis(3_600_000)),
            (1, answer(429, Some(3601)), 0.5, None),
            (1, answer(429, Some(u64::MAX)), 0.5, None),
            (10, answer(500, None), 0.5, None),
            (1, answer(400, Some(1)), 0.5, None),
            (1, answer(501, None), 0.5, None),
        ] {
            assert_eq!(policy.delay(attempt, &error, jitter), expected, "{attempt}, {error}");
        }
    }

    #[test]
    fn a_backoff_of_any_size_never_overflows() {
        let policy = RetryPolicy::default()
            .attempts(NonZeroU32::MAX)
            .backoff(Duration::MAX, Duration::MAX)
            .max_wait(Duration::MAX);
        for attempt in [1, 31, 32, 33, 64, u32::MAX - 1] {
            assert!(policy.delay(attempt, &answer(500, None), 0.999).is_some());
        }
    }

    #[tokio::test]
    async fn the_loop_tries_as_often_as_it_may_and_waits_in_between() {
        let clock = Simulated::new(0.5);
        let calls = Mutex::new(Vec::new());
        let waits = Mutex::new(Vec::new());
        let result: Result<()> = RetryPolicy::default()
            .attempts(NonZeroU32::new(4).unwrap())
            .run(
                &clock,
                |attempt, _| {
                    calls.lock().unwrap().push(attempt);
                    async { Err(TransportError::new("refused", "no").into()) }
                },
                |_, wait| {
                    waits.lock().unwrap().push(wait.as_millis());
                    async {}
                },
            )
            .await;
        assert!(matches!(result, Err(Error::Transport(_))));
        assert_eq!(calls.into_inner().unwrap(), [1, 2, 3, 4]);
        assert_eq!(waits.into_inner().unwrap(), [250, 500, 1000]);
    }

    #[tokio::test]
    async fn the_loop_ends_with_the_first_success_or_final_error() {
        let clock = Simulated::new(0.5);
        let policy = RetryPolicy::default();
        let second = policy.run(
            &clock,
            |n, _| async move { if n == 2 { Ok(n) } else { Err(answer(500, None)) } },
            |_, _| async {},
        );
        assert_eq!(second.await.unwrap(), 2);
        let told = policy.run(
            &clock,
            |n, status| async move {
                if n == 3 { Ok(status) } else { Err(answer(500 + u16::try_from(n).unwrap() * 2, None)) }
            },
            |_, _| async {},
        );
        assert_eq!(told.await.unwrap(), Some(504));
        let once = RetryPolicy::never();
        let never = once.run(
            &clock,
            |_, _| async { Err::<(), _>(answer(500, None)) },
            |_, _| async { unreachable!("there is nothing to wait for") },
        );
        assert_eq!(never.await.unwrap_err().status(), Some(500));
    }
}
