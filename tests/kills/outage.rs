//! A service that is unreachable for a while, and a token that is refused for a while.

use webex_events::sandbox::{Response, Sandbox, When};

use crate::{
    export, follow,
    job::{Job, Kind, Outcome},
    signals::grouped,
    support::{Service, TOKEN},
    weather::Weather,
};

const KINDS: [Kind; 3] = [Kind::Folder, Kind::File, Kind::Follow];
/// The number of requests after which there is something to resume.
const SOME_REQUESTS: u64 = 9;

/// A job without faults that commits each page.
fn job(kind: Kind) -> Job {
    let mut job = match kind {
        Kind::Follow => follow::job(1, Weather::fine(), 400),
        _ => export::job(kind, 1, Weather::fine(), 400),
    };
    job.set("--commit-every", "0s");
    job.set("--attempts", "2");
    job
}

/// Runs it until it stops, with this event after some requests. Returns its exit code.
fn give_up(job: &mut Job, requests: u64, happens: impl FnOnce(&mut Job)) -> i32 {
    let Outcome::Ended(code) = job.live_through(requests, happens, "trying again in 30 s") else {
        panic!("{}", job.last_log())
    };
    let log = job.last_log();
    let events: u64 = job.remains().entries().iter().map(|entry| entry.events).sum();
    assert_eq!(events > 0, requests > 0 || log.contains("events are in"), "{log}");
    match job.kind {
        // It would continue without end, and was stopped.
        Kind::Follow => assert_eq!(code, 143, "{log}"),
        _ if events > 0 => {
            assert_eq!(code, 75, "{log}");
            assert!(log.contains(&format!("{} events are in", grouped(events))), "{log}");
        }
        _ => assert_eq!(code, 69, "{log}"),
    }
    code
}

#[test]
fn an_unreachable_service_loses_no_event() {
    for kind in KINDS {
        let mut job = job(kind);
        let (address, now) = (job.service.local_addr(), job.service.now());
        for requests in [0, SOME_REQUESTS] {
            // The service no longer listens.
            let gone = |job: &mut Job| job.service = Service::start(Sandbox::builder().events(0));
            give_up(&mut job, requests, gone);
            assert!(job.last_log().contains("no connection to the service"), "{}", job.last_log());
            if requests > 0 {
                // The same command, before the service is back.
                job.live_through(0, |_| {}, "trying again in 30 s");
                assert!(job.last_log().contains("no connection to the service"), "{}", job.last_log());
            }
            let service = job.builder.clone().addr(address);
            job.service = Service::start(if kind == Kind::Follow { service.now(now) } else { service });
            job.look();
        }
        assert_eq!(job.finish(), Outcome::Ended(0), "{}", job.last_log());
        job.is_whole();
    }
}

#[test]
fn a_failing_service_loses_no_event() {
    for kind in KINDS {
        let mut job = job(kind);
        let fails = |job: &mut Job| job.service.fail(When::always(), Response::status(503).retry_after(0));
        for requests in [0, SOME_REQUESTS] {
            give_up(&mut job, requests, fails);
            assert!(job.last_log().contains("503 Service Unavailable"), "{}", job.last_log());
            job.look();
            job.service.clear_faults();
        }
        assert_eq!(job.finish(), Outcome::Ended(0), "{}", job.last_log());
        job.is_whole();
    }
}

#[test]
fn a_failure_that_is_shorter_than_the_retries_is_survived() {
    for kind in KINDS {
        let mut job = job(kind);
        job.service.fail(When::at([SOME_REQUESTS]), Response::status(503).retry_after(1));
        assert_eq!(job.finish(), Outcome::Ended(0), "{}", job.last_log());
        assert_eq!(job.service.counts().server_errors, 1);
        job.is_whole();
    }
}

#[test]
fn a_token_that_is_refused_within_a_run_is_replaced_without_loss() {
    for kind in KINDS {
        let mut job = job(kind);
        let refuses = |job: &mut Job| job.service.set_token("another");
        assert_eq!(
            job.live_through(SOME_REQUESTS, refuses, "trying again in 30 s"),
            Outcome::Ended(77),
            "{}",
            job.last_log()
        );
        assert!(job.last_log().contains("get a new token"), "{}", job.last_log());
        assert!(job.look().has_page());
        job.service.set_token(TOKEN);
        assert_eq!(job.finish(), Outcome::Ended(0), "{}", job.last_log());
        job.is_whole();
    }
}
