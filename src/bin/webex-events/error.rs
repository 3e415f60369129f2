//! Failures of the program: an exit code, and one line that says what failed, why, and what to do.
//!
//! [`Code`] lists the exit codes. The functions `code` and `advice` decide which code and which advice belong to an
//! error of the library, and `From<ArchiveError>` decides them for an error of the archive.

use std::{
    error::Error as StdError, fmt::Display, io, num::NonZeroU16, path::Path, process::ExitCode,
    time::Duration,
};

use webex_events::{Error, LoginError, TransportErrorKind};

pub(crate) use crate::archive::reason;
use crate::archive::{ArchiveError, Layout};

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

    /// A failure to write `name`, with advice.
    pub(crate) fn unwritable(name: &str, error: &io::Error, advice: &str) -> Self {
        Self::new(Code::Output, format!("{name} can't be written: {}; {advice}", reason(error)))
    }

    /// A failure to write to standard output.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        Self::new(
            Code::Output,
            format!(
                "stdout can't be written: {}; redirect it to a file, a pipe or a terminal",
                reason(error)
            ),
        )
    }

    /// A failure to read standard input.
    pub(crate) fn stdin(error: &io::Error) -> Self {
        Self::usage(format!("stdin can't be read: {}; run it in a terminal", reason(error)))
    }

    /// An error that ended a login. `redirect_uri` is that of a login in a browser.
    pub(crate) fn login(error: &Error, redirect_uri: Option<&str>) -> Self {
        let Error::Api(response) = error else { return Self::from(error) };
        if error.is_transient() {
            return Self::from(error);
        }
        // The service's message is often general, and its details name the wrong field.
        let mut message = format!("{} error: {}", kind(error), chain(error));
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
        Self { code: code(error, true), message: message(error, None) }
    }

    /// An error of the library that ended a run. `progress` says how far the run has come.
    pub(crate) fn after(error: &Error, progress: &str, has_events: bool) -> Self {
        Self { code: code(error, has_events), message: message(error, Some(progress)) }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self { code: code(error, false), message: message(error, None) }
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
            ArchiveError::Write { .. } => {
                (Code::Output, "make it writable, or choose another output".to_owned())
            }
            ArchiveError::Read { .. } => {
                (Code::Output, "make it readable, or choose another output".to_owned())
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

fn message(error: &Error, progress: Option<&str>) -> String {
    let mut message = chain(error);
    if !matches!(error, Error::Query(_) | Error::Config(_)) {
        message = format!("{} error: {message}", kind(error));
    }
    for part in progress.map(str::to_owned).into_iter().chain(advice(error)) {
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

fn advice(error: &Error) -> Option<String> {
    let advice = match error {
        _ if error.is_auth() && error.is_renewal() => {
            "check the client id and secret, or log in again with `webex-events login`"
        }
        _ if error.is_auth() => "get a new token: this one is wrong, expired or revoked",
        _ if error.is_beyond_retention() => "use a later --from, or get the Pro Pack",
        _ if error.is_forbidden() => {
            "the token needs the scope spark-compliance:events_read, and its owner the role of a compliance officer"
        }
        Error::Login(LoginError::Denied) => {
            "log in again as a compliance officer, and choose to allow the access"
        }
        Error::Login(LoginError::OtherState) => {
            "close the pages of other logins, and log in again with the URL that is printed then"
        }
        Error::Login(LoginError::NoCode) => {
            "log in again, and paste the whole URL of the last page, or the value of `code` in it"
        }
        Error::Login(LoginError::Expired) => "log in again, and enter the new code within its lifetime",
        Error::Login(_) => "check the scopes and the redirect URIs of the integration",
        Error::Store { source, .. }
            if source
                .downcast_ref()
                .is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::NotFound) =>
        {
            "create the folder of the file, or choose another --oauth-store"
        }
        Error::Store { .. } => "make room, or make the file of --oauth-store and its folder writable",
        _ if error.is_transient() => return Some(later(error)),
        _ if error.is_not_found() => "check --base-url, and the id if there is one",
        Error::Api(_) => "check the arguments",
        Error::Decode(_) => "check --base-url and --proxy: the response may not be from the service",
        Error::Link { .. } => {
            "the service sent an invalid link: run it again, or with a narrower --from and --to"
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

/// Advice for a temporary error.
fn later(error: &Error) -> String {
    match (error, error.retry_after()) {
        (Error::Transport(_), _) => "check the network, --base-url and --proxy, and run it again".to_owned(),
        (_, Some(wait)) if wait.as_secs() > 0 => {
            let wait = wait.as_secs();
            format!("run it again in {wait} s, or allow that wait with --max-wait {wait}s")
        }
        _ if error.is_rate_limited() => "run it again later, with a lower --rate-limit".to_owned(),
        _ => "run it again later".to_owned(),
    }
}

/// The advice for each kind of failed connection.
pub(crate) fn transport_advice(kind: TransportErrorKind) -> &'static str {
    match kind {
        TransportErrorKind::Dns => {
            "the host name is unknown: check --base-url and the name server, or set --proxy"
        }
        TransportErrorKind::Tls => {
            "check --base-url and --proxy; if the network inspects TLS, add its certificate with --root-certificate"
        }
        TransportErrorKind::Proxy => "check --proxy, or the proxy in the environment",
        TransportErrorKind::Refused => "nothing listens at this address: check --base-url and --proxy",
        TransportErrorKind::TimedOut => {
            "a firewall may block the connection: check --base-url, or set --proxy"
        }
        _ => "check the network, --base-url and --proxy",
    }
}

/// The error and its sources in one line.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = level(error);
    let mut source = error.source();
    while let Some(error) = source {
        let next = level(error);
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        source = error.source();
    }
    one_line(&text)
}

/// One error of a chain.
fn level(error: &(dyn StdError + 'static)) -> String {
    error.downcast_ref().map_or_else(|| error.to_string(), reason)
}

/// `text` without what would break the line or move the cursor.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
