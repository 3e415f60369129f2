//! How an export ended, and what it came to.

use std::io::ErrorKind;

use crate::{
    error::{Came, Code, Failure},
    run::{summary::Report, tally::Tally, walk::Halt},
};

/// What an export that began came to, whichever way it ended.
pub(crate) struct Outcome {
    pub(crate) report: Report,
    pub(crate) result: Result<(), Failure>,
}

/// What to do to go on.
pub(crate) const AGAIN: &str = "give the same command again to go on";

/// Why an export that halted fails, if that is a failure.
pub(crate) fn failure(halt: Halt, tally: &Tally, can_go_on: bool) -> Result<(), Failure> {
    let far = tally.far();
    let has_events = tally.totals.events > 0;
    match halt {
        Halt::Service(error) => Err(Failure::of(&error, Some(Came { far: &far, with_events: has_events }))),
        // Whoever read along has had enough.
        Halt::Output(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Halt::Output(error) => Err(Failure::new(
            Code::Output,
            format!(
                "{} can't be written: {error}; {far}; make room, or choose another place with -o",
                tally.name
            ),
        )),
        Halt::Broken => Err(Failure::new(Code::Output, format!("{} can't be written; {far}", tally.name))),
        Halt::Signal(code) if can_go_on && has_events => Err(Failure::new(code, format!("{far}; {AGAIN}"))),
        Halt::Signal(code) => Err(Failure::new(code, far)),
    }
}
