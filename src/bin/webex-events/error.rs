//! Failures of the program: an exit code, and one line that says what failed, why, and what to do.
//!
//! [`Code`] lists the exit codes. The functions `code` and `advice` decide which code and which advice belong to an
//! error of the library, and `From<ArchiveError>` decides them for an error of the archive.

use std::{
    error::Error as StdError, fmt::Display, io, num::NonZeroU16, path::Path, process::ExitCode,
    sync::OnceLock, time::Duration,
};

use webex_events::{Error, LoginError, TransportError, TransportErrorKind};

pub(crate) use crate::archive::reason;
use crate::archive::{ArchiveError, Layout};

/// The command that runs, and its options: advice names no other.
static COMMAND: OnceLock<(String, Vec<String>)> = OnceLock::new();

/// Sets the command that runs, and the long names of its options.
pub(crate) fn set_command(name: &str, options: impl Iterator<Item = String>) {
    let _ = COMMAND.set((name.to_owned(), options.collect()));
}

/// Returns true if the command has this option, such as `--from`.
pub(crate) fn has_option(option: &str) -> bool {
    let name = option.trim_start_matches('-');
    COMMAND.get().is_none_or(|(_, options)| options.iter().any(|other| other == name))
}

fn is_command(name: &str) -> bool {
    COMMAND.get().is_some_and(|(command, _)| command == name)
}

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
            return Self::from(error);
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
        let message = if error.is_transient() { describe(error) } else { message(error, None) };
        Self { code: code(error, true), message }
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

/// Advice for an error of the system, if there is any that fits it.
fn remedy(error: &io::Error) -> Option<String> {
    let remedy = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room",
        io::ErrorKind::FileTooLarge => "raise the limit of the size of files (ulimit -f)",
        io::ErrorKind::PermissionDenied => "make it writable",
        // The error may be wrapped, and then has no number.
        _ => return remedy_of_text(&error.to_string()).map(str::to_owned),
    };
    Some(remedy.to_owned())
}

/// The same for a text that contains the error.
fn remedy_of_text(text: &str) -> Option<&'static str> {
    if !text.contains("Too many open files") {
        None
    } else if has_option("--concurrency") {
        Some("raise the limit of open files (ulimit -n) or lower --concurrency")
    } else {
        Some("raise the limit of open files (ulimit -n)")
    }
}

/// Advice for an invalid setting, where its text has none.
fn setting_advice(text: &str) -> Option<&'static str> {
    match text {
        _ if text.starts_with("the base URL") => {
            Some("give --base-url, or WEBEX_BASE_URL, in the form https://webexapis.com/v1")
        }
        _ if text.starts_with("the proxy is not") => Some("give --proxy in the form http://HOST:PORT"),
        _ if text.starts_with("the root certificate") => Some("check --root-certificate"),
        _ => remedy_of_text(text),
    }
}

/// Advice for an output that can't be used.
fn or_elsewhere(remedy: Option<String>) -> String {
    let elsewhere = has_option("--output").then(|| "choose another output with -o".to_owned());
    let parts: Vec<_> = remedy.into_iter().chain(elsewhere).collect();
    if parts.is_empty() { "check the disk".to_owned() } else { parts.join(", or ") }
}

fn message(error: &Error, progress: Option<&str>) -> String {
    let mut message = describe(error);
    for part in progress.map(str::to_owned).into_iter().chain(advice(error)) {
        message = format!("{message}; {part}");
    }
    message
}

/// An error of the library in one line: what failed, and why.
pub(crate) fn describe(error: &Error) -> String {
    match error {
        Error::Transport(transport) => one_line(&transport_text(transport)),
        Error::Link { .. } => one_line(&format!("the service sent {error}")),
        // Its source is an error of the JSON parser, which the first characters of the body show better.
        Error::Decode(_) => one_line(&error.to_string()),
        _ => chain(error),
    }
}

/// A failed exchange, and its innermost cause: the levels between are those of the HTTP client.
fn transport_text(error: &TransportError) -> String {
    let text = error.to_string();
    let attempts = format!(" ({} attempts)", error.attempts());
    let (text, attempts) = match text.strip_suffix(&attempts) {
        Some(text) => (text, attempts.as_str()),
        None => (text.as_str(), ""),
    };
    let Some(mut cause) = error.source() else { return format!("{text}{attempts}") };
    while let Some(source) = cause.source() {
        cause = source;
    }
    let cause = level(cause);
    format!("{text}: {}{attempts}", in_words(&cause))
}

/// The cause of a failed exchange, in words where the TLS library names a part of its code.
pub(crate) fn in_words(cause: &str) -> &str {
    match cause {
        _ if cause.contains("UnknownIssuer") => "the certificate's issuer isn't trusted",
        _ if cause.contains("corrupt message") => "the response isn't TLS",
        _ => cause,
    }
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
            "check the client id and secret, or log in again with `webex-events login`; then give the same command again"
        }
        _ if error.is_auth() => {
            "get a new token: this one is wrong, expired or revoked; then give the same command again"
        }
        _ if error.is_beyond_retention() => match () {
            () if is_command("follow") => {
                "start with a later --from and another output, or get the Pro Pack for older events"
            }
            () if has_option("--from") => "use a later --from, or get the Pro Pack for older events",
            () => "older events need the Pro Pack",
        },
        _ if error.is_forbidden() => NO_ACCESS,
        Error::Transport(error) => {
            return Some(format!("{}; then give the same command again", transport_advice(error.kind())));
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
        Error::Store { .. } => {
            "make room, or make the file of --oauth-store and its folder writable; then give the same command again"
        }
        Error::Config(text) => return setting_advice(text).map(str::to_owned),
        Error::Cursor { .. } => "give the same command again",
        _ if error.is_transient() => return Some(later(error)),
        _ if error.is_not_found() && is_command("get") => "check the id, and --base-url, which ends with /v1",
        _ if error.is_not_found() => "check --base-url: it ends with /v1",
        Error::Api(_) => "check the arguments",
        Error::Decode(_) => "check --base-url and --proxy: the response may not be from the service",
        Error::Link { .. } if has_option("--to") => {
            "give the same command again, or one with a narrower --from and --to"
        }
        Error::Link { .. } => AGAIN_LATER,
        _ => return None,
    };
    Some(advice.to_owned())
}

/// Advice for a token that may not list events.
pub(crate) const NO_ACCESS: &str = "make a token with the scope spark-compliance:events_read, whose owner has the role of a \
                                    compliance officer in Control Hub";

const AGAIN_LATER: &str = "give the same command again later";

/// Advice for a temporary error.
fn later(error: &Error) -> String {
    match error.retry_after() {
        Some(wait) if wait.as_secs() > 0 => {
            let wait = wait.as_secs();
            format!("give the same command again in {wait} s, or allow that wait with --max-wait {wait}s")
        }
        _ if error.is_rate_limited() => format!("{AGAIN_LATER}, with a lower --rate-limit"),
        _ => AGAIN_LATER.to_owned(),
    }
}

/// The advice for each kind of failed connection.
pub(crate) fn transport_advice(kind: TransportErrorKind) -> &'static str {
    match kind {
        TransportErrorKind::Dns => {
            "the name of the host is unknown: check --base-url and the name server, or set --proxy"
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

/// `text` without each ` (os error 13)`.
fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => out.push_str(rest),
            _ => out.extend([" (os error ", part]),
        }
    }
    out
}

/// `text` without what would break the line or move the cursor, and without the system's numbers of errors.
pub(crate) fn one_line(text: &str) -> String {
    without_numbers(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
