//! Signals that the program handles: it commits everything, and prints how to resume.

use fastrand::Rng;

use crate::{
    export, follow,
    job::{Job, Kind, Outcome, Signal},
    moment::Moment,
    seeds,
    weather::{Fault, Weather},
};

/// The results of interrupted runs.
#[derive(Debug, Default)]
pub(crate) struct Stops {
    /// Runs that handled a signal.
    pub(crate) stopped: usize,
    /// Stops after which there was something to resume.
    with_events: usize,
    /// Lives that a signal ended before they handled signals.
    too_early: usize,
}

impl Stops {
    pub(crate) fn add(&mut self, other: &Self) {
        self.stopped += other.stopped;
        self.with_events += other.with_events;
        self.too_early += other.too_early;
    }
}

impl Job {
    /// Stops it up to this number of times, and then lets it end.
    #[track_caller]
    pub(crate) fn obey(&mut self, signals: usize, stops: &mut Stops) {
        for life in 0.. {
            let is_interrupt = self.rng.bool() && !ignores_interrupts();
            let signal = if is_interrupt { Signal::Interrupt } else { Signal::Terminate };
            let before = self.service.counts().requests;
            let outcome = if life < signals {
                let moment = Moment::draw(&mut self.rng, 14);
                self.live(moment, signal)
            } else {
                self.finish()
            };
            let remains = self.look();
            match outcome {
                Outcome::Ended(0) => break,
                Outcome::Ended(code) if code == signal.code() => {
                    stops.stopped += 1;
                    let log = self.last_log();
                    let events: u64 = remains.entries().iter().map(|entry| entry.events).sum();
                    let can_resume = events > 0 || (self.kind == Kind::Follow && remains.has_state());
                    stops.with_events += usize::from(events > 0);
                    let words = if can_resume { "give the same command again to resume" } else { "" };
                    assert!(log.contains(words), "{events} events, and its output is: {log}");
                    if can_resume && self.kind != Kind::Follow {
                        let events = if events == 1 {
                            "1 event is".to_owned()
                        } else {
                            format!("{} events are", grouped(events))
                        };
                        assert!(log.contains(&events), "{events}, and its output is: {log}");
                    }
                    if remains.has_state() {
                        self.verify(false);
                    }
                }
                Outcome::Ended(code) => self.excuse(code).unwrap(),
                Outcome::Killed(number) => {
                    assert_eq!(number, signal.code() - 128);
                    assert_eq!(self.service.counts().requests, before, "it worked and didn't listen");
                    stops.too_early += 1;
                }
            }
            assert!(life < 20 * signals + 100, "it never ends");
            self.strike();
        }
        assert_eq!(self.reauthorized, 0, "a program that handles a signal loses no token");
        self.is_whole();
    }
}

#[test]
fn a_signal_at_any_instant_commits_everything_and_prints_how_to_resume() {
    let (first, signals) = (seeds::first(), seeds::kills(24));
    let mut stops = Stops::default();
    for seed in first.. {
        // Don't count a life that is killed before it handles signals.
        let weather =
            Weather::draw(&mut Rng::with_seed(!seed)).without(Fault::Refusals).without(Fault::Breaks);
        let mut job = match seed % 3 {
            0 => export::job(Kind::Folder, seed, weather, 700),
            1 => export::job(Kind::File, seed, weather, 700),
            _ => follow::job(seed, weather, 700),
        };
        job.obey(5, &mut stops);
        if stops.stopped >= signals {
            break;
        }
        assert!(seed - first < 10 + signals as u64, "it is hardly ever stopped: {stops:?}");
    }
    eprintln!("{stops:?}");
    assert!(stops.with_events * 2 >= stops.stopped, "{stops:?}");
}

/// Returns true if this process ignores SIGINT, as one in the background of a script does. A program that it starts ignores
/// it too until it handles signals, so that an early one is lost.
fn ignores_interrupts() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // SIGINT has the number 2, and the lowest bit is that of number 1.
    mask.is_some_and(|mask| mask & 0b10 != 0)
}

/// A number as the program shows it to people: in groups of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}
