//! The reasons for which a run ends before everything was read.

use std::io;

use webex_events::Error;

use crate::error::{Code, Failure, reason};

#[derive(Debug)]
pub(crate) enum StopReason {
    /// An error of the service that stops the run.
    Service(Error),
    /// The output can't be written.
    Output(io::Error),
    /// The writer has ended. Its result has the reason.
    WriterGone,
    Signal(Code),
    /// Anything else.
    Failed(Failure),
}

impl From<io::Error> for StopReason {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl StopReason {
    /// The failure of a run that ended before anything was read.
    pub(crate) fn at_start(self) -> Failure {
        match self {
            Self::Service(error) => Failure::from(error),
            Self::Output(error) => Failure::new(Code::Output, reason(&error)),
            Self::WriterGone => Failure::new(Code::Output, "the output can't be written"),
            Self::Signal(code) => Failure::new(code, "stopped before the first response"),
            Self::Failed(failure) => failure,
        }
    }
}
