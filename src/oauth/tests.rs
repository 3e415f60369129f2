//! What is decided without the service; `tests/it/tokens.rs` has the rest.

use std::fs;

use tempfile::TempDir;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use super::*;
use crate::{clock::simulated::Simulated, error::ApiError};

const SECOND: Duration = Duration::from_secs(1);

fn refusal(status: u16, retry_after: Option<u64>) -> Failure {
    let wait = retry_after.map(Duration::from_secs);
    Failure::Refused(Box::new(ApiError::new(status, None, wait, String::new(), 1)))
}

/// At midnight of the simulated clock, an access token that lasts an hour.
fn state(clock: &dyn Clock) -> State {
    let file = r#"{"access_token":"a","expires_at":"2026-01-01T01:00:00Z","refresh_token":"r"}"#;
    State::new(Tokens::from_file(file, clock.utc()).unwrap())
}

fn usable(state: &State, clock: &dyn Clock) -> bool {
    state.usable(clock.utc(), clock.now()).is_some()
}

#[test]
fn after_a_renewal_ahead_of_time_that_failed_there_is_a_rest() {
    let clock = Simulated::new(0.0);
    let mut state = state(&clock);
    assert!(usable(&state, &clock));
    clock.advance(55 * 60 * SECOND);
    assert!(!usable(&state, &clock), "it is due");
    for seconds in [30, 60, 120] {
        state.landed(&Err(refusal(503, None)), clock.now());
        clock.advance((seconds - 1) * SECOND);
        assert!(usable(&state, &clock), "it rests for {seconds} s");
        clock.advance(SECOND);
        assert!(!usable(&state, &clock), "it rests for {seconds} s and no longer");
    }
    // Expired, it isn't of use any more, rest or not.
    state.landed(&Err(refusal(503, None)), clock.now());
    clock.advance(100 * SECOND);
    assert!(!usable(&state, &clock));
}

#[test]
fn a_rest_is_at_least_what_the_service_asks_for_and_ends_with_a_success() {
    let clock = Simulated::new(0.0);
    let mut state = state(&clock);
    clock.advance(55 * 60 * SECOND);
    state.landed(&Err(refusal(429, Some(200))), clock.now());
    clock.advance(199 * SECOND);
    assert!(usable(&state, &clock));
    clock.advance(SECOND);
    assert!(!usable(&state, &clock));
    state.landed(&Ok("b".into()), clock.now());
    state.landed(&Err(refusal(503, None)), clock.now());
    clock.advance(30 * SECOND);
    assert!(!usable(&state, &clock), "it counts from the first again");
    state.landed(&Err(refusal(429, Some(u64::MAX))), clock.now());
    assert!(usable(&state, &clock), "however long that is");
    assert_eq!([0, 3, 4, 5, u32::MAX].map(|times| rest(times).as_secs()), [30, 240, 300, 300, 300]);
}

#[test]
fn a_final_refusal_leaves_the_access_token_for_as_long_as_it_lasts() {
    let clock = Simulated::new(0.0);
    let mut state = state(&clock);
    clock.advance(55 * 60 * SECOND);
    state.landed(&Err(refusal(400, None)), clock.now());
    clock.advance(299 * SECOND);
    assert!(usable(&state, &clock));
    clock.advance(SECOND);
    assert!(!usable(&state, &clock));
}

#[test]
fn a_rejected_token_is_of_no_use_until_there_is_another() {
    let clock = Simulated::new(0.0);
    let mut state = state(&clock);
    state.rejected = true;
    assert!(!usable(&state, &clock) && state.fresh(clock.utc()).is_none());
    state.found(state.held.clone());
    assert!(!usable(&state, &clock), "the file holds the same");
    let other = r#"{"access_token":"b","refresh_token":"r"}"#;
    state.found(Tokens::from_file(other, clock.utc()).unwrap());
    assert_eq!(state.fresh(clock.utc()), Some("b".into()));
}

#[test]
fn another_refresh_token_in_the_file_is_a_new_beginning() {
    let clock = Simulated::new(0.0);
    let mut state = state(&clock);
    let granted = state.held.granted(br#"{"access_token":"b","refresh_token":"s"}"#, clock.utc()).unwrap();
    state.unwritten = Some(granted);
    state.refused = Some(refusal(400, None));
    state.found(Tokens::from_file(r#"{"access_token":"c","refresh_token":"r"}"#, clock.utc()).unwrap());
    assert!(state.unwritten.is_some() && state.refused.is_some(), "it is the same refresh token");
    assert_eq!(state.fresh(clock.utc()), None, "there is something to be written");
    state.found(Tokens::from_file("t", clock.utc()).unwrap());
    assert!(state.unwritten.is_none() && state.refused.is_none());
}

#[tokio::test]
async fn a_renewal_ahead_of_time_that_fails_costs_nothing_and_is_tried_again() {
    let server = MockServer::start().await;
    let answer = |status, times| {
        let reply = r#"{"access_token":"b","expires_in":3600,"refresh_token":"s"}"#;
        let answer = ResponseTemplate::new(status).set_body_raw(reply, "application/json");
        Mock::given(any()).respond_with(answer).up_to_n_times(times).mount(&server)
    };
    answer(503, 2).await;
    answer(200, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let clock = Simulated::new(0.0);
    let oauth = lasting(
        &folder,
        clock,
        r#"{"access_token":"a","expires_at":"2026-01-01T01:00:00Z","refresh_token":"r"}"#,
    )
    .base_url(server.uri());
    let asked = async || server.received_requests().await.unwrap().len();
    for (seconds, token, requests) in [
        (0, "a", 0),
        (55 * 60 - 1, "a", 0),
        (1, "a", 1),
        (29, "a", 1),
        (1, "a", 2),
        (60, "b", 3),
        // The new one lasts an hour from when it was asked for.
        (55 * 60 - 1, "b", 3),
        (1, "b", 4),
    ] {
        clock.advance(seconds * SECOND);
        assert_eq!(oauth.token(None).await.unwrap(), token.into());
        assert_eq!(asked().await, requests);
    }
    clock.advance(5 * 60 * SECOND);
    assert!(oauth.token(None).await.is_err(), "it has expired, and the endpoint knows no more");
    assert_eq!(asked().await, 5);
}

fn oauth(folder: &TempDir, clock: &'static Simulated) -> OAuth {
    lasting(folder, clock, "r\n")
}

fn lasting(folder: &TempDir, clock: &'static Simulated, file: &str) -> OAuth {
    let path = folder.path().join("token");
    fs::write(&path, file).unwrap();
    OAuth::with_clock("id", "secret".into(), path, Box::new(clock)).unwrap()
}

#[tokio::test]
async fn a_lock_that_is_never_given_up_is_waited_for_for_two_minutes() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Simulated::new(0.0);
    let oauth = oauth(&folder, clock);
    let other = File::create(folder.path().join("token.lock")).unwrap();
    other.lock().unwrap();
    let start = clock.now();
    let error = oauth.token(None).await.unwrap_err();
    assert!(error.is_transient() && matches!(error, Error::Transport(_)), "{error:?}");
    assert_eq!(clock.now() - start, LOCKED);
    drop(other);
    // Nobody is in the way any more; now it is the endpoint that isn't there.
    let refused = oauth.base_url("http://127.0.0.1:1").token(None).await.unwrap_err();
    assert!(refused.is_transient());
    assert_eq!(clock.now() - start, LOCKED);
}

#[tokio::test]
async fn settings_are_checked_by_the_first_grant() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Simulated::new(0.0);
    for (oauth, reason) in [
        (oauth(&folder, clock).base_url("http://webexapis.com/v1"), "travel in the clear"),
        (oauth(&folder, clock).base_url("nonsense"), "isn't an absolute URL"),
        (oauth(&folder, clock).proxy("http://["), "the proxy isn't a URL"),
        (oauth(&folder, clock).root_certificate(b"nonsense"), "root certificate"),
    ] {
        match oauth.token(None).await {
            Err(Error::Config(text)) => assert!(text.contains(reason), "{text}"),
            other => panic!("{reason}: {other:?}"),
        }
        assert_eq!(fs::read_to_string(folder.path().join("token")).unwrap(), "r\n");
    }
}
