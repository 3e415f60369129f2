//! The cost of making the files of an export into a folder durable: the same export to a disk, where each
//! commit waits for the disk, and to a folder in memory, where none does.
//!
//! Slices of 6 hours with 10,000 events each, four of them concurrently; the program runs as a process of its own
//! against a sandbox in this one.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints and may panic")]

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use chrono::{DateTime, TimeDelta, Utc};
use webex_events::sandbox::Sandbox;

mod support;

use support::{Service, compare, print};

const SLICES: i32 = 40;
const EVENTS: usize = 10_000 * SLICES as usize;
const ROUNDS: usize = 7;
const PROGRAM: &str = env!("CARGO_BIN_EXE_webex-events");

fn export(service: &Service, range: (DateTime<Utc>, DateTime<Utc>), parent: &Path) -> f64 {
    let folder = tempfile::tempdir_in(parent).unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["export", "--quiet", "--slice", "6h", "--base-url", &service.url]);
    command.args(["--from", &range.0.to_rfc3339(), "--to", &range.1.to_rfc3339(), "-o"]);
    command.arg(folder.path().join("out")).env("WEBEX_ACCESS_TOKEN", &service.token);
    let start = Instant::now();
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
    let seconds = start.elapsed().as_secs_f64();
    let ledger = fs::read_to_string(folder.path().join("out/ledger.json")).unwrap();
    assert_eq!(ledger.matches("\"stage\":\"complete\"").count(), usize::try_from(SLICES).unwrap());
    seconds
}

fn main() {
    let memory = Path::new("/dev/shm");
    if !memory.is_dir() {
        println!("this system has no folder in memory to compare with");
        return;
    }
    let end = "2026-01-31T00:00:00Z".parse::<DateTime<Utc>>().unwrap();
    let range = (end - TimeDelta::hours(6) * SLICES, end);
    let service = Service::start(Sandbox::builder().events(EVENTS).period(range.0, range.1));
    let disk = env::temp_dir();
    let [in_memory, on_disk] =
        compare(ROUNDS, 0, |way| export(&service, range, if way == 0 { memory } else { &disk }));
    println!("{EVENTS} events in {SLICES} slices of 6 hours, medians of {ROUNDS} rounds");
    print("into memory, nothing to wait for", in_memory, None);
    print("onto the disk, every commit synced", on_disk, Some(1.10));
}
