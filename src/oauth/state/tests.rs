use super::*;
use crate::{
    clock::{Clock, simulated::Simulated},
    error::ApiError,
};

const SECOND: Duration = Duration::from_secs(1);

fn refusal(status: u16, retry_after: Option<u64>) -> RenewalError {
    let wait = retry_after.map(Duration::from_secs);
    RenewalError::Refused(Box::new(ApiError::new(status, None, wait, String::new(), 1)))
}

fn tokens(file: &str, clock: &dyn Clock) -> Tokens {
    Tokens::from_file(file, clock.utc()).unwrap()
}

/// At midnight of the simulated clock, an access token that lasts an hour.
fn state(clock: &dyn Clock) -> TokenState {
    let file = r#"{"access_token":"a","expires_at":"2026-01-01T01:00:00Z","refresh_token":"r"}"#;
    TokenState::new(tokens(file, clock))
}

fn usable(state: &TokenState, clock: &dyn Clock) -> bool {
    state.usable(clock.utc(), clock.now()).is_some()
}

/// The next step and the refresh token or access token that it is about.
fn step(state: &TokenState, clock: &dyn Clock) -> (&'static str, String) {
    let shown = |token: Token| token.secret().to_owned();
    match state.next_step(clock.utc()) {
        RenewalStep::Done(token) => ("done", shown(token)),
        RenewalStep::Store(tokens) => ("store", shown(tokens.refresh)),
        RenewalStep::Grant(tokens) => ("grant", shown(tokens.refresh)),
        RenewalStep::Fail(_) => ("fail", String::new()),
    }
}

/// Asserts the next step.
fn next_is(state: &TokenState, clock: &dyn Clock, name: &str, token: &str) {
    assert_eq!(step(state, clock), (name, token.to_owned()));
}

#[test]
fn after_a_failed_renewal_ahead_of_time_the_next_one_waits() {
    let clock = Simulated::new(0.0);
    let mut state = state(&clock);
    assert!(usable(&state, &clock));
    clock.advance(55 * 60 * SECOND);
    assert!(!usable(&state, &clock), "it is due");
    for seconds in [30, 60, 120] {
        state.on_finished(&Err(refusal(503, None)), clock.now());
        clock.advance((seconds - 1) * SECOND);
        assert!(usable(&state, &clock), "it waits for {seconds} s");
        clock.advance(SECOND);
        assert!(!usable(&state, &clock), "it waits for {seconds} s and no longer");
    }
    // An expired token is unusable, whatever the backoff.
    state.on_finished(&Err(refusal(503, None)), clock.now());
    clock.advance(100 * SECOND);
    assert!(!usable(&state, &clock));
}

#[test]
fn the_backoff_is_at_least_what_the_service_requires_and_ends_with_a_success() {
    let clock = Simulated::new(0.0);
    let mut state = state(&clock);
    clock.advance(55 * 60 * SECOND);
    state.on_finished(&Err(refusal(429, Some(200))), clock.now());
    clock.advance(199 * SECOND);
    assert!(usable(&state, &clock));
    clock.advance(SECOND);
    assert!(!usable(&state, &clock));
    state.on_finished(&Ok("b".into()), clock.now());
    state.on_finished(&Err(refusal(503, None)), clock.now());
    clock.advance(30 * SECOND);
    assert!(!usable(&state, &clock), "it counts from the first failure again");
    state.on_finished(&Err(refusal(429, Some(u64::MAX))), clock.now());
    assert!(usable(&state, &clock), "a wait of any length is accepted");
    assert_eq!([0, 3, 4, 5, u32::MAX].map(|failures| backoff(failures).as_secs()), [30, 240, 300, 300, 300]);
}

#[test]
fn a_final_refusal_leaves_the_access_token_in_use_until_it_expires() {
    let clock = Simulated::new(0.0);
    let mut state = state(&clock);
    clock.advance(55 * 60 * SECOND);
    next_is(&state, &clock, "grant", "r");
    assert!(!state.on_refused(&refusal(400, None)));
    clock.advance(299 * SECOND);
    assert!(usable(&state, &clock));
    next_is(&state, &clock, "fail", "");
    clock.advance(SECOND);
    assert!(!usable(&state, &clock));
}

#[test]
fn a_rejected_token_is_unusable_until_there_is_another() {
    let clock = Simulated::new(0.0);
    let mut state = state(&clock);
    state.on_rejected(&"another".into());
    next_is(&state, &clock, "done", "a");
    state.on_rejected(&"a".into());
    assert!(!usable(&state, &clock));
    next_is(&state, &clock, "grant", "r");
    state.on_file(state.held.clone());
    assert!(!usable(&state, &clock), "the file holds the same");
    state.on_file(tokens(r#"{"access_token":"b","refresh_token":"r"}"#, &clock));
    next_is(&state, &clock, "done", "b");
}

#[test]
fn granted_tokens_are_stored_before_they_are_used() {
    let clock = Simulated::new(0.0);
    let mut state = state(&clock);
    state.on_rejected(&"a".into());
    let granted = state.held.granted(br#"{"access_token":"b","refresh_token":"s"}"#, clock.utc()).unwrap();
    state.on_granted(granted.clone(), true);
    next_is(&state, &clock, "store", "s");
    assert!(!usable(&state, &clock));
    // A file that was written and not synced holds them already.
    state.on_file(granted);
    next_is(&state, &clock, "store", "s");
    state.on_stored();
    next_is(&state, &clock, "done", "b");
    assert!(usable(&state, &clock));
}

#[test]
fn a_saved_refresh_token_is_stored_and_then_used_for_the_next_grant() {
    let clock = Simulated::new(0.0);
    let mut state = state(&clock);
    state.on_rejected(&"a".into());
    let saved = state.held.salvaged(br#"{"refresh_token":"s"}"#).unwrap();
    state.on_granted(saved, false);
    next_is(&state, &clock, "store", "s");
    state.on_stored();
    next_is(&state, &clock, "grant", "s");
}

#[test]
fn another_refresh_token_in_the_file_is_tried() {
    let clock = Simulated::new(0.0);
    let mut state = state(&clock);
    state.on_rejected(&"a".into());
    assert!(!state.on_refused(&refusal(400, None)));
    state.on_file(tokens(r#"{"access_token":"a","refresh_token":"r"}"#, &clock));
    next_is(&state, &clock, "fail", "");
    state.on_file(tokens("t", &clock));
    next_is(&state, &clock, "grant", "t");
    // The one before was refused: it isn't used again.
    assert!(!state.on_refused(&refusal(400, None)));
    next_is(&state, &clock, "fail", "");
}

#[test]
fn a_refused_token_of_the_file_does_not_displace_those_that_worked() {
    let clock = Simulated::new(0.0);
    let mut state = state(&clock);
    state.on_rejected(&"a".into());
    let file = tokens("bad", &clock);
    state.on_file(file.clone());
    next_is(&state, &clock, "grant", "bad");
    assert!(state.on_refused(&refusal(400, None)));
    next_is(&state, &clock, "grant", "r");
    assert!(!usable(&state, &clock), "the access token is still the rejected one");
    // The file isn't read as news again, and is not forgotten by a failure.
    state.on_finished(&Err(refusal(503, None)), clock.now());
    state.on_file(file.clone());
    next_is(&state, &clock, "grant", "r");
    assert!(!state.on_refused(&refusal(401, None)));
    state.on_file(file);
    next_is(&state, &clock, "fail", "");
    state.on_file(tokens("good", &clock));
    next_is(&state, &clock, "grant", "good");
}

#[test]
fn an_access_token_that_is_still_good_stays_in_use_after_the_files_refresh_token_was_refused() {
    let clock = Simulated::new(0.0);
    let mut state = state(&clock);
    state.on_file(tokens("bad", &clock));
    next_is(&state, &clock, "grant", "bad");
    assert!(state.on_refused(&refusal(400, None)));
    next_is(&state, &clock, "done", "a");
    assert!(usable(&state, &clock));
}

#[test]
fn tokens_that_the_file_never_had_are_stored_once_the_files_own_are_refused() {
    let clock = Simulated::new(0.0);
    let mut state = state(&clock);
    state.on_rejected(&"a".into());
    let granted = state.held.granted(br#"{"access_token":"b","refresh_token":"s"}"#, clock.utc()).unwrap();
    state.on_granted(granted, true);
    for bad in ["bad1", "bad2", "bad3", "bad4", "bad5", "bad6"] {
        state.on_file(tokens(bad, &clock));
        next_is(&state, &clock, "grant", bad);
    }
    while state.on_refused(&refusal(400, None)) {
        if step(&state, &clock) == ("store", "s".to_owned()) {
            state.on_stored();
            next_is(&state, &clock, "done", "b");
            return;
        }
    }
    panic!("the granted tokens are lost");
}
