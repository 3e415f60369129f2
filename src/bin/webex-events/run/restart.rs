//! Reactions to errors of the service, and how often: pure decisions.

use std::time::Duration;

use webex_events::{Error, LinkErrorKind, TransportErrorKind};

/// A list or a slice is read from its beginning at most so many times in a run because its cursor is gone.
const RESTARTS: u32 = 3;
/// After this number of slices in a row that failed for now, the service itself is taken for failed: reading on
/// would spend all attempts on each slice.
const FAILURES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What is done about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// The run ends.
    Stop,
    /// The list, or the slice that failed, is read from its beginning, over what was written of it.
    StartOver,
    /// The slice that failed is left out, and the others are read.
    SetAside,
    /// The same page is requested again after a pause.
    BackOff,
}

/// The page that a request was for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Position {
    /// The first page of a list.
    #[default]
    First,
    /// The page at a cursor that an earlier run has stored.
    Stored,
    /// A page after one of this run.
    Later,
}

/// An export of one list, which can start over if what was written can be taken back.
pub(crate) fn of_list(error: &Error, position: Position, restarts: u32, is_file: bool) -> Reaction {
    if is_file && restarts < RESTARTS && is_stale(error, position) {
        Reaction::StartOver
    } else {
        Reaction::Stop
    }
}

/// An export by slices. `is_first` until a page of any slice has come in this run; `failures` is the number of
/// slices that were set aside since the last page.
pub(crate) fn of_slice(
    error: &Error,
    position: Position,
    restarts: u32,
    is_first: bool,
    failures: u32,
) -> Reaction {
    if restarts < RESTARTS && is_stale(error, position) {
        Reaction::StartOver
    } else if concerns_all(error, is_first) || (error.is_transient() && failures >= FAILURES) {
        Reaction::Stop
    } else {
        Reaction::SetAside
    }
}

/// A follower, which waits out everything except a refusal and a wrong request.
pub(crate) fn of_follower(error: &Error, position: Position) -> Reaction {
    let passes =
        error.is_transient() || matches!(error, Error::Decode(_) | Error::Link { .. } | Error::Cursor { .. });
    if passes || is_stale(error, position) { Reaction::BackOff } else { Reaction::Stop }
}

/// Whether the service doesn't know the cursor any more, so that it helps to read from the beginning.
fn is_stale(error: &Error, position: Position) -> bool {
    match error {
        Error::Cursor { .. } => true,
        // The cursor is of the same service at another port, or of a sandbox that is gone.
        Error::Link { kind: LinkErrorKind::CrossOrigin, .. } => position == Position::Stored,
        Error::Api(response) => position == Position::Later && matches!(response.status(), 400 | 404 | 410),
        _ => false,
    }
}

/// Whether every other slice would fail in the same way.
fn concerns_all(error: &Error, is_first: bool) -> bool {
    match error {
        Error::Config(_) | Error::Query(_) | Error::Store { .. } => true,
        // A pause that the service asked for holds for all requests, and is longer than this run may wait.
        _ if error.is_auth() || error.is_rate_limited() => true,
        // So does the way to the service.
        Error::Transport(error)
            if matches!(
                error.kind(),
                TransportErrorKind::Dns
                    | TransportErrorKind::Refused
                    | TransportErrorKind::Tls
                    | TransportErrorKind::Proxy
            ) =>
        {
            true
        }
        // A role or scope that is missing shows in the first response.
        _ => is_first && error.is_forbidden() && !error.is_beyond_retention(),
    }
}

/// The pauses of a follower: thirty seconds, doubled up to five minutes while no page comes in between.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    last: Option<(Duration, u64)>,
}

impl Pauses {
    /// The next pause, when `pages` have come in all. It is no shorter than the service asked for.
    pub(crate) fn next(&mut self, pages: u64, requested: Option<Duration>) -> Duration {
        let pause = match self.last {
            Some((pause, before)) if before == pages => (pause * 2).min(LONGEST_PAUSE),
            _ => FIRST_PAUSE,
        };
        self.last = Some((pause, pages));
        requested.map_or(pause, |requested| requested.max(pause))
    }
}

#[cfg(test)]
mod tests;
