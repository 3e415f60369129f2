//! The lives of a job: one process after another.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use chrono::TimeDelta;

use super::{Job, Kind};
use crate::{
    moment::{Moment, Watch},
    tally::Tally,
};

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(120);

/// The way in which a life is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Kill,
    Interrupt,
    Terminate,
}

impl Signal {
    /// The exit code of a program that it has ended.
    pub(crate) fn code(self) -> i32 {
        match self {
            Self::Kill => 137,
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// The end of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// By a signal that it couldn't or didn't handle.
    Killed(i32),
    Ended(i32),
}

impl Outcome {
    fn of(status: ExitStatus) -> Self {
        status.code().map_or_else(|| Self::Killed(status.signal().unwrap_or_default()), Self::Ended)
    }
}

impl Job {
    /// Runs it until the moment, and ends it then, unless it ends before.
    pub(crate) fn live(&mut self, moment: Moment, signal: Signal) -> Outcome {
        let mut log = self.begin_life(&format!("{signal:?} at {moment:?}"));
        let mut child = spawn(self.command(), &log);
        let served = |job: &Self| job.service.counts().requests;
        let mut watch = Watch::new(moment, served(self), &self.output_folder());
        let strike = self.rng.u64(0..30);
        let mut has_struck = false;
        let goal = matches!(moment, Moment::All).then(|| self.expected());
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            let is_over = watch.is_over(served(self), &self.state(), &self.output_folder(), &mut self.pace);
            if is_over || goal.as_ref().is_some_and(|goal| self.has_all(goal)) {
                send(signal, &mut child);
                break wait(&mut child);
            }
            if !has_struck && watch.served() >= strike {
                has_struck = true;
                self.strike();
            }
            if began.elapsed() > DEADLINE {
                child.kill().unwrap();
                panic!("the program didn't end; {}", self.missing());
            }
            if watch.is_near() {
                thread::yield_now();
            } else {
                thread::sleep(Duration::from_micros(if goal.is_some() { 5000 } else { 200 }));
            }
        };
        let outcome = Outcome::of(status);
        let took = began.elapsed().as_millis();
        writeln!(log, "--- {outcome:?} after {} requests, {took} ms", watch.served()).unwrap();
        outcome
    }

    /// Runs it until it ends, or prints this text, after which it is stopped. An event happens after some requests.
    pub(crate) fn live_through(
        &mut self,
        requests: u64,
        happens: impl FnOnce(&mut Self),
        word: &str,
    ) -> Outcome {
        let before = self.service.counts().requests;
        let mut happens = Some(happens);
        if let Some(happens) = happens.take_if(|_| requests == 0) {
            happens(self);
        }
        let mut log = self.begin_life("nothing");
        let mut child = spawn(self.command(), &log);
        let began = Instant::now();
        let mut is_stopped = false;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if happens.is_some() && self.service.counts().requests >= before + requests {
                happens.take().unwrap()(self);
            }
            if !is_stopped && self.last_log().contains(word) {
                send(Signal::Terminate, &mut child);
                is_stopped = true;
            }
            if began.elapsed() > DEADLINE {
                child.kill().unwrap();
                panic!("the program didn't end");
            }
            thread::sleep(Duration::from_millis(1));
        };
        let outcome = Outcome::of(status);
        writeln!(log, "--- {outcome:?}").unwrap();
        outcome
    }

    fn begin_life(&mut self, what: &str) -> File {
        self.lives += 1;
        let mut log = OpenOptions::new().append(true).create(true).open(self.log_path(self.lives)).unwrap();
        writeln!(log, "{what}").unwrap();
        log
    }

    /// Lets it work until it has all that there is. Returns how it ended.
    pub(crate) fn finish(&mut self) -> Outcome {
        if self.kind != Kind::Follow {
            return self.live(Moment::Never, Signal::Kill);
        }
        self.service.set_now(self.range.1 + TimeDelta::hours(1));
        // One that waits for its service to recover is stopped too, and run again.
        match self.live(Moment::All, Signal::Terminate) {
            Outcome::Ended(143) if self.has_all(&self.expected()) => Outcome::Ended(0),
            Outcome::Ended(143) => Outcome::Ended(75),
            outcome => outcome,
        }
    }

    /// Kills it up to this number of times, each time within its first `span` requests, and then lets it end.
    #[track_caller]
    pub(crate) fn survive(&mut self, kills: usize, span: u64, tally: &mut Tally) {
        let mut killed = 0;
        for life in 0.. {
            let outcome = if killed < kills {
                let moment = Moment::draw(&mut self.rng, span);
                self.live(moment, Signal::Kill)
            } else {
                self.finish()
            };
            match outcome {
                Outcome::Killed(9) => {
                    killed += 1;
                    let remains = self.look();
                    if self.rng.u8(0..4) == 0 && remains.has_state() {
                        self.verify(false);
                    }
                    tally.killed(&remains);
                    if self.rng.u8(0..4) == 0 {
                        self.rename();
                    }
                }
                Outcome::Ended(0) => break,
                Outcome::Ended(code) => {
                    self.excuse(code).unwrap();
                    self.look();
                    tally.given_up += 1;
                }
                outcome @ Outcome::Killed(_) => panic!("{outcome:?}"),
            }
            assert!(life < 20 * kills + 100, "it never ends");
            self.strike();
        }
        self.is_whole();
        tally.jobs += 1;
        tally.reauthorized += self.reauthorized;
    }
}

fn spawn(mut command: Command, log: &File) -> Child {
    command.stdout(log.try_clone().unwrap()).stderr(log.try_clone().unwrap());
    command.spawn().unwrap()
}

fn send(signal: Signal, child: &mut Child) {
    let name = match signal {
        Signal::Kill => return child.kill().unwrap(),
        Signal::Interrupt => "-INT",
        Signal::Terminate => "-TERM",
    };
    // One that has just ended is still there, since nobody has waited for it.
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

fn wait(child: &mut Child) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if began.elapsed() > DEADLINE {
            child.kill().unwrap();
            panic!("the program didn't end after a signal");
        }
        thread::sleep(Duration::from_micros(500));
    }
}
