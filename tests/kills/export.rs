//! Exports: one file per slice into a folder, and one list into one file.

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
    // The range starts and ends among the events, so that a wrong bound shows.
    let is_within = kind == Kind::Folder && !weather.has(Fault::Items);
    let margin = TimeDelta::minutes(if is_within { 97 } else { -97 });
    let (codec, compress) = codec(&mut rng);
    let mut arguments = vec!["--page-size".to_owned(), rng.u16(12..28).to_string()];
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
    add(compress);
    add(&["--commit-every", commit_every(&mut rng)]);
    if rng.u8(0..3) > 0 && !weather.has(Fault::Cursors) {
        // It stops at the first fault and runs again. A service that forgets its cursors in between
        // would make it restart each time.
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

/// The interval of commits: mostly after each page, because a life lasts only a few pages.
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
fn an_export_into_a_folder_has_each_event_once_after_kills() {
    tally::run(|seed, weather| job(Kind::Folder, seed, weather, 700));
}

#[test]
fn an_export_into_a_file_has_each_event_once_after_kills() {
    tally::run(|seed, weather| job(Kind::File, seed, weather, 700));
}

#[test]
fn several_lists_in_a_folder_have_each_event_once_after_kills() {
    tally::run(|seed, weather| job(Kind::Folder, seed, weather, 700).split());
}

#[test]
fn several_lists_in_a_file_have_each_event_once_after_kills() {
    tally::run(|seed, weather| job(Kind::File, seed, weather, 700).split());
}
