//! A follower. Time passes and late events come while it runs and between its lives.

use std::{
    collections::HashSet,
    fs::{self, File},
};

use chrono::TimeDelta;
use fastrand::Rng;
use webex_events::{Event, sandbox::Sandbox};

use crate::{
    export::{codec, commit_every},
    job::{Builder, Job, Kind},
    seeds,
    support::{Running, Service, TOKEN, folder, program, until},
    tally::{self, Tally},
    weather::{Fault, Weather, period},
};

/// The maximum delay of events, in minutes.
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

/// Lets time pass, and adds some late events.
pub(crate) fn pass_time(rng: &mut Rng, service: &Sandbox) {
    // The service's time has whole seconds.
    let now = service.now() + TimeDelta::seconds(rng.i64(0..3600));
    service.set_now(now);
    let newest = service.event_ids().first().and_then(|id| service.event_text(id));
    let newest = newest.and_then(|text| Event::from_json(text).ok()).map_or(now, |event| event.created());
    let earliest = now - TimeDelta::minutes(SETTLE - 1);
    for _ in 0..rng.u8(0..4) {
        let created = match rng.u8(0..4) {
            // In the same millisecond as another event, or at the current instant.
            0 if newest >= earliest => newest,
            1 => now - TimeDelta::milliseconds(rng.i64(0..2)),
            _ => now - TimeDelta::milliseconds(rng.i64(1..(SETTLE - 1) * 60_000)),
        };
        service.push(created);
    }
}

#[test]
fn a_follower_has_each_event_once_after_kills() {
    tally::run(|seed, weather| job(seed, weather, 700));
}

#[test]
fn several_lists_of_a_follower_have_each_event_once_after_kills() {
    // A round has five lists here, so that kills come later than in the other tests.
    for seed in [1, 2] {
        let weather = Weather::draw(&mut Rng::with_seed(seed));
        job(seed, weather, 700).split().survive(8, 40, &mut Tally::default());
    }
}

#[test]
fn a_date_that_is_wrong_now_and_then_loses_a_follower_nothing_over_kills() {
    for seed in [1, 2] {
        job(seed, Weather::of(&[Fault::Dates]), 400).survive(6, 14, &mut Tally::default());
    }
}

/// On stdout, events that were being written at a kill may be repeated, and none is missing.
#[test]
fn a_follower_on_stdout_has_each_event_at_least_once_after_kills() {
    let mut rng = Rng::with_seed(seeds::first());
    let (start, end) = period();
    let sandbox = Weather::fine().service(&mut rng, 400, (start, end)).now(start + TimeDelta::hours(2));
    let service = Service::start(sandbox);
    let folder = folder();
    let mut seen = HashSet::new();
    for life in 0.. {
        let out = folder.path().join(format!("out.{life}"));
        let mut command =
            program(["follow", "-o", "-", "--checkpoint", "checkpoint.json", "--page-size", "10"]);
        command.args(["--from", "2026-01-05", "--every", "0s", "--settle", &format!("{SETTLE}m")]);
        command.args(["--base-url", service.base_url()]).env("WEBEX_ACCESS_TOKEN", TOKEN);
        command.current_dir(&folder).stdout(File::create(&out).unwrap());
        let running = Running::start(command);
        let requests = service.counts().requests + rng.u64(0..20);
        let is_last = life >= 12;
        let lines = || String::from_utf8_lossy(&fs::read(&out).unwrap()).into_owned();
        until("the request after which it is killed", || {
            let has_all = || {
                let text = lines();
                service.event_ids().iter().all(|id| seen.contains(id) || text.contains(id.as_str()))
            };
            if is_last { has_all() } else { service.counts().requests >= requests }
        });
        running.kill();
        // The last line may be incomplete.
        let text = lines();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        // A run that resumes starts with an empty line.
        for line in whole.lines().filter(|line| !line.is_empty()) {
            let id = Event::from_json(line).unwrap().id().to_owned();
            assert_eq!(service.event_text(&id).unwrap(), line);
            seen.insert(id);
        }
        if is_last && service.event_ids().iter().all(|id| seen.contains(id)) {
            break;
        }
        if service.now() < end {
            pass_time(&mut rng, &service);
        }
    }
}
