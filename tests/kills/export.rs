//! Exports: a file a slice into a folder, and one walk into one file.

use chrono::TimeDelta;
use fastrand::Rng;

use crate::{
    job::{Builder, Job, Kind},
    tally,
    weather::{Fault, Weather, period},
};

/// The export of this seed.
pub(crate) fn job(kind: Kind, seed: u64, weather: Weather, events: usize) -> Job {
    let mut rng = Rng::with_seed(seed);
    let (start, end) = period();
    // Within the service's events, where nothing hides how a border is read.
    let is_within = kind == Kind::Folder && !weather.has(Fault::Items);
    let margin = TimeDelta::minutes(if is_within { 97 } else { -97 });
    let (codec, compress) = codec(&mut rng);
    let mut arguments = vec!["--page-size".to_owned(), rng.u16(12..28).to_string()];
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
    add(compress);
    add(&["--commit-every", commit_every(&mut rng)]);
    if rng.u8(0..3) > 0 && !weather.has(Fault::Cursors) {
        // It is given up at the first fault, and run again. A service that forgets its place in between
        // would let it begin anew each time.
        add(&["--attempts", "1"]);
    }
    if kind == Kind::Folder {
        add(&["--slice", ["3h", "5h", "7h", "12h"][rng.usize(0..4)]]);
        add(&["--concurrency", ["1", "2", "3", "4", "6"][rng.usize(0..5)]]);
    } else {
        add(&["--prefetch", ["0", "1", "3"][rng.usize(0..3)]]);
    }
    let service = weather.service(&mut rng, events, (start, end));
    let range = (start + margin, end - margin);
    Job::new(kind, seed, weather, Builder { rng, service, range, codec, arguments })
}

/// Mostly after each page, so that there is something to go on with: a life lasts for some of them.
pub(crate) fn commit_every(rng: &mut Rng) -> &'static str {
    ["0s", "0s", "0s", "0s", "1s"][rng.usize(0..5)]
}

pub(crate) fn codec(rng: &mut Rng) -> (&'static str, &'static [&'static str]) {
    match rng.u8(0..4) {
        0 => ("gzip", &["--compress", "gzip"]),
        1 => ("zstd", &["--compress", "zstd"]),
        _ => ("none", &[]),
    }
}

#[test]
fn into_a_folder_each_event_comes_once_over_kills() {
    tally::run(|seed, weather| job(Kind::Folder, seed, weather, 700));
}

#[test]
fn into_a_file_each_event_comes_once_over_kills() {
    tally::run(|seed, weather| job(Kind::File, seed, weather, 700));
}
