//! Signals that the program handles: it commits everything, and prints how to resume.

use fastrand::Rng;

use crate::{
    export, follow,
    job::{Fate, Job, Kind, Signal},
    moment::Moment,
    seeds,
    weather::{Fault, Weather},
};

/// The results of interrupted runs.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Runs that handled a signal.
    pub(crate) stopped: usize,
    /// Those of them that had something to resume.
    with_events: usize,
    /// Lives that a signal ended before they handled signals.
    unheard: usize,
}

impl Answers {
    pub(crate) fn add(&mut self, other: &Self) {
        self.stopped += other.stopped;
        self.with_events += other.with_events;
        self.unheard += other.unheard;
    }
}

impl Job {
    /// Stops it up to this number of times, and then lets it end.
    #[track_caller]
    pub(crate) fn obey(&mut self, signals: usize, answers: &mut Answers) {
        for life in 0.. {
            let signal = if self.rng.bool() { Signal::Interrupt } else { Signal::Terminate };
            let before = self.service.counts().requests;
            let fate = if life < signals {
                let moment = Moment::draw(&mut self.rng, 14);
                self.live(moment, signal)
            } else {
                self.finish()
            };
            let remains = self.look();
            match fate {
                Fate::Ended(0) => break,
                Fate::Ended(code) if code == signal.code() => {
                    answers.stopped += 1;
                    let said = self.last_said();
                    let events: u64 = remains.entries().iter().map(|entry| entry.events).sum();
                    let can_resume = events > 0 || (self.kind == Kind::Follow && remains.has_state());
                    answers.with_events += usize::from(events > 0);
                    let words = if can_resume { "give the same command again to resume" } else { "" };
                    assert!(said.contains(words), "{events} events, and it says: {said}");
                    if can_resume && self.kind != Kind::Follow {
                        let events = if events == 1 {
                            "1 event is".to_owned()
                        } else {
                            format!("{events} events are")
                        };
                        assert!(said.contains(&events), "{events}, and it says: {said}");
                    }
                    if remains.has_state() {
                        self.verify(false);
                    }
                }
                Fate::Ended(code) => self.excuse(code).unwrap(),
                Fate::Killed(number) => {
                    assert_eq!(number, signal.code() - 128);
                    assert_eq!(self.service.counts().requests, before, "it worked and didn't listen");
                    answers.unheard += 1;
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
    let mut answers = Answers::default();
    for seed in first.. {
        // Don't count a life that is killed before it handles signals.
        let weather =
            Weather::draw(&mut Rng::with_seed(!seed)).without(Fault::Refusals).without(Fault::Breaks);
        let mut job = match seed % 3 {
            0 => export::job(Kind::Folder, seed, weather, 700),
            1 => export::job(Kind::File, seed, weather, 700),
            _ => follow::job(seed, weather, 700),
        };
        job.obey(5, &mut answers);
        if answers.stopped >= signals {
            break;
        }
        assert!(seed - first < 10 + signals as u64, "it hardly ever answers: {answers:?}");
    }
    eprintln!("{answers:?}");
    assert!(answers.with_events * 2 >= answers.stopped, "{answers:?}");
}
