//! Failures of the program: an exit code, and one line that says what failed, why, and what to do.
//!
//! [`Code`] lists the exit codes. `code` decides which code belongs to an error of the library, `advice.rs` which advice,
//! and `From<ArchiveError>` decides both for an error of the archive.

use std::{fmt::Display, io, num::NonZeroU16, path::Path, process::ExitCode, time::Duration};

use webex_events::{Error, LoginError};

use self::advice::{advice, or_elsewhere, remedy};
pub(crate) use self::{
    advice::{NO_ACCESS, has_option, set_command, transport_advice},
    text::{chain, describe, in_words, one_line},
};
pub(crate) use crate::archive::reason;
use crate::archive::{ArchiveError, Layout};

mod advice;
mod text;

/// The exit codes other than 0. Those from 64 to 78 are the codes of `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Usage = 2,
    Unavailable = 69,
    Output = 74,
    Stopped = 75,
    Refused = 77,
    Settings = 78,
    Interrupted = 130,
    Terminated = 143,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

impl Code {
    /// The worst of several failures: the one that needs a person soonest.
    pub(crate) fn worst(codes: impl IntoIterator<Item = Self>) -> Option<Self> {
        const ORDER: [Code; 5] =
            [Code::Settings, Code::Refused, Code::Output, Code::Unavailable, Code::Stopped];
        codes.into_iter().min_by_key(|code| ORDER.iter().position(|other| other == code).unwrap_or(0))
    }
}

/// Advice for a run that has nothing to resume.
const AFRESH: &str = "give the same command again";

/// Advice for a run that can be resumed.
pub(crate) const AGAIN: &str = "give the same command again to resume";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Display) -> Self {
        Self { code, message: message.to_string() }
    }

    pub(crate) fn usage(message: impl Display) -> Self {
        Self::new(Code::Usage, message)
    }

    pub(crate) fn settings(message: impl Display) -> Self {
        Self::new(Code::Settings, message)
    }

    /// A failure to write `name`. `elsewhere` is the advice that always helps.
    pub(crate) fn unwritable(name: &str, error: &io::Error, elsewhere: &str) -> Self {
        let advice = remedy(error).map_or(elsewhere.to_owned(), |remedy| format!("{remedy}, or {elsewhere}"));
        Self::new(Code::Output, format!("{name} can't be written: {}; {advice}", reason(error)))
    }

    /// A failure to write the output of a run that has come this far.
    pub(crate) fn unwritable_after(
        name: &str,
        error: &io::Error,
        progress: &str,
        is_resumable: bool,
    ) -> Self {
        let remedy = remedy(error).unwrap_or_else(|| "make it writable".to_owned());
        let again = if is_resumable { " and give the same command again" } else { "" };
        let advice = format!("{remedy}{again}, or choose another path with -o");
        Self::new(Code::Output, format!("{name} can't be written: {}; {progress}; {advice}", reason(error)))
    }

    /// A failure to write to standard output.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        Self::unwritable("stdout", error, "redirect it to a file, a pipe or a terminal")
    }

    /// A failure to read standard input.
    pub(crate) fn stdin(error: &io::Error) -> Self {
        Self::usage(format!("stdin can't be read: {}; run it in a terminal", reason(error)))
    }

    /// An error that ended a login. `redirect_uri` is that of a login in a browser.
    pub(crate) fn login(error: &Error, redirect_uri: Option<&str>) -> Self {
        let Error::Api(response) = error else { return Self::from(error) };
        if error.is_transient() {
            // The options for retries have no effect: a login isn't repeated.
            let when = match error.retry_after() {
                Some(wait) if wait.as_secs() > 0 => format!("in {} s", wait.as_secs()),
                _ => "later".to_owned(),
            };
            return Self::new(code(error, false), format!("{}; log in again {when}", describe(error)));
        }
        // The service's message is often general, and its details name the wrong field.
        let mut message = describe(error);
        for detail in response.errors().iter().filter(|detail| **detail != response.message()) {
            message = format!("{message}: {}", one_line(detail));
        }
        let advice = match redirect_uri {
            Some(uri) => format!(
                "log in again; if that fails too, check the client id and secret, and that {uri} is a redirect URI of \
                 the integration"
            ),
            None => "check the client id and secret, and that the integration has the scopes, and the redirect URIs \
                     in `webex-events login --help`"
                .to_owned(),
        };
        Self::new(Code::Refused, format!("{message}; {advice}"))
    }

    /// A login that nobody has completed in time.
    pub(crate) fn undecided(timeout: Duration, redirect_uri: Option<&str>) -> Self {
        let advice = match redirect_uri {
            Some(uri) => format!(
                "if the page shows an error, check the client id, the scopes, and that {uri} is a redirect URI of the \
                 integration; otherwise log in again, with a longer --timeout"
            ),
            None => "log in again, with a longer --timeout".to_owned(),
        };
        let timeout = timeout.as_secs();
        Self::new(Code::Stopped, format!("the access was not allowed within {timeout} s; {advice}"))
    }

    /// A failure to listen for the redirect of a login.
    pub(crate) fn redirect_port(port: NonZeroU16, error: &io::Error) -> Self {
        Self::settings(format!(
            "127.0.0.1:{port} can't be listened on: {}; choose a port with --redirect-port and register its redirect \
             URI, or use --no-browser",
            reason(error)
        ))
    }

    /// A failure to open the file of `--oauth-store`.
    pub(crate) fn no_store(error: &Error, path: &Path) -> Self {
        let failure = Self::from(error);
        match error {
            Error::Config(_) if !path.exists() => Self::settings(format!(
                "{}, or run `webex-events login --oauth-store {}`",
                failure.message,
                path.display()
            )),
            _ => failure,
        }
    }

    /// An error of the library that doesn't end the run.
    pub(crate) fn within_run(error: &Error) -> Self {
        // A temporary error needs no advice of its own: the last line has it.
        let message = if error.is_transient() { describe(error) } else { message(error, None, AFRESH) };
        Self { code: code(error, true), message }
    }

    /// An error of the library that ended a run. `progress` says how far the run has come.
    pub(crate) fn after(error: &Error, progress: &str, has_events: bool, is_resumable: bool) -> Self {
        let again = if has_events && is_resumable { AGAIN } else { AFRESH };
        Self { code: code(error, has_events), message: message(error, Some(progress), again) }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self { code: code(error, false), message: message(error, None, AFRESH) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        let part = |path: &Path| format!("{}.part", path.display());
        let (code, advice) = match &error {
            ArchiveError::Locked { .. } => {
                (Code::Stopped, "wait until it has ended, or choose another output".to_owned())
            }
            ArchiveError::Read { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
                (Code::Output, or_elsewhere(Some("make it readable".to_owned())))
            }
            ArchiveError::Read { error, .. } | ArchiveError::Write { error, .. } => {
                (Code::Output, or_elsewhere(remedy(error)))
            }
            ArchiveError::NoFolder { .. } => {
                (Code::Output, "create it, or choose another output with -o".to_owned())
            }
            ArchiveError::DamagedLedger { layout: Some(Layout::File(path)), .. } => (
                Code::Output,
                format!("restore it, or remove it and {} to start from the beginning", part(path)),
            ),
            ArchiveError::DamagedLedger { layout: Some(Layout::Folder(_)), .. } => (
                Code::Output,
                "restore it from a copy, or choose another folder; the files in this one are unchanged"
                    .to_owned(),
            ),
            ArchiveError::DamagedLedger { layout: None, .. } => (
                Code::Output,
                "restore it, or start from the beginning with another --checkpoint and with --from"
                    .to_owned(),
            ),
            ArchiveError::OtherVersion { .. } => {
                (Code::Output, "use a later version of webex-events, or choose another output".to_owned())
            }
            ArchiveError::DamagedFile { layout: layout @ Layout::File(path), .. } => (
                Code::Output,
                format!(
                    "remove {} and {} to start from the beginning",
                    layout.ledger_path().display(),
                    part(path)
                ),
            ),
            ArchiveError::DamagedFile { layout: Layout::Folder(folder), .. } => (
                Code::Output,
                format!(
                    "repair it with `webex-events verify --repair {}`, or restore it from a copy",
                    folder.display()
                ),
            ),
            ArchiveError::UnknownFile { .. } => {
                (Code::Output, "move it away, or choose another folder".to_owned())
            }
            ArchiveError::OtherKind { .. } => (Code::Usage, "choose another path".to_owned()),
            ArchiveError::SharedPath(_) => (Code::Usage, "choose another path for one of them".to_owned()),
        };
        Self::new(code, format!("{error}; {advice}"))
    }
}

fn message(error: &Error, progress: Option<&str>, again: &str) -> String {
    let mut message = describe(error);
    for part in progress.map(str::to_owned).into_iter().chain(advice(error, again)) {
        message = format!("{message}; {part}");
    }
    message
}

fn code(error: &Error, has_events: bool) -> Code {
    match error {
        Error::Query(_) | Error::Login(LoginError::NoCode) => Code::Usage,
        Error::Config(_) => Code::Settings,
        Error::Store { .. } => Code::Output,
        Error::Login(LoginError::Expired) => Code::Stopped,
        Error::Login(_) => Code::Refused,
        _ if error.is_auth() || error.is_forbidden() => Code::Refused,
        _ if has_events && error.is_transient() => Code::Stopped,
        _ => Code::Unavailable,
    }
}

/// The kind of an error, in a word or two.
pub(crate) fn kind(error: &Error) -> &'static str {
    match error {
        Error::Api(_) => "service",
        Error::Transport(_) => "transport",
        Error::Decode(_) => "decode",
        Error::Item(_) => "item",
        Error::Link { .. } => "link",
        Error::Cursor { .. } => "cursor",
        Error::Store { .. } => "token store",
        Error::Login(_) => "login",
        _ => "other",
    }
}

#[cfg(test)]
mod tests;
