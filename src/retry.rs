//! `RetryPolicy`: when to retry, decided by a pure function, the loop that does it, and the wait before a resumed
//! stream's first request.

use std::{
    num::NonZeroU32,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::{Duration, Instant, SystemTime},
};

use futures_util::future::{Either, select};

use crate::{
    clock::Clock,
    error::{Error, Result, TransportError, TransportErrorKind, retry_cause, root_cause},
    timer::Timer,
};

/// The rules for sending a failed request again.
///
/// | setting | default |
/// |---|---|
/// | [`attempts`](Self::attempts) | 10 for each page |
/// | [`connect_attempts`](Self::connect_attempts) | the same |
/// | [`backoff`](Self::backoff) | from 500 ms, doubling, up to 30 s |
/// | [`max_wait`](Self::max_wait) | 1 hour |
/// | [`max_elapsed`](Self::max_elapsed) | none |
///
/// The responses 408, 423, 429, 500, 502, 503 and 504 are retried, and every failure to receive a complete
/// response. The wait is the longer of two times: the one in the response's `Retry-After` (RFC 9110 section
/// 10.2.3: seconds, of which fractions are rounded up, or a date, which is measured against the response's own
/// `Date`), and the backoff, which is drawn evenly from zero up to its bound, so that clients which failed
/// together don't retry together. A `Retry-After` of `0`, or a date in the past, therefore still backs off.
///
/// **Pauses.** A 429 pauses all clones of a client from the moment its headers arrive, whatever the policy does with
/// the request that received it, and even for [`never`](Self::never). No request is sent during a pause.
///
/// **Long waits.** A wait of more than `max_wait` is not started: the error is returned immediately, and its
/// [`retry_after`](Error::retry_after) says how long the wait would be. While the rest of a pause is longer than
/// `max_wait`, every request fails immediately, unsent, with a 429 whose body is empty.
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
    connect_attempts: Option<NonZeroU32>,
    first: Duration,
    cap: Duration,
    max_wait: Duration,
    max_elapsed: Option<Duration>,
}

/// The circumstances of an attempt, for the call that makes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    /// From 1.
    pub(crate) number: u32,
    /// The status of the response to the previous attempt, if the request itself had one.
    pub(crate) failed: Option<u16>,
    /// The wait after this attempt, unless the service requests a longer one.
    pub(crate) backoff: Duration,
    /// The longest wait that may be started before the request is sent.
    pub(crate) longest_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: NonZeroU32::MIN.saturating_add(9),
            connect_attempts: None,
            first: Duration::from_millis(500),
            cap: Duration::from_secs(30),
            max_wait: Duration::from_secs(3600),
            max_elapsed: None,
        }
    }
}

impl RetryPolicy {
    /// A policy that never retries.
    pub fn never() -> Self {
        Self::default().attempts(NonZeroU32::MIN)
    }

    /// The number of times that a request is sent before its error is returned, the first time included.
    pub const fn attempts(mut self, attempts: NonZeroU32) -> Self {
        self.attempts = attempts;
        self
    }

    /// The number of times that a request is sent as long as the service has never responded to the client or its clones:
    /// the address or a proxy may be wrong, which no retry corrects. The default is the same as
    /// [`attempts`](Self::attempts), which also limits it.
    ///
    /// ```
    /// use std::num::NonZeroU32;
    /// use webex_events::RetryPolicy;
    ///
    /// let program = RetryPolicy::default().connect_attempts(NonZeroU32::new(3).unwrap());
    /// # let _ = program;
    /// ```
    pub const fn connect_attempts(mut self, attempts: NonZeroU32) -> Self {
        self.connect_attempts = Some(attempts);
        self
    }

    /// The same error, marked as final if it is that of the last attempt to reach a service that has never responded.
    pub(crate) fn unreached(&self, error: Error, attempt: u32) -> Error {
        match error {
            Error::Transport(error)
                if error.kind() != TransportErrorKind::Truncated
                    && self.connect_attempts.is_some_and(|most| attempt >= most.get()) =>
            {
                error.without_retry().into()
            }
            error => error,
        }
    }

    /// The bound of the wait after the first attempt, which doubles with each further one, up to `cap`.
    /// A wait is drawn evenly between zero and this bound.
    pub const fn backoff(mut self, first: Duration, cap: Duration) -> Self {
        self.first = first;
        self.cap = cap;
        self
    }

    /// The longest single wait that is started. The default is 1 hour.
    pub const fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// The time that all attempts and waits for one page may take together. The default is no limit.
    ///
    /// A wait that would exceed it is not started, and an attempt that exceeds it is aborted: the error of the last
    /// attempt is returned, or a transient [`Error::Transport`] for the aborted one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use webex_events::RetryPolicy;
    ///
    /// let interactive = RetryPolicy::default().max_elapsed(Duration::from_secs(20));
    /// # let _ = interactive;
    /// ```
    pub const fn max_elapsed(mut self, max_elapsed: Duration) -> Self {
        self.max_elapsed = Some(max_elapsed);
        self
    }

    /// The bound of the backoff after the `attempt`-th attempt.
    fn bound(&self, attempt: u32) -> Duration {
        let doubled = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(doubled).min(self.cap)
    }

    /// The wait between the `attempt`-th attempt, which failed with `error`, and the next; none if there is to be no
    /// next.
    fn delay(&self, attempt: u32, error: &Error, backoff: Duration) -> Option<Duration> {
        if attempt >= self.attempts.get() || !error.is_retryable() {
            return None;
        }
        let wait = error.retry_after().unwrap_or_default().max(backoff);
        (wait <= self.max_wait).then_some(wait)
    }

    /// The rest of the budget for a page that was begun at `begun`.
    fn left(&self, begun: Instant, clock: &dyn Clock) -> Duration {
        let passed = || clock.now().saturating_duration_since(begun);
        self.max_elapsed.map_or(Duration::MAX, |budget| budget.saturating_sub(passed()))
    }

    /// Calls until it succeeds or is to be given up. `wait` gets the status of the failed response, if the
    /// request itself had one, and the time to wait.
    pub(crate) async fn run<T, Call, Called, Wait, Waited>(
        &self,
        clock: &dyn Clock,
        mut call: Call,
        mut wait: Wait,
    ) -> Result<T>
    where
        T: Send,
        Call: FnMut(Attempt) -> Called + Send,
        Called: Future<Output = Result<T>> + Send,
        Wait: FnMut(Option<u16>, Duration) -> Waited + Send,
        Waited: Future<Output = ()> + Send,
    {
        let begun = clock.now();
        let (mut number, mut failed) = (1, None);
        loop {
            let backoff = self.bound(number).mul_f64(clock.jitter());
            let left = self.left(begun, clock);
            let called =
                pin!(call(Attempt { number, failed, backoff, longest_wait: self.max_wait.min(left) }));
            let error = match self.bounded(called, number, left, clock).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let fits = |delay: &Duration| self.max_elapsed.is_none() || *delay < self.left(begun, clock);
            let Some(delay) = self.delay(number, &error, backoff).filter(fits) else {
                return Err(error);
            };
            failed = error.page_status();
            let (wait_ms, root) = (millis(delay), root_cause(&error));
            tracing::warn!(
                attempt = number,
                wait_ms,
                status = error.status(),
                cause = retry_cause(&error),
                "trying again: {error}{root}"
            );
            wait(failed, delay).await;
            number += 1;
        }
    }

    /// Aborts the call at the end of the budget, if there is one.
    async fn bounded<T>(
        &self,
        call: Pin<&mut (impl Future<Output = Result<T>> + Send)>,
        attempts: u32,
        left: Duration,
        clock: &dyn Clock,
    ) -> Result<T> {
        let Some(budget) = self.max_elapsed else { return call.await };
        match select(call, clock.sleep(left)).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => {
                let budget = format!("the budget of {budget:?} for a page is used up");
                Err(TransportError::new("the service took too long", budget).after(attempts).into())
            }
        }
    }
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

/// The wait before the first request after a stream was resumed. It grows while failures repeat, so that no loop that
/// resumes a stream can spin.
#[derive(Debug, Default)]
pub(crate) struct ResumeBackoff {
    /// Since the last success.
    failures: u32,
    timer: Option<Timer>,
    /// The time at which the wait was first observed.
    observed: Option<Instant>,
}

impl ResumeBackoff {
    /// The shortest wait after a first failure, for a policy without a backoff. It doubles too, up to
    /// [`LONGEST_FLOOR`](Self::LONGEST_FLOOR).
    const FLOOR: Duration = Duration::from_millis(100);
    const LONGEST_FLOOR: Duration = Duration::from_secs(1);

    /// Notes a failure, from which the wait counts.
    pub(crate) fn fail(&mut self, error: &Error, policy: &RetryPolicy, clock: &dyn Clock) {
        let wait = self.wait(error, policy, clock.jitter());
        self.failures = self.failures.saturating_add(1);
        (self.timer, self.observed) = (Some(Timer::new(clock.now(), wait)), None);
    }

    /// Notes a success: the next failure is a first one.
    pub(crate) fn succeed(&mut self) {
        *self = Self::default();
    }

    /// Returns how long the caller waited, when the wait is over.
    pub(crate) fn poll(&mut self, clock: &dyn Clock, cx: &mut Context<'_>) -> Poll<Result<Duration>> {
        let Some(timer) = &mut self.timer else { return Poll::Ready(Ok(Duration::ZERO)) };
        let observed = *self.observed.get_or_insert_with(|| clock.now());
        ready!(timer.poll(clock, cx))?;
        (self.timer, self.observed) = (None, None);
        Poll::Ready(Ok(clock.now().saturating_duration_since(observed)))
    }

    fn wait(&self, error: &Error, policy: &RetryPolicy, jitter: f64) -> Duration {
        let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let floor = Self::FLOOR.saturating_mul(doubled).min(Self::LONGEST_FLOOR);
        if !error.is_transient() {
            return floor;
        }
        // Half of it is certain, or the wait would not grow with each failure.
        let half = policy.bound(error.attempts().saturating_add(self.failures)) / 2;
        let backoff = half.saturating_add(half.mul_f64(jitter));
        // The pause of a 429 is the pacer's, which spreads the clones.
        let requested = error.retry_after().filter(|_| error.page_status() != Some(429)).unwrap_or_default();
        backoff.max(requested.min(policy.max_wait)).max(floor)
    }
}

/// Reads `Retry-After`, where `date` is the response's own `Date`. Anything but a number of seconds or an HTTP date is
/// ignored.
pub(crate) fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    let (seconds, fraction) = value.split_once('.').unwrap_or((value, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number(seconds) && is_number(fraction) {
        let rounded_up = u64::from(fraction.bytes().any(|digit| digit != b'0'));
        return seconds
            .parse()
            .ok()
            .map(|seconds: u64| Duration::from_secs(seconds.saturating_add(rounded_up)));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now: SystemTime = httpdate::parse_http_date(date?.trim()).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests;
