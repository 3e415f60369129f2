use std::sync::Mutex;

use super::*;
use crate::{
    clock::simulated::Simulated,
    error::{ApiError, TransportError},
};

fn response(status: u16, retry_after: Option<u64>) -> Error {
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
        ("1.5", None, seconds(2)),
        ("2.0", None, seconds(2)),
        ("0.503", None, seconds(1)),
        ("18446744073709551615.5", None, seconds(u64::MAX)),
        ("1.", None, None),
        (".5", None, None),
        ("1.5.2", None, None),
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
fn the_delay_is_the_longer_of_retry_after_and_the_backoff() {
    let policy = RetryPolicy::default();
    let millis = |n| Some(Duration::from_millis(n));
    for (attempt, error, jitter, expected) in [
        (1, response(500, None), 0.5, millis(250)),
        (2, response(500, None), 0.5, millis(500)),
        (3, response(503, None), 0.0, millis(0)),
        (7, response(502, None), 0.5, millis(15_000)),
        (9, response(408, None), 0.5, millis(15_000)),
        (1, response(429, Some(7)), 0.5, millis(7_000)),
        (9, response(423, Some(0)), 0.5, millis(15_000)),
        (2, response(503, Some(1)), 0.9, millis(1_000)),
        (5, response(503, Some(1)), 0.5, millis(4_000)),
        (1, response(429, Some(3600)), 0.5, millis(3_600_000)),
        (1, response(429, Some(3601)), 0.5, None),
        (1, response(429, Some(u64::MAX)), 0.5, None),
        (10, response(500, None), 0.5, None),
        (1, response(400, Some(1)), 0.5, None),
        (1, response(501, None), 0.5, None),
    ] {
        let backoff = policy.bound(attempt).mul_f64(jitter);
        assert_eq!(policy.delay(attempt, &error, backoff), expected, "{attempt}, {error}");
    }
}

#[test]
fn a_backoff_of_any_size_never_overflows() {
    let policy = RetryPolicy::default()
        .attempts(NonZeroU32::MAX)
        .backoff(Duration::MAX, Duration::MAX)
        .max_wait(Duration::MAX);
    for attempt in [1, 31, 32, 33, 64, u32::MAX - 1] {
        let backoff = policy.bound(attempt).mul_f64(0.999);
        assert!(policy.delay(attempt, &response(500, None), backoff).is_some());
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
            |attempt| {
                calls.lock().unwrap().push(attempt.number);
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
        |Attempt { number: n, .. }| async move { if n == 2 { Ok(n) } else { Err(response(500, None)) } },
        |_, _| async {},
    );
    assert_eq!(second.await.unwrap(), 2);
    let told = policy.run(
        &clock,
        |Attempt { number: n, failed, .. }| async move {
            if n == 3 { Ok(failed) } else { Err(response(500 + u16::try_from(n).unwrap() * 2, None)) }
        },
        |_, _| async {},
    );
    assert_eq!(told.await.unwrap(), Some(504));
    let once = RetryPolicy::never();
    let never = once.run(
        &clock,
        |_| async { Err::<(), _>(response(500, None)) },
        |_, _| async { unreachable!("there is nothing to wait for") },
    );
    assert_eq!(never.await.unwrap_err().status(), Some(500));
}

fn wait_after(backoff: &mut ResumeBackoff, error: &Error, policy: &RetryPolicy, jitter: f64) -> u128 {
    let wait = backoff.wait(error, policy, jitter);
    backoff.fail(error, policy, &Simulated::new(jitter));
    wait.as_millis()
}

#[test]
fn the_wait_before_a_resumed_request_is_the_failed_attempts_backoff_and_grows() {
    let policy = RetryPolicy::never();
    let refused = TransportError::new("refused", "no").into();
    for (jitter, expected) in [
        (0.0, [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000]),
        (0.5, [375, 750, 1500, 3000, 6000, 12_000, 22_500, 22_500]),
    ] {
        let mut backoff = ResumeBackoff::default();
        let waits = [(); 8].map(|()| wait_after(&mut backoff, &refused, &policy, jitter));
        assert_eq!(waits, expected);
        backoff.succeed();
        assert_eq!(wait_after(&mut backoff, &refused, &policy, jitter), expected[0], "a success resets it");
    }
    let tenth = ApiError::new(503, None, None, String::new(), 10).into();
    assert_eq!(wait_after(&mut ResumeBackoff::default(), &tenth, &policy, 0.5), 22_500);
}

#[test]
fn without_a_backoff_or_after_a_final_error_a_resumed_request_still_waits() {
    let policy = RetryPolicy::default().backoff(Duration::ZERO, Duration::ZERO);
    for error in [response(503, None), response(403, None), TransportError::new("refused", "no").into()] {
        let mut backoff = ResumeBackoff::default();
        let waits = [(); 6].map(|()| wait_after(&mut backoff, &error, &policy, 0.5));
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000], "{error}");
    }
    let mut backoff = ResumeBackoff { failures: u32::MAX, ..ResumeBackoff::default() };
    assert_eq!(wait_after(&mut backoff, &response(503, None), &policy, 0.5), 1000);
}

#[test]
fn a_resumed_request_waits_as_the_service_requests_up_to_the_longest_wait() {
    let policy = RetryPolicy::default();
    for (error, expected) in [
        (response(503, Some(70)), 70_000),
        (response(503, Some(u64::MAX)), 3_600_000),
        // The pacer holds back a 429.
        (response(429, Some(70)), 250),
    ] {
        assert_eq!(wait_after(&mut ResumeBackoff::default(), &error, &policy, 0.0), expected, "{error}");
    }
}

#[tokio::test]
async fn a_budget_ends_the_waits_and_the_attempt_that_exceed_it() {
    let clock = Simulated::new(0.999);
    let policy = RetryPolicy::default().max_elapsed(Duration::from_secs(3));
    let calls = Mutex::new(0);
    let waited = policy.run(
        &clock,
        |_| {
            *calls.lock().unwrap() += 1;
            async { Err::<(), _>(response(503, None)) }
        },
        |_, wait| clock.sleep(wait),
    );
    assert_eq!(waited.await.unwrap_err().status(), Some(503));
    assert_eq!(calls.into_inner().unwrap(), 3, "0.5 s, 1 s and no 2 s more");

    let hung = policy.run(&clock, |_| std::future::pending::<Result<()>>(), |_, wait| clock.sleep(wait));
    let error = hung.await.unwrap_err();
    assert!(matches!(error, Error::Transport(_)) && error.is_transient(), "{error:?}");

    let slow = policy.run(&clock, |_| async { Ok(()) }, |_, wait| clock.sleep(wait));
    assert!(slow.await.is_ok());
}
