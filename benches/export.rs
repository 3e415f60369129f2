//! The program's export into a file, end to end, against reading the same events with the library; and
//! the memory of both, for a short list and a long one.
//!
//! Both run as processes of their own, on one thread, against a sandbox in this one.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints and may panic")]

use std::{
    env, fs,
    hint::black_box,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use futures::TryStreamExt;
use tokio::runtime::Builder;
use webex_events::{Client, ListEvents, sandbox::Sandbox};

mod support;

use support::{Service, compare, print};

const EVENTS: usize = 200_000;
const ROUNDS: usize = 7;
const PROGRAM: &str = env!("CARGO_BIN_EXE_webex-events");
/// The argument with which this program starts itself.
const ITERATE: &str = "iterate";

/// Reads all events, and prints the peak of the memory.
fn iterate(url: &str) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let token = env::var("WEBEX_ACCESS_TOKEN").unwrap();
    let client = Client::builder().base_url(url).token(token).build().unwrap();
    runtime.block_on(async {
        let mut events = client.list(ListEvents::new());
        while let Some(event) = events.try_next().await.unwrap() {
            black_box(event.raw());
        }
    });
    println!("{}", peak(Path::new("/proc/self/status")).unwrap_or(0));
}

/// The peak of a process's memory so far, in KiB, if the system tells it.
fn peak(status: &Path) -> Option<u64> {
    let status = fs::read_to_string(status).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

fn iterating(service: &Service) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([ITERATE, &service.url]).env("WEBEX_ACCESS_TOKEN", &service.token);
    command
}

fn exporting(service: &Service, to: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["export", "--quiet", "--base-url", &service.url, "-o"]).arg(to);
    command.env("WEBEX_ACCESS_TOKEN", &service.token);
    command
}

/// In memory, if the system has a folder in memory, and on a disk: the time of the disk is not the
/// program's.
fn end_to_end(service: &Service) {
    let memory = Path::new("/dev/shm");
    let disk = env::temp_dir();
    if memory.is_dir() {
        end_to_end_in(service, memory, 1.25);
    }
    end_to_end_in(service, &disk, 1.5);
}

fn end_to_end_in(service: &Service, parent: &Path, target: f64) {
    let folder = tempfile::tempdir_in(parent).unwrap();
    let file = folder.path().join("events.ndjson");
    let [iterating, exporting] = compare(ROUNDS, 0, |way| {
        let mut command = if way == 0 { iterating(service) } else { exporting(service, &file) };
        let start = Instant::now();
        assert!(command.stdout(Stdio::null()).status().unwrap().success());
        let seconds = start.elapsed().as_secs_f64();
        if way == 1 {
            let lines = fs::read(&file).unwrap().split(|&byte| byte == b'\n').count() - 1;
            assert_eq!(lines, EVENTS);
            fs::remove_file(&file).unwrap();
        }
        seconds
    });
    println!("{EVENTS} events in pages of 1000 into {}, medians of {ROUNDS} rounds", parent.display());
    print("iterating", iterating, None);
    print("export -o FILE", exporting, Some(target));
}

fn memory() {
    println!("the most memory that iterating takes, pages of 1000");
    for events in [10_000, 100_000, 1_000_000] {
        let service = Service::start(Sandbox::builder().events(events));
        let output = iterating(&service).stderr(Stdio::inherit()).output().unwrap();
        let peak = String::from_utf8(output.stdout).unwrap();
        println!("  {events:>9} events {:9.1} MiB", peak.trim().parse::<f64>().unwrap() / 1024.0);
    }
}

fn main() {
    let args: Vec<_> = env::args().collect();
    if let [_, what, url] = &args[..]
        && what == ITERATE
    {
        return iterate(url);
    }
    end_to_end(&Service::start(Sandbox::builder().events(EVENTS)));
    memory();
}
