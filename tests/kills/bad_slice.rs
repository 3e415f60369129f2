//! A slice that can't be read while the program is killed, and can be read in the end.

use chrono::{DateTime, TimeDelta, Utc};
use webex_events::sandbox::{Response, When};

use crate::{
    export,
    job::{Job, Kind, Outcome, Signal},
    moment::Moment,
    tally::Tally,
    weather::{Weather, period},
};

/// Number of kills while the slice can't be read, and after that.
const KILLS: (usize, usize) = (6, 2);

/// The bounds of the slice that can't be read.
fn bad() -> (DateTime<Utc>, DateTime<Utc>) {
    let start = period().0 + TimeDelta::hours(15);
    (start, start + TimeDelta::hours(3))
}

/// An export in slices of three hours, one of which gets this response.
fn job(seed: u64, response: Response) -> Job {
    let mut job = export::job(Kind::Folder, seed, Weather::fine(), 700);
    job.set("--slice", "3h");
    job.set("--attempts", "1");
    let middle = bad().0 + TimeDelta::minutes(90);
    job.service.fail(When::always().covering(middle), response);
    job
}

/// That all slices but the one are complete, and that the program reports it.
#[track_caller]
fn has_all_others(job: &Job) {
    let expected = job.expected();
    let (start, end) = bad();
    let others = expected.events.iter().filter(|(created, _)| !(start..end).contains(created)).count();
    let remains = job.remains();
    let complete: u64 =
        remains.entries().iter().filter(|entry| entry.stage == "complete").map(|entry| entry.events).sum();
    assert_eq!(complete, others as u64, "{}", job.last_log());
    assert!(others < expected.events.len());
    let line = "the slice from 2026-01-05T15:00:00Z to 2026-01-05T18:00:00Z can't be read";
    assert!(job.last_log().contains(line), "{}", job.last_log());
}

#[test]
fn a_slice_that_can_not_be_read_keeps_no_other_event_back_over_kills() {
    let undecodable = Response::status(200).body("text/html", "<html>a login page</html>");
    let failing = Response::status(503).retry_after(0);
    for (seed, response, code) in [(1, Response::status(400), 69), (2, undecodable, 69), (3, failing, 75)] {
        let mut job = job(seed, response);
        let mut killed = 0;
        loop {
            let moment = if killed < KILLS.0 { Moment::draw(&mut job.rng, 8) } else { Moment::Never };
            let outcome = job.live(moment, Signal::Kill);
            job.look();
            match outcome {
                Outcome::Killed(_) => killed += 1,
                Outcome::Ended(ended) => {
                    assert_eq!(ended, code, "{}", job.last_log());
                    break;
                }
            }
        }
        has_all_others(&job);
        // Nothing else is requested any more, so that a kill hits the slice alone.
        assert_eq!(job.live(Moment::Never, Signal::Kill), Outcome::Ended(code), "{}", job.last_log());
        has_all_others(&job);
        job.service.clear_faults();
        job.survive(KILLS.1, 3, &mut Tally::default());
    }
}
