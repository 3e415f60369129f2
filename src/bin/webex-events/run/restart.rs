//! Reactions to errors of the service, and how often: pure decisions.

use std::time::Duration;

use webex_events::{Error, LinkErrorKind, TransportErrorKind};

/// The maximum number of times that a list or a slice restarts in a run because its cursor is no longer valid.
const RESTARTS: u32 = 3;
/// The number of slices in a row with a temporary failure after which the run stops: the service itself has failed, and
/// every other slice would spend all its attempts.
const FAILURES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The action after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// The run ends.
    Stop,
    /// The list, or the slice that failed, restarts from the beginning, and its output is replaced.
    StartOver,
    /// The slice that failed is skipped, and the others are read.
    SetAside,
    /// The same page is requested again after a pause.
    BackOff,
}

/// The page that a request was for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum PagePosition {
    /// The first page of a list.
    #[default]
    First,
    /// The page at a cursor that an earlier run has stored.
    Stored,
    /// A page after another page of this run.
    Later,
}

/// The reaction of an export of one list, which can restart only if its output is a file.
pub(crate) fn of_list(error: &Error, position: PagePosition, restarts: u32, is_file: bool) -> Reaction {
    if is_file && restarts < RESTARTS && is_stale(error, position) {
        Reaction::StartOver
    } else {
        Reaction::Stop
    }
}

/// The reaction of an export by slices. `is_first` is true until this run has received a page of any slice; `failures`
/// is the number of slices that were set aside since the last page.
pub(crate) fn of_slice(
    error: &Error,
    position: PagePosition,
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

/// The reaction of a follower, which waits and tries again after every error except a refusal and a wrong request.
pub(crate) fn of_follower(error: &Error, position: PagePosition) -> Reaction {
    let is_temporary =
        error.is_transient() || matches!(error, Error::Decode(_) | Error::Link { .. } | Error::Cursor { .. });
    if is_temporary || is_stale(error, position) { Reaction::BackOff } else { Reaction::Stop }
}

/// Returns true if the service no longer knows the cursor, so that reading from the beginning helps.
fn is_stale(error: &Error, position: PagePosition) -> bool {
    match error {
        Error::Cursor { .. } => true,
        // The cursor comes from the same service at another port, or from an earlier sandbox.
        Error::Link { kind: LinkErrorKind::CrossOrigin, .. } => position == PagePosition::Stored,
        Error::Api(response) => {
            position == PagePosition::Later && matches!(response.status(), 400 | 404 | 410)
        }
        _ => false,
    }
}

/// Returns true if every other slice would fail in the same way.
fn concerns_all(error: &Error, is_first: bool) -> bool {
    match error {
        Error::Config(_) | Error::Query(_) | Error::Store { .. } => true,
        // The service requested a pause of all requests that is longer than this run may wait.
        _ if error.is_auth() || error.is_rate_limited() => true,
        // The connection to the service is the same for all slices.
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
        // A missing role or scope shows in the first response.
        _ => is_first && error.is_forbidden() && !error.is_beyond_retention(),
    }
}

/// The pauses of a follower: 30 seconds, doubled up to five minutes until a page arrives.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    last: Option<(Duration, u64)>,
}

impl Pauses {
    /// The next pause, after `pages` pages in all. It isn't shorter than the service requested.
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
