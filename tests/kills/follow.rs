//! A follower: time passes and events come late while it is killed, and while it is dead.

use chrono::TimeDelta;
use fastrand::Rng;
use webex_events::{Event, sandbox::Sandbox};

use crate::{
    export::{codec, commit_every},
    job::{Builder, Job, Kind},
    tally,
    weather::{Weather, period},
};

/// How late events may come, in minutes.
const SETTLE: i64 = 10;

/// The follower of this seed.
pub(crate) fn job(seed: u64, weather: Weather, events: usize) -> Job {
    let mut rng = Rng::with_seed(seed);
    let (start, end) = period();
    let (codec, compress) = codec(&mut rng);
    let mut arguments = vec!["--page-size".to_owned(), rng.u16(8..30).to_string()];
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
    add(compress);
    add(&["--commit-every", commit_every(&mut rng), "--every", "0s", "--settle", &format!("{SETTLE}m")]);
    let service = weather.service(&mut rng, events, (start, end)).now(start + TimeDelta::hours(2));
    let range = (start - TimeDelta::hours(1), end);
    Job::new(Kind::Follow, seed, weather, Builder { rng, service, range, codec, arguments })
}

/// Lets time pass, and some events come that were created within the time to settle.
pub(crate) fn pass_time(rng: &mut Rng, service: &Sandbox) {
    // Whole seconds are all that the service tells.
    let now = service.now() + TimeDelta::seconds(rng.i64(0..3600));
    service.set_now(now);
    let newest = service.event_ids().first().and_then(|id| service.event_text(id));
    let newest = newest.and_then(|text| Event::from_json(text).ok()).map_or(now, |event| event.created());
    let earliest = now - TimeDelta::minutes(SETTLE - 1);
    for _ in 0..rng.u8(0..4) {
        let created = match rng.u8(0..4) {
            // In the same millisecond as another, or at this very instant.
            0 if newest >= earliest => newest,
            1 => now - TimeDelta::milliseconds(rng.i64(0..2)),
            _ => now - TimeDelta::milliseconds(rng.i64(1..(SETTLE - 1) * 60_000)),
        };
        service.push(created);
    }
}

#[test]
fn followed_each_event_comes_once_over_kills() {
    tally::run(|seed, weather| job(seed, weather, 700));
}
