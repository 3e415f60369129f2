//! `StartError`: the reason why a sandbox couldn't start.

use std::{error::Error as StdError, fmt, io};

use crate::error::Error;

/// The reason why a sandbox couldn't start, as [`SandboxBuilder::try_start`](super::SandboxBuilder::try_start)
/// returns it. It converts into [`Error::Config`].
#[derive(Debug)]
pub struct StartError {
    kind: StartErrorKind,
    reason: Box<str>,
    source: Option<io::Error>,
}

/// The setting that a sandbox couldn't start with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StartErrorKind {
    /// The address isn't a loopback address.
    Address,
    /// The system doesn't permit listening on the address, for example because another process does.
    Listen,
    /// The period is empty.
    Period,
    /// There are too many events, or they can't be generated.
    Events,
}

impl StartError {
    pub(super) fn new(kind: StartErrorKind, reason: impl Into<Box<str>>) -> Self {
        Self { kind, reason: reason.into(), source: None }
    }

    pub(super) fn listen(reason: impl Into<Box<str>>, source: io::Error) -> Self {
        Self { kind: StartErrorKind::Listen, reason: reason.into(), source: Some(source) }
    }

    /// Returns the setting that is wrong.
    #[must_use]
    pub fn kind(&self) -> StartErrorKind {
        self.kind
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl StdError for StartError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Self {
        match error.source {
            Some(source) => Self::config(format!("{}: {source}", error.reason)),
            None => Self::Config(error.reason),
        }
    }
}
