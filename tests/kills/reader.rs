//! A follower that writes into a pipe, and a reader of lines that is slower than it: a full pipe stops the follower
//! in the middle of a line, and so it is killed or terminated there.

use std::{
    collections::HashSet,
    io::{PipeReader, Read, pipe},
    process::Command,
    sync::{Arc, Condvar, Mutex},
    thread,
};

use chrono::TimeDelta;
use fastrand::Rng;
use webex_events::{Event, sandbox::Sandbox};

use crate::{
    seeds,
    support::{Running, Service, TOKEN, folder, program, until},
    weather::period,
};

/// Number of lives, the last of which is not stopped before everything has arrived.
const LIVES: u32 = 12;
/// Hours that pass for each life. Their events are longer than a pipe, which holds 64 KiB.
const HOURS: i64 = 3;
/// A follower that has sent this number of requests has no more to write.
const IDLE: u64 = 60;

/// The bytes that the reader may read and has read in one life.
#[derive(Default)]
struct Reading {
    allowed: usize,
    bytes: Vec<u8>,
}

#[derive(Clone, Default)]
struct SlowReader(Arc<(Mutex<Reading>, Condvar)>);

impl SlowReader {
    fn allow(&self, bytes: usize) {
        self.0.0.lock().unwrap().allowed = bytes;
        self.0.1.notify_all();
    }

    /// Reads as much as it may, to the end of the pipe.
    fn read(&self, mut pipe: PipeReader) {
        let mut buffer = [0; 4096];
        loop {
            let reading = self.0.0.lock().unwrap();
            let reading =
                self.0.1.wait_while(reading, |reading| reading.bytes.len() >= reading.allowed).unwrap();
            let most = (reading.allowed - reading.bytes.len()).min(buffer.len());
            drop(reading);
            match pipe.read(&mut buffer[..most]).unwrap() {
                0 => return,
                read => self.0.0.lock().unwrap().bytes.extend_from_slice(&buffer[..read]),
            }
        }
    }

    fn length(&self) -> usize {
        self.0.0.lock().unwrap().bytes.len()
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.0.lock().unwrap().bytes.clone()
    }
}

/// The ids of the events in whole lines. Every other line must be blank or the beginning of an event.
fn ids(service: &Sandbox, bytes: &[u8]) -> HashSet<String> {
    let mut ids = HashSet::new();
    let (whole, _) = bytes.split_at(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
    for line in whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let event = str::from_utf8(line).ok().and_then(|line| Event::from_json(line).ok());
        if let Some(event) = event {
            assert_eq!(service.event_text(event.id()).map(String::into_bytes).as_deref(), Some(line));
            ids.insert(event.id().to_owned());
        } else {
            let mut is_beginning = false;
            service.for_each_item(|item| is_beginning |= item.as_bytes().starts_with(line));
            assert!(is_beginning, "two lines in one: {}", String::from_utf8_lossy(line));
        }
    }
    ids
}

#[test]
fn a_reader_of_lines_gets_every_event_over_stops_in_the_middle_of_a_line() {
    let mut rng = Rng::with_seed(seeds::first());
    let (start, end) = period();
    let service = Service::start(
        Sandbox::builder().events(1500).seed(rng.u64(..)).period(start, end).now(start + TimeDelta::hours(1)),
    );
    let folder = folder();
    let command = || -> Command {
        let mut command = program(["follow", "-o", "-", "--checkpoint", "position.json", "--every", "0s"]);
        command.args(["--from", "2026-01-05", "--settle", "10m", "--base-url", service.base_url()]);
        command.current_dir(&folder).env("WEBEX_ACCESS_TOKEN", TOKEN);
        command
    };
    let (mut stream, mut in_mid_line) = (Vec::new(), 0);
    for life in 1..=LIVES {
        service.set_now((service.now() + TimeDelta::hours(HOURS)).min(end));
        let reader = SlowReader::default();
        let allowed = if life == LIVES { usize::MAX } else { rng.usize(1..150_000) };
        reader.allow(allowed);
        let (output, input) = pipe().unwrap();
        let thread = thread::spawn({
            let reader = reader.clone();
            move || reader.read(output)
        });
        let before = service.counts().requests;
        let mut command = command();
        command.stdout(input);
        let running = Running::start(command);
        if life == LIVES {
            let missing: HashSet<_> = service.event_ids().into_iter().collect();
            let missing: HashSet<_> = missing.difference(&ids(&service, &stream)).cloned().collect();
            until("all that is missing", || ids(&service, &reader.bytes()).is_superset(&missing));
        } else {
            let is_idle = || service.counts().requests >= before + IDLE;
            until("the amount after which it is stopped", || reader.length() >= allowed || is_idle());
        }
        if life % 3 == 0 {
            running.signal("TERM");
            reader.allow(usize::MAX);
            assert_eq!(running.end().code, 143);
        } else {
            running.kill();
            reader.allow(usize::MAX);
        }
        thread.join().unwrap();
        let bytes = reader.bytes();
        in_mid_line += usize::from(bytes.last().is_some_and(|byte| *byte != b'\n'));
        stream.extend(bytes);
    }
    assert_eq!(ids(&service, &stream), service.event_ids().into_iter().collect());
    assert!(in_mid_line >= 3, "it was stopped in the middle of a line only {in_mid_line} times");
}
